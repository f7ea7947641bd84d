/* HTTP calls of those who may block, on connections that live as long as the session.
 *
 * libcurl's multi interface, driven by the call that is waited for; the calls beside it run in the same turns. Callbacks
 * may begin further calls, so ends are told between the turns, never inside of one. */
#include "core/net/http_private.h"

#include "core/base/list.h"

enum { TURN_MS = 1000 };

/* A call beside the one that is waited for. */
struct side_call {
    struct list link;
    struct http_transfer transfer;
    net_http_done_cb on_done;
    void *data;
};

struct net_http_session {
    CURLM *multi;
    struct list new_calls; /* of struct side_call: not yet given to libcurl, which takes none while it calls us */
    struct list calls;     /* of struct side_call */
};

struct waiting {
    struct http_transfer transfer;
    net_http_chunk_cb on_chunk;
    void *data;
};

struct net_http_session *net_http_session_new(void)
{
    struct net_http_session *session = xcalloc(1, sizeof(*session));
    list_init(&session->new_calls);
    list_init(&session->calls);
    return session;
}

/* ---- the calls beside ---- */

static void end_side_call(struct side_call *call, const struct net_http_response *response, const struct err *err)
{
    list_remove(&call->link);
    call->on_done(call->data, response, err);
    http_transfer_clear(&call->transfer);
    free(call);
}

static void finish_side_call(struct net_http_session *session, struct side_call *call, CURLcode code)
{
    struct net_http_response response;
    struct err err = ERR_INIT;
    curl_multi_remove_handle(session->multi, call->transfer.easy);
    bool is_answered = http_transfer_result(&call->transfer, code, &response, &err) == 0;
    end_side_call(call, is_answered ? &response : NULL, &err);
}

static void end_all(struct net_http_session *session, struct list *calls)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "the session ended");
    while (!list_is_empty(calls)) {
        struct side_call *call = LIST_FIRST(calls, struct side_call, link);
        if (calls == &session->calls)
            curl_multi_remove_handle(session->multi, call->transfer.easy);
        end_side_call(call, NULL, &err);
    }
}

void net_http_session_send(struct net_http_session *session, const struct net_http_request *request, net_http_done_cb on_done, void *data)
{
    struct side_call *call = xcalloc(1, sizeof(*call));
    call->on_done = on_done;
    call->data = data;
    http_transfer_init(&call->transfer, request);
    curl_easy_setopt(call->transfer.easy, CURLOPT_PRIVATE, call);
    list_push(&session->new_calls, &call->link);
}

static void take_new_calls(struct net_http_session *session)
{
    while (!list_is_empty(&session->new_calls)) {
        struct side_call *call = LIST_FIRST(&session->new_calls, struct side_call, link);
        list_remove(&call->link);
        list_push(&session->calls, &call->link);
        curl_multi_add_handle(session->multi, call->transfer.easy);
    }
}

/* ---- waiting ---- */

static size_t give_piece(struct http_transfer *transfer, const char *bytes, size_t len)
{
    struct waiting *waiting = CONTAINER_OF(transfer, struct waiting, transfer);
    waiting->on_chunk(waiting->data, slice_make(bytes, len));
    return len;
}

/* True once the call that is waited for has ended. */
static bool read_ends(struct net_http_session *session, CURL *waited_for, CURLcode *ret_code)
{
    bool is_over = false;
    CURLMsg *msg;
    int num;
    while ((msg = curl_multi_info_read(session->multi, &num)) != NULL) {
        struct side_call *call = NULL;
        CURL *easy = msg->easy_handle;
        CURLcode code = msg->data.result; /* `msg` is gone with its handle */
        if (easy == waited_for) {
            *ret_code = code;
            is_over = true;
            continue;
        }
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
        finish_side_call(session, call, code);
    }
    return is_over;
}

static CURLcode turn_until_over(struct net_http_session *session, struct waiting *waiting, bool (*go_on)(void *data))
{
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    int num;
    for (;;) {
        take_new_calls(session);
        curl_multi_perform(session->multi, &num);
        if (read_ends(session, waiting->transfer.easy, &code))
            return code;
        if (go_on != NULL && !go_on(waiting->data)) {
            http_transfer_refuse(&waiting->transfer, ERR_UNAVAILABLE, "interrupted");
            return code;
        }
        if (list_is_empty(&session->new_calls)) /* else they are begun at once */
            curl_multi_poll(session->multi, NULL, 0, TURN_MS, NULL);
    }
}

int net_http_session_wait(struct net_http_session *session, const struct net_http_request *request, net_http_chunk_cb on_chunk,
                          bool (*go_on)(void *data), net_http_done_cb on_done, void *data, struct err *err)
{
    struct waiting waiting = {.transfer = {.is_stream = on_chunk != NULL, .on_piece = give_piece}, .on_chunk = on_chunk, .data = data};
    struct net_http_response response;

    http_transfer_init(&waiting.transfer, request); /* libcurl is ready for use from here on */
    if (session->multi == NULL && (session->multi = curl_multi_init()) == NULL)
        abort();
    curl_multi_add_handle(session->multi, waiting.transfer.easy);
    CURLcode code = turn_until_over(session, &waiting, go_on);
    curl_multi_remove_handle(session->multi, waiting.transfer.easy);
    end_all(session, &session->calls);
    end_all(session, &session->new_calls);
    int ret = http_transfer_result(&waiting.transfer, code, &response, err);
    if (ret == 0)
        on_done(data, &response, err);
    http_transfer_clear(&waiting.transfer);
    return ret;
}

struct net_http_session *net_http_session_free(struct net_http_session *session)
{
    if (session == NULL)
        return NULL;
    end_all(session, &session->new_calls);
    if (session->multi != NULL)
        curl_multi_cleanup(session->multi);
    free(session);
    return NULL;
}

int net_http_call_wait(const struct net_http_request *request, net_http_chunk_cb on_chunk, bool (*go_on)(void *data),
                       net_http_done_cb on_done, void *data, struct err *err)
{
    struct net_http_session *session = net_http_session_new();
    int ret = net_http_session_wait(session, request, on_chunk, go_on, on_done, data, err);
    net_http_session_free(session);
    return ret;
}

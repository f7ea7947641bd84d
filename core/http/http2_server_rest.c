/* Requests that are answered before they are whole. A short rest is read and dropped; any other is stopped,
 * but not at once: clients (curl 7.88 among them) take a RST_STREAM for the failure of all, also of an answer they
 * have not looked at yet, as when both come in one read. */
#include "core/http/http2_server.h"

enum {
    SWALLOW_MS = 5000, /* for the rest of a request after its answer */
    STOP_MS = 200, /* between an answer and the stop of a rest that is not swallowed */
};

struct rest {
    struct list link;
    int32_t id;
    bool is_swallowed;
    uint64_t deadline_ms; /* UINT64_MAX until the answer is out */
};

static void rest_free(struct rest *rest)
{
    list_remove(&rest->link);
    free(rest);
}

static struct rest *find_rest(struct server *server, int32_t id)
{
    LIST_FOR(rest, &server->rests, struct rest, link)
    if (rest->id == id)
        return rest;
    return NULL;
}

void ht2s_forget_rest(struct server *server, int32_t id)
{
    struct rest *rest = find_rest(server, id);

    if (rest != NULL)
        rest_free(rest);
}

/* RFC 9113 8.1. */
static void stop_request(struct server *server, int32_t id)
{
    (void)nghttp2_submit_rst_stream(server->h2.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    ht_h2_flush_later(&server->h2);
}

/* The answer's end is decided, the request's is not in. A rest that is short and of known length gets the
 * window for all of it at once, ahead of the answer: curl 7.88 reads nothing more after that. Any other gets no
 * window, and is stopped a moment behind the answer. */
void ht2s_plan_rest(struct stream *stream)
{
    struct server *server = stream->server;
    uint64_t most = server->conn->limits->drain_body_bytes;
    int64_t left = stream->x.content_length - (int64_t)stream->x.body_bytes_in;
    struct rest *rest;

    if (stream->h2.is_remote_done)
        return;
    rest = xmalloc(sizeof(*rest));
    *rest = (struct rest){
        .id = stream->h2.id, .is_swallowed = left > 0 && (uint64_t)left <= most, .deadline_ms = UINT64_MAX};
    list_init(&rest->link);
    list_push(&server->rests, &rest->link);
    if (rest->is_swallowed)
        (void)nghttp2_session_set_local_window_size(server->h2.session, NGHTTP2_FLAG_NONE, rest->id,
                                                    MAX((int32_t)left + HT_H2_FIRST_WINDOW, HT_STREAM_WINDOW));
}

bool ht2s_is_swallowed(struct server *server, int32_t id)
{
    const struct rest *rest = find_rest(server, id);

    return rest != NULL && rest->is_swallowed;
}

void ht2s_answer_is_out(struct server *server, int32_t id)
{
    struct rest *rest = find_rest(server, id);

    if (rest == NULL) {
        stop_request(server, id);
        return;
    }
    uint32_t wait_ms = rest->is_swallowed ? SWALLOW_MS : STOP_MS;
    rest->deadline_ms = ht2s_now_ms(server) + wait_ms;
    ht2s_wake_after(server, wait_ms);
}

uint64_t ht2s_check_rests(struct server *server)
{
    uint64_t next = UINT64_MAX;

    LIST_FOR_SAFE(rest, &server->rests, struct rest, link)
    {
        if (rest->deadline_ms > ht2s_now_ms(server)) {
            next = MIN(next, rest->deadline_ms);
            continue;
        }
        stop_request(server, rest->id);
        rest_free(rest);
    }
    return next;
}

void ht2s_free_rests(struct server *server)
{
    while (!list_is_empty(&server->rests))
        rest_free(LIST_FIRST(&server->rests, struct rest, link));
}

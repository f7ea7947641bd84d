/* HTTP/2, server side: accepted connections whose client speaks the preface or chose h2.
 *
 * Happy path: adopt -> bytes are fed to nghttp2 -> complete heads wait until the read is over -> on_request;
 * the verbs queue what the handler says; the turn (http2_common) makes frames of it; the stream closes ->
 * on_close. A stream that is reset in the very read that opened it never reaches a handler: rapid reset buys
 * no work. Failure: a malformed message resets its stream (PROTOCOL_ERROR), a broken or flooding connection
 * gets GOAWAY and is closed, a dead socket ends all exchanges as PEER_RESET. Shutdown: GOAWAY twice (RFC
 * 9113 6.8) with a PING between: after its answer the client has seen the first, so nothing it sent before is
 * lost. The last exchange closes the connection. Exchanges are detached from nghttp2's stream as soon as they
 * are decided, and die in the turn. */
#include "core/http/http2_request.h"

#include <assert.h>
#include <pthread.h>

enum {
    LINGER_MS = 1000, /* for the last GOAWAY to arrive */
    DRAIN_WAIT_MS = 1000, /* for the PING between the two GOAWAYs */
    SWALLOW_MS = 5000, /* for the rest of a request after its answer */
    MAX_NV = 64, /* field lines built on the stack */
};

struct server {
    struct ht_h2 h2;
    struct ht_server_conn *conn; /* borrowed: it owns us */
    struct list streams, ready, dead; /* of struct stream.link: open, with a head to hand over, ended */
    struct list rests; /* of struct rest */
    struct timer timer;
    struct stream *decoding; /* whose header block is being read */
    uint64_t adopted_ms, idle_ms /* since when no stream is open */,
        head_ms /* when the last header block began */;
    uint64_t drain_ms; /* 0, or when the first GOAWAY was queued */
    int32_t peer_reset_id; /* RST_STREAM being handled */
    unsigned has_settings : 1, expects_continuation : 1, is_goaway_final : 1,
        is_closing : 1 /* a last GOAWAY is queued */, is_io_closed : 1;
};

/* A request that is answered before it is whole, and so near its end that the rest is read and dropped.
 * Clients (curl 7.88 among them) take a RST_STREAM for the failure of all, also of an answer they have not
 * looked at yet. */
struct rest {
    struct list link;
    int32_t id;
    uint64_t deadline_ms; /* UINT64_MAX until the answer is out */
};

struct stream {
    struct ht_exchange x;
    struct ht_h2_stream h2;
    struct server *server;
    struct list link;
    struct ht_h2_head head;
    nghttp2_nv *head_nv; /* pool memory; waits for the flush */
    size_t num_head_nv;
    int64_t response_length;
    enum ht_close why;
    unsigned is_ended : 1 /* decided; on_close comes from the turn */, was_requested : 1,
        is_head_submitted : 1, is_bodyless : 1 /* HEAD, 204, 304 */, is_end_told : 1, is_connect : 1,
        is_trailer : 1, is_closed : 1 /* for nghttp2; a tunnel's last bytes still wait for their receiver */;
};
_Static_assert(sizeof(struct stream) <= HT_H2_STREAM_SIZE, "HT_H2_STREAM_SIZE is too small");

static struct server *server_of(struct ht_server_conn *conn)
{
    return conn->engine_data;
}

static struct server *server_of_io(struct net_io *io)
{
    return server_of(CONTAINER_OF(io, struct ht_server_conn, io));
}

static struct server *server_of_h2(struct ht_h2 *h2)
{
    return CONTAINER_OF(h2, struct server, h2);
}

static struct stream *stream_of(struct ht_exchange *x)
{
    return CONTAINER_OF(x, struct stream, x);
}

static struct stream *stream_of_h2(struct ht_h2_stream *h2)
{
    return CONTAINER_OF(h2, struct stream, h2);
}

static uint64_t now_ms(const struct server *server)
{
    return net_now_ms(server->h2.worker);
}

/* ---- the clock: one timer, started only to come earlier, so that a request costs no timer work ---- */

/* In the middle of a header block: nothing else can come before it is whole. */
static bool is_in_head(const struct server *server)
{
    return server->decoding != NULL || server->expects_continuation;
}

static void wake_by(struct server *server, uint64_t deadline_ms)
{
    if (deadline_ms == UINT64_MAX || server->h2.is_closed)
        return;
    if (!timer_is_running(&server->timer) || server->timer.deadline_ms > deadline_ms)
        timer_start(&server->h2.worker->timers, &server->timer, deadline_ms);
}

static void wake_after(struct server *server, uint32_t timeout_ms)
{
    if (timeout_ms != 0)
        wake_by(server, now_ms(server) + timeout_ms);
}

/* ---- requests whose rest nobody wants ---- */

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

/* RFC 9113 8.1. */
static void stop_request(struct server *server, int32_t id)
{
    (void)nghttp2_submit_rst_stream(server->h2.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    ht_h2_flush_later(&server->h2);
}

/* The answer's end is decided, the request's is not in. A rest that is short and of known length gets the
 * window for all of it at once, ahead of the answer: curl 7.88 reads nothing more after that. Any other is
 * stopped behind the answer. */
static void plan_rest(struct stream *stream)
{
    struct server *server = stream->server;
    uint64_t most = server->conn->limits->drain_body_bytes;
    int64_t left = stream->x.content_length - (int64_t)stream->x.body_bytes_in;
    struct rest *rest;

    if (stream->h2.is_remote_done || stream->is_connect || left <= 0 || (uint64_t)left > most ||
        server->drain_ms != 0)
        return;
    rest = xmalloc(sizeof(*rest));
    *rest = (struct rest){.id = stream->h2.id, .deadline_ms = UINT64_MAX};
    list_init(&rest->link);
    list_push(&server->rests, &rest->link);
    (void)nghttp2_session_set_local_window_size(server->h2.session, NGHTTP2_FLAG_NONE, rest->id,
                                                MAX((int32_t)left + HT_H2_FIRST_WINDOW, HT_STREAM_WINDOW));
}

static void answer_is_out(struct server *server, int32_t id)
{
    struct rest *rest = find_rest(server, id);

    if (rest == NULL) {
        stop_request(server, id);
        return;
    }
    rest->deadline_ms = now_ms(server) + SWALLOW_MS;
    wake_by(server, rest->deadline_ms);
}

/* When the next one is due. */
static uint64_t check_rests(struct server *server, bool all)
{
    uint64_t next = UINT64_MAX;

    LIST_FOR_SAFE(rest, &server->rests, struct rest, link)
    {
        if (rest->deadline_ms > now_ms(server) && !all) {
            next = MIN(next, rest->deadline_ms);
            continue;
        }
        stop_request(server, rest->id);
        rest_free(rest);
    }
    return next;
}

/* ---- ending exchanges ---- */

static void end_stream(struct stream *stream, enum ht_close why)
{
    struct server *server = stream->server;

    if (stream->is_ended)
        return;
    stream->is_ended = 1;
    stream->why = why;
    if (server->decoding == stream)
        server->decoding = NULL;
    if (!server->h2.is_closed)
        (void)nghttp2_session_set_stream_user_data(server->h2.session, stream->h2.id,
                                                   NULL); /* may be closed */
    if (stream->h2.in.len != 0 &&
        !server->h2.is_closed) /* for a client that must send on before it reads on */
        (void)nghttp2_session_consume_stream(server->h2.session, stream->h2.id, stream->h2.in.len);
    ht_h2_stream_detach(&stream->h2);
    list_remove(&stream->link);
    list_push(&server->dead, &stream->link);
    ht_h2_flush_later(&server->h2);
}

static void reset_stream(struct stream *stream, uint32_t code, enum ht_close why)
{
    if (stream->is_ended)
        return;
    if (!stream->server->h2.is_closed)
        (void)nghttp2_submit_rst_stream(stream->server->h2.session, NGHTTP2_FLAG_NONE, stream->h2.id, code);
    end_stream(stream, why);
}

static void reap(struct server *server)
{
    struct ht_server_conn *conn = server->conn;

    while (!list_is_empty(&server->dead)) {
        struct stream *stream = LIST_FIRST(&server->dead, struct stream, link);
        list_remove(&stream->link);
        if (stream->was_requested)
            conn->handler->on_close(&stream->x, stream->why);
        ht_h2_stream_clear(&stream->h2);
        h2o_mem_clear_pool(&stream->x.pool);
        ht_h2_free(stream);
        if (--conn->num_active == 0) {
            server->idle_ms = now_ms(server);
            wake_after(server, conn->limits->idle_timeout_ms);
        }
    }
}

static void end_all(struct server *server, enum ht_close why)
{
    while (!list_is_empty(&server->streams))
        end_stream(LIST_FIRST(&server->streams, struct stream, link), why);
    while (!list_is_empty(&server->ready))
        end_stream(LIST_FIRST(&server->ready, struct stream, link), why);
}

/* ---- ending the connection ---- */

/* Nothing more goes in or out. */
static void stop(struct server *server, enum ht_close why)
{
    server->h2.is_closed = 1;
    timer_stop(&server->timer);
    end_all(server, why);
    ht_h2_flush_later(&server->h2); /* for its reaping */
}

static void close_now(struct server *server, enum ht_close why)
{
    if (server->is_io_closed)
        return;
    net_io_close(&server->conn->io);
    server->is_io_closed = 1;
    stop(server, why);
}

static void on_lingered(struct net_io *io)
{
    struct server *server = server_of_io(io);

    server->is_io_closed = 1;
    ht_h2_flush_later(&server->h2);
}

/* What is in the io's buffer still goes out. */
static void close_politely(struct server *server)
{
    if (server->h2.is_closed)
        return;
    stop(server, HT_CLOSE_PEER_RESET);
    net_io_close_gracefully(&server->conn->io, LINGER_MS, on_lingered);
}

/* The last word: GOAWAY, then close once it is out. */
static void terminate(struct server *server, uint32_t code)
{
    if (server->is_closing || server->h2.is_closed)
        return;
    server->is_closing = 1;
    (void)nghttp2_session_terminate_session(server->h2.session, code); /* memory only: would abort */
    end_all(server, code == NGHTTP2_NO_ERROR ? HT_CLOSE_PEER_RESET : HT_CLOSE_PROTOCOL);
    wake_after(server, LINGER_MS);
    ht_h2_flush_later(&server->h2);
}

static void report(struct server *server, unsigned status, const char *detail, struct slice head)
{
    if (server->conn->handler->on_bad_request != NULL)
        server->conn->handler->on_bad_request(server->conn, status, detail, head);
}

static void calm(struct server *server, const char *detail)
{
    if (server->is_closing || server->h2.is_closed)
        return;
    report(server, 429, detail, slice_make(NULL, 0));
    terminate(server, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* ---- answers of our own ---- */

/* No body; the rest of the request is not wanted (on_frame_send sees to that). */
static void answer_plainly(struct stream *stream, unsigned status)
{
    struct ht_exchange *x = &stream->x;
    char text[4] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10),
                    '\0'};
    struct slice date = ht_date(stream->server->h2.worker);
    nghttp2_nv nv[] = {
        {(uint8_t *)":status", (uint8_t *)text, 7, 3, NGHTTP2_NV_FLAG_NONE},
        {(uint8_t *)"date", (uint8_t *)date.base, 4, date.len, NGHTTP2_NV_FLAG_NONE},
        {(uint8_t *)"content-length", (uint8_t *)"0", 14, 1, NGHTTP2_NV_FLAG_NONE},
    };

    x->status = status;
    plan_rest(stream);
    (void)nghttp2_submit_response(stream->server->h2.session, stream->h2.id, nv, ARRAY_LEN(nv), NULL);
}

/* The engine ends an exchange the handler knows: with an answer if none has begun. */
static void give_up(struct stream *stream, unsigned status, enum ht_close why)
{
    if (stream->x.is_head_sent) {
        reset_stream(stream, NGHTTP2_CANCEL, why);
        return;
    }
    answer_plainly(stream, status);
    end_stream(stream, why);
}

/* ---- the request's way in ---- */

static void tell_end(struct stream *stream)
{
    if (stream->is_end_told || stream->is_ended || !stream->h2.is_remote_done || stream->h2.in.len != 0)
        return;
    if (!stream->x.wants_body || (stream->is_connect && !stream->x.is_tunnel))
        return;
    stream->is_end_told = 1;
    stream->x.is_body_done = 1;
    if (stream->x.has_body || stream->x.is_tunnel)
        stream->x.handler->on_body_end(&stream->x);
    if (stream->is_closed)
        end_stream(stream, HT_CLOSE_DONE);
}

static bool may_offer(const struct stream *stream)
{
    return stream->x.wants_body && !stream->h2.is_in_paused && !stream->is_ended &&
           (!stream->is_connect || stream->x.is_tunnel);
}

/* Returns what the handler took. */
static size_t offer(struct stream *stream, const char *bytes, size_t len)
{
    size_t taken = stream->x.handler->on_body(&stream->x, bytes, len);

    assert(taken <= len);
    if (stream->is_ended)
        return len;
    if (taken < len)
        stream->h2.is_in_paused = 1;
    stream->h2.in_moved_ms = now_ms(stream->server);
    ht_h2_consumed(&stream->h2, taken);
    return taken;
}

static void offer_waiting(struct ht_h2_stream *h2)
{
    struct stream *stream = stream_of_h2(h2);

    while (h2->in.len != 0 && may_offer(stream)) {
        struct slice run = ht_h2_queue_peek(&h2->in);
        size_t taken = offer(stream, run.base, run.len);
        if (stream->is_ended)
            return;
        ht_h2_queue_drop(&h2->in, h2->h2->worker, taken);
    }
    tell_end(stream);
}

static bool is_too_large(const struct stream *stream)
{
    uint64_t max = stream->server->conn->limits->max_body_bytes;

    return max != 0 && stream->x.body_bytes_in > max && !stream->x.is_tunnel;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                   void *user_data)
{
    struct server *server = server_of_h2(user_data);
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    size_t taken = 0;

    (void)nghttp2_session_consume_connection(session, len); /* fails only with a session that fails anyway */
    if (stream == NULL) {
        (void)nghttp2_session_consume_stream(session, id, len); /* the rest of what is answered */
        return 0;
    }
    stream->x.body_bytes_in += len;
    stream->h2.in_moved_ms = now_ms(server);
    if (is_too_large(stream)) {
        give_up(stream, 413, HT_CLOSE_TOO_LARGE);
        return 0;
    }
    if (stream->h2.in.len == 0 && may_offer(stream))
        taken = offer(stream, (const char *)bytes, len);
    if (!stream->is_ended && taken < len)
        ht_h2_queue_add(&stream->h2.in, server->h2.worker, bytes + taken, len - taken);
    return 0;
}

static void refuse(struct stream *stream, enum ht_h2_verdict verdict)
{
    struct server *server = stream->server;
    struct ht_h2_head *head = &stream->head;

    report(server, verdict == HT_H2_ANSWER ? head->status : 400, head->detail, stream->x.target);
    if (verdict == HT_H2_ANSWER) {
        answer_plainly(stream, head->status);
        end_stream(stream, HT_CLOSE_PROTOCOL);
    } else {
        reset_stream(stream, NGHTTP2_PROTOCOL_ERROR, HT_CLOSE_PROTOCOL);
    }
}

static void head_complete(struct stream *stream, bool is_end)
{
    struct ht_exchange *x = &stream->x;
    enum ht_h2_verdict verdict = ht_h2_request_finish(x, &stream->head);

    if (verdict != HT_H2_ACCEPT) {
        refuse(stream, verdict);
        return;
    }
    stream->is_connect = slice_eq(x->method, SLICE("CONNECT")) || x->upgrade.len != 0;
    x->has_body = !is_end && !stream->is_connect;
    x->is_body_done = is_end;
    stream->h2.is_remote_done = is_end;
    if (stream->is_connect)
        x->content_length = -1;
    list_remove(&stream->link);
    list_push(&stream->server->ready, &stream->link);
}

/* Heads that came in this read, in order; those reset meanwhile are gone from the list. */
static void hand_over(struct server *server)
{
    while (!list_is_empty(&server->ready)) {
        struct stream *stream = LIST_FIRST(&server->ready, struct stream, link);
        list_remove(&stream->link);
        list_push(&server->streams, &stream->link);
        stream->was_requested = 1;
        stream->x.handler->on_request(&stream->x);
    }
}

static bool is_overloaded(const struct server *server)
{
    const struct ht_server_conn *conn = server->conn;

    return conn->num_active >= MAX(conn->limits->max_concurrent_streams, 1u) ||
           net_mem_level(conn->io.worker) != NET_MEM_OK;
}

static const struct ht_exchange_ops exchange_ops;

static struct stream *stream_new(struct server *server, int32_t id)
{
    struct stream *stream = ht_h2_alloc(sizeof(*stream));

    h2o_mem_init_pool(&stream->x.pool);
    ht_exchange_init(&stream->x, server->conn, &exchange_ops);
    memset((char *)stream + sizeof(stream->x), 0, sizeof(*stream) - sizeof(stream->x));
    stream->x.id = (uint64_t)id;
    stream->x.version = HT_HTTP2;
    ht_h2_stream_init(&stream->h2, &server->h2, id);
    stream->server = server;
    list_init(&stream->link);
    list_push(&server->streams, &stream->link);
    return stream;
}

static void start_drain(struct server *server);

/* nghttp2 counts a stream as closed when it is for the client; our own count goes down when the handler is
 * done with it, and that is the one which bounds the work behind us. */
static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct server *server = server_of_h2(user_data);
    uint32_t max_requests = server->conn->limits->max_requests_per_conn;

    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        server->decoding = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (server->decoding != NULL) {
            server->decoding->is_trailer = 1;
            server->decoding->head = (struct ht_h2_head){0};
        }
        return 0;
    }
    server->decoding = NULL;
    if (is_overloaded(server)) {
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                        NGHTTP2_REFUSED_STREAM);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    server->decoding = stream_new(server, frame->hd.stream_id);
    (void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
                                               server->decoding); /* it exists */
    if (max_requests != 0 && server->conn->num_requests >= max_requests)
        start_drain(server);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user_data)
{
    struct server *server = server_of_h2(user_data);
    struct stream *stream = server->decoding;
    enum ht_h2_verdict verdict;

    if (stream == NULL)
        return 0;
    verdict = stream->is_trailer ? ht_h2_request_trailer(&stream->x, &stream->head, name, value)
                                 : ht_h2_request_field(&stream->x, &stream->head, name, value);
    switch (verdict) {
    case HT_H2_ACCEPT:
    case HT_H2_ANSWER:
        return 0;
    case HT_H2_MALFORMED:
        reset_stream(stream, NGHTTP2_PROTOCOL_ERROR, HT_CLOSE_PROTOCOL);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    case HT_H2_CALM:
        break;
    }
    server->h2.flood = stream->head.detail;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void remote_done(struct stream *stream)
{
    stream->h2.is_remote_done = 1;
    if (stream->x.wants_body)
        ht_h2_offer_later(&stream->h2);
}

static void send_final_goaway(struct server *server);

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct server *server = server_of_h2(user_data);
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct stream *stream;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        stream = server->decoding;
        server->decoding = NULL;
        if (stream == NULL)
            return 0;
        if (stream->is_trailer)
            remote_done(stream);
        else
            head_complete(stream, is_end);
        return 0;
    case NGHTTP2_DATA:
        stream = is_end ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
        if (stream != NULL)
            remote_done(stream);
        return 0;
    case NGHTTP2_RST_STREAM:
        server->peer_reset_id = frame->hd.stream_id;
        return 0;
    case NGHTTP2_SETTINGS:
        server->has_settings = 1;
        return 0;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && server->drain_ms != 0)
            send_final_goaway(server);
        return 0;
    default:
        return 0;
    }
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user_data)
{
    struct server *server = server_of_h2(user_data);

    if (hd->type == NGHTTP2_HEADERS)
        server->head_ms = now_ms(server);
    server->expects_continuation = (hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_CONTINUATION) &&
                                   (hd->flags & NGHTTP2_FLAG_END_HEADERS) == 0;
    return UNLIKELY(ht_h2_glitch_frame(&server->h2, hd)) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    struct server *server = server_of_h2(user_data);

    /* Malformed fields: nobody else hears of this stream. Refused streams reset too cheaply to go uncounted.
     */
    if (frame->hd.type == NGHTTP2_HEADERS &&
        (error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING))
        report(server, 400, "malformed request head", slice_make(NULL, 0));
    if (error == NGHTTP2_ERR_REFUSED_STREAM && ht_h2_glitch(&server->h2, HT_H2_RESET_BY_US))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    struct server *server = server_of_h2(user_data);
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    struct rest *rest = find_rest(server, id);
    enum ht_close why = HT_CLOSE_PROTOCOL;

    if (rest != NULL)
        rest_free(rest);
    if (stream == NULL)
        return 0;
    if (id == server->peer_reset_id)
        why = HT_CLOSE_PEER_RESET;
    else if (code == NGHTTP2_NO_ERROR && stream->x.is_ended)
        why = HT_CLOSE_DONE;
    if (why == HT_CLOSE_DONE)
        ht_h2_finished_one(&server->h2);
    if (why == HT_CLOSE_DONE && stream->x.is_tunnel && !stream->is_end_told) {
        stream->is_closed = 1;
        (void)nghttp2_session_set_stream_user_data(session, id, NULL); /* it exists */
        ht_h2_offer_later(&stream->h2);
    } else {
        end_stream(stream, why);
    }
    return 0;
}

/* A head longer than nghttp2 sends. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (frame->hd.type == NGHTTP2_HEADERS && stream != NULL)
        reset_stream(stream, NGHTTP2_INTERNAL_ERROR, HT_CLOSE_ABORTED);
    return 0;
}

static bool is_provoked(uint32_t code)
{
    return code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL && code != NGHTTP2_INTERNAL_ERROR &&
           code != NGHTTP2_REFUSED_STREAM;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct server *server = server_of_h2(user_data);
    struct stream *stream;

    if (frame->hd.type == NGHTTP2_RST_STREAM && is_provoked(frame->rst_stream.error_code))
        (void)ht_h2_glitch(&server->h2, HT_H2_RESET_BY_US); /* looked at after the flush */
    if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    /* The answer is whole, the rest of the request is not wanted. */
    if (nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) != 0)
        return 0;
    stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream != NULL && stream->x.is_tunnel)
        return 0;
    if (stream != NULL) {
        ht_h2_finished_one(&server->h2);
        end_stream(stream, HT_CLOSE_DONE);
    }
    answer_is_out(server, frame->hd.stream_id);
    return 0;
}

/* ---- the response's way out: exchange verbs ---- */

static void x_info(struct ht_exchange *x, unsigned status, const struct ht_headers *headers)
{
    struct stream *stream = stream_of(x);
    struct ht_h2 *h2 = stream->h2.h2;
    nghttp2_nv nv[MAX_NV];
    size_t num = 1;

    if (stream->is_ended || x->is_head_sent || status < 100 || status > 199 || status == 101)
        return;
    if (headers != NULL && headers->num > MAX_NV - 1)
        return; /* an interim answer may be left out */
    nv[0] = ht_h2_nv(SLICE(":status"), ht_h2_decimal(&x->pool, status));
    num = ht_h2_add_fields(nv, num, NULL, headers);
    for (size_t i = 0; i < num; i++)
        nv[i].flags = NGHTTP2_NV_FLAG_NONE; /* copied: it may wait longer than the exchange lives */
    (void)nghttp2_submit_headers(h2->session, NGHTTP2_FLAG_NONE, stream->h2.id, NULL, nv, num, NULL);
    ht_h2_flush_later(h2);
}

static void x_resume(struct ht_exchange *x)
{
    struct stream *stream = stream_of(x);

    if (stream->is_ended)
        return;
    if (!x->wants_body && x->expects_continue && !x->is_head_sent && x->has_body && x->body_bytes_in == 0)
        x_info(x, 100, NULL);
    x->wants_body = 1;
    stream->h2.is_in_paused = 0;
    stream->h2.in_moved_ms = now_ms(stream->server);
    if (stream->h2.in.len != 0 || stream->h2.is_remote_done)
        ht_h2_offer_later(&stream->h2);
    if (!x->is_head_sent && !stream->h2.is_remote_done)
        wake_after(stream->server, x->conn->limits->body_idle_timeout_ms);
}

static size_t count_fields(const struct ht_headers *headers)
{
    return headers != NULL ? headers->num : 0;
}

/* ":status", the fields, "date" and "content-length" where they are missing. */
static void build_head(struct stream *stream, unsigned status, const struct ht_headers *headers)
{
    struct ht_exchange *x = &stream->x;
    nghttp2_nv *nv = h2o_mem_alloc_pool(&x->pool, sizeof(*nv) * (count_fields(headers) + 3));
    size_t num = 0;

    if (status == 200)
        nv[num++] = ht_h2_nv(SLICE(":status"), SLICE("200"));
    else
        nv[num++] = ht_h2_nv(SLICE(":status"), ht_h2_decimal(&x->pool, status));
    if (headers == NULL || ht_headers_find_token(headers, H2O_TOKEN_DATE) == NULL)
        nv[num++] = ht_h2_nv(SLICE("date"), ht_pool_dup(&x->pool, ht_date(x->conn->io.worker)));
    num = ht_h2_add_fields(nv, num, &x->pool, headers);
    if (stream->response_length >= 0 && !x->is_tunnel && status != 204)
        nv[num++] =
            ht_h2_nv(SLICE("content-length"), ht_h2_decimal(&x->pool, (uint64_t)stream->response_length));
    stream->head_nv = nv;
    stream->num_head_nv = num;
}

/* "sec-websocket-accept" answers a key that RFC 8441 clients never sent. */
static void drop_handshake_fields(struct stream *stream)
{
    static const struct slice accept = SLICE("sec-websocket-accept");
    size_t kept = 0;

    for (size_t i = 0; i < stream->num_head_nv; i++) {
        nghttp2_nv nv = stream->head_nv[i];
        if (!slice_eq(slice_make((const char *)nv.name, nv.namelen), accept))
            stream->head_nv[kept++] = nv;
    }
    stream->num_head_nv = kept;
}

static void x_head(struct ht_exchange *x, unsigned status, const struct ht_headers *headers,
                   int64_t content_length)
{
    struct stream *stream = stream_of(x);

    if (stream->is_ended || x->is_head_sent)
        return;
    x->is_tunnel = stream->is_connect && (status == 101 || status / 100 == 2);
    if (status == 101)
        status = 200;
    x->is_head_sent = 1;
    x->status = status;
    stream->response_length = content_length;
    stream->is_bodyless = slice_eq(x->method, SLICE("HEAD")) || status == 204 || status == 304;
    build_head(stream, status, headers);
    if (x->is_tunnel) {
        drop_handshake_fields(stream);
        if (stream->h2.in.len != 0 || stream->h2.is_remote_done)
            ht_h2_offer_later(&stream->h2);
    }
    ht_h2_submit_later(&stream->h2);
}

/* In the flush, when it is known whether a body follows: an empty answer is one frame. */
static void submit_head(struct ht_h2_stream *h2)
{
    struct stream *stream = stream_of_h2(h2);
    nghttp2_data_provider provider = ht_h2_provider(h2);
    bool is_whole = h2->is_out_ended && h2->out.len == 0 && h2->num_trailers == 0;

    stream->is_head_submitted = 1;
    if (nghttp2_submit_response(h2->h2->session, h2->id, stream->head_nv, stream->num_head_nv,
                                is_whole ? NULL : &provider) != 0)
        reset_stream(stream, NGHTTP2_INTERNAL_ERROR, HT_CLOSE_ABORTED);
}

static void x_abort(struct ht_exchange *x, uint32_t h2_code)
{
    reset_stream(stream_of(x), h2_code != 0 ? h2_code : NGHTTP2_INTERNAL_ERROR, HT_CLOSE_ABORTED);
}

static bool x_body(struct ht_exchange *x, const struct iovec *iov, int num)
{
    struct stream *stream = stream_of(x);

    if (stream->is_ended || x->is_ended || stream->is_bodyless)
        return true;
    for (int i = 0; i < num; i++)
        x->body_bytes_out += iov[i].iov_len;
    if (stream->response_length >= 0 && !x->is_tunnel &&
        x->body_bytes_out > (uint64_t)stream->response_length) {
        x_abort(x, 0);
        return true;
    }
    return ht_h2_send(&stream->h2, iov, num);
}

static void x_end(struct ht_exchange *x, const struct ht_headers *trailers)
{
    struct stream *stream = stream_of(x);
    nghttp2_nv *nv = NULL;
    size_t num = 0;

    if (stream->is_ended || x->is_ended)
        return;
    if (!x->is_head_sent || (stream->response_length >= 0 && !stream->is_bodyless && !x->is_tunnel &&
                             x->body_bytes_out != (uint64_t)stream->response_length)) {
        x_abort(x, 0);
        return;
    }
    x->is_ended = 1;
    plan_rest(stream);
    if (count_fields(trailers) != 0 && !stream->is_bodyless) {
        nv = h2o_mem_alloc_pool(&x->pool, sizeof(*nv) * trailers->num);
        num = ht_h2_add_fields(nv, 0, &x->pool, trailers);
    }
    ht_h2_send_end(&stream->h2, nv, num);
}

static const struct ht_exchange_ops exchange_ops = {x_info, x_head, x_body, x_end, x_abort, x_resume};

static void tell_writable(struct ht_h2_stream *h2)
{
    struct stream *stream = stream_of_h2(h2);

    stream->x.handler->on_writable(&stream->x);
}

/* ---- drain ---- */

static void send_final_goaway(struct server *server)
{
    nghttp2_session *session = server->h2.session;

    if (server->is_goaway_final)
        return;
    server->is_goaway_final = 1;
    (void)nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session),
                                NGHTTP2_NO_ERROR, NULL, 0);
    ht_h2_flush_later(&server->h2);
}

static void start_drain(struct server *server)
{
    if (server->drain_ms != 0 || server->is_closing || server->h2.is_closed)
        return;
    server->conn->is_draining = true;
    server->drain_ms = now_ms(server);
    (void)check_rests(server, true);
    (void)nghttp2_submit_shutdown_notice(server->h2.session);
    (void)nghttp2_submit_ping(server->h2.session, NGHTTP2_FLAG_NONE, NULL);
    wake_after(server, DRAIN_WAIT_MS);
    ht_h2_flush_later(&server->h2);
}

/* ---- timeouts ---- */

/* When this stream must have moved, or UINT64_MAX. */
static uint64_t stream_deadline(const struct stream *stream, enum ht_close *ret_why)
{
    const struct ht_limits *limits = stream->server->conn->limits;
    const struct ht_exchange *x = &stream->x;

    *ret_why = HT_CLOSE_TIMEOUT_WRITE;
    if (stream->h2.out.len != 0 && limits->write_idle_timeout_ms != 0)
        return stream->h2.out_moved_ms + limits->write_idle_timeout_ms;
    *ret_why = HT_CLOSE_TIMEOUT_BODY;
    /* Once an answer has begun, a silent request is a long-lived stream (gRPC, a tunnel), not a slow body. */
    if (x->wants_body && !x->is_head_sent && !stream->h2.is_remote_done && stream->h2.in.len == 0 &&
        !stream->is_connect && limits->body_idle_timeout_ms != 0)
        return stream->h2.in_moved_ms + limits->body_idle_timeout_ms;
    return UINT64_MAX;
}

static uint64_t check_streams(struct server *server)
{
    uint64_t next = UINT64_MAX;

    LIST_FOR_SAFE(stream, &server->streams, struct stream, link)
    {
        enum ht_close why;
        uint64_t deadline = stream_deadline(stream, &why);
        if (deadline <= now_ms(server))
            give_up(stream, 408, why);
        else
            next = MIN(next, deadline);
    }
    return next;
}

static uint64_t after(uint64_t since_ms, uint32_t timeout_ms)
{
    return timeout_ms != 0 ? since_ms + timeout_ms : UINT64_MAX;
}

/* When the connection as a whole must have moved. */
static uint64_t conn_deadline(const struct server *server)
{
    const struct ht_limits *limits = server->conn->limits;

    if (server->h2.is_blocked)
        return after(server->conn->io.last_progress_ms, limits->write_idle_timeout_ms);
    if (!server->has_settings)
        return after(server->adopted_ms, limits->handshake_timeout_ms);
    if (is_in_head(server))
        return after(server->head_ms, limits->head_timeout_ms);
    return server->conn->num_active == 0 ? after(server->idle_ms, limits->idle_timeout_ms) : UINT64_MAX;
}

static void on_timer(struct timer *timer)
{
    struct server *server = CONTAINER_OF(timer, struct server, timer);
    uint64_t next, now = now_ms(server), deadline = conn_deadline(server);

    if (server->is_closing || (server->h2.is_blocked && deadline <= now)) {
        close_now(server, HT_CLOSE_TIMEOUT_WRITE);
        return;
    }
    if (deadline <= now) {
        terminate(server, NGHTTP2_NO_ERROR);
        return;
    }
    next = MIN(check_streams(server), deadline);
    next = MIN(check_rests(server, false), next);
    if (server->drain_ms != 0 && !server->is_goaway_final) {
        if (now - server->drain_ms >= DRAIN_WAIT_MS)
            send_final_goaway(server);
        else
            next = MIN(next, server->drain_ms + DRAIN_WAIT_MS);
    }
    wake_by(server, next);
}

/* ---- the connection's events ---- */

static void session_failed(struct server *server, int error)
{
    if (server->h2.flood != NULL)
        calm(server, server->h2.flood);
    else if (error == NGHTTP2_ERR_FLOODED || error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        calm(server, "flood of frames");
    else if (error == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        close_now(server, HT_CLOSE_PROTOCOL);
    else
        terminate(server, NGHTTP2_INTERNAL_ERROR);
}

static void feed(struct server *server, const char *bytes, size_t len)
{
    ssize_t used;

    if (server->is_closing || server->h2.is_closed)
        return;
    used = nghttp2_session_mem_recv(server->h2.session, (const uint8_t *)bytes, len);
    server->peer_reset_id = 0;
    if (used < 0 && !server->h2.is_closed)
        session_failed(server, (int)used);
    hand_over(server);
    if (server->h2.is_closed)
        return;
    if (is_in_head(server))
        wake_by(server, after(server->head_ms, server->conn->limits->head_timeout_ms));
    ht_h2_check_backlog(&server->h2);
    ht_h2_flush_later(&server->h2);
}

static size_t on_read(struct net_io *io, const char *bytes, size_t len)
{
    feed(server_of_io(io), bytes, len);
    return len;
}

static void on_eof(struct net_io *io)
{
    close_now(server_of_io(io), HT_CLOSE_PEER_RESET);
}

static void on_error(struct net_io *io, const char *why)
{
    close_now(server_of_io(io), HT_CLOSE_PEER_RESET);
}

static void on_writable(struct net_io *io)
{
    ht_h2_unblocked(&server_of_io(io)->h2);
}

static const struct net_io_ops io_ops = {on_read, on_eof, on_writable, on_error, NULL};

static void send_failed(struct ht_h2 *h2, int error)
{
    close_now(server_of_h2(h2), HT_CLOSE_PROTOCOL);
}

/* Streams that could not send all they have: from now on the peer is on the clock. */
static void watch_output(struct server *server)
{
    if (server->h2.out_total != 0 || server->h2.is_blocked)
        wake_after(server, server->conn->limits->write_idle_timeout_ms);
}

static void after_flush(struct ht_h2 *h2)
{
    struct server *server = server_of_h2(h2);

    if (h2->flood != NULL)
        calm(server, h2->flood);
    reap(server);
    if (!h2->is_closed && nghttp2_session_want_read(h2->session) == 0 &&
        nghttp2_session_want_write(h2->session) == 0)
        close_politely(server);
    if (!h2->is_closed)
        watch_output(server);
    if (server->is_io_closed && server->conn->num_active == 0)
        ht_server_conn_finish(server->conn);
}

static const struct ht_h2_ops h2_ops = {tell_writable, offer_waiting, submit_head, after_flush, send_failed};

/* ---- engine ---- */

static nghttp2_session_callbacks *callbacks;

static void make_callbacks(void)
{
    callbacks = ht_h2_callbacks_new();
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
}

static void open_session(struct server *server)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct ht_limits *limits = server->conn->limits;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX(limits->max_concurrent_streams, 1u)},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->max_head_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };

    (void)pthread_once(&once, make_callbacks); /* cannot fail with these arguments */
    if (nghttp2_session_server_new2(&server->h2.session, callbacks, &server->h2, ht_h2_options()) != 0 ||
        nghttp2_submit_settings(server->h2.session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) != 0 ||
        nghttp2_session_set_local_window_size(server->h2.session, NGHTTP2_FLAG_NONE, 0, HT_CONN_WINDOW) != 0)
        abort(); /* out of memory */
}

static size_t adopt(struct ht_server_conn *conn, const char *bytes, size_t len)
{
    struct server *server = xcalloc(1, sizeof(*server));

    server->conn = conn;
    conn->engine_data = server;
    list_init(&server->streams);
    list_init(&server->ready);
    list_init(&server->dead);
    list_init(&server->rests);
    timer_init(&server->timer, on_timer);
    ht_h2_init(&server->h2, &h2_ops, &conn->io);
    server->adopted_ms = server->idle_ms = now_ms(server);
    open_session(server);
    conn->io.ops = &io_ops;
    wake_after(server, conn->limits->handshake_timeout_ms);
    wake_after(server, conn->limits->idle_timeout_ms);
    feed(server, bytes, len);
    return len;
}

static void engine_drain(struct ht_server_conn *conn)
{
    start_drain(server_of(conn));
}

static void engine_close(struct ht_server_conn *conn)
{
    close_now(server_of(conn), HT_CLOSE_PEER_RESET);
}

static void dispose(struct ht_server_conn *conn)
{
    struct server *server = server_of(conn);

    timer_stop(&server->timer);
    while (!list_is_empty(&server->rests))
        rest_free(LIST_FIRST(&server->rests, struct rest, link));
    ht_h2_clear(&server->h2);
    free(server);
}

const struct ht_server_engine ht_http2_server = {adopt, engine_drain, engine_close, dispose};

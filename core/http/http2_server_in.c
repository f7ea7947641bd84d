/* What nghttp2 hears from the client, made into exchanges.
 *
 * Complete heads wait until the read is over: a stream that is reset in the very read that opened it never
 * reaches a handler, so rapid reset buys no work. */
#include "core/http/http2_server.h"

#include <assert.h>

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
        ht2s_end(stream, HT_CLOSE_DONE);
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
    stream->h2.in_moved_ms = ht2s_now_ms(stream->server);
    ht_h2_consumed(&stream->h2, taken);
    return taken;
}

void ht2s_offer_waiting(struct ht_h2_stream *h2)
{
    struct stream *stream = ht2s_stream_of_h2(h2);

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
    struct server *server = ht2s_of_h2(user_data);
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    size_t taken = 0;

    (void)nghttp2_session_consume_connection(session, len); /* fails only with a session that fails anyway */
    if (stream == NULL) {
        if (ht2s_is_swallowed(server, id)) /* the rest of what is answered */
            (void)nghttp2_session_consume_stream(session, id, len);
        return 0;
    }
    stream->x.body_bytes_in += len;
    stream->h2.in_moved_ms = ht2s_now_ms(server);
    if (is_too_large(stream)) {
        ht2s_give_up(stream, 413, HT_CLOSE_TOO_LARGE);
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

    ht2s_report(server, verdict == HT_H2_ANSWER ? head->status : 400, head->detail, stream->x.target);
    if (verdict == HT_H2_ANSWER) {
        ht2s_answer_plainly(stream, head->status);
        ht2s_end(stream, HT_CLOSE_PROTOCOL);
    } else {
        ht2s_reset(stream, NGHTTP2_PROTOCOL_ERROR, HT_CLOSE_PROTOCOL);
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
void ht2s_hand_over(struct server *server)
{
    while (!list_is_empty(&server->ready)) {
        struct stream *stream = LIST_FIRST(&server->ready, struct stream, link);
        list_remove(&stream->link);
        list_push(&server->streams, &stream->link);
        stream->was_requested = 1;
        ht2s_wake_after(server, server->conn->limits->stream_idle_timeout_ms);
        if (stream->x.has_body)
            ht2s_wake_after(server, server->conn->limits->request_timeout_ms);
        stream->x.handler->on_request(&stream->x);
    }
}

static bool is_overloaded(const struct server *server)
{
    const struct ht_server_conn *conn = server->conn;

    return conn->num_active >= MAX(conn->limits->max_concurrent_streams, 1u) ||
           net_mem_level(conn->io.worker) != NET_MEM_OK;
}

static struct stream *stream_new(struct server *server, int32_t id)
{
    struct stream *stream = ht_h2_stream_alloc();

    h2o_mem_init_pool(&stream->x.pool);
    ht_exchange_init(&stream->x, server->conn, &ht2s_exchange_ops);
    memset((char *)stream + sizeof(stream->x), 0, sizeof(*stream) - sizeof(stream->x));
    stream->x.id = (uint64_t)id;
    stream->x.version = HT_HTTP2;
    ht_h2_stream_init(&stream->h2, &server->h2, id);
    stream->h2.is_window_raised = server->conn->limits->stream_window != 0; /* it is what was asked for */
    stream->server = server;
    list_init(&stream->link);
    list_push(&server->streams, &stream->link);
    return stream;
}

/* nghttp2 counts a stream as closed when it is for the client; our own count goes down when the handler is
 * done with it, and that is the one which bounds the work behind us. */
static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct server *server = ht2s_of_h2(user_data);
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
        ht2s_start_drain(server);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user_data)
{
    struct server *server = ht2s_of_h2(user_data);
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
        ht2s_reset(stream, NGHTTP2_PROTOCOL_ERROR, HT_CLOSE_PROTOCOL);
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

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct server *server = ht2s_of_h2(user_data);
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
        if (ht_h2_glitch_data(&server->h2, frame))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
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
            ht2s_send_final_goaway(server);
        return 0;
    default:
        return 0;
    }
}

/* RFC 9113 5.1.1: who opens a stream closes the ones left out below it. nghttp2 takes a head that comes for one of those
 * for the trailers of a stream gone by, and passes over it. */
static void check_id(struct server *server, int32_t id)
{
    if (id > server->last_id) {
        if (id > server->last_id + 2) {
            server->skipped_from = server->last_id + 1;
            server->skipped_to = id;
        }
        server->last_id = id;
    } else if (UNLIKELY(id >= server->skipped_from && id < server->skipped_to)) {
        (void)nghttp2_session_terminate_session(server->h2.session, NGHTTP2_PROTOCOL_ERROR); /* memory only: would abort */
    }
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user_data)
{
    struct server *server = ht2s_of_h2(user_data);

    if (hd->type == NGHTTP2_HEADERS) {
        server->head_ms = ht2s_now_ms(server);
        check_id(server, hd->stream_id);
    }
    server->expects_continuation = (hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_CONTINUATION) &&
                                   (hd->flags & NGHTTP2_FLAG_END_HEADERS) == 0;
    return UNLIKELY(ht_h2_glitch_frame(&server->h2, hd)) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    struct server *server = ht2s_of_h2(user_data);

    /* Malformed fields: nobody else hears of this stream. Refused streams reset too cheaply to go uncounted.
     */
    if (frame->hd.type == NGHTTP2_HEADERS &&
        (error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING))
        ht2s_report(server, 400, "malformed request head", slice_make(NULL, 0));
    if (error == NGHTTP2_ERR_REFUSED_STREAM && ht_h2_glitch(&server->h2, HT_H2_RESET_BY_US))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    struct server *server = ht2s_of_h2(user_data);
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    enum ht_close why = HT_CLOSE_PROTOCOL;

    ht2s_forget_rest(server, id);
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
        ht2s_end(stream, why);
    }
    return 0;
}

/* A head longer than nghttp2 sends. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (frame->hd.type == NGHTTP2_HEADERS && stream != NULL)
        ht2s_reset(stream, NGHTTP2_INTERNAL_ERROR, HT_CLOSE_ABORTED);
    return 0;
}

static bool is_provoked(uint32_t code)
{
    return code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL && code != NGHTTP2_INTERNAL_ERROR &&
           code != NGHTTP2_REFUSED_STREAM;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct server *server = ht2s_of_h2(user_data);
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
        ht2s_end(stream, HT_CLOSE_DONE);
    }
    ht2s_answer_is_out(server, frame->hd.stream_id);
    return 0;
}

void ht2s_set_callbacks(nghttp2_session_callbacks *callbacks)
{
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

/* What nghttp2 hears from the upstream, made into the callbacks of calls. */
#include "core/http/http2_client.h"

#include <assert.h>

enum {
    FIELD_OVERHEAD = 32, /* RFC 9113 6.5.2 */
    MAX_INFOS = 16, /* interim answers */
    MAX_TRAILER_BYTES = 8 * 1024,
};

/* ---- the answer's way in ---- */

/* RFC 9113 8.1: a whole answer may come before the request is whole; the rest of that is then stopped. */
static void finish_call(struct stream *stream)
{
    struct ht_call *call = stream->call;

    if (stream->is_submitted &&
        nghttp2_session_get_stream_local_close(stream->h2.h2->session, stream->h2.id) != 1)
        ht2c_reset(stream, NGHTTP2_NO_ERROR);
    ht_h2_finished_one(&stream->client->h2);
    call = ht2c_let_go(stream);
    call->ops->on_end(call);
}

static bool may_offer(const struct stream *stream)
{
    return stream->call != NULL && !stream->h2.is_in_paused;
}

/* Returns what the receiver took. */
static size_t offer(struct stream *stream, const char *bytes, size_t len)
{
    size_t taken = stream->call->ops->on_body(stream->call, bytes, len);

    assert(taken <= len);
    if (stream->call == NULL)
        return len;
    if (taken < len || stream->call->is_held)
        stream->h2.is_in_paused = 1;
    ht_h2_consumed(&stream->h2, taken);
    return taken;
}

void ht2c_offer_waiting(struct ht_h2_stream *h2)
{
    struct stream *stream = ht2c_stream_of_h2(h2);

    while (h2->in.len != 0 && may_offer(stream)) {
        struct slice run = ht_h2_queue_peek(&h2->in);
        size_t taken = offer(stream, run.base, run.len);
        if (stream->call == NULL)
            return;
        ht_h2_queue_drop(&h2->in, h2->h2->worker, taken);
    }
    if (stream->call != NULL && h2->in.len == 0 && h2->is_remote_done)
        finish_call(stream);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                   void *user_data)
{
    struct client *client = ht2c_of_h2(user_data);
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    size_t taken = 0;

    (void)nghttp2_session_consume_connection(session, len); /* fails only with a session that fails anyway */
    if (stream == NULL)
        return 0;
    stream->body_bytes += len;
    if (!stream->call->had_response) { /* nghttp2 lets DATA pass where only a head may stand after 1xx, not
                                          before any */
        ht2c_reject(stream, HT_FAIL_PROTOCOL, "DATA before a response head");
        return 0;
    }
    if (stream->h2.in.len == 0 && may_offer(stream))
        taken = offer(stream, (const char *)bytes, len);
    if (stream->call != NULL && taken < len)
        ht_h2_queue_add(&stream->h2.in, client->h2.worker, bytes + taken, len - taken);
    return 0;
}

static void remote_done(struct stream *stream)
{
    stream->h2.is_remote_done = 1;
    if (stream->h2.in.len == 0)
        finish_call(stream);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client *client = ht2c_of_h2(user_data);
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    client->decoding = stream;
    if (stream == NULL)
        return 0;
    stream->is_trailer = stream->call->had_response;
    stream->head_bytes = 0;
    stream->fields = (struct ht_headers){NULL, 0, 0};
    stream->content_length = -1;
    return 0;
}

static void status_field(struct stream *stream, struct slice text)
{
    if (text.len == 3 && text.base[0] >= '1' && text.base[0] <= '9')
        stream->status = (unsigned)ht_h2_parse_decimal(text);
    else
        stream->status = 0;
}

static void keep_field(struct stream *stream, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    struct ht_call *call = stream->call;
    struct ht_header *header = ht_h2_receive_field(call->pool, &stream->fields, name, value);

    if (header->token == H2O_TOKEN_CONTENT_LENGTH && !stream->is_trailer)
        stream->content_length = ht_h2_parse_decimal(header->value);
    if (header->token == H2O_TOKEN_CONTENT_LENGTH || ht_is_hop_field(header) ||
        (stream->is_trailer && ht_is_forbidden_trailer(header)))
        --stream->fields.num;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user_data)
{
    struct client *client = ht2c_of_h2(user_data);
    struct stream *stream = client->decoding;
    struct slice key = ht_h2_rcbuf(name), text = ht_h2_rcbuf(value);

    if (stream == NULL)
        return 0;
    stream->head_bytes += (uint32_t)(key.len + text.len) + FIELD_OVERHEAD;
    if (stream->head_bytes > (stream->is_trailer ? MAX_TRAILER_BYTES : client->conn->max_head_bytes)) {
        ht2c_reject(stream, HT_FAIL_TOO_LARGE, "response head over the limit");
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (key.base[0] == ':')
        status_field(stream, text);
    else
        keep_field(stream, name, value);
    return 0;
}

static void info_complete(struct stream *stream)
{
    struct ht_call *call = stream->call;

    if (++stream->num_infos > MAX_INFOS) {
        ht2c_reject(stream, HT_FAIL_PROTOCOL, "more than 16 interim responses");
        return;
    }
    if (call->ops->on_info != NULL)
        call->ops->on_info(call, stream->status, &stream->fields);
}

static void head_complete(struct stream *stream)
{
    struct ht_call *call = stream->call;
    bool is_connect = call->upgrade.len != 0 || slice_eq(call->method, SLICE("CONNECT"));

    if (stream->status < 200 && stream->status >= 100) {
        info_complete(stream);
        return;
    }
    if (stream->status == 0) {
        ht2c_reject(stream, HT_FAIL_PROTOCOL, "malformed :status");
        return;
    }
    call->had_response = 1;
    call->is_tunnel = is_connect && stream->status / 100 == 2;
    call->status = call->is_tunnel && call->upgrade.len != 0 ? 101 : stream->status;
    call->version = HT_HTTP2;
    call->headers = stream->fields;
    call->response_length = call->is_tunnel ? -1 : stream->content_length;
    call->ops->on_head(call);
}

static int headers_frame(struct client *client, bool is_end)
{
    struct stream *stream = client->decoding;

    client->decoding = NULL;
    if (stream == NULL)
        return 0;
    if (stream->is_trailer)
        stream->call->trailers = stream->fields;
    else
        head_complete(stream);
    if (is_end && stream->call != NULL)
        remote_done(stream);
    return 0;
}

static void settings_frame(struct client *client)
{
    nghttp2_session *session = client->h2.session;

    client->has_settings = 1;
    client->peer_max_streams =
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    client->allows_connect =
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
    ht2c_update_capacity(client);
    ht2c_available_later(client);
    ht2c_submit_waiting(client);
}

static void goaway_frame(struct client *client, uint32_t code)
{
    bool is_quiet = code == NGHTTP2_NO_ERROR;

    ht_client_conn_gone(client->conn, is_quiet ? HT_FAIL_REFUSED : HT_FAIL_RESET,
                        is_quiet ? "the upstream is going away (GOAWAY)"
                                 : "the upstream gave up (GOAWAY with an error)");
    while (!list_is_empty(&client->waiting))
        ht2c_fail(LIST_FIRST(&client->waiting, struct stream, link), HT_FAIL_REFUSED,
                  "the upstream is going away (GOAWAY)");
    if (client->conn->num_active == 0)
        ht2c_close_idle(client);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client *client = ht2c_of_h2(user_data);
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct stream *stream;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        return headers_frame(client, is_end);
    case NGHTTP2_DATA:
        if (ht_h2_glitch_data(&client->h2, frame))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        stream = is_end ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
        if (stream != NULL)
            remote_done(stream);
        return 0;
    case NGHTTP2_RST_STREAM:
        client->peer_reset_id = frame->hd.stream_id;
        return 0;
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
            settings_frame(client);
        return 0;
    case NGHTTP2_GOAWAY:
        goaway_frame(client, frame->goaway.error_code);
        return 0;
    default:
        return 0;
    }
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user_data)
{
    struct client *client = ht2c_of_h2(user_data);

    return UNLIKELY(ht_h2_glitch_frame(&client->h2, hd)) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (stream != NULL && (error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING))
        ht2c_reject(stream, HT_FAIL_PROTOCOL, "malformed response");
    return 0;
}

/* What a closed stream means for its call, when neither side completed it. */
static void stream_lost(struct stream *stream, uint32_t code, bool is_by_peer)
{
    /* nghttp2 took the end of the stream and found it too early; a body too long is reset before its end. */
    bool is_short = stream->call->had_response && stream->content_length > (int64_t)stream->body_bytes &&
                    nghttp2_session_get_stream_remote_close(stream->h2.h2->session, stream->h2.id) == 1;

    if (code == NGHTTP2_REFUSED_STREAM)
        ht2c_fail(stream, HT_FAIL_REFUSED, "the upstream refused the stream");
    else if (code == NGHTTP2_HTTP_1_1_REQUIRED)
        ht2c_fail(stream, HT_FAIL_PROTOCOL, "the upstream requires HTTP/1.1");
    else if (is_by_peer)
        ht2c_fail(stream, HT_FAIL_RESET, "the upstream reset the stream");
    else if (is_short)
        ht2c_fail(stream, HT_FAIL_CLOSED_EARLY, "response body shorter than announced");
    else
        ht2c_fail(stream, HT_FAIL_PROTOCOL, "malformed response");
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    struct client *client = ht2c_of_h2(user_data);
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);

    if (stream == NULL)
        return 0;
    /* The answer is whole, its receiver has not taken all of it yet: the call lives on without the stream. */
    if (stream->h2.is_remote_done && (id != client->peer_reset_id || code == NGHTTP2_NO_ERROR)) {
        (void)nghttp2_session_set_stream_user_data(session, id, NULL); /* it exists */
        stream->is_submitted = 0;
        return 0;
    }
    stream_lost(stream, code, id == client->peer_reset_id);
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client *client = ht2c_of_h2(user_data);
    struct stream *stream;

    if (frame->hd.type == NGHTTP2_HEADERS) {
        stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (stream != NULL)
            stream->is_sent = 1;
    } else if (frame->hd.type == NGHTTP2_RST_STREAM &&
               frame->rst_stream.error_code == NGHTTP2_PROTOCOL_ERROR) {
        (void)ht_h2_glitch(&client->h2, HT_H2_RESET_BY_US); /* looked at after the flush */
    }
    return 0;
}

void ht2c_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
}

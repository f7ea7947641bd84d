/* HTTP/2, client side: connections to upstreams, many calls on each.
 *
 * Happy path: adopt -> start() submits the request -> the turn sends it -> on_head, on_body …, on_end; a
 * stream that closes makes room for the next call (on_available). Failure: a stream's error fails its call; a
 * GOAWAY takes the connection out of its pool (on_gone) and fails the calls the upstream says it never saw as
 * unsent; a dead connection fails all. Shutdown: who lets go of the last call of a gone connection closes the
 * io. A call is detached from nghttp2's stream the moment it is decided; the stream's memory goes in the
 * turn. */
#include "core/http/http2_common.h"

#include "core/http/chars.h"

#include <assert.h>
#include <pthread.h>

enum {
    FIELD_OVERHEAD = 32, /* RFC 9113 6.5.2 */
    MAX_INFOS = 16, /* interim answers */
    MAX_TRAILER_BYTES = 8 * 1024,
    UNKNOWN_PEER_STREAMS = 100, /* until its SETTINGS come: RFC 9113 6.5.2 recommends no less */
    LAST_STREAM_IDS = 1000, /* so near to 2^31 the connection is used up */
    MAX_NV = 128, /* field lines built on the stack */
    LINGER_MS = 500,
    PING_WAIT_MS = 10 * 1000,
};

struct client {
    struct ht_h2 h2;
    struct ht_client_conn *conn; /* borrowed: it owns us */
    struct list streams, dead; /* of struct stream.link */
    struct list waiting; /* extended CONNECT before the peer's SETTINGS */
    struct stream *decoding; /* whose header block is being read */
    int32_t peer_reset_id; /* RST_STREAM being handled */
    uint32_t peer_max_streams;
    unsigned has_settings : 1, allows_connect : 1, is_closing : 1 /* a last GOAWAY is queued */,
        is_io_closed : 1, wants_available : 1;
    struct timer timer; /* while closing: the last GOAWAY must be out by then; before: keepalive */
    uint64_t read_ms, ping_ms; /* of the last bytes; 0, or of a PING without an answer */
};

struct stream {
    struct ht_h2_stream h2;
    struct ht_call *call; /* borrowed; NULL once let go */
    struct client *client;
    struct list link;
    uint32_t head_bytes, num_infos;
    unsigned status;
    uint64_t body_bytes; /* received */
    struct ht_headers fields; /* of the block being decoded */
    int64_t content_length;
    const char *detail; /* why we reset it */
    enum ht_fail fail;
    unsigned is_rejected : 1 /* `fail` and `detail` say why */, is_trailer : 1, is_submitted : 1, is_sent : 1;
};
_Static_assert(sizeof(struct stream) <= HT_H2_STREAM_SIZE, "HT_H2_STREAM_SIZE is too small");

static struct client *client_of(struct ht_client_conn *conn)
{
    return conn->engine_data;
}

static struct client *client_of_io(struct net_io *io)
{
    return client_of(CONTAINER_OF(io, struct ht_client_conn, io));
}

static struct client *client_of_h2(struct ht_h2 *h2)
{
    return CONTAINER_OF(h2, struct client, h2);
}

static struct stream *stream_of_h2(struct ht_h2_stream *h2)
{
    return CONTAINER_OF(h2, struct stream, h2);
}

/* ---- room for calls ---- */

static void update_capacity(struct client *client)
{
    struct ht_client_conn *conn = client->conn;
    uint32_t max = MIN(conn->max_concurrent_streams, client->peer_max_streams);

    conn->capacity = conn->is_gone || max <= conn->num_active ? 0 : max - conn->num_active;
}

static void available_later(struct client *client)
{
    client->wants_available = 1;
    ht_h2_flush_later(&client->h2);
}

/* ---- ending the connection ---- */

static void on_lingered(struct net_io *io)
{
    struct client *client = client_of_io(io);

    client->is_io_closed = 1;
    ht_h2_flush_later(&client->h2);
}

static void close_now(struct client *client)
{
    client->h2.is_closed = 1;
    timer_stop(&client->timer);
    if (!client->is_io_closed)
        net_io_close(&client->conn->io);
    client->is_io_closed = 1;
    ht_h2_flush_later(&client->h2);
}

static void close_politely(struct client *client)
{
    if (client->h2.is_closed)
        return;
    client->h2.is_closed = 1;
    timer_stop(&client->timer);
    net_io_close_gracefully(&client->conn->io, LINGER_MS, on_lingered);
}

/* No call runs and none may start: GOAWAY, then close. */
static void close_idle(struct client *client)
{
    if (client->is_closing || client->h2.is_closed)
        return;
    client->is_closing = 1;
    (void)nghttp2_session_terminate_session(client->h2.session,
                                            NGHTTP2_NO_ERROR); /* memory only: would abort */
    timer_start(&client->h2.worker->timers, &client->timer, net_now_ms(client->h2.worker) + LINGER_MS);
    ht_h2_flush_later(&client->h2);
}

/* ---- ending calls ---- */

/* The stream is nobody's from here on. */
static void detach(struct stream *stream)
{
    struct client *client = stream->client;

    if (client->decoding == stream)
        client->decoding = NULL;
    if (stream->is_submitted && !client->h2.is_closed)
        (void)nghttp2_session_set_stream_user_data(client->h2.session, stream->h2.id,
                                                   NULL); /* may be closed */
    ht_h2_stream_detach(&stream->h2);
    list_remove(&stream->link);
    list_push(&client->dead, &stream->link);
    ht_h2_flush_later(&client->h2);
}

static struct ht_call *let_go(struct stream *stream)
{
    struct client *client = stream->client;
    struct ht_call *call = stream->call;
    bool is_last;

    detach(stream);
    stream->call = NULL;
    is_last = ht_call_let_go(call);
    update_capacity(client);
    if (is_last)
        close_idle(client);
    else
        available_later(client);
    return call;
}

static void reset(struct stream *stream, uint32_t code)
{
    struct client *client = stream->client;

    if (stream->is_submitted && !client->h2.is_closed)
        (void)nghttp2_submit_rst_stream(client->h2.session, NGHTTP2_FLAG_NONE, stream->h2.id, code);
}

static void fail_call(struct stream *stream, enum ht_fail fail, const char *detail)
{
    struct ht_call *call = stream->call;

    if (call == NULL)
        return;
    call->is_unsent = fail == HT_FAIL_REFUSED || !stream->is_sent;
    call = let_go(stream);
    call->ops->on_fail(call, fail, detail);
}

static void reject(struct stream *stream, enum ht_fail fail, const char *detail)
{
    if (stream->call == NULL)
        return;
    reset(stream, fail == HT_FAIL_TOO_LARGE ? NGHTTP2_CANCEL : NGHTTP2_PROTOCOL_ERROR);
    fail_call(stream, fail, detail);
}

static void fail_all(struct client *client, enum ht_fail fail, const char *detail)
{
    while (!list_is_empty(&client->waiting))
        fail_call(LIST_FIRST(&client->waiting, struct stream, link), fail, detail);
    while (!list_is_empty(&client->streams))
        fail_call(LIST_FIRST(&client->streams, struct stream, link), fail, detail);
}

static void lose(struct client *client, enum ht_fail fail, const char *detail)
{
    close_now(client);
    ht_client_conn_gone(client->conn, fail, detail);
    fail_all(client, fail, detail);
}

/* The upstream breaks the protocol: GOAWAY and nothing more. */
static void give_up(struct client *client, uint32_t code, const char *detail)
{
    if (client->is_closing || client->h2.is_closed)
        return;
    client->is_closing = 1;
    (void)nghttp2_session_terminate_session(client->h2.session, code); /* memory only: would abort */
    timer_start(&client->h2.worker->timers, &client->timer, net_now_ms(client->h2.worker) + LINGER_MS);
    ht_client_conn_gone(client->conn, HT_FAIL_PROTOCOL, detail);
    fail_all(client, HT_FAIL_PROTOCOL, detail);
    ht_h2_flush_later(&client->h2);
}

/* Keepalive: armed while calls run, moved on lazily, so that traffic costs no timer work. */
static void watch(struct client *client)
{
    uint32_t idle_ms = client->conn->ping_idle_ms;
    uint64_t deadline = client->ping_ms != 0 ? client->ping_ms + PING_WAIT_MS : client->read_ms + idle_ms;

    if (idle_ms == 0 || client->conn->num_active == 0 || client->is_closing || client->h2.is_closed)
        return;
    if (!timer_is_running(&client->timer))
        timer_start(&client->h2.worker->timers, &client->timer, deadline);
}

static void on_silence(struct client *client)
{
    uint64_t now = net_now_ms(client->h2.worker);

    if (client->ping_ms != 0 && now - client->ping_ms >= PING_WAIT_MS) {
        lose(client, HT_FAIL_RESET, "the upstream does not answer a PING");
        return;
    }
    if (client->ping_ms == 0 && client->conn->num_active != 0 &&
        now - client->read_ms >= client->conn->ping_idle_ms) {
        client->ping_ms = now;
        (void)nghttp2_submit_ping(client->h2.session, NGHTTP2_FLAG_NONE, NULL); /* memory only: would abort */
        ht_h2_flush_later(&client->h2);
    }
    watch(client);
}

static void on_timer(struct timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, timer);

    if (client->is_closing)
        close_now(client);
    else
        on_silence(client);
}

static void reap(struct client *client)
{
    while (!list_is_empty(&client->dead)) {
        struct stream *stream = LIST_FIRST(&client->dead, struct stream, link);
        list_remove(&stream->link);
        ht_h2_stream_clear(&stream->h2);
        ht_h2_free(stream);
    }
}

/* ---- the answer's way in ---- */

/* RFC 9113 8.1: a whole answer may come before the request is whole; the rest of that is then stopped. */
static void finish_call(struct stream *stream)
{
    struct ht_call *call = stream->call;

    if (stream->is_submitted &&
        nghttp2_session_get_stream_local_close(stream->h2.h2->session, stream->h2.id) != 1)
        reset(stream, NGHTTP2_NO_ERROR);
    ht_h2_finished_one(&stream->client->h2);
    call = let_go(stream);
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
    if (taken < len)
        stream->h2.is_in_paused = 1;
    ht_h2_consumed(&stream->h2, taken);
    return taken;
}

static void offer_waiting(struct ht_h2_stream *h2)
{
    struct stream *stream = stream_of_h2(h2);

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
    struct client *client = client_of_h2(user_data);
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    size_t taken = 0;

    (void)nghttp2_session_consume_connection(session, len); /* fails only with a session that fails anyway */
    if (stream == NULL)
        return 0;
    stream->body_bytes += len;
    if (!stream->call->had_response) { /* nghttp2 lets DATA pass where only a head may stand after 1xx, not
                                          before any */
        reject(stream, HT_FAIL_PROTOCOL, "DATA before a response head");
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
    struct client *client = client_of_h2(user_data);
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

static int64_t parse_decimal(struct slice text)
{
    int64_t value = 0;

    for (size_t i = 0; i < text.len; i++)
        value = value * 10 + (text.base[i] - '0'); /* nghttp2 has seen that these are digits and fit */
    return value;
}

static void status_field(struct stream *stream, struct slice text)
{
    if (text.len == 3 && text.base[0] >= '1' && text.base[0] <= '9')
        stream->status = (unsigned)parse_decimal(text);
    else
        stream->status = 0;
}

static void keep_field(struct stream *stream, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    struct ht_call *call = stream->call;
    struct ht_header *header = ht_h2_receive_field(call->pool, &stream->fields, name, value);

    if (header->token == H2O_TOKEN_CONTENT_LENGTH && !stream->is_trailer)
        stream->content_length = parse_decimal(header->value);
    if (header->token == H2O_TOKEN_CONTENT_LENGTH || ht_is_hop_field(header) ||
        (stream->is_trailer && ht_is_forbidden_trailer(header)))
        --stream->fields.num;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user_data)
{
    struct client *client = client_of_h2(user_data);
    struct stream *stream = client->decoding;
    struct slice key = ht_h2_rcbuf(name), text = ht_h2_rcbuf(value);

    if (stream == NULL)
        return 0;
    stream->head_bytes += (uint32_t)(key.len + text.len) + FIELD_OVERHEAD;
    if (stream->head_bytes > (stream->is_trailer ? MAX_TRAILER_BYTES : client->conn->max_head_bytes)) {
        reject(stream, HT_FAIL_TOO_LARGE, "response head over the limit");
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
        reject(stream, HT_FAIL_PROTOCOL, "more than 16 interim responses");
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
        reject(stream, HT_FAIL_PROTOCOL, "malformed :status");
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

static void submit_waiting(struct client *client);

static void settings_frame(struct client *client)
{
    nghttp2_session *session = client->h2.session;

    client->has_settings = 1;
    client->peer_max_streams =
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    client->allows_connect =
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
    update_capacity(client);
    available_later(client);
    submit_waiting(client);
}

static void goaway_frame(struct client *client, uint32_t code)
{
    bool is_quiet = code == NGHTTP2_NO_ERROR;

    ht_client_conn_gone(client->conn, is_quiet ? HT_FAIL_REFUSED : HT_FAIL_RESET,
                        is_quiet ? "the upstream is going away (GOAWAY)"
                                 : "the upstream gave up (GOAWAY with an error)");
    while (!list_is_empty(&client->waiting))
        fail_call(LIST_FIRST(&client->waiting, struct stream, link), HT_FAIL_REFUSED,
                  "the upstream is going away (GOAWAY)");
    if (client->conn->num_active == 0)
        close_idle(client);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct client *client = client_of_h2(user_data);
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct stream *stream;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        return headers_frame(client, is_end);
    case NGHTTP2_DATA:
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
    struct client *client = client_of_h2(user_data);

    return UNLIKELY(ht_h2_glitch_frame(&client->h2, hd)) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (stream != NULL && (error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING))
        reject(stream, HT_FAIL_PROTOCOL, "malformed response");
    return 0;
}

/* What a closed stream means for its call, when neither side completed it. */
static void stream_lost(struct stream *stream, uint32_t code, bool is_by_peer)
{
    /* nghttp2 took the end of the stream and found it too early; a body too long is reset before its end. */
    bool is_short = stream->call->had_response && stream->content_length > (int64_t)stream->body_bytes &&
                    nghttp2_session_get_stream_remote_close(stream->h2.h2->session, stream->h2.id) == 1;

    if (code == NGHTTP2_REFUSED_STREAM)
        fail_call(stream, HT_FAIL_REFUSED, "the upstream refused the stream");
    else if (code == NGHTTP2_HTTP_1_1_REQUIRED)
        fail_call(stream, HT_FAIL_PROTOCOL, "the upstream requires HTTP/1.1");
    else if (is_by_peer)
        fail_call(stream, HT_FAIL_RESET, "the upstream reset the stream");
    else if (is_short)
        fail_call(stream, HT_FAIL_CLOSED_EARLY, "response body shorter than announced");
    else
        fail_call(stream, HT_FAIL_PROTOCOL, "malformed response");
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    struct client *client = client_of_h2(user_data);
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
    struct client *client = client_of_h2(user_data);
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

/* ---- the request's way out ---- */

static size_t count_fields(const struct ht_headers *headers)
{
    return headers != NULL ? headers->num : 0;
}

/* RFC 8441 4: an extended CONNECT; "sec-websocket-key" has no meaning there. */
static size_t drop_handshake_fields(nghttp2_nv *nv, size_t num)
{
    static const struct slice key = SLICE("sec-websocket-key");
    size_t kept = 0;

    for (size_t i = 0; i < num; i++)
        if (!slice_eq(slice_make((const char *)nv[i].name, nv[i].namelen), key))
            nv[kept++] = nv[i];
    return kept;
}

static size_t pseudo_fields(const struct ht_call *call, nghttp2_nv *nv)
{
    bool is_extended = call->upgrade.len != 0;
    size_t num = 0;

    nv[num++] = ht_h2_nv(SLICE(":method"), is_extended ? SLICE("CONNECT") : call->method);
    if (is_extended)
        nv[num++] = ht_h2_nv(SLICE(":protocol"), call->upgrade);
    if (is_extended || !slice_eq(call->method, SLICE("CONNECT"))) {
        nv[num++] = ht_h2_nv(SLICE(":scheme"), call->scheme);
        nv[num++] = ht_h2_nv(SLICE(":path"), call->target);
    }
    if (call->authority.len != 0)
        nv[num++] = ht_h2_nv(SLICE(":authority"), call->authority);
    return num;
}

static bool has_open_body(const struct ht_call *call)
{
    return call->has_body || call->upgrade.len != 0 || slice_eq(call->method, SLICE("CONNECT"));
}

/* The fields stay where they are: they are the caller's until the call ends, and a request that ends before
 * it is sent is cancelled inside nghttp2 without another look at them. */
static void submit(struct ht_h2_stream *h2)
{
    struct stream *stream = stream_of_h2(h2);
    struct ht_call *call = stream->call;
    nghttp2_data_provider provider = ht_h2_provider(h2);
    nghttp2_nv on_stack[MAX_NV], *nv = on_stack;
    bool is_whole = !has_open_body(call) || (h2->is_out_ended && h2->out.len == 0 && h2->num_trailers == 0);
    size_t num;

    if (count_fields(call->request_headers) + 7 > MAX_NV)
        nv = h2o_mem_alloc_pool(call->pool, sizeof(*nv) * (count_fields(call->request_headers) + 7));
    num = ht_h2_add_fields(nv, pseudo_fields(call, nv), NULL, call->request_headers);
    if (call->upgrade.len != 0)
        num = drop_handshake_fields(nv, num);
    else if (call->expect_continue && call->has_body)
        nv[num++] = ht_h2_nv(SLICE("expect"), SLICE("100-continue"));
    if (call->has_body && call->request_length >= 0)
        nv[num++] =
            ht_h2_nv(SLICE("content-length"), ht_h2_decimal(call->pool, (uint64_t)call->request_length));
    h2->id = nghttp2_submit_request(h2->h2->session, NULL, nv, num, is_whole ? NULL : &provider, stream);
    if (h2->id < 0) {
        fail_call(stream, HT_FAIL_REFUSED, "the connection takes no more requests");
        return;
    }
    stream->is_submitted = 1;
    if (h2->id > INT32_MAX - LAST_STREAM_IDS)
        ht_client_conn_gone(stream->client->conn, HT_FAIL_REFUSED, "the connection is used up");
}

static void submit_waiting(struct client *client)
{
    while (!list_is_empty(&client->waiting)) {
        struct stream *stream = LIST_FIRST(&client->waiting, struct stream, link);
        list_remove(&stream->link);
        list_push(&client->streams, &stream->link);
        if (client->allows_connect)
            ht_h2_submit_later(&stream->h2);
        else
            fail_call(stream, HT_FAIL_PROTOCOL, "the upstream does not allow extended CONNECT (RFC 8441)");
    }
}

/* Verbs never call back: what cannot be is told from the turn. */
static void start(struct ht_client_conn *conn, struct ht_call *call)
{
    struct client *client = client_of(conn);
    struct stream *stream = ht_h2_alloc(sizeof(*stream));

    memset(stream, 0, sizeof(*stream));
    ht_h2_stream_init(&stream->h2, &client->h2, -1);
    stream->call = call;
    stream->client = client;
    stream->content_length = -1;
    list_init(&stream->link);
    call->conn = conn;
    call->engine_data = stream;
    if (conn->num_active++ == 0)
        client->read_ms = net_now_ms(conn->io.worker);
    update_capacity(client);
    watch(client);
    if (call->upgrade.len != 0 && !client->has_settings) {
        list_push(&client->waiting, &stream->link);
        return;
    }
    list_push(&client->streams, &stream->link);
    ht_h2_submit_later(&stream->h2);
}

static void submit_or_fail(struct ht_h2_stream *h2)
{
    struct stream *stream = stream_of_h2(h2);

    if (stream->client->is_closing || stream->client->h2.is_closed)
        fail_call(stream, HT_FAIL_REFUSED, "the connection is closing");
    else if (stream->call->upgrade.len != 0 && !stream->client->allows_connect)
        fail_call(stream, HT_FAIL_PROTOCOL, "the upstream does not allow extended CONNECT (RFC 8441)");
    else
        submit(h2);
}

static bool call_body(struct ht_call *call, const struct iovec *iov, int num)
{
    struct stream *stream = call->engine_data;

    if (stream->h2.is_out_ended)
        return true;
    return ht_h2_send(&stream->h2, iov, num);
}

static void call_end(struct ht_call *call, const struct ht_headers *trailers)
{
    struct stream *stream = call->engine_data;
    nghttp2_nv *nv = NULL;
    size_t num = 0;

    if (stream->h2.is_out_ended)
        return;
    if (count_fields(trailers) != 0) {
        nv = h2o_mem_alloc_pool(call->pool, sizeof(*nv) * trailers->num);
        num = ht_h2_add_fields(nv, 0, call->pool, trailers);
    }
    call->is_ended = 1;
    ht_h2_send_end(&stream->h2, nv, num);
}

static void call_resume(struct ht_call *call)
{
    struct stream *stream = call->engine_data;

    stream->h2.is_in_paused = 0;
    if (stream->h2.in.len != 0 || stream->h2.is_remote_done)
        ht_h2_offer_later(&stream->h2);
}

static void call_cancel(struct ht_call *call)
{
    struct stream *stream = call->engine_data;

    reset(stream, NGHTTP2_CANCEL);
    (void)let_go(stream);
}

static void tell_writable(struct ht_h2_stream *h2)
{
    struct stream *stream = stream_of_h2(h2);

    stream->call->ops->on_writable(stream->call);
}

/* ---- the connection's events ---- */

static void session_failed(struct client *client, int error)
{
    if (client->h2.flood != NULL)
        give_up(client, NGHTTP2_ENHANCE_YOUR_CALM, client->h2.flood);
    else if (error == NGHTTP2_ERR_FLOODED || error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        give_up(client, NGHTTP2_ENHANCE_YOUR_CALM, "flood of frames");
    else
        give_up(client, NGHTTP2_INTERNAL_ERROR, "broken HTTP/2 from the upstream");
}

static size_t on_read(struct net_io *io, const char *bytes, size_t len)
{
    struct client *client = client_of_io(io);
    ssize_t used;

    if (client->is_closing || client->h2.is_closed)
        return len;
    used = nghttp2_session_mem_recv(client->h2.session, (const uint8_t *)bytes, len);
    client->peer_reset_id = 0;
    client->read_ms = net_now_ms(io->worker);
    client->ping_ms = 0;
    if (client->h2.is_closed)
        return len;
    if (used < 0)
        session_failed(client, (int)used);
    ht_h2_check_backlog(&client->h2);
    ht_h2_flush_later(&client->h2);
    return len;
}

static void on_eof(struct net_io *io)
{
    lose(client_of_io(io), HT_FAIL_RESET, "the upstream closed the connection");
}

static void on_error(struct net_io *io, const char *why)
{
    lose(client_of_io(io), HT_FAIL_RESET, why);
}

static void on_writable(struct net_io *io)
{
    ht_h2_unblocked(&client_of_io(io)->h2);
}

static const struct net_io_ops io_ops = {on_read, on_eof, on_writable, on_error, NULL};

static void send_failed(struct ht_h2 *h2, int error)
{
    lose(client_of_h2(h2), HT_FAIL_PROTOCOL, "HTTP/2 session failed");
}

/* nghttp2 itself ended the session: it queued a GOAWAY and wants to hear nothing more. */
static void check_session(struct client *client)
{
    if (client->h2.is_closed || nghttp2_session_want_read(client->h2.session) != 0 ||
        nghttp2_session_want_write(client->h2.session) != 0)
        return;
    ht_client_conn_gone(client->conn, HT_FAIL_PROTOCOL, "broken HTTP/2 from the upstream");
    fail_all(client, HT_FAIL_PROTOCOL, "broken HTTP/2 from the upstream");
    close_politely(client);
}

static void after_flush(struct ht_h2 *h2)
{
    struct client *client = client_of_h2(h2);
    struct ht_client_conn *conn = client->conn;

    if (h2->flood != NULL)
        give_up(client, NGHTTP2_ENHANCE_YOUR_CALM, h2->flood);
    check_session(client);
    if (client->wants_available && !conn->is_gone && conn->is_ready && conn->capacity != 0) {
        client->wants_available = 0;
        if (conn->ops->on_available != NULL)
            conn->ops->on_available(conn);
    }
    reap(client);
    if (client->is_io_closed && conn->num_active == 0)
        ht_client_conn_finish(conn);
}

static const struct ht_h2_ops h2_ops = {tell_writable, offer_waiting, submit_or_fail, after_flush,
                                        send_failed};

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
}

static void open_session(struct client *client)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0}, /* of the server's own: none */
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, client->conn->max_head_bytes},
    };

    (void)pthread_once(&once, make_callbacks); /* cannot fail with these arguments */
    if (nghttp2_session_client_new2(&client->h2.session, callbacks, &client->h2, ht_h2_options()) != 0 ||
        nghttp2_submit_settings(client->h2.session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) != 0 ||
        nghttp2_session_set_local_window_size(client->h2.session, NGHTTP2_FLAG_NONE, 0, HT_CONN_WINDOW) != 0)
        abort(); /* out of memory */
}

static void adopt(struct ht_client_conn *conn)
{
    struct client *client = xcalloc(1, sizeof(*client));

    client->conn = conn;
    conn->engine_data = client;
    list_init(&client->streams);
    list_init(&client->dead);
    list_init(&client->waiting);
    timer_init(&client->timer, on_timer);
    client->peer_max_streams = UNKNOWN_PEER_STREAMS;
    ht_h2_init(&client->h2, &h2_ops, &conn->io);
    open_session(client);
    conn->io.ops = &io_ops;
    conn->capacity = MIN(conn->max_concurrent_streams, client->peer_max_streams);
    ht_h2_flush_later(&client->h2);
}

static void engine_close(struct ht_client_conn *conn)
{
    if (conn->num_active == 0)
        close_idle(client_of(conn));
}

static void dispose(struct ht_client_conn *conn)
{
    struct client *client = client_of(conn);

    timer_stop(&client->timer);
    reap(client);
    ht_h2_clear(&client->h2);
    free(client);
}

const struct ht_client_engine ht_http2_client = {adopt,       start,       call_body,    call_end,
                                                 call_resume, call_cancel, engine_close, dispose};

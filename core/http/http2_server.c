/* HTTP/2, server side: accepted connections whose client speaks the preface or chose h2.
 *
 * Happy path: adopt -> bytes are fed to nghttp2 -> complete heads wait until the read is over -> on_request;
 * the verbs queue what the handler says; the turn (http2_common) makes frames of it; the stream closes ->
 * on_close.
 *
 * Failure: a malformed message resets its stream (PROTOCOL_ERROR), a broken or flooding connection gets
 * GOAWAY and is closed, a dead socket ends all exchanges as PEER_RESET.
 *
 * Shutdown: GOAWAY twice (RFC 9113 6.8) with a PING between: after its answer the client has seen the first,
 * so nothing it sent before is lost. The last exchange closes the connection.
 *
 * Exchanges are detached from nghttp2's stream as soon as they are decided, and die in the turn. */
#include "core/http/http2_server.h"

#include <pthread.h>

enum {
    LINGER_MS = 1000, /* for the last GOAWAY to arrive */
    DRAIN_WAIT_MS = 1000, /* for the PING between the two GOAWAYs */
};

static struct server *server_of(struct ht_server_conn *conn)
{
    return conn->engine_data;
}

static struct server *server_of_io(struct net_io *io)
{
    return server_of(CONTAINER_OF(io, struct ht_server_conn, io));
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

void ht2s_wake_after(struct server *server, uint32_t timeout_ms)
{
    if (timeout_ms != 0)
        wake_by(server, ht2s_now_ms(server) + timeout_ms);
}

/* ---- ending exchanges ---- */

void ht2s_end(struct stream *stream, enum ht_close why)
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

void ht2s_reset(struct stream *stream, uint32_t code, enum ht_close why)
{
    if (stream->is_ended)
        return;
    if (!stream->server->h2.is_closed)
        (void)nghttp2_submit_rst_stream(stream->server->h2.session, NGHTTP2_FLAG_NONE, stream->h2.id, code);
    ht2s_end(stream, why);
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
        ht_h2_stream_free(stream);
        if (--conn->num_active == 0) {
            server->idle_ms = ht2s_now_ms(server);
            ht2s_wake_after(server, conn->limits->idle_timeout_ms);
        }
    }
}

static void end_all(struct server *server, enum ht_close why)
{
    while (!list_is_empty(&server->streams))
        ht2s_end(LIST_FIRST(&server->streams, struct stream, link), why);
    while (!list_is_empty(&server->ready))
        ht2s_end(LIST_FIRST(&server->ready, struct stream, link), why);
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
    ht2s_wake_after(server, LINGER_MS);
    ht_h2_flush_later(&server->h2);
}

void ht2s_report(struct server *server, unsigned status, const char *detail, struct slice head)
{
    if (server->conn->handler->on_bad_request != NULL)
        server->conn->handler->on_bad_request(server->conn, status, detail, head);
}

static void calm(struct server *server, const char *detail)
{
    if (server->is_closing || server->h2.is_closed)
        return;
    ht2s_report(server, 429, detail, slice_make(NULL, 0));
    terminate(server, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* ---- answers of our own ---- */

/* No body; the rest of the request is not wanted (on_frame_send sees to that). */
void ht2s_answer_plainly(struct stream *stream, unsigned status)
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
    ht2s_plan_rest(stream);
    (void)nghttp2_submit_response(stream->server->h2.session, stream->h2.id, nv, ARRAY_LEN(nv), NULL);
}

/* The engine ends an exchange the handler knows: with an answer if none has begun. */
void ht2s_give_up(struct stream *stream, unsigned status, enum ht_close why)
{
    if (stream->x.is_head_sent) {
        ht2s_reset(stream, NGHTTP2_CANCEL, why);
        return;
    }
    ht2s_answer_plainly(stream, status);
    ht2s_end(stream, why);
}

/* ---- drain ---- */

void ht2s_send_final_goaway(struct server *server)
{
    nghttp2_session *session = server->h2.session;

    if (server->is_goaway_final)
        return;
    server->is_goaway_final = 1;
    (void)nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session),
                                NGHTTP2_NO_ERROR, NULL, 0);
    ht_h2_flush_later(&server->h2);
}

void ht2s_start_drain(struct server *server)
{
    if (server->drain_ms != 0 || server->is_closing || server->h2.is_closed)
        return;
    server->conn->is_draining = true;
    server->drain_ms = ht2s_now_ms(server);
    (void)nghttp2_submit_shutdown_notice(server->h2.session);
    (void)nghttp2_submit_ping(server->h2.session, NGHTTP2_FLAG_NONE, NULL);
    ht2s_wake_after(server, DRAIN_WAIT_MS);
    ht_h2_flush_later(&server->h2);
}

/* ---- timeouts ---- */

static uint64_t after(uint64_t since_ms, uint32_t timeout_ms)
{
    return timeout_ms != 0 ? since_ms + timeout_ms : UINT64_MAX;
}

/* Once an answer has begun, a silent request is a long-lived stream (gRPC, a tunnel), not a slow body. */
static uint64_t body_deadline(const struct stream *stream)
{
    const struct ht_limits *limits = stream->server->conn->limits;
    const struct ht_exchange *x = &stream->x;
    uint64_t whole;

    if (x->is_head_sent || stream->h2.is_remote_done || stream->is_connect)
        return UINT64_MAX;
    whole = after(x->started_us / 1000, limits->request_timeout_ms);
    return x->wants_body && stream->h2.in.len == 0
               ? MIN(whole, after(stream->h2.in_moved_ms, limits->body_idle_timeout_ms))
               : whole;
}

/* When this stream must have moved, or UINT64_MAX. */
static uint64_t stream_deadline(const struct stream *stream, enum ht_close *ret_why)
{
    const struct ht_limits *limits = stream->server->conn->limits;
    uint64_t moved_ms = MAX(stream->h2.in_moved_ms, stream->h2.out_moved_ms);
    uint64_t idle = after(moved_ms, stream->x.is_tunnel ? limits->tunnel_idle_timeout_ms : limits->stream_idle_timeout_ms);
    uint64_t body = body_deadline(stream);
    uint64_t write = stream->h2.out.len != 0 ? after(stream->h2.out_moved_ms, limits->write_idle_timeout_ms)
                                             : UINT64_MAX;

    *ret_why = write <= MIN(body, idle) ? HT_CLOSE_TIMEOUT_WRITE
               : body <= idle           ? HT_CLOSE_TIMEOUT_BODY
                                        : HT_CLOSE_TIMEOUT_IDLE;
    return MIN(write, MIN(body, idle));
}

static uint64_t check_streams(struct server *server)
{
    uint64_t next = UINT64_MAX;

    LIST_FOR_SAFE(stream, &server->streams, struct stream, link)
    {
        enum ht_close why;
        uint64_t deadline = stream_deadline(stream, &why);
        if (deadline <= ht2s_now_ms(server))
            ht2s_give_up(stream, 408, why);
        else
            next = MIN(next, deadline);
    }
    return next;
}

/* When the connection as a whole must have moved. */
static uint64_t conn_deadline(const struct server *server)
{
    const struct ht_limits *limits = server->conn->limits;

    if (server->h2.is_blocked)
        return after(MAX(server->h2.blocked_ms, server->conn->io.last_sent_ms), limits->write_idle_timeout_ms);
    if (!server->has_settings)
        return after(server->adopted_ms, limits->handshake_timeout_ms);
    if (is_in_head(server))
        return after(server->head_ms, limits->head_timeout_ms);
    return server->conn->num_active == 0 ? after(server->idle_ms, limits->idle_timeout_ms) : UINT64_MAX;
}

static void on_timer(struct timer *timer)
{
    struct server *server = CONTAINER_OF(timer, struct server, timer);
    uint64_t next, now = ht2s_now_ms(server), deadline = conn_deadline(server);

    if (server->is_closing || (server->h2.is_blocked && deadline <= now)) {
        close_now(server, HT_CLOSE_TIMEOUT_WRITE);
        return;
    }
    if (deadline <= now) {
        terminate(server, NGHTTP2_NO_ERROR);
        return;
    }
    next = MIN(check_streams(server), deadline);
    next = MIN(ht2s_check_rests(server), next);
    if (server->drain_ms != 0 && !server->is_goaway_final) {
        if (now - server->drain_ms >= DRAIN_WAIT_MS)
            ht2s_send_final_goaway(server);
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
    ht2s_hand_over(server);
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
    close_now(ht2s_of_h2(h2), HT_CLOSE_PROTOCOL);
}

/* Streams that could not send all they have: from now on the peer is on the clock. */
static void watch_output(struct server *server)
{
    if (server->h2.out_total != 0 || server->h2.is_blocked)
        ht2s_wake_after(server, server->conn->limits->write_idle_timeout_ms);
}

static void after_flush(struct ht_h2 *h2)
{
    struct server *server = ht2s_of_h2(h2);

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

static const struct ht_h2_ops h2_ops = {ht2s_tell_writable, ht2s_offer_waiting, ht2s_submit_head, after_flush,
                                        send_failed};

/* ---- engine ---- */

static nghttp2_session_callbacks *callbacks;

static void make_callbacks(void)
{
    callbacks = ht_h2_callbacks_new();
    ht2s_set_callbacks(callbacks);
}

static void open_session(struct server *server)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct ht_limits *limits = server->conn->limits;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX(limits->max_concurrent_streams, 1u)},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->max_head_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->stream_window}, /* left out when it is not given */
    };
    size_t num_settings = ARRAY_LEN(settings) - (limits->stream_window == 0);

    (void)pthread_once(&once, make_callbacks); /* cannot fail with these arguments */
    if (nghttp2_session_server_new2(&server->h2.session, callbacks, &server->h2, ht_h2_options()) != 0 ||
        nghttp2_submit_settings(server->h2.session, NGHTTP2_FLAG_NONE, settings, num_settings) != 0 ||
        nghttp2_session_set_local_window_size(server->h2.session, NGHTTP2_FLAG_NONE, 0,
                                              (int32_t)limits->conn_window) != 0)
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
    server->adopted_ms = server->idle_ms = ht2s_now_ms(server);
    open_session(server);
    conn->io.ops = &io_ops;
    ht2s_wake_after(server, conn->limits->handshake_timeout_ms);
    ht2s_wake_after(server, conn->limits->idle_timeout_ms);
    feed(server, bytes, len);
    return len;
}

static void engine_drain(struct ht_server_conn *conn)
{
    ht2s_start_drain(server_of(conn));
}

static void engine_close(struct ht_server_conn *conn)
{
    close_now(server_of(conn), HT_CLOSE_PEER_RESET);
}

static void dispose(struct ht_server_conn *conn)
{
    struct server *server = server_of(conn);

    timer_stop(&server->timer);
    ht2s_free_rests(server);
    ht_h2_clear(&server->h2);
    free(server);
}

const struct ht_server_engine ht_http2_server = {adopt, engine_drain, engine_close, dispose};

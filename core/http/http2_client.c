/* HTTP/2, client side: connections to upstreams, many calls on each.
 *
 * Happy path: adopt -> start() submits the request -> the turn sends it -> on_head, on_body …, on_end; a
 * stream that closes makes room for the next call (on_available).
 *
 * Failure: a stream's error fails its call; a GOAWAY takes the connection out of its pool (on_gone) and fails
 * the calls the upstream says it never saw as unsent; a dead connection fails all.
 *
 * Shutdown: who lets go of the last call of a gone connection closes the io. A call is detached from
 * nghttp2's stream the moment it is decided; the stream's memory goes in the turn. */
#include "core/http/http2_client.h"

#include <pthread.h>

enum {
    UNKNOWN_PEER_STREAMS = 100, /* until its SETTINGS come: RFC 9113 6.5.2 recommends no less */
    LINGER_MS = 500,
    PING_WAIT_MS = 10 * 1000,
};

static struct client *client_of_io(struct net_io *io)
{
    return ht2c_of_conn(CONTAINER_OF(io, struct ht_client_conn, io));
}

/* ---- room for calls ---- */

void ht2c_update_capacity(struct client *client)
{
    struct ht_client_conn *conn = client->conn;
    uint32_t max = MIN(conn->max_concurrent_streams, client->peer_max_streams);

    conn->capacity = conn->is_gone || max <= conn->num_active ? 0 : max - conn->num_active;
}

void ht2c_available_later(struct client *client)
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
void ht2c_close_idle(struct client *client)
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

struct ht_call *ht2c_let_go(struct stream *stream)
{
    struct client *client = stream->client;
    struct ht_call *call = stream->call;
    bool is_last;

    detach(stream);
    stream->call = NULL;
    is_last = ht_call_let_go(call);
    ht2c_update_capacity(client);
    if (is_last)
        ht2c_close_idle(client);
    else
        ht2c_available_later(client);
    return call;
}

void ht2c_reset(struct stream *stream, uint32_t code)
{
    struct client *client = stream->client;

    if (stream->is_submitted && !client->h2.is_closed)
        (void)nghttp2_submit_rst_stream(client->h2.session, NGHTTP2_FLAG_NONE, stream->h2.id, code);
}

void ht2c_fail(struct stream *stream, enum ht_fail fail, const char *detail)
{
    struct ht_call *call = stream->call;

    if (call == NULL)
        return;
    call->is_unsent = fail == HT_FAIL_REFUSED || !stream->is_sent;
    call = ht2c_let_go(stream);
    call->ops->on_fail(call, fail, detail);
}

void ht2c_reject(struct stream *stream, enum ht_fail fail, const char *detail)
{
    if (stream->call == NULL)
        return;
    ht2c_reset(stream, fail == HT_FAIL_TOO_LARGE ? NGHTTP2_CANCEL : NGHTTP2_PROTOCOL_ERROR);
    ht2c_fail(stream, fail, detail);
}

static void fail_all(struct client *client, enum ht_fail fail, const char *detail)
{
    while (!list_is_empty(&client->waiting))
        ht2c_fail(LIST_FIRST(&client->waiting, struct stream, link), fail, detail);
    while (!list_is_empty(&client->streams))
        ht2c_fail(LIST_FIRST(&client->streams, struct stream, link), fail, detail);
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
void ht2c_watch(struct client *client)
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
    ht2c_watch(client);
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
        ht_h2_stream_free(stream);
    }
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
    lose(ht2c_of_h2(h2), HT_FAIL_PROTOCOL, "HTTP/2 session failed");
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
    struct client *client = ht2c_of_h2(h2);
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

static const struct ht_h2_ops h2_ops = {ht2c_tell_writable, ht2c_offer_waiting, ht2c_submit, after_flush,
                                        send_failed};

/* ---- engine ---- */

static nghttp2_session_callbacks *callbacks;

static void make_callbacks(void)
{
    callbacks = ht_h2_callbacks_new();
    ht2c_set_callbacks(callbacks);
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
        ht2c_close_idle(ht2c_of_conn(conn));
}

static void dispose(struct ht_client_conn *conn)
{
    struct client *client = ht2c_of_conn(conn);

    timer_stop(&client->timer);
    reap(client);
    ht_h2_clear(&client->h2);
    free(client);
}

const struct ht_client_engine ht_http2_client = {adopt,       ht2c_start,  ht2c_body,    ht2c_end,
                                                 ht2c_resume, ht2c_cancel, engine_close, dispose};

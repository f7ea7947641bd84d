/* Accepted connections until their protocol is known, and the verbs of an exchange.
 *
 * Happy path: accept -> TLS handshake (ALPN decides) or the first bytes (the HTTP/2 preface decides) ->
 * engine->adopt(). A client that does neither in time is closed without an answer: it never spoke HTTP.
 * Shutdown: the engine closes the io, delivers on_close of its exchanges, calls ht_server_conn_finish(); the
 * struct goes from a post, so callbacks on the stack never return into freed memory. */
#include "core/http/engine.h"

#include <stdatomic.h>
#include <time.h>

const struct ht_limits ht_limits_default = {
    .max_head_bytes = 60 * 1024,
    .max_headers = 100,
    .max_target_bytes = 8 * 1024,
    .max_trailer_bytes = 8 * 1024,
    .max_body_bytes = 0,
    .handshake_timeout_ms = 10 * 1000,
    .head_timeout_ms = 10 * 1000,
    .idle_timeout_ms = 75 * 1000,
    .request_timeout_ms = 0,
    .body_idle_timeout_ms = 60 * 1000,
    .write_idle_timeout_ms = 60 * 1000,
    .stream_idle_timeout_ms = 0,
    .tunnel_idle_timeout_ms = 3600 * 1000,
    .max_requests_per_conn = 0,
    .max_concurrent_streams = 128,
    .stream_window = 0,
    .conn_window = HT_CONN_WINDOW,
    .drain_body_bytes = 256 * 1024,
};

/* The connection and what only this file needs of it. */
struct server {
    struct ht_server_conn conn;
    struct timer deadline; /* until the protocol is known */
    struct net_post finish_post;
    bool is_finished;
};

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { PREFACE_LEN = sizeof(preface) - 1 };

static struct server *server_of_io(struct net_io *io)
{
    return CONTAINER_OF(io, struct server, conn.io);
}

static struct server *server_of(struct ht_server_conn *conn)
{
    return CONTAINER_OF(conn, struct server, conn);
}

static void on_finish(struct net_post *post)
{
    struct server *server = CONTAINER_OF(post, struct server, finish_post);
    struct ht_server_conn *conn = &server->conn;

    if (conn->engine != NULL)
        conn->engine->dispose(conn);
    if (conn->on_closed != NULL)
        conn->on_closed(conn);
    list_remove(&conn->link);
    free(server);
}

void ht_server_conn_finish(struct ht_server_conn *conn)
{
    struct server *server = server_of(conn);

    if (server->is_finished)
        return;
    server->is_finished = true;
    timer_stop(&server->deadline);
    net_post(conn->io.worker, &server->finish_post);
}

/* ---- before the protocol is known ---- */

static void give_up(struct server *server)
{
    net_io_close(&server->conn.io);
    ht_server_conn_finish(&server->conn);
}

static size_t adopt(struct server *server, const struct ht_server_engine *engine, const char *bytes,
                    size_t len)
{
    timer_stop(&server->deadline);
    server->conn.engine = engine;
    return engine->adopt(&server->conn, bytes, len);
}

static size_t on_first_bytes(struct net_io *io, const char *bytes, size_t len)
{
    struct server *server = server_of_io(io);

    if (memcmp(bytes, preface, MIN(len, (size_t)PREFACE_LEN)) != 0)
        return adopt(server, &ht_http1_server, bytes, len);
    return len < PREFACE_LEN ? 0 : adopt(server, &ht_http2_server, bytes, len);
}

/* TLS: bytes may come in the same event as the end of the handshake, but never before on_ready. */
static size_t on_early_bytes(struct net_io *io, const char *bytes, size_t len)
{
    return 0;
}

static void on_handshaken(struct net_io *io)
{
    bool is_http2 = slice_eq(net_io_alpn(io), SLICE("h2"));

    (void)adopt(server_of_io(io), is_http2 ? &ht_http2_server : &ht_http1_server, "",
                0); /* nothing to consume */
}

static void on_early_eof(struct net_io *io)
{
    give_up(server_of_io(io));
}

/* Somebody forgot the s of https. */
static void answer_in_the_clear(struct server *server)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 32\r\n"
                                 "connection: close\r\n\r\nThis port speaks TLS: use https\n";
    struct ht_server_conn *conn = &server->conn;

    (void)send(conn->io.fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* they hear it, or see the end */
    if (conn->handler->on_bad_request != NULL)
        conn->handler->on_bad_request(conn, 400, net_io_plain_http, slice_make(NULL, 0));
}

static void on_early_error(struct net_io *io, const char *why)
{
    if (why == net_io_plain_http)
        answer_in_the_clear(server_of_io(io));
    give_up(server_of_io(io));
}

static void on_early_writable(struct net_io *io)
{
}

static const struct net_io_ops plain_ops = {on_first_bytes, on_early_eof, on_early_writable, on_early_error,
                                            NULL};
static const struct net_io_ops tls_ops = {on_early_bytes, on_early_eof, on_early_writable, on_early_error,
                                          on_handshaken};

static void on_deadline(struct timer *timer)
{
    give_up(CONTAINER_OF(timer, struct server, deadline));
}

static uint64_t next_conn_id(void)
{
    static atomic_uint_fast64_t last;

    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

struct ht_server_conn *ht_server_accept(struct net_worker *worker, int fd, SSL_CTX *ctx,
                                        const struct ht_handler *handler, const struct ht_limits *limits,
                                        void *owner, void (*on_closed)(struct ht_server_conn *conn))
{
    struct server *server = xcalloc(1, sizeof(*server));
    struct ht_server_conn *conn = &server->conn;
    uint32_t timeout_ms = ctx != NULL ? limits->handshake_timeout_ms : limits->head_timeout_ms;

    conn->handler = handler;
    conn->limits = limits;
    conn->owner = owner;
    conn->on_closed = on_closed;
    conn->id = next_conn_id();
    list_init(&conn->link);
    net_post_init(&server->finish_post, on_finish);
    timer_init(&server->deadline, on_deadline);
    if (timeout_ms != 0)
        timer_start(&worker->timers, &server->deadline, net_now_ms(worker) + timeout_ms);
    net_io_init_server(&conn->io, worker, fd, ctx, ctx != NULL ? &tls_ops : &plain_ops);
    return conn;
}

void ht_server_drain(struct ht_server_conn *conn)
{
    if (conn->is_draining || server_of(conn)->is_finished)
        return;
    conn->is_draining = true;
    if (conn->engine != NULL) /* else the first request is on its way, or the deadline is */
        conn->engine->drain(conn);
}

void ht_server_close(struct ht_server_conn *conn)
{
    if (server_of(conn)->is_finished)
        return;
    if (conn->engine != NULL)
        conn->engine->close(conn);
    else
        give_up(server_of(conn));
}

/* ---- exchanges ---- */

void ht_exchange_init(struct ht_exchange *x, struct ht_server_conn *conn, const struct ht_exchange_ops *ops)
{
    h2o_mem_pool_t pool = x->pool;

    *x = (struct ht_exchange){
        .pool = pool,
        .ops = ops,
        .conn = conn,
        .handler = conn->handler,
        .started_us = conn->io.worker->now_us,
        .scheme = conn->io.ssl != NULL ? SLICE("https") : SLICE("http"),
        .content_length = -1,
        .is_tls = conn->io.ssl != NULL,
    };
    ++conn->num_requests;
    ++conn->num_active;
}

void ht_exchange_info(struct ht_exchange *x, unsigned status, const struct ht_headers *headers)
{
    x->ops->info(x, status, headers);
}

void ht_exchange_head(struct ht_exchange *x, unsigned status, const struct ht_headers *headers,
                      int64_t content_length)
{
    x->ops->head(x, status, headers, content_length);
}

bool ht_exchange_body(struct ht_exchange *x, const struct iovec *iov, int num)
{
    return x->ops->body(x, iov, num);
}

void ht_exchange_end(struct ht_exchange *x, const struct ht_headers *trailers)
{
    x->ops->end(x, trailers);
}

void ht_exchange_abort(struct ht_exchange *x, uint32_t h2_code)
{
    x->ops->abort(x, h2_code);
}

void ht_exchange_resume(struct ht_exchange *x)
{
    x->ops->resume(x);
}

struct slice ht_date(const struct net_worker *worker)
{
    static __thread time_t made_for = -1;
    static __thread char text[32];
    static __thread size_t len;
    time_t now = (time_t)(worker->wall_us / 1000000);

    if (now != made_for) {
        struct tm tm;
        len = strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
        made_for = now;
    }
    return slice_make(text, len);
}

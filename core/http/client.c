/* Outgoing connections until they are ready, and the verbs of a call.
 *
 * Happy path: connect (and handshake; ALPN decides) -> engine->adopt() -> calls that waited start ->
 * on_ready. Until then the connection runs under `waiting`, an engine that only remembers: a call started
 * early keeps its first body bytes here, at most one ht_call_body() worth, because that answers "stop".
 * Failure before ready: every waiting call fails as unsent, then on_gone.
 * Shutdown: who lets go of the last call of a gone connection closes the io and calls
 * ht_client_conn_finish(). */
#include "core/http/engine.h"

#include "core/base/strbuf.h"

enum { CONNECT_TIMEOUT_MS = 5 * 1000, MAX_HEAD_BYTES = 64 * 1024, MAX_STREAMS = 1024 };

/* The connection and what only this file needs of it. */
struct client {
    struct ht_client_conn conn;
    enum ht_client_protocol protocol;
    struct timer deadline;
    struct list waiting; /* of struct waiting_call */
    struct net_post finish_post;
    bool is_finished;
};

struct waiting_call {
    struct list link;
    struct ht_call *call; /* borrowed */
    struct strbuf body;
    struct ht_headers trailers;
    bool has_trailers, is_ended;
};

static struct client *client_of(struct ht_client_conn *conn)
{
    return CONTAINER_OF(conn, struct client, conn);
}

static struct client *client_of_io(struct net_io *io)
{
    return CONTAINER_OF(io, struct client, conn.io);
}

/* ---- the end ---- */

static void waiting_free(struct waiting_call *wait)
{
    list_remove(&wait->link);
    strbuf_clear(&wait->body);
    free(wait);
}

static void on_finish(struct net_post *post)
{
    struct client *client = CONTAINER_OF(post, struct client, finish_post);

    client->conn.engine->dispose(&client->conn);
    list_remove(&client->conn.link);
    free(client);
}

void ht_client_conn_finish(struct ht_client_conn *conn)
{
    struct client *client = client_of(conn);

    if (client->is_finished)
        return;
    client->is_finished = true;
    timer_stop(&client->deadline);
    net_post(conn->io.worker, &client->finish_post);
}

void ht_client_conn_abandon(struct ht_client_conn *conn)
{
    conn->is_gone = true;
    net_io_close(&conn->io);
    ht_client_conn_finish(conn);
}

void ht_client_conn_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail)
{
    if (conn->is_gone)
        return;
    conn->is_gone = true;
    conn->capacity = 0;
    conn->ops->on_gone(conn, fail, detail);
}

bool ht_call_let_go(struct ht_call *call)
{
    struct ht_client_conn *conn = call->conn;

    LIST_FOR_SAFE(wait, &client_of(conn)->waiting, struct waiting_call, link)
    if (wait->call == call)
        waiting_free(wait);
    call->conn = NULL;
    call->engine_data = NULL;
    --conn->num_active;
    if (!conn->is_gone)
        ++conn->capacity;
    if (conn->num_active == 0)
        conn->idle_since_ms = net_now_ms(conn->io.worker);
    return conn->is_gone && conn->num_active == 0;
}

static void close_now(struct ht_client_conn *conn)
{
    net_io_close(&conn->io);
    ht_client_conn_finish(conn);
}

/* ---- calls that wait ---- */

static void waiting_start(struct ht_client_conn *conn, struct ht_call *call)
{
    struct waiting_call *wait = xcalloc(1, sizeof(*wait));

    wait->call = call;
    call->engine_data = wait;
    list_push(&client_of(conn)->waiting, &wait->link);
    ++conn->num_active;
    if (conn->capacity != 0)
        --conn->capacity;
}

static bool waiting_body(struct ht_call *call, const struct iovec *iov, int num)
{
    struct waiting_call *wait = call->engine_data;

    for (int i = 0; i < num; i++)
        strbuf_add(&wait->body, iov[i].iov_base, iov[i].iov_len);
    return wait->body.len == 0;
}

static void waiting_end(struct ht_call *call, const struct ht_headers *trailers)
{
    struct waiting_call *wait = call->engine_data;

    wait->is_ended = true;
    if (trailers == NULL)
        return;
    wait->has_trailers = true;
    for (uint32_t i = 0; i < trailers->num; i++)
        ht_headers_add(call->pool, &wait->trailers, ht_pool_dup(call->pool, trailers->at[i].name),
                       ht_pool_dup(call->pool, trailers->at[i].value));
}

static void waiting_resume(struct ht_call *call)
{
}

static void waiting_cancel(struct ht_call *call)
{
    struct ht_client_conn *conn = call->conn;

    if (ht_call_let_go(call))
        close_now(conn);
}

static void waiting_close(struct ht_client_conn *conn)
{
    if (conn->num_active == 0)
        close_now(conn);
}

static void waiting_dispose(struct ht_client_conn *conn)
{
}

static const struct ht_client_engine waiting = {
    .start = waiting_start,
    .body = waiting_body,
    .end = waiting_end,
    .resume = waiting_resume,
    .cancel = waiting_cancel,
    .close = waiting_close,
    .dispose = waiting_dispose,
};

/* Hands all over to the engine, then tells those that were stopped to go on. The second round may end any of
 * them: ht_call_let_go() takes it off the list. */
static void start_waiting_calls(struct client *client)
{
    struct ht_client_conn *conn = &client->conn;

    LIST_FOR_SAFE(wait, &client->waiting, struct waiting_call, link)
    {
        struct iovec iov = {wait->body.base, wait->body.len};
        bool was_stopped = wait->body.len != 0, may_go_on = true;
        --conn->num_active; /* the engine counts it again */
        ++conn->capacity;
        conn->engine->start(conn, wait->call);
        if (was_stopped)
            may_go_on = conn->engine->body(wait->call, &iov, 1);
        if (wait->is_ended)
            conn->engine->end(wait->call, wait->has_trailers ? &wait->trailers : NULL);
        if (!was_stopped || !may_go_on || wait->is_ended)
            waiting_free(wait);
    }
    while (!list_is_empty(&client->waiting)) {
        struct waiting_call *wait = LIST_FIRST(&client->waiting, struct waiting_call, link);
        struct ht_call *call = wait->call;
        waiting_free(wait);
        call->ops->on_writable(call);
    }
}

/* ---- connecting ---- */

static void fail_waiting(struct client *client, enum ht_fail fail, const char *detail)
{
    while (!list_is_empty(&client->waiting)) {
        struct waiting_call *wait = LIST_FIRST(&client->waiting, struct waiting_call, link);
        struct ht_call *call = wait->call;
        (void)ht_call_let_go(call); /* closed by the caller of this, whichever is the last */
        call->ops->on_fail(call, fail, detail);
    }
}

static void fail_connect(struct client *client, enum ht_fail fail, const char *detail)
{
    struct ht_client_conn *conn = &client->conn;

    net_io_close(&conn->io);
    timer_stop(&client->deadline);
    ht_client_conn_gone(conn, fail, detail);
    fail_waiting(client, fail, detail);
    ht_client_conn_finish(conn);
}

static void on_deadline(struct timer *timer)
{
    fail_connect(CONTAINER_OF(timer, struct client, deadline), HT_FAIL_CONNECT_TIMEOUT, "connect timed out");
}

/* NULL: the upstream chose nothing we asked for. */
static const struct ht_client_engine *choose_engine(const struct client *client)
{
    struct slice alpn = net_io_alpn(&client->conn.io);
    bool is_tls = client->conn.io.ssl != NULL;

    switch (client->protocol) {
    case HT_CLIENT_HTTP1:
        return alpn.len == 0 || slice_eq(alpn, SLICE("http/1.1")) ? &ht_http1_client : NULL;
    case HT_CLIENT_HTTP2:
        return !is_tls || slice_eq(alpn, SLICE("h2")) ? &ht_http2_client : NULL;
    case HT_CLIENT_ALPN:
        return slice_eq(alpn, SLICE("h2")) ? &ht_http2_client : &ht_http1_client;
    }
    return NULL;
}

static void on_connected(struct net_io *io)
{
    struct client *client = client_of_io(io);
    struct ht_client_conn *conn = &client->conn;
    const struct ht_client_engine *engine = choose_engine(client);

    if (engine == NULL) {
        fail_connect(client, HT_FAIL_TLS, "the upstream does not speak the protocol asked for (ALPN)");
        return;
    }
    timer_stop(&client->deadline);
    conn->engine = engine;
    conn->version = engine == &ht_http2_client ? HT_HTTP2 : HT_HTTP11;
    conn->is_ready = true;
    engine->adopt(conn);
    /* The queued are part of num_active, so what the engine offers is less by them. */
    conn->capacity -= MIN(conn->capacity, conn->num_active);
    start_waiting_calls(client);
    if (!conn->is_gone && conn->ops->on_ready != NULL)
        conn->ops->on_ready(conn);
}

static size_t on_bytes_too_early(struct net_io *io, const char *bytes, size_t len)
{
    return 0;
}

static void on_refused(struct net_io *io, const char *why)
{
    bool is_tls_failure = io->is_handshaking && !io->is_connecting; /* both are set until it is connected */

    fail_connect(client_of_io(io), is_tls_failure ? HT_FAIL_TLS : HT_FAIL_CONNECT, why);
}

static void on_early_eof(struct net_io *io)
{
    on_refused(io, "closed before it was ready");
}

static void on_early_writable(struct net_io *io)
{
}

static const struct net_io_ops connecting_ops = {on_bytes_too_early, on_early_eof, on_early_writable,
                                                 on_refused, on_connected};

static struct slice alpn_of(enum ht_client_protocol protocol)
{
    switch (protocol) {
    case HT_CLIENT_HTTP1:
        return SLICE("\x08http/1.1");
    case HT_CLIENT_HTTP2:
        return SLICE("\x02h2");
    case HT_CLIENT_ALPN:
        break;
    }
    return SLICE("\x02h2\x08http/1.1");
}

struct ht_client_conn *ht_client_connect(struct net_worker *worker, const struct sockaddr *addr,
                                         socklen_t addr_len, const struct ht_client_config *config,
                                         const struct ht_client_ops *ops, void *owner, struct err *err)
{
    struct client *client = xcalloc(1, sizeof(*client));
    struct ht_client_conn *conn = &client->conn;
    uint32_t timeout_ms = config->connect_timeout_ms != 0 ? config->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    struct slice alpn = config->tls != NULL ? alpn_of(config->protocol) : slice_make(NULL, 0);

    conn->ops = ops;
    conn->owner = owner;
    conn->max_head_bytes = config->max_head_bytes != 0 ? config->max_head_bytes : MAX_HEAD_BYTES;
    conn->max_concurrent_streams =
        config->max_concurrent_streams != 0 ? config->max_concurrent_streams : MAX_STREAMS;
    conn->ping_idle_ms = config->ping_idle_ms;
    conn->capacity = config->protocol == HT_CLIENT_HTTP2 ? conn->max_concurrent_streams : 1;
    conn->engine = &waiting;
    list_init(&conn->link);
    list_init(&client->waiting);
    client->protocol = config->protocol;
    net_post_init(&client->finish_post, on_finish);
    timer_init(&client->deadline, on_deadline);
    if (net_io_connect(&conn->io, worker, addr, addr_len, config->tls, config->sni, alpn, &connecting_ops,
                       err) != 0) {
        free(client);
        return NULL;
    }
    timer_start(&worker->timers, &client->deadline, net_now_ms(worker) + timeout_ms);
    return conn;
}

void ht_client_close(struct ht_client_conn *conn)
{
    if (client_of(conn)->is_finished)
        return;
    conn->is_gone = true;
    conn->capacity = 0;
    conn->engine->close(conn);
}

/* ---- calls ---- */

void ht_call_start(struct ht_client_conn *conn, struct ht_call *call)
{
    call->conn = conn;
    call->engine_data = NULL;
    call->is_unsent = 1;
    call->had_response = 0;
    call->is_ended = !call->has_body;
    call->is_tunnel = 0;
    call->is_held = 0;
    call->status = 0;
    call->headers = call->trailers = (struct ht_headers){NULL, 0, 0};
    call->response_length = -1;
    ++conn->num_calls;
    conn->engine->start(conn, call);
}

bool ht_call_body(struct ht_call *call, const struct iovec *iov, int num)
{
    return call->conn == NULL || call->conn->engine->body(call, iov, num);
}

void ht_call_end(struct ht_call *call, const struct ht_headers *trailers)
{
    if (call->conn != NULL)
        call->conn->engine->end(call, trailers);
}

void ht_call_resume(struct ht_call *call)
{
    call->is_held = 0;
    if (call->conn != NULL)
        call->conn->engine->resume(call);
}

void ht_call_cancel(struct ht_call *call)
{
    if (call->conn != NULL)
        call->conn->engine->cancel(call);
}

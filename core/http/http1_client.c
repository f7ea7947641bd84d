/* HTTP/1.1, client side: one call at a time on a connection.
 *
 * Happy path: start() -> head and body leave -> take_head() -> on_head -> body bytes go from the io to
 * on_body -> on_end; the connection is idle again. It is used again only when nothing at all is odd: request
 * sent whole, response framed by itself, keep-alive, no byte behind the response. Otherwise it is closed
 * after the call. Failures: ht1c_die() closes, tells the owner of the connection, then the call. What a verb
 * causes waits for a post. is_unsent at the end: not one byte of the request was taken by the kernel. */
#include "core/http/http1_client.h"

enum { LINGER_MS = 1000 /* for a tunnel's last bytes */ };

/* ---- the end ---- */

void ht1c_die(struct h1c *h, enum ht_fail fail, const char *detail)
{
    struct ht_call *call;

    if (h->phase == PHASE_CLOSED)
        return;
    h->phase = PHASE_CLOSED;
    net_io_close(&h->conn->io);
    ht_client_conn_gone(h->conn, fail, detail);
    call = h->call; /* unless the owner cancelled it just now */
    h->call = NULL;
    if (call != NULL) {
        call->is_unsent = ht1c_is_unsent(h);
        (void)ht_call_let_go(call); /* closed already */
        call->ops->on_fail(call, fail, detail);
    }
    ht_client_conn_finish(h->conn);
}

void ht1c_die_soon(struct h1c *h, enum ht_fail fail, const char *detail)
{
    if (h->detail == NULL) {
        h->fail = fail;
        h->detail = detail;
    }
    ht1c_settle_soon(h);
}

static bool is_reusable(const struct h1c *h)
{
    const struct net_io *io = &h->conn->io;

    return h->keep_alive && h->call->is_ended && !h->conn->is_gone && !io->is_eof && !io->is_failed &&
           h->out.head.iov_len == 0 && net_io_pending(io) == 0 && h->detail == NULL;
}

static void on_lingered(struct net_io *io)
{
    ht_client_conn_finish(CONTAINER_OF(io, struct ht_client_conn, io));
}

static void complete_and_close(struct h1c *h)
{
    struct ht_call *call;
    bool was_tunnel = h->phase == PHASE_TUNNEL;

    h->phase = PHASE_CLOSED;
    if (was_tunnel)
        net_io_close_gracefully(&h->conn->io, LINGER_MS, on_lingered);
    else
        net_io_close(&h->conn->io);
    ht_client_conn_gone(h->conn, HT_FAIL_RESET, "closed after the response");
    call = h->call;
    h->call = NULL;
    if (call != NULL) {
        (void)ht_call_let_go(call);
        call->ops->on_end(call);
    }
    if (!was_tunnel)
        ht_client_conn_finish(h->conn);
}

void ht1c_complete(struct h1c *h, bool has_rest)
{
    struct ht_client_conn *conn = h->conn;
    struct ht_call *call = h->call;

    if (has_rest || !is_reusable(h)) {
        complete_and_close(h);
        return;
    }
    h->phase = PHASE_IDLE;
    h->call = NULL;
    (void)ht_call_let_go(call); /* not gone: see is_reusable() */
    call->ops->on_end(call);
    if (h->phase == PHASE_IDLE && h->call == NULL && !conn->is_gone && conn->ops->on_available != NULL)
        conn->ops->on_available(conn);
}

/* ---- the io's callbacks ---- */

static void on_error(struct net_io *io, const char *why)
{
    ht1c_die(ht1c_of_io(io), HT_FAIL_RESET, why);
}

static void on_writable(struct net_io *io)
{
    struct h1c *h = ht1c_of_io(io);

    if (!h->is_stopped)
        return;
    h->is_stopped = 0;
    if (h->call != NULL && !h->call->is_ended && h->call->ops->on_writable != NULL)
        h->call->ops->on_writable(h->call);
}

static const struct net_io_ops io_ops = {ht1c_on_read, ht1c_on_eof, on_writable, on_error, NULL};

/* ---- the engine's verbs ---- */

static void resume(struct ht_call *call)
{
    struct h1c *h = ht1c_of(call);
    struct net_io *io = &h->conn->io;

    h->is_paused = 0;
    h->has_resumed = 1;
    if (!io->in_callback) /* inside on_read its loop goes on by itself */
        net_io_resume(io);
}

/* Bytes of this call may be on the wire: the connection is of no use to another. */
static void cancel(struct ht_call *call)
{
    struct h1c *h = ht1c_of(call);

    if (h->call != call)
        return;
    h->call = NULL;
    ht1_out_drop(&h->out);
    (void)ht_call_let_go(call); /* closed right here */
    h->conn->capacity = 0;
    if (h->phase == PHASE_CLOSED) /* ht1c_die() is under way */
        return;
    h->phase = PHASE_CLOSED;
    net_io_close(&h->conn->io);
    ht1c_die_soon(h, HT_FAIL_RESET, "closed because its call was cancelled");
}

static void close_conn(struct ht_client_conn *conn)
{
    struct h1c *h = conn->engine_data;

    if (h->call != NULL)
        return;
    h->phase = PHASE_CLOSED;
    net_io_close(&conn->io);
    ht_client_conn_finish(conn);
}

/* After the callbacks of the turn: the head of a request whose body has not begun leaves, failures are told.
 */
static void on_settle(struct net_post *post)
{
    struct h1c *h = CONTAINER_OF(post, struct h1c, settle);
    struct ht_client_conn *conn = h->conn;

    if (h->must_offer) {
        h->must_offer = 0;
        net_io_resume(&conn->io);
    }
    if (h->detail == NULL) {
        if (h->out.head.iov_len != 0)
            (void)ht1_out_write(&h->out, NULL, 0); /* a dead stream comes back as on_fail */
        return;
    }
    if (h->phase == PHASE_CLOSED && h->call == NULL) {
        ht_client_conn_gone(conn, h->fail, h->detail);
        ht_client_conn_finish(conn);
        return;
    }
    ht1c_die(h, h->fail, h->detail);
}

static void adopt(struct ht_client_conn *conn)
{
    struct h1c *h = xcalloc(1, sizeof(*h));

    h->conn = conn;
    h->out.io = &conn->io;
    net_post_init(&h->settle, on_settle);
    conn->engine_data = h;
    conn->capacity = 1;
    conn->io.ops = &io_ops;
    conn->io.max_unread = MAX(conn->io.max_unread, conn->max_head_bytes + 1024);
}

static void dispose(struct ht_client_conn *conn)
{
    struct h1c *h = conn->engine_data;

    net_post_cancel(&h->settle);
    free(h);
}

const struct ht_client_engine ht_http1_client = {adopt,  ht1c_start, ht1c_body,  ht1c_end,
                                                 resume, cancel,     close_conn, dispose};

/* HTTP/1.x, server side: one exchange at a time on a connection, in order.
 *
 * Happy path: on_read -> take_head() -> on_request; body bytes go from the io straight to on_body; the
 * handler's verbs write; a post (on_settle) sees that the response has left, delivers on_close and lets the
 * next head in. Bytes of later requests stay in the io meanwhile: pipelining costs no memory here, and a slow
 * reader holds up only itself. Bad heads: the engine answers, reports, and closes with a linger so that the
 * client reads the answer. Failures in an exchange: ht1s_fail() closes the io (or lingers behind an error
 * answer); on_close comes from the post. Shutdown: try_finish() once the io is closed and no exchange is
 * left.
 *
 * Timers: one a connection, moved only when an earlier deadline comes up; a timer that fires too early looks
 * again. So a request that is served at once touches no timer. */
#include "core/http/http1_server.h"

enum {
    LINGER_MS = 2000, /* for the client to read our last words */
    DRAIN_MS = 5000, /* for the rest of a body nobody wants */
};

/* ---- deadlines ---- */

static uint64_t later(uint64_t since_ms, uint32_t timeout_ms)
{
    return timeout_ms != 0 ? since_ms + timeout_ms : UINT64_MAX;
}

/* Of the request as a whole, however its bytes drip: until it is in, or its answer has begun. */
static uint64_t request_deadline(const struct h1 *h)
{
    bool is_coming = h->phase == PHASE_HEAD ? h->is_head_started
                                            : h->phase == PHASE_BODY && !h->is_over && !h->x.is_head_sent;

    return is_coming ? later(h->head_started_us / 1000, h->conn->limits->request_timeout_ms) : UINT64_MAX;
}

/* Of an exchange or a tunnel where nothing moves at all. */
static uint64_t idle_deadline(const struct h1 *h)
{
    const struct ht_limits *limits = h->conn->limits;

    if (!h->has_exchange || h->is_over)
        return UINT64_MAX;
    return later(h->conn->io.last_progress_ms, h->phase == PHASE_TUNNEL ? limits->tunnel_idle_timeout_ms
                                                                        : limits->stream_idle_timeout_ms);
}

static uint64_t phase_deadline(const struct h1 *h)
{
    const struct ht_limits *limits = h->conn->limits;

    switch (h->phase) {
    case PHASE_HEAD:
        return later(h->since_ms, h->is_head_started || h->conn->is_draining ? limits->head_timeout_ms
                                                                             : limits->idle_timeout_ms);
    case PHASE_BODY:
        return h->x.wants_body && !h->is_over ? later(h->since_ms, limits->body_idle_timeout_ms) : UINT64_MAX;
    case PHASE_DRAIN:
        return later(h->since_ms, DRAIN_MS);
    case PHASE_TUNNEL: /* we ended our direction: so long may the client take for its own */
        return h->x.is_ended ? later(h->since_ms, limits->write_idle_timeout_ms) : UINT64_MAX;
    case PHASE_WAIT: /* a client that half-closed may be gone altogether: only writing would tell */
        return h->conn->io.is_eof_told ? later(h->conn->io.last_progress_ms, limits->body_idle_timeout_ms)
                                       : UINT64_MAX;
    case PHASE_CLOSED:
        break;
    }
    return UINT64_MAX;
}

static uint64_t write_deadline(const struct h1 *h)
{
    uint64_t since_ms = MAX(h->write_since_ms, h->conn->io.last_sent_ms);

    return h->is_writing ? later(since_ms, h->conn->limits->write_idle_timeout_ms) : UINT64_MAX;
}

void ht1s_arm(struct h1 *h)
{
    uint64_t deadline = MIN(phase_deadline(h), write_deadline(h));

    deadline = MIN(deadline, MIN(request_deadline(h), idle_deadline(h)));
    if (h->phase == PHASE_CLOSED || deadline == UINT64_MAX)
        return;
    if (!timer_is_running(&h->timer) || h->timer.deadline_ms > deadline)
        timer_start(&ht1s_worker(h)->timers, &h->timer, deadline);
}

void ht1s_enter(struct h1 *h, enum phase phase)
{
    h->phase = phase;
    h->since_ms = ht1s_now_ms(h);
    ht1s_arm(h);
}

/* ---- the end ---- */

static void try_finish(struct h1 *h)
{
    if (h->conn->io.is_closed && !h->has_exchange)
        ht_server_conn_finish(h->conn);
}

static void on_lingered(struct net_io *io)
{
    try_finish(ht1s_of_io(io));
}

void ht1s_end_exchange(struct h1 *h, enum ht_close why)
{
    if (!h->has_exchange || h->is_over)
        return;
    h->is_over = 1;
    h->why = why;
    ht1s_settle_soon(h);
}

void ht1s_close_with_linger(struct h1 *h)
{
    h->phase = PHASE_CLOSED;
    timer_stop(&h->timer);
    if (h->out.head.iov_len != 0)
        (void)ht1s_write(h, NULL, 0); /* the stream ends here anyway */
    ht1s_end_exchange(h, h->x.is_ended ? HT_CLOSE_DONE : HT_CLOSE_ABORTED);
    net_io_close_gracefully(&h->conn->io, LINGER_MS, on_lingered);
}

static void close_now(struct h1 *h)
{
    h->phase = PHASE_CLOSED;
    timer_stop(&h->timer);
    net_io_close(&h->conn->io);
    ht1s_settle_soon(h); /* on_close, then try_finish() */
}

void ht1s_fail(struct h1 *h, enum ht_close why)
{
    ht1s_end_exchange(h, why);
    close_now(h);
}

/* ---- the io's callbacks ---- */

/* The client ended its direction and what it sent is not enough: no use waiting for the rest. */
static void check_cut_off(struct h1 *h)
{
    if (h->phase == PHASE_HEAD)
        ht1s_close_with_linger(h);
    else if (h->phase == PHASE_BODY && h->x.wants_body && !h->must_offer)
        ht1s_fail(h, HT_CLOSE_PEER_RESET);
    else if (h->phase == PHASE_DRAIN)
        ht1s_close_with_linger(h);
}

static size_t on_read(struct net_io *io, const char *bytes, size_t len)
{
    struct h1 *h = ht1s_of_io(io);
    size_t at = 0;

    while (at < len) {
        enum phase phase = h->phase;
        size_t taken = ht1s_take(h, bytes + at, len - at);
        at += taken;
        if (taken == 0 && h->phase == phase)
            break;
    }
    if (io->is_eof)
        check_cut_off(h);
    return at;
}

static void on_eof(struct net_io *io)
{
    struct h1 *h = ht1s_of_io(io);

    if (h->phase == PHASE_TUNNEL) {
        if (io->unread.len == 0)
            ht1s_end_tunnel_input(h);
    } else if (io->unread.len == 0 && h->phase == PHASE_BODY) {
        ht1s_fail(h, HT_CLOSE_PEER_RESET);
    } else {
        check_cut_off(h);
        ht1s_arm(h);
    }
}

static void on_error(struct net_io *io, const char *why)
{
    ht1s_fail(ht1s_of_io(io), HT_CLOSE_PEER_RESET);
}

static void on_writable(struct net_io *io)
{
    struct h1 *h = ht1s_of_io(io);

    h->is_writing = 0;
    if (h->has_exchange)
        ht1s_settle_soon(h);
    if (!h->is_stopped)
        return;
    h->is_stopped = 0;
    if (h->has_exchange && !h->is_over && !h->x.is_ended)
        h->conn->handler->on_writable(&h->x);
}

static const struct net_io_ops io_ops = {on_read, on_eof, on_writable, on_error, NULL};

/* ---- timeouts ---- */

static void on_phase_timeout(struct h1 *h)
{
    switch (h->phase) {
    case PHASE_HEAD:
        if (h->is_head_started)
            ht1s_refuse(h, 408, "no whole head in time", slice_make(NULL, 0));
        else
            ht1s_close_with_linger(h);
        break;
    case PHASE_BODY:
        ht1s_refuse_exchange(h, 408, "no body in time", HT_CLOSE_TIMEOUT_BODY);
        break;
    case PHASE_TUNNEL:
        ht1s_fail(h, HT_CLOSE_DONE);
        break;
    case PHASE_WAIT:
        ht1s_fail(h, HT_CLOSE_PEER_RESET);
        break;
    default:
        ht1s_close_with_linger(h);
    }
}

static void on_idle_timeout(struct h1 *h)
{
    if (h->phase == PHASE_TUNNEL)
        ht1s_fail(h, HT_CLOSE_TIMEOUT_IDLE);
    else
        ht1s_refuse_exchange(h, 408, "nothing moved in time", HT_CLOSE_TIMEOUT_IDLE);
}

static void on_timer(struct timer *timer)
{
    struct h1 *h = CONTAINER_OF(timer, struct h1, timer);
    uint64_t now = ht1s_now_ms(h);

    if (write_deadline(h) <= now)
        ht1s_fail(h, HT_CLOSE_TIMEOUT_WRITE);
    else if (MIN(phase_deadline(h), request_deadline(h)) <= now)
        on_phase_timeout(h);
    else if (idle_deadline(h) <= now)
        on_idle_timeout(h);
    else
        ht1s_arm(h);
}

/* ---- settling: after the callbacks of the turn ---- */

/* Everything written has left. */
static bool is_flushed(struct h1 *h)
{
    struct net_io *io = &h->conn->io;

    if (h->out.head.iov_len != 0 || (net_io_pending(io) != 0 && !io->wants_write))
        (void)ht1s_write(h, NULL, 0); /* a failure comes back as on_error */
    ht1s_note_pending(h, (ssize_t)net_io_pending(io));
    return net_io_pending(io) == 0;
}

static void begin_next(struct h1 *h)
{
    struct net_io *io = &h->conn->io;

    h->is_head_started = h->has_skipped_crlf = 0;
    if (h->phase != PHASE_DRAIN)
        ht1s_enter(h, PHASE_HEAD);
    if (io->is_eof_told && io->unread.len == 0)
        ht1s_close_with_linger(h);
    else
        net_io_resume(io);
}

static void close_exchange(struct h1 *h)
{
    struct ht_server_conn *conn = h->conn;

    --conn->num_active;
    conn->handler->on_close(&h->x, h->why);
    h->has_exchange = h->is_over = 0;
    h->response_left = 0;
    ht1_out_drop(&h->out);
    h2o_mem_clear_pool(&h->x.pool);
}

static void on_settle(struct net_post *post)
{
    struct h1 *h = CONTAINER_OF(post, struct h1, settle);
    struct net_io *io = &h->conn->io;

    if (h->must_offer) {
        h->must_offer = 0;
        net_io_resume(io);
    }
    if (h->phase == PHASE_TUNNEL && h->x.wants_body && io->is_eof_told && io->unread.len == 0)
        ht1s_end_tunnel_input(h); /* the client had ended its direction before there was a tunnel: nobody else tells */
    if (h->has_exchange && !h->is_over) {
        bool is_complete = h->x.is_ended && (!h->x.is_tunnel || h->x.is_body_done);
        if (!is_flushed(h) || !is_complete || io->is_failed) /* of a failure on_error tells */
            return;
        h->is_over = 1;
        h->why = HT_CLOSE_DONE;
    }
    if (h->has_exchange) {
        close_exchange(h);
        if (h->phase != PHASE_CLOSED && (!h->keep_alive || h->conn->is_draining))
            ht1s_close_with_linger(h);
        else if (h->phase != PHASE_CLOSED)
            begin_next(h);
    }
    try_finish(h);
}

/* ---- the engine ---- */

static size_t adopt(struct ht_server_conn *conn, const char *bytes, size_t len)
{
    struct h1 *h = xcalloc(1, sizeof(*h));

    h->conn = conn;
    h->out.io = &conn->io;
    h2o_mem_init_pool(&h->x.pool);
    net_post_init(&h->settle, on_settle);
    timer_init(&h->timer, on_timer);
    conn->engine_data = h;
    conn->io.ops = &io_ops;
    /* A whole head must fit in front of a full reading. */
    conn->io.max_unread = MAX(conn->io.max_unread, conn->limits->max_head_bytes + 1024);
    ht1s_enter(h, PHASE_HEAD);
    return len != 0 ? on_read(&conn->io, bytes, len) : 0;
}

static void drain(struct ht_server_conn *conn)
{
    struct h1 *h = conn->engine_data;

    if (h->phase != PHASE_HEAD || h->is_head_started)
        return;
    if (conn->num_requests != 0)
        ht1s_close_with_linger(h);
    else
        ht1s_enter(h, PHASE_HEAD); /* a new client's first request is on its way: it gets its answer */
}

static void close_conn(struct ht_server_conn *conn)
{
    ht1s_fail(conn->engine_data, HT_CLOSE_ABORTED);
}

static void dispose(struct ht_server_conn *conn)
{
    struct h1 *h = conn->engine_data;

    timer_stop(&h->timer);
    net_post_cancel(&h->settle);
    h2o_mem_clear_pool(&h->x.pool);
    free(h);
}

const struct ht_server_engine ht_http1_server = {adopt, drain, close_conn, dispose};

/* HTTP/1.x, server side: one exchange at a time on a connection, in order.
 *
 * Happy path: on_read -> take_head() -> on_request; body bytes go from the io straight to on_body; the handler's verbs
 * write; a post (on_settle) sees that the response has left, delivers on_close and lets the next head in. Bytes of
 * later requests stay in the io meanwhile: pipelining costs no memory here, and a slow reader holds up only itself.
 * Bad heads: the engine answers, reports, and closes with a linger so that the client reads the answer.
 * Failures in an exchange: fail() closes the io (or lingers behind an error answer); on_close comes from the post.
 * Shutdown: try_finish() once the io is closed and no exchange is left.
 *
 * Timers: one a connection, moved only when an earlier deadline comes up; a timer that fires too early looks again. So
 * a request that is served at once touches no timer. */
#include "core/http/engine.h"
#include "core/http/chars.h"
#include "core/http/http1_parse.h"
#include "core/http/http1_write.h"
#include "core/http/websocket.h"

#include <assert.h>

enum {
    LINGER_MS = 2000,        /* for the client to read our last words */
    DRAIN_MS = 5000,         /* for the rest of a body nobody wants */
    SPARE_FIELDS = 4,        /* what a proxy adds without growing the list */
};

enum phase {
    PHASE_HEAD,   /* between requests, or a head is coming in */
    PHASE_BODY,   /* a request body is coming in */
    PHASE_WAIT,   /* the request is complete, its exchange is not: what arrives is kept by the io */
    PHASE_DRAIN,  /* the rest of a body after its response */
    PHASE_TUNNEL,
    PHASE_CLOSED, /* closed or lingering; nothing is read any more */
};

struct h1 {
    struct ht_server_conn *conn; /* borrowed: it owns us as engine_data */
    struct ht_exchange x;        /* valid while has_exchange; its pool always */
    struct net_post settle;
    struct timer timer;
    enum phase phase;
    enum ht_close why; /* of an exchange that is over */
    struct ht1_scan scan;
    struct ht1_chunked chunked;
    uint64_t body_left;     /* of a request body with Content-Length */
    uint64_t drained;       /* bytes swallowed in PHASE_DRAIN */
    uint64_t response_left; /* of a response with Content-Length */
    struct ht1_out out;     /* a waiting response head is pool memory */
    struct slice websocket_key;
    uint64_t head_started_us;
    uint64_t since_ms;       /* what the phase's timeout counts from */
    uint64_t write_since_ms; /* output waits without progress since then */
    uint64_t write_mark;     /* io.bytes_out then */
    unsigned has_exchange : 1, is_over : 1 /* on_close is due */, is_head_started : 1, has_skipped_crlf : 1,
        is_chunked : 1 /* request */, keep_alive : 1, must_continue : 1 /* 100 is owed */, has_resumed : 1,
        is_response_chunked : 1, is_until_close : 1, has_no_body : 1 /* response: HEAD, 204, 304 */,
        is_stopped : 1 /* owes on_writable */, is_writing : 1 /* output waits for the kernel */,
        must_offer : 1 /* nothing was taken, but resume came meanwhile */;
};

static const struct ht_exchange_ops exchange_ops;
static const struct net_io_ops io_ops;

static struct h1 *h1_of_io(struct net_io *io)
{
    return CONTAINER_OF(io, struct ht_server_conn, io)->engine_data;
}

static struct h1 *h1_of(struct ht_exchange *x)
{
    return CONTAINER_OF(x, struct h1, x);
}

static struct net_worker *worker_of(struct h1 *h)
{
    return h->conn->io.worker;
}

static uint64_t now_ms(struct h1 *h)
{
    return net_now_ms(worker_of(h));
}

static void settle_soon(struct h1 *h)
{
    net_post(worker_of(h), &h->settle);
}

/* ---- deadlines ---- */

static uint64_t later(uint64_t since_ms, uint32_t timeout_ms)
{
    return timeout_ms != 0 ? since_ms + timeout_ms : UINT64_MAX;
}

static uint64_t phase_deadline(const struct h1 *h)
{
    const struct ht_limits *limits = h->conn->limits;

    switch (h->phase) {
    case PHASE_HEAD:
        return later(h->since_ms, h->is_head_started ? limits->head_timeout_ms : limits->idle_timeout_ms);
    case PHASE_BODY:
        return h->x.wants_body && !h->is_over ? later(h->since_ms, limits->body_idle_timeout_ms) : UINT64_MAX;
    case PHASE_DRAIN:
        return later(h->since_ms, DRAIN_MS);
    case PHASE_TUNNEL: /* we ended our direction: so long may the client take for its own */
        return h->x.is_ended ? later(h->since_ms, limits->write_idle_timeout_ms) : UINT64_MAX;
    case PHASE_WAIT: /* a client that half-closed may be gone altogether: only writing would tell */
        return h->conn->io.is_eof_told ? later(h->conn->io.last_progress_ms, limits->body_idle_timeout_ms) : UINT64_MAX;
    case PHASE_CLOSED:
        break;
    }
    return UINT64_MAX;
}

static uint64_t write_deadline(const struct h1 *h)
{
    return h->is_writing ? later(h->write_since_ms, h->conn->limits->write_idle_timeout_ms) : UINT64_MAX;
}

static void arm(struct h1 *h)
{
    uint64_t deadline = MIN(phase_deadline(h), write_deadline(h));

    if (h->phase == PHASE_CLOSED || deadline == UINT64_MAX)
        return;
    if (!timer_is_running(&h->timer) || h->timer.deadline_ms > deadline)
        timer_start(&worker_of(h)->timers, &h->timer, deadline);
}

static void enter(struct h1 *h, enum phase phase)
{
    h->phase = phase;
    h->since_ms = now_ms(h);
    arm(h);
}

/* ---- the end ---- */

static void try_finish(struct h1 *h)
{
    if (h->conn->io.is_closed && !h->has_exchange)
        ht_server_conn_finish(h->conn);
}

static void on_lingered(struct net_io *io)
{
    try_finish(h1_of_io(io));
}

static void end_exchange(struct h1 *h, enum ht_close why)
{
    if (!h->has_exchange || h->is_over)
        return;
    h->is_over = 1;
    h->why = why;
    settle_soon(h);
}

static ssize_t write_all(struct h1 *h, const struct iovec *iov, int num);

/* Nothing more will be read or answered; what was answered gets its time to leave. */
static void close_with_linger(struct h1 *h)
{
    h->phase = PHASE_CLOSED;
    timer_stop(&h->timer);
    if (h->out.head.iov_len != 0)
        (void)write_all(h, NULL, 0); /* the stream ends here anyway */
    end_exchange(h, h->x.is_ended ? HT_CLOSE_DONE : HT_CLOSE_ABORTED);
    net_io_close_gracefully(&h->conn->io, LINGER_MS, on_lingered);
}

static void close_now(struct h1 *h)
{
    h->phase = PHASE_CLOSED;
    timer_stop(&h->timer);
    net_io_close(&h->conn->io);
    settle_soon(h); /* on_close, then try_finish() */
}

/* The connection cannot go on, and the exchange with it. */
static void fail(struct h1 *h, enum ht_close why)
{
    end_exchange(h, why);
    close_now(h);
}

/* ---- answers of the engine's own ---- */

static void write_refusal(struct h1 *h, unsigned status, const char *detail)
{
    const char *reason = ht_status_reason(status);
    const char *allow = status == 405 ? "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT\r\n" : "";
    struct slice date = ht_date(worker_of(h));
    char text[512];

    int body_len = snprintf(NULL, 0, "%u %s: %s\n", status, reason, detail);
    int len = snprintf(text, sizeof(text),
                       "HTTP/1.1 %u %s\r\ndate: %.*s\r\n%scontent-type: text/plain; charset=utf-8\r\n"
                       "content-length: %d\r\nconnection: close\r\n\r\n%u %s: %s\n",
                       status, reason, (int)date.len, date.base, allow, body_len, status, reason, detail);
    net_io_buffer(&h->conn->io, text, MIN((size_t)len, sizeof(text) - 1));
}

static void refuse(struct h1 *h, unsigned status, const char *detail, struct slice head)
{
    if (h->conn->handler->on_bad_request != NULL)
        h->conn->handler->on_bad_request(h->conn, status, detail, head);
    if (h->phase == PHASE_CLOSED) /* by the callback */
        return;
    write_refusal(h, status, detail);
    close_with_linger(h);
}

/* The request turned out bad after it was handed over. */
static void refuse_body(struct h1 *h, enum ht1_refusal refusal, enum ht_close why)
{
    if (h->phase == PHASE_DRAIN) { /* the answer stands */
        close_with_linger(h);
        return;
    }
    if (h->x.is_head_sent || h->is_over) {
        fail(h, why);
        return;
    }
    h->x.is_head_sent = 1;
    h->x.status = ht1_status(refusal);
    write_refusal(h, h->x.status, ht1_detail(refusal));
    end_exchange(h, why);
    close_with_linger(h);
}

/* ---- request heads ---- */

static struct slice first_line(const char *bytes, size_t len)
{
    const char *cr = memchr(bytes, '\r', MIN(len, (size_t)256));

    return slice_make(bytes, cr != NULL ? (size_t)(cr - bytes) : MIN(len, (size_t)256));
}

static void refuse_head(struct h1 *h, enum ht1_refusal why, const char *bytes, size_t len)
{
    refuse(h, ht1_status(why), ht1_detail(why), first_line(bytes, len));
}

static void fill_exchange(struct h1 *h, const struct ht1_request *request)
{
    struct ht_exchange *x = &h->x;

    ht_exchange_init(x, h->conn, &exchange_ops);
    x->started_us = h->head_started_us;
    x->id = h->conn->num_requests;
    x->method = request->method;
    x->authority = request->authority;
    x->target = request->target;
    x->version = request->version;
    x->headers = request->headers;
    x->content_length = request->content_length;
    x->has_body = request->is_chunked || request->content_length > 0;
    x->te_trailers = request->te_trailers;
    x->expects_continue = request->expects_continue;
    if (request->websocket_key.base != NULL)
        x->upgrade = SLICE("websocket");
}

static void begin_exchange(struct h1 *h, const struct ht1_request *request)
{
    fill_exchange(h, request);
    h->has_exchange = 1;
    h->is_over = h->is_stopped = h->is_response_chunked = h->is_until_close = h->has_no_body = 0;
    ht1_out_drop(&h->out);
    h->keep_alive = request->keep_alive;
    h->must_continue = request->expects_continue;
    h->websocket_key = request->websocket_key;
    h->is_chunked = request->is_chunked;
    h->chunked = (struct ht1_chunked){.state = HT1_CHUNK_SIZE};
    h->scan = (struct ht1_scan){0, 0, 0};
    h->body_left = request->content_length > 0 ? (uint64_t)request->content_length : 0;
    h->phase = h->x.has_body ? PHASE_BODY : PHASE_WAIT; /* no deadline in either until the handler asks for more */
    h->conn->handler->on_request(&h->x);
}

/* A whole head: the only copy of it goes to the pool and is parsed there. */
static void accept_head(struct h1 *h, const char *bytes, size_t len)
{
    const struct ht_limits *limits = h->conn->limits;
    uint32_t num_fields = h->scan.num_lines + SPARE_FIELDS;
    char *head = h2o_mem_alloc_pool(&h->x.pool, len);
    struct ht_header *fields = h2o_mem_alloc_pool(&h->x.pool, num_fields * sizeof(*fields));
    struct ht1_request request;

    memcpy(head, bytes, len);
    enum ht1_refusal why = ht1_parse_request(head, len, limits, h->conn->io.ssl != NULL, fields, &request);
    if (why == HT1_OK && limits->max_body_bytes != 0 && request.content_length > 0 &&
        (uint64_t)request.content_length > limits->max_body_bytes)
        why = HT1_LONG_BODY;
    if (why != HT1_OK) {
        refuse_head(h, why, bytes, len);
        h2o_mem_clear_pool(&h->x.pool);
        return;
    }
    request.headers.cap = num_fields;
    begin_exchange(h, &request);
}

static enum ht1_refusal check_head_limits(const struct h1 *h, size_t len, bool is_whole)
{
    const struct ht_limits *limits = h->conn->limits;

    if (h->scan.num_lines == 0 && len > limits->max_target_bytes + HT1_MAX_METHOD + sizeof(" HTTP/1.1\r\n") + 1)
        return HT1_LONG_TARGET;
    if (len > limits->max_head_bytes)
        return HT1_LONG_HEAD;
    if (h->scan.num_lines > limits->max_headers + 1)
        return HT1_MANY_FIELDS;
    return HT1_OK;
}

static void begin_head(struct h1 *h)
{
    h->is_head_started = 1;
    h->head_started_us = worker_of(h)->now_us;
    h->since_ms = now_ms(h);
}

static size_t take_head(struct h1 *h, const char *bytes, size_t len)
{
    enum ht1_refusal why;

    /* RFC 9112 2.2: an empty line before a request is ignored; one. */
    if (!h->is_head_started && !h->has_skipped_crlf && bytes[0] == '\r') {
        if (len == 1)
            return 0;
        h->has_skipped_crlf = 1;
        if (bytes[1] == '\n')
            return 2;
    }
    if (!h->is_head_started)
        begin_head(h);
    if (ht_token_lower[(uint8_t)bytes[0]] == 0) { /* TLS on a plain port, for one: no use waiting for its line end */
        refuse_head(h, HT1_BAD_METHOD, "", 0);
        return len;
    }
    ssize_t head_len = ht1_scan(&h->scan, bytes, len);
    size_t seen = head_len > 0 ? (size_t)head_len : len;
    why = head_len < 0 ? HT1_BAD_LINE_END : check_head_limits(h, seen, head_len > 0);
    if (why != HT1_OK) {
        refuse_head(h, why, bytes, len);
        return len;
    }
    if (head_len == 0) {
        arm(h);
        return 0;
    }
    accept_head(h, bytes, seen);
    return seen;
}

/* ---- request bodies ---- */

static void end_body(struct h1 *h)
{
    if (h->phase == PHASE_DRAIN) {
        enter(h, h->has_exchange ? PHASE_WAIT : PHASE_HEAD);
        return;
    }
    h->x.is_body_done = 1;
    h->phase = PHASE_WAIT;
    h->conn->handler->on_body_end(&h->x);
}

/* Hands payload to the handler, or swallows it. Returns how many bytes were taken. */
static size_t take_payload(struct h1 *h, const char *bytes, size_t len)
{
    if (h->phase == PHASE_DRAIN) {
        h->drained += len;
        return len;
    }
    h->has_resumed = 0;
    h->must_continue = 0; /* the client did not wait */
    size_t taken = h->conn->handler->on_body(&h->x, bytes, len);
    assert(taken <= len);
    h->since_ms = now_ms(h);
    h->x.body_bytes_in += taken;
    if (taken < len && !h->has_resumed)
        h->x.wants_body = 0;
    if (taken == 0 && h->has_resumed) { /* not at once: that could go on for ever */
        h->must_offer = 1;
        settle_soon(h);
    }
    return taken;
}

static size_t take_sized(struct h1 *h, const char *bytes, size_t len)
{
    size_t offered = MIN(len, h->body_left), taken = take_payload(h, bytes, offered);

    h->body_left -= taken;
    if (h->body_left == 0 && (h->phase == PHASE_BODY || h->phase == PHASE_DRAIN))
        end_body(h);
    return taken;
}

static bool is_reading_body(const struct h1 *h)
{
    return h->phase == PHASE_DRAIN || (h->phase == PHASE_BODY && h->x.wants_body);
}

/* The trailer section, once it is there whole. */
static size_t take_trailers(struct h1 *h, const char *bytes, size_t len)
{
    const struct ht_limits *limits = h->conn->limits;
    enum ht1_refusal why = HT1_OK;
    ssize_t section = ht1_scan(&h->scan, bytes, len);

    if (section < 0)
        why = HT1_BAD_LINE_END;
    else if ((section > 0 ? (size_t)section : len) > limits->max_trailer_bytes + 2)
        why = HT1_LONG_TRAILERS;
    else if (h->scan.num_lines > limits->max_headers)
        why = HT1_MANY_FIELDS;
    else if (section == 0)
        return 0;
    if (why == HT1_OK && section > 2 && h->phase == PHASE_BODY) {
        char *copy = h2o_mem_alloc_pool(&h->x.pool, (size_t)section);
        struct ht_header *fields = h2o_mem_alloc_pool(&h->x.pool, h->scan.num_lines * sizeof(*fields));
        memcpy(copy, bytes, (size_t)section);
        why = ht1_parse_trailers(copy, (size_t)section, fields, &h->x.trailers);
        h->x.trailers.cap = h->scan.num_lines;
    }
    if (why != HT1_OK) {
        refuse_body(h, why, HT_CLOSE_PROTOCOL);
        return len;
    }
    end_body(h);
    return (size_t)section;
}

static bool is_body_too_long(const struct h1 *h)
{
    uint64_t max = h->conn->limits->max_body_bytes;

    return max != 0 && h->phase == PHASE_BODY &&
           (h->chunked.left > max || h->x.body_bytes_in > max - h->chunked.left);
}

/* One step: framing up to the next payload, or payload, or the trailers. Returns bytes taken, 0 to wait. */
static size_t take_chunked(struct h1 *h, const char *bytes, size_t len)
{
    enum ht1_refusal why;

    if (h->chunked.state == HT1_CHUNK_TRAILERS)
        return take_trailers(h, bytes, len);
    if (h->chunked.state == HT1_CHUNK_DATA && h->chunked.left != 0) {
        size_t taken = take_payload(h, bytes, MIN(len, h->chunked.left));
        h->chunked.left -= taken;
        return taken;
    }
    ssize_t taken = ht1_chunked_read(&h->chunked, bytes, len, &why);
    if (taken < 0) {
        refuse_body(h, why, HT_CLOSE_PROTOCOL);
        return len;
    }
    if (is_body_too_long(h)) {
        refuse_body(h, HT1_LONG_BODY, HT_CLOSE_TOO_LARGE);
        return len;
    }
    return (size_t)taken;
}

static size_t take_body(struct h1 *h, const char *bytes, size_t len)
{
    size_t at = 0, taken;

    while (at < len && is_reading_body(h)) {
        taken = h->is_chunked ? take_chunked(h, bytes + at, len - at) : take_sized(h, bytes + at, len - at);
        at += taken;
        if (taken == 0)
            break;
    }
    if (h->phase == PHASE_DRAIN && h->drained > h->conn->limits->drain_body_bytes)
        close_with_linger(h);
    arm(h);
    return at;
}

/* ---- tunnels ---- */

static void end_tunnel(struct h1 *h)
{
    if (h->x.is_body_done && h->x.is_ended)
        settle_soon(h);
}

static void end_tunnel_input(struct h1 *h)
{
    if (h->x.is_body_done || h->is_over)
        return;
    h->x.is_body_done = 1;
    h->conn->handler->on_body_end(&h->x);
    end_tunnel(h);
}

static size_t take_tunnel(struct h1 *h, const char *bytes, size_t len)
{
    if (h->is_over || !h->x.wants_body)
        return 0;
    size_t taken = take_payload(h, bytes, len);
    if (taken == len && h->conn->io.is_eof && h->phase == PHASE_TUNNEL)
        end_tunnel_input(h);
    return taken;
}

/* ---- the io's callbacks ---- */

static size_t take(struct h1 *h, const char *bytes, size_t len)
{
    switch (h->phase) {
    case PHASE_HEAD:
        return take_head(h, bytes, len);
    case PHASE_BODY:
    case PHASE_DRAIN:
        return take_body(h, bytes, len);
    case PHASE_TUNNEL:
        return take_tunnel(h, bytes, len);
    case PHASE_WAIT:
        return 0;
    case PHASE_CLOSED:
        break;
    }
    return len;
}

/* The client ended its direction and what it sent is not enough: no use waiting for the rest. */
static void check_cut_off(struct h1 *h)
{
    if (h->phase == PHASE_HEAD)
        close_with_linger(h);
    else if (h->phase == PHASE_BODY && h->x.wants_body && !h->must_offer)
        fail(h, HT_CLOSE_PEER_RESET);
    else if (h->phase == PHASE_DRAIN)
        close_with_linger(h);
}

static size_t on_read(struct net_io *io, const char *bytes, size_t len)
{
    struct h1 *h = h1_of_io(io);
    size_t at = 0;

    while (at < len) {
        enum phase phase = h->phase;
        size_t taken = take(h, bytes + at, len - at);
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
    struct h1 *h = h1_of_io(io);

    if (h->phase == PHASE_TUNNEL) {
        if (io->unread.len == 0)
            end_tunnel_input(h);
    } else if (io->unread.len == 0 && h->phase == PHASE_BODY) {
        fail(h, HT_CLOSE_PEER_RESET);
    } else {
        check_cut_off(h);
        arm(h);
    }
}

static void on_error(struct net_io *io, const char *why)
{
    fail(h1_of_io(io), HT_CLOSE_PEER_RESET);
}

static void on_writable(struct net_io *io)
{
    struct h1 *h = h1_of_io(io);

    h->is_writing = 0;
    if (h->has_exchange)
        settle_soon(h);
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
            refuse(h, 408, "no whole head in time", slice_make(NULL, 0));
        else
            close_with_linger(h);
        break;
    case PHASE_BODY:
        if (!h->x.is_head_sent) {
            h->x.is_head_sent = 1;
            h->x.status = 408;
            write_refusal(h, 408, "no body in time");
            end_exchange(h, HT_CLOSE_TIMEOUT_BODY);
            close_with_linger(h);
        } else {
            fail(h, HT_CLOSE_TIMEOUT_BODY);
        }
        break;
    case PHASE_TUNNEL:
        fail(h, HT_CLOSE_DONE);
        break;
    case PHASE_WAIT:
        fail(h, HT_CLOSE_PEER_RESET);
        break;
    default:
        close_with_linger(h);
    }
}

static void on_timer(struct timer *timer)
{
    struct h1 *h = CONTAINER_OF(timer, struct h1, timer);
    uint64_t now = now_ms(h);

    if (h->is_writing && h->conn->io.bytes_out != h->write_mark) {
        h->write_mark = h->conn->io.bytes_out;
        h->write_since_ms = h->conn->io.last_progress_ms;
    }
    if (write_deadline(h) <= now)
        fail(h, HT_CLOSE_TIMEOUT_WRITE);
    else if (phase_deadline(h) <= now)
        on_phase_timeout(h);
    else
        arm(h);
}

/* ---- writing ---- */

/* Output waits in the io: from now on the kernel has to take some of it. */
static void note_pending(struct h1 *h, ssize_t pending)
{
    if (pending <= 0 || h->is_writing)
        return;
    h->is_writing = 1;
    h->write_since_ms = now_ms(h);
    h->write_mark = h->conn->io.bytes_out;
    arm(h);
}

static ssize_t write_all(struct h1 *h, const struct iovec *iov, int num)
{
    ssize_t pending = ht1_out_write(&h->out, iov, num);

    note_pending(h, pending);
    return pending;
}

static char *put_status_line(char *at, unsigned status)
{
    const char *reason = ht_status_reason(status);

    at = HT1_PUT(at, "HTTP/1.1 ");
    *at++ = (char)('0' + status / 100 % 10);
    *at++ = (char)('0' + status / 10 % 10);
    *at++ = (char)('0' + status % 10);
    *at++ = ' ';
    at = ht1_put(at, reason, strlen(reason));
    return HT1_PUT(at, "\r\n");
}

static bool may_keep_alive(const struct h1 *h)
{
    const struct ht_server_conn *conn = h->conn;
    uint32_t max = conn->limits->max_requests_per_conn;

    /* A client that still waits for 100 may send its body or not: nobody could tell where its next request begins. */
    return h->keep_alive && !conn->is_draining && (max == 0 || conn->num_requests < max) && !h->must_continue;
}

static char *put_websocket(struct h1 *h, char *at, const struct ht_headers *headers)
{
    at = HT1_PUT(at, "connection: upgrade\r\nupgrade: websocket\r\n");
    if (headers != NULL && ht_headers_find(headers, SLICE("sec-websocket-accept")) != NULL)
        return at;
    at = HT1_PUT(at, "sec-websocket-accept: "); /* the upstream spoke HTTP/2, which has none */
    ht_websocket_accept(h->websocket_key, at);
    return HT1_PUT(at + HT_WEBSOCKET_ACCEPT_LEN, "\r\n");
}

/* Decides the framing and writes it. */
static char *put_framing(struct h1 *h, char *at, int64_t content_length)
{
    struct ht_exchange *x = &h->x;

    if (content_length >= 0 && x->status != 204) {
        at = HT1_PUT(at, "content-length: ");
        at = ht1_put_number(at, (uint64_t)content_length);
        at = HT1_PUT(at, "\r\n");
        h->response_left = (uint64_t)content_length;
    } else if (!h->has_no_body && x->version == HT_HTTP11) {
        at = HT1_PUT(at, "transfer-encoding: chunked\r\n");
        h->is_response_chunked = 1;
    } else if (!h->has_no_body) {
        h->is_until_close = 1;
        h->keep_alive = 0;
    }
    if (!h->keep_alive)
        at = HT1_PUT(at, "connection: close\r\n");
    else if (x->version == HT_HTTP10)
        at = HT1_PUT(at, "connection: keep-alive\r\n");
    return at;
}

enum { HEAD_EXTRA = 400 }; /* status line, date, framing, connection, websocket lines and the empty one: 330 at most */

static void write_head(struct h1 *h, const struct ht_headers *headers, int64_t content_length)
{
    size_t size = ht1_fields_size(headers) + HEAD_EXTRA;
    char *head = h2o_mem_alloc_pool(&h->x.pool, size), *at = put_status_line(head, h->x.status);

    if (headers == NULL || ht_headers_find_token(headers, H2O_TOKEN_DATE) == NULL) {
        at = HT1_PUT(at, "date: ");
        at = ht1_put_slice(at, ht_date(worker_of(h)));
        at = HT1_PUT(at, "\r\n");
    }
    if (h->x.status == 101)
        at = put_websocket(h, at, headers);
    else if (!h->x.is_tunnel)
        at = put_framing(h, at, content_length);
    at = ht1_put_fields(at, headers);
    at = HT1_PUT(at, "\r\n");
    assert((size_t)(at - head) <= size);
    h->out.head = (struct iovec){head, (size_t)(at - head)};
    settle_soon(h); /* leaves with the first piece of the body, or from there */
}

/* ---- the handler's verbs ---- */

static bool is_gone(const struct h1 *h)
{
    return !h->has_exchange || h->is_over;
}

static void exchange_info(struct ht_exchange *x, unsigned status, const struct ht_headers *headers)
{
    struct h1 *h = h1_of(x);
    struct net_io *io = &h->conn->io;

    if (is_gone(h) || x->is_head_sent || x->version != HT_HTTP11 || status / 100 != 1 || status == 101)
        return;
    if (status == 100)
        h->must_continue = 0;
    char *start = net_io_reserve(io, ht1_fields_size(headers) + HEAD_EXTRA), *at = put_status_line(start, status);
    at = ht1_put_fields(at, headers);
    at = HT1_PUT(at, "\r\n");
    net_io_commit(io, (size_t)(at - start));
}

static void exchange_abort(struct ht_exchange *x, uint32_t h2_code)
{
    struct h1 *h = h1_of(x);

    if (is_gone(h))
        return;
    /* Only a reset tells a client that reads until the end that this was not the end. */
    if (h->is_until_close && h->out.head.iov_len == 0)
        net_io_reset(&h->conn->io);
    fail(h, HT_CLOSE_ABORTED);
}

/* 101 is "make a tunnel" in every version; what goes on the wire depends on how the tunnel was asked for. */
static bool begin_tunnel(struct h1 *h, unsigned status)
{
    bool is_connect = slice_is(h->x.method, "CONNECT");

    if (!(status == 101 && (is_connect || h->x.upgrade.base != NULL)) && !(is_connect && status / 100 == 2))
        return false;
    h->x.is_tunnel = 1;
    h->x.is_body_done = 0;
    h->keep_alive = 0;
    if (is_connect && status == 101)
        h->x.status = 200;
    return true;
}

static void exchange_head(struct ht_exchange *x, unsigned status, const struct ht_headers *headers,
                          int64_t content_length)
{
    struct h1 *h = h1_of(x);

    if (is_gone(h) || x->is_head_sent)
        return;
    x->status = status;
    if (!begin_tunnel(h, status) && status < 200) { /* an upgrade nobody asked for */
        exchange_abort(x, 0);
        return;
    }
    x->is_head_sent = 1;
    h->has_no_body = slice_is(x->method, "HEAD") || status == 204 || status == 304;
    h->keep_alive = may_keep_alive(h);
    write_head(h, headers, content_length);
    if (x->is_tunnel) {
        enter(h, PHASE_TUNNEL);
        net_io_resume(&h->conn->io); /* what came behind the request belongs to the tunnel */
    }
}

static bool body_result(struct h1 *h, ssize_t pending)
{
    if (pending <= 0)
        return true; /* dead streams come back as on_close */
    h->is_stopped = 1;
    return false;
}

static bool write_chunk(struct h1 *h, const struct iovec *iov, int num, size_t len)
{
    ssize_t pending = ht1_out_chunk(&h->out, iov, num, len);

    note_pending(h, pending);
    settle_soon(h); /* a buffered one that does not leave needs its clock */
    return body_result(h, pending);
}

static bool exchange_body(struct ht_exchange *x, const struct iovec *iov, int num)
{
    struct h1 *h = h1_of(x);
    size_t len = ht1_iov_len(iov, num);

    if (is_gone(h) || !x->is_head_sent || x->is_ended || (h->has_no_body && !x->is_tunnel))
        return true;
    if (len == 0)
        return body_result(h, write_all(h, NULL, 0));
    x->body_bytes_out += len;
    if (h->is_response_chunked)
        return write_chunk(h, iov, num, len);
    if (!x->is_tunnel && !h->is_until_close) {
        if (len > h->response_left) { /* more than announced would be read as the next response */
            exchange_abort(x, 0);
            return true;
        }
        h->response_left -= len;
    }
    return body_result(h, write_all(h, iov, num));
}

/* The response is out before the request is in: swallow the rest when that is cheap, else the connection ends here. */
static void begin_drain(struct h1 *h)
{
    if (!h->is_chunked && h->body_left > h->conn->limits->drain_body_bytes)
        h->keep_alive = 0;
    h->drained = 0;
    enter(h, PHASE_DRAIN);
}

static void exchange_end(struct ht_exchange *x, const struct ht_headers *trailers)
{
    struct h1 *h = h1_of(x);

    if (is_gone(h) || x->is_ended)
        return;
    if (!x->is_head_sent || (h->response_left != 0 && !h->has_no_body && !x->is_tunnel)) {
        exchange_abort(x, 0);
        return;
    }
    x->is_ended = 1;
    if (x->is_tunnel) {
        if (h->out.head.iov_len != 0)
            (void)write_all(h, NULL, 0); /* before the FIN; a failure comes back as on_error */
        net_io_shutdown(&h->conn->io);
        enter(h, PHASE_TUNNEL);
        end_tunnel(h);
        return;
    }
    if (h->is_response_chunked)
        ht1_out_last_chunk(&h->out, x->te_trailers ? trailers : NULL);
    if (h->phase == PHASE_BODY)
        begin_drain(h);
    settle_soon(h);
}

static void exchange_resume(struct ht_exchange *x)
{
    struct h1 *h = h1_of(x);
    struct net_io *io = &h->conn->io;

    if (is_gone(h) || (x->is_ended && !x->is_tunnel))
        return;
    if (!x->wants_body)
        h->since_ms = now_ms(h);
    x->wants_body = 1;
    h->has_resumed = 1;
    if (h->must_continue && !x->is_head_sent && h->phase == PHASE_BODY)
        exchange_info(x, 100, NULL);
    if (!io->in_callback) /* inside on_read its loop goes on by itself */
        net_io_resume(io);
    arm(h);
}

static const struct ht_exchange_ops exchange_ops = {
    .info = exchange_info,
    .head = exchange_head,
    .body = exchange_body,
    .end = exchange_end,
    .abort = exchange_abort,
    .resume = exchange_resume,
};

/* ---- settling: after the callbacks of the turn ---- */

/* Everything written has left. */
static bool is_flushed(struct h1 *h)
{
    struct net_io *io = &h->conn->io;

    if (h->out.head.iov_len != 0 || (net_io_pending(io) != 0 && !io->wants_write))
        (void)write_all(h, NULL, 0); /* a failure comes back as on_error */
    note_pending(h, (ssize_t)net_io_pending(io));
    return net_io_pending(io) == 0;
}

static void begin_next(struct h1 *h)
{
    struct net_io *io = &h->conn->io;

    h->is_head_started = h->has_skipped_crlf = 0;
    h->scan = (struct ht1_scan){0, 0, 0};
    if (h->phase != PHASE_DRAIN)
        enter(h, PHASE_HEAD);
    if (io->is_eof_told && io->unread.len == 0)
        close_with_linger(h);
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
            close_with_linger(h);
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
    enter(h, PHASE_HEAD);
    return len != 0 ? on_read(&conn->io, bytes, len) : 0;
}

static void drain(struct ht_server_conn *conn)
{
    struct h1 *h = conn->engine_data;

    if (h->phase == PHASE_HEAD && !h->is_head_started && !h->has_exchange)
        close_with_linger(h);
}

static void close_conn(struct ht_server_conn *conn)
{
    fail(conn->engine_data, HT_CLOSE_ABORTED);
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

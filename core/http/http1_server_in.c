/* The HTTP/1 server's input: heads become exchanges, bodies go from the io straight to the handler, and what
 * cannot be taken for a request is answered, reported and ends the connection. Framing is followed to the
 * last byte also where nobody wants the payload (PHASE_DRAIN), because the next request begins right behind
 * it. */
#include "core/http/chars.h"
#include "core/http/http1_server.h"

#include <assert.h>

enum { SPARE_FIELDS = 4 /* what a proxy adds without growing the list */ };

/* ---- refusals ---- */

void ht1s_refuse(struct h1 *h, unsigned status, const char *detail, struct slice head)
{
    if (h->conn->handler->on_bad_request != NULL)
        h->conn->handler->on_bad_request(h->conn, status, detail, head);
    if (h->phase == PHASE_CLOSED) /* by the callback */
        return;
    ht1s_write_refusal(h, status, detail);
    ht1s_close_with_linger(h);
}

void ht1s_refuse_exchange(struct h1 *h, unsigned status, const char *detail, enum ht_close why)
{
    if (h->phase == PHASE_DRAIN) { /* the answer stands */
        ht1s_close_with_linger(h);
        return;
    }
    if (h->x.is_head_sent || h->is_over) {
        ht1s_fail(h, why);
        return;
    }
    h->x.is_head_sent = 1;
    h->x.status = status;
    ht1s_write_refusal(h, status, detail);
    ht1s_end_exchange(h, why);
    ht1s_close_with_linger(h);
}

/* ---- request heads ---- */

static struct slice first_line(const char *bytes, size_t len)
{
    const char *cr = memchr(bytes, '\r', MIN(len, (size_t)256));

    return slice_make(bytes, cr != NULL ? (size_t)(cr - bytes) : MIN(len, (size_t)256));
}

static void refuse_head(struct h1 *h, enum ht1_refusal why, const char *bytes, size_t len)
{
    ht1s_refuse(h, ht1_status(why), ht1_detail(why), first_line(bytes, len));
}

static void fill_exchange(struct h1 *h, const struct ht1_request *request)
{
    struct ht_exchange *x = &h->x;

    ht_exchange_init(x, h->conn, &ht1s_exchange_ops);
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
    h->phase = h->x.has_body ? PHASE_BODY : PHASE_WAIT;
    if (UNLIKELY(h->conn->limits->request_timeout_ms != 0 || h->conn->limits->stream_idle_timeout_ms != 0))
        ht1s_arm(h); /* else there is no deadline in either until the handler asks for more */
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

static enum ht1_refusal check_head_limits(const struct h1 *h, size_t len)
{
    const struct ht_limits *limits = h->conn->limits;

    if (h->scan.num_lines == 0 &&
        len > limits->max_target_bytes + HT1_MAX_METHOD + sizeof(" HTTP/1.1\r\n") + 1)
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
    h->scan = (struct ht1_scan){0, 0, 0}; /* trailers that were swallowed left it behind their end */
    h->head_started_us = ht1s_worker(h)->now_us;
    h->since_ms = ht1s_now_ms(h);
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
    if (ht_token_lower[(uint8_t)bytes[0]] ==
        0) { /* TLS on a plain port, for one: no use waiting for its line end */
        refuse_head(h, HT1_BAD_METHOD, "", 0);
        return len;
    }
    ssize_t head_len = ht1_scan(&h->scan, bytes, len);
    size_t seen = head_len > 0 ? (size_t)head_len : len;
    why = head_len < 0 ? HT1_BAD_LINE_END : check_head_limits(h, seen);
    if (why != HT1_OK) {
        refuse_head(h, why, bytes, len);
        return len;
    }
    if (head_len == 0) {
        ht1s_arm(h);
        return 0;
    }
    accept_head(h, bytes, seen);
    return seen;
}

/* ---- request bodies ---- */

static void end_body(struct h1 *h)
{
    if (h->phase == PHASE_DRAIN) {
        ht1s_enter(h, h->has_exchange ? PHASE_WAIT : PHASE_HEAD);
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
    h->since_ms = ht1s_now_ms(h);
    h->x.body_bytes_in += taken;
    if (taken < len && !h->has_resumed)
        h->x.wants_body = 0;
    if (taken == 0 && h->has_resumed) { /* not at once: that could go on for ever */
        h->must_offer = 1;
        ht1s_settle_soon(h);
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
    if (why == HT1_OK && section > 2 && h->phase == PHASE_BODY)
        why = ht1_keep_trailers(&h->x.pool, &h->scan, bytes, (size_t)section, &h->x.trailers);
    if (why != HT1_OK) {
        ht1s_refuse_exchange(h, ht1_status(why), ht1_detail(why), HT_CLOSE_PROTOCOL);
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
        ht1s_refuse_exchange(h, ht1_status(why), ht1_detail(why), HT_CLOSE_PROTOCOL);
        return len;
    }
    if (is_body_too_long(h)) {
        ht1s_refuse_exchange(h, ht1_status(HT1_LONG_BODY), ht1_detail(HT1_LONG_BODY), HT_CLOSE_TOO_LARGE);
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
        ht1s_close_with_linger(h);
    ht1s_arm(h);
    return at;
}

/* ---- tunnels ---- */

void ht1s_end_tunnel_input(struct h1 *h)
{
    if (h->x.is_body_done || h->is_over)
        return;
    h->x.is_body_done = 1;
    h->conn->handler->on_body_end(&h->x);
    ht1s_end_tunnel(h);
}

static size_t take_tunnel(struct h1 *h, const char *bytes, size_t len)
{
    if (h->is_over || !h->x.wants_body)
        return 0;
    size_t taken = take_payload(h, bytes, len);
    if (taken == len && h->conn->io.is_eof && h->phase == PHASE_TUNNEL)
        ht1s_end_tunnel_input(h);
    return taken;
}

/* ---- all of it ---- */

size_t ht1s_take(struct h1 *h, const char *bytes, size_t len)
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

/* The HTTP/1 server's output: how a response is framed (RFC 9112 6), and the verbs handlers call. Nothing
 * here calls back: a stream that turns out dead while writing tells so by the io's on_error, an end by the
 * settle post. */
#include "core/http/http1_server.h"
#include "core/http/websocket.h"

#include <assert.h>
#include <stdio.h>

static struct h1 *h1_of(struct ht_exchange *x)
{
    return CONTAINER_OF(x, struct h1, x);
}

/* ---- writing ---- */

/* Output waits in the io: from now on the kernel has to take some of it. */
void ht1s_note_pending(struct h1 *h, ssize_t pending)
{
    if (pending <= 0 || h->is_writing)
        return;
    h->is_writing = 1;
    h->write_since_ms = ht1s_now_ms(h);
    ht1s_arm(h);
}

ssize_t ht1s_write(struct h1 *h, const struct iovec *iov, int num)
{
    ssize_t pending = ht1_out_write(&h->out, iov, num);

    ht1s_note_pending(h, pending);
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

    /* What follows a CONNECT may be meant for the tunnel that did not come about: no request is read from it. */
    if (slice_is(h->x.method, "CONNECT"))
        return false;
    /* A client that still waits for 100 may send its body or not: nobody could tell where its next request
     * begins. */
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

enum {
    HEAD_EXTRA = 400
}; /* status line, date, framing, connection, websocket lines and the empty one: 330 at most */

static void write_head(struct h1 *h, const struct ht_headers *headers, int64_t content_length)
{
    size_t size = ht1_fields_size(headers) + HEAD_EXTRA;
    char *head = h2o_mem_alloc_pool(&h->x.pool, size), *at = put_status_line(head, h->x.status);

    if (headers == NULL || ht_headers_find_token(headers, H2O_TOKEN_DATE) == NULL) {
        at = HT1_PUT(at, "date: ");
        at = ht1_put_slice(at, ht_date(ht1s_worker(h)));
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
    ht1s_settle_soon(h); /* leaves with the first piece of the body, or from there */
}

/* ---- the engine's own answers ---- */

void ht1s_write_refusal(struct h1 *h, unsigned status, const char *detail)
{
    const char *reason = ht_status_reason(status);
    const char *allow =
        status == 405 ? "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT\r\n" : "";
    struct slice date = ht_date(ht1s_worker(h));
    char text[512];

    int body_len = snprintf(NULL, 0, "%u %s: %s\n", status, reason, detail);
    int len = snprintf(text, sizeof(text),
                       "HTTP/1.1 %u %s\r\ndate: %.*s\r\n%scontent-type: text/plain; charset=utf-8\r\n"
                       "content-length: %d\r\nconnection: close\r\n\r\n%u %s: %s\n",
                       status, reason, (int)date.len, date.base, allow, body_len, status, reason, detail);
    net_io_buffer(&h->conn->io, text, MIN((size_t)len, sizeof(text) - 1));
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
    char *start = net_io_reserve(io, ht1_fields_size(headers) + HEAD_EXTRA),
         *at = put_status_line(start, status);
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
    ht1s_fail(h, HT_CLOSE_ABORTED);
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
        ht1s_enter(h, PHASE_TUNNEL);
        net_io_resume(&h->conn->io); /* what came behind the request belongs to the tunnel */
        ht1s_settle_soon(h);         /* and so does its end, if it came */
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

    ht1s_note_pending(h, pending);
    ht1s_settle_soon(h); /* a buffered one that does not leave needs its clock */
    return body_result(h, pending);
}

static bool exchange_body(struct ht_exchange *x, const struct iovec *iov, int num)
{
    struct h1 *h = h1_of(x);
    size_t len = ht1_iov_len(iov, num);

    if (is_gone(h) || !x->is_head_sent || x->is_ended || (h->has_no_body && !x->is_tunnel))
        return true;
    if (len == 0)
        return body_result(h, ht1s_write(h, NULL, 0));
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
    return body_result(h, ht1s_write(h, iov, num));
}

/* The response is out before the request is in: swallow the rest when that is cheap, else the connection ends
 * here. */
static void begin_drain(struct h1 *h)
{
    if (!h->is_chunked && h->body_left > h->conn->limits->drain_body_bytes)
        h->keep_alive = 0;
    h->drained = 0;
    ht1s_enter(h, PHASE_DRAIN);
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
            (void)ht1s_write(h, NULL, 0); /* before the FIN; a failure comes back as on_error */
        net_io_shutdown(&h->conn->io);
        ht1s_enter(h, PHASE_TUNNEL);
        ht1s_end_tunnel(h);
        return;
    }
    if (h->is_response_chunked)
        ht1_out_last_chunk(&h->out, x->te_trailers ? trailers : NULL);
    if (h->phase == PHASE_BODY)
        begin_drain(h);
    ht1s_settle_soon(h);
}

static void exchange_resume(struct ht_exchange *x)
{
    struct h1 *h = h1_of(x);
    struct net_io *io = &h->conn->io;

    if (is_gone(h) || (x->is_ended && !x->is_tunnel))
        return;
    if (!x->wants_body)
        h->since_ms = ht1s_now_ms(h);
    x->wants_body = 1;
    h->has_resumed = 1;
    if (h->must_continue && !x->is_head_sent && h->phase == PHASE_BODY)
        exchange_info(x, 100, NULL);
    if (x->is_tunnel)
        ht1s_settle_soon(h);
    if (!io->in_callback) /* inside on_read its loop goes on by itself */
        net_io_resume(io);
    ht1s_arm(h);
}

const struct ht_exchange_ops ht1s_exchange_ops = {
    .info = exchange_info,
    .head = exchange_head,
    .body = exchange_body,
    .end = exchange_end,
    .abort = exchange_abort,
    .resume = exchange_resume,
};

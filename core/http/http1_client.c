/* HTTP/1.1, client side: one call at a time on a connection.
 *
 * Happy path: start() -> head and body leave -> take_head() -> on_head -> body bytes go from the io to
 * on_body -> on_end; the connection is idle again. It is used again only when nothing at all is odd: request
 * sent whole, response framed by itself, keep-alive, no byte behind the response. Otherwise it is closed
 * after the call. Failures: die() closes, tells the owner of the connection, then the call. What a verb
 * causes waits for a post. is_unsent at the end: not one byte of the request was taken by the kernel. */
#include "core/http/engine.h"
#include "core/http/chars.h"
#include "core/http/http1_parse.h"
#include "core/http/http1_write.h"
#include "core/http/websocket.h"

#include <assert.h>

enum {
    MAX_INFO = 16, /* interim answers a call */
    LINGER_MS = 1000, /* for a tunnel's last bytes */
    FIRST_READ = 16 * 1024, /* of a response: more only when its receiver has taken that */
    HEAD_EXTRA = 320, /* request line without its slices, and the lines of put_control() */
};

enum phase {
    PHASE_IDLE,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_TUNNEL,
    PHASE_CLOSED,
};

enum framing { FRAMING_NONE, FRAMING_SIZED, FRAMING_CHUNKED, FRAMING_UNTIL_CLOSE };

struct h1c {
    struct ht_client_conn *conn; /* borrowed: it owns us as engine_data */
    struct ht_call *call; /* borrowed; the one that runs, or NULL */
    struct net_post settle;
    enum phase phase;
    enum framing framing; /* of the response */
    struct ht1_scan scan;
    struct ht1_chunked chunked;
    uint64_t body_left; /* of a response with Content-Length */
    uint64_t request_left; /* of a request with Content-Length */
    uint64_t sent_mark; /* io.bytes_out when the call began */
    struct ht1_out out; /* a waiting request head is memory of the call's pool */
    unsigned num_info;
    enum ht_fail fail; /* what a verb caused, for the post */
    const char *detail; /* NULL: nothing */
    char websocket_accept[HT_WEBSOCKET_ACCEPT_LEN]; /* what the upstream has to answer; [0] == 0: not known */
    unsigned keep_alive : 1, is_request_chunked : 1, is_paused : 1, has_resumed : 1, must_offer : 1,
        is_stopped : 1, is_complete : 1;
};

static struct h1c *h1c_of_io(struct net_io *io)
{
    return CONTAINER_OF(io, struct ht_client_conn, io)->engine_data;
}

static struct h1c *h1c_of(struct ht_call *call)
{
    return call->conn->engine_data;
}

static void settle_soon(struct h1c *h)
{
    net_post(h->conn->io.worker, &h->settle);
}

static bool is_unsent(const struct h1c *h)
{
    return h->conn->io.bytes_out == h->sent_mark;
}

/* ---- the end ---- */

static void die(struct h1c *h, enum ht_fail fail, const char *detail)
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
        call->is_unsent = is_unsent(h);
        (void)ht_call_let_go(call); /* closed already */
        call->ops->on_fail(call, fail, detail);
    }
    ht_client_conn_finish(h->conn);
}

/* From inside a verb. */
static void die_soon(struct h1c *h, enum ht_fail fail, const char *detail)
{
    if (h->detail == NULL) {
        h->fail = fail;
        h->detail = detail;
    }
    settle_soon(h);
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

/* The response is whole. `has_rest`: bytes follow that nobody asked for. */
static void complete(struct h1c *h, bool has_rest)
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

/* ---- response heads ---- */

static bool is_websocket_answer(const struct h1c *h, const struct ht1_response *response)
{
    const struct ht_header *accept = ht_headers_find(&response->headers, SLICE("sec-websocket-accept"));

    if (h->call->upgrade.base == NULL || !response->is_websocket)
        return false;
    return h->websocket_accept[0] == '\0' ||
           (accept != NULL &&
            slice_eq(accept->value, slice_make(h->websocket_accept, HT_WEBSOCKET_ACCEPT_LEN)));
}

static void take_info(struct h1c *h, const struct ht1_response *response)
{
    if (++h->num_info > MAX_INFO)
        die(h, HT_FAIL_PROTOCOL, "too many interim responses");
    else if (response->is_chunked || response->content_length >= 0)
        die(h, HT_FAIL_PROTOCOL, "interim response with a body");
    else if (h->call->ops->on_info != NULL)
        h->call->ops->on_info(h->call, response->status, &response->headers);
}

/* RFC 9112 6.3 */
static enum framing framing_of(const struct h1c *h, const struct ht1_response *response)
{
    if (slice_is(h->call->method, "HEAD") || response->status == 204 || response->status == 304)
        return FRAMING_NONE;
    if (response->is_chunked)
        return FRAMING_CHUNKED;
    if (response->content_length >= 0)
        return response->content_length == 0 ? FRAMING_NONE : FRAMING_SIZED;
    return FRAMING_UNTIL_CLOSE;
}

static void take_final(struct h1c *h, const struct ht1_response *response)
{
    struct ht_call *call = h->call;
    bool is_tunnel =
        response->status == 101 || (slice_is(call->method, "CONNECT") && response->status / 100 == 2);

    if (response->status == 101 && !is_websocket_answer(h, response)) {
        die(h, HT_FAIL_PROTOCOL, "101 that was not asked for");
        return;
    }
    call->status = response->status;
    call->version = response->version;
    call->headers = response->headers;
    call->response_length = response->content_length;
    call->had_response = 1;
    call->is_unsent = 0;
    call->is_tunnel = is_tunnel;
    h->framing = is_tunnel ? FRAMING_UNTIL_CLOSE : framing_of(h, response);
    h->keep_alive = response->keep_alive && h->framing != FRAMING_UNTIL_CLOSE;
    h->body_left = h->framing == FRAMING_SIZED ? (uint64_t)response->content_length : 0;
    h->phase = is_tunnel ? PHASE_TUNNEL : PHASE_BODY;
    if (is_tunnel)
        call->is_ended = 0;
    call->ops->on_head(call);
    if (h->call == call && h->framing == FRAMING_NONE)
        h->is_complete = 1;
}

static void accept_head(struct h1c *h, const char *bytes, size_t len)
{
    struct ht_call *call = h->call;
    uint32_t num_fields = h->scan.num_lines;
    char *head = h2o_mem_alloc_pool(call->pool, len);
    struct ht_header *fields = h2o_mem_alloc_pool(call->pool, num_fields * sizeof(*fields));
    struct ht1_response response;

    memcpy(head, bytes, len);
    h->scan = (struct ht1_scan){0, 0, 0};
    enum ht1_refusal why = ht1_parse_response(head, len, fields, &response);
    if (why != HT1_OK) {
        die(h, HT_FAIL_PROTOCOL, ht1_detail(why));
        return;
    }
    response.headers.cap = num_fields;
    if (response.status / 100 == 1 && response.status != 101)
        take_info(h, &response);
    else
        take_final(h, &response);
}

static size_t take_head(struct h1c *h, const char *bytes, size_t len)
{
    static const char start[] = "HTTP/1.";
    uint32_t max = h->conn->max_head_bytes;
    const char *detail = NULL;

    if (is_unsent(h)) { /* an answer to something that was not asked yet */
        die(h, HT_FAIL_PROTOCOL, "bytes before the request");
        return len;
    }
    ssize_t head_len = ht1_scan(&h->scan, bytes, len);
    size_t seen = head_len > 0 ? (size_t)head_len : len;
    if (memcmp(bytes, start, MIN(len, sizeof(start) - 1)) != 0)
        detail = ht1_detail(HT1_BAD_STATUS_LINE);
    else if (head_len < 0)
        detail = ht1_detail(HT1_BAD_LINE_END);
    if (detail != NULL || seen > max || h->scan.num_lines > HT1_MAX_RESPONSE_FIELDS) {
        die(h, detail != NULL ? HT_FAIL_PROTOCOL : HT_FAIL_TOO_LARGE,
            detail != NULL ? detail : "response head too long");
        return len;
    }
    if (head_len == 0)
        return 0;
    accept_head(h, bytes, seen);
    return seen;
}

/* ---- response bodies ---- */

static size_t take_payload(struct h1c *h, const char *bytes, size_t len)
{
    struct ht_call *call = h->call;

    h->has_resumed = 0;
    size_t taken = call->ops->on_body(call, bytes, len);
    assert(taken <= len);
    if (h->call != call) /* cancelled */
        return taken;
    if ((taken < len || call->is_held) && !h->has_resumed)
        h->is_paused = 1;
    else
        h->conn->io.max_read = NET_SCRATCH_SIZE;
    if (taken == 0 && h->has_resumed) { /* not at once: that could go on for ever */
        h->must_offer = 1;
        settle_soon(h);
    }
    return taken;
}

static size_t take_sized(struct h1c *h, const char *bytes, size_t len)
{
    size_t taken = take_payload(h, bytes, MIN(len, h->body_left));

    h->body_left -= taken;
    h->is_complete = h->body_left == 0;
    return taken;
}

static size_t take_trailers(struct h1c *h, const char *bytes, size_t len)
{
    struct ht_call *call = h->call;
    enum ht1_refusal why = HT1_OK;
    ssize_t section = ht1_scan(&h->scan, bytes, len);

    if (section < 0)
        why = HT1_BAD_LINE_END;
    else if ((section > 0 ? (size_t)section : len) > h->conn->max_head_bytes ||
             h->scan.num_lines > HT1_MAX_RESPONSE_FIELDS)
        why = HT1_LONG_TRAILERS;
    else if (section == 0)
        return 0;
    if (why == HT1_OK && section > 2) {
        char *copy = h2o_mem_alloc_pool(call->pool, (size_t)section);
        struct ht_header *fields = h2o_mem_alloc_pool(call->pool, h->scan.num_lines * sizeof(*fields));
        memcpy(copy, bytes, (size_t)section);
        why = ht1_parse_trailers(copy, (size_t)section, fields, &call->trailers);
        call->trailers.cap = h->scan.num_lines;
    }
    if (why != HT1_OK) {
        die(h, HT_FAIL_PROTOCOL, ht1_detail(why));
        return len;
    }
    h->is_complete = 1;
    return (size_t)section;
}

static size_t take_chunked(struct h1c *h, const char *bytes, size_t len)
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
    if (taken >= 0)
        return (size_t)taken;
    die(h, HT_FAIL_PROTOCOL, ht1_detail(why));
    return len;
}

static size_t take_body(struct h1c *h, const char *bytes, size_t len)
{
    if (h->is_paused || h->is_complete)
        return 0;
    switch (h->framing) {
    case FRAMING_SIZED:
        return take_sized(h, bytes, len);
    case FRAMING_CHUNKED:
        return take_chunked(h, bytes, len);
    case FRAMING_UNTIL_CLOSE:
        return take_payload(h, bytes, len);
    case FRAMING_NONE:
        break;
    }
    return 0;
}

/* ---- the io's callbacks ---- */

static size_t take(struct h1c *h, const char *bytes, size_t len)
{
    switch (h->phase) {
    case PHASE_HEAD:
        return take_head(h, bytes, len);
    case PHASE_BODY:
    case PHASE_TUNNEL:
        return take_body(h, bytes, len);
    case PHASE_IDLE:
        die(h, HT_FAIL_PROTOCOL, "bytes on an idle connection");
        return len;
    case PHASE_CLOSED:
        break;
    }
    return len;
}

/* The upstream has ended and everything it sent was offered. */
static void end_of_input(struct h1c *h, bool is_all_taken)
{
    switch (h->phase) {
    case PHASE_IDLE:
        die(h, HT_FAIL_RESET, "closed by the upstream while idle");
        break;
    case PHASE_HEAD:
        die(h, HT_FAIL_RESET, is_all_taken ? "closed before a response" : "closed inside the response head");
        break;
    case PHASE_BODY:
    case PHASE_TUNNEL:
        if (h->framing == FRAMING_UNTIL_CLOSE && is_all_taken)
            complete(h, false);
        else if (is_all_taken || (!h->is_paused && !h->must_offer))
            die(h, HT_FAIL_CLOSED_EARLY, "closed inside the response body");
        break;
    case PHASE_CLOSED:
        break;
    }
}

static size_t on_read(struct net_io *io, const char *bytes, size_t len)
{
    struct h1c *h = h1c_of_io(io);
    size_t at = 0;

    while (at < len && !h->is_complete) {
        enum phase phase = h->phase;
        size_t taken = take(h, bytes + at, len - at);
        at += taken;
        if (taken == 0 && h->phase == phase)
            break;
    }
    if (h->phase == PHASE_CLOSED)
        return len;
    if (h->is_complete) {
        h->is_complete = 0;
        complete(h, at < len);
        return h->phase == PHASE_CLOSED ? len : at;
    }
    if (io->is_eof)
        end_of_input(h, at == len);
    if (h->phase != PHASE_CLOSED && h->is_paused)
        net_io_pause(io); /* what nobody takes stays with the kernel, and the upstream notices */
    return h->phase == PHASE_CLOSED ? len : at;
}

static void on_eof(struct net_io *io)
{
    end_of_input(h1c_of_io(io), io->unread.len == 0);
}

static void on_error(struct net_io *io, const char *why)
{
    die(h1c_of_io(io), HT_FAIL_RESET, why);
}

static void on_writable(struct net_io *io)
{
    struct h1c *h = h1c_of_io(io);

    if (!h->is_stopped)
        return;
    h->is_stopped = 0;
    if (h->call != NULL && !h->call->is_ended && h->call->ops->on_writable != NULL)
        h->call->ops->on_writable(h->call);
}

static const struct net_io_ops io_ops = {on_read, on_eof, on_writable, on_error, NULL};

/* ---- request heads ---- */

/* Last look before foreign bytes go upstream: whoever made the call checked, this is the wall behind. */
static bool is_sendable(const struct ht_call *call)
{
    if (!ht_is_token(call->method) || !ht_is_target(call->target))
        return false;
    for (size_t i = 0; i < call->authority.len; i++)
        if ((uint8_t)call->authority.base[i] <= ' ' || (uint8_t)call->authority.base[i] >= 0x7f)
            return false;
    return true;
}

static bool expects_content(struct slice method)
{
    return slice_is(method, "POST") || slice_is(method, "PUT") || slice_is(method, "PATCH");
}

/* The upgrade with a key of our own where the downstream had none (it spoke HTTP/2). */
static char *put_upgrade(struct h1c *h, char *at)
{
    const struct ht_headers *headers = h->call->request_headers;
    const struct ht_header *key =
        headers != NULL ? ht_headers_find(headers, SLICE("sec-websocket-key")) : NULL;
    char fresh[HT_WEBSOCKET_KEY_LEN];

    at = HT1_PUT(at, "connection: upgrade\r\nupgrade: websocket\r\n");
    if (key == NULL) {
        ht_websocket_key(fresh);
        at = HT1_PUT(at, "sec-websocket-key: ");
        at = ht1_put(at, fresh, sizeof(fresh));
        at = HT1_PUT(at, "\r\n");
    }
    if (headers == NULL || ht_headers_find(headers, SLICE("sec-websocket-version")) == NULL)
        at = HT1_PUT(at, "sec-websocket-version: 13\r\n");
    ht_websocket_accept(key != NULL ? key->value : slice_make(fresh, sizeof(fresh)), h->websocket_accept);
    return at;
}

static char *put_control(struct h1c *h, char *at)
{
    const struct ht_call *call = h->call;

    if (call->upgrade.base != NULL)
        at = put_upgrade(h, at);
    else if (call->request_headers != NULL &&
             ht_headers_find_token(call->request_headers, H2O_TOKEN_TE) != NULL)
        at = HT1_PUT(at, "te: trailers\r\nconnection: te\r\n");
    if (call->has_body && call->request_length < 0)
        at = HT1_PUT(at, "transfer-encoding: chunked\r\n");
    else if (call->has_body || expects_content(call->method)) {
        at = HT1_PUT(at, "content-length: ");
        at = ht1_put_number(at, call->has_body ? (uint64_t)call->request_length : 0);
        at = HT1_PUT(at, "\r\n");
    }
    if (call->has_body && call->expect_continue)
        at = HT1_PUT(at, "expect: 100-continue\r\n");
    return at;
}

static void make_head(struct h1c *h)
{
    struct ht_call *call = h->call;
    size_t size = call->method.len + call->target.len + call->authority.len +
                  ht1_fields_size(call->request_headers) + HEAD_EXTRA;
    char *head = h2o_mem_alloc_pool(call->pool, size), *at = head;

    at = ht1_put_slice(at, call->method);
    *at++ = ' ';
    at = ht1_put_slice(at, call->target);
    at = HT1_PUT(at, " HTTP/1.1\r\nhost: ");
    at = ht1_put_slice(at, call->authority);
    at = HT1_PUT(at, "\r\n");
    at = put_control(h, at);
    at = ht1_put_fields(at, call->request_headers);
    at = HT1_PUT(at, "\r\n");
    assert((size_t)(at - head) <= size);
    h->out.head = (struct iovec){head, (size_t)(at - head)};
}

/* ---- writing ---- */

static bool body_result(struct h1c *h, ssize_t pending)
{
    if (pending <= 0)
        return true; /* a dead stream comes back as on_fail */
    h->is_stopped = 1;
    return false;
}

/* ---- the engine's verbs ---- */

static void start(struct ht_client_conn *conn, struct ht_call *call)
{
    struct h1c *h = conn->engine_data;

    assert(h->call == NULL && h->phase == PHASE_IDLE); /* the caller checked `capacity` */
    ++conn->num_active;
    conn->capacity = 0;
    h->call = call;
    h->sent_mark = conn->io.bytes_out;
    h->num_info = 0;
    h->scan = (struct ht1_scan){0, 0, 0};
    h->chunked = (struct ht1_chunked){.state = HT1_CHUNK_SIZE};
    h->is_paused = h->must_offer = h->is_stopped = h->keep_alive = 0;
    h->websocket_accept[0] = '\0';
    h->is_request_chunked = call->has_body && call->request_length < 0;
    h->request_left = call->has_body && call->request_length > 0 ? (uint64_t)call->request_length : 0;
    h->phase = PHASE_HEAD;
    conn->io.max_read = FIRST_READ;
    if (!is_sendable(call)) {
        die_soon(h, HT_FAIL_PROTOCOL, "request that cannot be sent");
        return;
    }
    make_head(h);
    if (call->has_body)
        settle_soon(h); /* leaves with the first piece of the body, or from there */
    else
        (void)ht1_out_write(&h->out, NULL, 0); /* a dead stream comes back as on_fail */
}

static bool body(struct ht_call *call, const struct iovec *iov, int num)
{
    struct h1c *h = h1c_of(call);
    size_t len = ht1_iov_len(iov, num);

    if (h->phase == PHASE_CLOSED || call->is_ended || h->detail != NULL)
        return true;
    if (len == 0)
        return body_result(h, ht1_out_write(&h->out, NULL, 0));
    if (call->is_tunnel)
        return body_result(h, ht1_out_write(&h->out, iov, num));
    if (h->is_request_chunked)
        return body_result(h, ht1_out_chunk(&h->out, iov, num, len));
    if (len > h->request_left) { /* more than announced would be read as the next request */
        die_soon(h, HT_FAIL_PROTOCOL, "request body longer than announced");
        return true;
    }
    h->request_left -= len;
    return body_result(h, ht1_out_write(&h->out, iov, num));
}

static void end(struct ht_call *call, const struct ht_headers *trailers)
{
    struct h1c *h = h1c_of(call);

    if (h->phase == PHASE_CLOSED || call->is_ended || h->detail != NULL)
        return;
    call->is_ended = 1;
    if (call->is_tunnel) {
        net_io_shutdown(&h->conn->io);
        return;
    }
    if (h->request_left != 0) {
        die_soon(h, HT_FAIL_PROTOCOL, "request body shorter than announced");
        return;
    }
    if (h->is_request_chunked)
        ht1_out_last_chunk(&h->out, trailers);
}

static void resume(struct ht_call *call)
{
    struct h1c *h = h1c_of(call);
    struct net_io *io = &h->conn->io;

    h->is_paused = 0;
    h->has_resumed = 1;
    if (!io->in_callback) /* inside on_read its loop goes on by itself */
        net_io_resume(io);
}

/* Bytes of this call may be on the wire: the connection is of no use to another. */
static void cancel(struct ht_call *call)
{
    struct h1c *h = h1c_of(call);

    if (h->call != call)
        return;
    h->call = NULL;
    ht1_out_drop(&h->out);
    (void)ht_call_let_go(call); /* closed right here */
    h->conn->capacity = 0;
    if (h->phase == PHASE_CLOSED) /* die() is under way */
        return;
    h->phase = PHASE_CLOSED;
    net_io_close(&h->conn->io);
    die_soon(h, HT_FAIL_RESET, "closed because its call was cancelled");
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
    die(h, h->fail, h->detail);
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

const struct ht_client_engine ht_http1_client = {adopt,  start,  body,       end,
                                                 resume, cancel, close_conn, dispose};

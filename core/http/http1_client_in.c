/* The HTTP/1 client's input: heads and bodies of responses go from the io to the call. */
#include "core/http/http1_client.h"

#include <assert.h>

enum { MAX_INFO = 16 /* interim answers a call */ };

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
        ht1c_die(h, HT_FAIL_PROTOCOL, "too many interim responses");
    else if (response->is_chunked || response->content_length >= 0)
        ht1c_die(h, HT_FAIL_PROTOCOL, "interim response with a body");
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
        ht1c_die(h, HT_FAIL_PROTOCOL, "101 that was not asked for");
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
        ht1c_die(h, HT_FAIL_PROTOCOL, ht1_detail(why));
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

    if (ht1c_is_unsent(h)) { /* an answer to something that was not asked yet */
        ht1c_die(h, HT_FAIL_PROTOCOL, "bytes before the request");
        return len;
    }
    ssize_t head_len = ht1_scan(&h->scan, bytes, len);
    size_t seen = head_len > 0 ? (size_t)head_len : len;
    if (memcmp(bytes, start, MIN(len, sizeof(start) - 1)) != 0)
        detail = ht1_detail(HT1_BAD_STATUS_LINE);
    else if (head_len < 0)
        detail = ht1_detail(HT1_BAD_LINE_END);
    if (detail != NULL || seen > max || h->scan.num_lines > HT1_MAX_RESPONSE_FIELDS) {
        ht1c_die(h, detail != NULL ? HT_FAIL_PROTOCOL : HT_FAIL_TOO_LARGE,
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
        ht1c_settle_soon(h);
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
    if (why == HT1_OK && section > 2)
        why = ht1_keep_trailers(call->pool, &h->scan, bytes, (size_t)section, &call->trailers);
    if (why != HT1_OK) {
        ht1c_die(h, HT_FAIL_PROTOCOL, ht1_detail(why));
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
    ht1c_die(h, HT_FAIL_PROTOCOL, ht1_detail(why));
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

/* ---- what comes in ---- */

static size_t take(struct h1c *h, const char *bytes, size_t len)
{
    switch (h->phase) {
    case PHASE_HEAD:
        return take_head(h, bytes, len);
    case PHASE_BODY:
    case PHASE_TUNNEL:
        return take_body(h, bytes, len);
    case PHASE_IDLE:
        ht1c_die(h, HT_FAIL_PROTOCOL, "bytes on an idle connection");
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
        ht1c_die(h, HT_FAIL_RESET, "closed by the upstream while idle");
        break;
    case PHASE_HEAD:
        ht1c_die(h, HT_FAIL_RESET,
                 is_all_taken ? "closed before a response" : "closed inside the response head");
        break;
    case PHASE_BODY:
    case PHASE_TUNNEL:
        if (h->framing == FRAMING_UNTIL_CLOSE && is_all_taken)
            ht1c_complete(h, false);
        else if (is_all_taken || (!h->is_paused && !h->must_offer))
            ht1c_die(h, HT_FAIL_CLOSED_EARLY, "closed inside the response body");
        break;
    case PHASE_CLOSED:
        break;
    }
}

size_t ht1c_on_read(struct net_io *io, const char *bytes, size_t len)
{
    struct h1c *h = ht1c_of_io(io);
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
        ht1c_complete(h, at < len);
        return h->phase == PHASE_CLOSED ? len : at;
    }
    if (io->is_eof)
        end_of_input(h, at == len);
    if (h->phase != PHASE_CLOSED && h->is_paused)
        net_io_pause(io); /* what nobody takes stays with the kernel, and the upstream notices */
    return h->phase == PHASE_CLOSED ? len : at;
}

void ht1c_on_eof(struct net_io *io)
{
    end_of_input(ht1c_of_io(io), io->unread.len == 0);
}

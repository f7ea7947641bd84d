/* The HTTP/1 client's output: the head of the request waits for the first piece of its body, and both leave
 * in one system call. */
#include "core/http/chars.h"
#include "core/http/http1_client.h"

#include <assert.h>

enum {
    FIRST_READ = 16 * 1024, /* of a response: more only when its receiver has taken that */
    HEAD_EXTRA = 320, /* request line without its slices, and the lines of put_control() */
};

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

void ht1c_start(struct ht_client_conn *conn, struct ht_call *call)
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
        ht1c_die_soon(h, HT_FAIL_PROTOCOL, "request that cannot be sent");
        return;
    }
    make_head(h);
    if (call->has_body)
        ht1c_settle_soon(h); /* leaves with the first piece of the body, or from there */
    else
        (void)ht1_out_write(&h->out, NULL, 0); /* a dead stream comes back as on_fail */
}

bool ht1c_body(struct ht_call *call, const struct iovec *iov, int num)
{
    struct h1c *h = ht1c_of(call);
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
        ht1c_die_soon(h, HT_FAIL_PROTOCOL, "request body longer than announced");
        return true;
    }
    h->request_left -= len;
    return body_result(h, ht1_out_write(&h->out, iov, num));
}

void ht1c_end(struct ht_call *call, const struct ht_headers *trailers)
{
    struct h1c *h = ht1c_of(call);

    if (h->phase == PHASE_CLOSED || call->is_ended || h->detail != NULL)
        return;
    call->is_ended = 1;
    if (call->is_tunnel) {
        net_io_shutdown(&h->conn->io);
        return;
    }
    if (h->request_left != 0) {
        ht1c_die_soon(h, HT_FAIL_PROTOCOL, "request body shorter than announced");
        return;
    }
    if (h->is_request_chunked)
        ht1_out_last_chunk(&h->out, trailers);
}

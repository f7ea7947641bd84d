/* Requests, and the verbs of a call. A request waits for the flush: by then it is known whether a body
 * follows. */
#include "core/http/http2_client.h"

enum {
    LAST_STREAM_IDS = 1000, /* so near to 2^31 the connection is used up */
    MAX_NV = 128, /* field lines built on the stack */
};

/* ---- the request's way out ---- */

/* RFC 8441 4: an extended CONNECT; "sec-websocket-key" has no meaning there. */
static size_t drop_handshake_fields(nghttp2_nv *nv, size_t num)
{
    static const struct slice key = SLICE("sec-websocket-key");
    size_t kept = 0;

    for (size_t i = 0; i < num; i++)
        if (!slice_eq(slice_make((const char *)nv[i].name, nv[i].namelen), key))
            nv[kept++] = nv[i];
    return kept;
}

static size_t pseudo_fields(const struct ht_call *call, nghttp2_nv *nv)
{
    bool is_extended = call->upgrade.len != 0;
    size_t num = 0;

    nv[num++] = ht_h2_nv(SLICE(":method"), is_extended ? SLICE("CONNECT") : call->method);
    if (is_extended)
        nv[num++] = ht_h2_nv(SLICE(":protocol"), call->upgrade);
    if (is_extended || !slice_eq(call->method, SLICE("CONNECT"))) {
        nv[num++] = ht_h2_nv(SLICE(":scheme"), call->scheme);
        nv[num++] = ht_h2_nv(SLICE(":path"), call->target);
    }
    if (call->authority.len != 0)
        nv[num++] = ht_h2_nv(SLICE(":authority"), call->authority);
    return num;
}

static bool has_open_body(const struct ht_call *call)
{
    return call->has_body || call->upgrade.len != 0 || slice_eq(call->method, SLICE("CONNECT"));
}

/* The fields stay where they are: they are the caller's until the call ends, and a request that ends before
 * it is sent is cancelled inside nghttp2 without another look at them. */
static void submit(struct ht_h2_stream *h2)
{
    struct stream *stream = ht2c_stream_of_h2(h2);
    struct ht_call *call = stream->call;
    nghttp2_data_provider provider = ht_h2_provider(h2);
    nghttp2_nv on_stack[MAX_NV], *nv = on_stack;
    bool is_whole = !has_open_body(call) || (h2->is_out_ended && h2->out.len == 0 && h2->num_trailers == 0);
    size_t num;

    if (ht_h2_num_fields(call->request_headers) + 7 > MAX_NV)
        nv = h2o_mem_alloc_pool(call->pool, sizeof(*nv) * (ht_h2_num_fields(call->request_headers) + 7));
    num = ht_h2_add_fields(nv, pseudo_fields(call, nv), NULL, call->request_headers);
    if (call->upgrade.len != 0)
        num = drop_handshake_fields(nv, num);
    else if (call->expect_continue && call->has_body)
        nv[num++] = ht_h2_nv(SLICE("expect"), SLICE("100-continue"));
    if (call->has_body && call->request_length >= 0)
        nv[num++] =
            ht_h2_nv(SLICE("content-length"), ht_h2_decimal(call->pool, (uint64_t)call->request_length));
    h2->id = nghttp2_submit_request(h2->h2->session, NULL, nv, num, is_whole ? NULL : &provider, stream);
    if (h2->id < 0) {
        ht2c_fail(stream, HT_FAIL_REFUSED, "the connection takes no more requests");
        return;
    }
    stream->is_submitted = 1;
    if (h2->id > INT32_MAX - LAST_STREAM_IDS)
        ht_client_conn_gone(stream->client->conn, HT_FAIL_REFUSED, "the connection is used up");
}

void ht2c_submit_waiting(struct client *client)
{
    while (!list_is_empty(&client->waiting)) {
        struct stream *stream = LIST_FIRST(&client->waiting, struct stream, link);
        list_remove(&stream->link);
        list_push(&client->streams, &stream->link);
        if (client->allows_connect)
            ht_h2_submit_later(&stream->h2);
        else
            ht2c_fail(stream, HT_FAIL_PROTOCOL, "the upstream does not allow extended CONNECT (RFC 8441)");
    }
}

/* Verbs never call back: what cannot be is told from the turn. */
void ht2c_start(struct ht_client_conn *conn, struct ht_call *call)
{
    struct client *client = ht2c_of_conn(conn);
    struct stream *stream = ht_h2_stream_alloc();

    memset(stream, 0, sizeof(*stream));
    ht_h2_stream_init(&stream->h2, &client->h2, -1);
    stream->call = call;
    stream->client = client;
    stream->content_length = -1;
    list_init(&stream->link);
    call->conn = conn;
    call->engine_data = stream;
    if (conn->num_active++ == 0)
        client->read_ms = net_now_ms(conn->io.worker);
    ht2c_update_capacity(client);
    ht2c_watch(client);
    if (call->upgrade.len != 0 && !client->has_settings) {
        list_push(&client->waiting, &stream->link);
        return;
    }
    list_push(&client->streams, &stream->link);
    ht_h2_submit_later(&stream->h2);
}

void ht2c_submit(struct ht_h2_stream *h2)
{
    struct stream *stream = ht2c_stream_of_h2(h2);

    if (stream->client->is_closing || stream->client->h2.is_closed)
        ht2c_fail(stream, HT_FAIL_REFUSED, "the connection is closing");
    else if (stream->call->upgrade.len != 0 && !stream->client->allows_connect)
        ht2c_fail(stream, HT_FAIL_PROTOCOL, "the upstream does not allow extended CONNECT (RFC 8441)");
    else
        submit(h2);
}

bool ht2c_body(struct ht_call *call, const struct iovec *iov, int num)
{
    struct stream *stream = call->engine_data;

    if (stream->h2.is_out_ended)
        return true;
    return ht_h2_send(&stream->h2, iov, num);
}

void ht2c_end(struct ht_call *call, const struct ht_headers *trailers)
{
    struct stream *stream = call->engine_data;
    nghttp2_nv *nv = NULL;
    size_t num = 0;

    if (stream->h2.is_out_ended)
        return;
    if (ht_h2_num_fields(trailers) != 0) {
        nv = h2o_mem_alloc_pool(call->pool, sizeof(*nv) * trailers->num);
        num = ht_h2_add_fields(nv, 0, call->pool, trailers);
    }
    call->is_ended = 1;
    ht_h2_send_end(&stream->h2, nv, num);
}

void ht2c_resume(struct ht_call *call)
{
    struct stream *stream = call->engine_data;

    stream->h2.is_in_paused = 0;
    if (stream->h2.in.len != 0 || stream->h2.is_remote_done)
        ht_h2_offer_later(&stream->h2);
}

void ht2c_cancel(struct ht_call *call)
{
    struct stream *stream = call->engine_data;

    ht2c_reset(stream, NGHTTP2_CANCEL);
    (void)ht2c_let_go(stream);
}

void ht2c_tell_writable(struct ht_h2_stream *h2)
{
    struct stream *stream = ht2c_stream_of_h2(h2);

    stream->call->ops->on_writable(stream->call);
}

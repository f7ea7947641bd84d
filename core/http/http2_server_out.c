/* The handler's verbs. A head waits for the flush: by then it is known whether a body follows, and an empty
 * answer is one frame. */
#include "core/http/http2_server.h"

enum { MAX_NV = 64 }; /* field lines of an interim answer */

static struct stream *stream_of(struct ht_exchange *x)
{
    return CONTAINER_OF(x, struct stream, x);
}

/* ---- the response's way out: exchange verbs ---- */

static void x_info(struct ht_exchange *x, unsigned status, const struct ht_headers *headers)
{
    struct stream *stream = stream_of(x);
    struct ht_h2 *h2 = stream->h2.h2;
    nghttp2_nv nv[MAX_NV];
    size_t num = 1;

    if (stream->is_ended || x->is_head_sent || status < 100 || status > 199 || status == 101)
        return;
    if (headers != NULL && headers->num > MAX_NV - 1)
        return; /* an interim answer may be left out */
    nv[0] = ht_h2_nv(SLICE(":status"), ht_h2_decimal(&x->pool, status));
    num = ht_h2_add_fields(nv, num, NULL, headers);
    for (size_t i = 0; i < num; i++)
        nv[i].flags = NGHTTP2_NV_FLAG_NONE; /* copied: it may wait longer than the exchange lives */
    (void)nghttp2_submit_headers(h2->session, NGHTTP2_FLAG_NONE, stream->h2.id, NULL, nv, num, NULL);
    ht_h2_flush_later(h2);
}

static void x_resume(struct ht_exchange *x)
{
    struct stream *stream = stream_of(x);

    if (stream->is_ended)
        return;
    if (!x->wants_body && x->expects_continue && !x->is_head_sent && x->has_body && x->body_bytes_in == 0)
        x_info(x, 100, NULL);
    x->wants_body = 1;
    stream->h2.is_in_paused = 0;
    stream->h2.in_moved_ms = ht2s_now_ms(stream->server);
    if (stream->h2.in.len != 0 || stream->h2.is_remote_done)
        ht_h2_offer_later(&stream->h2);
    if (!x->is_head_sent && !stream->h2.is_remote_done)
        ht2s_wake_after(stream->server, x->conn->limits->body_idle_timeout_ms);
}

/* ":status", the fields, "date" and "content-length" where they are missing. */
static void build_head(struct stream *stream, unsigned status, const struct ht_headers *headers)
{
    struct ht_exchange *x = &stream->x;
    nghttp2_nv *nv = h2o_mem_alloc_pool(&x->pool, sizeof(*nv) * (ht_h2_num_fields(headers) + 3));
    size_t num = 0;

    if (status == 200)
        nv[num++] = ht_h2_nv(SLICE(":status"), SLICE("200"));
    else
        nv[num++] = ht_h2_nv(SLICE(":status"), ht_h2_decimal(&x->pool, status));
    if (headers == NULL || ht_headers_find_token(headers, H2O_TOKEN_DATE) == NULL)
        nv[num++] = ht_h2_nv(SLICE("date"), ht_pool_dup(&x->pool, ht_date(x->conn->io.worker)));
    num = ht_h2_add_fields(nv, num, &x->pool, headers);
    if (stream->response_length >= 0 && !x->is_tunnel && status != 204)
        nv[num++] =
            ht_h2_nv(SLICE("content-length"), ht_h2_decimal(&x->pool, (uint64_t)stream->response_length));
    stream->head_nv = nv;
    stream->num_head_nv = num;
}

/* "sec-websocket-accept" answers a key that RFC 8441 clients never sent. */
static void drop_handshake_fields(struct stream *stream)
{
    static const struct slice accept = SLICE("sec-websocket-accept");
    size_t kept = 0;

    for (size_t i = 0; i < stream->num_head_nv; i++) {
        nghttp2_nv nv = stream->head_nv[i];
        if (!slice_eq(slice_make((const char *)nv.name, nv.namelen), accept))
            stream->head_nv[kept++] = nv;
    }
    stream->num_head_nv = kept;
}

static void x_head(struct ht_exchange *x, unsigned status, const struct ht_headers *headers,
                   int64_t content_length)
{
    struct stream *stream = stream_of(x);

    if (stream->is_ended || x->is_head_sent)
        return;
    x->is_tunnel = stream->is_connect && (status == 101 || (x->upgrade.len == 0 && status / 100 == 2));
    if (status == 101)
        status = 200;
    x->is_head_sent = 1;
    x->status = status;
    stream->h2.out_moved_ms = ht2s_now_ms(stream->server);
    stream->response_length = content_length;
    stream->is_bodyless = slice_eq(x->method, SLICE("HEAD")) || status == 204 || status == 304;
    build_head(stream, status, headers);
    if (x->is_tunnel) {
        ht2s_wake_after(stream->server, x->conn->limits->tunnel_idle_timeout_ms);
        drop_handshake_fields(stream);
        if (stream->h2.in.len != 0 || stream->h2.is_remote_done)
            ht_h2_offer_later(&stream->h2);
    }
    ht_h2_submit_later(&stream->h2);
}

/* In the flush, when it is known whether a body follows: an empty answer is one frame. */
void ht2s_submit_head(struct ht_h2_stream *h2)
{
    struct stream *stream = ht2s_stream_of_h2(h2);
    nghttp2_data_provider provider = ht_h2_provider(h2);
    bool is_whole = h2->is_out_ended && h2->out.len == 0 && h2->num_trailers == 0;

    if (nghttp2_submit_response(h2->h2->session, h2->id, stream->head_nv, stream->num_head_nv,
                                is_whole ? NULL : &provider) != 0)
        ht2s_reset(stream, NGHTTP2_INTERNAL_ERROR, HT_CLOSE_ABORTED);
}

static void x_abort(struct ht_exchange *x, uint32_t h2_code)
{
    ht2s_reset(stream_of(x), h2_code != 0 ? h2_code : NGHTTP2_INTERNAL_ERROR, HT_CLOSE_ABORTED);
}

static bool x_body(struct ht_exchange *x, const struct iovec *iov, int num)
{
    struct stream *stream = stream_of(x);

    if (stream->is_ended || x->is_ended || stream->is_bodyless)
        return true;
    for (int i = 0; i < num; i++)
        x->body_bytes_out += iov[i].iov_len;
    if (stream->response_length >= 0 && !x->is_tunnel &&
        x->body_bytes_out > (uint64_t)stream->response_length) {
        x_abort(x, 0);
        return true;
    }
    return ht_h2_send(&stream->h2, iov, num);
}

static void x_end(struct ht_exchange *x, const struct ht_headers *trailers)
{
    struct stream *stream = stream_of(x);
    nghttp2_nv *nv = NULL;
    size_t num = 0;

    if (stream->is_ended || x->is_ended)
        return;
    if (!x->is_head_sent || (stream->response_length >= 0 && !stream->is_bodyless && !x->is_tunnel &&
                             x->body_bytes_out != (uint64_t)stream->response_length)) {
        x_abort(x, 0);
        return;
    }
    x->is_ended = 1;
    ht2s_plan_rest(stream);
    if (ht_h2_num_fields(trailers) != 0 && !stream->is_bodyless) {
        nv = h2o_mem_alloc_pool(&x->pool, sizeof(*nv) * trailers->num);
        num = ht_h2_add_fields(nv, 0, &x->pool, trailers);
    }
    ht_h2_send_end(&stream->h2, nv, num);
}

const struct ht_exchange_ops ht2s_exchange_ops = {x_info, x_head, x_body, x_end, x_abort, x_resume};

void ht2s_tell_writable(struct ht_h2_stream *h2)
{
    struct stream *stream = ht2s_stream_of_h2(h2);

    stream->x.handler->on_writable(&stream->x);
}

/* HTTP/1.x heads as bytes, and the order in which bytes leave. */
#include "core/http/http1_write.h"

#include "core/http/http1_parse.h"

enum {
    COALESCE_MAX = 16 * 1024 /* a larger chunk is worth a system call of its own, a smaller one a copy */
};

static bool is_engines(const struct ht_header *header)
{
    return ht_is_hop_field(header) || header->token == H2O_TOKEN_CONTENT_LENGTH ||
           header->token == H2O_TOKEN_HOST;
}

size_t ht1_fields_size(const struct ht_headers *headers)
{
    size_t size = 0;

    for (uint32_t i = 0; headers != NULL && i < headers->num; i++)
        size += headers->at[i].name.len + headers->at[i].value.len + sizeof(": \r\n") - 1;
    return size;
}

static char *put_field(char *at, const struct ht_header *header)
{
    at = ht1_put_slice(at, header->name);
    at = HT1_PUT(at, ": ");
    at = ht1_put_slice(at, header->value);
    return HT1_PUT(at, "\r\n");
}

char *ht1_put_fields(char *at, const struct ht_headers *headers)
{
    for (uint32_t i = 0; headers != NULL && i < headers->num; i++)
        if (!is_engines(&headers->at[i]))
            at = put_field(at, &headers->at[i]);
    return at;
}

char *ht1_put_trailers(char *at, const struct ht_headers *trailers)
{
    for (uint32_t i = 0; trailers != NULL && i < trailers->num; i++)
        if (!ht_is_forbidden_trailer(&trailers->at[i]))
            at = put_field(at, &trailers->at[i]);
    return HT1_PUT(at, "\r\n");
}

char *ht1_put_number(char *at, uint64_t value)
{
    char digits[HT1_NUMBER_MAX];
    size_t len = 0;

    do
        digits[sizeof(digits) - ++len] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    return ht1_put(at, digits + sizeof(digits) - len, len);
}

/* ---- the way out ---- */

ssize_t ht1_out_write(struct ht1_out *out, const struct iovec *iov, int num)
{
    struct iovec all[num + 1];
    int skip = out->head.iov_len == 0;

    all[0] = out->head;
    if (num != 0)
        memcpy(all + 1, iov, sizeof(*iov) * (size_t)num);
    ht1_out_drop(out);
    return net_io_write(out->io, all + skip, num + 1 - skip);
}

static void buffer_head(struct ht1_out *out)
{
    if (out->head.iov_len != 0)
        net_io_buffer(out->io, out->head.iov_base, out->head.iov_len);
    ht1_out_drop(out);
}

static void buffer_chunk(struct ht1_out *out, const struct iovec *iov, int num, size_t len)
{
    /* With room for the last chunk, which follows soon or never. */
    char *start = net_io_reserve(out->io, HT1_CHUNK_HEAD_MAX + len + sizeof("\r\n0\r\n\r\n")), *at = start;

    at += ht1_chunk_head(at, len);
    for (int i = 0; i < num; i++)
        at = ht1_put_slice(at, slice_make(iov[i].iov_base, iov[i].iov_len));
    at = HT1_PUT(at, "\r\n");
    net_io_commit(out->io, (size_t)(at - start));
}

ssize_t ht1_out_chunk(struct ht1_out *out, const struct iovec *iov, int num, size_t len)
{
    struct iovec all[num + 2];
    char head[HT1_CHUNK_HEAD_MAX];

    if (len <= COALESCE_MAX && net_io_pending(out->io) <= COALESCE_MAX) {
        buffer_head(out);
        buffer_chunk(out, iov, num, len);
        return 0;
    }
    all[0] = (struct iovec){head, ht1_chunk_head(head, len)};
    memcpy(all + 1, iov, sizeof(*iov) * (size_t)num);
    all[num + 1] = (struct iovec){"\r\n", 2};
    return ht1_out_write(out, all, num + 2);
}

void ht1_out_last_chunk(struct ht1_out *out, const struct ht_headers *trailers)
{
    buffer_head(out);
    char *start = net_io_reserve(out->io, ht1_fields_size(trailers) + sizeof("0\r\n\r\n")),
         *at = HT1_PUT(start, "0\r\n");
    at = ht1_put_trailers(at, trailers);
    net_io_commit(out->io, (size_t)(at - start));
}

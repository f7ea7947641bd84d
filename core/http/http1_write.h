/* Writing HTTP/1.x heads: pieces both engines put together. Sizes first, then bytes into room of that size. */
#ifndef SELVEDGE_HTTP_HTTP1_WRITE_H
#define SELVEDGE_HTTP_HTTP1_WRITE_H

#include "core/http/http.h"

/* Fields as "name: value" lines, without those the engine writes itself: connection-level ones, content-length, host. */
size_t ht1_fields_size(const struct ht_headers *headers); /* an upper bound; NULL: 0 */
char *ht1_put_fields(char *at, const struct ht_headers *headers);
/* Trailers, without what may not be one, and the empty line. */
char *ht1_put_trailers(char *at, const struct ht_headers *trailers);

enum { HT1_NUMBER_MAX = 20 };
char *ht1_put_number(char *at, uint64_t value);

static inline char *ht1_put(char *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}
static inline char *ht1_put_slice(char *at, struct slice text)
{
    return text.len != 0 ? ht1_put(at, text.base, text.len) : at;
}
#define HT1_PUT(at, literal) ht1_put((at), (literal), sizeof(literal) - 1)

static inline size_t ht1_iov_len(const struct iovec *iov, int num)
{
    size_t len = 0;

    for (int i = 0; i < num; i++)
        len += iov[i].iov_len;
    return len;
}

#endif

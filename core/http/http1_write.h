/* Writing HTTP/1.x: the pieces of heads both engines put together (sizes first, then bytes into room of that
 * size), and the way out: a head waits for the first piece of its body, small chunks for the end of the turn,
 * so that a message leaves in one system call. */
#ifndef SELVEDGE_HTTP_HTTP1_WRITE_H
#define SELVEDGE_HTTP_HTTP1_WRITE_H

#include "core/http/http.h"

/* Fields as "name: value" lines, without those the engine writes itself: connection-level ones,
 * content-length, host. */
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

/* ---- the way out ---- */

struct ht1_out {
    struct net_io *io; /* borrowed */
    struct iovec head; /* not handed to the io yet; borrowed (a pool's) */
};

/* The waiting head and these pieces, in one system call. As net_io_write(). */
ssize_t ht1_out_write(struct ht1_out *out, const struct iovec *iov, int num);
/* The pieces, `len` bytes above 0 together, as one chunk. Small ones are only buffered (0 then). */
ssize_t ht1_out_chunk(struct ht1_out *out, const struct iovec *iov, int num, size_t len);
/* The last chunk and the trailers (may be NULL); buffered. */
void ht1_out_last_chunk(struct ht1_out *out, const struct ht_headers *trailers);
static inline void ht1_out_drop(struct ht1_out *out)
{
    out->head = (struct iovec){NULL, 0};
}

static inline size_t ht1_iov_len(const struct iovec *iov, int num)
{
    size_t len = 0;

    for (int i = 0; i < num; i++)
        len += iov[i].iov_len;
    return len;
}

#endif

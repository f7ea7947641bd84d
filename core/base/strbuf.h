/* A growing text, always NUL-terminated once anything was added.
 *
 * Threads: none shared. Ownership: embedded; strbuf_clear() frees, strbuf_take() hands the heap string over.
 * Errors: out of memory aborts. */
#ifndef SELVEDGE_BASE_STRBUF_H
#define SELVEDGE_BASE_STRBUF_H

#include "core/base/defs.h"

#include <stdarg.h>

struct strbuf {
    char *base;
    size_t len, cap;
};

#define STRBUF_INIT ((struct strbuf){NULL, 0, 0})

void strbuf_clear(struct strbuf *buf); /* frees; reusable after */
static inline void strbuf_reset(struct strbuf *buf)
{
    buf->len = 0;
    if (buf->base != NULL)
        buf->base[0] = '\0';
}
/* Room for `more` bytes and a NUL; returns where to write. Follow with `buf->len += n`. */
char *strbuf_reserve(struct strbuf *buf, size_t more);
void strbuf_add(struct strbuf *buf, const void *bytes, size_t len);
void strbuf_adds(struct strbuf *buf, const char *str);
void strbuf_addc(struct strbuf *buf, char c);
void strbuf_addf(struct strbuf *buf, const char *fmt, ...) _printf_(2, 3);
void strbuf_vaddf(struct strbuf *buf, const char *fmt, va_list args);
void strbuf_addu(struct strbuf *buf, uint64_t value); /* decimal, without printf */
static inline void strbuf_add_slice(struct strbuf *buf, struct slice s)
{
    strbuf_add(buf, s.base, s.len);
}
/* The heap string (never NULL); the buffer is empty after. */
char *strbuf_take(struct strbuf *buf);
static inline struct slice strbuf_slice(const struct strbuf *buf)
{
    return (struct slice){buf->base != NULL ? buf->base : "", buf->len};
}

#endif

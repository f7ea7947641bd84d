/* A growing text. */
#include "core/base/strbuf.h"

#include <assert.h>
#include <stdio.h>

void strbuf_clear(struct strbuf *buf)
{
    free(buf->base);
    *buf = STRBUF_INIT;
}

char *strbuf_reserve(struct strbuf *buf, size_t more)
{
    if (buf->cap - buf->len <= more) {
        size_t cap = MAX(buf->cap * 2, (size_t)64);
        while (cap - buf->len <= more)
            cap *= 2;
        buf->base = xrealloc(buf->base, cap);
        buf->cap = cap;
    }
    return buf->base + buf->len;
}

void strbuf_add(struct strbuf *buf, const void *bytes, size_t len)
{
    char *at = strbuf_reserve(buf, len);
    if (len != 0)
        memcpy(at, bytes, len);
    buf->len += len;
    buf->base[buf->len] = '\0';
}

void strbuf_adds(struct strbuf *buf, const char *str)
{
    strbuf_add(buf, str, strlen(str));
}

void strbuf_addc(struct strbuf *buf, char c)
{
    strbuf_add(buf, &c, 1);
}

void strbuf_vaddf(struct strbuf *buf, const char *fmt, va_list args)
{
    va_list again;
    assert(fmt != NULL);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    char *at = strbuf_reserve(buf, (size_t)len);
    vsnprintf(at, (size_t)len + 1, fmt, again);
    va_end(again);
    buf->len += (size_t)len;
}

void strbuf_addf(struct strbuf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    strbuf_vaddf(buf, fmt, args);
    va_end(args);
}

void strbuf_addu(struct strbuf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    strbuf_add(buf, digits + at, sizeof(digits) - at);
}

char *strbuf_take(struct strbuf *buf)
{
    char *text = buf->base != NULL ? buf->base : xstrdup("");
    *buf = STRBUF_INIT;
    return text;
}

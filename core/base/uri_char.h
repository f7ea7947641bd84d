/* Character classes of RFC 3986. Private to core/base/uri*.c. */
#ifndef SELVEDGE_BASE_URI_CHAR_H
#define SELVEDGE_BASE_URI_CHAR_H

#include "core/base/defs.h"

enum {
    URI_UNRESERVED = 1, /* ALPHA DIGIT - . _ ~ */
    URI_SEGMENT = 2, /* pchar without ';': stands for itself in a normal path */
    URI_VISIBLE = 4, /* 0x21-0x7e */
};

extern const unsigned char uri_char_class[256];

static inline bool uri_char_is(char c, unsigned mask)
{
    return (uri_char_class[(unsigned char)c] & mask) != 0;
}

static inline bool uri_char_is_visible(char c)
{
    return c > 0x20 && c < 0x7f;
}

/* The value of a hexadecimal digit, or -1. */
static inline int uri_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the %XX at `at` stands for, or -1. */
static inline int uri_percent_value(const char *at, size_t left)
{
    if (left < 3)
        return -1;
    int high = uri_hex_value(at[1]), low = uri_hex_value(at[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static inline char *uri_put_percent(char *out, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    out[0] = '%';
    out[1] = digits[byte >> 4];
    out[2] = digits[byte & 15];
    return out + 3;
}

#endif

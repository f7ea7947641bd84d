/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef SELVEDGE_BASE_UTF8_H
#define SELVEDGE_BASE_UTF8_H

#include "core/base/defs.h"

/* Length of the well-formed sequence at `at` (1-4), or 0. Reads at most `left` bytes. */
static inline unsigned utf8_seq_len(const char *at, size_t left)
{
    const unsigned char *s = (const unsigned char *)at;
    if (left == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    unsigned len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (left < len)
        return 0;
    /* The second byte's range depends on the first: this is what shuts out overlong forms and surrogates. */
    unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high)
        return 0;
    for (unsigned i = 2; i < len; ++i)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

static inline bool utf8_is_valid(struct slice text)
{
    for (size_t i = 0; i < text.len;) {
        unsigned len = utf8_seq_len(text.base + i, text.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

/* Writes one code point (a Unicode scalar value); returns how many bytes. */
static inline unsigned utf8_put(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

#endif

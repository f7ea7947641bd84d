/* Character classes of HTTP, as tables and as word-wide tests: shared by headers.c and the HTTP/1 parser. */
#ifndef SELVEDGE_HTTP_CHARS_H
#define SELVEDGE_HTTP_CHARS_H

#include "core/base/defs.h"

/* Lower case of a token character (RFC 9110 5.6.2), 0 for any other byte. */
extern const uint8_t ht_token_lower[256];

/* True when none of the 8 bytes is a control character (0-31) or DEL. Tab counts as one: look closer then. */
static inline bool ht_word_is_plain(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, highs = ones * 0x80;
    uint64_t below_space = (word - ones * 0x20) & ~word;
    uint64_t del = word ^ (ones * 0x7f);
    return ((below_space | ((del - ones) & ~del)) & highs) == 0;
}

/* Text without controls other than HTAB; obs-text (0x80 and up) is allowed: RFC 9110 5.5. */
static inline bool ht_is_text(const char *at, size_t len)
{
    const char *end = at + len;

    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        if (LIKELY(ht_word_is_plain(word)))
            continue;
        for (int i = 0; i < 8; i++)
            if (((uint8_t)at[i] < 0x20 && at[i] != '\t') || at[i] == 0x7f)
                return false;
    }
    for (; at < end; at++)
        if (((uint8_t)*at < 0x20 && *at != '\t') || *at == 0x7f)
            return false;
    return true;
}

static inline bool ht_is_ows(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the white space at both ends. */
static inline struct slice ht_trim(struct slice text)
{
    while (text.len != 0 && ht_is_ows(text.base[0]))
        ++text.base, --text.len;
    while (text.len != 0 && ht_is_ows(text.base[text.len - 1]))
        --text.len;
    return text;
}

/* ASCII letters alike; `lower` is in lower case. */
static inline bool ht_is_nocase(struct slice text, struct slice lower)
{
    if (text.len != lower.len)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.base[i];
        if ((c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c) != lower.base[i])
            return false;
    }
    return true;
}

/* Next element of a comma-separated list, trimmed; skips empty ones; false at the end. Advances `rest`. */
static inline bool ht_list_next(struct slice *rest, struct slice *ret)
{
    while (rest->len != 0) {
        const char *comma = memchr(rest->base, ',', rest->len);
        size_t len = comma != NULL ? (size_t)(comma - rest->base) : rest->len;
        *ret = ht_trim(slice_make(rest->base, len));
        len += comma != NULL;
        rest->base += len;
        rest->len -= len;
        if (ret->len != 0)
            return true;
    }
    return false;
}

#endif

/* One encoder and one decoder; the two alphabets differ in their last two characters and in the padding. */
#include "core/base/base64.h"

struct alphabet {
    const char *chars;
    bool is_padded;
};

static const struct alphabet standard = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                                         true};
static const struct alphabet url = {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                                    false};

static void encode(struct strbuf *out, struct slice bytes, const struct alphabet *alphabet)
{
    const unsigned char *in = (const unsigned char *)bytes.base;
    const char *chars = alphabet->chars;
    size_t left = bytes.len;
    char *at = strbuf_reserve(out, BASE64_LEN(bytes.len)), *start = at;
    for (; left >= 3; left -= 3, in += 3) {
        *at++ = chars[in[0] >> 2];
        *at++ = chars[(in[0] & 3) << 4 | in[1] >> 4];
        *at++ = chars[(in[1] & 15) << 2 | in[2] >> 6];
        *at++ = chars[in[2] & 63];
    }
    if (left != 0) {
        unsigned second = left == 2 ? in[1] : 0;
        *at++ = chars[in[0] >> 2];
        *at++ = chars[(in[0] & 3) << 4 | second >> 4];
        if (left == 2)
            *at++ = chars[(second & 15) << 2];
        for (size_t i = left; alphabet->is_padded && i < 3; ++i)
            *at++ = '=';
    }
    *at = '\0';
    out->len += (size_t)(at - start);
}

void base64_add(struct strbuf *out, struct slice bytes)
{
    encode(out, bytes, &standard);
}

void base64url_add(struct strbuf *out, struct slice bytes)
{
    encode(out, bytes, &url);
}

/* 0-63, or 64 for a character outside the alphabet. */
static unsigned value_of(unsigned char c, const struct alphabet *alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26u;
    if (c >= '0' && c <= '9')
        return c - '0' + 52u;
    return c == alphabet->chars[62] ? 62 : c == alphabet->chars[63] ? 63 : 64;
}

static ssize_t decode(struct slice text, unsigned char *out, const struct alphabet *alphabet)
{
    unsigned char *at = out;
    uint32_t bits = 0;
    unsigned num_bits = 0;
    for (size_t i = 0; i < text.len; ++i) {
        unsigned value = value_of((unsigned char)text.base[i], alphabet);
        if (value == 64)
            return -1;
        bits = bits << 6 | value;
        num_bits += 6;
        if (num_bits >= 8) {
            num_bits -= 8;
            *at++ = (unsigned char)(bits >> num_bits);
        }
    }
    /* Six bits left are half a byte's first character alone; bits left over are zero in the only canonical
     * spelling. */
    if (num_bits == 6 || (bits & ((1u << num_bits) - 1)) != 0)
        return -1;
    return at - out;
}

ssize_t base64_decode(struct slice text, void *out)
{
    if (text.len % 4 != 0)
        return -1;
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.base[text.len - 1 - padding] == '=')
        ++padding;
    ssize_t len = decode(slice_make(text.base, text.len - padding), out, &standard);
    return len; /* the length being a multiple of four, what is left fits its padding */
}

ssize_t base64url_decode(struct slice text, void *out)
{
    return decode(text, out, &url);
}

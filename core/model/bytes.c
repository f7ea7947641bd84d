#include "core/model/bytes.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit_value(char c)
{
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* Four digits to 24 bits, '=' as 0. -1 when one is none, or padding is where it may not be. */
static int32_t read_group(const char *at, unsigned padding)
{
    int32_t bits = 0;
    for (unsigned i = 0; i < 4; ++i) {
        int value = i < 4 - padding ? digit_value(at[i]) : at[i] == '=' ? 0 : -1;
        if (value < 0)
            return -1;
        bits = bits << 6 | value;
    }
    return bits;
}

ssize_t bytes_from_base64(struct slice text, char *out)
{
    char *at = out;
    if (text.len % 4 != 0)
        return -1;
    for (size_t i = 0; i < text.len; i += 4) {
        unsigned padding = 0;
        while (i + 4 == text.len && padding < 2 && text.base[text.len - 1 - padding] == '=')
            ++padding;
        int32_t bits = read_group(text.base + i, padding);
        if (bits < 0 ||
            (bits & ((1 << padding * 8) - 1)) != 0) /* bits no byte has: another spelling of the same */
            return -1;
        for (unsigned j = 0; j < 3 - padding; ++j)
            *at++ = (char)(bits >> (16 - 8 * j));
    }
    return at - out;
}

void bytes_to_base64(struct strbuf *out, struct slice bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.base;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t bits = (uint32_t)at[i] << 16 | (left > 1 ? at[i + 1] << 8 : 0) | (left > 2 ? at[i + 2] : 0);
        char group[4] = {digits[bits >> 18], digits[bits >> 12 & 63], left > 1 ? digits[bits >> 6 & 63] : '=',
                         left > 2 ? digits[bits & 63] : '='};
        strbuf_add(out, group, sizeof(group));
    }
}

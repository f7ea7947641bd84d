/* Small parsers for the gRPC conventions. */
#include "core/proxy/grpc.h"

bool px_is_grpc(const struct ht_headers *headers)
{
    const struct ht_header *type = ht_headers_find_token(headers, H2O_TOKEN_CONTENT_TYPE);
    static const char prefix[] = "application/grpc";
    enum { LEN = sizeof(prefix) - 1 };

    if (type == NULL || type->value.len < LEN || strncasecmp(type->value.base, prefix, LEN) != 0)
        return false;
    return type->value.len == LEN || type->value.base[LEN] == '+' || type->value.base[LEN] == ';';
}

static uint64_t unit_us(char unit)
{
    switch (unit) {
    case 'H':
        return 3600000000ull;
    case 'M':
        return 60000000;
    case 'S':
        return 1000000;
    case 'm':
        return 1000;
    case 'u':
        return 1;
    default:
        return 0;
    }
}

bool px_grpc_timeout(const struct ht_headers *headers, uint64_t *ret_ms)
{
    const struct ht_header *header = ht_headers_find(headers, SLICE("grpc-timeout"));
    uint64_t value = 0;

    if (header == NULL || header->value.len < 2 || header->value.len > 9) /* at most 8 digits */
        return false;
    size_t digits = header->value.len - 1;
    for (size_t i = 0; i < digits; i++) {
        char c = header->value.base[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (uint64_t)(c - '0');
    }
    char unit = header->value.base[digits];
    uint64_t us = unit == 'n' ? (value + 999) / 1000 : value * unit_us(unit);
    if (unit != 'n' && unit_us(unit) == 0)
        return false;
    *ret_ms = (us + 999) / 1000;
    return true;
}

struct slice px_grpc_message(h2o_mem_pool_t *pool, struct slice text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = h2o_mem_alloc_pool(pool, text.len * 3 + 1), *at = out;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c >= ' ' && c <= '~' && c != '%') {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return slice_make(out, (size_t)(at - out));
}

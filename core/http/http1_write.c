/* HTTP/1.x heads as bytes. */
#include "core/http/http1_write.h"

static bool is_engines(const struct ht_header *header)
{
    return ht_is_hop_field(header) || header->token == H2O_TOKEN_CONTENT_LENGTH || header->token == H2O_TOKEN_HOST;
}

size_t ht1_fields_size(const struct ht_headers *headers)
{
    size_t size = 0;

    for (uint32_t i = 0; headers != NULL && i < headers->num; i++)
        size += headers->at[i].name.len + headers->at[i].value.len + sizeof(": \r\n") - 1;
    return size;
}

static char *put_field(char *at, const struct ht_header *header)
{
    at = ht1_put_slice(at, header->name);
    at = HT1_PUT(at, ": ");
    at = ht1_put_slice(at, header->value);
    return HT1_PUT(at, "\r\n");
}

char *ht1_put_fields(char *at, const struct ht_headers *headers)
{
    for (uint32_t i = 0; headers != NULL && i < headers->num; i++)
        if (!is_engines(&headers->at[i]))
            at = put_field(at, &headers->at[i]);
    return at;
}

char *ht1_put_trailers(char *at, const struct ht_headers *trailers)
{
    for (uint32_t i = 0; trailers != NULL && i < trailers->num; i++)
        if (!ht_is_forbidden_trailer(&trailers->at[i]))
            at = put_field(at, &trailers->at[i]);
    return HT1_PUT(at, "\r\n");
}

char *ht1_put_number(char *at, uint64_t value)
{
    char digits[HT1_NUMBER_MAX];
    size_t len = 0;

    do
        digits[sizeof(digits) - ++len] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    return ht1_put(at, digits + sizeof(digits) - len, len);
}

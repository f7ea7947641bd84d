/* Protobuf, the few parts needed here. */
#include "examples/bookinfo/ratings_grpc/wire.h"

enum { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_BYTES = 2, WIRE_32BIT = 5, VARINT_MAX_BYTES = 10 };

static bool take_varint(struct slice *rest, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned i = 0; i != VARINT_MAX_BYTES && i != rest->len; i++) {
        uint8_t byte = (uint8_t)rest->base[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *rest = slice_make(rest->base + i + 1, rest->len - i - 1);
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct slice *rest, uint64_t len, struct slice *ret)
{
    if (len > rest->len)
        return false;
    *ret = slice_make(rest->base, len);
    *rest = slice_make(rest->base + len, rest->len - len);
    return true;
}

static bool take_fixed(struct slice *rest, size_t len, uint64_t *ret)
{
    struct slice bytes;
    if (!take_bytes(rest, len, &bytes))
        return false;
    *ret = 0;
    for (size_t i = 0; i != len; i++)
        *ret |= (uint64_t)(uint8_t)bytes.base[i] << (8 * i);
    return true;
}

int wire_next(struct slice *rest, struct wire_field *ret)
{
    uint64_t key, len;
    if (rest->len == 0)
        return 0;
    if (!take_varint(rest, &key) || key >> 3 == 0 || key >> 32 != 0)
        return -1;
    *ret = (struct wire_field){.number = (uint32_t)(key >> 3)};
    switch (key & 7) {
    case WIRE_VARINT:
        return take_varint(rest, &ret->value) ? 1 : -1;
    case WIRE_64BIT:
        return take_fixed(rest, 8, &ret->value) ? 1 : -1;
    case WIRE_32BIT:
        return take_fixed(rest, 4, &ret->value) ? 1 : -1;
    case WIRE_BYTES:
        ret->is_bytes = true;
        return take_varint(rest, &len) && take_bytes(rest, len, &ret->bytes) ? 1 : -1;
    default:
        return -1;
    }
}

static void add_varint(struct strbuf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        strbuf_addc(out, (char)(value | 0x80));
    strbuf_addc(out, (char)value);
}

void wire_add_number(struct strbuf *out, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    add_varint(out, (uint64_t)number << 3 | WIRE_VARINT);
    add_varint(out, value);
}

static void add_bytes(struct strbuf *out, uint32_t number, struct slice bytes)
{
    add_varint(out, (uint64_t)number << 3 | WIRE_BYTES);
    add_varint(out, bytes.len);
    strbuf_add_slice(out, bytes);
}

void wire_add_bytes(struct strbuf *out, uint32_t number, struct slice bytes)
{
    if (bytes.len != 0)
        add_bytes(out, number, bytes);
}

void wire_add_message(struct strbuf *out, uint32_t number, const struct strbuf *message)
{
    add_bytes(out, number, strbuf_slice(message));
}

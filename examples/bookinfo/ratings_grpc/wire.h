/* As much of the protobuf encoding as the ratings messages need: varints and length-delimited fields.
 *
 * Threads: pure functions. Reading borrows from the bytes read. */
#ifndef BOOKINFO_WIRE_H
#define BOOKINFO_WIRE_H

#include "core/base/strbuf.h"

struct wire_field {
    uint32_t number;
    bool is_bytes; /* else a number */
    uint64_t value; /* varint or fixed */
    struct slice bytes; /* strings and messages */
};

/* Takes the next field off `rest`: 1 there was one, 0 the message ends, -1 it is malformed. */
int wire_next(struct slice *rest, struct wire_field *ret);
/* proto3: a zero and an empty string are not written. */
void wire_add_number(struct strbuf *out, uint32_t number, uint64_t value);
void wire_add_bytes(struct strbuf *out, uint32_t number, struct slice bytes);
/* Written even when empty: an element of a repeated field. */
void wire_add_message(struct strbuf *out, uint32_t number, const struct strbuf *message);

#endif

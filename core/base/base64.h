/* base64 and base64url (RFC 4648), strict and canonical: nothing between the characters, padding as the form
 * has it, unused bits zero. So one byte string has one text, and a token cannot be respelled.
 *
 * Threads: any. Not constant in time: fine for what is compared only after decoding. */
#ifndef SELVEDGE_BASE_BASE64_H
#define SELVEDGE_BASE_BASE64_H

#include "core/base/strbuf.h"

#include <sys/types.h>

/* Room the decoders need, at most, for a text of `len` characters. */
#define BASE64_DECODED_MAX(len) ((len) / 4 * 3 + 3)
/* Length of the text for `len` bytes: with padding, and without. */
#define BASE64_LEN(len) (((len) + 2) / 3 * 4)
#define BASE64URL_LEN(len) (((len)*4 + 2) / 3)

void base64_add(struct strbuf *out, struct slice bytes); /* section 4: + and /, padded */
void base64url_add(struct strbuf *out, struct slice bytes); /* section 5: - and _, without padding */
/* How many bytes were written to `out`, or -1 when the text is not exactly what the encoder writes. */
ssize_t base64_decode(struct slice text, void *out);
ssize_t base64url_decode(struct slice text, void *out);

#endif

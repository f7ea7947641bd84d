/* A JSON number's value as an exact decimal: what comparing, integers and the canonical form are made of.
 * Private to core/base/json*.c. */
#ifndef SELVEDGE_BASE_JSON_NUMBER_H
#define SELVEDGE_BASE_JSON_NUMBER_H

#include "core/base/strbuf.h"

/* value = (-1)^is_negative * 0.DIGITS * 10^point, digits without leading or trailing zeros, point and dot
 * skipped. Zero has no digits. The digits are spread over the text (a '.' may be among them), so they are
 * read by json_digit(). */
struct json_number {
    const char *at, *end; /* borrowed from the text: first digit that counts, one past the last */
    size_t num_digits;
    int64_t point;
    bool is_negative,
        is_huge; /* huge: the exponent itself does not fit; such numbers equal only their own spelling */
};

/* `text` must follow the JSON grammar. */
struct json_number json_number_read(struct slice text);
bool json_number_equal(struct slice a, struct slice b);
/* Equal numbers give equal bytes. */
void json_number_write(struct strbuf *out, struct slice text);
/* Length of the number of JSON's grammar at the start of `text`, or 0. */
size_t json_number_span(struct slice text);

#endif

#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/model/pattern.h"

#include <pcre2.h>

enum { COMPILED_MAX = 64 * 1024 }; /* bytes; nested repetitions of a short text can grow to megabytes */

int pattern_check(struct slice pattern, struct err *err)
{
    int code;
    PCRE2_SIZE at, size = 0;
    PCRE2_UCHAR text[128];
    if (pattern.len > PATTERN_MAX)
        return err_set(err, ERR_INVALID, "a regular expression may not be longer than %d bytes", PATTERN_MAX);
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern.base, pattern.len, PATTERN_OPTIONS, &code, &at, NULL);
    if (compiled == NULL) {
        (void)pcre2_get_error_message(code, text, sizeof(text));
        return err_set(err, ERR_INVALID, "%s at offset %zu", (const char *)text, (size_t)at);
    }
    (void)pcre2_pattern_info(compiled, PCRE2_INFO_SIZE, &size);
    pcre2_code_free(compiled);
    return size <= COMPILED_MAX ? 0 : err_set(err, ERR_INVALID, "too large when compiled");
}

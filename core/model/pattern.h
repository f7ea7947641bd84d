/* Regular expressions that users write in resources: whether they compile. core/route compiles them to match, with the
 * same options and bound: what is taken here never fails there. */
#ifndef SELVEDGE_MODEL_PATTERN_H
#define SELVEDGE_MODEL_PATTERN_H

#include "core/base/err.h"

enum { PATTERN_MAX = 1024 }; /* bytes */

/* \C matches half a character; captures have no use here and cost time. */
#define PATTERN_OPTIONS                                                                                      \
    (PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NO_AUTO_CAPTURE | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C)

/* ERR_INVALID "missing closing parenthesis at offset 3". */
int pattern_check(struct slice pattern, struct err *err);

#endif

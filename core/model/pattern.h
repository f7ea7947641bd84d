/* Regular expressions that users write in resources: whether they compile. core/route compiles them to match. */
#ifndef SELVEDGE_MODEL_PATTERN_H
#define SELVEDGE_MODEL_PATTERN_H

#include "core/base/err.h"

/* ERR_INVALID "missing closing parenthesis at offset 3". */
int pattern_check(struct slice pattern, struct err *err);

#endif

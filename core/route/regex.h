/* Regular expressions of routes: PCRE2 with JIT, anchored at both ends, bounded in time and memory.
 *
 * A pattern is foreign input and so is the subject: match and depth limits make catastrophic patterns fail as "no
 * match" instead of holding a worker. Compile off the loop; a compiled expression is read-only, any thread may match.
 * Ownership: rt_regex_new/_free; snapshots own theirs. */
#ifndef SELVEDGE_ROUTE_REGEX_H
#define SELVEDGE_ROUTE_REGEX_H

#include "core/base/err.h"

struct rt_regex;

/* ERR_INVALID with position when it does not compile, or is longer than 1024 bytes. */
struct rt_regex *rt_regex_new(struct slice pattern, struct err *err);
struct rt_regex *rt_regex_free(struct rt_regex *regex);
/* Whether the whole subject matches. Subjects over 8 KiB, and matches that hit a limit, are no match. */
bool rt_regex_matches(const struct rt_regex *regex, struct slice subject);

#endif

/* JSONPath templates as kubectl takes them: text with {expressions}.
 *
 * Served: {.a.b}, {$.a}, {@}, {.a['b.c']}, {.a["b"]}, {.a\.b}, {.items[0]}, [-1], [1:3], [::2], [0,2], [*], .*, ..name,
 * [?(@.a.b=="x")] with == != < <= > >= and a bare [?(@.a)], {range …}…{end}, {"text with \n and \t"}, and several
 * expressions in one pair of braces. Regular expressions (=~) are not.
 * A member that is missing gives nothing. Results of one expression are separated by blanks; strings are written bare,
 * objects and lists as JSON.
 *
 * Threads: a parsed template may be used by any. Ownership: the arena's. */
#ifndef SELVEDGE_CLI_JSONPATH_H
#define SELVEDGE_CLI_JSONPATH_H

#include "core/base/json.h"

struct cli_jsonpath;

/* NULL: ERR_INVALID says what and where. A template without braces is taken as one expression. */
struct cli_jsonpath *cli_jsonpath_parse(struct arena *arena, const char *text, struct err *err);
int cli_jsonpath_write(const struct cli_jsonpath *template, const struct json *doc, struct strbuf *out, struct err *err);

#endif

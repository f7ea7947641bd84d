/* Unified differences of two texts, by line.
 *
 * Threads: any. Ownership: nothing is kept. Limits: beyond 20,000 differing lines the middle is shown as one replacement. */
#ifndef SELVEDGE_CLI_TEXT_DIFF_H
#define SELVEDGE_CLI_TEXT_DIFF_H

#include "core/base/strbuf.h"

/* Writes "--- from", "+++ to" and hunks with three lines of context; nothing when the texts are equal. True: they differ. */
bool cli_text_diff(struct slice from, struct slice to, const char *from_name, const char *to_name, struct strbuf *out);
/* The same text with colours: `reset` after each coloured line. */
void cli_text_diff_color(struct slice diff, const char *red, const char *green, const char *cyan, const char *bold, const char *reset,
                         struct strbuf *out);

#endif

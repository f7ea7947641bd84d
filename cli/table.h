/* Aligned columns of text for terminals.
 *
 * Rows are kept until cli_table_print(), which writes those not written yet: a watch prints again and again, and columns only
 * grow. Control characters of cells are shown as '?': what an object holds must not move the cursor.
 * Threads: one. Ownership: the arena's; cells are copied. */
#ifndef SELVEDGE_CLI_TABLE_H
#define SELVEDGE_CLI_TABLE_H

#include "cli/cli.h"

struct cli_table;

struct cli_table *cli_table_new(struct cli *cli);
/* Before the first row. Titles are shown in upper case. */
void cli_table_column(struct cli_table *table, const char *title);
/* Cells fill the row from left to right; a row is full with as many cells as columns, then the next begins. */
void cli_table_cell(struct cli_table *table, enum cli_color color, struct slice text);
void cli_table_text(struct cli_table *table, const char *text); /* NULL and "" are shown as <none> */
void cli_table_format(struct cli_table *table, const char *fmt, ...) _printf_(2, 3);
/* Which columns of a source are shown, a bit each: kept for whoever fills it. */
void cli_table_set_mask(struct cli_table *table, uint64_t mask);
uint64_t cli_table_mask(const struct cli_table *table);
size_t cli_table_rows(const struct cli_table *table);
/* The first line only when `with_titles`, and once. */
void cli_table_print(struct cli_table *table, bool with_titles);

/* Characters a text takes on the screen, each UTF-8 character as one. */
size_t cli_text_width(struct slice text);
/* The text without control characters. */
const char *cli_printable(struct arena *arena, struct slice text);

#endif

/* Aligned columns: cells are collected by row, widths by column; printing pads all but the last. */
#include "cli/table.h"

#include <ctype.h>
#include <stdarg.h>

enum { COLUMNS_MAX = 32, GAP = 3 };

struct cell {
    const char *text;
    size_t width;
    enum cli_color color;
};

struct row {
    struct cell cells[COLUMNS_MAX];
    struct row *next;
};

struct cli_table {
    struct cli *cli;
    const char *titles[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX];
    size_t num_columns, num_cells /* of the row that fills */, num_rows;
    struct row *unprinted, *last; /* rows not printed yet; those that are are forgotten */
    uint64_t mask;
    bool has_titles;
};

size_t cli_text_width(struct slice text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; ++i)
        width += ((unsigned char)text.base[i] & 0xc0) != 0x80;
    return width;
}

const char *cli_printable(struct arena *arena, struct slice text)
{
    char *copy = arena_strndup(arena, text.base != NULL ? text.base : "", text.len);
    for (size_t i = 0; i < text.len; ++i)
        if ((unsigned char)copy[i] < 0x20 || copy[i] == 0x7f)
            copy[i] = '?';
        else if ((unsigned char)copy[i] == 0xc2 && i + 1 < text.len && (unsigned char)copy[i + 1] < 0xa0)
            copy[i] = copy[i + 1] = '?'; /* C1 controls: some terminals take U+009B as an escape */
    return copy;
}

struct cli_table *cli_table_new(struct cli *cli)
{
    struct cli_table *table = arena_zalloc(cli->arena, sizeof(*table));
    table->cli = cli;
    return table;
}

void cli_table_column(struct cli_table *table, const char *title)
{
    if (table->num_columns == COLUMNS_MAX)
        return;
    char *upper = arena_strdup(table->cli->arena, cli_printable(table->cli->arena, slice_of(title)));
    for (char *c = upper; *c != '\0'; ++c)
        *c = (char)toupper((unsigned char)*c);
    table->titles[table->num_columns] = upper;
    table->widths[table->num_columns++] = cli_text_width(slice_of(upper));
}

static void add_row(struct cli_table *table)
{
    struct row *row = arena_zalloc(table->cli->arena, sizeof(*row));
    if (table->unprinted != NULL)
        table->last->next = row;
    else
        table->unprinted = row;
    table->last = row;
    ++table->num_rows;
}

void cli_table_cell(struct cli_table *table, enum cli_color color, struct slice text)
{
    if (table->num_columns == 0)
        return;
    if (table->num_cells == 0)
        add_row(table);
    struct cell *cell = &table->last->cells[table->num_cells];
    *cell = (struct cell){cli_printable(table->cli->arena, text), cli_text_width(text), color};
    table->widths[table->num_cells] = MAX(table->widths[table->num_cells], cell->width);
    table->num_cells = (table->num_cells + 1) % table->num_columns;
}

void cli_table_text(struct cli_table *table, const char *text)
{
    cli_table_cell(table, CLI_PLAIN, text != NULL && *text != '\0' ? slice_of(text) : SLICE("<none>"));
}

void cli_table_format(struct cli_table *table, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT;
    va_list args;
    va_start(args, fmt);
    strbuf_vaddf(&text, fmt, args);
    va_end(args);
    cli_table_cell(table, CLI_PLAIN, strbuf_slice(&text));
    strbuf_clear(&text);
}

void cli_table_set_mask(struct cli_table *table, uint64_t mask)
{
    table->mask = mask;
}

uint64_t cli_table_mask(const struct cli_table *table)
{
    return table->mask;
}

size_t cli_table_rows(const struct cli_table *table)
{
    return table->num_rows;
}

static void print_cell(struct cli_table *table, size_t column, const char *text, size_t width, enum cli_color color)
{
    FILE *out = table->cli->out;
    bool is_last = column + 1 == table->num_columns;
    size_t pad = is_last ? 0 : table->widths[column] - MIN(width, table->widths[column]) + GAP;
    if (color != CLI_PLAIN)
        fprintf(out, "%s%s%s", cli_color(table->cli, color), text, cli_color(table->cli, CLI_PLAIN));
    else
        fputs(text, out);
    fprintf(out, "%*s%s", (int)pad, "", is_last ? "\n" : "");
}

void cli_table_print(struct cli_table *table, bool with_titles)
{
    if (with_titles && !table->has_titles && table->num_columns != 0) {
        table->has_titles = true;
        for (size_t i = 0; i < table->num_columns; ++i)
            print_cell(table, i, table->titles[i], cli_text_width(slice_of(table->titles[i])), CLI_BOLD);
    }
    for (; table->unprinted != NULL; table->unprinted = table->unprinted->next)
        for (size_t i = 0; i < table->num_columns; ++i) {
            const struct cell *cell = &table->unprinted->cells[i];
            print_cell(table, i, cell->text != NULL ? cell->text : "", cell->width, cell->color);
        }
    fflush(table->cli->out);
}

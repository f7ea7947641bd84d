/* Forms of output. */
#include "cli/output.h"

#include "cli/jsonpath.h"
#include "cli/manifest.h"

int cli_output_parse(struct cli *cli, struct cli_output *ret)
{
    static const struct {
        const char *name;
        enum cli_form form;
    } names[] = {{"table", CLI_TABLE}, {"wide", CLI_WIDE}, {"json", CLI_JSON}, {"yaml", CLI_YAML}, {"name", CLI_NAME}};
    const char *text = cli->options.output;
    struct err err = ERR_INIT;
    *ret = (struct cli_output){CLI_TABLE, NULL};
    if (text == NULL)
        return CLI_OK;
    for (size_t i = 0; i < ARRAY_LEN(names); ++i)
        if (strcmp(text, names[i].name) == 0) {
            ret->form = names[i].form;
            return CLI_OK;
        }
    if (strncmp(text, "jsonpath=", 9) != 0)
        return cli_usage(cli, "-o %s: there are table, wide, json, yaml, name and jsonpath=TEMPLATE", text);
    ret->form = CLI_JSONPATH;
    ret->jsonpath = cli_jsonpath_parse(cli->arena, text + 9, &err);
    return ret->jsonpath != NULL ? CLI_OK : cli_fail(cli, CLI_USAGE, "-o jsonpath: %s", err.text);
}

/* Tokens, revisions and the like are no objects: what the verbs take for a name, so that it can be handed on. */
static const char *name_of(struct cli *cli, const struct json *item)
{
    static const char *const names[] = {"name", "id", "revision"};
    for (size_t i = 0; json_get(item, "kind") == NULL && i < ARRAY_LEN(names); ++i)
        if (json_get(item, names[i]) != NULL)
            return cli_printable(cli->arena, json_get(item, names[i])->text);
    return cli_object_name(cli->arena, item);
}

static void print_name(struct cli *cli, const struct json *doc)
{
    const struct json *items = json_get(doc, "items");
    if (items == NULL)
        fprintf(cli->out, "%s\n", name_of(cli, doc));
    JSON_FOR (item, items)
        fprintf(cli->out, "%s\n", name_of(cli, item));
}

int cli_output_print(struct cli *cli, const struct cli_output *output, const struct json *doc)
{
    struct strbuf text = STRBUF_INIT;
    struct err err = ERR_INIT;
    int status = CLI_OK;
    switch (output->form) {
    case CLI_YAML:
        json_write_yaml(&text, doc);
        break;
    case CLI_NAME:
        print_name(cli, doc);
        break;
    case CLI_JSONPATH:
        if (cli_jsonpath_write(output->jsonpath, doc, &text, &err) != 0)
            status = cli_fail(cli, CLI_USAGE, "-o jsonpath: %s", err.text);
        break;
    default:
        json_write_pretty(&text, doc);
        strbuf_addc(&text, '\n');
    }
    fwrite(text.base != NULL ? text.base : "", 1, text.len, cli->out);
    strbuf_clear(&text);
    return status;
}

/* ---------- Tables of the API ---------- */

static void add_columns(struct cli_table *table, const struct json *columns, bool is_wide, bool with_ns)
{
    if (with_ns)
        cli_table_column(table, "Namespace");
    JSON_FOR (column, columns)
        if (is_wide || json_int_or(json_get(column, "priority"), 0) == 0)
            cli_table_column(table, json_str(json_get(column, "name"), ""));
}

static enum cli_color color_of(struct slice text)
{
    if (slice_is(text, "True") || slice_is(text, "Ready"))
        return CLI_GREEN;
    if (slice_is(text, "False"))
        return CLI_RED;
    return slice_is(text, "Unknown") ? CLI_YELLOW : CLI_PLAIN;
}

static void add_cell(struct cli *cli, struct cli_table *table, const struct json *cell, const char *prefix)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_adds(&text, prefix);
    if (cell == NULL || cell->type == JSON_NULL || (cell->type == JSON_STRING && cell->text.len == 0))
        strbuf_adds(&text, "<none>");
    else if (cell->type == JSON_STRING)
        strbuf_add_slice(&text, cell->text);
    else
        json_write(&text, cell);
    cli_table_cell(table, color_of(strbuf_slice(&text)), strbuf_slice(&text));
    strbuf_clear(&text);
}

/* Which cells are shown is settled by the first Table's columns; `wanted` remembers it as a bit each. */
static uint64_t wanted_cells(const struct json *columns, bool is_wide)
{
    uint64_t wanted = 0;
    unsigned i = 0;
    JSON_FOR (column, columns) {
        if (i < 64 && (is_wide || json_int_or(json_get(column, "priority"), 0) == 0))
            wanted |= UINT64_C(1) << i;
        ++i;
    }
    return wanted;
}

void cli_output_rows(struct cli *cli, const struct json *doc, bool is_wide, bool with_ns, const char *kind_prefix, struct cli_table **table)
{
    const struct json *columns = json_get(doc, "columnDefinitions");
    if (*table == NULL) {
        *table = cli_table_new(cli);
        add_columns(*table, columns, is_wide, with_ns);
        cli_table_set_mask(*table, wanted_cells(columns, is_wide));
    }
    uint64_t wanted = cli_table_mask(*table);
    JSON_FOR (row, json_get(doc, "rows")) {
        unsigned i = 0;
        if (with_ns)
            cli_table_text(*table, json_str(json_find(row, "object", "metadata", "namespace", NULL), ""));
        JSON_FOR (cell, json_get(row, "cells")) {
            if (i < 64 && (wanted >> i & 1) != 0)
                add_cell(cli, *table, cell, i == 0 ? kind_prefix : "");
            ++i;
        }
    }
}

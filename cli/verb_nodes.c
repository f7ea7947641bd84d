/* selvedge nodes: which proxies there are, what each runs, and what it says about what it does not. */
#include "cli/age.h"
#include "cli/client.h"
#include "cli/output.h"
#include "cli/resource.h"

static enum cli_color color_of(const char *state)
{
    if (strcmp(state, "Synced") == 0)
        return CLI_GREEN;
    return strcmp(state, "Pending") == 0 || strcmp(state, "Unknown") == 0 ? CLI_YELLOW : CLI_RED;
}

static void add_node(struct cli *cli, struct cli_table *table, const struct json *node, int64_t newest)
{
    const struct json *status = json_get(node, "status");
    const char *state = json_str(json_get(status, "state"), "Unknown");
    int64_t applied = json_int_or(json_get(status, "appliedRevision"), 0);
    cli_table_text(table, json_str(json_find(node, "metadata", "name", NULL), ""));
    cli_table_text(table, json_str(json_find(node, "spec", "role", NULL), ""));
    cli_table_cell(table, color_of(state), slice_of(state));
    cli_table_format(table, "%lld%s", (long long)applied, applied < newest ? " (behind)" : "");
    cli_table_text(table, json_str(json_get(status, "version"), ""));
    cli_table_text(table, json_str(json_get(status, "address"), ""));
    cli_table_text(table, status != NULL ? cli_age(cli->arena, json_str(json_get(status, "lastSeen"), "")) : NULL);
}

static int64_t newest_of(const struct json *nodes)
{
    int64_t newest = 0;
    JSON_FOR (node, nodes)
        newest = MAX(newest, json_int_or(json_find(node, "status", "sentRevision", NULL), 0));
    return newest;
}

static void print_errors(struct cli *cli, const struct json *nodes)
{
    JSON_FOR (node, nodes)
        JSON_FOR (error, json_find(node, "status", "errors", NULL)) {
            struct strbuf text = STRBUF_INIT;
            if (error->type == JSON_STRING)
                strbuf_add_slice(&text, error->text);
            else
                json_write(&text, error);
            fprintf(cli->out, "%s%s%s: %s\n", cli_color(cli, CLI_RED), json_str(json_find(node, "metadata", "name", NULL), ""), cli_color(cli, CLI_PLAIN),
                    cli_printable(cli->arena, strbuf_slice(&text)));
            strbuf_clear(&text);
        }
}

int verb_nodes(struct cli *cli)
{
    static const char *const titles[] = {"Name", "Role", "State", "Revision", "Version", "Address", "Seen"};
    struct cli_output output;
    struct cli_answer answer;
    int status = cli_output_parse(cli, &output);
    if (status == CLI_OK && cli->num_args != 0)
        return cli_usage(cli, "takes no arguments; one node: selvedge get node/NAME -o yaml");
    if (status == CLI_OK)
        status = cli_get(cli, cli_object_path(cli->arena, kind_get(KIND_NODE), NULL, NULL), &answer);
    if (status != CLI_OK)
        return status;
    const struct json *nodes = json_get(answer.json, "items");
    if (output.form != CLI_TABLE && output.form != CLI_WIDE)
        return cli_output_print(cli, &output, answer.json);
    struct cli_table *table = cli_table_new(cli);
    for (size_t i = 0; i < ARRAY_LEN(titles); ++i)
        cli_table_column(table, titles[i]);
    int64_t newest = newest_of(nodes);
    JSON_FOR (node, nodes)
        add_node(cli, table, node, newest);
    if (cli_table_rows(table) == 0) {
        fprintf(cli->err, "No nodes have joined; selvedge join create makes a token for one\n");
        return CLI_OK;
    }
    cli_table_print(table, !cli->options.no_headers);
    print_errors(cli, nodes);
    return CLI_OK;
}

/* selvedge history: revisions, newest first; of one kind or object; or what one revision changed. */
#include "cli/age.h"
#include "cli/apply.h"
#include "cli/output.h"
#include "cli/resource.h"

static int add_filter(struct cli *cli, struct strbuf *path)
{
    struct cli_resources resources;
    if (cli->num_args == 0)
        return CLI_OK;
    int status = cli_resources_parse(cli, 0, &resources);
    if (status != CLI_OK)
        return status;
    if (resources.num != 1)
        return cli_usage(cli, "of one kind or one object");
    const struct cli_resource *r = &resources.items[0];
    cli_add_param(path, "kind", arena_printf(cli->arena, "%s%s%s", r->kind->plural, r->kind->group[0] != '\0' ? "." : "", r->kind->group));
    cli_add_param(path, "name", r->name);
    if (r->kind->is_namespaced && !cli->options.all_namespaces)
        cli_add_param(path, "namespace", cli_namespace(cli));
    return CLI_OK;
}

static const char *what(struct cli *cli, const struct json *item)
{
    const struct json *first = json_get(item, "first");
    int64_t more = json_int_or(json_get(item, "changes"), 1) - 1;
    const char *name = cli_object_name(cli->arena, first);
    return more > 0 ? arena_printf(cli->arena, "%s and %lld more", name, (long long)more) : name;
}

static void print_revisions(struct cli *cli, const struct json *items)
{
    static const char *const titles[] = {"Revision", "Age", "Who", "What", "Message"};
    struct cli_table *table = cli_table_new(cli);
    for (size_t i = 0; i < ARRAY_LEN(titles); ++i)
        cli_table_column(table, titles[i]);
    JSON_FOR (item, items) {
        cli_table_format(table, "%lld", (long long)json_int_or(json_get(item, "revision"), 0));
        cli_table_text(table, cli_age(cli->arena, json_str(json_get(item, "time"), "")));
        cli_table_text(table, json_str(json_get(item, "actor"), ""));
        cli_table_text(table, what(cli, item));
        cli_table_cell(table, CLI_PLAIN, slice_of(json_str(json_get(item, "message"), "")));
    }
    cli_table_print(table, !cli->options.no_headers);
}

static int list(struct cli *cli, const struct cli_output *output)
{
    struct strbuf path = STRBUF_INIT;
    struct cli_answer answer;
    strbuf_adds(&path, "/selvedge/v1/revisions");
    int status = add_filter(cli, &path);
    if (cli->options.limit != 0)
        cli_add_param(&path, "limit", arena_printf(cli->arena, "%u", cli->options.limit));
    if (status == CLI_OK)
        status = cli_get(cli, path.base, &answer);
    strbuf_clear(&path);
    if (status != CLI_OK)
        return status;
    if (output->form != CLI_TABLE && output->form != CLI_WIDE)
        return cli_output_print(cli, output, answer.json);
    if (json_at(json_get(answer.json, "items"), 0) != NULL)
        print_revisions(cli, json_get(answer.json, "items"));
    else
        fprintf(cli->err, "No revisions found\n");
    return CLI_OK;
}

static int show(struct cli *cli, const struct cli_output *output)
{
    struct cli_answer answer;
    int status = cli_get(cli, arena_printf(cli->arena, "/selvedge/v1/revisions/%s", cli->args[0]), &answer);
    if (status != CLI_OK)
        return status;
    if (output->form != CLI_TABLE && output->form != CLI_WIDE)
        return cli_output_print(cli, output, answer.json);
    const char *time = json_str(json_get(answer.json, "time"), "");
    fprintf(cli->out, "revision %s by %s, %s (%s ago)\n", cli->args[0], json_str(json_get(answer.json, "actor"), ""), time, cli_age(cli->arena, time));
    if (*json_str(json_get(answer.json, "message"), "") != '\0')
        fprintf(cli->out, "%s\n", cli_printable(cli->arena, json_slice(json_get(answer.json, "message"))));
    JSON_FOR (item, json_get(answer.json, "items")) {
        const char *ns = json_str(json_get(item, "namespace"), NULL);
        fprintf(cli->out, "\n%s%s%s%s%s %s%s\n", cli_color(cli, CLI_BOLD), cli_object_name(cli->arena, item), ns != NULL ? " -n " : "",
                ns != NULL ? ns : "", cli_color(cli, CLI_PLAIN), json_str(json_get(item, "op"), ""), json_is_true(json_get(item, "status")) ? " (status)" : "");
        cli_print_changes(cli, json_get(item, "changes"), "  ");
    }
    return CLI_OK;
}

int verb_history(struct cli *cli)
{
    struct cli_output output;
    int status = cli_output_parse(cli, &output);
    if (status != CLI_OK)
        return status;
    if (cli->num_args == 1 && cli->args[0][strspn(cli->args[0], "0123456789")] == '\0')
        return show(cli, &output);
    return list(cli, &output);
}

/* selvedge audit: every write and every refused attempt, newest first; --verify checks that none was changed since. */
#include "cli/age.h"
#include "cli/client.h"
#include "cli/output.h"

static int verify(struct cli *cli)
{
    struct cli_answer answer;
    int status = cli_call(cli, &(struct cli_request){.path = "/selvedge/v1/audit/verify", .timeout_ms = 600000}, &answer);
    if (status != CLI_OK)
        return status;
    if (!json_is_true(json_get(answer.json, "whole")))
        return cli_fail(cli, CLI_DIFFERENT, "the audit log was tampered with: entry %lld does not fit the one before (%s)",
                        (long long)json_int_or(json_get(answer.json, "brokenId"), 0), json_str(json_get(answer.json, "message"), ""));
    fprintf(cli->out, "the audit log is whole\n");
    return CLI_OK;
}

static void print_entries(struct cli *cli, const struct json *items)
{
    static const char *const titles[] = {"Id", "Age", "Who", "From", "Verb", "Target", "Status", "Revision", "Message"};
    struct cli_table *table = cli_table_new(cli);
    for (size_t i = 0; i < ARRAY_LEN(titles); ++i)
        cli_table_column(table, titles[i]);
    JSON_FOR (item, items) {
        long long status = json_int_or(json_get(item, "status"), 0), revision = json_int_or(json_get(item, "revision"), 0);
        const char *code = arena_printf(cli->arena, "%lld", status);
        cli_table_format(table, "%lld", (long long)json_int_or(json_get(item, "id"), 0));
        cli_table_text(table, cli_age(cli->arena, json_str(json_get(item, "time"), "")));
        cli_table_text(table, json_str(json_get(item, "actor"), ""));
        cli_table_text(table, json_str(json_get(item, "origin"), ""));
        cli_table_text(table, json_str(json_get(item, "verb"), ""));
        cli_table_text(table, json_str(json_get(item, "target"), ""));
        cli_table_cell(table, status >= 400 ? CLI_RED : CLI_PLAIN, slice_of(code));
        cli_table_text(table, revision != 0 ? arena_printf(cli->arena, "%lld", revision) : "-");
        cli_table_cell(table, CLI_PLAIN, slice_of(json_str(json_get(item, "message"), "")));
    }
    cli_table_print(table, !cli->options.no_headers);
}

int verb_audit(struct cli *cli)
{
    struct cli_output output;
    struct cli_answer answer;
    unsigned limit = cli->options.limit != 0 ? cli->options.limit : 50;
    if (cli->num_args != 0)
        return cli_usage(cli, "takes no arguments");
    if (cli->options.verify)
        return verify(cli);
    int status = cli_output_parse(cli, &output);
    if (status == CLI_OK)
        status = cli_get(cli, arena_printf(cli->arena, "/selvedge/v1/audit?limit=%u", limit), &answer);
    if (status != CLI_OK)
        return status;
    if (output.form != CLI_TABLE && output.form != CLI_WIDE)
        return cli_output_print(cli, &output, answer.json);
    print_entries(cli, json_get(answer.json, "items"));
    return CLI_OK;
}

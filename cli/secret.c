/* What token and join have in common. */
#include "cli/secret.h"

#include "cli/age.h"
#include "cli/output.h"
#include "core/base/uri.h"

int cli_set_ttl(struct cli *cli, struct json *body)
{
    uint64_t ms;
    if (cli->options.ttl == NULL)
        return CLI_OK;
    if (strcmp(cli->options.ttl, "0") == 0 || strcmp(cli->options.ttl, "never") == 0)
        ms = 0;
    else if (cli_parse_duration(cli->options.ttl, &ms) != 0 || ms < 1000)
        return cli_usage(cli, "--ttl: \"%s\" is no duration like 12h or 30d", cli->options.ttl);
    json_set_int(cli->arena, body, "ttlSeconds", (int64_t)(ms / 1000));
    return CLI_OK;
}

static void add_member(struct cli *cli, struct cli_table *table, const struct json *value, bool is_expiry)
{
    struct strbuf text = STRBUF_INIT;
    if (is_expiry) {
        cli_table_text(table, cli_until(cli->arena, json_str(value, "")));
        return;
    }
    if (value != NULL && value->type == JSON_ARRAY) {
        JSON_FOR (item, value)
            strbuf_addf(&text, "%s%s", text.len != 0 ? "," : "", json_str(item, ""));
    } else if (value != NULL && value->type != JSON_NULL) {
        strbuf_add_slice(&text, value->text);
    }
    cli_table_text(table, text.base);
    strbuf_clear(&text);
}

int cli_list_items(struct cli *cli, const char *path, const char *const (*columns)[2], const char *none)
{
    struct cli_output output;
    struct cli_answer answer;
    int status = cli_output_parse(cli, &output);
    if (status == CLI_OK)
        status = cli_get(cli, path, &answer);
    if (status != CLI_OK)
        return status;
    if (output.form != CLI_TABLE && output.form != CLI_WIDE)
        return cli_output_print(cli, &output, answer.json);
    struct cli_table *table = cli_table_new(cli);
    for (size_t i = 0; columns[i][0] != NULL; ++i)
        cli_table_column(table, columns[i][0]);
    JSON_FOR (item, json_get(answer.json, "items"))
        for (size_t i = 0; columns[i][0] != NULL; ++i)
            add_member(cli, table, json_get(item, columns[i][1]), strcmp(columns[i][1], "expires") == 0);
    if (cli_table_rows(table) == 0)
        fprintf(cli->err, "%s\n", none);
    else
        cli_table_print(table, !cli->options.no_headers);
    return CLI_OK;
}

int cli_revoke(struct cli *cli, const char *path, const char *name, const char *what)
{
    struct strbuf full = STRBUF_INIT;
    struct cli_answer answer;
    strbuf_addf(&full, "%s/", path);
    uri_encode(&full, slice_of(name));
    int status = cli_call(cli, &(struct cli_request){.method = "DELETE", .path = full.base}, &answer);
    strbuf_clear(&full);
    if (status == CLI_OK)
        fprintf(cli->out, "%s \"%s\" revoked\n", what, name);
    return status;
}

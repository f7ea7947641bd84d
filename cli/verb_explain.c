/* selvedge explain: where a request would go, and why not elsewhere; answered by the same decision that live requests get. */
#include "cli/client.h"
#include "cli/output.h"

static int add_header(struct cli *cli, struct json *headers, const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text)
        return cli_usage(cli, "-H '%s': must be NAME: VALUE", text);
    const char *name = arena_strndup(cli->arena, text, (size_t)(colon - text));
    json_set_str(cli->arena, headers, name, colon + 1 + strspn(colon + 1, " \t"));
    return CLI_OK;
}

static int make_body(struct cli *cli, struct json **ret)
{
    struct json *body = *ret = json_new_object(cli->arena);
    const char *url = cli->args[cli->num_args - 1];
    json_set_str(cli->arena, body, "method", cli->num_args == 2 ? cli->args[0] : "GET");
    json_set_str(cli->arena, body, "url", strstr(url, "://") != NULL ? url : arena_printf(cli->arena, "http://%s", url));
    if (cli->options.port != 0)
        json_set_int(cli->arena, body, "port", cli->options.port);
    struct json *headers = json_set(cli->arena, body, "headers", json_new_object(cli->arena));
    for (size_t i = 0; i < cli->options.headers.num; ++i)
        if (add_header(cli, headers, cli->options.headers.items[i]) != CLI_OK)
            return CLI_USAGE;
    return CLI_OK;
}

/* ---------- the story ---------- */

static const char *text(struct cli *cli, const struct json *told, const char *name)
{
    return cli_printable(cli->arena, json_slice(json_get(told, name)));
}

static const char *rule_of(struct cli *cli, const struct json *item)
{
    if (json_get(item, "route") == NULL)
        return text(cli, item, "server");
    return arena_printf(cli->arena, "%s rule %lld match %lld", text(cli, item, "route"), (long long)json_int_or(json_get(item, "rule"), 0),
                        (long long)json_int_or(json_get(item, "match"), 0));
}

static void line(struct cli *cli, const char *what, const char *value)
{
    if (*value != '\0')
        fprintf(cli->out, "  %-9s %s\n", what, value);
}

/* In a request's order: where it arrives, what it matches, where it goes. True: it gets somewhere. */
static bool tell_story(struct cli *cli, const struct json *told)
{
    const char *outcome = text(cli, told, "outcome");
    bool is_served = strcmp(outcome, "forward") == 0 || strcmp(outcome, "redirect") == 0;
    long long status = json_int_or(json_get(told, "status"), 0);
    const char *answer = status != 0 ? arena_printf(cli->arena, " (%lld)", status)
                         : strcmp(outcome, "no route") == 0 || strncmp(outcome, "no listener", 11) == 0 ? " (404)"
                         : is_served ? "" : " (500)";
    fprintf(cli->out, "%s%s%s%s\n", cli_color(cli, is_served ? CLI_GREEN : CLI_RED), outcome, answer, cli_color(cli, CLI_PLAIN));
    line(cli, "listener", text(cli, told, "listener"));
    line(cli, "server", text(cli, told, "server"));
    if (json_get(told, "route") != NULL)
        line(cli, "rule", rule_of(cli, told));
    line(cli, "hostname", text(cli, told, "hostname"));
    line(cli, "backend", text(cli, told, "backend"));
    if (json_get(told, "cohort") != NULL)
        line(cli, "cohort", arena_printf(cli->arena, "%s, bucket %lld of 10000", text(cli, told, "cohort"), (long long)json_int_or(json_get(told, "bucket"), 0)));
    if (json_get(told, "cluster") != NULL && strcmp(text(cli, told, "cluster"), text(cli, told, "backend")) != 0)
        line(cli, "cluster", text(cli, told, "cluster"));
    line(cli, "host", text(cli, told, "host"));
    line(cli, "path", text(cli, told, "path"));
    line(cli, "location", text(cli, told, "location"));
    if (json_get(told, "revision") != NULL)
        line(cli, "revision", arena_printf(cli->arena, "%lld", (long long)json_int_or(json_get(told, "revision"), 0)));
    return is_served;
}

static void print_considered(struct cli *cli, const struct json *considered)
{
    struct cli_table *table = cli_table_new(cli);
    cli_table_column(table, json_get(considered != NULL ? considered->child : NULL, "server") != NULL ? "Listener" : "Rule");
    cli_table_column(table, "Result");
    cli_table_column(table, "Why");
    JSON_FOR (item, considered) {
        const char *result = text(cli, item, "result");
        enum cli_color color = strcmp(result, "taken") == 0 ? CLI_GREEN : strcmp(result, "no match") == 0 ? CLI_FAINT : CLI_YELLOW;
        cli_table_cell(table, CLI_PLAIN, slice_of(rule_of(cli, item)));
        cli_table_cell(table, color, slice_of(result));
        cli_table_cell(table, CLI_PLAIN, slice_of(text(cli, item, "why")));
    }
    if (cli_table_rows(table) != 0)
        fputc('\n', cli->out);
    if (cli_table_rows(table) != 0)
        cli_table_print(table, true);
}

int verb_explain(struct cli *cli)
{
    struct cli_output output;
    struct cli_answer answer;
    struct json *body;
    int status = cli_output_parse(cli, &output);
    if (status != CLI_OK)
        return status;
    if (cli->num_args == 0 || cli->num_args > 2)
        return cli_usage(cli, "METHOD and URL are needed; fields of kinds are explained by explain-field");
    status = make_body(cli, &body);
    if (status == CLI_OK)
        status = cli_post(cli, "/selvedge/v1/explain", body, &answer);
    if (status != CLI_OK)
        return status;
    if (output.form != CLI_TABLE && output.form != CLI_WIDE)
        return cli_output_print(cli, &output, answer.json);
    bool is_served = tell_story(cli, answer.json);
    print_considered(cli, json_get(answer.json, "considered"));
    return is_served ? CLI_OK : CLI_DIFFERENT;
}

/* selvedge rollback: the whole configuration, or one object or kind, as it was; a new revision like any other. */
#include "cli/apply.h"
#include "cli/resource.h"
#include "cli/wait.h"

static int add_target(struct cli *cli, struct json *body)
{
    struct cli_resources resources;
    if (cli->num_args == 1)
        return CLI_OK;
    int status = cli_resources_parse(cli, 1, &resources);
    if (status != CLI_OK)
        return status;
    if (resources.num != 1)
        return cli_usage(cli, "one KIND or KIND/NAME, or nothing for the whole configuration");
    const struct cli_resource *r = &resources.items[0];
    json_set_str(cli->arena, body, "kind", arena_printf(cli->arena, "%s%s%s", r->kind->plural, r->kind->group[0] != '\0' ? "." : "", r->kind->group));
    if (r->name != NULL)
        json_set_str(cli->arena, body, "name", r->name);
    if (r->kind->is_namespaced)
        json_set_str(cli->arena, body, "namespace", cli_namespace(cli));
    return CLI_OK;
}

int verb_rollback(struct cli *cli)
{
    struct json *body = json_new_object(cli->arena);
    struct cli_answer answer;
    char *end;
    if (cli->num_args == 0)
        return cli_usage(cli, "to which revision? selvedge history shows them");
    long long revision = strtoll(cli->args[0], &end, 10);
    if (*end != '\0' || revision < 1)
        return cli_usage(cli, "\"%s\" is no revision", cli->args[0]);
    json_set_int(cli->arena, body, "revision", revision);
    if (cli->options.message != NULL)
        json_set_str(cli->arena, body, "message", cli->options.message);
    int status = add_target(cli, body);
    if (status == CLI_OK)
        status = cli_post(cli, cli->options.dry_run ? "/selvedge/v1/rollback?dryRun=All" : "/selvedge/v1/rollback", body, &answer);
    if (status != CLI_OK)
        return status;
    JSON_FOR (result, json_get(answer.json, "results")) {
        fprintf(cli->out, "%s %s%s\n", cli_object_name(cli->arena, result), cli_apply_action(result),
                cli->options.dry_run ? " (dry run)" : "");
        if (cli->options.dry_run)
            cli_print_changes(cli, json_get(result, "changes"), "  ");
    }
    const char *rev = cli_apply_revision(cli, answer.json);
    if (json_find(answer.json, "results", NULL)->num == 0)
        fprintf(cli->out, "nothing to change: it is as it was at %lld\n", revision);
    if (rev == NULL || cli->options.dry_run || json_find(answer.json, "results", NULL)->num == 0)
        return CLI_OK;
    fprintf(cli->out, "%srevision %s: as it was at %lld%s\n", cli_color(cli, CLI_FAINT), rev, revision, cli_color(cli, CLI_PLAIN));
    return cli->options.wait ? cli_wait_revision(cli, rev) : CLI_OK;
}

/* selvedge rollback: the whole configuration, or one object or kind, as it was; a new revision like any other. */
#include "cli/apply.h"
#include "cli/resource.h"
#include "cli/wait.h"

static int parse_target(struct cli *cli, size_t first, struct cli_resource *ret)
{
    struct cli_resources resources;
    *ret = (struct cli_resource){NULL, NULL};
    if (cli->num_args == first)
        return CLI_OK;
    int status = cli_resources_parse(cli, first, &resources);
    if (status != CLI_OK)
        return status;
    if (resources.num != 1)
        return cli_usage(cli, "one KIND or KIND/NAME, or nothing for the whole configuration");
    *ret = resources.items[0];
    return CLI_OK;
}

static const char *plural_of(struct cli *cli, const struct kind *kind)
{
    return arena_printf(cli->arena, "%s%s%s", kind->plural, kind->group[0] != '\0' ? "." : "", kind->group);
}

static void add_target(struct cli *cli, const struct cli_resource *target, struct json *body)
{
    if (target->kind == NULL)
        return;
    json_set_str(cli->arena, body, "kind", plural_of(cli, target->kind));
    if (target->name != NULL)
        json_set_str(cli->arena, body, "name", target->name);
    if (target->kind->is_namespaced)
        json_set_str(cli->arena, body, "namespace", cli_namespace(cli));
}

/* The revision before the newest one that changed the target. */
static int find_previous(struct cli *cli, const struct cli_resource *target, long long *ret)
{
    struct strbuf path = STRBUF_INIT;
    struct cli_answer answer;
    strbuf_adds(&path, "/selvedge/v1/revisions");
    cli_add_param(&path, "kind", plural_of(cli, target->kind));
    cli_add_param(&path, "name", target->name);
    if (target->kind->is_namespaced)
        cli_add_param(&path, "namespace", cli_namespace(cli));
    cli_add_param(&path, "limit", "1");
    int status = cli_get(cli, path.base, &answer);
    strbuf_clear(&path);
    if (status != CLI_OK)
        return status;
    *ret = json_int_or(json_get(json_at(json_get(answer.json, "items"), 0), "revision"), 0) - 1;
    if (*ret < 1) {
        fprintf(cli->err, "selvedge: no change is known that could be undone: selvedge history shows them\n");
        return CLI_REFUSED;
    }
    return CLI_OK;
}

/* REV [KIND[/NAME]], or KIND[/NAME] alone: as before its newest change. */
static int parse(struct cli *cli, long long *ret_revision, struct cli_resource *ret_target)
{
    char *end;
    if (cli->num_args == 0)
        return cli_usage(cli, "to which revision, or of which object? selvedge history shows them");
    *ret_revision = strtoll(cli->args[0], &end, 10);
    bool is_number = *end == '\0';
    if (is_number && *ret_revision < 1)
        return cli_usage(cli, "\"%s\" is no revision", cli->args[0]);
    int status = parse_target(cli, is_number ? 1 : 0, ret_target);
    return status == CLI_OK && !is_number ? find_previous(cli, ret_target, ret_revision) : status;
}

int verb_rollback(struct cli *cli)
{
    struct json *body = json_new_object(cli->arena);
    struct cli_resource target;
    struct cli_answer answer;
    long long revision = 0;
    int status = parse(cli, &revision, &target);
    if (status != CLI_OK)
        return status;
    json_set_int(cli->arena, body, "revision", revision);
    if (cli->options.message != NULL)
        json_set_str(cli->arena, body, "message", cli->options.message);
    add_target(cli, &target, body);
    status = cli_post(cli, cli->options.dry_run ? "/selvedge/v1/rollback?dryRun=All" : "/selvedge/v1/rollback", body, &answer);
    if (status != CLI_OK)
        return status;
    const struct json *results = json_get(answer.json, "results");
    bool is_same = results == NULL || results->num == 0;
    JSON_FOR (result, results) {
        fprintf(cli->out, "%s %s%s\n", cli_object_name(cli->arena, result), cli_apply_action(result),
                cli->options.dry_run ? " (dry run)" : "");
        if (cli->options.dry_run)
            cli_print_changes(cli, json_get(result, "changes"), "  ");
    }
    const char *rev = cli_apply_revision(cli, answer.json);
    if (is_same)
        fprintf(cli->out, "nothing to change: it is as it was at %lld\n", revision);
    if (rev == NULL || cli->options.dry_run || is_same)
        return CLI_OK;
    fprintf(cli->out, "%srevision %s: as it was at %lld%s\n", cli_color(cli, CLI_FAINT), rev, revision, cli_color(cli, CLI_PLAIN));
    return cli->options.wait ? cli_wait_revision(cli, rev) : CLI_OK;
}

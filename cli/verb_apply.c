/* selvedge apply: objects from files become one revision, all or nothing.
 *
 * Everything is read and looked at here first, so that a broken file is told with its line before anything is sent. */
#include "cli/apply.h"
#include "cli/wait.h"

static enum cli_color color_of(const char *action)
{
    if (strcmp(action, "created") == 0)
        return CLI_GREEN;
    if (strcmp(action, "configured") == 0)
        return CLI_YELLOW;
    return strcmp(action, "unchanged") == 0 ? CLI_FAINT : CLI_RED;
}

static void print_result(struct cli *cli, const struct json *result)
{
    const char *action = cli_apply_action(result);
    fprintf(cli->out, "%s %s%s%s%s\n", cli_object_name(cli->arena, result), cli_color(cli, color_of(action)), action, cli_color(cli, CLI_PLAIN),
            cli->options.dry_run ? " (dry run)" : "");
    if (cli->options.dry_run)
        cli_print_changes(cli, json_get(result, "changes"), "  ");
}

int verb_apply(struct cli *cli)
{
    struct cli_manifests manifests;
    struct cli_answer answer;
    if (cli->num_args != 0 || cli->options.files.num == 0)
        return cli_usage(cli, cli->num_args != 0 ? "files are given with -f" : "-f FILE is missing");
    if (cli->options.prune && cli->options.owner == NULL)
        return cli_usage(cli, "--prune needs --owner NAME: only what that owner applied is deleted");
    int status = cli_manifests_read(cli, &cli->options.files, cli->options.recursive, &manifests);
    if (status == CLI_OK)
        status = cli_apply(cli, &manifests, cli->options.dry_run, &answer);
    if (status != CLI_OK)
        return status;
    JSON_FOR (result, json_get(answer.json, "results"))
        print_result(cli, result);
    const char *revision = cli_apply_revision(cli, answer.json);
    if (revision == NULL || cli->options.dry_run)
        return CLI_OK;
    fprintf(cli->out, "%srevision %s%s\n", cli_color(cli, CLI_FAINT), revision, cli_color(cli, CLI_PLAIN));
    return cli->options.wait ? cli_wait_revision(cli, revision) : CLI_OK;
}

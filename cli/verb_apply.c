/* selvedge apply: objects from files become one revision, all or nothing.
 *
 * Everything is read and looked at here first, so that a broken file is told with its line before anything is sent. */
#include "cli/client.h"
#include "cli/manifest.h"

static const char *path_of(struct cli *cli)
{
    const struct cli_options *options = &cli->options;
    struct strbuf path = STRBUF_INIT;
    strbuf_adds(&path, "/selvedge/v1/apply?fieldManager=selvedge");
    cli_add_param(&path, "message", options->message);
    cli_add_param(&path, "owner", options->owner);
    cli_add_param(&path, "prune", options->prune ? "true" : NULL);
    cli_add_param(&path, "dryRun", options->dry_run ? "All" : NULL);
    const char *copy = arena_strndup(cli->arena, path.base, path.len);
    strbuf_clear(&path);
    return copy;
}

/* The place of the object a Status speaks of: "shop.yaml:12: ", or NULL. */
static const char *place_of(struct cli *cli, const struct cli_manifests *manifests, const struct json *status)
{
    const struct json *details = json_get(status, "details");
    const char *kind_name = json_str(json_get(details, "kind"), NULL), *name = json_str(json_get(details, "name"), NULL);
    const struct kind *kind = kind_name != NULL ? kind_find_name(slice_of(kind_name)) : NULL;
    if (name == NULL || *name == '\0')
        return NULL;
    const struct cli_manifest *found = cli_manifests_find(manifests, kind != NULL ? kind->kind : NULL, json_str(json_get(details, "namespace"), NULL), name);
    return found != NULL ? arena_printf(cli->arena, "%s: ", found->place) : NULL;
}

static enum cli_color color_of(const char *result)
{
    if (strcmp(result, "created") == 0)
        return CLI_GREEN;
    if (strcmp(result, "configured") == 0)
        return CLI_YELLOW;
    return strcmp(result, "pruned") == 0 ? CLI_RED : CLI_FAINT;
}

static void print_result(struct cli *cli, const struct json *item)
{
    const char *result = json_str(json_get(item, "result"), "applied");
    fprintf(cli->out, "%s %s%s%s%s\n", cli_object_name(cli->arena, item), cli_color(cli, color_of(result)), result, cli_color(cli, CLI_PLAIN),
            cli->options.dry_run ? " (dry run)" : "");
}

static const char *revision_of(struct cli *cli, const struct json *answer)
{
    const struct json *rev = json_get(answer, "revision");
    if (rev == NULL || (rev->type != JSON_NUMBER && rev->type != JSON_STRING))
        return NULL;
    return arena_strndup(cli->arena, rev->text.base, rev->text.len);
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
    if (status != CLI_OK)
        return status;
    struct cli_request request = {.method = "POST", .path = path_of(cli), .body = cli_manifests_write(cli, &manifests)};
    status = cli_send(cli, &request, &answer);
    if (status != CLI_OK)
        return status;
    if (answer.status < 200 || answer.status > 299)
        return cli_tell_refusal(cli, &answer, place_of(cli, &manifests, answer.json));
    JSON_FOR (item, json_get(answer.json, "results"))
        print_result(cli, item);
    const char *revision = revision_of(cli, answer.json);
    if (revision != NULL && !cli->options.dry_run)
        fprintf(cli->out, "%srevision %s%s\n", cli_color(cli, CLI_FAINT), revision, cli_color(cli, CLI_PLAIN));
    return CLI_OK;
}

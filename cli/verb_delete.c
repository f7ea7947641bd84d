/* selvedge delete: objects by name, by label, of files, or all of a kind. */
#include "cli/client.h"
#include "cli/manifest.h"
#include "cli/resource.h"

static int delete_one(struct cli *cli, const struct kind *kind, const char *ns, const char *name, const char *place)
{
    struct cli_answer answer;
    const char *path = cli_object_path(cli->arena, kind, ns, name);
    if (cli->options.dry_run)
        path = arena_printf(cli->arena, "%s?dryRun=All", path);
    int status = cli_send(cli, &(struct cli_request){.method = "DELETE", .path = path}, &answer);
    if (status != CLI_OK)
        return status;
    if (answer.status == 404 && cli->options.ignore_not_found)
        return CLI_OK;
    if (answer.status < 200 || answer.status > 299)
        return cli_tell_refusal(cli, &answer, place);
    fprintf(cli->out, "%s \"%s\" deleted%s\n", cli_kind_name(cli->arena, kind), name, cli->options.dry_run ? " (dry run)" : "");
    return CLI_OK;
}

/* Last first: what was applied later may refer to what came before it. */
static int delete_files(struct cli *cli)
{
    struct cli_manifests manifests;
    int first = CLI_OK, status = cli_manifests_read(cli, &cli->options.files, cli->options.recursive, &manifests);
    if (status != CLI_OK)
        return status;
    for (size_t i = manifests.num; i-- > 0 && first != CLI_UNREACHABLE && !cli_is_interrupted();) {
        const struct cli_manifest *m = &manifests.items[i];
        const char *place = arena_printf(cli->arena, "%s: ", m->place);
        status = m->kind == NULL || *m->name == '\0' ? cli_fail(cli, CLI_LOCAL, "%sno object that could be deleted", place)
                                                     : delete_one(cli, m->kind, m->ns, m->name, place);
        first = first == CLI_OK || status == CLI_UNREACHABLE ? status : first;
    }
    return first;
}

static int delete_selected(struct cli *cli, const struct kind *kind)
{
    struct strbuf path = STRBUF_INIT;
    struct cli_answer answer;
    const char *ns = cli->options.all_namespaces ? NULL : cli_namespace(cli);
    strbuf_adds(&path, cli_object_path(cli->arena, kind, ns, NULL));
    cli_add_param(&path, "labelSelector", cli->options.selector);
    int first = cli_get(cli, path.base, &answer);
    strbuf_clear(&path);
    JSON_FOR (item, first == CLI_OK ? json_get(answer.json, "items") : NULL) {
        const struct json *metadata = json_get(item, "metadata");
        int status = delete_one(cli, kind, json_str(json_get(metadata, "namespace"), NULL), json_str(json_get(metadata, "name"), ""), NULL);
        first = first == CLI_OK ? status : first;
    }
    return first;
}

int verb_delete(struct cli *cli)
{
    struct cli_resources resources;
    bool is_many = cli->options.all || cli->options.selector != NULL;
    int first = CLI_OK;
    if (cli->options.files.num != 0)
        return cli->num_args == 0 ? delete_files(cli) : cli_usage(cli, "either -f FILE, or KIND and NAME");
    int status = cli_resources_parse(cli, 0, &resources);
    if (status != CLI_OK)
        return status;
    for (size_t i = 0; i < resources.num; ++i)
        if ((resources.items[i].name == NULL) != is_many)
            return cli_usage(cli, is_many ? "either NAME, or -l or --all" : "which %s? Give a NAME, -l SELECTOR or --all", resources.items[i].kind->plural);
    for (size_t i = 0; i < resources.num && first != CLI_UNREACHABLE && !cli_is_interrupted(); ++i) {
        const struct cli_resource *r = &resources.items[i];
        status = is_many ? delete_selected(cli, r->kind) : delete_one(cli, r->kind, cli_namespace(cli), r->name, NULL);
        first = first == CLI_OK || status == CLI_UNREACHABLE ? status : first;
    }
    return first;
}

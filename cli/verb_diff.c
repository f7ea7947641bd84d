/* selvedge diff: what files would change, or what changed between two revisions. Exit 1 when there is a difference.
 *
 * Files: one dry run of all of them tells which objects are new, changed or the same (and refuses what apply would refuse);
 * changed ones are shown as they are and as they would be. */
#include "cli/apply.h"
#include "cli/live.h"
#include "cli/text_diff.h"

static int print_diff(struct cli *cli, struct slice from, struct slice to, const char *from_name, const char *to_name)
{
    struct strbuf diff = STRBUF_INIT, colored = STRBUF_INIT;
    bool is_different = cli_text_diff(from, to, from_name, to_name, &diff);
    if (is_different && cli->is_colored) {
        cli_text_diff_color(strbuf_slice(&diff), cli_color(cli, CLI_RED), cli_color(cli, CLI_GREEN), cli_color(cli, CLI_CYAN),
                            cli_color(cli, CLI_BOLD), cli_color(cli, CLI_PLAIN), &colored);
        fwrite(colored.base, 1, colored.len, cli->out);
    } else if (is_different) {
        fwrite(diff.base, 1, diff.len, cli->out);
    }
    strbuf_clear(&diff);
    strbuf_clear(&colored);
    return is_different ? CLI_DIFFERENT : CLI_OK;
}

static const char *label(struct cli *cli, const char *side, const struct json *object)
{
    const char *ns = json_str(json_find(object, "metadata", "namespace", NULL), json_str(json_get(object, "namespace"), NULL));
    return arena_printf(cli->arena, "%s %s%s%s", side, cli_object_name(cli->arena, object), ns != NULL && *ns != '\0' ? " -n " : "",
                        ns != NULL ? ns : "");
}

/* Secrets are compared by what they hold and shown without it. */
static void hide_secret(struct cli *cli, const struct kind *kind, struct json *object, const struct json *other)
{
    struct json *data = kind != NULL && kind->is_secret ? json_get(object, "data") : NULL;
    JSON_FOR (entry, data) {
        const struct json *same = json_get_n(json_get(other, "data"), entry->key);
        struct slice mark = same == NULL || json_equal(entry, same) ? SLICE("***") : other != NULL ? SLICE("*** (changed)") : SLICE("***");
        entry->text = mark;
        entry->type = JSON_STRING;
    }
}

static int diff_changed(struct cli *cli, const struct cli_manifest *manifest)
{
    struct json *live, *would = NULL;
    int status = cli_live_get(cli, manifest->kind, manifest->ns, manifest->name, &live);
    if (status == CLI_OK)
        status = cli_live_would_be(cli, manifest, &would);
    if (status != CLI_OK)
        return status;
    struct json *before = live != NULL ? json_clone(cli->arena, live) : NULL;
    hide_secret(cli, manifest->kind, would, before);
    hide_secret(cli, manifest->kind, live, NULL);
    cli_live_strip(live, false);
    cli_live_strip(would, false);
    cli_live_align(would, live);
    return print_diff(cli, live != NULL ? cli_live_yaml(cli, live) : SLICE(""), cli_live_yaml(cli, would), label(cli, "live", would),
                      label(cli, "new", would));
}

static int diff_manifest(struct cli *cli, const struct cli_manifest *manifest, const struct json *answer)
{
    const struct json *result = cli_apply_result(answer, manifest);
    const char *action = cli_apply_action(result);
    if (strcmp(action, "unchanged") == 0)
        return CLI_OK;
    if (strcmp(action, "created") != 0 && manifest->kind != NULL)
        return diff_changed(cli, manifest);
    struct json *object = json_clone(cli->arena, manifest->object);
    hide_secret(cli, manifest->kind, object, NULL);
    return print_diff(cli, SLICE(""), cli_live_yaml(cli, object), "/dev/null", label(cli, "new", object));
}

/* What --prune would delete is among the results only. */
static int diff_pruned(struct cli *cli, const struct json *answer)
{
    int status = CLI_OK;
    JSON_FOR (result, json_get(answer, "results")) {
        if (strcmp(cli_apply_action(result), "pruned") != 0)
            continue;
        fprintf(cli->out, "%s--- %s%s\n+++ /dev/null\n", cli_color(cli, CLI_RED), label(cli, "live", result), cli_color(cli, CLI_PLAIN));
        status = CLI_DIFFERENT;
    }
    return status;
}

static int diff_files(struct cli *cli)
{
    struct cli_manifests manifests;
    struct cli_answer answer;
    int status = cli_manifests_read(cli, &cli->options.files, cli->options.recursive, &manifests), all = CLI_OK;
    if (status == CLI_OK)
        status = cli_apply(cli, &manifests, true, &answer);
    if (status != CLI_OK)
        return status;
    for (size_t i = 0; i < manifests.num; ++i) {
        status = diff_manifest(cli, &manifests.items[i], answer.json);
        if (status != CLI_OK && status != CLI_DIFFERENT)
            return status;
        all = MAX(all, status);
    }
    return MAX(all, diff_pruned(cli, answer.json));
}

/* ---------- two revisions ---------- */

/* Either side NULL: it is not there. */
static int diff_object(struct cli *cli, const struct json *item, const char *from_rev, const char *to_rev)
{
    struct json *from = json_get(item, "from"), *to = json_get(item, "to");
    const char *old = from != NULL ? label(cli, from_rev, item) : "/dev/null", *new = to != NULL ? label(cli, to_rev, item) : "/dev/null";
    cli_live_strip(from, false);
    cli_live_strip(to, false);
    cli_live_align(to, from);
    int status = print_diff(cli, from != NULL ? cli_live_yaml(cli, from) : SLICE(""), to != NULL ? cli_live_yaml(cli, to) : SLICE(""), old, new);
    if (status == CLI_OK && json_get(item, "changes") != NULL) { /* entries of a Secret: their values are not told */
        fprintf(cli->out, "%s--- %s\n+++ %s%s\n", cli_color(cli, CLI_BOLD), old, new, cli_color(cli, CLI_PLAIN));
        cli_print_changes(cli, json_get(item, "changes"), "");
    }
    return CLI_DIFFERENT;
}

static int diff_revisions(struct cli *cli, const char *from, const char *to)
{
    struct strbuf path = STRBUF_INIT;
    struct cli_answer answer;
    strbuf_adds(&path, "/selvedge/v1/diff");
    cli_add_param(&path, "from", from);
    cli_add_param(&path, "to", to);
    cli_add_param(&path, "include", "objects");
    int status = cli_get(cli, path.base, &answer);
    strbuf_clear(&path);
    if (status != CLI_OK)
        return status;
    const char *old = arena_printf(cli->arena, "revision %lld", (long long)json_int_or(json_get(answer.json, "from"), 0));
    const char *new = arena_printf(cli->arena, "revision %lld", (long long)json_int_or(json_get(answer.json, "to"), 0));
    JSON_FOR (item, json_get(answer.json, "items"))
        status = diff_object(cli, item, old, new);
    return status;
}

int verb_diff(struct cli *cli)
{
    if (cli->options.files.num != 0)
        return cli->num_args == 0 ? diff_files(cli) : cli_usage(cli, "either -f FILE, or two revisions");
    if (cli->num_args == 0 || cli->num_args > 2)
        return cli_usage(cli, "-f FILE, or one or two revisions");
    return diff_revisions(cli, cli->args[0], cli->args[1]); /* one revision: with the present state */
}

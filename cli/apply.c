/* Many objects to the API at once. */
#include "cli/apply.h"

#include "cli/table.h"

static const char *path_of(struct cli *cli, bool is_dry_run)
{
    const struct cli_options *options = &cli->options;
    struct strbuf path = STRBUF_INIT;
    strbuf_adds(&path, "/selvedge/v1/apply?fieldManager=selvedge");
    cli_add_param(&path, "namespace", cli_namespace(cli));
    cli_add_param(&path, "message", options->message);
    cli_add_param(&path, "owner", options->owner);
    cli_add_param(&path, "prune", options->prune ? "true" : NULL);
    cli_add_param(&path, "force", options->force ? "true" : NULL);
    cli_add_param(&path, "dryRun", is_dry_run ? "All" : NULL);
    const char *copy = arena_strndup(cli->arena, path.base, path.len);
    strbuf_clear(&path);
    return copy;
}

/* ---------- refusals ---------- */

/* The document a result is about; what has no kind comes under another's. */
static const struct cli_manifest *manifest_of(const struct cli_manifests *manifests, const struct json *result)
{
    const char *kind = json_str(json_get(result, "kind"), NULL), *ns = json_str(json_get(result, "namespace"), NULL);
    const struct cli_manifest *found = cli_manifests_find(manifests, kind, ns, json_str(json_get(result, "name"), ""));
    return found != NULL ? found : cli_manifests_find(manifests, NULL, NULL, json_str(json_get(result, "name"), ""));
}

/* FILE:LINE: KIND NAME: FIELD: MESSAGE; an object may have no name, a reason no field. */
static void tell_reason(struct cli *cli, const char *what, const char *field, const char *message)
{
    fprintf(cli->err, "%s: %s%s%s\n", what, field, *field != '\0' ? ": " : "", message);
}

static void tell_refused(struct cli *cli, const struct cli_manifests *manifests, const struct json *result)
{
    const struct json *error = json_get(result, "error"), *causes = json_find(error, "details", "causes", NULL);
    const struct cli_manifest *manifest = manifest_of(manifests, result);
    const char *kind = json_str(json_get(manifest != NULL ? manifest->object : result, "kind"), "object");
    const char *name = json_str(json_get(result, "name"), ""), *place = manifest != NULL ? manifest->place : "?";
    const char *what = arena_printf(cli->arena, "%s: %s%s%s", place, kind, *name != '\0' ? " " : "", name);
    if (causes == NULL || causes->num == 0)
        tell_reason(cli, what, "", json_str(json_get(error, "message"), "refused"));
    JSON_FOR (cause, causes)
        tell_reason(cli, what, json_str(json_get(cause, "field"), ""), json_str(json_get(cause, "message"), ""));
}

static int tell_refusals(struct cli *cli, const struct cli_manifests *manifests, const struct cli_answer *answer)
{
    const struct json *results = json_get(answer->json, "results");
    unsigned num = 0;
    if (results == NULL)
        return cli_tell_refusal(cli, answer, NULL);
    JSON_FOR (result, results)
        if (json_get(result, "error") != NULL) {
            ++num;
            tell_refused(cli, manifests, result);
        }
    return cli_fail(cli, CLI_REFUSED, "%u of %u objects refused, nothing was changed%s", num, results->num,
                    answer->status == 409 ? "; --force takes fields over from those who set them" : "");
}

int cli_apply(struct cli *cli, const struct cli_manifests *manifests, bool is_dry_run, struct cli_answer *ret)
{
    struct cli_request request = {.method = "POST", .path = path_of(cli, is_dry_run), .body = cli_manifests_write(cli, manifests)};
    int status = cli_send(cli, &request, ret);
    if (status != CLI_OK)
        return status;
    return ret->status < 200 || ret->status > 299 ? tell_refusals(cli, manifests, ret) : CLI_OK;
}

const struct json *cli_apply_result(const struct json *answer, const struct cli_manifest *manifest)
{
    const char *kind = json_str(json_get(manifest->object, "kind"), "");
    JSON_FOR (result, json_get(answer, "results"))
        if (strcmp(json_str(json_get(result, "kind"), ""), kind) == 0 && strcmp(json_str(json_get(result, "name"), ""), manifest->name) == 0 &&
            strcmp(json_str(json_get(result, "namespace"), ""), manifest->ns) == 0)
            return result;
    return NULL;
}

const char *cli_apply_action(const struct json *result)
{
    return json_str(json_get(result, "result"), "applied");
}

const char *cli_apply_revision(struct cli *cli, const struct json *answer)
{
    const struct json *rev = json_get(answer, "revision");
    if (rev == NULL || (rev->type != JSON_NUMBER && rev->type != JSON_STRING))
        return NULL;
    return arena_strndup(cli->arena, rev->text.base, rev->text.len);
}

/* ---------- changes ---------- */

static const char *short_value(struct cli *cli, const struct json *value)
{
    enum { LONG = 120 };
    struct strbuf text = STRBUF_INIT;
    if (value == NULL)
        return "";
    json_write(&text, value);
    size_t len = MIN(text.len, (size_t)LONG);
    while (len < text.len && len > 0 && ((unsigned char)text.base[len] & 0xc0) == 0x80)
        --len; /* not in the middle of a character */
    const char *copy = arena_printf(cli->arena, "%.*s%s", (int)len, text.base, len < text.len ? "…" : "");
    strbuf_clear(&text);
    return cli_printable(cli->arena, slice_of(copy));
}

void cli_print_changes(struct cli *cli, const struct json *changes, const char *indent)
{
    JSON_FOR (change, changes) {
        const char *op = json_str(json_get(change, "op"), ""), *path = json_str(json_get(change, "path"), "");
        const char *from = short_value(cli, json_get(change, "from")), *to = short_value(cli, json_get(change, "to"));
        const char *plain = cli_color(cli, CLI_PLAIN);
        if (strcmp(op, "add") == 0)
            fprintf(cli->out, "%s%s+ %s: %s%s\n", indent, cli_color(cli, CLI_GREEN), path, to, plain);
        else if (strcmp(op, "remove") == 0)
            fprintf(cli->out, "%s%s- %s: %s%s\n", indent, cli_color(cli, CLI_RED), path, from, plain);
        else if (json_get(change, "from") == NULL && json_get(change, "to") == NULL) /* of a Secret: without its values */
            fprintf(cli->out, "%s%s~ %s: changed%s\n", indent, cli_color(cli, CLI_YELLOW), path, plain);
        else
            fprintf(cli->out, "%s%s~ %s: %s -> %s%s\n", indent, cli_color(cli, CLI_YELLOW), path, from, to, plain);
    }
}

/* selvedge get: objects as tables, documents or names; with -w also what becomes of them.
 *
 * A watch is a list and then events from the list's revision on; when it is cut off it goes on from the last revision seen,
 * and begins anew with a list when that revision is gone (410). */
#include "cli/client.h"
#include "cli/manifest.h"
#include "cli/output.h"
#include "cli/resource.h"
#include "core/base/clock.h"

#include <poll.h>

#define ACCEPT_TABLE "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
enum { EVENT_MAX = 16 << 20, PAUSE_MS = 1000 };

struct get {
    struct cli *cli;
    struct cli_output output;
    struct cli_resources resources;
    bool is_table, with_ns, is_many_kinds;
    struct json *found; /* array: objects for one document */
    struct cli_table *table;
    const struct kind *table_kind;
    size_t num_rows; /* of tables written */
    /* watch */
    struct strbuf line;
    char rev[24];
    bool is_gone, is_over; /* 410; an error that ends it */
    int status;
};

static const char *path_of(struct get *get, const struct cli_resource *resource, bool is_watch)
{
    struct cli *cli = get->cli;
    struct strbuf path = STRBUF_INIT;
    const char *ns = get->with_ns ? NULL : cli_namespace(cli);
    bool is_one = resource->name != NULL && !is_watch;
    const char *fields = cli->options.field_selector;
    if (resource->name != NULL && is_watch)
        fields = arena_printf(cli->arena, "metadata.name=%s", resource->name);
    strbuf_adds(&path, cli_object_path(cli->arena, resource->kind, ns, is_one ? resource->name : NULL));
    if (!is_one) {
        cli_add_param(&path, "labelSelector", cli->options.selector);
        cli_add_param(&path, "fieldSelector", fields);
    }
    if (is_watch) {
        cli_add_param(&path, "watch", "true");
        cli_add_param(&path, "allowWatchBookmarks", "true");
        cli_add_param(&path, "resourceVersion", get->rev);
    }
    const char *copy = arena_strndup(cli->arena, path.base, path.len);
    strbuf_clear(&path);
    return copy;
}

static const char *prefix_of(struct get *get, const struct kind *kind)
{
    return get->is_many_kinds ? arena_printf(get->cli->arena, "%s/", cli_kind_name(get->cli->arena, kind)) : "";
}

/* ---------- once ---------- */

/* Writes the rows collected; a table of another kind follows after an empty line. */
static void flush_table(struct get *get)
{
    size_t rows = get->table != NULL ? cli_table_rows(get->table) : 0;
    if (rows == 0)
        return;
    if (get->is_many_kinds && get->num_rows != 0)
        fputc('\n', get->cli->out);
    get->num_rows += rows;
    cli_table_print(get->table, !get->cli->options.no_headers);
}

static void add_rows(struct get *get, const struct cli_resource *resource, const struct json *doc)
{
    bool with_ns = get->with_ns && resource->kind->is_namespaced;
    if (get->table_kind != resource->kind) {
        flush_table(get);
        get->table = NULL;
        get->table_kind = resource->kind;
    }
    cli_output_rows(get->cli, doc, get->output.form == CLI_WIDE, with_ns, prefix_of(get, resource->kind), &get->table);
}

static struct json *shown(struct get *get, struct json *object)
{
    struct json *metadata = json_get(object, "metadata");
    if (metadata != NULL && !get->cli->options.managed_fields)
        (void)json_remove(metadata, "managedFields"); /* absent is as good */
    return object;
}

/* Objects of a list do not say what they are: kind and version are the list's. */
static void keep(struct get *get, const struct cli_resource *resource, const struct json *doc)
{
    struct arena *arena = get->cli->arena;
    const struct json *items = json_get(doc, "items");
    if (items == NULL) {
        json_push(get->found, shown(get, json_clone(arena, doc)));
        return;
    }
    JSON_FOR (item, items) {
        struct json *object = json_new_object(arena);
        json_set_str(arena, object, "apiVersion", json_str(json_get(doc, "apiVersion"), "v1"));
        json_set_str(arena, object, "kind", resource->kind->kind);
        JSON_FOR (member, item)
            json_set_n(arena, object, member->key, json_clone(arena, member));
        json_push(get->found, shown(get, object));
    }
}

static int get_one(struct get *get, const struct cli_resource *resource)
{
    struct cli_answer answer;
    struct cli_request request = {.path = path_of(get, resource, false), .accept = get->is_table ? ACCEPT_TABLE : NULL};
    int status = cli_send(get->cli, &request, &answer);
    if (status != CLI_OK)
        return status;
    if (answer.status == 404 && resource->name != NULL && get->cli->options.ignore_not_found)
        return CLI_OK;
    if (answer.status != 200)
        return cli_tell_refusal(get->cli, &answer, NULL);
    if (answer.json == NULL)
        return cli_fail(get->cli, CLI_REFUSED, "the API's answer is no JSON document");
    snprintf(get->rev, sizeof(get->rev), "%s", json_str(json_find(answer.json, "metadata", "resourceVersion", NULL), ""));
    if (get->is_table)
        add_rows(get, resource, answer.json);
    else
        keep(get, resource, answer.json);
    return CLI_OK;
}

/* One object stands for itself, several are a List. */
static int print_found(struct get *get)
{
    struct arena *arena = get->cli->arena;
    bool is_single = get->resources.num == 1 && get->resources.items[0].name != NULL;
    if (is_single)
        return get->found->num != 0 ? cli_output_print(get->cli, &get->output, json_at(get->found, 0)) : CLI_OK;
    struct json *list = json_new_object(arena);
    json_set_str(arena, list, "apiVersion", "v1");
    json_set(arena, list, "items", get->found);
    json_set_str(arena, list, "kind", "List");
    json_set_str(arena, json_set(arena, list, "metadata", json_new_object(arena)), "resourceVersion", "");
    return cli_output_print(get->cli, &get->output, list);
}

static void tell_empty(struct get *get)
{
    if (get->num_rows != 0 || get->cli->options.ignore_not_found)
        return;
    if (get->with_ns || !get->resources.items[0].kind->is_namespaced)
        fprintf(get->cli->err, "No resources found\n");
    else
        fprintf(get->cli->err, "No resources found in namespace %s\n", cli_namespace(get->cli));
}

static int get_all(struct get *get)
{
    int status = CLI_OK;
    for (size_t i = 0; i < get->resources.num; ++i) {
        int one = get_one(get, &get->resources.items[i]);
        if (one == CLI_UNREACHABLE || one == CLI_INTERRUPTED) {
            flush_table(get);
            return one;
        }
        status = status != CLI_OK ? status : one; /* the first failure; the rest is shown all the same */
    }
    flush_table(get);
    if (!get->is_table && (status == CLI_OK || get->found->num != 0)) {
        int printed = print_found(get);
        return status != CLI_OK ? status : printed;
    }
    if (status == CLI_OK)
        tell_empty(get);
    return status;
}

/* ---------- watching ---------- */

static void on_event(struct get *get, const struct json *event)
{
    struct json *object = json_get(event, "object");
    const char *type = json_str(json_get(event, "type"), ""), *rev = json_str(json_find(object, "metadata", "resourceVersion", NULL), NULL);
    if (strcmp(type, "ERROR") == 0) {
        get->is_gone = json_int_or(json_get(object, "code"), 0) == 410;
        get->is_over = !get->is_gone;
        if (get->is_over)
            get->status = cli_fail(get->cli, CLI_REFUSED, "%s", json_str(json_get(object, "message"), "the watch failed"));
        return;
    }
    if (rev != NULL && *rev != '\0')
        snprintf(get->rev, sizeof(get->rev), "%s", rev);
    if (strcmp(type, "BOOKMARK") == 0)
        return;
    if (get->is_table) {
        add_rows(get, &get->resources.items[0], object);
        cli_table_print(get->table, !get->cli->options.no_headers);
    } else {
        get->status = cli_output_print(get->cli, &get->output, shown(get, object));
    }
    if (get->output.form == CLI_YAML)
        fputs("---\n", get->cli->out);
    fflush(get->cli->out);
}

/* A watch may go on for weeks: what one event needs goes with it. The table itself is of the list that came before. */
static void take_line(struct get *get, struct slice line)
{
    struct arena *of_run = get->cli->arena;
    get->cli->arena = arena_new(16 * 1024);
    struct json *event = json_parse(get->cli->arena, line, NULL);
    if (event != NULL)
        on_event(get, event);
    arena_free(get->cli->arena);
    get->cli->arena = of_run;
}

static void on_chunk(void *data, struct slice bytes)
{
    struct get *get = data;
    strbuf_add_slice(&get->line, bytes);
    for (;;) {
        const char *end = get->line.len != 0 ? memchr(get->line.base, '\n', get->line.len) : NULL;
        if (end == NULL)
            break;
        size_t len = (size_t)(end - get->line.base);
        take_line(get, slice_make(get->line.base, len));
        memmove(get->line.base, get->line.base + len + 1, get->line.len - len - 1);
        get->line.len -= len + 1;
    }
    if (get->line.len > EVENT_MAX)
        strbuf_reset(&get->line);
}

static int watch(struct get *get)
{
    const struct cli_resource *resource = &get->resources.items[0];
    struct cli_resource list = {resource->kind, resource->name};
    fflush(get->cli->out); /* what is there now, also into a pipe */
    for (;;) {
        struct cli_answer answer;
        struct cli_request request = {.path = path_of(get, resource, true), .accept = get->is_table ? ACCEPT_TABLE : NULL,
                                      .on_chunk = on_chunk, .data = get};
        uint64_t begin_ms = clock_mono_ms();
        get->is_gone = false;
        int status = cli_call(get->cli, &request, &answer);
        strbuf_reset(&get->line);
        if (cli_is_interrupted())
            return CLI_INTERRUPTED;
        if (ferror(get->cli->out))
            return CLI_OK; /* main() tells */
        if (status != CLI_OK || get->is_over)
            return status != CLI_OK ? status : get->status;
        if (get->is_gone && (status = get_one(get, &list)) != CLI_OK)
            return status;
        if (get->is_gone && get->is_table)
            cli_table_print(get->table, false);
        if (clock_mono_ms() - begin_ms < PAUSE_MS)
            (void)poll(NULL, 0, PAUSE_MS); /* whoever ends watches at once is not to be asked without one; Ctrl-C ends it */
    }
}

int verb_get(struct cli *cli)
{
    struct get get = {.cli = cli, .with_ns = cli->options.all_namespaces, .found = json_new_array(cli->arena)};
    int status = cli_resources_parse(cli, 0, &get.resources);
    if (status == CLI_OK)
        status = cli_output_parse(cli, &get.output);
    if (status != CLI_OK)
        return status;
    get.is_table = get.output.form == CLI_TABLE || get.output.form == CLI_WIDE;
    for (size_t i = 1; i < get.resources.num; ++i)
        get.is_many_kinds |= get.resources.items[i].kind != get.resources.items[0].kind;
    if (cli->options.watch && get.resources.num != 1)
        return cli_usage(cli, "-w watches one kind or one object");
    for (size_t i = 0; get.with_ns && i < get.resources.num; ++i)
        if (get.resources.items[i].name != NULL && get.resources.items[i].kind->is_namespaced)
            return cli_usage(cli, "-A is for all objects of a kind, not for one by name");
    status = get_all(&get);
    if (status == CLI_OK && cli->options.watch)
        status = watch(&get);
    strbuf_clear(&get.line);
    return status;
}

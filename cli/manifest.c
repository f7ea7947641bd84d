/* Objects from files. A document's place is the line where it begins, so that an error leads to it. */
#include "cli/manifest.h"

#include "core/base/files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 20, FILES_MAX = 10000 };

/* ---------- where documents begin ---------- */

static bool is_blank(struct slice line)
{
    size_t at = 0;
    while (at < line.len && isspace((unsigned char)line.base[at]))
        ++at;
    return at == line.len || line.base[at] == '#';
}

/* The line of the first content of document `index` (empty documents do not count); 1 when it cannot be told. */
static unsigned line_of(struct slice text, size_t index)
{
    bool has_content = false;
    unsigned number = 1;
    while (text.len != 0) {
        const char *end = memchr(text.base, '\n', text.len);
        struct slice line = slice_make(text.base, end != NULL ? (size_t)(end - text.base) : text.len);
        if (slice_starts(line, SLICE("---")) && (line.len == 3 || isspace((unsigned char)line.base[3])))
            has_content = false;
        else if (!has_content && !is_blank(line) && line.base[0] != '%') {
            has_content = true;
            if (index-- == 0)
                return number;
        }
        text = slice_make(text.base + line.len + (end != NULL), text.len - line.len - (end != NULL));
        ++number;
    }
    return 1;
}

/* ---------- documents ---------- */

struct reading {
    struct cli *cli;
    struct cli_manifests *manifests;
    struct slice text;
    const char *name;
    size_t num_documents;
};

static void add(struct reading *r, struct json *object, const char *place)
{
    struct cli_manifests *list = r->manifests;
    if ((list->num & (list->num - 1)) == 0) { /* full: powers of two */
        struct cli_manifest *items = arena_alloc(r->cli->arena, MAX(list->num * 2, (size_t)1) * sizeof(*items));
        if (list->num != 0)
            memcpy(items, list->items, list->num * sizeof(*items));
        list->items = items;
    }
    list->items[list->num++] = (struct cli_manifest){.object = object, .place = place};
}

static bool is_list(const struct json *object)
{
    struct slice kind = json_slice(json_get(object, "kind"));
    const struct json *items = json_get(object, "items");
    return kind.len >= 4 && slice_ends(kind, SLICE("List")) && items != NULL && items->type == JSON_ARRAY;
}

static int settle(struct reading *r, struct cli_manifest *manifest, struct err *err)
{
    struct json *metadata = json_get(manifest->object, "metadata");
    const char *given = r->cli->options.ns;
    if (manifest->object->type != JSON_OBJECT)
        return err_set(err, ERR_BAD_REQUEST, "%s: an object is expected here, not %s", manifest->place, json_type_name(manifest->object->type));
    manifest->kind = kind_of(manifest->object, NULL);
    manifest->name = json_str(json_get(metadata, "name"), "");
    manifest->ns = json_str(json_get(metadata, "namespace"), "");
    if (manifest->kind == NULL || !manifest->kind->is_namespaced)
        return 0;
    if (manifest->ns[0] != '\0') {
        if (given != NULL && strcmp(given, manifest->ns) != 0)
            return err_set(err, ERR_BAD_REQUEST, "%s: %s %s is in namespace %s, but -n says %s", manifest->place, manifest->kind->kind,
                           manifest->name, manifest->ns, given);
        return 0;
    }
    if (metadata == NULL || metadata->type != JSON_OBJECT)
        return 0; /* the API refuses it by name */
    manifest->ns = cli_namespace(r->cli);
    json_set_str(r->cli->arena, metadata, "namespace", manifest->ns);
    return 0;
}

static int on_document(struct json *doc, void *data, struct err *err)
{
    struct reading *r = data;
    const char *place = arena_printf(r->cli->arena, "%s:%u", r->name, line_of(r->text, r->num_documents++));
    if (!is_list(doc)) {
        add(r, doc, place);
        return settle(r, &r->manifests->items[r->manifests->num - 1], err);
    }
    size_t index = 0;
    for (struct json *item = json_get(doc, "items")->child, *next; item != NULL; item = next) {
        next = item->next;
        add(r, json_clone(r->cli->arena, item), arena_printf(r->cli->arena, "%s items[%zu]", place, index++));
        if (settle(r, &r->manifests->items[r->manifests->num - 1], err) != 0)
            return -1;
    }
    return 0;
}

int cli_manifests_parse(struct cli *cli, const char *name, struct slice text, struct cli_manifests *ret, struct err *err)
{
    struct reading reading = {.cli = cli, .manifests = ret, .text = text, .name = name};
    struct err why = ERR_INIT;
    size_t before = ret->num;
    if (json_parse_yaml(cli->arena, text, on_document, &reading, &why) == 0)
        return 0;
    bool has_place = ret->num != before && strncmp(why.text, name, strlen(name)) == 0;
    return err_set(err, ERR_BAD_REQUEST, "%s%s%s", has_place ? "" : name, has_place ? "" : ": ", why.text);
}

/* ---------- files ---------- */

static int read_stdin(struct strbuf *out, struct err *err)
{
    for (;;) {
        ssize_t len = read(STDIN_FILENO, strbuf_reserve(out, 64 * 1024), 64 * 1024);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return err_errno(err, "standard input");
        if (len == 0)
            return 0;
        out->len += (size_t)len;
        if (out->len > FILE_MAX)
            return err_set(err, ERR_TOO_LARGE, "standard input: more than %d MiB", FILE_MAX >> 20);
    }
}

static int read_one(struct cli *cli, const char *path, struct cli_manifests *ret)
{
    struct strbuf text = STRBUF_INIT;
    struct err err = ERR_INIT;
    bool is_stdin = strcmp(path, "-") == 0;
    int status = is_stdin ? read_stdin(&text, &err) : file_read(path, FILE_MAX, &text, &err);
    if (status == 0)
        status = cli_manifests_parse(cli, is_stdin ? "stdin" : path, arena_slice(cli->arena, strbuf_slice(&text)), ret, &err);
    strbuf_clear(&text);
    return status != 0 ? cli_fail(cli, CLI_LOCAL, "%s", err.text) : CLI_OK;
}

static bool is_manifest_name(const char *name)
{
    struct slice s = slice_of(name);
    return slice_ends(s, SLICE(".yaml")) || slice_ends(s, SLICE(".yml")) || slice_ends(s, SLICE(".json"));
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int read_path(struct cli *cli, const char *path, bool is_recursive, struct cli_manifests *ret);

static int read_folder(struct cli *cli, const char *folder, bool is_recursive, struct cli_manifests *ret)
{
    struct dirent **entries;
    struct stat st;
    int num = scandir(folder, &entries, visible, alphasort), status = CLI_OK;
    if (num < 0)
        return cli_fail(cli, CLI_LOCAL, "%s: %s", folder, strerror(errno));
    for (int i = 0; i < num; ++i) {
        const char *path = arena_printf(cli->arena, "%s%s%s", folder, slice_ends(slice_of(folder), SLICE("/")) ? "" : "/", entries[i]->d_name);
        bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
        if (status == CLI_OK && (is_folder ? is_recursive : is_manifest_name(path)))
            status = read_path(cli, path, is_recursive, ret);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static int read_path(struct cli *cli, const char *path, bool is_recursive, struct cli_manifests *ret)
{
    struct stat st;
    if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return read_folder(cli, path, is_recursive, ret);
    return read_one(cli, path, ret);
}

int cli_manifests_read(struct cli *cli, const struct cli_list *files, bool is_recursive, struct cli_manifests *ret)
{
    *ret = (struct cli_manifests){NULL, 0};
    for (size_t i = 0; i < files->num; ++i) {
        int status = read_path(cli, files->items[i], is_recursive, ret);
        if (status != CLI_OK)
            return status;
    }
    return ret->num != 0 ? CLI_OK : cli_fail(cli, CLI_LOCAL, "there are no objects in %s%s", files->items[0], files->num > 1 ? ", …" : "");
}

/* ---------- naming, writing ---------- */

struct slice cli_manifests_write(struct cli *cli, const struct cli_manifests *manifests)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_adds(&text, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[");
    for (size_t i = 0; i < manifests->num; ++i) {
        if (i != 0)
            strbuf_addc(&text, ',');
        json_write(&text, manifests->items[i].object);
    }
    strbuf_adds(&text, "]}");
    struct slice copy = arena_slice(cli->arena, strbuf_slice(&text));
    strbuf_clear(&text);
    return copy;
}

const char *cli_object_name(struct arena *arena, const struct json *object)
{
    const struct kind *kind = kind_of(object, NULL);
    const char *name = json_str(json_find(object, "metadata", "name", NULL), json_str(json_get(object, "name"), ""));
    const char *api = json_str(json_get(object, "apiVersion"), ""), *slash = strchr(api, '/');
    const char *singular = kind != NULL ? kind->singular : json_str(json_get(object, "kind"), "object");
    if (slash == NULL)
        return arena_printf(arena, "%s/%s", singular, name);
    return arena_printf(arena, "%s.%.*s/%s", singular, (int)(slash - api), api, name);
}

const struct cli_manifest *cli_manifests_find(const struct cli_manifests *manifests, const char *kind, const char *ns, const char *name)
{
    for (size_t i = 0; i < manifests->num; ++i) {
        const struct cli_manifest *m = &manifests->items[i];
        if ((kind == NULL || strcmp(kind, json_str(json_get(m->object, "kind"), "")) == 0) && (name == NULL || strcmp(name, m->name) == 0) &&
            (ns == NULL || strcmp(ns, m->ns) == 0))
            return m;
    }
    return NULL;
}

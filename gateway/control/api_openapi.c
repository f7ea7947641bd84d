/* The OpenAPI documents, made from the tables of kinds: v2 (JSON and protobuf, for kubectl up to 1.26) and v3.
 *
 * They never change while the process runs: each is made once, when first asked for. */
#include "gateway/control/api_internal.h"
#include "gateway/control/api_openapi.h"

#include "core/base/crypto.h"

#define V2_PREFIX "#/definitions/"
#define V3_PREFIX "#/components/schemas/"
#define META_NAME "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
/* As old clients ask for it, and as all of them can read it: "@" may not stand in a media type. */
#define PROTO_ASKED "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
#define PROTO_TYPE "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

/* ---------- definitions ---------- */

/* "gateway.networking.k8s.io", "v1", "Gateway" -> "io.k8s.networking.gateway.v1.Gateway". */
static const char *definition_name(struct arena *arena, const struct kind *kind, const char *version)
{
    struct strbuf name = STRBUF_INIT;
    const char *group = kind->group, *end = group + strlen(group);
    if (group[0] == '\0')
        strbuf_adds(&name, "io.k8s.api.core.");
    while (end > group) {
        const char *dot = memrchr(group, '.', (size_t)(end - group)), *label = dot != NULL ? dot + 1 : group;
        strbuf_addf(&name, "%.*s.", (int)(end - label), label);
        end = dot != NULL ? dot : group;
    }
    strbuf_addf(&name, "%s.%s", version, kind->kind);
    char *result = arena_strndup(arena, name.base, name.len);
    strbuf_clear(&name);
    return result;
}

static struct json *gvk_of(struct arena *arena, const struct kind *kind, const char *version)
{
    struct json *gvk = json_new_object(arena);
    json_set_str(arena, gvk, "group", kind->group);
    json_set_str(arena, gvk, "version", version);
    json_set_str(arena, gvk, "kind", kind->kind);
    return gvk;
}

static struct json *ref_to(struct arena *arena, const char *prefix, const char *name)
{
    struct json *ref = json_new_object(arena);
    json_set_str(arena, ref, "$ref", arena_printf(arena, "%s%s", prefix, name));
    return ref;
}

static void add_list_definition(struct arena *arena, struct json *definitions, const struct kind *kind, const char *version, const char *prefix)
{
    const char *name = definition_name(arena, kind, version);
    struct json *list = json_set_n(arena, definitions, slice_of(arena_printf(arena, "%sList", name)), json_new_object(arena));
    json_set_str(arena, list, "description", arena_printf(arena, "A list of %s.", kind->kind));
    json_set_str(arena, list, "type", "object");
    json_push(json_set(arena, list, "required", json_new_array(arena)), json_new_str(arena, "items"));
    struct json *properties = json_set(arena, list, "properties", json_new_object(arena));
    static const char *const texts[] = {"apiVersion", "kind"};
    for (size_t i = 0; i < ARRAY_LEN(texts); ++i)
        json_set_str(arena, json_set(arena, properties, texts[i], json_new_object(arena)), "type", "string");
    json_set_str(arena, json_set(arena, properties, "metadata", json_new_object(arena)), "type", "object");
    struct json *items = json_set(arena, properties, "items", json_new_object(arena));
    json_set_str(arena, items, "type", "array");
    json_set(arena, items, "items", ref_to(arena, prefix, name));
    struct json *gvk = json_push(json_set(arena, list, "x-kubernetes-group-version-kind", json_new_array(arena)), gvk_of(arena, kind, version));
    json_set_str(arena, gvk, "kind", kind->list_kind);
}

static void add_definitions(struct arena *arena, struct json *definitions, const struct kind *kind, const char *version, const char *prefix)
{
    json_set_n(arena, definitions, slice_of(definition_name(arena, kind, version)), kind_openapi(kind, version, prefix, arena));
    add_list_definition(arena, definitions, kind, version, prefix);
}

static void add_shared(struct arena *arena, struct json *definitions, const char *prefix)
{
    json_set(arena, definitions, META_NAME, field_openapi_definition(&obj_meta_schema, prefix, arena));
}

/* ---------- paths ---------- */

struct parameter {
    const char *name, *type, *doc;
    const char *on; /* operations: c(reate) r(ead) l(ist) u(pdate) p(atch) d(elete) x (deletecollection) */
};

static const struct parameter parameters[] = {
    {"dryRun", "string", "All: check and answer, change nothing.", "cupdx"},
    {"fieldManager", "string", "Who is writing, for managedFields.", "cup"},
    {"fieldValidation", "string", "Strict (the default), Warn or Ignore unknown fields.", "cup"},
    {"force", "boolean", "Server-side apply: take over fields of other managers.", "p"},
    {"labelSelector", "string", "Only objects whose labels match.", "lx"},
    {"fieldSelector", "string", "Only objects whose metadata.name or metadata.namespace match.", "lx"},
    {"limit", "integer", "At most so many objects an answer.", "l"},
    {"continue", "string", "The next page, as the one before said.", "l"},
    {"resourceVersion", "string", "Watch: after this revision.", "l"},
    {"watch", "boolean", "Stream changes instead of listing.", "l"},
    {"timeoutSeconds", "integer", "How long to watch.", "l"},
    {"allowWatchBookmarks", "boolean", "Send BOOKMARK events.", "l"},
};

struct operation {
    char code;
    const char *method, *action;
};

static const struct operation collection_operations[] = {{'l', "get", "list"}, {'c', "post", "post"}, {'x', "delete", "deletecollection"}};
static const struct operation object_operations[] = {{'r', "get", "get"}, {'u', "put", "put"}, {'p', "patch", "patch"}, {'d', "delete", "delete"}};
static const struct operation status_operations[] = {{'r', "get", "get"}, {'u', "put", "put"}, {'p', "patch", "patch"}};

struct writer {
    struct arena *arena;
    struct json *paths;
    const struct kind *kind;
    const char *version, *prefix;
    bool is_v3;
};

static void add_parameter(const struct writer *w, struct json *list, const char *where, const struct parameter *parameter)
{
    struct json *item = json_push(list, json_new_object(w->arena));
    struct json *typed = w->is_v3 ? json_set(w->arena, item, "schema", json_new_object(w->arena)) : item;
    json_set_str(w->arena, typed, "type", parameter->type);
    json_set_str(w->arena, item, "description", parameter->doc);
    json_set_str(w->arena, item, "name", parameter->name);
    json_set_str(w->arena, item, "in", where);
    if (strcmp(where, "path") == 0)
        json_set_bool(w->arena, item, "required", true);
}

/* What is sent and what comes back. */
static void add_bodies(const struct writer *w, struct json *out, struct json *list, char code)
{
    struct arena *arena = w->arena;
    const char *name = definition_name(arena, w->kind, w->version);
    struct json *schema = ref_to(arena, w->prefix, code == 'l' ? arena_printf(arena, "%sList", name) : name);
    struct json *response = json_set(arena, json_set(arena, out, "responses", json_new_object(arena)), code == 'c' ? "201" : "200", json_new_object(arena));
    json_set_str(arena, response, "description", "OK");
    if (!w->is_v3) {
        if (code != 'd' && code != 'x')
            json_set(arena, response, "schema", schema);
        if (strchr("cu", code) != NULL) {
            struct json *body = json_push(list, json_new_object(arena));
            json_set_str(arena, body, "name", "body");
            json_set_str(arena, body, "in", "body");
            json_set_bool(arena, body, "required", true);
            json_set(arena, body, "schema", ref_to(arena, w->prefix, name));
        }
        return;
    }
    struct json *content = json_new_object(arena);
    json_set(arena, json_set(arena, content, "application/json", json_new_object(arena)), "schema", schema);
    if (code != 'd' && code != 'x')
        json_set(arena, response, "content", content);
    if (strchr("cu", code) != NULL)
        json_set(arena, json_set(arena, out, "requestBody", json_new_object(arena)), "content", json_clone(arena, content));
}

static void add_operation(const struct writer *w, struct json *path, const struct operation *operation, const char *id)
{
    struct arena *arena = w->arena;
    struct json *out = json_set(arena, path, operation->method, json_new_object(arena));
    struct json *list = json_new_array(arena);
    json_set_str(arena, out, "operationId", arena_printf(arena, "%s%s", operation->action, id));
    for (size_t i = 0; i < ARRAY_LEN(parameters); ++i)
        if (strchr(parameters[i].on, operation->code) != NULL)
            add_parameter(w, list, "query", &parameters[i]);
    add_bodies(w, out, list, operation->code);
    if (list->num != 0)
        json_set(arena, out, "parameters", list);
    json_set_str(arena, out, "x-kubernetes-action", operation->action);
    json_set(arena, out, "x-kubernetes-group-version-kind", gvk_of(arena, w->kind, w->version));
}

static void add_path(const struct writer *w, const char *text, const struct operation *operations, size_t num, const char *id)
{
    static const struct parameter ns = {"namespace", "string", "Namespace of the object.", ""}, name = {"name", "string", "Name of the object.", ""};
    struct json *path = json_set_n(w->arena, w->paths, slice_of(text), json_new_object(w->arena)), *list = json_new_array(w->arena);
    for (size_t i = 0; i < num; ++i)
        add_operation(w, path, &operations[i], id);
    if (strstr(text, "{namespace}") != NULL)
        add_parameter(w, list, "path", &ns);
    if (strstr(text, "{name}") != NULL)
        add_parameter(w, list, "path", &name);
    if (list->num != 0)
        json_set(w->arena, path, "parameters", list);
}

static void add_paths(const struct writer *w)
{
    struct arena *arena = w->arena;
    const struct kind *kind = w->kind;
    const char *group = kind->group[0] != '\0' ? arena_printf(arena, "/apis/%s", kind->group) : "/api";
    const char *root = arena_printf(arena, "%s/%s/%s%s", group, w->version, kind->is_namespaced ? "namespaces/{namespace}/" : "", kind->plural);
    const char *object = arena_printf(arena, "%s/{name}", root);
    char first = kind->group[0];
    const char *id = arena_printf(arena, "%c%s%s%s", first != '\0' ? (char)(first - 'a' + 'A') : 'C', first != '\0' ? kind->group + 1 : "ore", w->version, kind->kind);
    add_path(w, root, collection_operations, ARRAY_LEN(collection_operations), id);
    add_path(w, object, object_operations, ARRAY_LEN(object_operations), id);
    if (kind->has_status)
        add_path(w, arena_printf(arena, "%s/status", object), status_operations, ARRAY_LEN(status_operations), arena_printf(arena, "%sStatus", id));
    if (kind->is_namespaced)
        add_path(w, arena_printf(arena, "%s/%s/%s", group, w->version, kind->plural), collection_operations, 1, arena_printf(arena, "%sForAllNamespaces", id));
}

/* ---------- documents ---------- */

static void set_info(struct arena *arena, struct json *document)
{
    struct json *info = json_set(arena, document, "info", json_new_object(arena));
    json_set_str(arena, info, "title", "Selvedge");
    json_set_str(arena, info, "version", "v" SELVEDGE_VERSION);
}

struct json *api_openapi_v2_document(struct arena *arena)
{
    struct json *document = json_new_object(arena);
    json_set_str(arena, document, "swagger", "2.0");
    set_info(arena, document);
    struct json *paths = json_set(arena, document, "paths", json_new_object(arena));
    struct json *definitions = json_set(arena, document, "definitions", json_new_object(arena));
    add_shared(arena, definitions, V2_PREFIX);
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const struct kind *kind = kind_get((enum kind_id)i);
        for (const char *const *version = kind->versions; *version != NULL; ++version) {
            struct writer w = {arena, paths, kind, *version, V2_PREFIX, false};
            add_paths(&w);
            add_definitions(arena, definitions, kind, *version, V2_PREFIX);
        }
    }
    return document;
}

static struct json *v3_document(struct arena *arena, struct slice group, struct slice version)
{
    struct json *document = json_new_object(arena);
    json_set_str(arena, document, "openapi", "3.0.0");
    set_info(arena, document);
    struct json *paths = json_set(arena, document, "paths", json_new_object(arena));
    struct json *definitions = json_set(arena, json_set(arena, document, "components", json_new_object(arena)), "schemas", json_new_object(arena));
    add_shared(arena, definitions, V3_PREFIX);
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const struct kind *kind = kind_get((enum kind_id)i);
        if (!slice_is(group, kind->group) || !kind_serves(kind, version))
            continue;
        struct writer w = {arena, paths, kind, arena_strndup(arena, version.base, version.len), V3_PREFIX, true};
        add_paths(&w);
        add_definitions(arena, definitions, kind, w.version, V3_PREFIX);
    }
    return paths->num != 0 ? document : NULL;
}

/* ---------- handlers ---------- */

static struct slice text_of(struct json *(*make)(struct arena *arena), void (*write)(struct strbuf *out, const struct json *document), struct strbuf *kept)
{
    if (kept->len == 0) {
        _cleanup_(arena_freep) struct arena *arena = arena_new(64 * 1024);
        write(kept, make(arena));
    }
    return strbuf_slice(kept);
}

/* Clients keep the document while its ETag holds. */
static void reply_document(struct ctl_call *call, const char *type, struct slice text)
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    char etag[2 * 16 + 3] = "\"";
    crypto_sha256(text, digest);
    hex_encode(digest, 16, etag + 1);
    etag[sizeof(etag) - 2] = '"';
    ctl_call_header(call, "etag", slice_of(etag));
    ctl_call_header(call, "vary", SLICE("accept"));
    struct slice known = ctl_call_request_header(call, "if-none-match");
    if (known.base != NULL && memmem(known.base, known.len, etag, strlen(etag)) != NULL)
        ctl_call_reply(call, 304, NULL, SLICE(""));
    else
        ctl_call_reply(call, 200, type, text);
}

static bool asks_for(const struct ctl_call *call, const char *type)
{
    return call->accept.base != NULL && memmem(call->accept.base, call->accept.len, type, strlen(type)) != NULL;
}

void api_openapi_v2(struct ctl_call *call)
{
    static struct strbuf as_json, as_proto; /* kept for the life of the process */
    bool wants_proto = asks_for(call, PROTO_ASKED) || asks_for(call, PROTO_TYPE);
    if (wants_proto)
        reply_document(call, PROTO_TYPE, text_of(api_openapi_v2_document, api_openapi_write_proto, &as_proto));
    else
        reply_document(call, "application/json", text_of(api_openapi_v2_document, json_write, &as_json));
}

void api_openapi_v3(struct ctl_call *call)
{
    struct arena *arena = call->arena;
    struct json *body = json_new_object(arena);
    struct json *paths = json_set(arena, body, "paths", json_new_object(arena));
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const struct kind *kind = kind_get((enum kind_id)i);
        for (const char *const *version = kind->versions; *version != NULL; ++version) {
            const char *path = kind->group[0] != '\0' ? arena_printf(arena, "apis/%s/%s", kind->group, *version) : arena_printf(arena, "api/%s", *version);
            if (json_get(paths, path) == NULL)
                json_set_str(arena, json_set_n(arena, paths, slice_of(path), json_new_object(arena)), "serverRelativeURL",
                             arena_printf(arena, "/openapi/v3/%s?hash=" SELVEDGE_VERSION, path));
        }
    }
    ctl_call_reply_json(call, 200, body);
}

void api_openapi_v3_group(struct ctl_call *call, struct slice group, struct slice version)
{
    struct err err = ERR_INIT;
    struct json *document = v3_document(call->arena, group, version);
    if (document == NULL) {
        err_set(&err, ERR_NOT_FOUND, "the group %.*s/%.*s is not served", (int)MIN(group.len, (size_t)200), group.base, (int)MIN(version.len, (size_t)100),
                version.base);
        api_fail(call, &err, NULL, NULL);
        return;
    }
    struct strbuf text = STRBUF_INIT;
    json_write(&text, document);
    reply_document(call, "application/json", strbuf_slice(&text));
    strbuf_clear(&text);
}

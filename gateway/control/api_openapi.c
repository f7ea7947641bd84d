/* The OpenAPI documents, made from the tables of kinds: v2 (JSON and protobuf, for kubectl up to 1.26) and v3.
 *
 * They never change while the process runs: each is made once, when first asked for. */
#include "gateway/control/api_internal.h"
#include "gateway/control/api_openapi.h"

#include "core/base/crypto.h"

#define V2_PREFIX "#/definitions/"
#define V3_PREFIX "#/components/schemas/"
#define TOKEN_SCHEME "BearerToken"
#define STATUS_NAME "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
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

/* What every refusal is. */
static void add_status_definition(struct arena *arena, struct json *definitions)
{
    static const char *const texts[] = {"kind", "apiVersion", "status", "message", "reason"};
    struct json *status = json_set(arena, definitions, STATUS_NAME, json_new_object(arena));
    json_set_str(arena, status, "description", "How a call went, when the answer is no object.");
    json_set_str(arena, status, "type", "object");
    struct json *properties = json_set(arena, status, "properties", json_new_object(arena));
    for (size_t i = 0; i < ARRAY_LEN(texts); ++i)
        json_set_str(arena, json_set(arena, properties, texts[i], json_new_object(arena)), "type", "string");
    json_set_str(arena, json_set(arena, properties, "metadata", json_new_object(arena)), "type", "object");
    struct json *details = json_set(arena, properties, "details", json_new_object(arena));
    json_set_str(arena, details, "type", "object");
    json_set_str(arena, details, "description", "Of which object, and causes: field, reason and message of each.");
    struct json *code = json_set(arena, properties, "code", json_new_object(arena));
    json_set_str(arena, code, "type", "integer");
    json_set_str(arena, code, "format", "int32");
}

static void add_shared(struct arena *arena, struct json *definitions, const char *prefix)
{
    add_status_definition(arena, definitions);
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
    const char *method, *action, *summary; /* the summary ends with the kind's name, of codes l and x in the plural */
};

static const struct operation collection_operations[] = {{'l', "get", "list", "List or watch"},
                                                         {'c', "post", "post", "Create a"},
                                                         {'x', "delete", "deletecollection", "Delete selected"}};
static const struct operation object_operations[] = {{'r', "get", "get", "Read a"},
                                                     {'u', "put", "put", "Replace a"},
                                                     {'p', "patch", "patch", "Patch a"},
                                                     {'d', "delete", "delete", "Delete a"}};
static const struct operation status_operations[] = {{'r', "get", "get", "Read the status of a"},
                                                     {'u', "put", "put", "Replace the status of a"},
                                                     {'p', "patch", "patch", "Patch the status of a"}};
static const char *const patch_types[] = {"application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml",
                                          "application/strategic-merge-patch+json"}; /* the last: api_takes_strategic() */

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

/* `schema` is taken: in v3 it stands under each of the media types. */
static struct json *content_of(struct arena *arena, const char *const *types, size_t num, struct json *schema)
{
    struct json *content = json_new_object(arena);
    for (size_t i = 0; i < num; ++i)
        json_set(arena, json_set_n(arena, content, slice_of(types[i]), json_new_object(arena)), "schema", json_clone(arena, schema));
    return content;
}

static const char *const json_type[] = {"application/json"};

static void add_response(const struct writer *w, struct json *out, const char *code, const char *doc, struct json *schema)
{
    struct json *responses = json_get(out, "responses");
    if (responses == NULL)
        responses = json_set(w->arena, out, "responses", json_new_object(w->arena));
    struct json *response = json_set(w->arena, responses, code, json_new_object(w->arena));
    json_set_str(w->arena, response, "description", doc);
    if (w->is_v3)
        json_set(w->arena, response, "content", content_of(w->arena, json_type, 1, schema));
    else
        json_set(w->arena, response, "schema", schema);
}

static void add_body(const struct writer *w, struct json *out, struct json *list, const char *const *types, size_t num, struct json *schema)
{
    struct arena *arena = w->arena;
    if (w->is_v3) {
        struct json *request = json_set(arena, out, "requestBody", json_new_object(arena));
        json_set(arena, request, "content", content_of(arena, types, num, schema));
        json_set_bool(arena, request, "required", true);
        return;
    }
    struct json *consumes = json_set(arena, out, "consumes", json_new_array(arena));
    for (size_t i = 0; i < num; ++i)
        json_push(consumes, json_new_str(arena, types[i]));
    struct json *body = json_push(list, json_new_object(arena));
    json_set_str(arena, body, "name", "body");
    json_set_str(arena, body, "in", "body");
    json_set_bool(arena, body, "required", true);
    json_set(arena, body, "schema", schema);
}

/* What is sent and what comes back. */
static void add_bodies(const struct writer *w, struct json *out, struct json *list, char code)
{
    struct arena *arena = w->arena;
    const char *name = definition_name(arena, w->kind, w->version);
    bool is_gone = code == 'd' || code == 'x';
    const char *answer = is_gone ? STATUS_NAME : code == 'l' ? arena_printf(arena, "%sList", name) : name;
    add_response(w, out, code == 'c' ? "201" : "200", code == 'c' ? "Created" : "OK", ref_to(arena, w->prefix, answer));
    if (code == 'p')
        add_response(w, out, "201", "Created, by server-side apply", ref_to(arena, w->prefix, name));
    add_response(w, out, "401", "Unauthorized", ref_to(arena, w->prefix, STATUS_NAME));
    add_response(w, out, "default", "Refused: the Status says why, and where", ref_to(arena, w->prefix, STATUS_NAME));
    if (code == 'c' || code == 'u')
        add_body(w, out, list, json_type, ARRAY_LEN(json_type), ref_to(arena, w->prefix, name));
    if (code != 'p')
        return;
    struct json *patch = json_new_object(arena); /* an array for JSON Patch, an object otherwise */
    json_set_str(arena, patch, "description", "The change, as its Content-Type has it.");
    add_body(w, out, list, patch_types, ARRAY_LEN(patch_types) - !api_takes_strategic(w->kind), patch);
}

static void add_operation(const struct writer *w, struct json *path, const struct operation *operation, const char *id)
{
    struct arena *arena = w->arena;
    struct json *out = json_set(arena, path, operation->method, json_new_object(arena));
    struct json *list = json_new_array(arena);
    bool is_many = operation->code == 'l' || operation->code == 'x';
    json_set_str(arena, out, "operationId", arena_printf(arena, "%s%s", operation->action, id));
    json_set_str(arena, out, "summary", arena_printf(arena, "%s %s", operation->summary, is_many ? w->kind->plural : w->kind->kind));
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
    json_set_str(arena, info, "description", "The control API of Selvedge, in the shape of Kubernetes' API.");
    struct json *license = json_set(arena, info, "license", json_new_object(arena));
    json_set_str(arena, license, "name", "Apache 2.0");
    json_set_str(arena, license, "url", "https://www.apache.org/licenses/LICENSE-2.0.html");
}

static void require_token(struct arena *arena, struct json *document)
{
    struct json *required = json_push(json_set(arena, document, "security", json_new_array(arena)), json_new_object(arena));
    json_set(arena, required, TOKEN_SCHEME, json_new_array(arena));
}

struct json *api_openapi_v2_document(struct arena *arena)
{
    struct json *document = json_new_object(arena);
    json_set_str(arena, document, "swagger", "2.0");
    set_info(arena, document);
    require_token(arena, document);
    struct json *schemes = json_set(arena, document, "securityDefinitions", json_new_object(arena));
    struct json *scheme = json_set(arena, schemes, TOKEN_SCHEME, json_new_object(arena)); /* v2 has no name for bearer tokens */
    json_set_str(arena, scheme, "type", "apiKey");
    json_set_str(arena, scheme, "in", "header");
    json_set_str(arena, scheme, "name", "authorization");
    json_set_str(arena, scheme, "description", "Bearer TOKEN");
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
    require_token(arena, document);
    json_set_str(arena, json_push(json_set(arena, document, "servers", json_new_array(arena)), json_new_object(arena)), "url", "/");
    struct json *paths = json_set(arena, document, "paths", json_new_object(arena));
    struct json *components = json_set(arena, document, "components", json_new_object(arena));
    struct json *definitions = json_set(arena, components, "schemas", json_new_object(arena));
    struct json *schemes = json_set(arena, components, "securitySchemes", json_new_object(arena));
    struct json *scheme = json_set(arena, schemes, TOKEN_SCHEME, json_new_object(arena));
    json_set_str(arena, scheme, "type", "http");
    json_set_str(arena, scheme, "scheme", "bearer");
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

/* Bodies and parameters of calls: JSON, YAML or protobuf by content type, one document or many. */
#include "gateway/control/api_internal.h"
#include "gateway/control/api_proto.h"

#include <ctype.h>
#include <strings.h>

enum { DOCUMENTS_MAX = 20000 };

struct slice api_media_type(struct ctl_call *call)
{
    struct slice type = call->content_type;
    if (type.base == NULL)
        return (struct slice){NULL, 0};
    const char *end = memchr(type.base, ';', type.len);
    size_t len = end != NULL ? (size_t)(end - type.base) : type.len;
    while (len != 0 && (type.base[len - 1] == ' ' || type.base[len - 1] == '\t'))
        --len;
    char *lower = arena_strndup(call->arena, type.base, len);
    for (char *c = lower; *c != '\0'; ++c)
        *c = (char)tolower((unsigned char)*c);
    return slice_of(lower);
}

bool api_is_proto(struct slice type)
{
    return type.base != NULL && slice_is(type, API_PROTO_MEDIA_TYPE);
}

bool api_is_yaml(struct slice type)
{
    static const char *const types[] = {"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "application/apply-patch+yaml"};
    for (size_t i = 0; type.base != NULL && i < ARRAY_LEN(types); ++i)
        if (slice_is(type, types[i]))
            return true;
    return false;
}

struct documents {
    struct arena *arena;
    struct json **at;
    size_t num, cap;
};

static int add_document(struct documents *docs, struct json *doc, struct err *err)
{
    if (docs->num == DOCUMENTS_MAX)
        return err_set(err, ERR_TOO_LARGE, "more than %d objects in one request", DOCUMENTS_MAX);
    if (docs->num == docs->cap) {
        size_t cap = docs->cap != 0 ? docs->cap * 2 : 16;
        struct json **at = arena_alloc(docs->arena, cap * sizeof(*at));
        if (docs->num != 0)
            memcpy(at, docs->at, docs->num * sizeof(*at));
        docs->at = at;
        docs->cap = cap;
    }
    docs->at[docs->num++] = doc;
    return 0;
}

/* A List of any kind, or a plain array, counts item by item. */
static int on_document(struct json *doc, void *data, struct err *err)
{
    struct documents *docs = data;
    struct slice kind = json_slice(json_get(doc, "kind"));
    const struct json *items = doc->type == JSON_ARRAY ? doc : json_get(doc, "items");
    bool is_list = doc->type == JSON_ARRAY || (kind.base != NULL && slice_ends(kind, SLICE("List")) && items != NULL && items->type == JSON_ARRAY);
    if (!is_list)
        return add_document(docs, doc, err);
    for (struct json *item = items->child, *next; item != NULL; item = next) {
        next = item->next;
        item->next = NULL; /* an object of its own from here on */
        if (add_document(docs, item, err) != 0)
            return -1;
    }
    return 0;
}

static int on_only_document(struct json *doc, void *data, struct err *err)
{
    struct documents *docs = data;
    if (docs->num != 0)
        return err_set(err, ERR_BAD_REQUEST, "the body holds several documents; one is taken here");
    return add_document(docs, doc, err);
}

/* YAML is a superset for people; JSON bodies go by the strict reader whatever the type says. */
static int parse(struct ctl_call *call, json_doc_cb on_doc, struct documents *docs, struct err *err)
{
    struct slice text = call->body;
    while (text.len != 0 && strchr(" \t\r\n", text.base[0]) != NULL)
        text = slice_make(text.base + 1, text.len - 1);
    bool looks_like_json = text.len != 0 && (text.base[0] == '{' || text.base[0] == '[');
    docs->arena = call->arena;
    if (api_is_proto(api_media_type(call))) {
        struct json *doc = api_proto_read(call->arena, call->body, err);
        return doc != NULL ? on_doc(doc, docs, err) : -1;
    }
    if (api_is_yaml(api_media_type(call))) {
        struct err ignored = ERR_INIT;
        struct json *doc = looks_like_json ? json_parse(call->arena, text, &ignored) : NULL;
        return doc != NULL ? on_doc(doc, docs, err) : json_parse_yaml(call->arena, call->body, on_doc, docs, err);
    }
    struct json *doc = json_parse(call->arena, text, err);
    return doc != NULL ? on_doc(doc, docs, err) : -1;
}

int api_body(struct ctl_call *call, struct json **ret, struct err *err)
{
    struct documents docs = {0};
    if (call->body.len == 0)
        return err_set(err, ERR_BAD_REQUEST, "the request has no body");
    if (parse(call, on_only_document, &docs, err) != 0)
        return -1;
    if (docs.num == 0)
        return err_set(err, ERR_BAD_REQUEST, "the body holds no document");
    *ret = docs.at[0];
    return 0;
}

int api_body_documents(struct ctl_call *call, struct json ***ret, size_t *ret_num, struct err *err)
{
    struct documents docs = {0};
    if (call->body.len != 0 && parse(call, on_document, &docs, err) != 0)
        return -1;
    *ret = docs.at;
    *ret_num = docs.num;
    return 0;
}

/* ---------- parameters ---------- */

bool api_parse_u64(struct slice text, uint64_t *ret)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 19)
        return false;
    for (size_t i = 0; i < text.len; ++i) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.base[i] - '0');
    }
    *ret = value;
    return true;
}

static int read_validation(struct slice value, enum field_unknown *ret, struct err *err)
{
    *ret = FIELD_UNKNOWN_STRICT;
    if (value.len == 0 || slice_is(value, "Strict"))
        return 0;
    if (slice_is(value, "Warn"))
        *ret = FIELD_UNKNOWN_WARN;
    else if (slice_is(value, "Ignore"))
        *ret = FIELD_UNKNOWN_IGNORE;
    else
        return err_set(err, ERR_BAD_REQUEST, "fieldValidation: \"%s\" is none of Strict, Warn, Ignore", value.base);
    return 0;
}

/* "kubectl/v1.20.2 (linux/amd64)" -> "kubectl", as Kubernetes names managers that do not name themselves. */
static struct slice manager_of_agent(struct slice agent)
{
    size_t len = 0;
    while (len < agent.len && len < 128 && agent.base[len] != '/' && agent.base[len] != ' ')
        ++len;
    return len != 0 ? slice_make(agent.base, len) : SLICE("unknown");
}

int api_options(struct ctl_call *call, struct api_options *ret, struct err *err)
{
    struct slice dry_run = ctl_call_param(call, "dryRun"), manager = ctl_call_param(call, "fieldManager"), force = ctl_call_param(call, "force");
    *ret = (struct api_options){.manager = manager.len != 0 ? manager : manager_of_agent(call->user_agent)};
    if (dry_run.len != 0 && !slice_is(dry_run, "All"))
        return err_set(err, ERR_BAD_REQUEST, "dryRun: \"%s\" is not All", dry_run.base);
    if (manager.len > 128)
        return err_set(err, ERR_BAD_REQUEST, "fieldManager: at most 128 characters");
    ret->is_dry_run = dry_run.len != 0;
    ret->is_forced = force.len == 4 && strncasecmp(force.base, "true", 4) == 0;
    return read_validation(ctl_call_param(call, "fieldValidation"), &ret->unknown, err);
}

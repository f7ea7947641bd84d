/* Answers: Status objects, warnings, the forms that Accept asks for, and what a caller gets to see of an object. */
#include "gateway/control/api_internal.h"

#include "core/http/chars.h"
#include "core/model/object/backend.h"
#include "core/model/object/gateway.h"
#include "core/model/object/selvedge.h"

#include <strings.h>

/* ---------- names ---------- */

static const char *const kind_keys[] = {
#define KIND(id, group, version, versions, kind, plural, ...) [KIND_##id] = group "/" plural,
#include "core/model/kinds.def"
#undef KIND
};

struct slice api_kind_key(const struct kind *kind)
{
    return slice_of(kind_keys[kind->id]);
}

const struct kind *api_kind_of_key(struct slice key)
{
    const char *slash = memchr(key.base, '/', key.len);
    for (size_t i = 0; slash != NULL && i < KIND_COUNT; ++i) {
        const struct kind *kind = kind_get((enum kind_id)i);
        if (slice_is(slice_make(key.base, (size_t)(slash - key.base)), kind->group) &&
            slice_is(slice_make(slash + 1, key.len - (size_t)(slash + 1 - key.base)), kind->plural))
            return kind;
    }
    return NULL;
}

struct ctl_key api_key(const struct api_target *target)
{
    return (struct ctl_key){api_kind_key(target->kind), target->ns, target->name};
}

const char *api_resource_name(struct arena *arena, const struct kind *kind)
{
    return arena_printf(arena, "%s%s%s", kind->plural, kind->group[0] != '\0' ? "." : "", kind->group);
}

int api_not_found(struct err *err, struct arena *arena, const struct api_target *target)
{
    return err_set(err, ERR_NOT_FOUND, "%s \"%.*s\" not found", api_resource_name(arena, target->kind), (int)target->name.len,
                   target->name.base);
}

/* ---------- Status ---------- */

static struct json *new_status(struct arena *arena, const char *status)
{
    struct json *body = json_new_object(arena);
    json_set_str(arena, body, "kind", "Status");
    json_set_str(arena, body, "apiVersion", "v1");
    json_set(arena, body, "metadata", json_new_object(arena));
    json_set_str(arena, body, "status", status);
    return body;
}

static struct json *new_details(struct arena *arena, const struct api_target *target, bool is_about_resource)
{
    struct json *details = json_new_object(arena);
    if (target == NULL)
        return details;
    if (target->name.len != 0)
        json_set(arena, details, "name", json_new_string(arena, target->name));
    if (target->kind->group[0] != '\0')
        json_set_str(arena, details, "group", target->kind->group);
    json_set_str(arena, details, "kind", is_about_resource ? target->kind->plural : target->kind->kind);
    return details;
}

/* kubectl tells people the causes of an invalid object and not the message: there is always one. */
static void add_causes(struct arena *arena, struct json *details, const struct err *err, const struct field_report *report)
{
    struct json *causes = json_set(arena, details, "causes", json_new_array(arena));
    if (report == NULL || report->num_violations == 0) {
        struct json *cause = json_push(causes, json_new_object(arena));
        size_t place = strcspn(err->text, ": \"");
        bool has_place = place != 0 && strncmp(err->text + place, ": ", 2) == 0; /* "patch[0]: the test of …" */
        json_set_str(arena, cause, "reason", field_reason_name(FIELD_INVALID));
        json_set_str(arena, cause, "message", has_place ? err->text + place + 2 : err->text);
        if (has_place)
            json_set(arena, cause, "field", json_new_string(arena, slice_make(err->text, place)));
        return;
    }
    for (const struct field_violation *v = report->violations; v != NULL; v = v->next) {
        struct json *cause = json_push(causes, json_new_object(arena));
        json_set_str(arena, cause, "reason", field_reason_name(v->reason));
        json_set(arena, cause, "message", json_new_string(arena, v->message));
        json_set(arena, cause, "field", json_new_string(arena, v->path));
    }
}

struct json *api_status(struct arena *arena, const struct err *err, const struct api_target *target, const struct field_report *report)
{
    unsigned code = err_status(err->code);
    bool has_causes = err->code == ERR_INVALID || (report != NULL && report->num_violations != 0);
    struct json *body = new_status(arena, "Failure");
    if (err->code == ERR_INVALID && target != NULL)
        json_set_str(arena, body, "message",
                     arena_printf(arena, "%s%s%s \"%.*s\" is invalid: %s", target->kind->kind, target->kind->group[0] != '\0' ? "." : "",
                                  target->kind->group, (int)target->name.len, target->name.base, err->text));
    else
        json_set_str(arena, body, "message", err->text);
    json_set_str(arena, body, "reason", err_reason(err->code));
    if (target != NULL || has_causes) {
        struct json *details = json_set(arena, body, "details", new_details(arena, target, err->code != ERR_INVALID));
        if (has_causes)
            add_causes(arena, details, err, report);
    }
    json_set_int(arena, body, "code", code);
    return body;
}

void api_fail(struct ctl_call *call, const struct err *err, const struct api_target *target, const struct field_report *report)
{
    unsigned code = err_status(err->code);
    call->failure = slice_of(arena_strdup(call->arena, err->text));
    ctl_call_retry_after(call, code);
    if (code == 401)
        ctl_call_header(call, "www-authenticate", SLICE("Bearer realm=\"selvedge\""));
    ctl_call_reply_json(call, code, api_status(call->arena, err, target, report));
}

void api_succeed(struct ctl_call *call, const struct api_target *target, struct slice uid)
{
    struct json *body = new_status(call->arena, "Success");
    struct json *details = json_set(call->arena, body, "details", new_details(call->arena, target, true));
    if (uid.len != 0)
        json_set(call->arena, details, "uid", json_new_string(call->arena, uid));
    ctl_call_reply_json(call, 200, body);
}

/* RFC 7234 5.5: the text is a quoted string; what cannot stand in one is left out. */
void api_warn(struct ctl_call *call, const char *text)
{
    struct strbuf value = STRBUF_INIT;
    strbuf_adds(&value, "299 - \"");
    for (const char *c = text; *c != '\0' && value.len < 600; ++c) {
        if (*c == '"' || *c == '\\')
            strbuf_addc(&value, '\\');
        if ((unsigned char)*c >= 0x20 && *c != 0x7f)
            strbuf_addc(&value, *c);
    }
    strbuf_addc(&value, '"');
    ctl_call_header(call, "warning", strbuf_slice(&value));
    strbuf_clear(&value);
}

void api_warn_report(struct ctl_call *call, const struct field_report *report)
{
    for (const struct field_violation *v = report->warnings; v != NULL; v = v->next)
        api_warn(call, v->message.len != 0 ? v->message.base : v->path.base);
}

/* ---------- forms ---------- */

static struct slice cut(struct slice *rest, char separator)
{
    const char *end = memchr(rest->base, separator, rest->len);
    struct slice first = slice_make(rest->base, end != NULL ? (size_t)(end - rest->base) : rest->len);
    *rest = end != NULL ? slice_make(end + 1, rest->len - first.len - 1) : (struct slice){NULL, 0};
    return ht_trim(first);
}

static bool is_type(struct slice text, const char *type)
{
    return text.len == strlen(type) && strncasecmp(text.base, type, text.len) == 0;
}

/* One media range. False: it is nothing we write. */
static bool form_of_range(struct slice range, struct api_form *ret)
{
    struct slice type = cut(&range, ';'), as = {NULL, 0}, version = SLICE("v1");
    *ret = (struct api_form){.type = API_FORM_OBJECT, .meta_version = "v1"};
    ret->is_yaml = is_type(type, "application/yaml") || is_type(type, "application/x-yaml") || is_type(type, "text/yaml");
    if (!ret->is_yaml && !is_type(type, "application/json") && !is_type(type, "application/*") && !is_type(type, "*/*"))
        return false;
    while (range.base != NULL) {
        struct slice value = cut(&range, ';'), name;
        name = cut(&value, '=');
        if (slice_is(name, "as") && value.base != NULL)
            as = ht_trim(value);
        else if (slice_is(name, "v") && value.base != NULL)
            version = ht_trim(value);
    }
    if (as.base == NULL)
        return true;
    if (!slice_is(version, "v1") && !slice_is(version, "v1beta1"))
        return false;
    ret->meta_version = slice_is(version, "v1") ? "v1" : "v1beta1";
    ret->type = slice_is(as, "Table") ? API_FORM_TABLE : API_FORM_META;
    return slice_is(as, "Table") || slice_is(as, "PartialObjectMetadata") || slice_is(as, "PartialObjectMetadataList");
}

/* Parameters of a media range: the value of `name`, or {NULL, 0}. */
static struct slice param_of(struct slice range, const char *name)
{
    (void)cut(&range, ';');
    while (range.base != NULL) {
        struct slice value = cut(&range, ';');
        if (slice_is(cut(&value, '='), name))
            return ht_trim(value);
    }
    return (struct slice){NULL, 0};
}

const char *api_asks_for_all_groups(struct ctl_call *call)
{
    static const char *const versions[] = {"v2", "v2beta1"};
    struct slice rest = call->accept;
    struct api_form plain;
    while (rest.base != NULL) {
        struct slice range = cut(&rest, ','), as = param_of(range, "as"), group = param_of(range, "g"), version = param_of(range, "v");
        bool is_it = as.base != NULL && slice_is(as, "APIGroupDiscoveryList") && group.base != NULL && slice_is(group, "apidiscovery.k8s.io");
        for (size_t i = 0; is_it && version.base != NULL && i < ARRAY_LEN(versions); ++i)
            if (slice_is(version, versions[i]))
                return versions[i];
        if (form_of_range(range, &plain))
            return NULL;
    }
    return NULL;
}

int api_form(struct ctl_call *call, struct api_form *ret, struct err *err)
{
    struct slice rest = call->accept;
    if (rest.base == NULL || rest.len == 0) {
        *ret = (struct api_form){.type = API_FORM_OBJECT, .meta_version = "v1"};
        return 0;
    }
    while (rest.base != NULL)
        if (form_of_range(cut(&rest, ','), ret))
            return 0;
    return err_set(err, ERR_NOT_ACCEPTABLE, "only application/json (also as Table or PartialObjectMetadata) and application/yaml are written");
}

void api_reply_text(struct ctl_call *call, unsigned status, const struct api_form *form, struct slice json)
{
    struct strbuf yaml = STRBUF_INIT;
    struct json *tree = form->is_yaml ? json_parse(call->arena, json, NULL) : NULL;
    if (tree == NULL) {
        ctl_call_reply(call, status, "application/json", json);
        return;
    }
    json_write_yaml(&yaml, tree);
    ctl_call_reply(call, status, "application/yaml", strbuf_slice(&yaml));
    strbuf_clear(&yaml);
}

/* ---------- objects ---------- */

void api_hide_secret(struct arena *arena, struct json *object)
{
    static const char *const members[] = {"data", "stringData"};
    struct json *annotations = json_find(object, "metadata", "annotations", NULL);
    for (size_t i = 0; i < ARRAY_LEN(members); ++i) {
        struct json *hidden = json_new_object(arena), *data = json_get(object, members[i]);
        JSON_FOR(value, data)
        json_set_n(arena, hidden, value->key, json_new_str(arena, ""));
        if (data != NULL)
            json_set(arena, object, members[i], hidden);
    }
    if (annotations != NULL) /* holds the whole object as it was applied */
        json_remove(annotations, "kubectl.kubernetes.io/last-applied-configuration");
}

static bool is_hidden(struct ctl_call *call, const struct api_target *target, struct slice ns)
{
    return target->kind->is_secret && !api_may_see_secrets(call, ns);
}

void api_show(struct ctl_call *call, const struct api_target *target, struct json *object)
{
    if (!api_is_stored_version(target))
        json_set_str(call->arena, object, "apiVersion", kind_api_version(target->kind, target->version, call->arena).base);
    if (is_hidden(call, target, json_slice(json_find(object, "metadata", "namespace", NULL))))
        api_hide_secret(call->arena, object);
}

void api_write_object(struct ctl_call *call, const struct api_target *target, const struct ctl_object *object, uint64_t rev,
                      struct strbuf *out)
{
    if (api_is_stored_version(target) && !is_hidden(call, target, object->key.ns)) {
        ctl_object_write(out, object, rev);
        return;
    }
    /* An arena of its own: a list may have many of these. */
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct json *tree = ctl_object_tree(arena, object);
    if (tree == NULL)
        return;
    if (!api_is_stored_version(target))
        json_set_str(arena, tree, "apiVersion", kind_api_version(target->kind, target->version, arena).base);
    if (is_hidden(call, target, object->key.ns))
        api_hide_secret(arena, tree);
    json_set_str(arena, json_get(tree, "metadata"), "resourceVersion", arena_printf(arena, "%llu", (unsigned long long)rev));
    json_write(out, tree);
}

static struct json *in_form(struct ctl_call *call, const struct api_target *target, const struct api_form *form, struct json *tree)
{
    if (form->type == API_FORM_META)
        return api_partial_metadata(call->arena, tree, form->meta_version);
    struct json *table = api_table_new(call->arena, target->kind, form->meta_version, true);
    json_set_str(call->arena, json_get(table, "metadata"), "resourceVersion",
                 json_str(json_find(tree, "metadata", "resourceVersion", NULL), ""));
    api_table_add(call->arena, table, target, tree, ctl_call_param(call, "includeObject"));
    return table;
}

void api_reply_object(struct ctl_call *call, unsigned status, const struct api_target *target, struct json *tree)
{
    struct api_form form;
    struct err err = ERR_INIT;
    struct strbuf text = STRBUF_INIT;
    if (api_form(call, &form, &err) != 0)
        form = (struct api_form){.type = API_FORM_OBJECT, .meta_version = "v1"}; /* what was asked for has been done */
    api_show(call, target, tree);
    json_write(&text, form.type == API_FORM_OBJECT ? tree : in_form(call, target, &form, tree));
    strbuf_addc(&text, '\n');
    api_reply_text(call, status, &form, strbuf_slice(&text));
    strbuf_clear(&text);
}

/* The registry of kinds, and what is the same for all of them: names, versions, metadata. */
#include "core/model/kinds.h"

#include "core/model/format.h"
#include "core/model/kind_columns.h"
#include "core/model/object/backend.h"
#include "core/model/object/backend_tls.h"
#include "core/model/object/client_policy.h"
#include "core/model/object/core.h"
#include "core/model/object/gateway.h"
#include "core/model/object/http_route.h"
#include "core/model/object/selvedge.h"

#include <strings.h>

#define NO_NAMES ((const char *const[]){NULL})

static const struct kind kinds[] = {
#define KIND(id_, group_, version_, versions_, kind_, plural_, singular_, shorts_, categories_, scope_,      \
             status_, schema_, format_, prepare_, columns_, doc_)                                            \
    [KIND_##id_] = {.id = KIND_##id_,                                                                        \
                    .group = group_,                                                                         \
                    .version = version_,                                                                     \
                    .versions = versions_,                                                                   \
                    .kind = kind_,                                                                           \
                    .list_kind = kind_ "List",                                                               \
                    .plural = plural_,                                                                       \
                    .singular = singular_,                                                                   \
                    .short_names = shorts_,                                                                  \
                    .categories = categories_,                                                               \
                    .is_namespaced = scope_,                                                                 \
                    .has_status = status_,                                                                   \
                    .is_secret = KIND_##id_ == KIND_SECRET,                                                  \
                    .schema = &schema_,                                                                      \
                    .name_format = &format_,                                                                 \
                    .prepare = prepare_,                                                                     \
                    .columns = columns_,                                                                     \
                    .doc = doc_},
#include "core/model/kinds.def"
#undef KIND
};

/* ---- looking up ---- */

const struct kind *kind_get(enum kind_id id)
{
    return &kinds[id];
}

bool kind_serves(const struct kind *kind, struct slice version)
{
    for (const char *const *served = kind->versions; *served != NULL; ++served)
        if (slice_is(version, *served))
            return true;
    return false;
}

const struct kind *kind_find(struct slice group, struct slice version, struct slice name)
{
    for (size_t i = 0; i < KIND_COUNT; ++i)
        if (slice_is(group, kinds[i].group) && slice_is(name, kinds[i].kind) &&
            kind_serves(&kinds[i], version))
            return &kinds[i];
    return NULL;
}

const struct kind *kind_find_plural(struct slice group, struct slice version, struct slice plural)
{
    for (size_t i = 0; i < KIND_COUNT; ++i)
        if (slice_is(group, kinds[i].group) && slice_is(plural, kinds[i].plural) &&
            kind_serves(&kinds[i], version))
            return &kinds[i];
    return NULL;
}

static bool is_spelled(struct slice text, const char *name)
{
    return text.len == strlen(name) && strncasecmp(text.base, name, text.len) == 0;
}

static bool is_called(const struct kind *kind, struct slice name)
{
    if (is_spelled(name, kind->plural) || is_spelled(name, kind->singular))
        return true;
    for (const char *const *other = kind->short_names; *other != NULL; ++other)
        if (is_spelled(name, *other))
            return true;
    return false;
}

/* "group" or "version.group", as kubectl lets one write. */
static bool is_of_group(const struct kind *kind, struct slice suffix)
{
    const char *dot = memchr(suffix.base, '.', suffix.len);
    size_t len = dot != NULL ? (size_t)(dot - suffix.base) : suffix.len;
    if (is_spelled(suffix, kind->group))
        return true;
    if (!kind_serves(kind, slice_make(suffix.base, len)))
        return false;
    return dot != NULL ? is_spelled(slice_make(dot + 1, suffix.len - len - 1), kind->group)
                       : kind->group[0] == '\0';
}

const struct kind *kind_find_name(struct slice name)
{
    const char *dot = memchr(name.base, '.', name.len);
    struct slice first = slice_make(name.base, dot != NULL ? (size_t)(dot - name.base) : name.len);
    for (size_t i = 0; i < KIND_COUNT; ++i)
        if (is_called(&kinds[i], first) &&
            (dot == NULL || is_of_group(&kinds[i], slice_make(dot + 1, name.len - first.len - 1))))
            return &kinds[i];
    return NULL;
}

/* "group/version" or "version". */
static void split_api_version(struct slice text, struct slice *ret_group, struct slice *ret_version)
{
    const char *slash = memchr(text.base, '/', text.len);
    size_t len = slash != NULL ? (size_t)(slash - text.base) : 0;
    *ret_group = slice_make(text.base, len);
    *ret_version = slash != NULL ? slice_make(slash + 1, text.len - len - 1) : text;
}

const struct kind *kind_of(const struct json *object, struct err *err)
{
    struct slice api_version = json_slice(json_get(object, "apiVersion")),
                 name = json_slice(json_get(object, "kind"));
    struct slice group, version;
    if (api_version.len == 0 || name.len == 0) {
        (void)err_set(err, ERR_INVALID, "%s: Required value", api_version.len == 0 ? "apiVersion" : "kind");
        return NULL;
    }
    split_api_version(api_version, &group, &version);
    const struct kind *kind = kind_find(group, version, name);
    if (kind == NULL)
        (void)err_set(err, ERR_NOT_FOUND, "no matches for kind \"%s\" in version \"%s\"", name.base,
                      api_version.base);
    return kind;
}

struct slice kind_api_version(const struct kind *kind, const char *version, struct arena *arena)
{
    return slice_of(arena_printf(arena, "%s%s%s", kind->group, kind->group[0] != '\0' ? "/" : "", version));
}

/* ---- metadata ---- */

static void check_type(const struct kind *kind, const struct obj_head *head, struct field_report *report)
{
    struct slice group, version;
    if (head->api_version.base == NULL || head->kind.base == NULL)
        return; /* reported as missing */
    split_api_version(head->api_version, &group, &version);
    if (!slice_is(group, kind->group) || !kind_serves(kind, version))
        field_report_add(report, FIELD_INVALID, "apiVersion", "\"%s\": must be %s", head->api_version.base,
                         kind_api_version(kind, kind->version, report->arena).base);
    if (!slice_is(head->kind, kind->kind))
        field_report_add(report, FIELD_INVALID, "kind", "\"%s\": must be %s", head->kind.base, kind->kind);
}

/* A prefix is right when a name that begins with it can be. */
static void check_generate_name(const struct kind *kind, struct slice prefix, struct field_report *report)
{
    struct slice name = slice_of(arena_printf(report->arena, "%sa", prefix.base));
    if (!kind->name_format->matches(name))
        field_report_add(report, FIELD_INVALID, "metadata.generateName", "\"%s\": %s", prefix.base,
                         kind->name_format->message);
}

static void check_name(const struct kind *kind, const struct obj_meta *meta, struct field_report *report)
{
    if (meta->name.len != 0) {
        if (!kind->name_format->matches(meta->name))
            field_report_add(report, FIELD_INVALID, "metadata.name", "\"%s\": %s", meta->name.base,
                             kind->name_format->message);
    } else if (meta->generate_name.len != 0)
        check_generate_name(kind, meta->generate_name, report);
    else
        field_report_add(report, FIELD_REQUIRED, "metadata.name", "name or generateName is required");
}

static void check_namespace(const struct kind *kind, const struct obj_meta *meta, struct slice ns,
                            struct field_report *report)
{
    if (!kind->is_namespaced) {
        if (meta->ns.len != 0)
            field_report_add(report, FIELD_FORBIDDEN, "metadata.namespace", "not allowed on this type");
    } else if (meta->ns.len == 0)
        field_report_add(report, FIELD_REQUIRED, "metadata.namespace", "%s", "");
    else if (!format_dns_label.matches(meta->ns))
        field_report_add(report, FIELD_INVALID, "metadata.namespace", "\"%s\": %s", meta->ns.base,
                         format_dns_label.message);
    else if (ns.base != NULL && !slice_eq(ns, meta->ns))
        field_report_add(report, FIELD_INVALID, "metadata.namespace",
                         "\"%s\": does not match the namespace of the request, \"%.*s\"", meta->ns.base,
                         (int)ns.len, ns.base);
}

static void fill_namespace(const struct kind *kind, struct json *object, struct slice ns, struct arena *arena)
{
    struct json *meta = json_get(object, "metadata");
    if (kind->is_namespaced && ns.base != NULL && meta != NULL && meta->type == JSON_OBJECT &&
        json_slice(json_get(meta, "namespace")).len == 0)
        (void)json_set_n(arena, meta, SLICE("namespace"), json_new_string(arena, ns));
}

void *kind_decode(const struct kind *kind, struct json *object, struct slice ns,
                  const struct field_options *options, struct arena *arena, struct field_report *report)
{
    if (object->type == JSON_OBJECT && kind->prepare != NULL)
        kind->prepare(object, arena);
    if (options->apply_defaults)
        fill_namespace(kind, object, ns, arena);
    struct obj_head *head = field_decode(kind->schema, object, "", options, arena, report);
    if (object->type != JSON_OBJECT || json_get(object, "metadata") == NULL)
        return head;
    if (kind->is_namespaced && head->meta.ns.len == 0)
        head->meta.ns = ns;
    check_type(kind, head, report);
    check_name(kind, &head->meta, report);
    check_namespace(kind, &head->meta, ns, report);
    return head;
}

/* ---- updates ---- */

/* Secrets and ConfigMaps that have been declared immutable. */
static void check_contents_update(const struct json *old, const struct json *new, struct field_report *report)
{
    static const char *const members[] = {"immutable", "data", "binaryData"};
    if (!json_is_true(json_get(old, "immutable")))
        return;
    for (size_t i = 0; i < ARRAY_LEN(members); ++i)
        if (!json_equal(json_get(old, members[i]), json_get(new, members[i])))
            field_report_add(report, FIELD_FORBIDDEN, members[i],
                             "field is immutable when `immutable` is set");
}

void kind_check_update(const struct kind *kind, const struct json *old, const struct json *new,
                       struct field_report *report)
{
    if (!json_equal(json_find(old, "metadata", "name", NULL), json_find(new, "metadata", "name", NULL)))
        field_report_add(report, FIELD_INVALID, "metadata.name", "field is immutable");
    field_check_update(kind->schema, old, new, "", report);
    if (kind->id == KIND_SECRET || kind->id == KIND_CONFIG_MAP)
        check_contents_update(old, new, report);
}

/* ---- description ---- */

struct json *kind_openapi(const struct kind *kind, const char *version, const char *ref_prefix,
                          struct arena *arena)
{
    struct json *out = field_openapi_definition(kind->schema, ref_prefix, arena);
    struct json *list =
        json_set_n(arena, out, SLICE("x-kubernetes-group-version-kind"), json_new_array(arena));
    struct json *gvk = json_push(list, json_new_object(arena));
    (void)json_set_str(arena, gvk, "group", kind->group);
    (void)json_set_str(arena, gvk, "version", version);
    (void)json_set_str(arena, gvk, "kind", kind->kind);
    return out;
}

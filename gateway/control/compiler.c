/* The compiler's frame: reading objects, looking them up, grants, and the order of work. */
#include "gateway/control/compile_internal.h"

#include <ctype.h>

struct slice comp_slice(const char *text)
{
    return slice_make(text, strlen(text));
}

struct slice comp_lower(struct comp *comp, struct slice text)
{
    char *copy = arena_strndup(comp->arena, text.base, text.len);
    for (size_t i = 0; i < text.len; ++i)
        copy[i] = (char)tolower((unsigned char)copy[i]);
    return slice_make(copy, text.len);
}

void *comp_decode(struct comp *comp, struct ctl_object *object, enum kind_id kind)
{
    return comp_decode_in(comp, comp->arena, object, kind);
}

void *comp_decode_in(struct comp *comp, struct arena *arena, struct ctl_object *object, enum kind_id kind)
{
    /* What is stored has passed the strict reading once; unknown members can only come from a newer version. */
    static const struct field_options options = {.unknown = FIELD_UNKNOWN_IGNORE};
    struct field_report report;
    struct json *tree = ctl_object_tree(arena, object);
    if (tree == NULL)
        return NULL;
    field_report_init(&report, arena);
    void *decoded = kind_decode(kind_get(kind), tree, object->key.ns, &options, arena, &report);
    return report.num_violations == 0 ? decoded : NULL;
}

struct slice comp_kind_key(struct comp *comp, enum kind_id id)
{
    const struct kind *kind = kind_get(id);
    return comp_join(comp, comp_slice(kind->group), '/', comp_slice(kind->plural));
}

struct ctl_object *comp_find(struct comp *comp, enum kind_id kind, struct slice ns, struct slice name)
{
    size_t num;
    struct ctl_object **objects = ctl_view_kind(comp->view, comp_kind_key(comp, kind), &num);
    struct ctl_key key = {comp_kind_key(comp, kind), ns, name};
    for (size_t low = 0, high = num; low < high;) {
        size_t middle = (low + high) / 2;
        int order = ctl_key_compare(&objects[middle]->key, &key);
        if (order == 0)
            return objects[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct slice comp_join(struct comp *comp, struct slice a, char separator, struct slice b)
{
    char *text = arena_alloc(comp->arena, a.len + b.len + 2);
    memcpy(text, a.base, a.len);
    text[a.len] = separator;
    memcpy(text + a.len + 1, b.base, b.len);
    text[a.len + 1 + b.len] = '\0';
    return slice_make(text, a.len + 1 + b.len);
}

/* The revision of a compiled resource is settled by whoever compares it with the one before (distributor.c). */
void comp_emit(struct comp *comp, const char *kind, struct slice name, const struct field_schema *schema, const void *object)
{
    cfg_document_add(comp->out->document, comp_slice(kind), name, 0, field_encode(schema, object, comp->scratch));
}

int comp_compare_age(const struct ctl_object *a, int64_t a_created, const struct ctl_object *b, int64_t b_created)
{
    if (a_created != b_created)
        return a_created < b_created ? -1 : 1;
    return ctl_key_compare(&a->key, &b->key);
}

static bool grant_from(const struct comp_grant *grant, const char *group, const char *kind, struct slice ns)
{
    for (uint32_t i = 0; i < grant->spec->spec.num_from; ++i) {
        const struct obj_grant_from *from = &grant->spec->spec.from[i];
        if (slice_is(from->group, group) && slice_is(from->kind, kind) && slice_eq(from->ns, ns))
            return true;
    }
    return false;
}

static bool grant_to(const struct comp_grant *grant, struct slice group, struct slice kind, struct slice name)
{
    for (uint32_t i = 0; i < grant->spec->spec.num_to; ++i) {
        const struct obj_grant_to *to = &grant->spec->spec.to[i];
        if (slice_eq(to->group, group) && slice_eq(to->kind, kind) && (to->name.len == 0 || slice_eq(to->name, name)))
            return true;
    }
    return false;
}

bool comp_is_granted(struct comp *comp, const char *from_group, const char *from_kind, struct slice from_ns,
                     struct slice to_group, struct slice to_kind, struct slice to_ns, struct slice to_name)
{
    if (slice_eq(from_ns, to_ns))
        return true;
    for (uint32_t i = 0; i < comp->num_grants; ++i)
        if (slice_eq(comp->grants[i].ns, to_ns) && grant_from(&comp->grants[i], from_group, from_kind, from_ns) &&
            grant_to(&comp->grants[i], to_group, to_kind, to_name))
            return true;
    return false;
}

static void load_grants(struct comp *comp)
{
    size_t num;
    struct ctl_object **objects = ctl_view_kind(comp->view, comp_kind_key(comp, KIND_REFERENCE_GRANT), &num);
    comp->grants = arena_zalloc(comp->arena, num * sizeof(*comp->grants));
    for (size_t i = 0; i < num; ++i) {
        const struct obj_reference_grant *spec = comp_decode(comp, objects[i], KIND_REFERENCE_GRANT);
        if (spec != NULL)
            comp->grants[comp->num_grants++] = (struct comp_grant){objects[i]->key.ns, spec};
    }
}

static void emit_settings(struct comp *comp)
{
    struct cfg_settings settings = {0};
    struct ctl_object *object = comp_find(comp, KIND_MESH_CONFIG, SLICE(""), SLICE(OBJ_MESH_CONFIG_NAME));
    const struct obj_mesh_config *config = object != NULL ? comp_decode(comp, object, KIND_MESH_CONFIG) : NULL;
    field_fill_defaults(&snapshot_settings_schema, &settings, comp->arena);
    if (config != NULL) {
        settings.trusted_proxies = config->spec.trusted_proxies;
        settings.num_trusted_proxies = config->spec.num_trusted_proxies;
        settings.drain_timeout_ms = (uint32_t)MIN(config->spec.drain_timeout_ms, (uint64_t)UINT32_MAX);
        settings.max_connections = config->spec.max_connections;
        settings.access_log = config->spec.access_log;
        settings.trust_request_id = config->spec.trust_request_id;
    }
    comp_emit(comp, "settings", SLICE("node"), &snapshot_settings_schema, &settings);
}

static void clear(struct comp *comp)
{
    hashmap_clear(&comp->classes);
    hashmap_clear(&comp->gateways_by_name);
    hashmap_clear(&comp->clusters);
    hashmap_clear(&comp->certificates);
    hashmap_clear(&comp->slices);
    for (uint32_t i = 0; i < comp->num_gateways; ++i)
        for (uint32_t j = 0; j < comp->gateways[i].num_listeners; ++j) {
            comp_names_clear(&comp->gateways[i].listeners[j].http_names);
            comp_names_clear(&comp->gateways[i].listeners[j].grpc_names);
        }
    for (uint32_t i = 0; i < comp->num_binds; ++i)
        free(comp->binds[i]->listeners);
    free(comp->binds);
    arena_free(comp->scratch);
}

struct ctl_compiled *ctl_compile(const struct ctl_view *view, const struct ctl_compile_options *options, struct err *err)
{
    struct ctl_compiled *out = xcalloc(1, sizeof(*out));
    out->arena = arena_new(64 * 1024);
    out->rev = view->rev;
    out->document = cfg_document_new();
    out->document->epoch = options->epoch;
    out->document->rev = view->rev;
    struct comp comp = {.arena = out->arena, .scratch = arena_new(64 * 1024), .view = view, .options = options, .out = out};
    load_grants(&comp);
    comp_load_traffic_policies(&comp);
    comp_load_tls_policies(&comp);
    comp_gateways(&comp);
    comp_client_policies(&comp);
    comp_routes(&comp);
    comp_emit_listeners(&comp);
    emit_settings(&comp);
    bool is_sealed = cfg_document_seal(out->document, err) == 0;
    if (is_sealed) {
        comp_gateway_statuses(&comp);
        comp_traffic_policy_statuses(&comp);
        comp_tls_policy_statuses(&comp);
        comp_client_policy_statuses(&comp);
        comp_backend_statuses(&comp);
    } else {
        err_wrap(err, "compile revision %llu", (unsigned long long)view->rev);
    }
    clear(&comp);
    return is_sealed ? out : ctl_compiled_free(out);
}

struct ctl_compiled *ctl_compiled_free(struct ctl_compiled *compiled)
{
    if (compiled == NULL)
        return NULL;
    for (size_t i = 0; i < compiled->num_statuses; ++i)
        ctl_object_unref(compiled->statuses[i].object);
    free(compiled->statuses);
    cfg_document_free(compiled->document);
    ctl_memo_free(compiled->memo);
    arena_free(compiled->arena);
    free(compiled);
    return NULL;
}

/* HTTPRoutes and GRPCRoutes: what their rules become, what they are told. */
#include "gateway/control/compile_internal.h"

#include "core/base/uri.h"

/* ---------- rules ---------- */

static bool is_among(struct slice name, const struct cfg_header_edit *edits, uint32_t num)
{
    for (uint32_t i = 0; i < num; ++i)
        if (slice_eq(edits[i].name, name))
            return true;
    return false;
}

/* "If multiple entries specify equivalent header names, the first entry MUST be considered": case does not tell two apart. */
static struct cfg_header_edit *edits(struct comp *comp, const struct obj_header *headers, uint32_t num, uint32_t *ret_num)
{
    struct cfg_header_edit *out = arena_alloc(comp->scratch, num * sizeof(*out));
    *ret_num = 0;
    for (uint32_t i = 0; i < num; ++i) {
        struct slice name = comp_lower(comp, headers[i].name);
        if (!is_among(name, out, *ret_num))
            out[(*ret_num)++] = (struct cfg_header_edit){name, headers[i].value};
    }
    return out;
}

static struct cfg_header_mod header_mod(struct comp *comp, const struct obj_header_modifier *in)
{
    struct cfg_header_mod out = {0};
    out.set = edits(comp, in->set, in->num_set, &out.num_set);
    out.add = edits(comp, in->add, in->num_add, &out.num_add);
    out.remove = arena_zalloc(comp->scratch, in->num_remove * sizeof(*out.remove));
    out.num_remove = in->num_remove;
    for (uint32_t i = 0; i < in->num_remove; ++i)
        out.remove[i].name = comp_lower(comp, in->remove[i]);
    return out;
}

static enum cfg_path_mod path_mod(const struct obj_path_modifier *in, struct slice *ret_path)
{
    if (in == NULL)
        return CFG_PATH_KEEP;
    bool is_full = in->type == OBJ_REPLACE_FULL_PATH;
    *ret_path = is_full ? in->replace_full_path : in->replace_prefix_match;
    if (ret_path->base == NULL)
        *ret_path = SLICE("");
    return is_full ? CFG_PATH_REPLACE_FULL : CFG_PATH_REPLACE_PREFIX;
}

static struct cfg_redirect *redirect(struct comp *comp, const struct obj_redirect *in)
{
    struct cfg_redirect *out = arena_zalloc(comp->scratch, sizeof(*out));
    out->scheme = in->scheme;
    out->hostname = in->hostname;
    out->port = in->has_port ? in->port : 0;
    out->status = (uint32_t)in->status_code;
    out->path_mod = path_mod(in->path, &out->path);
    return out;
}

static struct cfg_rewrite *rewrite(struct comp *comp, const struct obj_rewrite *in)
{
    struct cfg_rewrite *out = arena_zalloc(comp->scratch, sizeof(*out));
    out->hostname = in->hostname;
    out->path_mod = path_mod(in->path, &out->path);
    return out;
}

static struct cfg_filters filters(struct comp *comp, const struct obj_http_filter *in, uint32_t num)
{
    struct cfg_filters out = {0};
    for (uint32_t i = 0; i < num; ++i) {
        switch (in[i].type) {
        case OBJ_FILTER_REQUEST_HEADERS:
            out.request_headers = header_mod(comp, in[i].request_headers);
            break;
        case OBJ_FILTER_RESPONSE_HEADERS:
            out.response_headers = header_mod(comp, in[i].response_headers);
            break;
        case OBJ_FILTER_REDIRECT:
            out.redirect = redirect(comp, in[i].redirect);
            break;
        case OBJ_FILTER_REWRITE:
            out.rewrite = rewrite(comp, in[i].rewrite);
            break;
        }
    }
    return out;
}

static struct cfg_value_match *values(struct comp *comp, const struct obj_value_match *in, uint32_t num, bool are_headers)
{
    struct cfg_value_match *out = arena_zalloc(comp->scratch, num * sizeof(*out));
    for (uint32_t i = 0; i < num; ++i) {
        out[i].name = are_headers ? comp_lower(comp, in[i].name) : in[i].name;
        out[i].kind = in[i].type == OBJ_VALUE_REGEX ? CFG_MATCH_REGEX : CFG_MATCH_EXACT;
        out[i].value = in[i].value;
    }
    return out;
}

/* "Only the first entry with an equivalent name MUST be considered": later ones of the same name are dropped. */
static uint32_t drop_repeats(struct cfg_value_match *list, uint32_t num)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < num; ++i) {
        bool is_repeat = false;
        for (uint32_t j = 0; j < kept; ++j)
            is_repeat |= slice_eq(list[j].name, list[i].name);
        if (!is_repeat)
            list[kept++] = list[i];
    }
    return kept;
}

/* As requests come to the router: in normal form. A prefix is without its trailing slash. */
static struct slice path_value(struct comp *comp, const struct obj_path_match *in)
{
    struct slice path = in->value;
    if (in->type == OBJ_PATH_REGEX)
        return path;
    (void)uri_path_normalize(in->value, 0, arena_alloc(comp->scratch, URI_PATH_SCRATCH(in->value.len)), &path); /* validation has seen to it */
    if (in->type == OBJ_PATH_PREFIX && path.len > 1 && path.base[path.len - 1] == '/')
        --path.len;
    return path;
}

static struct cfg_match http_match(struct comp *comp, const struct obj_http_match *in)
{
    static const enum cfg_match_kind kinds[] = {
        [OBJ_PATH_EXACT] = CFG_MATCH_EXACT, [OBJ_PATH_PREFIX] = CFG_MATCH_PREFIX, [OBJ_PATH_REGEX] = CFG_MATCH_REGEX};
    return (struct cfg_match){.path_kind = kinds[in->path.type], .path = path_value(comp, &in->path), .method = in->method};
}

/* gRPC calls are POSTs of /SERVICE/METHOD: exact names become an exact path, a service a prefix, the rest an expression.
 * So the order of paths is the one GRPCRoute asks for: longest service, then method. */
static struct cfg_match grpc_match(struct comp *comp, const struct obj_grpc_method *in)
{
    struct cfg_match out = {.path_kind = CFG_MATCH_PREFIX, .path = SLICE("/"), .method = SLICE("POST")};
    bool has_service = in != NULL && in->service.len != 0, has_method = in != NULL && in->method.len != 0;
    const char *service = has_service ? in->service.base : "[^/]+", *method = has_method ? in->method.base : "[^/]+";
    if (in == NULL)
        return out;
    if (in->type == OBJ_VALUE_EXACT && has_service) {
        out.path_kind = has_method ? CFG_MATCH_EXACT : CFG_MATCH_PREFIX;
        out.path = comp_slice(arena_printf(comp->scratch, has_method ? "/%s/%s" : "/%s", service, method));
    } else {
        out.path_kind = CFG_MATCH_REGEX;
        out.path = comp_slice(arena_printf(comp->scratch, OBJ_GRPC_PATTERN, service, method));
    }
    return out;
}

static struct cfg_match match(struct comp *comp, enum kind_id kind, const struct obj_http_match *in)
{
    struct cfg_match out = kind == KIND_GRPC_ROUTE ? grpc_match(comp, in->grpc) : http_match(comp, in);
    out.headers = values(comp, in->headers, in->num_headers, true);
    out.num_headers = drop_repeats(out.headers, in->num_headers);
    out.queries = values(comp, in->query_params, in->num_query_params, false);
    out.num_queries = drop_repeats(out.queries, in->num_query_params);
    return out;
}

static struct cfg_backend backend(struct comp *comp, struct comp_route *route, const struct obj_http_rule *rule, const struct obj_backend_ref *in)
{
    const char *reason = NULL, *text = NULL;
    const struct comp_listener *listener = route->first;
    struct comp_place place = {.kind = route->kind, .route = route->spec, .rule = rule};
    struct cfg_backend out = {.weight = (uint32_t)in->weight, .filters = filters(comp, in->filters, in->num_filters)};
    if (listener != NULL) {
        place.gateway_ns = listener->gateway->object->key.ns;
        place.gateway_name = listener->gateway->object->key.name;
        place.section = listener->spec->name;
    }
    out.cluster_name = comp_cluster(comp, &place, in, &reason, &text);
    if (reason != NULL && route->refs_reason == NULL) {
        route->refs_reason = reason;
        route->refs_text = arena_printf(comp->scratch, "rules[%td].backendRefs[%td]: %s", rule - route->spec->spec.rules, in - rule->backend_refs, text);
    }
    return out;
}

static struct cfg_rule rule(struct comp *comp, struct comp_route *route, const struct obj_http_rule *in, uint32_t index)
{
    struct cfg_rule out = {.name = in->name, .index = index};
    out.matches = arena_alloc(comp->scratch, in->num_matches * sizeof(*out.matches));
    for (uint32_t i = 0; i < in->num_matches; ++i)
        out.matches[out.num_matches++] = match(comp, route->kind, &in->matches[i]);
    out.filters = filters(comp, in->filters, in->num_filters);
    out.backends = arena_alloc(comp->scratch, in->num_backend_refs * sizeof(*out.backends));
    for (uint32_t i = 0; i < in->num_backend_refs; ++i)
        out.backends[out.num_backends++] = backend(comp, route, in, &in->backend_refs[i]);
    out.has_request_timeout = in->timeouts.has_request;
    out.request_timeout_ms = in->timeouts.request_ms;
    out.has_backend_timeout = in->timeouts.has_backend_request;
    out.backend_timeout_ms = in->timeouts.backend_request_ms;
    return out;
}

static void emit_route(struct comp *comp, struct comp_route *route)
{
    const struct obj_http_route *spec = route->spec;
    struct slice full = comp_join(comp, route->object->key.ns, '/', route->object->key.name);
    struct cfg_route out = {.name = comp_join(comp, comp_slice(kind_get(route->kind)->singular), '/', full),
                            .ns = route->object->key.ns,
                            .object = route->object->key.name,
                            .created_us = spec->head.meta.created_us,
                            .attachments = route->attachments,
                            .num_attachments = route->num_attachments};
    out.rules = arena_alloc(comp->scratch, spec->spec.num_rules * sizeof(*out.rules));
    for (uint32_t i = 0; i < spec->spec.num_rules; ++i)
        out.rules[out.num_rules++] = rule(comp, route, &spec->spec.rules[i], i);
    struct slice cohort = obj_map_get_n(&spec->head.meta.annotations, SLICE(COHORT_ANNOTATION));
    if (cohort.base != NULL)
        (void)cohort_parse(comp->scratch, cohort, &out.cohort, &out.num_cohort, NULL); /* the object's own check had it parsed */
    if (route->num_attachments != 0)
        comp_emit(comp, "route", out.name, &snapshot_route_schema, &out);
}

/* ---------- status ---------- */

static bool refers_to(const struct json *ref, const struct comp_parent *parent)
{
    const struct obj_parent_ref *want = parent->ref;
    int64_t port = json_int_or(json_get(ref, "port"), 0);
    return slice_eq(json_slice(json_get(ref, "name")), want->name) && slice_eq(json_slice(json_get(ref, "namespace")), want->ns) &&
           slice_eq(json_slice(json_get(ref, "sectionName")), want->section_name) && port == (want->has_port ? want->port : 0);
}

static const struct json *old_parent(const struct comp_route *route, const struct comp_parent *parent)
{
    JSON_FOR(entry, json_get(route->spec->head.status, "parents"))
    if (refers_to(json_get(entry, "parentRef"), parent))
        return json_get(entry, "conditions");
    return NULL;
}

static void set_if(struct comp *comp, struct json *object, const char *name, struct slice value)
{
    if (value.base != NULL)
        json_set(comp->scratch, object, name, json_new_string(comp->scratch, value));
}

static void parent_status(struct comp *comp, struct json *parents, const struct comp_route *route, const struct comp_parent *parent)
{
    int64_t generation = route->object->generation;
    const struct json *old = old_parent(route, parent);
    struct json *entry = json_push(parents, json_new_object(comp->scratch));
    struct json *ref = json_set(comp->scratch, entry, "parentRef", json_new_object(comp->scratch));
    set_if(comp, ref, "group", parent->ref->group);
    set_if(comp, ref, "kind", parent->ref->kind);
    set_if(comp, ref, "namespace", parent->ref->ns);
    set_if(comp, ref, "name", parent->ref->name);
    set_if(comp, ref, "sectionName", parent->ref->section_name);
    if (parent->ref->has_port)
        json_set_int(comp->scratch, ref, "port", parent->ref->port);
    json_set_str(comp->scratch, entry, "controllerName", OBJ_CONTROLLER_NAME);
    struct json *conditions = json_set(comp->scratch, entry, "conditions", json_new_array(comp->scratch));
    comp_condition(comp, conditions, old, "Accepted", parent->reason == NULL, parent->reason != NULL ? parent->reason : "Accepted",
                   parent->text, generation);
    comp_condition(comp, conditions, old, "ResolvedRefs", route->refs_reason == NULL,
                   route->refs_reason != NULL ? route->refs_reason : "ResolvedRefs", route->refs_text, generation);
}

static void route_status(struct comp *comp, struct comp_route *route)
{
    struct json *status = json_new_object(comp->scratch);
    struct json *parents = json_set(comp->scratch, status, "parents", json_new_array(comp->scratch));
    for (uint32_t i = 0; i < route->spec->spec.num_parent_refs; ++i)
        if (route->parents[i].is_ours)
            parent_status(comp, parents, route, &route->parents[i]);
    comp_set_status(comp, route->object, route->spec->head.status, status);
}

/* A route whose status changes or whose references do not resolve is compiled again each time. */
static bool is_settled(const struct comp *comp, const struct comp_route *route, size_t statuses_before)
{
    return !comp->record->is_more && route->refs_reason == NULL && comp->out->num_statuses == statuses_before;
}

static void compile_route(struct comp *comp, enum kind_id kind, struct ctl_object *object)
{
    struct comp_record record = {0};
    struct comp_route route = {.kind = kind, .object = object, .spec = comp_decode_in(comp, comp->scratch, object, kind)};
    if (route.spec == NULL)
        return;
    uint32_t num_parents = route.spec->spec.num_parent_refs;
    size_t statuses_before = comp->out->num_statuses;
    comp->record = &record;
    route.parents = arena_zalloc(comp->scratch, num_parents * sizeof(*route.parents));
    for (uint32_t i = 0; i < num_parents; ++i) {
        route.parents[i].ref = &route.spec->spec.parent_refs[i];
        comp_attach(comp, &route, &route.parents[i]);
    }
    emit_route(comp, &route);
    route_status(comp, &route);
    const struct cfg_document *document = comp->out->document; /* the route is the last that was added, if it was */
    if (is_settled(comp, &route, statuses_before))
        comp_memo_add(comp, &route, route.num_attachments != 0 ? &document->resources[document->num - 1] : NULL);
    comp->record = NULL;
}

/* In a scratch of its own: ten thousand routes never stand in memory together. */
static void compile_or_replay(struct comp *comp, enum kind_id kind, struct ctl_object *object)
{
    if (comp_memo_replay(comp, kind, object))
        return;
    struct arena *outer = comp->scratch;
    comp->scratch = arena_new(16 * 1024);
    compile_route(comp, kind, object);
    arena_free(comp->scratch);
    comp->scratch = outer;
}

/* ---------- routes of both kinds ---------- */

struct dated_route {
    enum kind_id kind;
    struct ctl_object *object;
    int64_t created_us;
};

static int compare_dated(const void *left, const void *right)
{
    const struct dated_route *a = left, *b = right;
    if (a->created_us != b->created_us)
        return a->created_us < b->created_us ? -1 : 1;
    struct ctl_key left_name = {.ns = a->object->key.ns, .name = a->object->key.name}, right_name = {.ns = b->object->key.ns, .name = b->object->key.name};
    int order = ctl_key_compare(&left_name, &right_name);
    return order != 0 ? order : (int)a->kind - (int)b->kind;
}

/* False: it is not compiled either. */
static bool read_created(struct comp *comp, enum kind_id kind, struct ctl_object *object, int64_t *ret_created_us)
{
    if (comp_memo_knows(comp, object, ret_created_us))
        return true;
    _cleanup_(arena_freep) struct arena *arena = arena_new(16 * 1024);
    const struct obj_http_route *route = comp_decode_in(comp, arena, object, kind);
    if (route != NULL)
        *ret_created_us = route->head.meta.created_us;
    return route != NULL;
}

static void collect(struct comp *comp, enum kind_id kind, struct dated_route *list, size_t *num)
{
    size_t count;
    int64_t created_us;
    struct ctl_object **objects = ctl_view_kind(comp->view, comp_kind_key(comp, kind), &count);
    for (size_t i = 0; i < count; ++i)
        if (read_created(comp, kind, objects[i], &created_us))
            list[(*num)++] = (struct dated_route){kind, objects[i], created_us};
}

/* Oldest first, for it gets the host name that both kinds want. */
static void compile_by_age(struct comp *comp, size_t num)
{
    struct dated_route *list = xmalloc(num * sizeof(*list));
    num = 0;
    collect(comp, KIND_HTTP_ROUTE, list, &num);
    collect(comp, KIND_GRPC_ROUTE, list, &num);
    qsort(list, num, sizeof(*list), compare_dated);
    for (size_t i = 0; i < num; ++i)
        compile_or_replay(comp, list[i].kind, list[i].object);
    free(list);
}

void comp_routes(struct comp *comp)
{
    static const enum kind_id kinds[] = {KIND_HTTP_ROUTE, KIND_GRPC_ROUTE};
    struct ctl_object **objects[ARRAY_LEN(kinds)];
    size_t nums[ARRAY_LEN(kinds)];
    for (size_t i = 0; i < ARRAY_LEN(kinds); ++i)
        objects[i] = ctl_view_kind(comp->view, comp_kind_key(comp, kinds[i]), &nums[i]);
    comp->has_two_route_kinds = nums[0] != 0 && nums[1] != 0;
    comp->out->memo = comp_memo_new(comp);
    if (comp->has_two_route_kinds) {
        compile_by_age(comp, nums[0] + nums[1]);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); ++i)
        for (size_t j = 0; j < nums[i]; ++j)
            compile_or_replay(comp, kinds[i], objects[i][j]);
}

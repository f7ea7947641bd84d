#include "core/model/object/route.h"

#include "core/model/cohort.h"
#include "core/model/field_ctx.h"
#include "core/model/format.h"
#include "core/model/object/gateway.h"
#include "core/model/pattern.h"

#include <strings.h>

enum { MATCHES_PER_ROUTE = 128 };

/* ---- parents ---- */

#define T struct obj_parent_ref
static const struct field parent_ref_fields[] = {
    {"group", FIELD_STRING, AT(group), .names = FIELD_NAMES(OBJ_GATEWAY_GROUP), .refused = FIELD_NAMES(""),
     .def = OBJ_GATEWAY_GROUP, .doc = "Group of the parent."},
    {"kind", FIELD_STRING, AT(kind), .names = FIELD_NAMES("Gateway"),
     .refused = FIELD_NAMES("Service", "ListenerSet"), .def = "Gateway", .doc = "Kind of the parent."},
    {"namespace", FIELD_STRING, AT(ns), .min = 1, .max = 63, .format = &format_dns_label,
     .doc = "Namespace of the parent; absent: the route's."},
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253, .doc = "Name of the parent."},
    {"sectionName", FIELD_STRING, AT(section_name), .min = 1, .max = 253, .format = &format_dns_subdomain,
     .doc = "Listener of the Gateway; absent: all that fit."},
    {"port", FIELD_I32, AT(port), HAS(has_port), .min = 1, .max = 65535,
     .doc = "Port of the listeners; absent: any."},
};
const struct field_schema obj_parent_ref_schema = FIELD_SCHEMA(parent_ref_fields);
#undef T

/* ---- matches ---- */

void obj_check_pattern(struct field_ctx *ctx, struct slice pattern)
{
    struct err err = ERR_INIT;
    if (pattern_check(pattern, &err) != 0)
        field_refuse(ctx, FIELD_INVALID, "value", "\"%s\": %s", pattern.base, err.text);
}

void obj_check_value_pattern(struct field_ctx *ctx, const void *object)
{
    const struct obj_value_match *match = object;
    if (match->type == OBJ_VALUE_REGEX)
        obj_check_pattern(ctx, match->value);
}

#define T struct obj_value_match
static const struct field header_match_fields[] = {
    OBJ_VALUE_MATCH_TYPE,
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 256, .format = &format_header_name,
     .doc = "Name of the header, in any case."},
    {"value", FIELD_STRING, AT(value), FIELD_NEEDED, .min = 1, .max = 4096, .format = &format_header_value,
     .doc = "Value to match."},
};
const struct field_schema obj_header_match_schema =
    FIELD_SCHEMA(header_match_fields, .checks = FIELD_CHECKS(obj_check_value_pattern));
#undef T

/* ---- filters ---- */


/* These frame the message or say where it goes: changing them would make it mean something else to the next
 * hop (RFC 9110 §7.6.1, RFC 9112 §6). For Host there is urlRewrite.hostname. */
static bool is_framing_header(struct slice name)
{
    static const char *const names[] = {"connection", "content-length",   "host",
                                        "keep-alive", "proxy-connection", "te",
                                        "trailer",    "upgrade",          "transfer-encoding"};
    for (size_t i = 0; i < ARRAY_LEN(names); ++i)
        if (name.len == strlen(names[i]) && strncasecmp(name.base, names[i], name.len) == 0)
            return true;
    return false;
}

static void check_header_may_change(struct field_ctx *ctx, struct slice name, const char *at)
{
    if (is_framing_header(name))
        field_refuse(ctx, FIELD_FORBIDDEN, at, "\"%s\" belongs to the connection and may not be changed",
                     name.base);
}

static void check_headers_may_change(struct field_ctx *ctx, const void *object)
{
    const struct obj_header_modifier *modifier = object;
    for (uint32_t i = 0; i < modifier->num_set; ++i)
        check_header_may_change(ctx, modifier->set[i].name, field_at(ctx, "set[%u].name", i));
    for (uint32_t i = 0; i < modifier->num_add; ++i)
        check_header_may_change(ctx, modifier->add[i].name, field_at(ctx, "add[%u].name", i));
    for (uint32_t i = 0; i < modifier->num_remove; ++i)
        check_header_may_change(ctx, modifier->remove[i], field_at(ctx, "remove[%u]", i));
}

#define T struct obj_header
static const struct field header_fields[] = {
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 256, .format = &format_header_name,
     .doc = "Name of the header, in any case."},
    {"value", FIELD_STRING, AT(value), FIELD_NEEDED, .min = 1, .max = 4096, .format = &format_header_value,
     .doc = "Its value."},
};
static const struct field_schema header_schema = FIELD_SCHEMA(header_fields);
#undef T

#define T struct obj_header_modifier
static const struct field header_modifier_fields[] = {
    {"set", FIELD_LIST, LIST_AT(set), .item = FIELD_OBJECT, .schema = &header_schema, .max = 16,
     .list_key = "name", .doc = "Headers that get this value in place of any they have."},
    {"add", FIELD_LIST, LIST_AT(add), .item = FIELD_OBJECT, .schema = &header_schema, .max = 16,
     .list_key = "name", .doc = "Headers that get this value beside those they have."},
    {"remove", FIELD_LIST, LIST_AT(remove), .flags = FIELD_SET, .item = FIELD_STRING, .max = 16,
     .item_min = 1, .item_max = 256, .format = &format_header_name, .doc = "Headers to take out."},
};
const struct field_schema obj_header_modifier_schema =
    FIELD_SCHEMA(header_modifier_fields, .checks = FIELD_CHECKS(check_headers_may_change));
#undef T

void obj_check_filter_fits_type(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_filter *filter = object;
    const struct {
        const void *value;
        const char *type, *member;
    } members[] = {
        [OBJ_FILTER_REQUEST_HEADERS] = {filter->request_headers, "RequestHeaderModifier",
                                        "requestHeaderModifier"},
        [OBJ_FILTER_RESPONSE_HEADERS] = {filter->response_headers, "ResponseHeaderModifier",
                                         "responseHeaderModifier"},
        [OBJ_FILTER_REDIRECT] = {filter->redirect, "RequestRedirect", "requestRedirect"},
        [OBJ_FILTER_REWRITE] = {filter->rewrite, "URLRewrite", "urlRewrite"},
    };
    for (size_t i = 0; i < ARRAY_LEN(members); ++i) {
        if (members[i].value == NULL && filter->type == i)
            field_refuse(ctx, FIELD_REQUIRED, members[i].member,
                         "filter.%s must be specified for %s filter.type", members[i].member,
                         members[i].type);
        else if (members[i].value != NULL && filter->type != i)
            field_refuse(ctx, FIELD_INVALID, members[i].member,
                         "filter.%s must be nil if the filter.type is not %s", members[i].member,
                         members[i].type);
    }
}

/* Both rules of a list of filters: each type once, and not redirect with rewrite. */
void obj_check_filter_list(struct field_ctx *ctx, const struct obj_http_filter *filters, uint32_t num)
{
    static const char *const names[] = {"RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect",
                                        "URLRewrite"};
    unsigned counts[ARRAY_LEN(names)] = {0};
    for (uint32_t i = 0; i < num; ++i)
        if (++counts[filters[i].type] == 2)
            field_refuse(ctx, FIELD_INVALID, "filters", "%s filter cannot be repeated",
                         names[filters[i].type]);
    if (counts[OBJ_FILTER_REDIRECT] != 0 && counts[OBJ_FILTER_REWRITE] != 0)
        field_refuse(ctx, FIELD_INVALID, "filters",
                     "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, "
                     "but not both");
}

void obj_check_rule_filters(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_rule *rule = object;
    obj_check_filter_list(ctx, rule->filters, rule->num_filters);
}

/* ---- backends ---- */

void obj_check_backend_filters(struct field_ctx *ctx, const void *object)
{
    const struct obj_backend_ref *ref = object;
    obj_check_filter_list(ctx, ref->filters, ref->num_filters);
}

void obj_check_service_has_port(struct field_ctx *ctx, const void *object)
{
    const struct obj_backend_ref *ref = object;
    if (ref->group.len == 0 && slice_is(ref->kind, "Service") && !ref->has_port)
        field_refuse(ctx, FIELD_REQUIRED, "port", "Must have port for Service reference");
}

/* ---- routes ---- */

static bool is_same_parent(const struct obj_parent_ref *a, const struct obj_parent_ref *b)
{
    return slice_eq(a->group, b->group) && slice_eq(a->kind, b->kind) && slice_eq(a->name, b->name) &&
           slice_eq(a->ns, b->ns);
}

void obj_check_parents_are_distinct(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_route_spec *spec = object;
    for (uint32_t i = 1; i < spec->num_parent_refs; ++i)
        for (uint32_t j = 0; j < i; ++j) {
            const struct obj_parent_ref *a = &spec->parent_refs[i], *b = &spec->parent_refs[j];
            if (!is_same_parent(a, b))
                continue;
            if ((a->section_name.len == 0) != (b->section_name.len == 0) || a->has_port != b->has_port)
                field_refuse(ctx, FIELD_INVALID, "parentRefs",
                             "sectionName or port must be specified when parentRefs includes 2 or more "
                             "references to the same parent");
            else if (slice_eq(a->section_name, b->section_name) && a->port == b->port)
                field_refuse(ctx, FIELD_INVALID, "parentRefs",
                             "sectionName or port must be unique when parentRefs includes 2 or more "
                             "references to the same parent");
        }
}

void obj_check_hostnames_are_no_addresses(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_route_spec *spec = object;
    for (uint32_t i = 0; i < spec->num_hostnames; ++i)
        if (format_ip.matches(spec->hostnames[i]))
            field_refuse(ctx, FIELD_INVALID, field_at(ctx, "hostnames[%u]", i),
                         "\"%s\": must be a DNS name, not an IP address", spec->hostnames[i].base);
}

void obj_check_number_of_matches(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_route_spec *spec = object;
    uint32_t total = 0;
    for (uint32_t i = 0; i < spec->num_rules; ++i)
        total += spec->rules[i].num_matches;
    if (total > MATCHES_PER_ROUTE)
        field_refuse(ctx, FIELD_INVALID, "rules",
                     "While 16 rules and 64 matches per rule are allowed, the total number of matches across "
                     "all rules in a route must be less than 128");
}

void obj_check_rule_names_are_unique(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_route_spec *spec = object;
    for (uint32_t i = 1; i < spec->num_rules; ++i)
        for (uint32_t j = 0; j < i; ++j)
            if (spec->rules[i].name.len != 0 && slice_eq(spec->rules[i].name, spec->rules[j].name))
                field_refuse(ctx, FIELD_DUPLICATE, field_at(ctx, "rules[%u].name", i),
                             "\"%s\": Rule name must be unique within the route", spec->rules[i].name.base);
}

void obj_check_cohort_annotation(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_route *route = object;
    struct slice text = obj_map_get_n(&route->head.meta.annotations, SLICE(COHORT_ANNOTATION));
    struct cfg_cohort_source *sources;
    struct err err = ERR_INIT;
    uint32_t num;
    if (text.base != NULL && cohort_parse(ctx->arena, text, &sources, &num, &err) != 0)
        field_refuse(ctx, FIELD_INVALID, "metadata.annotations[" COHORT_ANNOTATION "]", "%s", err.text);
}

/* ---- its status ---- */

struct parent_status {
    struct obj_parent_ref parent_ref;
    struct slice controller_name;
    struct obj_condition *conditions;
    uint32_t num_conditions;
};

struct route_status {
    struct parent_status *parents;
    uint32_t num_parents;
};

#define T struct parent_status
static const struct field parent_status_fields[] = {
    {"parentRef", FIELD_OBJECT, AT(parent_ref), FIELD_NEEDED, .schema = &obj_parent_ref_schema,
     .doc = "The parent, as spec.parentRefs has it."},
    {"controllerName", FIELD_STRING, AT(controller_name), FIELD_NEEDED, .min = 1, .max = 253,
     .format = &format_controller_name, .doc = "Who says so."},
    OBJ_CONDITIONS_FIELD,
};
static const struct field_schema parent_status_schema = FIELD_SCHEMA(parent_status_fields);
#undef T

#define T struct route_status
static const struct field route_status_fields[] = {
    {"parents", FIELD_LIST, LIST_AT(parents), .flags = FIELD_NEEDED, .item = FIELD_OBJECT,
     .schema = &parent_status_schema, .max = 32, .doc = "What is true of the route at each parent."},
};
const struct field_schema obj_route_status_schema = FIELD_SCHEMA(route_status_fields);
#undef T

/* GRPCRoute: the table that reads it into the struct of HTTPRoute. What a service and method become as a path is settled
 * where routes are compiled. */
#include "core/model/object/route.h"

#include "core/model/format.h"
#include "core/model/pattern.h"

/* ---- matches ---- */

static bool is_word(struct slice text, size_t *at)
{
    size_t start = *at;
    for (; *at < text.len; ++*at) {
        char c = text.base[*at];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && (*at == start || c < '0' || c > '9'))
            break;
    }
    return *at != start;
}

/* "pkg.v1.Service"; a leading dot, which the public schema allows, is of no path that clients send. */
static bool is_service_name(struct slice text)
{
    for (size_t at = 0; is_word(text, &at); ++at) {
        if (at == text.len)
            return true;
        if (text.base[at] != '.')
            return false;
    }
    return false;
}

static bool is_method_name(struct slice text)
{
    size_t at = 0;
    return is_word(text, &at) && at == text.len;
}

static void check_part(struct field_ctx *ctx, const struct obj_grpc_method *match, const char *name, struct slice value,
                       bool (*is_good)(struct slice text), const char *pattern)
{
    struct err err = ERR_INIT;
    if (value.len == 0)
        return;
    if (match->type == OBJ_VALUE_REGEX && pattern_check(value, &err) != 0)
        field_refuse(ctx, FIELD_INVALID, name, "\"%s\": %s", value.base, err.text);
    if (match->type == OBJ_VALUE_EXACT && !is_good(value))
        field_refuse(ctx, FIELD_INVALID, name, "\"%s\": %s must only contain valid characters (matching %s)", value.base, name, pattern);
}

static void check_method(struct field_ctx *ctx, const void *object)
{
    const struct obj_grpc_method *match = object;
    if (match->service.len == 0 && match->method.len == 0)
        field_refuse(ctx, FIELD_REQUIRED, "", "One or both of 'service' or 'method' must be specified");
    if (match->type == OBJ_VALUE_REGEX && match->service.len + match->method.len + sizeof(OBJ_GRPC_PATTERN) > PATTERN_MAX)
        field_refuse(ctx, FIELD_TOO_LONG, "service", "service and method together may be %d bytes", (int)(PATTERN_MAX - sizeof(OBJ_GRPC_PATTERN)));
    check_part(ctx, match, "service", match->service, is_service_name, "^[A-Za-z_][A-Za-z_0-9]*(\\.[A-Za-z_][A-Za-z_0-9]*)*$");
    check_part(ctx, match, "method", match->method, is_method_name, "^[A-Za-z_][A-Za-z_0-9]*$");
}

#define T struct obj_grpc_method
static const struct field method_fields[] = {
    OBJ_VALUE_MATCH_TYPE,
    {"service", FIELD_STRING, AT(service), .max = 1024, .doc = "Name of the service, with its package; absent: any."},
    {"method", FIELD_STRING, AT(method), .max = 1024, .doc = "Name of the method; absent: any."},
};
static const struct field_schema method_schema = FIELD_SCHEMA(method_fields, .checks = FIELD_CHECKS(check_method));
#undef T

#define T struct obj_http_match
static const struct field match_fields[] = {
    {"method", FIELD_OBJECT_PTR, AT(grpc), .schema = &method_schema, .doc = "The service and method have to match."},
    {"headers", FIELD_LIST, LIST_AT(headers), .item = FIELD_OBJECT, .schema = &obj_header_match_schema, .max = 16,
     .list_key = "name", .doc = "All of these headers have to match."},
};
static const struct field_schema match_schema = FIELD_SCHEMA(match_fields);
#undef T

/* ---- filters, backends ---- */

#define T struct obj_http_filter
static const struct field filter_fields[] = {
    {"type", FIELD_ENUM, AT(type), FIELD_NEEDED, .names = FIELD_NAMES("RequestHeaderModifier", "ResponseHeaderModifier"),
     .refused = FIELD_NAMES("RequestMirror", "ExtensionRef"), .doc = "What the filter does: the member that is given."},
    {"requestHeaderModifier", FIELD_OBJECT_PTR, AT(request_headers), .schema = &obj_header_modifier_schema,
     .doc = "Changes headers of the request."},
    {"responseHeaderModifier", FIELD_OBJECT_PTR, AT(response_headers), .schema = &obj_header_modifier_schema,
     .doc = "Changes headers of the response."},
    {"requestMirror", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"extensionRef", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema filter_schema = FIELD_SCHEMA(filter_fields, .checks = FIELD_CHECKS(obj_check_filter_fits_type));
#undef T

#define T struct obj_backend_ref
static const struct field backend_ref_fields[] = {
    OBJ_BACKEND_REF_FIELDS(filter_schema),
};
static const struct field_schema backend_ref_schema =
    FIELD_SCHEMA(backend_ref_fields, .checks = FIELD_CHECKS(obj_check_service_has_port, obj_check_backend_filters));
#undef T

/* ---- the route ---- */

#define T struct obj_http_rule
static const struct field rule_fields[] = {
    {"name", FIELD_STRING, AT(name), .min = 1, .max = 253, .format = &format_dns_subdomain, .doc = "Name, unique in the route."},
    {"matches", FIELD_LIST, LIST_AT(matches), .item = FIELD_OBJECT, .schema = &match_schema, .max = 64, .def = "[{}]",
     .doc = "The rule is for calls that one of these matches; none: all calls."},
    {"filters", FIELD_LIST, LIST_AT(filters), .item = FIELD_OBJECT, .schema = &filter_schema, .max = 16,
     .doc = "What happens to the call on its way."},
    {"backendRefs", FIELD_LIST, LIST_AT(backend_refs), .item = FIELD_OBJECT, .schema = &backend_ref_schema, .max = 16,
     .doc = "Where the call goes: one of these, by weight."},
    {"sessionPersistence", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema rule_schema = FIELD_SCHEMA(rule_fields, .checks = FIELD_CHECKS(obj_check_rule_filters));
#undef T

#define T struct obj_http_route_spec
static const struct field spec_fields[] = {
    {"parentRefs", FIELD_LIST, LIST_AT(parent_refs), .item = FIELD_OBJECT, .schema = &obj_parent_ref_schema, .max = 32,
     .doc = "Gateways, or listeners of them, to attach to."},
    {"hostnames", FIELD_LIST, LIST_AT(hostnames), .item = FIELD_STRING, .max = 16, .item_min = 1, .item_max = 253,
     .format = &format_hostname, .doc = "Host names the route is for, maybe with a leading \"*.\"; none: all of the listener's."},
    {"rules", FIELD_LIST, LIST_AT(rules), .item = FIELD_OBJECT, .schema = &rule_schema, .max = 16, .def = "[{\"matches\":[{}]}]",
     .doc = "What to do with which calls; the most specific match decides."},
    {"useDefaultGateways", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema spec_schema =
    FIELD_SCHEMA(spec_fields, .checks = FIELD_CHECKS(obj_check_parents_are_distinct, obj_check_hostnames_are_no_addresses,
                                                     obj_check_number_of_matches, obj_check_rule_names_are_unique));
#undef T

#define T struct obj_http_route
static const struct field route_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &spec_schema, .doc = "What is wanted."},
    OBJ_STATUS_FIELD(&obj_route_status_schema),
};
const struct field_schema obj_grpc_route_schema =
    FIELD_SCHEMA(route_fields, .checks = FIELD_CHECKS(obj_check_cohort_annotation), .doc = "Which gRPC calls go where.");
#undef T

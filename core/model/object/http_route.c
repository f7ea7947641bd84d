#include "core/model/object/http_route.h"

#include "core/model/cohort.h"
#include "core/model/field_ctx.h"
#include "core/base/uri.h"
#include "core/model/format.h"
#include "core/model/object/gateway.h"
#include "core/model/pattern.h"

#include <strings.h>

enum { MATCHES_PER_ROUTE = 128, PATH_VALUE_MAX = 1024 };

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

static void check_pattern(struct field_ctx *ctx, struct slice pattern)
{
    struct err err = ERR_INIT;
    if (pattern_check(pattern, &err) != 0)
        field_refuse(ctx, FIELD_INVALID, "value", "\"%s\": %s", pattern.base, err.text);
}

static bool contains(struct slice text, const char *what)
{
    return memmem(text.base, text.len, what, strlen(what)) != NULL;
}

/* Requests for such a path are answered 400: the rule could never match (docs/decisions/0010). */
static void check_path_is_taken(struct field_ctx *ctx, struct slice value)
{
    char scratch[URI_PATH_SCRATCH(PATH_VALUE_MAX)];
    struct slice normal;
    enum uri_fault fault = uri_path_normalize(value, 0, scratch, &normal);
    if (fault != URI_OK)
        field_refuse(ctx, FIELD_INVALID, "value", "\"%s\": %s: requests for it are refused", value.base,
                     uri_fault_text(fault));
}

/* The rules of the public schema, in its words. A path in normal form never has what they forbid: it could
 * not match. */
static void check_path_value(struct field_ctx *ctx, const void *object)
{
    static const char *const anywhere[] = {"//", "/./", "/../", "%2f", "%2F", "#"}, *const at_end[] = {"/..",
                                                                                                       "/."};
    const struct obj_path_match *path = object;
    const struct slice value = path->value;
    if (path->type == OBJ_PATH_REGEX) {
        check_pattern(ctx, value);
        return;
    }
    if (value.len == 0 || value.base[0] != '/')
        field_refuse(
            ctx, FIELD_INVALID, "value",
            "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']");
    for (size_t i = 0; i < ARRAY_LEN(anywhere); ++i)
        if (contains(value, anywhere[i]))
            field_refuse(ctx, FIELD_INVALID, "value",
                         "must not contain '%s' when type one of ['Exact', 'PathPrefix']", anywhere[i]);
    for (size_t i = 0; i < ARRAY_LEN(at_end); ++i)
        if (slice_ends(value, slice_of(at_end[i])))
            field_refuse(ctx, FIELD_INVALID, "value",
                         "must not end with '%s' when type one of ['Exact', 'PathPrefix']", at_end[i]);
    if (value.len != 0 && value.base[0] == '/' && !contains(value, "#") && !format_url_path.matches(value))
        field_refuse(
            ctx, FIELD_INVALID, "value",
            "must only contain valid characters (matching "
            "^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%%][0-9a-fA-F]{2})+$) for types ['Exact', 'PathPrefix']");
    else if (value.len != 0 && value.len <= PATH_VALUE_MAX && !contains(value, "%2f") && !contains(value, "%2F"))
        check_path_is_taken(ctx, value);
}

#define T struct obj_path_match
static const struct field path_match_fields[] = {
    {"type", FIELD_ENUM, AT(type), .names = FIELD_NAMES("Exact", "PathPrefix", "RegularExpression"),
     .def = "PathPrefix",
     .doc = "Exact; PathPrefix: by whole segments; RegularExpression: PCRE2, the whole path."},
    {"value", FIELD_STRING, AT(value), .max = PATH_VALUE_MAX, .def = "/", .doc = "Path to match against."},
};
static const struct field_schema path_match_schema =
    FIELD_SCHEMA(path_match_fields, .checks = FIELD_CHECKS(check_path_value));
#undef T

static void check_value_pattern(struct field_ctx *ctx, const void *object)
{
    const struct obj_value_match *match = object;
    if (match->type == OBJ_VALUE_REGEX)
        check_pattern(ctx, match->value);
}

#define VALUE_MATCH_TYPE                                                                                     \
    {                                                                                                        \
        "type", FIELD_ENUM, AT(type), .names = FIELD_NAMES("Exact", "RegularExpression"), .def = "Exact",    \
                                      .doc = "Exact, or RegularExpression: PCRE2, the whole value."          \
    }

#define T struct obj_value_match
static const struct field header_match_fields[] = {
    VALUE_MATCH_TYPE,
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 256, .format = &format_header_name,
     .doc = "Name of the header, in any case."},
    {"value", FIELD_STRING, AT(value), FIELD_NEEDED, .min = 1, .max = 4096, .format = &format_header_value,
     .doc = "Value to match."},
};
static const struct field_schema header_match_schema =
    FIELD_SCHEMA(header_match_fields, .checks = FIELD_CHECKS(check_value_pattern));

static const struct field query_match_fields[] = {
    VALUE_MATCH_TYPE,
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 256, .format = &format_header_name,
     .doc = "Name of the query parameter."},
    {"value", FIELD_STRING, AT(value), FIELD_NEEDED, .min = 1, .max = 1024, .doc = "Value to match."},
};
static const struct field_schema query_match_schema =
    FIELD_SCHEMA(query_match_fields, .checks = FIELD_CHECKS(check_value_pattern));
#undef T

#define PATH_DEFAULT "{\"type\":\"PathPrefix\",\"value\":\"/\"}"

#define T struct obj_http_match
static const struct field http_match_fields[] = {
    {"path", FIELD_OBJECT, AT(path), .schema = &path_match_schema, .def = PATH_DEFAULT,
     .doc = "The path has to match."},
    {"headers", FIELD_LIST, LIST_AT(headers), .item = FIELD_OBJECT, .schema = &header_match_schema, .max = 16,
     .list_key = "name", .doc = "All of these headers have to match."},
    {"queryParams", FIELD_LIST, LIST_AT(query_params), .item = FIELD_OBJECT, .schema = &query_match_schema,
     .max = 16, .list_key = "name", .doc = "All of these query parameters have to match."},
    {"method", FIELD_STRING, AT(method),
     .names = FIELD_NAMES("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"),
     .doc = "The method has to be this."},
};
static const struct field_schema http_match_schema = FIELD_SCHEMA(http_match_fields);
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
static const struct field_schema header_modifier_schema =
    FIELD_SCHEMA(header_modifier_fields, .checks = FIELD_CHECKS(check_headers_may_change));
#undef T

static void check_path_modifier_member(struct field_ctx *ctx, bool has_type, struct slice value,
                                       const char *type, const char *member)
{
    if (has_type && value.base == NULL)
        field_refuse(ctx, FIELD_REQUIRED, member, "%s must be specified when type is set to '%s'", member,
                     type);
    else if (!has_type && value.base != NULL)
        field_refuse(ctx, FIELD_INVALID, "type", "type must be '%s' when %s is set", type, member);
}

static void check_path_modifier_type(struct field_ctx *ctx, const void *object)
{
    const struct obj_path_modifier *path = object;
    check_path_modifier_member(ctx, path->type == OBJ_REPLACE_FULL_PATH, path->replace_full_path,
                               "ReplaceFullPath", "replaceFullPath");
    check_path_modifier_member(ctx, path->type == OBJ_REPLACE_PREFIX_MATCH, path->replace_prefix_match,
                               "ReplacePrefixMatch", "replacePrefixMatch");
}

#define T struct obj_path_modifier
static const struct field path_modifier_fields[] = {
    {"type", FIELD_ENUM, AT(type), FIELD_NEEDED,
     .names = FIELD_NAMES("ReplaceFullPath", "ReplacePrefixMatch"),
     .doc = "What is replaced: the whole path, or the prefix that matched."},
    {"replaceFullPath", FIELD_STRING, AT(replace_full_path), .max = 1024, .format = &format_url_path,
     .doc = "The new path."},
    {"replacePrefixMatch", FIELD_STRING, AT(replace_prefix_match), .max = 1024, .format = &format_url_path,
     .doc = "What takes the place of the prefix that matched."},
};
static const struct field_schema path_modifier_schema =
    FIELD_SCHEMA(path_modifier_fields, .checks = FIELD_CHECKS(check_path_modifier_type));
#undef T

#define T struct obj_redirect
static const struct field redirect_fields[] = {
    {"scheme", FIELD_STRING, AT(scheme), .names = FIELD_NAMES("http", "https"),
     .doc = "Scheme of the location; absent: the request's."},
    {"hostname", FIELD_STRING, AT(hostname), .min = 1, .max = 253, .format = &format_precise_hostname,
     .doc = "Host of the location; absent: the request's."},
    {"path", FIELD_OBJECT_PTR, AT(path), .schema = &path_modifier_schema,
     .doc = "Path of the location; absent: the request's."},
    {"port", FIELD_I32, AT(port), HAS(has_port), .min = 1, .max = 65535,
     .doc = "Port of the location; absent: the scheme's well-known one when scheme is given, else the "
            "listener's."},
    {"statusCode", FIELD_I32, AT(status_code), .names = FIELD_NAMES("301", "302", "303", "307", "308"),
     .def = "302", .doc = "Status of the answer."},
};
static const struct field_schema redirect_schema = FIELD_SCHEMA(redirect_fields);
#undef T

#define T struct obj_rewrite
static const struct field rewrite_fields[] = {
    {"hostname", FIELD_STRING, AT(hostname), .min = 1, .max = 253, .format = &format_precise_hostname,
     .doc = "Host towards the backend."},
    {"path", FIELD_OBJECT_PTR, AT(path), .schema = &path_modifier_schema, .doc = "Path towards the backend."},
};
static const struct field_schema rewrite_schema = FIELD_SCHEMA(rewrite_fields);
#undef T

static void check_filter_fits_type(struct field_ctx *ctx, const void *object)
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

#define T struct obj_http_filter
static const struct field http_filter_fields[] = {
    {"type", FIELD_ENUM, AT(type), FIELD_NEEDED,
     .names = FIELD_NAMES("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"),
     .refused = FIELD_NAMES("RequestMirror", "CORS", "ExternalAuth", "ExtensionRef"),
     .doc = "What the filter does: the member that is given."},
    {"requestHeaderModifier", FIELD_OBJECT_PTR, AT(request_headers), .schema = &header_modifier_schema,
     .doc = "Changes headers of the request."},
    {"responseHeaderModifier", FIELD_OBJECT_PTR, AT(response_headers), .schema = &header_modifier_schema,
     .doc = "Changes headers of the response."},
    {"requestRedirect", FIELD_OBJECT_PTR, AT(redirect), .schema = &redirect_schema,
     .doc = "Answers with a redirect."},
    {"urlRewrite", FIELD_OBJECT_PTR, AT(rewrite), .schema = &rewrite_schema,
     .doc = "Changes host and path towards the backend."},
    {"requestMirror", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"cors", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"externalAuth", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"extensionRef", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema http_filter_schema =
    FIELD_SCHEMA(http_filter_fields, .checks = FIELD_CHECKS(check_filter_fits_type));
#undef T

/* Both rules of a list of filters: each type once, and not redirect with rewrite. */
static void check_filter_list(struct field_ctx *ctx, const struct obj_http_filter *filters, uint32_t num)
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

/* ---- backends ---- */

static void check_backend_filters(struct field_ctx *ctx, const void *object)
{
    const struct obj_backend_ref *ref = object;
    check_filter_list(ctx, ref->filters, ref->num_filters);
}

static void check_service_has_port(struct field_ctx *ctx, const void *object)
{
    const struct obj_backend_ref *ref = object;
    if (ref->group.len == 0 && slice_is(ref->kind, "Service") && !ref->has_port)
        field_refuse(ctx, FIELD_REQUIRED, "port", "Must have port for Service reference");
}

#define T struct obj_backend_ref
static const struct field backend_ref_fields[] = {
    {"group", FIELD_STRING, AT(group), .max = 253, .format = &format_group, .def = "",
     .doc = "Group of the backend: \"\" or gateway.envoyproxy.io."},
    {"kind", FIELD_STRING, AT(kind), .min = 1, .max = 63, .format = &format_kind, .def = "Service",
     .doc = "Kind of the backend: Service or Backend."},
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253, .doc = "Name of the backend."},
    {"namespace", FIELD_STRING, AT(ns), .min = 1, .max = 63, .format = &format_dns_label,
     .doc = "Namespace of the backend; absent: the route's. Another needs a ReferenceGrant there."},
    {"port", FIELD_I32, AT(port), HAS(has_port), .min = 1, .max = 65535, .doc = "Port of the Service."},
    {"weight", FIELD_I32, AT(weight), .min = 0, .max = 1000000, .def = "1",
     .doc = "Share of the requests, in relation to the other backends'."},
    {"filters", FIELD_LIST, LIST_AT(filters), .item = FIELD_OBJECT, .schema = &http_filter_schema, .max = 16,
     .doc = "For requests that go to this backend."},
};
static const struct field_schema backend_ref_schema =
    FIELD_SCHEMA(backend_ref_fields, .checks = FIELD_CHECKS(check_service_has_port, check_backend_filters));
#undef T

/* ---- rules ---- */

static void check_request_covers_backend_request(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_timeouts *t = object;
    if (t->has_request && t->has_backend_request && t->request_ms != 0 &&
        t->backend_request_ms > t->request_ms)
        field_refuse(ctx, FIELD_INVALID, "backendRequest",
                     "backendRequest timeout cannot be longer than request timeout");
}

#define T struct obj_http_timeouts
static const struct field http_timeouts_fields[] = {
    {"request", FIELD_DURATION, AT(request_ms), HAS(has_request),
     .doc = "For the whole request, retries included; 0s: none."},
    {"backendRequest", FIELD_DURATION, AT(backend_request_ms), HAS(has_backend_request),
     .doc = "For one attempt at a backend; 0s: none."},
};
static const struct field_schema http_timeouts_schema =
    FIELD_SCHEMA(http_timeouts_fields, .checks = FIELD_CHECKS(check_request_covers_backend_request));
#undef T

static void check_rule_filters(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_rule *rule = object;
    check_filter_list(ctx, rule->filters, rule->num_filters);
}

static void check_redirect_has_no_backends(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_rule *rule = object;
    for (uint32_t i = 0; rule->num_backend_refs != 0 && i < rule->num_filters; ++i)
        if (rule->filters[i].redirect != NULL)
            field_refuse(ctx, FIELD_INVALID, "",
                         "RequestRedirect filter must not be used together with backendRefs");
}

static bool replaces_prefix(const struct obj_path_modifier *path)
{
    return path != NULL && path->type == OBJ_REPLACE_PREFIX_MATCH;
}

/* "RequestRedirect" or "URLRewrite" when one of the filters replaces the prefix that matched. */
static const char *find_prefix_filter(const struct obj_http_filter *filters, uint32_t num)
{
    for (uint32_t i = 0; i < num; ++i) {
        if (filters[i].redirect != NULL && replaces_prefix(filters[i].redirect->path))
            return "RequestRedirect";
        if (filters[i].rewrite != NULL && replaces_prefix(filters[i].rewrite->path))
            return "URLRewrite";
    }
    return NULL;
}

static void check_prefix_is_matched(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_rule *rule = object;
    if (rule->num_matches == 1 && rule->matches[0].path.type == OBJ_PATH_PREFIX)
        return;
    const char *name = find_prefix_filter(rule->filters, rule->num_filters);
    if (name != NULL)
        field_refuse(ctx, FIELD_INVALID, "",
                     "When using %s filter with path.replacePrefixMatch, exactly one PathPrefix match must "
                     "be specified",
                     name);
    for (uint32_t i = 0; i < rule->num_backend_refs; ++i) {
        name = find_prefix_filter(rule->backend_refs[i].filters, rule->backend_refs[i].num_filters);
        if (name != NULL)
            field_refuse(ctx, FIELD_INVALID, "",
                         "Within backendRefs, when using %s filter with path.replacePrefixMatch, exactly one "
                         "PathPrefix match must be specified",
                         name);
    }
}

#define MATCHES_DEFAULT "[{\"path\":" PATH_DEFAULT "}]"

#define T struct obj_http_rule
static const struct field http_rule_fields[] = {
    {"name", FIELD_STRING, AT(name), .min = 1, .max = 253, .format = &format_dns_subdomain,
     .doc = "Name, unique in the route."},
    {"matches", FIELD_LIST, LIST_AT(matches), .item = FIELD_OBJECT, .schema = &http_match_schema, .max = 64,
     .def = MATCHES_DEFAULT, .doc = "The rule is for requests that one of these matches."},
    {"filters", FIELD_LIST, LIST_AT(filters), .item = FIELD_OBJECT, .schema = &http_filter_schema, .max = 16,
     .doc = "What happens to the request on its way."},
    {"backendRefs", FIELD_LIST, LIST_AT(backend_refs), .item = FIELD_OBJECT, .schema = &backend_ref_schema,
     .max = 16, .doc = "Where the request goes: one of these, by weight."},
    {"timeouts", FIELD_OBJECT, AT(timeouts), .schema = &http_timeouts_schema, .doc = "How long it may take."},
    {"retry", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"sessionPersistence", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema http_rule_schema =
    FIELD_SCHEMA(http_rule_fields, .checks = FIELD_CHECKS(check_rule_filters, check_redirect_has_no_backends,
                                                          check_prefix_is_matched));
#undef T

/* ---- the route ---- */

static bool is_same_parent(const struct obj_parent_ref *a, const struct obj_parent_ref *b)
{
    return slice_eq(a->group, b->group) && slice_eq(a->kind, b->kind) && slice_eq(a->name, b->name) &&
           slice_eq(a->ns, b->ns);
}

static void check_parents_are_distinct(struct field_ctx *ctx, const void *object)
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

static void check_hostnames_are_no_addresses(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_route_spec *spec = object;
    for (uint32_t i = 0; i < spec->num_hostnames; ++i)
        if (format_ip.matches(spec->hostnames[i]))
            field_refuse(ctx, FIELD_INVALID, field_at(ctx, "hostnames[%u]", i),
                         "\"%s\": must be a DNS name, not an IP address", spec->hostnames[i].base);
}

static void check_number_of_matches(struct field_ctx *ctx, const void *object)
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

static void check_rule_names_are_unique(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_route_spec *spec = object;
    for (uint32_t i = 1; i < spec->num_rules; ++i)
        for (uint32_t j = 0; j < i; ++j)
            if (spec->rules[i].name.len != 0 && slice_eq(spec->rules[i].name, spec->rules[j].name))
                field_refuse(ctx, FIELD_DUPLICATE, field_at(ctx, "rules[%u].name", i),
                             "\"%s\": Rule name must be unique within the route", spec->rules[i].name.base);
}

#define T struct obj_http_route_spec
static const struct field http_route_spec_fields[] = {
    {"parentRefs", FIELD_LIST, LIST_AT(parent_refs), .item = FIELD_OBJECT, .schema = &obj_parent_ref_schema,
     .max = 32, .doc = "Gateways, or listeners of them, to attach to."},
    {"hostnames", FIELD_LIST, LIST_AT(hostnames), .item = FIELD_STRING, .max = 16, .item_min = 1,
     .item_max = 253, .format = &format_hostname,
     .doc = "Host names the route is for, maybe with a leading \"*.\"; none: all of the listener's."},
    {"rules", FIELD_LIST, LIST_AT(rules), .item = FIELD_OBJECT, .schema = &http_rule_schema, .min = 1,
     .max = 16, .def = "[{\"matches\":" MATCHES_DEFAULT "}]",
     .doc = "What to do with which requests; the most specific match decides."},
    {"useDefaultGateways", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema http_route_spec_schema =
    FIELD_SCHEMA(http_route_spec_fields,
                 .checks = FIELD_CHECKS(check_parents_are_distinct, check_hostnames_are_no_addresses,
                                        check_number_of_matches, check_rule_names_are_unique));
#undef T

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

static void check_cohort_annotation(struct field_ctx *ctx, const void *object)
{
    const struct obj_http_route *route = object;
    struct slice text = obj_map_get_n(&route->head.meta.annotations, SLICE(COHORT_ANNOTATION));
    struct cfg_cohort_source *sources;
    struct err err = ERR_INIT;
    uint32_t num;
    if (text.base != NULL && cohort_parse(ctx->arena, text, &sources, &num, &err) != 0)
        field_refuse(ctx, FIELD_INVALID, "metadata.annotations[" COHORT_ANNOTATION "]", "%s", err.text);
}

#define T struct obj_http_route
static const struct field http_route_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &http_route_spec_schema,
     .doc = "What is wanted."},
    OBJ_STATUS_FIELD(&obj_route_status_schema),
};
const struct field_schema obj_http_route_schema = FIELD_SCHEMA(
    http_route_fields, .checks = FIELD_CHECKS(check_cohort_annotation), .doc = "Which HTTP requests go where, and how they are changed on the way.");
#undef T

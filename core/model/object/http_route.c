#include "core/model/object/route.h"

#include "core/base/uri.h"
#include "core/model/format.h"
#include "core/model/object/gateway.h"

enum { PATH_VALUE_MAX = 1024 };

/* ---- matches ---- */

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
        obj_check_pattern(ctx, value);
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

#define T struct obj_value_match

static const struct field query_match_fields[] = {
    OBJ_VALUE_MATCH_TYPE,
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 256, .format = &format_header_name,
     .doc = "Name of the query parameter."},
    {"value", FIELD_STRING, AT(value), FIELD_NEEDED, .min = 1, .max = 1024, .doc = "Value to match."},
};
static const struct field_schema query_match_schema =
    FIELD_SCHEMA(query_match_fields, .checks = FIELD_CHECKS(obj_check_value_pattern));
#undef T

#define PATH_DEFAULT "{\"type\":\"PathPrefix\",\"value\":\"/\"}"

#define T struct obj_http_match
static const struct field http_match_fields[] = {
    {"path", FIELD_OBJECT, AT(path), .schema = &path_match_schema, .def = PATH_DEFAULT,
     .doc = "The path has to match."},
    {"headers", FIELD_LIST, LIST_AT(headers), .item = FIELD_OBJECT, .schema = &obj_header_match_schema, .max = 16,
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

#define T struct obj_http_filter
static const struct field http_filter_fields[] = {
    {"type", FIELD_ENUM, AT(type), FIELD_NEEDED,
     .names = FIELD_NAMES("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"),
     .refused = FIELD_NAMES("RequestMirror", "CORS", "ExternalAuth", "ExtensionRef"),
     .doc = "What the filter does: the member that is given."},
    {"requestHeaderModifier", FIELD_OBJECT_PTR, AT(request_headers), .schema = &obj_header_modifier_schema,
     .doc = "Changes headers of the request."},
    {"responseHeaderModifier", FIELD_OBJECT_PTR, AT(response_headers), .schema = &obj_header_modifier_schema,
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
    FIELD_SCHEMA(http_filter_fields, .checks = FIELD_CHECKS(obj_check_filter_fits_type));
#undef T

/* ---- backends ---- */

#define T struct obj_backend_ref
static const struct field backend_ref_fields[] = {
    OBJ_BACKEND_REF_FIELDS(http_filter_schema),
};
static const struct field_schema backend_ref_schema =
    FIELD_SCHEMA(backend_ref_fields, .checks = FIELD_CHECKS(obj_check_service_has_port, obj_check_backend_filters));
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
    FIELD_SCHEMA(http_rule_fields, .checks = FIELD_CHECKS(obj_check_rule_filters, check_redirect_has_no_backends,
                                                          check_prefix_is_matched));
#undef T

/* ---- the route ---- */

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
                 .checks = FIELD_CHECKS(obj_check_parents_are_distinct, obj_check_hostnames_are_no_addresses,
                                        obj_check_number_of_matches, obj_check_rule_names_are_unique));
#undef T

#define T struct obj_http_route
static const struct field http_route_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &http_route_spec_schema,
     .doc = "What is wanted."},
    OBJ_STATUS_FIELD(&obj_route_status_schema),
};
const struct field_schema obj_http_route_schema = FIELD_SCHEMA(
    http_route_fields, .checks = FIELD_CHECKS(obj_check_cohort_annotation), .doc = "Which HTTP requests go where, and how they are changed on the way.");
#undef T

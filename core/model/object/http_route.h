/* gateway.networking.k8s.io HTTPRoute and, read into the same struct, GRPCRoute. Filters that are not served (RequestMirror, CORS, ExternalAuth, ExtensionRef),
 * retry and sessionPersistence are refused when the object is read. */
#ifndef SELVEDGE_MODEL_OBJECT_HTTP_ROUTE_H
#define SELVEDGE_MODEL_OBJECT_HTTP_ROUTE_H

#include "core/model/object/meta.h"

struct obj_parent_ref {
    struct slice group, kind; /* gateway.networking.k8s.io, Gateway */
    struct slice ns;          /* absent: the route's */
    struct slice name;
    struct slice section_name; /* absent: all listeners */
    bool has_port;
    int32_t port;
};

/* ---- matches ---- */

enum obj_path_type { OBJ_PATH_EXACT, OBJ_PATH_PREFIX, OBJ_PATH_REGEX };
enum obj_value_type { OBJ_VALUE_EXACT, OBJ_VALUE_REGEX };

struct obj_path_match {
    enum obj_path_type type; /* PREFIX */
    struct slice value;      /* "/" */
};

struct obj_value_match { /* header or query parameter */
    enum obj_value_type type;
    struct slice name, value; /* as written: header names may be in any case */
};

struct obj_grpc_method {
    enum obj_value_type type;
    struct slice service, method; /* one may be absent: any */
};

/* The path expression of a call's service and method, where they are no exact names. */
#define OBJ_GRPC_PATTERN "/(?:%s)/(?:%s)"

struct obj_http_match {
    struct obj_path_match path;
    struct obj_grpc_method *grpc; /* GRPCRoute, in place of a path; NULL: any call */
    struct slice method; /* absent: any */
    struct obj_value_match *headers;
    uint32_t num_headers;
    struct obj_value_match *query_params;
    uint32_t num_query_params;
};

/* ---- filters ---- */

struct obj_header {
    struct slice name, value;
};

struct obj_header_modifier {
    struct obj_header *set, *add;
    uint32_t num_set, num_add;
    struct slice *remove;
    uint32_t num_remove;
};

enum obj_path_modifier_type { OBJ_REPLACE_FULL_PATH, OBJ_REPLACE_PREFIX_MATCH };

struct obj_path_modifier {
    enum obj_path_modifier_type type;
    struct slice replace_full_path;
    struct slice replace_prefix_match;
};

struct obj_redirect {
    struct slice scheme, hostname; /* absent: keep */
    bool has_port;
    int32_t port;
    int32_t status_code; /* 302 */
    struct obj_path_modifier *path;
};

struct obj_rewrite {
    struct slice hostname;
    struct obj_path_modifier *path;
};

enum obj_filter_type {
    OBJ_FILTER_REQUEST_HEADERS,
    OBJ_FILTER_RESPONSE_HEADERS,
    OBJ_FILTER_REDIRECT,
    OBJ_FILTER_REWRITE,
};

struct obj_http_filter { /* the member that `type` names is set, the others are NULL */
    enum obj_filter_type type;
    struct obj_header_modifier *request_headers, *response_headers;
    struct obj_redirect *redirect;
    struct obj_rewrite *rewrite;
};

/* ---- the route ---- */

struct obj_backend_ref {
    struct slice group, kind; /* "", Service */
    struct slice ns;          /* absent: the route's */
    struct slice name;
    bool has_port; /* always for Services */
    int32_t port;
    int32_t weight; /* 1 */
    struct obj_http_filter *filters;
    uint32_t num_filters;
};

struct obj_http_timeouts {
    bool has_request, has_backend_request;
    uint64_t request_ms, backend_request_ms; /* 0: none */
};

struct obj_http_rule {
    struct slice name;
    struct obj_http_match *matches; /* at least one */
    uint32_t num_matches;
    struct obj_http_filter *filters;
    uint32_t num_filters;
    struct obj_backend_ref *backend_refs;
    uint32_t num_backend_refs;
    struct obj_http_timeouts timeouts;
};

struct obj_http_route_spec {
    struct obj_parent_ref *parent_refs;
    uint32_t num_parent_refs;
    struct slice *hostnames;
    uint32_t num_hostnames;
    struct obj_http_rule *rules;
    uint32_t num_rules;
};

struct obj_http_route {
    struct obj_head head;
    struct obj_http_route_spec spec;
};

extern const struct field_schema obj_http_route_schema, obj_grpc_route_schema, obj_parent_ref_schema, obj_route_status_schema;

#endif

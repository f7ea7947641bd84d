/* For the tables of HTTPRoute and GRPCRoute: what both have. Both are read into struct obj_http_route. */
#ifndef SELVEDGE_MODEL_OBJECT_ROUTE_H
#define SELVEDGE_MODEL_OBJECT_ROUTE_H

#include "core/model/object/http_route.h"

extern const struct field_schema obj_header_match_schema, obj_header_modifier_schema;

/* `type` of a value match. T is its struct. */
#define OBJ_VALUE_MATCH_TYPE                                                                                     \
    {                                                                                                        \
        "type", FIELD_ENUM, AT(type), .names = FIELD_NAMES("Exact", "RegularExpression"), .def = "Exact",    \
                                      .doc = "Exact, or RegularExpression: PCRE2, the whole value."          \
    }

/* The rows of a backendRef, whose filters are of `filter_schema`. T is struct obj_backend_ref. */
#define OBJ_BACKEND_REF_FIELDS(filter_schema)                                                                \
    {"group", FIELD_STRING, AT(group), .max = 253, .format = &format_group, .def = "",                      \
     .doc = "Group of the backend: \"\" or gateway.envoyproxy.io."},                                        \
    {"kind", FIELD_STRING, AT(kind), .min = 1, .max = 63, .format = &format_kind, .def = "Service",         \
     .doc = "Kind of the backend: Service or Backend."},                                                    \
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253, .doc = "Name of the backend."},    \
    {"namespace", FIELD_STRING, AT(ns), .min = 1, .max = 63, .format = &format_dns_label,                   \
     .doc = "Namespace of the backend; absent: the route's. Another needs a ReferenceGrant there."},        \
    {"port", FIELD_I32, AT(port), HAS(has_port), .min = 1, .max = 65535, .doc = "Port of the Service."},    \
    {"weight", FIELD_I32, AT(weight), .min = 0, .max = 1000000, .def = "1",                                 \
     .doc = "Share of the requests, in relation to the other backends'."},                                  \
    {"filters", FIELD_LIST, LIST_AT(filters), .item = FIELD_OBJECT, .schema = &(filter_schema), .max = 16,  \
     .doc = "For requests that go to this backend."}

/* Rules of single members: a pattern compiles; a header or query match's does. */
void obj_check_pattern(struct field_ctx *ctx, struct slice pattern);
void obj_check_value_pattern(struct field_ctx *ctx, const void *value_match);
/* Of a filter, of a list of them, of the lists of rules and backendRefs. */
void obj_check_filter_fits_type(struct field_ctx *ctx, const void *filter);
void obj_check_filter_list(struct field_ctx *ctx, const struct obj_http_filter *filters, uint32_t num);
void obj_check_rule_filters(struct field_ctx *ctx, const void *rule);
void obj_check_backend_filters(struct field_ctx *ctx, const void *backend_ref);
void obj_check_service_has_port(struct field_ctx *ctx, const void *backend_ref);
/* Of spec. */
void obj_check_parents_are_distinct(struct field_ctx *ctx, const void *spec);
void obj_check_hostnames_are_no_addresses(struct field_ctx *ctx, const void *spec);
void obj_check_number_of_matches(struct field_ctx *ctx, const void *spec);
void obj_check_rule_names_are_unique(struct field_ctx *ctx, const void *spec);
/* Of the whole route. */
void obj_check_cohort_annotation(struct field_ctx *ctx, const void *route);

#endif

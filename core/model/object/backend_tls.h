/* BackendTLSPolicy of gateway.networking.k8s.io: TLS towards a Service or Backend, and how its certificate is verified. */
#ifndef SELVEDGE_MODEL_OBJECT_BACKEND_TLS_H
#define SELVEDGE_MODEL_OBJECT_BACKEND_TLS_H

#include "core/model/object/policy.h"

struct obj_ca_ref {
    struct slice group, kind, name; /* in the policy's namespace */
};

enum obj_alt_name_type { OBJ_ALT_HOSTNAME, OBJ_ALT_URI };

struct obj_alt_name {
    enum obj_alt_name_type type;
    struct slice hostname, uri; /* the one of the type */
};

struct obj_tls_validation {
    struct slice hostname;
    struct obj_ca_ref *ca_refs; /* none: well_known is given */
    uint32_t num_ca_refs;
    struct slice well_known; /* "System" */
    struct obj_alt_name *alt_names;
    uint32_t num_alt_names;
};

struct obj_backend_tls_spec {
    struct obj_policy_target *target_refs; /* group "" and kind Service, or OBJ_ENVOY_GROUP and Backend */
    uint32_t num_target_refs;
    struct obj_tls_validation validation;
};

struct obj_backend_tls_policy {
    struct obj_head head;
    struct obj_backend_tls_spec spec;
};

extern const struct field_schema obj_backend_tls_policy_schema;

#endif

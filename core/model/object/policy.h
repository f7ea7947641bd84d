/* What the policies of gateway.envoyproxy.io share: which objects they are about, and the status they get. */
#ifndef SELVEDGE_MODEL_OBJECT_POLICY_H
#define SELVEDGE_MODEL_OBJECT_POLICY_H

#include "core/model/object/meta.h"

#define OBJ_ENVOY_GROUP "gateway.envoyproxy.io"

struct obj_policy_target {
    struct slice group, kind; /* gateway.networking.k8s.io; Gateway or HTTPRoute */
    struct slice name;        /* in the policy's namespace */
    struct slice section_name; /* listener of a Gateway, named rule of an HTTPRoute; absent: all */
};

/* One spelling of "targetRefs" and the older "targetRef" for whoever reads them. */
struct obj_policy_targets {
    const struct obj_policy_target *at;
    uint32_t num;
};

static inline struct obj_policy_targets obj_policy_targets(const struct obj_policy_target *refs, uint32_t num_refs,
                                                           const struct obj_policy_target *ref)
{
    return num_refs == 0 && ref != NULL ? (struct obj_policy_targets){ref, 1}
                                        : (struct obj_policy_targets){refs, num_refs};
}

/* The rows of a target besides `kind`: each policy has kinds of its own. T is struct obj_policy_target. */
#define OBJ_POLICY_TARGET_FIELDS                                                                             \
    {"group", FIELD_STRING, AT(group), FIELD_NEEDED, .names = FIELD_NAMES(OBJ_GATEWAY_GROUP),                \
     .doc = "Group of the target."},                                                                         \
        {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253,                                 \
         .doc = "Name of the target, in the policy's namespace."},                                           \
    {                                                                                                        \
        "sectionName", FIELD_STRING, AT(section_name), .min = 1, .max = 253, .format = &format_dns_subdomain, \
        .doc = "Listener of a Gateway or named rule of a route; absent: all."                                \
    }

/* Exactly one of the two spellings; reported at targetRefs. */
void obj_policy_check_targets(struct field_ctx *ctx, const struct obj_policy_target *ref, uint32_t num_refs);

extern const struct field_schema obj_policy_status_schema; /* {ancestors: [{ancestorRef, controllerName, conditions}]} */

#endif

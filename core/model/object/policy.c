#include "core/model/object/policy.h"

#include "core/model/format.h"
#include "core/model/object/http_route.h"

void obj_policy_check_targets(struct field_ctx *ctx, const struct obj_policy_target *ref, uint32_t num_refs)
{
    if ((ref != NULL) == (num_refs != 0))
        field_refuse(ctx, ref == NULL ? FIELD_REQUIRED : FIELD_INVALID, "targetRefs",
                     "either targetRef or targetRefs must be used");
}

struct ancestor_status {
    struct obj_parent_ref ancestor_ref;
    struct slice controller_name;
    struct obj_condition *conditions;
    uint32_t num_conditions;
};

struct policy_status {
    struct ancestor_status *ancestors;
    uint32_t num_ancestors;
};

#define T struct ancestor_status
static const struct field ancestor_status_fields[] = {
    {"ancestorRef", FIELD_OBJECT, AT(ancestor_ref), FIELD_NEEDED, .schema = &obj_parent_ref_schema,
     .doc = "The Gateway it has an effect at."},
    {"controllerName", FIELD_STRING, AT(controller_name), FIELD_NEEDED, .min = 1, .max = 253,
     .format = &format_controller_name, .doc = "Who says so."},
    OBJ_CONDITIONS_FIELD,
};
static const struct field_schema ancestor_status_schema = FIELD_SCHEMA(ancestor_status_fields);
#undef T

#define T struct policy_status
static const struct field policy_status_fields[] = {
    {"ancestors", FIELD_LIST, LIST_AT(ancestors), .flags = FIELD_NEEDED, .item = FIELD_OBJECT,
     .schema = &ancestor_status_schema, .max = 16, .doc = "What is true of the policy at each Gateway."},
};
const struct field_schema obj_policy_status_schema = FIELD_SCHEMA(policy_status_fields);
#undef T

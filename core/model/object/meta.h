/* What all objects have: apiVersion, kind, metadata, status. And pieces several kinds share.
 *
 * Every kind is `struct obj_KIND` whose first member is `struct obj_head head`, in a header of its own beside this one;
 * kind_decode() (core/model/kinds.h) makes it from JSON. Absent strings are {NULL, 0}; references have their defaults
 * filled in, but an absent namespace stays {NULL, 0}: it means the object's own (obj_ns_or()). */
#ifndef SELVEDGE_MODEL_OBJECT_META_H
#define SELVEDGE_MODEL_OBJECT_META_H

#include "core/model/field.h"

struct obj_meta {
    struct slice name, generate_name, ns, uid, resource_version;
    int64_t generation;
    int64_t created_us; /* 0: absent */
    struct field_map labels, annotations;
};

struct obj_head {
    struct slice api_version, kind;
    struct obj_meta meta;
    const struct json *status; /* as it stands; NULL when absent */
};

extern const struct field_schema obj_meta_schema;

/* For the tables of kinds: the rows every one begins with. T is the kind's struct. */
#define OBJ_HEAD_FIELDS                                                                                      \
    {"apiVersion", FIELD_STRING, AT(head.api_version), FIELD_NEEDED,                                         \
     .doc = "Version of the schema of this object: group/version."},                                         \
        {"kind", FIELD_STRING, AT(head.kind), FIELD_NEEDED, .doc = "Kind of this object."},                  \
    {                                                                                                        \
        "metadata", FIELD_OBJECT, AT(head.meta), FIELD_NEEDED, .schema = &obj_meta_schema,                   \
        .doc = "Name, namespace, labels and annotations."                                                    \
    }
#define OBJ_STATUS_FIELD(status_schema)                                                                      \
    {                                                                                                        \
        "status", FIELD_RAW, AT(head.status), FIELD_READ_ONLY, .schema = (status_schema),                    \
        .doc = "What the system says about the object; not set by users."                                    \
    }

/* ---- labels ---- */

enum obj_selector_op { OBJ_IN, OBJ_NOT_IN, OBJ_EXISTS, OBJ_DOES_NOT_EXIST };

struct obj_selector_term {
    struct slice key;
    enum obj_selector_op op;
    struct slice *values;
    uint32_t num_values;
};

struct obj_label_selector {
    struct field_map match_labels;
    struct obj_selector_term *match_expressions;
    uint32_t num_match_expressions;
};

extern const struct field_schema obj_label_selector_schema;

/* The value, or {NULL, 0}. */
struct slice obj_map_get(const struct field_map *map, const char *name);
struct slice obj_map_get_n(const struct field_map *map, struct slice name);
/* All terms hold. An empty selector matches everything. */
bool obj_selector_matches(const struct obj_label_selector *selector, const struct field_map *labels);

/* ---- references ---- */

struct obj_ref { /* to an object, perhaps in another namespace (then a ReferenceGrant is needed) */
    struct slice group, kind, ns, name;
};

static inline struct slice obj_ns_or(struct slice ns, struct slice own)
{
    return ns.base != NULL ? ns : own;
}

extern const struct field_schema obj_secret_ref_schema; /* group "", kind Secret */

/* ---- status ---- */

struct obj_condition {
    struct slice type, status, reason, message;
    int64_t last_transition_us, observed_generation;
};

struct obj_conditions_status { /* {conditions: […]} */
    struct obj_condition *conditions;
    uint32_t num_conditions;
};

extern const struct field_schema obj_condition_schema, obj_conditions_status_schema;

/* The row of a status' conditions. T is the status' struct. */
#define OBJ_CONDITIONS_FIELD                                                                                 \
    {                                                                                                        \
        "conditions", FIELD_LIST, LIST_AT(conditions), .item = FIELD_OBJECT, .schema = &obj_condition_schema, \
        .max = 8, .list_key = "type", .merge_key = "type", .doc = "What is true of the object, and why."     \
    }

#endif

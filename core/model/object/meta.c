#include "core/model/object/meta.h"

#include "core/model/format.h"

enum { ANNOTATIONS_MAX = 256 * 1024 }; /* as in Kubernetes */

/* ---- metadata ---- */

static void check_annotations_size(struct field_ctx *ctx, const void *object)
{
    const struct obj_meta *meta = object;
    size_t total = 0;
    for (uint32_t i = 0; i < meta->annotations.num; ++i)
        total += meta->annotations.pairs[i].name.len + meta->annotations.pairs[i].value.len;
    if (total > ANNOTATIONS_MAX)
        field_refuse(ctx, FIELD_TOO_LONG, "annotations", "may not be more than %d bytes", ANNOTATIONS_MAX);
}

/* Kept as they come once their shape is right: nothing here reads them from the struct. */
struct owner_reference {
    struct slice api_version, kind, name, uid;
    bool is_controller, blocks_deletion;
};

#define T struct owner_reference
static const struct field owner_reference_fields[] = {
    {"apiVersion", FIELD_STRING, AT(api_version), FIELD_NEEDED, .min = 1, .max = 317, .doc = "Group and version of the owner."},
    {"kind", FIELD_STRING, AT(kind), FIELD_NEEDED, .min = 1, .max = 63, .doc = "Kind of the owner."},
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253, .doc = "Name of the owner."},
    {"uid", FIELD_STRING, AT(uid), FIELD_NEEDED, .min = 1, .max = 64, .doc = "Its uid."},
    {"controller", FIELD_BOOL, AT(is_controller), .doc = "The owner manages this object."},
    {"blockOwnerDeletion", FIELD_BOOL, AT(blocks_deletion), .doc = "Has no effect."},
};
static const struct field_schema owner_reference_schema = FIELD_SCHEMA(owner_reference_fields);
#undef T

struct managed_fields {
    struct slice manager, operation, api_version, fields_type, subresource;
    int64_t at_us;
    const struct json *fields;
};

#define T struct managed_fields
static const struct field managed_fields_fields[] = {
    {"manager", FIELD_STRING, AT(manager), .max = 128, .doc = "Who set the fields."},
    {"operation", FIELD_STRING, AT(operation), .names = FIELD_NAMES("Apply", "Update"), .doc = "How."},
    {"apiVersion", FIELD_STRING, AT(api_version), .max = 317, .doc = "In which version they are named."},
    {"time", FIELD_TIME, AT(at_us), .doc = "When, last."},
    {"fieldsType", FIELD_STRING, AT(fields_type), .max = 32, .doc = "FieldsV1."},
    {"fieldsV1", FIELD_RAW, AT(fields), .doc = "The fields, as a tree of names."},
    {"subresource", FIELD_STRING, AT(subresource), .max = 63, .doc = "Through which subresource."},
};
static const struct field_schema managed_fields_schema = FIELD_SCHEMA(managed_fields_fields);
#undef T

#define KEPT .flags = FIELD_READ_ONLY | FIELD_UNSTORED

/* ownerReferences and managedFields are kept: nothing here acts on them. Finalizers would have
 * to hold up deletion, so they are refused. */
#define T struct obj_meta
static const struct field meta_fields[] = {
    {"name", FIELD_STRING, AT(name), .max = 253, .doc = "Name, unique within the kind and namespace."},
    {"generateName", FIELD_STRING, AT(generate_name), .max = 248,
     .doc = "Prefix of a name that the server makes unique; used when name is absent."},
    {"namespace", FIELD_STRING, AT(ns), .max = 63, .doc = "Scope of the name."},
    {"uid", FIELD_STRING, AT(uid), .max = 64,
     .doc = "Set by the server: tells objects of one name apart over time."},
    {"resourceVersion", FIELD_STRING, AT(resource_version), .max = 32,
     .doc = "Set by the server: the revision that last changed the object. Sent back on update, it guards "
            "against lost updates."},
    {"generation", FIELD_I64, AT(generation), .doc = "Set by the server: counts changes of spec."},
    {"creationTimestamp", FIELD_TIME, AT(created_us), .doc = "Set by the server."},
    {"deletionTimestamp", FIELD_TIME, KEPT, .doc = "Set by the server."},
    {"deletionGracePeriodSeconds", FIELD_I64, KEPT, .doc = "Set by the server."},
    {"labels", FIELD_MAP, AT(labels), .item = FIELD_STRING, .max = FIELD_MAP_MAX, .key_format = &format_label_key,
     .format = &format_label_value, .doc = "Names and values to select objects by."},
    {"annotations", FIELD_MAP, AT(annotations), .item = FIELD_STRING, .max = FIELD_MAP_MAX, .key_format = &format_label_key,
     .doc = "Names and values for tools; not selectable."},
    {"ownerReferences", FIELD_LIST, KEPT, .item = FIELD_OBJECT, .item_size = sizeof(struct owner_reference),
     .schema = &owner_reference_schema, .max = 64, .doc = "Kept for tools; has no effect."},
    {"managedFields", FIELD_LIST, KEPT, .item = FIELD_OBJECT, .item_size = sizeof(struct managed_fields),
     .schema = &managed_fields_schema, .doc = "Set by the server: who owns which field."},
    {"selfLink", FIELD_STRING, KEPT, .doc = "No longer used."},
    {"finalizers", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
};
#undef T

const struct field_schema obj_meta_schema = {
    .name = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    .size = sizeof(struct obj_meta),
    .fields = meta_fields,
    .num_fields = ARRAY_LEN(meta_fields),
    .checks = FIELD_CHECKS(check_annotations_size),
    .doc = "What all objects have: name, namespace, labels, annotations.",
};

/* ---- labels ---- */

struct slice obj_map_get_n(const struct field_map *map, struct slice name)
{
    for (uint32_t i = 0; i < map->num; ++i)
        if (slice_eq(map->pairs[i].name, name))
            return map->pairs[i].value;
    return (struct slice){NULL, 0};
}

struct slice obj_map_get(const struct field_map *map, const char *name)
{
    return obj_map_get_n(map, slice_of(name));
}

static bool is_one_of(struct slice value, const struct obj_selector_term *term)
{
    for (uint32_t i = 0; i < term->num_values; ++i)
        if (slice_eq(term->values[i], value))
            return true;
    return false;
}

static bool term_matches(const struct obj_selector_term *term, const struct field_map *labels)
{
    struct slice value = obj_map_get_n(labels, term->key);
    switch (term->op) {
    case OBJ_IN:
        return value.base != NULL && is_one_of(value, term);
    case OBJ_NOT_IN: /* as in Kubernetes, an absent label is not in any set */
        return value.base == NULL || !is_one_of(value, term);
    case OBJ_EXISTS:
        return value.base != NULL;
    case OBJ_DOES_NOT_EXIST:
        break;
    }
    return value.base == NULL;
}

bool obj_selector_matches(const struct obj_label_selector *selector, const struct field_map *labels)
{
    for (uint32_t i = 0; i < selector->match_labels.num; ++i) {
        struct slice value = obj_map_get_n(labels, selector->match_labels.pairs[i].name);
        if (value.base == NULL || !slice_eq(value, selector->match_labels.pairs[i].value))
            return false;
    }
    for (uint32_t i = 0; i < selector->num_match_expressions; ++i)
        if (!term_matches(&selector->match_expressions[i], labels))
            return false;
    return true;
}

static void check_values_fit_operator(struct field_ctx *ctx, const void *object)
{
    const struct obj_selector_term *term = object;
    bool takes_values = term->op == OBJ_IN || term->op == OBJ_NOT_IN;
    if (takes_values && term->num_values == 0)
        field_refuse(ctx, FIELD_REQUIRED, "values", "must be specified when `operator` is 'In' or 'NotIn'");
    else if (!takes_values && term->num_values != 0)
        field_refuse(ctx, FIELD_FORBIDDEN, "values",
                     "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
}

#define T struct obj_selector_term
static const struct field selector_term_fields[] = {
    {"key", FIELD_STRING, AT(key), FIELD_NEEDED, .format = &format_label_key, .doc = "Name of the label."},
    {"operator", FIELD_ENUM, AT(op), FIELD_NEEDED,
     .names = FIELD_NAMES("In", "NotIn", "Exists", "DoesNotExist"),
     .doc = "How the label relates to the values."},
    {"values", FIELD_LIST, LIST_AT(values), .item = FIELD_STRING, .max = 64, .format = &format_label_value,
     .doc = "For In and NotIn."},
};
static const struct field_schema selector_term_schema =
    FIELD_SCHEMA(selector_term_fields, .checks = FIELD_CHECKS(check_values_fit_operator));
#undef T

#define T struct obj_label_selector
static const struct field label_selector_fields[] = {
    {"matchLabels", FIELD_MAP, AT(match_labels), .item = FIELD_STRING, .max = 64,
     .key_format = &format_label_key, .format = &format_label_value,
     .doc = "Labels and the values they must have."},
    {"matchExpressions", FIELD_LIST, LIST_AT(match_expressions), .item = FIELD_OBJECT,
     .schema = &selector_term_schema, .max = 64, .doc = "Conditions that must all hold."},
};
const struct field_schema obj_label_selector_schema =
    FIELD_SCHEMA(label_selector_fields, .doc = "Selects objects by their labels; empty selects all.");
#undef T

/* ---- references ---- */

#define T struct obj_ref
static const struct field secret_ref_fields[] = {
    {"group", FIELD_STRING, AT(group), .max = 253, .format = &format_group, .def = "",
     .doc = "Group of the referent."},
    {"kind", FIELD_STRING, AT(kind), .min = 1, .max = 63, .format = &format_kind, .def = "Secret",
     .doc = "Kind of the referent."},
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253, .doc = "Name of the referent."},
    {"namespace", FIELD_STRING, AT(ns), .min = 1, .max = 63, .format = &format_dns_label,
     .doc =
         "Namespace of the referent; absent: the one of this object. Another needs a ReferenceGrant there."},
};
const struct field_schema obj_secret_ref_schema = FIELD_SCHEMA(secret_ref_fields);
#undef T

/* ---- status ---- */

#define T struct obj_condition
static const struct field condition_fields[] = {
    {"type", FIELD_STRING, AT(type), FIELD_NEEDED, .max = 316,
     .doc = "What the condition is about: Accepted, ResolvedRefs, Programmed, …"},
    {"status", FIELD_STRING, AT(status), FIELD_NEEDED, .names = FIELD_NAMES("True", "False", "Unknown"),
     .doc = "Whether it holds."},
    {"reason", FIELD_STRING, AT(reason), FIELD_NEEDED, .min = 1, .max = 1024,
     .format = &format_condition_reason, .doc = "Why, in one word for programs."},
    {"message", FIELD_STRING, AT(message), FIELD_NEEDED, .max = 32768, .doc = "Why, for people."},
    {"lastTransitionTime", FIELD_TIME, AT(last_transition_us), FIELD_NEEDED,
     .doc = "When the status last changed."},
    {"observedGeneration", FIELD_I64, AT(observed_generation), .min = 0, .max = INT64_MAX,
     .doc = "The metadata.generation this was said about."},
};
const struct field_schema obj_condition_schema = FIELD_SCHEMA(condition_fields);
#undef T

#define T struct obj_conditions_status
static const struct field conditions_status_fields[] = {OBJ_CONDITIONS_FIELD};
const struct field_schema obj_conditions_status_schema = FIELD_SCHEMA(conditions_status_fields);
#undef T

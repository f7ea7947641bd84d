#include "core/model/object/backend_tls.h"

#include "core/model/format.h"

/* ---- targets ---- */

static void check_group_fits_kind(struct field_ctx *ctx, const void *object)
{
    const struct obj_policy_target *target = object;
    const char *want = slice_is(target->kind, "Service") ? "" : OBJ_ENVOY_GROUP;
    if (!slice_is(target->group, want))
        field_refuse(ctx, FIELD_INVALID, "group", "\"%.*s\": kind %.*s is of group \"%s\"", (int)target->group.len, target->group.base,
                     (int)target->kind.len, target->kind.base, want);
}

static void check_backend_has_no_section(struct field_ctx *ctx, const void *object)
{
    const struct obj_policy_target *target = object;
    if (slice_is(target->kind, "Backend") && target->section_name.len != 0)
        field_refuse(ctx, FIELD_INVALID, "sectionName", "a Backend has no named ports");
}

#define T struct obj_policy_target
static const struct field target_fields[] = {
    {"group", FIELD_STRING, AT(group), FIELD_NEEDED, .max = 253, .format = &format_group, .doc = "Group of the target: \"\" or " OBJ_ENVOY_GROUP "."},
    {"kind", FIELD_STRING, AT(kind), FIELD_NEEDED, .names = FIELD_NAMES("Service", "Backend"), .doc = "Kind of the target."},
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253, .doc = "Name of the target, in the policy's namespace."},
    {"sectionName", FIELD_STRING, AT(section_name), .min = 1, .max = 253, .format = &format_dns_subdomain,
     .doc = "Name of a Service's port; absent: all."},
};
static const struct field_schema target_schema =
    FIELD_SCHEMA(target_fields, .checks = FIELD_CHECKS(check_group_fits_kind, check_backend_has_no_section));
#undef T

/* ---- validation ---- */

#define T struct obj_ca_ref
static const struct field ca_ref_fields[] = {
    {"group", FIELD_STRING, AT(group), FIELD_NEEDED, .max = 253, .format = &format_group, .doc = "Group of the object: \"\"."},
    {"kind", FIELD_STRING, AT(kind), FIELD_NEEDED, .min = 1, .max = 63, .format = &format_kind, .doc = "Kind of the object: ConfigMap."},
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253, .doc = "Name of the object, in the policy's namespace."},
};
static const struct field_schema ca_ref_schema = FIELD_SCHEMA(ca_ref_fields);
#undef T

static void check_alt_name_fits_type(struct field_ctx *ctx, const void *object)
{
    const struct obj_alt_name *name = object;
    bool is_hostname = name->type == OBJ_ALT_HOSTNAME;
    if (is_hostname != (name->hostname.len != 0))
        field_refuse(ctx, is_hostname ? FIELD_REQUIRED : FIELD_INVALID, "hostname", "SubjectAltName element must %scontain Hostname, if Type is %sset to Hostname",
                     is_hostname ? "" : "not ", is_hostname ? "" : "not ");
    if (is_hostname == (name->uri.len != 0))
        field_refuse(ctx, is_hostname ? FIELD_INVALID : FIELD_REQUIRED, "uri", "SubjectAltName element must %scontain URI, if Type is %sset to URI",
                     is_hostname ? "not " : "", is_hostname ? "not " : "");
}

#define T struct obj_alt_name
static const struct field alt_name_fields[] = {
    {"type", FIELD_ENUM, AT(type), FIELD_NEEDED, .names = FIELD_NAMES("Hostname", "URI"), .doc = "Kind of the name."},
    {"hostname", FIELD_STRING, AT(hostname), .min = 1, .max = 253, .format = &format_hostname,
     .doc = "DNS name; \"*.example\" is that very wildcard."},
    {"uri", FIELD_STRING, AT(uri), .min = 1, .max = 253, .format = &format_uri, .doc = "URI, a SPIFFE ID for one; compared whole."},
};
static const struct field_schema alt_name_schema = FIELD_SCHEMA(alt_name_fields, .checks = FIELD_CHECKS(check_alt_name_fits_type));
#undef T

static void check_one_source_of_authorities(struct field_ctx *ctx, const void *object)
{
    const struct obj_tls_validation *validation = object;
    if (validation->num_ca_refs != 0 && validation->well_known.len != 0)
        field_refuse(ctx, FIELD_INVALID, "wellKnownCACertificates", "must not contain both CACertificateRefs and WellKnownCACertificates");
    if (validation->num_ca_refs == 0 && validation->well_known.len == 0)
        field_refuse(ctx, FIELD_REQUIRED, "caCertificateRefs", "must specify either CACertificateRefs or WellKnownCACertificates");
}

#define T struct obj_tls_validation
static const struct field validation_fields[] = {
    {"caCertificateRefs", FIELD_LIST, LIST_AT(ca_refs), .item = FIELD_OBJECT, .schema = &ca_ref_schema, .max = 8,
     .doc = "ConfigMaps with the authorities' certificates, PEM, under ca.crt."},
    {"wellKnownCACertificates", FIELD_STRING, AT(well_known), .names = FIELD_NAMES("System"),
     .doc = "System: the authorities that the proxy's operating system trusts."},
    {"hostname", FIELD_STRING, AT(hostname), FIELD_NEEDED, .min = 1, .max = 253, .format = &format_precise_hostname,
     .doc = "Name to ask for (SNI), which the certificate must have unless subjectAltNames says otherwise."},
    {"subjectAltNames", FIELD_LIST, LIST_AT(alt_names), .item = FIELD_OBJECT, .schema = &alt_name_schema, .max = 5,
     .doc = "Names of which the certificate must have one."},
};
static const struct field_schema validation_schema =
    FIELD_SCHEMA(validation_fields, .checks = FIELD_CHECKS(check_one_source_of_authorities));
#undef T

/* ---- the policy ---- */

static bool is_same_object(const struct obj_policy_target *a, const struct obj_policy_target *b)
{
    return slice_eq(a->group, b->group) && slice_eq(a->kind, b->kind) && slice_eq(a->name, b->name);
}

static void check_targets_are_distinct(struct field_ctx *ctx, const void *object)
{
    const struct obj_backend_tls_spec *spec = object;
    for (uint32_t i = 1; i < spec->num_target_refs; ++i)
        for (uint32_t j = 0; j < i; ++j) {
            const struct obj_policy_target *a = &spec->target_refs[i], *b = &spec->target_refs[j];
            if (!is_same_object(a, b))
                continue;
            if ((a->section_name.len == 0) != (b->section_name.len == 0))
                field_refuse(ctx, FIELD_INVALID, field_at(ctx, "targetRefs[%u]", i),
                             "sectionName must be specified when targetRefs includes 2 or more references to the same target");
            else if (slice_eq(a->section_name, b->section_name))
                field_refuse(ctx, FIELD_DUPLICATE, field_at(ctx, "targetRefs[%u]", i),
                             "sectionName must be unique when targetRefs includes 2 or more references to the same target");
        }
}

#define T struct obj_backend_tls_spec
static const struct field spec_fields[] = {
    {"targetRefs", FIELD_LIST, LIST_AT(target_refs), .flags = FIELD_NEEDED, .item = FIELD_OBJECT, .schema = &target_schema, .min = 1,
     .max = 16, .doc = "Services and Backends to which TLS is spoken."},
    {"validation", FIELD_OBJECT, AT(validation), FIELD_NEEDED, .schema = &validation_schema, .doc = "How their certificates are verified."},
    {"options", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema spec_schema = FIELD_SCHEMA(spec_fields, .checks = FIELD_CHECKS(check_targets_are_distinct));
#undef T

#define T struct obj_backend_tls_policy
static const struct field policy_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &spec_schema, .doc = "What is wanted."},
    OBJ_STATUS_FIELD(&obj_policy_status_schema),
};
const struct field_schema obj_backend_tls_policy_schema =
    FIELD_SCHEMA(policy_fields, .doc = "TLS towards a Service or Backend, and how its certificate is verified.");
#undef T

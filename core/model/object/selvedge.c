#include "core/model/object/selvedge.h"

#include "core/model/format.h"

/* ---- Node ---- */

struct node_error {
    struct slice kind, name, message;
};

struct node_status {
    struct slice state, version, address;
    bool is_connected;
    int64_t last_seen_us, applied_rev, attempted_rev, sent_rev;
    struct node_error *errors;
    uint32_t num_errors;
    struct obj_condition *conditions;
    uint32_t num_conditions;
};

#define T struct node_error
static const struct field node_error_fields[] = {
    {"kind", FIELD_STRING, AT(kind), .doc = "Kind of the resource, as the stream names it."},
    {"name", FIELD_STRING, AT(name), .doc = "Its name."},
    {"message", FIELD_STRING, AT(message), .doc = "What is wrong with it."},
};
static const struct field_schema node_error_schema = FIELD_SCHEMA(node_error_fields);
#undef T

#define T struct node_status
static const struct field node_status_fields[] = {
    {"state", FIELD_STRING, AT(state), .doc = "Synced, Pending, Rejected, Unknown or Offline."},
    {"connected", FIELD_BOOL, AT(is_connected), .doc = "Its config stream is open."},
    {"version", FIELD_STRING, AT(version), .doc = "Version of the program."},
    {"address", FIELD_STRING, AT(address), .doc = "Where it connects from."},
    {"lastSeen", FIELD_TIME, AT(last_seen_us), .doc = "When it was last heard of."},
    {"appliedRevision", FIELD_I64, AT(applied_rev), .doc = "Revision it runs."},
    {"attemptedRevision", FIELD_I64, AT(attempted_rev), .doc = "Revision it tried last."},
    {"sentRevision", FIELD_I64, AT(sent_rev), .doc = "Revision it was sent last."},
    {"errors", FIELD_LIST, LIST_AT(errors), .item = FIELD_OBJECT, .schema = &node_error_schema, .max = 256,
     .doc = "What of the revision it tried could not be used."},
    OBJ_CONDITIONS_FIELD,
};
static const struct field_schema node_status_schema = FIELD_SCHEMA(node_status_fields);
#undef T

#define T struct obj_node_spec
static const struct field node_spec_fields[] = {
    {"role", FIELD_ENUM, AT(role), .names = FIELD_NAMES("gateway", "agent"), .def = "gateway",
     .doc = "What it is: gateway or agent."},
    {"paused", FIELD_BOOL, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema node_spec_schema = FIELD_SCHEMA(node_spec_fields);
#undef T

#define T struct obj_node
static const struct field node_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), .schema = &node_spec_schema, .doc = "What is wanted."},
    OBJ_STATUS_FIELD(&node_status_schema),
};
const struct field_schema obj_node_schema =
    FIELD_SCHEMA(node_fields, .doc = "A proxy that has joined this control plane.");
#undef T

/* ---- MeshConfig ---- */

static bool is_access_log(struct slice text)
{
    return slice_is(text, "stdout") || slice_is(text, "off") || (text.len > 1 && text.base[0] == '/');
}

static const struct field_format format_access_log = {
    "^(stdout|off|/.+)$", "must be stdout, off, or the absolute path of a file", is_access_log};

#define T struct obj_mesh_config_spec
static const struct field mesh_config_spec_fields[] = {
    {"trustedProxies", FIELD_LIST, LIST_AT(trusted_proxies), .flags = FIELD_SET, .item = FIELD_STRING,
     .max = 256, .format = &format_cidr,
     .doc = "Addresses (CIDR) whose forwarded headers (X-Forwarded-*, Forwarded, X-Real-IP) are believed."},
    {"drainTimeout", FIELD_DURATION, AT(drain_timeout_ms), .max = 86400000, .def = "60s",
     .doc = "How long connections may take to finish when a listener or the process goes away."},
    {"maxConnections", FIELD_U32, AT(max_connections), .def = "0",
     .doc = "Client connections of a proxy; 0: by its descriptor limit."},
    {"accessLog", FIELD_STRING, AT(access_log), .max = 4096, .format = &format_access_log, .def = "stdout",
     .doc = "Where requests are logged: stdout, off, or a file."},
    {"trustRequestID", FIELD_BOOL, AT(trust_request_id), .def = "false",
     .doc = "Keep the X-Request-ID of any client."},
};
static const struct field_schema mesh_config_spec_schema = FIELD_SCHEMA(mesh_config_spec_fields);
#undef T

static void check_name_is_default(struct field_ctx *ctx, const void *object)
{
    const struct obj_mesh_config *config = object;
    if (!slice_is(config->head.meta.name, OBJ_MESH_CONFIG_NAME))
        field_refuse(ctx, FIELD_INVALID, "metadata.name",
                     "there is one MeshConfig, named " OBJ_MESH_CONFIG_NAME);
}

#define T struct obj_mesh_config
static const struct field mesh_config_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), .schema = &mesh_config_spec_schema, .def = "{}",
     .doc = "What is wanted."},
};
const struct field_schema obj_mesh_config_schema =
    FIELD_SCHEMA(mesh_config_fields, .checks = FIELD_CHECKS(check_name_is_default),
                 .doc = "Settings of all proxies: one object, named default.");
#undef T

#include "core/model/object/gateway.h"

#include "core/model/format.h"

/* ---- GatewayClass ---- */

#define T struct obj_gateway_class_spec
static const struct field gateway_class_spec_fields[] = {
    {"controllerName", FIELD_STRING, AT(controller_name), FIELD_NEEDED | FIELD_IMMUTABLE, .min = 1,
     .max = 253, .format = &format_controller_name,
     .doc = "Who serves Gateways of this class. This one is " OBJ_CONTROLLER_NAME "."},
    {"description", FIELD_STRING, AT(description), .max = 64, .doc = "What the class is for."},
    {"parametersRef", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema gateway_class_spec_schema = FIELD_SCHEMA(gateway_class_spec_fields);
#undef T

#define T struct obj_gateway_class
static const struct field gateway_class_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &gateway_class_spec_schema,
     .doc = "What is wanted."},
    OBJ_STATUS_FIELD(&obj_conditions_status_schema),
};
const struct field_schema obj_gateway_class_schema =
    FIELD_SCHEMA(gateway_class_fields, .doc = "Which controller serves Gateways of this class.");
#undef T

/* ---- listeners ---- */

static void check_certificates_or_options(struct field_ctx *ctx, const void *object)
{
    const struct obj_listener_tls *tls = object;
    if (tls->num_certificate_refs == 0 && tls->options.num == 0)
        field_refuse(ctx, FIELD_REQUIRED, "certificateRefs",
                     "certificateRefs or options must be specified when mode is Terminate");
}

static void check_options_are_known(struct field_ctx *ctx, const void *object)
{
    const struct obj_listener_tls *tls = object;
    for (uint32_t i = 0; i < tls->options.num; ++i) {
        struct slice name = tls->options.pairs[i].name, value = tls->options.pairs[i].value;
        const char *at = field_at(ctx, "options[%s]", name.base);
        if (!slice_is(name, OBJ_TLS_MIN_VERSION))
            field_refuse(ctx, FIELD_NOT_SERVED, at, "not supported");
        else if (!slice_is(value, "1.2") && !slice_is(value, "1.3"))
            field_refuse(ctx, FIELD_NOT_SUPPORTED, at, "\"%s\": supported values: \"1.2\", \"1.3\"",
                         value.base);
    }
}

#define T struct obj_listener_tls
static const struct field listener_tls_fields[] = {
    {"mode", FIELD_STRING, .flags = FIELD_UNSTORED, .names = FIELD_NAMES("Terminate"),
     .refused = FIELD_NAMES("Passthrough"), .def = "Terminate", .doc = "Where TLS ends: here."},
    {"certificateRefs", FIELD_LIST, LIST_AT(certificate_refs), .item = FIELD_OBJECT,
     .schema = &obj_secret_ref_schema, .max = 64,
     .doc = "Secrets of type kubernetes.io/tls; server name and kind of key decide which one a client gets."},
    {"options", FIELD_MAP, AT(options), .item = FIELD_STRING, .max = 16, .item_max = 4096,
     .doc = OBJ_TLS_MIN_VERSION ": \"1.2\" (default) or \"1.3\"."},
};
static const struct field_schema listener_tls_schema = FIELD_SCHEMA(
    listener_tls_fields, .checks = FIELD_CHECKS(check_certificates_or_options, check_options_are_known));
#undef T

#define T struct obj_route_kind
static const struct field route_kind_fields[] = {
    {"group", FIELD_STRING, AT(group), .max = 253, .format = &format_group, .def = OBJ_GATEWAY_GROUP,
     .doc = "Group of the route."},
    {"kind", FIELD_STRING, AT(kind), FIELD_NEEDED, .min = 1, .max = 63, .format = &format_kind,
     .doc = "Kind of the route."},
};
static const struct field_schema route_kind_schema = FIELD_SCHEMA(route_kind_fields);
#undef T

static void check_selector_is_given(struct field_ctx *ctx, const void *object)
{
    const struct obj_routes_namespaces *namespaces = object;
    if (namespaces->from == OBJ_FROM_SELECTOR && namespaces->selector == NULL)
        field_refuse(ctx, FIELD_REQUIRED, "selector", "must be specified when from is Selector");
}

#define T struct obj_routes_namespaces
static const struct field routes_namespaces_fields[] = {
    {"from", FIELD_ENUM, AT(from), .names = FIELD_NAMES("All", "Selector", "Same"), .def = "Same",
     .doc = "Namespaces whose routes may attach: All, Same (the Gateway's), or those a Selector matches."},
    {"selector", FIELD_OBJECT_PTR, AT(selector), .schema = &obj_label_selector_schema,
     .doc = "Labels of namespaces, for from: Selector."},
};
static const struct field_schema routes_namespaces_schema =
    FIELD_SCHEMA(routes_namespaces_fields, .checks = FIELD_CHECKS(check_selector_is_given));
#undef T

#define T struct obj_allowed_routes
static const struct field allowed_routes_fields[] = {
    {"namespaces", FIELD_OBJECT, AT(namespaces), .schema = &routes_namespaces_schema,
     .def = "{\"from\":\"Same\"}", .doc = "Whose routes may attach."},
    {"kinds", FIELD_LIST, LIST_AT(kinds), .item = FIELD_OBJECT, .schema = &route_kind_schema, .max = 8,
     .doc = "Kinds of routes that may attach; none: all that fit the protocol."},
};
static const struct field_schema allowed_routes_schema = FIELD_SCHEMA(allowed_routes_fields);
#undef T

#define T struct obj_listener
static const struct field listener_fields[] = {
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253, .format = &format_dns_subdomain,
     .doc = "Name, unique in the Gateway: what a route's sectionName refers to."},
    {"hostname", FIELD_STRING, AT(hostname), .min = 1, .max = 253, .format = &format_hostname,
     .doc = "Host name served, maybe with a leading \"*.\"; absent: any."},
    {"port", FIELD_I32, AT(port), FIELD_NEEDED, .min = 1, .max = 65535, .doc = "Port to listen on."},
    {"protocol", FIELD_ENUM, AT(protocol), FIELD_NEEDED, .names = FIELD_NAMES("HTTP", "HTTPS"),
     .refused = FIELD_NAMES("TCP", "TLS", "UDP"), .doc = "HTTP or HTTPS; both with HTTP/1.1 and HTTP/2."},
    {"tls", FIELD_OBJECT_PTR, AT(tls), .schema = &listener_tls_schema, .doc = "Certificates, for HTTPS."},
    {"allowedRoutes", FIELD_OBJECT, AT(allowed_routes), .schema = &allowed_routes_schema,
     .def = "{\"namespaces\":{\"from\":\"Same\"}}", .doc = "Which routes may attach."},
};
static const struct field_schema listener_schema = FIELD_SCHEMA(listener_fields);
#undef T

/* ---- Gateway ---- */

static void check_address_value(struct field_ctx *ctx, const void *object)
{
    const struct obj_gateway_address *address = object;
    if (address->value.len != 0 && !format_ip.matches(address->value))
        field_refuse(ctx, FIELD_INVALID, "value", "\"%s\": %s", address->value.base, format_ip.message);
}

#define T struct obj_gateway_address
static const struct field gateway_address_fields[] = {
    {"type", FIELD_STRING, AT(type), .names = FIELD_NAMES("IPAddress"),
     .refused = FIELD_NAMES("Hostname", "NamedAddress"), .def = "IPAddress", .doc = "Kind of the address."},
    {"value", FIELD_STRING, AT(value), .max = 253, .doc = "The address."},
};
static const struct field_schema gateway_address_schema =
    FIELD_SCHEMA(gateway_address_fields, .checks = FIELD_CHECKS(check_address_value));
#undef T

static void check_addresses_are_unique(struct field_ctx *ctx, const void *object)
{
    const struct obj_gateway_spec *spec = object;
    for (uint32_t i = 1; i < spec->num_addresses; ++i)
        for (uint32_t j = 0; j < i; ++j)
            if (spec->addresses[i].value.base != NULL &&
                slice_eq(spec->addresses[i].value, spec->addresses[j].value))
                field_refuse(ctx, FIELD_DUPLICATE, field_at(ctx, "addresses[%u].value", i),
                             "\"%s\": IPAddress values must be unique", spec->addresses[i].value.base);
}

static void check_tls_fits_protocol(struct field_ctx *ctx, const void *object)
{
    const struct obj_gateway_spec *spec = object;
    for (uint32_t i = 0; i < spec->num_listeners; ++i) {
        const struct obj_listener *listener = &spec->listeners[i];
        const char *at = field_at(ctx, "listeners[%u].tls", i);
        if (listener->protocol == OBJ_PROTOCOL_HTTP && listener->tls != NULL)
            field_refuse(ctx, FIELD_FORBIDDEN, at,
                         "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']");
        else if (listener->protocol == OBJ_PROTOCOL_HTTPS && listener->tls == NULL)
            field_refuse(ctx, FIELD_REQUIRED, at, "tls must be specified for protocol HTTPS");
    }
}

static void check_listeners_are_distinct(struct field_ctx *ctx, const void *object)
{
    const struct obj_gateway_spec *spec = object;
    for (uint32_t i = 1; i < spec->num_listeners; ++i)
        for (uint32_t j = 0; j < i; ++j) {
            const struct obj_listener *a = &spec->listeners[i], *b = &spec->listeners[j];
            if (a->port == b->port && a->protocol == b->protocol && slice_eq(a->hostname, b->hostname))
                field_refuse(ctx, FIELD_INVALID, field_at(ctx, "listeners[%u]", i),
                             "Combination of port, protocol and hostname must be unique for each listener");
        }
}

#define T struct obj_gateway_spec
static const struct field gateway_spec_fields[] = {
    {"gatewayClassName", FIELD_STRING, AT(class_name), FIELD_NEEDED, .min = 1, .max = 253,
     .doc = "Name of the GatewayClass."},
    {"listeners", FIELD_LIST, LIST_AT(listeners), .flags = FIELD_NEEDED, .item = FIELD_OBJECT,
     .schema = &listener_schema, .min = 1, .max = 64, .list_key = "name",
     .doc = "Ports, host names and certificates that routes attach to."},
    {"addresses", FIELD_LIST, LIST_AT(addresses), .item = FIELD_OBJECT, .schema = &gateway_address_schema,
     .max = 16, .doc = "Addresses of the host to listen on; none: all."},
    {"infrastructure", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"allowedListeners", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"tls", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"defaultScope", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema gateway_spec_schema = FIELD_SCHEMA(
    gateway_spec_fields, .checks = FIELD_CHECKS(check_addresses_are_unique, check_tls_fits_protocol,
                                                check_listeners_are_distinct));
#undef T

/* ---- its status ---- */

struct listener_status {
    struct slice name;
    int32_t attached_routes;
    struct obj_condition *conditions;
    uint32_t num_conditions;
    struct obj_route_kind *supported_kinds;
    uint32_t num_supported_kinds;
};

struct gateway_status {
    struct obj_condition *conditions;
    uint32_t num_conditions;
    struct obj_gateway_address *addresses;
    uint32_t num_addresses;
    struct listener_status *listeners;
    uint32_t num_listeners;
};

#define T struct listener_status
static const struct field listener_status_fields[] = {
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253, .doc = "Name of the listener."},
    {"attachedRoutes", FIELD_I32, AT(attached_routes), FIELD_NEEDED, .doc = "How many routes are attached."},
    {"supportedKinds", FIELD_LIST, LIST_AT(supported_kinds), .item = FIELD_OBJECT,
     .schema = &route_kind_schema, .max = 8, .doc = "Kinds of routes it takes."},
    OBJ_CONDITIONS_FIELD,
};
static const struct field_schema listener_status_schema = FIELD_SCHEMA(listener_status_fields);
#undef T

#define T struct gateway_status
static const struct field gateway_status_fields[] = {
    OBJ_CONDITIONS_FIELD,
    {"addresses", FIELD_LIST, LIST_AT(addresses), .item = FIELD_OBJECT, .schema = &gateway_address_schema,
     .max = 16, .doc = "Addresses it listens on."},
    {"listeners", FIELD_LIST, LIST_AT(listeners), .item = FIELD_OBJECT, .schema = &listener_status_schema,
     .max = 64, .list_key = "name", .doc = "What is true of each listener."},
    {"attachedListenerSets", FIELD_I32, .flags = FIELD_UNSTORED,
     .doc = "How many ListenerSets are attached: none."},
};
static const struct field_schema gateway_status_schema = FIELD_SCHEMA(gateway_status_fields);
#undef T

#define T struct obj_gateway
static const struct field gateway_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &gateway_spec_schema, .doc = "What is wanted."},
    OBJ_STATUS_FIELD(&gateway_status_schema),
};
const struct field_schema obj_gateway_schema = FIELD_SCHEMA(
    gateway_fields, .doc = "Listeners: ports, host names and certificates that routes attach to.");
#undef T

/* ---- ReferenceGrant ---- */

#define T struct obj_grant_from
static const struct field grant_from_fields[] = {
    {"group", FIELD_STRING, AT(group), FIELD_NEEDED, .max = 253, .format = &format_group,
     .doc = "Group of the referrer."},
    {"kind", FIELD_STRING, AT(kind), FIELD_NEEDED, .min = 1, .max = 63, .format = &format_kind,
     .doc = "Kind of the referrer."},
    {"namespace", FIELD_STRING, AT(ns), FIELD_NEEDED, .min = 1, .max = 63, .format = &format_dns_label,
     .doc = "Namespace of the referrer."},
};
static const struct field_schema grant_from_schema = FIELD_SCHEMA(grant_from_fields);
#undef T

#define T struct obj_grant_to
static const struct field grant_to_fields[] = {
    {"group", FIELD_STRING, AT(group), FIELD_NEEDED, .max = 253, .format = &format_group,
     .doc = "Group of the referent."},
    {"kind", FIELD_STRING, AT(kind), FIELD_NEEDED, .min = 1, .max = 63, .format = &format_kind,
     .doc = "Kind of the referent."},
    {"name", FIELD_STRING, AT(name), .min = 1, .max = 253,
     .doc = "Name of the referent; absent: all of the kind in this namespace."},
};
static const struct field_schema grant_to_schema = FIELD_SCHEMA(grant_to_fields);
#undef T

#define T struct obj_reference_grant_spec
static const struct field reference_grant_spec_fields[] = {
    {"from", FIELD_LIST, LIST_AT(from), .flags = FIELD_NEEDED, .item = FIELD_OBJECT,
     .schema = &grant_from_schema, .min = 1, .max = 16, .doc = "Who may refer to what is here."},
    {"to", FIELD_LIST, LIST_AT(to), .flags = FIELD_NEEDED, .item = FIELD_OBJECT, .schema = &grant_to_schema,
     .min = 1, .max = 16, .doc = "What may be referred to."},
};
static const struct field_schema reference_grant_spec_schema = FIELD_SCHEMA(reference_grant_spec_fields);
#undef T

#define T struct obj_reference_grant
static const struct field reference_grant_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &reference_grant_spec_schema,
     .doc = "What is wanted."},
};
const struct field_schema obj_reference_grant_schema = FIELD_SCHEMA(
    reference_grant_fields, .doc = "Allows references to objects of this namespace from other namespaces.");
#undef T

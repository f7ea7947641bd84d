/* gateway.networking.k8s.io: GatewayClass, Gateway, ReferenceGrant. */
#ifndef SELVEDGE_MODEL_OBJECT_GATEWAY_H
#define SELVEDGE_MODEL_OBJECT_GATEWAY_H

#include "core/model/object/meta.h"

#define OBJ_GATEWAY_GROUP "gateway.networking.k8s.io"
#define OBJ_CONTROLLER_NAME "selvedge.dev/gateway" /* GatewayClasses with this controllerName are ours */

struct obj_gateway_class_spec {
    struct slice controller_name;
    struct slice description;
};

struct obj_gateway_class {
    struct obj_head head;
    struct obj_gateway_class_spec spec;
};

/* ---- Gateway ---- */

enum obj_listener_protocol { OBJ_PROTOCOL_HTTP, OBJ_PROTOCOL_HTTPS };
enum obj_routes_from { OBJ_FROM_ALL, OBJ_FROM_SELECTOR, OBJ_FROM_SAME };

struct obj_listener_tls {
    struct obj_ref *certificate_refs;
    uint32_t num_certificate_refs;
    struct field_map options; /* known: selvedge.dev/tls-min-version "1.2" | "1.3" */
};

#define OBJ_TLS_MIN_VERSION "selvedge.dev/tls-min-version"

struct obj_route_kind {
    struct slice group, kind;
};

struct obj_routes_namespaces {
    enum obj_routes_from from; /* SAME */
    struct obj_label_selector *selector; /* FROM_SELECTOR */
};

struct obj_allowed_routes {
    struct obj_routes_namespaces namespaces;
    struct obj_route_kind *kinds; /* none: all that fit the protocol */
    uint32_t num_kinds;
};

struct obj_listener {
    struct slice name;
    struct slice hostname; /* absent or "": any */
    int32_t port;
    enum obj_listener_protocol protocol;
    struct obj_listener_tls *tls; /* HTTPS */
    struct obj_allowed_routes allowed_routes;
};

struct obj_gateway_address {
    struct slice type;  /* "IPAddress" */
    struct slice value; /* absent: any */
};

struct obj_gateway_spec {
    struct slice class_name;
    struct obj_gateway_address *addresses; /* none: every address of the host */
    uint32_t num_addresses;
    struct obj_listener *listeners;
    uint32_t num_listeners;
};

struct obj_gateway {
    struct obj_head head;
    struct obj_gateway_spec spec;
};

/* ---- ReferenceGrant ---- */

struct obj_grant_from {
    struct slice group, kind, ns;
};

struct obj_grant_to {
    struct slice group, kind;
    struct slice name; /* absent: all of the kind */
};

struct obj_reference_grant_spec {
    struct obj_grant_from *from;
    uint32_t num_from;
    struct obj_grant_to *to;
    uint32_t num_to;
};

struct obj_reference_grant {
    struct obj_head head;
    struct obj_reference_grant_spec spec;
};

extern const struct field_schema obj_gateway_class_schema, obj_gateway_schema, obj_reference_grant_schema;

#endif

/* Kinds of the core group v1 and discovery.k8s.io v1, as far as they are served: namespaces, services with their
 * endpoints, secrets, config maps. */
#ifndef SELVEDGE_MODEL_OBJECT_CORE_H
#define SELVEDGE_MODEL_OBJECT_CORE_H

#include "core/model/object/meta.h"

struct obj_namespace_spec {
    struct slice *finalizers; /* only "kubernetes", which means nothing here */
    uint32_t num_finalizers;
};

struct obj_namespace {
    struct obj_head head;
    struct obj_namespace_spec spec;
};

#define OBJ_LABEL_NAMESPACE_NAME "kubernetes.io/metadata.name" /* every Namespace has it: its name */

/* ---- Service ---- */

enum obj_service_type { OBJ_SERVICE_CLUSTER_IP, OBJ_SERVICE_EXTERNAL_NAME };

struct obj_service_port {
    struct slice name; /* needed when there are several */
    struct slice protocol; /* "TCP" */
    int32_t port;
    bool has_target_port;
    struct field_int_or_string target_port; /* number, or name of an EndpointSlice's port; absent: `port` */
    struct slice app_protocol;
};

struct obj_service_spec {
    enum obj_service_type type;
    struct slice external_name; /* EXTERNAL_NAME: DNS name of the one endpoint */
    struct field_map selector;
    struct obj_service_port *ports;
    uint32_t num_ports;
    bool publish_not_ready;
};

struct obj_service {
    struct obj_head head;
    struct obj_service_spec spec;
};

/* ---- EndpointSlice ---- */

enum obj_address_type { OBJ_ADDRESS_IPV4, OBJ_ADDRESS_IPV6, OBJ_ADDRESS_FQDN };

struct obj_endpoint {
    struct slice *addresses; /* 1..100; equivalent: the first is used */
    uint32_t num_addresses;
    bool is_ready, is_serving, is_terminating; /* conditions; ready and serving default to true */
    struct slice hostname, node_name, zone;
};

struct obj_endpoint_port {
    struct slice name; /* "" when absent: matches the Service port without a name */
    struct slice protocol;
    bool has_port; /* absent: all ports */
    int32_t port;
    struct slice app_protocol;
};

struct obj_endpoint_slice {
    struct obj_head head; /* label kubernetes.io/service-name names the Service */
    enum obj_address_type address_type;
    struct obj_endpoint *endpoints;
    uint32_t num_endpoints;
    struct obj_endpoint_port *ports;
    uint32_t num_ports;
};

#define OBJ_LABEL_SERVICE_NAME "kubernetes.io/service-name"

/* ---- Secret, ConfigMap ---- */

#define OBJ_SECRET_OPAQUE "Opaque"
#define OBJ_SECRET_TLS "kubernetes.io/tls"

struct obj_secret {
    struct obj_head head;
    struct slice type;
    struct field_map data; /* decoded; stringData has been folded in */
    struct field_map string_data;
    bool is_immutable;
};

struct obj_config_map {
    struct obj_head head;
    struct field_map data;
    struct field_map binary_data; /* decoded */
    bool is_immutable;
};

extern const struct field_schema obj_namespace_schema, obj_service_schema, obj_endpoint_slice_schema, obj_secret_schema,
    obj_config_map_schema;

/* Before a Namespace is read: sets the label of its name. Before a Secret: moves stringData into data. */
void obj_namespace_prepare(struct json *object, struct arena *arena);
void obj_secret_prepare(struct json *object, struct arena *arena);

#endif

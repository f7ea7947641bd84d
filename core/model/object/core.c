#include "core/model/object/core.h"

#include "core/base/base64.h"
#include "core/model/format.h"

enum { CONTENT_MAX = 1024 * 1024 }; /* of Secrets and ConfigMaps, as in Kubernetes */

/* ---- Namespace ---- */

#define T struct obj_namespace_spec
static const struct field namespace_spec_fields[] = {
    {"finalizers", FIELD_LIST, LIST_AT(finalizers), .item = FIELD_STRING, .max = 1,
     .names = FIELD_NAMES("kubernetes"), .doc = "Has no effect."},
};
static const struct field_schema namespace_spec_schema = FIELD_SCHEMA(namespace_spec_fields);
#undef T

#define T struct obj_namespace
static const struct field namespace_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), .schema = &namespace_spec_schema, .doc = "Nothing to say."},
    OBJ_STATUS_FIELD(NULL),
};
const struct field_schema obj_namespace_schema = FIELD_SCHEMA(namespace_fields, .doc = "A scope for names.");
#undef T

void obj_namespace_prepare(struct json *object, struct arena *arena)
{
    struct json *meta = json_get(object, "metadata"), *labels = json_get(meta, "labels");
    const char *name = json_str(json_get(meta, "name"), NULL);
    if (name == NULL)
        return;
    if (labels == NULL || labels->type == JSON_NULL)
        labels = json_set_n(arena, meta, SLICE("labels"), json_new_object(arena));
    if (labels->type == JSON_OBJECT)
        (void)json_set_str(arena, labels, OBJ_LABEL_NAMESPACE_NAME, name);
}

/* ---- Service ---- */

#define T struct obj_service_port
static const struct field service_port_fields[] = {
    {"name", FIELD_STRING, AT(name), .max = 63, .format = &format_dns_label,
     .doc = "Name of the port, unique in the Service; needed when there are several."},
    {"protocol", FIELD_STRING, AT(protocol), .names = FIELD_NAMES("TCP"),
     .refused = FIELD_NAMES("UDP", "SCTP"), .def = "TCP", .doc = "Protocol of the port."},
    {"port", FIELD_I32, AT(port), FIELD_NEEDED, .min = 1, .max = 65535,
     .doc = "Number that routes refer to."},
    {"targetPort", FIELD_INT_OR_STRING, AT(target_port), HAS(has_target_port), .min = 1, .max = 65535,
     .doc = "Number, or name of a port of the EndpointSlices; absent: the same as port."},
    {"appProtocol", FIELD_STRING, AT(app_protocol), .max = 253, .format = &format_app_protocol,
     .doc = "What is spoken there: http, kubernetes.io/h2c (HTTP/2 without TLS), kubernetes.io/ws."},
    {"nodePort", FIELD_I32, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema service_port_schema = FIELD_SCHEMA(service_port_fields);
#undef T

static void check_ports_are_named(struct field_ctx *ctx, const void *object)
{
    const struct obj_service_spec *spec = object;
    for (uint32_t i = 0; spec->num_ports > 1 && i < spec->num_ports; ++i) {
        if (spec->ports[i].name.len == 0)
            field_refuse(ctx, FIELD_REQUIRED, field_at(ctx, "ports[%u].name", i), "%s", "");
        for (uint32_t j = 0; j < i; ++j)
            if (spec->ports[i].name.len != 0 && slice_eq(spec->ports[i].name, spec->ports[j].name))
                field_refuse(ctx, FIELD_DUPLICATE, field_at(ctx, "ports[%u].name", i), "\"%s\"",
                             spec->ports[i].name.base);
    }
}

static void check_ports_or_external_name(struct field_ctx *ctx, const void *object)
{
    const struct obj_service_spec *spec = object;
    if (spec->type == OBJ_SERVICE_EXTERNAL_NAME) {
        if (spec->external_name.len == 0)
            field_refuse(ctx, FIELD_REQUIRED, "externalName", "%s", "");
    } else if (spec->external_name.base != NULL)
        field_refuse(ctx, FIELD_FORBIDDEN, "externalName", "only for type ExternalName");
    else if (spec->num_ports == 0)
        field_refuse(ctx, FIELD_REQUIRED, "ports", "%s", "");
}

/* Members whose only served value is Kubernetes' default are taken with that value: manifests from clusters
 * say them. */
#define FIXED .flags = FIELD_UNSTORED

#define T struct obj_service_spec
static const struct field service_spec_fields[] = {
    {"type", FIELD_ENUM, AT(type), .names = FIELD_NAMES("ClusterIP", "ExternalName"),
     .refused = FIELD_NAMES("NodePort", "LoadBalancer"), .def = "ClusterIP",
     .doc = "ClusterIP: endpoints from EndpointSlices; ExternalName: one DNS name."},
    {"selector", FIELD_MAP, AT(selector), .item = FIELD_STRING, .max = 64, .key_format = &format_label_key,
     .format = &format_label_value, .doc = "Labels of the workloads that are its endpoints."},
    {"ports", FIELD_LIST, LIST_AT(ports), .item = FIELD_OBJECT, .schema = &service_port_schema, .max = 100,
     .list_key = "port,protocol", .merge_key = "port", .doc = "Ports that routes may refer to."},
    {"externalName", FIELD_STRING, AT(external_name), .min = 1, .max = 253, .format = &format_fqdn,
     .doc = "DNS name behind a Service of type ExternalName."},
    {"publishNotReadyAddresses", FIELD_BOOL, AT(publish_not_ready),
     .doc = "Also send requests to endpoints that are not ready."},
    {"clusterIP", FIELD_STRING, FIXED, .names = FIELD_NAMES("None", ""),
     .doc = "There are no virtual addresses: None, or absent."},
    {"sessionAffinity", FIELD_STRING, FIXED, .names = FIELD_NAMES("None"), .refused = FIELD_NAMES("ClientIP"),
     .doc = "None."},
    {"internalTrafficPolicy", FIELD_STRING, FIXED, .names = FIELD_NAMES("Cluster"),
     .refused = FIELD_NAMES("Local"), .doc = "Cluster."},
    {"ipFamilyPolicy", FIELD_STRING, FIXED,
     .names = FIELD_NAMES("SingleStack", "PreferDualStack", "RequireDualStack"),
     .doc = "Has no effect: EndpointSlices name their addresses."},
    {"ipFamilies", FIELD_LIST, FIXED, .item = FIELD_STRING, .max = 2, .names = FIELD_NAMES("IPv4", "IPv6"),
     .doc = "Has no effect: EndpointSlices name their addresses."},
    {"clusterIPs", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"externalIPs", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"loadBalancerIP", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
    {"loadBalancerSourceRanges", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"loadBalancerClass", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
    {"allocateLoadBalancerNodePorts", FIELD_BOOL, .flags = FIELD_UNSUPPORTED},
    {"externalTrafficPolicy", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
    {"healthCheckNodePort", FIELD_I32, .flags = FIELD_UNSUPPORTED},
    {"sessionAffinityConfig", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"trafficDistribution", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema service_spec_schema = FIELD_SCHEMA(
    service_spec_fields, .checks = FIELD_CHECKS(check_ports_are_named, check_ports_or_external_name));
#undef T

#define T struct obj_service
static const struct field service_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &service_spec_schema, .doc = "What is wanted."},
    OBJ_STATUS_FIELD(NULL),
};
const struct field_schema obj_service_schema =
    FIELD_SCHEMA(service_fields, .doc = "A named set of endpoints that routes send requests to.");
#undef T

/* ---- EndpointSlice ---- */

/* The members of `conditions` are members of the endpoint itself. */
#define T struct obj_endpoint
static const struct field endpoint_conditions_fields[] = {
    {"ready", FIELD_BOOL, AT(is_ready), .def = "true", .doc = "May get requests."},
    {"serving", FIELD_BOOL, AT(is_serving), .def = "true", .doc = "Would answer, though maybe terminating."},
    {"terminating", FIELD_BOOL, AT(is_terminating), .doc = "Is going away."},
};
static const struct field_schema endpoint_conditions_schema = FIELD_SCHEMA(endpoint_conditions_fields);

static const struct field endpoint_fields[] = {
    {"addresses", FIELD_LIST, LIST_AT(addresses), .flags = FIELD_NEEDED | FIELD_SET, .item = FIELD_STRING,
     .min = 1, .max = 100, .item_min = 1, .item_max = 253,
     .doc = "Addresses of the endpoint, all the same to a client."},
    {"conditions", FIELD_OBJECT, .schema = &endpoint_conditions_schema, .doc = "State of the endpoint."},
    {"hostname", FIELD_STRING, AT(hostname), .min = 1, .max = 63, .format = &format_dns_label,
     .doc = "Host name of the endpoint."},
    {"nodeName", FIELD_STRING, AT(node_name), .min = 1, .max = 253, .format = &format_dns_subdomain,
     .doc = "Host it runs on."},
    {"zone", FIELD_STRING, AT(zone), .max = 253, .doc = "Zone it runs in."},
    {"targetRef", FIELD_RAW, .flags = FIELD_UNSTORED, .doc = "What the endpoint is; has no effect."},
    {"hints", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"deprecatedTopology", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema endpoint_schema = FIELD_SCHEMA(endpoint_fields);
#undef T

#define T struct obj_endpoint_port
static const struct field endpoint_port_fields[] = {
    {"name", FIELD_STRING, AT(name), .max = 63, .def = "",
     .doc = "Name of the port: that of the Service's port it stands for."},
    {"protocol", FIELD_STRING, AT(protocol), .names = FIELD_NAMES("TCP"),
     .refused = FIELD_NAMES("UDP", "SCTP"), .def = "TCP", .doc = "Protocol of the port."},
    {"port", FIELD_I32, AT(port), HAS(has_port), .min = 1, .max = 65535, .doc = "Number of the port."},
    {"appProtocol", FIELD_STRING, AT(app_protocol), .max = 253, .format = &format_app_protocol,
     .doc = "What is spoken there."},
};
static const struct field_schema endpoint_port_schema = FIELD_SCHEMA(endpoint_port_fields);
#undef T

static bool fits_address_type(enum obj_address_type type, struct slice address)
{
    bool is_ip = format_ip.matches(address), has_colon = memchr(address.base, ':', address.len) != NULL;
    switch (type) {
    case OBJ_ADDRESS_IPV4:
        return is_ip && !has_colon;
    case OBJ_ADDRESS_IPV6:
        return is_ip && has_colon;
    case OBJ_ADDRESS_FQDN:
        break;
    }
    return format_fqdn.matches(address);
}

static void check_addresses_fit_type(struct field_ctx *ctx, const void *object)
{
    static const char *const types[] = {"an IPv4 address", "an IPv6 address", "a DNS name"};
    const struct obj_endpoint_slice *slice = object;
    for (uint32_t i = 0; i < slice->num_endpoints; ++i)
        for (uint32_t j = 0; j < slice->endpoints[i].num_addresses; ++j)
            if (!fits_address_type(slice->address_type, slice->endpoints[i].addresses[j]))
                field_refuse(ctx, FIELD_INVALID, field_at(ctx, "endpoints[%u].addresses[%u]", i, j),
                             "\"%s\": must be %s", slice->endpoints[i].addresses[j].base,
                             types[slice->address_type]);
}

#define T struct obj_endpoint_slice
static const struct field endpoint_slice_fields[] = {
    OBJ_HEAD_FIELDS,
    {"addressType", FIELD_ENUM, AT(address_type), FIELD_NEEDED | FIELD_IMMUTABLE,
     .names = FIELD_NAMES("IPv4", "IPv6", "FQDN"), .doc = "Kind of all its addresses."},
    {"endpoints", FIELD_LIST, LIST_AT(endpoints), .item = FIELD_OBJECT, .schema = &endpoint_schema,
     .max = 1000, .doc = "The endpoints."},
    {"ports", FIELD_LIST, LIST_AT(ports), .item = FIELD_OBJECT, .schema = &endpoint_port_schema, .max = 100,
     .list_key = "name", .doc = "Ports that each endpoint has."},
};
const struct field_schema obj_endpoint_slice_schema =
    FIELD_SCHEMA(endpoint_slice_fields, .checks = FIELD_CHECKS(check_addresses_fit_type),
                 .doc = "Addresses behind a Service: the one that label kubernetes.io/service-name names.");
#undef T

/* ---- Secret ---- */

static bool is_map(const struct json *value)
{
    return value->type == JSON_OBJECT && value->num <= FIELD_MAP_MAX;
}

static void move_member(struct json *data, struct json *member, struct arena *arena)
{
    struct strbuf text = STRBUF_INIT;
    base64_add(&text, member->text);
    (void)json_set_n(arena, data, member->key, json_new_string(arena, strbuf_slice(&text)));
    strbuf_clear(&text);
}

void obj_secret_prepare(struct json *object, struct arena *arena)
{
    struct json *strings = json_get(object, "stringData"), *data = json_get(object, "data");
    if (strings == NULL || !is_map(strings) || (data != NULL && data->type != JSON_NULL && !is_map(data)))
        return; /* the table says what is wrong */
    JSON_FOR(member, strings)
    if (member->type != JSON_STRING)
        return;
    if (data == NULL || data->type == JSON_NULL)
        data = json_set_n(arena, object, SLICE("data"), json_new_object(arena));
    JSON_FOR(member, strings)
    move_member(data, member, arena);
    (void)json_remove(object, "stringData");
}

static size_t map_size(const struct field_map *map)
{
    size_t total = 0;
    for (uint32_t i = 0; i < map->num; ++i)
        total += map->pairs[i].value.len;
    return total;
}

static void check_secret_size(struct field_ctx *ctx, const void *object)
{
    const struct obj_secret *secret = object;
    if (map_size(&secret->data) > CONTENT_MAX)
        field_refuse(ctx, FIELD_TOO_LONG, "data", "may not be more than %d bytes", CONTENT_MAX);
}

static bool contains(struct slice text, const char *what)
{
    return memmem(text.base, text.len, what, strlen(what)) != NULL;
}

/* OpenSSL skips what is around the blocks, be it NUL; a text that nodes are sent may hold none. */
static void check_pem_is_text(struct field_ctx *ctx, const void *object)
{
    static const char *const names[] = {"tls.crt", "tls.key"};
    const struct obj_secret *secret = object;
    for (size_t i = 0; i < ARRAY_LEN(names); ++i) {
        struct slice pem = obj_map_get(&secret->data, names[i]);
        if (pem.base != NULL && memchr(pem.base, '\0', pem.len) != NULL)
            field_refuse(ctx, FIELD_INVALID, field_at(ctx, "data[%s]", names[i]), "must be text");
    }
}

/* That the two belong together takes cryptography: the API looks, and the compiler where they are used. */
static void check_tls_has_certificate_and_key(struct field_ctx *ctx, const void *object)
{
    const struct obj_secret *secret = object;
    struct slice cert = obj_map_get(&secret->data, "tls.crt"), key = obj_map_get(&secret->data, "tls.key");
    if (!slice_is(secret->type, OBJ_SECRET_TLS))
        return;
    if (cert.base == NULL)
        field_refuse(ctx, FIELD_REQUIRED, "data[tls.crt]", "%s", "");
    else if (!contains(cert, "-----BEGIN CERTIFICATE-----") || !contains(cert, "-----END CERTIFICATE-----"))
        field_refuse(ctx, FIELD_INVALID, "data[tls.crt]", "must be certificates in PEM form");
    if (key.base == NULL)
        field_refuse(ctx, FIELD_REQUIRED, "data[tls.key]", "%s", "");
    else if (!contains(key, "-----BEGIN ") || !contains(key, "PRIVATE KEY-----"))
        field_refuse(ctx, FIELD_INVALID, "data[tls.key]", "must be a private key in PEM form");
    else if (contains(key, "ENCRYPTED"))
        field_refuse(ctx, FIELD_INVALID, "data[tls.key]", "must not be encrypted");
}

#define T struct obj_secret
static const struct field secret_fields[] = {
    OBJ_HEAD_FIELDS,
    {"type", FIELD_STRING, AT(type), FIELD_IMMUTABLE, .min = 1, .max = 253, .def = OBJ_SECRET_OPAQUE,
     .doc = "Opaque, or kubernetes.io/tls: then data has tls.crt and tls.key."},
    {"data", FIELD_MAP, AT(data), FIELD_SECRET, .item = FIELD_BYTES, .max = FIELD_MAP_MAX, .key_format = &format_key,
     .doc = "Contents, base64."},
    {"stringData", FIELD_MAP, AT(string_data), FIELD_SECRET | FIELD_WRITE_ONLY, .item = FIELD_STRING,
     .max = FIELD_MAP_MAX, .key_format = &format_key, .doc = "Contents as text, for writing only: goes into data."},
    {"immutable", FIELD_BOOL, AT(is_immutable), .doc = "Contents may not change any more."},
};
const struct field_schema obj_secret_schema = FIELD_SCHEMA(
    secret_fields,
    .checks = FIELD_CHECKS(check_secret_size, check_pem_is_text, check_tls_has_certificate_and_key),
    .doc = "Certificates with their keys, and other secrets.");
#undef T

/* ---- ConfigMap ---- */

static void check_config_map_size(struct field_ctx *ctx, const void *object)
{
    const struct obj_config_map *map = object;
    if (map_size(&map->data) + map_size(&map->binary_data) > CONTENT_MAX)
        field_refuse(ctx, FIELD_TOO_LONG, "data", "may not be more than %d bytes", CONTENT_MAX);
}

static void check_keys_are_in_one_map(struct field_ctx *ctx, const void *object)
{
    const struct obj_config_map *map = object;
    for (uint32_t i = 0; i < map->binary_data.num; ++i)
        if (obj_map_get_n(&map->data, map->binary_data.pairs[i].name).base != NULL)
            field_refuse(ctx, FIELD_DUPLICATE, "binaryData", "\"%s\": is in data too",
                         map->binary_data.pairs[i].name.base);
}

#define T struct obj_config_map
static const struct field config_map_fields[] = {
    OBJ_HEAD_FIELDS,
    {"data", FIELD_MAP, AT(data), .item = FIELD_STRING, .max = FIELD_MAP_MAX, .key_format = &format_key, .doc = "Texts."},
    {"binaryData", FIELD_MAP, AT(binary_data), .item = FIELD_BYTES, .max = FIELD_MAP_MAX, .key_format = &format_key,
     .doc = "Bytes, base64."},
    {"immutable", FIELD_BOOL, AT(is_immutable), .doc = "Contents may not change any more."},
};
const struct field_schema obj_config_map_schema =
    FIELD_SCHEMA(config_map_fields, .checks = FIELD_CHECKS(check_config_map_size, check_keys_are_in_one_map),
                 .doc = "Texts under names.");
#undef T

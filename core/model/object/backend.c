#include "core/model/object/backend.h"

#include "core/model/format.h"
#include "core/model/object/gateway.h"

enum { UNIX_PATH_MAX_LEN = 107 }; /* sun_path with its NUL is 108 */

/* ---- Backend ---- */

#define T struct obj_backend_fqdn
static const struct field fqdn_fields[] = {
    {"hostname", FIELD_STRING, AT(hostname), FIELD_NEEDED, .min = 1, .max = 253, .format = &format_fqdn,
     .doc = "DNS name."},
    {"port", FIELD_I32, AT(port), FIELD_NEEDED, .min = 1, .max = 65535, .doc = "Port."},
};
static const struct field_schema fqdn_schema = FIELD_SCHEMA(fqdn_fields);
#undef T

#define T struct obj_backend_ip
static const struct field ip_fields[] = {
    {"address", FIELD_STRING, AT(address), FIELD_NEEDED, .min = 3, .max = 45, .format = &format_ip,
     .doc = "IPv4 or IPv6 address."},
    {"port", FIELD_I32, AT(port), FIELD_NEEDED, .min = 1, .max = 65535, .doc = "Port."},
};
static const struct field_schema ip_schema = FIELD_SCHEMA(ip_fields);
#undef T

#define T struct obj_backend_unix
static const struct field unix_fields[] = {
    {"path", FIELD_STRING, AT(path), FIELD_NEEDED, .min = 1, .max = UNIX_PATH_MAX_LEN,
     .format = &format_absolute_path, .doc = "Path of the socket."},
};
static const struct field_schema unix_schema = FIELD_SCHEMA(unix_fields);
#undef T

static void check_one_address(struct field_ctx *ctx, const void *object)
{
    const struct obj_backend_endpoint *endpoint = object;
    int num = (endpoint->fqdn != NULL) + (endpoint->ip != NULL) + (endpoint->unix_socket != NULL);
    if (num == 0)
        field_refuse(ctx, FIELD_REQUIRED, "", "one of fqdn, ip or unix must be specified");
    else if (num > 1)
        field_refuse(ctx, FIELD_INVALID, "", "only one of fqdn, ip or unix can be specified");
}

#define T struct obj_backend_endpoint
static const struct field endpoint_fields[] = {
    {"fqdn", FIELD_OBJECT_PTR, AT(fqdn), .schema = &fqdn_schema, .doc = "A DNS name and port."},
    {"ip", FIELD_OBJECT_PTR, AT(ip), .schema = &ip_schema, .doc = "An IP address and port."},
    {"unix", FIELD_OBJECT_PTR, AT(unix_socket), .schema = &unix_schema, .doc = "A unix socket."},
    {"hostname", FIELD_STRING, AT(hostname), .min = 1, .max = 253, .format = &format_precise_hostname,
     .doc = "Host name that the endpoint answers to."},
    {"zone", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema endpoint_schema =
    FIELD_SCHEMA(endpoint_fields, .checks = FIELD_CHECKS(check_one_address));
#undef T

static void check_fqdns_are_not_mixed(struct field_ctx *ctx, const void *object)
{
    const struct obj_backend_spec *spec = object;
    uint32_t num_fqdns = 0;
    for (uint32_t i = 0; i < spec->num_endpoints; ++i)
        num_fqdns += spec->endpoints[i].fqdn != NULL;
    if (num_fqdns != 0 && num_fqdns != spec->num_endpoints)
        field_refuse(ctx, FIELD_INVALID, "endpoints",
                     "fqdn addresses cannot be mixed with other address types");
}

#define T struct obj_backend_spec
static const struct field backend_spec_fields[] = {
    {"type", FIELD_STRING, .flags = FIELD_UNSTORED, .names = FIELD_NAMES("Endpoints"),
     .refused = FIELD_NAMES("DynamicResolver"), .def = "Endpoints",
     .doc = "Endpoints: those that are listed."},
    {"endpoints", FIELD_LIST, LIST_AT(endpoints), .flags = FIELD_NEEDED, .item = FIELD_OBJECT,
     .schema = &endpoint_schema, .min = 1, .max = 256, .doc = "Where it can be reached."},
    {"appProtocols", FIELD_LIST, LIST_AT(app_protocols), .item = FIELD_ENUM, .max = 8,
     .names = FIELD_NAMES("gateway.envoyproxy.io/h2c", "gateway.envoyproxy.io/ws"),
     .refused = FIELD_NAMES("gateway.envoyproxy.io/wss"), .doc = "What is spoken there besides HTTP/1.1."},
    {"fallback", FIELD_BOOL, .flags = FIELD_UNSUPPORTED},
    {"tls", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema backend_spec_schema =
    FIELD_SCHEMA(backend_spec_fields, .checks = FIELD_CHECKS(check_fqdns_are_not_mixed));
#undef T

#define T struct obj_backend
static const struct field backend_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &backend_spec_schema, .doc = "What is wanted."},
    OBJ_STATUS_FIELD(&obj_conditions_status_schema),
};
const struct field_schema obj_backend_schema = FIELD_SCHEMA(
    backend_fields, .doc = "Endpoints by DNS name, IP address or unix socket, for routes to refer to.");
#undef T

/* ---- BackendTrafficPolicy: targets ---- */

#define T struct obj_policy_target
static const struct field target_fields[] = {
    {"kind", FIELD_STRING, AT(kind), FIELD_NEEDED, .names = FIELD_NAMES("Gateway", "HTTPRoute", "GRPCRoute"),
     .refused = FIELD_NAMES("ListenerSet", "TCPRoute", "UDPRoute", "TLSRoute"),
     .doc = "Kind of the target."},
    OBJ_POLICY_TARGET_FIELDS,
};
static const struct field_schema target_schema = FIELD_SCHEMA(target_fields);
#undef T

/* ---- health checks ---- */

#define T struct obj_check_http
static const struct field check_http_fields[] = {
    {"path", FIELD_STRING, AT(path), FIELD_NEEDED, .min = 1, .max = 1024, .format = &format_request_target,
     .doc = "Path asked for."},
    {"hostname", FIELD_STRING, AT(hostname), .min = 1, .max = 253, .format = &format_precise_hostname,
     .doc = "Host of the request; absent: the backend's name."},
    {"method", FIELD_STRING, .flags = FIELD_UNSTORED, .names = FIELD_NAMES("GET"),
     .refused = FIELD_NAMES("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"), .doc = "GET."},
    {"expectedStatuses", FIELD_LIST, LIST_AT(expected_statuses), .flags = FIELD_SET, .item = FIELD_I32,
     .max = 64, .item_min = 100, .item_max = 599, .doc = "Statuses that mean healthy; none: 200."},
    {"expectedResponse", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"requestBody", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"retriableStatuses", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_I32},
};
static const struct field_schema check_http_schema = FIELD_SCHEMA(check_http_fields);
#undef T

#define T struct obj_check_tcp
static const struct field check_tcp_fields[] = {
    {"send", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"receive", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema check_tcp_schema = FIELD_SCHEMA(check_tcp_fields);
#undef T

#define T struct obj_check_grpc
static const struct field check_grpc_fields[] = {
    {"service", FIELD_STRING, AT(service), .max = 253, .def = "",
     .doc = "Service asked for; empty: the server as a whole."},
};
static const struct field_schema check_grpc_schema = FIELD_SCHEMA(check_grpc_fields);
#undef T

static void check_members_fit_type(struct field_ctx *ctx, const void *object)
{
    const struct obj_active_check *check = object;
    if ((check->type == OBJ_CHECK_HTTP) != (check->http != NULL))
        field_refuse(ctx, check->http == NULL ? FIELD_REQUIRED : FIELD_INVALID, "http",
                     "If Health Checker type is HTTP, http field needs to be set.");
    if ((check->type == OBJ_CHECK_TCP) != (check->tcp != NULL))
        field_refuse(ctx, check->tcp == NULL ? FIELD_REQUIRED : FIELD_INVALID, "tcp",
                     "If Health Checker type is TCP, tcp field needs to be set.");
    if (check->type != OBJ_CHECK_GRPC && check->grpc != NULL)
        field_refuse(ctx, FIELD_INVALID, "grpc",
                     "The grpc field can only be set if the Health Checker type is GRPC.");
}

#define T struct obj_active_check
static const struct field active_check_fields[] = {
    {"type", FIELD_ENUM, AT(type), FIELD_NEEDED, .names = FIELD_NAMES("HTTP", "TCP", "GRPC"),
     .doc = "How endpoints are asked."},
    {"timeout", FIELD_DURATION, AT(timeout_ms), .min = 1, .max = UINT32_MAX, .def = "1s",
     .doc = "For an answer."},
    {"interval", FIELD_DURATION, AT(interval_ms), .min = 100, .max = UINT32_MAX, .def = "3s",
     .doc = "Between checks; 10 % jitter is added."},
    {"unhealthyThreshold", FIELD_U32, AT(unhealthy_threshold), .min = 1, .max = INT32_MAX, .def = "3",
     .doc = "Failures in a row that make it unhealthy."},
    {"healthyThreshold", FIELD_U32, AT(healthy_threshold), .min = 1, .max = INT32_MAX, .def = "1",
     .doc = "Successes in a row that make it healthy."},
    {"http", FIELD_OBJECT_PTR, AT(http), .schema = &check_http_schema, .doc = "For type HTTP."},
    {"tcp", FIELD_OBJECT_PTR, AT(tcp), .schema = &check_tcp_schema,
     .doc = "For type TCP: connecting is the check."},
    {"grpc", FIELD_OBJECT_PTR, AT(grpc), .schema = &check_grpc_schema,
     .doc = "For type GRPC: grpc.health.v1."},
    {"initialJitter", FIELD_DURATION, .flags = FIELD_UNSUPPORTED},
    {"healthCheckLog", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"overrides", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema active_check_schema =
    FIELD_SCHEMA(active_check_fields, .checks = FIELD_CHECKS(check_members_fit_type));
#undef T

#define T struct obj_health_check
static const struct field health_check_fields[] = {
    {"active", FIELD_OBJECT_PTR, AT(active), .schema = &active_check_schema,
     .doc = "Asks endpoints whether they are well."},
    {"passive", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"panicThreshold", FIELD_I32, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema health_check_schema = FIELD_SCHEMA(health_check_fields);
#undef T

/* ---- balancing, timeouts, limits ---- */

#define T struct obj_load_balancer
static const struct field load_balancer_fields[] = {
    {"type", FIELD_ENUM, AT(type), FIELD_NEEDED, .names = FIELD_NAMES("LeastRequest", "Random", "RoundRobin"),
     .refused = FIELD_NAMES("ConsistentHash", "BackendUtilization", "DynamicModule"),
     .doc = "How an endpoint is chosen."},
    {"consistentHash", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"backendUtilization", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"dynamicModule", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"endpointOverride", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"slowStart", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"zoneAware", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema load_balancer_schema = FIELD_SCHEMA(load_balancer_fields);
#undef T

#define T struct obj_tcp_timeout
static const struct field tcp_timeout_fields[] = {
    {"connectTimeout", FIELD_DURATION, AT(connect_ms), HAS(has_connect), .min = 1, .max = UINT32_MAX,
     .doc = "For a connection to an endpoint."},
};
static const struct field_schema tcp_timeout_schema = FIELD_SCHEMA(tcp_timeout_fields);
#undef T

#define T struct obj_http_timeout
static const struct field http_timeout_fields[] = {
    {"connectionIdleTimeout", FIELD_DURATION, AT(connection_idle_ms), HAS(has_connection_idle),
     .max = UINT32_MAX, .doc = "How long an unused connection to an endpoint is kept."},
    {"maxConnectionDuration", FIELD_DURATION, .flags = FIELD_UNSUPPORTED},
    {"maxStreamDuration", FIELD_DURATION, .flags = FIELD_UNSUPPORTED},
    {"requestTimeout", FIELD_DURATION, .flags = FIELD_UNSUPPORTED},
    {"streamIdleTimeout", FIELD_DURATION, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema http_timeout_schema = FIELD_SCHEMA(http_timeout_fields);
#undef T

#define T struct obj_policy_timeout
static const struct field policy_timeout_fields[] = {
    {"tcp", FIELD_OBJECT, AT(tcp), .schema = &tcp_timeout_schema, .doc = "Of connections."},
    {"http", FIELD_OBJECT, AT(http), .schema = &http_timeout_schema, .doc = "Of HTTP."},
};
static const struct field_schema policy_timeout_schema = FIELD_SCHEMA(policy_timeout_fields);
#undef T

#define T struct obj_circuit_breaker
static const struct field circuit_breaker_fields[] = {
    {"maxConnections", FIELD_U32, AT(max_connections), .def = "1024",
     .doc = "Connections of a proxy to a backend."},
    {"maxPendingRequests", FIELD_U32, AT(max_pending_requests), .def = "1024",
     .doc = "Requests that wait for one."},
    {"maxParallelRequests", FIELD_U32, AT(max_parallel_requests), .def = "1024",
     .doc = "Requests in flight."},
    {"maxParallelRetries", FIELD_U32, .flags = FIELD_UNSUPPORTED},
    {"maxRequestsPerConnection", FIELD_U32, .flags = FIELD_UNSUPPORTED},
    {"perEndpoint", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"retryBudget", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema circuit_breaker_schema = FIELD_SCHEMA(circuit_breaker_fields);
#undef T

/* ---- the policy ---- */

static void check_target_is_given(struct field_ctx *ctx, const void *object)
{
    const struct obj_traffic_policy_spec *spec = object;
    obj_policy_check_targets(ctx, spec->target_ref, spec->num_target_refs);
}

#define T struct obj_traffic_policy_spec
static const struct field traffic_policy_spec_fields[] = {
    {"targetRefs", FIELD_LIST, LIST_AT(target_refs), .item = FIELD_OBJECT, .schema = &target_schema,
     .max = 16, .doc = "Gateways and routes whose backends this is about."},
    {"targetRef", FIELD_OBJECT_PTR, AT(target_ref), .schema = &target_schema,
     .doc = "Older way to name one target."},
    {"healthCheck", FIELD_OBJECT_PTR, AT(health_check), .schema = &health_check_schema,
     .doc = "How unhealthy endpoints are found."},
    {"loadBalancer", FIELD_OBJECT_PTR, AT(load_balancer), .schema = &load_balancer_schema,
     .doc = "How endpoints are chosen."},
    {"timeout", FIELD_OBJECT_PTR, AT(timeout), .schema = &policy_timeout_schema,
     .doc = "How long things may take."},
    {"circuitBreaker", FIELD_OBJECT_PTR, AT(circuit_breaker), .schema = &circuit_breaker_schema,
     .doc = "How much there may be at a time."},
    {"targetSelectors", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"mergeType", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
    {"admissionControl", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"bandwidthLimit", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"compression", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"compressor", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"connection", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"dns", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"faultInjection", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"http2", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"httpUpgrade", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"proxyProtocol", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"rateLimit", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"requestBuffer", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"responseOverride", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"retry", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"routingType", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
    {"tcpKeepalive", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"telemetry", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"useClientProtocol", FIELD_BOOL, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema traffic_policy_spec_schema =
    FIELD_SCHEMA(traffic_policy_spec_fields, .checks = FIELD_CHECKS(check_target_is_given));
#undef T

#define T struct obj_traffic_policy
static const struct field traffic_policy_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &traffic_policy_spec_schema,
     .doc = "What is wanted."},
    OBJ_STATUS_FIELD(&obj_policy_status_schema),
};
const struct field_schema obj_traffic_policy_schema = FIELD_SCHEMA(
    traffic_policy_fields, .doc = "Health checks, load balancing, timeouts and limits towards backends.");
#undef T

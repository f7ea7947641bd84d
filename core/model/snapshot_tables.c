#include "core/model/snapshot_tables.h"

#include "core/model/format.h"

/* ---- matches ---- */

static const char *const match_kinds[] = {"exact", "prefix", "regex", NULL};

#define T struct cfg_value_match
static const struct field value_match_fields[] = {
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 256},
    {"kind", FIELD_ENUM, AT(kind), .names = match_kinds, .def = "exact"},
    {"value", FIELD_STRING, AT(value), FIELD_NEEDED},
};
#undef T

static void check_value_match_kind(struct field_ctx *ctx, const void *object)
{
    const struct cfg_value_match *match = object;
    if (match->kind == CFG_MATCH_PREFIX)
        field_refuse(ctx, FIELD_INVALID, "kind", "must be exact or regex");
}

#define T struct cfg_value_match
static const struct field_schema value_match_schema =
    FIELD_SCHEMA(value_match_fields, .checks = FIELD_CHECKS(check_value_match_kind));
#undef T

static void check_path_form(struct field_ctx *ctx, const void *object)
{
    const struct cfg_match *match = object;
    if (match->path_kind == CFG_MATCH_REGEX)
        return;
    if (match->path.len == 0 || match->path.base[0] != '/')
        field_refuse(ctx, FIELD_INVALID, "path", "must begin with '/'");
    else if (match->path_kind == CFG_MATCH_PREFIX && match->path.len > 1 &&
             slice_ends(match->path, SLICE("/")))
        field_refuse(ctx, FIELD_INVALID, "path", "a prefix must not end with '/'");
}

#define T struct cfg_match
static const struct field match_fields[] = {
    {"pathKind", FIELD_ENUM, AT(path_kind), .names = match_kinds, .def = "prefix"},
    {"path", FIELD_STRING, AT(path), .def = "/"},
    {"method", FIELD_STRING, AT(method), .min = 1, .max = 32},
    {"headers", FIELD_LIST, LIST_AT(headers), .item = FIELD_OBJECT, .schema = &value_match_schema},
    {"queries", FIELD_LIST, LIST_AT(queries), .item = FIELD_OBJECT, .schema = &value_match_schema},
};
static const struct field_schema match_schema =
    FIELD_SCHEMA(match_fields, .checks = FIELD_CHECKS(check_path_form));
#undef T

/* ---- filters ---- */

#define T struct cfg_header_edit
static const struct field header_edit_fields[] = {
    {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .format = &format_header_name},
    {"value", FIELD_STRING, AT(value), .format = &format_header_value},
};
static const struct field_schema header_edit_schema = FIELD_SCHEMA(header_edit_fields);
#undef T

#define T struct cfg_header_mod
static const struct field header_mod_fields[] = {
    {"set", FIELD_LIST, LIST_AT(set), .item = FIELD_OBJECT, .schema = &header_edit_schema},
    {"add", FIELD_LIST, LIST_AT(add), .item = FIELD_OBJECT, .schema = &header_edit_schema},
    {"remove", FIELD_LIST, LIST_AT(remove), .item = FIELD_OBJECT, .schema = &header_edit_schema},
};
static const struct field_schema header_mod_schema = FIELD_SCHEMA(header_mod_fields);
#undef T

static const char *const path_mods[] = {"keep", "full", "prefix", NULL};

#define T struct cfg_redirect
static const struct field redirect_fields[] = {
    {"scheme", FIELD_STRING, AT(scheme), .names = FIELD_NAMES("http", "https")},
    {"hostname", FIELD_STRING, AT(hostname), .min = 1, .max = 253},
    {"port", FIELD_I32, AT(port), .max = 65535},
    {"status", FIELD_U32, AT(status), .min = 300, .max = 399, .def = "302"},
    {"pathMod", FIELD_ENUM, AT(path_mod), .names = path_mods, .def = "keep"},
    {"path", FIELD_STRING, AT(path)},
};
static const struct field_schema redirect_schema = FIELD_SCHEMA(redirect_fields);
#undef T

#define T struct cfg_rewrite
static const struct field rewrite_fields[] = {
    {"hostname", FIELD_STRING, AT(hostname), .min = 1, .max = 253},
    {"pathMod", FIELD_ENUM, AT(path_mod), .names = path_mods, .def = "keep"},
    {"path", FIELD_STRING, AT(path)},
};
static const struct field_schema rewrite_schema = FIELD_SCHEMA(rewrite_fields);
#undef T

#define T struct cfg_filters
static const struct field filters_fields[] = {
    {"requestHeaders", FIELD_OBJECT, AT(request_headers), .schema = &header_mod_schema},
    {"responseHeaders", FIELD_OBJECT, AT(response_headers), .schema = &header_mod_schema},
    {"redirect", FIELD_OBJECT_PTR, AT(redirect), .schema = &redirect_schema},
    {"rewrite", FIELD_OBJECT_PTR, AT(rewrite), .schema = &rewrite_schema},
};
static const struct field_schema filters_schema = FIELD_SCHEMA(filters_fields);
#undef T

/* ---- routes ---- */

#define T struct cfg_backend
static const struct field backend_fields[] = {
    {"cluster", FIELD_STRING, AT(cluster_name), .def = "", .doc = "empty: the reference does not resolve"},
    {"weight", FIELD_U32, AT(weight), .max = 1000000, .def = "1"},
    {"filters", FIELD_OBJECT, AT(filters), .schema = &filters_schema},
};
static const struct field_schema backend_schema = FIELD_SCHEMA(backend_fields);
#undef T

#define T struct cfg_rule
static const struct field rule_fields[] = {
    {"name", FIELD_STRING, AT(name)},
    {"matches", FIELD_LIST, LIST_AT(matches), .item = FIELD_OBJECT, .schema = &match_schema, .min = 1},
    {"filters", FIELD_OBJECT, AT(filters), .schema = &filters_schema},
    {"backends", FIELD_LIST, LIST_AT(backends), .item = FIELD_OBJECT, .schema = &backend_schema},
    {"requestTimeoutMs", FIELD_U64, AT(request_timeout_ms), HAS(has_request_timeout)},
    {"backendTimeoutMs", FIELD_U64, AT(backend_timeout_ms), HAS(has_backend_timeout)},
};
static const struct field_schema rule_schema = FIELD_SCHEMA(rule_fields);
#undef T

#define T struct cfg_attachment
static const struct field attachment_fields[] = {
    {"listener", FIELD_STRING, AT(listener), FIELD_NEEDED, .min = 1},
    {"server", FIELD_STRING, AT(server), FIELD_NEEDED, .min = 1},
    {"hostnames", FIELD_LIST, LIST_AT(hostnames), .item = FIELD_STRING, .item_min = 1, .item_max = 253},
};
static const struct field_schema attachment_schema = FIELD_SCHEMA(attachment_fields);
#undef T

#define T struct cfg_cohort_source
static const struct field cohort_source_fields[] = {
    {"from", FIELD_ENUM, AT(from), FIELD_NEEDED, .names = FIELD_NAMES("header", "cookie", "client")},
    {"name", FIELD_STRING, AT(name), .min = 1},
};
static const struct field_schema cohort_source_schema = FIELD_SCHEMA(cohort_source_fields);
#undef T

#define T struct cfg_route
static const struct field route_fields[] = {
    {"ns", FIELD_STRING, AT(ns), FIELD_NEEDED},
    {"object", FIELD_STRING, AT(object), FIELD_NEEDED},
    {"createdUs", FIELD_I64, AT(created_us)},
    {"attachments", FIELD_LIST, LIST_AT(attachments), .item = FIELD_OBJECT, .schema = &attachment_schema},
    {"rules", FIELD_LIST, LIST_AT(rules), .item = FIELD_OBJECT, .schema = &rule_schema},
    {"cohort", FIELD_LIST, LIST_AT(cohort), .item = FIELD_OBJECT, .schema = &cohort_source_schema},
};
const struct field_schema snapshot_route_schema = FIELD_SCHEMA(route_fields);
#undef T

/* ---- listeners ---- */

#define T struct cfg_certificate
static const struct field certificate_fields[] = {
    {"certPem", FIELD_STRING, AT(cert_pem), FIELD_NEEDED, .min = 1},
    {"keyPem", FIELD_STRING, AT(key_pem), FIELD_SECRET, .doc = "absent in the cache of a node"},
};
const struct field_schema snapshot_certificate_schema = FIELD_SCHEMA(certificate_fields);
#undef T

#define TLS_VERSIONS .names = FIELD_NAMES("0", "12", "13")

#define T struct wire_server
static const struct field server_fields[] = {
    {"name", FIELD_STRING, AT(server.name), FIELD_NEEDED, .min = 1},
    {"hostname", FIELD_STRING, AT(server.hostname), .max = 253, .def = ""},
    {"certificates", FIELD_LIST, LIST_AT(certificates), .item = FIELD_STRING, .item_min = 1},
    {"tlsMinVersion", FIELD_I32, AT(server.tls_min_version), TLS_VERSIONS},
};
static const struct field_schema server_schema = FIELD_SCHEMA(server_fields);
#undef T

static void check_trust_is_of_one_kind(struct field_ctx *ctx, const void *object)
{
    const struct cfg_client *client = object;
    if (client->has_trusted_hops && client->num_trusted_proxies != 0)
        field_refuse(ctx, FIELD_INVALID, "trustedHops", "only one of trustedHops and trustedProxies may be given");
}

#define T struct cfg_client
static const struct field client_fields[] = {
    {"handshakeTimeoutMs", FIELD_U32, AT(handshake_timeout_ms), HAS(has_handshake_timeout)},
    {"headTimeoutMs", FIELD_U32, AT(head_timeout_ms), HAS(has_head_timeout)},
    {"requestTimeoutMs", FIELD_U32, AT(request_timeout_ms), HAS(has_request_timeout)},
    {"idleTimeoutMs", FIELD_U32, AT(idle_timeout_ms), HAS(has_idle_timeout)},
    {"streamIdleTimeoutMs", FIELD_U32, AT(stream_idle_timeout_ms), HAS(has_stream_idle_timeout)},
    {"maxConnections", FIELD_U32, AT(max_connections)},
    {"maxRequests", FIELD_U32, AT(max_requests)},
    {"maxStreams", FIELD_U32, AT(max_streams), .max = INT32_MAX},
    {"streamWindow", FIELD_U32, AT(stream_window), .max = INT32_MAX},
    {"connectionWindow", FIELD_U32, AT(connection_window), .max = INT32_MAX},
    {"tlsMinVersion", FIELD_I32, AT(tls_min_version), TLS_VERSIONS},
    {"tlsMaxVersion", FIELD_I32, AT(tls_max_version), TLS_VERSIONS},
    {"tlsSuites", FIELD_LIST, LIST_AT(tls_suites), .item = FIELD_STRING, .item_min = 1},
    {"alpn", FIELD_LIST, LIST_AT(alpn), .item = FIELD_ENUM, .names = FIELD_NAMES("h2", "http/1.1"), .max = 2},
    {"trustedHops", FIELD_U32, AT(trusted_hops), HAS(has_trusted_hops)},
    {"trustedProxies", FIELD_LIST, LIST_AT(trusted_proxies), .item = FIELD_STRING, .format = &format_cidr},
};
static const struct field_schema client_schema =
    FIELD_SCHEMA(client_fields, .checks = FIELD_CHECKS(check_trust_is_of_one_kind));
#undef T

#define T struct wire_listener
static const struct field listener_fields[] = {
    {"address", FIELD_STRING, AT(listener.address), .max = 45, .def = ""},
    {"port", FIELD_U16, AT(listener.port), FIELD_NEEDED, .min = 1, .max = 65535},
    {"protocol", FIELD_ENUM, AT(listener.protocol), .names = FIELD_NAMES("http", "https"), .def = "http"},
    {"client", FIELD_OBJECT_PTR, AT(listener.client), .schema = &client_schema},
    {"servers", FIELD_LIST, LIST_AT(servers), .flags = FIELD_NEEDED, .item = FIELD_OBJECT,
     .schema = &server_schema},
};
const struct field_schema snapshot_listener_schema = FIELD_SCHEMA(listener_fields);
#undef T

/* ---- clusters ---- */

#define T struct cfg_health_check
static const struct field health_check_fields[] = {
    {"kind", FIELD_ENUM, AT(kind), .names = FIELD_NAMES("none", "http", "tcp", "grpc"), .def = "none"},
    {"timeoutMs", FIELD_U32, AT(timeout_ms), .min = 1, .def = "1000"},
    {"intervalMs", FIELD_U32, AT(interval_ms), .min = 1, .def = "5000"},
    {"unhealthyThreshold", FIELD_U32, AT(unhealthy_threshold), .min = 1, .def = "3"},
    {"healthyThreshold", FIELD_U32, AT(healthy_threshold), .min = 1, .def = "1"},
    {"path", FIELD_STRING, AT(path), .min = 1, .def = "/"},
    {"host", FIELD_STRING, AT(host), .max = 253},
    {"grpcService", FIELD_STRING, AT(grpc_service), .def = ""},
    {"expectedStatuses", FIELD_LIST, LIST_AT(expected_statuses), .item = FIELD_U16, .item_min = 100,
     .item_max = 599},
};
static const struct field_schema health_check_schema = FIELD_SCHEMA(health_check_fields);
#undef T

#define T struct cfg_alt_name
static const struct field alt_name_fields[] = {
    {"isUri", FIELD_BOOL, AT(is_uri), .def = "false"},
    {"text", FIELD_STRING, AT(text), FIELD_NEEDED, .min = 1, .max = 253},
};
static const struct field_schema alt_name_schema = FIELD_SCHEMA(alt_name_fields);
#undef T

#define T struct cfg_upstream_tls
static const struct field upstream_tls_fields[] = {
    {"hostname", FIELD_STRING, AT(hostname), FIELD_NEEDED, .min = 1, .max = 253},
    {"caPem", FIELD_STRING, AT(ca_pem), .min = 1, .doc = "absent: the system's roots"},
    {"altNames", FIELD_LIST, LIST_AT(alt_names), .item = FIELD_OBJECT, .schema = &alt_name_schema},
};
static const struct field_schema upstream_tls_schema = FIELD_SCHEMA(upstream_tls_fields);
#undef T

#define T struct cfg_cluster
static const struct field cluster_fields[] = {
    {"host", FIELD_STRING, AT(host), FIELD_NEEDED},
    {"protocol", FIELD_ENUM, AT(protocol), .names = FIELD_NAMES("http1", "h2c", "ws"), .def = "http1"},
    {"tls", FIELD_OBJECT_PTR, AT(tls), .schema = &upstream_tls_schema},
    {"lb", FIELD_ENUM, AT(lb), .names = FIELD_NAMES("leastRequest", "roundRobin", "random"),
     .def = "leastRequest"},
    {"check", FIELD_OBJECT, AT(check), .schema = &health_check_schema},
    {"connectTimeoutMs", FIELD_U32, AT(connect_timeout_ms), .min = 1, .def = "5000"},
    {"firstByteTimeoutMs", FIELD_U32, AT(first_byte_timeout_ms), .def = "30000"},
    {"idleTimeoutMs", FIELD_U32, AT(idle_timeout_ms), .def = "60000"},
    {"maxConnections", FIELD_U32, AT(max_connections), .def = "1024"},
    {"maxPending", FIELD_U32, AT(max_pending), .def = "1024"},
    {"maxRequests", FIELD_U32, AT(max_requests), .def = "1024"},
};
const struct field_schema snapshot_cluster_schema = FIELD_SCHEMA(cluster_fields);
#undef T

static void check_host_and_port(struct field_ctx *ctx, const void *object)
{
    const struct cfg_endpoint *endpoint = object;
    if (endpoint->port == 0 && !slice_starts(endpoint->host, SLICE("unix:/")))
        field_refuse(ctx, FIELD_REQUIRED, "port", "only a unix socket has none");
}

#define T struct cfg_endpoint
static const struct field endpoint_fields[] = {
    {"host", FIELD_STRING, AT(host), FIELD_NEEDED, .min = 1, .max = 256},
    {"port", FIELD_U16, AT(port)},
    {"weight", FIELD_U32, AT(weight), .min = 1, .max = 1000000, .def = "1"},
    {"ready", FIELD_BOOL, AT(is_ready), .def = "true"},
};
static const struct field_schema endpoint_schema =
    FIELD_SCHEMA(endpoint_fields, .checks = FIELD_CHECKS(check_host_and_port));
#undef T

#define T struct wire_endpoints
static const struct field endpoints_fields[] = {
    {"endpoints", FIELD_LIST, LIST_AT(endpoints), .flags = FIELD_NEEDED, .item = FIELD_OBJECT,
     .schema = &endpoint_schema},
};
const struct field_schema snapshot_endpoints_schema = FIELD_SCHEMA(endpoints_fields);
#undef T

/* ---- the node ---- */

#define T struct cfg_settings
static const struct field settings_fields[] = {
    {"trustedProxies", FIELD_LIST, LIST_AT(trusted_proxies), .item = FIELD_STRING, .format = &format_cidr},
    {"drainTimeoutMs", FIELD_U32, AT(drain_timeout_ms), .def = "60000"},
    {"maxConnections", FIELD_U32, AT(max_connections), .def = "0"},
    {"accessLog", FIELD_STRING, AT(access_log), .min = 1, .def = "stdout"},
    {"trustRequestId", FIELD_BOOL, AT(trust_request_id), .def = "false"},
};
const struct field_schema snapshot_settings_schema = FIELD_SCHEMA(settings_fields);
#undef T

/* gateway.envoyproxy.io v1alpha1 Backend, and BackendTrafficPolicy as far as health checks, load balancing, timeouts
 * and connection limits are concerned. */
#ifndef SELVEDGE_MODEL_OBJECT_BACKEND_H
#define SELVEDGE_MODEL_OBJECT_BACKEND_H

#include "core/model/object/policy.h"

struct obj_backend_fqdn {
    struct slice hostname;
    int32_t port;
};

struct obj_backend_ip {
    struct slice address;
    int32_t port;
};

struct obj_backend_unix {
    struct slice path;
};

struct obj_backend_endpoint { /* exactly one of the three */
    struct obj_backend_fqdn *fqdn;
    struct obj_backend_ip *ip;
    struct obj_backend_unix *unix_socket;
    struct slice hostname; /* Host towards health checks */
};

enum obj_app_protocol { OBJ_APP_H2C, OBJ_APP_WS };

struct obj_backend_spec {
    struct obj_backend_endpoint *endpoints; /* at least one */
    uint32_t num_endpoints;
    enum obj_app_protocol *app_protocols; /* none: HTTP/1.1 */
    uint32_t num_app_protocols;
};

struct obj_backend {
    struct obj_head head;
    struct obj_backend_spec spec;
};

/* ---- BackendTrafficPolicy ---- */

enum obj_check_type { OBJ_CHECK_HTTP, OBJ_CHECK_TCP, OBJ_CHECK_GRPC };

struct obj_check_http {
    struct slice path, hostname;
    int32_t *expected_statuses; /* none: 200 */
    uint32_t num_expected_statuses;
};

struct obj_check_grpc {
    struct slice service;
};

struct obj_check_tcp { /* connecting is the check */
    char unused;
};

struct obj_active_check {
    enum obj_check_type type;
    uint64_t timeout_ms, interval_ms;                /* 1 s, 3 s */
    uint32_t unhealthy_threshold, healthy_threshold; /* 3, 1 */
    struct obj_check_http *http;
    struct obj_check_tcp *tcp;
    struct obj_check_grpc *grpc; /* may be NULL with GRPC */
};

struct obj_health_check {
    struct obj_active_check *active;
};

enum obj_lb_type { OBJ_LB_LEAST_REQUEST, OBJ_LB_RANDOM, OBJ_LB_ROUND_ROBIN };

struct obj_load_balancer {
    enum obj_lb_type type;
};

struct obj_tcp_timeout {
    bool has_connect;
    uint64_t connect_ms;
};

struct obj_http_timeout {
    bool has_connection_idle;
    uint64_t connection_idle_ms;
};

struct obj_policy_timeout {
    struct obj_tcp_timeout tcp;
    struct obj_http_timeout http;
};

struct obj_circuit_breaker { /* 1024 each */
    uint32_t max_connections, max_pending_requests, max_parallel_requests;
};

struct obj_traffic_policy_spec {
    struct obj_policy_target *target_refs; /* at least one, or target_ref (its older spelling) */
    uint32_t num_target_refs;
    struct obj_policy_target *target_ref;
    struct obj_health_check *health_check;
    struct obj_load_balancer *load_balancer;
    struct obj_policy_timeout *timeout;
    struct obj_circuit_breaker *circuit_breaker;
};

struct obj_traffic_policy {
    struct obj_head head;
    struct obj_traffic_policy_spec spec;
};

extern const struct field_schema obj_backend_schema, obj_traffic_policy_schema;

#endif

/* gateway.envoyproxy.io v1alpha1 ClientTrafficPolicy: limits and timeouts towards clients, TLS versions, and who is believed
 * about a client's address. Its fields are those that have a limit of ours to set; all others are refused by name. */
#ifndef SELVEDGE_MODEL_OBJECT_CLIENT_POLICY_H
#define SELVEDGE_MODEL_OBJECT_CLIENT_POLICY_H

#include "core/model/object/policy.h"

struct obj_client_tcp_timeout {
    bool has_tls_handshake;
    uint64_t tls_handshake_ms;
};

struct obj_client_http_timeout { /* 0: never */
    bool has_request, has_headers, has_idle, has_stream_idle;
    uint64_t request_ms, headers_ms, idle_ms, stream_idle_ms;
};

struct obj_client_timeout {
    struct obj_client_tcp_timeout tcp;
    struct obj_client_http_timeout http;
};

struct obj_connection_limit {
    int64_t value;         /* 0: absent */
    uint32_t max_requests; /* 0: no limit */
};

struct obj_client_connection {
    struct obj_connection_limit limit;
};

struct obj_client_http2 {
    uint32_t max_concurrent_streams; /* 0: absent */
    bool has_stream_window, has_connection_window;
    struct field_int_or_string stream_window, connection_window; /* quantities: obj_quantity() */
};

enum obj_tls_version { OBJ_TLS_AUTO, OBJ_TLS_12, OBJ_TLS_13 };
enum obj_alpn { OBJ_ALPN_H2, OBJ_ALPN_HTTP11 };

struct obj_client_tls {
    enum obj_tls_version min, max;
    struct slice *ciphers; /* of TLS 1.2; none: ours */
    uint32_t num_ciphers;
    enum obj_alpn *alpn; /* in order of preference; none: h2, http/1.1 */
    uint32_t num_alpn;
};

struct obj_forwarded_for { /* exactly one of the two */
    bool has_hops;
    int32_t hops;
    struct slice *networks;
    uint32_t num_networks;
};

struct obj_client_ip {
    struct obj_forwarded_for *forwarded_for;
};

struct obj_client_path {
    bool no_merging; /* refused when true: see docs/decisions/0010 */
};

struct obj_client_headers { /* nothing of it can be chosen here */
    char unused;
};

struct obj_client_policy_spec {
    struct obj_policy_target *target_refs;
    uint32_t num_target_refs;
    struct obj_policy_target *target_ref;
    struct obj_client_timeout timeout;
    struct obj_client_connection connection;
    struct obj_client_http2 http2;
    struct obj_client_tls *tls;
    struct obj_client_ip *client_ip;
    struct obj_client_path path;
    struct obj_client_headers *headers;
};

struct obj_client_policy {
    struct obj_head head;
    struct obj_client_policy_spec spec;
};

extern const struct field_schema obj_client_policy_schema;

/* A whole number of bytes as Kubernetes writes it: 65536, "64Ki", "1M". -1: none, or more than INT64_MAX. */
int64_t obj_quantity(const struct field_int_or_string *quantity);

#endif

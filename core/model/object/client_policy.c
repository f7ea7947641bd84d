#include "core/model/object/client_policy.h"

#include "core/model/format.h"
#include "core/model/object/gateway.h"

enum { MIN_WINDOW = 65535 }; /* RFC 9113 6.5.2: what a window is before anybody says something */

/* ---- quantities ---- */

static int suffix_factor(struct slice suffix, int64_t *ret_factor)
{
    static const struct {
        const char *name;
        int64_t factor;
    } suffixes[] = {{"", 1},
                    {"k", 1000},
                    {"M", 1000000},
                    {"G", 1000000000},
                    {"T", 1000000000000},
                    {"P", 1000000000000000},
                    {"E", 1000000000000000000},
                    {"Ki", (int64_t)1 << 10},
                    {"Mi", (int64_t)1 << 20},
                    {"Gi", (int64_t)1 << 30},
                    {"Ti", (int64_t)1 << 40},
                    {"Pi", (int64_t)1 << 50},
                    {"Ei", (int64_t)1 << 60}};
    for (size_t i = 0; i < ARRAY_LEN(suffixes); ++i) {
        if (slice_is(suffix, suffixes[i].name)) {
            *ret_factor = suffixes[i].factor;
            return 0;
        }
    }
    return -1;
}

int64_t obj_quantity(const struct field_int_or_string *quantity)
{
    struct slice text = quantity->text;
    int64_t number = 0, factor;
    size_t at = 0;
    if (!quantity->is_string)
        return quantity->number;
    for (; at < text.len && text.base[at] >= '0' && text.base[at] <= '9'; ++at)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, text.base[at] - '0', &number))
            return -1;
    if (at == 0 || suffix_factor(slice_make(text.base + at, text.len - at), &factor) != 0 ||
        __builtin_mul_overflow(number, factor, &number))
        return -1;
    return number;
}

/* ---- targets ---- */

#define T struct obj_policy_target
static const struct field target_fields[] = {
    {"kind", FIELD_STRING, AT(kind), FIELD_NEEDED, .names = FIELD_NAMES("Gateway"),
     .refused = FIELD_NAMES("ListenerSet"), .doc = "Kind of the target."},
    OBJ_POLICY_TARGET_FIELDS,
};
static const struct field_schema target_schema = FIELD_SCHEMA(target_fields);
#undef T

/* ---- timeouts ---- */

#define T struct obj_client_tcp_timeout
static const struct field tcp_timeout_fields[] = {
    {"tlsHandshakeTimeout", FIELD_DURATION, AT(tls_handshake_ms), HAS(has_tls_handshake), .max = UINT32_MAX,
     .doc = "From the connection to the end of the TLS handshake, however it drips; 10s unless given; 0s: never."},
    {"connectionInspectionTimeout", FIELD_DURATION, .flags = FIELD_UNSUPPORTED},
    {"idleTimeout", FIELD_DURATION, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema tcp_timeout_schema = FIELD_SCHEMA(tcp_timeout_fields);
#undef T

#define T struct obj_client_http_timeout
static const struct field http_timeout_fields[] = {
    {"requestReceivedTimeout", FIELD_DURATION, AT(request_ms), HAS(has_request), .max = UINT32_MAX,
     .doc = "From a request's first byte to its last, or to the beginning of the answer; none unless given."},
    {"requestHeadersReceivedTimeout", FIELD_DURATION, AT(headers_ms), HAS(has_headers), .max = UINT32_MAX,
     .doc = "From a request's first byte to the end of its headers; 10s unless given; 0s: never."},
    {"idleTimeout", FIELD_DURATION, AT(idle_ms), HAS(has_idle), .max = UINT32_MAX,
     .doc = "How long a connection without a request is kept; 75s unless given; 0s: for ever."},
    {"streamIdleTimeout", FIELD_DURATION, AT(stream_idle_ms), HAS(has_stream_idle), .max = UINT32_MAX,
     .doc = "How long a request may stand still, in both directions; unless given, 60s for bodies that are "
            "awaited and answers that are not taken, and no limit else; 0s: for ever."},
};
static const struct field_schema http_timeout_schema = FIELD_SCHEMA(http_timeout_fields);
#undef T

#define T struct obj_client_timeout
static const struct field timeout_fields[] = {
    {"tcp", FIELD_OBJECT, AT(tcp), .schema = &tcp_timeout_schema, .doc = "Of connections."},
    {"http", FIELD_OBJECT, AT(http), .schema = &http_timeout_schema, .doc = "Of HTTP."},
};
static const struct field_schema timeout_schema = FIELD_SCHEMA(timeout_fields);
#undef T

/* ---- connections ---- */

#define T struct obj_connection_limit
static const struct field connection_limit_fields[] = {
    {"value", FIELD_I64, AT(value), .min = 1,
     .doc = "Connections of a proxy at a time; beyond it idle ones are let go, and new ones closed at once."},
    {"maxRequestsPerConnection", FIELD_U32, AT(max_requests), .max = INT32_MAX,
     .doc = "Requests over a connection before it is closed; 0: no limit."},
    {"closeDelay", FIELD_DURATION, .flags = FIELD_UNSUPPORTED},
    {"maxConnectionDuration", FIELD_DURATION, .flags = FIELD_UNSUPPORTED},
    {"maxStreamDuration", FIELD_DURATION, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema connection_limit_schema = FIELD_SCHEMA(connection_limit_fields);
#undef T

#define T struct obj_client_connection
static const struct field connection_fields[] = {
    {"connectionLimit", FIELD_OBJECT, AT(limit), .schema = &connection_limit_schema, .doc = "How many there may be."},
    {"bufferLimit", FIELD_INT_OR_STRING, .flags = FIELD_UNSUPPORTED},
    {"maxAcceptPerSocketEvent", FIELD_I32, .flags = FIELD_UNSUPPORTED},
    {"socketBufferLimit", FIELD_INT_OR_STRING, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema connection_schema = FIELD_SCHEMA(connection_fields);
#undef T

/* ---- HTTP/2 ---- */

static void check_window(struct field_ctx *ctx, bool is_given, const struct field_int_or_string *window, const char *at)
{
    int64_t bytes = is_given ? obj_quantity(window) : MIN_WINDOW;
    if (bytes < MIN_WINDOW || bytes > INT32_MAX)
        field_refuse(ctx, FIELD_INVALID, at, "must be a quantity between %d and %d bytes, such as 64Ki", MIN_WINDOW, INT32_MAX);
}

static void check_windows(struct field_ctx *ctx, const void *object)
{
    const struct obj_client_http2 *http2 = object;
    check_window(ctx, http2->has_stream_window, &http2->stream_window, "initialStreamWindowSize");
    check_window(ctx, http2->has_connection_window, &http2->connection_window, "initialConnectionWindowSize");
}

#define T struct obj_client_http2
static const struct field http2_fields[] = {
    {"maxConcurrentStreams", FIELD_U32, AT(max_concurrent_streams), .min = 1, .max = INT32_MAX,
     .doc = "Requests at a time on a connection; 128 unless given."},
    {"initialStreamWindowSize", FIELD_INT_OR_STRING, AT(stream_window), HAS(has_stream_window),
     .doc = "Bytes of a request's body that may wait for their backend; unless given, 65535, and 256Ki once as much was taken."},
    {"initialConnectionWindowSize", FIELD_INT_OR_STRING, AT(connection_window), HAS(has_connection_window),
     .doc = "Bytes of bodies on their way on a connection; 1Mi unless given."},
    {"onInvalidMessage", FIELD_STRING, .flags = FIELD_UNSTORED, .names = FIELD_NAMES("TerminateStream"),
     .refused = FIELD_NAMES("TerminateConnection"), .doc = "What a malformed message ends: its stream."},
    {"connectionKeepalive", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema http2_schema = FIELD_SCHEMA(http2_fields, .checks = FIELD_CHECKS(check_windows));
#undef T

/* ---- TLS ---- */

static void check_versions(struct field_ctx *ctx, const void *object)
{
    const struct obj_client_tls *tls = object;
    if (tls->min != OBJ_TLS_AUTO && tls->max != OBJ_TLS_AUTO && tls->min > tls->max)
        field_refuse(ctx, FIELD_INVALID, "minVersion", "minVersion must be smaller or equal to maxVersion");
    if (tls->min == OBJ_TLS_13 && tls->num_ciphers != 0)
        field_refuse(ctx, FIELD_INVALID, "ciphers",
                     "setting ciphers has no effect if the minimum possible TLS version is 1.3");
}

#define TLS_VERSIONS .names = FIELD_NAMES("Auto", "1.2", "1.3"), .refused = FIELD_NAMES("1.0", "1.1"), .def = "Auto"

#define T struct obj_client_tls
static const struct field tls_fields[] = {
    {"minVersion", FIELD_ENUM, AT(min), TLS_VERSIONS, .doc = "Oldest version; Auto: 1.2."},
    {"maxVersion", FIELD_ENUM, AT(max), TLS_VERSIONS, .doc = "Newest version; Auto: 1.3."},
    {"ciphers", FIELD_LIST, LIST_AT(ciphers), .flags = FIELD_SET, .item = FIELD_STRING, .min = 1, .max = 6,
     .names = FIELD_NAMES("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                          "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"),
     .refused = FIELD_NAMES("ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256", "AES128-SHA",
                            "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "AES256-GCM-SHA384", "AES256-SHA"),
     .doc = "Suites of TLS 1.2, those with forward secrecy and authenticated encryption; all of these unless given."},
    {"alpnProtocols", FIELD_LIST, LIST_AT(alpn), .flags = FIELD_SET, .item = FIELD_ENUM, .min = 1, .max = 2,
     .names = FIELD_NAMES("h2", "http/1.1"), .refused = FIELD_NAMES("http/1.0", "h3"),
     .doc = "Protocols offered, the preferred one first; h2 and http/1.1 unless given."},
    {"clientValidation", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"ecdhCurves", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"fingerprints", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"session", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"signatureAlgorithms", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
};
static const struct field_schema tls_schema = FIELD_SCHEMA(tls_fields, .checks = FIELD_CHECKS(check_versions));
#undef T

/* ---- the client's address ---- */

static void check_hops_or_networks(struct field_ctx *ctx, const void *object)
{
    const struct obj_forwarded_for *forwarded_for = object;
    if (forwarded_for->has_hops == (forwarded_for->num_networks != 0))
        field_refuse(ctx, forwarded_for->has_hops ? FIELD_INVALID : FIELD_REQUIRED, "",
                     "only one of numTrustedHops or trustedCIDRs must be set");
}

#define T struct obj_forwarded_for
static const struct field forwarded_for_fields[] = {
    {"numTrustedHops", FIELD_I32, AT(hops), HAS(has_hops), .min = 0, .max = 64,
     .doc = "The client is so many addresses from the right of X-Forwarded-For, whoever the connection comes from; "
            "0: X-Forwarded-For is not believed."},
    {"trustedCIDRs", FIELD_LIST, LIST_AT(networks), .flags = FIELD_SET, .item = FIELD_STRING, .max = 256,
     .format = &format_cidr, .doc = "Whose X-Forwarded-* are believed here, instead of MeshConfig's trustedProxies."},
    {"disableXForwardedForAppend", FIELD_BOOL, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema forwarded_for_schema =
    FIELD_SCHEMA(forwarded_for_fields, .checks = FIELD_CHECKS(check_hops_or_networks));
#undef T

#define T struct obj_client_ip
static const struct field client_ip_fields[] = {
    {"xForwardedFor", FIELD_OBJECT_PTR, AT(forwarded_for), FIELD_NEEDED, .schema = &forwarded_for_schema,
     .doc = "By X-Forwarded-For."},
    {"customHeader", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"directSourceIP", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema client_ip_schema = FIELD_SCHEMA(client_ip_fields);
#undef T

/* ---- what is fixed here: only the value that is true may be asked for ---- */

static void check_slashes_are_merged(struct field_ctx *ctx, const void *object)
{
    const struct obj_client_path *path = object;
    if (path->no_merging)
        field_refuse(ctx, FIELD_NOT_SERVED, "disableMergeSlashes", "not supported");
}

#define T struct obj_client_path
static const struct field path_fields[] = {
    {"escapedSlashesAction", FIELD_STRING, .flags = FIELD_UNSTORED, .names = FIELD_NAMES("RejectRequest"),
     .refused = FIELD_NAMES("KeepUnchanged", "UnescapeAndForward", "UnescapeAndRedirect"),
     .doc = "What becomes of %2F and %5C in a path: 400."},
    {"disableMergeSlashes", FIELD_BOOL, AT(no_merging), .def = "false",
     .doc = "false: slashes in a row are one, for routes and for backends."},
};
static const struct field_schema path_schema =
    FIELD_SCHEMA(path_fields, .checks = FIELD_CHECKS(check_slashes_are_merged));
#undef T

#define T struct obj_client_headers
static const struct field headers_fields[] = {
    {"withUnderscoresAction", FIELD_STRING, .flags = FIELD_UNSTORED, .names = FIELD_NAMES("DropHeader"),
     .refused = FIELD_NAMES("Allow", "RejectRequest"), .doc = "What becomes of headers with '_' in their name: they are dropped."},
    {"disableRateLimitHeaders", FIELD_BOOL, .flags = FIELD_UNSUPPORTED},
    {"earlyRequestHeaders", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"enableEnvoyHeaders", FIELD_BOOL, .flags = FIELD_UNSUPPORTED},
    {"host", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"lateResponseHeaders", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"maxRequestHeaderLimit", FIELD_INT_OR_STRING, .flags = FIELD_UNSUPPORTED},
    {"preserveXRequestID", FIELD_BOOL, .flags = FIELD_UNSUPPORTED},
    {"requestID", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
    {"xForwardedClientCert", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema headers_schema = FIELD_SCHEMA(headers_fields);
#undef T

/* ---- the policy ---- */

static void check_target_is_given(struct field_ctx *ctx, const void *object)
{
    const struct obj_client_policy_spec *spec = object;
    obj_policy_check_targets(ctx, spec->target_ref, spec->num_target_refs);
}

#define T struct obj_client_policy_spec
static const struct field client_policy_spec_fields[] = {
    {"targetRefs", FIELD_LIST, LIST_AT(target_refs), .item = FIELD_OBJECT, .schema = &target_schema, .max = 16,
     .doc = "Gateways, or single listeners of theirs, that this is about."},
    {"targetRef", FIELD_OBJECT_PTR, AT(target_ref), .schema = &target_schema, .doc = "Older way to name one target."},
    {"timeout", FIELD_OBJECT, AT(timeout), .schema = &timeout_schema, .doc = "How long clients may take."},
    {"connection", FIELD_OBJECT, AT(connection), .schema = &connection_schema, .doc = "Connections of clients."},
    {"http2", FIELD_OBJECT, AT(http2), .schema = &http2_schema, .doc = "HTTP/2 towards clients."},
    {"tls", FIELD_OBJECT_PTR, AT(tls), .schema = &tls_schema, .doc = "TLS towards clients."},
    {"clientIPDetection", FIELD_OBJECT_PTR, AT(client_ip), .schema = &client_ip_schema,
     .doc = "How a client's address is known behind other proxies."},
    {"path", FIELD_OBJECT, AT(path), .schema = &path_schema, .doc = "How paths are brought into their one form."},
    {"headers", FIELD_OBJECT_PTR, AT(headers), .schema = &headers_schema, .doc = "Headers of requests."},
    {"targetSelectors", FIELD_LIST, .flags = FIELD_UNSUPPORTED, .item = FIELD_STRING},
    {"enableProxyProtocol", FIELD_BOOL, .flags = FIELD_UNSUPPORTED},
    {"grpc", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"healthCheck", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"http1", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"http3", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"proxyProtocol", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
    {"scheme", FIELD_STRING, .flags = FIELD_UNSUPPORTED},
    {"tcpKeepalive", FIELD_RAW, .flags = FIELD_UNSUPPORTED},
};
static const struct field_schema client_policy_spec_schema =
    FIELD_SCHEMA(client_policy_spec_fields, .checks = FIELD_CHECKS(check_target_is_given));
#undef T

#define T struct obj_client_policy
static const struct field client_policy_fields[] = {
    OBJ_HEAD_FIELDS,
    {"spec", FIELD_OBJECT, AT(spec), FIELD_NEEDED, .schema = &client_policy_spec_schema, .doc = "What is wanted."},
    OBJ_STATUS_FIELD(&obj_policy_status_schema),
};
const struct field_schema obj_client_policy_schema =
    FIELD_SCHEMA(client_policy_fields, .doc = "Limits and timeouts towards clients of a Gateway, or of one of its listeners.");
#undef T

/* The snapshot: one node's compiled configuration, immutable, shared by reference. The one type between control and data.
 *
 * Wire form: a set of compiled resources {kind, name, spec}; see docs/snapshot.md. A snapshot or a delta of the
 * config stream carries them, the node's cache file stores them. Kinds, and what names them:
 *   settings     "node"                    struct cfg_settings
 *   listener     "ADDRESS:PORT"            struct cfg_listener (one per bound socket; its servers are Gateway listeners)
 *   certificate  "NAMESPACE/SECRET"        struct cfg_certificate (with key: never in the cache file)
 *   route        "httproute/NS/NAME"       struct cfg_route, with where it is attached
 *   cluster      "service/NS/NAME:PORT", "backend/NS/NAME"   struct cfg_cluster
 *   endpoints    name of the cluster       struct cfg_endpoint[] (apart, because they change most)
 * Decoding is table-driven and strict: an unknown field or kind is an error, so version skew shows at once.
 *
 * Threads: built on any thread off the loop (regular expressions are compiled, indexes made), then read-only.
 * Ownership: everything below points into the snapshot's arena or to siblings in the same snapshot.
 * Lifetime: _ref/_unref are atomic; a worker holds one reference for all its requests. */
#ifndef SELVEDGE_MODEL_SNAPSHOT_H
#define SELVEDGE_MODEL_SNAPSHOT_H

#include "core/base/hashmap.h"
#include "core/base/json.h"
#include "core/model/cohort.h"

struct rt_index;   /* core/route's compiled form of a server's routes */
struct rt_regex;   /* a compiled regular expression */

/* ---------- matching and filters (Gateway API HTTPRoute, compiled) ---------- */

enum cfg_match_kind { CFG_MATCH_EXACT, CFG_MATCH_PREFIX, CFG_MATCH_REGEX };

struct cfg_value_match { /* header or query parameter */
    struct slice name;   /* headers: lower case */
    enum cfg_match_kind kind; /* EXACT or REGEX */
    struct slice value;
    struct rt_regex *regex;
};

struct cfg_match {
    enum cfg_match_kind path_kind;
    struct slice path;       /* default prefix "/"; a prefix is without trailing slash except "/" itself */
    struct rt_regex *path_regex;
    struct slice method;     /* {NULL,0}: any */
    struct cfg_value_match *headers, *queries;
    uint32_t num_headers, num_queries;
};

struct cfg_header_edit {
    struct slice name, value; /* name in lower case; value is not used by remove */
};

struct cfg_header_mod {
    struct cfg_header_edit *set, *add, *remove;
    uint32_t num_set, num_add, num_remove;
};

enum cfg_path_mod { CFG_PATH_KEEP, CFG_PATH_REPLACE_FULL, CFG_PATH_REPLACE_PREFIX };

struct cfg_redirect {
    struct slice scheme, hostname; /* {NULL,0}: keep */
    int32_t port;                  /* 0: Gateway API's rule (scheme's well-known port, else the listener's) */
    uint32_t status;
    enum cfg_path_mod path_mod;
    struct slice path;
};

struct cfg_rewrite {
    struct slice hostname; /* {NULL,0}: keep */
    enum cfg_path_mod path_mod;
    struct slice path;
};

/* Filters of a rule or a backend, folded by kind: at most one of each by Gateway API. */
struct cfg_filters {
    struct cfg_header_mod request_headers, response_headers;
    struct cfg_redirect *redirect; /* NULL: none */
    struct cfg_rewrite *rewrite;
};

struct cfg_backend {
    struct slice cluster_name;
    struct cfg_cluster *cluster; /* NULL: the reference does not resolve: its share of requests gets 500 */
    uint32_t weight;
    uint64_t weight_upto;        /* sum of weights up to and with this one */
    struct cfg_filters filters;
};

struct cfg_rule {
    struct cfg_route *route;
    struct slice name; /* spec.rules[].name or {NULL,0} */
    uint32_t index;
    struct cfg_match *matches;
    uint32_t num_matches;
    struct cfg_filters filters;
    struct cfg_backend *backends;
    uint32_t num_backends;
    uint64_t total_weight;
    uint64_t request_timeout_ms, backend_timeout_ms; /* 0: none */
    bool has_request_timeout, has_backend_timeout;   /* given, though maybe 0 */
};

struct cfg_attachment {
    struct slice listener, server; /* "0.0.0.0:8443", "NS/GATEWAY/SECTION" */
    struct slice *hostnames;       /* effective: intersected with the server's; empty: any */
    uint32_t num_hostnames;
};

struct cfg_route {
    struct slice name; /* "httproute/NS/NAME" */
    struct slice ns, object; /* for logs */
    int64_t created_us;      /* creationTimestamp: age decides ties */
    struct cfg_attachment *attachments;
    uint32_t num_attachments;
    struct cfg_rule *rules;
    uint32_t num_rules;
    struct cfg_cohort_source *cohort; /* what keeps a user with one share of a weighted rule; none: chance */
    uint32_t num_cohort;
};

/* ---------- listeners ---------- */

enum cfg_protocol { CFG_PROTOCOL_HTTP, CFG_PROTOCOL_HTTPS };

struct cfg_certificate {
    struct slice name, cert_pem, key_pem;
};

/* One Gateway listener; several may share a port, told apart by hostname. */
struct cfg_server {
    struct slice name;     /* "NS/GATEWAY/SECTION" */
    struct slice hostname; /* lower case; "" any; may begin with "*." */
    struct cfg_certificate **certificates;
    uint32_t num_certificates;
    int32_t tls_min_version; /* 0 default, 12, 13 */
    struct rt_index *index;  /* made by rt_index_build() when the snapshot is built */
};

enum cfg_alpn { CFG_ALPN_H2, CFG_ALPN_HTTP11 };

/* How a listener treats its clients. What is not given (has_…, 0, an empty list) is as the proxy does it by itself. New
 * connections get what is here; those that are there keep what they began with, except for whom they are believed. */
struct cfg_client {
    bool has_handshake_timeout, has_head_timeout, has_request_timeout, has_idle_timeout, has_stream_idle_timeout;
    uint32_t handshake_timeout_ms, head_timeout_ms, request_timeout_ms, idle_timeout_ms, stream_idle_timeout_ms; /* 0: never */
    uint32_t max_connections;          /* per node */
    uint32_t max_requests;             /* of a connection */
    uint32_t max_streams, stream_window, connection_window; /* HTTP/2 */
    int32_t tls_min_version, tls_max_version; /* 12, 13 */
    struct slice *tls_suites;          /* of TLS 1.2, by OpenSSL's names */
    uint32_t num_tls_suites;
    enum cfg_alpn *alpn;               /* the preferred one first */
    uint32_t num_alpn;
    bool has_trusted_hops;             /* X-Forwarded-For by counting, whoever the connection comes from; 0: not believed */
    uint32_t trusted_hops;
    struct slice *trusted_proxies;     /* CIDRs, instead of the settings' */
    uint32_t num_trusted_proxies;
};

struct cfg_listener {
    struct slice name, address; /* address "" means every address, IPv4 and IPv6 */
    uint16_t port;
    enum cfg_protocol protocol;
    struct cfg_client *client;  /* NULL: nothing is given */
    struct cfg_server *servers; /* most specific hostname first */
    uint32_t num_servers;
};

/* ---------- clusters ---------- */

enum cfg_upstream_protocol { CFG_UPSTREAM_HTTP1, CFG_UPSTREAM_H2C, CFG_UPSTREAM_WS /* HTTP/1.1 with upgrade expected */ };
enum cfg_lb { CFG_LB_LEAST_REQUEST, CFG_LB_ROUND_ROBIN, CFG_LB_RANDOM };
enum cfg_check { CFG_CHECK_NONE, CFG_CHECK_HTTP, CFG_CHECK_TCP, CFG_CHECK_GRPC };

struct cfg_health_check {
    enum cfg_check kind;
    uint32_t timeout_ms, interval_ms;                  /* 1 s, 5 s; interval gets 10 % jitter */
    uint32_t unhealthy_threshold, healthy_threshold;   /* 3, 1 */
    struct slice path, host;                           /* HTTP: "/", cluster's host */
    struct slice grpc_service;
    uint16_t *expected_statuses;                       /* HTTP: 200 when empty */
    uint32_t num_expected_statuses;
};

struct cfg_endpoint {
    struct slice host; /* IP literal, DNS name, or "unix:/path" */
    uint16_t port;
    uint32_t weight;   /* 1 */
    bool is_ready;
    struct slice key;  /* "host:port": identity across snapshots */
};

struct cfg_alt_name {
    bool is_uri;
    struct slice text; /* a DNS name, "*.example" for that very wildcard, or a whole URI */
};

/* TLS towards the endpoints: that it is there turns it on. The peer is always verified. */
struct cfg_upstream_tls {
    struct slice hostname;          /* asked for (SNI); and verified, unless there are alternative names */
    struct slice ca_pem;            /* {NULL,0}: the roots of the proxy's system */
    struct cfg_alt_name *alt_names; /* one of them must be the certificate's */
    uint32_t num_alt_names;
};

struct cfg_cluster {
    struct slice name;
    struct slice host; /* for Host towards health checks and DNS backends: "reviews.default" */
    enum cfg_upstream_protocol protocol;
    struct cfg_upstream_tls *tls; /* NULL: plain */
    enum cfg_lb lb;
    struct cfg_endpoint *endpoints;
    uint32_t num_endpoints;
    struct cfg_health_check check;
    uint32_t connect_timeout_ms;    /* 5 s */
    uint32_t first_byte_timeout_ms; /* 30 s; 0: none. A rule's backendRequest replaces it */
    uint32_t idle_timeout_ms;       /* pooled connection: 60 s */
    uint32_t max_connections, max_pending, max_requests; /* per node; 1024 each */
};

/* ---------- the node ---------- */

struct cfg_settings {
    struct slice *trusted_proxies; /* CIDRs whose forwarded headers are believed */
    uint32_t num_trusted_proxies;
    uint32_t drain_timeout_ms;     /* 60 s */
    uint32_t max_connections;      /* downstream, per process; 0: from the descriptor limit */
    struct slice access_log;       /* "stdout", "off", or a file's path */
    bool trust_request_id;         /* keep a client's x-request-id even from untrusted hops: false */
};

struct cfg_snapshot {
    int refs;              /* atomic */
    struct arena *arena;   /* owned */
    uint64_t epoch, rev;
    struct cfg_settings settings;
    struct cfg_listener *listeners;
    uint32_t num_listeners;
    struct cfg_route *routes;
    uint32_t num_routes;
    struct cfg_cluster *clusters;
    uint32_t num_clusters;
    struct cfg_certificate *certificates;
    uint32_t num_certificates;
    struct hashmap clusters_by_name;
    void (*dispose)(struct cfg_snapshot *snapshot); /* frees what core/route hung in (indexes, regexes); may be NULL */
};

/* ---------- the compiled document ---------- */

/* A set of compiled resources, as the compiler makes it, the stream carries it, the cache keeps it. The texts are immutable
 * and shared between documents, on any thread: many revisions with the same ten thousand routes hold them once. */
struct cfg_resource {
    struct slice kind, name;  /* of `texts` */
    uint64_t rev;             /* revision that last changed it */
    uint64_t sum;             /* hash_stable of kind, name and canonical spec */
    struct json *spec;        /* borrowed from the document's arena */
    struct slice text;        /* canonical JSON of spec, of `texts` */
    struct cfg_texts *texts;  /* owned reference */
};

struct cfg_document {
    struct arena *arena;      /* owned */
    uint64_t epoch, rev;
    struct cfg_resource *resources; /* sorted by kind, then name */
    uint32_t num, cap;
};

struct cfg_document *cfg_document_new(void);
struct cfg_document *cfg_document_free(struct cfg_document *doc);
/* Copies the spec's canonical text into the document. In any order; cfg_document_seal() sorts and refuses duplicates. */
void cfg_document_add(struct cfg_document *doc, struct slice kind, struct slice name, uint64_t rev, const struct json *spec);
/* The resource of another document as it is, sharing its texts. */
void cfg_document_add_shared(struct cfg_document *doc, const struct cfg_resource *resource);
int cfg_document_seal(struct cfg_document *doc, struct err *err);
/* Both sealed. Resources that are just so in `before` (may be NULL) take over its texts and revision, the others get the
 * document's own. */
void cfg_document_inherit(struct cfg_document *doc, const struct cfg_document *before);
/* Order-independent sum over all resources: both ends of a stream must agree on it after each delta. */
uint64_t cfg_document_sum(const struct cfg_document *doc);
const struct cfg_resource *cfg_document_find(const struct cfg_document *doc, struct slice kind, struct slice name);
/* {"epoch":"…","rev":N,"sum":"hex","resources":[{"kind","name","rev","spec"}]}. Keys of certificates are left out when
 * `without_secrets`. */
void cfg_document_write(const struct cfg_document *doc, bool without_secrets, struct strbuf *out);
struct cfg_document *cfg_document_parse(struct slice text, struct err *err);
/* The net change: {"from","to","upsert":[…],"delete":[{"kind","name"}],"sum"}; false when there is none. */
bool cfg_document_diff(const struct cfg_document *from, const struct cfg_document *to, struct strbuf *out);
/* A new document: `base` with the delta applied; ERR_CONFLICT when `from` or `sum` do not fit. */
struct cfg_document *cfg_document_patch(const struct cfg_document *base, const struct json *delta, struct err *err);

/* Decodes and links a document: structs, cross references, defaults. Does not compile regexes nor indexes: that is
 * rt_snapshot_build() (core/route/decide.h), which calls this. NULL on error, naming resource and field. */
struct cfg_snapshot *cfg_snapshot_decode(const struct cfg_document *doc, struct err *err);
struct cfg_snapshot *cfg_snapshot_ref(struct cfg_snapshot *snapshot);
void cfg_snapshot_unref(struct cfg_snapshot *snapshot);
struct cfg_cluster *cfg_snapshot_cluster(const struct cfg_snapshot *snapshot, struct slice name);


/* Specs for cfg_document_add(), by the tables that decode them. Names of resources are not part of their spec; of
 * references (a server's certificates, a backend's cluster) only names are written. Numbers are written as they are:
 * begin with cfg_cluster_defaults(). */
struct json *cfg_settings_encode(const struct cfg_settings *settings, struct arena *arena);
struct json *cfg_listener_encode(const struct cfg_listener *listener, struct arena *arena);
struct json *cfg_certificate_encode(const struct cfg_certificate *certificate, struct arena *arena);
struct json *cfg_route_encode(const struct cfg_route *route, struct arena *arena);
struct json *cfg_cluster_encode(const struct cfg_cluster *cluster, struct arena *arena);
struct json *cfg_endpoints_encode(const struct cfg_endpoint *endpoints, uint32_t num, struct arena *arena);
/* Zeroes, then sets every default. */
void cfg_cluster_defaults(struct cfg_cluster *cluster);

#endif

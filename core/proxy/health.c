/* One probe an endpoint: timer -> (resolve) -> connect -> ask -> verdict -> timer.
 *
 * Everything a running check holds (lookup, connection, call, pool) is let go by stop_check(), whatever the way it ended;
 * the deadline timer and the interval timer are the same one. */
#include "core/proxy/health.h"

#include "core/base/crypto.h"
#include "core/base/rng.h"
#include "core/net/resolver.h"

#include <netinet/in.h>

enum { SPREAD_MS = 1000, JITTER_PERCENT = 10, MAX_ANSWER = 64, MAX_SERVICE = 100 };

struct px_health {
    struct net_worker *main;
    px_health_cb on_change;
    void *data;
    struct px_config *config;   /* referenced; probes point into its snapshot */
    struct list probes;
    struct rng rng;
};

struct probe {
    struct list link;
    struct px_health *health;
    char *key;                  /* owned: cluster, NUL, endpoint */
    struct slice cluster_name, endpoint_key;
    const struct cfg_cluster *cluster;
    const struct cfg_endpoint *endpoint;
    struct px_health_streak streak;
    bool is_seen;
    struct timer timer;         /* the next check, or the deadline of the running one */
    /* of a running check */
    bool is_running;
    struct net_resolve *lookup;
    struct net_io io;           /* TCP */
    bool has_io;
    struct ht_client_conn *conn;
    struct ht_call call;
    struct ht_headers headers;
    h2o_mem_pool_t pool;
    bool has_pool;
    char answer[MAX_ANSWER];    /* gRPC */
    uint32_t answer_len;
};

/* ---- the verdict ---- */

bool px_health_step(struct px_health_streak *streak, bool is_good, uint32_t unhealthy_threshold, uint32_t healthy_threshold)
{
    uint32_t threshold = streak->is_healthy ? unhealthy_threshold : healthy_threshold;

    if (is_good == streak->is_healthy) {
        streak->num = 0;
        return false;
    }
    if (++streak->num < threshold)
        return false;
    streak->is_healthy = is_good;
    streak->num = 0;
    return true;
}

static void stop_check(struct probe *probe)
{
    timer_stop(&probe->timer);
    probe->lookup = net_resolve_cancel(probe->lookup);
    if (probe->has_io)
        net_io_close(&probe->io);
    if (probe->call.conn != NULL)
        ht_call_cancel(&probe->call);
    if (probe->conn != NULL)
        ht_client_close(probe->conn);
    if (probe->has_pool)
        h2o_mem_clear_pool(&probe->pool);
    probe->conn = NULL;
    probe->has_io = probe->has_pool = probe->is_running = false;
}

static uint64_t next_interval_ms(struct probe *probe)
{
    uint64_t interval_ms = probe->cluster->check.interval_ms, jitter_ms = interval_ms * JITTER_PERCENT / 100;

    return interval_ms - jitter_ms + rng_below(&probe->health->rng, 2 * jitter_ms + 1);
}

static void schedule(struct probe *probe, void (*run)(struct timer *timer), uint64_t after_ms)
{
    struct net_worker *main = probe->health->main;

    probe->timer.run = run;
    timer_start(&main->timers, &probe->timer, net_now_ms(main) + after_ms);
}

static void on_due(struct timer *timer);

static void finish(struct probe *probe, bool is_good)
{
    const struct cfg_health_check *check = &probe->cluster->check;
    struct px_health *health = probe->health;

    stop_check(probe);
    schedule(probe, on_due, next_interval_ms(probe));
    if (px_health_step(&probe->streak, is_good, check->unhealthy_threshold, check->healthy_threshold))
        health->on_change(health->data, probe->cluster_name, probe->endpoint_key, probe->streak.is_healthy);
}

static void on_deadline(struct timer *timer)
{
    finish(CONTAINER_OF(timer, struct probe, timer), false);
}

/* ---- TCP ---- */

static struct probe *probe_of_io(struct net_io *io)
{
    return CONTAINER_OF(io, struct probe, io);
}

static size_t on_tcp_read(struct net_io *io, const char *bytes, size_t len)
{
    return len;
}

static void on_tcp_eof(struct net_io *io)
{
}

static void on_tcp_writable(struct net_io *io)
{
}

static void on_tcp_error(struct net_io *io, const char *why)
{
    finish(probe_of_io(io), false);
}

static void on_tcp_ready(struct net_io *io)
{
    finish(probe_of_io(io), true);
}

static const struct net_io_ops tcp_ops = {on_tcp_read, on_tcp_eof, on_tcp_writable, on_tcp_error, on_tcp_ready};

static bool start_tcp(struct probe *probe, const struct sockaddr *addr, socklen_t len)
{
    struct slice no_alpn = {NULL, 0};

    memset(&probe->io, 0, sizeof(probe->io));
    probe->has_io = net_io_connect(&probe->io, probe->health->main, addr, len, NULL, NULL, no_alpn, &tcp_ops, NULL) == 0;
    return probe->has_io;
}

/* ---- HTTP and gRPC ---- */

static struct probe *probe_of_call(struct ht_call *call)
{
    return CONTAINER_OF(call, struct probe, call);
}

static bool is_expected(const struct cfg_health_check *check, unsigned status)
{
    for (uint32_t i = 0; i < check->num_expected_statuses; i++)
        if (check->expected_statuses[i] == status)
            return true;
    return check->num_expected_statuses == 0 && status == 200;
}

static void on_head(struct ht_call *call)
{
    struct probe *probe = probe_of_call(call);
    const struct cfg_health_check *check = &probe->cluster->check;

    if (check->kind == CFG_CHECK_HTTP)
        finish(probe, is_expected(check, call->status));
    else if (call->status != 200)
        finish(probe, false);
}

static size_t on_body(struct ht_call *call, const char *bytes, size_t len)
{
    struct probe *probe = probe_of_call(call);
    size_t room = sizeof(probe->answer) - probe->answer_len;

    memcpy(probe->answer + probe->answer_len, bytes, MIN(room, len));
    probe->answer_len += (uint32_t)MIN(room, len);
    return len;
}

/* HealthCheckResponse{status: SERVING}: one message, uncompressed, field 1 a varint 1. */
static bool is_serving(const struct probe *probe)
{
    static const char serving[] = {0, 0, 0, 0, 2, 0x08, 0x01};
    const struct ht_header *status = ht_headers_find(&probe->call.trailers, SLICE("grpc-status"));

    return status != NULL && slice_is(status->value, "0") && probe->answer_len == sizeof(serving) &&
           memcmp(probe->answer, serving, sizeof(serving)) == 0;
}

static void on_end(struct ht_call *call)
{
    struct probe *probe = probe_of_call(call);

    finish(probe, is_serving(probe));
}

static void on_call_writable(struct ht_call *call)
{
}

static void on_fail(struct ht_call *call, enum ht_fail fail, const char *detail)
{
    finish(probe_of_call(call), false);
}

static const struct ht_call_ops call_ops = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_writable = on_call_writable,
    .on_fail = on_fail,
};

static void on_conn_event(struct ht_client_conn *conn)
{
}

static void on_conn_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail)
{
    ((struct probe *)conn->owner)->conn = NULL; /* the call hears of it by itself */
}

static const struct ht_client_ops conn_ops = {on_conn_event, on_conn_event, on_conn_gone};

static void add(struct probe *probe, struct slice name, struct slice value)
{
    ht_headers_add(&probe->pool, &probe->headers, name, value);
}

static void prepare_call(struct probe *probe)
{
    const struct cfg_health_check *check = &probe->cluster->check;
    bool is_grpc = check->kind == CFG_CHECK_GRPC;

    h2o_mem_init_pool(&probe->pool);
    probe->has_pool = true;
    probe->answer_len = 0;
    probe->headers = (struct ht_headers){NULL, 0, 0};
    add(probe, SLICE("user-agent"), SLICE("selvedge-health/" SELVEDGE_VERSION));
    if (is_grpc) {
        add(probe, SLICE("content-type"), SLICE("application/grpc"));
        add(probe, SLICE("te"), SLICE("trailers"));
    }
    probe->call = (struct ht_call){
        .ops = &call_ops,
        .pool = &probe->pool,
        .method = is_grpc ? SLICE("POST") : SLICE("GET"),
        .scheme = probe->cluster->tls != NULL ? SLICE("https") : SLICE("http"),
        .authority = ht_pool_dup(&probe->pool, check->host.len != 0 ? check->host : probe->cluster->host),
        .target = is_grpc ? SLICE("/grpc.health.v1.Health/Check") : ht_pool_dup(&probe->pool, check->path),
        .request_headers = &probe->headers,
        .request_length = -1,
        .has_body = is_grpc,
    };
}

/* HealthCheckRequest{service}. */
static void send_grpc_request(struct probe *probe)
{
    struct slice service = probe->cluster->check.grpc_service;
    char message[5 + 2 + MAX_SERVICE];
    size_t len = MIN(service.len, (size_t)MAX_SERVICE), body_len = len != 0 ? 2 + len : 0;
    struct iovec iov = {message, 5 + body_len};

    memset(message, 0, 5);
    message[4] = (char)body_len;
    message[5] = 0x0a;
    message[6] = (char)len;
    if (len != 0)
        memcpy(message + 7, service.base, len);
    (void)ht_call_body(&probe->call, &iov, 1); /* all there is */
    ht_call_end(&probe->call, NULL);
}

static const struct net_tls_client *tls_of(const struct px_config *config, const struct cfg_cluster *cluster)
{
    return config->cluster_tls[cluster - config->snapshot->clusters];
}

static bool start_http(struct probe *probe, const struct sockaddr *addr, socklen_t len)
{
    const struct cfg_cluster *cluster = probe->cluster;
    const struct net_tls_client *tls = tls_of(probe->health->config, cluster);
    bool is_http2 = cluster->check.kind == CFG_CHECK_GRPC || cluster->protocol == CFG_UPSTREAM_H2C;
    struct ht_client_config config = {
        .protocol = is_http2 ? HT_CLIENT_HTTP2 : HT_CLIENT_HTTP1,
        .tls = tls != NULL ? net_tls_client_ctx(tls) : NULL,
        .sni = cluster->tls != NULL ? cluster->tls->hostname.base : NULL,
        .connect_timeout_ms = cluster->check.timeout_ms,
    };

    probe->conn = ht_client_connect(probe->health->main, addr, len, &config, &conn_ops, probe, NULL);
    if (probe->conn == NULL)
        return false;
    prepare_call(probe);
    ht_call_start(probe->conn, &probe->call);
    if (probe->call.has_body)
        send_grpc_request(probe);
    return true;
}

/* ---- a check ---- */

static void connect_to(struct probe *probe, const struct sockaddr *addr, socklen_t len)
{
    bool is_started =
        probe->cluster->check.kind == CFG_CHECK_TCP ? start_tcp(probe, addr, len) : start_http(probe, addr, len);

    if (!is_started)
        finish(probe, false);
}

static void on_resolved(void *data, const struct net_resolve_answer *answer, const struct err *err)
{
    struct probe *probe = data;

    probe->lookup = NULL;
    if (answer == NULL) {
        finish(probe, false);
        return;
    }
    const struct sockaddr *addr = (const struct sockaddr *)&answer->addrs[0];
    connect_to(probe, addr, net_sockaddr_len(addr));
}

static void on_due(struct timer *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    const struct cfg_endpoint *endpoint = probe->endpoint;
    struct sockaddr_storage addr;
    socklen_t len;

    probe->is_running = true;
    schedule(probe, on_deadline, probe->cluster->check.timeout_ms);
    if (net_sockaddr_parse(endpoint->host, endpoint->port, &addr, &len, NULL) == 0)
        connect_to(probe, (const struct sockaddr *)&addr, len);
    else
        probe->lookup = net_resolve_start(probe->health->main, endpoint->host, endpoint->port, on_resolved, probe);
}

/* ---- configuration ---- */

static void probe_free(struct probe *probe)
{
    stop_check(probe);
    list_remove(&probe->link);
    free(probe->key);
    free(probe);
}

static struct probe *probe_new(struct px_health *health, struct slice cluster, struct slice endpoint)
{
    struct probe *probe = xcalloc(1, sizeof(*probe));

    probe->health = health;
    probe->key = xcalloc(1, cluster.len + endpoint.len + 2);
    memcpy(probe->key, cluster.base, cluster.len);
    memcpy(probe->key + cluster.len + 1, endpoint.base, endpoint.len);
    probe->cluster_name = slice_make(probe->key, cluster.len);
    probe->endpoint_key = slice_make(probe->key + cluster.len + 1, endpoint.len);
    probe->streak.is_healthy = true;
    timer_init(&probe->timer, on_due);
    list_push(&health->probes, &probe->link);
    return probe;
}

/* Whether the check that runs is one as the new configuration wants it: then it may go on. It holds nothing of the old
 * one's: else an endpoint that never answers would never be found out while changes come faster than checks end. */
static bool is_as_wanted(const struct probe *probe, const struct px_config *config, const struct cfg_cluster *cluster)
{
    const struct cfg_health_check *has = &probe->cluster->check, *wanted = &cluster->check;

    return has->kind == wanted->kind && has->timeout_ms == wanted->timeout_ms && slice_eq(has->path, wanted->path) &&
           slice_eq(has->host, wanted->host) && slice_eq(has->grpc_service, wanted->grpc_service) &&
           probe->cluster->protocol == cluster->protocol && slice_eq(probe->cluster->host, cluster->host) &&
           tls_of(probe->health->config, probe->cluster) == tls_of(config, cluster);
}

static void see_endpoint(struct px_health *health, struct hashmap *known, const struct px_config *config,
                         const struct cfg_cluster *cluster, const struct cfg_endpoint *endpoint)
{
    struct probe *fresh = probe_new(health, cluster->name, endpoint->key);
    size_t key_len = cluster->name.len + 1 + endpoint->key.len;
    struct probe *probe = hashmap_get(known, fresh->key, key_len);
    bool is_new = probe == NULL;

    if (is_new) {
        probe = fresh;
        hashmap_put(known, probe->key, key_len, probe);
    } else {
        probe_free(fresh);
    }
    bool starts_over = is_new || (probe->is_running && !is_as_wanted(probe, config, cluster));
    probe->is_seen = true;
    probe->cluster = cluster;
    probe->endpoint = endpoint;
    if (starts_over) {
        stop_check(probe);
        schedule(probe, on_due, rng_below(&health->rng, MIN(cluster->check.interval_ms, (uint32_t)SPREAD_MS)));
    }
}

static void collect_known(struct px_health *health, struct hashmap *known)
{
    LIST_FOR(probe, &health->probes, struct probe, link)
    {
        probe->is_seen = false;
        hashmap_put(known, probe->key, probe->cluster_name.len + 1 + probe->endpoint_key.len, probe);
    }
}

void px_health_configure(struct px_health *health, struct px_config *config)
{
    const struct cfg_snapshot *snapshot = config->snapshot;
    struct hashmap known = HASHMAP_INIT;
    struct px_config *old = health->config;

    collect_known(health, &known);
    for (uint32_t i = 0; i < snapshot->num_clusters; i++) {
        const struct cfg_cluster *cluster = &snapshot->clusters[i];
        for (uint32_t j = 0; cluster->check.kind != CFG_CHECK_NONE && j < cluster->num_endpoints; j++)
            see_endpoint(health, &known, config, cluster, &cluster->endpoints[j]);
    }
    hashmap_clear(&known);
    LIST_FOR_SAFE(probe, &health->probes, struct probe, link)
    if (!probe->is_seen)
        probe_free(probe);
    health->config = px_config_ref(config);
    px_config_unref(old); /* never the last one: who publishes the next holds the old one still */
    LIST_FOR(told, &health->probes, struct probe, link)
    if (!told->streak.is_healthy)
        health->on_change(health->data, told->cluster_name, told->endpoint_key, false);
}

struct px_health *px_health_new(struct net_worker *main, px_health_cb on_change, void *data)
{
    struct px_health *health = xcalloc(1, sizeof(*health));

    health->main = main;
    health->on_change = on_change;
    health->data = data;
    health->rng.state = crypto_random_u64();
    list_init(&health->probes);
    return health;
}

struct px_health *px_health_free(struct px_health *health)
{
    if (health == NULL)
        return NULL;
    LIST_FOR_SAFE(probe, &health->probes, struct probe, link)
    probe_free(probe);
    px_config_unref(health->config);
    free(health);
    return NULL;
}

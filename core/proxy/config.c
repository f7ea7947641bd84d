/* Making a configuration ready. Order: addresses and trust (cheap, may refuse), TLS (slow, may refuse), chains. */
#include "core/proxy/config.h"

#include "core/base/strbuf.h"

#include <netinet/in.h>

static int resolve_address(struct px_listener_config *config, struct err *err)
{
    const struct cfg_listener *listener = config->listener;
    struct slice address = listener->address;

    config->is_any = address.len == 0;
    if (config->is_any)
        address = SLICE("::");
    if (net_sockaddr_parse(address, listener->port, &config->addr, &config->addr_len, err) != 0)
        return err_wrap(err, "listener %.*s", (int)listener->name.len, listener->name.base);
    return 0;
}

/* ---- TLS ---- */

struct tls_plan {
    struct net_tls_host *hosts;
    size_t num_hosts;
    int min_version, max_version;
    const char *suites;
    struct slice alpn;
};

static void plan_host(struct tls_plan *plan, const struct cfg_server *server, struct arena *arena)
{
    struct net_tls_pair *pairs = arena_alloc(arena, server->num_certificates * sizeof(*pairs));

    for (uint32_t i = 0; i < server->num_certificates; i++) {
        const struct cfg_certificate *certificate = server->certificates[i];
        pairs[i] = (struct net_tls_pair){
            .cert_pem = certificate->cert_pem,
            .key_pem = certificate->key_pem,
            .name = arena_printf(arena, "Secret %.*s", (int)certificate->name.len, certificate->name.base),
        };
    }
    plan->hosts[plan->num_hosts++] = (struct net_tls_host){
        .hostname = arena_strndup(arena, server->hostname.base != NULL ? server->hostname.base : "", server->hostname.len),
        .pairs = pairs,
        .num_pairs = server->num_certificates,
    };
}

static const char *join_suites(const struct cfg_client *client, struct arena *arena)
{
    struct strbuf text = STRBUF_INIT;

    for (uint32_t i = 0; i < client->num_tls_suites; i++) {
        if (i != 0)
            strbuf_addc(&text, ':');
        strbuf_add_slice(&text, client->tls_suites[i]);
    }
    const char *joined = arena_strndup(arena, strbuf_slice(&text).base, text.len);
    strbuf_clear(&text);
    return joined;
}

static struct slice join_alpn(const struct cfg_client *client, struct arena *arena)
{
    static const struct slice names[] = {[CFG_ALPN_H2] = SLICE("\x02h2"), [CFG_ALPN_HTTP11] = NET_TLS_ALPN_HTTP1};
    struct strbuf list = STRBUF_INIT;

    for (uint32_t i = 0; i < client->num_alpn; i++)
        strbuf_add_slice(&list, names[client->alpn[i]]);
    struct slice joined = arena_slice(arena, strbuf_slice(&list));
    strbuf_clear(&list);
    return joined;
}

static void plan_client(struct tls_plan *plan, const struct cfg_client *client, struct arena *arena)
{
    if (client->tls_min_version == 13)
        plan->min_version = TLS1_3_VERSION;
    plan->max_version = client->tls_max_version == 12 ? TLS1_2_VERSION : 0;
    if (client->num_tls_suites != 0)
        plan->suites = join_suites(client, arena);
    if (client->num_alpn != 0)
        plan->alpn = join_alpn(client, arena);
}

/* The contexts of a port share one minimum: the protocol version is negotiated before the name is known to matter, so
 * the lowest that any of its servers allows is offered, and 1.3 only when all ask for it. */
static struct tls_plan make_plan(const struct cfg_listener *listener, struct arena *arena)
{
    struct tls_plan plan = {.hosts = arena_alloc(arena, (listener->num_servers + 1) * sizeof(*plan.hosts))};
    bool all_13 = listener->num_servers != 0;

    for (uint32_t i = 0; i < listener->num_servers; i++) {
        const struct cfg_server *server = &listener->servers[i];
        all_13 = all_13 && server->tls_min_version == 13;
        if (server->num_certificates != 0)
            plan_host(&plan, server, arena);
    }
    plan.min_version = all_13 ? TLS1_3_VERSION : 0;
    if (listener->client != NULL)
        plan_client(&plan, listener->client, arena);
    return plan;
}

static int make_tls(struct px_listener_config *config, struct arena *arena, struct err *err)
{
    const struct cfg_listener *listener = config->listener;

    if (listener->protocol != CFG_PROTOCOL_HTTPS)
        return 0;
    struct tls_plan plan = make_plan(listener, arena);
    struct net_tls_server_config tls = {
        .name = arena_strndup(arena, listener->name.base, listener->name.len),
        .hosts = plan.hosts,
        .num_hosts = plan.num_hosts,
        .min_version = plan.min_version,
        .max_version = plan.max_version,
        .tls12_suites = plan.suites,
        .alpn = plan.alpn,
    };
    if (tls.num_hosts == 0)
        return err_set(err, ERR_INVALID, "listener %s: no certificate", tls.name);
    config->tls = net_tls_server_new(&tls, err);
    return config->tls != NULL ? 0 : err_wrap(err, "listener %s", tls.name);
}

/* ---- clients ---- */

static int make_trust(struct px_listener_config *config, struct err *err)
{
    const struct cfg_client *client = config->listener->client;

    if (client == NULL || (!client->has_trusted_hops && client->num_trusted_proxies == 0))
        return 0;
    config->trust = client->has_trusted_hops ? px_trust_new_hops(client->trusted_hops)
                                             : px_trust_new(client->trusted_proxies, client->num_trusted_proxies, err);
    return config->trust != NULL ? 0 : err_wrap(err, "listener %.*s", (int)config->listener->name.len, config->listener->name.base);
}

static void set_timeouts(struct ht_limits *limits, const struct cfg_client *client)
{
    if (client->has_handshake_timeout)
        limits->handshake_timeout_ms = client->handshake_timeout_ms;
    if (client->has_head_timeout)
        limits->head_timeout_ms = client->head_timeout_ms;
    if (client->has_request_timeout)
        limits->request_timeout_ms = client->request_timeout_ms;
    if (client->has_idle_timeout)
        limits->idle_timeout_ms = client->idle_timeout_ms;
    if (client->has_stream_idle_timeout) /* one clock for all that may stand still */
        limits->stream_idle_timeout_ms = limits->tunnel_idle_timeout_ms = limits->body_idle_timeout_ms =
            limits->write_idle_timeout_ms = client->stream_idle_timeout_ms;
}

struct ht_limits px_config_client_limits(const struct px_listener_config *listener, const struct ht_limits *base)
{
    struct ht_limits limits = *base;
    const struct cfg_client *client = listener->listener->client;

    if (client == NULL)
        return limits;
    set_timeouts(&limits, client);
    if (client->max_requests != 0)
        limits.max_requests_per_conn = client->max_requests;
    if (client->max_streams != 0)
        limits.max_concurrent_streams = client->max_streams;
    if (client->stream_window != 0)
        limits.stream_window = client->stream_window;
    if (client->connection_window != 0)
        limits.conn_window = client->connection_window;
    return limits;
}

static int make_listeners(struct px_config *config, struct err *err)
{
    const struct cfg_snapshot *snapshot = config->snapshot;

    config->listeners = arena_zalloc(config->arena, (snapshot->num_listeners + 1) * sizeof(config->listeners[0]));
    for (uint32_t i = 0; i < snapshot->num_listeners; i++) {
        struct px_listener_config *listener = &config->listeners[i];
        listener->listener = &snapshot->listeners[i];
        listener->port_text = slice_of(arena_printf(config->arena, "%u", listener->listener->port));
        if (resolve_address(listener, err) != 0 || make_trust(listener, err) != 0 ||
            make_tls(listener, config->arena, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- chains ---- */

static void make_rule(struct px_rule_config *config, const struct cfg_rule *rule, struct arena *arena)
{
    px_chain_make(&config->chain, &rule->filters, arena);
    config->backends = arena_zalloc(arena, (rule->num_backends + 1) * sizeof(config->backends[0]));
    for (uint32_t i = 0; i < rule->num_backends; i++)
        px_chain_make(&config->backends[i].chain, &rule->backends[i].filters, arena);
}

static void make_rules(struct px_config *config)
{
    const struct cfg_snapshot *snapshot = config->snapshot;

    config->rules = arena_zalloc(config->arena, (snapshot->num_routes + 1) * sizeof(config->rules[0]));
    config->num_series = arena_zalloc(config->arena, (snapshot->num_routes + 1) * sizeof(config->num_series[0]));
    for (uint32_t i = 0; i < snapshot->num_routes; i++) {
        const struct cfg_route *route = &snapshot->routes[i];
        config->rules[i] = arena_zalloc(config->arena, (route->num_rules + 1) * sizeof(config->rules[i][0]));
        for (uint32_t j = 0; j < route->num_rules; j++) {
            make_rule(&config->rules[i][j], &route->rules[j], config->arena);
            config->rules[i][j].series_at = config->num_series[i];
            config->num_series[i] += 1 + route->rules[j].num_backends;
        }
    }
}

static void dispose_rules(struct px_config *config)
{
    const struct cfg_snapshot *snapshot = config->snapshot;

    for (uint32_t i = 0; config->rules != NULL && i < snapshot->num_routes; i++)
        for (uint32_t j = 0; j < snapshot->routes[i].num_rules; j++) {
            px_chain_dispose(&config->rules[i][j].chain);
            for (uint32_t k = 0; k < snapshot->routes[i].rules[j].num_backends; k++)
                px_chain_dispose(&config->rules[i][j].backends[k].chain);
        }
}

/* ---- clusters ---- */

static uint64_t sum_slice(uint64_t sum, struct slice text)
{
    return hash_stable(sum ^ text.len, text.base != NULL ? text.base : "", text.len);
}

static uint64_t sum_tls(const struct cfg_upstream_tls *tls)
{
    if (tls == NULL)
        return 0;
    uint64_t sum = sum_slice(sum_slice(tls->num_alt_names + 1, tls->hostname), tls->ca_pem);
    for (uint32_t i = 0; i < tls->num_alt_names; i++)
        sum = sum_slice(sum ^ tls->alt_names[i].is_uri, tls->alt_names[i].text);
    return sum;
}

/* Everything px_cluster_use() looks at. */
static uint64_t sum_cluster(const struct cfg_cluster *cluster)
{
    uint64_t numbers[] = {sum_tls(cluster->tls),       cluster->protocol,        cluster->lb,          cluster->check.kind,      cluster->num_endpoints,
                          cluster->connect_timeout_ms, cluster->first_byte_timeout_ms, cluster->idle_timeout_ms,
                          cluster->max_connections, cluster->max_pending, cluster->max_requests};
    uint64_t sum = sum_slice(hash_stable(0, numbers, sizeof(numbers)), cluster->host);

    for (uint32_t i = 0; i < cluster->num_endpoints; i++) {
        const struct cfg_endpoint *endpoint = &cluster->endpoints[i];
        uint64_t facts[] = {endpoint->weight, endpoint->is_ready, endpoint->port};
        sum = sum_slice(sum_slice(hash_stable(sum, facts, sizeof(facts)), endpoint->key), endpoint->host);
    }
    return sum;
}

static void sum_clusters(struct px_config *config)
{
    const struct cfg_snapshot *snapshot = config->snapshot;

    config->cluster_sums = arena_alloc(config->arena, (snapshot->num_clusters + 1) * sizeof(config->cluster_sums[0]));
    for (uint32_t i = 0; i < snapshot->num_clusters; i++)
        config->cluster_sums[i] = sum_cluster(&snapshot->clusters[i]);
}

/* Contexts with the system's roots take a while to make: those of the configuration before are used again. */
static struct net_tls_client *reuse_tls(const struct px_config *before, const struct cfg_cluster *cluster)
{
    const struct cfg_cluster *old = before != NULL ? cfg_snapshot_cluster(before->snapshot, cluster->name) : NULL;

    if (old == NULL || old->tls == NULL || sum_tls(old->tls) != sum_tls(cluster->tls))
        return NULL;
    return net_tls_client_ref(before->cluster_tls[old - before->snapshot->clusters]);
}

static struct net_tls_client *make_cluster_tls(const struct cfg_upstream_tls *tls, struct arena *arena, struct err *err)
{
    struct net_tls_alt_name *names = arena_alloc(arena, (tls->num_alt_names + 1) * sizeof(names[0]));
    struct net_tls_client_config config = {
        .ca_pem = tls->ca_pem,
        .hostname = arena_strndup(arena, tls->hostname.base, tls->hostname.len),
        .alt_names = names,
        .num_alt_names = tls->num_alt_names,
    };

    for (uint32_t i = 0; i < tls->num_alt_names; i++)
        names[i] = (struct net_tls_alt_name){tls->alt_names[i].is_uri,
                                             arena_strndup(arena, tls->alt_names[i].text.base, tls->alt_names[i].text.len)};
    return net_tls_client_new(&config, err);
}

static int make_clusters_tls(struct px_config *config, const struct px_config *before, struct err *err)
{
    const struct cfg_snapshot *snapshot = config->snapshot;

    config->cluster_tls = arena_zalloc(config->arena, (snapshot->num_clusters + 1) * sizeof(config->cluster_tls[0]));
    for (uint32_t i = 0; i < snapshot->num_clusters; i++) {
        const struct cfg_cluster *cluster = &snapshot->clusters[i];
        if (cluster->tls == NULL)
            continue;
        config->cluster_tls[i] = reuse_tls(before, cluster);
        if (config->cluster_tls[i] == NULL)
            config->cluster_tls[i] = make_cluster_tls(cluster->tls, config->arena, err);
        if (config->cluster_tls[i] == NULL)
            return err_wrap(err, "cluster %.*s", (int)cluster->name.len, cluster->name.base);
    }
    return 0;
}

/* ---- public ---- */

static void config_free(struct px_config *config)
{
    dispose_rules(config);
    for (uint32_t i = 0; config->listeners != NULL && i < config->snapshot->num_listeners; i++) {
        net_tls_server_unref(config->listeners[i].tls);
        px_trust_free(config->listeners[i].trust);
        px_limits_unref(config->listeners[i].counts);
    }
    for (uint32_t i = 0; config->cluster_tls != NULL && i < config->snapshot->num_clusters; i++)
        net_tls_client_unref(config->cluster_tls[i]);
    for (uint32_t i = 0; config->limits != NULL && i < config->snapshot->num_clusters; i++)
        px_limits_unref(config->limits[i]);
    px_trust_free(config->trust);
    arena_free(config->arena);
    cfg_snapshot_unref(config->snapshot);
    free(config);
}

struct px_config *px_config_new(struct cfg_snapshot *snapshot, const struct px_config *before, struct err *err)
{
    static atomic_uint_fast64_t last_serial;
    struct px_config *config = xcalloc(1, sizeof(*config));
    const struct cfg_settings *settings = &snapshot->settings;

    atomic_init(&config->refs, 1);
    config->serial = atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;
    config->snapshot = snapshot;
    config->arena = arena_new(0);
    config->trust = px_trust_new(settings->trusted_proxies, settings->num_trusted_proxies, err);
    if (config->trust == NULL || make_listeners(config, err) != 0 || make_clusters_tls(config, before, err) != 0) {
        config_free(config);
        return NULL;
    }
    make_rules(config);
    sum_clusters(config);
    return config;
}

struct px_config *px_config_ref(struct px_config *config)
{
    atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
    return config;
}

void px_config_unref(struct px_config *config)
{
    if (config != NULL && atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel) == 1)
        config_free(config);
}

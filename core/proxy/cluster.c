/* Reconciling a cluster with its configuration, and the queue of those who wait. */
#include "core/proxy/cluster.h"

#include "core/proxy/pool.h"
#include "core/proxy/worker.h"

static enum px_lb_kind lb_of(enum cfg_lb lb)
{
    switch (lb) {
    case CFG_LB_ROUND_ROBIN:
        return PX_LB_ROUND_ROBIN;
    case CFG_LB_RANDOM:
        return PX_LB_RANDOM;
    case CFG_LB_LEAST_REQUEST:
        break;
    }
    return PX_LB_LEAST_REQUEST;
}

/* ---- the choice ---- */

static uint32_t count_usable(const struct px_cluster *cluster, uint32_t *ret_healthy)
{
    uint32_t usable = 0, healthy = 0;

    LIST_FOR(endpoint, &cluster->endpoints, struct px_endpoint, link)
    if (px_endpoint_is_usable(endpoint)) {
        ++usable;
        healthy += endpoint->is_healthy;
    }
    *ret_healthy = healthy;
    return usable;
}

static uint32_t collect(const struct px_cluster *cluster, struct px_lb_host **hosts)
{
    uint32_t num = 0;

    LIST_FOR(endpoint, &cluster->endpoints, struct px_endpoint, link)
    if (px_endpoint_is_usable(endpoint) && endpoint->lb.weight != 0 && (endpoint->is_healthy || cluster->is_panicking))
        hosts[num++] = &endpoint->lb;
    return num;
}

void px_cluster_refresh(struct px_cluster *cluster)
{
    uint32_t healthy, usable = count_usable(cluster, &healthy);
    struct px_lb_host **hosts = xmalloc((usable + 1) * sizeof(hosts[0]));

    cluster->is_panicking = (uint64_t)healthy * 100 < (uint64_t)usable * PX_PANIC_PERCENT;
    px_lb_set_assign(&cluster->choice, hosts, collect(cluster, hosts));
    free(hosts);
    if (cluster->num_waiters != 0)
        px_cluster_kick(cluster);
}

struct px_endpoint *px_cluster_pick(struct px_cluster *cluster, const struct px_endpoint *avoid)
{
    struct px_lb_host *host =
        px_lb_pick(&cluster->choice, cluster->lb, avoid != NULL ? &avoid->lb : NULL, &cluster->worker->rng);

    return host != NULL ? CONTAINER_OF(host, struct px_endpoint, lb) : NULL;
}

bool px_cluster_has_other(const struct px_cluster *cluster, const struct px_endpoint *endpoint)
{
    return cluster->choice.num > 1 || (cluster->choice.num == 1 && cluster->choice.hosts[0] != &endpoint->lb);
}

static struct px_endpoint *find_endpoint(const struct px_cluster *cluster, struct slice key)
{
    LIST_FOR(endpoint, &cluster->endpoints, struct px_endpoint, link)
    if (slice_eq(endpoint->key, key))
        return endpoint;
    return NULL;
}

void px_cluster_set_health(struct px_cluster *cluster, struct slice endpoint_key, bool is_healthy)
{
    struct px_endpoint *endpoint = find_endpoint(cluster, endpoint_key);

    if (endpoint == NULL || endpoint->is_healthy == is_healthy)
        return;
    endpoint->is_healthy = is_healthy;
    px_cluster_refresh(cluster);
}

/* ---- waiters ---- */

/* In order, until one has to wait again: what became free is used up then. It keeps its place at the front. */
static void on_kick(struct net_post *post)
{
    struct px_cluster *cluster = CONTAINER_OF(post, struct px_cluster, kick_post);

    while (!list_is_empty(&cluster->waiters)) {
        struct px_waiter *waiter = LIST_FIRST(&cluster->waiters, struct px_waiter, link);
        px_cluster_unwait(cluster, waiter);
        waiter->on_turn(waiter); /* frees nothing: requests are destroyed from posts of their own */
        if (list_is_empty(&waiter->link))
            continue;
        list_remove(&waiter->link);
        list_push_front(&cluster->waiters, &waiter->link);
        break;
    }
}

bool px_cluster_wait(struct px_cluster *cluster, struct px_waiter *waiter)
{
    if (!px_limit_take(&cluster->limits->num_pending, cluster->max_pending))
        return false;
    list_push(&cluster->waiters, &waiter->link);
    ++cluster->num_waiters;
    return true;
}

void px_cluster_unwait(struct px_cluster *cluster, struct px_waiter *waiter)
{
    if (list_is_empty(&waiter->link))
        return;
    list_remove(&waiter->link);
    --cluster->num_waiters;
    px_limit_give(&cluster->limits->num_pending);
}

void px_cluster_kick(struct px_cluster *cluster)
{
    net_post(cluster->worker->net, &cluster->kick_post);
}

/* ---- configuration ---- */

static struct px_cluster *cluster_new(struct px_worker *worker, struct slice name, struct px_limits *limits)
{
    struct px_cluster *cluster = xcalloc(1, sizeof(*cluster));

    cluster->worker = worker;
    cluster->name = slice_make(xstrndup(name.base, name.len), name.len);
    cluster->limits = px_limits_ref(limits);
    list_init(&cluster->endpoints);
    list_init(&cluster->leaving);
    list_init(&cluster->waiters);
    net_post_init(&cluster->kick_post, on_kick);
    hashmap_put(&worker->clusters, cluster->name.base, cluster->name.len, cluster);
    return cluster;
}

static void free_endpoints(struct list *endpoints)
{
    while (!list_is_empty(endpoints))
        px_endpoint_free(LIST_FIRST(endpoints, struct px_endpoint, link));
}

static void cluster_free(struct px_cluster *cluster)
{
    (void)hashmap_remove(&cluster->worker->clusters, cluster->name.base, cluster->name.len);
    net_post_cancel(&cluster->kick_post);
    free_endpoints(&cluster->endpoints);
    free_endpoints(&cluster->leaving);
    px_lb_set_clear(&cluster->choice);
    px_limits_unref(cluster->limits);
    net_tls_client_unref(cluster->tls);
    free(cluster->sni);
    free((char *)cluster->name.base);
    free((char *)cluster->host.base);
    free(cluster);
}

void px_cluster_unref(struct px_cluster *cluster)
{
    if (--cluster->refs == 0)
        cluster_free(cluster);
}

struct px_cluster *px_cluster_find(struct px_worker *worker, struct slice name)
{
    return hashmap_get(&worker->clusters, name.base, name.len);
}

static void set_numbers(struct px_cluster *cluster, const struct cfg_cluster *config)
{
    cluster->lb = lb_of(config->lb);
    cluster->connect_timeout_ms = config->connect_timeout_ms;
    cluster->first_byte_timeout_ms = config->first_byte_timeout_ms;
    cluster->idle_timeout_ms = config->idle_timeout_ms;
    cluster->max_connections = config->max_connections != 0 ? config->max_connections : UINT32_MAX;
    cluster->max_pending = config->max_pending != 0 ? config->max_pending : UINT32_MAX;
    cluster->max_requests = config->max_requests != 0 ? config->max_requests : UINT32_MAX;
}

static void set_host(struct px_cluster *cluster, struct slice host)
{
    if (slice_eq(cluster->host, host) && cluster->host.base != NULL)
        return;
    free((char *)cluster->host.base);
    cluster->host = slice_make(xstrndup(host.base != NULL ? host.base : "", host.len), host.len);
}

/* The order of the configuration is kept (round robin); a look-up map is worth it only for large clusters. */
static void set_endpoints(struct px_cluster *cluster, const struct cfg_cluster *config)
{
    struct hashmap known = HASHMAP_INIT;

    LIST_FOR(endpoint, &cluster->endpoints, struct px_endpoint, link)
    {
        endpoint->is_seen = false;
        hashmap_put(&known, endpoint->key.base, endpoint->key.len, endpoint);
    }
    cluster->num_endpoints = 0;
    for (uint32_t i = 0; i < config->num_endpoints; i++) {
        const struct cfg_endpoint *wanted = &config->endpoints[i];
        struct px_endpoint *endpoint = hashmap_get(&known, wanted->key.base, wanted->key.len);
        if (endpoint == NULL)
            endpoint = px_endpoint_new(cluster, wanted);
        else if (endpoint->is_seen) { /* the same twice is once, as when it moves between EndpointSlices: ready if either says so */
            endpoint->is_ready |= wanted->is_ready;
            continue;
        }
        endpoint->is_seen = true;
        endpoint->lb.weight = wanted->weight;
        endpoint->is_ready = wanted->is_ready;
        hashmap_put(&known, endpoint->key.base, endpoint->key.len, endpoint);
        list_remove(&endpoint->link);
        list_push(&cluster->endpoints, &endpoint->link);
        ++cluster->num_endpoints;
    }
    hashmap_clear(&known);
    LIST_FOR_SAFE(old, &cluster->endpoints, struct px_endpoint, link)
    if (!old->is_seen)
        px_endpoint_leave(old);
}

static void reset_health(struct px_cluster *cluster)
{
    LIST_FOR(endpoint, &cluster->endpoints, struct px_endpoint, link)
    endpoint->is_healthy = true;
}

/* True when it changed. */
static bool set_protocol(struct px_cluster *cluster, enum cfg_upstream_protocol protocol)
{
    bool was_http2 = cluster->protocol == CFG_UPSTREAM_H2C;

    cluster->protocol = protocol;
    return was_http2 != (protocol == CFG_UPSTREAM_H2C);
}

/* True when it changed: configurations share the context for as long as it stays the same. */
static bool set_tls(struct px_cluster *cluster, const struct cfg_upstream_tls *config, struct net_tls_client *tls)
{
    if (cluster->tls == tls)
        return false;
    net_tls_client_unref(cluster->tls);
    free(cluster->sni);
    cluster->tls = tls != NULL ? net_tls_client_ref(tls) : NULL;
    cluster->sni = tls != NULL ? xstrndup(config->hostname.base, config->hostname.len) : NULL;
    return true;
}

/* Connections speak one protocol to peers verified in one way: when that changes, none of the old ones may be used.
 * Requests on them end in peace. */
static void set_transport(struct px_cluster *cluster, const struct cfg_cluster *config, struct net_tls_client *tls)
{
    bool is_other_protocol = set_protocol(cluster, config->protocol);

    if (!set_tls(cluster, config->tls, tls) && !is_other_protocol)
        return;
    LIST_FOR(endpoint, &cluster->endpoints, struct px_endpoint, link)
    px_pool_close_all(endpoint);
}

static void update(struct px_cluster *cluster, const struct cfg_cluster *config, struct net_tls_client *tls)
{
    set_numbers(cluster, config);
    set_host(cluster, config->host);
    set_transport(cluster, config, tls);
    set_endpoints(cluster, config);
    if (config->check.kind == CFG_CHECK_NONE)
        reset_health(cluster);
    px_cluster_refresh(cluster);
}

struct px_cluster *px_cluster_use(struct px_worker *worker, const struct px_config *config, uint32_t index)
{
    const struct cfg_cluster *wanted = &config->snapshot->clusters[index];
    uint64_t sum = config->cluster_sums[index];
    struct px_cluster *cluster = px_cluster_find(worker, wanted->name);
    bool is_new = cluster == NULL;

    if (is_new)
        cluster = cluster_new(worker, wanted->name, config->limits[index]);
    ++cluster->refs;
    if (is_new || cluster->sum != sum)
        update(cluster, wanted, config->cluster_tls[index]);
    cluster->sum = sum;
    return cluster;
}

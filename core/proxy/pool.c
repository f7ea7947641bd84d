/* Taking, giving back, ageing.
 *
 * Lists: `open` has room, `full` has none. A connection moves when a call starts (px_pool_used) and when the engine says
 * it has room again (on_available). Idle ones are aged by one lazy timer an endpoint, started only when it does not run:
 * the steady state touches no timer. Every way out of the pool goes through forget(). */
#include "core/proxy/pool.h"

#include "core/proxy/cluster.h"
#include "core/proxy/worker.h"

static struct px_endpoint *endpoint_of(struct ht_client_conn *conn)
{
    return conn->owner;
}

static struct net_worker *net_of(const struct px_endpoint *endpoint)
{
    return endpoint->cluster->worker->net;
}

static void forget(struct px_endpoint *endpoint, struct ht_client_conn *conn)
{
    list_remove(&conn->link);
    --endpoint->pool.num;
    px_limit_give(&endpoint->cluster->limits->num_connections);
}

static void close_conn(struct px_endpoint *endpoint, struct ht_client_conn *conn)
{
    forget(endpoint, conn);
    ht_client_close(conn);
}

/* ---- ageing ---- */

static void close_if_old(struct px_endpoint *endpoint, struct ht_client_conn *conn, uint64_t now_ms, uint64_t *next_ms)
{
    uint64_t due_ms = conn->idle_since_ms + endpoint->cluster->idle_timeout_ms;

    if (conn->num_active != 0)
        return;
    if (due_ms <= now_ms)
        close_conn(endpoint, conn);
    else
        *next_ms = MIN(*next_ms, due_ms);
}

static void on_idle_timer(struct timer *timer)
{
    struct px_endpoint *endpoint = CONTAINER_OF(timer, struct px_endpoint, pool.idle_timer);
    uint64_t now_ms = net_now_ms(net_of(endpoint)), next_ms = UINT64_MAX;

    LIST_FOR_SAFE(conn, &endpoint->pool.open, struct ht_client_conn, link)
    close_if_old(endpoint, conn, now_ms, &next_ms);
    if (next_ms != UINT64_MAX)
        timer_start(&net_of(endpoint)->timers, timer, next_ms);
}

static void watch_idle(struct px_endpoint *endpoint)
{
    struct net_worker *net = net_of(endpoint);
    uint32_t timeout_ms = endpoint->cluster->idle_timeout_ms;

    if (timeout_ms != 0 && !timer_is_running(&endpoint->pool.idle_timer))
        timer_start(&net->timers, &endpoint->pool.idle_timer, net_now_ms(net) + timeout_ms);
}

/* ---- what the engines say ---- */

static void on_available(struct ht_client_conn *conn)
{
    struct px_endpoint *endpoint = endpoint_of(conn);

    if (endpoint->is_leaving && conn->num_active == 0) {
        close_conn(endpoint, conn);
        return;
    }
    list_remove(&conn->link);
    list_push_front(&endpoint->pool.open, &conn->link);
    if (conn->num_active == 0)
        watch_idle(endpoint);
    if (endpoint->cluster->num_waiters != 0)
        px_cluster_kick(endpoint->cluster);
}

static void on_ready(struct ht_client_conn *conn)
{
    if (conn->capacity != 0)
        on_available(conn);
}

static void on_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail)
{
    struct px_endpoint *endpoint = endpoint_of(conn);

    if (!conn->is_ready)
        ++endpoint->counts.connect_fails;
    forget(endpoint, conn);
    if (endpoint->cluster->num_waiters != 0)
        px_cluster_kick(endpoint->cluster);
}

static const struct ht_client_ops pool_ops = {on_ready, on_available, on_gone};

/* ---- public ---- */

void px_pool_init(struct px_pool *pool)
{
    list_init(&pool->open);
    list_init(&pool->full);
    pool->num = 0;
    timer_init(&pool->idle_timer, on_idle_timer);
}

/* An endpoint may always have one connection, else waiters of a cluster whose limit is taken by others would starve. */
static bool may_connect(struct px_endpoint *endpoint)
{
    struct px_cluster *cluster = endpoint->cluster;

    if (px_limit_take(&cluster->limits->num_connections, cluster->max_connections))
        return true;
    if (endpoint->pool.num != 0)
        return false;
    px_limit_force(&cluster->limits->num_connections);
    return true;
}

static struct ht_client_conn *connect_to(struct px_endpoint *endpoint, const struct px_address *address)
{
    const struct px_cluster *cluster = endpoint->cluster;
    struct ht_client_config config = {
        .protocol = cluster->protocol == CFG_UPSTREAM_H2C ? HT_CLIENT_HTTP2 : HT_CLIENT_HTTP1,
        .tls = cluster->tls != NULL ? net_tls_client_ctx(cluster->tls) : NULL,
        .sni = cluster->sni,
        .connect_timeout_ms = cluster->connect_timeout_ms,
    };
    struct ht_client_conn *conn = ht_client_connect(net_of(endpoint), (const struct sockaddr *)&address->addr, address->len,
                                                    &config, &pool_ops, endpoint, NULL);

    ++endpoint->counts.connects;
    if (conn == NULL)
        ++endpoint->counts.connect_fails;
    return conn;
}

/* An address that cannot even be tried (IPv6, where there is no route for it) is passed over. */
static struct ht_client_conn *connect_anywhere(struct px_endpoint *endpoint)
{
    struct ht_client_conn *conn = NULL;

    for (unsigned i = 0; conn == NULL && i < endpoint->num_addresses; i++)
        conn = connect_to(endpoint, px_endpoint_address(endpoint));
    return conn;
}

enum px_pool_result px_pool_take(struct px_endpoint *endpoint, bool must_be_new, struct ht_client_conn **ret_conn)
{
    struct px_pool *pool = &endpoint->pool;
    bool has_open = !list_is_empty(&pool->open), may_be_new = (must_be_new || !has_open) && may_connect(endpoint);

    if (!may_be_new) {
        if (!has_open)
            return PX_POOL_FULL;
        *ret_conn = LIST_FIRST(&pool->open, struct ht_client_conn, link);
        return PX_POOL_OK;
    }
    struct ht_client_conn *conn = connect_anywhere(endpoint);
    if (conn == NULL) {
        px_limit_give(&endpoint->cluster->limits->num_connections);
        return PX_POOL_ERROR;
    }
    list_push_front(&pool->open, &conn->link);
    ++pool->num;
    *ret_conn = conn;
    return PX_POOL_OK;
}

void px_pool_used(struct px_endpoint *endpoint, struct ht_client_conn *conn)
{
    if (conn->capacity != 0)
        return;
    list_remove(&conn->link);
    list_push_front(&endpoint->pool.full, &conn->link);
}

void px_pool_close_idle(struct px_endpoint *endpoint)
{
    timer_stop(&endpoint->pool.idle_timer);
    LIST_FOR_SAFE(conn, &endpoint->pool.open, struct ht_client_conn, link)
    if (conn->num_active == 0)
        close_conn(endpoint, conn);
}

void px_pool_close_all(struct px_endpoint *endpoint)
{
    timer_stop(&endpoint->pool.idle_timer);
    LIST_FOR_SAFE(conn, &endpoint->pool.open, struct ht_client_conn, link)
    close_conn(endpoint, conn);
    LIST_FOR_SAFE(busy, &endpoint->pool.full, struct ht_client_conn, link)
    close_conn(endpoint, busy);
}

/* One lookup, or one timer until the next. */
#include "core/proxy/resolution.h"

#include "core/net/resolver.h"
#include "core/proxy/cluster.h"
#include "core/proxy/worker.h"

#include <netinet/in.h>

enum { RETRY_MS = 5000, MIN_AGAIN_MS = 1000 };

struct px_resolution {
    struct px_endpoint *endpoint; /* borrowed; its owner */
    struct net_resolve *lookup;   /* NULL while the timer runs */
    struct timer timer;
    bool is_first;                /* no answer of any kind yet: requests may wait for it */
};

static void look_up(struct px_resolution *resolution);

static struct net_worker *net_of(const struct px_resolution *resolution)
{
    return resolution->endpoint->cluster->worker->net;
}

static void on_timer(struct timer *timer)
{
    look_up(CONTAINER_OF(timer, struct px_resolution, timer));
}

static bool is_same(const struct px_endpoint *endpoint, const struct net_resolve_answer *answer, size_t num)
{
    if (endpoint->num_addresses != num)
        return false;
    for (size_t i = 0; i < num; i++)
        if (memcmp(&endpoint->addresses[i].addr, &answer->addrs[i], sizeof(answer->addrs[i])) != 0)
            return false;
    return true;
}

/* Connections to addresses that left the answer stay: they work until the upstream says otherwise. */
static void take_answer(struct px_endpoint *endpoint, const struct net_resolve_answer *answer)
{
    size_t num = MIN(answer->num, (size_t)PX_MAX_ADDRESSES);

    if (is_same(endpoint, answer, num))
        return;
    for (size_t i = 0; i < num; i++)
        endpoint->addresses[i] = (struct px_address){answer->addrs[i], net_sockaddr_len((const struct sockaddr *)&answer->addrs[i])};
    endpoint->num_addresses = (unsigned)num;
}

static void on_answer(void *data, const struct net_resolve_answer *answer, const struct err *err)
{
    struct px_resolution *resolution = data;
    struct px_cluster *cluster = resolution->endpoint->cluster;
    uint64_t again_ms = answer != NULL ? MAX(answer->ttl_s * 1000ull, (uint64_t)MIN_AGAIN_MS) : RETRY_MS;

    resolution->lookup = NULL;
    if (answer != NULL)
        take_answer(resolution->endpoint, answer); /* else: the last good one stays */
    if (resolution->is_first)
        --cluster->num_resolving;
    resolution->is_first = false;
    timer_start(&net_of(resolution)->timers, &resolution->timer, net_now_ms(net_of(resolution)) + again_ms);
    px_cluster_refresh(cluster);
}

static void look_up(struct px_resolution *resolution)
{
    struct px_endpoint *endpoint = resolution->endpoint;

    resolution->lookup = net_resolve_start(net_of(resolution), endpoint->host, endpoint->port, on_answer, resolution);
}

struct px_resolution *px_resolution_start(struct px_endpoint *endpoint)
{
    struct px_resolution *resolution = xcalloc(1, sizeof(*resolution));

    resolution->endpoint = endpoint;
    resolution->is_first = true;
    ++endpoint->cluster->num_resolving;
    timer_init(&resolution->timer, on_timer);
    look_up(resolution);
    return resolution;
}

struct px_resolution *px_resolution_cancel(struct px_resolution *resolution)
{
    if (resolution == NULL)
        return NULL;
    if (resolution->is_first)
        --resolution->endpoint->cluster->num_resolving;
    timer_stop(&resolution->timer);
    (void)net_resolve_cancel(resolution->lookup);
    free(resolution);
    return NULL;
}

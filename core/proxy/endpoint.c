/* Life of an endpoint: made from configuration, resolved when it is a name, used, left, freed.
 *
 * A leaving endpoint has no connection that could take a call; px_endpoint_end() of the last request frees it. */
#include "core/proxy/endpoint.h"

#include "core/proxy/cluster.h"
#include "core/proxy/pool.h"
#include "core/proxy/resolution.h"

static struct slice slice_own(struct slice src)
{
    return slice_make(xstrndup(src.base, src.len), src.len);
}

static bool parse_literal(struct px_endpoint *endpoint)
{
    struct px_address *address = &endpoint->addresses[0];

    if (net_sockaddr_parse(endpoint->host, endpoint->port, &address->addr, &address->len, NULL) != 0)
        return false;
    endpoint->num_addresses = 1;
    return true;
}

struct px_endpoint *px_endpoint_new(struct px_cluster *cluster, const struct cfg_endpoint *config)
{
    struct px_endpoint *endpoint = xcalloc(1, sizeof(*endpoint));

    list_init(&endpoint->link);
    endpoint->cluster = cluster;
    endpoint->key = slice_own(config->key);
    endpoint->host = slice_own(config->host);
    endpoint->port = config->port;
    endpoint->is_healthy = true; /* until a check says otherwise: a new endpoint must not wait for its first check */
    px_pool_init(&endpoint->pool);
    if (!parse_literal(endpoint))
        endpoint->resolution = px_resolution_start(endpoint);
    return endpoint;
}

void px_endpoint_free(struct px_endpoint *endpoint)
{
    px_pool_close_all(endpoint);
    endpoint->resolution = px_resolution_cancel(endpoint->resolution);
    list_remove(&endpoint->link);
    free((char *)endpoint->key.base);
    free((char *)endpoint->host.base);
    free(endpoint);
}

void px_endpoint_leave(struct px_endpoint *endpoint)
{
    endpoint->is_leaving = true;
    list_remove(&endpoint->link);
    if (endpoint->lb.active == 0) {
        px_endpoint_free(endpoint);
        return;
    }
    list_push(&endpoint->cluster->leaving, &endpoint->link);
    px_pool_close_idle(endpoint);
    endpoint->resolution = px_resolution_cancel(endpoint->resolution);
}

void px_endpoint_begin(struct px_endpoint *endpoint)
{
    ++endpoint->lb.active;
    ++endpoint->counts.requests;
}

void px_endpoint_end(struct px_endpoint *endpoint)
{
    if (--endpoint->lb.active == 0 && endpoint->is_leaving)
        px_endpoint_free(endpoint);
}

const struct px_address *px_endpoint_address(struct px_endpoint *endpoint)
{
    if (endpoint->num_addresses == 0)
        return NULL;
    if (endpoint->next_address >= endpoint->num_addresses)
        endpoint->next_address = 0;
    return &endpoint->addresses[endpoint->next_address++];
}

/* One address of a cluster as one worker sees it: its load, its health, its pool of connections. Keyed by "host:port"
 * within its cluster, it outlives snapshots, so a configuration change costs no connection.
 *
 * Threads: the worker's. Ownership: the cluster's; a leaving endpoint (no longer configured) is freed by itself when the
 * last request on it ended. */
#ifndef SELVEDGE_PROXY_ENDPOINT_H
#define SELVEDGE_PROXY_ENDPOINT_H

#include "core/http/http.h"
#include "core/model/snapshot.h"
#include "core/proxy/lb.h"

struct px_cluster;
struct px_resolution;

enum { PX_MAX_ADDRESSES = 8 };

struct px_address {
    struct sockaddr_storage addr;
    socklen_t len;
};

/* Connections to one endpoint. `open` can take a call (for HTTP/1: idle ones), last used first; `full` cannot. */
struct px_pool {
    struct list open, full; /* of struct ht_client_conn */
    unsigned num;
    struct timer idle_timer;
};

struct px_endpoint {
    struct px_lb_host lb;
    struct list link;           /* the cluster's, or of the leaving ones */
    struct px_cluster *cluster; /* borrowed; outlives it */
    struct slice key;           /* owned */
    struct slice host;          /* owned, NUL-terminated */
    uint16_t port;
    bool is_ready;              /* by configuration */
    bool is_healthy;            /* by active checks; true without them */
    bool is_leaving, is_seen;   /* is_seen: of the configuration being applied */
    struct px_address addresses[PX_MAX_ADDRESSES];
    unsigned num_addresses, next_address;
    struct px_resolution *resolution; /* owned; NULL for literal addresses */
    struct px_pool pool;
    struct {
        uint64_t requests, connects, connect_fails, fails;
    } counts;
};

struct px_endpoint *px_endpoint_new(struct px_cluster *cluster, const struct cfg_endpoint *config);
/* Closes its connections. No request may be on it. */
void px_endpoint_free(struct px_endpoint *endpoint);
/* Takes it out of use: idle connections close now, the rest with their last call, then it goes. */
void px_endpoint_leave(struct px_endpoint *endpoint);
/* A request began, or ended, on it. */
void px_endpoint_begin(struct px_endpoint *endpoint);
void px_endpoint_end(struct px_endpoint *endpoint);
/* Where to connect next: its addresses in turn. NULL while a name is not resolved. */
const struct px_address *px_endpoint_address(struct px_endpoint *endpoint);
static inline bool px_endpoint_is_usable(const struct px_endpoint *endpoint)
{
    return endpoint->is_ready && endpoint->num_addresses != 0;
}

#endif

/* What all workers know about clusters and endpoints, merged: for metrics, /clusters and the console.
 *
 * Threads: started and delivered on main; each worker writes its own part, in a message. */
#ifndef SELVEDGE_PROXY_COLLECT_H
#define SELVEDGE_PROXY_COLLECT_H

#include "core/proxy/dataplane.h"

struct px_endpoint_row {
    struct slice cluster, endpoint; /* endpoint "" for the cluster's own row */
    char *key;                      /* owned: cluster, NUL, endpoint */
    bool is_ready, is_healthy, is_panicking;
    uint32_t num_addresses, conns, active, waiting;
    uint64_t requests, connects, connect_fails, fails;
};

struct px_collection {
    struct px_endpoint_row *rows; /* sorted by cluster, then endpoint */
    size_t num_rows;
};

typedef void (*px_collect_cb)(const struct px_collection *collection, void *data);

/* `on_done` comes exactly once, on main, never before this returns; the collection is borrowed for the call. */
void px_collect(struct px_dataplane *dataplane, px_collect_cb on_done, void *data);

#endif

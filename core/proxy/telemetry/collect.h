/* A copy of what all workers know about themselves, merged: for metrics, /clusters and the telemetry stream.
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
    struct px_stats stats;
    struct px_endpoint_row *rows;   /* sorted by cluster, then endpoint */
    size_t num_rows;
    unsigned num_requests, num_conns;
    size_t mem_used;
};

typedef void (*px_collect_cb)(const struct px_collection *collection, void *data);

/* `on_done` comes exactly once, on main, never before this returns; the collection is borrowed for the call. */
void px_collect(struct px_dataplane *dataplane, px_collect_cb on_done, void *data);

#endif

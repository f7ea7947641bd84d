/* A cluster as one worker sees it: its endpoints, the set to choose from, the requests that wait for a connection.
 *
 * Identity is its name; it outlives snapshots: a new one updates it in place. It goes when the last view (snapshot in
 * use on this worker) that names it goes.
 * Health: endpoints found unhealthy are left out; when more than half of those configured are, all are used again
 * (panic: better some answers than none).
 * Threads: the worker's; `limits` are the node's. */
#ifndef SELVEDGE_PROXY_CLUSTER_H
#define SELVEDGE_PROXY_CLUSTER_H

#include "core/proxy/endpoint.h"
#include "core/proxy/limits.h"

struct px_config;
struct px_worker;

enum { PX_PANIC_PERCENT = 50 };

/* A request that waits for a connection; embedded in its attempt. */
struct px_waiter {
    struct list link;
    void (*on_turn)(struct px_waiter *waiter); /* may wait again */
};

struct px_cluster {
    struct px_worker *worker;  /* borrowed */
    struct slice name;         /* owned */
    unsigned refs;
    uint64_t sum;              /* of the configuration it has: equal sums need no update */
    struct px_limits *limits;  /* referenced */
    struct list endpoints, leaving;
    uint32_t num_endpoints;
    struct px_lb_set choice;
    enum px_lb_kind lb;
    bool is_panicking;
    unsigned num_resolving;    /* endpoints whose name never was resolved yet */
    enum cfg_upstream_protocol protocol;
    struct net_tls_client *tls; /* referenced; NULL: plain */
    char *sni;                 /* owned; with tls */
    struct slice host;         /* owned */
    uint32_t connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms;
    uint32_t max_connections, max_pending, max_requests;
    struct list waiters;       /* of struct px_waiter, first come first served */
    unsigned num_waiters;
    struct net_post kick_post;
};

/* The worker's cluster number `index` of the configuration, made or updated to it, with one reference for the caller. */
struct px_cluster *px_cluster_use(struct px_worker *worker, const struct px_config *config, uint32_t index);
void px_cluster_unref(struct px_cluster *cluster);
struct px_cluster *px_cluster_find(struct px_worker *worker, struct slice name);

/* NULL when none is usable. */
struct px_endpoint *px_cluster_pick(struct px_cluster *cluster, const struct px_endpoint *avoid);
bool px_cluster_has_other(const struct px_cluster *cluster, const struct px_endpoint *endpoint);
/* Recomputes the choice: after a change of endpoints, addresses or health. */
void px_cluster_refresh(struct px_cluster *cluster);
void px_cluster_set_health(struct px_cluster *cluster, struct slice endpoint_key, bool is_healthy);

/* Queues; false when max_pending are waiting already. */
bool px_cluster_wait(struct px_cluster *cluster, struct px_waiter *waiter);
void px_cluster_unwait(struct px_cluster *cluster, struct px_waiter *waiter);
/* A connection or address became free: the first waiters get their turn at the end of this event. */
void px_cluster_kick(struct px_cluster *cluster);

#endif

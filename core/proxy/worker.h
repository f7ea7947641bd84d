/* One worker of the data plane: a net_worker's thread with the listeners, connections, clusters and the view of the
 * configuration that belong to it.
 *
 * Threads: everything here is the worker's; the dataplane talks to it by message (dataplane.c).
 * A view is a configuration in use on this worker: requests count on the view they began with; a view that is no longer
 * current goes with its last request, and gives its configuration back to the dataplane. */
#ifndef SELVEDGE_PROXY_WORKER_H
#define SELVEDGE_PROXY_WORKER_H

#include "core/proxy/cluster.h"
#include "core/proxy/config.h"
#include "core/base/rng.h"
#include "core/proxy/telemetry/stats.h"

struct px_dataplane;
struct px_request;
struct px_access_log_buffer;

struct px_view {
    struct px_config *config;       /* referenced */
    struct px_worker *worker;
    struct px_cluster **clusters;   /* owned array, [cluster of the snapshot]; references */
    struct px_series ***series;     /* [route][rule * …]: see px_view_series() */
    size_t num_requests;
    bool is_current;
};

struct px_worker {
    struct net_worker *net;         /* owned by the dataplane */
    struct px_dataplane *dataplane; /* borrowed */
    struct px_view *view;           /* NULL before the first configuration */
    unsigned num_views;
    struct list listeners;          /* of struct px_listener */
    struct list conns;              /* of struct ht_server_conn */
    unsigned num_conns;
    struct hashmap clusters;        /* name -> struct px_cluster */
    struct rng rng;
    struct list spare_requests;     /* freed ones, to be used again */
    unsigned num_spare, num_requests;
    struct px_stats stats;
    struct px_access_log_buffer *log; /* owned; NULL: off */
    struct px_series *unrouted;     /* requests without a route */
    bool is_draining, is_told_drained;
    struct timer drain_timer;
};

void px_worker_init(struct px_worker *worker, struct net_worker *net, struct px_dataplane *dataplane);
/* Closes everything at once. Connections and requests go from posts of the loop: turn it until px_worker_is_empty(). */
void px_worker_close(struct px_worker *worker);
bool px_worker_is_empty(const struct px_worker *worker);
void px_worker_clear(struct px_worker *worker);

/* Takes over one reference; the current view becomes an old one. */
void px_worker_use(struct px_worker *worker, struct px_config *config);
struct px_view *px_view_begin(struct px_worker *worker); /* a request begins on the current view */
void px_view_end(struct px_view *view);
/* Where requests of that rule's backend are counted; backend NULL: of the rule itself (redirects, answers). */
struct px_series *px_view_series(const struct px_view *view, const struct cfg_rule *rule, const struct cfg_backend *backend);
static inline struct px_cluster *px_view_cluster(const struct px_view *view, const struct cfg_cluster *cluster)
{
    return view->clusters[cluster - view->config->snapshot->clusters];
}

/* No new work: listeners close, connections end with their current request, those that do not within `timeout_ms` are
 * cut. The dataplane is told when the last one went. */
void px_worker_drain(struct px_worker *worker, uint64_t timeout_ms);
void px_worker_check_drained(struct px_worker *worker);

#endif

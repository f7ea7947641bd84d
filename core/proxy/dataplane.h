/* The data plane: N workers that serve the current configuration, and the one place that changes it.
 *
 * A configuration goes prepare -> publish: px_dataplane_apply() prepares it off the loop (TLS contexts, filter chains),
 * opens sockets for new listeners, sends it to every worker by message, and says how that went. Requests in flight stay
 * with the configuration they began with; sockets and upstream connections that both name stay open. A listener that
 * cannot be bound is reported and tried again; the others serve.
 *
 * Threads: everything here on `main`'s thread, except the last section, which is the workers'.
 * Shutdown: px_dataplane_drain(), then px_dataplane_free(). */
#ifndef SELVEDGE_PROXY_DATAPLANE_H
#define SELVEDGE_PROXY_DATAPLANE_H

#include "core/base/strbuf.h"
#include "core/proxy/worker.h"

struct px_dataplane;

struct px_options {
    unsigned num_workers;          /* 0: one per processor this process may use */
    size_t mem_soft, mem_hard;     /* bytes of buffers of the process; 0: no limit */
    const struct ht_limits *limits;/* borrowed for ever; NULL: ht_limits_default */
};

struct px_listener_status {
    struct slice name;
    bool is_open;
    char why[256]; /* when not */
};

struct px_result {
    uint64_t epoch, rev;
    bool is_applied;
    const char *why;               /* when rejected */
    const struct px_listener_status *listeners; /* when applied */
    uint32_t num_listeners;
};
/* Comes once per px_dataplane_apply(), on main, in order, never before it returns. Everything is borrowed for the call. */
typedef void (*px_result_cb)(const struct px_result *result, void *data);

/* Starts the workers' threads. `main` is borrowed: the loop of whoever composes. */
struct px_dataplane *px_dataplane_new(struct net_worker *main, const struct px_options *options);
/* Takes over one reference of the snapshot. */
void px_dataplane_apply(struct px_dataplane *dataplane, struct cfg_snapshot *snapshot, px_result_cb on_result, void *data);
/* Stops accepting, lets requests end (GOAWAY, Connection: close), cuts what is left after `timeout_ms`; then `on_done`. */
void px_dataplane_drain(struct px_dataplane *dataplane, uint64_t timeout_ms, void (*on_done)(void *data), void *data);
/* Cuts everything, joins the threads. Turns main's loop meanwhile. NULL is fine; returns NULL. */
struct px_dataplane *px_dataplane_free(struct px_dataplane *dataplane);
void px_dataplane_reopen_logs(struct px_dataplane *dataplane);

/* ---- looking ---- */
unsigned px_dataplane_num_workers(const struct px_dataplane *dataplane);
/* The configuration the workers were sent last; NULL before the first. */
const struct px_config *px_dataplane_config(const struct px_dataplane *dataplane);
const struct px_listener_status *px_dataplane_listeners(const struct px_dataplane *dataplane, uint32_t *ret_num);
/* Serving: a configuration is applied, at least one of its listeners is open (or it has none), not draining. */
bool px_dataplane_is_ready(const struct px_dataplane *dataplane);
bool px_dataplane_is_draining(const struct px_dataplane *dataplane);
/* All shards merged, as Prometheus text. */
void px_dataplane_write_metrics(struct px_dataplane *dataplane, struct strbuf *out);
/* The shards, for px_metric_table (telemetry/stats.h): one a worker, then main's. Borrowed; read by main only. */
struct metrics *const *px_dataplane_metrics(struct px_dataplane *dataplane, unsigned *ret_num);
unsigned px_dataplane_num_conns(const struct px_dataplane *dataplane);
/* Runs `visit` on every worker's thread, then `done` on main once all did. */
void px_dataplane_visit(struct px_dataplane *dataplane, void (*visit)(struct px_worker *worker, void *data),
                        void (*done)(void *data), void *data);

/* ---- for workers, on their threads ---- */
const struct ht_limits *px_dataplane_limits(const struct px_dataplane *dataplane);
/* Counts a downstream connection of the process, unless there are too many. */
bool px_dataplane_conn_opened(struct px_dataplane *dataplane);
void px_dataplane_conn_closed(struct px_dataplane *dataplane);
/* The view's reference comes home: freeing takes time and is done elsewhere. */
void px_dataplane_release(struct px_dataplane *dataplane, struct px_config *config);
void px_dataplane_worker_drained(struct px_dataplane *dataplane);

#endif

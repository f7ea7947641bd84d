/* Views come and go; draining; the end. */
#include "core/proxy/worker.h"

#include "core/base/crypto.h"
#include "core/proxy/dataplane.h"
#include "core/proxy/listener.h"
#include "core/proxy/request.h"
#include "core/proxy/telemetry/access_log.h"

/* ---- views ---- */

static struct px_view *view_new(struct px_worker *worker, struct px_config *config)
{
    const struct cfg_snapshot *snapshot = config->snapshot;
    struct px_view *view = xcalloc(1, sizeof(*view));

    view->config = config;
    view->worker = worker;
    view->is_current = true;
    view->clusters = xcalloc(snapshot->num_clusters, sizeof(view->clusters[0]));
    for (uint32_t i = 0; i < snapshot->num_clusters; i++)
        view->clusters[i] = px_cluster_use(worker, config, i);
    view->series = xcalloc(snapshot->num_routes, sizeof(view->series[0]));
    ++worker->num_views;
    return view;
}

static void free_series(struct px_view *view, uint32_t route)
{
    for (uint32_t i = 0; view->series[route] != NULL && i < view->config->num_series[route]; i++)
        px_series_unref(&view->worker->stats, view->series[route][i]);
    free(view->series[route]);
}

static void view_free(struct px_view *view)
{
    const struct cfg_snapshot *snapshot = view->config->snapshot;

    for (uint32_t i = 0; i < snapshot->num_clusters; i++)
        px_cluster_unref(view->clusters[i]);
    for (uint32_t i = 0; i < snapshot->num_routes; i++)
        free_series(view, i);
    free(view->clusters);
    free(view->series);
    --view->worker->num_views;
    px_dataplane_release(view->worker->dataplane, view->config);
    free(view);
}

struct px_view *px_view_begin(struct px_worker *worker)
{
    ++worker->view->num_requests;
    return worker->view;
}

void px_view_end(struct px_view *view)
{
    if (--view->num_requests == 0 && !view->is_current)
        view_free(view);
}

/* Found when first needed: a snapshot of ten thousand routes costs the loop nothing. */
struct px_series *px_view_series(const struct px_view *view, const struct cfg_rule *rule, const struct cfg_backend *backend)
{
    size_t route = (size_t)(rule->route - view->config->snapshot->routes);
    struct px_series ***slot = &view->series[route];
    size_t at = px_config_rule(view->config, rule)->series_at + (backend != NULL ? 1 + (size_t)(backend - rule->backends) : 0);

    if (*slot == NULL)
        *slot = xcalloc(view->config->num_series[route], sizeof(**slot));
    if ((*slot)[at] == NULL)
        (*slot)[at] = px_series_use(&view->worker->stats, rule->route->name,
                                    backend != NULL ? backend->cluster_name : slice_make("", 0));
    return (*slot)[at];
}

static void leave_view(struct px_worker *worker)
{
    struct px_view *old = worker->view;

    worker->view = NULL;
    if (old == NULL)
        return;
    old->is_current = false;
    if (old->num_requests == 0)
        view_free(old);
}

/* The new view takes its references first: what both name is never without one. */
void px_worker_use(struct px_worker *worker, struct px_config *config)
{
    struct px_view *view = view_new(worker, config);

    leave_view(worker);
    worker->view = view;
    px_access_log_configure(worker->log, config->snapshot->settings.access_log);
}

/* ---- draining ---- */

void px_worker_check_drained(struct px_worker *worker)
{
    if (!worker->is_draining || worker->is_told_drained || worker->num_conns != 0)
        return;
    timer_stop(&worker->drain_timer);
    worker->is_told_drained = true;
    px_dataplane_worker_drained(worker->dataplane);
}

static void close_listeners(struct px_worker *worker)
{
    LIST_FOR_SAFE(listener, &worker->listeners, struct px_listener, link)
    px_listener_close(listener);
}

static void close_conns(struct px_worker *worker)
{
    LIST_FOR_SAFE(http, &worker->conns, struct ht_server_conn, link)
    ht_server_close(http);
}

static void on_drain_timeout(struct timer *timer)
{
    close_conns(CONTAINER_OF(timer, struct px_worker, drain_timer));
}

void px_worker_drain(struct px_worker *worker, uint64_t timeout_ms)
{
    worker->is_draining = true;
    close_listeners(worker); /* drains their connections */
    timer_start(&worker->net->timers, &worker->drain_timer, net_now_ms(worker->net) + timeout_ms);
    px_worker_check_drained(worker);
}

/* ---- lifecycle ---- */

void px_worker_init(struct px_worker *worker, struct net_worker *net, struct px_dataplane *dataplane)
{
    *worker = (struct px_worker){.net = net, .dataplane = dataplane};
    net->owner = worker;
    list_init(&worker->listeners);
    list_init(&worker->conns);
    list_init(&worker->spare_requests);
    worker->rng.state = crypto_random_u64();
    px_stats_init(&worker->stats);
    worker->unrouted = px_series_use(&worker->stats, slice_make("", 0), slice_make("", 0));
    timer_init(&worker->drain_timer, on_drain_timeout);
}

void px_worker_close(struct px_worker *worker)
{
    worker->is_draining = worker->is_told_drained = true;
    timer_stop(&worker->drain_timer);
    close_listeners(worker); /* each holds the view until its last connection is gone */
    close_conns(worker);
    leave_view(worker);
}

bool px_worker_is_empty(const struct px_worker *worker)
{
    return worker->num_conns == 0 && worker->num_views == 0 && list_is_empty(&worker->listeners);
}

void px_worker_clear(struct px_worker *worker)
{
    LIST_FOR_SAFE(req, &worker->spare_requests, struct px_request, link)
    free(req);
    hashmap_clear(&worker->clusters);
    worker->log = px_access_log_buffer_free(worker->log);
    px_stats_clear(&worker->stats);
}

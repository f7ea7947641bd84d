/* Applying configurations, one after the other.
 *
 * Happy path of one: job (px_config_new) -> open sockets that are missing -> one message a worker with the configuration
 * and its sockets -> each answers when it serves it -> on_result. The next one starts when the last worker answered, so
 * results come in order and workers never see two at once.
 * Failure: the job refuses: nothing was touched. A socket cannot be opened: its listener is reported, a timer tries
 * again for as long as the configuration stays. */
#include "core/proxy/dataplane_private.h"

#include "core/base/log.h"
#include "core/proxy/listener.h"

#include <stdio.h>
#include <unistd.h>

enum { REOPEN_MS = 5000 /* until a listener that could not be bound is tried again */ };

struct apply {
    struct list link;
    struct px_dataplane *dataplane;
    struct net_job job;
    struct cfg_snapshot *snapshot; /* owned until the job took it */
    uint64_t epoch, rev;
    const struct px_config *before; /* borrowed: the dataplane holds it until this one is published */
    struct px_config *config;      /* of the job */
    struct err err;
    px_result_cb on_result;
    void *data;
};

static void start_next(struct px_dataplane *dataplane);

/* ---- freeing configurations ---- */

struct release {
    struct net_job job;
    struct px_dataplane *dataplane;
    struct px_config *config;
};

static void run_release(struct net_job *job)
{
    px_config_unref(CONTAINER_OF(job, struct release, job)->config);
}

static void done_release(struct net_job *job)
{
    struct release *release = CONTAINER_OF(job, struct release, job);

    if (job->state == NET_JOB_REFUSED) /* too much to do elsewhere: it is done here, late rather than never */
        run_release(job);
    --release->dataplane->num_releasing;
    free(release);
}

static void release_elsewhere(struct px_dataplane *dataplane, struct px_config *config)
{
    struct release *release = xcalloc(1, sizeof(*release));

    if (config == NULL) {
        free(release);
        return;
    }
    release->dataplane = dataplane;
    release->config = config;
    release->job.run = run_release;
    release->job.done = done_release;
    ++dataplane->num_releasing;
    net_job_submit(dataplane->main, &release->job);
}

static void on_released(struct px_note *note, struct px_worker *worker)
{
    release_elsewhere(note->dataplane, note->config);
    free(note);
}

void px_dataplane_release(struct px_dataplane *dataplane, struct px_config *config)
{
    struct px_note *note = px_note_new(dataplane, NULL);

    note->config = config;
    px_note_send_home(note, on_released);
}

/* ---- listeners ---- */

static struct px_listener_status *find_status(struct px_listener_status *list, uint32_t num, struct slice name)
{
    for (uint32_t i = 0; i < num; i++)
        if (slice_eq(list[i].name, name))
            return &list[i];
    return NULL;
}

static void free_statuses(struct px_listener_status *list, uint32_t num)
{
    for (uint32_t i = 0; i < num; i++)
        free((char *)list[i].name.base);
    free(list);
}

static void close_all(int *fds, unsigned num)
{
    for (unsigned i = 0; i < num; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* One socket a worker, all or none: a port that only some workers serve would be worse than one that is reported. With
 * port 0 (tests) the workers would get different ports: the first socket's is used by all. */
static int open_listener(struct px_dataplane *dataplane, const struct px_listener_config *config, int *fds, struct err *err)
{
    for (unsigned i = 0; i < dataplane->num_workers; i++) {
        fds[i] = px_listen(config, err);
        if (fds[i] < 0) {
            close_all(fds, i);
            return -1;
        }
    }
    return 0;
}

/* fds: [listener * workers + worker]. */
static void open_missing(struct px_dataplane *dataplane, const struct px_config *config, int *fds,
                         struct px_listener_status *statuses)
{
    for (uint32_t i = 0; i < config->snapshot->num_listeners; i++) {
        struct slice name = config->listeners[i].listener->name;
        struct px_listener_status *before = find_status(dataplane->listeners, dataplane->num_listeners, name);
        struct err err = ERR_INIT;
        statuses[i].name = slice_make(xstrndup(name.base, name.len), name.len);
        statuses[i].is_open = before != NULL && before->is_open;
        if (statuses[i].is_open || dataplane->is_draining)
            continue;
        int *own = &fds[i * dataplane->num_workers];
        if (open_listener(dataplane, &config->listeners[i], own, &err) == 0) {
            statuses[i].is_open = true;
            continue;
        }
        for (unsigned j = 0; j < dataplane->num_workers; j++)
            own[j] = -1;
        snprintf(statuses[i].why, sizeof(statuses[i].why), "%.*s", (int)sizeof(statuses[i].why) - 1, err.text);
        log_err(LOG_ERROR, "listener cannot be opened", &err);
    }
}

/* ---- publishing ---- */

static void set_limits(struct px_dataplane *dataplane, struct px_config *config)
{
    const struct cfg_snapshot *snapshot = config->snapshot;

    config->limits = arena_alloc(config->arena, (snapshot->num_clusters + 1) * sizeof(config->limits[0]));
    for (uint32_t i = 0; i < snapshot->num_clusters; i++)
        config->limits[i] = px_limits_of(&dataplane->limits_table, snapshot->clusters[i].name);
    for (uint32_t i = 0; i < snapshot->num_listeners; i++)
        config->listeners[i].counts = px_limits_of(&dataplane->counts_table, snapshot->listeners[i].name);
}

static void finish_first(struct px_dataplane *dataplane, bool is_applied)
{
    struct apply *apply = LIST_FIRST(&dataplane->applies, struct apply, link);
    struct px_result result = {
        .epoch = apply->epoch,
        .rev = apply->rev,
        .is_applied = is_applied,
        .why = is_applied ? NULL : apply->err.text,
        .listeners = dataplane->listeners,
        .num_listeners = dataplane->num_listeners,
    };

    list_remove(&apply->link);
    if (apply->on_result != NULL)
        apply->on_result(&result, apply->data);
    free(apply);
    start_next(dataplane);
}

static void on_worker_uses(struct px_note *note, struct px_worker *worker)
{
    struct px_dataplane *dataplane = note->dataplane;
    bool is_apply = note->number != 0;

    free(note->fds);
    free(note);
    if (is_apply && --dataplane->num_unanswered == 0)
        finish_first(dataplane, true);
}

static const struct px_listener_config *find_listener_config(const struct px_config *config, struct slice name)
{
    for (uint32_t i = 0; i < config->snapshot->num_listeners; i++)
        if (slice_eq(config->listeners[i].listener->name, name))
            return &config->listeners[i];
    return NULL;
}

static void close_removed_listeners(struct px_worker *worker, const struct px_config *config)
{
    LIST_FOR_SAFE(listener, &worker->listeners, struct px_listener, link)
    if (listener->socket != NULL && find_listener_config(config, listener->name) == NULL)
        px_listener_close(listener);
}

static void reconcile_listeners(struct px_worker *worker, const struct px_config *config, const int *fds)
{
    LIST_FOR(listener, &worker->listeners, struct px_listener, link)
    if (listener->socket != NULL)
        px_listener_use(listener, find_listener_config(config, listener->name));
    for (uint32_t i = 0; i < config->snapshot->num_listeners; i++)
        if (fds[i] >= 0)
            (void)px_listener_new(worker, &config->listeners[i], fds[i]);
}

/* Sockets about to close do so under the old configuration: their connections belong to it. */
static void use_at_worker(struct px_note *note, struct px_worker *worker)
{
    close_removed_listeners(worker, note->config);
    px_worker_use(worker, note->config);
    if (!worker->is_draining)
        reconcile_listeners(worker, note->config, note->fds);
    else
        close_all(note->fds, note->config->snapshot->num_listeners);
    px_note_send_home(note, on_worker_uses);
}

static void add_sockets_at_worker(struct px_note *note, struct px_worker *worker)
{
    if (worker->view != NULL && worker->view->config == note->config && !worker->is_draining)
        reconcile_listeners(worker, note->config, note->fds);
    else
        close_all(note->fds, note->config->snapshot->num_listeners);
    px_dataplane_release(note->dataplane, note->config);
    px_note_send_home(note, on_worker_uses);
}

static void send_config(struct px_dataplane *dataplane, struct px_config *config, const int *fds,
                        void (*run)(struct px_note *note, struct px_worker *worker), bool is_apply)
{
    uint32_t num = config->snapshot->num_listeners;

    for (unsigned i = 0; i < dataplane->num_workers; i++) {
        struct px_note *note = px_note_new(dataplane, run);
        note->config = px_config_ref(config);
        note->number = is_apply;
        note->fds = xmalloc((num + 1) * sizeof(int));
        for (uint32_t j = 0; j < num; j++)
            note->fds[j] = fds[j * dataplane->num_workers + i];
        px_note_send(note, i);
    }
}

static int *no_fds(const struct px_dataplane *dataplane, const struct px_config *config)
{
    size_t num = (size_t)config->snapshot->num_listeners * dataplane->num_workers;
    int *fds = xmalloc((num + 1) * sizeof(int));

    for (size_t i = 0; i < num; i++)
        fds[i] = -1;
    return fds;
}

static bool has_closed_listener(const struct px_dataplane *dataplane)
{
    for (uint32_t i = 0; i < dataplane->num_listeners; i++)
        if (!dataplane->listeners[i].is_open)
            return true;
    return false;
}

static void watch_closed(struct px_dataplane *dataplane)
{
    timer_stop(&dataplane->reopen_timer);
    if (has_closed_listener(dataplane) && !dataplane->is_draining)
        timer_start(&dataplane->main->timers, &dataplane->reopen_timer, net_now_ms(dataplane->main) + REOPEN_MS);
}

static void show_listener(struct px_dataplane *dataplane, struct slice name, bool is_open)
{
    struct metrics *shard = dataplane->shards[dataplane->num_workers];
    struct metric *metric = metrics_open(shard, PX_METRIC_LISTENER_OPEN, &name);

    metric_set(metric, is_open);
    metrics_close(shard, metric);
}

static void replace_statuses(struct px_dataplane *dataplane, struct px_listener_status *statuses, uint32_t num)
{
    for (uint32_t i = 0; i < dataplane->num_listeners; i++)
        show_listener(dataplane, dataplane->listeners[i].name, false); /* those that stay are shown again */
    for (uint32_t i = 0; i < num; i++)
        show_listener(dataplane, statuses[i].name, statuses[i].is_open);
    free_statuses(dataplane->listeners, dataplane->num_listeners);
    dataplane->listeners = statuses;
    dataplane->num_listeners = num;
    watch_closed(dataplane);
}

static void publish(struct px_dataplane *dataplane, struct px_config *config)
{
    uint32_t num = config->snapshot->num_listeners;
    struct px_listener_status *statuses = xcalloc(num + 1, sizeof(*statuses));
    int *fds = no_fds(dataplane, config);
    const struct cfg_settings *settings = &config->snapshot->settings;

    set_limits(dataplane, config);
    atomic_store(&dataplane->max_conns,
                 settings->max_connections != 0 ? settings->max_connections : px_dataplane_default_max_conns());
    open_missing(dataplane, config, fds, statuses);
    replace_statuses(dataplane, statuses, num);
    dataplane->num_unanswered = dataplane->num_workers;
    send_config(dataplane, config, fds, use_at_worker, true);
    free(fds);
    px_health_configure(dataplane->health, config); /* after it: verdicts come to endpoints that are there */
    release_elsewhere(dataplane, dataplane->config);
    dataplane->config = config;
    px_limits_sweep(&dataplane->limits_table);
    px_limits_sweep(&dataplane->counts_table);
}

void px_dataplane_on_reopen(struct timer *timer)
{
    struct px_dataplane *dataplane = CONTAINER_OF(timer, struct px_dataplane, reopen_timer);
    uint32_t num = dataplane->config->snapshot->num_listeners;
    struct px_listener_status *statuses = xcalloc(num + 1, sizeof(*statuses));
    int *fds = no_fds(dataplane, dataplane->config);

    open_missing(dataplane, dataplane->config, fds, statuses);
    replace_statuses(dataplane, statuses, num);
    send_config(dataplane, dataplane->config, fds, add_sockets_at_worker, false);
    free(fds);
}

/* ---- preparing ---- */

static void run_prepare(struct net_job *job)
{
    struct apply *apply = CONTAINER_OF(job, struct apply, job);

    apply->config = px_config_new(apply->snapshot, apply->before, &apply->err);
    apply->snapshot = NULL;
}

static void done_prepare(struct net_job *job)
{
    struct apply *apply = CONTAINER_OF(job, struct apply, job);
    struct px_dataplane *dataplane = apply->dataplane;

    if (job->state == NET_JOB_REFUSED) {
        cfg_snapshot_unref(apply->snapshot);
        err_set(&apply->err, ERR_UNAVAILABLE, "too much to do: the configuration was not prepared");
    }
    if (apply->config == NULL)
        finish_first(dataplane, false);
    else
        publish(dataplane, apply->config);
}

static void start_next(struct px_dataplane *dataplane)
{
    if (list_is_empty(&dataplane->applies) || dataplane->is_closing)
        return;
    struct apply *apply = LIST_FIRST(&dataplane->applies, struct apply, link);
    apply->before = dataplane->config;
    apply->job.run = run_prepare;
    apply->job.done = done_prepare;
    net_job_submit(dataplane->main, &apply->job);
}

void px_dataplane_apply(struct px_dataplane *dataplane, struct cfg_snapshot *snapshot, px_result_cb on_result, void *data)
{
    struct apply *apply = xcalloc(1, sizeof(*apply));
    bool is_first = list_is_empty(&dataplane->applies);

    apply->dataplane = dataplane;
    apply->snapshot = snapshot;
    apply->epoch = snapshot->epoch;
    apply->rev = snapshot->rev;
    apply->on_result = on_result;
    apply->data = data;
    list_push(&dataplane->applies, &apply->link);
    if (is_first)
        start_next(dataplane);
}

/* ---- stopping ---- */

/* Whatever a job or a worker still has to report is received; applies that wait are dropped without a result. */
static void settle(struct px_dataplane *dataplane)
{
    while (dataplane->num_unanswered != 0 || dataplane->num_releasing != 0)
        net_worker_turn(dataplane->main, 10);
}

static void drop_applies(struct px_dataplane *dataplane)
{
    while (!list_is_empty(&dataplane->applies)) {
        struct apply *apply = LIST_FIRST(&dataplane->applies, struct apply, link);
        while (apply->job.state == NET_JOB_QUEUED || apply->job.state == NET_JOB_RUNNING) {
            struct list *first = dataplane->applies.next;
            net_worker_turn(dataplane->main, 10);
            if (dataplane->applies.next != first)
                break;
        }
        if (list_is_empty(&dataplane->applies) || LIST_FIRST(&dataplane->applies, struct apply, link) != apply)
            continue;
        settle(dataplane);
        if (list_is_empty(&dataplane->applies) || LIST_FIRST(&dataplane->applies, struct apply, link) != apply)
            continue;
        list_remove(&apply->link);
        cfg_snapshot_unref(apply->snapshot);
        free(apply);
    }
}

void px_dataplane_stop_applying(struct px_dataplane *dataplane)
{
    timer_stop(&dataplane->reopen_timer);
    drop_applies(dataplane);
}

void px_dataplane_give_back(struct px_dataplane *dataplane)
{
    release_elsewhere(dataplane, dataplane->config);
    settle(dataplane);
    free_statuses(dataplane->listeners, dataplane->num_listeners);
}

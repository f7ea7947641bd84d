/* Applying configurations, one after the other.
 *
 * Happy path of one: job (px_config_new) -> open sockets that are missing -> one message a worker with the configuration
 * and its sockets -> each answers when it serves it -> on_result. The next one starts when the last worker answered, so
 * results come in order and workers never see two at once.
 * Failure: the job refuses: nothing was touched. A socket cannot be opened: its listener is reported, a timer tries
 * again for as long as the configuration stays.
 * Shutdown: every worker is told to close and turns its loop until nothing is left; then the threads are joined. */
#include "core/proxy/dataplane.h"

#include "core/base/log.h"
#include "core/proxy/health.h"
#include "core/proxy/listener.h"
#include "core/proxy/telemetry/access_log.h"

#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    MAX_WORKERS = 256,
    RESERVED_FDS = 64,      /* listeners, epoll, logs, the control stream, the admin port */
    MIN_CONNECTIONS = 16,
    MAX_CONNECTIONS = 1 << 20,
    REOPEN_MS = 5000,       /* until a listener that could not be bound is tried again */
};

struct slot { /* a worker's place */
    struct px_worker worker;
    struct net_worker *net;
};

struct apply {
    struct list link;
    struct px_dataplane *dataplane;
    struct net_job job;
    struct cfg_snapshot *snapshot; /* owned until the job took it */
    uint64_t epoch, rev;
    struct px_config *config;      /* of the job */
    struct err err;
    px_result_cb on_result;
    void *data;
};

struct px_dataplane {
    struct net_worker *main;
    struct slot *slots;
    unsigned num_workers;
    const struct ht_limits *limits;
    struct px_access_log *log;
    struct metrics **shards;       /* array owned: the workers', then main's, which is owned */
    struct px_health *health;
    struct hashmap breakers;       /* cluster name -> struct px_limits; key owned by struct breaker */
    struct list applies;           /* the first one is being applied */
    unsigned num_unanswered;
    struct px_config *config;      /* the last one sent; referenced */
    struct px_listener_status *listeners;
    uint32_t num_listeners;
    struct timer reopen_timer;
    bool is_draining, is_closing;
    unsigned num_undrained;
    void (*on_drained)(void *data);
    void *on_drained_data;
    unsigned num_releasing;
    /* of all threads */
    atomic_uint num_conns, max_conns;
};

struct breaker {
    char *name;
    struct px_limits *limits;
};

static void start_next(struct px_dataplane *dataplane);
static void on_health_change(void *data, struct slice cluster, struct slice endpoint, bool is_healthy);

/* ---- messages ---- */

/* Carries a plain call to a worker's thread, or home. */
struct note {
    struct net_message message;
    struct px_dataplane *dataplane;
    void (*run)(struct note *note, struct px_worker *worker); /* frees the note; worker NULL on main */
    void *data;
    struct px_config *config;
    int *fds;                      /* [listener of the configuration]; -1: has one or has none */
    uint64_t number;
    void (*visit)(struct px_worker *worker, void *data);
};

static void on_note_at_worker(struct net_message *message, struct net_worker *net)
{
    struct note *note = CONTAINER_OF(message, struct note, message);

    note->run(note, net->owner);
}

static void on_note_at_main(struct net_message *message, struct net_worker *net)
{
    struct note *note = CONTAINER_OF(message, struct note, message);

    note->run(note, NULL);
}

static struct note *note_new(struct px_dataplane *dataplane, void (*run)(struct note *note, struct px_worker *worker))
{
    struct note *note = xcalloc(1, sizeof(*note));

    note->dataplane = dataplane;
    note->run = run;
    return note;
}

static void send_to_worker(struct note *note, unsigned index)
{
    note->message.run = on_note_at_worker;
    net_worker_send(note->dataplane->slots[index].net, &note->message);
}

static void send_home(struct note *note, void (*run)(struct note *note, struct px_worker *worker))
{
    note->run = run;
    note->message.run = on_note_at_main;
    net_worker_send(note->dataplane->main, &note->message);
}

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

static void on_released(struct note *note, struct px_worker *worker)
{
    release_elsewhere(note->dataplane, note->config);
    free(note);
}

void px_dataplane_release(struct px_dataplane *dataplane, struct px_config *config)
{
    struct note *note = note_new(dataplane, NULL);

    note->config = config;
    send_home(note, on_released);
}

/* ---- circuit breakers ---- */

static struct px_limits *breaker_of(struct px_dataplane *dataplane, struct slice name)
{
    struct breaker *breaker = hashmap_get(&dataplane->breakers, name.base, name.len);

    if (breaker == NULL) {
        breaker = xcalloc(1, sizeof(*breaker));
        breaker->name = xstrndup(name.base, name.len);
        breaker->limits = px_limits_new();
        hashmap_put(&dataplane->breakers, breaker->name, name.len, breaker);
    }
    return px_limits_ref(breaker->limits);
}

static void breaker_free(struct px_dataplane *dataplane, struct breaker *breaker)
{
    (void)hashmap_remove(&dataplane->breakers, breaker->name, strlen(breaker->name));
    px_limits_unref(breaker->limits);
    free(breaker->name);
    free(breaker);
}

/* Those that only we hold are of clusters long gone. */
static void sweep_breakers(struct px_dataplane *dataplane, bool all)
{
    struct hashmap_slot *slot;
    struct breaker **dead = xmalloc((hashmap_len(&dataplane->breakers) + 1) * sizeof(dead[0]));
    size_t num = 0;

    for (size_t i = 0; (slot = hashmap_next(&dataplane->breakers, &i)) != NULL;) {
        struct breaker *breaker = slot->value;
        if (all || atomic_load_explicit(&breaker->limits->refs, memory_order_acquire) == 1)
            dead[num++] = breaker;
    }
    for (size_t i = 0; i < num; i++)
        breaker_free(dataplane, dead[i]);
    free(dead);
}

static void set_limits(struct px_dataplane *dataplane, struct px_config *config)
{
    const struct cfg_snapshot *snapshot = config->snapshot;

    config->limits = arena_alloc(config->arena, (snapshot->num_clusters + 1) * sizeof(config->limits[0]));
    for (uint32_t i = 0; i < snapshot->num_clusters; i++)
        config->limits[i] = breaker_of(dataplane, snapshot->clusters[i].name);
}

/* A request needs a descriptor on the other side too, but most connections are idle most of the time: a quarter of what
 * there is stays for upstreams. */
static unsigned default_max_conns(void)
{
    struct rlimit limit = {0, 0};

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return MAX_CONNECTIONS;
    if (limit.rlim_cur < RESERVED_FDS + 2 * MIN_CONNECTIONS)
        return MIN_CONNECTIONS;
    return (unsigned)MIN((limit.rlim_cur - RESERVED_FDS) / 4 * 3, (rlim_t)MAX_CONNECTIONS);
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

static void on_worker_uses(struct note *note, struct px_worker *worker)
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
        listener->config = find_listener_config(config, listener->name);
    for (uint32_t i = 0; i < config->snapshot->num_listeners; i++)
        if (fds[i] >= 0)
            (void)px_listener_new(worker, &config->listeners[i], fds[i]);
}

/* Sockets about to close do so under the old configuration: their connections belong to it. */
static void use_at_worker(struct note *note, struct px_worker *worker)
{
    close_removed_listeners(worker, note->config);
    px_worker_use(worker, note->config);
    if (!worker->is_draining)
        reconcile_listeners(worker, note->config, note->fds);
    else
        close_all(note->fds, note->config->snapshot->num_listeners);
    send_home(note, on_worker_uses);
}

static void add_sockets_at_worker(struct note *note, struct px_worker *worker)
{
    if (worker->view != NULL && worker->view->config == note->config && !worker->is_draining)
        reconcile_listeners(worker, note->config, note->fds);
    else
        close_all(note->fds, note->config->snapshot->num_listeners);
    px_dataplane_release(note->dataplane, note->config);
    send_home(note, on_worker_uses);
}

static void send_config(struct px_dataplane *dataplane, struct px_config *config, const int *fds,
                        void (*run)(struct note *note, struct px_worker *worker), bool is_apply)
{
    uint32_t num = config->snapshot->num_listeners;

    for (unsigned i = 0; i < dataplane->num_workers; i++) {
        struct note *note = note_new(dataplane, run);
        note->config = px_config_ref(config);
        note->number = is_apply;
        note->fds = xmalloc((num + 1) * sizeof(int));
        for (uint32_t j = 0; j < num; j++)
            note->fds[j] = fds[j * dataplane->num_workers + i];
        send_to_worker(note, i);
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
                 settings->max_connections != 0 ? settings->max_connections : default_max_conns());
    open_missing(dataplane, config, fds, statuses);
    replace_statuses(dataplane, statuses, num);
    dataplane->num_unanswered = dataplane->num_workers;
    send_config(dataplane, config, fds, use_at_worker, true);
    free(fds);
    px_health_configure(dataplane->health, config); /* after it: verdicts come to endpoints that are there */
    release_elsewhere(dataplane, dataplane->config);
    dataplane->config = config;
    sweep_breakers(dataplane, false);
}

static void on_reopen(struct timer *timer)
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

/* ---- health ---- */

/* The message brings its texts along: the probe may be gone when it arrives. */
static void set_health_at_worker(struct note *note, struct px_worker *worker)
{
    struct slice *texts = note->data;
    struct px_cluster *cluster = px_cluster_find(worker, texts[0]);

    if (cluster != NULL)
        px_cluster_set_health(cluster, texts[1], note->number);
    free(texts);
    free(note);
}

static void *pack_texts(struct slice a, struct slice b)
{
    struct slice *texts = xmalloc(2 * sizeof(*texts) + a.len + b.len);
    char *at = (char *)(texts + 2);

    memcpy(at, a.base, a.len);
    memcpy(at + a.len, b.base, b.len);
    texts[0] = slice_make(at, a.len);
    texts[1] = slice_make(at + a.len, b.len);
    return texts;
}

static void on_health_change(void *data, struct slice cluster, struct slice endpoint, bool is_healthy)
{
    struct px_dataplane *dataplane = data;

    for (unsigned i = 0; i < dataplane->num_workers; i++) {
        struct note *note = note_new(dataplane, set_health_at_worker);
        note->data = pack_texts(cluster, endpoint);
        note->number = is_healthy;
        send_to_worker(note, i);
    }
}

/* ---- preparing ---- */

static void run_prepare(struct net_job *job)
{
    struct apply *apply = CONTAINER_OF(job, struct apply, job);

    apply->config = px_config_new(apply->snapshot, &apply->err);
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

/* ---- draining ---- */

static void on_worker_drained(struct note *note, struct px_worker *worker)
{
    struct px_dataplane *dataplane = note->dataplane;

    free(note);
    if (--dataplane->num_undrained == 0 && dataplane->on_drained != NULL)
        dataplane->on_drained(dataplane->on_drained_data);
}

void px_dataplane_worker_drained(struct px_dataplane *dataplane)
{
    send_home(note_new(dataplane, NULL), on_worker_drained);
}

static void drain_at_worker(struct note *note, struct px_worker *worker)
{
    px_worker_drain(worker, note->number);
    free(note);
}

void px_dataplane_drain(struct px_dataplane *dataplane, uint64_t timeout_ms, void (*on_done)(void *data), void *data)
{
    if (dataplane->is_draining)
        return;
    dataplane->is_draining = true;
    dataplane->on_drained = on_done;
    dataplane->on_drained_data = data;
    dataplane->num_undrained = dataplane->num_workers;
    timer_stop(&dataplane->reopen_timer);
    for (unsigned i = 0; i < dataplane->num_workers; i++) {
        struct note *note = note_new(dataplane, drain_at_worker);
        note->number = timeout_ms;
        send_to_worker(note, i);
    }
}

/* ---- visiting ---- */

struct visit {
    unsigned num_left;
    void (*done)(void *data);
    void *data;
};

static void on_visited(struct note *note, struct px_worker *worker)
{
    struct visit *visit = note->data;

    free(note);
    if (--visit->num_left != 0)
        return;
    visit->done(visit->data);
    free(visit);
}

static void visit_at_worker(struct note *note, struct px_worker *worker)
{
    struct visit *visit = note->data;

    note->visit(worker, visit->data);
    send_home(note, on_visited);
}

void px_dataplane_visit(struct px_dataplane *dataplane, void (*visit)(struct px_worker *worker, void *data),
                        void (*done)(void *data), void *data)
{
    struct visit *state = xcalloc(1, sizeof(*state));

    *state = (struct visit){dataplane->num_workers, done, data};
    for (unsigned i = 0; i < dataplane->num_workers; i++) {
        struct note *note = note_new(dataplane, visit_at_worker);
        note->visit = visit;
        note->data = state;
        send_to_worker(note, i);
    }
}

/* ---- lifecycle ---- */

static unsigned count_processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return (unsigned)MAX(CPU_COUNT(&set), 1);
}

static void init_slot(struct px_dataplane *dataplane, unsigned index, const struct px_options *options)
{
    struct slot *slot = &dataplane->slots[index];
    unsigned num = dataplane->num_workers;

    slot->net = net_worker_new(index, options->mem_soft / num, options->mem_hard / num);
    px_worker_init(&slot->worker, slot->net, dataplane);
    dataplane->shards[index] = slot->worker.stats.shard;
    slot->worker.log = px_access_log_buffer_new(dataplane->log, slot->net, slot->worker.stats.log_dropped);
}

struct px_dataplane *px_dataplane_new(struct net_worker *main, const struct px_options *options)
{
    struct px_dataplane *dataplane = xcalloc(1, sizeof(*dataplane));
    char name[24];

    dataplane->main = main;
    dataplane->limits = options->limits != NULL ? options->limits : &ht_limits_default;
    dataplane->num_workers = MIN(options->num_workers != 0 ? options->num_workers : count_processors(), (unsigned)MAX_WORKERS);
    dataplane->log = px_access_log_new();
    dataplane->health = px_health_new(main, on_health_change, dataplane);
    list_init(&dataplane->applies);
    timer_init(&dataplane->reopen_timer, on_reopen);
    atomic_init(&dataplane->max_conns, default_max_conns());
    dataplane->slots = xcalloc(dataplane->num_workers, sizeof(dataplane->slots[0]));
    dataplane->shards = xcalloc(dataplane->num_workers + 1, sizeof(dataplane->shards[0]));
    dataplane->shards[dataplane->num_workers] = metrics_new(px_metric_table, PX_NUM_METRICS);
    for (unsigned i = 0; i < dataplane->num_workers; i++) {
        init_slot(dataplane, i, options);
        snprintf(name, sizeof(name), "worker-%u", i);
        if (net_worker_start_thread(dataplane->slots[i].net, name) != 0)
            abort(); /* no threads at start: there is nothing to fall back to */
    }
    return dataplane;
}

/* The loop must turn until connections, exchanges and views went from their posts; then the thread may end. */
static void on_close_poll(struct timer *timer);

struct closing {
    struct timer timer;
    struct px_worker *worker;
};

static void on_close_poll(struct timer *timer)
{
    struct closing *closing = CONTAINER_OF(timer, struct closing, timer);
    struct px_worker *worker = closing->worker;

    if (!px_worker_is_empty(worker)) {
        timer_start(&worker->net->timers, timer, net_now_ms(worker->net) + 1);
        return;
    }
    free(closing);
    net_worker_stop(worker->net);
}

static void close_at_worker(struct note *note, struct px_worker *worker)
{
    struct closing *closing = xcalloc(1, sizeof(*closing));

    free(note);
    px_worker_close(worker);
    closing->worker = worker;
    timer_init(&closing->timer, on_close_poll);
    timer_start(&worker->net->timers, &closing->timer, net_now_ms(worker->net));
}

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

struct px_dataplane *px_dataplane_free(struct px_dataplane *dataplane)
{
    if (dataplane == NULL)
        return NULL;
    dataplane->is_closing = true;
    timer_stop(&dataplane->reopen_timer);
    drop_applies(dataplane);
    dataplane->health = px_health_free(dataplane->health);
    for (unsigned i = 0; i < dataplane->num_workers; i++)
        send_to_worker(note_new(dataplane, close_at_worker), i);
    for (unsigned i = 0; i < dataplane->num_workers; i++)
        net_worker_join(dataplane->slots[i].net);
    for (unsigned i = 0; i < dataplane->num_workers; i++) {
        px_worker_clear(&dataplane->slots[i].worker);
        dataplane->slots[i].net = net_worker_free(dataplane->slots[i].net);
    }
    net_worker_turn(dataplane->main, 0); /* the views the workers gave back */
    release_elsewhere(dataplane, dataplane->config);
    settle(dataplane);
    sweep_breakers(dataplane, true);
    hashmap_clear(&dataplane->breakers);
    free_statuses(dataplane->listeners, dataplane->num_listeners);
    px_access_log_free(dataplane->log);
    metrics_free(dataplane->shards[dataplane->num_workers]);
    free(dataplane->shards);
    free(dataplane->slots);
    free(dataplane);
    return NULL;
}

/* ---- looking ---- */

void px_dataplane_reopen_logs(struct px_dataplane *dataplane)
{
    px_access_log_reopen(dataplane->log);
}

unsigned px_dataplane_num_workers(const struct px_dataplane *dataplane)
{
    return dataplane->num_workers;
}

const struct px_config *px_dataplane_config(const struct px_dataplane *dataplane)
{
    return dataplane->config;
}

const struct px_listener_status *px_dataplane_listeners(const struct px_dataplane *dataplane, uint32_t *ret_num)
{
    *ret_num = dataplane->num_listeners;
    return dataplane->listeners;
}

bool px_dataplane_is_ready(const struct px_dataplane *dataplane)
{
    if (dataplane->config == NULL || dataplane->is_draining)
        return false;
    for (uint32_t i = 0; i < dataplane->num_listeners; i++)
        if (dataplane->listeners[i].is_open)
            return true;
    return dataplane->num_listeners == 0;
}

bool px_dataplane_is_draining(const struct px_dataplane *dataplane)
{
    return dataplane->is_draining;
}

/* What only main knows is written into its shard when somebody looks. */
static void set_main_metrics(struct px_dataplane *dataplane)
{
    struct metrics *shard = dataplane->shards[dataplane->num_workers];
    const struct px_config *config = dataplane->config;

    metric_set(metrics_open(shard, PX_METRIC_REVISION, NULL), config != NULL ? (int64_t)config->snapshot->rev : 0);
    metric_set(metrics_open(shard, PX_METRIC_READY, NULL), px_dataplane_is_ready(dataplane));
    metric_set(metrics_open(shard, PX_METRIC_WORKERS, NULL), dataplane->num_workers);
}

struct metrics *const *px_dataplane_metrics(struct px_dataplane *dataplane, unsigned *ret_num)
{
    set_main_metrics(dataplane);
    *ret_num = dataplane->num_workers + 1;
    return dataplane->shards;
}

void px_dataplane_write_metrics(struct px_dataplane *dataplane, struct strbuf *out)
{
    unsigned num;
    struct metrics *const *shards = px_dataplane_metrics(dataplane, &num);

    metrics_write(out, shards, num);
}

unsigned px_dataplane_num_conns(const struct px_dataplane *dataplane)
{
    return atomic_load_explicit(&((struct px_dataplane *)dataplane)->num_conns, memory_order_relaxed);
}

/* ---- for workers ---- */

const struct ht_limits *px_dataplane_limits(const struct px_dataplane *dataplane)
{
    return dataplane->limits;
}

bool px_dataplane_conn_opened(struct px_dataplane *dataplane)
{
    return px_limit_take(&dataplane->num_conns, atomic_load_explicit(&dataplane->max_conns, memory_order_relaxed));
}

void px_dataplane_conn_closed(struct px_dataplane *dataplane)
{
    px_limit_give(&dataplane->num_conns);
}

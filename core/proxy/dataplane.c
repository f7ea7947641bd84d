/* Workers, and what is asked of the dataplane as a whole; dataplane_apply.c changes what they serve.
 *
 * Shutdown: every worker is told to close and turns its loop until nothing is left; then the threads are joined. */
#include "core/proxy/dataplane_private.h"

#include "core/proxy/telemetry/access_log.h"

#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

enum {
    MAX_WORKERS = 256,
    RESERVED_FDS = 64,      /* listeners, epoll, logs, the control stream, the admin port */
    MIN_CONNECTIONS = 16,
    MAX_CONNECTIONS = 1 << 20,
};

/* ---- messages ---- */

static void on_note_at_worker(struct net_message *message, struct net_worker *net)
{
    struct px_note *note = CONTAINER_OF(message, struct px_note, message);

    note->run(note, net->owner);
}

static void on_note_at_main(struct net_message *message, struct net_worker *net)
{
    struct px_note *note = CONTAINER_OF(message, struct px_note, message);

    note->run(note, NULL);
}

struct px_note *px_note_new(struct px_dataplane *dataplane, void (*run)(struct px_note *note, struct px_worker *worker))
{
    struct px_note *note = xcalloc(1, sizeof(*note));

    note->dataplane = dataplane;
    note->run = run;
    return note;
}

void px_note_send(struct px_note *note, unsigned index)
{
    note->message.run = on_note_at_worker;
    net_worker_send(note->dataplane->slots[index].net, &note->message);
}

void px_note_send_home(struct px_note *note, void (*run)(struct px_note *note, struct px_worker *worker))
{
    note->run = run;
    note->message.run = on_note_at_main;
    net_worker_send(note->dataplane->main, &note->message);
}

/* ---- health ---- */

/* The message brings its texts along: the probe may be gone when it arrives. */
static void set_health_at_worker(struct px_note *note, struct px_worker *worker)
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
        struct px_note *note = px_note_new(dataplane, set_health_at_worker);
        note->data = pack_texts(cluster, endpoint);
        note->number = is_healthy;
        px_note_send(note, i);
    }
}

/* ---- draining ---- */

static void on_worker_drained(struct px_note *note, struct px_worker *worker)
{
    struct px_dataplane *dataplane = note->dataplane;

    free(note);
    if (--dataplane->num_undrained == 0 && dataplane->on_drained != NULL)
        dataplane->on_drained(dataplane->on_drained_data);
}

void px_dataplane_worker_drained(struct px_dataplane *dataplane)
{
    px_note_send_home(px_note_new(dataplane, NULL), on_worker_drained);
}

static void drain_at_worker(struct px_note *note, struct px_worker *worker)
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
        struct px_note *note = px_note_new(dataplane, drain_at_worker);
        note->number = timeout_ms;
        px_note_send(note, i);
    }
}

/* ---- visiting ---- */

struct visit {
    unsigned num_left;
    void (*done)(void *data);
    void *data;
};

static void on_visited(struct px_note *note, struct px_worker *worker)
{
    struct visit *visit = note->data;

    free(note);
    if (--visit->num_left != 0)
        return;
    visit->done(visit->data);
    free(visit);
}

static void visit_at_worker(struct px_note *note, struct px_worker *worker)
{
    struct visit *visit = note->data;

    note->visit(worker, visit->data);
    px_note_send_home(note, on_visited);
}

void px_dataplane_visit(struct px_dataplane *dataplane, void (*visit)(struct px_worker *worker, void *data),
                        void (*done)(void *data), void *data)
{
    struct visit *state = xcalloc(1, sizeof(*state));

    *state = (struct visit){dataplane->num_workers, done, data};
    for (unsigned i = 0; i < dataplane->num_workers; i++) {
        struct px_note *note = px_note_new(dataplane, visit_at_worker);
        note->visit = visit;
        note->data = state;
        px_note_send(note, i);
    }
}

/* ---- lifecycle ---- */

/* A request needs a descriptor on the other side too, but most connections are idle most of the time: a quarter of what
 * there is stays for upstreams. */
unsigned px_dataplane_default_max_conns(void)
{
    struct rlimit limit = {0, 0};

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return MAX_CONNECTIONS;
    if (limit.rlim_cur < RESERVED_FDS + 2 * MIN_CONNECTIONS)
        return MIN_CONNECTIONS;
    return (unsigned)MIN((limit.rlim_cur - RESERVED_FDS) / 4 * 3, (rlim_t)MAX_CONNECTIONS);
}

static unsigned count_processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return (unsigned)MAX(CPU_COUNT(&set), 1);
}

static void init_slot(struct px_dataplane *dataplane, unsigned index, const struct px_options *options)
{
    struct px_slot *slot = &dataplane->slots[index];
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
    timer_init(&dataplane->reopen_timer, px_dataplane_on_reopen);
    atomic_init(&dataplane->max_conns, px_dataplane_default_max_conns());
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

static void close_at_worker(struct px_note *note, struct px_worker *worker)
{
    struct closing *closing = xcalloc(1, sizeof(*closing));

    free(note);
    px_worker_close(worker);
    closing->worker = worker;
    timer_init(&closing->timer, on_close_poll);
    timer_start(&worker->net->timers, &closing->timer, net_now_ms(worker->net));
}

struct px_dataplane *px_dataplane_free(struct px_dataplane *dataplane)
{
    if (dataplane == NULL)
        return NULL;
    dataplane->is_closing = true;
    px_dataplane_stop_applying(dataplane);
    dataplane->health = px_health_free(dataplane->health);
    for (unsigned i = 0; i < dataplane->num_workers; i++)
        px_note_send(px_note_new(dataplane, close_at_worker), i);
    for (unsigned i = 0; i < dataplane->num_workers; i++)
        net_worker_join(dataplane->slots[i].net);
    for (unsigned i = 0; i < dataplane->num_workers; i++) {
        px_worker_clear(&dataplane->slots[i].worker);
        dataplane->slots[i].net = net_worker_free(dataplane->slots[i].net);
    }
    net_worker_turn(dataplane->main, 0); /* the views the workers gave back */
    px_dataplane_give_back(dataplane);
    px_limits_clear(&dataplane->limits_table);
    px_limits_clear(&dataplane->counts_table);
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

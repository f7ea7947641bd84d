/* change -> (debounce) -> view -> compile in a job -> publish -> statuses into the store.
 *
 * Statuses are written with the revision they were computed from; when an object changed meanwhile the whole write is refused,
 * and another compile writes them. The change that was in the way need not cause one: it may be a status too, of somebody
 * else or of the compile before, which was not yet stored when this one looked. */
#include "gateway/control/activation.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "gateway/control/compiler.h"

enum { QUIET_MS = 20, LATEST_MS = 200, RETRY_MS = 5000 /* the store does not take statuses */ };

struct ctl_activation {
    struct net_worker *worker;           /* borrowed */
    struct ctl_store *store;             /* borrowed */
    struct ctl_cache *cache;             /* borrowed */
    struct ctl_distributor *distributor; /* borrowed */
    struct ctl_listener listener;
    struct timer timer;
    uint64_t first_ms; /* when the oldest change not yet compiled came; 0: none */
    bool is_running, is_stopped;
    uint64_t rev;
    uint64_t others_rev; /* see struct ctl_compile_options */
    struct ctl_memo *memo; /* of the last compile that went well */
    char error[ERR_TEXT_MAX];
    struct timer look_timer; /* what nodes say is looked at when it has run out */
    struct timer retry_timer;
    struct list status_txns; /* of struct status_txn: on their way */
    /* what the last compile knew of the nodes */
    void *applied;
    struct strbuf failures;
    /* the compile that runs */
    struct net_job job;
    struct ctl_view *view;
    struct arena *arena;
    struct ctl_compile_options options;
    struct ctl_compiled *compiled;
    struct err err;
};

/* ---------- statuses ---------- */

struct status_txn {
    struct ctl_txn txn;
    struct net_message message;
    struct list link; /* in activation->status_txns */
    struct ctl_activation *activation; /* NULL: it is gone */
    struct net_worker *worker;
    struct arena *arena;
};

static void schedule(struct ctl_activation *activation);

static void on_retry_due(struct timer *timer)
{
    schedule(CONTAINER_OF(timer, struct ctl_activation, retry_timer));
}

static void compile_again(struct ctl_activation *activation, const struct err *err)
{
    if (err->code == ERR_CONFLICT || err->code == ERR_NOT_FOUND) {
        schedule(activation);
        return;
    }
    log_err(LOG_WARN, "statuses were not stored", err);
    timer_start(&activation->worker->timers, &activation->retry_timer, net_now_ms(activation->worker) + RETRY_MS);
}

static void on_status_reply(struct net_message *message, struct net_worker *worker)
{
    struct status_txn *self = CONTAINER_OF(message, struct status_txn, message);
    list_remove(&self->link);
    if (self->activation != NULL && self->txn.err.code != ERR_NONE)
        compile_again(self->activation, &self->txn.err);
    arena_free(self->arena);
    free(self);
}

static void on_status_done(struct ctl_txn *txn)
{
    struct status_txn *self = CONTAINER_OF(txn, struct status_txn, txn);
    self->message.run = on_status_reply;
    net_worker_send(self->worker, &self->message);
}

static void fill_write(struct status_txn *self, const struct ctl_status *status, struct ctl_write *write)
{
    struct strbuf text = STRBUF_INIT;
    _cleanup_(arena_freep) struct arena *scratch = arena_new(0); /* thousands of trees may come at once */
    struct json *tree = ctl_object_tree(scratch, status->object);
    json_set(scratch, tree, "status", json_clone(scratch, status->status));
    json_remove(json_get(tree, "metadata"), "resourceVersion");
    json_write(&text, tree);
    write->op = CTL_PUT;
    write->key.kind = arena_slice(self->arena, status->object->key.kind);
    write->key.ns = arena_slice(self->arena, status->object->key.ns);
    write->key.name = arena_slice(self->arena, status->object->key.name);
    write->object = arena_slice(self->arena, strbuf_slice(&text));
    write->expect_rev = status->object->rev;
    write->expect_present = true;
    write->is_status = true;
    strbuf_clear(&text);
}

static void store_statuses(struct ctl_activation *activation, const struct ctl_compiled *compiled)
{
    if (compiled->num_statuses == 0)
        return;
    struct status_txn *self = xcalloc(1, sizeof(*self));
    self->activation = activation;
    list_push(&activation->status_txns, &self->link);
    self->worker = activation->worker;
    self->arena = arena_new(0);
    self->txn.writes = arena_zalloc(self->arena, compiled->num_statuses * sizeof(struct ctl_write));
    for (size_t i = 0; i < compiled->num_statuses; ++i)
        fill_write(self, &compiled->statuses[i], &self->txn.writes[i]);
    self->txn.num_writes = compiled->num_statuses;
    self->txn.actor = SLICE("system:compiler");
    self->txn.origin = SLICE("control");
    self->txn.done = on_status_done;
    ctl_store_submit(activation->store, &self->txn);
}

/* ---------- compiling ---------- */

static void run_compile(struct net_job *job)
{
    struct ctl_activation *activation = CONTAINER_OF(job, struct ctl_activation, job);
    activation->compiled = ctl_compile(activation->view, &activation->options, &activation->err);
    activation->view = ctl_view_free(activation->view);
}

static void drop_inputs(struct ctl_activation *activation)
{
    activation->view = ctl_view_free(activation->view);
    activation->arena = arena_free(activation->arena);
}

static void on_compiled(struct net_job *job)
{
    struct ctl_activation *activation = CONTAINER_OF(job, struct ctl_activation, job);
    struct ctl_compiled *compiled = activation->compiled;
    activation->compiled = NULL;
    activation->is_running = false;
    drop_inputs(activation);
    if (job->state == NET_JOB_REFUSED) { /* far too much waits, or it is over */
        schedule(activation);
        return;
    }
    activation->error[0] = '\0';
    if (compiled == NULL) {
        memcpy(activation->error, activation->err.text, sizeof(activation->error));
        log_err(LOG_ERROR, "a revision does not compile; nodes keep the one before", &activation->err);
    } else {
        activation->rev = compiled->rev;
        ctl_memo_free(activation->memo);
        activation->memo = compiled->memo;
        compiled->memo = NULL;
        ctl_distributor_publish(activation->distributor, &compiled->document);
        store_statuses(activation, compiled);
        ctl_compiled_free(compiled);
    }
    if (activation->first_ms != 0)
        schedule(activation);
}

static void write_failures(struct strbuf *out, const struct slice *listeners, const struct slice *texts, size_t num)
{
    strbuf_reset(out);
    for (size_t i = 0; i < num; ++i)
        strbuf_addf(out, "%.*s\n%.*s\n", (int)listeners[i].len, listeners[i].base, (int)texts[i].len, texts[i].base);
}

static void gather_failures(struct ctl_activation *activation)
{
    struct slice *listeners, *texts;
    size_t num = ctl_distributor_failures(activation->distributor, activation->arena, &listeners, &texts);
    struct ctl_listener_failure *failures = arena_alloc(activation->arena, num * sizeof(*failures));
    for (size_t i = 0; i < num; ++i)
        failures[i] = (struct ctl_listener_failure){listeners[i], texts[i]};
    write_failures(&activation->failures, listeners, texts, num);
    activation->options.failures = failures;
    activation->options.num_failures = num;
}

static void on_due(struct timer *timer)
{
    struct ctl_activation *activation = CONTAINER_OF(timer, struct ctl_activation, timer);
    activation->first_ms = 0;
    activation->is_running = true;
    activation->arena = arena_new(0);
    activation->view = ctl_cache_view(activation->cache);
    activation->options = (struct ctl_compile_options){.epoch = ctl_store_epoch(activation->store), .now_us = clock_wall_us()};
    activation->options.others_rev = activation->others_rev;
    activation->options.memo = activation->memo;
    ctl_distributor_release(activation->distributor, activation->applied);
    activation->applied = ctl_distributor_hold_applied(activation->distributor, &activation->options.applied);
    gather_failures(activation);
    activation->err = ERR_INIT;
    activation->job.run = run_compile;
    activation->job.done = on_compiled;
    net_job_submit(activation->worker, &activation->job);
}

static void schedule(struct ctl_activation *activation)
{
    uint64_t now = net_now_ms(activation->worker);
    if (activation->is_stopped)
        return;
    if (activation->first_ms == 0)
        activation->first_ms = MAX(now, (uint64_t)1);
    if (!activation->is_running)
        timer_start(&activation->worker->timers, &activation->timer, MIN(now + QUIET_MS, activation->first_ms + LATEST_MS));
}

static void on_changes(struct ctl_listener *listener, const struct ctl_applied *changes, size_t num)
{
    struct ctl_activation *activation = CONTAINER_OF(listener, struct ctl_activation, listener);
    bool is_due = false;
    for (size_t i = 0; i < num; ++i) {
        const struct ctl_object *object = changes[i].after != NULL ? changes[i].after : changes[i].before;
        if (changes[i].is_status || object == NULL)
            continue;
        is_due = true;
        if (!ctl_compile_is_apart(object->key.kind))
            activation->others_rev = changes[i].rev;
    }
    if (is_due)
        schedule(activation);
}

/* A thousand nodes report each change; only the first and the last of them, if any, tell a compile something new. */
static void on_look(struct timer *timer)
{
    struct ctl_activation *activation = CONTAINER_OF(timer, struct ctl_activation, look_timer);
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    const struct cfg_document *doc;
    struct strbuf failures = STRBUF_INIT;
    struct slice *listeners, *texts;
    void *applied = ctl_distributor_hold_applied(activation->distributor, &doc);
    size_t num = ctl_distributor_failures(activation->distributor, arena, &listeners, &texts);
    write_failures(&failures, listeners, texts, num);
    if (applied != activation->applied || !slice_eq(strbuf_slice(&failures), strbuf_slice(&activation->failures)))
        schedule(activation);
    ctl_distributor_release(activation->distributor, applied);
    strbuf_clear(&failures);
}

void ctl_activation_touch(struct ctl_activation *activation)
{
    if (!activation->is_stopped && !timer_is_running(&activation->look_timer))
        timer_start(&activation->worker->timers, &activation->look_timer, net_now_ms(activation->worker) + QUIET_MS);
}

uint64_t ctl_activation_rev(const struct ctl_activation *activation)
{
    return activation->rev;
}

bool ctl_activation_is_idle(const struct ctl_activation *activation)
{
    return activation->first_ms == 0 && !activation->is_running && !timer_is_running(&activation->look_timer);
}

const char *ctl_activation_error(const struct ctl_activation *activation)
{
    return activation->error;
}

struct ctl_activation *ctl_activation_new(struct net_worker *worker, struct ctl_store *store, struct ctl_cache *cache,
                                          struct ctl_distributor *distributor)
{
    struct ctl_activation *activation = xcalloc(1, sizeof(*activation));
    activation->worker = worker;
    activation->store = store;
    activation->cache = cache;
    activation->distributor = distributor;
    activation->listener.run = on_changes;
    list_init(&activation->listener.link);
    timer_init(&activation->timer, on_due);
    timer_init(&activation->look_timer, on_look);
    timer_init(&activation->retry_timer, on_retry_due);
    list_init(&activation->status_txns);
    ctl_cache_listen(cache, &activation->listener);
    schedule(activation);
    return activation;
}

void ctl_activation_stop(struct ctl_activation *activation)
{
    activation->is_stopped = true;
    timer_stop(&activation->timer);
    timer_stop(&activation->look_timer);
    timer_stop(&activation->retry_timer);
}

struct ctl_activation *ctl_activation_free(struct ctl_activation *activation)
{
    if (activation == NULL)
        return NULL;
    ctl_activation_stop(activation);
    ctl_cache_unlisten(&activation->listener);
    LIST_FOR_SAFE(txn, &activation->status_txns, struct status_txn, link)
    {
        txn->activation = NULL;
        list_remove(&txn->link);
    }
    drop_inputs(activation);
    ctl_distributor_release(activation->distributor, activation->applied);
    strbuf_clear(&activation->failures);
    ctl_memo_free(activation->memo);
    ctl_compiled_free(activation->compiled);
    free(activation);
    return NULL;
}

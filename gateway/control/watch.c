/* Watches: a cursor into the ring of recent changes.
 *
 * Phases: `since` 0 first walks the objects that are there, in order, by the key of the last one given (no
 * copy of the list is kept); a `since` below the ring first has a job read the change log up to the head of
 * now; both then go on at the cursor. A watch that has seen everything is armed: the next change of its kind
 * sets the cursor and calls it, so other kinds' changes may pass it by. A cursor that the ring has overtaken
 * ends the watch. */
#include "gateway/control/cache_private.h"

enum phase { PHASE_PRESENT, PHASE_LOG_WAITS, PHASE_LOG, PHASE_RING };

struct logged {
    uint64_t rev;
    struct ctl_object *before, *after; /* owned */
};

struct ctl_watch {
    struct list link; /* in kind->watches */
    struct list resuming_link; /* in cache->resuming while the job runs */
    struct ctl_cache *cache;
    struct cache_kind *kind;
    struct arena *arena; /* of the filter */
    struct ctl_filter filter;
    void (*on_ready)(struct ctl_watch *watch, void *data);
    void *data;
    struct net_post post;
    enum phase phase;
    bool is_armed;
    uint64_t cursor; /* next index of the ring */
    uint64_t rev; /* of the last event given, or since */
    struct ctl_object *held; /* owned: the object of the last event */
    struct err err; /* why it is over */

    struct net_job job; /* reads the log */
    uint64_t log_since, log_upto;
    struct err log_err;
    struct logged *log;
    size_t num_log, cap_log, next_log, log_bytes;
};

/* ---------- events ---------- */

/* What a change is to this filter; false: nothing. */
static bool event_of(const struct ctl_watch *watch, const struct logged *change, struct ctl_event *ret)
{
    bool was = change->before != NULL && ctl_filter_matches(&watch->filter, change->before);
    bool is = change->after != NULL && ctl_filter_matches(&watch->filter, change->after);
    if (!was && !is)
        return false;
    ret->type = !was ? CTL_ADDED : is ? CTL_MODIFIED : CTL_DELETED;
    /* Also of one that only moved out of the selection the client gets what it knew, as from Kubernetes. */
    ret->object = is ? change->after : change->before;
    ret->rev = change->rev;
    return true;
}

static struct logged in_ring(const struct ctl_watch *watch, uint64_t index)
{
    const struct cache_change *change = cache_change_at(watch->cache, index);
    if (change->kind != watch->kind)
        return (struct logged){.rev = change->rev};
    return (struct logged){change->rev, change->before, change->after};
}

static int give(struct ctl_watch *watch, const struct ctl_event *event)
{
    watch->held = ctl_object_ref(event->object);
    watch->rev = event->rev;
    return 1;
}

static void free_log(struct ctl_watch *watch)
{
    for (size_t i = 0; i < watch->num_log; ++i) {
        ctl_object_unref(watch->log[i].before);
        ctl_object_unref(watch->log[i].after);
    }
    free(watch->log);
    watch->log = NULL;
    watch->num_log = watch->next_log = watch->cap_log = watch->log_bytes = 0;
}

/* ---------- phases ---------- */

static int next_present(struct ctl_watch *watch, struct ctl_object *last, struct ctl_event *ret)
{
    const struct cache_kind *kind = watch->kind;
    size_t at = 0;
    if (last != NULL) {
        at = cache_position(kind, last->key.ns, last->key.name);
        at += at < kind->num && slice_eq(kind->objects[at]->key.ns, last->key.ns) &&
              slice_eq(kind->objects[at]->key.name, last->key.name);
    }
    for (; at < kind->num; ++at) {
        if (!ctl_filter_matches(&watch->filter, kind->objects[at]))
            continue;
        *ret = (struct ctl_event){CTL_ADDED, kind->objects[at], kind->objects[at]->rev};
        watch->held = ctl_object_ref(ret->object);
        return 1; /* not give(): by name, not by revision, so watch->rev must not promise what is still to come */
    }
    watch->phase = PHASE_RING;
    return 0;
}

static int next_logged(struct ctl_watch *watch, struct ctl_event *ret)
{
    while (watch->next_log < watch->num_log)
        if (event_of(watch, &watch->log[watch->next_log++], ret))
            return give(watch, ret);
    free_log(watch); /* a watch may go on for long */
    watch->phase = PHASE_RING;
    return 0;
}

static int next_in_ring(struct ctl_watch *watch, struct ctl_event *ret)
{
    const struct ctl_cache *cache = watch->cache;
    if (watch->is_armed)
        return 0;
    if (watch->cursor < cache->ring_start)
        return err_set(&watch->err, ERR_GONE, "the watcher was too slow: %llu changes have passed it",
                       (unsigned long long)(cache->ring_end - watch->cursor));
    while (watch->cursor < cache->ring_end) {
        struct logged change = in_ring(watch, watch->cursor++);
        if (event_of(watch, &change, ret))
            return give(watch, ret);
    }
    watch->is_armed = true;
    watch->rev = cache->rev;
    return 0;
}

int ctl_watch_next(struct ctl_watch *watch, struct ctl_event *ret, struct err *err)
{
    struct ctl_object *last = watch->held;
    int result = 0;
    watch->held = NULL;
    if (watch->err.code != ERR_NONE)
        result = -1;
    if (result == 0 && watch->phase == PHASE_PRESENT)
        result = next_present(watch, last, ret);
    if (result == 0 && watch->phase == PHASE_LOG)
        result = next_logged(watch, ret);
    if (result == 0 && watch->phase == PHASE_RING)
        result = next_in_ring(watch, ret);
    ctl_object_unref(last);
    if (result >= 0)
        return result;
    return err_set(err, watch->err.code, "%s", watch->err.text);
}

uint64_t ctl_watch_rev(const struct ctl_watch *watch)
{
    return watch->is_armed ? watch->cache->rev : watch->rev;
}

/* ---------- being called ---------- */

static void on_post(struct net_post *post)
{
    struct ctl_watch *watch = CONTAINER_OF(post, struct ctl_watch, post);
    watch->on_ready(watch, watch->data);
}

void cache_wake(struct ctl_cache *cache, struct cache_kind *kind)
{
    LIST_FOR(watch, &kind->watches, struct ctl_watch, link)
    {
        if (!watch->is_armed)
            continue;
        watch->is_armed = false;
        watch->cursor = kind->first_change;
        net_post(cache->worker, &watch->post);
    }
}

/* ---------- the change log ---------- */

static bool is_too_much(const struct ctl_watch *watch)
{
    return watch->num_log > CACHE_RESUME_MAX || watch->log_bytes > CACHE_RESUME_BYTES;
}

static int add_logged(const struct ctl_change *row, void *data)
{
    struct ctl_watch *watch = data;
    struct logged change = {.rev = row->rev};
    struct ctl_event event;
    if (row->op != CTL_DELETE)
        change.after = ctl_object_new(&row->key, row->rev, row->object);
    if (row->previous.base != NULL)
        change.before = ctl_object_new(&row->key, row->previous_rev, row->previous);
    if (!event_of(watch, &change, &event)) {
        ctl_object_unref(change.before);
        ctl_object_unref(change.after);
        return 0;
    }
    if (watch->num_log == watch->cap_log) {
        watch->cap_log = watch->cap_log != 0 ? watch->cap_log * 2 : 16;
        watch->log = xrealloc(watch->log, watch->cap_log * sizeof(*watch->log));
    }
    watch->log[watch->num_log++] = change;
    watch->log_bytes += row->object.len + row->previous.len;
    return is_too_much(watch);
}

/* On a pool thread: touches the log fields and reads the filter, nothing else. */
static void read_log(struct net_job *job)
{
    struct ctl_watch *watch = CONTAINER_OF(job, struct ctl_watch, job);
    struct ctl_key filter = {watch->filter.kind, watch->filter.ns, SLICE("")};
    if (ctl_store_read_changes(watch->cache->store, watch->log_since, watch->log_upto, &filter, 0, add_logged,
                               watch, &watch->log_err) == 0 &&
        is_too_much(watch))
        err_set(&watch->log_err, ERR_GONE, "more than %d changes, or %d MiB of them, since: list again", CACHE_RESUME_MAX, CACHE_RESUME_BYTES >> 20);
}

static void update_needed(struct ctl_cache *cache)
{
    uint64_t needed = UINT64_MAX;
    LIST_FOR(watch, &cache->resuming, struct ctl_watch, resuming_link)
    needed = MIN(needed, watch->log_since);
    cache->min_needed = needed;
}

static bool is_one_revision_again(const struct ctl_watch *watch, uint64_t since)
{
    size_t num = 0;
    for (size_t i = 0; i < watch->num_log && watch->log[i].rev <= since; ++i)
        ++num;
    return num > 1;
}

/* The log was read from the revision before `since`; a single change of `since` itself has been seen. */
static void skip_seen(struct ctl_watch *watch)
{
    if (watch->num_log != 0 && watch->log[0].rev <= watch->rev && !is_one_revision_again(watch, watch->rev))
        watch->next_log = 1;
}

static void on_log_read(struct net_job *job)
{
    struct ctl_watch *watch = CONTAINER_OF(job, struct ctl_watch, job);
    list_remove(&watch->resuming_link);
    update_needed(watch->cache);
    if (job->state == NET_JOB_REFUSED)
        err_set(&watch->log_err, ERR_UNAVAILABLE, "too many watches are starting: try again");
    if (watch->log_err.code != ERR_NONE)
        watch->err = watch->log_err;
    skip_seen(watch);
    watch->phase = PHASE_LOG;
    net_post(watch->cache->worker, &watch->post);
}

/* ---------- starting and stopping ---------- */

static void destroy(struct ctl_watch *watch)
{
    free_log(watch);
    ctl_object_unref(watch->held);
    arena_free(watch->arena);
    free(watch);
}

static void on_log_dropped(struct net_job *job)
{
    destroy(CONTAINER_OF(job, struct ctl_watch, job));
}

/* First index of the ring whose revision is above `rev`. */
static uint64_t ring_after(const struct ctl_cache *cache, uint64_t rev)
{
    uint64_t low = cache->ring_start, high = cache->ring_end;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (cache_change_at(cache, middle)->rev <= rev)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A revision with several selected changes is given again: the watcher may have seen only the first of them.
 */
static uint64_t ring_resume(const struct ctl_watch *watch, uint64_t since)
{
    uint64_t from = ring_after(watch->cache, since - 1), to = ring_after(watch->cache, since);
    size_t num = 0;
    for (uint64_t i = from; i < to; ++i) {
        struct logged change = in_ring(watch, i);
        num += event_of(watch, &change, &(struct ctl_event){0});
    }
    return num > 1 ? from : to;
}

static void start_log(struct ctl_watch *watch, uint64_t since)
{
    struct ctl_cache *cache = watch->cache;
    watch->phase = PHASE_LOG_WAITS;
    watch->cursor = cache->ring_end;
    watch->log_since =
        MAX(since - 1, ctl_store_compacted(cache->store)); /* `since` itself again, while it is there */
    watch->log_upto = cache->rev;
    watch->job = (struct net_job){.run = read_log, .done = on_log_read, .drop = on_log_dropped};
    list_push(&cache->resuming, &watch->resuming_link);
    update_needed(cache);
    net_job_submit(cache->worker, &watch->job);
}

static void start(struct ctl_watch *watch, uint64_t since)
{
    if (since != 0 && since <= watch->cache->ring_floor) {
        start_log(watch, since);
        return;
    }
    watch->phase = since == 0 ? PHASE_PRESENT : PHASE_RING;
    watch->cursor = since == 0 ? watch->cache->ring_end : ring_resume(watch, since);
    net_post(watch->cache->worker, &watch->post);
}

struct ctl_watch *ctl_watch_start(struct ctl_cache *cache, const struct ctl_filter *filter, uint64_t since,
                                  void (*on_ready)(struct ctl_watch *watch, void *data), void *data,
                                  struct err *err)
{
    uint64_t compacted = ctl_store_compacted(cache->store);
    if (since > cache->rev) {
        err_set(err, ERR_TIMEOUT, "Too large resource version: %llu, current: %llu",
                (unsigned long long)since, (unsigned long long)cache->rev);
        return NULL;
    }
    if (since != 0 && since < compacted) {
        err_set(err, ERR_GONE, "too old resource version: %llu (%llu)", (unsigned long long)since,
                (unsigned long long)compacted);
        return NULL;
    }
    struct ctl_watch *watch = xcalloc(1, sizeof(*watch));
    watch->cache = cache;
    watch->arena = arena_new(512);
    watch->filter =
        (struct ctl_filter){arena_slice(watch->arena, filter->kind), arena_slice(watch->arena, filter->ns),
                            ctl_selector_copy(watch->arena, &filter->labels),
                            ctl_field_selector_copy(watch->arena, &filter->fields)};
    watch->kind = cache_kind_of(cache, filter->kind);
    watch->on_ready = on_ready;
    watch->data = data;
    watch->rev = since;
    net_post_init(&watch->post, on_post);
    list_init(&watch->resuming_link);
    list_push(&watch->kind->watches, &watch->link);
    start(watch, since);
    return watch;
}

struct ctl_watch *ctl_watch_stop(struct ctl_watch *watch)
{
    if (watch == NULL)
        return NULL;
    list_remove(&watch->link);
    net_post_cancel(&watch->post);
    if (watch->phase != PHASE_LOG_WAITS) {
        destroy(watch);
        return NULL;
    }
    list_remove(&watch->resuming_link);
    update_needed(watch->cache);
    net_job_cancel(&watch->job); /* on_log_dropped() frees it */
    return NULL;
}

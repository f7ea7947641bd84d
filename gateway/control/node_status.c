/* Per node what was written last, what is being written, and what is to be; one flush at a time, of those that are due. */
#include "gateway/control/node_status.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "gateway/control/nodes_internal.h"

enum { SOON_MS = 50, FLUSH_MS = 1000 /* between two flushes */, LATE_NODE_MS = 10 /* so late for each node there is */, LATE_MAX_MS = 10000 };
/* A node is back within this after a restart of ours, or waits for its turn in a herd and is away until then. */
enum { RETURN_MS = 5000 };

/* A view with its texts, in one block. */
struct told {
    struct ctl_node_view view;
    char texts[];
};

struct entry {
    struct list link;
    char *name;
    struct told *written, *sent, *news; /* owned; NULL: nothing */
    bool is_urgent;                     /* the news */
};

struct ctl_node_status {
    struct net_worker *worker; /* borrowed */
    struct ctl_store *store;   /* borrowed */
    struct ctl_cache *cache;   /* borrowed */
    struct list entries;
    struct hashmap by_name; /* of struct entry */
    struct flush *flush;    /* in flight, or NULL */
    struct timer flush_timer, return_timer;
    uint64_t flushed_ms, soon_ms, late_ms; /* when the last flush was; when urgent and other news are due, 0: there are none */
};

/* ---------- what is known ---------- */

static struct slice put(char **at, struct slice text)
{
    struct slice copy = {*at, text.len};
    if (text.len != 0)
        memcpy(*at, text.base, text.len);
    *at += text.len;
    return copy;
}

static struct told *told_new(const struct ctl_node_view *view)
{
    size_t len = view->name.len + view->role.len + view->version.len + view->address.len + view->boot_id.len + view->errors.len;
    struct told *told = xmalloc(sizeof(*told) + len);
    char *at = told->texts;
    told->view = *view;
    told->view.name = put(&at, view->name);
    told->view.role = put(&at, view->role);
    told->view.version = put(&at, view->version);
    told->view.address = put(&at, view->address);
    told->view.boot_id = put(&at, view->boot_id);
    told->view.errors = put(&at, view->errors);
    return told;
}

/* A node that is on its way will be there, or refuse, in a moment: nobody waits to read that it is. */
static bool is_urgent(const struct told *before, const struct ctl_node_view *now)
{
    if (before == NULL)
        return true;
    const struct ctl_node_view *old = &before->view;
    return old->is_connected != now->is_connected || (old->state != now->state && now->state != CTL_NODE_PENDING) ||
           !slice_eq(old->version, now->version) || !slice_eq(old->address, now->address) || !slice_eq(old->errors, now->errors);
}

static struct entry *find(const struct ctl_node_status *status, struct slice name)
{
    return hashmap_get(&status->by_name, name.base, name.len);
}

static struct entry *add(struct ctl_node_status *status, struct slice name)
{
    struct entry *entry = xcalloc(1, sizeof(*entry));
    entry->name = xstrndup(name.base, name.len);
    list_push(&status->entries, &entry->link);
    hashmap_puts(&status->by_name, entry->name, entry);
    return entry;
}

static void forget(struct ctl_node_status *status, struct entry *entry)
{
    hashmap_remove(&status->by_name, entry->name, strlen(entry->name));
    list_remove(&entry->link);
    free(entry->written);
    free(entry->sent);
    free(entry->news);
    free(entry->name);
    free(entry);
}

/* ---------- as an object ---------- */

static void add_condition(struct arena *arena, struct json *conditions, const struct json *old, const char *type, bool is_true, const char *reason)
{
    char now[CLOCK_RFC3339_LEN + 1];
    const char *is = is_true ? "True" : "False", *since = now;
    clock_rfc3339(clock_wall_us(), now);
    JSON_FOR(before, old)
    if (strcmp(json_str(json_get(before, "type"), ""), type) == 0 && strcmp(json_str(json_get(before, "status"), ""), is) == 0)
        since = json_str(json_get(before, "lastTransitionTime"), now);
    struct json *condition = json_push(conditions, json_new_object(arena));
    json_set_str(arena, condition, "type", type);
    json_set_str(arena, condition, "status", is);
    json_set_str(arena, condition, "reason", reason);
    json_set_str(arena, condition, "message", "");
    json_set_str(arena, condition, "lastTransitionTime", since);
}

static void set_status(struct arena *arena, struct json *tree, const struct ctl_node_view *view)
{
    static const char *const states[] = {"Unknown", "Synced", "Pending", "Rejected"};
    char seen[CLOCK_RFC3339_LEN + 1];
    const struct json *old = json_find(tree, "status", "conditions", NULL);
    struct json *status = json_new_object(arena);
    clock_rfc3339(view->last_seen_us, seen);
    json_set_str(arena, status, "state", view->is_connected ? states[view->state] : "Offline");
    json_set_bool(arena, status, "connected", view->is_connected);
    json_set(arena, status, "version", json_new_string(arena, view->version));
    json_set(arena, status, "address", json_new_string(arena, view->address));
    json_set_str(arena, status, "lastSeen", seen);
    json_set_int(arena, status, "appliedRevision", (int64_t)view->applied_rev);
    json_set_int(arena, status, "attemptedRevision", (int64_t)view->attempted_rev);
    json_set_int(arena, status, "sentRevision", (int64_t)view->sent_rev);
    json_set(arena, status, "errors", json_parse(arena, view->errors, NULL));
    struct json *conditions = json_set(arena, status, "conditions", json_new_array(arena));
    add_condition(arena, conditions, old, "Ready", view->is_connected, view->is_connected ? "Connected" : "Offline");
    add_condition(arena, conditions, old, "Synced", view->state == CTL_NODE_SYNCED, states[view->state]);
    json_set(arena, tree, "status", status);
}

static struct ctl_object *stored(const struct ctl_node_status *status, struct slice name)
{
    struct ctl_key key = {CTL_NODE_KIND, SLICE(""), name};
    return ctl_cache_get(status->cache, &key);
}

static struct json *base_object(struct arena *arena, struct ctl_object *object, const struct ctl_node_view *view)
{
    struct json *tree = object != NULL ? ctl_object_tree(arena, object) : NULL;
    if (tree == NULL)
        return ctl_nodes_new_object(arena, view->name, view->role);
    json_remove(json_get(tree, "metadata"), "resourceVersion");
    return tree;
}

/* ---------- flushing ---------- */

struct flush {
    struct ctl_txn txn;
    struct net_message message;
    struct net_worker *worker;
    struct ctl_node_status *status; /* NULL: it is gone */
    struct arena *arena;
};

static void flush_free(struct flush *flush)
{
    arena_free(flush->arena);
    free(flush);
}

static void schedule(struct ctl_node_status *status)
{
    uint64_t due_ms = status->soon_ms != 0 && (status->late_ms == 0 || status->soon_ms < status->late_ms) ? status->soon_ms : status->late_ms;
    if (due_ms != 0 && status->flush == NULL)
        timer_start(&status->worker->timers, &status->flush_timer, due_ms);
}

static void make_urgent(struct ctl_node_status *status)
{
    if (status->soon_ms == 0)
        status->soon_ms = MAX(net_now_ms(status->worker) + SOON_MS, status->flushed_ms + FLUSH_MS);
}

static void make_late(struct ctl_node_status *status)
{
    uint64_t late_ms = MIN(MAX((uint64_t)hashmap_len(&status->by_name) * LATE_NODE_MS, (uint64_t)FLUSH_MS), (uint64_t)LATE_MAX_MS);
    if (status->late_ms == 0)
        status->late_ms = net_now_ms(status->worker) + late_ms;
}

static void note_written(struct entry *entry)
{
    free(entry->written);
    entry->written = entry->sent;
    entry->sent = NULL;
}

/* It is news again, unless there is newer. */
static void take_back(struct entry *entry)
{
    if (entry->news != NULL)
        free(entry->sent);
    else
        entry->news = entry->sent;
    entry->sent = NULL;
    entry->is_urgent = true;
}

/* Somebody wrote a Node meanwhile. */
static bool is_overtaken(enum err_code code)
{
    return code == ERR_CONFLICT || code == ERR_NOT_FOUND || code == ERR_EXISTS;
}

static void settle(struct ctl_node_status *status, const struct err *err)
{
    status->flush = NULL;
    LIST_FOR(entry, &status->entries, struct entry, link)
    if (entry->sent != NULL)
        (err->code == ERR_NONE ? note_written : take_back)(entry);
    if (is_overtaken(err->code))
        make_urgent(status);
    else if (err->code != ERR_NONE)
        status->soon_ms = net_now_ms(status->worker) + LATE_MAX_MS;
    schedule(status);
}

static void on_flush_reply(struct net_message *message, struct net_worker *worker)
{
    struct flush *flush = CONTAINER_OF(message, struct flush, message);
    const struct err *err = &flush->txn.err;
    if (err->code != ERR_NONE && !is_overtaken(err->code))
        log_err(LOG_WARN, "node statuses were not stored", err);
    if (flush->status != NULL)
        settle(flush->status, err);
    flush_free(flush);
}

static void on_flushed(struct ctl_txn *txn)
{
    struct flush *flush = CONTAINER_OF(txn, struct flush, txn);
    flush->message.run = on_flush_reply;
    net_worker_send(flush->worker, &flush->message);
}

static void fill_write(struct flush *flush, struct entry *entry, struct ctl_object *object, struct ctl_write *write)
{
    struct strbuf text = STRBUF_INIT;
    _cleanup_(arena_freep) struct arena *scratch = arena_new(0); /* thousands of trees may come at once */
    struct json *tree = base_object(scratch, object, &entry->news->view);
    set_status(scratch, tree, &entry->news->view);
    json_write(&text, tree);
    write->op = CTL_PUT;
    write->key = (struct ctl_key){CTL_NODE_KIND, SLICE(""), slice_of(arena_strdup(flush->arena, entry->name))};
    write->expect_rev = object != NULL ? object->rev : 0;
    write->expect_absent = object == NULL;
    write->object = arena_slice(flush->arena, strbuf_slice(&text));
    write->is_status = true;
    entry->sent = entry->news;
    entry->news = NULL;
    entry->is_urgent = false;
    strbuf_clear(&text);
}

static struct flush *flush_new(struct ctl_node_status *status)
{
    struct flush *flush = xcalloc(1, sizeof(*flush));
    flush->status = status;
    flush->worker = status->worker;
    flush->arena = arena_new(0);
    flush->txn.writes = arena_zalloc(flush->arena, hashmap_len(&status->by_name) * sizeof(struct ctl_write));
    flush->txn.actor = SLICE("system:nodes");
    flush->txn.origin = SLICE("control");
    flush->txn.done = on_flushed;
    return flush;
}

static void on_flush_due(struct timer *timer)
{
    struct ctl_node_status *status = CONTAINER_OF(timer, struct ctl_node_status, flush_timer);
    struct flush *flush = flush_new(status);
    uint64_t now_ms = net_now_ms(status->worker);
    bool is_late = status->late_ms != 0 && status->late_ms <= now_ms;
    status->soon_ms = 0;
    status->late_ms = is_late ? 0 : status->late_ms;
    status->flushed_ms = now_ms;
    LIST_FOR_SAFE(entry, &status->entries, struct entry, link)
    {
        struct ctl_object *object = stored(status, slice_of(entry->name));
        if (object == NULL && strcmp(entry->name, "local") != 0)
            forget(status, entry); /* a removed node stays so */
        else if (entry->news != NULL && (entry->is_urgent || is_late))
            fill_write(flush, entry, object, &flush->txn.writes[flush->txn.num_writes++]);
    }
    if (flush->txn.num_writes == 0) { /* they have been removed */
        flush_free(flush);
        schedule(status);
        return;
    }
    status->flush = flush;
    ctl_store_submit(status->store, &flush->txn);
}

void ctl_node_status_note(struct ctl_node_status *status, const struct ctl_node_view *view)
{
    struct entry *entry = find(status, view->name);
    if (entry == NULL)
        entry = add(status, view->name);
    free(entry->news);
    entry->news = told_new(view);
    entry->is_urgent = is_urgent(entry->sent != NULL ? entry->sent : entry->written, view);
    (entry->is_urgent ? make_urgent : make_late)(status);
    schedule(status);
}

void ctl_node_status_forget(struct ctl_node_status *status, struct slice name)
{
    struct entry *entry = find(status, name);
    if (entry != NULL)
        forget(status, entry);
}

/* ---------- those that do not come back ---------- */

/* What is stored may be by the hand of an administrator: anything may be missing. */
static void tell_absent(struct ctl_node_status *status, struct arena *arena, const struct ctl_object *object)
{
    const struct json *tree = ctl_object_tree(arena, object), *old = json_get(tree, "status"), *old_errors = json_get(old, "errors");
    struct strbuf errors = STRBUF_INIT;
    struct ctl_node_view view = {.name = object->key.name, .role = json_slice(json_find(tree, "spec", "role", NULL))};
    if (!json_is_true(json_get(old, "connected")) || find(status, object->key.name) != NULL)
        return;
    view.version = json_slice(json_get(old, "version"));
    view.address = json_slice(json_get(old, "address"));
    (void)clock_parse_rfc3339(json_slice(json_get(old, "lastSeen")), &view.last_seen_us); /* else never */
    view.applied_rev = (uint64_t)json_int_or(json_get(old, "appliedRevision"), 0);
    view.attempted_rev = (uint64_t)json_int_or(json_get(old, "attemptedRevision"), 0);
    json_write(&errors, old_errors != NULL ? old_errors : json_new_array(arena));
    view.errors = strbuf_slice(&errors);
    ctl_node_status_note(status, &view);
    strbuf_clear(&errors);
}

static void on_return_due(struct timer *timer)
{
    struct ctl_node_status *status = CONTAINER_OF(timer, struct ctl_node_status, return_timer);
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct ctl_filter filter = {.kind = CTL_NODE_KIND, .ns = SLICE("")};
    struct ctl_list list;
    if (ctl_cache_list(status->cache, &filter, 0, SLICE(""), arena, &list, NULL) != 0)
        return; /* never, without a token */
    for (size_t i = 0; i < list.num; ++i)
        tell_absent(status, arena, list.objects[i]);
}

/* ---------- life ---------- */

struct ctl_node_status *ctl_node_status_new(struct net_worker *worker, struct ctl_store *store, struct ctl_cache *cache)
{
    struct ctl_node_status *status = xcalloc(1, sizeof(*status));
    status->worker = worker;
    status->store = store;
    status->cache = cache;
    list_init(&status->entries);
    timer_init(&status->flush_timer, on_flush_due);
    timer_init(&status->return_timer, on_return_due);
    timer_start(&worker->timers, &status->return_timer, net_now_ms(worker) + RETURN_MS);
    return status;
}

struct ctl_node_status *ctl_node_status_free(struct ctl_node_status *status)
{
    if (status == NULL)
        return NULL;
    timer_stop(&status->flush_timer);
    timer_stop(&status->return_timer);
    if (status->flush != NULL)
        status->flush->status = NULL;
    LIST_FOR_SAFE(entry, &status->entries, struct entry, link)
    forget(status, entry);
    hashmap_clear(&status->by_name);
    free(status);
    return NULL;
}

/* History: revisions, what each changed, differences between two, and going back. All of it read from the change log, off
 * the loop. Secrets' values never appear: only which entries changed. */
#include "gateway/control/api_internal.h"

#include "core/base/clock.h"
#include "core/base/hashmap.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 1000, CHANGES_MAX = 500, KEYS_MAX = 20000 };

struct history {
    struct api_job job; /* first */
    struct ctl_call *call;
    struct ctl_key filter;
    bool has_filter, with_objects, is_forward;
    uint64_t from, to, limit;
    struct json *body, *items;
};

/* ---------- common ---------- */

static void answer(struct api_job *job)
{
    struct history *self = CONTAINER_OF(job, struct history, job);
    if (job->err.code != ERR_NONE)
        api_fail(self->call, &job->err, NULL, NULL);
    else
        ctl_call_reply_json(self->call, 200, self->body);
}

static void start(struct history *self, void (*run)(struct api_job *job))
{
    self->job.run = run;
    self->job.done = answer;
    api_job_submit(&self->job, self->call);
}

/* ?kind=httproute&namespace=shop&name=a; a namespaced kind's name without namespace is in "default". */
static int read_filter(struct ctl_call *call, const struct json *body, struct ctl_key *ret, bool *ret_has, struct err *err)
{
    struct slice kind_name = ctl_call_param(call, "kind"), ns = ctl_call_param(call, "namespace"), name = ctl_call_param(call, "name");
    if (body != NULL) {
        kind_name = json_slice(json_get(body, "kind"));
        ns = json_slice(json_get(body, "namespace"));
        name = json_slice(json_get(body, "name"));
    }
    *ret_has = kind_name.len != 0;
    *ret = (struct ctl_key){SLICE(""), SLICE(""), SLICE("")};
    if (kind_name.len == 0)
        return name.len == 0 && ns.len == 0 ? 0 : err_set(err, ERR_BAD_REQUEST, "kind: Required value with name or namespace");
    const struct kind *kind = kind_find_name(kind_name);
    if (kind == NULL)
        return err_set(err, ERR_NOT_FOUND, "the kind \"%.*s\" is not served", (int)MIN(kind_name.len, (size_t)100), kind_name.base);
    ret->kind = api_kind_key(kind);
    if (name.len != 0)
        ret->name = name;
    if (kind->is_namespaced && (ns.len != 0 || name.len != 0))
        ret->ns = ns.len != 0 ? ns : SLICE("default");
    return 0;
}

static void set_key(struct arena *arena, struct json *out, const struct ctl_key *key)
{
    const struct kind *kind = api_kind_of_key(key->kind);
    if (kind != NULL) {
        json_set_str(arena, out, "apiVersion", kind_api_version(kind, kind->version, arena).base);
        json_set_str(arena, out, "kind", kind->kind);
    }
    if (key->ns.len != 0)
        json_set(arena, out, "namespace", json_new_string(arena, key->ns));
    json_set(arena, out, "name", json_new_string(arena, key->name));
}

static void set_time(struct arena *arena, struct json *out, const char *name, int64_t at_us)
{
    char text[CLOCK_RFC3339_US_LEN + 1];
    clock_rfc3339_us(at_us, text);
    json_set_str(arena, out, name, text);
}

static const char *op_name(const struct ctl_change *change)
{
    if (change->op == CTL_DELETE)
        return "delete";
    return change->previous.base == NULL ? "create" : "update";
}

static struct json *parse_shown(struct arena *arena, const struct ctl_key *key, struct slice text)
{
    const struct kind *kind = api_kind_of_key(key->kind);
    struct json *tree = text.base != NULL ? json_parse(arena, text, NULL) : NULL;
    if (tree != NULL && kind != NULL && kind->is_secret)
        api_hide_secret(arena, tree);
    return tree;
}

/* Entries whose value changed, without the values. */
static void add_secret_changes(struct arena *arena, struct json *changes, struct slice before, struct slice after)
{
    struct json *from = json_get(json_parse(arena, before, NULL), "data"), *to = json_get(json_parse(arena, after, NULL), "data");
    JSON_FOR(entry, to)
    {
        const struct json *old = json_get_n(from, entry->key);
        if (old == NULL || json_equal(old, entry))
            continue;
        struct json *item = json_push(changes, json_new_object(arena));
        json_set_str(arena, item, "path", arena_printf(arena, "data[%s]", entry->key.base));
        json_set_str(arena, item, "op", "replace");
    }
}

static struct json *diff_texts(struct arena *arena, const struct ctl_key *key, struct slice before, struct slice after)
{
    const struct kind *kind = api_kind_of_key(key->kind);
    struct json *from = parse_shown(arena, key, before), *to = parse_shown(arena, key, after);
    if (from == NULL || to == NULL)
        return json_new_array(arena);
    struct json *changes = api_diff(arena, from, to, CHANGES_MAX);
    if (kind != NULL && kind->is_secret)
        add_secret_changes(arena, changes, before, after);
    return changes;
}

/* ---------- GET revisions ---------- */

static int on_revision(const struct ctl_change *change, void *data)
{
    struct history *self = data;
    struct arena *arena = self->call->arena;
    struct json *item = json_push(self->items, json_new_object(arena));
    json_set_int(arena, item, "revision", (int64_t)change->rev);
    set_time(arena, item, "time", change->at_us);
    json_set(arena, item, "actor", json_new_string(arena, change->actor));
    json_set(arena, item, "origin", json_new_string(arena, change->origin));
    json_set(arena, item, "message", json_new_string(arena, change->message));
    json_set_int(arena, item, "changes", change->seq);
    struct json *first = json_set(arena, item, "first", json_new_object(arena));
    json_set_str(arena, first, "op", change->op == CTL_DELETE ? "delete" : "put");
    set_key(arena, first, &change->key);
    return 0;
}

static void run_revisions(struct api_job *job)
{
    struct history *self = CONTAINER_OF(job, struct history, job);
    struct ctl_store *store = self->call->control->store;
    (void)ctl_store_read_revisions(store, self->from, (size_t)self->limit, self->has_filter ? &self->filter : NULL, on_revision, self,
                                   &job->err); /* answer() tells */
}

static int read_number(struct ctl_call *call, const char *name, uint64_t *ret, struct err *err)
{
    struct slice text = ctl_call_param(call, name);
    if (text.len == 0 || api_parse_u64(text, ret))
        return 0;
    return err_set(err, ERR_BAD_REQUEST, "%s: \"%s\" is no number", name, text.base);
}

static struct history *history_new(struct ctl_call *call)
{
    struct history *self = arena_zalloc(call->arena, sizeof(*self));
    struct ctl_store *store = call->control->store;
    self->call = call;
    self->body = json_new_object(call->arena);
    json_set_int(call->arena, self->body, "head", (int64_t)ctl_store_head(store));
    json_set_int(call->arena, self->body, "compacted", (int64_t)ctl_store_compacted(store));
    self->items = json_new_array(call->arena);
    return self;
}

void api_revisions(struct ctl_call *call)
{
    struct history *self = history_new(call);
    struct err err = ERR_INIT;
    self->limit = LIMIT_DEFAULT;
    if (read_number(call, "before", &self->from, &err) != 0 || read_number(call, "limit", &self->limit, &err) != 0 ||
        read_filter(call, NULL, &self->filter, &self->has_filter, &err) != 0) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    self->limit = MIN(self->limit, (uint64_t)LIMIT_MAX);
    json_set(call->arena, self->body, "items", self->items);
    start(self, run_revisions);
}

/* ---------- GET revisions/REV ---------- */

static int on_change(const struct ctl_change *change, void *data)
{
    struct history *self = data;
    struct arena *arena = self->call->arena;
    if (json_get(self->body, "revision") == NULL) {
        json_set_int(arena, self->body, "revision", (int64_t)change->rev);
        set_time(arena, self->body, "time", change->at_us);
        json_set(arena, self->body, "actor", json_new_string(arena, change->actor));
        json_set(arena, self->body, "origin", json_new_string(arena, change->origin));
        json_set(arena, self->body, "message", json_new_string(arena, change->message));
    }
    struct json *item = json_push(self->items, json_new_object(arena));
    json_set_str(arena, item, "op", op_name(change));
    set_key(arena, item, &change->key);
    json_set_bool(arena, item, "status", change->is_status);
    if (change->op == CTL_PUT && change->previous.base != NULL)
        json_set(arena, item, "changes", diff_texts(arena, &change->key, change->previous, change->object));
    struct json *shown = parse_shown(arena, &change->key, change->object);
    if (self->with_objects && shown != NULL)
        json_set(arena, item, "object", shown);
    return self->items->num >= KEYS_MAX;
}

static void run_revision(struct api_job *job)
{
    struct history *self = CONTAINER_OF(job, struct history, job);
    struct ctl_store *store = self->call->control->store;
    if (ctl_store_read_changes(store, self->to - 1, self->to, NULL, 0, on_change, self, &job->err) == 0 && self->items->num == 0)
        err_set(&job->err, ERR_NOT_FOUND, "revision %llu does not exist", (unsigned long long)self->to);
}

static int read_rev(struct ctl_call *call, struct slice text, uint64_t *ret, struct err *err)
{
    if (!api_parse_u64(text, ret) || *ret == 0 || *ret > ctl_store_head(call->control->store))
        return err_set(err, ERR_NOT_FOUND, "revision \"%.*s\" does not exist", (int)MIN(text.len, (size_t)40), text.base);
    return 0;
}

void api_revision(struct ctl_call *call, struct slice rev)
{
    struct history *self = history_new(call);
    struct err err = ERR_INIT;
    if (read_rev(call, rev, &self->to, &err) != 0) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    self->with_objects = slice_is(ctl_call_param(call, "include"), "objects");
    json_set(call->arena, self->body, "items", self->items);
    start(self, run_revision);
}

/* ---------- net changes between two revisions ---------- */

/* One object over a range of the log. */
struct net_change {
    struct ctl_key key;
    struct slice before; /* {NULL, 0}: it was not there */
    struct strbuf after;
    bool is_there_after;
};

/* Of a range with any number of changes only their net effect is in memory. */
struct net_changes {
    struct arena *arena;
    struct hashmap by_key;
    struct strbuf key_text; /* of the change at hand */
    struct net_change **at;
    size_t num, cap;
};

static struct net_change *add_net_change(struct net_changes *all, const struct ctl_change *change)
{
    const struct ctl_key *key = &change->key;
    if (all->num == all->cap) {
        all->cap = all->cap != 0 ? all->cap * 2 : 64;
        all->at = xrealloc(all->at, all->cap * sizeof(*all->at));
    }
    struct net_change *net = arena_zalloc(all->arena, sizeof(*net));
    struct slice text = arena_slice(all->arena, strbuf_slice(&all->key_text));
    net->key = (struct ctl_key){arena_slice(all->arena, key->kind), arena_slice(all->arena, key->ns), arena_slice(all->arena, key->name)};
    net->before = change->previous.base != NULL ? arena_slice(all->arena, change->previous) : (struct slice){NULL, 0};
    hashmap_put(&all->by_key, text.base, text.len, net);
    return all->at[all->num++] = net;
}

static int on_net_change(const struct ctl_change *change, void *data)
{
    struct net_changes *all = data;
    const struct ctl_key *key = &change->key;
    if (change->is_status && change->previous.base != NULL)
        return 0; /* what the control plane says about an object is no change of it */
    strbuf_reset(&all->key_text);
    strbuf_addf(&all->key_text, "%.*s %.*s %.*s", (int)key->kind.len, key->kind.base, (int)key->ns.len, key->ns.base, (int)key->name.len, key->name.base);
    struct net_change *net = hashmap_get(&all->by_key, all->key_text.base, all->key_text.len);
    if (net == NULL)
        net = add_net_change(all, change);
    net->is_there_after = change->op == CTL_PUT;
    strbuf_reset(&net->after);
    if (net->is_there_after)
        strbuf_add_slice(&net->after, change->object);
    return 0;
}

static void net_changes_clear(struct net_changes *all)
{
    for (size_t i = 0; i < all->num; ++i)
        strbuf_clear(&all->at[i]->after);
    free(all->at);
    hashmap_clear(&all->by_key);
    strbuf_clear(&all->key_text);
}

/* ---------- GET diff ---------- */

/* What the control plane says about objects is no change of the configuration. */
static struct json *without_status(struct json *changes)
{
    for (struct json *change = changes->child, *next; change != NULL; change = next) {
        struct slice path = json_slice(json_get(change, "path"));
        next = change->next;
        if (slice_is(path, "status") || slice_starts(path, SLICE("status.")))
            json_remove_child(changes, change);
    }
    return changes;
}

static void add_net(struct history *self, const struct net_change *net)
{
    struct arena *arena = self->call->arena;
    struct slice last = net->is_there_after ? strbuf_slice(&net->after) : (struct slice){NULL, 0};
    struct slice before = self->is_forward ? net->before : last, after = self->is_forward ? last : net->before;
    if (before.base == NULL && after.base == NULL)
        return;
    struct json *changes = without_status(diff_texts(arena, &net->key, before, after));
    if (before.base != NULL && after.base != NULL && changes->num == 0)
        return;
    struct json *item = json_push(self->items, json_new_object(arena));
    json_set_str(arena, item, "op", before.base == NULL ? "create" : after.base == NULL ? "delete" : "update");
    set_key(arena, item, &net->key);
    if (before.base != NULL && after.base != NULL)
        json_set(arena, item, "changes", changes);
    struct json *from = parse_shown(arena, &net->key, before), *to = parse_shown(arena, &net->key, after);
    if (self->with_objects && from != NULL)
        json_set(arena, item, "from", from);
    if (self->with_objects && to != NULL)
        json_set(arena, item, "to", to);
}

static void run_diff(struct api_job *job)
{
    struct history *self = CONTAINER_OF(job, struct history, job);
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct net_changes all = {.arena = arena};
    uint64_t low = MIN(self->from, self->to), high = MAX(self->from, self->to);
    if (ctl_store_read_changes(self->call->control->store, low, high, self->has_filter ? &self->filter : NULL, 0, on_net_change, &all, &job->err) == 0)
        for (size_t i = 0; i < all.num; ++i)
            add_net(self, all.at[i]);
    net_changes_clear(&all);
}

void api_diff_revisions(struct ctl_call *call)
{
    struct history *self = history_new(call);
    struct err err = ERR_INIT;
    self->to = ctl_store_head(call->control->store);
    self->from = self->to != 0 ? self->to - 1 : 0;
    if (read_number(call, "to", &self->to, &err) != 0 || read_number(call, "from", &self->from, &err) != 0 ||
        read_filter(call, NULL, &self->filter, &self->has_filter, &err) != 0 ||
        (MAX(self->from, self->to) > ctl_store_head(call->control->store) &&
         err_set(&err, ERR_NOT_FOUND, "revision %llu does not exist", (unsigned long long)MAX(self->from, self->to)) != 0)) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    self->is_forward = self->from <= self->to;
    self->with_objects = slice_is(ctl_call_param(call, "include"), "objects");
    json_set_int(call->arena, self->body, "from", (int64_t)self->from);
    json_set_int(call->arena, self->body, "to", (int64_t)self->to);
    json_set(call->arena, self->body, "items", self->items);
    start(self, run_diff);
}

/* ---------- POST rollback ---------- */

struct rollback {
    struct api_bulk bulk; /* first */
    struct ctl_key filter;
    bool has_filter;
    uint64_t to;
};

/* Backwards, objects are what they were, and so are the owners of their fields; identity and status are those of now. */
static void restore(struct api_bulk *bulk, struct api_item *item, struct slice text, const struct ctl_object *object)
{
    struct arena *arena = bulk->call->arena;
    struct api_change *change = &item->change;
    change->new = json_parse(arena, text, &item->err);
    if (change->new == NULL)
        return;
    struct json *meta = json_get(change->new, "metadata");
    json_remove(meta, "uid");
    const struct json *owners = json_get(meta, "managedFields");
    change->owned = owners != NULL ? json_clone(arena, owners) : NULL;
    if (object != NULL) {
        change->old = ctl_object_tree(arena, object);
        change->old_rev = object->rev;
    }
    api_bulk_settle(bulk, item);
}

static void plan_one(struct api_bulk *bulk, const struct net_change *net)
{
    const struct kind *kind = api_kind_of_key(net->key.kind);
    const struct ctl_object *object = api_bulk_find(bulk, &net->key);
    if (kind == NULL || kind->id == KIND_NODE || (net->before.base == NULL && object == NULL))
        return; /* machines do not leave or join by a rollback */
    struct arena *arena = bulk->call->arena;
    struct api_item *item = api_bulk_add(bulk, kind, arena_slice(arena, net->key.ns), arena_slice(arena, net->key.name));
    if (net->before.base != NULL) {
        restore(bulk, item, arena_slice(arena, net->before), object);
        return;
    }
    item->action = "deleted";
    item->write = (struct ctl_write){.op = CTL_DELETE, .key = api_key(&item->change.target), .expect_rev = object->rev};
}

static bool is_deleted(const struct api_bulk *bulk, const struct ctl_key *key)
{
    for (size_t i = 0; i < bulk->num_items; ++i) {
        struct ctl_key own = bulk->items[i].write.key;
        if (bulk->items[i].write.op == CTL_DELETE && ctl_key_compare(&own, key) == 0)
            return true;
    }
    return false;
}

/* A namespace that the rollback takes away, but not all that is in it: what stays would have none. */
static void check_namespace_is_left_empty(struct api_bulk *bulk, struct api_item *item)
{
    struct slice name = item->change.target.name;
    size_t num = 0;
    bulk->is_whole = true; /* nobody creates in it meanwhile */
    for (size_t i = 0; i < bulk->view->num; ++i)
        num += slice_eq(bulk->view->objects[i]->key.ns, name) && !is_deleted(bulk, &bulk->view->objects[i]->key);
    if (num == 0)
        return;
    err_set(&item->err, ERR_CONFLICT, "%zu objects in it would be left behind; roll back everything, or delete the namespace", num);
    ++bulk->num_failed;
}

static int plan_net(struct rollback *self, const struct net_changes *all, struct err *err)
{
    struct api_bulk *bulk = &self->bulk;
    if (self->has_filter && self->filter.name.len != 0 && all->num == 0 && api_bulk_find(bulk, &self->filter) == NULL)
        return err_set(err, ERR_NOT_FOUND, "there was no such object at revision %llu", (unsigned long long)self->to);
    for (size_t i = 0; i < all->num; ++i)
        plan_one(bulk, all->at[i]);
    for (size_t i = 0; self->has_filter && i < bulk->num_items; ++i)
        if (bulk->items[i].write.op == CTL_DELETE && bulk->items[i].change.target.kind->id == KIND_NAMESPACE)
            check_namespace_is_left_empty(bulk, &bulk->items[i]);
    return 0;
}

static int plan_rollback(struct api_bulk *bulk, struct err *err)
{
    struct rollback *self = CONTAINER_OF(bulk, struct rollback, bulk);
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    struct net_changes all = {.arena = arena};
    int status = ctl_store_read_changes(bulk->call->control->store, self->to, bulk->view->rev, self->has_filter ? &self->filter : NULL, 0, on_net_change, &all, err);
    if (status != 0)
        err_wrap(err, "roll back to revision %llu", (unsigned long long)self->to);
    else
        status = plan_net(self, &all, err);
    net_changes_clear(&all);
    return status;
}

void api_rollback(struct ctl_call *call)
{
    static const struct ctl_member members[] = {{"revision", JSON_NUMBER}, {"kind", JSON_STRING},    {"namespace", JSON_STRING},
                                                {"name", JSON_STRING},     {"message", JSON_STRING}, {NULL, JSON_NULL}};
    struct rollback *self = arena_zalloc(call->arena, sizeof(*self));
    struct err err = ERR_INIT;
    struct json *body;
    int64_t rev;
    if (api_body(call, &body, &err) == 0 && ctl_call_check_body(body, members, &err) == 0 &&
        read_filter(call, body, &self->filter, &self->has_filter, &err) == 0) {
        if (!json_int(json_get(body, "revision"), &rev) || rev < 1 || (uint64_t)rev > ctl_store_head(call->control->store))
            err_set(&err, ERR_INVALID, "revision: must be one of 1 to %llu", (unsigned long long)ctl_store_head(call->control->store));
    }
    if (err.code != ERR_NONE) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    self->to = (uint64_t)rev;
    self->bulk.call = call;
    self->bulk.plan = plan_rollback;
    self->bulk.verb = "rollback";
    self->bulk.about = arena_printf(call->arena, "selvedge/v1/rollback %llu", (unsigned long long)self->to);
    self->bulk.is_whole = !self->has_filter;
    self->bulk.extra = json_new_object(call->arena);
    json_set_int(call->arena, self->bulk.extra, "rolledBackTo", rev);
    struct slice message = json_slice(json_get(body, "message"));
    self->bulk.message = message.len != 0 ? message : slice_of(arena_printf(call->arena, "rollback to revision %llu", (unsigned long long)self->to));
    api_bulk_start(&self->bulk);
}

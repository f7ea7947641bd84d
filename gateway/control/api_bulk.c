/* Many objects in one transaction: planning off the loop, one answer for all.
 *
 * view of everything -> plan (job) -> any failure: nothing is written, each object says why -> [dry run: answer] -> one
 * transaction, guarded by the revisions the plan rests on -> answer. When somebody else was faster, it is planned again. */
#include "gateway/control/api_internal.h"

#include "core/base/clock.h"

enum { TRIES_MAX = 20, CHANGES_MAX = 200 };

/* ---------- for planners ---------- */

struct api_item *api_bulk_add(struct api_bulk *bulk, const struct kind *kind, struct slice ns, struct slice name)
{
    struct arena *arena = bulk->call->arena;
    if (bulk->num_items == bulk->cap_items) {
        size_t cap = bulk->cap_items != 0 ? bulk->cap_items * 2 : 32;
        struct api_item *items = arena_zalloc(arena, cap * sizeof(*items));
        if (bulk->num_items != 0)
            memcpy(items, bulk->items, bulk->num_items * sizeof(*items));
        bulk->items = items;
        bulk->cap_items = cap;
    }
    struct api_item *item = &bulk->items[bulk->num_items++];
    *item = (struct api_item){.change = {.arena = arena, .options = bulk->options, .now_us = bulk->now_us}};
    item->change.target = (struct api_target){.kind = kind, .version = kind->versions[0], .ns = ns, .name = name};
    field_report_init(&item->change.report, arena);
    return item;
}

struct ctl_object *api_bulk_find(const struct api_bulk *bulk, const struct ctl_key *key)
{
    size_t low = 0, high = bulk->view->num;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = ctl_key_compare(&bulk->view->objects[middle]->key, key);
        if (order == 0)
            return bulk->view->objects[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const char *action_of(const struct api_change *change)
{
    if (change->old == NULL)
        return "created";
    return change->is_same ? "unchanged" : "configured";
}

void api_bulk_settle(struct api_bulk *bulk, struct api_item *item)
{
    if (item->err.code == ERR_NONE && api_change_finish(&item->change, &item->err) == 0) {
        item->action = action_of(&item->change);
        api_change_write(&item->change, &item->write);
    }
    bulk->num_failed += item->err.code != ERR_NONE;
}

/* ---------- the answer ---------- */

static void copy_member(struct arena *arena, struct json *to, const struct json *from, const char *name)
{
    const struct json *member = json_get(from, name);
    if (member != NULL && member->type == JSON_STRING)
        json_set(arena, to, name, json_clone(arena, member));
}

/* A document of a kind that is not served is called as it calls itself. */
static struct json *name_unplaced(struct arena *arena, const struct json *document)
{
    const struct json *meta = json_get(document, "metadata");
    struct json *out = json_new_object(arena);
    copy_member(arena, out, document, "apiVersion");
    copy_member(arena, out, document, "kind");
    copy_member(arena, out, meta, "namespace");
    copy_member(arena, out, meta, "name");
    return out;
}

/* apiVersion, kind, namespace, name. */
static struct json *name_of(struct arena *arena, const struct api_item *item)
{
    const struct api_target *target = &item->change.target;
    if (item->unplaced != NULL)
        return name_unplaced(arena, item->unplaced);
    struct json *out = json_new_object(arena);
    json_set_str(arena, out, "apiVersion", kind_api_version(target->kind, target->version, arena).base);
    json_set_str(arena, out, "kind", target->kind->kind);
    if (target->kind->is_namespaced)
        json_set(arena, out, "namespace", json_new_string(arena, target->ns.base != NULL ? target->ns : SLICE("")));
    json_set(arena, out, "name", json_new_string(arena, target->name.base != NULL ? target->name : SLICE("")));
    return out;
}

static struct json *changes_of(struct arena *arena, const struct api_item *item)
{
    const struct api_change *change = &item->change;
    if (change->old == NULL || change->new == NULL)
        return json_new_array(arena);
    if (!change->target.kind->is_secret)
        return api_diff(arena, change->old, change->new, CHANGES_MAX);
    struct json *from = json_clone(arena, change->old), *to = json_clone(arena, change->new);
    api_hide_secret(arena, from);
    api_hide_secret(arena, to);
    return api_diff(arena, from, to, CHANGES_MAX);
}

static void add_result(struct arena *arena, struct json *results, const struct api_item *item)
{
    struct json *result = json_push(results, name_of(arena, item));
    if (item->err.code != ERR_NONE) {
        bool has_report = item->err.code == ERR_INVALID || item->err.code == ERR_CONFLICT;
        json_set_str(arena, result, "result", "refused");
        json_set(arena, result, "error", api_status(arena, &item->err, item->unplaced == NULL ? &item->change.target : NULL, has_report ? &item->change.report : NULL));
        return;
    }
    json_set_str(arena, result, "result", item->action);
    if (strcmp(item->action, "configured") == 0)
        json_set(arena, result, "changes", changes_of(arena, item));
}

static struct json *results_of(struct api_bulk *bulk)
{
    struct json *results = json_new_array(bulk->call->arena);
    for (size_t i = 0; i < bulk->num_items; ++i)
        add_result(bulk->call->arena, results, &bulk->items[i]);
    return results;
}

static void warn_all(struct api_bulk *bulk)
{
    for (size_t i = 0; i < bulk->num_items; ++i)
        if (bulk->items[i].err.code == ERR_NONE)
            api_warn_report(bulk->call, &bulk->items[i].change.report);
}

static void reply(struct api_bulk *bulk, uint64_t rev)
{
    struct arena *arena = bulk->call->arena;
    struct json *body = json_new_object(arena);
    json_set_str(arena, body, "kind", "Result");
    json_set_str(arena, body, "apiVersion", "selvedge.dev/v1");
    json_set_int(arena, body, "revision", (int64_t)rev);
    json_set_bool(arena, body, "dryRun", bulk->options.is_dry_run);
    JSON_FOR(member, bulk->extra)
    json_set_n(arena, body, member->key, json_clone(arena, member));
    json_set(arena, body, "results", results_of(bulk));
    warn_all(bulk);
    ctl_call_reply_json(bulk->call, 200, body);
}

static void add_cause(struct arena *arena, struct json *causes, const char *reason, const char *field, struct slice message)
{
    struct json *cause = json_push(causes, json_new_object(arena));
    json_set_str(arena, cause, "reason", reason);
    json_set(arena, cause, "message", json_new_string(arena, message));
    json_set_str(arena, cause, "field", field);
}

static const char *kind_word(const struct api_item *item, const char *served)
{
    return item->unplaced != NULL ? json_str(json_get(item->unplaced, "kind"), "object") : served;
}

/* Fields are told with their object: "httproute/web spec.rules[0].name". */
static void add_causes(struct arena *arena, struct json *causes, const struct api_item *item)
{
    const struct api_target *target = &item->change.target;
    const char *object = arena_printf(arena, "%s/%.*s", kind_word(item, target->kind->singular), (int)target->name.len, target->name.base != NULL ? target->name.base : "");
    const struct field_violation *v = item->change.report.violations;
    if (v == NULL)
        add_cause(arena, causes, err_reason(item->err.code), object, slice_of(item->err.text));
    for (; v != NULL; v = v->next)
        add_cause(arena, causes, field_reason_name(v->reason), arena_printf(arena, "%s %.*s", object, (int)v->path.len, v->path.base), v->message);
}

static bool is_of_one_code(const struct api_bulk *bulk, enum err_code code)
{
    for (size_t i = 0; i < bulk->num_items; ++i)
        if (bulk->items[i].err.code != ERR_NONE && bulk->items[i].err.code != code)
            return false;
    return true;
}

/* One Status for all, with what each object was refused for. Its details name the first, as clients expect one. */
static void refuse(struct api_bulk *bulk)
{
    struct arena *arena = bulk->call->arena;
    struct err err = ERR_INIT;
    const struct api_item *first = NULL;
    struct json *causes = json_new_array(arena);
    for (size_t i = 0; i < bulk->num_items; ++i) {
        if (bulk->items[i].err.code == ERR_NONE)
            continue;
        first = first != NULL ? first : &bulk->items[i];
        add_causes(arena, causes, &bulk->items[i]);
    }
    const struct api_target *target = &first->change.target;
    err_set(&err, is_of_one_code(bulk, first->err.code) ? first->err.code : ERR_INVALID, "%zu of %zu objects refused, nothing was changed; the first: %s \"%.*s\": %s",
            bulk->num_failed, bulk->num_items, kind_word(first, target->kind->kind), (int)target->name.len, target->name.base != NULL ? target->name.base : "", first->err.text);
    struct json *body = api_status(arena, &err, NULL, NULL);
    struct json *details = json_set(arena, body, "details", name_of(arena, first));
    json_set(arena, details, "causes", causes);
    json_set(arena, body, "results", results_of(bulk));
    bulk->call->failure = slice_of(arena_strdup(arena, err.text));
    ctl_call_reply_json(bulk->call, err_status(err.code), body);
}

/* ---------- the way ---------- */

static void start(struct api_bulk *bulk);

static void on_written(struct api_txn *txn)
{
    struct api_bulk *bulk = CONTAINER_OF(txn, struct api_bulk, txn);
    enum err_code code = txn->txn.err.code;
    bool was_beaten = code == ERR_CONFLICT || code == ERR_EXISTS || code == ERR_NOT_FOUND;
    if (code == ERR_NONE)
        reply(bulk, txn->txn.rev);
    else if (was_beaten && bulk->num_tries < TRIES_MAX)
        start(bulk);
    else
        api_fail(bulk->call, &txn->txn.err, NULL, NULL);
}

static size_t fill_writes(struct api_bulk *bulk, struct ctl_write *writes)
{
    size_t num = 0;
    for (size_t i = 0; i < bulk->num_items; ++i)
        if (strcmp(bulk->items[i].action, "unchanged") != 0)
            writes[num++] = bulk->items[i].write;
    return num;
}

/* Namespaces the plan puts things in and does not itself write must be there still. */
static size_t fill_checks(struct api_bulk *bulk, struct ctl_write *writes)
{
    struct hashmap seen = HASHMAP_INIT;
    const struct kind *kind = kind_get(KIND_NAMESPACE);
    size_t num = 0;
    for (size_t i = 0; i < bulk->num_items; ++i)
        if (bulk->items[i].change.target.kind == kind)
            hashmap_put(&seen, bulk->items[i].change.target.name.base, bulk->items[i].change.target.name.len, bulk);
    for (size_t i = 0; i < bulk->num_items; ++i) {
        struct slice ns = bulk->items[i].change.target.ns;
        if (bulk->items[i].change.new == NULL || !bulk->items[i].change.target.kind->is_namespaced || hashmap_get(&seen, ns.base, ns.len) != NULL)
            continue;
        hashmap_put(&seen, ns.base, ns.len, bulk);
        writes[num++] = (struct ctl_write){.op = CTL_CHECK, .key = {api_kind_key(kind), SLICE(""), ns}, .expect_present = true};
    }
    hashmap_clear(&seen);
    return num;
}

static void submit(struct api_bulk *bulk, uint64_t head)
{
    struct ctl_write *writes = arena_zalloc(bulk->call->arena, (2 * bulk->num_items + 1) * sizeof(*writes));
    size_t num = fill_writes(bulk, writes);
    if (num == 0 || bulk->options.is_dry_run) {
        reply(bulk, head);
        return;
    }
    num += fill_checks(bulk, writes + num);
    bulk->txn.txn = (struct ctl_txn){.writes = writes, .num_writes = num, .message = bulk->message};
    bulk->txn.txn.expect_head = bulk->is_whole || bulk->expect_head != 0 ? head : 0;
    bulk->txn.done = on_written;
    api_txn_submit(&bulk->txn, bulk->call, bulk->verb, bulk->about);
}

static int on_later_change(const struct ctl_change *change, void *data)
{
    struct err *err = data;
    if (change->is_status)
        return 0;
    err_set(err, ERR_CONFLICT, "the configuration has been changed: revision %llu by %.*s (%.*s)", (unsigned long long)change->rev,
            (int)change->actor.len, change->actor.base, (int)MIN(change->key.name.len, (size_t)100), change->key.name.base);
    return 1;
}

/* What the control plane says about objects is no change of the configuration, though it has revisions. */
static int check_head(struct api_bulk *bulk, struct err *err)
{
    struct ctl_store *store = bulk->call->control->store;
    if (bulk->expect_head > bulk->view->rev)
        return err_set(err, ERR_CONFLICT, "expectedHead: revision %llu does not exist", (unsigned long long)bulk->expect_head);
    if (bulk->expect_head == 0)
        return 0;
    struct err found = ERR_INIT;
    if (ctl_store_read_changes(store, bulk->expect_head, bulk->view->rev, NULL, 0, on_later_change, &found, err) != 0)
        return -1;
    if (found.code != ERR_NONE)
        *err = found;
    return found.code != ERR_NONE ? -1 : 0;
}

static void run_plan(struct api_job *job)
{
    struct api_bulk *bulk = CONTAINER_OF(job, struct api_bulk, job);
    if (check_head(bulk, &job->err) == 0)
        (void)bulk->plan(bulk, &job->err); /* on_planned() tells */
}

static void on_planned(struct api_job *job)
{
    struct api_bulk *bulk = CONTAINER_OF(job, struct api_bulk, job);
    uint64_t head = bulk->view->rev;
    bulk->view = ctl_view_free(bulk->view);
    if (job->err.code != ERR_NONE)
        api_fail(bulk->call, &job->err, NULL, NULL);
    else if (bulk->num_failed != 0)
        refuse(bulk);
    else
        submit(bulk, head);
}

static void start(struct api_bulk *bulk)
{
    ++bulk->num_tries;
    bulk->num_items = bulk->cap_items = bulk->num_failed = 0;
    bulk->now_us = clock_wall_us();
    bulk->view = ctl_cache_view(bulk->call->control->cache);
    bulk->job.run = run_plan;
    bulk->job.done = on_planned;
    api_job_submit(&bulk->job, bulk->call);
}

void api_bulk_start(struct api_bulk *bulk)
{
    struct err err = ERR_INIT;
    struct ctl_call *call = bulk->call;
    struct slice head = ctl_call_param(call, "expectedHead");
    if (api_options(call, &bulk->options, &err) == 0 && head.len != 0 && !api_parse_u64(head, &bulk->expect_head))
        err_set(&err, ERR_BAD_REQUEST, "expectedHead: \"%s\" is no revision", head.base);
    if (err.code != ERR_NONE)
        api_fail(call, &err, NULL, NULL);
    else
        start(bulk);
}

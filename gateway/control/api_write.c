/* Writing one object: create, update, patch.
 *
 * build (from the object at head) -> finish -> [dry run: answer] -> transaction guarded by the head's revision -> answer.
 * When somebody else was faster and the client named no revision, the whole is built again on what there is now; when it
 * did, the answer is 409 and shows what the others changed (read from the change log, off the loop). */
#include "gateway/control/api_internal.h"

#include "core/base/clock.h"

/* Of sixteen clients that patch one object at once, one wins each round: the unluckiest still gets its turn. */
enum { TRIES_MAX = 200, SHOWN_CHANGES = 8, CAUSES_MAX = 32 };

enum patch_type { PATCH_NONE, PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY };

struct write_op {
    struct api_txn txn; /* first: see op_of() */
    struct ctl_call *call;
    struct api_target target;
    struct api_options options;
    const char *verb;
    enum patch_type patch;
    bool is_create;
    struct json *body;
    struct api_change change;
    struct ctl_write writes[2];
    unsigned num_tries;
    uint64_t client_rev; /* the client's resourceVersion; 0: none given */
    struct api_job job;
    /* of a conflict */
    struct json *seen; /* the object as the client knew it */
    const char *by;
};

static struct write_op *op_of(struct api_txn *txn)
{
    return CONTAINER_OF(txn, struct write_op, txn);
}

static void fail(struct write_op *op, const struct err *err)
{
    bool has_report = err->code == ERR_INVALID || err->code == ERR_CONFLICT;
    struct api_target about = op->target;
    if (about.name.len == 0)
        about.name = json_slice(json_find(op->body, "metadata", "name", NULL));
    api_fail(op->call, err, &about, has_report ? &op->change.report : NULL);
}

/* ---------- conflicts ---------- */

static int on_later_change(const struct ctl_change *change, void *data)
{
    struct write_op *op = data;
    struct arena *arena = op->call->arena;
    if (op->seen == NULL && change->previous.base != NULL)
        op->seen = json_parse(arena, change->previous, NULL);
    if (!change->is_status)
        op->by = arena_strndup(arena, change->actor.base, change->actor.len);
    return 0;
}

static void run_conflict(struct api_job *job)
{
    struct write_op *op = CONTAINER_OF(job, struct write_op, job);
    struct ctl_key key = api_key(&op->target);
    struct err ignored = ERR_INIT; /* compacted: then the plain message has to do */
    struct ctl_store *store = op->call->control->store;
    (void)ctl_store_read_changes(store, op->client_rev, ctl_store_head(store), &key, 1000, on_later_change, op, &ignored);
}

static void describe(struct write_op *op, const struct json *changes, struct strbuf *out)
{
    size_t num = 0;
    strbuf_addf(out, "; since revision %llu %s changed ", (unsigned long long)op->client_rev, op->by != NULL ? op->by : "the control plane");
    JSON_FOR(change, changes)
    {
        if (num++ == SHOWN_CHANGES) {
            strbuf_addf(out, " and %u more", changes->num - SHOWN_CHANGES);
            break;
        }
        strbuf_addf(out, "%s%s", num > 1 ? ", " : "", json_str(json_get(change, "path"), ""));
        const struct json *from = json_get(change, "from"), *to = json_get(change, "to");
        if (from != NULL && to != NULL && from->child == NULL && to->child == NULL && from->text.len < 80 && to->text.len < 80) {
            strbuf_adds(out, " (");
            json_write(out, from);
            strbuf_adds(out, " -> ");
            json_write(out, to);
            strbuf_adds(out, ")");
        }
    }
}

static void on_conflict_read(struct api_job *job)
{
    struct write_op *op = CONTAINER_OF(job, struct write_op, job);
    struct arena *arena = op->call->arena;
    struct ctl_key key = api_key(&op->target);
    const struct ctl_object *object = ctl_cache_get(op->call->control->cache, &key);
    struct json *now = object != NULL ? ctl_object_tree(arena, object) : NULL;
    struct err err = ERR_INIT;
    struct strbuf text = STRBUF_INIT;
    strbuf_addf(&text, "Operation cannot be fulfilled on %s \"%.*s\": the object has been modified; please apply your changes to the latest version and try again",
                api_resource_name(arena, op->target.kind), (int)op->target.name.len, op->target.name.base);
    field_report_init(&op->change.report, arena);
    if (op->seen != NULL && now != NULL) {
        if (op->target.kind->is_secret) {
            api_hide_secret(arena, op->seen);
            api_hide_secret(arena, now);
        }
        struct json *changes = api_diff(arena, op->seen, now, CAUSES_MAX);
        if (changes->num != 0)
            describe(op, changes, &text);
        JSON_FOR(change, changes)
        field_report_add(&op->change.report, FIELD_CHANGED, json_str(json_get(change, "path"), ""), "changed since revision %llu",
                         (unsigned long long)op->client_rev);
    }
    err_set(&err, ERR_CONFLICT, "%s", text.base);
    strbuf_clear(&text);
    fail(op, &err);
}

static void conflict(struct write_op *op)
{
    op->job.run = run_conflict;
    op->job.done = on_conflict_read;
    api_job_submit(&op->job, op->call);
}

/* ---------- building ---------- */

/* Only `status` comes from the client. */
static struct json *with_status(struct write_op *op, const struct json *old, struct json *given)
{
    struct arena *arena = op->call->arena;
    struct json *object = json_clone(arena, old);
    const struct json *status = json_get(given, "status");
    if (status != NULL)
        json_set(arena, object, "status", json_clone(arena, status));
    else
        json_remove(object, "status");
    return object;
}

static int apply_patch(struct write_op *op, struct json **object, struct err *err)
{
    struct arena *arena = op->call->arena;
    /* A patch is written against the version asked for. */
    json_set_str(arena, *object, "apiVersion", kind_api_version(op->target.kind, op->target.version, arena).base);
    if (op->patch == PATCH_JSON)
        return api_patch_json(arena, object, op->body, err);
    if (op->patch == PATCH_STRATEGIC)
        return api_patch_strategic(arena, op->target.kind->schema, *object, op->body, err);
    return api_patch_merge(arena, object, op->body, err);
}

/* The revision that an object of the client's says it is from; 0: none. */
static int read_named_rev(const struct json *object, uint64_t *ret, struct err *err)
{
    struct slice rev = json_slice(json_find(object, "metadata", "resourceVersion", NULL));
    *ret = 0;
    if (rev.len != 0 && !slice_is(rev, "0") && !api_parse_u64(rev, ret))
        return err_set(err, ERR_BAD_REQUEST, "metadata.resourceVersion: \"%s\" is no revision", rev.base);
    return 0;
}

static int build_applied(struct write_op *op, struct err *err)
{
    const struct api_change *change = &op->change;
    if (read_named_rev(op->body, &op->client_rev, err) != 0)
        return -1;
    if (op->client_rev != 0 && change->old == NULL)
        return err_set(err, ERR_CONFLICT, "Operation cannot be fulfilled on %s \"%.*s\": what metadata.resourceVersion names is gone; leave it out to create the object",
                       api_resource_name(op->call->arena, op->target.kind), (int)op->target.name.len, op->target.name.base);
    if (op->client_rev != 0 && op->client_rev != change->old_rev)
        return 0; /* attempt() tells what has been changed since */
    return api_fields_apply(&op->change, op->body, err);
}

static int build(struct write_op *op, struct err *err)
{
    struct arena *arena = op->call->arena;
    struct api_change *change = &op->change;
    uint64_t named;
    if (op->patch == PATCH_APPLY)
        return build_applied(op, err);
    if (op->patch != PATCH_NONE) {
        struct json *object = json_clone(arena, change->old);
        if (apply_patch(op, &object, err) != 0)
            return -1;
        change->new = object;
    } else {
        change->new = json_clone(arena, op->body); /* it may be built again */
    }
    if (read_named_rev(change->new, &named, err) != 0)
        return -1;
    /* A patch that does not name a revision carries the one it was applied to. */
    if (change->old != NULL && named != 0 && (op->patch == PATCH_NONE || named != change->old_rev))
        op->client_rev = named;
    if (op->is_create && named != 0)
        return err_set(err, ERR_BAD_REQUEST, "metadata.resourceVersion: must not be set on objects to be created");
    if (op->target.is_status)
        change->new = with_status(op, change->old, change->new);
    return 0;
}

static int check_namespace(struct write_op *op, struct err *err)
{
    const struct api_target *target = &op->target;
    struct ctl_key key = {api_kind_key(kind_get(KIND_NAMESPACE)), SLICE(""), target->ns};
    if (!target->kind->is_namespaced || ctl_cache_get(op->call->control->cache, &key) != NULL)
        return 0;
    return err_set(err, ERR_NOT_FOUND, "namespaces \"%.*s\" not found", (int)target->ns.len, target->ns.base);
}

/* ---------- the way ---------- */

static void attempt(struct write_op *op);

static void reply(struct write_op *op, uint64_t rev)
{
    unsigned status = op->change.old == NULL ? 201 : 200;
    api_warn_report(op->call, &op->change.report);
    api_reply_object(op->call, status, &op->change.target, api_change_result(&op->change, rev));
}

static void on_written(struct api_txn *txn)
{
    struct write_op *op = op_of(txn);
    const struct err *err = &txn->txn.err;
    if (err->code == ERR_NONE) {
        reply(op, txn->txn.rev);
    } else if (err->code == ERR_CONFLICT && op->client_rev != 0) {
        conflict(op);
    } else if ((err->code == ERR_CONFLICT || err->code == ERR_EXISTS || err->code == ERR_NOT_FOUND) && op->num_tries < TRIES_MAX) {
        attempt(op); /* on what there is now; the cache has it already */
    } else {
        api_fail(op->call, err, &op->change.target, NULL);
    }
}

static void submit(struct write_op *op)
{
    struct api_change *change = &op->change;
    const struct api_target *target = &change->target;
    const char *name = arena_printf(op->call->arena, "%s %.*s%s%.*s", api_resource_name(op->call->arena, target->kind), (int)target->ns.len,
                                    target->ns.base, target->ns.len != 0 ? "/" : "", (int)target->name.len, target->name.base);
    size_t num = 0;
    api_change_write(change, &op->writes[num++]);
    op->writes[0].is_status = change->is_status;
    if (target->kind->is_namespaced)
        op->writes[num++] = (struct ctl_write){
            .op = CTL_CHECK, .key = {api_kind_key(kind_get(KIND_NAMESPACE)), SLICE(""), target->ns}, .expect_present = true};
    op->txn.txn = (struct ctl_txn){.writes = op->writes, .num_writes = num};
    op->txn.done = on_written;
    api_txn_submit(&op->txn, op->call, op->verb, name);
}

static int prepare(struct write_op *op, struct err *err)
{
    struct ctl_call *call = op->call;
    struct api_change *change = &op->change;
    struct ctl_key key = api_key(&op->target);
    const struct ctl_object *object = op->target.name.len != 0 ? ctl_cache_get(call->control->cache, &key) : NULL;
    *change = (struct api_change){.target = op->target, .arena = call->arena, .options = op->options, .is_status = op->target.is_status, .now_us = clock_wall_us()};
    field_report_init(&change->report, call->arena);
    if (object != NULL && op->is_create)
        return err_set(err, ERR_EXISTS, "%s \"%.*s\" already exists", api_resource_name(call->arena, op->target.kind), (int)op->target.name.len,
                       op->target.name.base);
    if (object == NULL && !op->is_create && (op->patch != PATCH_APPLY || op->target.is_status))
        return api_not_found(err, call->arena, &op->target);
    if (check_namespace(op, err) != 0)
        return -1;
    if (object != NULL) {
        change->old = ctl_object_tree(call->arena, object);
        change->old_rev = object->rev;
    }
    if (build(op, err) != 0)
        return -1;
    if (op->client_rev != 0 && op->client_rev != change->old_rev)
        return 1;
    return api_change_finish(change, err);
}

static void attempt(struct write_op *op)
{
    struct err err = ERR_INIT;
    ++op->num_tries;
    int status = prepare(op, &err);
    if (status < 0)
        fail(op, &err);
    else if (status > 0)
        conflict(op);
    else if (op->change.is_same)
        reply(op, op->change.old_rev); /* as in Kubernetes: nothing to write, no new revision */
    else if (op->options.is_dry_run)
        reply(op, op->change.old_rev);
    else
        submit(op);
}

static void begin(struct ctl_call *call, const struct api_target *target, const char *verb, enum patch_type patch)
{
    struct write_op *op = arena_zalloc(call->arena, sizeof(*op));
    struct err err = ERR_INIT;
    op->call = call;
    op->target = *target;
    op->verb = verb;
    op->patch = patch;
    op->is_create = target->name.len == 0;
    if (target->is_status && api_is_proto(api_media_type(call))) {
        err_set(&err, ERR_MEDIA_TYPE, "a status is taken as application/json or application/yaml");
        api_fail(call, &err, NULL, NULL);
        return;
    }
    if (api_options(call, &op->options, &err) != 0 || api_body(call, &op->body, &err) != 0) {
        api_fail(call, &err, NULL, NULL);
        return;
    }
    if (op->is_create) { /* the name decides whether it exists; generated ones are new each try */
        struct slice name = json_slice(json_find(op->body, "metadata", "name", NULL));
        op->target.name = name.base != NULL ? name : SLICE("");
    }
    attempt(op);
}

void api_create(struct ctl_call *call, const struct api_target *target)
{
    begin(call, target, "create", PATCH_NONE);
}

void api_update(struct ctl_call *call, const struct api_target *target)
{
    begin(call, target, "update", PATCH_NONE);
}

void api_patch(struct ctl_call *call, const struct api_target *target)
{
    static const struct {
        const char *media_type;
        enum patch_type type;
    } types[] = {
        {"application/json-patch+json", PATCH_JSON},   {"application/merge-patch+json", PATCH_MERGE},
        {"application/strategic-merge-patch+json", PATCH_STRATEGIC}, {"application/apply-patch+yaml", PATCH_APPLY},
        {"application/apply-patch+json", PATCH_APPLY},
    };
    struct slice given = api_media_type(call);
    struct err err = ERR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(types); ++i) {
        if (!slice_is(given, types[i].media_type))
            continue;
        if (types[i].type == PATCH_STRATEGIC && !api_takes_strategic(target->kind))
            break; /* clients know that of custom resources and fall back to merge patches */
        begin(call, target, types[i].type == PATCH_APPLY ? "apply" : "patch", types[i].type);
        return;
    }
    err_set(&err, ERR_MEDIA_TYPE, "patches of %s are taken as application/json-patch+json, application/merge-patch+json, %sapplication/apply-patch+yaml",
            target->kind->plural, api_takes_strategic(target->kind) ? "application/strategic-merge-patch+json, " : "");
    api_fail(call, &err, NULL, NULL);
}

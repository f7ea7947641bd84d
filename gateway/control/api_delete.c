/* Deleting: one object, a selection, a namespace with all it holds. */
#include "gateway/control/api_internal.h"

enum { TRIES_MAX = 20 };

struct delete_op {
    struct api_txn txn; /* first */
    struct ctl_call *call;
    struct api_target target;
    struct ctl_filter filter;
    bool is_collection, is_dry_run;
    struct slice uid;    /* preconditions; {NULL, 0}: none */
    uint64_t rev;
    struct slice gone_uid;
    unsigned num_tries;
};

static void attempt(struct delete_op *op);

static void fail(struct delete_op *op, const struct err *err)
{
    api_fail(op->call, err, &op->target, NULL);
}

/* A misspelt option must not delete more, or other, than was meant. */
static int check_options(const struct json *body, struct err *err)
{
    static const char *const policies[] = {"Orphan", "Background", "Foreground"};
    const struct json *dry_run = json_get(body, "dryRun"), *policy = json_get(body, "propagationPolicy");
    bool is_policy = policy == NULL || policy->type == JSON_NULL;
    if (body->type != JSON_OBJECT || strcmp(json_str(json_get(body, "kind"), "DeleteOptions"), "DeleteOptions") != 0)
        return err_set(err, ERR_BAD_REQUEST, "the body of a DELETE holds DeleteOptions");
    JSON_FOR(item, dry_run)
    if (strcmp(json_str(item, ""), "All") != 0)
        return err_set(err, ERR_BAD_REQUEST, "dryRun: only \"All\" is possible");
    for (size_t i = 0; !is_policy && i < ARRAY_LEN(policies); ++i)
        is_policy = strcmp(json_str(policy, ""), policies[i]) == 0;
    return is_policy ? 0 : err_set(err, ERR_BAD_REQUEST, "propagationPolicy: must be one of Orphan, Background, Foreground");
}

/* DeleteOptions. propagationPolicy and gracePeriodSeconds are taken: nothing here has dependents or takes time to end. */
static int read_options(struct delete_op *op, struct err *err)
{
    struct ctl_call *call = op->call;
    struct json *body = NULL;
    struct api_options options;
    if (api_options(call, &options, err) != 0 || (call->body.len != 0 && api_body(call, &body, err) != 0))
        return -1;
    op->is_dry_run = options.is_dry_run;
    if (body == NULL)
        return 0;
    if (check_options(body, err) != 0)
        return -1;
    const struct json *preconditions = json_get(body, "preconditions"), *dry_run = json_get(body, "dryRun");
    struct slice rev = json_slice(json_get(preconditions, "resourceVersion"));
    op->uid = json_slice(json_get(preconditions, "uid"));
    op->is_dry_run = op->is_dry_run || (dry_run != NULL && dry_run->num != 0);
    if (rev.len != 0 && !api_parse_u64(rev, &op->rev))
        return err_set(err, ERR_BAD_REQUEST, "preconditions.resourceVersion: \"%s\" is no revision", rev.base);
    return 0;
}

static int check_object(struct delete_op *op, const struct ctl_object *object, struct err *err)
{
    const char *resource = api_resource_name(op->call->arena, op->target.kind);
    if (op->uid.base != NULL && !slice_eq(op->uid, object->uid))
        return err_set(err, ERR_CONFLICT, "Operation cannot be fulfilled on %s \"%s\": Precondition failed: UID in precondition: %.*s, UID in object meta: %.*s",
                       resource, object->key.name.base, (int)op->uid.len, op->uid.base, (int)object->uid.len, object->uid.base);
    if (op->rev != 0 && op->rev != object->rev)
        return err_set(err, ERR_CONFLICT, "Operation cannot be fulfilled on %s \"%.*s\": Precondition failed: resourceVersion in precondition: %llu, now: %llu",
                       resource, (int)object->key.name.len, object->key.name.base, (unsigned long long)op->rev, (unsigned long long)object->rev);
    return 0;
}

static int check_protected(const struct delete_op *op, struct slice name, struct err *err)
{
    if (op->target.kind->id == KIND_NAMESPACE && slice_is(name, "default"))
        return err_set(err, ERR_FORBIDDEN, "namespaces \"default\" is forbidden: this namespace may not be deleted");
    return 0;
}

/* ---------- gathering ---------- */

struct gathered {
    struct ctl_object **objects;
    size_t num;
};

static int gather(struct delete_op *op, struct gathered *all, struct err *err)
{
    struct ctl_call *call = op->call;
    struct ctl_key key = api_key(&op->target);
    struct ctl_list list = {0};
    if (op->is_collection) {
        if (ctl_cache_list(call->control->cache, &op->filter, 0, SLICE(""), call->arena, &list, err) != 0)
            return -1;
    } else {
        struct ctl_object *object = ctl_cache_get(call->control->cache, &key);
        if (object == NULL)
            return api_not_found(err, call->arena, &op->target);
        op->gone_uid = arena_slice(call->arena, object->uid);
        list.objects = arena_dup(call->arena, &object, sizeof(object));
        list.num = 1;
    }
    for (size_t i = 0; i < list.num; ++i)
        if (check_protected(op, list.objects[i]->key.name, err) != 0 || check_object(op, list.objects[i], err) != 0)
            return -1;
    *all = (struct gathered){list.objects, list.num};
    return 0;
}

/* ---------- the way ---------- */

static void on_deleted(struct api_txn *txn)
{
    struct delete_op *op = CONTAINER_OF(txn, struct delete_op, txn);
    enum err_code code = txn->txn.err.code;
    if (code == ERR_NONE)
        api_succeed(op->call, &op->target, op->gone_uid);
    else if ((code == ERR_CONFLICT || code == ERR_NOT_FOUND) && op->num_tries < TRIES_MAX)
        attempt(op); /* somebody was faster: on what there is now */
    else
        fail(op, &txn->txn.err);
}

/* What is in a namespace goes with it, whatever was created there meanwhile: creating checks for the namespace in its own
 * transaction, so that it comes before this one and is found by it, or after and is refused. Nobody can keep a namespace
 * alive by writing to it. */
static size_t add_contents(struct ctl_write *writes, struct slice ns)
{
    size_t num = 0;
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const struct kind *kind = kind_get((enum kind_id)i);
        if (kind->is_namespaced)
            writes[num++] = (struct ctl_write){.op = CTL_DELETE_ALL, .key = {api_kind_key(kind), ns, SLICE("")}};
    }
    return num;
}

static void submit(struct delete_op *op, const struct gathered *all)
{
    struct ctl_call *call = op->call;
    const struct api_target *target = &op->target;
    size_t num = 0, most = target->kind->id == KIND_NAMESPACE ? KIND_COUNT + 1 : 1;
    struct ctl_write *writes = arena_zalloc(call->arena, all->num * most * sizeof(*writes));
    for (size_t i = 0; i < all->num; ++i) {
        const struct ctl_key *key = &all->objects[i]->key;
        struct ctl_write *write = &writes[num++];
        write->op = CTL_DELETE;
        write->key = (struct ctl_key){arena_slice(call->arena, key->kind), arena_slice(call->arena, key->ns), arena_slice(call->arena, key->name)};
        write->expect_rev = op->is_collection || op->rev != 0 || op->uid.base != NULL ? all->objects[i]->rev : 0;
        if (target->kind->id == KIND_NAMESPACE)
            num += add_contents(writes + num, write->key.name);
    }
    op->txn.txn = (struct ctl_txn){.writes = writes, .num_writes = num};
    op->txn.done = on_deleted;
    api_txn_submit(&op->txn, call, "delete",
                   arena_printf(call->arena, "%s %.*s%s%.*s", api_resource_name(call->arena, target->kind), (int)target->ns.len, target->ns.base,
                                target->ns.len != 0 ? "/" : "", (int)target->name.len, target->name.base));
}

static void attempt(struct delete_op *op)
{
    struct gathered all = {0};
    struct err err = ERR_INIT;
    ++op->num_tries;
    if (gather(op, &all, &err) != 0)
        fail(op, &err);
    else if (op->is_dry_run || all.num == 0)
        api_succeed(op->call, &op->target, op->gone_uid);
    else
        submit(op, &all);
}

static void begin(struct ctl_call *call, const struct api_target *target, bool is_collection)
{
    struct delete_op *op = arena_zalloc(call->arena, sizeof(*op));
    struct err err = ERR_INIT;
    op->call = call;
    op->target = *target;
    op->is_collection = is_collection;
    if (read_options(op, &err) != 0 || (is_collection && api_filter(call, target, &op->filter, &err) != 0))
        fail(op, &err);
    else
        attempt(op);
}

void api_delete(struct ctl_call *call, const struct api_target *target)
{
    begin(call, target, false);
}

void api_delete_collection(struct ctl_call *call, const struct api_target *target)
{
    begin(call, target, true);
}

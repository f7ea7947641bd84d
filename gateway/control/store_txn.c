/* One transaction of a caller, inside the open commit group: a savepoint, so that its failure costs the
 * others nothing.
 *
 * What can go wrong by the caller's doing (a conflict, something too large) rolls the savepoint back. What
 * goes wrong in SQLite or below it ends the group: after an I/O error SQLite may have rolled back everything
 * already. */
#include "gateway/control/store_private.h"

#include "core/base/clock.h"

#include <stdio.h>

#define DAY_US (INT64_C(24) * 3600 * 1000000)

struct run {
    struct ctl_store *store;
    struct ctl_txn *txn;
    const struct ctl_write *writes; /* the transaction's, or `expanded` */
    size_t num_writes;
    struct ctl_write *expanded; /* heap: DELETE_ALL spelled out; NULL without one */
    size_t *origins;            /* heap: which of the transaction's each of `expanded` came from */
    uint64_t rev;
    uint32_t seq;
};

/* ---------- the group's rows ---------- */

void st_group_reset(struct st_group *group)
{
    group->arena = arena_free(group->arena);
    group->num = 0;
}

static struct ctl_change *add_row(struct st_group *group)
{
    if (group->arena == NULL)
        group->arena = arena_new(0);
    if (group->num == group->cap) {
        group->cap = group->cap != 0 ? group->cap * 2 : 64;
        group->changes = xrealloc(group->changes, group->cap * sizeof(*group->changes));
    }
    return &group->changes[group->num++];
}

/* ---------- one write ---------- */

static int fail_write(struct run *run, size_t index, uint64_t found, enum err_code code, const char *why)
{
    const struct ctl_key *key = &run->writes[index].key;
    run->txn->failed_write = run->origins != NULL ? run->origins[index] : index;
    run->txn->found_rev = found;
    const char *slash = memrchr(key->kind.base, '/', key->kind.len);
    struct slice plural = key->kind;
    if (slash != NULL)
        plural = slice_make(slash + 1, (size_t)(key->kind.base + key->kind.len - slash) - 1);
    return err_set(&run->txn->err, code, "%.*s \"%.*s%s%.*s\" %s", (int)plural.len, plural.base,
                   (int)key->ns.len, key->ns.base != NULL ? key->ns.base : "", key->ns.len != 0 ? "/" : "",
                   (int)key->name.len, key->name.base, why);
}

/* What is there now: rev 0 when nothing. The text is the arena's. */
static int look(struct run *run, const struct ctl_key *key, uint64_t *ret_rev, struct slice *ret_object)
{
    struct st_group *group = &run->store->group;
    sqlite3_stmt *stmt = run->store->stmts[ST_OBJECT_GET];
    int result = 0;
    *ret_rev = 0;
    *ret_object = slice_make(NULL, 0);
    st_bind(stmt, "ttt", key->kind, key->ns, key->name);
    int step = sqlite3_step(stmt);
    if (step == SQLITE_ROW) {
        if (group->arena == NULL)
            group->arena = arena_new(0);
        *ret_rev = (uint64_t)sqlite3_column_int64(stmt, 0);
        *ret_object = arena_slice(group->arena, st_text(stmt, 1));
    } else if (step != SQLITE_DONE) {
        result = st_err(run->store->db, &run->txn->err, "read the object");
    }
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    return result;
}

/* 1: refused by what is there. */
static int check_expectations(struct run *run, size_t index, uint64_t found)
{
    const struct ctl_write *write = &run->writes[index];
    char why[128];
    if (write->expect_absent && found != 0) {
        fail_write(run, index, found, ERR_EXISTS, "already exists");
        return 1;
    }
    bool must_exist = write->expect_present || write->expect_rev != 0 || write->op == CTL_DELETE;
    if (must_exist && found == 0) {
        fail_write(run, index, found, ERR_NOT_FOUND, "not found");
        return 1;
    }
    if (write->expect_rev != 0 && write->expect_rev != found) {
        snprintf(why, sizeof(why), "has been changed: it is at revision %llu, not %llu",
                 (unsigned long long)found, (unsigned long long)write->expect_rev);
        fail_write(run, index, found, ERR_CONFLICT, why);
        return 1;
    }
    return 0;
}

static int change_object(struct run *run, const struct ctl_write *write)
{
    enum st_stmt which = write->op == CTL_PUT ? ST_OBJECT_PUT : ST_OBJECT_DELETE;
    sqlite3_stmt *stmt = run->store->stmts[which];
    const struct ctl_key *key = &write->key;
    if (write->op == CTL_PUT)
        st_bind(stmt, "tttit", key->kind, key->ns, key->name, (int64_t)run->rev, write->object);
    else
        st_bind(stmt, "ttt", key->kind, key->ns, key->name);
    return st_run(stmt, &run->txn->err, "write the object");
}

static int log_change(struct run *run, const struct ctl_change *row)
{
    sqlite3_stmt *stmt = run->store->stmts[ST_CHANGE_ADD];
    st_bind(stmt, "iiiitttitn", (int64_t)row->rev, (int64_t)row->seq, (int64_t)row->op,
            (int64_t)row->is_status, row->key.kind, row->key.ns, row->key.name, (int64_t)row->previous_rev,
            row->object, row->previous);
    return st_run(stmt, &run->txn->err, "write the change log");
}

/* 0, 1: refused, -1: SQLite failed. */
static int run_write(struct run *run, size_t index)
{
    const struct ctl_txn *txn = run->txn;
    const struct ctl_write *write = &run->writes[index];
    uint64_t found;
    struct slice before;
    if (write->object.len > ST_OBJECT_MAX) {
        fail_write(run, index, 0, ERR_TOO_LARGE, "is larger than 4 MiB");
        return 1;
    }
    if (look(run, &write->key, &found, &before) != 0)
        return -1;
    int refused = check_expectations(run, index, found);
    if (refused != 0 || write->op == CTL_CHECK)
        return refused;
    struct ctl_change *row = add_row(&run->store->group);
    *row = (struct ctl_change){
        .rev = run->rev,
        .seq = run->seq++,
        .at_us = txn->at_us,
        .op = write->op,
        .key = write->key,
        .object = write->op == CTL_PUT ? write->object : before,
        .previous = before,
        .previous_rev = found,
        .is_status = write->is_status,
        .actor = txn->actor,
        .origin = txn->origin,
        .message = txn->message,
        .request_id = txn->request_id,
    };
    return change_object(run, write) != 0 || log_change(run, row) != 0 ? -1 : 0;
}

/* ---------- DELETE_ALL ---------- */

static void expand_one(struct run *run, size_t origin, struct ctl_write write, size_t *cap)
{
    if (run->num_writes == *cap) {
        *cap = MAX((size_t)64, *cap * 2);
        run->expanded = xrealloc(run->expanded, *cap * sizeof(*run->expanded));
        run->origins = xrealloc(run->origins, *cap * sizeof(*run->origins));
    }
    run->origins[run->num_writes] = origin;
    run->expanded[run->num_writes++] = write;
}

static int expand_all(struct run *run, size_t origin, size_t *cap)
{
    struct st_group *group = &run->store->group;
    sqlite3_stmt *stmt = run->store->stmts[ST_OBJECT_NAMES];
    const struct ctl_key *key = &run->txn->writes[origin].key;
    int step, result = 0;
    if (group->arena == NULL)
        group->arena = arena_new(0);
    st_bind(stmt, "tt", key->kind, key->ns);
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct slice name = arena_slice(group->arena, st_text(stmt, 0));
        expand_one(run, origin, (struct ctl_write){.op = CTL_DELETE, .key = {key->kind, key->ns, name}}, cap);
    }
    if (step != SQLITE_DONE)
        result = st_err(run->store->db, &run->txn->err, "list the objects");
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    return result;
}

/* What is there is known only here, where nobody can add to it any more. */
static int expand(struct run *run)
{
    const struct ctl_txn *txn = run->txn;
    size_t num_all = 0, cap = 0;
    run->writes = txn->writes;
    run->num_writes = txn->num_writes;
    for (size_t i = 0; i < txn->num_writes; ++i)
        num_all += txn->writes[i].op == CTL_DELETE_ALL;
    if (num_all == 0)
        return 0;
    run->num_writes = 0;
    for (size_t i = 0; i < txn->num_writes; ++i) {
        if (txn->writes[i].op != CTL_DELETE_ALL)
            expand_one(run, i, txn->writes[i], &cap);
        else if (expand_all(run, i, &cap) != 0)
            return -1;
    }
    run->writes = run->expanded;
    return 0;
}

/* ---------- the whole ---------- */

static int add_revision(struct run *run, size_t num_changes, bool is_status)
{
    const struct ctl_txn *txn = run->txn;
    sqlite3_stmt *stmt = run->store->stmts[ST_REVISION_ADD];
    st_bind(stmt, "iiiitttt", (int64_t)run->rev, txn->at_us, (int64_t)num_changes, (int64_t)is_status,
            txn->actor, txn->origin, txn->message, txn->request_id);
    return st_run(stmt, &run->txn->err, "write the revision");
}

/* 1: it ran before, the result is filled in. */
static int find_replay(struct run *run)
{
    struct ctl_txn *txn = run->txn;
    sqlite3_stmt *stmt = run->store->stmts[ST_IDEM_GET];
    if (txn->idempotency_key.base == NULL)
        return 0;
    st_bind(stmt, "tti", txn->actor, txn->idempotency_key, txn->at_us - DAY_US);
    int step = sqlite3_step(stmt), result = 0;
    if (step == SQLITE_ROW) {
        txn->rev = (uint64_t)sqlite3_column_int64(stmt, 0);
        txn->at_us = sqlite3_column_int64(stmt, 1);
        txn->is_replay = true;
        result = 1;
    } else if (step != SQLITE_DONE) {
        result = st_err(run->store->db, &txn->err, "read the idempotency key");
    }
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    return result;
}

static int remember_result(struct run *run)
{
    struct ctl_txn *txn = run->txn;
    sqlite3_stmt *stmt = run->store->stmts[ST_IDEM_PUT];
    if (txn->idempotency_key.base == NULL)
        return 0;
    st_bind(stmt, "ttii", txn->actor, txn->idempotency_key, (int64_t)txn->rev, txn->at_us);
    return st_run(stmt, &txn->err, "write the idempotency key");
}

/* 0, 1: refused, -1: SQLite failed. */
static int run_writes(struct run *run)
{
    struct ctl_txn *txn = run->txn;
    size_t num_changes = 0;
    bool is_status = true;
    for (size_t i = 0; i < run->num_writes; ++i) {
        num_changes += run->writes[i].op != CTL_CHECK;
        is_status = is_status && (run->writes[i].is_status || run->writes[i].op == CTL_CHECK);
    }
    if (num_changes != 0)
        run->rev = run->store->next_head + 1;
    /* The revision first: its changes refer to it. */
    if (num_changes != 0 && add_revision(run, num_changes, is_status) != 0)
        return -1;
    for (size_t i = 0; i < run->num_writes; ++i) {
        int result = run_write(run, i);
        if (result != 0)
            return result;
    }
    txn->rev = num_changes != 0 ? run->rev : run->store->next_head;
    return remember_result(run);
}

static int run_checked(struct run *run)
{
    struct ctl_txn *txn = run->txn;
    uint64_t head = run->store->next_head;
    if (txn->num_writes > ST_WRITES_MAX) {
        err_set(&txn->err, ERR_TOO_LARGE, "%zu writes in one transaction; %d are the limit", txn->num_writes,
                ST_WRITES_MAX);
        return 1;
    }
    int replay = find_replay(run);
    if (replay != 0)
        return replay > 0 ? 0 : -1;
    if (txn->expect_head != 0 && txn->expect_head != head) {
        err_set(&txn->err, ERR_CONFLICT,
                "the configuration has been changed: it is at revision %llu, not %llu",
                (unsigned long long)head, (unsigned long long)txn->expect_head);
        return 1;
    }
    return expand(run) != 0 ? -1 : run_writes(run);
}

static int add_audit(struct run *run)
{
    const struct ctl_txn *txn = run->txn;
    if (txn->audit == NULL)
        return 0;
    struct ctl_audit entry = *txn->audit;
    entry.at_us = MAX(clock_wall_us(), run->store->last_us); /* a replay's at_us is that of the first time */
    entry.rev = txn->rev;
    if (txn->err.code != ERR_NONE) {
        entry.rev = 0;
        entry.status = err_status(txn->err.code);
        entry.message = slice_of(txn->err.text);
    }
    struct err err = ERR_INIT;
    if (st_audit_append(run->store, &entry, &err) == 0)
        return 0;
    run->txn->err = err;
    return -1;
}

static int leave_savepoint(struct run *run, bool is_kept)
{
    struct ctl_store *store = run->store;
    struct err err = ERR_INIT;
    if ((is_kept || st_run(store->stmts[ST_ROLLBACK_TO], &err, "undo") == 0) &&
        st_run(store->stmts[ST_RELEASE], &err, "release") == 0)
        return 0;
    run->txn->err = err;
    return -1;
}

int st_txn_run(struct ctl_store *store, struct ctl_txn *txn, bool *ret_fatal)
{
    struct run run = {.store = store, .txn = txn};
    size_t rows_before = store->group.num;
    txn->err = ERR_INIT;
    txn->failed_write = 0;
    txn->found_rev = txn->rev = 0;
    txn->is_replay = false;
    txn->at_us = MAX(clock_wall_us(), store->last_us);
    int result = st_run(store->stmts[ST_SAVEPOINT], &txn->err, "savepoint");
    if (result == 0)
        result = run_checked(&run);
    if (result >= 0 && leave_savepoint(&run, result == 0) != 0)
        result = -1;
    if (result != 0)
        store->group.num = rows_before;
    if (result == 0 && run.rev != 0) {
        store->next_head = run.rev;
        store->last_us = txn->at_us;
    }
    if (result >= 0 && add_audit(&run) != 0)
        result = -1;
    free(run.expanded);
    free(run.origins);
    *ret_fatal = result < 0;
    return result == 0 ? 0 : -1;
}

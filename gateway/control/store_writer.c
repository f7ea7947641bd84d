/* The writer thread: commit groups, then whatever else only the writing connection may do.
 *
 * A turn: take what waits (at most 64 operations or 2 ms of work), run each in a savepoint of one
 * transaction, commit, then tell the world: rows first, answers after. There is no waiting for a group to
 * fill: while one is being synced the next gathers by itself. Backup and compaction go in small steps between
 * groups; the log is checkpointed here and nowhere else; without work for a second it is truncated.
 *
 * Failures: what fails in SQLite or the file system fails the whole group, whose members are told so. A full
 * disk is tried again with the next group. A failed fsync, damage, a database file that is gone, or three I/O
 * errors in a row make the store read-only until restart: after a failed fsync nobody knows what the disk
 * holds, and a process that goes on could acknowledge what is lost. */
#include "gateway/control/store_private.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

enum { COMPACT_EVERY_US = 60 * 1000000, WAL_ALARM_PAGES = 65536 /* 256 MiB: some reader never ends */ };
enum { ENOUGH_SPACE = 1024 * 1024 };

/* ---------- failures ---------- */

void st_go_read_only(struct ctl_store *store, const struct err *why)
{
    pthread_mutex_lock(&store->mutex);
    bool was = store->is_read_only;
    if (!was)
        store->read_only_why = *why;
    store->is_read_only = true;
    pthread_mutex_unlock(&store->mutex);
    if (!was)
        log_err(LOG_ERROR, "the store is read-only until restart", why);
}

void st_note_failure(struct ctl_store *store, const struct err *why)
{
    int extended = sqlite3_extended_errcode(store->db);
    switch (extended & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_READONLY:
        st_go_read_only(store, why);
        return;
    case SQLITE_IOERR:
        break;
    default:
        return;
    }
    if (extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC)
        st_go_read_only(store, why);
    else if (why->code == ERR_IO && ++store->num_io_errors >= ST_IO_ERRORS_MAX)
        st_go_read_only(store, why);
}

/* Somebody may have removed or replaced the file: what we write then is in no directory any more. */
static int check_file_is_there(struct ctl_store *store, struct err *err)
{
    struct stat st;
    if (stat(store->path, &st) == 0 && st.st_dev == store->dev && st.st_ino == store->ino)
        return 0;
    err_set(err, ERR_IO, "the database file '%s' has been removed or replaced", store->path);
    st_go_read_only(store, err);
    return -1;
}

/* ---------- transactions of the writer ---------- */

int st_begin(struct ctl_store *store, struct err *err)
{
    if (st_run(store->stmts[ST_BEGIN], err, "begin") == 0)
        return 0;
    st_note_failure(store, err);
    return -1;
}

void st_rollback(struct ctl_store *store)
{
    if (sqlite3_get_autocommit(store->db) == 0) /* after an I/O error SQLite may have done it */
        (void)st_run(store->stmts[ST_ROLLBACK], NULL, "rollback");
    store->next_head = store->head;
    store->audit_id = store->committed_audit_id;
    memcpy(store->audit_hash, store->committed_audit_hash, ST_HASH_LEN);
}

static int write_meta(struct ctl_store *store, struct err *err)
{
    if (store->next_head != store->head) {
        st_bind(store->stmts[ST_META_HEAD], "i", (int64_t)store->next_head);
        if (st_run(store->stmts[ST_META_HEAD], err, "write the head") != 0)
            return -1;
    }
    if (store->audit_id == store->committed_audit_id)
        return 0;
    st_bind(store->stmts[ST_META_AUDIT], "ib", (int64_t)store->audit_id,
            slice_make((const char *)store->audit_hash, ST_HASH_LEN));
    return st_run(store->stmts[ST_META_AUDIT], err, "write the audit head");
}

int st_commit(struct ctl_store *store, struct err *err)
{
    if (write_meta(store, err) != 0 || st_run(store->stmts[ST_COMMIT], err, "commit") != 0) {
        st_note_failure(store, err);
        st_rollback(store);
        return -1;
    }
    store->num_io_errors = 0;
    store->head = store->next_head;
    store->committed_audit_id = store->audit_id;
    memcpy(store->committed_audit_hash, store->audit_hash, ST_HASH_LEN);
    return 0;
}

/* ---------- answers ---------- */

void st_finish(struct ctl_store *store, struct st_op *op)
{
    if (op->kind == ST_TXN)
        op->err = op->txn->err;
    if (op->is_async) {
        op->txn->done(op->txn);
        free(op);
        return;
    }
    sem_post(&op->done);
}

static void fail(struct st_op *op, const struct err *err)
{
    op->err = *err;
    if (op->kind == ST_TXN) {
        op->txn->err = *err;
        op->txn->rev = 0;
        op->txn->is_replay = false;
    }
}

/* ---------- a commit group ---------- */

static struct st_op *pop(struct ctl_store *store)
{
    struct st_op *op = NULL;
    pthread_mutex_lock(&store->mutex);
    if (!list_is_empty(&store->queue)) {
        op = LIST_FIRST(&store->queue, struct st_op, link);
        list_remove(&op->link);
        --store->queue_len;
    }
    pthread_mutex_unlock(&store->mutex);
    return op;
}

static int run_op(struct ctl_store *store, struct st_op *op)
{
    bool is_fatal = false;
    struct err *err = op->kind == ST_TXN ? &op->txn->err : &op->err;
    int result =
        op->kind == ST_TXN ? st_txn_run(store, op->txn, &is_fatal) : st_blob_run(store, op, &is_fatal);
    if (result == 0 || !is_fatal)
        return 0;
    st_note_failure(store, err);
    op->err = *err;
    return -1;
}

/* 1: it is not part of a group. */
static int take_apart(struct ctl_store *store, struct st_op *op)
{
    if (op->kind == ST_BACKUP) {
        st_backup_begin(store, op);
        return 1;
    }
    if (op->kind != ST_COMPACT)
        return 0;
    if (store->compact == NULL) {
        store->compact = op;
        return 1;
    }
    err_set(&op->err, ERR_UNAVAILABLE, "another compaction is running");
    st_finish(store, op);
    return 1;
}

static int run_ops(struct ctl_store *store, struct err *err)
{
    uint64_t start_us = clock_mono_us();
    struct st_op *op;
    for (unsigned n = 0; n < ST_GROUP_MAX && clock_mono_us() - start_us < ST_GROUP_US; ++n) {
        if ((op = pop(store)) == NULL)
            break;
        if (take_apart(store, op) != 0)
            continue;
        list_push(&store->group_ops, &op->link);
        if (run_op(store, op) != 0) {
            *err = op->err;
            return -1;
        }
    }
    return 0;
}

/* Hands over the waiting entries, and when it is time to tell of them the count of those that were dropped.
 */
static uint64_t take_audits(struct ctl_store *store, struct list *taken)
{
    uint64_t dropped = 0, now_us = clock_mono_us();
    list_init(taken);
    pthread_mutex_lock(&store->mutex);
    if (store->audit_dropped != 0 && (now_us >= store->next_dropped_us || store->is_stopping)) {
        dropped = store->audit_dropped;
        store->audit_dropped = 0;
        store->next_dropped_us = now_us + ST_AUDIT_DROPPED_US;
    }
    while (!list_is_empty(&store->audit_queue)) {
        struct st_op *op = LIST_FIRST(&store->audit_queue, struct st_op, link);
        list_remove(&op->link);
        list_push(taken, &op->link);
    }
    store->audit_queue_len = 0;
    pthread_mutex_unlock(&store->mutex);
    return dropped;
}

static void count_dropped(struct ctl_store *store, uint64_t dropped)
{
    pthread_mutex_lock(&store->mutex);
    store->audit_dropped += dropped;
    store->next_dropped_us = 0; /* what the last such entry told was not written */
    pthread_mutex_unlock(&store->mutex);
}

/* `taken` stays the caller's: only after the commit is an entry written, or to be counted as lost. */
static int append_audits(struct ctl_store *store, struct list *taken, uint64_t dropped, struct err *err)
{
    int result = 0;
    LIST_FOR(op, taken, struct st_op, link)
    {
        if ((result = st_audit_append(store, &op->audit, err)) != 0)
            break;
    }
    if (result == 0 && dropped != 0)
        result = st_audit_append_dropped(store, dropped, err);
    if (result != 0)
        st_note_failure(store, err);
    return result;
}

static void free_audits(struct ctl_store *store, struct list *taken, uint64_t dropped, bool is_written)
{
    LIST_FOR_SAFE(op, taken, struct st_op, link)
    {
        dropped += !is_written;
        free(op);
    }
    if (!is_written && dropped != 0)
        count_dropped(store, dropped);
}

/* The group's end: rows before answers, so that whoever hears the answer finds the change. */
static void answer(struct ctl_store *store, const struct err *failure)
{
    if (failure == NULL && store->group.num != 0 && store->config.on_commit != NULL)
        store->config.on_commit(store->config.data, store->group.changes, store->group.num);
    LIST_FOR_SAFE(op, &store->group_ops, struct st_op, link)
    {
        list_remove(&op->link);
        if (failure != NULL)
            fail(op, failure);
        st_finish(store, op);
    }
    st_group_reset(&store->group);
}

/* Nobody is left waiting for a writer that cannot write. A backup only reads. */
static void fail_queue(struct ctl_store *store, const struct err *failure)
{
    for (struct st_op *op; (op = pop(store)) != NULL;) {
        if (op->kind == ST_BACKUP) {
            st_backup_begin(store, op);
            continue;
        }
        fail(op, failure);
        st_finish(store, op);
    }
}

static int run_transaction(struct ctl_store *store, struct list *audits, uint64_t dropped, struct err *err)
{
    if (run_ops(store, err) == 0 && append_audits(store, audits, dropped, err) == 0)
        return st_commit(store, err);
    st_rollback(store);
    return -1;
}

static void run_group(struct ctl_store *store)
{
    struct err err = ERR_INIT;
    struct list audits;
    uint64_t dropped = take_audits(store, &audits);
    bool has_begun =
        !store->is_read_only && check_file_is_there(store, &err) == 0 && st_begin(store, &err) == 0;
    int result = has_begun ? run_transaction(store, &audits, dropped, &err) : -1;
    free_audits(store, &audits, dropped, result == 0);
    store->is_full = result != 0 && err.code == ERR_NO_SPACE;
    answer(store, result == 0 ? NULL : &err);
    if (store->is_read_only)
        err_set(&err, ERR_UNAVAILABLE, "the store is read-only until restart: %s", store->read_only_why.text);
    if (store->is_read_only || !has_begun)
        fail_queue(store, &err);
}

/* ---------- between groups ---------- */

static void look_for_space(struct ctl_store *store)
{
    struct statvfs fs;
    if (statvfs(store->path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize >= ENOUGH_SPACE)
        store->is_full = false;
}

static void checkpoint(struct ctl_store *store, int mode)
{
    struct err err = ERR_INIT;
    (void)sqlite3_busy_timeout(store->db, 0); /* writers are not to wait for a reader's end */
    int result = sqlite3_wal_checkpoint_v2(store->db, NULL, mode, NULL, NULL);
    (void)sqlite3_busy_timeout(store->db, 5000);
    store->wal_checkpointed = store->wal_pages;
    if (result == SQLITE_OK && mode == SQLITE_CHECKPOINT_TRUNCATE)
        store->wal_pages = store->wal_checkpointed = 0;
    if (result == SQLITE_OK || result == SQLITE_BUSY || result == SQLITE_LOCKED)
        return; /* busy: a reader still looks into the log; the next one does it */
    (void)st_err(store->db, &err, "checkpoint"); /* always -1 */
    log_err(LOG_WARN, "the write-ahead log could not be moved into the database", &err);
    st_note_failure(store, &err);
}

static void checkpoint_when_due(struct ctl_store *store)
{
    if (store->wal_pages < store->wal_checkpointed)
        store->wal_checkpointed = 0; /* it has started over */
    if (store->wal_pages - store->wal_checkpointed < ST_CHECKPOINT_PAGES)
        return;
    if (store->wal_pages > WAL_ALARM_PAGES)
        log_event(LOG_WARN, "the write-ahead log does not shrink: a reader is in its way", NULL);
    checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
}

static void compact_some(struct ctl_store *store)
{
    struct err err = ERR_INIT;
    if (store->compact == NULL && clock_mono_us() < store->next_compact_us)
        return;
    int result = store->is_read_only ? err_set(&err, ERR_UNAVAILABLE, "the store is read-only")
                                     : st_compact_step(store, &err);
    if (result == 0)
        result = st_audit_age_step(store, &err);
    if (result > 0)
        return;
    store->next_compact_us = clock_mono_us() + COMPACT_EVERY_US;
    if (store->compact != NULL) {
        struct st_op *op = store->compact;
        store->compact = NULL;
        op->err = err;
        st_finish(store, op);
    } else if (result < 0 && !store->is_read_only) {
        log_err(LOG_WARN, "the logs could not be shortened", &err);
    }
}

static bool has_steps(const struct ctl_store *store)
{
    return store->backup != NULL || store->compact != NULL ||
           (clock_mono_us() >= store->next_compact_us && !store->is_read_only);
}

/* Waits for work; false when the store is stopping and nothing waits. `ret_idle`: a second went by without
 * any. */
static bool wait_for_work(struct ctl_store *store, bool *ret_idle)
{
    struct timespec until;
    uint64_t wait_ms = store->wal_pages > 0 || store->is_full ? ST_IDLE_MS : COMPACT_EVERY_US / 1000;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait_ms / 1000);
    *ret_idle = false;
    pthread_mutex_lock(&store->mutex);
    while (!*ret_idle && store->queue_len == 0 && store->audit_queue_len == 0 && !store->is_stopping &&
           !has_steps(store))
        *ret_idle = pthread_cond_timedwait(&store->has_work, &store->mutex, &until) != 0;
    bool goes_on = !store->is_stopping || store->queue_len != 0 || store->audit_queue_len != 0;
    pthread_mutex_unlock(&store->mutex);
    return goes_on;
}

static bool has_queued(struct ctl_store *store)
{
    pthread_mutex_lock(&store->mutex);
    bool has = store->queue_len != 0 || store->audit_queue_len != 0;
    pthread_mutex_unlock(&store->mutex);
    return has;
}

static void stop(struct ctl_store *store)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "the store is closing");
    if (store->backup != NULL)
        st_backup_abandon(store, &err);
    if (store->compact != NULL) {
        store->compact->err = err;
        st_finish(store, store->compact);
        store->compact = NULL;
    }
}

void *st_writer_main(void *data)
{
    struct ctl_store *store = data;
    bool is_idle;
    store->next_compact_us = clock_mono_us() + COMPACT_EVERY_US; /* not in the way of the start */
    while (wait_for_work(store, &is_idle)) {
        if (has_queued(store))
            run_group(store);
        checkpoint_when_due(store);
        if (store->backup != NULL)
            st_backup_step(store);
        compact_some(store);
        if (is_idle && store->is_full)
            look_for_space(store);
        if (is_idle && store->wal_pages > 0 && !store->is_read_only)
            checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE);
    }
    if (store->audit_dropped != 0 && !store->is_read_only) /* is_stopping: nobody adds to it any more */
        run_group(store);
    stop(store);
    return NULL;
}

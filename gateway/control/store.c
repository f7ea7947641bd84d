/* The store's front: opening, closing, and the queue to the writer.
 *
 * Opening refuses early and changes nothing until it is sure: lock, identity and version of the file, its
 * pages, then migration, then the sequence of revisions. Whatever is wrong with the file, it is left as it
 * was found: repair is a restore, which an operator decides. */
#include "gateway/control/store_private.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEEP_DAYS = 30, KEEP_REVISIONS = 100000, KEEP_AUDIT_DAYS = 400 };

static const char *const stmt_sql[ST_NUM_STMTS] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_SAVEPOINT] = "SAVEPOINT txn",
    [ST_RELEASE] = "RELEASE txn",
    [ST_ROLLBACK_TO] = "ROLLBACK TO txn",
    [ST_OBJECT_GET] = "SELECT rev, object FROM object WHERE kind = ? AND namespace = ? AND name = ?",
    [ST_OBJECT_NAMES] = "SELECT name FROM object WHERE kind = ? AND namespace = ? ORDER BY name",
    [ST_OBJECT_PUT] =
        "INSERT INTO object (kind, namespace, name, rev, object) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, namespace, name) DO UPDATE SET rev = excluded.rev, object = excluded.object",
    [ST_OBJECT_DELETE] = "DELETE FROM object WHERE kind = ? AND namespace = ? AND name = ?",
    [ST_REVISION_ADD] =
        "INSERT INTO revision (rev, at_us, num_changes, is_status, actor, origin, message, request_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    [ST_CHANGE_ADD] =
        "INSERT INTO change (rev, seq, op, is_status, kind, namespace, name, previous_rev, object, previous)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ST_META_HEAD] = "UPDATE meta SET head = ? WHERE id = 1",
    [ST_IDEM_GET] = "SELECT rev, at_us FROM idempotency WHERE actor = ? AND key = ? AND at_us > ?",
    [ST_IDEM_PUT] = "INSERT OR REPLACE INTO idempotency (actor, key, rev, at_us) VALUES (?, ?, ?, ?)",
    [ST_BLOB_GET] = "SELECT value FROM blob WHERE space = ? AND name = ?",
    [ST_BLOB_PUT] = "INSERT OR REPLACE INTO blob (space, name, value, at_us) VALUES (?, ?, ?, ?)",
    [ST_BLOB_DELETE] = "DELETE FROM blob WHERE space = ? AND name = ?",
    [ST_AUDIT_ADD] =
        "INSERT INTO audit (id, at_us, actor, origin, agent, verb, target, message, rev, status, hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [ST_META_AUDIT] = "UPDATE meta SET audit_id = ?, audit_hash = ? WHERE id = 1",
};

/* ---------- opening ---------- */

static int remember_file(struct ctl_store *store, struct err *err)
{
    struct stat st;
    if (stat(store->path, &st) != 0)
        return err_errno(err, "stat '%s'", store->path);
    store->dev = st.st_dev;
    store->ino = st.st_ino;
    return 0;
}

static int load_meta(struct ctl_store *store, struct err *err)
{
    int64_t epoch, head, compacted;
    if (st_query_int(store->db, "SELECT epoch FROM meta", &epoch, err) != 0 ||
        st_query_int(store->db, "SELECT head FROM meta", &head, err) != 0 ||
        st_query_int(store->db, "SELECT compacted FROM meta", &compacted, err) != 0 ||
        st_query_int(store->db, "SELECT coalesce((SELECT at_us FROM revision ORDER BY rev DESC LIMIT 1), 0)",
                     &store->last_us, err) != 0)
        return -1;
    store->epoch = (uint64_t)epoch;
    store->head = store->next_head = (uint64_t)head;
    store->compacted = (uint64_t)compacted;
    return st_audit_load(store, err);
}

static int prepare_all(struct ctl_store *store, struct err *err)
{
    for (size_t i = 0; i < ST_NUM_STMTS; ++i)
        if (st_prepare(store->db, stmt_sql[i], &store->stmts[i], err) != 0)
            return -1;
    return 0;
}

static int on_wal(void *data, sqlite3 *db, const char *name, int pages)
{
    struct ctl_store *store = data;
    store->wal_pages = pages;
    return SQLITE_OK;
}

static int open_database(struct ctl_store *store, struct err *err)
{
    size_t num, pending;
    const struct st_migration *migrations = st_migrations(&num);
    if (st_open_rw(store->path, true, &store->db, err) != 0)
        return -1;
    /* Whose file it is, before the pragmas write to it. */
    if (st_migrate_pending(store->db, migrations, num, &pending, err) != 0 ||
        st_pragmas_writer(store->db, err) != 0)
        return -1;
    sqlite3_wal_hook(store->db, on_wal, store);
    /* A new file's first pages went through a rollback journal: a power cut must not bring that back. */
    if (st_sync_folder(store->path, err) != 0)
        return -1;
    store->is_whole_checked = pending == num; /* empty */
    if (pending != num && st_check_pages(store->db, &store->is_whole_checked, err) != 0)
        return -1;
    if (st_migrate(store->db, store->path, migrations, num, err) != 0 ||
        st_check_sequence(store->db, err) != 0)
        return -1;
    if (remember_file(store, err) != 0 || load_meta(store, err) != 0)
        return -1;
    return prepare_all(store, err);
}

/* A damaged file is a restore away from service: the message says from what. */
static int explain_open(const struct ctl_store *store, struct err *err)
{
    _cleanup_(freep) char *newest = err->code == ERR_INTERNAL ? st_newest_backup(store->path) : NULL;
    err_wrap(err, "open '%s'", store->path);
    if (newest != NULL)
        err_set(err, err->code, "%s; the newest backup is '%s'", err->text, newest);
    return -1;
}

static int start_threads(struct ctl_store *store, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the main thread's */
    int result = store->is_whole_checked ? 0 : st_check_begin(store, err);
    errno = result == 0 ? pthread_create(&store->thread, NULL, st_writer_main, store) : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errno != 0)
        return err_errno(err, "start the writer thread");
    store->has_thread = result == 0;
    return result;
}

static struct ctl_store *store_new(const struct ctl_store_config *config)
{
    struct ctl_store *store = xcalloc(1, sizeof(*store));
    pthread_condattr_t monotonic;
    store->path = xstrdup(config->path);
    store->config = *config;
    store->config.path = store->path;
    store->config.keep_days = config->keep_days != 0 ? config->keep_days : KEEP_DAYS;
    store->config.keep_audit_days = config->keep_audit_days != 0 ? config->keep_audit_days : KEEP_AUDIT_DAYS;
    store->config.keep_revisions = config->keep_revisions != 0 ? config->keep_revisions : KEEP_REVISIONS;
    store->lock_fd = -1;
    store->audit_tokens = ST_AUDIT_BURST;
    store->audit_tokens_us = clock_mono_us();
    pthread_mutex_init(&store->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&store->has_work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&store->reader_back, NULL);
    list_init(&store->queue);
    list_init(&store->audit_queue);
    list_init(&store->idle_readers);
    list_init(&store->group_ops);
    return store;
}

static struct ctl_store *store_free(struct ctl_store *store)
{
    st_check_end(store);
    st_readers_close(store);
    for (size_t i = 0; i < ST_NUM_STMTS; ++i)
        sqlite3_finalize(store->stmts[i]);
    st_group_reset(&store->group);
    free(store->group.changes);
    st_close(&store->db); /* the last connection: it checkpoints and removes the write-ahead log */
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_cond_destroy(&store->has_work);
    pthread_cond_destroy(&store->reader_back);
    pthread_mutex_destroy(&store->mutex);
    free(store->path);
    free(store);
    return NULL;
}

struct ctl_store *ctl_store_open(const struct ctl_store_config *config, struct err *err)
{
    struct ctl_store *store = store_new(config);
    if (st_lock(store->path, &store->lock_fd, err) != 0)
        return store_free(store);
    if (open_database(store, err) != 0) {
        explain_open(store, err);
        return store_free(store);
    }
    if (start_threads(store, err) != 0)
        return store_free(store);
    return store;
}

struct ctl_store *ctl_store_close(struct ctl_store *store)
{
    if (store == NULL)
        return NULL;
    pthread_mutex_lock(&store->mutex);
    store->is_stopping = true;
    pthread_cond_signal(&store->has_work);
    pthread_mutex_unlock(&store->mutex);
    pthread_join(store->thread, NULL);
    return store_free(store);
}

/* ---------- the queue ---------- */

/* Under the mutex. */
static int refuse(struct ctl_store *store, const struct st_op *op, struct err *err)
{
    if (store->is_stopping)
        return err_set(err, ERR_UNAVAILABLE, "the store is closing");
    if (store->is_read_only && op->kind != ST_BACKUP)
        return err_set(err, ERR_UNAVAILABLE, "the store is read-only until restart: %s",
                       store->read_only_why.text);
    if (store->queue_len >= ST_QUEUE_MAX)
        return err_set(err, ERR_UNAVAILABLE, "%d writes are waiting already: try again", ST_QUEUE_MAX);
    return 0;
}

static int push(struct ctl_store *store, struct st_op *op, struct err *err)
{
    pthread_mutex_lock(&store->mutex);
    int result = refuse(store, op, err);
    if (result == 0) {
        list_push(&store->queue, &op->link);
        if (store->queue_len++ == 0)
            pthread_cond_signal(&store->has_work);
    }
    pthread_mutex_unlock(&store->mutex);
    return result;
}

int st_op_wait(struct ctl_store *store, struct st_op *op, struct err *err)
{
    assert(!pthread_equal(pthread_self(), store->thread)); /* it would wait for itself */
    sem_init(&op->done, 0, 0);
    if (push(store, op, err) != 0)
        return -1;
    while (sem_wait(&op->done) != 0) /* a signal handler ran */
        ;
    sem_destroy(&op->done);
    if (op->err.code == ERR_NONE)
        return 0;
    return err_set(err, op->err.code, "%s", op->err.text);
}

void ctl_store_submit(struct ctl_store *store, struct ctl_txn *txn)
{
    struct st_op *op = xcalloc(1, sizeof(*op));
    op->kind = ST_TXN;
    op->is_async = true;
    op->txn = txn;
    txn->err = ERR_INIT;
    if (push(store, op, &txn->err) == 0)
        return;
    free(op);
    txn->done(txn);
}

int ctl_store_write(struct ctl_store *store, struct ctl_txn *txn)
{
    struct st_op op = {.kind = ST_TXN, .txn = txn};
    txn->err = ERR_INIT;
    return st_op_wait(store, &op, &txn->err);
}

int ctl_store_compact(struct ctl_store *store, struct err *err)
{
    struct st_op op = {.kind = ST_COMPACT};
    return st_op_wait(store, &op, err);
}

/* Under the mutex. */
static bool take_audit_token(struct ctl_store *store)
{
    uint64_t now_us = clock_mono_us();
    if (now_us > store->audit_tokens_us)
        store->audit_tokens += (double)(now_us - store->audit_tokens_us) * ST_AUDIT_PER_S / 1e6;
    store->audit_tokens_us = now_us;
    store->audit_tokens = MIN(store->audit_tokens, ST_AUDIT_BURST);
    if (store->audit_tokens < 1)
        return false;
    store->audit_tokens -= 1;
    return true;
}

/* Under the mutex. */
static bool may_audit(struct ctl_store *store)
{
    return store->audit_queue_len < ST_AUDIT_QUEUE_MAX && !store->is_stopping && !store->is_read_only &&
           take_audit_token(store);
}

void ctl_store_audit(struct ctl_store *store, const struct ctl_audit *entry)
{
    struct st_op *op = st_audit_copy(entry);
    pthread_mutex_lock(&store->mutex);
    bool is_kept = may_audit(store);
    if (is_kept) {
        list_push(&store->audit_queue, &op->link);
        if (store->audit_queue_len++ == 0)
            pthread_cond_signal(&store->has_work);
    } else {
        ++store->audit_dropped;
    }
    pthread_mutex_unlock(&store->mutex);
    if (!is_kept)
        free(op);
}

/* ---------- queries ---------- */

uint64_t ctl_store_epoch(const struct ctl_store *store)
{
    return store->epoch;
}

uint64_t ctl_store_head(const struct ctl_store *store)
{
    return store->head;
}

uint64_t ctl_store_compacted(const struct ctl_store *store)
{
    return store->compacted;
}

bool ctl_store_is_full(const struct ctl_store *store)
{
    return store->is_full;
}

bool ctl_store_is_read_only(struct ctl_store *store, struct err *err)
{
    if (!store->is_read_only)
        return false;
    if (err != NULL) {
        pthread_mutex_lock(&store->mutex);
        *err = store->read_only_why;
        pthread_mutex_unlock(&store->mutex);
    }
    return true;
}

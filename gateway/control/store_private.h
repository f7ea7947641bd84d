/* What the files of the SQLite store share. Nobody else includes this (the store's own tests do).
 *
 * store_sqlite.c  connections, pragmas, statements, error mapping     store_migrate.c  schema versions
 * store.c         open, close, the queue's front                      store_writer.c   the writer thread
 * store_txn.c     one transaction                                     store_read.c     reader connections and queries
 * store_blob.c    small values                                        store_audit.c    the hash chain
 * store_compact.c ageing of the change log                            store_backup.c   online backup
 * store_restore.c restore                                             store_check.c    integrity */
#ifndef SELVEDGE_CONTROL_STORE_PRIVATE_H
#define SELVEDGE_CONTROL_STORE_PRIVATE_H

#include "core/base/arena.h"
#include "core/base/crypto.h"
#include "gateway/control/store.h"

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>

#define ST_APPLICATION_ID 0x53564447 /* "SVDG" */
enum {
    ST_QUEUE_MAX = 1024,
    ST_AUDIT_QUEUE_MAX = 4096,
    ST_AUDIT_BURST = 2000,
    ST_AUDIT_PER_S = 20,
    ST_AUDIT_DROPPED_US = 10000000, /* between two entries that tell of dropped ones */
    ST_GROUP_MAX = 64,
    ST_GROUP_US = 2000,         /* a group takes no further transaction after this long */
    ST_READERS_MAX = 8,
    ST_READ_MAX_US = 10000000,
    ST_OBJECT_MAX = 4 << 20,
    ST_BLOB_MAX = 16 << 20,
    ST_WRITES_MAX = 100000,
    ST_CHECKPOINT_PAGES = 1000, /* of 4 KiB */
    ST_IDLE_MS = 1000,          /* without work: truncate the log, compact */
    ST_IO_ERRORS_MAX = 3,       /* in a row, then read-only */
    ST_BACKUP_PAGES = 256,      /* a step */
    ST_HASH_LEN = CRYPTO_SHA256_LEN,
};

/* ---------- store_sqlite.c ---------- */

/* The only call that opens a database for writing. Creates the file (mode 0600) when `create`. */
int st_open_rw(const char *path, bool create, sqlite3 **ret_db, struct err *err);
int st_open_ro(const char *path, sqlite3 **ret_db, struct err *err);
/* Closes and sets NULL; prepared statements must be gone. */
void st_close(sqlite3 **db);
/* Sets and reads back every pragma of the kind of connection. */
int st_pragmas_writer(sqlite3 *db, struct err *err);
int st_pragmas_reader(sqlite3 *db, struct err *err);
/* An err from the connection's last error; returns -1. */
int st_err(sqlite3 *db, struct err *err, const char *what);
enum err_code st_err_code(sqlite3 *db);
int st_exec(sqlite3 *db, const char *sql, struct err *err);
/* The first column of the first row. ERR_NOT_FOUND without a row. */
int st_query_int(sqlite3 *db, const char *sql, int64_t *ret, struct err *err);
int st_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct err *err);
/* Parameters by a format: i int64_t, t struct slice as text ({NULL,0} gives ''), n the same but NULL for {NULL,0},
 * b struct slice as blob. Slices are borrowed until the statement is reset. */
void st_bind(sqlite3_stmt *stmt, const char *format, ...);
/* Steps a statement that gives no rows, and resets it. */
int st_run(sqlite3_stmt *stmt, struct err *err, const char *what);
struct slice st_text(sqlite3_stmt *stmt, int column); /* {NULL,0} for NULL; borrowed until the next step */
struct slice st_blob(sqlite3_stmt *stmt, int column);
static inline void st_finalizep(sqlite3_stmt **stmt)
{
    sqlite3_finalize(*stmt);
}
static inline void st_closep(sqlite3 **db)
{
    st_close(db);
}

/* ---------- store_migrate.c ---------- */

struct st_migration {
    const char *name, *sql;
};
/* The ones built in. */
const struct st_migration *st_migrations(size_t *ret_num);
/* Brings `db` up to `migrations`, each step a transaction; before the first step on a database with content, a backup
 * to backups/before-NAME-TIME.db beside `path`. A newer, changed or foreign database is refused (ERR_CONFLICT). */
int st_migrate(sqlite3 *db, const char *path, const struct st_migration *migrations, size_t num, struct err *err);
/* Refuses what is not a database of this program, and newer ones. 0 pending steps when up to date. */
int st_migrate_pending(sqlite3 *db, const struct st_migration *migrations, size_t num, size_t *ret_pending, struct err *err);

/* A new identity of the history: 1 to 2^63 - 1, so that it reads the same as SQLite's signed integer. */
uint64_t st_draw_epoch(void);

/* ---------- files (store_files.c) ---------- */

/* Takes control.lock in the folder of `path`; ERR_CONFLICT names the holder's process id. The lock goes with the fd. */
int st_lock(const char *path, int *ret_fd, struct err *err);
int st_sync_folder(const char *path, struct err *err); /* the folder that holds `path` */
/* backups/PREFIX-TIME.db beside `path`, not taken yet; creates the folder. To be freed. NULL on error. */
char *st_backup_name(const char *path, const char *prefix, struct err *err);
/* Name of the newest file in backups/ beside `path`, to be freed; NULL when there is none. */
char *st_newest_backup(const char *path);
/* A new empty file, mode 0600; ERR_EXISTS when taken. */
int st_create_file(const char *path, struct err *err);
/* rename() that does not replace (ERR_EXISTS), then a sync of the folder. */
int st_rename_new(const char *from, const char *to, struct err *err);

/* ---------- the store ---------- */

enum st_op_kind { ST_TXN, ST_AUDIT, ST_BLOB, ST_BACKUP, ST_COMPACT };

/* Something waiting for the writer. One that is_async is on the heap and freed by the writer; the others belong to
 * whoever waits in st_op_wait(). */
struct st_op {
    struct list link;
    enum st_op_kind kind;
    bool is_async;
    sem_t done; /* posted once, when not is_async: wakes its waiter and nobody else */
    struct err err;
    union {
        struct ctl_txn *txn;
        struct {
            struct slice space, name, old, value;
            bool is_swap;
        } blob;
        struct {
            const char *path;
            sqlite3 *db;
            sqlite3_backup *backup;
            char *temporary;
        } backup;
        struct ctl_audit audit; /* texts behind the struct */
    };
};

enum st_stmt {
    ST_BEGIN, ST_COMMIT, ST_ROLLBACK, ST_SAVEPOINT, ST_RELEASE, ST_ROLLBACK_TO,
    ST_OBJECT_GET, ST_OBJECT_NAMES, ST_OBJECT_PUT, ST_OBJECT_DELETE,
    ST_REVISION_ADD, ST_CHANGE_ADD, ST_META_HEAD,
    ST_IDEM_GET, ST_IDEM_PUT,
    ST_BLOB_GET, ST_BLOB_PUT, ST_BLOB_DELETE,
    ST_AUDIT_ADD, ST_META_AUDIT,
    ST_NUM_STMTS
};

/* The rows of a commit group, for on_commit. Texts in `arena`. */
struct st_group {
    struct arena *arena;
    struct ctl_change *changes;
    size_t num, cap;
};

struct st_reader {
    sqlite3 *db;
    uint64_t deadline_us;
    struct list link; /* in store->idle_readers */
};

struct ctl_store {
    char *path;
    struct ctl_store_config config; /* path is the one above */
    int lock_fd;
    dev_t dev;                      /* of the database file: to notice that it was taken away */
    ino_t ino;
    uint64_t epoch;
    _Atomic uint64_t head, compacted;
    _Atomic bool is_read_only, is_full;

    pthread_mutex_t mutex;
    pthread_cond_t has_work, reader_back;
    /* under `mutex` */
    struct list queue, audit_queue; /* of struct st_op */
    size_t queue_len, audit_queue_len;
    uint64_t audit_dropped;
    double audit_tokens;            /* of ST_AUDIT_BURST; refilled as time goes by */
    uint64_t audit_tokens_us;       /* monotonic: when they were last refilled */
    bool is_stopping;
    struct err read_only_why;
    struct list idle_readers;
    unsigned num_readers;

    /* the check behind the start */
    pthread_t check_thread;
    bool is_whole_checked, is_checking;
    sqlite3 *check_db;

    /* the writer's */
    pthread_t thread;
    bool has_thread;
    sqlite3 *db;
    sqlite3_stmt *stmts[ST_NUM_STMTS];
    struct st_group group;
    uint64_t next_head;             /* head when the open group commits */
    int64_t last_us;                /* time of the newest revision: times never go back */
    uint64_t audit_id, committed_audit_id;
    bool is_audit_ageing;           /* old entries are leaving, step by step */
    uint8_t audit_hash[ST_HASH_LEN], committed_audit_hash[ST_HASH_LEN];
    int wal_pages, wal_checkpointed;
    unsigned num_io_errors;
    struct list group_ops;          /* of struct st_op: taken from the queue, not yet answered */
    uint64_t next_dropped_us;       /* monotonic: the next "dropped" entry not before */
    struct st_op *backup;           /* in progress */
    struct st_op *compact;          /* asked for and in progress */
    uint64_t next_compact_us;       /* monotonic: when compaction looks again by itself */
};

/* store.c: puts an operation on the queue and waits for it. */
int st_op_wait(struct ctl_store *store, struct st_op *op, struct err *err);

/* store_writer.c */
void *st_writer_main(void *store);
/* Answers whoever waits for `op`, which is gone after. */
void st_finish(struct ctl_store *store, struct st_op *op);
void st_go_read_only(struct ctl_store *store, const struct err *why);
/* After a failed statement or commit of the writer: counts, and goes read-only when it must. */
void st_note_failure(struct ctl_store *store, const struct err *why);
/* BEGIN and COMMIT around work of the writer; a failed COMMIT has rolled back. */
int st_begin(struct ctl_store *store, struct err *err);
int st_commit(struct ctl_store *store, struct err *err);
void st_rollback(struct ctl_store *store);

/* store_txn.c: in an open transaction. -1: txn->err is set; `ret_fatal`: the whole group cannot go on. */
int st_txn_run(struct ctl_store *store, struct ctl_txn *txn, bool *ret_fatal);
void st_group_reset(struct st_group *group);

/* store_blob.c */
int st_blob_run(struct ctl_store *store, struct st_op *op, bool *ret_fatal);

/* store_audit.c */
int st_audit_append(struct ctl_store *store, const struct ctl_audit *entry, struct err *err);
int st_audit_append_dropped(struct ctl_store *store, uint64_t num, struct err *err);
int st_audit_load(struct ctl_store *store, struct err *err);
struct st_op *st_audit_copy(const struct ctl_audit *entry);
/* One bounded step of ageing. 1: more to do, 0: done, -1. */
int st_audit_age_step(struct ctl_store *store, struct err *err);
/* Follows the whole chain; 0 in `ret_broken_id` when it holds. */
int st_audit_verify(sqlite3 *db, uint64_t *ret_broken_id, struct err *err);

/* store_compact.c: one bounded step. 1: more to do, 0: done, -1. */
int st_compact_step(struct ctl_store *store, struct err *err);

/* store_backup.c: removes a database with its logs. One that stayed behind would be played back into the next file of that name. */
void st_unlink_db(const char *path);
/* One step of the operation in store->backup; finishes it when it was the last. */
void st_backup_begin(struct ctl_store *store, struct st_op *op);
void st_backup_step(struct ctl_store *store);
void st_backup_abandon(struct ctl_store *store, const struct err *why);
/* A whole copy at once, of a database nobody else writes: to a new file, checked, on disk. */
int st_backup_copy(sqlite3 *db, const char *path, struct err *err);

/* store_check.c */
/* quick_check; of a large file only the tables that hold the present (`ret_is_whole` false). */
int st_check_pages(sqlite3 *db, bool *ret_is_whole, struct err *err);
/* The rest, in a thread with a connection of its own: damage makes the store read-only. st_check_end() in any case. */
int st_check_begin(struct ctl_store *store, struct err *err);
void st_check_end(struct ctl_store *store);
int st_check_sequence(sqlite3 *db, struct err *err); /* head, compacted and the log fit together */
int st_check_db(sqlite3 *db, ctl_finding_cb on_finding, void *data, struct err *err);

/* store_read.c */
void st_readers_close(struct ctl_store *store);
/* A connection inside a read transaction; give it back with st_reader_put(). */
struct st_reader *st_reader_get(struct ctl_store *store, struct err *err);
void st_reader_put(struct ctl_store *store, struct st_reader *reader);

#endif

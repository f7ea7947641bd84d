/* The store: every object, every change, one writer, one revision counter.
 *
 * A narrow interface with SQLite behind it (store_*.c); PostgreSQL is to be the second implementation without
 * touching a caller. Objects are opaque JSON texts here, keyed by (kind, namespace, name).
 *
 * Revisions: one transaction = one revision, +1 per commit, gap-free, in commit order; it is the resourceVersion of what
 * it wrote. `epoch` is drawn with the database and again on every restore.
 * Durability: `done` of a transaction is called after the commit is on disk (WAL, synchronous=FULL). A failed commit
 * changes nothing, except that after a failed fsync nobody can know before the restart: the store is then read-only
 * until restart and says so, as after three I/O errors in a row or when the file is damaged or gone. A full disk is
 * ERR_NO_SPACE for the writes it meets; the next one tries again.
 *
 * Threads: one writer thread owns the only read-write connection, commits groups (<= 64 transactions or 2 ms) and
 * checkpoints. ctl_store_submit() and ctl_store_audit() from any thread; `done` and `on_commit` run on the writer
 * thread: post to your worker from there, and call nothing that blocks on the writer (blob writes, backup, compact).
 * Reads use read-only connections (at most 8 at a time), block, and belong in a net_job; one that runs longer than 10 s
 * is ended with ERR_TIMEOUT, because the write-ahead log cannot shrink below a reader.
 * Limits: 1024 operations waiting; 4 MiB an object, 100000 writes a transaction, 16 MiB a blob: ERR_TOO_LARGE. */
#ifndef SELVEDGE_CONTROL_STORE_H
#define SELVEDGE_CONTROL_STORE_H

#include "core/base/err.h"
#include "core/base/list.h"
#include "core/base/strbuf.h"

struct ctl_store;
struct ctl_audit;

struct ctl_key {
    struct slice kind;  /* "gateway.networking.k8s.io/httproutes": group/plural, core group ""/plural = "/services" */
    struct slice ns;    /* "" for cluster-scoped kinds */
    struct slice name;
};

/* DELETE of what is absent is ERR_NOT_FOUND. CHECK writes nothing: its expectations must hold for the transaction to commit (a namespace that must exist).
 * DELETE_ALL deletes every object of the key's kind and namespace (its name is ignored) that is there when the
 * transaction runs; none is fine. In rows it is so many DELETEs. */
enum ctl_op { CTL_PUT, CTL_DELETE, CTL_CHECK, CTL_DELETE_ALL };

/* One row of the change log, and one object at head. All texts are borrowed for the duration of the callback. */
struct ctl_change {
    uint64_t rev;
    uint32_t seq;          /* within the revision */
    int64_t at_us;
    enum ctl_op op;
    struct ctl_key key;
    struct slice object;   /* JSON after the change; for a delete the last state */
    struct slice previous; /* JSON before; {NULL,0} for a create */
    uint64_t previous_rev; /* the object's revision before; 0 for a create */
    bool is_status;        /* written by the control plane itself; left out of history */
    struct slice actor, origin, message, request_id;
};

struct ctl_write {
    enum ctl_op op;
    struct ctl_key key;
    struct slice object;       /* PUT: JSON with metadata.resourceVersion absent: readers add it from rev */
    uint64_t expect_rev;       /* 0: no check; else the object's current rev must be this: ERR_CONFLICT */
    bool expect_absent;        /* create: ERR_EXISTS */
    bool expect_present;       /* update of what must be there: ERR_NOT_FOUND */
    bool is_status;
};

/* A transaction. The submitter owns the memory (writes, texts, this), untouched, until `done`. All writes or none.
 * One without a PUT or DELETE only checks, and gets the head as its `rev`. */
struct ctl_txn {
    struct ctl_write *writes;
    size_t num_writes;
    struct slice actor, origin, message, request_id;
    uint64_t expect_head;      /* 0, or: the store's head revision must be this (bulk apply) */
    struct slice idempotency_key; /* {NULL,0} or: the same actor and key within a day returns the first result */
    /* NULL, or the entry for the audit log, in the same commit as the writes: with `rev` filled in, or when refused
     * with the status and text of `err`. `status` is the one of success. */
    const struct ctl_audit *audit;
    /* result */
    struct err err;
    size_t failed_write;       /* index, when err.code != ERR_NONE and one write was the cause */
    uint64_t found_rev;        /* of the object that failed write met; 0: absent */
    uint64_t rev;
    int64_t at_us;
    bool is_replay;            /* `rev` and `at_us` are those of the first time; nothing was written now */
    void (*done)(struct ctl_txn *txn);
    void *data;
};

struct ctl_store_config {
    const char *path;             /* the database file; its folder holds control.lock and backups/ */
    /* A revision leaves the change log when it is older than `keep_days` and not one of the newest `keep_revisions`,
     * or not one of the newest 3 * `keep_revisions`; never above min_needed_rev(). 0: the defaults, 30 and 100000. */
    uint32_t keep_days;
    uint32_t keep_revisions;
    uint32_t keep_audit_days; /* entries older than this leave the audit log, within a day. 0: 400 */
    /* Called on the writer thread after each commit group, in order, with the changes as rows, before `done` of its
     * transactions: who posts to a worker in both sees the change before the answer. Must not block. May be NULL. */
    void (*on_commit)(void *data, const struct ctl_change *changes, size_t num);
    /* Called on the writer thread before compaction: the revision after which somebody still has to read changes (a
     * watcher that resumes); UINT64_MAX: nobody. May be NULL. */
    uint64_t (*min_needed_rev)(void *data);
    void *data;
};

/* Opens, locks (one process per file: ERR_CONFLICT names the other), checks integrity (of more than 64 MiB the log in a
 * thread while it serves: damage there makes it read-only), migrates (a backup is taken
 * first; a newer database is refused), starts the writer. */
struct ctl_store *ctl_store_open(const struct ctl_store_config *config, struct err *err);
struct ctl_store *ctl_store_close(struct ctl_store *store); /* commits what is queued; returns NULL */
uint64_t ctl_store_epoch(const struct ctl_store *store);
uint64_t ctl_store_head(const struct ctl_store *store);      /* newest committed revision */
uint64_t ctl_store_compacted(const struct ctl_store *store); /* changes at and below it are gone */
/* When true, `err` (may be NULL) tells why. */
bool ctl_store_is_read_only(struct ctl_store *store, struct err *err);
/* The last write found no space on the disk, and there is hardly any still; looked at once a second. */
bool ctl_store_is_full(const struct ctl_store *store);
/* When the queue is full or the store read-only, `done` comes at once, on this thread, with ERR_UNAVAILABLE. */
void ctl_store_submit(struct ctl_store *store, struct ctl_txn *txn);
/* Submits and waits: for jobs, start-up and tests. The result is in `txn` and returned as 0 or -1; `done` is ignored. */
int ctl_store_write(struct ctl_store *store, struct ctl_txn *txn);
/* Compaction as the writer does it by itself when idle, now and to its end; blocks. */
int ctl_store_compact(struct ctl_store *store, struct err *err);

/* A non-zero result ends the reading; that is no error. */
typedef int (*ctl_change_cb)(const struct ctl_change *change, void *data);
/* All objects at head by kind, namespace and name, as of one revision (returned). `object` and `rev` are set. */
int ctl_store_read_all(struct ctl_store *store, ctl_change_cb on_object, void *data, uint64_t *ret_rev, struct err *err);
/* Changes in (since, upto], oldest first, at most `limit` (0: all); ERR_GONE when since < compacted. Filter: NULL or
 * kind "" for all; ns and name "" for all of the kind. */
int ctl_store_read_changes(struct ctl_store *store, uint64_t since, uint64_t upto, const struct ctl_key *filter, size_t limit,
                           ctl_change_cb on_change, void *data, struct err *err);
/* All objects as they were at `rev` (>= compacted, else ERR_GONE; <= head): history, diff, rollback. */
int ctl_store_read_at(struct ctl_store *store, uint64_t rev, ctl_change_cb on_object, void *data, struct err *err);
/* Revisions below `before` (0: from the newest), newest first, at most `limit`: rows with op and key of their first
 * matching change, the number of changes in `seq`, and no object. Revisions of status only are left out. */
int ctl_store_read_revisions(struct ctl_store *store, uint64_t before, size_t limit, const struct ctl_key *filter,
                             ctl_change_cb on_revision, void *data, struct err *err);

/* Small values that are not objects and do not bump the revision: CA keys, token hashes, node state, leases. */
int ctl_store_blob_get(struct ctl_store *store, const char *space, const char *name, struct strbuf *ret, struct err *err);
int ctl_store_blob_put(struct ctl_store *store, const char *space, const char *name, struct slice value, struct err *err);
int ctl_store_blob_delete(struct ctl_store *store, const char *space, const char *name, struct err *err);
typedef int (*ctl_blob_cb)(struct slice name, struct slice value, void *data);
int ctl_store_blob_list(struct ctl_store *store, const char *space, ctl_blob_cb on_blob, void *data, struct err *err);
/* Writes block until the writer has committed: from jobs or at start. get and delete of what is absent: ERR_NOT_FOUND.
 * Compare-and-swap for counted tokens: `old` must be the present value ({NULL,0}: absent), else ERR_CONFLICT; a `value`
 * of {NULL,0} deletes. */
int ctl_store_blob_swap(struct ctl_store *store, const char *space, const char *name, struct slice old, struct slice value,
                        struct err *err);

/* The audit log: every write and every refused attempt; hash chain (each row's hash covers the one before). Old entries
 * leave (keep_audit_days); that is an entry too (verb "expire"), and the chain holds from the first that is left. */
struct ctl_audit {
    int64_t at_us;
    struct slice actor, origin, agent, verb, target, message;
    uint64_t rev;      /* 0: nothing was written */
    unsigned status;
};
/* For what is no transaction (refused attempts, sign-ins). Copied, queued, never blocks. A flood must not fill the disk:
 * 20 entries a second are kept after a burst of 2000, and 4096 may wait; the rest is counted, and the count becomes an
 * entry of its own (verb "dropped"), at most one in 10 s. */
void ctl_store_audit(struct ctl_store *store, const struct ctl_audit *entry);
/* Newest first, below `before_id` (0: from the newest), at most `limit`. */
typedef int (*ctl_audit_cb)(uint64_t id, const struct ctl_audit *entry, struct slice hash, void *data);
int ctl_store_read_audit(struct ctl_store *store, uint64_t before_id, size_t limit, ctl_audit_cb on_entry, void *data,
                         struct err *err);
/* ERR_CONFLICT with the first id that does not fit when the chain is broken. */
int ctl_store_verify_audit(struct ctl_store *store, uint64_t *ret_broken_id, struct err *err);

/* Online backup of the whole database to `path` (ERR_EXISTS when taken), by the writer between commits; blocks. The copy
 * has been checked, and is on disk, when this returns. Mode 0600: it holds what the database holds. */
int ctl_store_backup(struct ctl_store *store, const char *path, struct err *err);
/* Replaces the database file by a verified backup and draws a new epoch. Only while no store has it open. The database
 * that was there is kept as backups/replaced-TIME.db beside it. */
int ctl_store_restore(const char *backup_path, const char *path, struct err *err);
/* Deep check of a closed or open database: pages, foreign keys, revision sequence, audit chain. One finding a call. */
typedef void (*ctl_finding_cb)(const char *finding, void *data);
int ctl_store_check(const char *path, ctl_finding_cb on_finding, void *data, struct err *err);

#endif

/* The store: every object, every change, one writer, one revision counter.
 *
 * A narrow interface with SQLite behind it (store_sqlite.c); PostgreSQL is to be the second implementation without
 * touching a caller. Objects are opaque JSON texts here, keyed by (kind, namespace, name).
 *
 * Revisions: one transaction = one revision, +1 per commit, gap-free, in commit order; it is the resourceVersion of what
 * it wrote. `epoch` is drawn with the database and again on every restore.
 * Durability: `done` of a transaction is called after the commit is on disk (WAL, synchronous=FULL). A failed commit
 * changes nothing. After a failed fsync or three I/O errors the store is read-only until restart and says so.
 *
 * Threads: one writer thread owns the only read-write connection, commits groups (<= 64 transactions or 2 ms) and
 * checkpoints. ctl_store_submit() from any thread; `done` runs on the writer thread: post to your worker from there.
 * Reads by ctl_store_read_*() use read-only connections, block, and belong in a net_job. */
#ifndef SELVEDGE_CONTROL_STORE_H
#define SELVEDGE_CONTROL_STORE_H

#include "core/base/err.h"
#include "core/base/list.h"
#include "core/base/strbuf.h"

struct ctl_store;

struct ctl_key {
    struct slice kind;  /* "gateway.networking.k8s.io/httproutes": group/plural, core group ""/plural = "/services" */
    struct slice ns;    /* "" for cluster-scoped kinds */
    struct slice name;
};

enum ctl_op { CTL_PUT, CTL_DELETE };

/* One row of the change log, and one object at head. Texts are heap copies owned by whoever got the row. */
struct ctl_change {
    uint64_t rev;
    uint32_t seq;          /* within the revision */
    int64_t at_us;
    enum ctl_op op;
    struct ctl_key key;
    struct slice object;   /* JSON after the change; for a delete the last state */
    struct slice previous; /* JSON before; {NULL,0} for a create */
    bool is_status;        /* written by the control plane itself; left out of history */
    struct slice actor, origin, message, request_id;
};

struct ctl_write {
    enum ctl_op op;
    struct ctl_key key;
    struct slice object;       /* PUT: JSON with metadata.resourceVersion absent: readers add it from rev */
    uint64_t expect_rev;       /* 0: no check; else the object's current rev must be this: ERR_CONFLICT */
    bool expect_absent;        /* create: ERR_EXISTS */
    bool expect_present;       /* update or delete of what must be there: ERR_NOT_FOUND */
    bool is_status;
};

/* A transaction. The submitter owns the memory (writes, texts, this) until `done`. All writes or none. */
struct ctl_txn {
    struct list link;
    struct ctl_write *writes;
    size_t num_writes;
    struct slice actor, origin, message, request_id;
    uint64_t expect_head;      /* 0, or: the store's head revision must be this (bulk apply) */
    struct slice idempotency_key; /* {NULL,0} or: the same key within a day returns the first result */
    /* result */
    struct err err;
    size_t failed_write;       /* index, when err.code != ERR_NONE and one write was the cause */
    uint64_t rev;
    int64_t at_us;
    void (*done)(struct ctl_txn *txn);
    void *data;
};

struct ctl_store_config {
    const char *path;             /* the database file; its folder holds control.lock and backups/ */
    uint32_t keep_days;           /* change log: 30 */
    uint32_t keep_revisions;      /* and at least: 100000 */
    /* Called on the writer thread after each commit group, in order, with the changes as rows. Must not block. */
    void (*on_commit)(void *data, const struct ctl_change *changes, size_t num);
    void *data;
};

/* Opens, locks (one process per file: ERR_CONFLICT names the other), checks integrity, migrates (a backup is taken
 * first; a newer database is refused), starts the writer. */
struct ctl_store *ctl_store_open(const struct ctl_store_config *config, struct err *err);
struct ctl_store *ctl_store_close(struct ctl_store *store); /* commits what is queued; returns NULL */
uint64_t ctl_store_epoch(const struct ctl_store *store);
uint64_t ctl_store_head(const struct ctl_store *store);      /* newest committed revision */
uint64_t ctl_store_compacted(const struct ctl_store *store); /* changes at and below it are gone */
bool ctl_store_is_read_only(const struct ctl_store *store);
/* Queue bound 1024: beyond, `done` comes at once with ERR_UNAVAILABLE. */
void ctl_store_submit(struct ctl_store *store, struct ctl_txn *txn);

typedef int (*ctl_change_cb)(const struct ctl_change *change, void *data);
/* All objects at head, as of one revision (returned). */
int ctl_store_read_all(struct ctl_store *store, ctl_change_cb on_object, void *data, uint64_t *ret_rev, struct err *err);
/* Changes in (since, upto], oldest first, at most `limit`; ERR_GONE when since < compacted. kind "" for all;
 * key.name "" for all of the kind. */
int ctl_store_read_changes(struct ctl_store *store, uint64_t since, uint64_t upto, const struct ctl_key *filter, size_t limit,
                           ctl_change_cb on_change, void *data, struct err *err);
/* All objects as they were at `rev` (>= compacted): history, diff, rollback. */
int ctl_store_read_at(struct ctl_store *store, uint64_t rev, ctl_change_cb on_object, void *data, struct err *err);
/* Revisions newest first: rows with op/key of their first change and the number of changes in seq. */
int ctl_store_read_revisions(struct ctl_store *store, uint64_t before, size_t limit, const struct ctl_key *filter,
                             ctl_change_cb on_revision, void *data, struct err *err);

/* Small values that are not objects and do not bump the revision: CA keys, token hashes, node state, leases. */
int ctl_store_blob_get(struct ctl_store *store, const char *space, const char *name, struct strbuf *ret, struct err *err);
int ctl_store_blob_put(struct ctl_store *store, const char *space, const char *name, struct slice value, struct err *err);
int ctl_store_blob_delete(struct ctl_store *store, const char *space, const char *name, struct err *err);
typedef int (*ctl_blob_cb)(struct slice name, struct slice value, void *data);
int ctl_store_blob_list(struct ctl_store *store, const char *space, ctl_blob_cb on_blob, void *data, struct err *err);
/* These block until the writer has committed: from jobs or at start. Compare-and-swap for counted tokens: `old` must be
 * the present value ({NULL,0}: absent), else ERR_CONFLICT. */
int ctl_store_blob_swap(struct ctl_store *store, const char *space, const char *name, struct slice old, struct slice value,
                        struct err *err);

/* The audit log: every write and every refused attempt; hash chain (each row's hash covers the one before). */
struct ctl_audit {
    int64_t at_us;
    struct slice actor, origin, agent, verb, target, message;
    uint64_t rev;      /* 0: nothing was written */
    unsigned status;
};
void ctl_store_audit(struct ctl_store *store, const struct ctl_audit *entry); /* copied, queued, never blocks */
typedef int (*ctl_audit_cb)(uint64_t id, const struct ctl_audit *entry, struct slice hash, void *data);
int ctl_store_read_audit(struct ctl_store *store, uint64_t before_id, size_t limit, ctl_audit_cb on_entry, void *data,
                         struct err *err);
int ctl_store_verify_audit(struct ctl_store *store, uint64_t *ret_broken_id, struct err *err); /* ERR_CONFLICT if broken */

/* Online backup of the whole database to `path` (must not exist), by the writer between commits; blocks. */
int ctl_store_backup(struct ctl_store *store, const char *path, struct err *err);
/* Replaces the database file by a verified backup and draws a new epoch. Only while no store has it open. */
int ctl_store_restore(const char *backup_path, const char *path, struct err *err);
/* Deep check of a closed or open database: pages, foreign keys, revision sequence, audit chain. One finding a call. */
typedef void (*ctl_finding_cb)(const char *finding, void *data);
int ctl_store_check(const char *path, ctl_finding_cb on_finding, void *data, struct err *err);

#endif

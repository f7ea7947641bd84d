/* Online backup: pages are copied by the writer itself, some between one commit group and the next.
 *
 * Because the copying connection is the one that writes, SQLite carries later changes of copied pages over by
 * itself and the copy ends consistent, at the head of its last step. It grows under a temporary name and gets
 * its own when it has been checked and is on disk: a backup that exists is a good one. */
#include "gateway/control/store_private.h"

#include <stdio.h>
#include <unistd.h>

void st_unlink_db(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < ARRAY_LEN(suffixes); ++i) {
        struct strbuf name = STRBUF_INIT;
        strbuf_addf(&name, "%s%s", path, suffixes[i]);
        (void)unlink(name.base); /* most are not there */
        strbuf_clear(&name);
    }
}

/* A copy under a temporary name, not yet begun to fill. */
static int open_copy(sqlite3 *from, const char *path, char **ret_temporary, sqlite3 **ret_db,
                     sqlite3_backup **ret_backup, struct err *err)
{
    struct strbuf name = STRBUF_INIT;
    if (access(path, F_OK) == 0)
        return err_set(err, ERR_EXISTS, "'%s' exists already", path);
    strbuf_addf(&name, "%s.%ld.part", path, (long)getpid());
    _cleanup_(freep) char *temporary = strbuf_take(&name);
    st_unlink_db(temporary); /* of a process with our id that died here */
    _cleanup_(st_closep) sqlite3 *db = NULL;
    if (st_open_rw(temporary, true, &db, err) != 0)
        return -1;
    sqlite3_backup *backup = sqlite3_backup_init(db, "main", from, "main");
    if (backup == NULL) {
        (void)st_err(db, err, "backup"); /* always -1 */
        st_unlink_db(temporary);
        return -1;
    }
    *ret_temporary = temporary;
    *ret_db = db;
    *ret_backup = backup;
    temporary = NULL;
    db = NULL;
    return 0;
}

static void note_finding(const char *finding, void *data)
{
    struct err *err = data;
    if (err->code == ERR_NONE)
        err_set(err, ERR_INTERNAL, "the copy is damaged: %s", finding);
}

/* The copy opens by itself, read-only, and its pages and rules hold. */
static int check_copy(const char *path, struct err *err)
{
    struct err found = ERR_INIT;
    if (ctl_store_check(path, note_finding, &found, err) != 0)
        return -1;
    if (found.code == ERR_NONE)
        return 0;
    return err_set(err, found.code, "%s", found.text);
}

/* The copied header says "write-ahead log"; a backup is one file, so it goes back to a rollback journal. A
 * store that opens it switches again. This also syncs it. */
static int seal_copy(sqlite3 **db, struct err *err)
{
    int result = st_exec(*db, "PRAGMA journal_mode=DELETE", err);
    st_close(db);
    return result;
}

/* Closes everything; on success the copy has its name. */
static int finish_copy(sqlite3_backup *backup, sqlite3 **db, const char *temporary, const char *path,
                       int result, struct err *err)
{
    if (sqlite3_backup_finish(backup) != SQLITE_OK && result == 0)
        result = st_err(*db, err, "backup");
    if (result == 0)
        result = seal_copy(db, err);
    st_close(db);
    if (result == 0 && (check_copy(temporary, err) != 0 || st_rename_new(temporary, path, err) != 0))
        result = -1;
    st_unlink_db(temporary);
    return result == 0 ? 0 : err_wrap(err, "backup to '%s'", path);
}

int st_backup_copy(sqlite3 *from, const char *path, struct err *err)
{
    sqlite3 *db;
    sqlite3_backup *backup;
    char *temporary;
    if (open_copy(from, path, &temporary, &db, &backup, err) != 0)
        return -1;
    int result = sqlite3_backup_step(backup, -1) == SQLITE_DONE ? 0 : st_err(db, err, "copy pages");
    result = finish_copy(backup, &db, temporary, path, result, err);
    free(temporary);
    return result;
}

/* ---------- on the writer thread, between groups ---------- */

void st_backup_begin(struct ctl_store *store, struct st_op *op)
{
    int result = store->backup == NULL ? 0 : err_set(&op->err, ERR_UNAVAILABLE, "another backup is running");
    if (result == 0)
        result = open_copy(store->db, op->backup.path, &op->backup.temporary, &op->backup.db,
                           &op->backup.backup, &op->err);
    if (result == 0)
        store->backup = op;
    else
        st_finish(store, op);
}

static void end(struct ctl_store *store, int result)
{
    struct st_op *op = store->backup;
    store->backup = NULL;
    (void)finish_copy(op->backup.backup, &op->backup.db, op->backup.temporary, op->backup.path, result,
                      &op->err);
    free(op->backup.temporary);
    st_finish(store, op);
}

void st_backup_step(struct ctl_store *store)
{
    struct st_op *op = store->backup;
    int step = sqlite3_backup_step(op->backup.backup, ST_BACKUP_PAGES);
    if (step == SQLITE_OK)
        return;
    end(store, step == SQLITE_DONE ? 0 : st_err(op->backup.db, &op->err, "copy pages"));
}

void st_backup_abandon(struct ctl_store *store, const struct err *why)
{
    store->backup->err = *why;
    end(store, -1);
}

int ctl_store_backup(struct ctl_store *store, const char *path, struct err *err)
{
    struct st_op op = {.kind = ST_BACKUP};
    op.backup.path = path;
    return st_op_wait(store, &op, err);
}

/* Restore: a checked copy of the backup takes the database's place, with a new epoch.
 *
 * The new epoch tells every node and watcher that this is another history, whatever its revision numbers say.
 * What was there before is kept in backups/, log included: a restore over the wrong file can be undone. The
 * last rename puts the copy in place. A crash just before it leaves the old database without its log, hence
 * with its last commits in backups/ only; the other order could leave the new database with the old log,
 * which would destroy it. */
#include "gateway/control/store_private.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static char *suffixed(const char *path, const char *suffix)
{
    struct strbuf out = STRBUF_INIT;
    strbuf_addf(&out, "%s%s", path, suffix);
    return strbuf_take(&out);
}

static int draw_epoch(const char *path, struct err *err)
{
    _cleanup_(st_closep) sqlite3 *db = NULL;
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    if (st_open_rw(path, false, &db, err) != 0 || st_exec(db, "PRAGMA synchronous=FULL", err) != 0 ||
        st_prepare(db, "UPDATE meta SET epoch = ? WHERE id = 1", &stmt, err) != 0)
        return -1;
    st_bind(stmt, "i", (int64_t)st_draw_epoch());
    return st_run(stmt, err, "draw the epoch");
}

static int make_copy(const char *backup, const char *copy, struct err *err)
{
    _cleanup_(st_closep) sqlite3 *db = NULL;
    if (st_open_ro(backup, &db, err) != 0 || st_backup_copy(db, copy, err) != 0 || draw_epoch(copy, err) != 0)
        return err_wrap(err, "take '%s'", backup);
    return 0;
}

static int move_if_there(const char *from, const char *to, struct err *err)
{
    if (rename(from, to) == 0 || errno == ENOENT)
        return 0;
    return err_errno(err, "rename '%s' to '%s'", from, to);
}

/* Keeps the old database under another name too, and takes its log away: the new database must never meet it.
 */
static int set_aside(const char *path, struct err *err)
{
    if (access(path, F_OK) != 0)
        return 0;
    _cleanup_(freep) char *kept = st_backup_name(path, "replaced", err);
    if (kept == NULL)
        return -1;
    _cleanup_(freep) char *kept_wal = suffixed(kept, "-wal");
    _cleanup_(freep) char *wal = suffixed(path, "-wal");
    _cleanup_(freep) char *shm = suffixed(path, "-shm");
    if (link(path, kept) != 0)
        return err_errno(err, "keep '%s' as '%s'", path, kept);
    if (move_if_there(wal, kept_wal, err) != 0 || st_sync_folder(kept, err) != 0)
        return -1;
    (void)unlink(shm); /* only an index of the log */
    log_event(LOG_INFO, "the database before the restore is kept", "file", kept, NULL);
    return 0;
}

static int put_in_place(const char *copy, const char *path, struct err *err)
{
    if (set_aside(path, err) != 0)
        return -1;
    if (rename(copy, path) != 0)
        return err_errno(err, "rename '%s' to '%s'", copy, path);
    return st_sync_folder(path, err);
}

int ctl_store_restore(const char *backup_path, const char *path, struct err *err)
{
    int lock_fd;
    if (st_lock(path, &lock_fd, err) != 0)
        return -1;
    _cleanup_(freep) char *copy = suffixed(path, ".restore");
    st_unlink_db(copy); /* of a restore that was killed */
    int result = make_copy(backup_path, copy, err);
    if (result == 0)
        result = put_in_place(copy, path, err);
    if (result != 0)
        st_unlink_db(copy);
    close(lock_fd);
    return result == 0 ? 0 : err_wrap(err, "restore");
}

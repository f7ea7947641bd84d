/* Schema versions: the numbered files of db/migrations, built in, applied in order, each once.
 *
 * user_version counts them; the table `migration` remembers which text each had. A database that has more
 * than we know, or another text under the same number, was written by another program: refused, untouched. */
#include "gateway/control/store_private.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <stdio.h>

static const struct st_migration built_in[] = {
#include "migrations.inc"
};

const struct st_migration *st_migrations(size_t *ret_num)
{
    *ret_num = ARRAY_LEN(built_in);
    return built_in;
}

static struct slice sha_of(const char *sql, uint8_t out[ST_HASH_LEN])
{
    crypto_sha256(slice_of(sql), out);
    return slice_make((const char *)out, ST_HASH_LEN);
}

static int check_same_text(sqlite3 *db, const struct st_migration *migrations, size_t applied,
                           struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    if (st_prepare(db, "SELECT name, sha256 FROM migration WHERE id = ?", &stmt, err) != 0)
        return -1;
    for (size_t i = 0; i < applied; ++i) {
        uint8_t sha[ST_HASH_LEN];
        st_bind(stmt, "i", (int64_t)(i + 1));
        int step = sqlite3_step(stmt);
        if (step == SQLITE_DONE)
            return err_set(err, ERR_CONFLICT, "schema step %zu is not recorded in the database", i + 1);
        if (step != SQLITE_ROW)
            return st_err(db, err, "read the schema steps");
        if (!slice_is(st_text(stmt, 0), migrations[i].name) ||
            !slice_eq(st_blob(stmt, 1), sha_of(migrations[i].sql, sha)))
            return err_set(err, ERR_CONFLICT, "schema step %zu is not this program's '%s'", i + 1,
                           migrations[i].name);
        sqlite3_reset(stmt);
    }
    return 0;
}

int st_migrate_pending(sqlite3 *db, const struct st_migration *migrations, size_t num, size_t *ret_pending,
                       struct err *err)
{
    int64_t application, version, tables;
    if (st_query_int(db, "PRAGMA application_id", &application, err) != 0 ||
        st_query_int(db, "PRAGMA user_version", &version, err) != 0 ||
        st_query_int(db, "SELECT count(*) FROM sqlite_schema", &tables, err) != 0)
        return -1;
    if (application != ST_APPLICATION_ID && (application != 0 || version != 0 || tables != 0))
        return err_set(err, ERR_CONFLICT, "the file is another program's database");
    if (version < 0 || (uint64_t)version > num)
        return err_set(err, ERR_CONFLICT,
                       "the database has schema version %lld, this program knows %zu: it is too old",
                       (long long)version, num);
    if (version > 0 && check_same_text(db, migrations, (size_t)version, err) != 0)
        return -1;
    *ret_pending = num - (size_t)version;
    return 0;
}

static int record_step(sqlite3 *db, const struct st_migration *migration, size_t id, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    uint8_t sha[ST_HASH_LEN];
    char version[64];
    if (st_prepare(db, "INSERT INTO migration (id, name, sha256, applied_us) VALUES (?, ?, ?, ?)", &stmt,
                   err) != 0)
        return -1;
    st_bind(stmt, "itbi", (int64_t)id, slice_of(migration->name), sha_of(migration->sql, sha),
            clock_wall_us());
    if (st_run(stmt, err, "record the schema step") != 0)
        return -1;
    snprintf(version, sizeof(version), "PRAGMA user_version=%zu", id);
    return st_exec(db, version, err);
}

/* The first step also makes the file ours, in the same transaction: it is never half a database. */
static int claim(sqlite3 *db, struct err *err)
{
    char pragma[64];
    snprintf(pragma, sizeof(pragma), "PRAGMA application_id=%d", ST_APPLICATION_ID);
    if (st_exec(db, pragma, err) != 0)
        return -1;
    return st_exec(db,
                   "CREATE TABLE migration (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL,"
                   " sha256 BLOB NOT NULL, applied_us INTEGER NOT NULL) STRICT",
                   err);
}

uint64_t st_draw_epoch(void)
{
    uint64_t epoch;
    while ((epoch = crypto_random_u64() >> 1) == 0)
        ;
    return epoch;
}

static int fill_meta(sqlite3 *db, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    static const char zeros[ST_HASH_LEN];
    if (st_prepare(db,
                   "INSERT OR IGNORE INTO meta (id, epoch, head, compacted, created_us, audit_id, audit_hash)"
                   " VALUES (1, ?, 0, 0, ?, 0, ?)",
                   &stmt, err) != 0)
        return -1;
    st_bind(stmt, "iib", (int64_t)st_draw_epoch(), clock_wall_us(), slice_make(zeros, sizeof(zeros)));
    return st_run(stmt, err, "draw the epoch");
}

static int run_step(sqlite3 *db, const struct st_migration *migration, size_t id, struct err *err)
{
    if (st_exec(db, "BEGIN IMMEDIATE", err) != 0)
        return -1;
    if ((id == 1 && claim(db, err) != 0) || st_exec(db, migration->sql, err) != 0 ||
        (id == 1 && fill_meta(db, err) != 0) || record_step(db, migration, id, err) != 0 ||
        st_exec(db, "COMMIT", err) != 0) {
        if (sqlite3_get_autocommit(db) == 0)
            (void)st_exec(db, "ROLLBACK", NULL); /* what is left of it goes with the connection */
        return err_wrap(err, "schema step '%s'", migration->name);
    }
    return 0;
}

static int backup_first(sqlite3 *db, const char *path, const struct st_migration *next, struct err *err)
{
    char prefix[128];
    snprintf(prefix, sizeof(prefix), "before-%s", next->name);
    _cleanup_(freep) char *copy = st_backup_name(path, prefix, err);
    if (copy == NULL || st_backup_copy(db, copy, err) != 0)
        return err_wrap(err, "backup before the schema changes");
    log_event(LOG_INFO, "database backed up before its schema changes", "backup", copy, NULL);
    return 0;
}

int st_migrate(sqlite3 *db, const char *path, const struct st_migration *migrations, size_t num,
               struct err *err)
{
    size_t pending;
    if (st_migrate_pending(db, migrations, num, &pending, err) != 0)
        return -1;
    if (pending != 0 && pending != num && backup_first(db, path, &migrations[num - pending], err) != 0)
        return -1;
    for (size_t i = num - pending; i < num; ++i)
        if (run_step(db, &migrations[i], i + 1, err) != 0)
            return -1;
    return 0;
}

/* SQLite at arm's length: connections, their pragmas, statements, and errors in our words.
 *
 * Every pragma is read back: SQLite ignores what it does not know, and a database that is silently not in WAL
 * mode, or not synced at commit, would break promises that nothing else checks. */
#include "gateway/control/store_private.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>

struct pragma {
    const char *set, *get;
    int64_t expected;
};

/* auto_vacuum comes before the first table, journal_mode before anything that writes. */
static const struct pragma writer_pragmas[] = {
    {"PRAGMA auto_vacuum=INCREMENTAL", "PRAGMA auto_vacuum", 2},
    {"PRAGMA synchronous=FULL", "PRAGMA synchronous", 2},
    {"PRAGMA foreign_keys=ON", "PRAGMA foreign_keys", 1},
    {"PRAGMA busy_timeout=5000", "PRAGMA busy_timeout", 5000},
    {"PRAGMA trusted_schema=OFF", "PRAGMA trusted_schema", 0},
    {"PRAGMA cell_size_check=ON", "PRAGMA cell_size_check", 1},
    {"PRAGMA secure_delete=FAST", "PRAGMA secure_delete", 2},
    {"PRAGMA temp_store=MEMORY", "PRAGMA temp_store", 2},
    {"PRAGMA cache_size=-16000", "PRAGMA cache_size", -16000},
    {"PRAGMA journal_size_limit=67108864", "PRAGMA journal_size_limit", 67108864},
    /* One place checkpoints: the writer, between commits. See docs/control-store.md on the WAL-reset bug. */
    {"PRAGMA wal_autocheckpoint=0", "PRAGMA wal_autocheckpoint", 0},
};

static const struct pragma reader_pragmas[] = {
    {"PRAGMA query_only=ON", "PRAGMA query_only", 1},
    {"PRAGMA busy_timeout=5000", "PRAGMA busy_timeout", 5000},
    {"PRAGMA trusted_schema=OFF", "PRAGMA trusted_schema", 0},
    {"PRAGMA cell_size_check=ON", "PRAGMA cell_size_check", 1},
    {"PRAGMA temp_store=MEMORY", "PRAGMA temp_store", 2},
    {"PRAGMA cache_size=-4000", "PRAGMA cache_size", -4000},
    {"PRAGMA mmap_size=0", NULL, 0}, /* reads back as no row where mapping is compiled out */
};

/* ---------- errors ---------- */

static bool is_disk_full(sqlite3 *db, int extended)
{
    if ((extended & 0xff) == SQLITE_FULL)
        return true;
    /* A failed fsync is never "try again", whatever its errno: pages may be lost already. */
    if ((extended & 0xff) != SQLITE_IOERR || extended == SQLITE_IOERR_FSYNC ||
        extended == SQLITE_IOERR_DIR_FSYNC)
        return false;
    int system = sqlite3_system_errno(db);
    return system == ENOSPC || system == EDQUOT;
}

enum err_code st_err_code(sqlite3 *db)
{
    int extended = sqlite3_extended_errcode(db);
    if (is_disk_full(db, extended))
        return ERR_NO_SPACE;
    switch (extended & 0xff) {
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return ERR_IO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return ERR_UNAVAILABLE;
    case SQLITE_INTERRUPT:
        return ERR_TIMEOUT;
    case SQLITE_TOOBIG:
        return ERR_TOO_LARGE;
    default:
        return ERR_INTERNAL;
    }
}

static const char *explain(sqlite3 *db)
{
    switch (sqlite3_extended_errcode(db) & 0xff) {
    case SQLITE_CORRUPT:
        return "the database file is damaged";
    case SQLITE_NOTADB:
        return "the file is not a database, or its first page is damaged";
    case SQLITE_READONLY:
        return "the database file or its folder is read-only";
    default:
        return st_err_code(db) == ERR_NO_SPACE ? "the disk is full" : sqlite3_errmsg(db);
    }
}

int st_err(sqlite3 *db, struct err *err, const char *what)
{
    int extended = sqlite3_extended_errcode(db), system = sqlite3_system_errno(db);
    bool has_errno = (extended & 0xff) == SQLITE_IOERR || (extended & 0xff) == SQLITE_CANTOPEN;
    if (has_errno && system != 0)
        return err_set(err, st_err_code(db), "%s: %s (%s; sqlite %d)", what, explain(db), strerror(system),
                       extended);
    return err_set(err, st_err_code(db), "%s: %s (sqlite %d)", what, explain(db), extended);
}

/* ---------- connections ---------- */

static int open_with(const char *path, int flags, sqlite3 **ret_db, struct err *err)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        if (db == NULL)
            return err_set(err, ERR_IO, "open '%s': out of memory", path);
        (void)st_err(db, err, "open");
        err_wrap(err, "database '%s'", path);
        sqlite3_close(db);
        return -1;
    }
    (void)sqlite3_extended_result_codes(db, 1); /* cannot fail on an open connection */
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    *ret_db = db;
    return 0;
}

int st_open_rw(const char *path, bool create, sqlite3 **ret_db, struct err *err)
{
    /* Made here rather than by SQLite for its mode: the write-ahead log and the index inherit it. */
    struct err ignored;
    if (create && st_create_file(path, &ignored) != 0 && ignored.code != ERR_EXISTS) {
        *err = ignored;
        return -1;
    }
    return open_with(path, SQLITE_OPEN_READWRITE, ret_db, err);
}

int st_open_ro(const char *path, sqlite3 **ret_db, struct err *err)
{
    if (open_with(path, SQLITE_OPEN_READONLY, ret_db, err) != 0)
        return -1;
    sqlite3_db_config(*ret_db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (st_pragmas_reader(*ret_db, err) == 0)
        return 0;
    st_close(ret_db);
    return err_wrap(err, "database '%s'", path);
}

void st_close(sqlite3 **db)
{
    if (*db != NULL)
        sqlite3_close(*db);
    *db = NULL;
}

static int apply_pragmas(sqlite3 *db, const struct pragma *pragmas, size_t num, struct err *err)
{
    for (size_t i = 0; i < num; ++i) {
        int64_t value;
        if (st_exec(db, pragmas[i].set, err) != 0)
            return -1;
        if (pragmas[i].get == NULL)
            continue;
        if (st_query_int(db, pragmas[i].get, &value, err) != 0)
            return -1;
        if (value != pragmas[i].expected)
            return err_set(err, ERR_INTERNAL, "%s did not take: it reads %lld", pragmas[i].set,
                           (long long)value);
    }
    return 0;
}

int st_pragmas_writer(sqlite3 *db, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    if (apply_pragmas(db, writer_pragmas, ARRAY_LEN(writer_pragmas), err) != 0)
        return -1;
    if (st_prepare(db, "PRAGMA journal_mode=WAL", &stmt, err) != 0)
        return -1;
    if (sqlite3_step(stmt) != SQLITE_ROW)
        return st_err(db, err, "switch to write-ahead logging");
    if (!slice_is(st_text(stmt, 0), "wal"))
        return err_set(err, ERR_INTERNAL, "write-ahead logging is not possible on this file system");
    return 0;
}

int st_pragmas_reader(sqlite3 *db, struct err *err)
{
    return apply_pragmas(db, reader_pragmas, ARRAY_LEN(reader_pragmas), err);
}

/* ---------- statements ---------- */

int st_exec(sqlite3 *db, const char *sql, struct err *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    char what[64];
    size_t len = MIN(strcspn(sql, "(\n;"), sizeof(what) - 1);
    memcpy(what, sql, len);
    what[len] = '\0';
    return st_err(db, err, what);
}

int st_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK)
        return 0;
    return st_err(db, err, "prepare");
}

int st_query_int(sqlite3 *db, const char *sql, int64_t *ret, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    if (st_prepare(db, sql, &stmt, err) != 0)
        return -1;
    switch (sqlite3_step(stmt)) {
    case SQLITE_ROW:
        *ret = sqlite3_column_int64(stmt, 0);
        return 0;
    case SQLITE_DONE:
        return err_set(err, ERR_NOT_FOUND, "no row: %s", sql);
    default:
        return st_err(db, err, "read");
    }
}

static int bind_slice(sqlite3_stmt *stmt, int at, char kind, struct slice value)
{
    if (kind == 'n' && value.base == NULL)
        return sqlite3_bind_null(stmt, at);
    const char *base = value.base != NULL ? value.base : "";
    if (kind == 'b')
        return sqlite3_bind_blob64(stmt, at, base, value.len, SQLITE_STATIC);
    return sqlite3_bind_text64(stmt, at, base, value.len, SQLITE_STATIC, SQLITE_UTF8);
}

void st_bind(sqlite3_stmt *stmt, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (int at = 1; format[at - 1] != '\0'; ++at) {
        char kind = format[at - 1];
        /* Binding fails on misuse and beyond SQLite's length limit only; callers bound what they bind. The
         * step after it would then see a NULL, which no column of ours that matters accepts. */
        if (kind == 'i')
            (void)sqlite3_bind_int64(stmt, at, va_arg(args, int64_t));
        else
            (void)bind_slice(stmt, at, kind, va_arg(args, struct slice));
    }
    va_end(args);
}

int st_run(sqlite3_stmt *stmt, struct err *err, const char *what)
{
    int result = sqlite3_step(stmt) == SQLITE_DONE ? 0 : st_err(sqlite3_db_handle(stmt), err, what);
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    (void)sqlite3_clear_bindings(stmt);
    return result;
}

struct slice st_text(sqlite3_stmt *stmt, int column)
{
    /* Text before length: asking for the text may convert, and the length is the converted one's. */
    const char *base = (const char *)sqlite3_column_text(stmt, column);
    return slice_make(base, base != NULL ? (size_t)sqlite3_column_bytes(stmt, column) : 0);
}

struct slice st_blob(sqlite3_stmt *stmt, int column)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return slice_make(NULL, 0);
    const char *base = sqlite3_column_blob(stmt, column);
    return slice_make(base != NULL ? base : "", (size_t)sqlite3_column_bytes(stmt, column));
}

/* Integrity: quickly at every start, deeply when asked. Findings only; repair is a restore. */
#include "gateway/control/store_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* Up to so much is read page by page before the start. A change log of hundreds of megabytes would keep the API away for
 * seconds: then only what the API answers from, and the rest behind its back. */
enum { WHOLE_CHECK_MAX = 64 * 1024 * 1024 };

static const char *const present[] = {"PRAGMA quick_check(meta)", "PRAGMA quick_check(object)", "PRAGMA quick_check(revision)",
                                      "PRAGMA quick_check(idempotency)", "PRAGMA quick_check(blob)"};
static const char damaged[] = "the database file is damaged: ";

/* Rules between tables: a query that gives a row for each violation, with a text in its first column. Those
 * at start must stay quick with a million revisions. */
static const char *const rules[] = {
    /* Everything between compacted and head, nothing beyond, none missing. */
    "SELECT format('the log holds %d revisions from %d to %d; it should hold %d to %d', count(rev), "
    "coalesce(min(rev), 0),"
    " coalesce(max(rev), 0), m.compacted + 1, m.head) FROM meta m LEFT JOIN revision GROUP BY m.id"
    " HAVING count(rev) <> m.head - m.compacted OR (count(rev) > 0 AND (min(rev) <> m.compacted + 1 OR "
    "max(rev) <> m.head))",
    "SELECT format('changes go from revision %d to %d; they should lie in %d to %d', min(c.rev), max(c.rev),"
    " m.compacted + 1, m.head) FROM meta m, (SELECT (SELECT min(rev) FROM change) AS rev UNION ALL"
    " SELECT max(rev) FROM change) c GROUP BY m.id HAVING min(c.rev) <= m.compacted OR max(c.rev) > m.head",
};
static const char *const deep_rules[] = {
    "SELECT format('revision %d should have %d changes and has %d', r.rev, r.num_changes, count(c.rev))"
    " FROM revision r LEFT JOIN change c ON c.rev = r.rev GROUP BY r.rev"
    " HAVING count(c.rev) <> r.num_changes OR (count(c.rev) > 0 AND max(c.seq) <> r.num_changes - 1)",
    "SELECT format('%s %s/%s is at revision %d, above the head', kind, namespace, name, rev) FROM object, "
    "meta WHERE rev > head",
    /* The newest change of a key and the object at head are the same. */
    "SELECT format('%s %s/%s differs from its newest change, revision %d', c.kind, c.namespace, c.name, "
    "c.rev)"
    " FROM change c LEFT JOIN object o ON o.kind = c.kind AND o.namespace = c.namespace AND o.name = c.name"
    " WHERE (c.rev, c.seq) = (SELECT d.rev, d.seq FROM change d WHERE d.kind = c.kind AND d.namespace = "
    "c.namespace"
    "  AND d.name = c.name ORDER BY d.rev DESC, d.seq DESC LIMIT 1)"
    " AND CASE c.op WHEN 1 THEN o.rev IS NOT NULL ELSE o.rev IS NULL OR o.rev <> c.rev OR o.object <> "
    "c.object END",
    /* The object came to its revision by a change that is still in the log. */
    "SELECT format('%s %s/%s has no change in the log for its revision %d', o.kind, o.namespace, o.name, "
    "o.rev)"
    " FROM object o, meta m WHERE o.rev > m.compacted AND NOT EXISTS (SELECT 1 FROM change c WHERE c.kind = "
    "o.kind"
    "  AND c.namespace = o.namespace AND c.name = o.name AND c.rev = o.rev)",
};

/* The first column of each row; "ok" alone is no finding. */
static int each_finding(sqlite3 *db, const char *sql, const char *prefix, ctl_finding_cb on_finding,
                        void *data, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    int step;
    if (st_prepare(db, sql, &stmt, err) != 0)
        return -1;
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        char finding[512];
        struct slice text = st_text(stmt, 0);
        if (slice_is(text, "ok"))
            continue;
        snprintf(finding, sizeof(finding), "%s%.*s", prefix, (int)text.len,
                 text.base != NULL ? text.base : "");
        on_finding(finding, data);
    }
    return step == SQLITE_DONE ? 0 : st_err(db, err, "check");
}

/* ---------- at start ---------- */

static void keep_first(const char *finding, void *data)
{
    struct err *first = data;
    if (first->code == ERR_NONE)
        err_set(first, ERR_INTERNAL, "%s", finding);
}

static int refuse_findings(int result, const struct err *first, struct err *err)
{
    if (result != 0 || first->code == ERR_NONE)
        return result;
    return err_set(err, first->code, "%s", first->text);
}

static int check_whole(sqlite3 *db, struct err *err)
{
    struct err first = ERR_INIT;
    int result = each_finding(db, "PRAGMA quick_check(1)", damaged, keep_first, &first, err);
    return refuse_findings(result, &first, err);
}

static int is_large(sqlite3 *db, bool *ret, struct err *err)
{
    int64_t bytes;
    if (st_query_int(db, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()", &bytes, err) != 0)
        return -1;
    *ret = bytes > WHOLE_CHECK_MAX;
    return 0;
}

int st_check_pages(sqlite3 *db, bool *ret_is_whole, struct err *err)
{
    struct err first = ERR_INIT;
    bool is_partly = false;
    int result = is_large(db, &is_partly, err);
    *ret_is_whole = !is_partly;
    if (result == 0 && !is_partly)
        return check_whole(db, err);
    for (size_t i = 0; result == 0 && i < ARRAY_LEN(present); ++i)
        result = each_finding(db, present[i], damaged, keep_first, &first, err);
    return refuse_findings(result, &first, err);
}

/* ---------- behind the start ---------- */

static void *check_rest(void *data)
{
    struct ctl_store *store = data;
    struct err err = ERR_INIT;
    int result = check_whole(store->check_db, &err);
    pthread_mutex_lock(&store->mutex);
    bool is_stopping = store->is_stopping; /* it was interrupted */
    pthread_mutex_unlock(&store->mutex);
    if (result != 0 && !is_stopping)
        st_go_read_only(store, &err);
    return NULL;
}

int st_check_begin(struct ctl_store *store, struct err *err)
{
    if (st_open_ro(store->path, &store->check_db, err) != 0)
        return -1;
    errno = pthread_create(&store->check_thread, NULL, check_rest, store);
    if (errno != 0)
        return err_errno(err, "start the thread that checks the database");
    store->is_checking = true;
    return 0;
}

void st_check_end(struct ctl_store *store)
{
    if (store->is_checking) {
        sqlite3_interrupt(store->check_db);
        pthread_join(store->check_thread, NULL);
    }
    st_close(&store->check_db);
}

int st_check_sequence(sqlite3 *db, struct err *err)
{
    struct err first = ERR_INIT;
    int result = 0;
    for (size_t i = 0; result == 0 && i < ARRAY_LEN(rules); ++i)
        result = each_finding(db, rules[i], "the change log is damaged: ", keep_first, &first, err);
    return refuse_findings(result, &first, err);
}

/* ---------- when asked ---------- */

static int check_audit(sqlite3 *db, ctl_finding_cb on_finding, void *data, struct err *err)
{
    uint64_t broken;
    char finding[96];
    if (st_audit_verify(db, &broken, err) != 0)
        return -1;
    if (broken != 0) {
        snprintf(finding, sizeof(finding), "audit log: entry %llu does not fit the one before",
                 (unsigned long long)broken);
        on_finding(finding, data);
    }
    return 0;
}

int st_check_db(sqlite3 *db, ctl_finding_cb on_finding, void *data, struct err *err)
{
    if (each_finding(db, "PRAGMA integrity_check(20)", "pages: ", on_finding, data, err) != 0 ||
        each_finding(db, "PRAGMA foreign_key_check", "rows refer to missing rows in: ", on_finding, data,
                     err) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(rules); ++i)
        if (each_finding(db, rules[i], "change log: ", on_finding, data, err) != 0)
            return -1;
    for (size_t i = 0; i < ARRAY_LEN(deep_rules); ++i)
        if (each_finding(db, deep_rules[i], "log and objects: ", on_finding, data, err) != 0)
            return -1;
    return check_audit(db, on_finding, data, err);
}

static int check_open(sqlite3 *db, ctl_finding_cb on_finding, void *data, struct err *err)
{
    size_t num, pending;
    const struct st_migration *migrations = st_migrations(&num);
    if (st_exec(db, "BEGIN", err) != 0) /* one revision throughout, while a daemon goes on writing */
        return -1;
    int result = st_migrate_pending(db, migrations, num, &pending, err);
    if (result == 0 && pending == num)
        result = err_set(err, ERR_NOT_FOUND, "the database is empty");
    if (result == 0)
        result = st_check_db(db, on_finding, data, err);
    (void)st_exec(db, "ROLLBACK", NULL); /* it only read */
    return result;
}

int ctl_store_check(const char *path, ctl_finding_cb on_finding, void *data, struct err *err)
{
    _cleanup_(st_closep) sqlite3 *db = NULL;
    if (st_open_ro(path, &db, err) != 0)
        return -1;
    if (check_open(db, on_finding, data, err) != 0)
        return err_wrap(err, "check '%s'", path);
    return 0;
}

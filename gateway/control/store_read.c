/* Reading: a few read-only connections, each query inside one read transaction, so that it sees one revision.
 *
 * Readers never checkpoint and never write, whatever they are told (query_only). A reader that lives long
 * keeps the write-ahead log from shrinking, hence the deadline, callbacks included. */
#include "gateway/control/store_private.h"

#include "core/base/clock.h"
#include "core/base/strbuf.h"

/* ---------- connections ---------- */

static int stop_when_late(void *data)
{
    const struct st_reader *reader = data;
    return clock_mono_us() > reader->deadline_us;
}

static struct st_reader *reader_new(struct ctl_store *store, struct err *err)
{
    struct st_reader *reader = xcalloc(1, sizeof(*reader));
    if (st_open_ro(store->path, &reader->db, err) != 0) {
        free(reader);
        return NULL;
    }
    sqlite3_progress_handler(reader->db, 20000, stop_when_late, reader);
    return reader;
}

static void reader_free(struct ctl_store *store, struct st_reader *reader)
{
    st_close(&reader->db);
    free(reader);
    pthread_mutex_lock(&store->mutex);
    --store->num_readers;
    pthread_cond_signal(&store->reader_back);
    pthread_mutex_unlock(&store->mutex);
}

/* An idle one, or NULL with leave to make another. */
static struct st_reader *reader_take(struct ctl_store *store)
{
    struct st_reader *reader = NULL;
    pthread_mutex_lock(&store->mutex);
    while (list_is_empty(&store->idle_readers) && store->num_readers >= ST_READERS_MAX)
        pthread_cond_wait(&store->reader_back, &store->mutex);
    if (list_is_empty(&store->idle_readers)) {
        ++store->num_readers;
    } else {
        reader = LIST_FIRST(&store->idle_readers, struct st_reader, link);
        list_remove(&reader->link);
    }
    pthread_mutex_unlock(&store->mutex);
    return reader;
}

struct st_reader *st_reader_get(struct ctl_store *store, struct err *err)
{
    struct st_reader *reader = reader_take(store);
    if (reader == NULL && (reader = reader_new(store, err)) == NULL) {
        pthread_mutex_lock(&store->mutex);
        --store->num_readers;
        pthread_cond_signal(&store->reader_back);
        pthread_mutex_unlock(&store->mutex);
        return NULL;
    }
    reader->deadline_us = clock_mono_us() + ST_READ_MAX_US;
    if (st_exec(reader->db, "BEGIN", err) == 0)
        return reader;
    reader_free(store, reader);
    return NULL;
}

/* What is written to a damaged file would be acknowledged, and gone with the next start. */
static void note_damage(struct ctl_store *store, const struct st_reader *reader)
{
    struct err why = ERR_INIT;
    int code = sqlite3_errcode(reader->db);
    if (code != SQLITE_CORRUPT && code != SQLITE_NOTADB)
        return;
    (void)st_err(reader->db, &why, "read");
    st_go_read_only(store, &why);
}

void st_reader_put(struct ctl_store *store, struct st_reader *reader)
{
    note_damage(store, reader);
    reader->deadline_us = UINT64_MAX;
    if (st_exec(reader->db, "ROLLBACK", NULL) != 0) {
        reader_free(store, reader);
        return;
    }
    pthread_mutex_lock(&store->mutex);
    list_push_front(&store->idle_readers, &reader->link);
    pthread_cond_signal(&store->reader_back);
    pthread_mutex_unlock(&store->mutex);
}

void st_readers_close(struct ctl_store *store)
{
    assert(store->num_readers == 0 ||
           !list_is_empty(&store->idle_readers)); /* callers have returned by now */
    LIST_FOR_SAFE(reader, &store->idle_readers, struct st_reader, link)
    {
        list_remove(&reader->link);
        reader_free(store, reader);
    }
}

/* ---------- rows ---------- */

static struct ctl_key key_of(sqlite3_stmt *stmt, int first_column)
{
    return (struct ctl_key){st_text(stmt, first_column), st_text(stmt, first_column + 1),
                            st_text(stmt, first_column + 2)};
}

/* kind, namespace, name, rev, object */
static struct ctl_change object_of(sqlite3_stmt *stmt)
{
    return (struct ctl_change){.op = CTL_PUT,
                               .key = key_of(stmt, 0),
                               .rev = (uint64_t)sqlite3_column_int64(stmt, 3),
                               .object = st_text(stmt, 4)};
}

#define CHANGE_COLUMNS                                                                                       \
    "c.kind, c.namespace, c.name, c.rev, c.object, c.previous, c.previous_rev, c.seq, c.op, c.is_status, "   \
    "r.at_us, r.actor, r.origin, r.message, r.request_id"

static struct ctl_change change_of(sqlite3_stmt *stmt)
{
    struct ctl_change change = object_of(stmt);
    change.previous = st_text(stmt, 5);
    change.previous_rev = (uint64_t)sqlite3_column_int64(stmt, 6);
    change.seq = (uint32_t)sqlite3_column_int64(stmt, 7);
    change.op = (enum ctl_op)sqlite3_column_int64(stmt, 8);
    change.is_status = sqlite3_column_int64(stmt, 9) != 0;
    change.at_us = sqlite3_column_int64(stmt, 10);
    change.actor = st_text(stmt, 11);
    change.origin = st_text(stmt, 12);
    change.message = st_text(stmt, 13);
    change.request_id = st_text(stmt, 14);
    return change;
}

static struct ctl_change revision_of(sqlite3_stmt *stmt)
{
    struct ctl_change change = change_of(stmt);
    change.seq = (uint32_t)sqlite3_column_int64(stmt, 15);
    change.object = change.previous = slice_make(NULL, 0);
    return change;
}

static int each_row(sqlite3 *db, sqlite3_stmt *stmt, struct ctl_change (*row_of)(sqlite3_stmt *),
                    ctl_change_cb on_row, void *data, struct err *err)
{
    int step;
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ctl_change row = row_of(stmt);
        if (on_row(&row, data) != 0)
            return 0;
    }
    return step == SQLITE_DONE ? 0 : st_err(db, err, "read");
}

/* ---------- queries, inside a read transaction ---------- */

struct query {
    uint64_t since, upto;
    const struct ctl_key *filter;
    size_t limit;
    ctl_change_cb on_row;
    void *data;
    uint64_t rev; /* result of read_all */
};

static int check_reach(sqlite3 *db, uint64_t rev, struct err *err)
{
    int64_t head, compacted;
    if (st_query_int(db, "SELECT head FROM meta", &head, err) != 0 ||
        st_query_int(db, "SELECT compacted FROM meta", &compacted, err) != 0)
        return -1;
    if (rev < (uint64_t)compacted)
        return err_set(err, ERR_GONE, "revision %llu has been compacted: the log begins after %lld",
                       (unsigned long long)rev, (long long)compacted);
    if (rev > (uint64_t)head)
        return err_set(err, ERR_NOT_FOUND, "there is no revision %llu yet: the newest is %lld",
                       (unsigned long long)rev, (long long)head);
    return 0;
}

/* Conditions on alias c; an object's full key goes by the index. */
static void add_filter(struct strbuf *sql, const struct ctl_key *filter)
{
    if (filter == NULL || filter->kind.len == 0)
        return;
    strbuf_adds(sql, " AND c.kind = ?4");
    if (filter->ns.len != 0 || filter->name.len != 0)
        strbuf_adds(sql, " AND c.namespace = ?5");
    if (filter->name.len != 0)
        strbuf_adds(sql, " AND c.name = ?6");
}

static int prepare_filtered(sqlite3 *db, struct strbuf *sql, const struct query *query, sqlite3_stmt **ret,
                            struct err *err)
{
    int result = st_prepare(db, sql->base, ret, err);
    strbuf_clear(sql);
    if (result != 0)
        return -1;
    (void)sqlite3_bind_int64(*ret, 1,
                             (sqlite3_int64)query->since); /* out of range: not in the text, by design */
    (void)sqlite3_bind_int64(*ret, 2, (sqlite3_int64)MIN(query->upto, INT64_MAX));
    (void)sqlite3_bind_int64(*ret, 3, query->limit != 0 ? (sqlite3_int64)query->limit : -1);
    const struct slice parts[] = {query->filter != NULL ? query->filter->kind : slice_make(NULL, 0),
                                  query->filter != NULL ? query->filter->ns : slice_make(NULL, 0),
                                  query->filter != NULL ? query->filter->name : slice_make(NULL, 0)};
    for (int i = 0; i < 3; ++i)
        (void)sqlite3_bind_text64(*ret, 4 + i, parts[i].base != NULL ? parts[i].base : "", parts[i].len,
                                  SQLITE_STATIC, SQLITE_UTF8);
    return 0;
}

static int query_all(sqlite3 *db, struct query *query, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    int64_t head;
    if (st_query_int(db, "SELECT head FROM meta", &head, err) != 0 ||
        st_prepare(db, "SELECT kind, namespace, name, rev, object FROM object ORDER BY kind, namespace, name",
                   &stmt, err) != 0)
        return -1;
    query->rev = (uint64_t)head;
    return each_row(db, stmt, object_of, query->on_row, query->data, err);
}

static int query_changes(sqlite3 *db, struct query *query, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    struct strbuf sql = STRBUF_INIT;
    if (check_reach(db, query->since, err) != 0)
        return -1;
    strbuf_adds(&sql, "SELECT " CHANGE_COLUMNS " FROM change c JOIN revision r ON r.rev = c.rev"
                      " WHERE c.rev > ?1 AND c.rev <= ?2");
    add_filter(&sql, query->filter);
    strbuf_adds(&sql, " ORDER BY c.rev, c.seq LIMIT ?3");
    if (prepare_filtered(db, &sql, query, &stmt, err) != 0)
        return -1;
    return each_row(db, stmt, change_of, query->on_row, query->data, err);
}

/* An object is as it was when it has not changed since, else as the first later change found it: the only one
 * whose previous revision is not later too. */
static int query_at(sqlite3 *db, struct query *query, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    if (check_reach(db, query->since, err) != 0 ||
        st_prepare(db,
                   "SELECT kind, namespace, name, rev, object FROM object WHERE rev <= ?1 UNION ALL"
                   " SELECT kind, namespace, name, previous_rev, previous FROM change"
                   " WHERE rev > ?1 AND previous IS NOT NULL AND previous_rev <= ?1 ORDER BY 1, 2, 3",
                   &stmt, err) != 0)
        return -1;
    st_bind(stmt, "i", (int64_t)query->since);
    return each_row(db, stmt, object_of, query->on_row, query->data, err);
}

static int query_revisions(sqlite3 *db, struct query *query, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    struct strbuf sql = STRBUF_INIT;
    strbuf_adds(&sql, "WITH picked AS (SELECT c.rev AS rev, min(c.seq) AS seq FROM change c"
                      " WHERE c.rev > ?1 AND c.rev < ?2 AND c.is_status = 0");
    add_filter(&sql, query->filter);
    strbuf_adds(
        &sql,
        " GROUP BY c.rev ORDER BY c.rev DESC LIMIT ?3) SELECT " CHANGE_COLUMNS ", r.num_changes"
        " FROM picked p JOIN change c ON c.rev = p.rev AND c.seq = p.seq JOIN revision r ON r.rev = p.rev"
        " ORDER BY p.rev DESC");
    if (prepare_filtered(db, &sql, query, &stmt, err) != 0)
        return -1;
    return each_row(db, stmt, revision_of, query->on_row, query->data, err);
}

static int run_query(struct ctl_store *store, int (*run)(sqlite3 *, struct query *, struct err *),
                     struct query *query, struct err *err)
{
    struct st_reader *reader = st_reader_get(store, err);
    if (reader == NULL)
        return -1;
    int result = run(reader->db, query, err);
    st_reader_put(store, reader);
    return result;
}

/* ---------- the interface ---------- */

int ctl_store_read_all(struct ctl_store *store, ctl_change_cb on_object, void *data, uint64_t *ret_rev,
                       struct err *err)
{
    struct query query = {.on_row = on_object, .data = data};
    if (run_query(store, query_all, &query, err) != 0)
        return -1;
    *ret_rev = query.rev;
    return 0;
}

int ctl_store_read_changes(struct ctl_store *store, uint64_t since, uint64_t upto,
                           const struct ctl_key *filter, size_t limit, ctl_change_cb on_change, void *data,
                           struct err *err)
{
    struct query query = {
        .since = since, .upto = upto, .filter = filter, .limit = limit, .on_row = on_change, .data = data};
    return run_query(store, query_changes, &query, err);
}

int ctl_store_read_at(struct ctl_store *store, uint64_t rev, ctl_change_cb on_object, void *data,
                      struct err *err)
{
    struct query query = {.since = rev, .on_row = on_object, .data = data};
    return run_query(store, query_at, &query, err);
}

int ctl_store_read_revisions(struct ctl_store *store, uint64_t before, size_t limit,
                             const struct ctl_key *filter, ctl_change_cb on_revision, void *data,
                             struct err *err)
{
    struct query query = {.upto = before != 0 ? before : INT64_MAX,
                          .filter = filter,
                          .limit = limit,
                          .on_row = on_revision,
                          .data = data};
    return run_query(store, query_revisions, &query, err);
}

/* The audit log: rows that can be added, never changed, each sealed with the hash of the one before, that leave from the
 * oldest on when they are old enough.
 *
 * hash = SHA-256(previous hash, id, time, the texts with their lengths, rev, status). Triggers refuse UPDATE
 * and DELETE; whoever goes around them breaks the chain, and `meta` holds its end, so that rows missing at
 * the end show as well.
 *
 * Ageing: `meta` holds the mark up to which entries have left and the hash of the last one, from which the chain goes on;
 * and each move of the mark is an entry itself, which repeats both. So a mark that was moved by somebody else shows as
 * well as a row that is missing. */
#include "gateway/control/store_private.h"

#include "core/base/clock.h"

#include <stdio.h>

#define DAY_US (INT64_C(24) * 3600 * 1000000)
/* The mark moves by at most so many entries in a transaction; and not for every single one that comes of age, which would
 * make an entry for each entry, but when the oldest is a day over it. */
enum { TEXT_MAX = 4096, STEP_ENTRIES = 1000, SLACK_DAYS = 1 };

/* Where the chain begins. */
struct mark {
    uint64_t id; /* the last entry that has left; 0: none has */
    uint8_t hash[ST_HASH_LEN];
};

#define ACTOR SLICE("system:store")
#define VERB_EXPIRE SLICE("expire")

static struct slice cut(struct slice text)
{
    return slice_make(text.base != NULL ? text.base : "", MIN(text.len, TEXT_MAX));
}

/* ---------- the chain ---------- */

static void add_int(struct strbuf *out, uint64_t value)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; ++i)
        bytes[i] = (unsigned char)(value >> (56 - 8 * i));
    strbuf_add(out, bytes, sizeof(bytes));
}

static void chain(const uint8_t before[ST_HASH_LEN], uint64_t id, const struct ctl_audit *entry,
                  uint8_t out[ST_HASH_LEN])
{
    const struct slice texts[] = {entry->actor, entry->origin, entry->agent,
                                  entry->verb,  entry->target, entry->message};
    struct strbuf sealed = STRBUF_INIT;
    strbuf_add(&sealed, before, ST_HASH_LEN);
    add_int(&sealed, id);
    add_int(&sealed, (uint64_t)entry->at_us);
    for (size_t i = 0; i < ARRAY_LEN(texts); ++i) {
        add_int(&sealed, texts[i].len);
        strbuf_add_slice(&sealed, texts[i]);
    }
    add_int(&sealed, entry->rev);
    add_int(&sealed, entry->status);
    crypto_sha256(strbuf_slice(&sealed), out);
    strbuf_clear(&sealed);
}

/* Columns id, at_us, actor, origin, agent, verb, target, message, rev, status, hash. */
static uint64_t entry_of(sqlite3_stmt *stmt, struct ctl_audit *entry, struct slice *ret_hash)
{
    *entry = (struct ctl_audit){
        .at_us = sqlite3_column_int64(stmt, 1),
        .actor = st_text(stmt, 2),
        .origin = st_text(stmt, 3),
        .agent = st_text(stmt, 4),
        .verb = st_text(stmt, 5),
        .target = st_text(stmt, 6),
        .message = st_text(stmt, 7),
        .rev = (uint64_t)sqlite3_column_int64(stmt, 8),
        .status = (unsigned)sqlite3_column_int64(stmt, 9),
    };
    *ret_hash = st_blob(stmt, 10);
    return (uint64_t)sqlite3_column_int64(stmt, 0);
}

#define COLUMNS "id, at_us, actor, origin, agent, verb, target, message, rev, status, hash"

static int check_end(sqlite3 *db, uint64_t id, const uint8_t hash[ST_HASH_LEN], uint64_t *ret_broken_id,
                     struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    if (st_prepare(db, "SELECT audit_id, audit_hash FROM meta", &stmt, err) != 0)
        return -1;
    if (sqlite3_step(stmt) != SQLITE_ROW)
        return st_err(db, err, "read the audit head");
    if ((uint64_t)sqlite3_column_int64(stmt, 0) != id ||
        !slice_eq(st_blob(stmt, 1), slice_make((const char *)hash, ST_HASH_LEN)))
        *ret_broken_id = id + 1; /* the row that should be next */
    return 0;
}

static int read_mark(sqlite3 *db, struct mark *ret, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    int64_t has_mark;
    *ret = (struct mark){0};
    /* A database of schema 1 is checked too: before its steps are taken, and as a backup. */
    if (st_query_int(db, "SELECT count(*) FROM pragma_table_info('meta') WHERE name = 'audit_gone'", &has_mark, err) != 0)
        return -1;
    if (has_mark == 0)
        return 0;
    if (st_prepare(db, "SELECT audit_gone, audit_gone_hash FROM meta", &stmt, err) != 0)
        return -1;
    if (sqlite3_step(stmt) != SQLITE_ROW)
        return st_err(db, err, "read the audit log's beginning");
    struct slice hash = st_blob(stmt, 1);
    if (hash.len != ST_HASH_LEN)
        return err_set(err, ERR_INTERNAL, "the hash before the audit log's first entry has %zu bytes", hash.len);
    ret->id = (uint64_t)sqlite3_column_int64(stmt, 0);
    memcpy(ret->hash, hash.base, ST_HASH_LEN);
    return 0;
}

/* What the entry about a mark says. */
static void describe_mark(const struct mark *mark, char out[192])
{
    char hex[2 * ST_HASH_LEN + 1];
    hex_encode(mark->hash, ST_HASH_LEN, hex);
    snprintf(out, 192, "entries up to %llu have left the audit log; the last one's hash is %s", (unsigned long long)mark->id, hex);
}

static bool is_about_mark(const struct ctl_audit *entry)
{
    return slice_eq(entry->actor, ACTOR) && slice_eq(entry->verb, VERB_EXPIRE);
}

int st_audit_verify(sqlite3 *db, uint64_t *ret_broken_id, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    struct mark mark;
    char about[192];
    *ret_broken_id = 0;
    if (read_mark(db, &mark, err) != 0)
        return -1;
    describe_mark(&mark, about);
    uint8_t hash[ST_HASH_LEN];
    memcpy(hash, mark.hash, ST_HASH_LEN);
    uint64_t last = mark.id;
    bool is_told = mark.id == 0; /* by the newest entry about it */
    int step;
    if (st_prepare(db, "SELECT " COLUMNS " FROM audit ORDER BY id", &stmt, err) != 0)
        return -1;
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ctl_audit entry;
        struct slice stored;
        uint64_t id = entry_of(stmt, &entry, &stored);
        chain(hash, id, &entry, hash);
        if (id != last + 1 || !slice_eq(stored, slice_make((const char *)hash, ST_HASH_LEN))) {
            *ret_broken_id = last + 1;
            return 0;
        }
        last = id;
        if (is_about_mark(&entry))
            is_told = slice_is(entry.message, about);
    }
    if (step != SQLITE_DONE)
        return st_err(db, err, "read the audit log");
    if (!is_told) {
        *ret_broken_id = mark.id + 1;
        return 0;
    }
    return check_end(db, last, hash, ret_broken_id, err);
}

/* ---------- writing ---------- */

int st_audit_load(struct ctl_store *store, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    if (st_prepare(store->db, "SELECT audit_id, audit_hash FROM meta", &stmt, err) != 0)
        return -1;
    if (sqlite3_step(stmt) != SQLITE_ROW)
        return st_err(store->db, err, "read the audit head");
    struct slice hash = st_blob(stmt, 1);
    if (hash.len != ST_HASH_LEN)
        return err_set(err, ERR_INTERNAL, "the audit log's last hash has %zu bytes", hash.len);
    store->audit_id = store->committed_audit_id = (uint64_t)sqlite3_column_int64(stmt, 0);
    memcpy(store->audit_hash, hash.base, ST_HASH_LEN);
    memcpy(store->committed_audit_hash, hash.base, ST_HASH_LEN);
    return 0;
}

int st_audit_append(struct ctl_store *store, const struct ctl_audit *entry, struct err *err)
{
    sqlite3_stmt *stmt = store->stmts[ST_AUDIT_ADD];
    struct ctl_audit row = *entry;
    struct slice *const texts[] = {&row.actor, &row.origin, &row.agent, &row.verb, &row.target, &row.message};
    uint8_t hash[ST_HASH_LEN];
    uint64_t id = store->audit_id + 1;
    for (size_t i = 0; i < ARRAY_LEN(texts); ++i)
        *texts[i] = cut(*texts[i]);
    chain(store->audit_hash, id, &row, hash);
    st_bind(stmt, "iittttttiib", (int64_t)id, row.at_us, row.actor, row.origin, row.agent, row.verb,
            row.target, row.message, (int64_t)row.rev, (int64_t)row.status,
            slice_make((const char *)hash, ST_HASH_LEN));
    if (st_run(stmt, err, "write the audit log") != 0)
        return -1;
    store->audit_id = id;
    memcpy(store->audit_hash, hash, ST_HASH_LEN);
    return 0;
}

int st_audit_append_dropped(struct ctl_store *store, uint64_t num, struct err *err)
{
    char text[128];
    snprintf(text, sizeof(text),
             "%llu entries before this one were dropped: too many came, or the disk did not take them",
             (unsigned long long)num);
    struct ctl_audit entry = {.at_us = clock_wall_us(),
                              .actor = ACTOR,
                              .verb = SLICE("dropped"),
                              .message = slice_of(text)};
    return st_audit_append(store, &entry, err);
}

/* One block: the operation, then the texts. */
struct st_op *st_audit_copy(const struct ctl_audit *entry)
{
    struct ctl_audit copy = *entry;
    struct slice *const texts[] = {&copy.actor, &copy.origin, &copy.agent,
                                   &copy.verb,  &copy.target, &copy.message};
    size_t total = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); ++i)
        total += (*texts[i] = cut(*texts[i])).len;
    struct st_op *op = xcalloc(1, sizeof(*op) + total);
    char *at = (char *)(op + 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); ++i) {
        memcpy(at, texts[i]->base, texts[i]->len);
        texts[i]->base = at;
        at += texts[i]->len;
    }
    if (copy.at_us == 0)
        copy.at_us = clock_wall_us();
    op->kind = ST_AUDIT;
    op->is_async = true;
    op->audit = copy;
    return op;
}

/* ---------- ageing ---------- */

/* The newest entry that may go, as far as one step looks: 1; 0: none may. */
static int find_mark(struct ctl_store *store, struct mark *ret, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    int64_t oldest_us = clock_wall_us() - (int64_t)store->config.keep_audit_days * DAY_US;
    int64_t due_us = store->is_audit_ageing ? oldest_us : oldest_us - SLACK_DAYS * DAY_US;
    int step, found = 0;
    if (st_prepare(store->db, "SELECT id, at_us, hash FROM audit ORDER BY id LIMIT ?", &stmt, err) != 0)
        return -1;
    st_bind(stmt, "i", (int64_t)STEP_ENTRIES);
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW && sqlite3_column_int64(stmt, 1) < (found != 0 ? oldest_us : due_us)) {
        struct slice hash = st_blob(stmt, 2);
        if (hash.len != ST_HASH_LEN)
            return err_set(err, ERR_INTERNAL, "an audit entry's hash has %zu bytes", hash.len);
        ret->id = (uint64_t)sqlite3_column_int64(stmt, 0);
        memcpy(ret->hash, hash.base, ST_HASH_LEN);
        found = 1;
    }
    return step == SQLITE_ROW || step == SQLITE_DONE ? found : st_err(store->db, err, "read the audit log");
}

static int move_mark(struct ctl_store *store, const struct mark *mark, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *set = NULL, *clear = NULL;
    char about[192];
    describe_mark(mark, about);
    struct ctl_audit entry = {.at_us = clock_wall_us(), .actor = ACTOR, .verb = VERB_EXPIRE, .message = slice_of(about)};
    if (st_prepare(store->db, "UPDATE meta SET audit_gone = ?, audit_gone_hash = ? WHERE id = 1", &set, err) != 0 ||
        st_prepare(store->db, "DELETE FROM audit WHERE id <= ?", &clear, err) != 0)
        return -1;
    st_bind(set, "ib", (int64_t)mark->id, slice_make((const char *)mark->hash, ST_HASH_LEN));
    st_bind(clear, "i", (int64_t)mark->id);
    if (st_run(set, err, "age the audit log") != 0 || st_run(clear, err, "age the audit log") != 0)
        return -1;
    return st_audit_append(store, &entry, err);
}

int st_audit_age_step(struct ctl_store *store, struct err *err)
{
    struct mark mark;
    int found = find_mark(store, &mark, err);
    store->is_audit_ageing = found > 0;
    if (found <= 0)
        return found;
    if (st_begin(store, err) != 0)
        return -1;
    if (move_mark(store, &mark, err) != 0) {
        st_note_failure(store, err);
        st_rollback(store);
        return -1;
    }
    return st_commit(store, err) != 0 ? -1 : 1;
}

/* ---------- reading ---------- */

static int read_entries(sqlite3 *db, uint64_t before_id, size_t limit, ctl_audit_cb on_entry, void *data,
                        struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    int step;
    if (st_prepare(db, "SELECT " COLUMNS " FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?", &stmt, err) !=
        0)
        return -1;
    st_bind(stmt, "ii", before_id != 0 ? (int64_t)before_id : INT64_MAX,
            limit != 0 ? (int64_t)limit : INT64_C(-1));
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ctl_audit entry;
        struct slice hash;
        uint64_t id = entry_of(stmt, &entry, &hash);
        if (on_entry(id, &entry, hash, data) != 0)
            return 0;
    }
    return step == SQLITE_DONE ? 0 : st_err(db, err, "read the audit log");
}

int ctl_store_read_audit(struct ctl_store *store, uint64_t before_id, size_t limit, ctl_audit_cb on_entry,
                         void *data, struct err *err)
{
    struct st_reader *reader = st_reader_get(store, err);
    if (reader == NULL)
        return -1;
    int result = read_entries(reader->db, before_id, limit, on_entry, data, err);
    st_reader_put(store, reader);
    return result;
}

int ctl_store_verify_audit(struct ctl_store *store, uint64_t *ret_broken_id, struct err *err)
{
    struct st_reader *reader = st_reader_get(store, err);
    if (reader == NULL)
        return -1;
    uint64_t broken = 0;
    int result = st_audit_verify(reader->db, &broken, err);
    st_reader_put(store, reader);
    if (result != 0 || broken == 0)
        return result;
    *ret_broken_id = broken;
    return err_set(err, ERR_CONFLICT, "the audit log does not fit together at entry %llu",
                   (unsigned long long)broken);
}

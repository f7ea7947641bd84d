/* Ageing of the change log, in steps small enough to go between commit groups.
 *
 * Revisions leave from the oldest on, so that what remains is gap-free; `compacted` moves with them in the
 * same transaction. Objects at head and the audit log are never touched. Freed pages go back to the file
 * system a few at a time. */
#include "gateway/control/store_private.h"

#include "core/base/clock.h"

#include <stdio.h>

#define DAY_US (INT64_C(24) * 3600 * 1000000)
enum { STEP_REVISIONS = 1000, HARD_FACTOR = 3, VACUUM_PAGES = 200 };

static uint64_t below(uint64_t head, uint64_t keep)
{
    return head > keep ? head - keep : 0;
}

/* The newest revision that may go, as far as one step looks. */
static int find_floor(struct ctl_store *store, uint64_t compacted, uint64_t *ret_floor, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    uint64_t soft = below(store->head, store->config.keep_revisions);
    uint64_t hard = below(store->head, (uint64_t)store->config.keep_revisions * HARD_FACTOR);
    int64_t oldest_us = clock_wall_us() - (int64_t)store->config.keep_days * DAY_US;
    uint64_t floor = compacted;
    if (st_prepare(store->db, "SELECT rev, at_us FROM revision WHERE rev > ? ORDER BY rev LIMIT ?", &stmt,
                   err) != 0)
        return -1;
    st_bind(stmt, "ii", (int64_t)compacted, (int64_t)STEP_REVISIONS);
    int step;
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
        uint64_t rev = (uint64_t)sqlite3_column_int64(stmt, 0);
        bool is_old = sqlite3_column_int64(stmt, 1) < oldest_us;
        if (rev > soft || (rev > hard && !is_old))
            break;
        floor = rev;
    }
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        return st_err(store->db, err, "read the revisions");
    uint64_t needed =
        store->config.min_needed_rev != NULL ? store->config.min_needed_rev(store->config.data) : UINT64_MAX;
    *ret_floor = MIN(floor, needed);
    return 0;
}

static int run_with(sqlite3 *db, const char *sql, int64_t value, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    if (st_prepare(db, sql, &stmt, err) != 0)
        return -1;
    st_bind(stmt, "i", value);
    return st_run(stmt, err, "compact");
}

static int drop_upto(struct ctl_store *store, uint64_t floor, struct err *err)
{
    if (st_begin(store, err) != 0)
        return -1;
    if (run_with(store->db, "DELETE FROM change WHERE rev <= ?", (int64_t)floor, err) != 0 ||
        run_with(store->db, "DELETE FROM revision WHERE rev <= ?", (int64_t)floor, err) != 0 ||
        run_with(store->db, "UPDATE meta SET compacted = ? WHERE id = 1", (int64_t)floor, err) != 0) {
        st_note_failure(store, err);
        st_rollback(store);
        return -1;
    }
    if (st_commit(store, err) != 0)
        return -1;
    store->compacted = floor;
    return 0;
}

static int tidy(struct ctl_store *store, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    char sql[64];
    if (run_with(store->db, "DELETE FROM idempotency WHERE at_us <= ?", clock_wall_us() - DAY_US, err) != 0)
        return -1;
    snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
    if (st_prepare(store->db, sql, &stmt, err) != 0)
        return -1;
    int step;
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW) /* one page a row */
        ;
    return step == SQLITE_DONE ? 0 : st_err(store->db, err, "give pages back");
}

int st_compact_step(struct ctl_store *store, struct err *err)
{
    uint64_t compacted = store->compacted, floor = compacted;
    if (find_floor(store, compacted, &floor, err) != 0)
        return -1;
    if (floor > compacted && drop_upto(store, floor, err) != 0)
        return -1;
    if (tidy(store, err) != 0) {
        st_note_failure(store, err);
        return -1;
    }
    return floor > compacted ? 1 : 0;
}

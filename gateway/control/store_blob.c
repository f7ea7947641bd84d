/* Small values: read by readers, written by the writer in its commit groups, without a revision. */
#include "gateway/control/store_private.h"

#include "core/base/clock.h"

/* ---------- on the writer thread ---------- */

static int put_or_delete(struct ctl_store *store, struct st_op *op)
{
    bool is_delete = op->blob.value.base == NULL;
    sqlite3_stmt *stmt = store->stmts[is_delete ? ST_BLOB_DELETE : ST_BLOB_PUT];
    if (is_delete)
        st_bind(stmt, "tt", op->blob.space, op->blob.name);
    else
        st_bind(stmt, "ttbi", op->blob.space, op->blob.name, op->blob.value, clock_wall_us());
    return st_run(stmt, &op->err, "write the blob");
}

/* 1: what is there refuses the write. */
static int check_present(struct ctl_store *store, struct st_op *op)
{
    sqlite3_stmt *stmt = store->stmts[ST_BLOB_GET];
    st_bind(stmt, "tt", op->blob.space, op->blob.name);
    int step = sqlite3_step(stmt), result = 0;
    struct slice present = step == SQLITE_ROW ? st_blob(stmt, 0) : slice_make(NULL, 0);
    struct slice old = op->blob.old;
    if (step != SQLITE_ROW && step != SQLITE_DONE)
        result = st_err(store->db, &op->err, "read the blob");
    else if (op->blob.is_swap && ((old.base == NULL) != (present.base == NULL) || !slice_eq(old, present))) {
        err_set(&op->err, ERR_CONFLICT, "%.*s has been changed", (int)op->blob.name.len, op->blob.name.base);
        result = 1;
    } else if (!op->blob.is_swap && op->blob.value.base == NULL && present.base == NULL) {
        err_set(&op->err, ERR_NOT_FOUND, "%.*s is not there", (int)op->blob.name.len, op->blob.name.base);
        result = 1;
    }
    (void)sqlite3_reset(stmt); /* repeats the error of the step */
    return result;
}

int st_blob_run(struct ctl_store *store, struct st_op *op, bool *ret_fatal)
{
    bool is_plain_put = !op->blob.is_swap && op->blob.value.base != NULL;
    int result = is_plain_put ? 0 : check_present(store, op);
    if (result == 0)
        result = put_or_delete(store, op);
    *ret_fatal = result < 0;
    return result == 0 ? 0 : -1;
}

/* ---------- the callers' side ---------- */

static int submit(struct ctl_store *store, const char *space, const char *name, struct slice value,
                  const struct slice *old, struct err *err)
{
    struct st_op op = {.kind = ST_BLOB};
    if (value.len > ST_BLOB_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s is larger than 16 MiB", name);
    op.blob.space = slice_of(space);
    op.blob.name = slice_of(name);
    op.blob.value = value;
    op.blob.is_swap = old != NULL;
    if (old != NULL)
        op.blob.old = *old;
    return st_op_wait(store, &op, err);
}

int ctl_store_blob_put(struct ctl_store *store, const char *space, const char *name, struct slice value,
                       struct err *err)
{
    return submit(store, space, name, slice_make(value.base != NULL ? value.base : "", value.len), NULL, err);
}

int ctl_store_blob_delete(struct ctl_store *store, const char *space, const char *name, struct err *err)
{
    return submit(store, space, name, slice_make(NULL, 0), NULL, err);
}

int ctl_store_blob_swap(struct ctl_store *store, const char *space, const char *name, struct slice old,
                        struct slice value, struct err *err)
{
    return submit(store, space, name, value, &old, err);
}

static int get(sqlite3 *db, const char *space, const char *name, struct strbuf *ret, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    if (st_prepare(db, "SELECT value FROM blob WHERE space = ? AND name = ?", &stmt, err) != 0)
        return -1;
    st_bind(stmt, "tt", slice_of(space), slice_of(name));
    switch (sqlite3_step(stmt)) {
    case SQLITE_ROW:
        strbuf_add_slice(ret, st_blob(stmt, 0));
        return 0;
    case SQLITE_DONE:
        return err_set(err, ERR_NOT_FOUND, "%s is not there", name);
    default:
        return st_err(db, err, "read the blob");
    }
}

int ctl_store_blob_get(struct ctl_store *store, const char *space, const char *name, struct strbuf *ret,
                       struct err *err)
{
    struct st_reader *reader = st_reader_get(store, err);
    if (reader == NULL)
        return -1;
    int result = get(reader->db, space, name, ret, err);
    st_reader_put(store, reader);
    return result;
}

static int list_all(sqlite3 *db, const char *space, ctl_blob_cb on_blob, void *data, struct err *err)
{
    _cleanup_(st_finalizep) sqlite3_stmt *stmt = NULL;
    int step;
    if (st_prepare(db, "SELECT name, value FROM blob WHERE space = ? ORDER BY name", &stmt, err) != 0)
        return -1;
    st_bind(stmt, "t", slice_of(space));
    while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
        if (on_blob(st_text(stmt, 0), st_blob(stmt, 1), data) != 0)
            return 0;
    return step == SQLITE_DONE ? 0 : st_err(db, err, "list the blobs");
}

int ctl_store_blob_list(struct ctl_store *store, const char *space, ctl_blob_cb on_blob, void *data,
                        struct err *err)
{
    struct st_reader *reader = st_reader_get(store, err);
    if (reader == NULL)
        return -1;
    int result = list_all(reader->db, space, on_blob, data, err);
    st_reader_put(store, reader);
    return result;
}

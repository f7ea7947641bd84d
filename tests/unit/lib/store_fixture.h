/* Small words for tests of the control store: texts in, one call a write. */
#ifndef SELVEDGE_TEST_STORE_FIXTURE_H
#define SELVEDGE_TEST_STORE_FIXTURE_H

#include "gateway/control/store.h"

static inline struct ctl_key key_of_name(const char *name)
{
    return (struct ctl_key){SLICE("gateway.networking.k8s.io/httproutes"), SLICE("shop"), slice_of(name)};
}

static inline struct ctl_write put_of(const char *name, const char *object)
{
    return (struct ctl_write){.op = CTL_PUT, .key = key_of_name(name), .object = slice_of(object)};
}

static inline struct ctl_write delete_of(const char *name)
{
    return (struct ctl_write){.op = CTL_DELETE, .key = key_of_name(name)};
}

/* The revision, or 0 with the error in `err` (may be NULL). */
static inline uint64_t write_all(struct ctl_store *store, struct ctl_write *writes, size_t num, struct err *err)
{
    struct ctl_txn txn = {.writes = writes, .num_writes = num, .actor = SLICE("ann"), .origin = SLICE("10.0.0.1"),
                          .message = SLICE("why"), .request_id = SLICE("r1")};
    if (ctl_store_write(store, &txn) == 0)
        return txn.rev;
    if (err != NULL)
        *err = txn.err;
    return 0;
}

static inline uint64_t put(struct ctl_store *store, const char *name, const char *object)
{
    struct ctl_write write = put_of(name, object);
    return write_all(store, &write, 1, NULL);
}

#endif

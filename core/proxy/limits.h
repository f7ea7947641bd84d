/* Circuit breakers of one cluster: how many connections, waiting requests and requests this node has open towards it. And
 * of one listener: how many connections it has from clients.
 *
 * Threads: shared by all workers, relaxed atomics: a limit may be passed by as many as there are workers for a moment,
 * which no upstream can tell apart. Ownership: counted references; the dataplane's tables keep one per name, so
 * counts survive snapshots. */
#ifndef SELVEDGE_PROXY_LIMITS_H
#define SELVEDGE_PROXY_LIMITS_H

#include "core/base/hashmap.h"

#include <stdatomic.h>

struct px_limits {
    atomic_uint refs, num_connections, num_pending, num_requests;
};

struct px_limits *px_limits_new(void);
struct px_limits *px_limits_ref(struct px_limits *limits);
void px_limits_unref(struct px_limits *limits);

/* The limits of all clusters, or of all listeners, by name; kept while a configuration or a worker refers to them. One thread: the dataplane's. */
struct px_limits_table {
    struct hashmap by_name; /* name -> struct px_limits_entry */
};
/* A new reference; made at the first call for that name. */
struct px_limits *px_limits_of(struct px_limits_table *table, struct slice name);
/* Forgets those that only the table holds: of clusters long gone. */
void px_limits_sweep(struct px_limits_table *table);
void px_limits_clear(struct px_limits_table *table);

/* Counts one more unless that passes `max`. */
static inline bool px_limit_take(atomic_uint *count, unsigned max)
{
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < max)
        return true;
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    return false;
}
static inline void px_limit_force(atomic_uint *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}
static inline void px_limit_give(atomic_uint *count)
{
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

#endif

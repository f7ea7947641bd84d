/* What a worker counts: plain numbers of its own, written by nobody else; whoever wants to see them sends the worker a
 * message and gets a copy (telemetry/collect.h). So counting costs an increment, no atomics.
 *
 * Series: one per (route, backend) pair that a snapshot can produce, kept while any snapshot in use names it and after,
 * so that counters never go back; at most PX_MAX_SERIES, the rest is folded into one named "other". */
#ifndef SELVEDGE_PROXY_STATS_H
#define SELVEDGE_PROXY_STATS_H

#include "core/base/hashmap.h"
#include "core/proxy/fail.h"

enum { PX_MAX_SERIES = 4096, PX_NUM_CODE_CLASSES = 6 /* 0: no status; 1xx .. 5xx */, PX_NUM_LATENCY_BUCKETS = 17 };

/* Upper bounds in microseconds, the last one is infinite. */
extern const uint64_t px_latency_bounds_us[PX_NUM_LATENCY_BUCKETS];

struct px_latency {
    uint64_t buckets[PX_NUM_LATENCY_BUCKETS];
    uint64_t sum_us, count;
};

struct px_series {
    struct slice key;            /* owned: route, NUL, backend */
    struct slice route, backend; /* point into key */
    uint64_t requests[PX_NUM_CODE_CLASSES];
    uint64_t bytes_in, bytes_out, retries;
    struct px_latency duration;  /* first byte in to last byte out */
    struct px_latency upstream;  /* start of the last attempt to the response head */
};

struct px_stats {
    struct hashmap series;       /* owned; key -> struct px_series */
    struct px_series *other;     /* of those beyond the cap */
    uint64_t fails[PX_NUM_FAILS];
    uint64_t bad_requests;       /* answered by the protocol engines */
    uint64_t conns_accepted, conns_refused, accept_errors;
    uint64_t requests, retries, tunnels;
    uint64_t log_lines, log_dropped;
};

void px_stats_init(struct px_stats *stats);
void px_stats_clear(struct px_stats *stats);
struct px_series *px_stats_series(struct px_stats *stats, struct slice route, struct slice backend);
void px_latency_add(struct px_latency *latency, uint64_t us);

/* Sums for rendering. */
void px_series_merge(struct px_series *into, const struct px_series *from);
void px_stats_merge(struct px_stats *into, const struct px_stats *from);

#endif

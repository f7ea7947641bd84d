/* What a process counts: one table of metrics, a shard per worker and one for the main thread (core/base/metrics.h).
 *
 * Per (route, backend) pair the shard's series are opened once and kept in a px_series, so that counting on the request
 * path is plain additions. Pairs are kept while a configuration in use names them; afterwards their counts live on in the
 * shard until their room is needed. */
#ifndef SELVEDGE_PROXY_STATS_H
#define SELVEDGE_PROXY_STATS_H

#include "core/base/hashmap.h"
#include "core/base/metrics.h"
#include "core/proxy/fail.h"

enum px_metric {
    PX_METRIC_REQUESTS,       /* route, backend, code_class */
    PX_METRIC_DURATION,       /* route, backend */
    PX_METRIC_FIRST_BYTE,     /* route, backend */
    PX_METRIC_BYTES_IN,       /* route, backend */
    PX_METRIC_BYTES_OUT,      /* route, backend */
    PX_METRIC_RETRIES,        /* route, backend */
    PX_METRIC_FAILURES,       /* cause */
    PX_METRIC_ACTIVE,
    PX_METRIC_CONNS,
    PX_METRIC_CONNS_TOTAL,
    PX_METRIC_CONNS_REFUSED,
    PX_METRIC_BAD_REQUESTS,
    PX_METRIC_TUNNELS,
    PX_METRIC_BUFFERS,
    PX_METRIC_LOG_LINES,
    PX_METRIC_LOG_DROPPED,
    PX_METRIC_REVISION,       /* the main shard's */
    PX_METRIC_READY,
    PX_METRIC_WORKERS,
    PX_METRIC_LISTENER_OPEN,  /* listener */
    PX_NUM_METRICS,
    PX_NUM_CODE_CLASSES = 6   /* 0: no status; 1xx .. 5xx */
};
extern const struct metric_desc px_metric_table[PX_NUM_METRICS];

struct px_series {
    char *key; /* owned: route, NUL, backend */
    size_t key_len;
    unsigned refs;
    struct slice values[2]; /* route, backend: in key */
    struct metric *requests[PX_NUM_CODE_CLASSES]; /* opened when first needed */
    struct metric *duration, *first_byte, *bytes_in, *bytes_out;
};

struct px_stats {
    struct metrics *shard;  /* owned */
    struct hashmap series;  /* key -> struct px_series */
    struct metric *fails[PX_NUM_FAILS];
    struct metric *active, *conns, *conns_total, *conns_refused, *bad_requests, *tunnels, *buffers, *log_lines, *log_dropped;
};

void px_stats_init(struct px_stats *stats);
void px_stats_clear(struct px_stats *stats);
struct px_series *px_series_use(struct px_stats *stats, struct slice route, struct slice backend); /* a reference */
void px_series_unref(struct px_stats *stats, struct px_series *series);
void px_series_count(struct px_stats *stats, struct px_series *series, unsigned status);
void px_series_retry(struct px_stats *stats, struct px_series *series);
void px_stats_fail(struct px_stats *stats, enum px_fail fail);

#endif

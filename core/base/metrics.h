/* Counters, gauges and histograms by table, kept per worker and merged when somebody looks.
 *
 * Threads: one thread, the writer, opens, closes and changes the series of a struct metrics; changing costs
 * one plain addition and takes no lock. Any thread may read: metrics_write() and metrics_each() take a lock
 * that the writer takes only to open and close series. Ownership: tables are borrowed for ever, label values
 * are copied. Limits: each metric has at most `max_series` label combinations; what comes on top is counted
 * in one more series whose labels all read "other", so that random hosts or paths cannot fill memory. A
 * combination nobody holds open makes room for a new one, the one unused for longest first, and what it
 * counted goes to "other": sums over all series never drop. A label value is cut at METRIC_VALUE_MAX bytes.
 */
#ifndef SELVEDGE_BASE_METRICS_H
#define SELVEDGE_BASE_METRICS_H

#include "core/base/histogram.h"
#include "core/base/strbuf.h"

enum { METRIC_LABELS_MAX = 8, METRIC_VALUE_MAX = 128 };
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* One row of a table. */
struct metric_desc {
    const char *name; /* as exposed: base units, counters end in _total */
    enum metric_type type;
    const char *help;
    const char *labels[METRIC_LABELS_MAX]; /* names, up to the first NULL */
    uint32_t max_series; /* 0: 1000 */
    double scale; /* exposed value = counted * scale; 0: 1. Microseconds to seconds: 1e-6 */
    const uint64_t *bounds; /* HISTOGRAM: `le` in counted units, rising, closed by 0; NULL: latencies in us */
};

struct metrics;

/* One series: a metric with its label values. */
struct metric {
    union {
        uint64_t count; /* COUNTER */
        int64_t level; /* GAUGE */
        struct histogram histogram; /* HISTOGRAM */
    };
};

/* `id`s are positions in `table`. Metrics without labels exist, and show as 0, from the start. */
struct metrics *metrics_new(const struct metric_desc *table, unsigned num);
struct metrics *metrics_free(struct metrics *metrics); /* NULL is fine; returns NULL */

/* The series for these values (as many as the metric has labels; NULL when it has none), never NULL; usable
 * until closed. Open once and keep what the hot path counts on. */
struct metric *metrics_open(struct metrics *metrics, unsigned id, const struct slice *values);
void metrics_close(struct metrics *metrics, struct metric *metric); /* NULL is fine */

/* Writer only. */
static inline void metric_add(struct metric *metric, uint64_t n)
{
    __atomic_store_n(&metric->count, metric->count + n, __ATOMIC_RELAXED);
}
static inline void metric_set(struct metric *metric, int64_t level)
{
    __atomic_store_n(&metric->level, level, __ATOMIC_RELAXED);
}
static inline void metric_move(struct metric *metric, int64_t by)
{
    __atomic_store_n(&metric->level, metric->level + by, __ATOMIC_RELAXED);
}
static inline void metric_record(struct metric *metric, uint64_t value)
{
    histogram_record(&metric->histogram, value);
}
/* Open, count and close in one, for what happens rarely. */
void metrics_add(struct metrics *metrics, unsigned id, const struct slice *values, uint64_t n);

/* A merged series, as metrics_each() shows it; all of it borrowed for the call. */
struct metric_view {
    const struct metric_desc *desc;
    unsigned id;
    const struct slice *values; /* of the labels */
    uint64_t count;
    int64_t level;
    const struct histogram *histogram;
};
typedef void (*metrics_cb)(const struct metric_view *view, void *data);

/* The shards (all of one table) merged: counts and levels add up. In the order of the table, then of label
 * values. */
void metrics_each(struct metrics *const *shards, unsigned num, metrics_cb on_series, void *data);
/* The same as Prometheus text (exposition format 0.0.4). */
void metrics_write(struct strbuf *out, struct metrics *const *shards, unsigned num);

#endif

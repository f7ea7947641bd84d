/* Counters and their sums. */
#include "core/proxy/telemetry/stats.h"

/* Half-decades with 1-2.5-5 steps: fine enough for alerts, few enough for a scrape; 60 s ends what people wait for. */
const uint64_t px_latency_bounds_us[PX_NUM_LATENCY_BUCKETS] = {
    250,     500,     1000,    2500,    5000,     10000,    25000,    50000,      100000,
    250000,  500000,  1000000, 2500000, 5000000,  10000000, 60000000, UINT64_MAX,
};

void px_latency_add(struct px_latency *latency, uint64_t us)
{
    unsigned at = 0;

    while (us > px_latency_bounds_us[at])
        ++at;
    ++latency->buckets[at];
    latency->sum_us += us;
    ++latency->count;
}

void px_stats_init(struct px_stats *stats)
{
    *stats = (struct px_stats){.series = HASHMAP_INIT};
}

void px_stats_clear(struct px_stats *stats)
{
    struct hashmap_slot *slot;

    for (size_t i = 0; (slot = hashmap_next(&stats->series, &i)) != NULL;) {
        struct px_series *series = slot->value;
        free((char *)series->key.base);
        free(series);
    }
    hashmap_clear(&stats->series);
    px_stats_init(stats);
}

static struct px_series *series_new(struct px_stats *stats, struct slice key, size_t route_len)
{
    struct px_series *series = xcalloc(1, sizeof(*series));

    series->key = slice_make(xstrndup(key.base, key.len), key.len);
    series->route = slice_make(series->key.base, route_len);
    series->backend = slice_make(series->key.base + route_len + 1, key.len - route_len - 1);
    hashmap_put(&stats->series, series->key.base, series->key.len, series);
    return series;
}

struct px_series *px_stats_series(struct px_stats *stats, struct slice route, struct slice backend)
{
    char text[1024];
    size_t route_len = MIN(route.len, (size_t)400), backend_len = MIN(backend.len, (size_t)400);
    struct slice key = slice_make(text, route_len + 1 + backend_len);

    if (route_len != 0)
        memcpy(text, route.base, route_len);
    text[route_len] = '\0';
    if (backend_len != 0)
        memcpy(text + route_len + 1, backend.base, backend_len);
    struct px_series *series = hashmap_get(&stats->series, key.base, key.len);
    if (series != NULL)
        return series;
    if (hashmap_len(&stats->series) < PX_MAX_SERIES)
        return series_new(stats, key, route_len);
    if (stats->other == NULL)
        stats->other = series_new(stats, SLICE("other\0other"), 5);
    return stats->other;
}

static void latency_merge(struct px_latency *into, const struct px_latency *from)
{
    for (unsigned i = 0; i < PX_NUM_LATENCY_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    into->sum_us += from->sum_us;
    into->count += from->count;
}

void px_series_merge(struct px_series *into, const struct px_series *from)
{
    for (unsigned i = 0; i < PX_NUM_CODE_CLASSES; i++)
        into->requests[i] += from->requests[i];
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
    into->retries += from->retries;
    latency_merge(&into->duration, &from->duration);
    latency_merge(&into->upstream, &from->upstream);
}

void px_stats_merge(struct px_stats *into, const struct px_stats *from)
{
    struct hashmap_slot *slot;

    for (size_t i = 0; (slot = hashmap_next(&from->series, &i)) != NULL;) {
        struct px_series *series = slot->value;
        px_series_merge(px_stats_series(into, series->route, series->backend), series);
    }
    for (unsigned i = 0; i < PX_NUM_FAILS; i++)
        into->fails[i] += from->fails[i];
    into->bad_requests += from->bad_requests;
    into->conns_accepted += from->conns_accepted;
    into->conns_refused += from->conns_refused;
    into->accept_errors += from->accept_errors;
    into->requests += from->requests;
    into->retries += from->retries;
    into->tunnels += from->tunnels;
    into->log_lines += from->log_lines;
    into->log_dropped += from->log_dropped;
}

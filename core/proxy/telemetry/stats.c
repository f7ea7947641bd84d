/* The table, and series opened lazily: a route nobody asks for costs nothing. */
#include "core/proxy/telemetry/stats.h"

enum { MAX_SERIES = 8192 };

#define PAIR "route", "backend"

const struct metric_desc px_metric_table[PX_NUM_METRICS] = {
    [PX_METRIC_REQUESTS] = {"selvedge_requests_total", METRIC_COUNTER, "Requests by route, backend and class of status.",
                            {PAIR, "code_class"}, MAX_SERIES, 0, NULL},
    [PX_METRIC_DURATION] = {"selvedge_request_duration_seconds", METRIC_HISTOGRAM,
                            "First byte of the request to last byte of the response.", {PAIR}, MAX_SERIES, 1e-6, NULL},
    [PX_METRIC_FIRST_BYTE] = {"selvedge_upstream_first_byte_seconds", METRIC_HISTOGRAM,
                              "Start of the last attempt to the response head.", {PAIR}, MAX_SERIES, 1e-6, NULL},
    [PX_METRIC_BYTES_IN] = {"selvedge_request_bytes_total", METRIC_COUNTER, "Request body bytes received.",
                            {PAIR}, MAX_SERIES, 0, NULL},
    [PX_METRIC_BYTES_OUT] = {"selvedge_response_bytes_total", METRIC_COUNTER, "Response body bytes sent.",
                             {PAIR}, MAX_SERIES, 0, NULL},
    [PX_METRIC_RETRIES] = {"selvedge_retries_total", METRIC_COUNTER, "Attempts made again.", {PAIR}, MAX_SERIES, 0, NULL},
    [PX_METRIC_FAILURES] = {"selvedge_failures_total", METRIC_COUNTER,
                            "Requests the proxy itself ended or answered, by cause.", {"cause"}, 0, 0, NULL},
    [PX_METRIC_ACTIVE] = {"selvedge_requests_active", METRIC_GAUGE, "Requests in flight.", {NULL}, 0, 0, NULL},
    [PX_METRIC_CONNS] = {"selvedge_downstream_connections", METRIC_GAUGE, "Open downstream connections.",
                         {NULL}, 0, 0, NULL},
    [PX_METRIC_CONNS_TOTAL] = {"selvedge_downstream_connections_total", METRIC_COUNTER, "Accepted downstream connections.",
                               {NULL}, 0, 0, NULL},
    [PX_METRIC_CONNS_REFUSED] = {"selvedge_downstream_connections_refused_total", METRIC_COUNTER,
                                 "Connections closed at once: too many of them, or no memory.", {NULL}, 0, 0, NULL},
    [PX_METRIC_BAD_REQUESTS] = {"selvedge_downstream_bad_requests_total", METRIC_COUNTER,
                                "Bytes that were no valid request.", {NULL}, 0, 0, NULL},
    [PX_METRIC_TUNNELS] = {"selvedge_tunnels_total", METRIC_COUNTER, "Upgraded connections.", {NULL}, 0, 0, NULL},
    [PX_METRIC_BUFFERS] = {"selvedge_buffer_bytes", METRIC_GAUGE, "Bytes held in buffers.", {NULL}, 0, 0, NULL},
    [PX_METRIC_LOG_LINES] = {"selvedge_access_log_lines_total", METRIC_COUNTER, "Access log lines made.",
                             {NULL}, 0, 0, NULL},
    [PX_METRIC_LOG_DROPPED] = {"selvedge_access_log_dropped_total", METRIC_COUNTER, "Access log lines lost to a slow disk.",
                               {NULL}, 0, 0, NULL},
    [PX_METRIC_REVISION] = {"selvedge_snapshot_revision", METRIC_GAUGE, "Revision of the configuration served.",
                            {NULL}, 0, 0, NULL},
    [PX_METRIC_READY] = {"selvedge_ready", METRIC_GAUGE, "1 when serving.", {NULL}, 0, 0, NULL},
    [PX_METRIC_WORKERS] = {"selvedge_workers", METRIC_GAUGE, "Worker threads.", {NULL}, 0, 0, NULL},
    [PX_METRIC_LISTENER_OPEN] = {"selvedge_listener_open", METRIC_GAUGE, "1 when the listener is bound.",
                                 {"listener"}, 0, 0, NULL},
};

static const struct {
    enum px_metric id;
    size_t at; /* of a struct metric * in struct px_stats */
} singles[] = {
    {PX_METRIC_ACTIVE, offsetof(struct px_stats, active)},
    {PX_METRIC_CONNS, offsetof(struct px_stats, conns)},
    {PX_METRIC_CONNS_TOTAL, offsetof(struct px_stats, conns_total)},
    {PX_METRIC_CONNS_REFUSED, offsetof(struct px_stats, conns_refused)},
    {PX_METRIC_BAD_REQUESTS, offsetof(struct px_stats, bad_requests)},
    {PX_METRIC_TUNNELS, offsetof(struct px_stats, tunnels)},
    {PX_METRIC_BUFFERS, offsetof(struct px_stats, buffers)},
    {PX_METRIC_LOG_LINES, offsetof(struct px_stats, log_lines)},
    {PX_METRIC_LOG_DROPPED, offsetof(struct px_stats, log_dropped)},
};

void px_stats_init(struct px_stats *stats)
{
    *stats = (struct px_stats){.shard = metrics_new(px_metric_table, PX_NUM_METRICS), .series = HASHMAP_INIT};
    for (size_t i = 0; i < ARRAY_LEN(singles); i++)
        *(struct metric **)((char *)stats + singles[i].at) = metrics_open(stats->shard, singles[i].id, NULL);
}

static void series_free(struct px_stats *stats, struct px_series *series)
{
    for (unsigned i = 0; i < PX_NUM_CODE_CLASSES; i++)
        metrics_close(stats->shard, series->requests[i]);
    metrics_close(stats->shard, series->duration);
    metrics_close(stats->shard, series->first_byte);
    metrics_close(stats->shard, series->bytes_in);
    metrics_close(stats->shard, series->bytes_out);
    free(series->key);
    free(series);
}

void px_stats_clear(struct px_stats *stats)
{
    struct hashmap_slot *slot;

    for (size_t i = 0; (slot = hashmap_next(&stats->series, &i)) != NULL;)
        series_free(stats, slot->value);
    hashmap_clear(&stats->series);
    stats->shard = metrics_free(stats->shard);
}

static struct px_series *series_new(struct px_stats *stats, struct slice route, struct slice backend)
{
    struct px_series *series = xcalloc(1, sizeof(*series));

    series->key_len = route.len + 1 + backend.len;
    series->key = xcalloc(1, series->key_len + 1);
    if (route.len != 0)
        memcpy(series->key, route.base, route.len);
    if (backend.len != 0)
        memcpy(series->key + route.len + 1, backend.base, backend.len);
    series->values[0] = slice_make(series->key, route.len);
    series->values[1] = slice_make(series->key + route.len + 1, backend.len);
    series->duration = metrics_open(stats->shard, PX_METRIC_DURATION, series->values);
    series->first_byte = metrics_open(stats->shard, PX_METRIC_FIRST_BYTE, series->values);
    series->bytes_in = metrics_open(stats->shard, PX_METRIC_BYTES_IN, series->values);
    series->bytes_out = metrics_open(stats->shard, PX_METRIC_BYTES_OUT, series->values);
    return series;
}

struct px_series *px_series_use(struct px_stats *stats, struct slice route, struct slice backend)
{
    struct px_series *made = series_new(stats, route, backend);
    struct px_series *series = hashmap_get(&stats->series, made->key, made->key_len);

    if (series == NULL) {
        series = made;
        hashmap_put(&stats->series, series->key, series->key_len, series);
    } else {
        series_free(stats, made);
    }
    ++series->refs;
    return series;
}

void px_series_unref(struct px_stats *stats, struct px_series *series)
{
    if (series == NULL || --series->refs != 0)
        return;
    (void)hashmap_remove(&stats->series, series->key, series->key_len);
    series_free(stats, series);
}

void px_series_count(struct px_stats *stats, struct px_series *series, unsigned status)
{
    static const struct slice names[PX_NUM_CODE_CLASSES] = {SLICE("none"), SLICE("1xx"), SLICE("2xx"),
                                                            SLICE("3xx"),  SLICE("4xx"), SLICE("5xx")};
    unsigned class = status / 100 < PX_NUM_CODE_CLASSES ? status / 100 : 0;

    if (series->requests[class] == NULL) {
        struct slice values[3] = {series->values[0], series->values[1], names[class]};
        series->requests[class] = metrics_open(stats->shard, PX_METRIC_REQUESTS, values);
    }
    metric_add(series->requests[class], 1);
}

void px_series_retry(struct px_stats *stats, struct px_series *series)
{
    metrics_add(stats->shard, PX_METRIC_RETRIES, series->values, 1);
}

void px_stats_fail(struct px_stats *stats, enum px_fail fail)
{
    struct slice label = slice_of(px_fail_info(fail)->label);

    if (stats->fails[fail] == NULL)
        stats->fails[fail] = metrics_open(stats->shard, PX_METRIC_FAILURES, &label);
    metric_add(stats->fails[fail], 1);
}

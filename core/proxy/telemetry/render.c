/* Plain appending, one function a metric family. Label values are escaped as the format asks. */
#include "core/proxy/telemetry/render.h"

#include "core/base/json.h"

#include <stdio.h>

static void family(struct strbuf *out, const char *name, const char *type, const char *help)
{
    strbuf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void label(struct strbuf *out, const char *name, struct slice value, char before)
{
    strbuf_addc(out, before);
    strbuf_adds(out, name);
    strbuf_adds(out, "=\"");
    for (size_t i = 0; i < value.len; i++) {
        char c = value.base[i];
        if (c == '\\' || c == '"')
            strbuf_addc(out, '\\');
        if (c == '\n')
            strbuf_adds(out, "\\n");
        else
            strbuf_addc(out, c);
    }
    strbuf_addc(out, '"');
}

static void single(struct strbuf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    family(out, name, type, help);
    strbuf_addf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void value(struct strbuf *out, uint64_t number)
{
    strbuf_addc(out, ' ');
    strbuf_addu(out, number);
    strbuf_addc(out, '\n');
}

/* ---- series ---- */

typedef void (*series_fn)(struct strbuf *out, const struct px_series *series);

static void each_series(struct strbuf *out, const struct px_stats *stats, series_fn fn)
{
    struct hashmap_slot *slot;

    for (size_t i = 0; (slot = hashmap_next(&stats->series, &i)) != NULL;)
        fn(out, slot->value);
}

static void series_labels(struct strbuf *out, const char *name, const struct px_series *series)
{
    strbuf_adds(out, name);
    label(out, "route", series->route, '{');
    label(out, "backend", series->backend, ',');
}

static void requests_total(struct strbuf *out, const struct px_series *series)
{
    static const char *const classes[PX_NUM_CODE_CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

    for (unsigned i = 0; i < PX_NUM_CODE_CLASSES; i++) {
        if (series->requests[i] == 0)
            continue;
        series_labels(out, "selvedge_requests_total", series);
        label(out, "code_class", slice_of(classes[i]), ',');
        strbuf_addc(out, '}');
        value(out, series->requests[i]);
    }
}

static void plain_series(struct strbuf *out, const char *name, const struct px_series *series, uint64_t number)
{
    if (number == 0)
        return;
    series_labels(out, name, series);
    strbuf_addc(out, '}');
    value(out, number);
}

static void bytes_in(struct strbuf *out, const struct px_series *series)
{
    plain_series(out, "selvedge_request_bytes_total", series, series->bytes_in);
}

static void bytes_out(struct strbuf *out, const struct px_series *series)
{
    plain_series(out, "selvedge_response_bytes_total", series, series->bytes_out);
}

static void retries(struct strbuf *out, const struct px_series *series)
{
    plain_series(out, "selvedge_retries_total", series, series->retries);
}

static void histogram(struct strbuf *out, const char *name, const struct px_series *series, const struct px_latency *latency)
{
    char text[64];
    uint64_t sum = 0;

    if (latency->count == 0)
        return;
    snprintf(text, sizeof(text), "%s_bucket", name);
    for (unsigned i = 0; i < PX_NUM_LATENCY_BUCKETS; i++) {
        bool is_last = px_latency_bounds_us[i] == UINT64_MAX;
        sum += latency->buckets[i];
        series_labels(out, text, series);
        if (is_last)
            strbuf_adds(out, ",le=\"+Inf\"}");
        else
            strbuf_addf(out, ",le=\"%g\"}", (double)px_latency_bounds_us[i] / 1e6);
        value(out, sum);
    }
    snprintf(text, sizeof(text), "%s_sum", name);
    series_labels(out, text, series);
    strbuf_addf(out, "} %.6f\n", (double)latency->sum_us / 1e6);
    snprintf(text, sizeof(text), "%s_count", name);
    series_labels(out, text, series);
    strbuf_addc(out, '}');
    value(out, latency->count);
}

static void duration(struct strbuf *out, const struct px_series *series)
{
    histogram(out, "selvedge_request_duration_seconds", series, &series->duration);
}

static void upstream_time(struct strbuf *out, const struct px_series *series)
{
    histogram(out, "selvedge_upstream_first_byte_seconds", series, &series->upstream);
}

static void render_series(struct strbuf *out, const struct px_stats *stats)
{
    family(out, "selvedge_requests_total", "counter", "Requests by route, backend and class of status.");
    each_series(out, stats, requests_total);
    family(out, "selvedge_request_bytes_total", "counter", "Request body bytes received.");
    each_series(out, stats, bytes_in);
    family(out, "selvedge_response_bytes_total", "counter", "Response body bytes sent.");
    each_series(out, stats, bytes_out);
    family(out, "selvedge_retries_total", "counter", "Attempts made again.");
    each_series(out, stats, retries);
    family(out, "selvedge_request_duration_seconds", "histogram", "First byte of the request to last byte of the response.");
    each_series(out, stats, duration);
    family(out, "selvedge_upstream_first_byte_seconds", "histogram", "Start of the last attempt to the response head.");
    each_series(out, stats, upstream_time);
}

/* ---- the rest ---- */

static void render_fails(struct strbuf *out, const struct px_stats *stats)
{
    family(out, "selvedge_failures_total", "counter", "Requests the proxy itself ended or answered, by cause.");
    for (unsigned i = PX_FAIL_NONE + 1; i < PX_NUM_FAILS; i++) {
        if (stats->fails[i] == 0)
            continue;
        strbuf_adds(out, "selvedge_failures_total");
        label(out, "cause", slice_of(px_fail_info((enum px_fail)i)->label), '{');
        strbuf_addc(out, '}');
        value(out, stats->fails[i]);
    }
}

static void render_process(struct strbuf *out, const struct px_dataplane *dataplane, const struct px_collection *all)
{
    const struct px_stats *stats = &all->stats;
    const struct px_config *config = px_dataplane_config(dataplane);

    single(out, "selvedge_downstream_connections", "gauge", "Open downstream connections.", all->num_conns);
    single(out, "selvedge_downstream_connections_total", "counter", "Accepted downstream connections.", stats->conns_accepted);
    single(out, "selvedge_downstream_connections_refused_total", "counter", "Connections closed at once: too many, or no memory.",
           stats->conns_refused);
    single(out, "selvedge_downstream_bad_requests_total", "counter", "Bytes that were no valid request.", stats->bad_requests);
    single(out, "selvedge_requests_active", "gauge", "Requests in flight.", all->num_requests);
    single(out, "selvedge_tunnels_total", "counter", "Upgraded connections.", stats->tunnels);
    single(out, "selvedge_buffer_bytes", "gauge", "Bytes held in buffers.", all->mem_used);
    single(out, "selvedge_access_log_lines_total", "counter", "Access log lines made.", stats->log_lines);
    single(out, "selvedge_access_log_dropped_total", "counter", "Access log lines lost to a slow disk.", stats->log_dropped);
    single(out, "selvedge_snapshot_revision", "gauge", "Revision of the configuration served.",
           config != NULL ? config->snapshot->rev : 0);
    single(out, "selvedge_ready", "gauge", "1 when serving.", px_dataplane_is_ready(dataplane));
    single(out, "selvedge_workers", "gauge", "Worker threads.", px_dataplane_num_workers(dataplane));
}

static void render_listeners(struct strbuf *out, const struct px_dataplane *dataplane)
{
    uint32_t num;
    const struct px_listener_status *listeners = px_dataplane_listeners(dataplane, &num);

    family(out, "selvedge_listener_open", "gauge", "1 when the listener is bound.");
    for (uint32_t i = 0; i < num; i++) {
        strbuf_adds(out, "selvedge_listener_open");
        label(out, "listener", listeners[i].name, '{');
        strbuf_addc(out, '}');
        value(out, listeners[i].is_open);
    }
}

static uint64_t get_conns(const struct px_endpoint_row *row)
{
    return row->conns;
}

static uint64_t get_active(const struct px_endpoint_row *row)
{
    return row->active;
}

static uint64_t get_requests(const struct px_endpoint_row *row)
{
    return row->requests;
}

static uint64_t get_connects(const struct px_endpoint_row *row)
{
    return row->connects;
}

static uint64_t get_connect_fails(const struct px_endpoint_row *row)
{
    return row->connect_fails;
}

static uint64_t get_fails(const struct px_endpoint_row *row)
{
    return row->fails;
}

static uint64_t get_healthy(const struct px_endpoint_row *row)
{
    return row->is_ready && row->is_healthy;
}

static const struct {
    const char *name, *type, *help;
    uint64_t (*get)(const struct px_endpoint_row *row);
} endpoint_metrics[] = {
    {"selvedge_upstream_connections", "gauge", "Open connections to the endpoint.", get_conns},
    {"selvedge_upstream_requests_active", "gauge", "Requests in flight to the endpoint.", get_active},
    {"selvedge_upstream_requests_total", "counter", "Attempts on the endpoint.", get_requests},
    {"selvedge_upstream_connects_total", "counter", "Connections begun.", get_connects},
    {"selvedge_upstream_connect_failures_total", "counter", "Connections that failed before they were ready.", get_connect_fails},
    {"selvedge_upstream_failures_total", "counter", "Attempts that failed.", get_fails},
    {"selvedge_upstream_healthy", "gauge", "1 when ready by configuration and not found unhealthy.", get_healthy},
};

static void render_endpoints(struct strbuf *out, const struct px_collection *all)
{
    for (size_t m = 0; m < ARRAY_LEN(endpoint_metrics); m++) {
        family(out, endpoint_metrics[m].name, endpoint_metrics[m].type, endpoint_metrics[m].help);
        for (size_t i = 0; i < all->num_rows; i++) {
            const struct px_endpoint_row *row = &all->rows[i];
            if (row->endpoint.len == 0)
                continue;
            strbuf_adds(out, endpoint_metrics[m].name);
            label(out, "cluster", row->cluster, '{');
            label(out, "endpoint", row->endpoint, ',');
            strbuf_addc(out, '}');
            value(out, endpoint_metrics[m].get(row));
        }
    }
}

static void render_clusters_metrics(struct strbuf *out, const struct px_collection *all)
{
    family(out, "selvedge_cluster_panic", "gauge", "1 when health is ignored because too few endpoints are healthy.");
    for (size_t i = 0; i < all->num_rows; i++) {
        if (all->rows[i].endpoint.len != 0)
            continue;
        strbuf_adds(out, "selvedge_cluster_panic");
        label(out, "cluster", all->rows[i].cluster, '{');
        strbuf_addc(out, '}');
        value(out, all->rows[i].is_panicking);
    }
}

void px_render_metrics(const struct px_dataplane *dataplane, const struct px_collection *collection, struct strbuf *out)
{
    render_process(out, dataplane, collection);
    render_listeners(out, dataplane);
    render_fails(out, &collection->stats);
    render_series(out, &collection->stats);
    render_endpoints(out, collection);
    render_clusters_metrics(out, collection);
}

/* ---- JSON ---- */

static void text(struct strbuf *out, const char *before, struct slice value)
{
    strbuf_adds(out, before);
    json_quote(out, value);
}

static void render_endpoint_json(struct strbuf *out, const struct px_endpoint_row *row)
{
    text(out, "{\"endpoint\":", row->endpoint);
    strbuf_addf(out,
                ",\"ready\":%s,\"healthy\":%s,\"addresses\":%u,\"connections\":%u,\"active\":%u,\"requests\":%llu,"
                "\"connects\":%llu,\"connectFailures\":%llu,\"failures\":%llu}",
                row->is_ready ? "true" : "false", row->is_healthy ? "true" : "false", row->num_addresses, row->conns,
                row->active, (unsigned long long)row->requests, (unsigned long long)row->connects,
                (unsigned long long)row->connect_fails, (unsigned long long)row->fails);
}

void px_render_clusters(const struct px_collection *collection, struct strbuf *out)
{
    bool is_open = false, is_first = true;

    strbuf_adds(out, "{\"clusters\":[");
    for (size_t i = 0; i < collection->num_rows; i++) {
        const struct px_endpoint_row *row = &collection->rows[i];
        if (row->endpoint.len == 0) { /* sorts before its endpoints */
            text(out, is_open ? "]},{\"name\":" : "{\"name\":", row->cluster);
            strbuf_addf(out, ",\"panic\":%s,\"waiting\":%u,\"endpoints\":[", row->is_panicking ? "true" : "false",
                        row->waiting);
            is_open = is_first = true;
            continue;
        }
        if (!is_first)
            strbuf_addc(out, ',');
        is_first = false;
        render_endpoint_json(out, row);
    }
    strbuf_adds(out, is_open ? "]}]}\n" : "]}\n");
}

void px_render_config(const struct px_dataplane *dataplane, struct strbuf *out)
{
    const struct px_config *config = px_dataplane_config(dataplane);
    uint32_t num;
    const struct px_listener_status *listeners = px_dataplane_listeners(dataplane, &num);
    const struct cfg_snapshot *snapshot = config != NULL ? config->snapshot : NULL;

    strbuf_addf(out, "{\"epoch\":\"%016llx\",\"rev\":%llu,\"routes\":%u,\"clusters\":%u,\"certificates\":%u,\"listeners\":[",
                snapshot != NULL ? (unsigned long long)snapshot->epoch : 0,
                snapshot != NULL ? (unsigned long long)snapshot->rev : 0, snapshot != NULL ? snapshot->num_routes : 0,
                snapshot != NULL ? snapshot->num_clusters : 0, snapshot != NULL ? snapshot->num_certificates : 0);
    for (uint32_t i = 0; i < num; i++) {
        text(out, i != 0 ? ",{\"name\":" : "{\"name\":", listeners[i].name);
        strbuf_addf(out, ",\"open\":%s", listeners[i].is_open ? "true" : "false");
        if (!listeners[i].is_open)
            text(out, ",\"why\":", slice_of(listeners[i].why));
        strbuf_addc(out, '}');
    }
    strbuf_adds(out, "]}\n");
}

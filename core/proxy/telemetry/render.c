/* Requests and connections are counted in the shards of stats.h; endpoints, of which there may be very many, keep plain
 * numbers of their own, which are written here. */
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

static void value(struct strbuf *out, uint64_t number)
{
    strbuf_addc(out, ' ');
    strbuf_addu(out, number);
    strbuf_addc(out, '\n');
}

/* ---- endpoints ---- */

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

void px_render_metrics(struct px_dataplane *dataplane, const struct px_collection *collection, struct strbuf *out)
{
    px_dataplane_write_metrics(dataplane, out);
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

/* Counting and logging a finished request. The line is written field by field into the worker's buffer: no tree, no
 * printf; foreign text goes through json_quote(). */
#include "core/proxy/telemetry/record.h"

#include "core/base/clock.h"
#include "core/proxy/telemetry/access_log.h"

/* ---- counters ---- */

static unsigned status_of(const struct px_request *req)
{
    if (req->x->status != 0)
        return req->x->status;
    return px_fail_info(req->cause)->status; /* the client was gone before it was told */
}

static void count(const struct px_request *req, uint64_t duration_us)
{
    struct px_series *series = req->series;
    struct px_stats *stats = &req->worker->stats;

    px_series_count(stats, series, status_of(req));
    metric_add(series->bytes_in, req->x->body_bytes_in);
    metric_add(series->bytes_out, req->x->body_bytes_out);
    if (!req->is_tunnel) /* hours of a WebSocket say nothing about latency */
        metric_record(series->duration, duration_us);
    if (req->attempt.head_us != 0)
        metric_record(series->first_byte, req->attempt.head_us - req->attempt.started_us);
    if (req->cause != PX_FAIL_NONE)
        px_stats_fail(stats, req->cause);
    metric_set(stats->buffers, (int64_t)req->worker->net->mem_used);
}

/* ---- the line ---- */

static void field(struct strbuf *out, const char *name, struct slice value)
{
    strbuf_adds(out, ",\"");
    strbuf_adds(out, name);
    strbuf_adds(out, "\":");
    json_quote(out, value.base != NULL ? value : slice_make("", 0));
}

static void number(struct strbuf *out, const char *name, uint64_t value)
{
    strbuf_adds(out, ",\"");
    strbuf_adds(out, name);
    strbuf_adds(out, "\":");
    strbuf_addu(out, value);
}

/* Milliseconds with three decimals. */
static void duration(struct strbuf *out, const char *name, uint64_t us)
{
    number(out, name, us / 1000);
    char digits[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10), (char)('0' + us % 10)};
    strbuf_add(out, digits, sizeof(digits));
}

static void start_line(struct strbuf *out, int64_t wall_us)
{
    char ts[CLOCK_RFC3339_US_LEN + 1];

    clock_rfc3339_us(wall_us, ts);
    strbuf_adds(out, "{\"ts\":\"");
    strbuf_add(out, ts, CLOCK_RFC3339_US_LEN);
    strbuf_addc(out, '"');
}

static struct slice version_name(enum ht_version version)
{
    switch (version) {
    case HT_HTTP10:
        return SLICE("HTTP/1.0");
    case HT_HTTP11:
        return SLICE("HTTP/1.1");
    case HT_HTTP2:
        break;
    }
    return SLICE("HTTP/2");
}

static void tls_fields(struct strbuf *out, const struct px_request *req)
{
    const struct net_io *io = &req->x->conn->io;

    if (io->ssl == NULL)
        return;
    field(out, "tls", slice_of(SSL_get_version(io->ssl)));
    if (net_io_sni(io) != NULL)
        field(out, "sni", slice_of(net_io_sni(io)));
}

static struct slice header_value(const struct px_request *req, const h2o_token_t *token)
{
    const struct ht_header *header = ht_headers_find_token(&req->x->headers, token);

    return header != NULL ? header->value : slice_make("", 0);
}

static void request_fields(struct strbuf *out, const struct px_request *req)
{
    const struct ht_exchange *x = req->x;

    field(out, "request_id", req->trace.request_id);
    if (req->trace.trace_id.len != 0)
        field(out, "trace_id", req->trace.trace_id);
    field(out, "client", req->client);
    field(out, "method", x->method);
    field(out, "scheme", x->scheme);
    field(out, "host", x->authority);
    field(out, "path", req->path.len != 0 ? req->path : x->target);
    field(out, "protocol", version_name(x->version));
    tls_fields(out, req);
    field(out, "user_agent", header_value(req, H2O_TOKEN_USER_AGENT));
}

static void decision_fields(struct strbuf *out, const struct px_request *req)
{
    const struct rt_decision *decision = &req->decision;

    if (decision->rule != NULL) {
        field(out, "route", decision->rule->route->name);
        number(out, "rule", decision->rule->index);
    }
    if (decision->backend != NULL)
        field(out, "backend", decision->backend->cluster_name);
    if (req->endpoint_key.len != 0)
        field(out, "endpoint", req->endpoint_key);
    number(out, "attempts", req->num_attempts);
    if (req->view != NULL)
        number(out, "revision", req->view->config->snapshot->rev);
}

static void result_fields(struct strbuf *out, const struct px_request *req, uint64_t duration_us)
{
    number(out, "status", status_of(req));
    if (req->cause != PX_FAIL_NONE)
        field(out, "cause", slice_of(px_fail_info(req->cause)->label));
    if (req->cause != PX_FAIL_NONE && req->detail != NULL)
        field(out, "detail", slice_of(req->detail));
    duration(out, "duration_ms", duration_us);
    if (req->attempt.head_us != 0)
        duration(out, "upstream_ms", req->attempt.head_us - req->attempt.started_us);
    number(out, "bytes_in", req->x->body_bytes_in);
    number(out, "bytes_out", req->x->body_bytes_out);
    if (req->is_tunnel)
        strbuf_adds(out, ",\"tunnel\":true");
}

void px_record(struct px_request *req)
{
    struct px_access_log_buffer *log = req->worker->log;
    const struct net_worker *net = req->worker->net;
    uint64_t duration_us = net->now_us - req->x->started_us;

    count(req, duration_us);
    if (!px_access_log_is_on(log))
        return;
    struct strbuf *out = px_access_log_line(log);
    start_line(out, net->wall_us);
    request_fields(out, req);
    result_fields(out, req, duration_us);
    decision_fields(out, req);
    strbuf_adds(out, "}\n");
    metric_add(req->worker->stats.log_lines, 1);
    px_access_log_commit(log);
}

void px_record_bad_request(struct px_worker *worker, const struct px_conn *conn, unsigned status, const char *detail,
                           struct slice head)
{
    enum { MAX_HEAD = 256 };

    metric_add(worker->stats.bad_requests, 1);
    if (!px_access_log_is_on(worker->log))
        return;
    struct strbuf *out = px_access_log_line(worker->log);
    start_line(out, worker->net->wall_us);
    field(out, "client", slice_make(conn->address, conn->address_len));
    number(out, "status", status);
    field(out, "cause", SLICE("bad_request"));
    field(out, "detail", slice_of(detail));
    field(out, "head", slice_make(head.base, MIN(head.len, (size_t)MAX_HEAD)));
    strbuf_adds(out, "}\n");
    metric_add(worker->stats.log_lines, 1);
    px_access_log_commit(worker->log);
}

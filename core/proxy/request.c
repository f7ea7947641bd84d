/* The downstream side.
 *
 * Happy path: on_request -> begin(): sanitise, decide -> filters -> px_attempt_begin(); body bytes go straight to the
 * attempt; the response comes back through attempt.c; on_close records and frees.
 * Whatever fails on the way goes through px_request_fail(), which answers when nothing was sent yet and cuts otherwise.
 * on_close is the only end: also a request that answered itself is let go there. */
#include "core/proxy/request.h"

#include "core/proxy/grpc.h"
#include "core/proxy/listener.h"
#include "core/proxy/target.h"
#include "core/proxy/telemetry/record.h"

enum { MAX_SPARE = 256, SPARE_HEADERS = 10 /* what we add to those that came */ };

static struct px_request *request_of(struct ht_exchange *x)
{
    return x->data;
}

static struct px_conn *conn_of(const struct px_request *req)
{
    return req->x->conn->owner;
}

/* ---- lifecycle ---- */

static void on_deadline(struct timer *timer)
{
    struct px_request *req = CONTAINER_OF(timer, struct px_request, deadline);

    px_request_fail(req, req->is_deadline_grpc ? PX_FAIL_DEADLINE : PX_FAIL_REQUEST_TIMEOUT);
}

static struct px_request *request_new(struct px_worker *worker, struct ht_exchange *x)
{
    struct px_request *req;

    if (list_is_empty(&worker->spare_requests)) {
        req = xmalloc(sizeof(*req));
    } else {
        req = LIST_FIRST(&worker->spare_requests, struct px_request, link);
        list_remove(&req->link);
        --worker->num_spare;
    }
    memset(req, 0, sizeof(*req));
    list_init(&req->link);
    list_init(&req->attempt.waiter.link);
    timer_init(&req->deadline, on_deadline);
    timer_init(&req->attempt.timer, NULL);
    req->worker = worker;
    req->x = x;
    x->data = req;
    ++worker->num_requests;
    metric_move(worker->stats.active, 1);
    return req;
}

static void request_free(struct px_request *req)
{
    struct px_worker *worker = req->worker;

    timer_stop(&req->deadline);
    if (req->view != NULL)
        px_view_end(req->view);
    --worker->num_requests;
    metric_move(worker->stats.active, -1);
    if (worker->num_spare < MAX_SPARE) {
        list_push_front(&worker->spare_requests, &req->link);
        ++worker->num_spare;
    } else {
        free(req);
    }
}

/* ---- what is asked ---- */

/* RFC 9110 15.5.20, and Gateway API: a connection opened for one server name must not reach what belongs to another
 * Gateway listener, whose certificates (and, later, client certificates) may differ. */
static bool is_misdirected(const struct px_request *req)
{
    const struct cfg_listener *listener = req->listener->listener;
    const char *sni;

    if (!req->x->is_tls || listener->num_servers < 2)
        return false;
    sni = net_io_sni(&req->x->conn->io);
    struct slice name;
    if (!px_authority_host(&req->x->pool, slice_of(sni != NULL ? sni : ""), &name))
        return true;
    if (slice_eq(name, req->host))
        return false;
    return rt_find_server(listener, name) != rt_find_server(listener, req->host);
}

static enum px_fail check_request(struct px_request *req)
{
    struct ht_exchange *x = req->x;

    if (slice_is(x->method, "CONNECT") || slice_is(x->method, "TRACE"))
        return PX_FAIL_METHOD_REFUSED;
    if (!px_target_parse(&x->pool, x->target, &req->path, &req->query))
        return PX_FAIL_BAD_TARGET;
    if (!px_authority_host(&x->pool, x->authority, &req->host))
        return PX_FAIL_BAD_HOST;
    return is_misdirected(req) ? PX_FAIL_MISDIRECTED : PX_FAIL_NONE;
}

/* ---- what the upstream is told ---- */

static void copy_headers(struct px_request *req)
{
    const struct ht_headers *from = &req->x->headers;
    h2o_mem_pool_t *pool = &req->x->pool;

    req->headers.cap = from->num + SPARE_HEADERS;
    req->headers.at = h2o_mem_alloc_pool(pool, req->headers.cap * sizeof(from->at[0]));
    req->headers.num = from->num;
    if (from->num != 0)
        memcpy(req->headers.at, from->at, from->num * sizeof(from->at[0]));
}

static void rewrite_headers(struct px_request *req)
{
    struct ht_exchange *x = req->x;
    struct px_conn *conn = conn_of(req);
    const struct px_config *config = req->view->config;
    struct px_forwarded forwarded;

    req->is_trusted = px_conn_is_trusted(conn, config);
    struct px_hop hop = {
        .address = slice_make(conn->address, conn->address_len),
        .scheme = x->scheme,
        .authority = x->authority,
        .port = req->listener->port_text,
        .is_trusted = req->is_trusted,
    };
    px_forwarded_apply(&x->pool, px_config_trust(config, req->listener), &hop, &req->headers, &forwarded);
    req->client = forwarded.client;
    px_trace_apply(&x->pool, &req->worker->rng, req->is_trusted || config->snapshot->settings.trust_request_id,
                   &req->headers, &req->trace);
}

/* ---- the decision ---- */

static struct slice find_header(const void *data, struct slice name)
{
    const struct px_request *req = data;
    const struct ht_header *header;

    if (slice_eq(name, SLICE("host")))
        return req->x->authority;
    header = ht_headers_find(&req->headers, name);
    return header != NULL ? header->value : slice_make(NULL, 0);
}

static void *alloc_in_pool(void *pool, size_t size)
{
    return h2o_mem_alloc_pool(pool, size);
}

static void decide(struct px_request *req)
{
    struct rt_request request = {
        .listener = req->listener->listener,
        .method = req->x->method,
        .scheme = req->x->scheme,
        .host = req->host,
        .port = req->listener->listener->port,
        .path = req->path,
        .query = req->query,
        .client = req->client,
        .header = find_header,
        .data = req,
        .alloc = alloc_in_pool,
        .alloc_data = &req->x->pool,
    };

    rt_decide(&request, rng_next(&req->worker->rng), &req->decision);
}

static enum px_fail fail_of_outcome(enum rt_outcome outcome)
{
    switch (outcome) {
    case RT_FORWARD:
    case RT_REDIRECT:
        return PX_FAIL_NONE;
    case RT_NO_SERVER:
        return PX_FAIL_NO_SERVER;
    case RT_NO_ROUTE:
        return PX_FAIL_NO_ROUTE;
    case RT_NO_BACKENDS:
        return PX_FAIL_NO_BACKENDS;
    case RT_BACKEND_INVALID:
        return PX_FAIL_BACKEND_INVALID;
    }
    return PX_FAIL_INTERNAL;
}

static void set_chains(struct px_request *req)
{
    const struct rt_decision *decision = &req->decision;
    const struct px_rule_config *rule;

    if (decision->rule == NULL)
        return;
    rule = px_config_rule(req->view->config, decision->rule);
    req->rule_chain = &rule->chain;
    if (decision->backend != NULL)
        req->backend_chain = &rule->backends[decision->backend - decision->rule->backends].chain;
    req->series = px_view_series(req->view, decision->rule, decision->backend);
}

/* The earlier of the rule's limit and the deadline the gRPC caller gave. */
static void start_deadline(struct px_request *req)
{
    const struct cfg_rule *rule = req->decision.rule;
    uint64_t limit_ms = rule->request_timeout_ms, grpc_ms = 0;

    if (req->is_grpc && px_grpc_timeout(&req->headers, &grpc_ms) && (limit_ms == 0 || grpc_ms < limit_ms)) {
        req->is_deadline_grpc = true;
        limit_ms = MAX(grpc_ms, (uint64_t)1);
    }
    if (limit_ms != 0)
        timer_start(&px_request_net(req)->timers, &req->deadline, net_now_ms(px_request_net(req)) + limit_ms);
}

/* ---- the flow ---- */

static void after_filters(struct px_request *req, enum px_verdict verdict)
{
    if (verdict == PX_PAUSE)
        req->is_paused = true;
    if (verdict != PX_CONTINUE)
        return;
    if (req->decision.outcome == RT_REDIRECT)
        px_answer_redirect(req);
    else
        px_attempt_begin(req);
}

void px_request_continue(struct px_request *req)
{
    if (!req->is_paused)
        return;
    req->is_paused = false;
    after_filters(req, px_filters_on_request(req));
}

static void begin(struct px_request *req)
{
    enum px_fail fail = check_request(req);

    if (fail == PX_FAIL_NONE) {
        rewrite_headers(req);
        decide(req);
        set_chains(req);
        fail = fail_of_outcome(req->decision.outcome);
    }
    if (fail != PX_FAIL_NONE) {
        px_request_fail(req, fail);
        return;
    }
    start_deadline(req);
    after_filters(req, px_filters_on_request(req));
}

/* A listener that is gone serves its last connections under the configuration that still had it. */
static bool take_view(struct px_request *req)
{
    struct px_listener *listener = conn_of(req)->listener;

    req->view = listener->view;
    if (req->view != NULL)
        ++req->view->num_requests;
    else if (req->worker->view != NULL)
        req->view = px_view_begin(req->worker);
    req->listener = listener->config;
    return req->view != NULL;
}

static void on_request(struct ht_exchange *x)
{
    struct px_conn *conn = x->conn->owner;
    struct px_worker *worker = conn->listener->worker;
    struct px_request *req = request_new(worker, x);

    req->series = worker->unrouted;
    req->is_grpc = px_is_grpc(&x->headers);
    req->client = slice_make(conn->address, conn->address_len);
    req->is_body_ended = !x->has_body;
    copy_headers(req);
    if (conn->listener->socket == NULL)
        ht_server_drain(x->conn);
    if (!take_view(req)) {
        px_request_fail(req, PX_FAIL_DRAINING);
        return;
    }
    if (net_mem_level(worker->net) != NET_MEM_OK)
        px_request_fail(req, PX_FAIL_OVERLOAD);
    else
        begin(req);
}

/* ---- what the client does ---- */

static size_t on_body(struct ht_exchange *x, const char *bytes, size_t len)
{
    return px_attempt_body(request_of(x), bytes, len);
}

static void on_body_end(struct ht_exchange *x)
{
    px_attempt_body_end(request_of(x));
}

static void on_writable(struct ht_exchange *x)
{
    px_attempt_writable(request_of(x));
}

static void on_close(struct ht_exchange *x, enum ht_close why)
{
    struct px_request *req = request_of(x);

    if (req->cause == PX_FAIL_NONE)
        req->cause = px_fail_of_close(why);
    px_attempt_cancel(req);
    px_filters_on_done(req);
    px_record(req);
    request_free(req);
}

static void on_bad_request(struct ht_server_conn *http, unsigned status, const char *detail, struct slice head)
{
    struct px_conn *conn = http->owner;

    px_record_bad_request(conn->listener->worker, conn, status, detail, head);
}

const struct ht_handler px_request_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_writable = on_writable,
    .on_close = on_close,
    .on_bad_request = on_bad_request,
};

/* ---- ends ---- */

void px_request_fail(struct px_request *req, enum px_fail cause)
{
    if (req->cause == PX_FAIL_NONE)
        req->cause = cause;
    timer_stop(&req->deadline);
    req->is_paused = false;
    px_attempt_cancel(req);
    if (!req->x->is_head_sent && !req->is_answered)
        px_answer_fail(req, cause);
    else if (!req->x->is_ended)
        ht_exchange_abort(req->x, 0);
}

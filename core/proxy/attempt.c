/* The upstream side of a request.
 *
 * Happy path: begin -> pick an endpoint, take a connection, start the call -> head -> body -> end. While no connection is
 * free the request waits its turn in the cluster's queue, bounded in number and time.
 * Failure: on_fail asks retry.c; a retry starts over with another endpoint or a new connection, the body so far replayed
 * from memory. Timers: one at a time: waiting; then first byte (from the end of the request, so that slow uploads and
 * streams are no timeout) or, when the rule says backendRequest, the whole attempt; in a tunnel its idleness.
 * Every end of a call goes through let_go(): the endpoint's count, the timer. */
#include "core/proxy/request.h"

#include "core/proxy/pool.h"
#include "core/proxy/retry.h"
#include "core/proxy/target.h"
#include "core/proxy/telemetry/access_log.h"

enum { REPLAY_FIRST = 4096 };

static void go(struct px_request *req);
static const struct ht_call_ops call_ops;

static struct px_request *request_of(struct ht_call *call)
{
    return CONTAINER_OF(call, struct px_request, attempt.call);
}

/* ---- timers ---- */

static void start_timer(struct px_request *req, void (*run)(struct timer *timer), uint64_t after_ms)
{
    struct net_worker *net = px_request_net(req);

    timer_stop(&req->attempt.timer);
    req->attempt.timer.run = run;
    timer_start(&net->timers, &req->attempt.timer, net_now_ms(net) + after_ms);
}

static struct px_request *request_of_timer(struct timer *timer)
{
    return CONTAINER_OF(timer, struct px_request, attempt.timer);
}

static void on_pending_timeout(struct timer *timer)
{
    px_request_fail(request_of_timer(timer), PX_FAIL_PENDING_TIMEOUT);
}

static void on_first_byte_timeout(struct timer *timer)
{
    px_request_fail(request_of_timer(timer), PX_FAIL_FIRST_BYTE_TIMEOUT);
}

static void on_backend_timeout(struct timer *timer)
{
    px_request_fail(request_of_timer(timer), PX_FAIL_BACKEND_TIMEOUT);
}

/* When the request is out. With backendRequest its own timer runs already. */
static void await_first_byte(struct px_request *req)
{
    uint32_t timeout_ms = req->cluster->first_byte_timeout_ms;

    if (!req->attempt.has_backend_timeout && timeout_ms != 0 && !req->x->is_head_sent && !req->is_tunnel) {
        req->attempt.is_timer_first_byte = true;
        start_timer(req, on_first_byte_timeout, timeout_ms);
    }
}

static void start_backend_timer(struct px_request *req)
{
    const struct cfg_rule *rule = req->decision.rule;

    req->attempt.has_backend_timeout = rule->has_backend_timeout;
    if (rule->has_backend_timeout && rule->backend_timeout_ms != 0)
        start_timer(req, on_backend_timeout, rule->backend_timeout_ms);
}

/* ---- letting go ---- */

static void let_go(struct px_request *req)
{
    struct px_endpoint *endpoint = req->attempt.endpoint;

    timer_stop(&req->attempt.timer);
    req->attempt.endpoint = NULL;
    if (endpoint != NULL)
        px_endpoint_end(endpoint); /* may free a leaving one */
}

static void drop_replay(struct px_request *req)
{
    req->is_replay_lost = true;
    if (req->replay == NULL)
        return;
    net_mem_release(px_request_net(req), req->replay_cap);
    free(req->replay);
    req->replay = NULL;
    req->replay_len = req->replay_cap = 0;
}

void px_attempt_cancel(struct px_request *req)
{
    struct px_attempt *attempt = &req->attempt;

    if (attempt->is_waiting) {
        attempt->is_waiting = false;
        px_cluster_unwait(req->cluster, &attempt->waiter);
    }
    if (attempt->endpoint != NULL && attempt->call.conn != NULL)
        ht_call_cancel(&attempt->call);
    let_go(req);
    drop_replay(req);
    if (req->holds_request_limit)
        px_limit_give(&req->cluster->limits->num_requests);
    req->holds_request_limit = false;
}

/* The response is complete. */
static void finish(struct px_request *req)
{
    let_go(req);
    drop_replay(req);
}

/* ---- the request body ---- */

/* Keeps what was sent for as long as a retry could want it. */
static void remember(struct px_request *req, const char *bytes, size_t len)
{
    if (req->is_replay_lost)
        return;
    if (req->replay_len + len > PX_REPLAY_MAX || req->attempt.call.had_response) {
        drop_replay(req);
        return;
    }
    if (req->replay_len + len > req->replay_cap) {
        uint32_t cap = MAX(MAX(req->replay_cap * 2, (uint32_t)REPLAY_FIRST), (uint32_t)(req->replay_len + len));
        req->replay = xrealloc(req->replay, cap);
        net_mem_charge(px_request_net(req), cap - req->replay_cap);
        req->replay_cap = cap;
    }
    memcpy(req->replay + req->replay_len, bytes, len);
    req->replay_len += (uint32_t)len;
}

size_t px_attempt_body(struct px_request *req, const char *bytes, size_t len)
{
    struct iovec iov = {(char *)bytes, len};

    if (!px_attempt_is_running(req)) /* answered already: swallow; waiting for a connection: keep */
        return req->x->is_head_sent || req->is_answered ? len : 0;
    if (req->attempt.is_blocked)
        return 0;
    if (!req->is_tunnel) {
        if (px_filters_on_request_body(req, bytes, len, false) == PX_ANSWERED)
            return len;
        remember(req, bytes, len);
    }
    req->attempt.is_blocked = !ht_call_body(&req->attempt.call, &iov, 1);
    return len;
}

void px_attempt_body_end(struct px_request *req)
{
    bool is_tunnel = req->is_tunnel;

    req->is_body_ended = req->is_client_ended = true;
    if (!is_tunnel && px_filters_on_request_body(req, "", 0, true) == PX_ANSWERED)
        return;
    if (!px_attempt_is_running(req))
        return;
    ht_call_end(&req->attempt.call, is_tunnel ? NULL : &req->x->trailers);
    await_first_byte(req);
}

static void on_call_writable(struct ht_call *call)
{
    struct px_request *req = request_of(call);

    req->attempt.is_blocked = false;
    ht_exchange_resume(req->x);
}

void px_attempt_writable(struct px_request *req)
{
    req->is_down_blocked = false;
    if (px_attempt_is_running(req))
        ht_call_resume(&req->attempt.call);
}

/* ---- the response ---- */

static void on_info(struct ht_call *call, unsigned status, const struct ht_headers *headers)
{
    struct px_request *req = request_of(call);

    if (status != 100) /* 100 is between us and each neighbour */
        ht_exchange_info(req->x, status, headers);
}

static void begin_tunnel(struct px_request *req)
{
    req->is_tunnel = true;
    metric_add(req->worker->stats.tunnels, 1);
    timer_stop(&req->deadline);
    timer_stop(&req->attempt.timer); /* from here on the engine's clock alone counts */
    ht_exchange_resume(req->x); /* the client's bytes flow from here on */
    if (req->is_client_ended)   /* HTTP/2: its end may overtake the upstream's answer */
        ht_call_end(&req->attempt.call, NULL);
}

/* Over HTTP/2 any 2xx opens the WebSocket, also one by which an HTTP/1 upstream declines to switch. */
static bool would_seem_to_switch(const struct px_request *req, const struct ht_call *call)
{
    return req->x->upgrade.len != 0 && req->x->version == HT_HTTP2 && !call->is_tunnel && call->status / 100 == 2;
}

/* The cause that another proxy of ours behind this one told us, and not our caller. */
static void drop_cause(struct ht_headers *headers)
{
    static const struct slice name = SLICE("x-selvedge-cause");

    for (uint32_t i = 0; i < headers->num; i++)
        if (UNLIKELY(headers->at[i].name.len == name.len && slice_eq(headers->at[i].name, name))) {
            ht_headers_remove(headers, name);
            return;
        }
}

static void on_head(struct ht_call *call)
{
    struct px_request *req = request_of(call);
    unsigned status = call->status;

    if (would_seem_to_switch(req, call)) {
        px_request_fail(req, PX_FAIL_UPSTREAM_PROTOCOL);
        return;
    }
    req->attempt.head_us = px_request_net(req)->now_us;
    if (req->attempt.is_timer_first_byte)
        timer_stop(&req->attempt.timer);
    req->attempt.is_timer_first_byte = false;
    drop_replay(req);
    req->is_answered = true;
    if (!req->is_trusted)
        drop_cause(&call->headers);
    px_filters_on_response_head(req, &status, &call->headers);
    ht_exchange_head(req->x, status, &call->headers, call->response_length);
    if (call->is_tunnel)
        begin_tunnel(req);
}

static size_t on_body(struct ht_call *call, const char *bytes, size_t len)
{
    struct px_request *req = request_of(call);
    struct iovec iov = {(char *)bytes, len};

    if (req->is_down_blocked)
        return 0;
    if (!req->is_tunnel)
        px_filters_on_response_body(req, bytes, len, false);
    req->is_down_blocked = !ht_exchange_body(req->x, &iov, 1);
    call->is_held = req->is_down_blocked;
    return len;
}

static void on_end(struct ht_call *call)
{
    struct px_request *req = request_of(call);

    finish(req);
    timer_stop(&req->deadline);
    if (!req->is_tunnel)
        px_filters_on_response_body(req, "", 0, true);
    ht_exchange_end(req->x, call->trailers.num != 0 ? &call->trailers : NULL);
}

/* ---- failing ---- */

static enum px_retry decide_retry(const struct px_request *req, const struct px_endpoint *endpoint, enum ht_fail fail)
{
    const struct ht_call *call = &req->attempt.call;
    struct px_retry_facts facts = {
        .fail = fail,
        .num_attempts = req->num_attempts,
        .is_unsent = call->is_unsent,
        .had_response = call->had_response || req->x->is_head_sent,
        .was_reused = req->attempt.was_reused,
        .is_replayable = !req->is_replay_lost,
        .is_idempotent = px_method_is_idempotent(req->x->method),
        /* a name with several addresses: the next attempt takes the next address */
        .has_other_endpoint = px_cluster_has_other(req->cluster, endpoint) || endpoint->num_addresses > 1,
    };

    return px_retry_decide(&facts);
}

static void retry(struct px_request *req, const struct px_endpoint *endpoint, enum px_retry how)
{
    req->attempt.avoid = how == PX_RETRY_OTHER ? endpoint : NULL;
    req->attempt.must_be_new = how == PX_RETRY_FRESH;
    req->attempt.is_blocked = false;
    px_series_retry(&req->worker->stats, req->series);
    let_go(req);
    go(req);
}

static void fail_attempt(struct px_request *req, struct px_endpoint *endpoint, enum ht_fail fail, const char *detail)
{
    enum px_retry how = decide_retry(req, endpoint, fail);

    req->detail = detail;
    ++endpoint->counts.fails;
    if (how != PX_RETRY_NO)
        retry(req, endpoint, how);
    else
        px_request_fail(req, px_fail_of_call(fail));
}

static void on_fail(struct ht_call *call, enum ht_fail fail, const char *detail)
{
    struct px_request *req = request_of(call);

    fail_attempt(req, req->attempt.endpoint, fail, detail);
}

static const struct ht_call_ops call_ops = {
    .on_info = on_info,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_writable = on_call_writable,
    .on_fail = on_fail,
};

/* ---- starting ---- */

/* As the client wrote it, port and all, unless a rule rewrote the host. */
static struct slice choose_authority(const struct px_request *req)
{
    struct slice rewritten = req->decision.host;

    if (rewritten.len != 0 && !slice_eq(rewritten, req->host))
        return rewritten;
    return req->x->authority.len != 0 ? req->x->authority : req->cluster->host;
}

static void prepare_call(struct px_request *req)
{
    struct ht_exchange *x = req->x;
    struct ht_call *call = &req->attempt.call;

    *call = (struct ht_call){
        .ops = &call_ops,
        .pool = &x->pool,
        .method = x->method,
        .scheme = req->cluster->tls != NULL ? SLICE("https") : SLICE("http"), /* of our own connection to the upstream */
        .authority = choose_authority(req),
        .target = px_target_join(&x->pool, req->decision.path, req->query),
        .request_headers = &req->headers,
        .request_length = x->content_length,
        .has_body = x->has_body,
        .upgrade = x->upgrade,
    };
}

/* What the failed attempt had of the body, then the rest as it comes. */
static void send_body(struct px_request *req)
{
    struct iovec iov = {req->replay, req->replay_len};

    if (!req->x->has_body) {
        await_first_byte(req);
        return;
    }
    if (req->replay_len != 0)
        req->attempt.is_blocked = !ht_call_body(&req->attempt.call, &iov, 1);
    if (req->is_body_ended) {
        ht_call_end(&req->attempt.call, &req->x->trailers);
        await_first_byte(req);
    } else {
        ht_exchange_resume(req->x);
    }
}

static void count_attempt(struct px_request *req, const struct px_endpoint *endpoint)
{
    ++req->num_attempts;
    if (px_access_log_is_on(req->worker->log))
        req->endpoint_key = ht_pool_dup(&req->x->pool, endpoint->key);
}

static void start_on(struct px_request *req, struct px_endpoint *endpoint, struct ht_client_conn *conn)
{
    struct px_attempt *attempt = &req->attempt;

    attempt->endpoint = endpoint;
    attempt->was_reused = conn->num_calls != 0;
    attempt->started_us = px_request_net(req)->now_us;
    attempt->head_us = 0;
    attempt->is_timer_first_byte = false;
    count_attempt(req, endpoint);
    px_endpoint_begin(endpoint);
    prepare_call(req);
    ht_call_start(conn, &attempt->call);
    px_pool_used(endpoint, conn);
    start_backend_timer(req);
    send_body(req);
}

static void on_turn(struct px_waiter *waiter)
{
    struct px_request *req = CONTAINER_OF(waiter, struct px_request, attempt.waiter);

    req->attempt.is_waiting = false;
    go(req);
}

/* The time limit of waiting counts from its beginning, over all turns. */
static void wait_for_turn(struct px_request *req)
{
    struct px_attempt *attempt = &req->attempt;

    attempt->waiter.on_turn = on_turn;
    if (!px_cluster_wait(req->cluster, &attempt->waiter)) {
        px_request_fail(req, PX_FAIL_UPSTREAM_OVERFLOW);
        return;
    }
    attempt->is_waiting = true;
    if (!timer_is_running(&attempt->timer))
        start_timer(req, on_pending_timeout, req->cluster->connect_timeout_ms);
}

static void go(struct px_request *req)
{
    struct px_endpoint *endpoint = px_cluster_pick(req->cluster, req->attempt.avoid);
    struct ht_client_conn *conn;

    if (endpoint == NULL) {
        if (req->cluster->num_resolving != 0)
            wait_for_turn(req);
        else
            px_request_fail(req, PX_FAIL_NO_ENDPOINT);
        return;
    }
    switch (px_pool_take(endpoint, req->attempt.must_be_new, &conn)) {
    case PX_POOL_OK:
        timer_stop(&req->attempt.timer);
        start_on(req, endpoint, conn);
        return;
    case PX_POOL_FULL:
        wait_for_turn(req);
        return;
    case PX_POOL_ERROR:
        count_attempt(req, endpoint);
        fail_attempt(req, endpoint, HT_FAIL_CONNECT, "no address can even be tried");
        return;
    }
}

void px_attempt_begin(struct px_request *req)
{
    req->cluster = px_view_cluster(req->view, req->decision.cluster);
    req->is_forwarded = true;
    if (!px_limit_take(&req->cluster->limits->num_requests, req->cluster->max_requests)) {
        px_request_fail(req, PX_FAIL_UPSTREAM_OVERFLOW);
        return;
    }
    req->holds_request_limit = true;
    go(req);
}

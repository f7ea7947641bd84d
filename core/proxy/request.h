/* One downstream exchange from its head to its last byte: sanitise, decide, filter, forward, respond, record.
 *
 * request.c is the downstream side, attempt.c the upstream side, answer.c what we say ourselves. A request lives from
 * on_request to on_close of its exchange; every timer and reference it holds is let go there and nowhere else.
 * Threads: the worker's. Memory: the struct is reused by the worker, all it points to is the exchange's pool's. */
#ifndef SELVEDGE_PROXY_REQUEST_H
#define SELVEDGE_PROXY_REQUEST_H

#include "core/proxy/cluster.h"
#include "core/proxy/fail.h"
#include "core/proxy/filters.h"
#include "core/proxy/forwarded.h"
#include "core/proxy/trace.h"
#include "core/proxy/worker.h"
#include "core/route/decide.h"

enum { PX_REPLAY_MAX = 64 * 1024 };

/* The upstream side of a request: at most one at a time. */
struct px_attempt {
    struct ht_call call;
    struct px_waiter waiter;
    struct px_endpoint *endpoint;      /* counted on it; NULL when no call runs */
    const struct px_endpoint *avoid;   /* the one that failed: only compared */
    struct timer timer;                /* waiting, first byte, or the rule's backendRequest */
    uint64_t started_us, head_us;
    unsigned is_waiting : 1, was_reused : 1, must_be_new : 1, is_blocked : 1 /* call takes no more body now */,
        has_backend_timeout : 1, is_timer_first_byte : 1;
};

struct px_request {
    struct list link;               /* among the worker's spare ones */
    struct px_worker *worker;
    struct ht_exchange *x;
    struct px_view *view;
    const struct px_listener_config *listener; /* of the view */
    struct slice host, path, query; /* normal form */
    struct slice client;            /* address as believed */
    struct px_trace trace;
    struct ht_headers headers;      /* towards the upstream */
    struct rt_decision decision;
    const struct px_chain *rule_chain, *backend_chain;
    uint32_t num_filters_run;
    struct px_series *series;
    struct px_cluster *cluster;
    struct px_attempt attempt;
    struct timer deadline;
    struct slice endpoint_key;      /* of the last attempt; pool copy, made only for the log */
    char *replay;                   /* heap, charged; the body so far, while it may be needed again */
    uint32_t replay_len, replay_cap;
    uint16_t num_attempts;
    enum px_fail cause;
    const char *detail; /* of the last attempt that failed; static text, NULL: none did */
    unsigned is_trusted : 1, is_grpc : 1, is_body_ended : 1, is_replay_lost : 1, is_answered : 1 /* head is out or decided */,
        is_down_blocked : 1, is_tunnel : 1, holds_request_limit : 1, is_paused : 1, is_deadline_grpc : 1, is_forwarded : 1, is_client_ended : 1;
};

extern const struct ht_handler px_request_handler;

/* ---- for filters ---- */
/* After PX_PAUSE. */
void px_request_continue(struct px_request *req);
/* Answers by itself. `headers` may be NULL; content-type and length are added for a body. Bytes are copied. */
void px_request_answer(struct px_request *req, unsigned status, const struct ht_headers *headers, const char *content_type,
                       struct slice body);
/* Ends the request with a cause: an answer when there still can be one, else the exchange is cut. */
void px_request_fail(struct px_request *req, enum px_fail cause);

/* ---- between the files ---- */
static inline struct net_worker *px_request_net(const struct px_request *req)
{
    return req->worker->net;
}
/* Sends the request on; failures are answered. */
void px_attempt_begin(struct px_request *req);
/* Request body: how much was taken; its end. */
size_t px_attempt_body(struct px_request *req, const char *bytes, size_t len);
void px_attempt_body_end(struct px_request *req);
void px_attempt_writable(struct px_request *req); /* the client takes response bytes again */
/* Lets go of whatever is upstream. */
void px_attempt_cancel(struct px_request *req);
static inline bool px_attempt_is_running(const struct px_request *req)
{
    return req->attempt.endpoint != NULL;
}
void px_answer_fail(struct px_request *req, enum px_fail cause);
void px_answer_redirect(struct px_request *req);

#endif

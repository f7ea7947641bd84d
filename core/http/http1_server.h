/* Inside the HTTP/1 server engine (prefix ht1s_): http1_server.c (life of a connection, clocks, settling),
 * http1_server_in.c (heads, bodies, tunnels coming in), http1_server_out.c (responses, the handler's verbs).
 */
#ifndef SELVEDGE_HTTP_HTTP1_SERVER_H
#define SELVEDGE_HTTP_HTTP1_SERVER_H

#include "core/http/engine.h"
#include "core/http/http1_parse.h"
#include "core/http/http1_write.h"

enum phase {
    PHASE_HEAD, /* between requests, or a head is coming in */
    PHASE_BODY, /* a request body is coming in */
    PHASE_WAIT, /* the request is complete, its exchange is not: what arrives is kept by the io */
    PHASE_DRAIN, /* the rest of a body after its response */
    PHASE_TUNNEL,
    PHASE_CLOSED, /* closed or lingering; nothing is read any more */
};

struct h1 {
    struct ht_server_conn *conn; /* borrowed: it owns us as engine_data */
    struct ht_exchange x; /* valid while has_exchange; its pool always */
    struct net_post settle;
    struct timer timer;
    enum phase phase;
    enum ht_close why; /* of an exchange that is over */
    struct ht1_scan scan;
    struct ht1_chunked chunked;
    uint64_t body_left; /* of a request body with Content-Length */
    uint64_t drained; /* bytes swallowed in PHASE_DRAIN */
    uint64_t response_left; /* of a response with Content-Length */
    struct ht1_out out; /* a waiting response head is pool memory */
    struct slice websocket_key;
    uint64_t head_started_us;
    uint64_t since_ms; /* what the phase's timeout counts from */
    uint64_t write_since_ms; /* output waits since then */
    unsigned has_exchange : 1, is_over : 1 /* on_close is due */, is_head_started : 1, has_skipped_crlf : 1,
        is_chunked : 1 /* request */, keep_alive : 1, must_continue : 1 /* 100 is owed */, has_resumed : 1,
        is_response_chunked : 1, is_until_close : 1, has_no_body : 1 /* response: HEAD, 204, 304 */,
        is_stopped : 1 /* owes on_writable */, is_writing : 1 /* output waits for the kernel */,
        must_offer : 1 /* nothing was taken, but resume came meanwhile */;
};

extern const struct ht_exchange_ops ht1s_exchange_ops;

static inline struct h1 *ht1s_of_io(struct net_io *io)
{
    return CONTAINER_OF(io, struct ht_server_conn, io)->engine_data;
}
static inline struct net_worker *ht1s_worker(const struct h1 *h)
{
    return h->conn->io.worker;
}
static inline uint64_t ht1s_now_ms(const struct h1 *h)
{
    return net_now_ms(ht1s_worker(h));
}
static inline void ht1s_settle_soon(struct h1 *h)
{
    net_post(ht1s_worker(h), &h->settle);
}

/* ---- life (http1_server.c) ---- */
/* A deadline of the phase, or of waiting output, may have come closer. */
void ht1s_arm(struct h1 *h);
/* Begins a phase and its clock. */
void ht1s_enter(struct h1 *h, enum phase phase);
/* The running exchange is over: on_close follows from the post. */
void ht1s_end_exchange(struct h1 *h, enum ht_close why);
/* Nothing more will be read or answered; what was answered gets its time to leave. */
void ht1s_close_with_linger(struct h1 *h);
/* The connection cannot go on, and the exchange with it. */
void ht1s_fail(struct h1 *h, enum ht_close why);

/* ---- input (http1_server_in.c) ---- */
/* Returns how many of the bytes were taken; 0: what is there is not enough, or nobody wants it now. */
size_t ht1s_take(struct h1 *h, const char *bytes, size_t len);
void ht1s_end_tunnel_input(struct h1 *h);
/* Answers, reports and closes where no request could be made of the bytes. */
void ht1s_refuse(struct h1 *h, unsigned status, const char *detail, struct slice head);
/* The same for a request that was handed over already: answers if nobody has, and ends the exchange as `why`.
 */
void ht1s_refuse_exchange(struct h1 *h, unsigned status, const char *detail, enum ht_close why);

/* ---- output (http1_server_out.c) ---- */
/* The waiting head and these pieces, in one system call; starts the write clock where they wait. */
ssize_t ht1s_write(struct h1 *h, const struct iovec *iov, int num);
void ht1s_note_pending(struct h1 *h, ssize_t pending);
void ht1s_write_refusal(struct h1 *h, unsigned status, const char *detail);
static inline void ht1s_end_tunnel(struct h1 *h)
{
    if (h->x.is_body_done && h->x.is_ended)
        ht1s_settle_soon(h);
}

#endif

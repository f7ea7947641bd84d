/* Inside the HTTP/1 client engine (prefix ht1c_): http1_client.c (life of a connection, settling),
 * http1_client_in.c (response heads and bodies), http1_client_out.c (requests). */
#ifndef SELVEDGE_HTTP_HTTP1_CLIENT_H
#define SELVEDGE_HTTP_HTTP1_CLIENT_H

#include "core/http/engine.h"
#include "core/http/http1_parse.h"
#include "core/http/http1_write.h"
#include "core/http/websocket.h"

enum phase {
    PHASE_IDLE,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_TUNNEL,
    PHASE_CLOSED,
};

enum framing { FRAMING_NONE, FRAMING_SIZED, FRAMING_CHUNKED, FRAMING_UNTIL_CLOSE };

struct h1c {
    struct ht_client_conn *conn; /* borrowed: it owns us as engine_data */
    struct ht_call *call; /* borrowed; the one that runs, or NULL */
    struct net_post settle;
    enum phase phase;
    enum framing framing; /* of the response */
    struct ht1_scan scan;
    struct ht1_chunked chunked;
    uint64_t body_left; /* of a response with Content-Length */
    uint64_t request_left; /* of a request with Content-Length */
    uint64_t sent_mark; /* io.bytes_out when the call began */
    struct ht1_out out; /* a waiting request head is memory of the call's pool */
    unsigned num_info;
    enum ht_fail fail; /* what a verb caused, for the post */
    const char *detail; /* NULL: nothing */
    char websocket_accept[HT_WEBSOCKET_ACCEPT_LEN]; /* what the upstream has to answer; [0] == 0: not known */
    unsigned keep_alive : 1, is_request_chunked : 1, is_paused : 1, has_resumed : 1, must_offer : 1,
        is_stopped : 1, is_complete : 1;
};

static inline struct h1c *ht1c_of_io(struct net_io *io)
{
    return CONTAINER_OF(io, struct ht_client_conn, io)->engine_data;
}
static inline struct h1c *ht1c_of(struct ht_call *call)
{
    return call->conn->engine_data;
}
static inline void ht1c_settle_soon(struct h1c *h)
{
    net_post(h->conn->io.worker, &h->settle);
}
static inline bool ht1c_is_unsent(const struct h1c *h)
{
    return h->conn->io.bytes_out == h->sent_mark;
}

/* ---- life (http1_client.c) ---- */
/* The connection cannot go on, and its call with it. */
void ht1c_die(struct h1c *h, enum ht_fail fail, const char *detail);
/* The same, from inside a verb. */
void ht1c_die_soon(struct h1c *h, enum ht_fail fail, const char *detail);
/* The response is whole. `has_rest`: bytes follow that nobody asked for. */
void ht1c_complete(struct h1c *h, bool has_rest);

/* ---- input (http1_client_in.c): the io's callbacks ---- */
size_t ht1c_on_read(struct net_io *io, const char *bytes, size_t len);
void ht1c_on_eof(struct net_io *io);

/* ---- output (http1_client_out.c): the engine's verbs ---- */
void ht1c_start(struct ht_client_conn *conn, struct ht_call *call);
bool ht1c_body(struct ht_call *call, const struct iovec *iov, int num);
void ht1c_end(struct ht_call *call, const struct ht_headers *trailers);

#endif

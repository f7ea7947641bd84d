/* What a protocol engine (http1_server.c, http1_client.c, http2_server.c, http2_client.c) implements. Only core/http
 * includes this; everybody else uses http.h, whose verbs are thin calls through these tables (server.c, client.c). */
#ifndef SELVEDGE_HTTP_ENGINE_H
#define SELVEDGE_HTTP_ENGINE_H

#include "core/http/http.h"

struct ht_exchange_ops {
    void (*info)(struct ht_exchange *x, unsigned status, const struct ht_headers *headers);
    void (*head)(struct ht_exchange *x, unsigned status, const struct ht_headers *headers, int64_t content_length);
    bool (*body)(struct ht_exchange *x, const struct iovec *iov, int num);
    void (*end)(struct ht_exchange *x, const struct ht_headers *trailers);
    void (*abort)(struct ht_exchange *x, uint32_t h2_code);
    void (*resume)(struct ht_exchange *x);
};

/* A connection begins under server.c's own tiny state (TLS handshake, or waiting for enough bytes to tell the h2
 * preface from HTTP/1), which then calls engine->adopt(): the engine replaces conn->io.ops and consumes `bytes`. */
struct ht_server_engine {
    /* Returns how many of the bytes it consumed, like on_read. The engine's own state is conn->engine_data. */
    size_t (*adopt)(struct ht_server_conn *conn, const char *bytes, size_t len);
    void (*drain)(struct ht_server_conn *conn); /* conn->is_draining is set already */
    void (*close)(struct ht_server_conn *conn);
    void (*dispose)(struct ht_server_conn *conn); /* frees engine_data; from the post of ht_server_conn_finish() */
};
extern const struct ht_server_engine ht_http1_server, ht_http2_server;

/* client.c sets conn->engine, version and is_ready before adopt(), and resets the engine's fields of a call (conn,
 * is_unsent = 1, had_response, is_ended, is_tunnel, response …) before start(). The engine counts: num_active and
 * capacity change in start() and when it lets go of a call; idle_since_ms when the last one went. */
struct ht_client_engine {
    void (*adopt)(struct ht_client_conn *conn); /* connected (and handshaken): take over io.ops, set capacity */
    void (*start)(struct ht_client_conn *conn, struct ht_call *call);
    bool (*body)(struct ht_call *call, const struct iovec *iov, int num);
    void (*end)(struct ht_call *call, const struct ht_headers *trailers);
    void (*resume)(struct ht_call *call);
    void (*cancel)(struct ht_call *call);
    /* The owner is done with it (is_gone is set, capacity 0): close and finish when no call runs, else the engine does so
     * by itself when the last one ended. */
    void (*close)(struct ht_client_conn *conn);
    void (*dispose)(struct ht_client_conn *conn); /* frees engine_data; from the post of ht_client_conn_finish() */
};
extern const struct ht_client_engine ht_http1_client, ht_http2_client;

/* Shared by the engines (server.c, client.c). */
/* The engine is done: net_io_close() was called (or net_io_close_gracefully() has ended) and every exchange had its
 * on_close. From a post: engine->dispose(), on_closed, free. May be called anywhere; twice is once. */
void ht_server_conn_finish(struct ht_server_conn *conn);
/* Zeroes all but the pool (which is initialised or cleared), fills what both engines fill alike, counts the request. */
void ht_exchange_init(struct ht_exchange *x, struct ht_server_conn *conn, const struct ht_exchange_ops *ops);
/* "Sun, 06 Nov 1994 08:49:37 GMT", made once a second and worker. Valid until the next call on this thread. */
struct slice ht_date(const struct net_worker *worker);
/* on_gone, at most once and not after ht_client_close(); sets is_gone and capacity 0. Closing stays the engine's. */
void ht_client_conn_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail);
/* As ht_server_conn_finish(): io closed, no call left. */
void ht_client_conn_finish(struct ht_client_conn *conn);
/* For an owner whose loop ends: closes and finishes now, whatever still waited for the peer. No call runs any more. */
void ht_client_conn_abandon(struct ht_client_conn *conn);
/* The engine lets go: call->conn = NULL, counts; when it was the last of a gone connection true: close and finish. */
bool ht_call_let_go(struct ht_call *call);

#endif

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
    void (*drain)(struct ht_server_conn *conn);
    void (*close)(struct ht_server_conn *conn);
};
extern const struct ht_server_engine ht_http1_server, ht_http2_server;

struct ht_client_engine {
    void (*adopt)(struct ht_client_conn *conn); /* connected (and handshaken): take over io.ops */
    void (*start)(struct ht_client_conn *conn, struct ht_call *call);
    bool (*body)(struct ht_call *call, const struct iovec *iov, int num);
    void (*end)(struct ht_call *call, const struct ht_headers *trailers);
    void (*resume)(struct ht_call *call);
    void (*cancel)(struct ht_call *call);
    void (*close)(struct ht_client_conn *conn);
};
extern const struct ht_client_engine ht_http1_client, ht_http2_client;

/* Shared by the engines (server.c, client.c). */
/* Frees the exchange's pool-held struct after on_close, from a post. Engines embed ht_exchange in their stream. */
void ht_server_conn_finish(struct ht_server_conn *conn); /* io closed, no exchange left: on_closed, then free */
void ht_client_conn_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail); /* on_gone once */

#endif

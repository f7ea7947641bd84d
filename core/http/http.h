/* HTTP messages as streams: what the HTTP/1 and HTTP/2 engines offer to those who use them, server side and client
 * side. RFC 9110 (semantics), 9112 (HTTP/1.1), 9113 (HTTP/2), 6455 and 8441 (WebSocket).
 *
 * Server:  engine -> ht_handler callbacks; the handler answers with the ht_exchange_* verbs.
 * Client:  ht_call_* verbs -> engine -> ht_call_ops callbacks.
 * Both directions of both sides stream with back-pressure: a receiver that consumes less than offered is not offered
 * more until it says resume; a sender that is told "stop" waits for on_writable. No body is ever held whole; per
 * stream at most HT_STREAM_WINDOW bytes (server side: or ht_limits.stream_window) wait inside an engine.
 *
 * Re-entrancy: verbs may be called inside any callback, also for another exchange. Verbs never call back
 * synchronously; what they cause comes from a net_post or a later event. Objects are destroyed only from a net_post.
 * Threads: everything belongs to the worker of its connection. */
#ifndef SELVEDGE_HTTP_HTTP_H
#define SELVEDGE_HTTP_HTTP_H

#include "core/net/io.h"

enum { HT_STREAM_WINDOW = 256 * 1024, HT_CONN_WINDOW = 1024 * 1024 };

/* ---------- messages ---------- */

struct ht_header {
    struct slice name;  /* lower case, a valid token */
    struct slice value; /* no CR, LF, NUL; no white space at either end */
    const h2o_token_t *token; /* libh2o's token for known names, else NULL: compare pointers, not texts */
};

struct ht_headers {
    struct ht_header *at;
    uint32_t num, cap;
};

/* Memory is the pool's; name and value are borrowed (they must live as long as the pool: use ht_pool_dup to copy). */
struct ht_header *ht_headers_add(h2o_mem_pool_t *pool, struct ht_headers *headers, struct slice name, struct slice value);
struct ht_header *ht_headers_add_token(h2o_mem_pool_t *pool, struct ht_headers *headers, const h2o_token_t *token,
                                       struct slice value);
/* First of that name, or NULL. `name` in lower case. */
struct ht_header *ht_headers_find(const struct ht_headers *headers, struct slice name);
struct ht_header *ht_headers_find_token(const struct ht_headers *headers, const h2o_token_t *token);
/* The next one of the same name after `header`, or NULL. */
struct ht_header *ht_headers_next(const struct ht_headers *headers, const struct ht_header *header);
void ht_headers_set(h2o_mem_pool_t *pool, struct ht_headers *headers, struct slice name, struct slice value);
size_t ht_headers_remove(struct ht_headers *headers, struct slice name); /* how many went */
void ht_headers_remove_at(struct ht_headers *headers, uint32_t index);   /* keeps order */
struct slice ht_pool_dup(h2o_mem_pool_t *pool, struct slice src);        /* NUL-terminated copy */
/* Syntax, for whatever puts foreign or configured bytes into a message. */
bool ht_is_token(struct slice text);
bool ht_is_field_value(struct slice text);
/* Visible ASCII without '#': what may stand in a request line as path and query. Not empty. */
bool ht_is_target(struct slice text);
/* host or host ":" port: letters, digits, '-', '_' and single dots, or an address in brackets; port 1-65535. No userinfo,
 * no percent-encoding, nothing empty. */
bool ht_is_authority(struct slice text);
bool ht_is_port(struct slice text); /* 1-65535 */
/* Request fields nobody behind a gateway may see: names with '_' (servers behind us read x_user and x-user as one name)
 * and `proxy` (becomes HTTP_PROXY in CGI). Both engines drop them. `name` is in lower case. */
bool ht_is_dropped_field(struct slice name);
/* Fields that mean something only to the connection they came on, by name (RFC 9110 7.6.1): connection, keep-alive,
 * proxy-connection, te, transfer-encoding, upgrade, http2-settings. What Connection names comes on top. */
bool ht_is_hop_field(const struct ht_header *header);
/* Fields a trailer section may not carry: framing, routing, authentication, request modifiers (RFC 9110 6.5.1). */
bool ht_is_forbidden_trailer(const struct ht_header *header);
const char *ht_status_reason(unsigned status);

enum ht_version { HT_HTTP10 = 0x100, HT_HTTP11 = 0x101, HT_HTTP2 = 0x200 };

/* ---------- server ---------- */

/* Ceilings and clocks; every default is safe on the open internet. Milliseconds; 0 switches a timeout off. */
struct ht_limits {
    uint32_t max_head_bytes;        /* request line + headers, 60 KiB -> 431 */
    uint32_t max_headers;           /* 100 -> 431 */
    uint32_t max_target_bytes;      /* 8 KiB -> 414 */
    uint32_t max_trailer_bytes;     /* 8 KiB */
    uint64_t max_body_bytes;        /* 0: no limit -> 413 */
    uint32_t handshake_timeout_ms;  /* 10 s, absolute */
    uint32_t head_timeout_ms;       /* 10 s, absolute from the first byte of a head (HTTP/1) -> 408 */
    uint32_t idle_timeout_ms;       /* 75 s between requests; HTTP/2: no open stream */
    uint32_t request_timeout_ms;    /* 0; absolute from the first byte of a request until it is whole or its answer began -> 408 */
    uint32_t body_idle_timeout_ms;  /* 60 s without a byte of an awaited request body -> 408 */
    uint32_t write_idle_timeout_ms; /* 60 s without the peer taking a byte we have for it */
    uint32_t stream_idle_timeout_ms;/* 0; an exchange where nothing moves in either direction -> 408, or cut */
    uint32_t tunnel_idle_timeout_ms;/* 1 h; the same of a tunnel: cut */
    uint32_t max_requests_per_conn; /* 0: no limit */
    uint32_t max_concurrent_streams;/* HTTP/2: 128 */
    uint32_t stream_window;         /* HTTP/2; 0: 65535, then HT_STREAM_WINDOW for who takes what comes */
    uint32_t conn_window;           /* HTTP/2; HT_CONN_WINDOW */
    uint32_t drain_body_bytes;      /* unread request body to swallow after an early response: 256 KiB, then close */
};
extern const struct ht_limits ht_limits_default;

struct ht_exchange;
struct ht_server_conn;

/* Why an exchange ended. */
enum ht_close {
    HT_CLOSE_DONE,           /* response sent whole (handed to the kernel or the peer's window) */
    HT_CLOSE_PEER_RESET,     /* client went away or reset the stream */
    HT_CLOSE_TIMEOUT_BODY,   /* body_idle_timeout_ms, request_timeout_ms */
    HT_CLOSE_TIMEOUT_WRITE,  /* write_idle_timeout_ms */
    HT_CLOSE_TIMEOUT_IDLE,   /* stream_idle_timeout_ms, tunnel_idle_timeout_ms */
    HT_CLOSE_PROTOCOL,       /* malformed body or frames */
    HT_CLOSE_TOO_LARGE,      /* max_body_bytes passed while streaming */
    HT_CLOSE_ABORTED,        /* ht_exchange_abort() */
};

/* What the user of a server gives. One per server, shared by its connections. */
struct ht_handler {
    /* A request head is in. The handler may answer at once or later. Malformed heads never come here. */
    void (*on_request)(struct ht_exchange *x);
    /* Body bytes. Returns how many were taken; fewer than `len` pauses the body until ht_exchange_resume(). Before the
     * handler sets x->wants_body nothing is offered (and 100-continue is not sent). */
    size_t (*on_body)(struct ht_exchange *x, const char *bytes, size_t len);
    /* The request is complete; x->trailers is set. Not called for requests without a body (x->has_body == 0). After a
     * 101 (or 2xx to CONNECT): the client ended its direction. */
    void (*on_body_end)(struct ht_exchange *x);
    /* Room again after ht_exchange_body() returned false. */
    void (*on_writable)(struct ht_exchange *x);
    /* The last callback, exactly once per exchange that had on_request. x and its pool are gone afterwards. Comes from
     * a post, also when the handler itself ended the response. */
    void (*on_close)(struct ht_exchange *x, enum ht_close why);
    /* An answer the engine itself gave because no request could be made of the bytes (400, 408, 414, 431, 505 …), for
     * log and metrics. May be NULL. `detail` is a static text, `head` what there was of the request line (may be {NULL,0}). */
    void (*on_bad_request)(struct ht_server_conn *conn, unsigned status, const char *detail, struct slice head);
};

/* One request being received and its response being sent. Lives in its own pool. Fields are read-only to handlers
 * except those marked. */
struct ht_exchange {
    h2o_mem_pool_t pool;
    const struct ht_exchange_ops *ops; /* the engine's */
    struct ht_server_conn *conn;       /* borrowed */
    const struct ht_handler *handler;  /* borrowed */
    void *data;                        /* the handler's own */
    uint64_t started_us;               /* worker clock at the first byte of the head */
    uint64_t id;                       /* HTTP/1: count on the connection; HTTP/2: stream id */

    struct slice method;    /* "GET"; always a token */
    struct slice scheme;    /* "http" or "https" as the connection is; :scheme must agree */
    struct slice authority; /* as sent (absolute-form overrides Host), syntactically valid; may be empty for HTTP/1.0 */
    struct slice target;    /* origin-form path and query, or "*" (OPTIONS), or authority (CONNECT) */
    enum ht_version version;
    struct ht_headers headers; /* without host and pseudo headers; connection-level fields (RFC 9110 7.6.1: Connection
                                * and what it names, Keep-Alive, TE except "trailers", Transfer-Encoding, Upgrade,
                                * Proxy-Connection, HTTP2-Settings) are gone */
    struct ht_headers trailers;
    int64_t content_length; /* -1: none given */
    struct slice upgrade;   /* "websocket" when a valid RFC 6455 or RFC 8441 request asks for it; else {NULL,0}. Other
                             * Upgrade offers are dropped as RFC 9110 7.8 allows. */
    unsigned has_body : 1, is_tls : 1, wants_body : 1 /* set by ht_exchange_resume */, is_body_done : 1,
        is_head_sent : 1, is_ended : 1, te_trailers : 1 /* client accepts trailers */, is_tunnel : 1,
        expects_continue : 1 /* Expect: 100-continue; the field itself is gone from `headers` */;
    uint64_t body_bytes_in, body_bytes_out; /* payload */
    unsigned status;                        /* final status sent, 0 before */
};

/* Interim answer (100, 103). 100 is sent by the engine itself on the first ht_exchange_resume() when expected. */
void ht_exchange_info(struct ht_exchange *x, unsigned status, const struct ht_headers *headers);
/* The final head. `content_length` -1: unknown (chunked, or close for HTTP/1.0). Engine adds framing, date when absent,
 * connection. 101 (or 2xx for CONNECT, and 200 for an RFC 8441 upgrade: pass 101 in every case) makes a tunnel: from
 * then on_body offers and ht_exchange_body takes raw bytes. For HEAD, 204, 304 a body is not sent whatever follows. */
void ht_exchange_head(struct ht_exchange *x, unsigned status, const struct ht_headers *headers, int64_t content_length);
/* Takes all bytes. False: stop until on_writable. A zero-length call flushes the head (SSE, gRPC streaming heads). */
bool ht_exchange_body(struct ht_exchange *x, const struct iovec *iov, int num);
/* Ends the response. Trailers may be NULL; they are dropped where the version or TE does not allow them, except for
 * HTTP/2, where they are always sent. Fewer bytes than content_length is an abort. */
void ht_exchange_end(struct ht_exchange *x, const struct ht_headers *trailers);
/* Nothing more can be sent truthfully: HTTP/1 closes the connection, HTTP/2 resets the stream (INTERNAL_ERROR, or
 * `h2_code` when not 0). on_close follows. */
void ht_exchange_abort(struct ht_exchange *x, uint32_t h2_code);
/* Offer body (again). The first call answers Expect: 100-continue. */
void ht_exchange_resume(struct ht_exchange *x);

/* One accepted connection; the engine is chosen by ALPN, or by preface on plain sockets (h2c prior knowledge). */
struct ht_server_conn {
    struct net_io io;
    const struct ht_handler *handler;
    const struct ht_limits *limits;   /* borrowed from whoever made the connection; outlives it (see `keepalive_ref`) */
    void *owner;                      /* the maker's: listener … */
    void (*on_closed)(struct ht_server_conn *conn); /* last word, from a post; may be NULL. The struct is freed after */
    struct list link;                 /* the maker's list of connections; list_init'ed */
    uint64_t id;                      /* process-wide */
    uint64_t num_requests;
    unsigned num_active;              /* exchanges open */
    bool is_draining;
    const struct ht_server_engine *engine; /* NULL until the protocol is known */
    void *engine_data;
};

/* Takes the descriptor. `ctx` NULL: plain. `conn` is heap memory owned by the engine until on_closed. No callback comes
 * before it returns. */
struct ht_server_conn *ht_server_accept(struct net_worker *worker, int fd, SSL_CTX *ctx, const struct ht_handler *handler,
                                        const struct ht_limits *limits, void *owner,
                                        void (*on_closed)(struct ht_server_conn *conn));
/* No new requests: HTTP/1 `Connection: close` on the next response (idle ones close now, those that never had a request
 * wait for it for head_timeout_ms), HTTP/2 GOAWAY in two steps. */
void ht_server_drain(struct ht_server_conn *conn);
void ht_server_close(struct ht_server_conn *conn); /* at once */

/* ---------- client ---------- */

enum ht_fail {
    HT_FAIL_CONNECT,        /* refused, unreachable */
    HT_FAIL_CONNECT_TIMEOUT,
    HT_FAIL_TLS,            /* handshake or verification */
    HT_FAIL_RESET,          /* connection lost, or stream reset by the upstream */
    HT_FAIL_REFUSED,        /* REFUSED_STREAM, GOAWAY below us: certainly not processed */
    HT_FAIL_PROTOCOL,       /* the upstream's bytes are no valid answer */
    HT_FAIL_TOO_LARGE,      /* response head over the limit */
    HT_FAIL_CLOSED_EARLY,   /* body shorter than announced */
};

struct ht_call;
struct ht_client_conn;

struct ht_call_ops {
    void (*on_info)(struct ht_call *call, unsigned status, const struct ht_headers *headers); /* 1xx but 101; at most 16 */
    /* Final head: call->status, call->headers (pool memory), call->response_length. 101: a tunnel from here on. */
    void (*on_head)(struct ht_call *call);
    size_t (*on_body)(struct ht_call *call, const char *bytes, size_t len); /* as ht_handler.on_body */
    /* Response complete, call->trailers set. The last callback unless the request body is still being sent: then the
     * engine stops that by itself (HTTP/2 NO_ERROR reset, HTTP/1 closes after). */
    void (*on_end)(struct ht_call *call);
    void (*on_writable)(struct ht_call *call);
    /* The last callback when the call fails. call->is_unsent: no byte of it can have been processed (safe to retry
     * whatever the method). call->had_response: on_head had come. `detail` is a static text. */
    void (*on_fail)(struct ht_call *call, enum ht_fail fail, const char *detail);
};

/* Embedded in the caller's attempt. After on_end, on_fail or ht_call_cancel() the engine has let go of it. */
struct ht_call {
    const struct ht_call_ops *ops;
    h2o_mem_pool_t *pool;    /* borrowed: response head and trailers are allocated here */
    struct ht_client_conn *conn; /* NULL once let go */
    void *engine_data;
    /* request, set by the caller before ht_call_start; borrowed until the call ends */
    struct slice method, scheme, authority, target;
    const struct ht_headers *request_headers; /* end-to-end fields only; no host, no framing fields */
    int64_t request_length;  /* -1 unknown (chunked); ignored without has_body */
    unsigned has_body : 1, expect_continue : 1, is_unsent : 1, had_response : 1, is_ended : 1 /* request side */,
        is_tunnel : 1, is_held : 1 /* set by the caller inside on_body: took all, wants no more until resume */;
    struct slice upgrade;    /* "websocket": HTTP/1 sends Upgrade; HTTP/2 extended CONNECT when the peer allows it */
    /* response */
    unsigned status;
    enum ht_version version;
    struct ht_headers headers, trailers;
    int64_t response_length;
};

struct ht_client_ops {
    void (*on_ready)(struct ht_client_conn *conn);  /* handshake done; calls may start (they may be started before: they wait) */
    /* It may carry one call more than before: an HTTP/1 exchange ended and the connection lives, a stream closed. */
    void (*on_available)(struct ht_client_conn *conn);
    /* Gone for new calls (GOAWAY, error, idle close by the peer). Running calls get their own callbacks. The owner takes
     * it out of its pool. Comes once. The engine frees the struct by itself after the last call ended. */
    void (*on_gone)(struct ht_client_conn *conn, enum ht_fail fail, const char *detail);
};

enum ht_client_protocol { HT_CLIENT_HTTP1, HT_CLIENT_HTTP2, HT_CLIENT_ALPN /* TLS only: whichever is chosen */ };

struct ht_client_config {
    enum ht_client_protocol protocol;
    SSL_CTX *tls;                    /* NULL: plain */
    const char *sni;                 /* borrowed for the call */
    uint32_t connect_timeout_ms;     /* to on_ready; 5 s */
    uint32_t max_head_bytes;         /* 64 KiB */
    uint32_t max_concurrent_streams; /* HTTP/2: our ceiling beside the peer's; 1024 */
    /* HTTP/2: PING after so long without a byte while calls run; 10 s without an answer and the connection is lost. 0:
     * off, the default, because gRPC servers take more than one in 5 minutes for abuse. */
    uint32_t ping_idle_ms;
};

struct ht_client_conn {
    struct net_io io;
    const struct ht_client_ops *ops;
    void *owner;                  /* the pool's */
    struct list link;             /* the pool's; list_init'ed */
    unsigned num_active;          /* calls running */
    unsigned capacity;            /* calls it could take now in addition; 0 when busy, gone or draining */
    uint64_t num_calls;           /* started so far: above 0 means a reused connection */
    uint64_t idle_since_ms;       /* valid while num_active == 0 */
    enum ht_version version;      /* once ready */
    bool is_ready, is_gone;
    uint32_t max_head_bytes, max_concurrent_streams, ping_idle_ms; /* of its config */
    const struct ht_client_engine *engine; /* one that makes calls wait until the protocol is known */
    void *engine_data;
};

struct ht_client_conn *ht_client_connect(struct net_worker *worker, const struct sockaddr *addr, socklen_t addr_len,
                                         const struct ht_client_config *config, const struct ht_client_ops *ops,
                                         void *owner, struct err *err);
/* Caller checked `capacity`. Head goes out at the end of the event, with the first body bytes when there are any. */
void ht_call_start(struct ht_client_conn *conn, struct ht_call *call);
bool ht_call_body(struct ht_call *call, const struct iovec *iov, int num); /* false: wait for on_writable */
void ht_call_end(struct ht_call *call, const struct ht_headers *trailers); /* only with has_body or in a tunnel */
void ht_call_resume(struct ht_call *call);  /* response body may flow again */
/* No callback comes after it. HTTP/1 closes the connection, HTTP/2 resets the stream (CANCEL). */
void ht_call_cancel(struct ht_call *call);
/* Idle ones close at once; others when their last call ends. on_gone is not called. */
void ht_client_close(struct ht_client_conn *conn);

#endif

/* Calls to HTTP servers that are not on the data path: identity providers, key sets, webhooks, Prometheus, the control
 * API from agents and the command line. libcurl, in one background thread; results are messages to a worker. Never for
 * proxied requests.
 *
 * Defaults: the server's certificate and name are verified; redirects are not followed; no proxy is taken from the
 * environment; only http and https; a body larger than `max_body` fails the call.
 * Threads: start, cancel on the worker; net_http_call_wait() on any thread that may block (command line, start). */
#ifndef SELVEDGE_NET_HTTP_CALL_H
#define SELVEDGE_NET_HTTP_CALL_H

#include "core/base/err.h"
#include "core/net/worker.h"

struct net_http_request {
    const char *method;               /* NULL: GET, or POST with a body */
    const char *url;                  /* http:// or https:// */
    const char *const *headers;       /* "name: value", NULL-terminated; NULL: none */
    struct slice body;                /* {NULL,0}: none */
    const char *unix_path;            /* connect there instead; the URL still gives Host and path */
    const char *ca_file;              /* PEM file to trust instead of the system's roots */
    struct slice ca_pem;              /* the same in memory */
    const char *pinned_key;           /* "sha256//BASE64" of the server's public key, in addition (libcurl's form) */
    struct slice cert_pem, key_pem;   /* client certificate */
    bool insecure;                    /* no verification: the command line's --insecure only */
    bool public_only;                 /* refuse loopback, link-local, private and multicast addresses (URLs from users) */
    unsigned connect_timeout_ms;      /* 0: 5 s */
    unsigned timeout_ms;              /* whole call; 0: 30 s, or none with on_chunk */
    unsigned idle_timeout_ms;         /* no byte for so long; 0: none */
    size_t max_body;                  /* 0: 8 MiB */
};

struct net_http_response {
    unsigned status;
    struct slice head;  /* header lines of the final response as received, CRLF between */
    struct slice body;  /* NUL-terminated; empty with on_chunk */
};

/* Value of the first header of that name, or {NULL,0}. */
struct slice net_http_header(const struct net_http_response *response, const char *name);

/* `response` NULL: no answer, `err` says why. Both borrowed for the callback. */
typedef void (*net_http_done_cb)(void *data, const struct net_http_response *response, const struct err *err);
/* A piece of the body as it comes (event streams); only for 2xx answers: other bodies are collected for on_done. */
typedef void (*net_http_chunk_cb)(void *data, struct slice bytes);

struct net_http_call;

/* Copies the request. `on_chunk` may be NULL: then the body is collected. `on_done` runs exactly once, on `worker`, never
 * before this returns, unless net_http_call_cancel() comes first. */
struct net_http_call *net_http_call_start(struct net_worker *worker, const struct net_http_request *request,
                                          net_http_chunk_cb on_chunk, net_http_done_cb on_done, void *data);
struct net_http_call *net_http_call_cancel(struct net_http_call *call); /* NULL is fine; returns NULL */
/* Ends the thread; calls that run end with ERR_UNAVAILABLE. Before net_worker_free() of those who asked. */
void net_http_calls_stop(void);

/* Blocks until the call is over; callbacks run inside, on this thread. `on_chunk` may be NULL; returning false from
 * `go_on` (may be NULL; asked at least once a second) ends the call with ERR_UNAVAILABLE "interrupted". */
int net_http_call_wait(const struct net_http_request *request, net_http_chunk_cb on_chunk, bool (*go_on)(void *data),
                       net_http_done_cb on_done, void *data, struct err *err);

/* Connections that are kept between the calls of one thread. Over HTTP/2 a stream and the small calls beside it share one;
 * over HTTP/1.1 there are two. A session is used by one thread. */
struct net_http_session;
struct net_http_session *net_http_session_new(void);
struct net_http_session *net_http_session_free(struct net_http_session *session); /* NULL is fine; returns NULL */
/* As net_http_call_wait(), on the session's connections. */
int net_http_session_wait(struct net_http_session *session, const struct net_http_request *request, net_http_chunk_cb on_chunk,
                          bool (*go_on)(void *data), net_http_done_cb on_done, void *data, struct err *err);
/* Begins a call beside the one that net_http_session_wait() waits for: before it, or from its callbacks. Copies the request.
 * `on_done` runs exactly once inside net_http_session_wait(), which ends the call when it returns. */
void net_http_session_send(struct net_http_session *session, const struct net_http_request *request, net_http_done_cb on_done, void *data);

#endif

/* One call to the control API: a request that is whole, an answer that is whole or a stream.
 *
 * `begin` sees the call as soon as its head is there: who calls, and what may be read of the body. It may answer, and then
 * nothing of the body is kept (nor asked for with 100 Continue). Else the server collects the body (at most `max_body`
 * bytes, 413 beyond) and hands the call to `dispatch`. A handler may answer at once or keep the call and answer later, from the worker: exactly once, by
 * ctl_call_reply*(), ctl_call_fail(), or ctl_call_stream() followed later by ctl_call_end(). That holds when the client
 * has gone too (`is_gone`: `on_gone` was called once, answers go nowhere); the call is freed some time after.
 *
 * Threads: the control worker's; jobs get what they need copied or from `arena` while the call waits.
 * Ownership: everything in the call lives until it is freed. */
#ifndef SELVEDGE_CONTROL_CALL_H
#define SELVEDGE_CONTROL_CALL_H

#include "core/base/json.h"
#include "core/http/http.h"

struct ctl_control;

enum ctl_peer {
    CTL_PEER_UNIX,  /* control.sock, 0600: whoever may open it is an administrator of this host */
    CTL_PEER_LOCAL, /* node.sock: the proxy beside us; the node protocol of the node `local`, nothing else */
    CTL_PEER_TLS,
};

struct ctl_call {
    struct ctl_control *control;
    struct ht_exchange *x; /* NULL once gone */
    struct arena *arena;
    struct slice method, path /* normal form, decoded segments are the router's */, query;
    struct slice body;
    struct slice content_type, accept, user_agent, authorization; /* {NULL,0} when absent */
    enum ctl_peer peer;
    struct slice origin;        /* "10.0.0.7:51234", "unix:uid=1000" */
    struct slice spiffe_id;     /* of a verified client certificate, else {NULL,0} */
    struct slice enrolment;     /* the UID in it: the metadata.uid of the Node it was signed for; {NULL,0}: none */
    int64_t cert_ends_us;       /* when that certificate does, wall clock; the connection may outlive it */
    uint64_t id;                /* for logs and the audit's request id */
    struct ctl_identity *who;   /* set by `begin` (access.h); NULL before */
    size_t max_body;            /* the server's; `begin` may lower it */
    bool is_anonymous;          /* set by `begin`: the body counts against what is kept for strangers */
    unsigned retry_after_s;     /* for answers 429 and 503; 0: 1 s */
    bool is_gone, is_streaming, is_ended;
    void (*on_gone)(struct ctl_call *call);     /* may be NULL */
    void (*on_writable)(struct ctl_call *call); /* a stream has room again */
    void (*on_answer)(struct ctl_call *call, unsigned status); /* the answer is known: for the audit; may be NULL */
    struct slice failure;       /* text of the error it was answered with, else {NULL,0} */
    void *data;                                 /* the handler's */
    struct ctl_call_private *private;
};

/* Header of the answer beyond the usual ones, before the reply: "ETag", "Warning", … Copies. */
void ctl_call_header(struct ctl_call *call, const char *name, struct slice value);
/* Copies the body. */
void ctl_call_reply(struct ctl_call *call, unsigned status, const char *content_type, struct slice body);
void ctl_call_reply_json(struct ctl_call *call, unsigned status, const struct json *body);
/* Retry-After for 429 and 503: `retry_after_s`. ctl_call_fail() does it by itself. */
void ctl_call_retry_after(struct ctl_call *call, unsigned status);
/* A Kubernetes Status with the error's code, reason and text. */
void ctl_call_fail(struct ctl_call *call, const struct err *err);
/* Begins a streamed answer; bytes follow by ctl_call_write(): false means wait for on_writable. */
void ctl_call_stream(struct ctl_call *call, unsigned status, const char *content_type);
bool ctl_call_write(struct ctl_call *call, struct slice bytes);
void ctl_call_end(struct ctl_call *call);

/* First value of a query parameter, decoded, in the call's arena; {NULL,0} when absent. */
struct slice ctl_call_param(struct ctl_call *call, const char *name);
/* Request header by lower-case name; {NULL,0} when absent. */
struct slice ctl_call_request_header(struct ctl_call *call, const char *name);

/* What the body of a call under /selvedge/v1 may have; a row without a name ends the list. */
struct ctl_member {
    const char *name;
    enum json_type type; /* numbers are integers */
};
/* `body` (NULL: there is none) is an object of these members only, each of its type or null: with a member that is misspelt, or
 * meant for the query (dryRun), more would be done than was asked for. ERR_BAD_REQUEST, ERR_INVALID. */
int ctl_call_check_body(const struct json *body, const struct ctl_member *members, struct err *err);

/* ---------- the server ---------- */

struct ctl_server_config {
    struct net_worker *worker;
    struct ctl_control *control;
    size_t max_body;      /* 3 MiB, as Kubernetes */
    unsigned max_calls;   /* calls waiting for an answer, and streams: 16384, then 503 */
    void (*begin)(struct ctl_call *call);    /* the head is there */
    void (*dispatch)(struct ctl_call *call); /* all of it is there */
};

struct ctl_server;
struct ctl_server *ctl_server_new(const struct ctl_server_config *config);
/* No new connections or calls; those there are get to end. Then close_conns() when that takes too long, and free once
 * is_idle() (turn the worker in between). */
void ctl_server_stop(struct ctl_server *server);
bool ctl_server_is_idle(const struct ctl_server *server);
void ctl_server_close_conns(struct ctl_server *server);
struct ctl_server *ctl_server_free(struct ctl_server *server); /* NULL is fine; returns NULL */
/* A unix socket. A stale file is replaced, a live one is an error. `peer` is UNIX or LOCAL. */
int ctl_server_listen_unix(struct ctl_server *server, const char *path, unsigned mode, enum ctl_peer peer, struct err *err);
/* TLS always. `port` 0 picks one; returns the port in `ret_port` (may be NULL). `tls` is referenced. */
struct net_tls_server;
int ctl_server_listen_tls(struct ctl_server *server, const char *address, uint16_t port, struct net_tls_server *tls,
                          uint16_t *ret_port, struct err *err);
/* New connections use this from now on (renewed certificate). */
void ctl_server_set_tls(struct ctl_server *server, struct net_tls_server *tls);

#endif

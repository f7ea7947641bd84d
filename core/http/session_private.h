/* What a session (session.c) and its calls (session_call.c) know of each other. Nobody else includes this. */
#ifndef SELVEDGE_HTTP_SESSION_PRIVATE_H
#define SELVEDGE_HTTP_SESSION_PRIVATE_H

#include "core/base/strbuf.h"
#include "core/base/uri.h"
#include "core/http/session.h"
#include "core/net/resolver.h"
#include "core/net/tls_context.h"

struct ht_session {
    struct net_worker *worker;
    struct net_tls_client *tls; /* NULL: plain */
    char *scheme, *authority, *prefix; /* owned */
    char host[URI_HOST_SCRATCH];       /* without brackets */
    uint16_t port;
    bool is_name;                      /* and not an address */
    unsigned connect_timeout_ms;
    struct net_resolve *lookup; /* runs */
    struct sockaddr_storage addrs[NET_RESOLVE_MAX_ADDRS];
    size_t num_addrs; /* 0: not known yet */
    struct list conns; /* of struct ht_client_conn, also of those that are closing */
    struct list calls; /* of struct session_call: all that are not over */
};

struct session_call {
    struct list link;
    struct ht_session *session;
    struct ht_call call;
    h2o_mem_pool_t pool;
    struct ht_headers headers;
    char name[200]; /* "GET https://host/path": without the query, which may hold secrets */
    struct strbuf body_out, body_in;
    size_t num_sent, max_body;
    size_t next_addr;         /* to connect to */
    bool is_connecting;       /* to the one before next_addr */
    struct err connect_err;   /* of the first address, or of one where TLS failed: that tells more than what cannot be reached */
    bool is_on_kept;          /* on a connection that had calls before, and may have been closed meanwhile */
    bool is_retried;          /* on another one */
    bool is_over;             /* and to be told */
    uint64_t begun_ms;
    uint64_t sought_ms;       /* when it began to seek the connection */
    unsigned timeout_ms;      /* 0: none */
    struct timer deadline;
    struct net_post over_post;
    int status;               /* once over: 0 or -1 */
    struct err err;
    ht_piece_cb on_piece; /* NULL: the body is collected */
    ht_done_cb on_done;
    void *data;
    bool *ret_is_over; /* of the one that is waited for; NULL: one beside it */
};

/* Is in the session's list at once. Copies the request. */
struct session_call *session_call_new(struct ht_session *session, const struct ht_request *request, ht_piece_cb on_piece, ht_done_cb on_done, void *data);
/* Begins, or begins again elsewhere. */
void session_call_go(struct session_call *call);
/* Ends it; told from a post. */
void session_call_fail(struct session_call *call, enum err_code code, const char *why);
/* Tells `on_done` what became of it. */
void session_call_tell(struct session_call *call);
/* The engine has let go of it. */
void session_call_free(struct session_call *call);

#endif

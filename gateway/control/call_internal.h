/* What call.c and server.c share. */
#ifndef SELVEDGE_CONTROL_CALL_INTERNAL_H
#define SELVEDGE_CONTROL_CALL_INTERNAL_H

#include "core/net/listen.h"
#include "core/net/tls_context.h"
#include "gateway/control/call.h"

/* Bodies of all calls together; and of those whose callers are nobody yet (joins), so that they cannot take the room of the others. */
enum { CTL_MAX_BODIES = 64 * 1024 * 1024, CTL_MAX_ANONYMOUS_BODIES = 4 * 1024 * 1024 };

struct ctl_server {
    struct ctl_server_config config;
    struct net_tls_server *tls; /* owned reference; NULL before ctl_server_listen_tls() */
    struct list listeners;
    struct list conns; /* of struct ht_server_conn */
    unsigned num_calls;
    size_t num_body_bytes, num_anonymous_bytes;
    bool is_stopping; /* what handlers need is going away: calls are refused */
    struct ht_limits limits;
};

/* One listening socket: the owner of its connections. */
struct ctl_listening {
    struct list link;
    struct ctl_server *server;
    enum ctl_peer peer;
    char *path; /* of a unix socket, removed at the end; else NULL */
    struct net_listener *listener;
};

extern const struct ht_handler ctl_call_handler;

#endif

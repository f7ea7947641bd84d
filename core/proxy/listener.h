/* Listening sockets of one worker, and the connections they accept.
 *
 * Sockets are opened by the dataplane, one a worker and address (SO_REUSEPORT), so that a port that cannot be bound is
 * known in one place before anything changes; a worker only takes and closes descriptors. A socket stays open for as long
 * as any configuration names its address: reloads never close what stays.
 * Threads: px_listen() any; the rest the worker's. */
#ifndef SELVEDGE_PROXY_LISTENER_H
#define SELVEDGE_PROXY_LISTENER_H

#include "core/net/listen.h"
#include "core/proxy/worker.h"

/* What connections were told they may do; they keep to it when the listener's configuration changes. */
struct px_client_limits {
    struct ht_limits http;
    unsigned num_refs; /* the listener, and connections: all of one worker */
};

struct px_listener {
    struct list link;
    struct px_worker *worker;
    struct slice name;                       /* owned: "ADDRESS:PORT" */
    const struct px_listener_config *config; /* of the current view, or of `view` once closed */
    struct px_view *view;                    /* held since it closed: what its last connections are served by */
    struct px_client_limits *limits;         /* referenced: of connections that begin now */
    struct px_limits *counts;                /* referenced: the listener's, of all workers */
    struct net_listener *socket;             /* NULL once closed */
    unsigned num_conns;                      /* a closed listener goes with its last connection */
};

/* A downstream connection, as we see it; the protocol engine owns the rest. */
struct px_conn {
    struct ht_server_conn *http;
    struct px_listener *listener;
    struct px_client_limits *limits;  /* referenced */
    char address[46];                 /* the peer's, numeric, without port */
    uint8_t address_len;
    bool is_trusted;                  /* by the configuration of that serial */
    uint64_t trust_serial;
};

/* A bound, listening, non-blocking socket for `config`, or -1. Several may be opened for one address. */
int px_listen(const struct px_listener_config *config, struct err *err);

struct px_listener *px_listener_new(struct px_worker *worker, const struct px_listener_config *config, int fd);
/* Its configuration as the current view has it. */
void px_listener_use(struct px_listener *listener, const struct px_listener_config *config);
/* Takes what waits in its queue, closes the socket, drains its connections. While the view that configures it is the
 * current one: they are served by it to their end. */
void px_listener_close(struct px_listener *listener);
/* Whether the peer is a listed proxy, remembered per connection and configuration. */
bool px_conn_is_trusted(struct px_conn *conn, const struct px_config *config);

#endif

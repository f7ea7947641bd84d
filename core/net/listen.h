/* Listening sockets: opening them, and accepting from them on a worker.
 *
 * A listener accepts up to 16 connections an event, so that the connections there are get their turn in between. Out of
 * descriptors it gives the waiting client a close instead of silence (one descriptor is held in reserve for that) and
 * rests for a moment, instead of spinning on a readiness that cannot be served.
 * Threads: net_listen_*() any; a listener is its worker's. */
#ifndef SELVEDGE_NET_LISTEN_H
#define SELVEDGE_NET_LISTEN_H

#include "core/base/err.h"
#include "core/net/worker.h"

#include <sys/socket.h>

struct net_listen_options {
    int backlog;         /* 0: 4096; the kernel cuts it to net.core.somaxconn */
    bool is_shared;      /* SO_REUSEPORT: one socket a worker on the same address */
    bool is_dual_stack;  /* "::" takes IPv4 too; else IPv6 sockets are IPv6 only */
    unsigned unix_mode;  /* permissions of a unix socket's file; 0: 0600 */
};

/* A bound, listening, non-blocking, close-on-exec descriptor; -1: "listen on 0.0.0.0:80: Permission denied".
 * A unix socket's file that nobody listens on any more is replaced; one that somebody does is an error, as is any other
 * kind of file. `options` may be NULL. */
int net_listen(const struct sockaddr *addr, socklen_t len, const struct net_listen_options *options, struct err *err);
/* The same from text: "127.0.0.1:80", "[::]:80", ":80" (all IPv4 and IPv6), "unix:/run/x.sock". */
int net_listen_text(const char *where, const struct net_listen_options *options, struct err *err);
/* Splits "host:port" as above; `ret_host` of ":80" is empty. Used for options of programs. */
int net_parse_endpoint(const char *where, struct slice *ret_host, uint16_t *ret_port, struct err *err);
/* The address it got (port 0 was asked for), as text. */
void net_listen_name(int fd, char *out, size_t cap);

/* As many descriptors as the process may have: connections are bounded by them, not by a default of 1024. At start. */
void net_raise_descriptor_limit(void);

struct net_listener;

/* Takes the descriptor `fd` (non-blocking, close-on-exec). Returning false means "no more for now": the listener rests
 * for NET_LISTEN_REST_MS. */
typedef bool (*net_accept_cb)(struct net_listener *listener, int fd);

enum { NET_LISTEN_BATCH = 16, NET_LISTEN_REST_MS = 50 };

struct net_listener {
    struct net_worker *worker; /* borrowed */
    h2o_socket_t *sock;        /* owned */
    net_accept_cb on_accept;
    void *data;                /* the owner's */
    int reserve_fd;            /* -1 while spent */
    struct timer rest;
    struct net_post free_post;
    uint64_t num_accepted, num_refused /* out of descriptors */;
};

/* Owns `fd` from here on and accepts until net_listener_close(). */
struct net_listener *net_listener_new(struct net_worker *worker, int fd, net_accept_cb on_accept, void *data);
/* Closes the socket; what waits in its queue is accepted first and handed over, so that a reload refuses nobody who was
 * let in. May be called inside on_accept. Frees the struct from a post. NULL is fine; returns NULL. */
struct net_listener *net_listener_close(struct net_listener *listener);

#endif

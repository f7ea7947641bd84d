/* Names to addresses, off the loop: c-ares with a thread of its own, answers as messages to the worker that asked.
 *
 * Numeric addresses and "localhost" (RFC 6761: loopback, never asked of a server) are answered without the network, names
 * of /etc/hosts from that file. IPv4 and IPv6 are asked for together; IPv4 comes first in the answer unless there is none.
 * The TTL of an answer is the smallest of its records, kept within 1 s and 300 s; 300 s for what came from no server.
 * No cache: who asks keeps the answer for its TTL.
 * Threads: start and cancel on the worker; one resolver per process, started with the first lookup. */
#ifndef SELVEDGE_NET_RESOLVER_H
#define SELVEDGE_NET_RESOLVER_H

#include "core/base/err.h"
#include "core/net/worker.h"

#include <sys/socket.h>

enum { NET_RESOLVE_MAX_ADDRS = 64, NET_RESOLVE_TTL_MIN_S = 1, NET_RESOLVE_TTL_MAX_S = 300 };

struct net_resolve_answer {
    struct sockaddr_storage *addrs; /* with the port asked for; sorted: equal sets give equal answers */
    size_t num;                     /* at least 1, at most NET_RESOLVE_MAX_ADDRS */
    unsigned ttl_s;
};

/* `answer` NULL: it failed, `err` says why (ERR_NOT_FOUND: no such name, or no address; ERR_TIMEOUT; ERR_UNAVAILABLE).
 * Both are borrowed for the callback. */
typedef void (*net_resolve_cb)(void *data, const struct net_resolve_answer *answer, const struct err *err);

struct net_resolve;

/* `on_done` runs exactly once, on `worker`, never before this returns, unless net_resolve_cancel() comes first: then the worker
 * may be freed at once. */
struct net_resolve *net_resolve_start(struct net_worker *worker, struct slice name, uint16_t port, net_resolve_cb on_done,
                                      void *data);
struct net_resolve *net_resolve_cancel(struct net_resolve *resolve); /* NULL is fine; returns NULL */

/* Servers to ask instead of those of /etc/resolv.conf ("127.0.0.1:5353,[::1]:53"), and for how long each time. Before
 * the first lookup; for options of programs, and tests. */
int net_resolver_configure(const char *servers, unsigned timeout_ms, unsigned tries, struct err *err);
/* Ends the thread; lookups that run end with ERR_UNAVAILABLE. Before net_worker_free() of those who wait for them. */
void net_resolver_stop(void);

#endif

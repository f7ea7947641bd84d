/* Who the client is, and what the upstream is told about it.
 *
 * X-Forwarded-For, -Proto, -Host, -Port, Forwarded and X-Real-IP are believed only when the connection comes from a
 * listed proxy; else they are dropped, together with their unofficial kin (X-Forwarded-*, X-Original-URL …), and written
 * anew. The client's address is found from the right: the first that no listed proxy vouches for is the client, however
 * many stand left of it. Where a listener counts hops instead, every connection is a proxy's.
 * Threads: any; pure but for the pool. */
#ifndef SELVEDGE_PROXY_FORWARDED_H
#define SELVEDGE_PROXY_FORWARDED_H

#include "core/http/http.h"
#include "core/proxy/trust.h"

/* The hop the request came over. */
struct px_hop {
    struct slice address;   /* the connection's other end, without port: "192.0.2.1" */
    struct slice scheme;    /* "http", "https" */
    struct slice authority; /* as the client wrote it; may be empty */
    struct slice port;      /* the listener's, in decimal */
    bool is_trusted;        /* a listed proxy */
};

struct px_forwarded {
    struct slice client; /* address */
    struct slice scheme; /* of the client's own connection */
};

/* Rewrites `headers` in place. */
void px_forwarded_apply(h2o_mem_pool_t *pool, const struct px_trust *trust, const struct px_hop *hop,
                        struct ht_headers *headers, struct px_forwarded *ret);
/* The walk alone: `chain` is the value of X-Forwarded-For (lines joined by commas). */
struct slice px_forwarded_client(const struct px_trust *trust, struct slice chain, struct slice peer);

#endif

/* A snapshot made ready for the workers: everything slow (TLS contexts, address parsing, filter chains) is done once,
 * off the loop, and shared.
 *
 * Threads: made on any thread, then immutable; the reference count is atomic, held once per worker.
 * Errors: what cannot be made ready refuses the whole snapshot, naming the listener: nothing is half applied. */
#ifndef SELVEDGE_PROXY_CONFIG_H
#define SELVEDGE_PROXY_CONFIG_H

#include "core/http/http.h"
#include "core/model/snapshot.h"
#include "core/net/io.h"
#include "core/net/tls_context.h"
#include "core/proxy/filters.h"
#include "core/proxy/limits.h"
#include "core/proxy/trust.h"

struct px_listener_config {
    const struct cfg_listener *listener; /* borrowed from the snapshot */
    struct sockaddr_storage addr;
    socklen_t addr_len;
    struct slice port_text;
    bool is_any;                         /* every address, IPv6 and IPv4 */
    struct net_tls_server *tls;          /* owned reference; NULL for HTTP */
    struct px_trust *trust;              /* owned; NULL: the configuration's */
    struct px_limits *counts;            /* owned reference, set by the dataplane before it publishes */
};

/* A rule or a backend with its filters. */
struct px_backend_config {
    struct px_chain chain;
};

struct px_rule_config {
    struct px_chain chain;
    struct px_backend_config *backends; /* as in cfg_rule */
    uint32_t series_at;                 /* where its series begin among its route's */
};

struct px_config {
    atomic_uint refs;
    uint64_t serial;                    /* of this process: tells configurations apart */
    struct cfg_snapshot *snapshot;      /* owned reference */
    struct arena *arena;                /* owned */
    struct px_listener_config *listeners; /* as in the snapshot */
    struct px_rule_config **rules;      /* [route][rule] */
    uint32_t *num_series;               /* [route] */
    uint64_t *cluster_sums;             /* [cluster]: equal sums, equal clusters: nothing to do on the loop */
    struct net_tls_client **cluster_tls; /* [cluster]; owned references; NULL: plain */
    struct px_trust *trust;             /* owned; whose forwarded headers are believed */
    struct px_limits **limits;          /* [cluster]; owned references, set by the dataplane before it publishes */
};

/* Takes over one reference of the snapshot, also on error. Slow. `before` may be NULL: the configuration it follows, from
 * which what is the same is taken over. */
struct px_config *px_config_new(struct cfg_snapshot *snapshot, const struct px_config *before, struct err *err);
struct px_config *px_config_ref(struct px_config *config);
/* The last one frees, which takes time in proportion to the snapshot: not on a worker. */
void px_config_unref(struct px_config *config);

/* Whose forwarded headers are believed at that listener. */
static inline const struct px_trust *px_config_trust(const struct px_config *config, const struct px_listener_config *listener)
{
    return listener->trust != NULL ? listener->trust : config->trust;
}

/* What connections that begin now may do: the base, and what the listener's configuration says. */
struct ht_limits px_config_client_limits(const struct px_listener_config *listener, const struct ht_limits *base);

static inline const struct px_rule_config *px_config_rule(const struct px_config *config, const struct cfg_rule *rule)
{
    return &config->rules[rule->route - config->snapshot->routes][rule->index];
}


#endif

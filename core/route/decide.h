/* decide(): where a request goes, and why. One pure function of (snapshot, request, seed), called by the live path,
 * explain, replay and tests alike, so that they cannot disagree.
 *
 * Order of precedence (Gateway API HTTPRouteRule.matches): within the most specific server (listener hostname): route
 * hostname exact before longest wildcard before none; then path exact, longest prefix, regular expression; then a
 * method match; then the number of header matches; of query matches; then the oldest route; "namespace/name"; the
 * first rule; the first match. A rule of a less specific hostname still serves what no more specific one matches.
 * Regular expressions: PCRE2, JIT, anchored at both ends, with match and depth limits; a limit hit is no match.
 *
 * Threads: any; no locks, no allocation except in `pool_alloc` of the request. Cost: independent of the number of
 * routes (hashes by host, exact path and prefix), linear in the candidates of one path. */
#ifndef SELVEDGE_ROUTE_DECIDE_H
#define SELVEDGE_ROUTE_DECIDE_H

#include "core/model/snapshot.h"

struct rt_request {
    const struct cfg_listener *listener;
    struct slice method;
    struct slice scheme;  /* "http" | "https" */
    struct slice host;    /* lower case, without port and trailing dot */
    uint16_t port;        /* the listener's port (redirects) */
    struct slice path;    /* in normal form (core/base/uri.h), without query */
    struct slice query;   /* without "?"; {NULL,0} none */
    struct slice client;  /* the client's address, numeric; {NULL,0} unknown */
    /* First value of a header by lower-case name; {NULL,0} when absent. Names "host" and pseudo headers too. */
    struct slice (*header)(const void *data, struct slice name);
    const void *data;
    /* Memory for what the decision computes (locations, rewritten paths); lives as long as the request. */
    void *(*alloc)(void *alloc_data, size_t size);
    void *alloc_data;
};

enum rt_outcome {
    RT_FORWARD,
    RT_REDIRECT,
    RT_NO_SERVER,        /* no listener hostname matches: 404 */
    RT_NO_ROUTE,         /* 404 */
    RT_NO_BACKENDS,      /* rule without backends, or all weights 0: 500 */
    RT_BACKEND_INVALID,  /* the chosen share's reference does not resolve: 500 */
};

struct rt_decision {
    enum rt_outcome outcome;
    const struct cfg_server *server;
    const struct cfg_rule *rule;     /* NULL for NO_SERVER, NO_ROUTE */
    const struct cfg_match *match;
    const struct cfg_backend *backend;
    const struct cfg_cluster *cluster;
    struct slice hostname;           /* the route hostname that matched, "" for any */
    struct slice prefix;             /* the matched path prefix (PREFIX matches) */
    struct slice path, host;         /* towards the upstream, after rewrites; path is without query */
    unsigned redirect_status;
    struct slice location;
    uint32_t bucket;                 /* 0..9999: where the cohort key fell */
    const struct cfg_cohort_source *cohort; /* what the key was taken from; NULL: it was `seed` */
};

/* Weighted backends are chosen by a bucket, hash(rule, cohort key). The key is what the route's cohort sources find in
 * the request or, where they find nothing, `seed`: the live path draws a random one per request. */
void rt_decide(const struct rt_request *request, uint64_t seed, struct rt_decision *ret);

/* Document -> snapshot with indexes and regexes: the only way to get one that rt_decide() takes. Slow: off the loop. */
struct cfg_snapshot *rt_snapshot_build(const struct cfg_document *doc, struct err *err);

/* The same decision, told: for every rule of the server, whether it was taken and if not, which condition failed first or
 * what goes before it; for every server of the listener, when none has the host.
 * JSON: {"outcome","server","route","rule","match","backend","cluster","path","location",
 *        "considered":[{"route","rule","match","result":"taken|lower precedence|no match","why":"header x-a: want 'b', got 'c'"}]}.
 */
struct json *rt_explain(const struct cfg_snapshot *snapshot, const struct rt_request *request, uint64_t seed,
                        struct arena *arena);
/* The server a request belongs to by host name alone (most specific listener hostname), or NULL. For SNI checks (421). */
const struct cfg_server *rt_find_server(const struct cfg_listener *listener, struct slice host);

#endif

/* The compiled form of a server's routes: candidates by host, then by path, in order of precedence.
 *
 * Built once with the snapshot, read-only after. Memory: about 150 bytes a match beside the routes themselves. */
#ifndef SELVEDGE_ROUTE_INDEX_H
#define SELVEDGE_ROUTE_INDEX_H

#include "core/model/snapshot.h"

/* One match of one rule, at one hostname. */
struct rt_candidate {
    const struct cfg_rule *rule;
    const struct cfg_match *match;
    struct slice hostname; /* as the route says it: "*.example.com", "" for any */
};

/* Gateway API's order of precedence within one hostname, the last three to make it total. */
enum rt_criterion { RT_BY_PATH, RT_BY_METHOD, RT_BY_HEADERS, RT_BY_QUERIES, RT_BY_AGE, RT_BY_NAME, RT_BY_RULE, RT_BY_ORDER };

/* Negative: `a` goes first. `ret_by` (may be NULL) is what decides. 0 only for one and the same match. */
int rt_candidate_compare(const struct rt_candidate *a, const struct rt_candidate *b, enum rt_criterion *ret_by);

/* Candidates of one path, best first. */
struct rt_candidates {
    struct rt_candidate *at;
    uint32_t num, cap;
    struct slice path;
};

/* All routes that name one hostname. */
struct rt_host {
    struct slice hostname;
    struct hashmap exact, prefix;      /* path -> struct rt_candidates; a prefix is without trailing slash, "" for "/" */
    struct rt_candidates regex;        /* every regular expression, best first */
    struct rt_candidates all;          /* everything in order of precedence: for explain */
    uint32_t max_prefix_len, max_prefix_depth; /* nothing longer or with more segments is in `prefix` */
};

struct rt_index {
    struct arena *arena;      /* owned */
    struct hashmap exact;     /* hostname -> struct rt_host */
    struct hashmap wildcard;  /* "example.com" of "*.example.com" -> struct rt_host */
    struct rt_host *any;      /* routes without a hostname; may be NULL */
    struct rt_host **hosts;
    uint32_t num_hosts, cap_hosts;
};

/* For `server` of `listener`, from all routes of the snapshot attached to it. */
struct rt_index *rt_index_build(const struct cfg_snapshot *snapshot, const struct cfg_listener *listener,
                                const struct cfg_server *server);
struct rt_index *rt_index_free(struct rt_index *index);

/* Hosts that apply to `host`, most specific first: `for (it = …; (h = rt_index_next_host(&it)) != NULL;)`. */
struct rt_host_iter {
    const struct rt_index *index;
    struct slice host;
    size_t at;      /* where the next suffix begins */
    int phase;
};
struct rt_host_iter rt_index_hosts(const struct rt_index *index, struct slice host);
const struct rt_host *rt_index_next_host(struct rt_host_iter *it);

#endif

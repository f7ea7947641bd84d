/* decide(): server by host, candidates by host and path, the first that matches, then its share of the backends.
 *
 * Everything that could grow with the configuration is a hash look-up; what grows with the request (path segments, host
 * labels, query parameters) is bounded by the configuration's own depth or by the request limits. */
#include "core/route/decide.h"

#include "core/route/cohort.h"
#include "core/route/index.h"
#include "core/route/match.h"
#include "core/route/paths.h"

static bool hostname_matches(struct slice pattern, struct slice host)
{
    if (pattern.len == 0)
        return true;
    if (!slice_starts(pattern, SLICE("*.")))
        return slice_eq(pattern, host);
    /* at least one label before the suffix: the dot itself is part of it */
    struct slice suffix = slice_make(pattern.base + 1, pattern.len - 1);
    return host.len > suffix.len && slice_ends(host, suffix);
}

const struct cfg_server *rt_find_server(const struct cfg_listener *listener, struct slice host)
{
    for (uint32_t i = 0; i < listener->num_servers; ++i)
        if (hostname_matches(listener->servers[i].hostname, host))
            return &listener->servers[i]; /* they are in order, most specific first */
    return NULL;
}

static const struct rt_candidate *first_match(const struct rt_candidates *list, const struct rt_request *request, bool check_path)
{
    for (uint32_t i = 0; list != NULL && i < list->num; ++i) {
        const struct cfg_match *match = list->at[i].match;
        enum rt_miss miss = check_path ? rt_match(match, request, NULL) : rt_match_rest(match, request, NULL);
        if (miss == RT_HIT)
            return &list->at[i];
    }
    return NULL;
}

/* Longest prefix first: the whole path, then every shorter run of whole elements. Ends are found from the left up to
 * the depth any configured prefix has, so a path of thousands of slashes costs nothing extra. */
static const struct rt_candidate *match_prefixes(const struct rt_host *host, const struct rt_request *request)
{
    enum { MAX_ENDS = 512 }; /* Gateway API: a path value has at most 1024 characters */
    uint16_t ends[MAX_ENDS];
    uint32_t num = 0;
    if (hashmap_len(&host->prefix) == 0)
        return NULL;
    struct slice path = request->path;
    size_t limit = MIN(path.len, (size_t)host->max_prefix_len);
    for (size_t i = 1; i <= limit && num < MAX_ENDS && num < host->max_prefix_depth; ++i)
        if (i == path.len || path.base[i] == '/')
            ends[num++] = (uint16_t)i;
    for (;;) {
        size_t len = num > 0 ? ends[--num] : 0;
        const struct rt_candidate *hit = first_match(hashmap_get(&host->prefix, path.base, len), request, false);
        if (hit != NULL || len == 0)
            return hit;
    }
}

static const struct rt_candidate *match_host(const struct rt_host *host, const struct rt_request *request)
{
    const struct rt_candidates *exact = hashmap_get(&host->exact, request->path.base, request->path.len);
    const struct rt_candidate *hit = first_match(exact, request, false);
    if (hit == NULL)
        hit = match_prefixes(host, request);
    if (hit == NULL)
        hit = first_match(&host->regex, request, true);
    return hit;
}

static const struct rt_candidate *find_candidate(const struct rt_index *index, const struct rt_request *request)
{
    struct rt_host_iter it = rt_index_hosts(index, request->host);
    for (const struct rt_host *host; (host = rt_index_next_host(&it)) != NULL;) {
        const struct rt_candidate *hit = match_host(host, request);
        if (hit != NULL)
            return hit;
    }
    return NULL;
}

/* A bucket is a hash of (salt, cohort key), not a coin: the same key keeps its place while weights move, and raising
 * the last backend's weight only moves keys into it. The salt is the rule, so that rules do not share their unlucky. */
static const struct cfg_backend *choose_backend(const struct cfg_rule *rule, uint64_t seed, uint32_t *ret_bucket)
{
    uint64_t salt = hash_stable(rule->index, rule->route->name.base, rule->route->name.len);
    uint64_t hash = hash_stable(salt, &seed, sizeof(seed));
    *ret_bucket = (uint32_t)(((unsigned __int128)hash * 10000) >> 64);
    uint64_t point = (uint64_t)(((unsigned __int128)hash * rule->total_weight) >> 64);
    for (uint32_t i = 0; i < rule->num_backends; ++i)
        if (point < rule->backends[i].weight_upto)
            return &rule->backends[i];
    return NULL;
}

static void apply_rewrite(const struct rt_request *request, const struct cfg_rewrite *rewrite, struct rt_decision *ret)
{
    if (rewrite == NULL)
        return;
    if (rewrite->hostname.len != 0)
        ret->host = rewrite->hostname;
    if (rewrite->path_mod != CFG_PATH_KEEP)
        ret->path = rt_path_modify(request, rewrite->path_mod, rewrite->path, ret->prefix);
}

static void forward(const struct rt_request *request, uint64_t seed, struct rt_decision *ret)
{
    const struct cfg_rule *rule = ret->rule;
    ret->outcome = RT_NO_BACKENDS;
    if (rule->total_weight == 0)
        return;
    if (rule->num_backends != 1)
        ret->backend = choose_backend(rule, rt_cohort_seed(rule->route, request, seed, &ret->cohort), &ret->bucket);
    else
        ret->backend = &rule->backends[0];
    if (ret->backend == NULL)
        return;
    ret->cluster = ret->backend->cluster;
    ret->outcome = ret->cluster != NULL ? RT_FORWARD : RT_BACKEND_INVALID;
    apply_rewrite(request, rule->filters.rewrite, ret);
    apply_rewrite(request, ret->backend->filters.rewrite, ret);
}

void rt_decide(const struct rt_request *request, uint64_t seed, struct rt_decision *ret)
{
    *ret = (struct rt_decision){.outcome = RT_NO_SERVER, .path = request->path, .host = request->host};
    ret->server = rt_find_server(request->listener, request->host);
    if (ret->server == NULL)
        return;
    ret->outcome = RT_NO_ROUTE;
    const struct rt_candidate *hit = find_candidate(ret->server->index, request);
    if (hit == NULL)
        return;
    ret->rule = hit->rule;
    ret->match = hit->match;
    ret->hostname = hit->hostname;
    if (hit->match->path_kind == CFG_MATCH_PREFIX)
        ret->prefix = hit->match->path;
    const struct cfg_redirect *redirect = ret->rule->filters.redirect;
    if (redirect != NULL) {
        ret->outcome = RT_REDIRECT;
        ret->redirect_status = redirect->status;
        ret->location = rt_redirect_location(request, redirect, ret->prefix);
        return;
    }
    forward(request, seed, ret);
}

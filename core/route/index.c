/* Building: every (attachment hostname, rule, match) is put under its host and its path, then each list is sorted by
 * what Gateway API says beyond host and path: method, number of headers, of queries, age, name, order. Looking up:
 * hosts from exact over longest wildcard to any; see decide.c for paths. */
#include "core/route/index.h"

static struct rt_host *host_new(struct rt_index *index, struct slice hostname)
{
    struct rt_host *host = arena_zalloc(index->arena, sizeof(*host));
    host->hostname = hostname;
    if (index->num_hosts == index->cap_hosts) {
        index->cap_hosts = MAX(8u, index->cap_hosts * 2);
        index->hosts = xrealloc(index->hosts, index->cap_hosts * sizeof(*index->hosts));
    }
    index->hosts[index->num_hosts++] = host;
    return host;
}

static uint32_t count_char(struct slice text, char c)
{
    uint32_t count = 0;
    for (size_t i = 0; i < text.len; ++i)
        count += text.base[i] == c;
    return count;
}

static struct rt_host *host_for(struct rt_index *index, struct slice hostname)
{
    if (hostname.len == 0)
        return index->any != NULL ? index->any : (index->any = host_new(index, hostname));
    bool is_wildcard = slice_starts(hostname, SLICE("*."));
    struct hashmap *map = is_wildcard ? &index->wildcard : &index->exact;
    struct slice key = is_wildcard ? slice_make(hostname.base + 2, hostname.len - 2) : hostname;
    struct rt_host *host = hashmap_get(map, key.base, key.len);
    if (host != NULL)
        return host;
    host = host_new(index, hostname);
    hashmap_put(map, key.base, key.len, host);
    return host;
}

static void candidates_add(struct rt_candidates *list, struct rt_candidate candidate)
{
    if (list->num == list->cap) {
        list->cap = MAX(2u, list->cap * 2);
        list->at = xrealloc(list->at, list->cap * sizeof(*list->at));
    }
    list->at[list->num++] = candidate;
}

static struct rt_candidates *candidates_for(struct rt_index *index, struct hashmap *map, struct slice path)
{
    struct rt_candidates *list = hashmap_get(map, path.base, path.len);
    if (list == NULL) {
        list = arena_zalloc(index->arena, sizeof(*list));
        list->path = path;
        hashmap_put(map, path.base, path.len, list);
    }
    return list;
}

static void add_match(struct rt_index *index, struct rt_host *host, const struct cfg_rule *rule, const struct cfg_match *match)
{
    struct rt_candidate candidate = {rule, match, host->hostname};
    struct slice path = match->path;
    candidates_add(&host->all, candidate);
    if (match->path_kind == CFG_MATCH_REGEX) {
        candidates_add(&host->regex, candidate);
    } else if (match->path_kind == CFG_MATCH_EXACT) {
        candidates_add(candidates_for(index, &host->exact, path), candidate);
    } else {
        if (path.len > 0 && path.base[path.len - 1] == '/')
            --path.len; /* "/abc/" and "/abc" are one prefix; "/" is "" */
        host->max_prefix_len = MAX(host->max_prefix_len, (uint32_t)path.len);
        host->max_prefix_depth = MAX(host->max_prefix_depth, count_char(path, '/'));
        candidates_add(candidates_for(index, &host->prefix, path), candidate);
    }
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_slices(struct slice a, struct slice b)
{
    int order = memcmp(a.base, b.base, MIN(a.len, b.len));
    return order != 0 ? order : compare_u64(a.len, b.len);
}

static size_t prefix_len(const struct cfg_match *match)
{
    return match->path.len > 0 && match->path.base[match->path.len - 1] == '/' ? match->path.len - 1 : match->path.len;
}

static int compare_paths(const struct cfg_match *a, const struct cfg_match *b)
{
    if (a->path_kind != b->path_kind)
        return a->path_kind < b->path_kind ? -1 : 1; /* the enum is in order of precedence */
    return a->path_kind == CFG_MATCH_PREFIX ? compare_u64(prefix_len(b), prefix_len(a)) : 0;
}

static int compare_by(enum rt_criterion by, const struct rt_candidate *a, const struct rt_candidate *b)
{
    const struct cfg_route *ra = a->rule->route, *rb = b->rule->route;
    switch (by) {
    case RT_BY_PATH:
        return compare_paths(a->match, b->match);
    case RT_BY_METHOD:
        return (b->match->method.len != 0) - (a->match->method.len != 0);
    case RT_BY_HEADERS:
        return compare_u64(b->match->num_headers, a->match->num_headers);
    case RT_BY_QUERIES:
        return compare_u64(b->match->num_queries, a->match->num_queries);
    case RT_BY_AGE:
        return ra->created_us < rb->created_us ? -1 : ra->created_us > rb->created_us;
    case RT_BY_NAME:
        return compare_slices(ra->name, rb->name);
    case RT_BY_RULE:
        return compare_u64(a->rule->index, b->rule->index);
    case RT_BY_ORDER:
        break;
    }
    return compare_u64((uintptr_t)a->match, (uintptr_t)b->match); /* one array: order of matches */
}

int rt_candidate_compare(const struct rt_candidate *a, const struct rt_candidate *b, enum rt_criterion *ret_by)
{
    int order = 0;
    enum rt_criterion by = RT_BY_PATH;
    for (; (order = compare_by(by, a, b)) == 0 && by != RT_BY_ORDER; ++by)
        ;
    if (ret_by != NULL)
        *ret_by = by;
    return order;
}

static int compare_candidates(const void *left, const void *right)
{
    return rt_candidate_compare(left, right, NULL);
}

static void sort_candidates(struct rt_candidates *list)
{
    if (list->num > 1)
        qsort(list->at, list->num, sizeof(*list->at), compare_candidates);
}

static void sort_map(struct hashmap *map)
{
    struct hashmap_slot *slot;
    for (size_t at = 0; (slot = hashmap_next(map, &at)) != NULL;)
        sort_candidates(slot->value);
}

static void add_route(struct rt_index *index, const struct cfg_route *route, struct slice hostname)
{
    struct rt_host *host = host_for(index, hostname);
    for (uint32_t i = 0; i < route->num_rules; ++i)
        for (uint32_t j = 0; j < route->rules[i].num_matches; ++j)
            add_match(index, host, &route->rules[i], &route->rules[i].matches[j]);
}

struct rt_index *rt_index_build(const struct cfg_snapshot *snapshot, const struct cfg_listener *listener,
                                const struct cfg_server *server)
{
    struct rt_index *index = xcalloc(1, sizeof(*index));
    index->arena = arena_new(0);
    for (uint32_t i = 0; i < snapshot->num_routes; ++i) {
        const struct cfg_route *route = &snapshot->routes[i];
        for (uint32_t j = 0; j < route->num_attachments; ++j) {
            const struct cfg_attachment *at = &route->attachments[j];
            if (!slice_eq(at->listener, listener->name) || !slice_eq(at->server, server->name))
                continue;
            for (uint32_t k = 0; k < at->num_hostnames; ++k)
                add_route(index, route, at->hostnames[k]);
            if (at->num_hostnames == 0)
                add_route(index, route, SLICE(""));
        }
    }
    for (uint32_t i = 0; i < index->num_hosts; ++i) {
        sort_map(&index->hosts[i]->exact);
        sort_map(&index->hosts[i]->prefix);
        sort_candidates(&index->hosts[i]->regex);
        sort_candidates(&index->hosts[i]->all);
    }
    return index;
}

static void clear_map(struct hashmap *map)
{
    struct hashmap_slot *slot;
    for (size_t at = 0; (slot = hashmap_next(map, &at)) != NULL;)
        free(((struct rt_candidates *)slot->value)->at);
    hashmap_clear(map);
}

struct rt_index *rt_index_free(struct rt_index *index)
{
    if (index == NULL)
        return NULL;
    for (uint32_t i = 0; i < index->num_hosts; ++i) {
        clear_map(&index->hosts[i]->exact);
        clear_map(&index->hosts[i]->prefix);
        free(index->hosts[i]->regex.at);
        free(index->hosts[i]->all.at);
    }
    free(index->hosts);
    hashmap_clear(&index->exact);
    hashmap_clear(&index->wildcard);
    arena_free(index->arena);
    free(index);
    return NULL;
}

struct rt_host_iter rt_index_hosts(const struct rt_index *index, struct slice host)
{
    struct rt_host_iter it = {index, host, 0, 0};
    return it;
}

static const struct rt_host *next_wildcard(struct rt_host_iter *it)
{
    while (it->at < it->host.len && hashmap_len(&it->index->wildcard) != 0) {
        const char *dot = memchr(it->host.base + it->at, '.', it->host.len - it->at);
        if (dot == NULL)
            break;
        it->at = (size_t)(dot - it->host.base) + 1;
        const struct rt_host *host = hashmap_get(&it->index->wildcard, dot + 1, it->host.len - it->at);
        if (host != NULL)
            return host;
    }
    return NULL;
}

const struct rt_host *rt_index_next_host(struct rt_host_iter *it)
{
    const struct rt_host *host = NULL;
    if (it->phase == 0) {
        it->phase = 1;
        host = hashmap_get(&it->index->exact, it->host.base, it->host.len);
    }
    if (host == NULL && it->phase == 1) {
        host = next_wildcard(it);
        if (host == NULL)
            it->phase = 2;
    }
    if (host == NULL && it->phase == 2) {
        it->phase = 3;
        host = it->index->any;
    }
    return host;
}

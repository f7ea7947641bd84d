/* The decision, told. The verdict is rt_decide()'s own; the reasons come from the same rt_match() it uses. */
#include "core/route/decide.h"
#include "core/route/index.h"
#include "core/route/match.h"

static const char *const outcome_names[] = {
    [RT_FORWARD] = "forward",       [RT_REDIRECT] = "redirect",       [RT_NO_SERVER] = "no listener for this host",
    [RT_NO_ROUTE] = "no route",     [RT_NO_BACKENDS] = "no backends", [RT_BACKEND_INVALID] = "backend does not resolve",
};

static void set_slice(struct arena *arena, struct json *object, const char *name, struct slice value)
{
    if (value.base != NULL)
        json_set(arena, object, name, json_new_string(arena, value));
}

static const char *kind_word(enum cfg_match_kind kind)
{
    return kind == CFG_MATCH_EXACT ? "exact" : kind == CFG_MATCH_PREFIX ? "prefix" : "regular expression";
}

static char *why_value(struct arena *arena, const char *what, const struct cfg_value_match *want, bool is_present, struct slice got)
{
    const char *relation = want->kind == CFG_MATCH_REGEX ? "matching " : "";
    if (!is_present)
        return arena_printf(arena, "%s %.*s: want %s'%.*s', it is absent", what, (int)want->name.len, want->name.base,
                            relation, (int)want->value.len, want->value.base);
    return arena_printf(arena, "%s %.*s: want %s'%.*s', got '%.*s'", what, (int)want->name.len, want->name.base, relation,
                        (int)want->value.len, want->value.base, (int)got.len, got.base);
}

static char *why(struct arena *arena, const struct rt_candidate *candidate, const struct rt_request *request,
                 enum rt_miss miss, uint32_t index)
{
    const struct cfg_match *match = candidate->match;
    struct slice got = {NULL, 0};
    bool is_present;
    switch (miss) {
    case RT_MISS_PATH:
        return arena_printf(arena, "path: want %s '%.*s', got '%.*s'", kind_word(match->path_kind), (int)match->path.len,
                            match->path.base, (int)request->path.len, request->path.base);
    case RT_MISS_METHOD:
        return arena_printf(arena, "method: want %.*s, got %.*s", (int)match->method.len, match->method.base,
                            (int)request->method.len, request->method.base);
    case RT_MISS_HEADER:
        got = request->header(request->data, match->headers[index].name);
        return why_value(arena, "header", &match->headers[index], got.base != NULL, got);
    case RT_MISS_QUERY:
        is_present = rt_query_value(request, match->queries[index].name, &got);
        return why_value(arena, "query parameter", &match->queries[index], is_present, got);
    case RT_HIT:
        break;
    }
    return NULL;
}

static const char *why_path(struct arena *arena, const struct cfg_match *taken, const struct cfg_match *later)
{
    if (taken->path_kind == later->path_kind)
        return arena_printf(arena, "prefix '%.*s' is longer", (int)taken->path.len, taken->path.base);
    return arena_printf(arena, "%s path goes before %s", kind_word(taken->path_kind), kind_word(later->path_kind));
}

/* Why a rule that matches too is not the one taken. */
static const char *why_later(struct arena *arena, const struct rt_decision *decision, const struct rt_candidate *candidate)
{
    const struct rt_candidate taken = {decision->rule, decision->match, decision->hostname};
    enum rt_criterion by;
    if (!slice_eq(taken.hostname, candidate->hostname))
        return arena_printf(arena, "hostname '%.*s' is more specific", (int)taken.hostname.len, taken.hostname.base);
    (void)rt_candidate_compare(&taken, candidate, &by);
    switch (by) {
    case RT_BY_PATH:
        return why_path(arena, taken.match, candidate->match);
    case RT_BY_METHOD:
        return "the match taken names the method";
    case RT_BY_HEADERS:
        return "the match taken names more headers";
    case RT_BY_QUERIES:
        return "the match taken names more query parameters";
    case RT_BY_AGE:
        return "the route taken is older";
    case RT_BY_NAME:
        return "the route taken is first by name, of the same age";
    case RT_BY_RULE:
        return "an earlier rule of the route is taken";
    case RT_BY_ORDER:
        break;
    }
    return "an earlier match of the rule is taken";
}

static void tell_candidate(struct arena *arena, struct json *list, const struct rt_candidate *candidate,
                           const struct rt_request *request, const struct rt_decision *decision)
{
    uint32_t index = 0;
    enum rt_miss miss = rt_match(candidate->match, request, &index);
    bool is_taken = candidate->match == decision->match && slice_eq(candidate->hostname, decision->hostname);
    struct json *item = json_push(list, json_new_object(arena));
    set_slice(arena, item, "route", candidate->rule->route->name);
    json_set_int(arena, item, "rule", candidate->rule->index);
    json_set_int(arena, item, "match", candidate->match - candidate->rule->matches);
    set_slice(arena, item, "hostname", candidate->hostname);
    json_set_str(arena, item, "result", is_taken ? "taken" : miss == RT_HIT ? "lower precedence" : "no match");
    if (!is_taken)
        json_set_str(arena, item, "why", miss != RT_HIT ? why(arena, candidate, request, miss, index) : why_later(arena, decision, candidate));
}

static void tell_host(struct arena *arena, struct json *list, const struct rt_host *host, const struct rt_request *request,
                      const struct rt_decision *decision)
{
    for (uint32_t i = 0; i < host->all.num; ++i)
        tell_candidate(arena, list, &host->all.at[i], request, decision);
}

/* Rules of hostnames that do not apply: one line a match, so that a wrong host shows as the reason. */
static void tell_other_host(struct arena *arena, struct json *list, const struct rt_host *host, const struct rt_request *request)
{
    for (uint32_t i = 0; i < host->all.num; ++i) {
        const struct rt_candidate *candidate = &host->all.at[i];
        struct json *item = json_push(list, json_new_object(arena));
        set_slice(arena, item, "route", candidate->rule->route->name);
        json_set_int(arena, item, "rule", candidate->rule->index);
        json_set_int(arena, item, "match", candidate->match - candidate->rule->matches);
        set_slice(arena, item, "hostname", candidate->hostname);
        json_set_str(arena, item, "result", "no match");
        json_set_str(arena, item, "why",
                     arena_printf(arena, "host: want '%.*s', got '%.*s'", (int)host->hostname.len, host->hostname.base,
                                  (int)request->host.len, request->host.base));
    }
}

static struct json *tell_considered(struct arena *arena, const struct rt_index *index, const struct rt_request *request,
                                    const struct rt_decision *decision)
{
    struct json *list = json_new_array(arena);
    struct hashmap applies = HASHMAP_INIT;
    struct rt_host_iter it = rt_index_hosts(index, request->host);
    for (const struct rt_host *host; (host = rt_index_next_host(&it)) != NULL;) {
        hashmap_put(&applies, (const char *)&host->hostname.base, sizeof(host->hostname.base), (void *)host);
        tell_host(arena, list, host, request, decision);
    }
    for (uint32_t i = 0; i < index->num_hosts; ++i) {
        const struct rt_host *host = index->hosts[i];
        if (hashmap_get(&applies, (const char *)&host->hostname.base, sizeof(host->hostname.base)) != host)
            tell_other_host(arena, list, host, request);
    }
    hashmap_clear(&applies);
    return list;
}

/* No server has the host: what they have instead. */
static struct json *tell_servers(struct arena *arena, const struct rt_request *request)
{
    struct json *list = json_new_array(arena);
    for (uint32_t i = 0; i < request->listener->num_servers; ++i) {
        const struct cfg_server *server = &request->listener->servers[i];
        struct json *item = json_push(list, json_new_object(arena));
        set_slice(arena, item, "server", server->name);
        set_slice(arena, item, "hostname", server->hostname);
        json_set_str(arena, item, "result", "no match");
        json_set_str(arena, item, "why",
                     arena_printf(arena, "host: want '%.*s', got '%.*s'", (int)server->hostname.len, server->hostname.base,
                                  (int)request->host.len, request->host.base));
    }
    return list;
}

static void tell_cohort(struct arena *arena, struct json *told, const struct cfg_cohort_source *source)
{
    static const char *const words[] = {
        [CFG_COHORT_HEADER] = "header", [CFG_COHORT_COOKIE] = "cookie", [CFG_COHORT_CLIENT] = "client address"};
    if (source != NULL)
        json_set_str(arena, told, "cohort", arena_printf(arena, "%s%s%.*s", words[source->from], source->name.len != 0 ? " " : "",
                                                         (int)source->name.len, source->name.base));
}

struct json *rt_explain(const struct cfg_snapshot *snapshot, const struct rt_request *request, uint64_t seed,
                        struct arena *arena)
{
    struct rt_decision decision;
    rt_decide(request, seed, &decision);
    struct json *told = json_new_object(arena);
    json_set_str(arena, told, "outcome", outcome_names[decision.outcome]);
    set_slice(arena, told, "listener", request->listener->name);
    if (decision.server == NULL) {
        json_set(arena, told, "considered", tell_servers(arena, request));
        return told;
    }
    set_slice(arena, told, "server", decision.server->name);
    if (decision.rule != NULL) {
        set_slice(arena, told, "route", decision.rule->route->name);
        json_set_int(arena, told, "rule", decision.rule->index);
        json_set_int(arena, told, "match", decision.match - decision.rule->matches);
        set_slice(arena, told, "hostname", decision.hostname);
    }
    if (decision.backend != NULL) {
        set_slice(arena, told, "backend", decision.backend->cluster_name);
        json_set_int(arena, told, "bucket", decision.bucket);
        tell_cohort(arena, told, decision.cohort);
    }
    if (decision.outcome == RT_FORWARD) {
        set_slice(arena, told, "cluster", decision.cluster->name);
        set_slice(arena, told, "path", decision.path);
        set_slice(arena, told, "host", decision.host);
    }
    if (decision.outcome == RT_REDIRECT) {
        json_set_int(arena, told, "status", decision.redirect_status);
        set_slice(arena, told, "location", decision.location);
    }
    json_set(arena, told, "considered", tell_considered(arena, decision.server->index, request, &decision));
    return told;
}

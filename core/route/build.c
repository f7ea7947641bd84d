/* Document -> snapshot that rt_decide() takes: decode, compile expressions, index every server. Off the loop. */
#include "core/route/decide.h"
#include "core/route/index.h"
#include "core/route/regex.h"

static void free_values(struct cfg_value_match *values, uint32_t num)
{
    for (uint32_t i = 0; i < num; ++i)
        values[i].regex = rt_regex_free(values[i].regex);
}

static void free_match(struct cfg_match *match)
{
    match->path_regex = rt_regex_free(match->path_regex);
    free_values(match->headers, match->num_headers);
    free_values(match->queries, match->num_queries);
}

static void dispose(struct cfg_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->num_listeners; ++i)
        for (uint32_t j = 0; j < snapshot->listeners[i].num_servers; ++j)
            rt_index_free(snapshot->listeners[i].servers[j].index);
    for (uint32_t i = 0; i < snapshot->num_routes; ++i)
        for (uint32_t j = 0; j < snapshot->routes[i].num_rules; ++j)
            for (uint32_t k = 0; k < snapshot->routes[i].rules[j].num_matches; ++k)
                free_match(&snapshot->routes[i].rules[j].matches[k]);
}

static int compile_values(struct cfg_value_match *values, uint32_t num, const char *what, struct err *err)
{
    for (uint32_t i = 0; i < num; ++i) {
        if (values[i].kind != CFG_MATCH_REGEX)
            continue;
        values[i].regex = rt_regex_new(values[i].value, err);
        if (values[i].regex == NULL)
            return err_wrap(err, "%s[%u].value", what, i);
    }
    return 0;
}

static int compile_match(struct cfg_match *match, struct err *err)
{
    if (match->path_kind == CFG_MATCH_REGEX && (match->path_regex = rt_regex_new(match->path, err)) == NULL)
        return err_wrap(err, "path.value");
    if (compile_values(match->headers, match->num_headers, "headers", err) != 0)
        return -1;
    return compile_values(match->queries, match->num_queries, "queryParams", err);
}

static int compile_route(struct cfg_route *route, struct err *err)
{
    for (uint32_t i = 0; i < route->num_rules; ++i)
        for (uint32_t j = 0; j < route->rules[i].num_matches; ++j)
            if (compile_match(&route->rules[i].matches[j], err) != 0)
                return err_wrap(err, "route %.*s: rules[%u].matches[%u]", (int)route->name.len, route->name.base, i, j);
    return 0;
}

struct cfg_snapshot *rt_snapshot_build(const struct cfg_document *doc, struct err *err)
{
    struct cfg_snapshot *snapshot = cfg_snapshot_decode(doc, err);
    if (snapshot == NULL)
        return NULL;
    snapshot->dispose = dispose;
    for (uint32_t i = 0; i < snapshot->num_routes; ++i) {
        if (compile_route(&snapshot->routes[i], err) != 0) {
            cfg_snapshot_unref(snapshot);
            return NULL;
        }
    }
    for (uint32_t i = 0; i < snapshot->num_listeners; ++i) {
        struct cfg_listener *listener = &snapshot->listeners[i];
        for (uint32_t j = 0; j < listener->num_servers; ++j)
            listener->servers[j].index = rt_index_build(snapshot, listener, &listener->servers[j]);
    }
    return snapshot;
}

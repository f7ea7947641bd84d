/* Path arithmetic of Gateway API: prefix matching by element, prefix replacement, redirect locations. Pure. */
#ifndef SELVEDGE_ROUTE_PATHS_H
#define SELVEDGE_ROUTE_PATHS_H

#include "core/route/decide.h"

/* Whether `prefix` (a trailing slash is ignored) matches whole elements at the start of `path`. */
bool rt_prefix_matches(struct slice prefix, struct slice path);
/* HTTPPathModifier on a path: the eleven rows of Gateway API's table for REPLACE_PREFIX. May return `path` itself. */
struct slice rt_path_modify(const struct rt_request *request, enum cfg_path_mod mod, struct slice replacement,
                            struct slice prefix);
/* The Location of a redirect, query kept. */
struct slice rt_redirect_location(const struct rt_request *request, const struct cfg_redirect *redirect, struct slice prefix);

#endif

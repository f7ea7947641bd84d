/* One match of a rule against a request. Pure. */
#ifndef SELVEDGE_ROUTE_MATCH_H
#define SELVEDGE_ROUTE_MATCH_H

#include "core/route/decide.h"

enum rt_miss { RT_HIT, RT_MISS_PATH, RT_MISS_METHOD, RT_MISS_HEADER, RT_MISS_QUERY };

/* The first condition that fails, in the order path, method, headers, queries; `ret_index` (may be NULL) is the header
 * or query at fault. */
enum rt_miss rt_match(const struct cfg_match *match, const struct rt_request *request, uint32_t *ret_index);
/* Without the path: for candidates found by it. */
enum rt_miss rt_match_rest(const struct cfg_match *match, const struct rt_request *request, uint32_t *ret_index);
/* First value of a query parameter, percent- and plus-decoded (request memory if it had to be); false when absent. */
bool rt_query_value(const struct rt_request *request, struct slice name, struct slice *ret_value);

#endif

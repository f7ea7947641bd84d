/* The cohort key of a request: which share of a weighted rule it belongs to, and stays with. Pure. */
#ifndef SELVEDGE_ROUTE_COHORT_H
#define SELVEDGE_ROUTE_COHORT_H

#include "core/route/decide.h"

/* A number for the first of the route's cohort sources that the request has (an empty value counts as none), which is
 * told in `ret_source`; without one `seed` itself, and NULL. */
uint64_t rt_cohort_seed(const struct cfg_route *route, const struct rt_request *request, uint64_t seed,
                        const struct cfg_cohort_source **ret_source);

#endif

/* Request targets and host names in the one form that is matched, logged and forwarded. */
#ifndef SELVEDGE_PROXY_TARGET_H
#define SELVEDGE_PROXY_TARGET_H

#include "core/http/http.h"

/* Splits an origin-form target (or "*") into its path in normal form (core/base/uri.h) and its query as sent, without
 * "?" and {NULL,0} when there is none. False: refuse the request. */
bool px_target_parse(h2o_mem_pool_t *pool, struct slice target, struct slice *ret_path, struct slice *ret_query);
/* The host of an authority: lower case, without port and trailing dot; brackets stay. An empty authority (HTTP/1.0) is an
 * empty host. False: refuse. */
bool px_authority_host(h2o_mem_pool_t *pool, struct slice authority, struct slice *ret_host);
/* Path and query again. In the pool, unless there is no query. */
struct slice px_target_join(h2o_mem_pool_t *pool, struct slice path, struct slice query);

#endif

/* gRPC over HTTP: what tells such a request apart, its deadline, and errors in its own words.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
#ifndef SELVEDGE_PROXY_GRPC_H
#define SELVEDGE_PROXY_GRPC_H

#include "core/http/http.h"

/* content-type application/grpc, application/grpc+proto …; not application/grpc-web. */
bool px_is_grpc(const struct ht_headers *headers);
/* grpc-timeout in milliseconds, rounded up; false when absent or malformed. */
bool px_grpc_timeout(const struct ht_headers *headers, uint64_t *ret_ms);
/* Percent-encodes as grpc-message wants it. */
struct slice px_grpc_message(h2o_mem_pool_t *pool, struct slice text);

#endif

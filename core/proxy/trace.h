/* Identifiers of a request: x-request-id and W3C traceparent (https://www.w3.org/TR/trace-context/). */
#ifndef SELVEDGE_PROXY_TRACE_H
#define SELVEDGE_PROXY_TRACE_H

#include "core/http/http.h"
#include "core/base/rng.h"

enum { PX_REQUEST_ID_LEN = 36, PX_REQUEST_ID_MAX = 128, PX_TRACEPARENT_LEN = 55, PX_TRACE_ID_LEN = 32 };

struct px_trace {
    struct slice request_id; /* pool memory, or the client's */
    struct slice trace_id;   /* 32 hex digits */
};

/* Sets x-request-id (the client's only when `keep_id` and it is harmless) and traceparent (a valid one is handed on as it
 * came, an invalid one replaced, its tracestate dropped). */
void px_trace_apply(h2o_mem_pool_t *pool, struct rng *rng, bool keep_id, struct ht_headers *headers,
                    struct px_trace *ret);
bool px_traceparent_is_valid(struct slice value);

#endif

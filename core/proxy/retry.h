/* Whether a failed attempt may be made again: a pure decision.
 *
 * The promise: a request that an upstream may have acted on is never sent twice unless its method says that this is
 * harmless (RFC 9110 9.2.2), and one retry is all there is, so an outage is at most doubled. */
#ifndef SELVEDGE_PROXY_RETRY_H
#define SELVEDGE_PROXY_RETRY_H

#include "core/http/http.h"

struct px_retry_facts {
    enum ht_fail fail;
    unsigned num_attempts;          /* made so far, with the failed one */
    bool is_unsent;                 /* certainly not processed: not connected, refused, below a GOAWAY */
    bool had_response;              /* a response head came, or anything was sent to the client */
    bool was_reused;                /* the connection had carried a call before */
    bool is_replayable;             /* every body byte taken from the client is still at hand */
    bool is_idempotent;             /* by method */
    bool has_other_endpoint;
};

enum px_retry {
    PX_RETRY_NO,
    PX_RETRY_OTHER, /* on another endpoint */
    PX_RETRY_FRESH, /* a new connection; the same endpoint will do: only the old connection was at fault */
};

enum { PX_MAX_ATTEMPTS = 2 };

enum px_retry px_retry_decide(const struct px_retry_facts *facts);
bool px_method_is_idempotent(struct slice method);

#endif

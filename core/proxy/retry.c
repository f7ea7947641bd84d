/* A table in words: each early return is a sentence of the promise in retry.h. */
#include "core/proxy/retry.h"

bool px_method_is_idempotent(struct slice method)
{
    static const char *const names[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_is(method, names[i]))
            return true;
    return false;
}

static bool is_connect_failure(enum ht_fail fail)
{
    return fail == HT_FAIL_CONNECT || fail == HT_FAIL_CONNECT_TIMEOUT || fail == HT_FAIL_TLS;
}

enum px_retry px_retry_decide(const struct px_retry_facts *facts)
{
    if (facts->had_response || facts->num_attempts >= PX_MAX_ATTEMPTS || !facts->is_replayable)
        return PX_RETRY_NO;
    if (is_connect_failure(facts->fail))
        return facts->has_other_endpoint ? PX_RETRY_OTHER : PX_RETRY_NO;
    if (facts->is_unsent) /* the endpoint lives, or the reused connection was dead before our bytes left */
        return facts->has_other_endpoint && !facts->was_reused ? PX_RETRY_OTHER : PX_RETRY_FRESH;
    /* An idle connection the upstream was closing while we wrote. A new connection that dies like this carried the
     * request to a process that broke on it: sending it to the next one would break that too. */
    if (facts->was_reused && facts->is_idempotent &&
        (facts->fail == HT_FAIL_RESET || facts->fail == HT_FAIL_CLOSED_EARLY))
        return PX_RETRY_FRESH;
    return PX_RETRY_NO;
}

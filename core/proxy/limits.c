/* Reference counting; the counters are inline. */
#include "core/proxy/limits.h"

struct px_limits *px_limits_new(void)
{
    struct px_limits *limits = xcalloc(1, sizeof(*limits));

    atomic_init(&limits->refs, 1);
    return limits;
}

struct px_limits *px_limits_ref(struct px_limits *limits)
{
    atomic_fetch_add_explicit(&limits->refs, 1, memory_order_relaxed);
    return limits;
}

void px_limits_unref(struct px_limits *limits)
{
    if (limits != NULL && atomic_fetch_sub_explicit(&limits->refs, 1, memory_order_acq_rel) == 1)
        free(limits);
}

#include "core/base/token_bucket.h"

/* Keeps sums of a moment and a bucket's length below 2^64: a bucket takes at most 146 years to fill. */
static const uint64_t FILL_MAX_NS = UINT64_MAX / 4;

struct token_rate token_rate_make(uint64_t num, uint64_t period_ms, uint64_t burst)
{
    unsigned __int128 period_ns = (unsigned __int128)period_ms * 1000000;
    unsigned __int128 interval = (period_ns + num - 1) / num; /* rounded up: never more than asked for */
    struct token_rate rate = {.burst = burst != 0 ? burst : num};
    rate.interval_ns = interval < FILL_MAX_NS ? (uint64_t)interval : FILL_MAX_NS;
    rate.burst = MIN(rate.burst, FILL_MAX_NS / rate.interval_ns);
    rate.burst = MAX(rate.burst, (uint64_t)1);
    return rate;
}

struct token_verdict token_bucket_take(struct token_bucket *bucket, const struct token_rate *rate,
                                       uint64_t now_ns, uint64_t cost)
{
    struct token_verdict verdict = {.is_allowed = false};
    uint64_t capacity_ns = rate->interval_ns * rate->burst;
    uint64_t base_ns = MAX(bucket->empty_until_ns, now_ns);
    /* A rate that was lowered meanwhile must not leave a debt longer than its own bucket. */
    uint64_t used_ns = MIN(base_ns - now_ns, capacity_ns);
    if (cost > rate->burst) {
        verdict.retry_after_ns = UINT64_MAX;
    } else if (used_ns + cost * rate->interval_ns > capacity_ns) {
        verdict.retry_after_ns = used_ns + cost * rate->interval_ns - capacity_ns;
    } else {
        verdict.is_allowed = true;
        used_ns += cost * rate->interval_ns;
    }
    bucket->empty_until_ns = now_ns + used_ns;
    verdict.remaining = (capacity_ns - used_ns) / rate->interval_ns;
    verdict.full_in_ns = used_ns;
    return verdict;
}

bool token_bucket_is_full(const struct token_bucket *bucket, uint64_t now_ns)
{
    return bucket->empty_until_ns <= now_ns;
}

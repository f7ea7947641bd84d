/* Rate limiting by the generic cell rate algorithm: a token bucket that stores one moment instead of a level
 * and a time, needs no refilling, and knows exactly when to come back.
 *
 * Pure functions of (bucket, rate, now); the caller brings a monotonic clock in nanoseconds. Threads: one a
 * bucket. */
#ifndef SELVEDGE_BASE_TOKEN_BUCKET_H
#define SELVEDGE_BASE_TOKEN_BUCKET_H

#include "core/base/defs.h"

struct token_rate {
    uint64_t interval_ns; /* between two tokens */
    uint64_t burst; /* how many a full bucket holds; at least 1 */
};

/* `num` tokens each `period_ms`. `burst` 0 means `num`. `num` and `period_ms` are not 0. */
struct token_rate token_rate_make(uint64_t num, uint64_t period_ms, uint64_t burst);

/* Zero is a full bucket. */
struct token_bucket {
    uint64_t empty_until_ns; /* the theoretical arrival time: when the bucket would be full again */
};

struct token_verdict {
    bool is_allowed;
    uint64_t remaining; /* tokens left */
    uint64_t retry_after_ns; /* refused: when `cost` tokens will be there; UINT64_MAX: never, cost is above
                                the burst */
    uint64_t full_in_ns; /* when the bucket will be full */
};

/* Takes `cost` tokens when they are there, else none. */
struct token_verdict token_bucket_take(struct token_bucket *bucket, const struct token_rate *rate,
                                       uint64_t now_ns, uint64_t cost);
/* Whether the bucket is as good as new: it need not be remembered. */
bool token_bucket_is_full(const struct token_bucket *bucket, uint64_t now_ns);

#endif

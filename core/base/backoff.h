/* How long to wait before trying again: exponential with full jitter, which spreads clients that failed
 * together better than any fixed share of jitter (Brooker, "Exponential Backoff and Jitter", 2015).
 *
 * Pure: the caller brings the random number and does the waiting. */
#ifndef SELVEDGE_BASE_BACKOFF_H
#define SELVEDGE_BASE_BACKOFF_H

#include "core/base/defs.h"

struct backoff {
    uint64_t base_ms, max_ms;
    unsigned num_tries;
};

static inline struct backoff backoff_make(uint64_t base_ms, uint64_t max_ms)
{
    return (struct backoff){base_ms, max_ms, 0};
}
/* After a success. */
static inline void backoff_reset(struct backoff *b)
{
    b->num_tries = 0;
}
/* The longest the next wait can be: base * 2^tries, at most `max_ms`. */
uint64_t backoff_ceiling_ms(const struct backoff *b);
/* The next wait, evenly drawn from 0 to the ceiling; counts a try. `random` is any 64 random bits. */
uint64_t backoff_next_ms(struct backoff *b, uint64_t random);

#endif

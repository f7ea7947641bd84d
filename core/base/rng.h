/* Fast random numbers that need not be unguessable: load balancing, sampling, jitter. Secrets come from
 * crypto.h.
 *
 * SplitMix64 (Steele, Lea, Flood 2014). Threads: one a generator; give each worker its own. */
#ifndef SELVEDGE_BASE_RNG_H
#define SELVEDGE_BASE_RNG_H

#include "core/base/defs.h"

struct rng {
    uint64_t state; /* any seed will do */
};

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* A random word scaled to 0 <= result < bound; `bound` is not 0. The bias is below 2^-32 for bounds below
 * 2^32. */
static inline uint64_t rng_scale(uint64_t random, uint64_t bound)
{
    return (uint64_t)((unsigned __int128)random * bound >> 64);
}

static inline uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    return rng_scale(rng_next(rng), bound);
}

#endif

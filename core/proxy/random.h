/* Random numbers for choices and identifiers (not for secrets): xoshiro256**, one state a worker, seeded by the kernel. */
#ifndef SELVEDGE_PROXY_RANDOM_H
#define SELVEDGE_PROXY_RANDOM_H

#include "core/base/defs.h"

struct px_random {
    uint64_t s[4];
};

void px_random_init(struct px_random *random);              /* from getrandom() */
void px_random_seed(struct px_random *random, uint64_t seed); /* tests: the same numbers again */

static inline uint64_t px_random_rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t px_random_next(struct px_random *random)
{
    uint64_t *s = random->s;
    uint64_t result = px_random_rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = px_random_rotl(s[3], 45);
    return result;
}

/* 0 .. bound-1 without modulo bias worth naming (bound < 2^32). */
static inline uint32_t px_random_below(struct px_random *random, uint32_t bound)
{
    return (uint32_t)(((px_random_next(random) >> 32) * (uint64_t)bound) >> 32);
}

#endif

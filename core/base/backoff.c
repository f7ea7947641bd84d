#include "core/base/backoff.h"

#include "core/base/rng.h"

uint64_t backoff_ceiling_ms(const struct backoff *b)
{
    /* Shifting would lose bits: the maximum is passed long before. */
    if (b->num_tries >= 63 || b->base_ms > b->max_ms >> b->num_tries)
        return b->base_ms != 0 ? b->max_ms : 0;
    return b->base_ms << b->num_tries;
}

uint64_t backoff_next_ms(struct backoff *b, uint64_t random)
{
    uint64_t ceiling_ms = backoff_ceiling_ms(b);
    if (b->num_tries < 63)
        ++b->num_tries;
    return ceiling_ms == UINT64_MAX ? random : rng_scale(random, ceiling_ms + 1);
}

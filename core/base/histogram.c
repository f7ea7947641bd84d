/* A bucket is named by the position of the value's highest bit (the octave) and the five bits below it. The
 * single writer uses plain loads and relaxed stores, which cost nothing; octaves are published by a release
 * store once zeroed. */
#include "core/base/histogram.h"

static uint64_t load(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static const uint64_t *octave_at(const struct histogram *h, unsigned octave)
{
    return __atomic_load_n(&h->octaves[octave], __ATOMIC_ACQUIRE);
}

static uint64_t *own_octave(struct histogram *h, unsigned octave)
{
    uint64_t *counts = h->octaves[octave];
    if (counts == NULL) {
        counts = xcalloc(HISTOGRAM_SUBS, sizeof(*counts));
        __atomic_store_n(&h->octaves[octave], counts, __ATOMIC_RELEASE);
    }
    return counts;
}

unsigned histogram_bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_SUBS)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (shift + 1) * HISTOGRAM_SUBS + (unsigned)(value >> shift & (HISTOGRAM_SUBS - 1));
}

uint64_t histogram_bucket_first(unsigned bucket)
{
    unsigned octave = bucket / HISTOGRAM_SUBS, sub = bucket % HISTOGRAM_SUBS;
    return octave == 0 ? sub : (uint64_t)(HISTOGRAM_SUBS + sub) << (octave - 1);
}

uint64_t histogram_bucket_last(unsigned bucket)
{
    return bucket + 1 < HISTOGRAM_BUCKETS ? histogram_bucket_first(bucket + 1) - 1 : UINT64_MAX;
}

void histogram_clear(struct histogram *h)
{
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; ++octave)
        free(h->octaves[octave]);
    *h = HISTOGRAM_INIT;
}

void histogram_record(struct histogram *h, uint64_t value)
{
    unsigned bucket = histogram_bucket_of(value);
    uint64_t *count = &own_octave(h, bucket / HISTOGRAM_SUBS)[bucket % HISTOGRAM_SUBS];
    store(count, load(count) + 1);
    store(&h->sum, load(&h->sum) + value);
}

void histogram_add(struct histogram *h, const struct histogram *other)
{
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; ++octave) {
        const uint64_t *from = octave_at(other, octave);
        if (from == NULL)
            continue;
        uint64_t *to = own_octave(h, octave);
        for (unsigned sub = 0; sub < HISTOGRAM_SUBS; ++sub)
            store(&to[sub], load(&to[sub]) + load(&from[sub]));
    }
    store(&h->sum, load(&h->sum) + load(&other->sum));
}

uint64_t histogram_count(const struct histogram *h)
{
    return histogram_count_up_to(h, UINT64_MAX);
}

uint64_t histogram_sum(const struct histogram *h)
{
    return load(&h->sum);
}

uint64_t histogram_count_up_to(const struct histogram *h, uint64_t bound)
{
    uint64_t total = 0;
    unsigned end = histogram_bucket_of(bound);
    end += bound == histogram_bucket_last(end);
    for (unsigned octave = 0; octave * HISTOGRAM_SUBS < end; ++octave) {
        const uint64_t *counts = octave_at(h, octave);
        for (unsigned sub = 0; counts != NULL && sub < HISTOGRAM_SUBS && octave * HISTOGRAM_SUBS + sub < end;
             ++sub)
            total += load(&counts[sub]);
    }
    return total;
}

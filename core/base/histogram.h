/* Log-linear histograms of whole numbers (latencies in microseconds, sizes in bytes): 32 buckets an octave,
 * so that any bound is within 1/32 of the truth, whatever the range.
 *
 * Threads: one writes, any may read or merge meanwhile: a reader sees each count whole, though not all of one
 * moment. Memory: 256 bytes for each octave that values fell into, at most 60 octaves. Merging is exact. */
#ifndef SELVEDGE_BASE_HISTOGRAM_H
#define SELVEDGE_BASE_HISTOGRAM_H

#include "core/base/defs.h"

enum {
    HISTOGRAM_SUB_BITS = 5,
    HISTOGRAM_SUBS = 1 << HISTOGRAM_SUB_BITS,
    HISTOGRAM_OCTAVES = 64 - HISTOGRAM_SUB_BITS + 1, /* the first holds 0-31, one bucket a value */
    HISTOGRAM_BUCKETS = HISTOGRAM_OCTAVES * HISTOGRAM_SUBS,
};

struct histogram {
    uint64_t sum;
    uint64_t *octaves[HISTOGRAM_OCTAVES]; /* owned; NULL: all zero */
};

#define HISTOGRAM_INIT ((struct histogram){.sum = 0})

void histogram_clear(struct histogram *h); /* frees; empty after */
void histogram_record(struct histogram *h, uint64_t value);
void histogram_add(struct histogram *h, const struct histogram *other);

uint64_t histogram_count(const struct histogram *h);
uint64_t histogram_sum(const struct histogram *h);
/* How many values are at most `bound`, but for the bucket `bound` is in, which counts when `bound` is its
 * last value. */
uint64_t histogram_count_up_to(const struct histogram *h, uint64_t bound);

unsigned histogram_bucket_of(uint64_t value);
uint64_t histogram_bucket_first(unsigned bucket); /* the smallest value in it */
uint64_t histogram_bucket_last(unsigned bucket);

#endif

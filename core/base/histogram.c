/* A bucket is named by the position of the value's highest bit (the octave) and the five bits below it. The
 * single writer uses plain loads and relaxed stores, which cost nothing; octaves are published by a release
 * store once zeroed. */
#include "core/base/histogram.h"

#include <math.h>

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
    if (value > load(&h->max))
        store(&h->max, value);
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
    store(&h->max, MAX(load(&h->max), load(&other->max)));
}

void histogram_subtract(struct histogram *h, const struct histogram *older)
{
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; ++octave) {
        const uint64_t *from = octave_at(older, octave);
        if (from == NULL)
            continue;
        uint64_t *to = own_octave(h, octave);
        for (unsigned sub = 0; sub < HISTOGRAM_SUBS; ++sub)
            store(&to[sub], load(&to[sub]) - MIN(load(&to[sub]), load(&from[sub])));
    }
    store(&h->sum, load(&h->sum) - load(&older->sum)); /* also right when the sum has gone past 2^64 */
}

uint64_t histogram_count(const struct histogram *h)
{
    return histogram_count_up_to(h, UINT64_MAX);
}

uint64_t histogram_sum(const struct histogram *h)
{
    return load(&h->sum);
}

uint64_t histogram_max(const struct histogram *h)
{
    return load(&h->max);
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t total = histogram_count(h), seen = 0;
    /* The smallest rank that has at least q of all values at or below it. */
    uint64_t rank = (uint64_t)ceil(MIN(MAX(q, 0.0), 1.0) * (double)total);
    rank = MIN(MAX(rank, (uint64_t)1), total);
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; ++octave) {
        const uint64_t *counts = octave_at(h, octave);
        for (unsigned sub = 0; counts != NULL && sub < HISTOGRAM_SUBS; ++sub) {
            uint64_t count = load(&counts[sub]);
            seen += count;
            if (count != 0 && seen >= rank) {
                unsigned bucket = octave * HISTOGRAM_SUBS + sub;
                uint64_t first = histogram_bucket_first(bucket), last = histogram_bucket_last(bucket);
                return MIN(first + (last - first) / 2, MAX(histogram_max(h), first));
            }
        }
    }
    return 0;
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

/* ---- the compact form ---- */

enum { VARINT_MAX = 10 };

static void put_varint(struct strbuf *out, uint64_t value)
{
    unsigned char bytes[VARINT_MAX];
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (unsigned char)(value | 0x80);
    bytes[len++] = (unsigned char)value;
    strbuf_add(out, bytes, len);
}

static bool get_varint(struct slice *rest, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_MAX && i < rest->len; ++i) {
        uint64_t byte = (unsigned char)rest->base[i];
        if (i == VARINT_MAX - 1 && byte > 1)
            return false; /* beyond 64 bits */
        value |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *rest = slice_make(rest->base + i + 1, rest->len - i - 1);
            *ret = value;
            return true;
        }
    }
    return false;
}

void histogram_encode(struct strbuf *out, const struct histogram *h)
{
    unsigned next = 0;
    put_varint(out, histogram_sum(h));
    put_varint(out, histogram_max(h));
    for (unsigned octave = 0; octave < HISTOGRAM_OCTAVES; ++octave) {
        const uint64_t *counts = octave_at(h, octave);
        for (unsigned sub = 0; counts != NULL && sub < HISTOGRAM_SUBS; ++sub) {
            uint64_t count = load(&counts[sub]);
            unsigned bucket = octave * HISTOGRAM_SUBS + sub;
            if (count == 0)
                continue;
            put_varint(out, bucket - next);
            put_varint(out, count);
            next = bucket + 1;
        }
    }
}

int histogram_decode(struct histogram *h, struct slice bytes, struct err *err)
{
    struct histogram read = HISTOGRAM_INIT;
    uint64_t next = 0, skipped, count;
    bool is_good = get_varint(&bytes, &read.sum) && get_varint(&bytes, &read.max);
    while (is_good && bytes.len != 0) {
        is_good =
            get_varint(&bytes, &skipped) && get_varint(&bytes, &count) && skipped < HISTOGRAM_BUCKETS - next;
        if (is_good) {
            next += skipped;
            own_octave(&read, (unsigned)next / HISTOGRAM_SUBS)[next % HISTOGRAM_SUBS] = count;
            ++next;
        }
    }
    if (is_good)
        histogram_add(h, &read);
    histogram_clear(&read);
    return is_good ? 0 : err_set(err, ERR_BAD_REQUEST, "not an encoded histogram");
}

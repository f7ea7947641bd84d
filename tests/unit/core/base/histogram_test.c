#include "core/base/histogram.h"
#include "core/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void buckets_cover_every_value_without_gap_or_overlap(void **state)
{
    uint64_t expected = 0;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; ++bucket) {
        uint64_t first = histogram_bucket_first(bucket), last = histogram_bucket_last(bucket);
        assert_true(first == expected && last >= first);
        assert_int_equal(histogram_bucket_of(first), bucket);
        assert_int_equal(histogram_bucket_of(last), bucket);
        assert_true((last - first) <= first / HISTOGRAM_SUBS);
        expected = last + 1;
    }
    assert_true(expected == 0); /* the last one ends at 2^64 - 1 */
}

static void cumulative_counts_are_exact_at_bucket_ends(void **state)
{
    struct histogram h = HISTOGRAM_INIT;
    for (uint64_t i = 0; i < 5000; ++i)
        histogram_record(&h, i);
    assert_int_equal(histogram_count_up_to(&h, 0), 1);
    assert_int_equal(histogram_count_up_to(&h, 31), 32);
    assert_int_equal(histogram_count_up_to(&h, 1023), 1024);
    uint64_t at_1000 = histogram_count_up_to(&h, 1000);
    assert_true(at_1000 <= 1001 && at_1000 > 1001 - 32);
    assert_int_equal(histogram_count_up_to(&h, UINT64_MAX), 5000);
    histogram_clear(&h);
}

static void counts_and_sums_are_those_of_the_values(void **state)
{
    struct histogram h = HISTOGRAM_INIT;
    assert_int_equal(histogram_count(&h), 0);
    for (uint64_t i = 1; i <= 100000; ++i)
        histogram_record(&h, i);
    assert_int_equal(histogram_count(&h), 100000);
    assert_true(histogram_sum(&h) == 100000ull * 100001 / 2);
    histogram_record(&h, UINT64_MAX);
    assert_int_equal(histogram_count(&h), 100001);
    histogram_clear(&h);
    assert_int_equal(histogram_count(&h), 0);
}

static void merging_is_the_same_as_recording_together(void **state)
{
    struct histogram a = HISTOGRAM_INIT, b = HISTOGRAM_INIT, both = HISTOGRAM_INIT;
    struct rng rng = {1};
    for (int i = 0; i < 10000; ++i) {
        uint64_t value = rng_next(&rng) >> (i % 64);
        histogram_record(i % 3 == 0 ? &a : &b, value);
        histogram_record(&both, value);
    }
    histogram_add(&a, &b);
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; ++bucket)
        assert_true(histogram_count_up_to(&a, histogram_bucket_last(bucket)) ==
                    histogram_count_up_to(&both, histogram_bucket_last(bucket)));
    assert_true(histogram_sum(&a) == histogram_sum(&both));
    histogram_clear(&a);
    histogram_clear(&b);
    histogram_clear(&both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_cover_every_value_without_gap_or_overlap),
        cmocka_unit_test(cumulative_counts_are_exact_at_bucket_ends),
        cmocka_unit_test(counts_and_sums_are_those_of_the_values),
        cmocka_unit_test(merging_is_the_same_as_recording_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

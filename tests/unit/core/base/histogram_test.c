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

static void quantiles_are_within_a_thirty_second(void **state)
{
    struct histogram h = HISTOGRAM_INIT;
    for (uint64_t i = 1; i <= 100000; ++i)
        histogram_record(&h, i);
    assert_int_equal(histogram_count(&h), 100000);
    assert_true(histogram_sum(&h) == 100000ull * 100001 / 2);
    assert_int_equal(histogram_max(&h), 100000);
    static const double quantiles[] = {0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};
    for (size_t i = 0; i < ARRAY_LEN(quantiles); ++i) {
        double exact = quantiles[i] * 100000, got = (double)histogram_quantile(&h, quantiles[i]);
        if (got < exact * 31 / 32 || got > exact * 33 / 32)
            fail_msg("quantile %g is %g", quantiles[i], got);
    }
    histogram_clear(&h);
}

static void few_values_give_plain_quantiles(void **state)
{
    struct histogram h = HISTOGRAM_INIT;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_int_equal(histogram_count(&h), 0);
    histogram_record(&h, 7);
    assert_int_equal(histogram_quantile(&h, 0), 7);
    assert_int_equal(histogram_quantile(&h, 0.5), 7);
    assert_int_equal(histogram_quantile(&h, 1), 7);
    histogram_record(&h, UINT64_MAX);
    assert_int_equal(histogram_quantile(&h, 0.5), 7);
    assert_true(histogram_quantile(&h, 1) > UINT64_MAX / 32 * 31);
    histogram_record(&h, 0);
    assert_int_equal(histogram_quantile(&h, 0.1), 0);
    histogram_clear(&h);
    assert_int_equal(histogram_count(&h), 0);
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

static void merging_is_the_same_as_recording_together(void **state)
{
    struct histogram a = HISTOGRAM_INIT, b = HISTOGRAM_INIT, both = HISTOGRAM_INIT;
    struct rng rng = {1};
    for (int i = 0; i < 10000; ++i) {
        uint64_t value = rng_next(&rng) >> (i % 64);
        histogram_record(i % 3 == 0 ? &a : &b, value);
        histogram_record(&both, value);
    }
    struct histogram before = HISTOGRAM_INIT;
    histogram_add(&before, &a);
    histogram_add(&a, &b);
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; ++bucket)
        assert_true(histogram_count_up_to(&a, histogram_bucket_last(bucket)) ==
                    histogram_count_up_to(&both, histogram_bucket_last(bucket)));
    assert_true(histogram_sum(&a) == histogram_sum(&both));
    assert_true(histogram_max(&a) == histogram_max(&both));
    histogram_subtract(&a, &before);
    assert_true(histogram_count(&a) == histogram_count(&b));
    assert_true(histogram_sum(&a) == histogram_sum(&b));
    histogram_clear(&a);
    histogram_clear(&b);
    histogram_clear(&both);
    histogram_clear(&before);
}

static void the_compact_form_goes_there_and_back(void **state)
{
    struct histogram h = HISTOGRAM_INIT, back = HISTOGRAM_INIT;
    struct strbuf bytes = STRBUF_INIT, again = STRBUF_INIT;
    struct err err = ERR_INIT;
    for (uint64_t value = 1; value < UINT64_MAX / 3; value *= 3)
        histogram_record(&h, value);
    histogram_record(&h, 0);
    histogram_record(&h, UINT64_MAX);
    histogram_encode(&bytes, &h);
    assert_int_equal(histogram_decode(&back, strbuf_slice(&bytes), &err), 0);
    histogram_encode(&again, &back);
    assert_true(slice_eq(strbuf_slice(&bytes), strbuf_slice(&again)));
    assert_int_equal(histogram_decode(&back, strbuf_slice(&bytes), &err), 0);
    assert_int_equal(histogram_count(&back), 2 * histogram_count(&h));
    /* Every cut is either refused or a histogram with fewer buckets. */
    for (size_t len = 0; len < bytes.len; ++len) {
        struct histogram part = HISTOGRAM_INIT;
        if (histogram_decode(&part, slice_make(bytes.base, len), &err) == 0)
            assert_true(histogram_count(&part) < histogram_count(&h));
        else
            assert_int_equal(err.code, ERR_BAD_REQUEST);
        histogram_clear(&part);
    }
    strbuf_clear(&bytes);
    strbuf_clear(&again);
    histogram_clear(&h);
    histogram_clear(&back);
}

static void foul_compact_forms_are_refused(void **state)
{
    static const struct slice bad[] = {
        SLICE(""),
        SLICE("\x01"),
        SLICE("\x01\x01\x01"),
        SLICE("\x01\x01\x80"),
        SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x01"),
        SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"),
        SLICE("\x01\x01\x80\x0f\x01"), /* skips 1920 buckets: one too many */
        SLICE("\x01\x01\xff\x0e\x01\x00\x01"), /* one behind the last */
        SLICE("\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"), /* skips 2^64 - 1 */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); ++i) {
        struct histogram h = HISTOGRAM_INIT;
        struct err err = ERR_INIT;
        if (histogram_decode(&h, bad[i], &err) == 0)
            fail_msg("case %zu was accepted", i);
        assert_int_equal(histogram_count(&h), 0);
        histogram_clear(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_cover_every_value_without_gap_or_overlap),
        cmocka_unit_test(quantiles_are_within_a_thirty_second),
        cmocka_unit_test(few_values_give_plain_quantiles),
        cmocka_unit_test(cumulative_counts_are_exact_at_bucket_ends),
        cmocka_unit_test(merging_is_the_same_as_recording_together),
        cmocka_unit_test(the_compact_form_goes_there_and_back),
        cmocka_unit_test(foul_compact_forms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

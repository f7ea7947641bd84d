#include "core/base/token_bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const uint64_t SECOND = 1000000000, MS = 1000000;

static bool take(struct token_bucket *bucket, const struct token_rate *rate, uint64_t now_ns)
{
    return token_bucket_take(bucket, rate, now_ns, 1).is_allowed;
}

static void a_full_bucket_gives_its_burst_and_then_the_rate(void **state)
{
    struct token_rate rate = token_rate_make(10, 1000, 5);
    struct token_bucket bucket = {0};
    uint64_t now = 100 * SECOND;
    for (int i = 0; i < 5; ++i)
        assert_true(take(&bucket, &rate, now));
    struct token_verdict verdict = token_bucket_take(&bucket, &rate, now, 1);
    assert_false(verdict.is_allowed);
    assert_int_equal(verdict.remaining, 0);
    assert_int_equal(verdict.retry_after_ns, 100 * MS);
    assert_int_equal(verdict.full_in_ns, 500 * MS);
    assert_false(take(&bucket, &rate, now + 100 * MS - 1));
    assert_true(take(&bucket, &rate, now + 100 * MS));
    assert_false(take(&bucket, &rate, now + 100 * MS));
    assert_false(token_bucket_is_full(&bucket, now + 500 * MS));
    assert_true(token_bucket_is_full(&bucket, now + 600 * MS));
}

static void over_a_long_time_exactly_the_rate_passes(void **state)
{
    struct token_rate rate = token_rate_make(7, 1000, 1);
    struct token_bucket bucket = {0};
    unsigned num_allowed = 0;
    for (uint64_t now = SECOND; now < 101 * SECOND; now += MS)
        num_allowed += take(&bucket, &rate, now);
    /* Polled each millisecond an interval of 142.86 ms is found after 143. */
    assert_true(num_allowed >= 699 && num_allowed <= 701);
}

static void refusing_takes_nothing(void **state)
{
    struct token_rate rate = token_rate_make(1, 1000, 1);
    struct token_bucket bucket = {0};
    assert_true(take(&bucket, &rate, SECOND));
    for (int i = 0; i < 100; ++i)
        assert_false(take(&bucket, &rate, SECOND + (uint64_t)i));
    assert_true(take(&bucket, &rate, 2 * SECOND));
}

static void costs_are_taken_whole_or_not_at_all(void **state)
{
    struct token_rate rate = token_rate_make(10, 1000, 10);
    struct token_bucket bucket = {0};
    struct token_verdict verdict = token_bucket_take(&bucket, &rate, SECOND, 7);
    assert_true(verdict.is_allowed);
    assert_int_equal(verdict.remaining, 3);
    verdict = token_bucket_take(&bucket, &rate, SECOND, 4);
    assert_false(verdict.is_allowed);
    assert_int_equal(verdict.remaining, 3);
    assert_int_equal(verdict.retry_after_ns, 100 * MS);
    assert_true(token_bucket_take(&bucket, &rate, SECOND, 3).is_allowed);
    assert_true(token_bucket_take(&bucket, &rate, SECOND, 0).is_allowed);
    assert_true(token_bucket_take(&bucket, &rate, SECOND, 11).retry_after_ns == UINT64_MAX);
}

static void a_lowered_rate_leaves_no_endless_debt(void **state)
{
    struct token_rate slow = token_rate_make(1, 3600000, 10), quick = token_rate_make(100, 1000, 10);
    struct token_bucket bucket = {0};
    for (int i = 0; i < 10; ++i)
        assert_true(take(&bucket, &slow, SECOND));
    struct token_verdict verdict = token_bucket_take(&bucket, &quick, SECOND, 1);
    assert_false(verdict.is_allowed);
    assert_int_equal(verdict.retry_after_ns, 10 * MS);
}

static void extreme_rates_do_not_overflow(void **state)
{
    static const struct {
        uint64_t num, period_ms, burst;
    } cases[] = {
        {1, UINT64_MAX, 1},          {UINT64_MAX, 1, 0},       {1, UINT64_MAX, UINT64_MAX},
        {UINT64_MAX, UINT64_MAX, 0}, {1000000000, 1000, 1000}, {1, 1, UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct token_rate rate = token_rate_make(cases[i].num, cases[i].period_ms, cases[i].burst);
        struct token_bucket bucket = {0};
        assert_true(rate.interval_ns >= 1 && rate.burst >= 1);
        assert_true(token_bucket_take(&bucket, &rate, SECOND, rate.burst).is_allowed);
        struct token_verdict verdict = token_bucket_take(&bucket, &rate, SECOND, 1);
        assert_false(verdict.is_allowed);
        assert_true(take(&bucket, &rate, SECOND + verdict.retry_after_ns));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_bucket_gives_its_burst_and_then_the_rate),
        cmocka_unit_test(over_a_long_time_exactly_the_rate_passes),
        cmocka_unit_test(refusing_takes_nothing),
        cmocka_unit_test(costs_are_taken_whole_or_not_at_all),
        cmocka_unit_test(a_lowered_rate_leaves_no_endless_debt),
        cmocka_unit_test(extreme_rates_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

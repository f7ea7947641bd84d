#include "core/base/backoff.h"
#include "core/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void the_ceiling_doubles_up_to_its_maximum(void **state)
{
    static const uint64_t ceilings[] = {100, 200, 400, 800, 1000, 1000};
    struct backoff b = backoff_make(100, 1000);
    for (size_t i = 0; i < ARRAY_LEN(ceilings); ++i) {
        assert_int_equal(backoff_ceiling_ms(&b), ceilings[i]);
        assert_int_equal(backoff_next_ms(&b, UINT64_MAX), ceilings[i]);
    }
    backoff_reset(&b);
    assert_int_equal(backoff_ceiling_ms(&b), 100);
    assert_int_equal(backoff_next_ms(&b, 0), 0);
}

static void any_number_of_tries_and_any_size_is_fine(void **state)
{
    struct backoff b = backoff_make(1, UINT64_MAX), none = backoff_make(0, 1000),
                   over = backoff_make(500, 100);
    for (int i = 0; i < 1000; ++i) {
        assert_true(backoff_ceiling_ms(&b) >= 1);
        (void)backoff_next_ms(&b, UINT64_MAX);
        assert_int_equal(backoff_next_ms(&none, UINT64_MAX), 0);
        assert_int_equal(backoff_next_ms(&over, UINT64_MAX), 100);
    }
    assert_true(backoff_ceiling_ms(&b) == UINT64_MAX);
    assert_true(backoff_next_ms(&b, 77) == 77);
}

static void waits_are_spread_over_the_whole_range(void **state)
{
    struct rng rng = {7};
    unsigned tenths[10] = {0};
    for (int i = 0; i < 10000; ++i) {
        struct backoff b = backoff_make(999, 999);
        uint64_t wait_ms = backoff_next_ms(&b, rng_next(&rng));
        assert_true(wait_ms <= 999);
        ++tenths[wait_ms / 100];
    }
    for (size_t i = 0; i < ARRAY_LEN(tenths); ++i)
        assert_true(tenths[i] > 800 && tenths[i] < 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ceiling_doubles_up_to_its_maximum),
        cmocka_unit_test(any_number_of_tries_and_any_size_is_fine),
        cmocka_unit_test(waits_are_spread_over_the_whole_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "core/proxy/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { UNHEALTHY = 3, HEALTHY = 2 };

static bool step(struct px_health_streak *streak, bool is_good)
{
    return px_health_step(streak, is_good, UNHEALTHY, HEALTHY);
}

static void three_failures_in_a_row_are_unhealthy(void **state)
{
    struct px_health_streak streak = {.is_healthy = true};

    assert_false(step(&streak, false));
    assert_false(step(&streak, false));
    assert_true(step(&streak, false));
    assert_false(streak.is_healthy);
    assert_false(step(&streak, false));
}

static void a_success_in_between_starts_over(void **state)
{
    struct px_health_streak streak = {.is_healthy = true};

    for (int i = 0; i < 10; i++) {
        assert_false(step(&streak, false));
        assert_false(step(&streak, false));
        assert_false(step(&streak, true));
    }
    assert_true(streak.is_healthy);
}

static void recovery_has_its_own_threshold(void **state)
{
    struct px_health_streak streak = {.is_healthy = false};

    assert_false(step(&streak, true));
    assert_true(step(&streak, true));
    assert_true(streak.is_healthy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_failures_in_a_row_are_unhealthy),
        cmocka_unit_test(a_success_in_between_starts_over),
        cmocka_unit_test(recovery_has_its_own_threshold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

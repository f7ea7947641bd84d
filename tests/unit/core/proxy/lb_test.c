#include "core/proxy/lb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { MAX_HOSTS = 8 };

static struct px_lb_host hosts[MAX_HOSTS];
static struct px_lb_set set;
static struct rng rng;

static void use(uint32_t num, const uint32_t *weights)
{
    struct px_lb_host *list[MAX_HOSTS] = {NULL};

    for (uint32_t i = 0; i < num; i++) {
        hosts[i] = (struct px_lb_host){.weight = weights != NULL ? weights[i] : 1};
        list[i] = &hosts[i];
    }
    px_lb_set_assign(&set, list, num);
}

static int setup(void **state)
{
    rng.state = 42;
    return 0;
}

static int teardown(void **state)
{
    px_lb_set_clear(&set);
    return 0;
}

static void an_empty_set_gives_nothing(void **state)
{
    use(0, NULL);
    assert_null(px_lb_pick(&set, PX_LB_LEAST_REQUEST, NULL, &rng));
}

static void round_robin_takes_each_in_turn(void **state)
{
    use(3, NULL);
    struct px_lb_host *first = px_lb_pick(&set, PX_LB_ROUND_ROBIN, NULL, &rng);
    struct px_lb_host *second = px_lb_pick(&set, PX_LB_ROUND_ROBIN, NULL, &rng);
    struct px_lb_host *third = px_lb_pick(&set, PX_LB_ROUND_ROBIN, NULL, &rng);
    assert_true(first != second && second != third && first != third);
    assert_ptr_equal(px_lb_pick(&set, PX_LB_ROUND_ROBIN, NULL, &rng), first);
}

static void round_robin_follows_weights_exactly_and_smoothly(void **state)
{
    unsigned counts[2] = {0, 0}, run = 0, longest = 0;

    use(2, (uint32_t[]){3, 1});
    for (int i = 0; i < 400; i++) {
        bool is_heavy = px_lb_pick(&set, PX_LB_ROUND_ROBIN, NULL, &rng) == &hosts[0];
        counts[is_heavy ? 0 : 1]++;
        run = is_heavy ? run + 1 : 0;
        longest = MAX(longest, run);
    }
    assert_int_equal(counts[0], 300);
    assert_int_equal(counts[1], 100);
    assert_true(longest <= 3);
}

static void random_follows_weights(void **state)
{
    unsigned heavy = 0;

    use(2, (uint32_t[]){9, 1});
    for (int i = 0; i < 10000; i++)
        heavy += px_lb_pick(&set, PX_LB_RANDOM, NULL, &rng) == &hosts[0];
    assert_in_range(heavy, 8800, 9200);
}

static void least_request_never_takes_the_busier_of_two(void **state)
{
    use(2, NULL);
    hosts[0].active = 5;
    hosts[1].active = 4;
    for (int i = 0; i < 100; i++)
        assert_ptr_equal(px_lb_pick(&set, PX_LB_LEAST_REQUEST, NULL, &rng), &hosts[1]);
}

static void least_request_keeps_a_slow_host_at_a_small_share(void **state)
{
    unsigned slow = 0;

    use(8, NULL);
    for (int i = 0; i < 10000; i++) { /* host 0 never finishes, the others do at once */
        struct px_lb_host *host = px_lb_pick(&set, PX_LB_LEAST_REQUEST, NULL, &rng);
        if (host == &hosts[0]) {
            ++host->active;
            ++slow;
        }
    }
    assert_in_range(slow, 1, 20);
}

static void idle_hosts_of_unequal_weight_share_by_weight(void **state)
{
    unsigned heavy = 0;

    use(2, (uint32_t[]){4, 1});
    for (int i = 0; i < 10000; i++)
        heavy += px_lb_pick(&set, PX_LB_LEAST_REQUEST, NULL, &rng) == &hosts[0];
    assert_in_range(heavy, 6500, 8500);
}

static void the_avoided_host_is_taken_only_when_alone(void **state)
{
    use(3, NULL);
    for (int i = 0; i < 300; i++)
        for (enum px_lb_kind kind = PX_LB_LEAST_REQUEST; kind <= PX_LB_RANDOM; kind++)
            assert_ptr_not_equal(px_lb_pick(&set, kind, &hosts[1], &rng), &hosts[1]);
    use(1, NULL);
    assert_ptr_equal(px_lb_pick(&set, PX_LB_RANDOM, &hosts[0], &rng), &hosts[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_set_gives_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(round_robin_takes_each_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(round_robin_follows_weights_exactly_and_smoothly, setup, teardown),
        cmocka_unit_test_setup_teardown(random_follows_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(least_request_never_takes_the_busier_of_two, setup, teardown),
        cmocka_unit_test_setup_teardown(least_request_keeps_a_slow_host_at_a_small_share, setup, teardown),
        cmocka_unit_test_setup_teardown(idle_hosts_of_unequal_weight_share_by_weight, setup, teardown),
        cmocka_unit_test_setup_teardown(the_avoided_host_is_taken_only_when_alone, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "core/base/timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct probe {
    struct timer timer;
    unsigned num_fired;
    uint64_t fired_at_ms;
    struct probe *other; /* what the callback acts on */
    uint64_t again_ms;
};

static struct timers timers;
static uint64_t now_ms;
static uint64_t last_deadline_ms;
static bool is_ordered = true;

static void on_fire(struct timer *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    assert_false(timer_is_running(timer));
    assert_true(timer->deadline_ms <= now_ms);
    is_ordered &= timer->deadline_ms >= last_deadline_ms;
    last_deadline_ms = timer->deadline_ms;
    ++probe->num_fired;
    probe->fired_at_ms = now_ms;
}

static void start_at(uint64_t ms)
{
    now_ms = ms;
    timers_init(&timers, ms);
}

static void run_at(uint64_t ms)
{
    now_ms = ms;
    timers_run(&timers, ms);
}

static void arm(struct probe *probe, uint64_t deadline_ms)
{
    *probe = (struct probe){.num_fired = 0};
    timer_init(&probe->timer, on_fire);
    timer_start(&timers, &probe->timer, deadline_ms);
}

static void it_fires_at_its_deadline_and_once(void **state)
{
    static const uint64_t starts[] = {0,    1,          63,         64,         4095,
                                      4096, 1000000007, UINT32_MAX, 1ull << 40, (1ull << 60) - 1};
    static const uint64_t delays[] = {1,    2,    62,     63,     64,    65,       127,        4095,
                                      4096, 4097, 262143, 262144, 30000, 86400000, 1ull << 33, 1ull << 50};
    for (size_t s = 0; s < ARRAY_LEN(starts); ++s) {
        for (size_t d = 0; d < ARRAY_LEN(delays); ++d) {
            struct probe probe;
            start_at(starts[s]);
            arm(&probe, starts[s] + delays[d]);
            assert_true(timer_is_running(&probe.timer));
            run_at(starts[s] + delays[d] - 1);
            assert_int_equal(probe.num_fired, 0);
            assert_int_equal(timers_next_ms(&timers, now_ms), 1);
            run_at(starts[s] + delays[d]);
            assert_int_equal(probe.num_fired, 1);
            run_at(starts[s] + delays[d] + 1000);
            assert_int_equal(probe.num_fired, 1);
            assert_true(timers_next_ms(&timers, now_ms) == UINT64_MAX);
        }
    }
}

static void sleeping_as_told_wakes_on_time_with_few_wakeups(void **state)
{
    struct probe probe;
    start_at(987654321);
    arm(&probe, now_ms + 86400000 * 30ull);
    unsigned num_wakeups = 0;
    while (probe.num_fired == 0) {
        run_at(now_ms + timers_next_ms(&timers, now_ms));
        ++num_wakeups;
    }
    assert_int_equal(probe.fired_at_ms, probe.timer.deadline_ms);
    assert_true(num_wakeups <= TIMERS_LEVELS);
}

static void a_deadline_that_has_passed_is_due_now(void **state)
{
    struct probe past, present;
    start_at(1000);
    arm(&past, 10);
    arm(&present, 1000);
    assert_int_equal(timers_next_ms(&timers, 1000), 0);
    run_at(1000);
    assert_int_equal(past.num_fired, 1);
    assert_int_equal(present.num_fired, 1);
}

static void a_stopped_timer_never_fires(void **state)
{
    struct probe a, b;
    start_at(0);
    arm(&a, 100);
    arm(&b, 200);
    timer_stop(&a.timer);
    timer_stop(&a.timer);
    assert_false(timer_is_running(&a.timer));
    assert_true(timers_next_ms(&timers, 0) <= 200);
    run_at(150);
    timer_stop(&b.timer);
    assert_true(timers_next_ms(&timers, 150) == UINT64_MAX);
    run_at(1000);
    assert_int_equal(a.num_fired + b.num_fired, 0);
}

static void starting_again_moves_the_deadline_either_way(void **state)
{
    struct probe probe;
    start_at(0);
    arm(&probe, 100);
    timer_start(&timers, &probe.timer, 5000);
    run_at(4999);
    assert_int_equal(probe.num_fired, 0);
    timer_start(&timers, &probe.timer, 9000);
    timer_start(&timers, &probe.timer, 5001);
    run_at(5001);
    assert_int_equal(probe.num_fired, 1);
}

static void a_long_pause_fires_all_in_the_order_of_deadlines(void **state)
{
    enum { NUM = 1000 };
    static struct probe probes[NUM];
    start_at(77);
    for (unsigned i = 0; i < NUM; ++i)
        arm(&probes[i], 78 + (i * 7919u) % 100000);
    last_deadline_ms = 0;
    is_ordered = true;
    run_at(50000);
    run_at(1000000);
    assert_true(is_ordered);
    for (unsigned i = 0; i < NUM; ++i)
        assert_int_equal(probes[i].num_fired, 1);
}

static void rearm_self(struct timer *timer)
{
    on_fire(timer);
    timer_start(&timers, timer, CONTAINER_OF(timer, struct probe, timer)->again_ms);
}

static void a_callback_may_rearm_itself(void **state)
{
    struct probe probe;
    start_at(0);
    arm(&probe, 10);
    probe.timer.run = rearm_self;
    probe.again_ms = 20;
    run_at(10);
    assert_int_equal(probe.num_fired, 1);
    probe.again_ms = 0; /* in the past: once a run, not for ever */
    run_at(20);
    assert_int_equal(probe.num_fired, 2);
    assert_int_equal(timers_next_ms(&timers, 20), 0);
    run_at(20);
    assert_int_equal(probe.num_fired, 3);
    timer_stop(&probe.timer);
}

static void stop_other(struct timer *timer)
{
    on_fire(timer);
    timer_stop(&CONTAINER_OF(timer, struct probe, timer)->other->timer);
}

static void a_callback_may_stop_one_that_is_due_with_it(void **state)
{
    struct probe a, b;
    start_at(0);
    arm(&a, 10);
    arm(&b, 10);
    a.timer.run = b.timer.run = stop_other;
    a.other = &b;
    b.other = &a;
    run_at(10);
    assert_int_equal(a.num_fired + b.num_fired, 1);
    assert_true(timers_next_ms(&timers, 10) == UINT64_MAX);
}

static void free_self(struct timer *timer)
{
    free(CONTAINER_OF(timer, struct probe, timer));
}

static void a_callback_may_free_its_timer(void **state)
{
    start_at(0);
    for (unsigned i = 0; i < 10; ++i) {
        struct probe *probe = xmalloc(sizeof(*probe));
        arm(probe, 5 + i / 2);
        probe->timer.run = free_self;
    }
    run_at(100);
    assert_true(timers_next_ms(&timers, 100) == UINT64_MAX);
}

static void start_other(struct timer *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    on_fire(timer);
    timer_start(&timers, &probe->other->timer, probe->again_ms);
}

static void one_started_by_a_late_callback_for_a_later_past_fires_in_the_same_run(void **state)
{
    struct probe a, b;
    start_at(0);
    arm(&a, 10);
    arm(&b, 1 << 30);
    a.timer.run = start_other;
    a.other = &b;
    a.again_ms = 50;
    run_at(1000);
    assert_int_equal(b.num_fired, 1);
}

/* Against a plain array: any mix of starts, stops and steps of time. */
static void it_agrees_with_a_model(void **state)
{
    enum { NUM = 64 };
    static struct probe probes[NUM];
    uint64_t seed = 42;
    start_at(1ull << 36);
    for (unsigned i = 0; i < NUM; ++i) {
        arm(&probes[i], 0);
        timer_stop(&probes[i].timer);
    }
    for (unsigned step = 0; step < 200000; ++step) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        struct probe *probe = &probes[seed >> 33 & (NUM - 1)];
        unsigned bits = (unsigned)(seed >> 40 & 31);
        uint64_t delay = (seed >> 20) & ((1ull << bits) - 1);
        switch (seed >> 60) {
        case 0 ... 7:
            timer_start(&timers, &probe->timer, now_ms + delay);
            break;
        case 8 ... 9:
            timer_stop(&probe->timer);
            break;
        default:
            delay = seed >> 60 == 15 ? delay : timers_next_ms(&timers, now_ms);
            run_at(now_ms + (delay == UINT64_MAX ? 1 : delay));
            for (unsigned i = 0; i < NUM; ++i)
                assert_true(!timer_is_running(&probes[i].timer) || probes[i].timer.deadline_ms > now_ms);
        }
        uint64_t next = timers_next_ms(&timers, now_ms), first = UINT64_MAX;
        for (unsigned i = 0; i < NUM; ++i)
            if (timer_is_running(&probes[i].timer))
                first = MIN(first, MAX(probes[i].timer.deadline_ms, now_ms) - now_ms);
        assert_true(first == UINT64_MAX ? next == UINT64_MAX : next <= first);
    }
    for (unsigned i = 0; i < NUM; ++i)
        timer_stop(&probes[i].timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_fires_at_its_deadline_and_once),
        cmocka_unit_test(sleeping_as_told_wakes_on_time_with_few_wakeups),
        cmocka_unit_test(a_deadline_that_has_passed_is_due_now),
        cmocka_unit_test(a_stopped_timer_never_fires),
        cmocka_unit_test(starting_again_moves_the_deadline_either_way),
        cmocka_unit_test(a_long_pause_fires_all_in_the_order_of_deadlines),
        cmocka_unit_test(a_callback_may_rearm_itself),
        cmocka_unit_test(a_callback_may_stop_one_that_is_due_with_it),
        cmocka_unit_test(a_callback_may_free_its_timer),
        cmocka_unit_test(one_started_by_a_late_callback_for_a_later_past_fires_in_the_same_run),
        cmocka_unit_test(it_agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which failures count together, how long an origin waits, and what rotating addresses cannot do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "gateway/control/lockout.h"

#define S_US ((uint64_t)1000000)
#define START (1000 * S_US)

static struct ctl_lockout *lockout;

static int setup(void **state)
{
    lockout = ctl_lockout_new();
    return 0;
}

static int teardown(void **state)
{
    lockout = ctl_lockout_free(lockout);
    return 0;
}

static unsigned wait_of(const char *origin, uint64_t now_us)
{
    return ctl_lockout_wait_s(lockout, slice_of(origin), now_us);
}

static void fail_at(const char *origin, unsigned num, uint64_t now_us)
{
    for (unsigned i = 0; i < num; ++i)
        ctl_lockout_count(lockout, slice_of(origin), now_us);
}

static void ten_are_free_then_waiting_doubles_up_to_five_minutes(void **state)
{
    static const unsigned waits[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
    fail_at("10.0.0.1:1", 10, START);
    assert_int_equal(wait_of("10.0.0.1:1", START), 0);
    for (size_t i = 0; i < ARRAY_LEN(waits); ++i) {
        fail_at("10.0.0.1:2", 1, START); /* another port is the same origin */
        assert_int_equal(wait_of("10.0.0.1:3", START), waits[i]);
    }
    assert_int_equal(wait_of("10.0.0.1:1", START + 299 * S_US), 1);
    assert_int_equal(wait_of("10.0.0.1:1", START + 300 * S_US), 0);
    fail_at("10.0.0.1:1", 1, START + 301 * S_US); /* not forgotten by then */
    assert_int_equal(wait_of("10.0.0.1:1", START + 301 * S_US), 300);
    fail_at("10.0.0.1:1", 10, START + 1000 * S_US); /* but after ten quiet minutes */
    assert_int_equal(wait_of("10.0.0.1:1", START + 1000 * S_US), 0);
}

static void what_one_party_holds_is_one_origin(void **state)
{
    static const struct {
        const char *fails, *other;
        bool is_same;
    } cases[] = {
        {"10.1.0.1:1", "10.1.0.1:2", true},
        {"10.1.1.1:1", "10.1.1.2:1", false},
        {"[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff:ffff:ffff:ffff]:2", true},
        {"[2001:db8:0:2::1]:1", "[2001:db8:0:3::1]:1", false},
        {"[::ffff:10.2.0.1]:1", "10.2.0.1:9", true},
        {"[::ffff:10.2.0.2]:1", "[::ffff:10.2.0.3]:1", false}, /* not one /64 for all of IPv4 */
        {"10.2.0.4:1", "[::ffff:10.2.0.4]:1", true},
        {"[::1]:1", "[::2]:1", true},
        {"unix:uid=1000", "unix:uid=1000", true},
        {"unix:uid=1001", "unix:uid=1002", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        fail_at(cases[i].fails, 11, START);
        if ((wait_of(cases[i].other, START) != 0) != cases[i].is_same)
            fail_msg("%s and %s", cases[i].fails, cases[i].other);
    }
}

static void fail_from_many(unsigned first, unsigned num, unsigned failures, uint64_t now_us)
{
    char origin[64];
    for (unsigned i = first; i < first + num; ++i) {
        snprintf(origin, sizeof(origin), "[2001:db8:%x:%x::1]:443", i >> 16, i & 0xffff);
        fail_at(origin, failures, now_us);
    }
}

static void rotating_addresses_frees_nobody_who_is_blocked(void **state)
{
    fail_at("10.3.0.1:1", 30, START);
    fail_from_many(0, 3 * CTL_LOCKOUT_ORIGINS, 1, START + S_US);
    assert_int_equal(wait_of("10.3.0.1:1", START + S_US), 299);
    fail_at("10.3.0.1:1", 1, START + 301 * S_US); /* nor makes his failures forgotten once he may try again */
    fail_from_many(0, 3 * CTL_LOCKOUT_ORIGINS, 1, START + 302 * S_US);
    assert_int_equal(wait_of("10.3.0.1:1", START + 302 * S_US), 299);
}

static void a_table_full_of_blocked_ones_locks_out_no_stranger(void **state)
{
    fail_from_many(0, CTL_LOCKOUT_ORIGINS, 11, START);
    fail_at("10.4.0.1:1", 30, START);
    assert_int_equal(wait_of("10.4.0.1:1", START), 0);
    assert_int_equal(wait_of("[2001:db8:0:7::1]:1", START), 1);
    fail_at("10.4.0.1:1", 30, START + (CTL_LOCKOUT_FORGET_S + 1) * S_US); /* their time is over */
    assert_int_equal(wait_of("10.4.0.1:1", START + (CTL_LOCKOUT_FORGET_S + 1) * S_US), 300);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(ten_are_free_then_waiting_doubles_up_to_five_minutes),
        T(what_one_party_holds_is_one_origin),
        T(rotating_addresses_frees_nobody_who_is_blocked),
        T(a_table_full_of_blocked_ones_locks_out_no_stranger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

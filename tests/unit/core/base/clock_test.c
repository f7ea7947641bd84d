#include "core/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void dates_are_written_and_read_back(void **state)
{
    static const struct {
        int64_t wall_us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {951782400000000, "2000-02-29T00:00:00.000000Z"},
        {1795228354123456, "2026-11-21T02:32:34.123456Z"},
        {253402300799999999, "9999-12-31T23:59:59.999999Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        char text[CLOCK_RFC3339_US_LEN + 1];
        int64_t back;
        clock_rfc3339_us(cases[i].wall_us, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(clock_parse_rfc3339(slice_of(text), &back), 0);
        assert_true(back == cases[i].wall_us);
    }
    char text[CLOCK_RFC3339_US_LEN + 1];
    clock_rfc3339(1795228354999999, text);
    assert_string_equal(text, "2026-11-21T02:32:34Z");
    clock_rfc3339_us(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
    clock_rfc3339(INT64_MIN, text);
    assert_string_equal(text, "1000-01-01T00:00:00Z");
}

static void dates_are_read_with_offsets_and_fractions(void **state)
{
    static const struct {
        const char *text;
        int64_t wall_us;
    } cases[] = {
        {"1970-01-01T01:00:00+01:00", 0},
        {"1969-12-31t23:30:00-00:30", 0},
        {"1970-01-01T00:00:00z", 0},
        {"1970-01-01T00:00:00.5Z", 500000},
        {"1970-01-01T00:00:00.1234567891Z", 123456},
        {"1972-06-30T23:59:60Z", 78796800000000},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        int64_t got;
        if (clock_parse_rfc3339(slice_of(cases[i].text), &got) != 0 || got != cases[i].wall_us)
            fail_msg("%s", cases[i].text);
    }
}

static void what_is_no_date_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "2026",
        "2026-11-21",
        "2026-11-21 00:00:00Z",
        "2026-11-21T00:00:00",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00Zx",
        "+2026-01-01T00:00:00Z",
        "12026-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); ++i) {
        int64_t got;
        if (clock_parse_rfc3339(slice_of(bad[i]), &got) == 0)
            fail_msg("'%s' was accepted", bad[i]);
    }
}

static void durations_follow_gep_2257(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"1h", 3600000},       {"0s", 0},          {"10s", 10000}, {"500ms", 500},
                {"1m", 60000},         {"1h30m", 5400000}, {"1s1s", 2000}, {"99999h", 359996400000},
                {"1h2m3s4ms", 3723004}};
    static const char *const bad[] = {"",        "1",          "s",   "1x",  "1.5s", "-1s",
                                      "100000s", "1h1h1h1h1h", " 1s", "1s ", "1 s",  "1M"};
    uint64_t ms;
    for (size_t i = 0; i < ARRAY_LEN(good); ++i) {
        if (clock_parse_duration(slice_of(good[i].text), &ms) != 0 || ms != good[i].ms)
            fail_msg("%s", good[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); ++i)
        if (clock_parse_duration(slice_of(bad[i]), &ms) == 0)
            fail_msg("'%s' was accepted", bad[i]);
}

static void ages_get_coarser_with_time(void **state)
{
    static const struct {
        int64_t s;
        const char *text;
    } rows[] = {{-5, "0s"},         {0, "0s"},           {119, "119s"},          {120, "2m"},          {125, "2m5s"},
                {599, "9m59s"},     {600, "10m"},        {10799, "179m"},        {10800, "3h"},        {12060, "3h21m"},
                {28800, "8h"},      {172799, "47h"},     {172800, "2d"},         {176400, "2d1h"},     {691200, "8d"},
                {63071999, "729d"}, {63072000, "2y"},    {65750400, "2y31d"},    {252288000, "8y"},    {INT64_MAX, "292471208677y"}};
    char text[CLOCK_AGE_LEN + 1];
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        clock_age(rows[i].s, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void a_faked_clock_stands_still(void **state)
{
    clock_fake(5000000, 7);
    assert_int_equal(clock_mono_us(), 5000000);
    assert_int_equal(clock_mono_ms(), 5000);
    assert_int_equal(clock_wall_us(), 7);
    clock_fake(0, 0);
    assert_true(clock_wall_us() > 1577836800000000); /* 2020 */
    uint64_t before = clock_mono_us();
    assert_true(clock_mono_us() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_written_and_read_back),
        cmocka_unit_test(dates_are_read_with_offsets_and_fractions),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(durations_follow_gep_2257),
        cmocka_unit_test(ages_get_coarser_with_time),
        cmocka_unit_test(a_faked_clock_stands_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

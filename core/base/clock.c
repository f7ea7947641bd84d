/* Time. */
#include "core/base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic uint64_t fake_mono_us; /* atomic: other threads read the clock while a test sets it */
static _Atomic int64_t fake_wall_us;

static int64_t read_clock_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

uint64_t clock_mono_us(void)
{
    uint64_t fake = atomic_load_explicit(&fake_mono_us, memory_order_relaxed);
    return LIKELY(fake == 0) ? (uint64_t)read_clock_us(CLOCK_MONOTONIC) : fake;
}

int64_t clock_wall_us(void)
{
    int64_t fake = atomic_load_explicit(&fake_wall_us, memory_order_relaxed);
    return LIKELY(fake == 0) ? read_clock_us(CLOCK_REALTIME) : fake;
}

void clock_fake(uint64_t mono_us, int64_t wall_us)
{
    fake_mono_us = mono_us;
    fake_wall_us = wall_us;
}

/* Years are written with four digits: 1000 to 9999. */
static const int64_t WALL_MIN_US = -30610224000000000, WALL_MAX_US = 253402300799999999;

/* The microsecond within its second; not negative before 1970 either. */
static int64_t fraction_us(int64_t wall_us)
{
    int64_t us = wall_us % 1000000;
    return us < 0 ? us + 1000000 : us;
}

static struct tm split(int64_t wall_us)
{
    time_t seconds = (time_t)((wall_us - fraction_us(wall_us)) / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    return tm;
}

void clock_rfc3339(int64_t wall_us, char *out)
{
    struct tm tm = split(MAX(MIN(wall_us, WALL_MAX_US), WALL_MIN_US));
    strftime(out, CLOCK_RFC3339_LEN + 1, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void clock_rfc3339_us(int64_t wall_us, char *out)
{
    wall_us = MAX(MIN(wall_us, WALL_MAX_US), WALL_MIN_US);
    struct tm tm = split(wall_us);
    size_t len = strftime(out, CLOCK_RFC3339_US_LEN + 1, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, CLOCK_RFC3339_US_LEN + 1 - len, ".%06uZ", (unsigned)fraction_us(wall_us));
}

static int digits(struct slice *in, size_t count, int *ret)
{
    int value = 0;
    if (in->len < count)
        return -1;
    for (size_t i = 0; i < count; ++i) {
        if (in->base[i] < '0' || in->base[i] > '9')
            return -1;
        value = value * 10 + (in->base[i] - '0');
    }
    in->base += count;
    in->len -= count;
    *ret = value;
    return 0;
}

static int expect(struct slice *in, char a, char b)
{
    if (in->len == 0 || (in->base[0] != a && in->base[0] != b))
        return -1;
    ++in->base;
    --in->len;
    return 0;
}

static int parse_fraction(struct slice *in, int64_t *ret_us)
{
    int64_t scale = 100000;
    *ret_us = 0;
    if (in->len == 0 || in->base[0] != '.')
        return 0;
    ++in->base;
    --in->len;
    if (in->len == 0 || in->base[0] < '0' || in->base[0] > '9')
        return -1;
    for (; in->len > 0 && in->base[0] >= '0' && in->base[0] <= '9'; ++in->base, --in->len, scale /= 10)
        *ret_us += (in->base[0] - '0') * scale;
    return 0;
}

static int parse_offset(struct slice *in, int64_t *ret_s)
{
    int hours, minutes;
    *ret_s = 0;
    if (expect(in, 'Z', 'z') == 0)
        return 0;
    int sign = in->len > 0 && in->base[0] == '-' ? -1 : 1;
    if (expect(in, '+', '-') != 0 || digits(in, 2, &hours) != 0 || expect(in, ':', ':') != 0 ||
        digits(in, 2, &minutes) != 0 || hours > 23 || minutes > 59)
        return -1;
    *ret_s = sign * (hours * 3600 + minutes * 60);
    return 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

int clock_parse_rfc3339(struct slice in, int64_t *ret_wall_us)
{
    struct tm tm = {0};
    int64_t us, offset_s;
    if (digits(&in, 4, &tm.tm_year) != 0 || expect(&in, '-', '-') != 0 || digits(&in, 2, &tm.tm_mon) != 0 ||
        expect(&in, '-', '-') != 0 || digits(&in, 2, &tm.tm_mday) != 0 || expect(&in, 'T', 't') != 0 ||
        digits(&in, 2, &tm.tm_hour) != 0 || expect(&in, ':', ':') != 0 || digits(&in, 2, &tm.tm_min) != 0 ||
        expect(&in, ':', ':') != 0 || digits(&in, 2, &tm.tm_sec) != 0 || parse_fraction(&in, &us) != 0 ||
        parse_offset(&in, &offset_s) != 0 || in.len != 0)
        return -1;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
        tm.tm_mday > days_in_month(tm.tm_year, tm.tm_mon) || tm.tm_hour > 23 || tm.tm_min > 59 ||
        tm.tm_sec > 60)
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_wall_us = ((int64_t)timegm(&tm) - offset_s) * 1000000 + us;
    return 0;
}

static int parse_unit(struct slice *in, uint64_t *ret_ms)
{
    static const struct {
        struct slice name;
        uint64_t ms;
    } units[] = {{{"ms", 2}, 1}, {{"h", 1}, 3600000}, {{"m", 1}, 60000}, {{"s", 1}, 1000}};
    for (size_t i = 0; i < ARRAY_LEN(units); ++i) {
        if (!slice_starts(*in, units[i].name))
            continue;
        in->base += units[i].name.len;
        in->len -= units[i].name.len;
        *ret_ms = units[i].ms;
        return 0;
    }
    return -1;
}

int clock_parse_duration(struct slice in, uint64_t *ret_ms)
{
    uint64_t total = 0, unit_ms;
    int parts = 0;
    for (; in.len > 0; ++parts) {
        uint64_t value = 0;
        size_t count = 0;
        while (count < in.len && in.base[count] >= '0' && in.base[count] <= '9')
            value = value * 10 + (uint64_t)(in.base[count++] - '0');
        if (count == 0 || count > 5)
            return -1;
        in.base += count;
        in.len -= count;
        if (parse_unit(&in, &unit_ms) != 0)
            return -1;
        total += value * unit_ms;
    }
    if (parts == 0 || parts > 4)
        return -1;
    *ret_ms = total;
    return 0;
}

void clock_age(int64_t seconds, char *out)
{
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400, YEAR = 365 * 86400 };
    static const struct {
        int64_t below_s, unit_s, rest_s; /* rest_s 0: one unit only */
        char unit, rest;
    } steps[] = {
        {2 * MINUTE, 1, 0, 's', 0},         {10 * MINUTE, MINUTE, 1, 'm', 's'}, {3 * HOUR, MINUTE, 0, 'm', 0},
        {8 * HOUR, HOUR, MINUTE, 'h', 'm'}, {2 * DAY, HOUR, 0, 'h', 0},         {8 * DAY, DAY, HOUR, 'd', 'h'},
        {2LL * YEAR, DAY, 0, 'd', 0},       {8LL * YEAR, YEAR, DAY, 'y', 'd'},  {INT64_MAX, YEAR, 0, 'y', 0},
    };
    size_t i = 0;
    seconds = MAX(seconds, (int64_t)0);
    while (i + 1 < ARRAY_LEN(steps) && seconds >= steps[i].below_s)
        ++i;
    long long whole = seconds / steps[i].unit_s, rest = steps[i].rest_s != 0 ? seconds % steps[i].unit_s / steps[i].rest_s : 0;
    if (rest != 0)
        snprintf(out, CLOCK_AGE_LEN + 1, "%lld%c%lld%c", whole, steps[i].unit, rest, steps[i].rest);
    else
        snprintf(out, CLOCK_AGE_LEN + 1, "%lld%c", whole, steps[i].unit);
}

/* Times as people read them: two units at most, fewer as it gets longer. */
#include "cli/age.h"

#include "core/base/clock.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, YEAR = 365 * 86400 };

static const char *duration(struct arena *arena, int64_t s)
{
    static const struct {
        int64_t below_s, unit_s, rest_s; /* rest_s 0: one unit only */
        const char *unit, *rest;
    } steps[] = {
        {2 * MINUTE, 1, 0, "s", ""},     {10 * MINUTE, MINUTE, 1, "m", "s"}, {3 * HOUR, MINUTE, 0, "m", ""},
        {8 * HOUR, HOUR, MINUTE, "h", "m"}, {2 * DAY, HOUR, 0, "h", ""},     {8 * DAY, DAY, HOUR, "d", "h"},
        {2LL * YEAR, DAY, 0, "d", ""},   {8LL * YEAR, YEAR, DAY, "y", "d"},  {INT64_MAX, YEAR, 0, "y", ""},
    };
    size_t i = 0;
    while (s >= steps[i].below_s)
        ++i;
    long long whole = s / steps[i].unit_s, rest = steps[i].rest_s != 0 ? s % steps[i].unit_s / steps[i].rest_s : 0;
    return rest != 0 ? arena_printf(arena, "%lld%s%lld%s", whole, steps[i].unit, rest, steps[i].rest) : arena_printf(arena, "%lld%s", whole, steps[i].unit);
}

const char *cli_age(struct arena *arena, const char *rfc3339)
{
    int64_t at_us;
    if (clock_parse_rfc3339(slice_of(rfc3339), &at_us) != 0)
        return "<unknown>";
    return duration(arena, MAX((clock_wall_us() - at_us) / 1000000, (int64_t)0));
}

const char *cli_until(struct arena *arena, const char *rfc3339)
{
    int64_t at_us, now_us = clock_wall_us();
    if (*rfc3339 == '\0')
        return "never";
    if (clock_parse_rfc3339(slice_of(rfc3339), &at_us) != 0)
        return "<unknown>";
    if (at_us <= now_us)
        return arena_printf(arena, "expired %s ago", duration(arena, (now_us - at_us) / 1000000));
    return arena_printf(arena, "in %s", duration(arena, (at_us - now_us) / 1000000));
}

/* Times as people read them. */
#include "cli/age.h"

#include "core/base/clock.h"

static const char *duration(struct arena *arena, int64_t s)
{
    char text[CLOCK_AGE_LEN + 1];
    clock_age(s, text);
    return arena_strdup(arena, text);
}

const char *cli_age(struct arena *arena, const char *rfc3339)
{
    int64_t at_us;
    if (clock_parse_rfc3339(slice_of(rfc3339), &at_us) != 0)
        return "<unknown>";
    return duration(arena, (clock_wall_us() - at_us) / 1000000);
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

/* Time. Durations and deadlines use the monotonic clock; dates use the wall clock.
 *
 * Threads: any. Tests replace both clocks with clock_fake(); nothing else may. */
#ifndef SELVEDGE_BASE_CLOCK_H
#define SELVEDGE_BASE_CLOCK_H

#include "core/base/defs.h"

uint64_t clock_mono_us(void);
static inline uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}
/* Microseconds since 1970-01-01 UTC. */
int64_t clock_wall_us(void);

enum { CLOCK_RFC3339_LEN = 20, CLOCK_RFC3339_US_LEN = 27 };
/* "2026-11-21T02:32:34Z" / "2026-11-21T02:32:34.123456Z"; `out` has room for the length and a NUL.
 * Moments outside the years 1000 to 9999 are written as the first or last of these. */
void clock_rfc3339(int64_t wall_us, char *out);
void clock_rfc3339_us(int64_t wall_us, char *out);
/* -1 when it is not an RFC 3339 date-time. */
int clock_parse_rfc3339(struct slice text, int64_t *ret_wall_us);

/* Gateway API duration (GEP-2257): 1-4 of `([0-9]{1,5}(h|m|s|ms))`. -1 when not one. */
int clock_parse_duration(struct slice text, uint64_t *ret_ms);

enum { CLOCK_AGE_LEN = 43 };
/* "90s", "5m30s", "3h20m", "12d", "2y31d": as kubectl writes ages, two units at most, fewer as it gets longer. `out` has
 * room for the length and a NUL; negative is "0s". */
void clock_age(int64_t seconds, char *out);

/* Tests: both clocks stand still at these values until set again; clock_fake(0, 0) gives the real ones back. */
void clock_fake(uint64_t mono_us, int64_t wall_us);

#endif

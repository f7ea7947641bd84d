/* Lock-out of origins that guess: after 10 failures an origin waits 1 s, then twice as long with each further one, up to
 * 5 minutes. Ten minutes without a failure and it starts afresh.
 *
 * An origin is what one party can be expected to hold: an IPv4 address (in IPv6 clothes too), the /64 of an IPv6 address,
 * a user of this host. Ports do not count.
 *
 * Limits: 4096 origins. When they are full, the one that failed longest ago leaves, among those that never had to wait;
 * one that had to is kept until its ten minutes are over, whatever else comes, so that no rotation of addresses frees a
 * blocked one. While all 4096 are such, further origins are not counted: failing would otherwise lock out strangers. Whoever
 * holds more than 4096 origins is therefore slowed in 4096 of them only; what stands in his way is the 192 random bits of
 * a token, and what the lock-out spares us is work and noise.
 *
 * Time is the monotonic clock's: setting the wall clock neither frees nor holds anybody. Threads: one. */
#ifndef SELVEDGE_CONTROL_LOCKOUT_H
#define SELVEDGE_CONTROL_LOCKOUT_H

#include "core/base/defs.h"

enum { CTL_LOCKOUT_FREE = 10, CTL_LOCKOUT_ORIGINS = 4096, CTL_LOCKOUT_MAX_S = 300, CTL_LOCKOUT_FORGET_S = 600 };

struct ctl_lockout;

struct ctl_lockout *ctl_lockout_new(void);
struct ctl_lockout *ctl_lockout_free(struct ctl_lockout *lockout); /* NULL is fine; returns NULL */
/* `origin` as in calls: "10.0.0.7:51234", "[2001:db8::1]:443", "unix:uid=1000". */
void ctl_lockout_count(struct ctl_lockout *lockout, struct slice origin, uint64_t now_us);
/* Seconds it has to wait, rounded up; 0: it may try. */
unsigned ctl_lockout_wait_s(const struct ctl_lockout *lockout, struct slice origin, uint64_t now_us);

#endif

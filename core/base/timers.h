/* Timers of one thread: embedded in what they time, started with an absolute deadline in milliseconds.
 *
 * Threads: one. Ownership: the caller's; a running timer must be stopped before its memory goes.
 * Precision: a timer fires at the first timers_run() at or after its deadline, never before. */
#ifndef SELVEDGE_BASE_TIMERS_H
#define SELVEDGE_BASE_TIMERS_H

#include "core/base/list.h"

struct timer {
    struct list link; /* unlinked when not running */
    uint64_t deadline_ms;
    void (*run)(struct timer *timer);
};

struct timers {
    struct list running; /* by deadline */
};

void timers_init(struct timers *timers, uint64_t now_ms);
static inline void timer_init(struct timer *timer, void (*run)(struct timer *timer))
{
    list_init(&timer->link);
    timer->run = run;
}
/* Starts, or moves when running already. */
void timer_start(struct timers *timers, struct timer *timer, uint64_t deadline_ms);
static inline void timer_stop(struct timer *timer)
{
    list_remove(&timer->link);
}
static inline bool timer_is_running(const struct timer *timer)
{
    return !list_is_empty(&timer->link);
}
/* Runs what is due. A callback may start and stop any timer, and free its own. */
void timers_run(struct timers *timers, uint64_t now_ms);
/* Milliseconds until the next is due; 0: now; UINT64_MAX: none runs. */
uint64_t timers_next_ms(const struct timers *timers, uint64_t now_ms);

#endif

/* Timers of one thread: embedded in what they time, started with an absolute deadline in milliseconds.
 *
 * A hierarchical wheel: starting and stopping cost the same few instructions however many run, because every
 * request arms several and nearly all are stopped again. The caller brings the time, from any clock that
 * never goes back. Threads: one. Ownership: the caller's; a running timer must be stopped before its memory
 * goes. Precision: a timer fires at the first timers_run() at or after its deadline, never before; in the
 * order of deadlines. */
#ifndef SELVEDGE_BASE_TIMERS_H
#define SELVEDGE_BASE_TIMERS_H

#include "core/base/list.h"

struct timer {
    struct list link; /* unlinked when not running */
    uint64_t deadline_ms;
    void (*run)(struct timer *timer);
};

/* 64 slots a level; 11 levels hold any 64-bit deadline, so that there is no longest timer. */
enum { TIMERS_SLOT_BITS = 6, TIMERS_SLOTS = 1 << TIMERS_SLOT_BITS, TIMERS_LEVELS = 11 };

struct timers {
    uint64_t now_ms; /* of the last run: what the slots are relative to */
    struct list due; /* started with a deadline that had passed already */
    uint64_t filled[TIMERS_LEVELS]; /* a bit for each slot that may hold timers */
    struct list slots[TIMERS_LEVELS][TIMERS_SLOTS];
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
/* Runs what is due. A callback may start and stop any timer, and free its own. One started meanwhile for a
 * moment that has passed runs the next time, so that a callback which always re-arms itself for now cannot
 * hold the loop. */
void timers_run(struct timers *timers, uint64_t now_ms);
/* Milliseconds until timers_run() has something to do; 0: now; UINT64_MAX: none runs. It may be early (a few
 * times in a long timer's life, to move it down a level), never late. */
uint64_t timers_next_ms(struct timers *timers, uint64_t now_ms);

#endif

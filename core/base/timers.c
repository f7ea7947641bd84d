#include "core/base/timers.h"

void timers_init(struct timers *timers, uint64_t now_ms)
{
    list_init(&timers->running);
}

void timer_start(struct timers *timers, struct timer *timer, uint64_t deadline_ms)
{
    struct list *at = timers->running.prev;

    timer_stop(timer);
    timer->deadline_ms = deadline_ms;
    while (at != &timers->running && LIST_ENTRY(at, struct timer, link)->deadline_ms > deadline_ms)
        at = at->prev;
    list_insert_after(at, &timer->link);
}

void timers_run(struct timers *timers, uint64_t now_ms)
{
    while (timers_next_ms(timers, now_ms) == 0) {
        struct timer *timer = LIST_FIRST(&timers->running, struct timer, link);
        timer_stop(timer);
        timer->run(timer);
    }
}

uint64_t timers_next_ms(const struct timers *timers, uint64_t now_ms)
{
    if (list_is_empty(&timers->running))
        return UINT64_MAX;
    uint64_t deadline_ms = LIST_FIRST(&timers->running, struct timer, link)->deadline_ms;
    return deadline_ms > now_ms ? deadline_ms - now_ms : 0;
}

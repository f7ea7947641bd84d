/* A hierarchical timer wheel (Varghese and Lauck, 1987) in the form where a timer's level is the highest
 * 6-bit digit in which its deadline differs from the present. So everything on one level shares the higher
 * digits with the present and lies in a later slot of that level: slots never wrap around, and the first
 * filled slot of the lowest filled level is what comes next. When the present enters a slot of a higher
 * level, its timers move to lower ones.
 *
 * Stopping only unlinks: a bit in `filled` may outlive the slot's last timer and is cleared when somebody
 * looks. */
#include "core/base/timers.h"

#include <assert.h>

void timers_init(struct timers *timers, uint64_t now_ms)
{
    timers->now_ms = now_ms;
    list_init(&timers->due);
    for (unsigned level = 0; level < TIMERS_LEVELS; ++level) {
        timers->filled[level] = 0;
        for (unsigned slot = 0; slot < TIMERS_SLOTS; ++slot)
            list_init(&timers->slots[level][slot]);
    }
}

static unsigned level_of(uint64_t now_ms, uint64_t deadline_ms)
{
    return (63u - (unsigned)__builtin_clzll(now_ms ^ deadline_ms)) / TIMERS_SLOT_BITS;
}

static void insert(struct timers *timers, struct timer *timer)
{
    unsigned level = level_of(timers->now_ms, timer->deadline_ms);
    unsigned slot = timer->deadline_ms >> (level * TIMERS_SLOT_BITS) & (TIMERS_SLOTS - 1);
    timers->filled[level] |= 1ull << slot;
    list_push(&timers->slots[level][slot], &timer->link);
}

void timer_start(struct timers *timers, struct timer *timer, uint64_t deadline_ms)
{
    timer_stop(timer);
    timer->deadline_ms = deadline_ms;
    if (deadline_ms <= timers->now_ms)
        list_push(&timers->due, &timer->link);
    else
        insert(timers, timer);
}

/* The next slot with timers in it and when it begins. */
static bool find_next(struct timers *timers, unsigned *ret_level, unsigned *ret_slot, uint64_t *ret_begin_ms)
{
    for (unsigned level = 0; level < TIMERS_LEVELS; ++level) {
        while (timers->filled[level] != 0) {
            unsigned slot = (unsigned)__builtin_ctzll(timers->filled[level]);
            if (list_is_empty(&timers->slots[level][slot])) {
                timers->filled[level] &= timers->filled[level] - 1;
                continue;
            }
            unsigned shift = level * TIMERS_SLOT_BITS;
            /* The higher digits are the present's; the top level has none. */
            uint64_t upper = level + 1 < TIMERS_LEVELS
                                 ? timers->now_ms >> (shift + TIMERS_SLOT_BITS) << TIMERS_SLOT_BITS
                                 : 0;
            *ret_level = level;
            *ret_slot = slot;
            *ret_begin_ms = (upper | slot) << shift;
            return true;
        }
    }
    return false;
}

/* `from` is empty after. */
static void move_all(struct list *from, struct list *to)
{
    list_init(to);
    if (list_is_empty(from))
        return;
    list_insert_after(from, to); /* `to` joins the ring, the old head leaves it */
    list_remove(from);
}

static void run_all(struct list *due)
{
    while (!list_is_empty(due)) {
        struct timer *timer = LIST_FIRST(due, struct timer, link);
        timer_stop(timer);
        timer->run(timer);
    }
}

/* The present is the beginning of this slot: its timers are due or belong on a lower level. */
static void enter_slot(struct timers *timers, struct list *slot, struct list *due)
{
    struct list moved;
    move_all(slot, &moved);
    while (!list_is_empty(&moved)) {
        struct timer *timer = LIST_FIRST(&moved, struct timer, link);
        assert(timer->deadline_ms >= timers->now_ms);
        list_remove(&timer->link);
        if (timer->deadline_ms == timers->now_ms)
            list_push(due, &timer->link);
        else
            insert(timers, timer);
    }
}

void timers_run(struct timers *timers, uint64_t now_ms)
{
    unsigned level, slot;
    uint64_t begin_ms;
    struct list due;

    move_all(&timers->due, &due);
    run_all(&due);
    while (find_next(timers, &level, &slot, &begin_ms) && begin_ms <= now_ms) {
        assert(begin_ms > timers->now_ms);
        timers->now_ms = begin_ms;
        timers->filled[level] &= ~(1ull << slot);
        enter_slot(timers, &timers->slots[level][slot], &due);
        run_all(&due);
    }
    timers->now_ms = MAX(timers->now_ms, now_ms);
}

uint64_t timers_next_ms(struct timers *timers, uint64_t now_ms)
{
    unsigned level, slot;
    uint64_t begin_ms;
    if (!list_is_empty(&timers->due))
        return 0;
    if (!find_next(timers, &level, &slot, &begin_ms))
        return UINT64_MAX;
    return begin_ms > now_ms ? begin_ms - now_ms : 0;
}

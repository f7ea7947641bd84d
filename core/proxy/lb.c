/* Equal weights, the usual case, take the short ways: O(1). Unequal ones: two draws by weight (O(log n)) compared by
 * load per weight; smooth weighted round robin (O(n), as nginx does it). */
#include "core/proxy/lb.h"

void px_lb_set_clear(struct px_lb_set *set)
{
    free(set->hosts);
    free(set->upto);
    *set = (struct px_lb_set){NULL, NULL, 0, 0};
}

static bool have_equal_weights(struct px_lb_host *const *hosts, uint32_t num)
{
    for (uint32_t i = 1; i < num; i++)
        if (hosts[i]->weight != hosts[0]->weight)
            return false;
    return true;
}

void px_lb_set_assign(struct px_lb_set *set, struct px_lb_host *const *hosts, uint32_t num)
{
    uint32_t cursor = set->cursor;
    uint64_t sum = 0;

    px_lb_set_clear(set);
    set->cursor = cursor;
    set->num = num;
    if (num == 0)
        return;
    set->hosts = xmalloc(num * sizeof(hosts[0]));
    memcpy(set->hosts, hosts, num * sizeof(hosts[0]));
    if (have_equal_weights(hosts, num))
        return;
    set->upto = xmalloc(num * sizeof(set->upto[0]));
    for (uint32_t i = 0; i < num; i++)
        set->upto[i] = sum += hosts[i]->weight;
}

static uint32_t draw(const struct px_lb_set *set, struct rng *rng)
{
    if (set->upto == NULL)
        return (uint32_t)rng_below(rng, set->num);
    uint64_t point = rng_next(rng) % set->upto[set->num - 1];
    uint32_t low = 0, high = set->num - 1;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (point < set->upto[mid])
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* Cross-multiplied, so that no host's load is rounded away. Ties keep the first draw, which is random already. */
static bool is_less_loaded(const struct px_lb_host *a, const struct px_lb_host *b)
{
    return (uint64_t)a->active * b->weight < (uint64_t)b->active * a->weight;
}

static uint32_t pick_least_request(struct px_lb_set *set, struct rng *rng)
{
    uint32_t first = draw(set, rng), second = draw(set, rng);

    if (first == second) /* two different ones see more than one drawn twice */
        second = second + 1 < set->num ? second + 1 : 0;
    return is_less_loaded(set->hosts[second], set->hosts[first]) ? second : first;
}

static uint32_t pick_round_robin(struct px_lb_set *set)
{
    uint32_t best = 0;
    int64_t total = 0;

    if (set->upto == NULL) {
        set->cursor = set->cursor + 1 < set->num ? set->cursor + 1 : 0;
        return set->cursor;
    }
    for (uint32_t i = 0; i < set->num; i++) {
        set->hosts[i]->current += set->hosts[i]->weight;
        total += set->hosts[i]->weight;
        if (set->hosts[i]->current > set->hosts[best]->current)
            best = i;
    }
    set->hosts[best]->current -= total;
    return best;
}

static uint32_t pick_any(struct px_lb_set *set, enum px_lb_kind kind, struct rng *rng)
{
    switch (kind) {
    case PX_LB_LEAST_REQUEST:
        return pick_least_request(set, rng);
    case PX_LB_ROUND_ROBIN:
        return pick_round_robin(set);
    case PX_LB_RANDOM:
        break;
    }
    return draw(set, rng);
}

struct px_lb_host *px_lb_pick(struct px_lb_set *set, enum px_lb_kind kind, const struct px_lb_host *avoid,
                              struct rng *rng)
{
    if (set->num == 0)
        return NULL;
    if (set->num == 1)
        return set->hosts[0];
    uint32_t at = pick_any(set, kind, rng);
    if (set->hosts[at] == avoid) /* any other will do: a retry is rare, fairness is the next request's */
        at = (at + 1 + (uint32_t)rng_below(rng, set->num - 1)) % set->num;
    return set->hosts[at];
}

/* Choosing an endpoint: least request with the power of two choices, round robin, random; all weighted.
 *
 * Works on a set prepared when endpoints or their health change, so a choice costs no search. Pure but for the random
 * numbers and the cursor it is given. Threads: the worker's. */
#ifndef SELVEDGE_PROXY_LB_H
#define SELVEDGE_PROXY_LB_H

#include "core/base/rng.h"

/* What an endpoint shows the balancer; embedded in it. */
struct px_lb_host {
    uint32_t weight;  /* above 0 */
    uint32_t active;  /* requests outstanding, from this worker */
    int64_t current;  /* round robin with unequal weights */
};

struct px_lb_set {
    struct px_lb_host **hosts; /* owned array, borrowed hosts */
    uint64_t *upto;            /* sums of weights; NULL when all weights are equal */
    uint32_t num, cursor;
};

enum px_lb_kind { PX_LB_LEAST_REQUEST, PX_LB_ROUND_ROBIN, PX_LB_RANDOM };

/* Copies the array. The cursor survives, so a change of endpoints does not send everybody to the first again. */
void px_lb_set_assign(struct px_lb_set *set, struct px_lb_host *const *hosts, uint32_t num);
void px_lb_set_clear(struct px_lb_set *set);
/* NULL only when the set is empty. `avoid` (may be NULL) is returned only when it is the one host there is. */
struct px_lb_host *px_lb_pick(struct px_lb_set *set, enum px_lb_kind kind, const struct px_lb_host *avoid,
                              struct rng *rng);

#endif

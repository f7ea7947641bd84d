/* Ratings in memory: product, reviewer, stars. Shared by both forms of the ratings service.
 *
 * Threads:   any.
 * Limits:    1,000 products with 200 reviewers each; the rest is refused. */
#ifndef BOOKINFO_RATINGS_STORE_H
#define BOOKINFO_RATINGS_STORE_H

#include "core/base/err.h"

enum { BK_STARS_MIN = 1, BK_STARS_MAX = 5, BK_REVIEWERS_MAX = 200, BK_REVIEWER_MAX = 32 };

struct bk_rating {
    char reviewer[BK_REVIEWER_MAX + 1];
    unsigned stars;
};

/* With the ratings the shop opens with. */
void bk_ratings_init(void);
/* Copies up to BK_REVIEWERS_MAX ratings out: their number, or -1 when the product is not known. */
int bk_ratings_get(uint64_t product, struct bk_rating *out);
/* Sets one; a product that was not known begins to be. */
int bk_ratings_set(uint64_t product, struct slice reviewer, int64_t stars, struct err *err);
/* Goes up with every change. */
uint64_t bk_ratings_version(void);
/* An eventfd that is written to on every change, until it is given to bk_ratings_unwatch(). */
void bk_ratings_watch(int eventfd);
void bk_ratings_unwatch(int eventfd);

#endif

/* One lock over a small table: a demo's store has no hot path. */
#include "examples/bookinfo/lib/ratings_store.h"
#include "examples/bookinfo/lib/knobs.h"

#include <pthread.h>
#include <unistd.h>

enum { PRODUCTS_MAX = 1000, PRODUCTS_AT_START = 6, WATCHERS_STEP = 16 };

struct product {
    uint64_t id;
    unsigned num_ratings, cap;
    struct bk_rating *ratings;
};

static struct {
    pthread_mutex_t lock;
    unsigned num_products;
    struct product products[PRODUCTS_MAX];
    uint64_t version;
    int *watchers;
    size_t num_watchers, cap_watchers;
} store = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct product *find_product(uint64_t id)
{
    for (unsigned i = 0; i != store.num_products; i++)
        if (store.products[i].id == id)
            return &store.products[i];
    return NULL;
}

static struct product *add_product(uint64_t id)
{
    if (store.num_products == PRODUCTS_MAX)
        return NULL;
    struct product *product = &store.products[store.num_products++];
    product->id = id;
    return product;
}

static struct bk_rating *find_rating(struct product *product, struct slice reviewer)
{
    for (unsigned i = 0; i != product->num_ratings; i++)
        if (slice_is(reviewer, product->ratings[i].reviewer))
            return &product->ratings[i];
    return NULL;
}

static struct bk_rating *add_rating(struct product *product, struct slice reviewer)
{
    if (product->num_ratings == BK_REVIEWERS_MAX)
        return NULL;
    if (product->num_ratings == product->cap) {
        product->cap = product->cap != 0 ? product->cap * 2 : 4;
        product->ratings = xrealloc(product->ratings, product->cap * sizeof(*product->ratings));
    }
    struct bk_rating *rating = &product->ratings[product->num_ratings++];
    memcpy(rating->reviewer, reviewer.base, reviewer.len);
    rating->reviewer[reviewer.len] = '\0';
    return rating;
}

static int set_locked(uint64_t id, struct slice reviewer, unsigned stars, struct err *err)
{
    struct product *product = find_product(id);
    if (product == NULL)
        product = add_product(id);
    if (product == NULL)
        return err_set(err, ERR_NO_SPACE, "no more than %d products", PRODUCTS_MAX);
    struct bk_rating *rating = find_rating(product, reviewer);
    if (rating == NULL)
        rating = add_rating(product, reviewer);
    if (rating == NULL)
        return err_set(err, ERR_NO_SPACE, "no more than %d reviewers a product", BK_REVIEWERS_MAX);
    rating->stars = stars;
    store.version++;
    uint64_t one = 1;
    for (size_t i = 0; i != store.num_watchers; i++)
        (void)!write(store.watchers[i], &one, sizeof(one)); /* full means it is awake already */
    return 0;
}

void bk_ratings_init(void)
{
    static const unsigned stars[PRODUCTS_AT_START][2] = {{5, 4}, {5, 5}, {4, 3}, {5, 4}, {4, 5}, {3, 5}};
    for (unsigned i = 0; i != PRODUCTS_AT_START; i++) {
        (void)set_locked(i, SLICE("Reviewer1"), stars[i][0], NULL); /* there is room */
        (void)set_locked(i, SLICE("Reviewer2"), stars[i][1], NULL);
    }
}

int bk_ratings_get(uint64_t id, struct bk_rating *out)
{
    pthread_mutex_lock(&store.lock);
    const struct product *product = find_product(id);
    int count = product != NULL ? (int)product->num_ratings : -1;
    if (count > 0)
        memcpy(out, product->ratings, (size_t)count * sizeof(*out));
    pthread_mutex_unlock(&store.lock);
    return count;
}

int bk_ratings_set(uint64_t id, struct slice reviewer, int64_t stars, struct err *err)
{
    if (!bk_user_is_valid(reviewer))
        return err_set(err, ERR_INVALID, "a reviewer is 1 to %d letters, digits, '.', '-', '_'",
                       BK_REVIEWER_MAX);
    if (stars < BK_STARS_MIN || stars > BK_STARS_MAX)
        return err_set(err, ERR_INVALID, "stars go from %d to %d", BK_STARS_MIN, BK_STARS_MAX);
    pthread_mutex_lock(&store.lock);
    int rc = set_locked(id, reviewer, (unsigned)stars, err);
    pthread_mutex_unlock(&store.lock);
    return rc;
}

uint64_t bk_ratings_version(void)
{
    pthread_mutex_lock(&store.lock);
    uint64_t version = store.version;
    pthread_mutex_unlock(&store.lock);
    return version;
}

void bk_ratings_watch(int eventfd)
{
    pthread_mutex_lock(&store.lock);
    if (store.num_watchers == store.cap_watchers) {
        store.cap_watchers += WATCHERS_STEP;
        store.watchers = xrealloc(store.watchers, store.cap_watchers * sizeof(*store.watchers));
    }
    store.watchers[store.num_watchers++] = eventfd;
    pthread_mutex_unlock(&store.lock);
}

void bk_ratings_unwatch(int eventfd)
{
    pthread_mutex_lock(&store.lock);
    for (size_t i = 0; i != store.num_watchers; i++)
        if (store.watchers[i] == eventfd) {
            store.watchers[i] = store.watchers[--store.num_watchers];
            break;
        }
    pthread_mutex_unlock(&store.lock);
}

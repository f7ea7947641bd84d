/* Each metric of each shard has a map from its joined label values to series, and a list of the series nobody
 * holds, the longest unused first. The lock is for the maps; the numbers in the series are single-writer and
 * read relaxed. */
#include "core/base/metrics.h"

#include "core/base/arena.h"
#include "core/base/hashmap.h"
#include "core/base/list.h"
#include "core/base/utf8.h"

#include <assert.h>
#include <pthread.h>

enum { DEFAULT_MAX_SERIES = 1000, KEY_MAX = METRIC_LABELS_MAX * (METRIC_VALUE_MAX + 1) };

struct series {
    struct metric metric; /* first: what callers hold */
    struct list idle; /* in family.idle while num_open is 0 */
    unsigned id, num_open;
    size_t key_len;
    char key[]; /* the label values, each followed by a NUL */
};

/* One metric of one shard. */
struct family {
    struct hashmap by_key; /* owns the series */
    struct series *other; /* owned, not in the map; NULL until needed */
    struct list idle;
};

struct metrics {
    const struct metric_desc *table; /* borrowed */
    unsigned num;
    pthread_mutex_t lock;
    struct family *families; /* owned, one for each row */
};

static unsigned num_labels(const struct metric_desc *desc)
{
    unsigned num = 0;
    while (num < METRIC_LABELS_MAX && desc->labels[num] != NULL)
        ++num;
    return num;
}

/* ---- series ---- */

/* Cut on a UTF-8 boundary; NULs, which separate values in keys, and bytes that are no UTF-8 become '?'. */
static size_t put_value(char *out, struct slice value)
{
    size_t len = 0;
    for (size_t i = 0; i < value.len;) {
        unsigned seq = utf8_seq_len(value.base + i, value.len - i);
        if (len + MAX(seq, 1u) > METRIC_VALUE_MAX)
            break;
        if (seq == 0 || value.base[i] == '\0')
            out[len++] = '?';
        else
            memcpy(out + len, value.base + i, seq), len += seq;
        i += MAX(seq, 1u);
    }
    return len;
}

static size_t join_key(char *out, const struct slice *values, unsigned num)
{
    size_t len = 0;
    for (unsigned i = 0; i < num; ++i) {
        len += put_value(out + len, values[i]);
        out[len++] = '\0';
    }
    return len;
}

static struct series *series_new(unsigned id, const char *key, size_t key_len)
{
    struct series *series = xcalloc(1, sizeof(*series) + key_len);
    series->id = id;
    list_init(&series->idle);
    series->key_len = key_len;
    memcpy(series->key, key, key_len);
    return series;
}

static struct series *series_free(struct series *series, enum metric_type type)
{
    if (series != NULL && type == METRIC_HISTOGRAM)
        histogram_clear(&series->metric.histogram);
    free(series);
    return NULL;
}

static struct series *other_of(struct metrics *metrics, unsigned id)
{
    struct family *family = &metrics->families[id];
    if (family->other == NULL) {
        char key[KEY_MAX];
        struct slice values[METRIC_LABELS_MAX];
        unsigned num = num_labels(&metrics->table[id]);
        for (unsigned i = 0; i < num; ++i)
            values[i] = SLICE("other");
        family->other = series_new(id, key, join_key(key, values, num));
    }
    return family->other;
}

/* What a series counted goes to "other". A gauge that nobody moves any more says nothing. */
static void fold(struct metrics *metrics, struct series *series)
{
    struct metric *other = &other_of(metrics, series->id)->metric;
    if (metrics->table[series->id].type == METRIC_COUNTER)
        metric_add(other, series->metric.count);
    else if (metrics->table[series->id].type == METRIC_HISTOGRAM)
        histogram_add(&other->histogram, &series->metric.histogram);
}

static bool make_room(struct metrics *metrics, unsigned id)
{
    struct family *family = &metrics->families[id];
    uint32_t max = metrics->table[id].max_series != 0 ? metrics->table[id].max_series : DEFAULT_MAX_SERIES;
    if (hashmap_len(&family->by_key) < max)
        return true;
    if (list_is_empty(&family->idle))
        return false;
    struct series *oldest = LIST_FIRST(&family->idle, struct series, idle);
    list_remove(&oldest->idle);
    hashmap_remove(&family->by_key, oldest->key, oldest->key_len);
    fold(metrics, oldest);
    series_free(oldest, metrics->table[id].type);
    return true;
}

static struct series *open_locked(struct metrics *metrics, unsigned id, const char *key, size_t key_len)
{
    struct family *family = &metrics->families[id];
    struct series *series = hashmap_get(&family->by_key, key, key_len);
    if (series == NULL && make_room(metrics, id)) {
        series = series_new(id, key, key_len);
        (void)hashmap_put(&family->by_key, series->key, key_len, series); /* there was none */
    }
    if (series == NULL)
        series = other_of(metrics, id);
    list_remove(&series->idle);
    ++series->num_open;
    return series;
}

struct metric *metrics_open(struct metrics *metrics, unsigned id, const struct slice *values)
{
    char key[KEY_MAX];
    assert(id < metrics->num);
    size_t key_len = join_key(key, values, num_labels(&metrics->table[id]));
    pthread_mutex_lock(&metrics->lock);
    struct series *series = open_locked(metrics, id, key, key_len);
    pthread_mutex_unlock(&metrics->lock);
    return &series->metric;
}

void metrics_close(struct metrics *metrics, struct metric *metric)
{
    if (metric == NULL)
        return;
    struct series *series = CONTAINER_OF(metric, struct series, metric);
    struct family *family = &metrics->families[series->id];
    assert(series->num_open > 0);
    pthread_mutex_lock(&metrics->lock);
    if (--series->num_open == 0 && series != family->other)
        list_push(&family->idle, &series->idle);
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_add(struct metrics *metrics, unsigned id, const struct slice *values, uint64_t n)
{
    struct metric *metric = metrics_open(metrics, id, values);
    metric_add(metric, n);
    metrics_close(metrics, metric);
}

struct metrics *metrics_new(const struct metric_desc *table, unsigned num)
{
    struct metrics *metrics = xcalloc(1, sizeof(*metrics));
    metrics->table = table;
    metrics->num = num;
    metrics->families = xcalloc(num, sizeof(*metrics->families));
    pthread_mutex_init(&metrics->lock, NULL);
    for (unsigned id = 0; id < num; ++id) {
        list_init(&metrics->families[id].idle);
        if (num_labels(&table[id]) == 0)
            (void)metrics_open(metrics, id, NULL); /* stays open: it exists from the start */
    }
    return metrics;
}

struct metrics *metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return NULL;
    for (unsigned id = 0; id < metrics->num; ++id) {
        struct family *family = &metrics->families[id];
        struct hashmap_slot *slot;
        for (size_t i = 0; (slot = hashmap_next(&family->by_key, &i)) != NULL;)
            series_free(slot->value, metrics->table[id].type);
        hashmap_clear(&family->by_key);
        series_free(family->other, metrics->table[id].type);
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics->families);
    free(metrics);
    return NULL;
}

/* ---- merging ---- */

struct merged {
    const char *key; /* in the arena */
    size_t key_len;
    uint64_t count;
    int64_t level;
    struct histogram histogram;
};

struct merge {
    const struct metric_desc *desc;
    struct arena *arena;
    struct hashmap by_key;
};

static void merge_series(struct merge *merge, const struct series *series)
{
    const struct metric *metric = &series->metric;
    struct merged *merged = hashmap_get(&merge->by_key, series->key, series->key_len);
    if (merged == NULL) {
        merged = arena_zalloc(merge->arena, sizeof(*merged));
        merged->key = arena_dup(merge->arena, series->key, series->key_len);
        merged->key_len = series->key_len;
        (void)hashmap_put(&merge->by_key, merged->key, merged->key_len, merged); /* there was none */
    }
    if (merge->desc->type == METRIC_COUNTER)
        merged->count += __atomic_load_n(&metric->count, __ATOMIC_RELAXED);
    else if (merge->desc->type == METRIC_GAUGE)
        merged->level += __atomic_load_n(&metric->level, __ATOMIC_RELAXED);
    else
        histogram_add(&merged->histogram, &metric->histogram);
}

static void merge_shard(struct merge *merge, struct metrics *shard, unsigned id)
{
    struct family *family = &shard->families[id];
    struct hashmap_slot *slot;
    pthread_mutex_lock(&shard->lock);
    for (size_t i = 0; (slot = hashmap_next(&family->by_key, &i)) != NULL;)
        merge_series(merge, slot->value);
    if (family->other != NULL)
        merge_series(merge, family->other);
    pthread_mutex_unlock(&shard->lock);
}

static int compare_merged(const void *a, const void *b)
{
    const struct merged *x = *(struct merged *const *)a, *y = *(struct merged *const *)b;
    int order = memcmp(x->key, y->key, MIN(x->key_len, y->key_len));
    return order != 0 ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static void show(const struct merged *merged, const struct metric_desc *desc, unsigned id,
                 metrics_cb on_series, void *data)
{
    struct slice values[METRIC_LABELS_MAX];
    const char *at = merged->key;
    for (unsigned i = 0, num = num_labels(desc); i < num; ++i) {
        values[i] = slice_of(at);
        at += values[i].len + 1;
    }
    struct metric_view view = {.desc = desc,
                               .id = id,
                               .values = values,
                               .count = merged->count,
                               .level = merged->level,
                               .histogram = &merged->histogram};
    on_series(&view, data);
}

static void each_of_family(struct metrics *const *shards, unsigned num_shards, unsigned id,
                           metrics_cb on_series, void *data)
{
    struct merge merge = {.desc = &shards[0]->table[id], .arena = arena_new(0), .by_key = HASHMAP_INIT};
    for (unsigned i = 0; i < num_shards; ++i)
        merge_shard(&merge, shards[i], id);

    size_t num = 0;
    struct merged **sorted = xcalloc(hashmap_len(&merge.by_key), sizeof(*sorted));
    struct hashmap_slot *slot;
    for (size_t i = 0; (slot = hashmap_next(&merge.by_key, &i)) != NULL;)
        sorted[num++] = slot->value;
    if (num != 0)
        qsort(sorted, num, sizeof(*sorted), compare_merged);
    for (size_t i = 0; i < num; ++i) {
        show(sorted[i], merge.desc, id, on_series, data);
        histogram_clear(&sorted[i]->histogram);
    }
    free(sorted);
    hashmap_clear(&merge.by_key);
    arena_free(merge.arena);
}

void metrics_each(struct metrics *const *shards, unsigned num, metrics_cb on_series, void *data)
{
    for (unsigned id = 0; num != 0 && id < shards[0]->num; ++id)
        each_of_family(shards, num, id, on_series, data);
}

/* The cache: per kind a sorted array of objects, a ring of recent changes, and the feed from the store's
 * writer.
 *
 * Arrays, not trees: a lookup is a binary search over one block, an insertion moves a few kilobytes, a list
 * is a run. The feed's message carries finished objects: the worker only puts pointers in place. */
#include "gateway/control/cache_private.h"

#include <assert.h>

/* ---------- kinds ---------- */

struct cache_kind *cache_kind_find(const struct ctl_cache *cache, struct slice name)
{
    return hashmap_get(&cache->by_name, name.base, name.len);
}

static int compare_kinds(const void *a, const void *b)
{
    const struct ctl_key left = {.kind = (*(struct cache_kind *const *)a)->name};
    const struct ctl_key right = {.kind = (*(struct cache_kind *const *)b)->name};
    return ctl_key_compare(&left, &right);
}

struct cache_kind *cache_kind_of(struct ctl_cache *cache, struct slice name)
{
    struct cache_kind *kind = cache_kind_find(cache, name);
    if (kind != NULL)
        return kind;
    kind = xcalloc(1, sizeof(*kind));
    kind->name = slice_make(xstrndup(name.base, name.len), name.len);
    kind->first_change = UINT64_MAX;
    list_init(&kind->watches);
    hashmap_put(&cache->by_name, kind->name.base, kind->name.len, kind);
    cache->kinds = xrealloc(cache->kinds, (cache->num_kinds + 1) * sizeof(*cache->kinds));
    cache->kinds[cache->num_kinds++] = kind;
    qsort(cache->kinds, cache->num_kinds, sizeof(*cache->kinds), compare_kinds);
    return kind;
}

static void kind_free(struct cache_kind *kind)
{
    assert(list_is_empty(&kind->watches));
    for (size_t i = 0; i < kind->num; ++i)
        ctl_object_unref(kind->objects[i]);
    free(kind->objects);
    free((char *)kind->name.base);
    free(kind);
}

/* ---------- objects ---------- */

size_t cache_position(const struct cache_kind *kind, struct slice ns, struct slice name)
{
    const struct ctl_key key = {kind->name, ns, name};
    size_t low = 0, high = kind->num;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        /* kinds are equal: compare the rest only */
        struct ctl_key at = {kind->name, kind->objects[middle]->key.ns, kind->objects[middle]->key.name};
        if (ctl_key_compare(&at, &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct ctl_object *object_at(const struct cache_kind *kind, size_t at, const struct ctl_key *key)
{
    if (at == kind->num || !slice_eq(kind->objects[at]->key.ns, key->ns) ||
        !slice_eq(kind->objects[at]->key.name, key->name))
        return NULL;
    return kind->objects[at];
}

struct ctl_object *ctl_cache_get(const struct ctl_cache *cache, const struct ctl_key *key)
{
    const struct cache_kind *kind = cache_kind_find(cache, key->kind);
    return kind != NULL ? object_at(kind, cache_position(kind, key->ns, key->name), key) : NULL;
}

static void insert(struct cache_kind *kind, size_t at, struct ctl_object *object)
{
    if (kind->num == kind->cap) {
        kind->cap = kind->cap != 0 ? kind->cap * 2 : 16;
        kind->objects = xrealloc(kind->objects, kind->cap * sizeof(*kind->objects));
    }
    memmove(&kind->objects[at + 1], &kind->objects[at], (kind->num - at) * sizeof(*kind->objects));
    kind->objects[at] = object;
    ++kind->num;
}

static void take_out(struct cache_kind *kind, size_t at)
{
    --kind->num;
    memmove(&kind->objects[at], &kind->objects[at + 1], (kind->num - at) * sizeof(*kind->objects));
}

/* Puts `after` (taken; NULL: delete) in place; returns what was there, its reference with it. */
static struct ctl_object *exchange(struct ctl_cache *cache, struct cache_kind *kind,
                                   const struct ctl_key *key, struct ctl_object *after)
{
    size_t at = cache_position(kind, key->ns, key->name);
    struct ctl_object *before = object_at(kind, at, key);
    cache->len += (after != NULL) - (size_t)(before != NULL);
    if (before == NULL && after != NULL)
        insert(kind, at, after);
    else if (before != NULL && after == NULL)
        take_out(kind, at);
    else if (before != NULL)
        kind->objects[at] = after;
    return before;
}

/* ---------- the ring ---------- */

static void ring_drop(struct ctl_cache *cache)
{
    struct cache_change *oldest = cache_change_at(cache, cache->ring_start++);
    cache->ring_floor = oldest->rev;
    if (oldest->before != NULL)
        cache->ring_bytes -= oldest->before->json.len;
    ctl_object_unref(oldest->before);
    ctl_object_unref(oldest->after);
}

/* Takes the references. */
static void ring_add(struct ctl_cache *cache, const struct cache_change *change)
{
    if (cache->ring_end - cache->ring_start == cache->ring_size)
        ring_drop(cache);
    *cache_change_at(cache, cache->ring_end++) = *change;
    if (change->before != NULL)
        cache->ring_bytes += change->before->json.len;
    while (cache->ring_bytes > CACHE_RING_BYTES && cache->ring_end - cache->ring_start > 1)
        ring_drop(cache);
}

/* ---------- the feed ---------- */

struct feed_change {
    uint64_t rev;
    bool is_delete, is_status;
    struct ctl_object *object; /* owned; of a delete the last state */
};

struct feed {
    struct net_message message;
    struct ctl_cache *cache;
    size_t num;
    struct feed_change changes[];
};

static void apply_one(struct ctl_cache *cache, struct feed_change *change, struct ctl_applied *ret)
{
    struct cache_kind *kind = cache_kind_of(cache, change->object->key.kind);
    struct ctl_object *after = change->is_delete ? NULL : ctl_object_ref(change->object);
    struct ctl_object *before = exchange(cache, kind, &change->object->key, after);
    if (kind->first_change == UINT64_MAX)
        kind->first_change = cache->ring_end;
    struct cache_change entry = {change->rev, change->is_status, kind, before,
                                 after != NULL ? ctl_object_ref(after) : NULL};
    ring_add(cache, &entry);
    *ret =
        (struct ctl_applied){change->rev, change->is_status, before != NULL ? ctl_object_ref(before) : NULL,
                             after != NULL ? ctl_object_ref(after) : NULL};
    cache->rev = change->rev;
}

static void tell(struct ctl_cache *cache, const struct ctl_applied *applied, size_t num)
{
    for (size_t i = 0; i < cache->num_kinds; ++i) {
        if (cache->kinds[i]->first_change == UINT64_MAX)
            continue;
        cache_wake(cache, cache->kinds[i]);
        cache->kinds[i]->first_change = UINT64_MAX;
    }
    LIST_FOR_SAFE(listener, &cache->listeners, struct ctl_listener, link)
    listener->run(listener, applied, num);
}

static void run_feed(struct net_message *message, struct net_worker *worker)
{
    struct feed *feed = CONTAINER_OF(message, struct feed, message);
    struct ctl_applied *applied = xcalloc(feed->num, sizeof(*applied));
    size_t num = 0;
    for (size_t i = 0; i < feed->num; ++i) {
        if (feed->changes[i].rev > feed->cache->rev ||
            num != 0) /* else: was there when everything was read */
            apply_one(feed->cache, &feed->changes[i], &applied[num++]);
        ctl_object_unref(feed->changes[i].object);
    }
    if (num != 0)
        tell(feed->cache, applied, num);
    for (size_t i = 0; i < num; ++i) {
        ctl_object_unref(applied[i].before);
        ctl_object_unref(applied[i].after);
    }
    free(applied);
    free(feed);
}

void ctl_cache_on_commit(void *data, const struct ctl_change *changes, size_t num)
{
    struct ctl_cache *cache = data;
    struct feed *feed = xcalloc(1, sizeof(*feed) + num * sizeof(feed->changes[0]));
    feed->message.run = run_feed;
    feed->cache = cache;
    feed->num = num;
    for (size_t i = 0; i < num; ++i)
        feed->changes[i] =
            (struct feed_change){changes[i].rev, changes[i].op == CTL_DELETE, changes[i].is_status,
                                 ctl_object_new(&changes[i].key, changes[i].rev, changes[i].object)};
    net_worker_send(cache->worker, &feed->message);
}

uint64_t ctl_cache_min_needed_rev(void *data)
{
    return ((struct ctl_cache *)data)->min_needed;
}

/* ---------- lifecycle ---------- */

struct ctl_cache *ctl_cache_new(struct net_worker *worker, size_t ring)
{
    struct ctl_cache *cache = xcalloc(1, sizeof(*cache));
    cache->worker = worker;
    cache->ring_size = ring != 0 ? ring : CACHE_RING;
    cache->ring = xcalloc(cache->ring_size, sizeof(*cache->ring));
    cache->min_needed = UINT64_MAX;
    list_init(&cache->listeners);
    list_init(&cache->resuming);
    return cache;
}

struct ctl_cache *ctl_cache_free(struct ctl_cache *cache)
{
    if (cache == NULL)
        return NULL;
    while (cache->ring_start != cache->ring_end)
        ring_drop(cache);
    for (size_t i = 0; i < cache->num_kinds; ++i)
        kind_free(cache->kinds[i]);
    hashmap_clear(&cache->by_name);
    free(cache->kinds);
    free(cache->ring);
    free(cache);
    return NULL;
}

static int load_one(const struct ctl_change *row, void *data)
{
    struct ctl_cache *cache = data;
    struct cache_kind *kind = cache_kind_of(cache, row->key.kind);
    insert(kind, kind->num, ctl_object_new(&row->key, row->rev, row->object)); /* rows come in our order */
    ++cache->len;
    return 0;
}

int ctl_cache_load(struct ctl_cache *cache, struct ctl_store *store, struct err *err)
{
    assert(cache->store == NULL);
    cache->store = store;
    if (ctl_store_read_all(store, load_one, cache, &cache->rev, err) != 0)
        return err_wrap(err, "load the objects");
    cache->ring_floor = cache->rev;
    return 0;
}

uint64_t ctl_cache_rev(const struct ctl_cache *cache)
{
    return cache->rev;
}

size_t ctl_cache_len(const struct ctl_cache *cache)
{
    return cache->len;
}

void ctl_cache_listen(struct ctl_cache *cache, struct ctl_listener *listener)
{
    list_push(&cache->listeners, &listener->link);
}

void ctl_cache_unlisten(struct ctl_listener *listener)
{
    list_remove(&listener->link);
}

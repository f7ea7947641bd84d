/* What cache.c (objects at head, the feed), list.c and watch.c share. Nobody else includes this. */
#ifndef SELVEDGE_CONTROL_CACHE_PRIVATE_H
#define SELVEDGE_CONTROL_CACHE_PRIVATE_H

#include "core/base/hashmap.h"
#include "core/net/worker.h"
#include "gateway/control/cache.h"

enum { CACHE_RING = 8192, CACHE_RING_BYTES = 32 << 20, CACHE_RESUME_MAX = 10000, CACHE_RESUME_BYTES = 32 << 20 };

/* The objects of one kind in order, and who watches them. Made on first use, kept for ever: kinds are few. */
struct cache_kind {
    struct slice name; /* owned */
    struct ctl_object **objects; /* by namespace and name; owned references */
    size_t num, cap;
    struct list watches; /* of struct ctl_watch */
    uint64_t first_change; /* index of its first change in the group being applied; UINT64_MAX: none */
};

struct cache_change {
    uint64_t rev;
    bool is_status;
    struct cache_kind *kind;
    struct ctl_object *before, *after; /* owned references */
};

struct ctl_cache {
    struct net_worker *worker;  /* borrowed */
    struct ctl_store *store;    /* borrowed */
    struct hashmap by_name;     /* of struct cache_kind */
    struct cache_kind **kinds;  /* by name */
    size_t num_kinds, len;
    uint64_t rev;
    struct cache_change *ring;  /* change i is at i % ring_size */
    size_t ring_size, ring_bytes;
    uint64_t ring_start, ring_end;
    uint64_t ring_floor;        /* every change above this revision is in the ring */
    struct list listeners;      /* of struct ctl_listener */
    struct list resuming;       /* of struct ctl_watch: a job reads the change log for them */
    _Atomic uint64_t min_needed;
};

struct cache_kind *cache_kind_of(struct ctl_cache *cache, struct slice name); /* makes it */
struct cache_kind *cache_kind_find(const struct ctl_cache *cache, struct slice name); /* NULL when never used */
/* First position not before (ns, name). */
size_t cache_position(const struct cache_kind *kind, struct slice ns, struct slice name);
static inline struct cache_change *cache_change_at(const struct ctl_cache *cache, uint64_t index)
{
    return &cache->ring[index % cache->ring_size];
}
/* watch.c: the changes from `kind->first_change` on concern these watches. */
void cache_wake(struct ctl_cache *cache, struct cache_kind *kind);

#endif

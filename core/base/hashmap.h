/* Hash map from byte strings to pointers: open addressing, keys borrowed from the values.
 *
 * Hash: keyed SipHash-1-3-like mix with a per-process random key (foreign keys must not choose their bucket).
 * Threads: none shared; a map nobody changes may be read by many. Ownership: keys and values stay the caller's.
 * Errors: out of memory aborts. Iteration order is unspecified. */
#ifndef SELVEDGE_BASE_HASHMAP_H
#define SELVEDGE_BASE_HASHMAP_H

#include "core/base/defs.h"

struct hashmap_slot {
    const char *key;
    uint32_t key_len;
    uint32_t hash; /* 0 empty, 1 deleted */
    void *value;
};

struct hashmap {
    struct hashmap_slot *slots;
    uint32_t num_slots, num_used, num_live;
};

#define HASHMAP_INIT ((struct hashmap){NULL, 0, 0, 0})

void hashmap_clear(struct hashmap *map);
/* Returns the value that was there before, or NULL. `key` must live as long as the entry. */
void *hashmap_put(struct hashmap *map, const char *key, size_t len, void *value);
void *hashmap_get(const struct hashmap *map, const char *key, size_t len);
void *hashmap_remove(struct hashmap *map, const char *key, size_t len);
static inline size_t hashmap_len(const struct hashmap *map)
{
    return map->num_live;
}
static inline void *hashmap_gets(const struct hashmap *map, const char *key)
{
    return hashmap_get(map, key, strlen(key));
}
static inline void *hashmap_puts(struct hashmap *map, const char *key, void *value)
{
    return hashmap_put(map, key, strlen(key), value);
}
/* `for (size_t i = 0; (slot = hashmap_next(map, &i)) != NULL;)`; the map must not change meanwhile. */
struct hashmap_slot *hashmap_next(const struct hashmap *map, size_t *at);

/* Random per process: for tables. Not stable, not for anything that leaves the process. */
uint64_t hash_bytes(const void *bytes, size_t len);
/* Stable on every machine and version (FNV-1a 64 with a final avalanche): cohort buckets, view sums, file names. */
uint64_t hash_stable(uint64_t seed, const void *bytes, size_t len);

#endif

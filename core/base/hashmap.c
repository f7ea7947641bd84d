/* Open addressing with linear probing, at most 3/4 full. The hash is SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast
 * short-input PRF", 2012) under a random key, so that nobody outside can make keys collide on purpose. */
#include "core/base/hashmap.h"

#include <pthread.h>
#include <sys/random.h>

enum { EMPTY = 0, DELETED = 1, FIRST_SLOTS = 16 };

static uint64_t sip_key[2];

static void draw_key(void)
{
    if (getrandom(sip_key, sizeof(sip_key), 0) != (ssize_t)sizeof(sip_key))
        abort(); /* no randomness: nothing else here could be trusted either */
}

static inline uint64_t rotl(uint64_t x, int b)
{
    return (x << b) | (x >> (64 - b));
}

#define SIP_ROUND                                                                                            \
    do {                                                                                                     \
        v0 += v1, v1 = rotl(v1, 13) ^ v0, v0 = rotl(v0, 32);                                                 \
        v2 += v3, v3 = rotl(v3, 16) ^ v2;                                                                    \
        v0 += v3, v3 = rotl(v3, 21) ^ v0;                                                                    \
        v2 += v1, v1 = rotl(v1, 17) ^ v2, v2 = rotl(v2, 32);                                                 \
    } while (0)

uint64_t hash_bytes(const void *bytes, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_key);
    uint64_t v0 = sip_key[0] ^ 0x736f6d6570736575ull, v1 = sip_key[1] ^ 0x646f72616e646f6dull;
    uint64_t v2 = sip_key[0] ^ 0x6c7967656e657261ull, v3 = sip_key[1] ^ 0x7465646279746573ull;
    const unsigned char *in = bytes;
    uint64_t word, last = (uint64_t)len << 56;
    for (; len >= 8; in += 8, len -= 8) {
        memcpy(&word, in, 8);
        v3 ^= word;
        SIP_ROUND;
        v0 ^= word;
    }
    for (size_t i = 0; i < len; ++i)
        last |= (uint64_t)in[i] << (8 * i);
    v3 ^= last;
    SIP_ROUND;
    v0 ^= last;
    v2 ^= 0xff;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

uint64_t hash_stable(uint64_t seed, const void *bytes, size_t len)
{
    const unsigned char *in = bytes;
    uint64_t h = 0xcbf29ce484222325ull ^ seed;
    for (size_t i = 0; i < len; ++i)
        h = (h ^ in[i]) * 0x100000001b3ull;
    /* FNV's high bits are weak for short keys; this is the finalizer of SplitMix64. */
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
    return h ^ (h >> 31);
}

static uint32_t slot_hash(const char *key, size_t len)
{
    uint32_t h = (uint32_t)hash_bytes(key, len);
    return h > DELETED ? h : h + 2;
}

static struct hashmap_slot *find(const struct hashmap *map, const char *key, size_t len, uint32_t hash)
{
    if (map->num_slots == 0)
        return NULL;
    for (uint32_t i = hash & (map->num_slots - 1);; i = (i + 1) & (map->num_slots - 1)) {
        struct hashmap_slot *slot = &map->slots[i];
        if (slot->hash == EMPTY)
            return NULL;
        if (slot->hash == hash && slot->key_len == len && (len == 0 || memcmp(slot->key, key, len) == 0))
            return slot;
    }
}

static void insert_new(struct hashmap *map, const char *key, size_t len, uint32_t hash, void *value)
{
    uint32_t i = hash & (map->num_slots - 1);
    while (map->slots[i].hash > DELETED)
        i = (i + 1) & (map->num_slots - 1);
    if (map->slots[i].hash == EMPTY)
        ++map->num_used;
    map->slots[i] = (struct hashmap_slot){key, (uint32_t)len, hash, value};
    ++map->num_live;
}

static void rehash(struct hashmap *map)
{
    struct hashmap_slot *old = map->slots;
    uint32_t num_old = map->num_slots;
    map->num_slots = FIRST_SLOTS;
    while (map->num_slots < map->num_live * 2 + 2)
        map->num_slots *= 2;
    map->slots = xcalloc(map->num_slots, sizeof(*map->slots));
    map->num_used = map->num_live = 0;
    for (uint32_t i = 0; i < num_old; ++i)
        if (old[i].hash > DELETED)
            insert_new(map, old[i].key, old[i].key_len, old[i].hash, old[i].value);
    free(old);
}

void hashmap_clear(struct hashmap *map)
{
    free(map->slots);
    *map = HASHMAP_INIT;
}

void *hashmap_put(struct hashmap *map, const char *key, size_t len, void *value)
{
    uint32_t hash = slot_hash(key, len);
    struct hashmap_slot *slot = find(map, key, len, hash);
    if (slot != NULL) {
        void *old = slot->value;
        slot->key = key;
        slot->value = value;
        return old;
    }
    if ((map->num_used + 1) * 4 > map->num_slots * 3)
        rehash(map);
    insert_new(map, key, len, hash, value);
    return NULL;
}

void *hashmap_get(const struct hashmap *map, const char *key, size_t len)
{
    if (map->num_live == 0)
        return NULL;
    struct hashmap_slot *slot = find(map, key, len, slot_hash(key, len));
    return slot != NULL ? slot->value : NULL;
}

void *hashmap_remove(struct hashmap *map, const char *key, size_t len)
{
    struct hashmap_slot *slot = find(map, key, len, slot_hash(key, len));
    if (slot == NULL)
        return NULL;
    void *old = slot->value;
    *slot = (struct hashmap_slot){.hash = DELETED};
    --map->num_live;
    return old;
}

struct hashmap_slot *hashmap_next(const struct hashmap *map, size_t *at)
{
    while (*at < map->num_slots) {
        struct hashmap_slot *slot = &map->slots[(*at)++];
        if (slot->hash > DELETED)
            return slot;
    }
    return NULL;
}

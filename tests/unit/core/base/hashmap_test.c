#include "core/base/hashmap.h"
#include "core/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { NUM_KEYS = 300 };

/* Against a plain array, through many rounds of putting and removing. */
static void it_agrees_with_a_model(void **state)
{
    static char keys[NUM_KEYS][16];
    static int marks[2 * NUM_KEYS];
    void *model[NUM_KEYS] = {NULL};
    size_t num_live = 0;
    struct hashmap map = HASHMAP_INIT;
    struct rng rng = {3};
    for (int i = 0; i < NUM_KEYS; ++i)
        snprintf(keys[i], sizeof(keys[i]), "k%d", i);
    for (int step = 0; step < 100000; ++step) {
        size_t i = rng_below(&rng, NUM_KEYS);
        size_t len = strlen(keys[i]);
        bool is_filling = step / 5000 % 2 == 0;
        if (rng_below(&rng, 10) < (is_filling ? 7u : 3u)) {
            void *value = &marks[rng_below(&rng, ARRAY_LEN(marks))];
            num_live += model[i] == NULL;
            assert_ptr_equal(hashmap_put(&map, keys[i], len, value), model[i]);
            model[i] = value;
        } else {
            num_live -= model[i] != NULL;
            assert_ptr_equal(hashmap_remove(&map, keys[i], len), model[i]);
            model[i] = NULL;
        }
        assert_int_equal(hashmap_len(&map), num_live);
        i = rng_below(&rng, NUM_KEYS);
        assert_ptr_equal(hashmap_gets(&map, keys[i]), model[i]);
    }
    size_t num_seen = 0;
    struct hashmap_slot *slot;
    for (size_t at = 0; (slot = hashmap_next(&map, &at)) != NULL; ++num_seen)
        assert_ptr_equal(slot->value, model[atoi(slot->key + 1)]);
    assert_int_equal(num_seen, num_live);
    assert_true(map.num_slots <= 2048); /* removing and putting again does not make it grow */
    hashmap_clear(&map);
    assert_int_equal(hashmap_len(&map), 0);
}

static void an_empty_map_holds_nothing(void **state)
{
    struct hashmap map = HASHMAP_INIT;
    size_t at = 0;
    assert_null(hashmap_gets(&map, "a"));
    assert_null(hashmap_remove(&map, "a", 1));
    assert_null(hashmap_next(&map, &at));
    hashmap_clear(&map);
}

static void keys_are_bytes(void **state)
{
    struct hashmap map = HASHMAP_INIT;
    int a, b, c;
    assert_null(hashmap_put(&map, "x\0y", 3, &a));
    assert_null(hashmap_put(&map, "x\0z", 3, &b));
    assert_null(hashmap_put(&map, "", 0, &c));
    assert_ptr_equal(hashmap_get(&map, "x\0y", 3), &a);
    assert_ptr_equal(hashmap_get(&map, "x\0z", 3), &b);
    assert_null(hashmap_get(&map, "x", 1));
    assert_ptr_equal(hashmap_get(&map, "", 0), &c);
    hashmap_clear(&map);
}

/* Cohorts and file names depend on it: these numbers never change. */
static void the_stable_hash_is_stable(void **state)
{
    assert_true(hash_stable(0, "", 0) == hash_stable(0, "", 0));
    assert_true(hash_stable(0, "a", 1) != hash_stable(1, "a", 1));
    assert_true(hash_stable(0, "", 0) == 0xf52a15e9a9b5e89bull);
    assert_true(hash_stable(0, "selvedge", 8) == 0xcd31b9638966bfc2ull);
    unsigned buckets[10] = {0};
    for (unsigned i = 0; i < 10000; ++i)
        ++buckets[hash_stable(7, &i, sizeof(i)) % 10];
    for (size_t i = 0; i < ARRAY_LEN(buckets); ++i)
        assert_true(buckets[i] > 850 && buckets[i] < 1150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_model),
        cmocka_unit_test(an_empty_map_holds_nothing),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(the_stable_hash_is_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

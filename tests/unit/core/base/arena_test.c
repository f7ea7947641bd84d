#include "core/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void allocations_are_aligned_and_apart(void **state)
{
    static const size_t hints[] = {0, 1, 64, 100000};
    for (size_t h = 0; h < ARRAY_LEN(hints); ++h) {
        struct arena *arena = arena_new(hints[h]);
        unsigned char *got[500];
        size_t sizes[500];
        for (size_t i = 0; i < ARRAY_LEN(got); ++i) {
            sizes[i] = i % 50 == 49 ? 3000 * i : i * 7 % 90;
            got[i] = arena_alloc(arena, sizes[i]);
            assert_int_equal((uintptr_t)got[i] % 16, 0);
            memset(got[i], (int)(i & 0xff), sizes[i]);
        }
        for (size_t i = 0; i < ARRAY_LEN(got); ++i)
            for (size_t j = 0; j < sizes[i]; ++j)
                assert_int_equal(got[i][j], i & 0xff);
        assert_true(arena_used(arena) > 500 * 7);
        assert_null(arena_free(arena));
    }
    assert_null(arena_free(NULL));
}

static void texts_are_copied_and_terminated(void **state)
{
    struct arena *arena = arena_new(0);
    char text[] = "hello";
    char *copy = arena_strdup(arena, text), *part = arena_strndup(arena, text, 3);
    struct slice slice = arena_slice(arena, slice_make(text, 4)),
                 empty = arena_slice(arena, (struct slice){NULL, 0});
    memset(text, 'x', 5);
    assert_string_equal(copy, "hello");
    assert_string_equal(part, "hel");
    assert_string_equal(slice.base, "hell");
    assert_string_equal(empty.base, "");
    assert_string_equal(arena_printf(arena, "%s-%d", "a", 7), "a-7");
    char *zeros = arena_zalloc(arena, 100);
    for (int i = 0; i < 100; ++i)
        assert_int_equal(zeros[i], 0);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_apart),
        cmocka_unit_test(texts_are_copied_and_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

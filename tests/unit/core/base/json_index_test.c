#include "core/base/json_index.h"

#include "tests/unit/lib/json_fixture.h"

static struct json *make(unsigned num)
{
    struct json *object = json_new_object(arena);
    for (unsigned i = 0; i < num; ++i)
        json_add_n(arena, object, slice_of(arena_printf(arena, "m%u", i)), json_new_int(arena, i));
    return object;
}

static void assert_value(struct json_index *index, unsigned name)
{
    const struct json *member = json_index_get(index, slice_of(arena_printf(arena, "m%u", name)));
    assert_int_equal(json_int_or(member, -1), name);
}

/* Small and large objects are searched in different ways. */
static void members_are_found_in_any_order(void **state)
{
    static const unsigned sizes[] = {1, 16, 17, 1000};
    for (size_t s = 0; s < ARRAY_LEN(sizes); ++s) {
        struct json_index index;
        json_index_init(&index, make(sizes[s]));
        for (unsigned i = 0; i < sizes[s]; ++i)
            assert_value(&index, i);
        assert_null(json_index_get(&index, SLICE("n")));
        for (unsigned i = sizes[s]; i > 0; --i)
            assert_value(&index, i - 1);
        json_index_clear(&index);
    }
}

static void nothing_is_found_in_what_is_no_object(void **state)
{
    struct json_index index;
    json_index_init(&index, NULL);
    assert_null(json_index_get(&index, SLICE("a")));
    json_index_init(&index, must_parse("[1]"));
    assert_null(json_index_get(&index, SLICE("")));
    json_index_clear(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_are_found_in_any_order, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(nothing_is_found_in_what_is_no_object, arena_setup, arena_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

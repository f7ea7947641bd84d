/* One arena at a time: cmocka runs tests one after the other. */
#include "tests/unit/lib/json_fixture.h"

struct arena *arena;

int arena_setup(void **state)
{
    arena = arena_new(0);
    return 0;
}

int arena_teardown(void **state)
{
    arena = arena_free(arena);
    return 0;
}

struct json *must_parse(const char *text)
{
    struct err err = ERR_INIT;
    struct json *tree = json_parse(arena, slice_of(text), &err);
    if (tree == NULL)
        fail_msg("%s: %s", text, err.text);
    return tree;
}

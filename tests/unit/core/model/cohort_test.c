#include "core/model/cohort.h"

#include "tests/unit/lib/json_fixture.h"

static void sources_are_read_in_order(void **state)
{
    struct cfg_cohort_source *sources;
    struct err err = ERR_INIT;
    uint32_t num;
    assert_int_equal(cohort_parse(arena, SLICE("cookie:Session , header:X-User-Id,client"), &sources, &num, &err), 0);
    assert_int_equal(num, 3);
    assert_int_equal(sources[0].from, CFG_COHORT_COOKIE);
    assert_string_equal(arena_strndup(arena, sources[0].name.base, sources[0].name.len), "Session"); /* cookies have case */
    assert_int_equal(sources[1].from, CFG_COHORT_HEADER);
    assert_string_equal(arena_strndup(arena, sources[1].name.base, sources[1].name.len), "x-user-id");
    assert_int_equal(sources[2].from, CFG_COHORT_CLIENT);
    assert_null(sources[2].name.base);
}

static void what_is_no_source_is_refused_by_its_text(void **state)
{
    static const char *const bad[] = {"", " ", "cooky:a", "cookie:", "header:", "header:a b", "cookie:a;b", "client:x", "CLIENT", "client,,client", "client,",
                                      "header:\xc3\xa9", "client,client,client,client,client,client,client,client,client"};
    struct cfg_cohort_source *sources;
    uint32_t num;
    for (size_t i = 0; i < ARRAY_LEN(bad); ++i) {
        struct err err = ERR_INIT;
        if (cohort_parse(arena, slice_of(bad[i]), &sources, &num, &err) == 0)
            fail_msg("'%s' was accepted", bad[i]);
    }
    struct err err = ERR_INIT;
    assert_int_equal(cohort_parse(arena, SLICE("client, cooky:a"), &sources, &num, &err), -1);
    assert_string_equal(err.text, "\"cooky:a\" is not cookie:NAME, header:NAME or client");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sources_are_read_in_order, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_source_is_refused_by_its_text, arena_setup, arena_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sets of host names against the rule, pair by pair: equal, or one is a wildcard that covers the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/control/compile_internal.h"

static const char *const hostnames[] = {"a.b.c", "b.c", "*.b.c", "*.c", "c", "*.a.b.c", "xb.c", "*.xb.c", "d.a.b.c", "*.d"};

static bool covers(const char *wide, const char *narrow)
{
    size_t wide_len = strlen(wide), narrow_len = strlen(narrow);
    return strncmp(wide, "*.", 2) == 0 && narrow_len > wide_len - 1 && strcmp(narrow + narrow_len - (wide_len - 1), wide + 1) == 0;
}

static void two_names_meet_by_the_rule(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(hostnames); ++i)
        for (size_t j = 0; j < ARRAY_LEN(hostnames); ++j) {
            struct comp_names names = {0};
            struct slice one = slice_of(hostnames[i]), other = slice_of(hostnames[j]);
            bool should = strcmp(hostnames[i], hostnames[j]) == 0 || covers(hostnames[i], hostnames[j]) || covers(hostnames[j], hostnames[i]);
            comp_names_add(&names, &one, 1);
            if (comp_names_meet(&names, &other, 1) != should)
                fail_msg("%s and %s: %s", hostnames[i], hostnames[j], should ? "meet" : "do not meet");
            comp_names_clear(&names);
        }
}

static void no_names_are_any_and_meet_whatever_is_there(void **state)
{
    struct comp_names none = {0}, any = {0}, one = {0};
    struct slice name = SLICE("a.b");
    comp_names_add(&any, NULL, 0);
    comp_names_add(&one, &name, 1);
    assert_false(comp_names_meet(&none, NULL, 0));
    assert_false(comp_names_meet(&none, &name, 1));
    assert_true(comp_names_meet(&any, &name, 1));
    assert_true(comp_names_meet(&any, NULL, 0));
    assert_true(comp_names_meet(&one, NULL, 0));
    comp_names_clear(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_names_meet_by_the_rule),
        cmocka_unit_test(no_names_are_any_and_meet_whatever_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

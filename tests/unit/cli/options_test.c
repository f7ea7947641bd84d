#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct arena *arena;

/* Reads all words as options; -1 at the first that is refused. */
static int read_all(const char *names, struct cli_options *options, struct err *err, int argc, char **argv)
{
    *options = (struct cli_options){0};
    for (int at = 0; at < argc;)
        if (cli_read_option(arena, argc, argv, &at, names, options, err) != 0)
            return -1;
    return 0;
}

#define READ(names, options, err, ...)                                                                       \
    read_all(names, options, err, ARRAY_LEN(((char *[]){__VA_ARGS__})), (char *[]){__VA_ARGS__})

static void all_ways_of_giving_a_value(void **state)
{
    struct cli_options options;
    struct err err = ERR_INIT;
    static const struct {
        char *words[2];
        int num;
    } ways[] = {{{"--namespace", "shop"}, 2}, {{"--namespace=shop"}, 1}, {{"-n", "shop"}, 2}, {{"-nshop"}, 1}, {{"-n=shop"}, 1}};
    for (size_t i = 0; i < ARRAY_LEN(ways); ++i) {
        char *words[2] = {ways[i].words[0], ways[i].words[1]};
        assert_int_equal(read_all("", &options, &err, ways[i].num, words), 0);
        assert_string_equal(options.ns, "shop");
    }
}

static void letters_of_flags_may_stand_together(void **state)
{
    struct cli_options options;
    struct err err = ERR_INIT;
    assert_int_equal(READ("all-namespaces watch output", &options, &err, "-Awoyaml"), 0);
    assert_true(options.all_namespaces && options.watch);
    assert_string_equal(options.output, "yaml");
}

static void lists_collect_in_order(void **state)
{
    struct cli_options options;
    struct err err = ERR_INIT;
    assert_int_equal(READ("filename", &options, &err, "-f", "a", "--filename=b", "-f", "-"), 0);
    assert_int_equal(options.files.num, 3);
    assert_string_equal(options.files.items[0], "a");
    assert_string_equal(options.files.items[1], "b");
    assert_string_equal(options.files.items[2], "-");
}

static void flags_take_the_values_kubectl_gives(void **state)
{
    struct cli_options options;
    struct err err = ERR_INIT;
    assert_int_equal(READ("dry-run", &options, &err, "--dry-run=server"), 0);
    assert_true(options.dry_run);
    assert_int_equal(READ("dry-run", &options, &err, "--dry-run=none"), 0);
    assert_false(options.dry_run);
}

static void what_is_wrong_is_named(void **state)
{
    struct cli_options options;
    struct err err = ERR_INIT;
    assert_int_equal(READ("filename", &options, &err, "--nothing"), -1);
    assert_string_equal(err.text, "there is no option --nothing");
    assert_int_equal(READ("filename", &options, &err, "-f"), -1);
    assert_string_equal(err.text, "option -f needs its FILE|DIR|-");
    assert_int_equal(READ("filename", &options, &err, "--watch"), -1);
    assert_string_equal(err.text, "option --watch is not taken here");
    assert_int_equal(READ(NULL, &options, &err, "-w"), -1);
    assert_string_equal(err.text, "option -w stands behind the verb");
    assert_int_equal(READ("limit", &options, &err, "--limit=x"), -1);
    assert_string_equal(err.text, "--limit: \"x\" is no number");
    assert_int_equal(READ("limit", &options, &err, "--limit=-1"), -1);
    assert_int_equal(READ("timeout", &options, &err, "--timeout", "soon"), -1);
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"30s", 30000}, {"500ms", 500}, {"5m", 300000}, {"1h30m", 5400000}, {"12h", 43200000}, {"30d", 2592000000}, {"1w", 604800000}};
    static const char *const bad[] = {"", "5", "s", "5y", "-5s", "5s ", "1.5h", "99999999999999999999h"};
    uint64_t ms;
    for (size_t i = 0; i < ARRAY_LEN(good); ++i) {
        assert_int_equal(cli_parse_duration(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); ++i)
        assert_int_equal(cli_parse_duration(bad[i], &ms), -1);
}

static void no_two_options_share_a_name_or_letter(void **state)
{
    for (size_t i = 0; i < cli_num_options; ++i)
        for (size_t j = 0; j < i; ++j) {
            assert_string_not_equal(cli_option_table[i].name, cli_option_table[j].name);
            assert_false(cli_option_table[i].letter != 0 && cli_option_table[i].letter == cli_option_table[j].letter);
        }
}

static int make_arena(void **state)
{
    arena = arena_new(0);
    return 0;
}

static int free_arena(void **state)
{
    arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_ways_of_giving_a_value),
        cmocka_unit_test(letters_of_flags_may_stand_together),
        cmocka_unit_test(lists_collect_in_order),
        cmocka_unit_test(flags_take_the_values_kubectl_gives),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(durations),
        cmocka_unit_test(no_two_options_share_a_name_or_letter),
    };
    return cmocka_run_group_tests(tests, make_arena, free_arena);
}

#include "cli/table.h"

#include "tests/unit/cli/cli_fixture.h"

static struct cli_table *two_columns(struct cli *cli)
{
    struct cli_table *table = cli_table_new(cli);
    cli_table_column(table, "Name");
    cli_table_column(table, "Age");
    return table;
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    struct cli_fixture fixture;
    struct cli_table *table = two_columns(cli_fixture_open(&fixture));
    cli_table_text(table, "a-long-name");
    cli_table_text(table, "5s");
    cli_table_text(table, "b");
    cli_table_text(table, NULL);
    assert_int_equal(cli_table_rows(table), 2);
    cli_table_print(table, true);
    assert_string_equal(cli_fixture_out(&fixture), "NAME          AGE\n"
                                                   "a-long-name   5s\n"
                                                   "b             <none>\n");
    cli_fixture_close(&fixture);
}

static void characters_count_not_bytes(void **state)
{
    struct cli_fixture fixture;
    struct cli_table *table = two_columns(cli_fixture_open(&fixture));
    cli_table_text(table, "größe");
    cli_table_text(table, "x");
    cli_table_print(table, false);
    assert_string_equal(cli_fixture_out(&fixture), "größe   x\n");
    cli_fixture_close(&fixture);
}

static void what_objects_hold_cannot_move_the_cursor(void **state)
{
    struct cli_fixture fixture;
    struct cli_table *table = two_columns(cli_fixture_open(&fixture));
    cli_table_text(table, "a\033[2Jb\n");
    cli_table_text(table, "\xc2\x9b" "1A");
    cli_table_print(table, false);
    assert_string_equal(cli_fixture_out(&fixture), "a?[2Jb?   ??1A\n");
    cli_fixture_close(&fixture);
}

static void printing_again_writes_only_what_is_new_under_one_title(void **state)
{
    struct cli_fixture fixture;
    struct cli_table *table = two_columns(cli_fixture_open(&fixture));
    cli_table_text(table, "one");
    cli_table_text(table, "1");
    cli_table_print(table, true);
    cli_table_text(table, "two");
    cli_table_text(table, "2");
    cli_table_print(table, true);
    cli_table_print(table, true);
    assert_string_equal(cli_fixture_out(&fixture), "NAME   AGE\none    1\ntwo    2\n");
    cli_fixture_close(&fixture);
}

static void colours_do_not_count_as_width(void **state)
{
    struct cli_fixture fixture;
    struct cli *cli = cli_fixture_open(&fixture);
    cli->is_colored = true;
    struct cli_table *table = two_columns(cli);
    cli_table_cell(table, CLI_GREEN, SLICE("True"));
    cli_table_text(table, "x");
    cli_table_print(table, false);
    assert_string_equal(cli_fixture_out(&fixture), "\033[32mTrue\033[0m   x\n");
    cli_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(characters_count_not_bytes),
        cmocka_unit_test(what_objects_hold_cannot_move_the_cursor),
        cmocka_unit_test(printing_again_writes_only_what_is_new_under_one_title),
        cmocka_unit_test(colours_do_not_count_as_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cli/text_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static char *diff(const char *from, const char *to)
{
    struct strbuf out = STRBUF_INIT;
    (void)cli_text_diff(slice_of(from), slice_of(to), "a", "b", &out); /* its result is tested by itself */
    return strbuf_take(&out);
}

static void expect(const char *from, const char *to, const char *want)
{
    char *got = diff(from, to);
    assert_string_equal(got, want);
    free(got);
}

static void equal_texts_give_nothing(void **state)
{
    struct strbuf out = STRBUF_INIT;
    assert_false(cli_text_diff(SLICE("x\n"), SLICE("x\n"), "a", "b", &out));
    assert_int_equal(out.len, 0);
    assert_true(cli_text_diff(SLICE("x\n"), SLICE("y\n"), "a", "b", &out));
    strbuf_clear(&out);
}

static void changes_stand_in_their_context(void **state)
{
    expect("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n",
           "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    expect("", "1\n2\n", "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+1\n+2\n");
    expect("1\n", "", "--- a\n+++ b\n@@ -1 +0,0 @@\n-1\n");
    expect("1\n2\n", "1\n", "--- a\n+++ b\n@@ -1,2 +1 @@\n 1\n-2\n");
    expect("a", "a\n", "--- a\n+++ b\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
}

static void distant_changes_are_hunks_of_their_own_and_near_ones_share(void **state)
{
    expect("x\n1\n2\n3\n4\n5\n6\n7\ny\n", "X\n1\n2\n3\n4\n5\n6\n7\nY\n",
           "--- a\n+++ b\n@@ -1,4 +1,4 @@\n-x\n+X\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-y\n+Y\n");
    expect("x\n1\n2\n3\n4\n5\n6\ny\n", "X\n1\n2\n3\n4\n5\n6\nY\n",
           "--- a\n+++ b\n@@ -1,8 +1,8 @@\n-x\n+X\n 1\n 2\n 3\n 4\n 5\n 6\n-y\n+Y\n");
}

static void as_few_lines_as_possible_change(void **state)
{
    char *got = diff("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n"); /* the example of Myers' paper: five edits */
    size_t edits = 0;
    for (const char *line = strstr(got, "@@\n") + 3; *line != '\0'; line = strchr(line, '\n') + 1)
        edits += *line == '-' || *line == '+';
    assert_int_equal(edits, 5);
    free(got);
}

/* Applies a diff by the rules of patch(1): what comes out must be the other text. */
static char *apply(const char *from, const char *text)
{
    struct strbuf out = STRBUF_INIT;
    size_t line = 1;
    const char *at = from;
    for (const char *d = text; *d != '\0'; d = strchr(d, '\n') + 1) {
        size_t len = strcspn(d, "\n");
        size_t first;
        if (strncmp(d, "---", 3) == 0 || strncmp(d, "+++", 3) == 0)
            continue;
        if (sscanf(d, "@@ -%zu", &first) == 1) {
            for (; line < first; ++line, at = strchr(at, '\n') + 1)
                strbuf_add(&out, at, strcspn(at, "\n") + 1);
            continue;
        }
        if (*d != '+') {
            assert_memory_equal(at, d + 1, len - 1);
            at = strchr(at, '\n') + 1;
            ++line;
        }
        if (*d != '-')
            strbuf_add(&out, d + 1, len);
    }
    strbuf_adds(&out, at);
    return strbuf_take(&out);
}

static void a_diff_leads_from_one_text_to_the_other(void **state)
{
    uint64_t seed = 42;
    for (int round = 0; round < 2000; ++round) {
        struct strbuf from = STRBUF_INIT, to = STRBUF_INIT;
        strbuf_adds(&from, "begin\n");
        strbuf_adds(&to, "begin\n");
        for (int i = 0; i < 30; ++i) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            unsigned what = (unsigned)(seed >> 33) % 6, word = (unsigned)(seed >> 40) % 4;
            if (what != 0)
                strbuf_addf(&from, "%u\n", word);
            if (what > 1)
                strbuf_addf(&to, "%u\n", what == 2 ? word + 10 : word);
        }
        char *text = diff(from.base, to.base), *got = apply(from.base, text);
        assert_string_equal(got, to.base);
        free(got);
        free(text);
        strbuf_clear(&from);
        strbuf_clear(&to);
    }
}

static void texts_without_anything_in_common_end_in_time(void **state)
{
    struct strbuf from = STRBUF_INIT, to = STRBUF_INIT;
    for (int i = 0; i < 20000; ++i) {
        strbuf_addf(&from, "a%d\n", i);
        strbuf_addf(&to, "b%d\n", i);
    }
    char *text = diff(from.base, to.base), *got = apply(from.base, text);
    assert_string_equal(got, to.base);
    free(got);
    free(text);
    strbuf_clear(&from);
    strbuf_clear(&to);
}

static void colours_stand_around_lines(void **state)
{
    struct strbuf out = STRBUF_INIT;
    cli_text_diff_color(SLICE("--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n z\n"), "R", "G", "C", "B", "0", &out);
    assert_string_equal(out.base, "B--- a0\nB+++ b0\nC@@ -1 +1 @@0\nR-x0\nG+y0\n z\n");
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_give_nothing),
        cmocka_unit_test(changes_stand_in_their_context),
        cmocka_unit_test(distant_changes_are_hunks_of_their_own_and_near_ones_share),
        cmocka_unit_test(as_few_lines_as_possible_change),
        cmocka_unit_test(a_diff_leads_from_one_text_to_the_other),
        cmocka_unit_test(texts_without_anything_in_common_end_in_time),
        cmocka_unit_test(colours_stand_around_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "core/base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void everything_added_is_there_and_terminated(void **state)
{
    struct strbuf buf = STRBUF_INIT;
    assert_int_equal(strbuf_slice(&buf).len, 0);
    assert_string_equal(strbuf_slice(&buf).base, "");
    strbuf_adds(&buf, "a");
    strbuf_addc(&buf, 'b');
    strbuf_add(&buf, "cd", 2);
    strbuf_add(&buf, NULL, 0);
    strbuf_addf(&buf, "%s-%03d", "e", 7);
    strbuf_addu(&buf, 0);
    strbuf_addu(&buf, UINT64_MAX);
    strbuf_add_slice(&buf, SLICE("!"));
    assert_string_equal(buf.base, "abcde-007018446744073709551615!");
    assert_int_equal(buf.len, strlen(buf.base));
    strbuf_reset(&buf);
    assert_string_equal(buf.base, "");
    for (int i = 0; i < 10000; ++i)
        strbuf_addf(&buf, "%d", i % 10);
    assert_int_equal(buf.len, 10000);
    assert_int_equal(strlen(buf.base), 10000);
    strbuf_clear(&buf);
    assert_null(buf.base);
}

static void taking_hands_the_text_over(void **state)
{
    struct strbuf buf = STRBUF_INIT;
    char *text = strbuf_take(&buf);
    assert_string_equal(text, "");
    free(text);
    strbuf_adds(&buf, "mine");
    text = strbuf_take(&buf);
    assert_string_equal(text, "mine");
    assert_int_equal(buf.len, 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_added_is_there_and_terminated),
        cmocka_unit_test(taking_hands_the_text_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "core/base/err.h"
#include "core/base/utf8.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void setting_returns_minus_one_and_keeps_code_and_text(void **state)
{
    struct err err = ERR_INIT;
    assert_int_equal(err_set(&err, ERR_CONFLICT, "route '%s' exists", "a"), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_string_equal(err.text, "route 'a' exists");
    assert_int_equal(err_wrap(&err, "save %d", 5), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_string_equal(err.text, "save 5: route 'a' exists");
    assert_int_equal(err_set(&err, ERR_INVALID, "again: %s", err.text), -1);
    assert_string_equal(err.text, "again: save 5: route 'a' exists");
    assert_int_equal(err_set(NULL, ERR_INVALID, "nobody asks"), -1);
    assert_int_equal(err_wrap(NULL, "nobody asks"), -1);
}

static void errno_chooses_the_code(void **state)
{
    static const struct {
        int number;
        enum err_code code;
    } cases[] = {{ENOSPC, ERR_NO_SPACE},  {EDQUOT, ERR_NO_SPACE}, {ENOENT, ERR_NOT_FOUND},
                 {EACCES, ERR_FORBIDDEN}, {EPERM, ERR_FORBIDDEN}, {EIO, ERR_IO}};
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct err err = ERR_INIT;
        errno = cases[i].number;
        assert_int_equal(err_errno(&err, "open '%s'", "x"), -1);
        assert_int_equal(err.code, cases[i].code);
        assert_non_null(strstr(err.text, "open 'x': "));
    }
}

static void long_texts_are_cut_between_characters(void **state)
{
    for (int shift = 0; shift < 4; ++shift) {
        char text[2000] = "";
        struct err err = ERR_INIT;
        memset(text, 'x', (size_t)shift);
        for (size_t i = (size_t)shift; i + 3 < sizeof(text) - 1; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4);
        err_set(&err, ERR_INVALID, "%s", text);
        assert_true(strlen(err.text) < ERR_TEXT_MAX && strlen(err.text) > ERR_TEXT_MAX - 8);
        assert_true(utf8_is_valid(slice_of(err.text)));
        err_wrap(&err, "%s", "wrapped");
        assert_true(utf8_is_valid(slice_of(err.text)));
    }
}

static void codes_have_status_and_reason(void **state)
{
    assert_int_equal(err_status(ERR_NOT_FOUND), 404);
    assert_string_equal(err_reason(ERR_NOT_FOUND), "NotFound");
    assert_int_equal(err_status(ERR_IO), 500);
}

static void utf8_is_told_from_what_is_not(void **state)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(good); ++i)
        assert_true(utf8_is_valid(slice_of(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); ++i)
        assert_false(utf8_is_valid(slice_of(bad[i])));
    for (uint32_t code = 1; code <= 0x10ffff; code += code < 0x900 ? 1 : 257) {
        char text[4];
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        unsigned len = utf8_put(text, code);
        assert_int_equal(utf8_seq_len(text, len), len);
        assert_int_equal(utf8_seq_len(text, len - 1), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_returns_minus_one_and_keeps_code_and_text),
        cmocka_unit_test(errno_chooses_the_code),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(codes_have_status_and_reason),
        cmocka_unit_test(utf8_is_told_from_what_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

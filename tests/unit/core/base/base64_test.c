#include "core/base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void the_vectors_of_rfc_4648_hold(void **state)
{
    static const struct {
        const char *bytes, *text, *url;
    } cases[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/", "-_-_"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct strbuf out = STRBUF_INIT;
        char bytes[16];
        base64_add(&out, slice_of(cases[i].bytes));
        assert_string_equal(out.base, cases[i].text);
        assert_int_equal(out.len, BASE64_LEN(strlen(cases[i].bytes)));
        assert_int_equal(base64_decode(strbuf_slice(&out), bytes), strlen(cases[i].bytes));
        assert_memory_equal(bytes, cases[i].bytes, strlen(cases[i].bytes));
        strbuf_reset(&out);
        base64url_add(&out, slice_of(cases[i].bytes));
        assert_string_equal(out.base, cases[i].url);
        assert_int_equal(out.len, BASE64URL_LEN(strlen(cases[i].bytes)));
        assert_int_equal(base64url_decode(strbuf_slice(&out), bytes), strlen(cases[i].bytes));
        assert_memory_equal(bytes, cases[i].bytes, strlen(cases[i].bytes));
        strbuf_clear(&out);
    }
}

static void only_the_canonical_spelling_is_decoded(void **state)
{
    static const char *const bad[] = {
        "Z",    "Zg",     "Zg=",      "Zg===", "Zh==",  "Zm9=",     "Zm8",
        "=",    "====",   "Zg==Zg==", "Z===",  "Zm 8=", "Zm8=\n",   "Zm9v=",
        "-_-_", "Zm9v\n", "Zm9vYg=a", "Zg=a",  "Z=g=",  "Zm9v====", "\xff\xff\xff\xff"};
    static const char *const bad_url[] = {
        "Z", "Zh", "Zm9", "Zg==", "+/+/", "Zm8=", "Zm9v Zg", "Zm9vY", "Zg\n", "====", "."};
    char bytes[64];
    for (size_t i = 0; i < ARRAY_LEN(bad); ++i)
        if (base64_decode(slice_of(bad[i]), bytes) != -1)
            fail_msg("'%s' was decoded", bad[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad_url); ++i)
        if (base64url_decode(slice_of(bad_url[i]), bytes) != -1)
            fail_msg("'%s' was decoded", bad_url[i]);
}

static void every_length_survives_the_way_there_and_back(void **state)
{
    unsigned char bytes[100];
    for (size_t len = 0; len < sizeof(bytes); ++len) {
        struct strbuf text = STRBUF_INIT;
        for (size_t i = 0; i < len; ++i)
            bytes[i] = (unsigned char)(i * 37 + len * 11);
        base64url_add(&text, slice_make((const char *)bytes, len));
        unsigned char *back = xmalloc(BASE64_DECODED_MAX(text.len));
        assert_int_equal(base64url_decode(strbuf_slice(&text), back), len);
        assert_memory_equal(back, bytes, len);
        free(back);
        strbuf_clear(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_4648_hold),
        cmocka_unit_test(only_the_canonical_spelling_is_decoded),
        cmocka_unit_test(every_length_survives_the_way_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

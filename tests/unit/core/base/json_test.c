#include "core/base/clock.h"
#include "tests/unit/lib/json_fixture.h"

static void assert_refused(struct slice text, const char *expected)
{
    struct err err = ERR_INIT;
    if (json_parse(arena, text, &err) != NULL)
        fail_msg("'%.*s' was accepted", (int)text.len, text.base);
    assert_int_equal(err.code, ERR_BAD_REQUEST);
    if (expected != NULL)
        assert_string_equal(err.text, expected);
}

static const char *written(void (*write)(struct strbuf *, const struct json *), const struct json *value)
{
    struct strbuf out = STRBUF_INIT;
    write(&out, value);
    const char *copy = arena_strndup(arena, out.base, out.len);
    strbuf_clear(&out);
    return copy;
}

/* The cases of Seriot's "Parsing JSON is a minefield". */
static const struct slice accepted[] = {
#define LEGAL(text) SLICE(text),
#define ILLEGAL(text)
#include "tests/unit/core/base/json_cases.def"
#undef LEGAL
#undef ILLEGAL
};

static const struct slice refused[] = {
#define LEGAL(text)
#define ILLEGAL(text) SLICE(text),
#include "tests/unit/core/base/json_cases.def"
#undef LEGAL
#undef ILLEGAL
};

static void every_legal_document_is_read_and_written_back_equal(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(accepted); ++i) {
        struct err err = ERR_INIT;
        struct json *doc = json_parse(arena, accepted[i], &err);
        if (doc == NULL)
            fail_msg("case %zu '%s': %s", i, accepted[i].base, err.text);
        void (*const writers[])(struct strbuf *, const struct json *) = {json_write, json_write_pretty,
                                                                         json_write_canonical};
        for (size_t w = 0; w < ARRAY_LEN(writers); ++w) {
            struct json *again = must_parse(written(writers[w], doc));
            assert_true(json_equal(doc, again));
            assert_string_equal(written(json_write_canonical, doc), written(json_write_canonical, again));
        }
    }
}

static void every_illegal_document_is_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); ++i)
        assert_refused(refused[i], NULL);
}

static void every_cut_of_a_document_is_refused(void **state)
{
    const char text[] =
        "{\"a\":[1,-2.5e+3,\"x\\u00e9\\ud83d\\ude39\\n\xe2\x82\xac\",true,false,null,{\"b\":{}}]}";
    for (size_t len = 0; len < sizeof(text) - 1; ++len) {
        char *exact = xmalloc(len + 1); /* so that a read behind the end is seen by asan */
        memcpy(exact, text, len);
        assert_refused(slice_make(exact, len), NULL);
        free(exact);
    }
    must_parse(text);
}

static void nesting_is_read_to_64_levels_and_no_further(void **state)
{
    char text[2 * 70 + 1] = "";
    for (int open = 63; open <= 66; ++open) {
        memset(text, '[', (size_t)open);
        memset(text + open, ']', (size_t)open);
        text[2 * open] = '\0';
        if (open <= JSON_MAX_DEPTH)
            must_parse(text);
        else
            assert_refused(slice_of(text), NULL);
    }
    size_t huge = 1000000;
    char *bomb = xmalloc(huge);
    memset(bomb, '[', huge);
    assert_refused(slice_make(bomb, huge), NULL);
    for (size_t i = 0; i + 5 <= huge; i += 5)
        memcpy(bomb + i, "{\"a\":", 5);
    assert_refused(slice_make(bomb, huge), NULL);
    free(bomb);
}

static void errors_name_line_column_and_path(void **state)
{
    assert_refused(SLICE("{\n  \"spec\": {\n    \"rules\": [ {\"name\": 1, \"name\": 2} ]\n  }\n}"),
                   "line 3 column 28: duplicate member 'name' (spec.rules[0])");
    assert_refused(SLICE("{\"a\": {\"x.y/z\": [0, 1, tru]}}"),
                   "line 1 column 24: expected a value (a[\"x.y/z\"][2])");
    assert_refused(SLICE("[\"\xe2\x82\xac\xe2\x82\xac\", x]"), "line 1 column 8: expected a value ([1])");
    assert_refused(SLICE("{\"a\":\n"), "line 2 column 1: unexpected end of the document (a)");
    assert_refused(SLICE("{} {}"), "line 1 column 4: unexpected text after the document");
    assert_refused(SLICE("{\"a\":1,}"), "line 1 column 8: expected a member name in quotes");
    assert_refused(SLICE("[\"a\\q\"]"), "line 1 column 5: invalid escape ([0])");
    assert_refused(SLICE("{\"k\":\"\\udc00\"}"), "line 1 column 7: lone surrogate (k)");
    assert_refused(SLICE("[01]"), "line 1 column 2: invalid number ([0])");
}

static void a_long_path_and_a_foul_name_stay_printable(void **state)
{
    struct strbuf text = STRBUF_INIT;
    for (int i = 0; i < 60; ++i)
        strbuf_adds(&text, "{\"a-rather-long-member-name\":");
    struct err err = ERR_INIT;
    assert_null(json_parse(arena, strbuf_slice(&text), &err));
    assert_true(strlen(err.text) < 400);
    assert_non_null(strstr(err.text, "\xe2\x80\xa6"));
    strbuf_clear(&text);
    assert_refused(SLICE("{\"\\n\\u0000\\u001b\":x}"), "line 1 column 19: expected a value ([\"???\"])");
}

static void duplicates_are_refused_in_large_objects_too(void **state)
{
    for (int num = 2; num <= 40; ++num) {
        for (int twice = 0; twice < num; ++twice) {
            struct strbuf text = STRBUF_INIT;
            for (int i = 0; i < num; ++i)
                strbuf_addf(&text, "%s\"k%d\":{\"k1\":1}", i == 0 ? "{" : ",", i);
            size_t good = text.len;
            strbuf_adds(&text, "}");
            must_parse(text.base);
            text.len = good;
            strbuf_addf(&text, ",\"k%d\":2}", twice);
            assert_refused(strbuf_slice(&text), NULL);
            strbuf_clear(&text);
        }
    }
}

static void strings_are_decoded(void **state)
{
    struct json *doc =
        must_parse("[\"\\\"\\\\\\/\\b\\f\\n\\r\\tA\\u00e9\\u20AC\\ud834\\udd1ez\",\"a\\u0000b\",\"\"]");
    assert_string_equal(json_str(json_at(doc, 0), ""),
                        "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9ez");
    struct slice with_nul = json_slice(json_at(doc, 1));
    assert_int_equal(with_nul.len, 3);
    assert_memory_equal(with_nul.base, "a\0b", 4);
    assert_string_equal(json_str(json_at(doc, 2), "no"), "");
    assert_null(json_at(doc, 3));
}

static void integers_are_exact_or_nothing(void **state)
{
    static const struct {
        const char *text;
        bool is_int;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"0e999999999999999999999999", true, 0},
        {"7", true, 7},
        {"-7.0", true, -7},
        {"1e3", true, 1000},
        {"12.5e1", true, 125},
        {"0.5e1", true, 5},
        {"1200e-2", true, 12},
        {"9007199254740993", true, 9007199254740993},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"922337203685477580.7e1", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551617", false, 0},
        {"99999999999999999999999999999999999999", false, 0},
        {"1.5", false, 0},
        {"1e-1", false, 0},
        {"1e19", false, 0},
        {"1e999999999999999999999999999", false, 0},
        {"1e-999999999999999999999999999", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        int64_t value = 0;
        bool is_int = json_int(must_parse(cases[i].text), &value);
        if (is_int != cases[i].is_int || value != cases[i].value)
            fail_msg("%s: %d %lld", cases[i].text, is_int, (long long)value);
    }
    assert_int_equal(json_int_or(must_parse("\"5\""), 9), 9);
    assert_int_equal(json_int_or(NULL, 9), 9);
    assert_true(json_double_or(must_parse("2.5e-1"), 0) == 0.25);
    assert_true(json_double_or(must_parse("1e999"), 3) == 3);
}

static void numbers_are_equal_by_value_and_have_one_canonical_form(void **state)
{
    static const struct {
        const char *a, *b, *canonical; /* canonical NULL: they differ */
    } cases[] = {
        {"1", "1.0", "1"},
        {"100", "1e2", "100"},
        {"1.5", "15e-1", "1.5"},
        {"0.05", "5e-2", "0.05"},
        {"-0", "0.0e5", "0"},
        {"-12.50", "-0.125e2", "-12.5"},
        {"0.00000012", "12e-8", "1.2e-7"},
        {"1e22", "10000000000000000000000", "1e22"},
        {"123456789012345678901", "123456789012345678901.0", "123456789012345678901"},
        {"1", "2", NULL},
        {"1", "-1", NULL},
        {"10", "1", NULL},
        {"0.1", "0.01", NULL},
        {"9007199254740993", "9007199254740992", NULL},
        {"1e99999999999999999999", "1e99999999999999999998", NULL},
        {"104E10417047008942631752", "104E10417047008942631753", NULL},
        {"10e288230376151711743", "1e288230376151711744", NULL},
        {"10e288230376151711", "1e288230376151712", "1e288230376151712"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct json *a = must_parse(cases[i].a), *b = must_parse(cases[i].b);
        assert_int_equal(json_equal(a, b), cases[i].canonical != NULL);
        if (cases[i].canonical != NULL) {
            assert_string_equal(written(json_write_canonical, a), cases[i].canonical);
            assert_string_equal(written(json_write_canonical, b), cases[i].canonical);
        }
        assert_string_equal(written(json_write, a), cases[i].a);
    }
}

static void equality_ignores_member_order_but_not_item_order(void **state)
{
    assert_true(json_equal(must_parse("{\"a\":[1,{\"x\":null}],\"b\":true}"),
                           must_parse("{\"b\":true,\"a\":[1,{\"x\":null}]}")));
    assert_false(json_equal(must_parse("[1,2]"), must_parse("[2,1]")));
    assert_false(json_equal(must_parse("{\"a\":1}"), must_parse("{\"b\":1}")));
    assert_false(json_equal(must_parse("{\"a\":1}"), must_parse("{\"a\":1,\"b\":1}")));
    assert_false(json_equal(must_parse("{\"a\":true}"), must_parse("{\"a\":false}")));
    assert_false(json_equal(must_parse("[]"), must_parse("{}")));
    assert_false(json_equal(must_parse("null"), NULL));
    struct json *up = json_new_object(arena), *down = json_new_object(arena);
    for (int i = 0; i < 50; ++i) {
        json_set_int(arena, up, arena_printf(arena, "k%02d", i), i);
        json_set_int(arena, down, arena_printf(arena, "k%02d", 49 - i), 49 - i);
    }
    assert_true(json_equal(up, down));
    assert_string_equal(written(json_write_canonical, up), written(json_write_canonical, down));
    json_set_int(arena, down, "k20", 0);
    assert_false(json_equal(up, down));
}

static void lookups_tolerate_what_is_not_there(void **state)
{
    struct json *doc = must_parse("{\"metadata\":{\"name\":\"x\",\"n\":5},\"list\":[1,2]}");
    assert_string_equal(json_str(json_find(doc, "metadata", "name", NULL), ""), "x");
    assert_null(json_find(doc, "metadata", "nope", "deeper", NULL));
    assert_null(json_find(doc, "list", "name", NULL));
    assert_null(json_get(NULL, "a"));
    assert_null(json_get(json_get(doc, "list"), "a"));
    assert_null(json_at(doc, 0));
    assert_string_equal(json_str(json_find(doc, "metadata", "n", NULL), "fallback"), "fallback");
    assert_null(json_slice(NULL).base);
    assert_string_equal(json_type_name(doc->type), "object");
}

static void building_and_changing_keeps_order_and_count(void **state)
{
    struct json *object = json_new_object(arena);
    json_set_str(arena, object, "a", "1");
    json_set_int(arena, object, "b", -2);
    json_set_bool(arena, object, "c", true);
    json_set(arena, object, "d", json_new_null(arena));
    json_set_int(arena, object, "e", 0);
    assert_string_equal(written(json_write, object),
                        "{\"a\":\"1\",\"b\":-2,\"c\":true,\"d\":null,\"e\":0}");
    json_set_int(arena, object, "b", 3);
    json_set_str(arena, object, "e", "last");
    assert_string_equal(written(json_write, object),
                        "{\"a\":\"1\",\"b\":3,\"c\":true,\"d\":null,\"e\":\"last\"}");
    assert_true(json_remove(object, "e"));
    assert_true(json_remove(object, "a"));
    assert_true(json_remove(object, "c"));
    assert_false(json_remove(object, "c"));
    json_set_str(arena, object, "z", "\xff\x01\"");
    assert_int_equal(object->num, 3);
    assert_string_equal(written(json_write, object),
                        "{\"b\":3,\"d\":null,\"z\":\"\xef\xbf\xbd\\u0001\\\"\"}");

    struct json *array = json_new_array(arena);
    json_push(array, json_clone(arena, json_get(object, "b")));
    json_push(array, json_clone(arena, object));
    json_set_int(arena, object, "b", 4);
    assert_string_equal(written(json_write, array),
                        "[3,{\"b\":3,\"d\":null,\"z\":\"\xef\xbf\xbd\\u0001\\\"\"}]");
    assert_true(json_remove_child(array, json_at(array, 1)));
    json_push(array, json_new_null(arena));
    assert_string_equal(written(json_write, array), "[3,null]");
}

static void pretty_text_is_indented_by_two(void **state)
{
    assert_string_equal(
        written(json_write_pretty, must_parse("{\"a\":[1,{}],\"b\":[],\"c\":{\"d\":null}}")),
        "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": {\n    \"d\": null\n  }\n}");
}

static void the_input_may_go_after_parsing(void **state)
{
    char *text = xstrdup("{\"key\":\"value\",\"n\":12}");
    struct json *doc = must_parse(text);
    memset(text, 'x', strlen(text));
    free(text);
    assert_string_equal(written(json_write, doc), "{\"key\":\"value\",\"n\":12}");
}

/* The size of a full snapshot. The time is printed, not asserted: speed is the benchmarks' business. */
static void a_two_megabyte_document_is_read(void **state)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_adds(&text, "{\"endpoints\":[");
    for (int i = 0; text.len < 2000000; ++i)
        strbuf_addf(&text,
                    "%s{\"address\":\"10.%d.%d.%d\",\"port\":8080,\"zone\":\"eu-west-1a\",\"weight\":100,"
                    "\"labels\":{\"version\":\"v%d\",\"app\":\"reviews-%d\"}}",
                    i == 0 ? "" : ",", i >> 16 & 255, i >> 8 & 255, i & 255, i % 3, i % 1000);
    strbuf_adds(&text, "]}");
    uint64_t best_us = UINT64_MAX;
    for (int i = 0; i < 5; ++i) {
        struct arena *one = arena_new(1 << 16);
        uint64_t start = clock_mono_us();
        assert_non_null(json_parse(one, strbuf_slice(&text), NULL));
        best_us = MIN(best_us, clock_mono_us() - start);
        arena_free(one);
    }
    print_message("2 MB parsed in %.1f ms\n", (double)best_us / 1000);
    strbuf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_legal_document_is_read_and_written_back_equal),
        cmocka_unit_test(every_illegal_document_is_refused),
        cmocka_unit_test(every_cut_of_a_document_is_refused),
        cmocka_unit_test(nesting_is_read_to_64_levels_and_no_further),
        cmocka_unit_test(errors_name_line_column_and_path),
        cmocka_unit_test(a_long_path_and_a_foul_name_stay_printable),
        cmocka_unit_test(duplicates_are_refused_in_large_objects_too),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(integers_are_exact_or_nothing),
        cmocka_unit_test(numbers_are_equal_by_value_and_have_one_canonical_form),
        cmocka_unit_test(equality_ignores_member_order_but_not_item_order),
        cmocka_unit_test(lookups_tolerate_what_is_not_there),
        cmocka_unit_test(building_and_changing_keeps_order_and_count),
        cmocka_unit_test(pretty_text_is_indented_by_two),
        cmocka_unit_test(the_input_may_go_after_parsing),
        cmocka_unit_test(a_two_megabyte_document_is_read),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}

#include "tests/unit/lib/json_fixture.h"

static int collect(struct json *doc, void *data, struct err *err)
{
    json_push(data, doc);
    return 0;
}

/* All documents of the stream, as a JSON array. */
static struct json *read_all(struct slice text)
{
    struct err err = ERR_INIT;
    struct json *docs = json_new_array(arena);
    if (json_parse_yaml(arena, text, collect, docs, &err) != 0)
        fail_msg("'%.*s': %s", (int)text.len, text.base, err.text);
    return docs;
}

static const char *compact(const struct json *value)
{
    struct strbuf out = STRBUF_INIT;
    json_write(&out, value);
    const char *copy = arena_strndup(arena, out.base, out.len);
    strbuf_clear(&out);
    return copy;
}

static void assert_reads(const char *yaml, const char *json)
{
    const char *got = compact(read_all(slice_of(yaml)));
    char *expected = arena_printf(arena, "[%s]", json);
    if (strcmp(got, expected) != 0)
        fail_msg("'%s'\n gives %s\n   not %s", yaml, got, expected);
}

static void assert_refused(const char *yaml, const char *expected)
{
    struct err err = ERR_INIT;
    struct json *docs = json_new_array(arena);
    if (json_parse_yaml(arena, slice_of(yaml), collect, docs, &err) == 0)
        fail_msg("'%s' was accepted: %s", yaml, compact(docs));
    assert_int_equal(err.code, ERR_BAD_REQUEST);
    if (expected != NULL)
        assert_string_equal(err.text, expected);
}

static void plain_scalars_follow_the_core_schema(void **state)
{
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"[null, Null, NULL, ~, ]", "[null,null,null,null]"},
        {"a:", "{\"a\":null}"},
        {"[true, True, TRUE, false, False, FALSE]", "[true,true,true,false,false,false]"},
        {"[yes, no, on, off, y, n, Yes, tRue]",
         "[\"yes\",\"no\",\"on\",\"off\",\"y\",\"n\",\"Yes\",\"tRue\"]"},
        {"[0, -0, +5, 012, 00, -007, 123456789012345678901]", "[0,-0,5,12,0,-7,123456789012345678901]"},
        {"[0x1F, 0o17, 0xffffffffffffffff, 0x, 0o8, 0b1]",
         "[31,15,18446744073709551615,\"0x\",\"0o8\",\"0b1\"]"},
        {"[1.5, .5, 5., +.5e3, -0.0, 1e3, 5.e-2, 01.50]", "[1.5,0.5,5,0.5e3,-0.0,1e3,5e-2,1.50]"},
        {"[., -, +, e5, 1e, 1.2.3, 1_000, 12:30:00, 2026-11-21, .inf.]",
         "[\".\",\"-\",\"+\",\"e5\",\"1e\",\"1.2.3\",\"1_000\",\"12:30:00\",\"2026-11-21\",\".inf.\"]"},
        {"['5', \"true\", 'null', '']", "[\"5\",\"true\",\"null\",\"\"]"},
        {"[!!str 5, !!int '7', !!bool 'true', !!null '', !!float 1.5, ! 5]", "[\"5\",7,true,null,1.5,\"5\"]"},
        {"!!map {a: !!seq [1]}", "{\"a\":[1]}"},
        {"\"\\u263a\\x41\\0\"", "\"\xe2\x98\xba"
                                "A\\u0000\""},
        {"|\n a\n  b\n\n", "\"a\\n b\\n\""},
        {">-\n a\n b\n", "\"a b\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i)
        assert_reads(cases[i].yaml, cases[i].json);
}

static void a_usual_resource_is_read(void **state)
{
    assert_reads(
        "# comment\n"
        "apiVersion: gateway.networking.k8s.io/v1\n"
        "kind: HTTPRoute\n"
        "metadata:\n"
        "  name: reviews\n"
        "  labels: {app.kubernetes.io/name: reviews}\n"
        "spec:\n"
        "  rules:\n"
        "  - matches:\n"
        "    - path: {type: PathPrefix, value: /}\n"
        "    backendRefs:\n"
        "      - name: reviews-v1\n"
        "        port: 9080\n",
        "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"HTTPRoute\",\"metadata\":{\"name\":"
        "\"reviews\",\"labels\":{\"app.kubernetes.io/"
        "name\":\"reviews\"}},\"spec\":{\"rules\":[{\"matches\":[{"
        "\"path\":{\"type\":\"PathPrefix\",\"value\":\"/\"}}],\"backendRefs\":[{\"name\":\"reviews-v1\","
        "\"port\":9080}]}]}}");
}

static void streams_hold_many_documents_and_empty_ones_are_skipped(void **state)
{
    assert_reads("a: 1\n---\n---\n# only a comment\n---\nb: 2\n...\n---\n[3]\n", "{\"a\":1},{\"b\":2},[3]");
    assert_reads("", "");
    assert_reads("# nothing\n", "");
    assert_reads("---\n---\n", "");
    assert_reads("%YAML 1.1\n---\na: 1\n", "{\"a\":1}");
    assert_reads("\xef\xbb\xbf"
                 "a: 1\n",
                 "{\"a\":1}");
    assert_reads("--- ~\n", "null");
    assert_reads("--- ''\n", "\"\"");
}

static void names_are_the_text_as_written(void **state)
{
    assert_reads("{1: a, true: b, null: c, '': d, 1.0: e, \"x y\": f}",
                 "{\"1\":\"a\",\"true\":\"b\",\"null\":\"c\",\"\":\"d\",\"1.0\":\"e\",\"x y\":\"f\"}");
    assert_reads("? long\n: value", "{\"long\":\"value\"}");
    assert_reads("[&k name, {*k : 5}]", "[\"name\",{\"name\":5}]");
    assert_reads("{&k name: 1, b: *k}", "{\"name\":1,\"b\":\"name\"}");
}

static void aliases_are_copies(void **state)
{
    assert_reads("a: &x {p: [1, two]}\nb: *x\nc: &x 3\nd: *x",
                 "{\"a\":{\"p\":[1,\"two\"]},\"b\":{\"p\":[1,\"two\"]},\"c\":3,\"d\":3}");
    struct json *doc = json_at(read_all(SLICE("a: &x {p: 1}\nb: *x\n")), 0);
    json_set_int(arena, json_get(doc, "b"), "p", 2);
    assert_string_equal(compact(doc), "{\"a\":{\"p\":1},\"b\":{\"p\":2}}");
}

static void merge_keys_fill_in_what_is_not_there(void **state)
{
    assert_reads("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n",
                 "{\"base\":{\"x\":1,\"y\":2},\"use\":{\"y\":3,\"x\":1}}");
    assert_reads("[&a {x: 1, y: 1}, &b {y: 2, z: 2}, {<<: [*a, *b], w: 0}]",
                 "[{\"x\":1,\"y\":1},{\"y\":2,\"z\":2},{\"w\":0,\"x\":1,\"y\":1,\"z\":2}]");
    assert_reads("{<<: {x: 1}}", "{\"x\":1}");
    assert_reads("{\"<<\": {x: 1}}", "{\"<<\":{\"x\":1}}");
    assert_reads("{<<: &n {x: 1}, m: *n}", "{\"m\":{\"x\":1},\"x\":1}");
}

static void what_json_cannot_say_or_nobody_should_is_refused(void **state)
{
    assert_refused("a: 1\nb:\n  c: [1, {x: 1, x: 2}]\n", "line 3 column 17: duplicate member 'x' (b.c[1])");
    assert_refused("a: 1\na: 2\n", "line 2 column 1: duplicate member 'a'");
    assert_refused("{1: a, '1': b}", "line 1 column 8: duplicate member '1'");
    assert_refused("{<<: {}, <<: {}}", "line 1 column 10: duplicate member '<<'");
    assert_refused("{[1]: a}", "line 1 column 2: a member name must be a scalar");
    assert_refused("{{a: b}: a}", "line 1 column 2: a member name must be a scalar");
    assert_refused("[&l [], {*l : 1}]", "line 1 column 10: a member name must be a scalar ([1])");
    assert_refused("a: !custom x", "line 1 column 4: unsupported tag '!custom' (a)");
    assert_refused("a: !!binary aGk=", NULL);
    assert_refused("!!python/object:x {}", NULL);
    assert_refused("a: !!set {}", NULL);
    assert_refused("a: !!int x", NULL);
    assert_refused("a: !!bool 1", NULL);
    assert_refused("[.inf]", "line 1 column 2: a number JSON cannot hold: '.inf' ([0])");
    assert_refused("-.Inf", NULL);
    assert_refused(".nan", NULL);
    assert_refused("0x10000000000000000", NULL);
    assert_refused("a: *nope", "line 1 column 4: no anchor for the alias 'nope' (a)");
    assert_refused("a: &x [1, *x]", "line 1 column 11: alias inside its own anchor 'x' (a[1])");
    assert_refused("a: &x 1\n---\nb: *x", "line 3 column 4: no anchor for the alias 'x' (b)");
    assert_refused("{<<: 5}", NULL);
    assert_refused("{<<: [5]}", NULL);
}

static void broken_syntax_is_refused_with_its_place(void **state)
{
    assert_refused("a: b: c", NULL);
    assert_refused("a: [1, 2\nb: 3", NULL);
    assert_refused("a:\n\t- b", NULL);
    assert_refused("\"open", NULL);
    assert_refused("a: 1\n b: 2\n", NULL);
    assert_refused("{a: 1", NULL);
    assert_refused("a: \xff", "line 1 column 4: invalid leading UTF-8 octet");
    assert_refused("a: x\nb: \x01", "line 2 column 4: control characters are not allowed");
    assert_refused("\xff\xfe"
                   "a\0",
                   NULL);
    struct err err = ERR_INIT;
    assert_int_not_equal(json_parse_yaml(arena, SLICE("spec:\n  rules:\n  - a: [1,\n  - b\n"), collect,
                                         json_new_array(arena), &err),
                         0);
    assert_non_null(strstr(err.text, "line 4 column"));
    assert_non_null(strstr(err.text, "spec.rules[0].a"));
}

static void nesting_ends_at_64_levels(void **state)
{
    for (unsigned depth = 63; depth <= 66; ++depth) {
        struct strbuf text = STRBUF_INIT;
        for (unsigned i = 0; i < depth; ++i)
            strbuf_addc(&text, '[');
        for (unsigned i = 0; i < depth; ++i)
            strbuf_addc(&text, ']');
        if (depth <= JSON_MAX_DEPTH)
            read_all(strbuf_slice(&text));
        else
            assert_refused(text.base, NULL);
        strbuf_clear(&text);
    }
    /* An alias inside brings its own depth along. */
    struct strbuf text = STRBUF_INIT;
    strbuf_adds(&text,
                "- &x0 [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n");
    strbuf_adds(&text, "- [[[[[[[[[[[[[[[[[[[[[[[[[[*x0]]]]]]]]]]]]]]]]]]]]]]]]]]\n");
    assert_refused(text.base, NULL);
    strbuf_clear(&text);
}

static void alias_bombs_are_refused(void **state)
{
    struct strbuf nodes = STRBUF_INIT, bytes = STRBUF_INIT;
    strbuf_adds(&nodes, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 12; ++i) {
        strbuf_addf(&nodes, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; ++j)
            strbuf_addf(&nodes, "%s*a%d", j == 0 ? "" : ",", i - 1);
        strbuf_adds(&nodes, "]\n");
    }
    assert_refused(nodes.base, NULL);
    strbuf_clear(&nodes);
    strbuf_adds(&bytes, "a: &a ");
    for (int i = 0; i < 100000; ++i)
        strbuf_addc(&bytes, 'x');
    strbuf_adds(&bytes, "\nb:\n");
    for (int i = 0; i < 1000; ++i)
        strbuf_adds(&bytes, "- *a\n");
    assert_refused(bytes.base, NULL);
    strbuf_clear(&bytes);
}

static int stop(struct json *doc, void *data, struct err *err)
{
    ++*(int *)data;
    return err_set(err, ERR_INVALID, "enough");
}

static void the_callback_can_stop_the_stream(void **state)
{
    struct err err = ERR_INIT;
    int num = 0;
    assert_int_equal(json_parse_yaml(arena, SLICE("a: 1\n---\nb: 2\n"), stop, &num, &err), -1);
    assert_int_equal(num, 1);
    assert_int_equal(err.code, ERR_INVALID);
}

static const char *as_yaml(const struct json *value)
{
    struct strbuf out = STRBUF_INIT;
    json_write_yaml(&out, value);
    const char *copy = arena_strndup(arena, out.base, out.len);
    strbuf_clear(&out);
    return copy;
}

static void trees_are_written_in_block_style(void **state)
{
    static const struct {
        const char *json, *yaml;
    } cases[] = {
        {"{\"a\":1,\"b\":{\"c\":[1,{\"d\":null,\"e\":true}],\"f\":{}},\"g\":[]}",
         "a: 1\nb:\n  c:\n  - 1\n  - d: null\n    e: true\n  f: {}\ng: []\n"},
        {"[[1,[2,3]],{\"a\":[4]},[]]", "- - 1\n  - - 2\n    - 3\n- a:\n  - 4\n- []\n"},
        {"{\"a\":{\"b\":{\"c\":\"x\"}}}", "a:\n  b:\n    c: x\n"},
        {"{\"s\":\"two\\nlines\\n\",\"t\":\"no end\\nhere\",\"u\":\"many\\n\\n\",\"v\":1}",
         "s: |\n  two\n  lines\nt: |-\n  no end\n  here\nu: |+\n  many\n\nv: 1\n"},
        {"[\"yes\",\"5\",\"\",\"null\",\"1_000\",\"12:30\",\"2026-11-21\",\"x: y\",\"x #y\",\"- "
         "a\",\"x:\",\" x\"]",
         "- \"yes\"\n- \"5\"\n- \"\"\n- \"null\"\n- \"1_000\"\n- \"12:30\"\n- \"2026-11-21\"\n- \"x: y\"\n- "
         "\"x #y\"\n"
         "- \"- a\"\n- \"x:\"\n- \" x\"\n"},
        {"[\"/path\",\"10.0.0.1\",\"a:b\",\"a#b\",\"v1.2.3\",\"gateway.networking.k8s.io/"
         "v1\",\"caf\\u00e9\"]",
         "- /path\n- \"10.0.0.1\"\n- a:b\n- a#b\n- v1.2.3\n- gateway.networking.k8s.io/v1\n- caf\xc3\xa9\n"},
        {"\"text\"", "text\n"},
        {"\"a\\nb\"", "|-\n  a\n  b\n"},
        {"{\"<<\":1,\"y\":2,\"a b\":3,\"\":4}", "\"<<\": 1\n\"y\": 2\na b: 3\n\"\": 4\n"},
        {"\"\\u0000\\u0085\\u2028\\t\\\"\"", "\"\\u0000\\u0085\\u2028\\t\\\"\"\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct json *doc = must_parse(cases[i].json);
        assert_string_equal(as_yaml(doc), cases[i].yaml);
        assert_true(json_equal(doc, json_at(read_all(slice_of(cases[i].yaml)), 0)));
    }
}

static void odd_strings_survive_as_names_and_values(void **state)
{
    static const char *const odd[] = {
        "\n",
        "\n\n",
        "a\n",
        "a\n\n\n",
        "\na",
        " a\nb",
        "a\n b\n  c",
        "a\r\nb",
        "a\tb",
        "\ta\nb",
        "---",
        "...",
        "--- a",
        "- ",
        "? a",
        ": a",
        "a: ",
        "a:\nb",
        "#",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a",
        "'",
        "\"",
        "'a'",
        "a'b",
        "{",
        "}",
        "[",
        "]",
        ",",
        "a,b",
        "a]b",
        "~",
        "=",
        "<<",
        "0x10",
        "0o7",
        "1e3",
        ".5",
        "-.inf",
        ".NaN",
        "true",
        "TRUE",
        "no",
        "0b11",
        "1:2:3",
        "1:2",
        "\xe2\x80\xa8",
        "\xef\xbb\xbf",
        "\xef\xbf\xbf",
        "\xc2\x85",
        "\xf0\x9f\x92\xa9",
        "\x7f",
        "\x1b[0m",
        "a \n b",
        "a\n\n b\n",
        "trailing ",
        "multi\n---\nline",
        "x\n# no comment\n",
        "\\",
        "a\\nb",
    };
    struct json *doc = json_new_object(arena), *list = json_new_array(arena);
    for (size_t i = 0; i < ARRAY_LEN(odd); ++i) {
        json_set_str(arena, doc, odd[i], odd[i]);
        json_push(list, json_new_str(arena, odd[i]));
        struct json *inner = json_push(list, json_new_object(arena));
        json_set_str(arena, inner, odd[i], odd[i]);
        struct json *alone = json_new_str(arena, odd[i]);
        assert_true(json_equal(alone, json_at(read_all(slice_of(as_yaml(alone))), 0)));
    }
    json_set(arena, doc, "list", list);
    char long_name[3000];
    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    json_set_str(arena, doc, long_name, "scalar");
    long_name[0] = 'm';
    json_set(arena, doc, long_name, json_clone(arena, list));
    long_name[0] = 'o';
    json_set(arena, doc, long_name, json_clone(arena, doc));
    const char *text = as_yaml(doc);
    struct json *again = json_at(read_all(slice_of(text)), 0);
    assert_true(json_equal(doc, again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_scalars_follow_the_core_schema),
        cmocka_unit_test(a_usual_resource_is_read),
        cmocka_unit_test(streams_hold_many_documents_and_empty_ones_are_skipped),
        cmocka_unit_test(names_are_the_text_as_written),
        cmocka_unit_test(aliases_are_copies),
        cmocka_unit_test(merge_keys_fill_in_what_is_not_there),
        cmocka_unit_test(what_json_cannot_say_or_nobody_should_is_refused),
        cmocka_unit_test(broken_syntax_is_refused_with_its_place),
        cmocka_unit_test(nesting_ends_at_64_levels),
        cmocka_unit_test(alias_bombs_are_refused),
        cmocka_unit_test(the_callback_can_stop_the_stream),
        cmocka_unit_test(trees_are_written_in_block_style),
        cmocka_unit_test(odd_strings_survive_as_names_and_values),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}

#include "cli/jsonpath.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char doc_text[] =
    "{\"kind\":\"List\",\"items\":["
    "{\"metadata\":{\"name\":\"a\",\"annotations\":{\"example.com/x\":\"one\"}},\"spec\":{\"weight\":10,\"ready\":true,\"ports\":[80,443]}},"
    "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"weight\":90,\"ready\":false,\"ports\":[8080]}},"
    "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"weight\":5}}]}";

static const struct {
    const char *template, *want;
} accepted[] = {
    {"{.kind}", "List"},
    {"{$.kind}", "List"},
    {"kind", "List"},
    {".kind", "List"},
    {"{kind}", "List"},
    {"is {.kind}!", "is List!"},
    {"{.items[*].metadata.name}", "a b c"},
    {"{.items[0].metadata.name}", "a"},
    {"{.items[-1].metadata.name}", "c"},
    {"{.items[9].metadata.name}", ""},
    {"{.items[0:2].metadata.name}", "a b"},
    {"{.items[1:].metadata.name}", "b c"},
    {"{.items[:-1].metadata.name}", "a b"},
    {"{.items[::2].metadata.name}", "a c"},
    {"{.items[0,2].metadata.name}", "a c"},
    {"{.items[*]['metadata'].name}", "a b c"},
    {"{.items[*].metadata['name']}", "a b c"},
    {"{.items[0].metadata.annotations.example\\.com/x}", "one"},
    {"{.items[0].metadata.annotations['example.com/x']}", "one"},
    {"{..name}", "a b c"},
    {"{.items..weight}", "10 90 5"},
    {"{.items[0].spec.ports}", "[80,443]"},
    {"{.items[0].spec.ports[*]}", "80 443"},
    {"{.items[0].spec.*}", "10 true [80,443]"},
    {"{.items[?(@.metadata.name==\"b\")].spec.weight}", "90"},
    {"{.items[?(@.metadata.name=='b')].spec.weight}", "90"},
    {"{.items[?(@.spec.weight>9)].metadata.name}", "a b"},
    {"{.items[?(@.spec.weight <= 10)].metadata.name}", "a c"},
    {"{.items[?(@.spec.ready==true)].metadata.name}", "a"},
    {"{.items[?(@.spec.ready)].metadata.name}", "a b"},
    {"{.items[?(@.metadata.name!=\"b\")].metadata.name}", "a c"},
    {"{.items[?(@.spec.nothing!=1)].metadata.name}", "a b c"},
    {"{.items[?(@.metadata.name==@.metadata.name)].metadata.name}", "a b c"},
    {"{range .items[*]}{.metadata.name}={.spec.weight}{\"\\n\"}{end}", "a=10\nb=90\nc=5\n"},
    {"{range .items[*]}{.metadata.name}:{range .spec.ports[*]}{@}{\",\"}{end};{end}", "a:80,443,;b:8080,;c:;"},
    {"{.kind}{\"\\t\"}{.items[0].metadata.name}", "List\ta"},
    {"{.missing.thing}", ""},
    {"{.items[*].spec.ports[0]}", "80 8080"},
    {"", ""},
    {"plain {\"{\"} text", "plain { text"},
};

static void templates_give_what_kubectl_gives(void **state)
{
    struct arena *arena = arena_new(0);
    struct json *doc = json_parse(arena, slice_of(doc_text), NULL);
    assert_non_null(doc);
    for (size_t i = 0; i < ARRAY_LEN(accepted); ++i) {
        struct err err = ERR_INIT;
        struct strbuf out = STRBUF_INIT;
        struct cli_jsonpath *template = cli_jsonpath_parse(arena, accepted[i].template, &err);
        if (template == NULL)
            fail_msg("%s: %s", accepted[i].template, err.text);
        assert_int_equal(cli_jsonpath_write(template, doc, &out, &err), 0);
        if (strcmp(strbuf_slice(&out).base, accepted[i].want) != 0)
            fail_msg("%s gives \"%s\", not \"%s\"", accepted[i].template, out.base, accepted[i].want);
        strbuf_clear(&out);
    }
    arena_free(arena);
}

static void whole_document(void **state)
{
    struct arena *arena = arena_new(0);
    struct json *doc = json_parse(arena, SLICE("{\"a\":[1]}"), NULL);
    static const char *const templates[] = {"{@}", "{$}", "{.}"};
    for (size_t i = 0; i < ARRAY_LEN(templates); ++i) {
        struct strbuf out = STRBUF_INIT;
        struct cli_jsonpath *template = cli_jsonpath_parse(arena, templates[i], NULL);
        assert_non_null(template);
        assert_int_equal(cli_jsonpath_write(template, doc, &out, NULL), 0);
        assert_string_equal(out.base, "{\"a\":[1]}");
        strbuf_clear(&out);
    }
    arena_free(arena);
}

static void broken_templates_are_refused_with_a_place(void **state)
{
    static const char *const refused[] = {
        "{.a", "{.a[}", "{.a[1}", "{.a[?(@.b==)]}", "{.a[?(@.b=~\"x\")]}", "{.a['b]}", "{range .a}", "{end}", "{range .a}{range .b}{end}",
        "{..}", "{.a[1:2:3:4]}", "{.a[::0]}", "{.a[::-1]}", "{.a[]}", "{!}", "{.a[?(.b)]}", "{\"x}", "{.a.}x{.b..}",
    };
    struct arena *arena = arena_new(0);
    for (size_t i = 0; i < ARRAY_LEN(refused); ++i) {
        struct err err = ERR_INIT;
        if (cli_jsonpath_parse(arena, refused[i], &err) != NULL)
            fail_msg("%s is taken", refused[i]);
        assert_int_equal(err.code, ERR_INVALID);
        assert_true(err.text[0] != '\0');
    }
    arena_free(arena);
}

static void nesting_is_bounded(void **state)
{
    struct arena *arena = arena_new(0);
    struct strbuf text = STRBUF_INIT;
    struct err err = ERR_INIT;
    strbuf_adds(&text, "{");
    for (int i = 0; i < 1000; ++i)
        strbuf_adds(&text, ".a[?(@");
    assert_null(cli_jsonpath_parse(arena, text.base, &err));
    strbuf_clear(&text);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_give_what_kubectl_gives),
        cmocka_unit_test(whole_document),
        cmocka_unit_test(broken_templates_are_refused_with_a_place),
        cmocka_unit_test(nesting_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "gateway/control/selector.h"

#include "tests/unit/lib/json_fixture.h"

static struct ctl_selector parse(const char *text)
{
    struct ctl_selector selector;
    struct err err = ERR_INIT;
    if (ctl_selector_parse(arena, slice_of(text), &selector, &err) != 0)
        fail_msg("'%s': %s", text, err.text);
    return selector;
}

static void selectors_select_as_kubernetes_does(void **state)
{
    static const struct ctl_label labels[] = {{SLICE("app"), SLICE("web")},
                                              {SLICE("empty"), SLICE("")},
                                              {SLICE("example.com/tier"), SLICE("front.1")}};
    static const struct {
        const char *text;
        bool matches;
    } cases[] = {
        {"", true},
        {"  ", true},
        {"app", true},
        {"other", false},
        {"!other", true},
        {"! other", true},
        {"!app", false},
        {"app=web", true},
        {"app==web", true},
        {" app = web ", true},
        {"app=db", false},
        {"app!=web", false},
        {"app!=db", true},
        {"other!=db", true},
        {"other=", false},
        {"empty=", true},
        {"empty", true},
        {"app=", false},
        {"app in (db,web)", true},
        {"app in ( db , web )", true},
        {"app in (db)", false},
        {"app in (web,)", true},
        {"empty in ()", true},
        {"empty in (x,)", true},
        {"other in (web)", false},
        {"app notin (db)", true},
        {"app notin (web,db)", false},
        {"other notin (web)", true},
        {"app=web,!other,example.com/tier in (front.1),empty", true},
        {"app=web,other", false},
        {"app\tin\n(web)", true},
        {"in", false},
        {"notin in (x)", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct ctl_selector selector = parse(cases[i].text);
        struct ctl_selector copy = ctl_selector_copy(arena, &selector);
        struct strbuf text = STRBUF_INIT;
        ctl_selector_write(&text, &selector);
        struct ctl_selector again = parse(text.base != NULL ? text.base : "");
        if (ctl_selector_matches(&selector, labels, ARRAY_LEN(labels)) != cases[i].matches ||
            ctl_selector_matches(&copy, labels, ARRAY_LEN(labels)) != cases[i].matches ||
            ctl_selector_matches(&again, labels, ARRAY_LEN(labels)) != cases[i].matches)
            fail_msg("'%s' (%s)", cases[i].text, text.base);
        strbuf_clear(&text);
    }
}

static void what_is_no_selector_is_refused(void **state)
{
    static const struct slice cases[] = {
        SLICE(","),
        SLICE("a,"),
        SLICE(",a"),
        SLICE("a,,b"),
        SLICE("="),
        SLICE("=b"),
        SLICE("a=b=c"),
        SLICE("a b"),
        SLICE("a in"),
        SLICE("a in ("),
        SLICE("a in (b"),
        SLICE("a in b"),
        SLICE("a in (b c)"),
        SLICE("a in (b))"),
        SLICE("a ni (b)"),
        SLICE("a=!b"),
        SLICE("a!b"),
        SLICE("!"),
        SLICE("!a=b"),
        SLICE("!!a"),
        SLICE("a=-b"),
        SLICE("a=b-"),
        SLICE("-a"),
        SLICE("a-"),
        SLICE("a/b/c"),
        SLICE("/a"),
        SLICE("a/"),
        SLICE("A.com/x"),
        SLICE("a..b/x"),
        SLICE("a=b/c"),
        SLICE("a=\"b\""),
        SLICE("a\0"),
        SLICE("a\0=b"),
        SLICE("a=\xc3\xa9"),
        SLICE("a>1"),
        SLICE("a;b"),
        SLICE("a=0123456789012345678901234567890123456789012345678901234567890123"),
        SLICE("a0123456789012345678901234567890123456789012345678901234567890123"),
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct ctl_selector selector;
        struct err err = ERR_INIT;
        if (ctl_selector_parse(arena, cases[i], &selector, &err) == 0)
            fail_msg("'%s' was accepted", cases[i].base);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
    }
}

static void selectors_are_bounded(void **state)
{
    struct strbuf many = STRBUF_INIT, values = STRBUF_INIT, text = STRBUF_INIT;
    struct ctl_selector selector;
    for (int i = 0; i < 65; ++i)
        strbuf_addf(&many, "%sa%d", i != 0 ? "," : "", i);
    assert_int_equal(ctl_selector_parse(arena, strbuf_slice(&many), &selector, NULL), -1);
    strbuf_adds(&values, "a in (");
    for (int i = 0; i < 257; ++i)
        strbuf_addf(&values, "%s%d", i != 0 ? "," : "", i);
    strbuf_adds(&values, ")");
    assert_int_equal(ctl_selector_parse(arena, strbuf_slice(&values), &selector, NULL), -1);
    while (text.len <= 4096)
        strbuf_adds(&text, " ");
    assert_int_equal(ctl_selector_parse(arena, strbuf_slice(&text), &selector, NULL), -1);
    strbuf_clear(&many);
    strbuf_clear(&values);
    strbuf_clear(&text);
}

static void fields_select_by_name_and_namespace(void **state)
{
    static const struct {
        const char *text;
        int matches; /* -1: refused */
    } cases[] = {
        {"", 1},
        {"metadata.name=web", 1},
        {"metadata.name==web", 1},
        {"metadata.name!=web", 0},
        {"metadata.name=db", 0},
        {"metadata.namespace=shop,metadata.name=web", 1},
        {"metadata.namespace=shop,metadata.name!=web", 0},
        {"metadata.namespace!=", 1},
        {"metadata.name=w\\,b", 0},
        {"spec.nodeName=x", -1},
        {"metadata.name", -1},
        {"metadata.name=a,", -1},
        {",metadata.name=a", -1},
        {"metadata.name=a=b", -1},
        {"metadata.name=a\\", -1},
        {"metadata.name=a\\x", -1},
        {"=a", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct ctl_field_selector selector;
        int result = ctl_field_selector_parse(arena, slice_of(cases[i].text), &selector, NULL);
        if (result == 0) {
            struct ctl_field_selector copy = ctl_field_selector_copy(arena, &selector);
            result = ctl_field_selector_matches(&copy, SLICE("shop"), SLICE("web"));
        }
        if (result != cases[i].matches)
            fail_msg("'%s': %d", cases[i].text, result);
    }
    struct ctl_field_selector selector;
    assert_int_equal(ctl_field_selector_parse(arena, SLICE("metadata.name=a\\,b\\=c\\\\"), &selector, NULL),
                     0);
    assert_true(ctl_field_selector_matches(&selector, SLICE(""), SLICE("a,b=c\\")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selectors_select_as_kubernetes_does),
        cmocka_unit_test(what_is_no_selector_is_refused),
        cmocka_unit_test(selectors_are_bounded),
        cmocka_unit_test(fields_select_by_name_and_namespace),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}

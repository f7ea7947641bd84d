#include "core/model/snapshot.h"

#include "tests/unit/lib/json_fixture.h"

static const char *written(const struct cfg_document *doc, bool without_secrets)
{
    struct strbuf out = STRBUF_INIT;
    cfg_document_write(doc, without_secrets, &out);
    const char *copy = arena_strdup(arena, out.base);
    strbuf_clear(&out);
    return copy;
}

static struct cfg_document *reparse(const char *text)
{
    struct err err = ERR_INIT;
    struct cfg_document *doc = cfg_document_parse(slice_of(text), &err);
    if (doc == NULL)
        fail_msg("%s: %s", text, err.text);
    return doc;
}

static void order_and_spelling_do_not_matter(void **state)
{
    struct cfg_document *a = cfg_document_new(), *b = cfg_document_new();
    cfg_document_add(a, SLICE("cluster"), SLICE("x"), 1, must_parse("{\"a\":1,\"b\":[1.50]}"));
    cfg_document_add(a, SLICE("route"), SLICE("y"), 2, must_parse("{}"));
    cfg_document_add(b, SLICE("route"), SLICE("y"), 9, must_parse("{ }"));
    cfg_document_add(b, SLICE("cluster"), SLICE("x"), 8, must_parse("{\"b\":[15e-1],\"a\":1}"));
    assert_int_equal(cfg_document_seal(a, NULL), 0);
    assert_int_equal(cfg_document_seal(b, NULL), 0);
    assert_true(cfg_document_sum(a) == cfg_document_sum(b));
    struct strbuf out = STRBUF_INIT;
    assert_false(cfg_document_diff(a, b, &out));
    assert_int_equal(out.len, 0);
    assert_non_null(cfg_document_find(a, SLICE("route"), SLICE("y")));
    assert_null(cfg_document_find(a, SLICE("route"), SLICE("x")));
    cfg_document_free(a);
    cfg_document_free(b);
}

static void two_of_a_name_are_refused(void **state)
{
    struct cfg_document *doc = cfg_document_new();
    struct err err = ERR_INIT;
    cfg_document_add(doc, SLICE("route"), SLICE("y"), 1, must_parse("{}"));
    cfg_document_add(doc, SLICE("route"), SLICE("y"), 1, must_parse("{\"a\":1}"));
    assert_int_equal(cfg_document_seal(doc, &err), -1);
    assert_string_equal(err.text, "route 'y' is there twice");
    cfg_document_free(doc);
}

static void wire_form_round_trips(void **state)
{
    struct cfg_document *doc = cfg_document_new();
    doc->epoch = 0x00ff00ff00ff00ff;
    doc->rev = 12;
    cfg_document_add(doc, SLICE("certificate"), SLICE("a/b"), 3,
                     must_parse("{\"certPem\":\"C\",\"keyPem\":\"planted-key\"}"));
    cfg_document_add(doc, SLICE("cluster"), SLICE("\"q\""), 4, must_parse("{\"host\":\"h\"}"));
    assert_int_equal(cfg_document_seal(doc, NULL), 0);
    struct cfg_document *again = reparse(written(doc, false));
    assert_true(again->epoch == doc->epoch);
    assert_int_equal(again->rev, 12);
    assert_int_equal(again->resources[1].rev, 4);
    assert_true(cfg_document_sum(again) == cfg_document_sum(doc));
    assert_string_equal(written(again, false), written(doc, false));
    cfg_document_free(again);

    const char *public = written(doc, true);
    assert_null(strstr(public, "planted-key"));
    again = reparse(public);
    assert_int_equal(again->num, 2);
    cfg_document_free(again);
    cfg_document_free(doc);
}

static void damaged_documents_are_refused(void **state)
{
    static const struct {
        const char *text, *expected;
        enum err_code code;
    } cases[] = {
        {"", NULL, ERR_BAD_REQUEST},
        {"{}", "epoch: Required value; rev: Required value; resources: Required value; sum: Required value",
         ERR_INVALID},
        {"{\"epoch\":\"1\",\"rev\":1,\"resources\":[],\"sum\":\"0000000000000000\"}",
         "epoch: Invalid value: \"1\": must be 16 hexadecimal digits", ERR_INVALID},
        {"{\"epoch\":\"0000000000000000\",\"rev\":1,\"resources\":[],\"sum\":\"0000000000000001\"}",
         "the sum of the resources is 0000000000000000, not 0000000000000001", ERR_CONFLICT},
        {"{\"epoch\":\"0000000000000000\",\"rev\":1,\"resources\":[{\"kind\":\"a\",\"name\":\"b\",\"rev\":1}]"
         ",\"sum\":"
         "\"0000000000000001\"}",
         "resources[0].spec: Required value", ERR_INVALID},
        {"{\"epoch\":\"0000000000000000\",\"rev\":-1,\"resources\":[],\"sum\":\"0000000000000000\"}",
         "rev: Invalid value: -1: must be at least 0", ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct err err = ERR_INIT;
        assert_null(cfg_document_parse(slice_of(cases[i].text), &err));
        assert_int_equal(err.code, cases[i].code);
        if (cases[i].expected != NULL)
            assert_string_equal(err.text, cases[i].expected);
    }
}

/* ---- random documents ---- */

static uint64_t seed = 42;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Any of 40 names may be there, with one of three specs. */
static struct cfg_document *random_document(uint64_t rev)
{
    static const char *const kinds[] = {"cluster", "endpoints", "route"};
    static const char *const specs[] = {"{}", "{\"a\":[1,2]}", "{\"a\":\"\\u00e9\"}"};
    struct cfg_document *doc = cfg_document_new();
    doc->rev = rev;
    uint32_t density = draw(4);
    for (uint32_t i = 0; i < 40; ++i)
        if (draw(4) < density)
            cfg_document_add(doc, slice_of(kinds[i % 3]), slice_of(arena_printf(arena, "n%u", i)), rev,
                             must_parse(specs[draw(3)]));
    assert_int_equal(cfg_document_seal(doc, NULL), 0);
    return doc;
}

static void assert_same(const struct cfg_document *a, const struct cfg_document *b)
{
    struct strbuf none = STRBUF_INIT;
    assert_false(cfg_document_diff(a, b, &none));
    assert_true(cfg_document_sum(a) == cfg_document_sum(b));
    assert_int_equal(a->num, b->num);
}

static void a_patched_base_is_the_target(void **state)
{
    for (uint32_t round = 0; round < 300; ++round) {
        struct cfg_document *from = random_document(5), *to = random_document(6);
        struct strbuf delta = STRBUF_INIT;
        struct err err = ERR_INIT;
        if (cfg_document_diff(from, to, &delta)) {
            struct cfg_document *patched = cfg_document_patch(from, must_parse(delta.base), &err);
            if (patched == NULL)
                fail_msg("%s: %s", delta.base, err.text);
            assert_same(patched, to);
            assert_int_equal(patched->rev, 6);
            cfg_document_free(patched);
            /* The same delta on another base cannot pass. */
            struct cfg_document *other = random_document(5);
            struct strbuf between = STRBUF_INIT;
            struct cfg_document *wrong = cfg_document_patch(other, must_parse(delta.base), &err);
            if (wrong != NULL)
                assert_same(wrong, to); /* they differed only in what the delta replaces */
            else
                assert_int_equal(err.code, ERR_CONFLICT);
            cfg_document_free(wrong);
            strbuf_clear(&between);
            cfg_document_free(other);
        } else
            assert_same(from, to);
        strbuf_clear(&delta);
        cfg_document_free(from);
        cfg_document_free(to);
    }
}

static void a_delta_from_another_revision_is_refused(void **state)
{
    struct cfg_document *from = cfg_document_new();
    struct err err = ERR_INIT;
    from->rev = 4;
    assert_null(cfg_document_patch(from, must_parse("{\"from\":3,\"to\":5,\"sum\":\"0000000000000000\"}"), &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_string_equal(err.text, "the delta is from revision 3, this is 4");
    cfg_document_free(from);
}

static void what_stays_the_same_is_held_once_and_keeps_its_revision(void **state)
{
    struct cfg_document *before = cfg_document_new(), *doc = cfg_document_new();
    before->rev = 4;
    doc->rev = 9;
    cfg_document_add(before, SLICE("route"), SLICE("gone"), 1, must_parse("{}"));
    cfg_document_add(before, SLICE("route"), SLICE("other"), 2, must_parse("{\"a\":1}"));
    cfg_document_add(before, SLICE("route"), SLICE("same"), 3, must_parse("{\"a\":1}"));
    cfg_document_add(doc, SLICE("route"), SLICE("new"), 0, must_parse("{}"));
    cfg_document_add(doc, SLICE("route"), SLICE("other"), 0, must_parse("{\"a\":2}"));
    cfg_document_add(doc, SLICE("route"), SLICE("same"), 0, must_parse("{\"a\":1}"));
    assert_int_equal(cfg_document_seal(before, NULL), 0);
    assert_int_equal(cfg_document_seal(doc, NULL), 0);
    cfg_document_inherit(doc, before);
    cfg_document_free(before); /* the texts outlive it */
    assert_int_equal(cfg_document_find(doc, SLICE("route"), SLICE("new"))->rev, 9);
    assert_int_equal(cfg_document_find(doc, SLICE("route"), SLICE("other"))->rev, 9);
    assert_int_equal(cfg_document_find(doc, SLICE("route"), SLICE("same"))->rev, 3);
    struct cfg_document *copy = cfg_document_new();
    cfg_document_add_shared(copy, cfg_document_find(doc, SLICE("route"), SLICE("same")));
    assert_ptr_equal(copy->resources[0].text.base, cfg_document_find(doc, SLICE("route"), SLICE("same"))->text.base);
    cfg_document_free(doc);
    assert_true(slice_is(copy->resources[0].text, "{\"a\":1}"));
    cfg_document_inherit(copy, NULL);
    assert_int_equal(copy->resources[0].rev, copy->rev);
    cfg_document_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(order_and_spelling_do_not_matter, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(two_of_a_name_are_refused, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(wire_form_round_trips, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(damaged_documents_are_refused, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(a_patched_base_is_the_target, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(what_stays_the_same_is_held_once_and_keeps_its_revision, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(a_delta_from_another_revision_is_refused, arena_setup, arena_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

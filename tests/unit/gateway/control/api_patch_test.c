#include "gateway/control/api_internal.h"

#include "tests/unit/lib/json_fixture.h"

static void assert_tree(const struct json *got, const char *want)
{
    struct strbuf text = STRBUF_INIT;
    json_write(&text, got);
    if (!json_equal(got, must_parse(want)))
        fail_msg("got %s, want %s", text.base, want);
    strbuf_clear(&text);
}

struct patch_case {
    const char *document, *patch, *result; /* result NULL: refused */
};

static void json_patch_is_rfc_6902(void **state)
{
    static const struct patch_case cases[] = {
        /* appendix A */
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]", "{\"baz\":\"qux\",\"foo\":\"bar\"}"},
        {"{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]", "{\"foo\":[\"bar\",\"qux\",\"baz\"]}"},
        {"{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]", "{\"foo\":\"bar\"}"},
        {"{\"foo\":[\"bar\",\"qux\",\"baz\"]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]", "{\"foo\":[\"bar\",\"baz\"]}"},
        {"{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]", "{\"baz\":\"boo\",\"foo\":\"bar\"}"},
        {"{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
         "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
         "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}"},
        {"{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}", "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
         "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}"},
        {"{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
         "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",
         "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}"},
        {"{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NULL},
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/child\",\"value\":{\"grandchild\":{}}}]", "{\"foo\":\"bar\",\"child\":{\"grandchild\":{}}}"},
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"xyz\":123}]", "{\"foo\":\"bar\",\"baz\":\"qux\"}"},
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]", NULL},
        {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]", "{\"/\":9,\"~1\":10}"},
        {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]", NULL},
        {"{\"foo\":[\"bar\"]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]", "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}"},
        /* beyond */
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":{\"b\":2}}]", "{\"b\":2}"},
        {"{\"a\":[1]}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},{\"op\":\"add\",\"path\":\"/b/0\",\"value\":0}]", "{\"a\":[1],\"b\":[0,1]}"},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b/c\"}]", NULL},
        {"{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":1}]", NULL},
        {"{\"a\":[1]}", "[{\"op\":\"remove\",\"path\":\"/a/01\"}]", NULL},
        {"{\"a\":[1]}", "[{\"op\":\"remove\",\"path\":\"/a/-\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":1}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"a\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/~2\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"frob\",\"path\":\"/b\"}]", NULL},
        {"{\"a\":1}", "{}", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct err err = ERR_INIT;
        struct json *document = must_parse(cases[i].document);
        int status = api_patch_json(arena, &document, must_parse(cases[i].patch), &err);
        if ((status == 0) != (cases[i].result != NULL))
            fail_msg("%s on %s: %s", cases[i].patch, cases[i].document, status == 0 ? "taken" : err.text);
        if (status == 0)
            assert_tree(document, cases[i].result);
    }
}

static void a_small_json_patch_cannot_make_a_large_document(void **state)
{
    struct strbuf patch = STRBUF_INIT;
    struct err err = ERR_INIT;
    struct json *document = must_parse("{\"a\":[1]}");
    strbuf_addc(&patch, '[');
    for (int i = 0; i < 60; ++i) /* doubling: 2^60 nodes */
        strbuf_addf(&patch, "%s{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/-\"}", i != 0 ? "," : "");
    strbuf_addc(&patch, ']');
    assert_int_equal(api_patch_json(arena, &document, must_parse(patch.base), &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_true(arena_used(arena) < 512 << 20);
    strbuf_clear(&patch);
}

/* Each copy of all into its innermost object doubles the depth. */
static void a_json_patch_cannot_nest_deeper_than_a_reader_takes(void **state)
{
    struct strbuf patch = STRBUF_INIT, innermost = STRBUF_INIT;
    struct err err = ERR_INIT;
    struct json *document = must_parse("{}");
    strbuf_addc(&patch, '[');
    for (unsigned i = 0; i < 18; ++i) {
        size_t len = innermost.len;
        strbuf_addf(&patch, "%s{\"op\":\"copy\",\"from\":\"\",\"path\":\"%s/a\"}", i != 0 ? "," : "", len != 0 ? innermost.base : "");
        strbuf_adds(&innermost, "/a");
        for (size_t at = 0; at < len; at += 2)
            strbuf_adds(&innermost, "/a");
    }
    strbuf_addc(&patch, ']');
    assert_int_equal(api_patch_json(arena, &document, must_parse(patch.base), &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.text, "patch[6]: the result would nest deeper than 64 levels"));
    strbuf_clear(&patch);
    strbuf_clear(&innermost);
}

static void merge_patch_is_rfc_7386(void **state)
{
    static const struct patch_case cases[] = {
        /* appendix A */
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct err err = ERR_INIT;
        struct json *document = must_parse(cases[i].document);
        assert_int_equal(api_patch_merge(arena, &document, must_parse(cases[i].patch), &err), 0);
        assert_tree(document, cases[i].result);
    }
}

static void strategic_patch_merges_keyed_lists(void **state)
{
    static const char service[] = "{\"spec\":{\"ports\":[{\"port\":80,\"name\":\"a\"},{\"port\":81,\"name\":\"b\"}],\"selector\":{\"x\":\"y\"}}}";
    static const struct patch_case cases[] = {
        {service, "{\"spec\":{\"ports\":[{\"port\":81,\"name\":\"c\"}]}}",
         "{\"spec\":{\"ports\":[{\"port\":80,\"name\":\"a\"},{\"port\":81,\"name\":\"c\"}],\"selector\":{\"x\":\"y\"}}}"},
        {service, "{\"spec\":{\"ports\":[{\"port\":82,\"name\":\"c\",\"appProtocol\":null}]}}",
         "{\"spec\":{\"ports\":[{\"port\":80,\"name\":\"a\"},{\"port\":81,\"name\":\"b\"},{\"port\":82,\"name\":\"c\"}],\"selector\":{\"x\":\"y\"}}}"},
        {service, "{\"spec\":{\"ports\":[{\"port\":80,\"$patch\":\"delete\"}]}}",
         "{\"spec\":{\"ports\":[{\"port\":81,\"name\":\"b\"}],\"selector\":{\"x\":\"y\"}}}"},
        {service, "{\"spec\":{\"ports\":[{\"$patch\":\"replace\"},{\"port\":1,\"name\":\"n\"}]}}",
         "{\"spec\":{\"ports\":[{\"port\":1,\"name\":\"n\"}],\"selector\":{\"x\":\"y\"}}}"},
        {service, "{\"spec\":{\"$setElementOrder/ports\":[{\"port\":81},{\"port\":80}],\"ports\":[{\"port\":80,\"name\":\"z\"}]}}",
         "{\"spec\":{\"ports\":[{\"port\":81,\"name\":\"b\"},{\"port\":80,\"name\":\"z\"}],\"selector\":{\"x\":\"y\"}}}"},
        {service, "{\"spec\":{\"selector\":{\"$patch\":\"replace\",\"q\":\"r\"},\"ports\":null}}", "{\"spec\":{\"selector\":{\"q\":\"r\"}}}"},
        {service, "{\"spec\":{\"$retainKeys\":[\"ports\"]}}", "{\"spec\":{\"ports\":[{\"port\":80,\"name\":\"a\"},{\"port\":81,\"name\":\"b\"}]}}"},
        {"{\"metadata\":{\"x\":[1,2,1]}}", "{\"metadata\":{\"$deleteFromPrimitiveList/x\":[1]}}", "{\"metadata\":{\"x\":[2]}}"},
        {service, "{\"spec\":{\"ports\":[{\"name\":\"c\"}]}}", NULL},
        {service, "{\"spec\":{\"$patch\":\"frob\"}}", NULL},
        {service, "[]", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct err err = ERR_INIT;
        struct json *document = must_parse(cases[i].document);
        int status = api_patch_strategic(arena, kind_get(KIND_SERVICE)->schema, document, must_parse(cases[i].patch), &err);
        if ((status == 0) != (cases[i].result != NULL))
            fail_msg("%s: %s", cases[i].patch, status == 0 ? "taken" : err.text);
        if (status == 0)
            assert_tree(document, cases[i].result);
    }
}

static void expect_too_much_work(const char *document, const struct strbuf *patch)
{
    struct err err = ERR_INIT;
    assert_int_equal(api_patch_strategic(arena, kind_get(KIND_SERVICE)->schema, must_parse(document), must_parse(patch->base), &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

/* Of each kind of member that copies nothing: looking it up among those before is all the work. */
static void a_strategic_patch_ends_where_its_work_gets_too_much(void **state)
{
    static const char *const values[] = {"{}", "null"};
    for (size_t v = 0; v < ARRAY_LEN(values); ++v) {
        struct strbuf document = STRBUF_INIT, patch = STRBUF_INIT;
        strbuf_adds(&document, "{\"spec\":{\"selector\":{");
        for (int i = 0; i < 10000; ++i)
            strbuf_addf(&document, "%s\"a%d\":1", i != 0 ? "," : "", i);
        strbuf_adds(&document, "}}}");
        strbuf_adds(&patch, "{\"spec\":{\"selector\":{");
        for (int i = 0; i < 10000; ++i)
            strbuf_addf(&patch, "%s\"b%d\":%s", i != 0 ? "," : "", i, values[v]);
        strbuf_adds(&patch, "}}}");
        expect_too_much_work(document.base, &patch);
        strbuf_clear(&document);
        strbuf_clear(&patch);
    }
}

static void deleting_from_a_long_list_is_work_too(void **state)
{
    struct strbuf patch = STRBUF_INIT;
    strbuf_adds(&patch, "{\"metadata\":{\"$deleteFromPrimitiveList/x\":[2],\"x\":[0");
    for (int i = 0; i < 20000; ++i)
        strbuf_adds(&patch, i < 10000 ? ",1" : ",2");
    strbuf_adds(&patch, "]}}");
    expect_too_much_work("{}", &patch);
    strbuf_clear(&patch);
}

/* ---------- server-side apply ---------- */

static struct api_change apply_change(const struct json *old, const char *manager, bool is_forced)
{
    return (struct api_change){.target = {.kind = kind_get(KIND_SERVICE), .version = "v1", .ns = SLICE("default"), .name = SLICE("web")},
                               .arena = arena,
                               .old = old,
                               .options = {.manager = slice_of(manager), .is_forced = is_forced},
                               .now_us = 1700000000000000};
}

/* The finished object, or NULL: refused. */
static struct json *apply(const struct json *old, const char *manager, const char *text, bool is_forced, struct err *err)
{
    struct api_change change = apply_change(old, manager, is_forced);
    field_report_init(&change.report, arena);
    if (api_fields_apply(&change, must_parse(text), err) != 0 || api_change_finish(&change, err) != 0)
        return NULL;
    return change.new;
}

#define HEAD "\"apiVersion\":\"v1\",\"kind\":\"Service\","
#define PORTS "\"spec\":{\"ports\":[{\"port\":80,\"name\":\"http\"}]}"

static void apply_removes_what_its_manager_leaves_out_and_nobody_else_owns(void **state)
{
    struct err err = ERR_INIT;
    struct json *a = apply(NULL, "a", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"1\",\"y\":\"1\"}}," PORTS "}", false, &err);
    assert_non_null(a);
    struct json *b = apply(a, "b", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"y\":\"1\"}}}", false, &err);
    assert_non_null(b);
    struct json *c = apply(b, "a", "{" HEAD "\"metadata\":{\"name\":\"web\"}," PORTS "}", false, &err);
    assert_non_null(c);
    assert_tree(json_find(c, "metadata", "labels", NULL), "{\"y\":\"1\"}");
    assert_int_equal(json_find(c, "spec", "ports", NULL)->num, 1);
}

static void apply_conflicts_on_fields_of_others_unless_forced(void **state)
{
    struct err err = ERR_INIT;
    struct json *a = apply(NULL, "a", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"1\"}}," PORTS "}", false, &err);
    static const char other[] = "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"2\"}}}";
    assert_null(apply(a, "b", other, false, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    struct json *b = apply(a, "b", other, true, &err);
    assert_string_equal(json_str(json_find(b, "metadata", "labels", "x", NULL), ""), "2");
    err = ERR_INIT;
    assert_null(apply(b, "a", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"1\"}}," PORTS "}", false, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
}

static void apply_of_the_same_changes_nothing(void **state)
{
    static const char text[] = "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"1\"}}," PORTS "}";
    struct err err = ERR_INIT;
    struct json *a = apply(NULL, "a", text, false, &err);
    struct api_change again = apply_change(a, "a", false);
    again.now_us += 5000000;
    field_report_init(&again.report, arena);
    assert_int_equal(api_fields_apply(&again, must_parse(text), &err), 0);
    assert_int_equal(api_change_finish(&again, &err), 0);
    assert_true(again.is_same);
}

static void keyed_items_are_owned_one_by_one(void **state)
{
    struct err err = ERR_INIT;
    struct json *a = apply(NULL, "a", "{" HEAD "\"metadata\":{\"name\":\"web\"}," PORTS "}", false, &err);
    struct json *b = apply(a, "b", "{" HEAD "\"metadata\":{\"name\":\"web\"},\"spec\":{\"ports\":[{\"port\":81,\"name\":\"b\"}]}}", false, &err);
    assert_non_null(b);
    assert_int_equal(json_find(b, "spec", "ports", NULL)->num, 2);
    struct json *c = apply(b, "b", "{" HEAD "\"metadata\":{\"name\":\"web\"}}", false, &err);
    assert_int_equal(json_find(c, "spec", "ports", NULL)->num, 1);
}

static void updates_take_over_what_they_change(void **state)
{
    struct err err = ERR_INIT;
    struct json *a = apply(NULL, "a", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"1\"}}," PORTS "}", false, &err);
    struct api_change update = apply_change(a, "editor", false);
    update.new = json_clone(arena, a);
    json_set_str(arena, json_find(update.new, "metadata", "labels", NULL), "x", "2");
    assert_int_equal(api_change_finish(&update, &err), 0);
    assert_null(apply(update.new, "a", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"1\"}}," PORTS "}", false, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "editor"));
}

static void an_empty_object_that_is_left_out_takes_nothing_of_others_along(void **state)
{
    struct err err = ERR_INIT;
    struct json *a = apply(NULL, "a", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{}}," PORTS "}", false, &err);
    struct json *b = apply(a, "b", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"1\"}}}", false, &err);
    struct json *c = apply(b, "a", "{" HEAD "\"metadata\":{\"name\":\"web\"}," PORTS "}", false, &err);
    assert_tree(json_find(c, "metadata", "labels", NULL), "{\"x\":\"1\"}");
}

/* As kubectl's client-side apply leaves it, with a label and a port that somebody else added. */
static struct json *applied_by_client(void)
{
    struct err err = ERR_INIT;
    struct api_change create = apply_change(NULL, "kubectl-client-side-apply", false);
    create.new = must_parse("{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"1\",\"y\":\"1\",\"z\":\"9\"},\"annotations\":{"
                            "\"kubectl.kubernetes.io/last-applied-configuration\":"
                            "\"{\\\"metadata\\\":{\\\"annotations\\\":{},\\\"labels\\\":{\\\"x\\\":\\\"1\\\",\\\"y\\\":\\\"1\\\",\\\"z\\\":\\\"1\\\"}},"
                            "\\\"spec\\\":{\\\"ports\\\":[{\\\"port\\\":80,\\\"name\\\":\\\"http\\\"}]}}\"}},"
                            "\"spec\":{\"ports\":[{\"port\":80,\"name\":\"http\"},{\"port\":81,\"name\":\"b\"}]}}");
    assert_int_equal(api_change_finish(&create, &err), 0);
    return create.new;
}

static void kubectl_goes_on_from_what_its_client_side_apply_gave(void **state)
{
    struct err err = ERR_INIT;
    struct json *a = apply(applied_by_client(), "kubectl", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"2\"}}," PORTS "}", false, &err);
    assert_non_null(a);
    assert_tree(json_find(a, "metadata", "labels", NULL), "{\"x\":\"2\",\"z\":\"9\"}"); /* z was changed by somebody else since */
    assert_int_equal(json_find(a, "spec", "ports", NULL)->num, 2);
    assert_non_null(json_find(a, "metadata", "annotations", NULL));
}

static void what_others_changed_since_client_side_apply_is_theirs(void **state)
{
    struct err err = ERR_INIT;
    assert_null(apply(applied_by_client(), "kubectl", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"z\":\"2\"}}," PORTS "}", false, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    err = ERR_INIT;
    assert_null(apply(applied_by_client(), "other", "{" HEAD "\"metadata\":{\"name\":\"web\",\"labels\":{\"x\":\"2\"}}," PORTS "}", false, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
}

/* With fieldValidation=Ignore: as deep as a reader takes, so that the owned fields would be deeper. */
static void nobody_owns_what_the_table_does_not_know(void **state)
{
    struct strbuf applied = STRBUF_INIT, stored = STRBUF_INIT;
    struct err err = ERR_INIT;
    struct api_change change = apply_change(NULL, "a", false);
    change.options.unknown = FIELD_UNKNOWN_IGNORE;
    field_report_init(&change.report, arena);
    strbuf_adds(&applied, "{" HEAD "\"metadata\":{\"name\":\"web\"}," PORTS ",\"more\":");
    for (int i = 0; i < JSON_MAX_DEPTH - 1; ++i)
        strbuf_adds(&applied, "{\"a\":");
    strbuf_adds(&applied, "1");
    for (int i = 0; i < JSON_MAX_DEPTH; ++i)
        strbuf_addc(&applied, '}');
    assert_int_equal(api_fields_apply(&change, must_parse(applied.base), &err), 0);
    assert_int_equal(api_change_finish(&change, &err), 0);
    json_write(&stored, change.new);
    assert_null(strstr(stored.base, "f:more"));
    assert_tree(change.new, stored.base);
    strbuf_clear(&applied);
    strbuf_clear(&stored);
}

/* Each of these would be looked for among all others, by a text made anew for each look. */
static void apply_refuses_lists_that_are_too_long_before_it_merges(void **state)
{
    struct strbuf applied = STRBUF_INIT;
    struct err err = ERR_INIT;
    struct json *live = apply(NULL, "a", "{" HEAD "\"metadata\":{\"name\":\"web\"}," PORTS "}", false, &err);
    strbuf_adds(&applied, "{" HEAD "\"metadata\":{\"name\":\"web\"},\"spec\":{\"ports\":[");
    for (int i = 1; i <= 3000; ++i)
        strbuf_addf(&applied, "%s{\"port\":%d}", i != 1 ? "," : "", i);
    strbuf_adds(&applied, "]}}");
    size_t used = arena_used(arena);
    assert_null(apply(live, "b", applied.base, false, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.text, "spec.ports: Too many: 3000: must have at most 100 items");
    assert_true(arena_used(arena) - used < 16 << 20);
    strbuf_clear(&applied);
}

/* ---------- differences ---------- */

static void differences_name_paths_and_leave_out_noise(void **state)
{
    struct json *from = must_parse("{\"metadata\":{\"resourceVersion\":\"1\",\"labels\":{\"a.b/c\":\"1\"}},\"spec\":{\"l\":[{\"name\":\"x\",\"v\":1}],\"h\":[1,2]}}");
    struct json *to = must_parse("{\"metadata\":{\"resourceVersion\":\"2\",\"labels\":{\"a.b/c\":\"2\"}},\"spec\":{\"l\":[{\"name\":\"w\"},{\"name\":\"x\",\"v\":2}],\"h\":[1]}}");
    assert_tree(api_diff(arena, from, to, 100),
                "[{\"path\":\"metadata.labels[a.b/c]\",\"op\":\"replace\",\"from\":\"1\",\"to\":\"2\"},"
                "{\"path\":\"spec.l[x].v\",\"op\":\"replace\",\"from\":1,\"to\":2},"
                "{\"path\":\"spec.l[w]\",\"op\":\"add\",\"to\":{\"name\":\"w\"}},"
                "{\"path\":\"spec.h[1]\",\"op\":\"remove\",\"from\":2}]");
    assert_int_equal(api_diff(arena, from, to, 2)->num, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(json_patch_is_rfc_6902, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(a_small_json_patch_cannot_make_a_large_document, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(a_json_patch_cannot_nest_deeper_than_a_reader_takes, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(merge_patch_is_rfc_7386, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(strategic_patch_merges_keyed_lists, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(a_strategic_patch_ends_where_its_work_gets_too_much, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(deleting_from_a_long_list_is_work_too, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(apply_removes_what_its_manager_leaves_out_and_nobody_else_owns, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(apply_conflicts_on_fields_of_others_unless_forced, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(apply_of_the_same_changes_nothing, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(keyed_items_are_owned_one_by_one, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(updates_take_over_what_they_change, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(an_empty_object_that_is_left_out_takes_nothing_of_others_along, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(kubectl_goes_on_from_what_its_client_side_apply_gave, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(what_others_changed_since_client_side_apply_is_theirs, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(nobody_owns_what_the_table_does_not_know, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(apply_refuses_lists_that_are_too_long_before_it_merges, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(differences_name_paths_and_leave_out_noise, arena_setup, arena_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

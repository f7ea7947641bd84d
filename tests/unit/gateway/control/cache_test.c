#include "core/base/clock.h"
#include "core/net/worker.h"
#include "gateway/control/cache.h"
#include "tests/unit/lib/store_fixture.h"
#include "tests/unit/lib/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { RING = 16 };
#define ROUTES "gateway.networking.k8s.io/httproutes"

static char *folder, path[512];
static struct net_worker *worker;
static struct ctl_cache *cache;
static struct ctl_store *store;
static struct arena *arena;
static struct strbuf told;

/* ---------- a store with a cache over it ---------- */

static void open_all(void)
{
    struct err err = ERR_INIT;
    cache = ctl_cache_new(worker, RING);
    struct ctl_store_config config = {.path = path,
                                      .on_commit = ctl_cache_on_commit,
                                      .keep_days = 1,
                                      .keep_revisions = 4,
                                      .min_needed_rev = ctl_cache_min_needed_rev,
                                      .data = cache};
    store = ctl_store_open(&config, &err);
    if (store == NULL || ctl_cache_load(cache, store, &err) != 0)
        fail_msg("%s", err.text);
}

static void close_all(void)
{
    store = ctl_store_close(store);
    net_worker_turn(worker, 0); /* what the store still sent */
    cache = ctl_cache_free(cache);
}

static int setup(void **state)
{
    folder = tempdir_new();
    snprintf(path, sizeof(path), "%s/control.db", folder);
    worker = net_worker_new(0, 0, 0);
    arena = arena_new(0);
    open_all();
    return 0;
}

static int teardown(void **state)
{
    close_all();
    arena = arena_free(arena);
    worker = net_worker_free(worker);
    strbuf_clear(&told);
    tempdir_free(folder);
    return 0;
}

static const char *object_text(const char *name, const char *labels, int n)
{
    return arena_printf(
        arena, "{\"kind\":\"HTTPRoute\",\"metadata\":{\"name\":\"%s\",\"labels\":{%s}},\"spec\":{\"n\":%d}}",
        name, labels, n);
}

/* Commits, and lets the cache see it. */
static uint64_t put_labelled(const char *name, const char *labels, int n)
{
    uint64_t rev = put(store, name, object_text(name, labels, n));
    assert_int_not_equal(rev, 0);
    net_worker_turn(worker, 0);
    assert_int_equal(ctl_cache_rev(cache), rev);
    return rev;
}

static uint64_t remove_one(const char *name)
{
    struct ctl_write write = delete_of(name);
    uint64_t rev = write_all(store, &write, 1, NULL);
    net_worker_turn(worker, 0);
    return rev;
}

static struct ctl_filter filter_of(const char *ns, const char *labels, const char *fields)
{
    struct ctl_filter filter = {.kind = SLICE(ROUTES), .ns = slice_of(ns)};
    assert_int_equal(ctl_selector_parse(arena, slice_of(labels), &filter.labels, NULL), 0);
    assert_int_equal(ctl_field_selector_parse(arena, slice_of(fields), &filter.fields, NULL), 0);
    return filter;
}

/* ---------- objects ---------- */

static void the_revision_is_put_into_metadata(void **state)
{
    static const struct {
        const char *stored, *shown;
    } cases[] = {
        {"{\"metadata\":{\"name\":\"a\"}}", "{\"metadata\":{\"resourceVersion\":\"7\",\"name\":\"a\"}}"},
        {"{\"metadata\":{}}", "{\"metadata\":{\"resourceVersion\":\"7\"}}"},
        {"{\"metadata\" : { } }", "{\"metadata\" : {\"resourceVersion\":\"7\" } }"},
        {"{\"x\":{\"metadata\":{}},\"s\":\"\\\"metadata\\\":{\",\"metadata\":{\"n\":1}}",
         "{\"x\":{\"metadata\":{}},\"s\":\"\\\"metadata\\\":{\",\"metadata\":{\"resourceVersion\":\"7\","
         "\"n\":1}}"},
        {"{\"a\":\"metadata\",\"b\":[\"metadata\"]}", "{\"a\":\"metadata\",\"b\":[\"metadata\"]}"},
        {"{\"metadata\":null}", "{\"metadata\":null}"},
        {"{}", "{}"},
    };
    struct ctl_key key = key_of_name("a");
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct ctl_object *object = ctl_object_new(&key, 7, slice_of(cases[i].stored));
        struct strbuf out = STRBUF_INIT;
        ctl_object_write(&out, object, 7);
        assert_string_equal(out.base, cases[i].shown);
        assert_non_null(ctl_object_tree(arena, object));
        strbuf_clear(&out);
        ctl_object_unref(object);
    }
}

static void an_object_knows_what_lists_need(void **state)
{
    struct ctl_key key = key_of_name("a");
    struct ctl_object *object =
        ctl_object_new(&key, 3,
                       SLICE("{\"metadata\":{\"uid\":\"u-1\",\"generation\":4,\"deletionTimestamp\":\"x\","
                             "\"labels\":{\"b\":\"2\",\"a\":\"1\"}}}"));
    assert_true(slice_is(object->key.name, "a") && slice_is(object->key.ns, "shop") &&
                slice_is(object->key.kind, ROUTES));
    assert_true(slice_is(object->uid, "u-1"));
    assert_int_equal(object->generation, 4);
    assert_true(object->is_deleting);
    assert_int_equal(object->num_labels, 2);
    assert_true(slice_is(object->labels[0].key, "a") && slice_is(object->labels[1].value, "2"));
    struct json *tree = ctl_object_tree(arena, object);
    assert_string_equal(json_str(json_find(tree, "metadata", "resourceVersion", NULL), ""), "3");
    ctl_object_unref(ctl_object_ref(object));
    ctl_object_unref(object);
    object = ctl_object_new(&key, 3, SLICE("[]"));
    assert_null(ctl_object_tree(arena, object));
    ctl_object_unref(object);
}

/* ---------- at head ---------- */

static void the_cache_follows_the_store(void **state)
{
    struct ctl_key a = key_of_name("a"), b = key_of_name("b");
    assert_null(ctl_cache_get(cache, &a));
    put_labelled("b", "", 1);
    put_labelled("a", "", 2);
    assert_int_equal(ctl_cache_len(cache), 2);
    assert_int_equal(ctl_cache_get(cache, &b)->rev, 1);
    put_labelled("b", "", 3);
    assert_int_equal(ctl_cache_get(cache, &b)->rev, 3);
    remove_one("a");
    assert_null(ctl_cache_get(cache, &a));
    assert_int_equal(ctl_cache_len(cache), 1);
    close_all();
    open_all();
    assert_int_equal(ctl_cache_len(cache), 1);
    assert_int_equal(ctl_cache_rev(cache), 4);
    assert_int_equal(ctl_cache_get(cache, &b)->rev, 3);
}

static void changes_read_at_the_start_are_not_applied_twice(void **state)
{
    put(store, "a", object_text("a", "", 1));
    struct ctl_cache *late = ctl_cache_new(worker, RING);
    assert_int_equal(ctl_cache_load(late, store, NULL), 0);
    struct ctl_key key = key_of_name("a");
    struct ctl_change change = {
        .rev = 1, .op = CTL_PUT, .key = key, .object = slice_of(object_text("a", "", 1))};
    ctl_cache_on_commit(late, &change, 1);
    struct ctl_change next = {.rev = 2, .op = CTL_DELETE, .key = key, .object = change.object};
    ctl_cache_on_commit(late, &next, 1);
    net_worker_turn(worker, 0);
    assert_int_equal(ctl_cache_rev(late), 2);
    assert_int_equal(ctl_cache_len(late), 0);
    ctl_cache_free(late);
}

static void on_changes(struct ctl_listener *listener, const struct ctl_applied *changes, size_t num)
{
    for (size_t i = 0; i < num; ++i)
        strbuf_addf(&told, "%llu:%s%s%s ", (unsigned long long)changes[i].rev,
                    changes[i].before != NULL ? "-" : "", changes[i].after != NULL ? "+" : "",
                    changes[i].is_status ? "s" : "");
}

static void listeners_hear_each_change(void **state)
{
    struct ctl_listener listener = {.run = on_changes};
    ctl_cache_listen(cache, &listener);
    struct ctl_write writes[] = {put_of("a", "{}"), put_of("b", "{}")};
    writes[1].is_status = true;
    write_all(store, writes, 2, NULL);
    net_worker_turn(worker, 0);
    put_labelled("a", "", 1);
    remove_one("a");
    assert_string_equal(told.base, "1:+ 1:+s 2:-+ 3:- ");
    ctl_cache_unlisten(&listener);
    ctl_cache_unlisten(&listener);
    put_labelled("a", "", 1);
    assert_string_equal(told.base, "1:+ 1:+s 2:-+ 3:- ");
}

static void a_view_stays_as_it_was(void **state)
{
    struct ctl_write service = {
        .op = CTL_PUT, .key = {SLICE("/services"), SLICE("x"), SLICE("s")}, .object = SLICE("{}")};
    put_labelled("b", "", 1);
    write_all(store, &service, 1, NULL);
    put_labelled("a", "", 1);
    struct ctl_view *view = ctl_cache_view(cache);
    put_labelled("a", "", 2);
    remove_one("b");
    assert_int_equal(view->num, 3);
    assert_int_equal(view->rev, 3);
    size_t num;
    struct ctl_object **routes = ctl_view_kind(view, SLICE(ROUTES), &num);
    assert_int_equal(num, 2);
    assert_int_equal(routes[0]->rev, 3);
    assert_true(slice_is(routes[1]->key.name, "b"));
    assert_true(slice_is(ctl_view_kind(view, SLICE("/services"), &num)[0]->key.name, "s"));
    assert_int_equal(num, 1);
    (void)ctl_view_kind(view, SLICE("zzz"), &num); /* nothing to look at */
    assert_int_equal(num, 0);
    ctl_view_free(view);
}

/* ---------- lists ---------- */

static const char *list(const struct ctl_filter *filter, size_t limit, struct slice *token,
                        struct ctl_list *ret)
{
    struct strbuf out = STRBUF_INIT;
    struct err err = ERR_INIT;
    if (ctl_cache_list(cache, filter, limit, *token, arena, ret, &err) != 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < ret->num; ++i)
        strbuf_addf(&out, "%.*s/%.*s ", (int)ret->objects[i]->key.ns.len, ret->objects[i]->key.ns.base,
                    (int)ret->objects[i]->key.name.len, ret->objects[i]->key.name.base);
    *token = ret->next;
    const char *text = arena_strdup(arena, out.base != NULL ? out.base : "");
    strbuf_clear(&out);
    return text;
}

static void put_in(const char *ns, const char *name, const char *labels)
{
    struct ctl_write write = put_of(name, object_text(name, labels, 0));
    write.key.ns = slice_of(ns);
    assert_int_not_equal(write_all(store, &write, 1, NULL), 0);
    net_worker_turn(worker, 0);
}

static void lists_are_ordered_and_filtered(void **state)
{
    put_in("b", "x", "\"app\":\"web\"");
    put_in("a", "y", "\"app\":\"db\"");
    put_in("a", "x", "\"app\":\"web\"");
    put_in("ab", "z", "");
    static const struct {
        const char *ns, *labels, *fields, *expected;
    } cases[] = {
        {"", "", "", "a/x a/y ab/z b/x "},
        {"a", "", "", "a/x a/y "},
        {"ab", "", "", "ab/z "},
        {"c", "", "", ""},
        {"", "app=web", "", "a/x b/x "},
        {"a", "app", "", "a/x a/y "},
        {"", "!app", "", "ab/z "},
        {"", "", "metadata.name=x", "a/x b/x "},
        {"", "", "metadata.namespace=b", "b/x "},
        {"b", "app=db", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct ctl_filter filter = filter_of(cases[i].ns, cases[i].labels, cases[i].fields);
        struct ctl_list found;
        struct slice token = SLICE("");
        assert_string_equal(list(&filter, 0, &token, &found), cases[i].expected);
        assert_int_equal(found.rev, 4);
        assert_int_equal(token.len, 0);
        assert_int_equal(found.remaining, -1);
    }
    struct ctl_filter unknown = {.kind = SLICE("no/such")};
    struct ctl_list found;
    struct slice token = SLICE("");
    assert_string_equal(list(&unknown, 0, &token, &found), "");
}

static void pages_go_on_where_the_last_one_ended(void **state)
{
    for (int i = 0; i < 7; ++i)
        put_in(i < 4 ? "a" : "b", arena_printf(arena, "n%d", i), i % 2 == 0 ? "\"even\":\"\"" : "");
    struct ctl_filter every = filter_of("", "", "");
    struct ctl_list page;
    struct slice token = SLICE("");
    assert_string_equal(list(&every, 3, &token, &page), "a/n0 a/n1 a/n2 ");
    assert_int_equal(page.remaining, 4);
    put_in("a", "n2x", "");
    remove_one("none"); /* no such: nothing happens */
    assert_string_equal(list(&every, 3, &token, &page), "a/n3 b/n4 b/n5 ");
    assert_int_equal(page.rev, 7); /* the first page's: to watch from */
    assert_int_equal(page.remaining, 1);
    assert_string_equal(list(&every, 3, &token, &page), "b/n6 ");
    assert_int_equal(token.len, 0);

    struct ctl_filter even = filter_of("", "even", "");
    token = SLICE("");
    assert_string_equal(list(&even, 2, &token, &page), "a/n0 a/n2 ");
    assert_int_equal(page.remaining, -1);
    assert_string_equal(list(&even, 2, &token, &page), "b/n4 b/n6 ");
    assert_int_equal(token.len, 0);

    struct ctl_filter in_b = filter_of("b", "", "");
    token = SLICE("");
    assert_string_equal(list(&in_b, 2, &token, &page), "b/n4 b/n5 ");
    assert_string_equal(list(&in_b, 2, &token, &page), "b/n6 ");
}

static void all_pages_show_one_revision(void **state)
{
    for (int i = 0; i < 6; ++i)
        put_labelled(arena_printf(arena, "n%d", i), "\"old\":\"\"", i);
    struct ctl_filter every = filter_of("", "", ""), old = filter_of("", "old", "");
    struct ctl_list page;
    struct slice token = SLICE(""), first, labelled = SLICE("");
    (void)list(&old, 2, &labelled, &page);
    (void)list(&every, 2, &token, &page);
    first = token;
    put_labelled("n3", "", 33); /* changed, twice */
    put_labelled("n3", "", 333);
    remove_one("n4");
    remove_one("n5"); /* there again */
    put_labelled("n5", "", 55);
    put_labelled("n25", "", 9); /* new, and new but gone */
    put_labelled("n26", "", 9);
    remove_one("n26");
    remove_one("n0"); /* behind us */
    list(&every, 0, &token, &page);
    assert_int_equal(page.num, 4);
    for (int i = 0; i < 4; ++i)
        assert_true(slice_eq(page.objects[i]->json, slice_of(object_text(arena_printf(arena, "n%d", i + 2), "\"old\":\"\"", i + 2))));
    list(&old, 0, &labelled, &page); /* a selector looks at what was */
    assert_int_equal(page.num, 4);
    for (unsigned i = 0; i < RING; ++i)
        put_labelled("busy", "", (int)i);
    struct err err = ERR_INIT;
    assert_int_equal(ctl_cache_list(cache, &every, 2, first, arena, &page, &err), -1);
    assert_int_equal(err.code, ERR_GONE);
}

static void foreign_tokens_are_refused(void **state)
{
    put_labelled("a", "", 1);
    struct ctl_filter every = filter_of("", "", "");
    static const char *const tokens[] = {"x", "!!!", "YQ", "YSBiIGM", "MSAxIA", "ZyAxIGEgYg"};
    struct ctl_list page;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(tokens); ++i) {
        assert_int_equal(ctl_cache_list(cache, &every, 1, slice_of(tokens[i]), arena, &page, &err), -1);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
    }
    assert_int_equal(ctl_cache_list(cache, &every, 1, SLICE("MSAxIGEgYg"), arena, &page, &err),
                     -1); /* "1 1 a b" */
    assert_int_equal(err.code, ERR_GONE);
}

/* ---------- watches ---------- */

static unsigned num_ready;

static void on_ready(struct ctl_watch *watch, void *data)
{
    ++num_ready;
}

static struct ctl_watch *watch_from(const struct ctl_filter *filter, uint64_t since)
{
    struct err err = ERR_INIT;
    num_ready = 0;
    struct ctl_watch *watch = ctl_watch_start(cache, filter, since, on_ready, NULL, &err);
    if (watch == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(num_ready, 0); /* never inside a call */
    while (num_ready == 0)
        net_worker_turn(worker, 100);
    return watch;
}

static const char *events(struct ctl_watch *watch)
{
    static const char types[] = {[CTL_ADDED] = '+', [CTL_MODIFIED] = '~', [CTL_DELETED] = '-'};
    struct strbuf out = STRBUF_INIT;
    struct ctl_event event;
    struct err err = ERR_INIT;
    int result;
    while ((result = ctl_watch_next(watch, &event, &err)) > 0)
        strbuf_addf(&out, "%c%.*s@%llu ", types[event.type], (int)event.object->key.name.len,
                    event.object->key.name.base, (unsigned long long)event.rev);
    if (result < 0)
        strbuf_addf(&out, "!%u", err_status(err.code));
    const char *text = arena_strdup(arena, out.base != NULL ? out.base : "");
    strbuf_clear(&out);
    return text;
}

static void a_watch_sees_what_is_there_then_what_happens(void **state)
{
    put_labelled("b", "", 1);
    put_labelled("a", "", 1);
    struct ctl_filter filter = filter_of("", "", "");
    struct ctl_watch *watch = watch_from(&filter, 0);
    assert_string_equal(events(watch), "+a@2 +b@1 ");
    assert_int_equal(ctl_watch_rev(watch), 2);
    assert_string_equal(events(watch), "");
    num_ready = 0;
    put_labelled("a", "", 2);
    put_labelled("c", "", 1);
    remove_one("b");
    assert_int_equal(num_ready, 1); /* once until everything was taken */
    assert_string_equal(events(watch), "~a@3 +c@4 -b@5 ");
    ctl_watch_stop(watch);
}

static void a_bookmark_promises_only_what_was_given(void **state)
{
    struct ctl_event event;
    put_labelled("b", "", 1);
    put_labelled("a", "", 1);
    struct ctl_filter filter = filter_of("", "", "");
    struct ctl_watch *watch = watch_from(&filter, 0);
    assert_int_equal(ctl_watch_next(watch, &event, NULL), 1);
    assert_int_equal(event.rev, 2);
    assert_int_equal(ctl_watch_rev(watch), 0); /* b, revision 1, is still to come */
    assert_string_equal(events(watch), "+b@1 ");
    assert_int_equal(ctl_watch_rev(watch), 2);
    ctl_watch_stop(watch);
}

/* Ten thousand objects of about a kilobyte. Times are printed, not asserted. */
static void ten_thousand_objects_are_no_burden(void **state)
{
    enum { NUM = 10000, BATCH = 1000 };
    struct ctl_write *writes = xcalloc(BATCH, sizeof(*writes));
    char padding[900];
    memset(padding, 'x', sizeof(padding));
    padding[sizeof(padding) - 1] = '\0';
    for (int i = 0; i < NUM; ++i) {
        const char *labels = arena_printf(arena, "\"app\":\"a%d\",\"pad\":\"%s\"", i % 10, padding);
        writes[i % BATCH] = put_of(arena_printf(arena, "n%05d", i), "");
        writes[i % BATCH].object = slice_of(object_text(writes[i % BATCH].key.name.base, labels, i));
        if (i % BATCH == BATCH - 1)
            assert_int_not_equal(write_all(store, writes, BATCH, NULL), 0);
    }
    free(writes);
    close_all();
    uint64_t start_us = clock_mono_us();
    open_all();
    uint64_t loaded_us = clock_mono_us();
    assert_int_equal(ctl_cache_len(cache), NUM);
    struct ctl_filter every = filter_of("", "", ""), some = filter_of("", "app in (a3,a4)", "");
    struct ctl_list found;
    struct strbuf out = STRBUF_INIT;
    assert_int_equal(ctl_cache_list(cache, &every, 0, SLICE(""), arena, &found, NULL), 0);
    for (size_t i = 0; i < found.num; ++i)
        ctl_object_write(&out, found.objects[i], found.objects[i]->rev);
    uint64_t listed_us = clock_mono_us();
    assert_int_equal(found.num, NUM);
    assert_int_equal(ctl_cache_list(cache, &some, 0, SLICE(""), arena, &found, NULL), 0);
    uint64_t selected_us = clock_mono_us();
    assert_int_equal(found.num, NUM / 5);
    for (int i = 0; i < NUM; ++i) {
        struct ctl_key key = key_of_name(arena_printf(arena, "n%05d", i));
        assert_non_null(ctl_cache_get(cache, &key));
    }
    uint64_t got_us = clock_mono_us();
    struct ctl_view *view = ctl_cache_view(cache);
    uint64_t viewed_us = clock_mono_us();
    ctl_view_free(view);
    print_message("open and load %.1f ms, list %zu kB %.1f ms, select %.2f ms, get %.2f us, view %.2f ms\n",
                  (double)(loaded_us - start_us) / 1e3, out.len / 1000, (double)(listed_us - loaded_us) / 1e3,
                  (double)(selected_us - listed_us) / 1e3, (double)(got_us - selected_us) / NUM,
                  (double)(viewed_us - got_us) / 1e3);
    strbuf_clear(&out);
}

static void moving_in_and_out_of_a_selection_is_adding_and_deleting(void **state)
{
    put_labelled("a", "\"app\":\"web\"", 1);
    struct ctl_filter filter = filter_of("", "app=web", "");
    struct ctl_watch *watch = watch_from(&filter, 1);
    assert_string_equal(events(watch), "");
    put_labelled("a", "\"app\":\"db\"", 2);
    put_labelled("a", "\"app\":\"db\"", 3);
    put_labelled("a", "\"app\":\"web\"", 4);
    put_labelled("b", "", 5);
    put_labelled("a", "\"app\":\"web\"", 6);
    remove_one("a");
    assert_string_equal(events(watch), "-a@2 +a@4 ~a@6 -a@7 ");
    ctl_watch_stop(watch);
}

static void other_kinds_pass_a_quiet_watch_by(void **state)
{
    struct ctl_filter services = {.kind = SLICE("/services")};
    struct ctl_watch *watch = watch_from(&services, 0);
    assert_string_equal(events(watch), "");
    num_ready = 0;
    for (int i = 0; i < 3 * RING; ++i)
        put_labelled("a", "", i);
    assert_int_equal(num_ready, 0);
    struct ctl_write service = {
        .op = CTL_PUT, .key = {SLICE("/services"), SLICE("x"), SLICE("s")}, .object = SLICE("{}")};
    write_all(store, &service, 1, NULL);
    net_worker_turn(worker, 0);
    assert_int_equal(num_ready, 1);
    assert_int_equal(ctl_watch_rev(watch), 0);
    assert_string_equal(events(watch), arena_printf(arena, "+s@%d ", 3 * RING + 1));
    assert_int_equal(ctl_watch_rev(watch), 3 * RING + 1);
    ctl_watch_stop(watch);
}

static void a_slow_watch_is_cut_off_and_can_resume(void **state)
{
    struct ctl_filter filter = filter_of("", "", "");
    put_labelled("a", "", 0);
    struct ctl_watch *watch = watch_from(&filter, 1);
    assert_string_equal(events(watch), "");
    for (int i = 1; i <= RING + 1; ++i)
        put_labelled("a", "", i);
    assert_string_equal(events(watch), "!410");
    assert_string_equal(events(watch), "!410");
    ctl_watch_stop(watch);
    watch = watch_from(&filter, 1); /* by the change log */
    struct strbuf expected = STRBUF_INIT;
    for (int i = 1; i <= RING + 1; ++i)
        strbuf_addf(&expected, "~a@%d ", i + 1);
    assert_string_equal(events(watch), expected.base);
    strbuf_clear(&expected);
    num_ready = 0;
    put_labelled("a", "", 0);
    assert_string_equal(events(watch), arena_printf(arena, "~a@%d ", RING + 3));
    ctl_watch_stop(watch);
}

static void a_watch_resumes_after_a_restart(void **state)
{
    put_labelled("a", "", 1);
    put_labelled("b", "", 1);
    put_labelled("a", "", 2);
    close_all();
    open_all();
    struct ctl_filter filter = filter_of("", "", "");
    for (uint64_t since = 1; since <= 3; ++since) {
        static const char *const expected[] = {"+b@2 ~a@3 ", "~a@3 ", ""};
        struct ctl_watch *watch = watch_from(&filter, since);
        assert_string_equal(events(watch), expected[since - 1]);
        ctl_watch_stop(watch);
    }
}

static void a_revision_of_several_changes_is_given_again(void **state)
{
    struct ctl_write writes[] = {put_of("a", "{}"), put_of("b", "{}")};
    put_labelled("z", "", 1);
    write_all(store, writes, 2, NULL);
    put_labelled("c", "", 1);
    for (int round = 0; round < 2; ++round) { /* from the ring, then from the log */
        struct ctl_filter every = filter_of("", "", ""), only_a = filter_of("", "", "metadata.name=a");
        struct ctl_watch *watch = watch_from(&every, 2);
        assert_string_equal(events(watch), "+a@2 +b@2 +c@3 ");
        ctl_watch_stop(watch);
        watch = watch_from(&only_a, 2);
        assert_string_equal(events(watch), "");
        ctl_watch_stop(watch);
        close_all();
        open_all();
    }
}

static void a_watch_can_stop_while_the_log_is_read(void **state)
{
    put_labelled("a", "", 1);
    close_all();
    open_all();
    struct ctl_filter filter = filter_of("", "", "");
    struct ctl_watch *watch = ctl_watch_start(cache, &filter, 1, on_ready, NULL, NULL);
    assert_int_equal(ctl_cache_min_needed_rev(cache), 0);
    ctl_watch_stop(watch);
    assert_true(ctl_cache_min_needed_rev(cache) == UINT64_MAX);
    watch = watch_from(&filter, 1); /* the pool has let go of the first by now, or will before its turn */
    assert_string_equal(events(watch), "");
    ctl_watch_stop(watch);
}

/* What a resuming watch reads of the log stays in memory until it is told. */
static void a_watch_does_not_resume_over_more_than_memory_is_for(void **state)
{
    enum { LEN = 1 << 20 };
    struct ctl_filter filter = filter_of("", "", "");
    char *filler = arena_alloc(arena, LEN + 1);
    memset(filler, 'x', LEN);
    filler[LEN] = '\0';
    const char *object = arena_printf(arena, "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"x\":\"%s\"}}", filler);
    put_labelled("a", "", 0);
    for (int i = 0; i < RING + 2; ++i) { /* before and after count */
        assert_int_not_equal(put(store, "a", object), 0);
        net_worker_turn(worker, 0);
    }
    struct ctl_watch *watch = watch_from(&filter, 1);
    assert_string_equal(events(watch), "!410");
    ctl_watch_stop(watch);
}

static void revisions_out_of_reach_are_refused(void **state)
{
    struct ctl_filter filter = filter_of("", "", "");
    struct err err;
    put_labelled("a", "", 1);
    assert_null(ctl_watch_start(cache, &filter, 2, on_ready, NULL, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    for (int i = 0; i < 60; ++i) /* keep_revisions is 4, and 12 at most */
        put_labelled("a", "", i);
    assert_int_equal(ctl_store_compact(store, NULL), 0);
    assert_null(ctl_watch_start(cache, &filter, 2, on_ready, NULL, &err));
    assert_int_equal(err.code, ERR_GONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(the_revision_is_put_into_metadata),
        T(an_object_knows_what_lists_need),
        T(the_cache_follows_the_store),
        T(changes_read_at_the_start_are_not_applied_twice),
        T(listeners_hear_each_change),
        T(a_view_stays_as_it_was),
        T(lists_are_ordered_and_filtered),
        T(pages_go_on_where_the_last_one_ended),
        T(all_pages_show_one_revision),
        T(foreign_tokens_are_refused),
        T(a_watch_sees_what_is_there_then_what_happens),
        T(a_bookmark_promises_only_what_was_given),
        T(ten_thousand_objects_are_no_burden),
        T(moving_in_and_out_of_a_selection_is_adding_and_deleting),
        T(other_kinds_pass_a_quiet_watch_by),
        T(a_slow_watch_is_cut_off_and_can_resume),
        T(a_watch_resumes_after_a_restart),
        T(a_revision_of_several_changes_is_given_again),
        T(a_watch_can_stop_while_the_log_is_read),
        T(a_watch_does_not_resume_over_more_than_memory_is_for),
        T(revisions_out_of_reach_are_refused),
#undef T
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    net_jobs_stop();
    return failed;
}

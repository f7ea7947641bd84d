/* decide(): precedence, matching, weights, redirects and rewrites, as tables over documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/route/decide.h"

#include <stdio.h>

struct world {
    struct arena *arena;
    struct cfg_snapshot *snapshot;
};

static struct cfg_snapshot *build_snapshot(const char *resources)
{
    struct err err = ERR_INIT;
    struct arena *arena = arena_new(0);
    struct json *list = json_parse(arena, slice_of(resources), &err);
    if (list == NULL)
        fail_msg("%s", err.text);
    struct cfg_document *doc = cfg_document_new();
    JSON_FOR(item, list)
    cfg_document_add(doc, json_slice(json_get(item, "kind")), json_slice(json_get(item, "name")), 1, json_get(item, "spec"));
    if (cfg_document_seal(doc, &err) != 0)
        fail_msg("%s", err.text);
    struct cfg_snapshot *snapshot = rt_snapshot_build(doc, &err);
    if (snapshot == NULL)
        fail_msg("%s", err.text);
    cfg_document_free(doc);
    arena_free(arena);
    return snapshot;
}

#define SETTINGS "{\"kind\":\"settings\",\"name\":\"node\",\"spec\":{}}"
#define CLUSTER(n) "{\"kind\":\"cluster\",\"name\":\"" n "\",\"spec\":{\"host\":\"x\"}},{\"kind\":\"endpoints\",\"name\":\"" n "\",\"spec\":{\"endpoints\":[]}}"
#define LISTENER                                                                                             \
    "{\"kind\":\"listener\",\"name\":\"*:80\",\"spec\":{\"address\":\"\",\"port\":80,\"protocol\":\"http\",\"servers\":["  \
    "{\"name\":\"d/g/api\",\"hostname\":\"api.example.com\"},{\"name\":\"d/g/any\",\"hostname\":\"\"}]}}"
#define ROUTE(n, created, hosts, rules)                                                                      \
    "{\"kind\":\"route\",\"name\":\"httproute/d/" n "\",\"spec\":{\"ns\":\"d\",\"object\":\"" n "\",\"createdUs\":" created       \
    ",\"attachments\":[{\"listener\":\"*:80\",\"server\":\"d/g/any\",\"hostnames\":[" hosts "]}],\"rules\":[" rules "]}}"
#define TO(cluster, matches) "{\"matches\":[" matches "],\"backends\":[{\"cluster\":\"" cluster "\"}]}"

struct header {
    const char *name, *value;
};

struct ask {
    const char *method, *host, *path, *query;
    struct header headers[4];
};

static struct slice find_header(const void *data, struct slice name)
{
    const struct ask *ask = data;
    for (size_t i = 0; i < ARRAY_LEN(ask->headers) && ask->headers[i].name != NULL; ++i)
        if (slice_is(name, ask->headers[i].name))
            return slice_of(ask->headers[i].value);
    return (struct slice){NULL, 0};
}

static size_t bytes_taken;

static void *alloc(void *data, size_t size)
{
    bytes_taken += size;
    return arena_alloc(data, size);
}

static struct rt_request request_of(const struct cfg_snapshot *snapshot, const struct ask *ask, struct arena *arena)
{
    return (struct rt_request){
        .listener = &snapshot->listeners[0],
        .method = slice_of(ask->method != NULL ? ask->method : "GET"),
        .scheme = SLICE("http"),
        .host = slice_of(ask->host != NULL ? ask->host : "x.test"),
        .port = 80,
        .path = slice_of(ask->path),
        .query = slice_of(ask->query),
        .header = find_header,
        .data = ask,
        .alloc = alloc,
        .alloc_data = arena,
    };
}

static struct rt_decision decide(const struct cfg_snapshot *snapshot, const struct ask *ask, uint64_t seed, struct arena *arena)
{
    struct rt_decision decision;
    struct rt_request request = request_of(snapshot, ask, arena);
    rt_decide(&request, seed, &decision);
    return decision;
}

static void expect_cluster(const struct cfg_snapshot *snapshot, struct ask ask, const char *cluster)
{
    struct arena *arena = arena_new(0);
    struct rt_decision decision = decide(snapshot, &ask, 1, arena);
    const char *got = decision.outcome == RT_FORWARD ? decision.cluster->name.base : "(none)";
    if (strcmp(got, cluster) != 0)
        fail_msg("%s %s %s?%s: want %s, got %s", ask.method, ask.host, ask.path, ask.query, cluster, got);
    arena_free(arena);
}

static const char precedence[] =
    "[" SETTINGS "," LISTENER "," CLUSTER("exact") "," CLUSTER("long") "," CLUSTER("short") "," CLUSTER("root") "," CLUSTER("regex") "," CLUSTER("post") ","
    CLUSTER("h1") "," CLUSTER("h2") "," CLUSTER("q1") "," CLUSTER("old") "," CLUSTER("host") "," CLUSTER("wild") "," CLUSTER("wilder") ","
    ROUTE("paths", "5", "", TO("root", "{\"path\":\"/\"}") "," TO("short", "{\"path\":\"/a\"}") "," TO("regex", "{\"pathKind\":\"regex\",\"path\":\"/re/[0-9]+\"}") ","
          TO("long", "{\"path\":\"/a/b\"}") "," TO("exact", "{\"pathKind\":\"exact\",\"path\":\"/a/b\"}")) ","
    ROUTE("details", "5", "", TO("h1", "{\"path\":\"/d\",\"headers\":[{\"name\":\"x-a\",\"value\":\"1\"}]}") ","
          TO("h2", "{\"path\":\"/d\",\"headers\":[{\"name\":\"x-a\",\"value\":\"1\"},{\"name\":\"x-b\",\"kind\":\"regex\",\"value\":\"[0-9]+\"}]}") ","
          TO("q1", "{\"path\":\"/d\",\"queries\":[{\"name\":\"q\",\"value\":\"a b\"}]}") "," TO("post", "{\"path\":\"/d\",\"method\":\"POST\"}")) ","
    ROUTE("young", "9", "", TO("root", "{\"path\":\"/tie\"}")) "," ROUTE("zold", "1", "", TO("old", "{\"path\":\"/tie\"}")) ","
    ROUTE("hosts", "5", "\"a.b.test\"", TO("host", "{\"path\":\"/h\"}")) "," ROUTE("wilds", "5", "\"*.b.test\"", TO("wild", "{\"path\":\"/\"}")) ","
    ROUTE("wilders", "5", "\"*.test\"", TO("wilder", "{\"path\":\"/\"}")) "]";

static void paths_win_by_exactness_then_length_then_regex(void **state)
{
    struct cfg_snapshot *s = build_snapshot(precedence);
    expect_cluster(s, (struct ask){.host = "q", .path = "/a/b"}, "exact");
    expect_cluster(s, (struct ask){.host = "q", .path = "/a/b/"}, "long");
    expect_cluster(s, (struct ask){.host = "q", .path = "/a/b/c"}, "long");
    expect_cluster(s, (struct ask){.host = "q", .path = "/a/bc"}, "short");
    expect_cluster(s, (struct ask){.host = "q", .path = "/a"}, "short");
    expect_cluster(s, (struct ask){.host = "q", .path = "/abc"}, "root");
    expect_cluster(s, (struct ask){.host = "q", .path = "/"}, "root");
    expect_cluster(s, (struct ask){.host = "q", .path = "/re/12"}, "root"); /* any prefix goes before an expression */
    cfg_snapshot_unref(s);
}

static void method_then_headers_then_queries_decide(void **state)
{
    struct cfg_snapshot *s = build_snapshot(precedence);
    expect_cluster(s, (struct ask){.host = "q", .path = "/d", .headers = {{"x-a", "1"}}}, "h1");
    expect_cluster(s, (struct ask){.host = "q", .path = "/d", .headers = {{"x-a", "1"}, {"x-b", "22"}}}, "h2");
    expect_cluster(s, (struct ask){.host = "q", .path = "/d", .headers = {{"x-a", "1"}, {"x-b", "2x"}}}, "h1");
    expect_cluster(s, (struct ask){.host = "q", .path = "/d", .query = "q=a%20b"}, "q1");
    expect_cluster(s, (struct ask){.host = "q", .path = "/d", .query = "x=1&q=a+b&q=c"}, "q1");
    expect_cluster(s, (struct ask){.host = "q", .path = "/d", .query = "q=c&q=a+b"}, "root"); /* the first counts */
    expect_cluster(s, (struct ask){.host = "q", .path = "/d", .method = "POST", .headers = {{"x-a", "1"}}}, "post");
    cfg_snapshot_unref(s);
}

/* Names are compared where they are: a query of thousands of them, looked at by every candidate, must not fill a pool. */
static void only_the_value_looked_for_takes_memory(void **state)
{
    struct cfg_snapshot *s = build_snapshot(precedence);
    struct strbuf query = STRBUF_INIT;
    for (int i = 0; i < 1000; ++i)
        strbuf_addf(&query, "%%61+%d=%%62&", i);
    strbuf_adds(&query, "%=1&%7=2&%g1=3&qq=4&%71=a%20b");
    bytes_taken = 0;
    expect_cluster(s, (struct ask){.host = "q", .path = "/d", .query = query.base}, "q1");
    assert_in_range(bytes_taken, 1, 16);
    strbuf_clear(&query);
    cfg_snapshot_unref(s);
}

static void the_oldest_route_wins_a_tie(void **state)
{
    struct cfg_snapshot *s = build_snapshot(precedence);
    expect_cluster(s, (struct ask){.host = "q", .path = "/tie"}, "old");
    cfg_snapshot_unref(s);
}

static void hosts_win_by_exactness_then_wildcard_length(void **state)
{
    struct cfg_snapshot *s = build_snapshot(precedence);
    expect_cluster(s, (struct ask){.host = "a.b.test", .path = "/h"}, "host");
    expect_cluster(s, (struct ask){.host = "a.b.test", .path = "/other"}, "wild"); /* what the exact host does not serve */
    expect_cluster(s, (struct ask){.host = "c.a.b.test", .path = "/h"}, "wild");
    expect_cluster(s, (struct ask){.host = "b.test", .path = "/h"}, "wilder"); /* a wildcard does not cover its apex */
    expect_cluster(s, (struct ask){.host = "test", .path = "/a"}, "short");
    cfg_snapshot_unref(s);
}

static void the_most_specific_server_isolates(void **state)
{
    struct cfg_snapshot *s = build_snapshot(precedence);
    struct arena *arena = arena_new(0);
    struct ask ask = {.host = "api.example.com", .path = "/a"};
    struct rt_decision decision = decide(s, &ask, 1, arena);
    assert_int_equal(decision.outcome, RT_NO_ROUTE); /* routes are attached to the other listener only */
    assert_string_equal(decision.server->name.base, "d/g/api");
    arena_free(arena);
    cfg_snapshot_unref(s);
}

/* ---- weights ---- */

#define SPLIT(a, b)                                                                                          \
    "[" SETTINGS "," LISTENER "," CLUSTER("v1") "," CLUSTER("v2") ","                                        \
    ROUTE("split", "1", "", "{\"matches\":[{}],\"backends\":[{\"cluster\":\"v1\",\"weight\":" a "},{\"cluster\":\"v2\",\"weight\":" b "}]}") "]"

static unsigned share_of_v2(const struct cfg_snapshot *s, bool *is_v2, unsigned num)
{
    unsigned count = 0;
    struct arena *arena = arena_new(0);
    struct ask ask = {.path = "/"};
    for (unsigned seed = 0; seed < num; ++seed) {
        struct rt_decision decision = decide(s, &ask, seed, arena);
        is_v2[seed] = slice_is(decision.cluster->name, "v2");
        count += is_v2[seed];
    }
    arena_free(arena);
    return count;
}

static void shares_follow_weights_and_only_grow_into_the_raised_one(void **state)
{
    enum { NUM = 100000 };
    static bool before[NUM], after[NUM];
    struct cfg_snapshot *ten = build_snapshot(SPLIT("90", "10")), *thirty = build_snapshot(SPLIT("70", "30"));
    assert_in_range(share_of_v2(ten, before, NUM), 9700, 10300); /* 3 standard deviations are 285 */
    assert_in_range(share_of_v2(thirty, after, NUM), 29500, 30500);
    for (unsigned i = 0; i < NUM; ++i)
        assert_false(before[i] && !after[i]); /* nobody who was on v2 leaves it */
    cfg_snapshot_unref(ten);
    cfg_snapshot_unref(thirty);
}

#define COHORT(a, b)                                                                                         \
    "[" SETTINGS "," LISTENER "," CLUSTER("v1") "," CLUSTER("v2") ",{\"kind\":\"route\",\"name\":\"httproute/d/c\",\"spec\":{\"ns\":\"d\",\"object\":\"c\"," \
    "\"attachments\":[{\"listener\":\"*:80\",\"server\":\"d/g/any\"}],\"cohort\":[{\"from\":\"cookie\",\"name\":\"id\"},{\"from\":\"header\",\"name\":\"x-user\"}]," \
    "\"rules\":[{\"matches\":[{}],\"backends\":[{\"cluster\":\"v1\",\"weight\":" a "},{\"cluster\":\"v2\",\"weight\":" b "}]}]}}]"

static bool user_is_on_v2(const struct cfg_snapshot *snapshot, const char *header, const char *value, uint64_t seed)
{
    struct arena *arena = arena_new(0);
    struct ask ask = {.path = "/", .headers = {{header, value}}};
    struct rt_decision decision = decide(snapshot, &ask, seed, arena);
    bool is_v2 = slice_is(decision.cluster->name, "v2");
    arena_free(arena);
    return is_v2;
}

static void a_cohort_key_stays_where_it_is_whatever_is_drawn(void **state)
{
    struct cfg_snapshot *ten = build_snapshot(COHORT("90", "10")), *half = build_snapshot(COHORT("50", "50"));
    unsigned num_ten = 0, num_half = 0;
    char value[32];
    for (unsigned user = 0; user < 2000; ++user) {
        snprintf(value, sizeof(value), "user-%u", user);
        bool is_ten = user_is_on_v2(ten, "x-user", value, user), is_half = user_is_on_v2(half, "x-user", value, 7);
        for (uint64_t seed = 0; seed < 20; ++seed)
            assert_int_equal(user_is_on_v2(ten, "x-user", value, seed), is_ten);
        assert_true(is_half || !is_ten);
        num_ten += is_ten;
        num_half += is_half;
    }
    assert_in_range(num_ten, 150, 250);
    assert_in_range(num_half, 930, 1070);
    cfg_snapshot_unref(ten);
    cfg_snapshot_unref(half);
}

static void the_first_source_a_request_has_is_its_cohort(void **state)
{
    static const struct {
        struct header headers[2];
        const char *same_as; /* the cookie whose bucket it must share; NULL: chance decides */
    } rows[] = {
        {{{"cookie", "id=a"}}, "a"},
        {{{"cookie", "x=1; id=a; id=b"}}, "a"},
        {{{"cookie", "xid=b;id=a"}}, "a"},
        {{{"cookie", "id=a=b"}}, "a=b"},
        {{{"cookie", "id=a"}, {"x-user", "b"}}, "a"},
        {{{"cookie", "id="}, {"x-user", "a"}}, "a"},
        {{{"cookie", "i=b; id"}, {"x-user", "a"}}, "a"},
        {{{"cookie", "id"}}, NULL},
        {{{"x-user", ""}}, NULL},
        {{{NULL, NULL}}, NULL},
    };
    struct cfg_snapshot *snapshot = build_snapshot(COHORT("50", "50"));
    struct arena *arena = arena_new(0);
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        struct ask ask = {.path = "/", .headers = {rows[i].headers[0], rows[i].headers[1]}};
        struct rt_decision got = decide(snapshot, &ask, i, arena);
        struct ask same = {.path = "/", .headers = {{"x-user", rows[i].same_as}}};
        assert_int_equal(got.cohort != NULL, rows[i].same_as != NULL);
        if (rows[i].same_as != NULL)
            assert_int_equal(got.bucket, decide(snapshot, &same, 99, arena).bucket);
    }
    arena_free(arena);
    cfg_snapshot_unref(snapshot);
}

static void zero_weight_takes_nothing_and_all_zero_is_an_error(void **state)
{
    static bool is_v2[1000];
    struct cfg_snapshot *one = build_snapshot(SPLIT("1", "0")), *none = build_snapshot(SPLIT("0", "0"));
    struct arena *arena = arena_new(0);
    struct ask ask = {.path = "/"};
    assert_int_equal(share_of_v2(one, is_v2, 1000), 0);
    assert_int_equal(decide(none, &ask, 1, arena).outcome, RT_NO_BACKENDS);
    arena_free(arena);
    cfg_snapshot_unref(one);
    cfg_snapshot_unref(none);
}

static void an_unresolved_backend_fails_its_share_only(void **state)
{
    struct cfg_snapshot *s = build_snapshot("[" SETTINGS "," LISTENER "," CLUSTER("v1") "," ROUTE(
        "half", "1", "", "{\"matches\":[{}],\"backends\":[{\"cluster\":\"v1\",\"weight\":1},{\"cluster\":\"\",\"weight\":1}]}") "]");
    struct arena *arena = arena_new(0);
    struct ask ask = {.path = "/"};
    unsigned num_bad = 0;
    for (unsigned seed = 0; seed < 10000; ++seed)
        num_bad += decide(s, &ask, seed, arena).outcome == RT_BACKEND_INVALID;
    assert_in_range(num_bad, 4800, 5200);
    arena_free(arena);
    cfg_snapshot_unref(s);
}

/* ---- redirects and rewrites ---- */

static struct rt_decision with_filter(const char *filter, const char *prefix, const char *path, const char *query, struct arena *arena,
                                      struct cfg_snapshot **ret)
{
    char text[4096];
    snprintf(text, sizeof(text),
             "[" SETTINGS "," LISTENER "," CLUSTER("v1") "," ROUTE("f", "1", "", "{\"matches\":[{\"path\":\"%s\"}],\"filters\":{%s},\"backends\":[{\"cluster\":\"v1\"}]}") "]",
             prefix, filter);
    *ret = build_snapshot(text);
    struct ask ask = {.path = path, .query = query, .host = "shop.test"};
    return decide(*ret, &ask, 1, arena);
}

static void prefix_replacement_follows_gateway_apis_table(void **state)
{
    static const struct {
        const char *path, *prefix, *replacement, *want;
    } rows[] = {
        {"/foo/bar", "/foo", "/xyz", "/xyz/bar"}, {"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
        {"/foo", "/foo", "/xyz", "/xyz"},         {"/foo/", "/foo", "/xyz", "/xyz/"},
        {"/foo/bar", "/foo", "", "/bar"},         {"/foo/", "/foo", "", "/"},
        {"/foo", "/foo", "", "/"},                {"/foo/", "/foo", "/", "/"},
        {"/foo", "/foo", "/", "/"},               {"/foo/bar/baz", "/foo", "/a/b", "/a/b/bar/baz"},
        {"/foo/bar", "/", "/xyz", "/xyz/foo/bar"}, {"/", "/", "/xyz", "/xyz/"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        char filter[256];
        struct cfg_snapshot *s;
        struct arena *arena = arena_new(0);
        snprintf(filter, sizeof(filter), "\"rewrite\":{\"pathMod\":\"prefix\",\"path\":\"%s\"}", rows[i].replacement);
        struct rt_decision decision = with_filter(filter, rows[i].prefix, rows[i].path, NULL, arena, &s);
        if (!slice_is(decision.path, rows[i].want))
            fail_msg("row %zu: %s with %s -> %s: want %s, got %.*s", i, rows[i].path, rows[i].prefix, rows[i].replacement, rows[i].want,
                     (int)decision.path.len, decision.path.base);
        cfg_snapshot_unref(s);
        arena_free(arena);
    }
}

static void redirects_build_their_location(void **state)
{
    static const struct {
        const char *filter, *path, *query, *want;
        unsigned status;
    } rows[] = {
        {"\"redirect\":{\"scheme\":\"https\"}", "/a", NULL, "https://shop.test/a", 302},
        {"\"redirect\":{\"scheme\":\"https\",\"port\":8443,\"status\":301}", "/a", "x=1", "https://shop.test:8443/a?x=1", 301},
        {"\"redirect\":{\"scheme\":\"http\",\"port\":80}", "/a", NULL, "http://shop.test/a", 302},
        {"\"redirect\":{\"hostname\":\"other.test\"}", "/a", "", "http://other.test/a?", 302},
        {"\"redirect\":{\"port\":8080}", "/a", NULL, "http://shop.test:8080/a", 302},
        {"\"redirect\":{\"pathMod\":\"full\",\"path\":\"/new\"}", "/a/b", "k", "http://shop.test/new?k", 302},
        {"\"redirect\":{\"pathMod\":\"prefix\",\"path\":\"/new\"}", "/a/b", NULL, "http://shop.test/new/b", 302},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        struct cfg_snapshot *s;
        struct arena *arena = arena_new(0);
        struct rt_decision decision = with_filter(rows[i].filter, "/a", rows[i].path, rows[i].query, arena, &s);
        assert_int_equal(decision.outcome, RT_REDIRECT);
        assert_int_equal(decision.redirect_status, rows[i].status);
        if (!slice_is(decision.location, rows[i].want))
            fail_msg("row %zu: want %s, got %.*s", i, rows[i].want, (int)decision.location.len, decision.location.base);
        cfg_snapshot_unref(s);
        arena_free(arena);
    }
}

static void a_rewrite_replaces_the_host(void **state)
{
    struct cfg_snapshot *s;
    struct arena *arena = arena_new(0);
    struct rt_decision decision = with_filter("\"rewrite\":{\"hostname\":\"inner.test\",\"pathMod\":\"full\",\"path\":\"/x\"}", "/a", "/a/b", NULL, arena, &s);
    assert_true(slice_is(decision.host, "inner.test"));
    assert_true(slice_is(decision.path, "/x"));
    cfg_snapshot_unref(s);
    arena_free(arena);
}

/* ---- explain ---- */

static void explain_names_the_condition_that_failed(void **state)
{
    struct cfg_snapshot *s = build_snapshot(precedence);
    struct arena *arena = arena_new(0);
    struct ask ask = {.host = "q", .path = "/d", .headers = {{"x-a", "2"}}};
    struct rt_request request = request_of(s, &ask, arena);
    struct json *told = rt_explain(s, &request, 1, arena);
    struct strbuf text = STRBUF_INIT;
    json_write(&text, told);
    assert_string_equal(json_str(json_get(told, "cluster"), ""), "root");
    assert_non_null(strstr(text.base, "header x-a: want '1', got '2'"));
    assert_non_null(strstr(text.base, "method: want POST, got GET"));
    assert_non_null(strstr(text.base, "query parameter q: want 'a b', it is absent"));
    assert_non_null(strstr(text.base, "host: want 'a.b.test', got 'q'"));
    strbuf_clear(&text);
    arena_free(arena);
    cfg_snapshot_unref(s);
}

static void explain_says_what_went_before_a_rule_that_matches_too(void **state)
{
    static const struct {
        struct ask ask;
        const char *taken, *other, *why; /* routes, and why the other one was not taken */
    } rows[] = {
        {{.host = "q", .path = "/a/b"}, "paths", "paths", "exact path goes before prefix"},
        {{.host = "q", .path = "/a/b/c"}, "paths", "paths", "prefix '/a/b' is longer"},
        {{.host = "q", .path = "/re/12"}, "paths", "paths", "prefix path goes before regular expression"},
        {{.host = "q", .path = "/d", .method = "POST", .headers = {{"x-a", "1"}}}, "details", "details", "the match taken names the method"},
        {{.host = "q", .path = "/d", .headers = {{"x-a", "1"}, {"x-b", "22"}}}, "details", "details", "the match taken names more headers"},
        {{.host = "q", .path = "/tie"}, "zold", "young", "the route taken is older"},
        {{.host = "a.b.test", .path = "/h"}, "hosts", "wilds", "hostname 'a.b.test' is more specific"},
    };
    struct cfg_snapshot *s = build_snapshot(precedence);
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        struct arena *arena = arena_new(0);
        struct rt_request request = request_of(s, &rows[i].ask, arena);
        struct json *told = rt_explain(s, &request, 1, arena);
        bool is_told = false;
        assert_string_equal(json_str(json_get(told, "route"), "") + strlen("httproute/d/"), rows[i].taken);
        JSON_FOR(item, json_get(told, "considered"))
        is_told |= strcmp(json_str(json_get(item, "route"), "") + strlen("httproute/d/"), rows[i].other) == 0 &&
                   strcmp(json_str(json_get(item, "result"), ""), "lower precedence") == 0 && strcmp(json_str(json_get(item, "why"), ""), rows[i].why) == 0;
        if (!is_told)
            fail_msg("row %zu: '%s' is not told", i, rows[i].why);
        arena_free(arena);
    }
    cfg_snapshot_unref(s);
}

static void a_match_under_two_hostnames_is_taken_once(void **state)
{
    struct cfg_snapshot *s = build_snapshot("[" SETTINGS "," LISTENER "," CLUSTER("v1") "," ROUTE("r", "1", "\"a.test\",\"*.test\"", TO("v1", "{}")) "]");
    struct arena *arena = arena_new(0);
    struct ask ask = {.host = "a.test", .path = "/"};
    struct rt_request request = request_of(s, &ask, arena);
    struct json *considered = json_get(rt_explain(s, &request, 1, arena), "considered");
    assert_string_equal(json_str(json_get(json_at(considered, 0), "result"), ""), "taken");
    assert_string_equal(json_str(json_get(json_at(considered, 1), "result"), ""), "lower precedence");
    arena_free(arena);
    cfg_snapshot_unref(s);
}

static void explain_lists_the_listeners_names_when_none_has_the_host(void **state)
{
    struct cfg_snapshot *s = build_snapshot("[" SETTINGS ",{\"kind\":\"listener\",\"name\":\"*:80\",\"spec\":{\"address\":\"\",\"port\":80,\"protocol\":\"http\","
                                            "\"servers\":[{\"name\":\"d/g/api\",\"hostname\":\"api.example.com\"},{\"name\":\"d/g/w\",\"hostname\":\"*.w.test\"}]}}]");
    struct arena *arena = arena_new(0);
    struct ask ask = {.host = "w.test", .path = "/"};
    struct rt_request request = request_of(s, &ask, arena);
    struct json *told = rt_explain(s, &request, 1, arena);
    assert_string_equal(json_str(json_get(told, "outcome"), ""), "no listener for this host");
    assert_string_equal(json_str(json_get(json_at(json_get(told, "considered"), 0), "why"), ""), "host: want 'api.example.com', got 'w.test'");
    assert_string_equal(json_str(json_get(json_at(json_get(told, "considered"), 1), "why"), ""), "host: want '*.w.test', got 'w.test'");
    arena_free(arena);
    cfg_snapshot_unref(s);
}

static void explain_and_decide_agree_on_random_requests(void **state)
{
    static const char *const paths[] = {"/", "/a", "/a/b", "/a/b/c", "/d", "/tie", "/h", "/re/1", "/x"};
    static const char *const hosts[] = {"q", "a.b.test", "x.b.test", "y.test", "api.example.com"};
    struct cfg_snapshot *s = build_snapshot(precedence);
    for (uint64_t i = 0; i < 10000; ++i) {
        struct arena *arena = arena_new(0);
        uint64_t r = hash_stable(7, &i, sizeof(i));
        struct ask ask = {.host = hosts[r % 5], .path = paths[r / 5 % 9], .method = r & 64 ? "POST" : "GET", .query = r & 128 ? "q=a+b" : NULL};
        if (r & 256)
            ask.headers[0] = (struct header){"x-a", r & 512 ? "1" : "2"};
        struct rt_request request = request_of(s, &ask, arena);
        struct rt_decision decision = decide(s, &ask, i, arena);
        unsigned num_taken = 0;
        JSON_FOR(item, json_get(rt_explain(s, &request, i, arena), "considered"))
        {
            bool is_taken = strcmp(json_str(json_get(item, "result"), ""), "taken") == 0;
            num_taken += is_taken;
            if (is_taken)
                assert_true(slice_eq(json_slice(json_get(item, "route")), decision.rule->route->name));
        }
        assert_int_equal(num_taken, decision.rule != NULL);
        arena_free(arena);
    }
    cfg_snapshot_unref(s);
}

static void a_hostile_expression_is_bounded(void **state)
{
    char path[4096];
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    struct cfg_snapshot *s = build_snapshot("[" SETTINGS "," LISTENER "," CLUSTER("v1") "," ROUTE(
        "re", "1", "", TO("v1", "{\"pathKind\":\"regex\",\"path\":\"/(a+)+b\"}")) "]");
    struct arena *arena = arena_new(0);
    struct ask ask = {.path = path};
    assert_int_equal(decide(s, &ask, 1, arena).outcome, RT_NO_ROUTE);
    arena_free(arena);
    cfg_snapshot_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_win_by_exactness_then_length_then_regex),
        cmocka_unit_test(method_then_headers_then_queries_decide),
        cmocka_unit_test(only_the_value_looked_for_takes_memory),
        cmocka_unit_test(the_oldest_route_wins_a_tie),
        cmocka_unit_test(hosts_win_by_exactness_then_wildcard_length),
        cmocka_unit_test(the_most_specific_server_isolates),
        cmocka_unit_test(shares_follow_weights_and_only_grow_into_the_raised_one),
        cmocka_unit_test(a_cohort_key_stays_where_it_is_whatever_is_drawn),
        cmocka_unit_test(the_first_source_a_request_has_is_its_cohort),
        cmocka_unit_test(zero_weight_takes_nothing_and_all_zero_is_an_error),
        cmocka_unit_test(an_unresolved_backend_fails_its_share_only),
        cmocka_unit_test(prefix_replacement_follows_gateway_apis_table),
        cmocka_unit_test(redirects_build_their_location),
        cmocka_unit_test(a_rewrite_replaces_the_host),
        cmocka_unit_test(explain_names_the_condition_that_failed),
        cmocka_unit_test(explain_says_what_went_before_a_rule_that_matches_too),
        cmocka_unit_test(a_match_under_two_hostnames_is_taken_once),
        cmocka_unit_test(explain_lists_the_listeners_names_when_none_has_the_host),
        cmocka_unit_test(explain_and_decide_agree_on_random_requests),
        cmocka_unit_test(a_hostile_expression_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

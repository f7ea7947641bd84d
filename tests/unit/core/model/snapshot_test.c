#include "core/model/snapshot.h"

#include "tests/unit/lib/json_fixture.h"

static void add(struct cfg_document *doc, const char *kind, const char *name, const char *spec)
{
    struct err err = ERR_INIT;
    struct json *tree = json_parse(arena, slice_of(spec), &err);
    if (tree == NULL)
        fail_msg("%s: %s", spec, err.text);
    cfg_document_add(doc, slice_of(kind), slice_of(name), 1, tree);
}

static const char cluster_spec[] =
    "{\"host\":\"reviews.default\",\"protocol\":\"h2c\",\"lb\":\"roundRobin\","
    "\"check\":{\"kind\":\"http\",\"path\":\"/up\",\"expectedStatuses\":[200,204]}}";
static const char endpoints_spec[] = "{\"endpoints\":[{\"host\":\"127.0.0.1\",\"port\":9080},{\"host\":\"::"
                                     "1\",\"port\":9081,\"weight\":3,\"ready\":false},"
                                     "{\"host\":\"unix:/run/a.sock\"}]}";
static const char listener_spec[] =
    "{\"address\":\"0.0.0.0\",\"port\":8443,\"protocol\":\"https\",\"client\":{\"idleTimeoutMs\":0,\"headTimeoutMs\":5000,"
    "\"maxConnections\":7,\"streamWindow\":65535,\"tlsMaxVersion\":12,\"tlsSuites\":[\"A\",\"B\"],"
    "\"alpn\":[\"http/1.1\",\"h2\"],\"trustedProxies\":[\"10.0.0.0/8\"]},\"servers\":["
    "{\"name\":\"default/edge/any\"},{\"name\":\"default/edge/wide\",\"hostname\":\"*.shop.example\"},"
    "{\"name\":\"default/edge/exact\",\"hostname\":\"a.shop.example\",\"certificates\":[\"default/"
    "shop\"],\"tlsMinVersion\":13}]}";
static const char route_spec[] =
    "{\"ns\":\"default\",\"object\":\"shop\",\"createdUs\":1700000000000000,"
    "\"attachments\":[{\"listener\":\"0.0.0.0:8443\",\"server\":\"default/edge/"
    "exact\",\"hostnames\":[\"a.shop.example\"]}],"
    "\"rules\":[{\"name\":\"all\",\"matches\":[{\"path\":\"/"
    "cart\",\"method\":\"GET\",\"headers\":[{\"name\":\"x-a\",\"value\":\"1\"}]},{}],"
    "\"filters\":{\"requestHeaders\":{\"set\":[{\"name\":\"x-b\",\"value\":\"2\"}],\"remove\":[{\"name\":\"x-"
    "c\"}]},"
    "\"rewrite\":{\"pathMod\":\"prefix\",\"path\":\"/\"}},"
    "\"backends\":[{\"cluster\":\"service/default/reviews:80\",\"weight\":9},{\"cluster\":\"service/default/"
    "gone:80\"}],"
    "\"requestTimeoutMs\":0}]}";

static struct cfg_document *shop(void)
{
    struct cfg_document *doc = cfg_document_new();
    doc->epoch = 0xabcdef0123456789;
    doc->rev = 7;
    add(doc, "route", "httproute/default/shop", route_spec);
    add(doc, "cluster", "service/default/reviews:80", cluster_spec);
    add(doc, "endpoints", "service/default/reviews:80", endpoints_spec);
    add(doc, "listener", "0.0.0.0:8443", listener_spec);
    add(doc, "certificate", "default/shop", "{\"certPem\":\"CERT\",\"keyPem\":\"KEY\"}");
    add(doc, "settings", "node", "{\"trustedProxies\":[\"10.0.0.0/8\"],\"drainTimeoutMs\":100}");
    assert_int_equal(cfg_document_seal(doc, NULL), 0);
    return doc;
}

static struct cfg_snapshot *decode(const struct cfg_document *doc)
{
    struct err err = ERR_INIT;
    struct cfg_snapshot *snapshot = cfg_snapshot_decode(doc, &err);
    if (snapshot == NULL)
        fail_msg("%s", err.text);
    return snapshot;
}

static void assert_slice(struct slice text, const char *expected)
{
    if (!slice_is(text, expected))
        fail_msg("'%.*s' is not '%s'", (int)text.len, text.base, expected);
}

static void all_kinds_are_read_and_linked(void **state)
{
    struct cfg_document *doc = shop();
    struct cfg_snapshot *s = decode(doc);
    cfg_document_free(doc); /* nothing points into it */
    assert_int_equal(s->rev, 7);
    assert_int_equal(s->settings.drain_timeout_ms, 100);
    assert_slice(s->settings.trusted_proxies[0], "10.0.0.0/8");
    assert_slice(s->settings.access_log, "stdout");

    struct cfg_cluster *cluster = cfg_snapshot_cluster(s, SLICE("service/default/reviews:80"));
    assert_non_null(cluster);
    assert_int_equal(cluster->protocol, CFG_UPSTREAM_H2C);
    assert_int_equal(cluster->lb, CFG_LB_ROUND_ROBIN);
    assert_int_equal(cluster->connect_timeout_ms, 5000);
    assert_int_equal(cluster->max_requests, 1024);
    assert_int_equal(cluster->check.kind, CFG_CHECK_HTTP);
    assert_int_equal(cluster->check.expected_statuses[1], 204);
    assert_int_equal(cluster->num_endpoints, 3);
    assert_slice(cluster->endpoints[0].key, "127.0.0.1:9080");
    assert_true(cluster->endpoints[0].is_ready);
    assert_slice(cluster->endpoints[1].key, "[::1]:9081");
    assert_int_equal(cluster->endpoints[1].weight, 3);
    assert_false(cluster->endpoints[1].is_ready);
    assert_slice(cluster->endpoints[2].key, "unix:/run/a.sock");

    const struct cfg_listener *listener = &s->listeners[0];
    assert_slice(listener->name, "0.0.0.0:8443");
    assert_slice(listener->servers[0].hostname, "a.shop.example");
    assert_slice(listener->servers[0].certificates[0]->key_pem, "KEY");
    assert_slice(listener->servers[1].hostname, "*.shop.example");
    assert_slice(listener->servers[2].hostname, "");
    const struct cfg_client *client = listener->client;
    assert_true(client->has_idle_timeout && client->idle_timeout_ms == 0);
    assert_true(client->has_head_timeout && client->head_timeout_ms == 5000);
    assert_false(client->has_request_timeout || client->has_trusted_hops);
    assert_int_equal(client->max_connections, 7);
    assert_int_equal(client->tls_max_version, 12);
    assert_int_equal(client->num_tls_suites, 2);
    assert_int_equal(client->alpn[0], CFG_ALPN_HTTP11);
    assert_slice(client->trusted_proxies[0], "10.0.0.0/8");

    const struct cfg_rule *rule = &s->routes[0].rules[0];
    assert_ptr_equal(rule->route, &s->routes[0]);
    assert_int_equal(rule->total_weight, 10);
    assert_ptr_equal(rule->backends[0].cluster, cluster);
    assert_null(rule->backends[1].cluster);
    assert_int_equal(rule->backends[1].weight_upto, 10);
    assert_true(rule->has_request_timeout);
    assert_false(rule->has_backend_timeout);
    assert_slice(rule->matches[0].method, "GET");
    assert_null(rule->matches[1].method.base);
    assert_slice(rule->matches[1].path, "/");
    assert_int_equal(rule->matches[1].path_kind, CFG_MATCH_PREFIX);
    assert_int_equal(rule->filters.rewrite->path_mod, CFG_PATH_REPLACE_PREFIX);
    assert_null(rule->filters.redirect);
    cfg_snapshot_unref(s);
}

static void encoding_gives_back_what_was_read(void **state)
{
    struct cfg_document *doc = shop(), *again = cfg_document_new();
    struct cfg_snapshot *s = decode(doc);
#define ADD(kind, list, encode)                                                                              \
    for (uint32_t i = 0; i < s->num_##list; ++i)                                                             \
    cfg_document_add(again, SLICE(kind), s->list[i].name, 1, encode(&s->list[i], arena))
    ADD("route", routes, cfg_route_encode);
    ADD("cluster", clusters, cfg_cluster_encode);
    ADD("listener", listeners, cfg_listener_encode);
    ADD("certificate", certificates, cfg_certificate_encode);
#undef ADD
    cfg_document_add(again, SLICE("settings"), SLICE("node"), 1, cfg_settings_encode(&s->settings, arena));
    cfg_document_add(again, SLICE("endpoints"), s->clusters[0].name, 1,
                     cfg_endpoints_encode(s->clusters[0].endpoints, s->clusters[0].num_endpoints, arena));
    assert_int_equal(cfg_document_seal(again, NULL), 0);
    /* Servers come back sorted and defaults are left out, so compare what is read again. */
    struct cfg_snapshot *s2 = decode(again);
    for (uint32_t i = 0; i < again->num; ++i) {
        const struct cfg_resource *r = &again->resources[i];
        if (slice_is(r->kind, "listener") || slice_is(r->kind, "settings"))
            continue;
        struct json *before = json_parse(arena, cfg_document_find(doc, r->kind, r->name)->text, NULL);
        struct json *after = json_parse(arena, r->text, NULL);
        if (slice_is(r->kind, "cluster") || slice_is(r->kind, "endpoints") ||
            slice_is(r->kind, "certificate"))
            assert_true(json_equal(before, after));
    }
    assert_int_equal(s2->routes[0].rules[0].num_matches, 2);
    assert_slice(cfg_route_encode(&s2->routes[0], arena)->child->text, "default");
    assert_true(json_equal(cfg_route_encode(&s2->routes[0], arena), cfg_route_encode(&s->routes[0], arena)));
    assert_true(json_equal(cfg_listener_encode(&s2->listeners[0], arena),
                           cfg_listener_encode(&s->listeners[0], arena)));
    cfg_snapshot_unref(s);
    cfg_snapshot_unref(s2);
    cfg_document_free(doc);
    cfg_document_free(again);
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
    static const struct {
        const char *kind, *name, *spec, *text;
    } cases[] = {
        {"cluster", "c", "{}", "cluster 'c': host: Required value"},
        {"cluster", "c", "{\"host\":\"h\",\"speed\":1}", "cluster 'c': unknown field \"speed\""},
        {"cluster", "c", "{\"host\":\"h\",\"lb\":\"magic\"}",
         "cluster 'c': lb: Unsupported value: \"magic\": supported values: \"leastRequest\", \"roundRobin\", "
         "\"random\""},
        {"cluster", "c", "{\"host\":\"h\",\"connectTimeoutMs\":0}",
         "cluster 'c': connectTimeoutMs: Invalid value: 0: must be at least 1"},
        {"endpoints", "c", "{\"endpoints\":[]}", "endpoints 'c': no cluster 'c'"},
        {"gadget", "g", "{}", "'g': unknown kind 'gadget'"},
        {"listener", "l", "{\"port\":1,\"servers\":[{\"name\":\"s\",\"certificates\":[\"x\"]}]}",
         "listener 'l': no certificate 'x'"},
        {"listener", "l", "{\"port\":1,\"servers\":[{\"name\":\"s\"},{\"name\":\"s\"}]}",
         "listener 'l': two servers 's'"},
        {"listener", "l", "{\"port\":1,\"servers\":[],\"client\":{\"alpn\":[\"h3\"]}}",
         "listener 'l': client.alpn[0]: Unsupported value: \"h3\": supported values: \"h2\", \"http/1.1\""},
        {"listener", "l",
         "{\"port\":1,\"servers\":[],\"client\":{\"trustedHops\":1,\"trustedProxies\":[\"::1\"]}}",
         "listener 'l': client.trustedHops: Invalid value: only one of trustedHops and trustedProxies may be given"},
        {"listener", "l", "{\"port\":65536,\"servers\":[]}",
         "listener 'l': port: Invalid value: 65536: must be between 1 and 65535"},
        {"route", "r",
         "{\"ns\":\"n\",\"object\":\"o\",\"attachments\":[{\"listener\":\"l\",\"server\":\"s\"}]}",
         "route 'r': no listener 'l'"},
        {"route", "r", "{\"ns\":\"n\",\"object\":\"o\",\"rules\":[{\"matches\":[{\"path\":\"/a/\"}]}]}",
         "route 'r': rules[0].matches[0].path: Invalid value: a prefix must not end with '/'"},
        {"settings", "node", "{\"trustedProxies\":[\"10.0.0.0/33\"]}",
         "settings 'node': trustedProxies[0]: Invalid value: \"10.0.0.0/33\": must be an IP address, or "
         "address/prefix length"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct cfg_document *doc = cfg_document_new();
        struct err err = ERR_INIT;
        add(doc, cases[i].kind, cases[i].name, cases[i].spec);
        assert_int_equal(cfg_document_seal(doc, NULL), 0);
        assert_null(cfg_snapshot_decode(doc, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_string_equal(err.text, cases[i].text);
        cfg_document_free(doc);
    }
}

static void an_empty_document_gives_defaults(void **state)
{
    struct cfg_document *doc = cfg_document_new();
    struct cfg_snapshot *s = decode(doc);
    assert_int_equal(s->settings.drain_timeout_ms, 60000);
    assert_int_equal(s->num_listeners, 0);
    assert_null(cfg_snapshot_cluster(s, SLICE("x")));
    assert_ptr_equal(cfg_snapshot_ref(s), s);
    cfg_snapshot_unref(s);
    cfg_snapshot_unref(s);
    cfg_document_free(doc);
    struct cfg_cluster cluster;
    cfg_cluster_defaults(&cluster);
    assert_int_equal(cluster.first_byte_timeout_ms, 30000);
    assert_int_equal(cluster.check.timeout_ms, 1000);
    assert_slice(cluster.check.path, "/");
}

static int disposed;

static void on_dispose(struct cfg_snapshot *snapshot)
{
    ++disposed;
}

static void the_last_reference_disposes(void **state)
{
    struct cfg_document *doc = cfg_document_new();
    struct cfg_snapshot *s = decode(doc);
    s->dispose = on_dispose;
    (void)cfg_snapshot_ref(s);
    cfg_snapshot_unref(s);
    assert_int_equal(disposed, 0);
    cfg_snapshot_unref(s);
    assert_int_equal(disposed, 1);
    cfg_document_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_kinds_are_read_and_linked, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(encoding_gives_back_what_was_read, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_refused_by_name, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(an_empty_document_gives_defaults, arena_setup, arena_teardown),
        cmocka_unit_test_setup_teardown(the_last_reference_disposes, arena_setup, arena_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

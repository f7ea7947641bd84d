/* The compiler: attachment, references, conflicts, conditions; and that equal input gives equal bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/lib/world_fixture.h"

/* ---- tests ---- */

static void a_route_reaches_its_endpoints(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: edge}", RULE_WEB));
    struct err err = ERR_INIT;
    expect_condition(route_conditions(world, "r", 0), "Accepted", "True", "Accepted");
    expect_condition(route_conditions(world, "r", 0), "ResolvedRefs", "True", "ResolvedRefs");
    const char *endpoints = spec_of(world, "endpoints", "service/default/web:80");
    assert_non_null(strstr(endpoints, "\"host\":\"10.0.0.1\",\"port\":9000"));
    assert_non_null(strstr(endpoints, "\"ready\":false"));
    struct cfg_snapshot *snapshot = rt_snapshot_build(world->compiled->document, &err);
    if (snapshot == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(snapshot->num_listeners, 1);
    assert_int_equal(snapshot->listeners[0].num_servers, 2);
    assert_string_equal(snapshot->listeners[0].servers[0].hostname.base, "*.example.com"); /* the more specific first */
    cfg_snapshot_unref(snapshot);
    world_free(world);
}

static void hostnames_are_intersected(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: edge, sectionName: api}", "  hostnames: [a.example.com, other.test, \"*.com\"]\n" RULE_WEB) "---\n" ROUTE(
        "none", "{name: edge, sectionName: api}", "  hostnames: [other.test]\n" RULE_WEB));
    const char *route = spec_of(world, "route", "httproute/default/r");
    assert_non_null(strstr(route, "\"hostnames\":[\"a.example.com\",\"*.example.com\"]"));
    expect_condition(route_conditions(world, "none", 0), "Accepted", "False", "NoMatchingListenerHostname");
    assert_string_equal(spec_of(world, "route", "httproute/default/none"), "");
    world_free(world);
}

static void parents_that_are_not_there_are_named(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: nowhere}, {name: edge, sectionName: zzz}", RULE_WEB) "---\n" ROUTE("p", "{name: edge, port: 1}", RULE_WEB));
    expect_condition(route_conditions(world, "r", 0), "Accepted", "False", "NoMatchingParent");
    expect_condition(route_conditions(world, "r", 1), "Accepted", "False", "NoMatchingParent");
    expect_condition(route_conditions(world, "p", 0), "Accepted", "False", "NoMatchingParent");
    world_free(world);
}

static void backends_that_do_not_resolve_keep_their_share(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: edge}", "  rules: [{backendRefs: [{name: web, port: 80}, {name: gone, port: 80, weight: 3}]}]\n") "---\n" ROUTE(
        "port", "{name: edge}", "  rules: [{backendRefs: [{name: web, port: 81}]}]\n"));
    expect_condition(route_conditions(world, "r", 0), "ResolvedRefs", "False", "BackendNotFound");
    expect_condition(route_conditions(world, "port", 0), "ResolvedRefs", "False", "BackendNotFound");
    assert_non_null(strstr(spec_of(world, "route", "httproute/default/r"), "\"weight\":3"));
    world_free(world);
}

static void other_namespaces_need_a_grant(void **state)
{
    static const char service[] = "---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: data}\nspec: {ports: [{port: 80}]}\n";
    static const char grant[] = "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: data}\n"
                                "spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}], to: [{group: \"\", kind: Service}]}\n";
    char text[2048];
    snprintf(text, sizeof(text), "%s%s", ROUTE("r", "{name: edge}", "  rules: [{backendRefs: [{name: db, namespace: data, port: 80}]}]\n"), service);
    struct world *world = compile_world(text);
    expect_condition(route_conditions(world, "r", 0), "ResolvedRefs", "False", "RefNotPermitted");
    world_free(world);
    strcat(text, grant);
    world = compile_world(text);
    expect_condition(route_conditions(world, "r", 0), "ResolvedRefs", "True", "ResolvedRefs");
    world_free(world);
}

static void the_older_gateway_keeps_a_contested_port(void **state)
{
    struct world *world = compile_world(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: young, namespace: default, creationTimestamp: \"2026-02-01T00:00:00Z\"}\n"
        "spec: {gatewayClassName: selvedge, listeners: [{name: same, port: 8080, protocol: HTTP}, {name: free, port: 8081, protocol: HTTP}]}\n");
    const struct json *listeners = json_get(status_of(world, GATEWAYS, "young"), "listeners");
    expect_condition(json_get(json_at(listeners, 0), "conditions"), "Conflicted", "True", "HostnameConflict");
    expect_condition(json_get(json_at(listeners, 1), "conditions"), "Conflicted", "False", "NoConflicts");
    expect_condition(json_get(json_at(json_get(status_of(world, GATEWAYS, "edge"), "listeners"), 0), "conditions"), "Conflicted", "False", "NoConflicts");
    assert_string_not_equal(spec_of(world, "listener", "*:8081"), "");
    world_free(world);
}

static void a_listener_without_its_certificate_is_left_out_alone(void **state)
{
    struct world *world = compile_world(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: tls, namespace: default, creationTimestamp: \"2026-02-01T00:00:00Z\"}\n"
        "spec: {gatewayClassName: selvedge, listeners: [{name: https, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: missing}]}}, {name: http, port: 8082, protocol: HTTP}]}\n");
    const struct json *listeners = json_get(status_of(world, GATEWAYS, "tls"), "listeners");
    expect_condition(json_get(json_at(listeners, 0), "conditions"), "ResolvedRefs", "False", "InvalidCertificateRef");
    expect_condition(json_get(json_at(listeners, 0), "conditions"), "Programmed", "False", "Invalid");
    assert_string_equal(spec_of(world, "listener", "*:8443"), "");
    assert_string_not_equal(spec_of(world, "listener", "*:8082"), "");
    world_free(world);
}

static void policies_make_a_variant_of_the_cluster(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: edge}", RULE_WEB) "---\n" ROUTE("plain", "{name: edge}", "  hostnames: [p.test]\n" RULE_WEB)
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: p, namespace: default}\n"
        "spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}], loadBalancer: {type: RoundRobin}}\n");
    assert_non_null(strstr(spec_of(world, "cluster", "service/default/web:80@default/p"), "roundRobin"));
    assert_null(strstr(spec_of(world, "cluster", "service/default/web:80"), "roundRobin"));
    assert_string_not_equal(spec_of(world, "endpoints", "service/default/web:80@default/p"), "");
    world_free(world);
}

static void programmed_follows_what_gateways_run(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: edge}", RULE_WEB));
    struct err err = ERR_INIT;
    const struct json *gateway = status_of(world, GATEWAYS, "edge");
    expect_condition(json_get(gateway, "conditions"), "Programmed", "False", "Pending");
    struct ctl_listener_failure failure = {SLICE("*:8080"), SLICE("listen on *:8080: Address already in use")};
    struct ctl_compile_options options = {.epoch = 1, .applied = world->compiled->document};
    struct ctl_compiled *applied = ctl_compile(&world->view, &options, &err);
    options.failures = &failure;
    options.num_failures = 1;
    struct ctl_compiled *failed = ctl_compile(&world->view, &options, &err);
    struct ctl_compiled *first = world->compiled;
    world->compiled = applied;
    expect_condition(json_get(status_of(world, GATEWAYS, "edge"), "conditions"), "Programmed", "True", "Programmed");
    world->compiled = failed;
    expect_condition(json_get(json_at(json_get(status_of(world, GATEWAYS, "edge"), "listeners"), 0), "conditions"), "Programmed", "False", "Invalid");
    world->compiled = first;
    ctl_compiled_free(applied);
    ctl_compiled_free(failed);
    world_free(world);
}

static void equal_input_gives_equal_bytes(void **state)
{
    struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
    struct world *one = compile_world(ROUTE("r", "{name: edge}", RULE_WEB)), *two = compile_world(ROUTE("r", "{name: edge}", RULE_WEB));
    cfg_document_write(one->compiled->document, false, &a);
    cfg_document_write(two->compiled->document, false, &b);
    assert_string_equal(a.base, b.base);
    strbuf_clear(&a);
    strbuf_clear(&b);
    world_free(one);
    world_free(two);
}

/* ---- with a memo ---- */

static struct ctl_compiled *compile_again(struct world *world, const struct ctl_memo *memo, uint64_t others_rev)
{
    struct err err = ERR_INIT;
    struct ctl_compile_options options = {.epoch = 1, .now_us = 1767225600000000, .memo = memo, .others_rev = others_rev};
    struct ctl_compiled *compiled = ctl_compile(&world->view, &options, &err);
    if (compiled == NULL)
        fail_msg("%s", err.text);
    return compiled;
}

static struct ctl_object **slot_of(struct world *world, const char *kind, const char *name)
{
    for (size_t i = 0; i < world->view.num; ++i)
        if (slice_is(world->objects[i]->key.kind, kind) && slice_is(world->objects[i]->key.name, name))
            return &world->objects[i];
    fail_msg("no %s %s", kind, name);
    return NULL;
}

static void replace_object(struct ctl_object **slot, struct json *tree)
{
    struct ctl_object *old = *slot;
    struct strbuf text = STRBUF_INIT;
    json_remove(json_get(tree, "metadata"), "resourceVersion");
    json_write(&text, tree);
    *slot = ctl_object_new(&old->key, old->rev + 1, strbuf_slice(&text));
    strbuf_clear(&text);
    ctl_object_unref(old);
}

/* As activation stores them. */
static void take_statuses(struct world *world, const struct ctl_compiled *compiled)
{
    for (size_t i = 0; i < compiled->num_statuses; ++i) {
        const struct ctl_key *key = &compiled->statuses[i].object->key;
        struct ctl_object **slot = slot_of(world, key->kind.base, key->name.base);
        struct json *tree = ctl_object_tree(world->arena, *slot);
        json_set(world->arena, tree, "status", json_clone(world->arena, compiled->statuses[i].status));
        replace_object(slot, tree);
    }
}

static void edit(struct world *world, const char *kind, const char *name, const char *member, const char *value)
{
    struct ctl_object **slot = slot_of(world, kind, name);
    struct json *tree = ctl_object_tree(world->arena, *slot);
    struct json *parent = json_get(tree, "spec") != NULL && strcmp(kind, "discovery.k8s.io/endpointslices") != 0 ? json_get(tree, "spec") : tree;
    json_set(world->arena, parent, member, json_parse(world->arena, slice_of(value), NULL));
    replace_object(slot, tree);
}

static void write_result(const struct ctl_compiled *compiled, struct strbuf *out)
{
    cfg_document_write(compiled->document, false, out);
    for (size_t i = 0; i < compiled->num_statuses; ++i) {
        strbuf_addf(out, "\n%.*s ", (int)compiled->statuses[i].object->key.name.len, compiled->statuses[i].object->key.name.base);
        json_write(out, compiled->statuses[i].status);
    }
}

/* Compiles with what was remembered and without: there must be no difference. Gives what is to be remembered next. */
static struct ctl_memo *compare_with_fresh(struct world *world, struct ctl_memo *memo, uint64_t others_rev)
{
    struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
    struct ctl_compiled *quick = compile_again(world, memo, others_rev), *fresh = compile_again(world, NULL, others_rev);
    write_result(quick, &a);
    write_result(fresh, &b);
    assert_string_equal(a.base, b.base);
    strbuf_clear(&a);
    strbuf_clear(&b);
    take_statuses(world, fresh);
    struct ctl_memo *next = quick->memo;
    quick->memo = NULL;
    ctl_compiled_free(quick);
    ctl_compiled_free(fresh);
    ctl_memo_free(memo);
    return next;
}

static void what_is_remembered_makes_no_difference(void **state)
{
    struct world *world = compile_world(
        ROUTE("a", "{name: edge, sectionName: http}, {name: edge, sectionName: api}", "  hostnames: [a.example.com]\n" RULE_WEB) "---\n"
        ROUTE("b", "{name: edge, sectionName: http}", "  rules: [{backendRefs: [{name: web, port: 80}, {name: nowhere, port: 80}]}]\n") "---\n"
        ROUTE("c", "{name: missing}", RULE_WEB) "---\n" ROUTE("d", "{name: edge}", RULE_WEB) "---\n" ROUTE("e", "{name: edge}", RULE_WEB)
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: p, namespace: default}\n"
        "spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: d}], loadBalancer: {type: RoundRobin}}\n");
    struct ctl_memo *memo = compare_with_fresh(world, NULL, 1); /* statuses are new: nothing is settled */
    memo = compare_with_fresh(world, memo, 1);
    memo = compare_with_fresh(world, memo, 1);
    edit(world, ROUTES, "e", "hostnames", "[\"e.example.com\"]");
    memo = compare_with_fresh(world, memo, 1);
    edit(world, "discovery.k8s.io/endpointslices", "web-1", "endpoints", "[{\"addresses\":[\"10.0.0.9\"]}]");
    memo = compare_with_fresh(world, memo, 1);
    edit(world, GATEWAYS, "edge", "listeners", "[{\"name\":\"api\",\"port\":8081,\"protocol\":\"HTTP\",\"hostname\":\"*.example.com\"}]");
    memo = compare_with_fresh(world, memo, 2);
    memo = compare_with_fresh(world, memo, 2);
    edit(world, "/services", "web", "ports", "[{\"name\":\"http\",\"port\":81}]");
    memo = compare_with_fresh(world, memo, 3);
    ctl_object_unref(world->objects[--world->view.num]); /* a deletion */
    memo = compare_with_fresh(world, memo, 4);
    ctl_memo_free(memo);
    world_free(world);
}

#define BOTH(kind, name, created, hostname)                                                                                                        \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: " kind "\nmetadata: {name: " name ", namespace: default, creationTimestamp: \"" created \
    "\"}\nspec:\n  parentRefs: [{name: edge, sectionName: http}]\n  hostnames: [" hostname "]\n" RULE_WEB
#define GRPC_ROUTES "gateway.networking.k8s.io/grpcroutes"

static const char *route_text(const struct ctl_compiled *compiled, const char *name)
{
    const struct cfg_resource *route = cfg_document_find(compiled->document, SLICE("route"), slice_of(name));
    return route != NULL ? route->text.base : NULL;
}

static void with_both_kinds_what_is_remembered_is_used_and_makes_no_difference(void **state)
{
    struct world *world = compile_world(BOTH("GRPCRoute", "old", "2026-01-01T00:00:00Z", "g.test") BOTH("HTTPRoute", "free", "2026-01-02T00:00:00Z", "h.test")
                                            BOTH("HTTPRoute", "shut", "2026-01-03T00:00:00Z", "'*.test', g.test")
                                                BOTH("GRPCRoute", "young", "2026-01-04T00:00:00Z", "y.test"));
    struct ctl_memo *memo = compare_with_fresh(world, NULL, 1);
    memo = compare_with_fresh(world, memo, 1);
    struct ctl_compiled *one = compile_again(world, memo, 1), *two = compile_again(world, one->memo, 1);
    assert_non_null(route_text(one, "httproute/default/free"));
    assert_null(route_text(one, "httproute/default/shut")); /* an older one of the other kind has its name */
    assert_ptr_equal(route_text(one, "httproute/default/free"), route_text(two, "httproute/default/free"));
    assert_ptr_equal(route_text(one, "grpcroute/default/young"), route_text(two, "grpcroute/default/young"));
    ctl_compiled_free(one);
    ctl_compiled_free(two);
    edit(world, GRPC_ROUTES, "old", "hostnames", "[\"elsewhere\"]"); /* the other gets the name, and with it the youngest's */
    memo = compare_with_fresh(world, memo, 1);
    one = compile_again(world, memo, 1);
    assert_non_null(route_text(one, "httproute/default/shut"));
    assert_null(route_text(one, "grpcroute/default/young"));
    ctl_compiled_free(one);
    memo = compare_with_fresh(world, memo, 1);
    edit(world, GRPC_ROUTES, "old", "hostnames", "[\"g.test\"]");
    memo = compare_with_fresh(world, memo, 1);
    memo = compare_with_fresh(world, memo, 1);
    edit(world, ROUTES, "free", "hostnames", "[\"y.test\"]");
    memo = compare_with_fresh(world, memo, 1);
    memo = compare_with_fresh(world, memo, 1);
    ctl_memo_free(memo);
    world_free(world);
}

static void only_what_concerns_no_other_route_is_apart(void **state)
{
    assert_true(ctl_compile_is_apart(SLICE(ROUTES)));
    assert_true(ctl_compile_is_apart(SLICE("discovery.k8s.io/endpointslices")));
    assert_true(ctl_compile_is_apart(SLICE("selvedge.dev/nodes")));
    assert_false(ctl_compile_is_apart(SLICE(GATEWAYS)));
    assert_false(ctl_compile_is_apart(SLICE("/services")));
    assert_false(ctl_compile_is_apart(SLICE("/secrets")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_reaches_its_endpoints),
        cmocka_unit_test(hostnames_are_intersected),
        cmocka_unit_test(parents_that_are_not_there_are_named),
        cmocka_unit_test(backends_that_do_not_resolve_keep_their_share),
        cmocka_unit_test(other_namespaces_need_a_grant),
        cmocka_unit_test(the_older_gateway_keeps_a_contested_port),
        cmocka_unit_test(a_listener_without_its_certificate_is_left_out_alone),
        cmocka_unit_test(policies_make_a_variant_of_the_cluster),
        cmocka_unit_test(programmed_follows_what_gateways_run),
        cmocka_unit_test(equal_input_gives_equal_bytes),
        cmocka_unit_test(with_both_kinds_what_is_remembered_is_used_and_makes_no_difference),
        cmocka_unit_test(what_is_remembered_makes_no_difference),
        cmocka_unit_test(only_what_concerns_no_other_route_is_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

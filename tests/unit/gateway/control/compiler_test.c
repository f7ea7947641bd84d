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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Services, EndpointSlices, Backends and policies: which addresses a reference becomes, what is spoken there, which policy
 * counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/lib/world_fixture.h"

/* "10.0.0.1:80 -10.0.0.2:80": endpoints in order, those that are not ready with a dash. */
static const char *endpoints_of(struct world *world, const char *cluster)
{
    struct err err = ERR_INIT;
    struct strbuf text = STRBUF_INIT;
    struct json *spec = json_parse(world->arena, slice_of(spec_of(world, "endpoints", cluster)), &err);
    JSON_FOR(endpoint, json_get(spec, "endpoints"))
    strbuf_addf(&text, "%s%s%s:%lld", text.len != 0 ? " " : "", json_get(endpoint, "ready") == NULL || json_is_true(json_get(endpoint, "ready")) ? "" : "-", json_str(json_get(endpoint, "host"), ""),
                (long long)json_int_or(json_get(endpoint, "port"), 0));
    const char *copy = arena_strndup(world->arena, text.base != NULL ? text.base : "", text.len);
    strbuf_clear(&text);
    return copy;
}

#define TO_S ROUTE("r", "{name: edge}", "  rules: [{backendRefs: [{name: s, port: 80}]}]\n")
#define PORT_H "ports: [{name: h, port: 8000}]\n"

static void slices_become_endpoints(void **state)
{
    static const struct {
        const char *about, *yaml, *want;
    } rows[] = {
        {"no slice", SERVICE("s", "default", "ports: [{port: 80}]"), ""},
        {"several slices, in the order of their names", SERVICE("s", "default", "ports: [{name: h, port: 80}]")
             SLICE_OF("b", "s", "addressType: IPv4\n" PORT_H "endpoints: [{addresses: [10.0.0.3]}]\n")
                 SLICE_OF("a", "s", "addressType: IPv4\nports: [{name: h, port: 9000}]\nendpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}]\n"),
         "10.0.0.1:9000 10.0.0.2:9000 10.0.0.3:8000"},
        {"the port of the same name", SERVICE("s", "default", "ports: [{name: h, port: 80}, {name: m, port: 81}]")
             SLICE_OF("a", "s", "addressType: IPv4\nports: [{name: m, port: 1}, {name: h, port: 2}]\nendpoints: [{addresses: [10.0.0.1]}]\n"), "10.0.0.1:2"},
        {"no port of that name", SERVICE("s", "default", "ports: [{name: h, port: 80}]")
             SLICE_OF("a", "s", "addressType: IPv4\nports: [{name: m, port: 1}]\nendpoints: [{addresses: [10.0.0.1]}]\n"), ""},
        {"ports without names", SERVICE("s", "default", "ports: [{port: 80, targetPort: 8080}]")
             SLICE_OF("a", "s", "addressType: IPv4\nports: [{port: 8080}]\nendpoints: [{addresses: [10.0.0.1]}]\n"), "10.0.0.1:8080"},
        {"conditions", SERVICE("s", "default", "ports: [{name: h, port: 80}]")
             SLICE_OF("a", "s", "addressType: IPv4\n" PORT_H "endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}, "
                                "{addresses: [10.0.0.3], conditions: {ready: false, serving: true, terminating: true}}, "
                                "{addresses: [10.0.0.4], conditions: {ready: true, terminating: true}}, {addresses: [10.0.0.5], conditions: {serving: false}}]\n"),
         "10.0.0.1:8000 -10.0.0.2:8000 -10.0.0.3:8000 -10.0.0.4:8000 10.0.0.5:8000"},
        {"not ready, and published all the same", SERVICE("s", "default", "publishNotReadyAddresses: true, ports: [{name: h, port: 80}]")
             SLICE_OF("a", "s", "addressType: IPv4\n" PORT_H "endpoints: [{addresses: [10.0.0.2], conditions: {ready: false}}, "
                                "{addresses: [10.0.0.3], conditions: {ready: false, terminating: true}}]\n"),
         "10.0.0.2:8000 10.0.0.3:8000"},
        {"both families, and names", SERVICE("s", "default", "ports: [{name: h, port: 80}]")
             SLICE_OF("a", "s", "addressType: IPv6\n" PORT_H "endpoints: [{addresses: [\"fd00::1\"]}]\n")
                 SLICE_OF("b", "s", "addressType: FQDN\n" PORT_H "endpoints: [{addresses: [db.example.test]}]\n"),
         "fd00::1:8000 db.example.test:8000"},
        {"a slice of another service", SERVICE("s", "default", "ports: [{name: h, port: 80}]")
             SLICE_OF("a", "other", "addressType: IPv4\n" PORT_H "endpoints: [{addresses: [10.0.0.1]}]\n"), ""},
        {"another name", SERVICE("s", "default", "type: ExternalName, externalName: db.example.test, ports: [{port: 80}]"), "db.example.test:80"},
        {"another name and port", SERVICE("s", "default", "type: ExternalName, externalName: db.example.test, ports: [{port: 80, targetPort: 8080}]"),
         "db.example.test:8080"},
        {"another name alone, as Kubernetes has it", SERVICE("s", "default", "type: ExternalName, externalName: db.example.test"), "db.example.test:80"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        struct world *world = compile_both(TO_S, rows[i].yaml);
        expect_condition(route_conditions(world, "r", 0), "ResolvedRefs", "True", "ResolvedRefs");
        const char *got = endpoints_of(world, "service/default/s:80");
        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s: want %s, got %s", rows[i].about, rows[i].want, got);
        world_free(world);
    }
}

static void app_protocols_say_what_is_spoken(void **state)
{
    static const struct {
        const char *name, *want; /* NULL: refused */
    } rows[] = {{"null", ""}, {"http", ""}, {"kubernetes.io/h2c", "\"protocol\":\"h2c\""}, {"grpc", "\"protocol\":\"h2c\""}, {"kubernetes.io/ws", "\"protocol\":\"ws\""},
                {"https", NULL}, {"kubernetes.io/wss", NULL}, {"example.test/own", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        char text[1024];
        snprintf(text, sizeof(text), "%s" SERVICE("s", "default", "ports: [{port: 80, appProtocol: %s}]"), TO_S, rows[i].name);
        struct world *world = compile_world(text);
        expect_condition(route_conditions(world, "r", 0), "ResolvedRefs", rows[i].want != NULL ? "True" : "False",
                         rows[i].want != NULL ? "ResolvedRefs" : "UnsupportedProtocol");
        if (rows[i].want != NULL && strstr(spec_of(world, "cluster", "service/default/s:80"), rows[i].want) == NULL)
            fail_msg("%s: %s", rows[i].name, spec_of(world, "cluster", "service/default/s:80"));
        world_free(world);
    }
}

#define BACKEND(spec) "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {name: b, namespace: default}\nspec: {" spec "}\n"
#define TO_B ROUTE("r", "{name: edge}", "  rules: [{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}]}]\n")

static void backends_name_their_endpoints_themselves(void **state)
{
    static const struct {
        const char *spec, *endpoints, *cluster;
    } rows[] = {
        {BACKEND("endpoints: [{ip: {address: 10.0.0.1, port: 80}}, {ip: {address: \"fd00::1\", port: 81}}]"), "10.0.0.1:80 fd00::1:81", "\"host\":\"b.default\""},
        {BACKEND("endpoints: [{fqdn: {hostname: db.example.test, port: 80}}]"), "db.example.test:80", "\"host\":\"db.example.test\""},
        {BACKEND("endpoints: [{unix: {path: /run/s.sock}}]"), "unix:/run/s.sock:0", ""},
        {BACKEND("endpoints: [{hostname: in.test, ip: {address: 10.0.0.1, port: 80}}]"), "10.0.0.1:80", "\"host\":\"in.test\""},
        {BACKEND("appProtocols: [gateway.envoyproxy.io/h2c], endpoints: [{ip: {address: 10.0.0.1, port: 80}}]"), "10.0.0.1:80", "\"protocol\":\"h2c\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        struct world *world = compile_both(TO_B, rows[i].spec);
        assert_string_equal(endpoints_of(world, "backend/default/b"), rows[i].endpoints);
        assert_non_null(strstr(spec_of(world, "cluster", "backend/default/b"), rows[i].cluster));
        world_free(world);
    }
}

/* ---- policies ---- */

#define POLICY(name, created, target, type)                                                                  \
    "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: " name ", namespace: default, creationTimestamp: \"" created \
    "\"}\nspec: {targetRefs: [{group: gateway.networking.k8s.io, " target "}], loadBalancer: {type: " type "}}\n"
#define OLD "2026-01-01T00:00:00Z"
#define YOUNG "2026-02-01T00:00:00Z"

static const struct json *policy_conditions(struct world *world, const char *name)
{
    return json_get(json_at(json_get(status_of(world, "gateway.envoyproxy.io/backendtrafficpolicies", name), "ancestors"), 0), "conditions");
}

static void the_most_specific_policy_wins_whole_and_the_oldest_of_equals(void **state)
{
    static const char gateway[] = POLICY("gateway", OLD, "kind: Gateway, name: edge", "Random");
    static const char listener[] = POLICY("listener", OLD, "kind: Gateway, name: edge, sectionName: http", "Random");
    static const char route[] = POLICY("route", YOUNG, "kind: HTTPRoute, name: r", "RoundRobin");
    static const char rule[] = POLICY("rule", YOUNG, "kind: HTTPRoute, name: r, sectionName: one", "Random");
    static const char later[] = POLICY("later", "2026-03-01T00:00:00Z", "kind: HTTPRoute, name: r", "Random");
    static const struct {
        const char *first, *second, *cluster;
    } rows[] = {
        {gateway, "", "service/default/web:80@default/gateway"}, {gateway, listener, "service/default/web:80@default/listener"},
        {listener, route, "service/default/web:80@default/route"}, {route, rule, "service/default/web:80@default/rule"},
        {route, later, "service/default/web:80@default/route"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        char text[4096];
        snprintf(text, sizeof(text), "%s%s%s", ROUTE("r", "{name: edge, sectionName: http}", "  rules: [{name: one, backendRefs: [{name: web, port: 80}]}]\n"),
                 rows[i].first, rows[i].second);
        struct world *world = compile_world(text);
        if (spec_of(world, "cluster", rows[i].cluster)[0] == '\0')
            fail_msg("row %zu: no %s", i, rows[i].cluster);
        world_free(world);
    }
}

static void policies_are_told_whether_they_count(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: edge}", RULE_WEB) POLICY("old", OLD, "kind: HTTPRoute, name: r", "Random")
                                            POLICY("young", YOUNG, "kind: HTTPRoute, name: r", "Random") POLICY("lost", OLD, "kind: HTTPRoute, name: gone", "Random"));
    expect_condition(policy_conditions(world, "old"), "Accepted", "True", "Accepted");
    expect_condition(policy_conditions(world, "young"), "Accepted", "False", "Conflicted");
    expect_condition(policy_conditions(world, "lost"), "Accepted", "False", "TargetNotFound");
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_become_endpoints),
        cmocka_unit_test(app_protocols_say_what_is_spoken),
        cmocka_unit_test(backends_name_their_endpoints_themselves),
        cmocka_unit_test(the_most_specific_policy_wins_whole_and_the_oldest_of_equals),
        cmocka_unit_test(policies_are_told_whether_they_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

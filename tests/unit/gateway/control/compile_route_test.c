/* HTTPRoutes: which listeners they attach to, which requests they get then, what their references resolve to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/lib/world_fixture.h"

/* Listeners of every kind of host name on one port, and a route to each by name. */
#define HOSTS                                                                                                \
    GATEWAY("hosts", "2026-02-01T00:00:00Z",                                                                 \
            "listeners: [{name: exact, port: 90, protocol: HTTP, hostname: very.specific.test}, "           \
            "{name: wild, port: 90, protocol: HTTP, hostname: \"*.wild.test\"}, "                            \
            "{name: deep, port: 90, protocol: HTTP, hostname: \"*.deep.wild.test\"}, {name: any, port: 90, protocol: HTTP}]")

static void host_names_of_listener_and_route_are_intersected(void **state)
{
    static const struct {
        const char *host, *want;
    } rows[] = {
        /* an exact listener: routes that say the name, cover it, or say nothing */
        {"very.specific.test", "default/said/0"},
        {"other.specific.test", "default/rest/0"},
        /* a wildcard listener takes the more specific of the two names */
        {"a.wild.test", "default/narrow/0"},
        {"x.a.wild.test", "404"},
        {"b.wild.test", "404"},
        {"wild.test", "default/rest/0"}, /* a wildcard does not cover its apex: the listener without a name takes it */
        /* the most specific listener alone decides, also when it has no route for the path */
        {"x.deep.wild.test", "default/deep/0"},
        {"deep.wild.test", "404"}, /* is of *.wild.test, where `narrow` does not want it */
        /* what no name covers */
        {"elsewhere.test", "default/rest/0"},
    };
    struct world *world = compile_world(
        HOSTS ROUTE_IN("said", "default", "{name: hosts, sectionName: exact}", "  hostnames: [other.test, very.specific.test]\n" RULE_WEB)
            ROUTE_IN("narrow", "default", "{name: hosts, sectionName: wild}", "  hostnames: [a.wild.test, a.elsewhere.test]\n" RULE_WEB)
                ROUTE_IN("deep", "default", "{name: hosts, sectionName: deep}", "  hostnames: [\"*.test\"]\n" RULE_WEB)
                    ROUTE_IN("rest", "default", "{name: hosts, sectionName: any}", RULE_WEB)
                        ROUTE_IN("never", "default", "{name: hosts, sectionName: wild}", "  hostnames: [wild.test, \"*.other.test\"]\n" RULE_WEB));
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        const char *got = world_ask(world, "*:90", rows[i].host, "/");
        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s: want %s, got %s", rows[i].host, rows[i].want, got);
    }
    expect_condition(route_conditions(world, "never", 0), "Accepted", "False", "NoMatchingListenerHostname");
    world_free(world);
}

static void a_route_without_names_has_all_of_its_listener(void **state)
{
    struct world *world = compile_world(HOSTS ROUTE_IN("r", "default", "{name: hosts}", RULE_WEB));
    assert_string_equal(world_ask(world, "*:90", "very.specific.test", "/"), "default/r/0");
    assert_string_equal(world_ask(world, "*:90", "q.wild.test", "/"), "default/r/0");
    assert_string_equal(world_ask(world, "*:90", "elsewhere.test", "/"), "default/r/0");
    world_free(world);
}

static void section_and_port_both_choose(void **state)
{
    struct world *world = compile_world(
        GATEWAY("two", "2026-02-01T00:00:00Z", "listeners: [{name: a, port: 91, protocol: HTTP}, {name: b, port: 92, protocol: HTTP}]")
            ROUTE_IN("section", "default", "{name: two, sectionName: a}", "  hostnames: [s.test]\n" RULE_WEB)
                ROUTE_IN("port", "default", "{name: two, port: 92}", "  hostnames: [p.test]\n" RULE_WEB)
                    ROUTE_IN("neither", "default", "{name: two, sectionName: a, port: 92}", RULE_WEB));
    assert_string_equal(world_ask(world, "*:91", "s.test", "/"), "default/section/0");
    assert_string_equal(world_ask(world, "*:92", "s.test", "/"), "404");
    assert_string_equal(world_ask(world, "*:92", "p.test", "/"), "default/port/0");
    assert_string_equal(world_ask(world, "*:91", "p.test", "/"), "404");
    expect_condition(route_conditions(world, "neither", 0), "Accepted", "False", "NoMatchingParent");
    world_free(world);
}

/* ---- allowedRoutes ---- */

#define TEAMS NAMESPACE("red", "team: red, tier: \"1\"") NAMESPACE("blue", "team: blue")
#define ALLOWED(allowed)                                                                                     \
    TEAMS GATEWAY("g", "2026-02-01T00:00:00Z", "listeners: [{name: l, port: 91, protocol: HTTP, allowedRoutes: " allowed "}]")       \
    ROUTE_IN("own", "default", "{name: g}", RULE_WEB) ROUTE_IN("red", "red", "{name: g, namespace: default}", RULE_WEB)              \
    ROUTE_IN("blue", "blue", "{name: g, namespace: default}", RULE_WEB)

static void listeners_choose_the_namespaces_of_their_routes(void **state)
{
    static const struct {
        const char *world;
        bool own, red, blue;
    } rows[] = {
        {ALLOWED("{}"), true, false, false},
        {ALLOWED("{namespaces: {from: Same}}"), true, false, false},
        {ALLOWED("{namespaces: {from: All}}"), true, true, true},
        {ALLOWED("{namespaces: {from: Selector, selector: {matchLabels: {team: red}}}}"), false, true, false},
        {ALLOWED("{namespaces: {from: Selector, selector: {matchLabels: {team: red, tier: \"2\"}}}}"), false, false, false},
        {ALLOWED("{namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: In, values: [red, blue]}]}}}"), false, true, true},
        {ALLOWED("{namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: NotIn, values: [red]}]}}}"), true, false, true},
        {ALLOWED("{namespaces: {from: Selector, selector: {matchExpressions: [{key: tier, operator: Exists}]}}}"), false, true, false},
        {ALLOWED("{namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}}"), true, false, false},
        {ALLOWED("{namespaces: {from: Selector, selector: {}}}"), true, true, true},
        {ALLOWED("{kinds: [{kind: GRPCRoute}], namespaces: {from: All}}"), false, false, false},
        {ALLOWED("{kinds: [{kind: GRPCRoute}, {kind: HTTPRoute}], namespaces: {from: All}}"), true, true, true},
        {ALLOWED("{kinds: [{group: other.test, kind: HTTPRoute}], namespaces: {from: All}}"), false, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        const struct {
            const char *name;
            bool is_taken;
        } wants[] = {{"own", rows[i].own}, {"red", rows[i].red}, {"blue", rows[i].blue}};
        struct world *world = compile_world(rows[i].world);
        for (size_t j = 0; j < ARRAY_LEN(wants); ++j)
            expect_condition(route_conditions(world, wants[j].name, 0), "Accepted", wants[j].is_taken ? "True" : "False",
                             wants[j].is_taken ? "Accepted" : "NotAllowedByListeners");
        world_free(world);
    }
}

/* ---- matches and filters ---- */

static void paths_are_matched_in_their_normal_form(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: edge}",
        "  rules:\n  - {matches: [{path: {type: Exact, value: \"/caf%c3%a9\"}}], backendRefs: [{name: web, port: 80}]}\n"
        "  - {matches: [{path: {type: Exact, value: \"/a%7Eb\"}}], backendRefs: [{name: web, port: 80}]}\n"
        "  - {matches: [{path: {value: \"/%70refix/\"}}], backendRefs: [{name: web, port: 80}]}\n"));
    assert_string_equal(world_ask(world, "*:8080", "x.test", "/caf%C3%A9"), "default/r/0");
    assert_string_equal(world_ask(world, "*:8080", "x.test", "/a~b"), "default/r/1");
    assert_string_equal(world_ask(world, "*:8080", "x.test", "/prefix/a"), "default/r/2");
    assert_string_equal(world_ask(world, "*:8080", "x.test", "/prefix"), "default/r/2");
    assert_string_equal(world_ask(world, "*:8080", "x.test", "/prefixed"), "404");
    world_free(world);
}

static void names_that_differ_in_case_alone_are_one_and_the_first_counts(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: edge}",
        "  rules:\n  - matches: [{headers: [{name: X-A, value: first}, {name: x-a, value: second}]}]\n"
        "    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-B, value: first}, {name: x-b, value: second}], "
        "add: [{name: X-C, value: first}, {name: x-c, value: second}]}}]\n    backendRefs: [{name: web, port: 80}]\n"));
    const char *route = spec_of(world, "route", "httproute/default/r");
    assert_null(strstr(route, "second"));
    assert_non_null(strstr(route, "\"name\":\"x-a\""));
    assert_non_null(strstr(route, "\"set\":[{\"name\":\"x-b\",\"value\":\"first\"}]"));
    assert_non_null(strstr(route, "\"add\":[{\"name\":\"x-c\",\"value\":\"first\"}]"));
    world_free(world);
}

/* ---- references ---- */

#define TO(ref) "  rules: [{backendRefs: [{" ref "}]}]\n"
#define DATA NAMESPACE("data", "a: b") SERVICE("db", "data", "ports: [{port: 80}]") SERVICE("other", "data", "ports: [{port: 80}]")
#define FROM_ROUTES "group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default"

static void references_that_do_not_resolve_say_why_and_where(void **state)
{
    static const struct {
        const char *world, *reason, *message;
    } rows[] = {
        {ROUTE("r", "{name: edge}", TO("name: gone, port: 80")), "BackendNotFound", "rules[0].backendRefs[0]: Service default/gone does not exist"},
        {ROUTE("r", "{name: edge}", TO("name: web, port: 81")), "BackendNotFound", "rules[0].backendRefs[0]: Service default/web has no port 81"},
        {ROUTE("r", "{name: edge}", TO("name: b, kind: Backend, group: gateway.envoyproxy.io")), "BackendNotFound",
         "rules[0].backendRefs[0]: Backend default/b does not exist"},
        {ROUTE("r", "{name: edge}", TO("name: x, kind: ServiceImport, group: multicluster.x-k8s.io, port: 80")), "InvalidKind",
         "rules[0].backendRefs[0]: kind ServiceImport of group \"multicluster.x-k8s.io\" is not supported"},
        {ROUTE("r", "{name: edge}", TO("name: db, namespace: data, port: 80")) DATA, "RefNotPermitted",
         "rules[0].backendRefs[0]: no ReferenceGrant in namespace data allows the reference to Service db"},
        {ROUTE("r", "{name: edge}", TO("name: tls, port: 80")) SERVICE("tls", "default", "ports: [{port: 80, appProtocol: https}]"), "UnsupportedProtocol",
         "rules[0].backendRefs[0]: Service tls: appProtocol https needs a BackendTLSPolicy that says how to verify it"},
        {ROUTE("r", "{name: edge}", "  rules: [{backendRefs: [{name: web, port: 80}]}, {backendRefs: [{name: web, port: 80}, {name: gone, port: 80}]}]\n"),
         "BackendNotFound", "rules[1].backendRefs[1]: Service default/gone does not exist"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        struct world *world = compile_world(rows[i].world);
        const struct json *conditions = route_conditions(world, "r", 0);
        expect_condition(conditions, "Accepted", "True", "Accepted"); /* it serves what it can, and 500 for the rest */
        expect_condition(conditions, "ResolvedRefs", "False", rows[i].reason);
        JSON_FOR(condition, conditions)
        if (strcmp(json_str(json_get(condition, "type"), ""), "ResolvedRefs") == 0)
            assert_string_equal(json_str(json_get(condition, "message"), ""), rows[i].message);
        world_free(world);
    }
}

static void grants_are_for_what_they_name(void **state)
{
    static const struct {
        const char *grant;
        bool is_granted;
    } rows[] = {
        {GRANT("g", "data", FROM_ROUTES, "group: \"\", kind: Service"), true},
        {GRANT("g", "data", FROM_ROUTES, "group: \"\", kind: Service, name: db"), true},
        {GRANT("g", "data", FROM_ROUTES, "group: \"\", kind: Service, name: other"), false},
        {GRANT("g", "data", FROM_ROUTES, "group: \"\", kind: Secret"), false},
        {GRANT("g", "data", FROM_ROUTES "}, {group: a.test, kind: A, namespace: a", "group: \"\", kind: Secret}, {group: \"\", kind: Service"), true},
        {GRANT("g", "data", "group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: elsewhere", "group: \"\", kind: Service"), false},
        {GRANT("g", "data", "group: gateway.networking.k8s.io, kind: Gateway, namespace: default", "group: \"\", kind: Service"), false},
        {GRANT("g", "data", "group: \"\", kind: HTTPRoute, namespace: default", "group: \"\", kind: Service"), false},
        {GRANT("g", "default", FROM_ROUTES, "group: \"\", kind: Service"), false}, /* the owner of what is referred to grants */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        struct world *world = compile_both(ROUTE("r", "{name: edge}", TO("name: db, namespace: data, port: 80")) DATA, rows[i].grant);
        expect_condition(route_conditions(world, "r", 0), "ResolvedRefs", rows[i].is_granted ? "True" : "False",
                         rows[i].is_granted ? "ResolvedRefs" : "RefNotPermitted");
        world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_names_of_listener_and_route_are_intersected),
        cmocka_unit_test(a_route_without_names_has_all_of_its_listener),
        cmocka_unit_test(section_and_port_both_choose),
        cmocka_unit_test(listeners_choose_the_namespaces_of_their_routes),
        cmocka_unit_test(paths_are_matched_in_their_normal_form),
        cmocka_unit_test(names_that_differ_in_case_alone_are_one_and_the_first_counts),
        cmocka_unit_test(references_that_do_not_resolve_say_why_and_where),
        cmocka_unit_test(grants_are_for_what_they_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

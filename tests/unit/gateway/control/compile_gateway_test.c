/* Gateways: which listeners are served, whose port it is, which certificates count, and what all are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/base/base64.h"
#include "tests/unit/lib/certs.h"
#include "tests/unit/lib/world_fixture.h"

#define LATER "2026-02-01T00:00:00Z"

static const struct json *listener_of(struct world *world, const char *gateway, size_t index)
{
    return json_at(json_get(status_of(world, GATEWAYS, gateway), "listeners"), index);
}

static const struct json *listener_conditions(struct world *world, const char *gateway, size_t index)
{
    return json_get(listener_of(world, gateway, index), "conditions");
}

/* ---- one port, several listeners ---- */

static void listeners_that_cannot_share_a_port_conflict(void **state)
{
    static const struct {
        const char *spec, *reason; /* of the second listener; NULL: both are served */
    } rows[] = {
        {"listeners: [{name: a, port: 90, protocol: HTTP}, {name: b, port: 90, protocol: HTTP, hostname: b.test}]", NULL},
        {"listeners: [{name: a, port: 90, protocol: HTTP}, {name: b, port: 91, protocol: HTTP}]", NULL},
        {"listeners: [{name: a, port: 90, protocol: HTTP, hostname: \"*.a.test\"}, {name: b, port: 90, protocol: HTTP, hostname: a.test}]", NULL},
        {"listeners: [{name: a, port: 90, protocol: HTTP}, {name: b, port: 90, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}]", "ProtocolConflict"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        char text[1024];
        snprintf(text, sizeof(text), GATEWAY("g", LATER, "%s"), rows[i].spec);
        struct world *world = compile_world(text);
        expect_condition(listener_conditions(world, "g", 0), "Conflicted", "False", "NoConflicts");
        expect_condition(listener_conditions(world, "g", 0), "Accepted", "True", "Accepted");
        expect_condition(listener_conditions(world, "g", 1), "Conflicted", rows[i].reason != NULL ? "True" : "False",
                         rows[i].reason != NULL ? rows[i].reason : "NoConflicts");
        expect_condition(json_get(status_of(world, GATEWAYS, "g"), "conditions"), "Accepted", "True", rows[i].reason != NULL ? "ListenersNotValid" : "Accepted");
        world_free(world);
    }
}

static void another_address_is_another_port(void **state)
{
    struct world *world = compile_world(
        GATEWAY("one", LATER, "addresses: [{value: 127.0.0.1}], listeners: [{name: l, port: 90, protocol: HTTP}]")
            GATEWAY("two", "2026-03-01T00:00:00Z", "addresses: [{value: \"::1\"}, {value: 127.0.0.1}], listeners: [{name: l, port: 90, protocol: HTTP}]")
                GATEWAY("three", "2026-04-01T00:00:00Z", "addresses: [{value: \"::1\"}], listeners: [{name: l, port: 90, protocol: HTTP}]"));
    expect_condition(listener_conditions(world, "one", 0), "Conflicted", "False", "NoConflicts");
    expect_condition(listener_conditions(world, "two", 0), "Conflicted", "True", "HostnameConflict"); /* one of its two is taken */
    expect_condition(listener_conditions(world, "three", 0), "Conflicted", "False", "NoConflicts");   /* what is left out takes nothing */
    assert_string_not_equal(spec_of(world, "listener", "127.0.0.1:90"), "");
    assert_string_not_equal(spec_of(world, "listener", "[::1]:90"), "");
    world_free(world);
}

static void gateways_of_other_classes_are_left_alone(void **state)
{
    struct world *world = compile_world(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: theirs}\nspec: {controllerName: other.test/gateway}\n"
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: default}\n"
        "spec: {gatewayClassName: theirs, listeners: [{name: l, port: 90, protocol: HTTP}]}\n" ROUTE_IN("r", "default", "{name: g}, {name: edge}", RULE_WEB));
    assert_string_equal(spec_of(world, "listener", "*:90"), "");
    for (size_t i = 0; i < world->compiled->num_statuses; ++i)
        assert_false(slice_is(world->compiled->statuses[i].object->key.name, "g") || slice_is(world->compiled->statuses[i].object->key.name, "theirs"));
    const struct json *parents = json_get(status_of(world, ROUTES, "r"), "parents");
    assert_int_equal(parents->num, 1); /* what is said about the other parent is its controller's to say */
    assert_string_equal(json_str(json_find(json_at(parents, 0), "parentRef", "name", NULL), ""), "edge");
    world_free(world);
}

static void a_gateway_whose_class_does_not_exist_is_told(void **state)
{
    struct world *world = compile_world(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: default}\n"
        "spec: {gatewayClassName: gone, listeners: [{name: l, port: 90, protocol: HTTP}]}\n"
        "status: {addresses: [{value: 10.0.0.1}], conditions: [{type: Programmed, status: \"True\", reason: Programmed, message: \"\", lastTransitionTime: \"2026-01-01T00:00:00Z\"}]}\n");
    const struct json *status = status_of(world, GATEWAYS, "g");
    assert_string_equal(spec_of(world, "listener", "*:90"), "");
    assert_null(json_get(status, "addresses"));
    expect_condition(json_get(status, "conditions"), "Accepted", "False", "Invalid");
    expect_condition(json_get(status, "conditions"), "Programmed", "False", "Invalid");
    assert_string_equal(json_str(json_get(json_at(json_get(status, "conditions"), 0), "message"), ""), "GatewayClass gone does not exist");
    world_free(world);
}

/* ---- routes of a listener ---- */

static void kinds_that_are_not_served_are_told_and_left_out(void **state)
{
    static const struct {
        const char *kinds, *status, *reason;
        uint32_t num_supported;
    } rows[] = {
        {"[{kind: HTTPRoute}]", "True", "ResolvedRefs", 1},
        {"[{group: gateway.networking.k8s.io, kind: HTTPRoute}]", "True", "ResolvedRefs", 1},
        {"[{kind: GRPCRoute}]", "True", "ResolvedRefs", 1},
        {"[{kind: GRPCRoute}, {kind: HTTPRoute}]", "True", "ResolvedRefs", 2},
        {"[{kind: TLSRoute}]", "False", "InvalidRouteKinds", 0},
        {"[{kind: TCPRoute}, {kind: HTTPRoute}]", "False", "InvalidRouteKinds", 1},
        {"[{group: other.test, kind: HTTPRoute}]", "False", "InvalidRouteKinds", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        char text[1024];
        snprintf(text, sizeof(text), GATEWAY("g", LATER, "listeners: [{name: l, port: 90, protocol: HTTP, allowedRoutes: {kinds: %s}}]"), rows[i].kinds);
        struct world *world = compile_world(text);
        expect_condition(listener_conditions(world, "g", 0), "ResolvedRefs", rows[i].status, rows[i].reason);
        assert_int_equal(json_get(listener_of(world, "g", 0), "supportedKinds")->num, rows[i].num_supported);
        world_free(world);
    }
}

static void routes_are_counted_where_they_are_attached(void **state)
{
    struct world *world = compile_world(
        GATEWAY("g", LATER, "listeners: [{name: a, port: 90, protocol: HTTP}, {name: b, port: 90, protocol: HTTP, hostname: b.test}, "
                            "{name: taken, port: 8080, protocol: HTTP}, {name: none, port: 91, protocol: HTTP, hostname: n.test}]")
            ROUTE_IN("all", "default", "{name: g}", "  hostnames: [a.test, b.test]\n" RULE_WEB)
                ROUTE_IN("twice", "default", "{name: g, sectionName: a}, {name: g, sectionName: b}", "  hostnames: [b.test]\n" RULE_WEB)
                    ROUTE_IN("missing", "default", "{name: g, sectionName: a}", "  rules: [{backendRefs: [{name: gone, port: 80}]}]\n"));
    static const int counts[] = {3, 2, 1, 0}; /* a conflicted listener counts too; unresolved references attach */
    for (size_t i = 0; i < ARRAY_LEN(counts); ++i)
        if (json_int_or(json_get(listener_of(world, "g", i), "attachedRoutes"), -1) != counts[i])
            fail_msg("listener %zu: want %d routes", i, counts[i]);
    world_free(world);
}

static void every_condition_tells_its_generation(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: edge}", RULE_WEB));
    for (size_t i = 0; i < world->compiled->num_statuses; ++i) {
        struct strbuf text = STRBUF_INIT;
        unsigned num_types = 0, num_generations = 0;
        json_write(&text, world->compiled->statuses[i].status);
        for (const char *at = text.base; (at = strstr(at, "\"type\":\"")) != NULL; ++at)
            num_types += strncmp(at, "\"type\":\"IPAddress", 17) != 0;
        for (const char *at = text.base; (at = strstr(at, "\"observedGeneration\":")) != NULL; ++at)
            ++num_generations;
        assert_int_not_equal(num_types, 0);
        assert_int_equal(num_types, num_generations);
        strbuf_clear(&text);
    }
    world_free(world);
}

/* ---- certificates ---- */

static char *secret_yaml(struct arena *texts, const char *name, const char *ns, const char *cert, const char *key)
{
    struct strbuf cert_text = STRBUF_INIT, key_text = STRBUF_INIT;
    base64_add(&cert_text, slice_of(cert));
    base64_add(&key_text, slice_of(key));
    char *yaml = arena_printf(texts, "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: %s, namespace: %s}\ndata: {tls.crt: %.*s, tls.key: %.*s}\n",
                              name, ns, (int)cert_text.len, cert_text.base, (int)key_text.len, key_text.base);
    strbuf_clear(&cert_text);
    strbuf_clear(&key_text);
    return yaml;
}

#define HTTPS(refs) GATEWAY("g", LATER, "listeners: [{name: l, port: 90, protocol: HTTPS, tls: {certificateRefs: [" refs "]}}]")
#define FROM_GATEWAYS "group: gateway.networking.k8s.io, kind: Gateway, namespace: default"

static void certificates_decide_whether_a_listener_is_served(void **state)
{
    static const struct {
        const char *yaml, *reason; /* reason NULL: resolved */
        bool is_served;
    } rows[] = {
        {HTTPS("{name: good}"), NULL, true},
        {HTTPS("{name: good, namespace: default, group: \"\", kind: Secret}"), NULL, true},
        {HTTPS("{name: gone}"), "InvalidCertificateRef", false},
        {HTTPS("{name: mixed}"), "InvalidCertificateRef", false}, /* the key is another's */
        {HTTPS("{name: good, kind: ConfigMap}"), "InvalidCertificateRef", false},
        {HTTPS("{name: good, group: other.test}"), "InvalidCertificateRef", false},
        {HTTPS("{name: good}, {name: gone}"), "InvalidCertificateRef", true}, /* with those that are good */
        {HTTPS("{name: far, namespace: certs}"), "RefNotPermitted", false},
        {HTTPS("{name: far, namespace: certs}") GRANT("g", "certs", FROM_GATEWAYS, "group: \"\", kind: Secret"), NULL, true},
        {HTTPS("{name: far, namespace: certs}") GRANT("g", "certs", FROM_GATEWAYS, "group: \"\", kind: Secret, name: far"), NULL, true},
        {HTTPS("{name: far, namespace: certs}") GRANT("g", "certs", FROM_GATEWAYS, "group: \"\", kind: Secret, name: near"), "RefNotPermitted", false},
        {HTTPS("{name: far, namespace: certs}") GRANT("g", "certs", FROM_GATEWAYS, "group: \"\", kind: Service"), "RefNotPermitted", false},
        {HTTPS("{name: far, namespace: certs}") GRANT("g", "certs", "group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default", "group: \"\", kind: Secret"),
         "RefNotPermitted", false},
    };
    struct test_cert one, two;
    struct arena *texts = arena_new(0);
    test_cert_make(&one, NULL, &(struct test_cert_spec){.dns = (const char *const[]){"a.test", NULL}});
    test_cert_make(&two, NULL, &(struct test_cert_spec){.dns = (const char *const[]){"b.test", NULL}});
    const char *secrets = arena_printf(texts, "%s%s%s%s", NAMESPACE("certs", "a: b"), secret_yaml(texts, "good", "default", one.cert_pem, one.key_pem),
                                       secret_yaml(texts, "mixed", "default", one.cert_pem, two.key_pem), secret_yaml(texts, "far", "certs", two.cert_pem, two.key_pem));
    for (size_t i = 0; i < ARRAY_LEN(rows); ++i) {
        struct world *world = compile_both(rows[i].yaml, secrets);
        expect_condition(listener_conditions(world, "g", 0), "ResolvedRefs", rows[i].reason == NULL ? "True" : "False",
                         rows[i].reason == NULL ? "ResolvedRefs" : rows[i].reason);
        if (rows[i].is_served != (spec_of(world, "listener", "*:90")[0] != '\0'))
            fail_msg("row %zu: %s", i, rows[i].yaml);
        if (!rows[i].is_served)
            expect_condition(listener_conditions(world, "g", 0), "Programmed", "False", "Invalid");
        world_free(world);
    }
    test_cert_clear(&one);
    test_cert_clear(&two);
    arena_free(texts);
}

/* ---- what the nodes say ---- */

static void an_address_that_cannot_be_opened_is_told_of_the_gateway(void **state)
{
    struct world *world = compile_world(ROUTE("r", "{name: edge}", RULE_WEB));
    struct err err = ERR_INIT;
    struct ctl_listener_failure failure = {SLICE("*:8080"), SLICE("listen on *:8080: Address already in use")};
    struct ctl_compile_options options = {.epoch = 1, .applied = world->compiled->document, .failures = &failure, .num_failures = 1};
    struct ctl_compiled *first = world->compiled;
    world->compiled = ctl_compile(&world->view, &options, &err);
    assert_non_null(world->compiled);
    const struct json *conditions = json_get(status_of(world, GATEWAYS, "edge"), "conditions");
    expect_condition(conditions, "Accepted", "True", "Accepted");
    expect_condition(conditions, "Programmed", "False", "AddressNotUsable");
    assert_string_equal(json_str(json_get(json_at(conditions, 1), "message"), ""), "listen on *:8080: Address already in use");
    ctl_compiled_free(first);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners_that_cannot_share_a_port_conflict),
        cmocka_unit_test(another_address_is_another_port),
        cmocka_unit_test(gateways_of_other_classes_are_left_alone),
        cmocka_unit_test(a_gateway_whose_class_does_not_exist_is_told),
        cmocka_unit_test(kinds_that_are_not_served_are_told_and_left_out),
        cmocka_unit_test(routes_are_counted_where_they_are_attached),
        cmocka_unit_test(every_condition_tells_its_generation),
        cmocka_unit_test(certificates_decide_whether_a_listener_is_served),
        cmocka_unit_test(an_address_that_cannot_be_opened_is_told_of_the_gateway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

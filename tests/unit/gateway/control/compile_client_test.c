/* ClientTrafficPolicies: which port gets what, and who is told no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/lib/world_fixture.h"

#define POLICIES "gateway.envoyproxy.io/clienttrafficpolicies"
#define CLIENT(name, created, target, spec)                                                                                           \
    "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: " name                              \
    ", namespace: default, creationTimestamp: \"2026-01-0" created "T00:00:00Z\"}\n"                                                 \
    "spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, " target "}], " spec "}\n"
/* A Gateway with two listeners on one port, and one on a port of its own. */
#define PORTS(name, month, rest)                                                                                                      \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: " name                                           \
    ", namespace: default, creationTimestamp: \"2026-0" month "-01T00:00:00Z\"}\n"                                                   \
    "spec: {gatewayClassName: selvedge, listeners: [{name: a, port: 9001, protocol: HTTP, hostname: a.test}, "                        \
    "{name: b, port: 9001, protocol: HTTP, hostname: b.test}, {name: own, port: 9002, protocol: HTTP" rest "}]}\n"

static void expect_verdict(struct world *world, const char *policy, unsigned ancestor, const char *status, const char *reason)
{
    const struct json *ancestors = json_get(status_of(world, POLICIES, policy), "ancestors");
    expect_condition(json_get(json_at(ancestors, ancestor), "conditions"), "Accepted", status, reason);
}

static void a_client_policy_reaches_the_ports_of_its_gateway(void **state)
{
    struct world *world = compile_world(
        PORTS("g", "3", "") CLIENT("p", "1", "name: g",
                                   "timeout: {http: {idleTimeout: 5s, requestHeadersReceivedTimeout: 0s, requestReceivedTimeout: 1m, streamIdleTimeout: 7s}, "
                                   "tcp: {tlsHandshakeTimeout: 3s}}, connection: {connectionLimit: {value: 99999999999, maxRequestsPerConnection: 10}}, "
                                   "http2: {maxConcurrentStreams: 5, initialStreamWindowSize: 64Ki, initialConnectionWindowSize: 1Mi}, "
                                   "tls: {minVersion: \"1.2\", maxVersion: \"1.2\", ciphers: [ECDHE-RSA-AES128-GCM-SHA256], alpnProtocols: [http/1.1]}, "
                                   "clientIPDetection: {xForwardedFor: {numTrustedHops: 2}}"));
    for (size_t i = 0; i < 2; ++i)
        assert_non_null(strstr(spec_of(world, "listener", i == 0 ? "*:9001" : "*:9002"),
                               "\"client\":{\"alpn\":[\"http/1.1\"],\"connectionWindow\":1048576,\"handshakeTimeoutMs\":3000,\"headTimeoutMs\":0,"
                               "\"idleTimeoutMs\":5000,\"maxConnections\":4294967295,\"maxRequests\":10,\"maxStreams\":5,\"requestTimeoutMs\":60000,"
                               "\"streamIdleTimeoutMs\":7000,\"streamWindow\":65536,\"tlsMaxVersion\":12,\"tlsMinVersion\":12,"
                               "\"tlsSuites\":[\"ECDHE-RSA-AES128-GCM-SHA256\"],\"trustedHops\":2}"));
    assert_null(strstr(spec_of(world, "listener", "*:8080"), "client"));
    expect_verdict(world, "p", 0, "True", "Accepted");
    world_free(world);
}

static void a_sections_policy_beats_the_gateways_and_the_older_one_its_equal(void **state)
{
    struct world *world = compile_world(PORTS("g", "3", "") CLIENT("wide", "1", "name: g", "timeout: {http: {idleTimeout: 1s}}")
                                            CLIENT("young", "3", "name: g", "timeout: {http: {idleTimeout: 2s}}")
                                                CLIENT("own", "4", "name: g, sectionName: own", "timeout: {http: {idleTimeout: 3s}}"));
    assert_non_null(strstr(spec_of(world, "listener", "*:9001"), "\"idleTimeoutMs\":1000"));
    assert_non_null(strstr(spec_of(world, "listener", "*:9002"), "\"idleTimeoutMs\":3000"));
    expect_verdict(world, "wide", 0, "True", "Accepted");
    expect_verdict(world, "young", 0, "False", "Conflicted");
    expect_verdict(world, "own", 0, "True", "Accepted");
    world_free(world);
}

static void a_port_has_one_policy(void **state)
{
    struct world *world = compile_world(PORTS("g", "3", "") CLIENT("wide", "2", "name: g", "timeout: {http: {idleTimeout: 1s}}")
                                            CLIENT("a", "1", "name: g, sectionName: a", "timeout: {http: {idleTimeout: 2s}}"));
    assert_non_null(strstr(spec_of(world, "listener", "*:9001"), "\"idleTimeoutMs\":1000"));
    expect_verdict(world, "a", 0, "False", "Conflicted");
    expect_verdict(world, "wide", 0, "True", "Accepted");
    world_free(world);
    world = compile_world(PORTS("g", "3", "") CLIENT(
        "both", "1", "name: g, sectionName: a}, {group: gateway.networking.k8s.io, kind: Gateway, name: g, sectionName: b",
        "timeout: {http: {idleTimeout: 2s}}"));
    assert_non_null(strstr(spec_of(world, "listener", "*:9001"), "\"idleTimeoutMs\":2000"));
    assert_null(strstr(spec_of(world, "listener", "*:9002"), "client"));
    expect_verdict(world, "both", 0, "True", "Accepted");
    expect_verdict(world, "both", 1, "True", "Accepted");
    world_free(world);
}

static void a_port_belongs_to_its_oldest_gateway(void **state)
{
    struct world *world = compile_world(
        PORTS("g", "3", "") "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: guest, namespace: default, "
                            "creationTimestamp: \"2026-04-01T00:00:00Z\"}\n"
                            "spec: {gatewayClassName: selvedge, listeners: [{name: c, port: 9001, protocol: HTTP, hostname: c.test}]}\n"
            CLIENT("theirs", "1", "name: guest", "timeout: {http: {idleTimeout: 1ms}}"));
    assert_null(strstr(spec_of(world, "listener", "*:9001"), "client"));
    expect_verdict(world, "theirs", 0, "False", "Conflicted");
    world_free(world);
}

static void client_policies_that_miss_their_target_say_so(void **state)
{
    struct world *world = compile_world(PORTS("g", "3", "S, tls: {certificateRefs: [{name: c}], options: {selvedge.dev/tls-min-version: \"1.3\"}}")
                                            CLIENT("nowhere", "1", "name: missing", "timeout: {}")
                                                CLIENT("section", "1", "name: g, sectionName: missing", "timeout: {}")
                                                    CLIENT("old", "2", "name: g, sectionName: own", "tls: {maxVersion: \"1.2\"}"));
    expect_verdict(world, "nowhere", 0, "False", "TargetNotFound");
    expect_verdict(world, "section", 0, "False", "TargetNotFound");
    expect_verdict(world, "old", 0, "False", "Invalid");
    assert_null(strstr(spec_of(world, "listener", "*:9002"), "client"));
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_policy_reaches_the_ports_of_its_gateway),
        cmocka_unit_test(a_sections_policy_beats_the_gateways_and_the_older_one_its_equal),
        cmocka_unit_test(a_port_has_one_policy),
        cmocka_unit_test(a_port_belongs_to_its_oldest_gateway),
        cmocka_unit_test(client_policies_that_miss_their_target_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

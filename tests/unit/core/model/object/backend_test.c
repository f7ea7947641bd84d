/* Backend, BackendTrafficPolicy: what is taken, what is refused. */
#include "tests/unit/lib/kind_fixture.h"

#define CHECK "spec.healthCheck.active"

static void backends(void **state)
{
    static const struct change changes[] = {
        {KIND_BACKEND, "spec.endpoints", NULL, "spec.endpoints | FieldValueRequired"},
        {KIND_BACKEND, "spec.endpoints", "[{\"fqdn\":{\"hostname\":\"a.example\",\"port\":80}}]", NULL},
        {KIND_BACKEND, "spec.endpoints[0]", "{\"fqdn\":{\"hostname\":\"a.example\",\"port\":80}}",
         "spec.endpoints | FieldValueInvalid | Invalid value: fqdn addresses cannot be mixed with other "
         "address types"},
        {KIND_BACKEND, "spec.endpoints[0]", "{}",
         "spec.endpoints[0] | FieldValueRequired | Required value: one of fqdn, ip or unix must be "
         "specified"},
        {KIND_BACKEND, "spec.endpoints[0].unix", "{\"path\":\"/a\"}",
         "spec.endpoints[0] | FieldValueInvalid | Invalid value: only one of fqdn, ip or unix can be "
         "specified"},
        {KIND_BACKEND, "spec.endpoints[0].ip.address", "\"10.0.0.300\"",
         "spec.endpoints[0].ip.address | FieldValueInvalid"},
        {KIND_BACKEND, "spec.endpoints[1].unix.path", "\"run/a\"",
         "spec.endpoints[1].unix.path | FieldValueInvalid"},
        {KIND_BACKEND, "spec.endpoints[0].ip.address", "\"fe80::1%eth0\"", "spec.endpoints[0].ip.address | FieldValueInvalid"},
        {KIND_BACKEND, "spec.endpoints[0].zone", "\"z\"",
         "spec.endpoints[0].zone | FieldValueNotSupported | not supported"},
        {KIND_BACKEND, "spec.type", "\"DynamicResolver\"", "spec.type | FieldValueNotSupported"},
        {KIND_BACKEND, "spec.appProtocols", "[\"gateway.envoyproxy.io/h2c\"]", NULL},
        {KIND_BACKEND, "spec.appProtocols", "[\"gateway.envoyproxy.io/wss\"]",
         "spec.appProtocols[0] | FieldValueNotSupported"},
        {KIND_BACKEND, "spec.tls", "{}", "spec.tls | FieldValueNotSupported | not supported"},
        {KIND_BACKEND, "spec.fallback", "true", "spec.fallback | FieldValueNotSupported | not supported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void traffic_policies(void **state)
{
    static const struct change changes[] = {
        {KIND_TRAFFIC_POLICY, "spec.targetRefs", NULL,
         "spec.targetRefs | FieldValueRequired | Required value: either targetRef or targetRefs must be "
         "used"},
        {KIND_TRAFFIC_POLICY, "spec.targetRef",
         "{\"group\":\"gateway.networking.k8s.io\",\"kind\":\"Gateway\",\"name\":\"g\"}",
         "spec.targetRefs | FieldValueInvalid"},
        {KIND_TRAFFIC_POLICY, "spec.targetRefs[0].kind", "\"GRPCRoute\"", NULL},
        {KIND_TRAFFIC_POLICY, "spec.targetRefs[0].kind", "\"TCPRoute\"",
         "spec.targetRefs[0].kind | FieldValueNotSupported"},
        {KIND_TRAFFIC_POLICY, "spec.targetRefs[0].group", "\"\"",
         "spec.targetRefs[0].group | FieldValueNotSupported"},
        {KIND_TRAFFIC_POLICY, "spec.rateLimit", "{}",
         "spec.rateLimit | FieldValueNotSupported | not supported"},
        {KIND_TRAFFIC_POLICY, "spec.retry", "{}", "spec.retry | FieldValueNotSupported | not supported"},
        {KIND_TRAFFIC_POLICY, CHECK,
         "{\"type\":\"HTTP\",\"http\":{\"path\":\"/up?full=1\",\"expectedStatuses\":[200]}}", NULL},
        {KIND_TRAFFIC_POLICY, CHECK, "{\"type\":\"HTTP\"}",
         "spec.healthCheck.active.http | FieldValueRequired | Required value: If Health Checker type is "
         "HTTP, http field needs to be set."},
        {KIND_TRAFFIC_POLICY, CHECK, "{\"type\":\"TCP\",\"tcp\":{}}", NULL},
        {KIND_TRAFFIC_POLICY, CHECK, "{\"type\":\"TCP\",\"tcp\":{\"send\":{\"type\":\"Text\"}}}",
         "spec.healthCheck.active.tcp.send | FieldValueNotSupported | not supported"},
        {KIND_TRAFFIC_POLICY, CHECK, "{\"type\":\"GRPC\"}", NULL},
        {KIND_TRAFFIC_POLICY, CHECK, "{\"type\":\"GRPC\",\"healthyThreshold\":2147483647}", NULL},
        {KIND_TRAFFIC_POLICY, CHECK, "{\"type\":\"GRPC\",\"healthyThreshold\":2147483648}",
         "spec.healthCheck.active.healthyThreshold | FieldValueInvalid"},
        {KIND_TRAFFIC_POLICY, CHECK, "{\"type\":\"GRPC\",\"unhealthyThreshold\":2147483648}",
         "spec.healthCheck.active.unhealthyThreshold | FieldValueInvalid"},
        {KIND_TRAFFIC_POLICY, CHECK, "{\"type\":\"GRPC\",\"unhealthyThreshold\":0}",
         "spec.healthCheck.active.unhealthyThreshold | FieldValueInvalid"},
        {KIND_TRAFFIC_POLICY, CHECK,
         "{\"type\":\"HTTP\",\"http\":{\"path\":\"/\",\"expectedStatuses\":[100,599]}}", NULL},
        {KIND_TRAFFIC_POLICY, CHECK,
         "{\"type\":\"HTTP\",\"http\":{\"path\":\"/\",\"expectedStatuses\":[600]}}",
         "spec.healthCheck.active.http.expectedStatuses[0] | FieldValueInvalid"},
        {KIND_TRAFFIC_POLICY, CHECK, "{\"type\":\"TCP\",\"tcp\":{},\"grpc\":{}}",
         "spec.healthCheck.active.grpc | FieldValueInvalid"},
        {KIND_TRAFFIC_POLICY, CHECK, "{\"type\":\"HTTP\",\"http\":{\"path\":\"/ a\"}}",
         "spec.healthCheck.active.http.path | FieldValueInvalid"},
        {KIND_TRAFFIC_POLICY, CHECK,
         "{\"type\":\"HTTP\",\"http\":{\"path\":\"/\",\"expectedStatuses\":[99]}}",
         "spec.healthCheck.active.http.expectedStatuses[0] | FieldValueInvalid"},
        {KIND_TRAFFIC_POLICY, "spec.healthCheck.passive", "{}",
         "spec.healthCheck.passive | FieldValueNotSupported | not supported"},
        {KIND_TRAFFIC_POLICY, "spec.loadBalancer", "{\"type\":\"RoundRobin\"}", NULL},
        {KIND_TRAFFIC_POLICY, "spec.loadBalancer", "{\"type\":\"ConsistentHash\",\"consistentHash\":{}}",
         "spec.loadBalancer.type | FieldValueNotSupported"},
        {KIND_TRAFFIC_POLICY, "spec.timeout",
         "{\"tcp\":{\"connectTimeout\":\"1s\"},\"http\":{\"connectionIdleTimeout\":\"1m\"}}", NULL},
        {KIND_TRAFFIC_POLICY, "spec.timeout", "{\"http\":{\"requestTimeout\":\"1s\"}}",
         "spec.timeout.http.requestTimeout | FieldValueNotSupported | not supported"},
        {KIND_TRAFFIC_POLICY, "spec.circuitBreaker", "{\"maxConnections\":10}", NULL},
        {KIND_TRAFFIC_POLICY, "spec.circuitBreaker", "{\"maxConnections\":4294967296}",
         "spec.circuitBreaker.maxConnections | FieldValueInvalid"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIND_TEST(backends),
        KIND_TEST(traffic_policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

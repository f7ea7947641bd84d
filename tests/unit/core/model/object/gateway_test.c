/* GatewayClass, Gateway, ReferenceGrant: what is taken, what is refused. */
#include "tests/unit/lib/kind_fixture.h"

#define LISTENER "spec.listeners[0]"
#define HTTPS "spec.listeners[1]"

static void gateway_classes(void **state)
{
    static const struct change changes[] = {
        {KIND_GATEWAY_CLASS, "spec.controllerName", "\"noslash\"", "spec.controllerName | FieldValueInvalid"},
        {KIND_GATEWAY_CLASS, "spec.controllerName", NULL, "spec.controllerName | FieldValueRequired"},
        {KIND_GATEWAY_CLASS, "spec.parametersRef", "{}",
         "spec.parametersRef | FieldValueNotSupported | not supported"},
        {KIND_GATEWAY_CLASS, "spec.description",
         "\"1234567890123456789012345678901234567890123456789012345678901234\"", NULL},
        {KIND_GATEWAY_CLASS, "spec.description",
         "\"12345678901234567890123456789012345678901234567890123456789012345\"",
         "spec.description | FieldValueTooLong | Too long: "},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void gateways(void **state)
{
    static const struct change changes[] = {
        {KIND_GATEWAY, "spec", NULL, "spec | FieldValueRequired"},
        {KIND_GATEWAY, "spec.gatewayClassName", "\"\"",
         "spec.gatewayClassName | FieldValueInvalid | Invalid value: \"\": must not be empty"},
        {KIND_GATEWAY, "spec.listeners", "[]", "spec.listeners | FieldValueRequired"},
        {KIND_GATEWAY, "spec.tls", "{}", "spec.tls | FieldValueNotSupported | not supported"},
        {KIND_GATEWAY, "spec.infrastructure", "{\"labels\":{}}",
         "spec.infrastructure | FieldValueNotSupported | not supported"},
        {KIND_GATEWAY, "spec.allowedListeners", "{}",
         "spec.allowedListeners | FieldValueNotSupported | not supported"},
        {KIND_GATEWAY, "spec.defaultScope", "\"All\"",
         "spec.defaultScope | FieldValueNotSupported | not supported"},
        {KIND_GATEWAY, "spec.addresses[0]", "{\"value\":\"10.0.0.1\"}", NULL},
        {KIND_GATEWAY, "spec.addresses[0]", "{\"value\":\"localhost\"}",
         "spec.addresses[0].value | FieldValueInvalid"},
        {KIND_GATEWAY, "spec.addresses[0]", "{\"type\":\"Hostname\",\"value\":\"a\"}",
         "spec.addresses[0].type | FieldValueNotSupported | Unsupported value: \"Hostname\": not served"},
        {KIND_GATEWAY, "spec.addresses", "[{\"value\":\"::1\"},{\"value\":\"::1\"}]",
         "spec.addresses[1].value | FieldValueDuplicate | Duplicate value: \"::1\": IPAddress values must be "
         "unique"},
        {KIND_GATEWAY, LISTENER ".protocol", "\"TCP\"",
         "spec.listeners[0].protocol | FieldValueNotSupported | Unsupported value: \"TCP\": not served; "
         "supported values: \"HTTP\", \"HTTPS\""},
        {KIND_GATEWAY, LISTENER ".port", "65536", "spec.listeners[0].port | FieldValueInvalid"},
        {KIND_GATEWAY, LISTENER ".name", "\"https\"",
         "spec.listeners[1].name | FieldValueDuplicate | Duplicate value: \"https\""},
        {KIND_GATEWAY, LISTENER ".hostname", "\"*.example.com\"", NULL},
        {KIND_GATEWAY, LISTENER ".hostname", "\"*\"", "spec.listeners[0].hostname | FieldValueInvalid"},
        {KIND_GATEWAY, LISTENER ".tls", "{\"certificateRefs\":[{\"name\":\"a\"}]}",
         "spec.listeners[0].tls | FieldValueForbidden | Forbidden: tls must not be specified for protocols"},
        {KIND_GATEWAY, LISTENER ".allowedRoutes", "{\"namespaces\":{\"from\":\"Selector\"}}",
         "spec.listeners[0].allowedRoutes.namespaces.selector | FieldValueRequired"},
        {KIND_GATEWAY, LISTENER ".allowedRoutes",
         "{\"namespaces\":{\"from\":\"Selector\",\"selector\":{\"matchLabels\":{\"a\":\"b\"}}}}", NULL},
        {KIND_GATEWAY, LISTENER ".allowedRoutes",
         "{\"namespaces\":{\"from\":\"Selector\",\"selector\":{\"matchExpressions\":[{\"key\":\"a\","
         "\"operator\":\"In\"}]}}}",
         "spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0].values | "
         "FieldValueRequired"},
        {KIND_GATEWAY, LISTENER ".allowedRoutes", "{\"kinds\":[{\"kind\":\"HTTPRoute\"}]}", NULL},
        {KIND_GATEWAY, "spec.listeners[2]", "{\"name\":\"again\",\"port\":80,\"protocol\":\"HTTP\"}",
         "spec.listeners[2] | FieldValueInvalid | Invalid value: Combination of port, protocol and hostname "
         "must be unique for each listener"},
        {KIND_GATEWAY, "spec.listeners[2]",
         "{\"name\":\"other\",\"port\":80,\"protocol\":\"HTTP\",\"hostname\":\"a.example\"}", NULL},
        {KIND_GATEWAY, HTTPS ".tls", NULL, "spec.listeners[1].tls | FieldValueRequired"},
        {KIND_GATEWAY, HTTPS ".tls", "{}", "spec.listeners[1].tls.certificateRefs | FieldValueRequired"},
        {KIND_GATEWAY, HTTPS ".tls.mode", "\"Passthrough\"",
         "spec.listeners[1].tls.mode | FieldValueNotSupported | Unsupported value: \"Passthrough\": not "
         "served"},
        {KIND_GATEWAY, HTTPS ".tls.options", "{\"selvedge.dev/tls-min-version\":\"1.3\"}", NULL},
        {KIND_GATEWAY, HTTPS ".tls.options", "{\"selvedge.dev/tls-min-version\":\"1.1\"}",
         "spec.listeners[1].tls.options[selvedge.dev/tls-min-version] | FieldValueNotSupported"},
        {KIND_GATEWAY, HTTPS ".tls.options", "{\"acme/x\":\"1\"}",
         "spec.listeners[1].tls.options[acme/x] | FieldValueNotSupported | not supported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void reference_grants(void **state)
{
    static const struct change changes[] = {
        {KIND_REFERENCE_GRANT, "spec.from", "[]", "spec.from | FieldValueRequired"},
        {KIND_REFERENCE_GRANT, "spec.to", NULL, "spec.to | FieldValueRequired"},
        {KIND_REFERENCE_GRANT, "spec.to[0].name", "\"s\"", NULL},
        {KIND_REFERENCE_GRANT, "spec.from[0].namespace", "\"A\"",
         "spec.from[0].namespace | FieldValueInvalid"},
        {KIND_REFERENCE_GRANT, "spec.from[0].group", NULL, "spec.from[0].group | FieldValueRequired"},
        {KIND_REFERENCE_GRANT, "apiVersion", "\"gateway.networking.k8s.io/v1beta1\"", NULL},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIND_TEST(gateway_classes),
        KIND_TEST(gateways),
        KIND_TEST(reference_grants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

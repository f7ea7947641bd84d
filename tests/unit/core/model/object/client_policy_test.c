/* ClientTrafficPolicy: what is taken, what is refused. */
#include "core/model/object/client_policy.h"

#include "tests/unit/lib/kind_fixture.h"

#define KIND KIND_CLIENT_POLICY

static void targets(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.targetRefs", NULL,
         "spec.targetRefs | FieldValueRequired | Required value: either targetRef or targetRefs must be used"},
        {KIND, "spec.targetRef", "{\"group\":\"gateway.networking.k8s.io\",\"kind\":\"Gateway\",\"name\":\"g\"}",
         "spec.targetRefs | FieldValueInvalid"},
        {KIND, "spec.targetRefs[0].kind", "\"ListenerSet\"",
         "spec.targetRefs[0].kind | FieldValueNotSupported"},
        {KIND, "spec.targetRefs[0].kind", "\"HTTPRoute\"",
         "spec.targetRefs[0].kind | FieldValueNotSupported"},
        {KIND, "spec.targetRefs[0].group", "\"apps\"",
         "spec.targetRefs[0].group | FieldValueNotSupported"},
        {KIND, "spec.targetRefs[0].sectionName",
         "\"https\"", NULL},
        {KIND, "spec.targetRefs[0].sectionName", "\"A b\"",
         "spec.targetRefs[0].sectionName | FieldValueInvalid"},
        {KIND, "spec.targetSelectors", "[{\"kind\":\"Gateway\"}]",
         "spec.targetSelectors | FieldValueNotSupported | not supported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void timeouts_and_connections(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.timeout",
         "{\"http\":{\"requestReceivedTimeout\":\"0s\",\"requestHeadersReceivedTimeout\":\"5s\",\"idleTimeout\":\"1h\",\"streamIdleTimeout\":\"500ms\"},\"tcp\":{\"tlsHandshakeTimeout\":\"3s\"}}", NULL},
        {KIND, "spec.timeout", "{\"http\":{\"idleTimeout\":\"1 hour\"}}",
         "spec.timeout.http.idleTimeout | FieldValueInvalid | Invalid value: \"1 hour\": must be a duration such as 10s, 1h30m or 500ms"},
        {KIND, "spec.timeout", "{\"http\":{\"streamIdleTimeout\":\"99999h\"}}",
         "spec.timeout.http.streamIdleTimeout | FieldValueInvalid"},
        {KIND, "spec.timeout", "{\"tcp\":{\"idleTimeout\":\"1s\"}}",
         "spec.timeout.tcp.idleTimeout | FieldValueNotSupported | not supported"},
        {KIND, "spec.timeout", "{\"tcp\":{\"connectionInspectionTimeout\":\"1s\"}}",
         "spec.timeout.tcp.connectionInspectionTimeout | FieldValueNotSupported | not supported"},
        {KIND, "spec.connection",
         "{\"connectionLimit\":{\"value\":1,\"maxRequestsPerConnection\":100}}", NULL},
        {KIND, "spec.connection", "{\"connectionLimit\":{\"value\":0}}",
         "spec.connection.connectionLimit.value | FieldValueInvalid | Invalid value: 0: must be at least 1"},
        {KIND, "spec.connection", "{\"connectionLimit\":{\"value\":1,\"closeDelay\":\"1s\"}}",
         "spec.connection.connectionLimit.closeDelay | FieldValueNotSupported | not supported"},
        {KIND, "spec.connection", "{\"connectionLimit\":{\"value\":1,\"maxConnectionDuration\":\"1h\"}}",
         "spec.connection.connectionLimit.maxConnectionDuration | FieldValueNotSupported | not supported"},
        {KIND, "spec.connection", "{\"connectionLimit\":{\"value\":1,\"maxStreamDuration\":\"1h\"}}",
         "spec.connection.connectionLimit.maxStreamDuration | FieldValueNotSupported | not supported"},
        {KIND, "spec.connection", "{\"bufferLimit\":\"32Ki\"}",
         "spec.connection.bufferLimit | FieldValueNotSupported | not supported"},
        {KIND, "spec.connection", "{\"socketBufferLimit\":65536}",
         "spec.connection.socketBufferLimit | FieldValueNotSupported | not supported"},
        {KIND, "spec.connection", "{\"maxAcceptPerSocketEvent\":2}",
         "spec.connection.maxAcceptPerSocketEvent | FieldValueNotSupported | not supported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void http2(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.http2",
         "{\"maxConcurrentStreams\":2147483647,\"initialStreamWindowSize\":\"64Ki\",\"initialConnectionWindowSize\":1048576,\"onInvalidMessage\":\"TerminateStream\"}", NULL},
        {KIND, "spec.http2",
         "{\"initialStreamWindowSize\":65535,\"initialConnectionWindowSize\":\"2G\"}", NULL},
        {KIND, "spec.http2", "{\"maxConcurrentStreams\":0}",
         "spec.http2.maxConcurrentStreams | FieldValueInvalid | Invalid value: 0: must be between 1 and 2147483647"},
        {KIND, "spec.http2", "{\"initialStreamWindowSize\":65534}",
         "spec.http2.initialStreamWindowSize | FieldValueInvalid | Invalid value: must be a quantity between 65535 and 2147483647 bytes, such as 64Ki"},
        {KIND, "spec.http2", "{\"initialStreamWindowSize\":\"32Ki\"}",
         "spec.http2.initialStreamWindowSize | FieldValueInvalid | Invalid value: must be a quantity between 65535 and 2147483647 bytes, such as 64Ki"},
        {KIND, "spec.http2", "{\"initialStreamWindowSize\":\"2Gi\"}",
         "spec.http2.initialStreamWindowSize | FieldValueInvalid | Invalid value: must be a quantity between 65535 and 2147483647 bytes, such as 64Ki"},
        {KIND, "spec.http2", "{\"initialStreamWindowSize\":\"9E9\"}",
         "spec.http2.initialStreamWindowSize | FieldValueInvalid | Invalid value: must be a quantity between 65535 and 2147483647 bytes, such as 64Ki"},
        {KIND, "spec.http2", "{\"initialStreamWindowSize\":\"many\"}",
         "spec.http2.initialStreamWindowSize | FieldValueInvalid | Invalid value: must be a quantity between 65535 and 2147483647 bytes, such as 64Ki"},
        {KIND, "spec.http2", "{\"initialStreamWindowSize\":\"64ki\"}",
         "spec.http2.initialStreamWindowSize | FieldValueInvalid | Invalid value: must be a quantity between 65535 and 2147483647 bytes, such as 64Ki"},
        {KIND, "spec.http2", "{\"initialStreamWindowSize\":\"-1\"}",
         "spec.http2.initialStreamWindowSize | FieldValueInvalid | Invalid value: must be a quantity between 65535 and 2147483647 bytes, such as 64Ki"},
        {KIND, "spec.http2", "{\"initialStreamWindowSize\":\"99999999999999999999\"}",
         "spec.http2.initialStreamWindowSize | FieldValueInvalid | Invalid value: must be a quantity between 65535 and 2147483647 bytes, such as 64Ki"},
        {KIND, "spec.http2", "{\"initialStreamWindowSize\":\"16E\"}",
         "spec.http2.initialStreamWindowSize | FieldValueInvalid | Invalid value: must be a quantity between 65535 and 2147483647 bytes, such as 64Ki"},
        {KIND, "spec.http2", "{\"initialConnectionWindowSize\":\"1Ki\"}",
         "spec.http2.initialConnectionWindowSize | FieldValueInvalid"},
        {KIND, "spec.http2", "{\"onInvalidMessage\":\"TerminateConnection\"}",
         "spec.http2.onInvalidMessage | FieldValueNotSupported"},
        {KIND, "spec.http2", "{\"connectionKeepalive\":{\"interval\":\"1s\"}}",
         "spec.http2.connectionKeepalive | FieldValueNotSupported | not supported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void tls(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.tls",
         "{\"minVersion\":\"1.2\",\"maxVersion\":\"1.3\",\"ciphers\":[\"ECDHE-RSA-AES128-GCM-SHA256\"],\"alpnProtocols\":[\"http/1.1\",\"h2\"]}", NULL},
        {KIND, "spec.tls",
         "{\"minVersion\":\"1.3\",\"maxVersion\":\"Auto\"}", NULL},
        {KIND, "spec.tls", "{\"minVersion\":\"1.3\",\"maxVersion\":\"1.2\"}",
         "spec.tls.minVersion | FieldValueInvalid | Invalid value: minVersion must be smaller or equal to maxVersion"},
        {KIND, "spec.tls", "{\"minVersion\":\"1.1\"}",
         "spec.tls.minVersion | FieldValueNotSupported"},
        {KIND, "spec.tls", "{\"maxVersion\":\"1.0\"}",
         "spec.tls.maxVersion | FieldValueNotSupported"},
        {KIND, "spec.tls", "{\"minVersion\":\"1.3\",\"ciphers\":[\"ECDHE-RSA-AES128-GCM-SHA256\"]}",
         "spec.tls.ciphers | FieldValueInvalid | Invalid value: setting ciphers has no effect if the minimum possible TLS version is 1.3"},
        {KIND, "spec.tls", "{\"ciphers\":[\"AES128-SHA\"]}",
         "spec.tls.ciphers[0] | FieldValueNotSupported"},
        {KIND, "spec.tls", "{\"ciphers\":[\"ALL:eNULL\"]}",
         "spec.tls.ciphers[0] | FieldValueNotSupported"},
        {KIND, "spec.tls", "{\"ciphers\":[]}",
         "spec.tls.ciphers | FieldValue"},
        {KIND, "spec.tls", "{\"alpnProtocols\":[]}",
         "spec.tls.alpnProtocols | FieldValue"},
        {KIND, "spec.tls", "{\"alpnProtocols\":[\"http/1.0\"]}",
         "spec.tls.alpnProtocols[0] | FieldValueNotSupported"},
        {KIND, "spec.tls", "{\"alpnProtocols\":[\"h2\",\"h2\"]}",
         "spec.tls.alpnProtocols[1] | FieldValueDuplicate"},
        {KIND, "spec.tls", "{\"clientValidation\":{}}",
         "spec.tls.clientValidation | FieldValueNotSupported | not supported"},
        {KIND, "spec.tls", "{\"ecdhCurves\":[\"P-256\"]}",
         "spec.tls.ecdhCurves | FieldValueNotSupported | not supported"},
        {KIND, "spec.tls", "{\"fingerprints\":[\"JA3\"]}",
         "spec.tls.fingerprints | FieldValueNotSupported | not supported"},
        {KIND, "spec.tls", "{\"session\":{}}",
         "spec.tls.session | FieldValueNotSupported | not supported"},
        {KIND, "spec.tls", "{\"signatureAlgorithms\":[\"x\"]}",
         "spec.tls.signatureAlgorithms | FieldValueNotSupported | not supported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void the_clients_address(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.clientIPDetection",
         "{\"xForwardedFor\":{\"numTrustedHops\":0}}", NULL},
        {KIND, "spec.clientIPDetection",
         "{\"xForwardedFor\":{\"trustedCIDRs\":[\"10.0.0.0/8\",\"2001:db8::/32\"]}}", NULL},
        {KIND, "spec.clientIPDetection", "{}",
         "spec.clientIPDetection.xForwardedFor | FieldValueRequired"},
        {KIND, "spec.clientIPDetection", "{\"xForwardedFor\":{}}",
         "spec.clientIPDetection.xForwardedFor | FieldValueRequired | Required value: only one of numTrustedHops or trustedCIDRs must be set"},
        {KIND, "spec.clientIPDetection", "{\"xForwardedFor\":{\"numTrustedHops\":1,\"trustedCIDRs\":[\"10.0.0.0/8\"]}}",
         "spec.clientIPDetection.xForwardedFor | FieldValueInvalid"},
        {KIND, "spec.clientIPDetection", "{\"xForwardedFor\":{\"numTrustedHops\":-1}}",
         "spec.clientIPDetection.xForwardedFor.numTrustedHops | FieldValueInvalid"},
        {KIND, "spec.clientIPDetection", "{\"xForwardedFor\":{\"trustedCIDRs\":[\"ten\"]}}",
         "spec.clientIPDetection.xForwardedFor.trustedCIDRs[0] | FieldValueInvalid"},
        {KIND, "spec.clientIPDetection", "{\"xForwardedFor\":{\"numTrustedHops\":1,\"disableXForwardedForAppend\":true}}",
         "spec.clientIPDetection.xForwardedFor.disableXForwardedForAppend | FieldValueNotSupported | not supported"},
        {KIND, "spec.clientIPDetection", "{\"customHeader\":{\"name\":\"x\"}}",
         "spec.clientIPDetection.customHeader | FieldValueNotSupported | not supported"},
        {KIND, "spec.clientIPDetection", "{\"directSourceIP\":{}}",
         "spec.clientIPDetection.directSourceIP | FieldValueNotSupported | not supported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void what_is_fixed_here(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.path",
         "{\"escapedSlashesAction\":\"RejectRequest\",\"disableMergeSlashes\":false}", NULL},
        {KIND, "spec.path", "{\"escapedSlashesAction\":\"UnescapeAndForward\"}",
         "spec.path.escapedSlashesAction | FieldValueNotSupported"},
        {KIND, "spec.path", "{\"disableMergeSlashes\":true}",
         "spec.path.disableMergeSlashes | FieldValueNotSupported | not supported"},
        {KIND, "spec.headers",
         "{\"withUnderscoresAction\":\"DropHeader\"}", NULL},
        {KIND, "spec.headers", "{\"withUnderscoresAction\":\"Allow\"}",
         "spec.headers.withUnderscoresAction | FieldValueNotSupported"},
        {KIND, "spec.headers", "{\"earlyRequestHeaders\":{}}",
         "spec.headers.earlyRequestHeaders | FieldValueNotSupported | not supported"},
        {KIND, "spec.headers", "{\"maxRequestHeaderLimit\":\"60Ki\"}",
         "spec.headers.maxRequestHeaderLimit | FieldValueNotSupported | not supported"},
        {KIND, "spec.headers", "{\"requestID\":\"Preserve\"}",
         "spec.headers.requestID | FieldValueNotSupported | not supported"},
        {KIND, "spec.headers", "{\"xForwardedClientCert\":{}}",
         "spec.headers.xForwardedClientCert | FieldValueNotSupported | not supported"},
        {KIND, "spec.headers", "{\"host\":{}}",
         "spec.headers.host | FieldValueNotSupported | not supported"},
        {KIND, "spec.headers", "{\"lateResponseHeaders\":{}}",
         "spec.headers.lateResponseHeaders | FieldValueNotSupported | not supported"},
        {KIND, "spec.headers", "{\"enableEnvoyHeaders\":true}",
         "spec.headers.enableEnvoyHeaders | FieldValueNotSupported | not supported"},
        {KIND, "spec.headers", "{\"disableRateLimitHeaders\":true}",
         "spec.headers.disableRateLimitHeaders | FieldValueNotSupported | not supported"},
        {KIND, "spec.headers", "{\"preserveXRequestID\":true}",
         "spec.headers.preserveXRequestID | FieldValueNotSupported | not supported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void what_is_not_served(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.enableProxyProtocol", "true",
         "spec.enableProxyProtocol | FieldValueNotSupported | not supported"},
        {KIND, "spec.proxyProtocol", "{}",
         "spec.proxyProtocol | FieldValueNotSupported | not supported"},
        {KIND, "spec.grpc", "{}",
         "spec.grpc | FieldValueNotSupported | not supported"},
        {KIND, "spec.healthCheck", "{\"path\":\"/\"}",
         "spec.healthCheck | FieldValueNotSupported | not supported"},
        {KIND, "spec.http1", "{}",
         "spec.http1 | FieldValueNotSupported | not supported"},
        {KIND, "spec.http3", "{}",
         "spec.http3 | FieldValueNotSupported | not supported"},
        {KIND, "spec.scheme", "\"Preserve\"",
         "spec.scheme | FieldValueNotSupported | not supported"},
        {KIND, "spec.tcpKeepalive", "{}",
         "spec.tcpKeepalive | FieldValueNotSupported | not supported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void quantities_are_whole_bytes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {{"0", 0},       {"65536", 65536}, {"64Ki", 65536},     {"1M", 1000000}, {"2Gi", (int64_t)2 << 30}, {"7E", 7000000000000000000},
                 {"8E", 8000000000000000000}, {"8Ei", -1},      {"10E", -1},       {"", -1},     {"Ki", -1},        {"1.5Ki", -1},
                 {"1 Ki", -1},   {"1KiB", -1},     {"-1", -1},      {"0x10", -1},    {"99999999999999999999", -1}};
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct field_int_or_string quantity = {.is_string = true, .text = slice_of(cases[i].text)};
        if (obj_quantity(&quantity) != cases[i].bytes)
            fail_msg("%s: %lld", cases[i].text, (long long)obj_quantity(&quantity));
    }
    assert_int_equal(obj_quantity(&(struct field_int_or_string){.number = 70000}), 70000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIND_TEST(targets),
        KIND_TEST(timeouts_and_connections),
        KIND_TEST(http2),
        KIND_TEST(tls),
        KIND_TEST(the_clients_address),
        KIND_TEST(what_is_fixed_here),
        KIND_TEST(what_is_not_served),
        KIND_TEST(quantities_are_whole_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

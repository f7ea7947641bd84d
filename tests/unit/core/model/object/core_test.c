/* Namespace, Service, EndpointSlice, Secret, ConfigMap: what is taken, what is refused. */
#include "tests/unit/lib/kind_fixture.h"

#include "core/model/object/core.h"

static void namespaces(void **state)
{
    static const struct change changes[] = {
        {KIND_NAMESPACE, "spec", "{\"finalizers\":[\"kubernetes\"]}", NULL},
        {KIND_NAMESPACE, "spec", "{\"finalizers\":[\"mine\"]}",
         "spec.finalizers[0] | FieldValueNotSupported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void services(void **state)
{
    static const struct change changes[] = {
        {KIND_SERVICE, "spec.ports[0].port", "0",
         "spec.ports[0].port | FieldValueInvalid | Invalid value: 0: must be between 1 and 65535"},
        {KIND_SERVICE, "spec.ports[0].port", "\"80\"",
         "spec.ports[0].port | FieldValueTypeInvalid | Invalid value: \"80\": must be an integer"},
        {KIND_SERVICE, "spec.ports[0].port", "80.5", "spec.ports[0].port | FieldValueInvalid"},
        {KIND_SERVICE, "spec.ports[0].targetPort", "\"web\"", NULL},
        {KIND_SERVICE, "spec.ports[0].targetPort", "8080", NULL},
        {KIND_SERVICE, "spec.ports[0].targetPort", "99999", "spec.ports[0].targetPort | FieldValueInvalid"},
        {KIND_SERVICE, "spec.ports[0].protocol", "\"UDP\"",
         "spec.ports[0].protocol | FieldValueNotSupported | Unsupported value: \"UDP\": not served"},
        {KIND_SERVICE, "spec.ports[0].nodePort", "30000",
         "spec.ports[0].nodePort | FieldValueNotSupported | not supported"},
        {KIND_SERVICE, "spec.ports[1]", "{\"name\":\"x\",\"port\":80}",
         "spec.ports[1] | FieldValueDuplicate"},
        {KIND_SERVICE, "spec.ports[1]", "{\"name\":\"http\",\"port\":81}",
         "spec.ports[1].name | FieldValueDuplicate | Duplicate value: \"http\""},
        {KIND_SERVICE, "spec.ports[1]", "{\"port\":81}", "spec.ports[1].name | FieldValueRequired"},
        {KIND_SERVICE, "spec.ports", "[]", "spec.ports | FieldValueRequired"},
        {KIND_SERVICE, "spec.type", "\"LoadBalancer\"",
         "spec.type | FieldValueNotSupported | Unsupported value: \"LoadBalancer\": not served; supported "
         "values: \"ClusterIP\", \"ExternalName\""},
        {KIND_SERVICE, "spec", "{\"type\":\"ExternalName\",\"externalName\":\"a.example\"}", NULL},
        {KIND_SERVICE, "spec", "{\"type\":\"ExternalName\"}", "spec.externalName | FieldValueRequired"},
        {KIND_SERVICE, "spec.externalName", "\"a.example\"", "spec.externalName | FieldValueForbidden"},
        {KIND_SERVICE, "spec.clusterIP", "\"None\"", NULL},
        {KIND_SERVICE, "spec.clusterIP", "\"10.0.0.1\"", "spec.clusterIP | FieldValueNotSupported"},
        {KIND_SERVICE, "spec.sessionAffinity", "\"None\"", NULL},
        {KIND_SERVICE, "spec.sessionAffinity", "\"ClientIP\"",
         "spec.sessionAffinity | FieldValueNotSupported"},
        {KIND_SERVICE, "spec.externalIPs", "[\"1.2.3.4\"]",
         "spec.externalIPs | FieldValueNotSupported | not supported"},
        {KIND_SERVICE, "spec.selector", "{\"app\":\"a\"}", NULL},
        {KIND_SERVICE, "status", "{\"loadBalancer\":{}}", NULL},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void secrets(void **state)
{
    static const struct change changes[] = {
        {KIND_SECRET, "data", "{\"tls.crt\":\"" PEM_CERT "\"}", "data[tls.key] | FieldValueRequired"},
        {KIND_SECRET, "data", "{\"tls.crt\":\"YQ==\",\"tls.key\":\"YQ==\"}",
         "data[tls.crt] | FieldValueInvalid | Invalid value: must be certificates in PEM form"},
        {KIND_SECRET, "data", "{\"tls.crt\":\"AA==\",\"tls.key\":\"AA==\"}",
         "data[tls.crt] | FieldValueInvalid | Invalid value: must be text"},
        {KIND_SECRET, "type", "\"Opaque\"", NULL},
        {KIND_SECRET, "data", "{\"a\":\"*\"}", "data.a | FieldValueInvalid | Invalid value: must be base64"},
        {KIND_SECRET, "data", "{\"a b\":\"\"}", "data | FieldValueInvalid | Invalid value: \"a b\""},
        {KIND_SECRET, "stringData", "{\"tls.key\":\"-----BEGIN PRIVATE KEY-----\"}", NULL},
        {KIND_SECRET, "stringData", "{\"tls.key\":\"planted\"}",
         "data[tls.key] | FieldValueInvalid | Invalid value: must be a private key in PEM form"},
        {KIND_SECRET, "stringData", "{\"a\":1}",
         "stringData.a | FieldValueTypeInvalid | Invalid value: must be a string"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void config_maps(void **state)
{
    static const struct change changes[] = {
        {KIND_CONFIG_MAP, "binaryData", "{\"a\":\"AA==\"}", "binaryData | FieldValueDuplicate"},
        {KIND_CONFIG_MAP, "data", "{\"a\":1}", "data.a | FieldValueTypeInvalid"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void endpoint_slices(void **state)
{
    static const struct change changes[] = {
        {KIND_ENDPOINT_SLICE, "addressType", "\"IPv6\"",
         "endpoints[0].addresses[0] | FieldValueInvalid | Invalid value: \"127.0.0.1\": must be an IPv6 "
         "address"},
        {KIND_ENDPOINT_SLICE, "addressType", NULL, "addressType | FieldValueRequired"},
        {KIND_ENDPOINT_SLICE, "addressType", "\"IPv5\"", "addressType | FieldValueNotSupported"},
        {KIND_ENDPOINT_SLICE, "endpoints[0].addresses", "[]",
         "endpoints[0].addresses | FieldValueRequired | Required value: must have at least 1 item"},
        {KIND_ENDPOINT_SLICE, "endpoints[0].addresses[1]", "\"127.0.0.1\"",
         "endpoints[0].addresses[1] | FieldValueDuplicate"},
        {KIND_ENDPOINT_SLICE, "endpoints[0].hints", "{}",
         "endpoints[0].hints | FieldValueNotSupported | not supported"},
        {KIND_ENDPOINT_SLICE, "endpoints[0].conditions", "{\"ready\":false}", NULL},
        {KIND_ENDPOINT_SLICE, "endpoints[0].targetRef", "{\"kind\":\"Pod\",\"name\":\"p\"}", NULL},
        {KIND_ENDPOINT_SLICE, "ports[1]", "{\"name\":\"http\",\"port\":1}",
         "ports[1].name | FieldValueDuplicate | Duplicate value: \"http\""},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void prepared_objects(void **state)
{
    struct json *object =
        must_parse(KIND_HEAD("v1", "Secret") ",\"stringData\":{\"a\":\"hello\"},\"data\":{\"b\":\"AA==\"}}");
    struct field_report report;
    const struct obj_secret *secret = kind_read(kind_get(KIND_SECRET), object, &report);
    assert_int_equal(report.num_violations, 0);
    assert_true(slice_is(obj_map_get(&secret->data, "a"), "hello"));
    assert_true(slice_is(secret->type, "Opaque"));
    assert_null(json_get(object, "stringData"));
    assert_string_equal(json_str(json_find(object, "data", "a", NULL), ""), "aGVsbG8=");

    object = must_parse(kind_valid[KIND_NAMESPACE]);
    (void)kind_read(kind_get(KIND_NAMESPACE), object, &report);
    assert_string_equal(json_str(json_find(object, "metadata", "labels", OBJ_LABEL_NAMESPACE_NAME, NULL), ""),
                        "x");
}

/* {"a0":"","a1":"",…} */
static void add_map(struct strbuf *out, unsigned num)
{
    for (unsigned i = 0; i < num; ++i)
        strbuf_addf(out, "%s\"a%u\":\"\"", i != 0 ? "," : "{", i);
    strbuf_addc(out, '}');
}

static void maps_hold_a_bounded_number_of_entries(void **state)
{
    static const struct {
        enum kind_id kind;
        const char *at, *refusal;
    } maps[] = {
        {KIND_CONFIG_MAP, "data", "data | FieldValueTooMany | Too many: 4097: must have at most 4096 entries"},
        {KIND_CONFIG_MAP, "binaryData", "binaryData | FieldValueTooMany"},
        {KIND_CONFIG_MAP, "metadata.labels", "metadata.labels | FieldValueTooMany"},
        {KIND_CONFIG_MAP, "metadata.annotations", "metadata.annotations | FieldValueTooMany"},
        {KIND_SECRET, "stringData", "stringData | FieldValueTooMany"},
    };
    struct strbuf most = STRBUF_INIT, more = STRBUF_INIT;
    add_map(&most, 4096);
    add_map(&more, 4097);
    for (size_t i = 0; i < ARRAY_LEN(maps); ++i) {
        const struct change changes[] = {{maps[i].kind, maps[i].at, more.base, maps[i].refusal}};
        assert_changes(changes, 1);
    }
    const struct change taken[] = {{KIND_CONFIG_MAP, "data", most.base, NULL}};
    assert_changes(taken, 1);
    strbuf_clear(&most);
    strbuf_clear(&more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIND_TEST(namespaces),
        KIND_TEST(services),
        KIND_TEST(secrets),
        KIND_TEST(config_maps),
        KIND_TEST(endpoint_slices),
        KIND_TEST(prepared_objects),
        KIND_TEST(maps_hold_a_bounded_number_of_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Metadata of all objects, label selectors. */
#include "tests/unit/lib/kind_fixture.h"

static void metadata(void **state)
{
    static const struct change changes[] = {
        {KIND_GATEWAY, "metadata.name", NULL,
         "metadata.name | FieldValueRequired | Required value: name or generateName is required"},
        {KIND_GATEWAY, "metadata.name", "\"a.b-c\"", NULL},
        {KIND_GATEWAY, "metadata.name", "\"A\"",
         "metadata.name | FieldValueInvalid | Invalid value: \"A\": must be a lowercase RFC 1123 subdomain"},
        {KIND_GATEWAY, "metadata.name", "\"a\\u0000b\"", "metadata.name | FieldValueInvalid"},
        {KIND_GATEWAY, "metadata", "{\"generateName\":\"a-\"}", NULL},
        {KIND_GATEWAY, "metadata", "{\"generateName\":\"A-\"}", "metadata.generateName | FieldValueInvalid"},
        {KIND_GATEWAY, "metadata", NULL, "metadata | FieldValueRequired | Required value"},
        {KIND_GATEWAY, "metadata", "3",
         "metadata | FieldValueTypeInvalid | Invalid value: 3: must be an object"},
        {KIND_GATEWAY, "metadata.namespace", "\"default\"", NULL},
        {KIND_GATEWAY, "metadata.namespace", "\"other\"", "metadata.namespace | FieldValueInvalid"},
        {KIND_GATEWAY, "metadata.namespace", "\"a.b\"", "metadata.namespace | FieldValueInvalid"},
        {KIND_NAMESPACE, "metadata.namespace", "\"a\"",
         "metadata.namespace | FieldValueForbidden | Forbidden: not allowed on this type"},
        {KIND_NAMESPACE, "metadata.name", "\"a.b\"", "metadata.name | FieldValueInvalid"},
        {KIND_SERVICE, "metadata.name", "\"1a\"", "metadata.name | FieldValueInvalid"},
        {KIND_GATEWAY, "metadata.labels", "{\"app.kubernetes.io/name\":\"a_B.c\",\"x\":\"\"}", NULL},
        {KIND_GATEWAY, "metadata.labels", "{\"-x\":\"a\"}",
         "metadata.labels | FieldValueInvalid | Invalid value: \"-x\": must be letters"},
        {KIND_GATEWAY, "metadata.labels", "{\"x\":\"a b\"}",
         "metadata.labels.x | FieldValueInvalid | Invalid value: \"a b\": must be"},
        {KIND_GATEWAY, "metadata.labels", "{\"x\":1}",
         "metadata.labels.x | FieldValueTypeInvalid | Invalid value: 1: must be a string"},
        {KIND_GATEWAY, "metadata.labels", "[]",
         "metadata.labels | FieldValueTypeInvalid | Invalid value: []: must be an object"},
        {KIND_GATEWAY, "metadata.annotations", "{\"a/b\":\"any text at all\\n\"}", NULL},
        {KIND_GATEWAY, "metadata.finalizers", "[\"a\"]",
         "metadata.finalizers | FieldValueNotSupported | not supported"},
        {KIND_GATEWAY, "metadata.finalizers", "[]", NULL},
        {KIND_GATEWAY, "metadata.managedFields", "[{\"manager\":\"kubectl\"}]", NULL},
        {KIND_GATEWAY, "metadata.managedFields", "[{\"operation\":\"Guess\"}]",
         "metadata.managedFields[0].operation | FieldValueNotSupported | Unsupported value: \"Guess\": supported values: \"Apply\", \"Update\""},
        {KIND_GATEWAY, "metadata.ownerReferences",
         "[{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"name\":\"a\",\"uid\":\"u\",\"controller\":true,\"blockOwnerDeletion\":false}]", NULL},
        {KIND_GATEWAY, "metadata.ownerReferences", "[{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"name\":\"a\"}]",
         "metadata.ownerReferences[0].uid | FieldValueRequired | Required value"},
        {KIND_GATEWAY, "metadata.ownerReferences", "{}", "metadata.ownerReferences | FieldValueTypeInvalid | Invalid value: {}: must be a list"},
        {KIND_GATEWAY, "metadata.creationTimestamp", "null", NULL},
        {KIND_GATEWAY, "metadata.creationTimestamp", "\"yesterday\"",
         "metadata.creationTimestamp | FieldValueInvalid"},
        {KIND_GATEWAY, "metadata.colour", "1",
         "metadata.colour | FieldValueUnknown | unknown field \"metadata.colour\""},
        {KIND_GATEWAY, "status", "{\"conditions\":\"anything\"}", NULL},
        {KIND_GATEWAY, "apiVersion", "\"gateway.networking.k8s.io/v1beta1\"", NULL},
        {KIND_GATEWAY, "apiVersion", "\"gateway.networking.k8s.io/v2\"", "apiVersion | FieldValueInvalid"},
        {KIND_GATEWAY, "kind", "\"HTTPRoute\"",
         "kind | FieldValueInvalid | Invalid value: \"HTTPRoute\": must be Gateway"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void selectors(void **state)
{
    static const struct {
        const char *selector;
        bool matches;
    } cases[] = {
        {"{}", true},
        {"{\"matchLabels\":{\"a\":\"1\"}}", true},
        {"{\"matchLabels\":{\"a\":\"2\"}}", false},
        {"{\"matchLabels\":{\"a\":\"1\",\"c\":\"1\"}}", false},
        {"{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"0\",\"1\"]}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"NotIn\",\"values\":[\"1\"]}]}", false},
        {"{\"matchExpressions\":[{\"key\":\"c\",\"operator\":\"NotIn\",\"values\":[\"1\"]}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"b\",\"operator\":\"Exists\"}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"b\",\"operator\":\"DoesNotExist\"}]}", false},
        {"{\"matchExpressions\":[{\"key\":\"c\",\"operator\":\"DoesNotExist\"}]}", true},
    };
    struct field_pair pairs[] = {{SLICE("a"), SLICE("1")}, {SLICE("b"), SLICE("")}};
    const struct field_map labels = {pairs, ARRAY_LEN(pairs)};
    static const struct field_options options = {.unknown = FIELD_UNKNOWN_STRICT};
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct field_report report;
        field_report_init(&report, arena);
        const struct obj_label_selector *selector =
            field_decode(&obj_label_selector_schema, must_parse(cases[i].selector), "", &options, arena, &report);
        assert_int_equal(report.num_violations, 0);
        if (obj_selector_matches(selector, &labels) != cases[i].matches)
            fail_msg("%s", cases[i].selector);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIND_TEST(metadata),
        KIND_TEST(selectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

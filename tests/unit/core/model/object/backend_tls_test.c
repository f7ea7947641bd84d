/* BackendTLSPolicy: what is taken, what is refused. */
#include "tests/unit/lib/kind_fixture.h"

#define KIND KIND_BACKEND_TLS_POLICY
#define SERVICE "{\"group\":\"\",\"kind\":\"Service\",\"name\":\"s\"}"

static void targets(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.targetRefs", NULL, "spec.targetRefs | FieldValueRequired | Required value"},
        {KIND, "spec.targetRefs", "[]", "spec.targetRefs | FieldValueRequired"},
        {KIND, "spec.targetRefs[0].group", NULL, "spec.targetRefs[0].group | FieldValueRequired"},
        {KIND, "spec.targetRefs[0].group", "\"gateway.envoyproxy.io\"",
         "spec.targetRefs[0].group | FieldValueInvalid | Invalid value: \"gateway.envoyproxy.io\": kind Service is of group \"\""},
        {KIND, "spec.targetRefs[0].kind", "\"Gateway\"", "spec.targetRefs[0].kind | FieldValueNotSupported | Unsupported value: \"Gateway\""},
        {KIND, "spec.targetRefs[0]", "{\"group\":\"gateway.envoyproxy.io\",\"kind\":\"Backend\",\"name\":\"b\"}", NULL},
        {KIND, "spec.targetRefs[0]", "{\"group\":\"gateway.envoyproxy.io\",\"kind\":\"Backend\",\"name\":\"b\",\"sectionName\":\"p\"}",
         "spec.targetRefs[0].sectionName | FieldValueInvalid"},
        {KIND, "spec.targetRefs[0].sectionName", "\"https\"", NULL},
        {KIND, "spec.targetRefs[0].sectionName", "\"H\"", "spec.targetRefs[0].sectionName | FieldValueInvalid"},
        {KIND, "spec.targetRefs", "[" SERVICE "," SERVICE "]", "spec.targetRefs[1] | FieldValueDuplicate"},
        {KIND, "spec.targetRefs", "[" SERVICE ",{\"group\":\"\",\"kind\":\"Service\",\"name\":\"s\",\"sectionName\":\"a\"}]",
         "spec.targetRefs[1] | FieldValueInvalid | Invalid value: sectionName must be specified"},
        {KIND, "spec.targetRefs", "[" SERVICE ",{\"group\":\"\",\"kind\":\"Service\",\"name\":\"t\"}]", NULL},
        {KIND, "spec.options", "{\"a/b\":\"c\"}", "spec.options | FieldValueNotSupported | not supported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void authorities(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.validation", NULL, "spec.validation | FieldValueRequired"},
        {KIND, "spec.validation.wellKnownCACertificates", NULL,
         "spec.validation.caCertificateRefs | FieldValueRequired | Required value: must specify either CACertificateRefs or WellKnownCACertificates"},
        {KIND, "spec.validation.caCertificateRefs", "[{\"group\":\"\",\"kind\":\"ConfigMap\",\"name\":\"ca\"}]",
         "spec.validation.wellKnownCACertificates | FieldValueInvalid | Invalid value: must not contain both CACertificateRefs and WellKnownCACertificates"},
        {KIND, "spec.validation", "{\"hostname\":\"a\",\"caCertificateRefs\":[{\"group\":\"\",\"kind\":\"ConfigMap\",\"name\":\"ca\"}]}", NULL},
        {KIND, "spec.validation", "{\"hostname\":\"a\",\"caCertificateRefs\":[{\"kind\":\"ConfigMap\",\"name\":\"ca\"}]}",
         "spec.validation.caCertificateRefs[0].group | FieldValueRequired"},
        {KIND, "spec.validation.wellKnownCACertificates", "\"example.org/mine\"", "spec.validation.wellKnownCACertificates | FieldValueNotSupported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void names(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.validation.hostname", NULL, "spec.validation.hostname | FieldValueRequired"},
        {KIND, "spec.validation.hostname", "\"*.example\"", "spec.validation.hostname | FieldValueInvalid"},
        {KIND, "spec.validation.hostname", "\"S.example\"", "spec.validation.hostname | FieldValueInvalid"},
        {KIND, "spec.validation.subjectAltNames", "[{\"type\":\"Hostname\",\"hostname\":\"*.example\"},{\"type\":\"URI\",\"uri\":\"spiffe://td/ns/a\"}]", NULL},
        {KIND, "spec.validation.subjectAltNames", "[{\"type\":\"Hostname\"}]", "spec.validation.subjectAltNames[0].hostname | FieldValueRequired"},
        {KIND, "spec.validation.subjectAltNames", "[{\"type\":\"URI\",\"uri\":\"spiffe://td/a\",\"hostname\":\"a\"}]",
         "spec.validation.subjectAltNames[0].hostname | FieldValueInvalid"},
        {KIND, "spec.validation.subjectAltNames", "[{\"type\":\"URI\"}]", "spec.validation.subjectAltNames[0].uri | FieldValueRequired"},
        {KIND, "spec.validation.subjectAltNames", "[{\"type\":\"Hostname\",\"hostname\":\"a\",\"uri\":\"spiffe://td/a\"}]",
         "spec.validation.subjectAltNames[0].uri | FieldValueInvalid"},
        {KIND, "spec.validation.subjectAltNames", "[{\"type\":\"URI\",\"uri\":\"td/a\"}]", "spec.validation.subjectAltNames[0].uri | FieldValueInvalid"},
        {KIND, "spec.validation.subjectAltNames", "[{\"type\":\"IP\",\"hostname\":\"a\"}]", "spec.validation.subjectAltNames[0].type | FieldValueNotSupported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {KIND_TEST(targets), KIND_TEST(authorities), KIND_TEST(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* GRPCRoute: what is taken, what is refused. */
#include "tests/unit/lib/kind_fixture.h"

#define KIND KIND_GRPC_ROUTE
#define METHOD "spec.rules[0].matches[0].method"
#define FILTER "spec.rules[0].filters[0]"
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X512 X64 X64 X64 X64 X64 X64 X64 X64

static void methods(void **state)
{
    static const struct change changes[] = {
        {KIND, METHOD, "{\"service\":\"a\"}", NULL},
        {KIND, METHOD, "{\"method\":\"M_1\"}", NULL},
        {KIND, METHOD, "{\"service\":\"a.B_2.c\",\"method\":\"M\",\"type\":\"Exact\"}", NULL},
        {KIND, METHOD, NULL, NULL},
        {KIND, METHOD, "{}", METHOD " | FieldValueRequired | Required value: One or both of 'service' or 'method' must be specified"},
        {KIND, METHOD, "{\"type\":\"Exact\"}", METHOD " | FieldValueRequired"},
        {KIND, METHOD, "{\"service\":\"a/b\"}", METHOD ".service | FieldValueInvalid | Invalid value: \"a/b\": service must only contain valid characters"},
        {KIND, METHOD, "{\"service\":\"a..b\"}", METHOD ".service | FieldValueInvalid"},
        {KIND, METHOD, "{\"service\":\".a\"}", METHOD ".service | FieldValueInvalid"},
        {KIND, METHOD, "{\"service\":\"a.\"}", METHOD ".service | FieldValueInvalid"},
        {KIND, METHOD, "{\"service\":\"1a\"}", METHOD ".service | FieldValueInvalid"},
        {KIND, METHOD, "{\"method\":\"a.b\"}", METHOD ".method | FieldValueInvalid"},
        {KIND, METHOD, "{\"method\":\"M-1\"}", METHOD ".method | FieldValueInvalid"},
        {KIND, METHOD, "{\"service\":\"a.*\",\"type\":\"RegularExpression\"}", NULL},
        {KIND, METHOD, "{\"service\":\"a(\",\"type\":\"RegularExpression\"}", METHOD ".service | FieldValueInvalid"},
        {KIND, METHOD, "{\"method\":\"[\",\"type\":\"RegularExpression\"}", METHOD ".method | FieldValueInvalid"},
        {KIND, METHOD, "{\"service\":\"" X512 "\",\"method\":\"" X512 "\",\"type\":\"RegularExpression\"}", METHOD ".service | FieldValueTooLong"},
        {KIND, METHOD, "{\"service\":\"" X512 "\",\"method\":\"" X512 "\"}", NULL},
        {KIND, METHOD, "{\"service\":\"a\",\"type\":\"Prefix\"}", METHOD ".type | FieldValueNotSupported"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void rules(void **state)
{
    static const struct change changes[] = {
        {KIND, "spec.rules", NULL, NULL},
        {KIND, "spec.rules[0].matches", NULL, NULL},
        {KIND, "spec.rules[0].matches[0].path", "{\"value\":\"/a\"}", "unknown field \"spec.rules[0].matches[0].path\""},
        {KIND, "spec.rules[0].timeouts", "{}", "unknown field \"spec.rules[0].timeouts\""},
        {KIND, "spec.rules[0].backendRefs[0].port", NULL, "spec.rules[0].backendRefs[0].port | FieldValueRequired"},
        {KIND, "spec.rules[0].sessionPersistence", "{}", "spec.rules[0].sessionPersistence | FieldValueNotSupported | not supported"},
        {KIND, FILTER, "{\"type\":\"RequestHeaderModifier\",\"requestHeaderModifier\":{\"remove\":[\"x\"]}}", NULL},
        {KIND, FILTER, "{\"type\":\"RequestHeaderModifier\"}", FILTER ".requestHeaderModifier | FieldValueRequired"},
        {KIND, FILTER, "{\"type\":\"URLRewrite\",\"urlRewrite\":{}}", FILTER ".type | FieldValueNotSupported"},
        {KIND, FILTER, "{\"type\":\"RequestMirror\",\"requestMirror\":{}}", FILTER ".type | FieldValueNotSupported"},
        {KIND, "spec.hostnames[0]", "\"1.2.3.4\"", "spec.hostnames[0] | FieldValueInvalid"},
        {KIND, "metadata.annotations", "{\"selvedge.dev/cohort\":\"x\"}", "metadata.annotations[selvedge.dev/cohort] | FieldValueInvalid"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {KIND_TEST(methods), KIND_TEST(rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

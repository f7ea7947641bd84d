/* HTTPRoute: what is taken, what is refused. */
#include "tests/unit/lib/kind_fixture.h"

#define RULE "spec.rules[0]"
#define PATH RULE ".matches[0].path"
#define FILTER RULE ".filters[0]"
#define PATH_TYPES " when type one of ['Exact', 'PathPrefix']"

static void hostnames_and_parents(void **state)
{
    static const struct change changes[] = {
        {KIND_HTTP_ROUTE, "spec.hostnames[0]", "\"*.a.example\"", NULL},
        {KIND_HTTP_ROUTE, "spec.hostnames[0]", "\"A.example\"", "spec.hostnames[0] | FieldValueInvalid"},
        {KIND_HTTP_ROUTE, "spec.hostnames[0]", "\"1.2.3.4\"",
         "spec.hostnames[0] | FieldValueInvalid | Invalid value: \"1.2.3.4\": must be a DNS name, not an IP "
         "address"},
        {KIND_HTTP_ROUTE, "spec.hostnames",
         "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\",\"l\",\"m\",\"n\",\"o\",\"p\","
         "\"q\"]",
         "spec.hostnames | FieldValueTooMany | Too many: 17: must have at most 16 items"},
        {KIND_HTTP_ROUTE, "spec.parentRefs[0].kind", "\"Service\"",
         "spec.parentRefs[0].kind | FieldValueNotSupported"},
        {KIND_HTTP_ROUTE, "spec.parentRefs[0].group", "\"\"",
         "spec.parentRefs[0].group | FieldValueNotSupported | Unsupported value: \"\": not served"},
        {KIND_HTTP_ROUTE, "spec.parentRefs",
         "[{\"name\":\"g\",\"sectionName\":\"a\"},{\"name\":\"g\",\"port\":80}]",
         "sectionName or port must be specified when parentRefs includes 2 or more references to the same parent"},
        {KIND_HTTP_ROUTE, "spec.parentRefs",
         "[{\"name\":\"g\",\"sectionName\":\"a\",\"port\":80},{\"name\":\"g\",\"sectionName\":\"a\",\"port\":81}]", NULL},
        {KIND_HTTP_ROUTE, "spec.parentRefs",
         "[{\"name\":\"g\",\"sectionName\":\"a\"},{\"name\":\"g\",\"sectionName\":\"b\"}]", NULL},
        {KIND_HTTP_ROUTE, "spec.parentRefs", "[{\"name\":\"g\",\"port\":80},{\"name\":\"g\",\"port\":81}]",
         NULL},
        {KIND_HTTP_ROUTE, "spec.parentRefs", "[{\"name\":\"g\"},{\"name\":\"g\",\"sectionName\":\"b\"}]",
         "spec.parentRefs | FieldValueInvalid | Invalid value: sectionName or port must be specified when "
         "parentRefs includes 2 or more references to the same parent"},
        {KIND_HTTP_ROUTE, "spec.parentRefs",
         "[{\"name\":\"g\",\"sectionName\":\"b\"},{\"name\":\"g\",\"sectionName\":\"b\"}]",
         "spec.parentRefs | FieldValueInvalid | Invalid value: sectionName or port must be unique when "
         "parentRefs includes 2 or more references to the same parent"},
        {KIND_HTTP_ROUTE, "spec.parentRefs", "[{\"name\":\"g\"},{\"name\":\"g\",\"namespace\":\"other\"}]",
         NULL},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void paths(void **state)
{
    static const struct change changes[] = {
        {KIND_HTTP_ROUTE, PATH, "{\"type\":\"Exact\",\"value\":\"/a%20b\"}", NULL},
        {KIND_HTTP_ROUTE, PATH, "{\"type\":\"RegularExpression\",\"value\":\"/a/[0-9]+\"}", NULL},
        {KIND_HTTP_ROUTE, PATH, "{\"type\":\"RegularExpression\",\"value\":\"(\"}",
         "spec.rules[0].matches[0].path.value | FieldValueInvalid | Invalid value: \"(\": missing closing "
         "parenthesis at offset 1"},
        {KIND_HTTP_ROUTE, PATH,
         "{\"type\":\"RegularExpression\",\"value\":\"((((a{1,100}){1,100}){1,100}){1,100})\"}",
         "spec.rules[0].matches[0].path.value | FieldValueInvalid"},
        {KIND_HTTP_ROUTE, PATH ".type", "\"Glob\"",
         "spec.rules[0].matches[0].path.type | FieldValueNotSupported | Unsupported value: \"Glob\": "
         "supported values: \"Exact\", \"PathPrefix\", \"RegularExpression\""},
        {KIND_HTTP_ROUTE, PATH ".value", "\"a\"",
         "spec.rules[0].matches[0].path.value | FieldValueInvalid | Invalid value: value must be an absolute "
         "path and start with '/'" PATH_TYPES},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a//b\"", "must not contain '//'" PATH_TYPES},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a/./b\"", "must not contain '/./'" PATH_TYPES},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a/../b\"", "must not contain '/../'" PATH_TYPES},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a%2fb\"", "must not contain '%2f'" PATH_TYPES},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a%2Fb\"", "must not contain '%2F'" PATH_TYPES},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a#b\"", "must not contain '#'" PATH_TYPES},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a/..\"", "must not end with '/..'" PATH_TYPES},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a/.\"", "must not end with '/.'" PATH_TYPES},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a b\"",
         "must only contain valid characters (matching "
         "^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$) for types ['Exact', 'PathPrefix']"},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a%zz\"", "must only contain valid characters"},
        /* no request for these gets past the gateway: the rule would be dead */
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a;b\"",
         "spec.rules[0].matches[0].path.value | FieldValueInvalid | Invalid value: \"/a;b\": holds a ';' parameter: requests for it are "
         "refused"},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a%5Cb\"", "spec.rules[0].matches[0].path.value | FieldValueInvalid | Invalid value: \"/a%5Cb\": holds a backslash"},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a%252fb\"", "is percent-encoded twice: requests for it are refused"},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/a%00\"", "holds an encoded control character"},
        {KIND_HTTP_ROUTE, PATH ".value", "\"/caf%c3%a9/%7Eme\"", NULL},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void other_matches(void **state)
{
    static const struct change changes[] = {
        {KIND_HTTP_ROUTE, RULE ".matches[0].method", "\"GET\"", NULL},
        {KIND_HTTP_ROUTE, RULE ".matches[0].method", "\"get\"",
         "spec.rules[0].matches[0].method | FieldValueNotSupported"},
        {KIND_HTTP_ROUTE, RULE ".matches[0].headers",
         "[{\"name\":\"a\",\"value\":\"1\"},{\"name\":\"a\",\"value\":\"2\"}]",
         "spec.rules[0].matches[0].headers[1].name | FieldValueDuplicate | Duplicate value: \"a\""},
        {KIND_HTTP_ROUTE, RULE ".matches[0].headers[0]", "{\"name\":\"a b\",\"value\":\"1\"}",
         "spec.rules[0].matches[0].headers[0].name | FieldValueInvalid"},
        {KIND_HTTP_ROUTE, RULE ".matches[0].headers[0]", "{\"name\":\"a\",\"value\":\"1\\n\"}",
         "spec.rules[0].matches[0].headers[0].value | FieldValueInvalid"},
        {KIND_HTTP_ROUTE, RULE ".matches[0].headers[0]",
         "{\"name\":\"a\",\"type\":\"RegularExpression\",\"value\":\"[\"}",
         "spec.rules[0].matches[0].headers[0].value | FieldValueInvalid"},
        {KIND_HTTP_ROUTE, RULE ".matches[0].queryParams[0]", "{\"name\":\"a\"}",
         "spec.rules[0].matches[0].queryParams[0].value | FieldValueRequired"},
        {KIND_HTTP_ROUTE, RULE ".matches[0].cookies", "[]",
         "spec.rules[0].matches[0].cookies | FieldValueUnknown | unknown field "
         "\"spec.rules[0].matches[0].cookies\""},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void filters(void **state)
{
    static const struct change changes[] = {
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"ExtensionRef\",\"extensionRef\":{\"group\":\"a\",\"kind\":\"B\",\"name\":\"c\"}}",
         "spec.rules[0].filters[0].extensionRef | FieldValueNotSupported | not supported"},
        {KIND_HTTP_ROUTE, FILTER, "{\"type\":\"RequestMirror\",\"requestMirror\":{}}",
         "spec.rules[0].filters[0].requestMirror | FieldValueNotSupported | not supported"},
        {KIND_HTTP_ROUTE, FILTER, "{\"type\":\"CORS\",\"cors\":{}}",
         "spec.rules[0].filters[0].type | FieldValueNotSupported | Unsupported value: \"CORS\": not served"},
        {KIND_HTTP_ROUTE, FILTER, "{\"type\":\"ExternalAuth\",\"externalAuth\":{}}",
         "spec.rules[0].filters[0].externalAuth | FieldValueNotSupported | not supported"},
        {KIND_HTTP_ROUTE, FILTER, "{}", "spec.rules[0].filters[0].type | FieldValueRequired"},
        {KIND_HTTP_ROUTE, FILTER, "{\"type\":\"RequestHeaderModifier\"}",
         "spec.rules[0].filters[0].requestHeaderModifier | FieldValueRequired | Required value: "
         "filter.requestHeaderModifier must be specified for RequestHeaderModifier filter.type"},
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"ResponseHeaderModifier\",\"requestHeaderModifier\":{},\"responseHeaderModifier\":{}}",
         "spec.rules[0].filters[0].requestHeaderModifier | FieldValueInvalid | Invalid value: "
         "filter.requestHeaderModifier must be nil if the filter.type is not RequestHeaderModifier"},
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"RequestHeaderModifier\",\"requestHeaderModifier\":{\"set\":[{\"name\":\"X-A\","
         "\"value\":\"1\"}],\"remove\":[\"b\"]}}",
         NULL},
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"RequestHeaderModifier\",\"requestHeaderModifier\":{\"set\":[{\"name\":\"Transfer-"
         "Encoding\",\"value\":\"1\"}]}}",
         "spec.rules[0].filters[0].requestHeaderModifier.set[0].name | FieldValueForbidden"},
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"RequestHeaderModifier\",\"requestHeaderModifier\":{\"remove\":[\"host\"]}}",
         "spec.rules[0].filters[0].requestHeaderModifier.remove[0] | FieldValueForbidden"},
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"RequestHeaderModifier\",\"requestHeaderModifier\":{\"add\":[{\"name\":\"a\",\"value\":"
         "\"1\\r\\nb: 2\"}]}}",
         "spec.rules[0].filters[0].requestHeaderModifier.add[0].value | FieldValueInvalid"},
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"RequestHeaderModifier\",\"requestHeaderModifier\":{\"remove\":[\"a\",\"a\"]}}",
         "spec.rules[0].filters[0].requestHeaderModifier.remove[1] | FieldValueDuplicate | Duplicate value: "
         "\"a\""},
        {KIND_HTTP_ROUTE, RULE ".filters",
         "[{\"type\":\"URLRewrite\",\"urlRewrite\":{\"hostname\":\"a\"}},{\"type\":\"URLRewrite\","
         "\"urlRewrite\":{\"hostname\":\"b\"}}]",
         "spec.rules[0].filters | FieldValueInvalid | Invalid value: URLRewrite filter cannot be repeated"},
        {KIND_HTTP_ROUTE, RULE,
         "{\"filters\":[{\"type\":\"URLRewrite\",\"urlRewrite\":{}},{\"type\":\"RequestRedirect\","
         "\"requestRedirect\":{}}]}",
         "spec.rules[0].filters | FieldValueInvalid | Invalid value: May specify either "
         "httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both"},
        {KIND_HTTP_ROUTE, RULE,
         "{\"filters\":[{\"type\":\"RequestRedirect\",\"requestRedirect\":{\"statusCode\":308}}]}", NULL},
        {KIND_HTTP_ROUTE, RULE,
         "{\"filters\":[{\"type\":\"RequestRedirect\",\"requestRedirect\":{\"statusCode\":300}}]}",
         "spec.rules[0].filters[0].requestRedirect.statusCode | FieldValueNotSupported | Unsupported value: "
         "300: supported values: \"301\", \"302\", \"303\", \"307\", \"308\""},
        {KIND_HTTP_ROUTE, RULE,
         "{\"filters\":[{\"type\":\"RequestRedirect\",\"requestRedirect\":{\"scheme\":\"ftp\"}}]}",
         "spec.rules[0].filters[0].requestRedirect.scheme | FieldValueNotSupported"},
        {KIND_HTTP_ROUTE, FILTER, "{\"type\":\"RequestRedirect\",\"requestRedirect\":{}}",
         "spec.rules[0] | FieldValueInvalid | Invalid value: RequestRedirect filter must not be used "
         "together with backendRefs"},
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"URLRewrite\",\"urlRewrite\":{\"path\":{\"type\":\"ReplacePrefixMatch\","
         "\"replacePrefixMatch\":\"/b\"}}}",
         NULL},
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"URLRewrite\",\"urlRewrite\":{\"path\":{\"type\":\"ReplacePrefixMatch\","
         "\"replacePrefixMatch\":\"/b c\"}}}",
         "spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch | FieldValueInvalid"},
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"URLRewrite\",\"urlRewrite\":{\"path\":{\"type\":\"ReplacePrefixMatch\"}}}",
         "spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch | FieldValueRequired | Required value: "
         "replacePrefixMatch must be specified when type is set to 'ReplacePrefixMatch'"},
        {KIND_HTTP_ROUTE, FILTER,
         "{\"type\":\"URLRewrite\",\"urlRewrite\":{\"path\":{\"type\":\"ReplaceFullPath\","
         "\"replaceFullPath\":\"/\",\"replacePrefixMatch\":\"/\"}}}",
         "spec.rules[0].filters[0].urlRewrite.path.type | FieldValueInvalid | Invalid value: type must be "
         "'ReplacePrefixMatch' when replacePrefixMatch is set"},
        {KIND_HTTP_ROUTE, RULE,
         "{\"matches\":[{\"path\":{\"type\":\"Exact\",\"value\":\"/"
         "\"}}],\"filters\":[{\"type\":\"URLRewrite\",\"urlRewrite\":{\"path\":{\"type\":"
         "\"ReplacePrefixMatch\",\"replacePrefixMatch\":\"/b\"}}}]}",
         "spec.rules[0] | FieldValueInvalid | Invalid value: When using URLRewrite filter with "
         "path.replacePrefixMatch, exactly one PathPrefix match must be specified"},
        {KIND_HTTP_ROUTE, RULE,
         "{\"matches\":[{},{}],\"backendRefs\":[{\"name\":\"s\",\"port\":1,\"filters\":[{\"type\":"
         "\"URLRewrite\",\"urlRewrite\":{\"path\":{\"type\":\"ReplacePrefixMatch\",\"replacePrefixMatch\":\"/"
         "b\"}}}]}]}",
         "Within backendRefs, when using URLRewrite filter with path.replacePrefixMatch, exactly one "
         "PathPrefix match must be specified"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void rules_backends_and_timeouts(void **state)
{
    static const struct change changes[] = {
        {KIND_HTTP_ROUTE, "spec.rules", NULL, NULL},
        {KIND_HTTP_ROUTE, "spec.rules", "[]", "spec.rules | FieldValueRequired"},
        {KIND_HTTP_ROUTE, "spec.useDefaultGateways", "\"All\"",
         "spec.useDefaultGateways | FieldValueNotSupported | not supported"},
        {KIND_HTTP_ROUTE, RULE ".backendRefs[0].port", NULL,
         "spec.rules[0].backendRefs[0].port | FieldValueRequired | Required value: Must have port for "
         "Service reference"},
        {KIND_HTTP_ROUTE, RULE ".backendRefs[0]",
         "{\"group\":\"gateway.envoyproxy.io\",\"kind\":\"Backend\",\"name\":\"b\"}", NULL},
        {KIND_HTTP_ROUTE, RULE ".backendRefs[0].weight", "0", NULL},
        {KIND_HTTP_ROUTE, RULE ".backendRefs[0].weight", "-1",
         "spec.rules[0].backendRefs[0].weight | FieldValueInvalid | Invalid value: -1: must be between 0 and "
         "1000000"},
        {KIND_HTTP_ROUTE, RULE ".backendRefs[0].weight", "1000001",
         "spec.rules[0].backendRefs[0].weight | FieldValueInvalid"},
        {KIND_HTTP_ROUTE, RULE ".backendRefs[0].filters",
         "[{\"type\":\"URLRewrite\",\"urlRewrite\":{}},{\"type\":\"RequestRedirect\",\"requestRedirect\":{}}"
         "]",
         "spec.rules[0].backendRefs[0].filters | FieldValueInvalid"},
        {KIND_HTTP_ROUTE, RULE ".timeouts", "{\"request\":\"10s\",\"backendRequest\":\"2s\"}", NULL},
        {KIND_HTTP_ROUTE, RULE ".timeouts", "{\"request\":\"0s\",\"backendRequest\":\"2s\"}", NULL},
        {KIND_HTTP_ROUTE, RULE ".timeouts", "{\"request\":\"1s\",\"backendRequest\":\"2s\"}",
         "spec.rules[0].timeouts.backendRequest | FieldValueInvalid | Invalid value: backendRequest timeout "
         "cannot be longer than request timeout"},
        {KIND_HTTP_ROUTE, RULE ".timeouts", "{\"request\":\"1d\"}",
         "spec.rules[0].timeouts.request | FieldValueInvalid | Invalid value: \"1d\": must be a duration "
         "such as 10s"},
        {KIND_HTTP_ROUTE, RULE ".retry", "{}",
         "spec.rules[0].retry | FieldValueNotSupported | not supported"},
        {KIND_HTTP_ROUTE, RULE ".sessionPersistence", "{}",
         "spec.rules[0].sessionPersistence | FieldValueNotSupported | not supported"},
        {KIND_HTTP_ROUTE, "spec.rules", "[{\"name\":\"a\"},{\"name\":\"a\"}]",
         "spec.rules[1].name | FieldValueDuplicate | Duplicate value: \"a\": Rule name must be unique within "
         "the route"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

/* A route of `num_rules` rules with `num_matches` matches each, as JSON. */
static const char *many_matches(unsigned num_rules, unsigned num_matches)
{
    struct strbuf text = STRBUF_INIT;
    for (unsigned i = 0; i < num_rules; ++i) {
        strbuf_adds(&text, i == 0 ? "[{\"matches\":[{}" : ",{\"matches\":[{}");
        for (unsigned j = 1; j < num_matches; ++j)
            strbuf_adds(&text, ",{}");
        strbuf_adds(&text, "]}");
    }
    strbuf_adds(&text, "]");
    const char *copy = arena_strndup(arena, text.base, text.len);
    strbuf_clear(&text);
    return copy;
}

static void a_route_has_at_most_128_matches(void **state)
{
    const struct change changes[] = {
        {KIND_HTTP_ROUTE, "spec.rules", many_matches(2, 64), NULL},
        {KIND_HTTP_ROUTE, "spec.rules", many_matches(16, 8), NULL},
        {KIND_HTTP_ROUTE, "spec.rules", many_matches(3, 43), "spec.rules | FieldValueInvalid | Invalid value: While 16 rules and 64 matches per rule are allowed"},
        {KIND_HTTP_ROUTE, "spec.rules", many_matches(1, 65), "spec.rules[0].matches | FieldValueTooMany | Too many: 65: must have at most 64 items"},
        {KIND_HTTP_ROUTE, "spec.rules", many_matches(17, 1), "spec.rules | FieldValueTooMany | Too many: 17: must have at most 16 items"},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIND_TEST(hostnames_and_parents),
        KIND_TEST(paths),
        KIND_TEST(other_matches),
        KIND_TEST(filters),
        KIND_TEST(rules_backends_and_timeouts),
        KIND_TEST(a_route_has_at_most_128_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

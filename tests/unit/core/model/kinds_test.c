/* What is true of all kinds: defaults, updates, names, columns, descriptions. What each takes is in object/. */
#include "tests/unit/lib/kind_fixture.h"

#include "core/model/object/gateway.h"
#include "core/model/object/http_route.h"

static void the_valid_ones_are_taken_and_stay_so_with_defaults(void **state)
{
    for (int id = 0; id < KIND_COUNT; ++id) {
        struct json *object = must_parse(kind_valid[id]);
        struct field_report report;
        (void)kind_read(kind_get(id), object, &report);
        if (report.num_violations != 0)
            fail_msg("%s: %s", kind_get(id)->kind, findings(&report));
        struct json *defaulted = json_clone(arena, object);
        (void)kind_read(kind_get(id), object, &report);
        assert_int_equal(report.num_violations, 0);
        assert_true(json_equal(object, defaulted)); /* defaults are given once */
        assert_ptr_equal(kind_of(object, NULL), kind_get(id));
    }
}

static void what_is_written_reads_back_the_same(void **state)
{
    static const struct field_options options = {.unknown = FIELD_UNKNOWN_STRICT};
    for (int id = 0; id < KIND_COUNT; ++id) {
        struct field_report report;
        const struct field_schema *schema = kind_get(id)->schema;
        const void *first = kind_read(kind_get(id), must_parse(kind_valid[id]), &report);
        struct json *text = field_encode(schema, first, arena);
        const void *second = field_decode(schema, text, "", &options, arena, &report);
        if (report.num_violations != 0)
            fail_msg("%s: %s", kind_get(id)->kind, findings(&report));
        assert_true(json_equal(text, field_encode(schema, second, arena)));
    }
}

static void status_is_looked_into_when_asked(void **state)
{
    static const struct field_options options = {.check_read_only = true};
    static const struct {
        const char *status, *expected;
    } cases[] = {
        {"{\"conditions\":[]}", ""},
        {"{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":\"A\",\"message\":\"\","
         "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}",
         ""},
        {"{\"conditions\":[{\"type\":\"A\",\"status\":\"Maybe\",\"reason\":\"A\",\"message\":\"\","
         "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}",
         "status.conditions[0].status | FieldValueNotSupported | Unsupported value: \"Maybe\": supported "
         "values: \"True\", \"False\", \"Unknown\""},
        {"{\"colour\":1}", "status.colour | FieldValueUnknown | unknown field \"status.colour\""},
        {"[]", "status | FieldValueTypeInvalid | Invalid value: []: must be an object"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct field_report report;
        struct json *object = must_parse(kind_valid[KIND_GATEWAY]);
        set_at(object, "status", cases[i].status);
        field_report_init(&report, arena);
        (void)kind_decode(kind_get(KIND_GATEWAY), object, SLICE("default"), &options, arena, &report);
        assert_string_equal(findings(&report), cases[i].expected);
    }
}

#define LISTENER "spec.listeners[0]"
#define HTTPS "spec.listeners[1]"

#define RULE "spec.rules[0]"
#define PATH RULE ".matches[0].path"
#define FILTER RULE ".filters[0]"
#define PATH_TYPES " when type one of ['Exact', 'PathPrefix']"

#define CHECK "spec.healthCheck.active"

static void all_findings_come_at_once(void **state)
{
    struct json *object = must_parse(kind_valid[KIND_GATEWAY]);
    struct field_report report;
    struct err err = ERR_INIT;
    set_at(object, "metadata.labels", "{\"x\":3}");
    set_at(object, "spec.listeners[0].port", "0");
    set_at(object, "spec.listeners[1].protocol", "\"UDP\"");
    set_at(object, "spec.colour", "\"red\"");
    (void)kind_read(kind_get(KIND_GATEWAY), object, &report);
    assert_int_equal(report.num_violations, 4);
    assert_int_equal(field_report_err(&report, &err), -1);
    assert_string_equal(
        err.text,
        "metadata.labels.x: Invalid value: 3: must be a string; "
        "spec.listeners[0].port: Invalid value: 0: must be between 1 and 65535; "
        "spec.listeners[1].protocol: Unsupported value: \"UDP\": not served; supported values: \"HTTP\", "
        "\"HTTPS\"; unknown field \"spec.colour\"");
}

static void defaults_are_put_into_the_object(void **state)
{
    struct json *object = must_parse(
        KIND_HEAD("gateway.networking.k8s.io/v1", "HTTPRoute") ",\"spec\":{\"parentRefs\":[{\"name\":\"g\"}]}}");
    struct field_report report;
    const struct obj_http_route *route = kind_read(kind_get(KIND_HTTP_ROUTE), object, &report);
    assert_int_equal(report.num_violations, 0);
    assert_true(json_equal(
        json_get(object, "spec"),
        must_parse(
            "{\"parentRefs\":[{\"name\":\"g\",\"group\":\"gateway.networking.k8s.io\",\"kind\":\"Gateway\"}],"
            "\"rules\":[{\"matches\":[{\"path\":{\"type\":\"PathPrefix\",\"value\":\"/\"}}]}]}")));
    assert_string_equal(json_str(json_find(object, "metadata", "namespace", NULL), ""), "default");
    assert_int_equal(route->spec.num_rules, 1);
    assert_int_equal(route->spec.rules[0].matches[0].path.type, OBJ_PATH_PREFIX);
    assert_true(slice_is(route->head.meta.ns, "default"));
}

static void unknown_fields_as_asked(void **state)
{
    static const char text[] =
        KIND_HEAD("selvedge.dev/v1alpha1", "Node") ",\"spec\":{\"a\":1,\"role\":\"gateway\"},\"b\":2}";
    const struct field_options warn = {.unknown = FIELD_UNKNOWN_WARN, .apply_defaults = true},
                               ignore = {.unknown = FIELD_UNKNOWN_IGNORE, .apply_defaults = true};
    struct field_report report;
    struct json *object = must_parse(text);
    field_report_init(&report, arena);
    (void)kind_decode(kind_get(KIND_NODE), object, (struct slice){NULL, 0}, &warn, arena, &report);
    assert_int_equal(report.num_violations, 0);
    assert_int_equal(report.num_warnings, 2);
    assert_string_equal(report.warnings->message.base, "unknown field \"spec.a\"");
    assert_string_equal(report.warnings->next->message.base, "unknown field \"b\"");
    assert_null(json_get(object, "b"));
    object = must_parse(text);
    field_report_init(&report, arena);
    (void)kind_decode(kind_get(KIND_NODE), object, (struct slice){NULL, 0}, &ignore, arena, &report);
    assert_int_equal(report.num_violations + report.num_warnings, 0);
    assert_null(json_find(object, "spec", "a", NULL));
}

static void no_more_findings_are_kept_than_a_person_reads(void **state)
{
    struct json *object = must_parse(kind_valid[KIND_NODE]);
    struct field_report report;
    for (int i = 0; i < 1000; ++i)
        (void)json_set_int(arena, object, arena_printf(arena, "x%d", i), 1);
    (void)kind_read(kind_get(KIND_NODE), object, &report);
    assert_int_equal(report.num_violations, 1000);
    unsigned kept = 0;
    for (const struct field_violation *v = report.violations; v != NULL; v = v->next)
        ++kept;
    assert_int_equal(kept, FIELD_VIOLATIONS_MAX);
}

static void updates(void **state)
{
    static const struct {
        enum kind_id kind;
        const char *path, *before, *after, *expected;
    } cases[] = {
        {KIND_GATEWAY_CLASS, "spec.controllerName", "\"a.b/c\"", "\"a.b/d\"",
         "spec.controllerName | FieldValueInvalid | Invalid value: field is immutable"},
        {KIND_GATEWAY_CLASS, "spec.description", "\"a\"", "\"b\"", ""},
        {KIND_SECRET, "type", "\"Opaque\"", "\"kubernetes.io/tls\"",
         "type | FieldValueInvalid | Invalid value: field is immutable"},
        {KIND_ENDPOINT_SLICE, "addressType", "\"IPv4\"", "\"IPv6\"",
         "addressType | FieldValueInvalid | Invalid value: field is immutable"},
        {KIND_GATEWAY, "metadata.name", "\"a\"", "\"b\"",
         "metadata.name | FieldValueInvalid | Invalid value: field is immutable"},
        {KIND_CONFIG_MAP, "immutable", "true", "false",
         "immutable | FieldValueForbidden | Forbidden: field is immutable when `immutable` is set"},
        {KIND_CONFIG_MAP, "immutable", "false", "true", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct json *before = must_parse(kind_valid[cases[i].kind]), *after = json_clone(arena, before);
        struct field_report report;
        field_report_init(&report, arena);
        set_at(before, cases[i].path, cases[i].before);
        set_at(after, cases[i].path, cases[i].after);
        kind_check_update(kind_get(cases[i].kind), before, after, &report);
        assert_string_equal(findings(&report), cases[i].expected);
    }
}

static void kinds_are_found_as_people_type_them(void **state)
{
    static const struct {
        const char *name;
        int id; /* -1: none */
    } cases[] = {
        {"httproutes", KIND_HTTP_ROUTE},
        {"HTTPRoute", KIND_HTTP_ROUTE},
        {"gc", KIND_GATEWAY_CLASS},
        {"svc", KIND_SERVICE},
        {"httproutes.gateway.networking.k8s.io", KIND_HTTP_ROUTE},
        {"httproutes.v1.gateway.networking.k8s.io", KIND_HTTP_ROUTE},
        {"gateways.networking.istio.io", -1},
        {"nodes.selvedge.dev", KIND_NODE},
        {"services.v1.", KIND_SERVICE},
        {"services.v1", KIND_SERVICE},
        {"pods", -1},
        {"", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        const struct kind *kind = kind_find_name(slice_of(cases[i].name));
        if ((kind != NULL ? (int)kind->id : -1) != cases[i].id)
            fail_msg("'%s' is %s", cases[i].name, kind != NULL ? kind->kind : "unknown");
    }
    assert_non_null(kind_find(SLICE("gateway.networking.k8s.io"), SLICE("v1beta1"), SLICE("HTTPRoute")));
    assert_null(kind_find(SLICE("gateway.networking.k8s.io"), SLICE("v1alpha2"), SLICE("HTTPRoute")));
    assert_non_null(kind_find_plural(SLICE(""), SLICE("v1"), SLICE("secrets")));
    struct err err = ERR_INIT;
    assert_null(kind_of(must_parse("{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}"), &err));
    assert_string_equal(err.text, "no matches for kind \"Pod\" in version \"v1\"");
}

static void cells_say_what_is_in_the_object(void **state)
{
    static const struct {
        enum kind_id kind;
        const char *column, *expected;
    } cases[] = {
        {KIND_HTTP_ROUTE, "Hostnames", "a.example"},
        {KIND_HTTP_ROUTE, "Parents", "g"},
        {KIND_HTTP_ROUTE, "Accepted", "True"},
        {KIND_HTTP_ROUTE, "Backends", "s"},
        {KIND_GATEWAY, "Ports", "80,443"},
        {KIND_SERVICE, "Port(s)", "80/TCP"},
        {KIND_SECRET, "Data", "2"},
        {KIND_NAMESPACE, "Status", "Active"},
        {KIND_SERVICE, "Selector", "<none>"},
        {KIND_BACKEND, "Endpoints", "10.0.0.1:80,/run/a.sock"},
        {KIND_ENDPOINT_SLICE, "Endpoints", "127.0.0.1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct strbuf cell = STRBUF_INIT;
        struct json *object = must_parse(kind_valid[cases[i].kind]);
        set_at(object, "status.parents[0].conditions[0]", "{\"type\":\"Accepted\",\"status\":\"True\"}");
        const struct kind_column *column = kind_get(cases[i].kind)->columns;
        while (column->name != NULL && strcmp(column->name, cases[i].column) != 0)
            ++column;
        assert_non_null(column->name);
        kind_cell(column, object, &cell);
        assert_string_equal(strbuf_slice(&cell).base, cases[i].expected);
        strbuf_clear(&cell);
    }
}

/* ---- descriptions ---- */

static void assert_documented(const char *path, const struct json *schema)
{
    JSON_FOR(member, json_get(schema, "properties"))
    {
        const char *at = arena_printf(arena, "%s.%s", path, member->key.base);
        if (json_get(member, "description") == NULL)
            fail_msg("%s has no description", at);
        assert_documented(at, member);
        if (json_get(member, "items") != NULL)
            assert_documented(at, json_get(member, "items"));
    }
}

static void every_field_is_described(void **state)
{
    for (int id = 0; id < KIND_COUNT; ++id) {
        struct json *schema = kind_openapi(kind_get(id), kind_get(id)->version, NULL, arena);
        assert_documented(kind_get(id)->kind, schema);
        assert_string_equal(
            json_str(json_get(json_at(json_get(schema, "x-kubernetes-group-version-kind"), 0), "kind"), ""),
            kind_get(id)->kind);
    }
}

static void descriptions_carry_what_clients_use(void **state)
{
    struct json *route = kind_openapi(kind_get(KIND_HTTP_ROUTE), "v1", "#/components/schemas/", arena);
    struct json *spec = json_find(route, "properties", "spec", "properties", NULL);
    struct json *rule = json_find(spec, "rules", "items", "properties", NULL);
    assert_null(json_get(rule, "retry")); /* not served: not offered */
    assert_true(json_equal(json_find(rule, "timeouts", "properties", "request", "pattern", NULL),
                           must_parse("\"^([0-9]{1,5}(h|m|s|ms)){1,4}$\"")));
    assert_true(json_equal(json_find(spec, "hostnames", "maxItems", NULL), must_parse("16")));
    struct json *port = json_find(rule, "backendRefs", "items", "properties", "port", NULL);
    assert_true(json_equal(json_get(port, "maximum"), must_parse("65535")));
    struct json *path = json_find(rule, "matches", "items", "properties", "path", NULL);
    assert_true(json_equal(json_find(path, "properties", "type", "enum", NULL),
                           must_parse("[\"Exact\",\"PathPrefix\",\"RegularExpression\"]")));
    assert_true(json_equal(json_get(path, "default"), must_parse("{\"type\":\"PathPrefix\",\"value\":\"/\"}")));
    assert_true(json_equal(
        json_find(route, "properties", "metadata", "allOf", NULL),
        must_parse("[{\"$ref\":\"#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta\"}]")));
    assert_true(
        json_equal(json_get(route, "required"), must_parse("[\"apiVersion\",\"kind\",\"metadata\",\"spec\"]")));
    struct json *service = kind_openapi(kind_get(KIND_SERVICE), "v1", NULL, arena);
    struct json *ports = json_find(service, "properties", "spec", "properties", "ports", NULL);
    assert_string_equal(json_str(json_get(ports, "x-kubernetes-patch-merge-key"), ""), "port");
    assert_true(json_equal(json_get(ports, "x-kubernetes-list-map-keys"), must_parse("[\"port\",\"protocol\"]")));
}

static void messages_show_no_more_than_fits_a_line(void **state)
{
    static const char *const expected[] = {
        "a | FieldValueTypeInvalid | Invalid value: {…}: must be a string",
        "b | FieldValueTypeInvalid | Invalid value: {\"x\":1}: must be a string",
        "c | FieldValueTooLong | Too long: \"éééééééééééééééééééééééééééééééééééééééééééééééé\"…: may not be "
        "more than 10 characters",
        "d | FieldValueTypeInvalid | Invalid value: [1,2]: must be a string",
    };
    struct text_only {
        struct slice text;
    };
#define T struct text_only
    static const struct field fields[] = {
        {"a", FIELD_STRING, AT(text), .max = 10},
        {"b", FIELD_STRING, AT(text), .max = 10},
        {"c", FIELD_STRING, AT(text), .max = 10},
        {"d", FIELD_STRING, AT(text), .max = 10},
    };
    static const struct field_schema schema = FIELD_SCHEMA(fields);
#undef T
    static const struct field_options options = {.unknown = FIELD_UNKNOWN_STRICT};
    struct strbuf text = STRBUF_INIT;
    struct field_report report;
    strbuf_adds(&text, "{\"a\":{\"x\":{\"y\":1}},\"b\":{\"x\":1},\"c\":\"");
    for (int i = 0; i < 1000; ++i)
        strbuf_adds(&text, "é");
    strbuf_adds(&text, "\",\"d\":[1,2]}");
    field_report_init(&report, arena);
    (void)field_decode(&schema, must_parse(text.base), "", &options, arena, &report);
    const struct field_violation *v = report.violations;
    for (size_t i = 0; i < ARRAY_LEN(expected); ++i, v = v->next)
        assert_string_equal(
            arena_printf(arena, "%s | %s | %s", v->path.base, field_reason_name(v->reason), v->message.base),
            expected[i]);
    strbuf_clear(&text);
}

static void old_clients_get_what_they_understand(void **state)
{
    struct json *service = kind_openapi(kind_get(KIND_SERVICE), "v1", "#/definitions/", arena);
    struct json *metadata = json_find(service, "properties", "metadata", NULL);
    assert_string_equal(json_str(json_get(metadata, "$ref"), ""),
                        "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    struct json *port = json_find(service, "properties", "spec", "properties", "ports", "items", "properties",
                                  "targetPort", NULL);
    assert_string_equal(json_str(json_get(port, "type"), ""), "string");
    assert_string_equal(json_str(json_get(port, "format"), ""), "int-or-string");
    service = kind_openapi(kind_get(KIND_SERVICE), "v1", "#/components/schemas/", arena);
    port = json_find(service, "properties", "spec", "properties", "ports", "items", "properties",
                     "targetPort", NULL);
    assert_null(json_get(port, "type"));
    assert_int_equal(json_get(port, "oneOf")->num, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIND_TEST(the_valid_ones_are_taken_and_stay_so_with_defaults),
        KIND_TEST(what_is_written_reads_back_the_same),
        KIND_TEST(status_is_looked_into_when_asked),
        KIND_TEST(all_findings_come_at_once),
        KIND_TEST(defaults_are_put_into_the_object),
        KIND_TEST(unknown_fields_as_asked),
        KIND_TEST(no_more_findings_are_kept_than_a_person_reads),
        KIND_TEST(updates),
        KIND_TEST(kinds_are_found_as_people_type_them),
        KIND_TEST(cells_say_what_is_in_the_object),
        KIND_TEST(every_field_is_described),
        KIND_TEST(descriptions_carry_what_clients_use),
        KIND_TEST(messages_show_no_more_than_fits_a_line),
        KIND_TEST(old_clients_get_what_they_understand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

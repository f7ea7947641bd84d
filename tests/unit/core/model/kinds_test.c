/* What each kind takes and refuses: a valid object, one member changed, the findings expected. */
#include "core/model/kinds.h"

#include "core/model/object/core.h"
#include "core/model/object/gateway.h"
#include "core/model/object/http_route.h"
#include "core/model/object/selvedge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    arena = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    arena = arena_free(arena);
    return 0;
}

static struct json *parse(const char *text)
{
    struct err err = ERR_INIT;
    struct json *tree = json_parse(arena, slice_of(text), &err);
    if (tree == NULL)
        fail_msg("%s: %s", text, err.text);
    return tree;
}

/* ---- valid objects ---- */

#define HEAD(version, kind)                                                                                  \
    "{\"apiVersion\":\"" version "\",\"kind\":\"" kind "\",\"metadata\":{\"name\":\"x\"}"
#define PEM_CERT "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
#define PEM_KEY "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCi0tLS0tRU5EIFBSSVZBVEUgS0VZLS0tLS0K"

static const char *const valid[KIND_COUNT] = {
    [KIND_NAMESPACE] = HEAD("v1", "Namespace") "}",
    [KIND_SERVICE] = HEAD("v1", "Service") ",\"spec\":{\"ports\":[{\"name\":\"http\",\"port\":80}]}}",
    [KIND_SECRET] = HEAD("v1", "Secret") ",\"type\":\"kubernetes.io/tls\",\"data\":{\"tls.crt\":\"" PEM_CERT
                                         "\",\"tls.key\":\"" PEM_KEY "\"}}",
    [KIND_CONFIG_MAP] = HEAD("v1", "ConfigMap") ",\"data\":{\"a\":\"1\"},\"binaryData\":{\"b\":\"AA==\"}}",
    [KIND_ENDPOINT_SLICE] =
        HEAD("discovery.k8s.io/v1",
             "EndpointSlice") ",\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8080}],"
                              "\"endpoints\":[{\"addresses\":[\"127.0.0.1\"]}]}",
    [KIND_GATEWAY_CLASS] = HEAD("gateway.networking.k8s.io/v1",
                                "GatewayClass") ",\"spec\":{\"controllerName\":\"selvedge.dev/gateway\"}}",
    [KIND_GATEWAY] = HEAD("gateway.networking.k8s.io/v1",
                          "Gateway") ",\"spec\":{\"gatewayClassName\":\"selvedge\",\"listeners\":["
                                     "{\"name\":\"http\",\"port\":80,\"protocol\":\"HTTP\"},"
                                     "{\"name\":\"https\",\"port\":443,\"protocol\":\"HTTPS\",\"tls\":{"
                                     "\"certificateRefs\":[{\"name\":\"c\"}]}}]}}",
    [KIND_HTTP_ROUTE] = HEAD(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute") ",\"spec\":{\"parentRefs\":[{\"name\":\"g\"}],"
                     "\"hostnames\":[\"a.example\"],\"rules\":[{\"matches\":[{\"path\":{\"value\":\"/a\"}}],"
                     "\"backendRefs\":[{\"name\":\"s\",\"port\":80}]}]}}",
    [KIND_REFERENCE_GRANT] = HEAD("gateway.networking.k8s.io/v1",
                                  "ReferenceGrant") ",\"spec\":{\"from\":["
                                                    "{\"group\":\"gateway.networking.k8s.io\",\"kind\":"
                                                    "\"HTTPRoute\",\"namespace\":\"a\"}],"
                                                    "\"to\":[{\"group\":\"\",\"kind\":\"Service\"}]}}",
    [KIND_BACKEND] = HEAD(
        "gateway.envoyproxy.io/v1alpha1",
        "Backend") ",\"spec\":{\"endpoints\":["
                   "{\"ip\":{\"address\":\"10.0.0.1\",\"port\":80}},{\"unix\":{\"path\":\"/run/a.sock\"}}]}}",
    [KIND_TRAFFIC_POLICY] = HEAD("gateway.envoyproxy.io/v1alpha1",
                                 "BackendTrafficPolicy") ",\"spec\":{\"targetRefs\":["
                                                         "{\"group\":\"gateway.networking.k8s.io\",\"kind\":"
                                                         "\"HTTPRoute\",\"name\":\"r\"}]}}",
    [KIND_NODE] = HEAD("selvedge.dev/v1alpha1", "Node") "}",
    [KIND_MESH_CONFIG] = "{\"apiVersion\":\"selvedge.dev/"
                         "v1alpha1\",\"kind\":\"MeshConfig\",\"metadata\":{\"name\":\"default\"}}",
};

/* ---- changing one member ---- */

static struct json *step_index(struct json *at, size_t index)
{
    struct json *item = json_at(at, index);
    return item != NULL ? item : json_push(at, json_new_object(arena));
}

static struct json *step_name(struct json *at, struct slice name, char next)
{
    struct json *member = json_get_n(at, name);
    if (member == NULL)
        member = json_set_n(arena, at, name, next == '[' ? json_new_array(arena) : json_new_object(arena));
    return member;
}

/* Sets what is at "spec.rules[0].matches[1].path"; what is missing on the way is made. NULL removes. */
static void set_at(struct json *at, const char *path, const char *value)
{
    for (;;) {
        size_t len = strcspn(path, ".[");
        struct slice name = {path, len};
        if (path[0] == '[') {
            at = step_index(at, strtoul(path + 1, NULL, 10));
            path += strcspn(path, "]") + 1;
            if (*path == '\0') {
                struct json *parsed = parse(value);
                parsed->next = at->next;
                *at = *parsed;
                return;
            }
        } else if (path[len] == '\0') {
            if (value != NULL)
                (void)json_set_n(arena, at, name, parse(value));
            else
                (void)json_remove(at, arena_strndup(arena, name.base, name.len));
            return;
        } else {
            at = step_name(at, name, path[len]);
            path += len;
        }
        path += *path == '.';
    }
}

static const char *findings(const struct field_report *report)
{
    struct strbuf text = STRBUF_INIT;
    for (const struct field_violation *v = report->violations; v != NULL; v = v->next)
        strbuf_addf(&text, "%s%.*s | %s | %.*s", text.len != 0 ? "\n" : "", (int)v->path.len, v->path.base,
                    field_reason_name(v->reason), (int)v->message.len, v->message.base);
    const char *copy = arena_strndup(arena, strbuf_slice(&text).base, text.len);
    strbuf_clear(&text);
    return copy;
}

static void *decode(const struct kind *kind, struct json *object, struct field_report *report)
{
    static const struct field_options options = {.apply_defaults = true};
    field_report_init(report, arena);
    return kind_decode(kind, object, kind->is_namespaced ? SLICE("default") : (struct slice){NULL, 0},
                       &options, arena, report);
}

struct change {
    enum kind_id kind;
    const char *path, *value;
    const char *expected; /* NULL: taken; else how a finding begins */
};

static void assert_changes(const struct change *changes, size_t num)
{
    for (size_t i = 0; i < num; ++i) {
        const struct change *c = &changes[i];
        const struct kind *kind = kind_get(c->kind);
        struct json *object = parse(valid[c->kind]);
        struct field_report report;
        set_at(object, c->path, c->value);
        (void)decode(kind, object, &report);
        const char *got = findings(&report);
        if (c->expected == NULL ? got[0] != '\0' : strstr(got, c->expected) == NULL)
            fail_msg("%s %s = %s\n  want: %s\n  got:  %s", kind->kind, c->path, c->value,
                     c->expected != NULL ? c->expected : "no finding", got);
    }
}

/* ---- tests ---- */

static void the_valid_ones_are_taken_and_stay_so_with_defaults(void **state)
{
    for (int id = 0; id < KIND_COUNT; ++id) {
        struct json *object = parse(valid[id]);
        struct field_report report;
        (void)decode(kind_get(id), object, &report);
        if (report.num_violations != 0)
            fail_msg("%s: %s", kind_get(id)->kind, findings(&report));
        struct json *defaulted = json_clone(arena, object);
        (void)decode(kind_get(id), object, &report);
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
        const void *first = decode(kind_get(id), parse(valid[id]), &report);
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
        struct json *object = parse(valid[KIND_GATEWAY]);
        set_at(object, "status", cases[i].status);
        field_report_init(&report, arena);
        (void)kind_decode(kind_get(KIND_GATEWAY), object, SLICE("default"), &options, arena, &report);
        assert_string_equal(findings(&report), cases[i].expected);
    }
}

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
        {KIND_GATEWAY, "metadata.ownerReferences", "[{}]", NULL},
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

static void core_kinds(void **state)
{
    static const struct change changes[] = {
        {KIND_NAMESPACE, "spec", "{\"finalizers\":[\"kubernetes\"]}", NULL},
        {KIND_NAMESPACE, "spec", "{\"finalizers\":[\"mine\"]}",
         "spec.finalizers[0] | FieldValueNotSupported"},

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

        {KIND_CONFIG_MAP, "binaryData", "{\"a\":\"AA==\"}", "binaryData | FieldValueDuplicate"},
        {KIND_CONFIG_MAP, "data", "{\"a\":1}", "data.a | FieldValueTypeInvalid"},

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

#define LISTENER "spec.listeners[0]"
#define HTTPS "spec.listeners[1]"

static void gateways(void **state)
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

#define RULE "spec.rules[0]"
#define PATH RULE ".matches[0].path"
#define FILTER RULE ".filters[0]"
#define PATH_TYPES " when type one of ['Exact', 'PathPrefix']"

static void http_routes(void **state)
{
    static const struct change changes[] = {
        {KIND_HTTP_ROUTE, "spec.rules", NULL, NULL},
        {KIND_HTTP_ROUTE, "spec.rules", "[]", "spec.rules | FieldValueRequired"},
        {KIND_HTTP_ROUTE, "spec.useDefaultGateways", "\"All\"",
         "spec.useDefaultGateways | FieldValueNotSupported | not supported"},
        /* hostnames */
        {KIND_HTTP_ROUTE, "spec.hostnames[0]", "\"*.a.example\"", NULL},
        {KIND_HTTP_ROUTE, "spec.hostnames[0]", "\"A.example\"", "spec.hostnames[0] | FieldValueInvalid"},
        {KIND_HTTP_ROUTE, "spec.hostnames[0]", "\"1.2.3.4\"",
         "spec.hostnames[0] | FieldValueInvalid | Invalid value: \"1.2.3.4\": must be a DNS name, not an IP "
         "address"},
        {KIND_HTTP_ROUTE, "spec.hostnames",
         "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\",\"l\",\"m\",\"n\",\"o\",\"p\","
         "\"q\"]",
         "spec.hostnames | FieldValueTooMany | Too many: 17: must have at most 16 items"},
        /* parents */
        {KIND_HTTP_ROUTE, "spec.parentRefs[0].kind", "\"Service\"",
         "spec.parentRefs[0].kind | FieldValueNotSupported"},
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
        /* paths */
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
        /* other matches */
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
        /* filters */
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
        /* backends, timeouts, the rest */
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

#define CHECK "spec.healthCheck.active"

static void backends_and_policies(void **state)
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
        {KIND_BACKEND, "spec.endpoints[0].zone", "\"z\"",
         "spec.endpoints[0].zone | FieldValueNotSupported | not supported"},
        {KIND_BACKEND, "spec.type", "\"DynamicResolver\"", "spec.type | FieldValueNotSupported"},
        {KIND_BACKEND, "spec.appProtocols", "[\"gateway.envoyproxy.io/h2c\"]", NULL},
        {KIND_BACKEND, "spec.appProtocols", "[\"gateway.envoyproxy.io/wss\"]",
         "spec.appProtocols[0] | FieldValueNotSupported"},
        {KIND_BACKEND, "spec.tls", "{}", "spec.tls | FieldValueNotSupported | not supported"},
        {KIND_BACKEND, "spec.fallback", "true", "spec.fallback | FieldValueNotSupported | not supported"},

        {KIND_TRAFFIC_POLICY, "spec.targetRefs", NULL,
         "spec.targetRefs | FieldValueRequired | Required value: either targetRef or targetRefs must be "
         "used"},
        {KIND_TRAFFIC_POLICY, "spec.targetRef",
         "{\"group\":\"gateway.networking.k8s.io\",\"kind\":\"Gateway\",\"name\":\"g\"}",
         "spec.targetRefs | FieldValueInvalid"},
        {KIND_TRAFFIC_POLICY, "spec.targetRefs[0].kind", "\"GRPCRoute\"",
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

        {KIND_NODE, "spec.role", "\"agent\"", NULL},
        {KIND_NODE, "spec.role", "\"master\"", "spec.role | FieldValueNotSupported"},
        {KIND_MESH_CONFIG, "metadata.name", "\"other\"",
         "metadata.name | FieldValueInvalid | Invalid value: there is one MeshConfig, named default"},
        {KIND_MESH_CONFIG, "spec.trustedProxies", "[\"10.0.0.0/8\",\"::1\"]", NULL},
        {KIND_MESH_CONFIG, "spec.trustedProxies", "[\"ten\"]", "spec.trustedProxies[0] | FieldValueInvalid"},
        {KIND_MESH_CONFIG, "spec.accessLog", "\"log.txt\"",
         "spec.accessLog | FieldValueInvalid | Invalid value: \"log.txt\": must be stdout, off, or the "
         "absolute path of a file"},
        {KIND_MESH_CONFIG, "spec.drainTimeout", "\"1h\"", NULL},
    };
    assert_changes(changes, ARRAY_LEN(changes));
}

static void all_findings_come_at_once(void **state)
{
    struct json *object = parse(valid[KIND_GATEWAY]);
    struct field_report report;
    struct err err = ERR_INIT;
    set_at(object, "metadata.labels", "{\"x\":3}");
    set_at(object, "spec.listeners[0].port", "0");
    set_at(object, "spec.listeners[1].protocol", "\"UDP\"");
    set_at(object, "spec.colour", "\"red\"");
    (void)decode(kind_get(KIND_GATEWAY), object, &report);
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
    struct json *object = parse(
        HEAD("gateway.networking.k8s.io/v1", "HTTPRoute") ",\"spec\":{\"parentRefs\":[{\"name\":\"g\"}]}}");
    struct field_report report;
    const struct obj_http_route *route = decode(kind_get(KIND_HTTP_ROUTE), object, &report);
    assert_int_equal(report.num_violations, 0);
    assert_true(json_equal(
        json_get(object, "spec"),
        parse(
            "{\"parentRefs\":[{\"name\":\"g\",\"group\":\"gateway.networking.k8s.io\",\"kind\":\"Gateway\"}],"
            "\"rules\":[{\"matches\":[{\"path\":{\"type\":\"PathPrefix\",\"value\":\"/\"}}]}]}")));
    assert_string_equal(json_str(json_find(object, "metadata", "namespace", NULL), ""), "default");
    assert_int_equal(route->spec.num_rules, 1);
    assert_int_equal(route->spec.rules[0].matches[0].path.type, OBJ_PATH_PREFIX);
    assert_true(slice_is(route->head.meta.ns, "default"));
}

static void prepared_objects(void **state)
{
    struct json *object =
        parse(HEAD("v1", "Secret") ",\"stringData\":{\"a\":\"hello\"},\"data\":{\"b\":\"AA==\"}}");
    struct field_report report;
    const struct obj_secret *secret = decode(kind_get(KIND_SECRET), object, &report);
    assert_int_equal(report.num_violations, 0);
    assert_true(slice_is(obj_map_get(&secret->data, "a"), "hello"));
    assert_true(slice_is(secret->type, "Opaque"));
    assert_null(json_get(object, "stringData"));
    assert_string_equal(json_str(json_find(object, "data", "a", NULL), ""), "aGVsbG8=");

    object = parse(valid[KIND_NAMESPACE]);
    (void)decode(kind_get(KIND_NAMESPACE), object, &report);
    assert_string_equal(json_str(json_find(object, "metadata", "labels", OBJ_LABEL_NAMESPACE_NAME, NULL), ""),
                        "x");
}

static void unknown_fields_as_asked(void **state)
{
    static const char text[] =
        HEAD("selvedge.dev/v1alpha1", "Node") ",\"spec\":{\"a\":1,\"role\":\"gateway\"},\"b\":2}";
    const struct field_options warn = {.unknown = FIELD_UNKNOWN_WARN, .apply_defaults = true},
                               ignore = {.unknown = FIELD_UNKNOWN_IGNORE, .apply_defaults = true};
    struct field_report report;
    struct json *object = parse(text);
    field_report_init(&report, arena);
    (void)kind_decode(kind_get(KIND_NODE), object, (struct slice){NULL, 0}, &warn, arena, &report);
    assert_int_equal(report.num_violations, 0);
    assert_int_equal(report.num_warnings, 2);
    assert_string_equal(report.warnings->message.base, "unknown field \"spec.a\"");
    assert_string_equal(report.warnings->next->message.base, "unknown field \"b\"");
    assert_null(json_get(object, "b"));
    object = parse(text);
    field_report_init(&report, arena);
    (void)kind_decode(kind_get(KIND_NODE), object, (struct slice){NULL, 0}, &ignore, arena, &report);
    assert_int_equal(report.num_violations + report.num_warnings, 0);
    assert_null(json_find(object, "spec", "a", NULL));
}

static void no_more_findings_are_kept_than_a_person_reads(void **state)
{
    struct json *object = parse(valid[KIND_NODE]);
    struct field_report report;
    for (int i = 0; i < 1000; ++i)
        (void)json_set_int(arena, object, arena_printf(arena, "x%d", i), 1);
    (void)decode(kind_get(KIND_NODE), object, &report);
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
        struct json *before = parse(valid[cases[i].kind]), *after = json_clone(arena, before);
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
    assert_null(kind_of(parse("{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}"), &err));
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
        struct json *object = parse(valid[cases[i].kind]);
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
                           parse("\"^([0-9]{1,5}(h|m|s|ms)){1,4}$\"")));
    assert_true(json_equal(json_find(spec, "hostnames", "maxItems", NULL), parse("16")));
    struct json *port = json_find(rule, "backendRefs", "items", "properties", "port", NULL);
    assert_true(json_equal(json_get(port, "maximum"), parse("65535")));
    struct json *path = json_find(rule, "matches", "items", "properties", "path", NULL);
    assert_true(json_equal(json_find(path, "properties", "type", "enum", NULL),
                           parse("[\"Exact\",\"PathPrefix\",\"RegularExpression\"]")));
    assert_true(json_equal(json_get(path, "default"), parse("{\"type\":\"PathPrefix\",\"value\":\"/\"}")));
    assert_true(json_equal(
        json_find(route, "properties", "metadata", "allOf", NULL),
        parse("[{\"$ref\":\"#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta\"}]")));
    assert_true(
        json_equal(json_get(route, "required"), parse("[\"apiVersion\",\"kind\",\"metadata\",\"spec\"]")));
    struct json *service = kind_openapi(kind_get(KIND_SERVICE), "v1", NULL, arena);
    struct json *ports = json_find(service, "properties", "spec", "properties", "ports", NULL);
    assert_string_equal(json_str(json_get(ports, "x-kubernetes-patch-merge-key"), ""), "port");
    assert_true(json_equal(json_get(ports, "x-kubernetes-list-map-keys"), parse("[\"port\",\"protocol\"]")));
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
    (void)field_decode(&schema, parse(text.base), "", &options, arena, &report);
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
            field_decode(&obj_label_selector_schema, parse(cases[i].selector), "", &options, arena, &report);
        assert_int_equal(report.num_violations, 0);
        if (obj_selector_matches(selector, &labels) != cases[i].matches)
            fail_msg("%s", cases[i].selector);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_valid_ones_are_taken_and_stay_so_with_defaults),
        TEST(what_is_written_reads_back_the_same),
        TEST(status_is_looked_into_when_asked),
        TEST(metadata),
        TEST(core_kinds),
        TEST(gateways),
        TEST(http_routes),
        TEST(backends_and_policies),
        TEST(all_findings_come_at_once),
        TEST(defaults_are_put_into_the_object),
        TEST(prepared_objects),
        TEST(unknown_fields_as_asked),
        TEST(no_more_findings_are_kept_than_a_person_reads),
        TEST(updates),
        TEST(kinds_are_found_as_people_type_them),
        TEST(cells_say_what_is_in_the_object),
        TEST(every_field_is_described),
        TEST(descriptions_carry_what_clients_use),
        TEST(messages_show_no_more_than_fits_a_line),
        TEST(old_clients_get_what_they_understand),
        TEST(selectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* One member of a valid object changed: what does validation say? */
#include "tests/unit/lib/kind_fixture.h"

const char *const kind_valid[KIND_COUNT] = {
    [KIND_NAMESPACE] = KIND_HEAD("v1", "Namespace") "}",
    [KIND_SERVICE] = KIND_HEAD("v1", "Service") ",\"spec\":{\"ports\":[{\"name\":\"http\",\"port\":80}]}}",
    [KIND_SECRET] = KIND_HEAD("v1", "Secret") ",\"type\":\"kubernetes.io/tls\",\"data\":{\"tls.crt\":\"" PEM_CERT
                                         "\",\"tls.key\":\"" PEM_KEY "\"}}",
    [KIND_CONFIG_MAP] = KIND_HEAD("v1", "ConfigMap") ",\"data\":{\"a\":\"1\"},\"binaryData\":{\"b\":\"AA==\"}}",
    [KIND_ENDPOINT_SLICE] =
        KIND_HEAD("discovery.k8s.io/v1",
             "EndpointSlice") ",\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":8080}],"
                              "\"endpoints\":[{\"addresses\":[\"127.0.0.1\"]}]}",
    [KIND_GATEWAY_CLASS] = KIND_HEAD("gateway.networking.k8s.io/v1",
                                "GatewayClass") ",\"spec\":{\"controllerName\":\"selvedge.dev/gateway\"}}",
    [KIND_GATEWAY] = KIND_HEAD("gateway.networking.k8s.io/v1",
                          "Gateway") ",\"spec\":{\"gatewayClassName\":\"selvedge\",\"listeners\":["
                                     "{\"name\":\"http\",\"port\":80,\"protocol\":\"HTTP\"},"
                                     "{\"name\":\"https\",\"port\":443,\"protocol\":\"HTTPS\",\"tls\":{"
                                     "\"certificateRefs\":[{\"name\":\"c\"}]}}]}}",
    [KIND_HTTP_ROUTE] = KIND_HEAD(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute") ",\"spec\":{\"parentRefs\":[{\"name\":\"g\"}],"
                     "\"hostnames\":[\"a.example\"],\"rules\":[{\"matches\":[{\"path\":{\"value\":\"/a\"}}],"
                     "\"backendRefs\":[{\"name\":\"s\",\"port\":80}]}]}}",
    [KIND_GRPC_ROUTE] = KIND_HEAD("gateway.networking.k8s.io/v1",
                                  "GRPCRoute") ",\"spec\":{\"parentRefs\":[{\"name\":\"g\"}],\"rules\":[{\"matches\":[{\"method\":"
                                               "{\"service\":\"pkg.S\",\"method\":\"M\"}}],\"backendRefs\":[{\"name\":\"s\",\"port\":80}]}]}}",
    [KIND_REFERENCE_GRANT] = KIND_HEAD("gateway.networking.k8s.io/v1",
                                  "ReferenceGrant") ",\"spec\":{\"from\":["
                                                    "{\"group\":\"gateway.networking.k8s.io\",\"kind\":"
                                                    "\"HTTPRoute\",\"namespace\":\"a\"}],"
                                                    "\"to\":[{\"group\":\"\",\"kind\":\"Service\"}]}}",
    [KIND_BACKEND] = KIND_HEAD(
        "gateway.envoyproxy.io/v1alpha1",
        "Backend") ",\"spec\":{\"endpoints\":["
                   "{\"ip\":{\"address\":\"10.0.0.1\",\"port\":80}},{\"unix\":{\"path\":\"/run/a.sock\"}}]}}",
    [KIND_BACKEND_TLS_POLICY] = KIND_HEAD("gateway.networking.k8s.io/v1",
                                          "BackendTLSPolicy") ",\"spec\":{\"targetRefs\":["
                                                              "{\"group\":\"\",\"kind\":\"Service\",\"name\":\"s\"}],"
                                                              "\"validation\":{\"hostname\":\"s.example\","
                                                              "\"wellKnownCACertificates\":\"System\"}}}",
    [KIND_TRAFFIC_POLICY] = KIND_HEAD("gateway.envoyproxy.io/v1alpha1",
                                 "BackendTrafficPolicy") ",\"spec\":{\"targetRefs\":["
                                                         "{\"group\":\"gateway.networking.k8s.io\",\"kind\":"
                                                         "\"HTTPRoute\",\"name\":\"r\"}]}}",
    [KIND_CLIENT_POLICY] = KIND_HEAD("gateway.envoyproxy.io/v1alpha1",
                                     "ClientTrafficPolicy") ",\"spec\":{\"targetRefs\":["
                                                            "{\"group\":\"gateway.networking.k8s.io\",\"kind\":"
                                                            "\"Gateway\",\"name\":\"g\"}]}}",
    [KIND_NODE] = KIND_HEAD("selvedge.dev/v1alpha1", "Node") "}",
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

void set_at(struct json *at, const char *path, const char *value)
{
    for (;;) {
        size_t len = strcspn(path, ".[");
        struct slice name = {path, len};
        if (path[0] == '[') {
            at = step_index(at, strtoul(path + 1, NULL, 10));
            path += strcspn(path, "]") + 1;
            if (*path == '\0') {
                struct json *parsed = must_parse(value);
                parsed->next = at->next;
                *at = *parsed;
                return;
            }
        } else if (path[len] == '\0') {
            if (value != NULL)
                (void)json_set_n(arena, at, name, must_parse(value));
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

const char *findings(const struct field_report *report)
{
    struct strbuf text = STRBUF_INIT;
    for (const struct field_violation *v = report->violations; v != NULL; v = v->next)
        strbuf_addf(&text, "%s%.*s | %s | %.*s", text.len != 0 ? "\n" : "", (int)v->path.len, v->path.base,
                    field_reason_name(v->reason), (int)v->message.len, v->message.base);
    const char *copy = arena_strndup(arena, strbuf_slice(&text).base, text.len);
    strbuf_clear(&text);
    return copy;
}

void *kind_read(const struct kind *kind, struct json *object, struct field_report *report)
{
    static const struct field_options options = {.apply_defaults = true};
    field_report_init(report, arena);
    return kind_decode(kind, object, kind->is_namespaced ? SLICE("default") : (struct slice){NULL, 0},
                       &options, arena, report);
}

void assert_changes(const struct change *changes, size_t num)
{
    for (size_t i = 0; i < num; ++i) {
        const struct change *c = &changes[i];
        const struct kind *kind = kind_get(c->kind);
        struct json *object = must_parse(kind_valid[c->kind]);
        struct field_report report;
        set_at(object, c->path, c->value);
        (void)kind_read(kind, object, &report);
        const char *got = findings(&report);
        if (c->expected == NULL ? got[0] != '\0' : strstr(got, c->expected) == NULL)
            fail_msg("%s %s = %s\n  want: %s\n  got:  %s", kind->kind, c->path, c->value,
                     c->expected != NULL ? c->expected : "no finding", got);
    }
}

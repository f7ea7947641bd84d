/* A compiled world: objects from YAML beside a Gateway `edge` and a Service `web`, what the compiler made of them, and where
 * requests go then. Header-only, as what it needs is the tests' to link. */
#ifndef SELVEDGE_TESTS_WORLD_FIXTURE_H
#define SELVEDGE_TESTS_WORLD_FIXTURE_H

#include "core/model/kinds.h"
#include "core/route/decide.h"
#include "gateway/control/compiler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct world {
    struct arena *arena;
    struct ctl_view view;
    struct ctl_object *objects[128];
    struct ctl_compiled *compiled;
};

static inline int add_object(struct json *doc, void *data, struct err *err)
{
    struct world *world = data;
    static const struct field_options options = {.apply_defaults = true};
    const struct kind *kind = kind_of(doc, err);
    if (kind == NULL)
        return -1;
    struct field_report report;
    struct strbuf text = STRBUF_INIT, key = STRBUF_INIT;
    field_report_init(&report, world->arena);
    kind_decode(kind, doc, (struct slice){NULL, 0}, &options, world->arena, &report);
    if (field_report_err(&report, err) != 0)
        return -1;
    struct slice ns = json_slice(json_find(doc, "metadata", "namespace", NULL));
    strbuf_addf(&key, "%s/%s", kind->group, kind->plural);
    json_write(&text, doc);
    struct ctl_key object_key = {arena_slice(world->arena, strbuf_slice(&key)), ns.base != NULL ? ns : SLICE(""),
                                 json_slice(json_find(doc, "metadata", "name", NULL))};
    world->objects[world->view.num] = ctl_object_new(&object_key, world->view.num + 1, strbuf_slice(&text));
    ++world->view.num;
    strbuf_clear(&text);
    strbuf_clear(&key);
    return 0;
}

static inline int compare_objects(const void *left, const void *right)
{
    return ctl_key_compare(&(*(struct ctl_object *const *)left)->key, &(*(struct ctl_object *const *)right)->key);
}

static const char base_yaml[] =
    "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: selvedge}\nspec: {controllerName: selvedge.dev/gateway}\n"
    "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n"
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\nspec: {ports: [{name: http, port: 80}]}\n"
    "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}\n"
    "addressType: IPv4\nports: [{name: http, port: 9000}]\nendpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}]\n"
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: default, creationTimestamp: \"2026-01-01T00:00:00Z\"}\n"
    "spec: {gatewayClassName: selvedge, listeners: [{name: http, port: 8080, protocol: HTTP}, {name: api, port: 8080, protocol: HTTP, hostname: \"*.example.com\"}]}\n";

static inline struct world *compile_world(const char *more)
{
    struct world *world = xcalloc(1, sizeof(*world));
    struct err err = ERR_INIT;
    struct strbuf text = STRBUF_INIT;
    world->arena = arena_new(0);
    strbuf_addf(&text, "%s---\n%s", base_yaml, more);
    if (json_parse_yaml(world->arena, strbuf_slice(&text), add_object, world, &err) != 0)
        fail_msg("%s", err.text);
    strbuf_clear(&text);
    world->view.rev = 77;
    world->view.objects = world->objects;
    qsort(world->objects, world->view.num, sizeof(world->objects[0]), compare_objects);
    struct ctl_compile_options options = {.epoch = 1, .now_us = 1767225600000000};
    world->compiled = ctl_compile(&world->view, &options, &err);
    if (world->compiled == NULL)
        fail_msg("%s", err.text);
    return world;
}

/* compile_world() of two texts, one after the other. */
static inline struct world *compile_both(const char *one, const char *two)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_addf(&text, "%s---\n%s", one, two);
    struct world *world = compile_world(text.base);
    strbuf_clear(&text);
    return world;
}

static inline void world_free(struct world *world)
{
    ctl_compiled_free(world->compiled);
    for (size_t i = 0; i < world->view.num; ++i)
        ctl_object_unref(world->objects[i]);
    arena_free(world->arena);
    free(world);
}

static inline struct json *status_of(struct world *world, const char *kind, const char *name)
{
    for (size_t i = 0; i < world->compiled->num_statuses; ++i) {
        struct ctl_status *status = &world->compiled->statuses[i];
        if (slice_is(status->object->key.kind, kind) && slice_is(status->object->key.name, name))
            return status->status;
    }
    fail_msg("no status for %s %s", kind, name);
    return NULL;
}

static inline void expect_condition(const struct json *conditions, const char *type, const char *status, const char *reason)
{
    JSON_FOR(condition, conditions)
    {
        if (strcmp(json_str(json_get(condition, "type"), ""), type) != 0)
            continue;
        if (strcmp(json_str(json_get(condition, "status"), ""), status) != 0 || strcmp(json_str(json_get(condition, "reason"), ""), reason) != 0)
            fail_msg("%s: want %s %s, got %s %s (%s)", type, status, reason, json_str(json_get(condition, "status"), ""),
                     json_str(json_get(condition, "reason"), ""), json_str(json_get(condition, "message"), ""));
        return;
    }
    fail_msg("no condition %s", type);
}

#define ROUTES "gateway.networking.k8s.io/httproutes"
#define GATEWAYS "gateway.networking.k8s.io/gateways"

static inline const struct json *route_conditions(struct world *world, const char *name, size_t parent)
{
    return json_get(json_at(json_get(status_of(world, ROUTES, name), "parents"), parent), "conditions");
}

static inline const char *spec_of(struct world *world, const char *kind, const char *name)
{
    const struct cfg_resource *resource = cfg_document_find(world->compiled->document, slice_of(kind), slice_of(name));
    return resource != NULL ? resource->text.base : "";
}

/* ---- texts ---- */

#define GATEWAY(name, created, spec)                                                                         \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: " name ", namespace: default, creationTimestamp: \"" created     \
    "\"}\nspec: {gatewayClassName: selvedge, " spec "}\n"
#define NAMESPACE(name, labels) "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " name ", labels: {" labels "}}\n"
#define SERVICE(name, ns, spec) "---\napiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: " ns "}\nspec: {" spec "}\n"
#define SLICE_OF(name, service, rest)                                                                        \
    "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " name ", namespace: default, labels: {kubernetes.io/service-name: " service "}}\n" rest
#define GRANT(name, ns, from, to)                                                                            \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {name: " name ", namespace: " ns "}\nspec: {from: [{" from "}], to: [{" to "}]}\n"
#define ROUTE_IN(name, ns, parent, rest)                                                                     \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " name ", namespace: " ns "}\nspec:\n  parentRefs: [" parent "]\n" rest
#define ROUTE(name, parent, rest)                                                                            \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " name ", namespace: default}\nspec:\n  parentRefs: [" parent "]\n" rest
#define RULE_WEB "  rules: [{backendRefs: [{name: web, port: 80}]}]\n"

/* ---- where requests go ---- */

static inline struct slice no_header(const void *data, struct slice name)
{
    return (struct slice){NULL, 0};
}

static inline void *world_alloc(void *data, size_t size)
{
    return arena_alloc(data, size);
}

/* "NAMESPACE/ROUTE/RULE" of the route that takes the request on the listener ("*:8080"); "404" without a route. */
static inline const char *world_request(struct world *world, const char *listener, const char *method, const char *host, const char *path)
{
    struct err err = ERR_INIT;
    struct rt_decision decision = {0};
    struct cfg_snapshot *snapshot = rt_snapshot_build(world->compiled->document, &err);
    if (snapshot == NULL)
        fail_msg("%s", err.text);
    struct rt_request request = {.method = slice_of(method), .scheme = SLICE("http"), .host = slice_of(host), .path = slice_of(path),
                                 .header = no_header, .alloc = world_alloc, .alloc_data = world->arena};
    for (uint32_t i = 0; i < snapshot->num_listeners; ++i)
        if (slice_is(snapshot->listeners[i].name, listener))
            request.listener = &snapshot->listeners[i];
    if (request.listener == NULL)
        fail_msg("no listener %s", listener);
    rt_decide(&request, 1, &decision);
    const char *answer = "404";
    if (decision.rule != NULL)
        answer = arena_printf(world->arena, "%s/%s/%u", decision.rule->route->ns.base, decision.rule->route->object.base, decision.rule->index);
    cfg_snapshot_unref(snapshot);
    return answer;
}

static inline const char *world_ask(struct world *world, const char *listener, const char *host, const char *path)
{
    return world_request(world, listener, "GET", host, path);
}

#endif

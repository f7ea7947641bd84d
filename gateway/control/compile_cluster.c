/* Services, Backends and the policies on them become clusters and endpoints, each made once, when a route asks for it. A
 * policy that applies makes a variant of the cluster with a name of its own. */
#include "gateway/control/compile_internal.h"

struct resolved {
    const char *reason, *text; /* NULL: good */
    struct comp_tls *tls;      /* NULL: plain */
};

static const char *text2(struct comp *comp, const char *fmt, struct slice a, struct slice b)
{
    return arena_printf(comp->arena, fmt, (int)a.len, a.base, (int)b.len, b.base);
}

/* ---------- policies ---------- */

static struct obj_policy_targets targets_of(const void *policy)
{
    const struct obj_traffic_policy_spec *spec = &((const struct obj_traffic_policy *)policy)->spec;
    return obj_policy_targets(spec->target_refs, spec->num_target_refs, spec->target_ref);
}

void comp_load_traffic_policies(struct comp *comp)
{
    comp->traffic_policies = comp_load_policies(comp, KIND_TRAFFIC_POLICY, targets_of);
}

void comp_traffic_policy_statuses(struct comp *comp)
{
    comp_policy_statuses(comp, &comp->traffic_policies, NULL);
}

/* The most specific one wins whole: rule, route, listener, gateway; among equals the oldest. */
static const struct comp_policy *policy_at(struct comp *comp, const struct comp_place *place)
{
    struct slice ns = place->route->head.meta.ns, name = place->route->head.meta.name, none = {NULL, 0};
    struct slice route = comp_slice(kind_get(place->kind)->kind), gateway = SLICE("Gateway");
    const struct comp_policies *policies = &comp->traffic_policies;
    const struct comp_policy *policy = NULL;
    if (policies->num == 0)
        return NULL;
    if (place->rule->name.len != 0)
        policy = comp_policy_for(policies, route, ns, name, place->rule->name);
    if (policy == NULL)
        policy = comp_policy_for(policies, route, ns, name, none);
    if (policy == NULL)
        policy = comp_policy_for(policies, gateway, place->gateway_ns, place->gateway_name, place->section);
    if (policy == NULL)
        policy = comp_policy_for(policies, gateway, place->gateway_ns, place->gateway_name, none);
    return policy;
}

static void apply_check(struct comp *comp, struct cfg_cluster *cluster, const struct obj_active_check *active)
{
    static const enum cfg_check kinds[] = {
        [OBJ_CHECK_HTTP] = CFG_CHECK_HTTP, [OBJ_CHECK_TCP] = CFG_CHECK_TCP, [OBJ_CHECK_GRPC] = CFG_CHECK_GRPC};
    struct cfg_health_check *check = &cluster->check;
    check->kind = kinds[active->type];
    check->timeout_ms = (uint32_t)active->timeout_ms;
    check->interval_ms = (uint32_t)active->interval_ms;
    check->unhealthy_threshold = active->unhealthy_threshold;
    check->healthy_threshold = active->healthy_threshold;
    if (active->grpc != NULL)
        check->grpc_service = active->grpc->service;
    if (active->http == NULL)
        return;
    check->path = active->http->path;
    check->host = active->http->hostname;
    check->num_expected_statuses = active->http->num_expected_statuses;
    check->expected_statuses = arena_alloc(comp->arena, check->num_expected_statuses * sizeof(uint16_t));
    for (uint32_t i = 0; i < check->num_expected_statuses; ++i)
        check->expected_statuses[i] = (uint16_t)active->http->expected_statuses[i];
}

static void apply_policy(struct comp *comp, struct cfg_cluster *cluster, const struct comp_policy *policy)
{
    static const enum cfg_lb lbs[] = {[OBJ_LB_LEAST_REQUEST] = CFG_LB_LEAST_REQUEST,
                                      [OBJ_LB_RANDOM] = CFG_LB_RANDOM,
                                      [OBJ_LB_ROUND_ROBIN] = CFG_LB_ROUND_ROBIN};
    if (policy == NULL)
        return;
    const struct obj_traffic_policy_spec *spec = &((const struct obj_traffic_policy *)policy->head)->spec;
    if (spec->load_balancer != NULL)
        cluster->lb = lbs[spec->load_balancer->type];
    if (spec->health_check != NULL && spec->health_check->active != NULL)
        apply_check(comp, cluster, spec->health_check->active);
    if (spec->timeout != NULL && spec->timeout->tcp.has_connect)
        cluster->connect_timeout_ms = (uint32_t)spec->timeout->tcp.connect_ms;
    if (spec->timeout != NULL && spec->timeout->http.has_connection_idle)
        cluster->idle_timeout_ms = (uint32_t)spec->timeout->http.connection_idle_ms;
    if (spec->circuit_breaker != NULL) {
        cluster->max_connections = spec->circuit_breaker->max_connections;
        cluster->max_pending = spec->circuit_breaker->max_pending_requests;
        cluster->max_requests = spec->circuit_breaker->max_parallel_requests;
    }
}

static void emit_cluster(struct comp *comp, struct cfg_cluster *cluster, const struct comp_policy *policy)
{
    struct wire_endpoints endpoints = {cluster->endpoints, cluster->num_endpoints};
    cluster->endpoints = NULL;
    cluster->num_endpoints = 0;
    apply_policy(comp, cluster, policy);
    comp_emit(comp, "cluster", cluster->name, &snapshot_cluster_schema, cluster);
    comp_emit(comp, "endpoints", cluster->name, &snapshot_endpoints_schema, &endpoints);
}

/* ---------- endpoints ---------- */

struct slice_ref {
    struct slice_ref *next;
    const struct obj_endpoint_slice *spec;
};

static void load_slices(struct comp *comp)
{
    size_t num;
    struct ctl_object **objects = ctl_view_kind(comp->view, comp_kind_key(comp, KIND_ENDPOINT_SLICE), &num);
    comp->has_slices = true; /* even if none of them is of a Service */
    for (size_t i = num; i-- > 0;) { /* from the end, so that the chains are in name order */
        const struct obj_endpoint_slice *spec = comp_decode(comp, objects[i], KIND_ENDPOINT_SLICE);
        struct slice service = spec != NULL ? obj_map_get(&spec->head.meta.labels, OBJ_LABEL_SERVICE_NAME) : (struct slice){NULL, 0};
        if (service.len == 0)
            continue;
        struct slice key = comp_join(comp, objects[i]->key.ns, '/', service);
        struct slice_ref *ref = arena_zalloc(comp->arena, sizeof(*ref));
        ref->spec = spec;
        ref->next = hashmap_put(&comp->slices, key.base, key.len, ref);
    }
}

static uint16_t slice_port(const struct obj_endpoint_slice *slice, const struct obj_service_port *port)
{
    struct slice want = port->name;
    for (uint32_t i = 0; i < slice->num_ports; ++i)
        if (slice_eq(slice->ports[i].name, want) && slice->ports[i].has_port)
            return (uint16_t)slice->ports[i].port;
    return 0;
}

struct endpoint_list {
    struct cfg_endpoint *at;
    uint32_t num, cap;
};

static void add_endpoint(struct comp *comp, struct endpoint_list *list, struct slice host, uint16_t port, bool is_ready)
{
    if (list->num == list->cap) {
        uint32_t cap = MAX(8u, list->cap * 2);
        struct cfg_endpoint *grown = arena_alloc(comp->arena, cap * sizeof(*grown));
        if (list->num != 0)
            memcpy(grown, list->at, list->num * sizeof(*grown));
        list->at = grown;
        list->cap = cap;
    }
    list->at[list->num++] = (struct cfg_endpoint){.host = host, .port = port, .weight = 1, .is_ready = is_ready};
}

static void add_slice(struct comp *comp, struct endpoint_list *list, const struct obj_service *service,
                      const struct obj_endpoint_slice *slice, uint16_t port)
{
    for (uint32_t i = 0; i < slice->num_endpoints; ++i) {
        const struct obj_endpoint *endpoint = &slice->endpoints[i];
        bool is_ready = (endpoint->is_ready && !endpoint->is_terminating) || service->spec.publish_not_ready;
        if (endpoint->num_addresses != 0)
            add_endpoint(comp, list, endpoint->addresses[0], port, is_ready);
    }
}

static struct endpoint_list service_endpoints(struct comp *comp, struct slice ns, const struct obj_service *service,
                                              const struct obj_service_port *port)
{
    struct endpoint_list list = {0};
    struct slice key = comp_join(comp, ns, '/', service->head.meta.name);
    for (const struct slice_ref *ref = hashmap_get(&comp->slices, key.base, key.len); ref != NULL; ref = ref->next) {
        uint16_t number = slice_port(ref->spec, port);
        if (number != 0)
            add_slice(comp, &list, service, ref->spec, number);
    }
    return list;
}

/* ---------- services ---------- */

/* A Service of type ExternalName need not list ports: any is meant then. */
static const struct obj_service_port *find_port(struct comp *comp, const struct obj_service *service, int32_t number)
{
    if (service->spec.type == OBJ_SERVICE_EXTERNAL_NAME && service->spec.num_ports == 0) {
        struct obj_service_port *any = arena_zalloc(comp->arena, sizeof(*any));
        any->port = number;
        return any;
    }
    for (uint32_t i = 0; i < service->spec.num_ports; ++i)
        if (service->spec.ports[i].port == number)
            return &service->spec.ports[i];
    return NULL;
}

/* NULL, or what is wrong with the protocol's name. */
static const char *app_protocol(struct slice name, bool is_tls, enum cfg_upstream_protocol *ret)
{
    static const struct {
        const char *name;
        enum cfg_upstream_protocol protocol;
        bool needs_tls;
    } known[] = {{"http", CFG_UPSTREAM_HTTP1, false},       {"https", CFG_UPSTREAM_HTTP1, true},
                 {"kubernetes.io/h2c", CFG_UPSTREAM_H2C, false}, {"grpc", CFG_UPSTREAM_H2C, false},
                 {"kubernetes.io/ws", CFG_UPSTREAM_WS, false},   {"kubernetes.io/wss", CFG_UPSTREAM_WS, true}};
    *ret = CFG_UPSTREAM_HTTP1;
    if (name.len == 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(known); ++i) {
        if (!slice_is(name, known[i].name))
            continue;
        *ret = known[i].protocol;
        return known[i].needs_tls && !is_tls ? "needs a BackendTLSPolicy that says how to verify it" : NULL;
    }
    return "is not supported";
}

static struct cfg_cluster new_cluster(struct comp *comp, struct slice name, struct slice host)
{
    struct cfg_cluster cluster = {0};
    field_fill_defaults(&snapshot_cluster_schema, &cluster, comp->arena);
    cluster.name = name;
    cluster.host = host;
    return cluster;
}

static void set_tls(struct cfg_cluster *cluster, struct comp_tls *tls)
{
    if (tls != NULL)
        cluster->tls = &tls->tls;
}

static void make_service(struct comp *comp, struct resolved *out, const struct comp_cluster_ref *ref, const struct comp_policy *policy)
{
    struct slice ns = ref->ns;
    struct ctl_object *object = comp_find(comp, KIND_SERVICE, ns, ref->object);
    const struct obj_service *service = object != NULL ? comp_decode(comp, object, KIND_SERVICE) : NULL;
    const struct obj_service_port *port = service != NULL ? find_port(comp, service, ref->port) : NULL;
    out->reason = "BackendNotFound";
    if (service == NULL) {
        out->text = text2(comp, "Service %.*s/%.*s does not exist", ns, ref->object);
        return;
    }
    if (port == NULL) {
        out->text = arena_printf(comp->arena, "Service %.*s/%.*s has no port %d", (int)ns.len, ns.base, (int)ref->object.len,
                                 ref->object.base, ref->port);
        return;
    }
    struct cfg_cluster cluster = new_cluster(comp, ref->name, comp_join(comp, ref->object, '.', ns));
    out->tls = comp_tls_for(comp, "Service", ns, ref->object, port->name);
    const char *fault = app_protocol(ref->is_grpc && port->app_protocol.len == 0 ? SLICE("grpc") : port->app_protocol, out->tls != NULL, &cluster.protocol);
    if (fault != NULL) {
        out->reason = "UnsupportedProtocol";
        out->text = arena_printf(comp->arena, "Service %.*s: appProtocol %.*s %s", (int)ref->object.len, ref->object.base,
                                 (int)port->app_protocol.len, port->app_protocol.base, fault);
        return;
    }
    struct endpoint_list list = {0};
    if (service->spec.type == OBJ_SERVICE_EXTERNAL_NAME) {
        bool is_number = port->has_target_port && !port->target_port.is_string;
        add_endpoint(comp, &list, service->spec.external_name, (uint16_t)(is_number ? port->target_port.number : port->port), true);
        cluster.host = service->spec.external_name;
    } else {
        list = service_endpoints(comp, ns, service, port);
    }
    cluster.endpoints = list.at;
    cluster.num_endpoints = list.num;
    out->reason = NULL;
    set_tls(&cluster, out->tls);
    emit_cluster(comp, &cluster, policy);
}

/* ---------- Backends ---------- */

static void add_backend_endpoint(struct comp *comp, struct endpoint_list *list, const struct obj_backend_endpoint *endpoint)
{
    if (endpoint->fqdn != NULL)
        add_endpoint(comp, list, endpoint->fqdn->hostname, (uint16_t)endpoint->fqdn->port, true);
    else if (endpoint->ip != NULL)
        add_endpoint(comp, list, endpoint->ip->address, (uint16_t)endpoint->ip->port, true);
    else if (endpoint->unix_socket != NULL)
        add_endpoint(comp, list,
                     comp_slice(arena_printf(comp->arena, "unix:%.*s", (int)endpoint->unix_socket->path.len, endpoint->unix_socket->path.base)),
                     0, true);
}

static void make_backend(struct comp *comp, struct resolved *out, const struct comp_cluster_ref *ref, const struct comp_policy *policy)
{
    struct slice ns = ref->ns;
    struct ctl_object *object = comp_find(comp, KIND_BACKEND, ns, ref->object);
    const struct obj_backend *backend = object != NULL ? comp_decode(comp, object, KIND_BACKEND) : NULL;
    if (backend == NULL) {
        out->reason = "BackendNotFound";
        out->text = text2(comp, "Backend %.*s/%.*s does not exist", ns, ref->object);
        return;
    }
    struct endpoint_list list = {0};
    struct cfg_cluster cluster = new_cluster(comp, ref->name, comp_join(comp, ref->object, '.', ns));
    out->tls = comp_tls_for(comp, "Backend", ns, ref->object, (struct slice){NULL, 0});
    set_tls(&cluster, out->tls);
    for (uint32_t i = 0; i < backend->spec.num_endpoints; ++i)
        add_backend_endpoint(comp, &list, &backend->spec.endpoints[i]);
    if (backend->spec.endpoints[0].hostname.len != 0)
        cluster.host = backend->spec.endpoints[0].hostname;
    else if (backend->spec.endpoints[0].fqdn != NULL)
        cluster.host = backend->spec.endpoints[0].fqdn->hostname;
    if (ref->is_grpc)
        cluster.protocol = CFG_UPSTREAM_H2C;
    if (backend->spec.num_app_protocols != 0)
        cluster.protocol = backend->spec.app_protocols[0] == OBJ_APP_H2C ? CFG_UPSTREAM_H2C : CFG_UPSTREAM_WS;
    cluster.endpoints = list.at;
    cluster.num_endpoints = list.num;
    emit_cluster(comp, &cluster, policy);
}

void comp_backend_statuses(struct comp *comp)
{
    size_t num;
    struct ctl_object **objects = ctl_view_kind(comp->view, comp_kind_key(comp, KIND_BACKEND), &num);
    for (size_t i = 0; i < num; ++i) {
        const struct obj_backend *backend = comp_decode(comp, objects[i], KIND_BACKEND);
        if (backend == NULL)
            continue;
        struct json *status = json_new_object(comp->arena);
        struct json *conditions = json_set(comp->arena, status, "conditions", json_new_array(comp->arena));
        comp_condition(comp, conditions, json_get(backend->head.status, "conditions"), "Accepted", true, "Accepted",
                       "The Backend was accepted", objects[i]->generation);
        comp_set_status(comp, objects[i], backend->head.status, status);
    }
}

/* ---------- references ---------- */

/* One port may be spoken to in two ways: gRPC needs no appProtocol to be HTTP/2. */
static struct slice cluster_name(struct comp *comp, const struct obj_backend_ref *ref, struct slice ns, bool is_service, bool is_grpc,
                                 const struct comp_policy *policy)
{
    char *name = is_service ? arena_printf(comp->arena, "service/%.*s/%.*s:%d", (int)ns.len, ns.base, (int)ref->name.len, ref->name.base, ref->port)
                            : arena_printf(comp->arena, "backend/%.*s/%.*s", (int)ns.len, ns.base, (int)ref->name.len, ref->name.base);
    if (is_grpc)
        name = arena_printf(comp->arena, "%s+grpc", name);
    if (policy != NULL)
        name = arena_printf(comp->arena, "%s@%.*s/%.*s", name, (int)policy->object->key.ns.len, policy->object->key.ns.base,
                            (int)policy->object->key.name.len, policy->object->key.name.base);
    return comp_slice(name);
}

static const struct resolved *resolve(struct comp *comp, const struct comp_cluster_ref *ref)
{
    struct resolved *resolved = hashmap_get(&comp->clusters, ref->name.base, ref->name.len);
    if (resolved != NULL)
        return resolved;
    if (!comp->has_slices)
        load_slices(comp);
    resolved = arena_zalloc(comp->arena, sizeof(*resolved));
    hashmap_put(&comp->clusters, ref->name.base, ref->name.len, resolved);
    const struct comp_policy *policy = ref->policy != UINT32_MAX ? &comp->traffic_policies.at[ref->policy] : NULL;
    (ref->is_service ? make_service : make_backend)(comp, resolved, ref, policy);
    return resolved;
}

void comp_cluster_again(struct comp *comp, const struct comp_cluster_ref *ref)
{
    (void)resolve(comp, ref); /* it was good, and what it depends on is the same */
}

struct slice comp_cluster(struct comp *comp, const struct comp_place *place, const struct obj_backend_ref *ref,
                          const char **ret_reason, const char **ret_text)
{
    struct slice own = place->route->head.meta.ns, ns = obj_ns_or(ref->ns, own);
    bool is_service = ref->group.len == 0 && slice_is(ref->kind, "Service");
    bool is_backend = slice_is(ref->group, OBJ_ENVOY_GROUP) && slice_is(ref->kind, "Backend");
    if (!is_service && !is_backend) {
        *ret_reason = "InvalidKind";
        *ret_text = text2(comp, "kind %.*s of group \"%.*s\" is not supported", ref->kind, ref->group);
        return (struct slice){NULL, 0};
    }
    if (!comp_is_granted(comp, OBJ_GATEWAY_GROUP, kind_get(place->kind)->kind, own, ref->group, ref->kind, ns, ref->name)) {
        *ret_reason = "RefNotPermitted";
        *ret_text = arena_printf(comp->arena, "no ReferenceGrant in namespace %.*s allows the reference to %.*s %.*s", (int)ns.len,
                                 ns.base, (int)ref->kind.len, ref->kind.base, (int)ref->name.len, ref->name.base);
        return (struct slice){NULL, 0};
    }
    const struct comp_policy *policy = policy_at(comp, place);
    struct comp_cluster_ref wanted = {.ns = ns, .object = ref->name, .port = ref->port, .is_service = is_service, .is_grpc = place->kind == KIND_GRPC_ROUTE};
    wanted.name = cluster_name(comp, ref, ns, is_service, wanted.is_grpc, policy);
    wanted.policy = policy != NULL ? (uint32_t)(policy - comp->traffic_policies.at) : UINT32_MAX;
    const struct resolved *resolved = resolve(comp, &wanted);
    comp_tls_used_by(comp, resolved->tls, place->gateway_ns, place->gateway_name);
    comp->record->is_more |= resolved->tls != NULL;
    if (resolved->reason != NULL) {
        *ret_reason = resolved->reason;
        *ret_text = resolved->text;
        return (struct slice){NULL, 0};
    }
    comp_record_cluster(comp, &wanted);
    /* What cannot be verified is not spoken to: its share gets 500, its policy says why. */
    return resolved->tls == NULL || resolved->tls->accepted.reason == NULL ? wanted.name : (struct slice){NULL, 0};
}

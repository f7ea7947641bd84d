/* Where routes attach: which listeners of which Gateways a parentRef names, which of them take the route, and under which
 * of its host names. */
#include "gateway/control/compile_internal.h"

static bool is_wildcard(struct slice hostname)
{
    return slice_starts(hostname, SLICE("*."));
}

/* `wide` is a wildcard that covers `narrow` (exact, or a longer wildcard). */
static bool covers(struct slice wide, struct slice narrow)
{
    struct slice suffix = slice_make(wide.base + 1, wide.len - 1);
    return is_wildcard(wide) && narrow.len > suffix.len && slice_ends(narrow, suffix);
}

/* The more specific of the two where they meet, or {NULL,0}. */
static struct slice intersect(struct slice a, struct slice b)
{
    if (a.len == 0 || slice_eq(a, b) || covers(a, b))
        return b;
    if (b.len == 0 || covers(b, a))
        return a;
    return (struct slice){NULL, 0};
}

static bool allows_namespace(struct comp *comp, const struct comp_listener *listener, struct slice ns)
{
    const struct obj_routes_namespaces *allowed = &listener->spec->allowed_routes.namespaces;
    if (allowed->from == OBJ_FROM_ALL)
        return true;
    if (allowed->from == OBJ_FROM_SAME)
        return slice_eq(ns, listener->gateway->object->key.ns);
    struct ctl_object *object = comp_find(comp, KIND_NAMESPACE, SLICE(""), ns);
    const struct obj_namespace *namespace = object != NULL ? comp_decode(comp, object, KIND_NAMESPACE) : NULL;
    return namespace != NULL && allowed->selector != NULL && obj_selector_matches(allowed->selector, &namespace->head.meta.labels);
}

static void add_attachment(struct comp *comp, struct comp_route *route, struct cfg_attachment attachment)
{
    for (uint32_t i = 0; i < route->num_attachments; ++i)
        if (slice_eq(route->attachments[i].listener, attachment.listener) && slice_eq(route->attachments[i].server, attachment.server))
            return; /* two parentRefs that name one listener */
    if (route->num_attachments == route->cap_attachments) {
        uint32_t cap = MAX(4u, route->cap_attachments * 2);
        struct cfg_attachment *grown = arena_alloc(comp->scratch, cap * sizeof(*grown));
        if (route->num_attachments != 0)
            memcpy(grown, route->attachments, route->num_attachments * sizeof(*grown));
        route->attachments = grown;
        route->cap_attachments = cap;
    }
    route->attachments[route->num_attachments++] = attachment;
}

/* HTTPRoutes and GRPCRoutes share no host name of a listener: the older one has it (GRPCRouteSpec.hostnames). */
bool comp_may_claim(const struct comp_listener *listener, enum kind_id kind, const struct slice *hostnames, uint32_t num)
{
    return !comp_names_meet(kind == KIND_GRPC_ROUTE ? &listener->http_names : &listener->grpc_names, hostnames, num);
}

void comp_claim(struct comp_listener *listener, enum kind_id kind, const struct slice *hostnames, uint32_t num)
{
    comp_names_add(kind == KIND_GRPC_ROUTE ? &listener->grpc_names : &listener->http_names, hostnames, num);
}

/* The names outlast the route, whose they are. */
static bool claim(struct comp *comp, struct comp_listener *listener, enum kind_id kind, const struct slice *hostnames, uint32_t num)
{
    struct slice *copies = arena_alloc(comp->arena, num * sizeof(*copies));
    for (uint32_t i = 0; i < num; ++i)
        copies[i] = arena_slice(comp->arena, hostnames[i]);
    struct comp_claimed claimed = {listener, copies, num, comp_may_claim(listener, kind, copies, num)};
    if (claimed.is_granted)
        comp_claim(listener, kind, copies, num);
    comp_record_claim(comp, &claimed);
    return claimed.is_granted;
}

enum attach_result { ATTACHED, NO_COMMON_NAME, NAME_IS_TAKEN };

static enum attach_result attach(struct comp *comp, struct comp_route *route, struct comp_listener *listener)
{
    const struct obj_http_route_spec *spec = &route->spec->spec;
    struct slice *hostnames = arena_alloc(comp->scratch, MAX(spec->num_hostnames, 1u) * sizeof(*hostnames));
    uint32_t num = 0;
    for (uint32_t i = 0; i < spec->num_hostnames; ++i) {
        struct slice meet = intersect(listener->hostname, comp_lower(comp, spec->hostnames[i]));
        if (meet.base != NULL)
            hostnames[num++] = meet;
    }
    if (spec->num_hostnames != 0 && num == 0)
        return NO_COMMON_NAME;
    if (spec->num_hostnames == 0 && listener->hostname.len != 0)
        hostnames[num++] = listener->hostname;
    if (comp->has_two_route_kinds && !claim(comp, listener, route->kind, hostnames, num))
        return NAME_IS_TAKEN;
    if (listener->last_route != route->object) { /* two parentRefs may name one listener */
        listener->last_route = route->object;
        ++listener->num_routes;
        comp_record_listener(comp, listener);
    }
    if (!listener->is_usable)
        return ATTACHED; /* but the listener itself is not served */
    if (route->first == NULL)
        route->first = listener;
    for (uint32_t i = 0; i < listener->num_binds; ++i)
        add_attachment(comp, route, (struct cfg_attachment){listener->binds[i]->name, listener->server_name, hostnames, num});
    return ATTACHED;
}

static bool is_named(const struct obj_parent_ref *ref, const struct comp_listener *listener)
{
    if (ref->section_name.len != 0 && !slice_eq(ref->section_name, listener->spec->name))
        return false;
    return !ref->has_port || ref->port == listener->spec->port;
}

static void refuse_parent(struct comp_parent *parent, const char *reason, const char *text)
{
    parent->reason = reason;
    parent->text = text;
}

static bool takes_kind(const struct comp_listener *listener, enum kind_id kind)
{
    return kind == KIND_GRPC_ROUTE ? listener->takes_grpc_routes : listener->takes_http_routes;
}

static void attach_parent(struct comp *comp, struct comp_route *route, struct comp_parent *parent)
{
    uint32_t num_named = 0, num_allowed = 0, num_attached = 0, num_taken = 0;
    for (uint32_t i = 0; i < parent->gateway->num_listeners; ++i) {
        struct comp_listener *listener = &parent->gateway->listeners[i];
        if (!is_named(parent->ref, listener))
            continue;
        ++num_named;
        if (!takes_kind(listener, route->kind) || !allows_namespace(comp, listener, route->object->key.ns))
            continue;
        ++num_allowed;
        enum attach_result result = attach(comp, route, listener);
        num_attached += result == ATTACHED;
        num_taken += result == NAME_IS_TAKEN;
    }
    if (num_named == 0)
        refuse_parent(parent, "NoMatchingParent", "the Gateway has no listener of that sectionName and port");
    else if (num_allowed == 0)
        refuse_parent(parent, "NotAllowedByListeners", "no listener's allowedRoutes takes this route's kind and namespace");
    else if (num_attached == 0 && num_taken != 0)
        refuse_parent(parent, "HostnameConflict", route->kind == KIND_GRPC_ROUTE ? "an older HTTPRoute has the host name at this listener"
                                                                                 : "an older GRPCRoute has the host name at this listener");
    else if (num_attached == 0)
        refuse_parent(parent, "NoMatchingListenerHostname", "no hostname in common with a listener of the Gateway");
}

void comp_attach(struct comp *comp, struct comp_route *route, struct comp_parent *parent)
{
    const struct obj_parent_ref *ref = parent->ref;
    struct slice ns = obj_ns_or(ref->ns, route->object->key.ns);
    parent->is_ours = true;
    if (!slice_is(ref->group, OBJ_GATEWAY_GROUP) || !slice_is(ref->kind, "Gateway")) {
        refuse_parent(parent, "NoMatchingParent", "only Gateways are served as parents of routes");
        return;
    }
    struct slice name = comp_join(comp, ns, '/', ref->name);
    parent->gateway = hashmap_get(&comp->gateways_by_name, name.base, name.len);
    if (parent->gateway != NULL) {
        attach_parent(comp, route, parent);
        return;
    }
    parent->is_ours = comp_find(comp, KIND_GATEWAY, ns, ref->name) == NULL; /* else a Gateway of another controller */
    refuse_parent(parent, "NoMatchingParent",
                  arena_printf(comp->scratch, "Gateway %.*s does not exist", (int)name.len, name.base));
}

/* GatewayClasses, Gateways, listeners, certificates.
 *
 * All gateways of our classes share this host's ports: listeners are taken oldest gateway first, and one that asks for a
 * port with another protocol, or for a host name already taken there, is Conflicted and left out. */
#include "gateway/control/compile_internal.h"

#include "core/net/tls_context.h"

static void class_status(struct comp *comp, struct ctl_object *object, const struct obj_gateway_class *class)
{
    struct json *status = json_new_object(comp->arena);
    struct json *conditions = json_set(comp->arena, status, "conditions", json_new_array(comp->arena));
    const struct json *old = json_get(class->head.status, "conditions");
    comp_condition(comp, conditions, old, "Accepted", true, "Accepted", "GatewayClass is served by Selvedge", object->generation);
    comp_set_status(comp, object, class->head.status, status);
}

static void load_classes(struct comp *comp)
{
    size_t num;
    struct ctl_object **objects = ctl_view_kind(comp->view, comp_kind_key(comp, KIND_GATEWAY_CLASS), &num);
    for (size_t i = 0; i < num; ++i) {
        const struct obj_gateway_class *class = comp_decode(comp, objects[i], KIND_GATEWAY_CLASS);
        if (class == NULL || !slice_is(class->spec.controller_name, OBJ_CONTROLLER_NAME))
            continue;
        hashmap_put(&comp->classes, objects[i]->key.name.base, objects[i]->key.name.len, objects[i]);
        class_status(comp, objects[i], class);
    }
}

/* A class that is there and not ours is another controller's, and so are its Gateways. One that is not there is nobody's: the
 * Gateway may well have been ours until its class was deleted, and must not go on saying that it is served. */
static void orphan_status(struct comp *comp, struct ctl_object *object, const struct obj_gateway *spec)
{
    struct slice class = spec->spec.class_name;
    if (comp_find(comp, KIND_GATEWAY_CLASS, SLICE(""), class) != NULL)
        return;
    struct json *status = json_new_object(comp->arena);
    struct json *conditions = json_set(comp->arena, status, "conditions", json_new_array(comp->arena));
    const struct json *old = json_get(spec->head.status, "conditions");
    const char *text = arena_printf(comp->arena, "GatewayClass %.*s does not exist", (int)class.len, class.base);
    comp_condition(comp, conditions, old, "Accepted", false, "Invalid", text, object->generation);
    comp_condition(comp, conditions, old, "Programmed", false, "Invalid", text, object->generation);
    comp_set_status(comp, object, spec->head.status, status);
}

/* ---------- certificates ---------- */

struct verdict {
    const char *reason, *text; /* NULL: good */
};

static const char *printf_slice(struct comp *comp, const char *fmt, struct slice a, struct slice b)
{
    return arena_printf(comp->arena, fmt, (int)a.len, a.base, (int)b.len, b.base);
}

static struct verdict *check_secret(struct comp *comp, struct slice ns, struct slice name, struct slice key)
{
    struct verdict *verdict = arena_zalloc(comp->arena, sizeof(*verdict));
    struct ctl_object *object = comp_find(comp, KIND_SECRET, ns, name);
    verdict->reason = "InvalidCertificateRef";
    if (object == NULL) {
        verdict->text = printf_slice(comp, "Secret %.*s/%.*s does not exist", ns, name);
        return verdict;
    }
    const struct obj_secret *secret = comp_decode(comp, object, KIND_SECRET);
    struct slice cert = secret != NULL ? obj_map_get(&secret->data, "tls.crt") : (struct slice){NULL, 0};
    struct slice private_key = secret != NULL ? obj_map_get(&secret->data, "tls.key") : (struct slice){NULL, 0};
    struct net_tls_pair pair = {cert, private_key, printf_slice(comp, "Secret %.*s/%.*s", ns, name)};
    struct err err = ERR_INIT;
    if (cert.base == NULL || private_key.base == NULL) {
        verdict->text = printf_slice(comp, "Secret %.*s/%.*s has no tls.crt and tls.key", ns, name);
    } else if (net_tls_check_pair(&pair, NULL, NULL, &err) != 0) {
        verdict->text = arena_strdup(comp->arena, err.text);
    } else {
        struct cfg_certificate certificate = {key, cert, private_key};
        verdict->reason = NULL;
        comp_emit(comp, "certificate", key, &snapshot_certificate_schema, &certificate);
    }
    return verdict;
}

static struct verdict *secret_verdict(struct comp *comp, struct slice ns, struct slice name, struct slice *ret_key)
{
    struct slice key = comp_join(comp, ns, '/', name);
    struct verdict *verdict = hashmap_get(&comp->certificates, key.base, key.len);
    if (verdict == NULL) {
        verdict = check_secret(comp, ns, name, key);
        hashmap_put(&comp->certificates, key.base, key.len, verdict);
    }
    *ret_key = key;
    return verdict;
}

static void refuse_refs(struct comp_listener *listener, const char *reason, const char *text)
{
    if (listener->refs_reason != NULL)
        return; /* the first finding is told */
    listener->refs_reason = reason;
    listener->refs_text = text;
}

static void resolve_certificate(struct comp *comp, struct comp_listener *listener, const struct obj_ref *ref)
{
    struct slice own = listener->gateway->object->key.ns, key;
    struct slice ns = obj_ns_or(ref->ns, own);
    if (ref->group.len != 0 || !slice_is(ref->kind, "Secret")) {
        refuse_refs(listener, "InvalidCertificateRef",
                    printf_slice(comp, "certificateRefs: %.*s %.*s is not a Secret", ref->kind, ref->name));
        return;
    }
    if (!comp_is_granted(comp, OBJ_GATEWAY_GROUP, "Gateway", own, SLICE(""), SLICE("Secret"), ns, ref->name)) {
        refuse_refs(listener, "RefNotPermitted",
                    printf_slice(comp, "no ReferenceGrant in namespace %.*s allows the reference to Secret %.*s", ns, ref->name));
        return;
    }
    struct verdict *verdict = secret_verdict(comp, ns, ref->name, &key);
    if (verdict->reason != NULL)
        refuse_refs(listener, verdict->reason, verdict->text);
    else
        listener->certificates[listener->num_certificates++] = key;
}

static void resolve_tls(struct comp *comp, struct comp_listener *listener)
{
    const struct obj_listener_tls *tls = listener->spec->tls;
    if (listener->spec->protocol != OBJ_PROTOCOL_HTTPS)
        return;
    uint32_t num = tls != NULL ? tls->num_certificate_refs : 0;
    listener->certificates = arena_alloc(comp->arena, MAX(num, 1u) * sizeof(*listener->certificates));
    for (uint32_t i = 0; i < num; ++i)
        resolve_certificate(comp, listener, &tls->certificate_refs[i]);
    if (num == 0)
        refuse_refs(listener, "InvalidCertificateRef", "tls.certificateRefs is empty");
    if (listener->num_certificates == 0)
        listener->is_usable = false;
}

/* ---------- listeners ---------- */

static void resolve_kinds(struct comp *comp, struct comp_listener *listener)
{
    const struct obj_allowed_routes *allowed = &listener->spec->allowed_routes;
    listener->takes_http_routes = listener->takes_grpc_routes = allowed->num_kinds == 0;
    for (uint32_t i = 0; i < allowed->num_kinds; ++i) {
        const struct obj_route_kind *kind = &allowed->kinds[i];
        bool is_ours = kind->group.base == NULL || slice_is(kind->group, OBJ_GATEWAY_GROUP);
        if (is_ours && slice_is(kind->kind, "HTTPRoute"))
            listener->takes_http_routes = true;
        else if (is_ours && slice_is(kind->kind, "GRPCRoute"))
            listener->takes_grpc_routes = true;
        else
            refuse_refs(listener, "InvalidRouteKinds",
                        printf_slice(comp, "allowedRoutes.kinds: %.*s%.*s is not served on this listener", kind->kind, SLICE("")));
    }
}

static struct comp_bind *bind_for(struct comp *comp, struct slice address, const struct obj_listener *spec)
{
    char *name = arena_printf(comp->arena, memchr(address.base, ':', address.len) != NULL ? "[%.*s]:%d" : "%.*s:%d",
                              (int)(address.len != 0 ? address.len : 1), address.len != 0 ? address.base : "*", spec->port);
    for (uint32_t i = 0; i < comp->num_binds; ++i)
        if (slice_is(comp->binds[i]->name, name))
            return comp->binds[i];
    struct comp_bind *bind = arena_zalloc(comp->arena, sizeof(*bind));
    bind->name = comp_slice(name);
    bind->address = address;
    bind->port = (uint16_t)spec->port;
    bind->protocol = spec->protocol;
    if (comp->num_binds == comp->cap_binds) {
        comp->cap_binds = MAX(8u, comp->cap_binds * 2);
        comp->binds = xrealloc(comp->binds, comp->cap_binds * sizeof(struct comp_bind *));
    }
    return comp->binds[comp->num_binds++] = bind;
}

static bool conflicts(struct comp *comp, struct comp_listener *listener, const struct comp_bind *bind)
{
    if (bind->num != 0 && bind->protocol != listener->spec->protocol) {
        listener->conflict_reason = "ProtocolConflict";
        listener->conflict_text =
            printf_slice(comp, "listener %.*s uses %.*s with another protocol", bind->listeners[0]->server_name, bind->name);
        return true;
    }
    for (uint32_t i = 0; i < bind->num; ++i) {
        if (!slice_eq(bind->listeners[i]->hostname, listener->hostname))
            continue;
        listener->conflict_reason = "HostnameConflict";
        listener->conflict_text =
            printf_slice(comp, "listener %.*s has the same hostname on %.*s", bind->listeners[i]->server_name, bind->name);
        return true;
    }
    return false;
}

static void join_bind(struct comp_listener *listener, struct comp_bind *bind)
{
    if (bind->num == 0)
        bind->protocol = listener->spec->protocol;
    if (bind->num == bind->cap) {
        bind->cap = MAX(4u, bind->cap * 2);
        bind->listeners = xrealloc(bind->listeners, bind->cap * sizeof(struct comp_listener *));
    }
    bind->listeners[bind->num++] = listener;
}

static void take_ports(struct comp *comp, struct comp_listener *listener)
{
    const struct obj_gateway_spec *spec = &listener->gateway->spec->spec;
    uint32_t num = MAX(spec->num_addresses, 1u);
    listener->binds = arena_alloc(comp->arena, num * sizeof(struct comp_bind *));
    for (uint32_t i = 0; i < num; ++i) {
        struct slice address = spec->num_addresses != 0 ? spec->addresses[i].value : SLICE("");
        listener->binds[i] = bind_for(comp, address.base != NULL ? address : SLICE(""), listener->spec);
        if (conflicts(comp, listener, listener->binds[i]))
            listener->is_conflicted = true;
    }
    listener->num_binds = num;
    if (listener->is_conflicted)
        listener->is_usable = false;
    for (uint32_t i = 0; i < num && !listener->is_conflicted; ++i)
        join_bind(listener, listener->binds[i]);
}

static void load_listener(struct comp *comp, struct comp_gateway *gateway, const struct obj_listener *spec)
{
    struct comp_listener *listener = &gateway->listeners[gateway->num_listeners++];
    struct slice gateway_name = comp_join(comp, gateway->object->key.ns, '/', gateway->object->key.name);
    listener->gateway = gateway;
    listener->spec = spec;
    listener->hostname = comp_lower(comp, spec->hostname);
    listener->server_name = comp_join(comp, gateway_name, '/', spec->name);
    listener->is_usable = gateway->bad_reason == NULL;
    resolve_kinds(comp, listener);
    if (gateway->bad_reason != NULL)
        return;
    resolve_tls(comp, listener);
    take_ports(comp, listener);
}

static void check_addresses(struct comp *comp, struct comp_gateway *gateway)
{
    const struct obj_gateway_spec *spec = &gateway->spec->spec;
    for (uint32_t i = 0; i < spec->num_addresses; ++i) {
        const struct obj_gateway_address *address = &spec->addresses[i];
        if (address->type.base != NULL && !slice_is(address->type, "IPAddress")) {
            gateway->bad_reason = "UnsupportedAddress";
            gateway->bad_text = printf_slice(comp, "addresses: type %.*s is not supported%.*s", address->type, SLICE(""));
        }
    }
}

static int compare_gateways(const void *left, const void *right)
{
    const struct comp_gateway *a = left, *b = right;
    return comp_compare_age(a->object, a->spec->head.meta.created_us, b->object, b->spec->head.meta.created_us);
}

void comp_gateways(struct comp *comp)
{
    size_t num;
    load_classes(comp);
    struct ctl_object **objects = ctl_view_kind(comp->view, comp_kind_key(comp, KIND_GATEWAY), &num);
    comp->gateways = arena_zalloc(comp->arena, num * sizeof(*comp->gateways));
    for (size_t i = 0; i < num; ++i) {
        const struct obj_gateway *spec = comp_decode(comp, objects[i], KIND_GATEWAY);
        if (spec == NULL)
            continue;
        if (hashmap_get(&comp->classes, spec->spec.class_name.base, spec->spec.class_name.len) == NULL) {
            orphan_status(comp, objects[i], spec);
            continue;
        }
        comp->gateways[comp->num_gateways++] = (struct comp_gateway){.object = objects[i], .spec = spec};
    }
    if (comp->num_gateways > 1)
        qsort(comp->gateways, comp->num_gateways, sizeof(*comp->gateways), compare_gateways);
    for (uint32_t i = 0; i < comp->num_gateways; ++i) {
        struct comp_gateway *gateway = &comp->gateways[i];
        struct slice name = comp_join(comp, gateway->object->key.ns, '/', gateway->object->key.name);
        hashmap_put(&comp->gateways_by_name, name.base, name.len, gateway);
        check_addresses(comp, gateway);
        gateway->listeners = arena_zalloc(comp->arena, gateway->spec->spec.num_listeners * sizeof(struct comp_listener));
        for (uint32_t j = 0; j < gateway->spec->spec.num_listeners; ++j)
            load_listener(comp, gateway, &gateway->spec->spec.listeners[j]);
    }
}

/* ---------- outputs ---------- */

/* Exact names by length, then wildcards by length, then the empty one: rt_find_server() takes the first that fits. */
static int compare_servers(const void *left, const void *right)
{
    const struct comp_listener *a = *(struct comp_listener *const *)left, *b = *(struct comp_listener *const *)right;
    bool a_wild = a->hostname.len != 0 && a->hostname.base[0] == '*', b_wild = b->hostname.len != 0 && b->hostname.base[0] == '*';
    if ((a->hostname.len == 0) != (b->hostname.len == 0))
        return a->hostname.len == 0 ? 1 : -1;
    if (a_wild != b_wild)
        return a_wild ? 1 : -1;
    if (a->hostname.len != b->hostname.len)
        return a->hostname.len > b->hostname.len ? -1 : 1;
    int order = memcmp(a->hostname.base, b->hostname.base, a->hostname.len);
    if (order != 0)
        return order;
    return strcmp(a->server_name.base, b->server_name.base);
}

int32_t comp_tls_min_version(const struct comp_listener *listener)
{
    if (listener->spec->tls == NULL)
        return 0;
    struct slice text = obj_map_get(&listener->spec->tls->options, OBJ_TLS_MIN_VERSION);
    return slice_is(text, "1.3") ? 13 : slice_is(text, "1.2") ? 12 : 0;
}

static void emit_bind(struct comp *comp, struct comp_bind *bind)
{
    struct wire_listener out = {.listener = {.name = bind->name, .address = bind->address, .port = bind->port}};
    out.listener.protocol = bind->protocol == OBJ_PROTOCOL_HTTPS ? CFG_PROTOCOL_HTTPS : CFG_PROTOCOL_HTTP;
    out.listener.client = comp_client(comp, bind);
    out.servers = arena_zalloc(comp->arena, bind->num * sizeof(*out.servers));
    qsort(bind->listeners, bind->num, sizeof(struct comp_listener *), compare_servers);
    for (uint32_t i = 0; i < bind->num; ++i) {
        const struct comp_listener *listener = bind->listeners[i];
        if (!listener->is_usable)
            continue;
        struct wire_server *server = &out.servers[out.num_servers++];
        server->server.name = listener->server_name;
        server->server.hostname = listener->hostname;
        server->server.tls_min_version = comp_tls_min_version(listener);
        server->certificates = listener->certificates;
        server->num_certificates = listener->num_certificates;
    }
    if (out.num_servers != 0)
        comp_emit(comp, "listener", bind->name, &snapshot_listener_schema, &out);
}

/* Programmed: what gateways run now holds this very listener, and none of them failed to open it. */
static const char *program_trouble(struct comp *comp, struct comp_listener *listener, const char **ret_reason)
{
    const struct cfg_document *applied = comp->options->applied;
    *ret_reason = "Invalid";
    if (!listener->is_usable)
        return "the listener is not valid";
    for (uint32_t i = 0; i < listener->num_binds; ++i) {
        struct slice name = listener->binds[i]->name;
        for (size_t j = 0; j < comp->options->num_failures; ++j)
            if (slice_eq(comp->options->failures[j].listener, name))
                return listener->failure = arena_strndup(comp->arena, comp->options->failures[j].text.base, comp->options->failures[j].text.len);
        *ret_reason = "Pending";
        const struct cfg_resource *now = applied != NULL ? cfg_document_find(applied, SLICE("listener"), name) : NULL;
        const struct cfg_resource *want = cfg_document_find(comp->out->document, SLICE("listener"), name);
        if (now == NULL || want == NULL || !slice_eq(now->text, want->text))
            return "not yet running on a gateway";
        *ret_reason = "Invalid";
    }
    return NULL;
}

static const struct json *old_listener(const struct json *status, struct slice name)
{
    JSON_FOR(listener, json_get(status, "listeners"))
    if (slice_eq(json_slice(json_get(listener, "name")), name))
        return json_get(listener, "conditions");
    return NULL;
}

static void supported_kind(struct comp *comp, struct json *kinds, bool is_taken, const char *name)
{
    if (!is_taken)
        return;
    struct json *kind = json_push(kinds, json_new_object(comp->arena));
    json_set_str(comp->arena, kind, "group", OBJ_GATEWAY_GROUP);
    json_set_str(comp->arena, kind, "kind", name);
}

static void supported_kinds(struct comp *comp, struct json *status, const struct comp_listener *listener)
{
    struct json *kinds = json_set(comp->arena, status, "supportedKinds", json_new_array(comp->arena));
    supported_kind(comp, kinds, listener->takes_http_routes, "HTTPRoute");
    supported_kind(comp, kinds, listener->takes_grpc_routes, "GRPCRoute");
}

/* Returns whether the listener is programmed. */
static bool listener_status(struct comp *comp, struct json *list, struct comp_listener *listener)
{
    const char *reason = NULL;
    int64_t generation = listener->gateway->object->generation;
    const struct json *old = old_listener(listener->gateway->spec->head.status, listener->spec->name);
    const char *trouble = program_trouble(comp, listener, &reason);
    struct json *status = json_push(list, json_new_object(comp->arena));
    json_set(comp->arena, status, "name", json_new_string(comp->arena, listener->spec->name));
    json_set_int(comp->arena, status, "attachedRoutes", listener->num_routes);
    supported_kinds(comp, status, listener);
    struct json *conditions = json_set(comp->arena, status, "conditions", json_new_array(comp->arena));
    bool is_accepted = !listener->is_conflicted && listener->gateway->bad_reason == NULL;
    comp_condition(comp, conditions, old, "Accepted", is_accepted, is_accepted ? "Accepted" : listener->is_conflicted ? listener->conflict_reason : "Invalid",
                   is_accepted ? "" : listener->is_conflicted ? listener->conflict_text : listener->gateway->bad_text, generation);
    comp_condition(comp, conditions, old, "Conflicted", listener->is_conflicted,
                   listener->is_conflicted ? listener->conflict_reason : "NoConflicts", listener->conflict_text, generation);
    comp_condition(comp, conditions, old, "ResolvedRefs", listener->refs_reason == NULL,
                   listener->refs_reason != NULL ? listener->refs_reason : "ResolvedRefs", listener->refs_text, generation);
    comp_condition(comp, conditions, old, "Programmed", trouble == NULL, trouble != NULL ? reason : "Programmed", trouble, generation);
    return trouble == NULL;
}

static void gateway_addresses(struct comp *comp, struct json *status, const struct obj_gateway_spec *spec)
{
    struct json *addresses = json_set(comp->arena, status, "addresses", json_new_array(comp->arena));
    uint32_t num = MAX(spec->num_addresses, 1u);
    for (uint32_t i = 0; i < num; ++i) {
        struct json *address = json_push(addresses, json_new_object(comp->arena));
        bool is_given = spec->num_addresses != 0 && spec->addresses[i].value.base != NULL;
        json_set_str(comp->arena, address, "type", "IPAddress");
        json_set(comp->arena, address, "value", json_new_string(comp->arena, is_given ? spec->addresses[i].value : SLICE("0.0.0.0")));
    }
}

static void gateway_status(struct comp *comp, struct comp_gateway *gateway)
{
    uint32_t num_bad = 0, num_programmed = 0;
    const char *failure = NULL;
    const struct json *old_status = gateway->spec->head.status, *old = json_get(old_status, "conditions");
    int64_t generation = gateway->object->generation;
    struct json *status = json_new_object(comp->arena);
    gateway_addresses(comp, status, &gateway->spec->spec);
    struct json *conditions = json_set(comp->arena, status, "conditions", json_new_array(comp->arena));
    struct json *listeners = json_set(comp->arena, status, "listeners", json_new_array(comp->arena));
    for (uint32_t i = 0; i < gateway->num_listeners; ++i) {
        num_programmed += listener_status(comp, listeners, &gateway->listeners[i]);
        num_bad += !gateway->listeners[i].is_usable || gateway->listeners[i].refs_reason != NULL;
        failure = failure != NULL ? failure : gateway->listeners[i].failure;
    }
    bool is_accepted = gateway->bad_reason == NULL && num_bad < MAX(gateway->num_listeners, 1u);
    comp_condition(comp, conditions, old, "Accepted", is_accepted,
                   gateway->bad_reason != NULL ? gateway->bad_reason : num_bad != 0 ? "ListenersNotValid" : "Accepted",
                   gateway->bad_reason != NULL ? gateway->bad_text : num_bad != 0 ? "some listeners are not valid: see their conditions" : "", generation);
    bool is_programmed = num_programmed > 0;
    const char *reason = failure != NULL ? "AddressNotUsable" : num_bad == gateway->num_listeners ? "Invalid" : "Pending";
    comp_condition(comp, conditions, old, "Programmed", is_programmed, is_programmed ? "Programmed" : reason,
                   is_programmed ? "" : failure != NULL ? failure : "no listener is running: see their conditions", generation);
    comp_set_status(comp, gateway->object, old_status, status);
}

void comp_emit_listeners(struct comp *comp)
{
    for (uint32_t i = 0; i < comp->num_binds; ++i)
        emit_bind(comp, comp->binds[i]);
}

void comp_gateway_statuses(struct comp *comp)
{
    for (uint32_t i = 0; i < comp->num_gateways; ++i)
        gateway_status(comp, &comp->gateways[i]);
}

/* ClientTrafficPolicies: how listeners treat their clients.
 *
 * A connection comes to a port before anybody can say which listener it is for, so a port has one policy. It is that of
 * its owner, the oldest Gateway on it: a section's policy beats the Gateway's, but it needs all of the owner's listeners
 * on the port; where they differ the port keeps to the Gateway's. A policy that does not get its way is Conflicted. */
#include "gateway/control/compile_internal.h"

#include "core/model/object/client_policy.h"

static struct obj_policy_targets targets_of(const void *policy)
{
    const struct obj_client_policy_spec *spec = &((const struct obj_client_policy *)policy)->spec;
    return obj_policy_targets(spec->target_refs, spec->num_target_refs, spec->target_ref);
}

static const struct obj_client_policy_spec *spec_of(const struct comp_policy *policy)
{
    return &((const struct obj_client_policy *)policy->head)->spec;
}

/* ---------- which policy a port has ---------- */

static const struct comp_policy *gateway_policy(struct comp *comp, const struct comp_gateway *gateway, struct slice section)
{
    struct slice ns = gateway->object->key.ns, name = gateway->object->key.name;
    return comp_policy_for(&comp->client_policies, SLICE("Gateway"), ns, name, section);
}

static const struct comp_policy *listener_policy(struct comp *comp, const struct comp_listener *listener)
{
    const struct comp_policy *policy = gateway_policy(comp, listener->gateway, listener->spec->name);
    return policy != NULL ? policy : gateway_policy(comp, listener->gateway, (struct slice){NULL, 0});
}

/* The owner's listeners on the port come to the same. */
static bool is_agreed(struct comp *comp, const struct comp_bind *bind, const struct comp_policy *policy)
{
    for (uint32_t i = 0; i < bind->num; ++i)
        if (bind->listeners[i]->gateway == bind->owner && listener_policy(comp, bind->listeners[i]) != policy)
            return false;
    return true;
}

/* A listener's own option asks for more than the policy's newest version. */
static const struct comp_listener *find_contradiction(const struct comp_bind *bind, const struct comp_policy *policy)
{
    const struct obj_client_tls *tls = policy != NULL ? spec_of(policy)->tls : NULL;
    for (uint32_t i = 0; tls != NULL && tls->max == OBJ_TLS_12 && i < bind->num; ++i)
        if (comp_tls_min_version(bind->listeners[i]) == 13)
            return bind->listeners[i];
    return NULL;
}

static void settle(struct comp *comp, struct comp_bind *bind)
{
    if (bind->num == 0)
        return;
    bind->owner = bind->listeners[0]->gateway; /* listeners join oldest gateway first */
    bind->policy = listener_policy(comp, bind->listeners[0]);
    if (!is_agreed(comp, bind, bind->policy))
        bind->policy = gateway_policy(comp, bind->owner, (struct slice){NULL, 0});
    if (find_contradiction(bind, bind->policy) != NULL) {
        bind->refused_policy = bind->policy;
        bind->policy = NULL;
    }
}

void comp_client_policies(struct comp *comp)
{
    comp->client_policies = comp_load_policies(comp, KIND_CLIENT_POLICY, targets_of);
    for (uint32_t i = 0; i < comp->num_binds && comp->client_policies.num != 0; ++i)
        settle(comp, comp->binds[i]);
}

/* ---------- what it says ---------- */

static void compile_timeouts(struct cfg_client *client, const struct obj_client_timeout *timeout)
{
    client->has_handshake_timeout = timeout->tcp.has_tls_handshake;
    client->handshake_timeout_ms = (uint32_t)timeout->tcp.tls_handshake_ms;
    client->has_head_timeout = timeout->http.has_headers;
    client->head_timeout_ms = (uint32_t)timeout->http.headers_ms;
    client->has_request_timeout = timeout->http.has_request;
    client->request_timeout_ms = (uint32_t)timeout->http.request_ms;
    client->has_idle_timeout = timeout->http.has_idle;
    client->idle_timeout_ms = (uint32_t)timeout->http.idle_ms;
    client->has_stream_idle_timeout = timeout->http.has_stream_idle;
    client->stream_idle_timeout_ms = (uint32_t)timeout->http.stream_idle_ms;
}

static void compile_http2(struct cfg_client *client, const struct obj_client_http2 *http2)
{
    client->max_streams = http2->max_concurrent_streams;
    if (http2->has_stream_window)
        client->stream_window = (uint32_t)obj_quantity(&http2->stream_window);
    if (http2->has_connection_window)
        client->connection_window = (uint32_t)obj_quantity(&http2->connection_window);
}

static void compile_tls(struct comp *comp, struct cfg_client *client, const struct obj_client_tls *tls)
{
    static const int32_t versions[] = {[OBJ_TLS_AUTO] = 0, [OBJ_TLS_12] = 12, [OBJ_TLS_13] = 13};
    static const enum cfg_alpn protocols[] = {[OBJ_ALPN_H2] = CFG_ALPN_H2, [OBJ_ALPN_HTTP11] = CFG_ALPN_HTTP11};
    if (tls == NULL)
        return;
    client->tls_min_version = versions[tls->min];
    client->tls_max_version = versions[tls->max];
    client->tls_suites = tls->ciphers;
    client->num_tls_suites = tls->num_ciphers;
    client->num_alpn = tls->num_alpn;
    client->alpn = arena_alloc(comp->arena, MAX(tls->num_alpn, 1u) * sizeof(*client->alpn));
    for (uint32_t i = 0; i < tls->num_alpn; ++i)
        client->alpn[i] = protocols[tls->alpn[i]];
}

static void compile_trust(struct cfg_client *client, const struct obj_client_ip *client_ip)
{
    if (client_ip == NULL)
        return;
    client->has_trusted_hops = client_ip->forwarded_for->has_hops;
    client->trusted_hops = (uint32_t)client_ip->forwarded_for->hops;
    client->trusted_proxies = client_ip->forwarded_for->networks;
    client->num_trusted_proxies = client_ip->forwarded_for->num_networks;
}

struct cfg_client *comp_client(struct comp *comp, const struct comp_bind *bind)
{
    if (bind->policy == NULL)
        return NULL;
    const struct obj_client_policy_spec *spec = spec_of(bind->policy);
    struct cfg_client *client = arena_zalloc(comp->arena, sizeof(*client));
    compile_timeouts(client, &spec->timeout);
    client->max_connections = (uint32_t)MIN(spec->connection.limit.value, (int64_t)UINT32_MAX);
    client->max_requests = spec->connection.limit.max_requests;
    compile_http2(client, &spec->http2);
    compile_tls(comp, client, spec->tls);
    compile_trust(client, spec->client_ip);
    return client;
}

/* ---------- statuses ---------- */

static struct comp_verdict verdict(struct comp *comp, const char *reason, const char *fmt, struct slice a, struct slice b)
{
    return (struct comp_verdict){reason, arena_printf(comp->arena, fmt, (int)a.len, a.base, (int)b.len, b.base)};
}

/* Of a port that a target's listener asked for. */
static struct comp_verdict judge_bind(struct comp *comp, const struct comp_policy *policy, const struct obj_policy_target *target,
                                      const struct comp_listener *listener, const struct comp_bind *bind)
{
    const struct comp_gateway *owner = bind->owner;
    if (owner == NULL)
        return (struct comp_verdict){NULL, NULL}; /* nobody has it: the Gateway's status tells why */
    if (owner != listener->gateway)
        return verdict(comp, "Conflicted", "%.*s belongs to an older Gateway, %.*s, whose policy it has", bind->name,
                       comp_join(comp, owner->object->key.ns, '/', owner->object->key.name));
    if (bind->refused_policy == policy)
        return verdict(comp, "Invalid", "tls.maxVersion is older than option " OBJ_TLS_MIN_VERSION " of listener %.*s%.*s",
                       find_contradiction(bind, policy)->spec->name, SLICE(""));
    if (target->section_name.len != 0 && bind->policy != policy)
        return verdict(comp, "Conflicted", "listener %.*s shares %.*s with others that have another policy, and a port has one",
                       listener->spec->name, bind->name);
    return (struct comp_verdict){NULL, NULL};
}

static struct comp_verdict judge(struct comp *comp, const struct comp_policy *policy, const struct obj_policy_target *target)
{
    struct slice name = comp_join(comp, policy->object->key.ns, '/', target->name);
    const struct comp_gateway *gateway = hashmap_get(&comp->gateways_by_name, name.base, name.len);
    bool is_found = target->section_name.len == 0;
    struct comp_verdict finding = {NULL, NULL};
    if (gateway == NULL)
        return verdict(comp, "TargetNotFound", "Gateway %.*s is of a class that is not served here%.*s", target->name, SLICE(""));
    for (uint32_t i = 0; i < gateway->num_listeners && finding.reason == NULL; ++i) {
        const struct comp_listener *listener = &gateway->listeners[i];
        if (target->section_name.len != 0 && !slice_eq(listener->spec->name, target->section_name))
            continue;
        is_found = true;
        for (uint32_t j = 0; j < listener->num_binds && finding.reason == NULL; ++j)
            finding = judge_bind(comp, policy, target, listener, listener->binds[j]);
    }
    if (!is_found)
        return verdict(comp, "TargetNotFound", "Gateway %.*s has no listener %.*s", target->name, target->section_name);
    return finding;
}

void comp_client_policy_statuses(struct comp *comp)
{
    comp_policy_statuses(comp, &comp->client_policies, judge);
}

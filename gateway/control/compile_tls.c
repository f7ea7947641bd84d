/* BackendTLSPolicies: TLS towards Services and Backends. A policy is compiled once, with the certificates of its
 * authorities read from their ConfigMaps; clusters borrow the result. Its status speaks at the Gateways whose routes go
 * through it or, while there are none, at its targets. */
#include "gateway/control/compile_internal.h"

#include "core/net/tls_context.h"

enum { MAX_ANCESTORS = 16 };

static const char ca_key[] = "ca.crt";

/* ---------- authorities ---------- */

static struct comp_verdict read_authority(struct comp *comp, const struct comp_policy *policy, const struct obj_ca_ref *ref, struct slice *ret_pem)
{
    struct slice ns = policy->object->key.ns;
    struct err err = ERR_INIT;
    if (ref->group.len != 0 || !slice_is(ref->kind, "ConfigMap"))
        return (struct comp_verdict){"InvalidKind", arena_printf(comp->arena, "caCertificateRefs: kind %.*s of group \"%.*s\" is not supported",
                                                                 (int)ref->kind.len, ref->kind.base, (int)ref->group.len, ref->group.base)};
    const char *name = arena_printf(comp->arena, "ConfigMap %.*s/%.*s", (int)ns.len, ns.base, (int)ref->name.len, ref->name.base);
    struct ctl_object *object = comp_find(comp, KIND_CONFIG_MAP, ns, ref->name);
    const struct obj_config_map *map = object != NULL ? comp_decode(comp, object, KIND_CONFIG_MAP) : NULL;
    if (map == NULL)
        return (struct comp_verdict){"InvalidCACertificateRef", arena_printf(comp->arena, "%s does not exist", name)};
    *ret_pem = obj_map_get(&map->data, ca_key);
    if (ret_pem->len == 0)
        return (struct comp_verdict){"InvalidCACertificateRef", arena_printf(comp->arena, "%s has no %s", name, ca_key)};
    if (net_tls_check_bundle(*ret_pem, name, &err) != 0)
        return (struct comp_verdict){"InvalidCACertificateRef", arena_strdup(comp->arena, err.text)};
    return (struct comp_verdict){NULL, NULL};
}

/* Those that can be read are used, and the first that cannot is told; with none left nothing can be verified. */
static void read_authorities(struct comp *comp, struct comp_tls *tls, const struct obj_tls_validation *validation)
{
    struct strbuf pem = STRBUF_INIT;
    for (uint32_t i = 0; i < validation->num_ca_refs; ++i) {
        struct slice one;
        struct comp_verdict verdict = read_authority(comp, tls->policy, &validation->ca_refs[i], &one);
        if (verdict.reason == NULL)
            strbuf_addf(&pem, "%.*s\n", (int)one.len, one.base);
        else if (tls->refs.reason == NULL)
            tls->refs = verdict;
    }
    tls->tls.ca_pem = pem.len != 0 ? arena_slice(comp->arena, strbuf_slice(&pem)) : (struct slice){NULL, 0};
    if (validation->num_ca_refs != 0 && pem.len == 0)
        tls->accepted = (struct comp_verdict){"NoValidCACertificate", "none of the caCertificateRefs can be used"};
    strbuf_clear(&pem);
}

static void compile_policy(struct comp *comp, struct comp_tls *tls)
{
    const struct obj_backend_tls_policy *policy = CONTAINER_OF(tls->policy->head, const struct obj_backend_tls_policy, head);
    const struct obj_tls_validation *validation = &policy->spec.validation;
    tls->tls.hostname = validation->hostname;
    tls->tls.num_alt_names = validation->num_alt_names;
    tls->tls.alt_names = arena_alloc(comp->arena, validation->num_alt_names * sizeof(*tls->tls.alt_names));
    for (uint32_t i = 0; i < validation->num_alt_names; ++i) {
        const struct obj_alt_name *name = &validation->alt_names[i];
        bool is_uri = name->type == OBJ_ALT_URI;
        tls->tls.alt_names[i] = (struct cfg_alt_name){is_uri, is_uri ? name->uri : name->hostname};
    }
    read_authorities(comp, tls, validation);
}

/* ---------- looking up ---------- */

static struct obj_policy_targets targets_of(const void *object)
{
    const struct obj_backend_tls_policy *policy = object;
    return obj_policy_targets(policy->spec.target_refs, policy->spec.num_target_refs, NULL);
}

void comp_load_tls_policies(struct comp *comp)
{
    comp->tls_policies = comp_load_policies(comp, KIND_BACKEND_TLS_POLICY, targets_of);
    comp->tls = arena_zalloc(comp->arena, comp->tls_policies.num * sizeof(*comp->tls));
    for (uint32_t i = 0; i < comp->tls_policies.num; ++i) {
        comp->tls[i].policy = &comp->tls_policies.at[i];
        comp->tls[i].gateways = arena_alloc(comp->arena, MAX_ANCESTORS * sizeof(struct comp_ancestor));
        compile_policy(comp, &comp->tls[i]);
    }
}

struct comp_tls *comp_tls_for(struct comp *comp, const char *kind, struct slice ns, struct slice name, struct slice port)
{
    const struct comp_policy *policy = NULL;
    if (port.len != 0)
        policy = comp_policy_for(&comp->tls_policies, comp_slice(kind), ns, name, port);
    if (policy == NULL)
        policy = comp_policy_for(&comp->tls_policies, comp_slice(kind), ns, name, (struct slice){NULL, 0});
    return policy != NULL ? &comp->tls[policy - comp->tls_policies.at] : NULL;
}

void comp_tls_used_by(struct comp *comp, struct comp_tls *tls, struct slice gateway_ns, struct slice gateway_name)
{
    if (tls == NULL || gateway_name.len == 0 || tls->num_gateways == MAX_ANCESTORS)
        return;
    for (uint32_t i = 0; i < tls->num_gateways; ++i)
        if (slice_eq(tls->gateways[i].ns, gateway_ns) && slice_eq(tls->gateways[i].name, gateway_name))
            return;
    tls->gateways[tls->num_gateways++] = (struct comp_ancestor){
        .group = SLICE(OBJ_GATEWAY_GROUP), .kind = SLICE("Gateway"), .ns = gateway_ns, .name = gateway_name};
}

/* ---------- statuses ---------- */

static bool target_exists(struct comp *comp, const struct comp_tls *tls, const struct obj_policy_target *target)
{
    enum kind_id kind = slice_is(target->kind, "Service") ? KIND_SERVICE : KIND_BACKEND;
    return comp_find(comp, kind, tls->policy->object->key.ns, target->name) != NULL;
}

/* At a target that no route goes to, or whose older policy is another one. */
static struct comp_verdict judge(struct comp *comp, const struct comp_tls *tls, const struct obj_policy_target *target)
{
    struct slice ns = tls->policy->object->key.ns;
    if (!target_exists(comp, tls, target))
        return (struct comp_verdict){"TargetNotFound", arena_printf(comp->arena, "%.*s %.*s does not exist", (int)target->kind.len,
                                                                    target->kind.base, (int)target->name.len, target->name.base)};
    if (comp_policy_for(&comp->tls_policies, target->kind, ns, target->name, target->section_name) != tls->policy)
        return (struct comp_verdict){"Conflicted", "an older BackendTLSPolicy has the same target"};
    return tls->accepted;
}

static void add_entry(struct comp *comp, struct json *ancestors, const struct comp_tls *tls, const struct comp_ancestor *ancestor,
                      struct comp_verdict accepted)
{
    const struct json *old;
    struct json *conditions = comp_add_ancestor(comp, ancestors, tls->policy, ancestor, &old);
    comp_policy_verdict(comp, conditions, old, tls->policy, "Accepted", accepted);
    comp_policy_verdict(comp, conditions, old, tls->policy, "ResolvedRefs", tls->refs);
}

static void tell(struct comp *comp, const struct comp_tls *tls)
{
    struct json *status = json_new_object(comp->arena);
    struct json *ancestors = json_set(comp->arena, status, "ancestors", json_new_array(comp->arena));
    for (uint32_t i = 0; i < tls->num_gateways; ++i)
        add_entry(comp, ancestors, tls, &tls->gateways[i], tls->accepted);
    for (uint32_t i = 0; i < tls->policy->targets.num && tls->num_gateways == 0; ++i) {
        const struct obj_policy_target *target = &tls->policy->targets.at[i];
        struct comp_ancestor ancestor = {.group = target->group, .kind = target->kind, .name = target->name, .section_name = target->section_name};
        add_entry(comp, ancestors, tls, &ancestor, judge(comp, tls, target));
    }
    comp_set_status(comp, tls->policy->object, tls->policy->head->status, status);
}

void comp_tls_policy_statuses(struct comp *comp)
{
    for (uint32_t i = 0; i < comp->tls_policies.num; ++i)
        tell(comp, &comp->tls[i]);
}

/* What policies of all kinds have in common: they are taken oldest first, the most specific target wins whole, and their
 * status says at each target whether they have an effect there, and if not, why. */
#include "gateway/control/compile_internal.h"

static int compare_policies(const void *left, const void *right)
{
    const struct comp_policy *a = left, *b = right;
    return comp_compare_age(a->object, a->head->meta.created_us, b->object, b->head->meta.created_us);
}

struct comp_policies comp_load_policies(struct comp *comp, enum kind_id kind,
                                        struct obj_policy_targets (*targets_of)(const void *policy))
{
    size_t num;
    struct comp_policies policies = {.kind = kind};
    struct ctl_object **objects = ctl_view_kind(comp->view, comp_kind_key(comp, kind), &num);
    policies.at = arena_zalloc(comp->arena, num * sizeof(*policies.at));
    for (size_t i = 0; i < num; ++i) {
        const struct obj_head *head = comp_decode(comp, objects[i], kind);
        if (head != NULL)
            policies.at[policies.num++] = (struct comp_policy){objects[i], head, targets_of(head)};
    }
    if (policies.num > 1)
        qsort(policies.at, policies.num, sizeof(*policies.at), compare_policies);
    return policies;
}

static bool has_target(const struct comp_policy *policy, struct slice kind, struct slice ns, struct slice name, struct slice section)
{
    if (!slice_eq(policy->object->key.ns, ns))
        return false;
    for (uint32_t i = 0; i < policy->targets.num; ++i) {
        const struct obj_policy_target *target = &policy->targets.at[i];
        if (slice_eq(target->kind, kind) && slice_eq(target->name, name) && slice_eq(target->section_name, section))
            return true;
    }
    return false;
}

const struct comp_policy *comp_policy_for(const struct comp_policies *policies, struct slice kind, struct slice ns, struct slice name,
                                          struct slice section)
{
    for (uint32_t i = 0; i < policies->num; ++i)
        if (has_target(&policies->at[i], kind, ns, name, section))
            return &policies->at[i];
    return NULL;
}

/* ---------- statuses ---------- */

static bool target_exists(struct comp *comp, const struct comp_policy *policy, const struct obj_policy_target *target)
{
    enum kind_id kind = slice_is(target->kind, "Gateway") ? KIND_GATEWAY : slice_is(target->kind, "GRPCRoute") ? KIND_GRPC_ROUTE : KIND_HTTP_ROUTE;
    return comp_find(comp, kind, policy->object->key.ns, target->name) != NULL;
}

static struct comp_verdict judge(struct comp *comp, const struct comp_policies *policies, const struct comp_policy *policy,
                                 const struct obj_policy_target *target, comp_policy_judge more)
{
    if (!target_exists(comp, policy, target))
        return (struct comp_verdict){"TargetNotFound", arena_printf(comp->arena, "%.*s %.*s does not exist", (int)target->kind.len,
                                                                    target->kind.base, (int)target->name.len, target->name.base)};
    if (comp_policy_for(policies, target->kind, policy->object->key.ns, target->name, target->section_name) != policy)
        return (struct comp_verdict){"Conflicted",
                                     arena_printf(comp->arena, "an older %s has the same target", kind_get(policies->kind)->kind)};
    return more != NULL ? more(comp, policy, target) : (struct comp_verdict){NULL, NULL};
}

static bool is_about(const struct json *ref, const struct comp_ancestor *ancestor)
{
    return slice_eq(json_slice(json_get(ref, "name")), ancestor->name) && slice_eq(json_slice(json_get(ref, "kind")), ancestor->kind) &&
           slice_eq(json_slice(json_get(ref, "namespace")), ancestor->ns) &&
           slice_eq(json_slice(json_get(ref, "sectionName")), ancestor->section_name);
}

static void set_given(struct comp *comp, struct json *object, const char *name, struct slice value)
{
    if (value.len != 0)
        json_set(comp->arena, object, name, json_new_string(comp->arena, value));
}

struct json *comp_add_ancestor(struct comp *comp, struct json *ancestors, const struct comp_policy *policy,
                               const struct comp_ancestor *ancestor, const struct json **ret_old)
{
    struct json *entry = json_push(ancestors, json_new_object(comp->arena));
    struct json *ref = json_set(comp->arena, entry, "ancestorRef", json_new_object(comp->arena));
    json_set(comp->arena, ref, "group", json_new_string(comp->arena, ancestor->group));
    set_given(comp, ref, "kind", ancestor->kind);
    set_given(comp, ref, "namespace", ancestor->ns);
    set_given(comp, ref, "name", ancestor->name);
    set_given(comp, ref, "sectionName", ancestor->section_name);
    json_set_str(comp->arena, entry, "controllerName", OBJ_CONTROLLER_NAME);
    *ret_old = NULL;
    JSON_FOR(old, json_get(policy->head->status, "ancestors"))
    if (is_about(json_get(old, "ancestorRef"), ancestor))
        *ret_old = json_get(old, "conditions");
    return json_set(comp->arena, entry, "conditions", json_new_array(comp->arena));
}

void comp_policy_verdict(struct comp *comp, struct json *conditions, const struct json *old, const struct comp_policy *policy,
                         const char *type, struct comp_verdict verdict)
{
    comp_condition(comp, conditions, old, type, verdict.reason == NULL, verdict.reason != NULL ? verdict.reason : type, verdict.text,
                   policy->object->generation);
}

static void add_target(struct comp *comp, struct json *ancestors, const struct comp_policy *policy, const struct obj_policy_target *target,
                       struct comp_verdict verdict)
{
    struct comp_ancestor ancestor = {.group = SLICE(OBJ_GATEWAY_GROUP), .kind = target->kind, .name = target->name, .section_name = target->section_name};
    const struct json *old;
    struct json *conditions = comp_add_ancestor(comp, ancestors, policy, &ancestor, &old);
    comp_policy_verdict(comp, conditions, old, policy, "Accepted", verdict);
}

void comp_policy_statuses(struct comp *comp, const struct comp_policies *policies, comp_policy_judge more)
{
    for (uint32_t i = 0; i < policies->num; ++i) {
        const struct comp_policy *policy = &policies->at[i];
        struct json *status = json_new_object(comp->arena);
        struct json *ancestors = json_set(comp->arena, status, "ancestors", json_new_array(comp->arena));
        for (uint32_t j = 0; j < policy->targets.num; ++j) {
            const struct obj_policy_target *target = &policy->targets.at[j];
            add_target(comp, ancestors, policy, target, judge(comp, policies, policy, target, more));
        }
        comp_set_status(comp, policy->object, policy->head->status, status);
    }
}

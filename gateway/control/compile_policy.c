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
    enum kind_id kind = slice_is(target->kind, "Gateway") ? KIND_GATEWAY : KIND_HTTP_ROUTE;
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

static const struct json *old_ancestor(const struct comp_policy *policy, const struct obj_policy_target *target)
{
    JSON_FOR(ancestor, json_get(policy->head->status, "ancestors"))
    {
        const struct json *ref = json_get(ancestor, "ancestorRef");
        if (slice_eq(json_slice(json_get(ref, "name")), target->name) && slice_eq(json_slice(json_get(ref, "kind")), target->kind) &&
            slice_eq(json_slice(json_get(ref, "sectionName")), target->section_name))
            return json_get(ancestor, "conditions");
    }
    return NULL;
}

static void add_ancestor(struct comp *comp, struct json *ancestors, const struct comp_policy *policy, const struct obj_policy_target *target,
                         struct comp_verdict verdict)
{
    struct json *ancestor = json_push(ancestors, json_new_object(comp->arena));
    struct json *ref = json_set(comp->arena, ancestor, "ancestorRef", json_new_object(comp->arena));
    json_set_str(comp->arena, ref, "group", OBJ_GATEWAY_GROUP);
    json_set(comp->arena, ref, "kind", json_new_string(comp->arena, target->kind));
    json_set(comp->arena, ref, "name", json_new_string(comp->arena, target->name));
    if (target->section_name.len != 0)
        json_set(comp->arena, ref, "sectionName", json_new_string(comp->arena, target->section_name));
    json_set_str(comp->arena, ancestor, "controllerName", OBJ_CONTROLLER_NAME);
    struct json *conditions = json_set(comp->arena, ancestor, "conditions", json_new_array(comp->arena));
    comp_condition(comp, conditions, old_ancestor(policy, target), "Accepted", verdict.reason == NULL,
                   verdict.reason != NULL ? verdict.reason : "Accepted", verdict.text, policy->object->generation);
}

void comp_policy_statuses(struct comp *comp, const struct comp_policies *policies, comp_policy_judge more)
{
    for (uint32_t i = 0; i < policies->num; ++i) {
        const struct comp_policy *policy = &policies->at[i];
        struct json *status = json_new_object(comp->arena);
        struct json *ancestors = json_set(comp->arena, status, "ancestors", json_new_array(comp->arena));
        for (uint32_t j = 0; j < policy->targets.num; ++j) {
            const struct obj_policy_target *target = &policy->targets.at[j];
            add_ancestor(comp, ancestors, policy, target, judge(comp, policies, policy, target, more));
        }
        comp_set_status(comp, policy->object, policy->head->status, status);
    }
}

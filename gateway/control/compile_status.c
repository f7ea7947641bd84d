/* Conditions as Kubernetes keeps them. */
#include "gateway/control/compile_internal.h"

#include "core/base/clock.h"

static const struct json *find_condition(const struct json *conditions, const char *type)
{
    JSON_FOR(condition, conditions)
    if (strcmp(json_str(json_get(condition, "type"), ""), type) == 0)
        return condition;
    return NULL;
}

void comp_condition(struct comp *comp, struct json *conditions, const struct json *old, const char *type, bool is_true,
                    const char *reason, const char *message, int64_t generation)
{
    const char *status = is_true ? "True" : "False";
    const struct json *before = find_condition(old, type);
    char now[CLOCK_RFC3339_LEN + 1];
    clock_rfc3339(comp->options->now_us, now);
    bool is_same = before != NULL && strcmp(json_str(json_get(before, "status"), ""), status) == 0;
    struct json *condition = json_push(conditions, json_new_object(comp->scratch));
    json_set_str(comp->scratch, condition, "type", type);
    json_set_str(comp->scratch, condition, "status", status);
    json_set_str(comp->scratch, condition, "reason", reason);
    json_set_str(comp->scratch, condition, "message", message != NULL ? message : "");
    json_set_int(comp->scratch, condition, "observedGeneration", generation);
    json_set_str(comp->scratch, condition, "lastTransitionTime",
                 is_same ? json_str(json_get(before, "lastTransitionTime"), now) : now);
}

void comp_set_status(struct comp *comp, struct ctl_object *object, const struct json *old, struct json *status)
{
    struct ctl_compiled *out = comp->out;
    if (old != NULL && json_equal(old, status))
        return;
    if (out->num_statuses == out->cap_statuses) {
        out->cap_statuses = MAX((size_t)16, out->cap_statuses * 2);
        out->statuses = xrealloc(out->statuses, out->cap_statuses * sizeof(*out->statuses));
    }
    out->statuses[out->num_statuses++] = (struct ctl_status){ctl_object_ref(object), json_clone(comp->arena, status)};
}

/* What may I do, and who am I: whoami, and the review kinds of authorization.k8s.io and authentication.k8s.io, as `kubectl
 * auth` asks.
 *
 * They are answered from the same tables that decide on calls, so they cannot say otherwise than what a call would meet. */
#include "gateway/control/api_internal.h"

/* The review as it came, to be answered with a status. NULL: answered already. */
static struct json *read_review(struct ctl_call *call, const char *kind)
{
    struct err err = ERR_INIT;
    struct json *body = NULL;
    if (api_body(call, &body, &err) == 0 && (body->type != JSON_OBJECT || strcmp(json_str(json_get(body, "kind"), kind), kind) != 0))
        err_set(&err, ERR_BAD_REQUEST, "a %s is expected", kind);
    if (err.code == ERR_NONE)
        return body;
    api_fail(call, &err, NULL, NULL);
    return NULL;
}

static void reply(struct ctl_call *call, const char *api_version, const char *kind, const struct json *review, struct json *status)
{
    struct json *body = json_new_object(call->arena);
    const struct json *spec = json_get(review, "spec");
    json_set_str(call->arena, body, "kind", kind);
    json_set_str(call->arena, body, "apiVersion", api_version);
    json_set(call->arena, json_set(call->arena, body, "metadata", json_new_object(call->arena)), "creationTimestamp", json_new_null(call->arena));
    if (spec != NULL)
        json_set(call->arena, body, "spec", json_clone(call->arena, spec));
    json_set(call->arena, body, "status", status);
    ctl_call_reply_json(call, 201, body);
}

static struct json *own_namespaces(struct ctl_call *call)
{
    struct json *list = json_new_array(call->arena);
    for (uint32_t i = 0; i < call->who->num_namespaces; ++i)
        json_push(list, json_new_string(call->arena, call->who->namespaces[i]));
    return list;
}

static const char *role_name(enum ctl_role role)
{
    static const char *const names[] = {[CTL_ROLE_NONE] = "none", [CTL_ROLE_NODE] = "node", [CTL_ROLE_VIEWER] = "viewer",
                                        [CTL_ROLE_EDITOR] = "editor", [CTL_ROLE_ADMIN] = "admin"};
    return names[role];
}

/* ---------- may I ---------- */

struct question {
    struct slice verb, group, resource, subresource, ns, name;
};

static bool is_meant(struct slice wanted, const char *text)
{
    return slice_is(wanted, "*") || slice_is(wanted, text);
}

static struct slice text_of(const struct json *attributes, const char *name)
{
    struct slice text = json_slice(json_get(attributes, name));
    return text.base != NULL ? text : SLICE("");
}

static bool may_all_verbs(struct ctl_call *call, const struct api_target *target, struct slice wanted)
{
    if (!slice_is(wanted, "*"))
        return api_may(call, target, wanted);
    for (const char *const *verb = api_discovery_verbs(target->is_status); *verb != NULL; ++verb)
        if (!api_may(call, target, slice_of(*verb)))
            return false;
    return true;
}

/* "*" asks about everything: yes only when all of it may be done. */
static bool may_resources(struct ctl_call *call, const struct question *question)
{
    unsigned num = 0;
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const struct kind *kind = kind_get((enum kind_id)i);
        struct api_target target = {.kind = kind, .version = kind->versions[0], .name = question->name};
        target.ns = kind->is_namespaced ? question->ns : SLICE("");
        target.is_status = question->subresource.len != 0;
        if (!is_meant(question->group, kind->group) || !is_meant(question->resource, kind->plural))
            continue;
        if ((target.is_status && !(kind->has_status && is_meant(question->subresource, "status"))) || !may_all_verbs(call, &target, question->verb))
            return false;
        ++num;
    }
    return num != 0;
}

static bool is_served(const struct question *question)
{
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const struct kind *kind = kind_get((enum kind_id)i);
        if (is_meant(question->group, kind->group) && is_meant(question->resource, kind->plural))
            return true;
    }
    return false;
}

/* "viewer", "editor in shop, team". */
static const char *standing(struct ctl_call *call)
{
    const char *text = role_name(call->who->role);
    for (uint32_t i = 0; i < call->who->num_namespaces; ++i)
        text = arena_printf(call->arena, "%s%s%s", text, i == 0 ? " in " : ", ", call->who->namespaces[i].base);
    return text;
}

static bool review_resource(struct ctl_call *call, const struct json *attributes, const char **ret_reason)
{
    struct question question = {text_of(attributes, "verb"), text_of(attributes, "group"), text_of(attributes, "resource"),
                                text_of(attributes, "subresource"), text_of(attributes, "namespace"), text_of(attributes, "name")};
    bool may = may_resources(call, &question);
    *ret_reason = may ? "" : !is_served(&question) ? "no such resource is served" : arena_printf(call->arena, "the caller is %s", standing(call));
    return may;
}

static bool review_path(struct ctl_call *call, const struct json *attributes, const char **ret_reason)
{
    struct slice verb = text_of(attributes, "verb");
    char *method = arena_strndup(call->arena, verb.base, verb.len);
    for (char *c = method; *c != '\0'; ++c)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    bool may = api_may_call(call, slice_of(method), text_of(attributes, "path"));
    *ret_reason = may ? "" : arena_printf(call->arena, "the caller is %s", standing(call));
    return may;
}

void api_review_access(struct ctl_call *call)
{
    struct json *review = read_review(call, "SelfSubjectAccessReview");
    if (review == NULL)
        return;
    const struct json *resource = json_find(review, "spec", "resourceAttributes", NULL), *path = json_find(review, "spec", "nonResourceAttributes", NULL);
    struct err err = ERR_INIT;
    if ((resource == NULL) == (path == NULL)) {
        err_set(&err, ERR_INVALID, "spec: exactly one of resourceAttributes and nonResourceAttributes must be given");
        api_fail(call, &err, NULL, NULL);
        return;
    }
    const char *reason;
    struct json *status = json_new_object(call->arena);
    bool may = resource != NULL ? review_resource(call, resource, &reason) : review_path(call, path, &reason);
    json_set_bool(call->arena, status, "allowed", may);
    if (reason[0] != '\0')
        json_set_str(call->arena, status, "reason", reason);
    reply(call, "authorization.k8s.io/v1", "SelfSubjectAccessReview", review, status);
}

/* ---------- what may I ---------- */

static struct json *texts(struct arena *arena, const char *text)
{
    struct json *list = json_new_array(arena);
    json_push(list, json_new_str(arena, text));
    return list;
}

static struct json *verbs_of(struct ctl_call *call, const struct api_target *target)
{
    struct json *list = json_new_array(call->arena);
    for (const char *const *verb = api_discovery_verbs(target->is_status); *verb != NULL; ++verb)
        if (api_may(call, target, slice_of(*verb)))
            json_push(list, json_new_str(call->arena, *verb));
    return list;
}

/* Kinds of a group with the same verbs share a rule. */
static void add_rule(struct ctl_call *call, struct json *rules, const char *group, const char *resource, struct json *verbs)
{
    struct json *last = rules->last;
    if (verbs->num == 0)
        return;
    if (last != NULL && json_equal(json_get(last, "verbs"), verbs) && strcmp(json_str(json_at(json_get(last, "apiGroups"), 0), ""), group) == 0) {
        json_push(json_get(last, "resources"), json_new_str(call->arena, resource));
        return;
    }
    struct json *rule = json_push(rules, json_new_object(call->arena));
    json_set(call->arena, rule, "verbs", verbs);
    json_set(call->arena, rule, "apiGroups", texts(call->arena, group));
    json_set(call->arena, rule, "resources", texts(call->arena, resource));
}

static void add_kind_rules(struct ctl_call *call, struct json *rules, const struct kind *kind, struct slice ns)
{
    struct api_target target = {.kind = kind, .version = kind->versions[0], .ns = kind->is_namespaced ? ns : SLICE("")};
    add_rule(call, rules, kind->group, kind->plural, verbs_of(call, &target));
    target.is_status = true;
    if (kind->has_status)
        add_rule(call, rules, kind->group, arena_printf(call->arena, "%s/status", kind->plural), verbs_of(call, &target));
}

/* Whoever is confined to namespaces may look at those. */
static void add_own_namespaces(struct ctl_call *call, struct json *rules)
{
    if (call->who->num_namespaces == 0)
        return;
    struct json *rule = json_push(rules, json_new_object(call->arena));
    json_set(call->arena, rule, "verbs", texts(call->arena, "get"));
    json_set(call->arena, rule, "apiGroups", texts(call->arena, ""));
    json_set(call->arena, rule, "resources", texts(call->arena, "namespaces"));
    json_set(call->arena, rule, "resourceNames", own_namespaces(call));
}

struct path_rules {
    struct arena *arena;
    struct json *paths;
};

static void on_path(const char *pattern, void *data)
{
    struct path_rules *rules = data;
    json_push(rules->paths, json_new_str(rules->arena, pattern));
}

void api_review_rules(struct ctl_call *call)
{
    struct json *review = read_review(call, "SelfSubjectRulesReview");
    if (review == NULL)
        return;
    struct arena *arena = call->arena;
    struct slice ns = json_slice(json_find(review, "spec", "namespace", NULL));
    struct json *status = json_new_object(arena), *rules = json_set(arena, status, "resourceRules", json_new_array(arena));
    add_rule(call, rules, "authorization.k8s.io", "selfsubjectaccessreviews", texts(arena, "create"));
    add_rule(call, rules, "authorization.k8s.io", "selfsubjectrulesreviews", texts(arena, "create"));
    add_rule(call, rules, "authentication.k8s.io", "selfsubjectreviews", texts(arena, "create"));
    for (size_t i = 0; i < KIND_COUNT; ++i)
        add_kind_rules(call, rules, kind_get((enum kind_id)i), ns.base != NULL ? ns : SLICE(""));
    add_own_namespaces(call, rules);
    struct json *path_rule = json_push(json_set(arena, status, "nonResourceRules", json_new_array(arena)), json_new_object(arena));
    json_set(arena, path_rule, "verbs", texts(arena, "get"));
    struct path_rules paths = {arena, json_set(arena, path_rule, "nonResourceURLs", json_new_array(arena))};
    api_each_readable_path(call, on_path, &paths);
    json_set_bool(arena, status, "incomplete", false);
    reply(call, "authorization.k8s.io/v1", "SelfSubjectRulesReview", review, status);
}

/* ---------- who am I ---------- */

void api_whoami(struct ctl_call *call)
{
    struct err err = ERR_INIT;
    if (call->who->role == CTL_ROLE_NONE) {
        (void)ctl_access_require(call, CTL_ROLE_VIEWER, SLICE(""), "whoami", &err);
        api_fail(call, &err, NULL, NULL);
        return;
    }
    struct json *body = json_new_object(call->arena);
    json_set(call->arena, body, "name", json_new_string(call->arena, call->who->name));
    json_set_str(call->arena, body, "role", role_name(call->who->role));
    json_set(call->arena, body, "namespaces", own_namespaces(call));
    ctl_call_reply_json(call, 200, body);
}

void api_review_self(struct ctl_call *call)
{
    struct json *review = read_review(call, "SelfSubjectReview");
    if (review == NULL)
        return;
    struct json *status = json_new_object(call->arena), *info = json_set(call->arena, status, "userInfo", json_new_object(call->arena));
    json_set(call->arena, info, "username", json_new_string(call->arena, call->who->name));
    json_set(call->arena, info, "groups", texts(call->arena, arena_printf(call->arena, "role:%s", role_name(call->who->role))));
    if (call->who->num_namespaces != 0) {
        struct json *extra = json_set(call->arena, info, "extra", json_new_object(call->arena));
        json_set(call->arena, extra, "namespaces", own_namespaces(call));
    }
    reply(call, "authentication.k8s.io/v1", "SelfSubjectReview", review, status);
}

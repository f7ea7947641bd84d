/* Discovery: which groups, versions and resources there are, group by group or (kubectl since 1.27) all of them in one
 * document. All of it from the table of kinds, and the few kinds that are only asked (api_review.c). */
#include "gateway/control/api_internal.h"

static const struct review {
    const char *group, *plural, *singular, *kind;
} reviews[] = {
    {"authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview"},
    {"authorization.k8s.io", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview"},
    {"authentication.k8s.io", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview"},
};
static const char *const review_groups[] = {"authorization.k8s.io", "authentication.k8s.io"};
static const char *const review_versions[] = {"v1", NULL};
static const char *const review_verbs[] = {"create", NULL};

const char *const *api_discovery_verbs(bool is_status)
{
    static const char *const verbs[] = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch", NULL};
    static const char *const status_verbs[] = {"get", "patch", "update", NULL};
    return is_status ? status_verbs : verbs;
}

static struct json *new_list(struct arena *arena, const char *kind)
{
    struct json *body = json_new_object(arena);
    json_set_str(arena, body, "kind", kind);
    json_set_str(arena, body, "apiVersion", "v1");
    return body;
}

static bool is_first_of_group(size_t at)
{
    for (size_t i = 0; i < at; ++i)
        if (strcmp(kind_get((enum kind_id)i)->group, kind_get((enum kind_id)at)->group) == 0)
            return false;
    return true;
}

/* Kinds of a group serve the same versions or fewer: those of the kind that serves most. NULL: no such group. */
static const char *const *versions_of(const char *group)
{
    const char *const *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const struct kind *kind = kind_get((enum kind_id)i);
        size_t num = 0;
        while (kind->versions[num] != NULL)
            ++num;
        if (strcmp(kind->group, group) == 0 && num > most) {
            best = kind->versions;
            most = num;
        }
    }
    for (size_t i = 0; best == NULL && i < ARRAY_LEN(review_groups); ++i)
        if (strcmp(review_groups[i], group) == 0)
            best = review_versions;
    return best;
}

/* Calls for each group but the core's. */
static void each_group(struct ctl_call *call, struct json *list, void (*add)(struct ctl_call *call, struct json *list, const char *group))
{
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const char *group = kind_get((enum kind_id)i)->group;
        if (group[0] != '\0' && is_first_of_group(i))
            add(call, list, group);
    }
    for (size_t i = 0; i < ARRAY_LEN(review_groups); ++i)
        add(call, list, review_groups[i]);
}

static void fill_group(struct arena *arena, struct json *body, const char *group)
{
    struct json *versions = json_new_array(arena);
    json_set_str(arena, body, "name", group);
    for (const char *const *version = versions_of(group); *version != NULL; ++version) {
        struct json *item = json_push(versions, json_new_object(arena));
        json_set_str(arena, item, "groupVersion", arena_printf(arena, "%s/%s", group, *version));
        json_set_str(arena, item, "version", *version);
    }
    json_set(arena, body, "versions", versions);
    json_set(arena, body, "preferredVersion", json_clone(arena, versions->child));
}

static struct json *new_texts(struct arena *arena, const char *const *texts)
{
    struct json *list = json_new_array(arena);
    for (; *texts != NULL; ++texts)
        json_push(list, json_new_str(arena, *texts));
    return list;
}

/* ---------- all groups at once: apidiscovery.k8s.io ---------- */

static void set_kind(struct arena *arena, struct json *item, const char *group, const char *version, const char *kind)
{
    struct json *response = json_set(arena, item, "responseKind", json_new_object(arena));
    json_set_str(arena, response, "group", group);
    json_set_str(arena, response, "version", version);
    json_set_str(arena, response, "kind", kind);
}

static struct json *add_summary(struct arena *arena, struct json *resources, const char *plural, const char *singular, bool is_namespaced,
                                const char *const *verbs)
{
    struct json *item = json_push(resources, json_new_object(arena));
    json_set_str(arena, item, "resource", plural);
    json_set_str(arena, item, "scope", is_namespaced ? "Namespaced" : "Cluster");
    json_set_str(arena, item, "singularResource", singular);
    json_set(arena, item, "verbs", new_texts(arena, verbs));
    return item;
}

static void add_kind_summary(struct arena *arena, struct json *resources, const struct kind *kind, const char *version)
{
    struct json *item = add_summary(arena, resources, kind->plural, kind->singular, kind->is_namespaced, api_discovery_verbs(false));
    set_kind(arena, item, kind->group, version, kind->kind);
    if (kind->short_names[0] != NULL)
        json_set(arena, item, "shortNames", new_texts(arena, kind->short_names));
    if (kind->categories[0] != NULL)
        json_set(arena, item, "categories", new_texts(arena, kind->categories));
    if (!kind->has_status)
        return;
    struct json *status = json_push(json_set(arena, item, "subresources", json_new_array(arena)), json_new_object(arena));
    json_set_str(arena, status, "subresource", "status");
    set_kind(arena, status, kind->group, version, kind->kind);
    json_set(arena, status, "verbs", new_texts(arena, api_discovery_verbs(true)));
}

static void add_group_summary(struct ctl_call *call, struct json *items, const char *group)
{
    struct arena *arena = call->arena;
    struct json *item = json_push(items, json_new_object(arena));
    struct json *meta = json_set(arena, item, "metadata", json_new_object(arena));
    if (group[0] != '\0')
        json_set_str(arena, meta, "name", group);
    struct json *versions = json_set(arena, item, "versions", json_new_array(arena));
    for (const char *const *version = versions_of(group); *version != NULL; ++version) {
        struct json *entry = json_push(versions, json_new_object(arena));
        json_set_str(arena, entry, "version", *version);
        json_set_str(arena, entry, "freshness", "Current");
        struct json *resources = json_set(arena, entry, "resources", json_new_array(arena));
        for (size_t i = 0; i < KIND_COUNT; ++i) {
            const struct kind *kind = kind_get((enum kind_id)i);
            if (strcmp(kind->group, group) == 0 && kind_serves(kind, slice_of(*version)))
                add_kind_summary(arena, resources, kind, *version);
        }
        for (size_t i = 0; i < ARRAY_LEN(reviews); ++i)
            if (strcmp(reviews[i].group, group) == 0)
                set_kind(arena, add_summary(arena, resources, reviews[i].plural, reviews[i].singular, false, review_verbs), group, *version,
                         reviews[i].kind);
    }
}

static void reply_all_groups(struct ctl_call *call, const char *version, bool is_core)
{
    struct arena *arena = call->arena;
    struct json *body = json_new_object(arena);
    struct strbuf text = STRBUF_INIT;
    json_set_str(arena, body, "kind", "APIGroupDiscoveryList");
    json_set_str(arena, body, "apiVersion", arena_printf(arena, "apidiscovery.k8s.io/%s", version));
    json_set(arena, body, "metadata", json_new_object(arena));
    struct json *items = json_set(arena, body, "items", json_new_array(arena));
    if (is_core)
        add_group_summary(call, items, "");
    else
        each_group(call, items, add_group_summary);
    json_write(&text, body);
    ctl_call_reply(call, 200, arena_printf(arena, "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList", version), strbuf_slice(&text));
    strbuf_clear(&text);
}

/* ---------- group by group ---------- */

void api_discovery_core(struct ctl_call *call)
{
    const char *all = api_asks_for_all_groups(call);
    ctl_call_header(call, "vary", SLICE("accept"));
    if (all != NULL) {
        reply_all_groups(call, all, true);
        return;
    }
    struct json *body = json_new_object(call->arena);
    json_set_str(call->arena, body, "kind", "APIVersions");
    json_push(json_set(call->arena, body, "versions", json_new_array(call->arena)), json_new_str(call->arena, "v1"));
    json_set(call->arena, body, "serverAddressByClientCIDRs", json_new_array(call->arena));
    ctl_call_reply_json(call, 200, body);
}

static void add_group(struct ctl_call *call, struct json *groups, const char *group)
{
    fill_group(call->arena, json_push(groups, json_new_object(call->arena)), group);
}

void api_discovery_groups(struct ctl_call *call)
{
    const char *all = api_asks_for_all_groups(call);
    ctl_call_header(call, "vary", SLICE("accept"));
    if (all != NULL) {
        reply_all_groups(call, all, false);
        return;
    }
    struct json *body = new_list(call->arena, "APIGroupList");
    each_group(call, json_set(call->arena, body, "groups", json_new_array(call->arena)), add_group);
    ctl_call_reply_json(call, 200, body);
}

static void fail_unknown(struct ctl_call *call, struct slice group, struct slice version)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_NOT_FOUND, "the group %.*s%s%.*s is not served", (int)MIN(group.len, (size_t)200), group.base, version.len != 0 ? "/" : "",
            (int)MIN(version.len, (size_t)100), version.base);
    api_fail(call, &err, NULL, NULL);
}

void api_discovery_group(struct ctl_call *call, struct slice group)
{
    const char *name = arena_strndup(call->arena, group.base, group.len);
    if (group.len == 0 || versions_of(name) == NULL) {
        fail_unknown(call, group, SLICE(""));
        return;
    }
    struct json *body = new_list(call->arena, "APIGroup");
    fill_group(call->arena, body, name);
    ctl_call_reply_json(call, 200, body);
}

static void add_resource(struct arena *arena, struct json *resources, const struct kind *kind, const char *version, bool is_status)
{
    struct json *item = json_push(resources, json_new_object(arena));
    json_set_str(arena, item, "name", is_status ? arena_printf(arena, "%s/status", kind->plural) : kind->plural);
    json_set_str(arena, item, "singularName", is_status ? "" : kind->singular);
    json_set_bool(arena, item, "namespaced", kind->is_namespaced);
    json_set_str(arena, item, "group", kind->group);
    json_set_str(arena, item, "version", version);
    json_set_str(arena, item, "kind", kind->kind);
    json_set(arena, item, "verbs", new_texts(arena, api_discovery_verbs(is_status)));
    if (!is_status && kind->short_names[0] != NULL)
        json_set(arena, item, "shortNames", new_texts(arena, kind->short_names));
    if (!is_status && kind->categories[0] != NULL)
        json_set(arena, item, "categories", new_texts(arena, kind->categories));
}

static void add_review(struct arena *arena, struct json *resources, const struct review *review)
{
    struct json *item = json_push(resources, json_new_object(arena));
    json_set_str(arena, item, "name", review->plural);
    json_set_str(arena, item, "singularName", review->singular);
    json_set_bool(arena, item, "namespaced", false);
    json_set_str(arena, item, "kind", review->kind);
    json_set(arena, item, "verbs", new_texts(arena, review_verbs));
}

void api_discovery_resources(struct ctl_call *call, struct slice group, struct slice version)
{
    struct arena *arena = call->arena;
    struct json *body = new_list(arena, "APIResourceList");
    json_set_str(arena, body, "groupVersion", arena_printf(arena, "%.*s%s%.*s", (int)group.len, group.base, group.len != 0 ? "/" : "", (int)version.len, version.base));
    struct json *resources = json_set(arena, body, "resources", json_new_array(arena));
    const char *version_text = arena_strndup(arena, version.base, version.len);
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const struct kind *kind = kind_get((enum kind_id)i);
        if (!slice_is(group, kind->group) || !kind_serves(kind, version))
            continue;
        add_resource(arena, resources, kind, version_text, false);
        if (kind->has_status)
            add_resource(arena, resources, kind, version_text, true);
    }
    for (size_t i = 0; i < ARRAY_LEN(reviews); ++i)
        if (slice_is(group, reviews[i].group) && slice_is(version, review_versions[0]))
            add_review(arena, resources, &reviews[i]);
    if (resources->num == 0)
        fail_unknown(call, group, version);
    else
        ctl_call_reply_json(call, 200, body);
}

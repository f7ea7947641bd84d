/* Discovery: which groups, versions and resources there are. All of it from the table of kinds. */
#include "gateway/control/api_internal.h"

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

/* Kinds of a group serve the same versions or fewer; the first one of the group that serves most says which. */
static const struct kind *widest_of_group(const char *group)
{
    const struct kind *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const struct kind *kind = kind_get((enum kind_id)i);
        size_t num = 0;
        while (kind->versions[num] != NULL)
            ++num;
        if (strcmp(kind->group, group) == 0 && num > most) {
            best = kind;
            most = num;
        }
    }
    return best;
}

static void fill_group(struct arena *arena, struct json *body, const char *group)
{
    const struct kind *kind = widest_of_group(group);
    struct json *versions = json_new_array(arena);
    struct json *first = NULL;
    for (const char *const *version = kind->versions; *version != NULL; ++version) {
        struct json *item = json_push(versions, json_new_object(arena));
        json_set_str(arena, item, "groupVersion", kind_api_version(kind, *version, arena).base);
        json_set_str(arena, item, "version", *version);
        first = first != NULL ? first : item;
    }
    json_set_str(arena, body, "name", group);
    json_set(arena, body, "versions", versions);
    json_set(arena, body, "preferredVersion", json_clone(arena, first));
}

void api_discovery_core(struct ctl_call *call)
{
    struct json *body = json_new_object(call->arena);
    json_set_str(call->arena, body, "kind", "APIVersions");
    json_push(json_set(call->arena, body, "versions", json_new_array(call->arena)), json_new_str(call->arena, "v1"));
    json_set(call->arena, body, "serverAddressByClientCIDRs", json_new_array(call->arena));
    ctl_call_reply_json(call, 200, body);
}

void api_discovery_groups(struct ctl_call *call)
{
    struct json *body = new_list(call->arena, "APIGroupList");
    struct json *groups = json_set(call->arena, body, "groups", json_new_array(call->arena));
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const char *group = kind_get((enum kind_id)i)->group;
        if (group[0] != '\0' && is_first_of_group(i))
            fill_group(call->arena, json_push(groups, json_new_object(call->arena)), group);
    }
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
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        const char *name = kind_get((enum kind_id)i)->group;
        if (name[0] == '\0' || !slice_is(group, name))
            continue;
        struct json *body = new_list(call->arena, "APIGroup");
        fill_group(call->arena, body, name);
        ctl_call_reply_json(call, 200, body);
        return;
    }
    fail_unknown(call, group, SLICE(""));
}

static struct json *new_texts(struct arena *arena, const char *const *texts)
{
    struct json *list = json_new_array(arena);
    for (; *texts != NULL; ++texts)
        json_push(list, json_new_str(arena, *texts));
    return list;
}

static void add_resource(struct arena *arena, struct json *resources, const struct kind *kind, const char *version, bool is_status)
{
    static const char *const verbs[] = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch", NULL};
    static const char *const status_verbs[] = {"get", "patch", "update", NULL};
    struct json *item = json_push(resources, json_new_object(arena));
    json_set_str(arena, item, "name", is_status ? arena_printf(arena, "%s/status", kind->plural) : kind->plural);
    json_set_str(arena, item, "singularName", is_status ? "" : kind->singular);
    json_set_bool(arena, item, "namespaced", kind->is_namespaced);
    json_set_str(arena, item, "group", kind->group);
    json_set_str(arena, item, "version", version);
    json_set_str(arena, item, "kind", kind->kind);
    json_set(arena, item, "verbs", new_texts(arena, is_status ? status_verbs : verbs));
    if (!is_status && kind->short_names[0] != NULL)
        json_set(arena, item, "shortNames", new_texts(arena, kind->short_names));
    if (!is_status && kind->categories[0] != NULL)
        json_set(arena, item, "categories", new_texts(arena, kind->categories));
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
    if (resources->num == 0)
        fail_unknown(call, group, version);
    else
        ctl_call_reply_json(call, 200, body);
}

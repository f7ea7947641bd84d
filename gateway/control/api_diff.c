/* Differences of two trees as a list of paths. Lists of objects that have names are compared by name, so that one added
 * in front is one addition and not a change of all. */
#include "gateway/control/api_internal.h"

#include "core/base/json_index.h"

struct differ {
    struct arena *arena;
    struct json *out;
    size_t max;
};

static void report(struct differ *d, const char *path, const char *op, const struct json *from, const struct json *to)
{
    if (d->out->num >= d->max)
        return;
    struct json *item = json_push(d->out, json_new_object(d->arena));
    json_set_str(d->arena, item, "path", path);
    json_set_str(d->arena, item, "op", op);
    if (from != NULL)
        json_set(d->arena, item, "from", json_clone(d->arena, from));
    if (to != NULL)
        json_set(d->arena, item, "to", json_clone(d->arena, to));
}

static void compare(struct differ *d, const char *path, const struct json *from, const struct json *to);

/* Set by the server with every write: they would be in every answer and say nothing. */
static bool is_noise(const char *path, struct slice name)
{
    static const char *const noise[] = {"resourceVersion", "generation", "managedFields", "creationTimestamp", "uid", "selfLink"};
    for (size_t i = 0; strcmp(path, "metadata") == 0 && i < ARRAY_LEN(noise); ++i)
        if (slice_is(name, noise[i]))
            return true;
    return false;
}

static const char *member_path(struct differ *d, const char *path, struct slice name)
{
    bool is_plain = true;
    for (size_t i = 0; i < name.len; ++i)
        is_plain = is_plain && name.base[i] != '.' && name.base[i] != '[';
    if (!is_plain)
        return arena_printf(d->arena, "%s[%.*s]", path, (int)name.len, name.base);
    return arena_printf(d->arena, "%s%s%.*s", path, path[0] != '\0' ? "." : "", (int)name.len, name.base);
}

static void compare_objects(struct differ *d, const char *path, const struct json *from, const struct json *to)
{
    struct json_index before, after;
    json_index_init(&before, from);
    json_index_init(&after, to);
    JSON_FOR(member, from)
    if (!is_noise(path, member->key))
        compare(d, member_path(d, path, member->key), member, json_index_get(&after, member->key));
    JSON_FOR(member, to)
    if (!is_noise(path, member->key) && json_index_get(&before, member->key) == NULL)
        report(d, member_path(d, path, member->key), "add", NULL, member);
    json_index_clear(&before);
    json_index_clear(&after);
}

/* The name of every item, or NULL when one has none. */
static bool are_named(const struct json *list)
{
    JSON_FOR(item, list)
    if (json_slice(json_get(item, "name")).len == 0)
        return false;
    return list->num != 0;
}

static const struct json *item_of_name(const struct json *list, struct slice name)
{
    JSON_FOR(item, list)
    if (slice_eq(json_slice(json_get(item, "name")), name))
        return item;
    return NULL;
}

static void compare_named(struct differ *d, const char *path, const struct json *from, const struct json *to)
{
    JSON_FOR(item, from)
    {
        struct slice name = json_slice(json_get(item, "name"));
        compare(d, arena_printf(d->arena, "%s[%.*s]", path, (int)name.len, name.base), item, item_of_name(to, name));
    }
    JSON_FOR(item, to)
    {
        struct slice name = json_slice(json_get(item, "name"));
        if (item_of_name(from, name) == NULL)
            report(d, arena_printf(d->arena, "%s[%.*s]", path, (int)name.len, name.base), "add", NULL, item);
    }
}

static void compare_lists(struct differ *d, const char *path, const struct json *from, const struct json *to)
{
    const struct json *a = from->child, *b = to->child;
    if (are_named(from) && are_named(to)) {
        compare_named(d, path, from, to);
        return;
    }
    for (size_t i = 0; a != NULL || b != NULL; ++i) {
        const char *at = arena_printf(d->arena, "%s[%zu]", path, i);
        if (a == NULL)
            report(d, at, "add", NULL, b);
        else
            compare(d, at, a, b);
        a = a != NULL ? a->next : NULL;
        b = b != NULL ? b->next : NULL;
    }
}

static void compare(struct differ *d, const char *path, const struct json *from, const struct json *to)
{
    if (to == NULL)
        report(d, path, "remove", from, NULL);
    else if (json_equal(from, to))
        return;
    else if (from->type == JSON_OBJECT && to->type == JSON_OBJECT)
        compare_objects(d, path, from, to);
    else if (from->type == JSON_ARRAY && to->type == JSON_ARRAY)
        compare_lists(d, path, from, to);
    else
        report(d, path, "replace", from, to);
}

struct json *api_diff(struct arena *arena, const struct json *from, const struct json *to, size_t max)
{
    struct differ d = {arena, json_new_array(arena), max};
    compare(&d, "", from, to);
    return d.out;
}

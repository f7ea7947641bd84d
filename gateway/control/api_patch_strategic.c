/* Strategic merge patches: as merge patches, but lists of objects are merged by a key where the tables name one.
 *
 * Directives: "$patch": replace | delete | merge in objects and items; "$retainKeys"; "$deleteFromPrimitiveList/NAME";
 * "$setElementOrder/NAME". https://github.com/kubernetes/community/…/strategic-merge-patch.md */
#include "gateway/control/api_internal.h"

#define DELETE_PREFIX SLICE("$deleteFromPrimitiveList/")
#define ORDER_PREFIX SLICE("$setElementOrder/")

static bool is_directive(struct slice name)
{
    return name.len != 0 && name.base[0] == '$';
}

static int merge_object(struct api_patcher *p, const struct field_schema *schema, struct json *target, const struct json *patch);

static const struct field *row_of(const struct field_schema *schema, struct slice name)
{
    return schema != NULL ? field_find(schema, name) : NULL;
}

static void empty(struct json *object)
{
    object->child = object->last = NULL;
    object->num = 0;
}

/* ---------- lists ---------- */

/* The first item equal to `value`, or with `key` the first whose member of this name is. NULL: none. */
static struct json *find_item(const struct json *list, const char *key, const struct json *value)
{
    JSON_FOR(item, list)
    if (json_equal(key != NULL ? json_get(item, key) : item, value))
        return item;
    return NULL;
}

static int merge_item(struct api_patcher *p, const struct field *row, struct json *list, const struct json *item)
{
    struct slice directive = json_slice(json_get(item, "$patch"));
    const struct json *value = json_get(item, row->merge_key);
    if (item->type != JSON_OBJECT || value == NULL)
        return err_set(p->err, ERR_INVALID, "%s: an item of the patch has no %s to merge by", row->name, row->merge_key);
    if (!api_patch_spend(p, list->num))
        return -1;
    struct json *old = find_item(list, row->merge_key, value);
    if (slice_is(directive, "delete")) {
        if (old != NULL)
            json_remove_child(list, old);
        return 0;
    }
    if (old == NULL)
        old = json_push(list, json_new_object(p->arena));
    return merge_object(p, row->schema, old, item);
}

static int merge_list(struct api_patcher *p, const struct field *row, struct json *list, const struct json *patch)
{
    JSON_FOR(item, patch) /* one such item anywhere makes the patch the whole list */
    if (slice_is(json_slice(json_get(item, "$patch")), "replace"))
        empty(list);
    JSON_FOR(item, patch)
    {
        bool is_marker = slice_is(json_slice(json_get(item, "$patch")), "replace") && json_get(item, row->merge_key) == NULL;
        if (!is_marker && merge_item(p, row, list, item) != 0)
            return -1;
    }
    return 0;
}

/* Items in the order given; others stay behind them as they were. */
static int order_list(struct api_patcher *p, const struct field *row, struct json *list, const struct json *order)
{
    struct json sorted = {.type = JSON_ARRAY};
    const char *key = row != NULL ? row->merge_key : NULL;
    if (!api_patch_spend(p, (uint64_t)list->num * order->num))
        return -1;
    JSON_FOR(want, order)
    {
        struct json *item = find_item(list, key, key != NULL ? json_get(want, key) : want);
        if (item != NULL) {
            json_remove_child(list, item);
            json_push(&sorted, item);
        }
    }
    while (list->child != NULL) {
        struct json *rest = list->child;
        json_remove_child(list, rest);
        json_push(&sorted, rest);
    }
    list->child = sorted.child;
    list->last = sorted.last;
    list->num = sorted.num;
    return 0;
}

static int delete_from_list(struct api_patcher *p, struct json *list, const struct json *values)
{
    JSON_FOR(value, values)
    {
        if (!api_patch_spend(p, list->num))
            return -1;
        for (struct json *item = list->child, *next; item != NULL; item = next) {
            next = item->next;
            if (!json_equal(item, value))
                continue;
            if (!api_patch_spend(p, list->num))
                return -1;
            json_remove_child(list, item);
        }
    }
    return 0;
}

/* ---------- objects ---------- */

static bool is_listed(const struct json *list, struct slice name)
{
    JSON_FOR(item, list)
    if (slice_eq(json_slice(item), name))
        return true;
    return false;
}

static int retain(struct api_patcher *p, struct json *target, const struct json *keys)
{
    if (!api_patch_spend(p, (uint64_t)target->num * keys->num))
        return -1;
    for (struct json *member = target->child, *next; member != NULL; member = next) {
        next = member->next;
        if (!is_listed(keys, member->key))
            json_remove_child(target, member);
    }
    return 0;
}

static int merge_member(struct api_patcher *p, const struct field *row, struct json *target, const struct json *member)
{
    struct json *old;
    bool by_key = row != NULL && row->type == FIELD_LIST && row->merge_key != NULL;
    if (api_patch_member(p, target, member->key, &old) != 0)
        return -1;
    if (member->type == JSON_NULL) {
        if (old != NULL)
            json_remove_child(target, old);
        return 0;
    }
    if (by_key && member->type == JSON_ARRAY) {
        if (old == NULL || old->type != JSON_ARRAY)
            old = json_set_n(p->arena, target, member->key, json_new_array(p->arena));
        return merge_list(p, row, old, member);
    }
    if (member->type == JSON_OBJECT) {
        if (old == NULL || old->type != JSON_OBJECT)
            old = json_set_n(p->arena, target, member->key, json_new_object(p->arena));
        return merge_object(p, row != NULL ? row->schema : NULL, old, member);
    }
    struct json *copy = api_patch_clone(p, member);
    if (copy == NULL)
        return -1;
    json_set_n(p->arena, target, member->key, copy);
    return 0;
}

static int run_directive(struct api_patcher *p, const struct field_schema *schema, struct json *target, const struct json *directive)
{
    struct slice name = directive->key;
    bool is_order = slice_starts(name, ORDER_PREFIX), is_delete = slice_starts(name, DELETE_PREFIX);
    if (!is_order && !is_delete)
        return slice_is(name, "$patch") || slice_is(name, "$retainKeys") ? 0 : err_set(p->err, ERR_INVALID, "unknown directive \"%s\"", name.base);
    size_t prefix_len = is_order ? ORDER_PREFIX.len : DELETE_PREFIX.len;
    struct slice list_name = slice_make(name.base + prefix_len, name.len - prefix_len);
    struct json *list = json_get_n(target, list_name);
    if (list == NULL || list->type != JSON_ARRAY)
        return 0;
    return is_order ? order_list(p, row_of(schema, list_name), list, directive) : delete_from_list(p, list, directive);
}

static int merge_object(struct api_patcher *p, const struct field_schema *schema, struct json *target, const struct json *patch)
{
    struct slice directive = json_slice(json_get(patch, "$patch"));
    const struct json *keys = json_get(patch, "$retainKeys");
    if (slice_is(directive, "replace") || slice_is(directive, "delete"))
        empty(target);
    else if (json_get(patch, "$patch") != NULL && !slice_is(directive, "merge"))
        return err_set(p->err, ERR_INVALID, "unknown \"$patch\": \"%s\"", directive.base != NULL ? directive.base : "not a string");
    if (slice_is(directive, "delete"))
        return 0;
    if (keys != NULL && retain(p, target, keys) != 0)
        return -1;
    JSON_FOR(member, patch)
    if (!is_directive(member->key) && merge_member(p, row_of(schema, member->key), target, member) != 0)
        return -1;
    JSON_FOR(member, patch) /* what is ordered must be there first */
    if (is_directive(member->key) && run_directive(p, schema, target, member) != 0)
        return -1;
    return 0;
}

int api_patch_strategic(struct arena *arena, const struct field_schema *schema, struct json *target, const struct json *patch,
                        struct err *err)
{
    struct api_patcher p = {arena, err, 0};
    if (patch->type != JSON_OBJECT)
        return err_set(err, ERR_BAD_REQUEST, "a strategic merge patch is an object");
    return merge_object(&p, schema, target, patch);
}

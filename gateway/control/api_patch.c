/* JSON patch (RFC 6902) and JSON merge patch (RFC 7386).
 *
 * A JSON patch is all or nothing for the caller, since it works on a copy. Errors name the operation by its place. */
#include "gateway/control/api_internal.h"

enum { OPERATIONS_MAX = 10000, STEPS_MAX = 20 * 1000 * 1000 };

/* ---------- what a patch may cost ---------- */

bool api_patch_spend(struct api_patcher *patcher, uint64_t num_steps)
{
    patcher->num_steps += num_steps;
    if (patcher->num_steps <= STEPS_MAX)
        return true;
    err_set(patcher->err, ERR_TOO_LARGE, "the patch is too much work");
    return false;
}

int api_patch_member(struct api_patcher *patcher, const struct json *object, struct slice name, struct json **ret)
{
    if (!api_patch_spend(patcher, object->num))
        return -1;
    *ret = json_get_n(object, name);
    return 0;
}

static uint64_t count_nodes(const struct json *value)
{
    uint64_t num = 1;
    JSON_FOR(child, value)
    num += count_nodes(child);
    return num;
}

/* A node takes some hundred bytes: counted as that many steps, copies are bounded in memory too. */
struct json *api_patch_clone(struct api_patcher *patcher, const struct json *value)
{
    return api_patch_spend(patcher, count_nodes(value) * 20) ? json_clone(patcher->arena, value) : NULL;
}

/* ---------- pointers (RFC 6901) ---------- */

struct place {
    struct json *parent; /* NULL: the whole document */
    struct json *value;  /* NULL: not there */
    struct slice name;   /* last token, decoded */
    uint64_t index;      /* in an array */
    unsigned depth;      /* how many objects and lists are around it */
    bool is_end;         /* "-" */
};

static int decode_token(struct api_patcher *p, struct slice text, struct slice *ret)
{
    char *out = arena_alloc(p->arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; ++i) {
        if (text.base[i] != '~') {
            out[len++] = text.base[i];
        } else {
            ++i;
            if (i == text.len || (text.base[i] != '0' && text.base[i] != '1'))
                return err_set(p->err, ERR_BAD_REQUEST, "\"~\" in a pointer must be ~0 or ~1");
            out[len++] = text.base[i] == '0' ? '~' : '/';
        }
    }
    out[len] = '\0';
    *ret = slice_make(out, len);
    return 0;
}

static int find_item(struct api_patcher *p, struct place *place)
{
    struct slice name = place->name;
    place->value = NULL;
    place->is_end = slice_is(name, "-");
    if (place->is_end) {
        place->index = place->parent->num;
        return 0;
    }
    if ((name.len > 1 && name.base[0] == '0') || !api_parse_u64(name, &place->index))
        return err_set(p->err, ERR_BAD_REQUEST, "\"%s\" is no index of a list", name.base);
    if (!api_patch_spend(p, MIN(place->index, (uint64_t)place->parent->num)))
        return -1;
    if (place->index < place->parent->num)
        place->value = json_at(place->parent, (size_t)place->index);
    return 0;
}

/* All but the last token must exist. */
static int resolve(struct api_patcher *p, struct json *document, struct slice pointer, struct place *ret)
{
    *ret = (struct place){.value = document};
    if (pointer.base == NULL || (pointer.len != 0 && pointer.base[0] != '/'))
        return err_set(p->err, ERR_BAD_REQUEST, "a pointer is \"\" or begins with \"/\"");
    while (pointer.len != 0) {
        const char *end = memchr(pointer.base + 1, '/', pointer.len - 1);
        size_t len = end != NULL ? (size_t)(end - pointer.base) : pointer.len;
        if (decode_token(p, slice_make(pointer.base + 1, len - 1), &ret->name) != 0)
            return -1;
        pointer = slice_make(pointer.base + len, pointer.len - len);
        ret->parent = ret->value;
        ++ret->depth;
        if (ret->parent == NULL || (ret->parent->type != JSON_OBJECT && ret->parent->type != JSON_ARRAY))
            return err_set(p->err, ERR_INVALID, "there is nothing to hold \"%s\"", ret->name.base);
        if (ret->parent->type == JSON_ARRAY) {
            if (find_item(p, ret) != 0)
                return -1;
        } else {
            ret->value = json_get_n(ret->parent, ret->name);
            if (!api_patch_spend(p, ret->parent->num))
                return -1;
        }
    }
    return 0;
}

static int resolve_value(struct api_patcher *p, struct json *document, struct slice pointer, struct place *ret)
{
    if (resolve(p, document, pointer, ret) != 0)
        return -1;
    if (ret->value == NULL)
        return err_set(p->err, ERR_INVALID, "there is no \"%.*s\"", (int)MIN(pointer.len, (size_t)200), pointer.base);
    return 0;
}

/* ---------- operations ---------- */

/* Copies of a document into itself double its depth each time: all that walks a tree, and all that reads it again, goes by the
 * limit of the parser. */
static int check_depth(struct api_patcher *p, const struct place *place, const struct json *value)
{
    if (place->depth <= JSON_MAX_DEPTH && !json_is_deeper(value, JSON_MAX_DEPTH - place->depth))
        return 0;
    return err_set(p->err, ERR_INVALID, "the result would nest deeper than %d levels", JSON_MAX_DEPTH);
}

static void insert_item(struct json *array, uint64_t index, struct json *value)
{
    value->key = (struct slice){NULL, 0};
    if (index >= array->num) {
        json_push(array, value);
        return;
    }
    struct json **link = &array->child;
    for (uint64_t i = 0; i < index; ++i)
        link = &(*link)->next;
    value->next = *link;
    *link = value;
    ++array->num;
}

static int add(struct api_patcher *p, struct json **document, struct slice path, struct json *value)
{
    struct place place;
    if (value == NULL || resolve(p, *document, path, &place) != 0 || check_depth(p, &place, value) != 0)
        return -1;
    if (place.parent == NULL) {
        value->key = (struct slice){NULL, 0};
        value->next = NULL;
        *document = value;
    } else if (place.parent->type == JSON_OBJECT) {
        value->next = NULL;
        json_set_n(p->arena, place.parent, place.name, value);
    } else if (place.index > place.parent->num) {
        return err_set(p->err, ERR_INVALID, "index %llu is behind the end of the list", (unsigned long long)place.index);
    } else {
        insert_item(place.parent, place.index, value);
    }
    return 0;
}

static int take_out(struct api_patcher *p, struct json *document, struct slice path, struct json **ret)
{
    struct place place;
    if (resolve_value(p, document, path, &place) != 0)
        return -1;
    if (place.parent == NULL)
        return err_set(p->err, ERR_INVALID, "the whole object cannot be removed");
    if (!api_patch_spend(p, place.parent->num))
        return -1;
    json_remove_child(place.parent, place.value);
    place.value->next = NULL;
    *ret = place.value;
    return 0;
}

static int replace(struct api_patcher *p, struct json **document, struct slice path, const struct json *value)
{
    struct place place;
    struct json *copy = api_patch_clone(p, value);
    if (copy == NULL || resolve_value(p, *document, path, &place) != 0 || check_depth(p, &place, copy) != 0)
        return -1;
    json_overwrite(place.value, copy);
    return 0;
}

static int test(struct api_patcher *p, struct json *document, struct slice path, const struct json *value)
{
    struct place place;
    if (resolve_value(p, document, path, &place) != 0)
        return -1;
    if (!json_equal(place.value, value))
        return err_set(p->err, ERR_INVALID, "the test of \"%.*s\" fails", (int)MIN(path.len, (size_t)200), path.base);
    return 0;
}

static int copy(struct api_patcher *p, struct json **document, struct slice path, struct slice from)
{
    struct place place;
    if (resolve_value(p, *document, from, &place) != 0)
        return -1;
    return add(p, document, path, api_patch_clone(p, place.value));
}

static int move(struct api_patcher *p, struct json **document, struct slice path, struct slice from)
{
    struct json *value;
    if (path.len > from.len && slice_starts(path, from) && path.base[from.len] == '/')
        return err_set(p->err, ERR_INVALID, "a value cannot be moved into itself");
    if (take_out(p, *document, from, &value) != 0 || !api_patch_spend(p, count_nodes(value)))
        return -1;
    return add(p, document, path, value);
}

static int operate(struct api_patcher *p, struct json **document, const struct json *operation)
{
    struct slice op = json_slice(json_get(operation, "op")), path = json_slice(json_get(operation, "path"));
    struct slice from = json_slice(json_get(operation, "from"));
    const struct json *value = json_get(operation, "value");
    struct json *gone;
    bool needs_value = slice_is(op, "add") || slice_is(op, "replace") || slice_is(op, "test");
    bool needs_from = slice_is(op, "move") || slice_is(op, "copy");
    if (!needs_value && !needs_from && !slice_is(op, "remove"))
        return err_set(p->err, ERR_BAD_REQUEST, "\"op\" must be add, remove, replace, move, copy or test");
    if (path.base == NULL || (needs_from && from.base == NULL) || (needs_value && value == NULL))
        return err_set(p->err, ERR_BAD_REQUEST, "\"%s\" is missing", path.base == NULL ? "path" : needs_from ? "from" : "value");
    if (slice_is(op, "add"))
        return add(p, document, path, api_patch_clone(p, value));
    if (slice_is(op, "remove"))
        return take_out(p, *document, path, &gone);
    if (slice_is(op, "replace"))
        return replace(p, document, path, value);
    if (slice_is(op, "test"))
        return test(p, *document, path, value);
    return slice_is(op, "copy") ? copy(p, document, path, from) : move(p, document, path, from);
}

int api_patch_json(struct arena *arena, struct json **document, const struct json *patch, struct err *err)
{
    struct api_patcher p = {arena, err, 0};
    size_t i = 0;
    if (patch->type != JSON_ARRAY)
        return err_set(err, ERR_BAD_REQUEST, "a JSON patch is a list of operations");
    if (patch->num > OPERATIONS_MAX)
        return err_set(err, ERR_TOO_LARGE, "more than %d operations in a patch", OPERATIONS_MAX);
    JSON_FOR(operation, patch)
    {
        if (operate(&p, document, operation) != 0)
            return err_wrap(err, "patch[%zu]", i);
        ++i;
    }
    return 0;
}

/* ---------- merge patch ---------- */

static int merge(struct api_patcher *p, struct json *target, const struct json *patch)
{
    JSON_FOR(member, patch)
    {
        struct json *old;
        if (api_patch_member(p, target, member->key, &old) != 0)
            return -1;
        if (member->type == JSON_NULL) {
            if (old != NULL)
                json_remove_child(target, old);
            continue;
        }
        struct json *value = old;
        if (member->type != JSON_OBJECT)
            value = api_patch_clone(p, member);
        else if (old == NULL || old->type != JSON_OBJECT)
            value = json_new_object(p->arena); /* nulls inside are left out on the way */
        if (value == NULL || (member->type == JSON_OBJECT && merge(p, value, member) != 0))
            return -1;
        if (old == NULL)
            json_set_n(p->arena, target, member->key, value);
        else if (old != value)
            json_overwrite(old, value);
    }
    return 0;
}

int api_patch_merge(struct arena *arena, struct json **document, const struct json *patch, struct err *err)
{
    struct api_patcher p = {arena, err, 0};
    if (patch->type != JSON_OBJECT) {
        *document = api_patch_clone(&p, patch);
        return *document != NULL ? 0 : -1;
    }
    if ((*document)->type != JSON_OBJECT)
        *document = json_new_object(arena);
    return merge(&p, *document, patch);
}

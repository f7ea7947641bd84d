/* JSON trees: looking and building. Reading is json_parse.c and yaml.c, writing json_write.c and
 * yaml_write.c. */
#include "core/base/json.h"

#include "core/base/json_index.h"
#include "core/base/json_number.h"
#include "core/base/json_tree.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- looking ---- */

struct json *json_get_n(const struct json *object, struct slice name)
{
    if (object == NULL || object->type != JSON_OBJECT)
        return NULL;
    JSON_FOR(member, object)
    if (slice_eq(member->key, name))
        return member;
    return NULL;
}

struct json *json_get(const struct json *object, const char *name)
{
    return json_get_n(object, slice_of(name));
}

struct json *json_at(const struct json *array, size_t index)
{
    if (array == NULL || array->type != JSON_ARRAY || index >= array->num)
        return NULL;
    struct json *item = array->child;
    while (index-- > 0)
        item = item->next;
    return item;
}

struct json *json_find(const struct json *object, ...)
{
    va_list names;
    struct json *at = NULL;
    va_start(names, object);
    for (const char *name; (name = va_arg(names, const char *)) != NULL; object = at)
        if ((at = json_get(object, name)) == NULL)
            break;
    va_end(names);
    return at;
}

const char *json_str(const struct json *value, const char *fallback)
{
    return value != NULL && value->type == JSON_STRING ? value->text.base : fallback;
}

struct slice json_slice(const struct json *value)
{
    return value != NULL && value->type == JSON_STRING ? value->text : (struct slice){NULL, 0};
}

bool json_int(const struct json *value, int64_t *ret)
{
    if (value == NULL || value->type != JSON_NUMBER)
        return false;
    struct json_number n = json_number_read(value->text);
    /* An integer has no digit behind its point; 19 digits are the most an int64 has. */
    if (n.is_huge || (n.num_digits != 0 && (n.point < (int64_t)n.num_digits || n.point > 19)))
        return false;
    uint64_t magnitude = 0;
    int64_t left = n.point;
    for (; n.at < n.end; ++n.at)
        if (*n.at != '.')
            magnitude = magnitude * 10 + (uint64_t)(*n.at - '0'), --left;
    for (; left > 0 && magnitude != 0; --left)
        magnitude *= 10; /* at most 19 digits in all: below 2^64 */
    if (magnitude > (uint64_t)INT64_MAX + n.is_negative)
        return false;
    *ret = n.is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

int64_t json_int_or(const struct json *value, int64_t fallback)
{
    int64_t number;
    return json_int(value, &number) ? number : fallback;
}

double json_double_or(const struct json *value, double fallback)
{
    char small[64], *copy = small;
    if (value == NULL || value->type != JSON_NUMBER)
        return fallback;
    if (value->text.len >= sizeof(small))
        copy = xmalloc(value->text.len + 1);
    memcpy(copy, value->text.base, value->text.len);
    copy[value->text.len] = '\0';
    double number = strtod(copy, NULL);
    if (copy != small)
        free(copy);
    return isfinite(number) ? number : fallback;
}

bool json_is_true(const struct json *value)
{
    return value != NULL && value->type == JSON_BOOL && value->boolean;
}

static bool arrays_equal(const struct json *a, const struct json *b)
{
    for (a = a->child, b = b->child; a != NULL; a = a->next, b = b->next)
        if (!json_equal(a, b))
            return false;
    return true;
}

/* Names are unique within an object, so equal counts and "each of a's is in b" are enough. */
static bool objects_equal(const struct json *a, const struct json *b)
{
    bool is_equal = true;
    struct json_index index;
    json_index_init(&index, b);
    for (const struct json *member = a->child; is_equal && member != NULL; member = member->next)
        is_equal = json_equal(member, json_index_get(&index, member->key));
    json_index_clear(&index);
    return is_equal;
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return a->boolean == b->boolean;
    case JSON_NUMBER:
        return json_number_equal(a->text, b->text);
    case JSON_STRING:
        return slice_eq(a->text, b->text);
    case JSON_ARRAY:
        return a->num == b->num && arrays_equal(a, b);
    case JSON_OBJECT:
        return a->num == b->num && objects_equal(a, b);
    }
    return false;
}

bool json_is_deeper(const struct json *value, unsigned max)
{
    if (value->type != JSON_ARRAY && value->type != JSON_OBJECT)
        return false;
    if (max == 0)
        return true;
    JSON_FOR(child, value)
    if (json_is_deeper(child, max - 1))
        return true;
    return false;
}

const char *json_type_name(enum json_type type)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",     [JSON_BOOL] = "boolean", [JSON_NUMBER] = "number",
        [JSON_STRING] = "string", [JSON_ARRAY] = "array",  [JSON_OBJECT] = "object"};
    return names[type];
}

/* ---- building ---- */

static struct json *new_node(struct arena *arena, enum json_type type)
{
    struct json *node = arena_zalloc(arena, sizeof(*node));
    node->type = type;
    return node;
}

struct json *json_new_object(struct arena *arena)
{
    return new_node(arena, JSON_OBJECT);
}

struct json *json_new_array(struct arena *arena)
{
    return new_node(arena, JSON_ARRAY);
}

struct json *json_new_string(struct arena *arena, struct slice text)
{
    struct json *node = new_node(arena, JSON_STRING);
    node->text = arena_slice(arena, text);
    return node;
}

struct json *json_new_str(struct arena *arena, const char *text)
{
    return json_new_string(arena, slice_of(text));
}

struct json *json_new_int(struct arena *arena, int64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%lld", (long long)value);
    struct json *node = new_node(arena, JSON_NUMBER);
    node->text = arena_slice(arena, slice_make(text, (size_t)len));
    return node;
}

struct json *json_new_bool(struct arena *arena, bool value)
{
    struct json *node = new_node(arena, JSON_BOOL);
    node->boolean = value;
    return node;
}

struct json *json_new_null(struct arena *arena)
{
    return new_node(arena, JSON_NULL);
}

struct json *json_push(struct json *array, struct json *value)
{
    value->key = (struct slice){NULL, 0};
    return json_append(array, value);
}

/* Puts `value` where `old` is. */
static void replace_child(struct json *parent, struct json *old, struct json *value)
{
    struct json **link = &parent->child;
    while (*link != old)
        link = &(*link)->next;
    value->next = old->next;
    *link = value;
    if (parent->last == old)
        parent->last = value;
    old->next = NULL;
}

struct json *json_set_n(struct arena *arena, struct json *object, struct slice name, struct json *value)
{
    struct json *old = json_get_n(object, name);
    if (old == value && old != NULL)
        return value;
    if (old != NULL) {
        value->key = old->key;
        replace_child(object, old, value);
        return value;
    }
    return json_add_n(arena, object, name, value);
}

struct json *json_add_n(struct arena *arena, struct json *object, struct slice name, struct json *value)
{
    value->key = arena_slice(arena, name);
    return json_append(object, value);
}

void json_overwrite(struct json *slot, const struct json *value)
{
    struct json *next = slot->next;
    struct slice key = slot->key;
    *slot = *value;
    slot->next = next;
    slot->key = key;
}

struct json *json_set(struct arena *arena, struct json *object, const char *name, struct json *value)
{
    return json_set_n(arena, object, slice_of(name), value);
}

struct json *json_set_str(struct arena *arena, struct json *object, const char *name, const char *text)
{
    return json_set(arena, object, name, json_new_str(arena, text));
}

struct json *json_set_int(struct arena *arena, struct json *object, const char *name, int64_t value)
{
    return json_set(arena, object, name, json_new_int(arena, value));
}

struct json *json_set_bool(struct arena *arena, struct json *object, const char *name, bool value)
{
    return json_set(arena, object, name, json_new_bool(arena, value));
}

bool json_remove_child(struct json *parent, struct json *child)
{
    struct json *before = NULL, *at = parent->child;
    while (at != NULL && at != child)
        before = at, at = at->next;
    if (at == NULL)
        return false;
    if (before != NULL)
        before->next = child->next;
    else
        parent->child = child->next;
    if (parent->last == child)
        parent->last = before;
    --parent->num;
    child->next = NULL;
    return true;
}

bool json_remove(struct json *object, const char *name)
{
    struct json *member = json_get(object, name);
    return member != NULL && json_remove_child(object, member);
}

struct json *json_clone(struct arena *arena, const struct json *value)
{
    struct json *copy = new_node(arena, value->type);
    copy->boolean = value->boolean;
    if (value->text.base != NULL)
        copy->text = arena_slice(arena, value->text);
    JSON_FOR(child, value)
    {
        struct json *child_copy = json_append(copy, json_clone(arena, child));
        if (child->key.base != NULL)
            child_copy->key = arena_slice(arena, child->key);
    }
    return copy;
}

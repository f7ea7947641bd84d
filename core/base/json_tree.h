/* What the readers and builders of trees share. Private to core/base/json*.c and yaml*.c. */
#ifndef SELVEDGE_BASE_JSON_TREE_H
#define SELVEDGE_BASE_JSON_TREE_H

#include "core/base/hashmap.h"
#include "core/base/json.h"

/* Objects up to this size are searched by scanning; larger ones by a map. */
enum { JSON_SCAN_MEMBERS_MAX = 16 };

static inline struct json *json_append(struct json *parent, struct json *value)
{
    value->next = NULL;
    if (parent->last != NULL)
        parent->last->next = value;
    else
        parent->child = value;
    parent->last = value;
    ++parent->num;
    return value;
}

/* Whether `object`, which is being filled, has a member `key` already. `seen` is empty when the object is,
 * belongs to it alone and is told of every name through here; the caller clears it. */
static inline bool json_name_is_taken(struct hashmap *seen, struct json *object, struct slice key)
{
    if (object->num < JSON_SCAN_MEMBERS_MAX)
        return json_get_n(object, key) != NULL;
    if (hashmap_len(seen) == 0)
        JSON_FOR(member, object)
    (void)hashmap_put(seen, member->key.base, member->key.len, member); /* known to be different */
    return hashmap_put(seen, key.base, key.len, object) != NULL;
}

#endif

#include "core/base/json_index.h"

#include "core/base/json_tree.h"

void json_index_init(struct json_index *index, const struct json *object)
{
    *index = (struct json_index){.by_name = HASHMAP_INIT};
    if (object == NULL || object->type != JSON_OBJECT)
        return;
    index->object = object;
    index->guess = object->child;
    if (object->num > JSON_SCAN_MEMBERS_MAX)
        JSON_FOR(member, object)
    (void)hashmap_put(&index->by_name, member->key.base, member->key.len, member);
}

void json_index_clear(struct json_index *index)
{
    hashmap_clear(&index->by_name);
    *index = (struct json_index){.by_name = HASHMAP_INIT};
}

struct json *json_index_get(struct json_index *index, struct slice name)
{
    struct json *member = index->guess;
    if (member == NULL || !slice_eq(member->key, name))
        member = index->object == NULL || index->object->num <= JSON_SCAN_MEMBERS_MAX
                     ? json_get_n(index->object, name)
                     : hashmap_get(&index->by_name, name.base, name.len);
    if (member != NULL)
        index->guess = member->next;
    return member;
}

/* Members of one object by name, at the same cost however many it has. In the order of the object they are found without a
 * search, so that two objects of one order are compared in one walk.
 *
 * Ownership: borrows the object. Members may be appended to it or get other values meanwhile; those appended are not found. */
#ifndef SELVEDGE_BASE_JSON_INDEX_H
#define SELVEDGE_BASE_JSON_INDEX_H

#include "core/base/hashmap.h"
#include "core/base/json.h"

struct json_index {
    const struct json *object;
    struct json *guess; /* the next one asked for, usually */
    struct hashmap by_name; /* of large objects only */
};

void json_index_init(struct json_index *index, const struct json *object); /* NULL or no object: nothing is found */
void json_index_clear(struct json_index *index);
struct json *json_index_get(struct json_index *index, struct slice name); /* NULL: none */

#endif

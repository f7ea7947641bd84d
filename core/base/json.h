/* JSON documents as trees in an arena: strict reading (RFC 8259), exact and deterministic writing.
 *
 * Reading refuses: anything after the document, duplicate member names, invalid UTF-8 and lone surrogates, raw control
 * characters, numbers outside the grammar, nesting deeper than 64. An error names line, column and the member's path.
 * Objects keep their order. A number keeps its text; json_int() says whether it is an exact 64-bit integer.
 * Threads: a tree is confined to one thread while built; a finished one is read-only and may be read by many.
 * Ownership: all memory is the arena's; the input may be freed after parsing. */
#ifndef SELVEDGE_BASE_JSON_H
#define SELVEDGE_BASE_JSON_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/strbuf.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

enum { JSON_MAX_DEPTH = 64 };

struct json {
    enum json_type type;
    bool boolean;
    uint32_t num;         /* ARRAY, OBJECT: how many children */
    struct slice text;    /* STRING: decoded, NUL-terminated (may hold U+0000 inside); NUMBER: as written */
    struct slice key;     /* as a member of an object: its name, NUL-terminated; else {NULL, 0} */
    struct json *child;   /* ARRAY, OBJECT: first child */
    struct json *last;    /* ARRAY, OBJECT: last child, for appending */
    struct json *next;    /* next sibling */
};

/* NULL on error (ERR_BAD_REQUEST): "line 3 column 9: duplicate member 'name' (spec.rules[0])". */
struct json *json_parse(struct arena *arena, struct slice text, struct err *err);
/* One YAML document stream (libyaml) as trees of the same kind: core schema (RFC-like YAML 1.2 core: null, booleans
 * true/false only, integers, floats, else strings), no custom tags, anchors and merge keys allowed but the expanded
 * tree is bounded (1 Mi nodes, depth 64: an alias bomb is refused), duplicate keys refused, keys must be scalars.
 * Empty documents are skipped. Calls `on_doc` for each; stops at its first non-zero result. */
typedef int (*json_doc_cb)(struct json *doc, void *data, struct err *err);
int json_parse_yaml(struct arena *arena, struct slice text, json_doc_cb on_doc, void *data, struct err *err);

/* ---- looking ---- */
struct json *json_get(const struct json *object, const char *name); /* NULL when absent or not an object */
struct json *json_get_n(const struct json *object, struct slice name);
struct json *json_at(const struct json *array, size_t index);
/* By path of names: json_find(obj, "metadata", "name", NULL). */
struct json *json_find(const struct json *object, ...) __attribute__((sentinel));
/* The string, or `fallback` when `value` is NULL or no string. */
const char *json_str(const struct json *value, const char *fallback);
struct slice json_slice(const struct json *value); /* {NULL,0} when no string */
bool json_int(const struct json *value, int64_t *ret); /* by value: 5, 5.0 and 0.5e1 are all five */
int64_t json_int_or(const struct json *value, int64_t fallback);
double json_double_or(const struct json *value, double fallback); /* also when it is too large for a double */
bool json_is_true(const struct json *value);
bool json_equal(const struct json *a, const struct json *b); /* member order does not matter; numbers by value */
/* Whether objects and lists nest in `value` more than `max` levels deep: then no reader takes what is written of it. */
bool json_is_deeper(const struct json *value, unsigned max);
const char *json_type_name(enum json_type type);

#define JSON_FOR(var, parent)                                                                                \
    for (struct json *var = (parent) != NULL ? (parent)->child : NULL; var != NULL; var = var->next)

/* ---- building (in the same arena) ---- */
struct json *json_new_object(struct arena *arena);
struct json *json_new_array(struct arena *arena);
struct json *json_new_string(struct arena *arena, struct slice text); /* copies */
struct json *json_new_str(struct arena *arena, const char *text); /* NULL gives "" */
struct json *json_new_int(struct arena *arena, int64_t value);
struct json *json_new_bool(struct arena *arena, bool value);
struct json *json_new_null(struct arena *arena);
/* Append; a value has at most one parent. json_set replaces a member of that name in place. Return the value. */
struct json *json_push(struct json *array, struct json *value);
struct json *json_set(struct arena *arena, struct json *object, const char *name, struct json *value);
struct json *json_set_n(struct arena *arena, struct json *object, struct slice name, struct json *value);
struct json *json_set_str(struct arena *arena, struct json *object, const char *name, const char *text);
struct json *json_set_int(struct arena *arena, struct json *object, const char *name, int64_t value);
struct json *json_set_bool(struct arena *arena, struct json *object, const char *name, bool value);
/* Appends: the caller knows that there is no member of this name yet. */
struct json *json_add_n(struct arena *arena, struct json *object, struct slice name, struct json *value);
/* `slot` becomes `value`, under its own name and at its place; `value` is not to be used any more. */
void json_overwrite(struct json *slot, const struct json *value);
bool json_remove(struct json *object, const char *name);
bool json_remove_child(struct json *parent, struct json *child);
struct json *json_clone(struct arena *arena, const struct json *value);

/* ---- writing ---- */
void json_quote(struct strbuf *out, struct slice text); /* with quotes; invalid UTF-8 becomes U+FFFD */
void json_write(struct strbuf *out, const struct json *value);        /* compact */
void json_write_pretty(struct strbuf *out, const struct json *value); /* 2 spaces */
/* Members sorted by name at every level, numbers in one form (1.50 and 15e-1 both 1.5): documents that json_equal()
 * give equal bytes. For hashing and comparing. */
void json_write_canonical(struct strbuf *out, const struct json *value);
void json_write_yaml(struct strbuf *out, const struct json *value); /* block style, as kubectl prints; ends in a line end */

#endif

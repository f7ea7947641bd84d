/* The kinds served: one row of kinds.def each, and nothing else to change when one is added but its table.
 *
 * Threads: all constant. */
#ifndef SELVEDGE_MODEL_KINDS_H
#define SELVEDGE_MODEL_KINDS_H

#include "core/model/field.h"
#include "core/model/object/meta.h"

enum kind_id {
#define KIND(id, ...) KIND_##id,
#include "core/model/kinds.def"
#undef KIND
    KIND_COUNT
};

/* A column of Table output. */
struct kind_column {
    const char *name;  /* "Hostnames" */
    const char *type;  /* string, integer, boolean, date */
    int priority;      /* 0 always, 1 with -o wide */
    const char *path;  /* "spec.hostnames", "status.conditions[Accepted].status", "spec.listeners[*].port"; NULL: cell() */
    void (*cell)(const struct json *object, struct strbuf *out); /* when a path does not do */
    const char *doc;
};

struct kind {
    enum kind_id id;
    const char *group, *version; /* "" core */
    const char *kind, *list_kind, *plural, *singular;
    const char *const *short_names, *const *categories; /* NULL-terminated, never NULL */
    const char *const *versions; /* all served, the stored one first; NULL-terminated. All have the same schema */
    bool is_namespaced, has_status;
    bool is_secret; /* data is kept out of logs, diffs and caches */
    const struct kind_column *columns; /* Name and Age are given by the API; these are between. Ends with name NULL */
    const struct field_schema *schema;
    const struct field_format *name_format;
    void (*prepare)(struct json *object, struct arena *arena); /* rewrites what the table cannot say; may be NULL */
    const char *doc;
};

const struct kind *kind_get(enum kind_id id);
/* "gateway.networking.k8s.io", "v1" or "v1beta1", "HTTPRoute". NULL when not served. */
const struct kind *kind_find(struct slice group, struct slice version, struct slice kind);
const struct kind *kind_find_plural(struct slice group, struct slice version, struct slice plural);
/* As people type it: "httproutes", "httproute", "gc", "httproutes.gateway.networking.k8s.io", any case. */
const struct kind *kind_find_name(struct slice name);
/* By an object's apiVersion and kind. ERR_INVALID when they are missing, ERR_NOT_FOUND names what is not served. */
const struct kind *kind_of(const struct json *object, struct err *err);
bool kind_serves(const struct kind *kind, struct slice version);
/* "v1" or "gateway.networking.k8s.io/v1". */
struct slice kind_api_version(const struct kind *kind, const char *version, struct arena *arena);

/* The whole object: prepares, reads, checks metadata by the kind's rules (name or generateName given and well formed;
 * namespace given exactly when namespaced: `ns` is where the request stands and fills in an absent one; {NULL, 0}: as it
 * is). Returns the kind's struct (struct obj_http_route *, …); worth using only when the report got no violation. */
void *kind_decode(const struct kind *kind, struct json *object, struct slice ns, const struct field_options *options,
                  struct arena *arena, struct field_report *report);
/* Violations of a change from one object to another: immutable fields, name and kind. */
void kind_check_update(const struct kind *kind, const struct json *old, const struct json *new,
                       struct field_report *report);

/* The cell of a column as text (lists joined by commas), "" when absent. Not for type date: that is a timestamp. */
void kind_cell(const struct kind_column *column, const struct json *object, struct strbuf *out);

/* OpenAPI schema with x-kubernetes-group-version-kind; see field_openapi(). */
struct json *kind_openapi(const struct kind *kind, const char *version, const char *ref_prefix, struct arena *arena);

#endif

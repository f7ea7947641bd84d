/* Field tables: one table a struct says how it is read from JSON, checked, defaulted, written and described.
 *
 *   #define T struct obj_backend_ref
 *   static const struct field backend_ref_fields[] = {
 *       {"name", FIELD_STRING, AT(name), FIELD_NEEDED, .min = 1, .max = 253, .doc = "Name of the referent."},
 *       {"port", FIELD_I32, AT(port), HAS(has_port), .min = 1, .max = 65535, .doc = "…"},
 *       {"filters", FIELD_LIST, LIST_AT(filters), .item = FIELD_OBJECT, .schema = &http_filter_schema, .max = 16},
 *   };
 *   #undef T
 *
 * Reading collects all violations, not only the first. A member nobody knows is an error, a warning, or dropped
 * (enum field_unknown). A field of the public API that is not implemented is a row with FIELD_UNSUPPORTED: it is
 * refused by name. null is the same as absent, as in Kubernetes.
 *
 * Threads: tables are constant; a report belongs to one thread.
 * Ownership: what is read lives in the given arena; strings are borrowed from the JSON tree, which must live as long,
 *            unless copy_strings is asked for.
 * Limits: at most FIELD_VIOLATIONS_MAX violations and as many warnings are kept; the rest are counted. */
#ifndef SELVEDGE_MODEL_FIELD_H
#define SELVEDGE_MODEL_FIELD_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/json.h"

/* ---------- tables ---------- */

enum field_type {
    FIELD_STRING,        /* struct slice; absent {NULL, 0} */
    FIELD_BOOL,          /* bool */
    FIELD_I32,           /* int32_t */
    FIELD_I64,           /* int64_t */
    FIELD_U16,           /* uint16_t */
    FIELD_U32,           /* uint32_t */
    FIELD_U64,           /* uint64_t */
    FIELD_ENUM,          /* an enum: index into .names */
    FIELD_DURATION,      /* uint64_t milliseconds; GEP-2257 text ("1h30m", "500ms") */
    FIELD_TIME,          /* int64_t microseconds of the wall clock; RFC 3339 text */
    FIELD_BYTES,         /* struct slice, decoded; base64 text */
    FIELD_INT_OR_STRING, /* struct field_int_or_string */
    FIELD_OBJECT,        /* the struct itself, embedded */
    FIELD_OBJECT_PTR,    /* pointer to the struct; absent NULL */
    FIELD_LIST,          /* T *items and uint32_t num_items: see LIST_AT */
    FIELD_MAP,           /* struct field_map: names to strings, or to bytes with .item = FIELD_BYTES */
    FIELD_RAW,           /* const struct json *: anything, not looked into */
};

enum {
    FIELD_NEEDED = 1,       /* must be given */
    FIELD_UNSUPPORTED = 2,  /* part of the public API, not served: refused by name when given (and not empty) */
    FIELD_IMMUTABLE = 4,    /* may not change on update: field_check_update() */
    FIELD_SECRET = 8,       /* its value never appears in a message */
    FIELD_SET = 16,         /* LIST of scalars: no two equal (x-kubernetes-list-type: set) */
    FIELD_READ_ONLY = 32,   /* set by the system (status, metadata.uid): any value is taken without a look */
    FIELD_WRITE_ONLY = 64,  /* never read back (stringData) */
    FIELD_UNSTORED = 128,   /* checked, but the struct has no place for it (scalars, lists of scalars, RAW) */
};

/* Entries of a MAP of free names, as `.max`. Such maps are searched entry by entry, and two of them compared, in many places. */
enum { FIELD_MAP_MAX = 4096 };

struct field_int_or_string {
    bool is_string;
    int32_t number;
    struct slice text;
};

struct field_pair {
    struct slice name, value;
};

struct field_map {
    struct field_pair *pairs; /* in the order given */
    uint32_t num;
};

/* A syntax that strings have to follow: hostnames, label keys, … */
struct field_format {
    const char *pattern; /* as a regular expression, for the schema; tests hold `matches` against it */
    const char *message; /* "must be a lowercase RFC 1123 label: …" */
    bool (*matches)(struct slice text);
};

struct field_schema;

struct field {
    const char *name;
    enum field_type type;
    uint32_t at;                       /* AT(member) */
    uint32_t flags;
    enum field_type item;              /* LIST: type of the items; MAP: of the values (STRING or BYTES) */
    uint32_t num_at, item_size;        /* LIST, by LIST_AT() */
    uint32_t has;                      /* HAS(member): 1 + offset of a bool that tells given from absent; 0: none */
    int64_t min, max;                  /* numbers: the value; strings: characters; LIST, MAP: how many. max 0: none */
    int64_t item_min, item_max;        /* the same for each item of a LIST or value of a MAP */
    const char *def;                   /* default as text ("Exact", "302", "true"); of objects and lists as JSON */
    const char *const *names;          /* allowed values, NULL-terminated; an ENUM's numbers are their places here */
    const char *const *refused;        /* values of the public API that are not served */
    const struct field_format *format; /* of the string, of each item, of each value */
    const struct field_format *key_format; /* MAP: of the names */
    const struct field_schema *schema; /* OBJECT, OBJECT_PTR, LIST of OBJECT; RAW: for the description only */
    const char *list_key;              /* LIST of objects: members that make an item unique: "name", "port,protocol" */
    const char *merge_key;             /* LIST of objects: patchMergeKey of strategic merge patches */
    const char *doc;
};

struct field_ctx;
/* A rule over several fields, named as the rule; runs when all fields of the object are right in themselves.
 * Reports through field_refuse(). */
typedef void (*field_check)(struct field_ctx *ctx, const void *object);

struct field_schema {
    const char *name;           /* shared definition ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"); NULL: inline */
    size_t size;                /* of the struct */
    const struct field *fields;
    uint32_t num_fields;        /* at most 64 */
    const field_check *checks;  /* NULL-terminated; NULL: none */
    const char *doc;
};

#define AT(member) .at = offsetof(T, member)
#define HAS(member) .has = offsetof(T, member) + 1
#define LIST_AT(member)                                                                                      \
    AT(member), .num_at = offsetof(T, num_##member), .item_size = sizeof(*((T *)NULL)->member)
/* Inside the table's `#define T`: the schema over `fields`. */
#define FIELD_SCHEMA(table, ...)                                                                             \
    {                                                                                                        \
        .size = sizeof(T), .fields = (table), .num_fields = ARRAY_LEN(table), __VA_ARGS__                    \
    }
#define FIELD_NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define FIELD_CHECKS(...) ((const field_check[]){__VA_ARGS__, NULL})

/* ---------- findings ---------- */

/* As `reason` of a Status' causes, and how its message begins. */
#define FIELD_REASONS(X)                                                                                     \
    X(FIELD_REQUIRED, "FieldValueRequired", "Required value")                                                \
    X(FIELD_INVALID, "FieldValueInvalid", "Invalid value")                                                   \
    X(FIELD_TYPE_INVALID, "FieldValueTypeInvalid", "Invalid value")                                          \
    X(FIELD_NOT_SUPPORTED, "FieldValueNotSupported", "Unsupported value")                                    \
    X(FIELD_DUPLICATE, "FieldValueDuplicate", "Duplicate value")                                             \
    X(FIELD_TOO_LONG, "FieldValueTooLong", "Too long")                                                       \
    X(FIELD_TOO_MANY, "FieldValueTooMany", "Too many")                                                       \
    X(FIELD_FORBIDDEN, "FieldValueForbidden", "Forbidden")                                                   \
    X(FIELD_UNKNOWN, "FieldValueUnknown", "")                                                                \
    X(FIELD_NOT_SERVED, "FieldValueNotSupported", "")                                                        \
    X(FIELD_CHANGED, "FieldValueChanged", "")                                                                \
    X(FIELD_OWNED, "FieldManagerConflict", "")

enum field_reason {
#define X(name, reason, text) name,
    FIELD_REASONS(X)
#undef X
};

/* "FieldValueRequired". */
const char *field_reason_name(enum field_reason reason);

struct field_violation {
    enum field_reason reason;
    struct slice path;    /* "spec.rules[0].matches[1].path.value" */
    struct slice message; /* "Required value", `Invalid value: "x": must …`, "not supported", `unknown field "spec.x"` */
    struct field_violation *next;
};

enum { FIELD_VIOLATIONS_MAX = 64 };

struct field_report {
    struct arena *arena;                                /* texts are made here */
    struct field_violation *violations, *last;          /* in document order */
    struct field_violation *warnings, *last_warning;    /* unknown fields with FIELD_UNKNOWN_WARN */
    uint32_t num_violations, num_warnings;              /* all of them, also those not kept */
};

void field_report_init(struct field_report *report, struct arena *arena);
/* No violation: 0. Else ERR_INVALID "spec.x: Required value; spec.y: …" and -1. */
int field_report_err(const struct field_report *report, struct err *err);

/* ---------- reading ---------- */

enum field_unknown { FIELD_UNKNOWN_STRICT, FIELD_UNKNOWN_WARN, FIELD_UNKNOWN_IGNORE };

struct field_options {
    enum field_unknown unknown;
    bool apply_defaults; /* also write defaults into the JSON tree, and drop nulls and (WARN, IGNORE) unknown members */
    bool copy_strings;   /* into the arena: the JSON tree may go away then */
    bool check_read_only; /* look into FIELD_READ_ONLY members that have a schema: for writes of status */
};

/* Reads `object` into a new struct of schema->size. Never NULL; worth using only when the report got no violation.
 * `path` is where the object stands ("" for a whole document). `object` is changed only with apply_defaults; then
 * additions are made in `arena`. */
void *field_decode(const struct field_schema *schema, struct json *object, const char *path,
                   const struct field_options *options, struct arena *arena, struct field_report *report);

/* For checks. `at` is relative to the object checked ("tls.mode"; "" itself; field_at() for more). The message gets
 * the reason's beginning ("Invalid value: …"); "" leaves only that. */
void field_refuse(struct field_ctx *ctx, enum field_reason reason, const char *at, const char *fmt, ...)
    _printf_(4, 5);
const char *field_at(struct field_ctx *ctx, const char *fmt, ...) _printf_(2, 3);

/* Adds a finding of the caller's own: references, updates. The path is copied. */
void field_report_add(struct field_report *report, enum field_reason reason, const char *path, const char *fmt, ...)
    _printf_(4, 5);

/* Refuses changes of FIELD_IMMUTABLE members. */
void field_check_update(const struct field_schema *schema, const struct json *old, const struct json *new,
                        const char *path, struct field_report *report);

/* ---------- writing, describing ---------- */

/* The struct as JSON; members that are absent or equal their default are left out. Strings are copied. */
struct json *field_encode(const struct field_schema *schema, const void *object, struct arena *arena);

/* Sets defaults of a struct that was zeroed, without a document. */
void field_fill_defaults(const struct field_schema *schema, void *object, struct arena *arena);

/* The row for a member, or NULL. Together with field->schema a patch can follow the tables down. */
const struct field *field_find(const struct field_schema *schema, struct slice name);

/* OpenAPI schema of the struct (type, properties, description, enum, bounds, required, x-kubernetes-*). `ref_prefix`
 * is put before the names of shared definitions: "#/components/schemas/" (v3) or "#/definitions/" (v2); NULL: everything inline.
 * FIELD_UNSUPPORTED rows are left out. */
struct json *field_openapi(const struct field_schema *schema, const char *ref_prefix, struct arena *arena);
/* The same, but the properties themselves also when the schema is a shared definition: for the list of definitions. */
struct json *field_openapi_definition(const struct field_schema *schema, const char *ref_prefix, struct arena *arena);

#endif

/* Inside of the field tables: where a reader stands. Shared by field.c and its siblings only. */
#ifndef SELVEDGE_MODEL_FIELD_CTX_H
#define SELVEDGE_MODEL_FIELD_CTX_H

#include "core/model/field.h"

struct field_path {
    const struct field_path *parent; /* NULL: the root */
    struct slice name;               /* {NULL, 0}: an item, by index */
    uint32_t index;
};

struct field_ctx {
    const struct field_options *options;
    struct arena *arena;
    struct field_report *report;
    const struct field_path *path;
    bool is_quiet; /* values of the tables themselves: nothing to report */
};

/* The present path as text, and `at` below it. */
struct slice field_path_text(struct arena *arena, const struct field_path *path, const char *at);
/* As field_refuse() about the present value, with the value itself in the message unless it is secret. */
void field_refuse_value(struct field_ctx *ctx, enum field_reason reason, const struct field *field,
                        const struct json *value, const char *fmt, ...) _printf_(5, 6);

/* Reads one scalar of `type` to `out`; refuses what does not fit. With apply_defaults `value` is left in its plain form. */
void field_decode_scalar(struct field_ctx *ctx, const struct field *field, enum field_type type, int64_t min, int64_t max,
                         struct json *value, void *out);
/* Bytes a scalar takes in a struct. */
size_t field_scalar_size(enum field_type type);
/* A default's text as a scalar node. */
struct json field_default_scalar(enum field_type type, const char *text);

static inline void *field_member(void *object, uint32_t at)
{
    return (char *)object + at;
}
static inline const void *field_member_const(const void *object, uint32_t at)
{
    return (const char *)object + at;
}

#endif

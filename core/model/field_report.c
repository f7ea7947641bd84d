/* Findings: paths and messages, made only when something is wrong. */
#include "core/model/field_ctx.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    QUOTED_MAX = 96, /* bytes of a value shown in a message */
    FLAT_MAX = 4, /* members of an object or list that is shown */
};

static const struct {
    const char *reason, *text;
} reasons[] = {
#define X(name, reason, text) [name] = {reason, text},
    FIELD_REASONS(X)
#undef X
};

const char *field_reason_name(enum field_reason reason)
{
    return reasons[reason].reason;
}

void field_report_init(struct field_report *report, struct arena *arena)
{
    *report = (struct field_report){.arena = arena};
}

int field_report_err(const struct field_report *report, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    if (report->num_violations == 0)
        return 0;
    for (const struct field_violation *v = report->violations; v != NULL; v = v->next) {
        if (text.len != 0)
            strbuf_adds(&text, "; ");
        if (v->path.len != 0 && v->reason != FIELD_UNKNOWN)
            strbuf_addf(&text, "%.*s: ", (int)v->path.len, v->path.base);
        strbuf_add_slice(&text, v->message);
    }
    (void)err_set(err, ERR_INVALID, "%s", text.base);
    strbuf_clear(&text);
    return -1;
}

/* ---- paths ---- */

static void add_path(struct strbuf *out, const struct field_path *path)
{
    if (path->parent != NULL)
        add_path(out, path->parent);
    if (path->name.base == NULL)
        strbuf_addf(out, "[%u]", path->index);
    else if (path->name.len != 0) {
        if (out->len != 0)
            strbuf_addc(out, '.');
        strbuf_add_slice(out, path->name);
    }
}

struct slice field_path_text(struct arena *arena, const struct field_path *path, const char *at)
{
    struct strbuf text = STRBUF_INIT;
    if (path != NULL)
        add_path(&text, path);
    if (at[0] != '\0' && at[0] != '[' && text.len != 0)
        strbuf_addc(&text, '.');
    strbuf_adds(&text, at);
    struct slice copy = {arena_strndup(arena, text.len != 0 ? text.base : "", text.len), text.len};
    strbuf_clear(&text);
    return copy;
}

const char *field_at(struct field_ctx *ctx, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args); /* longer than a message needs is cut */
    va_end(args);
    return arena_strdup(ctx->arena, text);
}

/* ---- adding ---- */

static void add_violation(struct field_report *report, enum field_reason reason, struct slice path,
                          const char *text)
{
    struct field_violation *v = arena_alloc(report->arena, sizeof(*v));
    *v = (struct field_violation){
        .reason = reason, .path = path, .message = slice_of(arena_strdup(report->arena, text))};
    if (report->last != NULL)
        report->last->next = v;
    else
        report->violations = v;
    report->last = v;
}

static bool is_full(struct field_report *report)
{
    return report->num_violations++ >= FIELD_VIOLATIONS_MAX;
}

/* "Invalid value: " + `rest`, or one of them when the other is empty. */
static void add_parts(struct strbuf *out, enum field_reason reason, const char *rest)
{
    if (out->len == 0)
        strbuf_adds(out, reasons[reason].text);
    if (out->len != 0 && rest[0] != '\0')
        strbuf_adds(out, ": ");
    strbuf_adds(out, rest);
}

/* `text` begins the message; when it is empty, the reason does. Clears it. */
static void add_formatted(struct field_report *report, enum field_reason reason, struct slice path,
                          struct strbuf *text, const char *fmt, va_list args)
{
    struct strbuf rest = STRBUF_INIT;
    strbuf_vaddf(&rest, fmt, args);
    add_parts(text, reason, strbuf_slice(&rest).base);
    add_violation(report, reason, path, strbuf_slice(text).base);
    strbuf_clear(&rest);
    strbuf_clear(text);
}

void field_report_add(struct field_report *report, enum field_reason reason, const char *path,
                      const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT;
    va_list args;
    if (is_full(report))
        return;
    va_start(args, fmt);
    add_formatted(report, reason, slice_of(arena_strdup(report->arena, path)), &text, fmt, args);
    va_end(args);
}

void field_refuse(struct field_ctx *ctx, enum field_reason reason, const char *at, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT;
    va_list args;
    if (ctx->is_quiet || is_full(ctx->report))
        return;
    va_start(args, fmt);
    add_formatted(ctx->report, reason, field_path_text(ctx->arena, ctx->path, at), &text, fmt, args);
    va_end(args);
}

static bool is_small(const struct json *value)
{
    bool is_flat = value->num <= FLAT_MAX && value->text.len <= QUOTED_MAX;
    if (is_flat)
        JSON_FOR(child, value)
    is_flat = is_flat && child->num == 0 && child->text.len + child->key.len <= QUOTED_MAX / FLAT_MAX;
    return is_flat;
}

/* Enough of it to be recognized: many messages may be about large values. */
static void add_value(struct strbuf *out, const struct json *value)
{
    size_t len = MIN(value->text.len, QUOTED_MAX);
    if (is_small(value)) {
        json_write(out, value);
        return;
    }
    while (len > 0 && (value->text.base[len] & 0xc0) == 0x80) /* not in the middle of a character */
        --len;
    if (value->type == JSON_STRING)
        json_quote(out, slice_make(value->text.base, len));
    else
        strbuf_add(out, value->text.base, len);
    strbuf_adds(out, value->type == JSON_OBJECT ? "{…}" : value->type == JSON_ARRAY ? "[…]" : "…");
}

void field_refuse_value(struct field_ctx *ctx, enum field_reason reason, const struct field *field,
                        const struct json *value, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT;
    va_list args;
    if (ctx->is_quiet || is_full(ctx->report))
        return;
    strbuf_adds(&text, reasons[reason].text);
    if (!(field->flags & FIELD_SECRET)) {
        strbuf_adds(&text, ": ");
        add_value(&text, value);
    }
    va_start(args, fmt);
    add_formatted(ctx->report, reason, field_path_text(ctx->arena, ctx->path, ""), &text, fmt, args);
    va_end(args);
}

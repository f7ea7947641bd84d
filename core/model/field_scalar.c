/* Scalars of the field tables: text and numbers to C types, with bounds, closed sets and syntaxes. */
#include "core/model/field_ctx.h"

#include "core/base/base64.h"
#include "core/base/clock.h"

#include <stdio.h>

static const struct {
    uint8_t size;
    enum json_type json;
} scalars[] = {
    [FIELD_STRING] = {sizeof(struct slice), JSON_STRING},
    [FIELD_BOOL] = {sizeof(bool), JSON_BOOL},
    [FIELD_I32] = {sizeof(int32_t), JSON_NUMBER},
    [FIELD_I64] = {sizeof(int64_t), JSON_NUMBER},
    [FIELD_U16] = {sizeof(uint16_t), JSON_NUMBER},
    [FIELD_U32] = {sizeof(uint32_t), JSON_NUMBER},
    [FIELD_U64] = {sizeof(uint64_t), JSON_NUMBER},
    [FIELD_ENUM] = {sizeof(int), JSON_STRING},
    [FIELD_DURATION] = {sizeof(uint64_t), JSON_STRING},
    [FIELD_TIME] = {sizeof(int64_t), JSON_STRING},
    [FIELD_BYTES] = {sizeof(struct slice), JSON_STRING},
    [FIELD_INT_OR_STRING] = {sizeof(struct field_int_or_string), JSON_NUMBER},
};

size_t field_scalar_size(enum field_type type)
{
    return type <= FIELD_INT_OR_STRING ? scalars[type].size : 0;
}

struct json field_default_scalar(enum field_type type, const char *text)
{
    struct json value = {.type = scalars[type].json, .text = slice_of(text)};
    if (value.type == JSON_BOOL)
        value = (struct json){.type = JSON_BOOL, .boolean = slice_is(value.text, "true")};
    if (type == FIELD_INT_OR_STRING && (text[0] < '0' || text[0] > '9'))
        value.type = JSON_STRING;
    return value;
}

/* ---- strings ---- */

static int64_t count_chars(struct slice text)
{
    int64_t num = 0;
    for (size_t i = 0; i < text.len; ++i)
        num += (text.base[i] & 0xc0) != 0x80;
    return num;
}

static int find_name(const char *const *names, struct slice text)
{
    for (int i = 0; names != NULL && names[i] != NULL; ++i)
        if (slice_is(text, names[i]))
            return i;
    return -1;
}

static void refuse_name(struct field_ctx *ctx, const struct field *field, const struct json *value)
{
    struct strbuf names = STRBUF_INIT;
    for (size_t i = 0; field->names[i] != NULL; ++i)
        strbuf_addf(&names, "%s\"%s\"", i != 0 ? ", " : "", field->names[i]);
    bool is_known = find_name(field->refused, value->text) >= 0;
    field_refuse_value(ctx, FIELD_NOT_SUPPORTED, field, value, "%ssupported values: %s",
                       is_known ? "not served; " : "", strbuf_slice(&names).base);
    strbuf_clear(&names);
}

static void decode_string(struct field_ctx *ctx, const struct field *field, int64_t min, int64_t max,
                          const struct json *value, struct slice *out)
{
    struct slice text = value->text;
    int64_t chars = min != 0 || max != 0 ? count_chars(text) : 0;
    if (memchr(text.base, '\0', text.len) != NULL)
        field_refuse_value(ctx, FIELD_INVALID, field, value, "must not contain NUL");
    else if (field->names != NULL && find_name(field->names, text) < 0)
        refuse_name(ctx, field, value);
    else if (max != 0 && chars > max)
        field_refuse_value(ctx, FIELD_TOO_LONG, field, value, "may not be more than %lld characters",
                           (long long)max);
    else if (chars < min && text.len == 0)
        field_refuse_value(ctx, FIELD_INVALID, field, value, "must not be empty");
    else if (chars < min)
        field_refuse_value(ctx, FIELD_INVALID, field, value, "must be at least %lld characters",
                           (long long)min);
    else if (field->format != NULL && !field->format->matches(text))
        field_refuse_value(ctx, FIELD_INVALID, field, value, "%s", field->format->message);
    else
        *out = ctx->options->copy_strings
                   ? slice_make(arena_strndup(ctx->arena, text.base, text.len), text.len)
                   : text;
}

static void decode_enum(struct field_ctx *ctx, const struct field *field, const struct json *value, int *out)
{
    int at = find_name(field->names, value->text);
    if (at < 0)
        refuse_name(ctx, field, value);
    else
        *out = at;
}

static void decode_bytes(struct field_ctx *ctx, const struct field *field, const struct json *value,
                         struct slice *out)
{
    char *bytes = arena_alloc(ctx->arena, BASE64_DECODED_MAX(value->text.len) + 1);
    ssize_t len = base64_decode(value->text, bytes);
    if (len < 0) {
        field_refuse_value(ctx, FIELD_INVALID, field, value, "must be base64");
        return;
    }
    bytes[len] = '\0';
    *out = slice_make(bytes, (size_t)len);
}

static void decode_duration(struct field_ctx *ctx, const struct field *field, int64_t min, int64_t max,
                            const struct json *value, uint64_t *out)
{
    uint64_t ms;
    if (clock_parse_duration(value->text, &ms) != 0)
        field_refuse_value(ctx, FIELD_INVALID, field, value,
                           "must be a duration such as 10s, 1h30m or 500ms");
    else if ((int64_t)ms < min || (max != 0 && (int64_t)ms > max))
        field_refuse_value(ctx, FIELD_INVALID, field, value, "must be between %lldms and %lldms",
                           (long long)min, (long long)(max != 0 ? max : INT64_MAX));
    else
        *out = ms;
}

/* ---- numbers ---- */

static const struct {
    int64_t min, max;
} ranges[] = {
    [FIELD_I32] = {INT32_MIN, INT32_MAX}, [FIELD_I64] = {INT64_MIN, INT64_MAX}, [FIELD_U16] = {0, UINT16_MAX},
    [FIELD_U32] = {0, UINT32_MAX},        [FIELD_U64] = {0, INT64_MAX},
};

static bool is_in_names(const struct field *field, int64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)number);
    return field->names == NULL || find_name(field->names, slice_of(text)) >= 0;
}

/* What stays in the document is written as an integer: readers with typed numbers refuse 80.0 and 8e1. */
static void write_plainly(struct field_ctx *ctx, struct json *value, int64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%lld", (long long)number);
    if (ctx->options->apply_defaults && !slice_is(value->text, text))
        value->text = slice_make(arena_strndup(ctx->arena, text, (size_t)len), (size_t)len);
}

static bool read_int(struct field_ctx *ctx, const struct field *field, enum field_type type, int64_t min,
                     int64_t max, struct json *value, int64_t *ret)
{
    int64_t low = ranges[type].min, high = ranges[type].max;
    if (min != 0 || max != 0) {
        low = MAX(low, min);
        high = max != 0 ? MIN(high, max) : high;
    }
    if (!json_int(value, ret))
        field_refuse_value(ctx, FIELD_INVALID, field, value, "must be an integer");
    else if (*ret < low && high == ranges[type].max)
        field_refuse_value(ctx, FIELD_INVALID, field, value, "must be at least %lld", (long long)low);
    else if (*ret < low || *ret > high)
        field_refuse_value(ctx, FIELD_INVALID, field, value, "must be between %lld and %lld", (long long)low,
                           (long long)high);
    else if (!is_in_names(field, *ret))
        refuse_name(ctx, field, value);
    else {
        write_plainly(ctx, value, *ret);
        return true;
    }
    return false;
}

static void decode_number(struct field_ctx *ctx, const struct field *field, enum field_type type, int64_t min,
                          int64_t max, struct json *value, void *out)
{
    int64_t number;
    if (!read_int(ctx, field, type, min, max, value, &number))
        return;
    switch (scalars[type].size) { /* two's complement: signed and unsigned are the same bytes */
    case 2:
        *(uint16_t *)out = (uint16_t)number;
        break;
    case 4:
        *(uint32_t *)out = (uint32_t)number;
        break;
    default:
        *(uint64_t *)out = (uint64_t)number;
    }
}

static void decode_int_or_string(struct field_ctx *ctx, const struct field *field, int64_t min, int64_t max,
                                 struct json *value, struct field_int_or_string *out)
{
    int64_t number;
    if (value->type == JSON_STRING) {
        out->is_string = true;
        decode_string(ctx, field, 1, 0, value, &out->text);
    } else if (read_int(ctx, field, FIELD_I32, min, max, value, &number))
        out->number = (int32_t)number;
}

/* ---- all of them ---- */

static bool check_type(struct field_ctx *ctx, const struct field *field, enum field_type type,
                       const struct json *value)
{
    static const char *const wanted[] = {
        [JSON_STRING] = "a string", [JSON_BOOL] = "a boolean", [JSON_NUMBER] = "an integer"};
    if (value->type == scalars[type].json || (type == FIELD_INT_OR_STRING && value->type == JSON_STRING))
        return true;
    field_refuse_value(ctx, FIELD_TYPE_INVALID, field, value, "must be %s%s", wanted[scalars[type].json],
                       type == FIELD_INT_OR_STRING ? " or a string" : "");
    return false;
}

void field_decode_scalar(struct field_ctx *ctx, const struct field *field, enum field_type type, int64_t min,
                         int64_t max, struct json *value, void *out)
{
    if (!check_type(ctx, field, type, value))
        return;
    switch (type) {
    case FIELD_STRING:
        decode_string(ctx, field, min, max, value, out);
        break;
    case FIELD_BOOL:
        *(bool *)out = value->boolean;
        break;
    case FIELD_ENUM:
        decode_enum(ctx, field, value, out);
        break;
    case FIELD_DURATION:
        decode_duration(ctx, field, min, max, value, out);
        break;
    case FIELD_TIME:
        if (clock_parse_rfc3339(value->text, out) != 0)
            field_refuse_value(ctx, FIELD_INVALID, field, value, "must be a date and time as of RFC 3339");
        break;
    case FIELD_BYTES:
        decode_bytes(ctx, field, value, out);
        break;
    case FIELD_INT_OR_STRING:
        decode_int_or_string(ctx, field, min, max, value, out);
        break;
    default:
        decode_number(ctx, field, type, min, max, value, out);
    }
}

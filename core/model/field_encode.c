/* Field tables, the other way: a struct as JSON, and a schema as OpenAPI. */
#include "core/model/field_ctx.h"

#include "core/base/base64.h"
#include "core/base/clock.h"

/* ---- structs to JSON ---- */

static struct json *encode_duration(uint64_t ms, struct arena *arena)
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } units[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    struct strbuf text = STRBUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(units); ++i) {
        uint64_t count = ms / units[i].ms;
        ms %= units[i].ms;
        if (count != 0)
            strbuf_addf(&text, "%llu%s", (unsigned long long)count, units[i].unit);
    }
    struct json *value = json_new_str(arena, text.len != 0 ? text.base : "0s");
    strbuf_clear(&text);
    return value;
}

static struct json *encode_time(int64_t wall_us, struct arena *arena)
{
    char text[CLOCK_RFC3339_US_LEN + 1];
    if (wall_us % 1000000 != 0)
        clock_rfc3339_us(wall_us, text);
    else
        clock_rfc3339(wall_us, text);
    return json_new_str(arena, text);
}

static struct json *encode_bytes(struct slice bytes, struct arena *arena)
{
    struct strbuf text = STRBUF_INIT;
    base64_add(&text, bytes);
    struct json *value = json_new_string(arena, strbuf_slice(&text));
    strbuf_clear(&text);
    return value;
}

static struct json *encode_text(struct slice text, struct arena *arena)
{
    return text.base != NULL ? json_new_string(arena, text) : NULL;
}

/* NULL: absent. */
static struct json *encode_scalar(const struct field *field, enum field_type type, const void *at,
                                  struct arena *arena)
{
    switch (type) {
    case FIELD_STRING:
        return encode_text(*(const struct slice *)at, arena);
    case FIELD_BYTES:
        return ((const struct slice *)at)->base != NULL ? encode_bytes(*(const struct slice *)at, arena)
                                                        : NULL;
    case FIELD_BOOL:
        return json_new_bool(arena, *(const bool *)at);
    case FIELD_I32:
        return json_new_int(arena, *(const int32_t *)at);
    case FIELD_I64:
        return json_new_int(arena, *(const int64_t *)at);
    case FIELD_U16:
        return json_new_int(arena, *(const uint16_t *)at);
    case FIELD_U32:
        return json_new_int(arena, *(const uint32_t *)at);
    case FIELD_U64:
        return json_new_int(arena, (int64_t) * (const uint64_t *)at);
    case FIELD_ENUM:
        return json_new_str(arena, field->names[*(const int *)at]);
    case FIELD_DURATION:
        return encode_duration(*(const uint64_t *)at, arena);
    case FIELD_TIME:
        return *(const int64_t *)at != 0 ? encode_time(*(const int64_t *)at, arena) : NULL;
    default:
        break;
    }
    const struct field_int_or_string *either = at;
    return either->is_string ? encode_text(either->text, arena) : json_new_int(arena, either->number);
}

static struct json *encode_list(const struct field *field, const void *object, struct arena *arena)
{
    const char *items = *(const char *const *)field_member_const(object, field->at);
    uint32_t num = *(const uint32_t *)field_member_const(object, field->num_at);
    struct json *list = json_new_array(arena);
    for (uint32_t i = 0; i < num; ++i) {
        const void *item = items + (size_t)i * field->item_size;
        struct json *value = field->item == FIELD_OBJECT ? field_encode(field->schema, item, arena)
                                                         : encode_scalar(field, field->item, item, arena);
        (void)json_push(list, value != NULL ? value : json_new_str(arena, ""));
    }
    return num != 0 || field->flags & FIELD_NEEDED ? list : NULL;
}

static struct json *encode_map(const struct field *field, const struct field_map *map, struct arena *arena)
{
    struct json *object = json_new_object(arena);
    for (uint32_t i = 0; i < map->num; ++i)
        (void)json_set_n(arena, object, map->pairs[i].name,
                         encode_scalar(field, field->item, &map->pairs[i].value, arena));
    return map->num != 0 ? object : NULL;
}

static struct json *encode_field(const struct field *field, const void *object, struct arena *arena)
{
    const void *at = field_member_const(object, field->at);
    struct json *value;
    if (field->type == FIELD_STRING && field->min > 0 && ((const struct slice *)at)->len == 0)
        return NULL; /* would not be read back: absent is meant */
    switch (field->type) {
    case FIELD_OBJECT:
        value = field_encode(field->schema, at, arena);
        return value->num != 0 || field->flags & FIELD_NEEDED ? value : NULL;
    case FIELD_OBJECT_PTR:
        return *(const void *const *)at != NULL ? field_encode(field->schema, *(const void *const *)at, arena)
                                                : NULL;
    case FIELD_LIST:
        return encode_list(field, object, arena);
    case FIELD_MAP:
        return encode_map(field, at, arena);
    case FIELD_RAW:
        return *(const struct json *const *)at != NULL ? json_clone(arena, *(const struct json *const *)at)
                                                       : NULL;
    default:
        return encode_scalar(field, field->type, at, arena);
    }
}

/* Left out: what reading would put there anyway. */
static bool is_default(const struct field *field, const struct json *value, const void *object)
{
    if (field->has != 0)
        return !*(const bool *)field_member_const(object, field->has - 1);
    if (field->flags & FIELD_NEEDED)
        return false;
    if (field->def == NULL)
        return (value->type == JSON_NUMBER && slice_is(value->text, "0")) ||
               (value->type == JSON_BOOL && !value->boolean) ||
               (field->type == FIELD_DURATION && slice_is(value->text, "0s")) ||
               (field->type == FIELD_ENUM && slice_is(value->text, field->names[0]));
    if (field_scalar_size(field->type) == 0)
        return false;
    struct json def = field_default_scalar(field->type, field->def);
    return json_equal(value, &def);
}

struct json *field_encode(const struct field_schema *schema, const void *object, struct arena *arena)
{
    struct json *out = json_new_object(arena);
    for (uint32_t i = 0; i < schema->num_fields; ++i) {
        const struct field *field = &schema->fields[i];
        struct json *value =
            field->flags & (FIELD_UNSUPPORTED | FIELD_UNSTORED) ? NULL : encode_field(field, object, arena);
        if (value != NULL && !is_default(field, value, object))
            (void)json_set_n(arena, out, slice_of(field->name), value);
    }
    return out;
}

/* ---- schemas to OpenAPI ---- */

static const struct {
    const char *type, *format;
} openapi_types[] = {
    [FIELD_STRING] = {"string", NULL},   [FIELD_BOOL] = {"boolean", NULL},
    [FIELD_I32] = {"integer", "int32"},  [FIELD_I64] = {"integer", "int64"},
    [FIELD_U16] = {"integer", "int32"},  [FIELD_U32] = {"integer", "int64"},
    [FIELD_U64] = {"integer", "int64"},  [FIELD_ENUM] = {"string", NULL},
    [FIELD_DURATION] = {"string", NULL}, [FIELD_TIME] = {"string", "date-time"},
    [FIELD_BYTES] = {"string", "byte"},  [FIELD_INT_OR_STRING] = {"string", "int-or-string"},
    [FIELD_OBJECT] = {"object", NULL},   [FIELD_OBJECT_PTR] = {"object", NULL},
    [FIELD_LIST] = {"array", NULL},      [FIELD_MAP] = {"object", NULL},
    [FIELD_RAW] = {"object", NULL},
};

#define DURATION_PATTERN "^([0-9]{1,5}(h|m|s|ms)){1,4}$"

static void describe_bounds(struct json *out, enum json_type type, int64_t min, int64_t max,
                            struct arena *arena)
{
    static const char *const names[][2] = {
        [JSON_NUMBER] = {"minimum", "maximum"},
        [JSON_STRING] = {"minLength", "maxLength"},
        [JSON_ARRAY] = {"minItems", "maxItems"},
        [JSON_OBJECT] = {"minProperties", "maxProperties"},
    };
    if (min != 0 || (max != 0 && type == JSON_NUMBER))
        (void)json_set_int(arena, out, names[type][0], min);
    if (max != 0)
        (void)json_set_int(arena, out, names[type][1], max);
}

static void describe_names(struct json *out, const struct field *field, bool is_number, struct arena *arena)
{
    if (field->names == NULL)
        return;
    struct json *list = json_set_n(arena, out, SLICE("enum"), json_new_array(arena));
    for (size_t i = 0; field->names[i] != NULL; ++i)
        (void)json_push(list, is_number ? json_new_int(arena, strtoll(field->names[i], NULL, 10))
                                        : json_new_str(arena, field->names[i]));
}

static void describe_scalar(struct json *out, const struct field *field, enum field_type type, int64_t min,
                            int64_t max, struct arena *arena)
{
    bool is_number = openapi_types[type].type[0] == 'i';
    (void)json_set_str(arena, out, "type", openapi_types[type].type);
    if (openapi_types[type].format != NULL)
        (void)json_set_str(arena, out, "format", openapi_types[type].format);
    describe_names(out, field, is_number, arena);
    if (is_number || type == FIELD_STRING)
        describe_bounds(out, is_number ? JSON_NUMBER : JSON_STRING, min, max, arena);
    if (type == FIELD_DURATION)
        (void)json_set_str(arena, out, "pattern", DURATION_PATTERN);
    else if (field->format != NULL && type == FIELD_STRING)
        (void)json_set_str(arena, out, "pattern", field->format->pattern);
}

static void describe_list(struct json *out, const struct field *field, const char *ref_prefix,
                          struct arena *arena)
{
    struct json *items;
    if (field->item == FIELD_OBJECT)
        items = field_openapi(field->schema, ref_prefix, arena);
    else {
        items = json_new_object(arena);
        describe_scalar(items, field, field->item, field->item_min, field->item_max, arena);
    }
    (void)json_set_n(arena, out, SLICE("items"), items);
    (void)json_set_str(arena, out, "x-kubernetes-list-type",
                       field->list_key != NULL    ? "map"
                       : field->flags & FIELD_SET ? "set"
                                                  : "atomic");
    if (field->merge_key != NULL) {
        (void)json_set_str(arena, out, "x-kubernetes-patch-merge-key", field->merge_key);
        (void)json_set_str(arena, out, "x-kubernetes-patch-strategy", "merge");
    }
    if (field->list_key == NULL)
        return;
    struct json *keys = json_set_n(arena, out, SLICE("x-kubernetes-list-map-keys"), json_new_array(arena));
    for (const char *at = field->list_key; *at != '\0';) {
        size_t len = strcspn(at, ",");
        (void)json_push(keys, json_new_string(arena, slice_make(at, len)));
        at += at[len] == ',' ? len + 1 : len;
    }
}

static void describe_map(struct json *out, const struct field *field, struct arena *arena)
{
    struct json *values = json_set_n(arena, out, SLICE("additionalProperties"), json_new_object(arena));
    describe_scalar(values, field, field->item, field->item_min, field->item_max, arena);
}

static void describe_default(struct json *out, const struct field *field, struct arena *arena)
{
    if (field->def == NULL)
        return;
    struct json scalar, *value = NULL;
    if (field_scalar_size(field->type) != 0) {
        scalar = field_default_scalar(field->type, field->def);
        value = json_clone(arena, &scalar);
    } else
        value = json_parse(arena, slice_of(field->def), NULL);
    if (value != NULL)
        (void)json_set_n(arena, out, SLICE("default"), value);
}

/* OpenAPI v2, for clients that know nothing newer. */
static bool is_v2(const char *ref_prefix)
{
    return ref_prefix != NULL && strcmp(ref_prefix, "#/definitions/") == 0;
}

/* A reference may have no siblings in v3: description and default then go around it. Old kubectl, which reads
 * v2, follows only a reference that stands alone, and takes siblings. */
static struct json *describe_nested(const struct field *field, const char *ref_prefix, struct arena *arena)
{
    struct json *nested = field_openapi(field->schema, ref_prefix, arena);
    if (json_get(nested, "$ref") == NULL || is_v2(ref_prefix))
        return nested;
    struct json *out = json_new_object(arena);
    (void)json_push(json_set_n(arena, out, SLICE("allOf"), json_new_array(arena)), nested);
    return out;
}

/* v2 has no oneOf: there the format alone says it. */
static void describe_either(struct json *out, struct arena *arena)
{
    struct json *list = json_set_n(arena, out, SLICE("oneOf"), json_new_array(arena));
    (void)json_remove(out, "type");
    (void)json_set_str(arena, json_push(list, json_new_object(arena)), "type", "integer");
    (void)json_set_str(arena, json_push(list, json_new_object(arena)), "type", "string");
}

static struct json *describe_field(const struct field *field, const char *ref_prefix, struct arena *arena)
{
    bool is_nested = field->type == FIELD_OBJECT || field->type == FIELD_OBJECT_PTR ||
                     (field->type == FIELD_RAW && field->schema != NULL);
    struct json *out = is_nested ? describe_nested(field, ref_prefix, arena) : json_new_object(arena);
    if (field_scalar_size(field->type) != 0)
        describe_scalar(out, field, field->type, field->min, field->max, arena);
    else if (!is_nested)
        (void)json_set_str(arena, out, "type", openapi_types[field->type].type);
    if (field->type == FIELD_INT_OR_STRING && !is_v2(ref_prefix))
        describe_either(out, arena);
    if (field->type == FIELD_LIST || field->type == FIELD_MAP)
        describe_bounds(out, field->type == FIELD_LIST ? JSON_ARRAY : JSON_OBJECT, field->min, field->max,
                        arena);
    if (field->type == FIELD_LIST)
        describe_list(out, field, ref_prefix, arena);
    else if (field->type == FIELD_MAP)
        describe_map(out, field, arena);
    else if (field->type == FIELD_RAW && field->schema == NULL)
        (void)json_set_bool(arena, out, "x-kubernetes-preserve-unknown-fields", true);
    if (field->doc != NULL)
        (void)json_set_str(arena, out, "description", field->doc);
    describe_default(out, field, arena);
    return out;
}

static struct json *describe_ref(const struct field_schema *schema, const char *ref_prefix,
                                 struct arena *arena)
{
    struct json *out = json_new_object(arena);
    (void)json_set_str(arena, out, "$ref", arena_printf(arena, "%s%s", ref_prefix, schema->name));
    return out;
}

/* The definition itself, even of a shared schema. */
struct json *field_openapi_definition(const struct field_schema *schema, const char *ref_prefix,
                                      struct arena *arena)
{
    struct json *out = json_new_object(arena), *required = json_new_array(arena);
    (void)json_set_str(arena, out, "type", "object");
    if (schema->doc != NULL)
        (void)json_set_str(arena, out, "description", schema->doc);
    struct json *properties = json_set_n(arena, out, SLICE("properties"), json_new_object(arena));
    for (uint32_t i = 0; i < schema->num_fields; ++i) {
        const struct field *field = &schema->fields[i];
        if (field->flags & FIELD_UNSUPPORTED)
            continue;
        (void)json_set_n(arena, properties, slice_of(field->name), describe_field(field, ref_prefix, arena));
        if (field->flags & FIELD_NEEDED)
            (void)json_push(required, json_new_str(arena, field->name));
    }
    if (required->num != 0)
        (void)json_set_n(arena, out, SLICE("required"), required);
    return out;
}

struct json *field_openapi(const struct field_schema *schema, const char *ref_prefix, struct arena *arena)
{
    if (schema->name != NULL && ref_prefix != NULL)
        return describe_ref(schema, ref_prefix, arena);
    return field_openapi_definition(schema, ref_prefix, arena);
}

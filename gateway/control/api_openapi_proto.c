/* An OpenAPI v2 document in protobuf: gnostic's openapi.v2.Document, the only form some kubectl generations ask for.
 *
 * Each message is a table: JSON member -> field number and how it is written. Members no table knows are left out, those
 * that begin with "x-" go into vendor_extension as YAML text (of which JSON is a part). */
#include "gateway/control/api_openapi.h"

#include "core/base/defs.h"

#include <string.h>

enum proto_type {
    PROTO_STRING,
    PROTO_BOOL,
    PROTO_INT,
    PROTO_DOUBLE,
    PROTO_STRINGS,  /* repeated string */
    PROTO_ANY,      /* Any{yaml = 2} */
    PROTO_ANYS,     /* repeated Any */
    PROTO_MESSAGE,
    PROTO_MESSAGES, /* repeated message */
    PROTO_NAMED,    /* a message with the repeated field `inner` of {name = 1, value = 2} */
    PROTO_EITHER,   /* a boolean (field 2) or an object (field 1) inside a message */
};

struct proto_message;

struct proto_field {
    const char *name;
    unsigned number;
    enum proto_type type;
    const struct proto_message *message;
    unsigned inner; /* NAMED: as above; others: when not 0, the value stands in this field of a message of its own */
};

struct proto_message {
    const struct proto_field *fields; /* ends with name NULL */
    unsigned extension;               /* number of vendor_extension; 0: none */
    void (*write)(struct strbuf *out, const struct json *value); /* instead, when a table does not do */
};

/* ---------- the wire (https://protobuf.dev/programming-guides/encoding) ---------- */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

static void add_varint(struct strbuf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        strbuf_addc(out, (char)(value | 0x80));
    strbuf_addc(out, (char)value);
}

static void add_key(struct strbuf *out, unsigned number, unsigned wire)
{
    add_varint(out, (uint64_t)number << 3 | wire);
}

static void add_bytes(struct strbuf *out, unsigned number, struct slice bytes)
{
    add_key(out, number, WIRE_BYTES);
    add_varint(out, bytes.len);
    strbuf_add_slice(out, bytes);
}

static void add_inner(struct strbuf *out, unsigned number, struct strbuf *inner)
{
    add_bytes(out, number, strbuf_slice(inner));
    strbuf_clear(inner);
}

/* ---------- values ---------- */

static void write_message(struct strbuf *out, const struct proto_message *message, const struct json *value);

static void add_any(struct strbuf *out, unsigned number, const struct json *value)
{
    struct strbuf any = STRBUF_INIT, text = STRBUF_INIT;
    json_write(&text, value);
    add_bytes(&any, 2, strbuf_slice(&text));
    strbuf_clear(&text);
    add_inner(out, number, &any);
}

static void add_message(struct strbuf *out, unsigned number, const struct proto_message *message, const struct json *value)
{
    struct strbuf inner = STRBUF_INIT;
    write_message(&inner, message, value);
    add_inner(out, number, &inner);
}

static void add_named(struct strbuf *out, const struct proto_field *field, const struct json *value)
{
    struct strbuf all = STRBUF_INIT;
    JSON_FOR(member, value)
    {
        struct strbuf pair = STRBUF_INIT;
        add_bytes(&pair, 1, member->key);
        add_message(&pair, 2, field->message, member);
        add_inner(&all, field->inner, &pair);
    }
    add_inner(out, field->number, &all);
}

static void add_double(struct strbuf *out, unsigned number, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    add_key(out, number, WIRE_FIXED64);
    for (int i = 0; i < 8; ++i)
        strbuf_addc(out, (char)(bits >> (8 * i)));
}

static void add_value(struct strbuf *out, unsigned number, const struct proto_field *field, const struct json *value)
{
    switch (field->type) {
    case PROTO_STRING:
        add_bytes(out, number, value->text);
        break;
    case PROTO_BOOL:
        add_key(out, number, WIRE_VARINT);
        add_varint(out, json_is_true(value));
        break;
    case PROTO_INT:
        add_key(out, number, WIRE_VARINT);
        add_varint(out, (uint64_t)json_int_or(value, 0));
        break;
    case PROTO_DOUBLE:
        add_double(out, number, json_double_or(value, 0));
        break;
    case PROTO_STRINGS:
        JSON_FOR(item, value)
        add_bytes(out, number, item->text);
        break;
    case PROTO_ANY:
        add_any(out, number, value);
        break;
    case PROTO_ANYS:
        JSON_FOR(item, value)
        add_any(out, number, item);
        break;
    case PROTO_MESSAGE:
        add_message(out, number, field->message, value);
        break;
    case PROTO_MESSAGES:
        JSON_FOR(item, value)
        add_message(out, number, field->message, item);
        break;
    case PROTO_EITHER:
        if (value->type == JSON_OBJECT) {
            add_message(out, 1, field->message, value);
        } else {
            add_key(out, 2, WIRE_VARINT);
            add_varint(out, json_is_true(value));
        }
        break;
    case PROTO_NAMED:
        break;
    }
}

static void add_field(struct strbuf *out, const struct proto_field *field, const struct json *value)
{
    struct strbuf inner = STRBUF_INIT;
    if (field->type == PROTO_NAMED) {
        add_named(out, field, value);
    } else if (field->type == PROTO_EITHER || field->inner != 0) {
        add_value(&inner, field->inner, field, value);
        add_inner(out, field->number, &inner);
    } else {
        add_value(out, field->number, field, value);
    }
}

static void add_extension(struct strbuf *out, unsigned number, const struct json *member)
{
    struct strbuf pair = STRBUF_INIT;
    add_bytes(&pair, 1, member->key);
    add_any(&pair, 2, member);
    add_inner(out, number, &pair);
}

static void write_message(struct strbuf *out, const struct proto_message *message, const struct json *value)
{
    if (message->write != NULL) {
        message->write(out, value);
        return;
    }
    JSON_FOR(member, value)
    {
        if (message->extension != 0 && slice_starts(member->key, SLICE("x-"))) {
            add_extension(out, message->extension, member);
            continue;
        }
        for (const struct proto_field *field = message->fields; field->name != NULL; ++field)
            if (slice_is(member->key, field->name))
                add_field(out, field, member);
    }
}

/* ---------- the messages ---------- */

static const struct proto_message schema;
static const struct proto_field schema_fields[] = {
    {"$ref", 1, PROTO_STRING, NULL, 0},
    {"format", 2, PROTO_STRING, NULL, 0},
    {"title", 3, PROTO_STRING, NULL, 0},
    {"description", 4, PROTO_STRING, NULL, 0},
    {"default", 5, PROTO_ANY, NULL, 0},
    {"maximum", 7, PROTO_DOUBLE, NULL, 0},
    {"minimum", 9, PROTO_DOUBLE, NULL, 0},
    {"maxLength", 11, PROTO_INT, NULL, 0},
    {"minLength", 12, PROTO_INT, NULL, 0},
    {"pattern", 13, PROTO_STRING, NULL, 0},
    {"maxItems", 14, PROTO_INT, NULL, 0},
    {"minItems", 15, PROTO_INT, NULL, 0},
    {"uniqueItems", 16, PROTO_BOOL, NULL, 0},
    {"maxProperties", 17, PROTO_INT, NULL, 0},
    {"minProperties", 18, PROTO_INT, NULL, 0},
    {"required", 19, PROTO_STRINGS, NULL, 0},
    {"enum", 20, PROTO_ANYS, NULL, 0},
    {"additionalProperties", 21, PROTO_EITHER, &schema, 0},
    {"type", 22, PROTO_STRING, NULL, 1},
    {"items", 23, PROTO_MESSAGE, &schema, 1},
    {"allOf", 24, PROTO_MESSAGES, &schema, 0},
    {"properties", 25, PROTO_NAMED, &schema, 1},
    {"readOnly", 27, PROTO_BOOL, NULL, 0},
    {0},
};
static const struct proto_message schema = {schema_fields, 31, NULL};

static const struct proto_field body_fields[] = {
    {"description", 1, PROTO_STRING, NULL, 0}, {"name", 2, PROTO_STRING, NULL, 0},     {"in", 3, PROTO_STRING, NULL, 0},
    {"required", 4, PROTO_BOOL, NULL, 0},      {"schema", 5, PROTO_MESSAGE, &schema, 0}, {0},
};
static const struct proto_message body = {body_fields, 6, NULL};

static const struct proto_field query_fields[] = {
    {"required", 1, PROTO_BOOL, NULL, 0}, {"in", 2, PROTO_STRING, NULL, 0},   {"description", 3, PROTO_STRING, NULL, 0},
    {"name", 4, PROTO_STRING, NULL, 0},   {"type", 6, PROTO_STRING, NULL, 0}, {0},
};
static const struct proto_message query = {query_fields, 23, NULL};

static const struct proto_field path_fields[] = {
    {"required", 1, PROTO_BOOL, NULL, 0}, {"in", 2, PROTO_STRING, NULL, 0},   {"description", 3, PROTO_STRING, NULL, 0},
    {"name", 4, PROTO_STRING, NULL, 0},   {"type", 5, PROTO_STRING, NULL, 0}, {0},
};
static const struct proto_message in_path = {path_fields, 22, NULL};

/* ParametersItem{parameter = 1}: Parameter{body = 1, non_body = 2}: NonBodyParameter{query = 3, path = 4}. */
static void write_parameter(struct strbuf *out, const struct json *value)
{
    struct strbuf parameter = STRBUF_INIT, non_body = STRBUF_INIT;
    const char *in = json_str(json_get(value, "in"), "");
    if (strcmp(in, "body") == 0) {
        add_message(&parameter, 1, &body, value);
    } else {
        bool is_path = strcmp(in, "path") == 0;
        add_message(&non_body, is_path ? 4 : 3, is_path ? &in_path : &query, value);
        add_inner(&parameter, 2, &non_body);
    }
    add_inner(out, 1, &parameter);
}
static const struct proto_message parameter = {NULL, 0, write_parameter};

static const struct proto_field response_fields[] = {
    {"description", 1, PROTO_STRING, NULL, 0},
    {"schema", 2, PROTO_MESSAGE, &schema, 1}, /* SchemaItem{schema = 1} */
    {0},
};
static const struct proto_message response = {response_fields, 5, NULL};

static void write_response_value(struct strbuf *out, const struct json *value) /* ResponseValue{response = 1} */
{
    add_message(out, 1, &response, value);
}
static const struct proto_message response_value = {NULL, 0, write_response_value};

static const struct proto_field operation_fields[] = {
    {"description", 3, PROTO_STRING, NULL, 0},
    {"operationId", 5, PROTO_STRING, NULL, 0},
    {"parameters", 8, PROTO_MESSAGES, &parameter, 0},
    {"responses", 9, PROTO_NAMED, &response_value, 1},
    {0},
};
static const struct proto_message operation = {operation_fields, 13, NULL};

static const struct proto_field path_item_fields[] = {
    {"get", 2, PROTO_MESSAGE, &operation, 0},        {"put", 3, PROTO_MESSAGE, &operation, 0},
    {"post", 4, PROTO_MESSAGE, &operation, 0},       {"delete", 5, PROTO_MESSAGE, &operation, 0},
    {"patch", 8, PROTO_MESSAGE, &operation, 0},      {"parameters", 9, PROTO_MESSAGES, &parameter, 0},
    {0},
};
static const struct proto_message path_item = {path_item_fields, 10, NULL};

static const struct proto_field info_fields[] = {{"title", 1, PROTO_STRING, NULL, 0}, {"version", 2, PROTO_STRING, NULL, 0}, {0}};
static const struct proto_message info = {info_fields, 7, NULL};

static const struct proto_field document_fields[] = {
    {"swagger", 1, PROTO_STRING, NULL, 0},
    {"info", 2, PROTO_MESSAGE, &info, 0},
    {"paths", 8, PROTO_NAMED, &path_item, 2},
    {"definitions", 9, PROTO_NAMED, &schema, 1},
    {0},
};
static const struct proto_message document_message = {document_fields, 16, NULL};

void api_openapi_write_proto(struct strbuf *out, const struct json *document)
{
    write_message(out, &document_message, document);
}

/* Kubernetes' protobuf form, read: an envelope (four bytes, runtime.Unknown) around a message whose type the envelope names.
 *
 * Each message is a table: field number -> JSON member and how it is written, as in the generated.proto files of
 * k8s.io/apimachinery, api/core/v1, api/discovery/v1, api/authorization/v1. The writers put every member that is no pointer
 * on the wire, empty or not: what is empty there is absent in JSON. `status` is passed over: the server makes it. */
#include "gateway/control/api_proto.h"

#include "core/base/base64.h"
#include "core/base/clock.h"
#include "core/base/utf8.h"
#include "core/model/field.h"

enum proto_type {
    PROTO_STRING,
    PROTO_BOOL,
    PROTO_INT,
    PROTO_STRINGS,
    PROTO_MAP,       /* of strings */
    PROTO_BYTES_MAP, /* base64 in JSON */
    PROTO_TIME,      /* Time {seconds = 1, nanos = 2} */
    PROTO_EITHER,    /* IntOrString {type = 1, intVal = 2, strVal = 3} */
    PROTO_JSON,      /* FieldsV1 {Raw = 1}: JSON as it is */
    PROTO_MESSAGE,
    PROTO_MESSAGES,
    PROTO_SKIP,
};

struct proto_row {
    unsigned number; /* 0 ends a table */
    const char *name;
    enum proto_type type;
    const struct proto_row *message;
    bool is_pointer; /* there at all means said: 0, false and "" too */
};

/* ---------- the messages ---------- */

#define PLAIN(number, name, type) {number, name, PROTO_##type, NULL, false}
#define POINTER(number, name, type) {number, name, PROTO_##type, NULL, true}
#define NESTED(number, name, type, rows) {number, name, PROTO_##type, rows, false}
#define END {0, NULL, PROTO_SKIP, NULL, false}

static const struct proto_row owner_reference[] = {
    PLAIN(1, "kind", STRING), PLAIN(3, "name", STRING), PLAIN(4, "uid", STRING), PLAIN(5, "apiVersion", STRING),
    POINTER(6, "controller", BOOL), POINTER(7, "blockOwnerDeletion", BOOL), END};
static const struct proto_row managed_fields[] = {
    PLAIN(1, "manager", STRING), PLAIN(2, "operation", STRING), PLAIN(3, "apiVersion", STRING), PLAIN(4, "time", TIME),
    PLAIN(6, "fieldsType", STRING), PLAIN(7, "fieldsV1", JSON), PLAIN(8, "subresource", STRING), END};
static const struct proto_row object_meta[] = {
    PLAIN(1, "name", STRING), PLAIN(2, "generateName", STRING), PLAIN(3, "namespace", STRING), PLAIN(4, "selfLink", STRING),
    PLAIN(5, "uid", STRING), PLAIN(6, "resourceVersion", STRING), PLAIN(7, "generation", INT),
    PLAIN(8, "creationTimestamp", TIME), PLAIN(9, "deletionTimestamp", TIME),
    POINTER(10, "deletionGracePeriodSeconds", INT), PLAIN(11, "labels", MAP), PLAIN(12, "annotations", MAP),
    NESTED(13, "ownerReferences", MESSAGES, owner_reference), PLAIN(14, "finalizers", STRINGS),
    NESTED(17, "managedFields", MESSAGES, managed_fields), END};

static const struct proto_row namespace_spec[] = {PLAIN(1, "finalizers", STRINGS), END};
static const struct proto_row namespace[] = {
    NESTED(1, "metadata", MESSAGE, object_meta), NESTED(2, "spec", MESSAGE, namespace_spec), PLAIN(3, "status", SKIP), END};
static const struct proto_row secret[] = {
    NESTED(1, "metadata", MESSAGE, object_meta), PLAIN(2, "data", BYTES_MAP), PLAIN(3, "type", STRING),
    PLAIN(4, "stringData", MAP), POINTER(5, "immutable", BOOL), END};
static const struct proto_row config_map[] = {
    NESTED(1, "metadata", MESSAGE, object_meta), PLAIN(2, "data", MAP), PLAIN(3, "binaryData", BYTES_MAP),
    POINTER(4, "immutable", BOOL), END};

static const struct proto_row service_port[] = {
    PLAIN(1, "name", STRING), PLAIN(2, "protocol", STRING), PLAIN(3, "port", INT), PLAIN(4, "targetPort", EITHER),
    PLAIN(5, "nodePort", INT), POINTER(6, "appProtocol", STRING), END};
static const struct proto_row client_ip[] = {POINTER(1, "timeoutSeconds", INT), END};
static const struct proto_row session_affinity[] = {NESTED(1, "clientIP", MESSAGE, client_ip), END};
static const struct proto_row service_spec[] = {
    NESTED(1, "ports", MESSAGES, service_port), PLAIN(2, "selector", MAP), PLAIN(3, "clusterIP", STRING), PLAIN(4, "type", STRING),
    PLAIN(5, "externalIPs", STRINGS), PLAIN(7, "sessionAffinity", STRING), PLAIN(8, "loadBalancerIP", STRING),
    PLAIN(9, "loadBalancerSourceRanges", STRINGS), PLAIN(10, "externalName", STRING), PLAIN(11, "externalTrafficPolicy", STRING),
    PLAIN(12, "healthCheckNodePort", INT), PLAIN(13, "publishNotReadyAddresses", BOOL),
    NESTED(14, "sessionAffinityConfig", MESSAGE, session_affinity), POINTER(17, "ipFamilyPolicy", STRING),
    PLAIN(18, "clusterIPs", STRINGS), PLAIN(19, "ipFamilies", STRINGS), POINTER(20, "allocateLoadBalancerNodePorts", BOOL),
    POINTER(21, "loadBalancerClass", STRING), POINTER(22, "internalTrafficPolicy", STRING),
    POINTER(23, "trafficDistribution", STRING), END};
static const struct proto_row service[] = {
    NESTED(1, "metadata", MESSAGE, object_meta), NESTED(2, "spec", MESSAGE, service_spec), PLAIN(3, "status", SKIP), END};

static const struct proto_row object_reference[] = {
    PLAIN(1, "kind", STRING), PLAIN(2, "namespace", STRING), PLAIN(3, "name", STRING), PLAIN(4, "uid", STRING),
    PLAIN(5, "apiVersion", STRING), PLAIN(6, "resourceVersion", STRING), PLAIN(7, "fieldPath", STRING), END};
static const struct proto_row endpoint_conditions[] = {
    POINTER(1, "ready", BOOL), POINTER(2, "serving", BOOL), POINTER(3, "terminating", BOOL), END};
static const struct proto_row for_zone[] = {PLAIN(1, "name", STRING), END};
static const struct proto_row endpoint_hints[] = {NESTED(1, "forZones", MESSAGES, for_zone), END};
static const struct proto_row endpoint[] = {
    PLAIN(1, "addresses", STRINGS), NESTED(2, "conditions", MESSAGE, endpoint_conditions), POINTER(3, "hostname", STRING),
    NESTED(4, "targetRef", MESSAGE, object_reference), PLAIN(5, "deprecatedTopology", MAP), POINTER(6, "nodeName", STRING),
    POINTER(7, "zone", STRING), NESTED(8, "hints", MESSAGE, endpoint_hints), END};
static const struct proto_row endpoint_port[] = {
    POINTER(1, "name", STRING), POINTER(2, "protocol", STRING), POINTER(3, "port", INT),
    POINTER(4, "appProtocol", STRING), END};
static const struct proto_row endpoint_slice[] = {
    NESTED(1, "metadata", MESSAGE, object_meta), NESTED(2, "endpoints", MESSAGES, endpoint), NESTED(3, "ports", MESSAGES, endpoint_port),
    PLAIN(4, "addressType", STRING), END};

static const struct proto_row preconditions[] = {
    POINTER(1, "uid", STRING), POINTER(2, "resourceVersion", STRING), END};
static const struct proto_row delete_options[] = {
    POINTER(1, "gracePeriodSeconds", INT), NESTED(2, "preconditions", MESSAGE, preconditions),
    POINTER(3, "orphanDependents", BOOL), POINTER(4, "propagationPolicy", STRING), PLAIN(5, "dryRun", STRINGS), END};

static const struct proto_row resource_attributes[] = {
    PLAIN(1, "namespace", STRING), PLAIN(2, "verb", STRING), PLAIN(3, "group", STRING), PLAIN(4, "version", STRING),
    PLAIN(5, "resource", STRING), PLAIN(6, "subresource", STRING), PLAIN(7, "name", STRING), PLAIN(8, "fieldSelector", SKIP),
    PLAIN(9, "labelSelector", SKIP), END};
static const struct proto_row path_attributes[] = {PLAIN(1, "path", STRING), PLAIN(2, "verb", STRING), END};
static const struct proto_row access_spec[] = {
    NESTED(1, "resourceAttributes", MESSAGE, resource_attributes), NESTED(2, "nonResourceAttributes", MESSAGE, path_attributes), END};
static const struct proto_row access_review[] = {
    NESTED(1, "metadata", MESSAGE, object_meta), NESTED(2, "spec", MESSAGE, access_spec), PLAIN(3, "status", SKIP), END};
static const struct proto_row rules_spec[] = {PLAIN(1, "namespace", STRING), END};
static const struct proto_row rules_review[] = {
    NESTED(1, "metadata", MESSAGE, object_meta), NESTED(2, "spec", MESSAGE, rules_spec), PLAIN(3, "status", SKIP), END};
static const struct proto_row self_review[] = {NESTED(1, "metadata", MESSAGE, object_meta), PLAIN(2, "status", SKIP), END};

static const struct {
    const char *api_version, *kind;
    const struct proto_row *rows;
} documents[] = {
    {"v1", "Namespace", namespace},
    {"v1", "Secret", secret},
    {"v1", "ConfigMap", config_map},
    {"v1", "Service", service},
    {"discovery.k8s.io/v1", "EndpointSlice", endpoint_slice},
    {"v1", "DeleteOptions", delete_options},
    {"meta.k8s.io/v1", "DeleteOptions", delete_options},
    {"discovery.k8s.io/v1", "DeleteOptions", delete_options},
    {"authorization.k8s.io/v1", "SelfSubjectAccessReview", access_review},
    {"authorization.k8s.io/v1", "SelfSubjectRulesReview", rules_review},
    {"authentication.k8s.io/v1", "SelfSubjectReview", self_review},
};

static const struct proto_row type_meta[] = {PLAIN(1, "apiVersion", STRING), PLAIN(2, "kind", STRING), END};
static const struct proto_row unknown[] = {
    NESTED(1, "typeMeta", MESSAGE, type_meta), PLAIN(2, "raw", SKIP), PLAIN(3, "contentEncoding", STRING),
    PLAIN(4, "contentType", STRING), END};

/* ---------- the wire (https://protobuf.dev/programming-guides/encoding) ---------- */

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 }; /* the fixed-width forms stand in none of these messages */

struct wire_field {
    unsigned number, wire;
    uint64_t varint;
    struct slice bytes;
};

static bool take_varint(struct slice *rest, uint64_t *ret)
{
    *ret = 0;
    for (unsigned shift = 0; shift < 64 && rest->len != 0; shift += 7) {
        unsigned char byte = (unsigned char)rest->base[0];
        *rest = slice_make(rest->base + 1, rest->len - 1);
        if (shift == 63 && byte > 1)
            return false;
        *ret |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool take_field(struct slice *rest, struct wire_field *ret)
{
    uint64_t key, len;
    if (!take_varint(rest, &key) || key >> 3 == 0 || key >> 3 > 536870911)
        return false;
    *ret = (struct wire_field){.number = (unsigned)(key >> 3), .wire = (unsigned)(key & 7)};
    if (ret->wire == WIRE_VARINT)
        return take_varint(rest, &ret->varint);
    if (ret->wire != WIRE_BYTES || !take_varint(rest, &len) || len > rest->len)
        return false;
    ret->bytes = slice_make(rest->base, (size_t)len);
    *rest = slice_make(rest->base + len, rest->len - (size_t)len);
    return true;
}

/* ---------- values ---------- */

struct reader {
    struct arena *arena;
    struct err *err;
};

static int read_message(struct reader *reader, struct slice bytes, const struct proto_row *rows, const char *path, struct json *out);

static int malformed(struct reader *reader, const char *path)
{
    return err_set(reader->err, ERR_BAD_REQUEST, "protobuf: %s is malformed", path);
}

static int add_string(struct reader *reader, const struct proto_row *row, struct slice text, struct json *out)
{
    if (!utf8_is_valid(text))
        return err_set(reader->err, ERR_BAD_REQUEST, "protobuf: %s is not UTF-8", row->name);
    if (text.len != 0 || row->is_pointer)
        json_set(reader->arena, out, row->name, json_new_string(reader->arena, text));
    return 0;
}

static struct json *new_base64(struct arena *arena, struct slice bytes)
{
    struct strbuf text = STRBUF_INIT;
    base64_add(&text, bytes);
    struct json *value = json_new_string(arena, strbuf_slice(&text));
    strbuf_clear(&text);
    return value;
}

/* The array or object of a repeated field, made when first met. */
static struct json *gather(struct reader *reader, const struct proto_row *row, struct json *out, struct json *(*make)(struct arena *arena))
{
    struct json *all = json_get(out, row->name);
    return all != NULL ? all : json_set(reader->arena, out, row->name, make(reader->arena));
}

/* {key = 1, value = 2}; both may be absent. */
static int add_pair(struct reader *reader, const struct proto_row *row, struct slice bytes, struct json *out)
{
    struct slice key = SLICE(""), value = SLICE("");
    struct json *map = gather(reader, row, out, json_new_object);
    struct wire_field field;
    while (bytes.len != 0) {
        if (!take_field(&bytes, &field) || field.wire != WIRE_BYTES || field.number > 2)
            return malformed(reader, row->name);
        *(field.number == 1 ? &key : &value) = field.bytes;
    }
    if (!utf8_is_valid(key) || (row->type == PROTO_MAP && !utf8_is_valid(value)))
        return err_set(reader->err, ERR_BAD_REQUEST, "protobuf: %s is not UTF-8", row->name);
    if (map->num == FIELD_MAP_MAX) /* each entry is compared with all before it */
        return err_set(reader->err, ERR_TOO_LARGE, "protobuf: %s has more than %d entries", row->name, FIELD_MAP_MAX);
    if (json_get_n(map, key) != NULL)
        return err_set(reader->err, ERR_BAD_REQUEST, "protobuf: %s has an entry twice", row->name);
    json_set_n(reader->arena, map, arena_slice(reader->arena, key),
               row->type == PROTO_MAP ? json_new_string(reader->arena, value) : new_base64(reader->arena, value));
    return 0;
}

static int add_time(struct reader *reader, const struct proto_row *row, struct slice bytes, struct json *out)
{
    static const int64_t first_s = -62135596800, last_s = 253402300799; /* years 1 to 9999 */
    int64_t seconds = 0;
    struct wire_field field;
    char text[CLOCK_RFC3339_LEN + 1];
    bool is_given = bytes.len != 0;
    while (bytes.len != 0) {
        if (!take_field(&bytes, &field) || field.wire != WIRE_VARINT)
            return malformed(reader, row->name);
        if (field.number == 1)
            seconds = (int64_t)field.varint;
    }
    if (!is_given)
        return 0;
    if (seconds < first_s || seconds > last_s)
        return malformed(reader, row->name);
    clock_rfc3339(seconds * 1000000, text);
    json_set_str(reader->arena, out, row->name, text);
    return 0;
}

/* Neither number nor text: absent, as the API of Kubernetes reads it. */
static int add_either(struct reader *reader, const struct proto_row *row, struct slice bytes, struct json *out)
{
    int64_t number = 0;
    struct slice text = SLICE("");
    struct wire_field field;
    bool is_text = false;
    while (bytes.len != 0) {
        if (!take_field(&bytes, &field) || field.wire != (field.number == 3 ? WIRE_BYTES : WIRE_VARINT))
            return malformed(reader, row->name);
        if (field.number == 1)
            is_text = field.varint != 0;
        else if (field.number == 2)
            number = (int64_t)field.varint;
        else
            text = field.bytes;
    }
    if (is_text)
        return add_string(reader, row, text, out);
    if (number != 0)
        json_set_int(reader->arena, out, row->name, number);
    return 0;
}

static int add_json(struct reader *reader, const struct proto_row *row, struct slice bytes, struct json *out)
{
    struct wire_field field;
    while (bytes.len != 0) {
        if (!take_field(&bytes, &field) || field.wire != WIRE_BYTES)
            return malformed(reader, row->name);
        struct json *value = json_parse(reader->arena, field.bytes, reader->err);
        if (value == NULL)
            return err_wrap(reader->err, "protobuf: %s", row->name);
        json_set(reader->arena, out, row->name, value);
    }
    return 0;
}

static int add_number(struct reader *reader, const struct proto_row *row, uint64_t value, struct json *out)
{
    if (value == 0 && !row->is_pointer)
        return 0;
    if (row->type == PROTO_BOOL)
        json_set_bool(reader->arena, out, row->name, value != 0);
    else
        json_set_int(reader->arena, out, row->name, (int64_t)value);
    return 0;
}

static int add_value(struct reader *reader, const struct proto_row *row, struct slice bytes, struct json *out)
{
    struct json *inner = NULL;
    switch (row->type) {
    case PROTO_STRING:
        return add_string(reader, row, bytes, out);
    case PROTO_STRINGS:
        if (!utf8_is_valid(bytes))
            return err_set(reader->err, ERR_BAD_REQUEST, "protobuf: %s is not UTF-8", row->name);
        json_push(gather(reader, row, out, json_new_array), json_new_string(reader->arena, bytes));
        return 0;
    case PROTO_MAP:
    case PROTO_BYTES_MAP:
        return add_pair(reader, row, bytes, out);
    case PROTO_TIME:
        return add_time(reader, row, bytes, out);
    case PROTO_EITHER:
        return add_either(reader, row, bytes, out);
    case PROTO_JSON:
        return add_json(reader, row, bytes, out);
    case PROTO_MESSAGE: /* twice: the later one adds to the earlier, as protobuf has it */
        return read_message(reader, bytes, row->message, row->name, gather(reader, row, out, json_new_object));
    case PROTO_MESSAGES:
        inner = json_push(gather(reader, row, out, json_new_array), json_new_object(reader->arena));
        return read_message(reader, bytes, row->message, row->name, inner);
    default:
        return malformed(reader, row->name);
    }
}

/* ---------- messages ---------- */

static const struct proto_row *find_row(const struct proto_row *rows, unsigned number)
{
    for (; rows->number != 0; ++rows)
        if (rows->number == number)
            return rows;
    return NULL;
}

/* What is not known and empty is a newer client's member that it does not use. */
static int read_field(struct reader *reader, const struct wire_field *field, const struct proto_row *rows, const char *path, struct json *out)
{
    const struct proto_row *row = find_row(rows, field->number);
    bool is_empty = field->varint == 0 && field->bytes.len == 0;
    if (row == NULL && !is_empty)
        return err_set(reader->err, ERR_BAD_REQUEST, "protobuf: field %u of %s is not known; send JSON to be told its name", field->number, path);
    if (row == NULL || row->type == PROTO_SKIP)
        return 0;
    if ((field->wire == WIRE_VARINT) != (row->type == PROTO_BOOL || row->type == PROTO_INT))
        return malformed(reader, row->name);
    return field->wire == WIRE_VARINT ? add_number(reader, row, field->varint, out) : add_value(reader, row, field->bytes, out);
}

static int read_message(struct reader *reader, struct slice bytes, const struct proto_row *rows, const char *path, struct json *out)
{
    struct wire_field field;
    while (bytes.len != 0) {
        if (!take_field(&bytes, &field))
            return malformed(reader, path);
        if (read_field(reader, &field, rows, path, out) != 0)
            return -1;
    }
    return 0;
}

/* ---------- the document ---------- */

static const struct proto_row *find_document(const char *api_version, const char *kind)
{
    for (size_t i = 0; i < ARRAY_LEN(documents); ++i)
        if (strcmp(documents[i].api_version, api_version) == 0 && strcmp(documents[i].kind, kind) == 0)
            return documents[i].rows;
    return NULL;
}

/* The message inside the envelope. */
static struct slice find_raw(struct slice envelope)
{
    struct wire_field field;
    struct slice raw = SLICE("");
    while (envelope.len != 0 && take_field(&envelope, &field))
        if (field.number == 2 && field.wire == WIRE_BYTES)
            raw = field.bytes;
    return raw;
}

struct json *api_proto_read(struct arena *arena, struct slice body, struct err *err)
{
    static const char magic[4] = {'k', '8', 's', '\0'};
    struct reader reader = {arena, err};
    struct json *envelope = json_new_object(arena), *out = json_new_object(arena);
    if (body.len < sizeof(magic) || memcmp(body.base, magic, sizeof(magic)) != 0) {
        err_set(err, ERR_BAD_REQUEST, "protobuf: the body does not begin with \"k8s\\0\"");
        return NULL;
    }
    body = slice_make(body.base + sizeof(magic), body.len - sizeof(magic));
    if (read_message(&reader, body, unknown, "the envelope", envelope) != 0)
        return NULL;
    const char *api_version = json_str(json_find(envelope, "typeMeta", "apiVersion", NULL), "");
    const char *kind = json_str(json_find(envelope, "typeMeta", "kind", NULL), "");
    const char *encoding = json_str(json_get(envelope, "contentEncoding"), ""), *type = json_str(json_get(envelope, "contentType"), "");
    const struct proto_row *rows = find_document(api_version, kind);
    if (rows == NULL || encoding[0] != '\0' || (type[0] != '\0' && strcmp(type, API_PROTO_MEDIA_TYPE) != 0)) {
        err_set(err, ERR_MEDIA_TYPE, "%.100s %.100s is not taken in protobuf form: use application/json or application/yaml", api_version, kind);
        return NULL;
    }
    json_set_str(arena, out, "apiVersion", api_version);
    json_set_str(arena, out, "kind", kind);
    return read_message(&reader, find_raw(body), rows, kind, out) == 0 ? out : NULL;
}

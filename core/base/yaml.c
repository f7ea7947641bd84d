/* The YAML reader: libyaml's events become the same trees as JSON's.
 *
 * Aliases are expanded by copying nodes (texts are shared), so a document of a few hundred bytes could ask
 * for billions: nodes and shared bytes are counted, and nesting is bounded, before anything is copied. */
#include "core/base/json.h"

#include "core/base/json_path.h"
#include "core/base/json_tree.h"
#include "core/base/yaml_scalar.h"

#include <yaml.h>

enum { MAX_NODES = 1 << 20 };
/* What aliases may add to the size of the text once it is written out again. */
enum { MAX_ALIAS_BYTES = 16 << 20 };

struct anchor {
    struct slice name;
    struct json *node; /* NULL while the node is being read: an alias to it would be inside itself */
};

struct reader {
    struct arena *arena;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    struct slice source;
    struct hashmap anchors; /* name -> struct anchor, of this document */
    size_t num_nodes, num_alias_bytes;
    unsigned depth;
    struct json_path_step path[JSON_MAX_DEPTH];
    struct hashmap seen[JSON_MAX_DEPTH];
    struct err *err;
};

static struct json *read_node(struct reader *r);

/* ---- errors ---- */

static void *fail_at(struct reader *r, yaml_mark_t mark, const char *what)
{
    char path[JSON_PATH_TEXT_MAX];
    json_path_write(path, r->path, r->depth);
    err_set(r->err, ERR_BAD_REQUEST, "line %zu column %zu: %s%s%s%s", mark.line + 1, mark.column + 1, what,
            path[0] != '\0' ? " (" : "", path, path[0] != '\0' ? ")" : "");
    return NULL;
}

static void *fail(struct reader *r, const char *what)
{
    return fail_at(r, r->event.start_mark, what);
}

static void *fail_named(struct reader *r, const char *what, struct slice name)
{
    char text[JSON_PATH_TEXT_MAX + 64], printable[JSON_PATH_TEXT_MAX];
    json_path_printable(printable, name);
    snprintf(text, sizeof(text), "%s '%s'", what, printable);
    return fail(r, text);
}

/* Bytes that are no UTF-8 are found by libyaml while it fills its buffer: it knows their offset only. */
static yaml_mark_t mark_of_offset(struct slice source, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < MIN(offset, source.len); ++i) {
        bool is_newline = source.base[i] == '\n';
        mark.line += is_newline;
        mark.column = is_newline ? 0 : mark.column + ((source.base[i] & 0xc0) != 0x80);
    }
    return mark;
}

static bool fail_syntax(struct reader *r)
{
    char what[256];
    const yaml_parser_t *parser = &r->parser;
    if (parser->error == YAML_READER_ERROR)
        return fail_at(r, mark_of_offset(r->source, parser->problem_offset), parser->problem) != NULL;
    snprintf(what, sizeof(what), "%s%s%s", parser->context != NULL ? parser->context : "",
             parser->context != NULL ? ", " : "", parser->problem != NULL ? parser->problem : "invalid YAML");
    return fail_at(r, parser->problem_mark, what) != NULL;
}

/* ---- events and nodes ---- */

static bool next_event(struct reader *r)
{
    yaml_event_delete(&r->event);
    memset(&r->event, 0, sizeof(r->event));
    return yaml_parser_parse(&r->parser, &r->event) != 0 || fail_syntax(r);
}

static struct slice event_text(const yaml_event_t *event)
{
    return slice_make((const char *)event->data.scalar.value, event->data.scalar.length);
}

static struct json *new_node(struct reader *r, enum json_type type)
{
    if (r->num_nodes++ == MAX_NODES)
        return fail(r, "too many values");
    struct json *node = arena_zalloc(r->arena, sizeof(*node));
    node->type = type;
    return node;
}

static bool enter(struct reader *r, bool is_array)
{
    if (r->depth == JSON_MAX_DEPTH)
        return fail(r, "nested deeper than 64 levels") != NULL;
    r->path[r->depth++] = (struct json_path_step){.is_array = is_array};
    return true;
}

static void leave(struct reader *r)
{
    hashmap_clear(&r->seen[--r->depth]);
}

/* ---- anchors and aliases ---- */

static struct anchor *open_anchor(struct reader *r, const yaml_char_t *name)
{
    if (name == NULL)
        return NULL;
    struct anchor *anchor = arena_zalloc(r->arena, sizeof(*anchor));
    anchor->name = arena_slice(r->arena, slice_of((const char *)name));
    (void)hashmap_put(&r->anchors, anchor->name.base, anchor->name.len,
                      anchor); /* a later one takes the name over */
    return anchor;
}

/* A copy for an alias: links are its own, texts are shared. */
static struct json *copy_node(struct reader *r, const struct json *node, unsigned depth)
{
    r->num_alias_bytes += node->text.len + node->key.len;
    if (r->num_alias_bytes > MAX_ALIAS_BYTES)
        return fail(r, "aliases expand to too much text");
    if ((node->type == JSON_ARRAY || node->type == JSON_OBJECT) && depth == JSON_MAX_DEPTH)
        return fail(r, "nested deeper than 64 levels");
    struct json *copy = new_node(r, node->type);
    if (copy == NULL)
        return NULL;
    copy->boolean = node->boolean;
    copy->text = node->text;
    JSON_FOR(child, node)
    {
        struct json *child_copy = copy_node(r, child, depth + 1);
        if (child_copy == NULL)
            return NULL;
        child_copy->key = child->key;
        json_append(copy, child_copy);
    }
    return copy;
}

static const struct json *find_alias(struct reader *r)
{
    struct slice name = slice_of((const char *)r->event.data.alias.anchor);
    struct anchor *anchor = hashmap_get(&r->anchors, name.base, name.len);
    if (anchor == NULL)
        return fail_named(r, "no anchor for the alias", name);
    return anchor->node != NULL ? anchor->node : fail_named(r, "alias inside its own anchor", name);
}

static struct json *read_alias(struct reader *r)
{
    const struct json *node = find_alias(r);
    return node != NULL ? copy_node(r, node, r->depth) : NULL;
}

/* ---- scalars ---- */

/* The tags of the core schema; everything else (language objects, !binary, private tags) is refused. */
static const struct tag {
    const char *name;
    enum yaml_scalar kinds[2]; /* what the text must be; STRING: anything goes, as a string */
} scalar_tags[] = {
    {YAML_STR_TAG, {YAML_SCALAR_STRING, YAML_SCALAR_STRING}},
    {"!", {YAML_SCALAR_STRING, YAML_SCALAR_STRING}},
    {YAML_NULL_TAG, {YAML_SCALAR_NULL, YAML_SCALAR_NULL}},
    {YAML_BOOL_TAG, {YAML_SCALAR_TRUE, YAML_SCALAR_FALSE}},
    {YAML_INT_TAG, {YAML_SCALAR_NUMBER, YAML_SCALAR_NUMBER}},
    {YAML_FLOAT_TAG, {YAML_SCALAR_NUMBER, YAML_SCALAR_NUMBER}},
};

static bool resolve_tagged(struct reader *r, const char *name, enum yaml_scalar *kind)
{
    for (const struct tag *tag = scalar_tags; tag < scalar_tags + ARRAY_LEN(scalar_tags); ++tag) {
        if (strcmp(tag->name, name) != 0)
            continue;
        if (tag->kinds[0] == YAML_SCALAR_STRING)
            *kind = YAML_SCALAR_STRING;
        if (*kind == tag->kinds[0] || *kind == tag->kinds[1])
            return true;
        return fail_named(r, "the value does not fit its tag", slice_of(name)) != NULL;
    }
    return fail_named(r, "unsupported tag", slice_of(name)) != NULL;
}

static struct json *read_scalar(struct reader *r)
{
    const char *tag = (const char *)r->event.data.scalar.tag;
    struct slice text = event_text(&r->event);
    enum yaml_scalar kind = YAML_SCALAR_STRING;
    if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE || tag != NULL)
        kind = yaml_scalar_kind(text);
    if (tag != NULL && !resolve_tagged(r, tag, &kind))
        return NULL;
    if (kind == YAML_SCALAR_NOT_JSON)
        return fail_named(r, "a number JSON cannot hold:", text);
    static const enum json_type types[] = {[YAML_SCALAR_STRING] = JSON_STRING,
                                           [YAML_SCALAR_NULL] = JSON_NULL,
                                           [YAML_SCALAR_TRUE] = JSON_BOOL,
                                           [YAML_SCALAR_FALSE] = JSON_BOOL,
                                           [YAML_SCALAR_NUMBER] = JSON_NUMBER};
    struct anchor *anchor = open_anchor(r, r->event.data.scalar.anchor);
    struct json *node = new_node(r, types[kind]);
    if (node == NULL)
        return NULL;
    node->boolean = kind == YAML_SCALAR_TRUE;
    if (kind == YAML_SCALAR_STRING)
        node->text = arena_slice(r->arena, text);
    else if (kind == YAML_SCALAR_NUMBER)
        node->text = yaml_scalar_number(r->arena, text);
    if (anchor != NULL)
        anchor->node = node;
    return node;
}

/* ---- collections ---- */

static bool check_collection_tag(struct reader *r, const yaml_char_t *tag, const char *allowed)
{
    if (tag == NULL || strcmp((const char *)tag, allowed) == 0 || strcmp((const char *)tag, "!") == 0)
        return true;
    return fail_named(r, "unsupported tag", slice_of((const char *)tag)) != NULL;
}

static struct json *read_sequence(struct reader *r)
{
    if (!check_collection_tag(r, r->event.data.sequence_start.tag, YAML_SEQ_TAG) || !enter(r, true))
        return NULL;
    struct anchor *anchor = open_anchor(r, r->event.data.sequence_start.anchor);
    struct json *array = new_node(r, JSON_ARRAY);
    if (array == NULL)
        return NULL;
    for (;;) {
        r->path[r->depth - 1].index = array->num;
        if (!next_event(r))
            return NULL;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        struct json *item = read_node(r);
        if (item == NULL)
            return NULL;
        json_append(array, item);
    }
    leave(r);
    if (anchor != NULL)
        anchor->node = array;
    return array;
}

/* Member names are the text as written: `1: x` has the name "1", as in every JSON rendering of YAML. */
static bool read_key(struct reader *r, struct slice *ret_key, bool *ret_is_merge)
{
    *ret_is_merge = false;
    if (r->event.type == YAML_ALIAS_EVENT) {
        const struct json *node = find_alias(r);
        if (node == NULL)
            return false;
        if (node->type != JSON_STRING && node->type != JSON_NUMBER)
            return fail(r, "a member name must be a scalar") != NULL;
        *ret_key = node->text;
        return true;
    }
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail(r, "a member name must be a scalar") != NULL;
    *ret_key = event_text(&r->event);
    *ret_is_merge = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && slice_is(*ret_key, "<<");
    /* Read as a value only for its anchor and for the checks of its tag. */
    struct slice copy = arena_slice(r->arena, *ret_key);
    if (!*ret_is_merge && (r->event.data.scalar.anchor != NULL || r->event.data.scalar.tag != NULL) &&
        read_scalar(r) == NULL)
        return false;
    *ret_key = copy;
    return true;
}

static bool merge_mapping(struct reader *r, struct json *object, const struct json *source)
{
    if (source->type != JSON_OBJECT)
        return fail(r, "'<<' takes a mapping or a sequence of mappings") != NULL;
    JSON_FOR(member, source)
    {
        if (json_name_is_taken(&r->seen[r->depth - 1], object, member->key))
            continue;
        struct json *copy = copy_node(r, member, r->depth);
        if (copy == NULL)
            return false;
        copy->key = member->key;
        json_append(object, copy);
    }
    return true;
}

/* The mapping's own members win over merged ones, and earlier sources over later ones. */
static bool apply_merge(struct reader *r, struct json *object, const struct json *merge)
{
    if (merge == NULL)
        return true;
    if (merge->type != JSON_ARRAY)
        return merge_mapping(r, object, merge);
    JSON_FOR(source, merge)
    if (!merge_mapping(r, object, source))
        return false;
    return true;
}

static bool read_member(struct reader *r, struct json *object, struct json **merge)
{
    struct slice key;
    bool is_merge;
    if (!read_key(r, &key, &is_merge))
        return false;
    if (is_merge ? *merge != NULL : json_name_is_taken(&r->seen[r->depth - 1], object, key))
        return fail_named(r, "duplicate member", key) != NULL;
    r->path[r->depth - 1].key = key;
    if (!next_event(r))
        return false;
    struct json *value = read_node(r);
    if (value == NULL)
        return false;
    r->path[r->depth - 1].key = (struct slice){NULL, 0};
    if (is_merge) {
        *merge = value;
        return true;
    }
    value->key = key;
    json_append(object, value);
    return true;
}

static struct json *read_mapping(struct reader *r)
{
    if (!check_collection_tag(r, r->event.data.mapping_start.tag, YAML_MAP_TAG) || !enter(r, false))
        return NULL;
    struct anchor *anchor = open_anchor(r, r->event.data.mapping_start.anchor);
    struct json *object = new_node(r, JSON_OBJECT), *merge = NULL;
    if (object == NULL)
        return NULL;
    for (;;) {
        if (!next_event(r))
            return NULL;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (!read_member(r, object, &merge))
            return NULL;
    }
    if (!apply_merge(r, object, merge))
        return NULL;
    leave(r);
    if (anchor != NULL)
        anchor->node = object;
    return object;
}

static struct json *read_node(struct reader *r)
{
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r);
    case YAML_SEQUENCE_START_EVENT:
        return read_sequence(r);
    case YAML_MAPPING_START_EVENT:
        return read_mapping(r);
    case YAML_ALIAS_EVENT:
        return read_alias(r);
    default:
        return fail(r, "expected a value");
    }
}

/* ---- documents ---- */

static bool is_empty_document(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT && event->data.scalar.length == 0 &&
           event->data.scalar.tag == NULL && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* At a document's first event. */
static int read_document(struct reader *r, json_doc_cb on_doc, void *data)
{
    bool is_empty = is_empty_document(&r->event);
    struct json *doc = read_node(r);
    if (doc == NULL)
        return -1;
    hashmap_clear(&r->anchors);
    if (!next_event(r)) /* the document's end */
        return -1;
    return is_empty ? 0 : on_doc(doc, data, r->err);
}

static int read_stream(struct reader *r, json_doc_cb on_doc, void *data)
{
    for (;;) {
        if (!next_event(r))
            return -1;
        if (r->event.type == YAML_STREAM_END_EVENT)
            return 0;
        if (r->event.type != YAML_DOCUMENT_START_EVENT)
            continue;
        if (!next_event(r))
            return -1;
        int result = read_document(r, on_doc, data);
        if (result != 0)
            return result;
    }
}

int json_parse_yaml(struct arena *arena, struct slice text, json_doc_cb on_doc, void *data, struct err *err)
{
    if (slice_starts(text, SLICE("\xef\xbb\xbf")))
        text = slice_make(text.base + 3, text.len - 3); /* a BOM, as some editors write it */
    struct reader r = {.arena = arena, .source = text, .err = err, .anchors = HASHMAP_INIT};
    if (yaml_parser_initialize(&r.parser) == 0)
        abort(); /* out of memory */
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.base, text.len);
    int result = read_stream(&r, on_doc, data);
    while (r.depth > 0)
        leave(&r);
    hashmap_clear(&r.anchors);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    return result;
}

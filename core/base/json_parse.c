/* The JSON reader. The text is copied into the arena once and strings are decoded in place there (decoding
 * never makes them longer), so a document costs one copy and one node a value. Nesting is bounded, so
 * recursion is.
 *
 * The copy ends in a NUL, which no part of the grammar accepts: that is the bounds check of every loop here.
 */
#include "core/base/json.h"

#include "core/base/json_number.h"
#include "core/base/json_path.h"
#include "core/base/json_tree.h"
#include "core/base/utf8.h"

/* Nodes allocated at a time: the first batch and the largest. */
enum { FIRST_BATCH = 4, MAX_BATCH = 64 };

struct parser {
    struct arena *arena;
    struct slice source; /* as given: what errors are located in */
    char *base, *at, *end;
    struct json *nodes; /* the rest of a batch: nodes need no alignment padding between them */
    unsigned num_nodes, next_batch;
    unsigned depth;
    struct hashmap seen[JSON_MAX_DEPTH];
    struct json_path_step path[JSON_MAX_DEPTH];
    struct err *err;
};

static struct json *parse_value(struct parser *p);

/* Columns count characters, as editors do. */
static void locate(struct slice text, size_t offset, unsigned *ret_line, unsigned *ret_column)
{
    *ret_line = *ret_column = 1;
    for (size_t i = 0; i < offset; ++i) {
        if (text.base[i] == '\n') {
            ++*ret_line;
            *ret_column = 1;
        } else if ((text.base[i] & 0xc0) != 0x80) {
            ++*ret_column;
        }
    }
}

static void *fail_at(struct parser *p, const char *at, const char *what)
{
    unsigned line, column;
    char path[JSON_PATH_TEXT_MAX];
    locate(p->source, (size_t)(at - p->base), &line, &column);
    json_path_write(path, p->path, p->depth);
    err_set(p->err, ERR_BAD_REQUEST, "line %u column %u: %s%s%s%s", line, column, what,
            path[0] != '\0' ? " (" : "", path, path[0] != '\0' ? ")" : "");
    return NULL;
}

static void *fail(struct parser *p, const char *what)
{
    return fail_at(p, p->at, p->at == p->end ? "unexpected end of the document" : what);
}

static inline void skip_space(struct parser *p)
{
    while (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t')
        ++p->at;
}

static struct json *new_node(struct parser *p, enum json_type type)
{
    if (p->num_nodes == 0) {
        p->num_nodes = p->next_batch;
        p->next_batch = MIN(p->next_batch * 2, (unsigned)MAX_BATCH);
        p->nodes = arena_alloc(p->arena, p->num_nodes * sizeof(*p->nodes));
    }
    --p->num_nodes;
    *p->nodes = (struct json){.type = type};
    return p->nodes++;
}

/* ---- strings ---- */

/* 1: stands for itself in a string. */
static const bool is_plain[256] = {[0x20 ... 0x21] = true, [0x23 ... 0x5b] = true, [0x5d ... 0x7f] = true};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at `at`, or -1. The NUL at the end stops it. */
static int32_t read_hex4(const char *at)
{
    int32_t value = 0;
    for (int i = 0; i < 4; ++i) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* At the `u` of \uXXXX; moves behind the escape. RFC 8259 section 7: beyond the BMP as a surrogate pair. */
static bool decode_unicode(struct parser *p, char **out)
{
    char *start = p->at - 1;
    int32_t code = read_hex4(p->at + 1);
    if (code < 0)
        return fail_at(p, start, "invalid \\u escape") != NULL;
    p->at += 5;
    if (code >= 0xdc00 && code <= 0xdfff)
        return fail_at(p, start, "lone surrogate") != NULL;
    if (code >= 0xd800 && code <= 0xdbff) {
        int32_t low = p->at[0] == '\\' && p->at[1] == 'u' ? read_hex4(p->at + 2) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return fail_at(p, start, "lone surrogate") != NULL;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        p->at += 6;
    }
    *out += utf8_put(*out, (uint32_t)code);
    return true;
}

static bool decode_escape(struct parser *p, char **out)
{
    static const char plain[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    ++p->at;
    if (*p->at == 'u')
        return decode_unicode(p, out);
    char c = plain[(unsigned char)*p->at];
    if (c == '\0')
        return fail(p, "invalid escape") != NULL;
    *(*out)++ = c;
    ++p->at;
    return true;
}

/* At the opening quote; moves behind the closing one. */
static bool parse_string(struct parser *p, struct slice *ret)
{
    char *start = ++p->at;
    while (is_plain[(unsigned char)*p->at])
        ++p->at;
    char *out = p->at;
    while (*p->at != '"') {
        unsigned char c = (unsigned char)*p->at;
        if (is_plain[c]) {
            *out++ = *p->at++;
        } else if (c == '\\') {
            if (!decode_escape(p, &out))
                return false;
        } else if (c < 0x20) {
            return fail(p, "raw control character in a string") != NULL;
        } else {
            unsigned len = utf8_seq_len(p->at, (size_t)(p->end - p->at));
            if (len == 0)
                return fail(p, "invalid UTF-8") != NULL;
            memmove(out, p->at, len);
            out += len;
            p->at += len;
        }
    }
    *out = '\0'; /* at the closing quote at the latest: already read */
    ++p->at;
    *ret = slice_make(start, (size_t)(out - start));
    return true;
}

/* ---- values ---- */

static struct json *parse_string_value(struct parser *p)
{
    struct slice text;
    if (!parse_string(p, &text))
        return NULL;
    struct json *node = new_node(p, JSON_STRING);
    node->text = text;
    return node;
}

static struct json *parse_number(struct parser *p)
{
    size_t len = json_number_span(slice_make(p->at, (size_t)(p->end - p->at)));
    if (len == 0)
        return fail_at(p, p->at, "invalid number");
    struct json *node = new_node(p, JSON_NUMBER);
    node->text = slice_make(p->at, len);
    p->at += len;
    return node;
}

static struct json *parse_word(struct parser *p, struct slice word, enum json_type type, bool boolean)
{
    if (strncmp(p->at, word.base, word.len) != 0)
        return fail(p, "expected a value");
    p->at += word.len;
    struct json *node = new_node(p, type);
    node->boolean = boolean;
    return node;
}

static bool enter(struct parser *p, struct json *container)
{
    if (p->depth == JSON_MAX_DEPTH)
        return fail(p, "nested deeper than 64 levels") != NULL;
    p->path[p->depth++] = (struct json_path_step){.is_array = container->type == JSON_ARRAY};
    ++p->at;
    skip_space(p);
    return true;
}

static struct json *leave(struct parser *p, struct json *container)
{
    ++p->at;
    hashmap_clear(&p->seen[--p->depth]);
    return container;
}

/* A name, the colon and a value; the path of an error inside the value includes the name. */
static bool parse_member(struct parser *p, struct json *object)
{
    struct slice key;
    char *start = p->at;
    if (*p->at != '"')
        return fail(p, "expected a member name in quotes") != NULL;
    if (!parse_string(p, &key))
        return false;
    if (json_name_is_taken(&p->seen[p->depth - 1], object, key)) {
        char what[JSON_PATH_TEXT_MAX + 32], name[JSON_PATH_TEXT_MAX];
        json_path_printable(name, key);
        snprintf(what, sizeof(what), "duplicate member '%s'", name);
        return fail_at(p, start, what) != NULL;
    }
    skip_space(p);
    if (*p->at != ':')
        return fail(p, "expected ':'") != NULL;
    ++p->at;
    skip_space(p);
    p->path[p->depth - 1].key = key;
    struct json *value = parse_value(p);
    if (value == NULL)
        return false;
    p->path[p->depth - 1].key = (struct slice){NULL, 0};
    value->key = key;
    json_append(object, value);
    return true;
}

static struct json *parse_object(struct parser *p)
{
    struct json *object = new_node(p, JSON_OBJECT);
    if (!enter(p, object))
        return NULL;
    if (*p->at == '}')
        return leave(p, object);
    for (;;) {
        if (!parse_member(p, object))
            return NULL;
        skip_space(p);
        if (*p->at == '}')
            return leave(p, object);
        if (*p->at != ',')
            return fail(p, "expected ',' or '}'");
        ++p->at;
        skip_space(p);
    }
}

static struct json *parse_array(struct parser *p)
{
    struct json *array = new_node(p, JSON_ARRAY);
    if (!enter(p, array))
        return NULL;
    if (*p->at == ']')
        return leave(p, array);
    for (;;) {
        p->path[p->depth - 1].index = array->num;
        struct json *value = parse_value(p);
        if (value == NULL)
            return NULL;
        json_append(array, value);
        skip_space(p);
        if (*p->at == ']')
            return leave(p, array);
        if (*p->at != ',')
            return fail(p, "expected ',' or ']'");
        ++p->at;
        skip_space(p);
    }
}

static struct json *parse_value(struct parser *p)
{
    switch (*p->at) {
    case '{':
        return parse_object(p);
    case '[':
        return parse_array(p);
    case '"':
        return parse_string_value(p);
    case 't':
        return parse_word(p, SLICE("true"), JSON_BOOL, true);
    case 'f':
        return parse_word(p, SLICE("false"), JSON_BOOL, false);
    case 'n':
        return parse_word(p, SLICE("null"), JSON_NULL, false);
    case '-':
    case '0' ... '9':
        return parse_number(p);
    default:
        return fail(p, "expected a value");
    }
}

struct json *json_parse(struct arena *arena, struct slice text, struct err *err)
{
    struct parser p = {.arena = arena, .source = text, .err = err, .next_batch = FIRST_BATCH};
    p.at = p.base = arena_strndup(arena, text.base, text.len);
    p.end = p.base + text.len;
    skip_space(&p);
    struct json *root = parse_value(&p);
    if (root == NULL) {
        while (p.depth > 0)
            hashmap_clear(&p.seen[--p.depth]);
        return NULL;
    }
    skip_space(&p);
    return p.at == p.end ? root : fail_at(&p, p.at, "unexpected text after the document");
}

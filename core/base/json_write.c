/* The JSON writer: one walk with three styles. */
#include "core/base/json.h"

#include "core/base/json_number.h"
#include "core/base/utf8.h"

struct style {
    unsigned indent; /* spaces a level; 0: on one line */
    bool is_canonical; /* members sorted, numbers in their normal form */
};

/* How many bytes at `at` can be copied as they are. */
static size_t plain_span(const char *at, size_t left)
{
    size_t len = 0;
    while (len < left) {
        unsigned char c = (unsigned char)at[len];
        if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
            break;
        unsigned seq = utf8_seq_len(at + len, left - len);
        if (seq == 0)
            break;
        len += seq;
    }
    return len;
}

static void write_escaped(struct strbuf *out, unsigned char c)
{
    static const char letters[256] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (letters[c] != '\0') {
        strbuf_addc(out, '\\');
        strbuf_addc(out, letters[c]);
    } else if (c < 0x80) {
        strbuf_addf(out, "\\u%04x", c);
    } else {
        strbuf_adds(out, "\xef\xbf\xbd"); /* U+FFFD for a byte that is no UTF-8 */
    }
}

void json_quote(struct strbuf *out, struct slice text)
{
    strbuf_addc(out, '"');
    for (size_t at = 0; at < text.len;) {
        size_t plain = plain_span(text.base + at, text.len - at);
        strbuf_add(out, text.base + at, plain);
        at += plain;
        if (at < text.len)
            write_escaped(out, (unsigned char)text.base[at++]);
    }
    strbuf_addc(out, '"');
}

static void new_line(struct strbuf *out, const struct style *style, unsigned depth)
{
    if (style->indent == 0)
        return;
    size_t spaces = (size_t)style->indent * depth;
    char *at = strbuf_reserve(out, spaces + 1);
    at[0] = '\n';
    memset(at + 1, ' ', spaces);
    out->len += spaces + 1;
    out->base[out->len] = '\0';
}

static void write_value(struct strbuf *out, const struct json *value, const struct style *style,
                        unsigned depth);

static void write_member(struct strbuf *out, const struct json *member, const struct style *style,
                         unsigned depth)
{
    json_quote(out, member->key);
    strbuf_adds(out, style->indent != 0 ? ": " : ":");
    write_value(out, member, style, depth);
}

static int compare_keys(const void *a, const void *b)
{
    struct slice x = (*(struct json *const *)a)->key, y = (*(struct json *const *)b)->key;
    int order = memcmp(x.base, y.base, MIN(x.len, y.len));
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

/* The children in the order they are written; the result is the caller's to free. */
static const struct json **sorted_children(const struct json *object)
{
    const struct json **children = xmalloc(object->num * sizeof(*children));
    size_t num = 0;
    JSON_FOR(member, object)
    children[num++] = member;
    qsort(children, num, sizeof(*children), compare_keys);
    return children;
}

static void write_children(struct strbuf *out, const struct json *parent, const struct style *style,
                           unsigned depth)
{
    _cleanup_(freep) const struct json **sorted = NULL;
    const struct json *child = parent->child;
    if (parent->type == JSON_OBJECT && style->is_canonical)
        sorted = sorted_children(parent);
    for (uint32_t i = 0; i < parent->num; ++i, child = child->next) {
        if (i != 0)
            strbuf_addc(out, ',');
        new_line(out, style, depth + 1);
        if (parent->type == JSON_OBJECT)
            write_member(out, sorted != NULL ? sorted[i] : child, style, depth + 1);
        else
            write_value(out, child, style, depth + 1);
    }
    new_line(out, style, depth);
}

static void write_value(struct strbuf *out, const struct json *value, const struct style *style,
                        unsigned depth)
{
    switch (value->type) {
    case JSON_NULL:
        strbuf_adds(out, "null");
        break;
    case JSON_BOOL:
        strbuf_adds(out, value->boolean ? "true" : "false");
        break;
    case JSON_NUMBER:
        if (style->is_canonical)
            json_number_write(out, value->text);
        else
            strbuf_add_slice(out, value->text);
        break;
    case JSON_STRING:
        json_quote(out, value->text);
        break;
    case JSON_ARRAY:
        strbuf_addc(out, '[');
        if (value->num != 0)
            write_children(out, value, style, depth);
        strbuf_addc(out, ']');
        break;
    case JSON_OBJECT:
        strbuf_addc(out, '{');
        if (value->num != 0)
            write_children(out, value, style, depth);
        strbuf_addc(out, '}');
        break;
    }
}

void json_write(struct strbuf *out, const struct json *value)
{
    write_value(out, value, &(struct style){0}, 0);
}

void json_write_pretty(struct strbuf *out, const struct json *value)
{
    write_value(out, value, &(struct style){.indent = 2}, 0);
}

void json_write_canonical(struct strbuf *out, const struct json *value)
{
    write_value(out, value, &(struct style){.is_canonical = true}, 0);
}

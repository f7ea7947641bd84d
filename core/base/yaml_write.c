/* The YAML writer: block style with lists not indented under their name, as kubectl prints. What it writes is
 * read back to an equal tree, by us and by YAML 1.1 readers. */
#include "core/base/json.h"

#include "core/base/utf8.h"
#include "core/base/yaml_scalar.h"

#include <stdio.h>

/* libyaml and others take "name: value" only with names up to 1024 characters (YAML 1.2 section 8.2.2). */
enum { SIMPLE_KEY_MAX = 1000 };

static void write_node(struct strbuf *out, const struct json *value, unsigned indent);

/* ---- strings ---- */

/* Length of the printable character (YAML 1.2 section 5.1) at `at` that may stand unescaped, or 0. */
static size_t printable_len(const char *at, size_t left)
{
    const unsigned char *s = (const unsigned char *)at;
    unsigned len = utf8_seq_len(at, left);
    if (len == 1)
        return s[0] >= 0x20 && s[0] != 0x7f;
    if (len == 2)
        return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : 2; /* C1 controls */
    if (len == 3) {
        static const char *const never[] = {
            "\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf", "\xef\xbf\xbe",
            "\xef\xbf\xbf"}; /* line and paragraph separator, BOM, no characters */
        for (size_t i = 0; i < ARRAY_LEN(never); ++i)
            if (memcmp(at, never[i], 3) == 0)
                return 0;
    }
    return len;
}

static bool is_plain(struct slice text)
{
    if (text.len == 0 || strchr("-?:,[]{}#&*!|>'\"%@` .", text.base[0]) != NULL ||
        text.base[text.len - 1] == ' ' || text.base[text.len - 1] == ':' || !yaml_scalar_is_safe_string(text))
        return false;
    for (size_t i = 0, len; i < text.len; i += len) {
        if ((len = printable_len(text.base + i, text.len - i)) == 0)
            return false;
        char next = i + 1 < text.len ? text.base[i + 1] : ' ';
        if ((text.base[i] == ':' && next == ' ') || (text.base[i] == ' ' && next == '#'))
            return false;
    }
    return true;
}

/* Whether the text reads well, and exactly, as a literal block. */
static bool is_literal(struct slice text)
{
    if (memchr(text.base, '\n', text.len) == NULL || strchr(" \t\n", text.base[0]) != NULL)
        return false;
    for (size_t i = 0, len; i < text.len; i += len) {
        len = text.base[i] == '\n' || text.base[i] == '\t' ? 1 : printable_len(text.base + i, text.len - i);
        if (len == 0)
            return false;
    }
    return true;
}

static void write_escape(struct strbuf *out, const char *at, unsigned len)
{
    uint32_t code = (unsigned char)at[0];
    if (len == 2)
        code = (code & 0x1f) << 6 | (at[1] & 0x3f);
    else if (len == 3)
        code = (code & 0x0f) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3f);
    switch (code) {
    case '\n':
        strbuf_adds(out, "\\n");
        break;
    case '\t':
        strbuf_adds(out, "\\t");
        break;
    case '\r':
        strbuf_adds(out, "\\r");
        break;
    default:
        strbuf_addf(out, "\\u%04x", code);
    }
}

static void write_quoted(struct strbuf *out, struct slice text)
{
    strbuf_addc(out, '"');
    for (size_t i = 0; i < text.len;) {
        const char *at = text.base + i;
        unsigned len = utf8_seq_len(at, text.len - i);
        if (*at == '"' || *at == '\\') {
            strbuf_addc(out, '\\');
            strbuf_addc(out, *at);
        } else if (len == 0) {
            strbuf_adds(out, "\xef\xbf\xbd"); /* U+FFFD for a byte that is no UTF-8 */
        } else if (printable_len(at, text.len - i) == 0) {
            write_escape(out, at, len);
        } else {
            strbuf_add(out, at, len);
        }
        i += MAX(len, 1u);
    }
    strbuf_addc(out, '"');
}

static void add_spaces(struct strbuf *out, unsigned num)
{
    char *at = strbuf_reserve(out, num);
    memset(at, ' ', num);
    out->len += num;
    out->base[out->len] = '\0';
}

/* "|" keeps one line end, "|-" none, "|+" all of them. */
static void write_literal(struct strbuf *out, struct slice text, unsigned indent)
{
    bool ends = text.base[text.len - 1] == '\n';
    bool ends_twice = ends && text.base[text.len - 2] == '\n'; /* the first byte is no line end */
    strbuf_adds(out, ends_twice ? "|+" : ends ? "|" : "|-");
    for (size_t at = 0; at < text.len;) {
        const char *line = text.base + at, *end = memchr(line, '\n', text.len - at);
        size_t len = end != NULL ? (size_t)(end - line) : text.len - at;
        strbuf_addc(out, '\n');
        if (len != 0)
            add_spaces(out, indent);
        strbuf_add(out, line, len);
        at += len + 1;
    }
    if (ends_twice)
        strbuf_addc(out, '\n');
}

static void write_string(struct strbuf *out, struct slice text, unsigned indent)
{
    if (is_plain(text))
        strbuf_add_slice(out, text);
    else if (text.len != 0 && is_literal(text))
        write_literal(out, text, indent);
    else
        write_quoted(out, text);
}

/* ---- collections ---- */

static bool is_block(const struct json *value)
{
    return (value->type == JSON_ARRAY || value->type == JSON_OBJECT) && value->num != 0;
}

static void new_line(struct strbuf *out, unsigned indent)
{
    if (out->len == 0 || out->base[out->len - 1] != '\n')
        strbuf_addc(out, '\n');
    add_spaces(out, indent);
}

static void write_key(struct strbuf *out, struct slice key, unsigned indent)
{
    size_t start = out->len;
    if (is_plain(key))
        strbuf_add_slice(out, key);
    else
        write_quoted(out, key);
    if (out->len - start <= SIMPLE_KEY_MAX) {
        strbuf_addc(out, ':');
        return;
    }
    out->len = start;
    strbuf_adds(out, "? ");
    write_quoted(out, key);
    new_line(out, indent);
    strbuf_addc(out, ':');
}

/* The first member goes on the line we are on, which is indented already. */
static void write_object(struct strbuf *out, const struct json *object, unsigned indent)
{
    JSON_FOR(member, object)
    {
        if (member != object->child)
            new_line(out, indent);
        write_key(out, member->key, indent);
        if (is_block(member)) {
            unsigned inner = member->type == JSON_ARRAY ? indent : indent + 2;
            new_line(out, inner);
            write_node(out, member, inner);
        } else {
            strbuf_addc(out, ' ');
            write_node(out, member, indent + 2);
        }
    }
}

static void write_array(struct strbuf *out, const struct json *array, unsigned indent)
{
    JSON_FOR(item, array)
    {
        if (item != array->child)
            new_line(out, indent);
        strbuf_adds(out, "- ");
        write_node(out, item, indent + 2);
    }
}

static void write_node(struct strbuf *out, const struct json *value, unsigned indent)
{
    if (value->type == JSON_STRING)
        write_string(out, value->text, indent);
    else if (!is_block(value))
        json_write(out, value);
    else if (value->type == JSON_OBJECT)
        write_object(out, value, indent);
    else
        write_array(out, value, indent);
}

void json_write_yaml(struct strbuf *out, const struct json *value)
{
    /* A literal block must be indented, at the top level too. */
    write_node(out, value, value->type == JSON_STRING ? 2 : 0);
    if (out->base[out->len - 1] != '\n')
        strbuf_addc(out, '\n');
}

/* Targets and queries, and the character table. Paths are uri_path.c, hosts uri_host.c. */
#include "core/base/uri.h"

#include "core/base/uri_char.h"

#include <strings.h>

enum { U = URI_UNRESERVED | URI_SEGMENT, S = URI_SEGMENT };
const unsigned char uri_char_class[256] = {
    ['A' ... 'Z'] = U, ['a' ... 'z'] = U, ['0' ... '9'] = U, ['-'] = U,  ['.'] = U, ['_'] = U, ['~'] = U,
    ['!'] = S,         ['$'] = S,         ['&'] = S,         ['\''] = S, ['('] = S, [')'] = S, ['*'] = S,
    ['+'] = S,         [','] = S,         ['='] = S,         [':'] = S,  ['@'] = S};

const char *uri_fault_text(enum uri_fault fault)
{
    static const char *const texts[] = {
#define X(name, text) [name] = text,
        URI_FAULTS(X)
#undef X
    };
    return texts[fault];
}

/* ---- targets ---- */

static enum uri_fault check_bytes(struct slice target)
{
    for (size_t i = 0; i < target.len; ++i) {
        if (target.base[i] == '#')
            return URI_FRAGMENT;
        if (!uri_char_is_visible(target.base[i]))
            return URI_BAD_BYTE;
    }
    return URI_OK;
}

static void split_query(struct slice rest, struct uri *uri)
{
    const char *mark = rest.len != 0 ? memchr(rest.base, '?', rest.len) : NULL;
    uri->path = rest;
    if (mark == NULL)
        return;
    uri->path.len = (size_t)(mark - rest.base);
    uri->query = slice_make(mark + 1, rest.len - uri->path.len - 1);
}

static enum uri_fault parse_absolute(struct slice target, struct uri *uri)
{
    static const struct slice schemes[] = {{"https", 5}, {"http", 4}};
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(schemes) && at == 0; ++i) {
        if (target.len > schemes[i].len + 3 &&
            strncasecmp(target.base, schemes[i].base, schemes[i].len) == 0 &&
            memcmp(target.base + schemes[i].len, "://", 3) == 0) {
            uri->scheme = schemes[i];
            at = schemes[i].len + 3;
        }
    }
    if (at == 0)
        return memchr(target.base, ':', target.len) != NULL ? URI_BAD_SCHEME : URI_NOT_ABSOLUTE;
    size_t end = at;
    while (end < target.len && target.base[end] != '/' && target.base[end] != '?')
        ++end;
    if (end == at)
        return URI_BAD_HOST;
    uri->form = URI_ABSOLUTE;
    uri->authority = slice_make(target.base + at, end - at);
    split_query(slice_make(target.base + end, target.len - end), uri);
    if (uri->path.len == 0)
        uri->path = SLICE("/"); /* RFC 9110 section 4.2.3: an empty path is "/" */
    return URI_OK;
}

enum uri_fault uri_parse(struct slice target, struct uri *ret)
{
    struct uri uri = {.form = URI_ORIGIN};
    enum uri_fault fault = check_bytes(target);
    if (fault != URI_OK)
        return fault;
    if (target.len == 0)
        return URI_NOT_ABSOLUTE;
    if (target.len == 1 && target.base[0] == '*') {
        uri.form = URI_ASTERISK;
        uri.path = target;
    } else if (target.base[0] == '/') {
        split_query(target, &uri);
    } else if ((fault = parse_absolute(target, &uri)) != URI_OK) {
        return fault;
    }
    *ret = uri;
    return URI_OK;
}

/* ---- queries ---- */

bool uri_query_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    while (rest->len != 0) {
        const char *end = memchr(rest->base, '&', rest->len);
        struct slice pair = slice_make(rest->base, end != NULL ? (size_t)(end - rest->base) : rest->len);
        size_t used = pair.len + (end != NULL);
        *rest = slice_make(rest->base + used, rest->len - used);
        if (pair.len == 0)
            continue;
        const char *equals = memchr(pair.base, '=', pair.len);
        *ret_name = pair;
        *ret_value = (struct slice){NULL, 0};
        if (equals != NULL) {
            ret_name->len = (size_t)(equals - pair.base);
            *ret_value = slice_make(equals + 1, pair.len - ret_name->len - 1);
        }
        return true;
    }
    return false;
}

ssize_t uri_decode(struct slice text, bool is_form, char *out)
{
    char *start = out;
    for (size_t i = 0; i < text.len; ++i) {
        char c = text.base[i];
        if (c == '%') {
            int value = uri_percent_value(text.base + i, text.len - i);
            if (value < 0)
                return -1;
            c = (char)value;
            i += 2;
        } else if (c == '+' && is_form) {
            c = ' ';
        }
        *out++ = c;
    }
    return out - start;
}

static int decode_into(struct slice text, struct strbuf *out)
{
    strbuf_reset(out);
    ssize_t len = uri_decode(text, true, strbuf_reserve(out, text.len));
    if (len < 0)
        return -1;
    out->len = (size_t)len;
    out->base[len] = '\0';
    return 0;
}

int uri_query_get(struct slice query, struct slice name, struct strbuf *ret_value)
{
    struct slice raw_name, raw_value;
    while (uri_query_next(&query, &raw_name, &raw_value)) {
        if (decode_into(raw_name, ret_value) != 0 || !slice_eq(strbuf_slice(ret_value), name))
            continue;
        return decode_into(raw_value, ret_value) == 0 ? 1 : -1;
    }
    strbuf_reset(ret_value);
    return 0;
}

void uri_encode(struct strbuf *out, struct slice text)
{
    char *start = strbuf_reserve(out, text.len * 3), *at = start;
    for (size_t i = 0; i < text.len; ++i) {
        if (uri_char_is(text.base[i], URI_UNRESERVED))
            *at++ = text.base[i];
        else
            at = uri_put_percent(at, (unsigned char)text.base[i]);
    }
    *at = '\0';
    out->len += (size_t)(at - start);
}

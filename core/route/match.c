/* One match of a rule against a request. */
#include "core/route/match.h"

#include "core/route/paths.h"
#include "core/route/regex.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent- and plus-decoding; a stray % stands for itself, as every form parser takes it. Takes one character off. */
static char take_char(struct slice *raw)
{
    char c = raw->base[0];
    size_t len = 1;
    int high, low;
    if (c == '%' && raw->len > 2 && (high = hex_value(raw->base[1])) >= 0 && (low = hex_value(raw->base[2])) >= 0) {
        c = (char)(high << 4 | low);
        len = 3;
    } else if (c == '+') {
        c = ' ';
    }
    raw->base += len;
    raw->len -= len;
    return c;
}

static struct slice decode(const struct rt_request *request, struct slice raw)
{
    if (memchr(raw.base, '%', raw.len) == NULL && memchr(raw.base, '+', raw.len) == NULL)
        return raw;
    char *text = request->alloc(request->alloc_data, raw.len), *end = text;
    while (raw.len != 0)
        *end++ = take_char(&raw);
    return slice_make(text, (size_t)(end - text));
}

static bool decodes_to(struct slice raw, struct slice text)
{
    size_t at = 0;
    while (raw.len != 0)
        if (at == text.len || take_char(&raw) != text.base[at++])
            return false;
    return at == text.len;
}

static struct slice cut(struct slice *rest, char separator)
{
    const char *at = memchr(rest->base, separator, rest->len);
    size_t len = at != NULL ? (size_t)(at - rest->base) : rest->len;
    struct slice head = slice_make(rest->base, len);
    size_t skip = at != NULL ? len + 1 : len;
    rest->base += skip;
    rest->len -= skip;
    return head;
}

bool rt_query_value(const struct rt_request *request, struct slice name, struct slice *ret_value)
{
    struct slice rest = request->query;
    while (rest.len > 0) {
        struct slice value = cut(&rest, '&');
        struct slice key = cut(&value, '=');
        if (decodes_to(key, name)) {
            *ret_value = decode(request, value);
            return true;
        }
    }
    return false;
}

static bool value_matches(const struct cfg_value_match *want, struct slice value)
{
    return want->kind == CFG_MATCH_REGEX ? rt_regex_matches(want->regex, value) : slice_eq(want->value, value);
}

enum rt_miss rt_match_rest(const struct cfg_match *match, const struct rt_request *request, uint32_t *ret_index)
{
    uint32_t ignored, *index = ret_index != NULL ? ret_index : &ignored;
    if (match->method.len != 0 && !slice_eq(match->method, request->method))
        return RT_MISS_METHOD;
    for (*index = 0; *index < match->num_headers; ++*index) {
        struct slice value = request->header(request->data, match->headers[*index].name);
        if (value.base == NULL || !value_matches(&match->headers[*index], value))
            return RT_MISS_HEADER;
    }
    for (*index = 0; *index < match->num_queries; ++*index) {
        struct slice value;
        if (!rt_query_value(request, match->queries[*index].name, &value) ||
            !value_matches(&match->queries[*index], value))
            return RT_MISS_QUERY;
    }
    return RT_HIT;
}

static bool path_matches(const struct cfg_match *match, struct slice path)
{
    switch (match->path_kind) {
    case CFG_MATCH_EXACT:
        return slice_eq(match->path, path);
    case CFG_MATCH_PREFIX:
        return rt_prefix_matches(match->path, path);
    case CFG_MATCH_REGEX:
        return rt_regex_matches(match->path_regex, path);
    }
    return false;
}

enum rt_miss rt_match(const struct cfg_match *match, const struct rt_request *request, uint32_t *ret_index)
{
    return path_matches(match, request->path) ? rt_match_rest(match, request, ret_index) : RT_MISS_PATH;
}

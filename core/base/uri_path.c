/* The normal form of a path, in one pass over it: bytes are decoded and appended to the segment under
 * construction, and a segment is judged when it ends. Nothing is decoded twice, and what would decode again
 * to something is refused. */
#include "core/base/uri.h"

#include "core/base/uri_char.h"

struct walk {
    char *base, *at;
    char *segment; /* where the one under construction begins: always behind a '/' */
    unsigned flags;
    bool has_parameter; /* in this segment */
    bool has_percent; /* something that second_look() must see */
};

/* Nearly all paths are normal as they come; segments that begin with a dot are left to the slow way. */
static bool is_normal(struct slice path)
{
    for (size_t i = 0; i < path.len; ++i) {
        if (path.base[i] != '/') {
            if (!uri_char_is(path.base[i], URI_SEGMENT))
                return false;
        } else if (i + 1 < path.len && (path.base[i + 1] == '/' || path.base[i + 1] == '.')) {
            return false;
        }
    }
    return true;
}

static bool is_dots(const char *text, size_t len)
{
    return (len == 1 || len == 2) && text[0] == '.' && text[len - 1] == '.';
}

/* What a server that cuts parameters off would be left with. */
static bool is_trick(const struct walk *w)
{
    size_t len = 0;
    while (w->segment[len] != ';' && strncmp(w->segment + len, "%3B", 3) != 0)
        ++len;
    return len == 0 || is_dots(w->segment, len);
}

/* RFC 3986 section 5.2.4; going up from the root stays there. */
static void remove_last_segment(struct walk *w)
{
    w->at = w->segment;
    if (w->at - w->base == 1)
        return;
    --w->at;
    while (w->at[-1] != '/')
        --w->at;
}

static enum uri_fault end_segment(struct walk *w, bool is_last)
{
    size_t len = (size_t)(w->at - w->segment);
    *w->at = '\0'; /* for is_trick() */
    if (w->has_parameter && is_trick(w))
        return URI_PARAMETER;
    w->has_parameter = false;
    if (is_dots(w->segment, len) && len == 1)
        w->at = w->segment;
    else if (is_dots(w->segment, len))
        remove_last_segment(w);
    else if (len != 0 && !is_last)
        *w->at++ = '/';
    w->segment = w->at;
    return URI_OK;
}

static enum uri_fault put_decoded(struct walk *w, unsigned char byte)
{
    if (byte == '/')
        return URI_ENCODED_SLASH;
    if (byte == '\\')
        return URI_BACKSLASH;
    if (byte < 0x20 || byte == 0x7f)
        return URI_ENCODED_CONTROL;
    if (uri_char_is((char)byte, URI_SEGMENT)) {
        *w->at++ = (char)byte;
        return URI_OK;
    }
    if (byte == ';') {
        if ((w->flags & URI_ALLOW_PARAMETERS) == 0)
            return URI_PARAMETER;
        w->has_parameter = true;
    }
    w->has_percent = w->has_percent || byte == '%' || byte >= 0x80;
    w->at = uri_put_percent(w->at, byte);
    return URI_OK;
}

static enum uri_fault put_raw(struct walk *w, char c)
{
    if (uri_char_is(c, URI_SEGMENT)) {
        *w->at++ = c;
        return URI_OK;
    }
    switch (c) {
    case ';':
        if ((w->flags & URI_ALLOW_PARAMETERS) == 0)
            return URI_PARAMETER;
        w->has_parameter = true;
        *w->at++ = c;
        return URI_OK;
    case '\\':
        return URI_BACKSLASH;
    case '#':
        return URI_FRAGMENT;
    case '?':
        return URI_BAD_BYTE; /* the query was to be cut off before */
    default:
        if (!uri_char_is_visible(c))
            return URI_BAD_BYTE;
        /* Seen in the wild and harmless, but not in RFC 3986's grammar: "<>[]^`{|} */
        w->at = uri_put_percent(w->at, (unsigned char)c);
        return URI_OK;
    }
}

/* A server behind us may decode twice; it must not find there what we would have refused or matched on. */
static bool is_meant_twice(int byte)
{
    return byte >= 0 && (byte < 0x20 || byte == 0x7f || byte == '/' || byte == '\\' || byte == '%' ||
                         byte == ';' || uri_char_is((char)byte, URI_UNRESERVED));
}

/* Overlong forms (RFC 3629 section 10): lenient decoders read %C0%AF as '/'. Other invalid UTF-8 is let
 * through: old sites have paths in other charsets. */
static bool is_overlong(int byte, int next)
{
    return byte == 0xc0 || byte == 0xc1 || (byte == 0xe0 && next >= 0x80 && next < 0xa0) ||
           (byte == 0xf0 && next >= 0x80 && next < 0x90);
}

static enum uri_fault second_look(struct slice path)
{
    for (size_t i = 0; i < path.len; ++i) {
        size_t left = path.len - i;
        if (path.base[i] != '%')
            continue;
        int byte = uri_percent_value(path.base + i, left);
        if (byte == '%') {
            int high = left > 3 ? uri_hex_value(path.base[i + 3]) : -1;
            int low = left > 4 ? uri_hex_value(path.base[i + 4]) : -1;
            if (high >= 0 && low >= 0 && is_meant_twice(high << 4 | low))
                return URI_ENCODED_TWICE;
        }
        if (is_overlong(byte, left > 3 && path.base[i + 3] == '%'
                                  ? uri_percent_value(path.base + i + 3, left - 3)
                                  : -1))
            return URI_OVERLONG;
    }
    return URI_OK;
}

enum uri_fault uri_path_normalize(struct slice raw, unsigned flags, char *scratch, struct slice *ret)
{
    if (raw.len == 0 || raw.base[0] != '/')
        return URI_NOT_ABSOLUTE;
    if (is_normal(raw)) {
        *ret = raw;
        return URI_OK;
    }
    struct walk w = {.base = scratch, .at = scratch + 1, .segment = scratch + 1, .flags = flags};
    scratch[0] = '/';
    for (size_t i = 1; i < raw.len; ++i) {
        enum uri_fault fault;
        int byte = 0;
        if (raw.base[i] == '/') {
            fault = end_segment(&w, false);
        } else if (raw.base[i] != '%') {
            fault = put_raw(&w, raw.base[i]);
        } else if ((byte = uri_percent_value(raw.base + i, raw.len - i)) < 0) {
            fault = URI_BAD_PERCENT;
        } else {
            fault = put_decoded(&w, (unsigned char)byte);
            i += 2;
        }
        if (fault != URI_OK)
            return fault;
    }
    enum uri_fault fault = end_segment(&w, true);
    struct slice path = slice_make(scratch, (size_t)(w.at - scratch));
    if (fault == URI_OK && w.has_percent)
        fault = second_look(path);
    if (fault == URI_OK)
        *ret = path;
    return fault;
}

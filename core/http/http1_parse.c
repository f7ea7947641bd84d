/* Strict HTTP/1.x parsing. One pass over a head: each line's end by memchr(), names through a table that
 * checks and lowers at once, values a word at a time. Framing and connection fields are taken out of the list
 * on the way. */
#include "core/http/http1_parse.h"

#include "core/http/chars.h"

static const struct {
    unsigned status;
    const char *detail;
} refusals[] = {
#define X(name, status, detail) [name] = {status, detail},
    HT1_REFUSALS(X)
#undef X
};

unsigned ht1_status(enum ht1_refusal refusal)
{
    return refusals[refusal].status;
}

const char *ht1_detail(enum ht1_refusal refusal)
{
    return refusals[refusal].detail;
}

ssize_t ht1_scan(struct ht1_scan *scan, const char *bytes, size_t len)
{
    for (;;) {
        const char *lf = memchr(bytes + scan->searched, '\n', len - scan->searched);
        if (lf == NULL) {
            scan->searched = (uint32_t)len;
            return 0;
        }
        size_t line_len = (size_t)(lf - bytes) - scan->at;
        if (line_len == 0 || lf[-1] != '\r')
            return -1;
        scan->at = scan->searched = (uint32_t)(lf - bytes) + 1;
        if (line_len == 1)
            return scan->at;
        ++scan->num_lines;
    }
}

/* ---- fields ---- */

/* One line, without its CRLF. */
struct line {
    char *at;
    char *end;
};

static struct line next_line(char **at, char *end)
{
    char *lf = memchr(*at, '\n', (size_t)(end - *at));
    struct line line = {*at, lf - 1}; /* ht1_scan() has seen that every line ends with CRLF */

    *at = lf + 1;
    return line;
}

static enum ht1_refusal parse_field(struct line line, struct ht_header *ret)
{
    char *p = line.at;
    uint8_t lower;

    while ((lower = ht_token_lower[(uint8_t)*p]) != 0)
        *p++ = (char)lower; /* stops at the CR at the latest */
    if (UNLIKELY(*p != ':' || p == line.at))
        return p == line.at && ht_is_ows(*p) ? HT1_FOLDED : HT1_BAD_FIELD_NAME;
    ret->name = slice_make(line.at, (size_t)(p - line.at));
    ++p;
    ret->value = ht_trim(slice_make(p, (size_t)(line.end - p)));
    if (UNLIKELY(!ht_is_text(ret->value.base, ret->value.len)))
        return HT1_BAD_FIELD_VALUE;
    ret->token = h2o_lookup_token(ret->name.base, ret->name.len);
    return HT1_OK;
}

bool ht1_parse_length(struct slice text, int64_t *ret)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 19)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.base[i] - '0'); /* 19 digits stay below 2^64 */
    }
    if (value > INT64_MAX)
        return false;
    *ret = (int64_t)value;
    return true;
}

/* What the fields of one head say about the connection and the framing. */
struct control {
    struct slice host;
    struct slice connection[4]; /* values of Connection fields */
    unsigned num_connection, num_hosts, num_options;
    int64_t content_length;
    unsigned has_length : 1, has_coding : 1, has_expect : 1, says_close : 1, says_keep_alive : 1,
        says_upgrade : 1, names_fields : 1, offers_websocket : 1, te_trailers : 1;
};

static enum ht1_refusal read_connection(struct control *control, struct slice value)
{
    struct slice rest = value, option;

    if (control->num_connection == ARRAY_LEN(control->connection))
        return HT1_BAD_CONNECTION;
    control->connection[control->num_connection++] = value;
    while (ht_list_next(&rest, &option)) {
        if (++control->num_options > HT1_MAX_CONNECTION_OPTIONS)
            return HT1_BAD_CONNECTION;
        if (ht_is_nocase(option, SLICE("close")))
            control->says_close = 1;
        else if (ht_is_nocase(option, SLICE("keep-alive")))
            control->says_keep_alive = 1;
        else if (ht_is_nocase(option, SLICE("upgrade")))
            control->says_upgrade = 1;
        else if (!ht_is_nocase(option, SLICE("te"))) /* belongs beside TE, which is dealt with by itself */
            control->names_fields = 1;
    }
    return HT1_OK;
}

static enum ht1_refusal read_length(struct control *control, struct slice value)
{
    if (control->has_length)
        return HT1_TWO_LENGTHS;
    control->has_length = 1;
    return ht1_parse_length(value, &control->content_length) ? HT1_OK : HT1_BAD_LENGTH;
}

/* RFC 9112 6.1: a request whose last coding is not chunked cannot be framed (400); one with codings before it
 * could, but not by us (501). */
static enum ht1_refusal read_coding(struct control *control, struct slice value)
{
    const struct slice chunked = SLICE("chunked");

    if (control->has_coding)
        return HT1_BAD_CODING;
    control->has_coding = 1;
    if (ht_is_nocase(value, chunked))
        return HT1_OK;
    if (value.len <= chunked.len + 1)
        return HT1_BAD_CODING;
    struct slice last = slice_make(value.base + value.len - chunked.len, chunked.len);
    char before = last.base[-1];
    return ht_is_nocase(last, chunked) && (before == ',' || ht_is_ows(before)) ? HT1_OTHER_CODING
                                                                               : HT1_BAD_CODING;
}

static bool list_has(struct slice list, struct slice lower)
{
    struct slice item;

    while (ht_list_next(&list, &item))
        if (ht_is_nocase(item, lower))
            return true;
    return false;
}

#define INDEX(t) (H2O_TOKEN_##t - h2o__tokens)

/* Takes a field that concerns the connection or the framing; *ret_keep says whether it stays in the list. */
static enum ht1_refusal read_control(struct control *control, struct ht_header *field, bool *ret_keep)
{
    *ret_keep = false;
    switch (field->token - h2o__tokens) {
    case INDEX(CONTENT_LENGTH):
        return read_length(control, field->value);
    case INDEX(TRANSFER_ENCODING):
        return read_coding(control, field->value);
    case INDEX(CONNECTION):
        return read_connection(control, field->value);
    case INDEX(UPGRADE):
        control->offers_websocket |= list_has(field->value, SLICE("websocket"));
        return HT1_OK;
    case INDEX(TE):
        *ret_keep = !control->te_trailers && list_has(field->value, SLICE("trailers"));
        control->te_trailers |= *ret_keep;
        field->value = SLICE("trailers"); /* all that may go on of it */
        return HT1_OK;
    case INDEX(KEEP_ALIVE):
    case INDEX(HTTP2_SETTINGS):
        return HT1_OK;
    default:
        *ret_keep = true;
        return HT1_OK;
    }
}

static enum ht1_refusal read_request_control(struct control *control, struct ht_header *field, bool *ret_keep)
{
    switch (field->token - h2o__tokens) {
    case INDEX(HOST):
        *ret_keep = false;
        control->host = field->value;
        return ++control->num_hosts > 1 ? HT1_TWO_HOSTS : HT1_OK;
    case INDEX(EXPECT):
        *ret_keep = false;
        control->has_expect = 1;
        return ht_is_nocase(field->value, SLICE("100-continue")) ? HT1_OK : HT1_BAD_EXPECT;
    default:
        return read_control(control, field, ret_keep);
    }
}

static bool keep_unknown(const struct ht_header *field)
{
    return !slice_eq(field->name, SLICE("proxy-connection"));
}

static void remove_nominated(struct control *control, struct ht_headers *headers)
{
    for (unsigned i = 0; i < control->num_connection; i++) {
        struct slice rest = control->connection[i], option;
        while (ht_list_next(&rest, &option)) {
            for (uint32_t j = headers->num; j-- > 0;)
                if (ht_is_nocase(option, headers->at[j].name))
                    ht_headers_remove_at(headers, j);
        }
    }
}

static enum ht1_refusal parse_fields(char *at, char *end, bool is_request, struct control *control,
                                     struct ht_headers *headers)
{
    while (*at != '\r') { /* the empty line */
        struct ht_header *field = &headers->at[headers->num];
        bool keep;
        enum ht1_refusal why = parse_field(next_line(&at, end), field);
        if (UNLIKELY(why != HT1_OK))
            return why;
        if (field->token == NULL)
            keep = keep_unknown(field) && !(is_request && ht_is_dropped_field(field->name));
        else if ((why = is_request ? read_request_control(control, field, &keep)
                                   : read_control(control, field, &keep)) != HT1_OK)
            return why;
        headers->num += keep;
    }
    if (control->has_length && control->has_coding)
        return HT1_LENGTH_AND_CODING;
    if (control->names_fields)
        remove_nominated(control, headers);
    return at + 2 == end ? HT1_OK : HT1_BAD_FIELD_NAME; /* a CR at a line's start that is no empty line */
}

/* ---- request line ---- */

static enum ht1_refusal parse_version(const char *at, size_t len, enum ht_version *ret)
{
    if (len != 8 || memcmp(at, "HTTP/", 5) != 0 || at[6] != '.' || at[5] < '0' || at[5] > '9' ||
        at[7] < '0' || at[7] > '9')
        return HT1_BAD_REQUEST_LINE;
    if (at[5] != '1' || at[7] > '1')
        return HT1_BAD_VERSION;
    *ret = at[7] == '1' ? HT_HTTP11 : HT_HTTP10;
    return HT1_OK;
}

/* method SP target SP version: single spaces, nothing else. */
static enum ht1_refusal parse_request_line(struct line line, struct ht1_request *ret)
{
    const char *p = line.at;

    while (ht_token_lower[(uint8_t)*p] != 0)
        ++p;
    if (*p != ' ' || p == line.at)
        return HT1_BAD_METHOD;
    ret->method = slice_make(line.at, (size_t)(p - line.at));
    if (ret->method.len > HT1_MAX_METHOD)
        return HT1_LONG_METHOD;
    const char *target = ++p;
    const char *space = memchr(target, ' ', (size_t)(line.end - target));
    if (space == NULL)
        return HT1_BAD_REQUEST_LINE; /* HTTP/0.9 among others */
    ret->target = slice_make(target, (size_t)(space - target));
    if (!ht_is_target(ret->target))
        return HT1_BAD_TARGET;
    return parse_version(space + 1, (size_t)(line.end - space - 1), &ret->version);
}

/* "http://authority/path": the authority overrides Host. With a query but no path, the authority moves one
 * byte left over the scheme's last slash, so that a '/' finds room before the '?'. */
static enum ht1_refusal split_absolute(struct ht1_request *ret, bool is_tls)
{
    struct slice scheme = is_tls ? SLICE("https://") : SLICE("http://");
    struct slice other = is_tls ? SLICE("http://") : SLICE("https://");
    struct slice target = ret->target;

    if (target.len < scheme.len || !ht_is_nocase(slice_make(target.base, scheme.len), scheme))
        return target.len >= other.len && ht_is_nocase(slice_make(target.base, other.len), other)
                   ? HT1_WRONG_SCHEME
                   : HT1_BAD_TARGET;
    char *authority = (char *)target.base + scheme.len, *end = (char *)target.base + target.len,
         *p = authority;
    while (p < end && *p != '/' && *p != '?')
        ++p;
    ret->authority = slice_make(authority, (size_t)(p - authority));
    ret->target = slice_make(p, (size_t)(end - p));
    if (p == end) {
        ret->target = slice_is(ret->method, "OPTIONS") ? SLICE("*") : SLICE("/");
    } else if (*p == '?') {
        memmove(authority - 1, authority, ret->authority.len);
        --ret->authority.base;
        --ret->target.base;
        ++ret->target.len;
        p[-1] = '/';
    }
    return ht_is_authority(ret->authority) ? HT1_OK : HT1_BAD_HOST;
}

static bool has_port(struct slice authority)
{
    const char *colon = memrchr(authority.base, ':', authority.len);

    return colon != NULL && memchr(colon, ']', authority.len - (size_t)(colon - authority.base)) == NULL;
}

static enum ht1_refusal read_target(struct ht1_request *ret, bool is_tls)
{
    if (slice_is(ret->method, "CONNECT")) {
        ret->authority = ret->target;
        return ht_is_authority(ret->target) && has_port(ret->target) ? HT1_OK : HT1_BAD_HOST;
    }
    if (LIKELY(ret->target.base[0] == '/'))
        return HT1_OK;
    if (ret->target.base[0] == '*')
        return ret->target.len == 1 && slice_is(ret->method, "OPTIONS") ? HT1_OK : HT1_WRONG_FORM;
    return split_absolute(ret, is_tls);
}

/* ---- requests ---- */

/* 16 bytes in base64: 22 digits and "==". */
static bool is_websocket_key(struct slice text)
{
    if (text.len != 24 || text.base[22] != '=' || text.base[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = text.base[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && c != '+' && c != '/')
            return false;
    }
    return true;
}

static struct ht_header *find_single(const struct ht_headers *headers, struct slice name)
{
    struct ht_header *header = ht_headers_find(headers, name);

    return header != NULL && ht_headers_next(headers, header) == NULL ? header : NULL;
}

/* RFC 6455 4.2.1. One that is not quite right is no upgrade request at all: the fields go on, no 101 can
 * come. */
static void read_websocket(const struct control *control, struct ht1_request *ret)
{
    if (!control->offers_websocket || !control->says_upgrade || ret->version != HT_HTTP11 ||
        !slice_is(ret->method, "GET") || ret->is_chunked || ret->content_length > 0)
        return;
    struct ht_header *version = find_single(&ret->headers, SLICE("sec-websocket-version"));
    struct ht_header *key = find_single(&ret->headers, SLICE("sec-websocket-key"));
    if (version != NULL && slice_is(version->value, "13") && key != NULL && is_websocket_key(key->value))
        ret->websocket_key = key->value;
}

static enum ht1_refusal read_host(const struct control *control, struct ht1_request *ret)
{
    if (control->num_hosts == 0)
        return ret->version == HT_HTTP11 ? HT1_NO_HOST : HT1_OK;
    if (!ht_is_authority(control->host))
        return HT1_BAD_HOST;
    if (ret->authority.base == NULL)
        ret->authority = control->host;
    return HT1_OK;
}

static enum ht1_refusal read_framing(const struct control *control, struct ht1_request *ret)
{
    if (control->has_coding && ret->version != HT_HTTP11)
        return HT1_BAD_CODING; /* RFC 9112 6.1: faulty framing in an HTTP/1.0 message */
    ret->is_chunked = control->has_coding;
    ret->content_length = control->has_length ? control->content_length : -1;
    if (slice_is(ret->method, "CONNECT") && (ret->is_chunked || ret->content_length > 0))
        return HT1_BODY_WITH_CONNECT;
    if (slice_is(ret->method, "TRACE"))
        return HT1_TRACE;
    return HT1_OK;
}

enum ht1_refusal ht1_parse_request(char *head, size_t len, const struct ht_limits *limits, bool is_tls,
                                   struct ht_header *fields, struct ht1_request *ret)
{
    struct control control = {.num_hosts = 0};
    char *at = head, *end = head + len;
    enum ht1_refusal why;

    *ret = (struct ht1_request){.headers = {fields, 0, 0}};
    if (*at == '\r')
        return HT1_BAD_REQUEST_LINE;
    if ((why = parse_request_line(next_line(&at, end), ret)) != HT1_OK)
        return why;
    if (ret->target.len > limits->max_target_bytes)
        return HT1_LONG_TARGET;
    if ((why = read_target(ret, is_tls)) != HT1_OK ||
        (why = parse_fields(at, end, true, &control, &ret->headers)) != HT1_OK)
        return why;
    if ((why = read_host(&control, ret)) != HT1_OK || (why = read_framing(&control, ret)) != HT1_OK)
        return why;
    ret->keep_alive =
        ret->version == HT_HTTP11 ? !control.says_close : control.says_keep_alive && !control.says_close;
    ret->expects_continue =
        control.has_expect && ret->version == HT_HTTP11 && (ret->is_chunked || ret->content_length > 0);
    ret->te_trailers = control.te_trailers;
    read_websocket(&control, ret);
    return HT1_OK;
}

/* ---- responses ---- */

/* "HTTP/1.1 200 OK"; the space before an absent reason is missing often enough to be forgiven: nothing
 * depends on it. */
static enum ht1_refusal parse_status_line(struct line line, struct ht1_response *ret)
{
    const char *p = line.at;
    size_t len = (size_t)(line.end - line.at);

    if (len < 12 || p[8] != ' ' || parse_version(p, 8, &ret->version) != HT1_OK)
        return HT1_BAD_STATUS_LINE;
    for (int i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9')
            return HT1_BAD_STATUS_LINE;
        ret->status = ret->status * 10 + (unsigned)(p[i] - '0');
    }
    if (ret->status < 100 || ret->status > 599 || (len > 12 && p[12] != ' ') || !ht_is_text(p + 12, len - 12))
        return HT1_BAD_STATUS_LINE;
    return HT1_OK;
}

enum ht1_refusal ht1_parse_response(char *head, size_t len, struct ht_header *fields,
                                    struct ht1_response *ret)
{
    struct control control = {.num_hosts = 0};
    char *at = head, *end = head + len;
    enum ht1_refusal why;

    *ret = (struct ht1_response){.headers = {fields, 0, 0}};
    if (*at == '\r')
        return HT1_BAD_STATUS_LINE;
    if ((why = parse_status_line(next_line(&at, end), ret)) != HT1_OK ||
        (why = parse_fields(at, end, false, &control, &ret->headers)) != HT1_OK)
        return why;
    if (control.has_coding && ret->version != HT_HTTP11)
        return HT1_BAD_CODING;
    ret->is_chunked = control.has_coding;
    ret->content_length = control.has_length ? control.content_length : -1;
    ret->keep_alive =
        ret->version == HT_HTTP11 ? !control.says_close : control.says_keep_alive && !control.says_close;
    ret->is_websocket = control.offers_websocket && control.says_upgrade;
    return HT1_OK;
}

enum ht1_refusal ht1_parse_trailers(char *section, size_t len, struct ht_header *fields,
                                    struct ht_headers *ret)
{
    char *at = section, *end = section + len;

    *ret = (struct ht_headers){fields, 0, 0};
    while (*at != '\r') {
        struct ht_header *field = &ret->at[ret->num];
        enum ht1_refusal why = parse_field(next_line(&at, end), field);
        if (why != HT1_OK)
            return why;
        ret->num += !ht_is_forbidden_trailer(field);
    }
    return at + 2 == end ? HT1_OK : HT1_BAD_FIELD_NAME;
}

enum ht1_refusal ht1_keep_trailers(h2o_mem_pool_t *pool, const struct ht1_scan *scan, const char *section,
                                   size_t len, struct ht_headers *ret)
{
    char *copy = h2o_mem_alloc_pool(pool, len);
    struct ht_header *fields = h2o_mem_alloc_pool(pool, scan->num_lines * sizeof(*fields));

    memcpy(copy, section, len);
    enum ht1_refusal why = ht1_parse_trailers(copy, len, fields, ret);
    ret->cap = scan->num_lines;
    return why;
}

/* ---- chunked coding ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum ht1_refusal read_digit(struct ht1_chunked *chunked, char c)
{
    int digit = hex_value(c);

    if (digit < 0)
        return HT1_BAD_CHUNK;
    if (++chunked->num_digits > 16 || chunked->left > (uint64_t)INT64_MAX >> 4)
        return HT1_BAD_CHUNK;
    chunked->left = chunked->left << 4 | (uint64_t)digit;
    chunked->state = HT1_CHUNK_DIGITS;
    return HT1_OK;
}

/* Extensions are dropped, so only their size and their bytes matter: no control characters, no end of line in
 * between. */
static enum ht1_refusal read_extension(struct ht1_chunked *chunked, char c)
{
    if (c == '\r') {
        chunked->state = HT1_CHUNK_SIZE_LF;
        return HT1_OK;
    }
    if (((uint8_t)c < 0x20 && c != '\t') || c == 0x7f)
        return HT1_BAD_CHUNK;
    if (++chunked->extension_len > HT1_MAX_EXTENSION || ++chunked->extensions_len > HT1_MAX_EXTENSIONS)
        return HT1_LONG_EXTENSION;
    return HT1_OK;
}

static enum ht1_refusal read_chunk_byte(struct ht1_chunked *chunked, char c)
{
    switch (chunked->state) {
    case HT1_CHUNK_SIZE:
        chunked->left = chunked->num_digits = chunked->extension_len = 0;
        return read_digit(chunked, c);
    case HT1_CHUNK_DIGITS:
        if (c != '\r' && c != ';')
            return read_digit(chunked, c);
        chunked->state = c == '\r' ? HT1_CHUNK_SIZE_LF : HT1_CHUNK_EXTENSION;
        return HT1_OK;
    case HT1_CHUNK_EXTENSION:
        return read_extension(chunked, c);
    case HT1_CHUNK_SIZE_LF:
        chunked->state = chunked->left == 0 ? HT1_CHUNK_TRAILERS : HT1_CHUNK_DATA;
        return c == '\n' ? HT1_OK : HT1_BAD_CHUNK;
    case HT1_CHUNK_DATA: /* left == 0: the payload is taken */
    case HT1_CHUNK_DATA_CR:
        chunked->state = HT1_CHUNK_DATA_LF;
        return c == '\r' ? HT1_OK : HT1_BAD_CHUNK;
    case HT1_CHUNK_DATA_LF:
        chunked->state = HT1_CHUNK_SIZE;
        return c == '\n' ? HT1_OK : HT1_BAD_CHUNK;
    case HT1_CHUNK_TRAILERS:
        break;
    }
    return HT1_BAD_CHUNK;
}

ssize_t ht1_chunked_read(struct ht1_chunked *chunked, const char *bytes, size_t len,
                         enum ht1_refusal *ret_why)
{
    size_t i = 0;

    while (i < len) {
        if ((*ret_why = read_chunk_byte(chunked, bytes[i++])) != HT1_OK)
            return -1;
        if (chunked->state == HT1_CHUNK_TRAILERS || chunked->state == HT1_CHUNK_DATA)
            break;
    }
    return (ssize_t)i;
}

size_t ht1_chunk_head(char *out, uint64_t size)
{
    unsigned num = size == 0 ? 1 : (unsigned)(67 - __builtin_clzll(size)) / 4;

    for (unsigned i = 0; i < num; i++)
        out[i] = "0123456789abcdef"[size >> 4 * (num - 1 - i) & 15];
    out[num] = '\r';
    out[num + 1] = '\n';
    return num + 2;
}

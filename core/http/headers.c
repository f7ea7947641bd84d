/* Header lists in a pool, and the syntax and classes of fields (RFC 9110 5, 6.5, 7.6). */
#include "core/http/http.h"

#include "core/http/chars.h"

enum { FIRST_CAP = 16 };

/* clang-format off */
const uint8_t ht_token_lower[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|',   ['~'] = '~',
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5',   ['6'] = '6', ['7'] = '7',
    ['8'] = '8', ['9'] = '9',
    ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f',   ['G'] = 'g', ['H'] = 'h',
    ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n',   ['O'] = 'o', ['P'] = 'p',
    ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v',   ['W'] = 'w', ['X'] = 'x',
    ['Y'] = 'y', ['Z'] = 'z',
    ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f',   ['g'] = 'g', ['h'] = 'h',
    ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n',   ['o'] = 'o', ['p'] = 'p',
    ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v',   ['w'] = 'w', ['x'] = 'x',
    ['y'] = 'y', ['z'] = 'z',
};
/* clang-format on */

/* ---- lists ---- */

static struct ht_header *append(h2o_mem_pool_t *pool, struct ht_headers *headers)
{
    if (headers->num == headers->cap) {
        uint32_t cap = headers->cap != 0 ? headers->cap * 2 : FIRST_CAP;
        struct ht_header *at = h2o_mem_alloc_pool(pool, cap * sizeof(*at));
        if (headers->num != 0)
            memcpy(at, headers->at, headers->num * sizeof(*at));
        headers->at = at;
        headers->cap = cap;
    }
    return &headers->at[headers->num++];
}

struct ht_header *ht_headers_add(h2o_mem_pool_t *pool, struct ht_headers *headers, struct slice name,
                                 struct slice value)
{
    struct ht_header *header = append(pool, headers);
    *header = (struct ht_header){name, value, h2o_lookup_token(name.base, name.len)};
    return header;
}

struct ht_header *ht_headers_add_token(h2o_mem_pool_t *pool, struct ht_headers *headers,
                                       const h2o_token_t *token, struct slice value)
{
    struct ht_header *header = append(pool, headers);
    *header = (struct ht_header){{token->buf.base, token->buf.len}, value, token};
    return header;
}

static struct ht_header *find_from(const struct ht_headers *headers, uint32_t from, struct slice name)
{
    for (uint32_t i = from; i < headers->num; i++)
        if (slice_eq(headers->at[i].name, name))
            return &headers->at[i];
    return NULL;
}

static struct ht_header *find_token_from(const struct ht_headers *headers, uint32_t from,
                                         const h2o_token_t *token)
{
    for (uint32_t i = from; i < headers->num; i++)
        if (headers->at[i].token == token)
            return &headers->at[i];
    return NULL;
}

struct ht_header *ht_headers_find(const struct ht_headers *headers, struct slice name)
{
    return find_from(headers, 0, name);
}

struct ht_header *ht_headers_find_token(const struct ht_headers *headers, const h2o_token_t *token)
{
    return find_token_from(headers, 0, token);
}

struct ht_header *ht_headers_next(const struct ht_headers *headers, const struct ht_header *header)
{
    uint32_t from = (uint32_t)(header - headers->at) + 1;

    if (header->token != NULL)
        return find_token_from(headers, from, header->token);
    return find_from(headers, from, header->name);
}

void ht_headers_remove_at(struct ht_headers *headers, uint32_t index)
{
    --headers->num;
    memmove(headers->at + index, headers->at + index + 1, (headers->num - index) * sizeof(*headers->at));
}

static size_t remove_from(struct ht_headers *headers, uint32_t from, struct slice name)
{
    uint32_t kept = from;

    for (uint32_t i = from; i < headers->num; i++)
        if (!slice_eq(headers->at[i].name, name))
            headers->at[kept++] = headers->at[i];
    size_t gone = headers->num - kept;
    headers->num = kept;
    return gone;
}

size_t ht_headers_remove(struct ht_headers *headers, struct slice name)
{
    return remove_from(headers, 0, name);
}

void ht_headers_set(h2o_mem_pool_t *pool, struct ht_headers *headers, struct slice name, struct slice value)
{
    struct ht_header *first = ht_headers_find(headers, name);

    if (first == NULL) {
        ht_headers_add(pool, headers, name, value);
        return;
    }
    first->value = value;
    remove_from(headers, (uint32_t)(first - headers->at) + 1, name);
}

struct slice ht_pool_dup(h2o_mem_pool_t *pool, struct slice src)
{
    char *copy = h2o_mem_alloc_pool(pool, src.len + 1);

    if (src.len != 0)
        memcpy(copy, src.base, src.len);
    copy[src.len] = '\0';
    return slice_make(copy, src.len);
}

/* ---- syntax ---- */

bool ht_is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (ht_token_lower[(uint8_t)text.base[i]] == 0)
            return false;
    return text.len != 0;
}

bool ht_is_field_value(struct slice text)
{
    if (text.len != 0 && (ht_is_ows(text.base[0]) || ht_is_ows(text.base[text.len - 1])))
        return false;
    return ht_is_text(text.base, text.len);
}

bool ht_is_target(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((uint8_t)text.base[i] <= ' ' || (uint8_t)text.base[i] >= 0x7f || text.base[i] == '#')
            return false;
    return text.len != 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool ht_is_port(struct slice text)
{
    unsigned port = 0;

    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.base[i]))
            return false;
        port = port * 10 + (unsigned)(text.base[i] - '0');
    }
    return port != 0 && port <= 65535;
}

/* The address part is not taken apart: it names nothing here, it is only compared and passed on. */
static bool is_bracketed(const char *at, size_t len)
{
    size_t colons = 0;

    if (len < 4 || len > 47 || at[0] != '[' || at[len - 1] != ']')
        return false;
    for (size_t i = 1; i < len - 1; i++) {
        bool is_hex = is_digit(at[i]) || (at[i] >= 'a' && at[i] <= 'f') || (at[i] >= 'A' && at[i] <= 'F');
        colons += at[i] == ':';
        if (!is_hex && at[i] != ':' && at[i] != '.')
            return false;
    }
    return colons >= 2;
}

static bool is_host_name(const char *at, size_t len)
{
    if (len == 0 || len > 255)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (c == '.' && (i == 0 || at[i - 1] == '.'))
            return false;
        if (!is_letter && !is_digit(c) && c != '-' && c != '.' && c != '_')
            return false;
    }
    return true;
}

bool ht_is_authority(struct slice text)
{
    const char *end = text.len != 0 && text.base[0] == '[' ? memchr(text.base, ']', text.len) : NULL;
    const char *from = end != NULL ? end : text.base;
    const char *colon = text.len != 0 ? memchr(from, ':', text.len - (size_t)(from - text.base)) : NULL;
    size_t host_len = colon != NULL ? (size_t)(colon - text.base) : text.len;

    if (colon != NULL && !ht_is_port(slice_make(colon + 1, text.len - host_len - 1)))
        return false;
    return text.len != 0 && text.base[0] == '[' ? is_bracketed(text.base, host_len)
                                                : is_host_name(text.base, host_len);
}

/* ---- classes ---- */

enum { HOP = 1, NO_TRAILER = 2 };

/* By place in libh2o's token table; names it does not know are compared as texts. */
static uint8_t token_class(const h2o_token_t *token)
{
    static const uint8_t classes[] = {
#define AT(t) [H2O_TOKEN_##t - h2o__tokens]
        AT(CONNECTION) = HOP | NO_TRAILER,
        AT(KEEP_ALIVE) = HOP | NO_TRAILER,
        AT(TE) = HOP | NO_TRAILER,
        AT(TRANSFER_ENCODING) = HOP | NO_TRAILER,
        AT(UPGRADE) = HOP | NO_TRAILER,
        AT(HTTP2_SETTINGS) = HOP | NO_TRAILER,
        AT(HOST) = NO_TRAILER,
        AT(CONTENT_LENGTH) = NO_TRAILER,
        AT(CONTENT_ENCODING) = NO_TRAILER,
        AT(CONTENT_TYPE) = NO_TRAILER,
        AT(CONTENT_RANGE) = NO_TRAILER,
        AT(AUTHORIZATION) = NO_TRAILER,
        AT(PROXY_AUTHENTICATE) = NO_TRAILER,
        AT(PROXY_AUTHORIZATION) = NO_TRAILER,
        AT(WWW_AUTHENTICATE) = NO_TRAILER,
        AT(COOKIE) = NO_TRAILER,
        AT(SET_COOKIE) = NO_TRAILER,
        AT(CACHE_CONTROL) = NO_TRAILER,
        AT(EXPECT) = NO_TRAILER,
        AT(MAX_FORWARDS) = NO_TRAILER,
        AT(RANGE) = NO_TRAILER,
        AT(IF_MATCH) = NO_TRAILER,
        AT(IF_NONE_MATCH) = NO_TRAILER,
        AT(IF_MODIFIED_SINCE) = NO_TRAILER,
        AT(IF_UNMODIFIED_SINCE) = NO_TRAILER,
        AT(IF_RANGE) = NO_TRAILER,
        AT(LOCATION) = NO_TRAILER,
        AT(X_FORWARDED_FOR) = NO_TRAILER,
#undef AT
    };
    size_t index = (size_t)(token - h2o__tokens);
    return index < ARRAY_LEN(classes) ? classes[index] : 0;
}

bool ht_is_hop_field(const struct ht_header *header)
{
    if (header->token != NULL)
        return (token_class(header->token) & HOP) != 0;
    return slice_eq(header->name, SLICE("proxy-connection"));
}

bool ht_is_forbidden_trailer(const struct ht_header *header)
{
    if (header->token != NULL)
        return (token_class(header->token) & NO_TRAILER) != 0;
    return ht_is_dropped_field(header->name) || slice_starts(header->name, SLICE("x-forwarded-")) ||
           slice_eq(header->name, SLICE("forwarded")) || slice_eq(header->name, SLICE("x-real-ip")) ||
           slice_eq(header->name, SLICE("trailer")) || slice_eq(header->name, SLICE("proxy-connection"));
}

bool ht_is_dropped_field(struct slice name)
{
    return memchr(name.base, '_', name.len) != NULL || slice_eq(name, SLICE("proxy"));
}

const char *ht_status_reason(unsigned status)
{
    switch (status) {
#define ROW(code, text)                                                                                      \
    case code:                                                                                               \
        return text;
        ROW(100, "Continue")
        ROW(101, "Switching Protocols")
        ROW(103, "Early Hints")
        ROW(200, "OK")
        ROW(201, "Created")
        ROW(202, "Accepted")
        ROW(203, "Non-Authoritative Information")
        ROW(204, "No Content")
        ROW(205, "Reset Content")
        ROW(206, "Partial Content")
        ROW(207, "Multi-Status")
        ROW(300, "Multiple Choices")
        ROW(301, "Moved Permanently")
        ROW(302, "Found")
        ROW(303, "See Other")
        ROW(304, "Not Modified")
        ROW(307, "Temporary Redirect")
        ROW(308, "Permanent Redirect")
        ROW(400, "Bad Request")
        ROW(401, "Unauthorized")
        ROW(402, "Payment Required")
        ROW(403, "Forbidden")
        ROW(404, "Not Found")
        ROW(405, "Method Not Allowed")
        ROW(406, "Not Acceptable")
        ROW(407, "Proxy Authentication Required")
        ROW(408, "Request Timeout")
        ROW(409, "Conflict")
        ROW(410, "Gone")
        ROW(411, "Length Required")
        ROW(412, "Precondition Failed")
        ROW(413, "Content Too Large")
        ROW(414, "URI Too Long")
        ROW(415, "Unsupported Media Type")
        ROW(416, "Range Not Satisfiable")
        ROW(417, "Expectation Failed")
        ROW(421, "Misdirected Request")
        ROW(422, "Unprocessable Content")
        ROW(423, "Locked")
        ROW(425, "Too Early")
        ROW(426, "Upgrade Required")
        ROW(428, "Precondition Required")
        ROW(429, "Too Many Requests")
        ROW(431, "Request Header Fields Too Large")
        ROW(451, "Unavailable For Legal Reasons")
        ROW(499, "Client Closed Request")
        ROW(500, "Internal Server Error")
        ROW(501, "Not Implemented")
        ROW(502, "Bad Gateway")
        ROW(503, "Service Unavailable")
        ROW(504, "Gateway Timeout")
        ROW(505, "HTTP Version Not Supported")
        ROW(507, "Insufficient Storage")
        ROW(511, "Network Authentication Required")
#undef ROW
    default:
        return "Status";
    }
}

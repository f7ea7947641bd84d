/* Reading HTTP/1.1: collect a head up to its empty line, split it, then read the body its framing names.
 *
 * A malformed message is refused with a status and its connection ends, since nobody knows where the next one
 * begins. */
#include "examples/bookinfo/lib/http.h"

#include <ctype.h>
#include <strings.h>

enum {
    HTTP_BAD = 400,
    HTTP_TIMEOUT = 408,
    HTTP_TOO_LARGE = 413,
    HTTP_HEAD_TOO_LARGE = 431,
    HTTP_BAD_CODING = 501,
    HTTP_BAD_VERSION = 505,
    BODY_UNTIL_CLOSE = -1,
    BODY_CHUNKED = -2,
    CHUNK_LINE_MAX = 1024,
    BYTES_AT_ONCE = 16 * 1024,
};

void bk_message_init(struct bk_message *message)
{
    memset(message, 0, offsetof(struct bk_message, fields));
}

void bk_message_clear(struct bk_message *message)
{
    strbuf_clear(&message->head);
    strbuf_clear(&message->body);
}

static void reset(struct bk_message *message)
{
    strbuf_reset(&message->head);
    strbuf_reset(&message->body);
    message->method = message->target = (struct slice){NULL, 0};
    message->status = 0;
    message->num_fields = 0;
    message->is_http10 = message->is_last = false;
}

bool bk_slice_is_nocase(struct slice a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.base, b, a.len) == 0;
}

struct slice bk_message_field(const struct bk_message *message, const char *name)
{
    for (size_t i = 0; i != message->num_fields; i++)
        if (bk_slice_is_nocase(message->fields[i].name, name))
            return message->fields[i].value;
    return (struct slice){NULL, 0};
}

bool bk_parse_number(struct slice text, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i != text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.base[i] - '0');
    }
    if (value > max)
        return false;
    *ret = value;
    return true;
}

static struct slice trim(struct slice s)
{
    while (s.len != 0 && (s.base[0] == ' ' || s.base[0] == '\t'))
        s.base++, s.len--;
    while (s.len != 0 && (s.base[s.len - 1] == ' ' || s.base[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Cuts `*rest` at the first `by`; false when there is none. */
static bool cut(struct slice *rest, char by, struct slice *ret)
{
    const char *at = rest->len != 0 ? memchr(rest->base, by, rest->len) : NULL;
    if (at == NULL)
        return false;
    *ret = slice_make(rest->base, (size_t)(at - rest->base));
    *rest = slice_make(at + 1, rest->len - ret->len - 1);
    return true;
}

/* ---- heads ---- */

/* Collects up to the empty line. BK_READ_GONE, a status, or BK_READ_OK. */
static int collect_head(struct bk_stream *stream, struct strbuf *head, uint64_t deadline_ms)
{
    struct err err;
    char c;
    for (;;) {
        int got = bk_stream_getc(stream, &c, deadline_ms, &err);
        if (got <= 0)
            return got < 0 && err.code == ERR_TIMEOUT && head->len != 0 ? HTTP_TIMEOUT : BK_READ_GONE;
        if (head->len == 0 && (c == '\r' || c == '\n'))
            continue; /* RFC 9112 2.2: empty lines before a request line may be skipped */
        if (c == '\n' && head->base[head->len - 1] != '\r')
            return HTTP_BAD;
        strbuf_addc(head, c);
        if (c == '\n' && head->len >= 4 && memcmp(head->base + head->len - 4, "\r\n\r\n", 4) == 0)
            return BK_READ_OK;
        if (head->len > BK_HEAD_MAX)
            return HTTP_HEAD_TOO_LARGE;
    }
}

static bool is_token(struct slice s)
{
    for (size_t i = 0; i != s.len; i++)
        if (!isalnum((unsigned char)s.base[i]) && strchr("!#$%&'*+-.^_`|~", s.base[i]) == NULL)
            return false;
    return s.len != 0 && memchr(s.base, '\0', s.len) == NULL;
}

static bool is_clean(struct slice line)
{
    for (size_t i = 0; i != line.len; i++)
        if (((unsigned char)line.base[i] < ' ' && line.base[i] != '\t') || line.base[i] == 127)
            return false;
    return true;
}

static bool next_line(struct slice *rest, struct slice *ret)
{
    if (!cut(rest, '\n', ret) || ret->len == 0 || ret->base[ret->len - 1] != '\r')
        return false;
    ret->len--;
    return is_clean(*ret);
}

static int split_fields(struct bk_message *message, struct slice rest)
{
    struct slice line, name;
    for (;;) {
        if (!next_line(&rest, &line))
            return HTTP_BAD;
        if (line.len == 0)
            return BK_READ_OK;
        if (!cut(&line, ':', &name) || !is_token(name))
            return HTTP_BAD;
        if (message->num_fields == BK_FIELDS_MAX)
            return HTTP_HEAD_TOO_LARGE;
        message->fields[message->num_fields++] = (struct bk_field){name, trim(line)};
    }
}

static bool has_word(struct slice list, const char *word)
{
    struct slice one;
    while (cut(&list, ',', &one))
        if (bk_slice_is_nocase(trim(one), word))
            return true;
    return bk_slice_is_nocase(trim(list), word);
}

static bool closes(const struct bk_message *message)
{
    struct slice connection = bk_message_field(message, "connection");
    return message->is_http10 || (connection.base != NULL && has_word(connection, "close"));
}

static int split_request(struct bk_message *message)
{
    struct slice rest = strbuf_slice(&message->head), line;
    if (!next_line(&rest, &line) || !cut(&line, ' ', &message->method) || !cut(&line, ' ', &message->target))
        return HTTP_BAD;
    if (!is_token(message->method) || message->target.len == 0)
        return HTTP_BAD;
    if (!slice_is(line, "HTTP/1.1") && !slice_is(line, "HTTP/1.0"))
        return slice_starts(line, SLICE("HTTP/")) ? HTTP_BAD_VERSION : HTTP_BAD;
    message->is_http10 = slice_is(line, "HTTP/1.0");
    int status = split_fields(message, rest);
    if (status == BK_READ_OK && !message->is_http10 && bk_message_field(message, "host").base == NULL)
        return HTTP_BAD;
    message->is_last = closes(message);
    return status;
}

int bk_request_read_head(struct bk_stream *stream, struct bk_message *message, uint64_t deadline_ms)
{
    reset(message);
    int status = collect_head(stream, &message->head, deadline_ms);
    return status == BK_READ_OK ? split_request(message) : status;
}

bool bk_request_expects_continue(const struct bk_message *message)
{
    return bk_slice_is_nocase(bk_message_field(message, "expect"), "100-continue");
}

/* ---- bodies ---- */

/* The length, BODY_CHUNKED, or BODY_UNTIL_CLOSE when neither is named; `*status` refuses it. */
static int64_t body_framing(const struct bk_message *message, int *status)
{
    int64_t length = BODY_UNTIL_CLOSE;
    bool is_chunked = false;
    for (size_t i = 0; i != message->num_fields; i++) {
        const struct bk_field *f = &message->fields[i];
        uint64_t value;
        if (bk_slice_is_nocase(f->name, "transfer-encoding")) {
            if (is_chunked || message->is_http10)
                *status = HTTP_BAD;
            else if (!bk_slice_is_nocase(f->value, "chunked"))
                *status = HTTP_BAD_CODING;
            is_chunked = true;
        } else if (bk_slice_is_nocase(f->name, "content-length")) {
            if (!bk_parse_number(f->value, INT64_MAX, &value) || (length >= 0 && value != (uint64_t)length))
                *status = HTTP_BAD;
            else
                length = (int64_t)value;
        }
    }
    if (is_chunked && length >= 0)
        *status = HTTP_BAD; /* RFC 9112 6.3: smuggling, or an error */
    return is_chunked ? BODY_CHUNKED : length;
}

/* Reads `len` bytes, or until the peer closes when `len` is BODY_UNTIL_CLOSE. */
static int read_plain(struct bk_stream *stream, struct strbuf *body, int64_t len, uint64_t deadline_ms)
{
    struct err err;
    while (len != 0) {
        if (body->len + (size_t)MAX(len, 0) > BK_BODY_MAX)
            return HTTP_TOO_LARGE;
        size_t want = len > 0 ? MIN((size_t)len, (size_t)BYTES_AT_ONCE) : BYTES_AT_ONCE;
        ssize_t n = bk_stream_read(stream, strbuf_reserve(body, want), want, deadline_ms, &err);
        if (n == 0 && len == BODY_UNTIL_CLOSE)
            return BK_READ_OK;
        if (n <= 0)
            return n < 0 && err.code == ERR_TIMEOUT ? HTTP_TIMEOUT : BK_READ_GONE;
        body->len += (size_t)n;
        body->base[body->len] = '\0';
        if (len > 0)
            len -= n;
    }
    return BK_READ_OK;
}

/* A line of chunked framing without its CRLF. */
static int read_line(struct bk_stream *stream, char *out, size_t *ret_len, uint64_t deadline_ms)
{
    struct err err;
    size_t len = 0;
    char c;
    for (;;) {
        int got = bk_stream_getc(stream, &c, deadline_ms, &err);
        if (got <= 0)
            return got < 0 && err.code == ERR_TIMEOUT ? HTTP_TIMEOUT : BK_READ_GONE;
        if (c == '\n')
            break;
        if (len == CHUNK_LINE_MAX)
            return HTTP_BAD;
        out[len++] = c;
    }
    if (len == 0 || out[--len] != '\r' || !is_clean(slice_make(out, len)))
        return HTTP_BAD;
    *ret_len = len;
    return BK_READ_OK;
}

static bool parse_chunk_size(const char *line, size_t len, int64_t *ret)
{
    size_t digits = 0;
    int64_t size = 0;
    while (digits != len && isxdigit((unsigned char)line[digits])) {
        char c = (char)tolower((unsigned char)line[digits]);
        if (++digits > 8)
            return false;
        size = size * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret = size;
    return digits != 0 && (digits == len || line[digits] == ';');
}

static int read_chunked(struct bk_stream *stream, struct strbuf *body, uint64_t deadline_ms)
{
    char line[CHUNK_LINE_MAX];
    size_t len;
    int64_t size;
    int status;
    for (;;) {
        if ((status = read_line(stream, line, &len, deadline_ms)) != BK_READ_OK)
            return status;
        if (!parse_chunk_size(line, len, &size))
            return HTTP_BAD;
        if (size == 0)
            break;
        if ((status = read_plain(stream, body, size, deadline_ms)) != BK_READ_OK ||
            (status = read_line(stream, line, &len, deadline_ms)) != BK_READ_OK)
            return status;
        if (len != 0)
            return HTTP_BAD;
    }
    for (int i = 0; i != BK_FIELDS_MAX; i++) { /* trailers: nothing here has a use for them */
        if ((status = read_line(stream, line, &len, deadline_ms)) != BK_READ_OK || len == 0)
            return status;
    }
    return HTTP_HEAD_TOO_LARGE;
}

static int read_body(struct bk_stream *stream, struct bk_message *message, int64_t framing,
                     uint64_t deadline_ms)
{
    if (framing == BODY_CHUNKED)
        return read_chunked(stream, &message->body, deadline_ms);
    return read_plain(stream, &message->body, framing, deadline_ms);
}

int bk_request_read_body(struct bk_stream *stream, struct bk_message *message, uint64_t deadline_ms)
{
    int status = BK_READ_OK;
    int64_t framing = body_framing(message, &status);
    if (status != BK_READ_OK || framing == BODY_UNTIL_CLOSE) /* a request without framing has no body */
        return status;
    return read_body(stream, message, framing, deadline_ms);
}

/* ---- responses ---- */

static int split_response(struct bk_message *message)
{
    struct slice rest = strbuf_slice(&message->head), line, version;
    uint64_t status;
    if (!next_line(&rest, &line) || !cut(&line, ' ', &version) || line.len < 3 ||
        !bk_parse_number(slice_make(line.base, 3), 999, &status) || status < 100)
        return -1;
    if (!slice_is(version, "HTTP/1.1") && !slice_is(version, "HTTP/1.0"))
        return -1;
    message->is_http10 = slice_is(version, "HTTP/1.0");
    message->status = (unsigned)status;
    if (split_fields(message, rest) != BK_READ_OK)
        return -1;
    message->is_last = closes(message);
    return 0;
}

static int response_err(int status, const struct bk_message *message, struct err *err)
{
    if (status == HTTP_TIMEOUT)
        return err_set(err, ERR_TIMEOUT, "timed out");
    if (status == BK_READ_GONE && message->head.len == 0)
        return err_set(err, ERR_UNAVAILABLE, "connection closed before an answer");
    return err_set(err, ERR_IO, "%s", status == BK_READ_GONE ? "answer cut short" : "malformed answer");
}

int bk_response_read(struct bk_stream *stream, struct bk_message *message, bool is_head_request,
                     uint64_t deadline_ms, struct err *err)
{
    int status;
    do {
        reset(message);
        if ((status = collect_head(stream, &message->head, deadline_ms)) != BK_READ_OK) {
            /* a silent server and one that went away both read as GONE: the clock tells them apart */
            if (deadline_ms != BK_NO_DEADLINE && clock_mono_ms() >= deadline_ms)
                status = HTTP_TIMEOUT;
            return response_err(status, message, err);
        }
        if (split_response(message) != 0)
            return response_err(HTTP_BAD, message, err);
    } while (message->status < 200);
    status = BK_READ_OK;
    int64_t framing = body_framing(message, &status);
    if (is_head_request || message->status == 204 || message->status == 304)
        return 0;
    if (framing == BODY_UNTIL_CLOSE)
        message->is_last = true;
    if (status == BK_READ_OK)
        status = read_body(stream, message, framing, deadline_ms);
    return status == BK_READ_OK ? 0 : response_err(status, message, err);
}

const char *bk_status_text(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } table[] = {{200, "OK"},
                 {201, "Created"},
                 {204, "No Content"},
                 {303, "See Other"},
                 {400, "Bad Request"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {413, "Content Too Large"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i != ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].text;
    return "Status"; /* any word will do for a client */
}

/* ---- forms and cookies ---- */

static int unhex(char c)
{
    if (!isxdigit((unsigned char)c))
        return -1;
    return c <= '9' ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

static int form_decode(struct slice in, char *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        int c = (unsigned char)in.base[i];
        if (c == '+')
            c = ' ';
        if (c == '%') {
            int high = i + 1 < in.len ? unhex(in.base[i + 1]) : -1,
                low = i + 2 < in.len ? unhex(in.base[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -1;
            c = high * 16 + low;
            i += 2;
        }
        if (len + 1 >= cap || c == '\0')
            return -1;
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return (int)len;
}

int bk_form_get(struct slice form, const char *name, char *out, size_t cap)
{
    while (form.len != 0) {
        struct slice pair, key;
        if (!cut(&form, '&', &pair)) {
            pair = form;
            form.len = 0;
        }
        if (cut(&pair, '=', &key) && slice_is(key, name))
            return form_decode(pair, out, cap);
    }
    return -1;
}

struct slice bk_cookie_get(const struct bk_message *message, const char *name)
{
    struct slice rest = bk_message_field(message, "cookie"), pair, key;
    while (rest.len != 0) {
        if (!cut(&rest, ';', &pair)) {
            pair = rest;
            rest.len = 0;
        }
        pair = trim(pair);
        if (cut(&pair, '=', &key) && slice_is(key, name))
            return pair;
    }
    return (struct slice){NULL, 0};
}

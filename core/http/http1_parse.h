/* HTTP/1.x message heads, trailer sections and the chunked coding: strict parsers (RFC 9112) as pure
 * functions.
 *
 * Nothing is repaired: what another parser might read differently is refused. Bare LF, CR or NUL, line
 * folding, white space around a field name, an odd or repeated Content-Length, any Transfer-Encoding but
 * exactly "chunked", both of them together, a missing or repeated Host, an authority with anything unusual in
 * it. A head is parsed where it lies: names are put into lower case in place, the results point into it.
 * Fuzzed by http1_request_fuzz, http1_response_fuzz, http1_chunked_fuzz. */
#ifndef SELVEDGE_HTTP_HTTP1_PARSE_H
#define SELVEDGE_HTTP_HTTP1_PARSE_H

#include "core/http/http.h"

#include <sys/types.h>

/* Why a message is refused: the status a server answers with, and a text for the log. */
#define HT1_REFUSALS(X)                                                                                      \
    X(HT1_OK, 200, "")                                                                                       \
    X(HT1_BAD_LINE_END, 400, "line does not end with CRLF")                                                  \
    X(HT1_BAD_REQUEST_LINE, 400, "malformed request line")                                                   \
    X(HT1_BAD_METHOD, 400, "malformed method")                                                               \
    X(HT1_LONG_METHOD, 501, "method too long")                                                               \
    X(HT1_TRACE, 405, "TRACE is not served")                                                                 \
    X(HT1_BAD_TARGET, 400, "malformed request target")                                                       \
    X(HT1_WRONG_FORM, 400, "request target does not fit the method")                                         \
    X(HT1_WRONG_SCHEME, 400, "scheme is not the connection's")                                               \
    X(HT1_LONG_TARGET, 414, "request target too long")                                                       \
    X(HT1_BAD_VERSION, 505, "HTTP version not supported")                                                    \
    X(HT1_BAD_FIELD_NAME, 400, "malformed field name")                                                       \
    X(HT1_BAD_FIELD_VALUE, 400, "malformed field value")                                                     \
    X(HT1_FOLDED, 400, "folded header line")                                                                 \
    X(HT1_MANY_FIELDS, 431, "too many fields")                                                               \
    X(HT1_LONG_HEAD, 431, "head too long")                                                                   \
    X(HT1_NO_HOST, 400, "missing Host")                                                                      \
    X(HT1_TWO_HOSTS, 400, "more than one Host")                                                              \
    X(HT1_BAD_HOST, 400, "malformed authority")                                                              \
    X(HT1_BAD_LENGTH, 400, "malformed Content-Length")                                                       \
    X(HT1_TWO_LENGTHS, 400, "more than one Content-Length")                                                  \
    X(HT1_LENGTH_AND_CODING, 400, "Content-Length beside Transfer-Encoding")                                 \
    X(HT1_BAD_CODING, 400, "malformed Transfer-Encoding")                                                    \
    X(HT1_OTHER_CODING, 501, "transfer coding not supported")                                                \
    X(HT1_BAD_EXPECT, 417, "unknown expectation")                                                            \
    X(HT1_BAD_CONNECTION, 400, "too many connection options")                                                \
    X(HT1_BODY_WITH_CONNECT, 400, "CONNECT with a body")                                                     \
    X(HT1_BAD_STATUS_LINE, 400, "malformed status line")                                                     \
    X(HT1_BAD_CHUNK, 400, "malformed chunk")                                                                 \
    X(HT1_LONG_EXTENSION, 400, "chunk extensions too long")                                                  \
    X(HT1_LONG_TRAILERS, 431, "trailer section too long")                                                    \
    X(HT1_LONG_BODY, 413, "body too large")

enum ht1_refusal {
#define X(name, status, detail) name,
    HT1_REFUSALS(X)
#undef X
};

unsigned ht1_status(enum ht1_refusal refusal);
const char *ht1_detail(enum ht1_refusal refusal);

enum { HT1_MAX_METHOD = 32, HT1_MAX_CONNECTION_OPTIONS = 32, HT1_MAX_RESPONSE_FIELDS = 1000 };

/* ---- where a head ends ---- */

/* Remembers how far it looked, so that a head that drips in costs no more than one that comes whole. */
struct ht1_scan {
    uint32_t at; /* start of the line not seen whole */
    uint32_t searched; /* no line end before this */
    uint32_t num_lines; /* whole lines, the empty one not counted */
};

/* `bytes` is everything since the head began. Its length with the empty line; 0: not whole yet; -1: a line
 * does not end with CRLF. */
ssize_t ht1_scan(struct ht1_scan *scan, const char *bytes, size_t len);

/* ---- heads ---- */

struct ht1_request {
    struct slice method, authority, target; /* as in struct ht_exchange */
    enum ht_version version;
    struct ht_headers headers; /* as in struct ht_exchange */
    int64_t content_length; /* -1: none */
    struct slice websocket_key; /* of a valid RFC 6455 request, else {NULL,0} */
    unsigned is_chunked : 1, keep_alive : 1, expects_continue : 1, te_trailers : 1;
};

/* `head`, `len`: a whole head as found by ht1_scan(), writable. `fields` has room for its num_lines. */
enum ht1_refusal ht1_parse_request(char *head, size_t len, const struct ht_limits *limits, bool is_tls,
                                   struct ht_header *fields, struct ht1_request *ret);

struct ht1_response {
    unsigned status;
    enum ht_version version;
    struct ht_headers headers; /* connection-level fields are gone */
    int64_t content_length; /* -1: none */
    unsigned is_chunked : 1, keep_alive : 1, is_websocket : 1 /* Upgrade: websocket, Connection: upgrade */;
};

/* A response whose framing fields are odd is refused here whatever the request was; what a HEAD, 204 or 304
 * means for the body is the caller's. */
enum ht1_refusal ht1_parse_response(char *head, size_t len, struct ht_header *fields,
                                    struct ht1_response *ret);

/* A trailer section with its empty line. What may not stand in one is left out. */
enum ht1_refusal ht1_parse_trailers(char *section, size_t len, struct ht_header *fields,
                                    struct ht_headers *ret);
/* The same for a section as ht1_scan() found it, copied to the pool first. */
enum ht1_refusal ht1_keep_trailers(h2o_mem_pool_t *pool, const struct ht1_scan *scan, const char *section,
                                   size_t len, struct ht_headers *ret);

/* ---- chunked coding ---- */

enum { HT1_MAX_EXTENSION = 256 /* a chunk */, HT1_MAX_EXTENSIONS = 16 * 1024 /* a body */ };

enum ht1_chunk_state {
    HT1_CHUNK_SIZE, /* before the first digit */
    HT1_CHUNK_DIGITS,
    HT1_CHUNK_EXTENSION,
    HT1_CHUNK_SIZE_LF,
    HT1_CHUNK_DATA, /* `left` bytes of payload come next: the caller takes them and counts `left` down */
    HT1_CHUNK_DATA_CR,
    HT1_CHUNK_DATA_LF,
    HT1_CHUNK_TRAILERS, /* the last chunk was seen: a trailer section follows, for ht1_scan() */
};

/* Zero to begin. */
struct ht1_chunked {
    enum ht1_chunk_state state;
    unsigned num_digits, extension_len, extensions_len;
    uint64_t left;
};

/* Reads framing from the start of `bytes` until payload or the trailer section begins, or bytes end. Returns
 * how many it read, or -1 with *ret_why. Call it in any state but HT1_CHUNK_TRAILERS, and in HT1_CHUNK_DATA
 * only with left == 0. */
ssize_t ht1_chunked_read(struct ht1_chunked *chunked, const char *bytes, size_t len,
                         enum ht1_refusal *ret_why);

/* Hex digits of a chunk's size and CRLF; `out` has room for HT1_CHUNK_HEAD_MAX bytes. Returns the length. */
enum { HT1_CHUNK_HEAD_MAX = 18 };
size_t ht1_chunk_head(char *out, uint64_t size);

/* Decimal digits without anything else, below 2^63. */
bool ht1_parse_length(struct slice text, int64_t *ret);

#endif

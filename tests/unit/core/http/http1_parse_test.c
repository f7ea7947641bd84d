/* Strict HTTP/1.x parsing: what is taken, and every way of being refused. */
#include "core/http/http1_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BYTES(lit) (lit), sizeof(lit) - 1
#define H "Host: a.example\r\n"
enum { MORE = 1000 };

static const struct ht_limits limits = {.max_head_bytes = 60 * 1024,
                                        .max_headers = 100,
                                        .max_target_bytes = 8 * 1024,
                                        .max_trailer_bytes = 8 * 1024};

/* Parses in memory of exactly the size, so that a sanitizer sees a step too far. Leaks nothing but on
 * failure. */
struct parsed {
    char *head;
    struct ht_header *fields;
    struct ht1_request request;
    struct ht1_response response;
};

static void parsed_free(struct parsed *parsed)
{
    free(parsed->head);
    free(parsed->fields);
}

static int parse(struct parsed *parsed, const char *bytes, size_t len, bool is_request, bool is_tls)
{
    struct ht1_scan scan = {0, 0, 0};
    ssize_t head_len = ht1_scan(&scan, bytes, len);

    *parsed = (struct parsed){.head = NULL};
    if (head_len == 0)
        return MORE;
    if (head_len < 0)
        return HT1_BAD_LINE_END;
    parsed->head = malloc((size_t)head_len);
    memcpy(parsed->head, bytes, (size_t)head_len);
    parsed->fields = calloc(scan.num_lines + 1, sizeof(*parsed->fields));
    if (is_request)
        return ht1_parse_request(parsed->head, (size_t)head_len, &limits, is_tls, parsed->fields,
                                 &parsed->request);
    return ht1_parse_response(parsed->head, (size_t)head_len, parsed->fields, &parsed->response);
}

struct bad {
    const char *bytes;
    size_t len;
    int want;
};

static void check_all(const struct bad *cases, size_t num, bool is_request)
{
    for (size_t i = 0; i < num; i++) {
        struct parsed parsed;
        int got = parse(&parsed, cases[i].bytes, cases[i].len, is_request, false);
        if (got != cases[i].want)
            fail_msg("case %zu: got %d (%s), want %d: %.*s", i, got, got == MORE ? "more" : ht1_detail(got),
                     cases[i].want, (int)cases[i].len, cases[i].bytes);
        parsed_free(&parsed);
    }
}

/* ---- request lines ---- */

static void request_lines_out_of_order_are_refused(void **state)
{
    static const struct bad cases[] = {
        {BYTES("GET / HTTP/1.1\n" H "\r\n"), HT1_BAD_LINE_END},
        {BYTES("GET / HTTP/1.1\nHost: a\n\n"), HT1_BAD_LINE_END},
        {BYTES("GET / HTTP/1.1\r\n" H "\n"), HT1_BAD_LINE_END},
        {BYTES("GET / HTTP/1.1\r\nHost: a\n\r\n"), HT1_BAD_LINE_END},
        {BYTES("\r\nGET / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("\r\r\n\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES(" GET / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("\tGET / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("GET\t/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("GET\r / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("G\0T / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("G@T / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("G(T / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("GET\xc3 / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("\"GET\" / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("GET:/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" H "\r\n"), HT1_LONG_METHOD},
        {BYTES("GET\r\n" H "\r\n"), HT1_BAD_METHOD},
        {BYTES("GET /\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET /\r\n\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET  / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET /  HTTP/1.1\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/1.1 \r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / x HTTP/1.1\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET /\tHTTP/1.1\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET /\rx HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET /\0 HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET /\x01 HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET /\x7f HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET /a#b HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET / http/1.1\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/1.1x\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/11\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/1\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/1.\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/1.10\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/01.1\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/+1.1\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/1.a\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/1,1\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / ICAP/1.0\r\n" H "\r\n"), HT1_BAD_REQUEST_LINE},
        {BYTES("GET / HTTP/1.2\r\n" H "\r\n"), HT1_BAD_VERSION},
        {BYTES("GET / HTTP/0.9\r\n" H "\r\n"), HT1_BAD_VERSION},
        {BYTES("GET / HTTP/2.0\r\n" H "\r\n"), HT1_BAD_VERSION},
        {BYTES("GET / HTTP/3.0\r\n" H "\r\n"), HT1_BAD_VERSION},
        {BYTES("PRI * HTTP/2.0\r\n\r\n"), HT1_BAD_VERSION},
        {BYTES("TRACE / HTTP/1.1\r\n" H "\r\n"), HT1_TRACE},
    };
    check_all(cases, ARRAY_LEN(cases), true);
}

static void targets_that_fit_no_form_are_refused(void **state)
{
    static const struct bad cases[] = {
        {BYTES("GET * HTTP/1.1\r\n" H "\r\n"), HT1_WRONG_FORM},
        {BYTES("OPTIONS ** HTTP/1.1\r\n" H "\r\n"), HT1_WRONG_FORM},
        {BYTES("OPTIONS *?x HTTP/1.1\r\n" H "\r\n"), HT1_WRONG_FORM},
        {BYTES("GET a HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET a.example:80 HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET ?x HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET http:/a/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET http:a HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET ftp://a/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET file:///etc/passwd HTTP/1.1\r\n" H "\r\n"), HT1_BAD_TARGET},
        {BYTES("GET https://a/ HTTP/1.1\r\n" H "\r\n"), HT1_WRONG_SCHEME},
        {BYTES("GET http:// HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("GET http:/// HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("GET http://?x HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("GET http://u@a/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("GET http://u:p@a/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("GET http://a:/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("GET http://a:b/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("GET http://a:99999/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("GET http://a\\b/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("GET http://a,b/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("GET http://a/ HTTP/1.1\r\n\r\n"), HT1_NO_HOST},
        {BYTES("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"), HT1_BAD_HOST},
        {BYTES("CONNECT / HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("CONNECT a HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("CONNECT a: HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("CONNECT a:0 HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("CONNECT [::1] HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("CONNECT u@a:1 HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("CONNECT http://a:1/ HTTP/1.1\r\n" H "\r\n"), HT1_BAD_HOST},
        {BYTES("CONNECT a:443 HTTP/1.1\r\nContent-Length: 5\r\n" H "\r\n"), HT1_BODY_WITH_CONNECT},
        {BYTES("CONNECT a:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" H "\r\n"), HT1_BODY_WITH_CONNECT},
    };
    check_all(cases, ARRAY_LEN(cases), true);
}

/* ---- fields ---- */

#define GET "GET / HTTP/1.1\r\n"

static void malformed_fields_are_refused(void **state)
{
    static const struct bad cases[] = {
        {BYTES(GET " Host: a\r\n\r\n"), HT1_FOLDED},
        {BYTES(GET H " x: y\r\n\r\n"), HT1_FOLDED},
        {BYTES(GET H "\tx\r\n\r\n"), HT1_FOLDED},
        {BYTES(GET H "X: a\r\n b\r\n\r\n"), HT1_FOLDED},
        {BYTES(GET H "X: a\r\n \r\n\r\n"), HT1_FOLDED},
        {BYTES(GET H "X : a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X\t: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H ": a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H ":\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X Y: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X\0Y: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X\rY: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "\rX: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X\xc3\xa9: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X(: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X/Y: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X[0]: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "\"X\": a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X\x7f: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(GET H "X: a\rb\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES(GET H "X: a\r\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES(GET H "X: a\0b\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES(GET H "X: \0\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES(GET H "X: abcdefgh\x01"
                     "ijklmnop\r\n\r\n"),
         HT1_BAD_FIELD_VALUE},
        {BYTES(GET H "X: a\x0b"
                     "b\r\n\r\n"),
         HT1_BAD_FIELD_VALUE},
        {BYTES(GET H "X: a\x0c"
                     "b\r\n\r\n"),
         HT1_BAD_FIELD_VALUE},
        {BYTES(GET H "X: a\x1b"
                     "b\r\n\r\n"),
         HT1_BAD_FIELD_VALUE},
        {BYTES(GET H "X: a\x7f\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES(GET H "X: abcdefg\x7f\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES(GET H "X: a\nY: b\r\n\r\n"), HT1_BAD_LINE_END},
        {BYTES(GET H "\x0bX: a\r\n\r\n"), HT1_BAD_FIELD_NAME},
    };
    check_all(cases, ARRAY_LEN(cases), true);
}

static void hosts_other_than_one_valid_are_refused(void **state)
{
    static const struct bad cases[] = {
        {BYTES(GET "\r\n"), HT1_NO_HOST},
        {BYTES(GET "X: a\r\n\r\n"), HT1_NO_HOST},
        {BYTES(GET "Host: a\r\nHost: a\r\n\r\n"), HT1_TWO_HOSTS},
        {BYTES(GET "Host: a\r\nhOST: b\r\n\r\n"), HT1_TWO_HOSTS},
        {BYTES("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), HT1_TWO_HOSTS},
        {BYTES("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host:\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: \r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a,b\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a b\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a/b\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a?b\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a#b\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: http://a\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: u@a\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a@\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a:\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: :80\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a:80:80\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a:0\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a:65536\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a:080000\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a:-1\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a:+80\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a:8 0\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a%00b\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: %61\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a\\b\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: .a\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a..b\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: .\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: *\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: \"a\"\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a;b\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: [::1\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: ::1\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: [::1]x\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: [::1]x:80\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: [::1]:\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: [::1%25eth0]\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: [v1.x]\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: []\r\n\r\n"), HT1_BAD_HOST},
        {BYTES(GET "Host: a\xc3\xa9\r\n\r\n"), HT1_BAD_HOST},
    };
    check_all(cases, ARRAY_LEN(cases), true);
}

/* ---- framing ---- */

#define POST "POST / HTTP/1.1\r\n" H

static void ambiguous_framing_is_refused(void **state)
{
    static const struct bad cases[] = {
        {BYTES(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), HT1_TWO_LENGTHS},
        {BYTES(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), HT1_TWO_LENGTHS},
        {BYTES(POST "Content-Length: 5, 5\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 5,6\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: +5\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: -0\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: -1\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 0x5\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 1_0\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 1 0\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 5.0\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 5e0\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: a\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: \"5\"\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length:\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: \r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 5;\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 18446744073709551621\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 18446744073709551616\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 9223372036854775808\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 99999999999999999999999999999999999999999999999999\r\n\r\n"),
         HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 00000000000000000005\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), HT1_LENGTH_AND_CODING},
        {BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), HT1_LENGTH_AND_CODING},
        {BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), HT1_LENGTH_AND_CODING},
        {BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: chunked, identity\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: identity\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: gzip\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), HT1_OTHER_CODING},
        {BYTES(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), HT1_OTHER_CODING},
        {BYTES(POST "Transfer-Encoding: x chunked\r\n\r\n"), HT1_OTHER_CODING},
        {BYTES(POST "Transfer-Encoding: ,chunked\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: chunked,\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: xchunked\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: chunkedx\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: 'chunked'\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: chunk\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding:\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "Transfer-Encoding: \x0b"
                    "chunked\r\n\r\n"),
         HT1_BAD_FIELD_VALUE},
        {BYTES(POST "Transfer-Encoding: chunked\x0c\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES(POST "Transfer-Encoding: chunked\0\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES(POST "Transfer-Encoding : chunked\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(POST "Transfer-Encoding\t: chunked\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(POST "\x0bTransfer-Encoding: chunked\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(POST " Transfer-Encoding: chunked\r\n\r\n"), HT1_FOLDED},
        {BYTES(POST "X: y\r\n Transfer-Encoding: chunked\r\n\r\n"), HT1_FOLDED},
        {BYTES(POST "Transfer-Encoding:\r\n chunked\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(POST "X: y\rTransfer-Encoding: chunked\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), HT1_BAD_CODING},
        {BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
         HT1_LENGTH_AND_CODING},
    };
    check_all(cases, ARRAY_LEN(cases), true);
}

static void unknown_expectations_are_refused(void **state)
{
    static const struct bad cases[] = {
        {BYTES(POST "Expect: 200-ok\r\n\r\n"), HT1_BAD_EXPECT},
        {BYTES(POST "Expect:\r\n\r\n"), HT1_BAD_EXPECT},
        {BYTES(POST "Expect: 100-continue, x\r\n\r\n"), HT1_BAD_EXPECT},
        {BYTES(POST "Expect: 100-continuex\r\n\r\n"), HT1_BAD_EXPECT},
        {BYTES(POST "Expect: y 100-continue\r\n\r\n"), HT1_BAD_EXPECT},
        {BYTES(POST "Expect: 100\r\n\r\n"), HT1_BAD_EXPECT},
    };
    check_all(cases, ARRAY_LEN(cases), true);
}

static void incomplete_heads_wait(void **state)
{
    static const struct bad cases[] = {
        {BYTES(""), MORE},
        {BYTES("G"), MORE},
        {BYTES("GET / HTTP/1.1"), MORE},
        {BYTES("GET / HTTP/1.1\r"), MORE},
        {BYTES("GET / HTTP/1.1\r\n"), MORE},
        {BYTES(GET H), MORE},
        {BYTES(GET H "\r"), MORE},
    };
    check_all(cases, ARRAY_LEN(cases), true);
}

static void connection_option_floods_are_refused(void **state)
{
    char text[1024] = GET H "Connection: ";
    struct parsed parsed;

    for (int i = 0; i < 33; i++)
        strcat(text, "a,");
    strcat(text, "\r\n\r\n");
    assert_int_equal(parse(&parsed, text, strlen(text), true, false), HT1_BAD_CONNECTION);
    parsed_free(&parsed);
    strcpy(text, GET H);
    for (int i = 0; i < 5; i++)
        strcat(text, "Connection: close\r\n");
    strcat(text, "\r\n");
    assert_int_equal(parse(&parsed, text, strlen(text), true, false), HT1_BAD_CONNECTION);
    parsed_free(&parsed);
}

static void long_targets_are_refused(void **state)
{
    char text[9000] = "GET /";
    struct parsed parsed;

    memset(text + 5, 'a', 8191);
    strcpy(text + 5 + 8191, " HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(parse(&parsed, text, strlen(text), true, false), HT1_OK);
    parsed_free(&parsed);
    strcpy(text + 5 + 8191, "a HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(parse(&parsed, text, strlen(text), true, false), HT1_LONG_TARGET);
    parsed_free(&parsed);
}

/* ---- what is taken ---- */

static struct parsed good(const char *text)
{
    struct parsed parsed;
    int got = parse(&parsed, text, strlen(text), true, false);

    if (got != HT1_OK)
        fail_msg("%s: %s", got == MORE ? "more" : ht1_detail(got), text);
    return parsed;
}

#define assert_slice(slice, text)                                                                            \
    assert_true((slice).len == strlen(text) && memcmp((slice).base, (text), strlen(text)) == 0)

static void a_request_is_taken_apart(void **state)
{
    struct parsed p =
        good("GET /a/b?c=d HTTP/1.1\r\nHost: Shop.Example:8080\r\nUser-Agent:  x y \t\r\nX-A:\r\n\r\n");

    assert_slice(p.request.method, "GET");
    assert_slice(p.request.target, "/a/b?c=d");
    assert_slice(p.request.authority, "Shop.Example:8080");
    assert_int_equal(p.request.version, HT_HTTP11);
    assert_int_equal(p.request.headers.num, 2);
    assert_slice(p.request.headers.at[0].name, "user-agent");
    assert_slice(p.request.headers.at[0].value, "x y");
    assert_ptr_equal(p.request.headers.at[0].token, H2O_TOKEN_USER_AGENT);
    assert_slice(p.request.headers.at[1].name, "x-a");
    assert_slice(p.request.headers.at[1].value, "");
    assert_null(p.request.headers.at[1].token);
    assert_int_equal(p.request.content_length, -1);
    assert_true(p.request.keep_alive);
    assert_false(p.request.is_chunked);
    parsed_free(&p);
}

static void obs_text_in_values_passes(void **state)
{
    struct parsed p = good(GET H "X: caf\xc3\xa9\tbar\r\n\r\n");

    assert_slice(p.request.headers.at[0].value, "caf\xc3\xa9\tbar");
    parsed_free(&p);
}

static void absolute_form_overrides_host(void **state)
{
    struct parsed p = good("GET http://B.example:81/x?y HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.authority, "B.example:81");
    assert_slice(p.request.target, "/x?y");
    parsed_free(&p);
    p = good("GET HTTP://b HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.authority, "b");
    assert_slice(p.request.target, "/");
    parsed_free(&p);
    p = good("GET http://b.example?y=/z HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.authority, "b.example");
    assert_slice(p.request.target, "/?y=/z");
    parsed_free(&p);
    p = good("OPTIONS http://b.example:81 HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.target, "*");
    parsed_free(&p);
    p = good("GET http://[::1]:81/ HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.authority, "[::1]:81");
    parsed_free(&p);
}

static void the_other_forms_are_taken(void **state)
{
    struct parsed p = good("OPTIONS * HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.target, "*");
    parsed_free(&p);
    p = good("CONNECT b.example:443 HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.target, "b.example:443");
    assert_slice(p.request.authority, "b.example:443");
    parsed_free(&p);
    p = good("GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(p.request.authority.len, 0);
    assert_false(p.request.keep_alive);
    parsed_free(&p);
    p = good("get //x/../%2e HTTP/1.1\r\nHost: [fe80::1]\r\n\r\n"); /* other layers' business */
    assert_slice(p.request.method, "get");
    assert_slice(p.request.target, "//x/../%2e");
    parsed_free(&p);
}

static void framing_is_read(void **state)
{
    struct parsed p = good(POST "Content-Length: 12\r\n\r\n");
    assert_int_equal(p.request.content_length, 12);
    assert_int_equal(p.request.headers.num, 0);
    parsed_free(&p);
    p = good(POST "content-LENGTH: 9223372036854775807\r\n\r\n");
    assert_true(p.request.content_length == INT64_MAX);
    parsed_free(&p);
    p = good(POST "Transfer-Encoding: Chunked\r\n\r\n");
    assert_true(p.request.is_chunked);
    assert_int_equal(p.request.headers.num, 0);
    parsed_free(&p);
    p = good(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
    assert_true(p.request.expects_continue);
    parsed_free(&p);
    p = good(GET H "Expect: 100-continue\r\n\r\n"); /* no body to wait with */
    assert_false(p.request.expects_continue);
    parsed_free(&p);
    p = good("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert_false(p.request.expects_continue);
    parsed_free(&p);
}

static void persistence_is_read(void **state)
{
    static const struct {
        const char *head;
        bool want;
    } cases[] = {
        {GET H "\r\n", true},
        {GET H "Connection: close\r\n\r\n", false},
        {GET H "Connection: keep-alive, CLOSE\r\n\r\n", false},
        {GET H "Connection: x\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p = good(cases[i].head);
        assert_int_equal(p.request.keep_alive, cases[i].want);
        parsed_free(&p);
    }
}

static void connection_fields_are_gone(void **state)
{
    struct parsed p = good(
        GET H "Connection: keep-alive, X-Forwarded-For, x-own , Upgrade\r\nKeep-Alive: 5\r\n"
              "X-Forwarded-For: 1.2.3.4\r\nX-OWN: a\r\nx-own: b\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n"
              "HTTP2-Settings: AAMAAABkAAQAAP__\r\nTE: gzip, trailers\r\nAccept: */*\r\nX-Kept: 1\r\n\r\n");

    assert_int_equal(p.request.headers.num, 3);
    assert_slice(p.request.headers.at[0].name, "te");
    assert_slice(p.request.headers.at[0].value, "trailers");
    assert_slice(p.request.headers.at[1].name, "accept");
    assert_slice(p.request.headers.at[2].name, "x-kept");
    assert_true(p.request.te_trailers);
    assert_null(p.request.websocket_key.base);
    parsed_free(&p);
}

static void underscores_and_proxy_are_dropped(void **state)
{
    struct parsed p =
        good(GET H "X_Forwarded_For: 1\r\nProxy: http://evil/\r\nContent_Length: 5\r\n_: x\r\nX-Ok: 1\r\n"
                   "Transfer_Encoding: chunked\r\n\r\n");

    assert_int_equal(p.request.headers.num, 1);
    assert_slice(p.request.headers.at[0].name, "x-ok");
    assert_int_equal(p.request.content_length, -1);
    assert_false(p.request.is_chunked);
    parsed_free(&p);
}

#define WS "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define WS_KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define WS_VERSION "Sec-WebSocket-Version: 13\r\n"

static void websocket_requests_are_seen(void **state)
{
    struct parsed p = good("GET /chat HTTP/1.1\r\n" H WS WS_KEY WS_VERSION "\r\n");
    assert_slice(p.request.websocket_key, "dGhlIHNhbXBsZSBub25jZQ==");
    assert_int_equal(p.request.headers.num, 2);
    parsed_free(&p);
    p = good(GET H "Upgrade: foo, WebSocket\r\nConnection: keep-alive, upgrade\r\n" WS_KEY WS_VERSION "\r\n");
    assert_non_null(p.request.websocket_key.base);
    parsed_free(&p);
}

static void odd_upgrades_are_no_upgrades(void **state)
{
    static const char *const cases[] = {
        GET H "Upgrade: websocket\r\n" WS_KEY WS_VERSION "\r\n",
        GET H "Connection: Upgrade\r\n" WS_KEY WS_VERSION "\r\n",
        GET H WS WS_KEY "Sec-WebSocket-Version: 777\r\n\r\n",
        GET H WS WS_KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n",
        GET H WS WS_KEY WS_VERSION WS_VERSION "\r\n",
        GET H WS WS_KEY "\r\n",
        GET H WS WS_VERSION "\r\n",
        GET H WS WS_KEY WS_KEY WS_VERSION "\r\n",
        GET H WS "Sec-WebSocket-Key: short\r\n" WS_VERSION "\r\n",
        GET H WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ!=\r\n" WS_VERSION "\r\n",
        GET H
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        GET H "Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n" WS_KEY WS_VERSION "\r\n",
        GET H "Upgrade: websocketx\r\nConnection: Upgrade\r\n" WS_KEY WS_VERSION "\r\n",
        POST WS WS_KEY WS_VERSION "\r\n",
        GET H WS WS_KEY WS_VERSION "Content-Length: 3\r\n\r\n",
        GET H WS WS_KEY WS_VERSION "Transfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.0\r\n" WS WS_KEY WS_VERSION "\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p = good(cases[i]);
        if (p.request.websocket_key.base != NULL)
            fail_msg("case %zu passed: %s", i, cases[i]);
        parsed_free(&p);
    }
}

static void a_dripping_head_is_found_at_the_same_place(void **state)
{
    static const char text[] = GET H "X: y\r\n\r\nGET";
    struct ht1_scan scan = {0, 0, 0};

    for (size_t len = 1; len < sizeof(text) - 4; len++)
        assert_int_equal(ht1_scan(&scan, text, len), 0);
    assert_int_equal(ht1_scan(&scan, text, sizeof(text) - 4), sizeof(text) - 4);
    assert_int_equal(scan.num_lines, 3);
}

/* ---- responses ---- */

#define OK "HTTP/1.1 200 OK\r\n"

static void malformed_responses_are_refused(void **state)
{
    static const struct bad cases[] = {
        {BYTES("\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 \r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 20\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 2000 OK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 099 X\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 600 X\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 2x0 OK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 -20 OK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1  200 OK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1\t200 OK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 200\tOK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 200 O\rK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 200 O\0K\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/2.0 200 OK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.2 200 OK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("http/1.1 200 OK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("ICY 200 OK\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("<html>hello, world</html>\r\n\r\n"), HT1_BAD_STATUS_LINE},
        {BYTES("HTTP/1.1 200 OK\nX: y\r\n\r\n"), HT1_BAD_LINE_END},
        {BYTES(OK "X: y\n\r\n"), HT1_BAD_LINE_END},
        {BYTES(OK "X: y\r\n z\r\n\r\n"), HT1_FOLDED},
        {BYTES(OK "X : y\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(OK ": y\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(OK "no colon\r\n\r\n"), HT1_BAD_FIELD_NAME},
        {BYTES(OK "X: y\rz\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES(OK "X: y\0z\r\n\r\n"), HT1_BAD_FIELD_VALUE},
        {BYTES(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), HT1_TWO_LENGTHS},
        {BYTES(OK "Content-Length: 5, 5\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(OK "Content-Length: +5\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(OK "Content-Length: 18446744073709551621\r\n\r\n"), HT1_BAD_LENGTH},
        {BYTES(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), HT1_LENGTH_AND_CODING},
        {BYTES(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"), HT1_OTHER_CODING},
        {BYTES(OK "Transfer-Encoding: identity\r\n\r\n"), HT1_BAD_CODING},
        {BYTES("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), HT1_BAD_CODING},
        {BYTES(OK "X: y"), MORE},
    };
    check_all(cases, ARRAY_LEN(cases), false);
}

static void a_response_is_taken_apart(void **state)
{
    static const char text[] =
        OK "Content-Length: 3\r\nConnection: X-Hop\r\nX-Hop: 1\r\nServer_Name: s\r\nDate: now\r\n\r\n";
    struct parsed p;

    assert_int_equal(parse(&p, text, sizeof(text) - 1, false, false), HT1_OK);
    assert_int_equal(p.response.status, 200);
    assert_int_equal(p.response.content_length, 3);
    assert_true(p.response.keep_alive);
    assert_int_equal(p.response.headers.num, 2);
    assert_slice(p.response.headers.at[0].name, "server_name");
    assert_ptr_equal(p.response.headers.at[1].token, H2O_TOKEN_DATE);
    parsed_free(&p);
    assert_int_equal(parse(&p, BYTES("HTTP/1.1 204\r\n\r\n"), false, false), HT1_OK);
    assert_int_equal(p.response.status, 204);
    parsed_free(&p);
    assert_int_equal(parse(&p, BYTES("HTTP/1.0 302 \r\n\r\n"), false, false), HT1_OK);
    assert_false(p.response.keep_alive);
    parsed_free(&p);
    assert_int_equal(parse(&p, BYTES("HTTP/1.1 101 X\r\n" WS "\r\n"), false, false), HT1_OK);
    assert_true(p.response.is_websocket);
    parsed_free(&p);
}

/* ---- trailers ---- */

static int parse_trailers(const char *text, struct ht_headers *ret)
{
    static struct ht_header fields[16];
    static char copy[512];
    struct ht1_scan scan = {0, 0, 0};
    ssize_t len = ht1_scan(&scan, text, strlen(text));

    if (len <= 0)
        return len == 0 ? MORE : HT1_BAD_LINE_END;
    memcpy(copy, text, (size_t)len);
    return ht1_parse_trailers(copy, (size_t)len, fields, ret);
}

static void trailers_keep_only_what_may_be_one(void **state)
{
    struct ht_headers trailers;

    assert_int_equal(parse_trailers("\r\n", &trailers), HT1_OK);
    assert_int_equal(trailers.num, 0);
    assert_int_equal(
        parse_trailers("Grpc-Status: 0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n"
                       "Authorization: x\r\nSet-Cookie: a\r\nX-Forwarded-For: 1\r\nX_Y: 1\r\nTrailer: x\r\n"
                       "Connection: x\r\nX-Sum: 7\r\n\r\n",
                       &trailers),
        HT1_OK);
    assert_int_equal(trailers.num, 2);
    assert_slice(trailers.at[0].name, "grpc-status");
    assert_slice(trailers.at[1].value, "7");
    assert_int_equal(parse_trailers("X : 1\r\n\r\n", &trailers), HT1_BAD_FIELD_NAME);
    assert_int_equal(parse_trailers(" X: 1\r\n\r\n", &trailers), HT1_FOLDED);
    assert_int_equal(parse_trailers("X: 1\n\r\n", &trailers), HT1_BAD_LINE_END);
    assert_int_equal(parse_trailers("X: 1\rY\r\n\r\n", &trailers), HT1_BAD_FIELD_VALUE);
    assert_int_equal(parse_trailers("\n", &trailers), HT1_BAD_LINE_END);
    assert_int_equal(parse_trailers("X: 1\r\n", &trailers), MORE);
}

/* ---- chunked coding ---- */

/* Decodes with at most `step` bytes at a time. Returns the refusal, MORE, or HT1_OK at the trailer section.
 */
static int decode(const char *bytes, size_t len, size_t step, char *out, size_t *out_len)
{
    struct ht1_chunked chunked = {.state = HT1_CHUNK_SIZE};
    size_t at = 0;
    enum ht1_refusal why = HT1_OK;

    *out_len = 0;
    while (at < len && chunked.state != HT1_CHUNK_TRAILERS) {
        size_t some = MIN(step, len - at);
        if (chunked.state == HT1_CHUNK_DATA && chunked.left != 0) {
            size_t taken = MIN(some, chunked.left);
            memcpy(out + *out_len, bytes + at, taken);
            *out_len += taken;
            chunked.left -= taken;
            at += taken;
            continue;
        }
        ssize_t taken = ht1_chunked_read(&chunked, bytes + at, some, &why);
        if (taken < 0)
            return why;
        at += (size_t)taken;
    }
    return chunked.state == HT1_CHUNK_TRAILERS ? HT1_OK : MORE;
}

static void chunked_bodies_are_decoded(void **state)
{
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"0\r\n\r\n", ""},
        {"00000\r\n\r\n", ""},
        {"5\r\nhello\r\n0\r\n\r\n", "hello"},
        {"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"},
        {"0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"},
        {"5;a=b\r\nhello\r\n0;x\r\n\r\n", "hello"},
        {"5;a=\"b;c\"\t\r\nhello\r\n0\r\n\r\n", "hello"},
        {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
        {"A\r\n01234567\r\n\r\n0\r\n\r\n", "01234567\r\n"},
    };
    char out[256];
    size_t out_len;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step < 32; step++) {
            assert_int_equal(decode(cases[i].bytes, strlen(cases[i].bytes), step, out, &out_len), HT1_OK);
            assert_int_equal(out_len, strlen(cases[i].want));
            assert_memory_equal(out, cases[i].want, out_len);
        }
    }
}

static void malformed_chunks_are_refused(void **state)
{
    static const struct bad cases[] = {
        {BYTES("\r\n"), HT1_BAD_CHUNK},
        {BYTES("g\r\n"), HT1_BAD_CHUNK},
        {BYTES("-1\r\n"), HT1_BAD_CHUNK},
        {BYTES("+1\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("0x1\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1_0\r\n"), HT1_BAD_CHUNK},
        {BYTES(" 1\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1 \r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\t\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1 ;x\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\ra\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\r\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\0\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\r\nab\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\r\na\n0\r\n\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\r\na0\r\n\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\r\na\rx"), HT1_BAD_CHUNK},
        {BYTES("2\r\na\r\n0\r\n\r\n"), HT1_BAD_CHUNK},
        {BYTES("00000000000000001\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("ffffffffffffffff\r\n"), HT1_BAD_CHUNK},
        {BYTES("8000000000000000\r\n"), HT1_BAD_CHUNK},
        {BYTES("10000000000000000\r\n"), HT1_BAD_CHUNK},
        {BYTES("fffffffffffffffff\r\n"), HT1_BAD_CHUNK},
        {BYTES("1;a\nb\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1;a\0b\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1;a\rb\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1;a\x0b\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1;a\x7f\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1,5\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("7fffffffffffffff\r\n"), MORE},
        {BYTES("1\r\na\r\n"), MORE},
        {BYTES("5\r\nhel"), MORE},
    };
    char out[256];
    size_t out_len;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step < 40; step += 3) {
            int got = decode(cases[i].bytes, cases[i].len, step, out, &out_len);
            if (got != cases[i].want)
                fail_msg("case %zu, step %zu: got %d, want %d", i, step, got, cases[i].want);
        }
}

static void chunk_extensions_are_bounded(void **state)
{
    char text[512] = "1;", out[16];
    size_t out_len;

    memset(text + 2, 'x', 256);
    strcpy(text + 258, "\r\na\r\n0\r\n\r\n");
    assert_int_equal(decode(text, strlen(text), 512, out, &out_len), HT1_OK);
    memset(text + 2, 'x', 257);
    strcpy(text + 259, "\r\na\r\n0\r\n\r\n");
    assert_int_equal(decode(text, strlen(text), 512, out, &out_len), HT1_LONG_EXTENSION);
}

static void chunk_extensions_are_bounded_in_sum(void **state)
{
    struct ht1_chunked chunked = {.state = HT1_CHUNK_SIZE};
    enum ht1_refusal why;
    char text[210] = "1;";
    ssize_t got = 0;
    int rounds = 0;

    memset(text + 2, 'x', 200);
    memcpy(text + 202, "\r\n", 2);
    while ((got = ht1_chunked_read(&chunked, text, 204, &why)) > 0 && rounds < 1000) {
        chunked.left = 0; /* the payload, taken */
        assert_int_equal(ht1_chunked_read(&chunked, "\r\n", 2, &why), 2);
        ++rounds;
    }
    assert_int_equal(why, HT1_LONG_EXTENSION);
    assert_int_equal(rounds, HT1_MAX_EXTENSIONS / 200);
}

static void chunk_heads_are_written(void **state)
{
    static const uint64_t sizes[] = {0, 1, 9, 10, 15, 16, 255, 256, 4095, 65536, INT64_MAX};
    char out[HT1_CHUNK_HEAD_MAX], want[32];

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t len = ht1_chunk_head(out, sizes[i]);
        int want_len = snprintf(want, sizeof(want), "%llx\r\n", (unsigned long long)sizes[i]);
        assert_int_equal(len, want_len);
        assert_memory_equal(out, want, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_lines_out_of_order_are_refused),
        cmocka_unit_test(targets_that_fit_no_form_are_refused),
        cmocka_unit_test(malformed_fields_are_refused),
        cmocka_unit_test(hosts_other_than_one_valid_are_refused),
        cmocka_unit_test(ambiguous_framing_is_refused),
        cmocka_unit_test(unknown_expectations_are_refused),
        cmocka_unit_test(incomplete_heads_wait),
        cmocka_unit_test(connection_option_floods_are_refused),
        cmocka_unit_test(long_targets_are_refused),
        cmocka_unit_test(a_request_is_taken_apart),
        cmocka_unit_test(obs_text_in_values_passes),
        cmocka_unit_test(absolute_form_overrides_host),
        cmocka_unit_test(the_other_forms_are_taken),
        cmocka_unit_test(framing_is_read),
        cmocka_unit_test(persistence_is_read),
        cmocka_unit_test(connection_fields_are_gone),
        cmocka_unit_test(underscores_and_proxy_are_dropped),
        cmocka_unit_test(websocket_requests_are_seen),
        cmocka_unit_test(odd_upgrades_are_no_upgrades),
        cmocka_unit_test(a_dripping_head_is_found_at_the_same_place),
        cmocka_unit_test(malformed_responses_are_refused),
        cmocka_unit_test(a_response_is_taken_apart),
        cmocka_unit_test(trailers_keep_only_what_may_be_one),
        cmocka_unit_test(chunked_bodies_are_decoded),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(chunk_extensions_are_bounded),
        cmocka_unit_test(chunk_extensions_are_bounded_in_sum),
        cmocka_unit_test(chunk_heads_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

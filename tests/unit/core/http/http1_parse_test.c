/* Strict parsing of HTTP/1.x heads and trailers: every way of being refused. */
#include "tests/unit/lib/http1_parse_fixture.h"

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
        cmocka_unit_test(malformed_responses_are_refused),
        cmocka_unit_test(a_response_is_taken_apart),
        cmocka_unit_test(trailers_keep_only_what_may_be_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

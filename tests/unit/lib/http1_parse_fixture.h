/* Heads parsed in memory of exactly their size, and tables of what must be refused. */
#ifndef SELVEDGE_TESTS_HTTP1_PARSE_FIXTURE_H
#define SELVEDGE_TESTS_HTTP1_PARSE_FIXTURE_H

#include "core/http/http1_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BYTES(lit) (lit), sizeof(lit) - 1
#define H "Host: a.example\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" H
#define assert_slice(slice, text)                                                                            \
    assert_true((slice).len == strlen(text) && memcmp((slice).base, (text), strlen(text)) == 0)
#define WS "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define WS_KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define WS_VERSION "Sec-WebSocket-Version: 13\r\n"
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

static inline void parsed_free(struct parsed *parsed)
{
    free(parsed->head);
    free(parsed->fields);
}

static inline int parse(struct parsed *parsed, const char *bytes, size_t len, bool is_request, bool is_tls)
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

static inline void check_all(const struct bad *cases, size_t num, bool is_request)
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

#endif

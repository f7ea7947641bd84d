/* The HTTP/2 server against a client that sends frames byte by byte. */
#include "tests/unit/lib/h2_raw.h"

#include "core/base/clock.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum {
    DATA = 0,
    HEADERS = 1,
    PRIORITY = 2,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    WINDOW_UPDATE = 8,
    CONTINUATION = 9,
    END_STREAM = 1,
    END_HEADERS = 4,
    ACK = 1
};

static struct net_worker *worker;
static struct raw raw;
static struct ht_limits limits;

static int set_up(void **state)
{
    worker = net_worker_new(0, 0, 0);
    limits = ht_limits_default;
    seen_reset();
    raw_open(&raw, worker, &limits);
    return 0;
}

static int tear_down(void **state)
{
    raw_close(&raw);
    assert_int_equal(seen_log.num_requests, seen_log.num_closed);
    seen_reset();
    assert_int_equal(worker->mem_used, 0);
    clock_fake(0, 0);
    worker = net_worker_free(worker);
    return 0;
}

static void u32_frame(uint8_t type, uint32_t id, uint32_t value)
{
    uint8_t payload[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                          (uint8_t)value};
    raw_frame(&raw, type, 0, id, payload, 4);
}

/* The fields of the stream's `index`th header block, as "name: value\n". */
static void decode(uint32_t id, unsigned index, struct strbuf *out)
{
    nghttp2_hd_inflater *inflater;
    struct raw_frame frame = {.end = 0};
    struct {
        uint32_t id;
        unsigned index;
    } at = {0, 0};
    unsigned of_stream = 0;

    nghttp2_hd_inflate_new(&inflater);
    strbuf_reset(out);
    while (raw_find(&raw, frame.end, HEADERS, UINT32_MAX, &frame)) {
        const uint8_t *in = frame.payload;
        size_t len = frame.len;
        bool is_wanted = frame.id == id && of_stream++ == index;
        for (;;) {
            nghttp2_nv nv;
            int flags = 0;
            ssize_t used = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, in, len, 1);
            assert_true(used >= 0);
            in += used;
            len -= (size_t)used;
            if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && is_wanted)
                strbuf_addf(out, "%.*s: %.*s\n", (int)nv.namelen, nv.name, (int)nv.valuelen, nv.value);
            if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0)
                break;
        }
        nghttp2_hd_inflate_end_headers(inflater);
    }
    (void)at;
    nghttp2_hd_inflate_del(inflater);
}

static bool has_line(uint32_t id, unsigned index, const char *line)
{
    struct strbuf text = STRBUF_INIT;
    decode(id, index, &text);
    bool found = text.base != NULL && strstr(text.base, line) != NULL;
    if (!found)
        print_message("no '%s' in: %s\n", line, text.base != NULL ? text.base : "(nothing)");
    strbuf_clear(&text);
    return found;
}

/* ---- messages ---- */

static void answers_a_get(void **state)
{
    seen_log.on_request = seen_say_hello;
    raw_hello(&raw);
    raw_get(&raw, 1, "/a?b=c");
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_string_equal(seen_at(0)->head.base, "GET http example.com /a?b=c\n");
    assert_true(has_line(1, 0, ":status: 200\n"));
    assert_true(has_line(1, 0, "content-length: 5\n"));
    assert_true(has_line(1, 0, "date: "));
    assert_int_equal(raw_data_len(&raw, 1), 5);
    RAW_UNTIL(&raw, seen_at(0)->is_closed);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_DONE);
    assert_int_equal(raw_count(&raw, RST_STREAM, 1), 0);
}

static void say_nothing_at_all(struct seen *seen)
{
    ht_exchange_head(seen->x, 204, NULL, -1);
    ht_exchange_end(seen->x, NULL);
}

static void an_empty_answer_is_one_frame(void **state)
{
    seen_log.on_request = say_nothing_at_all;
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_int_equal(raw_count(&raw, DATA, 1), 0);
    assert_int_equal(raw_count(&raw, HEADERS, 1), 1);
}

static void say_grpc_error(struct seen *seen)
{
    struct ht_headers headers = {NULL, 0, 0}, trailers = {NULL, 0, 0};
    ht_headers_add(&seen->x->pool, &headers, SLICE("content-type"), SLICE("application/grpc"));
    ht_headers_add(&seen->x->pool, &trailers, SLICE("grpc-status"), SLICE("5"));
    ht_exchange_head(seen->x, 200, &headers, -1);
    ht_exchange_end(seen->x, &trailers);
}

static void trailers_go_out_without_a_body(void **state)
{
    seen_log.on_request = say_grpc_error;
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_int_equal(raw_count(&raw, HEADERS, 1), 2);
    assert_int_equal(raw_count(&raw, DATA, 1), 0);
    assert_true(has_line(1, 1, "grpc-status: 5\n"));
}

static void request_bodies_and_trailers_come_in(void **state)
{
    struct strbuf block = STRBUF_INIT;

    raw_hello(&raw);
    raw_post(&raw, 1, "/");
    raw_frame(&raw, DATA, 0, 1, "abc", 3);
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    assert_int_equal(seen_at(0)->body.len, 0); /* nobody asked for it */
    ht_exchange_resume(seen_at(0)->x);
    RAW_UNTIL(&raw, seen_at(0)->body.len == 3);
    raw_frame(&raw, DATA, 0, 1, "def", 3);
    raw_fields(&block, "x-sum", "1", "authorization", "9", NULL);
    raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, 1, block.base, block.len);
    RAW_UNTIL(&raw, seen_at(0)->num_ends == 1);
    assert_string_equal(seen_at(0)->body.base, "abcdef");
    assert_string_equal(seen_at(0)->trailers.base, "x-sum: 1\n");
    seen_say_hello(seen_at(0));
    RAW_UNTIL(&raw, seen_at(0)->is_closed);
    strbuf_clear(&block);
}

static void the_end_of_a_body_waits_until_it_was_taken(void **state)
{
    raw_hello(&raw);
    raw_post(&raw, 1, "/");
    raw_frame(&raw, DATA, END_STREAM, 1, "abcdef", 6);
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    seen_at(0)->take = 2;
    ht_exchange_resume(seen_at(0)->x);
    for (int i = 0; i < 5; i++)
        raw_turn(&raw);
    assert_string_equal(seen_at(0)->body.base, "ab");
    assert_int_equal(seen_at(0)->num_ends, 0);
    seen_at(0)->take = SIZE_MAX;
    ht_exchange_resume(seen_at(0)->x);
    RAW_UNTIL(&raw, seen_at(0)->num_ends == 1);
    assert_string_equal(seen_at(0)->body.base, "abcdef");
}

static void cookie_crumbs_are_joined(void **state)
{
    struct strbuf block = STRBUF_INIT;

    raw_hello(&raw);
    raw_fields(&block, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "cookie", "a=1",
               "x-y", "z", "cookie", "b=2", "cookie", "c=3", NULL);
    raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, 1, block.base, block.len);
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    assert_string_equal(seen_at(0)->head.base, "GET http a /\ncookie: a=1; b=2; c=3\nx-y: z\n");
    strbuf_clear(&block);
}

static void fields_of_the_connection_do_not_pass(void **state)
{
    struct strbuf block = STRBUF_INIT;

    raw_hello(&raw);
    raw_fields(&block, ":method", "GET", ":scheme", "http", ":path", "/", "host", "h.example:8080", "te",
               "trailers", "x_under", "1", "proxy", "evil", "http2-settings", "AA", "content-length", "0",
               NULL);
    raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, 1, block.base, block.len);
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    assert_string_equal(seen_at(0)->head.base, "GET http h.example:8080 /\nte: trailers\n");
    assert_int_equal(seen_at(0)->x->te_trailers, 1);
    assert_int_equal(seen_at(0)->x->content_length, 0);
    strbuf_clear(&block);
}

static void expecting_clients_are_told_to_continue(void **state)
{
    struct strbuf block = STRBUF_INIT;

    raw_hello(&raw);
    raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a", "expect",
               "100-continue", NULL);
    raw_frame(&raw, HEADERS, END_HEADERS, 1, block.base, block.len);
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    for (int i = 0; i < 5; i++)
        raw_turn(&raw);
    assert_int_equal(raw_count(&raw, HEADERS, 1), 0);
    ht_exchange_resume(seen_at(0)->x);
    RAW_UNTIL(&raw, raw_count(&raw, HEADERS, 1) == 1);
    assert_true(has_line(1, 0, ":status: 100\n"));
    strbuf_clear(&block);
}

static void hint_then_answer(struct seen *seen)
{
    struct ht_headers headers = {NULL, 0, 0};
    ht_headers_add(&seen->x->pool, &headers, SLICE("link"), SLICE("</a.css>; rel=preload"));
    ht_exchange_info(seen->x, 103, &headers);
    seen_say_hello(seen);
}

static void interim_answers_go_first(void **state)
{
    seen_log.on_request = hint_then_answer;
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_true(has_line(1, 0, ":status: 103\nlink: </a.css>; rel=preload\n"));
    assert_true(has_line(1, 1, ":status: 200\n"));
}

static void head_has_a_length_and_no_body(void **state)
{
    struct strbuf block = STRBUF_INIT;

    seen_log.on_request = seen_say_hello;
    raw_hello(&raw);
    raw_fields(&block, ":method", "HEAD", ":scheme", "http", ":path", "/", ":authority", "a", NULL);
    raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, 1, block.base, block.len);
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_true(has_line(1, 0, "content-length: 5\n"));
    assert_int_equal(raw_data_len(&raw, 1), 0);
    strbuf_clear(&block);
}

static void post_all(uint32_t id, size_t len)
{
    static const char bytes[16384];

    for (; len != 0; len -= MIN(len, sizeof(bytes)))
        raw_frame(&raw, DATA, 0, id, bytes, MIN(len, sizeof(bytes)));
}

/* Posts so much of what it announces. */
static void post_part(const char *announced, size_t len)
{
    struct strbuf block = STRBUF_INIT;

    seen_log.on_request = seen_say_hello;
    raw_hello(&raw);
    raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a", NULL);
    if (announced != NULL)
        raw_fields(&block, "content-length", announced, NULL);
    raw_frame(&raw, HEADERS, END_HEADERS, 1, block.base, block.len);
    post_all(1, len);
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    RAW_UNTIL(&raw, seen_at(0)->is_closed);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_DONE);
    strbuf_clear(&block);
}

/* The window for all of it comes ahead of the answer: some clients read nothing after that. */
static void after_an_early_answer_a_short_rest_is_swallowed(void **state)
{
    struct raw_frame update, head;

    post_part("300000", 65535);
    assert_true(raw_find(&raw, 0, WINDOW_UPDATE, 1, &update) && raw_find(&raw, 0, HEADERS, 1, &head));
    assert_true(update.end < head.end);
    post_all(1, 300000 - 65535);
    raw_frame(&raw, DATA, END_STREAM, 1, NULL, 0);
    raw_get(&raw, 3, "/");
    RAW_UNTIL(&raw, raw_is_ended(&raw, 3));
    assert_int_equal(raw_reset_code(&raw, 1), -1);
}

static void after_an_early_answer_a_long_rest_is_stopped(void **state)
{
    post_part("500000", 65535);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_NO_ERROR);
}

static void after_an_early_answer_a_rest_of_unknown_length_is_stopped(void **state)
{
    post_part(NULL, 10);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_NO_ERROR);
}

static void too_few_bytes_are_an_abort(void **state)
{
    struct iovec iov = {"abc", 3};

    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    ht_exchange_head(seen_at(0)->x, 200, NULL, 5);
    ht_exchange_body(seen_at(0)->x, &iov, 1);
    ht_exchange_end(seen_at(0)->x, NULL);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_ABORTED);
}

static void an_abort_names_its_code(void **state)
{
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    ht_exchange_abort(seen_at(0)->x, NGHTTP2_REFUSED_STREAM);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_REFUSED_STREAM);
}

static void a_client_reset_ends_the_exchange(void **state)
{
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    u32_frame(RST_STREAM, 1, NGHTTP2_CANCEL);
    RAW_UNTIL(&raw, seen_at(0)->is_closed);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_PEER_RESET);
}

/* ---- tunnels ---- */

static void extended_connect_becomes_a_tunnel(void **state)
{
    struct strbuf block = STRBUF_INIT;
    struct iovec iov = {"pong", 4};

    raw_hello(&raw);
    raw_fields(&block, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/chat",
               ":authority", "a", "sec-websocket-version", "13", NULL);
    raw_frame(&raw, HEADERS, END_HEADERS, 1, block.base, block.len);
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    struct ht_exchange *x = seen_at(0)->x;
    assert_true(slice_is(x->upgrade, "websocket"));
    assert_string_equal(seen_at(0)->head.base, "GET http a /chat\nsec-websocket-version: 13\n");
    assert_false(x->has_body);
    ht_exchange_head(x, 101, NULL, -1);
    ht_exchange_resume(x);
    raw_frame(&raw, DATA, 0, 1, "ping", 4);
    RAW_UNTIL(&raw, seen_at(0)->body.len == 4);
    assert_true(has_line(1, 0, ":status: 200\n"));
    ht_exchange_body(x, &iov, 1);
    RAW_UNTIL(&raw, raw_data_len(&raw, 1) == 4);
    ht_exchange_end(x, NULL); /* our direction; the client's goes on */
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    raw_frame(&raw, DATA, 0, 1, "more", 4);
    RAW_UNTIL(&raw, seen_at(0)->body.len == 8);
    assert_int_equal(raw_count(&raw, RST_STREAM, 1), 0);
    raw_frame(&raw, DATA, END_STREAM, 1, NULL, 0);
    RAW_UNTIL(&raw, seen_at(0)->is_closed);
    assert_int_equal(seen_at(0)->num_ends, 1);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_DONE);
    strbuf_clear(&block);
}

static void connect_has_an_authority_for_target(void **state)
{
    struct strbuf block = STRBUF_INIT;

    raw_hello(&raw);
    raw_fields(&block, ":method", "CONNECT", ":authority", "db.example:5432", NULL);
    raw_frame(&raw, HEADERS, END_HEADERS, 1, block.base, block.len);
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    assert_string_equal(seen_at(0)->head.base, "CONNECT http db.example:5432 db.example:5432\n");
    strbuf_clear(&block);
}

/* ---- what must not pass ---- */

struct bad_head {
    const char *fields[16]; /* names and values */
};

static const struct bad_head bad_heads[] = {
    {{":method", "GET /x", ":scheme", "http", ":path", "/", ":authority", "a"}},
    {{":method", "GE\tT", ":scheme", "http", ":path", "/", ":authority", "a"}},
    {{":method", "", ":scheme", "http", ":path", "/", ":authority", "a"}},
    {{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "a"}},
    {{":method", "GET", ":scheme", "ftp", ":path", "/", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http\r\n", ":path", "/", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "x", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "*", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "/a b", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "/a\r\nx: y", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "/a\x7f", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "/a#b", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "/\xc3\xa9", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "http://a/", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "user@a"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a/b"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a:99999"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a:"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a,b"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a b"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "host", "b"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", "host", "a", "host", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "/"}},
    {{":method", "GET", ":path", "/", ":authority", "a"}},
    {{":scheme", "http", ":path", "/", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":authority", "a"}},
    {{":method", "GET", ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":path", "/b", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", "x", "y", ":path", "/", ":authority", "a"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", ":status", "200"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", ":evil", "1"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", ":protocol", "websocket"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "X-Upper", "1"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "x y", "1"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "x:y", "1"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "x\r\ny", "1"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "", "1"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "x", "1\r\ny: 2"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "x", "1\n"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "x", " 1"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "x", "1\t"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "connection", "close"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "transfer-encoding", "chunked"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "upgrade", "h2c"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "keep-alive", "1"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "proxy-connection", "close"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "te", "gzip"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "te", "trailers, gzip"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "content-length", "5"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "content-length", "+0"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "content-length", "0x0"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "content-length", "0",
      "content-length", "0"}},
    {{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", "content-length",
      "18446744073709551616"}},
    {{":method", "CONNECT", ":scheme", "http", ":path", "/", ":authority", "a:1"}},
    {{":method", "CONNECT", ":authority", "a/b"}},
    {{":method", "CONNECT", ":protocol", "websocket", ":authority", "a"}},
    {{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "x y", ":authority", "a"}},
};

static void malformed_heads_are_reset(void **state)
{
    struct strbuf block = STRBUF_INIT;
    uint32_t id = 1;

    raw_hello(&raw);
    for (size_t i = 0; i < ARRAY_LEN(bad_heads); i++, id += 2) {
        strbuf_reset(&block);
        for (const char *const *at = bad_heads[i].fields; *at != NULL; at += 2)
            raw_field(&block, slice_of(at[0]), slice_of(at[1]));
        raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, id, block.base, block.len);
        RAW_UNTIL(&raw,
                  raw_reset_code(&raw, id) >= 0 || raw_is_ended(&raw, id) || seen_log.num_requests != 0);
        if (raw_reset_code(&raw, id) != NGHTTP2_PROTOCOL_ERROR)
            fail_msg("case %zu: %s %s", i, bad_heads[i].fields[0], bad_heads[i].fields[1]);
    }
    strbuf_reset(&block);
    raw_fields(&block, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", NULL);
    raw_field(&block, SLICE("x"), SLICE("a\0b"));
    raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, id, block.base, block.len);
    RAW_UNTIL(&raw, raw_reset_code(&raw, id) == NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(seen_log.num_requests, 0);
    assert_int_equal(seen_log.num_bad, ARRAY_LEN(bad_heads) + 1);
    seen_log.on_request = seen_say_hello; /* the connection itself is fine */
    raw_get(&raw, id + 2, "/");
    RAW_UNTIL(&raw, raw_is_ended(&raw, id + 2));
    strbuf_clear(&block);
}

static void bodies_must_be_as_long_as_announced(void **state)
{
    struct strbuf block = STRBUF_INIT;

    raw_hello(&raw);
    raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a",
               "content-length", "5", NULL);
    raw_frame(&raw, HEADERS, END_HEADERS, 1, block.base, block.len);
    raw_frame(&raw, HEADERS, END_HEADERS, 3, block.base, block.len);
    RAW_UNTIL(&raw, seen_log.num_requests == 2);
    raw_frame(&raw, DATA, END_STREAM, 1, "abc", 3);
    raw_frame(&raw, DATA, 0, 3, "abcdefgh", 8);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_PROTOCOL_ERROR);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 3) == NGHTTP2_PROTOCOL_ERROR);
    RAW_UNTIL(&raw, seen_log.num_closed == 2);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_PROTOCOL);
    strbuf_clear(&block);
}

static void expect_answer(uint32_t id, const char *status_line)
{
    RAW_UNTIL(&raw, raw_is_ended(&raw, id));
    assert_true(has_line(id, 0, status_line));
    assert_int_equal(seen_log.num_requests, 0);
}

static void limits_are_answered(void **state)
{
    struct strbuf block = STRBUF_INIT, path = STRBUF_INIT;

    limits.max_headers = 10;
    limits.max_head_bytes = 4096;
    limits.max_target_bytes = 100;
    limits.max_body_bytes = 1000;
    raw_hello(&raw);
    raw_fields(&block, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", NULL);
    for (int i = 0; i < 20; i++)
        raw_fields(&block, "x", "y", NULL);
    raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, 1, block.base, block.len);
    expect_answer(1, ":status: 431\n");
    strbuf_adds(&path, "/");
    for (int i = 0; i < 200; i++)
        strbuf_addc(&path, 'a');
    raw_get(&raw, 3, path.base);
    expect_answer(3, ":status: 414\n");
    for (int i = 0; i < 5000; i++)
        strbuf_addc(&path, 'a');
    raw_get(&raw, 5, path.base);
    expect_answer(5, ":status: 431\n");
    strbuf_reset(&block);
    raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a",
               "content-length", "1001", NULL);
    raw_frame(&raw, HEADERS, END_HEADERS, 7, block.base, block.len);
    expect_answer(7, ":status: 413\n");
    strbuf_reset(&block);
    raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a", "expect",
               "miracles", NULL);
    raw_frame(&raw, HEADERS, END_HEADERS, 9, block.base, block.len);
    expect_answer(9, ":status: 417\n");
    assert_int_equal(seen_log.num_bad, 5);
    strbuf_clear(&block);
    strbuf_clear(&path);
}

static void a_body_over_the_limit_is_cut_off(void **state)
{
    static const char bytes[600];

    limits.max_body_bytes = 1000;
    raw_hello(&raw);
    raw_post(&raw, 1, "/");
    raw_frame(&raw, DATA, 0, 1, bytes, sizeof(bytes));
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    raw_frame(&raw, DATA, 0, 1, bytes, sizeof(bytes));
    RAW_UNTIL(&raw, seen_at(0)->is_closed);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_TOO_LARGE);
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_true(has_line(1, 0, ":status: 413\n"));
}

/* ---- back-pressure ---- */

static void a_stuck_stream_keeps_its_own_window_only(void **state)
{
    raw_hello(&raw);
    for (uint32_t id = 1; id < 41;
         id += 2) { /* 20 streams that nobody reads: more than the connection's window */
        raw_post(&raw, id, "/");
        post_all(id, 65535);
    }
    RAW_UNTIL(&raw, seen_log.num_requests == 20 && raw.out.len == 0);
    for (uint32_t id = 1; id < 41; id += 2)
        assert_int_equal(raw_count(&raw, WINDOW_UPDATE, id), 0);
    assert_in_range(worker->mem_used, 20 * 65535, 20 * 65535 * 3 / 2);
    raw_post(&raw, 41, "/");
    post_all(41, 65535);
    RAW_UNTIL(&raw, seen_log.num_requests == 21);
    ht_exchange_resume(seen_at(20)->x);
    RAW_UNTIL(&raw, seen_at(20)->body.len == 65535);
    RAW_UNTIL(&raw, raw_count(&raw, WINDOW_UPDATE, 41) >= 1);
    assert_true(raw_count(&raw, WINDOW_UPDATE, 0) >= 1);
}

static void a_client_beyond_its_window_is_cut_off(void **state)
{
    raw_hello(&raw);
    raw_post(&raw, 1, "/");
    post_all(1, 65535 + 10);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_FLOW_CONTROL_ERROR || raw_goaway_code(&raw) > 0);
    RAW_UNTIL(&raw, seen_log.num_closed == seen_log.num_requests);
}

static size_t write_until_full(struct seen *seen)
{
    static char bytes[4096];
    struct iovec iov = {bytes, sizeof(bytes)};
    size_t len = sizeof(bytes);

    while (ht_exchange_body(seen->x, &iov, 1))
        len += sizeof(bytes);
    return len;
}

static void senders_are_told_to_stop_and_to_go_on(void **state)
{
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    ht_exchange_head(seen_at(0)->x, 200, NULL, -1);
    assert_int_equal(write_until_full(seen_at(0)), 65536);
    RAW_UNTIL(&raw, seen_at(0)->num_writable == 1);
    size_t more = write_until_full(seen_at(0)); /* the client's window is used up but for a byte */
    assert_in_range(more, 49152, 65536 + 4096);
    for (int i = 0; i < 10; i++)
        raw_turn(&raw);
    assert_int_equal(seen_at(0)->num_writable, 1);
    assert_int_equal(raw_data_len(&raw, 1), 65535);
    u32_frame(WINDOW_UPDATE, 1, 1000000);
    u32_frame(WINDOW_UPDATE, 0, 1000000);
    RAW_UNTIL(&raw, seen_at(0)->num_writable == 2);
    ht_exchange_end(seen_at(0)->x, NULL);
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_int_equal(raw_data_len(&raw, 1), 65536 + more);
}

/* security.md class 11. */
static void closed_windows_bound_memory(void **state)
{
    const uint8_t no_window[6] = {0, 4, 0, 0, 0, 0};
    unsigned num = 0;

    raw_hello(&raw);
    raw_frame(&raw, SETTINGS, 0, 0, no_window, sizeof(no_window));
    for (uint32_t id = 1; num < 128; id += 2, num++)
        raw_get(&raw, id, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 128);
    for (unsigned i = 0; i < num; i++) {
        ht_exchange_head(seen_at(i)->x, 200, NULL, -1);
        write_until_full(seen_at(i));
    }
    for (int i = 0; i < 10; i++)
        raw_turn(&raw);
    assert_in_range(worker->mem_used, 1, 6 * 1024 * 1024);
}

static void a_blocked_socket_blocks_the_senders(void **state)
{
    raw_hello(&raw);
    u32_frame(WINDOW_UPDATE, 0, 0x70000000);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    u32_frame(WINDOW_UPDATE, 1, 0x70000000);
    raw.reads_nothing = true;
    ht_exchange_head(seen_at(0)->x, 200, NULL, -1);
    size_t written = write_until_full(seen_at(0));
    for (unsigned told = 0, turns = 0; turns < 200; turns++) {
        raw_turn(&raw);
        if (seen_at(0)->num_writable == told)
            continue;
        told = seen_at(0)->num_writable;
        written += write_until_full(seen_at(0));
    }
    assert_in_range(worker->mem_used, 1, 512 * 1024);
    raw.reads_nothing = false;
    ht_exchange_end(seen_at(0)->x, NULL);
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_int_equal(raw_data_len(&raw, 1), written);
}

/* ---- floods: security.md classes 6 to 10 ---- */

static void expect_calm(void)
{
    RAW_UNTIL(&raw, raw_goaway_code(&raw) == NGHTTP2_ENHANCE_YOUR_CALM);
    RAW_UNTIL(&raw, raw.is_eof);
    close(raw.fd);
    raw.fd = -1;
    for (int i = 0; i < 100 && raw.conn != NULL; i++)
        net_worker_turn(worker, 0);
    assert_null(raw.conn);
    assert_int_equal(seen_log.last_bad_status, 429);
}

static void rapid_resets_end_the_connection(void **state)
{
    seen_log.forgets = true;
    limits.max_concurrent_streams = 100;
    raw_hello(&raw);
    for (uint32_t i = 0; i < 30000; i++) {
        raw_get(&raw, 2 * i + 1, "/");
        u32_frame(RST_STREAM, 2 * i + 1, NGHTTP2_CANCEL);
    }
    expect_calm();
    assert_in_range(seen_log.num_requests, 0, 1000);
    assert_in_range(seen_log.max_open, 0, 100);
}

/* The resets come in another read than the requests: each reached the handler. */
static void slower_resets_end_it_too(void **state)
{
    seen_log.forgets = true;
    raw_hello(&raw);
    for (uint32_t i = 0; i < 2000 && !raw.is_eof; i++) {
        raw_get(&raw, 2 * i + 1, "/");
        raw_turn(&raw);
        u32_frame(RST_STREAM, 2 * i + 1, NGHTTP2_CANCEL);
        raw_turn(&raw);
    }
    expect_calm();
    assert_in_range(seen_log.num_requests, 1, 1000);
    assert_in_range(seen_log.max_open, 1, 2);
}

static void provoked_resets_end_the_connection(void **state)
{
    seen_log.forgets = true;
    raw_hello(&raw);
    for (uint32_t i = 0; i < 1000 && !raw.is_eof; i++) {
        raw_get(&raw, 2 * i + 1, "/");
        u32_frame(WINDOW_UPDATE, 2 * i + 1, 0x7fffffff);
        raw_turn(&raw);
    }
    expect_calm();
    assert_in_range(seen_log.num_requests, 1, 1000);
}

static void malformed_requests_without_end_end_the_connection(void **state)
{
    struct strbuf block = STRBUF_INIT;

    raw_hello(&raw);
    raw_fields(&block, ":method", "GET", ":scheme", "http", ":path", "/ x", ":authority", "a", NULL);
    for (uint32_t i = 0; i < 1000 && !raw.is_eof; i++) {
        raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, block.base, block.len);
        raw_turn(&raw);
    }
    expect_calm();
    strbuf_clear(&block);
}

struct flood {
    uint8_t type, flags;
    uint32_t id;
    size_t len;
    const char *payload;
};

static void flood(const struct flood *what)
{
    raw_hello(&raw);
    if (what->id == 1)
        raw_post(&raw, 1, "/");
    for (int i = 0; i < 1001; i++)
        raw_frame(&raw, what->type, what->flags, what->id, what->payload, what->len);
    expect_calm();
}

#define FLOOD(name, ...)                                                                                     \
    static void name(void **state)                                                                           \
    {                                                                                                        \
        flood(&(struct flood){__VA_ARGS__});                                                                 \
    }
FLOOD(ping_flood_ends_it, PING, 0, 0, 8, "12345678")
FLOOD(settings_flood_ends_it, SETTINGS, 0, 0, 0, NULL)
FLOOD(settings_ack_flood_ends_it, SETTINGS, 0, 0, 6, "\0\3\0\0\0\1")
FLOOD(priority_flood_ends_it, PRIORITY, 0, 99, 5, "\0\0\0\0\1")
FLOOD(empty_data_flood_ends_it, DATA, 0, 1, 0, NULL)
FLOOD(padding_flood_ends_it, DATA, 8, 1, 5, "\4\0\0\0\0")
FLOOD(unknown_frame_flood_ends_it, 0x42, 0, 0, 3, "abc")
FLOOD(window_update_flood_ends_it, WINDOW_UPDATE, 0, 1, 4, "\0\0\0\1")

static void continuation_flood_ends_it(void **state)
{
    raw_hello(&raw);
    raw_frame(&raw, HEADERS, END_STREAM, 1, "\x82", 1);
    for (int i = 0; i < 64; i++)
        raw_frame(&raw, CONTINUATION, 0, 1, NULL, 0);
    expect_calm();
}

static void acks_nobody_reads_do_not_pile_up(void **state)
{
    raw_hello(&raw);
    raw.reads_nothing = true;
    for (int i = 0; i < 100000; i++)
        raw_frame(&raw, PING, 0, 0, "12345678", 8);
    for (int i = 0; i < 200; i++)
        raw_turn(&raw);
    assert_in_range(worker->mem_used, 0, 512 * 1024);
    raw.reads_nothing = false;
    expect_calm();
}

/* A byte of window at a time. */
static void a_dribbling_window_ends_the_connection(void **state)
{
    const uint8_t no_window[6] = {0, 4, 0, 0, 0, 0};

    raw_hello(&raw);
    raw_frame(&raw, SETTINGS, 0, 0, no_window, sizeof(no_window));
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    ht_exchange_head(seen_at(0)->x, 200, NULL, -1);
    write_until_full(seen_at(0));
    for (int i = 0; i < 2000 && !raw.is_eof; i++) {
        u32_frame(WINDOW_UPDATE, 1, 1);
        raw_turn(&raw);
    }
    expect_calm();
}

/* RFC 9113's connection errors: a frame or two, and the code that must come back. */
struct violation {
    const char *name;
    struct {
        uint8_t type, flags;
        uint32_t id;
        uint32_t len;
        const char *payload;
    } frames[3];
    uint32_t code;
};

static const struct violation violations[] = {
    {"DATA on the connection", {{DATA, 0, 0, 1, "x"}}, NGHTTP2_PROTOCOL_ERROR},
    {"DATA on an idle stream", {{DATA, 0, 1, 1, "x"}}, NGHTTP2_PROTOCOL_ERROR},
    {"DATA with too much padding",
     {{HEADERS, 4, 1, 6, "\x82\x86\x84\x01\x01h"}, {DATA, 8, 1, 2, "\x05x"}},
     NGHTTP2_PROTOCOL_ERROR},
    {"DATA after the end",
     {{HEADERS, 5, 1, 6, "\x82\x86\x84\x01\x01h"}, {DATA, 0, 1, 1, "x"}},
     NGHTTP2_STREAM_CLOSED},
    {"HEADERS after the end",
     {{HEADERS, 5, 1, 6, "\x82\x86\x84\x01\x01h"}, {HEADERS, 5, 1, 1, "\x82"}},
     NGHTTP2_STREAM_CLOSED},
    {"HEADERS on the connection", {{HEADERS, 5, 0, 6, "\x82\x86\x84\x01\x01h"}}, NGHTTP2_PROTOCOL_ERROR},
    {"HEADERS of a server's stream", {{HEADERS, 5, 2, 6, "\x82\x86\x84\x01\x01h"}}, NGHTTP2_PROTOCOL_ERROR},
    {"HEADERS of a stream left out",
     {{HEADERS, 5, 5, 6, "\x82\x86\x84\x01\x01h"}, {HEADERS, 5, 3, 6, "\x82\x86\x84\x01\x01h"}},
     NGHTTP2_PROTOCOL_ERROR},
    {"HEADERS of a stream left out, later",
     {{HEADERS, 5, 5, 6, "\x82\x86\x84\x01\x01h"},
      {HEADERS, 5, 7, 6, "\x82\x86\x84\x01\x01h"},
      {HEADERS, 5, 1, 6, "\x82\x86\x84\x01\x01h"}},
     NGHTTP2_PROTOCOL_ERROR},
    {"HEADERS that depend on themselves",
     {{HEADERS, 0x25, 1, 11, "\0\0\0\1\x10\x82\x86\x84\x01\x01h"}},
     NGHTTP2_PROTOCOL_ERROR},
    {"HEADERS that do not decode", {{HEADERS, 5, 1, 2, "\xff\x80"}}, NGHTTP2_COMPRESSION_ERROR},
    {"HEADERS then something else",
     {{HEADERS, 1, 1, 1, "\x82"}, {PING, 0, 0, 8, "12345678"}},
     NGHTTP2_PROTOCOL_ERROR},
    {"HEADERS then another's CONTINUATION",
     {{HEADERS, 1, 1, 1, "\x82"}, {CONTINUATION, 4, 3, 1, "\x86"}},
     NGHTTP2_PROTOCOL_ERROR},
    {"CONTINUATION alone", {{CONTINUATION, 4, 1, 1, "\x82"}}, NGHTTP2_PROTOCOL_ERROR},
    {"PRIORITY on the connection", {{PRIORITY, 0, 0, 5, "\0\0\0\1\x10"}}, NGHTTP2_PROTOCOL_ERROR},
    {"PRIORITY that depends on itself", {{PRIORITY, 0, 1, 5, "\0\0\0\1\x10"}}, NGHTTP2_PROTOCOL_ERROR},
    {"PRIORITY of four bytes", {{PRIORITY, 0, 1, 4, "\0\0\0\3"}}, NGHTTP2_FRAME_SIZE_ERROR},
    {"RST_STREAM on the connection", {{RST_STREAM, 0, 0, 4, "\0\0\0\x8"}}, NGHTTP2_PROTOCOL_ERROR},
    {"RST_STREAM of an idle stream", {{RST_STREAM, 0, 1, 4, "\0\0\0\x8"}}, NGHTTP2_PROTOCOL_ERROR},
    {"RST_STREAM of three bytes",
     {{HEADERS, 4, 1, 6, "\x82\x86\x84\x01\x01h"}, {RST_STREAM, 0, 1, 3, "\0\0\0"}},
     NGHTTP2_FRAME_SIZE_ERROR},
    {"SETTINGS of a stream", {{SETTINGS, 0, 1, 0, ""}}, NGHTTP2_PROTOCOL_ERROR},
    {"SETTINGS ACK with a payload", {{SETTINGS, ACK, 0, 1, "x"}}, NGHTTP2_FRAME_SIZE_ERROR},
    {"SETTINGS of three bytes", {{SETTINGS, 0, 0, 3, "\0\3\0"}}, NGHTTP2_FRAME_SIZE_ERROR},
    {"ENABLE_PUSH 2", {{SETTINGS, 0, 0, 6, "\0\2\0\0\0\2"}}, NGHTTP2_PROTOCOL_ERROR},
    {"INITIAL_WINDOW_SIZE 2^31", {{SETTINGS, 0, 0, 6, "\0\4\x80\0\0\0"}}, NGHTTP2_FLOW_CONTROL_ERROR},
    {"MAX_FRAME_SIZE 100", {{SETTINGS, 0, 0, 6, "\0\5\0\0\0\x64"}}, NGHTTP2_PROTOCOL_ERROR},
    {"PUSH_PROMISE", {{5, 4, 1, 5, "\0\0\0\2\x82"}}, NGHTTP2_PROTOCOL_ERROR},
    {"PING of a stream", {{PING, 0, 1, 8, "12345678"}}, NGHTTP2_PROTOCOL_ERROR},
    {"PING of seven bytes", {{PING, 0, 0, 7, "1234567"}}, NGHTTP2_FRAME_SIZE_ERROR},
    {"GOAWAY of a stream", {{GOAWAY, 0, 1, 8, "\0\0\0\0\0\0\0\0"}}, NGHTTP2_PROTOCOL_ERROR},
    {"WINDOW_UPDATE of nothing", {{WINDOW_UPDATE, 0, 0, 4, "\0\0\0\0"}}, NGHTTP2_PROTOCOL_ERROR},
    {"WINDOW_UPDATE of too much", {{WINDOW_UPDATE, 0, 0, 4, "\x7f\xff\xff\xff"}}, NGHTTP2_FLOW_CONTROL_ERROR},
    {"WINDOW_UPDATE of an idle stream", {{WINDOW_UPDATE, 0, 1, 4, "\0\0\0\1"}}, NGHTTP2_PROTOCOL_ERROR},
    {"WINDOW_UPDATE of three bytes", {{WINDOW_UPDATE, 0, 0, 3, "\0\0\1"}}, NGHTTP2_FRAME_SIZE_ERROR},
};

static void violations_end_the_connection(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(violations); i++) {
        raw_close(&raw);
        raw_open(&raw, worker, &limits);
        raw_hello(&raw);
        for (size_t k = 0; k < 3 && violations[i].frames[k].payload != NULL; k++)
            raw_frame(&raw, violations[i].frames[k].type, violations[i].frames[k].flags,
                      violations[i].frames[k].id, violations[i].frames[k].payload,
                      violations[i].frames[k].len);
        for (int turns = 0; turns < 1000 && !raw.is_eof; turns++)
            raw_turn(&raw);
        if (!raw.is_eof || raw_goaway_code(&raw) != violations[i].code)
            fail_msg("%s: GOAWAY %d", violations[i].name, (int)raw_goaway_code(&raw));
    }
}

static void frames_over_the_size_limit_end_the_connection(void **state)
{
    static const char bytes[16385];

    raw_hello(&raw);
    raw_post(&raw, 1, "/");
    raw_frame(&raw, DATA, 0, 1, bytes, sizeof(bytes));
    RAW_UNTIL(&raw, raw.is_eof);
    assert_int_equal(raw_goaway_code(&raw), NGHTTP2_FRAME_SIZE_ERROR);
}

/* One field of 3 KB in the dynamic table, then a byte for each time it comes again. */
static void header_bombs_are_defused(void **state)
{
    struct strbuf block = STRBUF_INIT;

    raw_hello(&raw);
    raw_fields(&block, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", NULL);
    strbuf_adds(&block,
                "\x40\x01x\x7f\xb1\x16"); /* literal with indexing; length 127 + 0x31 + (0x16 << 7) = 2992 */
    for (int i = 0; i < 2992; i++)
        strbuf_addc(&block, 'v');
    for (int i = 0; i < 12000; i++)
        strbuf_addc(&block, (char)0xbe); /* index 62 */
    raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, 1, block.base, block.len);
    expect_calm();
    assert_int_equal(seen_log.num_requests, 0);
    strbuf_clear(&block);
}

static void streams_over_the_limit_are_refused(void **state)
{
    limits.max_concurrent_streams = 4;
    raw_hello(&raw);
    for (uint32_t id = 1; id < 9; id += 2)
        raw_get(&raw, id, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 4);
    ht_exchange_head(seen_at(0)->x, 204, NULL, -1);
    ht_exchange_end(seen_at(0)->x, NULL);
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    raw_get(&raw, 9, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 5);
    raw_get(&raw, 11, "/");
    RAW_UNTIL(&raw, raw_reset_code(&raw, 11) == NGHTTP2_REFUSED_STREAM || raw_goaway_code(&raw) >= 0);
    assert_int_equal(seen_log.max_open, 4);
}

static void a_worker_short_of_memory_refuses_streams(void **state)
{
    raw_hello(&raw);
    worker->mem_soft = worker->mem_used + 100000;
    worker->mem_hard = worker->mem_used + 200000;
    net_mem_charge(worker, 150000);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_REFUSED_STREAM);
    net_mem_release(worker, 150000);
    seen_log.on_request = seen_say_hello;
    raw_get(&raw, 3, "/");
    RAW_UNTIL(&raw, raw_is_ended(&raw, 3));
}

static void an_honest_busy_client_is_left_alone(void **state)
{
    seen_log.on_request = seen_say_hello;
    seen_log.forgets = true;
    raw_hello(&raw);
    for (uint32_t i = 0; i < 5000; i++) {
        raw_get(&raw, 2 * i + 1, "/");
        raw_frame(&raw, PING, 0, 0, "12345678", 8);
        u32_frame(WINDOW_UPDATE, 0, 5);
        raw_turn(&raw);
        raw.in.len = 0;
        assert_false(raw.is_eof);
    }
    assert_int_equal(seen_log.num_requests, 5000);
}

/* ---- the connection's life ---- */

static void drain_says_goaway_twice(void **state)
{
    struct raw_frame frame;

    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    ht_server_drain(raw.conn);
    RAW_UNTIL(&raw, raw_count(&raw, GOAWAY, 0) == 1 && raw_count(&raw, PING, 0) == 1);
    assert_true(raw_find(&raw, 0, GOAWAY, 0, &frame));
    assert_memory_equal(frame.payload, "\x7f\xff\xff\xff\0\0\0\0", 8);
    raw_get(&raw, 3, "/"); /* sent before the client saw it */
    RAW_UNTIL(&raw, seen_log.num_requests == 2);
    assert_true(raw_find(&raw, 0, PING, 0, &frame));
    raw_frame(&raw, PING, ACK, 0, frame.payload, 8);
    RAW_UNTIL(&raw, raw_count(&raw, GOAWAY, 0) == 2);
    raw_get(&raw, 5, "/"); /* ignored */
    for (int i = 0; i < 10; i++)
        raw_turn(&raw);
    assert_int_equal(seen_log.num_requests, 2);
    assert_false(raw.is_eof);
    seen_say_hello(seen_at(0));
    seen_say_hello(seen_at(1));
    RAW_UNTIL(&raw, raw.is_eof);
    assert_true(raw_is_ended(&raw, 1) && raw_is_ended(&raw, 3));
    assert_int_equal(seen_at(1)->why, HT_CLOSE_DONE);
}

static void a_full_connection_drains_itself(void **state)
{
    limits.max_requests_per_conn = 3;
    seen_log.on_request = seen_say_hello;
    raw_hello(&raw);
    for (uint32_t id = 1; id < 7; id += 2)
        raw_get(&raw, id, "/");
    RAW_UNTIL(&raw, raw_count(&raw, GOAWAY, 0) == 1 && raw_is_ended(&raw, 5));
}

static void a_lost_connection_ends_all(void **state)
{
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    raw_post(&raw, 3, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 2);
    close(raw.fd);
    raw.fd = -1;
    for (int i = 0; i < 100 && raw.conn != NULL; i++)
        net_worker_turn(worker, 0);
    assert_null(raw.conn);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_PEER_RESET);
    assert_int_equal(seen_at(1)->why, HT_CLOSE_PEER_RESET);
}

static void close_yourself(struct seen *seen)
{
    ht_server_close(seen->x->conn);
    seen_say_hello(seen); /* verbs on what is ending do nothing */
    ht_exchange_resume(seen->x);
}

static void a_handler_may_close_the_connection(void **state)
{
    seen_log.on_request = close_yourself;
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    raw_get(&raw, 3, "/");
    RAW_UNTIL(&raw, raw.conn == NULL);
    assert_int_equal(seen_log.num_requests, 1);
    assert_int_equal(seen_log.num_closed, 1);
}

static void abort_yourself(struct seen *seen)
{
    ht_exchange_abort(seen->x, 0);
    ht_exchange_abort(seen->x, 0);
    seen_say_hello(seen);
}

static void a_handler_may_abort_at_once(void **state)
{
    seen_log.on_request = abort_yourself;
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(raw_count(&raw, HEADERS, 1), 0);
}

/* ---- clocks ---- */

static uint64_t clock_us;

static void start_clock(void)
{
    clock_us = clock_mono_us();
    clock_fake(clock_us, 1700000000000000);
}

static void sleep_ms(uint64_t ms)
{
    clock_us += ms * 1000;
    clock_fake(clock_us, 1700000000000000 + (int64_t)ms);
    for (int i = 0; i < 3; i++)
        raw_turn(&raw);
}

static void an_idle_connection_is_closed(void **state)
{
    start_clock();
    seen_log.on_request = seen_say_hello;
    raw_hello(&raw);
    sleep_ms(50000);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    sleep_ms(50000);
    assert_int_equal(raw_goaway_code(&raw), -1);
    sleep_ms(26000);
    RAW_UNTIL(&raw, raw.is_eof);
    assert_int_equal(raw_goaway_code(&raw), NGHTTP2_NO_ERROR);
}

static void a_silent_preface_times_out(void **state)
{
    start_clock();
    strbuf_adds(&raw.out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    sleep_ms(1);
    sleep_ms(11000);
    RAW_UNTIL(&raw, raw.is_eof);
}

static void drip_head(const char *fields)
{
    start_clock();
    raw_hello(&raw);
    raw_frame(&raw, HEADERS, END_STREAM, 1, "\x82", 1);
    for (int i = 0; i < 9; i++) {
        sleep_ms(1000);
        raw_frame(&raw, CONTINUATION, 0, 1, fields + i, 1);
    }
    assert_false(raw.is_eof);
    sleep_ms(2000);
    RAW_UNTIL(&raw, raw.is_eof);
}

static void a_slow_head_times_out(void **state)
{
    drip_head("\x86\x84\x90\x90\x90\x90\x90\x90\x90"); /* then accept-encoding again and again */
}

static void a_slow_malformed_head_times_out(void **state)
{
    drip_head("\x86\x86\x86\x86\x86\x86\x86\x86\x86");
}

static void after_an_early_answer_silence_is_stopped(void **state)
{
    start_clock();
    post_part("1000", 10);
    sleep_ms(4000);
    assert_int_equal(raw_reset_code(&raw, 1), -1);
    sleep_ms(2000);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_NO_ERROR);
}

static void a_slow_body_is_answered_408(void **state)
{
    start_clock();
    raw_hello(&raw);
    raw_post(&raw, 1, "/");
    raw_frame(&raw, DATA, 0, 1, "abc", 3);
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    ht_exchange_resume(seen_at(0)->x);
    RAW_UNTIL(&raw, seen_at(0)->body.len == 3);
    sleep_ms(59000);
    assert_false(seen_at(0)->is_closed);
    sleep_ms(2000);
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_true(has_line(1, 0, ":status: 408\n"));
    assert_int_equal(seen_at(0)->why, HT_CLOSE_TIMEOUT_BODY);
    assert_false(raw.is_eof);
}

static void a_reader_that_stops_times_out(void **state)
{
    start_clock();
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    ht_exchange_head(seen_at(0)->x, 200, NULL, -1);
    write_until_full(seen_at(0));
    RAW_UNTIL(&raw, seen_at(0)->num_writable == 1);
    write_until_full(seen_at(0));
    sleep_ms(59000);
    assert_false(seen_at(0)->is_closed);
    sleep_ms(2000);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_CANCEL);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_TIMEOUT_WRITE);
}

static void a_long_stream_without_traffic_lives_on(void **state)
{
    struct iovec iov = {"x", 1};

    start_clock();
    raw_hello(&raw);
    raw_post(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    ht_exchange_resume(seen_at(0)->x);
    ht_exchange_head(seen_at(0)->x, 200, NULL, -1);
    ht_exchange_body(seen_at(0)->x, &iov, 1);
    RAW_UNTIL(&raw, raw_data_len(&raw, 1) == 1);
    for (int i = 0; i < 20; i++)
        sleep_ms(30000);
    assert_false(seen_at(0)->is_closed);
    assert_false(raw.is_eof);
}

static void a_request_has_its_time_however_it_drips(void **state)
{
    limits.request_timeout_ms = 5000;
    start_clock();
    raw_hello(&raw);
    raw_post(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    ht_exchange_resume(seen_at(0)->x);
    for (size_t i = 1; i < 5; i++) {
        sleep_ms(1000);
        raw_frame(&raw, DATA, 0, 1, "a", 1);
        RAW_UNTIL(&raw, seen_at(0)->body.len == i);
    }
    assert_false(seen_at(0)->is_closed);
    sleep_ms(1001);
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_true(has_line(1, 0, ":status: 408\n"));
    assert_int_equal(seen_at(0)->why, HT_CLOSE_TIMEOUT_BODY);
    assert_false(raw.is_eof);
}

static void a_request_nobody_reads_has_its_time_too(void **state)
{
    limits.request_timeout_ms = 5000;
    start_clock();
    raw_hello(&raw);
    raw_post(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    sleep_ms(5001);
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_true(has_line(1, 0, ":status: 408\n"));
}

static void a_request_that_is_whole_or_answered_has_no_clock(void **state)
{
    limits.request_timeout_ms = 5000;
    start_clock();
    raw_hello(&raw);
    raw_get(&raw, 1, "/");
    raw_post(&raw, 3, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 2);
    ht_exchange_head(seen_at(1)->x, 200, NULL, -1);
    sleep_ms(60 * 1000);
    assert_false(seen_at(0)->is_closed || seen_at(1)->is_closed);
}

static void a_stream_that_stands_still_is_ended_alone(void **state)
{
    struct iovec iov = {"x", 1};

    limits.stream_idle_timeout_ms = 5000;
    start_clock();
    raw_hello(&raw);
    raw_get(&raw, 1, "/"); /* no answer */
    raw_get(&raw, 3, "/"); /* an answer that stops */
    raw_get(&raw, 5, "/"); /* one that goes on */
    RAW_UNTIL(&raw, seen_log.num_requests == 3);
    ht_exchange_head(seen_at(1)->x, 200, NULL, -1);
    ht_exchange_head(seen_at(2)->x, 200, NULL, -1);
    for (size_t i = 1; i <= 2; i++) {
        sleep_ms(2600);
        ht_exchange_body(seen_at(2)->x, &iov, 1);
        RAW_UNTIL(&raw, raw_data_len(&raw, 5) == i);
    }
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1) && raw_reset_code(&raw, 3) == NGHTTP2_CANCEL);
    assert_true(has_line(1, 0, ":status: 408\n"));
    assert_int_equal(seen_at(0)->why, HT_CLOSE_TIMEOUT_IDLE);
    assert_int_equal(seen_at(1)->why, HT_CLOSE_TIMEOUT_IDLE);
    assert_false(seen_at(2)->is_closed || raw.is_eof);
}

static void a_tunnel_that_stands_still_is_cut(void **state)
{
    struct strbuf block = STRBUF_INIT;
    struct iovec iov = {"x", 1};

    limits.tunnel_idle_timeout_ms = 5000;
    start_clock();
    raw_hello(&raw);
    raw_fields(&block, ":method", "CONNECT", ":authority", "db.example:5432", NULL);
    raw_frame(&raw, HEADERS, END_HEADERS, 1, block.base, block.len);
    strbuf_clear(&block);
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    ht_exchange_head(seen_at(0)->x, 101, NULL, -1);
    ht_exchange_resume(seen_at(0)->x);
    for (size_t i = 1; i <= 3; i++) {
        sleep_ms(4000);
        if (i % 2 != 0)
            raw_frame(&raw, DATA, 0, 1, "a", 1);
        else
            ht_exchange_body(seen_at(0)->x, &iov, 1);
        RAW_UNTIL(&raw, seen_at(0)->body.len + raw_data_len(&raw, 1) == i);
    }
    assert_false(seen_at(0)->is_closed);
    sleep_ms(5001);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_CANCEL);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_TIMEOUT_IDLE);
    assert_false(raw.is_eof);
}

/* ---- windows ---- */

static uint32_t setting_of(uint16_t id)
{
    struct raw_frame frame = {.end = 0};

    assert_true(raw_find(&raw, 0, SETTINGS, 0, &frame));
    for (uint32_t at = 0; at + 6 <= frame.len; at += 6) {
        const uint8_t *entry = frame.payload + at;
        if ((entry[0] << 8 | entry[1]) == id)
            return (uint32_t)entry[2] << 24 | (uint32_t)entry[3] << 16 | (uint32_t)entry[4] << 8 | entry[5];
    }
    return 0;
}

static void windows_are_as_the_limits_say(void **state)
{
    struct raw_frame frame = {.end = 0};

    limits.stream_window = 100000;
    limits.conn_window = 65535 + 70000;
    raw_hello(&raw);
    assert_int_equal(setting_of(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE), 100000);
    RAW_UNTIL(&raw, raw_find(&raw, 0, WINDOW_UPDATE, 0, &frame));
    assert_int_equal(frame.payload[0] << 24 | frame.payload[1] << 16 | frame.payload[2] << 8 | frame.payload[3], 70000);
}

static void without_limits_windows_are_ours(void **state)
{
    struct raw_frame frame = {.end = 0};

    raw_hello(&raw);
    assert_int_equal(setting_of(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE), 0);
    RAW_UNTIL(&raw, raw_find(&raw, 0, WINDOW_UPDATE, 0, &frame));
    assert_int_equal(65535 + (frame.payload[1] << 16 | frame.payload[2] << 8 | frame.payload[3]), HT_CONN_WINDOW);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(answers_a_get),
        T(an_empty_answer_is_one_frame),
        T(trailers_go_out_without_a_body),
        T(request_bodies_and_trailers_come_in),
        T(the_end_of_a_body_waits_until_it_was_taken),
        T(cookie_crumbs_are_joined),
        T(fields_of_the_connection_do_not_pass),
        T(expecting_clients_are_told_to_continue),
        T(interim_answers_go_first),
        T(head_has_a_length_and_no_body),
        T(after_an_early_answer_a_short_rest_is_swallowed),
        T(after_an_early_answer_a_long_rest_is_stopped),
        T(after_an_early_answer_a_rest_of_unknown_length_is_stopped),
        T(after_an_early_answer_silence_is_stopped),
        T(too_few_bytes_are_an_abort),
        T(an_abort_names_its_code),
        T(a_client_reset_ends_the_exchange),
        T(extended_connect_becomes_a_tunnel),
        T(connect_has_an_authority_for_target),
        T(malformed_heads_are_reset),
        T(bodies_must_be_as_long_as_announced),
        T(limits_are_answered),
        T(a_body_over_the_limit_is_cut_off),
        T(a_stuck_stream_keeps_its_own_window_only),
        T(a_client_beyond_its_window_is_cut_off),
        T(senders_are_told_to_stop_and_to_go_on),
        T(closed_windows_bound_memory),
        T(a_blocked_socket_blocks_the_senders),
        T(rapid_resets_end_the_connection),
        T(slower_resets_end_it_too),
        T(provoked_resets_end_the_connection),
        T(malformed_requests_without_end_end_the_connection),
        T(ping_flood_ends_it),
        T(settings_flood_ends_it),
        T(settings_ack_flood_ends_it),
        T(priority_flood_ends_it),
        T(empty_data_flood_ends_it),
        T(padding_flood_ends_it),
        T(unknown_frame_flood_ends_it),
        T(window_update_flood_ends_it),
        T(continuation_flood_ends_it),
        T(acks_nobody_reads_do_not_pile_up),
        T(a_dribbling_window_ends_the_connection),
        T(violations_end_the_connection),
        T(frames_over_the_size_limit_end_the_connection),
        T(header_bombs_are_defused),
        T(streams_over_the_limit_are_refused),
        T(a_worker_short_of_memory_refuses_streams),
        T(an_honest_busy_client_is_left_alone),
        T(drain_says_goaway_twice),
        T(a_full_connection_drains_itself),
        T(a_lost_connection_ends_all),
        T(a_handler_may_close_the_connection),
        T(a_handler_may_abort_at_once),
        T(an_idle_connection_is_closed),
        T(a_silent_preface_times_out),
        T(a_slow_head_times_out),
        T(a_slow_malformed_head_times_out),
        T(a_slow_body_is_answered_408),
        T(a_request_has_its_time_however_it_drips),
        T(a_request_nobody_reads_has_its_time_too),
        T(a_request_that_is_whole_or_answered_has_no_clock),
        T(a_stream_that_stands_still_is_ended_alone),
        T(a_tunnel_that_stands_still_is_cut),
        T(windows_are_as_the_limits_say),
        T(without_limits_windows_are_ours),
        T(a_reader_that_stops_times_out),
        T(a_long_stream_without_traffic_lives_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

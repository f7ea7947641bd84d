/* What an HTTP/2 server refuses: malformed messages and floods. Clients that are too slow: http2_server_clocks_test.c. */
#include "tests/unit/lib/http2_server_fixture.h"

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

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(malformed_heads_are_reset),
        T(bodies_must_be_as_long_as_announced),
        T(limits_are_answered),
        T(a_body_over_the_limit_is_cut_off),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

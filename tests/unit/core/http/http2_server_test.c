/* Requests and responses over HTTP/2: bodies, trailers, tunnels, back-pressure, windows, the connection's life. */
#include "tests/unit/lib/http2_server_fixture.h"

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
               "x-y", "z", "cookie", "b=2", "cookie", "", "cookie", "c=3", "cookie", "", NULL);
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
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    assert_int_equal(raw_reset_code(&raw, 1), -1); /* not in the same read: the answer would be lost on some */
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
        T(too_few_bytes_are_an_abort),
        T(an_abort_names_its_code),
        T(a_client_reset_ends_the_exchange),
        T(extended_connect_becomes_a_tunnel),
        T(connect_has_an_authority_for_target),
        T(a_stuck_stream_keeps_its_own_window_only),
        T(a_client_beyond_its_window_is_cut_off),
        T(senders_are_told_to_stop_and_to_go_on),
        T(closed_windows_bound_memory),
        T(a_blocked_socket_blocks_the_senders),
        T(drain_says_goaway_twice),
        T(a_full_connection_drains_itself),
        T(a_lost_connection_ends_all),
        T(a_handler_may_close_the_connection),
        T(a_handler_may_abort_at_once),
        T(windows_are_as_the_limits_say),
        T(without_limits_windows_are_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

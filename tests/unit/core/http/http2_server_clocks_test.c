/* The clocks of the HTTP/2 server: who is silent, slow or stands still, and who may be. */
#include "tests/unit/lib/http2_server_fixture.h"

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

/* What it says meanwhile is not what we wait for. */
static void a_client_that_talks_and_does_not_read_is_cut_off(void **state)
{
    start_clock();
    raw_hello(&raw);
    u32_frame(WINDOW_UPDATE, 0, 0x70000000);
    raw_get(&raw, 1, "/");
    RAW_UNTIL(&raw, seen_log.num_requests == 1);
    u32_frame(WINDOW_UPDATE, 1, 0x70000000);
    raw.reads_nothing = true;
    ht_exchange_head(seen_at(0)->x, 200, NULL, -1);
    for (int i = 0; i < 200; i++) { /* until the socket takes no more */
        write_until_full(seen_at(0));
        raw_turn(&raw);
    }
    for (int i = 0; i < 5 && raw.conn != NULL; i++) {
        sleep_ms(30000);
        u32_frame(WINDOW_UPDATE, 0, 1);
        raw_turn(&raw);
    }
    assert_null(raw.conn);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_TIMEOUT_WRITE);
}

/* 2 SETTINGS a second fade, also for who sends other things in between. */
static void what_is_seldom_is_forgiven_however_often_it_is_looked_at(void **state)
{
    uint8_t ping[8] = {0};

    limits.idle_timeout_ms = 0;
    start_clock();
    raw_hello(&raw);
    for (int i = 0; i < 1000; i++) {
        if (i % 4 == 0)
            raw_frame(&raw, SETTINGS, 0, 0, NULL, 0);
        raw_frame(&raw, PING, ACK, 0, ping, sizeof(ping));
        sleep_ms(120);
    }
    assert_false(raw.is_eof);
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

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(after_an_early_answer_silence_is_stopped),
        T(what_is_seldom_is_forgiven_however_often_it_is_looked_at),
        T(an_idle_connection_is_closed),
        T(a_silent_preface_times_out),
        T(a_client_that_talks_and_does_not_read_is_cut_off),
        T(a_slow_head_times_out),
        T(a_slow_malformed_head_times_out),
        T(a_slow_body_is_answered_408),
        T(a_request_has_its_time_however_it_drips),
        T(a_request_nobody_reads_has_its_time_too),
        T(a_request_that_is_whole_or_answered_has_no_clock),
        T(a_stream_that_stands_still_is_ended_alone),
        T(a_tunnel_that_stands_still_is_cut),
        T(a_reader_that_stops_times_out),
        T(a_long_stream_without_traffic_lives_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

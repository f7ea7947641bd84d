/* What an HTTP/1 server refuses, and how connections end: early answers, clients that leave, clocks. */
#include "tests/unit/lib/http1_server_fixture.h"

/* ---- refusals ---- */

static void bad_heads_are_answered_reported_and_closed(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
    } cases[] = {
        {"GET / HTTP/1.1\nHost: a\n\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET /\r\n\r\n", 400},
        {"\x16\x03\x01", 400},
        {"\nGET / HTTP/1.1\r\n" H "\r\n", 400},
        {"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 400},
        {"GET / HTTP/2.0\r\n" H "\r\n", 505},
        {"TRACE / HTTP/1.1\r\n" H "\r\n", 405},
        {"POST / HTTP/1.1\r\n" H "Expect: tea\r\n\r\n", 417},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    };
    char want[32];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (i != 0) {
            teardown(state);
            setup(state);
        }
        const char *got = talk(cases[i].text);
        snprintf(want, sizeof(want), "HTTP/1.1 %u ", cases[i].status);
        assert_has(got, want);
        assert_has(got, "connection: close\r\n");
        assert_true(w->is_eof);
        assert_int_equal(w->num_bad, 1);
        assert_int_equal(w->bad_status, cases[i].status);
        assert_int_equal(w->num_requests, 0);
        assert_int_equal(count(got, "HTTP/1.1 "), 1);
    }
}

static void check_refused(const char *head, size_t filler, const char *tail, unsigned status)
{
    struct strbuf text = STRBUF_INIT;

    strbuf_adds(&text, head);
    memset(strbuf_reserve(&text, filler), 'a', filler);
    text.len += filler;
    strbuf_adds(&text, tail);
    talk(text.base);
    assert_int_equal(w->bad_status, status);
    assert_int_equal(w->num_requests, 0);
    assert_true(w->is_eof);
    strbuf_clear(&text);
}

static void a_long_target_is_414(void **state)
{
    check_refused("GET /", 100 * 1000, "", 414);
}

static void a_long_header_is_431(void **state)
{
    check_refused("GET / HTTP/1.1\r\n" H "X: ", 64 * 1024, "", 431);
}

static void a_megabyte_header_is_431(void **state)
{
    check_refused("GET / HTTP/1.1\r\n" H "X: ", 1024 * 1024, "\r\n\r\n", 431);
}

static void many_headers_are_431(void **state)
{
    struct strbuf text = STRBUF_INIT;

    for (int i = 0; i < 101; i++)
        strbuf_addf(&text, "X%d: y\r\n", i);
    check_refused("GET / HTTP/1.1\r\n", 0, text.base, 431); /* not even whole */
    strbuf_clear(&text);
}

static void a_hundred_headers_pass(void **state)
{
    struct strbuf text = STRBUF_INIT;

    strbuf_adds(&text, "GET /hello HTTP/1.1\r\n" H);
    for (int i = 0; i < 99; i++)
        strbuf_addf(&text, "X%d: y\r\n", i);
    strbuf_adds(&text, "\r\n");
    assert_has(talk(text.base), "200 OK");
    strbuf_clear(&text);
}

static void an_announced_long_body_is_413(void **state)
{
    w->limits.max_body_bytes = 10;
    talk("POST /post HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\n");
    assert_int_equal(w->bad_status, 413);
    assert_int_equal(w->num_requests, 0);
}

static void a_streamed_long_body_is_413(void **state)
{
    w->limits.max_body_bytes = 10;
    const char *got = talk("POST /post HTTP/1.1\r\n" H
                           "Transfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n12345\r\n0\r\n\r\n");
    assert_has(got, "HTTP/1.1 413 ");
    assert_int_equal(w->why, HT_CLOSE_TOO_LARGE);
    assert_true(w->is_eof);
}

static void a_bad_chunk_is_400_and_the_end(void **state)
{
    const char *got =
        talk("POST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n"
             "GET /hello HTTP/1.1\r\n" H "\r\n");
    assert_has(got, "HTTP/1.1 400 ");
    assert_int_equal(count(got, "HTTP/1.1 "), 1);
    assert_int_equal(w->why, HT_CLOSE_PROTOCOL);
    assert_int_equal(w->num_requests, 1);
    assert_true(w->is_eof);
}

static void a_bad_chunk_after_the_head_only_closes(void **state)
{
    const char *got = talk("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX");
    assert_lacks(got, "400");
    assert_lacks(got, "0\r\n\r\n");
    assert_int_equal(w->why, HT_CLOSE_PROTOCOL);
    assert_true(w->is_eof);
}

static void long_trailers_are_refused(void **state)
{
    struct strbuf text = STRBUF_INIT;

    strbuf_adds(&text, "POST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nX: ");
    memset(strbuf_reserve(&text, 9000), 'a', 9000);
    text.len += 9000;
    strbuf_addc(&text, 'b');
    assert_has(talk(text.base), "HTTP/1.1 431 ");
    strbuf_clear(&text);
}

/* ---- early answers ---- */

static void the_rest_of_a_small_body_is_swallowed(void **state)
{
    talk("POST /hello HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
    assert_has(w->got.base, "hello");
    assert_int_equal(w->num_closed, 1);
    assert_has(talk("defghijGET /hello HTTP/1.1\r\n" H "\r\n"), "hello");
    talk("POST /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_has(talk("0\r\nX: y\r\n\r\nGET /hello HTTP/1.1\r\n" H "\r\n"), "hello");
    assert_int_equal(w->num_closed, 4);
    assert_false(w->is_eof);
}

/* Where the swallowed trailers ended says nothing about the next head: neither where its lines are looked for, nor how many
 * fields they are. */
static void a_head_behind_swallowed_trailers_is_read_from_its_start(void **state)
{
    static const char request[] = "POST /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    static const char rest[] = "0\r\nA: 1\r\nB: 22222222222222222222222222222222222222222222222222222222222222222222\r\n\r\n";
    struct strbuf many = STRBUF_INIT;

    talk(request);
    talk(rest);
    talk("G");
    assert_has(talk("ET /hello HTTP/1.1\r\n" H "\r\n"), "hello");
    talk(request);
    strbuf_adds(&many, rest);
    strbuf_adds(&many, "GET /hello HTTP/1.1\r\n" H);
    for (int i = 0; i < 20; i++)
        strbuf_addf(&many, "%c:\r\n", 'a' + i);
    strbuf_adds(&many, "\r\n");
    assert_has(talk_n(many.base, many.len), "hello");
    strbuf_clear(&many);
}

static void a_large_rest_closes(void **state)
{
    talk("POST /hello HTTP/1.1\r\n" H "Content-Length: 10000000\r\n\r\nabc");
    assert_has(w->got.base, "hello");
    assert_true(w->is_eof);
}

static void an_endless_rest_closes(void **state)
{
    static char block[65536];

    talk("POST /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n");
    assert_false(w->is_eof);
    for (int i = 0; i < 6; i++)
        talk_n(block, sizeof(block));
    assert_true(w->is_eof);
    assert_int_equal(w->why, HT_CLOSE_DONE);
}

static void a_bad_rest_closes(void **state)
{
    talk("POST /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX");
    assert_int_equal(count(w->got.base, "HTTP/1.1 "), 1);
    assert_has(w->got.base, "hello");
    assert_int_equal(w->why, HT_CLOSE_DONE);
    assert_true(w->is_eof);
}

/* ---- ends ---- */

static void a_client_gone_in_the_body_is_a_reset(void **state)
{
    talk("POST /post HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
    shutdown(w->peer, SHUT_WR);
    talk("");
    assert_int_equal(w->why, HT_CLOSE_PEER_RESET);
    assert_int_equal(w->num_conn_closed, 1);
}

static void a_client_gone_before_its_body_is_wanted_is_seen_then(void **state)
{
    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
    shutdown(w->peer, SHUT_WR);
    talk("");
    assert_int_equal(w->num_closed, 0);
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "abc");
    assert_int_equal(w->why, HT_CLOSE_PEER_RESET);
}

static void a_half_closed_client_gets_its_answers(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");
    shutdown(w->peer, SHUT_WR);
    talk("");
    answer(w->x, 200, "late");
    talk("");
    assert_has(w->got.base, "late");
    assert_has(w->got.base, "hello");
    assert_true(w->is_eof);
    assert_int_equal(w->num_conn_closed, 1);
}

static void an_aborted_answer_is_cut_off(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, &(struct iovec){"abc", 3}, 1);
    talk("");
    ht_exchange_abort(w->x, 0);
    talk("");
    assert_string_equal(w->got.base, "");
    assert_true(w->is_eof);
    assert_int_equal(w->why, HT_CLOSE_ABORTED);
}

static void too_few_bytes_are_an_abort(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, 10);
    ht_exchange_body(w->x, &(struct iovec){"abc", 3}, 1);
    ht_exchange_end(w->x, NULL);
    talk("");
    assert_int_equal(w->why, HT_CLOSE_ABORTED);
    assert_true(w->is_eof);
}

static void too_many_bytes_are_an_abort(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, 2);
    ht_exchange_body(w->x, &(struct iovec){"abc", 3}, 1);
    talk("");
    assert_int_equal(w->why, HT_CLOSE_ABORTED);
    assert_lacks(w->got.base, "abc");
}

static void the_handler_may_close_in_any_callback(void **state)
{
    talk("GET /close HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(w->why, HT_CLOSE_ABORTED);
    assert_int_equal(w->num_conn_closed, 1);
    teardown(state);
    setup(state);
    w->close_in_body = true;
    talk("POST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_int_equal(w->num_closed, 1);
    assert_int_equal(w->num_conn_closed, 1);
}

static void draining_closes_idle_connections_and_says_so_on_busy_ones(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_server_drain(w->conn);
    talk("");
    assert_false(w->is_eof);
    answer(w->x, 200, "late");
    talk("");
    assert_has(w->got.base, "connection: close\r\n");
    assert_has(w->got.base, "late");
    assert_true(w->is_eof);
    teardown(state);
    setup(state);
    talk("GET /hello HTTP/1.1\r\n" H "\r\n");
    ht_server_drain(w->conn);
    talk("");
    assert_true(w->is_eof);
}

static void draining_answers_what_a_new_client_is_about_to_ask(void **state)
{
    ht_server_drain(w->conn);
    assert_has(talk("GET /hello HTTP/1.1\r\n" H "\r\n"), "connection: close\r\n");
    assert_has(w->got.base, "hello");
    assert_true(w->is_eof);
}

static void connections_end_after_their_share(void **state)
{
    w->limits.max_requests_per_conn = 2;
    assert_lacks(talk("GET /hello HTTP/1.1\r\n" H "\r\n"), "connection:");
    assert_has(talk("GET /hello HTTP/1.1\r\n" H "\r\n"), "connection: close\r\n");
    assert_true(w->is_eof);
}

static void connection_close_is_obeyed(void **state)
{
    const char *got =
        talk("GET /hello HTTP/1.1\r\nConnection: close\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");

    assert_int_equal(count(got, "HTTP/1.1 200"), 1);
    assert_has(got, "connection: close\r\n");
    assert_true(w->is_eof);
    assert_int_equal(w->num_requests, 1);
}

/* ---- clocks ---- */

static uint64_t fake_ms;

static void start_clock(void)
{
    fake_ms = clock_mono_ms();
    clock_fake(fake_ms * 1000, 1700000000000000);
    turns();
}

static void pass(unsigned ms)
{
    fake_ms += ms;
    clock_fake(fake_ms * 1000, 1700000000000000 + (int64_t)fake_ms * 1000);
    turns();
}

static void a_dripping_head_is_408_at_its_deadline(void **state)
{
    start_clock();
    talk("GET /hello HTTP/1.1\r\n" H);
    for (int i = 0; i < 9; i++) {
        pass(1000);
        assert_string_equal(talk("X: y\r\n"), "");
    }
    pass(1001);
    assert_has(talk(""), "HTTP/1.1 408 ");
    assert_true(w->is_eof);
    assert_int_equal(w->bad_status, 408);
}

static void a_silent_connection_is_closed(void **state)
{
    start_clock();
    pass(9000);
    talk("");
    assert_false(w->is_eof);
    pass(1001);
    talk("");
    assert_true(w->is_eof);
    assert_int_equal(w->got.len, 0);
}

static void an_idle_connection_is_closed(void **state)
{
    start_clock();
    talk("GET /hello HTTP/1.1\r\n" H "\r\n");
    for (int i = 0; i < 3; i++) {
        pass(74 * 1000);
        assert_has(talk("GET /hello HTTP/1.1\r\n" H "\r\n"), "hello");
    }
    pass(75 * 1000 + 1);
    talk("");
    assert_true(w->is_eof);
    assert_int_equal(w->num_bad, 0);
}

static void a_stalled_body_is_408(void **state)
{
    start_clock();
    talk("POST /post HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nab");
    pass(59 * 1000);
    talk("c");
    pass(59 * 1000);
    talk("");
    assert_int_equal(w->num_closed, 0);
    pass(1001);
    assert_has(talk(""), "HTTP/1.1 408 ");
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_BODY);
    assert_true(w->is_eof);
}

static void a_body_nobody_asks_for_has_no_clock(void **state)
{
    start_clock();
    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nab");
    pass(3600 * 1000);
    talk("");
    assert_int_equal(w->num_closed, 0);
    answer(w->x, 200, "x");
    assert_has(talk(""), "200 OK");
}

static void a_request_has_its_time_however_it_drips(void **state)
{
    w->limits.request_timeout_ms = 5000;
    start_clock();
    talk("POST /post HTTP/1.1\r\n" H);
    pass(1500);
    talk("Content-Length: 100\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        pass(1000);
        assert_string_equal(talk("a"), "");
    }
    pass(501);
    assert_has(talk(""), "HTTP/1.1 408 ");
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_BODY);
    assert_true(w->is_eof);
}

static void a_request_nobody_reads_has_its_time_too(void **state)
{
    w->limits.request_timeout_ms = 5000;
    start_clock();
    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 100\r\n\r\nab");
    pass(5001);
    assert_has(talk(""), "HTTP/1.1 408 ");
}

static void a_request_that_is_whole_or_answered_has_no_clock(void **state)
{
    w->limits.request_timeout_ms = 5000;
    start_clock();
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    pass(3600 * 1000);
    answer(w->x, 200, "late");
    assert_has(talk(""), "late");
    assert_has(talk("POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nab"), "200 OK");
    pass(50 * 1000);
    assert_has(talk("cd"), "cd");
    assert_int_equal(w->why, HT_CLOSE_DONE);
}

static void an_exchange_that_stands_still_is_ended(void **state)
{
    w->limits.stream_idle_timeout_ms = 5000;
    start_clock();
    talk("GET /hello HTTP/1.1\r\n" H "\r\n");
    pass(60 * 1000); /* between requests it is the other clock */
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    pass(4999);
    assert_int_equal(w->num_closed, 1);
    pass(2);
    assert_has(talk(""), "HTTP/1.1 408 ");
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_IDLE);
    assert_true(w->is_eof);
}

static void what_moves_in_either_direction_goes_on(void **state)
{
    struct iovec iov = {"x", 1};

    w->limits.stream_idle_timeout_ms = 5000;
    start_clock();
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    for (int i = 0; i < 4; i++) {
        ht_exchange_body(w->x, &iov, 1);
        talk("");
        pass(4000);
    }
    assert_int_equal(w->num_closed, 0);
    pass(1001);
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_IDLE);
}

static void a_tunnel_that_stands_still_is_ended(void **state)
{
    w->limits.tunnel_idle_timeout_ms = 5000;
    start_clock();
    talk("GET /late HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    ht_exchange_head(w->x, 101, NULL, -1);
    ht_exchange_resume(w->x);
    talk("");
    for (int i = 0; i < 3; i++) {
        pass(4000);
        talk("ping");
    }
    assert_int_equal(w->num_closed, 0);
    pass(5001);
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_IDLE);
}

static void a_reader_that_stops_is_cut_off(void **state)
{
    static char block[65536];
    struct iovec iov = {block, sizeof(block)};

    start_clock();
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    while (ht_exchange_body(w->x, &iov, 1))
        ;
    turns();
    pass(59 * 1000);
    assert_int_equal(w->num_closed, 0);
    pass(1001);
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_WRITE);
}

static void an_undrained_body_has_an_absolute_clock(void **state)
{
    start_clock();
    talk("POST /hello HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        pass(1000);
        talk("a");
    }
    assert_false(w->is_eof);
    pass(1001);
    talk("");
    assert_true(w->is_eof);
}

static void a_running_exchange_has_no_idle_clock(void **state)
{
    start_clock();
    talk("GET /hello HTTP/1.1\r\n" H "\r\n");
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    pass(3600 * 1000);
    assert_int_equal(w->num_closed, 1);
    answer(w->x, 200, "late");
    assert_has(talk(""), "late");
    assert_false(w->is_eof);
    pass(76 * 1000);
    talk("");
    assert_true(w->is_eof);
}

static void a_half_closed_client_is_not_waited_for_for_ever(void **state)
{
    start_clock();
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    talk("");
    shutdown(w->peer, SHUT_WR);
    talk("");
    pass(59 * 1000);
    ht_exchange_body(w->x, &(struct iovec){"abc", 3}, 1);
    talk("");
    pass(59 * 1000);
    assert_int_equal(w->num_closed, 0);
    pass(1001);
    assert_int_equal(w->num_closed, 1);
    assert_int_equal(w->why, HT_CLOSE_PEER_RESET);
}

static void an_http2_preface_cut_short_is_closed(void **state)
{
    start_clock();
    talk("PRI * HTTP/2.0\r\n");
    pass(10 * 1000 + 1);
    talk("");
    assert_true(w->is_eof);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bad_heads_are_answered_reported_and_closed),
        TEST(a_long_target_is_414),
        TEST(a_long_header_is_431),
        TEST(a_megabyte_header_is_431),
        TEST(many_headers_are_431),
        TEST(a_hundred_headers_pass),
        TEST(an_announced_long_body_is_413),
        TEST(a_streamed_long_body_is_413),
        TEST(a_bad_chunk_is_400_and_the_end),
        TEST(a_bad_chunk_after_the_head_only_closes),
        TEST(long_trailers_are_refused),
        TEST(the_rest_of_a_small_body_is_swallowed),
        TEST(a_head_behind_swallowed_trailers_is_read_from_its_start),
        TEST(a_large_rest_closes),
        TEST(an_endless_rest_closes),
        TEST(a_bad_rest_closes),
        TEST(a_client_gone_in_the_body_is_a_reset),
        TEST(a_client_gone_before_its_body_is_wanted_is_seen_then),
        TEST(a_half_closed_client_gets_its_answers),
        TEST(an_aborted_answer_is_cut_off),
        TEST(too_few_bytes_are_an_abort),
        TEST(too_many_bytes_are_an_abort),
        TEST(the_handler_may_close_in_any_callback),
        TEST(draining_closes_idle_connections_and_says_so_on_busy_ones),
        TEST(draining_answers_what_a_new_client_is_about_to_ask),
        TEST(connections_end_after_their_share),
        TEST(connection_close_is_obeyed),
        TEST(a_dripping_head_is_408_at_its_deadline),
        TEST(a_silent_connection_is_closed),
        TEST(an_idle_connection_is_closed),
        TEST(a_stalled_body_is_408),
        TEST(a_request_has_its_time_however_it_drips),
        TEST(a_request_nobody_reads_has_its_time_too),
        TEST(a_request_that_is_whole_or_answered_has_no_clock),
        TEST(an_exchange_that_stands_still_is_ended),
        TEST(what_moves_in_either_direction_goes_on),
        TEST(a_tunnel_that_stands_still_is_ended),
        TEST(a_body_nobody_asks_for_has_no_clock),
        TEST(a_reader_that_stops_is_cut_off),
        TEST(an_undrained_body_has_an_absolute_clock),
        TEST(a_running_exchange_has_no_idle_clock),
        TEST(a_half_closed_client_is_not_waited_for_for_ever),
        TEST(an_http2_preface_cut_short_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

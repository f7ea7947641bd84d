/* Requests and responses over HTTP/1: framing, Expect, back-pressure, tunnels. */
#include "tests/unit/lib/http1_server_fixture.h"

/* ---- requests and responses ---- */

static void a_request_gets_its_answer_and_the_connection_stays(void **state)
{
    const char *got = talk("GET /hello HTTP/1.1\r\n" H "\r\n");

    assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
    assert_has(got, "\r\ndate: ");
    assert_has(got, " GMT\r\n");
    assert_has(got, "content-length: 5\r\n");
    assert_has(got, "\r\n\r\nhello");
    assert_lacks(got, "connection:");
    assert_int_equal(w->why, HT_CLOSE_DONE);
    got = talk("GET /hello HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(count(got, "HTTP/1.1 200"), 1);
    assert_int_equal(w->num_closed, 2);
    assert_false(w->is_eof);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    const char *got =
        talk("GET /hello HTTP/1.1\r\n" H "\r\nPOST /post HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"
             "GET /204 HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");

    assert_string_equal(w->log.base, "/hello /post end /204 /hello ");
    assert_int_equal(count(got, "HTTP/1.1 2"), 4);
    assert_has(got, "\r\n\r\nhelloHTTP/1.1 200 OK\r\n");
    assert_has(got, "\r\n\r\nabcHTTP/1.1 204 No Content\r\n");
}

static void the_next_request_waits_for_the_running_one(void **state)
{
    const char *got = talk("GET /late HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");

    assert_string_equal(got, "");
    assert_int_equal(w->num_requests, 1);
    answer(w->x, 200, "late");
    got = talk("");
    assert_int_equal(w->num_requests, 2);
    assert_true(strstr(got, "late") < strstr(got, "hello"));
}

static void bytes_one_by_one_make_the_same_request(void **state)
{
    static const char text[] = "\r\nPOST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
                               "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n"
                               "GET /hello HTTP/1.1\r\n" H "\r\n";

    for (size_t i = 0; i < sizeof(text) - 1; i++)
        sends(text + i, 1);
    const char *got = talk("");
    assert_string_equal(w->log.base, "/post end /hello ");
    assert_has(got, "\r\n\r\nhello!HTTP/1.1 200");
    assert_int_equal(w->num_bad, 0);
}

static void trailers_reach_the_handler(void **state)
{
    talk("POST /late HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
    ht_exchange_resume(w->x);
    talk("0\r\nX-Sum: 7\r\nHost: evil\r\n\r\n");
    assert_string_equal(w->log.base, "/late end ");
    assert_int_equal(w->x->trailers.num, 1);
    assert_true(slice_is(w->x->trailers.at[0].value, "7"));
    answer(w->x, 200, "");
}

static void bodies_are_left_out_where_none_may_be(void **state)
{
    const char *got = talk("HEAD /hello HTTP/1.1\r\n" H "\r\n");

    assert_has(got, "content-length: 5\r\n");
    assert_lacks(got, "hello");
    got = talk("GET /204 HTTP/1.1\r\n" H "\r\n");
    assert_lacks(got, "content-length");
    assert_lacks(got, "transfer-encoding");
    got = talk("GET /304 HTTP/1.1\r\n" H "\r\n");
    assert_has(got, "content-length: 2\r\n");
    assert_lacks(got, "\r\n\r\nx");
    got = talk("HEAD /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, &(struct iovec){"zzz", 3}, 1);
    ht_exchange_end(w->x, NULL);
    got = talk("");
    assert_lacks(got, "zzz");
    assert_lacks(got, "transfer-encoding");
    assert_has(talk("GET /hello HTTP/1.1\r\n" H "\r\n"), "hello");
}

static void http10_closes_unless_asked(void **state)
{
    const char *got = talk("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");

    assert_has(got, "connection: keep-alive\r\n");
    assert_false(w->is_eof);
    got = talk("GET /hello HTTP/1.0\r\n\r\n");
    assert_has(got, "connection: close\r\n");
    assert_has(got, "hello");
    assert_true(w->is_eof);
}

static void http10_gets_unknown_lengths_until_close(void **state)
{
    talk("GET /late HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, &(struct iovec){"abc", 3}, 1);
    ht_exchange_end(w->x, NULL);
    const char *got = talk("");
    assert_has(got, "connection: close\r\n");
    assert_lacks(got, "transfer-encoding");
    assert_has(got, "\r\n\r\nabc");
    assert_true(w->is_eof);
}

static void unknown_lengths_are_chunked_with_trailers_where_wanted(void **state)
{
    struct ht_header field = {SLICE("x-sum"), SLICE("7"), NULL};
    struct ht_headers trailers = {&field, 1, 1};
    struct iovec iov[2] = {{"he", 2}, {"llo", 3}};
    const char *got;

    talk("GET /late HTTP/1.1\r\n" H "TE: trailers\r\nConnection: TE\r\n\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, iov, 2);
    ht_exchange_end(w->x, &trailers);
    assert_has(talk(""), "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n");
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, iov, 2);
    got = talk("");
    assert_has(got, "\r\n\r\n5\r\nhello\r\n");
    ht_exchange_end(w->x, &trailers);
    assert_string_equal(talk(""), "0\r\n\r\n");
}

static void a_head_alone_is_flushed(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, NULL, 0);
    assert_has(talk(""), "chunked\r\n\r\n");
    ht_exchange_end(w->x, NULL);
    assert_string_equal(talk(""), "0\r\n\r\n");
}

static void interim_answers_go_to_http11_only(void **state)
{
    struct ht_header field = {SLICE("link"), SLICE("</a>"), NULL};
    struct ht_headers headers = {&field, 1, 1};

    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_info(w->x, 103, &headers);
    assert_string_equal(talk(""), "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    answer(w->x, 200, "");
    talk("GET /late HTTP/1.0\r\n\r\n");
    ht_exchange_info(w->x, 103, &headers);
    assert_string_equal(talk(""), "");
    answer(w->x, 200, "");
    assert_has(talk(""), "200 OK");
}

static void engine_fields_of_the_handler_are_left_out(void **state)
{
    struct ht_headers headers = {NULL, 0, 0};
    h2o_mem_pool_t pool;

    h2o_mem_init_pool(&pool);
    ht_headers_add(&pool, &headers, SLICE("content-length"), SLICE("99"));
    ht_headers_add(&pool, &headers, SLICE("transfer-encoding"), SLICE("gzip"));
    ht_headers_add(&pool, &headers, SLICE("connection"), SLICE("x"));
    ht_headers_add(&pool, &headers, SLICE("date"), SLICE("then"));
    ht_headers_add(&pool, &headers, SLICE("x-a"), SLICE(""));
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, &headers, 0);
    ht_exchange_end(w->x, NULL);
    assert_string_equal(talk(""), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ndate: then\r\nx-a: \r\n\r\n");
    h2o_mem_clear_pool(&pool);
}

/* ---- Expect ---- */

static void continue_is_sent_when_the_body_is_wanted(void **state)
{
    assert_string_equal(talk("POST /late HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
                        "");
    assert_true(w->x->expects_continue);
    ht_exchange_resume(w->x);
    assert_string_equal(talk(""), "HTTP/1.1 100 Continue\r\n\r\n");
    talk("ok");
    assert_string_equal(w->body.base, "ok");
    ht_exchange_resume(w->x);
    answer(w->x, 200, "");
    assert_has(talk(""), "HTTP/1.1 200");
    assert_false(w->is_eof);
}

static void a_final_answer_instead_of_continue_closes(void **state)
{
    talk("POST /hello HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_has(w->got.base, "connection: close\r\n");
    assert_lacks(w->got.base, "100 Continue");
    assert_true(w->is_eof);
}

/* ---- back-pressure ---- */

static void a_body_waits_until_it_is_wanted(void **state)
{
    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 6\r\n\r\nabcdef");
    assert_int_equal(w->body.len, 0);
    w->take = 2;
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "ab");
    talk("");
    assert_string_equal(w->body.base, "ab");
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "abcd");
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "abcdef");
    assert_string_equal(w->log.base, "/late end ");
    answer(w->x, 200, "");
}

static void resuming_inside_on_body_goes_on(void **state)
{
    w->take = 1;
    w->resume_in_body = true;
    talk("POST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n");
    assert_has(w->got.base, "\r\n\r\nabcdef");
}

static void resuming_without_taking_does_not_spin(void **state)
{
    w->take = 0;
    w->resume_in_body = true;
    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc");
    ht_exchange_resume(w->x);
    talk("");
    w->take = 3;
    talk("");
    assert_string_equal(w->body.base, "abc");
    answer(w->x, 200, "");
}

static void an_unwanted_body_stays_with_the_client(void **state)
{
    struct strbuf text = STRBUF_INIT;
    size_t accepted = 0;

    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 100000000\r\n\r\n");
    memset(strbuf_reserve(&text, 65536), 'a', 65536);
    for (int i = 0; i < 200; i++) {
        ssize_t sent = send(w->peer, text.base, 65536, MSG_NOSIGNAL);
        accepted += sent > 0 ? (size_t)sent : 0;
        turns();
    }
    assert_true(accepted < 2 * 1024 * 1024);
    assert_true(w->worker->mem_used <= 160 * 1024);
    strbuf_clear(&text);
}

static void a_slow_reader_stops_the_writer(void **state)
{
    static char block[65536];
    struct iovec iov = {block, sizeof(block)};
    size_t sent = 0;

    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    while (ht_exchange_body(w->x, &iov, 1) && sent < 100)
        ++sent;
    assert_true(sent < 100);
    assert_int_equal(w->num_writable, 0);
    talk("");
    for (int i = 0; i < 20; i++)
        talk("");
    assert_int_equal(w->num_writable, 1);
    ht_exchange_end(w->x, NULL);
    talk("");
    assert_int_equal(w->why, HT_CLOSE_DONE);
}

/* ---- tunnels ---- */

#define UPGRADE                                                                                              \
    "GET /late HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"  \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static void a_websocket_becomes_a_tunnel(void **state)
{
    const char *got;

    talk(UPGRADE "early");
    assert_true(slice_is(w->x->upgrade, "websocket"));
    assert_false(w->x->has_body);
    ht_exchange_head(w->x, 101, NULL, -1);
    ht_exchange_resume(w->x);
    got = talk("");
    assert_has(got, "HTTP/1.1 101 Switching Protocols\r\n");
    assert_has(got, "upgrade: websocket\r\n");
    assert_has(got, "connection: upgrade\r\n");
    assert_has(got, "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    assert_lacks(got, "content-length");
    assert_lacks(got, "chunked");
    assert_string_equal(w->body.base, "early");
    ht_exchange_body(w->x, &(struct iovec){"down", 4}, 1);
    assert_string_equal(talk("up"), "down");
    assert_string_equal(w->body.base, "earlyup");
    shutdown(w->peer, SHUT_WR);
    talk("");
    assert_string_equal(w->log.base, "/late end ");
    assert_int_equal(w->num_closed, 0);
    ht_exchange_body(w->x, &(struct iovec){"bye", 3}, 1);
    ht_exchange_end(w->x, NULL);
    assert_string_equal(talk(""), "bye");
    assert_true(w->is_eof);
    assert_int_equal(w->why, HT_CLOSE_DONE);
    assert_int_equal(w->num_conn_closed, 1);
}

static void a_client_that_ended_before_the_tunnel_has_ended_in_it(void **state)
{
    talk(UPGRADE "early");
    shutdown(w->peer, SHUT_WR);
    talk("");
    ht_exchange_head(w->x, 101, NULL, -1);
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "early");
    assert_string_equal(w->log.base, "/late end ");
    ht_exchange_end(w->x, NULL);
    talk("");
    assert_int_equal(w->num_conn_closed, 1);
}

static void a_client_that_ended_without_a_byte_is_told_too(void **state)
{
    talk(UPGRADE);
    shutdown(w->peer, SHUT_WR);
    talk("");
    ht_exchange_head(w->x, 101, NULL, -1);
    talk("");
    assert_string_equal(w->log.base, "/late "); /* not before it is asked for */
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->log.base, "/late end ");
    ht_exchange_end(w->x, NULL);
}

static void a_tunnel_obeys_back_pressure(void **state)
{
    talk(UPGRADE);
    ht_exchange_head(w->x, 101, NULL, -1);
    talk("abc");
    assert_int_equal(w->body.len, 0);
    w->take = 2;
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "ab");
    shutdown(w->peer, SHUT_WR);
    talk("");
    assert_string_equal(w->log.base, "/late ");
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "abc");
    assert_string_equal(w->log.base, "/late end ");
    ht_exchange_end(w->x, NULL);
}

static void a_refused_upgrade_stays_http(void **state)
{
    talk(UPGRADE "GET /hello HTTP/1.1\r\n" H "\r\n");
    answer(w->x, 403, "no");
    talk("");
    assert_has(w->got.base, "HTTP/1.1 403 ");
    assert_has(w->got.base, "hello");
}

static void a_101_nobody_asked_for_is_an_abort(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
    ht_exchange_head(w->x, 101, NULL, -1);
    talk("");
    assert_string_equal(w->got.base, "");
    assert_true(w->is_eof);
    assert_int_equal(w->why, HT_CLOSE_ABORTED);
}

static void nothing_is_read_behind_a_refused_connect(void **state)
{
    talk("CONNECT b.example:443 HTTP/1.1\r\n" H "\r\nGET /meant-for-the-tunnel HTTP/1.1\r\n" H "\r\n");
    answer(w->x, 405, "no");
    talk("");
    assert_has(w->got.base, "405");
    assert_has(w->got.base, "connection: close\r\n");
    assert_true(w->is_eof);
    assert_int_equal(w->conn->num_requests, 1);
}

static void connect_becomes_a_tunnel_on_success(void **state)
{
    talk("CONNECT b.example:443 HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 101, NULL, -1);
    ht_exchange_resume(w->x);
    talk("raw\r\n\r\n");
    assert_has(w->got.base, "HTTP/1.1 200 OK\r\n");
    assert_lacks(w->got.base, "upgrade");
    assert_lacks(w->got.base, "content-length");
    assert_string_equal(w->body.base, "raw\r\n\r\n");
    ht_exchange_end(w->x, NULL);
    talk("");
    assert_true(w->is_eof);
    shutdown(w->peer, SHUT_WR);
    talk("");
    assert_int_equal(w->why, HT_CLOSE_DONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_gets_its_answer_and_the_connection_stays),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(the_next_request_waits_for_the_running_one),
        TEST(bytes_one_by_one_make_the_same_request),
        TEST(trailers_reach_the_handler),
        TEST(bodies_are_left_out_where_none_may_be),
        TEST(http10_closes_unless_asked),
        TEST(http10_gets_unknown_lengths_until_close),
        TEST(unknown_lengths_are_chunked_with_trailers_where_wanted),
        TEST(a_head_alone_is_flushed),
        TEST(interim_answers_go_to_http11_only),
        TEST(engine_fields_of_the_handler_are_left_out),
        TEST(continue_is_sent_when_the_body_is_wanted),
        TEST(a_final_answer_instead_of_continue_closes),
        TEST(a_body_waits_until_it_is_wanted),
        TEST(resuming_inside_on_body_goes_on),
        TEST(resuming_without_taking_does_not_spin),
        TEST(an_unwanted_body_stays_with_the_client),
        TEST(a_slow_reader_stops_the_writer),
        TEST(a_websocket_becomes_a_tunnel),
        TEST(a_client_that_ended_before_the_tunnel_has_ended_in_it),
        TEST(a_client_that_ended_without_a_byte_is_told_too),
        TEST(a_tunnel_obeys_back_pressure),
        TEST(a_refused_upgrade_stays_http),
        TEST(a_101_nobody_asked_for_is_an_abort),
        TEST(nothing_is_read_behind_a_refused_connect),
        TEST(connect_becomes_a_tunnel_on_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

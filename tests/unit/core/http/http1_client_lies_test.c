/* Upstreams that lie, break off, or say too much. */
#include "tests/unit/lib/http1_client_fixture.h"

static void lies_fail_the_call_and_end_the_connection(void **state)
{
    static const struct {
        const char *text;
        enum ht_fail fail;
        bool had_response;
    } cases[] = {
        {"hello\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"H", HT_FAIL_RESET, false}, /* and hangs up */
        {"HTTP/1.1 200 OK\n\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/2.0 200 OK\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 99 X\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", HT_FAIL_PROTOCOL,
         false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 101 Sure\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 103 E\r\nTransfer-Encoding: chunked\r\n\r\n", HT_FAIL_PROTOCOL, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", HT_FAIL_PROTOCOL, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naX", HT_FAIL_PROTOCOL, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n", HT_FAIL_PROTOCOL,
         true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n", HT_FAIL_PROTOCOL, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n", HT_FAIL_PROTOCOL, true},
        {"", HT_FAIL_RESET, false},
        {"HTTP/1.1 200 OK\r\nContent-Len", HT_FAIL_RESET, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", HT_FAIL_CLOSED_EARLY, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", HT_FAIL_CLOSED_EARLY, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", HT_FAIL_CLOSED_EARLY, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", HT_FAIL_CLOSED_EARLY, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n", HT_FAIL_CLOSED_EARLY, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (i != 0)
            reconnect(state);
        starts(&w->a);
        received();
        says(cases[i].text);
        hangs_up();
        if (w->a.num_fails != 1 || w->a.fail != cases[i].fail ||
            w->a.call.had_response != cases[i].had_response)
            fail_msg("case %zu: %u fails, fail %d (%s): %s", i, w->a.num_fails, (int)w->a.fail,
                     w->a.detail != NULL ? w->a.detail : "", cases[i].text);
        assert_int_equal(w->a.num_ends, 0);
        assert_int_equal(w->num_gone, 1);
        assert_false(w->a.call.is_unsent);
    }
}

static void bytes_behind_the_response_end_the_connection(void **state)
{
    static const char *const cases[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx",
        "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 304 Not Modified\r\n\r\n<html>",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (i != 0)
            reconnect(state);
        starts(&w->a);
        says(cases[i]);
        assert_int_equal(w->a.num_ends, 1);
        assert_int_equal(w->num_gone, 1);
        assert_int_equal(w->num_available, 0);
    }
}

static void junk_while_idle_ends_the_connection(void **state)
{
    says("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    assert_int_equal(w->num_gone, 1);
    reconnect(state);
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    says("x");
    assert_int_equal(w->num_gone, 1);
    assert_int_equal(w->a.num_ends, 1);
}

static void a_close_while_idle_is_noticed(void **state)
{
    hangs_up();
    assert_int_equal(w->num_gone, 1);
    assert_int_equal(w->gone_fail, HT_FAIL_RESET);
}

static void interim_answers_are_counted(void **state)
{
    starts(&w->a);
    for (int i = 0; i < 16; i++)
        says("HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(w->a.num_infos, 16);
    assert_int_equal(w->a.num_fails, 0);
    says("HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(w->a.fail, HT_FAIL_PROTOCOL);
    assert_int_equal(w->a.num_infos, 16);
}

static void a_long_head_is_too_large(void **state)
{
    static char block[1 << 20];

    memset(block, 'a', sizeof(block));
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\nX: ");
    says_n(block, sizeof(block));
    assert_int_equal(w->a.fail, HT_FAIL_TOO_LARGE);
    reconnect(state);
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 1001; i++)
        says_n("X: y\r\n", 6);
    assert_int_equal(w->a.fail, HT_FAIL_TOO_LARGE);
}

static void an_answer_before_the_question_is_refused(void **state)
{
    w->a.call.method = SLICE("POST");
    w->a.call.has_body = 1;
    assert_true(send(w->peer, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL) == 19);
    ht_call_start(w->conn, &w->a.call); /* the head leaves at the end of the turn */
    turns();
    assert_int_equal(w->a.num_fails + w->a.num_heads, 1);
}

static void an_early_answer_ends_the_call_and_the_connection(void **state)
{
    w->a.call.method = SLICE("POST");
    w->a.call.has_body = 1;
    w->a.call.request_length = 1000;
    starts(&w->a);
    ht_call_body(&w->a.call, &(struct iovec){"part", 4}, 1);
    says("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(w->a.num_ends, 1);
    assert_int_equal(w->a.num_fails, 0);
    assert_int_equal(w->num_gone, 1);
    ht_call_body(&w->a.call, &(struct iovec){"more", 4}, 1); /* nobody listens any more */
    ht_call_end(&w->a.call, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_connected, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lies_fail_the_call_and_end_the_connection),
        TEST(bytes_behind_the_response_end_the_connection),
        TEST(junk_while_idle_ends_the_connection),
        TEST(a_close_while_idle_is_noticed),
        TEST(interim_answers_are_counted),
        TEST(a_long_head_is_too_large),
        TEST(an_answer_before_the_question_is_refused),
        TEST(an_early_answer_ends_the_call_and_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

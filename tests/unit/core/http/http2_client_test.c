/* Calls over HTTP/2 to a server of ours. */
#include "tests/unit/lib/http2_client_fixture.h"

static void gets_an_answer(void **state)
{
    seen_log.on_request = seen_say_hello;
    struct made *now = prepare("GET", "/x", false);
    ht_headers_add(&now->pool, &now->fields, SLICE("x-a"), SLICE("1"));
    ht_headers_add(&now->pool, &now->fields, SLICE("te"), SLICE("trailers"));
    ht_headers_add(&now->pool, &now->fields, SLICE("connection"), SLICE("close"));
    ht_call_start(client, &now->call);
    assert_int_equal(client->num_active, 1);
    TURN_UNTIL(worker, now->is_done);
    assert_string_equal(seen_at(0)->head.base, "GET http up.example /x\nx-a: 1\nte: trailers\n");
    assert_memory_equal(now->head.base, "200 5\ndate: ", 12);
    assert_string_equal(now->body.base, "hello");
    assert_null(now->call.conn);
    assert_int_equal(client->num_active, 0);
    TURN_UNTIL(worker, num_available >= 1);
}

static void many_calls_share_a_connection(void **state)
{
    for (int i = 0; i < 128; i++)
        call("GET", "/", false);
    TURN_UNTIL(worker, num_ended == 128);
    for (int i = 0; i < 128; i++)
        assert_true(made[i].is_done);
    assert_int_equal(client->capacity, 128); /* what our server allows, less than the client would */
    assert_in_range(seen_log.num_requests, 128, 128);
}

static void the_capacity_is_the_lesser_limit(void **state)
{
    struct made *now = call("POST", "/", true);

    TURN_UNTIL(worker, now->head.len != 0);
    assert_int_equal(client->capacity, 127);
    ht_call_end(&now->call, NULL);
    TURN_UNTIL(worker, now->is_done);
    assert_int_equal(client->capacity, 128);
}

static void bodies_and_trailers_go_both_ways(void **state)
{
    struct made *now = call("POST", "/echo", true);
    struct ht_headers trailers = {NULL, 0, 0};
    static char bytes[10000];
    struct iovec iov = {bytes, sizeof(bytes)};
    size_t sent = 0;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7);
    while (sent < 3000000) {
        unsigned told = now->num_writable;
        sent += sizeof(bytes);
        if (!ht_call_body(&now->call, &iov, 1))
            TURN_UNTIL(worker, now->num_writable != told);
    }
    ht_headers_add(&now->pool, &trailers, SLICE("x-sum"), SLICE("abc"));
    ht_call_end(&now->call, &trailers);
    TURN_UNTIL(worker, now->is_done);
    assert_int_equal(now->body.len, sent);
    for (size_t i = 0; i < sent; i += sizeof(bytes))
        assert_memory_equal(now->body.base + i, bytes, sizeof(bytes));
    assert_string_equal(now->trailers.base, "x-sum: abc\n");
    assert_true(now->num_writable > 5);
}

/* Nobody takes the answer: the echo stalls, then the upload does, and neither end holds much. */
static void a_stuck_reader_stops_the_sender(void **state)
{
    struct made *stuck = call("POST", "/stuck", true);
    static char bytes[16384];
    struct iovec iov = {bytes, sizeof(bytes)};
    size_t sent = 0, got = 0;

    stuck->take = 0;
    for (int i = 0; i < 400; i++) {
        unsigned told = stuck->num_writable;
        if (sent == 0 || told != got) {
            got = told;
            do
                sent += sizeof(bytes);
            while (ht_call_body(&stuck->call, &iov, 1));
        }
        net_worker_turn(worker, 0);
    }
    assert_in_range(sent, 65536, 1024 * 1024);
    assert_in_range(worker->mem_used, 1, 1024 * 1024);
    struct made *other = call("GET", "/other", false);
    TURN_UNTIL(worker, other->is_done);
    stuck->take = SIZE_MAX;
    ht_call_resume(&stuck->call);
    ht_call_end(&stuck->call, NULL);
    TURN_UNTIL(worker, stuck->is_done);
    assert_int_equal(stuck->body.len, sent);
}

static void a_refused_call_is_unsent(void **state)
{
    struct made *now = call("POST", "/", true);

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_exchange_abort(seen_at(0)->x, NGHTTP2_REFUSED_STREAM);
    TURN_UNTIL(worker, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_REFUSED);
    assert_true(now->call.is_unsent);
    assert_int_equal(num_gone, 0);
}

static void a_reset_call_is_not_unsent(void **state)
{
    struct made *now = call("GET", "/", false);

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_exchange_abort(seen_at(0)->x, 0);
    TURN_UNTIL(worker, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_RESET);
    assert_false(now->call.is_unsent);
}

static void a_cancelled_call_resets_its_stream(void **state)
{
    struct made *now = call("GET", "/", false);

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_call_cancel(&now->call);
    assert_null(now->call.conn);
    TURN_UNTIL(worker, seen_at(0)->is_closed);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_PEER_RESET);
    assert_false(now->is_failed || now->is_done);
}

static void a_call_cancelled_at_once_is_never_sent(void **state)
{
    struct made *now = call("GET", "/", false), *next;

    ht_call_cancel(&now->call);
    h2o_mem_clear_pool(&now->pool);
    next = call("GET", "/next", false);
    TURN_UNTIL(worker, seen_log.num_requests == 1);
    assert_string_equal(seen_at(0)->head.base, "GET http up.example /next\n");
    (void)next;
}

static void a_drained_server_takes_running_calls_to_their_end(void **state)
{
    struct made *now = call("GET", "/", false);

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_server_drain(server);
    TURN_UNTIL(worker, num_gone == 1);
    assert_int_equal(gone_fail, HT_FAIL_REFUSED);
    seen_say_hello(seen_at(0));
    TURN_UNTIL(worker, now->is_done && server == NULL);
}

static void an_early_answer_ends_the_call(void **state)
{
    struct made *now = call("POST", "/", true);
    struct iovec iov = {"x", 1};

    seen_log.on_request = seen_say_hello;
    TURN_UNTIL(worker, now->is_done);
    assert_string_equal(now->body.base, "hello");
    assert_true(ht_call_body(&now->call, &iov, 1)); /* nobody there any more */
    TURN_UNTIL(worker, seen_at(0)->is_closed);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_DONE);
}

static void a_short_body_is_told_from_a_whole_one(void **state)
{
    struct made *now = call("GET", "/", false);
    struct iovec iov = {"abc", 3};

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_exchange_head(seen_at(0)->x, 200, NULL, 5);
    ht_exchange_body(seen_at(0)->x, &iov, 1);
    TURN_UNTIL(worker, now->body.len == 3);
    ht_exchange_end(seen_at(0)->x, NULL);
    TURN_UNTIL(worker, now->is_failed);
    assert_true(now->call.had_response);
}

static void websockets_pass_as_extended_connect(void **state)
{
    struct made *now = prepare("GET", "/chat", false);
    struct iovec iov = {"ping", 4}, back = {"pong", 4};

    now->call.upgrade = SLICE("websocket");
    ht_headers_add(&now->pool, &now->fields, SLICE("sec-websocket-key"), SLICE("abc"));
    ht_headers_add(&now->pool, &now->fields, SLICE("sec-websocket-version"), SLICE("13"));
    ht_call_start(client, &now->call);
    TURN_UNTIL(worker, seen_log.num_requests == 1);
    struct ht_exchange *x = seen_at(0)->x;
    assert_true(slice_is(x->upgrade, "websocket"));
    assert_string_equal(seen_at(0)->head.base, "GET http up.example /chat\nsec-websocket-version: 13\n");
    ht_exchange_head(x, 101, NULL, -1);
    ht_exchange_resume(x);
    TURN_UNTIL(worker, now->call.had_response);
    assert_int_equal(now->call.status, 101);
    assert_true(now->call.is_tunnel);
    ht_call_body(&now->call, &iov, 1);
    TURN_UNTIL(worker, seen_at(0)->body.len == 4);
    ht_exchange_body(x, &back, 1);
    TURN_UNTIL(worker, now->body.len == 4);
    ht_call_end(&now->call, NULL);
    TURN_UNTIL(worker, seen_at(0)->num_ends == 1);
    ht_exchange_end(x, NULL);
    TURN_UNTIL(worker, now->is_done);
}

static void interim_answers_are_passed_on(void **state)
{
    struct made *now = call("GET", "/", false);
    struct ht_headers headers = {NULL, 0, 0};

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_headers_add(&seen_at(0)->x->pool, &headers, SLICE("link"), SLICE("</a>"));
    ht_exchange_info(seen_at(0)->x, 103, &headers);
    TURN_UNTIL(worker, now->num_infos == 1);
    assert_string_equal(now->infos.base, "103\nlink: </a>\n");
    seen_say_hello(seen_at(0));
    TURN_UNTIL(worker, now->is_done);
}

static void a_lost_server_fails_all_calls(void **state)
{
    struct made *sent = call("GET", "/", false), *unsent;

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    unsent = call("GET", "/", false);
    ht_server_close(server);
    TURN_UNTIL(worker, num_ended == 2 && num_gone == 1);
    assert_int_equal(sent->fail, HT_FAIL_RESET);
    assert_false(sent->call.is_unsent);
    (void)unsent;
}

static void an_idle_connection_closes_when_asked(void **state)
{
    ht_client_close(client);
    client = NULL;
    TURN_UNTIL(worker, server == NULL);
    assert_int_equal(num_gone, 0);
}

static void a_busy_connection_closes_after_its_last_call(void **state)
{
    struct made *now = call("GET", "/", false);

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_client_close(client);
    client = NULL;
    seen_say_hello(seen_at(0));
    TURN_UNTIL(worker, now->is_done && server == NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define E(name) cmocka_unit_test_setup_teardown(name, set_up_echo, tear_down)
#define S(name) cmocka_unit_test_setup_teardown(name, set_up_tls, tear_down_tls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(gets_an_answer),
        E(many_calls_share_a_connection),
        E(the_capacity_is_the_lesser_limit),
        E(bodies_and_trailers_go_both_ways),
        E(a_stuck_reader_stops_the_sender),
        S(many_calls_share_a_connection),
        S(bodies_and_trailers_go_both_ways),
        S(a_stuck_reader_stops_the_sender),
        T(a_refused_call_is_unsent),
        T(a_reset_call_is_not_unsent),
        T(a_cancelled_call_resets_its_stream),
        T(a_call_cancelled_at_once_is_never_sent),
        T(a_drained_server_takes_running_calls_to_their_end),
        T(an_early_answer_ends_the_call),
        T(a_short_body_is_told_from_a_whole_one),
        T(websockets_pass_as_extended_connect),
        T(interim_answers_are_passed_on),
        T(a_lost_server_fails_all_calls),
        T(an_idle_connection_closes_when_asked),
        T(a_busy_connection_closes_after_its_last_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

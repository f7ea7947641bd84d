/* Upstreams of raw frames: broken, hostile, or merely odd. */
#include "tests/unit/lib/http2_client_fixture.h"

static void answer(uint32_t id, uint8_t flags, const char *status, const char *name, const char *value)
{
    struct strbuf block = STRBUF_INIT;

    raw_fields(&block, ":status", status, NULL);
    if (name != NULL)
        raw_fields(&block, name, value, NULL);
    raw_frame(&raw, HEADERS, flags | END_HEADERS, id, block.base, block.len);
    strbuf_clear(&block);
}

static struct made *call_raw(void)
{
    struct made *now = call("GET", "/", false);

    RAW_UNTIL(&raw, raw_count(&raw, HEADERS, 2 * num_made - 1) == 1);
    return now;
}

static void trailers_only_answers_arrive(void **state)
{
    struct made *now = call_raw();

    answer(1, END_STREAM, "200", "grpc-status", "7");
    RAW_UNTIL(&raw, now->is_done);
    assert_string_equal(now->head.base, "200 -1\ngrpc-status: 7\n");
}

struct bad_answer {
    const char *status, *name, *value;
    enum ht_fail fail;
};

static const struct bad_answer bad_answers[] = {
    {"200", "X-Upper", "1", HT_FAIL_PROTOCOL},
    {"200", "x", "a\r\nb: c", HT_FAIL_PROTOCOL},
    {"200", "x y", "1", HT_FAIL_PROTOCOL},
    {"200", "connection", "close", HT_FAIL_PROTOCOL},
    {"200", "transfer-encoding", "chunked", HT_FAIL_PROTOCOL},
    {"200", "content-length", "abc", HT_FAIL_PROTOCOL},
    {"101", NULL, NULL, HT_FAIL_PROTOCOL},
    {"20", NULL, NULL, HT_FAIL_PROTOCOL},
    {"2000", NULL, NULL, HT_FAIL_PROTOCOL},
    {"abc", NULL, NULL, HT_FAIL_PROTOCOL},
    {"000", NULL, NULL, HT_FAIL_PROTOCOL},
    {"200", ":path", "/", HT_FAIL_PROTOCOL},
};

static void malformed_answers_fail_their_call_only(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_answers); i++) {
        struct made *now = call_raw();
        uint32_t id = 2 * num_made - 1;
        answer(id, END_STREAM, bad_answers[i].status, bad_answers[i].name, bad_answers[i].value);
        RAW_UNTIL(&raw, now->is_failed || now->is_done);
        if (!now->is_failed || now->fail != bad_answers[i].fail)
            fail_msg("case %zu", i);
        RAW_UNTIL(&raw, raw_reset_code(&raw, id) == NGHTTP2_PROTOCOL_ERROR);
    }
    struct made *good = call_raw();
    answer(2 * num_made - 1, END_STREAM, "200", NULL, NULL);
    RAW_UNTIL(&raw, good->is_done);
}

static void answers_over_the_limit_fail(void **state)
{
    struct made *now = call_raw();
    struct strbuf value = STRBUF_INIT, block = STRBUF_INIT;

    for (int i = 0; i < 8000; i++)
        strbuf_addc(&value, 'v');
    raw_fields(&block, ":status", "200", NULL);
    for (int i = 0; i < 2; i++)
        raw_fields(&block, "x", value.base, NULL);
    raw_frame(&raw, HEADERS, 0, 1, block.base, block.len);
    for (int i = 0; i < 4; i++) {
        strbuf_reset(&block);
        raw_fields(&block, "x", value.base, "x", value.base, NULL);
        raw_frame(&raw, 9, i == 3 ? END_HEADERS : 0, 1, block.base, block.len);
    }
    RAW_UNTIL(&raw, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_TOO_LARGE);
    strbuf_clear(&value);
    strbuf_clear(&block);
}

static void endless_interim_answers_fail(void **state)
{
    struct made *now = call_raw();

    for (int i = 0; i < 20; i++)
        answer(1, 0, "103", NULL, NULL);
    RAW_UNTIL(&raw, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_PROTOCOL);
    assert_int_equal(now->num_infos, 16);
}

static void bodies_shorter_than_announced_fail(void **state)
{
    struct made *now = call_raw();

    answer(1, 0, "200", "content-length", "10");
    raw_frame(&raw, DATA, END_STREAM, 1, "abc", 3);
    RAW_UNTIL(&raw, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_CLOSED_EARLY);
    now = call_raw();
    answer(3, 0, "200", "content-length", "2");
    raw_frame(&raw, DATA, END_STREAM, 3, "abc", 3);
    RAW_UNTIL(&raw, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_PROTOCOL);
}

static void answers_without_a_body_keep_their_length(void **state)
{
    struct made *now = call("HEAD", "/", false);

    RAW_UNTIL(&raw, raw_count(&raw, HEADERS, 1) == 1);
    answer(1, END_STREAM, "200", "content-length", "10");
    RAW_UNTIL(&raw, now->is_done);
    assert_string_equal(now->head.base, "200 10\n");
}

static void goaway_fails_what_came_after_as_unsent(void **state)
{
    struct made *first = call_raw(), *second = call_raw();

    raw_frame(&raw, GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
    RAW_UNTIL(&raw, second->is_failed);
    assert_int_equal(second->fail, HT_FAIL_REFUSED);
    assert_true(second->call.is_unsent);
    assert_int_equal(num_gone, 1);
    assert_false(first->is_failed);
    answer(1, END_STREAM, "200", NULL, NULL);
    RAW_UNTIL(&raw, first->is_done);
    RAW_UNTIL(&raw, raw.is_eof);
}

static void an_idle_goaway_closes_the_connection(void **state)
{
    raw_frame(&raw, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
    RAW_UNTIL(&raw, num_gone == 1 && raw.is_eof);
}

static void a_peer_limit_below_ours_holds(void **state)
{
    raw_frame(&raw, SETTINGS, 0, 0, "\0\3\0\0\0\2", 6);
    RAW_UNTIL(&raw, client->capacity == 2);
    call_raw();
    call_raw();
    assert_int_equal(client->capacity, 0);
    answer(1, END_STREAM, "200", NULL, NULL);
    num_available = 0;
    RAW_UNTIL(&raw, num_available == 1);
    assert_int_equal(client->capacity, 1);
}

static void extended_connect_needs_the_upstreams_consent(void **state)
{
    struct made *now = prepare("GET", "/chat", false);

    now->call.upgrade = SLICE("websocket");
    ht_call_start(client, &now->call);
    assert_false(now->is_failed);
    RAW_UNTIL(&raw, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_PROTOCOL);
    assert_non_null(strstr(now->detail, "8441"));
    assert_true(now->call.is_unsent);
}

static void a_flooding_upstream_is_left(void **state)
{
    struct made *now = call_raw();

    for (int i = 0; i < 1000; i++)
        raw_frame(&raw, PING, 0, 0, "12345678", 8);
    RAW_UNTIL(&raw, now->is_failed && num_gone == 1);
    assert_int_equal(now->fail, HT_FAIL_PROTOCOL);
    RAW_UNTIL(&raw, raw.is_eof);
    assert_int_equal(raw_goaway_code(&raw), NGHTTP2_ENHANCE_YOUR_CALM);
}

static void garbage_ends_the_connection(void **state)
{
    struct made *now = call_raw();

    strbuf_adds(&raw.out, "HTTP/1.1 400 Bad Request\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n");
    RAW_UNTIL(&raw, now->is_failed && num_gone == 1 && raw.is_eof);
    assert_int_equal(now->fail, HT_FAIL_PROTOCOL);
}

static void cancel_in_head(struct made *now)
{
    ht_call_cancel(&now->call);
}

static void a_call_may_be_cancelled_in_its_own_callback(void **state)
{
    struct made *now = call_raw();

    now->on_head = cancel_in_head;
    answer(1, 0, "200", NULL, NULL);
    raw_frame(&raw, DATA, 0, 1, "abc", 3);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_CANCEL);
    assert_int_equal(now->body.len, 0);
}

/* The request's trailers wait in nghttp2 when the answer ends the call and the caller frees all it lent. */
static void an_answer_may_overtake_the_end_of_the_request(void **state)
{
    struct made *now = call("POST", "/", true);
    struct ht_headers trailers = {NULL, 0, 0};
    static char bytes[60000];
    struct iovec iov = {bytes, sizeof(bytes)};

    for (int i = 0; i < 3; i++) /* more than the window */
        ht_call_body(&now->call, &iov, 1);
    ht_headers_add(&now->pool, &trailers, SLICE("x-late"), SLICE("1"));
    ht_call_end(&now->call, &trailers);
    RAW_UNTIL(&raw, raw_data_len(&raw, 1) == 65535);
    answer(1, END_STREAM, "200", NULL, NULL);
    RAW_UNTIL(&raw, now->is_done);
    h2o_mem_clear_pool(&now->pool);
    raw_frame(&raw, WINDOW_UPDATE, 0, 1, "\0\1\0\0", 4);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_NO_ERROR);
    for (int i = 0; i < 10; i++)
        raw_turn(&raw);
}

static void keepalive_is_asked_for_and_answered(void **state)
{
    uint64_t start_us = clock_mono_us();
    struct raw_frame ping;

    clock_fake(start_us, 1700000000000000);
    client->ping_idle_ms = 30000;
    struct made *now = call_raw();
    clock_fake(start_us + 31000000, 1700000031000000);
    RAW_UNTIL(&raw, raw_count(&raw, PING, 0) == 1);
    assert_true(raw_find(&raw, 0, PING, 0, &ping));
    raw_frame(&raw, PING, ACK, 0, ping.payload, 8);
    answer(1, 0, "103", NULL, NULL);
    RAW_UNTIL(&raw, now->num_infos == 1); /* so the answer has come, too */
    clock_fake(start_us + 62000000, 1700000062000000);
    RAW_UNTIL(&raw, raw_count(&raw, PING, 0) == 2);
    assert_false(now->is_failed);
    clock_fake(start_us + 73000000, 1700000073000000); /* no answer */
    RAW_UNTIL(&raw, now->is_failed && num_gone == 1);
    assert_int_equal(now->fail, HT_FAIL_RESET);
}

#define R(name) cmocka_unit_test_setup_teardown(name, set_up_raw, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        R(trailers_only_answers_arrive),
        R(malformed_answers_fail_their_call_only),
        R(answers_over_the_limit_fail),
        R(endless_interim_answers_fail),
        R(bodies_shorter_than_announced_fail),
        R(answers_without_a_body_keep_their_length),
        R(goaway_fails_what_came_after_as_unsent),
        R(an_idle_goaway_closes_the_connection),
        R(a_peer_limit_below_ours_holds),
        R(extended_connect_needs_the_upstreams_consent),
        R(a_flooding_upstream_is_left),
        R(garbage_ends_the_connection),
        R(a_call_may_be_cancelled_in_its_own_callback),
        R(an_answer_may_overtake_the_end_of_the_request),
        R(keepalive_is_asked_for_and_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

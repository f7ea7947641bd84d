/* Calls over HTTP/1.1: honest upstreams, back-pressure, cancelling, tunnels. */
#include "tests/unit/lib/http1_client_fixture.h"

/* ---- honest upstreams ---- */

static void a_call_goes_out_and_comes_back(void **state)
{
    ht_headers_add(&w->a.pool, &w->a.headers, SLICE("accept"), SLICE("*/*"));
    starts(&w->a);
    assert_string_equal(received(), "GET / HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\n\r\n");
    assert_int_equal(w->conn->capacity, 0);
    says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello");
    assert_int_equal(w->a.call.status, 200);
    assert_int_equal(w->a.call.response_length, 5);
    assert_int_equal(w->a.call.headers.num, 1);
    assert_body(&w->a, "hello");
    assert_int_equal(w->a.num_ends, 1);
    assert_int_equal(w->num_available, 1);
    assert_int_equal(w->conn->num_active, 0);
    starts(&w->b);
    says("HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(w->b.call.status, 204);
    assert_int_equal(w->b.num_ends, 1);
    assert_int_equal(w->conn->num_calls, 2);
    assert_int_equal(w->num_gone, 0);
}

static void on_end_may_start_the_next(void **state)
{
    w->a.then = &w->b;
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(w->num_available, 0);
    says("HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(w->b.call.status, 201);
    assert_int_equal(w->num_available, 1);
}

static void a_sized_body_leaves_with_its_head(void **state)
{
    w->a.call.method = SLICE("POST");
    w->a.call.has_body = 1;
    w->a.call.request_length = 5;
    ht_call_start(w->conn, &w->a.call);
    assert_true(ht_call_body(&w->a.call, &(struct iovec){"he", 2}, 1));
    assert_true(ht_call_body(&w->a.call, &(struct iovec){"llo", 3}, 1));
    ht_call_end(&w->a.call, NULL);
    assert_string_equal(received(), "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5\r\n\r\nhello");
    says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(w->num_available, 1);
}

static void an_unsized_body_is_chunked(void **state)
{
    struct ht_header fields[] = {{SLICE("x-sum"), SLICE("7"), NULL},
                                 {SLICE("host"), SLICE("evil"), H2O_TOKEN_HOST}};
    struct ht_headers trailers = {fields, 2, 2};

    w->a.call.method = SLICE("POST");
    w->a.call.has_body = w->a.call.expect_continue = 1;
    starts(&w->a);
    assert_string_equal(received(), "POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n"
                                    "expect: 100-continue\r\n\r\n");
    says("HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(w->a.num_infos, 1);
    ht_call_body(&w->a.call, &(struct iovec){"hello", 5}, 1);
    ht_call_end(&w->a.call, &trailers);
    assert_string_equal(received(), "5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n");
    says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(w->num_available, 1);
}

static void a_post_without_a_body_says_so(void **state)
{
    w->a.call.method = SLICE("POST");
    starts(&w->a);
    assert_string_equal(received(), "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n\r\n");
}

static void fields_of_the_connection_are_not_sent(void **state)
{
    ht_headers_add(&w->a.pool, &w->a.headers, SLICE("host"), SLICE("evil"));
    ht_headers_add(&w->a.pool, &w->a.headers, SLICE("content-length"), SLICE("5"));
    ht_headers_add(&w->a.pool, &w->a.headers, SLICE("transfer-encoding"), SLICE("chunked"));
    ht_headers_add(&w->a.pool, &w->a.headers, SLICE("connection"), SLICE("x"));
    ht_headers_add(&w->a.pool, &w->a.headers, SLICE("te"), SLICE("trailers"));
    starts(&w->a);
    assert_string_equal(received(),
                        "GET / HTTP/1.1\r\nhost: a.example\r\nte: trailers\r\nconnection: te\r\n\r\n");
}

static void a_dripping_response_is_the_same(void **state)
{
    static const char text[] =
        "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5;x\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 7\r\nContent-Length: 3\r\n\r\n";

    starts(&w->a);
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        says_n(text + i, 1);
    assert_body(&w->a, "hello!");
    assert_int_equal(w->a.num_infos, 1);
    assert_int_equal(w->a.num_ends, 1);
    assert_int_equal(w->a.call.trailers.num, 1);
    assert_int_equal(w->num_available, 1);
}

static void heads_without_bodies_are_known(void **state)
{
    static const struct {
        const char *method, *head;
    } cases[] = {
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"},
        {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"HEAD", "HTTP/1.1 200 OK\r\n\r\n"},
        {"GET", "HTTP/1.1 204 No\r\nContent-Length: 10\r\n\r\n"},
        {"GET", "HTTP/1.1 304 No\r\nContent-Length: 10\r\n\r\n"},
        {"GET", "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (i != 0)
            reconnect(state);
        w->a.call.method = slice_of(cases[i].method);
        starts(&w->a);
        says(cases[i].head);
        assert_int_equal(w->a.num_ends, 1);
        assert_int_equal(w->num_available, 1);
    }
}

static void a_body_until_close_ends_with_it(void **state)
{
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\n\r\nhel");
    says("lo");
    assert_int_equal(w->a.num_ends, 0);
    hangs_up();
    assert_body(&w->a, "hello");
    assert_int_equal(w->a.num_ends, 1);
    assert_int_equal(w->num_gone, 1);
    assert_int_equal(w->num_available, 0);
}

static void connections_that_say_close_are_not_used_again(void **state)
{
    static const char *const cases[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
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

static void back_pressure_reaches_the_upstream(void **state)
{
    static char block[65536];
    size_t sent = 0;

    w->a.take = 10;
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n0123456789abcdefghij");
    assert_body(&w->a, "0123456789");
    for (int i = 0; i < 300; i++) {
        ssize_t n = send(w->peer, block, sizeof(block), MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        turns();
    }
    assert_true(sent < 12 * 1024 * 1024); /* the kernel's two buffers, and ours */
    assert_true(w->worker->mem_used <= 160 * 1024);
    assert_int_equal(w->a.body.len, 10);
    ht_call_resume(&w->a.call);
    turns();
    assert_body(&w->a, "0123456789abcdefghij");
}

static void resuming_inside_on_body_goes_on(void **state)
{
    w->a.take = 1;
    w->a.resume_in_body = true;
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_body(&w->a, "hello");
    assert_int_equal(w->a.num_ends, 1);
}

static void the_rest_of_a_paused_body_survives_the_close(void **state)
{
    w->a.take = 2;
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\n\r\nhello");
    hangs_up();
    assert_int_equal(w->a.num_ends, 0);
    w->a.take = 10;
    ht_call_resume(&w->a.call);
    turns();
    assert_body(&w->a, "hello");
    assert_int_equal(w->a.num_ends, 1);
}

static void a_slow_upstream_stops_the_sender(void **state)
{
    static char block[65536];
    struct iovec iov = {block, sizeof(block)};
    int rounds = 0;

    w->a.call.method = SLICE("POST");
    w->a.call.has_body = 1;
    starts(&w->a);
    while (ht_call_body(&w->a.call, &iov, 1) && rounds < 1000)
        ++rounds;
    assert_true(rounds < 1000);
    assert_int_equal(w->a.num_writables, 0);
    received();
    assert_int_equal(w->a.num_writables, 1);
}

/* ---- requests that cannot be ---- */

static void a_body_of_another_length_fails(void **state)
{
    w->a.call.method = SLICE("POST");
    w->a.call.has_body = 1;
    w->a.call.request_length = 5;
    starts(&w->a);
    ht_call_body(&w->a.call, &(struct iovec){"abc", 3}, 1);
    ht_call_end(&w->a.call, NULL);
    assert_int_equal(w->a.num_fails, 0); /* never from inside a verb */
    turns();
    assert_int_equal(w->a.fail, HT_FAIL_PROTOCOL);
    reconnect(state);
    w->a.call.method = SLICE("POST");
    w->a.call.has_body = 1;
    w->a.call.request_length = 2;
    starts(&w->a);
    received();
    ht_call_body(&w->a.call, &(struct iovec){"abc", 3}, 1);
    assert_string_equal(received(), "");
    assert_int_equal(w->a.fail, HT_FAIL_PROTOCOL);
}

static void requests_that_would_inject_are_not_sent(void **state)
{
    static const struct {
        const char *method, *authority, *target;
    } cases[] = {
        {"GET /x", "a", "/"},      {"GET\r\n", "a", "/"},     {"", "a", "/"},
        {"GET", "a\r\nX: y", "/"}, {"GET", "a b", "/"},       {"GET", "a", "/ HTTP/1.1\r\nX: y"},
        {"GET", "a", "/a b"},      {"GET", "a", "/\r\nX: y"}, {"GET", "a", ""},
        {"GET", "a", "/\xc3\xa9"}, {"GET", "a", "/\x01"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (i != 0)
            reconnect(state);
        w->a.call.method = slice_of(cases[i].method);
        w->a.call.authority = slice_of(cases[i].authority);
        w->a.call.target = slice_of(cases[i].target);
        starts(&w->a);
        assert_string_equal(received(), "");
        assert_int_equal(w->a.fail, HT_FAIL_PROTOCOL);
        assert_true(w->a.call.is_unsent);
    }
}

/* ---- cancelling, closing ---- */

static void cancelling_closes_without_a_callback(void **state)
{
    starts(&w->a);
    ht_call_cancel(&w->a.call);
    assert_int_equal(w->num_gone, 0); /* never from inside a verb */
    assert_int_equal(w->conn->capacity, 0);
    turns();
    assert_int_equal(w->num_gone, 1);
    received();
    assert_true(w->is_eof);
    assert_int_equal(w->a.num_fails + w->a.num_ends, 0);
}

static void cancelling_inside_callbacks_is_fine(void **state)
{
    w->a.cancel_in_head = true;
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(w->a.body.len, 0);
    assert_int_equal(w->num_gone, 1);
    reconnect(state);
    w->a.cancel_in_body = true;
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_body(&w->a, "hello");
    assert_int_equal(w->a.num_ends, 0);
    assert_int_equal(w->num_gone, 1);
    reconnect(state);
    w->a.cancel_in_body = true;
    starts(&w->a);
    says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(w->a.num_ends, 0);
}

static void closing_waits_for_the_running_call(void **state)
{
    starts(&w->a);
    ht_client_close(w->conn);
    w->conn = NULL;
    turns();
    says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(w->a.num_ends, 1);
    assert_int_equal(w->num_gone, 0);
    assert_int_equal(w->num_available, 0);
    received();
    assert_true(w->is_eof);
}

static void closing_an_idle_connection_is_at_once(void **state)
{
    ht_client_close(w->conn);
    w->conn = NULL;
    received();
    assert_true(w->is_eof);
    assert_int_equal(w->num_gone, 0);
}

/* ---- before the connection is ready ---- */

static void calls_wait_for_the_connection(void **state)
{
    connect_plain();
    w->a.call.method = SLICE("POST");
    w->a.call.has_body = 1;
    ht_call_start(w->conn, &w->a.call);
    assert_int_equal(w->conn->capacity, 0);
    assert_false(ht_call_body(&w->a.call, &(struct iovec){"hello", 5}, 1));
    assert_int_equal(w->conn->num_active, 1);
    turns();
    assert_int_equal(w->a.num_writables, 1);
    ht_call_end(&w->a.call, NULL);
    assert_string_equal(received(), "POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n"
                                    "5\r\nhello\r\n0\r\n\r\n");
    says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(w->a.num_ends, 1);
    assert_int_equal(w->conn->num_active, 0);
    assert_int_equal(w->conn->capacity, 1);
}

static void waiting_calls_may_end_and_be_cancelled(void **state)
{
    connect_plain();
    w->a.call.has_body = 1;
    w->a.call.request_length = 2;
    ht_call_start(w->conn, &w->a.call);
    ht_call_body(&w->a.call, &(struct iovec){"ok", 2}, 1);
    ht_call_end(&w->a.call, NULL);
    assert_string_equal(received(), "GET / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n\r\nok");
    assert_int_equal(w->a.num_writables, 0);
    teardown(state);
    setup(state);
    connect_plain();
    ht_call_start(w->conn, &w->a.call);
    ht_call_cancel(&w->a.call);
    assert_int_equal(w->conn->capacity, 1);
    starts(&w->b);
    assert_string_equal(received(), "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n");
    assert_int_equal(w->num_ready, 1);
}

static void is_refused(SSL_CTX *tls)
{
    struct ht_client_config config = {.protocol = HT_CLIENT_HTTP1, .tls = tls};
    struct err err;

    close(w->listener);
    w->conn = ht_client_connect(w->worker, (struct sockaddr *)&w->addr, w->addr_len, &config, &client_ops,
                                NULL, &err);
    if (w->conn != NULL) { /* else the kernel said so at once */
        ht_call_start(w->conn, &w->a.call);
        turns();
        assert_int_equal(w->a.fail, HT_FAIL_CONNECT);
        assert_true(w->a.call.is_unsent);
        assert_int_equal(w->num_gone, 1);
    }
    w->listener = net_tcp_listen(&w->addr, &w->addr_len);
}

static void a_refused_connection_fails_its_calls_unsent(void **state)
{
    is_refused(NULL);
}

static void a_connection_refused_before_its_handshake_is_no_tls_failure(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    is_refused(ctx);
    SSL_CTX_free(ctx);
}

static void a_handshake_that_hangs_times_out(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    uint64_t now = clock_mono_ms();

    clock_fake(now * 1000, 1700000000000000);
    turns();
    connect_to(
        &(struct ht_client_config){.protocol = HT_CLIENT_ALPN, .tls = ctx, .connect_timeout_ms = 3000});
    ht_call_start(w->conn, &w->a.call);
    turns();
    clock_fake((now + 2999) * 1000, 1700000000000000);
    turns();
    assert_int_equal(w->a.num_fails, 0);
    clock_fake((now + 3000) * 1000, 1700000000000000);
    turns();
    assert_int_equal(w->a.fail, HT_FAIL_CONNECT_TIMEOUT);
    assert_true(w->a.call.is_unsent);
    SSL_CTX_free(ctx);
}

static void a_peer_without_tls_is_a_tls_failure(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    connect_to(&(struct ht_client_config){.protocol = HT_CLIENT_HTTP1, .tls = ctx});
    ht_call_start(w->conn, &w->a.call);
    turns();
    says("HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_int_equal(w->a.fail, HT_FAIL_TLS);
    assert_true(w->a.call.is_unsent);
    SSL_CTX_free(ctx);
}

/* ---- tunnels ---- */

static void a_websocket_becomes_a_tunnel(void **state)
{
    w->a.call.upgrade = SLICE("websocket");
    ht_headers_add(&w->a.pool, &w->a.headers, SLICE("sec-websocket-key"), SLICE("dGhlIHNhbXBsZSBub25jZQ=="));
    ht_headers_add(&w->a.pool, &w->a.headers, SLICE("sec-websocket-version"), SLICE("13"));
    starts(&w->a);
    assert_string_equal(received(),
                        "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n");
    says("HTTP/1.1 101 Go\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\ndown");
    assert_true(w->a.call.is_tunnel);
    assert_int_equal(w->a.call.status, 101);
    assert_body(&w->a, "down");
    ht_call_body(&w->a.call, &(struct iovec){"up", 2}, 1);
    assert_string_equal(received(), "up");
    ht_call_end(&w->a.call, NULL);
    received();
    assert_true(w->is_eof);
    says("bye");
    hangs_up();
    assert_body(&w->a, "downbye");
    assert_int_equal(w->a.num_ends, 1);
    assert_int_equal(w->num_gone, 1);
}

static void a_websocket_without_a_key_gets_one(void **state)
{
    w->a.call.upgrade = SLICE("websocket");
    starts(&w->a);
    assert_non_null(strstr(received(), "\r\nsec-websocket-key: "));
    assert_non_null(strstr(w->got.base, "\r\nsec-websocket-version: 13\r\n"));
    says("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"); /* of another key */
    assert_int_equal(w->a.fail, HT_FAIL_PROTOCOL);
}

static void an_upgrade_that_is_refused_is_a_response(void **state)
{
    w->a.call.upgrade = SLICE("websocket");
    starts(&w->a);
    says("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    assert_false(w->a.call.is_tunnel);
    assert_body(&w->a, "no");
    assert_int_equal(w->num_available, 1);
}

static void connect_becomes_a_tunnel(void **state)
{
    w->a.call.method = SLICE("CONNECT");
    w->a.call.target = w->a.call.authority = SLICE("b.example:443");
    starts(&w->a);
    assert_string_equal(received(), "CONNECT b.example:443 HTTP/1.1\r\nhost: b.example:443\r\n\r\n");
    says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nraw bytes");
    assert_true(w->a.call.is_tunnel);
    assert_body(&w->a, "raw bytes");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_connected, teardown)
#define TEST_UNCONNECTED(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_goes_out_and_comes_back),
        TEST(on_end_may_start_the_next),
        TEST(a_sized_body_leaves_with_its_head),
        TEST(an_unsized_body_is_chunked),
        TEST(a_post_without_a_body_says_so),
        TEST(fields_of_the_connection_are_not_sent),
        TEST(a_dripping_response_is_the_same),
        TEST(heads_without_bodies_are_known),
        TEST(a_body_until_close_ends_with_it),
        TEST(connections_that_say_close_are_not_used_again),
        TEST(back_pressure_reaches_the_upstream),
        TEST(resuming_inside_on_body_goes_on),
        TEST(the_rest_of_a_paused_body_survives_the_close),
        TEST(a_slow_upstream_stops_the_sender),
        TEST(a_body_of_another_length_fails),
        TEST(requests_that_would_inject_are_not_sent),
        TEST(cancelling_closes_without_a_callback),
        TEST(cancelling_inside_callbacks_is_fine),
        TEST(closing_waits_for_the_running_call),
        TEST(closing_an_idle_connection_is_at_once),
        TEST_UNCONNECTED(calls_wait_for_the_connection),
        TEST_UNCONNECTED(waiting_calls_may_end_and_be_cancelled),
        TEST_UNCONNECTED(a_refused_connection_fails_its_calls_unsent),
        TEST_UNCONNECTED(a_handshake_that_hangs_times_out),
        TEST_UNCONNECTED(a_connection_refused_before_its_handshake_is_no_tls_failure),
        TEST_UNCONNECTED(a_peer_without_tls_is_a_tls_failure),
        TEST(a_websocket_becomes_a_tunnel),
        TEST(a_websocket_without_a_key_gets_one),
        TEST(an_upgrade_that_is_refused_is_a_response),
        TEST(connect_becomes_a_tunnel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Requests that are taken, and what is made of them. */
#include "tests/unit/lib/http1_parse_fixture.h"

static struct parsed good(const char *text)
{
    struct parsed parsed;
    int got = parse(&parsed, text, strlen(text), true, false);

    if (got != HT1_OK)
        fail_msg("%s: %s", got == MORE ? "more" : ht1_detail(got), text);
    return parsed;
}

static void a_request_is_taken_apart(void **state)
{
    struct parsed p =
        good("GET /a/b?c=d HTTP/1.1\r\nHost: Shop.Example:8080\r\nUser-Agent:  x y \t\r\nX-A:\r\n\r\n");

    assert_slice(p.request.method, "GET");
    assert_slice(p.request.target, "/a/b?c=d");
    assert_slice(p.request.authority, "Shop.Example:8080");
    assert_int_equal(p.request.version, HT_HTTP11);
    assert_int_equal(p.request.headers.num, 2);
    assert_slice(p.request.headers.at[0].name, "user-agent");
    assert_slice(p.request.headers.at[0].value, "x y");
    assert_ptr_equal(p.request.headers.at[0].token, H2O_TOKEN_USER_AGENT);
    assert_slice(p.request.headers.at[1].name, "x-a");
    assert_slice(p.request.headers.at[1].value, "");
    assert_null(p.request.headers.at[1].token);
    assert_int_equal(p.request.content_length, -1);
    assert_true(p.request.keep_alive);
    assert_false(p.request.is_chunked);
    parsed_free(&p);
}

static void obs_text_in_values_passes(void **state)
{
    struct parsed p = good(GET H "X: caf\xc3\xa9\tbar\r\n\r\n");

    assert_slice(p.request.headers.at[0].value, "caf\xc3\xa9\tbar");
    parsed_free(&p);
}

static void absolute_form_overrides_host(void **state)
{
    struct parsed p = good("GET http://B.example:81/x?y HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.authority, "B.example:81");
    assert_slice(p.request.target, "/x?y");
    parsed_free(&p);
    p = good("GET HTTP://b HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.authority, "b");
    assert_slice(p.request.target, "/");
    parsed_free(&p);
    p = good("GET http://b.example?y=/z HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.authority, "b.example");
    assert_slice(p.request.target, "/?y=/z");
    parsed_free(&p);
    p = good("OPTIONS http://b.example:81 HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.target, "*");
    parsed_free(&p);
    p = good("GET http://[::1]:81/ HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.authority, "[::1]:81");
    parsed_free(&p);
}

static void the_other_forms_are_taken(void **state)
{
    struct parsed p = good("OPTIONS * HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.target, "*");
    parsed_free(&p);
    p = good("CONNECT b.example:443 HTTP/1.1\r\n" H "\r\n");
    assert_slice(p.request.target, "b.example:443");
    assert_slice(p.request.authority, "b.example:443");
    parsed_free(&p);
    p = good("GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(p.request.authority.len, 0);
    assert_false(p.request.keep_alive);
    parsed_free(&p);
    p = good("get //x/../%2e HTTP/1.1\r\nHost: [fe80::1]\r\n\r\n"); /* other layers' business */
    assert_slice(p.request.method, "get");
    assert_slice(p.request.target, "//x/../%2e");
    parsed_free(&p);
}

static void framing_is_read(void **state)
{
    struct parsed p = good(POST "Content-Length: 12\r\n\r\n");
    assert_int_equal(p.request.content_length, 12);
    assert_int_equal(p.request.headers.num, 0);
    parsed_free(&p);
    p = good(POST "content-LENGTH: 9223372036854775807\r\n\r\n");
    assert_true(p.request.content_length == INT64_MAX);
    parsed_free(&p);
    p = good(POST "Transfer-Encoding: Chunked\r\n\r\n");
    assert_true(p.request.is_chunked);
    assert_int_equal(p.request.headers.num, 0);
    parsed_free(&p);
    p = good(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
    assert_true(p.request.expects_continue);
    parsed_free(&p);
    p = good(GET H "Expect: 100-continue\r\n\r\n"); /* no body to wait with */
    assert_false(p.request.expects_continue);
    parsed_free(&p);
    p = good("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert_false(p.request.expects_continue);
    parsed_free(&p);
}

static void persistence_is_read(void **state)
{
    static const struct {
        const char *head;
        bool want;
    } cases[] = {
        {GET H "\r\n", true},
        {GET H "Connection: close\r\n\r\n", false},
        {GET H "Connection: keep-alive, CLOSE\r\n\r\n", false},
        {GET H "Connection: x\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p = good(cases[i].head);
        assert_int_equal(p.request.keep_alive, cases[i].want);
        parsed_free(&p);
    }
}

static void connection_fields_are_gone(void **state)
{
    struct parsed p = good(
        GET H "Connection: keep-alive, X-Forwarded-For, x-own , Upgrade\r\nKeep-Alive: 5\r\n"
              "X-Forwarded-For: 1.2.3.4\r\nX-OWN: a\r\nx-own: b\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n"
              "HTTP2-Settings: AAMAAABkAAQAAP__\r\nTE: gzip, trailers\r\nAccept: */*\r\nX-Kept: 1\r\n\r\n");

    assert_int_equal(p.request.headers.num, 3);
    assert_slice(p.request.headers.at[0].name, "te");
    assert_slice(p.request.headers.at[0].value, "trailers");
    assert_slice(p.request.headers.at[1].name, "accept");
    assert_slice(p.request.headers.at[2].name, "x-kept");
    assert_true(p.request.te_trailers);
    assert_null(p.request.websocket_key.base);
    parsed_free(&p);
}

static void underscores_and_proxy_are_dropped(void **state)
{
    struct parsed p =
        good(GET H "X_Forwarded_For: 1\r\nProxy: http://evil/\r\nContent_Length: 5\r\n_: x\r\nX-Ok: 1\r\n"
                   "Transfer_Encoding: chunked\r\n\r\n");

    assert_int_equal(p.request.headers.num, 1);
    assert_slice(p.request.headers.at[0].name, "x-ok");
    assert_int_equal(p.request.content_length, -1);
    assert_false(p.request.is_chunked);
    parsed_free(&p);
}

static void websocket_requests_are_seen(void **state)
{
    struct parsed p = good("GET /chat HTTP/1.1\r\n" H WS WS_KEY WS_VERSION "\r\n");
    assert_slice(p.request.websocket_key, "dGhlIHNhbXBsZSBub25jZQ==");
    assert_int_equal(p.request.headers.num, 2);
    parsed_free(&p);
    p = good(GET H "Upgrade: foo, WebSocket\r\nConnection: keep-alive, upgrade\r\n" WS_KEY WS_VERSION "\r\n");
    assert_non_null(p.request.websocket_key.base);
    parsed_free(&p);
}

static void odd_upgrades_are_no_upgrades(void **state)
{
    static const char *const cases[] = {
        GET H "Upgrade: websocket\r\n" WS_KEY WS_VERSION "\r\n",
        GET H "Connection: Upgrade\r\n" WS_KEY WS_VERSION "\r\n",
        GET H WS WS_KEY "Sec-WebSocket-Version: 777\r\n\r\n",
        GET H WS WS_KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n",
        GET H WS WS_KEY WS_VERSION WS_VERSION "\r\n",
        GET H WS WS_KEY "\r\n",
        GET H WS WS_VERSION "\r\n",
        GET H WS WS_KEY WS_KEY WS_VERSION "\r\n",
        GET H WS "Sec-WebSocket-Key: short\r\n" WS_VERSION "\r\n",
        GET H WS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ!=\r\n" WS_VERSION "\r\n",
        GET H
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        GET H "Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n" WS_KEY WS_VERSION "\r\n",
        GET H "Upgrade: websocketx\r\nConnection: Upgrade\r\n" WS_KEY WS_VERSION "\r\n",
        POST WS WS_KEY WS_VERSION "\r\n",
        GET H WS WS_KEY WS_VERSION "Content-Length: 3\r\n\r\n",
        GET H WS WS_KEY WS_VERSION "Transfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.0\r\n" WS WS_KEY WS_VERSION "\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p = good(cases[i]);
        if (p.request.websocket_key.base != NULL)
            fail_msg("case %zu passed: %s", i, cases[i]);
        parsed_free(&p);
    }
}

static void a_dripping_head_is_found_at_the_same_place(void **state)
{
    static const char text[] = GET H "X: y\r\n\r\nGET";
    struct ht1_scan scan = {0, 0, 0};

    for (size_t len = 1; len < sizeof(text) - 4; len++)
        assert_int_equal(ht1_scan(&scan, text, len), 0);
    assert_int_equal(ht1_scan(&scan, text, sizeof(text) - 4), sizeof(text) - 4);
    assert_int_equal(scan.num_lines, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_taken_apart),
        cmocka_unit_test(obs_text_in_values_passes),
        cmocka_unit_test(absolute_form_overrides_host),
        cmocka_unit_test(the_other_forms_are_taken),
        cmocka_unit_test(framing_is_read),
        cmocka_unit_test(persistence_is_read),
        cmocka_unit_test(connection_fields_are_gone),
        cmocka_unit_test(underscores_and_proxy_are_dropped),
        cmocka_unit_test(websocket_requests_are_seen),
        cmocka_unit_test(odd_upgrades_are_no_upgrades),
        cmocka_unit_test(a_dripping_head_is_found_at_the_same_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

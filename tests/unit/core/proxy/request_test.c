/* A request's way through the data plane: forwarding, failing, trying again. */
#include "tests/unit/lib/dataplane_fixture.h"

/* ---- forwarding ---- */

static void a_request_reaches_the_upstream_and_its_answer_comes_back(void **state)
{
    apply("");
    const char *response = ask("GET", "/up/x?y=1", "x-mine: a\r\nx-forwarded-for: 6.6.6.6\r\nconnection: x-mine\r\n");
    assert_int_equal(status_of(response), 200);
    assert_has(response, "x-up: 1");
    assert_has(response, "GET /up/x?y=1 HTTP/1.1\r\n");
    assert_has(response, "host: shop.example:99\r\n");
    assert_has(response, "x-forwarded-for: 127.0.0.1\r\n");
    assert_has(response, "x-forwarded-proto: http\r\n");
    assert_has(response, "x-request-id: ");
    assert_has(response, "traceparent: 00-");
    assert_has_not(response, "x-mine: a"); /* nominated by Connection */
    assert_has_not(response, "6.6.6.6");
}

static void every_cause_has_its_status(void **state)
{
    apply("");
    assert_status("/nothing", 404);
    assert_status("/missing", 500);
    assert_status("/dead", 502);
    assert_status("/die", 502);
    assert_status("/garbage", 502);
    assert_status("/up%2f..", 400);
    assert_int_equal(status_of(ask("TRACE", "/up", "")), 405);
    assert_has(ask("GET", "/dead", "accept: application/json\r\n"), "{\"error\":{\"status\":502,");
    assert_has(ask("GET", "/dead", "accept: text/html\r\n"), "<h1>502 Bad Gateway</h1>");
    assert_has(ask("GET", "/dead", "content-type: application/grpc\r\n"), "grpc-status: 14");
}

static void a_truncated_answer_is_cut_not_completed(void **state)
{
    apply("");
    const char *response = ask("GET", "/short", "");
    assert_has(response, "content-length: 100");
    assert_int_equal(strlen(strstr(response, "\r\n\r\n") + 4), 5);
}

static void filters_change_what_they_are_told_to(void **state)
{
    apply("{\"matches\":[{\"path\":\"/mod\"}],\"filters\":{"
          "\"requestHeaders\":{\"set\":[{\"name\":\"x-a\",\"value\":\"set\"}],\"remove\":[{\"name\":\"x-gone\"}]},"
          "\"responseHeaders\":{\"remove\":[{\"name\":\"x-up\"}],\"add\":[{\"name\":\"x-down\",\"value\":\"2\"}]},"
          "\"rewrite\":{\"hostname\":\"new.example\",\"pathMod\":\"prefix\",\"path\":\"/up\"}},"
          "\"backends\":[{\"cluster\":\"service/default/up:80\",\"filters\":{\"requestHeaders\":{\"add\":["
          "{\"name\":\"x-b\",\"value\":\"added\"}]}}}]},"
          "{\"matches\":[{\"path\":\"/move\"}],\"filters\":{\"redirect\":{\"scheme\":\"https\",\"status\":301}}},");
    const char *response = ask("GET", "/mod/z?q", "x-gone: 1\r\nx-a: client\r\n");
    assert_has(response, "GET /up/z?q HTTP/1.1\r\n");
    assert_has(response, "host: new.example\r\n");
    assert_has(response, "x-a: set\r\n");
    assert_has(response, "x-b: added\r\n");
    assert_has(response, "x-down: 2\r\n");
    assert_has_not(response, "x-gone");
    assert_has_not(response, "client");
    assert_has_not(response, "x-up: 1");
    response = ask("GET", "/move/me?1", "");
    assert_int_equal(status_of(response), 301);
    assert_has(response, "location: https://shop.example/move/me?1\r\n");
}

static void a_body_goes_both_ways(void **state)
{
    char request[20000], body[16384];
    int len;

    apply("");
    memset(body, 'b', sizeof(body));
    len = snprintf(request, sizeof(request), "POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%.*s",
                   sizeof(body), (int)sizeof(body), body);
    const char *response = ask_raw(request, (size_t)len);
    assert_int_equal(status_of(response), 200);
    assert_memory_equal(strstr(response, "\r\n\r\n") + 4, body, sizeof(body));
}

static void a_websocket_is_a_tunnel(void **state)
{
    static const char request[] = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char bytes[5] = "";

    apply("");
    int fd = connect_to(port);
    assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
    assert_true(read_line(fd, answer, sizeof(answer)));
    assert_int_equal(status_of(answer), 101);
    while (read_line(fd, answer, sizeof(answer)) && strcmp(answer, "\r\n") != 0)
        ;
    assert_int_equal(write(fd, "ping", 4), 4);
    assert_true(read_exactly(fd, bytes, 4));
    assert_string_equal(bytes, "ping");
    shutdown(fd, SHUT_WR);
    assert_string_equal(read_all(fd), "");
}

/* ---- failing and trying again ---- */

static void a_dead_endpoint_costs_no_request(void **state)
{
    static const char post[] = "POST /half HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";

    apply("");
    for (int i = 0; i < 30; i++)
        assert_status("/half", 200);
    for (int i = 0; i < 30; i++) /* nothing of it had been sent: any method, body and all */
        assert_has(ask_raw(post, sizeof(post) - 1), "\r\n\r\nhello");
}

/* No route to it, a socket file that is gone: the kernel says so at once. */
static void an_endpoint_that_cannot_even_be_tried_costs_no_request(void **state)
{
    begin_document(RULE("/nowhere", "nowhere") "," RULE("/somewhere", "somewhere") ",");
    add_resource("cluster", "service/default/nowhere:80", "{\"host\":\"nowhere\"}");
    add_resource("endpoints", "service/default/nowhere:80", "{\"endpoints\":[{\"host\":\"255.255.255.255\",\"port\":9}]}");
    add_resource("cluster", "service/default/somewhere:80", "{\"host\":\"somewhere\"}");
    add_resource("endpoints", "service/default/somewhere:80",
                 "{\"endpoints\":[{\"host\":\"255.255.255.255\",\"port\":9},{\"host\":\"127.0.0.1\",\"port\":%u}]}", upstream.port);
    send_document();
    for (int i = 0; i < 30; i++)
        assert_status("/somewhere", 200);
    assert_status("/nowhere", 502);
}

static void only_what_may_be_repeated_is_repeated(void **state)
{
    static const char post[] = "POST /die-when-reused HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx";

    apply("");
    for (int i = 0; i < 10; i++)
        assert_status("/die-when-reused", 200);
    unsigned failed = 0;
    for (int i = 0; i < 10; i++) {
        unsigned before = atomic_load(&upstream.num_requests);
        failed += status_of(ask_raw(post, sizeof(post) - 1)) == 502;
        assert_int_equal(atomic_load(&upstream.num_requests), before + 1);
    }
    assert_true(failed > 0);
}

static void the_limit_of_requests_answers_at_once(void **state)
{
    static const char request[] = "GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    begin_document("");
    add_resource("route", "httproute/default/few",
                 "{\"ns\":\"default\",\"object\":\"few\",\"attachments\":[{\"listener\":\"127.0.0.1:%u\",\"server\":\"default/gw/%u\","
                 "\"hostnames\":[\"few.example\"]}],\"rules\":[" RULE("/", "few") "]}",
                 port, port);
    add_cluster("few", ",\"maxRequests\":1", upstream.port, 0);
    send_document();
    static const char held[] = "GET /hold HTTP/1.1\r\nHost: few.example\r\nConnection: close\r\n\r\n";
    int fd = connect_to(port);
    assert_int_equal(write(fd, held, sizeof(held) - 1), sizeof(held) - 1);
    TURN_UNTIL(main_worker, atomic_load(&upstream.num_held) == 1);
    const char *response = ask_raw(held, sizeof(held) - 1);
    assert_int_equal(status_of(response), 503);
    assert_has(response, "retry-after: 1\r\n");
    atomic_store(&upstream.may_go, true);
    assert_int_equal(status_of(read_all(fd)), 200);
    assert_int_equal(status_of(ask_raw(request, sizeof(request) - 1)), 200);
}

static void a_request_that_waits_gets_the_connection_that_becomes_free(void **state)
{
    static const char held[] = "GET /hold HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n";
    int fds[4];

    begin_document("");
    add_resource("route", "httproute/default/one",
                 "{\"ns\":\"default\",\"object\":\"one\",\"attachments\":[{\"listener\":\"127.0.0.1:%u\",\"server\":\"default/gw/%u\","
                 "\"hostnames\":[\"one.example\"]}],\"rules\":[" RULE("/", "one") "]}",
                 port, port);
    add_cluster("one", ",\"maxConnections\":1", upstream.port, 0);
    send_document();
    for (int i = 0; i < 4; i++) {
        fds[i] = connect_to(port);
        assert_int_equal(write(fds[i], held, sizeof(held) - 1), sizeof(held) - 1);
    }
    TURN_UNTIL(main_worker, atomic_load(&upstream.num_held) >= 1);
    atomic_store(&upstream.may_go, true);
    for (int i = 0; i < 4; i++)
        assert_int_equal(status_of(read_all(fds[i])), 200);
}

static void a_rules_timeouts_end_what_takes_too_long(void **state)
{
    apply("{\"matches\":[{\"path\":\"/hold\",\"headers\":[{\"name\":\"x-t\",\"value\":\"b\"}]}],\"backendTimeoutMs\":50,"
          "\"backends\":[{\"cluster\":\"service/default/up:80\"}]},"
          "{\"matches\":[{\"path\":\"/hold\",\"headers\":[{\"name\":\"x-t\",\"value\":\"r\"}]}],\"requestTimeoutMs\":50,"
          "\"backends\":[{\"cluster\":\"service/default/up:80\"}]},");
    assert_has(ask("GET", "/hold", "x-t: b\r\n"), "504 Gateway Timeout: the backend did not finish in time");
    assert_has(ask("GET", "/hold", "x-t: r\r\n"), "504 Gateway Timeout: the request did not finish in time");
    assert_has(ask("GET", "/hold", "content-type: application/grpc\r\ngrpc-timeout: 50m\r\n"), "grpc-status: 4");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_reaches_the_upstream_and_its_answer_comes_back),
        TEST(every_cause_has_its_status),
        TEST(a_truncated_answer_is_cut_not_completed),
        TEST(filters_change_what_they_are_told_to),
        TEST(a_body_goes_both_ways),
        TEST(a_websocket_is_a_tunnel),
        TEST(a_dead_endpoint_costs_no_request),
        TEST(an_endpoint_that_cannot_even_be_tried_costs_no_request),
        TEST(only_what_may_be_repeated_is_repeated),
        TEST(the_limit_of_requests_answers_at_once),
        TEST(a_request_that_waits_gets_the_connection_that_becomes_free),
        TEST(a_rules_timeouts_end_what_takes_too_long),
    };

    return cmocka_run_group_tests(tests, start_upstream, stop_upstream);
}

/* Configurations that come and go under requests, draining, and what the data plane tells of itself. */
#include "tests/unit/lib/dataplane_fixture.h"

/* ---- configurations ---- */

static void a_new_configuration_serves_at_once(void **state)
{
    apply("");
    assert_status("/new", 404);
    apply(RULE("/new", "up") ",");
    assert_status("/new", 200);
}

static void a_request_ends_under_the_configuration_it_began_with(void **state)
{
    static const char request[] = "GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    apply("");
    int fd = connect_to(port);
    assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
    TURN_UNTIL(main_worker, atomic_load(&upstream.num_held) == 1);
    for (int i = 0; i < 5; i++)
        apply(i % 2 ? "" : RULE("/new", "up") ",");
    atomic_store(&upstream.may_go, true);
    assert_int_equal(status_of(read_all(fd)), 200);
}

static void what_cannot_be_prepared_is_rejected_and_the_old_serves_on(void **state)
{
    apply("");
    begin_document("");
    add_resource("listener", "127.0.0.1:1",
                 "{\"address\":\"127.0.0.1\",\"port\":1,\"protocol\":\"https\",\"servers\":[{\"name\":\"default/gw/x\"}]}");
    send_document();
    assert_false(last.is_applied);
    assert_has(last_why, "listener 127.0.0.1:1");
    assert_status("/up", 200);
}

static void a_port_that_is_taken_is_reported_and_the_others_serve(void **state)
{
    struct sockaddr_storage addr;
    socklen_t len;
    int taken = net_tcp_listen(&addr, &len);

    begin_document("");
    add_listener(port_of(&addr));
    send_document();
    assert_true(last.is_applied);
    assert_int_equal(last_open, 1);
    assert_has(last_listener_why, "Address already in use");
    assert_status("/up", 200);
    assert_true(px_dataplane_is_ready(dataplane));
    close(taken);
}

static void listeners_come_and_go(void **state)
{
    apply("");
    assert_true(is_refused(port2));
    begin_document("");
    add_listener(port2);
    send_document();
    int fd = connect_to(port2);
    assert_true(fd >= 0);
    close(fd);
    apply("");
    /* each worker closes its own socket when it takes the configuration; the result says that all have */
    assert_true(is_refused(port2));
    assert_status("/up", 200);
}

static void on_drained(void *data)
{
    *(bool *)data = true;
}

static void draining_finishes_what_runs_and_takes_nothing_new(void **state)
{
    static const char request[] = "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n";
    bool is_drained = false;

    apply("");
    int fd = connect_to(port);
    assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
    TURN_UNTIL(main_worker, atomic_load(&upstream.num_held) == 1);
    px_dataplane_drain(dataplane, 20000, on_drained, &is_drained);
    assert_false(px_dataplane_is_ready(dataplane));
    TURN_UNTIL(main_worker, is_refused(port));
    assert_false(is_drained);
    atomic_store(&upstream.may_go, true);
    assert_has(read_all(fd), "connection: close\r\n");
    TURN_UNTIL(main_worker, is_drained);
}

static void draining_cuts_what_does_not_end(void **state)
{
    static const char request[] = "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n";
    bool is_drained = false;

    apply("");
    int fd = connect_to(port);
    assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
    TURN_UNTIL(main_worker, atomic_load(&upstream.num_held) == 1);
    px_dataplane_drain(dataplane, 10, on_drained, &is_drained);
    TURN_UNTIL(main_worker, is_drained);
    assert_string_equal(read_all(fd), "");
}

static void who_was_let_in_before_the_listener_went_is_served(void **state)
{
    static const char request[] = "GET /up HTTP/1.1\r\nHost: a\r\n\r\n";
    bool is_drained = false;

    begin_document("");
    add_listener(port2);
    add_resource("route", "httproute/default/two",
                 "{\"ns\":\"default\",\"object\":\"two\",\"attachments\":[{\"listener\":\"127.0.0.1:%u\",\"server\":\"default/gw/%u\"}],"
                 "\"rules\":[" RULE("/up", "up") "]}",
                 port2, port2);
    send_document();
    int first = connect_to(port), second = connect_to(port2);
    apply(""); /* port2 goes: its connection has not asked anything yet */
    assert_int_equal(write(second, request, sizeof(request) - 1), sizeof(request) - 1);
    assert_int_equal(status_of(read_all(second)), 200);
    px_dataplane_drain(dataplane, 20000, on_drained, &is_drained);
    TURN_UNTIL(main_worker, is_refused(port));
    assert_int_equal(write(first, request, sizeof(request) - 1), sizeof(request) - 1);
    const char *response = read_all(first);
    assert_int_equal(status_of(response), 200);
    assert_has(response, "connection: close\r\n");
    TURN_UNTIL(main_worker, is_drained);
}

/* ---- limits of a listener ---- */

static void apply_client(const char *client)
{
    client_settings = client;
    apply("");
}

static void base_and_listener_make_the_limits(void **state)
{
    struct cfg_client client = {.has_idle_timeout = true, .has_stream_idle_timeout = true, .stream_idle_timeout_ms = 7,
                                .max_requests = 3, .max_streams = 4, .stream_window = 70000, .connection_window = 80000};
    struct cfg_listener listener = {.client = &client};
    struct px_listener_config config = {.listener = &listener};
    struct ht_limits limits = px_config_client_limits(&config, &ht_limits_default);

    assert_int_equal(limits.idle_timeout_ms, 0);
    assert_int_equal(limits.stream_idle_timeout_ms, 7);
    assert_int_equal(limits.body_idle_timeout_ms, 7);
    assert_int_equal(limits.write_idle_timeout_ms, 7);
    assert_int_equal(limits.tunnel_idle_timeout_ms, 7);
    assert_int_equal(limits.head_timeout_ms, ht_limits_default.head_timeout_ms);
    assert_int_equal(limits.max_requests_per_conn, 3);
    assert_int_equal(limits.max_concurrent_streams, 4);
    assert_int_equal(limits.stream_window, 70000);
    assert_int_equal(limits.conn_window, 80000);
    listener.client = NULL;
    limits = px_config_client_limits(&config, &ht_limits_default);
    assert_int_equal(limits.idle_timeout_ms, ht_limits_default.idle_timeout_ms);
    assert_int_equal(limits.stream_idle_timeout_ms, ht_limits_default.stream_idle_timeout_ms);
    assert_int_equal(limits.max_requests_per_conn, ht_limits_default.max_requests_per_conn);
    assert_int_equal(limits.max_concurrent_streams, ht_limits_default.max_concurrent_streams);
    assert_int_equal(limits.conn_window, ht_limits_default.conn_window);
}

/* A whole answer with a Content-Length; the connection stays. */
static void read_answer(int fd)
{
    char bytes[4096];
    size_t len = 0, whole = SIZE_MAX;

    while (len < whole) {
        ssize_t got = read(fd, bytes + len, sizeof(bytes) - 1 - len);
        assert_true(got > 0);
        bytes[len += (size_t)got] = '\0';
        const char *end = strstr(bytes, "\r\n\r\n"), *length = strcasestr(bytes, "content-length: ");
        if (end != NULL && length != NULL)
            whole = (size_t)(end + 4 - bytes) + strtoul(length + 16, NULL, 10);
    }
}

static void connections_keep_the_limits_they_began_with(void **state)
{
    static const char request[] = "GET /up HTTP/1.1\r\nHost: a\r\n\r\n";
    char byte;

    apply("");
    int old = connect_to(port);
    assert_int_equal(write(old, request, sizeof(request) - 1), sizeof(request) - 1);
    read_answer(old);
    apply_client("{\"idleTimeoutMs\":50}");
    int new = connect_to(port);
    assert_int_equal(write(new, request, sizeof(request) - 1), sizeof(request) - 1);
    assert_int_equal(status_of(read_all(new)), 200); /* to its end, which the new clock makes */
    assert_int_equal(recv(old, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(write(old, request, sizeof(request) - 1), sizeof(request) - 1);
    read_answer(old);
    close(old);
}

static void a_listener_takes_no_more_than_its_connections(void **state)
{
    static const char request[] = "GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    int held[2];

    apply_client("{\"maxConnections\":2}");
    for (unsigned i = 0; i < 2; i++) {
        held[i] = connect_to(port);
        assert_int_equal(write(held[i], request, sizeof(request) - 1), sizeof(request) - 1);
    }
    TURN_UNTIL(main_worker, atomic_load(&upstream.num_held) == 2);
    assert_string_equal(read_all(connect_to(port)), "");
    apply_client("{\"maxConnections\":3}"); /* those that are there count on */
    assert_status("/up", 200);
    atomic_store(&upstream.may_go, true);
    assert_int_equal(status_of(read_all(held[0])), 200);
    assert_int_equal(status_of(read_all(held[1])), 200);
    apply_client("{\"maxConnections\":1}");
    TURN_UNTIL(main_worker, px_dataplane_num_conns(dataplane) == 0);
    assert_status("/up", 200);
}

static void a_listener_has_its_own_trust(void **state)
{
    apply_client("{\"trustedProxies\":[\"127.0.0.0/8\"]}");
    assert_has(ask("GET", "/up", "x-forwarded-for: 203.0.113.9\r\n"), "x-forwarded-for: 203.0.113.9, 127.0.0.1\r\n");
    apply_client("{\"trustedHops\":1}");
    assert_has(ask("GET", "/up", "x-forwarded-for: 203.0.113.9\r\n"), "x-forwarded-for: 203.0.113.9, 127.0.0.1\r\n");
    apply_client("{\"trustedHops\":0}");
    assert_has(ask("GET", "/up", "x-forwarded-for: 203.0.113.9\r\n"), "x-forwarded-for: 127.0.0.1\r\n");
}

/* ---- what is told ---- */

static struct strbuf seen;

static void on_collected(const struct px_collection *collection, void *data)
{
    strbuf_reset(&seen);
    px_render_metrics(dataplane, collection, &seen);
    px_render_clusters(collection, &seen);
    *(bool *)data = true;
}

static const char *look(void)
{
    bool is_done = false;

    px_collect(dataplane, on_collected, &is_done);
    TURN_UNTIL(main_worker, is_done);
    return seen.base;
}

static void metrics_count_what_happened(void **state)
{
    apply("");
    for (int i = 0; i < 3; i++)
        assert_status("/up", 200);
    assert_status("/dead", 502);
    const char *text = look();
    assert_has(text, "selvedge_requests_total{route=\"httproute/default/r\",backend=\"service/default/up:80\",code_class=\"2xx\"} 3\n");
    assert_has(text, "selvedge_failures_total{cause=\"connect_failed\"} 1\n");
    assert_has(text, "selvedge_ready 1\n");
    assert_has(text, "{\"name\":\"service/default/up:80\",\"panic\":false,");
    strbuf_clear(&seen);
}

static void failed_checks_take_an_endpoint_out(void **state)
{
    static const char check[] = ",\"check\":{\"kind\":\"tcp\",\"intervalMs\":10,\"unhealthyThreshold\":2}";
    char want[128];

    begin_document(RULE("/checked", "checked") ",");
    add_cluster("checked", check, dead_port, upstream.port);
    send_document();
    snprintf(want, sizeof(want), "selvedge_upstream_healthy{cluster=\"service/default/checked:80\",endpoint=\"127.0.0.1:%u\"} 0\n",
             dead_port);
    TURN_UNTIL(main_worker, strstr(look(), want) != NULL);
    for (int i = 0; i < 10; i++)
        assert_status("/checked", 200);
    snprintf(want, sizeof(want), "selvedge_upstream_requests_total{cluster=\"service/default/checked:80\",endpoint=\"127.0.0.1:%u\"} 0\n",
             dead_port);
    assert_has(look(), want);
    strbuf_clear(&seen);
}

static void a_cluster_in_panic_uses_what_it_has(void **state)
{
    static const char check[] = ",\"check\":{\"kind\":\"http\",\"path\":\"/die\",\"intervalMs\":10,\"unhealthyThreshold\":1}";

    begin_document(RULE("/checked", "checked") ",");
    add_cluster("checked", check, upstream.port, 0);
    send_document();
    TURN_UNTIL(main_worker, strstr(look(), "selvedge_cluster_panic{cluster=\"service/default/checked:80\"} 1\n") != NULL);
    assert_status("/checked", 200);
    strbuf_clear(&seen);
}

static void every_request_leaves_a_line_with_its_cause(void **state)
{
    char path[512], *text;
    FILE *file;

    apply("");
    assert_status("/dead", 502);
    (void)ask_raw("nonsense\r\n\r\n", 12);
    snprintf(path, sizeof(path), "%s/access.log", dir);
    dataplane = px_dataplane_free(dataplane); /* writes what is buffered */
    file = fopen(path, "r");
    assert_non_null(file);
    text = xcalloc(1, 8192);
    assert_true(fread(text, 1, 8191, file) > 0);
    fclose(file);
    assert_has(text, "\"path\":\"/dead\"");
    assert_has(text, "\"cause\":\"connect_failed\"");
    assert_has(text, "\"route\":\"httproute/default/r\"");
    assert_has(text, "\"cause\":\"bad_request\"");
    struct arena *arena = arena_new(0);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        struct err err = ERR_INIT;
        if (json_parse(arena, slice_of(line), &err) == NULL)
            fail_msg("%s: %s", line, err.text);
    }
    arena_free(arena);
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_configuration_serves_at_once),
        TEST(a_request_ends_under_the_configuration_it_began_with),
        TEST(what_cannot_be_prepared_is_rejected_and_the_old_serves_on),
        TEST(a_port_that_is_taken_is_reported_and_the_others_serve),
        TEST(listeners_come_and_go),
        TEST(draining_finishes_what_runs_and_takes_nothing_new),
        TEST(draining_cuts_what_does_not_end),
        TEST(who_was_let_in_before_the_listener_went_is_served),
        TEST(base_and_listener_make_the_limits),
        TEST(connections_keep_the_limits_they_began_with),
        TEST(a_listener_takes_no_more_than_its_connections),
        TEST(a_listener_has_its_own_trust),
        TEST(metrics_count_what_happened),
        TEST(failed_checks_take_an_endpoint_out),
        TEST(a_cluster_in_panic_uses_what_it_has),
        TEST(every_request_leaves_a_line_with_its_cause),
    };

    return cmocka_run_group_tests(tests, start_upstream, stop_upstream);
}

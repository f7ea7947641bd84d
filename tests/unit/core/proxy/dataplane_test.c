/* The data plane in this process: real workers, real sockets, an upstream of blocking threads whose paths say how it
 * behaves. Configurations are documents as the control plane would send them. */
#include "core/proxy/dataplane.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/net/listen.h"
#include "core/net/resolver.h"
#include "core/proxy/telemetry/collect.h"
#include "core/proxy/telemetry/render.h"
#include "core/route/decide.h"
#include "tests/unit/lib/net_probe.h"
#include "tests/unit/lib/tempdir.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the upstream ---- */

static struct {
    int fd;
    uint16_t port;
    atomic_uint num_conns, num_requests, num_held;
    atomic_bool may_go; /* for /hold */
} upstream;

struct upstream_request {
    char head[16384];
    char method[16], path[1024];
    char *body;
    size_t body_len;
};

static bool read_exactly(int fd, char *out, size_t len)
{
    while (len != 0) {
        ssize_t n = read(fd, out, len);
        if (n <= 0)
            return false;
        out += n;
        len -= (size_t)n;
    }
    return true;
}

static bool read_line(int fd, char *out, size_t cap)
{
    size_t len = 0;

    while (len + 1 < cap && read_exactly(fd, out + len, 1))
        if (out[len++] == '\n') {
            out[len] = '\0';
            return true;
        }
    return false;
}

static void read_chunks(int fd, struct upstream_request *r)
{
    char line[64];

    while (read_line(fd, line, sizeof(line))) {
        size_t len = strtoul(line, NULL, 16);
        r->body = xrealloc(r->body, r->body_len + len + 2);
        if (!read_exactly(fd, r->body + r->body_len, len + 2) || len == 0)
            return;
        r->body_len += len;
    }
}

static bool read_request(int fd, struct upstream_request *r)
{
    size_t len = 0;

    memset(r, 0, sizeof(*r));
    while (len < 4 || memcmp(r->head + len - 4, "\r\n\r\n", 4) != 0)
        if (len + 1 >= sizeof(r->head) || !read_exactly(fd, r->head + len++, 1))
            return false;
    if (sscanf(r->head, "%15s %1023s", r->method, r->path) != 2)
        return false;
    char *length = strcasestr(r->head, "content-length:");
    if (length != NULL) {
        r->body_len = strtoul(length + 15, NULL, 10);
        r->body = xmalloc(r->body_len);
        return read_exactly(fd, r->body, r->body_len);
    }
    if (strcasestr(r->head, "transfer-encoding: chunked") != NULL)
        read_chunks(fd, r);
    return true;
}

static void respond(int fd, const char *body, size_t len)
{
    char head[128];
    int head_len = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\nx-up: 1\r\n\r\n", len);

    if (write(fd, head, (size_t)head_len) != head_len)
        return;
    for (ssize_t n; len != 0; body += n, len -= (size_t)n)
        if ((n = write(fd, body, len)) <= 0)
            return;
}

static void hold(void)
{
    atomic_fetch_add(&upstream.num_held, 1);
    while (!atomic_load(&upstream.may_go))
        usleep(1000); /* a barrier the test opens */
}

static void tunnel(int fd)
{
    char bytes[256];
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                               "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    if (write(fd, head, sizeof(head) - 1) < 0)
        return;
    for (ssize_t n; (n = read(fd, bytes, sizeof(bytes))) > 0;)
        if (write(fd, bytes, (size_t)n) != n)
            return;
}

/* False: the connection ends. */
static bool serve(int fd, const struct upstream_request *r, unsigned count)
{
    if (strcmp(r->path, "/die") == 0)
        return false;
    if (strcmp(r->path, "/die-when-reused") == 0 && count > 1)
        return false;
    if (strcmp(r->path, "/garbage") == 0)
        return write(fd, "no such thing as HTTP\r\n\r\n", 25) < 0;
    if (strcmp(r->path, "/short") == 0)
        return write(fd, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", 46) < 0;
    if (strcmp(r->path, "/ws") == 0) {
        tunnel(fd);
        return false;
    }
    if (strcmp(r->path, "/hold") == 0)
        hold();
    if (r->body_len != 0)
        respond(fd, r->body, r->body_len);
    else
        respond(fd, r->head, strlen(r->head));
    return true;
}

static void *serve_conn(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct upstream_request *r = xmalloc(sizeof(*r));
    bool goes_on = true;

    for (unsigned count = 1; goes_on && read_request(fd, r); count++) {
        atomic_fetch_add(&upstream.num_requests, 1);
        goes_on = serve(fd, r, count);
        free(r->body);
        r->body = NULL;
    }
    free(r->body);
    free(r);
    close(fd);
    return NULL;
}

static void *serve_all(void *arg)
{
    for (;;) {
        int fd = accept(upstream.fd, NULL, NULL);
        pthread_t thread;
        if (fd < 0)
            return NULL;
        atomic_fetch_add(&upstream.num_conns, 1);
        if (pthread_create(&thread, NULL, serve_conn, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
    }
}

static uint16_t port_of(const struct sockaddr_storage *addr)
{
    return ntohs(((const struct sockaddr_in *)addr)->sin_port);
}

/* A port nobody listens on at this moment. */
static uint16_t free_port(void)
{
    struct sockaddr_storage addr;
    socklen_t len;

    close(net_tcp_listen(&addr, &len));
    return port_of(&addr);
}

/* ---- the world ---- */

static struct net_worker *main_worker;
static struct px_dataplane *dataplane;
static uint16_t port, port2, dead_port;
static char *dir;
static struct px_result last;
static char last_why[1024], last_listener_why[256];
static unsigned num_results, last_open;

static void on_result(const struct px_result *result, void *data)
{
    last = *result;
    last_open = 0;
    snprintf(last_why, sizeof(last_why), "%s", result->why != NULL ? result->why : "");
    last_listener_why[0] = '\0';
    for (uint32_t i = 0; i < result->num_listeners; i++) {
        last_open += result->listeners[i].is_open;
        if (!result->listeners[i].is_open)
            snprintf(last_listener_why, sizeof(last_listener_why), "%s", result->listeners[i].why);
    }
    ++num_results;
}

static struct cfg_document *doc;

static void add_resource(const char *kind, const char *name, const char *fmt, ...) _printf_(3, 4);
static void add_resource(const char *kind, const char *name, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT;
    struct err err = ERR_INIT;
    va_list args;

    va_start(args, fmt);
    strbuf_vaddf(&text, fmt, args);
    va_end(args);
    struct json *spec = json_parse(doc->arena, strbuf_slice(&text), &err);
    if (spec == NULL)
        fail_msg("%s: %s", text.base, err.text);
    cfg_document_add(doc, slice_of(kind), slice_of(name), 1, spec);
    strbuf_clear(&text);
}

static void add_listener(uint16_t at)
{
    char name[32];

    snprintf(name, sizeof(name), "127.0.0.1:%u", at);
    add_resource("listener", name,
                 "{\"address\":\"127.0.0.1\",\"port\":%u,\"servers\":[{\"name\":\"default/gw/%u\",\"hostname\":\"\"}]}", at, at);
}

static void add_cluster(const char *name, const char *more, uint16_t first, uint16_t second)
{
    char full[64], other[64] = "";

    snprintf(full, sizeof(full), "service/default/%s:80", name);
    if (second != 0)
        snprintf(other, sizeof(other), ",{\"host\":\"127.0.0.1\",\"port\":%u}", second);
    add_resource("cluster", full, "{\"host\":\"%s.default\"%s}", name, more);
    add_resource("endpoints", full, "{\"endpoints\":[{\"host\":\"127.0.0.1\",\"port\":%u}%s]}", first, other);
}

#define RULE(path, cluster) "{\"matches\":[{\"path\":\"" path "\"}],\"backends\":[{\"cluster\":\"service/default/" cluster ":80\"}]}"

/* `rules`: more of them, each followed by a comma. */
static void begin_document(const char *rules)
{
    doc = cfg_document_new();
    add_resource("settings", "node", "{\"accessLog\":\"%s/access.log\"}", dir);
    add_listener(port);
    add_resource("route", "httproute/default/r",
                 "{\"ns\":\"default\",\"object\":\"r\",\"attachments\":[{\"listener\":\"127.0.0.1:%u\",\"server\":\"default/gw/%u\"}],"
                 "\"rules\":[%s" RULE("/up", "up") "," RULE("/die", "up") "," RULE("/die-when-reused", "up") "," RULE(
                     "/garbage", "up") "," RULE("/short", "up") "," RULE("/ws", "up") "," RULE("/hold", "up") "," RULE("/dead",
                                                                                                                  "dead") "," RULE("/half", "half") ","
                 "{\"matches\":[{\"path\":\"/missing\"}],\"backends\":[{\"cluster\":\"\"}]}]}",
                 port, port, rules);
    add_cluster("up", "", upstream.port, 0);
    add_cluster("dead", "", dead_port, 0);
    add_cluster("half", "", dead_port, upstream.port);
}

static void send_document(void)
{
    struct err err = ERR_INIT;
    unsigned before = num_results;

    assert_int_equal(cfg_document_seal(doc, &err), 0);
    struct cfg_snapshot *snapshot = rt_snapshot_build(doc, &err);
    if (snapshot == NULL)
        fail_msg("%s", err.text);
    doc = cfg_document_free(doc);
    px_dataplane_apply(dataplane, snapshot, on_result, NULL);
    TURN_UNTIL(main_worker, num_results > before);
}

static void apply(const char *rules)
{
    begin_document(rules);
    send_document();
    if (!last.is_applied)
        fail_msg("rejected: %s", last_why);
}

static int setup(void **state)
{
    struct px_options options = {.num_workers = 2};

    dir = tempdir_new();
    atomic_store(&upstream.may_go, false);
    atomic_store(&upstream.num_held, 0);
    port = free_port();
    port2 = free_port();
    dead_port = free_port();
    main_worker = net_worker_new(0, 0, 0);
    dataplane = px_dataplane_new(main_worker, &options);
    return 0;
}

static int teardown(void **state)
{
    atomic_store(&upstream.may_go, true);
    dataplane = px_dataplane_free(dataplane);
    net_resolver_stop();
    net_jobs_stop();
    main_worker = net_worker_free(main_worker);
    tempdir_free(dir);
    return 0;
}

/* ---- the client ---- */

static int connect_to(uint16_t at)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(at), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval timeout = {20, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool is_refused(uint16_t at)
{
    int fd = connect_to(at);

    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static char answer[256 * 1024];

static const char *read_all(int fd)
{
    size_t len = 0;

    for (ssize_t n; (n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0;)
        len += (size_t)n;
    answer[len] = '\0';
    close(fd);
    return answer;
}

static const char *ask_raw(const char *request, size_t len)
{
    int fd = connect_to(port);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, request, len), len);
    return read_all(fd);
}

/* `headers` each with CRLF. */
static const char *ask(const char *method, const char *path, const char *headers)
{
    char request[2048];
    int len = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: shop.example:99\r\nConnection: close\r\n%s\r\n", method,
                       path, headers);

    return ask_raw(request, (size_t)len);
}

static unsigned status_of(const char *response)
{
    unsigned status = 0;

    (void)sscanf(response, "HTTP/1.1 %u", &status);
    return status;
}

static void assert_status(const char *path, unsigned want)
{
    const char *response = ask("GET", path, "");

    if (status_of(response) != want)
        fail_msg("%s: want %u, got: %s", path, want, response);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("'%s' is not in: %s", part, text);
}

static void assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("'%s' is in: %s", part, text);
}

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

/* libh2o keeps a few freed pool chunks per thread for reuse and never gives them back: harmless, for workers live as long
 * as the process, but here threads end with every test. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle";
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
        TEST(only_what_may_be_repeated_is_repeated),
        TEST(the_limit_of_requests_answers_at_once),
        TEST(a_request_that_waits_gets_the_connection_that_becomes_free),
        TEST(a_rules_timeouts_end_what_takes_too_long),
        TEST(a_new_configuration_serves_at_once),
        TEST(a_request_ends_under_the_configuration_it_began_with),
        TEST(what_cannot_be_prepared_is_rejected_and_the_old_serves_on),
        TEST(a_port_that_is_taken_is_reported_and_the_others_serve),
        TEST(listeners_come_and_go),
        TEST(draining_finishes_what_runs_and_takes_nothing_new),
        TEST(draining_cuts_what_does_not_end),
        TEST(who_was_let_in_before_the_listener_went_is_served),
        TEST(metrics_count_what_happened),
        TEST(failed_checks_take_an_endpoint_out),
        TEST(a_cluster_in_panic_uses_what_it_has),
        TEST(every_request_leaves_a_line_with_its_cause),
    };
    struct sockaddr_storage addr;
    socklen_t len;
    pthread_t thread;

    signal(SIGPIPE, SIG_IGN);
    log_init("test", LOG_ERROR);
    upstream.fd = net_tcp_listen(&addr, &len);
    upstream.port = port_of(&addr);
    int flags = fcntl(upstream.fd, F_GETFL);
    fcntl(upstream.fd, F_SETFL, flags & ~O_NONBLOCK);
    if (pthread_create(&thread, NULL, serve_all, NULL) != 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    shutdown(upstream.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    return failed;
}

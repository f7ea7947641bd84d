/* A dataplane in this process, an upstream in threads that does what paths say, and a client of plain sockets. */
#ifndef SELVEDGE_TESTS_DATAPLANE_FIXTURE_H
#define SELVEDGE_TESTS_DATAPLANE_FIXTURE_H

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

/* libh2o keeps a few freed pool chunks per thread for reuse and never gives them back: harmless, for workers live as long
 * as the process, but here threads end with every test. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle";
}

/* ---- the upstream ---- */

static struct {
    int fd;
    uint16_t port;
    pthread_t thread;
    atomic_uint num_conns, num_requests, num_held;
    atomic_bool may_go; /* for /hold */
} upstream;

struct upstream_request {
    char head[16384];
    char method[16], path[1024];
    char *body;
    size_t body_len;
};

static inline bool read_exactly(int fd, char *out, size_t len)
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

static inline bool read_line(int fd, char *out, size_t cap)
{
    size_t len = 0;

    while (len + 1 < cap && read_exactly(fd, out + len, 1))
        if (out[len++] == '\n') {
            out[len] = '\0';
            return true;
        }
    return false;
}

static inline void read_chunks(int fd, struct upstream_request *r)
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

static inline bool read_request(int fd, struct upstream_request *r)
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

static inline void respond(int fd, const char *body, size_t len)
{
    char head[128];
    int head_len = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\nx-up: 1\r\n\r\n", len);

    if (write(fd, head, (size_t)head_len) != head_len)
        return;
    for (ssize_t n; len != 0; body += n, len -= (size_t)n)
        if ((n = write(fd, body, len)) <= 0)
            return;
}

static inline void hold(void)
{
    atomic_fetch_add(&upstream.num_held, 1);
    while (!atomic_load(&upstream.may_go))
        usleep(1000); /* a barrier the test opens */
}

static inline void tunnel(int fd)
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
static inline bool serve(int fd, const struct upstream_request *r, unsigned count)
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

static inline void *serve_conn(void *arg)
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

static inline void *serve_all(void *arg)
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

static inline uint16_t port_of(const struct sockaddr_storage *addr)
{
    return ntohs(((const struct sockaddr_in *)addr)->sin_port);
}

/* Of a group of tests. */
static inline int start_upstream(void **state)
{
    struct sockaddr_storage addr;
    socklen_t len;

    signal(SIGPIPE, SIG_IGN);
    log_init("test", LOG_ERROR);
    upstream.fd = net_tcp_listen(&addr, &len);
    upstream.port = port_of(&addr);
    fcntl(upstream.fd, F_SETFL, fcntl(upstream.fd, F_GETFL) & ~O_NONBLOCK);
    return pthread_create(&upstream.thread, NULL, serve_all, NULL);
}

static inline int stop_upstream(void **state)
{
    shutdown(upstream.fd, SHUT_RDWR);
    return pthread_join(upstream.thread, NULL);
}

/* A port nobody listens on at this moment. */
static inline uint16_t free_port(void)
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

static inline void on_result(const struct px_result *result, void *data)
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

static inline void add_resource(const char *kind, const char *name, const char *fmt, ...) _printf_(3, 4);
static inline void add_resource(const char *kind, const char *name, const char *fmt, ...)
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

/* What the next listeners say of clients: {…}. */
static const char *client_settings = "{}";

static inline void add_listener(uint16_t at)
{
    char name[32];

    snprintf(name, sizeof(name), "127.0.0.1:%u", at);
    add_resource("listener", name,
                 "{\"address\":\"127.0.0.1\",\"port\":%u,\"client\":%s,\"servers\":[{\"name\":\"default/gw/%u\",\"hostname\":\"\"}]}", at,
                 client_settings, at);
}

static inline void add_cluster(const char *name, const char *more, uint16_t first, uint16_t second)
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
static inline void begin_document(const char *rules)
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

static inline void send_document(void)
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

static inline void apply(const char *rules)
{
    begin_document(rules);
    send_document();
    if (!last.is_applied)
        fail_msg("rejected: %s", last_why);
}

static inline int setup(void **state)
{
    struct px_options options = {.num_workers = 2};

    client_settings = "{}";
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

static inline int teardown(void **state)
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

static inline int connect_to(uint16_t at)
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

static inline bool is_refused(uint16_t at)
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

static inline unsigned status_of(const char *response)
{
    unsigned status = 0;

    (void)sscanf(response, "HTTP/1.1 %u", &status);
    return status;
}

static inline void assert_status(const char *path, unsigned want)
{
    const char *response = ask("GET", path, "");

    if (status_of(response) != want)
        fail_msg("%s: want %u, got: %s", path, want, response);
}

static inline void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("'%s' is not in: %s", part, text);
}

static inline void assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("'%s' is in: %s", part, text);
}

#endif

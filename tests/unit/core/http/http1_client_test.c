/* The HTTP/1 client engine against an upstream played by the test: honest, slow and lying ones. */
#include "core/http/http.h"

#include "core/base/clock.h"
#include "tests/unit/lib/net_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* One call and what came of it. */
struct attempt {
    struct ht_call call;
    h2o_mem_pool_t pool;
    struct ht_headers headers;
    struct strbuf body;
    unsigned num_infos, num_heads, num_ends, num_fails, num_writables;
    enum ht_fail fail;
    const char *detail;
    size_t take;
    bool resume_in_body, cancel_in_head, cancel_in_body;
    struct attempt *then; /* started by on_end */
};

struct world {
    struct net_worker *worker;
    int listener, peer;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    struct ht_client_conn *conn;
    unsigned num_ready, num_available, num_gone;
    enum ht_fail gone_fail;
    struct strbuf got; /* what the upstream received since it last looked */
    bool is_eof;
    struct attempt a, b;
};

static struct world *w;

static struct attempt *attempt_of(struct ht_call *call)
{
    return CONTAINER_OF(call, struct attempt, call);
}

/* ---- the call's callbacks ---- */

static void on_info(struct ht_call *call, unsigned status, const struct ht_headers *headers)
{
    ++attempt_of(call)->num_infos;
}

static void on_head(struct ht_call *call)
{
    struct attempt *a = attempt_of(call);

    ++a->num_heads;
    if (a->cancel_in_head)
        ht_call_cancel(call);
}

static size_t on_body(struct ht_call *call, const char *bytes, size_t len)
{
    struct attempt *a = attempt_of(call);
    size_t taken = MIN(len, a->take);

    strbuf_add(&a->body, bytes, taken);
    if (a->resume_in_body)
        ht_call_resume(call);
    if (a->cancel_in_body)
        ht_call_cancel(call);
    return taken;
}

static void on_end(struct ht_call *call)
{
    struct attempt *a = attempt_of(call);

    assert_null(call->conn);
    ++a->num_ends;
    if (a->then != NULL && w->conn->capacity != 0)
        ht_call_start(w->conn, &a->then->call);
}

static void on_writable(struct ht_call *call)
{
    ++attempt_of(call)->num_writables;
}

static void on_fail(struct ht_call *call, enum ht_fail fail, const char *detail)
{
    struct attempt *a = attempt_of(call);

    assert_null(call->conn);
    assert_int_equal(w->num_gone, 1); /* the owner knows before a retry looks for a connection */
    ++a->num_fails;
    a->fail = fail;
    a->detail = detail;
}

static const struct ht_call_ops call_ops = {on_info, on_head, on_body, on_end, on_writable, on_fail};

/* ---- the connection's callbacks ---- */

static void on_ready(struct ht_client_conn *conn)
{
    ++w->num_ready;
}

static void on_available(struct ht_client_conn *conn)
{
    assert_int_equal(conn->capacity, 1);
    ++w->num_available;
}

static void on_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail)
{
    assert_int_equal(conn->capacity, 0);
    ++w->num_gone;
    w->gone_fail = fail;
    w->conn = NULL;
}

static const struct ht_client_ops client_ops = {on_ready, on_available, on_gone};

/* ---- the world ---- */

static void attempt_init(struct attempt *a)
{
    *a = (struct attempt){.take = SIZE_MAX};
    h2o_mem_init_pool(&a->pool);
    a->call.ops = &call_ops;
    a->call.pool = &a->pool;
    a->call.method = SLICE("GET");
    a->call.scheme = SLICE("http");
    a->call.authority = SLICE("a.example");
    a->call.target = SLICE("/");
    a->call.request_headers = &a->headers;
    a->call.request_length = -1;
}

static void attempt_clear(struct attempt *a)
{
    ht_call_cancel(&a->call);
    strbuf_clear(&a->body);
    h2o_mem_clear_pool(&a->pool);
}

static void turns(void)
{
    for (int i = 0; i < 8; i++)
        net_worker_turn(w->worker, 0);
}

static void connect_to(const struct ht_client_config *config)
{
    struct err err;

    w->conn = ht_client_connect(w->worker, (struct sockaddr *)&w->addr, w->addr_len, config, &client_ops,
                                NULL, &err);
    assert_non_null(w->conn);
    w->peer = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(w->peer >= 0);
}

static void connect_plain(void)
{
    connect_to(&(struct ht_client_config){.protocol = HT_CLIENT_HTTP1, .max_head_bytes = 64 * 1024});
}

static int setup(void **state)
{
    w = xcalloc(1, sizeof(*w));
    w->worker = net_worker_new(0, 0, 0);
    w->listener = net_tcp_listen(&w->addr, &w->addr_len);
    w->peer = -1;
    attempt_init(&w->a);
    attempt_init(&w->b);
    return 0;
}

static int setup_connected(void **state)
{
    setup(state);
    connect_plain();
    turns();
    assert_int_equal(w->num_ready, 1);
    return 0;
}

static int teardown(void **state)
{
    attempt_clear(&w->a);
    attempt_clear(&w->b);
    turns();
    if (w->conn != NULL)
        ht_client_close(w->conn);
    turns();
    clock_fake(0, 0);
    assert_int_equal(w->worker->mem_used, 0);
    if (w->peer >= 0)
        close(w->peer);
    close(w->listener);
    net_worker_free(w->worker);
    strbuf_clear(&w->got);
    free(w);
    return 0;
}

static void collect(void)
{
    char buf[65536];
    ssize_t len;

    turns();
    while ((len = recv(w->peer, buf, sizeof(buf), 0)) > 0) {
        strbuf_add(&w->got, buf, (size_t)len);
        turns();
    }
    w->is_eof = len == 0 || (len < 0 && errno == ECONNRESET);
}

/* All the upstream received since the last time. */
static const char *received(void)
{
    strbuf_reset(&w->got);
    collect();
    strbuf_addc(&w->got, '\0');
    --w->got.len;
    return w->got.base;
}

static void says_n(const char *bytes, size_t len)
{
    while (len != 0) {
        ssize_t sent = send(w->peer, bytes, len, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            len -= (size_t)sent;
        } else if (errno != EAGAIN) {
            break;
        }
        turns();
    }
    turns();
}

static void says(const char *text)
{
    says_n(text, strlen(text));
}

/* In order: a close with unread bytes would be a reset. */
static void hangs_up(void)
{
    received();
    close(w->peer);
    w->peer = -1;
    turns();
}

static void starts(struct attempt *a)
{
    ht_call_start(w->conn, &a->call);
    turns();
}

static void reconnect(void **state)
{
    teardown(state);
    setup_connected(state);
}

#define assert_body(a, text)                                                                                 \
    do {                                                                                                     \
        strbuf_addc(&(a)->body, '\0');                                                                       \
        --(a)->body.len;                                                                                     \
        assert_string_equal((a)->body.base, (text));                                                         \
    } while (0)

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

/* ---- lying upstreams ---- */

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

static void a_refused_connection_fails_its_calls_unsent(void **state)
{
    struct ht_client_config config = {.protocol = HT_CLIENT_HTTP1};
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
        TEST(lies_fail_the_call_and_end_the_connection),
        TEST(bytes_behind_the_response_end_the_connection),
        TEST(junk_while_idle_ends_the_connection),
        TEST(a_close_while_idle_is_noticed),
        TEST(interim_answers_are_counted),
        TEST(a_long_head_is_too_large),
        TEST(an_answer_before_the_question_is_refused),
        TEST(an_early_answer_ends_the_call_and_the_connection),
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
        TEST_UNCONNECTED(a_peer_without_tls_is_a_tls_failure),
        TEST(a_websocket_becomes_a_tunnel),
        TEST(a_websocket_without_a_key_gets_one),
        TEST(an_upgrade_that_is_refused_is_a_response),
        TEST(connect_becomes_a_tunnel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

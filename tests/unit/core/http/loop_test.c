/* Our client against our server on one worker: every protocol, plain and with TLS, large bodies both ways
 * through a handler and a caller that take only a little at a time. What went in comes out, and memory stays
 * bounded. */
#include "core/http/http.h"

#include "core/base/clock.h"
#include "core/net/listen.h"
#include "core/net/tls_context.h"
#include "tests/unit/lib/certs.h"
#include "tests/unit/lib/net_probe.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { BODY_LEN = 3 * 1000 * 1000, MEM_MAX = 8 * 1024 * 1024 };

struct world {
    struct net_worker *worker;
    struct net_listener *listener;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    struct test_cert cert;
    struct net_tls_server *tls_server;
    struct net_tls_client *tls_client;
    struct list server_conns;
    struct ht_client_conn *conn;
    unsigned num_server_conns, num_exchanges, num_available;
    size_t mem_max;
    uint32_t random;
};

static struct world *w;

/* 1 to `max`, but no more than there is. */
static size_t some(size_t max, size_t there_is)
{
    w->random = w->random * 1664525 + 1013904223;
    size_t len = 1 + (w->random >> 8) % max;
    return MIN(len, there_is);
}

static void note_memory(void)
{
    w->mem_max = MAX(w->mem_max, w->worker->mem_used);
}

/* ---- the server: sends back what it gets ---- */

struct echo {
    struct net_post resume;
    struct ht_exchange *x;
    bool is_blocked, is_resumed_later;
};

static void resume_later(struct net_post *post)
{
    ht_exchange_resume(CONTAINER_OF(post, struct echo, resume)->x);
}

static void on_request(struct ht_exchange *x)
{
    struct echo *echo = h2o_mem_alloc_pool(&x->pool, sizeof(*echo));

    ++w->num_exchanges;
    *echo = (struct echo){.x = x};
    net_post_init(&echo->resume, resume_later);
    x->data = echo;
    ht_exchange_head(x, 200, NULL, slice_is(x->target, "/sized") ? x->content_length : -1);
    if (x->has_body)
        ht_exchange_resume(x);
    else
        ht_exchange_end(x, NULL);
}

static size_t on_body(struct ht_exchange *x, const char *bytes, size_t len)
{
    struct echo *echo = x->data;
    size_t taken = some(30000, len);

    note_memory();
    if (echo->is_blocked)
        return 0;
    echo->is_blocked = !ht_exchange_body(x, &(struct iovec){(char *)bytes, taken}, 1);
    if (taken < len && !echo->is_blocked)
        net_post(w->worker, &echo->resume);
    return taken;
}

static void on_body_end(struct ht_exchange *x)
{
    ht_exchange_end(x, &x->trailers);
}

static void on_writable(struct ht_exchange *x)
{
    struct echo *echo = x->data;

    echo->is_blocked = false;
    ht_exchange_resume(x);
}

static void on_close(struct ht_exchange *x, enum ht_close why)
{
    net_post_cancel(&((struct echo *)x->data)->resume);
    assert_int_equal(why, HT_CLOSE_DONE);
}

static const struct ht_handler handler = {on_request, on_body, on_body_end, on_writable, on_close, NULL};

static void on_conn_closed(struct ht_server_conn *conn)
{
    --w->num_server_conns;
}

static bool on_accept(struct net_listener *listener, int fd)
{
    SSL_CTX *ctx = w->tls_server != NULL ? net_tls_server_ctx(w->tls_server) : NULL;
    struct ht_server_conn *conn = ht_server_accept(w->worker, fd, ctx, &handler, &ht_limits_default, NULL,
                                                   on_conn_closed);

    ++w->num_server_conns;
    list_push(&w->server_conns, &conn->link);
    return true;
}

/* ---- the client ---- */

struct attempt {
    struct ht_call call;
    h2o_mem_pool_t pool;
    struct ht_headers headers;
    struct net_post resume;
    size_t num_sent, num_got, body_len;
    bool is_blocked, is_done, is_failed;
    enum ht_fail fail;
    const char *detail;
};

static char byte_at(size_t at)
{
    return (char)(at * 31 + at / 251);
}

static void send_some(struct attempt *a)
{
    static char block[40000];

    note_memory();
    for (int i = 0; i < 4 && !a->is_blocked && a->num_sent < a->body_len; i++) {
        size_t len = some(sizeof(block), a->body_len - a->num_sent);
        for (size_t j = 0; j < len; j++)
            block[j] = byte_at(a->num_sent + j);
        a->num_sent += len;
        a->is_blocked = !ht_call_body(&a->call, &(struct iovec){block, len}, 1);
        if (a->num_sent == a->body_len)
            ht_call_end(&a->call, NULL);
    }
}

static void on_call_info(struct ht_call *call, unsigned status, const struct ht_headers *headers)
{
}

static void on_call_head(struct ht_call *call)
{
    assert_int_equal(call->status, 200);
}

static size_t on_call_body(struct ht_call *call, const char *bytes, size_t len)
{
    struct attempt *a = CONTAINER_OF(call, struct attempt, call);
    size_t taken = some(50000, len);

    note_memory();
    for (size_t i = 0; i < taken; i++)
        if (bytes[i] != byte_at(a->num_got + i))
            fail_msg("another byte at %zu", a->num_got + i);
    a->num_got += taken;
    if (taken < len)
        net_post(w->worker, &a->resume);
    return taken;
}

static void resume_call(struct net_post *post)
{
    ht_call_resume(&CONTAINER_OF(post, struct attempt, resume)->call);
}

static void on_call_end(struct ht_call *call)
{
    CONTAINER_OF(call, struct attempt, call)->is_done = true;
}

static void on_call_writable(struct ht_call *call)
{
    CONTAINER_OF(call, struct attempt, call)->is_blocked = false;
}

static void on_call_fail(struct ht_call *call, enum ht_fail fail, const char *detail)
{
    struct attempt *a = CONTAINER_OF(call, struct attempt, call);

    a->is_done = a->is_failed = true;
    a->fail = fail;
    a->detail = detail;
}

static const struct ht_call_ops call_ops = {on_call_info, on_call_head,     on_call_body,
                                            on_call_end,  on_call_writable, on_call_fail};

static void on_ready(struct ht_client_conn *conn)
{
}

static void on_available(struct ht_client_conn *conn)
{
    ++w->num_available;
}

static void on_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail)
{
    if (w->conn == conn)
        w->conn = NULL;
}

static const struct ht_client_ops client_ops = {on_ready, on_available, on_gone};

static void attempt_start(struct attempt *a, const char *target, size_t body_len, bool is_sized)
{
    *a = (struct attempt){.body_len = body_len};
    h2o_mem_init_pool(&a->pool);
    net_post_init(&a->resume, resume_call);
    a->call.ops = &call_ops;
    a->call.pool = &a->pool;
    a->call.method = SLICE("POST");
    a->call.scheme = w->tls_client != NULL ? SLICE("https") : SLICE("http");
    a->call.authority = SLICE("a.example");
    a->call.target = slice_of(target);
    a->call.request_headers = &a->headers;
    a->call.request_length = is_sized ? (int64_t)body_len : -1;
    a->call.has_body = body_len != 0;
    ht_call_start(w->conn, &a->call);
}

static void attempt_finish(struct attempt *a)
{
    if (a->is_failed)
        fail_msg("failed %d: %s", (int)a->fail, a->detail);
    assert_int_equal(a->num_got, a->body_len);
    net_post_cancel(&a->resume);
    h2o_mem_clear_pool(&a->pool);
}

static void run_calls(struct attempt *attempts, size_t num)
{
    uint64_t deadline = clock_mono_ms() + 60000;

    for (size_t num_done = 0; num_done < num;) {
        num_done = 0;
        for (size_t i = 0; i < num; i++) {
            if (!attempts[i].is_done)
                send_some(&attempts[i]);
            num_done += attempts[i].is_done;
        }
        net_worker_turn(w->worker, 1);
        assert_true(clock_mono_ms() < deadline);
    }
    for (size_t i = 0; i < num; i++)
        attempt_finish(&attempts[i]);
}

/* ---- the world ---- */

static int setup(void **state)
{
    int fd;

    w = xcalloc(1, sizeof(*w));
    w->random = 7;
    w->worker = net_worker_new(0, 0, 0);
    list_init(&w->server_conns);
    fd = net_tcp_listen(&w->addr, &w->addr_len);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        return -1;
    w->listener = net_listener_new(w->worker, fd, on_accept, NULL);
    return 0;
}

static void use_tls(bool no_http2)
{
    const char *const dns[] = {"a.example", NULL};
    struct err err = ERR_INIT;

    test_cert_make(&w->cert, NULL, &(struct test_cert_spec){.dns = dns, .is_ca = true});
    struct net_tls_pair pair = {slice_of(w->cert.cert_pem), slice_of(w->cert.key_pem), "test"};
    struct net_tls_host host = {"", &pair, 1};
    struct net_tls_server_config server = {
        .name = "test", .hosts = &host, .num_hosts = 1, .alpn = no_http2 ? NET_TLS_ALPN_HTTP1 : NET_TLS_ALPN_BOTH};
    struct net_tls_client_config client = {.ca_pem = slice_of(w->cert.cert_pem), .hostname = "a.example"};
    w->tls_server = net_tls_server_new(&server, &err);
    if (w->tls_server == NULL)
        fail_msg("%s", err.text);
    w->tls_client = net_tls_client_new(&client, &err);
    if (w->tls_client == NULL)
        fail_msg("%s", err.text);
}

static void connects(enum ht_client_protocol protocol)
{
    struct ht_client_config config = {.protocol = protocol, .sni = "a.example"};
    struct err err;

    if (w->tls_client != NULL)
        config.tls = net_tls_client_ctx(w->tls_client);
    w->conn = ht_client_connect(w->worker, (struct sockaddr *)&w->addr, w->addr_len, &config, &client_ops,
                                NULL, &err);
    assert_non_null(w->conn);
}

static int teardown(void **state)
{
    if (w->conn != NULL)
        ht_client_close(w->conn);
    LIST_FOR_SAFE(conn, &w->server_conns, struct ht_server_conn, link)
    ht_server_close(conn);
    net_listener_close(w->listener);
    TURN_UNTIL(w->worker, w->num_server_conns == 0);
    for (int i = 0; i < 8; i++)
        net_worker_turn(w->worker, 0);
    assert_int_equal(w->worker->mem_used, 0);
    net_worker_free(w->worker);
    net_tls_server_unref(w->tls_server);
    net_tls_client_unref(w->tls_client);
    test_cert_clear(&w->cert);
    free(w);
    return 0;
}

static void run_all(enum ht_client_protocol protocol, enum ht_version want)
{
    struct attempt attempts[4];

    connects(protocol);
    attempt_start(&attempts[0], "/sized", BODY_LEN, true);
    run_calls(attempts, 1);
    assert_int_equal(w->conn->version, want);
    attempt_start(&attempts[0], "/chunked", BODY_LEN, false);
    run_calls(attempts, 1);
    attempt_start(&attempts[0], "/mixed", BODY_LEN, true);
    run_calls(attempts, 1);
    attempt_start(&attempts[0], "/empty", 0, false);
    run_calls(attempts, 1);
    if (want == HT_HTTP2) {
        for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
            attempt_start(&attempts[i], "/together", BODY_LEN / 4, i % 2);
        run_calls(attempts, ARRAY_LEN(attempts));
    }
    assert_int_equal(w->num_server_conns, 1); /* one connection served them all */
    assert_true(w->mem_max < MEM_MAX);
}

static void http1_plain(void **state)
{
    run_all(HT_CLIENT_HTTP1, HT_HTTP11);
}

static void http1_tls(void **state)
{
    use_tls(false);
    run_all(HT_CLIENT_HTTP1, HT_HTTP11);
}

static void http2_plain(void **state)
{
    run_all(HT_CLIENT_HTTP2, HT_HTTP2);
}

static void http2_tls(void **state)
{
    use_tls(false);
    run_all(HT_CLIENT_HTTP2, HT_HTTP2);
}

static void alpn_chooses_http2(void **state)
{
    use_tls(false);
    run_all(HT_CLIENT_ALPN, HT_HTTP2);
}

static void alpn_falls_back_to_http1(void **state)
{
    use_tls(true);
    run_all(HT_CLIENT_ALPN, HT_HTTP11);
}

static void http2_where_there_is_none_fails_as_tls(void **state)
{
    struct attempt a;

    use_tls(true);
    connects(HT_CLIENT_HTTP2);
    attempt_start(&a, "/", 0, false);
    TURN_UNTIL(w->worker, a.is_done);
    assert_true(a.is_failed);
    assert_int_equal(a.fail, HT_FAIL_TLS);
    assert_true(a.call.is_unsent);
    assert_null(w->conn);
    h2o_mem_clear_pool(&a.pool);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(http1_plain),
        TEST(http1_tls),
        TEST(http2_plain),
        TEST(http2_tls),
        TEST(alpn_chooses_http2),
        TEST(alpn_falls_back_to_http1),
        TEST(http2_where_there_is_none_fails_as_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

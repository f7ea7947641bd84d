/* An HTTP/1.1 client connection to an upstream that says what a test wants, and calls that write down what they saw. */
#ifndef SELVEDGE_TESTS_HTTP1_CLIENT_FIXTURE_H
#define SELVEDGE_TESTS_HTTP1_CLIENT_FIXTURE_H

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

static inline struct attempt *attempt_of(struct ht_call *call)
{
    return CONTAINER_OF(call, struct attempt, call);
}

/* ---- the call's callbacks ---- */

static inline void on_info(struct ht_call *call, unsigned status, const struct ht_headers *headers)
{
    ++attempt_of(call)->num_infos;
}

static inline void on_head(struct ht_call *call)
{
    struct attempt *a = attempt_of(call);

    ++a->num_heads;
    if (a->cancel_in_head)
        ht_call_cancel(call);
}

static inline size_t on_body(struct ht_call *call, const char *bytes, size_t len)
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

static inline void on_end(struct ht_call *call)
{
    struct attempt *a = attempt_of(call);

    assert_null(call->conn);
    ++a->num_ends;
    if (a->then != NULL && w->conn->capacity != 0)
        ht_call_start(w->conn, &a->then->call);
}

static inline void on_writable(struct ht_call *call)
{
    ++attempt_of(call)->num_writables;
}

static inline void on_fail(struct ht_call *call, enum ht_fail fail, const char *detail)
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

static inline void on_ready(struct ht_client_conn *conn)
{
    ++w->num_ready;
}

static inline void on_available(struct ht_client_conn *conn)
{
    assert_int_equal(conn->capacity, 1);
    ++w->num_available;
}

static inline void on_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail)
{
    assert_int_equal(conn->capacity, 0);
    ++w->num_gone;
    w->gone_fail = fail;
    w->conn = NULL;
}

static const struct ht_client_ops client_ops = {on_ready, on_available, on_gone};

/* ---- the world ---- */

static inline void attempt_init(struct attempt *a)
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

static inline void attempt_clear(struct attempt *a)
{
    ht_call_cancel(&a->call);
    strbuf_clear(&a->body);
    h2o_mem_clear_pool(&a->pool);
}

static inline void turns(void)
{
    for (int i = 0; i < 8; i++)
        net_worker_turn(w->worker, 0);
}

static inline void connect_to(const struct ht_client_config *config)
{
    struct err err;

    w->conn = ht_client_connect(w->worker, (struct sockaddr *)&w->addr, w->addr_len, config, &client_ops,
                                NULL, &err);
    assert_non_null(w->conn);
    w->peer = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(w->peer >= 0);
}

static inline void connect_plain(void)
{
    connect_to(&(struct ht_client_config){.protocol = HT_CLIENT_HTTP1, .max_head_bytes = 64 * 1024});
}

static inline int setup(void **state)
{
    w = xcalloc(1, sizeof(*w));
    w->worker = net_worker_new(0, 0, 0);
    w->listener = net_tcp_listen(&w->addr, &w->addr_len);
    w->peer = -1;
    attempt_init(&w->a);
    attempt_init(&w->b);
    return 0;
}

static inline int setup_connected(void **state)
{
    setup(state);
    connect_plain();
    turns();
    assert_int_equal(w->num_ready, 1);
    return 0;
}

static inline int teardown(void **state)
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

static inline void collect(void)
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

static inline void says_n(const char *bytes, size_t len)
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

static inline void says(const char *text)
{
    says_n(text, strlen(text));
}

/* In order: a close with unread bytes would be a reset. */
static inline void hangs_up(void)
{
    received();
    close(w->peer);
    w->peer = -1;
    turns();
}

static inline void starts(struct attempt *a)
{
    ht_call_start(w->conn, &a->call);
    turns();
}

static inline void reconnect(void **state)
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

#endif

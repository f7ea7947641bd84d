/* An HTTP/2 client connection, to a server of ours or to raw frames, and calls that write down what they saw. */
#ifndef SELVEDGE_TESTS_HTTP2_CLIENT_FIXTURE_H
#define SELVEDGE_TESTS_HTTP2_CLIENT_FIXTURE_H

#include "tests/unit/lib/h2_raw.h"
#include "tests/unit/lib/net_probe.h"

#include "core/base/clock.h"
#include "core/net/tls_context.h"
#include "tests/unit/lib/certs.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    DATA = 0,
    HEADERS = 1,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    WINDOW_UPDATE = 8,
    END_STREAM = 1,
    END_HEADERS = 4,
    ACK = 1,
    MAX_CALLS = 256
};

/* ---- calls that write down what they saw ---- */

struct made {
    struct ht_call call;
    h2o_mem_pool_t pool;
    struct ht_headers fields;
    struct strbuf head, body, trailers, infos;
    size_t take;
    unsigned num_writable, num_infos;
    bool is_done, is_failed;
    enum ht_fail fail;
    char detail[128];
    void (*on_head)(struct made *made);
};

static struct net_worker *worker;
static struct ht_limits limits;
static struct ht_client_conn *client;
static struct ht_server_conn *server;
static int listener;
static struct raw raw; /* the upstream of bytes */
static struct made made[MAX_CALLS];
static unsigned num_made, num_ready, num_available, num_gone, num_ended;
static enum ht_fail gone_fail;
static struct test_cert cert;
static struct net_tls_server *tls_server; /* NULL: plain */
static struct net_tls_client *tls_client;

static inline void write_fields(struct strbuf *out, const struct ht_headers *headers)
{
    for (uint32_t i = 0; i < headers->num; i++)
        strbuf_addf(out, "%.*s: %.*s\n", (int)headers->at[i].name.len, headers->at[i].name.base,
                    (int)headers->at[i].value.len, headers->at[i].value.base);
}

static inline struct made *of(struct ht_call *call)
{
    return CONTAINER_OF(call, struct made, call);
}

static inline void on_info(struct ht_call *call, unsigned status, const struct ht_headers *headers)
{
    ++of(call)->num_infos;
    strbuf_addf(&of(call)->infos, "%u\n", status);
    write_fields(&of(call)->infos, headers);
}

static inline void on_head(struct ht_call *call)
{
    strbuf_addf(&of(call)->head, "%u %d\n", call->status, (int)call->response_length);
    write_fields(&of(call)->head, &call->headers);
    if (of(call)->on_head != NULL)
        of(call)->on_head(of(call));
}

static inline size_t on_body(struct ht_call *call, const char *bytes, size_t len)
{
    size_t taken = MIN(len, of(call)->take);

    strbuf_add(&of(call)->body, bytes, taken);
    return taken;
}

static inline void on_end(struct ht_call *call)
{
    assert_false(of(call)->is_done || of(call)->is_failed);
    of(call)->is_done = true;
    ++num_ended;
    write_fields(&of(call)->trailers, &call->trailers);
}

static inline void on_writable(struct ht_call *call)
{
    ++of(call)->num_writable;
}

static inline void on_fail(struct ht_call *call, enum ht_fail fail, const char *detail)
{
    assert_false(of(call)->is_done || of(call)->is_failed);
    of(call)->is_failed = true;
    of(call)->fail = fail;
    ++num_ended;
    snprintf(of(call)->detail, sizeof(of(call)->detail), "%s", detail);
}

static const struct ht_call_ops call_ops = {on_info, on_head, on_body, on_end, on_writable, on_fail};

static inline void on_ready(struct ht_client_conn *conn)
{
    ++num_ready;
}

static inline void on_available(struct ht_client_conn *conn)
{
    ++num_available;
}

static inline void on_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail)
{
    ++num_gone;
    gone_fail = fail;
    client = NULL;
}

static const struct ht_client_ops client_ops = {on_ready, on_available, on_gone};

static inline void connect_client(void)
{
    struct sockaddr_storage addr;
    socklen_t len;
    struct err err = ERR_INIT;
    struct ht_client_config config = {.protocol = HT_CLIENT_HTTP2};

    if (tls_client != NULL)
        config = (struct ht_client_config){.protocol = HT_CLIENT_ALPN, .tls = net_tls_client_ctx(tls_client), .sni = "up.example"};
    listener = net_tcp_listen(&addr, &len);
    client = ht_client_connect(worker, (struct sockaddr *)&addr, len, &config, &client_ops, NULL, &err);
    assert_non_null(client);
}

static inline int accept_one(void)
{
    int fd;

    TURN_UNTIL(worker, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    return fd;
}

static inline void on_server_closed(struct ht_server_conn *conn)
{
    server = NULL;
}

static inline int set_up_common(void **state)
{
    worker = net_worker_new(0, 0, 0);
    limits = ht_limits_default;
    seen_reset();
    memset(made, 0, sizeof(made));
    num_made = num_ready = num_available = num_gone = num_ended = 0;
    raw = (struct raw){.worker = worker, .fd = -1};
    connect_client();
    return 0;
}

/* With our own server behind it. */
static inline int set_up(void **state)
{
    set_up_common(state);
    server = ht_server_accept(worker, accept_one(), NULL, &seen_handler, &limits, NULL, on_server_closed);
    TURN_UNTIL(worker, num_ready == 1);
    return 0;
}

/* With an upstream of bytes; it has sent its SETTINGS. */
static inline int set_up_raw(void **state)
{
    set_up_common(state);
    raw.fd = accept_one();
    raw_frame(&raw, SETTINGS, 0, 0, NULL, 0);
    raw_frame(&raw, SETTINGS, ACK, 0, NULL, 0);
    RAW_UNTIL(&raw, num_ready == 1 && raw.in.len >= 24 + 9);
    assert_memory_equal(raw.in.base, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    memmove(raw.in.base, raw.in.base + 24, raw.in.len -= 24);
    return 0;
}

static inline int tear_down(void **state)
{
    for (unsigned i = 0; i < num_made; i++)
        ht_call_cancel(&made[i].call);
    if (client != NULL)
        ht_client_close(client);
    if (raw.fd >= 0)
        close(raw.fd);
    close(listener);
    for (int i = 0; i < 200 && (i < 10 || server != NULL); i++) {
        if (i == 100 && server != NULL)
            ht_server_close(server);
        net_worker_turn(worker, 1);
    }
    assert_null(server);
    for (unsigned i = 0; i < num_made; i++) {
        h2o_mem_clear_pool(&made[i].pool);
        strbuf_clear(&made[i].head);
        strbuf_clear(&made[i].body);
        strbuf_clear(&made[i].trailers);
        strbuf_clear(&made[i].infos);
    }
    strbuf_clear(&raw.in);
    strbuf_clear(&raw.out);
    client = NULL;
    seen_reset();
    clock_fake(0, 0);
    assert_int_equal(worker->mem_used, 0);
    worker = net_worker_free(worker);
    return 0;
}

static inline struct made *prepare(const char *method, const char *path, bool has_body)
{
    struct made *now = &made[num_made++];

    h2o_mem_init_pool(&now->pool);
    now->take = SIZE_MAX;
    now->call = (struct ht_call){
        .ops = &call_ops,
        .pool = &now->pool,
        .method = slice_of(method),
        .scheme = tls_server != NULL ? SLICE("https") : SLICE("http"),
        .authority = SLICE("up.example"),
        .target = slice_of(path),
        .request_headers = &now->fields,
        .request_length = -1,
        .has_body = has_body,
    };
    return now;
}

static inline struct made *call(const char *method, const char *path, bool has_body)
{
    struct made *now = prepare(method, path, has_body);

    ht_call_start(client, &now->call);
    return now;
}

/* ---- a server handler that echoes ---- */

static inline void echo_request(struct seen *seen)
{
    struct ht_headers headers = {NULL, 0, 0};

    ht_headers_add(&seen->x->pool, &headers, SLICE("x-echo"), seen->x->target);
    ht_exchange_head(seen->x, 200, &headers, -1);
    if (!seen->x->has_body)
        ht_exchange_end(seen->x, NULL);
    else
        ht_exchange_resume(seen->x);
}

static inline size_t echo_body(struct ht_exchange *x, const char *bytes, size_t len)
{
    struct iovec iov = {(void *)bytes, len};
    struct seen *seen = x->data;

    if (seen->take == 0)
        return 0;
    if (!ht_exchange_body(x, &iov, 1))
        seen->take = 0;
    return len;
}

static inline void echo_end(struct ht_exchange *x)
{
    ht_exchange_end(x, &x->trailers);
}

static inline void echo_writable(struct ht_exchange *x)
{
    ((struct seen *)x->data)->take = SIZE_MAX;
    ht_exchange_resume(x);
}

static struct ht_handler echo_handler;

static inline int set_up_echo(void **state)
{
    set_up_common(state);
    echo_handler = seen_handler;
    echo_handler.on_body = echo_body;
    echo_handler.on_body_end = echo_end;
    echo_handler.on_writable = echo_writable;
    seen_log.on_request = echo_request;
    server = ht_server_accept(worker, accept_one(), tls_server != NULL ? net_tls_server_ctx(tls_server) : NULL,
                              &echo_handler, &limits, NULL, on_server_closed);
    TURN_UNTIL(worker, num_ready == 1);
    return 0;
}

/* The same over TLS, where ALPN chooses. */
static inline int set_up_tls(void **state)
{
    struct net_tls_pair pair;
    struct net_tls_host host = {"up.example", &pair, 1};
    struct err err = ERR_INIT;

    test_cert_make(&cert, NULL, &(struct test_cert_spec){.is_ca = true, .dns = (const char *const[]){"up.example", NULL}});
    pair = (struct net_tls_pair){slice_of(cert.cert_pem), slice_of(cert.key_pem), "test"};
    tls_server = net_tls_server_new(&(struct net_tls_server_config){.name = "l", .hosts = &host, .num_hosts = 1}, &err);
    tls_client = net_tls_client_new(
        &(struct net_tls_client_config){.ca_pem = slice_of(cert.cert_pem), .hostname = "up.example"}, &err);
    assert_true(tls_server != NULL && tls_client != NULL);
    set_up_echo(state);
    assert_int_equal(client->version, HT_HTTP2);
    return 0;
}

static inline int tear_down(void **state);

static inline int tear_down_tls(void **state)
{
    tear_down(state);
    net_tls_server_unref(tls_server);
    net_tls_client_unref(tls_client);
    tls_server = NULL;
    tls_client = NULL;
    test_cert_clear(&cert);
    return 0;
}

#endif

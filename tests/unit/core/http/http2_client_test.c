/* The HTTP/2 client against our own server, and against an upstream that sends any frames. */
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

static void write_fields(struct strbuf *out, const struct ht_headers *headers)
{
    for (uint32_t i = 0; i < headers->num; i++)
        strbuf_addf(out, "%.*s: %.*s\n", (int)headers->at[i].name.len, headers->at[i].name.base,
                    (int)headers->at[i].value.len, headers->at[i].value.base);
}

static struct made *of(struct ht_call *call)
{
    return CONTAINER_OF(call, struct made, call);
}

static void on_info(struct ht_call *call, unsigned status, const struct ht_headers *headers)
{
    ++of(call)->num_infos;
    strbuf_addf(&of(call)->infos, "%u\n", status);
    write_fields(&of(call)->infos, headers);
}

static void on_head(struct ht_call *call)
{
    strbuf_addf(&of(call)->head, "%u %d\n", call->status, (int)call->response_length);
    write_fields(&of(call)->head, &call->headers);
    if (of(call)->on_head != NULL)
        of(call)->on_head(of(call));
}

static size_t on_body(struct ht_call *call, const char *bytes, size_t len)
{
    size_t taken = MIN(len, of(call)->take);

    strbuf_add(&of(call)->body, bytes, taken);
    return taken;
}

static void on_end(struct ht_call *call)
{
    assert_false(of(call)->is_done || of(call)->is_failed);
    of(call)->is_done = true;
    ++num_ended;
    write_fields(&of(call)->trailers, &call->trailers);
}

static void on_writable(struct ht_call *call)
{
    ++of(call)->num_writable;
}

static void on_fail(struct ht_call *call, enum ht_fail fail, const char *detail)
{
    assert_false(of(call)->is_done || of(call)->is_failed);
    of(call)->is_failed = true;
    of(call)->fail = fail;
    ++num_ended;
    snprintf(of(call)->detail, sizeof(of(call)->detail), "%s", detail);
}

static const struct ht_call_ops call_ops = {on_info, on_head, on_body, on_end, on_writable, on_fail};

static void on_ready(struct ht_client_conn *conn)
{
    ++num_ready;
}

static void on_available(struct ht_client_conn *conn)
{
    ++num_available;
}

static void on_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail)
{
    ++num_gone;
    gone_fail = fail;
    client = NULL;
}

static const struct ht_client_ops client_ops = {on_ready, on_available, on_gone};

static void connect_client(void)
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

static int accept_one(void)
{
    int fd;

    TURN_UNTIL(worker, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    return fd;
}

static void on_server_closed(struct ht_server_conn *conn)
{
    server = NULL;
}

static int set_up_common(void **state)
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
static int set_up(void **state)
{
    set_up_common(state);
    server = ht_server_accept(worker, accept_one(), NULL, &seen_handler, &limits, NULL, on_server_closed,
                              slice_make(NULL, 0));
    TURN_UNTIL(worker, num_ready == 1);
    return 0;
}

/* With an upstream of bytes; it has sent its SETTINGS. */
static int set_up_raw(void **state)
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

static int tear_down(void **state)
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

static struct made *prepare(const char *method, const char *path, bool has_body)
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

static struct made *call(const char *method, const char *path, bool has_body)
{
    struct made *now = prepare(method, path, has_body);

    ht_call_start(client, &now->call);
    return now;
}

/* ---- a server handler that echoes ---- */

static void echo_request(struct seen *seen)
{
    struct ht_headers headers = {NULL, 0, 0};

    ht_headers_add(&seen->x->pool, &headers, SLICE("x-echo"), seen->x->target);
    ht_exchange_head(seen->x, 200, &headers, -1);
    if (!seen->x->has_body)
        ht_exchange_end(seen->x, NULL);
    else
        ht_exchange_resume(seen->x);
}

static size_t echo_body(struct ht_exchange *x, const char *bytes, size_t len)
{
    struct iovec iov = {(void *)bytes, len};
    struct seen *seen = x->data;

    if (seen->take == 0)
        return 0;
    if (!ht_exchange_body(x, &iov, 1))
        seen->take = 0;
    return len;
}

static void echo_end(struct ht_exchange *x)
{
    ht_exchange_end(x, &x->trailers);
}

static void echo_writable(struct ht_exchange *x)
{
    ((struct seen *)x->data)->take = SIZE_MAX;
    ht_exchange_resume(x);
}

static struct ht_handler echo_handler;

static int set_up_echo(void **state)
{
    set_up_common(state);
    echo_handler = seen_handler;
    echo_handler.on_body = echo_body;
    echo_handler.on_body_end = echo_end;
    echo_handler.on_writable = echo_writable;
    seen_log.on_request = echo_request;
    server = ht_server_accept(worker, accept_one(), tls_server != NULL ? net_tls_server_ctx(tls_server) : NULL,
                              &echo_handler, &limits, NULL, on_server_closed, slice_make(NULL, 0));
    TURN_UNTIL(worker, num_ready == 1);
    return 0;
}

/* The same over TLS, where ALPN chooses. */
static int set_up_tls(void **state)
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

static int tear_down(void **state);

static int tear_down_tls(void **state)
{
    tear_down(state);
    net_tls_server_unref(tls_server);
    net_tls_client_unref(tls_client);
    tls_server = NULL;
    tls_client = NULL;
    test_cert_clear(&cert);
    return 0;
}

/* ---- our client, our server ---- */

static void gets_an_answer(void **state)
{
    seen_log.on_request = seen_say_hello;
    struct made *now = prepare("GET", "/x", false);
    ht_headers_add(&now->pool, &now->fields, SLICE("x-a"), SLICE("1"));
    ht_headers_add(&now->pool, &now->fields, SLICE("te"), SLICE("trailers"));
    ht_headers_add(&now->pool, &now->fields, SLICE("connection"), SLICE("close"));
    ht_call_start(client, &now->call);
    assert_int_equal(client->num_active, 1);
    TURN_UNTIL(worker, now->is_done);
    assert_string_equal(seen_at(0)->head.base, "GET http up.example /x\nx-a: 1\nte: trailers\n");
    assert_memory_equal(now->head.base, "200 5\ndate: ", 12);
    assert_string_equal(now->body.base, "hello");
    assert_null(now->call.conn);
    assert_int_equal(client->num_active, 0);
    TURN_UNTIL(worker, num_available >= 1);
}

static void many_calls_share_a_connection(void **state)
{
    for (int i = 0; i < 128; i++)
        call("GET", "/", false);
    TURN_UNTIL(worker, num_ended == 128);
    for (int i = 0; i < 128; i++)
        assert_true(made[i].is_done);
    assert_int_equal(client->capacity, 128); /* what our server allows, less than the client would */
    assert_in_range(seen_log.num_requests, 128, 128);
}

static void the_capacity_is_the_lesser_limit(void **state)
{
    struct made *now = call("POST", "/", true);

    TURN_UNTIL(worker, now->head.len != 0);
    assert_int_equal(client->capacity, 127);
    ht_call_end(&now->call, NULL);
    TURN_UNTIL(worker, now->is_done);
    assert_int_equal(client->capacity, 128);
}

static void bodies_and_trailers_go_both_ways(void **state)
{
    struct made *now = call("POST", "/echo", true);
    struct ht_headers trailers = {NULL, 0, 0};
    static char bytes[10000];
    struct iovec iov = {bytes, sizeof(bytes)};
    size_t sent = 0;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7);
    while (sent < 3000000) {
        unsigned told = now->num_writable;
        sent += sizeof(bytes);
        if (!ht_call_body(&now->call, &iov, 1))
            TURN_UNTIL(worker, now->num_writable != told);
    }
    ht_headers_add(&now->pool, &trailers, SLICE("x-sum"), SLICE("abc"));
    ht_call_end(&now->call, &trailers);
    TURN_UNTIL(worker, now->is_done);
    assert_int_equal(now->body.len, sent);
    for (size_t i = 0; i < sent; i += sizeof(bytes))
        assert_memory_equal(now->body.base + i, bytes, sizeof(bytes));
    assert_string_equal(now->trailers.base, "x-sum: abc\n");
    assert_true(now->num_writable > 5);
}

/* Nobody takes the answer: the echo stalls, then the upload does, and neither end holds much. */
static void a_stuck_reader_stops_the_sender(void **state)
{
    struct made *stuck = call("POST", "/stuck", true);
    static char bytes[16384];
    struct iovec iov = {bytes, sizeof(bytes)};
    size_t sent = 0, got = 0;

    stuck->take = 0;
    for (int i = 0; i < 400; i++) {
        unsigned told = stuck->num_writable;
        if (sent == 0 || told != got) {
            got = told;
            do
                sent += sizeof(bytes);
            while (ht_call_body(&stuck->call, &iov, 1));
        }
        net_worker_turn(worker, 0);
    }
    assert_in_range(sent, 65536, 1024 * 1024);
    assert_in_range(worker->mem_used, 1, 1024 * 1024);
    struct made *other = call("GET", "/other", false);
    TURN_UNTIL(worker, other->is_done);
    stuck->take = SIZE_MAX;
    ht_call_resume(&stuck->call);
    ht_call_end(&stuck->call, NULL);
    TURN_UNTIL(worker, stuck->is_done);
    assert_int_equal(stuck->body.len, sent);
}

static void a_refused_call_is_unsent(void **state)
{
    struct made *now = call("POST", "/", true);

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_exchange_abort(seen_at(0)->x, NGHTTP2_REFUSED_STREAM);
    TURN_UNTIL(worker, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_REFUSED);
    assert_true(now->call.is_unsent);
    assert_int_equal(num_gone, 0);
}

static void a_reset_call_is_not_unsent(void **state)
{
    struct made *now = call("GET", "/", false);

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_exchange_abort(seen_at(0)->x, 0);
    TURN_UNTIL(worker, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_RESET);
    assert_false(now->call.is_unsent);
}

static void a_cancelled_call_resets_its_stream(void **state)
{
    struct made *now = call("GET", "/", false);

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_call_cancel(&now->call);
    assert_null(now->call.conn);
    TURN_UNTIL(worker, seen_at(0)->is_closed);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_PEER_RESET);
    assert_false(now->is_failed || now->is_done);
}

static void a_call_cancelled_at_once_is_never_sent(void **state)
{
    struct made *now = call("GET", "/", false), *next;

    ht_call_cancel(&now->call);
    h2o_mem_clear_pool(&now->pool);
    next = call("GET", "/next", false);
    TURN_UNTIL(worker, seen_log.num_requests == 1);
    assert_string_equal(seen_at(0)->head.base, "GET http up.example /next\n");
    (void)next;
}

static void a_drained_server_takes_running_calls_to_their_end(void **state)
{
    struct made *now = call("GET", "/", false);

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_server_drain(server);
    TURN_UNTIL(worker, num_gone == 1);
    assert_int_equal(gone_fail, HT_FAIL_REFUSED);
    seen_say_hello(seen_at(0));
    TURN_UNTIL(worker, now->is_done && server == NULL);
}

static void an_early_answer_ends_the_call(void **state)
{
    struct made *now = call("POST", "/", true);
    struct iovec iov = {"x", 1};

    seen_log.on_request = seen_say_hello;
    TURN_UNTIL(worker, now->is_done);
    assert_string_equal(now->body.base, "hello");
    assert_true(ht_call_body(&now->call, &iov, 1)); /* nobody there any more */
    TURN_UNTIL(worker, seen_at(0)->is_closed);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_DONE);
}

static void a_short_body_is_told_from_a_whole_one(void **state)
{
    struct made *now = call("GET", "/", false);
    struct iovec iov = {"abc", 3};

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_exchange_head(seen_at(0)->x, 200, NULL, 5);
    ht_exchange_body(seen_at(0)->x, &iov, 1);
    TURN_UNTIL(worker, now->body.len == 3);
    ht_exchange_end(seen_at(0)->x, NULL);
    TURN_UNTIL(worker, now->is_failed);
    assert_true(now->call.had_response);
}

static void websockets_pass_as_extended_connect(void **state)
{
    struct made *now = prepare("GET", "/chat", false);
    struct iovec iov = {"ping", 4}, back = {"pong", 4};

    now->call.upgrade = SLICE("websocket");
    ht_headers_add(&now->pool, &now->fields, SLICE("sec-websocket-key"), SLICE("abc"));
    ht_headers_add(&now->pool, &now->fields, SLICE("sec-websocket-version"), SLICE("13"));
    ht_call_start(client, &now->call);
    TURN_UNTIL(worker, seen_log.num_requests == 1);
    struct ht_exchange *x = seen_at(0)->x;
    assert_true(slice_is(x->upgrade, "websocket"));
    assert_string_equal(seen_at(0)->head.base, "GET http up.example /chat\nsec-websocket-version: 13\n");
    ht_exchange_head(x, 101, NULL, -1);
    ht_exchange_resume(x);
    TURN_UNTIL(worker, now->call.had_response);
    assert_int_equal(now->call.status, 101);
    assert_true(now->call.is_tunnel);
    ht_call_body(&now->call, &iov, 1);
    TURN_UNTIL(worker, seen_at(0)->body.len == 4);
    ht_exchange_body(x, &back, 1);
    TURN_UNTIL(worker, now->body.len == 4);
    ht_call_end(&now->call, NULL);
    TURN_UNTIL(worker, seen_at(0)->num_ends == 1);
    ht_exchange_end(x, NULL);
    TURN_UNTIL(worker, now->is_done);
}

static void interim_answers_are_passed_on(void **state)
{
    struct made *now = call("GET", "/", false);
    struct ht_headers headers = {NULL, 0, 0};

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_headers_add(&seen_at(0)->x->pool, &headers, SLICE("link"), SLICE("</a>"));
    ht_exchange_info(seen_at(0)->x, 103, &headers);
    TURN_UNTIL(worker, now->num_infos == 1);
    assert_string_equal(now->infos.base, "103\nlink: </a>\n");
    seen_say_hello(seen_at(0));
    TURN_UNTIL(worker, now->is_done);
}

static void a_lost_server_fails_all_calls(void **state)
{
    struct made *sent = call("GET", "/", false), *unsent;

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    unsent = call("GET", "/", false);
    ht_server_close(server);
    TURN_UNTIL(worker, num_ended == 2 && num_gone == 1);
    assert_int_equal(sent->fail, HT_FAIL_RESET);
    assert_false(sent->call.is_unsent);
    (void)unsent;
}

static void an_idle_connection_closes_when_asked(void **state)
{
    ht_client_close(client);
    client = NULL;
    TURN_UNTIL(worker, server == NULL);
    assert_int_equal(num_gone, 0);
}

static void a_busy_connection_closes_after_its_last_call(void **state)
{
    struct made *now = call("GET", "/", false);

    TURN_UNTIL(worker, seen_log.num_requests == 1);
    ht_client_close(client);
    client = NULL;
    seen_say_hello(seen_at(0));
    TURN_UNTIL(worker, now->is_done && server == NULL);
}

/* ---- an upstream of bytes ---- */

static void answer(uint32_t id, uint8_t flags, const char *status, const char *name, const char *value)
{
    struct strbuf block = STRBUF_INIT;

    raw_fields(&block, ":status", status, NULL);
    if (name != NULL)
        raw_fields(&block, name, value, NULL);
    raw_frame(&raw, HEADERS, flags | END_HEADERS, id, block.base, block.len);
    strbuf_clear(&block);
}

static struct made *call_raw(void)
{
    struct made *now = call("GET", "/", false);

    RAW_UNTIL(&raw, raw_count(&raw, HEADERS, 2 * num_made - 1) == 1);
    return now;
}

static void trailers_only_answers_arrive(void **state)
{
    struct made *now = call_raw();

    answer(1, END_STREAM, "200", "grpc-status", "7");
    RAW_UNTIL(&raw, now->is_done);
    assert_string_equal(now->head.base, "200 -1\ngrpc-status: 7\n");
}

struct bad_answer {
    const char *status, *name, *value;
    enum ht_fail fail;
};

static const struct bad_answer bad_answers[] = {
    {"200", "X-Upper", "1", HT_FAIL_PROTOCOL},
    {"200", "x", "a\r\nb: c", HT_FAIL_PROTOCOL},
    {"200", "x y", "1", HT_FAIL_PROTOCOL},
    {"200", "connection", "close", HT_FAIL_PROTOCOL},
    {"200", "transfer-encoding", "chunked", HT_FAIL_PROTOCOL},
    {"200", "content-length", "abc", HT_FAIL_PROTOCOL},
    {"101", NULL, NULL, HT_FAIL_PROTOCOL},
    {"20", NULL, NULL, HT_FAIL_PROTOCOL},
    {"2000", NULL, NULL, HT_FAIL_PROTOCOL},
    {"abc", NULL, NULL, HT_FAIL_PROTOCOL},
    {"000", NULL, NULL, HT_FAIL_PROTOCOL},
    {"200", ":path", "/", HT_FAIL_PROTOCOL},
};

static void malformed_answers_fail_their_call_only(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_answers); i++) {
        struct made *now = call_raw();
        uint32_t id = 2 * num_made - 1;
        answer(id, END_STREAM, bad_answers[i].status, bad_answers[i].name, bad_answers[i].value);
        RAW_UNTIL(&raw, now->is_failed || now->is_done);
        if (!now->is_failed || now->fail != bad_answers[i].fail)
            fail_msg("case %zu", i);
        RAW_UNTIL(&raw, raw_reset_code(&raw, id) == NGHTTP2_PROTOCOL_ERROR);
    }
    struct made *good = call_raw();
    answer(2 * num_made - 1, END_STREAM, "200", NULL, NULL);
    RAW_UNTIL(&raw, good->is_done);
}

static void answers_over_the_limit_fail(void **state)
{
    struct made *now = call_raw();
    struct strbuf value = STRBUF_INIT, block = STRBUF_INIT;

    for (int i = 0; i < 8000; i++)
        strbuf_addc(&value, 'v');
    raw_fields(&block, ":status", "200", NULL);
    for (int i = 0; i < 2; i++)
        raw_fields(&block, "x", value.base, NULL);
    raw_frame(&raw, HEADERS, 0, 1, block.base, block.len);
    for (int i = 0; i < 4; i++) {
        strbuf_reset(&block);
        raw_fields(&block, "x", value.base, "x", value.base, NULL);
        raw_frame(&raw, 9, i == 3 ? END_HEADERS : 0, 1, block.base, block.len);
    }
    RAW_UNTIL(&raw, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_TOO_LARGE);
    strbuf_clear(&value);
    strbuf_clear(&block);
}

static void endless_interim_answers_fail(void **state)
{
    struct made *now = call_raw();

    for (int i = 0; i < 20; i++)
        answer(1, 0, "103", NULL, NULL);
    RAW_UNTIL(&raw, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_PROTOCOL);
    assert_int_equal(now->num_infos, 16);
}

static void bodies_shorter_than_announced_fail(void **state)
{
    struct made *now = call_raw();

    answer(1, 0, "200", "content-length", "10");
    raw_frame(&raw, DATA, END_STREAM, 1, "abc", 3);
    RAW_UNTIL(&raw, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_CLOSED_EARLY);
    now = call_raw();
    answer(3, 0, "200", "content-length", "2");
    raw_frame(&raw, DATA, END_STREAM, 3, "abc", 3);
    RAW_UNTIL(&raw, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_PROTOCOL);
}

static void answers_without_a_body_keep_their_length(void **state)
{
    struct made *now = call("HEAD", "/", false);

    RAW_UNTIL(&raw, raw_count(&raw, HEADERS, 1) == 1);
    answer(1, END_STREAM, "200", "content-length", "10");
    RAW_UNTIL(&raw, now->is_done);
    assert_string_equal(now->head.base, "200 10\n");
}

static void goaway_fails_what_came_after_as_unsent(void **state)
{
    struct made *first = call_raw(), *second = call_raw();

    raw_frame(&raw, GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
    RAW_UNTIL(&raw, second->is_failed);
    assert_int_equal(second->fail, HT_FAIL_REFUSED);
    assert_true(second->call.is_unsent);
    assert_int_equal(num_gone, 1);
    assert_false(first->is_failed);
    answer(1, END_STREAM, "200", NULL, NULL);
    RAW_UNTIL(&raw, first->is_done);
    RAW_UNTIL(&raw, raw.is_eof);
}

static void an_idle_goaway_closes_the_connection(void **state)
{
    raw_frame(&raw, GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
    RAW_UNTIL(&raw, num_gone == 1 && raw.is_eof);
}

static void a_peer_limit_below_ours_holds(void **state)
{
    raw_frame(&raw, SETTINGS, 0, 0, "\0\3\0\0\0\2", 6);
    RAW_UNTIL(&raw, client->capacity == 2);
    call_raw();
    call_raw();
    assert_int_equal(client->capacity, 0);
    answer(1, END_STREAM, "200", NULL, NULL);
    num_available = 0;
    RAW_UNTIL(&raw, num_available == 1);
    assert_int_equal(client->capacity, 1);
}

static void extended_connect_needs_the_upstreams_consent(void **state)
{
    struct made *now = prepare("GET", "/chat", false);

    now->call.upgrade = SLICE("websocket");
    ht_call_start(client, &now->call);
    assert_false(now->is_failed);
    RAW_UNTIL(&raw, now->is_failed);
    assert_int_equal(now->fail, HT_FAIL_PROTOCOL);
    assert_non_null(strstr(now->detail, "8441"));
    assert_true(now->call.is_unsent);
}

static void a_flooding_upstream_is_left(void **state)
{
    struct made *now = call_raw();

    for (int i = 0; i < 1000; i++)
        raw_frame(&raw, PING, 0, 0, "12345678", 8);
    RAW_UNTIL(&raw, now->is_failed && num_gone == 1);
    assert_int_equal(now->fail, HT_FAIL_PROTOCOL);
    RAW_UNTIL(&raw, raw.is_eof);
    assert_int_equal(raw_goaway_code(&raw), NGHTTP2_ENHANCE_YOUR_CALM);
}

static void garbage_ends_the_connection(void **state)
{
    struct made *now = call_raw();

    strbuf_adds(&raw.out, "HTTP/1.1 400 Bad Request\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n");
    RAW_UNTIL(&raw, now->is_failed && num_gone == 1 && raw.is_eof);
    assert_int_equal(now->fail, HT_FAIL_PROTOCOL);
}

static void cancel_in_head(struct made *now)
{
    ht_call_cancel(&now->call);
}

static void a_call_may_be_cancelled_in_its_own_callback(void **state)
{
    struct made *now = call_raw();

    now->on_head = cancel_in_head;
    answer(1, 0, "200", NULL, NULL);
    raw_frame(&raw, DATA, 0, 1, "abc", 3);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_CANCEL);
    assert_int_equal(now->body.len, 0);
}

/* The request's trailers wait in nghttp2 when the answer ends the call and the caller frees all it lent. */
static void an_answer_may_overtake_the_end_of_the_request(void **state)
{
    struct made *now = call("POST", "/", true);
    struct ht_headers trailers = {NULL, 0, 0};
    static char bytes[60000];
    struct iovec iov = {bytes, sizeof(bytes)};

    for (int i = 0; i < 3; i++) /* more than the window */
        ht_call_body(&now->call, &iov, 1);
    ht_headers_add(&now->pool, &trailers, SLICE("x-late"), SLICE("1"));
    ht_call_end(&now->call, &trailers);
    RAW_UNTIL(&raw, raw_data_len(&raw, 1) == 65535);
    answer(1, END_STREAM, "200", NULL, NULL);
    RAW_UNTIL(&raw, now->is_done);
    h2o_mem_clear_pool(&now->pool);
    raw_frame(&raw, WINDOW_UPDATE, 0, 1, "\0\1\0\0", 4);
    RAW_UNTIL(&raw, raw_reset_code(&raw, 1) == NGHTTP2_NO_ERROR);
    for (int i = 0; i < 10; i++)
        raw_turn(&raw);
}

static void keepalive_is_asked_for_and_answered(void **state)
{
    uint64_t start_us = clock_mono_us();
    struct raw_frame ping;

    clock_fake(start_us, 1700000000000000);
    client->ping_idle_ms = 30000;
    struct made *now = call_raw();
    clock_fake(start_us + 31000000, 1700000031000000);
    RAW_UNTIL(&raw, raw_count(&raw, PING, 0) == 1);
    assert_true(raw_find(&raw, 0, PING, 0, &ping));
    raw_frame(&raw, PING, ACK, 0, ping.payload, 8);
    answer(1, 0, "103", NULL, NULL);
    RAW_UNTIL(&raw, now->num_infos == 1); /* so the answer has come, too */
    clock_fake(start_us + 62000000, 1700000062000000);
    RAW_UNTIL(&raw, raw_count(&raw, PING, 0) == 2);
    assert_false(now->is_failed);
    clock_fake(start_us + 73000000, 1700000073000000); /* no answer */
    RAW_UNTIL(&raw, now->is_failed && num_gone == 1);
    assert_int_equal(now->fail, HT_FAIL_RESET);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define E(name) cmocka_unit_test_setup_teardown(name, set_up_echo, tear_down)
#define S(name) cmocka_unit_test_setup_teardown(name, set_up_tls, tear_down_tls)
#define R(name) cmocka_unit_test_setup_teardown(name, set_up_raw, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(gets_an_answer),
        E(many_calls_share_a_connection),
        E(the_capacity_is_the_lesser_limit),
        E(bodies_and_trailers_go_both_ways),
        E(a_stuck_reader_stops_the_sender),
        S(many_calls_share_a_connection),
        S(bodies_and_trailers_go_both_ways),
        S(a_stuck_reader_stops_the_sender),
        T(a_refused_call_is_unsent),
        T(a_reset_call_is_not_unsent),
        T(a_cancelled_call_resets_its_stream),
        T(a_call_cancelled_at_once_is_never_sent),
        T(a_drained_server_takes_running_calls_to_their_end),
        T(an_early_answer_ends_the_call),
        T(a_short_body_is_told_from_a_whole_one),
        T(websockets_pass_as_extended_connect),
        T(interim_answers_are_passed_on),
        T(a_lost_server_fails_all_calls),
        T(an_idle_connection_closes_when_asked),
        T(a_busy_connection_closes_after_its_last_call),
        R(trailers_only_answers_arrive),
        R(malformed_answers_fail_their_call_only),
        R(answers_over_the_limit_fail),
        R(endless_interim_answers_fail),
        R(bodies_shorter_than_announced_fail),
        R(answers_without_a_body_keep_their_length),
        R(goaway_fails_what_came_after_as_unsent),
        R(an_idle_goaway_closes_the_connection),
        R(a_peer_limit_below_ours_holds),
        R(extended_connect_needs_the_upstreams_consent),
        R(a_flooding_upstream_is_left),
        R(garbage_ends_the_connection),
        R(a_call_may_be_cancelled_in_its_own_callback),
        R(an_answer_may_overtake_the_end_of_the_request),
        R(keepalive_is_asked_for_and_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

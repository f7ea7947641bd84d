/* Streams with TLS: a server io and a client io, joined directly or by a test that carries the bytes. */
#include "core/net/io.h"

#include "core/base/clock.h"
#include "core/net/tls_context.h"
#include "tests/unit/lib/certs.h"
#include "tests/unit/lib/net_probe.h"

#include <errno.h>
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct test_cert ca, cert;
static struct net_tls_server *tls_server;
static struct net_tls_client *tls_client;

struct world {
    struct net_worker *worker;
    struct net_probe server, client;
};

static int group_setup(void **state)
{
    static const char *dns[] = {"a.example", NULL};

    test_cert_make(&ca, NULL, &(struct test_cert_spec){.is_ca = true});
    test_cert_make(&cert, &ca, &(struct test_cert_spec){.dns = dns});
    struct net_tls_pair pair = {slice_of(cert.cert_pem), slice_of(cert.key_pem), "test"};
    struct net_tls_host host = {"", &pair, 1};
    tls_server = net_tls_server_new(&(struct net_tls_server_config){.name = "l", .hosts = &host, .num_hosts = 1}, NULL);
    tls_client = net_tls_client_new(
        &(struct net_tls_client_config){.ca_pem = slice_of(ca.cert_pem), .hostname = "a.example"}, NULL);
    return tls_server != NULL && tls_client != NULL ? 0 : -1;
}

static int group_teardown(void **state)
{
    net_tls_server_unref(tls_server);
    net_tls_client_unref(tls_client);
    test_cert_clear(&ca);
    test_cert_clear(&cert);
    return 0;
}

static int make_listener(struct sockaddr_storage *addr, socklen_t *len)
{
    return net_tcp_listen(addr, len);
}

static void join(struct net_worker *worker, struct net_probe *server, struct net_probe *client)
{
    struct sockaddr_storage addr;
    socklen_t len;
    int listener = make_listener(&addr, &len);

    net_probe_init(server);
    net_probe_init(client);
    assert_int_equal(net_io_connect(&client->io, worker, (struct sockaddr *)&addr, len, net_tls_client_ctx(tls_client),
                                    "a.example", SLICE("\x02h2"), &net_probe_ops, NULL),
                     0);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    net_io_init_server(&server->io, worker, fd, net_tls_server_ctx(tls_server), &net_probe_ops);
    close(listener);
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    w->worker = net_worker_new(0, 0, 0);
    join(w->worker, &w->server, &w->client);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    net_probe_clear(&w->server);
    net_probe_clear(&w->client);
    net_worker_turn(w->worker, 0);
    assert_int_equal(w->worker->mem_used, 0);
    net_worker_free(w->worker);
    free(w);
    return 0;
}

static void handshake(struct world *w)
{
    TURN_UNTIL(w->worker, w->server.num_readies == 1 && w->client.num_readies == 1);
}

static ssize_t say(struct net_probe *probe, const char *text)
{
    return net_io_write(&probe->io, &(struct iovec){(char *)text, strlen(text)}, 1);
}

static void both_sides_become_ready_and_talk(void **state)
{
    struct world *w = *state;

    assert_false(w->server.io.is_ready);
    handshake(w);
    assert_true(slice_is(net_io_alpn(&w->server.io), "h2"));
    assert_int_equal(say(&w->client, "ping"), 0);
    TURN_UNTIL(w->worker, w->server.got.len == 4);
    assert_int_equal(say(&w->server, "pong"), 0);
    TURN_UNTIL(w->worker, w->client.got.len == 4);
    assert_int_equal(w->server.num_errors + w->client.num_errors + w->server.num_eofs, 0);
}

static void early_writes_wait_for_the_handshake(void **state)
{
    struct world *w = *state;

    assert_int_equal(say(&w->client, "early"), 5);
    net_io_buffer(&w->client.io, " bird", 5);
    assert_int_equal(say(&w->server, "worm"), 4);
    TURN_UNTIL(w->worker, w->server.got.len == 10 && w->client.got.len == 4);
    assert_string_equal(w->server.got.base, "early bird");
    assert_int_equal(net_io_pending(&w->client.io), 0);
}

/* ---- amounts ---- */

static char *make_bytes(size_t len)
{
    char *bytes = xmalloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 13 + i / 255);
    return bytes;
}

static void large_amounts_arrive_whole_both_ways(void **state)
{
    struct world *w = *state;
    size_t len = 5 << 20;
    char *bytes = make_bytes(len);

    handshake(w);
    assert_true(net_io_write(&w->client.io, (struct iovec[]){{bytes, 7}, {bytes + 7, len - 7}}, 2) > 0);
    assert_true(net_io_write(&w->server.io, &(struct iovec){bytes, len}, 1) > 0);
    TURN_UNTIL(w->worker, w->server.got.len == len && w->client.got.len == len);
    assert_memory_equal(w->server.got.base, bytes, len);
    assert_memory_equal(w->client.got.base, bytes, len);
    TURN_UNTIL(w->worker, w->client.num_writables == 1 && w->server.num_writables == 1);
    assert_int_equal(w->worker->mem_used, 0);
    free(bytes);
}

static void a_slow_reader_bounds_memory_on_its_side(void **state)
{
    struct world *w = *state;
    size_t len = 4 << 20, seen = 0;
    char *bytes = make_bytes(len);

    handshake(w);
    w->server.take = 0;
    w->server.io.max_unread = 1000; /* far less than a record */
    net_io_write(&w->client.io, &(struct iovec){bytes, len}, 1);
    for (int i = 0; i < 50; i++)
        net_worker_turn(w->worker, 1);
    assert_int_equal(w->server.io.unread.len, 1000);
    assert_in_range(w->server.io.cipher_in.len, 0, NET_SCRATCH_SIZE);
    while (seen < len) { /* a little at a time, paused in between */
        w->server.take = 900;
        net_io_resume(&w->server.io);
        net_worker_turn(w->worker, 0);
        net_io_pause(&w->server.io);
        net_worker_turn(w->worker, 0);
        if (w->server.got.len > 300000)
            w->server.io.max_unread = 64 * 1024, w->server.take = SIZE_MAX;
        if (w->server.got.len > 600000)
            break;
        seen = w->server.got.len;
    }
    w->server.take = SIZE_MAX;
    net_io_resume(&w->server.io);
    TURN_UNTIL(w->worker, w->server.got.len == len);
    assert_memory_equal(w->server.got.base, bytes, len);
    free(bytes);
}

static void count_records(int is_write, int version, int type, const void *buf, size_t len, SSL *ssl, void *arg)
{
    if (type == SSL3_RT_HEADER && !is_write && ((const unsigned char *)buf)[0] == SSL3_RT_APPLICATION_DATA)
        ++*(unsigned *)arg;
}

static void a_head_and_a_small_body_share_a_record(void **state)
{
    struct world *w = *state;
    unsigned num = 0;
    char *bytes = make_bytes(40000);

    handshake(w);
    say(&w->server, "x"); /* behind the session tickets */
    TURN_UNTIL(w->worker, w->client.got.len == 1);
    SSL_set_msg_callback(w->client.io.ssl, count_records);
    SSL_set_msg_callback_arg(w->client.io.ssl, &num);
    net_io_buffer(&w->server.io, "head\r\n\r\n", 8);
    net_io_write(&w->server.io, (struct iovec[]){{"5\r\n", 3}, {"hello", 5}, {"\r\n", 2}}, 3);
    TURN_UNTIL(w->worker, w->client.got.len == 19);
    assert_int_equal(num, 1);
    num = 0;
    net_io_write(&w->server.io, (struct iovec[]){{"9c40\r\n", 6}, {bytes, 40000}, {"\r\n", 2}}, 3);
    TURN_UNTIL(w->worker, w->client.got.len == 19 + 40008);
    assert_int_equal(num, 3); /* 16 KiB each */
    free(bytes);
}

/* ---- ends ---- */

static void close_notify_is_an_end_and_half_of_it_only(void **state)
{
    struct world *w = *state;

    handshake(w);
    say(&w->client, "request");
    net_io_shutdown(&w->client.io);
    TURN_UNTIL(w->worker, w->server.num_eofs == 1);
    assert_int_equal(w->server.got.len, 7);
    say(&w->server, "answer");
    net_io_shutdown(&w->server.io);
    TURN_UNTIL(w->worker, w->client.num_eofs == 1);
    assert_string_equal(w->client.got.base, "answer");
    for (int i = 0; i < 3; i++)
        net_worker_turn(w->worker, 1);
    assert_int_equal(w->server.num_errors + w->client.num_errors, 0);
    assert_int_equal(w->server.num_eofs + w->client.num_eofs, 2);
}

static void an_end_without_close_notify_is_a_truncation(void **state)
{
    struct world *w = *state;

    handshake(w);
    say(&w->server, "x"); /* the client has read the session tickets: its kernel has no reason for a reset */
    TURN_UNTIL(w->worker, w->client.got.len == 1);
    say(&w->client, "half a");
    net_io_close(&w->client.io); /* buffered or not: abrupt */
    TURN_UNTIL(w->worker, w->server.num_errors == 1);
    assert_int_equal(w->server.num_eofs, 0);
    assert_string_equal(w->server.got.base, "half a");
    assert_string_equal(w->server.why, "the peer ended the connection without close_notify");
}

static void graceful_close_says_close_notify(void **state)
{
    struct world *w = *state;

    handshake(w);
    say(&w->server, "last words");
    net_io_close_gracefully(&w->server.io, 10000, net_probe_closed);
    TURN_UNTIL(w->worker, w->client.num_eofs == 1);
    assert_string_equal(w->client.got.base, "last words");
    assert_int_equal(w->server.num_closed, 0);
    net_io_close_gracefully(&w->client.io, 10000, net_probe_closed);
    TURN_UNTIL(w->worker, w->server.num_closed == 1 && w->client.num_closed == 1);
}

static void graceful_close_during_the_handshake_is_no_trap(void **state)
{
    struct world *w = *state;

    net_io_close_gracefully(&w->server.io, 1, net_probe_closed);
    TURN_UNTIL(w->worker, w->server.num_closed == 1 && w->client.num_errors + w->client.num_eofs != 0);
}

static void a_paused_stream_gets_its_end_later(void **state)
{
    struct world *w = *state;

    handshake(w);
    w->server.take = 0;
    w->server.io.max_unread = 3;
    say(&w->client, "abcdef");
    net_io_shutdown(&w->client.io);
    TURN_UNTIL(w->worker, w->server.num_reads != 0);
    for (int i = 0; i < 3; i++)
        net_worker_turn(w->worker, 1);
    assert_int_equal(w->server.num_eofs, 0);
    w->server.take = SIZE_MAX;
    net_io_resume(&w->server.io);
    TURN_UNTIL(w->worker, w->server.num_eofs == 1);
    assert_string_equal(w->server.got.base, "abcdef");
}

static void close_in_hook(struct net_probe *probe)
{
    net_io_close(&probe->io);
}

static void closing_inside_callbacks(void **state)
{
    struct world *w = *state;

    w->server.hook = close_in_hook; /* in on_ready */
    TURN_UNTIL(w->worker, w->server.io.is_closed && w->client.num_errors == 1);
    assert_int_equal(w->server.num_readies, 1);
    net_probe_clear(&w->client);
    join(w->worker, &w->server, &w->client);
    handshake(w);
    w->server.hook = close_in_hook; /* in on_read */
    char *bytes = make_bytes(200000);
    net_io_write(&w->client.io, &(struct iovec){bytes, 200000}, 1);
    TURN_UNTIL(w->worker, w->server.io.is_closed);
    assert_int_equal(w->server.num_reads, 1);
    TURN_UNTIL(w->worker, w->client.num_errors == 1);
    free(bytes);
}

/* ---- the protocol's own messages ---- */

static void key_updates_work_both_ways(void **state)
{
    struct world *w = *state;

    handshake(w);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(SSL_key_update(w->client.io.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        say(&w->client, "ping");
        TURN_UNTIL(w->worker, w->server.got.len == 4 * (size_t)(i + 1));
        assert_int_equal(SSL_key_update(w->server.io.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        say(&w->server, "pong");
        TURN_UNTIL(w->worker, w->client.got.len == 4 * (size_t)(i + 1));
    }
    assert_int_equal(w->server.num_errors + w->client.num_errors, 0);
}

/* A client that asks for new keys for ever and reads nothing. */
static void key_updates_without_reading_are_bounded(void **state)
{
    struct world *w = *state;
    size_t most = 0;

    handshake(w);
    net_io_pause(&w->client.io);
    setsockopt(w->server.io.fd, SOL_SOCKET, SO_SNDBUF, &(int){4096}, sizeof(int));
    setsockopt(w->client.io.fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
    for (int i = 0; i < 200000 && w->server.num_errors == 0; i++) {
        SSL_key_update(w->client.io.ssl, SSL_KEY_UPDATE_REQUESTED);
        if (say(&w->client, "x") < 0)
            break;
        net_worker_turn(w->worker, 0);
        most = MAX(most, w->server.io.cipher_out.len);
    }
    assert_in_range(most, 0, 256 * 1024);
    if (w->server.num_errors != 0)
        assert_string_equal(w->server.why, "the peer asks for answers and does not read them");
}

static void renegotiation_is_refused(void **state)
{
    struct world *w = *state;

    net_probe_clear(&w->server);
    net_probe_clear(&w->client);
    SSL_CTX_set_max_proto_version(net_tls_client_ctx(tls_client), TLS1_2_VERSION);
    join(w->worker, &w->server, &w->client);
    SSL_CTX_set_max_proto_version(net_tls_client_ctx(tls_client), 0);
    handshake(w);
    assert_int_equal(SSL_version(w->server.io.ssl), TLS1_2_VERSION);
    SSL_clear_options(w->client.io.ssl, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_clear_options(SSL_get_SSL_CTX(w->client.io.ssl), SSL_OP_NO_RENEGOTIATION);
    assert_int_equal(SSL_renegotiate(w->client.io.ssl), 1);
    (void)SSL_do_handshake(w->client.io.ssl);
    say(&w->client, "x");
    TURN_UNTIL(w->worker, w->client.num_errors + w->server.num_errors != 0);
    assert_int_equal(w->server.num_readies, 1);
    SSL_CTX_set_options(net_tls_client_ctx(tls_client), SSL_OP_NO_RENEGOTIATION);
}

/* ---- hostile and odd bytes ---- */

static void garbage_fails_with_an_alert(void **state)
{
    struct world *w = *state;
    int fds[2];
    char buf[64];
    struct net_probe probe;

    net_tcp_pair(fds);
    net_probe_init(&probe);
    net_io_init_server(&probe.io, w->worker, fds[1], net_tls_server_ctx(tls_server), &net_probe_ops);
    assert_int_equal(send(fds[0], "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    TURN_UNTIL(w->worker, probe.num_errors == 1);
    assert_ptr_equal(probe.why, net_io_plain_http);
    net_probe_clear(&probe);
    close(fds[0]);
    net_tcp_pair(fds);
    net_probe_init(&probe);
    net_io_init_server(&probe.io, w->worker, fds[1], net_tls_server_ctx(tls_server), &net_probe_ops);
    assert_int_equal(send(fds[0], "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10, MSG_NOSIGNAL), 10);
    TURN_UNTIL(w->worker, probe.num_errors == 1);
    assert_int_equal(recv(fds[0], buf, sizeof(buf), 0), 7); /* an alert record */
    assert_int_equal(buf[0], 21);
    net_probe_clear(&probe);
    close(fds[0]);
}

/* Everything passes one byte at a time. */
static void records_may_come_in_single_bytes(void **state)
{
    struct world *w = *state;
    int a[2], b[2];
    struct net_probe server, client;
    struct sockaddr_storage addr;
    socklen_t len;
    char byte;

    net_tcp_pair(a);
    int listener = make_listener(&addr, &len);
    net_probe_init(&server);
    net_probe_init(&client);
    net_io_init_server(&server.io, w->worker, a[1], net_tls_server_ctx(tls_server), &net_probe_ops);
    net_io_connect(&client.io, w->worker, (struct sockaddr *)&addr, len, net_tls_client_ctx(tls_client), NULL,
                   (struct slice){NULL, 0}, &net_probe_ops, NULL);
    b[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    close(listener);
    say(&client, "ping");
    say(&server, "pong");
    uint64_t deadline = clock_mono_ms() + 20000;
    while ((server.got.len != 4 || client.got.len != 4) && clock_mono_ms() < deadline) {
        net_worker_turn(w->worker, 0);
        if (recv(b[0], &byte, 1, 0) == 1)
            assert_int_equal(send(a[0], &byte, 1, 0), 1);
        if (recv(a[0], &byte, 1, 0) == 1)
            assert_int_equal(send(b[0], &byte, 1, 0), 1);
    }
    assert_string_equal(server.got.base, "ping");
    assert_string_equal(client.got.base, "pong");
    net_probe_clear(&server);
    net_probe_clear(&client);
    close(a[0]);
    close(b[0]);
}

static void a_flipped_bit_is_an_error(void **state)
{
    struct world *w = *state;
    int a[2];
    struct net_probe server;
    unsigned char record[] = {23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};

    handshake(w);
    /* a record no key made, behind the client's own, on its own descriptor */
    assert_int_equal(send(w->client.io.fd, record, sizeof(record), MSG_NOSIGNAL), sizeof(record));
    TURN_UNTIL(w->worker, w->server.num_errors == 1);
    assert_int_equal(w->server.num_reads, 0);
    TURN_UNTIL(w->worker, w->client.num_errors == 1); /* told by an alert */
    net_tcp_pair(a);
    net_probe_init(&server);
    net_io_init_server(&server.io, w->worker, a[1], net_tls_server_ctx(tls_server), &net_probe_ops);
    assert_int_equal(send(a[0], record, sizeof(record), MSG_NOSIGNAL), sizeof(record)); /* before any handshake */
    TURN_UNTIL(w->worker, server.num_errors == 1);
    net_probe_clear(&server);
    close(a[0]);
}

/* ---- costs ---- */

enum { NUM_IDLE = 100 };

static void an_idle_stream_is_small(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* the sanitizers' allocators keep other books */
#endif
    struct world *w = *state;
    struct net_probe *probes = xcalloc(2 * NUM_IDLE, sizeof(*probes));

    handshake(w);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < NUM_IDLE; i++) {
        join(w->worker, &probes[2 * i], &probes[2 * i + 1]);
        say(&probes[2 * i + 1], "ping");
        TURN_UNTIL(w->worker, probes[2 * i].got.len == 4);
        say(&probes[2 * i], "pong");
        TURN_UNTIL(w->worker, probes[2 * i + 1].got.len == 4);
        strbuf_clear(&probes[2 * i].got);
        strbuf_clear(&probes[2 * i + 1].got);
    }
    size_t each = (mallinfo2().uordblks - before) / NUM_IDLE;
    for (int i = 0; i < NUM_IDLE; i++)
        net_probe_clear(&probes[2 * i + 1]); /* the clients first: what remains is the servers' */
    net_worker_turn(w->worker, 0);
    size_t server_each = (mallinfo2().uordblks - before) / NUM_IDLE;
    print_message("idle TLS stream: server %zu bytes, client %zu, net_io %zu\n", server_each, each - server_each,
                  sizeof(struct net_io));
    assert_true(server_each < 16 * 1024);
    assert_true(each - server_each < 20 * 1024); /* it keeps the server's certificates */
    for (int i = 0; i < NUM_IDLE; i++)
        net_probe_clear(&probes[2 * i]);
    free(probes);
}

static void an_idle_plain_stream_is_small(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip();
#endif
    struct world *w = *state;
    struct net_probe *probes = xcalloc(NUM_IDLE, sizeof(*probes));
    int fds[NUM_IDLE][2];

    handshake(w);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < NUM_IDLE; i++) {
        net_tcp_pair(fds[i]);
        net_probe_init(&probes[i]);
        net_io_init_server(&probes[i].io, w->worker, fds[i][1], NULL, &net_probe_ops);
    }
    net_worker_turn(w->worker, 0);
    size_t each = (mallinfo2().uordblks - before) / NUM_IDLE + sizeof(struct net_io);
    print_message("idle plain stream: %zu bytes\n", each);
    assert_true(each < 1024);
    for (int i = 0; i < NUM_IDLE; i++) {
        net_probe_clear(&probes[i]);
        close(fds[i][0]);
    }
    free(probes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_sides_become_ready_and_talk),
        TEST(early_writes_wait_for_the_handshake),
        TEST(large_amounts_arrive_whole_both_ways),
        TEST(a_slow_reader_bounds_memory_on_its_side),
        TEST(a_head_and_a_small_body_share_a_record),
        TEST(close_notify_is_an_end_and_half_of_it_only),
        TEST(an_end_without_close_notify_is_a_truncation),
        TEST(graceful_close_says_close_notify),
        TEST(graceful_close_during_the_handshake_is_no_trap),
        TEST(a_paused_stream_gets_its_end_later),
        TEST(closing_inside_callbacks),
        TEST(key_updates_work_both_ways),
        TEST(key_updates_without_reading_are_bounded),
        TEST(renegotiation_is_refused),
        TEST(garbage_fails_with_an_alert),
        TEST(records_may_come_in_single_bytes),
        TEST(a_flipped_bit_is_an_error),
        TEST(an_idle_stream_is_small),
        TEST(an_idle_plain_stream_is_small),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

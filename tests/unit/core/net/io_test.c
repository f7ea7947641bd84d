#include "core/net/io.h"

#include "core/base/clock.h"
#include "tests/unit/lib/net_probe.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct world {
    struct net_worker *worker;
    struct net_probe probe; /* on fds[1] */
    int peer;               /* fds[0]: the test's own end */
};

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    int fds[2];

    w->worker = net_worker_new(0, 0, 0);
    net_tcp_pair(fds);
    w->peer = fds[0];
    net_probe_init(&w->probe);
    net_io_init_server(&w->probe.io, w->worker, fds[1], NULL, &net_probe_ops);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    net_probe_clear(&w->probe);
    net_worker_turn(w->worker, 0);
    assert_int_equal(w->worker->mem_used, 0);
    if (w->peer >= 0)
        close(w->peer);
    net_worker_free(w->worker);
    free(w);
    return 0;
}

static void peer_sends(struct world *w, const char *text)
{
    assert_int_equal(send(w->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Takes what is there; the number of bytes, 0 at the end of the stream, -1 when nothing is. */
static ssize_t peer_takes(struct world *w, char *buf, size_t cap)
{
    return recv(w->peer, buf, cap, 0);
}

static void send_text(struct net_io *io, const char *text)
{
    net_io_write(io, &(struct iovec){(char *)text, strlen(text)}, 1);
}

static void bytes_arrive_and_answers_leave(void **state)
{
    struct world *w = *state;
    char buf[16];

    peer_sends(w, "hello");
    TURN_UNTIL(w->worker, w->probe.got.len == 5);
    assert_string_equal(w->probe.got.base, "hello");
    assert_int_equal(net_io_write(&w->probe.io, &(struct iovec){"world", 5}, 1), 0);
    assert_int_equal(peer_takes(w, buf, sizeof(buf)), 5);
    assert_int_equal(w->probe.io.bytes_in, 5);
    assert_int_equal(w->probe.io.bytes_out, 5);
    assert_int_equal(w->probe.io.remote.ss_family, AF_INET);
    assert_int_equal(w->probe.io.local.ss_family, AF_INET);
    assert_int_equal(w->probe.num_readies, 0);
}

static void nodelay_is_on(void **state)
{
    struct world *w = *state;
    int on = 0;
    socklen_t len = sizeof(on);

    assert_int_equal(getsockopt(w->probe.io.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_true(on);
}

static void what_is_not_consumed_comes_again_with_what_follows(void **state)
{
    struct world *w = *state;

    w->probe.take = 2;
    peer_sends(w, "abcd");
    TURN_UNTIL(w->worker, w->probe.num_reads == 1);
    peer_sends(w, "ef");
    TURN_UNTIL(w->worker, w->probe.num_reads == 2);
    assert_int_equal(w->probe.last_len, 4);
    assert_string_equal(w->probe.got.base, "abcd");
    net_io_resume(&w->probe.io);
    assert_int_equal(w->probe.num_reads, 2); /* never inside the call */
    TURN_UNTIL(w->worker, w->probe.num_reads == 3);
    assert_string_equal(w->probe.got.base, "abcdef");
    assert_null(w->probe.io.unread.base);
}

static void a_full_reader_stops_the_peer(void **state)
{
    struct world *w = *state;
    size_t sent = 0;
    static char chunk[65536];

    w->probe.take = 0;
    w->probe.io.max_unread = 10000;
    for (int quiet = 0; quiet < 20;) {
        ssize_t n = send(w->peer, chunk, sizeof(chunk), MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        quiet = n > 0 ? 0 : quiet + 1;
        net_worker_turn(w->worker, n > 0 ? 0 : 5);
    }
    assert_int_equal(w->probe.io.unread.len, 10000);
    assert_int_equal(w->probe.io.bytes_in, 10000);
    assert_false(h2o_socket_is_reading(w->probe.io.sock));
    w->probe.take = SIZE_MAX;
    net_io_resume(&w->probe.io);
    TURN_UNTIL(w->worker, w->probe.got.len == sent);
}

static void a_pause_without_arrivals_costs_nothing(void **state)
{
    struct world *w = *state;

    net_worker_turn(w->worker, 0);
    net_io_pause(&w->probe.io);
    net_worker_turn(w->worker, 0);
    assert_true(h2o_socket_is_reading(w->probe.io.sock));
    peer_sends(w, "x");
    TURN_UNTIL(w->worker, !h2o_socket_is_reading(w->probe.io.sock));
    assert_int_equal(w->probe.num_reads, 0);
    net_io_resume(&w->probe.io);
    TURN_UNTIL(w->worker, w->probe.got.len == 1);
}

static void a_paused_stream_learns_of_the_end_after_resume(void **state)
{
    struct world *w = *state;

    peer_sends(w, "x");
    shutdown(w->peer, SHUT_WR);
    net_io_pause(&w->probe.io);
    for (int i = 0; i < 3; i++)
        net_worker_turn(w->worker, 5);
    assert_int_equal(w->probe.num_reads + w->probe.num_eofs, 0);
    net_io_resume(&w->probe.io);
    TURN_UNTIL(w->worker, w->probe.num_eofs == 1);
    assert_int_equal(w->probe.got.len, 1);
}

static void one_event_reads_no_more_than_its_share(void **state)
{
    struct world *w = *state;
    static char chunk[1 << 20];
    size_t sent = 0;
    ssize_t n;

    assert_int_equal(setsockopt(w->probe.io.fd, SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int)), 0);
    while ((n = send(w->peer, chunk, sizeof(chunk), MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    if (sent <= 256 * 1024)
        skip(); /* this kernel's buffers are smaller than a share */
    net_worker_turn(w->worker, 1000);
    assert_in_range(w->probe.got.len, 1, 256 * 1024);
    TURN_UNTIL(w->worker, w->probe.got.len == sent);
}

static void buffered_bytes_leave_at_the_end_of_the_turn_or_with_a_write(void **state)
{
    struct world *w = *state;
    char buf[64];

    net_io_buffer(&w->probe.io, "head ", 5);
    assert_int_equal(net_io_pending(&w->probe.io), 5);
    assert_int_equal(peer_takes(w, buf, sizeof(buf)), -1);
    net_worker_turn(w->worker, 0);
    assert_int_equal(peer_takes(w, buf, sizeof(buf)), 5);
    net_io_buffer(&w->probe.io, "head ", 5);
    memcpy(net_io_reserve(&w->probe.io, 4), "more", 4);
    net_io_commit(&w->probe.io, 4);
    assert_int_equal(net_io_write(&w->probe.io, (struct iovec[]){{"bo", 2}, {"", 0}, {"dy", 2}}, 3), 0);
    assert_int_equal(peer_takes(w, buf, sizeof(buf)), 13);
    assert_memory_equal(buf, "head morebody", 13);
    assert_int_equal(w->probe.num_writables, 0);
}

/* Writes until the kernel refuses, then reads all of it at the other end: order kept, on_writable once. */
static void the_rest_of_a_large_write_waits_and_on_writable_comes(void **state)
{
    struct world *w = *state;
    size_t len = 8 << 20, seen = 0;
    char *big = xmalloc(len), *back = xmalloc(len);

    for (size_t i = 0; i < len; i++)
        big[i] = (char)(i * 7 + i / 251);
    assert_true(net_io_write(&w->probe.io, &(struct iovec){big, len / 2}, 1) > 0);
    assert_true(net_io_write(&w->probe.io, &(struct iovec){big + len / 2, len / 2}, 1) > 0);
    while (seen < len) {
        ssize_t n = peer_takes(w, back + seen, len - seen);
        seen += n > 0 ? (size_t)n : 0;
        net_worker_turn(w->worker, n > 0 ? 0 : 5);
    }
    assert_memory_equal(big, back, len);
    TURN_UNTIL(w->worker, w->probe.num_writables != 0);
    assert_int_equal(w->probe.num_writables, 1);
    assert_int_equal(net_io_pending(&w->probe.io), 0);
    assert_null(w->probe.io.out.base);
    free(big);
    free(back);
}

static void more_pieces_than_one_call_takes(void **state)
{
    struct world *w = *state;
    struct iovec iov[200];
    char buf[400];

    for (int i = 0; i < 200; i++)
        iov[i] = (struct iovec){"ab", 2};
    assert_int_equal(net_io_write(&w->probe.io, iov, 200), 0);
    assert_int_equal(peer_takes(w, buf, sizeof(buf)), 400);
}

static void half_close_lets_the_other_direction_live(void **state)
{
    struct world *w = *state;
    char buf[16];

    net_io_buffer(&w->probe.io, "last", 4);
    net_io_shutdown(&w->probe.io);
    TURN_UNTIL(w->worker, peer_takes(w, buf, sizeof(buf)) == 4);
    TURN_UNTIL(w->worker, peer_takes(w, buf, sizeof(buf)) == 0);
    assert_int_equal(net_io_write(&w->probe.io, &(struct iovec){"x", 1}, 1), -1);
    peer_sends(w, "still");
    TURN_UNTIL(w->worker, w->probe.got.len == 5);
    shutdown(w->peer, SHUT_WR);
    TURN_UNTIL(w->worker, w->probe.num_eofs == 1);
    assert_int_equal(w->probe.num_errors, 0);
}

static void after_the_peers_end_writing_still_works(void **state)
{
    struct world *w = *state;
    char buf[16];

    shutdown(w->peer, SHUT_WR);
    TURN_UNTIL(w->worker, w->probe.num_eofs == 1);
    send_text(&w->probe.io, "answer");
    assert_int_equal(peer_takes(w, buf, sizeof(buf)), 6);
    net_worker_turn(w->worker, 0);
    net_worker_turn(w->worker, 0);
    assert_int_equal(w->probe.num_eofs, 1);
}

static void reset_peer(struct world *w)
{
    setsockopt(w->peer, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(w->peer);
    w->peer = -1;
}

static void a_reset_is_an_error_never_an_end(void **state)
{
    struct world *w = *state;

    reset_peer(w);
    TURN_UNTIL(w->worker, w->probe.num_errors == 1);
    assert_int_equal(w->probe.num_eofs, 0);
    assert_string_equal(w->probe.why, "Connection reset by peer");
    for (int i = 0; i < 3; i++)
        net_worker_turn(w->worker, 0);
    assert_int_equal(w->probe.num_errors, 1);
    assert_int_equal(net_io_write(&w->probe.io, &(struct iovec){"x", 1}, 1), -1);
}

static void a_failed_write_still_delivers_what_the_peer_said(void **state)
{
    struct world *w = *state;
    struct pollfd gone = {.fd = w->probe.io.fd};

    peer_sends(w, "413 too large");
    reset_peer(w);
    assert_int_equal(poll(&gone, 1, 5000), 1);
    send_text(&w->probe.io, "x");
    assert_int_equal(net_io_write(&w->probe.io, &(struct iovec){"more", 4}, 1), -1);
    assert_int_equal(w->probe.num_errors, 0); /* not from inside the call */
    TURN_UNTIL(w->worker, w->probe.num_errors == 1);
    assert_int_equal(w->probe.num_eofs, 0);
    assert_string_equal(w->probe.got.base, "413 too large");
}

static void close_in_hook(struct net_probe *probe)
{
    net_io_close(&probe->io);
}

static void closing_inside_a_callback_is_the_last_callback(void **state)
{
    struct world *w = *state;

    w->probe.take = 1;
    peer_sends(w, "abc");
    TURN_UNTIL(w->worker, w->probe.num_reads == 1);
    w->probe.hook = close_in_hook;
    net_io_resume(&w->probe.io); /* offered from the kept buffer, which the close must leave alone */
    TURN_UNTIL(w->worker, w->probe.num_reads == 2);
    assert_string_equal(w->probe.got.base, "ab");
    peer_sends(w, "x");
    net_worker_turn(w->worker, 5);
    net_io_close(&w->probe.io);
    net_io_resume(&w->probe.io);
    net_io_shutdown(&w->probe.io);
    net_io_buffer(&w->probe.io, "x", 1);
    assert_int_equal(net_io_write(&w->probe.io, &(struct iovec){"x", 1}, 1), -1);
    net_worker_turn(w->worker, 0);
    assert_int_equal(w->probe.num_reads, 2);
}

static void graceful_close_delivers_the_answer_to_a_talking_peer(void **state)
{
    struct world *w = *state;
    char buf[64];

    peer_sends(w, "a request that is never read");
    send_text(&w->probe.io, "answer, ");
    net_io_buffer(&w->probe.io, "all of it", 9);
    net_io_close_gracefully(&w->probe.io, 10000, net_probe_closed);
    for (int i = 0; i < 5; i++) {
        net_worker_turn(w->worker, 0);
        assert_int_equal(send(w->peer, "more", 4, MSG_NOSIGNAL), 4);
    }
    assert_int_equal(w->probe.num_closed, 0);
    assert_int_equal(peer_takes(w, buf, sizeof(buf)), 17);
    assert_int_equal(peer_takes(w, buf, sizeof(buf)), 0); /* FIN, no reset */
    shutdown(w->peer, SHUT_WR);
    TURN_UNTIL(w->worker, w->probe.num_closed == 1);
    assert_true(w->probe.io.is_closed);
    assert_int_equal(w->probe.num_reads + w->probe.num_eofs, 0);
}

static void graceful_close_ends_by_time(void **state)
{
    struct world *w = *state;

    net_io_close_gracefully(&w->probe.io, 5, net_probe_closed);
    TURN_UNTIL(w->worker, w->probe.num_closed == 1);
}

static void graceful_close_after_the_peers_end_is_at_once(void **state)
{
    struct world *w = *state;
    char buf[16];

    shutdown(w->peer, SHUT_WR);
    TURN_UNTIL(w->worker, w->probe.num_eofs == 1);
    net_io_buffer(&w->probe.io, "bye", 3);
    net_io_close_gracefully(&w->probe.io, 60000, net_probe_closed);
    net_worker_turn(w->worker, 0);
    assert_int_equal(w->probe.num_closed, 1);
    assert_int_equal(peer_takes(w, buf, sizeof(buf)), 3);
}

static void close_ends_a_graceful_close(void **state)
{
    struct world *w = *state;

    net_io_close_gracefully(&w->probe.io, 60000, net_probe_closed);
    net_io_close(&w->probe.io);
    net_worker_turn(w->worker, 0);
    assert_int_equal(w->probe.num_closed, 0);
}

static void a_reset_of_ours_is_seen_as_one(void **state)
{
    struct world *w = *state;
    char buf[4];

    net_io_reset(&w->probe.io);
    assert_int_equal(peer_takes(w, buf, sizeof(buf)), -1);
    assert_int_equal(errno, ECONNRESET);
}

/* ---- clients ---- */

static void connect_to(struct world *w, struct net_probe *client, const struct sockaddr_storage *addr, socklen_t len)
{
    net_probe_init(client);
    assert_int_equal(net_io_connect(&client->io, w->worker, (const struct sockaddr *)addr, len, NULL, NULL,
                                    (struct slice){NULL, 0}, &net_probe_ops, NULL),
                     0);
}

static void a_client_connects_and_early_writes_follow(void **state)
{
    struct world *w = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    struct net_probe client;
    char buf[8];
    int listener = net_tcp_listen(&addr, &len);

    connect_to(w, &client, &addr, len);
    assert_int_equal(net_io_write(&client.io, &(struct iovec){"early", 5}, 1), 5);
    assert_int_equal(client.num_readies, 0);
    TURN_UNTIL(w->worker, net_io_pending(&client.io) == 0);
    assert_int_equal(client.num_readies, 1);
    int accepted = accept(listener, NULL, NULL);
    assert_int_equal(recv(accepted, buf, sizeof(buf), 0), 5);
    assert_memory_equal(&client.io.remote, &addr, len);
    close(accepted);
    TURN_UNTIL(w->worker, client.num_eofs == 1);
    close(listener);
    net_probe_clear(&client);
}

static void a_refused_connection_says_so(void **state)
{
    struct world *w = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    struct net_probe client;

    close(net_tcp_listen(&addr, &len));
    connect_to(w, &client, &addr, len);
    TURN_UNTIL(w->worker, client.num_errors == 1);
    assert_string_equal(client.why, "Connection refused");
    assert_int_equal(client.num_readies, 0);
    net_probe_clear(&client);
}

static void a_missing_unix_socket_fails_at_once(void **state)
{
    struct world *w = *state;
    struct sockaddr_storage addr;
    socklen_t len;
    struct net_probe client;
    struct err err = ERR_INIT;

    net_probe_init(&client);
    assert_int_equal(net_sockaddr_parse(SLICE("unix:/nonexistent/x.sock"), 0, &addr, &len, &err), 0);
    assert_int_equal(net_io_connect(&client.io, w->worker, (struct sockaddr *)&addr, len, NULL, NULL,
                                    (struct slice){NULL, 0}, &net_probe_ops, &err),
                     -1);
    assert_string_equal(err.text, "connect to unix:/nonexistent/x.sock: No such file or directory");
    net_io_close(&client.io);
}

/* ---- addresses ---- */

static void round_trip(const char *host, uint16_t port, const char *expect)
{
    struct sockaddr_storage addr;
    socklen_t len;
    char text[128];
    struct err err = ERR_INIT;

    int ret = net_sockaddr_parse(slice_of(host), port, &addr, &len, &err);
    if (expect == NULL) {
        assert_int_equal(ret, -1);
        return;
    }
    assert_int_equal(ret, 0);
    net_sockaddr_format((struct sockaddr *)&addr, text, sizeof(text));
    assert_string_equal(text, expect);
}

static void addresses_are_numeric_only(void **state)
{
    char longest[120];

    round_trip("127.0.0.1", 80, "127.0.0.1:80");
    round_trip("::1", 8080, "[::1]:8080");
    round_trip("unix:/run/x.sock", 0, "unix:/run/x.sock");
    round_trip("localhost", 80, NULL);
    round_trip("127.1", 80, NULL);
    round_trip("0x7f000001", 80, NULL);
    round_trip("[::1]", 80, NULL);
    round_trip("", 80, NULL);
    round_trip("unix:", 80, NULL);
    memset(longest, 'a', sizeof(longest) - 1);
    memcpy(longest, "unix:/", 6);
    longest[sizeof(longest) - 1] = '\0';
    round_trip(longest, 0, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_arrive_and_answers_leave),
        TEST(nodelay_is_on),
        TEST(what_is_not_consumed_comes_again_with_what_follows),
        TEST(a_full_reader_stops_the_peer),
        TEST(a_pause_without_arrivals_costs_nothing),
        TEST(a_paused_stream_learns_of_the_end_after_resume),
        TEST(one_event_reads_no_more_than_its_share),
        TEST(buffered_bytes_leave_at_the_end_of_the_turn_or_with_a_write),
        TEST(the_rest_of_a_large_write_waits_and_on_writable_comes),
        TEST(more_pieces_than_one_call_takes),
        TEST(half_close_lets_the_other_direction_live),
        TEST(after_the_peers_end_writing_still_works),
        TEST(a_reset_is_an_error_never_an_end),
        TEST(a_failed_write_still_delivers_what_the_peer_said),
        TEST(closing_inside_a_callback_is_the_last_callback),
        TEST(graceful_close_delivers_the_answer_to_a_talking_peer),
        TEST(graceful_close_ends_by_time),
        TEST(graceful_close_after_the_peers_end_is_at_once),
        TEST(close_ends_a_graceful_close),
        TEST(a_reset_of_ours_is_seen_as_one),
        TEST(a_client_connects_and_early_writes_follow),
        TEST(a_refused_connection_says_so),
        TEST(a_missing_unix_socket_fails_at_once),
        TEST(addresses_are_numeric_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

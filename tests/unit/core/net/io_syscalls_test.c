/* What a request costs in system calls. The calls of this program and of libh2o go through the functions below, which
 * count them: one recv and one send, and nothing for readiness but the waiting itself. */
#include "core/net/io.h"

#include "core/base/clock.h"
#include "tests/unit/lib/net_probe.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define EXPORT __attribute__((visibility("default")))

static unsigned num_recv, num_sends, num_epoll_ctl, num_epoll_wait, num_setsockopt;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which have such functions of their own */
enum { IS_COUNTING = 1 };

EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    num_recv++;
    return syscall(SYS_recvfrom, fd, buf, len, flags, NULL, NULL);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    num_sends++;
    return syscall(SYS_sendmsg, fd, msg, flags);
}

EXPORT ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    num_sends++;
    return syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
}

EXPORT int epoll_ctl(int ep, int op, int fd, struct epoll_event *event)
{
    num_epoll_ctl++;
    return (int)syscall(SYS_epoll_ctl, ep, op, fd, event);
}

EXPORT int epoll_wait(int ep, struct epoll_event *events, int max, int timeout)
{
    num_epoll_wait++;
    return (int)syscall(SYS_epoll_wait, ep, events, max, timeout);
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    num_setsockopt++;
    return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}
#else
enum { IS_COUNTING = 0 };
#endif

static struct net_worker *worker;
static struct net_probe probe;
static int peer;

static int setup(void **state)
{
    int fds[2];

    worker = net_worker_new(0, 0, 0);
    net_tcp_pair(fds);
    peer = fds[0];
    net_probe_init(&probe);
    net_io_init_server(&probe.io, worker, fds[1], NULL, &net_probe_ops);
    net_worker_turn(worker, 0);
    num_recv = num_sends = num_epoll_ctl = num_epoll_wait = num_setsockopt = 0;
    return 0;
}

static int teardown(void **state)
{
    net_probe_clear(&probe);
    close(peer);
    net_worker_free(worker);
    return 0;
}

static void echo(struct net_probe *p)
{
    net_io_buffer(&p->io, "HTTP/1.1 200 OK\r\n\r\n", 19);
    net_io_write(&p->io, &(struct iovec){"body", 4}, 1);
}

static void ask(void)
{
    assert_int_equal(write(peer, "GET / HTTP/1.1\r\n\r\n", 18), 18);
}

static void a_request_is_one_recv_and_one_send(void **state)
{
    char buf[64];

    if (!IS_COUNTING)
        skip();
    probe.hook = echo;
    for (int i = 0; i < 100; i++) {
        ask();
        net_worker_turn(worker, 1000);
        assert_int_equal(read(peer, buf, sizeof(buf)), 23);
    }
    assert_int_equal(num_recv, 100);
    assert_int_equal(num_sends, 100);
    assert_int_equal(num_epoll_wait, 100);
    assert_int_equal(num_epoll_ctl + num_setsockopt, 0);
}

static void pause_in(struct net_probe *p)
{
    net_io_pause(&p->io);
}

static void pausing_while_a_request_is_served_is_free(void **state)
{
    char buf[64];

    if (!IS_COUNTING)
        skip();
    probe.hook = pause_in;
    for (int i = 0; i < 100; i++) {
        ask();
        net_worker_turn(worker, 1000);
        net_io_buffer(&probe.io, "answer", 6); /* later, from elsewhere */
        net_io_resume(&probe.io);
        net_worker_turn(worker, 0);
        assert_int_equal(read(peer, buf, sizeof(buf)), 6);
    }
    assert_int_equal(num_recv, 100);
    assert_int_equal(num_sends, 100);
    assert_int_equal(num_epoll_ctl, 0);
}

static void several_buffered_answers_of_a_turn_are_one_send(void **state)
{
    char buf[256];

    if (!IS_COUNTING)
        skip();
    for (int i = 0; i < 10; i++)
        net_io_buffer(&probe.io, "0123456789", 10);
    net_worker_turn(worker, 0);
    assert_int_equal(num_sends, 1);
    assert_int_equal(read(peer, buf, sizeof(buf)), 100);
}

static void a_full_kernel_costs_one_change_of_interest_each_way(void **state)
{
    size_t len = 8 << 20, seen = 0;

    if (!IS_COUNTING)
        skip();
    char *big = xcalloc(1, len);
    net_io_write(&probe.io, &(struct iovec){big, len}, 1);
    while (seen < len) {
        ssize_t n = read(peer, big, len);
        seen += n > 0 ? (size_t)n : 0;
        net_worker_turn(worker, n > 0 ? 0 : 5);
    }
    TURN_UNTIL(worker, probe.num_writables == 1);
    net_worker_turn(worker, 0);
    assert_int_equal(num_epoll_ctl, 2);
    free(big);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_one_recv_and_one_send),
        TEST(pausing_while_a_request_is_served_is_free),
        TEST(several_buffered_answers_of_a_turn_are_one_send),
        TEST(a_full_kernel_costs_one_change_of_interest_each_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

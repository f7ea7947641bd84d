#include "core/net/listen.h"

#include "core/base/clock.h"
#include "core/net/io.h"
#include "tests/unit/lib/net_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct net_worker *worker;
static char dir[64];
static int accepted[64], num_accepted;
static bool does_go_on;

static int setup(void **state)
{
    strcpy(dir, "/tmp/sv_listen_XXXXXX");
    assert_non_null(mkdtemp(dir));
    worker = net_worker_new(0, 0, 0);
    num_accepted = 0;
    does_go_on = true;
    return 0;
}

static int teardown(void **state)
{
    net_worker_free(worker);
    rmdir(dir);
    return 0;
}

static bool on_accept(struct net_listener *listener, int fd)
{
    accepted[num_accepted++] = fd;
    return does_go_on;
}

static void close_accepted(void)
{
    for (int i = 0; i < num_accepted; i++)
        close(accepted[i]);
}

static int dial(int listening_fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    int fd;

    assert_int_equal(getsockname(listening_fd, (struct sockaddr *)&addr, &len), 0);
    fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
    return fd;
}

static void a_listener_accepts_in_batches(void **state)
{
    int fd = net_listen_text("127.0.0.1:0", NULL, NULL), clients[20];
    struct net_listener *listener = net_listener_new(worker, fd, on_accept, NULL);

    for (int i = 0; i < 20; i++)
        clients[i] = dial(fd);
    net_worker_turn(worker, 1000);
    assert_int_equal(num_accepted, NET_LISTEN_BATCH);
    net_worker_turn(worker, 1000);
    assert_int_equal(num_accepted, 20);
    assert_true(fcntl(accepted[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(accepted[0], F_GETFD) & FD_CLOEXEC);
    net_listener_close(listener);
    for (int i = 0; i < 20; i++)
        close(clients[i]);
    close_accepted();
}

static void no_more_for_now_is_a_rest(void **state)
{
    int fd = net_listen_text("127.0.0.1:0", NULL, NULL);
    struct net_listener *listener = net_listener_new(worker, fd, on_accept, NULL);
    int a = dial(fd), b = dial(fd);

    does_go_on = false;
    net_worker_turn(worker, 1000);
    assert_int_equal(num_accepted, 1);
    net_worker_turn(worker, 0);
    assert_int_equal(num_accepted, 1);
    does_go_on = true;
    TURN_UNTIL(worker, num_accepted == 2);
    net_listener_close(listener);
    close(a);
    close(b);
    close_accepted();
}

static void out_of_descriptors_refuses_and_recovers(void **state)
{
    int fd = net_listen_text("127.0.0.1:0", NULL, NULL), fillers[256], num = 0;
    struct net_listener *listener = net_listener_new(worker, fd, on_accept, NULL);
    int a = dial(fd), b;
    struct rlimit old, few;
    char byte;

    getrlimit(RLIMIT_NOFILE, &old);
    few = (struct rlimit){.rlim_cur = (rlim_t)a + 20, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
    while (num < 256 && (fillers[num] = open("/dev/null", O_RDONLY)) >= 0)
        num++;
    net_worker_turn(worker, 1000);
    assert_int_equal(num_accepted, 0);
    assert_int_equal(listener->num_refused, 1);
    assert_int_equal(read(a, &byte, 1), 0); /* told at once */
    for (int i = 0; i < num; i++)
        close(fillers[i]);
    setrlimit(RLIMIT_NOFILE, &old);
    b = dial(fd);
    TURN_UNTIL(worker, num_accepted == 1);
    net_listener_close(listener);
    close(a);
    close(b);
    close_accepted();
}

static void closing_hands_over_what_waits(void **state)
{
    int fd = net_listen_text("127.0.0.1:0", NULL, NULL);
    struct net_listener *listener = net_listener_new(worker, fd, on_accept, NULL);
    int a = dial(fd), b = dial(fd);

    net_listener_close(listener);
    assert_int_equal(num_accepted, 2);
    net_worker_turn(worker, 0);
    close(a);
    close(b);
    close_accepted();
}

static bool close_on_accept(struct net_listener *listener, int fd)
{
    on_accept(listener, fd);
    net_listener_close(listener);
    return true;
}

static void a_listener_may_be_closed_inside_its_callback(void **state)
{
    int fd = net_listen_text("127.0.0.1:0", NULL, NULL);
    int a = dial(fd), b = dial(fd);

    net_listener_new(worker, fd, close_on_accept, NULL);
    net_worker_turn(worker, 1000);
    assert_int_equal(num_accepted, 2);
    net_worker_turn(worker, 0);
    close(a);
    close(b);
    close_accepted();
}

static void several_sockets_share_an_address(void **state)
{
    struct net_listen_options shared = {.is_shared = true};
    char name[64];
    struct err err = ERR_INIT;
    int a = net_listen_text("127.0.0.1:0", &shared, &err);

    net_listen_name(a, name, sizeof(name));
    int b = net_listen_text(name, &shared, &err);
    assert_true(b >= 0);
    int c = net_listen_text(name, NULL, &err);
    char expect[128];
    snprintf(expect, sizeof(expect), "listen on %s: Address already in use", name);
    assert_int_equal(c, -1);
    assert_string_equal(err.text, expect);
    close(a);
    close(b);
}

static void a_bare_port_takes_both_families(void **state)
{
    int fd = net_listen_text(":0", NULL, NULL);
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);

    assert_true(fd >= 0);
    getsockname(fd, (struct sockaddr *)&addr, &len);
    uint16_t port = addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                               : ((struct sockaddr_in *)&addr)->sin_port;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&v4, sizeof(v4)), 0);
    close(client);
    close(fd);
}

static void unix_sockets_have_their_mode_and_replace_only_stale_files(void **state)
{
    char where[128];
    struct stat st;
    struct err err = ERR_INIT;
    struct net_listen_options options = {.unix_mode = 0660};

    snprintf(where, sizeof(where), "unix:%s/x.sock", dir);
    mode_t old = umask(077);
    int fd = net_listen_text(where, &options, &err);
    umask(old);
    assert_true(fd >= 0);
    assert_int_equal(stat(where + 5, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(net_listen_text(where, NULL, &err), -1);
    assert_non_null(strstr(err.text, "x.sock: Address already in use"));
    close(fd);
    fd = net_listen_text(where, NULL, &err); /* nobody listens there any more */
    assert_true(fd >= 0);
    stat(where + 5, &st);
    assert_int_equal(st.st_mode & 07777, 0600);
    close(fd);
    unlink(where + 5);
    close(open(where + 5, O_CREAT | O_RDWR, 0600)); /* a plain file is never removed */
    assert_int_equal(net_listen_text(where, NULL, &err), -1);
    assert_int_equal(stat(where + 5, &st), 0);
    unlink(where + 5);
}

static void addresses_are_read_strictly(void **state)
{
    const char *const bad[] = {"80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:000080",
                               "::1:80", "localhost:80", "[::1:80", "unix:", "127.0.0.1:+1", ""};
    struct slice host;
    uint16_t port;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(net_listen_text(bad[i], NULL, &err), -1);
    assert_int_equal(net_parse_endpoint("[::1]:8080", &host, &port, NULL), 0);
    assert_true(slice_is(host, "::1"));
    assert_int_equal(port, 8080);
    assert_int_equal(net_parse_endpoint(":65535", &host, &port, NULL), 0);
    assert_int_equal(host.len, 0);
    assert_int_equal(port, 65535);
    assert_int_equal(net_parse_endpoint("shop.internal:1", &host, &port, NULL), 0);
    assert_true(slice_is(host, "shop.internal"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_listener_accepts_in_batches),
        TEST(no_more_for_now_is_a_rest),
        TEST(out_of_descriptors_refuses_and_recovers),
        TEST(closing_hands_over_what_waits),
        TEST(a_listener_may_be_closed_inside_its_callback),
        TEST(several_sockets_share_an_address),
        TEST(a_bare_port_takes_both_families),
        TEST(unix_sockets_have_their_mode_and_replace_only_stale_files),
        TEST(addresses_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

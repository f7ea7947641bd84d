/* Accept loop, threads and drain. */
#include "examples/bookinfo/lib/server.h"
#include "examples/bookinfo/lib/stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 2000, STACK_BYTES = 512 * 1024, BACKLOG = 1024, NO_DESCRIPTORS_PAUSE_MS = 50 };

struct connection {
    struct bk_server *server; /* borrowed: it outlives its connections */
    int fd;
    bk_serve_cb serve;
    void *data;
};

static int signal_stop_fd = -1;

static void on_signal(int signo)
{
    int saved = errno;
    uint64_t one = 1;
    (void)!write(signal_stop_fd, &one, sizeof(one)); /* it cannot fail short of 2^64 signals */
    errno = saved;
}

static void catch_signals(int stop_fd)
{
    signal_stop_fd = stop_fd;
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESTART},
                     ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

static int listen_on(const char *address, unsigned port, struct err *err)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST}, *info;
    int rc = getaddrinfo(address, service, &hints, &info), on = 1;
    if (rc != 0)
        return err_set(err, ERR_INVALID, "--listen %s: %s", address, gai_strerror(rc));
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        err_errno(err, "listen on %s port %u", address, port);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(info);
    return fd;
}

static unsigned bound_port(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return 0;
    return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                            : ((struct sockaddr_in *)&addr)->sin_port);
}

int bk_server_open(struct bk_server *server, const char *address, unsigned port, struct err *err)
{
    pthread_condattr_t attr;
    memset(server, 0, sizeof(*server));
    if ((server->listen_fd = listen_on(address, port, err)) < 0)
        return -1;
    if ((server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return err_errno(err, "eventfd");
    server->port = bound_port(server->listen_fd);
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attr);
    pthread_condattr_destroy(&attr);
    catch_signals(server->stop_fd);
    return 0;
}

bool bk_server_is_stopping(const struct bk_server *server)
{
    struct pollfd p = {.fd = server->stop_fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void add_connections(struct bk_server *server, int by)
{
    pthread_mutex_lock(&server->lock);
    server->num_connections += (unsigned)by;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void *run_connection(void *arg)
{
    struct connection conn = *(struct connection *)arg;
    free(arg);
    conn.serve(conn.server, conn.fd, conn.data);
    add_connections(conn.server, -1);
    return NULL;
}

static void start_connection(struct bk_server *server, int fd, bk_serve_cb serve, void *data)
{
    pthread_t thread;
    pthread_attr_t attr;
    struct connection *conn = xmalloc(sizeof(*conn));
    *conn = (struct connection){server, fd, serve, data};
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only latency is at stake */
    add_connections(server, 1);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (pthread_create(&thread, &attr, run_connection, conn) != 0) {
        close(fd);
        free(conn);
        add_connections(server, -1);
    }
    pthread_attr_destroy(&attr);
}

/* Waits while the table of connections is full. */
static void await_room(struct bk_server *server)
{
    pthread_mutex_lock(&server->lock);
    while (server->num_connections >= MAX_CONNECTIONS)
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

static void accept_all(struct bk_server *server, bk_serve_cb serve, void *data)
{
    for (;;) {
        await_room(server);
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            start_connection(server, fd, serve, data);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            (void)bk_wait(server->stop_fd, POLLIN,
                          clock_mono_ms() + NO_DESCRIPTORS_PAUSE_MS); /* some will close */
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

static unsigned drain(struct bk_server *server, unsigned drain_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += drain_ms / 1000;
    until.tv_nsec += (long)(drain_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&server->lock);
    while (server->num_connections != 0 &&
           pthread_cond_timedwait(&server->changed, &server->lock, &until) == 0)
        ;
    unsigned left = server->num_connections;
    pthread_mutex_unlock(&server->lock);
    return left;
}

unsigned bk_server_run(struct bk_server *server, unsigned drain_ms, bk_serve_cb serve, void *data)
{
    struct pollfd p[2] = {{.fd = server->listen_fd, .events = POLLIN},
                          {.fd = server->stop_fd, .events = POLLIN}};
    while (p[1].revents == 0) {
        if (poll(p, 2, -1) < 0)
            continue; /* EINTR */
        if (p[0].revents != 0)
            accept_all(server, serve, data);
    }
    accept_all(server, serve, data);
    close(server->listen_fd);
    return drain(server, drain_ms);
}

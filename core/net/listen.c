/* Opening sockets with errors that name the address, and accepting in batches.
 *
 * Happy path: event -> accept4() up to 16 times -> on_accept. Out of descriptors: the reserve is closed, the client
 * accepted with it and closed, the reserve opened again; then the listener rests, for the condition rarely lasts and
 * a level-triggered readiness would spin. */
#include "core/net/listen.h"

#include "core/net/io.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    DEFAULT_BACKLOG = 4096,
    DEFAULT_UNIX_MODE = 0600,
    MAX_FLUSH = 4096, /* connections taken from the queue of a closing socket */
};

/* ---- opening ---- */

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value));
}

static int set_tcp_options(int fd, int family, const struct net_listen_options *options)
{
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0)
        return -1;
    if (options->is_shared && set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0)
        return -1;
    if (family == AF_INET6 && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !options->is_dual_stack) != 0)
        return -1;
    return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* inherited by what is accepted */
}

/* Whether the file is a socket nobody listens on: left behind by a process that was killed. */
static bool is_stale(const struct sockaddr *addr, socklen_t len)
{
    struct stat st;
    int fd;

    if (lstat(((const struct sockaddr_un *)addr)->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
        return false;
    bool is_refused = connect(fd, addr, len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return is_refused;
}

static int bind_unix(int fd, const struct sockaddr *addr, socklen_t len, unsigned mode)
{
    const char *path = ((const struct sockaddr_un *)addr)->sun_path;
    int ret;

    if (fchmod(fd, mode) != 0) /* the file is born with no more than these permissions */
        return -1;
    ret = bind(fd, addr, len);
    if (ret != 0 && errno == EADDRINUSE) {
        if (is_stale(addr, len) && unlink(path) == 0)
            ret = bind(fd, addr, len);
        else
            errno = EADDRINUSE;
    }
    return ret == 0 ? chmod(path, mode) /* what the umask took away */ : -1;
}

static int open_socket(const struct sockaddr *addr, socklen_t len, const struct net_listen_options *options)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int ret;

    if (fd < 0)
        return -1;
    if (addr->sa_family == AF_UNIX)
        ret = bind_unix(fd, addr, len, options->unix_mode != 0 ? options->unix_mode : DEFAULT_UNIX_MODE);
    else
        ret = set_tcp_options(fd, addr->sa_family, options) != 0 ? -1 : bind(fd, addr, len);
    if (ret == 0 && listen(fd, options->backlog != 0 ? options->backlog : DEFAULT_BACKLOG) == 0)
        return fd;
    ret = errno;
    close(fd);
    errno = ret;
    return -1;
}

int net_listen(const struct sockaddr *addr, socklen_t len, const struct net_listen_options *options, struct err *err)
{
    static const struct net_listen_options defaults;
    char text[128];
    int fd = open_socket(addr, len, options != NULL ? options : &defaults);

    if (fd >= 0)
        return fd;
    net_sockaddr_format(addr, text, sizeof(text));
    return err_errno(err, "listen on %s", text);
}

static int parse_port(struct slice text, uint16_t *ret)
{
    unsigned port = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '9' || i == 5)
            return -1;
        port = port * 10 + (unsigned)(text.base[i] - '0');
    }
    if (text.len == 0 || port > UINT16_MAX)
        return -1;
    *ret = (uint16_t)port;
    return 0;
}

int net_parse_endpoint(const char *where, struct slice *ret_host, uint16_t *ret_port, struct err *err)
{
    const char *colon = strrchr(where, ':');
    struct slice host = slice_make(where, colon != NULL ? (size_t)(colon - where) : 0);

    if (strncmp(where, "unix:", 5) == 0) {
        *ret_host = slice_of(where);
        *ret_port = 0;
        return 0;
    }
    if (colon == NULL || parse_port(slice_of(colon + 1), ret_port) != 0)
        return err_set(err, ERR_INVALID, "'%s' is not of the form ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH", where);
    if (host.len >= 2 && host.base[0] == '[' && host.base[host.len - 1] == ']')
        host = slice_make(host.base + 1, host.len - 2);
    else if (host.len != 0 && memchr(host.base, ':', host.len) != NULL)
        return err_set(err, ERR_INVALID, "'%s': an IPv6 address needs brackets", where);
    *ret_host = host;
    return 0;
}

/* Everything, both families; where the kernel has no IPv6, IPv4. */
static int listen_anywhere(uint16_t port, const struct net_listen_options *options, struct err *err)
{
    struct net_listen_options dual = options != NULL ? *options : (struct net_listen_options){0};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};

    dual.is_dual_stack = true;
    int fd = open_socket((struct sockaddr *)&in6, sizeof(in6), &dual);
    if (fd >= 0)
        return fd;
    if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)
        return net_listen((struct sockaddr *)&in4, sizeof(in4), options, err);
    return err_errno(err, "listen on [::]:%u", port);
}

int net_listen_text(const char *where, const struct net_listen_options *options, struct err *err)
{
    struct sockaddr_storage addr;
    socklen_t len;
    struct slice host;
    uint16_t port;

    if (net_parse_endpoint(where, &host, &port, err) != 0)
        return err_wrap(err, "listen");
    if (host.len == 0)
        return listen_anywhere(port, options, err);
    if (net_sockaddr_parse(host, port, &addr, &len, err) != 0)
        return err_wrap(err, "listen on %s", where);
    return net_listen((struct sockaddr *)&addr, len, options, err);
}

void net_listen_name(int fd, char *out, size_t cap)
{
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(addr);

    (void)getsockname(fd, (struct sockaddr *)&addr, &len); /* "unknown" then */
    net_sockaddr_format((struct sockaddr *)&addr, out, cap);
}

void net_raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* else it stays as it was */
}

/* ---- accepting ---- */

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int accept_one(struct net_listener *listener)
{
    int fd;

    do
        fd = accept4(h2o_socket_get_fd(listener->sock), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
    return fd;
}

/* With the reserve's descriptor: the client sees the connection end at once. */
static void refuse_one(struct net_listener *listener)
{
    if (listener->reserve_fd >= 0)
        close(listener->reserve_fd);
    int fd = accept_one(listener);
    if (fd >= 0)
        close(fd);
    listener->reserve_fd = open_reserve();
    listener->num_refused++;
}

static void rest(struct net_listener *listener)
{
    h2o_socket_read_stop(listener->sock);
    timer_start(&listener->worker->timers, &listener->rest, net_now_ms(listener->worker) + NET_LISTEN_REST_MS);
}

static void on_acceptable(h2o_socket_t *sock, const char *err)
{
    struct net_listener *listener = sock->data;

    net_worker_enter(listener->worker);
    for (int i = 0; i < NET_LISTEN_BATCH; i++) {
        int fd = accept_one(listener);
        if (fd < 0) {
            if (errno == EAGAIN)
                return;
            if (errno == EMFILE || errno == ENFILE)
                refuse_one(listener);
            rest(listener);
            return;
        }
        listener->num_accepted++;
        bool goes_on = listener->on_accept(listener, fd);
        if (listener->sock == NULL) /* closed inside */
            return;
        if (!goes_on) {
            rest(listener);
            return;
        }
    }
}

static void on_rested(struct timer *timer)
{
    struct net_listener *listener = CONTAINER_OF(timer, struct net_listener, rest);
    h2o_socket_read_start(listener->sock, on_acceptable);
}

static void on_free(struct net_post *post)
{
    free(CONTAINER_OF(post, struct net_listener, free_post));
}

struct net_listener *net_listener_new(struct net_worker *worker, int fd, net_accept_cb on_accept, void *data)
{
    struct net_listener *listener = xcalloc(1, sizeof(*listener));

    *listener = (struct net_listener){
        .worker = worker, .on_accept = on_accept, .data = data, .reserve_fd = open_reserve()};
    timer_init(&listener->rest, on_rested);
    net_post_init(&listener->free_post, on_free);
    listener->sock = h2o_evloop_socket_create(worker->loop, fd, 0);
    listener->sock->data = listener;
    h2o_socket_dont_read(listener->sock, 1);
    h2o_socket_read_start(listener->sock, on_acceptable);
    return listener;
}

struct net_listener *net_listener_close(struct net_listener *listener)
{
    h2o_socket_t *sock;
    int fd;

    if (listener == NULL || listener->sock == NULL)
        return NULL;
    timer_stop(&listener->rest);
    sock = listener->sock;
    for (int i = 0; i < MAX_FLUSH && (fd = accept_one(listener)) >= 0; i++) {
        listener->num_accepted++;
        listener->sock = NULL; /* a close inside the callback finds it closed */
        (void)listener->on_accept(listener, fd); /* "no more" comes too late */
        listener->sock = sock;
    }
    listener->sock = NULL;
    h2o_socket_close(sock);
    if (listener->reserve_fd >= 0)
        close(listener->reserve_fd);
    net_post(listener->worker, &listener->free_post);
    return NULL;
}

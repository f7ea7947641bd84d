/* Blocking reads and writes with deadlines, on non-blocking sockets and poll(2). */
#include "examples/bookinfo/lib/stream.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

void bk_stream_init(struct bk_stream *stream, int take_fd)
{
    stream->fd = take_fd;
    stream->start = stream->end = 0;
}

void bk_stream_close(struct bk_stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}

int bk_wait(int fd, short events, uint64_t deadline_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        int timeout = -1;
        if (deadline_ms != BK_NO_DEADLINE) {
            uint64_t now = clock_mono_ms();
            timeout = deadline_ms <= now ? 0 : (int)MIN(deadline_ms - now, (uint64_t)INT_MAX);
        }
        int n = poll(&p, 1, timeout);
        if (n >= 0 || errno != EINTR)
            return n;
    }
}

static int wait_or_err(int fd, short events, uint64_t deadline_ms, struct err *err)
{
    int n = bk_wait(fd, events, deadline_ms);
    if (n == 0)
        return err_set(err, ERR_TIMEOUT, "timed out");
    return n > 0 ? 0 : err_errno(err, "poll");
}

int bk_stream_fill(struct bk_stream *stream, uint64_t deadline_ms, struct err *err)
{
    if (stream->start < stream->end)
        return 1;
    for (;;) {
        ssize_t n = recv(stream->fd, stream->buf, sizeof(stream->buf), 0);
        if (n >= 0) {
            stream->start = 0;
            stream->end = (size_t)n;
            return n > 0;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return err_errno(err, "receive");
        if (wait_or_err(stream->fd, POLLIN, deadline_ms, err) != 0)
            return -1;
    }
}

int bk_stream_getc(struct bk_stream *stream, char *ret, uint64_t deadline_ms, struct err *err)
{
    int got = bk_stream_fill(stream, deadline_ms, err);
    if (got == 1)
        *ret = stream->buf[stream->start++];
    return got;
}

ssize_t bk_stream_read(struct bk_stream *stream, char *into, size_t len, uint64_t deadline_ms,
                       struct err *err)
{
    int got = bk_stream_fill(stream, deadline_ms, err);
    if (got != 1)
        return got;
    size_t n = MIN(len, stream->end - stream->start);
    memcpy(into, stream->buf + stream->start, n);
    stream->start += n;
    return (ssize_t)n;
}

int bk_stream_write(struct bk_stream *stream, const char *bytes, size_t len, uint64_t deadline_ms,
                    struct err *err)
{
    while (len != 0) {
        ssize_t n = send(stream->fd, bytes, len, MSG_NOSIGNAL);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (wait_or_err(stream->fd, POLLOUT, deadline_ms, err) != 0)
                return -1;
        } else if (n < 0 && errno != EINTR) {
            return err_errno(err, "send");
        }
    }
    return 0;
}

static int connect_to(const struct addrinfo *addr, uint64_t deadline_ms, struct err *err)
{
    int fd = socket(addr->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, "socket");
    int failure = 0;
    socklen_t len = sizeof(failure);
    if (connect(fd, addr->ai_addr, addr->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) {
            err_errno(err, "connect");
            close(fd);
            return -1;
        }
        if (wait_or_err(fd, POLLOUT, deadline_ms, err) != 0) {
            close(fd);
            return -1;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0 || failure != 0) {
            close(fd);
            errno = failure;
            return err_errno(err, "connect");
        }
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only latency is at stake */
    return fd;
}

int bk_connect(const char *host, const char *port, uint64_t deadline_ms, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0)
        return err_set(err, ERR_UNAVAILABLE, "%s: %s", host, gai_strerror(rc));
    int fd = -1;
    for (struct addrinfo *addr = list; addr != NULL && fd < 0; addr = addr->ai_next)
        fd = connect_to(addr, deadline_ms, err);
    freeaddrinfo(list);
    return fd;
}

/* What the fuzz targets of both HTTP/2 engines do on the far side of the socket. */
#ifndef SELVEDGE_FUZZ_HTTP2_FEED_H
#define SELVEDGE_FUZZ_HTTP2_FEED_H

#include "core/net/worker.h"

#include <errno.h>
#include <sys/socket.h>

static inline void require(bool is_true)
{
    if (!is_true)
        abort();
}

static inline void drain_socket(int fd)
{
    char buf[65536];

    while (recv(fd, buf, sizeof(buf), 0) > 0)
        ;
}

/* In writes of at most `most` bytes, with a turn of the engine after each; what it says is thrown away. */
static inline void feed(struct net_worker *worker, int fd, const void *bytes, size_t len, size_t most)
{
    const char *at = bytes;

    while (len != 0) {
        ssize_t sent = send(fd, at, len < most ? len : most, MSG_NOSIGNAL);
        net_worker_turn(worker, 0);
        drain_socket(fd);
        if (sent < 0 && errno != EAGAIN)
            return;
        at += sent > 0 ? sent : 0;
        len -= sent > 0 ? (size_t)sent : 0;
    }
}

#endif

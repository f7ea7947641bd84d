/* A socket with a read buffer, where every wait has a deadline. The demo services block in threads of their
 * own, so this is all the input and output they need.
 *
 * Threads:   one stream, one thread.
 * Ownership: the stream owns its descriptor.
 * Limits:    16 KiB are read ahead. */
#ifndef BOOKINFO_STREAM_H
#define BOOKINFO_STREAM_H

#include "core/base/clock.h"
#include "core/base/err.h"

#include <sys/types.h>

enum { BK_STREAM_BUFFER = 16 * 1024, BK_NO_DEADLINE = 0 };

struct bk_stream {
    int fd; /* owned, non-blocking */
    size_t start, end;
    char buf[BK_STREAM_BUFFER];
};

void bk_stream_init(struct bk_stream *stream, int take_fd);
void bk_stream_close(struct bk_stream *stream);
/* Waits until bytes are buffered: 1 there are, 0 the peer closed, -1 it failed or `deadline_ms` passed (err
 * says). */
int bk_stream_fill(struct bk_stream *stream, uint64_t deadline_ms, struct err *err);
/* One byte, on the same terms. */
int bk_stream_getc(struct bk_stream *stream, char *ret, uint64_t deadline_ms, struct err *err);
/* Up to `len` buffered or fresh bytes; the count, 0 at the end, or -1. */
ssize_t bk_stream_read(struct bk_stream *stream, char *into, size_t len, uint64_t deadline_ms,
                       struct err *err);
int bk_stream_write(struct bk_stream *stream, const char *bytes, size_t len, uint64_t deadline_ms,
                    struct err *err);
/* poll(2) for `events` on `fd`: 1 ready, 0 the deadline passed, -1 it failed. */
int bk_wait(int fd, short events, uint64_t deadline_ms);
/* A connected, non-blocking TCP socket, or -1. `host` is a name or an address. */
int bk_connect(const char *host, const char *port, uint64_t deadline_ms, struct err *err);

#endif

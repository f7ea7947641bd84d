/* Between io.c (sockets, buffers, callbacks), io_tls.c (records) and io_linger.c (graceful close). */
#ifndef SELVEDGE_NET_IO_PRIVATE_H
#define SELVEDGE_NET_IO_PRIVATE_H

#include "core/net/io.h"

enum {
    NET_IO_EVENT_BUDGET = 256 * 1024, /* bytes read from one stream before others get their turn */
};

/* ---- buffers: charged to the worker, freed as soon as they are empty ---- */
char *net_buf_reserve(struct net_worker *worker, struct net_buf *buf, size_t len);
void net_buf_add(struct net_worker *worker, struct net_buf *buf, const void *bytes, size_t len);
void net_buf_consume(struct net_worker *worker, struct net_buf *buf, size_t len);
void net_buf_free(struct net_worker *worker, struct net_buf *buf);

/* ---- the socket ---- */
/* As recv(2) into the buffer: above 0 bytes; 0 end of stream; -1 nothing there now, or the stream failed. */
ssize_t net_io_recv(struct net_io *io, char *buf, size_t len);
/* As sendmsg(2): how many bytes the kernel took (0: none now), or -1 when the stream failed. */
ssize_t net_io_send(struct net_io *io, const struct iovec *iov, int num);
void net_io_arm_write(struct net_io *io);
/* Marks the stream dead and posts on_error. Returns -1. `why` is a static text. */
int net_io_fail(struct net_io *io, const char *why);
/* Offers plaintext, kept bytes first; false when the reader is gone, paused or full. */
bool net_io_offer(struct net_io *io, const char *bytes, size_t len);
void net_io_got_eof(struct net_io *io);
/* How much plaintext may be read now. */
size_t net_io_room(const struct net_io *io);
/* The stream can carry data: tells the user, sends what waits. */
void net_io_became_ready(struct net_io *io);

/* ---- records (io_tls.c) ---- */
void net_io_tls_init(struct net_io *io, SSL_CTX *ctx, bool is_client);
void net_io_tls_free(struct net_io *io);
/* Goes on with the handshake; when it is complete, with reading. */
void net_io_tls_start(struct net_io *io);
/* Bytes arrived, or the reader has room again. `may_recv`: the socket may be asked for more. */
void net_io_tls_read(struct net_io *io, bool may_recv);
/* As net_io_send(), for plaintext: what was encrypted counts as taken, also when the kernel has it not yet. */
ssize_t net_io_tls_send(struct net_io *io, const struct iovec *iov, int num);
/* Puts close_notify behind what was sent. */
void net_io_tls_shutdown(struct net_io *io);

/* ---- graceful close (io_linger.c) ---- */
/* Both directions have ended: closes, from a post. */
void net_io_end_linger(struct net_io *io);
void net_io_free_linger(struct net_io *io); /* none is fine */

#endif

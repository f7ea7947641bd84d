/* A byte stream over a socket, plain or TLS, for servers and clients: one contract for both.
 *
 * Reading: bytes are read once into the worker's scratch and offered to `on_read`; what it does not consume is kept
 * (at most `max_unread` bytes, then the socket is no longer read until some is consumed) and offered again, together
 * with what came after it, when net_io_resume() is called or more arrives. Steady state costs no epoll_ctl: the read
 * interest stays on; it is dropped only when bytes arrive under back-pressure. A stream reads 256 KiB an event, then
 * the others get their turn.
 * Writing: net_io_write() takes all bytes at once: to the kernel as far as it takes them, the rest into a buffer of
 * the io. A result above 0 means "stop until on_writable". net_io_buffer() only appends; it is flushed at the end of
 * the current loop turn, or together with the next net_io_write(): so a head and a small body leave in one system call.
 * Before on_ready of a client or a TLS server writes are kept until then.
 * Ending: net_io_close() may be called anywhere, also inside callbacks: no callback comes after it, the struct's
 * owner may free its memory from a net_post, never before the current event ends. The bytes handed to the running
 * on_read stay valid until it returns.
 * Callbacks come from events and posts, never from inside a call of this interface.
 *
 * TLS: OpenSSL over memory BIOs of our own: one recv() and one send() per batch of records, KeyUpdate works,
 * renegotiation is off. Certificates are verified by the SSL_CTX (see tls_context.h), never by this file.
 * Threads: the worker's. Memory: buffers are charged to the worker and exist only while they hold something. */
#ifndef SELVEDGE_NET_IO_H
#define SELVEDGE_NET_IO_H

#include "core/base/err.h"
#include "core/net/worker.h"

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct net_io;

struct net_io_ops {
    /* Plaintext arrived, or is offered again. Returns how many bytes were consumed (0..len). */
    size_t (*on_read)(struct net_io *io, const char *bytes, size_t len);
    /* The peer ended its direction in order (FIN; close_notify). Unconsumed bytes were offered before, and are again
     * by net_io_resume(); a paused stream learns of the end only after net_io_resume(). Writing still works until
     * net_io_close(). With TLS a FIN without close_notify is reported as on_error (truncation). */
    void (*on_eof)(struct net_io *io);
    /* The output buffer is empty again after net_io_write() or net_io_pending() said otherwise. */
    void (*on_writable)(struct net_io *io);
    /* The stream is dead: reset, TLS alert, write failure. Bytes that arrived before were offered (unless paused).
     * Comes once. `why` is a static text. net_io_close() is still yours. */
    void (*on_error)(struct net_io *io, const char *why);
    /* Client: connected and, with TLS, handshake complete. Server: TLS handshake complete (plain: never called). */
    void (*on_ready)(struct net_io *io);
};

struct net_buf {
    char *base; /* owned, charged; NULL while empty */
    uint32_t start, len, cap;
};

struct net_io_linger;

struct net_io {
    const struct net_io_ops *ops;
    struct net_worker *worker;  /* borrowed */
    h2o_socket_t *sock;         /* owned; NULL once closed */
    int fd;
    SSL *ssl;                   /* owned; NULL for plain */
    uint32_t max_unread;        /* default 64 KiB */
    uint32_t max_read;          /* the most that one read takes from a plain socket; default NET_SCRATCH_SIZE, and never above */
    unsigned is_reading : 1 /* not paused */, is_eof : 1, is_failed : 1, is_closed : 1, is_ready : 1, wants_write : 1,
        in_callback : 1, is_client : 1, is_connecting : 1, is_handshaking : 1, is_write_shut : 1, is_fin_sent : 1,
        is_eof_told : 1, is_error_told : 1;
    struct net_buf unread;      /* plaintext the reader did not take */
    struct net_buf out;         /* plaintext not sent (TLS: not encrypted) yet */
    struct net_buf cipher_in;   /* TLS: received while the reader was blocked */
    struct net_buf cipher_out;  /* TLS: encrypted, and refused by the kernel */
    struct net_post flush_post, read_post, error_post;
    const char *why;            /* of the failure */
    struct net_io_linger *linger; /* owned; while closing gracefully */
    uint64_t bytes_in, bytes_out; /* on the wire */
    uint64_t last_progress_ms;  /* when bytes last moved in either direction (worker clock) */
    uint64_t last_sent_ms;      /* when the kernel last took some; 0: never */
    struct sockaddr_storage remote, local; /* numeric; filled for servers at accept, for clients after connect */
};

/* The `why` of a TLS server whose client began with an HTTP request in the clear: compare pointers. */
extern const char net_io_plain_http[];
/* Takes an accepted, non-blocking descriptor. `ctx` NULL means plain. TCP_NODELAY is set unless it is a unix socket. */
void net_io_init_server(struct net_io *io, struct net_worker *worker, int fd, SSL_CTX *ctx, const struct net_io_ops *ops);
/* Starts connecting; on_ready or on_error follows, never before this returns. -1: nothing was started, no callback
 * comes, net_io_close() is allowed and does nothing. `ctx` NULL means plain; `sni` may be
 * NULL; `alpn` is in wire form or {NULL,0}. */
int net_io_connect(struct net_io *io, struct net_worker *worker, const struct sockaddr *addr, socklen_t addr_len,
                   SSL_CTX *ctx, const char *sni, struct slice alpn, const struct net_io_ops *ops, struct err *err);
/* Bytes still buffered after the call (0: all gone to the kernel), or -1 when the stream is dead (on_error follows or
 * has come). The bytes are taken in every case. */
ssize_t net_io_write(struct net_io *io, const struct iovec *iov, int num);
void net_io_buffer(struct net_io *io, const void *bytes, size_t len);
/* Where `len` more buffered bytes may be written directly; follow with net_io_commit(). Flushed as net_io_buffer(). */
char *net_io_reserve(struct net_io *io, size_t len);
void net_io_commit(struct net_io *io, size_t len);
static inline size_t net_io_pending(const struct net_io *io)
{
    return (size_t)io->out.len + io->cipher_out.len;
}
/* Back-pressure: stop offering bytes (the kernel's buffer fills, the peer waits). */
void net_io_pause(struct net_io *io);
/* Offer what is unread (at the end of this event, never inside the call), then read on. */
void net_io_resume(struct net_io *io);
/* Sends what is buffered, then FIN (close_notify before it with TLS); reading goes on. */
void net_io_shutdown(struct net_io *io);
/* Ends the stream now; buffered output is dropped, and with TLS no close_notify is sent: to a peer that reads until
 * the end this is a truncation, not an end. Frees everything owned; idempotent. */
void net_io_close(struct net_io *io);
/* The same with a TCP reset: where only that tells a plain-text peer that the message was cut off. */
void net_io_reset(struct net_io *io);
/* Sends what is buffered and the end of the stream, then closes when the peer has ended its direction too, or
 * `linger_ms` after now; meanwhile input is read and dropped, so that the peer gets the answer rather than a reset. No
 * callback of `ops` comes any more. `on_closed` (may be NULL) runs from a post: the place to free. net_io_close()
 * meanwhile ends it without `on_closed`. */
void net_io_close_gracefully(struct net_io *io, unsigned linger_ms, void (*on_closed)(struct net_io *io));
/* The protocol chosen by ALPN, or {NULL,0}. */
struct slice net_io_alpn(const struct net_io *io);
const char *net_io_sni(const struct net_io *io); /* NULL when none */

/* "1.2.3.4:80", "[::1]:80", "unix:/path". */
void net_sockaddr_format(const struct sockaddr *addr, char *out, size_t cap);
/* Of an address as the functions here make them. */
socklen_t net_sockaddr_len(const struct sockaddr *addr);
/* Numeric only ("1.2.3.4", "::1", "unix:/path"). */
int net_sockaddr_parse(struct slice host, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len, struct err *err);

#endif

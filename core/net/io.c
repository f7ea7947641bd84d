/* Byte streams on sockets: libh2o's loop says when a descriptor is ready, reading and writing are our own.
 *
 * An event reads once into the worker's scratch and offers the bytes from there. Everything that must not happen inside
 * a call of the user (offering again, flushing, telling of an error) waits in a net_post for the end of the turn.
 * libh2o's rules kept here: its sockets never read or write (DONT_READ; h2o_socket_write is not used), one
 * h2o_socket_notify_write() at a time, nothing of a socket is touched after h2o_socket_close(). */
#include "core/net/io_private.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum {
    DEFAULT_MAX_UNREAD = 64 * 1024,
    MIN_BUF = 512,
    MAX_IOV = 64, /* more pieces than this are joined first */
    SMALL_SEND = 2048,
};

/* ---- buffers ---- */

char *net_buf_reserve(struct net_worker *worker, struct net_buf *buf, size_t len)
{
    size_t need = (size_t)buf->len + len;

    if (buf->start != 0 && buf->start + need > buf->cap) {
        memmove(buf->base, buf->base + buf->start, buf->len);
        buf->start = 0;
    }
    if (need > buf->cap) {
        size_t cap = MAX(buf->cap, MIN_BUF);
        while (cap < need)
            cap *= 2;
        if (cap > UINT32_MAX / 2)
            abort(); /* a writer that ignores "stop" for gigabytes */
        buf->base = xrealloc(buf->base, cap);
        net_mem_charge(worker, cap - buf->cap);
        buf->cap = (uint32_t)cap;
    }
    return buf->base + buf->start + buf->len;
}

void net_buf_add(struct net_worker *worker, struct net_buf *buf, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    memcpy(net_buf_reserve(worker, buf, len), bytes, len);
    buf->len += (uint32_t)len;
}

void net_buf_free(struct net_worker *worker, struct net_buf *buf)
{
    net_mem_release(worker, buf->cap);
    free(buf->base);
    *buf = (struct net_buf){NULL, 0, 0, 0};
}

void net_buf_consume(struct net_worker *worker, struct net_buf *buf, size_t len)
{
    assert(len <= buf->len);
    buf->start += (uint32_t)len;
    buf->len -= (uint32_t)len;
    if (buf->len == 0 && buf->base != NULL)
        net_buf_free(worker, buf);
}

/* ---- failure ---- */

int net_io_fail(struct net_io *io, const char *why)
{
    if (io->is_failed || io->is_closed)
        return -1;
    io->is_failed = 1;
    io->why = why;
    net_buf_free(io->worker, &io->out);
    net_buf_free(io->worker, &io->cipher_out);
    net_post(io->worker, &io->error_post);
    return -1;
}

static int fail_errno(struct net_io *io)
{
    const char *text = strerrordesc_np(errno); /* static, unlike strerror() */
    return net_io_fail(io, text != NULL ? text : "input/output error");
}

/* ---- the socket ---- */

static void progress(struct net_io *io)
{
    io->last_progress_ms = net_now_ms(io->worker);
}

ssize_t net_io_recv(struct net_io *io, char *buf, size_t len)
{
    ssize_t got;

    while ((got = recv(io->fd, buf, len, 0)) < 0 && errno == EINTR)
        ;
    if (got > 0) {
        io->bytes_in += (uint64_t)got;
        progress(io);
    } else if (got < 0 && errno != EAGAIN) {
        fail_errno(io);
    }
    return got;
}

/* send() costs the kernel less than sendmsg(): a head with a small body is worth joining. */
static ssize_t send_pieces(int fd, const struct iovec *iov, int num)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)num};
    char joined[SMALL_SEND];
    size_t len = 0;

    if (num == 1)
        return send(fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
    for (int i = 0; i < num; i++) {
        if (iov[i].iov_len > sizeof(joined) - len)
            return sendmsg(fd, &msg, MSG_NOSIGNAL);
        memcpy(joined + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    return send(fd, joined, len, MSG_NOSIGNAL);
}

ssize_t net_io_send(struct net_io *io, const struct iovec *iov, int num)
{
    ssize_t sent;

    while ((sent = send_pieces(io->fd, iov, num)) < 0 && errno == EINTR)
        ;
    if (sent < 0)
        return errno == EAGAIN ? 0 : fail_errno(io);
    io->bytes_out += (uint64_t)sent;
    progress(io);
    io->last_sent_ms = io->last_progress_ms;
    return sent;
}

static void on_writable(h2o_socket_t *sock, const char *err);

void net_io_arm_write(struct net_io *io)
{
    io->wants_write = 1;
    if (!h2o_socket_is_writing(io->sock))
        h2o_socket_notify_write(io->sock, on_writable);
}

static void on_readable(h2o_socket_t *sock, const char *err);

static void arm_read(struct net_io *io)
{
    if (!h2o_socket_is_reading(io->sock))
        h2o_socket_read_start(io->sock, on_readable);
}

static void disarm_read(struct net_io *io)
{
    if (h2o_socket_is_reading(io->sock))
        h2o_socket_read_stop(io->sock);
}

/* ---- reading ---- */

size_t net_io_room(const struct net_io *io)
{
    if (!io->is_reading || io->is_closed || io->is_eof || io->unread.len >= io->max_unread)
        return 0;
    return MIN(io->max_read, io->max_unread - io->unread.len);
}

/* Calls on_read; whatever happens inside, the bytes stay until it returns. */
static size_t call_on_read(struct net_io *io, const char *bytes, size_t len)
{
    io->in_callback = 1;
    size_t taken = io->ops->on_read(io, bytes, len);
    io->in_callback = 0;
    assert(taken <= len);
    if (io->is_closed && io->unread.base != NULL)
        net_buf_free(io->worker, &io->unread);
    return taken;
}

static void offer_unread(struct net_io *io)
{
    size_t taken = call_on_read(io, io->unread.base + io->unread.start, io->unread.len);
    if (!io->is_closed)
        net_buf_consume(io->worker, &io->unread, taken);
}

bool net_io_offer(struct net_io *io, const char *bytes, size_t len)
{
    if (io->unread.len != 0) {
        net_buf_add(io->worker, &io->unread, bytes, len);
        offer_unread(io);
    } else {
        size_t taken = call_on_read(io, bytes, len);
        if (!io->is_closed)
            net_buf_add(io->worker, &io->unread, bytes + taken, len - taken);
    }
    return net_io_room(io) != 0;
}

void net_io_got_eof(struct net_io *io)
{
    io->is_eof = 1;
    if (io->is_closed || !io->is_reading || io->is_eof_told)
        return;
    io->is_eof_told = 1;
    io->ops->on_eof(io);
}

static void read_plain(struct net_io *io)
{
    size_t room, budget = NET_IO_EVENT_BUDGET;

    while ((room = net_io_room(io)) != 0 && budget != 0) {
        room = MIN(room, budget);
        ssize_t got = net_io_recv(io, io->worker->scratch, room);
        if (got == 0 && !io->is_failed) /* after a reset the kernel says "end of stream" too, which is not true */
            net_io_got_eof(io);
        if (got <= 0)
            return;
        /* A short read has emptied the socket: asking again would only earn EAGAIN. */
        if (!net_io_offer(io, io->worker->scratch, (size_t)got) || (size_t)got < room)
            return;
        budget -= (size_t)got;
    }
}

static void read_some(struct net_io *io)
{
    if (io->ssl != NULL)
        net_io_tls_read(io, true);
    else
        read_plain(io);
}

static void on_readable(h2o_socket_t *sock, const char *err)
{
    struct net_io *io = sock->data;

    net_worker_enter(io->worker);
    if (io->is_failed || (net_io_room(io) == 0 && !io->is_handshaking)) {
        disarm_read(io); /* only now: a pause during which nothing arrives costs no system call */
        return;
    }
    read_some(io);
    if (!io->is_closed && io->is_eof)
        disarm_read(io);
}

/* What net_io_resume() asked for. */
static void on_read_post(struct net_post *post)
{
    struct net_io *io = CONTAINER_OF(post, struct net_io, read_post);

    if (!io->is_reading || io->is_connecting || io->is_error_told)
        return;
    if (io->unread.len != 0)
        offer_unread(io);
    if (io->is_closed || !io->is_reading)
        return;
    if (io->ssl != NULL)
        net_io_tls_read(io, false);
    if (io->is_closed || !io->is_reading)
        return;
    if (io->is_eof)
        net_io_got_eof(io);
    else if (!io->is_failed && io->unread.len < io->max_unread)
        arm_read(io);
}

void net_io_pause(struct net_io *io)
{
    io->is_reading = 0;
}

void net_io_resume(struct net_io *io)
{
    if (io->is_closed)
        return;
    io->is_reading = 1;
    if (io->unread.len != 0 || io->cipher_in.len != 0 || (io->is_eof && !io->is_eof_told) ||
        (io->ssl != NULL && SSL_pending(io->ssl) != 0) || !h2o_socket_is_reading(io->sock))
        net_post(io->worker, &io->read_post);
}

/* A peer may answer and close while we still write: what it said before the failure is worth more than the failure. */
static void on_error_post(struct net_post *post)
{
    struct net_io *io = CONTAINER_OF(post, struct net_io, error_post);

    if (!io->is_connecting && !io->is_handshaking && net_io_room(io) != 0)
        read_some(io);
    if (io->is_closed)
        return;
    io->is_error_told = 1;
    disarm_read(io);
    io->ops->on_error(io, io->why);
}

/* ---- writing ---- */

static bool is_blocked(const struct net_io *io)
{
    return io->wants_write || io->is_connecting || io->is_handshaking;
}

static void keep(struct net_io *io, const struct iovec *iov, int num)
{
    for (int i = 0; i < num; i++)
        net_buf_add(io->worker, &io->out, iov[i].iov_base, iov[i].iov_len);
}

/* Of `iov` the first `sent` bytes are gone: keeps the rest. */
static void keep_rest(struct net_io *io, const struct iovec *iov, int num, size_t sent)
{
    for (int i = 0; i < num; i++) {
        size_t skip = MIN(sent, iov[i].iov_len);
        net_buf_add(io->worker, &io->out, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip);
        sent -= skip;
    }
}

/* Sends `out`, then `iov`; keeps what the kernel refuses. */
static int flush(struct net_io *io, const struct iovec *iov, int num)
{
    struct iovec all[MAX_IOV + 1];
    size_t kept = io->out.len;
    ssize_t sent;

    if (num > MAX_IOV) {
        keep(io, iov, num);
        return flush(io, NULL, 0);
    }
    if (num == 0 && net_io_pending(io) == 0)
        return 0;
    if (kept != 0)
        all[0] = (struct iovec){io->out.base + io->out.start, kept};
    if (num != 0)
        memcpy(all + 1, iov, sizeof(*iov) * (size_t)num);
    const struct iovec *first = kept != 0 ? all : all + 1;
    sent = io->ssl != NULL ? net_io_tls_send(io, first, num + (kept != 0)) : net_io_send(io, first, num + (kept != 0));
    if (sent < 0)
        return -1;
    if (kept != 0)
        net_buf_consume(io->worker, &io->out, MIN((size_t)sent, kept));
    keep_rest(io, iov, num, (size_t)sent > kept ? (size_t)sent - kept : 0);
    if (io->cipher_out.len != 0 || (io->out.len != 0 && !io->is_handshaking))
        net_io_arm_write(io);
    return 0;
}

static void finish_shutdown(struct net_io *io)
{
    if (!io->is_write_shut || io->is_fin_sent || net_io_pending(io) != 0 || is_blocked(io) || io->is_failed)
        return;
    io->is_fin_sent = 1;
    if (io->ssl != NULL)
        net_io_tls_shutdown(io);
    if (net_io_pending(io) != 0) /* close_notify itself waits */
        io->is_fin_sent = 0;
    else
        (void)shutdown(io->fd, SHUT_WR); /* fails only where the peer is gone already */
    if (io->is_fin_sent && io->is_eof && io->linger != NULL)
        net_io_end_linger(io);
}

ssize_t net_io_write(struct net_io *io, const struct iovec *iov, int num)
{
    if (io->is_failed || io->is_closed || io->is_write_shut)
        return -1;
    if (is_blocked(io))
        keep(io, iov, num);
    else if (flush(io, iov, num) != 0)
        return -1;
    return (ssize_t)net_io_pending(io);
}

char *net_io_reserve(struct net_io *io, size_t len)
{
    return net_buf_reserve(io->worker, &io->out, len);
}

void net_io_commit(struct net_io *io, size_t len)
{
    io->out.len += (uint32_t)len;
    if (io->is_failed || io->is_closed || io->is_write_shut)
        net_buf_free(io->worker, &io->out);
    else if (!is_blocked(io))
        net_post(io->worker, &io->flush_post);
}

void net_io_buffer(struct net_io *io, const void *bytes, size_t len)
{
    if (io->is_failed || io->is_closed || io->is_write_shut)
        return;
    net_buf_add(io->worker, &io->out, bytes, len);
    if (!is_blocked(io))
        net_post(io->worker, &io->flush_post);
}

static void on_flush_post(struct net_post *post)
{
    struct net_io *io = CONTAINER_OF(post, struct net_io, flush_post);

    if (io->out.len != 0 && !is_blocked(io) && !io->is_failed)
        (void)flush(io, NULL, 0); /* a failure posts on_error */
    finish_shutdown(io);
}

void net_io_shutdown(struct net_io *io)
{
    if (io->is_closed || io->is_write_shut)
        return;
    io->is_write_shut = 1;
    net_post(io->worker, &io->flush_post);
}

static void on_connected(struct net_io *io);

static void on_writable(h2o_socket_t *sock, const char *err)
{
    struct net_io *io = sock->data;

    net_worker_enter(io->worker);
    io->wants_write = 0;
    if (io->is_failed)
        return;
    if (io->is_connecting) {
        on_connected(io);
        return;
    }
    if (net_io_pending(io) != 0 && flush(io, NULL, 0) != 0)
        return;
    if (io->wants_write)
        return;
    finish_shutdown(io);
    if (!io->is_handshaking && !io->is_write_shut && net_io_pending(io) == 0)
        io->ops->on_writable(io);
}

/* ---- lifecycle ---- */

static void init(struct net_io *io, struct net_worker *worker, int fd, int flags, const struct net_io_ops *ops)
{
    *io = (struct net_io){.ops = ops, .worker = worker, .fd = fd, .max_unread = DEFAULT_MAX_UNREAD,
                           .max_read = NET_SCRATCH_SIZE, .is_reading = 1};
    net_post_init(&io->flush_post, on_flush_post);
    net_post_init(&io->read_post, on_read_post);
    net_post_init(&io->error_post, on_error_post);
    io->sock = h2o_evloop_socket_create(worker->loop, fd, flags);
    io->sock->data = io;
    h2o_socket_dont_read(io->sock, 1);
    progress(io);
}

static void set_nodelay(int fd, int family)
{
    if (family == AF_INET || family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* costs latency only */
}

static void fill_local(struct net_io *io)
{
    socklen_t len = sizeof(io->local);
    if (getsockname(io->fd, (struct sockaddr *)&io->local, &len) != 0)
        io->local.ss_family = AF_UNSPEC;
}

void net_io_init_server(struct net_io *io, struct net_worker *worker, int fd, SSL_CTX *ctx, const struct net_io_ops *ops)
{
    socklen_t len = sizeof(io->remote);

    init(io, worker, fd, H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION, ops);
    if (getpeername(fd, (struct sockaddr *)&io->remote, &len) != 0)
        io->remote.ss_family = AF_UNSPEC; /* gone already: the first read will say so */
    fill_local(io);
    set_nodelay(fd, io->local.ss_family);
    if (ctx != NULL)
        net_io_tls_init(io, ctx, false);
    io->is_ready = ctx == NULL;
    arm_read(io);
}

void net_io_became_ready(struct net_io *io)
{
    io->is_ready = 1;
    io->ops->on_ready(io);
    if (!io->is_closed && (io->out.len != 0 || io->is_write_shut))
        net_post(io->worker, &io->flush_post);
}

static void on_connected(struct net_io *io)
{
    int so_error = 0;
    socklen_t len = sizeof(so_error);

    if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &so_error, &len) != 0)
        so_error = errno;
    if (so_error != 0) {
        errno = so_error;
        fail_errno(io);
        return;
    }
    io->is_connecting = 0;
    progress(io);
    fill_local(io);
    arm_read(io);
    if (io->ssl != NULL)
        net_io_tls_start(io);
    else
        net_io_became_ready(io);
}

/* The socket, connecting, or -1 with errno. */
static int start_connect(const struct sockaddr *addr, socklen_t addr_len)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    set_nodelay(fd, addr->sa_family);
    if (connect(fd, addr, addr_len) == 0 || errno == EINPROGRESS)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int connect_error(const struct sockaddr *addr, struct err *err)
{
    char text[128];
    net_sockaddr_format(addr, text, sizeof(text));
    return err_errno(err, "connect to %s", text);
}

static int set_client_hello(struct net_io *io, const char *sni, struct slice alpn, struct err *err)
{
    if (sni != NULL && SSL_set_tlsext_host_name(io->ssl, sni) != 1)
        return err_set(err, ERR_INVALID, "'%s' is no server name", sni);
    if (alpn.len != 0 && SSL_set_alpn_protos(io->ssl, (const unsigned char *)alpn.base, (unsigned)alpn.len) != 0)
        return err_set(err, ERR_INVALID, "malformed list of application protocols");
    return 0;
}

int net_io_connect(struct net_io *io, struct net_worker *worker, const struct sockaddr *addr, socklen_t addr_len,
                   SSL_CTX *ctx, const char *sni, struct slice alpn, const struct net_io_ops *ops, struct err *err)
{
    int fd = start_connect(addr, addr_len);

    *io = (struct net_io){.fd = -1, .is_closed = 1};
    if (fd < 0)
        return connect_error(addr, err);
    init(io, worker, fd, 0, ops);
    io->is_client = io->is_connecting = 1;
    memcpy(&io->remote, addr, MIN(addr_len, sizeof(io->remote)));
    if (ctx != NULL) {
        net_io_tls_init(io, ctx, true);
        if (set_client_hello(io, sni, alpn, err) != 0) {
            net_io_close(io);
            return -1;
        }
    }
    net_io_arm_write(io);
    return 0;
}

static void stop_posts(struct net_io *io)
{
    net_post_cancel(&io->flush_post);
    net_post_cancel(&io->read_post);
    net_post_cancel(&io->error_post);
}

static void free_buffers(struct net_io *io)
{
    if (!io->in_callback) /* else call_on_read() does it: the user still looks at these bytes */
        net_buf_free(io->worker, &io->unread);
    net_buf_free(io->worker, &io->out);
    net_buf_free(io->worker, &io->cipher_in);
    net_buf_free(io->worker, &io->cipher_out);
}

void net_io_close(struct net_io *io)
{
    if (io->is_closed)
        return;
    io->is_closed = 1;
    stop_posts(io);
    if (io->ssl != NULL)
        net_io_tls_free(io);
    free_buffers(io);
    net_io_free_linger(io);
    h2o_socket_close(io->sock);
    io->sock = NULL;
    io->fd = -1;
}

void net_io_reset(struct net_io *io)
{
    if (!io->is_closed)
        (void)setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    net_io_close(io);
}

struct slice net_io_alpn(const struct net_io *io)
{
    const unsigned char *name = NULL;
    unsigned len = 0;

    if (io->ssl != NULL)
        SSL_get0_alpn_selected(io->ssl, &name, &len);
    return slice_make((const char *)name, len);
}

const char *net_io_sni(const struct net_io *io)
{
    return io->ssl != NULL ? SSL_get_servername(io->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
}

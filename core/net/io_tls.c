/* TLS inside a byte stream: OpenSSL talks to a BIO whose two ends are the worker's ciphertext scratch.
 *
 * In: one recv() fills the scratch, SSL_read() is called until it is empty, the plaintext of the batch is offered at
 * once. What cannot be decrypted because the reader is blocked is kept in `cipher_in` (at most one scratch).
 * Out: records are collected in the worker's output scratch and leave in one send(); what the kernel refuses waits in
 * `cipher_out`, and nothing more is encrypted until it is gone. So the BIO never refuses, and no call of OpenSSL ever
 * has to be repeated with the same arguments.
 * A batch belongs to one stream and is finished before any callback of the user runs. */
#include "core/net/io_private.h"

#include <openssl/err.h>
#include <pthread.h>

enum {
    MAX_RECORD = 16 * 1024,
    RECORD_ROOM = MAX_RECORD + 512,        /* header, explicit nonce, padding, tag; and a KeyUpdate in front */
    MAX_UNSOLICITED_OUT = 128 * 1024,      /* answers to KeyUpdate and the like that the peer does not take */
};

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *buf, int len)
{
    struct net_io *io = BIO_get_data(bio);
    struct net_tls_scratch *tls = &io->worker->tls;

    BIO_clear_retry_flags(bio);
    if (io->cipher_in.len != 0) {
        size_t num = MIN((size_t)len, io->cipher_in.len);
        memcpy(buf, io->cipher_in.base + io->cipher_in.start, num);
        net_buf_consume(io->worker, &io->cipher_in, num);
        return (int)num;
    }
    if (tls->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t num = MIN((size_t)len, tls->in_len);
    memcpy(buf, tls->in, num);
    tls->in += num;
    tls->in_len -= num;
    return (int)num;
}

/* Hands the collected records to the kernel. */
static void send_batch(struct net_io *io)
{
    struct net_tls_scratch *tls = &io->worker->tls;
    size_t len = tls->out_len;
    ssize_t sent = 0;

    tls->out_len = 0;
    if (len == 0 || io->is_failed)
        return;
    if (io->cipher_out.len == 0)
        sent = net_io_send(io, &(struct iovec){tls->out, len}, 1);
    if (sent < 0 || (size_t)sent == len)
        return;
    net_buf_add(io->worker, &io->cipher_out, tls->out + sent, len - (size_t)sent);
    net_io_arm_write(io);
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    struct net_io *io = BIO_get_data(bio);
    struct net_tls_scratch *tls = &io->worker->tls;

    BIO_clear_retry_flags(bio);
    for (size_t left = (size_t)len; left != 0;) {
        size_t num = MIN(left, NET_TLS_OUT_SIZE - tls->out_len);
        memcpy(tls->out + tls->out_len, bytes, num);
        tls->out_len += num;
        bytes += num;
        left -= num;
        if (left != 0)
            send_batch(io);
    }
    return len;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "net_io");
    if (bio_method == NULL)
        abort();
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

/* ---- lifecycle ---- */

void net_io_tls_init(struct net_io *io, SSL_CTX *ctx, bool is_client)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BIO *bio;

    pthread_once(&once, make_bio_method);
    io->ssl = SSL_new(ctx);
    bio = BIO_new(bio_method);
    if (io->ssl == NULL || bio == NULL)
        abort(); /* out of memory */
    BIO_set_data(bio, io);
    BIO_set_init(bio, 1);
    SSL_set_bio(io->ssl, bio, bio);
    SSL_set_mode(io->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_options(io->ssl, SSL_OP_NO_RENEGOTIATION);
    if (is_client)
        SSL_set_connect_state(io->ssl);
    else
        SSL_set_accept_state(io->ssl);
    io->is_handshaking = 1;
}

void net_io_tls_free(struct net_io *io)
{
    /* A stream that ends without close_notify would take its session out of the cache: that is about resumption, not
     * about truncation, which the reader was told of. */
    if (!io->is_failed)
        SSL_set_shutdown(io->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(io->ssl);
    io->ssl = NULL;
}

/* SSL_get_error() wants an empty queue. Looking costs a fraction of ERR_clear_error(), which walks all its places. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

const char net_io_plain_http[] = "an HTTP request in the clear";

/* Static texts only: they outlive the stream. */
static const char *tls_error(struct net_io *io)
{
    long verify = SSL_get_verify_result(io->ssl);
    const char *reason;

    if (verify == X509_V_ERR_APPLICATION_VERIFICATION)
        return "the certificate carries none of the names or IDs required"; /* see tls_refuse_identity() */
    if (verify != X509_V_OK)
        return X509_verify_cert_error_string(verify);
    if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST)
        return net_io_plain_http;
    reason = ERR_reason_error_string(ERR_peek_error());
    return reason != NULL ? reason : "TLS failure";
}

/* ---- in ---- */

/* False when the stream failed; true: complete, or more bytes are needed. */
static bool handshake(struct net_io *io)
{
    forget_errors();
    int ret = SSL_do_handshake(io->ssl);
    int why = ret == 1 ? SSL_ERROR_NONE : SSL_get_error(io->ssl, ret);
    const char *text = ret == 1 || why == SSL_ERROR_WANT_READ ? NULL : tls_error(io);

    send_batch(io); /* an alert too */
    if (text != NULL) {
        net_io_fail(io, text);
        return false;
    }
    if (ret == 1) {
        io->is_handshaking = 0;
        net_io_became_ready(io);
    }
    return !io->is_failed && !io->is_closed;
}

/* What to make of the SSL_read() that gave nothing. True: more ciphertext would help. */
static bool end_of_input(struct net_io *io, int why)
{
    if (why == SSL_ERROR_WANT_READ)
        return true;
    if (why == SSL_ERROR_ZERO_RETURN)
        net_io_got_eof(io);
    else
        net_io_fail(io, tls_error(io));
    return false;
}

/* Nothing is left to decrypt, not even a part of a record. Asking OpenSSL all the same would cost a buffer of 16 KiB
 * taken and given back, and a walk through the state machine, to hear "more, please" after each request. */
static bool is_drained(struct net_io *io)
{
    return io->cipher_in.len == 0 && io->worker->tls.in_len == 0 && SSL_has_pending(io->ssl) == 0;
}

/* Decrypts what there is and offers it. True: all of it, more would help. */
static bool decrypt(struct net_io *io)
{
    size_t room;

    while ((room = net_io_room(io)) != 0) {
        char *plain = io->worker->scratch;
        size_t len = 0;
        int ret = 1;

        forget_errors();
        while (len < room && (ret = SSL_read(io->ssl, plain + len, (int)(room - len))) > 0) {
            len += (size_t)ret;
            if (is_drained(io))
                break;
        }
        int why = ret > 0 ? SSL_ERROR_NONE : SSL_get_error(io->ssl, ret);
        send_batch(io);
        if (io->cipher_out.len > MAX_UNSOLICITED_OUT) {
            net_io_fail(io, "the peer asks for answers and does not read them");
            return false;
        }
        if (len != 0)
            (void)net_io_offer(io, plain, len); /* the loop looks at the room itself */
        if (io->is_closed)
            return false;
        if (why != SSL_ERROR_NONE)
            return end_of_input(io, why);
        if (is_drained(io))
            return true;
    }
    return false;
}

static bool process(struct net_io *io)
{
    if (io->is_handshaking) {
        if (!handshake(io))
            return false;
        if (io->is_handshaking)
            return true;
    }
    return decrypt(io);
}

/* The next batch into the scratch. False: nothing there. */
static bool receive(struct net_io *io, size_t *budget)
{
    struct net_tls_scratch *tls = &io->worker->tls;
    size_t room = MIN(*budget, NET_SCRATCH_SIZE);
    ssize_t got = room != 0 ? net_io_recv(io, io->worker->scratch_tls, room) : -1;

    if (got == 0)
        net_io_fail(io, "the peer ended the connection without close_notify");
    if (got <= 0)
        return false;
    tls->in = io->worker->scratch_tls;
    tls->in_len = (size_t)got;
    *budget = (size_t)got == room ? *budget - room : 0; /* a short read has emptied the socket */
    return true;
}

void net_io_tls_read(struct net_io *io, bool may_recv)
{
    struct net_tls_scratch *tls = &io->worker->tls;
    size_t budget = may_recv ? NET_IO_EVENT_BUDGET : 0;
    bool wants_more = true;

    if (io->cipher_in.len != 0 || SSL_pending(io->ssl) != 0)
        wants_more = process(io);
    while (wants_more && receive(io, &budget))
        wants_more = process(io);
    if (!io->is_closed)
        net_buf_add(io->worker, &io->cipher_in, tls->in, tls->in_len);
    tls->in_len = 0;
    /* SSL_MODE_RELEASE_BUFFERS forgets the 16 KiB that a post-handshake message (a ticket) brings with it. */
    if (!io->is_closed && !io->is_handshaking)
        (void)SSL_free_buffers(io->ssl); /* refuses while one holds part of a record */
}

void net_io_tls_start(struct net_io *io)
{
    (void)handshake(io); /* a failure is posted */
}

/* ---- out ---- */

struct cursor {
    const struct iovec *iov;
    int num;
    size_t at; /* in the first */
};

static void advance(struct cursor *cursor, size_t len)
{
    cursor->at += len;
    while (cursor->num != 0 && cursor->at == cursor->iov->iov_len) {
        cursor->iov++;
        cursor->num--;
        cursor->at = 0;
    }
}

/* The plaintext of the next record: in place when one piece fills it, else gathered, so that a head, a chunk's frame
 * and a small body share one. */
static struct slice next_record(struct cursor *cursor, char *gather)
{
    const char *from = (const char *)cursor->iov->iov_base + cursor->at;
    size_t left = cursor->iov->iov_len - cursor->at, len = 0;

    if (left >= MAX_RECORD || cursor->num == 1) {
        left = MIN(left, MAX_RECORD);
        advance(cursor, left);
        return slice_make(from, left);
    }
    while (len < MAX_RECORD && cursor->num != 0) {
        size_t num = MIN(MAX_RECORD - len, cursor->iov->iov_len - cursor->at);
        memcpy(gather + len, (const char *)cursor->iov->iov_base + cursor->at, num);
        len += num;
        advance(cursor, num);
    }
    return slice_make(gather, len);
}

/* False when ciphertext still waits for the kernel. */
static bool send_kept(struct net_io *io)
{
    if (io->cipher_out.len == 0)
        return true;
    struct iovec kept = {io->cipher_out.base + io->cipher_out.start, io->cipher_out.len};
    ssize_t sent = net_io_send(io, &kept, 1);
    if (sent > 0)
        net_buf_consume(io->worker, &io->cipher_out, (size_t)sent);
    return sent >= 0 && io->cipher_out.len == 0;
}

ssize_t net_io_tls_send(struct net_io *io, const struct iovec *iov, int num)
{
    struct net_tls_scratch *tls = &io->worker->tls;
    struct cursor cursor = {iov, num, 0};
    size_t taken = 0;

    if (!send_kept(io) || io->is_handshaking)
        return io->is_failed ? -1 : 0;
    advance(&cursor, 0);
    forget_errors();
    while (cursor.num != 0 && io->cipher_out.len == 0 && !io->is_failed) {
        struct slice record = next_record(&cursor, tls->gather);
        if (SSL_write(io->ssl, record.base, (int)record.len) != (int)record.len)
            return net_io_fail(io, tls_error(io));
        taken += record.len;
        if (tls->out_len + RECORD_ROOM > NET_TLS_OUT_SIZE)
            send_batch(io);
    }
    send_batch(io);
    return io->is_failed ? -1 : (ssize_t)taken;
}

void net_io_tls_shutdown(struct net_io *io)
{
    forget_errors();
    (void)SSL_shutdown(io->ssl); /* the alert is best effort; the peer's own is seen by the reader */
    send_batch(io);
}

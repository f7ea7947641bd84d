/* Closing gracefully: the same stream, read by nobody. It ends when both directions have, or when its time is over. */
#include "core/net/io_private.h"

struct net_io_linger {
    struct net_io *io;
    struct timer timer;
    struct net_post closed_post;
    void (*on_closed)(struct net_io *io);
};

void net_io_free_linger(struct net_io *io)
{
    if (io->linger == NULL)
        return;
    timer_stop(&io->linger->timer);
    net_post_cancel(&io->linger->closed_post);
    free(io->linger);
    io->linger = NULL;
}

static void on_linger_end(struct net_post *post)
{
    struct net_io *io = CONTAINER_OF(post, struct net_io_linger, closed_post)->io;
    void (*on_closed)(struct net_io *io) = io->linger->on_closed;

    net_io_close(io);
    if (on_closed != NULL)
        on_closed(io); /* may free the io */
}

void net_io_end_linger(struct net_io *io)
{
    net_post(io->worker, &io->linger->closed_post);
}

static void on_linger_timer(struct timer *timer)
{
    net_io_end_linger(CONTAINER_OF(timer, struct net_io_linger, timer)->io);
}

static size_t drop_read(struct net_io *io, const char *bytes, size_t len)
{
    return len;
}

static void linger_eof(struct net_io *io)
{
    if (io->is_fin_sent)
        net_io_end_linger(io);
}

static void linger_writable(struct net_io *io)
{
}

static void linger_error(struct net_io *io, const char *why)
{
    net_io_end_linger(io);
}

static void linger_ready(struct net_io *io)
{
}

static const struct net_io_ops linger_ops = {drop_read, linger_eof, linger_writable, linger_error, linger_ready};

void net_io_close_gracefully(struct net_io *io, unsigned linger_ms, void (*on_closed)(struct net_io *io))
{
    struct net_io_linger *linger;

    if (io->is_closed || io->linger != NULL)
        return;
    linger = io->linger = xcalloc(1, sizeof(*linger));
    *linger = (struct net_io_linger){.io = io, .on_closed = on_closed};
    timer_init(&linger->timer, on_linger_timer);
    net_post_init(&linger->closed_post, on_linger_end);
    io->ops = &linger_ops;
    net_io_shutdown(io);
    if (io->is_failed || (io->is_fin_sent && io->is_eof)) { /* nothing to wait for */
        net_io_end_linger(io);
        return;
    }
    timer_start(&io->worker->timers, &linger->timer, net_now_ms(io->worker) + linger_ms);
    net_io_resume(io);
}

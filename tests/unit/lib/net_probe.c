#include "tests/unit/lib/net_probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

static struct net_probe *probe_of(struct net_io *io)
{
    return CONTAINER_OF(io, struct net_probe, io);
}

static void run_hook(struct net_probe *probe)
{
    if (probe->hook != NULL)
        probe->hook(probe);
}

static size_t on_read(struct net_io *io, const char *bytes, size_t len)
{
    struct net_probe *probe = probe_of(io);
    size_t take = MIN(len, probe->take);

    probe->num_reads++;
    probe->last_len = len;
    run_hook(probe);
    strbuf_add(&probe->got, bytes, take); /* after the hook: the bytes must have survived it */
    return take;
}

static void on_eof(struct net_io *io)
{
    probe_of(io)->num_eofs++;
    run_hook(probe_of(io));
}

static void on_writable(struct net_io *io)
{
    probe_of(io)->num_writables++;
    run_hook(probe_of(io));
}

static void on_error(struct net_io *io, const char *why)
{
    probe_of(io)->num_errors++;
    probe_of(io)->why = why;
    run_hook(probe_of(io));
}

static void on_ready(struct net_io *io)
{
    probe_of(io)->num_readies++;
    run_hook(probe_of(io));
}

const struct net_io_ops net_probe_ops = {on_read, on_eof, on_writable, on_error, on_ready};

void net_probe_init(struct net_probe *probe)
{
    *probe = (struct net_probe){.take = SIZE_MAX, .io = {.is_closed = 1}};
}

void net_probe_clear(struct net_probe *probe)
{
    net_io_close(&probe->io);
    strbuf_clear(&probe->got);
}

void net_probe_closed(struct net_io *io)
{
    probe_of(io)->num_closed++;
}

int net_tcp_listen(struct sockaddr_storage *ret, socklen_t *ret_len)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret_len = sizeof(*ret);
    if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)ret, ret_len) != 0)
        abort();
    return fd;
}

void net_tcp_pair(int fds[2])
{
    struct sockaddr_storage addr;
    socklen_t len;
    int listener = net_tcp_listen(&addr, &len);

    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fds[0] < 0 || connect(fds[0], (struct sockaddr *)&addr, len) != 0)
        abort();
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fds[1] < 0)
        abort();
    close(listener);
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0)
        abort();
}

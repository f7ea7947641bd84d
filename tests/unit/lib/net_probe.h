/* For tests of byte streams: an io whose callbacks write down what they saw, sockets to connect it to, and turns of a
 * worker's loop until something is so. */
#ifndef SELVEDGE_TESTS_NET_PROBE_H
#define SELVEDGE_TESTS_NET_PROBE_H

#include "core/base/strbuf.h"
#include "core/net/io.h"

struct net_probe {
    struct net_io io;
    struct strbuf got;
    size_t take;      /* how much on_read consumes at most; SIZE_MAX at first */
    size_t last_len;  /* what the last on_read was offered */
    unsigned num_reads, num_eofs, num_writables, num_readies, num_errors, num_closed;
    const char *why;
    void (*hook)(struct net_probe *probe); /* runs in every callback; may be NULL */
};

extern const struct net_io_ops net_probe_ops;

void net_probe_init(struct net_probe *probe);
/* Closes and frees what the probe holds. */
void net_probe_clear(struct net_probe *probe);
/* on_closed of net_io_close_gracefully(). */
void net_probe_closed(struct net_io *io);

/* Two connected, non-blocking TCP sockets on loopback. */
void net_tcp_pair(int fds[2]);
/* A listening loopback socket; its address. */
int net_tcp_listen(struct sockaddr_storage *ret, socklen_t *ret_len);

/* Turns until `cond` is true; aborts after 20 seconds without that. */
#define TURN_UNTIL(worker, cond)                                                                             \
    do {                                                                                                     \
        uint64_t turn_deadline_ = clock_mono_ms() + 20000;                                                   \
        while (!(cond)) {                                                                                    \
            net_worker_turn(worker, 100);                                                                    \
            if (clock_mono_ms() > turn_deadline_)                                                            \
                abort();                                                                                     \
        }                                                                                                    \
    } while (0)

#endif

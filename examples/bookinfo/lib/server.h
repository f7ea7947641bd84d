/* A listening socket, a thread for each connection, and an end that loses no request.
 *
 * SIGTERM or SIGINT: what is already in the accept queue is still served, then the listener closes;
 * connections see `stop_fd` readable when they are idle and end; those at work finish, up to `drain_ms`.
 * Threads:   bk_server_run() on the main thread; `serve` on one thread for each connection.
 * Limits:    2,000 connections; more wait in the kernel's queue. */
#ifndef BOOKINFO_SERVER_H
#define BOOKINFO_SERVER_H

#include "core/base/err.h"

#include <pthread.h>

struct bk_server {
    int listen_fd;
    int stop_fd; /* an eventfd that stays readable once stopping: poll it, never read it */
    unsigned port;
    unsigned num_connections; /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* Serves one connection to its end; owns `take_fd`, which is non-blocking. */
typedef void (*bk_serve_cb)(struct bk_server *server, int take_fd, void *data);

/* Opens the listener (port 0: a free one, see server->port) and takes over the signals. */
int bk_server_open(struct bk_server *server, const char *address, unsigned port, struct err *err);
/* Until told to stop. The number of connections cut off when the drain time was over. */
unsigned bk_server_run(struct bk_server *server, unsigned drain_ms, bk_serve_cb serve, void *data);
bool bk_server_is_stopping(const struct bk_server *server);

#endif

/* Taking connections, refusing in time.
 *
 * Descriptors are never exhausted by clients: the number of connections is bounded below the process's limit, and idle
 * ones are let go before a new one is refused. */
#include "core/proxy/listener.h"

#include "core/proxy/dataplane.h"
#include "core/proxy/request.h"

#include <stdio.h>
#include <unistd.h>

enum { IDLE_BATCH = 16 /* idle connections to let go when there are too many */ };

int px_listen(const struct px_listener_config *config, struct err *err)
{
    struct net_listen_options options = {.is_shared = true};
    char where[16];

    if (!config->is_any)
        return net_listen((const struct sockaddr *)&config->addr, config->addr_len, &options, err);
    snprintf(where, sizeof(where), ":%u", config->listener->port);
    return net_listen_text(where, &options, err);
}

/* ---- connections ---- */

static void free_if_unused(struct px_listener *listener)
{
    if (listener->socket != NULL || listener->num_conns != 0)
        return;
    list_remove(&listener->link);
    if (listener->view != NULL)
        px_view_end(listener->view);
    free((char *)listener->name.base);
    free(listener);
}

static void on_conn_closed(struct ht_server_conn *http)
{
    struct px_conn *conn = http->owner;
    struct px_worker *worker = conn->listener->worker;

    --worker->num_conns;
    metric_move(worker->stats.conns, -1);
    metric_set(worker->stats.buffers, (int64_t)worker->net->mem_used);
    px_dataplane_conn_closed(worker->dataplane);
    --conn->listener->num_conns;
    free_if_unused(conn->listener);
    free(conn);
    px_worker_check_drained(worker);
}

/* "192.0.2.1" of "192.0.2.1:80" and "::1" of "[::1]:80"; mapped addresses as IPv4; a unix socket has none. */
static void set_address(struct px_conn *conn, const struct sockaddr_storage *remote)
{
    struct ip_addr ip;

    strcpy(conn->address, "unknown");
    if (ip_from_sockaddr((const struct sockaddr *)remote, &ip) == 0)
        ip_print(&ip, conn->address);
    conn->address_len = (uint8_t)strlen(conn->address);
}

static void take(struct px_listener *listener, int fd)
{
    struct px_worker *worker = listener->worker;
    struct px_conn *conn = xcalloc(1, sizeof(*conn));
    SSL_CTX *ctx = listener->config->tls != NULL ? net_tls_server_ctx(listener->config->tls) : NULL;

    conn->listener = listener;
    conn->http = ht_server_accept(worker->net, fd, ctx, &px_request_handler, px_dataplane_limits(worker->dataplane), conn,
                                  on_conn_closed, slice_make(NULL, 0));
    set_address(conn, &conn->http->io.remote);
    list_push(&worker->conns, &conn->http->link);
    ++worker->num_conns;
    ++listener->num_conns;
    metric_add(worker->stats.conns_total, 1);
    metric_move(worker->stats.conns, 1);
}

bool px_conn_is_trusted(struct px_conn *conn, const struct px_config *config)
{
    if (conn->trust_serial != config->serial) {
        conn->is_trusted = px_trust_has_sockaddr(config->trust, (const struct sockaddr *)&conn->http->io.remote);
        conn->trust_serial = config->serial;
    }
    return conn->is_trusted;
}

/* ---- accepting ---- */

/* Oldest first; only those without a request. */
static void let_idle_go(struct px_worker *worker)
{
    unsigned num = 0;

    LIST_FOR_SAFE(http, &worker->conns, struct ht_server_conn, link)
    {
        if (http->num_active != 0 || http->is_draining)
            continue;
        ht_server_drain(http);
        if (++num == IDLE_BATCH)
            return;
    }
}

static bool refuse(struct px_worker *worker, int fd)
{
    close(fd);
    metric_add(worker->stats.conns_refused, 1);
    let_idle_go(worker);
    return false;
}

static bool on_accept(struct net_listener *socket, int fd)
{
    struct px_listener *listener = socket->data;
    struct px_worker *worker = listener->worker;

    if (net_mem_level(worker->net) == NET_MEM_CRITICAL || !px_dataplane_conn_opened(worker->dataplane))
        return refuse(worker, fd);
    take(listener, fd);
    return true;
}

/* ---- lifecycle ---- */

struct px_listener *px_listener_new(struct px_worker *worker, const struct px_listener_config *config, int fd)
{
    struct px_listener *listener = xcalloc(1, sizeof(*listener));
    struct slice name = config->listener->name;

    listener->worker = worker;
    listener->name = slice_make(xstrndup(name.base, name.len), name.len);
    listener->config = config;
    list_push(&worker->listeners, &listener->link);
    listener->socket = net_listener_new(worker->net, fd, on_accept, listener);
    return listener;
}

struct px_listener *px_listener_find(struct px_worker *worker, struct slice name)
{
    LIST_FOR(listener, &worker->listeners, struct px_listener, link)
    if (listener->socket != NULL && slice_eq(listener->name, name))
        return listener;
    return NULL;
}

void px_listener_close(struct px_listener *listener)
{
    struct px_worker *worker = listener->worker;

    if (listener->socket == NULL)
        return;
    if (worker->view != NULL)
        listener->view = px_view_begin(worker);
    listener->socket = net_listener_close(listener->socket); /* hands over what waits in its queue */
    /* Those that never had a request may have one on its way: they are drained with it (request.c), or time out. */
    LIST_FOR_SAFE(http, &worker->conns, struct ht_server_conn, link)
    if (((struct px_conn *)http->owner)->listener == listener && http->num_requests != 0)
        ht_server_drain(http);
    free_if_unused(listener);
}

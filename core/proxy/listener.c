/* Taking connections, refusing in time.
 *
 * Descriptors are never exhausted by clients: the number of connections is bounded below the process's limit, and by a
 * limit of the listener's own where it has one. When a new one is refused idle ones are let go, to make room. */
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

/* ---- limits ---- */

static struct px_client_limits *limits_unref(struct px_client_limits *limits)
{
    if (limits != NULL && --limits->num_refs == 0)
        free(limits);
    return NULL;
}

void px_listener_use(struct px_listener *listener, const struct px_listener_config *config)
{
    struct ht_limits http = px_config_client_limits(config, px_dataplane_limits(listener->worker->dataplane));

    listener->config = config;
    if (listener->limits != NULL && memcmp(&listener->limits->http, &http, sizeof(http)) == 0)
        return; /* the padding may differ: then it is made anew for nothing */
    limits_unref(listener->limits);
    listener->limits = xcalloc(1, sizeof(*listener->limits));
    *listener->limits = (struct px_client_limits){http, 1};
}

/* ---- connections ---- */

static void free_if_unused(struct px_listener *listener)
{
    if (listener->socket != NULL || listener->num_conns != 0)
        return;
    list_remove(&listener->link);
    if (listener->view != NULL)
        px_view_end(listener->view);
    limits_unref(listener->limits);
    px_limits_unref(listener->counts);
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
    px_limit_give(&conn->listener->counts->num_connections);
    px_dataplane_conn_closed(worker->dataplane);
    limits_unref(conn->limits);
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
    conn->limits = listener->limits;
    ++conn->limits->num_refs;
    conn->http = ht_server_accept(worker->net, fd, ctx, &px_request_handler, &conn->limits->http, conn, on_conn_closed);
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
        const struct px_trust *trust = px_config_trust(config, conn->listener->config);
        conn->is_trusted = px_trust_has_sockaddr(trust, (const struct sockaddr *)&conn->http->io.remote);
        conn->trust_serial = config->serial;
    }
    return conn->is_trusted;
}

/* ---- accepting ---- */

/* Oldest first; only those without a request; of one listener, or (NULL) of all. */
static void let_idle_go(struct px_worker *worker, const struct px_listener *listener)
{
    unsigned num = 0;

    LIST_FOR_SAFE(http, &worker->conns, struct ht_server_conn, link)
    {
        if (http->num_active != 0 || http->is_draining)
            continue;
        if (listener != NULL && ((struct px_conn *)http->owner)->listener != listener)
            continue;
        ht_server_drain(http);
        if (++num == IDLE_BATCH)
            return;
    }
}

static bool refuse(struct px_worker *worker, const struct px_listener *listener, int fd)
{
    close(fd);
    metric_add(worker->stats.conns_refused, 1);
    let_idle_go(worker, listener);
    return false;
}

static unsigned max_conns(const struct px_listener *listener)
{
    const struct cfg_client *client = listener->config->listener->client;

    return client != NULL && client->max_connections != 0 ? client->max_connections : UINT32_MAX;
}

static bool on_accept(struct net_listener *socket, int fd)
{
    struct px_listener *listener = socket->data;
    struct px_worker *worker = listener->worker;

    if (net_mem_level(worker->net) == NET_MEM_CRITICAL || !px_dataplane_conn_opened(worker->dataplane))
        return refuse(worker, NULL, fd);
    if (!px_limit_take(&listener->counts->num_connections, max_conns(listener))) {
        px_dataplane_conn_closed(worker->dataplane);
        return refuse(worker, listener, fd);
    }
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
    listener->counts = px_limits_ref(config->counts);
    px_listener_use(listener, config);
    list_push(&worker->listeners, &listener->link);
    listener->socket = net_listener_new(worker->net, fd, on_accept, listener);
    return listener;
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

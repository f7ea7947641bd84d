/* The API's listening sockets: unix sockets for the same host, TLS for everybody else. */
#include "gateway/control/call_internal.h"

#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

enum { MAX_BODY = 3 * 1024 * 1024, MAX_CALLS = 16384 /* ten thousand nodes have a stream each */, WATCHER_STALL_MS = 30000 };

static void on_conn_closed(struct ht_server_conn *conn)
{
    list_remove(&conn->link);
}

static bool on_accept(struct net_listener *listener, int fd)
{
    struct ctl_listening *listening = listener->data;
    struct ctl_server *server = listening->server;
    SSL_CTX *tls = listening->peer == CTL_PEER_TLS ? net_tls_server_ctx(server->tls) : NULL;
    struct ht_server_conn *conn = ht_server_accept(server->config.worker, fd, tls, &ctl_call_handler, &server->limits, listening,
                                                   on_conn_closed);
    list_push(&server->conns, &conn->link);
    return true;
}

static void add_listening(struct ctl_server *server, int fd, enum ctl_peer peer, const char *path)
{
    struct ctl_listening *listening = xcalloc(1, sizeof(*listening));
    listening->server = server;
    listening->peer = peer;
    listening->path = path != NULL ? xstrdup(path) : NULL;
    listening->listener = net_listener_new(server->config.worker, fd, on_accept, listening);
    list_push(&server->listeners, &listening->link);
}

int ctl_server_listen_unix(struct ctl_server *server, const char *path, unsigned mode, enum ctl_peer peer, struct err *err)
{
    struct strbuf where = STRBUF_INIT;
    struct net_listen_options options = {.unix_mode = mode};
    strbuf_addf(&where, "unix:%s", path);
    int fd = net_listen_text(where.base, &options, err);
    strbuf_clear(&where);
    if (fd < 0)
        return -1;
    add_listening(server, fd, peer, path);
    return 0;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return 0;
    return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port : ((struct sockaddr_in *)&addr)->sin_port);
}

int ctl_server_listen_tls(struct ctl_server *server, const char *address, uint16_t port, struct net_tls_server *tls,
                          uint16_t *ret_port, struct err *err)
{
    struct sockaddr_storage addr;
    socklen_t len;
    if (net_sockaddr_parse(slice_of(address), port, &addr, &len, err) != 0)
        return err_wrap(err, "API address");
    int fd = net_listen((struct sockaddr *)&addr, len, NULL, err);
    if (fd < 0)
        return -1;
    if (ret_port != NULL)
        *ret_port = port_of(fd);
    ctl_server_set_tls(server, tls);
    add_listening(server, fd, CTL_PEER_TLS, NULL);
    return 0;
}

void ctl_server_set_tls(struct ctl_server *server, struct net_tls_server *tls)
{
    if (server->tls != NULL)
        net_tls_server_unref(server->tls);
    server->tls = net_tls_server_ref(tls);
}

/* ---------- life ---------- */

struct ctl_server *ctl_server_new(const struct ctl_server_config *config)
{
    struct ctl_server *server = xcalloc(1, sizeof(*server));
    server->config = *config;
    if (server->config.max_body == 0)
        server->config.max_body = MAX_BODY;
    if (server->config.max_calls == 0)
        server->config.max_calls = MAX_CALLS;
    server->limits = ht_limits_default;
    server->limits.write_idle_timeout_ms = WATCHER_STALL_MS;
    list_init(&server->listeners);
    list_init(&server->conns);
    return server;
}

void ctl_server_stop(struct ctl_server *server)
{
    server->is_stopping = true;
    LIST_FOR(listening, &server->listeners, struct ctl_listening, link)
    {
        listening->listener = net_listener_close(listening->listener);
        if (listening->path != NULL)
            (void)unlink(listening->path); /* else the next start finds it stale and removes it */
    }
    LIST_FOR_SAFE(conn, &server->conns, struct ht_server_conn, link)
    ht_server_drain(conn);
}

bool ctl_server_is_idle(const struct ctl_server *server)
{
    return list_is_empty(&server->conns) && server->num_calls == 0;
}

void ctl_server_close_conns(struct ctl_server *server)
{
    LIST_FOR_SAFE(conn, &server->conns, struct ht_server_conn, link)
    ht_server_close(conn);
}

struct ctl_server *ctl_server_free(struct ctl_server *server)
{
    if (server == NULL)
        return NULL;
    LIST_FOR_SAFE(listening, &server->listeners, struct ctl_listening, link)
    {
        net_listener_close(listening->listener);
        list_remove(&listening->link);
        free(listening->path);
        free(listening);
    }
    if (server->tls != NULL)
        net_tls_server_unref(server->tls);
    free(server);
    return NULL;
}

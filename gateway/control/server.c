/* The API's listening sockets: unix sockets for the same host, TLS for everybody else. */
#include "gateway/control/call_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 512, ACCEPTS_AT_ONCE = 16, RETRY_MS = 200, MAX_BODY = 3 * 1024 * 1024, MAX_CALLS = 4096 };

static void on_conn_closed(struct ht_server_conn *conn)
{
    list_remove(&conn->link);
}

static void pause_accepting(struct ctl_listening *listening)
{
    h2o_socket_read_stop(listening->sock);
    struct net_worker *worker = listening->server->config.worker;
    timer_start(&worker->timers, &listening->retry, net_now_ms(worker) + RETRY_MS);
}

static void on_accept(h2o_socket_t *sock, const char *why)
{
    struct ctl_listening *listening = sock->data;
    struct ctl_server *server = listening->server;
    for (int i = 0; i < ACCEPTS_AT_ONCE; ++i) {
        int fd = accept4(h2o_socket_get_fd(sock), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* Out of descriptors: the waiting connection would wake the loop at once for ever. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(listening);
            return;
        }
        SSL_CTX *tls = listening->peer == CTL_PEER_TLS ? net_tls_server_ctx(server->tls) : NULL;
        struct ht_server_conn *conn = ht_server_accept(server->config.worker, fd, tls, &ctl_call_handler, &server->limits, listening,
                                                       on_conn_closed, (struct slice){NULL, 0});
        list_push(&server->conns, &conn->link);
    }
}

static void on_retry(struct timer *timer)
{
    struct ctl_listening *listening = CONTAINER_OF(timer, struct ctl_listening, retry);
    h2o_socket_read_start(listening->sock, on_accept);
}

static void add_listening(struct ctl_server *server, int fd, enum ctl_peer peer, const char *path)
{
    struct ctl_listening *listening = xcalloc(1, sizeof(*listening));
    listening->server = server;
    listening->peer = peer;
    listening->path = path != NULL ? xstrdup(path) : NULL;
    listening->sock = h2o_evloop_socket_create(server->config.worker->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    listening->sock->data = listening;
    timer_init(&listening->retry, on_retry);
    list_push(&server->listeners, &listening->link);
    h2o_socket_read_start(listening->sock, on_accept);
}

/* ---------- unix ---------- */

static bool is_alive(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_connected = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0;
    if (fd >= 0)
        close(fd);
    return is_connected;
}

int ctl_server_listen_unix(struct ctl_server *server, const char *path, unsigned mode, enum ctl_peer peer, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return err_set(err, ERR_INVALID, "socket path is longer than %zu bytes: %s", sizeof(addr.sun_path) - 1, path);
    strcpy(addr.sun_path, path);
    if (is_alive(&addr))
        return err_set(err, ERR_CONFLICT, "another process is serving %s", path);
    (void)unlink(path); /* a stale one; if it cannot be removed, bind says so */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t before = umask(0777 & ~mode); /* the socket must never exist with wider rights */
    int status = fd >= 0 ? bind(fd, (struct sockaddr *)&addr, sizeof(addr)) : -1;
    umask(before);
    if (status != 0 || listen(fd, BACKLOG) != 0) {
        err_errno(err, "listen on unix:%s", path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    add_listening(server, fd, peer, path);
    return 0;
}

/* ---------- TLS ---------- */

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
    int one = 1;
    if (net_sockaddr_parse(slice_of(address), port, &addr, &len, err) != 0)
        return err_wrap(err, "API address");
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* bind says so if it mattered */
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, BACKLOG) != 0) {
        err_errno(err, "listen on %s port %u", address, (unsigned)port);
        if (fd >= 0)
            close(fd);
        return -1;
    }
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
    server->limits.write_idle_timeout_ms = 30000; /* a watcher that takes nothing for that long is gone */
    list_init(&server->listeners);
    list_init(&server->conns);
    return server;
}

static void listening_free(struct ctl_listening *listening)
{
    list_remove(&listening->link);
    timer_stop(&listening->retry);
    h2o_socket_close(listening->sock);
    if (listening->path != NULL)
        (void)unlink(listening->path); /* the next start removes it otherwise */
    free(listening->path);
    free(listening);
}

void ctl_server_stop(struct ctl_server *server)
{
    LIST_FOR_SAFE(listening, &server->listeners, struct ctl_listening, link)
    {
        h2o_socket_read_stop(listening->sock);
        timer_stop(&listening->retry);
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
    listening_free(listening);
    if (server->tls != NULL)
        net_tls_server_unref(server->tls);
    free(server);
    return NULL;
}

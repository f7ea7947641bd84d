/* A session: where its server is and how it is trusted, and the loop that its calls (session_call.c) run in. */
#include "core/http/session_private.h"

#include "core/base/files.h"
#include "core/http/engine.h"

enum { CONNECT_TIMEOUT_MS = 5 * 1000, TURN_MS = 1000, MAX_TRUST = 4 * 1024 * 1024 };

/* ---- calls ---- */

void ht_session_send(struct ht_session *session, const struct ht_request *request, ht_done_cb on_done, void *data)
{
    net_worker_refresh_clock(session->worker);
    session_call_go(session_call_new(session, request, NULL, on_done, data));
}

static void end_calls(struct ht_session *session)
{
    while (!list_is_empty(&session->calls)) {
        struct session_call *call = LIST_FIRST(&session->calls, struct session_call, link);
        if (call->call.conn != NULL)
            ht_call_cancel(&call->call);
        call->status = err_set(&call->err, ERR_UNAVAILABLE, "%s: the session ended", call->name);
        session_call_tell(call);
        session_call_free(call);
    }
}

int ht_session_wait(struct ht_session *session, const struct ht_request *request, ht_piece_cb on_piece,
                    bool (*go_on)(void *data), ht_done_cb on_done, void *data, struct err *err)
{
    bool is_over = false;
    net_worker_refresh_clock(session->worker);
    struct session_call *call = session_call_new(session, request, on_piece, on_done, data);
    call->ret_is_over = &is_over;
    session_call_go(call);
    while (!is_over) {
        net_worker_turn(session->worker, TURN_MS);
        if (!is_over && go_on != NULL && !go_on(data)) {
            session_call_fail(call, ERR_UNAVAILABLE, "interrupted");
            is_over = true;
        }
    }
    list_remove(&call->link);
    end_calls(session);
    int status = call->status;
    if (status == 0)
        session_call_tell(call);
    else if (err != NULL)
        *err = call->err;
    session_call_free(call);
    return status;
}

int ht_call_once(const struct ht_session_config *config, const struct ht_request *request, ht_piece_cb on_piece,
                 bool (*go_on)(void *data), ht_done_cb on_done, void *data, struct err *err)
{
    struct ht_session *session = ht_session_new(config, err);
    int status = session != NULL ? ht_session_wait(session, request, on_piece, go_on, on_done, data, err) : -1;
    ht_session_free(session);
    return status;
}

/* ---- the session ---- */

static int set_host(struct ht_session *session, struct slice authority, struct err *err)
{
    char scratch[URI_HOST_SCRATCH];
    struct uri_authority parts;
    enum uri_fault fault = uri_authority_parse(authority, scratch, &parts);
    if (fault != URI_OK)
        return err_set(err, ERR_INVALID, "the URL %s", uri_fault_text(fault));
    bool has_brackets = parts.kind == URI_HOST_IPV6;
    snprintf(session->host, sizeof(session->host), "%.*s", (int)parts.host.len - 2 * has_brackets, parts.host.base + has_brackets);
    session->is_name = parts.kind == URI_HOST_NAME;
    session->port = parts.port != 0 ? parts.port : strcmp(session->scheme, "https") == 0 ? 443 : 80;
    return 0;
}

static int set_url(struct ht_session *session, const char *url, struct err *err)
{
    struct uri parts;
    enum uri_fault fault = uri_parse(slice_of(url), &parts);
    if (fault == URI_OK && parts.form != URI_ABSOLUTE)
        fault = URI_BAD_SCHEME;
    if (fault != URI_OK || parts.query.base != NULL) /* the URL itself is not shown: it may hold a password */
        return err_set(err, ERR_INVALID, "the URL %s", fault != URI_OK ? uri_fault_text(fault) : "holds a query");
    session->scheme = xstrndup(parts.scheme.base, parts.scheme.len);
    session->authority = xstrndup(parts.authority.base, parts.authority.len);
    session->prefix = slice_is(parts.path, "/") ? xstrdup("") : xstrndup(parts.path.base, parts.path.len);
    return set_host(session, parts.authority, err);
}

static int set_tls(struct ht_session *session, const struct ht_session_config *config, struct err *err)
{
    struct strbuf trust = STRBUF_INIT;
    struct net_tls_client_config tls = {.ca_pem = config->ca_pem, .hostname = session->host, .insecure = config->insecure,
                                        .cert_pem = config->cert_pem, .key_pem = config->key_pem};
    if (strcmp(session->scheme, "https") != 0 || config->unix_path != NULL)
        return 0;
    if (config->ca_file != NULL && !config->insecure) {
        if (file_read(config->ca_file, MAX_TRUST, &trust, err) != 0)
            return -1;
        tls.ca_pem = strbuf_slice(&trust);
    }
    session->tls = net_tls_client_new(&tls, err);
    strbuf_clear(&trust);
    return session->tls != NULL ? 0 : -1;
}

static int set_unix_path(struct ht_session *session, const char *path, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    socklen_t len;
    strbuf_addf(&text, "unix:%s", path);
    int status = net_sockaddr_parse(strbuf_slice(&text), 0, &session->addrs[0], &len, err);
    session->num_addrs = 1;
    strbuf_clear(&text);
    return status;
}

struct ht_session *ht_session_new(const struct ht_session_config *config, struct err *err)
{
    struct ht_session *session = xcalloc(1, sizeof(*session));
    session->worker = net_worker_new(0, 0, 0);
    session->connect_timeout_ms = config->connect_timeout_ms != 0 ? config->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    list_init(&session->conns);
    list_init(&session->calls);
    if (set_url(session, config->url, err) != 0 || set_tls(session, config, err) != 0)
        return ht_session_free(session);
    if (config->unix_path != NULL && set_unix_path(session, config->unix_path, err) != 0)
        return ht_session_free(session);
    return session;
}

/* The peer is told that this is the end; nobody waits for it to agree. */
static void close_conns(struct ht_session *session)
{
    LIST_FOR(conn, &session->conns, struct ht_client_conn, link)
    ht_client_close(conn);
    net_worker_turn(session->worker, 0);
    LIST_FOR(conn, &session->conns, struct ht_client_conn, link)
    ht_client_conn_abandon(conn);
}

struct ht_session *ht_session_free(struct ht_session *session)
{
    if (session == NULL)
        return NULL;
    end_calls(session);
    session->lookup = net_resolve_cancel(session->lookup);
    close_conns(session);
    net_worker_free(session->worker);
    net_tls_client_unref(session->tls);
    free(session->scheme);
    free(session->authority);
    free(session->prefix);
    free(session);
    return NULL;
}

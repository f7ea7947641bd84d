/* A call of a session: a connection with room, or a new one, then the request's body out and the answer in.
 *
 * begin -> (name -> addresses) -> connection -> the engine's callbacks -> over. An end is told from a post, when the
 * engine has done with the connection and the next call may use it. */
#include "core/http/session_private.h"

#include <stdio.h>

enum { CALL_TIMEOUT_MS = 30 * 1000, MAX_BODY = 8 * 1024 * 1024, BODY_PIECE = 64 * 1024 };

/* ---- the end of a call ---- */

void session_call_free(struct session_call *call)
{
    list_remove(&call->link);
    timer_stop(&call->deadline);
    net_post_cancel(&call->over_post);
    strbuf_clear(&call->body_out);
    strbuf_clear(&call->body_in);
    h2o_mem_clear_pool(&call->pool);
    free(call);
}

void session_call_tell(struct session_call *call)
{
    struct ht_response response = {.status = call->call.status, .headers = &call->call.headers, .body = strbuf_slice(&call->body_in)};
    list_remove(&call->link);
    call->on_done(call->data, call->status == 0 ? &response : NULL, &call->err);
}

static void on_over(struct net_post *post)
{
    struct session_call *call = CONTAINER_OF(post, struct session_call, over_post);
    if (call->ret_is_over != NULL) {
        *call->ret_is_over = true; /* told by who waits for it */
        return;
    }
    session_call_tell(call);
    session_call_free(call);
}

/* The engine has let go of it, or never had it. */
static void call_over(struct session_call *call, int status)
{
    call->status = status;
    call->is_over = true;
    timer_stop(&call->deadline);
    net_post(call->session->worker, &call->over_post);
}

void session_call_fail(struct session_call *call, enum err_code code, const char *why)
{
    if (call->call.conn != NULL)
        ht_call_cancel(&call->call);
    call_over(call, err_set(&call->err, code, "%s: %s", call->name, why));
}

/* There was no connection to call on: the call is not what it is about. */
static void call_fail_unconnected(struct session_call *call, enum err_code code, const char *what, const char *why)
{
    if (call->call.conn != NULL)
        ht_call_cancel(&call->call);
    call_over(call, err_set(&call->err, code, "%s%s%s", what, *what != '\0' ? ": " : "", why));
}

/* ---- the body of the request, the answer ---- */

static struct session_call *call_of(struct ht_call *call)
{
    return CONTAINER_OF(call, struct session_call, call);
}

static void send_body(struct session_call *call)
{
    bool may_go_on = true;
    while (may_go_on && call->num_sent < call->body_out.len) {
        struct iovec piece = {call->body_out.base + call->num_sent, MIN(call->body_out.len - call->num_sent, (size_t)BODY_PIECE)};
        call->num_sent += piece.iov_len;
        may_go_on = ht_call_body(&call->call, &piece, 1);
    }
    if (call->num_sent == call->body_out.len && !call->call.is_ended)
        ht_call_end(&call->call, NULL);
}

static void on_writable(struct ht_call *engine_call)
{
    struct session_call *call = call_of(engine_call);
    if (call->call.has_body)
        send_body(call);
}

static void on_head(struct ht_call *engine_call)
{
}

static bool comes_in_pieces(const struct session_call *call)
{
    return call->on_piece != NULL && call->call.status / 100 == 2;
}

static size_t on_body(struct ht_call *engine_call, const char *bytes, size_t len)
{
    struct session_call *call = call_of(engine_call);
    if (comes_in_pieces(call))
        call->on_piece(call->data, slice_make(bytes, len));
    else if (len > call->max_body - call->body_in.len)
        session_call_fail(call, ERR_TOO_LARGE, "the answer is too large");
    else
        strbuf_add(&call->body_in, bytes, len);
    return len;
}

static void on_end(struct ht_call *engine_call)
{
    call_over(call_of(engine_call), 0);
}

/* ---- connections ---- */

static void set_deadline(struct session_call *call, void (*run)(struct timer *timer), uint64_t at_ms)
{
    call->deadline.run = run;
    timer_start(&call->session->worker->timers, &call->deadline, at_ms);
}

static void on_call_deadline(struct timer *timer)
{
    struct session_call *call = CONTAINER_OF(timer, struct session_call, deadline);
    char why[64];
    snprintf(why, sizeof(why), "no answer within %u ms", call->timeout_ms);
    session_call_fail(call, ERR_TIMEOUT, why);
}

/* Counted from when it has sought a connection; never beyond the call's own time. */
static unsigned connect_timeout_ms(const struct session_call *call)
{
    unsigned ms = call->session->connect_timeout_ms;
    uint64_t over_ms = call->begun_ms + call->timeout_ms;
    return call->timeout_ms != 0 ? (unsigned)MIN((uint64_t)ms, over_ms - MIN(over_ms, call->sought_ms)) : ms;
}

static void on_connect_deadline(struct timer *timer)
{
    struct session_call *call = CONTAINER_OF(timer, struct session_call, deadline);
    char why[64];
    snprintf(why, sizeof(why), "not connected within %u ms", connect_timeout_ms(call));
    call_fail_unconnected(call, ERR_TIMEOUT, call->session->authority, why);
}

/* It has a connection that is ready: from here on the call's own time counts. */
static void call_connected(struct session_call *call)
{
    call->is_connecting = false;
    timer_stop(&call->deadline);
    if (call->timeout_ms != 0)
        set_deadline(call, on_call_deadline, call->begun_ms + call->timeout_ms);
}

static void on_ready(struct ht_client_conn *conn)
{
    struct ht_session *session = conn->owner;
    LIST_FOR(call, &session->calls, struct session_call, link)
    if (call->call.conn == conn)
        call_connected(call);
}

static void on_available(struct ht_client_conn *conn)
{
}

/* It stays in the list until it is freed: see close_conns(). */
static void on_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail)
{
}

static const struct ht_client_ops conn_ops = {on_ready, on_available, on_gone};

static void note_connect_failure(struct session_call *call, enum ht_fail fail, const char *detail)
{
    const struct ht_session *session = call->session;
    char address[160];
    if (call->connect_err.code != ERR_NONE && fail != HT_FAIL_TLS)
        return;
    net_sockaddr_format((const struct sockaddr *)&session->addrs[call->next_addr - 1], address, sizeof(address));
    err_set(&call->connect_err, ERR_UNAVAILABLE, "connect to %s: %s", address, detail);
}

/* RFC 9110 9.2.2: what was not processed for certain, or may be processed twice. */
static bool may_retry(const struct session_call *call)
{
    bool is_safe = slice_is(call->call.method, "GET") && call->is_on_kept && !call->call.had_response;
    return !call->is_connecting && !call->is_retried && (call->call.is_unsent || is_safe);
}

static void on_fail(struct ht_call *engine_call, enum ht_fail fail, const char *detail)
{
    struct session_call *call = call_of(engine_call);
    if (call->is_connecting)
        note_connect_failure(call, fail, detail);
    if (call->is_connecting && call->next_addr < call->session->num_addrs) {
        session_call_go(call);
    } else if (may_retry(call)) {
        call->is_retried = true;
        call->connect_err = ERR_INIT;
        call->sought_ms = net_now_ms(call->session->worker); /* it may have waited for long */
        session_call_go(call);
    } else if (call->is_connecting) {
        call_fail_unconnected(call, ERR_UNAVAILABLE, "", call->connect_err.text);
    } else {
        session_call_fail(call, fail == HT_FAIL_TOO_LARGE ? ERR_TOO_LARGE : ERR_UNAVAILABLE, detail);
    }
}

static const struct ht_call_ops call_ops = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_writable = on_writable, .on_fail = on_fail};

static struct ht_client_conn *find_room(const struct ht_session *session)
{
    LIST_FOR(conn, &session->conns, struct ht_client_conn, link)
    if (conn->capacity != 0 && !conn->is_gone)
        return conn;
    return NULL;
}

static uint64_t connect_deadline_ms(const struct session_call *call)
{
    return call->sought_ms + connect_timeout_ms(call);
}

/* The time that is left is shared among the addresses that are. */
static unsigned address_timeout_ms(const struct session_call *call)
{
    const struct ht_session *session = call->session;
    uint64_t until = connect_deadline_ms(call), now = net_now_ms(session->worker);
    return (unsigned)MAX((until > now ? until - now : 0) / (session->num_addrs - call->next_addr), (uint64_t)1);
}

/* NULL: none of the addresses that are left can even be tried. */
static struct ht_client_conn *connect_next(struct session_call *call)
{
    struct ht_session *session = call->session;
    struct ht_client_config config = {.protocol = session->tls != NULL ? HT_CLIENT_ALPN : HT_CLIENT_HTTP1,
                                      .tls = session->tls != NULL ? net_tls_client_ctx(session->tls) : NULL,
                                      .sni = session->is_name ? session->host : NULL};
    struct ht_client_conn *conn = NULL;
    while (conn == NULL && call->next_addr < session->num_addrs) {
        config.connect_timeout_ms = address_timeout_ms(call);
        const struct sockaddr *addr = (const struct sockaddr *)&session->addrs[call->next_addr++];
        conn = ht_client_connect(session->worker, addr, net_sockaddr_len(addr), &config, &conn_ops, session, &call->err);
    }
    if (conn != NULL)
        list_push(&session->conns, &conn->link);
    return conn;
}

static void start_on(struct session_call *call, struct ht_client_conn *conn)
{
    call->num_sent = 0;
    call->is_on_kept = conn->num_calls != 0;
    ht_call_start(conn, &call->call);
    if (call->call.has_body)
        send_body(call);
}

/* The addresses are known. */
static void call_connect(struct session_call *call)
{
    struct ht_client_conn *conn = find_room(call->session);
    if (conn == NULL) {
        if ((conn = connect_next(call)) == NULL) {
            struct err err = call->connect_err.code != ERR_NONE ? call->connect_err : call->err;
            call_fail_unconnected(call, ERR_UNAVAILABLE, "", err.text);
            return;
        }
        call->is_connecting = true;
        set_deadline(call, on_connect_deadline, connect_deadline_ms(call));
    } else if (conn->is_ready) {
        call_connected(call);
    }
    start_on(call, conn);
}

static void on_resolved(void *data, const struct net_resolve_answer *answer, const struct err *err)
{
    struct ht_session *session = data;
    session->lookup = NULL;
    if (answer != NULL) {
        session->num_addrs = answer->num;
        memcpy(session->addrs, answer->addrs, answer->num * sizeof(answer->addrs[0]));
    }
    LIST_FOR_SAFE(call, &session->calls, struct session_call, link)
    {
        if (call->call.conn != NULL || call->is_over)
            continue;
        if (answer != NULL)
            call_connect(call);
        else
            call_fail_unconnected(call, ERR_UNAVAILABLE, "", err->text);
    }
}

void session_call_go(struct session_call *call)
{
    struct ht_session *session = call->session;
    if (session->num_addrs != 0) {
        if (!call->is_connecting)
            call->next_addr = 0;
        call_connect(call);
        return;
    }
    set_deadline(call, on_connect_deadline, connect_deadline_ms(call));
    if (session->lookup == NULL)
        session->lookup = net_resolve_start(session->worker, slice_of(session->host), session->port, on_resolved, session);
}

/* ---- calls ---- */

static void set_name(struct session_call *call, const char *target)
{
    const struct ht_session *session = call->session;
    snprintf(call->name, sizeof(call->name), "%.*s %s://%s%s%.*s", (int)call->call.method.len, call->call.method.base, session->scheme,
             session->authority, session->prefix, (int)strcspn(target, "?"), target);
}

static void add_header(struct session_call *call, const char *line)
{
    const char *colon = strchr(line, ':');
    size_t name_len = (size_t)(colon - line);
    struct slice name = ht_pool_dup(&call->pool, slice_make(line, name_len));
    for (size_t i = 0; i < name_len; i++)
        ((char *)name.base)[i] = (char)(name.base[i] >= 'A' && name.base[i] <= 'Z' ? name.base[i] | 0x20 : name.base[i]);
    const char *value = colon + 1 + strspn(colon + 1, " ");
    ht_headers_set(&call->pool, &call->headers, name, ht_pool_dup(&call->pool, slice_of(value)));
}

static void set_request(struct session_call *call, const struct ht_request *request)
{
    const struct ht_session *session = call->session;
    const char *method = request->method != NULL ? request->method : request->body.base != NULL ? "POST" : "GET";
    char *target = h2o_mem_alloc_pool(&call->pool, strlen(session->prefix) + strlen(request->target) + 1);
    sprintf(target, "%s%s", session->prefix, request->target);
    add_header(call, "user-agent: selvedge/" SELVEDGE_VERSION);
    add_header(call, "accept: */*");
    for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
        add_header(call, request->headers[i]);
    strbuf_add_slice(&call->body_out, request->body);
    call->call.method = ht_pool_dup(&call->pool, slice_of(method));
    call->call.scheme = slice_of(session->scheme);
    call->call.authority = slice_of(session->authority);
    call->call.target = slice_of(target);
    call->call.request_headers = &call->headers;
    call->call.has_body = request->body.base != NULL;
    call->call.request_length = (int64_t)request->body.len;
    set_name(call, request->target);
}

struct session_call *session_call_new(struct ht_session *session, const struct ht_request *request, ht_piece_cb on_piece, ht_done_cb on_done, void *data)
{
    struct session_call *call = xcalloc(1, sizeof(*call));
    call->session = session;
    h2o_mem_init_pool(&call->pool);
    call->call.ops = &call_ops;
    call->call.pool = &call->pool;
    call->on_piece = on_piece;
    call->on_done = on_done;
    call->data = data;
    call->max_body = request->max_body != 0 ? request->max_body : MAX_BODY;
    call->timeout_ms = request->timeout_ms != 0 ? request->timeout_ms : on_piece != NULL ? 0 : CALL_TIMEOUT_MS;
    call->begun_ms = call->sought_ms = net_now_ms(session->worker);
    timer_init(&call->deadline, on_call_deadline);
    net_post_init(&call->over_post, on_over);
    list_init(&call->link);
    list_push(&session->calls, &call->link);
    set_request(call, request);
    return call;
}

/* Exchange -> call: begin, collect the body, dispatch, answer. The call lives in its own arena; the exchange may go first (the
 * client went away) or the call may end first (the answer is being sent). It is freed when both are done. */
#include "gateway/control/call.h"

#include "core/base/uri.h"
#include "gateway/control/call_internal.h"

#include <stdio.h>

struct ctl_call_private {
    struct ctl_server *server;
    struct ctl_call *call;
    struct strbuf body;
    struct ht_headers headers; /* of the answer; memory is the call's arena */
    struct net_post free_post;
    bool is_whole, is_dispatched, is_closed; /* body complete; dispatcher ran; exchange gone */
};

/* ---------- life ---------- */

/* What the body counts against. */
static size_t *bodies_of(struct ctl_call_private *private)
{
    struct ctl_server *server = private->server;
    return private->call->is_anonymous ? &server->num_anonymous_bytes : &server->num_body_bytes;
}

static void free_call(struct net_post *post)
{
    struct ctl_call_private *private = CONTAINER_OF(post, struct ctl_call_private, free_post);
    struct ctl_server *server = private->server;
    struct ctl_call *call = private->call;
    *bodies_of(private) -= private->body.len;
    strbuf_clear(&private->body);
    free(private->headers.at);
    --server->num_calls;
    struct arena *arena = call->arena;
    free(private);
    arena_free(arena); /* holds the call itself */
}

static void maybe_free(struct ctl_call *call)
{
    struct ctl_call_private *private = call->private;
    if (private->is_closed && (call->is_ended || !private->is_dispatched))
        net_post(private->server->config.worker, &private->free_post);
}

static struct slice request_header(struct ht_exchange *x, const char *name)
{
    struct ht_header *header = ht_headers_find(&x->headers, slice_of(name));
    return header != NULL ? header->value : (struct slice){NULL, 0};
}

static struct slice keep(struct ctl_call *call, struct slice text)
{
    return text.base != NULL ? arena_slice(call->arena, text) : text;
}

static struct slice origin_of(struct ctl_call *call, const struct ht_server_conn *conn)
{
    char text[128];
    if (call->peer != CTL_PEER_TLS) {
        struct ucred cred = {0};
        socklen_t len = sizeof(cred);
        (void)getsockopt(conn->io.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len); /* zeros say enough if it fails */
        snprintf(text, sizeof(text), "unix:uid=%u", (unsigned)cred.uid);
    } else {
        net_sockaddr_format((const struct sockaddr *)&conn->io.remote, text, sizeof(text));
    }
    return keep(call, slice_of(text));
}

static struct ctl_call *call_new(struct ctl_server *server, struct ht_exchange *x)
{
    static uint64_t next_id;
    struct arena *arena = arena_new(0);
    struct ctl_call *call = arena_zalloc(arena, sizeof(*call));
    struct ctl_call_private *private = xcalloc(1, sizeof(*private));
    call->arena = arena;
    call->private = private;
    call->control = server->config.control;
    call->x = x;
    call->id = ++next_id;
    call->peer = ((const struct ctl_listening *)x->conn->owner)->peer;
    call->method = keep(call, x->method);
    const char *question = memchr(x->target.base, '?', x->target.len);
    size_t path_len = question != NULL ? (size_t)(question - x->target.base) : x->target.len;
    call->path = keep(call, slice_make(x->target.base, path_len));
    if (question != NULL)
        call->query = keep(call, slice_make(question + 1, x->target.len - path_len - 1));
    call->content_type = keep(call, request_header(x, "content-type"));
    call->accept = keep(call, request_header(x, "accept"));
    call->user_agent = keep(call, request_header(x, "user-agent"));
    call->authorization = keep(call, request_header(x, "authorization"));
    call->origin = origin_of(call, x->conn);
    call->max_body = server->config.max_body;
    if (x->is_tls) {
        _cleanup_(freep) char *id = net_tls_peer_spiffe_id(x->conn->io.ssl);
        _cleanup_(freep) char *uid = net_tls_peer_uid(x->conn->io.ssl);
        call->spiffe_id = id != NULL ? keep(call, slice_of(id)) : (struct slice){NULL, 0};
        call->enrolment = uid != NULL ? keep(call, slice_of(uid)) : (struct slice){NULL, 0};
        call->cert_ends_us = net_tls_peer_not_after_us(x->conn->io.ssl);
    }
    private->call = call;
    private->server = server;
    net_post_init(&private->free_post, free_call);
    ++server->num_calls;
    return call;
}

/* ---------- answering ---------- */

void ctl_call_header(struct ctl_call *call, const char *name, struct slice value)
{
    struct ht_headers *headers = &call->private->headers;
    if (headers->num == headers->cap) {
        headers->cap = MAX(8u, headers->cap * 2);
        headers->at = xrealloc(headers->at, headers->cap * sizeof(*headers->at));
    }
    headers->at[headers->num++] = (struct ht_header){.name = keep(call, slice_of(name)), .value = keep(call, value)};
}

/* What every answer of the API carries: nothing here is for a cache or a frame. */
static void add_common_headers(struct ctl_call *call, const char *content_type)
{
    if (content_type != NULL)
        ctl_call_header(call, "content-type", slice_of(content_type));
    ctl_call_header(call, "cache-control", SLICE("no-store"));
    ctl_call_header(call, "x-content-type-options", SLICE("nosniff"));
    ctl_call_header(call, "x-frame-options", SLICE("DENY"));
    if (call->peer == CTL_PEER_TLS)
        ctl_call_header(call, "strict-transport-security", SLICE("max-age=31536000"));
}

void ctl_call_reply(struct ctl_call *call, unsigned status, const char *content_type, struct slice body)
{
    assert(!call->is_ended && !call->is_streaming);
    call->is_ended = true;
    if (call->on_answer != NULL)
        call->on_answer(call, status);
    if (call->x != NULL) {
        add_common_headers(call, content_type);
        struct iovec iov = {(void *)body.base, body.len};
        ht_exchange_head(call->x, status, &call->private->headers, (int64_t)body.len);
        if (body.len != 0)
            (void)ht_exchange_body(call->x, &iov, 1); /* all is taken; there is nothing more to hold back */
        ht_exchange_end(call->x, NULL);
    }
    maybe_free(call);
}

void ctl_call_reply_json(struct ctl_call *call, unsigned status, const struct json *body)
{
    struct strbuf text = STRBUF_INIT;
    json_write(&text, body);
    strbuf_addc(&text, '\n');
    ctl_call_reply(call, status, "application/json", strbuf_slice(&text));
    strbuf_clear(&text);
}

void ctl_call_retry_after(struct ctl_call *call, unsigned status)
{
    char seconds[16];
    if (status != 503 && status != 429)
        return;
    snprintf(seconds, sizeof(seconds), "%u", MAX(call->retry_after_s, 1u));
    ctl_call_header(call, "retry-after", slice_of(seconds));
}

void ctl_call_fail(struct ctl_call *call, const struct err *err)
{
    struct arena *arena = call->arena;
    unsigned status = err_status(err->code);
    struct json *body = json_new_object(arena);
    call->failure = slice_of(arena_strdup(arena, err->text));
    json_set_str(arena, body, "kind", "Status");
    json_set_str(arena, body, "apiVersion", "v1");
    json_set(arena, body, "metadata", json_new_object(arena));
    json_set_str(arena, body, "status", "Failure");
    json_set_str(arena, body, "message", err->text);
    json_set_str(arena, body, "reason", err_reason(err->code));
    json_set_int(arena, body, "code", status);
    ctl_call_retry_after(call, status);
    ctl_call_reply_json(call, status, body);
}

void ctl_call_stream(struct ctl_call *call, unsigned status, const char *content_type)
{
    assert(!call->is_ended && !call->is_streaming);
    call->is_streaming = true;
    if (call->on_answer != NULL)
        call->on_answer(call, status);
    if (call->x == NULL)
        return;
    add_common_headers(call, content_type);
    ht_exchange_head(call->x, status, &call->private->headers, -1);
    (void)ht_exchange_body(call->x, NULL, 0); /* the head goes out now */
}

bool ctl_call_write(struct ctl_call *call, struct slice bytes)
{
    assert(call->is_streaming && !call->is_ended);
    if (call->x == NULL)
        return true; /* going nowhere, so never in the way */
    struct iovec iov = {(void *)bytes.base, bytes.len};
    return ht_exchange_body(call->x, &iov, 1);
}

void ctl_call_end(struct ctl_call *call)
{
    assert(call->is_streaming && !call->is_ended);
    call->is_ended = true;
    if (call->x != NULL)
        ht_exchange_end(call->x, NULL);
    maybe_free(call);
}

/* ---------- asking ---------- */

struct slice ctl_call_request_header(struct ctl_call *call, const char *name)
{
    return call->x != NULL ? keep(call, request_header(call->x, name)) : (struct slice){NULL, 0};
}

struct slice ctl_call_param(struct ctl_call *call, const char *name)
{
    struct strbuf value = STRBUF_INIT;
    struct slice result = {NULL, 0};
    if (uri_query_get(call->query, slice_of(name), &value) == 1)
        result = arena_slice(call->arena, strbuf_slice(&value));
    strbuf_clear(&value);
    return result;
}

static const struct ctl_member *find_member(const struct ctl_member *members, struct slice name)
{
    for (; members->name != NULL; ++members)
        if (slice_is(name, members->name))
            return members;
    return NULL;
}

int ctl_call_check_body(const struct json *body, const struct ctl_member *members, struct err *err)
{
    int64_t number;
    if (body != NULL && body->type != JSON_OBJECT)
        return err_set(err, ERR_BAD_REQUEST, "the body must be an object");
    JSON_FOR(given, body)
    {
        const struct ctl_member *member = find_member(members, given->key);
        if (member == NULL)
            return err_set(err, ERR_INVALID, "unknown field \"%.*s\"", (int)MIN(given->key.len, (size_t)100), given->key.base);
        if (given->type == JSON_NULL)
            continue;
        if (member->type == JSON_NUMBER && !json_int(given, &number))
            return err_set(err, ERR_INVALID, "%s: must be an integer", member->name);
        if (given->type != member->type)
            return err_set(err, ERR_INVALID, "%s: must be of type %s, not %s", member->name, json_type_name(member->type), json_type_name(given->type));
    }
    return 0;
}

/* ---------- the exchange's side ---------- */

static void refuse(struct ctl_call *call, enum err_code code, const char *text)
{
    struct err err = ERR_INIT;
    err_set(&err, code, "%s", text);
    call->private->is_dispatched = true;
    ctl_call_fail(call, &err);
}

static void dispatch(struct ctl_call *call)
{
    struct ctl_call_private *private = call->private;
    if (private->server->is_stopping) { /* a body that was still coming, or a request on a connection that was busy */
        refuse(call, ERR_UNAVAILABLE, "the control API is stopping");
        return;
    }
    private->is_dispatched = true;
    call->body = strbuf_slice(&private->body);
    private->server->config.dispatch(call);
}

/* The caller is known before the first byte of the body is asked for. */
static void begin(struct ctl_call *call, struct ht_exchange *x)
{
    call->private->server->config.begin(call);
    if (call->is_ended)
        return;
    if (x->content_length > (int64_t)call->max_body)
        refuse(call, ERR_TOO_LARGE, "the request body is too large");
    else if (x->has_body)
        ht_exchange_resume(x);
    else
        dispatch(call);
}

static void on_request(struct ht_exchange *x)
{
    struct ctl_server *server = ((const struct ctl_listening *)x->conn->owner)->server;
    struct ctl_call *call = call_new(server, x);
    x->data = call;
    if (server->num_calls > server->config.max_calls)
        refuse(call, ERR_UNAVAILABLE, "too many calls are waiting; try again");
    else if (server->is_stopping)
        refuse(call, ERR_UNAVAILABLE, "the control API is stopping");
    else
        begin(call, x);
}

static void add_body(struct ctl_call_private *private, const char *bytes, size_t len)
{
    strbuf_add(&private->body, bytes, len);
    *bodies_of(private) += len;
}

static size_t on_body(struct ht_exchange *x, const char *bytes, size_t len)
{
    struct ctl_call *call = x->data;
    struct ctl_call_private *private = call->private;
    if (call->is_ended)
        return len;
    if (private->body.len + len > call->max_body)
        refuse(call, ERR_TOO_LARGE, "the request body is too large");
    else if (*bodies_of(private) + len > (call->is_anonymous ? CTL_MAX_ANONYMOUS_BODIES : CTL_MAX_BODIES))
        refuse(call, ERR_UNAVAILABLE, "too many request bodies are waiting; try again");
    else
        add_body(private, bytes, len);
    return len;
}

static void on_body_end(struct ht_exchange *x)
{
    struct ctl_call *call = x->data;
    if (!call->private->is_dispatched)
        dispatch(call);
}

static void on_writable(struct ht_exchange *x)
{
    struct ctl_call *call = x->data;
    if (call->is_streaming && !call->is_ended && call->on_writable != NULL)
        call->on_writable(call);
}

static void on_close(struct ht_exchange *x, enum ht_close why)
{
    struct ctl_call *call = x->data;
    call->x = NULL;
    call->private->is_closed = true;
    if (call->private->is_dispatched && !call->is_ended) {
        call->is_gone = true;
        if (call->on_gone != NULL)
            call->on_gone(call);
    }
    maybe_free(call);
}

const struct ht_handler ctl_call_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_writable = on_writable,
    .on_close = on_close,
};

/* What the proxy says itself: errors, redirects, answers of filters.
 *
 * An error is told in the form the client asked for: gRPC as a trailers-only response with HTTP 200, else JSON, HTML or
 * plain text by Accept. The text is the cause's own sentence from fail.def, nothing of what is behind us. */
#include "core/proxy/request.h"

#include "core/proxy/grpc.h"

#include <stdio.h>

static struct slice pool_printf(h2o_mem_pool_t *pool, const char *fmt, ...) _printf_(2, 3);
static struct slice pool_printf(h2o_mem_pool_t *pool, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return ht_pool_dup(pool, slice_make(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)));
}

/* ---- forms ---- */

enum form { FORM_TEXT, FORM_JSON, FORM_HTML };

static bool value_has(struct slice value, const char *word)
{
    return value.len != 0 && memmem(value.base, value.len, word, strlen(word)) != NULL;
}

/* The first thing a browser names is text/html; programs name json; the rest gets a line of text. */
static enum form choose_form(const struct px_request *req)
{
    const struct ht_header *accept = ht_headers_find_token(&req->x->headers, H2O_TOKEN_ACCEPT);
    const struct ht_header *type = ht_headers_find_token(&req->x->headers, H2O_TOKEN_CONTENT_TYPE);

    if (accept != NULL && value_has(accept->value, "text/html"))
        return FORM_HTML;
    if ((accept != NULL && value_has(accept->value, "json")) || (type != NULL && value_has(type->value, "json")))
        return FORM_JSON;
    return FORM_TEXT;
}

static const char *const content_types[] = {
    [FORM_TEXT] = "text/plain; charset=utf-8",
    [FORM_JSON] = "application/json",
    [FORM_HTML] = "text/html; charset=utf-8",
};

/* The request id is ours or was checked to be harmless in any of these forms. */
static struct slice make_body(struct px_request *req, enum form form, const struct px_fail_info *info)
{
    const char *reason = ht_status_reason(info->status);
    int id_len = (int)req->trace.request_id.len;
    const char *id = req->trace.request_id.base != NULL ? req->trace.request_id.base : "";

    switch (form) {
    case FORM_JSON:
        return pool_printf(&req->x->pool, "{\"error\":{\"status\":%u,\"message\":\"%s\",\"requestId\":\"%.*s\"}}\n",
                           info->status, info->text, id_len, id);
    case FORM_HTML:
        return pool_printf(&req->x->pool,
                           "<!doctype html><html><head><title>%u %s</title></head><body><h1>%u %s</h1><p>%s</p>"
                           "<p><small>%.*s</small></p></body></html>\n",
                           info->status, reason, info->status, reason, info->text, id_len, id);
    case FORM_TEXT:
        break;
    }
    return pool_printf(&req->x->pool, "%u %s: %s\n", info->status, reason, info->text);
}

/* ---- sending ---- */

static void send_answer(struct px_request *req, unsigned status, struct ht_headers *headers, struct slice body)
{
    struct ht_exchange *x = req->x;
    struct iovec iov = {(char *)body.base, body.len};

    req->is_answered = true;
    ht_exchange_head(x, status, headers, (int64_t)body.len);
    if (body.len != 0)
        (void)ht_exchange_body(x, &iov, 1); /* it is all there is: nothing would wait for room */
    ht_exchange_end(x, NULL);
}

static void add(struct px_request *req, struct ht_headers *headers, struct slice name, struct slice value)
{
    (void)ht_headers_add(&req->x->pool, headers, name, value);
}

static void add_common(struct px_request *req, struct ht_headers *headers, enum px_fail cause)
{
    const struct px_fail_info *info = px_fail_info(cause);

    if (req->trace.request_id.len != 0)
        add(req, headers, SLICE("x-request-id"), req->trace.request_id);
    if (info->retry_after_s != 0)
        add(req, headers, SLICE("retry-after"), pool_printf(&req->x->pool, "%u", info->retry_after_s));
    if (req->is_trusted)
        add(req, headers, SLICE("x-selvedge-cause"), slice_of(info->label));
}

static void answer_grpc(struct px_request *req, enum px_fail cause)
{
    const struct px_fail_info *info = px_fail_info(cause);
    struct ht_headers headers = {NULL, 0, 0};

    add(req, &headers, SLICE("content-type"), SLICE("application/grpc"));
    add(req, &headers, SLICE("grpc-status"), pool_printf(&req->x->pool, "%u", info->grpc_status));
    add(req, &headers, SLICE("grpc-message"), px_grpc_message(&req->x->pool, slice_of(info->text)));
    add_common(req, &headers, cause);
    send_answer(req, 200, &headers, slice_make(NULL, 0));
}

static void answer_http(struct px_request *req, enum px_fail cause)
{
    const struct px_fail_info *info = px_fail_info(cause);
    enum form form = choose_form(req);
    struct ht_headers headers = {NULL, 0, 0};

    add(req, &headers, SLICE("content-type"), slice_of(content_types[form]));
    add(req, &headers, SLICE("cache-control"), SLICE("no-store"));
    if (cause == PX_FAIL_METHOD_REFUSED)
        add(req, &headers, SLICE("allow"), SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    add_common(req, &headers, cause);
    send_answer(req, info->status, &headers, make_body(req, form, info));
}

void px_answer_fail(struct px_request *req, enum px_fail cause)
{
    if (req->is_grpc)
        answer_grpc(req, cause);
    else
        answer_http(req, cause);
}

void px_answer_redirect(struct px_request *req)
{
    struct ht_headers headers = {NULL, 0, 0};
    unsigned status = req->decision.redirect_status;

    add(req, &headers, SLICE("location"), req->decision.location);
    px_filters_on_response_head(req, &status, &headers);
    send_answer(req, status, &headers, slice_make(NULL, 0));
}

void px_request_answer(struct px_request *req, unsigned status, const struct ht_headers *given, const char *content_type,
                       struct slice body)
{
    struct ht_headers headers = {NULL, 0, 0};

    px_attempt_cancel(req);
    timer_stop(&req->deadline);
    req->is_paused = false;
    for (uint32_t i = 0; given != NULL && i < given->num; i++)
        add(req, &headers, ht_pool_dup(&req->x->pool, given->at[i].name), ht_pool_dup(&req->x->pool, given->at[i].value));
    if (content_type != NULL)
        add(req, &headers, SLICE("content-type"), slice_of(content_type));
    if (!req->x->is_head_sent && !req->is_answered)
        send_answer(req, status, &headers, body);
}

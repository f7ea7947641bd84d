/* One call: request head, framed messages in and out, deadline, status.
 *
 * A call that fails before it sent anything is answered by one HEADERS frame (trailers-only); afterwards the
 * status comes as trailers. Either way the stream ends at once, also when the client has more to say. */
#include "examples/bookinfo/ratings_grpc/rpc.h"

#include <stdarg.h>
#include <stdio.h>

enum { OUT_MAX = 256 * 1024, HEAD_VALUE_MAX = 4096, PLAIN_BODY_MAX = 64 * 1024 };

static const char *const head_names[RPC_NUM_HEADS] = {
    [RPC_HEAD_CONTENT_TYPE] = "content-type",
    [RPC_HEAD_TIMEOUT] = "grpc-timeout",
    [RPC_HEAD_ENCODING] = "grpc-encoding",
    [RPC_HEAD_USER] = "end-user",
    [RPC_HEAD_REQUEST_ID] = "x-request-id",
    [RPC_HEAD_TRACEPARENT] = "traceparent",
    [RPC_HEAD_DELAY] = "x-delay-ms",
    [RPC_HEAD_FAIL] = "x-fail",
    [RPC_HEAD_METHOD] = ":method",
    [RPC_HEAD_PATH] = ":path",
};

/* ---- life ---- */

struct rpc_call *rpc_call_new(struct rpc_conn *conn, int32_t stream_id)
{
    struct rpc_call *call = xcalloc(1, sizeof(*call));
    call->conn = conn;
    call->stream_id = stream_id;
    call->began_us = clock_mono_us();
    call->next = conn->calls;
    conn->calls = call;
    conn->num_calls++;
    return call;
}

static void log_call(const struct rpc_call *call)
{
    struct strbuf line = STRBUF_INIT;
    bk_log_begin(call->conn->service, &line);
    bk_log_member(&line, "method", slice_of(call->heads[RPC_HEAD_METHOD]));
    bk_log_member(&line, "path", slice_of(call->heads[RPC_HEAD_PATH]));
    if (call->is_finished)
        strbuf_addf(&line, ",\"%s\":%u", call->is_plain ? "status" : "grpc_status", call->status);
    else
        strbuf_adds(&line, ",\"cancelled\":true");
    strbuf_addf(&line, ",\"messages_in\":%u,\"messages_out\":%u,\"ms\":%.3f", call->num_in, call->num_out,
                (double)(clock_mono_us() - call->began_us) / 1000);
    bk_log_member(&line, "user", slice_of(call->heads[RPC_HEAD_USER]));
    bk_log_member(&line, "request_id", slice_of(call->heads[RPC_HEAD_REQUEST_ID]));
    bk_log_member(&line, "traceparent", slice_of(call->heads[RPC_HEAD_TRACEPARENT]));
    bk_log_write(call->conn->service, &line);
}

void rpc_call_free(struct rpc_call *call)
{
    struct rpc_call **at = &call->conn->calls;
    log_call(call);
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    call->conn->num_calls--;
    (void)nghttp2_session_consume_connection(call->conn->session, call->unconsumed); /* as rpc_call_run() */
    for (int i = 0; i != RPC_NUM_HEADS; i++)
        free(call->heads[i]);
    strbuf_clear(&call->in);
    strbuf_clear(&call->out);
    strbuf_clear(&call->status_text);
    free(call);
}

const struct bk_service *rpc_service(const struct rpc_call *call)
{
    return call->conn->service;
}

bool rpc_is_stopping(const struct rpc_call *call)
{
    return call->conn->is_stopping;
}

void rpc_call_add_head(struct rpc_call *call, struct slice name, struct slice value)
{
    for (int i = 0; i != RPC_NUM_HEADS; i++)
        if (slice_is(name, head_names[i]) && call->heads[i] == NULL && value.len <= HEAD_VALUE_MAX)
            call->heads[i] = xstrndup(value.base, value.len);
}

/* ---- answers ---- */

static nghttp2_nv field(const char *name, struct slice value)
{
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value.base, strlen(name), value.len,
                        NGHTTP2_NV_FLAG_NONE};
}

static void percent_encode(struct strbuf *out, struct slice text)
{
    for (size_t i = 0; i != text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c >= ' ' && c <= '~' && c != '%')
            strbuf_addc(out, (char)c);
        else
            strbuf_addf(out, "%%%02X", c);
    }
}

static void submit_trailers(struct rpc_call *call)
{
    char status[12];
    snprintf(status, sizeof(status), "%u", call->status);
    nghttp2_nv nv[] = {field("grpc-status", slice_of(status)),
                       field("grpc-message", strbuf_slice(&call->status_text))};
    /* out of memory aborts, and the stream is open: it cannot fail */
    (void)nghttp2_submit_trailer(call->conn->session, call->stream_id, nv,
                                 call->status_text.len != 0 ? 2 : 1);
}

static ssize_t on_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t len, uint32_t *flags,
                       nghttp2_data_source *source, void *data)
{
    struct rpc_call *call = source->ptr;
    size_t n = MIN(len, call->out.len - call->out_at);
    if (n != 0)
        memcpy(buf, call->out.base + call->out_at, n);
    call->out_at += n;
    if (call->out_at != call->out.len)
        return (ssize_t)n;
    strbuf_reset(&call->out);
    call->out_at = 0;
    if (call->is_finished) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (!call->is_plain) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(call);
        }
    } else if (n == 0) {
        call->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

static void resume(struct rpc_call *call)
{
    if (call->is_deferred) {
        call->is_deferred = false;
        (void)nghttp2_session_resume_data(call->conn->session,
                                          call->stream_id); /* deferred: it can be resumed */
    }
}

static void send_head(struct rpc_call *call)
{
    if (call->is_head_sent)
        return;
    call->is_head_sent = true;
    nghttp2_nv nv[] = {field(":status", SLICE("200")), field("content-type", SLICE("application/grpc")),
                       field("x-served-by", slice_of(call->conn->service->instance))};
    nghttp2_data_provider provider = {.source.ptr = call, .read_callback = on_read};
    (void)nghttp2_submit_response(call->conn->session, call->stream_id, nv, ARRAY_LEN(nv),
                                  &provider); /* as above */
}

static void drop_front(struct strbuf *buf, size_t *len)
{
    if (*len != 0)
        memmove(buf->base, buf->base + *len, buf->len - *len);
    buf->len -= *len;
    *len = 0;
}

void rpc_send(struct rpc_call *call, const struct strbuf *message)
{
    if (call->is_finished)
        return;
    if (call->out_at > OUT_MAX)
        drop_front(&call->out, &call->out_at);
    uint8_t prefix[RPC_PREFIX] = {0, (uint8_t)(message->len >> 24), (uint8_t)(message->len >> 16),
                                  (uint8_t)(message->len >> 8), (uint8_t)message->len};
    strbuf_add(&call->out, prefix, sizeof(prefix));
    strbuf_add_slice(&call->out, strbuf_slice(message));
    call->num_out++;
    send_head(call);
    resume(call);
}

static void send_trailers_only(struct rpc_call *call)
{
    char status[12];
    snprintf(status, sizeof(status), "%u", call->status);
    nghttp2_nv nv[] = {field(":status", SLICE("200")), field("content-type", SLICE("application/grpc")),
                       field("x-served-by", slice_of(call->conn->service->instance)),
                       field("grpc-status", slice_of(status)),
                       field("grpc-message", strbuf_slice(&call->status_text))};
    call->is_head_sent = true;
    (void)nghttp2_submit_response(call->conn->session, call->stream_id, nv,
                                  ARRAY_LEN(nv) - (call->status_text.len == 0), NULL); /* as above */
}

void rpc_finish(struct rpc_call *call, enum rpc_status status, const char *fmt, ...)
{
    struct strbuf text = STRBUF_INIT;
    va_list args;
    if (call->is_finished)
        return;
    va_start(args, fmt);
    strbuf_vaddf(&text, fmt, args);
    va_end(args);
    percent_encode(&call->status_text, strbuf_slice(&text));
    strbuf_clear(&text);
    call->is_finished = true;
    call->status = status;
    call->wake_ms = call->deadline_ms = 0;
    if (!call->is_head_sent && call->out.len == 0)
        send_trailers_only(call);
    else
        resume(call);
}

/* Plain HTTP: health and knobs, for people and health checks that speak no gRPC. */
static void answer_plain(struct rpc_call *call)
{
    struct bk_service *service = call->conn->service;
    struct slice path = slice_of(call->heads[RPC_HEAD_PATH]), method = slice_of(call->heads[RPC_HEAD_METHOD]);
    struct bk_reply reply = {.status = 200, .type = "application/json"};
    char status[12];
    if (slice_is(path, "/health"))
        bk_service_health(service, &reply);
    else if (slice_is(path, "/_knobs"))
        bk_service_knobs(service, method, strbuf_slice(&call->in), &reply);
    else if (call->method != NULL)
        bk_reply_error(&reply, 415, "content-type: application/grpc is spoken here");
    else
        bk_reply_error(&reply, 404, "there are /health, /_knobs and gRPC methods");
    call->is_plain = call->is_finished = call->is_head_sent = true;
    call->status = reply.status;
    if (!slice_is(method, "HEAD"))
        strbuf_add_slice(&call->out, strbuf_slice(&reply.body));
    snprintf(status, sizeof(status), "%u", reply.status);
    nghttp2_nv nv[] = {field(":status", slice_of(status)), field("content-type", slice_of(reply.type)),
                       field("x-served-by", slice_of(service->instance))};
    nghttp2_data_provider provider = {.source.ptr = call, .read_callback = on_read};
    (void)nghttp2_submit_response(call->conn->session, call->stream_id, nv, ARRAY_LEN(nv),
                                  &provider); /* as above */
    bk_reply_clear(&reply);
}

/* ---- requests ---- */

/* grpc-timeout: at most eight digits and a unit. 0 when it is none. */
static uint64_t timeout_us(const char *text)
{
    static const struct {
        char unit;
        uint64_t us;
    } units[] = {{'H', 3600000000u}, {'M', 60000000}, {'S', 1000000}, {'m', 1000}, {'u', 1}};
    size_t len = text != NULL ? strlen(text) : 0;
    uint64_t number;
    if (len < 2 || len > 9 || !bk_parse_number(slice_make(text, len - 1), UINT64_MAX, &number))
        return 0;
    if (text[len - 1] == 'n')
        return MAX(number / 1000, 1u);
    for (size_t i = 0; i != ARRAY_LEN(units); i++)
        if (units[i].unit == text[len - 1])
            return MAX(number * units[i].us, 1u);
    return 0;
}

static bool is_grpc(const struct rpc_call *call)
{
    struct slice type = slice_of(call->heads[RPC_HEAD_CONTENT_TYPE]);
    return slice_starts(type, SLICE("application/grpc")) &&
           !slice_starts(type, SLICE("application/grpc-web"));
}

static void apply_fault(struct rpc_call *call)
{
    struct bk_fault fault =
        bk_service_fault(call->conn->service, slice_of(call->heads[RPC_HEAD_USER]),
                         slice_of(call->heads[RPC_HEAD_DELAY]), slice_of(call->heads[RPC_HEAD_FAIL]));
    if (fault.delay_ms != 0)
        call->wake_ms = clock_mono_ms() + fault.delay_ms;
    call->is_failing = fault.is_failing;
    call->status = fault.status;
}

static void fail(struct rpc_call *call)
{
    call->is_failing = false;
    if (call->status != 0) {
        rpc_finish(call, (enum rpc_status)call->status, "failing as asked by a knob");
        return;
    }
    call->is_finished = true;
    call->status = RPC_INTERNAL; /* what the client makes of a reset stream */
    (void)nghttp2_submit_rst_stream(call->conn->session, NGHTTP2_FLAG_NONE, call->stream_id,
                                    NGHTTP2_INTERNAL_ERROR); /* as above */
}

void rpc_call_start(struct rpc_call *call)
{
    struct slice path = slice_of(call->heads[RPC_HEAD_PATH]);
    call->is_started = true;
    for (size_t i = 0; i != rpc_num_methods && call->method == NULL; i++)
        if (slice_is(path, rpc_methods[i].path))
            call->method = &rpc_methods[i];
    if (!is_grpc(call)) {
        call->is_plain = true;
        return;
    }
    uint64_t timeout = timeout_us(call->heads[RPC_HEAD_TIMEOUT]);
    if (timeout != 0)
        call->deadline_ms = (call->began_us + timeout) / 1000;
    const char *encoding = call->heads[RPC_HEAD_ENCODING];
    if (call->method == NULL)
        rpc_finish(call, RPC_UNIMPLEMENTED, "unknown method %.*s", (int)MIN(path.len, 200u), path.base);
    else if (encoding != NULL && strcmp(encoding, "identity") != 0)
        rpc_finish(call, RPC_UNIMPLEMENTED, "messages are not compressed here");
    else
        apply_fault(call);
}

void rpc_call_receive(struct rpc_call *call, struct slice bytes)
{
    call->unconsumed += bytes.len;
    if (call->is_finished || (call->is_plain && call->in.len + bytes.len > PLAIN_BODY_MAX))
        return; /* read off, so that the window stays open for the others */
    strbuf_add_slice(&call->in, bytes);
}

void rpc_call_end(struct rpc_call *call)
{
    call->has_ended = true;
}

/* The next whole message of `in`: 1, 0 none yet, -1 the call was finished over it. */
static int next_message(struct rpc_call *call, struct slice *ret)
{
    size_t left = call->in.len - call->in_at;
    if (left < RPC_PREFIX)
        return 0;
    const uint8_t *p = (const uint8_t *)call->in.base + call->in_at;
    uint32_t len = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    if (p[0] != 0)
        rpc_finish(call, p[0] == 1 ? RPC_UNIMPLEMENTED : RPC_INTERNAL, "messages are not compressed here");
    else if (len > RPC_MESSAGE_MAX)
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "a message of %u bytes, at most %d are taken", len,
                   RPC_MESSAGE_MAX);
    if (call->is_finished)
        return -1;
    if (left - RPC_PREFIX < len)
        return 0;
    *ret = slice_make((const char *)p + RPC_PREFIX, len);
    call->in_at += RPC_PREFIX + len;
    return 1;
}

static bool is_blocked(const struct rpc_call *call)
{
    return call->out.len - call->out_at > OUT_MAX;
}

static void dispatch_messages(struct rpc_call *call)
{
    struct slice message;
    while (!call->is_finished && !is_blocked(call) && next_message(call, &message) == 1) {
        if (call->method->takes_one && (call->num_in != 0 || call->in.len != call->in_at)) {
            rpc_finish(call, RPC_INTERNAL, "one message is wanted, not more");
            break;
        }
        call->num_in++;
        call->method->on_message(call, message);
    }
    drop_front(&call->in, &call->in_at);
}

static void dispatch_end(struct rpc_call *call)
{
    call->is_dispatched = true;
    if (call->in.len != 0)
        rpc_finish(call, RPC_INTERNAL, "the last message is cut short");
    else if (call->method->takes_one && call->num_in == 0)
        rpc_finish(call, RPC_INTERNAL, "one message is wanted, not none");
    else if (call->method->on_end != NULL)
        call->method->on_end(call);
    else
        rpc_finish(call, RPC_OK, "%s", "");
}

static void dispatch(struct rpc_call *call)
{
    if (call->method->is_eager)
        send_head(call);
    if (!call->method->takes_one || call->has_ended)
        dispatch_messages(call);
    if (call->has_ended && !call->is_finished && !call->is_dispatched && !is_blocked(call))
        dispatch_end(call);
}

void rpc_call_run(struct rpc_call *call, uint64_t now_ms)
{
    if (!call->is_finished && call->deadline_ms != 0 && now_ms >= call->deadline_ms) {
        if (call->out_at == 0)
            strbuf_reset(&call->out); /* a message that has begun must be finished */
        rpc_finish(call, RPC_DEADLINE_EXCEEDED, "the deadline has passed");
    }
    if (!call->is_started || (call->wake_ms != 0 && now_ms < call->wake_ms))
        return;
    call->wake_ms = 0;
    if (call->is_failing)
        fail(call);
    else if (!call->is_finished && call->is_plain && call->has_ended)
        answer_plain(call);
    else if (!call->is_finished && !call->is_plain)
        dispatch(call);
    if (!is_blocked(call) && call->unconsumed != 0) {
        /* only a stream that is gone has nothing to consume, and then nobody minds */
        (void)nghttp2_session_consume(call->conn->session, call->stream_id, call->unconsumed);
        call->unconsumed = 0;
    }
}

uint64_t rpc_call_due_ms(const struct rpc_call *call)
{
    uint64_t due_ms = UINT64_MAX;
    if (call->wake_ms != 0)
        due_ms = call->wake_ms;
    if (call->deadline_ms != 0)
        due_ms = MIN(due_ms, call->deadline_ms);
    return due_ms;
}

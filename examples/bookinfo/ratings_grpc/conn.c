/* One HTTP/2 connection: a poll loop around nghttp2's session.
 *
 * Once the service stops, the peer is told twice, as RFC 9113 6.8 advises: first that it should not begin new
 * streams, then, a moment later, which ones were still taken. The loop ends with the last of them. */
#include "examples/bookinfo/lib/ratings_store.h"
#include "examples/bookinfo/ratings_grpc/rpc.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    STREAM_WINDOW = 256 * 1024,
    CONNECTION_WINDOW = 4 * 1024 * 1024,
    OUT_AT_ONCE = 64 * 1024,
    IN_AT_ONCE = 16 * 1024,
    LAST_STREAMS_MS = 100,
    IDLE_MS = 600000,
};

struct loop {
    struct rpc_conn conn;
    int fd, changed_fd, stop_fd; /* stop_fd is borrowed from the server */
    struct strbuf out;
    size_t out_at;
    uint64_t goaway_ms; /* when to say which streams were taken; 0: not */
};

/* ---- what nghttp2 tells ---- */

static struct rpc_call *find_call(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct loop *loop = data;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct rpc_call *call = rpc_call_new(&loop->conn, frame->hd.stream_id);
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *data)
{
    struct rpc_call *call = find_call(session, frame->hd.stream_id);
    if (call != NULL && frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        rpc_call_add_head(call, slice_make((const char *)name, name_len),
                          slice_make((const char *)value, value_len));
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct rpc_call *call = find_call(session, frame->hd.stream_id);
    if (call == NULL || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        rpc_call_start(call);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        rpc_call_end(call);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
                   size_t len, void *data)
{
    struct rpc_call *call = find_call(session, stream_id);
    if (call != NULL)
        rpc_call_receive(call, slice_make((const char *)bytes, len));
    else
        (void)nghttp2_session_consume_connection(session, len); /* out of memory aborts */
    return 0;
}

/* The answer is complete while the client still speaks: tell it to stop (RFC 9113 8.1). */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct rpc_call *call = find_call(session, frame->hd.stream_id);
    bool is_end = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                  (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (call != NULL && is_end && !call->has_ended)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *data)
{
    struct rpc_call *call = find_call(session, stream_id);
    if (call != NULL)
        rpc_call_free(call);
    return 0;
}

static nghttp2_session *session_new(struct loop *loop)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session *session = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
        abort(); /* out of memory, as everywhere */
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, RPC_CALLS_MAX},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW}};
    if (nghttp2_session_server_new2(&session, callbacks, loop, option) != 0 ||
        nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) != 0 ||
        nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0)
        abort();
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

/* ---- the loop ---- */

/* Sends until the socket or the session has enough; -1 when the connection is lost. */
static int flush(struct loop *loop)
{
    for (;;) {
        while (loop->out.len - loop->out_at < OUT_AT_ONCE) {
            const uint8_t *bytes;
            ssize_t n = nghttp2_session_mem_send(loop->conn.session, &bytes);
            if (n < 0)
                return -1;
            if (n == 0)
                break;
            strbuf_add(&loop->out, bytes, (size_t)n);
        }
        if (loop->out_at == loop->out.len)
            return 0;
        ssize_t n = send(loop->fd, loop->out.base + loop->out_at, loop->out.len - loop->out_at, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        loop->out_at += (size_t)n;
        if (loop->out_at == loop->out.len) {
            strbuf_reset(&loop->out);
            loop->out_at = 0;
        }
    }
}

static int receive(struct loop *loop)
{
    uint8_t bytes[IN_AT_ONCE];
    ssize_t n = recv(loop->fd, bytes, sizeof(bytes), 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n == 0)
        return -1;
    return nghttp2_session_mem_recv(loop->conn.session, bytes, (size_t)n) == n ? 0 : -1;
}

static void tell_changes(struct loop *loop)
{
    for (struct rpc_call *call = loop->conn.calls; call != NULL; call = call->next)
        if (call->method != NULL && call->method->on_change != NULL && call->num_in != 0 &&
            !call->is_finished)
            call->method->on_change(call);
}

static void begin_stop(struct loop *loop)
{
    loop->conn.is_stopping = true;
    loop->goaway_ms = clock_mono_ms() + LAST_STREAMS_MS;
    (void)nghttp2_submit_shutdown_notice(loop->conn.session); /* out of memory aborts */
    tell_changes(loop);
}

static void run_calls(struct loop *loop)
{
    uint64_t now_ms = clock_mono_ms();
    for (struct rpc_call *call = loop->conn.calls; call != NULL; call = call->next)
        rpc_call_run(call, now_ms);
    if (loop->goaway_ms != 0 && now_ms >= loop->goaway_ms) {
        loop->goaway_ms = 0;
        (void)nghttp2_submit_goaway(loop->conn.session, NGHTTP2_FLAG_NONE,
                                    nghttp2_session_get_last_proc_stream_id(loop->conn.session),
                                    NGHTTP2_NO_ERROR, NULL, 0); /* as above */
    }
}

static int wait_ms(const struct loop *loop)
{
    uint64_t now_ms = clock_mono_ms(), due_ms = now_ms + IDLE_MS;
    if (loop->goaway_ms != 0)
        due_ms = MIN(due_ms, loop->goaway_ms);
    for (const struct rpc_call *call = loop->conn.calls; call != NULL; call = call->next)
        due_ms = MIN(due_ms, rpc_call_due_ms(call));
    return due_ms <= now_ms ? 0 : (int)(due_ms - now_ms);
}

static bool is_over(const struct loop *loop)
{
    bool wants = nghttp2_session_want_read(loop->conn.session) ||
                 nghttp2_session_want_write(loop->conn.session) || loop->out_at != loop->out.len;
    return !wants;
}

/* One round: 0 to go on, -1 when the connection ends. */
static int turn(struct loop *loop)
{
    run_calls(loop);
    if (flush(loop) != 0 || is_over(loop))
        return -1;
    /* what was sent may have made room for a call that waited: see to it before sleeping */
    run_calls(loop);
    bool wants_out = loop->out_at != loop->out.len || nghttp2_session_want_write(loop->conn.session);
    struct pollfd p[3] = {{.fd = loop->fd, .events = POLLIN | (wants_out ? POLLOUT : 0)},
                          {.fd = loop->changed_fd, .events = POLLIN},
                          {.fd = loop->conn.is_stopping ? -1 : loop->stop_fd, .events = POLLIN}};
    int n = poll(p, ARRAY_LEN(p), wait_ms(loop));
    if (n < 0)
        return errno == EINTR ? 0 : -1;
    if (n == 0 && loop->conn.num_calls == 0 && loop->goaway_ms == 0)
        return -1; /* idle for long */
    uint64_t count;
    if (p[1].revents != 0 && read(loop->changed_fd, &count, sizeof(count)) > 0)
        tell_changes(loop);
    if (p[2].revents != 0)
        begin_stop(loop);
    return (p[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 ? receive(loop) : 0;
}

void rpc_serve(struct bk_server *server, int take_fd, void *service)
{
    struct loop loop = {.conn = {.service = service}, .fd = take_fd, .stop_fd = server->stop_fd};
    loop.changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop.changed_fd >= 0) {
        loop.conn.session = session_new(&loop);
        bk_ratings_watch(loop.changed_fd);
        while (turn(&loop) == 0)
            ;
        (void)flush(&loop); /* a last GOAWAY, if it still gets through */
        bk_ratings_unwatch(loop.changed_fd);
        while (loop.conn.calls != NULL)
            rpc_call_free(loop.conn.calls);
        nghttp2_session_del(loop.conn.session);
        close(loop.changed_fd);
    }
    strbuf_clear(&loop.out);
    close(take_fd);
}

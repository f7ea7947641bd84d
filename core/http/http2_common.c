/* The session, the flush, sending and receiving. See the header.
 *
 * The flush puts frames together in the worker's scratch (nothing reads while posts run) and hands whole
 * batches to net_io: in the steady state nothing is allocated and a body byte is copied twice, into the
 * stream's queue and into the batch. A frame is only asked for when a whole one fits, so nghttp2 never holds
 * a half-sent DATA frame whose stream might go away meanwhile. */
#include "core/http/http2_common.h"

#include <pthread.h>

/* ---- options and callbacks of both kinds of session ---- */

enum { DRIBBLE_BYTES = 64 }; /* a shorter DATA frame with more behind it: only a tiny window does that */

static bool has_room(const struct ht_h2 *h2)
{
    return h2->batch_len + HT_H2_MAX_FRAME <= NET_SCRATCH_SIZE;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd, size_t length,
                        nghttp2_data_source *source, void *user_data)
{
    struct ht_h2_stream *stream = source->ptr;
    struct ht_h2 *h2 = stream->h2;
    char *at = h2->worker->scratch + h2->batch_len;

    memcpy(at, framehd, 9);
    ht_h2_queue_take(&stream->out, h2->worker, at + 9, length);
    h2->batch_len += 9 + length;
    if (UNLIKELY(length < DRIBBLE_BYTES && stream->out.len != 0))
        (void)ht_h2_glitch(h2, HT_H2_DRIBBLE); /* looked at after the flush */
    h2->out_total -= length;
    stream->out_moved_ms = net_now_ms(h2->worker);
    ht_h2_worked(h2, length);
    if (stream->wants_writable && stream->out.len <= HT_H2_OUT_LOW && list_is_empty(&stream->writable_link))
        list_push(&h2->writable, &stream->writable_link);
    return has_room(h2) ? 0 : NGHTTP2_ERR_PAUSE;
}

enum {
    MAX_SENT_HEAD = 256 * 1024
}; /* what the other side's limits let through, as nghttp2 estimates it, fits well */

static nghttp2_option *options;

static void make_options(void)
{
    if (nghttp2_option_new(&options) != 0)
        abort();
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_continuations(options, 16);
    nghttp2_option_set_max_outbound_ack(options, 1000);
    nghttp2_option_set_max_send_header_block_length(options, MAX_SENT_HEAD);
    /* Ours (RESET_BY_PEER) comes first and says ENHANCE_YOUR_CALM; this is the net below it. */
    nghttp2_option_set_stream_reset_rate_limit(options, 1000, 200);
    /* Unknown frames are only counted when somebody wants them; they are dropped in on_unknown_frame(). */
    for (unsigned type = 0x0a; type <= 0xff; type++)
        nghttp2_option_set_user_recv_extension_type(options, (uint8_t)type);
}

static int on_unknown_frame(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd,
                            void *user_data)
{
    return NGHTTP2_ERR_CANCEL;
}

static int on_unknown_bytes(nghttp2_session *session, const nghttp2_frame_hd *hd, const uint8_t *bytes,
                            size_t len, void *user_data)
{
    return 0;
}

/* By default nghttp2 leaves a malformed field out; a message we cannot repeat word for word is refused
 * instead. */
static int on_invalid_field(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                            nghttp2_rcbuf *value, uint8_t flags, void *user_data)
{
    (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

nghttp2_session_callbacks *ht_h2_callbacks_new(void)
{
    nghttp2_session_callbacks *callbacks;

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort();
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unknown_frame);
    nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks, on_unknown_bytes);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_field);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    return callbacks;
}

const nghttp2_option *ht_h2_options(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, make_options); /* cannot fail with these arguments */
    return options;
}

/* ---- the turn ---- */

/* Takes all that wait now: what a callback adds waits for the next round. */
static void take_all(struct list *from, struct list *round)
{
    list_init(round);
    if (list_is_empty(from))
        return;
    list_insert_after(from, round);
    list_remove(from);
}

static void deliver_offers(struct ht_h2 *h2)
{
    struct list round;

    for (take_all(&h2->offers, &round); !list_is_empty(&round);) {
        struct ht_h2_stream *stream = LIST_FIRST(&round, struct ht_h2_stream, offer_link);
        list_remove(&stream->offer_link);
        h2->ops->offer(stream);
    }
}

static void submit_heads(struct ht_h2 *h2)
{
    while (!list_is_empty(&h2->heads)) {
        struct ht_h2_stream *stream = LIST_FIRST(&h2->heads, struct ht_h2_stream, head_link);
        list_remove(&stream->head_link);
        h2->ops->submit(stream);
    }
}

static void tell_writable(struct ht_h2 *h2)
{
    struct list round;

    for (take_all(&h2->writable, &round); !list_is_empty(&round);) {
        struct ht_h2_stream *stream = LIST_FIRST(&round, struct ht_h2_stream, writable_link);
        list_remove(&stream->writable_link);
        stream->wants_writable = 0;
        h2->ops->on_writable(stream);
    }
}

/* Fills the scratch with frames. True: there are more. */
static bool make_batch(struct ht_h2 *h2)
{
    h2->batch_len = 0;
    while (has_room(h2)) {
        const uint8_t *frame;
        ssize_t len = nghttp2_session_mem_send(h2->session, &frame);
        if (len > 0) {
            memcpy(h2->worker->scratch + h2->batch_len, frame, (size_t)len);
            h2->batch_len += (size_t)len;
            continue;
        }
        if (len < 0)
            h2->ops->on_send_error(h2, (int)len);
        if (len < 0 || has_room(h2)) /* no room: send_data paused behind its last frame */
            return false;
    }
    return true;
}

static void write_frames(struct ht_h2 *h2)
{
    bool has_more = true;

    while (has_more && !h2->is_blocked && !h2->is_closed) {
        has_more = make_batch(h2);
        struct iovec iov = {h2->worker->scratch, h2->batch_len};
        if (h2->batch_len == 0 || h2->is_closed)
            return;
        ssize_t left = net_io_write(h2->io, &iov, 1);
        if (left < 0) {
            h2->is_closed = 1; /* on_error follows */
        } else if (left > 0) {
            h2->is_blocked = 1;
            h2->blocked_ms = net_now_ms(h2->worker);
        }
    }
}

static bool has_work(const struct ht_h2 *h2)
{
    return !list_is_empty(&h2->offers) || !list_is_empty(&h2->heads) || !list_is_empty(&h2->writable) ||
           (!h2->is_blocked && nghttp2_session_want_write(h2->session) != 0);
}

static void resume_reading(struct ht_h2 *h2)
{
    if (!h2->is_reading_paused || h2->is_blocked)
        return;
    h2->is_reading_paused = 0;
    net_io_resume(h2->io);
}

enum {
    MAX_ROUNDS = 8
}; /* callbacks may cause output which causes callbacks: then others get their turn first */

static void on_turn(struct net_post *post)
{
    struct ht_h2 *h2 = CONTAINER_OF(post, struct ht_h2, post);
    int rounds = 0;

    h2->is_in_turn = 1;
    do {
        deliver_offers(h2);
        if (h2->is_closed)
            break;
        submit_heads(h2);
        write_frames(h2);
        tell_writable(h2);
    } while (!h2->is_closed && has_work(h2) && ++rounds < MAX_ROUNDS);
    h2->is_in_turn = 0;
    if (!h2->is_closed) {
        resume_reading(h2);
        if (rounds == MAX_ROUNDS)
            ht_h2_flush_later(h2);
    }
    h2->ops->after_flush(h2); /* may end h2 */
}

void ht_h2_unblocked(struct ht_h2 *h2)
{
    h2->is_blocked = 0;
    ht_h2_flush_later(h2);
}

void ht_h2_check_backlog(struct ht_h2 *h2)
{
    if (!h2->is_blocked || h2->is_reading_paused || h2->is_closed)
        return;
    if (nghttp2_session_get_outbound_queue_size(h2->session) < HT_H2_MAX_QUEUED_FRAMES)
        return;
    h2->is_reading_paused = 1;
    net_io_pause(h2->io);
}

/* ---- lifecycle ---- */

/* What nghttp2 and our own structs hold, about; charged so that the governor sees connections and streams. */
enum { SESSION_COST = 40 * 1024, STREAM_COST = HT_H2_STREAM_SIZE + 4096 };

void ht_h2_init(struct ht_h2 *h2, const struct ht_h2_ops *ops, struct net_io *io)
{
    *h2 =
        (struct ht_h2){.ops = ops, .io = io, .worker = io->worker, .glitches_at_ms = net_now_ms(io->worker)};
    net_mem_charge(h2->worker, SESSION_COST);
    net_post_init(&h2->post, on_turn);
    list_init(&h2->heads);
    list_init(&h2->offers);
    list_init(&h2->writable);
}

void ht_h2_clear(struct ht_h2 *h2)
{
    net_post_cancel(&h2->post);
    net_mem_release(h2->worker, SESSION_COST);
    nghttp2_session_del(h2->session);
    h2->session = NULL;
}

void ht_h2_stream_init(struct ht_h2_stream *stream, struct ht_h2 *h2, int32_t id)
{
    *stream = (struct ht_h2_stream){.h2 = h2, .id = id};
    net_mem_charge(h2->worker, STREAM_COST);
    stream->out_moved_ms = stream->in_moved_ms = net_now_ms(h2->worker);
    list_init(&stream->head_link);
    list_init(&stream->offer_link);
    list_init(&stream->writable_link);
}

void ht_h2_stream_clear(struct ht_h2_stream *stream)
{
    struct ht_h2 *h2 = stream->h2;

    net_mem_release(h2->worker, STREAM_COST);
    h2->out_total -= stream->out.len;
    ht_h2_queue_clear(&stream->in, h2->worker);
    ht_h2_queue_clear(&stream->out, h2->worker);
}

void ht_h2_stream_detach(struct ht_h2_stream *stream)
{
    list_remove(&stream->head_link);
    list_remove(&stream->offer_link);
    list_remove(&stream->writable_link);
}

void ht_h2_offer_later(struct ht_h2_stream *stream)
{
    if (list_is_empty(&stream->offer_link))
        list_push(&stream->h2->offers, &stream->offer_link);
    ht_h2_flush_later(stream->h2);
}

void ht_h2_submit_later(struct ht_h2_stream *stream)
{
    if (list_is_empty(&stream->head_link))
        list_push(&stream->h2->heads, &stream->head_link);
    ht_h2_flush_later(stream->h2);
}

/* ---- sending ---- */

bool ht_h2_is_full(const struct ht_h2_stream *stream)
{
    return stream->out.len >= HT_H2_OUT_FULL ||
           (stream->out.len >= HT_H2_OUT_LOW && stream->h2->out_total >= HT_H2_OUT_CONN_FULL);
}

static void resume_provider(struct ht_h2_stream *stream)
{
    if (!stream->is_deferred)
        return;
    stream->is_deferred = 0;
    (void)nghttp2_session_resume_data(stream->h2->session,
                                      stream->id); /* fails only where nothing is left to send */
}

bool ht_h2_send(struct ht_h2_stream *stream, const struct iovec *iov, int num)
{
    struct ht_h2 *h2 = stream->h2;
    size_t before = stream->out.len;

    for (int i = 0; i < num; i++)
        ht_h2_queue_add(&stream->out, h2->worker, iov[i].iov_base, iov[i].iov_len);
    h2->out_total += stream->out.len - before;
    if (before == 0)
        stream->out_moved_ms = net_now_ms(h2->worker);
    if (stream->out.len != before)
        resume_provider(stream);
    ht_h2_flush_later(h2);
    if (!ht_h2_is_full(stream))
        return true;
    stream->wants_writable = 1;
    return false;
}

void ht_h2_send_end(struct ht_h2_stream *stream, nghttp2_nv *trailers, size_t num)
{
    stream->is_out_ended = 1;
    stream->trailers = trailers;
    stream->num_trailers = num;
    resume_provider(stream);
    ht_h2_flush_later(stream->h2);
}

static ssize_t on_read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                            uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    struct ht_h2_stream *stream = source->ptr;
    size_t len = MIN(length, stream->out.len);

    if (len == 0 && !stream->is_out_ended) {
        stream->is_deferred = 1;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (stream->is_out_ended && len == stream->out.len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->num_trailers != 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (nghttp2_submit_trailer(session, id, stream->trailers, stream->num_trailers) != 0)
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)len;
}

nghttp2_data_provider ht_h2_provider(struct ht_h2_stream *stream)
{
    return (nghttp2_data_provider){.source.ptr = stream, .read_callback = on_read_body};
}

/* ---- receiving ---- */

void ht_h2_consumed(struct ht_h2_stream *stream, size_t len)
{
    struct ht_h2 *h2 = stream->h2;

    if (len == 0 || stream->is_remote_done)
        return;
    (void)nghttp2_session_consume_stream(h2->session, stream->id, len); /* a closed stream needs none */
    ht_h2_flush_later(h2);
    if (stream->is_window_raised)
        return;
    /* Who takes what comes gets the large window; who never did holds 64 KiB at most. */
    stream->in_taken += (uint32_t)MIN(len, (size_t)HT_H2_FIRST_WINDOW);
    if (stream->in_taken < HT_H2_FIRST_WINDOW / 2 || stream->in.len != 0 ||
        net_mem_level(h2->worker) != NET_MEM_OK)
        return;
    stream->is_window_raised = 1;
    (void)nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, stream->id, HT_STREAM_WINDOW);
}

/* ---- fields ---- */

static bool is_sendable(const struct ht_header *header)
{
    if (header->name.len == 0 || header->name.base[0] == ':')
        return false;
    if (header->token == H2O_TOKEN_TE)
        return slice_eq(header->value, SLICE("trailers"));
    if (header->token == H2O_TOKEN_HOST || header->token == H2O_TOKEN_CONTENT_LENGTH)
        return false;
    return !ht_is_hop_field(header);
}

size_t ht_h2_add_fields(nghttp2_nv *at, size_t num, h2o_mem_pool_t *pool, const struct ht_headers *headers)
{
    if (headers == NULL)
        return num;
    for (uint32_t i = 0; i < headers->num; i++) {
        const struct ht_header *header = &headers->at[i];
        if (!is_sendable(header))
            continue;
        struct slice name = header->name, value = header->value;
        if (header->token != NULL)
            name = slice_make(header->token->buf.base, header->token->buf.len);
        else if (pool != NULL)
            name = ht_pool_dup(pool, name);
        if (pool != NULL)
            value = ht_pool_dup(pool, value);
        at[num++] = ht_h2_nv(name, value);
    }
    return num;
}

int64_t ht_h2_parse_decimal(struct slice text)
{
    int64_t value = 0;

    for (size_t i = 0; i < text.len; i++)
        value = value * 10 + (text.base[i] - '0');
    return value;
}

struct slice ht_h2_decimal(h2o_mem_pool_t *pool, uint64_t value)
{
    char text[20], *at = text + sizeof(text);

    do {
        *--at = (char)('0' + value % 10);
    } while ((value /= 10) != 0);
    return ht_pool_dup(pool, slice_make(at, (size_t)(text + sizeof(text) - at)));
}

struct slice ht_h2_receive_value(h2o_mem_pool_t *pool, nghttp2_rcbuf *value)
{
    struct slice text = ht_h2_rcbuf(value);

    return nghttp2_rcbuf_is_static(value) != 0 ? text : ht_pool_dup(pool, text);
}

struct ht_header *ht_h2_receive_field(h2o_mem_pool_t *pool, struct ht_headers *headers, nghttp2_rcbuf *name,
                                      nghttp2_rcbuf *value)
{
    struct slice key = ht_h2_rcbuf(name);
    const h2o_token_t *token = h2o_lookup_token(key.base, key.len);
    struct slice text = ht_h2_receive_value(pool, value);

    if (token != NULL)
        return ht_headers_add_token(pool, headers, token, text);
    return ht_headers_add(pool, headers, nghttp2_rcbuf_is_static(name) != 0 ? key : ht_pool_dup(pool, key),
                          text);
}

/* What the HTTP/2 server and client engines share: an nghttp2 session over a net_io, with bounded queues and
 * one flush per event.
 *
 * Sending: frames are produced only inside the flush, which runs from a net_post: whatever all streams of a
 * connection had to say during one turn of the loop leaves in one write. While the socket is blocked no frame
 * is made, so a stream's bytes wait in its own `out` queue and its sender is told to stop.
 *
 * Receiving: the connection's window is given back as bytes arrive, a stream's window only as its receiver
 * takes them: one stuck stream holds its own window and nobody else's.
 *
 * Floods: what costs us more than the peer is counted by kind; counts fade with time and with useful work.
 *
 * Threads: the worker's. Memory: sessions, streams and queue chunks are charged to the worker. */
#ifndef SELVEDGE_HTTP_HTTP2_COMMON_H
#define SELVEDGE_HTTP_HTTP2_COMMON_H

#include "core/http/engine.h"

#include <nghttp2/nghttp2.h>

enum {
    HT_H2_FIRST_WINDOW = 65535, /* a stream's, until its receiver has taken as much: then HT_STREAM_WINDOW */
    HT_H2_OUT_FULL = 64 * 1024, /* a sender is told to stop above this … */
    HT_H2_OUT_LOW = 15 * 1024, /* … and to go on below this; less than the first read of an answer brings, which
                                * fits one chunk: so many streams that take nothing hold one chunk each */
    HT_H2_OUT_CONN_FULL = 1024 * 1024, /* all streams together: above it each keeps to HT_H2_OUT_LOW */
    HT_H2_MAX_FRAME = 16 * 1024 + 9, /* as long as we let a frame of ours become */
    HT_H2_MAX_QUEUED_FRAMES = 1000, /* frames waiting for a blocked socket before we stop reading */
};

/* ---- bytes in order (http2_queue.c) ---- */

struct ht_h2_chunk;
struct ht_h2_queue {
    struct ht_h2_chunk *first, *last;
    size_t len;
};

void ht_h2_queue_add(struct ht_h2_queue *queue, struct net_worker *worker, const void *bytes, size_t len);
/* The first contiguous run; {NULL, 0} when empty. */
struct slice ht_h2_queue_peek(const struct ht_h2_queue *queue);
void ht_h2_queue_drop(struct ht_h2_queue *queue, struct net_worker *worker, size_t len);
/* Copies out and drops; `len` is at most queue->len. */
void ht_h2_queue_take(struct ht_h2_queue *queue, struct net_worker *worker, char *out, size_t len);
void ht_h2_queue_clear(struct ht_h2_queue *queue, struct net_worker *worker);

/* ---- floods (http2_flood.c) ---- */

enum ht_h2_glitch {
    HT_H2_RESET_BY_PEER, /* rapid reset, CVE-2023-44487 */
    HT_H2_RESET_BY_US, /* resets the peer provoked: MadeYouReset, CVE-2025-8671 */
    HT_H2_PING,
    HT_H2_SETTINGS,
    HT_H2_PRIORITY,
    HT_H2_WINDOW_UPDATE,
    HT_H2_CONTINUATION,
    HT_H2_EMPTY_DATA,
    HT_H2_DRIBBLE, /* windows so small that every byte costs us a frame: CVE-2019-9511 */
    HT_H2_UNKNOWN, /* extension frames, GOAWAY, PUSH_PROMISE */
    HT_H2_NUM_GLITCHES,
};

/* ---- the connection ---- */

struct ht_h2;
struct ht_h2_stream;

struct ht_h2_ops {
    /* The queue of a stream that was told to stop is low again. Never inside nghttp2. */
    void (*on_writable)(struct ht_h2_stream *stream);
    /* Offers the receiver what waits in `in` (linked by ht_h2_offer_later()). Never inside nghttp2. */
    void (*offer)(struct ht_h2_stream *stream);
    /* Puts heads that waited for the flush into the session. */
    void (*submit)(struct ht_h2_stream *stream);
    /* After the flush: reap, close, arm timers. May free nothing but streams. */
    void (*after_flush)(struct ht_h2 *h2);
    /* The session failed while sending; nghttp2's error. */
    void (*on_send_error)(struct ht_h2 *h2, int error);
};

struct ht_h2 {
    const struct ht_h2_ops *ops;
    nghttp2_session *session; /* owned; NULL once closed */
    struct net_io *io; /* borrowed */
    struct net_worker *worker;
    struct net_post post; /* the turn: offers, submits, flush, reap */
    struct list heads; /* of ht_h2_stream.head_link */
    struct list offers; /* of ht_h2_stream.offer_link */
    struct list writable; /* of ht_h2_stream.writable_link */
    size_t out_total; /* bytes in all `out` queues */
    size_t batch_len; /* during the flush: bytes in the worker's scratch, where a batch is put together */
    unsigned is_blocked : 1, /* the socket has not taken our last batch: wait for on_writable */
        is_reading_paused : 1, is_in_turn : 1, is_closed : 1 /* nothing goes out any more */;
    const char
        *flood; /* what the peer floods us with, or NULL: the connection must end with ENHANCE_YOUR_CALM */
    uint64_t blocked_ms; /* since when is_blocked */
    uint64_t glitches_at_ms;
    uint32_t glitches[HT_H2_NUM_GLITCHES]; /* in thousandths */
};

struct ht_h2_stream {
    struct ht_h2 *h2;
    int32_t id;
    struct ht_h2_queue in, out;
    struct list head_link, offer_link, writable_link;
    nghttp2_nv *trailers; /* pool memory */
    size_t num_trailers;
    uint64_t out_moved_ms; /* when bytes of `out` were last framed, or began to wait */
    uint64_t in_moved_ms; /* when the peer's body last moved */
    uint32_t in_taken; /* until the window is raised */
    unsigned is_out_ended : 1, is_deferred : 1 /* nghttp2 waits for resume_data */, wants_writable : 1,
        is_in_paused : 1, is_window_raised : 1, is_remote_done : 1;
};

void ht_h2_init(struct ht_h2 *h2, const struct ht_h2_ops *ops, struct net_io *io);
/* Frees the session; the streams are the engine's. */
void ht_h2_clear(struct ht_h2 *h2);
void ht_h2_stream_init(struct ht_h2_stream *stream, struct ht_h2 *h2, int32_t id);
/* Unlinks it from all lists: no callback comes for it any more. */
void ht_h2_stream_detach(struct ht_h2_stream *stream);
/* Drops what is queued. From the turn only: a receiver up the stack may still look at the bytes. */
void ht_h2_stream_clear(struct ht_h2_stream *stream);

/* Runs the turn at the end of this event. */
static inline void ht_h2_flush_later(struct ht_h2 *h2)
{
    if (!h2->is_in_turn)
        net_post(h2->worker, &h2->post);
}
void ht_h2_offer_later(struct ht_h2_stream *stream);
void ht_h2_submit_later(struct ht_h2_stream *stream);
/* For on_writable of the io. */
void ht_h2_unblocked(struct ht_h2 *h2);
/* After the session was fed: stops reading while frames pile up behind a blocked socket. */
void ht_h2_check_backlog(struct ht_h2 *h2);

/* Sender: false when the caller should stop. */
bool ht_h2_send(struct ht_h2_stream *stream, const struct iovec *iov, int num);
void ht_h2_send_end(struct ht_h2_stream *stream, nghttp2_nv *trailers, size_t num);
bool ht_h2_is_full(const struct ht_h2_stream *stream);
/* The provider for nghttp2_submit_*(): reads the stream's `out`. */
nghttp2_data_provider ht_h2_provider(struct ht_h2_stream *stream);
/* Receiver: `len` bytes were taken by the stream's user. */
void ht_h2_consumed(struct ht_h2_stream *stream, size_t len);

/* True: over the limit; h2->flood says of what. */
bool ht_h2_glitch(struct ht_h2 *h2, enum ht_h2_glitch kind);
bool ht_h2_glitch_frame(struct ht_h2 *h2, const nghttp2_frame_hd *hd);
/* A DATA frame is in: was there any in it but padding? */
bool ht_h2_glitch_data(struct ht_h2 *h2, const nghttp2_frame *frame);
/* Useful work was done: forgives. `bytes` of DATA sent. */
void ht_h2_worked(struct ht_h2 *h2, size_t bytes);
void ht_h2_finished_one(struct ht_h2 *h2); /* a request went through whole */

/* Field lines for nghttp2; names and values stay where they are (the stream's pool) until the frame is made.
 */
static inline nghttp2_nv ht_h2_nv(struct slice name, struct slice value)
{
    return (nghttp2_nv){(uint8_t *)name.base, (uint8_t *)value.base, name.len, value.len,
                        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}
/* Appends `headers` without what HTTP/2 forbids (hop-by-hop fields, Host, Content-Length, a TE other than
 * "trailers"); copies into `pool` unless it is NULL. Returns the new count. */
size_t ht_h2_add_fields(nghttp2_nv *at, size_t num, h2o_mem_pool_t *pool, const struct ht_headers *headers);
static inline size_t ht_h2_num_fields(const struct ht_headers *headers) /* NULL: none */
{
    return headers != NULL ? headers->num : 0;
}
/* Of a content-length or :status that nghttp2 has let pass: digits, and they fit. */
int64_t ht_h2_parse_decimal(struct slice text);
/* The decimal in `pool`. */
struct slice ht_h2_decimal(h2o_mem_pool_t *pool, uint64_t value);
/* One received field into `headers`, copied into `pool` unless nghttp2's own static table holds it. */
struct ht_header *ht_h2_receive_field(h2o_mem_pool_t *pool, struct ht_headers *headers, nghttp2_rcbuf *name,
                                      nghttp2_rcbuf *value);
struct slice ht_h2_receive_value(h2o_mem_pool_t *pool, nghttp2_rcbuf *value);
static inline struct slice ht_h2_rcbuf(nghttp2_rcbuf *buf)
{
    nghttp2_vec vec = nghttp2_rcbuf_get_buf(buf);
    return slice_make((const char *)vec.base, vec.len);
}
/* For both kinds of session. The options are built once; callbacks come with what both kinds share, for the
 * engine to complete and keep. A session's user_data is its struct ht_h2. */
const nghttp2_option *ht_h2_options(void);
nghttp2_session_callbacks *ht_h2_callbacks_new(void);

/* HT_H2_STREAM_SIZE bytes, recycled per thread: streams come and go with every request. */
enum { HT_H2_STREAM_SIZE = 1024 };
void *ht_h2_stream_alloc(void);
void ht_h2_stream_free(void *ptr);

#endif

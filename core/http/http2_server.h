/* Inside the HTTP/2 server engine (prefix ht2s_): http2_server.c (life of a connection, clocks, ends),
 * http2_server_in.c (what nghttp2 hears: heads, bodies, ends of streams), http2_server_out.c (the handler's
 * verbs), http2_server_rest.c (what comes of a request after its answer). */
#ifndef SELVEDGE_HTTP_HTTP2_SERVER_H
#define SELVEDGE_HTTP_HTTP2_SERVER_H

#include "core/http/http2_request.h"

struct server {
    struct ht_h2 h2;
    struct ht_server_conn *conn; /* borrowed: it owns us */
    struct list streams, ready, dead; /* of struct stream.link: open, with a head to hand over, ended */
    struct list rests; /* of struct rest (http2_server_rest.c) */
    struct timer timer;
    struct stream *decoding; /* whose header block is being read */
    uint64_t adopted_ms, idle_ms /* since when no stream is open */,
        head_ms /* when the last header block began */;
    uint64_t drain_ms; /* 0, or when the first GOAWAY was queued */
    int32_t peer_reset_id; /* RST_STREAM being handled */
    int32_t last_id; /* of the streams opened */
    int32_t skipped_from, skipped_to; /* ids last left out: from, up to but without */
    unsigned has_settings : 1, expects_continuation : 1, is_goaway_final : 1,
        is_closing : 1 /* a last GOAWAY is queued */, is_io_closed : 1;
};

struct stream {
    struct ht_exchange x;
    struct ht_h2_stream h2;
    struct server *server;
    struct list link;
    struct ht_h2_head head;
    nghttp2_nv *head_nv; /* pool memory; waits for the flush */
    size_t num_head_nv;
    int64_t response_length;
    enum ht_close why;
    unsigned is_ended : 1 /* decided; on_close comes from the turn */, was_requested : 1,
        is_bodyless : 1 /* HEAD, 204, 304 */, is_end_told : 1, is_connect : 1, is_trailer : 1,
        is_closed : 1 /* for nghttp2; a tunnel's last bytes still wait for their receiver */;
};
_Static_assert(sizeof(struct stream) <= HT_H2_STREAM_SIZE, "HT_H2_STREAM_SIZE is too small");

static inline struct server *ht2s_of_h2(struct ht_h2 *h2)
{
    return CONTAINER_OF(h2, struct server, h2);
}
static inline struct stream *ht2s_stream_of_h2(struct ht_h2_stream *h2)
{
    return CONTAINER_OF(h2, struct stream, h2);
}
static inline uint64_t ht2s_now_ms(const struct server *server)
{
    return net_now_ms(server->h2.worker);
}

/* ---- life (http2_server.c) ---- */

/* The timer comes no later than this; 0: not for this. */
void ht2s_wake_after(struct server *server, uint32_t timeout_ms);
/* Decided: detached at once, on_close from the turn. */
void ht2s_end(struct stream *stream, enum ht_close why);
void ht2s_reset(struct stream *stream, uint32_t code, enum ht_close why);
/* The engine ends an exchange the handler knows: with an answer if none has begun. */
void ht2s_give_up(struct stream *stream, unsigned status, enum ht_close why);
/* An answer of our own, without a body. */
void ht2s_answer_plainly(struct stream *stream, unsigned status);
void ht2s_report(struct server *server, unsigned status, const char *detail, struct slice head);
/* Two GOAWAYs; the second after a PING. */
void ht2s_start_drain(struct server *server);
void ht2s_send_final_goaway(struct server *server);

/* ---- requests answered before they are whole (http2_server_rest.c) ---- */

/* The answer's end is decided, the request's is not in: is its rest worth swallowing? */
void ht2s_plan_rest(struct stream *stream);
bool ht2s_is_swallowed(struct server *server, int32_t id);
/* The last frame of an answer is out, the request is not whole. */
void ht2s_answer_is_out(struct server *server, int32_t id);
void ht2s_forget_rest(struct server *server, int32_t id);
/* Stops those whose time is up. When the next one is due; UINT64_MAX: none. */
uint64_t ht2s_check_rests(struct server *server);
void ht2s_free_rests(struct server *server);

/* ---- input (http2_server_in.c) ---- */

void ht2s_set_callbacks(nghttp2_session_callbacks *callbacks);
/* Heads that came in this read, in order; those reset meanwhile are gone from the list. */
void ht2s_hand_over(struct server *server);
void ht2s_offer_waiting(struct ht_h2_stream *h2);

/* ---- output (http2_server_out.c) ---- */

extern const struct ht_exchange_ops ht2s_exchange_ops;
void ht2s_submit_head(struct ht_h2_stream *h2);
void ht2s_tell_writable(struct ht_h2_stream *h2);

#endif

/* Inside the HTTP/2 client engine (prefix ht2c_): http2_client.c (life of a connection, ends of calls),
 * http2_client_in.c (what nghttp2 hears: answers, SETTINGS, GOAWAY), http2_client_out.c (requests, the verbs
 * of a call). */
#ifndef SELVEDGE_HTTP_HTTP2_CLIENT_H
#define SELVEDGE_HTTP_HTTP2_CLIENT_H

#include "core/http/http2_common.h"

struct client {
    struct ht_h2 h2;
    struct ht_client_conn *conn; /* borrowed: it owns us */
    struct list streams, dead; /* of struct stream.link */
    struct list waiting; /* extended CONNECT before the peer's SETTINGS */
    struct stream *decoding; /* whose header block is being read */
    int32_t peer_reset_id; /* RST_STREAM being handled */
    uint32_t peer_max_streams;
    unsigned has_settings : 1, allows_connect : 1, is_closing : 1 /* a last GOAWAY is queued */,
        is_io_closed : 1, wants_available : 1;
    struct timer timer; /* while closing: the last GOAWAY must be out by then; before: keepalive */
    uint64_t read_ms, ping_ms; /* of the last bytes; 0, or of a PING without an answer */
};

struct stream {
    struct ht_h2_stream h2;
    struct ht_call *call; /* borrowed; NULL once let go */
    struct client *client;
    struct list link;
    uint32_t head_bytes, num_infos;
    unsigned status;
    uint64_t body_bytes; /* received */
    struct ht_headers fields; /* of the block being decoded */
    int64_t content_length;
    unsigned is_trailer : 1, is_submitted : 1, is_sent : 1;
};
_Static_assert(sizeof(struct stream) <= HT_H2_STREAM_SIZE, "HT_H2_STREAM_SIZE is too small");

static inline struct client *ht2c_of_conn(struct ht_client_conn *conn)
{
    return conn->engine_data;
}
static inline struct client *ht2c_of_h2(struct ht_h2 *h2)
{
    return CONTAINER_OF(h2, struct client, h2);
}
static inline struct stream *ht2c_stream_of_h2(struct ht_h2_stream *h2)
{
    return CONTAINER_OF(h2, struct stream, h2);
}

/* ---- life (http2_client.c) ---- */

void ht2c_update_capacity(struct client *client);
/* on_available from the turn. */
void ht2c_available_later(struct client *client);
/* No call runs and none may start: GOAWAY, then close. */
void ht2c_close_idle(struct client *client);
/* The call is its owner's again; the stream goes in the turn. */
struct ht_call *ht2c_let_go(struct stream *stream);
void ht2c_reset(struct stream *stream, uint32_t code);
/* on_fail, if the call is still there. */
void ht2c_fail(struct stream *stream, enum ht_fail fail, const char *detail);
/* The same because of what the upstream sent: its stream is reset. */
void ht2c_reject(struct stream *stream, enum ht_fail fail, const char *detail);
/* Keepalive while calls run. */
void ht2c_watch(struct client *client);

/* ---- input (http2_client_in.c) ---- */

void ht2c_set_callbacks(nghttp2_session_callbacks *callbacks);
void ht2c_offer_waiting(struct ht_h2_stream *h2);

/* ---- output (http2_client_out.c) ---- */

void ht2c_start(struct ht_client_conn *conn, struct ht_call *call);
bool ht2c_body(struct ht_call *call, const struct iovec *iov, int num);
void ht2c_end(struct ht_call *call, const struct ht_headers *trailers);
void ht2c_resume(struct ht_call *call);
void ht2c_cancel(struct ht_call *call);
void ht2c_submit(struct ht_h2_stream *h2);
/* The peer's SETTINGS are in: what waited for them starts or fails. */
void ht2c_submit_waiting(struct client *client);
void ht2c_tell_writable(struct ht_h2_stream *h2);

#endif

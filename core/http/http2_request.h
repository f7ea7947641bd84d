/* From the field lines of a request to an exchange, with everything RFC 9113 8.3 and the gateway's own
 * strictness ask for: what passes can be written as HTTP/1.1 without changing its meaning.
 *
 * nghttp2 has checked already (no_http_messaging is off): lower-case names, bytes of names and values, order,
 * repetition and presence of pseudo header fields, connection-specific fields, a single numeric
 * Content-Length that agrees with the DATA frames. Here: limits while decoding, and the meaning of method,
 * scheme, authority and path. */
#ifndef SELVEDGE_HTTP_HTTP2_REQUEST_H
#define SELVEDGE_HTTP_HTTP2_REQUEST_H

#include "core/http/http2_common.h"

enum ht_h2_verdict {
    HT_H2_ACCEPT,
    HT_H2_ANSWER, /* with head->status */
    HT_H2_MALFORMED, /* RST_STREAM PROTOCOL_ERROR */
    HT_H2_CALM, /* the connection ends with ENHANCE_YOUR_CALM */
};

/* What is known of a head while it is decoded. */
struct ht_h2_head {
    uint32_t bytes, num_fields; /* decoded: names, values, 32 for each */
    uint32_t num_cookies;
    unsigned status; /* 0, or of the answer the engine gives: 413, 414, 417, 431 */
    const char *detail; /* static; with a status or when malformed */
    struct slice host, protocol;
};

/* One field line of the head. ACCEPT or CALM. */
enum ht_h2_verdict ht_h2_request_field(struct ht_exchange *x, struct ht_h2_head *head, nghttp2_rcbuf *name,
                                       nghttp2_rcbuf *value);
/* One field line of the trailers. */
enum ht_h2_verdict ht_h2_request_trailer(struct ht_exchange *x, struct ht_h2_head *head, nghttp2_rcbuf *name,
                                         nghttp2_rcbuf *value);
/* The head is complete. */
enum ht_h2_verdict ht_h2_request_finish(struct ht_exchange *x, struct ht_h2_head *head);

#endif

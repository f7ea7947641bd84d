/* Decoding and judging request heads. Pure: values in, exchange and verdict out. */
#include "core/http/http2_request.h"

#include "core/http/chars.h"

enum {
    FIELD_OVERHEAD = 32, /* RFC 9113 6.5.2, as we announce the limit */
    CALM_FACTOR = 2, /* a head that decodes to more than this many limits and … */
    CALM_EXTRA_BYTES = 64 * 1024, /* … this is a bomb, not a mistake */
};

static enum ht_h2_verdict answer(struct ht_h2_head *head, unsigned status, const char *detail)
{
    if (head->status == 0) {
        head->status = status;
        head->detail = detail;
    }
    return HT_H2_ACCEPT;
}

static enum ht_h2_verdict malformed(struct ht_h2_head *head, const char *detail)
{
    head->detail = detail;
    return HT_H2_MALFORMED;
}

/* Counted before anything is copied. */
static enum ht_h2_verdict count(const struct ht_exchange *x, struct ht_h2_head *head, size_t len,
                                uint32_t max_bytes)
{
    head->bytes += (uint32_t)MIN(len, (size_t)UINT32_MAX / 4) + FIELD_OVERHEAD;
    ++head->num_fields;
    if (head->bytes > (uint64_t)max_bytes * CALM_FACTOR + CALM_EXTRA_BYTES) {
        head->detail = "header bomb";
        return HT_H2_CALM;
    }
    if (head->bytes > max_bytes)
        return answer(head, 431, "request head too large");
    if (head->num_fields > x->conn->limits->max_headers + 5) /* the pseudo fields come on top */
        return answer(head, 431, "too many request fields");
    return HT_H2_ACCEPT;
}

static void pseudo_field(struct ht_exchange *x, struct ht_h2_head *head, struct slice name,
                         nghttp2_rcbuf *value)
{
    struct slice text = ht_h2_receive_value(&x->pool, value);

    switch (name.base[1]) {
    case 'm':
        x->method = text;
        break;
    case 's':
        if (!slice_eq(text, x->scheme))
            head->detail = ":scheme is not the connection's";
        break;
    case 'a':
        x->authority = text;
        break;
    case 'p':
        if (name.len == sizeof(":path") - 1)
            x->target = text;
        else
            head->protocol = text;
        break;
    }
}

/* The fields that do not stay in the list. True: done with it. */
static bool special_field(struct ht_exchange *x, struct ht_h2_head *head, const h2o_token_t *token,
                          nghttp2_rcbuf *value)
{
    if (token == H2O_TOKEN_HOST) {
        head->host = ht_h2_receive_value(&x->pool, value);
    } else if (token == H2O_TOKEN_CONTENT_LENGTH) {
        x->content_length = ht_h2_parse_decimal(ht_h2_rcbuf(value));
    } else if (token == H2O_TOKEN_EXPECT) {
        if (ht_is_nocase(ht_h2_rcbuf(value), SLICE("100-continue")))
            x->expects_continue = 1;
        else
            (void)answer(head, 417, "unknown expectation");
    } else if (token == H2O_TOKEN_TE) {
        x->te_trailers = 1; /* nghttp2 lets nothing else pass */
        return false;
    } else {
        return token == H2O_TOKEN_HTTP2_SETTINGS;
    }
    return true;
}

enum ht_h2_verdict ht_h2_request_field(struct ht_exchange *x, struct ht_h2_head *head, nghttp2_rcbuf *name,
                                       nghttp2_rcbuf *value)
{
    struct slice key = ht_h2_rcbuf(name);
    size_t len = key.len + ht_h2_rcbuf(value).len;

    if (count(x, head, len, x->conn->limits->max_head_bytes) == HT_H2_CALM)
        return HT_H2_CALM;
    if (head->status != 0)
        return HT_H2_ACCEPT;
    if (key.base[0] == ':') {
        pseudo_field(x, head, key, value);
        return HT_H2_ACCEPT;
    }
    const h2o_token_t *token = h2o_lookup_token(key.base, key.len);
    if (token == NULL) {
        if (!ht_is_dropped_field(key))
            (void)ht_h2_receive_field(&x->pool, &x->headers, name, value);
        return HT_H2_ACCEPT;
    }
    if (special_field(x, head, token, value))
        return HT_H2_ACCEPT;
    head->num_cookies += token == H2O_TOKEN_COOKIE;
    (void)ht_headers_add_token(&x->pool, &x->headers, token, ht_h2_receive_value(&x->pool, value));
    return HT_H2_ACCEPT;
}

enum ht_h2_verdict ht_h2_request_trailer(struct ht_exchange *x, struct ht_h2_head *head, nghttp2_rcbuf *name,
                                         nghttp2_rcbuf *value)
{
    size_t len = ht_h2_rcbuf(name).len + ht_h2_rcbuf(value).len;

    if (count(x, head, len, x->conn->limits->max_trailer_bytes) == HT_H2_CALM)
        return HT_H2_CALM;
    if (head->status != 0)
        return malformed(head, "trailers too large");
    (void)ht_h2_receive_field(&x->pool, &x->trailers, name, value);
    if (ht_is_forbidden_trailer(&x->trailers.at[x->trailers.num - 1]))
        --x->trailers.num;
    return HT_H2_ACCEPT;
}

/* RFC 9113 8.2.3: crumbs become one field again. Their size was counted as they came. */
static void join_cookies(struct ht_exchange *x)
{
    size_t len = 0;
    uint32_t kept = 0;
    struct ht_header *first = NULL;
    char *at, *start;

    for (uint32_t i = 0; i < x->headers.num; i++)
        if (x->headers.at[i].token == H2O_TOKEN_COOKIE)
            len += x->headers.at[i].value.len + 2;
    at = start = h2o_mem_alloc_pool(&x->pool, len);
    for (uint32_t i = 0; i < x->headers.num; i++) {
        struct ht_header *header = &x->headers.at[i];
        if (header->token != H2O_TOKEN_COOKIE) {
            x->headers.at[kept++] = *header;
            continue;
        }
        if (at != start && header->value.len != 0) /* an empty crumb would leave a blank at the end */
            at = (char *)memcpy(at, "; ", 2) + 2;
        at = (char *)memcpy(at, header->value.base, header->value.len) + header->value.len;
        if (first == NULL) {
            first = &x->headers.at[kept];
            x->headers.at[kept++] = *header;
        }
    }
    first->value = slice_make(start, (size_t)(at - start));
    x->headers.num = kept;
}

static bool same_host(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if ((a.base[i] | 0x20) !=
            (b.base[i] | 0x20)) /* both are checked authorities: letters are all it can fold */
            return false;
    return true;
}

static enum ht_h2_verdict check_authority(struct ht_exchange *x, struct ht_h2_head *head)
{
    if (x->authority.base == NULL)
        x->authority = head->host;
    if (!ht_is_authority(x->authority))
        return malformed(head, ":authority is no host and port");
    if (head->host.base != NULL && !same_host(head->host, x->authority))
        return malformed(head, "host contradicts :authority");
    return HT_H2_ACCEPT;
}

static enum ht_h2_verdict check_target(struct ht_exchange *x, struct ht_h2_head *head)
{
    bool is_asterisk = slice_eq(x->target, SLICE("*")) && slice_eq(x->method, SLICE("OPTIONS"));

    if (!ht_is_target(x->target) || (x->target.base[0] != '/' && !is_asterisk))
        return malformed(head, ":path is no origin form");
    if (x->target.len > x->conn->limits->max_target_bytes)
        (void)answer(head, 414, "request target too long");
    return HT_H2_ACCEPT;
}

/* RFC 8441: to everybody behind, an extended CONNECT is the GET with Upgrade that it stands for. */
static enum ht_h2_verdict check_connect(struct ht_exchange *x, struct ht_h2_head *head)
{
    if (head->protocol.base == NULL) {
        x->target = x->authority;
        return HT_H2_ACCEPT;
    }
    if (!slice_eq(head->protocol, SLICE("websocket"))) {
        (void)answer(head, 501, "unknown :protocol");
        return HT_H2_ACCEPT;
    }
    x->upgrade = SLICE("websocket");
    x->method = SLICE("GET");
    return check_target(x, head);
}

enum ht_h2_verdict ht_h2_request_finish(struct ht_exchange *x, struct ht_h2_head *head)
{
    uint64_t max_body = x->conn->limits->max_body_bytes;
    enum ht_h2_verdict verdict = HT_H2_ACCEPT;

    if (head->status != 0)
        return HT_H2_ANSWER;
    if (head->detail != NULL)
        return HT_H2_MALFORMED;
    if (check_authority(x, head) == HT_H2_MALFORMED)
        return HT_H2_MALFORMED;
    verdict = slice_eq(x->method, SLICE("CONNECT")) ? check_connect(x, head) : check_target(x, head);
    if (verdict != HT_H2_ACCEPT)
        return verdict;
    if (max_body != 0 && x->content_length > 0 && (uint64_t)x->content_length > max_body)
        (void)answer(head, 413, "request body too large");
    if (head->num_cookies > 1)
        join_cookies(x);
    return head->status != 0 ? HT_H2_ANSWER : HT_H2_ACCEPT;
}

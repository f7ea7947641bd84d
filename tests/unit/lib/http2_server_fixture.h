/* An HTTP/2 server connection and a client of raw frames. */
#ifndef SELVEDGE_TESTS_HTTP2_SERVER_FIXTURE_H
#define SELVEDGE_TESTS_HTTP2_SERVER_FIXTURE_H

#include "tests/unit/lib/h2_raw.h"

#include "core/base/clock.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum {
    DATA = 0,
    HEADERS = 1,
    PRIORITY = 2,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    WINDOW_UPDATE = 8,
    CONTINUATION = 9,
    END_STREAM = 1,
    END_HEADERS = 4,
    ACK = 1
};

static struct net_worker *worker;
static struct raw raw;
static struct ht_limits limits;

static inline int set_up(void **state)
{
    worker = net_worker_new(0, 0, 0);
    limits = ht_limits_default;
    seen_reset();
    raw_open(&raw, worker, &limits);
    return 0;
}

static inline int tear_down(void **state)
{
    raw_close(&raw);
    assert_int_equal(seen_log.num_requests, seen_log.num_closed);
    seen_reset();
    assert_int_equal(worker->mem_used, 0);
    clock_fake(0, 0);
    worker = net_worker_free(worker);
    return 0;
}

static inline void u32_frame(uint8_t type, uint32_t id, uint32_t value)
{
    uint8_t payload[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                          (uint8_t)value};
    raw_frame(&raw, type, 0, id, payload, 4);
}

/* The fields of the stream's `index`th header block, as "name: value\n". */
static inline void decode(uint32_t id, unsigned index, struct strbuf *out)
{
    nghttp2_hd_inflater *inflater;
    struct raw_frame frame = {.end = 0};
    struct {
        uint32_t id;
        unsigned index;
    } at = {0, 0};
    unsigned of_stream = 0;

    nghttp2_hd_inflate_new(&inflater);
    strbuf_reset(out);
    while (raw_find(&raw, frame.end, HEADERS, UINT32_MAX, &frame)) {
        const uint8_t *in = frame.payload;
        size_t len = frame.len;
        bool is_wanted = frame.id == id && of_stream++ == index;
        for (;;) {
            nghttp2_nv nv;
            int flags = 0;
            ssize_t used = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, in, len, 1);
            assert_true(used >= 0);
            in += used;
            len -= (size_t)used;
            if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && is_wanted)
                strbuf_addf(out, "%.*s: %.*s\n", (int)nv.namelen, nv.name, (int)nv.valuelen, nv.value);
            if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0)
                break;
        }
        nghttp2_hd_inflate_end_headers(inflater);
    }
    (void)at;
    nghttp2_hd_inflate_del(inflater);
}

static inline bool has_line(uint32_t id, unsigned index, const char *line)
{
    struct strbuf text = STRBUF_INIT;
    decode(id, index, &text);
    bool found = text.base != NULL && strstr(text.base, line) != NULL;
    if (!found)
        print_message("no '%s' in: %s\n", line, text.base != NULL ? text.base : "(nothing)");
    strbuf_clear(&text);
    return found;
}

static inline void post_all(uint32_t id, size_t len)
{
    static const char bytes[16384];

    for (; len != 0; len -= MIN(len, sizeof(bytes)))
        raw_frame(&raw, DATA, 0, id, bytes, MIN(len, sizeof(bytes)));
}

/* Posts so much of what it announces. */
static inline void post_part(const char *announced, size_t len)
{
    struct strbuf block = STRBUF_INIT;

    seen_log.on_request = seen_say_hello;
    raw_hello(&raw);
    raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a", NULL);
    if (announced != NULL)
        raw_fields(&block, "content-length", announced, NULL);
    raw_frame(&raw, HEADERS, END_HEADERS, 1, block.base, block.len);
    post_all(1, len);
    RAW_UNTIL(&raw, raw_is_ended(&raw, 1));
    RAW_UNTIL(&raw, seen_at(0)->is_closed);
    assert_int_equal(seen_at(0)->why, HT_CLOSE_DONE);
    strbuf_clear(&block);
}

static inline size_t write_until_full(struct seen *seen)
{
    static char bytes[4096];
    struct iovec iov = {bytes, sizeof(bytes)};
    size_t len = sizeof(bytes);

    while (ht_exchange_body(seen->x, &iov, 1))
        len += sizeof(bytes);
    return len;
}

#endif

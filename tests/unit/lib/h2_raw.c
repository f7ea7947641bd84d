#include "tests/unit/lib/h2_raw.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the handler ---- */

struct seen_log seen_log;

static void seen_free(struct seen *seen)
{
    list_remove(&seen->link);
    strbuf_clear(&seen->body);
    strbuf_clear(&seen->head);
    strbuf_clear(&seen->trailers);
    free(seen);
}

void seen_reset(void)
{
    if (seen_log.all.next != NULL)
        while (!list_is_empty(&seen_log.all))
            seen_free(LIST_FIRST(&seen_log.all, struct seen, link));
    seen_log = (struct seen_log){0};
    list_init(&seen_log.all);
}

struct seen *seen_at(unsigned index)
{
    LIST_FOR(seen, &seen_log.all, struct seen, link)
    if (index-- == 0)
        return seen;
    abort();
}

static void write_fields(struct strbuf *out, const struct ht_headers *headers)
{
    for (uint32_t i = 0; i < headers->num; i++)
        strbuf_addf(out, "%.*s: %.*s\n", (int)headers->at[i].name.len, headers->at[i].name.base,
                    (int)headers->at[i].value.len, headers->at[i].value.base);
}

static void on_request(struct ht_exchange *x)
{
    struct seen *seen = xcalloc(1, sizeof(*seen));

    x->data = seen;
    seen->x = x;
    seen->take = SIZE_MAX;
    list_push(&seen_log.all, &seen->link);
    strbuf_addf(&seen->head, "%.*s %.*s %.*s %.*s\n", (int)x->method.len, x->method.base, (int)x->scheme.len,
                x->scheme.base, (int)x->authority.len, x->authority.base, (int)x->target.len, x->target.base);
    write_fields(&seen->head, &x->headers);
    ++seen_log.num_requests;
    ++seen_log.num_open;
    seen_log.max_open = MAX(seen_log.max_open, seen_log.num_open);
    if (seen_log.on_request != NULL)
        seen_log.on_request(seen);
}

static size_t on_body(struct ht_exchange *x, const char *bytes, size_t len)
{
    struct seen *seen = x->data;
    size_t taken = MIN(len, seen->take);

    strbuf_add(&seen->body, bytes, taken);
    return taken;
}

static void on_body_end(struct ht_exchange *x)
{
    struct seen *seen = x->data;

    ++seen->num_ends;
    write_fields(&seen->trailers, &x->trailers);
}

static void on_writable(struct ht_exchange *x)
{
    ++((struct seen *)x->data)->num_writable;
}

static void on_close(struct ht_exchange *x, enum ht_close why)
{
    struct seen *seen = x->data;

    if (seen->is_closed)
        abort(); /* twice */
    seen->x = NULL;
    seen->is_closed = true;
    seen->why = why;
    ++seen_log.num_closed;
    --seen_log.num_open;
    if (seen_log.forgets)
        seen_free(seen);
}

static void on_bad_request(struct ht_server_conn *conn, unsigned status, const char *detail,
                           struct slice head)
{
    ++seen_log.num_bad;
    seen_log.last_bad_status = status;
    snprintf(seen_log.last_bad_detail, sizeof(seen_log.last_bad_detail), "%s", detail != NULL ? detail : "");
}

const struct ht_handler seen_handler = {on_request,  on_body,  on_body_end,
                                        on_writable, on_close, on_bad_request};

void seen_say_hello(struct seen *seen)
{
    struct iovec iov = {"hello", 5};

    ht_exchange_head(seen->x, 200, NULL, 5);
    ht_exchange_body(seen->x, &iov, 1);
    ht_exchange_end(seen->x, NULL);
}

/* ---- the client ---- */

static void on_closed(struct ht_server_conn *conn)
{
    ((struct raw *)conn->owner)->conn = NULL;
}

void raw_open(struct raw *raw, struct net_worker *worker, const struct ht_limits *limits)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        abort();
    *raw = (struct raw){.worker = worker, .fd = fds[0]};
    raw->conn =
        ht_server_accept(worker, fds[1], NULL, &seen_handler, limits, raw, on_closed);
}

void raw_close(struct raw *raw)
{
    if (raw->fd >= 0)
        close(raw->fd);
    raw->fd = -1;
    for (int i = 0; i < 100 && raw->conn != NULL; i++) {
        if (i == 50)
            ht_server_close(raw->conn);
        net_worker_turn(raw->worker, 0);
    }
    if (raw->conn != NULL)
        abort();
    strbuf_clear(&raw->in);
    strbuf_clear(&raw->out);
}

static void write_some(struct raw *raw)
{
    while (raw->out.len != 0) {
        ssize_t sent = send(raw->fd, raw->out.base, raw->out.len, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN)
                raw->out.len = 0;
            return;
        }
        memmove(raw->out.base, raw->out.base + sent, raw->out.len - (size_t)sent);
        raw->out.len -= (size_t)sent;
    }
}

static void read_some(struct raw *raw)
{
    char buf[65536];
    ssize_t got = -1;

    while (!raw->reads_nothing && (got = recv(raw->fd, buf, sizeof(buf), 0)) > 0)
        strbuf_add(&raw->in, buf, (size_t)got);
    if (!raw->reads_nothing && (got == 0 || errno != EAGAIN))
        raw->is_eof = true;
}

void raw_turn_wait(struct raw *raw, int wait_ms)
{
    write_some(raw);
    net_worker_turn(raw->worker, wait_ms);
    read_some(raw);
}

void raw_frame(struct raw *raw, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
    char head[9] = {(char)(len >> 16), (char)(len >> 8), (char)len,       (char)type, (char)flags,
                    (char)(id >> 24),  (char)(id >> 16), (char)(id >> 8), (char)id};

    strbuf_add(&raw->out, head, sizeof(head));
    strbuf_add(&raw->out, payload, len);
}

void raw_hello(struct raw *raw)
{
    strbuf_adds(&raw->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    raw_frame(raw, 4, 0, 0, NULL, 0);
    raw_frame(raw, 4, 1, 0, NULL, 0);
    RAW_UNTIL(raw, raw_count(raw, 4, 0) >= 2);
}

/* HPACK's integer with a 7-bit prefix, no Huffman. */
static void add_text(struct strbuf *block, struct slice text)
{
    size_t len = text.len;

    if (len < 127) {
        strbuf_addc(block, (char)len);
    } else {
        strbuf_addc(block, 127);
        for (len -= 127; len >= 128; len >>= 7)
            strbuf_addc(block, (char)(len | 0x80));
        strbuf_addc(block, (char)len);
    }
    strbuf_add_slice(block, text);
}

void raw_field(struct strbuf *block, struct slice name, struct slice value)
{
    strbuf_addc(block, 0);
    add_text(block, name);
    add_text(block, value);
}

void raw_fields(struct strbuf *block, const char *name, ...)
{
    va_list args;

    va_start(args, name);
    for (; name != NULL; name = va_arg(args, const char *))
        raw_field(block, slice_of(name), slice_of(va_arg(args, const char *)));
    va_end(args);
}

static void request(struct raw *raw, uint32_t id, const char *method, const char *path, uint8_t flags)
{
    struct strbuf block = STRBUF_INIT;

    raw_fields(&block, ":method", method, ":scheme", "http", ":path", path, ":authority", "example.com",
               NULL);
    raw_frame(raw, 1, flags, id, block.base, block.len);
    strbuf_clear(&block);
}

void raw_get(struct raw *raw, uint32_t id, const char *path)
{
    request(raw, id, "GET", path, 5);
}

void raw_post(struct raw *raw, uint32_t id, const char *path)
{
    request(raw, id, "POST", path, 4);
}

bool raw_find(const struct raw *raw, size_t from, uint8_t type, uint32_t id, struct raw_frame *ret)
{
    while (raw->in.len >= from + 9) {
        const uint8_t *at = (const uint8_t *)raw->in.base + from;
        struct raw_frame frame = {
            .type = at[3],
            .flags = at[4],
            .len = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2],
            .id = ((uint32_t)at[5] << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 | at[8]) & 0x7fffffff,
            .payload = at + 9,
        };
        frame.end = from + 9 + frame.len;
        if (frame.end > raw->in.len)
            return false;
        if ((type == 255 || type == frame.type) && (id == UINT32_MAX || id == frame.id)) {
            *ret = frame;
            return true;
        }
        from = frame.end;
    }
    return false;
}

unsigned raw_count(const struct raw *raw, uint8_t type, uint32_t id)
{
    struct raw_frame frame = {.end = 0};
    unsigned num = 0;

    while (raw_find(raw, frame.end, type, id, &frame))
        ++num;
    return num;
}

static uint32_t u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

int64_t raw_reset_code(const struct raw *raw, uint32_t id)
{
    struct raw_frame frame;

    return raw_find(raw, 0, 3, id, &frame) ? (int64_t)u32(frame.payload) : -1;
}

int64_t raw_goaway_code(const struct raw *raw)
{
    struct raw_frame frame = {.end = 0};
    int64_t code = -1;

    while (raw_find(raw, frame.end, 7, 0, &frame))
        code = u32(frame.payload + 4);
    return code;
}

size_t raw_data_len(const struct raw *raw, uint32_t id)
{
    struct raw_frame frame = {.end = 0};
    size_t len = 0;

    while (raw_find(raw, frame.end, 0, id, &frame))
        len += frame.len;
    return len;
}

bool raw_is_ended(const struct raw *raw, uint32_t id)
{
    struct raw_frame frame = {.end = 0};

    while (raw_find(raw, frame.end, 255, id, &frame))
        if (frame.type <= 1 && (frame.flags & 1) != 0)
            return true;
    return false;
}

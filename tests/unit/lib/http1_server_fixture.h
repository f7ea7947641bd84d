/* An HTTP/1 server connection whose handler answers by path, and a client of bytes. */
#ifndef SELVEDGE_TESTS_HTTP1_SERVER_FIXTURE_H
#define SELVEDGE_TESTS_HTTP1_SERVER_FIXTURE_H

#include "core/http/http.h"

#include "core/base/clock.h"
#include "core/base/strbuf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define H "Host: a.example\r\n"

struct world {
    struct net_worker *worker;
    struct ht_server_conn *conn;
    struct ht_limits limits;
    int peer;
    struct strbuf got; /* what the client received since it last looked */
    bool is_eof; /* the server ended its direction */
    /* what the handler saw */
    struct ht_exchange *x; /* the one open */
    struct strbuf body, log;
    unsigned num_requests, num_closed, num_bad, num_writable, num_conn_closed, bad_status;
    const char *bad_detail;
    enum ht_close why;
    size_t take; /* how much on_body takes at a time */
    bool resume_in_body, close_in_body;
};

static struct world *w; /* one test at a time */

/* ---- the handler: answers by path ---- */

static inline void answer(struct ht_exchange *x, unsigned status, const char *body)
{
    struct iovec iov = {(char *)body, strlen(body)};

    ht_exchange_head(x, status, NULL, (int64_t)iov.iov_len);
    if (iov.iov_len != 0)
        ht_exchange_body(x, &iov, 1);
    ht_exchange_end(x, NULL);
}

static inline bool is_path(const struct ht_exchange *x, const char *path)
{
    return slice_is(x->target, path);
}

static inline void on_request(struct ht_exchange *x)
{
    assert_null(w->x);
    w->x = x;
    ++w->num_requests;
    strbuf_reset(&w->body);
    strbuf_add_slice(&w->log, x->target);
    strbuf_addc(&w->log, ' ');
    if (is_path(x, "/hello"))
        answer(x, 200, "hello");
    else if (is_path(x, "/204"))
        answer(x, 204, "");
    else if (is_path(x, "/304"))
        answer(x, 304, "xx");
    else if (is_path(x, "/close"))
        ht_server_close(x->conn);
    else if (is_path(x, "/post"))
        ht_exchange_resume(x);
    else if (is_path(x, "/echo")) {
        ht_exchange_head(x, 200, NULL, -1);
        ht_exchange_resume(x);
    }
}

static inline size_t on_body(struct ht_exchange *x, const char *bytes, size_t len)
{
    size_t taken = MIN(len, w->take);
    struct iovec iov = {(char *)bytes, taken};

    strbuf_add(&w->body, bytes, taken);
    if (is_path(x, "/echo"))
        ht_exchange_body(x, &iov, 1);
    if (w->resume_in_body)
        ht_exchange_resume(x);
    if (w->close_in_body)
        ht_server_close(x->conn);
    return taken;
}

static inline void on_body_end(struct ht_exchange *x)
{
    strbuf_adds(&w->log, "end ");
    if (is_path(x, "/post"))
        answer(x, 200, strbuf_slice(&w->body).base);
    if (is_path(x, "/echo"))
        ht_exchange_end(x, NULL);
}

static inline void on_writable(struct ht_exchange *x)
{
    ++w->num_writable;
}

static inline void on_close(struct ht_exchange *x, enum ht_close why)
{
    assert_ptr_equal(w->x, x);
    w->x = NULL;
    ++w->num_closed;
    w->why = why;
    ht_exchange_head(x, 500, NULL, 0); /* too late for anything: ignored */
    ht_exchange_abort(x, 0);
}

static inline void on_bad_request(struct ht_server_conn *conn, unsigned status, const char *detail,
                           struct slice head)
{
    ++w->num_bad;
    w->bad_status = status;
    w->bad_detail = detail;
}

static const struct ht_handler handler = {on_request,  on_body,  on_body_end,
                                          on_writable, on_close, on_bad_request};

static inline void on_conn_closed(struct ht_server_conn *conn)
{
    assert_null(w->x);
    ++w->num_conn_closed;
    w->conn = NULL;
}

/* ---- the world ---- */

static inline int setup(void **state)
{
    int fds[2];

    w = xcalloc(1, sizeof(*w));
    w->worker = net_worker_new(0, 0, 0);
    w->limits = ht_limits_default;
    w->take = SIZE_MAX;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    w->peer = fds[0];
    w->conn = ht_server_accept(w->worker, fds[1], NULL, &handler, &w->limits, NULL, on_conn_closed);
    return 0;
}

static inline void turns(void)
{
    for (int i = 0; i < 8; i++)
        net_worker_turn(w->worker, 0);
}

static inline int teardown(void **state)
{
    if (w->conn != NULL)
        ht_server_close(w->conn);
    turns();
    clock_fake(0, 0);
    assert_int_equal(w->num_conn_closed, 1);
    assert_int_equal(w->num_requests, w->num_closed);
    assert_int_equal(w->worker->mem_used, 0);
    close(w->peer);
    net_worker_free(w->worker);
    strbuf_clear(&w->got);
    strbuf_clear(&w->body);
    strbuf_clear(&w->log);
    free(w);
    return 0;
}

static inline void collect(void)
{
    char buf[65536];
    ssize_t len;

    while ((len = recv(w->peer, buf, sizeof(buf), 0)) > 0)
        strbuf_add(&w->got, buf, (size_t)len);
    if (len == 0)
        w->is_eof = true;
}

static inline void sends(const char *bytes, size_t len)
{
    while (len != 0) {
        ssize_t sent = send(w->peer, bytes, len, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            len -= (size_t)sent;
        } else if (errno != EAGAIN) {
            return; /* closed: the test looks at that itself */
        }
        turns();
    }
}

/* Sends, turns, and returns all that came back since the last time. */
static const char *talk_n(const char *bytes, size_t len)
{
    strbuf_reset(&w->got);
    sends(bytes, len);
    turns();
    collect();
    turns();
    collect();
    strbuf_addc(&w->got, '\0');
    --w->got.len;
    return w->got.base;
}

static const char *talk(const char *text)
{
    return talk_n(text, strlen(text));
}

static inline unsigned count(const char *text, const char *what)
{
    unsigned num = 0;

    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        ++num;
    return num;
}

#define assert_has(text, what)                                                                               \
    do {                                                                                                     \
        const char *text_ = (text);                                                                          \
        if (strstr(text_, (what)) == NULL)                                                                   \
            fail_msg("'%s' is not in: %s", (what), text_);                                                   \
    } while (0)
#define assert_lacks(text, what)                                                                             \
    do {                                                                                                     \
        const char *text_ = (text);                                                                          \
        if (strstr(text_, (what)) != NULL)                                                                   \
            fail_msg("'%s' is in: %s", (what), text_);                                                       \
    } while (0)

#endif

/* The HTTP/1 server engine over a socket pair: what clients send, what they get, what the handler sees. */
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

static void answer(struct ht_exchange *x, unsigned status, const char *body)
{
    struct iovec iov = {(char *)body, strlen(body)};

    ht_exchange_head(x, status, NULL, (int64_t)iov.iov_len);
    if (iov.iov_len != 0)
        ht_exchange_body(x, &iov, 1);
    ht_exchange_end(x, NULL);
}

static bool is_path(const struct ht_exchange *x, const char *path)
{
    return slice_is(x->target, path);
}

static void on_request(struct ht_exchange *x)
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

static size_t on_body(struct ht_exchange *x, const char *bytes, size_t len)
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

static void on_body_end(struct ht_exchange *x)
{
    strbuf_adds(&w->log, "end ");
    if (is_path(x, "/post"))
        answer(x, 200, strbuf_slice(&w->body).base);
    if (is_path(x, "/echo"))
        ht_exchange_end(x, NULL);
}

static void on_writable(struct ht_exchange *x)
{
    ++w->num_writable;
}

static void on_close(struct ht_exchange *x, enum ht_close why)
{
    assert_ptr_equal(w->x, x);
    w->x = NULL;
    ++w->num_closed;
    w->why = why;
    ht_exchange_head(x, 500, NULL, 0); /* too late for anything: ignored */
    ht_exchange_abort(x, 0);
}

static void on_bad_request(struct ht_server_conn *conn, unsigned status, const char *detail,
                           struct slice head)
{
    ++w->num_bad;
    w->bad_status = status;
    w->bad_detail = detail;
}

static const struct ht_handler handler = {on_request,  on_body,  on_body_end,
                                          on_writable, on_close, on_bad_request};

static void on_conn_closed(struct ht_server_conn *conn)
{
    assert_null(w->x);
    ++w->num_conn_closed;
    w->conn = NULL;
}

/* ---- the world ---- */

static int setup(void **state)
{
    int fds[2];

    w = xcalloc(1, sizeof(*w));
    w->worker = net_worker_new(0, 0, 0);
    w->limits = ht_limits_default;
    w->take = SIZE_MAX;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    w->peer = fds[0];
    w->conn = ht_server_accept(w->worker, fds[1], NULL, &handler, &w->limits, NULL, on_conn_closed,
                               slice_make(NULL, 0));
    return 0;
}

static void turns(void)
{
    for (int i = 0; i < 8; i++)
        net_worker_turn(w->worker, 0);
}

static int teardown(void **state)
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

static void collect(void)
{
    char buf[65536];
    ssize_t len;

    while ((len = recv(w->peer, buf, sizeof(buf), 0)) > 0)
        strbuf_add(&w->got, buf, (size_t)len);
    if (len == 0)
        w->is_eof = true;
}

static void sends(const char *bytes, size_t len)
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

static unsigned count(const char *text, const char *what)
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

/* ---- requests and responses ---- */

static void a_request_gets_its_answer_and_the_connection_stays(void **state)
{
    const char *got = talk("GET /hello HTTP/1.1\r\n" H "\r\n");

    assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
    assert_has(got, "\r\ndate: ");
    assert_has(got, " GMT\r\n");
    assert_has(got, "content-length: 5\r\n");
    assert_has(got, "\r\n\r\nhello");
    assert_lacks(got, "connection:");
    assert_int_equal(w->why, HT_CLOSE_DONE);
    got = talk("GET /hello HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(count(got, "HTTP/1.1 200"), 1);
    assert_int_equal(w->num_closed, 2);
    assert_false(w->is_eof);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    const char *got =
        talk("GET /hello HTTP/1.1\r\n" H "\r\nPOST /post HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"
             "GET /204 HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");

    assert_string_equal(w->log.base, "/hello /post end /204 /hello ");
    assert_int_equal(count(got, "HTTP/1.1 2"), 4);
    assert_has(got, "\r\n\r\nhelloHTTP/1.1 200 OK\r\n");
    assert_has(got, "\r\n\r\nabcHTTP/1.1 204 No Content\r\n");
}

static void the_next_request_waits_for_the_running_one(void **state)
{
    const char *got = talk("GET /late HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");

    assert_string_equal(got, "");
    assert_int_equal(w->num_requests, 1);
    answer(w->x, 200, "late");
    got = talk("");
    assert_int_equal(w->num_requests, 2);
    assert_true(strstr(got, "late") < strstr(got, "hello"));
}

static void bytes_one_by_one_make_the_same_request(void **state)
{
    static const char text[] = "\r\nPOST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
                               "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n"
                               "GET /hello HTTP/1.1\r\n" H "\r\n";

    for (size_t i = 0; i < sizeof(text) - 1; i++)
        sends(text + i, 1);
    const char *got = talk("");
    assert_string_equal(w->log.base, "/post end /hello ");
    assert_has(got, "\r\n\r\nhello!HTTP/1.1 200");
    assert_int_equal(w->num_bad, 0);
}

static void trailers_reach_the_handler(void **state)
{
    talk("POST /late HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
    ht_exchange_resume(w->x);
    talk("0\r\nX-Sum: 7\r\nHost: evil\r\n\r\n");
    assert_string_equal(w->log.base, "/late end ");
    assert_int_equal(w->x->trailers.num, 1);
    assert_true(slice_is(w->x->trailers.at[0].value, "7"));
    answer(w->x, 200, "");
}

static void bodies_are_left_out_where_none_may_be(void **state)
{
    const char *got = talk("HEAD /hello HTTP/1.1\r\n" H "\r\n");

    assert_has(got, "content-length: 5\r\n");
    assert_lacks(got, "hello");
    got = talk("GET /204 HTTP/1.1\r\n" H "\r\n");
    assert_lacks(got, "content-length");
    assert_lacks(got, "transfer-encoding");
    got = talk("GET /304 HTTP/1.1\r\n" H "\r\n");
    assert_has(got, "content-length: 2\r\n");
    assert_lacks(got, "\r\n\r\nx");
    got = talk("HEAD /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, &(struct iovec){"zzz", 3}, 1);
    ht_exchange_end(w->x, NULL);
    got = talk("");
    assert_lacks(got, "zzz");
    assert_lacks(got, "transfer-encoding");
    assert_has(talk("GET /hello HTTP/1.1\r\n" H "\r\n"), "hello");
}

static void http10_closes_unless_asked(void **state)
{
    const char *got = talk("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");

    assert_has(got, "connection: keep-alive\r\n");
    assert_false(w->is_eof);
    got = talk("GET /hello HTTP/1.0\r\n\r\n");
    assert_has(got, "connection: close\r\n");
    assert_has(got, "hello");
    assert_true(w->is_eof);
}

static void http10_gets_unknown_lengths_until_close(void **state)
{
    talk("GET /late HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, &(struct iovec){"abc", 3}, 1);
    ht_exchange_end(w->x, NULL);
    const char *got = talk("");
    assert_has(got, "connection: close\r\n");
    assert_lacks(got, "transfer-encoding");
    assert_has(got, "\r\n\r\nabc");
    assert_true(w->is_eof);
}

static void unknown_lengths_are_chunked_with_trailers_where_wanted(void **state)
{
    struct ht_header field = {SLICE("x-sum"), SLICE("7"), NULL};
    struct ht_headers trailers = {&field, 1, 1};
    struct iovec iov[2] = {{"he", 2}, {"llo", 3}};
    const char *got;

    talk("GET /late HTTP/1.1\r\n" H "TE: trailers\r\nConnection: TE\r\n\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, iov, 2);
    ht_exchange_end(w->x, &trailers);
    assert_has(talk(""), "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n");
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, iov, 2);
    got = talk("");
    assert_has(got, "\r\n\r\n5\r\nhello\r\n");
    ht_exchange_end(w->x, &trailers);
    assert_string_equal(talk(""), "0\r\n\r\n");
}

static void a_head_alone_is_flushed(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, NULL, 0);
    assert_has(talk(""), "chunked\r\n\r\n");
    ht_exchange_end(w->x, NULL);
    assert_string_equal(talk(""), "0\r\n\r\n");
}

static void interim_answers_go_to_http11_only(void **state)
{
    struct ht_header field = {SLICE("link"), SLICE("</a>"), NULL};
    struct ht_headers headers = {&field, 1, 1};

    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_info(w->x, 103, &headers);
    assert_string_equal(talk(""), "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    answer(w->x, 200, "");
    talk("GET /late HTTP/1.0\r\n\r\n");
    ht_exchange_info(w->x, 103, &headers);
    assert_string_equal(talk(""), "");
    answer(w->x, 200, "");
    assert_has(talk(""), "200 OK");
}

static void engine_fields_of_the_handler_are_left_out(void **state)
{
    struct ht_headers headers = {NULL, 0, 0};
    h2o_mem_pool_t pool;

    h2o_mem_init_pool(&pool);
    ht_headers_add(&pool, &headers, SLICE("content-length"), SLICE("99"));
    ht_headers_add(&pool, &headers, SLICE("transfer-encoding"), SLICE("gzip"));
    ht_headers_add(&pool, &headers, SLICE("connection"), SLICE("x"));
    ht_headers_add(&pool, &headers, SLICE("date"), SLICE("then"));
    ht_headers_add(&pool, &headers, SLICE("x-a"), SLICE(""));
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, &headers, 0);
    ht_exchange_end(w->x, NULL);
    assert_string_equal(talk(""), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ndate: then\r\nx-a: \r\n\r\n");
    h2o_mem_clear_pool(&pool);
}

/* ---- Expect ---- */

static void continue_is_sent_when_the_body_is_wanted(void **state)
{
    assert_string_equal(talk("POST /late HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
                        "");
    assert_true(w->x->expects_continue);
    ht_exchange_resume(w->x);
    assert_string_equal(talk(""), "HTTP/1.1 100 Continue\r\n\r\n");
    talk("ok");
    assert_string_equal(w->body.base, "ok");
    ht_exchange_resume(w->x);
    answer(w->x, 200, "");
    assert_has(talk(""), "HTTP/1.1 200");
    assert_false(w->is_eof);
}

static void a_final_answer_instead_of_continue_closes(void **state)
{
    talk("POST /hello HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_has(w->got.base, "connection: close\r\n");
    assert_lacks(w->got.base, "100 Continue");
    assert_true(w->is_eof);
}

/* ---- refusals ---- */

static void bad_heads_are_answered_reported_and_closed(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
    } cases[] = {
        {"GET / HTTP/1.1\nHost: a\n\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET /\r\n\r\n", 400},
        {"\x16\x03\x01", 400},
        {"\nGET / HTTP/1.1\r\n" H "\r\n", 400},
        {"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 400},
        {"GET / HTTP/2.0\r\n" H "\r\n", 505},
        {"TRACE / HTTP/1.1\r\n" H "\r\n", 405},
        {"POST / HTTP/1.1\r\n" H "Expect: tea\r\n\r\n", 417},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    };
    char want[32];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (i != 0) {
            teardown(state);
            setup(state);
        }
        const char *got = talk(cases[i].text);
        snprintf(want, sizeof(want), "HTTP/1.1 %u ", cases[i].status);
        assert_has(got, want);
        assert_has(got, "connection: close\r\n");
        assert_true(w->is_eof);
        assert_int_equal(w->num_bad, 1);
        assert_int_equal(w->bad_status, cases[i].status);
        assert_int_equal(w->num_requests, 0);
        assert_int_equal(count(got, "HTTP/1.1 "), 1);
    }
}

static void check_refused(const char *head, size_t filler, const char *tail, unsigned status)
{
    struct strbuf text = STRBUF_INIT;

    strbuf_adds(&text, head);
    memset(strbuf_reserve(&text, filler), 'a', filler);
    text.len += filler;
    strbuf_adds(&text, tail);
    talk(text.base);
    assert_int_equal(w->bad_status, status);
    assert_int_equal(w->num_requests, 0);
    assert_true(w->is_eof);
    strbuf_clear(&text);
}

static void a_long_target_is_414(void **state)
{
    check_refused("GET /", 100 * 1000, "", 414);
}

static void a_long_header_is_431(void **state)
{
    check_refused("GET / HTTP/1.1\r\n" H "X: ", 64 * 1024, "", 431);
}

static void a_megabyte_header_is_431(void **state)
{
    check_refused("GET / HTTP/1.1\r\n" H "X: ", 1024 * 1024, "\r\n\r\n", 431);
}

static void many_headers_are_431(void **state)
{
    struct strbuf text = STRBUF_INIT;

    for (int i = 0; i < 101; i++)
        strbuf_addf(&text, "X%d: y\r\n", i);
    check_refused("GET / HTTP/1.1\r\n", 0, text.base, 431); /* not even whole */
    strbuf_clear(&text);
}

static void a_hundred_headers_pass(void **state)
{
    struct strbuf text = STRBUF_INIT;

    strbuf_adds(&text, "GET /hello HTTP/1.1\r\n" H);
    for (int i = 0; i < 99; i++)
        strbuf_addf(&text, "X%d: y\r\n", i);
    strbuf_adds(&text, "\r\n");
    assert_has(talk(text.base), "200 OK");
    strbuf_clear(&text);
}

static void an_announced_long_body_is_413(void **state)
{
    w->limits.max_body_bytes = 10;
    talk("POST /post HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\n");
    assert_int_equal(w->bad_status, 413);
    assert_int_equal(w->num_requests, 0);
}

static void a_streamed_long_body_is_413(void **state)
{
    w->limits.max_body_bytes = 10;
    const char *got = talk("POST /post HTTP/1.1\r\n" H
                           "Transfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n12345\r\n0\r\n\r\n");
    assert_has(got, "HTTP/1.1 413 ");
    assert_int_equal(w->why, HT_CLOSE_TOO_LARGE);
    assert_true(w->is_eof);
}

static void a_bad_chunk_is_400_and_the_end(void **state)
{
    const char *got =
        talk("POST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n"
             "GET /hello HTTP/1.1\r\n" H "\r\n");
    assert_has(got, "HTTP/1.1 400 ");
    assert_int_equal(count(got, "HTTP/1.1 "), 1);
    assert_int_equal(w->why, HT_CLOSE_PROTOCOL);
    assert_int_equal(w->num_requests, 1);
    assert_true(w->is_eof);
}

static void a_bad_chunk_after_the_head_only_closes(void **state)
{
    const char *got = talk("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX");
    assert_lacks(got, "400");
    assert_lacks(got, "0\r\n\r\n");
    assert_int_equal(w->why, HT_CLOSE_PROTOCOL);
    assert_true(w->is_eof);
}

static void long_trailers_are_refused(void **state)
{
    struct strbuf text = STRBUF_INIT;

    strbuf_adds(&text, "POST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nX: ");
    memset(strbuf_reserve(&text, 9000), 'a', 9000);
    text.len += 9000;
    strbuf_addc(&text, 'b');
    assert_has(talk(text.base), "HTTP/1.1 431 ");
    strbuf_clear(&text);
}

/* ---- back-pressure ---- */

static void a_body_waits_until_it_is_wanted(void **state)
{
    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 6\r\n\r\nabcdef");
    assert_int_equal(w->body.len, 0);
    w->take = 2;
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "ab");
    talk("");
    assert_string_equal(w->body.base, "ab");
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "abcd");
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "abcdef");
    assert_string_equal(w->log.base, "/late end ");
    answer(w->x, 200, "");
}

static void resuming_inside_on_body_goes_on(void **state)
{
    w->take = 1;
    w->resume_in_body = true;
    talk("POST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n");
    assert_has(w->got.base, "\r\n\r\nabcdef");
}

static void resuming_without_taking_does_not_spin(void **state)
{
    w->take = 0;
    w->resume_in_body = true;
    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc");
    ht_exchange_resume(w->x);
    talk("");
    w->take = 3;
    talk("");
    assert_string_equal(w->body.base, "abc");
    answer(w->x, 200, "");
}

static void an_unwanted_body_stays_with_the_client(void **state)
{
    struct strbuf text = STRBUF_INIT;
    size_t accepted = 0;

    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 100000000\r\n\r\n");
    memset(strbuf_reserve(&text, 65536), 'a', 65536);
    for (int i = 0; i < 200; i++) {
        ssize_t sent = send(w->peer, text.base, 65536, MSG_NOSIGNAL);
        accepted += sent > 0 ? (size_t)sent : 0;
        turns();
    }
    assert_true(accepted < 2 * 1024 * 1024);
    assert_true(w->worker->mem_used <= 160 * 1024);
    strbuf_clear(&text);
}

static void a_slow_reader_stops_the_writer(void **state)
{
    static char block[65536];
    struct iovec iov = {block, sizeof(block)};
    size_t sent = 0;

    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    while (ht_exchange_body(w->x, &iov, 1) && sent < 100)
        ++sent;
    assert_true(sent < 100);
    assert_int_equal(w->num_writable, 0);
    talk("");
    for (int i = 0; i < 20; i++)
        talk("");
    assert_int_equal(w->num_writable, 1);
    ht_exchange_end(w->x, NULL);
    talk("");
    assert_int_equal(w->why, HT_CLOSE_DONE);
}

/* ---- early answers ---- */

static void the_rest_of_a_small_body_is_swallowed(void **state)
{
    talk("POST /hello HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
    assert_has(w->got.base, "hello");
    assert_int_equal(w->num_closed, 1);
    assert_has(talk("defghijGET /hello HTTP/1.1\r\n" H "\r\n"), "hello");
    talk("POST /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_has(talk("0\r\nX: y\r\n\r\nGET /hello HTTP/1.1\r\n" H "\r\n"), "hello");
    assert_int_equal(w->num_closed, 4);
    assert_false(w->is_eof);
}

static void a_large_rest_closes(void **state)
{
    talk("POST /hello HTTP/1.1\r\n" H "Content-Length: 10000000\r\n\r\nabc");
    assert_has(w->got.base, "hello");
    assert_true(w->is_eof);
}

static void an_endless_rest_closes(void **state)
{
    static char block[65536];

    talk("POST /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n");
    assert_false(w->is_eof);
    for (int i = 0; i < 6; i++)
        talk_n(block, sizeof(block));
    assert_true(w->is_eof);
    assert_int_equal(w->why, HT_CLOSE_DONE);
}

static void a_bad_rest_closes(void **state)
{
    talk("POST /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX");
    assert_int_equal(count(w->got.base, "HTTP/1.1 "), 1);
    assert_has(w->got.base, "hello");
    assert_int_equal(w->why, HT_CLOSE_DONE);
    assert_true(w->is_eof);
}

/* ---- ends ---- */

static void a_client_gone_in_the_body_is_a_reset(void **state)
{
    talk("POST /post HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
    shutdown(w->peer, SHUT_WR);
    talk("");
    assert_int_equal(w->why, HT_CLOSE_PEER_RESET);
    assert_int_equal(w->num_conn_closed, 1);
}

static void a_client_gone_before_its_body_is_wanted_is_seen_then(void **state)
{
    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
    shutdown(w->peer, SHUT_WR);
    talk("");
    assert_int_equal(w->num_closed, 0);
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "abc");
    assert_int_equal(w->why, HT_CLOSE_PEER_RESET);
}

static void a_half_closed_client_gets_its_answers(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");
    shutdown(w->peer, SHUT_WR);
    talk("");
    answer(w->x, 200, "late");
    talk("");
    assert_has(w->got.base, "late");
    assert_has(w->got.base, "hello");
    assert_true(w->is_eof);
    assert_int_equal(w->num_conn_closed, 1);
}

static void an_aborted_answer_is_cut_off(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    ht_exchange_body(w->x, &(struct iovec){"abc", 3}, 1);
    talk("");
    ht_exchange_abort(w->x, 0);
    talk("");
    assert_string_equal(w->got.base, "");
    assert_true(w->is_eof);
    assert_int_equal(w->why, HT_CLOSE_ABORTED);
}

static void too_few_bytes_are_an_abort(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, 10);
    ht_exchange_body(w->x, &(struct iovec){"abc", 3}, 1);
    ht_exchange_end(w->x, NULL);
    talk("");
    assert_int_equal(w->why, HT_CLOSE_ABORTED);
    assert_true(w->is_eof);
}

static void too_many_bytes_are_an_abort(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, 2);
    ht_exchange_body(w->x, &(struct iovec){"abc", 3}, 1);
    talk("");
    assert_int_equal(w->why, HT_CLOSE_ABORTED);
    assert_lacks(w->got.base, "abc");
}

static void the_handler_may_close_in_any_callback(void **state)
{
    talk("GET /close HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(w->why, HT_CLOSE_ABORTED);
    assert_int_equal(w->num_conn_closed, 1);
    teardown(state);
    setup(state);
    w->close_in_body = true;
    talk("POST /post HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_int_equal(w->num_closed, 1);
    assert_int_equal(w->num_conn_closed, 1);
}

static void draining_closes_idle_connections_and_says_so_on_busy_ones(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_server_drain(w->conn);
    talk("");
    assert_false(w->is_eof);
    answer(w->x, 200, "late");
    talk("");
    assert_has(w->got.base, "connection: close\r\n");
    assert_has(w->got.base, "late");
    assert_true(w->is_eof);
    teardown(state);
    setup(state);
    talk("GET /hello HTTP/1.1\r\n" H "\r\n");
    ht_server_drain(w->conn);
    talk("");
    assert_true(w->is_eof);
}

static void draining_answers_what_a_new_client_is_about_to_ask(void **state)
{
    ht_server_drain(w->conn);
    assert_has(talk("GET /hello HTTP/1.1\r\n" H "\r\n"), "connection: close\r\n");
    assert_has(w->got.base, "hello");
    assert_true(w->is_eof);
}

static void connections_end_after_their_share(void **state)
{
    w->limits.max_requests_per_conn = 2;
    assert_lacks(talk("GET /hello HTTP/1.1\r\n" H "\r\n"), "connection:");
    assert_has(talk("GET /hello HTTP/1.1\r\n" H "\r\n"), "connection: close\r\n");
    assert_true(w->is_eof);
}

static void connection_close_is_obeyed(void **state)
{
    const char *got =
        talk("GET /hello HTTP/1.1\r\nConnection: close\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");

    assert_int_equal(count(got, "HTTP/1.1 200"), 1);
    assert_has(got, "connection: close\r\n");
    assert_true(w->is_eof);
    assert_int_equal(w->num_requests, 1);
}

/* ---- tunnels ---- */

#define UPGRADE                                                                                              \
    "GET /late HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"  \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static void a_websocket_becomes_a_tunnel(void **state)
{
    const char *got;

    talk(UPGRADE "early");
    assert_true(slice_is(w->x->upgrade, "websocket"));
    assert_false(w->x->has_body);
    ht_exchange_head(w->x, 101, NULL, -1);
    ht_exchange_resume(w->x);
    got = talk("");
    assert_has(got, "HTTP/1.1 101 Switching Protocols\r\n");
    assert_has(got, "upgrade: websocket\r\n");
    assert_has(got, "connection: upgrade\r\n");
    assert_has(got, "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    assert_lacks(got, "content-length");
    assert_lacks(got, "chunked");
    assert_string_equal(w->body.base, "early");
    ht_exchange_body(w->x, &(struct iovec){"down", 4}, 1);
    assert_string_equal(talk("up"), "down");
    assert_string_equal(w->body.base, "earlyup");
    shutdown(w->peer, SHUT_WR);
    talk("");
    assert_string_equal(w->log.base, "/late end ");
    assert_int_equal(w->num_closed, 0);
    ht_exchange_body(w->x, &(struct iovec){"bye", 3}, 1);
    ht_exchange_end(w->x, NULL);
    assert_string_equal(talk(""), "bye");
    assert_true(w->is_eof);
    assert_int_equal(w->why, HT_CLOSE_DONE);
    assert_int_equal(w->num_conn_closed, 1);
}

static void a_client_that_ended_before_the_tunnel_has_ended_in_it(void **state)
{
    talk(UPGRADE "early");
    shutdown(w->peer, SHUT_WR);
    talk("");
    ht_exchange_head(w->x, 101, NULL, -1);
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "early");
    assert_string_equal(w->log.base, "/late end ");
    ht_exchange_end(w->x, NULL);
    talk("");
    assert_int_equal(w->num_conn_closed, 1);
}

static void a_client_that_ended_without_a_byte_is_told_too(void **state)
{
    talk(UPGRADE);
    shutdown(w->peer, SHUT_WR);
    talk("");
    ht_exchange_head(w->x, 101, NULL, -1);
    talk("");
    assert_string_equal(w->log.base, "/late "); /* not before it is asked for */
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->log.base, "/late end ");
    ht_exchange_end(w->x, NULL);
}

static void a_tunnel_obeys_back_pressure(void **state)
{
    talk(UPGRADE);
    ht_exchange_head(w->x, 101, NULL, -1);
    talk("abc");
    assert_int_equal(w->body.len, 0);
    w->take = 2;
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "ab");
    shutdown(w->peer, SHUT_WR);
    talk("");
    assert_string_equal(w->log.base, "/late ");
    ht_exchange_resume(w->x);
    talk("");
    assert_string_equal(w->body.base, "abc");
    assert_string_equal(w->log.base, "/late end ");
    ht_exchange_end(w->x, NULL);
}

static void a_refused_upgrade_stays_http(void **state)
{
    talk(UPGRADE "GET /hello HTTP/1.1\r\n" H "\r\n");
    answer(w->x, 403, "no");
    talk("");
    assert_has(w->got.base, "HTTP/1.1 403 ");
    assert_has(w->got.base, "hello");
}

static void a_101_nobody_asked_for_is_an_abort(void **state)
{
    talk("GET /late HTTP/1.1\r\n" H "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
    ht_exchange_head(w->x, 101, NULL, -1);
    talk("");
    assert_string_equal(w->got.base, "");
    assert_true(w->is_eof);
    assert_int_equal(w->why, HT_CLOSE_ABORTED);
}

static void nothing_is_read_behind_a_refused_connect(void **state)
{
    talk("CONNECT b.example:443 HTTP/1.1\r\n" H "\r\nGET /meant-for-the-tunnel HTTP/1.1\r\n" H "\r\n");
    answer(w->x, 405, "no");
    talk("");
    assert_has(w->got.base, "405");
    assert_has(w->got.base, "connection: close\r\n");
    assert_true(w->is_eof);
    assert_int_equal(w->conn->num_requests, 1);
}

static void connect_becomes_a_tunnel_on_success(void **state)
{
    talk("CONNECT b.example:443 HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 101, NULL, -1);
    ht_exchange_resume(w->x);
    talk("raw\r\n\r\n");
    assert_has(w->got.base, "HTTP/1.1 200 OK\r\n");
    assert_lacks(w->got.base, "upgrade");
    assert_lacks(w->got.base, "content-length");
    assert_string_equal(w->body.base, "raw\r\n\r\n");
    ht_exchange_end(w->x, NULL);
    talk("");
    assert_true(w->is_eof);
    shutdown(w->peer, SHUT_WR);
    talk("");
    assert_int_equal(w->why, HT_CLOSE_DONE);
}

/* ---- clocks ---- */

static uint64_t fake_ms;

static void start_clock(void)
{
    fake_ms = clock_mono_ms();
    clock_fake(fake_ms * 1000, 1700000000000000);
    turns();
}

static void pass(unsigned ms)
{
    fake_ms += ms;
    clock_fake(fake_ms * 1000, 1700000000000000 + (int64_t)fake_ms * 1000);
    turns();
}

static void a_dripping_head_is_408_at_its_deadline(void **state)
{
    start_clock();
    talk("GET /hello HTTP/1.1\r\n" H);
    for (int i = 0; i < 9; i++) {
        pass(1000);
        assert_string_equal(talk("X: y\r\n"), "");
    }
    pass(1001);
    assert_has(talk(""), "HTTP/1.1 408 ");
    assert_true(w->is_eof);
    assert_int_equal(w->bad_status, 408);
}

static void a_silent_connection_is_closed(void **state)
{
    start_clock();
    pass(9000);
    talk("");
    assert_false(w->is_eof);
    pass(1001);
    talk("");
    assert_true(w->is_eof);
    assert_int_equal(w->got.len, 0);
}

static void an_idle_connection_is_closed(void **state)
{
    start_clock();
    talk("GET /hello HTTP/1.1\r\n" H "\r\n");
    for (int i = 0; i < 3; i++) {
        pass(74 * 1000);
        assert_has(talk("GET /hello HTTP/1.1\r\n" H "\r\n"), "hello");
    }
    pass(75 * 1000 + 1);
    talk("");
    assert_true(w->is_eof);
    assert_int_equal(w->num_bad, 0);
}

static void a_stalled_body_is_408(void **state)
{
    start_clock();
    talk("POST /post HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nab");
    pass(59 * 1000);
    talk("c");
    pass(59 * 1000);
    talk("");
    assert_int_equal(w->num_closed, 0);
    pass(1001);
    assert_has(talk(""), "HTTP/1.1 408 ");
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_BODY);
    assert_true(w->is_eof);
}

static void a_body_nobody_asks_for_has_no_clock(void **state)
{
    start_clock();
    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nab");
    pass(3600 * 1000);
    talk("");
    assert_int_equal(w->num_closed, 0);
    answer(w->x, 200, "x");
    assert_has(talk(""), "200 OK");
}

static void a_request_has_its_time_however_it_drips(void **state)
{
    w->limits.request_timeout_ms = 5000;
    start_clock();
    talk("POST /post HTTP/1.1\r\n" H);
    pass(1500);
    talk("Content-Length: 100\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        pass(1000);
        assert_string_equal(talk("a"), "");
    }
    pass(501);
    assert_has(talk(""), "HTTP/1.1 408 ");
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_BODY);
    assert_true(w->is_eof);
}

static void a_request_nobody_reads_has_its_time_too(void **state)
{
    w->limits.request_timeout_ms = 5000;
    start_clock();
    talk("POST /late HTTP/1.1\r\n" H "Content-Length: 100\r\n\r\nab");
    pass(5001);
    assert_has(talk(""), "HTTP/1.1 408 ");
}

static void a_request_that_is_whole_or_answered_has_no_clock(void **state)
{
    w->limits.request_timeout_ms = 5000;
    start_clock();
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    pass(3600 * 1000);
    answer(w->x, 200, "late");
    assert_has(talk(""), "late");
    assert_has(talk("POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nab"), "200 OK");
    pass(50 * 1000);
    assert_has(talk("cd"), "cd");
    assert_int_equal(w->why, HT_CLOSE_DONE);
}

static void an_exchange_that_stands_still_is_ended(void **state)
{
    w->limits.stream_idle_timeout_ms = 5000;
    start_clock();
    talk("GET /hello HTTP/1.1\r\n" H "\r\n");
    pass(60 * 1000); /* between requests it is the other clock */
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    pass(4999);
    assert_int_equal(w->num_closed, 1);
    pass(2);
    assert_has(talk(""), "HTTP/1.1 408 ");
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_IDLE);
    assert_true(w->is_eof);
}

static void what_moves_in_either_direction_goes_on(void **state)
{
    struct iovec iov = {"x", 1};

    w->limits.stream_idle_timeout_ms = 5000;
    start_clock();
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    for (int i = 0; i < 4; i++) {
        ht_exchange_body(w->x, &iov, 1);
        talk("");
        pass(4000);
    }
    assert_int_equal(w->num_closed, 0);
    pass(1001);
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_IDLE);
}

static void a_tunnel_that_stands_still_is_ended(void **state)
{
    w->limits.tunnel_idle_timeout_ms = 5000;
    start_clock();
    talk("GET /late HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    ht_exchange_head(w->x, 101, NULL, -1);
    ht_exchange_resume(w->x);
    talk("");
    for (int i = 0; i < 3; i++) {
        pass(4000);
        talk("ping");
    }
    assert_int_equal(w->num_closed, 0);
    pass(5001);
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_IDLE);
}

static void a_reader_that_stops_is_cut_off(void **state)
{
    static char block[65536];
    struct iovec iov = {block, sizeof(block)};

    start_clock();
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    while (ht_exchange_body(w->x, &iov, 1))
        ;
    turns();
    pass(59 * 1000);
    assert_int_equal(w->num_closed, 0);
    pass(1001);
    assert_int_equal(w->why, HT_CLOSE_TIMEOUT_WRITE);
}

static void an_undrained_body_has_an_absolute_clock(void **state)
{
    start_clock();
    talk("POST /hello HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        pass(1000);
        talk("a");
    }
    assert_false(w->is_eof);
    pass(1001);
    talk("");
    assert_true(w->is_eof);
}

static void a_running_exchange_has_no_idle_clock(void **state)
{
    start_clock();
    talk("GET /hello HTTP/1.1\r\n" H "\r\n");
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    pass(3600 * 1000);
    assert_int_equal(w->num_closed, 1);
    answer(w->x, 200, "late");
    assert_has(talk(""), "late");
    assert_false(w->is_eof);
    pass(76 * 1000);
    talk("");
    assert_true(w->is_eof);
}

static void a_half_closed_client_is_not_waited_for_for_ever(void **state)
{
    start_clock();
    talk("GET /late HTTP/1.1\r\n" H "\r\n");
    ht_exchange_head(w->x, 200, NULL, -1);
    talk("");
    shutdown(w->peer, SHUT_WR);
    talk("");
    pass(59 * 1000);
    ht_exchange_body(w->x, &(struct iovec){"abc", 3}, 1);
    talk("");
    pass(59 * 1000);
    assert_int_equal(w->num_closed, 0);
    pass(1001);
    assert_int_equal(w->num_closed, 1);
    assert_int_equal(w->why, HT_CLOSE_PEER_RESET);
}

static void an_http2_preface_cut_short_is_closed(void **state)
{
    start_clock();
    talk("PRI * HTTP/2.0\r\n");
    pass(10 * 1000 + 1);
    talk("");
    assert_true(w->is_eof);
}

static void first_bytes_go_in_front(void **state)
{
    int fds[2];

    talk("GET /hello HTTP/1.1\r\nConnection: close\r\n" H "\r\n");
    shutdown(w->peer, SHUT_WR);
    turns();
    assert_int_equal(w->num_conn_closed, 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    close(w->peer);
    w->peer = fds[0];
    w->is_eof = false;
    w->num_conn_closed = 0;
    w->conn = ht_server_accept(w->worker, fds[1], NULL, &handler, &w->limits, NULL, on_conn_closed,
                               SLICE("GET /hel"));
    assert_has(talk("lo HTTP/1.1\r\n" H "\r\n"), "hello");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_gets_its_answer_and_the_connection_stays),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(the_next_request_waits_for_the_running_one),
        TEST(bytes_one_by_one_make_the_same_request),
        TEST(trailers_reach_the_handler),
        TEST(bodies_are_left_out_where_none_may_be),
        TEST(http10_closes_unless_asked),
        TEST(http10_gets_unknown_lengths_until_close),
        TEST(unknown_lengths_are_chunked_with_trailers_where_wanted),
        TEST(a_head_alone_is_flushed),
        TEST(interim_answers_go_to_http11_only),
        TEST(engine_fields_of_the_handler_are_left_out),
        TEST(continue_is_sent_when_the_body_is_wanted),
        TEST(a_final_answer_instead_of_continue_closes),
        TEST(bad_heads_are_answered_reported_and_closed),
        TEST(a_long_target_is_414),
        TEST(a_long_header_is_431),
        TEST(a_megabyte_header_is_431),
        TEST(many_headers_are_431),
        TEST(a_hundred_headers_pass),
        TEST(an_announced_long_body_is_413),
        TEST(a_streamed_long_body_is_413),
        TEST(a_bad_chunk_is_400_and_the_end),
        TEST(a_bad_chunk_after_the_head_only_closes),
        TEST(long_trailers_are_refused),
        TEST(a_body_waits_until_it_is_wanted),
        TEST(resuming_inside_on_body_goes_on),
        TEST(resuming_without_taking_does_not_spin),
        TEST(an_unwanted_body_stays_with_the_client),
        TEST(a_slow_reader_stops_the_writer),
        TEST(the_rest_of_a_small_body_is_swallowed),
        TEST(a_large_rest_closes),
        TEST(an_endless_rest_closes),
        TEST(a_bad_rest_closes),
        TEST(a_client_gone_in_the_body_is_a_reset),
        TEST(a_client_gone_before_its_body_is_wanted_is_seen_then),
        TEST(a_half_closed_client_gets_its_answers),
        TEST(an_aborted_answer_is_cut_off),
        TEST(too_few_bytes_are_an_abort),
        TEST(too_many_bytes_are_an_abort),
        TEST(the_handler_may_close_in_any_callback),
        TEST(draining_closes_idle_connections_and_says_so_on_busy_ones),
        TEST(draining_answers_what_a_new_client_is_about_to_ask),
        TEST(connections_end_after_their_share),
        TEST(connection_close_is_obeyed),
        TEST(a_websocket_becomes_a_tunnel),
        TEST(a_client_that_ended_before_the_tunnel_has_ended_in_it),
        TEST(a_client_that_ended_without_a_byte_is_told_too),
        TEST(a_tunnel_obeys_back_pressure),
        TEST(a_refused_upgrade_stays_http),
        TEST(a_101_nobody_asked_for_is_an_abort),
        TEST(nothing_is_read_behind_a_refused_connect),
        TEST(connect_becomes_a_tunnel_on_success),
        TEST(a_dripping_head_is_408_at_its_deadline),
        TEST(a_silent_connection_is_closed),
        TEST(an_idle_connection_is_closed),
        TEST(a_stalled_body_is_408),
        TEST(a_request_has_its_time_however_it_drips),
        TEST(a_request_nobody_reads_has_its_time_too),
        TEST(a_request_that_is_whole_or_answered_has_no_clock),
        TEST(an_exchange_that_stands_still_is_ended),
        TEST(what_moves_in_either_direction_goes_on),
        TEST(a_tunnel_that_stands_still_is_ended),
        TEST(a_body_nobody_asks_for_has_no_clock),
        TEST(a_reader_that_stops_is_cut_off),
        TEST(an_undrained_body_has_an_absolute_clock),
        TEST(a_running_exchange_has_no_idle_clock),
        TEST(a_half_closed_client_is_not_waited_for_for_ever),
        TEST(an_http2_preface_cut_short_is_closed),
        TEST(first_bytes_go_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

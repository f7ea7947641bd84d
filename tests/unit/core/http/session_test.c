/* Against a small server of our own on another worker's thread, which answers as the path says. */
#include "core/http/session_private.h"

#include "core/base/clock.h"
#include "core/base/strbuf.h"
#include "core/net/listen.h"
#include "core/net/tls_context.h"
#include "tests/unit/lib/certs.h"
#include "tests/unit/lib/net_probe.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- the server ---- */

struct visitor {
    struct net_io io;
    struct strbuf in;
    unsigned num_asked;
    struct timer end_timer;
    struct net_post free_post;
    struct list link;
};

static struct net_worker *server_worker;
static struct list visitors = LIST_INIT(visitors);
static struct net_tls_server *tls, *h2_tls;
static struct test_cert ca, cert, client_cert;

static void free_visitor(struct net_post *post)
{
    struct visitor *visitor = CONTAINER_OF(post, struct visitor, free_post);
    list_remove(&visitor->link);
    strbuf_clear(&visitor->in);
    free(visitor);
}

static void leave(struct net_io *io)
{
    timer_stop(&CONTAINER_OF(io, struct visitor, io)->end_timer);
    net_io_close(io);
    net_post(io->worker, &CONTAINER_OF(io, struct visitor, io)->free_post);
}

static void say(struct net_io *io, const char *text)
{
    net_io_write(io, &(struct iovec){(char *)text, strlen(text)}, 1);
}

static void on_end_timer(struct timer *timer)
{
    net_io_shutdown(&CONTAINER_OF(timer, struct visitor, end_timer)->io);
}

static void say_many(struct net_io *io, size_t len)
{
    char *bytes = xcalloc(1, len);
    memset(bytes, 'x', len);
    net_io_write(io, &(struct iovec){bytes, len}, 1);
    free(bytes);
}

static void answer(struct visitor *visitor)
{
    struct net_io *io = &visitor->io;
    const char *in = visitor->in.base;
    char text[256];

    visitor->num_asked++;
    if (strncmp(in, "GET /hello ", 11) == 0 || (strncmp(in, "GET /late-to-close ", 19) == 0 && visitor->num_asked == 1)) {
        say(io, "HTTP/1.1 200 OK\r\nX-Word:  a b \r\nContent-Length: 5\r\n\r\nhello");
    } else if (strncmp(in, "GET /hello-and-close ", 21) == 0) {
        say(io, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"); /* and nothing of Connection: close */
        net_io_shutdown(io);
    } else if (strncmp(in, "GET /late-to-close ", 19) == 0) {
        timer_start(&io->worker->timers, &visitor->end_timer, net_now_ms(io->worker) + 1100);
    } else if (strncmp(in, "PUT /echo ", 10) == 0) {
        const char *body = strstr(in, "\r\n\r\n") + 4;
        bool has_word = strstr(in, "\r\nx-word: yes\r\n") != NULL && strstr(in, "Expect:") == NULL;
        snprintf(text, sizeof(text), "HTTP/1.1 201 Created\r\nContent-Length: %zu\r\n\r\n", strlen(body) + has_word);
        say(io, text);
        say(io, body);
        say(io, has_word ? "+" : "");
    } else if (strncmp(in, "GET /moved ", 11) == 0) {
        say(io, "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n");
    } else if (strncmp(in, "GET /large", 10) == 0) {
        say(io, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        say_many(io, 100000);
    } else if (strncmp(in, "GET /stream ", 12) == 0) {
        say(io, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent1\r\n");
        say(io, "6\r\nevent2\r\n0\r\n\r\n");
    } else if (strncmp(in, "GET /endless ", 13) == 0) {
        say(io, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent1\r\n");
    } else if (strncmp(in, "GET /flood ", 11) == 0) {
        say(io, "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
        say_many(io, 8388608);
    } else if (strncmp(in, "GET /denied ", 12) == 0) {
        say(io, "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope");
    } else if (strncmp(in, "GET /who ", 9) == 0) {
        char *id = io->ssl != NULL ? net_tls_peer_spiffe_id(io->ssl) : NULL;
        snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(id != NULL ? id : "-"),
                 id != NULL ? id : "-");
        say(io, text);
        free(id);
    } else if (strncmp(in, "GET /silent", 11) != 0) {
        say(io, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }
    strbuf_reset(&visitor->in);
}

/* A request is whole with its head, and with "END" where it has a body. */
static size_t on_read(struct net_io *io, const char *bytes, size_t len)
{
    struct visitor *visitor = CONTAINER_OF(io, struct visitor, io);

    strbuf_add(&visitor->in, bytes, len);
    if (strstr(visitor->in.base, "\r\n\r\n") == NULL)
        return len;
    if (visitor->in.base[0] != 'P' || strstr(visitor->in.base, "END") != NULL)
        answer(visitor);
    return len;
}

static void on_error(struct net_io *io, const char *why)
{
    leave(io);
}

static void ignore(struct net_io *io)
{
}

static const struct net_io_ops visitor_ops = {on_read, leave, ignore, on_error, ignore};

static atomic_uint num_accepted;

static bool on_accept(struct net_listener *listener, int fd)
{
    atomic_fetch_add(&num_accepted, 1);
    struct visitor *visitor = xcalloc(1, sizeof(*visitor));

    net_post_init(&visitor->free_post, free_visitor);
    timer_init(&visitor->end_timer, on_end_timer);
    list_push(&visitors, &visitor->link);
    net_io_init_server(&visitor->io, listener->worker, fd, listener->data, &visitor_ops);
    return true;
}

/* Over HTTP/2, by an engine of ours, on the session's own loop: an answer that names the version, a stream that never ends. */

static struct list h2_conns = LIST_INIT(h2_conns);

static void on_h2_request(struct ht_exchange *x)
{
    bool is_endless = slice_is(x->target, "/endless");
    char text[16];
    snprintf(text, sizeof(text), "version %x", x->version);
    ht_exchange_head(x, 200, NULL, is_endless ? -1 : (int64_t)strlen(text));
    (void)ht_exchange_body(x, &(struct iovec){text, strlen(text)}, 1);
    if (!is_endless)
        ht_exchange_end(x, NULL);
}

static void on_h2_close(struct ht_exchange *x, enum ht_close why)
{
}

static const struct ht_handler h2_handler = {.on_request = on_h2_request, .on_close = on_h2_close};

static bool on_h2_accept(struct net_listener *listener, int fd)
{
    atomic_fetch_add(&num_accepted, 1);
    struct ht_server_conn *conn = ht_server_accept(listener->worker, fd, listener->data, &h2_handler, &ht_limits_default, NULL, NULL);
    list_push(&h2_conns, &conn->link);
    return true;
}

/* ---- calls ---- */

static char plain_url[80], tls_url[80], unix_path[64];
static struct net_listener *listeners[3];
static char *ca_pem, *client_pem, *client_key; /* copies for the main thread */

static unsigned num_done;
static struct strbuf body, chunks, word;
static unsigned status;
static struct err last_err;

static void on_done(void *data, const struct ht_response *response, const struct err *err)
{
    const struct ht_header *header = ht_headers_find(response->headers, SLICE("x-word"));
    num_done++;
    status = response->status;
    strbuf_reset(&body);
    strbuf_reset(&word);
    strbuf_add_slice(&body, response->body);
    if (header != NULL)
        strbuf_add_slice(&word, header->value);
}

static void on_piece(void *data, struct slice bytes)
{
    strbuf_add_slice(&chunks, bytes);
}

static void call_to(struct ht_session_config server, struct ht_request request, ht_piece_cb piece_cb)
{
    num_done = status = 0;
    strbuf_reset(&chunks);
    last_err = ERR_INIT;
    int ret = ht_call_once(&server, &request, piece_cb, NULL, on_done, NULL, &last_err);
    assert_int_equal(num_done, ret == 0);
}

static void call(struct ht_request request, ht_piece_cb piece_cb)
{
    call_to((struct ht_session_config){.url = plain_url}, request, piece_cb);
}

static void get(const char *path)
{
    call((struct ht_request){.target = path}, NULL);
}

static int setup(void **state)
{
    char name[64];
    int fd;
    static const char *dns[] = {"localhost", NULL}, *ips[] = {"127.0.0.1", NULL}, *uris[] = {"spiffe://td/me", NULL};

    test_cert_make(&ca, NULL, &(struct test_cert_spec){.is_ca = true});
    test_cert_make(&cert, &ca, &(struct test_cert_spec){.dns = dns, .ips = ips, .common_name = "server"});
    test_cert_make(&client_cert, &ca, &(struct test_cert_spec){.uris = uris, .common_name = "client"});
    ca_pem = xstrdup(ca.cert_pem);
    client_pem = xstrdup(client_cert.cert_pem);
    client_key = xstrdup(client_cert.key_pem);
    struct net_tls_pair pair = {slice_of(cert.cert_pem), slice_of(cert.key_pem), "server"};
    struct net_tls_host host = {"", &pair, 1};
    tls = net_tls_server_new(&(struct net_tls_server_config){.name = "l",
                                                             .hosts = &host,
                                                             .num_hosts = 1,
                                                             .alpn = NET_TLS_ALPN_HTTP1,
                                                             .client_ca_pem = slice_of(ca.cert_pem),
                                                             .client_cert_optional = true},
                             NULL);
    assert_non_null(tls);
    h2_tls = net_tls_server_new(&(struct net_tls_server_config){.name = "h2", .hosts = &host, .num_hosts = 1}, NULL);
    assert_non_null(h2_tls);
    server_worker = net_worker_new(1, 0, 0);
    fd = net_listen_text("127.0.0.1:0", NULL, NULL);
    net_listen_name(fd, name, sizeof(name));
    snprintf(plain_url, sizeof(plain_url), "http://%s", name);
    listeners[0] = net_listener_new(server_worker, fd, on_accept, NULL);
    fd = net_listen_text("127.0.0.1:0", NULL, NULL);
    net_listen_name(fd, name, sizeof(name));
    snprintf(tls_url, sizeof(tls_url), "https://%s", name);
    listeners[1] = net_listener_new(server_worker, fd, on_accept, net_tls_server_ctx(tls));
    snprintf(unix_path, sizeof(unix_path), "unix:/tmp/sv_call_%d.sock", getpid());
    fd = net_listen_text(unix_path, NULL, NULL);
    listeners[2] = net_listener_new(server_worker, fd, on_accept, NULL);
    return net_worker_start_thread(server_worker, "server");
}

static int teardown(void **state)
{
    net_worker_stop(server_worker);
    net_worker_join(server_worker);
    for (size_t i = 0; i < ARRAY_LEN(listeners); i++)
        net_listener_close(listeners[i]);
    LIST_FOR(visitor, &visitors, struct visitor, link)
    leave(&visitor->io);
    net_worker_free(server_worker);
    unlink(unix_path + 5);
    net_tls_server_unref(tls);
    net_tls_server_unref(h2_tls);
    test_cert_clear(&ca);
    test_cert_clear(&cert);
    test_cert_clear(&client_cert);
    free(ca_pem);
    free(client_pem);
    free(client_key);
    strbuf_clear(&body);
    strbuf_clear(&chunks);
    strbuf_clear(&word);
    return 0;
}

static void an_answer_arrives_with_its_head(void **state)
{
    get("/hello");
    assert_int_equal(status, 200);
    assert_string_equal(body.base, "hello");
    assert_string_equal(word.base, "a b");
    get("/elsewhere");
    assert_int_equal(status, 404);
}

static void any_method_headers_and_body(void **state)
{
    static const char *headers[] = {"X-Word: yes", "content-type: text/plain", NULL};

    call((struct ht_request){.method = "PUT", .target = "/echo", .headers = headers, .body = SLICE("some END")}, NULL);
    assert_int_equal(status, 201);
    assert_string_equal(body.base, "some END+");
}

static void a_body_larger_than_all_buffers_arrives(void **state)
{
    struct strbuf large = STRBUF_INIT;
    for (size_t i = 0; i < (3 << 20); i++)
        strbuf_addc(&large, "abcdefg"[i % 7]);
    strbuf_adds(&large, "END");
    call((struct ht_request){.method = "PUT", .target = "/echo", .body = strbuf_slice(&large)}, NULL);
    assert_int_equal(status, 201);
    assert_true(slice_eq(strbuf_slice(&body), strbuf_slice(&large)));
    strbuf_clear(&large);
}

static void redirects_are_not_followed(void **state)
{
    get("/moved");
    assert_int_equal(status, 302);
}

static void too_large_an_answer_fails(void **state)
{
    call((struct ht_request){.target = "/large?secret=1", .max_body = 99999}, NULL);
    assert_int_equal(status, 0);
    assert_int_equal(last_err.code, ERR_TOO_LARGE);
    assert_null(strstr(last_err.text, "secret"));
    assert_non_null(strstr(last_err.text, "/large: the answer is too large"));
    call((struct ht_request){.target = "/large", .max_body = 100000}, NULL);
    assert_int_equal(body.len, 100000);
}

static void a_stream_comes_in_pieces_and_a_refusal_as_a_body(void **state)
{
    call((struct ht_request){.target = "/stream"}, on_piece);
    assert_int_equal(status, 200);
    assert_string_equal(chunks.base, "event1event2");
    assert_int_equal(body.len, 0);
    call((struct ht_request){.target = "/denied"}, on_piece);
    assert_int_equal(status, 403);
    assert_string_equal(body.base, "nope");
    assert_int_equal(chunks.len, 0);
}

static void a_flood_arrives_whole(void **state)
{
    call((struct ht_request){.target = "/flood"}, on_piece);
    assert_int_equal(status, 200);
    assert_int_equal(chunks.len, 8388608);
}

static void time_runs_out(void **state)
{
    call((struct ht_request){.target = "/silent", .timeout_ms = 50}, NULL);
    assert_int_equal(last_err.code, ERR_TIMEOUT);
    assert_non_null(strstr(last_err.text, "/silent: no answer within 50 ms"));
}

/* A port that takes connections and never says a word: TLS does not come about. */
static void a_handshake_that_hangs_is_ended(void **state)
{
    char name[64], url[80];
    int fd = net_listen_text("127.0.0.1:0", NULL, NULL);
    net_listen_name(fd, name, sizeof(name));
    snprintf(url, sizeof(url), "https://%s", name);
    call_to((struct ht_session_config){.url = url, .insecure = true, .connect_timeout_ms = 50}, (struct ht_request){.target = "/"}, NULL);
    assert_int_equal(status, 0);
    assert_true(last_err.code == ERR_TIMEOUT || strstr(last_err.text, "timed out") != NULL);
    close(fd);
}

static void refuse_url(const char *url)
{
    call_to((struct ht_session_config){.url = url}, (struct ht_request){.target = "/"}, NULL);
    assert_int_equal(last_err.code, ERR_INVALID);
    assert_null(strstr(last_err.text, "pass"));
}

static void only_http_urls(void **state)
{
    refuse_url("file:///etc/hosts");
    refuse_url("nonsense://x");
    refuse_url("/x");
    refuse_url("http://");
    refuse_url("http://127.0.0.1:99999");
    refuse_url("http://127.0.0.1/?a=b");
    refuse_url("http://user:pass@127.0.0.1:1/x");
}

static void a_path_in_the_url_goes_in_front(void **state)
{
    char url[100];
    snprintf(url, sizeof(url), "%s/hel", plain_url);
    call_to((struct ht_session_config){.url = url}, (struct ht_request){.target = "lo"}, NULL);
    assert_string_equal(body.base, "hello");
}

static void names_are_looked_up_and_who_is_missing_is_named(void **state)
{
    char url[100];
    snprintf(url, sizeof(url), "http://localhost%s", strrchr(plain_url, ':'));
    call_to((struct ht_session_config){.url = url}, (struct ht_request){.target = "/hello"}, NULL); /* on 127.0.0.1 only */
    assert_string_equal(body.base, "hello");
    int fd = net_listen_text("127.0.0.1:0", NULL, NULL);
    net_listen_name(fd, url, sizeof(url));
    close(fd);
    char gone[120], expected[160];
    snprintf(gone, sizeof(gone), "http://%s", url);
    snprintf(expected, sizeof(expected), "connect to %s: Connection refused", url);
    call_to((struct ht_session_config){.url = gone}, (struct ht_request){.target = "/x"}, NULL);
    assert_int_equal(last_err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(last_err.text, expected));
}

static void a_unix_socket_is_reached(void **state)
{
    call_to((struct ht_session_config){.url = "http://localhost", .unix_path = unix_path + 5}, (struct ht_request){.target = "/hello"}, NULL);
    assert_string_equal(body.base, "hello");
    call_to((struct ht_session_config){.url = "http://localhost", .unix_path = "/nonexistent.sock"}, (struct ht_request){.target = "/hello"}, NULL);
    assert_int_equal(last_err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(last_err.text, "/nonexistent.sock: No such file or directory"));
}

static void servers_are_verified(void **state)
{
    struct ht_request request = {.target = "/hello"};
    char url[100];

    call_to((struct ht_session_config){.url = tls_url}, request, NULL);
    assert_int_equal(last_err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(last_err.text, "certificate"));
    assert_int_equal(status, 0);
    snprintf(url, sizeof(url), "https://localhost%s", strrchr(tls_url, ':')); /* and nobody is at [::1] */
    call_to((struct ht_session_config){.url = url}, request, NULL);
    assert_non_null(strstr(last_err.text, "certificate"));
    call_to((struct ht_session_config){.url = tls_url, .ca_pem = slice_of(ca_pem)}, request, NULL);
    assert_int_equal(status, 200);
    call_to((struct ht_session_config){.url = tls_url, .insecure = true}, request, NULL);
    assert_int_equal(status, 200);
    snprintf(url, sizeof(url), "https://127.0.0.2%s", strrchr(tls_url, ':')); /* reached as well, but not in the certificate */
    call_to((struct ht_session_config){.url = url, .ca_pem = slice_of(ca_pem)}, request, NULL);
    assert_int_equal(status, 0);
    call_to((struct ht_session_config){.url = tls_url, .ca_file = "/nonexistent.pem"}, request, NULL);
    assert_int_equal(last_err.code, ERR_NOT_FOUND);
    call_to((struct ht_session_config){.url = tls_url, .ca_pem = SLICE("no certificate")}, request, NULL);
    assert_int_equal(status, 0);
}

static void a_client_certificate_is_shown(void **state)
{
    struct ht_session_config server = {.url = tls_url, .ca_pem = slice_of(ca_pem)};

    call_to(server, (struct ht_request){.target = "/who"}, NULL);
    assert_string_equal(body.base, "-");
    server.cert_pem = slice_of(client_pem);
    server.key_pem = slice_of(client_key);
    call_to(server, (struct ht_request){.target = "/who"}, NULL);
    assert_string_equal(body.base, "spiffe://td/me");
}

static bool never(void *data)
{
    return false;
}

static void a_call_goes_on_as_long_as_it_is_wanted(void **state)
{
    struct ht_session_config server = {.url = plain_url};
    struct ht_request request = {.target = "/endless"};
    struct err err = ERR_INIT;

    assert_int_equal(ht_call_once(&server, &request, on_piece, never, on_done, NULL, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "/endless: interrupted"));
}

/* ---- a session ---- */

static struct ht_session *session;
static unsigned num_hellos, num_cut;

static void on_hello(void *data, const struct ht_response *response, const struct err *err);

static void send_beside(const char *path)
{
    ht_session_send(session, &(struct ht_request){.target = path}, on_hello, NULL);
}

static void on_hello(void *data, const struct ht_response *response, const struct err *err)
{
    if (response == NULL) {
        assert_int_equal(err->code, ERR_UNAVAILABLE);
        num_cut++;
        return;
    }
    assert_string_equal(response->body.base, "hello");
    send_beside(++num_hellos < 3 ? "/hello" : "/silent");
}

static void on_stream_piece(void *data, struct slice bytes)
{
    send_beside("/hello");
}

static bool until_the_last_is_asked(void *data)
{
    return num_hellos < 3;
}

static void calls_beside_a_stream_keep_their_connection_and_end_with_it(void **state)
{
    struct ht_request endless = {.target = "/endless"};
    struct err err = ERR_INIT;
    get("/hello"); /* connections of the tests before wait in front of it */
    unsigned before = atomic_load(&num_accepted);

    session = ht_session_new(&(struct ht_session_config){.url = plain_url}, NULL);
    assert_int_equal(ht_session_wait(session, &endless, on_stream_piece, until_the_last_is_asked, on_done, NULL, &err), -1);
    assert_int_equal(num_hellos, 3);
    assert_int_equal(num_cut, 1);
    assert_int_equal(atomic_load(&num_accepted) - before, 2); /* HTTP/1.1: one for the stream, one for all the others */
    ht_session_free(session);
}

static unsigned num_beside;

static void on_beside(void *data, const struct ht_response *response, const struct err *err)
{
    assert_non_null(response);
    assert_string_equal(response->body.base, "version 200");
    num_beside++;
}

static void on_h2_piece(void *data, struct slice bytes)
{
    ht_session_send(session, &(struct ht_request){.target = "/hello"}, on_beside, NULL);
}

static bool until_one_was_answered(void *data)
{
    return num_beside == 0;
}

static void over_http2_all_share_a_connection(void **state)
{
    char name[64], url[80];
    int fd = net_listen_text("127.0.0.1:0", NULL, NULL);
    net_listen_name(fd, name, sizeof(name));
    snprintf(url, sizeof(url), "https://%s", name);
    struct ht_session_config server = {.url = url, .ca_pem = slice_of(ca_pem)};
    struct ht_request endless = {.target = "/endless"}, hello = {.target = "/hello"};
    struct err err = ERR_INIT;
    unsigned before = atomic_load(&num_accepted);

    session = ht_session_new(&server, &err);
    assert_non_null(session);
    struct net_listener *listener = net_listener_new(session->worker, fd, on_h2_accept, net_tls_server_ctx(h2_tls));
    assert_int_equal(ht_session_wait(session, &endless, on_h2_piece, until_one_was_answered, on_done, NULL, &err), -1);
    assert_int_equal(num_beside, 1);
    assert_int_equal(ht_session_wait(session, &hello, NULL, NULL, on_done, NULL, &err), 0);
    assert_string_equal(body.base, "version 200");
    assert_int_equal(atomic_load(&num_accepted) - before, 1);
    net_listener_close(listener);
    LIST_FOR_SAFE(conn, &h2_conns, struct ht_server_conn, link)
    ht_server_close(conn);
    ht_session_free(session);
}

/* The server closes what it was not asked on; the next call does not suffer from it. */
static void a_kept_connection_that_is_gone_is_replaced(void **state)
{
    struct ht_request request = {.target = "/hello-and-close"};
    struct err err = ERR_INIT;

    session = ht_session_new(&(struct ht_session_config){.url = plain_url}, NULL);
    for (int i = 0; i < 3; i++) {
        num_done = 0;
        assert_int_equal(ht_session_wait(session, &request, NULL, NULL, on_done, NULL, &err), 0);
        assert_string_equal(body.base, "hello");
    }
    ht_session_free(session);
}

/* The time to connect begins when a connection is sought, not with the call. */
static void a_kept_connection_that_ends_late_is_replaced_too(void **state)
{
    struct ht_request hello = {.target = "/hello"}, late = {.target = "/late-to-close"};
    struct err err = ERR_INIT;

    session = ht_session_new(&(struct ht_session_config){.url = plain_url, .connect_timeout_ms = 1000}, NULL);
    assert_int_equal(ht_session_wait(session, &hello, NULL, NULL, on_done, NULL, &err), 0);
    if (ht_session_wait(session, &late, NULL, NULL, on_done, NULL, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(body.base, "hello");
    ht_session_free(session);
}

static void what_was_sent_before_a_wait_that_never_came_is_told(void **state)
{
    num_cut = 0;
    session = ht_session_new(&(struct ht_session_config){.url = plain_url}, NULL);
    send_beside("/hello");
    ht_session_free(session);
    assert_int_equal(num_cut, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_arrives_with_its_head),
        cmocka_unit_test(any_method_headers_and_body),
        cmocka_unit_test(a_body_larger_than_all_buffers_arrives),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(too_large_an_answer_fails),
        cmocka_unit_test(a_stream_comes_in_pieces_and_a_refusal_as_a_body),
        cmocka_unit_test(a_flood_arrives_whole),
        cmocka_unit_test(time_runs_out),
        cmocka_unit_test(a_handshake_that_hangs_is_ended),
        cmocka_unit_test(only_http_urls),
        cmocka_unit_test(a_path_in_the_url_goes_in_front),
        cmocka_unit_test(names_are_looked_up_and_who_is_missing_is_named),
        cmocka_unit_test(a_unix_socket_is_reached),
        cmocka_unit_test(servers_are_verified),
        cmocka_unit_test(a_client_certificate_is_shown),
        cmocka_unit_test(a_call_goes_on_as_long_as_it_is_wanted),
        cmocka_unit_test(calls_beside_a_stream_keep_their_connection_and_end_with_it),
        cmocka_unit_test(over_http2_all_share_a_connection),
        cmocka_unit_test(a_kept_connection_that_is_gone_is_replaced),
        cmocka_unit_test(a_kept_connection_that_ends_late_is_replaced_too),
        cmocka_unit_test(what_was_sent_before_a_wait_that_never_came_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

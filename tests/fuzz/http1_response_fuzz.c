/* links: sv_http */
/* Responses: the parser alone, then the client engine against an upstream that says these bytes, in pieces.
 * The first byte chooses the request. */
#undef NDEBUG /* the asserts are the test */
#include "core/http/http1_parse.h"

#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_headers(const struct ht_headers *headers)
{
    for (uint32_t i = 0; i < headers->num; i++) {
        assert(ht_is_token(headers->at[i].name) && ht_is_field_value(headers->at[i].value));
        assert(headers->at[i].token == H2O_TOKEN_TE || !ht_is_hop_field(&headers->at[i]));
        assert(headers->at[i].token != H2O_TOKEN_CONTENT_LENGTH);
    }
}

static void fuzz_parser(const char *bytes, size_t len)
{
    struct ht1_scan scan = {0, 0, 0};
    ssize_t head_len = ht1_scan(&scan, bytes, len);
    struct ht1_response response;

    if (head_len <= 0)
        return;
    char *head = malloc((size_t)head_len);
    struct ht_header *fields = calloc(scan.num_lines + 1, sizeof(*fields));
    memcpy(head, bytes, (size_t)head_len);
    if (ht1_parse_response(head, (size_t)head_len, fields, &response) == HT1_OK) {
        assert(response.status >= 100 && response.status <= 599);
        assert(!(response.is_chunked && response.content_length >= 0));
        check_headers(&response.headers);
    }
    free(fields);
    free(head);
}

static struct ht_client_conn *conn;
static unsigned num_last; /* on_end or on_fail */

static void on_info(struct ht_call *call, unsigned status, const struct ht_headers *headers)
{
    assert(status >= 100 && status < 200 && status != 101);
    check_headers(headers);
}

static void on_head(struct ht_call *call)
{
    assert(call->status >= 101);
    check_headers(&call->headers);
}

static size_t on_body(struct ht_call *call, const char *bytes, size_t len)
{
    assert(len != 0);
    if (len % 3 == 0)
        ht_call_resume(call);
    return len > 2 ? len - 1 : len;
}

static void on_end(struct ht_call *call)
{
    ++num_last;
    check_headers(&call->trailers);
}

static void on_writable(struct ht_call *call)
{
}

static void on_fail(struct ht_call *call, enum ht_fail fail, const char *detail)
{
    ++num_last;
    assert(detail != NULL);
}

static void on_ready(struct ht_client_conn *ready)
{
}

static void on_gone(struct ht_client_conn *gone, enum ht_fail fail, const char *detail)
{
    conn = NULL;
}

static const struct ht_call_ops call_ops = {on_info, on_head, on_body, on_end, on_writable, on_fail};
static const struct ht_client_ops client_ops = {on_ready, NULL, on_gone};

static const struct sockaddr_un *listen_once(int *listener)
{
    static struct sockaddr_un addr = {.sun_family = AF_UNIX};
    static int fd = -1;

    if (fd < 0) {
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "selvedge-fuzz-%d", (int)getpid());
        if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 16) != 0)
            abort();
    }
    *listener = fd;
    return &addr;
}

static void choose_request(struct ht_call *call, uint8_t choice)
{
    call->method = (choice & 7) == 1 ? SLICE("HEAD") : (choice & 7) == 2 ? SLICE("CONNECT") : SLICE("GET");
    call->authority = SLICE("a.example:80");
    call->target = (choice & 7) == 2 ? SLICE("a.example:80") : SLICE("/");
    if ((choice & 7) == 3)
        call->upgrade = SLICE("websocket");
    call->request_length = -1;
    call->has_body = (choice & 7) == 4;
}

static void fuzz_engine(struct net_worker *worker, uint8_t choice, const char *bytes, size_t len)
{
    int listener;
    const struct sockaddr_un *addr = listen_once(&listener);
    struct ht_client_config config = {.protocol = HT_CLIENT_HTTP1, .max_head_bytes = 4096};
    struct ht_call call = {.ops = &call_ops};
    h2o_mem_pool_t pool;
    struct err err;
    size_t step = 1 + choice / 8 * 5u;

    h2o_mem_init_pool(&pool);
    call.pool = &pool;
    choose_request(&call, choice);
    num_last = 0;
    conn = ht_client_connect(worker, (const struct sockaddr *)addr, sizeof(*addr), &config, &client_ops, NULL,
                             &err);
    int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (conn == NULL || peer < 0)
        abort();
    ht_call_start(conn, &call);
    net_worker_turn(worker, 0);
    for (size_t at = 0; at < len; at += step) {
        if (send(peer, bytes + at, MIN(step, len - at), MSG_NOSIGNAL) <= 0)
            break;
        net_worker_turn(worker, 0);
        ht_call_resume(&call);
    }
    shutdown(peer, SHUT_WR);
    for (int i = 0; i < 10000 && num_last == 0; i++) {
        ht_call_resume(&call);
        net_worker_turn(worker, 0);
    }
    assert(num_last == 1);
    assert(call.conn == NULL);
    if (conn != NULL)
        ht_client_close(conn);
    close(peer);
    for (int i = 0; i < 4; i++)
        net_worker_turn(worker, 0);
    h2o_mem_clear_pool(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct net_worker *worker;

    if (worker == NULL)
        worker = net_worker_new(0, 0, 0);
    if (len < 1 || len > 8192)
        return 0;
    fuzz_parser((const char *)bytes + 1, len - 1);
    fuzz_engine(worker, bytes[0], (const char *)bytes + 1, len - 1);
    return 0;
}

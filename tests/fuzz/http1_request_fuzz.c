/* links: sv_http */
/* Requests: the parser alone, then the whole server engine over a socket pair, fed in pieces. */
#undef NDEBUG /* the asserts are the test */
#include "core/http/http1_parse.h"
#include "core/http/http1_write.h"

#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct ht_limits limits = {.max_head_bytes = 4096,
                                        .max_headers = 20,
                                        .max_target_bytes = 512,
                                        .max_trailer_bytes = 512,
                                        .max_body_bytes = 10000,
                                        .drain_body_bytes = 1000};

static void check_headers(const struct ht_headers *headers)
{
    for (uint32_t i = 0; i < headers->num; i++) {
        const struct ht_header *header = &headers->at[i];
        assert(ht_is_token(header->name) && ht_is_field_value(header->value));
        for (size_t j = 0; j < header->name.len; j++)
            assert(header->name.base[j] < 'A' || header->name.base[j] > 'Z');
        assert(header->token == h2o_lookup_token(header->name.base, header->name.len));
        assert(header->token == H2O_TOKEN_TE || !ht_is_hop_field(header));
        assert(!ht_is_dropped_field(header->name));
        assert(header->token != H2O_TOKEN_CONTENT_LENGTH && header->token != H2O_TOKEN_HOST);
    }
}

/* What would go upstream is read again, by ourselves, as the same request with one framing. */
static void check_forwarded(const struct ht1_request *request)
{
    size_t cap = request->method.len + request->target.len + request->authority.len +
                 ht1_fields_size(&request->headers) + 64;
    char *text = malloc(cap), *at = ht1_put_slice(text, request->method);
    struct ht_header *fields = calloc(request->headers.num + 3, sizeof(*fields));
    struct ht1_scan scan = {0, 0, 0};
    struct ht1_request again;

    at = HT1_PUT(at, " ");
    at = ht1_put_slice(at, request->target);
    at = HT1_PUT(at, " HTTP/1.1\r\nhost: ");
    at = ht1_put_slice(at, request->authority.len != 0 ? request->authority : SLICE("a"));
    at = HT1_PUT(at, "\r\n");
    at = ht1_put_fields(at, &request->headers);
    at = HT1_PUT(at, "\r\n");
    size_t len = (size_t)(at - text);
    assert(ht1_scan(&scan, text, len) == (ssize_t)len);
    assert(ht1_parse_request(text, len, &limits, false, fields, &again) == HT1_OK);
    assert(slice_eq(again.method, request->method) && slice_eq(again.target, request->target));
    assert(again.content_length == -1 && !again.is_chunked && again.keep_alive &&
           again.websocket_key.base == NULL);
    assert(again.headers.num <= request->headers.num); /* less by `te` */
    free(fields);
    free(text);
}

static void fuzz_parser(const uint8_t *bytes, size_t len)
{
    struct ht1_scan scan = {0, 0, 0}, dripping = {0, 0, 0};
    ssize_t head_len = ht1_scan(&scan, (const char *)bytes, len), found = 0;
    struct ht1_request request;

    for (size_t i = 1; i <= len && found == 0; i++)
        found = ht1_scan(&dripping, (const char *)bytes, i);
    assert(found == head_len);
    if (head_len <= 0)
        return;
    char *head = malloc((size_t)head_len);
    struct ht_header *fields = calloc(scan.num_lines + 1, sizeof(*fields));
    memcpy(head, bytes, (size_t)head_len);
    if (ht1_parse_request(head, (size_t)head_len, &limits, bytes[0] & 1, fields, &request) == HT1_OK) {
        assert(ht_is_token(request.method) && ht_is_target(request.target));
        assert(request.authority.len == 0 || ht_is_authority(request.authority));
        assert(request.version == HT_HTTP10 || request.authority.len != 0);
        assert(!(request.is_chunked && request.content_length >= 0));
        assert(request.headers.num < scan.num_lines + 1);
        check_headers(&request.headers);
        check_forwarded(&request);
    }
    free(fields);
    free(head);
}

static unsigned num_open;

static void on_request(struct ht_exchange *x)
{
    ++num_open;
    check_headers(&x->headers);
    ht_exchange_resume(x);
    if (!x->has_body) {
        ht_exchange_head(x, x->upgrade.base != NULL ? 101 : 200, NULL, 0);
        ht_exchange_end(x, NULL);
    }
}

static size_t on_body(struct ht_exchange *x, const char *bytes, size_t len)
{
    struct iovec iov = {(char *)bytes, len};

    ht_exchange_head(x, 200, NULL, -1);
    ht_exchange_body(x, &iov, 1);
    if (len > 100)
        ht_exchange_end(x, NULL);
    if (len > 3)
        ht_exchange_resume(x);
    return len > 3 ? len - 1 : len;
}

static void on_body_end(struct ht_exchange *x)
{
    check_headers(&x->trailers);
    ht_exchange_head(x, 204, NULL, -1);
    ht_exchange_end(x, &x->trailers);
}

static void on_writable(struct ht_exchange *x)
{
}

static void on_close(struct ht_exchange *x, enum ht_close why)
{
    --num_open;
}

static const struct ht_handler handler = {on_request, on_body, on_body_end, on_writable, on_close, NULL};
static unsigned num_conns;

static void on_closed(struct ht_server_conn *conn)
{
    --num_conns;
    assert(num_open == 0);
}

static void fuzz_engine(struct net_worker *worker, const uint8_t *bytes, size_t len)
{
    static char sink[65536];
    int fds[2];
    size_t step = len != 0 ? 1 + bytes[len - 1] % 97 : 1;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return;
    ++num_conns;
    ht_server_accept(worker, fds[1], NULL, &handler, &limits, NULL, on_closed);
    for (size_t at = 0; at < len; at += step) {
        if (send(fds[0], bytes + at, MIN(step, len - at), MSG_NOSIGNAL) <= 0)
            break;
        net_worker_turn(worker, 0);
    }
    while (recv(fds[0], sink, sizeof(sink), 0) > 0)
        ;
    close(fds[0]);
    for (int i = 0; i < 100 && num_conns != 0; i++)
        net_worker_turn(worker, 0);
    assert(num_conns == 0 && num_open == 0);
    assert(worker->mem_used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct net_worker *worker;

    if (worker == NULL)
        worker = net_worker_new(0, 0, 0);
    if (len > 8192)
        return 0;
    fuzz_parser(bytes, len);
    fuzz_engine(worker, bytes, len);
    return 0;
}

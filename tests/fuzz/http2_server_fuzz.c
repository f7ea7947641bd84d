/* links: sv_http */
/* Frames of a client through the server engine, over a real socket pair. The first byte says how handlers
 * behave and how the rest is cut into reads; preface and SETTINGS are sent for it. Checked: what reaches a
 * handler can be written as HTTP/1.1, every exchange closes once, nothing is left behind. */
#include "core/http/http.h"
#include "tests/fuzz/http2_feed.h"

#include <stdint.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { HELLO = 1, ECHO = 2, PICKY = 4, HOLD = 8, ABORT = 16, SMALL_READS = 32, DRAIN = 64 };

static unsigned mode, num_open;
static bool is_conn_closed;

static void check_headers(const struct ht_headers *headers)
{
    for (uint32_t i = 0; i < headers->num; i++) {
        const struct ht_header *header = &headers->at[i];
        require(ht_is_token(header->name) && ht_is_field_value(header->value));
        for (size_t k = 0; k < header->name.len; k++)
            require(header->name.base[k] < 'A' || header->name.base[k] > 'Z');
        require(slice_is(header->name, "te") ? slice_is(header->value, "trailers")
                                             : !ht_is_hop_field(header));
        require(!slice_is(header->name, "host") && !slice_is(header->name, "content-length"));
    }
}

static void hello(struct ht_exchange *x)
{
    struct iovec iov = {"hello", 5};

    ht_exchange_head(x, x->upgrade.len != 0 ? 101 : 200, &x->headers, -1);
    ht_exchange_body(x, &iov, 1);
    if (!x->is_tunnel)
        ht_exchange_end(x, &x->headers);
}

static void on_request(struct ht_exchange *x)
{
    ++num_open;
    x->data = (void *)(uintptr_t)1;
    require(num_open <= 16);
    require(ht_is_token(x->method) && ht_is_authority(x->authority));
    require(ht_is_target(x->target) || slice_eq(x->target, x->authority));
    require(slice_is(x->scheme, "http") && x->content_length >= -1);
    check_headers(&x->headers);
    if ((mode & ABORT) != 0 && x->id % 4 == 3) {
        ht_exchange_abort(x, 0);
    } else if ((mode & HELLO) != 0) {
        hello(x);
        ht_exchange_resume(x);
    } else if ((mode & HOLD) == 0) {
        ht_exchange_info(x, 103, &x->headers);
        ht_exchange_head(x, x->upgrade.len != 0 ? 101 : 200, NULL, -1);
        ht_exchange_resume(x);
    }
}

static size_t on_body(struct ht_exchange *x, const char *bytes, size_t len)
{
    struct iovec iov = {(void *)bytes, len};

    require(x->data != NULL && len != 0);
    if ((mode & PICKY) != 0)
        iov.iov_len = (len + 1) / 2;
    if ((mode & ECHO) != 0)
        ht_exchange_body(x, &iov, 1);
    if (iov.iov_len != len)
        ht_exchange_resume(x);
    return iov.iov_len;
}

static void on_body_end(struct ht_exchange *x)
{
    require(x->data != NULL);
    check_headers(&x->trailers);
    ht_exchange_end(x, &x->trailers);
}

static void on_writable(struct ht_exchange *x)
{
    require(x->data != NULL);
}

static void on_close(struct ht_exchange *x, enum ht_close why)
{
    require(x->data != NULL);
    x->data = NULL;
    --num_open;
}

static const struct ht_handler handler = {on_request, on_body, on_body_end, on_writable, on_close, NULL};

static void on_closed(struct ht_server_conn *conn)
{
    is_conn_closed = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct net_worker *worker;
    static struct ht_limits limits;
    int fds[2];

    if (len == 0 || len > 64 * 1024)
        return 0;
    if (worker == NULL)
        worker = net_worker_new(0, 0, 0);
    limits = ht_limits_default;
    limits.max_concurrent_streams = 16;
    limits.max_head_bytes = 4096;
    mode = bytes[0];
    size_t most = (mode & SMALL_READS) != 0 ? 7 : 4096;
    is_conn_closed = false;
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    struct ht_server_conn *conn =
        ht_server_accept(worker, fds[1], NULL, &handler, &limits, NULL, on_closed);
    feed(worker, fds[0], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0", 24 + 18,
         most);
    if ((mode & DRAIN) != 0 && !is_conn_closed)
        ht_server_drain(conn);
    feed(worker, fds[0], bytes + 1, len - 1, most);
    close(fds[0]);
    for (int i = 0; i < 100 && !is_conn_closed; i++)
        net_worker_turn(worker, 0);
    require(is_conn_closed && num_open == 0 && worker->mem_used == 0);
    return 0;
}

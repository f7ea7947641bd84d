/* links: sv_http */
/* Frames of an upstream through the client engine, over a real socket. The first byte says how calls behave
 * and how the rest is cut into reads; SETTINGS are sent for it. Checked: every call ends once, what it is
 * told is well-formed, nothing is left behind. */
#include "core/http/http.h"
#include "tests/fuzz/http2_feed.h"

#include <stdint.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { PICKY = 1, CANCEL = 2, SMALL_READS = 4, ALLOW_CONNECT = 8, UPLOAD = 16, RESTART = 32, NUM_CALLS = 4 };

struct made {
    struct ht_call call;
    h2o_mem_pool_t pool;
    bool is_over;
};

static unsigned mode;
static struct made made[NUM_CALLS];
static struct ht_client_conn *client;

static struct made *of(struct ht_call *call)
{
    return CONTAINER_OF(call, struct made, call);
}

static void check_headers(const struct ht_headers *headers)
{
    for (uint32_t i = 0; i < headers->num; i++) {
        require(ht_is_token(headers->at[i].name) && ht_is_field_value(headers->at[i].value));
        require(!ht_is_hop_field(&headers->at[i]) && !slice_is(headers->at[i].name, "content-length"));
    }
}

static void on_info(struct ht_call *call, unsigned status, const struct ht_headers *headers)
{
    require(!of(call)->is_over && status >= 100 && status < 200);
    check_headers(headers);
}

static void on_head(struct ht_call *call)
{
    require(!of(call)->is_over && call->status >= 101 && call->status <= 999);
    check_headers(&call->headers);
    if ((mode & CANCEL) != 0 && call == &made[2].call) {
        ht_call_cancel(call);
        of(call)->is_over = true;
    }
}

static size_t on_body(struct ht_call *call, const char *bytes, size_t len)
{
    require(!of(call)->is_over && call->had_response && len != 0);
    if ((mode & PICKY) == 0)
        return len;
    ht_call_resume(call);
    return len / 2;
}

static void on_end(struct ht_call *call)
{
    require(!of(call)->is_over && call->had_response);
    check_headers(&call->trailers);
    of(call)->is_over = true;
}

static void on_writable(struct ht_call *call)
{
    require(!of(call)->is_over);
}

static void on_fail(struct ht_call *call, enum ht_fail fail, const char *detail)
{
    require(!of(call)->is_over && detail != NULL);
    of(call)->is_over = true;
}

static const struct ht_call_ops call_ops = {on_info, on_head, on_body, on_end, on_writable, on_fail};

static void on_gone(struct ht_client_conn *conn, enum ht_fail fail, const char *detail)
{
    client = NULL;
}

static const struct ht_client_ops client_ops = {.on_gone = on_gone};

static void start(unsigned i)
{
    static const struct ht_headers no_fields;
    struct made *now = &made[i];

    *now = (struct made){.call = {.ops = &call_ops,
                                  .pool = &now->pool,
                                  .method = i == 1   ? SLICE("POST")
                                            : i == 2 ? SLICE("HEAD")
                                                     : SLICE("GET"),
                                  .scheme = SLICE("http"),
                                  .authority = SLICE("a"),
                                  .target = SLICE("/"),
                                  .request_headers = &no_fields,
                                  .request_length = -1,
                                  .has_body = i == 1,
                                  .upgrade = i == 3 ? SLICE("websocket") : slice_make(NULL, 0)}};
    h2o_mem_init_pool(&now->pool);
    ht_call_start(client, &now->call);
}

static void upload(void)
{
    static char bytes[20000];
    struct iovec iov = {bytes, sizeof(bytes)};

    for (int i = 0; i < 4; i++)
        (void)ht_call_body(&made[1].call, &iov, 1); /* bounded here, not by its answer */
    ht_call_end(&made[1].call, NULL);
}

static int listen_once(struct sockaddr_un *addr, socklen_t *ret_len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *ret_len = sizeof(addr->sun_family); /* autobind: an abstract name of the kernel's choice */
    addr->sun_family = AF_UNIX;
    require(bind(fd, (struct sockaddr *)addr, *ret_len) == 0 && listen(fd, 8) == 0);
    *ret_len = sizeof(*addr);
    require(getsockname(fd, (struct sockaddr *)addr, ret_len) == 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct net_worker *worker;
    static struct sockaddr_un addr;
    static socklen_t addr_len;
    static int listener = -1;
    const struct ht_client_config config = {.protocol = HT_CLIENT_HTTP2, .max_head_bytes = 4096};

    if (len == 0 || len > 64 * 1024)
        return 0;
    if (worker == NULL) {
        worker = net_worker_new(0, 0, 0);
        listener = listen_once(&addr, &addr_len);
    }
    mode = bytes[0];
    size_t most = (mode & SMALL_READS) != 0 ? 7 : 4096;
    client = ht_client_connect(worker, (struct sockaddr *)&addr, addr_len, &config, &client_ops, NULL, NULL);
    require(client != NULL);
    for (unsigned i = 0; i < NUM_CALLS; i++)
        start(i);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    net_worker_turn(worker, 0);
    if ((mode & ALLOW_CONNECT) != 0)
        feed(worker, fd, "\0\0\6\4\0\0\0\0\0\0\x8\0\0\0\1", 15, most);
    else
        feed(worker, fd, "\0\0\0\4\0\0\0\0\0", 9, most);
    feed(worker, fd, "\0\0\0\4\1\0\0\0\0", 9, most);
    if ((mode & UPLOAD) != 0)
        upload();
    feed(worker, fd, bytes + 1, len - 1, most);
    if ((mode & RESTART) != 0 && made[0].is_over && client != NULL) {
        h2o_mem_clear_pool(&made[0].pool);
        start(0);
        feed(worker, fd, bytes + 1, len - 1, most);
    }
    close(fd);
    for (int i = 0; i < 20 || (i < 100 && client != NULL); i++)
        net_worker_turn(worker, 0);
    require(client == NULL && worker->mem_used == 0);
    for (unsigned i = 0; i < NUM_CALLS; i++) {
        require(made[i].is_over);
        h2o_mem_clear_pool(&made[i].pool);
    }
    return 0;
}

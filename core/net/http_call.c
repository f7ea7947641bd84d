/* Setting up a libcurl transfer, and a thread that runs those of workers. Those who may block: http_session.c.
 *
 * start -> queue -> the thread adds the transfer -> pieces and the end come as messages to the worker. A piece counts
 * as in flight until the worker has seen it; above a limit the transfer is paused, so that a slow worker holds the
 * server back instead of collecting. The end is always the last message of a call, and always comes, also when the call
 * was cancelled or the thread ends: it frees the call. */
#include "core/net/http_private.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <strings.h>
#include <unistd.h>

enum {
    DEFAULT_CONNECT_TIMEOUT_MS = 5000,
    DEFAULT_TIMEOUT_MS = 30 * 1000,
    DEFAULT_MAX_BODY = 8 * 1024 * 1024,
    MAX_HEAD = 64 * 1024,
    MAX_IN_FLIGHT = 1024 * 1024, /* bytes of a stream on their way to the worker */
    MAX_IDLE_CONNECTIONS = 32,
    POLL_MS = 1000,
};

/* ---- a transfer ---- */

void http_transfer_refuse(struct http_transfer *transfer, enum err_code code, const char *why)
{
    transfer->refusal_code = code;
    transfer->refusal = why;
}

static bool is_success(struct http_transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

static size_t on_body(char *bytes, size_t size, size_t num, void *data)
{
    struct http_transfer *transfer = data;
    size_t len = size * num;

    if (transfer->is_stream && is_success(transfer))
        return transfer->on_piece(transfer, bytes, len);
    if (transfer->body.len + len > transfer->max_body) {
        http_transfer_refuse(transfer, ERR_TOO_LARGE, "the answer is too large");
        return 0; /* ends the transfer */
    }
    strbuf_add(&transfer->body, bytes, len);
    return len;
}

/* Interim answers have heads too: the last one counts. */
static size_t on_head(char *bytes, size_t size, size_t num, void *data)
{
    struct http_transfer *transfer = data;
    size_t len = size * num;

    if (len >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
        strbuf_reset(&transfer->head);
    if (transfer->head.len + len > MAX_HEAD) {
        http_transfer_refuse(transfer, ERR_TOO_LARGE, "the head of the answer is too large");
        return 0;
    }
    strbuf_add(&transfer->head, bytes, len);
    return len;
}

/* "GET https://host/path" for messages: a query or credentials may be secrets. */
static void set_name(struct http_transfer *transfer, const struct net_http_request *request, const char *method)
{
    const char *authority = strstr(request->url, "://");
    size_t scheme_len = authority != NULL ? (size_t)(authority + 3 - request->url) : 0;
    struct strbuf name = STRBUF_INIT;

    authority = request->url + scheme_len;
    const char *at = memchr(authority, '@', strcspn(authority, "/?#"));
    if (at != NULL)
        authority = at + 1;
    strbuf_addf(&name, "%s %.*s%.*s", method, (int)scheme_len, request->url, (int)strcspn(authority, "?#"), authority);
    strncpy(transfer->name, name.base, sizeof(transfer->name) - 1);
    strbuf_clear(&name);
}

/* ---- addresses a foreign URL may not reach ---- */

struct network {
    uint32_t address;
    int bits;
};

static bool is_public_v4(uint32_t address)
{
    static const struct network special[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
        {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0586300, 24}, {0xc0a80000, 16},
        {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 3},
    };

    for (size_t i = 0; i < ARRAY_LEN(special); i++)
        if ((address ^ special[i].address) >> (32 - special[i].bits) == 0)
            return false;
    return true;
}

/* Global unicast only, without the ranges that carry an IPv4 address inside or are for documentation. */
static bool is_public_v6(const unsigned char *a)
{
    if ((a[0] & 0xe0) != 0x20)
        return false;
    if (a[0] == 0x20 && a[1] == 0x02)
        return false; /* 6to4 */
    if (a[0] == 0x20 && a[1] == 0x01 && (a[2] < 0x02 || (a[2] == 0x0d && a[3] == 0xb8)))
        return false; /* 2001::/23 (Teredo and other protocols), 2001:db8::/32 */
    return true;
}

static bool is_public(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET)
        return is_public_v4(ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr));
    if (addr->sa_family == AF_INET6)
        return is_public_v6(((const struct sockaddr_in6 *)addr)->sin6_addr.s6_addr);
    return false;
}

/* The address as resolved: no later answer of a name server can put another in its place. */
static curl_socket_t open_public_socket(void *data, curlsocktype purpose, struct curl_sockaddr *addr)
{
    struct http_transfer *transfer = data;

    if (!is_public(&addr->addr)) {
        http_transfer_refuse(transfer, ERR_FORBIDDEN, "the address is not a public one");
        return CURL_SOCKET_BAD;
    }
    return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

/* ---- setting up ---- */

static void global_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
}

static void set_blob(CURL *easy, CURLoption option, struct slice bytes)
{
    struct curl_blob blob = {.data = (void *)bytes.base, .len = bytes.len, .flags = CURL_BLOB_COPY};
    curl_easy_setopt(easy, option, &blob);
}

static void set_tls(struct http_transfer *transfer, const struct net_http_request *request)
{
    CURL *easy = transfer->easy;

    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, request->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, request->insecure ? 0L : 2L);
    if (request->ca_file != NULL || request->ca_pem.base != NULL)
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* the system's directory would be trusted besides */
    if (request->ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file);
    if (request->ca_pem.base != NULL)
        set_blob(easy, CURLOPT_CAINFO_BLOB, request->ca_pem);
    if (request->pinned_key != NULL)
        curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, request->pinned_key);
    if (request->cert_pem.base != NULL) {
        set_blob(easy, CURLOPT_SSLCERT_BLOB, request->cert_pem);
        set_blob(easy, CURLOPT_SSLKEY_BLOB, request->key_pem);
    }
}

static void set_method(struct http_transfer *transfer, const struct net_http_request *request, const char *method)
{
    CURL *easy = transfer->easy;

    if (request->body.base != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body.base);
    } else if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    transfer->headers = curl_slist_append(NULL, "Expect:"); /* no waiting for 100 */
    if (request->body.base != NULL)
        transfer->headers = curl_slist_append(transfer->headers, "Content-Type:"); /* ours to say, not libcurl's */
    for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
        transfer->headers = curl_slist_append(transfer->headers, request->headers[i]);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
}

static void set_limits(struct http_transfer *transfer, const struct net_http_request *request)
{
    CURL *easy = transfer->easy;
    unsigned timeout_ms = request->timeout_ms != 0 ? request->timeout_ms : transfer->is_stream ? 0 : DEFAULT_TIMEOUT_MS;

    transfer->max_body = request->max_body != 0 ? request->max_body : DEFAULT_MAX_BODY;
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(request->connect_timeout_ms != 0 ? request->connect_timeout_ms : DEFAULT_CONNECT_TIMEOUT_MS));
    if (request->idle_timeout_ms != 0) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)((request->idle_timeout_ms + 999) / 1000));
    }
}

void http_transfer_init(struct http_transfer *transfer, const struct net_http_request *request)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *method = request->method != NULL ? request->method : request->body.base != NULL ? "POST" : "GET";
    CURL *easy;

    pthread_once(&once, global_init);
    if ((easy = transfer->easy = curl_easy_init()) == NULL)
        abort();
    set_name(transfer, request, method);
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "selvedge/" SELVEDGE_VERSION);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->why);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    if (request->unix_path != NULL)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_path);
    if (request->public_only) {
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_public_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L); /* a kept connection was not looked at */
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    set_tls(transfer, request);
    set_method(transfer, request, method);
    set_limits(transfer, request);
}

void http_transfer_clear(struct http_transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    strbuf_clear(&transfer->head);
    strbuf_clear(&transfer->body);
}

static enum err_code code_of(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ERR_INVALID;
    default:
        return ERR_UNAVAILABLE;
    }
}

/* 0 and the response, or -1: what became of the transfer. */
int http_transfer_result(struct http_transfer *transfer, CURLcode code, struct net_http_response *ret, struct err *err)
{
    long status = 0;

    if (transfer->refusal != NULL)
        return err_set(err, transfer->refusal_code, "%s: %s", transfer->name, transfer->refusal);
    if (code != CURLE_OK)
        return err_set(err, code_of(code), "%s: %s", transfer->name,
                       transfer->why[0] != '\0' ? transfer->why : curl_easy_strerror(code));
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    *ret = (struct net_http_response){.status = (unsigned)status,
                                      .head = strbuf_slice(&transfer->head),
                                      .body = strbuf_slice(&transfer->body)};
    return 0;
}

struct slice net_http_header(const struct net_http_response *response, const char *name)
{
    struct slice rest = response->head;
    size_t name_len = strlen(name);

    while (rest.len != 0) {
        const char *end = memchr(rest.base, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.base) : rest.len;
        if (len > name_len && rest.base[name_len] == ':' && strncasecmp(rest.base, name, name_len) == 0) {
            const char *from = rest.base + name_len + 1, *to = rest.base + len;
            while (from < to && (*from == ' ' || *from == '\t'))
                from++;
            while (from < to && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r'))
                to--;
            return slice_make(from, (size_t)(to - from));
        }
        len = MIN(len + 1, rest.len);
        rest = slice_make(rest.base + len, rest.len - len);
    }
    return slice_make(NULL, 0);
}

/* ---- the thread's calls ---- */

struct net_http_call {
    struct http_transfer transfer;
    struct net_message end_message;
    struct list link; /* queue, then the thread's list of those that run */
    struct net_worker *worker; /* borrowed */
    net_http_chunk_cb on_chunk;
    net_http_done_cb on_done;
    void *data;
    bool is_cancelled;       /* the worker's */
    atomic_bool must_end;    /* tells the thread */
    atomic_size_t in_flight;
    bool is_paused;          /* the thread's */
    int ret;
    struct net_http_response response;
    struct err err;
};

struct piece {
    struct net_message message;
    struct net_http_call *call; /* alive: its end comes after all its pieces */
    size_t len;
    char bytes[];
};

static struct {
    pthread_mutex_t lock;
    pthread_t thread;
    bool is_running, is_stopping;
    CURLM *multi;
    struct list queue;   /* of struct net_http_call */
    struct list running; /* the thread's */
} shared = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .queue = LIST_INIT(shared.queue), .running = LIST_INIT(shared.running)};

/* On a worker, which may outlive the thread. */
static void wake(void)
{
    pthread_mutex_lock(&shared.lock);
    if (shared.is_running)
        curl_multi_wakeup(shared.multi);
    pthread_mutex_unlock(&shared.lock);
}

static void on_piece_message(struct net_message *message, struct net_worker *worker)
{
    struct piece *piece = CONTAINER_OF(message, struct piece, message);
    struct net_http_call *call = piece->call;
    size_t before = atomic_fetch_sub(&call->in_flight, piece->len);

    if (before >= MAX_IN_FLIGHT && before - piece->len < MAX_IN_FLIGHT)
        wake(); /* it may be paused */
    if (!call->is_cancelled)
        call->on_chunk(call->data, slice_make(piece->bytes, piece->len));
    free(piece);
}

static size_t send_piece(struct http_transfer *transfer, const char *bytes, size_t len)
{
    struct net_http_call *call = CONTAINER_OF(transfer, struct net_http_call, transfer);
    struct piece *piece;

    if (atomic_load(&call->in_flight) >= MAX_IN_FLIGHT) {
        call->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    piece = xmalloc(sizeof(*piece) + len);
    *piece = (struct piece){.message.run = on_piece_message, .call = call, .len = len};
    memcpy(piece->bytes, bytes, len);
    atomic_fetch_add(&call->in_flight, len);
    net_worker_send(call->worker, &piece->message);
    return len;
}

static void on_end_message(struct net_message *message, struct net_worker *worker)
{
    struct net_http_call *call = CONTAINER_OF(message, struct net_http_call, end_message);

    if (!call->is_cancelled)
        call->on_done(call->data, call->ret == 0 ? &call->response : NULL, &call->err);
    http_transfer_clear(&call->transfer);
    free(call);
}

/* The call leaves the thread. */
static void report(struct net_http_call *call)
{
    list_remove(&call->link);
    net_worker_send(call->worker, &call->end_message);
}

static void end_running(struct net_http_call *call, const char *why)
{
    curl_multi_remove_handle(shared.multi, call->transfer.easy);
    call->ret = err_set(&call->err, ERR_UNAVAILABLE, "%s: %s", call->transfer.name, why);
    report(call);
}

static void on_transfer_done(CURL *easy, CURLcode code)
{
    struct net_http_call *call;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
    curl_multi_remove_handle(shared.multi, easy);
    call->ret = http_transfer_result(&call->transfer, code, &call->response, &call->err);
    report(call);
}

/* Takes new calls from the queue. False: the thread is to end. */
static bool take_queue(void)
{
    pthread_mutex_lock(&shared.lock);
    bool goes_on = !shared.is_stopping;
    while (goes_on && !list_is_empty(&shared.queue)) {
        struct net_http_call *call = LIST_FIRST(&shared.queue, struct net_http_call, link);
        list_remove(&call->link);
        list_push(&shared.running, &call->link);
        curl_multi_add_handle(shared.multi, call->transfer.easy);
    }
    pthread_mutex_unlock(&shared.lock);
    return goes_on;
}

static void look_after_running(void)
{
    LIST_FOR_SAFE(call, &shared.running, struct net_http_call, link)
    {
        if (atomic_load(&call->must_end)) {
            end_running(call, "cancelled");
        } else if (call->is_paused && atomic_load(&call->in_flight) < MAX_IN_FLIGHT) {
            call->is_paused = false;
            curl_easy_pause(call->transfer.easy, CURLPAUSE_CONT);
        }
    }
}

static void *thread_main(void *arg)
{
    CURLMsg *msg;
    int num;

    while (take_queue()) {
        look_after_running();
        curl_multi_perform(shared.multi, &num);
        while ((msg = curl_multi_info_read(shared.multi, &num)) != NULL)
            if (msg->msg == CURLMSG_DONE)
                on_transfer_done(msg->easy_handle, msg->data.result);
        curl_multi_poll(shared.multi, NULL, 0, POLL_MS, NULL);
    }
    while (!list_is_empty(&shared.running))
        end_running(LIST_FIRST(&shared.running, struct net_http_call, link), "the program ends");
    return NULL;
}

/* With the lock held. */
static void start_thread(void)
{
    sigset_t all, old;

    if ((shared.multi = curl_multi_init()) == NULL)
        abort();
    curl_multi_setopt(shared.multi, CURLMOPT_MAXCONNECTS, (long)MAX_IDLE_CONNECTIONS);
    shared.is_stopping = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&shared.thread, NULL, thread_main, NULL) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_setname_np(shared.thread, "http-call"); /* for ps and gdb only */
    shared.is_running = true;
}

struct net_http_call *net_http_call_start(struct net_worker *worker, const struct net_http_request *request,
                                          net_http_chunk_cb on_chunk, net_http_done_cb on_done, void *data)
{
    struct net_http_call *call = xcalloc(1, sizeof(*call));

    call->worker = worker;
    call->on_chunk = on_chunk;
    call->on_done = on_done;
    call->data = data;
    call->end_message.run = on_end_message;
    call->transfer.is_stream = on_chunk != NULL;
    call->transfer.on_piece = send_piece;
    list_init(&call->link);
    http_transfer_init(&call->transfer, request);
    curl_easy_setopt(call->transfer.easy, CURLOPT_PRIVATE, call);
    pthread_mutex_lock(&shared.lock);
    if (!shared.is_running)
        start_thread();
    list_push(&shared.queue, &call->link);
    curl_multi_wakeup(shared.multi);
    pthread_mutex_unlock(&shared.lock);
    return call;
}

struct net_http_call *net_http_call_cancel(struct net_http_call *call)
{
    if (call != NULL) {
        call->is_cancelled = true;
        atomic_store(&call->must_end, true);
        wake();
    }
    return NULL;
}

void net_http_calls_stop(void)
{
    pthread_mutex_lock(&shared.lock);
    bool was_running = shared.is_running;
    shared.is_stopping = true;
    if (was_running)
        curl_multi_wakeup(shared.multi);
    pthread_mutex_unlock(&shared.lock);
    if (!was_running)
        return;
    pthread_join(shared.thread, NULL);
    pthread_mutex_lock(&shared.lock);
    while (!list_is_empty(&shared.queue)) {
        struct net_http_call *call = LIST_FIRST(&shared.queue, struct net_http_call, link);
        call->ret = err_set(&call->err, ERR_UNAVAILABLE, "%s: the program ends", call->transfer.name);
        report(call);
    }
    curl_multi_cleanup(shared.multi);
    shared.is_running = false;
    pthread_mutex_unlock(&shared.lock);
}

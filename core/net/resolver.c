/* One thread, one c-ares channel for servers and one for /etc/hosts.
 *
 * start -> queue -> the thread asks -> message to the worker -> on_done. One message is sent for each start, also when the
 * thread ends, but none once it was cancelled: the question to the server is not worth taking back, its answer is dropped.
 * When /etc/resolv.conf changes the channels are made anew, and questions that are open are asked again. */
#include "core/net/resolver.h"

#include "core/net/io.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEFAULT_TIMEOUT_MS = 2000,
    DEFAULT_TRIES = 3,
    MAX_NAME = 253,
    MAX_SOCKETS = 64, /* one UDP and one TCP a server */
};

struct net_resolve {
    struct net_message message;
    struct list link;
    struct net_worker *worker; /* borrowed */
    net_resolve_cb on_done;
    void *data;
    bool is_cancelled; /* with the lock: nothing may be sent to the worker, which may be gone */
    bool is_from_file; /* asked /etc/hosts only, so far */
    uint16_t port;
    char name[MAX_NAME + 1];
    struct net_resolve_answer answer;
    struct err err;
};

static struct {
    pthread_mutex_t lock;
    struct list queue; /* of struct net_resolve */
    pthread_t thread;
    bool is_running, is_stopping;
    int wake_fd;
    char *servers; /* owned; NULL: the system's */
    int timeout_ms, tries;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .queue = LIST_INIT(shared.queue),
            .timeout_ms = DEFAULT_TIMEOUT_MS,
            .tries = DEFAULT_TRIES};

/* The thread's own. */
static struct {
    ares_channel dns, file;
    bool has_channels;
    struct timespec conf_time; /* of /etc/resolv.conf, as read */
    struct pollfd fds[MAX_SOCKETS + 1];
    unsigned num_fds;
} own;

/* ---- answers ---- */

static void resolve_free(struct net_resolve *resolve)
{
    free(resolve->answer.addrs);
    free(resolve);
}

static void on_report(struct net_message *message, struct net_worker *worker)
{
    struct net_resolve *resolve = CONTAINER_OF(message, struct net_resolve, message);

    if (!resolve->is_cancelled) /* written on this thread only */
        resolve->on_done(resolve->data, resolve->answer.num != 0 ? &resolve->answer : NULL, &resolve->err);
    resolve_free(resolve);
}

/* With the lock held. */
static void report_locked(struct net_resolve *resolve)
{
    if (resolve->is_cancelled)
        resolve_free(resolve);
    else
        net_worker_send(resolve->worker, &resolve->message);
}

static void report(struct net_resolve *resolve)
{
    pthread_mutex_lock(&shared.lock);
    report_locked(resolve);
    pthread_mutex_unlock(&shared.lock);
}

static void set_port(struct sockaddr_storage *addr, uint16_t port)
{
    if (addr->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)addr)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)addr)->sin_port = htons(port);
}

static int compare(const void *a, const void *b)
{
    const struct sockaddr_storage *x = a, *y = b;

    if (x->ss_family != y->ss_family)
        return x->ss_family == AF_INET ? -1 : 1;
    if (x->ss_family == AF_INET)
        return memcmp(&((const struct sockaddr_in *)x)->sin_addr, &((const struct sockaddr_in *)y)->sin_addr, 4);
    return memcmp(&((const struct sockaddr_in6 *)x)->sin6_addr, &((const struct sockaddr_in6 *)y)->sin6_addr, 16);
}

static void drop_duplicates(struct net_resolve_answer *answer)
{
    size_t num = 0;

    qsort(answer->addrs, answer->num, sizeof(*answer->addrs), compare);
    for (size_t i = 0; i < answer->num; i++)
        if (num == 0 || compare(&answer->addrs[num - 1], &answer->addrs[i]) != 0)
            answer->addrs[num++] = answer->addrs[i];
    answer->num = num;
}

static void take_addresses(struct net_resolve *resolve, const struct ares_addrinfo *info)
{
    struct net_resolve_answer *answer = &resolve->answer;
    int ttl_s = NET_RESOLVE_TTL_MAX_S;

    answer->addrs = xcalloc(NET_RESOLVE_MAX_ADDRS, sizeof(*answer->addrs));
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL && answer->num < NET_RESOLVE_MAX_ADDRS;
         node = node->ai_next) {
        if (node->ai_family != AF_INET && node->ai_family != AF_INET6)
            continue;
        struct sockaddr_storage *addr = &answer->addrs[answer->num++];
        memcpy(addr, node->ai_addr, MIN((size_t)node->ai_addrlen, sizeof(*addr)));
        set_port(addr, resolve->port);
        ttl_s = MIN(ttl_s, node->ai_ttl);
    }
    for (const struct ares_addrinfo_cname *cname = info->cnames; cname != NULL; cname = cname->next)
        ttl_s = MIN(ttl_s, cname->ttl);
    answer->ttl_s = resolve->is_from_file ? NET_RESOLVE_TTL_MAX_S : (unsigned)MAX(ttl_s, NET_RESOLVE_TTL_MIN_S);
    drop_duplicates(answer);
}

static enum err_code code_of(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_ENONAME:
    case ARES_EBADNAME:
        return ERR_NOT_FOUND;
    case ARES_ETIMEOUT:
        return ERR_TIMEOUT;
    default:
        return ERR_UNAVAILABLE;
    }
}

/* An answer that needs no file and no server: numbers, and the loopback name (RFC 6761, section 6.3). */
static bool answer_at_once(struct net_resolve *resolve)
{
    struct sockaddr_storage addr;
    socklen_t len;
    bool is_localhost = strcasecmp(resolve->name, "localhost") == 0 || strcasecmp(resolve->name, "localhost.") == 0;
    size_t name_len = strlen(resolve->name);

    if (name_len > 10 && strcasecmp(resolve->name + name_len - 10, ".localhost") == 0)
        is_localhost = true;
    if (!is_localhost && net_sockaddr_parse(slice_of(resolve->name), resolve->port, &addr, &len, NULL) != 0)
        return false;
    resolve->answer.addrs = xcalloc(2, sizeof(addr));
    resolve->answer.ttl_s = NET_RESOLVE_TTL_MAX_S;
    resolve->answer.num = is_localhost ? 2 : 1;
    if (is_localhost) {
        (void)net_sockaddr_parse(SLICE("127.0.0.1"), resolve->port, &resolve->answer.addrs[0], &len, NULL);
        (void)net_sockaddr_parse(SLICE("::1"), resolve->port, &resolve->answer.addrs[1], &len, NULL);
    } else {
        resolve->answer.addrs[0] = addr;
    }
    return true;
}

/* ---- the thread ---- */

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
    unsigned i = 1;

    while (i < own.num_fds && own.fds[i].fd != fd)
        i++;
    if (i == own.num_fds) {
        if (events == 0 || own.num_fds == ARRAY_LEN(own.fds))
            return; /* more servers than anybody configures: those time out */
        own.num_fds++;
    }
    own.fds[i] = (struct pollfd){.fd = fd, .events = events};
    if (events == 0)
        own.fds[i] = own.fds[--own.num_fds];
}

static ares_channel new_channel(const char *lookups)
{
    struct ares_options options = {.timeout = shared.timeout_ms,
                                   .tries = shared.tries,
                                   .lookups = (char *)lookups,
                                   .sock_state_cb = on_socket_state};
    ares_channel channel;

    if (ares_init_options(&channel, &options,
                          ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
        abort(); /* out of memory */
    if (shared.servers != NULL)
        (void)ares_set_servers_ports_csv(channel, shared.servers); /* was tried when it was configured */
    return channel;
}

static void close_channels(void)
{
    if (!own.has_channels)
        return;
    own.has_channels = false;
    ares_destroy(own.dns); /* open questions end with ARES_EDESTRUCTION */
    ares_destroy(own.file);
}

/* What is open is asked again (see on_answer()): the servers of before may be gone for good. */
static void replace_channels(void)
{
    ares_channel dns = own.dns, file = own.file;
    bool had_channels = own.has_channels;

    own.dns = new_channel("b");
    own.file = new_channel("f");
    own.has_channels = true;
    if (!had_channels)
        return;
    ares_destroy(dns);
    ares_destroy(file);
}

static void refresh_channels(void)
{
    struct stat st;

    if (stat("/etc/resolv.conf", &st) != 0)
        st.st_mtim = (struct timespec){0, 0};
    if (own.has_channels && st.st_mtim.tv_sec == own.conf_time.tv_sec && st.st_mtim.tv_nsec == own.conf_time.tv_nsec)
        return;
    own.conf_time = st.st_mtim;
    replace_channels();
}

static void ask(ares_channel channel, struct net_resolve *resolve);

static void on_answer(void *data, int status, int timeouts, struct ares_addrinfo *info)
{
    struct net_resolve *resolve = data;

    if (status == ARES_SUCCESS) {
        take_addresses(resolve, info);
        ares_freeaddrinfo(info);
        if (resolve->answer.num == 0)
            status = ARES_ENODATA;
    }
    if (status != ARES_SUCCESS && own.has_channels && (resolve->is_from_file || status == ARES_EDESTRUCTION)) {
        resolve->is_from_file = false;
        ask(own.dns, resolve);
        return;
    }
    if (status != ARES_SUCCESS)
        err_set(&resolve->err, code_of(status), "resolve %s: %s", resolve->name, ares_strerror(status));
    report(resolve);
}

static void ask(ares_channel channel, struct net_resolve *resolve)
{
    static const struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC};

    ares_getaddrinfo(channel, resolve->name, NULL, &hints, on_answer, resolve);
}

static void start(struct net_resolve *resolve)
{
    if (answer_at_once(resolve)) {
        report(resolve);
        return;
    }
    refresh_channels();
    resolve->is_from_file = true;
    ask(own.file, resolve);
}

/* The next one waiting, or NULL; `ret_stop` when the thread is to end. */
static struct net_resolve *take(bool *ret_stop)
{
    struct net_resolve *resolve = NULL;

    pthread_mutex_lock(&shared.lock);
    *ret_stop = shared.is_stopping;
    if (!list_is_empty(&shared.queue)) {
        resolve = LIST_FIRST(&shared.queue, struct net_resolve, link);
        list_remove(&resolve->link);
    }
    pthread_mutex_unlock(&shared.lock);
    return resolve;
}

static void wait_and_process(void)
{
    struct timeval tv, *next = own.has_channels ? ares_timeout(own.dns, NULL, &tv) : NULL;
    int wait_ms = next != NULL ? (int)(next->tv_sec * 1000 + (next->tv_usec + 999) / 1000) : -1;
    struct pollfd ready[ARRAY_LEN(own.fds)];
    unsigned num = own.num_fds;
    uint64_t count;

    if (poll(own.fds, num, wait_ms) < 0 && errno != EINTR)
        abort();
    memcpy(ready, own.fds, sizeof(*ready) * num); /* processing changes the list */
    if (ready[0].revents != 0)
        (void)!read(shared.wake_fd, &count, sizeof(count)); /* only the wakeup matters */
    if (!own.has_channels)
        return;
    for (unsigned i = 1; i < num; i++)
        if (ready[i].revents != 0)
            ares_process_fd(own.dns, ready[i].revents & ~POLLOUT ? ready[i].fd : ARES_SOCKET_BAD,
                            ready[i].revents & POLLOUT ? ready[i].fd : ARES_SOCKET_BAD);
    ares_process_fd(own.dns, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what timed out */
}

static void *thread_main(void *arg)
{
    struct net_resolve *resolve;
    bool must_stop = false;

    own.fds[0] = (struct pollfd){.fd = shared.wake_fd, .events = POLLIN};
    own.num_fds = 1;
    while (!must_stop) {
        while ((resolve = take(&must_stop)) != NULL && !must_stop)
            start(resolve);
        if (resolve != NULL) { /* taken as the end came */
            err_set(&resolve->err, ERR_UNAVAILABLE, "resolve %s: the resolver has ended", resolve->name);
            report(resolve);
        }
        if (!must_stop)
            wait_and_process();
    }
    close_channels();
    return NULL;
}

/* ---- what others call ---- */

static void wake(void)
{
    (void)!write(shared.wake_fd, &(uint64_t){1}, sizeof(uint64_t)); /* full: a wakeup is on its way already */
}

/* With the lock held. */
static void start_thread(void)
{
    sigset_t all, old;

    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        abort();
    shared.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shared.wake_fd < 0)
        abort();
    shared.is_stopping = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&shared.thread, NULL, thread_main, NULL) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_setname_np(shared.thread, "resolver"); /* for ps and gdb only */
    shared.is_running = true;
}

struct net_resolve *net_resolve_start(struct net_worker *worker, struct slice name, uint16_t port, net_resolve_cb on_done,
                                      void *data)
{
    struct net_resolve *resolve = xcalloc(1, sizeof(*resolve));

    *resolve = (struct net_resolve){
        .worker = worker, .on_done = on_done, .data = data, .port = port, .message.run = on_report};
    list_init(&resolve->link);
    if (name.len == 0 || name.len > MAX_NAME || memchr(name.base, '\0', name.len) != NULL) {
        err_set(&resolve->err, ERR_NOT_FOUND, "resolve: no name of 1 to %d bytes", MAX_NAME);
        report(resolve);
        return resolve;
    }
    memcpy(resolve->name, name.base, name.len);
    pthread_mutex_lock(&shared.lock);
    if (!shared.is_running)
        start_thread();
    list_push(&shared.queue, &resolve->link);
    wake();
    pthread_mutex_unlock(&shared.lock);
    return resolve;
}

struct net_resolve *net_resolve_cancel(struct net_resolve *resolve)
{
    if (resolve != NULL) {
        pthread_mutex_lock(&shared.lock);
        resolve->is_cancelled = true; /* its message frees it, or whoever would send that */
        pthread_mutex_unlock(&shared.lock);
    }
    return NULL;
}

int net_resolver_configure(const char *servers, unsigned timeout_ms, unsigned tries, struct err *err)
{
    ares_channel channel;
    int ret = ARES_SUCCESS;

    assert(!shared.is_running);
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS || ares_init(&channel) != ARES_SUCCESS)
        abort();
    if (servers != NULL)
        ret = ares_set_servers_ports_csv(channel, servers);
    ares_destroy(channel);
    if (ret != ARES_SUCCESS)
        return err_set(err, ERR_INVALID, "'%s' is no list of DNS servers: %s", servers, ares_strerror(ret));
    free(shared.servers);
    shared.servers = servers != NULL ? xstrdup(servers) : NULL;
    shared.timeout_ms = timeout_ms != 0 ? (int)timeout_ms : DEFAULT_TIMEOUT_MS;
    shared.tries = tries != 0 ? (int)tries : DEFAULT_TRIES;
    return 0;
}

void net_resolver_stop(void)
{
    pthread_mutex_lock(&shared.lock);
    bool was_running = shared.is_running;
    shared.is_stopping = true;
    if (was_running)
        wake();
    pthread_mutex_unlock(&shared.lock);
    if (!was_running)
        return;
    pthread_join(shared.thread, NULL);
    pthread_mutex_lock(&shared.lock);
    while (!list_is_empty(&shared.queue)) {
        struct net_resolve *resolve = LIST_FIRST(&shared.queue, struct net_resolve, link);
        list_remove(&resolve->link);
        err_set(&resolve->err, ERR_UNAVAILABLE, "resolve %s: the resolver has ended", resolve->name);
        report_locked(resolve);
    }
    close(shared.wake_fd);
    shared.is_running = false;
    pthread_mutex_unlock(&shared.lock);
    ares_library_cleanup();
}

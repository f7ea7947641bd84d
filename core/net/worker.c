/* The loop turn: posts, wait (bounded by the next timer), events, timers, posts.
 *
 * The mailbox is a lock-free list and an eventfd. libh2o's own queue is not used: the buffer of its pipe belongs to a
 * free list of the thread that made it, not of the one that runs the loop.
 * libh2o's own timers are not used: they run on the wall clock and cost a scan a turn. Its loop is asked to wait no
 * longer than until our next timer, and not at all while posts wait, because nothing else would wake it for them. */
#include "core/net/worker.h"

#include "core/base/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Static_assert(sizeof(h2o_socket_t) == 96, "libh2o-evloop of another ABI");

enum {
    MAX_WAIT_MS = 60 * 1000,   /* a bound for a loop without timers: harmless and hides no lost wakeup for ever */
    MAX_POST_ROUNDS = 16,      /* posts that post: so many rounds before sockets get their turn again */
};

struct net_worker_private {
    _Atomic(struct net_message *) mailbox; /* newest first */
    h2o_socket_t *wakeup;                  /* the eventfd */
    int wakeup_fd;
    atomic_bool must_stop;
    pthread_t thread;
    bool has_thread;
};

void net_worker_refresh_clock(struct net_worker *worker)
{
    worker->now_us = clock_mono_us();
    worker->wall_us = clock_wall_us();
    worker->is_clock_stale = false;
}

/* ---- mailbox ---- */

static void wake(struct net_worker *worker)
{
    while (write(worker->private->wakeup_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0 && errno == EINTR)
        ;
}

void net_worker_send(struct net_worker *worker, struct net_message *message)
{
    struct net_worker_private *private = worker->private;
    struct net_message *newest = atomic_load_explicit(&private->mailbox, memory_order_relaxed);

    do
        message->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&private->mailbox, &newest, message, memory_order_release,
                                                  memory_order_relaxed));
    if (newest == NULL) /* else whoever filled the empty mailbox has woken the loop */
        wake(worker);
}

/* Everything that waits, oldest first. */
static struct net_message *take_messages(struct net_worker_private *private)
{
    struct net_message *message = atomic_exchange_explicit(&private->mailbox, NULL, memory_order_acquire), *oldest = NULL;

    while (message != NULL) {
        struct net_message *next = message->next;
        message->next = oldest;
        oldest = message;
        message = next;
    }
    return oldest;
}

static void on_wakeup(h2o_socket_t *sock, const char *err)
{
    struct net_worker *worker = sock->data;
    struct net_message *message, *next;
    uint64_t count;

    net_worker_enter(worker);
    (void)!read(worker->private->wakeup_fd, &count, sizeof(count)); /* before taking: a later message wakes again */
    for (message = take_messages(worker->private); message != NULL; message = next) {
        next = message->next;
        message->run(message, worker); /* may free the message */
    }
}

static void open_mailbox(struct net_worker *worker)
{
    struct net_worker_private *private = worker->private;

    atomic_init(&private->mailbox, NULL);
    private->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (private->wakeup_fd < 0)
        abort();
    private->wakeup = h2o_evloop_socket_create(worker->loop, private->wakeup_fd, 0);
    private->wakeup->data = worker;
    h2o_socket_dont_read(private->wakeup, 1);
    h2o_socket_read_start(private->wakeup, on_wakeup);
}

/* ---- posts ---- */

void net_post(struct net_worker *worker, struct net_post *post)
{
    if (list_is_empty(&post->link))
        list_push(&worker->posts, &post->link);
}

static void run_round(struct list *round)
{
    while (!list_is_empty(round)) {
        struct net_post *post = LIST_FIRST(round, struct net_post, link);
        list_remove(&post->link);
        post->run(post); /* may free the post */
    }
}

static void run_posts(struct net_worker *worker)
{
    for (int i = 0; i < MAX_POST_ROUNDS && !list_is_empty(&worker->posts); i++) {
        struct list round;
        list_insert_after(&worker->posts, &round); /* take all: `round` becomes their head */
        list_remove(&worker->posts);
        run_round(&round);
    }
}

/* ---- the loop ---- */

static int32_t wait_ms(struct net_worker *worker, int max_wait_ms)
{
    uint64_t wait = max_wait_ms < 0 ? MAX_WAIT_MS : MIN((uint64_t)max_wait_ms, MAX_WAIT_MS);
    uint64_t next = timers_next_ms(&worker->timers, net_now_ms(worker));

    if (!list_is_empty(&worker->posts))
        return 0;
    return (int32_t)MIN(wait, next);
}

void net_worker_turn(struct net_worker *worker, int max_wait_ms)
{
    net_worker_refresh_clock(worker);
    run_posts(worker);
    int32_t wait = wait_ms(worker, max_wait_ms);
    worker->is_clock_stale = true;
    if (h2o_evloop_run(worker->loop, wait) != 0 && errno != EINTR)
        abort(); /* epoll itself fails: descriptors were closed behind the loop's back */
    net_worker_refresh_clock(worker); /* timers see the time the events took */
    timers_run(&worker->timers, net_now_ms(worker));
    run_posts(worker);
}

void net_worker_run(struct net_worker *worker)
{
    while (!atomic_load_explicit(&worker->private->must_stop, memory_order_acquire))
        net_worker_turn(worker, -1);
}

void net_worker_stop(struct net_worker *worker)
{
    atomic_store_explicit(&worker->private->must_stop, true, memory_order_release);
    wake(worker);
}

static void *thread_main(void *arg)
{
    net_worker_run(arg);
    return NULL;
}

/* Signals belong to the main thread; only those raised by the thread's own faults stay open here. */
static void block_signals(sigset_t *ret_old)
{
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < 5; i++)
        sigdelset(&all, (int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}[i]);
    pthread_sigmask(SIG_SETMASK, &all, ret_old);
}

int net_worker_start_thread(struct net_worker *worker, const char *name)
{
    struct net_worker_private *private = worker->private;
    sigset_t old;

    assert(!private->has_thread);
    block_signals(&old);
    int ret = pthread_create(&private->thread, NULL, thread_main, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (ret != 0)
        return -1;
    private->has_thread = true;
    (void)pthread_setname_np(private->thread, name); /* for ps and gdb only */
    return 0;
}

void net_worker_join(struct net_worker *worker)
{
    if (!worker->private->has_thread)
        return;
    pthread_join(worker->private->thread, NULL);
    worker->private->has_thread = false;
}

enum net_mem_level net_mem_level(const struct net_worker *worker)
{
    if (worker->mem_hard != 0 && worker->mem_used >= worker->mem_hard)
        return NET_MEM_CRITICAL;
    if (worker->mem_soft != 0 && worker->mem_used >= worker->mem_soft)
        return NET_MEM_SHED;
    return NET_MEM_OK;
}

/* ---- lifecycle ---- */

struct net_worker *net_worker_new(unsigned index, size_t mem_soft, size_t mem_hard)
{
    struct net_worker *worker = xcalloc(1, sizeof(*worker));
    struct net_worker_private *private = xcalloc(1, sizeof(*private));

    *worker = (struct net_worker){.index = index, .mem_soft = mem_soft, .mem_hard = mem_hard, .private = private};
    worker->loop = h2o_evloop_create();
    list_init(&worker->posts);
    worker->scratch = xmalloc(NET_SCRATCH_SIZE);
    worker->scratch_tls = xmalloc(NET_SCRATCH_SIZE);
    worker->tls = (struct net_tls_scratch){.out = xmalloc(NET_TLS_OUT_SIZE), .gather = xmalloc(16 * 1024)};
    net_worker_refresh_clock(worker);
    timers_init(&worker->timers, net_now_ms(worker));
    atomic_init(&private->must_stop, false);
    open_mailbox(worker);
    return worker;
}

/* The library frees a loop without closing its epoll descriptor, which follows the public part of the struct. */
static void close_loop(h2o_loop_t *loop)
{
    int epoll_fd = ((struct {
                       h2o_loop_t super;
                       int fd;
                   } *)loop)
                       ->fd;
    h2o_evloop_destroy(loop);
    close(epoll_fd);
}

struct net_worker *net_worker_free(struct net_worker *worker)
{
    if (worker == NULL)
        return NULL;
    assert(!worker->private->has_thread);
    for (int i = 0; i < 4 || !list_is_empty(&worker->posts); i++)
        net_worker_turn(worker, 0);
    h2o_socket_close(worker->private->wakeup);
    close_loop(worker->loop);
    free(worker->scratch);
    free(worker->scratch_tls);
    free(worker->tls.out);
    free(worker->tls.gather);
    free(worker->private);
    free(worker);
    return NULL;
}

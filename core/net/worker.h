/* A worker: one thread, one h2o event loop, its timers, its mailbox, its share of memory.
 *
 * Everything reachable from a worker (sockets, connections, requests, pools, counters) belongs to its thread.
 * Other threads talk to it by message only. Nothing on a worker may block: files, SQLite, DNS and key work are net_job.
 *
 * Threads:   net_worker_send() and net_worker_stop() from any thread; the rest on the worker's own.
 * Limits:    `mem_soft` and `mem_hard` bytes of buffers charged by net_mem_charge(); see net_mem_level(). */
#ifndef SELVEDGE_NET_WORKER_H
#define SELVEDGE_NET_WORKER_H

#include <h2o.h>

#include "core/base/list.h"
#include "core/base/timers.h"

struct net_worker;

enum { NET_SCRATCH_SIZE = 64 * 1024, NET_TLS_OUT_SIZE = 4 * (16 * 1024 + 512) };

/* What io_tls.c works with inside one call: no stream keeps anything in it. */
struct net_tls_scratch {
    const char *in; /* ciphertext not yet given to OpenSSL */
    size_t in_len;
    char *out;      /* NET_TLS_OUT_SIZE bytes: records not yet given to the kernel */
    size_t out_len;
    char *gather;   /* 16 KiB: the plaintext of one record */
};

/* Runs at the end of the current loop turn (before the loop waits again), in the order posted: the only place where
 * connections and requests are destroyed, so that no callback ever returns into freed memory; and where output is
 * flushed, so that what all events of a turn wrote to one stream leaves in one system call. */
struct net_post {
    struct list link; /* unlinked when idle */
    void (*run)(struct net_post *post);
};

/* A message to a worker. The sender allocates; `run` gets it on the worker and frees it. */
struct net_message {
    struct net_message *next; /* the mailbox's */
    void (*run)(struct net_message *message, struct net_worker *worker);
};

enum net_mem_level { NET_MEM_OK, NET_MEM_SHED /* refuse new work */, NET_MEM_CRITICAL /* close what holds most */ };

struct net_worker {
    unsigned index;
    h2o_loop_t *loop;          /* owned */
    struct timers timers;      /* monotonic milliseconds */
    uint64_t now_us;           /* monotonic; read once a loop turn, at its first event (see net_worker_enter) */
    int64_t wall_us;           /* wall clock; likewise */
    bool is_clock_stale;
    struct list posts;         /* of struct net_post */
    size_t mem_used, mem_soft, mem_hard;
    char *scratch;             /* NET_SCRATCH_SIZE bytes for reads; contents last until the next read on this worker */
    char *scratch_tls;         /* the same for ciphertext */
    struct net_tls_scratch tls;
    void *owner;               /* the composition's own per-worker state (struct px_worker …) */
    struct net_worker_private *private;
};

/* `mem_*` of 0 mean no limit. */
struct net_worker *net_worker_new(unsigned index, size_t mem_soft, size_t mem_hard);
/* After the thread has left net_worker_run(), on any thread; sockets and timers of its users must be gone, and job
 * threads stopped or idle. Messages and posts that still wait are run first. NULL is fine; returns NULL. */
struct net_worker *net_worker_free(struct net_worker *worker);
/* Runs until net_worker_stop(), also when that came before. The calling thread becomes the worker's thread. EINTR is survived. */
void net_worker_run(struct net_worker *worker);
/* One turn, waiting at most `max_wait_ms`: for tests and for compositions with a loop of their own. */
void net_worker_turn(struct net_worker *worker, int max_wait_ms);
void net_worker_stop(struct net_worker *worker);
/* Starts a thread that runs the worker; join with net_worker_join(). */
int net_worker_start_thread(struct net_worker *worker, const char *name);
void net_worker_join(struct net_worker *worker);
/* Callbacks of h2o sockets say this first: the clock of a turn is read when its first event arrives, because libh2o has
 * no hook between waiting and the callbacks. (net_io, net_listener, messages and timers have said it already.) */
void net_worker_refresh_clock(struct net_worker *worker);
static inline void net_worker_enter(struct net_worker *worker)
{
    if (UNLIKELY(worker->is_clock_stale))
        net_worker_refresh_clock(worker);
}

/* Takes the message; runs it on the worker's thread in the order sent from each thread. */
void net_worker_send(struct net_worker *worker, struct net_message *message);
/* Posting one that is already waiting does nothing. */
void net_post(struct net_worker *worker, struct net_post *post);
static inline void net_post_init(struct net_post *post, void (*run)(struct net_post *post))
{
    list_init(&post->link);
    post->run = run;
}
static inline void net_post_cancel(struct net_post *post)
{
    list_remove(&post->link);
}

static inline uint64_t net_now_ms(const struct net_worker *worker)
{
    return worker->now_us / 1000;
}
static inline void net_mem_charge(struct net_worker *worker, size_t bytes)
{
    worker->mem_used += bytes;
}
static inline void net_mem_release(struct net_worker *worker, size_t bytes)
{
    worker->mem_used -= bytes;
}
enum net_mem_level net_mem_level(const struct net_worker *worker);

/* ---- work off the loop ---- */

/* One unit of blocking work. Embedded in the caller's operation. `run` is called on a pool thread; then `done` on
 * `worker`, exactly once, never before net_job_submit() returns, unless net_job_cancel() came first: then neither is
 * called later, but `drop` (may be NULL) is, on the worker, once the pool thread has let go: free the operation there. */
struct net_job {
    struct net_message message;
    struct net_worker *worker; /* borrowed */
    void (*run)(struct net_job *job);
    void (*done)(struct net_job *job);
    void (*drop)(struct net_job *job);
    struct list link;
    int state;
};
void net_job_submit(struct net_worker *worker, struct net_job *job);
void net_job_cancel(struct net_job *job);
/* The process's pool: started on first use with 2 threads, or as set here before. Queue bound: 4096 jobs, then `run` is
 * not called and `done` comes with state NET_JOB_REFUSED; the same for those that wait when the pool stops. */
enum { NET_JOB_IDLE, NET_JOB_QUEUED, NET_JOB_RUNNING, NET_JOB_DONE, NET_JOB_CANCELLED, NET_JOB_REFUSED };
enum { NET_JOBS_MAX_QUEUED = 4096 };
void net_jobs_start(unsigned num_threads);
void net_jobs_stop(void); /* waits for running jobs; before net_worker_free() of the workers they report to */

#endif

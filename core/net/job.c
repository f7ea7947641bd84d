/* Blocking work on a few threads of the process.
 *
 * submit -> queue -> a pool thread runs it -> message to the worker -> done, or drop when it was cancelled meanwhile.
 * A job's state changes only under the pool's lock; exactly one message is sent for each submit, whatever happens, and
 * the worker decides on its arrival which of the two callbacks is due. */
#include "core/net/worker.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>

enum { DEFAULT_THREADS = 2, MAX_THREADS = 64 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t is_work;
    struct list queue; /* of struct net_job */
    size_t num_queued;
    pthread_t threads[MAX_THREADS];
    unsigned num_threads;
    bool is_stopping;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .is_work = PTHREAD_COND_INITIALIZER, .queue = LIST_INIT(pool.queue)};

static int job_state(struct net_job *job)
{
    pthread_mutex_lock(&pool.lock);
    int state = job->state;
    pthread_mutex_unlock(&pool.lock);
    return state;
}

static void on_report(struct net_message *message, struct net_worker *worker)
{
    struct net_job *job = CONTAINER_OF(message, struct net_job, message);

    if (job_state(job) != NET_JOB_CANCELLED)
        job->done(job); /* may free the job */
    else if (job->drop != NULL)
        job->drop(job);
}

/* Called with the lock held; the queue is not empty. */
static struct net_job *take_job(int state)
{
    struct net_job *job = LIST_FIRST(&pool.queue, struct net_job, link);
    list_remove(&job->link);
    pool.num_queued--;
    job->state = state;
    return job;
}

static void run_unlocked(struct net_job *job)
{
    pthread_mutex_unlock(&pool.lock);
    job->run(job);
    pthread_mutex_lock(&pool.lock);
    if (job->state == NET_JOB_RUNNING)
        job->state = NET_JOB_DONE;
    net_worker_send(job->worker, &job->message); /* the job may be gone from here on */
}

static void *pool_thread(void *arg)
{
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (list_is_empty(&pool.queue) && !pool.is_stopping)
            pthread_cond_wait(&pool.is_work, &pool.lock);
        if (pool.is_stopping)
            break;
        run_unlocked(take_job(NET_JOB_RUNNING));
    }
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

/* Called with the lock held. */
static void start_threads(unsigned num)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (num = MIN(num, MAX_THREADS); pool.num_threads < num; pool.num_threads++) {
        if (pthread_create(&pool.threads[pool.num_threads], NULL, pool_thread, NULL) != 0)
            break;
        (void)pthread_setname_np(pool.threads[pool.num_threads], "job"); /* for ps and gdb only */
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (pool.num_threads == 0)
        abort(); /* not one thread: nothing that resolves, renews or stores would ever finish */
}

void net_jobs_start(unsigned num_threads)
{
    pthread_mutex_lock(&pool.lock);
    start_threads(MAX(num_threads, 1));
    pthread_mutex_unlock(&pool.lock);
}

void net_jobs_stop(void)
{
    pthread_mutex_lock(&pool.lock);
    unsigned num = pool.num_threads;
    pool.is_stopping = true;
    pthread_cond_broadcast(&pool.is_work);
    pthread_mutex_unlock(&pool.lock);
    for (unsigned i = 0; i < num; i++)
        pthread_join(pool.threads[i], NULL);

    pthread_mutex_lock(&pool.lock);
    while (!list_is_empty(&pool.queue)) {
        struct net_job *job = take_job(NET_JOB_REFUSED);
        net_worker_send(job->worker, &job->message);
    }
    pool.num_threads = 0;
    pool.is_stopping = false;
    pthread_mutex_unlock(&pool.lock);
}

void net_job_submit(struct net_worker *worker, struct net_job *job)
{
    job->worker = worker;
    job->message.run = on_report;
    list_init(&job->link);
    pthread_mutex_lock(&pool.lock);
    if (pool.is_stopping || pool.num_queued >= NET_JOBS_MAX_QUEUED) {
        job->state = NET_JOB_REFUSED;
        net_worker_send(worker, &job->message);
    } else {
        if (pool.num_threads == 0)
            start_threads(DEFAULT_THREADS);
        job->state = NET_JOB_QUEUED;
        list_push(&pool.queue, &job->link);
        pool.num_queued++;
        pthread_cond_signal(&pool.is_work);
    }
    pthread_mutex_unlock(&pool.lock);
}

void net_job_cancel(struct net_job *job)
{
    pthread_mutex_lock(&pool.lock);
    int was = job->state;
    if (was != NET_JOB_IDLE)
        job->state = NET_JOB_CANCELLED;
    if (was == NET_JOB_QUEUED) {
        list_remove(&job->link);
        pool.num_queued--;
        net_worker_send(job->worker, &job->message);
    }
    pthread_mutex_unlock(&pool.lock);
}

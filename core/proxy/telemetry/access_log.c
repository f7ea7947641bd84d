/* A queue of full buffers between the workers and one writer thread. */
#include "core/proxy/telemetry/access_log.h"

#include "core/base/list.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum {
    FLUSH_BYTES = 32 * 1024,
    FLUSH_MS = 1000,
    MAX_QUEUED_BYTES = 4 * 1024 * 1024,
};

struct chunk {
    struct list link;
    struct strbuf text;
    char *path; /* owned; "" is standard output */
};

struct px_access_log {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wakeup;
    /* under the lock */
    struct list queue;
    size_t num_queued_bytes;
    bool must_stop, must_reopen;
    /* the writer's */
    char *path;
    int fd;
};

struct px_access_log_buffer {
    struct px_access_log *log;
    struct net_worker *worker;
    struct metric *dropped;
    struct strbuf text;
    uint64_t num_lines; /* in text */
    bool is_on;
    char *path;         /* owned */
    struct timer timer;
};

/* ---- the writer ---- */

static void close_file(struct px_access_log *log)
{
    if (log->fd > STDERR_FILENO)
        close(log->fd);
    log->fd = -1;
    free(log->path);
    log->path = NULL;
}

static void open_file(struct px_access_log *log, const char *path)
{
    close_file(log);
    log->path = xstrdup(path);
    log->fd = path[0] == '\0' ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log->fd < 0)
        log_event(LOG_ERROR, "access log cannot be opened", "path", path, "why", strerror(errno), NULL);
}

/* Failures are reported once a file, not once a line: the lines are lost either way. */
static void write_all(struct px_access_log *log, const char *bytes, size_t len)
{
    while (len != 0 && log->fd >= 0) {
        ssize_t n = write(log->fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            log_event(LOG_ERROR, "access log cannot be written", "path", log->path, "why", strerror(errno), NULL);
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

static void write_chunk(struct px_access_log *log, struct chunk *chunk)
{
    if (log->path == NULL || strcmp(log->path, chunk->path) != 0)
        open_file(log, chunk->path);
    write_all(log, chunk->text.base, chunk->text.len);
    strbuf_clear(&chunk->text);
    free(chunk->path);
    free(chunk);
}

static struct chunk *next_chunk(struct px_access_log *log)
{
    struct chunk *chunk = NULL;

    pthread_mutex_lock(&log->lock);
    while (list_is_empty(&log->queue) && !log->must_stop && !log->must_reopen)
        pthread_cond_wait(&log->wakeup, &log->lock);
    bool must_reopen = log->must_reopen;
    log->must_reopen = false;
    if (!list_is_empty(&log->queue)) {
        chunk = LIST_FIRST(&log->queue, struct chunk, link);
        list_remove(&chunk->link);
        log->num_queued_bytes -= chunk->text.len;
    }
    pthread_mutex_unlock(&log->lock);
    if (must_reopen)
        close_file(log); /* the next line opens it under its name again */
    return chunk;
}

static bool is_over(struct px_access_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool is_over = log->must_stop && list_is_empty(&log->queue);
    pthread_mutex_unlock(&log->lock);
    return is_over;
}

static void *writer_main(void *arg)
{
    struct px_access_log *log = arg;

    while (!is_over(log)) {
        struct chunk *chunk = next_chunk(log);
        if (chunk != NULL)
            write_chunk(log, chunk);
    }
    return NULL;
}

struct px_access_log *px_access_log_new(void)
{
    struct px_access_log *log = xcalloc(1, sizeof(*log));
    sigset_t all, old;

    log->fd = -1;
    list_init(&log->queue);
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->wakeup, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int ret = pthread_create(&log->thread, NULL, writer_main, log);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (ret != 0)
        abort(); /* no thread for a log at start: nothing else would work either */
    (void)pthread_setname_np(log->thread, "access-log"); /* for ps only */
    return log;
}

static void wake(struct px_access_log *log, bool *flag)
{
    pthread_mutex_lock(&log->lock);
    *flag = true;
    pthread_cond_signal(&log->wakeup);
    pthread_mutex_unlock(&log->lock);
}

struct px_access_log *px_access_log_free(struct px_access_log *log)
{
    if (log == NULL)
        return NULL;
    wake(log, &log->must_stop);
    pthread_join(log->thread, NULL);
    close_file(log);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->wakeup);
    free(log);
    return NULL;
}

void px_access_log_reopen(struct px_access_log *log)
{
    wake(log, &log->must_reopen);
}

/* ---- a worker's buffer ---- */

static bool hand_over(struct px_access_log *log, struct chunk *chunk)
{
    bool has_room;

    pthread_mutex_lock(&log->lock);
    has_room = log->num_queued_bytes + chunk->text.len <= MAX_QUEUED_BYTES;
    if (has_room) {
        list_push(&log->queue, &chunk->link);
        log->num_queued_bytes += chunk->text.len;
        pthread_cond_signal(&log->wakeup);
    }
    pthread_mutex_unlock(&log->lock);
    return has_room;
}

void px_access_log_flush(struct px_access_log_buffer *buffer)
{
    timer_stop(&buffer->timer);
    if (buffer->text.len == 0)
        return;
    struct chunk *chunk = xcalloc(1, sizeof(*chunk));
    chunk->text = buffer->text;
    chunk->path = xstrdup(buffer->path);
    buffer->text = STRBUF_INIT;
    if (!hand_over(buffer->log, chunk)) {
        metric_add(buffer->dropped, buffer->num_lines);
        strbuf_clear(&chunk->text);
        free(chunk->path);
        free(chunk);
    }
    buffer->num_lines = 0;
}

static void on_timer(struct timer *timer)
{
    px_access_log_flush(CONTAINER_OF(timer, struct px_access_log_buffer, timer));
}

struct px_access_log_buffer *px_access_log_buffer_new(struct px_access_log *log, struct net_worker *worker,
                                                      struct metric *dropped)
{
    struct px_access_log_buffer *buffer = xcalloc(1, sizeof(*buffer));

    buffer->log = log;
    buffer->worker = worker;
    buffer->dropped = dropped;
    buffer->path = xstrdup("");
    timer_init(&buffer->timer, on_timer);
    return buffer;
}

struct px_access_log_buffer *px_access_log_buffer_free(struct px_access_log_buffer *buffer)
{
    if (buffer == NULL)
        return NULL;
    px_access_log_flush(buffer);
    strbuf_clear(&buffer->text);
    free(buffer->path);
    free(buffer);
    return NULL;
}

void px_access_log_configure(struct px_access_log_buffer *buffer, struct slice target)
{
    bool is_stdout = slice_eq(target, SLICE("stdout"));

    if (buffer == NULL)
        return;
    px_access_log_flush(buffer); /* what was written for the old target goes there */
    buffer->is_on = target.len != 0 && !slice_eq(target, SLICE("off"));
    free(buffer->path);
    buffer->path = is_stdout || !buffer->is_on ? xstrdup("") : xstrndup(target.base, target.len);
}

bool px_access_log_is_on(const struct px_access_log_buffer *buffer)
{
    return buffer != NULL && buffer->is_on;
}

struct strbuf *px_access_log_line(struct px_access_log_buffer *buffer)
{
    return &buffer->text;
}

void px_access_log_commit(struct px_access_log_buffer *buffer)
{
    ++buffer->num_lines;
    if (buffer->text.len >= FLUSH_BYTES)
        px_access_log_flush(buffer);
    else if (!timer_is_running(&buffer->timer))
        timer_start(&buffer->worker->timers, &buffer->timer, net_now_ms(buffer->worker) + FLUSH_MS);
}

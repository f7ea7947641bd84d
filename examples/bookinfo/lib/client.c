/* A pool of idle connections and one exchange at a time on each. */
#include "examples/bookinfo/lib/client.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>

enum { MAX_IDLE = 32, MAX_IDLE_MS = 4000 };

struct idle {
    struct bk_stream *stream;
    uint64_t since_ms;
};

struct bk_target {
    char *authority, *base_path;
    char *host, *port; /* where connections go */
    pthread_mutex_t lock;
    size_t num_idle;
    struct idle idle[MAX_IDLE]; /* the freshest last */
};

/* HOST, HOST:PORT or [V6]:PORT. */
static int split_authority(struct slice text, char **ret_host, char **ret_port, struct err *err)
{
    struct slice host = text, port = SLICE("80");
    const char *colon = text.len != 0 ? memrchr(text.base, ':', text.len) : NULL;
    const char *bracket = text.len != 0 ? memchr(text.base, ']', text.len) : NULL;
    uint64_t number;
    if (colon != NULL && (bracket == NULL || colon > bracket)) {
        host.len = (size_t)(colon - text.base);
        port = slice_make(colon + 1, text.len - host.len - 1);
    }
    if (host.len > 2 && host.base[0] == '[' && host.base[host.len - 1] == ']')
        host = slice_make(host.base + 1, host.len - 2);
    if (host.len == 0 || host.len > 255 || !bk_parse_number(port, 65535, &number) || number == 0)
        return err_set(err, ERR_INVALID, "'%.*s' is no HOST:PORT", (int)text.len, text.base);
    *ret_host = xstrndup(host.base, host.len);
    *ret_port = xstrndup(port.base, port.len);
    return 0;
}

struct bk_target *bk_target_new(const char *url, const char *via, struct err *err)
{
    static const char scheme[] = "http://";
    if (strncmp(url, scheme, strlen(scheme)) != 0) {
        err_set(err, ERR_INVALID, "'%s' does not begin with http://", url);
        return NULL;
    }
    const char *authority = url + strlen(scheme);
    size_t len = strcspn(authority, "/?#");
    struct bk_target *target = xcalloc(1, sizeof(*target));
    pthread_mutex_init(&target->lock, NULL);
    target->authority = xstrndup(authority, len);
    target->base_path = xstrdup(authority + len);
    len = strlen(target->base_path);
    if (len != 0 && target->base_path[len - 1] == '/')
        target->base_path[len - 1] = '\0';
    struct slice where = slice_of(via != NULL && via[0] != '\0' ? via : target->authority);
    if (split_authority(where, &target->host, &target->port, err) != 0)
        return bk_target_free(target);
    return target;
}

static void stream_free(struct bk_stream *stream)
{
    bk_stream_close(stream);
    free(stream);
}

struct bk_target *bk_target_free(struct bk_target *target)
{
    if (target == NULL)
        return NULL;
    while (target->num_idle != 0)
        stream_free(target->idle[--target->num_idle].stream);
    pthread_mutex_destroy(&target->lock);
    free(target->authority);
    free(target->base_path);
    free(target->host);
    free(target->port);
    free(target);
    return NULL;
}

const char *bk_target_authority(const struct bk_target *target)
{
    return target->authority;
}

/* A kept connection that still looks alive: nothing to read, since nothing was asked. */
static struct bk_stream *take_idle(struct bk_target *target)
{
    for (;;) {
        struct idle idle = {NULL, 0};
        pthread_mutex_lock(&target->lock);
        if (target->num_idle != 0)
            idle = target->idle[--target->num_idle];
        pthread_mutex_unlock(&target->lock);
        if (idle.stream == NULL)
            return NULL;
        if (clock_mono_ms() - idle.since_ms < MAX_IDLE_MS &&
            bk_wait(idle.stream->fd, POLLIN, clock_mono_ms()) == 0)
            return idle.stream;
        stream_free(idle.stream);
    }
}

static void keep(struct bk_target *target, struct bk_stream *stream)
{
    bool is_kept = false;
    pthread_mutex_lock(&target->lock);
    if (target->num_idle < MAX_IDLE) {
        target->idle[target->num_idle++] = (struct idle){stream, clock_mono_ms()};
        is_kept = true;
    }
    pthread_mutex_unlock(&target->lock);
    if (!is_kept)
        stream_free(stream);
}

static struct bk_stream *open_fresh(struct bk_target *target, uint64_t deadline_ms, struct err *err)
{
    int fd = bk_connect(target->host, target->port, deadline_ms, err);
    if (fd < 0)
        return NULL;
    struct bk_stream *stream = xmalloc(sizeof(*stream));
    bk_stream_init(stream, fd);
    return stream;
}

/* Sends and reads; afterwards the stream is kept or gone. */
static int exchange(struct bk_target *target, struct bk_stream *stream, const struct strbuf *request,
                    bool is_head, uint64_t deadline_ms, struct bk_message *ret, struct err *err)
{
    int rc = bk_stream_write(stream, request->base, request->len, deadline_ms, err);
    if (rc == 0)
        rc = bk_response_read(stream, ret, is_head, deadline_ms, err);
    else if (err->code != ERR_TIMEOUT)
        err->code = ERR_UNAVAILABLE; /* not a byte of answer came */
    if (rc == 0 && !ret->is_last && stream->start == stream->end)
        keep(target, stream);
    else
        stream_free(stream);
    return rc;
}

int bk_target_call(struct bk_target *target, const char *method, const char *path, struct slice headers,
                   struct slice body, unsigned timeout_ms, struct bk_message *ret, struct err *err)
{
    uint64_t deadline_ms = clock_mono_ms() + timeout_ms;
    bool is_head = strcmp(method, "HEAD") == 0;
    struct strbuf request = STRBUF_INIT;
    strbuf_addf(&request, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bookinfo\r\nAccept: */*\r\n", method,
                target->base_path, path, target->authority);
    strbuf_add_slice(&request, headers);
    if (body.base != NULL)
        strbuf_addf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
    strbuf_adds(&request, "\r\n");
    strbuf_add_slice(&request, body);

    int rc = -1;
    struct bk_stream *stream = take_idle(target);
    bool is_done = false;
    if (stream != NULL) {
        rc = exchange(target, stream, &request, is_head, deadline_ms, ret, err);
        is_done = rc == 0 || err->code != ERR_UNAVAILABLE;
    }
    if (!is_done) {
        stream = open_fresh(target, deadline_ms, err);
        rc = stream != NULL ? exchange(target, stream, &request, is_head, deadline_ms, ret, err) : -1;
    }
    strbuf_clear(&request);
    return rc;
}

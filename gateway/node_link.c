/* Config stream -> data plane. */
#include "gateway/node_link.h"

#include "core/base/log.h"
#include "core/route/decide.h"

#include <pthread.h>
#include <stdatomic.h>

struct node_link {
    struct net_worker *main;
    struct px_dataplane *dataplane;
    struct node_config_stream *stream;
    atomic_bool is_connected, is_stopping;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
};

/* One document on its way: lives on the stream thread's stack while that waits. */
struct passage {
    struct net_message message;
    struct node_link *link;
    struct cfg_snapshot *snapshot;
    struct arena *arena;
    struct json *findings;
    struct err *err;
    int status;
    bool is_done;
};

static void add_finding(struct passage *passage, const struct px_listener_status *listener)
{
    struct json *finding = json_push(passage->findings, json_new_object(passage->arena));
    json_set_str(passage->arena, finding, "kind", "listener");
    json_set(passage->arena, finding, "name", json_new_string(passage->arena, listener->name));
    json_set_str(passage->arena, finding, "message", listener->why);
}

static void on_result(const struct px_result *result, void *data)
{
    struct passage *passage = data;
    struct node_link *link = passage->link;
    pthread_mutex_lock(&link->mutex);
    if (!result->is_applied)
        passage->status = err_set(passage->err, ERR_INVALID, "%s", result->why);
    for (uint32_t i = 0; result->is_applied && i < result->num_listeners; ++i)
        if (!result->listeners[i].is_open)
            add_finding(passage, &result->listeners[i]);
    passage->is_done = true;
    pthread_cond_signal(&link->cond);
    pthread_mutex_unlock(&link->mutex);
}

static void hand_over(struct net_message *message, struct net_worker *worker)
{
    struct passage *passage = CONTAINER_OF(message, struct passage, message);
    px_dataplane_apply(passage->link->dataplane, passage->snapshot, on_result, passage);
}

static int apply(void *data, const struct cfg_document *doc, struct arena *arena, struct json *findings, struct err *err)
{
    struct node_link *link = data;
    struct passage passage = {.link = link, .arena = arena, .findings = findings, .err = err};
    passage.snapshot = rt_snapshot_build(doc, err);
    if (passage.snapshot == NULL)
        return -1;
    passage.message.run = hand_over;
    pthread_mutex_lock(&link->mutex);
    net_worker_send(link->main, &passage.message);
    while (!passage.is_done)
        pthread_cond_wait(&link->cond, &link->mutex);
    pthread_mutex_unlock(&link->mutex);
    return passage.status;
}

static void on_connected(void *data, bool is_connected, const char *why)
{
    struct node_link *link = data;
    bool was_connected = atomic_exchange(&link->is_connected, is_connected);
    if (is_connected)
        log_event(LOG_INFO, "connected to control", NULL);
    else if (was_connected)
        log_event(LOG_WARN, "lost control; serving on with the configuration at hand", "why", why, NULL);
    else
        log_event(LOG_DEBUG, "control does not answer", "why", why, NULL);
}

bool node_link_is_connected(const struct node_link *link)
{
    return atomic_load(&link->is_connected);
}

struct node_link *node_link_start(struct net_worker *main, struct px_dataplane *dataplane,
                                  const struct node_config_stream_config *config, struct err *err)
{
    struct node_link *link = xcalloc(1, sizeof(*link));
    struct node_config_stream_config stream = *config;
    link->main = main;
    link->dataplane = dataplane;
    pthread_mutex_init(&link->mutex, NULL);
    pthread_cond_init(&link->cond, NULL);
    stream.apply = apply;
    stream.on_connected = on_connected;
    stream.data = link;
    link->stream = node_config_stream_start(&stream, err);
    if (link->stream != NULL)
        return link;
    free(link);
    return NULL;
}

static void *stop_stream(void *data)
{
    struct node_link *link = data;
    link->stream = node_config_stream_stop(link->stream);
    atomic_store(&link->is_stopping, true);
    return NULL;
}

/* The stream's thread may be waiting for this very loop to apply something: somebody else has to wait for the thread. */
struct node_link *node_link_stop(struct node_link *link)
{
    pthread_t thread;
    if (link == NULL)
        return NULL;
    if (pthread_create(&thread, NULL, stop_stream, link) == 0) {
        while (!atomic_load(&link->is_stopping))
            net_worker_turn(link->main, 10);
        pthread_join(thread, NULL);
    }
    pthread_cond_destroy(&link->cond);
    pthread_mutex_destroy(&link->mutex);
    free(link);
    return NULL;
}

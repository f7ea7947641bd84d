/* Streams and reports of nodes, and their Node objects. Joining is join.c. */
#include "gateway/control/nodes.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "gateway/control/nodes_internal.h"

#include <stdio.h>

/* ---------- who may ---------- */

int ctl_nodes_check(struct ctl_nodes *nodes, const struct ctl_call *call, struct slice name, struct err *err)
{
    char want[CTL_NODE_ID_MAX];
    if (call->peer == CTL_PEER_LOCAL && slice_is(name, "local"))
        return 0;
    snprintf(want, sizeof(want), "spiffe://%s/node/%.*s", ctl_ca_trust_domain(nodes->config.ca), (int)name.len, name.base);
    if (call->peer != CTL_PEER_TLS || call->spiffe_id.base == NULL)
        return err_set(err, ERR_UNAUTHORIZED, "a node's certificate is needed");
    if (call->cert_ends_us <= clock_wall_us())
        return err_set(err, ERR_UNAUTHORIZED, "the certificate has expired since the connection was opened; connect again with a newer one");
    if (!slice_is(call->spiffe_id, want))
        return err_set(err, ERR_FORBIDDEN, "%.*s may not act as node %.*s", (int)call->spiffe_id.len, call->spiffe_id.base, (int)name.len,
                       name.base);
    struct ctl_key key = {CTL_NODE_KIND, SLICE(""), name};
    const struct ctl_object *node = ctl_cache_get(nodes->config.cache, &key);
    if (node == NULL)
        return err_set(err, ERR_FORBIDDEN, "node %.*s has been removed; join again", (int)name.len, name.base);
    if (call->enrolment.base == NULL || !slice_eq(call->enrolment, node->uid))
        return err_set(err, ERR_FORBIDDEN, "the certificate is of an earlier enrolment of node %.*s; join again", (int)name.len, name.base);
    return 0;
}

static bool is_refused(struct ctl_nodes *nodes, struct ctl_call *call, struct slice name)
{
    struct err err = ERR_INIT;
    if (ctl_nodes_check(nodes, call, name, &err) == 0)
        return false;
    ctl_call_fail(call, &err);
    return true;
}

/* ---------- the stream ---------- */

static bool stream_write(void *data, struct slice bytes)
{
    return ctl_call_write(data, bytes);
}

static void stream_close(void *data)
{
    struct ctl_call *call = data;
    call->data = NULL;
    ctl_call_end(call);
}

static const struct ctl_subscriber_ops stream_ops = {stream_write, stream_close};

static void on_stream_writable(struct ctl_call *call)
{
    if (call->data != NULL)
        ctl_subscriber_writable(call->data);
}

static void on_stream_gone(struct ctl_call *call)
{
    if (call->data != NULL)
        ctl_subscriber_free(call->data);
    call->data = NULL;
    ctl_call_end(call);
}

void ctl_nodes_stream(struct ctl_nodes *nodes, struct ctl_call *call, struct slice name)
{
    struct err err = ERR_INIT;
    if (is_refused(nodes, call, name))
        return;
    struct slice since = ctl_call_request_header(call, "last-event-id");
    if (since.base == NULL)
        since = ctl_call_param(call, "since");
    struct slice role = ctl_call_param(call, "role");
    if (role.base != NULL && !slice_is(role, "gateway")) {
        err_set(&err, ERR_BAD_REQUEST, "role: \"%.*s\" is not served; only \"gateway\" is", (int)role.len, role.base);
        ctl_call_fail(call, &err);
        return;
    }
    call->on_gone = on_stream_gone;
    call->on_writable = on_stream_writable;
    ctl_call_stream(call, 200, "text/event-stream");
    struct ctl_subscription subscription = {.node = name, .role = SLICE("gateway"), .address = call->origin, .since = since};
    subscription.sum = ctl_call_param(call, "sum");
    subscription.until_us = call->cert_ends_us;
    call->data = ctl_distributor_subscribe(nodes->config.distributor, &subscription, &stream_ops, call, &err);
    if (call->data == NULL)
        ctl_call_end(call); /* too many nodes: the stream ends, the node tries again later */
}

void ctl_nodes_snapshot(struct ctl_nodes *nodes, struct ctl_call *call, struct slice name)
{
    char etag[64];
    struct err err = ERR_INIT;
    if (is_refused(nodes, call, name))
        return;
    struct slice body = ctl_distributor_snapshot(nodes->config.distributor, etag);
    if (body.base == NULL) {
        err_set(&err, ERR_UNAVAILABLE, "nothing has been compiled yet");
        ctl_call_fail(call, &err);
        return;
    }
    ctl_call_header(call, "etag", slice_of(etag));
    struct slice known = ctl_call_request_header(call, "if-none-match");
    bool is_same = slice_is(known, etag);
    ctl_call_reply(call, is_same ? 304 : 200, "application/json", is_same ? SLICE("") : body);
}

void ctl_nodes_report(struct ctl_nodes *nodes, struct ctl_call *call, struct slice name)
{
    struct err err = ERR_INIT;
    if (is_refused(nodes, call, name))
        return;
    struct json *report = json_parse(call->arena, call->body, &err);
    if (report == NULL || ctl_distributor_report(nodes->config.distributor, name, report, &err) != 0)
        ctl_call_fail(call, &err);
    else
        ctl_call_reply(call, 204, NULL, SLICE(""));
}

/* ---------- Node objects ---------- */

/* What is to be written about a node; kept until the flush. */
struct news {
    struct list link;
    struct ctl_node_view view; /* texts owned below */
    char *name, *role, *version, *address, *errors;
};

static void news_free(struct news *news)
{
    free(news->name);
    free(news->role);
    free(news->version);
    free(news->address);
    free(news->errors);
    free(news);
}

static char *dup_slice(struct slice text)
{
    return xstrndup(text.base, text.len);
}

static struct news *news_new(const struct ctl_node_view *view)
{
    struct news *news = xcalloc(1, sizeof(*news));
    news->view = *view;
    news->name = dup_slice(view->name);
    news->role = dup_slice(view->role);
    news->version = dup_slice(view->version);
    news->address = dup_slice(view->address);
    news->errors = dup_slice(view->errors);
    return news;
}

static struct json *base_object(struct ctl_nodes *nodes, struct arena *arena, const struct news *news, uint64_t *ret_rev)
{
    struct ctl_key key = {CTL_NODE_KIND, SLICE(""), slice_of(news->name)};
    struct ctl_object *object = ctl_cache_get(nodes->config.cache, &key);
    struct json *tree = object != NULL ? ctl_object_tree(arena, object) : NULL;
    *ret_rev = object != NULL ? object->rev : 0;
    if (tree != NULL) {
        json_remove(json_get(tree, "metadata"), "resourceVersion");
        return tree;
    }
    return ctl_nodes_new_object(arena, slice_of(news->name), slice_of(news->role));
}

static void add_condition(struct arena *arena, struct json *conditions, const struct json *old, const char *type, bool is_true, const char *reason,
                          const char *message)
{
    char now[CLOCK_RFC3339_LEN + 1];
    const char *status = is_true ? "True" : "False", *since = now;
    clock_rfc3339(clock_wall_us(), now);
    JSON_FOR(before, old)
    if (strcmp(json_str(json_get(before, "type"), ""), type) == 0 && strcmp(json_str(json_get(before, "status"), ""), status) == 0)
        since = json_str(json_get(before, "lastTransitionTime"), now);
    struct json *condition = json_push(conditions, json_new_object(arena));
    json_set_str(arena, condition, "type", type);
    json_set_str(arena, condition, "status", status);
    json_set_str(arena, condition, "reason", reason);
    json_set_str(arena, condition, "message", message);
    json_set_str(arena, condition, "lastTransitionTime", since);
}

static void set_status(struct arena *arena, struct json *tree, const struct news *news)
{
    static const char *const states[] = {"Unknown", "Synced", "Pending", "Rejected"};
    char seen[CLOCK_RFC3339_LEN + 1];
    const struct ctl_node_view *view = &news->view;
    const struct json *old = json_find(tree, "status", "conditions", NULL);
    struct json *status = json_new_object(arena);
    clock_rfc3339(view->last_seen_us, seen);
    json_set_str(arena, status, "state", view->is_connected ? states[view->state] : "Offline");
    json_set_bool(arena, status, "connected", view->is_connected);
    json_set_str(arena, status, "version", news->version);
    json_set_str(arena, status, "address", news->address);
    json_set_str(arena, status, "lastSeen", seen);
    json_set_int(arena, status, "appliedRevision", (int64_t)view->applied_rev);
    json_set_int(arena, status, "attemptedRevision", (int64_t)view->attempted_rev);
    json_set_int(arena, status, "sentRevision", (int64_t)view->sent_rev);
    json_set(arena, status, "errors", json_parse(arena, slice_of(news->errors), NULL));
    struct json *conditions = json_set(arena, status, "conditions", json_new_array(arena));
    add_condition(arena, conditions, old, "Ready", view->is_connected, view->is_connected ? "Connected" : "Offline", "");
    add_condition(arena, conditions, old, "Synced", view->state == CTL_NODE_SYNCED, states[view->state], "");
    json_set(arena, tree, "status", status);
}

struct flush {
    struct ctl_txn txn;
    struct net_message message;
    struct net_worker *worker;
    struct arena *arena;
};

static void on_flush_reply(struct net_message *message, struct net_worker *worker)
{
    struct flush *flush = CONTAINER_OF(message, struct flush, message);
    enum err_code code = flush->txn.err.code;
    if (code != ERR_NONE && code != ERR_CONFLICT && code != ERR_NOT_FOUND)
        log_err(LOG_WARN, "node statuses were not stored", &flush->txn.err);
    arena_free(flush->arena);
    free(flush);
}

static void on_flushed(struct ctl_txn *txn)
{
    struct flush *flush = CONTAINER_OF(txn, struct flush, txn);
    flush->message.run = on_flush_reply;
    net_worker_send(flush->worker, &flush->message);
}

static void fill_write(struct ctl_nodes *nodes, struct flush *flush, struct ctl_write *write, const struct news *news)
{
    struct strbuf text = STRBUF_INIT;
    struct json *tree = base_object(nodes, flush->arena, news, &write->expect_rev);
    set_status(flush->arena, tree, news);
    json_write(&text, tree);
    write->op = CTL_PUT;
    write->key = (struct ctl_key){CTL_NODE_KIND, SLICE(""), slice_of(arena_strdup(flush->arena, news->name))};
    write->expect_absent = write->expect_rev == 0;
    write->object = arena_slice(flush->arena, strbuf_slice(&text));
    write->is_status = true;
    strbuf_clear(&text);
}

static bool is_ours_to_write(struct ctl_nodes *nodes, const struct news *news)
{
    struct ctl_key key = {CTL_NODE_KIND, SLICE(""), slice_of(news->name)};
    return strcmp(news->name, "local") == 0 || ctl_cache_get(nodes->config.cache, &key) != NULL; /* a removed node stays so */
}

static void on_flush_due(struct timer *timer)
{
    struct ctl_nodes *nodes = CONTAINER_OF(timer, struct ctl_nodes, flush_timer);
    struct flush *flush = xcalloc(1, sizeof(*flush));
    flush->worker = nodes->config.worker;
    nodes->flushed_ms = net_now_ms(nodes->config.worker);
    flush->arena = arena_new(0);
    flush->txn.writes = arena_zalloc(flush->arena, nodes->num_news * sizeof(struct ctl_write));
    LIST_FOR_SAFE(news, &nodes->news, struct news, link)
    {
        if (is_ours_to_write(nodes, news))
            fill_write(nodes, flush, &flush->txn.writes[flush->txn.num_writes++], news);
        list_remove(&news->link);
        hashmap_remove(&nodes->news_by_name, news->name, strlen(news->name));
        news_free(news);
    }
    nodes->num_news = 0;
    flush->txn.actor = SLICE("system:nodes");
    flush->txn.origin = SLICE("control");
    flush->txn.done = on_flushed;
    ctl_store_submit(nodes->config.store, &flush->txn);
}

void ctl_nodes_on_node(struct ctl_nodes *nodes, const struct ctl_node_view *view)
{
    struct news *old = hashmap_get(&nodes->news_by_name, view->name.base, view->name.len);
    if (old != NULL) {
        list_remove(&old->link);
        hashmap_remove(&nodes->news_by_name, old->name, strlen(old->name));
        news_free(old);
        --nodes->num_news;
    }
    struct news *news = news_new(view);
    list_push(&nodes->news, &news->link);
    hashmap_puts(&nodes->news_by_name, news->name, news);
    ++nodes->num_news;
    if (!timer_is_running(&nodes->flush_timer))
        timer_start(&nodes->config.worker->timers, &nodes->flush_timer,
                    MAX(net_now_ms(nodes->config.worker) + CTL_NODES_SOON_MS, nodes->flushed_ms + CTL_NODES_FLUSH_MS));
}

/* Whoever was removed, or whose name was joined anew, is shut out at once: not only from the next call on, but from the
 * stream he has open. */
static void on_changes(struct ctl_listener *listener, const struct ctl_applied *changes, size_t num)
{
    struct ctl_nodes *nodes = CONTAINER_OF(listener, struct ctl_nodes, listener);
    for (size_t i = 0; i < num; ++i) {
        const struct ctl_object *before = changes[i].before, *after = changes[i].after;
        if (before == NULL || !slice_eq(before->key.kind, CTL_NODE_KIND) || slice_is(before->key.name, "local"))
            continue;
        if (after != NULL && slice_eq(before->uid, after->uid))
            continue;
        ctl_distributor_forget(nodes->config.distributor, before->key.name);
    }
}

/* ---------- life ---------- */

struct ctl_nodes *ctl_nodes_new(const struct ctl_nodes_config *config)
{
    struct ctl_nodes *nodes = xcalloc(1, sizeof(*nodes));
    nodes->config = *config;
    list_init(&nodes->news);
    timer_init(&nodes->flush_timer, on_flush_due);
    nodes->listener.run = on_changes;
    list_init(&nodes->listener.link);
    ctl_cache_listen(config->cache, &nodes->listener);
    return nodes;
}

struct ctl_nodes *ctl_nodes_free(struct ctl_nodes *nodes)
{
    if (nodes == NULL)
        return NULL;
    ctl_cache_unlisten(&nodes->listener);
    timer_stop(&nodes->flush_timer);
    LIST_FOR_SAFE(news, &nodes->news, struct news, link)
    {
        list_remove(&news->link);
        news_free(news);
    }
    hashmap_clear(&nodes->news_by_name);
    free(nodes);
    return NULL;
}

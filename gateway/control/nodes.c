/* Streams and reports of nodes. Joining is join.c, what Node objects tell is node_status.c. */
#include "gateway/control/nodes.h"

#include "core/base/clock.h"
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

void ctl_nodes_on_node(struct ctl_nodes *nodes, const struct ctl_node_view *view)
{
    ctl_node_status_note(nodes->status, view);
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
        ctl_node_status_forget(nodes->status, before->key.name);
    }
}

/* ---------- life ---------- */

struct ctl_nodes *ctl_nodes_new(const struct ctl_nodes_config *config)
{
    struct ctl_nodes *nodes = xcalloc(1, sizeof(*nodes));
    nodes->config = *config;
    nodes->status = ctl_node_status_new(config->worker, config->store, config->cache);
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
    nodes->status = ctl_node_status_free(nodes->status);
    free(nodes);
    return NULL;
}

/* Nodes and their streams. A version is one compiled document with its texts; nodes point at the version they were last sent
 * and at the one they applied. Sending is a function of those two pointers, so nothing is ever queued. */
#include "gateway/control/distributor_private.h"

#include "core/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

enum { HEARTBEAT_MS = 15000, GOAWAY_MS = 1000, GOAWAY_NODE_MS = 2 /* a handshake takes about half of that */,
       LOOK_MS = 60000 /* how late a stream may end when the wall clock was set forward */ };

/* ---------- sending ---------- */

static void send_bookmark(struct ctl_subscriber *subscriber, uint64_t rev)
{
    struct strbuf out = STRBUF_INIT;
    dist_event_begin(subscriber->distributor, &out, "bookmark", rev);
    strbuf_addf(&out, "{\"sum\":\"%016" PRIx64 "\"}\n\n", subscriber->sent->sum);
    subscriber->sent_rev = rev;
    subscriber->is_due = false;
    subscriber->is_blocked = !subscriber->ops->write(subscriber->data, strbuf_slice(&out));
    strbuf_clear(&out);
}

static void send_version(struct ctl_subscriber *subscriber, struct version *version)
{
    struct ctl_distributor *distributor = subscriber->distributor;
    /* A base of another history or none at all, or a difference larger than half the whole: send the whole. */
    struct slice bytes = {NULL, 0};
    if (subscriber->sent != NULL)
        bytes = dist_delta_event(distributor, subscriber->sent, version);
    if (bytes.base == NULL || bytes.len > 4096) {
        struct slice whole = dist_snapshot_event(distributor, version);
        if (bytes.base == NULL || bytes.len > whole.len / 2)
            bytes = whole;
    }
    dist_replace_version(&subscriber->sent, version);
    subscriber->sent_rev = version->last_rev;
    subscriber->is_due = false;
    ++version->num_tried;
    if (subscriber->node->state != CTL_NODE_PENDING) {
        subscriber->node->state = CTL_NODE_PENDING;
        dist_tell_node(distributor, subscriber->node);
    }
    subscriber->is_blocked = !subscriber->ops->write(subscriber->data, bytes);
}

/* After a restart of ours nodes are back before the first compile: what they have is then found to be just what is current. */
static void recognize(struct ctl_subscriber *subscriber, struct version *current)
{
    struct node *node = subscriber->node;
    if (subscriber->sent != NULL || subscriber->claimed_sum == 0 || subscriber->claimed_sum != current->sum)
        return;
    dist_replace_version(&subscriber->sent, current);
    dist_replace_version(&node->applied, current);
    node->state = CTL_NODE_SYNCED;
    node->applied_rev = current->last_rev;
    dist_tell_node(subscriber->distributor, node);
}

/* What this node should get next, if anything. Revisions that change nothing for the nodes come often and to all at once:
 * their bookmark takes the place of the next heartbeat. */
void dist_advance(struct ctl_subscriber *subscriber)
{
    struct version *current = subscriber->distributor->current;
    if (subscriber->is_blocked || current == NULL)
        return;
    recognize(subscriber, current);
    if (current != subscriber->sent) {
        if (current->is_fused || subscriber->node->rejected == current)
            return;
        /* The last thing sent was refused: the node still has what it applied, so the difference starts there. */
        if (subscriber->sent != NULL && subscriber->node->rejected == subscriber->sent)
            dist_replace_version(&subscriber->sent, subscriber->node->applied);
        if (current != subscriber->sent) {
            send_version(subscriber, current);
            return;
        }
    }
    if (subscriber->is_due && subscriber->sent_rev < current->last_rev)
        send_bookmark(subscriber, current->last_rev);
}

/* ---------- nodes ---------- */

/* With what is current it runs every revision that changed nothing for it, told of it or not. */
static uint64_t applied_rev(const struct node *node)
{
    bool is_current = node->subscriber != NULL && node->state == CTL_NODE_SYNCED && node->applied != NULL;
    return is_current ? MAX(node->applied_rev, node->applied->last_rev) : node->applied_rev;
}

static struct ctl_node_view view_of(const struct node *node)
{
    return (struct ctl_node_view){
        .name = slice_of(node->name),
        .role = slice_of(node->role),
        .version = slice_of(node->version),
        .address = slice_of(node->address),
        .boot_id = slice_of(node->boot_id),
        .is_connected = node->subscriber != NULL,
        .state = node->state,
        .applied_rev = applied_rev(node),
        .attempted_rev = node->attempted_rev,
        .sent_rev = node->subscriber != NULL ? node->subscriber->sent_rev : 0,
        .last_seen_us = node->last_seen_us,
        .connected_us = node->connected_us,
        .errors = slice_of(node->errors),
    };
}

void dist_tell_node(struct ctl_distributor *distributor, const struct node *node)
{
    struct ctl_node_view view = view_of(node);
    if (distributor->config.on_node != NULL)
        distributor->config.on_node(distributor->config.data, &view);
}

void dist_set_text(char **at, struct slice text)
{
    free(*at);
    *at = xstrndup(text.base != NULL ? text.base : "", text.len);
}

struct node *dist_node_for(struct ctl_distributor *distributor, struct slice name)
{
    struct node *node = hashmap_get(&distributor->nodes_by_name, name.base, name.len);
    if (node != NULL || hashmap_len(&distributor->nodes_by_name) >= DIST_MAX_NODES)
        return node;
    node = xcalloc(1, sizeof(*node));
    node->name = xstrndup(name.base, name.len);
    node->role = xstrdup("gateway");
    node->version = xstrdup("");
    node->address = xstrdup("");
    node->boot_id = xstrdup("");
    node->errors = xstrdup("[]");
    list_push(&distributor->nodes, &node->link);
    hashmap_put(&distributor->nodes_by_name, node->name, name.len, node);
    return node;
}

static void node_free(struct node *node)
{
    dist_version_unref(node->applied);
    dist_version_unref(node->rejected);
    dist_version_unref(node->counted);
    free(node->name);
    free(node->role);
    free(node->version);
    free(node->address);
    free(node->boot_id);
    free(node->errors);
    free(node);
}

/* ---------- streams ---------- */

static bool parse_token(const struct ctl_distributor *distributor, struct slice since, uint64_t *ret_rev)
{
    char text[64];
    uint64_t epoch;
    if (since.len == 0 || since.len >= sizeof(text))
        return false;
    memcpy(text, since.base, since.len);
    text[since.len] = '\0';
    return sscanf(text, "%" SCNx64 ":%" SCNu64, &epoch, ret_rev) == 2 && epoch == distributor->config.epoch;
}

/* What the node already has: a version still remembered, of which the node's own sum must be that one's. */
static struct version *known_base(struct ctl_distributor *distributor, uint64_t rev, uint64_t sum)
{
    struct version *version = dist_version_at(distributor, rev);
    return version != NULL && version->sum == sum ? version : NULL;
}

static uint64_t parse_sum(struct slice text)
{
    uint64_t sum = 0;
    char digits[24];
    if (text.len == 0 || text.len >= sizeof(digits))
        return 0;
    memcpy(digits, text.base, text.len);
    digits[text.len] = '\0';
    return sscanf(digits, "%" SCNx64, &sum) == 1 ? sum : 0;
}

static void detach(struct ctl_subscriber *subscriber)
{
    struct node *node = subscriber->node;
    if (node->subscriber == subscriber)
        node->subscriber = NULL;
    timer_stop(&subscriber->end_timer);
    dist_version_unref(subscriber->sent);
    free(subscriber);
}

static void end_stream(struct ctl_subscriber *subscriber)
{
    const struct ctl_subscriber_ops *ops = subscriber->ops;
    void *data = subscriber->data;
    detach(subscriber);
    ops->close(data);
}

static void send_goaway(struct ctl_subscriber *subscriber, unsigned reconnect_ms)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "event: goaway\ndata: {\"reconnectMs\":%u}\n\n", reconnect_ms);
    (void)subscriber->ops->write(subscriber->data, slice_make(text, (size_t)len)); /* best effort */
    end_stream(subscriber);
}

/* The wall clock decides, and may have been set meanwhile. */
static void end_in_time(struct ctl_subscriber *subscriber)
{
    struct net_worker *worker = subscriber->distributor->config.worker;
    int64_t left_ms = (subscriber->until_us - clock_wall_us() + 999) / 1000;
    timer_start(&worker->timers, &subscriber->end_timer, net_now_ms(worker) + (uint64_t)MAX(MIN(left_ms, (int64_t)LOOK_MS), (int64_t)0));
}

static void on_end_due(struct timer *timer)
{
    struct ctl_subscriber *subscriber = CONTAINER_OF(timer, struct ctl_subscriber, end_timer);
    struct ctl_distributor *distributor = subscriber->distributor;
    struct node *node = subscriber->node;
    if (clock_wall_us() < subscriber->until_us) {
        end_in_time(subscriber);
        return;
    }
    send_goaway(subscriber, GOAWAY_MS);
    dist_tell_node(distributor, node);
}

struct ctl_subscriber *ctl_distributor_subscribe(struct ctl_distributor *distributor, const struct ctl_subscription *subscription,
                                                 const struct ctl_subscriber_ops *ops, void *data, struct err *err)
{
    struct node *node = dist_node_for(distributor, subscription->node);
    if (node == NULL) {
        err_set(err, ERR_TOO_MANY, "more than %d nodes", DIST_MAX_NODES);
        return NULL;
    }
    if (node->subscriber != NULL)
        end_stream(node->subscriber); /* a node has one stream; the newer one is the living one */
    struct ctl_subscriber *subscriber = xcalloc(1, sizeof(*subscriber));
    subscriber->distributor = distributor;
    subscriber->node = node;
    subscriber->ops = ops;
    subscriber->data = data;
    subscriber->is_due = true;
    subscriber->until_us = subscription->until_us;
    timer_init(&subscriber->end_timer, on_end_due);
    if (subscriber->until_us != 0)
        end_in_time(subscriber);
    node->subscriber = subscriber;
    node->connected_us = node->last_seen_us = clock_wall_us();
    dist_set_text(&node->role, subscription->role);
    dist_set_text(&node->address, subscription->address);
    uint64_t rev = 0;
    if (parse_token(distributor, subscription->since, &rev))
        subscriber->claimed_sum = parse_sum(subscription->sum);
    struct version *base = known_base(distributor, rev, subscriber->claimed_sum);
    if (base != NULL) {
        dist_replace_version(&subscriber->sent, base);
        dist_replace_version(&node->applied, base);
        node->state = base == distributor->current ? CTL_NODE_SYNCED : CTL_NODE_PENDING;
        node->applied_rev = base->last_rev;
    }
    dist_tell_node(distributor, node);
    dist_advance(subscriber);
    return subscriber;
}

void ctl_subscriber_writable(struct ctl_subscriber *subscriber)
{
    subscriber->is_blocked = false;
    dist_advance(subscriber);
}

void ctl_subscriber_free(struct ctl_subscriber *subscriber)
{
    struct ctl_distributor *distributor = subscriber->distributor;
    struct node *node = subscriber->node;
    detach(subscriber);
    node->last_seen_us = clock_wall_us();
    dist_tell_node(distributor, node);
}

void ctl_distributor_forget(struct ctl_distributor *distributor, struct slice name)
{
    struct node *node = hashmap_get(&distributor->nodes_by_name, name.base, name.len);
    if (node == NULL)
        return;
    if (node->subscriber != NULL)
        end_stream(node->subscriber);
    hashmap_remove(&distributor->nodes_by_name, name.base, name.len);
    list_remove(&node->link);
    node_free(node);
}

/* ---------- looking ---------- */

void ctl_distributor_nodes(struct ctl_distributor *distributor, ctl_node_cb on_node, void *data)
{
    LIST_FOR(node, &distributor->nodes, struct node, link)
    {
        struct ctl_node_view view = view_of(node);
        on_node(&view, data);
    }
}

struct ctl_rollout ctl_distributor_rollout(struct ctl_distributor *distributor, uint64_t rev)
{
    struct ctl_rollout rollout = {0, 0, 0};
    struct version *version = dist_version_at(distributor, rev);
    LIST_FOR(node, &distributor->nodes, struct node, link)
    {
        if (node->subscriber == NULL)
            continue;
        if (version != NULL && node->rejected == version)
            ++rollout.rejected;
        else if (node->applied_rev >= rev || (version != NULL && node->applied == version))
            ++rollout.synced;
        else
            ++rollout.pending;
    }
    return rollout;
}

static size_t add_failures(const struct node *node, struct arena *arena, struct slice *listeners, struct slice *texts, size_t num, size_t cap)
{
    if (strcmp(node->errors, "[]") == 0) /* nearly always; asked for all nodes again and again */
        return num;
    struct json *errors = json_parse(arena, slice_of(node->errors), NULL);
    JSON_FOR(error, errors)
    {
        if (num == cap || strcmp(json_str(json_get(error, "kind"), ""), "listener") != 0)
            continue;
        listeners[num] = json_slice(json_get(error, "name"));
        texts[num++] = json_slice(json_get(error, "message"));
    }
    return num;
}

size_t ctl_distributor_failures(struct ctl_distributor *distributor, struct arena *arena, struct slice **ret_listeners,
                                struct slice **ret_texts)
{
    enum { MAX_FAILURES = 256 };
    size_t num = 0;
    *ret_listeners = arena_alloc(arena, MAX_FAILURES * sizeof(struct slice));
    *ret_texts = arena_alloc(arena, MAX_FAILURES * sizeof(struct slice));
    LIST_FOR(node, &distributor->nodes, struct node, link)
    if (node->subscriber != NULL)
        num = add_failures(node, arena, *ret_listeners, *ret_texts, num, MAX_FAILURES);
    return num;
}

/* ---------- life ---------- */

static void beat(struct ctl_subscriber *subscriber)
{
    subscriber->is_due = true;
    dist_advance(subscriber);
    if (subscriber->is_due && !subscriber->is_blocked)
        subscriber->is_blocked = !subscriber->ops->write(subscriber->data, SLICE(": hb\n\n"));
    subscriber->is_due = false;
}

static void on_heartbeat(struct timer *timer)
{
    struct ctl_distributor *distributor = CONTAINER_OF(timer, struct ctl_distributor, heartbeat);
    LIST_FOR(node, &distributor->nodes, struct node, link)
    if (node->subscriber != NULL && !node->subscriber->is_blocked)
        beat(node->subscriber);
    timer_start(&distributor->config.worker->timers, timer, net_now_ms(distributor->config.worker) + HEARTBEAT_MS);
}

struct ctl_distributor *ctl_distributor_new(const struct ctl_distributor_config *config)
{
    struct ctl_distributor *distributor = xcalloc(1, sizeof(*distributor));
    distributor->config = *config;
    list_init(&distributor->versions);
    list_init(&distributor->nodes);
    timer_init(&distributor->heartbeat, on_heartbeat);
    timer_start(&config->worker->timers, &distributor->heartbeat, net_now_ms(config->worker) + HEARTBEAT_MS);
    return distributor;
}

struct ctl_distributor *ctl_distributor_free(struct ctl_distributor *distributor)
{
    if (distributor == NULL)
        return NULL;
    unsigned reconnect_ms = MAX((unsigned)GOAWAY_MS, GOAWAY_NODE_MS * (unsigned)hashmap_len(&distributor->nodes_by_name));
    timer_stop(&distributor->heartbeat);
    LIST_FOR_SAFE(node, &distributor->nodes, struct node, link)
    {
        if (node->subscriber != NULL)
            send_goaway(node->subscriber, reconnect_ms);
        list_remove(&node->link);
        node_free(node);
    }
    hashmap_clear(&distributor->nodes_by_name);
    LIST_FOR_SAFE(version, &distributor->versions, struct version, link)
    {
        list_remove(&version->link);
        dist_version_unref(version);
    }
    free(distributor);
    return NULL;
}

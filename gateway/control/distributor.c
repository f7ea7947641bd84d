/* Versions and nodes. A version is one compiled document with its texts; nodes point at the version they were last sent
 * and at the one they applied. Sending is a function of those two pointers, so nothing is ever queued. */
#include "gateway/control/distributor.h"

#include "core/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

/* What a node says of itself is stored with its Node object: bounded. */
enum { MAX_ERRORS_LEN = 256 * 1024, MAX_VERSION_LEN = 64 };

enum { KEEP_VERSIONS = 64, KEEP_RESOURCES = 128 * 1024, MAX_NODES = 10000, HEARTBEAT_MS = 15000, GOAWAY_MS = 1000, GOAWAY_NODE_MS = 2 /* a handshake takes about half of that */,
       LOOK_MS = 60000 /* how late a stream may end when the wall clock was set forward */ };

struct version {
    struct list link; /* oldest first */
    struct cfg_document *doc;
    uint64_t first_rev, last_rev; /* the revisions at which this was current */
    uint64_t sum;
    unsigned refs;
    unsigned num_tried, num_rejected;
    bool is_fused;
    char *snapshot; /* the `snapshot` event; made on demand */
    size_t snapshot_len;
    struct version *delta_from; /* the `delta` event from that version; the last one asked for */
    char *delta;
    size_t delta_len;
};

struct node {
    struct list link;
    char *name, *role, *version, *address, *boot_id, *errors;
    uint64_t seq;
    struct version *applied, *rejected; /* owned references */
    struct version *counted; /* owned: the last one whose refusal was counted, once a node */
    enum ctl_node_state state;
    uint64_t applied_rev, attempted_rev;
    int64_t last_seen_us, connected_us;
    struct ctl_subscriber *subscriber; /* the live stream, or NULL */
};

struct ctl_subscriber {
    struct ctl_distributor *distributor;
    struct node *node;
    const struct ctl_subscriber_ops *ops;
    void *data;
    struct version *sent; /* owned reference: what the node has or is about to have */
    uint64_t sent_rev;    /* with bookmarks */
    uint64_t claimed_sum; /* what the node says it has, of our epoch; 0: nothing */
    bool is_blocked;
    bool is_due; /* for a bookmark: just opened, or a heartbeat's time */
    int64_t until_us; /* 0: open end */
    struct timer end_timer;
};

struct ctl_distributor {
    struct ctl_distributor_config config;
    struct list versions; /* of struct version */
    unsigned num_versions;
    size_t num_resources; /* of all versions in the list; texts are shared, entries are not */
    struct version *current;
    struct list nodes;
    struct hashmap nodes_by_name;
    struct timer heartbeat;
};

/* ---------- versions ---------- */

static struct version *version_ref(struct version *version)
{
    ++version->refs;
    return version;
}

static void version_unref(struct version *version)
{
    if (version == NULL || --version->refs != 0)
        return;
    version_unref(version->delta_from);
    cfg_document_free(version->doc);
    free(version->snapshot);
    free(version->delta);
    free(version);
}

static void replace_version(struct version **at, struct version *version)
{
    if (version != NULL)
        version_ref(version);
    version_unref(*at);
    *at = version;
}

/* Only the current version is sent: the texts of those before it, and what they refer to, can go. */
static void drop_texts(struct version *version)
{
    free(version->snapshot);
    free(version->delta);
    version->snapshot = version->delta = NULL;
    replace_version(&version->delta_from, NULL);
}

static void trim_versions(struct ctl_distributor *distributor)
{
    while (distributor->num_versions > KEEP_VERSIONS || (distributor->num_versions > 2 && distributor->num_resources > KEEP_RESOURCES)) {
        struct version *oldest = LIST_FIRST(&distributor->versions, struct version, link);
        list_remove(&oldest->link);
        --distributor->num_versions;
        distributor->num_resources -= oldest->doc->num;
        version_unref(oldest);
    }
}

static struct version *version_at(struct ctl_distributor *distributor, uint64_t rev)
{
    LIST_FOR(version, &distributor->versions, struct version, link)
    if (rev >= version->first_rev && rev <= version->last_rev)
        return version;
    return NULL;
}

/* ---------- events ---------- */

static void event_begin(const struct ctl_distributor *distributor, struct strbuf *out, const char *event, uint64_t rev)
{
    strbuf_addf(out, "event: %s\nid: %016" PRIx64 ":%" PRIu64 "\ndata: ", event, distributor->config.epoch, rev);
}

static struct slice snapshot_event(struct ctl_distributor *distributor, struct version *version)
{
    if (version->snapshot == NULL) {
        struct strbuf out = STRBUF_INIT;
        event_begin(distributor, &out, "snapshot", version->doc->rev);
        cfg_document_write(version->doc, false, &out);
        strbuf_adds(&out, "\n\n");
        version->snapshot_len = out.len;
        version->snapshot = strbuf_take(&out);
    }
    return slice_make(version->snapshot, version->snapshot_len);
}

static struct slice delta_event(struct ctl_distributor *distributor, struct version *from, struct version *to)
{
    if (to->delta_from != from) {
        struct strbuf out = STRBUF_INIT;
        event_begin(distributor, &out, "delta", to->doc->rev);
        (void)cfg_document_diff(from->doc, to->doc, &out); /* versions differ, so there is a difference */
        strbuf_adds(&out, "\n\n");
        replace_version(&to->delta_from, from);
        free(to->delta);
        to->delta_len = out.len;
        to->delta = strbuf_take(&out);
    }
    return slice_make(to->delta, to->delta_len);
}

static void send_bookmark(struct ctl_subscriber *subscriber, uint64_t rev)
{
    struct strbuf out = STRBUF_INIT;
    event_begin(subscriber->distributor, &out, "bookmark", rev);
    strbuf_addf(&out, "{\"sum\":\"%016" PRIx64 "\"}\n\n", subscriber->sent->sum);
    subscriber->sent_rev = rev;
    subscriber->is_due = false;
    subscriber->is_blocked = !subscriber->ops->write(subscriber->data, strbuf_slice(&out));
    strbuf_clear(&out);
}

static void tell_node(struct ctl_distributor *distributor, const struct node *node);

static void send_version(struct ctl_subscriber *subscriber, struct version *version)
{
    struct ctl_distributor *distributor = subscriber->distributor;
    /* A base of another history or none at all, or a difference larger than half the whole: send the whole. */
    struct slice bytes = {NULL, 0};
    if (subscriber->sent != NULL)
        bytes = delta_event(distributor, subscriber->sent, version);
    if (bytes.base == NULL || bytes.len > 4096) {
        struct slice whole = snapshot_event(distributor, version);
        if (bytes.base == NULL || bytes.len > whole.len / 2)
            bytes = whole;
    }
    replace_version(&subscriber->sent, version);
    subscriber->sent_rev = version->last_rev;
    subscriber->is_due = false;
    ++version->num_tried;
    if (subscriber->node->state != CTL_NODE_PENDING) {
        subscriber->node->state = CTL_NODE_PENDING;
        tell_node(distributor, subscriber->node);
    }
    subscriber->is_blocked = !subscriber->ops->write(subscriber->data, bytes);
}

/* After a restart of ours nodes are back before the first compile: what they have is then found to be just what is current. */
static void recognize(struct ctl_subscriber *subscriber, struct version *current)
{
    struct node *node = subscriber->node;
    if (subscriber->sent != NULL || subscriber->claimed_sum == 0 || subscriber->claimed_sum != current->sum)
        return;
    replace_version(&subscriber->sent, current);
    replace_version(&node->applied, current);
    node->state = CTL_NODE_SYNCED;
    node->applied_rev = current->last_rev;
    tell_node(subscriber->distributor, node);
}

/* What this node should get next, if anything. Revisions that change nothing for the nodes come often and to all at once:
 * their bookmark takes the place of the next heartbeat. */
static void advance(struct ctl_subscriber *subscriber)
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
            replace_version(&subscriber->sent, subscriber->node->applied);
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

static void tell_node(struct ctl_distributor *distributor, const struct node *node)
{
    struct ctl_node_view view = view_of(node);
    if (distributor->config.on_node != NULL)
        distributor->config.on_node(distributor->config.data, &view);
}

static void set_text(char **at, struct slice text)
{
    free(*at);
    *at = xstrndup(text.base != NULL ? text.base : "", text.len);
}

static struct node *node_for(struct ctl_distributor *distributor, struct slice name)
{
    struct node *node = hashmap_get(&distributor->nodes_by_name, name.base, name.len);
    if (node != NULL || hashmap_len(&distributor->nodes_by_name) >= MAX_NODES)
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
    version_unref(node->applied);
    version_unref(node->rejected);
    version_unref(node->counted);
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
    struct version *version = version_at(distributor, rev);
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
    version_unref(subscriber->sent);
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
    tell_node(distributor, node);
}

struct ctl_subscriber *ctl_distributor_subscribe(struct ctl_distributor *distributor, const struct ctl_subscription *subscription,
                                                 const struct ctl_subscriber_ops *ops, void *data, struct err *err)
{
    struct node *node = node_for(distributor, subscription->node);
    if (node == NULL) {
        err_set(err, ERR_TOO_MANY, "more than %d nodes", MAX_NODES);
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
    set_text(&node->role, subscription->role);
    set_text(&node->address, subscription->address);
    uint64_t rev = 0;
    if (parse_token(distributor, subscription->since, &rev))
        subscriber->claimed_sum = parse_sum(subscription->sum);
    struct version *base = known_base(distributor, rev, subscriber->claimed_sum);
    if (base != NULL) {
        replace_version(&subscriber->sent, base);
        replace_version(&node->applied, base);
        node->state = base == distributor->current ? CTL_NODE_SYNCED : CTL_NODE_PENDING;
        node->applied_rev = base->last_rev;
    }
    tell_node(distributor, node);
    advance(subscriber);
    return subscriber;
}

void ctl_subscriber_writable(struct ctl_subscriber *subscriber)
{
    subscriber->is_blocked = false;
    advance(subscriber);
}

void ctl_subscriber_free(struct ctl_subscriber *subscriber)
{
    struct ctl_distributor *distributor = subscriber->distributor;
    struct node *node = subscriber->node;
    detach(subscriber);
    node->last_seen_us = clock_wall_us();
    tell_node(distributor, node);
}

/* ---------- reports ---------- */

static bool is_stale(const struct node *node, struct slice boot_id, uint64_t seq)
{
    return slice_is(boot_id, node->boot_id) && seq <= node->seq;
}

static void burn_fuse(struct ctl_distributor *distributor, struct version *version)
{
    ++version->num_rejected;
    unsigned allowed = MAX(1u, version->num_tried / 20);
    if (version == distributor->current && version->num_rejected > allowed)
        version->is_fused = true;
}

struct report {
    struct slice boot_id, version;
    uint64_t seq, applied, attempted;
    bool is_applied; /* else rejected */
    const struct json *errors; /* NULL: none */
};

/* Nothing of a report is taken before all of it has been read. */
static int read_report(const struct json *tree, struct report *ret, struct err *err)
{
    int64_t seq, applied, attempted;
    struct slice state = json_slice(json_get(tree, "state"));
    *ret = (struct report){.boot_id = json_slice(json_get(tree, "bootId")), .version = json_slice(json_get(tree, "version"))};
    ret->errors = json_get(tree, "errors");
    if (ret->boot_id.base == NULL || ret->boot_id.len > 64)
        return err_set(err, ERR_BAD_REQUEST, "bootId: must be a string of at most 64 characters");
    if (!json_int(json_get(tree, "seq"), &seq) || seq < 0)
        return err_set(err, ERR_BAD_REQUEST, "seq: must be a number");
    if (!json_int(json_get(tree, "applied"), &applied) || !json_int(json_get(tree, "attempted"), &attempted) || applied < 0 || attempted < 0)
        return err_set(err, ERR_BAD_REQUEST, "applied, attempted: must be revisions");
    if (ret->errors != NULL && ret->errors->type != JSON_ARRAY)
        return err_set(err, ERR_BAD_REQUEST, "errors: must be a list");
    if (ret->version.len > MAX_VERSION_LEN)
        return err_set(err, ERR_BAD_REQUEST, "version: must be a string of at most %d characters", MAX_VERSION_LEN);
    ret->is_applied = slice_is(state, "applied");
    if (!ret->is_applied && !slice_is(state, "rejected"))
        return err_set(err, ERR_BAD_REQUEST, "state: must be \"applied\" or \"rejected\"");
    ret->seq = (uint64_t)seq;
    ret->applied = (uint64_t)applied;
    ret->attempted = (uint64_t)attempted;
    return 0;
}

static void note_applied(struct ctl_distributor *distributor, struct node *node)
{
    replace_version(&node->applied, version_at(distributor, node->applied_rev));
    replace_version(&node->rejected, NULL);
    bool is_behind = node->subscriber != NULL && node->applied != distributor->current;
    node->state = is_behind ? CTL_NODE_PENDING : CTL_NODE_SYNCED;
}

static void note_rejected(struct ctl_distributor *distributor, struct node *node)
{
    struct version *attempted = version_at(distributor, node->attempted_rev);
    node->state = CTL_NODE_REJECTED;
    if (attempted == NULL || node->rejected == attempted)
        return;
    replace_version(&node->rejected, attempted);
    if (node->counted != attempted)
        burn_fuse(distributor, attempted);
    replace_version(&node->counted, attempted);
}

/* Whether they are others than before. */
static bool take_errors(struct node *node, const struct json *errors)
{
    struct strbuf text = STRBUF_INIT;
    if (errors != NULL)
        json_write(&text, errors);
    else
        strbuf_adds(&text, "[]");
    if (text.len > MAX_ERRORS_LEN) {
        strbuf_reset(&text);
        strbuf_adds(&text, "[{\"kind\":\"snapshot\",\"name\":\"\",\"message\":\"too many errors to be kept\"}]");
    }
    bool is_news = strcmp(node->errors, text.base) != 0;
    set_text(&node->errors, strbuf_slice(&text));
    strbuf_clear(&text);
    return is_news;
}

static void take_report(struct ctl_distributor *distributor, struct node *node, const struct report *report)
{
    enum ctl_node_state before = node->state;
    bool is_news = take_errors(node, report->errors) || node->applied_rev != report->applied;
    set_text(&node->boot_id, report->boot_id);
    set_text(&node->version, report->version);
    node->seq = report->seq;
    node->applied_rev = report->applied;
    node->attempted_rev = report->attempted;
    node->last_seen_us = clock_wall_us();
    (report->is_applied ? note_applied : note_rejected)(distributor, node);
    if (is_news || before != node->state)
        tell_node(distributor, node);
    if (node->subscriber != NULL)
        advance(node->subscriber);
}

int ctl_distributor_report(struct ctl_distributor *distributor, struct slice name, const struct json *tree, struct err *err)
{
    struct report report;
    if (read_report(tree, &report, err) != 0)
        return -1;
    struct node *node = node_for(distributor, name);
    if (node == NULL)
        return err_set(err, ERR_TOO_MANY, "more than %d nodes", MAX_NODES);
    if (!is_stale(node, report.boot_id, report.seq))
        take_report(distributor, node, &report);
    return 0;
}

void ctl_distributor_force(struct ctl_distributor *distributor)
{
    if (distributor->current == NULL)
        return;
    distributor->current->is_fused = false;
    distributor->current->num_rejected = 0;
    LIST_FOR(node, &distributor->nodes, struct node, link)
    {
        replace_version(&node->rejected, NULL);
        replace_version(&node->counted, NULL);
        if (node->subscriber != NULL)
            advance(node->subscriber);
    }
}

/* ---------- publishing ---------- */

void ctl_distributor_publish(struct ctl_distributor *distributor, struct cfg_document **take)
{
    struct cfg_document *doc = *take;
    struct version *current = distributor->current;
    uint64_t sum = cfg_document_sum(doc);
    *take = NULL;
    if (current != NULL && current->sum == sum) {
        current->last_rev = MAX(current->last_rev, doc->rev);
        cfg_document_free(doc);
    } else {
        cfg_document_inherit(doc, current != NULL ? current->doc : NULL);
        struct version *version = xcalloc(1, sizeof(*version));
        version->doc = doc;
        version->first_rev = version->last_rev = doc->rev;
        version->sum = sum;
        version->refs = 1;
        if (current != NULL)
            drop_texts(current);
        list_push(&distributor->versions, &version->link);
        ++distributor->num_versions;
        distributor->num_resources += doc->num;
        distributor->current = version;
        trim_versions(distributor);
    }
    LIST_FOR(node, &distributor->nodes, struct node, link)
    if (node->subscriber != NULL)
        advance(node->subscriber);
}

const struct cfg_document *ctl_distributor_current(const struct ctl_distributor *distributor)
{
    return distributor->current != NULL ? distributor->current->doc : NULL;
}

static struct version *applied_version(const struct ctl_distributor *distributor)
{
    const struct node *best = NULL;
    LIST_FOR(node, &distributor->nodes, struct node, link)
    {
        if (node->applied == NULL || strcmp(node->role, "gateway") != 0)
            continue;
        if (strcmp(node->name, "local") == 0)
            return node->applied;
        if (node->subscriber != NULL && (best == NULL || node->applied_rev > best->applied_rev))
            best = node;
    }
    return best != NULL ? best->applied : NULL;
}

const struct cfg_document *ctl_distributor_applied(const struct ctl_distributor *distributor)
{
    const struct version *version = applied_version(distributor);
    return version != NULL ? version->doc : NULL;
}

void *ctl_distributor_hold_applied(struct ctl_distributor *distributor, const struct cfg_document **ret_doc)
{
    struct version *version = applied_version(distributor);
    *ret_doc = version != NULL ? version->doc : NULL;
    return version != NULL ? version_ref(version) : NULL;
}

void ctl_distributor_release(struct ctl_distributor *distributor, void *held)
{
    version_unref(held);
}

struct slice ctl_distributor_snapshot(struct ctl_distributor *distributor, char *ret_etag)
{
    struct version *current = distributor->current;
    if (current == NULL)
        return (struct slice){NULL, 0};
    snprintf(ret_etag, 64, "\"%016" PRIx64 ":%" PRIu64 ":%016" PRIx64 "\"", distributor->config.epoch, current->doc->rev, current->sum);
    struct slice event = snapshot_event(distributor, current);
    const char *data = memmem(event.base, event.len, "data: ", 6);
    return slice_make(data + 6, (size_t)(event.base + event.len - data) - 6 - 2);
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
    struct version *version = version_at(distributor, rev);
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
    advance(subscriber);
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
        version_unref(version);
    }
    free(distributor);
    return NULL;
}

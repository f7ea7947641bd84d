/* Reports of nodes: what they applied, what they refused, and the fuse that keeps a bad version from the rest. */
#include "gateway/control/distributor_private.h"

#include "core/base/clock.h"

/* What a node says of itself is stored with its Node object: bounded. */
enum { MAX_ERRORS_LEN = 256 * 1024, MAX_VERSION_LEN = 64 };

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
    dist_replace_version(&node->applied, dist_version_at(distributor, node->applied_rev));
    dist_replace_version(&node->rejected, NULL);
    bool is_behind = node->subscriber != NULL && node->applied != distributor->current;
    node->state = is_behind ? CTL_NODE_PENDING : CTL_NODE_SYNCED;
}

static void note_rejected(struct ctl_distributor *distributor, struct node *node)
{
    struct version *attempted = dist_version_at(distributor, node->attempted_rev);
    node->state = CTL_NODE_REJECTED;
    if (attempted == NULL || node->rejected == attempted)
        return;
    dist_replace_version(&node->rejected, attempted);
    if (node->counted != attempted)
        burn_fuse(distributor, attempted);
    dist_replace_version(&node->counted, attempted);
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
    dist_set_text(&node->errors, strbuf_slice(&text));
    strbuf_clear(&text);
    return is_news;
}

static void take_report(struct ctl_distributor *distributor, struct node *node, const struct report *report)
{
    enum ctl_node_state before = node->state;
    bool is_news = take_errors(node, report->errors) || node->applied_rev != report->applied;
    dist_set_text(&node->boot_id, report->boot_id);
    dist_set_text(&node->version, report->version);
    node->seq = report->seq;
    node->applied_rev = report->applied;
    node->attempted_rev = report->attempted;
    node->last_seen_us = clock_wall_us();
    (report->is_applied ? note_applied : note_rejected)(distributor, node);
    if (is_news || before != node->state)
        dist_tell_node(distributor, node);
    if (node->subscriber != NULL)
        dist_advance(node->subscriber);
}

int ctl_distributor_report(struct ctl_distributor *distributor, struct slice name, const struct json *tree, struct err *err)
{
    struct report report;
    if (read_report(tree, &report, err) != 0)
        return -1;
    struct node *node = dist_node_for(distributor, name);
    if (node == NULL)
        return err_set(err, ERR_TOO_MANY, "more than %d nodes", DIST_MAX_NODES);
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
        dist_replace_version(&node->rejected, NULL);
        dist_replace_version(&node->counted, NULL);
        if (node->subscriber != NULL)
            dist_advance(node->subscriber);
    }
}

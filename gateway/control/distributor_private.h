/* What distributor.c (nodes and their streams), distributor_version.c and distributor_report.c share. Nobody else includes
 * this. */
#ifndef SELVEDGE_CONTROL_DISTRIBUTOR_PRIVATE_H
#define SELVEDGE_CONTROL_DISTRIBUTOR_PRIVATE_H

#include "gateway/control/distributor.h"

enum { DIST_MAX_NODES = 10000 };

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

/* ---------- versions (distributor_version.c) ---------- */
struct version *dist_version_ref(struct version *version);
void dist_version_unref(struct version *version); /* NULL is fine */
/* `version` may be NULL; both are references owned by the place. */
void dist_replace_version(struct version **at, struct version *version);
/* The one that was current at that revision; NULL: none that is remembered. */
struct version *dist_version_at(struct ctl_distributor *distributor, uint64_t rev);
/* What nodes are sent: the texts are the version's. */
struct slice dist_snapshot_event(struct ctl_distributor *distributor, struct version *version);
struct slice dist_delta_event(struct ctl_distributor *distributor, struct version *from, struct version *to);
void dist_event_begin(const struct ctl_distributor *distributor, struct strbuf *out, const char *event, uint64_t rev);

/* ---------- nodes (distributor.c) ---------- */
/* Made when there is none; NULL: there are too many. */
struct node *dist_node_for(struct ctl_distributor *distributor, struct slice name);
void dist_tell_node(struct ctl_distributor *distributor, const struct node *node);
/* Sends what this node should get next, if anything. */
void dist_advance(struct ctl_subscriber *subscriber);
void dist_set_text(char **at, struct slice text);

#endif

/* The distributor: which compiled configuration each node has, and what to send it next.
 *
 * One stream per node (server-sent events; docs/node-protocol.md). A node that is connected is sent the net difference
 * between what it was last sent and what is current, whenever its stream can take it: a slow node costs one pointer, not
 * a queue. A node that resumes with a token we still know gets the difference, one whose sum equals ours gets only a
 * bookmark, any other a snapshot. A revision that a node refused is not sent to it again; one that many nodes refuse is
 * not sent to the others (the fuse) until the next one, or ctl_distributor_force().
 * Texts are made once per version and shared by all streams. Revisions that change nothing for the nodes cost them nothing:
 * their bookmark comes with the next heartbeat.
 *
 * Threads: the control worker's. Ownership: documents given are owned by the distributor.
 * Limits: 64 versions are remembered for resuming, fewer when together they have more than 128 Ki resources; 10,000 nodes. */
#ifndef SELVEDGE_CONTROL_DISTRIBUTOR_H
#define SELVEDGE_CONTROL_DISTRIBUTOR_H

#include "core/model/snapshot.h"
#include "core/net/worker.h"

struct ctl_distributor;
struct ctl_subscriber;

struct ctl_subscriber_ops {
    /* Takes all bytes; false: no more until ctl_subscriber_writable(). Must not call back synchronously. */
    bool (*write)(void *data, struct slice bytes);
    /* The distributor ends the stream (another stream of the same node took over, the node was removed, its time is up, shutdown). Comes at most once; the
     * subscriber is gone afterwards. */
    void (*close)(void *data);
};

enum ctl_node_state { CTL_NODE_UNKNOWN, CTL_NODE_SYNCED, CTL_NODE_PENDING, CTL_NODE_REJECTED };

/* What is known of a node. Borrowed until the worker returns to its loop. */
struct ctl_node_view {
    struct slice name, role, version, address, boot_id;
    bool is_connected;
    enum ctl_node_state state;
    uint64_t applied_rev, attempted_rev, sent_rev;
    int64_t last_seen_us, connected_us;
    struct slice errors; /* JSON array, "[]" when none */
};

struct ctl_distributor_config {
    struct net_worker *worker;
    uint64_t epoch;
    /* A node's state, refusals or connection changed, or what gateways run did. */
    void (*on_node)(void *data, const struct ctl_node_view *node);
    void *data;
};

struct ctl_distributor *ctl_distributor_new(const struct ctl_distributor_config *config);
/* Streams get `goaway` and are closed. NULL is fine; returns NULL. */
struct ctl_distributor *ctl_distributor_free(struct ctl_distributor *distributor);

/* Takes the document that is to run from now on. One equal to the current only moves the bookmark. */
void ctl_distributor_publish(struct ctl_distributor *distributor, struct cfg_document **take);
/* The current document, NULL before the first. Borrowed until the next publish. */
const struct cfg_document *ctl_distributor_current(const struct ctl_distributor *distributor);
/* What the local gateway (else the most advanced connected one) says it runs. NULL: none yet. Borrowed as above. */
const struct cfg_document *ctl_distributor_applied(const struct ctl_distributor *distributor);

/* The same, kept alive for work off the loop until released (on the worker again). */
void *ctl_distributor_hold_applied(struct ctl_distributor *distributor, const struct cfg_document **ret_doc);
void ctl_distributor_release(struct ctl_distributor *distributor, void *held); /* NULL is fine */

/* A stream that a node opens. Texts are copied. */
struct ctl_subscription {
    struct slice node, role, address;
    struct slice since; /* what it has: "EPOCH:REV" (Last-Event-ID or ?since=), or "" */
    struct slice sum;   /* of that, in hex, or "" */
    int64_t until_us;   /* wall clock: gets `goaway` then and is closed, to come back with its next certificate; 0: never */
};
/* Writes begin before this returns. NULL on error (ERR_TOO_MANY). */
struct ctl_subscriber *ctl_distributor_subscribe(struct ctl_distributor *distributor, const struct ctl_subscription *subscription,
                                                 const struct ctl_subscriber_ops *ops, void *data, struct err *err);
void ctl_subscriber_writable(struct ctl_subscriber *subscriber);
void ctl_subscriber_free(struct ctl_subscriber *subscriber); /* the stream went away */

/* A node's report: {"bootId","seq","epoch","applied","attempted","state":"applied|rejected","errors":[…],"sum","version"}.
 * ERR_BAD_REQUEST names the member. Older (bootId, seq) than known are ignored. */
int ctl_distributor_report(struct ctl_distributor *distributor, struct slice node, const struct json *report, struct err *err);
/* The node was removed: its stream ends, and nothing is known of it any more. Unknown names are fine. */
void ctl_distributor_forget(struct ctl_distributor *distributor, struct slice node);
void ctl_distributor_force(struct ctl_distributor *distributor);

/* GET …/snapshot: the whole document as the node gets it. Borrowed until the next publish. `ret_etag` has room for 64. */
struct slice ctl_distributor_snapshot(struct ctl_distributor *distributor, char *ret_etag);

typedef void (*ctl_node_cb)(const struct ctl_node_view *node, void *data);
void ctl_distributor_nodes(struct ctl_distributor *distributor, ctl_node_cb on_node, void *data);
/* How many connected nodes run `rev` or newer, are on the way, refused it. */
struct ctl_rollout {
    unsigned synced, pending, rejected;
};
struct ctl_rollout ctl_distributor_rollout(struct ctl_distributor *distributor, uint64_t rev);
/* Failures of listeners that nodes reported, for the compiler. In `arena`. */
size_t ctl_distributor_failures(struct ctl_distributor *distributor, struct arena *arena, struct slice **ret_listeners,
                                struct slice **ret_texts);

#endif

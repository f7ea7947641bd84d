/* The status of Node objects: what the distributor knows of nodes, written where people look.
 *
 * A change of configuration moves every node twice within a second (on its way, applied), and each write of a status is a row of the
 * change log. So what a person waits for (a node came, went, refused something, is as it should be again) is written within a
 * second; that a node is on its way, or runs a newer revision, later and for all nodes together: after a second with a hundred
 * nodes or fewer, ten with a thousand or more. What could not be written is written with the next flush.
 * Nodes that were connected when the process before this one ended, and do not come back within seconds, are told Offline.
 *
 * Threads: the control worker's. Ownership: store and cache are borrowed and outlive it. */
#ifndef SELVEDGE_CONTROL_NODE_STATUS_H
#define SELVEDGE_CONTROL_NODE_STATUS_H

#include "gateway/control/cache.h"
#include "gateway/control/distributor.h"

struct ctl_node_status;

struct ctl_node_status *ctl_node_status_new(struct net_worker *worker, struct ctl_store *store, struct ctl_cache *cache);
/* What has not been written is not: the next process finds out by itself. NULL is fine; returns NULL. */
struct ctl_node_status *ctl_node_status_free(struct ctl_node_status *status);
/* What is known of a node now. Copied. */
void ctl_node_status_note(struct ctl_node_status *status, const struct ctl_node_view *view);
/* The node was removed, or is another one under the same name. */
void ctl_node_status_forget(struct ctl_node_status *status, struct slice name);

#endif

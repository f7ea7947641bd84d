/* Nodes at the API: their streams, reports and certificates, how they join, and the Node objects that tell of them.
 *
 *   GET  /selvedge/v1/nodes/{name}/stream?role=…&since=EPOCH:REV&sum=HEX   server-sent events
 *   GET  /selvedge/v1/nodes/{name}/snapshot                                 the whole document, ETag
 *   POST /selvedge/v1/nodes/{name}/status                                   a report
 *   POST /selvedge/v1/nodes/{name}/certificate {"csr"}                      a new certificate for the same identity
 *   POST /selvedge/v1/join {"token","name","csr"}                           the first one
 *   POST/GET /selvedge/v1/join-tokens, DELETE …/{id}                        for administrators
 *
 * A node acts only as itself: over TLS its certificate's SPIFFE ID must be spiffe://DOMAIN/node/{name}, its Node object must
 * exist, and the certificate must be of that object's enrolment: it carries the object's metadata.uid, which is drawn anew
 * with each join. So deleting a Node, or joining again under its name, shuts out for good what was there before, and
 * nothing but the object itself has to be kept for it. A certificate that ends ends what was opened with it: the stream gets
 * `goaway`, calls on the connection are refused. Over node.sock the caller is `local`.
 *
 * Threads: the control worker's; what touches the store blocks in jobs. */
#ifndef SELVEDGE_CONTROL_NODES_H
#define SELVEDGE_CONTROL_NODES_H

#include "gateway/control/activation.h"
#include "gateway/control/ca.h"
#include "gateway/control/call.h"

struct ctl_nodes;

struct ctl_nodes_config {
    struct net_worker *worker;
    struct ctl_store *store;
    struct ctl_cache *cache;
    struct ctl_distributor *distributor;
    const struct ctl_ca *ca;
};

struct ctl_nodes *ctl_nodes_new(const struct ctl_nodes_config *config);
struct ctl_nodes *ctl_nodes_free(struct ctl_nodes *nodes); /* NULL is fine; returns NULL */
/* For the distributor's on_node: keeps the Node objects' status (node_status.h). */
void ctl_nodes_on_node(struct ctl_nodes *nodes, const struct ctl_node_view *node);

/* 0, or ERR_UNAUTHORIZED, ERR_FORBIDDEN: whether the caller is the node `name`. */
int ctl_nodes_check(struct ctl_nodes *nodes, const struct ctl_call *call, struct slice name, struct err *err);

/* Handlers. Each answers the call. `name` is the path's. */
void ctl_nodes_stream(struct ctl_nodes *nodes, struct ctl_call *call, struct slice name);
void ctl_nodes_snapshot(struct ctl_nodes *nodes, struct ctl_call *call, struct slice name);
void ctl_nodes_report(struct ctl_nodes *nodes, struct ctl_call *call, struct slice name);
void ctl_nodes_renew(struct ctl_nodes *nodes, struct ctl_call *call, struct slice name);
void ctl_nodes_join(struct ctl_nodes *nodes, struct ctl_call *call);
/* Authorized by the caller: administrators. */
void ctl_nodes_token_create(struct ctl_nodes *nodes, struct ctl_call *call);
void ctl_nodes_token_list(struct ctl_nodes *nodes, struct ctl_call *call);
void ctl_nodes_token_revoke(struct ctl_nodes *nodes, struct ctl_call *call, struct slice id);

#endif

/* What nodes.c, join.c and node_status.c share. */
#ifndef SELVEDGE_CONTROL_NODES_INTERNAL_H
#define SELVEDGE_CONTROL_NODES_INTERNAL_H

#include "gateway/control/node_status.h"
#include "gateway/control/nodes.h"

#define CTL_NODE_KIND SLICE("selvedge.dev/nodes")

/* Room for spiffe://DOMAIN/node/NAME, both of at most 253 characters: cut short, two nodes would be one. */
enum { CTL_NODE_ID_MAX = 600 };

struct ctl_nodes {
    struct ctl_nodes_config config;
    struct ctl_listener listener;
    struct ctl_node_status *status; /* owned */
};

/* A Node object that was never stored. */
struct json *ctl_nodes_new_object(struct arena *arena, struct slice name, struct slice role);

#endif

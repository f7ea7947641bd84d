/* What nodes.c and join.c share. */
#ifndef SELVEDGE_CONTROL_NODES_INTERNAL_H
#define SELVEDGE_CONTROL_NODES_INTERNAL_H

#include "gateway/control/nodes.h"

#define CTL_NODE_KIND SLICE("selvedge.dev/nodes")

/* Room for spiffe://DOMAIN/node/NAME, both of at most 253 characters: cut short, two nodes would be one. */
enum { CTL_NODE_ID_MAX = 600 };

/* Statuses of nodes change with every revision and every node: they are written together, once a second at most; the
 * first one after a while without any soon. */
enum { CTL_NODES_FLUSH_MS = 1000, CTL_NODES_SOON_MS = 50 };

struct ctl_nodes {
    struct ctl_nodes_config config;
    struct ctl_listener listener;
    struct list news; /* of struct news */
    struct hashmap news_by_name;
    size_t num_news;
    struct timer flush_timer;
    uint64_t flushed_ms;
};

/* A Node object that was never stored. */
struct json *ctl_nodes_new_object(struct arena *arena, struct slice name, struct slice role);

#endif

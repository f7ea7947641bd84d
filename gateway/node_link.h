/* Config stream -> data plane: what control sends becomes what the workers run, and what came of it is reported.
 *
 * Documents are decoded and indexed on the stream's thread, then handed to the data plane on the main worker; the stream's
 * thread waits for the verdict, so reports are in order.
 * Threads: start and stop on the main worker's thread. */
#ifndef SELVEDGE_GATEWAY_NODE_LINK_H
#define SELVEDGE_GATEWAY_NODE_LINK_H

#include "core/node/config_stream.h"
#include "core/proxy/dataplane.h"

struct node_link;

/* `stream.apply`, `.on_connected` and `.data` are filled in here. */
struct node_link *node_link_start(struct net_worker *main, struct px_dataplane *dataplane,
                                  const struct node_config_stream_config *stream, struct err *err);
/* Turns the main worker's loop while the stream ends. NULL is fine; returns NULL. */
struct node_link *node_link_stop(struct node_link *link);
/* Whether the stream is up now. */
bool node_link_is_connected(const struct node_link *link);

#endif

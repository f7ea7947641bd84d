/* The node's end of the config stream: keeps the newest configuration of this node applied, whatever happens to control.
 *
 * A thread of its own holds one stream to control (server-sent events over TLS or a unix socket; docs/node-protocol.md),
 * turns snapshots and deltas into documents, hands each to `apply`, reports applied or rejected, and stores the last one
 * applied on disk. Without control it applies the stored one after a second, and goes on trying: full jitter backoff, at
 * most 30 s. A difference between both ends' sums is healed by asking for a snapshot.
 *
 * Threads: start and stop from one thread; `apply` and `on_connected` run on the stream's thread, where blocking is fine.
 * Ownership: texts of the config are copied. Files: those of stored_snapshot.h in `cache_dir`. */
#ifndef SELVEDGE_NODE_CONFIG_STREAM_H
#define SELVEDGE_NODE_CONFIG_STREAM_H

#include "core/model/snapshot.h"

struct node_config_stream;

struct node_config_stream_config {
    const char *url;         /* "https://control:7443", or "http://local" together with `unix_path` */
    const char *unix_path;   /* NULL: TCP */
    const char *node, *role; /* "edge-2", "gateway" */
    const char *ca_file, *cert_file, *key_file; /* TLS; read again at each connection, so renewals take effect */
    const char *cache_dir;   /* NULL: nothing is stored */
    const char *version;
    /* Builds and activates. 0: running now. -1: `err` says why, the one before stays. Findings that do not stop it
     * (a listener that cannot be bound) are pushed to `findings` (an array) as {"kind","name","message"}. */
    int (*apply)(void *data, const struct cfg_document *doc, struct arena *arena, struct json *findings, struct err *err);
    /* The stream came up or went away. May be NULL. */
    void (*on_connected)(void *data, bool is_connected, const char *why);
    void *data;
};

struct node_config_stream *node_config_stream_start(const struct node_config_stream_config *config, struct err *err);
/* Ends the thread; a running `apply` is waited for. NULL is fine; returns NULL. */
struct node_config_stream *node_config_stream_stop(struct node_config_stream *stream);
/* The findings of the running configuration have changed (a listener came up late): report again. Any thread. */
void node_config_stream_report(struct node_config_stream *stream);

#endif

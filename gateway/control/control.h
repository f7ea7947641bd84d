/* The control process: store, cache, compiler, distributor, authority, access and API, composed.
 *
 * One worker thread serves the API and the nodes; SQLite has its writer thread; compiling, signing and reading history run
 * as jobs. The data plane does not depend on any of it being alive.
 *
 * ctl_control_run() blocks until ctl_control_stop(). Files below `data_dir` (0700): control.db, control.lock, control.sock
 * (0600), node.sock, ca.crt (the trust bundle, for clients), admin.token (first start only, 0600), api.port. */
#ifndef SELVEDGE_CONTROL_CONTROL_H
#define SELVEDGE_CONTROL_CONTROL_H

#include "gateway/control/access.h"
#include "gateway/control/activation.h"
#include "gateway/control/ca.h"
#include "gateway/control/call.h"
#include "gateway/control/distributor.h"
#include "gateway/control/nodes.h"

struct ctl_control_config {
    const char *data_dir;
    const char *trust_domain;        /* for the first start: "selvedge.local" */
    const char *api_address;         /* "127.0.0.1"; NULL: unix sockets only */
    uint16_t api_port;               /* 0: any free one */
    const char *const *api_names;    /* further DNS names and addresses for the API's certificate */
    size_t num_api_names;
    uint32_t audit_days;             /* how long the audit log is kept; 0: 400 */
    unsigned node_socket_mode;       /* of node.sock: 0600, or 0660 when the proxy has another user */
    gid_t node_socket_group;         /* whose it is then; (gid_t)-1: the process's own */
};

struct ctl_control {
    struct ctl_control_config config;
    struct net_worker *worker;
    struct ctl_store *store;
    struct ctl_cache *cache;
    struct ctl_ca *ca;
    struct ctl_access *access;
    struct ctl_distributor *distributor;
    struct ctl_activation *activation;
    struct ctl_nodes *nodes;
    struct ctl_server *server;
    struct net_tls_server *tls; /* the API's own certificate */
    struct timer renew_timer;
    uint16_t api_port;
    int64_t started_us;
    bool is_stopping; /* streams of the API end */
};

/* `on_ready` (may be NULL) is called once the API is served. */
int ctl_control_run(const struct ctl_control_config *config, void (*on_ready)(struct ctl_control *control), struct err *err);
/* From any thread, and from a signal handler's thread; not from the handler itself. */
void ctl_control_stop(struct ctl_control *control);

/* ---- api.c ---- */
/* From the head: who calls, may they, and whose handler it is; answers when they may not. */
void ctl_api_begin(struct ctl_call *call);
/* With the body: the handler. */
void ctl_api_dispatch(struct ctl_call *call);

#endif

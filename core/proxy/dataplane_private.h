/* What the files of the dataplane share: its struct, and the notes it exchanges with its workers.
 *
 * dataplane.c has its life, its workers and what is asked of it; dataplane_apply.c the way of a configuration. */
#ifndef SELVEDGE_PROXY_DATAPLANE_PRIVATE_H
#define SELVEDGE_PROXY_DATAPLANE_PRIVATE_H

#include "core/proxy/dataplane.h"
#include "core/proxy/health.h"

struct px_slot { /* a worker's place */
    struct px_worker worker;
    struct net_worker *net;
};

struct px_dataplane {
    struct net_worker *main;
    struct px_slot *slots;
    unsigned num_workers;
    const struct ht_limits *limits;
    struct px_access_log *log;
    struct metrics **shards;       /* array owned: the workers', then main's, which is owned */
    struct px_health *health;
    struct px_limits_table limits_table, counts_table; /* of clusters, of listeners */
    struct list applies;           /* of struct apply (dataplane_apply.c); the first one is being applied */
    unsigned num_unanswered;
    struct px_config *config;      /* the last one sent; referenced */
    struct px_listener_status *listeners;
    uint32_t num_listeners;
    struct timer reopen_timer;
    bool is_draining, is_closing;
    unsigned num_undrained;
    void (*on_drained)(void *data);
    void *on_drained_data;
    unsigned num_releasing;
    /* of all threads */
    atomic_uint num_conns, max_conns;
};

/* Carries a plain call to a worker's thread, or home. */
struct px_note {
    struct net_message message;
    struct px_dataplane *dataplane;
    void (*run)(struct px_note *note, struct px_worker *worker); /* frees the note; worker NULL on main */
    void *data;
    struct px_config *config;
    int *fds;                      /* [listener of the configuration]; -1: has one or has none */
    uint64_t number;
    void (*visit)(struct px_worker *worker, void *data);
};

struct px_note *px_note_new(struct px_dataplane *dataplane, void (*run)(struct px_note *note, struct px_worker *worker));
void px_note_send(struct px_note *note, unsigned worker_index);
void px_note_send_home(struct px_note *note, void (*run)(struct px_note *note, struct px_worker *worker));

/* How many connections the process's descriptors allow. */
unsigned px_dataplane_default_max_conns(void);
/* Tries again to open what could not be opened. */
void px_dataplane_on_reopen(struct timer *timer);
/* Lets what is being applied end, drops what waits. Turns main's loop meanwhile. */
void px_dataplane_stop_applying(struct px_dataplane *dataplane);
/* Frees the configuration and what is known of its listeners, once the workers gave theirs back. Turns the loop, too. */
void px_dataplane_give_back(struct px_dataplane *dataplane);

#endif

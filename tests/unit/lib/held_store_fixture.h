/* A store with a cache over it, of which one commit can be held back: what is decided meanwhile is decided without knowing it. */
#ifndef SELVEDGE_TEST_HELD_STORE_FIXTURE_H
#define SELVEDGE_TEST_HELD_STORE_FIXTURE_H

#include "core/net/worker.h"
#include "gateway/control/cache.h"
#include "gateway/control/store_private.h"
#include "tests/unit/lib/store_fixture.h"
#include "tests/unit/lib/tempdir.h"

#include <stdatomic.h>
#include <stdio.h>

struct held_store {
    char *folder;
    struct net_worker *worker;
    struct ctl_cache *cache;
    struct ctl_store *store;
    struct arena *arena; /* of a test's texts and trees */
    sem_t go_on;
    _Atomic bool is_held; /* the next commit reaches the cache when go_on says so */
};

static inline void held_store_on_commit(void *data, const struct ctl_change *changes, size_t num)
{
    struct held_store *held = data;
    if (atomic_exchange(&held->is_held, false))
        while (sem_wait(&held->go_on) != 0)
            ;
    ctl_cache_on_commit(held->cache, changes, num);
}

static inline void held_store_open(struct held_store *held)
{
    char path[512];
    struct err err = ERR_INIT;
    held->folder = tempdir_new();
    snprintf(path, sizeof(path), "%s/control.db", held->folder);
    sem_init(&held->go_on, 0, 0);
    held->worker = net_worker_new(0, 0, 0);
    held->arena = arena_new(0);
    held->cache = ctl_cache_new(held->worker, 0);
    struct ctl_store_config config = {.path = path, .on_commit = held_store_on_commit, .data = held};
    held->store = ctl_store_open(&config, &err);
    if (held->store == NULL || ctl_cache_load(held->cache, held->store, &err) != 0)
        fail_msg("%s", err.text);
}

static inline void held_store_close(struct held_store *held)
{
    held->store = ctl_store_close(held->store);
    net_worker_turn(held->worker, 0); /* what the store still sent */
    held->cache = ctl_cache_free(held->cache);
    held->arena = arena_free(held->arena);
    held->worker = net_worker_free(held->worker);
    sem_destroy(&held->go_on);
    tempdir_free(held->folder);
}

static inline void held_store_nothing(struct ctl_txn *txn)
{
}

/* Commits `write` (the caller's until the release), but nobody knows. */
static inline void held_store_write(struct held_store *held, struct ctl_txn *txn, struct ctl_write *write)
{
    *txn = (struct ctl_txn){.writes = write, .num_writes = 1, .actor = SLICE("ann"), .origin = SLICE("x"), .done = held_store_nothing};
    held->is_held = true;
    ctl_store_submit(held->store, txn);
}

/* When another transaction waits behind that one, both go their way. */
static inline void held_store_release(struct held_store *held)
{
    for (bool has_another = false; !has_another;) {
        net_worker_turn(held->worker, 20);
        pthread_mutex_lock(&held->store->mutex);
        has_another = !held->is_held && held->store->queue_len != 0;
        pthread_mutex_unlock(&held->store->mutex);
    }
    sem_post(&held->go_on);
}

/* Members of an object's status as the cache has it; NULL: none. */
static inline const struct json *held_store_status(struct held_store *held, struct ctl_key key)
{
    return json_get(ctl_object_tree(held->arena, ctl_cache_get(held->cache, &key)), "status");
}

#endif

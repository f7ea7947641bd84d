/* Node objects: what is written of a node and when, beside others who write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/control/node_status.h"
#include "gateway/control/nodes_internal.h"
#include "gateway/control/store_private.h"
#include "tests/unit/lib/store_fixture.h"
#include "tests/unit/lib/tempdir.h"

#include <stdio.h>

static char *folder, path[512];
static struct net_worker *worker;
static struct ctl_cache *cache;
static struct ctl_store *store;
static struct ctl_node_status *status;
static struct arena *arena;
static sem_t go_on;
static _Atomic bool is_held; /* the next commit reaches the cache when go_on says so */

static void on_commit(void *data, const struct ctl_change *changes, size_t num)
{
    if (is_held) {
        is_held = false;
        while (sem_wait(&go_on) != 0)
            ;
    }
    ctl_cache_on_commit(data, changes, num);
}

static struct ctl_write node_write(const char *name, const char *label)
{
    const char *text = arena_printf(arena, "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"l\":\"%s\"}},\"spec\":{\"role\":\"gateway\"}}", name, label);
    return (struct ctl_write){.op = CTL_PUT, .key = {CTL_NODE_KIND, SLICE(""), slice_of(name)}, .object = slice_of(text)};
}

static int setup(void **state)
{
    struct err err = ERR_INIT;
    folder = tempdir_new();
    snprintf(path, sizeof(path), "%s/control.db", folder);
    sem_init(&go_on, 0, 0);
    worker = net_worker_new(0, 0, 0);
    arena = arena_new(0);
    cache = ctl_cache_new(worker, 0);
    struct ctl_store_config config = {.path = path, .on_commit = on_commit, .data = cache};
    store = ctl_store_open(&config, &err);
    if (store == NULL || ctl_cache_load(cache, store, &err) != 0)
        fail_msg("%s", err.text);
    struct ctl_write writes[] = {node_write("a", "1"), node_write("b", "1")};
    assert_int_not_equal(write_all(store, writes, 2, &err), 0);
    net_worker_turn(worker, 0);
    status = ctl_node_status_new(worker, store, cache);
    return 0;
}

static int teardown(void **state)
{
    status = ctl_node_status_free(status);
    store = ctl_store_close(store);
    net_worker_turn(worker, 0);
    cache = ctl_cache_free(cache);
    arena = arena_free(arena);
    worker = net_worker_free(worker);
    sem_destroy(&go_on);
    tempdir_free(folder);
    return 0;
}

static void note(const char *name, enum ctl_node_state state, uint64_t applied_rev)
{
    struct ctl_node_view view = {.name = slice_of(name), .role = SLICE("gateway"), .version = SLICE("1"), .address = SLICE("x"),
                                 .is_connected = true, .state = state, .applied_rev = applied_rev, .errors = SLICE("[]")};
    ctl_node_status_note(status, &view);
}

static const struct json *stored_status(const char *name)
{
    struct ctl_key key = {CTL_NODE_KIND, SLICE(""), slice_of(name)};
    return json_get(ctl_object_tree(arena, ctl_cache_get(cache, &key)), "status");
}

static bool is_told(const char *name, const char *state, int64_t applied_rev)
{
    const struct json *told = stored_status(name);
    return strcmp(json_str(json_get(told, "state"), ""), state) == 0 && json_int_or(json_get(told, "appliedRevision"), -1) == applied_rev;
}

static void turn_until_told(const char *name, const char *state, int64_t applied_rev)
{
    while (!is_told(name, state, applied_rev))
        net_worker_turn(worker, 20);
}

static void being_on_the_way_and_a_newer_revision_are_one_write(void **state)
{
    note("a", CTL_NODE_SYNCED, 3);
    turn_until_told("a", "Synced", 3);
    uint64_t before = ctl_cache_rev(cache);
    note("a", CTL_NODE_PENDING, 3);
    note("b", CTL_NODE_PENDING, 3); /* never told of before: urgent */
    note("a", CTL_NODE_SYNCED, 4);
    turn_until_told("a", "Synced", 4);
    assert_true(is_told("b", "Pending", 3));
    assert_int_equal(ctl_cache_rev(cache), before + 1);
}

static void a_node_that_stays_on_its_way_is_told_of(void **state)
{
    note("a", CTL_NODE_SYNCED, 3);
    turn_until_told("a", "Synced", 3);
    note("a", CTL_NODE_PENDING, 3);
    turn_until_told("a", "Pending", 3);
    note("a", CTL_NODE_REJECTED, 3);
    turn_until_told("a", "Rejected", 3);
}

static void nothing(struct ctl_txn *txn)
{
}

static size_t queue_len(void)
{
    pthread_mutex_lock(&store->mutex);
    size_t len = store->queue_len;
    pthread_mutex_unlock(&store->mutex);
    return len;
}

/* A user's write of one node refuses the flush that was under way: all of it is written with the next. */
static void another_ones_write_costs_no_news(void **state)
{
    struct ctl_write write = node_write("b", "2");
    struct ctl_txn txn = {.writes = &write, .num_writes = 1, .actor = SLICE("ann"), .origin = SLICE("x"), .done = nothing};
    is_held = true;
    ctl_store_submit(store, &txn);
    note("a", CTL_NODE_SYNCED, 3);
    note("b", CTL_NODE_SYNCED, 3);
    while (queue_len() == 0) /* the flush, behind the writer that is held; it expects b as it was */
        net_worker_turn(worker, 20);
    assert_int_equal(sem_post(&go_on), 0);
    turn_until_told("a", "Synced", 3);
    turn_until_told("b", "Synced", 3);
    struct ctl_key key = {CTL_NODE_KIND, SLICE(""), SLICE("b")};
    assert_string_equal(json_str(json_find(ctl_object_tree(arena, ctl_cache_get(cache, &key)), "metadata", "labels", "l", NULL), ""), "2");
}

static void a_removed_node_stays_removed(void **state)
{
    struct ctl_write write = {.op = CTL_DELETE, .key = {CTL_NODE_KIND, SLICE(""), SLICE("a")}};
    note("a", CTL_NODE_SYNCED, 3);
    assert_int_not_equal(write_all(store, &write, 1, NULL), 0);
    net_worker_turn(worker, 0);
    note("b", CTL_NODE_SYNCED, 3);
    turn_until_told("b", "Synced", 3);
    struct ctl_key key = {CTL_NODE_KIND, SLICE(""), SLICE("a")};
    assert_null(ctl_cache_get(cache, &key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(being_on_the_way_and_a_newer_revision_are_one_write, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_that_stays_on_its_way_is_told_of, setup, teardown),
        cmocka_unit_test_setup_teardown(another_ones_write_costs_no_news, setup, teardown),
        cmocka_unit_test_setup_teardown(a_removed_node_stays_removed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Node objects: what is written of a node and when, beside others who write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/control/node_status.h"
#include "gateway/control/nodes_internal.h"
#include "tests/unit/lib/held_store_fixture.h"

static struct held_store held;
static struct ctl_node_status *status;

static struct ctl_key node_key(const char *name)
{
    return (struct ctl_key){CTL_NODE_KIND, SLICE(""), slice_of(name)};
}

static struct ctl_write node_write(const char *name, const char *label)
{
    const char *text = arena_printf(held.arena, "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"l\":\"%s\"}},\"spec\":{\"role\":\"gateway\"}}", name, label);
    return (struct ctl_write){.op = CTL_PUT, .key = node_key(name), .object = slice_of(text)};
}

static int setup(void **state)
{
    held_store_open(&held);
    struct ctl_write writes[] = {node_write("a", "1"), node_write("b", "1")};
    assert_int_not_equal(write_all(held.store, writes, 2, NULL), 0);
    net_worker_turn(held.worker, 0);
    status = ctl_node_status_new(held.worker, held.store, held.cache);
    return 0;
}

static int teardown(void **state)
{
    status = ctl_node_status_free(status);
    held_store_close(&held);
    return 0;
}

static void note(const char *name, enum ctl_node_state state, uint64_t applied_rev)
{
    struct ctl_node_view view = {.name = slice_of(name), .role = SLICE("gateway"), .version = SLICE("1"), .address = SLICE("x"),
                                 .is_connected = true, .state = state, .applied_rev = applied_rev, .errors = SLICE("[]")};
    ctl_node_status_note(status, &view);
}

static bool is_told(const char *name, const char *state, int64_t applied_rev)
{
    const struct json *told = held_store_status(&held, node_key(name));
    return strcmp(json_str(json_get(told, "state"), ""), state) == 0 && json_int_or(json_get(told, "appliedRevision"), -1) == applied_rev;
}

static void turn_until_told(const char *name, const char *state, int64_t applied_rev)
{
    while (!is_told(name, state, applied_rev))
        net_worker_turn(held.worker, 20);
}

static void being_on_the_way_and_a_newer_revision_are_one_write(void **state)
{
    note("a", CTL_NODE_SYNCED, 3);
    turn_until_told("a", "Synced", 3);
    uint64_t before = ctl_cache_rev(held.cache);
    note("a", CTL_NODE_PENDING, 3);
    note("a", CTL_NODE_SYNCED, 4);
    turn_until_told("a", "Synced", 4);
    assert_int_equal(ctl_cache_rev(held.cache), before + 1);
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

/* A user's write of one node refuses the flush that was under way: all of it is written with the next. */
static void another_ones_write_costs_no_news(void **state)
{
    struct ctl_write write = node_write("b", "2");
    struct ctl_txn txn;
    held_store_write(&held, &txn, &write);
    note("a", CTL_NODE_SYNCED, 3);
    note("b", CTL_NODE_SYNCED, 3);
    held_store_release(&held); /* the flush expects b as it was */
    turn_until_told("a", "Synced", 3);
    turn_until_told("b", "Synced", 3);
    struct ctl_key key = node_key("b");
    assert_string_equal(json_str(json_find(ctl_object_tree(held.arena, ctl_cache_get(held.cache, &key)), "metadata", "labels", "l", NULL), ""), "2");
}

static void a_removed_node_stays_removed(void **state)
{
    struct ctl_write write = {.op = CTL_DELETE, .key = node_key("a")};
    note("a", CTL_NODE_SYNCED, 3);
    assert_int_not_equal(write_all(held.store, &write, 1, NULL), 0);
    net_worker_turn(held.worker, 0);
    note("b", CTL_NODE_SYNCED, 3);
    turn_until_told("b", "Synced", 3);
    struct ctl_key key = node_key("a");
    assert_null(ctl_cache_get(held.cache, &key));
}

/* An administrator may have written the status: anything may be missing. */
static void a_node_that_does_not_come_back_is_told_offline_whatever_was_known_of_it(void **state)
{
    struct ctl_write write = {.op = CTL_PUT, .key = node_key("a"), .object = SLICE("{\"metadata\":{\"name\":\"a\"},\"status\":{\"connected\":true}}")};
    assert_int_not_equal(write_all(held.store, &write, 1, NULL), 0);
    net_worker_turn(held.worker, 0);
    timers_run(&held.worker->timers, net_now_ms(held.worker) + 5000); /* it had its time to come back */
    turn_until_told("a", "Offline", 0);
    assert_int_equal(json_get(held_store_status(&held, node_key("a")), "errors")->type, JSON_ARRAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(being_on_the_way_and_a_newer_revision_are_one_write, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_that_stays_on_its_way_is_told_of, setup, teardown),
        cmocka_unit_test_setup_teardown(another_ones_write_costs_no_news, setup, teardown),
        cmocka_unit_test_setup_teardown(a_removed_node_stays_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_that_does_not_come_back_is_told_offline_whatever_was_known_of_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

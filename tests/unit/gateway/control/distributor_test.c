/* The distributor: what a node is sent, given what it has; slow nodes, refusals, the fuse, resuming. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/strbuf.h"
#include "gateway/control/distributor.h"

#include <inttypes.h>
#include <stdio.h>

struct node {
    struct ctl_subscriber *subscriber;
    struct strbuf got;
    bool is_blocked, is_closed;
    int64_t until_us;
    char name[16];
};

static bool take(void *data, struct slice bytes)
{
    struct node *node = data;
    strbuf_add_slice(&node->got, bytes);
    return !node->is_blocked;
}

static void on_close(void *data)
{
    ((struct node *)data)->is_closed = true;
    ((struct node *)data)->subscriber = NULL;
}

static const struct ctl_subscriber_ops ops = {take, on_close};

struct world {
    struct net_worker *worker;
    struct ctl_distributor *distributor;
};

static int setup(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));
    world->worker = net_worker_new(0, 0, 0);
    struct ctl_distributor_config config = {.worker = world->worker, .epoch = 0xabc};
    world->distributor = ctl_distributor_new(&config);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    ctl_distributor_free(world->distributor);
    net_worker_free(world->worker);
    free(world);
    return 0;
}

/* A document with resources r0..r(num-1), of which the first says `text`. Big enough that a delta is the shorter way. */
static struct cfg_document *make_document(uint64_t rev, unsigned num, const char *text)
{
    struct err err = ERR_INIT;
    struct cfg_document *doc = cfg_document_new();
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    doc->epoch = 0xabc;
    doc->rev = rev;
    for (unsigned i = 0; i < num; ++i) {
        char name[16];
        struct json *spec = json_new_object(arena);
        snprintf(name, sizeof(name), "r%u", i);
        json_set_str(arena, spec, "text", i == 0 ? text : "the same as ever, and long enough to weigh something in the balance");
        cfg_document_add(doc, SLICE("route"), slice_of(name), rev, spec);
    }
    assert_int_equal(cfg_document_seal(doc, &err), 0);
    return doc;
}

static void publish(struct world *world, uint64_t rev, const char *text)
{
    struct cfg_document *doc = make_document(rev, 200, text);
    ctl_distributor_publish(world->distributor, &doc);
    assert_null(doc);
}

static void subscribe(struct world *world, struct node *node, const char *name, const char *since, const char *sum)
{
    struct err err = ERR_INIT;
    snprintf(node->name, sizeof(node->name), "%s", name);
    struct ctl_subscription subscription = {slice_of(node->name), SLICE("gateway"), SLICE("x"), slice_of(since), slice_of(sum), node->until_us};
    node->subscriber = ctl_distributor_subscribe(world->distributor, &subscription, &ops, node, &err);
    assert_non_null(node->subscriber);
}

static void report(struct world *world, struct node *node, uint64_t seq, uint64_t applied, uint64_t attempted, const char *state)
{
    char text[256];
    struct err err = ERR_INIT;
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    snprintf(text, sizeof(text), "{\"bootId\":\"b\",\"seq\":%" PRIu64 ",\"applied\":%" PRIu64 ",\"attempted\":%" PRIu64 ",\"state\":\"%s\",\"errors\":[]}", seq,
             applied, attempted, state);
    if (ctl_distributor_report(world->distributor, slice_of(node->name), json_parse(arena, slice_of(text), &err), &err) != 0)
        fail_msg("%s", err.text);
}

/* Exactly this event was sent since the last look (NULL: none), and it mentions `text`. */
static void expect_event(struct node *node, const char *event, const char *text)
{
    if (event == NULL) {
        assert_int_equal(node->got.len, 0);
        return;
    }
    char want[64];
    snprintf(want, sizeof(want), "event: %s\n", event);
    assert_non_null(node->got.base);
    if (strncmp(node->got.base, want, strlen(want)) != 0 || strstr(node->got.base + 1, "event: ") != NULL || strstr(node->got.base, text) == NULL)
        fail_msg("want one %s with %s, got: %.300s", event, text, node->got.base);
    strbuf_reset(&node->got);
}

static void node_clear(struct node *node)
{
    if (node->subscriber != NULL)
        ctl_subscriber_free(node->subscriber);
    strbuf_clear(&node->got);
}

static void first_a_snapshot_then_deltas(void **state)
{
    struct world *world = *state;
    struct node node = {0};
    subscribe(world, &node, "n", "", "");
    expect_event(&node, NULL, "");
    publish(world, 5, "one");
    expect_event(&node, "snapshot", "id: 0000000000000abc:5");
    publish(world, 6, "two");
    expect_event(&node, "delta", "\"two\"");
    node_clear(&node);
}

static void keep_applied(const struct ctl_node_view *node, void *data)
{
    *(uint64_t *)data = node->applied_rev;
}

static uint64_t applied_of(struct world *world)
{
    uint64_t rev = 0;
    ctl_distributor_nodes(world->distributor, keep_applied, &rev);
    return rev;
}

static void what_changes_nothing_for_a_node_waits_for_the_heartbeat(void **state)
{
    struct world *world = *state;
    struct node node = {0};
    subscribe(world, &node, "n", "", "");
    publish(world, 6, "two");
    expect_event(&node, "snapshot", "\"two\"");
    report(world, &node, 1, 6, 6, "applied");
    publish(world, 7, "two");
    expect_event(&node, NULL, "");
    assert_int_equal(applied_of(world), 7); /* it does run it */
    timers_run(&world->worker->timers, net_now_ms(world->worker) + 15000);
    expect_event(&node, "bookmark", ":7");
    timers_run(&world->worker->timers, net_now_ms(world->worker) + 30000);
    assert_non_null(strstr(node.got.base, ": hb"));
    node_clear(&node);
}

static void a_slow_node_gets_only_the_net_difference(void **state)
{
    struct world *world = *state;
    struct node node = {.is_blocked = true};
    publish(world, 1, "one");
    subscribe(world, &node, "n", "", "");
    expect_event(&node, "snapshot", "\"one\"");
    publish(world, 2, "two");
    publish(world, 3, "three");
    expect_event(&node, NULL, "");
    node.is_blocked = false;
    ctl_subscriber_writable(node.subscriber);
    assert_null(strstr(node.got.base, "\"two\""));
    expect_event(&node, "delta", "\"three\"");
    node_clear(&node);
}

static void resuming_sends_what_was_missed(void **state)
{
    struct world *world = *state;
    struct node node = {0}, again = {0}, stranger = {0}, restarted = {0};
    char sum[24];
    publish(world, 1, "one");
    snprintf(sum, sizeof(sum), "%016" PRIx64, cfg_document_sum(ctl_distributor_current(world->distributor)));
    publish(world, 2, "two");
    subscribe(world, &node, "a", "0000000000000abc:1", sum);
    expect_event(&node, "delta", "\"two\"");
    subscribe(world, &again, "b", "0000000000000abc:1", "ffffffffffffffff"); /* its view differs: start over */
    expect_event(&again, "snapshot", "\"two\"");
    subscribe(world, &stranger, "c", "0000000000000fff:1", sum); /* another history */
    expect_event(&stranger, "snapshot", "\"two\"");
    snprintf(sum, sizeof(sum), "%016" PRIx64, cfg_document_sum(ctl_distributor_current(world->distributor)));
    subscribe(world, &restarted, "d", "0000000000000abc:2", sum); /* has it all */
    expect_event(&restarted, "bookmark", ":2");
    node_clear(&node);
    node_clear(&again);
    node_clear(&stranger);
    node_clear(&restarted);
}

static void nodes_that_were_faster_than_the_first_compile_get_a_bookmark(void **state)
{
    struct world *world = *state;
    struct node node = {0};
    char sum[24];
    struct cfg_document *doc = make_document(9, 200, "one");
    snprintf(sum, sizeof(sum), "%016" PRIx64, cfg_document_sum(doc));
    subscribe(world, &node, "n", "0000000000000abc:4", sum);
    expect_event(&node, NULL, "");
    ctl_distributor_publish(world->distributor, &doc);
    expect_event(&node, "bookmark", ":9");
    node_clear(&node);
}

static void a_refused_revision_is_not_sent_again(void **state)
{
    struct world *world = *state;
    struct node node = {0};
    publish(world, 1, "one");
    subscribe(world, &node, "n", "", "");
    expect_event(&node, "snapshot", "\"one\"");
    report(world, &node, 1, 1, 1, "applied");
    publish(world, 2, "bad");
    expect_event(&node, "delta", "\"bad\"");
    report(world, &node, 2, 1, 2, "rejected");
    expect_event(&node, NULL, "");
    ctl_subscriber_writable(node.subscriber);
    expect_event(&node, NULL, "");
    publish(world, 3, "good");
    expect_event(&node, "delta", "\"from\":1"); /* from what it applied */
    assert_int_equal(ctl_distributor_rollout(world->distributor, 2).synced, 0);
    report(world, &node, 3, 3, 3, "applied");
    assert_int_equal(ctl_distributor_rollout(world->distributor, 3).synced, 1);
    node_clear(&node);
}

static void one_node_alone_burns_no_fuse(void **state)
{
    struct world *world = *state;
    struct node moody = {0}, other = {0};
    publish(world, 1, "one");
    subscribe(world, &moody, "a", "", "");
    publish(world, 2, "fine");
    for (uint64_t seq = 1; seq < 20; seq += 2) {
        report(world, &moody, seq, 1, 2, "rejected");
        report(world, &moody, seq + 1, 1, 2, "applied");
    }
    subscribe(world, &other, "b", "", "");
    expect_event(&other, "snapshot", "\"fine\"");
    node_clear(&moody);
    node_clear(&other);
}

static void the_fuse_spares_the_others(void **state)
{
    struct world *world = *state;
    struct node first = {0}, second = {0}, third = {0};
    publish(world, 1, "one");
    subscribe(world, &first, "a", "", "");
    subscribe(world, &second, "b", "", "");
    strbuf_reset(&first.got);
    strbuf_reset(&second.got);
    publish(world, 2, "bad");
    report(world, &first, 1, 1, 2, "rejected");
    report(world, &second, 1, 1, 2, "rejected");
    subscribe(world, &third, "c", "", "");
    expect_event(&third, NULL, "");
    ctl_distributor_force(world->distributor);
    expect_event(&third, "snapshot", "\"bad\"");
    node_clear(&first);
    node_clear(&second);
    node_clear(&third);
}

static void a_second_stream_of_a_node_replaces_the_first(void **state)
{
    struct world *world = *state;
    struct node old = {0}, new = {0};
    publish(world, 1, "one");
    subscribe(world, &old, "n", "", "");
    subscribe(world, &new, "n", "", "");
    assert_true(old.is_closed);
    publish(world, 2, "two");
    assert_null(strstr(old.got.base, "\"two\""));
    node_clear(&old);
    node_clear(&new);
}

static void a_removed_node_loses_its_stream_and_may_come_anew(void **state)
{
    struct world *world = *state;
    struct node old = {0}, new = {0};
    publish(world, 1, "one");
    subscribe(world, &old, "n", "", "");
    ctl_distributor_forget(world->distributor, SLICE("other"));
    assert_false(old.is_closed);
    ctl_distributor_forget(world->distributor, SLICE("n"));
    assert_true(old.is_closed);
    assert_int_equal(ctl_distributor_rollout(world->distributor, 1).pending, 0);
    publish(world, 2, "two");
    assert_null(strstr(old.got.base, "\"two\""));
    subscribe(world, &new, "n", "", "");
    assert_non_null(strstr(new.got.base, "\"two\""));
    node_clear(&old);
    node_clear(&new);
}

static void bad_reports_are_named(void **state)
{
    struct world *world = *state;
    static const char *const bad[] = {"{}", "{\"bootId\":1}", "{\"bootId\":\"b\",\"seq\":-1}", "{\"bootId\":\"b\",\"seq\":1,\"applied\":1}",
                                      "{\"bootId\":\"b\",\"seq\":1,\"applied\":1,\"attempted\":1,\"errors\":{}}",
                                      "{\"bootId\":\"b\",\"seq\":1,\"applied\":1,\"attempted\":1,\"state\":\"?\"}", "[]", "null"};
    for (size_t i = 0; i < ARRAY_LEN(bad); ++i) {
        struct err err = ERR_INIT;
        _cleanup_(arena_freep) struct arena *arena = arena_new(0);
        assert_int_equal(ctl_distributor_report(world->distributor, SLICE("n"), json_parse(arena, slice_of(bad[i]), &err), &err), -1);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
    }
}

static void a_report_that_is_refused_leaves_nothing_behind(void **state)
{
    struct world *world = *state;
    struct node node = {0};
    struct err err = ERR_INIT;
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    publish(world, 1, "one");
    subscribe(world, &node, "n", "", "");
    const char *bad = "{\"bootId\":\"b\",\"seq\":1,\"applied\":1,\"attempted\":1,\"state\":\"?\"}";
    assert_int_equal(ctl_distributor_report(world->distributor, SLICE("n"), json_parse(arena, slice_of(bad), &err), &err), -1);
    report(world, &node, 1, 1, 1, "applied"); /* the same one, put right: not a stale one */
    assert_int_equal(ctl_distributor_rollout(world->distributor, 1).synced, 1);
    assert_ptr_equal(ctl_distributor_applied(world->distributor), ctl_distributor_current(world->distributor));
    node_clear(&node);
}

static void a_stream_ends_with_its_certificate(void **state)
{
    struct world *world = *state;
    struct node node = {.until_us = clock_wall_us() + 50000}, other = {0};
    publish(world, 1, "one");
    subscribe(world, &other, "other", "", "");
    subscribe(world, &node, "n", "", "");
    assert_false(node.is_closed);
    while (!node.is_closed)
        net_worker_turn(world->worker, 50);
    assert_true(clock_wall_us() >= node.until_us);
    assert_non_null(strstr(node.got.base, "event: goaway\ndata: {\"reconnectMs\":"));
    assert_false(other.is_closed);
    node_clear(&node);
    node_clear(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_a_snapshot_then_deltas, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_node_gets_only_the_net_difference, setup, teardown),
        cmocka_unit_test_setup_teardown(resuming_sends_what_was_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_changes_nothing_for_a_node_waits_for_the_heartbeat, setup, teardown),
        cmocka_unit_test_setup_teardown(nodes_that_were_faster_than_the_first_compile_get_a_bookmark, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_revision_is_not_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(one_node_alone_burns_no_fuse, setup, teardown),
        cmocka_unit_test_setup_teardown(the_fuse_spares_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_stream_of_a_node_replaces_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(a_removed_node_loses_its_stream_and_may_come_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_reports_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_report_that_is_refused_leaves_nothing_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_ends_with_its_certificate, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

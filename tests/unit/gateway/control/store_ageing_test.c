/* What the control store forgets: compaction of the change log, ageing of the audit log. */
#include "tests/unit/lib/store_log_fixture.h"

/* ---------- compaction ---------- */

static const int64_t day_us = INT64_C(24) * 3600 * 1000000;

static void write_days(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; ++i) {
        clock_fake(1, (100 + i) * day_us);
        put(store, i % 2 == 0 ? "a" : "b", "x");
    }
}

static void compaction_keeps_what_is_young_or_among_the_newest(void **state)
{
    config.keep_days = 10;
    config.keep_revisions = 5;
    reopen();
    write_days(0, 20); /* revision n is of day 99 + n; now is day 119 */
    assert_int_equal(ctl_store_compact(store, NULL), 0);
    assert_int_equal(ctl_store_compacted(store), 9);
    clock_fake(1, 1000 * day_us);
    assert_int_equal(ctl_store_compact(store, NULL), 0);
    assert_int_equal(ctl_store_compacted(store), 15);
    assert_string_equal(all(), "a@19=x b@20=x ");
    assert_string_equal(at(15), "a@15=x b@14=x ");
    struct err err;
    assert_int_equal(ctl_store_read_at(store, 14, add_row, NULL, &err), -1);
    assert_int_equal(err.code, ERR_GONE);
    assert_int_equal(ctl_store_read_changes(store, 14, 20, NULL, 0, add_change, NULL, &err), -1);
    assert_int_equal(err.code, ERR_GONE);
    assert_string_equal(changes(15, 16, NULL, 0), "16.0+b ");
    reopen();
    assert_int_equal(ctl_store_compacted(store), 15);
    assert_sound();
}

static void compaction_waits_for_watchers(void **state)
{
    config.keep_days = 1;
    config.keep_revisions = 1;
    needed = 7;
    reopen();
    write_days(0, 20);
    assert_int_equal(ctl_store_compact(store, NULL), 0);
    assert_int_equal(ctl_store_compacted(store), 7);
    needed = UINT64_MAX;
    assert_int_equal(ctl_store_compact(store, NULL), 0);
    assert_int_equal(ctl_store_compacted(store), 18);
}

static void the_log_is_bounded_whatever_the_age(void **state)
{
    config.keep_days = 1000;
    config.keep_revisions = 2;
    reopen();
    write_days(0, 30);
    assert_int_equal(ctl_store_compact(store, NULL), 0);
    assert_int_equal(ctl_store_compacted(store), 24);
}

/* ---------- ageing of the audit log ---------- */

static void audit_days(unsigned from, unsigned to)
{
    struct ctl_audit audit = {.actor = SLICE("ann"), .verb = SLICE("update"), .status = 200};
    for (unsigned i = from; i < to; ++i) {
        clock_fake(1, (100 + i) * day_us);
        struct ctl_write write = put_of("a", "x");
        struct ctl_txn txn = {.writes = &write, .num_writes = 1, .audit = &audit};
        assert_int_equal(ctl_store_write(store, &txn), 0);
    }
}

static int add_verb(uint64_t id, const struct ctl_audit *entry, struct slice hash, void *data)
{
    strbuf_addf(data, "%llu:%.*s ", (unsigned long long)id, (int)entry->verb.len, entry->verb.base);
    return 0;
}

static const char *audit(void)
{
    struct strbuf out = STRBUF_INIT;
    struct err err = ERR_INIT;
    uint64_t broken = 0;
    assert_int_equal(ctl_store_read_audit(store, 0, 0, add_verb, &out, &err), 0);
    if (ctl_store_verify_audit(store, &broken, &err) != 0)
        fail_msg("broken at %llu", (unsigned long long)broken);
    return keep(&out);
}

static void old_audit_entries_leave_and_the_chain_holds(void **state)
{
    config.keep_audit_days = 3;
    reopen();
    audit_days(0, 5); /* entry n is of day 99 + n */
    clock_fake(1, 104 * day_us);
    assert_int_equal(ctl_store_compact(store, NULL), 0);
    assert_string_equal(audit(), "5:update 4:update 3:update 2:update 1:update "); /* a day is nothing */
    clock_fake(1, 105 * day_us);
    assert_int_equal(ctl_store_compact(store, NULL), 0);
    assert_string_equal(audit(), "6:expire 5:update 4:update 3:update ");
    reopen();
    assert_sound();
    audit_days(6, 7);
    clock_fake(1, 200 * day_us);
    assert_int_equal(ctl_store_compact(store, NULL), 0);
    assert_string_equal(audit(), "8:expire ");
    assert_int_equal(ctl_store_compact(store, NULL), 0); /* the note itself is young */
    assert_string_equal(audit(), "8:expire ");
    assert_sound();
}

static void ageing_goes_in_steps(void **state)
{
    struct ctl_audit entry = {.actor = SLICE("eve"), .verb = SLICE("get"), .status = 403, .at_us = 100 * day_us};
    for (int i = 0; i < 1500; ++i)
        ctl_store_audit(store, &entry);
    clock_fake(1, 600 * day_us);
    assert_int_equal(ctl_store_write(store, &(struct ctl_txn){.num_writes = 0}), 0); /* after them in the queue */
    assert_int_equal(ctl_store_compact(store, NULL), 0);
    assert_string_equal(audit(), "1502:expire 1501:expire ");
    assert_sound();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(compaction_keeps_what_is_young_or_among_the_newest),
        T(compaction_waits_for_watchers),
        T(the_log_is_bounded_whatever_the_age),
        T(old_audit_entries_leave_and_the_chain_holds),
        T(ageing_goes_in_steps),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

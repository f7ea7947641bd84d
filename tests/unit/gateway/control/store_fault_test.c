/* Disks that fail, fill up, lie still or lose power: what was acknowledged stays, the rest is refused in
 * words. */
#include "gateway/control/store_private.h"
#include "tests/unit/lib/fault_vfs.h"
#include "tests/unit/lib/store_fixture.h"
#include "tests/unit/lib/tempdir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { WRITES = 6 };

static char *folder, path[512];

static int setup(void **state)
{
    fault_vfs_install();
    folder = tempdir_new();
    snprintf(path, sizeof(path), "%s/control.db", folder);
    return 0;
}

static int teardown(void **state)
{
    fault_vfs_set(FAULT_NONE, 0, false);
    fault_vfs_record(false);
    tempdir_free(folder);
    return 0;
}

static struct ctl_store *open_store(const char *file, struct err *err)
{
    struct ctl_store_config config = {.path = file};
    return ctl_store_open(&config, err);
}

static void fail_finding(const char *finding, void *data)
{
    fail_msg("%s: %s", (const char *)data, finding);
}

static int count_object(const struct ctl_change *row, void *data)
{
    if (slice_starts(row->object, SLICE("{\"n\":")))
        ++*(unsigned *)data;
    return 0;
}

/* ---------- faults on every call ---------- */

struct outcome {
    bool was_opened;
    unsigned num_acked, num_refused;
};

static const char *const object =
    "{\"n\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}";

static struct outcome work(void)
{
    struct outcome outcome = {0};
    struct err err = ERR_INIT;
    struct ctl_store *store = open_store(path, &err);
    if (store == NULL) {
        assert_int_not_equal(err.code, ERR_NONE);
        assert_true(strlen(err.text) > 20);
        return outcome;
    }
    outcome.was_opened = true;
    for (unsigned i = 0; i < WRITES; ++i) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", i);
        struct ctl_write write = put_of(name, object);
        err = ERR_INIT;
        if (write_all(store, &write, 1, &err) != 0)
            ++outcome.num_acked;
        else if (err.code == ERR_NO_SPACE || err.code == ERR_IO || err.code == ERR_UNAVAILABLE)
            ++outcome.num_refused;
        else
            fail_msg("%u %s", err.code, err.text);
    }
    ctl_store_close(store);
    return outcome;
}

/* Without faults again: it opens, fits together, and nothing acknowledged is missing. */
static void verify(const char *file, unsigned num_acked, const char *what)
{
    struct err err = ERR_INIT;
    struct ctl_store *store = open_store(file, &err);
    if (store == NULL)
        fail_msg("%s: %s", what, err.text);
    unsigned num = 0;
    uint64_t rev;
    assert_int_equal(ctl_store_read_all(store, count_object, &num, &rev, NULL), 0);
    if (num < num_acked || rev != num)
        fail_msg("%s: %u acknowledged, %u found, revision %llu", what, num_acked, num,
                 (unsigned long long)rev);
    ctl_store_close(store);
    if (ctl_store_check(file, fail_finding, (void *)what, &err) != 0)
        fail_msg("%s: %s", what, err.text);
}

static void fault_everywhere(enum fault_kind kind, const char *name)
{
    char what[64];
    fault_vfs_set(kind, 0, false);
    assert_int_equal(work().num_acked, WRITES);
    unsigned num_calls = fault_vfs_calls(), num_struck = 0, num_refused = 0;
    for (unsigned n = 1; n <= num_calls; ++n) {
        for (int is_lasting = 0; is_lasting < (n % 4 == 0 ? 2 : 1); ++is_lasting) {
            teardown(NULL);
            setup(NULL);
            fault_vfs_set(kind, n, is_lasting != 0);
            struct outcome outcome = work();
            num_struck += fault_vfs_has_struck();
            num_refused += outcome.num_refused;
            fault_vfs_set(FAULT_NONE, 0, false);
            snprintf(what, sizeof(what), "%s, call %u%s", name, n, is_lasting ? " and after" : "");
            verify(path, outcome.num_acked, what);
        }
    }
    print_message("%s: %u calls, %u faults struck, %u writes refused\n", name, num_calls, num_struck,
                  num_refused);
    assert_true(num_struck > 0);
}

static void a_full_disk_loses_nothing_acknowledged(void **state)
{
    fault_everywhere(FAULT_DISK_FULL, "disk full");
}

static void a_failed_write_loses_nothing_acknowledged(void **state)
{
    fault_everywhere(FAULT_WRITE, "write error");
}

static void a_failed_sync_loses_nothing_acknowledged(void **state)
{
    fault_everywhere(FAULT_SYNC, "sync error");
}

static void a_failed_read_loses_nothing_acknowledged(void **state)
{
    fault_everywhere(FAULT_READ, "read error");
}

static void a_failed_truncation_loses_nothing_acknowledged(void **state)
{
    struct outcome outcome;
    fault_vfs_set(FAULT_TRUNCATE, 1, true);
    outcome = work();
    fault_vfs_set(FAULT_NONE, 0, false);
    verify(path, outcome.num_acked, "truncation error");
}

/* ---------- what the store says and does ---------- */

static uint64_t put_failing(struct ctl_store *store, struct err *err)
{
    struct ctl_write write = put_of("a", object);
    *err = ERR_INIT;
    return write_all(store, &write, 1, err);
}

static void a_full_disk_is_507_until_there_is_room(void **state)
{
    struct err err = ERR_INIT;
    struct ctl_store *store = open_store(path, &err);
    assert_int_equal(put(store, "a", object), 1);
    fault_vfs_set(FAULT_DISK_FULL, 1, true);
    for (int i = 0; i < 5; ++i) {
        assert_int_equal(put_failing(store, &err), 0);
        assert_int_equal(err_status(err.code), 507);
        assert_non_null(strstr(err.text, "the disk is full"));
    }
    assert_false(ctl_store_is_read_only(store, NULL));
    assert_int_equal(ctl_store_head(store), 1);
    unsigned num = 0;
    uint64_t rev;
    assert_int_equal(ctl_store_read_all(store, count_object, &num, &rev, NULL), 0);
    assert_int_equal(num, 1);
    fault_vfs_set(FAULT_NONE, 0, false);
    assert_int_equal(put(store, "b", object), 2);
    ctl_store_close(store);
    verify(path, 2, "507");
}

/* The same without a play, where a file system of two megabytes may be mounted. */
static void a_really_full_disk_is_507_until_there_is_room(void **state)
{
    char disk[512], file[600], ballast[600], name[16];
    snprintf(disk, sizeof(disk), "%s/disk", folder);
    snprintf(file, sizeof(file), "%s/control.db", disk);
    snprintf(ballast, sizeof(ballast), "%s/ballast", disk);
    assert_int_equal(mkdir(disk, 0700), 0);
    if (mount("tmpfs", disk, "tmpfs", 0, "size=2m") != 0) {
        print_message("SKIP: mounting is not allowed here\n");
        skip();
    }
    int fd = open(ballast, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(posix_fallocate(fd, 0, 600000), 0);
    close(fd);
    struct err err = ERR_INIT;
    struct ctl_store *store = open_store(file, &err);
    unsigned num = 0;
    do {
        snprintf(name, sizeof(name), "n%u", num);
        struct ctl_write write = put_of(name, object);
        if (write_all(store, &write, 1, &err) == 0)
            break;
    } while (++num < 10000);
    assert_int_equal(err_status(err.code), 507);
    assert_true(num > 10);
    assert_false(ctl_store_is_read_only(store, NULL));
    unlink(ballast);
    assert_int_equal(put(store, "after", object), num + 1);
    ctl_store_close(store);
    verify(file, num + 1, "full tmpfs");
    assert_int_equal(umount(disk), 0);
}

static void after_a_failed_sync_nothing_is_written_until_restart(void **state)
{
    struct err err = ERR_INIT;
    struct ctl_store *store = open_store(path, &err);
    assert_int_equal(put(store, "a", object), 1);
    fault_vfs_set(FAULT_SYNC, 1, false); /* once: the next would succeed, and could lie */
    assert_int_equal(put_failing(store, &err), 0);
    assert_int_equal(err.code, ERR_IO);
    assert_true(ctl_store_is_read_only(store, &err));
    assert_int_equal(put_failing(store, &err), 0);
    assert_int_equal(err_status(err.code), 503);
    assert_non_null(strstr(err.text, "read-only until restart"));
    assert_int_equal(ctl_store_blob_put(store, "s", "n", SLICE("v"), &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    unsigned num = 0;
    uint64_t rev;
    assert_int_equal(ctl_store_read_all(store, count_object, &num, &rev, NULL), 0);
    assert_int_equal(num, 1);
    ctl_store_close(store);
    store = open_store(path, &err);
    assert_false(ctl_store_is_read_only(store, NULL));
    assert_int_not_equal(put(store, "b", object), 0);
    ctl_store_close(store);
}

static void three_write_errors_in_a_row_are_enough(void **state)
{
    struct err err = ERR_INIT;
    struct ctl_store *store = open_store(path, &err);
    for (int round = 0; round < 3; ++round) { /* single ones are not */
        fault_vfs_set(FAULT_WRITE, 1, false);
        assert_int_equal(put_failing(store, &err), 0);
        assert_int_equal(err.code, ERR_IO);
        fault_vfs_set(FAULT_NONE, 0, false);
        assert_int_not_equal(put(store, "a", object), 0);
    }
    fault_vfs_set(FAULT_WRITE, 1, true);
    for (int i = 0; i < ST_IO_ERRORS_MAX; ++i) {
        assert_false(ctl_store_is_read_only(store, NULL));
        assert_int_equal(put_failing(store, &err), 0);
        assert_int_equal(err.code, ERR_IO);
    }
    assert_true(ctl_store_is_read_only(store, NULL));
    ctl_store_close(store);
}

static void a_removed_file_is_noticed(void **state)
{
    struct err err = ERR_INIT;
    struct ctl_store *store = open_store(path, &err);
    assert_int_equal(put(store, "a", object), 1);
    unlink(path);
    assert_int_equal(put_failing(store, &err), 0);
    assert_non_null(strstr(err.text, "has been removed or replaced"));
    assert_true(ctl_store_is_read_only(store, NULL));
    assert_int_equal(put_failing(store, &err), 0);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    ctl_store_close(store);
}

static void audit_entries_that_could_not_be_written_are_counted(void **state)
{
    struct err err = ERR_INIT;
    struct ctl_store *store = open_store(path, &err);
    struct ctl_audit entry = {.actor = SLICE("eve"), .verb = SLICE("get"), .status = 403};
    fault_vfs_set(FAULT_DISK_FULL, 1, true);
    ctl_store_audit(store, &entry);
    assert_int_equal(put_failing(store, &err), 0); /* the same group or a later one */
    fault_vfs_set(FAULT_NONE, 0, false);
    assert_int_equal(put(store, "a", object), 1);
    uint64_t broken;
    assert_int_equal(ctl_store_verify_audit(store, &broken, NULL), 0);
    ctl_store_close(store);
    sqlite3 *db;
    int64_t num;
    assert_int_equal(st_open_ro(path, &db, NULL), 0);
    assert_int_equal(
        st_query_int(db, "SELECT count(*) FROM audit WHERE verb = 'dropped' AND message LIKE '1 entries%'",
                     &num, NULL),
        0);
    assert_int_equal(num, 1);
    st_close(&db);
}

/* ---------- power cuts ---------- */

enum { SESSIONS = 3, SESSION_WRITES = 5, LARGE = 400000, STEPS_TRIED = 200 };

/* acked_at[n]: how many steps there were when write n was acknowledged. The second session may write so much
 * that the log is checkpointed, and begun again, in its midst. */
static unsigned record_sessions(size_t *acked_at, bool has_large)
{
    unsigned num = 0;
    char *large = xmalloc(LARGE + 1);
    memset(large, 'x', LARGE);
    memcpy(large, "{\"n\":", 5);
    large[LARGE] = '\0';
    fault_vfs_record(true);
    for (int session = 0; session < SESSIONS; ++session) {
        struct ctl_store *store = open_store(path, NULL);
        for (int i = 0; i < SESSION_WRITES; ++i) {
            char name[16];
            snprintf(name, sizeof(name), "n%u", num);
            assert_int_equal(put(store, name, has_large && session == 1 ? large : object), num + 1);
            acked_at[num++] = fault_vfs_num_steps();
        }
        ctl_store_close(
            store); /* checkpoints and removes the log: the next session's steps differ from the first's */
    }
    fault_vfs_record(false);
    free(large);
    return num;
}

static void cut_power(size_t step, enum power_cut cut, uint64_t seed, const size_t *acked_at,
                      unsigned num_writes)
{
    char *after = tempdir_new(), file[512], what[64];
    unsigned num_acked = 0;
    while (num_acked < num_writes && acked_at[num_acked] <= step)
        ++num_acked;
    fault_vfs_rebuild(step, cut, seed, after);
    snprintf(file, sizeof(file), "%s/control.db", after);
    snprintf(what, sizeof(what), "power cut %d after step %zu, seed %llu", cut, step,
             (unsigned long long)seed);
    verify(file, num_acked, what);
    tempdir_free(after);
}

/* FAULT_SEEDS: how many torn variants of each step, and every step is tried; unset: 1, and some are. */
static void cut_after_each_step(bool has_large)
{
    size_t acked_at[SESSIONS * SESSION_WRITES], num_tried = 0;
    const char *text = getenv("FAULT_SEEDS");
    uint64_t num_seeds = text != NULL ? strtoull(text, NULL, 10) : 1;
    unsigned num_writes = record_sessions(acked_at, has_large);
    size_t num_steps = fault_vfs_num_steps(), stride = text != NULL ? 1 : 1 + num_steps / STEPS_TRIED;
    /* What comes before the first acknowledgement is the next test's. */
    for (size_t step = acked_at[0]; step <= num_steps; step += stride, ++num_tried) {
        cut_power(step, CUT_LOSES_ALL, 0, acked_at, num_writes);
        cut_power(step, CUT_KEEPS_ALL, 0, acked_at, num_writes);
        for (uint64_t seed = 1; seed <= num_seeds; ++seed)
            cut_power(step, CUT_TEARS, seed * 1000003 + step, acked_at, num_writes);
    }
    print_message("%zu of %zu steps, %llu variants each\n", num_tried, num_steps - acked_at[0] + 1,
                  (unsigned long long)num_seeds + 2);
}

static void no_power_cut_loses_what_was_acknowledged(void **state)
{
    cut_after_each_step(false);
}

static void no_power_cut_during_a_checkpoint_does_either(void **state)
{
    cut_after_each_step(true);
}

/* A cut while the database is being made leaves something that opens: as a new database. */
static void a_power_cut_during_the_first_start_is_no_harm(void **state)
{
    size_t acked_at[SESSIONS * SESSION_WRITES];
    record_sessions(acked_at, false);
    for (size_t step = 0; step < acked_at[0]; step += 2)
        for (uint64_t seed = 0; seed < 3; ++seed)
            cut_power(step,
                      seed == 0   ? CUT_LOSES_ALL
                      : seed == 1 ? CUT_KEEPS_ALL
                                  : CUT_TEARS,
                      step, acked_at, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_full_disk_loses_nothing_acknowledged),
        T(a_failed_write_loses_nothing_acknowledged),
        T(a_failed_sync_loses_nothing_acknowledged),
        T(a_failed_read_loses_nothing_acknowledged),
        T(a_failed_truncation_loses_nothing_acknowledged),
        T(a_full_disk_is_507_until_there_is_room),
        T(a_really_full_disk_is_507_until_there_is_room),
        T(after_a_failed_sync_nothing_is_written_until_restart),
        T(three_write_errors_in_a_row_are_enough),
        T(a_removed_file_is_noticed),
        T(audit_entries_that_could_not_be_written_are_counted),
        T(no_power_cut_loses_what_was_acknowledged),
        T(no_power_cut_during_a_checkpoint_does_either),
        T(a_power_cut_during_the_first_start_is_no_harm),
#undef T
    };
    /* Here the disk is a play: thousands of real syncs would only take time. */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

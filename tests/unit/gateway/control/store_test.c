/* The control store: writes, groups, reads, reopening, blobs. */
#include "tests/unit/lib/store_log_fixture.h"

/* ---------- writing ---------- */

static void each_transaction_is_one_revision(void **state)
{
    struct ctl_write two[] = {put_of("a", "1"), put_of("b", "2")};
    assert_int_equal(ctl_store_head(store), 0);
    assert_int_equal(write_all(store, two, 2, NULL), 1);
    assert_int_equal(put(store, "a", "3"), 2);
    assert_int_equal(ctl_store_head(store), 2);
    assert_string_equal(all(), "a@2=3 b@1=2 ");
    assert_string_equal(seen.base, "1.0 put a 1<\n1.1 put b 2<\n2.0 put a 3<1\n");
    assert_int_not_equal(ctl_store_epoch(store), 0);
}

static void a_write_may_meet_its_own_transaction(void **state)
{
    struct ctl_write writes[] = {put_of("a", "1"), delete_of("a"), put_of("a", "2")};
    assert_int_equal(write_all(store, writes, 3, NULL), 1);
    assert_string_equal(all(), "a@1=2 ");
    assert_string_equal(at(0), "");
    assert_int_equal(put(store, "a", "3"), 2);
    assert_string_equal(at(1), "a@1=2 ");
}

static void expectations_that_fail_leave_nothing(void **state)
{
    assert_int_equal(put(store, "a", "1"), 1);
    struct {
        struct ctl_write last;
        enum err_code code;
        uint64_t found;
        const char *text;
    } cases[] = {
        {put_of("a", "x"), ERR_EXISTS, 1, "httproutes \"shop/a\" already exists"},
        {put_of("a", "x"), ERR_CONFLICT, 1,
         "httproutes \"shop/a\" has been changed: it is at revision 1, not 7"},
        {put_of("z", "x"), ERR_NOT_FOUND, 0, "httproutes \"shop/z\" not found"},
        {put_of("z", "x"), ERR_NOT_FOUND, 0, "httproutes \"shop/z\" not found"},
        {delete_of("z"), ERR_NOT_FOUND, 0, "httproutes \"shop/z\" not found"},
        {delete_of("a"), ERR_CONFLICT, 1,
         "httproutes \"shop/a\" has been changed: it is at revision 1, not 7"},
        {{.op = CTL_CHECK, .key = key_of_name("z")}, ERR_NOT_FOUND, 0, "httproutes \"shop/z\" not found"},
    };
    cases[0].last.expect_absent = true;
    cases[1].last.expect_rev = 7;
    cases[2].last.expect_rev = 7;
    cases[3].last.expect_present = true;
    cases[5].last.expect_rev = 7;
    cases[6].last.expect_present = true;
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct ctl_write writes[] = {put_of("new", "1"), put_of("a", "2"), cases[i].last};
        writes[1].key.name = SLICE("other");
        struct ctl_txn txn = {.writes = writes, .num_writes = 3};
        assert_int_equal(ctl_store_write(store, &txn), -1);
        assert_int_equal(txn.err.code, cases[i].code);
        assert_string_equal(txn.err.text, cases[i].text);
        assert_int_equal(txn.failed_write, 2);
        assert_int_equal(txn.found_rev, cases[i].found);
        assert_string_equal(all(), "a@1=1 ");
        assert_int_equal(ctl_store_head(store), 1);
    }
}

static void expectations_that_hold_are_no_hindrance(void **state)
{
    assert_int_equal(put(store, "a", "1"), 1);
    struct ctl_write writes[] = {{.op = CTL_CHECK, .key = key_of_name("a"), .expect_rev = 1},
                                 put_of("b", "1"),
                                 put_of("a", "2"),
                                 delete_of("a")};
    writes[1].expect_absent = true;
    writes[2].expect_rev = 1;
    writes[3].expect_rev = 2;
    struct ctl_txn txn = {.writes = writes, .num_writes = 4, .expect_head = 1};
    assert_int_equal(ctl_store_write(store, &txn), 0);
    assert_string_equal(all(), "b@2=1 ");
    /* only a check: no revision */
    txn = (struct ctl_txn){.writes =
                               &(struct ctl_write){.op = CTL_CHECK, .key = key_of_name("b"), .expect_rev = 2},
                           .num_writes = 1};
    assert_int_equal(ctl_store_write(store, &txn), 0);
    assert_int_equal(txn.rev, 2);
    assert_int_equal(ctl_store_head(store), 2);
}

static void a_bulk_write_is_bound_to_the_head_it_was_made_for(void **state)
{
    put(store, "a", "1");
    put(store, "a", "2");
    struct ctl_write write = put_of("b", "1");
    struct ctl_txn txn = {.writes = &write, .num_writes = 1, .expect_head = 1};
    assert_int_equal(ctl_store_write(store, &txn), -1);
    assert_int_equal(txn.err.code, ERR_CONFLICT);
    txn.expect_head = 2;
    assert_int_equal(ctl_store_write(store, &txn), 0);
}

static void the_same_idempotency_key_writes_once_a_day(void **state)
{
    clock_fake(1, 1000000);
    struct ctl_write write = put_of("a", "1");
    struct ctl_txn txn = {
        .writes = &write, .num_writes = 1, .actor = SLICE("ann"), .idempotency_key = SLICE("k")};
    assert_int_equal(ctl_store_write(store, &txn), 0);
    assert_int_equal(txn.rev, 1);
    assert_false(txn.is_replay);
    put(store, "b", "1");
    clock_fake(1, 5000000);
    assert_int_equal(ctl_store_write(store, &txn), 0);
    assert_int_equal(txn.rev, 1);
    assert_int_equal(txn.at_us, 1000000);
    assert_true(txn.is_replay);
    txn.actor = SLICE("bob");
    assert_int_equal(ctl_store_write(store, &txn), 0);
    assert_int_equal(txn.rev, 3);
    txn.actor = SLICE("ann");
    clock_fake(1, INT64_C(25) * 3600 * 1000000);
    assert_int_equal(ctl_store_write(store, &txn), 0);
    assert_int_equal(txn.rev, 4);
}

static void what_is_too_large_is_refused(void **state)
{
    static char large[ST_OBJECT_MAX + 2];
    memset(large, 'x', sizeof(large) - 1);
    struct ctl_write write = put_of("a", large);
    struct err err;
    assert_int_equal(write_all(store, &write, 1, &err), 0);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_int_equal(write_all(store, &write, ST_WRITES_MAX + 1, &err), 0);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    large[ST_OBJECT_MAX] = '\0';
    assert_int_equal(put(store, "a", large), 1);
}

static void names_are_data(void **state)
{
    static const char *const names[] = {"'; DROP TABLE object; --", "\"", "%", "../../x", "\xc3\xa9", "a b"};
    for (size_t i = 0; i < ARRAY_LEN(names); ++i)
        assert_int_equal(put(store, names[i], names[i]), i + 1);
    struct ctl_key key = key_of_name(names[0]);
    assert_string_equal(changes(0, UINT64_MAX, &key, 0), "1.0+'; DROP TABLE object; -- ");
    assert_sound();
}

/* ---------- groups ---------- */

enum { SUBMITTERS = 16, EACH = 200 };
static _Atomic unsigned num_done, num_conflicts;
static uint64_t last_done_rev;
static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_done = PTHREAD_COND_INITIALIZER;

struct one {
    struct ctl_txn txn;
    struct ctl_write write;
    char name[32];
};

static void on_done(struct ctl_txn *txn)
{
    if (txn->err.code == ERR_EXISTS)
        ++num_conflicts;
    else if (txn->rev <= last_done_rev)
        abort(); /* answers come in the order of revisions */
    else
        last_done_rev = txn->rev;
    pthread_mutex_lock(&all_mutex);
    ++num_done;
    pthread_cond_signal(&all_done);
    pthread_mutex_unlock(&all_mutex);
}

static void *submit_some(void *data)
{
    struct one *ones = data;
    for (unsigned i = 0; i < EACH; ++i)
        ctl_store_submit(store, &ones[i].txn);
    return NULL;
}

static struct one *make_ones(unsigned thread)
{
    struct one *ones = xcalloc(EACH, sizeof(*ones));
    for (unsigned i = 0; i < EACH; ++i) {
        /* every tenth wants a name that somebody else also wants */
        snprintf(ones[i].name, sizeof(ones[i].name), i % 10 == 0 ? "shared-%u" : "own-%2$u-%1$u", i, thread);
        ones[i].write = put_of(ones[i].name, "{}");
        ones[i].write.expect_absent = true;
        ones[i].txn = (struct ctl_txn){.writes = &ones[i].write, .num_writes = 1, .done = on_done};
    }
    return ones;
}

static void a_conflict_costs_its_group_nothing(void **state)
{
    pthread_t threads[4];
    struct one *ones[4];
    num_done = num_conflicts = 0;
    last_done_rev = 0;
    for (unsigned i = 0; i < 4; ++i)
        ones[i] = make_ones(i);
    for (unsigned i = 0; i < 4; ++i)
        pthread_create(&threads[i], NULL, submit_some, ones[i]);
    for (unsigned i = 0; i < 4; ++i)
        pthread_join(threads[i], NULL);
    pthread_mutex_lock(&all_mutex);
    while (num_done < 4 * EACH)
        pthread_cond_wait(&all_done, &all_mutex);
    pthread_mutex_unlock(&all_mutex);
    unsigned wanted = 4 * EACH - 3 * EACH / 10;
    assert_int_equal(num_conflicts, 3 * EACH / 10);
    assert_int_equal(ctl_store_head(store), wanted);
    assert_int_equal(last_done_rev, wanted);
    for (unsigned i = 0; i < 4; ++i)
        free(ones[i]);
    reopen();
    assert_int_equal(ctl_store_head(store), wanted);
    assert_sound();
}

static void *write_some(void *data)
{
    char name[32];
    for (unsigned i = 0; i < EACH; ++i) {
        snprintf(name, sizeof(name), "w-%u-%u", *(unsigned *)data, i);
        if (put(store, name, "{\"spec\":{}}") == 0)
            abort();
    }
    return NULL;
}

/* The rate is printed, not asserted: it is the disk's. bench/store_bench measures it properly. */
static void sixteen_writers_share_syncs(void **state)
{
    pthread_t threads[SUBMITTERS];
    unsigned numbers[SUBMITTERS];
    uint64_t start_us = clock_mono_us();
    for (unsigned i = 0; i < SUBMITTERS; ++i) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, write_some, &numbers[i]);
    }
    for (unsigned i = 0; i < SUBMITTERS; ++i)
        pthread_join(threads[i], NULL);
    print_message("%.0f durable writes/s\n", SUBMITTERS * EACH * 1e6 / (double)(clock_mono_us() - start_us));
    assert_int_equal(ctl_store_head(store), SUBMITTERS * EACH);
}

/* ---------- reading ---------- */

static void changes_are_read_by_range_and_key(void **state)
{
    struct ctl_write two[] = {put_of("a", "1"), put_of("b", "1")};
    write_all(store, two, 2, NULL);
    put(store, "a", "2");
    struct ctl_write gone = delete_of("b");
    write_all(store, &gone, 1, NULL);
    struct ctl_key service = {SLICE("/services"), SLICE(""), SLICE("a")};
    struct ctl_write other = {.op = CTL_PUT, .key = service, .object = SLICE("{}")};
    write_all(store, &other, 1, NULL);
    assert_string_equal(changes(0, UINT64_MAX, NULL, 0), "1.0+a 1.1+b 2.0+a 3.0-b 4.0+a ");
    assert_string_equal(changes(1, 3, NULL, 0), "2.0+a 3.0-b ");
    assert_string_equal(changes(0, 4, NULL, 3), "1.0+a 1.1+b 2.0+a ");
    assert_string_equal(changes(4, 4, NULL, 0), "");
    struct ctl_key key = key_of_name("b");
    assert_string_equal(changes(0, 4, &key, 0), "1.1+b 3.0-b ");
    key.name = slice_make(NULL, 0);
    assert_string_equal(changes(0, 4, &key, 0), "1.0+a 1.1+b 2.0+a 3.0-b ");
    assert_string_equal(changes(0, 4, &service, 0), "4.0+a ");
    struct err err;
    assert_int_equal(ctl_store_read_changes(store, 9, 10, NULL, 0, add_change, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void every_past_revision_can_be_read(void **state)
{
    put(store, "a", "1");
    put(store, "b", "2");
    struct ctl_write gone = delete_of("a");
    write_all(store, &gone, 1, NULL);
    put(store, "b", "4");
    put(store, "a", "5");
    assert_string_equal(at(0), "");
    assert_string_equal(at(1), "a@1=1 ");
    assert_string_equal(at(2), "a@1=1 b@2=2 ");
    assert_string_equal(at(3), "b@2=2 ");
    assert_string_equal(at(4), "b@4=4 ");
    assert_string_equal(at(5), "a@5=5 b@4=4 ");
    struct err err;
    assert_int_equal(ctl_store_read_at(store, 6, add_row, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static int add_revision(const struct ctl_change *row, void *data)
{
    strbuf_addf(data, "%llu:%u:%.*s:%.*s:%.*s ", (unsigned long long)row->rev, row->seq,
                (int)row->key.name.len, row->key.name.base, (int)row->actor.len, row->actor.base,
                (int)row->message.len, row->message.base);
    return 0;
}

static const char *revisions(uint64_t before, size_t limit, const struct ctl_key *filter)
{
    struct strbuf out = STRBUF_INIT;
    struct err err = ERR_INIT;
    if (ctl_store_read_revisions(store, before, limit, filter, add_revision, &out, &err) != 0)
        fail_msg("%s", err.text);
    return keep(&out);
}

static void revisions_are_listed_newest_first_without_status(void **state)
{
    struct ctl_write two[] = {put_of("a", "1"), put_of("b", "1")};
    struct ctl_write status = put_of("a", "2");
    status.is_status = true;
    write_all(store, two, 2, NULL);
    write_all(store, &status, 1, NULL);
    put(store, "b", "2");
    assert_string_equal(revisions(0, 10, NULL), "3:1:b:ann:why 1:2:a:ann:why ");
    assert_string_equal(revisions(3, 10, NULL), "1:2:a:ann:why ");
    assert_string_equal(revisions(0, 1, NULL), "3:1:b:ann:why ");
    struct ctl_key key = key_of_name("b");
    assert_string_equal(revisions(0, 10, &key), "3:1:b:ann:why 1:2:b:ann:why ");
}

static int stop(const struct ctl_change *row, void *data)
{
    ++*(size_t *)data;
    return 1;
}

static void reading_stops_when_the_callback_says_so(void **state)
{
    put(store, "a", "1");
    put(store, "b", "1");
    uint64_t rev;
    size_t calls = 0;
    assert_int_equal(ctl_store_read_all(store, stop, &calls, &rev, NULL), 0);
    assert_int_equal(calls, 1);
}

static int write_meanwhile(const struct ctl_change *row, void *data)
{
    put(store, "b", "2");
    return add_row(row, data);
}

static void a_reader_sees_one_revision_while_others_write(void **state)
{
    put(store, "a", "1");
    put(store, "b", "1");
    struct strbuf out = STRBUF_INIT;
    uint64_t rev;
    assert_int_equal(ctl_store_read_all(store, write_meanwhile, &out, &rev, NULL), 0);
    assert_int_equal(rev, 2);
    assert_string_equal(keep(&out), "a@1=1 b@2=1 ");
    assert_string_equal(all(), "a@1=1 b@4=2 ");
}

static off_t wal_size(void)
{
    char file[600];
    struct stat st;
    snprintf(file, sizeof(file), "%s-wal", path);
    return stat(file, &st) == 0 ? st.st_size : 0;
}

static int write_much_meanwhile(const struct ctl_change *row, void *data)
{
    static char large[200001];
    memset(large, 'x', sizeof(large) - 1);
    for (int i = 0; i < 40; ++i)
        if (put(store, "large", large) == 0)
            return -1;
    *(off_t *)data = wal_size();
    return 1;
}

/* While somebody reads, the log can only grow; nobody waits, and afterwards the space comes back. */
static void a_long_reader_stops_nobody(void **state)
{
    off_t grown = 0;
    uint64_t rev, start_us = clock_mono_us();
    put(store, "a", "1");
    assert_int_equal(ctl_store_read_all(store, write_much_meanwhile, &grown, &rev, NULL), 0);
    assert_true(grown > 40 * 2 * 200000);
    assert_int_equal(ctl_store_head(store), 41);
    while (wal_size() != 0 && clock_mono_us() - start_us < 60 * 1000000)
        sched_yield(); /* the writer truncates when it has been idle */
    assert_int_equal(wal_size(), 0);
    assert_sound();
}

/* ---------- reopening ---------- */

static void everything_is_there_after_reopening(void **state)
{
    put(store, "a", "1");
    put(store, "a", "2");
    uint64_t epoch = ctl_store_epoch(store);
    reopen();
    assert_int_equal(ctl_store_epoch(store), epoch);
    assert_int_equal(ctl_store_head(store), 2);
    assert_string_equal(all(), "a@2=2 ");
    assert_int_equal(put(store, "a", "3"), 3);
}

static void closing_commits_what_is_queued(void **state)
{
    struct one *ones = make_ones(0);
    num_done = num_conflicts = 0;
    last_done_rev = 0;
    submit_some(ones);
    store = ctl_store_close(store);
    assert_int_equal(num_done, EACH);
    open_store();
    assert_int_equal(ctl_store_head(store), EACH);
    free(ones);
}

static void files_are_for_their_owner_only(void **state)
{
    put(store, "a", "1");
    static const char *const names[] = {"control.db", "control.db-wal", "control.db-shm", "control.lock"};
    for (size_t i = 0; i < ARRAY_LEN(names); ++i) {
        char file[600];
        struct stat st;
        snprintf(file, sizeof(file), "%s/%s", folder, names[i]);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static struct ctl_write delete_all_of(const char *ns)
{
    struct ctl_write write = {.op = CTL_DELETE_ALL, .key = key_of_name("")};
    write.key.ns = slice_of(ns);
    return write;
}

static void all_of_a_namespace_is_what_is_there_when_it_is_deleted(void **state)
{
    put(store, "b", "2");
    put(store, "a", "1");
    struct ctl_write elsewhere = put_of("c", "3");
    elsewhere.key.ns = SLICE("cart");
    assert_int_equal(write_all(store, &elsewhere, 1, NULL), 3);
    strbuf_reset(&seen);
    struct ctl_write writes[] = {delete_all_of("shop"), put_of("z", "9"), delete_all_of("none")};
    writes[1].key.ns = SLICE("cart");
    assert_int_equal(write_all(store, writes, 3, NULL), 4);
    assert_string_equal(seen.base, "4.0 del a 1<1\n4.1 del b 2<2\n4.2 put z 9<\n");
    assert_string_equal(all(), "c@3=3 z@4=9 ");
    assert_sound();
    struct err err = ERR_INIT;
    struct ctl_write refused[] = {delete_all_of("cart"), delete_of("absent")};
    struct ctl_txn txn = {.writes = refused, .num_writes = 2};
    assert_int_equal(ctl_store_write(store, &txn), -1);
    assert_int_equal(txn.err.code, ERR_NOT_FOUND);
    assert_int_equal(txn.failed_write, 1); /* as the caller counts */
    assert_int_equal(write_all(store, refused, 2, &err), 0);
    assert_string_equal(all(), "c@3=3 z@4=9 ");
    struct ctl_write nothing[] = {delete_all_of("none")};
    assert_int_equal(write_all(store, nothing, 1, NULL), 4); /* no revision of its own */
    assert_sound();
}

static void times_never_go_back(void **state)
{
    clock_fake(1, 9000000);
    put(store, "a", "1");
    clock_fake(1, 5000000);
    reopen();
    struct ctl_write write = put_of("a", "2");
    struct ctl_txn txn = {.writes = &write, .num_writes = 1};
    assert_int_equal(ctl_store_write(store, &txn), 0);
    assert_int_equal(txn.at_us, 9000000);
}

/* ---------- the queue ---------- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void hold_the_writer(struct ctl_txn *txn)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void count_refused(struct ctl_txn *txn)
{
    if (txn->err.code == ERR_UNAVAILABLE)
        ++*(_Atomic unsigned *)txn->data;
}

static void a_full_queue_refuses_at_once(void **state)
{
    /* The writer may have taken nothing, or a group, before it gets to the gate. */
    enum { MOST = ST_QUEUE_MAX + ST_GROUP_MAX + 10 };
    _Atomic unsigned refused = 0;
    struct ctl_txn first = {.done = hold_the_writer};
    struct ctl_txn *txns = xcalloc(MOST, sizeof(*txns));
    pthread_mutex_lock(&gate);
    ctl_store_submit(store, &first);
    for (unsigned i = 0; i < MOST; ++i) {
        txns[i] = (struct ctl_txn){.done = count_refused, .data = (void *)&refused};
        ctl_store_submit(store, &txns[i]);
    }
    unsigned num_refused = refused;
    pthread_mutex_unlock(&gate);
    store = ctl_store_close(store);
    free(txns);
    open_store();
    assert_in_range(num_refused, 10, 10 + ST_GROUP_MAX + 1);
}

/* ---------- blobs ---------- */

static int add_blob(struct slice name, struct slice value, void *data)
{
    strbuf_addf(data, "%.*s=%.*s ", (int)name.len, name.base, (int)value.len, value.base);
    return 0;
}

static void blobs_are_kept_without_a_revision(void **state)
{
    struct strbuf out = STRBUF_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(ctl_store_blob_get(store, "ca", "key", &out, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(ctl_store_blob_put(store, "ca", "key", slice_make("a\0b", 3), NULL), 0);
    assert_int_equal(ctl_store_blob_put(store, "ca", "empty", SLICE(""), NULL), 0);
    assert_int_equal(ctl_store_blob_put(store, "other", "key", SLICE("o"), NULL), 0);
    assert_int_equal(ctl_store_head(store), 0);
    reopen();
    assert_int_equal(ctl_store_blob_get(store, "ca", "key", &out, NULL), 0);
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.base, "a\0b", 3);
    strbuf_reset(&out);
    assert_int_equal(ctl_store_blob_put(store, "ca", "key", SLICE("new"), NULL), 0);
    assert_int_equal(ctl_store_blob_list(store, "ca", add_blob, &out, NULL), 0);
    assert_string_equal(keep(&out), "empty= key=new ");
    assert_int_equal(ctl_store_blob_delete(store, "ca", "key", NULL), 0);
    assert_int_equal(ctl_store_blob_delete(store, "ca", "key", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void a_swap_needs_the_value_it_was_made_from(void **state)
{
    struct err err = ERR_INIT;
    struct slice none = {NULL, 0};
    assert_int_equal(ctl_store_blob_swap(store, "token", "t", SLICE("0"), SLICE("1"), &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(ctl_store_blob_swap(store, "token", "t", none, SLICE("1"), NULL), 0);
    assert_int_equal(ctl_store_blob_swap(store, "token", "t", none, SLICE("1"), NULL), -1);
    assert_int_equal(ctl_store_blob_swap(store, "token", "t", SLICE("1"), SLICE(""), NULL), 0);
    assert_int_equal(ctl_store_blob_swap(store, "token", "t", none, SLICE("2"), NULL), -1);
    assert_int_equal(ctl_store_blob_swap(store, "token", "t", SLICE(""), none, NULL), 0);
    assert_int_equal(ctl_store_blob_get(store, "token", "t", &(struct strbuf){0}, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(each_transaction_is_one_revision),
        T(a_write_may_meet_its_own_transaction),
        T(expectations_that_fail_leave_nothing),
        T(expectations_that_hold_are_no_hindrance),
        T(a_bulk_write_is_bound_to_the_head_it_was_made_for),
        T(the_same_idempotency_key_writes_once_a_day),
        T(what_is_too_large_is_refused),
        T(names_are_data),
        T(a_conflict_costs_its_group_nothing),
        T(sixteen_writers_share_syncs),
        T(changes_are_read_by_range_and_key),
        T(every_past_revision_can_be_read),
        T(revisions_are_listed_newest_first_without_status),
        T(reading_stops_when_the_callback_says_so),
        T(a_reader_sees_one_revision_while_others_write),
        T(a_long_reader_stops_nobody),
        T(everything_is_there_after_reopening),
        T(closing_commits_what_is_queued),
        T(files_are_for_their_owner_only),
        T(all_of_a_namespace_is_what_is_there_when_it_is_deleted),
        T(times_never_go_back),
        T(a_full_queue_refuses_at_once),
        T(blobs_are_kept_without_a_revision),
        T(a_swap_needs_the_value_it_was_made_from),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

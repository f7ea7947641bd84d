/* What the store refuses to open and why, schema steps, the audit chain, backup and restore. */
#include "gateway/control/store_private.h"
#include "tests/unit/lib/store_fixture.h"
#include "tests/unit/lib/tempdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char *folder, path[512];
static struct err err;

static int setup(void **state)
{
    folder = tempdir_new();
    snprintf(path, sizeof(path), "%s/control.db", folder);
    err = ERR_INIT;
    return 0;
}

static int teardown(void **state)
{
    tempdir_free(folder);
    return 0;
}

static struct ctl_store *try_open(void)
{
    struct ctl_store_config config = {.path = path};
    err = ERR_INIT;
    return ctl_store_open(&config, &err);
}

static struct ctl_store *open_store(void)
{
    struct ctl_store *store = try_open();
    if (store == NULL)
        fail_msg("%s", err.text);
    return store;
}

static void fill(unsigned num)
{
    struct ctl_store *store = open_store();
    char name[32], object[600];
    memset(object, 'x', sizeof(object));
    object[sizeof(object) - 1] = '\0';
    for (unsigned i = 0; i < num; ++i) {
        snprintf(name, sizeof(name), "n%u", i);
        assert_int_not_equal(put(store, name, object), 0);
    }
    ctl_store_close(store);
}

static void sql(const char *file, const char *text)
{
    sqlite3 *db;
    if (sqlite3_open(file, &db) != SQLITE_OK || sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static int64_t sql_int(const char *file, const char *text)
{
    sqlite3 *db;
    int64_t value;
    assert_int_equal(st_open_ro(file, &db, &err), 0);
    if (st_query_int(db, text, &value, &err) != 0)
        fail_msg("%s", err.text);
    st_close(&db);
    return value;
}

static void assert_refused(enum err_code code, const char *text)
{
    struct ctl_store *store = try_open();
    if (store != NULL) {
        ctl_store_close(store);
        fail_msg("opened; expected: %s", text);
    }
    if (err.code != code || strstr(err.text, text) == NULL)
        fail_msg("%u '%s', expected '%s'", err.code, err.text, text);
}

static struct strbuf read_file(const char *file)
{
    struct strbuf out = STRBUF_INIT;
    struct stat st;
    int fd = open(file, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    char *at = strbuf_reserve(&out, (size_t)st.st_size);
    assert_int_equal(read(fd, at, (size_t)st.st_size), st.st_size);
    out.len = (size_t)st.st_size;
    close(fd);
    return out;
}

/* ---------- other processes and rights ---------- */

static void a_second_process_is_refused_by_name(void **state)
{
    int ready[2], stop[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(stop), 0);
    pid_t child = fork();
    if (child == 0) {
        struct ctl_store *store = try_open();
        if (store == NULL || write(ready[1], "r", 1) != 1 || read(stop[0], &byte, 1) != 1)
            _exit(1);
        ctl_store_close(store);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    char expected[64];
    snprintf(expected, sizeof(expected), "another process (%d) holds", (int)child);
    assert_refused(ERR_CONFLICT, expected);
    assert_int_equal(ctl_store_restore("/nonexistent", path, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(write(stop[1], "s", 1), 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    ctl_store_close(open_store());
}

/* root may write to everything: the child gives that up. */
static int open_as_nobody(void)
{
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
            _exit(3);
        if (try_open() != NULL)
            _exit(2);
        fprintf(stderr, "%s\n", err.text);
        _exit(err.code == ERR_UNAVAILABLE || err.code == ERR_FORBIDDEN || err.code == ERR_IO ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    return status;
}

static void a_read_only_file_or_folder_is_refused_and_unharmed(void **state)
{
    char lock[600];
    fill(3);
    struct strbuf before = read_file(path);
    snprintf(lock, sizeof(lock), "%s/control.lock", folder);
    assert_int_equal(chmod(path, 0444) | chmod(lock, 0666) | chmod(folder, 0777), 0);
    assert_int_equal(open_as_nobody(), 0); /* the file */
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(open_as_nobody(), 0); /* the folder as well */
    assert_int_equal(chmod(path, 0600) | chmod(folder, 0700), 0);
    struct strbuf after = read_file(path);
    assert_true(slice_eq(strbuf_slice(&before), strbuf_slice(&after)));
    strbuf_clear(&before);
    strbuf_clear(&after);
    ctl_store_close(open_store());
}

/* ---------- whose file ---------- */

static void a_newer_database_is_refused_and_unharmed(void **state)
{
    fill(1);
    sql(path, "PRAGMA user_version = 99");
    struct strbuf before = read_file(path);
    assert_refused(ERR_CONFLICT, "schema version 99");
    struct strbuf after = read_file(path);
    assert_true(slice_eq(strbuf_slice(&before), strbuf_slice(&after)));
    strbuf_clear(&before);
    strbuf_clear(&after);
}

static void another_programs_database_is_refused(void **state)
{
    sql(path, "CREATE TABLE t (x)");
    assert_refused(ERR_CONFLICT, "another program's");
    assert_int_equal(sql_int(path, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void what_is_no_database_is_refused(void **state)
{
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 1000; ++i)
        fputs("not a database\n", file);
    fclose(file);
    assert_refused(ERR_INTERNAL, "not a database");
}

static void a_schema_step_with_another_text_is_refused(void **state)
{
    fill(1);
    sql(path, "UPDATE migration SET sha256 = x'00' WHERE id = 1");
    assert_refused(ERR_CONFLICT, "schema step 1 is not this program's '0001_initial'");
}

/* ---------- damage ---------- */

/* Each page in turn is overwritten. Opening notices, or at the latest the check does; nothing is repaired
 * silently. */
static void damage_to_any_page_is_noticed(void **state)
{
    fill(60);
    struct strbuf good = read_file(path);
    size_t num_pages = good.len / 4096, num_at_open = 0;
    char backup[600];
    snprintf(backup, sizeof(backup), "%s/backups/one.db", folder);
    struct ctl_store *store = open_store();
    free(st_backup_name(path, "x", &err)); /* makes the folder */
    assert_int_equal(ctl_store_backup(store, backup, &err), 0);
    ctl_store_close(store);
    for (size_t page = 0; page < num_pages; ++page) {
        int fd = open(path, O_WRONLY);
        char garbage[4096];
        memset(garbage, 0xa5, sizeof(garbage));
        assert_int_equal(pwrite(fd, good.base, good.len, 0), good.len);
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), (off_t)(page * 4096)), sizeof(garbage));
        close(fd);
        store = try_open();
        if (store != NULL)
            fail_msg("page %zu of %zu was opened", page + 1, num_pages);
        ++num_at_open;
        if (strstr(err.text, backup) == NULL)
            fail_msg("page %zu: %s", page + 1, err.text);
    }
    print_message("%zu pages\n", num_at_open);
    strbuf_clear(&good);
    assert_int_equal(ctl_store_restore(backup, path, &err), 0);
    store = open_store();
    assert_int_equal(ctl_store_head(store), 60);
    ctl_store_close(store);
}

static void overwrite_root(const char *of)
{
    char query[128], junk[512];
    snprintf(query, sizeof(query), "SELECT rootpage * page_size - page_size FROM sqlite_schema, pragma_page_size() WHERE name = '%s'", of);
    int64_t at = sql_int(path, query);
    int fd = open(path, O_WRONLY);
    memset(junk, 0xa5, sizeof(junk));
    assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
    close(fd);
}

static void damage_to_the_log_of_a_large_database_is_noticed_behind_the_start(void **state)
{
    char *large = xcalloc(1, 3 << 20), name[16];
    memset(large, 'x', (3 << 20) - 1);
    struct ctl_store *store = open_store();
    for (unsigned i = 0; i < 12; ++i) { /* each twice: in the log, and at head */
        snprintf(name, sizeof(name), "n%u", i);
        assert_int_not_equal(put(store, name, large), 0);
    }
    ctl_store_close(store);
    free(large);
    ctl_store_close(open_store()); /* a healthy one is let go of while it is looked at */
    overwrite_root("change_key");
    store = open_store();
    for (unsigned i = 0; i < 3000 && !ctl_store_is_read_only(store, &err); ++i)
        usleep(10000);
    assert_true(ctl_store_is_read_only(store, &err));
    assert_non_null(strstr(err.text, "the database file is damaged"));
    ctl_store_close(store);
    overwrite_root("object"); /* what is answered from is looked at before */
    assert_refused(ERR_INTERNAL, "damaged");
}

static int ignore_change(const struct ctl_change *change, void *data)
{
    return 0;
}

static void damage_that_a_reader_meets_ends_the_writing(void **state)
{
    fill(5);
    struct ctl_store *store = open_store();
    assert_int_equal(ctl_store_read_changes(store, 0, 5, NULL, 100, ignore_change, NULL, &err), 0);
    assert_false(ctl_store_is_read_only(store, &err));
    ctl_store_close(store);
    store = open_store();
    overwrite_root("change"); /* after the checks of the start */
    assert_int_equal(ctl_store_read_changes(store, 0, 5, NULL, 100, ignore_change, NULL, &err), -1);
    assert_non_null(strstr(err.text, "the database file is damaged"));
    assert_true(ctl_store_is_read_only(store, &err));
    assert_int_equal(put(store, "late", "{}"), 0);
    ctl_store_close(store);
}

static void keep_finding(const char *finding, void *data)
{
    strbuf_addf(data, "%s\n", finding);
}

static void a_hole_in_the_log_is_found(void **state)
{
    static const struct {
        const char *harm, *finding;
        bool is_at_open;
    } cases[] = {
        {"DELETE FROM revision WHERE rev = 2", "it should hold 1 to 5", true},
        {"UPDATE meta SET head = 9", "it should hold 1 to 9", true},
        {"INSERT INTO change VALUES (77, 0, 0, 0, '/k', '', 'n', 0, '{}', NULL)",
         "changes go from revision 1 to 77", true},
        {"DELETE FROM change WHERE rev = 3", "revision 3 should have 1 changes and has 0", false},
        {"UPDATE object SET object = '{}' WHERE name = 'n1'", "shop/n1 differs from its newest change",
         false},
        {"DELETE FROM object WHERE name = 'n4'", "shop/n4 differs from its newest change", false},
        {"UPDATE object SET rev = 99 WHERE name = 'n1'", "above the head", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        struct strbuf findings = STRBUF_INIT;
        teardown(NULL);
        setup(NULL);
        fill(5);
        sql(path, cases[i].harm);
        assert_int_equal(ctl_store_check(path, keep_finding, &findings, &err), 0);
        if (findings.base == NULL || strstr(findings.base, cases[i].finding) == NULL)
            fail_msg("%s: %s", cases[i].harm, findings.base);
        strbuf_clear(&findings);
        struct ctl_store *store = try_open();
        assert_int_equal(store == NULL, cases[i].is_at_open);
        ctl_store_close(store);
    }
}

/* ---------- schema steps ---------- */

static void audit_some(struct ctl_store *store);

static int migrate_with(const struct st_migration *more, size_t num_more)
{
    struct st_migration all[8];
    size_t num;
    const struct st_migration *built_in = st_migrations(&num);
    memcpy(all, built_in, num * sizeof(*all));
    memcpy(all + num, more, num_more * sizeof(*all));
    sqlite3 *db;
    assert_int_equal(st_open_rw(path, false, &db, &err), 0);
    int result = st_migrate(db, path, all, num + num_more, &err);
    st_close(&db);
    return result;
}

static unsigned count_backups(const char *prefix)
{
    char name[600];
    unsigned num = 0;
    snprintf(name, sizeof(name), "%s/backups", folder);
    DIR *dir = opendir(name);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
        num += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    if (dir != NULL)
        closedir(dir);
    return num;
}

static void a_database_of_the_first_schema_is_brought_up_to_date(void **state)
{
    size_t num;
    const struct st_migration *built_in = st_migrations(&num);
    sqlite3 *db;
    assert_int_equal(st_open_rw(path, true, &db, &err), 0);
    assert_int_equal(st_pragmas_writer(db, &err), 0);
    assert_int_equal(st_migrate(db, path, built_in, 1, &err), 0);
    st_close(&db);
    assert_int_equal(sql_int(path, "PRAGMA user_version"), 1);
    struct ctl_store *store = open_store();
    audit_some(store);
    ctl_store_close(store);
    assert_int_equal(count_backups("before-0002_audit_retention-"), 1);
    store = open_store();
    uint64_t broken;
    assert_int_equal(ctl_store_verify_audit(store, &broken, &err), 0);
    ctl_store_close(store);
}

static void a_schema_step_is_whole_or_not_at_all(void **state)
{
    static const struct st_migration good[] = {
        {"0003_more", "CREATE TABLE more (x INTEGER) STRICT"},
        {"0004_bad", "CREATE TABLE third (x INTEGER) STRICT; SELECT nonsense"}};
    fill(2);
    assert_int_equal(migrate_with(good, 2), -1);
    assert_non_null(strstr(err.text, "schema step '0004_bad'"));
    assert_int_equal(sql_int(path, "PRAGMA user_version"), 3);
    assert_int_equal(sql_int(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'"), 1);
    assert_int_equal(sql_int(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'third'"), 0);
    assert_int_equal(count_backups("before-0003_more-"), 1);
    assert_int_equal(migrate_with(good, 1), 0); /* nothing to do */
    assert_int_equal(count_backups(""), 3); /* with . and .. */
    assert_refused(ERR_CONFLICT, "schema version 3"); /* for the program without that step */
}

/* ---------- the audit log ---------- */

static int add_entry(uint64_t id, const struct ctl_audit *entry, struct slice hash, void *data)
{
    assert_int_equal(hash.len, 32);
    strbuf_addf(data, "%llu:%.*s:%.*s:%llu:%u:%.*s\n", (unsigned long long)id, (int)entry->actor.len,
                entry->actor.base, (int)entry->verb.len, entry->verb.base, (unsigned long long)entry->rev,
                entry->status, (int)entry->message.len, entry->message.base);
    return 0;
}

static void audit_some(struct ctl_store *store)
{
    struct ctl_audit refused = {
        .actor = SLICE("eve"), .verb = SLICE("get"), .status = 403, .message = SLICE("no")};
    struct ctl_audit update = {
        .actor = SLICE("ann"), .verb = SLICE("update"), .status = 200, .target = SLICE("a")};
    struct ctl_write write = put_of("a", "{}");
    struct ctl_txn txn = {.writes = &write, .num_writes = 1, .audit = &update};
    assert_int_equal(ctl_store_write(store, &txn), 0);
    write.expect_absent = true;
    assert_int_equal(ctl_store_write(store, &txn), -1);
    ctl_store_audit(store, &refused);
    assert_int_equal(ctl_store_write(store, &(struct ctl_txn){.num_writes = 0}),
                     0); /* after it in the queue */
}

static void every_write_and_refusal_is_in_the_audit_log(void **state)
{
    struct ctl_store *store = open_store();
    struct strbuf out = STRBUF_INIT;
    uint64_t broken = 0;
    audit_some(store);
    ctl_store_close(store);
    store = open_store();
    assert_int_equal(ctl_store_read_audit(store, 0, 0, add_entry, &out, &err), 0);
    assert_string_equal(out.base, "3:eve:get:0:403:no\n"
                                  "2:ann:update:0:409:httproutes \"shop/a\" already exists\n"
                                  "1:ann:update:1:200:\n");
    strbuf_reset(&out);
    assert_int_equal(ctl_store_read_audit(store, 3, 1, add_entry, &out, &err), 0);
    assert_string_equal(out.base, "2:ann:update:0:409:httproutes \"shop/a\" already exists\n");
    strbuf_clear(&out);
    assert_int_equal(ctl_store_verify_audit(store, &broken, &err), 0);
    ctl_store_close(store);
}

struct tampering {
    const char *sql;
    uint64_t broken;
};

static void fill_audit(void)
{
    teardown(NULL);
    setup(NULL);
    struct ctl_store *store = open_store();
    audit_some(store);
    ctl_store_close(store);
}

static void expect_broken(const struct tampering *tampering)
{
    uint64_t broken = 0;
    sql(path, tampering->sql);
    struct ctl_store *store = open_store();
    assert_int_equal(ctl_store_verify_audit(store, &broken, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    if (broken != tampering->broken)
        fail_msg("%s: %llu", tampering->sql, (unsigned long long)broken);
    ctl_store_close(store);
}

static void tampering_with_the_audit_log_shows(void **state)
{
    static const struct tampering cases[] = {
        {"UPDATE audit SET actor = 'bob' WHERE id = 2", 2},
        {"UPDATE audit SET status = 200 WHERE id = 3", 3},
        {"UPDATE audit SET actor = 'an', origin = 'n' WHERE id = 1", 1}, /* moved between fields */
        {"DELETE FROM audit WHERE id = 1", 1},
        {"DELETE FROM audit WHERE id = 2", 2},
        {"DELETE FROM audit WHERE id = 3", 3},
        {"UPDATE audit SET id = 7 WHERE id = 3", 3},
        {"UPDATE meta SET audit_hash = zeroblob(32)", 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        sqlite3 *db;
        fill_audit();
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        if (strstr(cases[i].sql, " audit ") != NULL) { /* the front door is shut */
            assert_int_equal(sqlite3_exec(db, cases[i].sql, NULL, NULL, NULL), SQLITE_CONSTRAINT);
            assert_string_equal(sqlite3_errmsg(db), "the audit log is append-only");
        }
        sqlite3_close(db);
        sql(path, "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete");
        expect_broken(&cases[i]);
    }
}

static void tampering_with_where_the_audit_log_begins_shows(void **state)
{
    static const struct tampering cases[] = {
        {"UPDATE meta SET audit_gone = 1; DELETE FROM audit WHERE id = 1", 2}, /* without its hash */
        {"UPDATE meta SET audit_gone = 1, audit_gone_hash = (SELECT hash FROM audit WHERE id = 1); DELETE FROM audit WHERE id = 1", 2},
        {"UPDATE meta SET audit_gone = 3, audit_gone_hash = audit_hash; DELETE FROM audit", 4}, /* all of it */
        {"UPDATE meta SET audit_gone = 1", 2},
        {"UPDATE meta SET audit_gone_hash = randomblob(32)", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); ++i) {
        fill_audit();
        expect_broken(&cases[i]);
    }
}

static void a_flood_of_refusals_is_counted_not_kept(void **state)
{
    enum { FLOOD = 10000 };
    struct ctl_store *store = open_store();
    struct ctl_audit refused = {.actor = SLICE("eve"), .verb = SLICE("get"), .status = 403};
    for (int i = 0; i < FLOOD; ++i)
        ctl_store_audit(store, &refused);
    ctl_store_close(store);
    int64_t kept = sql_int(path, "SELECT count(*) FROM audit WHERE verb = 'get'");
    int64_t dropped = sql_int(path, "SELECT sum(CAST(message AS INTEGER)) FROM audit WHERE verb = 'dropped'");
    int64_t rows = sql_int(path, "SELECT count(*) FROM audit WHERE verb = 'dropped'");
    assert_int_equal(kept + dropped, FLOOD);
    assert_in_range(kept, ST_AUDIT_BURST, ST_AUDIT_BURST + FLOOD / 10);
    assert_in_range(rows, 1, 8);
    uint64_t broken;
    store = open_store();
    assert_int_equal(ctl_store_verify_audit(store, &broken, &err), 0);
    ctl_store_close(store);
}

/* ---------- backup and restore ---------- */

static void *write_until_told(void *data)
{
    struct ctl_store *store = ((void **)data)[0];
    _Atomic bool *stop = ((void **)data)[1];
    char name[32];
    for (unsigned i = 0; !*stop; ++i) {
        snprintf(name, sizeof(name), "w%u", i % 50);
        if (put(store, name, "{}") == 0)
            abort();
    }
    return NULL;
}

static int count(const struct ctl_change *row, void *data)
{
    ++*(unsigned *)data;
    return 0;
}

static void a_backup_taken_while_writing_is_consistent(void **state)
{
    fill(500);
    struct ctl_store *store = open_store();
    _Atomic bool stop = false;
    void *args[] = {store, (void *)&stop};
    pthread_t thread;
    pthread_create(&thread, NULL, write_until_told, args);
    while (ctl_store_head(store) < 520)
        sched_yield();
    char copy[600];
    snprintf(copy, sizeof(copy), "%s/copy.db", folder);
    int result = ctl_store_backup(store, copy, &err);
    stop = true;
    pthread_join(thread, NULL);
    if (result != 0)
        fail_msg("%s", err.text);
    assert_true(sql_int(copy, "SELECT head FROM meta") >= 520);
    assert_true((uint64_t)sql_int(copy, "SELECT head FROM meta") <= ctl_store_head(store));
    struct stat st;
    assert_int_equal(stat(copy, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(ctl_store_backup(store, copy, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    assert_int_equal(ctl_store_backup(store, "/nonexistent/copy.db", &err), -1);
    ctl_store_close(store);
}

static void a_restore_brings_back_the_past_with_a_new_epoch(void **state)
{
    char copy[600];
    snprintf(copy, sizeof(copy), "%s/copy.db", folder);
    fill(3);
    struct ctl_store *store = open_store();
    uint64_t epoch = ctl_store_epoch(store);
    assert_int_equal(ctl_store_backup(store, copy, &err), 0);
    assert_int_equal(put(store, "late", "{}"), 4);
    assert_int_equal(ctl_store_restore(copy, path, &err), -1); /* this process has it open */
    assert_int_equal(err.code, ERR_CONFLICT);
    ctl_store_close(store);
    if (ctl_store_restore(copy, path, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(count_backups("replaced-"), 1);
    store = open_store();
    assert_int_equal(ctl_store_head(store), 3);
    assert_true(ctl_store_epoch(store) != epoch);
    unsigned num = 0;
    uint64_t rev;
    assert_int_equal(ctl_store_read_all(store, count, &num, &rev, NULL), 0);
    assert_int_equal(num, 3);
    assert_int_equal(put(store, "other", "{}"), 4);
    ctl_store_close(store);
    /* what was replaced can be brought back in the same way */
    char *replaced = st_newest_backup(path);
    assert_int_equal(ctl_store_restore(replaced, path, &err), 0);
    free(replaced);
    store = open_store();
    assert_int_equal(ctl_store_head(store), 4);
    ctl_store_close(store);
}

/* As far as a restore gets that is killed while it writes: pages of its copy are in the journal. */
static void begin_restore(const char *backup)
{
    sqlite3 *db;
    char copy[600], command[1400];
    snprintf(copy, sizeof(copy), "%s.restore", path);
    snprintf(command, sizeof(command), "cp '%s' '%s'", backup, copy);
    assert_int_equal(system(command), 0);
    pid_t child = fork();
    if (child == 0) {
        bool is_ok = sqlite3_open(copy, &db) == SQLITE_OK &&
                     sqlite3_exec(db, "PRAGMA cache_size = 1; BEGIN; UPDATE object SET object = object || 'y'", NULL, NULL, NULL) == SQLITE_OK;
        _exit(is_ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_killed_restore_leaves_nothing_in_the_next(void **state)
{
    char small[600], large[600];
    snprintf(small, sizeof(small), "%s/small.db", folder);
    snprintf(large, sizeof(large), "%s/large.db", folder);
    fill(40);
    struct ctl_store *store = open_store();
    assert_int_equal(ctl_store_backup(store, small, &err), 0);
    ctl_store_close(store);
    fill(400);
    store = open_store();
    assert_int_equal(ctl_store_backup(store, large, &err), 0);
    ctl_store_close(store);
    begin_restore(small);
    if (ctl_store_restore(large, path, &err) != 0)
        fail_msg("%s", err.text);
    unsigned num = 0;
    uint64_t rev;
    store = open_store();
    assert_int_equal(ctl_store_read_all(store, count, &num, &rev, NULL), 0);
    assert_int_equal(num, 400);
    ctl_store_close(store);
}

static void a_bad_backup_is_not_restored(void **state)
{
    char copy[600];
    snprintf(copy, sizeof(copy), "%s/copy.db", folder);
    fill(50);
    struct ctl_store *store = open_store();
    assert_int_equal(ctl_store_backup(store, copy, &err), 0);
    ctl_store_close(store);
    struct strbuf before = read_file(path);
    int fd = open(copy, O_WRONLY);
    assert_int_equal(pwrite(fd, "garbage", 7, 5 * 4096), 7);
    close(fd);
    assert_int_equal(ctl_store_restore(copy, path, &err), -1);
    assert_int_equal(unlink(copy), 0);
    sql(copy, "CREATE TABLE t (x)");
    assert_int_equal(ctl_store_restore(copy, path, &err), -1);
    assert_non_null(strstr(err.text, "another program's"));
    assert_int_equal(ctl_store_restore("/nonexistent", path, &err), -1);
    struct strbuf after = read_file(path);
    assert_true(slice_eq(strbuf_slice(&before), strbuf_slice(&after)));
    strbuf_clear(&before);
    strbuf_clear(&after);
    store = open_store();
    assert_int_equal(ctl_store_head(store), 50);
    ctl_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_second_process_is_refused_by_name),
        T(a_read_only_file_or_folder_is_refused_and_unharmed),
        T(a_newer_database_is_refused_and_unharmed),
        T(another_programs_database_is_refused),
        T(what_is_no_database_is_refused),
        T(a_schema_step_with_another_text_is_refused),
        T(damage_to_any_page_is_noticed),
        T(damage_to_the_log_of_a_large_database_is_noticed_behind_the_start),
        T(damage_that_a_reader_meets_ends_the_writing),
        T(a_hole_in_the_log_is_found),
        T(a_schema_step_is_whole_or_not_at_all),
        T(a_database_of_the_first_schema_is_brought_up_to_date),
        T(every_write_and_refusal_is_in_the_audit_log),
        T(tampering_with_the_audit_log_shows),
        T(tampering_with_where_the_audit_log_begins_shows),
        T(a_flood_of_refusals_is_counted_not_kept),
        T(a_backup_taken_while_writing_is_consistent),
        T(a_restore_brings_back_the_past_with_a_new_epoch),
        T(a_killed_restore_leaves_nothing_in_the_next),
        T(a_bad_backup_is_not_restored),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

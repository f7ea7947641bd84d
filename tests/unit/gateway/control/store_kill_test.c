/* kill -9 at random instants while 16 threads write: nothing acknowledged is missing, no revision is half
 * there.
 *
 * The program runs itself as the victim, which reports each acknowledgement through a pipe. `test_… ROUNDS
 * WRITES`, or few of both by default: 100 rounds of 10000 writes is the run by hand. */
#include "core/base/clock.h"
#include "core/base/hashmap.h"
#include "gateway/control/store_private.h"
#include "tests/unit/lib/store_fixture.h"
#include "tests/unit/lib/tempdir.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { THREADS = 16, NAMES = 40, CHANGES = 3, COMPACT_EVERY = 100 };

static unsigned num_rounds = 4, num_writes = 1600;

/* ---------- the victim ---------- */

struct ack {
    uint64_t rev;
    uint32_t thread, number;
};

struct part {
    struct ctl_store *store;
    unsigned thread, first, num;
};

/* Each transaction changes three objects to the same text: after a crash all three or none must have it. */
static void *write_part(void *data)
{
    struct part *part = data;
    char names[CHANGES][32], object[64];
    for (unsigned i = part->first; i < part->first + part->num; ++i) {
        struct ctl_write writes[CHANGES];
        snprintf(object, sizeof(object), "{\"t\":%u,\"n\":%u}", part->thread, i);
        for (unsigned j = 0; j < CHANGES; ++j) {
            snprintf(names[j], sizeof(names[j]), "t%u-%u-%u", part->thread, i % NAMES, j);
            writes[j] = put_of(names[j], object);
        }
        struct ctl_audit audit = {.actor = SLICE("ann"), .verb = SLICE("update"), .status = 200};
        struct ctl_txn txn = {.writes = writes, .num_writes = CHANGES, .audit = &audit};
        if (ctl_store_write(part->store, &txn) != 0)
            _exit(4);
        if (i % COMPACT_EVERY == part->thread && ctl_store_compact(part->store, &txn.err) != 0 &&
            txn.err.code != ERR_UNAVAILABLE) /* another thread's is running */
            _exit(7);
        struct ack ack = {txn.rev, part->thread, i};
        if (write(STDOUT_FILENO, &ack, sizeof(ack)) != sizeof(ack)) /* whole: below PIPE_BUF */
            _exit(5);
    }
    return NULL;
}

static int be_the_victim(const char *path, unsigned first, unsigned num)
{
    struct err err = ERR_INIT;
    struct ctl_store_config config = {.path = path, .keep_revisions = 500, .keep_days = 1}; /* keeps 1500 */
    struct ctl_store *store = ctl_store_open(&config, &err);
    if (store == NULL) {
        fprintf(stderr, "%s\n", err.text);
        return 3;
    }
    struct part parts[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; ++i) {
        parts[i] = (struct part){store, i, first, num / THREADS};
        pthread_create(&threads[i], NULL, write_part, &parts[i]);
    }
    for (unsigned i = 0; i < THREADS; ++i)
        pthread_join(threads[i], NULL);
    ctl_store_close(store);
    return 0;
}

/* ---------- the tormentor ---------- */

static struct {
    uint64_t last_rev; /* highest acknowledged */
    int64_t
        last_number[THREADS]; /* each thread's newest acknowledged write; numbers go on from round to round */
    uint64_t num_acks, max_open_us;
    unsigned num_killed;
} seen;

static pid_t start_victim(const char *path, unsigned first, int *ret_pipe)
{
    int fds[2];
    char from[16], count[16];
    assert_int_equal(pipe(fds), 0);
    snprintf(from, sizeof(from), "%u", first);
    snprintf(count, sizeof(count), "%u", num_writes);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execl("/proc/self/exe", "victim", "--victim", path, from, count, (char *)NULL);
        _exit(6);
    }
    close(fds[1]);
    *ret_pipe = fds[0];
    return pid;
}

static void note(const struct ack *ack)
{
    seen.last_rev = MAX(seen.last_rev, ack->rev);
    seen.last_number[ack->thread] = MAX(seen.last_number[ack->thread], (int64_t)ack->number);
    ++seen.num_acks;
}

/* Kills after a random number of acknowledgements: the instant is random to the disk, not to the clock. */
static void torment(const char *path, unsigned first, uint64_t kill_after)
{
    int fd, status;
    struct ack ack;
    uint64_t num = 0;
    bool is_killed = false;
    pid_t pid = start_victim(path, first, &fd);
    while (read(fd, &ack, sizeof(ack)) == sizeof(ack)) {
        note(&ack); /* what is in the pipe was acknowledged, also after the kill */
        if (++num >= kill_after && !is_killed) {
            kill(pid, SIGKILL);
            is_killed = true;
        }
    }
    close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) && status != 0)
        fail_msg("the victim ended with %x", status);
    seen.num_killed += WIFSIGNALED(status);
}

struct present {
    int64_t newest[THREADS];
    struct arena *arena;
    struct hashmap texts; /* "t1-2" -> its object: all three must have it */
};

static int look_at(const struct ctl_change *row, void *data)
{
    struct present *present = data;
    unsigned thread, number;
    struct slice group = slice_make(row->key.name.base, row->key.name.len - 2);
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)row->object.len, row->object.base);
    assert_int_equal(sscanf(text, "{\"t\":%u,\"n\":%u}", &thread, &number), 2);
    present->newest[thread] = MAX(present->newest[thread], (int64_t)number);
    group = arena_slice(present->arena, group);
    const char *other = hashmap_get(&present->texts, group.base, group.len);
    if (other != NULL && strcmp(other, text) != 0)
        fail_msg("half a revision: %.*s has %s and %s", (int)group.len, group.base, other, text);
    hashmap_put(&present->texts, group.base, group.len, arena_strdup(present->arena, text));
    return 0;
}

static void fail_finding(const char *finding, void *data)
{
    fail_msg("%s", finding);
}

static void verify(const char *path)
{
    struct err err = ERR_INIT;
    struct ctl_store_config config = {.path = path};
    struct present present = {.arena = arena_new(0)};
    uint64_t rev, start_us = clock_mono_us();
    struct ctl_store *store = ctl_store_open(&config, &err);
    if (store == NULL)
        fail_msg("%s", err.text);
    seen.max_open_us = MAX(seen.max_open_us, clock_mono_us() - start_us);
    memset(present.newest, 0xff, sizeof(present.newest));
    assert_int_equal(ctl_store_read_all(store, look_at, &present, &rev, &err), 0);
    if (rev < seen.last_rev)
        fail_msg("revision %llu was acknowledged, %llu is the newest", (unsigned long long)seen.last_rev,
                 (unsigned long long)rev);
    for (unsigned i = 0; i < THREADS; ++i)
        if (present.newest[i] < seen.last_number[i])
            fail_msg("write %lld of thread %u was acknowledged, %lld is the newest",
                     (long long)seen.last_number[i], i, (long long)present.newest[i]);
    ctl_store_close(store);
    if (ctl_store_check(path, fail_finding, NULL, &err) != 0)
        fail_msg("%s", err.text);
    hashmap_clear(&present.texts);
    arena_free(present.arena);
}

static void nothing_acknowledged_is_lost_by_kill(void **state)
{
    char *folder = tempdir_new(), path[512];
    uint64_t seed = (uint64_t)getpid() * 2654435761u;
    snprintf(path, sizeof(path), "%s/control.db", folder);
    for (unsigned i = 0; i < THREADS; ++i)
        seen.last_number[i] = -1;
    for (unsigned round = 0; round < num_rounds; ++round) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        torment(path, round * num_writes, 1 + (seed >> 33) % num_writes);
        verify(path);
    }
    print_message(
        "%u rounds, %u kills, %llu acknowledged, newest revision %llu, opening took at most %llu ms\n",
        num_rounds, seen.num_killed, (unsigned long long)seen.num_acks, (unsigned long long)seen.last_rev,
        (unsigned long long)seen.max_open_us / 1000);
    assert_true(seen.num_killed > 0);
    tempdir_free(folder);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--victim") == 0)
        return be_the_victim(argv[2], (unsigned)strtoul(argv[3], NULL, 10),
                             (unsigned)strtoul(argv[4], NULL, 10));
    if (argc == 3) {
        num_rounds = (unsigned)strtoul(argv[1], NULL, 10);
        num_writes = (unsigned)strtoul(argv[2], NULL, 10);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_acknowledged_is_lost_by_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

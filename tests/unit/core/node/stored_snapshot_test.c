/* The stored snapshot: what is damaged is not used, and whatever step a crash or a failure comes at, the pair that is read
 * is one that was written. The system calls of writing go through the functions below, which count and interrupt them. */
#include "core/node/stored_snapshot.h"

#include "core/base/files.h"
#include "tests/unit/lib/tempdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define EXPORT __attribute__((visibility("default")))
enum { CRASHED = 42 };

/* The step at which it happens, from 1; 0: never. */
static unsigned at_step, num_steps;
static enum { CRASH, FAIL } what_happens;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which have such functions of their own */
enum { IS_INTERRUPTING = 1 };

/* Before the call: what a crash right after the one before leaves. */
static bool is_failing(void)
{
    if (++num_steps != at_step)
        return false;
    if (what_happens == CRASH)
        _exit(CRASHED);
    errno = EIO;
    return true;
}

static int open_file(const char *path, int flags, mode_t mode)
{
    bool is_write = (flags & O_CREAT) != 0;
    return is_write && is_failing() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_file(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_file(path, flags, mode);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t len)
{
    /* Half of it gets there, then the end: a write may be torn anywhere. */
    if (fd > 2 && is_failing())
        return -1;
    if (fd > 2 && what_happens == CRASH && num_steps + 1 == at_step)
        len = (len + 1) / 2;
    return syscall(SYS_write, fd, bytes, len);
}

EXPORT int fchmod(int fd, mode_t mode)
{
    return is_failing() ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

EXPORT int fsync(int fd)
{
    return is_failing() ? -1 : (int)syscall(SYS_fsync, fd);
}

EXPORT int rename(const char *from, const char *to)
{
    return is_failing() ? -1 : (int)syscall(SYS_rename, from, to);
}

EXPORT int unlink(const char *path)
{
    return is_failing() ? -1 : (int)syscall(SYS_unlink, path);
}
#else
enum { IS_INTERRUPTING = 0 };
#endif

/* ---------- documents ---------- */

static char *folder;
static struct arena *arena;
static struct err err;

static int setup(void **state)
{
    folder = tempdir_new();
    arena = arena_new(0);
    err = ERR_INIT;
    at_step = num_steps = 0;
    return 0;
}

static int teardown(void **state)
{
    at_step = 0;
    arena = arena_free(arena);
    tempdir_free(folder);
    return 0;
}

/* Revision n has certificate n with key n. */
static struct cfg_document *make_document(unsigned n)
{
    struct cfg_document *doc = cfg_document_new();
    char text[128];
    doc->epoch = 7;
    doc->rev = n;
    snprintf(text, sizeof(text), "{\"certPem\":\"certificate %u\",\"keyPem\":\"key %u\"}", n, n);
    cfg_document_add(doc, SLICE("certificate"), SLICE("shop/tls"), n, json_parse(arena, slice_of(text), NULL));
    cfg_document_add(doc, SLICE("settings"), SLICE("node"), 1, json_parse(arena, SLICE("{}"), NULL));
    assert_int_equal(cfg_document_seal(doc, &err), 0);
    return doc;
}

static int store(unsigned n)
{
    struct cfg_document *doc = make_document(n);
    int status = node_stored_snapshot_write(folder, doc, &err);
    cfg_document_free(doc);
    return status;
}

/* Which revision is stored, with a key that is the certificate's; 0: none that is used, and `err` says why. */
static unsigned stored(void)
{
    char want[128];
    err = ERR_INIT;
    struct cfg_document *doc = node_stored_snapshot_read(folder, &err);
    if (doc == NULL) {
        assert_int_not_equal(err.code, ERR_NONE);
        return 0;
    }
    unsigned n = (unsigned)doc->rev;
    snprintf(want, sizeof(want), "{\"certPem\":\"certificate %u\",\"keyPem\":\"key %u\"}", n, n);
    const struct cfg_resource *certificate = cfg_document_find(doc, SLICE("certificate"), SLICE("shop/tls"));
    assert_non_null(certificate);
    assert_true(slice_is(certificate->text, want));
    assert_int_equal(doc->epoch, 7);
    cfg_document_free(doc);
    return n;
}

static char *path_of(const char *prefix)
{
    struct strbuf path = STRBUF_INIT;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL && path.len == 0;)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            strbuf_addf(&path, "%s/%s", folder, entry->d_name);
    closedir(dir);
    assert_true(path.len != 0);
    return strbuf_take(&path);
}

/* ---------- what is stored ---------- */

static void it_comes_back_whole_and_keys_are_apart(void **state)
{
    static const char *const names[] = {"snapshot.json", "keys-"};
    assert_int_equal(stored(), 0);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    for (unsigned n = 1; n <= 3; ++n) {
        assert_int_equal(store(n), 0);
        assert_int_equal(stored(), n);
        assert_int_equal(tempdir_num_files(folder), 2); /* older keys are gone */
    }
    assert_int_equal(store(3), 0);
    assert_int_equal(stored(), 3);
    for (size_t i = 0; i < ARRAY_LEN(names); ++i) {
        struct stat st;
        _cleanup_(freep) char *path = path_of(names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    struct strbuf text = STRBUF_INIT;
    _cleanup_(freep) char *path = path_of("snapshot.json");
    assert_int_equal(file_read(path, 1 << 20, &text, &err), 0);
    assert_null(strstr(text.base, "key 3"));
    strbuf_clear(&text);
}

static void damage(const char *prefix, size_t at, size_t cut_to)
{
    struct strbuf text = STRBUF_INIT;
    _cleanup_(freep) char *path = path_of(prefix);
    assert_int_equal(store(1), 0);
    assert_int_equal(file_read(path, 1 << 20, &text, &err), 0);
    if (cut_to < text.len)
        text.len = cut_to;
    else
        text.base[at] ^= 1;
    assert_int_equal(file_write_atomic(path, strbuf_slice(&text), 0600, &err), 0);
    strbuf_clear(&text);
    if (stored() != 0)
        fail_msg("%s, byte %zu, cut to %zu", prefix, at, cut_to);
    assert_non_null(strstr(err.text, folder)); /* it says where */
}

static size_t size_of(const char *prefix)
{
    struct stat st;
    _cleanup_(freep) char *path = path_of(prefix);
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

static void no_byte_may_be_missing_or_other(void **state)
{
    static const char *const names[] = {"snapshot.json", "keys-"};
    assert_int_equal(store(1), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); ++i) {
        size_t size = size_of(names[i]);
        for (size_t at = 0; at < size; ++at) {
            damage(names[i], at, SIZE_MAX); /* one bit */
            damage(names[i], 0, at);
        }
    }
}

static void replace(const char *prefix, const char *content)
{
    _cleanup_(freep) char *path = path_of(prefix);
    assert_int_equal(file_write_atomic(path, slice_of(content), 0600, &err), 0);
}

static void what_is_no_stored_snapshot_is_refused(void **state)
{
    static const char *const texts[] = {
        "", "\n", "{}", "selvedge-snapshot 1 2 0 0\n{}", "selvedge-snapshot 3 2 0 0\n{}", "selvedge-snapshot 2\n", "selvedge-snapshot 2 2 a b\n{}",
        /* digests that fit, of a document that is none */
        "selvedge-snapshot 2 2 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a "
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n{}"};
    assert_int_equal(store(1), 0);
    for (size_t i = 0; i < ARRAY_LEN(texts); ++i) {
        replace("snapshot.json", texts[i]);
        if (stored() != 0)
            fail_msg("%s", texts[i]);
    }
    assert_int_equal(store(2), 0); /* and replaced by the next one */
    assert_int_equal(stored(), 2);
}

static void other_keys_are_not_taken(void **state)
{
    assert_int_equal(store(1), 0);
    replace("keys-", "{\"shop/tls\":\"key 2\"}");
    assert_int_equal(stored(), 0);
    assert_non_null(strstr(err.text, "not the keys"));
    _cleanup_(freep) char *path = path_of("keys-");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(stored(), 0);
    assert_int_equal(err.code, ERR_IO); /* not as if nothing had been stored */
    assert_non_null(strstr(err.text, "missing"));
}

static void a_folder_that_is_none_is_an_error_both_ways(void **state)
{
    char *real = folder;
    assert_int_equal(store(1), 0);
    folder = path_of("snapshot.json"); /* a file */
    assert_int_equal(stored(), 0);
    assert_int_not_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store(2), -1);
    free(folder);
    folder = real;
    assert_int_equal(stored(), 1);
}

/* ---------- crashes and failures ---------- */

/* Writing revision `n` in a child that ends at the given step. 0: it came to its end. */
static int store_until(unsigned n, unsigned step)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        num_steps = 0;
        at_step = step;
        _exit(store(n) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_crash_at_any_step_leaves_the_old_pair_or_the_new(void **state)
{
    unsigned step = 1, was_new = 0;
    if (!IS_INTERRUPTING)
        skip();
    what_happens = CRASH;
    for (;; ++step) {
        assert_int_equal(store(1), 0);
        int status = store_until(2, step);
        unsigned found = stored();
        if (found != 1 && found != 2)
            fail_msg("step %u: %s", step, err.text);
        assert_true(found >= was_new); /* from one step on it is the new one */
        was_new = found;
        assert_int_equal(store(3), 0); /* whatever was left is no harm, and goes */
        assert_int_equal(stored(), 3);
        assert_int_equal(tempdir_num_files(folder), 2);
        if (status == 0)
            break;
        assert_int_equal(status, CRASHED);
    }
    assert_true(step > 12); /* create, write, mode, sync, rename, sync; twice; the sweep */
}

static void a_crash_at_any_step_of_the_first_time_leaves_nothing_or_all(void **state)
{
    if (!IS_INTERRUPTING)
        skip();
    what_happens = CRASH;
    for (unsigned step = 1, status = CRASHED; status == CRASHED; ++step) {
        teardown(NULL);
        setup(NULL);
        status = (unsigned)store_until(1, step);
        unsigned found = stored();
        assert_true(found == 1 || err.code == ERR_NOT_FOUND);
    }
}

static void a_failure_at_any_step_leaves_the_old_pair_or_the_new(void **state)
{
    unsigned step = 1;
    if (!IS_INTERRUPTING)
        skip();
    what_happens = FAIL;
    for (unsigned last = UINT_MAX; last >= step - 1; ++step) { /* until it takes fewer steps */
        assert_int_equal(store(1), 0);
        num_steps = 0;
        at_step = step;
        int status = store(2);
        last = num_steps;
        at_step = 0;
        unsigned found = stored();
        assert_true(found == 1 || found == 2);
        assert_true(found == 2 || status == -1); /* it does not say it is stored when it is not */
    }
    assert_true(step > 12);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_comes_back_whole_and_keys_are_apart),
        T(no_byte_may_be_missing_or_other),
        T(what_is_no_stored_snapshot_is_refused),
        T(other_keys_are_not_taken),
        T(a_folder_that_is_none_is_an_error_both_ways),
        T(a_crash_at_any_step_leaves_the_old_pair_or_the_new),
        T(a_crash_at_any_step_of_the_first_time_leaves_nothing_or_all),
        T(a_failure_at_any_step_leaves_the_old_pair_or_the_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "core/base/files.h"

#include "tests/unit/lib/tempdir.h"

#include <stdio.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static char folder[64], path[128];

static int setup(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/files_test.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/file", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)unlink(path); /* not every test leaves one */
    return rmdir(folder);
}

static void assert_holds(const char *expected)
{
    struct err err = ERR_INIT;
    struct strbuf got = STRBUF_INIT;
    assert_int_equal(file_read(path, 1000, &got, &err), 0);
    assert_true(slice_is(strbuf_slice(&got), expected));
    strbuf_clear(&got);
}

static void what_is_written_is_read_with_its_mode(void **state)
{
    struct err err = ERR_INIT;
    struct stat st;
    mode_t old = umask(077);
    assert_int_equal(file_write_atomic(path, SLICE("one"), 0644, &err), 0);
    umask(old);
    assert_holds("one");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(file_write_atomic(path, SLICE("two, longer"), 0600, &err), 0);
    assert_holds("two, longer");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_write_atomic(path, SLICE(""), 0600, &err), 0);
    assert_holds("");
    assert_int_equal(tempdir_num_files(folder), 1);
}

static void a_failed_write_leaves_the_old_file_and_no_other(void **state)
{
    struct err err = ERR_INIT;
    struct rlimit old, tight;
    char big[8192] = {0};
    assert_int_equal(file_write_atomic(path, SLICE("old"), 0600, &err), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = old;
    tight.rlim_cur = 4096; /* as a full disk: the write fails half way */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int result = file_write_atomic(path, slice_make(big, sizeof(big)), 0600, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(result, -1);
    assert_holds("old");
    assert_int_equal(tempdir_num_files(folder), 1);
}

static void an_absent_folder_is_an_error(void **state)
{
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    char nowhere[256];
    snprintf(nowhere, sizeof(nowhere), "%s/none/file", folder);
    assert_int_equal(file_write_atomic(nowhere, SLICE("x"), 0600, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(file_read(nowhere, 10, &out, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(file_read(folder, 10, &out, &err), -1);
    assert_int_equal(out.len, 0);
    strbuf_clear(&out);
}

static void reading_stops_at_the_limit(void **state)
{
    struct err err = ERR_INIT;
    struct strbuf out = STRBUF_INIT;
    assert_int_equal(file_write_atomic(path, SLICE("0123456789"), 0600, &err), 0);
    strbuf_adds(&out, "kept:");
    assert_int_equal(file_read(path, 9, &out, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_string_equal(out.base, "kept:");
    assert_int_equal(out.len, 5);
    assert_int_equal(file_read(path, 10, &out, &err), 0);
    assert_string_equal(out.base, "kept:0123456789");
    assert_int_equal(file_read(path, SIZE_MAX, &out, &err), 0);
    assert_int_equal(out.len, 25);
    assert_int_equal(file_read("/dev/zero", 200000, &out, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_int_equal(out.len, 25);
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read_with_its_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file_and_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(an_absent_folder_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_stops_at_the_limit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

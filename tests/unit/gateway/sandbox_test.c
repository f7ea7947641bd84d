/* What a process in the sandbox cannot do any more, and what it still can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "gateway/sandbox.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child, for the filter stays: its exit status is the number of what went wrong. */
static void run_inside(int (*check)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_enter();
        _exit(check());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static bool is_refused(long result)
{
    return result == -1 && errno == EPERM;
}

static int try_namespaces(void)
{
    static const unsigned long flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS};
    for (size_t i = 0; i < ARRAY_LEN(flags); ++i) {
        long pid = syscall(SYS_clone, flags[i] | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0)
            _exit(0);
        if (!is_refused(pid) || !is_refused(unshare((int)flags[i])))
            return (int)i + 1;
    }
    return 0;
}

static void no_namespace_is_made(void **state)
{
    run_inside(try_namespaces);
}

static int try_others(void)
{
    char *const nothing[] = {NULL};
    if (!is_refused(execve("/bin/true", nothing, nothing)))
        return 1;
#ifdef SYS_fsopen
    if (!is_refused(syscall(SYS_fsopen, "tmpfs", 0)))
        return 2;
#endif
#ifdef SYS_clone3
    if (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS)
        return 3;
#endif
    return 0;
}

static void neither_programs_nor_mounts(void **state)
{
    run_inside(try_others);
}

static void *nothing(void *data)
{
    return data;
}

static int start_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0 ? 0 : 1;
}

static void threads_still_start(void **state)
{
    run_inside(start_thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_namespace_is_made),
        cmocka_unit_test(neither_programs_nor_mounts),
        cmocka_unit_test(threads_still_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

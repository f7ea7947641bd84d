/* One loop on sigtimedwait(): a child that ended is started again after a delay that doubles from 250 ms to 10 s and is
 * forgotten once it has lived for a minute. Stopping drains the proxy first, while control still serves its last report. How
 * long that takes is the configuration's to say (drainTimeout), and the service manager's: only when a second signal asks
 * for the end, or the proxy has ended, is what does not end within seconds killed. */
#include "gateway/supervisor.h"

#include "core/base/clock.h"
#include "gateway/sandbox.h"
#include "gateway/state_dir.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_DELAY_MS = 250, MAX_DELAY_MS = 10000, STABLE_MS = 60000, KILL_AFTER_MS = 5000 };

struct child {
    const char *role, *user, *with_group_of;
    bool keep_bind;
    pid_t pid; /* 0: not running */
    uint64_t started_ms, start_at_ms, delay_ms;
};

struct supervisor {
    struct child children[2];
    size_t num_children;
    char **args;
    size_t num_args;
    bool is_stopping;
    uint64_t kill_at_ms;
};

static void exec_child(const struct supervisor *supervisor, const struct child *child, pid_t parent)
{
    struct err err = ERR_INIT;
    char **argv = xcalloc(supervisor->num_args + 3, sizeof(*argv));
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (sandbox_become(child->user, child->with_group_of, child->keep_bind, &err) < 0) {
        log_err(LOG_ERROR, "a child gives up", &err);
        _exit(1);
    }
    /* After the change of user, which clears it; nothing is lost if it does not work. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != parent) /* it was killed before it could be asked to tell */
        _exit(1);
    argv[0] = "selvedge-gateway";
    argv[1] = (char *)child->role;
    memcpy(argv + 2, supervisor->args, supervisor->num_args * sizeof(*argv));
    execv("/proc/self/exe", argv);
    err_errno(&err, "start %s", child->role);
    log_err(LOG_ERROR, "a child gives up", &err);
    _exit(1);
}

static void start_child(struct supervisor *supervisor, struct child *child)
{
    pid_t own = getpid(), pid = fork();
    if (pid == 0)
        exec_child(supervisor, child, own);
    child->pid = MAX(pid, 0);
    child->started_ms = clock_mono_ms();
    if (pid < 0)
        child->start_at_ms = child->started_ms + MAX_DELAY_MS;
}

static void kill_soon(struct supervisor *supervisor)
{
    supervisor->kill_at_ms = MIN(supervisor->kill_at_ms, clock_mono_ms() + KILL_AFTER_MS);
}

static void on_exit_of(struct supervisor *supervisor, struct child *child, int status)
{
    char why[64];
    uint64_t now = clock_mono_ms();
    child->pid = 0;
    if (supervisor->is_stopping) {
        if (child == &supervisor->children[0])
            kill_soon(supervisor);
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(why, sizeof(why), "signal %d", WTERMSIG(status));
    else
        snprintf(why, sizeof(why), "exit status %d", WEXITSTATUS(status));
    child->delay_ms = now - child->started_ms >= STABLE_MS || child->delay_ms == 0 ? FIRST_DELAY_MS : MIN(child->delay_ms * 2, (uint64_t)MAX_DELAY_MS);
    child->start_at_ms = now + child->delay_ms;
    log_event(LOG_ERROR, "a child ended; it is started again", "child", child->role, "why", why, NULL);
}

static void reap(struct supervisor *supervisor)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < supervisor->num_children; ++i)
            if (supervisor->children[i].pid == pid)
                on_exit_of(supervisor, &supervisor->children[i], status);
}

static void signal_child(const struct child *child, int number)
{
    if (child->pid != 0)
        (void)kill(child->pid, number); /* it may have ended this moment */
}

static size_t num_running(const struct supervisor *supervisor)
{
    size_t count = 0;
    for (size_t i = 0; i < supervisor->num_children; ++i)
        count += supervisor->children[i].pid != 0;
    return count;
}

static uint64_t next_ms(const struct supervisor *supervisor)
{
    uint64_t next = supervisor->is_stopping ? supervisor->kill_at_ms : UINT64_MAX;
    for (size_t i = 0; i < supervisor->num_children && !supervisor->is_stopping; ++i)
        if (supervisor->children[i].pid == 0)
            next = MIN(next, supervisor->children[i].start_at_ms);
    return next;
}

/* children[0] is the proxy: control is told to stop once the proxy has ended. */
static void stop_in_order(struct supervisor *supervisor)
{
    bool is_late = clock_mono_ms() >= supervisor->kill_at_ms;
    if (supervisor->children[0].pid != 0) {
        signal_child(&supervisor->children[0], is_late ? SIGKILL : SIGTERM);
        return;
    }
    for (size_t i = 1; i < supervisor->num_children; ++i)
        signal_child(&supervisor->children[i], is_late ? SIGKILL : SIGTERM);
}

static void start_due(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->num_children; ++i)
        if (supervisor->children[i].pid == 0 && supervisor->children[i].start_at_ms <= clock_mono_ms())
            start_child(supervisor, &supervisor->children[i]);
}

static int wait_signal(const sigset_t *signals, uint64_t until_ms)
{
    uint64_t now = clock_mono_ms();
    uint64_t wait_ms = until_ms == UINT64_MAX ? 3600 * 1000 : until_ms > now ? until_ms - now : 0;
    struct timespec wait = {(time_t)(wait_ms / 1000), (long)(wait_ms % 1000) * 1000000};
    return sigtimedwait(signals, NULL, &wait);
}

static void on_signal(struct supervisor *supervisor, int number)
{
    if (number == SIGCHLD) {
        reap(supervisor);
    } else if (number == SIGHUP) {
        signal_child(&supervisor->children[0], SIGHUP);
    } else if (number == SIGTERM || number == SIGINT) {
        if (supervisor->is_stopping)
            kill_soon(supervisor);
        supervisor->is_stopping = true;
    }
}

int supervisor_run(const struct gateway_options *options, char **args)
{
    struct supervisor supervisor = {.args = args, .kill_at_ms = UINT64_MAX};
    struct err err = ERR_INIT;
    sigset_t signals;
    while (args[supervisor.num_args] != NULL)
        ++supervisor.num_args;
    supervisor.children[supervisor.num_children++] = (struct child){.role = "proxy", .user = options->user_proxy, .keep_bind = true};
    if (options->control == NULL && options->snapshot == NULL)
        supervisor.children[supervisor.num_children++] = (struct child){
            .role = "control", .user = options->user_control, .with_group_of = options->user_proxy}; /* node.sock is for that group */
    if (state_dir_prepare(options, supervisor.num_children > 1, &err) != 0) {
        log_err(LOG_ERROR, "--data", &err);
        return 1;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    while (!supervisor.is_stopping || num_running(&supervisor) != 0) {
        if (!supervisor.is_stopping)
            start_due(&supervisor);
        int number = wait_signal(&signals, next_ms(&supervisor));
        on_signal(&supervisor, number);
        if (supervisor.is_stopping && (number == SIGCHLD || number == SIGTERM || number == SIGINT || clock_mono_ms() >= supervisor.kill_at_ms))
            stop_in_order(&supervisor);
    }
    return 0;
}

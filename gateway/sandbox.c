/* The filter names what is refused rather than what is allowed: libraries below us may start using a harmless new call with
 * any update, while what an attacker wants after a parser bug is a short and old list. */
#include "gateway/sandbox.h"

#include "core/base/log.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int keep_only_bind(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    data[0].effective = data[0].permitted = data[0].inheritable = 1u << CAP_NET_BIND_SERVICE;
    if (syscall(SYS_capset, &header, data) != 0)
        return -1;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0);
}

static int join_group_of(const char *user)
{
    enum { MAX_GROUPS = 64 };
    gid_t groups[MAX_GROUPS + 1];
    const struct passwd *other = user != NULL ? getpwnam(user) : NULL;
    int num = other != NULL ? getgroups(MAX_GROUPS, groups) : 0;
    if (other == NULL || num < 0)
        return num;
    groups[num] = other->pw_gid;
    return setgroups((size_t)num + 1, groups);
}

int sandbox_become(const char *user, const char *with_group_of, bool keep_bind, struct err *err)
{
    if (geteuid() != 0)
        return 0;
    const struct passwd *found = getpwnam(user);
    if (found == NULL)
        return 1;
    const uid_t uid = found->pw_uid;
    const gid_t gid = found->pw_gid;
    if (keep_bind && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        return err_errno(err, "keep the right to bind low ports");
    if (initgroups(user, gid) != 0 || join_group_of(with_group_of) != 0 || setgid(gid) != 0 || setuid(uid) != 0)
        return err_errno(err, "become user %s", user);
    if (keep_bind && keep_only_bind() != 0)
        return err_errno(err, "keep the right to bind low ports");
    return 0;
}

static const int refused[] = {
    SCMP_SYS(execve),        SCMP_SYS(execveat),      SCMP_SYS(ptrace),        SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),         SCMP_SYS(umount2),       SCMP_SYS(pivot_root),    SCMP_SYS(chroot),           SCMP_SYS(setns),
    SCMP_SYS(unshare),       SCMP_SYS(init_module),   SCMP_SYS(finit_module),  SCMP_SYS(delete_module),    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(reboot),      SCMP_SYS(swapon),        SCMP_SYS(swapoff),          SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open), SCMP_SYS(keyctl),      SCMP_SYS(add_key),       SCMP_SYS(request_key),      SCMP_SYS(userfaultfd),
    SCMP_SYS(personality),   SCMP_SYS(acct),          SCMP_SYS(settimeofday),  SCMP_SYS(clock_settime),    SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname),   SCMP_SYS(setdomainname), SCMP_SYS(open_by_handle_at), SCMP_SYS(io_uring_setup), SCMP_SYS(memfd_create),
    SCMP_SYS(fsopen),        SCMP_SYS(fsconfig),      SCMP_SYS(fsmount),       SCMP_SYS(fspick),           SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),     SCMP_SYS(mount_setattr), SCMP_SYS(pidfd_getfd),   SCMP_SYS(kcmp),             SCMP_SYS(clock_adjtime),
    SCMP_SYS(syslog),        SCMP_SYS(quotactl),      SCMP_SYS(iopl),          SCMP_SYS(ioperm),           SCMP_SYS(vhangup),
};

/* Namespaces come by clone() as by unshare(); a namespace of users of one's own is the way to all of the kernel that only
 * root sees else. clone3() hides its flags in memory: told to be unknown, libraries fall back to clone(). */
static int refuse_namespaces(scmp_filter_ctx filter)
{
    static const uint64_t flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP};
    int status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    for (size_t i = 0; status == 0 && i < ARRAY_LEN(flags); ++i)
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
    return status;
}

void sandbox_enter(void)
{
    const struct rlimit no_core = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &no_core); /* lowering one's own limit always works */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* nor does this fail */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        log_event(LOG_WARN, "the kernel has no no-new-privileges", NULL);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int status = filter == NULL ? -ENOMEM : 0;
    for (size_t i = 0; status == 0 && i < ARRAY_LEN(refused); ++i)
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    if (status == 0)
        status = refuse_namespaces(filter);
    if (status == 0)
        status = seccomp_load(filter);
    if (status != 0)
        log_event(LOG_WARN, "running without a system-call filter", "error", strerror(-status), NULL);
    seccomp_release(filter);
}

/* Giving up what a process does not need: user, capabilities, system calls.
 *
 * Threads: before any thread is started. */
#ifndef SELVEDGE_GATEWAY_SANDBOX_H
#define SELVEDGE_GATEWAY_SANDBOX_H

#include "core/base/err.h"

/* When running as root: become `user`, keeping only the right to bind low ports if `keep_bind`; also a member of the group
 * of `with_group_of`, a user (may be NULL, may be absent). A user that does not exist is no error: 1 is returned and the
 * process stays as it is. */
int sandbox_become(const char *user, const char *with_group_of, bool keep_bind, struct err *err);
/* No new privileges, no core dumps of secrets, and no system call that a server never needs (exec, ptrace, mount, modules,
 * bpf, keyrings, namespaces …): those fail with EPERM. Where the kernel has no seccomp it says so in the log. */
void sandbox_enter(void);

#endif

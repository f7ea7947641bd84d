/* Handing over to selvedge-gateway. */
#include "cli/gateway.h"

#include <errno.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(struct cli *cli, char **argv)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    while (len > 0 && self[len - 1] != '/')
        --len;
    if (len > 0)
        execv(arena_printf(cli->arena, "%.*sselvedge-gateway", (int)len, self), argv);
    execvp(argv[0], argv);
}

int cli_run_gateway(struct cli *cli, const char *word, const char *data, const char *file, int failed)
{
    char *argv[] = {"selvedge-gateway", (char *)word, "--data", (char *)data, (char *)file, NULL};
    int status = 0;
    fflush(cli->out);
    pid_t pid = fork();
    if (pid == 0) {
        become(cli, argv);
        _exit(cli_fail(cli, CLI_LOCAL, "selvedge-gateway cannot be run: %s", strerror(errno)));
    }
    if (pid < 0)
        return cli_fail(cli, CLI_LOCAL, "selvedge-gateway cannot be run: %s", strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status))
        return CLI_LOCAL;
    return WEXITSTATUS(status) == 1 ? failed : WEXITSTATUS(status);
}

/* Handing over to selvedge-gateway. */
#include "cli/gateway.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

int cli_exec_gateway(struct cli *cli, const char *word, const char *data, const char *file)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *argv[] = {"selvedge-gateway", (char *)word, "--data", (char *)data, (char *)file, NULL};
    fflush(cli->out);
    while (len > 0 && self[len - 1] != '/')
        --len;
    if (len > 0)
        execv(arena_printf(cli->arena, "%.*sselvedge-gateway", (int)len, self), argv);
    execvp(argv[0], argv);
    return cli_fail(cli, CLI_LOCAL, "selvedge-gateway cannot be run: %s", strerror(errno));
}

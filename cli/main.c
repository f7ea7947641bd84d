/* selvedge: the command line of the control API. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* A standard descriptor that was closed would be given to the first socket, and what is printed would go to the API. In its
 * place stands one that cannot be written, so that lost output is told. */
static void keep_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", O_RDONLY); /* the lowest free number: fd */
}

int main(int argc, char **argv)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    keep_standard_descriptors();
    struct cli cli = {.out = stdout, .err = stderr, .arena = arena_new(0)};
    cli.is_colored = isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0') && term != NULL && strcmp(term, "dumb") != 0;
    signal(SIGPIPE, SIG_DFL); /* `selvedge get … | head` ends quietly */
    int status = cli_main(&cli, argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && (status == CLI_OK || status == CLI_DIFFERENT))
        status = cli_fail(&cli, CLI_LOCAL, "cannot write the output");
    arena_free(cli.arena);
    return status;
}

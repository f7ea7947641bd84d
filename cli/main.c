/* selvedge: the command line of the control API. */
#include "cli/cli.h"

#include <signal.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    struct cli cli = {.out = stdout, .err = stderr, .arena = arena_new(0)};
    cli.is_colored = isatty(STDOUT_FILENO) && (no_color == NULL || *no_color == '\0') && term != NULL && strcmp(term, "dumb") != 0;
    signal(SIGPIPE, SIG_DFL); /* `selvedge get … | head` ends quietly */
    int status = cli_main(&cli, argc, argv);
    if (fflush(stdout) != 0 && status == CLI_OK)
        status = cli_fail(&cli, CLI_LOCAL, "cannot write the output");
    arena_free(cli.arena);
    return status;
}

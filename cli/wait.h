/* Waiting until the nodes run a revision. */
#ifndef SELVEDGE_CLI_WAIT_H
#define SELVEDGE_CLI_WAIT_H

#include "cli/cli.h"

/* CLI_OK: all nodes that are connected run it. CLI_DIFFERENT: one refused it, or --timeout (60 s) is over: told. */
int cli_wait_revision(struct cli *cli, const char *revision);

#endif

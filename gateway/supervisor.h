/* The supervisor: starts the two children from this very binary, starts them again when they die, and hands signals on.
 *
 * It does nothing else, so that nothing can bring it down. Children get the same command line with their role in front. */
#ifndef SELVEDGE_GATEWAY_SUPERVISOR_H
#define SELVEDGE_GATEWAY_SUPERVISOR_H

#include "gateway/options.h"

/* Until SIGTERM or SIGINT and the end of the children. Returns the exit status. `args` are argv[1..] without a role. */
int supervisor_run(const struct gateway_options *options, char **args);

#endif

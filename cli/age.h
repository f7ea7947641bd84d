/* Times as people read them. */
#ifndef SELVEDGE_CLI_AGE_H
#define SELVEDGE_CLI_AGE_H

#include "cli/cli.h"

/* How long ago an RFC 3339 time was, as kubectl writes it: "5s", "3m20s", "4d", "2y35d"; "<unknown>" when it is none. */
const char *cli_age(struct arena *arena, const char *rfc3339);
/* How long until then: "in 3h", "expired 5m ago"; "never" for "". */
const char *cli_until(struct arena *arena, const char *rfc3339);

#endif

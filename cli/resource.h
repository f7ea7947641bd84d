/* KIND, KIND/NAME, KIND NAME…, KIND,KIND: what verbs are pointed at.
 *
 * Threads: one. Ownership: the run's arena. */
#ifndef SELVEDGE_CLI_RESOURCE_H
#define SELVEDGE_CLI_RESOURCE_H

#include "cli/cli.h"
#include "core/model/kinds.h"

struct cli_resource {
    const struct kind *kind;
    const char *name; /* NULL: all of the kind */
};

struct cli_resources {
    struct cli_resource *items;
    size_t num;
};

/* From args[first…]. Says what is wrong and returns an exit code. Categories ("all", "gateway-api") stand for their kinds. */
int cli_resources_parse(struct cli *cli, size_t first, struct cli_resources *ret);
/* One kind by any of its names; NULL after saying that there is none. */
const struct kind *cli_find_kind(struct cli *cli, const char *name);
/* "httproute.gateway.networking.k8s.io"; "service" in the core group. */
const char *cli_kind_name(struct arena *arena, const struct kind *kind);

#endif

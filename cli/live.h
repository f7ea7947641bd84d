/* Objects as they are at the API, and as they would be: for diff and edit. */
#ifndef SELVEDGE_CLI_LIVE_H
#define SELVEDGE_CLI_LIVE_H

#include "cli/client.h"
#include "cli/manifest.h"

/* The object, or *ret NULL when there is none. Says what fails and returns an exit code. */
int cli_live_get(struct cli *cli, const struct kind *kind, const char *ns, const char *name, struct json **ret);
/* What applying the manifest would make of it (a dry run). */
int cli_live_would_be(struct cli *cli, const struct cli_manifest *manifest, struct json **ret);
/* Takes out what the server keeps for itself: resourceVersion (unless `keep_version`), uid, generation, creationTimestamp,
 * managedFields, status. */
void cli_live_strip(struct json *object, bool keep_version);
/* Puts the members of `object` in the order they have in `like`, at every level: order is no difference. */
void cli_live_align(struct json *object, const struct json *like);
/* Members in the order people write them: apiVersion, kind, metadata first; the rest as it is. In the arena. */
struct slice cli_live_yaml(struct cli *cli, const struct json *object);

#endif

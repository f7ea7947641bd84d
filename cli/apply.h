/* Many objects to the API at once, and what it says of each: for apply and diff. */
#ifndef SELVEDGE_CLI_APPLY_H
#define SELVEDGE_CLI_APPLY_H

#include "cli/client.h"
#include "cli/manifest.h"

/* POST /selvedge/v1/apply with the options of the command line. Refusals are told with the files' lines; returns an exit code. */
int cli_apply(struct cli *cli, const struct cli_manifests *manifests, bool is_dry_run, struct cli_answer *ret);
/* The result of an answer that belongs to the manifest; NULL. */
const struct json *cli_apply_result(const struct json *answer, const struct cli_manifest *manifest);
/* "created", "configured", "unchanged", "pruned", "deleted": what is done to the object of a result. */
const char *cli_apply_action(const struct json *result);
/* The revision an answer tells of, as text; NULL when it tells none. */
const char *cli_apply_revision(struct cli *cli, const struct json *answer);
/* "  ~ spec.rules[0].weight: 10 -> 20" for each item of a list of changes. */
void cli_print_changes(struct cli *cli, const struct json *changes, const char *indent);

#endif

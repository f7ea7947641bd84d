/* Objects from files: YAML with several documents, JSON, folders of such files, standard input.
 *
 * Threads: one. Ownership: the run's arena. */
#ifndef SELVEDGE_CLI_MANIFEST_H
#define SELVEDGE_CLI_MANIFEST_H

#include "cli/cli.h"
#include "core/model/kinds.h"

struct cli_manifest {
    struct json *object;
    const char *place;       /* "shop.yaml:12" */
    const struct kind *kind; /* NULL: this program does not know it */
    const char *ns, *name;   /* "" when there is none */
};

struct cli_manifests {
    struct cli_manifest *items;
    size_t num;
};

/* Reads all of `files` in order (folders by name: .yaml, .yml, .json), lists opened up. Namespaced objects without a namespace
 * get -n or the context's; one that contradicts -n is an error. Says what is wrong and returns an exit code. */
int cli_manifests_read(struct cli *cli, const struct cli_list *files, bool is_recursive, struct cli_manifests *ret);
/* One text. `name` is for places. ERR_BAD_REQUEST. */
int cli_manifests_parse(struct cli *cli, const char *name, struct slice text, struct cli_manifests *ret, struct err *err);
/* {"kind":"List","items":[…]} as text in the arena. */
struct slice cli_manifests_write(struct cli *cli, const struct cli_manifests *manifests);
/* "httproute.gateway.networking.k8s.io/shop", as kubectl names objects. */
const char *cli_object_name(struct arena *arena, const struct json *object);
/* The one that an error speaks of, by kind, namespace and name (any may be NULL: not asked); NULL. */
const struct cli_manifest *cli_manifests_find(const struct cli_manifests *manifests, const char *kind, const char *ns, const char *name);

#endif

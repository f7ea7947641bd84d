/* The verbs, one row each: help, completion and dispatch come from here. */
#include "cli/cli.h"

const struct cli_verb cli_verbs[] = {
    {"apply", "a", "-f FILE|DIR|- … [--message TEXT] [--prune --owner NAME] [--dry-run]",
     "make the objects of files so: one revision, all or nothing",
     "  selvedge apply -f shop.yaml\n"
     "  selvedge apply -f manifests/ --message 'shop: 10 % to v2'\n"
     "  selvedge apply -f manifests/ --owner shop --prune      also delete what is no longer in the folder\n"
     "  kustomize build . | selvedge apply -f - --dry-run\n",
     "filename recursive message prune owner dry-run", NULL, verb_apply},
    {"get", "list ls", "KIND[/NAME] [NAME…] [-A] [-l SELECTOR] [-o FORMAT] [-w]", "show objects",
     "  selvedge get gateways\n"
     "  selvedge get httproutes,services -A -o wide\n"
     "  selvedge get httproute/shop -o yaml\n"
     "  selvedge get httproutes -o jsonpath='{range .items[*]}{.metadata.name}{\"\\n\"}{end}'\n"
     "  selvedge get gateways -w                                go on and show changes\n",
     "all-namespaces selector field-selector output watch no-headers ignore-not-found", NULL, verb_get},
    {"version", NULL, "[--client]", "versions of this program and of the API", "  selvedge version\n", "client", NULL, verb_version},
    {"help", NULL, "[VERB]", "explain a verb with examples", "  selvedge help apply\n", "", NULL, verb_help},
};
const size_t cli_num_verbs = ARRAY_LEN(cli_verbs);

static bool has_word(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = words; at != NULL && *at != '\0'; at += strspn(at, " ")) {
        size_t this = strcspn(at, " ");
        if (this == len && memcmp(at, word, len) == 0)
            return true;
        at += this;
    }
    return false;
}

const struct cli_verb *cli_find_verb(const char *name)
{
    for (size_t i = 0; i < cli_num_verbs; ++i)
        if (strcmp(cli_verbs[i].name, name) == 0 || has_word(cli_verbs[i].aliases, name))
            return &cli_verbs[i];
    return NULL;
}

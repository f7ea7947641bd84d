/* The verbs, one row each: help, completion and dispatch come from here. */
#include "cli/cli.h"

const struct cli_verb cli_verbs[] = {
    {"apply", "a", "-f FILE|DIR|- … [--message TEXT] [--prune --owner NAME] [--dry-run] [--wait]",
     "make the objects of files so: one revision, all or nothing",
     "  selvedge apply -f shop.yaml\n"
     "  selvedge apply -f manifests/ --message 'shop: 10 % to v2' --wait\n"
     "  selvedge apply -f manifests/ --owner shop --prune      also delete what is no longer in the folder\n"
     "  kustomize build . | selvedge apply -f - --dry-run\n",
     "filename recursive message prune owner force dry-run wait timeout",
     "Refusals name file and line, and nothing is changed then. --dry-run shows what would change, field by field.\n", verb_apply},
    {"get", "list ls", "KIND[/NAME] [NAME…] [-A] [-l SELECTOR] [-o FORMAT] [-w]", "show objects",
     "  selvedge get gateways\n"
     "  selvedge get httproutes,services -A -o wide\n"
     "  selvedge get httproute/shop -o yaml\n"
     "  selvedge get httproutes -o jsonpath='{range .items[*]}{.metadata.name}{\"\\n\"}{end}'\n"
     "  selvedge get gateways -w                                go on and show changes\n",
     "all-namespaces selector field-selector output watch no-headers ignore-not-found show-managed-fields", NULL, verb_get},
    {"delete", "rm", "KIND NAME… | KIND/NAME… | KIND -l SELECTOR | KIND --all | -f FILE…", "delete objects",
     "  selvedge delete httproute shop\n"
     "  selvedge delete -f manifests/\n"
     "  selvedge delete httproutes -l app=shop --dry-run\n",
     "filename recursive selector all all-namespaces ignore-not-found dry-run", NULL, verb_delete},
    {"edit", NULL, "KIND/NAME", "change an object in an editor",
     "  selvedge edit httproute/shop\n"
     "  EDITOR='code --wait' selvedge edit gateway/edge -n shop\n",
     "",
     "The editor is $SELVEDGE_EDITOR, $KUBE_EDITOR, $VISUAL, $EDITOR or vi. What is refused is opened again with the reasons.\n", verb_edit},
    {"diff", "plan", "-f FILE|DIR|- … | REV1 [REV2]", "what files would change, or what changed between two revisions",
     "  selvedge diff -f manifests/\n"
     "  selvedge diff 41 42\n"
     "  selvedge diff 41                                         since then\n",
     "filename recursive prune owner force", "Exit 0: no difference; 1: there is one.\n", verb_diff},
    {"explain", "routes trace", "[METHOD] URL [-H 'NAME: VALUE']… [--port PORT] [-o FORMAT]", "where a request would go, and why",
     "  selvedge explain GET https://shop.example.com/cart\n"
     "  selvedge explain GET http://shop.example.com/ -H 'x-canary: yes'\n"
     "  selvedge explain https://shop.example.com/ --port 8443 -o json\n",
     "header port output",
     "The same decision that live requests get, made on the newest configuration, and every rule that was considered. Exit 1 when\n"
     "the request would get nowhere.\n", verb_explain},
    {"explain-field", NULL, "KIND[.FIELD.FIELD…] [--all-fields]", "what a kind and its fields mean and take",
     "  selvedge explain-field httproute\n"
     "  selvedge explain-field httproute.spec.rules.matches\n"
     "  selvedge explain-field gateway.spec --all-fields\n",
     "all-fields", NULL, verb_explain_field},
    {"history", "log revisions", "[KIND[/NAME] | REV] [--limit N] [-o FORMAT]", "who changed what, when and why",
     "  selvedge history\n"
     "  selvedge history httproute/shop -n shop\n"
     "  selvedge history 42                                      what that revision changed\n",
     "limit output no-headers all-namespaces", NULL, verb_history},
    {"rollback", "undo", "REV [KIND[/NAME]] | KIND[/NAME] [--message TEXT] [--dry-run] [--wait]", "everything, or one object, as it was at a revision",
     "  selvedge rollback httproute/shop                         as before its newest change\n"
     "  selvedge rollback 41 --dry-run\n"
     "  selvedge rollback 41 --message 'the new split lost orders'\n"
     "  selvedge rollback 41 httproute/shop -n shop\n",
     "message dry-run wait timeout", "A rollback is a new revision: it can be looked at, and rolled back, like any other.\n", verb_rollback},
    {"nodes", "proxies proxy-status ps", "[-o FORMAT]", "proxies, the revision each runs, and what they refused",
     "  selvedge nodes\n", "output no-headers", NULL, verb_nodes},
    {"token", "tokens", "create NAME [--role ROLE] [--ttl DURATION] [--in NS] | list | revoke NAME", "credentials for the API",
     "  selvedge token create ci --role editor --ttl 30d --in shop\n"
     "  selvedge token list\n"
     "  selvedge token revoke ci\n",
     "role ttl in name output no-headers", "Roles: viewer reads, editor writes objects, admin also makes tokens. Without --ttl a token lives 90 days.\n", verb_token},
    {"join", NULL, "[token] create [--node NAME] [--ttl DURATION] [--uses N] | list | revoke ID", "tokens with which other hosts' proxies join",
     "  selvedge join create --node edge-2 --ttl 1h\n"
     "  selvedge join list\n",
     "role ttl uses node output no-headers", "A token for a node is good for that name only, and puts a new machine in the place of the one that has it.\n", verb_join},
    {"audit", NULL, "[--limit N] [--verify] [-o FORMAT]", "every write and every refused attempt",
     "  selvedge audit --limit 20\n"
     "  selvedge audit --verify\n",
     "limit verify output no-headers", NULL, verb_audit},
    {"backup", NULL, "[PATH]", "an online copy of the database, on the control host",
     "  selvedge backup /var/backups/selvedge.db\n"
     "  selvedge backup                                          into backups/ of the data folder\n",
     "", "The copy is checked before this returns. A path may be chosen over the unix socket only.\n", verb_backup},
    {"restore", NULL, "FILE --data DIR", "a backup in the place of the database, while control is stopped",
     "  selvedge restore /var/backups/selvedge.db --data /var/lib/selvedge\n",
     "data", "The database that was there is kept in DIR/backups/. Runs selvedge-gateway restore.\n", verb_restore},
    {"doctor", "check status", "[--data DIR]", "is all well: API, nodes, objects, audit log; or a database's files",
     "  selvedge doctor\n"
     "  selvedge doctor --data /var/lib/selvedge                 the database there, also while control is stopped\n",
     "data", "Exit 1 when something is bad. With --data, runs selvedge-gateway check.\n", verb_doctor},
    {"kubeconfig", NULL, "[--name NAME] [--role ROLE] [--ttl DURATION]", "a configuration file for kubectl, with a fresh token",
     "  selvedge kubeconfig > kubeconfig; KUBECONFIG=kubeconfig kubectl get httproutes\n"
     "  selvedge kubeconfig --socket /run/control.sock --server https://edge-1:7443 --role viewer\n",
     "name role ttl", NULL, verb_kubeconfig},
    {"whoami", NULL, "[-o FORMAT]", "who the API takes you for", "  selvedge whoami\n", "output", NULL, verb_whoami},
    {"completion", NULL, "bash|zsh", "completion for a shell", "  . <(selvedge completion bash)\n", "", NULL, verb_completion},
    {"version", NULL, "[--client]", "versions of this program and of the API", "  selvedge version\n", "client", NULL, verb_version},
    {"help", NULL, "[VERB]", "explain a verb with examples", "  selvedge help apply\n", "", NULL, verb_help},
};
const size_t cli_num_verbs = ARRAY_LEN(cli_verbs);

const struct cli_verb *cli_find_verb(const char *name)
{
    for (size_t i = 0; i < cli_num_verbs; ++i)
        if (strcmp(cli_verbs[i].name, name) == 0 || cli_has_word(cli_verbs[i].aliases, name))
            return &cli_verbs[i];
    return NULL;
}

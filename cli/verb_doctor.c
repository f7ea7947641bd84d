/* selvedge doctor: is all well? Through the API; with --data, of the database's files, by selvedge-gateway. */
#include "cli/age.h"
#include "cli/client.h"
#include "cli/gateway.h"
#include "cli/table.h"

struct doctor {
    struct cli *cli;
    bool is_ill;
};

static void finding(struct doctor *d, enum cli_color color, const char *what, const char *text)
{
    const char *mark = color == CLI_GREEN ? "ok" : color == CLI_YELLOW ? "look" : "BAD";
    d->is_ill |= color == CLI_RED;
    fprintf(d->cli->out, "%s%-4s%s  %-14s %s\n", cli_color(d->cli, color), mark, cli_color(d->cli, CLI_PLAIN), what, cli_printable(d->cli->arena, slice_of(text)));
}

/* The answer's tree when it is a success, else NULL after telling. */
static const struct json *ask(struct doctor *d, const char *what, const char *path)
{
    struct cli_answer answer;
    if (cli_send(d->cli, &(struct cli_request){.path = path, .timeout_ms = 120000}, &answer) != CLI_OK) {
        d->is_ill = true;
        return NULL;
    }
    if (answer.status >= 200 && answer.status <= 299)
        return answer.json;
    finding(d, answer.status == 403 ? CLI_YELLOW : CLI_RED, what,
            json_str(json_get(answer.json, "message"), arena_printf(d->cli->arena, "the API answered %u", answer.status)));
    return NULL;
}

static int check_reachable(struct doctor *d)
{
    struct cli_answer answer;
    int status = cli_send(d->cli, &(struct cli_request){.path = "/readyz"}, &answer);
    if (status != CLI_OK)
        return status;
    if (answer.status == 200)
        finding(d, CLI_GREEN, "API", "answers and takes writes");
    else
        finding(d, CLI_RED, "API", arena_printf(d->cli->arena, "answers, but is not ready: %s", answer.body.base != NULL ? answer.body.base : ""));
    return CLI_OK;
}

static void check_version(struct doctor *d)
{
    const struct json *told = ask(d, "version", "/version");
    const char *full = json_str(json_get(told, "gitVersion"), ""), *version = strstr(full, "+selvedge-");
    if (told == NULL)
        return;
    version = version != NULL ? version + 10 : full;
    bool is_same = strcmp(version, SELVEDGE_VERSION) == 0;
    finding(d, is_same ? CLI_GREEN : CLI_YELLOW, "version",
            is_same ? version : arena_printf(d->cli->arena, "the API is %s, this program %s", version, SELVEDGE_VERSION));
}

static void check_identity(struct doctor *d)
{
    const struct json *told = ask(d, "identity", "/selvedge/v1/whoami");
    if (told != NULL)
        finding(d, CLI_GREEN, "identity", arena_printf(d->cli->arena, "%s, %s", json_str(json_get(told, "name"), ""), json_str(json_get(told, "role"), "")));
}

static void check_node(struct doctor *d, const struct json *node)
{
    const struct json *status = json_get(node, "status"), *errors = json_get(status, "errors");
    const char *state = json_str(json_get(status, "state"), "Unknown"), *what = arena_printf(d->cli->arena, "node %s", json_str(json_find(node, "metadata", "name", NULL), ""));
    const char *seen = cli_age(d->cli->arena, json_str(json_get(status, "lastSeen"), ""));
    long long revision = json_int_or(json_get(status, "appliedRevision"), 0);
    if (strcmp(state, "Synced") == 0)
        finding(d, CLI_GREEN, what, arena_printf(d->cli->arena, "runs revision %lld", revision));
    else if (strcmp(state, "Rejected") == 0)
        finding(d, CLI_RED, what, arena_printf(d->cli->arena, "refused revision %lld, runs %lld (%u reasons; selvedge nodes shows them)",
                                               (long long)json_int_or(json_get(status, "attemptedRevision"), 0), revision, errors != NULL ? errors->num : 0));
    else
        finding(d, strcmp(state, "Offline") == 0 ? CLI_RED : CLI_YELLOW, what, arena_printf(d->cli->arena, "%s, seen %s ago, runs revision %lld", state, seen, revision));
}

static void check_nodes(struct doctor *d)
{
    const struct json *list = ask(d, "nodes", cli_object_path(d->cli->arena, kind_get(KIND_NODE), NULL, NULL));
    const struct json *nodes = json_get(list, "items");
    if (list != NULL && (nodes == NULL || nodes->num == 0))
        finding(d, CLI_YELLOW, "nodes", "no proxy has joined");
    JSON_FOR (node, nodes)
        check_node(d, node);
}

/* A condition that is False says what is wrong with an object. */
static void check_conditions(struct doctor *d, const struct kind *kind, const struct json *object, const struct json *conditions, unsigned *num)
{
    JSON_FOR (condition, conditions) {
        const char *type = json_str(json_get(condition, "type"), "");
        if (strcmp(json_str(json_get(condition, "status"), ""), "False") != 0 || strcmp(type, "Conflicted") == 0)
            continue;
        ++*num;
        finding(d, CLI_RED, kind->singular, arena_printf(d->cli->arena, "%s/%s: not %s: %s: %s", json_str(json_find(object, "metadata", "namespace", NULL), ""),
                                                         json_str(json_find(object, "metadata", "name", NULL), ""), type,
                                                         json_str(json_get(condition, "reason"), ""), json_str(json_get(condition, "message"), "")));
    }
}

static void check_kind(struct doctor *d, enum kind_id id)
{
    const struct kind *kind = kind_get(id);
    const struct json *list = ask(d, kind->plural, cli_object_path(d->cli->arena, kind, NULL, NULL));
    unsigned num = 0;
    JSON_FOR (object, json_get(list, "items")) {
        check_conditions(d, kind, object, json_find(object, "status", "conditions", NULL), &num);
        JSON_FOR (parent, json_find(object, "status", "parents", NULL))
            check_conditions(d, kind, object, json_get(parent, "conditions"), &num);
    }
    if (list != NULL && num == 0)
        finding(d, CLI_GREEN, kind->plural, arena_printf(d->cli->arena, "%u, none with a failed condition", json_get(list, "items") != NULL ? json_get(list, "items")->num : 0));
}

static void check_audit(struct doctor *d)
{
    const struct json *told = ask(d, "audit log", "/selvedge/v1/audit/verify");
    if (told != NULL)
        finding(d, json_is_true(json_get(told, "whole")) ? CLI_GREEN : CLI_RED, "audit log",
                json_is_true(json_get(told, "whole")) ? "whole" : json_str(json_get(told, "message"), "its chain is broken"));
}

int verb_doctor(struct cli *cli)
{
    static const enum kind_id kinds[] = {KIND_GATEWAY_CLASS, KIND_GATEWAY, KIND_HTTP_ROUTE, KIND_GRPC_ROUTE};
    struct doctor d = {.cli = cli};
    if (cli->num_args != 0)
        return cli_usage(cli, "takes no arguments");
    if (cli->options.data != NULL)
        return cli_run_gateway(cli, "check", cli->options.data, NULL, CLI_DIFFERENT);
    int status = check_reachable(&d);
    if (status != CLI_OK)
        return status;
    check_version(&d);
    check_identity(&d);
    check_nodes(&d);
    for (size_t i = 0; i < ARRAY_LEN(kinds); ++i)
        check_kind(&d, kinds[i]);
    check_audit(&d);
    return d.is_ill ? CLI_DIFFERENT : CLI_OK;
}

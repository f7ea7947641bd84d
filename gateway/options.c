/* The gateway's command line. */
#include "gateway/options.h"

#include "core/model/format.h"
#include "core/net/listen.h"

#include <getopt.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

static const char help[] =
    "usage: selvedge-gateway [OPTIONS]            the gateway: proxy and control API, supervised\n"
    "       selvedge-gateway --control URL --token TOKEN [OPTIONS]\n"
    "                                             a pure proxy that joins another box's control API\n"
    "       selvedge-gateway control|proxy [OPTIONS]\n"
    "                                             one of the two alone, in the foreground\n"
    "       selvedge-gateway check [--data DIR] [FILE]\n"
    "                                             check DIR/control.db, or a backup, thoroughly\n"
    "       selvedge-gateway restore [--data DIR] FILE\n"
    "                                             put a backup in the place of DIR/control.db\n"
    "\n"
    "  --data DIR            state: database, sockets, certificates, last snapshot   [/var/lib/selvedge]\n"
    "  --api ADDR:PORT|off   where the control API is served, over TLS               [127.0.0.1:7443]\n"
    "  --api-name NAME       a further name or address for the API's certificate; may be repeated\n"
    "  --admin ADDR:PORT|off /metrics, /healthz, /readyz of the proxy                [127.0.0.1:7480]\n"
    "  --trust-domain NAME   SPIFFE trust domain, set at the first start             [selvedge.local]\n"
    "  --audit-days N        how long entries of the audit log are kept              [400]\n"
    "  --workers N           proxy threads                                           [one per processor]\n"
    "  --control URL         join this control API instead of running one\n"
    "  --token TOKEN|@FILE   one-time join token (selvedge join create)\n"
    "  --control-ca FILE     the control API's trust bundle (its DIR/ca.crt)\n"
    "  --node NAME           this node's name                                        [the host's name]\n"
    "  --snapshot FILE       serve this compiled snapshot; read again on SIGHUP\n"
    "  --user-control NAME, --user-proxy NAME\n"
    "                        users to run as when started as root   [selvedge-control, selvedge-proxy]\n"
    "  --log-level LEVEL     debug, info, warn, error                                [info]\n"
    "  --help, --version\n"
    "\n"
    "Every option can be given as an environment variable too: SELVEDGE_DATA, SELVEDGE_API, …\n"
    "Routes, listeners and certificates are not options: apply them to the control API (selvedge apply -f, kubectl).\n"
    "SIGTERM drains and stops; SIGHUP opens the access log anew.\n";

enum { OPT_HELP = 1, OPT_VERSION, OPT_TEXT };

struct text_option {
    const char *name;
    size_t at; /* of a const char * */
};

#define TEXT(option, member) {option, offsetof(struct gateway_options, member)}
static const struct text_option text_options[] = {
    TEXT("data", data_dir),         TEXT("api", api),           TEXT("admin", admin), TEXT("trust-domain", trust_domain),
    TEXT("control", control),       TEXT("token", token),       TEXT("node", node),   TEXT("control-ca", control_ca),
    TEXT("user-control", user_control), TEXT("user-proxy", user_proxy), TEXT("snapshot", snapshot),
};

static void set_text(struct gateway_options *options, const char *name, const char *value)
{
    for (size_t i = 0; i < ARRAY_LEN(text_options); ++i)
        if (strcmp(text_options[i].name, name) == 0)
            *(const char **)((char *)options + text_options[i].at) = value;
}

static int set_option(struct gateway_options *options, const char *name, const char *value, struct err *err)
{
    char *end;
    if (strcmp(name, "workers") == 0) {
        unsigned long number = strtoul(value, &end, 10);
        if (*end != '\0' || number > 256)
            return err_set(err, ERR_INVALID, "--workers: \"%s\" is no number from 0 to 256", value);
        options->workers = (unsigned)number;
    } else if (strcmp(name, "audit-days") == 0) {
        unsigned long number = strtoul(value, &end, 10);
        if (*end != '\0' || number < 1 || number > 36500)
            return err_set(err, ERR_INVALID, "--audit-days: \"%s\" is no number from 1 to 36500", value);
        options->audit_days = (unsigned)number;
    } else if (strcmp(name, "log-level") == 0) {
        if (log_parse_level(value, &options->log_level) != 0)
            return err_set(err, ERR_INVALID, "--log-level: \"%s\" is none of debug, info, warn, error", value);
    } else if (strcmp(name, "api-name") == 0) {
        if (options->num_api_names == ARRAY_LEN(options->api_names))
            return err_set(err, ERR_INVALID, "--api-name: at most %zu", ARRAY_LEN(options->api_names));
        options->api_names[options->num_api_names++] = value;
    } else {
        set_text(options, name, value);
    }
    return 0;
}

static int take_environment(struct gateway_options *options, const struct option *names, struct err *err)
{
    char variable[64];
    for (; names->name != NULL; ++names) {
        size_t len = (size_t)snprintf(variable, sizeof(variable), "SELVEDGE_%s", names->name);
        for (size_t i = 0; i < len; ++i)
            variable[i] = variable[i] == '-' ? '_' : (char)(variable[i] >= 'a' && variable[i] <= 'z' ? variable[i] - 32 : variable[i]);
        const char *value = names->has_arg ? getenv(variable) : NULL;
        if (value != NULL && set_option(options, names->name, value, err) != 0)
            return err_wrap(err, "%s", variable);
    }
    return 0;
}

static int find_role(const char *name, enum gateway_role *ret)
{
    static const char *const names[] = {[GATEWAY_CONTROL] = "control", [GATEWAY_PROXY] = "proxy", [GATEWAY_CHECK] = "check",
                                        [GATEWAY_RESTORE] = "restore"};
    for (size_t i = GATEWAY_CONTROL; i < ARRAY_LEN(names); ++i) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum gateway_role)i;
            return 0;
        }
    }
    return -1;
}

/* Here rather than in the child that uses it: the supervisor would start that again and again. */
static int check_address(const char *name, const char *value, struct err *err)
{
    struct slice host;
    uint16_t port;
    if (strcmp(value, "off") == 0 || net_parse_endpoint(value, &host, &port, err) == 0)
        return 0;
    return err_wrap(err, "--%s", name);
}

static int check(struct gateway_options *options, struct err *err)
{
    static char host[256];
    if (strncmp(options->api, "unix:", 5) == 0)
        return err_set(err, ERR_INVALID, "--api: \"%s\": the API is at the unix socket DIR/control.sock in any case", options->api);
    if (check_address("api", options->api, err) != 0 || check_address("admin", options->admin, err) != 0)
        return -1;
    if (options->control != NULL && options->role == GATEWAY_CONTROL)
        return err_set(err, ERR_INVALID, "--control: the control process does not join another one");
    if (options->control != NULL && strncmp(options->control, "https://", 8) != 0)
        return err_set(err, ERR_INVALID, "--control: \"%s\" is no https:// URL", options->control);
    if (options->control != NULL && options->node == NULL) {
        (void)gethostname(host, sizeof(host) - 1); /* an empty name is refused by control */
        options->node = host;
    }
    if (options->node == NULL)
        options->node = "local";
    if (!format_dns_subdomain.matches(slice_of(options->node)))
        return err_set(err, ERR_INVALID, "--node: \"%s\" %s", options->node, format_dns_subdomain.message);
    return 0;
}

int gateway_options_parse(int argc, char **argv, struct gateway_options *options, struct err *err)
{
    static const struct option names[] = {
        {"data", 1, NULL, OPT_TEXT},         {"api", 1, NULL, OPT_TEXT},        {"api-name", 1, NULL, OPT_TEXT},
        {"admin", 1, NULL, OPT_TEXT},        {"trust-domain", 1, NULL, OPT_TEXT}, {"workers", 1, NULL, OPT_TEXT},
        {"control", 1, NULL, OPT_TEXT},      {"token", 1, NULL, OPT_TEXT},      {"control-ca", 1, NULL, OPT_TEXT},
        {"node", 1, NULL, OPT_TEXT},         {"snapshot", 1, NULL, OPT_TEXT},   {"user-control", 1, NULL, OPT_TEXT},
        {"user-proxy", 1, NULL, OPT_TEXT},   {"log-level", 1, NULL, OPT_TEXT},  {"help", 0, NULL, OPT_HELP},
        {"version", 0, NULL, OPT_VERSION},   {"audit-days", 1, NULL, OPT_TEXT}, {NULL, 0, NULL, 0},
    };
    int index = 0;
    *options = (struct gateway_options){.data_dir = "/var/lib/selvedge", .api = "127.0.0.1:7443", .admin = "127.0.0.1:7480",
                                        .trust_domain = "selvedge.local", .user_control = "selvedge-control",
                                        .user_proxy = "selvedge-proxy", .audit_days = 400, .log_level = LOG_INFO};
    if (argc > 1 && argv[1][0] != '-') {
        if (find_role(argv[1], &options->role) != 0)
            return err_set(err, ERR_INVALID, "unknown command \"%s\"; see --help", argv[1]);
        --argc;
        ++argv;
    }
    if (take_environment(options, names, err) != 0)
        return -1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "", names, &index)) != -1;) {
        if (c == OPT_HELP || c == OPT_VERSION) {
            fputs(c == OPT_HELP ? help : "selvedge-gateway " SELVEDGE_VERSION "\n", stdout);
            return 1;
        }
        if (c == '?')
            return err_set(err, ERR_INVALID, "%s: unknown option, or its value is missing; see --help", argv[optind - 1]);
        if (set_option(options, names[index].name, optarg, err) != 0)
            return -1;
    }
    if (optind < argc && (options->role == GATEWAY_CHECK || options->role == GATEWAY_RESTORE))
        options->file = argv[optind++];
    if (options->role == GATEWAY_RESTORE && options->file == NULL)
        return err_set(err, ERR_INVALID, "restore: which FILE? See --help");
    if (optind < argc)
        return err_set(err, ERR_INVALID, "unexpected argument \"%s\"; see --help", argv[optind]);
    return check(options, err);
}

/* Main thread: a net_worker of its own for signals, results and the admin port; the rest is core/proxy. */
#include "gateway/proxy_main.h"

#include "core/base/log.h"
#include "core/net/listen.h"
#include "core/net/resolver.h"
#include "core/proxy/dataplane.h"
#include "core/proxy/telemetry/admin.h"
#include "core/route/decide.h"
#include "gateway/enroll.h"
#include "gateway/node_link.h"
#include "gateway/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SNAPSHOT_BYTES = 256 * 1024 * 1024 };

struct proxy {
    struct net_worker *main;
    struct px_dataplane *dataplane;
    struct px_admin *admin;
    const struct gateway_options *options;
    h2o_socket_t *signals;
    struct node_link *link;            /* NULL with --snapshot */
    struct enroll_renewal *renewal;    /* NULL unless --control */
    bool is_rejected_first; /* the first snapshot could not be used: there is nothing to serve */
};

/* ---- reading a snapshot ---- */

static int read_file(const char *path, struct strbuf *out, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, "open %s", path);
    if (fstat(fd, &st) != 0 || st.st_size > MAX_SNAPSHOT_BYTES) {
        close(fd);
        return err_set(err, ERR_TOO_LARGE, "%s is too large", path);
    }
    for (;;) {
        ssize_t n = read(fd, strbuf_reserve(out, 65536), 65536);
        if (n <= 0) {
            close(fd);
            return n == 0 ? 0 : err_errno(err, "read %s", path);
        }
        out->len += (size_t)n;
    }
}

/* A file written by hand has no sum to check: resources are added one by one, each still read strictly. */
static int add_resources(struct cfg_document *doc, const struct json *tree, struct err *err)
{
    int64_t rev = json_int_or(json_get(tree, "rev"), 1);

    doc->rev = (uint64_t)rev;
    JSON_FOR(resource, json_get(tree, "resources"))
    {
        struct slice kind = json_slice(json_get(resource, "kind")), name = json_slice(json_get(resource, "name"));
        const struct json *spec = json_get(resource, "spec");
        if (kind.len == 0 || name.len == 0 || spec == NULL)
            return err_set(err, ERR_INVALID, "a resource needs kind, name and spec");
        cfg_document_add(doc, kind, name, doc->rev, spec);
    }
    return cfg_document_seal(doc, err);
}

static struct cfg_document *parse_document(struct slice text, struct err *err)
{
    struct arena *arena = arena_new(0);
    struct json *tree = json_parse(arena, text, err);
    struct cfg_document *doc = NULL;

    if (tree != NULL && json_get(tree, "sum") != NULL) {
        doc = cfg_document_parse(text, err);
    } else if (tree != NULL) {
        doc = cfg_document_new();
        if (add_resources(doc, tree, err) != 0)
            doc = cfg_document_free(doc);
    }
    arena_free(arena);
    return doc;
}

static struct cfg_snapshot *load_snapshot(const char *path, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    struct cfg_document *doc = NULL;
    struct cfg_snapshot *snapshot = NULL;

    if (read_file(path, &text, err) == 0)
        doc = parse_document(strbuf_slice(&text), err);
    if (doc != NULL)
        snapshot = rt_snapshot_build(doc, err);
    cfg_document_free(doc);
    strbuf_clear(&text);
    if (snapshot == NULL)
        err_wrap(err, "snapshot %s", path);
    return snapshot;
}

/* ---- applying it ---- */

static void on_result(const struct px_result *result, void *data)
{
    struct proxy *proxy = data;
    char rev[24];

    snprintf(rev, sizeof(rev), "%llu", (unsigned long long)result->rev);
    if (result->is_applied) {
        log_event(LOG_INFO, "snapshot applied", "rev", rev, NULL);
        return;
    }
    log_event(LOG_ERROR, "snapshot rejected", "rev", rev, "why", result->why, NULL);
    if (px_dataplane_config(proxy->dataplane) == NULL) {
        proxy->is_rejected_first = true;
        net_worker_stop(proxy->main);
    }
}

static int apply_file(struct proxy *proxy)
{
    struct err err = ERR_INIT;
    struct cfg_snapshot *snapshot = load_snapshot(proxy->options->snapshot, &err);

    if (snapshot == NULL) {
        log_err(LOG_ERROR, "snapshot not read", &err);
        return -1;
    }
    px_dataplane_apply(proxy->dataplane, snapshot, on_result, proxy);
    return 0;
}

/* ---- signals ---- */

static void on_drained(void *data)
{
    net_worker_stop(((struct proxy *)data)->main);
}

static void on_terminate(struct proxy *proxy)
{
    const struct px_config *config = px_dataplane_config(proxy->dataplane);

    if (px_dataplane_is_draining(proxy->dataplane) || config == NULL) {
        net_worker_stop(proxy->main);
        return;
    }
    log_event(LOG_INFO, "draining", NULL);
    px_dataplane_drain(proxy->dataplane, config->snapshot->settings.drain_timeout_ms, on_drained, proxy);
}

static void on_signal(h2o_socket_t *sock, const char *why)
{
    struct proxy *proxy = sock->data;
    struct signalfd_siginfo info;

    net_worker_enter(proxy->main);
    while (read(h2o_socket_get_fd(sock), &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGHUP) {
            on_terminate(proxy);
            continue;
        }
        px_dataplane_reopen_logs(proxy->dataplane);
        if (proxy->options->snapshot != NULL)
            (void)apply_file(proxy); /* reported; the old one stays */
    }
}

static void watch_signals(struct proxy *proxy)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        abort(); /* cannot fail but for lack of everything */
    proxy->signals = h2o_evloop_socket_create(proxy->main->loop, fd, 0);
    proxy->signals->data = proxy;
    h2o_socket_dont_read(proxy->signals, 1);
    h2o_socket_read_start(proxy->signals, on_signal);
}

/* ---- start and end ---- */

static int start_admin(struct proxy *proxy)
{
    struct err err = ERR_INIT;

    if (strcmp(proxy->options->admin, "off") == 0)
        return 0;
    proxy->admin = px_admin_start(proxy->main, proxy->dataplane, proxy->options->admin, &err);
    if (proxy->admin != NULL)
        return 0;
    log_err(LOG_ERROR, "--admin", &err);
    return -1;
}

static const char *state_path(const struct gateway_options *options, const char *name)
{
    struct strbuf path = STRBUF_INIT;
    strbuf_addf(&path, "%s/%s", options->data_dir, name);
    return strbuf_take(&path); /* for the life of the process */
}

static int make_folder(const char *path)
{
    struct err err = ERR_INIT;
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    err_errno(&err, "folder %s", path);
    log_err(LOG_ERROR, "--data", &err);
    return -1;
}

/* The control process beside us by its socket, or another box's after joining it. */
static int start_link(struct proxy *proxy)
{
    struct err err = ERR_INIT;
    const struct gateway_options *options = proxy->options;
    const char *dir = state_path(options, "proxy");
    struct node_config_stream_config stream = {
        .url = "http://local", .node = options->node, .role = "gateway", .cache_dir = dir, .version = SELVEDGE_VERSION};
    if (make_folder(options->data_dir) != 0 || make_folder(dir) != 0)
        return -1;
    if (options->control == NULL) {
        stream.unix_path = state_path(options, "node.sock");
    } else {
        struct enroll_config enrolment = {options->control, options->control_ca, options->token, options->node, dir};
        if (enroll(&enrolment, &err) != 0) {
            log_err(LOG_ERROR, "this node could not join", &err);
            return -1;
        }
        stream.url = options->control;
        stream.ca_file = state_path(options, "proxy/ca.crt");
        stream.cert_file = state_path(options, "proxy/node.crt");
        stream.key_file = state_path(options, "proxy/node.key");
        proxy->renewal = enroll_renewal_start(&enrolment);
    }
    proxy->link = node_link_start(proxy->main, proxy->dataplane, &stream, &err);
    if (proxy->link == NULL)
        log_err(LOG_ERROR, "config stream", &err);
    return proxy->link != NULL ? 0 : -1;
}

static int serve(struct proxy *proxy)
{
    if (start_admin(proxy) != 0)
        return 1;
    if ((proxy->options->snapshot != NULL ? apply_file : start_link)(proxy) != 0)
        return 1;
    net_worker_run(proxy->main);
    return proxy->is_rejected_first ? 1 : 0;
}

/* Buffers may hold a quarter of the machine's memory before new requests are refused, a third before connections are. */
static void set_memory_limits(struct px_options *px)
{
    size_t bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);

    px->mem_soft = bytes / 4;
    px->mem_hard = bytes / 3;
}

int proxy_main(const struct gateway_options *options)
{
    struct proxy proxy = {.options = options};
    struct px_options px = {.num_workers = options->workers};
    int ret;

    log_init("gateway-proxy", options->log_level);
    net_raise_descriptor_limit();
    set_memory_limits(&px);
    proxy.main = net_worker_new(0, 0, 0);
    watch_signals(&proxy); /* before any thread: they inherit the mask */
    sandbox_enter();
    proxy.dataplane = px_dataplane_new(proxy.main, &px);
    ret = serve(&proxy);
    proxy.link = node_link_stop(proxy.link);
    proxy.renewal = enroll_renewal_stop(proxy.renewal);
    proxy.admin = px_admin_stop(proxy.admin);
    proxy.dataplane = px_dataplane_free(proxy.dataplane);
    net_resolver_stop();
    net_jobs_stop();
    h2o_socket_close(proxy.signals);
    net_worker_free(proxy.main);
    return ret;
}

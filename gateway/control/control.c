/* Composition, start and stop of the control process.
 *
 * Start: store (migrate, check), cache, authority, access, first objects, distributor, activation, API. Nothing is served
 * before all of it is there. Stop: API stops taking calls, streams get goaway, jobs end, the store commits what is queued. */
#include "gateway/control/control.h"

#include "core/base/clock.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/net/tls_context.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STOP_GRACE_MS = 3000, RENEW_CHECK_MS = 3600 * 1000 };

static char *path_in(const struct ctl_control *control, const char *name)
{
    struct strbuf path = STRBUF_INIT;
    strbuf_addf(&path, "%s/%s", control->config.data_dir, name);
    return strbuf_take(&path);
}

/* ---------- the API's certificate ---------- */

static int make_tls(struct ctl_control *control, struct err *err)
{
    char host[256] = "";
    const char *names[40];
    size_t num = 0;
    _cleanup_(freep) char *cert = NULL;
    _cleanup_(freep) char *key = NULL;
    (void)gethostname(host, sizeof(host) - 1); /* an empty name is left out */
    names[num++] = "localhost";
    names[num++] = "127.0.0.1";
    names[num++] = "::1";
    if (host[0] != '\0' && strcmp(host, "localhost") != 0)
        names[num++] = host;
    if (strcmp(control->config.api_address, "0.0.0.0") != 0 && strcmp(control->config.api_address, "::") != 0)
        names[num++] = control->config.api_address;
    for (size_t i = 0; i < control->config.num_api_names && num < ARRAY_LEN(names); ++i)
        names[num++] = control->config.api_names[i];
    if (ctl_ca_issue_server(control->ca, names, num, &cert, &key, err) != 0)
        return -1;
    struct net_tls_pair pair = {slice_of(cert), slice_of(key), "the API's certificate"};
    struct net_tls_host any = {"", &pair, 1};
    struct net_tls_server_config config = {.name = "control-api", .hosts = &any, .num_hosts = 1};
    config.client_ca_pem = ctl_ca_bundle(control->ca);
    config.client_cert_optional = true;
    config.spiffe_trust_domain = ctl_ca_trust_domain(control->ca);
    struct net_tls_server *tls = net_tls_server_new(&config, err);
    if (tls == NULL)
        return -1;
    if (control->tls != NULL)
        net_tls_server_unref(control->tls);
    control->tls = tls;
    return 0;
}

/* The certificate lives 90 days and is made anew every day the process runs: hourly ticks, one in 24 acts. */
static void on_renew(struct timer *timer)
{
    struct ctl_control *control = CONTAINER_OF(timer, struct ctl_control, renew_timer);
    struct err err = ERR_INIT;
    static unsigned ticks;
    if (++ticks % 24 == 0) {
        if (make_tls(control, &err) == 0)
            ctl_server_set_tls(control->server, control->tls);
        else
            log_err(LOG_WARN, "the API's certificate was not renewed", &err);
    }
    timer_start(&control->worker->timers, timer, net_now_ms(control->worker) + RENEW_CHECK_MS);
}

/* ---------- first objects ---------- */

struct first_write {
    const char *kind, *name, *object;
};

static const struct first_write first_objects[] = {
    {"/namespaces", "default", "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"default\"},\"status\":{\"phase\":\"Active\"}}"},
    {"gateway.networking.k8s.io/gatewayclasses", "selvedge",
     "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"GatewayClass\",\"metadata\":{\"name\":\"selvedge\"},"
     "\"spec\":{\"controllerName\":\"selvedge.dev/gateway\",\"description\":\"Gateways served by Selvedge\"}}"},
    {"selvedge.dev/meshconfigs", "default",
     "{\"apiVersion\":\"selvedge.dev/v1alpha1\",\"kind\":\"MeshConfig\",\"metadata\":{\"name\":\"default\"},\"spec\":{}}"},
};

/* What a new database begins with; what users deleted later stays deleted. */
static int write_first_objects(struct ctl_control *control, struct err *err)
{
    struct ctl_write writes[ARRAY_LEN(first_objects)] = {{0}};
    if (ctl_store_head(control->store) != 0)
        return 0;
    _cleanup_(arena_freep) struct arena *arena = arena_new(0);
    for (size_t i = 0; i < ARRAY_LEN(first_objects); ++i) {
        struct strbuf text = STRBUF_INIT;
        struct json *object = json_parse(arena, slice_of(first_objects[i].object), err);
        if (object == NULL)
            return -1;
        ctl_object_stamp(arena, object, clock_wall_us());
        json_write(&text, object);
        writes[i].op = CTL_PUT;
        writes[i].key = (struct ctl_key){slice_of(first_objects[i].kind), SLICE(""), slice_of(first_objects[i].name)};
        writes[i].object = arena_slice(arena, strbuf_slice(&text));
        strbuf_clear(&text);
    }
    struct ctl_txn txn = {.writes = writes, .num_writes = ARRAY_LEN(writes), .message = SLICE("first start")};
    txn.actor = SLICE("system:setup");
    txn.origin = SLICE("control");
    if (ctl_store_write(control->store, &txn) == 0)
        return 0;
    *err = txn.err;
    return -1;
}

static int write_bootstrap_files(struct ctl_control *control, struct err *err)
{
    _cleanup_(freep) char *bundle_path = path_in(control, "ca.crt");
    _cleanup_(freep) char *token_path = path_in(control, "admin.token");
    if (file_write_atomic(bundle_path, ctl_ca_bundle(control->ca), 0644, err) != 0)
        return -1;
    struct err token_err = ERR_INIT;
    _cleanup_(freep) char *token = ctl_access_bootstrap(control->access, &token_err);
    if (token_err.code != ERR_NONE) {
        *err = token_err;
        return -1;
    }
    if (token == NULL)
        return 0;
    log_event(LOG_INFO, "first start: an administrator's token was written", "file", token_path, NULL);
    return file_write_atomic(token_path, slice_of(token), 0600, err);
}

/* ---------- start ---------- */

/* The distributor tells of nodes before and after statuses depend on it: both hear of it. */
static void on_node(void *data, const struct ctl_node_view *node)
{
    struct ctl_control *control = data;
    if (control->nodes != NULL)
        ctl_nodes_on_node(control->nodes, node);
    if (control->activation != NULL)
        ctl_activation_touch(control->activation);
}

static int open_store(struct ctl_control *control, struct err *err)
{
    _cleanup_(freep) char *path = path_in(control, "control.db");
    if (mkdir(control->config.data_dir, 0700) != 0 && access(control->config.data_dir, W_OK) != 0)
        return err_errno(err, "data directory %s", control->config.data_dir);
    struct ctl_store_config config = {.path = path, .on_commit = ctl_cache_on_commit, .data = control->cache};
    config.min_needed_rev = ctl_cache_min_needed_rev;
    config.keep_audit_days = control->config.audit_days;
    control->store = ctl_store_open(&config, err);
    if (control->store == NULL)
        return -1;
    if (ctl_cache_load(control->cache, control->store, err) != 0)
        return err_wrap(err, "read the objects");
    return write_first_objects(control, err);
}

static int open_identity(struct ctl_control *control, struct err *err)
{
    control->ca = ctl_ca_open(control->store, control->config.trust_domain, err);
    if (control->ca == NULL)
        return err_wrap(err, "certificate authority");
    control->access = ctl_access_open(control->worker, control->store, err);
    if (control->access == NULL)
        return err_wrap(err, "access");
    return write_bootstrap_files(control, err);
}

static int open_api(struct ctl_control *control, struct err *err)
{
    _cleanup_(freep) char *socket_path = path_in(control, "control.sock");
    _cleanup_(freep) char *node_path = path_in(control, "node.sock");
    _cleanup_(freep) char *port_path = path_in(control, "api.port");
    struct ctl_server_config config = {.worker = control->worker, .control = control, .begin = ctl_api_begin, .dispatch = ctl_api_dispatch};
    char port[8];
    control->server = ctl_server_new(&config);
    if (ctl_server_listen_unix(control->server, socket_path, 0600, CTL_PEER_UNIX, err) != 0 ||
        ctl_server_listen_unix(control->server, node_path, control->config.node_socket_mode, CTL_PEER_LOCAL, err) != 0)
        return -1;
    if (chown(node_path, (uid_t)-1, control->config.node_socket_group) != 0)
        return err_errno(err, "give %s to the proxy", node_path);
    if (control->config.api_address == NULL)
        return 0;
    if (make_tls(control, err) != 0 ||
        ctl_server_listen_tls(control->server, control->config.api_address, control->config.api_port, control->tls, &control->api_port, err) != 0)
        return -1;
    snprintf(port, sizeof(port), "%u", (unsigned)control->api_port);
    timer_init(&control->renew_timer, on_renew);
    timer_start(&control->worker->timers, &control->renew_timer, net_now_ms(control->worker) + RENEW_CHECK_MS);
    return file_write_atomic(port_path, slice_of(port), 0644, err);
}

static int start(struct ctl_control *control, struct err *err)
{
    control->started_us = clock_wall_us();
    control->worker = net_worker_new(0, 0, 0);
    control->cache = ctl_cache_new(control->worker, 0);
    timer_init(&control->renew_timer, on_renew);
    if (open_store(control, err) != 0 || open_identity(control, err) != 0)
        return -1;
    struct ctl_distributor_config distributor = {control->worker, ctl_store_epoch(control->store), on_node, control};
    control->distributor = ctl_distributor_new(&distributor);
    struct ctl_nodes_config nodes = {control->worker, control->store, control->cache, control->distributor, control->ca};
    control->nodes = ctl_nodes_new(&nodes);
    control->activation = ctl_activation_new(control->worker, control->store, control->cache, control->distributor);
    return open_api(control, err);
}

/* ---------- stop ---------- */

static void turn_until_idle(struct ctl_control *control)
{
    uint64_t until = clock_mono_ms() + STOP_GRACE_MS;
    while (!ctl_server_is_idle(control->server) && clock_mono_ms() < until)
        net_worker_turn(control->worker, 20);
}

/* Whatever sends to the worker ends before what its messages touch: jobs, then activation and streams, then the store. */
static void finish(struct ctl_control *control)
{
    control->is_stopping = true;
    if (control->server != NULL)
        ctl_server_stop(control->server);
    timer_stop(&control->renew_timer);
    if (control->activation != NULL)
        ctl_activation_stop(control->activation);
    net_jobs_stop();
    net_worker_turn(control->worker, 0);
    struct ctl_activation *activation = control->activation;
    control->activation = NULL; /* ending streams tells of nodes; nothing is to be compiled for it */
    ctl_activation_free(activation);
    control->distributor = ctl_distributor_free(control->distributor);
    control->nodes = ctl_nodes_free(control->nodes);
    if (control->server != NULL) {
        turn_until_idle(control);
        ctl_server_close_conns(control->server);
        turn_until_idle(control);
    }
    control->access = ctl_access_free(control->access);
    control->store = ctl_store_close(control->store);
    net_worker_turn(control->worker, 0);
    control->server = ctl_server_free(control->server);
    control->cache = ctl_cache_free(control->cache);
    control->ca = ctl_ca_free(control->ca);
    if (control->tls != NULL)
        net_tls_server_unref(control->tls);
    control->worker = net_worker_free(control->worker);
}

int ctl_control_run(const struct ctl_control_config *config, void (*on_ready)(struct ctl_control *control), struct err *err)
{
    struct ctl_control control = {.config = *config};
    int status = start(&control, err);
    if (status == 0) {
        if (on_ready != NULL)
            on_ready(&control);
        net_worker_run(control.worker);
    }
    finish(&control);
    return status;
}

void ctl_control_stop(struct ctl_control *control)
{
    net_worker_stop(control->worker);
}

/* Options -> control process; SIGTERM and SIGINT stop it. Signals are waited for by a thread of their own, because nothing
 * of a worker may be touched from a handler. */
#include "gateway/control_main.h"

#include "core/net/listen.h"
#include "gateway/control/control.h"
#include "gateway/sandbox.h"

#include <malloc.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void *wait_for_stop(void *data)
{
    sigset_t signals;
    int number;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    (void)sigwait(&signals, &number); /* fails only for an invalid set */
    ctl_control_stop(data);
    return NULL;
}

static void on_ready(struct ctl_control *control)
{
    pthread_t thread;
    char port[8];
    snprintf(port, sizeof(port), "%u", (unsigned)control->api_port);
    log_event(LOG_INFO, "control API is served", "address", control->config.api_address != NULL ? control->config.api_address : "off", "port", port,
              "data", control->config.data_dir, NULL);
    if (pthread_create(&thread, NULL, wait_for_stop, control) == 0)
        pthread_detach(thread);
}

/* The supervisor has made this process a member, so that it may give node.sock to it; else it stays its own. */
static gid_t group_of_proxy(const char *user)
{
    const struct passwd *entry = getpwnam(user);
    return entry != NULL && group_member(entry->pw_gid) ? entry->pw_gid : (gid_t)-1;
}

int control_main(const struct gateway_options *options)
{
    struct err err = ERR_INIT;
    struct slice host = {NULL, 0};
    uint16_t port = 0;
    sigset_t signals;
    log_init("gateway-control", options->log_level);
    if (strcmp(options->api, "off") != 0 && net_parse_endpoint(options->api, &host, &port, &err) != 0) {
        log_err(LOG_ERROR, "--api", &err);
        return 2;
    }
    _cleanup_(freep) char *address = strcmp(options->api, "off") != 0 ? xstrndup(host.len != 0 ? host.base : "0.0.0.0", host.len != 0 ? host.len : 7) : NULL;
    struct ctl_control_config config = {.data_dir = options->data_dir,
                                        .trust_domain = options->trust_domain,
                                        .api_address = address,
                                        .api_port = port,
                                        .api_names = options->api_names,
                                        .num_api_names = options->num_api_names,
                                        .audit_days = options->audit_days,
                                        .node_socket_mode = 0660,
                                        .node_socket_group = group_of_proxy(options->user_proxy)};
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* before any thread, so that all inherit it */
    /* Compiling takes tens of megabytes for moments: above this size memory goes back to the system when it is freed. */
    (void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    (void)mallopt(M_ARENA_MAX, 2); /* both are advice */
    net_raise_descriptor_limit();
    sandbox_enter();
    if (ctl_control_run(&config, on_ready, &err) != 0) {
        log_err(LOG_ERROR, "the control process cannot start", &err);
        return 1;
    }
    log_event(LOG_INFO, "control process ended", NULL);
    return 0;
}

/* The gateway's command line: one set of options for the supervisor and its two children.
 *
 * Environment: each option also as SELVEDGE_NAME (dashes as underscores); the command line wins. */
#ifndef SELVEDGE_GATEWAY_OPTIONS_H
#define SELVEDGE_GATEWAY_OPTIONS_H

#include "core/base/log.h"

enum gateway_role { GATEWAY_SUPERVISOR, GATEWAY_CONTROL, GATEWAY_PROXY, GATEWAY_CHECK, GATEWAY_RESTORE };

struct gateway_options {
    enum gateway_role role;
    const char *data_dir;      /* "/var/lib/selvedge" */
    const char *api;           /* "127.0.0.1:7443", or "off" */
    const char *admin;         /* "127.0.0.1:7480", or "off" */
    const char *api_names[16]; /* --api-name, repeatable */
    size_t num_api_names;
    const char *trust_domain;  /* "selvedge.local" */
    const char *control;       /* URL of another box's control API: pure proxy */
    const char *token;         /* join token, with --control; or @FILE */
    const char *control_ca;    /* trust bundle for --control: FILE */
    const char *node;          /* this node's name; "local" beside its own control, else the host's name */
    const char *snapshot;      /* a compiled document to serve instead of joining anything */
    const char *user_control, *user_proxy;
    const char *file;          /* check, restore: the database or backup; NULL: none given */
    unsigned workers;          /* 0: one per processor */
    unsigned audit_days;       /* how long the audit log is kept: 400 */
    enum log_level log_level;
};

/* Returns 0; 1 when --help or --version was answered (exit 0); -1 with a message in `err` (exit 2). */
int gateway_options_parse(int argc, char **argv, struct gateway_options *options, struct err *err);

#endif

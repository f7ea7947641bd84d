/* The admin port of a proxy process: /metrics, /healthz, /readyz, /config, /clusters. Plain HTTP, meant for loopback or a
 * network of its own; it answers on the main thread, so it works when every worker is busy or out of connections. */
#ifndef SELVEDGE_PROXY_ADMIN_H
#define SELVEDGE_PROXY_ADMIN_H

#include "core/proxy/dataplane.h"

struct px_admin;

/* `where`: "127.0.0.1:9901", ":9901", "unix:/path". NULL on error. */
struct px_admin *px_admin_start(struct net_worker *main, struct px_dataplane *dataplane, const char *where, struct err *err);
/* Before px_dataplane_free(). Turns main's loop until its connections are gone. NULL is fine; returns NULL. */
struct px_admin *px_admin_stop(struct px_admin *admin);

#endif

/* Active health checks: HTTP, gRPC (grpc.health.v1) and TCP, made on the main loop, told to the workers when they change
 * something.
 *
 * An endpoint is taken for healthy until `unhealthy_threshold` checks in a row failed, and again after
 * `healthy_threshold` that did not. Checks use connections of their own and never appear in traffic statistics; intervals
 * get 10 % jitter, first checks are spread over a second.
 * Threads: main's. */
#ifndef SELVEDGE_PROXY_HEALTH_H
#define SELVEDGE_PROXY_HEALTH_H

#include "core/proxy/config.h"

struct px_health;

/* The verdict about one endpoint changed. */
typedef void (*px_health_cb)(void *data, struct slice cluster, struct slice endpoint_key, bool is_healthy);

struct px_health *px_health_new(struct net_worker *main, px_health_cb on_change, void *data);
struct px_health *px_health_free(struct px_health *health); /* NULL is fine; returns NULL */
/* Endpoints that stay keep their verdict. After it, on_change has been called for every endpoint that is unhealthy, so
 * that workers that just made it anew know. Takes a reference of its own. */
void px_health_configure(struct px_health *health, struct px_config *config);

/* The streak of results as a pure step: true when the verdict changed. */
struct px_health_streak {
    bool is_healthy;
    uint32_t num; /* results in a row against the verdict */
};
bool px_health_step(struct px_health_streak *streak, bool is_good, uint32_t unhealthy_threshold, uint32_t healthy_threshold);

#endif

/* Activation: every committed change is compiled as a whole and handed to the distributor; what the compiler says about
 * the objects goes back into the store as their status.
 *
 * Compiling runs off the loop, one at a time, 20 ms after the last change and at most 200 ms after the first; what came
 * meanwhile is compiled next. Writes of status do not cause a compile.
 *
 * Threads: the control worker's. Ownership: cache, store and distributor are borrowed and outlive it. */
#ifndef SELVEDGE_CONTROL_ACTIVATION_H
#define SELVEDGE_CONTROL_ACTIVATION_H

#include "gateway/control/cache.h"
#include "gateway/control/distributor.h"

struct ctl_activation;

struct ctl_activation *ctl_activation_new(struct net_worker *worker, struct ctl_store *store, struct ctl_cache *cache,
                                          struct ctl_distributor *distributor);
/* No compile begins from here on; one that runs is published still. Before jobs are stopped: a job submitted later would
 * start the pool anew. */
void ctl_activation_stop(struct ctl_activation *activation);
/* After the worker has left its loop and jobs and store are stopped. NULL is fine; returns NULL. */
struct ctl_activation *ctl_activation_free(struct ctl_activation *activation);
/* Nodes said something. Compiles again if what statuses tell of them (what gateways run, where they failed) is another than
 * at the last compile. */
void ctl_activation_touch(struct ctl_activation *activation);
/* The newest revision that has been compiled and published. */
uint64_t ctl_activation_rev(const struct ctl_activation *activation);
/* Nothing waits or runs: every change of configuration so far is in ctl_activation_rev() or its error. */
bool ctl_activation_is_idle(const struct ctl_activation *activation);
/* The last compile's error, "" when it went well. */
const char *ctl_activation_error(const struct ctl_activation *activation);

#endif

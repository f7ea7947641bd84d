/* The compiler: all objects at one revision -> what the gateways run, and what each object is told about itself.
 *
 * Pure and deterministic: the same view, applied document and failures give the same bytes (times aside, which are an
 * argument). It reports everything it finds; an object that is wrong takes down only its own part: a route with a missing
 * backend still serves its other backends, a listener without a usable certificate is left out alone.
 *
 * Rules are Gateway API's: attachment (allowedRoutes, section names, host name intersection), ReferenceGrants,
 * conflicts settled by age then name, conditions and reasons by their names.
 *
 * Threads: any; off the loop. Ownership: the result owns everything in it and keeps references to the view's objects. */
#ifndef SELVEDGE_CONTROL_COMPILER_H
#define SELVEDGE_CONTROL_COMPILER_H

#include "core/model/snapshot.h"
#include "gateway/control/cache.h"

/* A listener that a node could not open: "0.0.0.0:80" and why. */
struct ctl_listener_failure {
    struct slice listener, text;
};

/* What a compile found out about each route, for the next one: a route that is still the same object is not read again as
 * long as nothing else it looks at has changed. Immutable; the result is the same with and without it. */
struct ctl_memo;

struct ctl_compile_options {
    uint64_t epoch;
    /* The newest revision that wrote anything, statuses aside, for which ctl_compile_is_apart() is false. */
    uint64_t others_rev;
    const struct ctl_memo *memo; /* of a compile before; NULL: none. Borrowed */
    int64_t now_us; /* lastTransitionTime of conditions that change */
    /* What gateways run and where they failed, for the Programmed condition. NULL: nothing applied yet. */
    const struct cfg_document *applied;
    const struct ctl_listener_failure *failures;
    size_t num_failures;
};

/* A new status for an object whose status differs from it. */
struct ctl_status {
    struct ctl_object *object; /* owned reference */
    struct json *status;
};

struct ctl_compiled {
    struct arena *arena;
    uint64_t rev;
    struct cfg_document *document; /* for gateway nodes */
    struct ctl_status *statuses;   /* only those that change */
    size_t num_statuses, cap_statuses;
    struct ctl_memo *memo; /* owned; whoever wants it takes it and leaves NULL */
};

/* Objects of this kind ("group/plural") change nothing about other routes than themselves. */
bool ctl_compile_is_apart(struct slice kind);
struct ctl_memo *ctl_memo_free(struct ctl_memo *memo); /* any thread; NULL is fine; returns NULL */

/* NULL only when the result would contradict itself (ERR_INTERNAL). */
struct ctl_compiled *ctl_compile(const struct ctl_view *view, const struct ctl_compile_options *options, struct err *err);
struct ctl_compiled *ctl_compiled_free(struct ctl_compiled *compiled); /* NULL is fine; returns NULL */

#endif

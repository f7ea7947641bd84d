/* A proxy's own identity towards another box's control API: joining once with a token, then renewing at half life.
 *
 * Files in `dir` (0700): node.key (0600, never leaves the host), node.crt, ca.crt.
 * Threads: enroll() blocks, at start; the renewal has a thread of its own. */
#ifndef SELVEDGE_GATEWAY_ENROLL_H
#define SELVEDGE_GATEWAY_ENROLL_H

#include "core/base/err.h"

struct enroll_config {
    const char *url;      /* "https://control:7443" */
    const char *ca_file;  /* trust bundle to join with; NULL: only if one is in `dir` already */
    const char *token;    /* needed when not yet joined; "@FILE" reads it */
    const char *node, *dir;
};

/* Joins if there is no certificate that is valid still. 0 when there is one afterwards. */
int enroll(const struct enroll_config *config, struct err *err);

struct enroll_renewal;
/* Renews at half of the certificate's life (± 5 %), retries with jitter, warns in the log from then on. */
struct enroll_renewal *enroll_renewal_start(const struct enroll_config *config);
struct enroll_renewal *enroll_renewal_stop(struct enroll_renewal *renewal); /* NULL is fine; returns NULL */

#endif

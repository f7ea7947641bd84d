/* Whose the folders below --data are, when the children have users of their own.
 *
 * A service manager makes --data for root, and so does a first start before the users exist; the children could not write
 * then. Control owns --data, the proxy owns --data/proxy and may pass through --data, but not list it. Only what belongs to
 * root is given away: what another user has put there stays, and is told.
 *
 * Threads: the supervisor's, before its children. */
#ifndef SELVEDGE_GATEWAY_STATE_DIR_H
#define SELVEDGE_GATEWAY_STATE_DIR_H

#include "gateway/options.h"

/* Nothing to do unless running as root with at least one of the users present. */
int state_dir_prepare(const struct gateway_options *options, bool has_control, struct err *err);

#endif

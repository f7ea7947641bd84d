/* `selvedge-gateway proxy`: the proxy process. Returns the exit status.
 *
 * SIGTERM and SIGINT drain, a second one ends at once; SIGHUP opens the access log anew and reads the snapshot file again. */
#ifndef SELVEDGE_GATEWAY_PROXY_MAIN_H
#define SELVEDGE_GATEWAY_PROXY_MAIN_H

#include "gateway/options.h"

int proxy_main(const struct gateway_options *options);

#endif

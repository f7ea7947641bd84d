/* `selvedge-gateway control`: the control process. Returns the exit status. */
#ifndef SELVEDGE_GATEWAY_CONTROL_MAIN_H
#define SELVEDGE_GATEWAY_CONTROL_MAIN_H

#include "gateway/options.h"

int control_main(const struct gateway_options *options);

#endif

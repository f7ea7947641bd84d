/* Why the proxy itself answered or ended a request: the rows of fail.def. Every response that did not come from an
 * upstream has exactly one, in access log, metric and (for trusted callers) the header x-selvedge-cause. */
#ifndef SELVEDGE_PROXY_FAIL_H
#define SELVEDGE_PROXY_FAIL_H

#include "core/http/http.h"

enum px_fail {
    PX_FAIL_NONE,
#define X(symbol, status, label, grpc, retry_after, text) PX_FAIL_##symbol,
#include "core/proxy/fail.def"
#undef X
    PX_NUM_FAILS
};

struct px_fail_info {
    unsigned status;
    const char *label;
    unsigned grpc_status;
    unsigned retry_after_s; /* 0: no Retry-After */
    const char *text;
};

const struct px_fail_info *px_fail_info(enum px_fail fail);
/* What an upstream's failure is called when no retry follows. */
enum px_fail px_fail_of_call(enum ht_fail fail);
/* What the end of an exchange is called when it did not end well; NONE for HT_CLOSE_DONE and HT_CLOSE_ABORTED. */
enum px_fail px_fail_of_close(enum ht_close why);

#endif

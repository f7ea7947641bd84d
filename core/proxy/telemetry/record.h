/* What remains of a request: its counters and its line in the access log. */
#ifndef SELVEDGE_PROXY_RECORD_H
#define SELVEDGE_PROXY_RECORD_H

#include "core/proxy/listener.h"
#include "core/proxy/request.h"

/* When it is over, whatever became of it. */
void px_record(struct px_request *req);
/* Bytes that were no request; the engine answered `status`. */
void px_record_bad_request(struct px_worker *worker, const struct px_conn *conn, unsigned status, const char *detail,
                           struct slice head);

#endif

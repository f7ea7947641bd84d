/* Misbehaviour on request: latency and failures, by flag, at run time (POST /_knobs) or for one request
 * (headers).
 *
 * Threads: struct bk_knobs is a value; who shares one brings the lock. */
#ifndef BOOKINFO_KNOBS_H
#define BOOKINFO_KNOBS_H

#include "core/base/err.h"
#include "core/base/strbuf.h"

enum { BK_DELAY_MAX_MS = 60000, BK_USER_MAX = 32 };

struct bk_knobs {
    unsigned delay_ms;
    unsigned fail_percent; /* of the requests, 0 to 100 */
    unsigned status; /* what the failing ones get; 0 resets the connection */
    char user[BK_USER_MAX + 1]; /* only this end-user is troubled; "" is everybody */
};

/* Which failure statuses a service knows: HTTP statuses, or gRPC codes. */
struct bk_status_range {
    unsigned min, max, usual;
};

/* What is to happen to one request. */
struct bk_fault {
    unsigned delay_ms;
    bool is_failing;
    unsigned status;
};

/* `header_delay` (x-delay-ms) and `header_fail` (x-fail) are lists of `[SERVICE=]NUMBER`; a name aims past
 * this service at another. `dice` is a random number. What is out of range is ignored. */
struct bk_fault bk_knobs_decide(const struct bk_knobs *knobs, const struct bk_status_range *range,
                                const char *service, struct slice user, struct slice header_delay,
                                struct slice header_fail, unsigned dice);
/* Members present in the JSON object replace those of `knobs`; on error nothing changes. */
int bk_knobs_merge(struct bk_knobs *knobs, const struct bk_status_range *range, struct slice json,
                   struct err *err);
void bk_knobs_write(const struct bk_knobs *knobs, struct strbuf *out);
/* 1 to 32 of letters, digits, dot, dash, underscore. */
bool bk_user_is_valid(struct slice user);

#endif

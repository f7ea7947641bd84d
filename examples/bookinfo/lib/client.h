/* Calls to other services: HTTP/1.1 over kept connections, whole requests and whole answers.
 *
 * Threads:   any number may call one target.
 * Ownership: bk_target_new() .. bk_target_free().
 * Limits:    32 idle connections a target, kept for 4 s. */
#ifndef BOOKINFO_CLIENT_H
#define BOOKINFO_CLIENT_H

#include "examples/bookinfo/lib/http.h"

struct bk_target;

/* `url` is http://HOST[:PORT][/base]. With `via` (HOST:PORT) every connection goes there instead, while the
 * Host field still names the URL's: so do services call each other through a gateway without DNS. NULL or ""
 * goes straight. */
struct bk_target *bk_target_new(const char *url, const char *via, struct err *err);
struct bk_target *bk_target_free(struct bk_target *target);
const char *bk_target_authority(const struct bk_target *target);

/* One exchange within `timeout_ms`. `headers` are whole lines, each with its CRLF. A connection that was kept
 * too long and closes before a byte of answer is replaced, once. ERR_TIMEOUT, or another code with its
 * reason. */
int bk_target_call(struct bk_target *target, const char *method, const char *path, struct slice headers,
                   struct slice body, unsigned timeout_ms, struct bk_message *ret, struct err *err);

#endif

/* The programs' own log (not the access log): one JSON line an event on standard error.
 *
 * {"ts":"…","level":"warn","program":"gateway-proxy","msg":"…",…fields}
 * Threads: any; a line is written with one write(2). Libraries return errors; main-level code logs.
 * Secrets never go into a log line. */
#ifndef SELVEDGE_BASE_LOG_H
#define SELVEDGE_BASE_LOG_H

#include "core/base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Once, at start. `program` is borrowed for ever. */
void log_init(const char *program, enum log_level level);
int log_parse_level(const char *name, enum log_level *ret);
bool log_is_on(enum log_level level);

/* Fields are pairs of (name, text) closed by NULL: log_event(LOG_WARN, "node rejected", "node", id, "why", text, NULL). */
void log_event(enum log_level level, const char *msg, ...) __attribute__((sentinel));
void log_err(enum log_level level, const char *msg, const struct err *err);

#endif

/* The access log: JSON lines to a file or to standard output, written by a thread of its own.
 *
 * Each worker fills a buffer; when it is 32 KiB, or a second old, it is handed to the writer, so the loop never waits for
 * a disk. When the writer falls behind by more than 4 MiB whole buffers are dropped and counted: a slow disk must not
 * slow requests.
 * Threads: buffers belong to their workers; open, reopen and close on the main thread.
 * Rotation: rename the file, then px_access_log_reopen() (SIGHUP). */
#ifndef SELVEDGE_PROXY_ACCESS_LOG_H
#define SELVEDGE_PROXY_ACCESS_LOG_H

#include "core/base/metrics.h"
#include "core/net/worker.h"

struct px_access_log;        /* the writer */
struct px_access_log_buffer; /* of one worker */

struct px_access_log *px_access_log_new(void);
struct px_access_log *px_access_log_free(struct px_access_log *log); /* writes what it was handed; NULL is fine */
void px_access_log_reopen(struct px_access_log *log);

/* `dropped` counts lines lost; borrowed. */
struct px_access_log_buffer *px_access_log_buffer_new(struct px_access_log *log, struct net_worker *worker,
                                                      struct metric *dropped);
struct px_access_log_buffer *px_access_log_buffer_free(struct px_access_log_buffer *buffer); /* hands over; returns NULL */
/* "stdout", "off" (or empty), or a path; any thread may open it first. Idempotent. */
void px_access_log_configure(struct px_access_log_buffer *buffer, struct slice target);
bool px_access_log_is_on(const struct px_access_log_buffer *buffer);
/* Where to write one line (complete, with its newline), then tell that it is there. */
struct strbuf *px_access_log_line(struct px_access_log_buffer *buffer);
void px_access_log_commit(struct px_access_log_buffer *buffer);
void px_access_log_flush(struct px_access_log_buffer *buffer);

#endif

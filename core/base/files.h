/* Whole files: read with a ceiling, replaced so that a crash leaves the old or the new one.
 *
 * Blocking; not for a worker's loop. Threads: any. */
#ifndef SELVEDGE_BASE_FILES_H
#define SELVEDGE_BASE_FILES_H

#include "core/base/err.h"
#include "core/base/strbuf.h"

#include <sys/types.h>

/* Appends the file to `out`; on error nothing is appended. More than `max_len` bytes are ERR_TOO_LARGE. */
int file_read(const char *path, size_t max_len, struct strbuf *out, struct err *err);

/* Writes a new file beside `path`, syncs it, gives it exactly `mode`, renames it over `path` and syncs the
 * folder: when 0 is returned the new content survives power loss. On error `path` is as it was, except when syncing the folder fails: then
 * the new content is there, but may not be after power loss. */
int file_write_atomic(const char *path, struct slice bytes, mode_t mode, struct err *err);

#endif

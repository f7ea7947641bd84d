/* base64 (RFC 4648 §4) of binary fields: strict reading, with padding, nothing else between. */
#ifndef SELVEDGE_MODEL_BYTES_H
#define SELVEDGE_MODEL_BYTES_H

#include "core/base/strbuf.h"

#include <sys/types.h>

/* At most len / 4 * 3 bytes to `out`; -1 when it is not base64. */
ssize_t bytes_from_base64(struct slice text, char *out);
void bytes_to_base64(struct strbuf *out, struct slice bytes);

#endif

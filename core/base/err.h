/* Errors as values: a code, and a text that says what failed and where.
 *
 * Functions that can fail take `struct err *err` last and return 0 or -1 (or NULL). On success they leave it alone.
 * Threads: no shared state. Ownership: the caller's, usually on its stack; no heap.
 * Limits: the text is cut at ERR_TEXT_MAX bytes, on a UTF-8 boundary. */
#ifndef SELVEDGE_BASE_ERR_H
#define SELVEDGE_BASE_ERR_H

#include "core/base/defs.h"

/* Each code with the HTTP status and the Kubernetes `reason` it becomes at the API. */
#define ERR_CODES(X)                                                                                         \
    X(ERR_NONE, 200, "")                                                                                     \
    X(ERR_INVALID, 422, "Invalid")                                                                           \
    X(ERR_BAD_REQUEST, 400, "BadRequest")                                                                    \
    X(ERR_UNAUTHORIZED, 401, "Unauthorized")                                                                 \
    X(ERR_FORBIDDEN, 403, "Forbidden")                                                                       \
    X(ERR_NOT_FOUND, 404, "NotFound")                                                                        \
    X(ERR_METHOD, 405, "MethodNotAllowed")                                                                   \
    X(ERR_NOT_ACCEPTABLE, 406, "NotAcceptable")                                                              \
    X(ERR_EXISTS, 409, "AlreadyExists")                                                                      \
    X(ERR_CONFLICT, 409, "Conflict")                                                                         \
    X(ERR_GONE, 410, "Expired")                                                                              \
    X(ERR_TOO_LARGE, 413, "RequestEntityTooLarge")                                                           \
    X(ERR_MEDIA_TYPE, 415, "UnsupportedMediaType")                                                           \
    X(ERR_TOO_MANY, 429, "TooManyRequests")                                                                  \
    X(ERR_INTERNAL, 500, "InternalError")                                                                    \
    X(ERR_UNAVAILABLE, 503, "ServiceUnavailable")                                                            \
    X(ERR_TIMEOUT, 504, "Timeout")                                                                           \
    X(ERR_NO_SPACE, 507, "InsufficientStorage")                                                              \
    X(ERR_IO, 500, "InternalError")

enum err_code {
#define X(name, status, reason) name,
    ERR_CODES(X)
#undef X
};

#define ERR_TEXT_MAX 1024

struct err {
    enum err_code code;
    char text[ERR_TEXT_MAX];
};

#define ERR_INIT ((struct err){.code = ERR_NONE, .text = ""})

/* Sets code and text; returns -1, so that `return err_set(err, …);` reads as one statement. `err` may be NULL. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) _printf_(3, 4);
/* Puts "context: " before the text; keeps the code; returns -1. */
int err_wrap(struct err *err, const char *fmt, ...) _printf_(2, 3);
/* As err_set, with ": strerror(errno)" appended; maps ENOSPC, ENOENT, EACCES to their codes, else ERR_IO. */
int err_errno(struct err *err, const char *fmt, ...) _printf_(2, 3);
unsigned err_status(enum err_code code);
const char *err_reason(enum err_code code);

#endif

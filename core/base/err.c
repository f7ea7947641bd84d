/* Errors as values. The text is formatted once, into the caller's struct; nothing here allocates. */
#include "core/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
    unsigned status;
    const char *reason;
} codes[] = {
#define X(name, status, reason) [name] = {status, reason},
    ERR_CODES(X)
#undef X
};

/* Cut text must not end inside a UTF-8 sequence: it goes into JSON. */
static void trim_partial_utf8(char *text)
{
    size_t len = strlen(text);
    if (len + 1 < ERR_TEXT_MAX)
        return;
    while (len > 0 && (text[len - 1] & 0xc0) == 0x80)
        --len;
    if (len > 0 && (text[len - 1] & 0xc0) == 0xc0)
        --len;
    text[len] = '\0';
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list args;
    if (err == NULL)
        return -1;
    char text[ERR_TEXT_MAX]; /* the arguments may point into err->text */
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    trim_partial_utf8(text);
    err->code = code;
    memcpy(err->text, text, strlen(text) + 1);
    return -1;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    va_list args;
    if (err == NULL)
        return -1;
    char context[ERR_TEXT_MAX];
    va_start(args, fmt);
    vsnprintf(context, sizeof(context), fmt, args);
    va_end(args);
    return err_set(err, err->code, "%s: %s", context, err->text);
}

int err_errno(struct err *err, const char *fmt, ...)
{
    int saved = errno;
    va_list args;
    char context[ERR_TEXT_MAX];
    va_start(args, fmt);
    vsnprintf(context, sizeof(context), fmt, args);
    va_end(args);
    enum err_code code = ERR_IO;
    if (saved == ENOSPC || saved == EDQUOT)
        code = ERR_NO_SPACE;
    else if (saved == ENOENT)
        code = ERR_NOT_FOUND;
    else if (saved == EACCES || saved == EPERM)
        code = ERR_FORBIDDEN;
    return err_set(err, code, "%s: %s", context, strerror(saved));
}

unsigned err_status(enum err_code code)
{
    return codes[code].status;
}

const char *err_reason(enum err_code code)
{
    return codes[code].reason;
}

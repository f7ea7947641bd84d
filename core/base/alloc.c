/* Allocation that aborts when memory is out: a half-done operation is worse than a restart. */
#include "core/base/defs.h"

#include <stdio.h>

static void *checked(void *ptr)
{
    if (ptr == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return ptr;
}

void *xmalloc(size_t size)
{
    return checked(malloc(size != 0 ? size : 1));
}

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count != 0 ? count : 1, size != 0 ? size : 1));
}

void *xrealloc(void *ptr, size_t size)
{
    return checked(realloc(ptr, size != 0 ? size : 1));
}

char *xstrdup(const char *str)
{
    return xstrndup(str, strlen(str));
}

char *xstrndup(const char *str, size_t len)
{
    char *copy = xmalloc(len + 1);
    if (len != 0)
        memcpy(copy, str, len);
    copy[len] = '\0';
    return copy;
}

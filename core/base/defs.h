/* Small helpers every file may use: lengths, cleanup attributes, compile-time facts. */
#ifndef SELVEDGE_BASE_DEFS_H
#define SELVEDGE_BASE_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline void freep(void *p)
{
    free(*(void **)p);
}

/* A borrowed run of bytes, not NUL-terminated. `{NULL, 0}` is absent; `{"", 0}` is present and empty. */
struct slice {
    const char *base;
    size_t len;
};

#define SLICE(lit) ((struct slice){(lit), sizeof(lit) - 1})

static inline struct slice slice_of(const char *str)
{
    return (struct slice){str, str != NULL ? strlen(str) : 0};
}
static inline struct slice slice_make(const char *base, size_t len)
{
    return (struct slice){base, len};
}
static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}
static inline bool slice_is(struct slice a, const char *str)
{
    return a.len == strlen(str) && memcmp(a.base, str, a.len) == 0;
}
static inline bool slice_starts(struct slice a, struct slice prefix)
{
    return a.len >= prefix.len && memcmp(a.base, prefix.base, prefix.len) == 0;
}
static inline bool slice_ends(struct slice a, struct slice suffix)
{
    return a.len >= suffix.len && memcmp(a.base + a.len - suffix.len, suffix.base, suffix.len) == 0;
}

/* Allocation that never returns NULL: out of memory aborts (everything that grows names its ceiling). */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *str);
char *xstrndup(const char *str, size_t len);

#endif

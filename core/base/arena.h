/* A bump allocator: many small allocations, one free. For parsed documents, decoded resources, built snapshots.
 *
 * Threads: one thread at a time; a finished arena may be read by many. Memory is 16-byte aligned, not zeroed.
 * Errors: out of memory aborts. Limits: none of its own; callers bound what they parse. */
#ifndef SELVEDGE_BASE_ARENA_H
#define SELVEDGE_BASE_ARENA_H

#include "core/base/defs.h"

struct arena;

/* `first_chunk` is a hint in bytes, 0 for the default (4 KiB); chunks double up to 1 MiB. */
struct arena *arena_new(size_t first_chunk);
struct arena *arena_free(struct arena *arena); /* NULL is fine; returns NULL */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_zalloc(struct arena *arena, size_t size);
void *arena_dup(struct arena *arena, const void *bytes, size_t len);
/* A NUL-terminated copy. */
char *arena_strndup(struct arena *arena, const char *str, size_t len);
char *arena_strdup(struct arena *arena, const char *str);
char *arena_printf(struct arena *arena, const char *fmt, ...) _printf_(2, 3);
struct slice arena_slice(struct arena *arena, struct slice src);
/* Bytes handed out so far. */
size_t arena_used(const struct arena *arena);

static inline void arena_freep(struct arena **arena)
{
    arena_free(*arena);
}

#endif

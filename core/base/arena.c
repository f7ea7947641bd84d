/* A bump allocator in doubling chunks. */
#include "core/base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

enum { ALIGN = 16, MIN_CHUNK = 512, DEFAULT_CHUNK = 4096, MAX_CHUNK = 1 << 20, POPULATE_MIN = 1 << 18, PAGE = 4096 };

struct chunk {
    struct chunk *next;
    size_t size;
    _Alignas(ALIGN) char bytes[];
};

struct arena {
    struct chunk *chunks; /* owned; the first is the one being filled */
    size_t at, next_size, used;
};

/* Chunks are filled to their end, and a large one comes fresh from the kernel: faulting its pages in together
 * instead of one by one takes a third off reading a 2 MB document. Only a hint: kernels before 5.14 do not
 * know it. */
static void populate(struct chunk *chunk)
{
#ifdef MADV_POPULATE_WRITE
    uintptr_t from = ((uintptr_t)chunk->bytes + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    uintptr_t to = (uintptr_t)(chunk->bytes + chunk->size) & ~(uintptr_t)(PAGE - 1);
    if (chunk->size >= POPULATE_MIN)
        (void)madvise((void *)from, to - from,
                      MADV_POPULATE_WRITE); /* without it the pages come when touched */
#endif
}

static void add_chunk(struct arena *arena, size_t size)
{
    struct chunk *chunk = xmalloc(sizeof(*chunk) + size);
    chunk->size = size;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->at = 0;
    populate(chunk);
}

struct arena *arena_new(size_t first_chunk)
{
    struct arena *arena = xcalloc(1, sizeof(*arena));
    arena->next_size = first_chunk != 0 ? MAX(first_chunk, (size_t)MIN_CHUNK) : DEFAULT_CHUNK;
    return arena;
}

struct arena *arena_free(struct arena *arena)
{
    if (arena == NULL)
        return NULL;
    for (struct chunk *chunk = arena->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(arena);
    return NULL;
}

/* An allocation larger than a chunk gets its own, behind the current one, so that the current one is still
 * filled. */
static void *alloc_large(struct arena *arena, size_t size)
{
    struct chunk *chunk = xmalloc(sizeof(*chunk) + size);
    chunk->size = size;
    if (arena->chunks == NULL) {
        chunk->next = NULL;
        arena->chunks = chunk;
        arena->at = size;
    } else {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    }
    return chunk->bytes;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    arena->used += size;
    if (arena->chunks == NULL || arena->chunks->size - arena->at < size) {
        if (size > arena->next_size / 2)
            return alloc_large(arena, size);
        add_chunk(arena, arena->next_size);
        arena->next_size = MIN(arena->next_size * 2, (size_t)MAX_CHUNK);
    }
    void *result = arena->chunks->bytes + arena->at;
    arena->at += size;
    return result;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

void *arena_dup(struct arena *arena, const void *bytes, size_t len)
{
    void *copy = arena_alloc(arena, len);
    if (len != 0)
        memcpy(copy, bytes, len);
    return copy;
}

char *arena_strndup(struct arena *arena, const char *str, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);
    if (len != 0)
        memcpy(copy, str, len);
    copy[len] = '\0';
    return copy;
}

char *arena_strdup(struct arena *arena, const char *str)
{
    return arena_strndup(arena, str, strlen(str));
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list args, again;
    assert(fmt != NULL);
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}

struct slice arena_slice(struct arena *arena, struct slice src)
{
    return (struct slice){arena_strndup(arena, src.base, src.len), src.len};
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

/* Bytes in order, in chunks that are used again: the queues of HTTP/2 streams, and the memory of streams themselves. */
#include "core/http/http2_common.h"

/* ---- recycled memory ---- */

#if defined(__SANITIZE_ADDRESS__)
#define RECYCLES 0 /* the sanitizer must see every use after free */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RECYCLES 0
#endif
#endif
#ifndef RECYCLES
#define RECYCLES 1
#endif

struct ht_h2_chunk {
    struct ht_h2_chunk *next;
    uint32_t start, end, cap;
    char bytes[];
};

enum { SMALL_CHUNK = 1024, LARGE_CHUNK = 16 * 1024 };

static __thread h2o_mem_recycle_t small_chunks = {256, 0, NULL}, large_chunks = {64, 0, NULL},
                                  streams = {256, 0, NULL};

static void *recycled_alloc(h2o_mem_recycle_t *from, size_t size)
{
    return RECYCLES ? h2o_mem_alloc_recycle(from, size) : xmalloc(size);
}

static void recycled_free(h2o_mem_recycle_t *to, void *ptr)
{
    if (RECYCLES)
        h2o_mem_free_recycle(to, ptr);
    else
        free(ptr);
}

void *ht_h2_stream_alloc(void)
{
    return recycled_alloc(&streams, HT_H2_STREAM_SIZE);
}

void ht_h2_stream_free(void *ptr)
{
    recycled_free(&streams, ptr);
}

/* ---- queues ---- */

/* Most bodies are small and alone: they do not take a large chunk. */
static struct ht_h2_chunk *chunk_new(struct net_worker *worker, bool is_small)
{
    size_t size = is_small ? SMALL_CHUNK : LARGE_CHUNK;
    struct ht_h2_chunk *chunk = recycled_alloc(is_small ? &small_chunks : &large_chunks, size);

    net_mem_charge(worker, size);
    chunk->next = NULL;
    chunk->start = chunk->end = 0;
    chunk->cap = (uint32_t)(size - sizeof(*chunk));
    return chunk;
}

static void chunk_free(struct net_worker *worker, struct ht_h2_chunk *chunk)
{
    bool is_small = chunk->cap == SMALL_CHUNK - sizeof(*chunk);

    net_mem_release(worker, is_small ? SMALL_CHUNK : LARGE_CHUNK);
    recycled_free(is_small ? &small_chunks : &large_chunks, chunk);
}

void ht_h2_queue_add(struct ht_h2_queue *queue, struct net_worker *worker, const void *bytes, size_t len)
{
    const char *from = bytes;

    while (len != 0) {
        struct ht_h2_chunk *chunk = queue->last;
        if (chunk == NULL || chunk->end == chunk->cap) {
            bool is_small = chunk == NULL && len <= SMALL_CHUNK - sizeof(*chunk);
            chunk = chunk_new(worker, is_small);
            if (queue->last != NULL)
                queue->last->next = chunk;
            else
                queue->first = chunk;
            queue->last = chunk;
        }
        size_t now = MIN(len, (size_t)(chunk->cap - chunk->end));
        memcpy(chunk->bytes + chunk->end, from, now);
        chunk->end += (uint32_t)now;
        queue->len += now;
        from += now;
        len -= now;
    }
}

struct slice ht_h2_queue_peek(const struct ht_h2_queue *queue)
{
    const struct ht_h2_chunk *chunk = queue->first;

    return chunk != NULL ? slice_make(chunk->bytes + chunk->start, chunk->end - chunk->start)
                         : slice_make(NULL, 0);
}

void ht_h2_queue_drop(struct ht_h2_queue *queue, struct net_worker *worker, size_t len)
{
    queue->len -= len;
    while (queue->first != NULL) {
        struct ht_h2_chunk *chunk = queue->first;
        size_t now = MIN(len, (size_t)(chunk->end - chunk->start));
        chunk->start += (uint32_t)now;
        len -= now;
        if (chunk->start != chunk->end)
            return;
        queue->first = chunk->next;
        if (queue->first == NULL)
            queue->last = NULL;
        chunk_free(worker, chunk);
    }
}

void ht_h2_queue_take(struct ht_h2_queue *queue, struct net_worker *worker, char *out, size_t len)
{
    while (len != 0) {
        struct slice run = ht_h2_queue_peek(queue);
        size_t now = MIN(len, run.len);
        memcpy(out, run.base, now);
        ht_h2_queue_drop(queue, worker, now);
        out += now;
        len -= now;
    }
}

void ht_h2_queue_clear(struct ht_h2_queue *queue, struct net_worker *worker)
{
    if (queue->first != NULL)
        ht_h2_queue_drop(queue, worker, queue->len);
}

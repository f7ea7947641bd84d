/* Reading server-sent events (WHATWG HTML, "Server-sent events") from bytes as they come.
 *
 * Threads: one. Limits: an event of at most `max_event` bytes; a longer one is an error (sse_feed returns -1). */
#ifndef SELVEDGE_NODE_SSE_H
#define SELVEDGE_NODE_SSE_H

#include "core/base/strbuf.h"

struct sse {
    struct strbuf line, event, id, data;
    bool has_data, skip_lf;
    size_t max_event;
    /* `event` is "message" when none was named. Texts are borrowed for the call. Non-zero ends sse_feed() with it. */
    int (*on_event)(void *ctx, struct slice event, struct slice id, struct slice data);
    void *ctx;
};

void sse_init(struct sse *sse, size_t max_event, int (*on_event)(void *ctx, struct slice event, struct slice id, struct slice data), void *ctx);
void sse_clear(struct sse *sse);
int sse_feed(struct sse *sse, const char *bytes, size_t len);

#endif

/* Lines end in CR, LF or CRLF; a blank line dispatches; a line that begins with a colon is a comment. */
#include "core/node/sse.h"

void sse_init(struct sse *sse, size_t max_event, int (*on_event)(void *ctx, struct slice event, struct slice id, struct slice data), void *ctx)
{
    *sse = (struct sse){.max_event = max_event, .on_event = on_event, .ctx = ctx};
}

void sse_clear(struct sse *sse)
{
    strbuf_clear(&sse->line);
    strbuf_clear(&sse->event);
    strbuf_clear(&sse->id);
    strbuf_clear(&sse->data);
}

static int dispatch(struct sse *sse)
{
    int status = 0;
    if (sse->has_data) {
        struct slice event = sse->event.len != 0 ? strbuf_slice(&sse->event) : SLICE("message");
        status = sse->on_event(sse->ctx, event, strbuf_slice(&sse->id), strbuf_slice(&sse->data));
    }
    strbuf_reset(&sse->event);
    strbuf_reset(&sse->data);
    sse->has_data = false;
    return status;
}

static void take_field(struct sse *sse, struct slice name, struct slice value)
{
    if (slice_is(name, "event")) {
        strbuf_reset(&sse->event);
        strbuf_add_slice(&sse->event, value);
    } else if (slice_is(name, "id") && memchr(value.base, '\0', value.len) == NULL) {
        strbuf_reset(&sse->id);
        strbuf_add_slice(&sse->id, value);
    } else if (slice_is(name, "data")) {
        if (sse->has_data)
            strbuf_addc(&sse->data, '\n');
        strbuf_add_slice(&sse->data, value);
        sse->has_data = true;
    }
}

static int end_line(struct sse *sse)
{
    struct slice line = strbuf_slice(&sse->line);
    if (line.len == 0)
        return dispatch(sse);
    if (line.base[0] != ':') {
        const char *colon = memchr(line.base, ':', line.len);
        size_t name_len = colon != NULL ? (size_t)(colon - line.base) : line.len;
        struct slice value = slice_make(line.base + name_len, line.len - name_len);
        if (colon != NULL) {
            size_t skip = value.len > 1 && value.base[1] == ' ' ? 2 : 1;
            value = slice_make(value.base + skip, value.len - skip);
        }
        take_field(sse, slice_make(line.base, name_len), value);
    }
    strbuf_reset(&sse->line);
    return 0;
}

int sse_feed(struct sse *sse, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t run = 0;
        if (sse->skip_lf && bytes[0] == '\n') {
            ++bytes;
            --len;
        }
        sse->skip_lf = false;
        while (run < len && bytes[run] != '\n' && bytes[run] != '\r')
            ++run;
        if (sse->line.len + sse->data.len + run > sse->max_event)
            return -1;
        strbuf_add(&sse->line, bytes, run);
        if (run == len)
            return 0;
        sse->skip_lf = bytes[run] == '\r';
        bytes += run + 1;
        len -= run + 1;
        int status = end_line(sse);
        if (status != 0)
            return status;
    }
    return 0;
}

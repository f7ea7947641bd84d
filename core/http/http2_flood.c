/* What costs us more than the peer, counted. */
#include "core/http/http2_common.h"

/* Limits are bursts; `fades` is what is forgiven a second. Honest figures they are measured against: a
 * browser cancels a page's 100 requests at once, gRPC-Go pings once per round trip while data flows (forgiven
 * by that data), clients send a WINDOW_UPDATE or two per DATA frame. Attacks send 10,000 and more a second:
 * all end within 1,000 frames. */
static const struct {
    const char *name;
    uint32_t limit, fades;
} glitch_table[HT_H2_NUM_GLITCHES] = {
    [HT_H2_RESET_BY_PEER] = {"flood of stream resets", 700, 50},
    [HT_H2_RESET_BY_US] = {"flood of malformed streams", 200, 10},
    [HT_H2_PING] = {"PING flood", 500, 10},
    [HT_H2_SETTINGS] = {"SETTINGS flood", 100, 5},
    [HT_H2_PRIORITY] = {"PRIORITY flood", 500, 100},
    [HT_H2_WINDOW_UPDATE] = {"WINDOW_UPDATE flood", 900, 500},
    [HT_H2_CONTINUATION] = {"CONTINUATION flood", 400, 50},
    [HT_H2_EMPTY_DATA] = {"flood of empty DATA frames", 400, 50},
    [HT_H2_DRIBBLE] = {"window closed to a dribble", 1000, 100},
    [HT_H2_UNKNOWN] = {"flood of unknown frames", 400, 50},
};

enum { GLITCH = 1000 }; /* counted in thousandths: then a millisecond fades `fades` of them, and none is lost by rounding */

static void fade(struct ht_h2 *h2)
{
    uint64_t now = net_now_ms(h2->worker), elapsed = now - h2->glitches_at_ms;

    if (elapsed < 100)
        return;
    h2->glitches_at_ms = now;
    for (int i = 0; i < HT_H2_NUM_GLITCHES; i++)
        h2->glitches[i] -= (uint32_t)MIN(elapsed * glitch_table[i].fades, h2->glitches[i]);
}

bool ht_h2_glitch(struct ht_h2 *h2, enum ht_h2_glitch kind)
{
    fade(h2);
    h2->glitches[kind] += GLITCH;
    if (h2->glitches[kind] <= glitch_table[kind].limit * GLITCH)
        return false;
    h2->flood = glitch_table[kind].name;
    return true;
}

bool ht_h2_glitch_frame(struct ht_h2 *h2, const nghttp2_frame_hd *hd)
{
    switch (hd->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: /* see ht_h2_glitch_data() */
        return false;
    case NGHTTP2_PRIORITY:
        return ht_h2_glitch(h2, HT_H2_PRIORITY);
    case NGHTTP2_RST_STREAM:
        return ht_h2_glitch(h2, HT_H2_RESET_BY_PEER);
    case NGHTTP2_SETTINGS:
        return ht_h2_glitch(h2, HT_H2_SETTINGS);
    case NGHTTP2_PING:
        return ht_h2_glitch(h2, HT_H2_PING);
    case NGHTTP2_WINDOW_UPDATE:
        return ht_h2_glitch(h2, HT_H2_WINDOW_UPDATE);
    case NGHTTP2_CONTINUATION:
        return ht_h2_glitch(h2, HT_H2_CONTINUATION);
    default:
        return ht_h2_glitch(h2, HT_H2_UNKNOWN);
    }
}

bool ht_h2_glitch_data(struct ht_h2 *h2, const nghttp2_frame *frame)
{
    bool is_empty =
        frame->hd.length == frame->data.padlen && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0;

    return UNLIKELY(is_empty) && ht_h2_glitch(h2, HT_H2_EMPTY_DATA);
}

static void forgive(struct ht_h2 *h2, enum ht_h2_glitch kind, uint32_t less)
{
    h2->glitches[kind] -= MIN(less * GLITCH, h2->glitches[kind]);
}

void ht_h2_worked(struct ht_h2 *h2, size_t bytes)
{
    forgive(h2, HT_H2_PING, 1);
    forgive(h2, HT_H2_WINDOW_UPDATE, 2 + (uint32_t)(bytes / 512));
}

void ht_h2_finished_one(struct ht_h2 *h2)
{
    forgive(h2, HT_H2_PING, 1);
    forgive(h2, HT_H2_RESET_BY_PEER, 1);
    forgive(h2, HT_H2_PRIORITY, 1);
}

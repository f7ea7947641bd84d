/* links: sv_base */
/* What is decoded must be encoded to something that decodes to the same, and its quantiles must rise. */
#include "core/base/histogram.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check(const struct histogram *h)
{
    struct histogram back = HISTOGRAM_INIT;
    struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;
    histogram_encode(&first, h);
    if (histogram_decode(&back, strbuf_slice(&first), NULL) != 0)
        abort();
    histogram_encode(&second, &back);
    if (!slice_eq(strbuf_slice(&first), strbuf_slice(&second)))
        abort();
    if (histogram_quantile(h, 0.5) > histogram_quantile(h, 0.99))
        abort();
    strbuf_clear(&first);
    strbuf_clear(&second);
    histogram_clear(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct histogram h = HISTOGRAM_INIT;
    if (histogram_decode(&h, slice_make((const char *)bytes, len), NULL) == 0)
        check(&h);
    histogram_clear(&h);
    return 0;
}

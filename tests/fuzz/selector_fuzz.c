/* links: sv_control */
/* What parses must write a text that parses to the same selection, whatever the labels are. */
#include "gateway/control/selector.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static bool selects(const struct ctl_selector *selector, size_t num)
{
    static const struct ctl_label labels[] = {
        {SLICE("a"), SLICE("b")}, {SLICE("app"), SLICE("web")}, {SLICE("x.y/z"), SLICE("")}};
    return ctl_selector_matches(selector, labels, num);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena *arena = arena_new(0);
    struct slice text = slice_make((const char *)bytes, len);
    struct ctl_selector selector, again;
    struct ctl_field_selector fields;
    if (ctl_selector_parse(arena, text, &selector, NULL) == 0) {
        struct strbuf out = STRBUF_INIT;
        ctl_selector_write(&out, &selector);
        /* The canonical form is longer: it may pass the limit of 4 KiB. */
        int result = ctl_selector_parse(arena, strbuf_slice(&out), &again, NULL);
        if (result != 0 && out.len <= 4096)
            abort();
        for (size_t i = 0; result == 0 && i <= 3; ++i)
            if (selects(&selector, i) != selects(&again, i))
                abort();
        strbuf_clear(&out);
    }
    if (ctl_field_selector_parse(arena, text, &fields, NULL) == 0)
        (void)ctl_field_selector_matches(&fields, SLICE("default"),
                                         SLICE("web")); /* only that it reads its own */
    arena_free(arena);
    return 0;
}

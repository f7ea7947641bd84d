/* Server-sent events however they are cut, and what is too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/node/sse.h"

struct got {
    struct strbuf text;
    int answer;
};

static int on_event(void *ctx, struct slice event, struct slice id, struct slice data)
{
    struct got *got = ctx;
    strbuf_addf(&got->text, "%.*s|%.*s|%.*s;", (int)event.len, event.base != NULL ? event.base : "", (int)id.len, id.base != NULL ? id.base : "",
                (int)data.len, data.base != NULL ? data.base : "");
    return got->answer;
}

static void expect(const char *text, size_t step, const char *want)
{
    struct got got = {STRBUF_INIT, 0};
    struct sse sse;
    sse_init(&sse, 1024, on_event, &got);
    for (size_t at = 0, len = strlen(text); at < len; at += step)
        assert_int_equal(sse_feed(&sse, text + at, MIN(step, len - at)), 0);
    assert_string_equal(got.text.base != NULL ? got.text.base : "", want);
    sse_clear(&sse);
    strbuf_clear(&got.text);
}

static void any_cut_gives_the_same_events(void **state)
{
    const char *text = ": hb\n\nevent: a\r\nid: 1\r\ndata: x\r\ndata:y\r\n\r\ndata\r\revent: lost\n\ndata: z\n\n";
    for (size_t step = 1; step <= strlen(text); ++step)
        expect(text, step, "a|1|x\ny;message|1|;message|1|z;");
}

static void unfinished_events_are_not_told(void **state)
{
    expect("event: a\ndata: x\n", 3, "");
    expect("unknown: a\nretry: 5\n\n", 4, "");
}

static void too_long_is_refused(void **state)
{
    struct got got = {STRBUF_INIT, 0};
    struct sse sse;
    sse_init(&sse, 16, on_event, &got);
    assert_int_equal(sse_feed(&sse, "data: 0123456789abcdef", 22), -1);
    sse_clear(&sse);
    sse_init(&sse, 16, on_event, &got);
    assert_int_equal(sse_feed(&sse, "data: 012345\n", 13), 0);
    assert_int_equal(sse_feed(&sse, "data: 012345\n", 13), -1);
    sse_clear(&sse);
    assert_int_equal(got.text.len, 0);
    strbuf_clear(&got.text);
}

static void the_receiver_may_end_it(void **state)
{
    struct got got = {STRBUF_INIT, -7};
    struct sse sse;
    sse_init(&sse, 1024, on_event, &got);
    assert_int_equal(sse_feed(&sse, "data: a\n\ndata: b\n\n", 18), -7);
    assert_string_equal(got.text.base, "message||a;");
    sse_clear(&sse);
    strbuf_clear(&got.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_gives_the_same_events),
        cmocka_unit_test(unfinished_events_are_not_told),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(the_receiver_may_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

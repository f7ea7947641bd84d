/* The chunked coding, read and written. */
#include "tests/unit/lib/http1_parse_fixture.h"

/* Decodes with at most `step` bytes at a time. Returns the refusal, MORE, or HT1_OK at the trailer section.
 */
static int decode(const char *bytes, size_t len, size_t step, char *out, size_t *out_len)
{
    struct ht1_chunked chunked = {.state = HT1_CHUNK_SIZE};
    size_t at = 0;
    enum ht1_refusal why = HT1_OK;

    *out_len = 0;
    while (at < len && chunked.state != HT1_CHUNK_TRAILERS) {
        size_t some = MIN(step, len - at);
        if (chunked.state == HT1_CHUNK_DATA && chunked.left != 0) {
            size_t taken = MIN(some, chunked.left);
            memcpy(out + *out_len, bytes + at, taken);
            *out_len += taken;
            chunked.left -= taken;
            at += taken;
            continue;
        }
        ssize_t taken = ht1_chunked_read(&chunked, bytes + at, some, &why);
        if (taken < 0)
            return why;
        at += (size_t)taken;
    }
    return chunked.state == HT1_CHUNK_TRAILERS ? HT1_OK : MORE;
}

static void chunked_bodies_are_decoded(void **state)
{
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"0\r\n\r\n", ""},
        {"00000\r\n\r\n", ""},
        {"5\r\nhello\r\n0\r\n\r\n", "hello"},
        {"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"},
        {"0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"},
        {"5;a=b\r\nhello\r\n0;x\r\n\r\n", "hello"},
        {"5;a=\"b;c\"\t\r\nhello\r\n0\r\n\r\n", "hello"},
        {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
        {"A\r\n01234567\r\n\r\n0\r\n\r\n", "01234567\r\n"},
    };
    char out[256];
    size_t out_len;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step < 32; step++) {
            assert_int_equal(decode(cases[i].bytes, strlen(cases[i].bytes), step, out, &out_len), HT1_OK);
            assert_int_equal(out_len, strlen(cases[i].want));
            assert_memory_equal(out, cases[i].want, out_len);
        }
    }
}

static void malformed_chunks_are_refused(void **state)
{
    static const struct bad cases[] = {
        {BYTES("\r\n"), HT1_BAD_CHUNK},
        {BYTES("g\r\n"), HT1_BAD_CHUNK},
        {BYTES("-1\r\n"), HT1_BAD_CHUNK},
        {BYTES("+1\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("0x1\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1_0\r\n"), HT1_BAD_CHUNK},
        {BYTES(" 1\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1 \r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\t\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1 ;x\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\ra\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\r\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\0\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\r\nab\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\r\na\n0\r\n\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\r\na0\r\n\r\n"), HT1_BAD_CHUNK},
        {BYTES("1\r\na\rx"), HT1_BAD_CHUNK},
        {BYTES("2\r\na\r\n0\r\n\r\n"), HT1_BAD_CHUNK},
        {BYTES("00000000000000001\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("ffffffffffffffff\r\n"), HT1_BAD_CHUNK},
        {BYTES("8000000000000000\r\n"), HT1_BAD_CHUNK},
        {BYTES("10000000000000000\r\n"), HT1_BAD_CHUNK},
        {BYTES("fffffffffffffffff\r\n"), HT1_BAD_CHUNK},
        {BYTES("1;a\nb\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1;a\0b\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1;a\rb\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1;a\x0b\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1;a\x7f\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("1,5\r\na\r\n"), HT1_BAD_CHUNK},
        {BYTES("7fffffffffffffff\r\n"), MORE},
        {BYTES("1\r\na\r\n"), MORE},
        {BYTES("5\r\nhel"), MORE},
    };
    char out[256];
    size_t out_len;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step < 40; step += 3) {
            int got = decode(cases[i].bytes, cases[i].len, step, out, &out_len);
            if (got != cases[i].want)
                fail_msg("case %zu, step %zu: got %d, want %d", i, step, got, cases[i].want);
        }
}

static void chunk_extensions_are_bounded(void **state)
{
    char text[512] = "1;", out[16];
    size_t out_len;

    memset(text + 2, 'x', 256);
    strcpy(text + 258, "\r\na\r\n0\r\n\r\n");
    assert_int_equal(decode(text, strlen(text), 512, out, &out_len), HT1_OK);
    memset(text + 2, 'x', 257);
    strcpy(text + 259, "\r\na\r\n0\r\n\r\n");
    assert_int_equal(decode(text, strlen(text), 512, out, &out_len), HT1_LONG_EXTENSION);
}

static void chunk_extensions_are_bounded_in_sum(void **state)
{
    struct ht1_chunked chunked = {.state = HT1_CHUNK_SIZE};
    enum ht1_refusal why;
    char text[210] = "1;";
    ssize_t got = 0;
    int rounds = 0;

    memset(text + 2, 'x', 200);
    memcpy(text + 202, "\r\n", 2);
    while ((got = ht1_chunked_read(&chunked, text, 204, &why)) > 0 && rounds < 1000) {
        chunked.left = 0; /* the payload, taken */
        assert_int_equal(ht1_chunked_read(&chunked, "\r\n", 2, &why), 2);
        ++rounds;
    }
    assert_int_equal(why, HT1_LONG_EXTENSION);
    assert_int_equal(rounds, HT1_MAX_EXTENSIONS / 200);
}

static void chunk_heads_are_written(void **state)
{
    static const uint64_t sizes[] = {0, 1, 9, 10, 15, 16, 255, 256, 4095, 65536, INT64_MAX};
    char out[HT1_CHUNK_HEAD_MAX], want[32];

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t len = ht1_chunk_head(out, sizes[i]);
        int want_len = snprintf(want, sizeof(want), "%llx\r\n", (unsigned long long)sizes[i]);
        assert_int_equal(len, want_len);
        assert_memory_equal(out, want, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunked_bodies_are_decoded),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(chunk_extensions_are_bounded),
        cmocka_unit_test(chunk_extensions_are_bounded_in_sum),
        cmocka_unit_test(chunk_heads_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

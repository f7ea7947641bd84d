#include "core/base/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void assert_digest(const uint8_t *digest, const char *hex)
{
    char text[2 * CRYPTO_SHA256_LEN + 1];
    hex_encode(digest, CRYPTO_SHA256_LEN, text);
    assert_string_equal(text, hex);
}

static const char ABC[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char EMPTY[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void sha256_gives_the_known_digests(void **state)
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    crypto_sha256(SLICE("abc"), digest);
    assert_digest(digest, ABC);
    crypto_sha256((struct slice){NULL, 0}, digest);
    assert_digest(digest, EMPTY);
}

static void pieces_give_the_digest_of_the_whole_and_start_afresh(void **state)
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    struct crypto_hash *hash = crypto_hash_new();
    for (int i = 0; i < 2; ++i) {
        crypto_hash_add(hash, SLICE("a"));
        crypto_hash_add(hash, SLICE(""));
        crypto_hash_add(hash, SLICE("bc"));
        crypto_hash_finish(hash, digest);
        assert_digest(digest, ABC);
    }
    crypto_hash_finish(hash, digest);
    assert_digest(digest, EMPTY);
    assert_null(crypto_hash_free(hash));
    assert_null(crypto_hash_free(NULL));
}

/* RFC 4231. */
static void hmac_gives_the_known_codes(void **state)
{
    uint8_t code[CRYPTO_SHA256_LEN];
    char key[131];
    crypto_hmac_sha256(SLICE("Jefe"), SLICE("what do ya want for nothing?"), code);
    assert_digest(code, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0x0b, 20);
    crypto_hmac_sha256(slice_make(key, 20), SLICE("Hi There"), code);
    assert_digest(code, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    memset(key, 0xaa, 131);
    crypto_hmac_sha256(slice_make(key, 131), SLICE("Test Using Larger Than Block-Size Key - Hash Key First"),
                       code);
    assert_digest(code, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void tokens_are_long_and_differ(void **state)
{
    char a[CRYPTO_TOKEN_LEN(32) + 1], b[CRYPTO_TOKEN_LEN(32) + 1];
    crypto_token(a, 32);
    crypto_token(b, 32);
    assert_int_equal(strlen(a), 43);
    assert_string_not_equal(a, b);
    crypto_token(a, 16);
    assert_int_equal(strlen(a), 22);
    assert_true(crypto_random_u64() != crypto_random_u64());
}

static void equality_is_that_of_bytes(void **state)
{
    assert_true(crypto_equal(SLICE("secret"), SLICE("secret")));
    assert_false(crypto_equal(SLICE("secret"), SLICE("secreT")));
    assert_false(crypto_equal(SLICE("secret"), SLICE("secre")));
    assert_true(crypto_equal(SLICE(""), (struct slice){NULL, 0}));
}

static void hex_goes_there_and_back(void **state)
{
    uint8_t bytes[8];
    struct strbuf text = STRBUF_INIT;
    hex_add(&text, SLICE("\x00\x7f\xff"));
    assert_string_equal(text.base, "007fff");
    strbuf_clear(&text);
    assert_int_equal(hex_decode(SLICE("007fFF"), bytes), 3);
    assert_memory_equal(bytes, "\x00\x7f\xff", 3);
    assert_int_equal(hex_decode(SLICE(""), bytes), 0);
    assert_int_equal(hex_decode(SLICE("0"), bytes), -1);
    assert_int_equal(hex_decode(SLICE("0g"), bytes), -1);
    assert_int_equal(hex_decode(SLICE("0x"), bytes), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_known_digests),
        cmocka_unit_test(pieces_give_the_digest_of_the_whole_and_start_afresh),
        cmocka_unit_test(hmac_gives_the_known_codes),
        cmocka_unit_test(tokens_are_long_and_differ),
        cmocka_unit_test(equality_is_that_of_bytes),
        cmocka_unit_test(hex_goes_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void hex_is_in_lower_case(void **state)
{
    char text[7];
    hex_encode("\x00\x7f\xff", 3, text);
    assert_string_equal(text, "007fff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_known_digests),
        cmocka_unit_test(tokens_are_long_and_differ),
        cmocka_unit_test(equality_is_that_of_bytes),
        cmocka_unit_test(hex_is_in_lower_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

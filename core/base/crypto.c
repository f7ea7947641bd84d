/* The only file of core/base that knows OpenSSL. */
#include "core/base/crypto.h"

#include "core/base/base64.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>

static EVP_MD *sha256;

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (sha256 == NULL)
        abort();
}

static const EVP_MD *sha256_md(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch);
    return sha256;
}

void crypto_sha256(struct slice bytes, uint8_t out[CRYPTO_SHA256_LEN])
{
    if (EVP_Digest(bytes.base, bytes.len, out, NULL, sha256_md(), NULL) != 1)
        abort();
}

void crypto_random(void *out, size_t len)
{
    if (len > INT32_MAX || RAND_bytes(out, (int)len) != 1)
        abort(); /* nothing that follows could be trusted */
}

uint64_t crypto_random_u64(void)
{
    uint64_t value;
    crypto_random(&value, sizeof(value));
    return value;
}

void crypto_token(char *out, size_t num_bytes)
{
    uint8_t bytes[CRYPTO_TOKEN_MAX];
    struct strbuf text = STRBUF_INIT;
    assert(num_bytes >= CRYPTO_TOKEN_MIN && num_bytes <= CRYPTO_TOKEN_MAX);
    crypto_random(bytes, num_bytes);
    base64url_add(&text, slice_make((const char *)bytes, num_bytes));
    memcpy(out, text.base, text.len + 1);
    crypto_wipe(bytes, sizeof(bytes));
    crypto_wipe(text.base, text.len);
    strbuf_clear(&text);
}

bool crypto_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.base, b.base, a.len) == 0);
}

void crypto_wipe(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}

void hex_encode(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = bytes;
    for (size_t i = 0; i < len; ++i) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}

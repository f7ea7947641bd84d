/* The only file of core/base that knows OpenSSL. */
#include "core/base/crypto.h"

#include "core/base/base64.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>

enum { SHA256_BLOCK = 64 };

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

struct crypto_hash {
    EVP_MD_CTX *ctx; /* owned */
};

static void start(EVP_MD_CTX *ctx)
{
    if (EVP_DigestInit_ex2(ctx, sha256_md(), NULL) != 1)
        abort();
}

static void update(EVP_MD_CTX *ctx, struct slice bytes)
{
    if (bytes.len != 0 && EVP_DigestUpdate(ctx, bytes.base, bytes.len) != 1)
        abort();
}

static void finish(EVP_MD_CTX *ctx, uint8_t *out)
{
    if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        abort();
}

static EVP_MD_CTX *new_ctx(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL)
        abort();
    return ctx;
}

void crypto_sha256(struct slice bytes, uint8_t out[CRYPTO_SHA256_LEN])
{
    EVP_MD_CTX *ctx = new_ctx();
    start(ctx);
    update(ctx, bytes);
    finish(ctx, out);
    EVP_MD_CTX_free(ctx);
}

/* RFC 2104 by hand: two passes over the digest we have fetched already, where OpenSSL's EVP_MAC fetches and
 * copies. */
void crypto_hmac_sha256(struct slice key, struct slice bytes, uint8_t out[CRYPTO_SHA256_LEN])
{
    uint8_t block[SHA256_BLOCK] = {0}, pad[SHA256_BLOCK];
    EVP_MD_CTX *ctx = new_ctx();
    if (key.len > sizeof(block))
        crypto_sha256(key, block);
    else if (key.len != 0)
        memcpy(block, key.base, key.len);

    for (size_t i = 0; i < sizeof(pad); ++i)
        pad[i] = block[i] ^ 0x36;
    start(ctx);
    update(ctx, slice_make((const char *)pad, sizeof(pad)));
    update(ctx, bytes);
    finish(ctx, out);

    for (size_t i = 0; i < sizeof(pad); ++i)
        pad[i] = block[i] ^ 0x5c;
    start(ctx);
    update(ctx, slice_make((const char *)pad, sizeof(pad)));
    update(ctx, slice_make((const char *)out, CRYPTO_SHA256_LEN));
    finish(ctx, out);

    EVP_MD_CTX_free(ctx);
    crypto_wipe(block, sizeof(block));
    crypto_wipe(pad, sizeof(pad));
}

struct crypto_hash *crypto_hash_new(void)
{
    struct crypto_hash *hash = xmalloc(sizeof(*hash));
    hash->ctx = new_ctx();
    start(hash->ctx);
    return hash;
}

struct crypto_hash *crypto_hash_free(struct crypto_hash *hash)
{
    if (hash != NULL)
        EVP_MD_CTX_free(hash->ctx);
    free(hash);
    return NULL;
}

void crypto_hash_add(struct crypto_hash *hash, struct slice bytes)
{
    update(hash->ctx, bytes);
}

void crypto_hash_finish(struct crypto_hash *hash, uint8_t out[CRYPTO_SHA256_LEN])
{
    finish(hash->ctx, out);
    start(hash->ctx);
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

void hex_add(struct strbuf *out, struct slice bytes)
{
    hex_encode(bytes.base, bytes.len, strbuf_reserve(out, bytes.len * 2));
    out->len += bytes.len * 2;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ssize_t hex_decode(struct slice text, void *out)
{
    unsigned char *at = out;
    if (text.len % 2 != 0)
        return -1;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = digit_value(text.base[i]), low = digit_value(text.base[i + 1]);
        if (high < 0 || low < 0)
            return -1;
        *at++ = (unsigned char)(high << 4 | low);
    }
    return (ssize_t)(text.len / 2);
}

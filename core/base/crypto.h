/* Digests, random bytes and comparing secrets. OpenSSL is behind it; algorithms are fetched once a process,
 * because fetching by name costs more than hashing a short text.
 *
 * Threads: any. Errors: a library without SHA-256 or randomness aborts the process. */
#ifndef SELVEDGE_BASE_CRYPTO_H
#define SELVEDGE_BASE_CRYPTO_H

#include "core/base/strbuf.h"

#include <sys/types.h>

enum { CRYPTO_SHA256_LEN = 32 };

void crypto_sha256(struct slice bytes, uint8_t out[CRYPTO_SHA256_LEN]);

void crypto_random(void *out, size_t len);
uint64_t crypto_random_u64(void);
/* An unguessable name: 128 to 256 bits in base64url. */
enum { CRYPTO_TOKEN_MIN = 16, CRYPTO_TOKEN_MAX = 32 };
#define CRYPTO_TOKEN_LEN(num_bytes) (((num_bytes)*4 + 2) / 3)
/* `out` has room for CRYPTO_TOKEN_LEN(num_bytes) and a NUL. */
void crypto_token(char *out, size_t num_bytes);

/* In time that depends on the lengths only. */
bool crypto_equal(struct slice a, struct slice b);
/* Overwrites in a way the compiler may not leave out. */
void crypto_wipe(void *secret, size_t len);

/* Lower case; `out` has room for 2 * len and a NUL. */
void hex_encode(const void *bytes, size_t len, char *out);

#endif

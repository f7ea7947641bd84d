/* RFC 6455 4.2.2: base64(SHA-1(key + GUID)). The hash guards against nothing but mistaken identity, so a
 * plain SHA-1 of our own for two blocks does, rather than a crypto library in this layer. */
#include "core/http/websocket.h"

#include <sys/random.h>

static uint32_t rotate(uint32_t word, int bits)
{
    return word << bits | word >> (32 - bits);
}

static void sha1_block(uint32_t state[5], const uint8_t block[64])
{
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        static const uint32_t k[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
        uint32_t f = i < 20              ? (b & c) | (~b & d)
                     : i >= 40 && i < 60 ? (b & c) | (b & d) | (c & d)
                                         : b ^ c ^ d;
        uint32_t next = rotate(a, 5) + f + e + k[i / 20] + w[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

static size_t base64(char *out, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *p = out;

    for (size_t i = 0; i < len; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16 | (i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (i + 2 < len ? bytes[i + 2] : 0);
        *p++ = digits[word >> 18];
        *p++ = digits[word >> 12 & 63];
        *p++ = i + 1 < len ? digits[word >> 6 & 63] : '=';
        *p++ = i + 2 < len ? digits[word & 63] : '=';
    }
    return (size_t)(p - out);
}

void ht_websocket_key(char *out)
{
    uint8_t random[16];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        abort(); /* cannot be for so few bytes once the pool is ready */
    base64(out, random, sizeof(random));
}

void ht_websocket_accept(struct slice key, char *out)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t blocks[128] = {0}, digest[20];
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t key_len = MIN(key.len, (size_t)HT_WEBSOCKET_KEY_LEN),
           len = key_len + sizeof(guid) - 1; /* 60 at most */

    memcpy(blocks, key.base, key_len);
    memcpy(blocks + key_len, guid, sizeof(guid) - 1);
    blocks[len] = 0x80;
    size_t end = len + 9 <= 64 ? 64 : 128;
    blocks[end - 2] = (uint8_t)(len * 8 >> 8);
    blocks[end - 1] = (uint8_t)(len * 8);
    for (size_t i = 0; i < end; i += 64)
        sha1_block(state, blocks + i);
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
    base64(out, digest, sizeof(digest));
}

// SPDX-License-Identifier: Apache-2.0
// MD2 and HMAC-MD2.
#include "interpose/md2.h"

#include <string.h>

enum { ROUNDS = 18 };

// RFC 1319's permutation of 0..255, drawn from the digits of pi.
static const uint8_t substitute[256] = {
    41,  46,  67,  201, 162, 216, 124, 1,   61,  54,  84,  161, 236, 240, 6,   19,  98,  167, 5,   243,
    192, 199, 115, 140, 152, 147, 43,  217, 188, 76,  130, 202, 30,  155, 87,  60,  253, 212, 224, 22,
    103, 66,  111, 24,  138, 23,  229, 18,  190, 78,  196, 214, 218, 158, 222, 73,  160, 251, 245, 142,
    187, 47,  238, 122, 169, 104, 121, 145, 21,  178, 7,   63,  148, 194, 16,  137, 11,  34,  95,  33,
    128, 127, 93,  154, 90,  144, 50,  39,  53,  62,  204, 231, 191, 247, 151, 3,   255, 25,  48,  179,
    72,  165, 181, 209, 215, 94,  146, 42,  172, 86,  170, 198, 79,  184, 56,  210, 150, 164, 125, 182,
    118, 252, 107, 226, 156, 116, 4,   241, 69,  157, 112, 89,  100, 113, 135, 32,  134, 91,  207, 101,
    230, 45,  168, 2,   27,  96,  37,  173, 174, 176, 185, 246, 28,  70,  97,  105, 52,  64,  126, 15,
    85,  71,  163, 35,  221, 81,  175, 58,  195, 92,  249, 206, 186, 197, 234, 38,  44,  83,  13,  110,
    133, 40,  132, 9,   211, 223, 205, 244, 65,  129, 77,  82,  106, 220, 55,  200, 108, 193, 171, 250,
    36,  225, 123, 8,   12,  189, 177, 74,  120, 136, 149, 139, 227, 99,  232, 109, 233, 203, 213, 254,
    59,  0,   29,  57,  242, 239, 183, 14,  102, 88,  208, 228, 166, 119, 114, 248, 235, 117, 75,  10,
    49,  68,  80,  180, 143, 237, 31,  26,  219, 153, 141, 51,  159, 17,  131, 20,
};

void gn_md2_begin(struct gn_md2 *m) { memset(m, 0, sizeof *m); }

static void mix(struct gn_md2 *m, const uint8_t *block)
{
    uint8_t x[3 * GN_MD2_BYTES], last = m->checksum[GN_MD2_BYTES - 1];
    for (int i = 0; i < GN_MD2_BYTES; i++) {
        last = m->checksum[i] ^= substitute[block[i] ^ last];
        x[i] = m->state[i];
        x[GN_MD2_BYTES + i] = block[i];
        x[2 * GN_MD2_BYTES + i] = block[i] ^ m->state[i];
    }
    uint8_t t = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < sizeof x; i++)
            t = x[i] ^= substitute[t];
        t = (uint8_t)(t + round);
    }
    memcpy(m->state, x, GN_MD2_BYTES);
}

void gn_md2_add(struct gn_md2 *m, const void *data, size_t size_bytes)
{
    const uint8_t *at = data;
    while (size_bytes) {
        size_t n = GN_MD2_BYTES - m->filled_bytes;
        n = n < size_bytes ? n : size_bytes;
        memcpy(m->block + m->filled_bytes, at, n);
        m->filled_bytes += n;
        at += n;
        size_bytes -= n;
        if (m->filled_bytes == GN_MD2_BYTES) {
            mix(m, m->block);
            m->filled_bytes = 0;
        }
    }
}

void gn_md2_end(struct gn_md2 *m, uint8_t digest[GN_MD2_BYTES])
{
    uint8_t padding[GN_MD2_BYTES], checksum[GN_MD2_BYTES];
    size_t n = GN_MD2_BYTES - m->filled_bytes; // always padded, by a whole block when it is full
    memset(padding, (int)n, n);
    gn_md2_add(m, padding, n);
    memcpy(checksum, m->checksum, sizeof checksum);
    gn_md2_add(m, checksum, sizeof checksum);
    memcpy(digest, m->state, GN_MD2_BYTES);
}

static void add_key(struct gn_md2 *m, const uint8_t *key, uint8_t pad)
{
    uint8_t block[GN_MD2_BYTES];
    for (int i = 0; i < GN_MD2_BYTES; i++)
        block[i] = key[i] ^ pad;
    gn_md2_add(m, block, sizeof block);
}

void gn_hmac_md2_begin(struct gn_hmac_md2 *h, const void *key, size_t key_bytes)
{
    memset(h, 0, sizeof *h);
    if (key_bytes > sizeof h->key) {
        gn_md2_add(&h->inner, key, key_bytes);
        gn_md2_end(&h->inner, h->key);
        gn_md2_begin(&h->inner);
    } else if (key_bytes) {
        memcpy(h->key, key, key_bytes);
    }
    add_key(&h->inner, h->key, 0x36);
}

void gn_hmac_md2_add(struct gn_hmac_md2 *h, const void *data, size_t size_bytes)
{
    gn_md2_add(&h->inner, data, size_bytes);
}

void gn_hmac_md2_end(struct gn_hmac_md2 *h, uint8_t digest[GN_MD2_BYTES])
{
    uint8_t inner[GN_MD2_BYTES];
    struct gn_md2 outer;
    gn_md2_end(&h->inner, inner);
    gn_md2_begin(&outer);
    add_key(&outer, h->key, 0x5c);
    gn_md2_add(&outer, inner, sizeof inner);
    gn_md2_end(&outer, digest);
}

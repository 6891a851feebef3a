// SPDX-License-Identifier: Apache-2.0
// MD2 (RFC 1319) and its HMAC (RFC 2104), which NVIDIA's runtime uses to recognise a driver. Nothing here is
// kept secret by it.
#ifndef GN_INTERPOSE_MD2_H
#define GN_INTERPOSE_MD2_H

#include <stddef.h>
#include <stdint.h>

enum { GN_MD2_BYTES = 16 }; // of a digest, and of the block

struct gn_md2 {
    uint8_t state[GN_MD2_BYTES], checksum[GN_MD2_BYTES], block[GN_MD2_BYTES];
    size_t filled_bytes; // of block
};

void gn_md2_begin(struct gn_md2 *m);
void gn_md2_add(struct gn_md2 *m, const void *data, size_t size_bytes);
void gn_md2_end(struct gn_md2 *m, uint8_t digest[GN_MD2_BYTES]);

struct gn_hmac_md2 {
    struct gn_md2 inner;
    uint8_t key[GN_MD2_BYTES];
};

// A key longer than a block is hashed first, as RFC 2104 says.
void gn_hmac_md2_begin(struct gn_hmac_md2 *h, const void *key, size_t key_bytes);
void gn_hmac_md2_add(struct gn_hmac_md2 *h, const void *data, size_t size_bytes);
void gn_hmac_md2_end(struct gn_hmac_md2 *h, uint8_t digest[GN_MD2_BYTES]);

#endif

// SPDX-License-Identifier: Apache-2.0
// The parameter layout of a kernel: decoded once from the server's answer, then used at every launch to pack
// the program's values.
#ifndef GN_INTERPOSE_LAYOUT_H
#define GN_INTERPOSE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GN_PARAMS_BYTES_MAX = 32764
}; // what CUDA 12.1 and later take; so a kernel has no more parameters than that either

struct gn_param {
    uint32_t offset_bytes, size_bytes;
};

struct gn_layout {
    uint32_t count;
    uint32_t size_bytes;           // to the end of the last parameter
    bool gaps;                     // there are bytes between parameters that belong to none
    const struct gn_param *params; // in their order, ascending
};

// The number of parameters in a layout blob (u32 count, then u32 offset and u32 size each), or -EBADMSG when
// its length is wrong.
int gn_layout_count(const void *blob, size_t blob_bytes);

// Decodes a blob into `params`, which has room for gn_layout_count of them and must live as long as the
// layout. -EBADMSG: parameters that overlap, are out of order, or end beyond GN_PARAMS_BYTES_MAX.
int gn_layout_decode(struct gn_layout *layout, struct gn_param *params, const void *blob, size_t blob_bytes);

// Copies the values behind `values` (one pointer a parameter) to their places in `buffer`, which has
// layout->size_bytes bytes; gaps become zero, so that no stray memory leaves the process. -EINVAL: a pointer
// is NULL.
int gn_layout_pack(const struct gn_layout *layout, void *const *values, uint8_t *buffer);

#endif

// SPDX-License-Identifier: Apache-2.0
// Bundles: the fatbins behind a version-2 wrapper (nvcc -rdc=true) as one run of bytes, without addresses.
//
//   u32 magic   u32 count   u64 size[count]   zeros up to a multiple of 16
//   then each fatbin, and after each zeros up to a multiple of 16
//
// The first fatbin is the wrapper's own, the others are its array's, in order. Numbers are little-endian. A
// bundle ends with the padding of its last fatbin: so every fatbin is aligned where the bundle is.
#ifndef GN_CORE_IMAGE_BUNDLE_H
#define GN_CORE_IMAGE_BUNDLE_H

#include "core/image/image.h"

#define GN_BUNDLE_MAGIC 0x32574e47u // "GNW2"; nothing that gn_image_probe knows begins like it

enum { GN_BUNDLE_ALIGN = 16 };

// --- writing

static inline uint64_t gn_bundle_padded(uint64_t bytes)
{
    return (bytes + GN_BUNDLE_ALIGN - 1) & ~(uint64_t)(GN_BUNDLE_ALIGN - 1);
}

// Where the first fatbin begins; count is at most GN_IMAGE_WRAPPED_MAX.
static inline uint64_t gn_bundle_head_bytes(uint32_t count)
{
    return gn_bundle_padded(8 + 8 * (uint64_t)count);
}

// Fills gn_bundle_head_bytes(count) bytes.
void gn_bundle_head(void *head, const uint64_t *size_bytes, uint32_t count);

// --- reading

struct gn_bundle {
    const uint8_t *data;
    uint32_t count, at;
    uint64_t at_bytes; // of the next fatbin
    struct gn_image_error error;
};

bool gn_bundle_is(const void *data, uint64_t size_bytes);
// Checks the head against exactly size_bytes; the fatbins are not looked at. 0, -EINVAL, or -E2BIG over
// GN_IMAGE_WRAPPED_MAX.
int gn_bundle_open(struct gn_bundle *bundle, const void *data, uint64_t size_bytes);
// The next fatbin of an opened bundle, or NULL at the end.
const void *gn_bundle_next(struct gn_bundle *bundle, uint64_t *size_bytes);

#endif

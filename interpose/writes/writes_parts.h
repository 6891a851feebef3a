// SPDX-License-Identifier: Apache-2.0
// The PTX text of an image, between writes_image.c and writes_unpack.c.
#ifndef GN_INTERPOSE_WRITES_PARTS_H
#define GN_INTERPOSE_WRITES_PARTS_H

#include "core/image/image.h"

// 64 MiB of PTX are looked at: that takes some seconds, and no library has more for one device.
enum { GN_WRITES_TEXT_BYTES_MAX = 64 << 20 };

struct gn_writes_text {
    const char *data;
    uint64_t size_bytes;
    char *made; // to be freed
};

// The text of a fatbin's entry: NULL, or why there is none.
const char *gn_writes_unpack(const struct gn_fatbin_entry *entry, struct gn_writes_text *text);

#endif

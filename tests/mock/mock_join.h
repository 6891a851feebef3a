// SPDX-License-Identifier: Apache-2.0
// Separate compilation: the PTX of several translation units, which a driver links at the load, as one text.
#ifndef GN_TESTS_MOCK_MOCK_JOIN_H
#define GN_TESTS_MOCK_MOCK_JOIN_H

#include <stddef.h>

#include "tests/mock/image_unpack.h"

// For a wrapper with several fatbins (nvcc -rdc=true, linked for no particular device): 0 and one PTX text in *out; -ENOENT when `image` is
// anything else or fewer than two of them have PTX; otherwise as mock_image_pick.
int mock_ptx_join(const void *image, size_t avail_bytes, uint32_t device_sm, struct mock_image *out);

// Behind white space and comments.
const char *mock_ptx_skip_blank(const char *at);

#endif

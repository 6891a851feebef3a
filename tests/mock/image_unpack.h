// SPDX-License-Identifier: Apache-2.0
// Out of any CUDA image, the part that a device of a given SM would run, unpacked: PTX text or a cubin.
#ifndef GN_TESTS_MOCK_IMAGE_UNPACK_H
#define GN_TESTS_MOCK_IMAGE_UNPACK_H

#include "core/image/image.h"

#define MOCK_IMAGE_UNPACKED_MAX                                                                              \
    ((uint64_t)256 << 20) // a sensible limit_bytes: ten times the largest part of a CUDA library

enum mock_image_want {
    MOCK_IMAGE_PTX_FIRST,   // what the PTX engine can run; a cubin only where no PTX fits
    MOCK_IMAGE_CUBIN_FIRST, // what a real driver takes
};

struct mock_image {
    enum gn_image_kind kind; // GN_IMAGE_PTX or GN_IMAGE_CUBIN
    uint8_t *data;           // from malloc; mock_image_free
    uint64_t size_bytes;     // PTX: length of the text, a NUL follows
    uint32_t sm;             // that it was made for
    struct gn_image_error error;
};

// Picks and unpacks: the highest SM that the device can run, the more specific of two (sm_90a before sm_90).
// Follows the pointers of a wrapper. *out is filled on success only, except for its error. 0; -ENOENT:
// nothing in it fits the device (or only LTO-IR); -EINVAL: malformed; -E2BIG: would unpack to more than
// limit_bytes; -ENOMEM.
int mock_image_pick(const void *image, size_t avail_bytes, uint32_t device_sm, enum mock_image_want want,
                    uint64_t limit_bytes, struct mock_image *out);
void mock_image_free(struct mock_image *image);

// What the PTX engine runs of an image, which can be several texts: a version-2 wrapper (nvcc -rdc=true) has
// a fatbin of linked code, which is empty where nothing was linked for a known device, and the relocatable
// code of each translation unit, which the driver links. So: the PTX of the linked code; else the PTX of all
// units together; else one part, as mock_image_pick. Units without PTX are passed over: a missing name is the
// linker's to tell. *parts, from malloc, is filled on success; mock_parts_free. limit_bytes: of all together.
// As mock_image_pick; -E2BIG also over GN_IMAGE_WRAPPED_MAX units.
struct mock_parts {
    struct mock_image *images;
    uint32_t count;
    struct gn_image_error error;
};
int mock_image_pick_parts(const void *image, size_t avail_bytes, uint32_t device_sm, uint64_t limit_bytes,
                          struct mock_parts *parts);
void mock_parts_free(struct mock_parts *parts);

// Unpacks the payload of one entry into memory from malloc; one NUL follows the *size_bytes. 0, -EINVAL
// (*reason says why), -E2BIG, -ENOMEM.
int mock_entry_unpack(const struct gn_fatbin_entry *entry, uint64_t limit_bytes, uint8_t **data,
                      uint64_t *size_bytes, const char **reason);

#endif

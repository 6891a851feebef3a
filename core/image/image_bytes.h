// SPDX-License-Identifier: Apache-2.0
// Little-endian loads from unaligned image bytes, and the one bounds check that the image readers share.
// Private to core/image*.c.
#ifndef GN_CORE_IMAGE_BYTES_H
#define GN_CORE_IMAGE_BYTES_H

#include <stdbool.h>
#include <stdint.h>

struct gn_image_error;

static inline uint16_t gn_load_u16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }

static inline uint32_t gn_load_u32(const uint8_t *at)
{
    return gn_load_u16(at) | (uint32_t)gn_load_u16(at + 2) << 16;
}

static inline uint64_t gn_load_u64(const uint8_t *at)
{
    return gn_load_u32(at) | (uint64_t)gn_load_u32(at + 4) << 32;
}

// Do `length` bytes from `at` lie within `size`? Holds for every value: nothing is added up.
static inline bool gn_span_within(uint64_t size, uint64_t at, uint64_t length)
{
    return length <= size && at <= size - length;
}

// The size of the ELF file that starts here (image_cubin.c), from its headers and at most `avail_bytes`. 0,
// -EINVAL, -E2BIG.
int gn_elf_size(const uint8_t *data, uint64_t avail_bytes, uint64_t *size_bytes,
                struct gn_image_error *error);

#endif

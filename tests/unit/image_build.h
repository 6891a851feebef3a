// SPDX-License-Identifier: Apache-2.0
// Hand-made CUDA images for tests: a byte buffer, fatbins entry by entry, and a small cubin whose every field
// a test can spoil.
#ifndef GN_TESTS_UNIT_IMAGE_BUILD_H
#define GN_TESTS_UNIT_IMAGE_BUILD_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct image_bytes {
    uint8_t *data;
    size_t size;
};

static inline void image_put(struct image_bytes *b, const void *bytes, size_t count)
{
    b->data = realloc(b->data, b->size + count + 1);
    if (count)
        memcpy(b->data + b->size, bytes, count);
    b->size += count;
}

static inline void image_pad(struct image_bytes *b, size_t align)
{
    while (b->size % align)
        image_put(b, "", 1);
}

static inline void image_set(struct image_bytes *b, size_t at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        b->data[at + i] = (uint8_t)(value >> 8 * i);
}

static inline uint64_t image_get(const struct image_bytes *b, size_t at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)b->data[at + i] << 8 * i;
    return value;
}

// --- fatbin

static inline struct image_bytes fatbin_begin(void)
{
    static const uint8_t header[16] = {0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0};
    struct image_bytes b = {0};
    image_put(&b, header, sizeof header);
    return b;
}

struct fatbin_part {
    uint16_t kind;
    uint32_t sm;
    uint64_t flags;
    const void *payload;
    size_t payload_size;
    uint32_t compressed; // 0 = raw
    uint64_t uncompressed;
    const char *name; // or NULL
};

// Returns where the entry starts.
static inline size_t fatbin_add(struct image_bytes *b, const struct fatbin_part *part)
{
    size_t at = b->size, name_size = part->name ? (strlen(part->name) + 7) / 8 * 8 : 0;
    static const uint8_t zeros[64];
    image_put(b, zeros, sizeof zeros);
    image_set(b, at, part->kind, 2);
    image_set(b, at + 4, 64 + name_size, 4);
    image_set(b, at + 16, part->compressed, 4);
    image_set(b, at + 28, part->sm, 4);
    image_set(b, at + 40, part->flags, 8);
    image_set(b, at + 56, part->uncompressed, 8);
    if (part->name) {
        image_set(b, at + 32, 64, 4);
        image_set(b, at + 36, strlen(part->name), 4);
        image_put(b, part->name, strlen(part->name));
        image_pad(b, 8);
    }
    size_t payload_at = b->size;
    image_put(b, part->payload, part->payload_size);
    image_pad(b, 8);
    image_set(b, at + 8, b->size - payload_at, 8);
    image_set(b, 8, b->size - 16, 8);
    return at;
}

// --- cubin: sections by number
enum {
    SECTION_NULL,
    SECTION_NAMES,
    SECTION_STRINGS,
    SECTION_SYMBOLS,
    SECTION_INFO,        // .nv.info
    SECTION_INFO_KERNEL, // .nv.info.axpy
    SECTION_INFO_DEVICE, // .nv.info.helper, a device function
    SECTION_TEXT_KERNEL,
    SECTION_TEXT_DEVICE,
    SECTION_SHARED, // .nv.shared.axpy
    SECTION_COUNT,
};

struct cubin_made {
    struct image_bytes bytes;
    size_t sections_at; // header i is at sections_at + 64 * i
};

static inline size_t cubin_section(const struct cubin_made *c, unsigned index)
{
    return c->sections_at + 64 * index;
}

// One kernel, axpy(float, float *, char[5]): offsets 0, 8, 16 of 21 bytes, the last in the form for large
// blocks; 24 registers, 256 B of stack, 400 B shared, .reqntid 32,4,1; and one device function. `new_style`
// is the ELF flavour of CUDA 13.
static inline struct cubin_made cubin_make(int new_style, uint32_t sm)
{
    static const char names[] =
        "\0.shstrtab\0.strtab\0.symtab\0.nv.info\0.nv.info.axpy\0.nv.info.helper\0.text.axpy\0"
        ".text.helper\0.nv.shared.axpy";
    static const char strings[] = "\0axpy\0helper";
    static const uint32_t symbols[] = {0,   0,
                                       0,   0,
                                       0,   0, // the null symbol
                                       1,   0x12 | 0x10 << 8 | SECTION_TEXT_KERNEL << 16,
                                       0,   0,
                                       128, 0,
                                       6,   0x12 | SECTION_TEXT_DEVICE << 16,
                                       0,   0,
                                       64,  0};
    static const uint32_t info[] = {0x00082f04, 1, 24, 0x00081104, 1, 256,
                                    0x00082f04, 2, 9,  0x00081104, 2, 8};
    static const uint32_t info_kernel[] = {
        0x000c4504,        0,          0x00100002, 5,          0x000c1704, 0,          0x00080001,
        8 << 18 | 0x1f000, 0x000c1704, 0,          0x00000000, 4 << 18,    0x00151903, 0x00ff1b03,
        0x000c1004,        32,         4,          1,          0x00080a04, 3,          0x00150160};
    static const uint32_t info_device[] = {0x00ff1b03};
    static const uint8_t code[128];
    static const struct {
        uint32_t name, type, link, info, size;
        const void *data;
    } sections[SECTION_COUNT] = {
        [SECTION_NAMES] = {1, 3, 0, 0, sizeof names, names},
        [SECTION_STRINGS] = {11, 3, 0, 0, sizeof strings, strings},
        [SECTION_SYMBOLS] = {19, 2, SECTION_STRINGS, 0, sizeof symbols, symbols},
        [SECTION_INFO] = {27, 0x70000000, SECTION_SYMBOLS, 0, sizeof info, info},
        [SECTION_INFO_KERNEL] = {36, 0x70000000, SECTION_SYMBOLS, SECTION_TEXT_KERNEL, sizeof info_kernel,
                                 info_kernel},
        [SECTION_INFO_DEVICE] = {50, 0x70000000, SECTION_SYMBOLS, SECTION_TEXT_DEVICE, sizeof info_device,
                                 info_device},
        [SECTION_TEXT_KERNEL] = {66, 1, SECTION_SYMBOLS, 24u << 24 | 1, 128, code},
        [SECTION_TEXT_DEVICE] = {77, 1, SECTION_SYMBOLS, 9u << 24 | 2, 64, code},
        [SECTION_SHARED] = {90, 8, 0, SECTION_TEXT_KERNEL, 400, NULL},
    };
    static const uint8_t ident[16] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    static const uint8_t zeros[64];
    struct cubin_made c = {0};
    struct image_bytes *b = &c.bytes;
    image_put(b, zeros, sizeof zeros);
    memcpy(b->data, ident, sizeof ident);
    b->data[7] = new_style ? 0x41 : 0x33;
    b->data[8] = new_style ? 8 : 7;
    image_set(b, 16, 2, 2);
    image_set(b, 18, 190, 2);
    image_set(b, 48, new_style ? 0x6000004 | sm << 8 : 0x500500 | sm, 4);
    image_set(b, 58, 64, 2);
    image_set(b, 60, SECTION_COUNT, 2);
    image_set(b, 62, SECTION_NAMES, 2);
    size_t at[SECTION_COUNT] = {0};
    for (unsigned i = 1; i < SECTION_COUNT; i++) {
        image_pad(b, 8);
        at[i] = b->size;
        if (sections[i].data)
            image_put(b, sections[i].data, sections[i].size);
    }
    image_pad(b, 8);
    c.sections_at = b->size;
    image_set(b, 40, b->size, 8);
    for (unsigned i = 0; i < SECTION_COUNT; i++) {
        image_put(b, zeros, sizeof zeros);
        size_t header = cubin_section(&c, i);
        image_set(b, header, sections[i].name, 4);
        image_set(b, header + 4, sections[i].type, 4);
        image_set(b, header + 24, at[i], 8);
        image_set(b, header + 32, sections[i].size, 8);
        image_set(b, header + 40, sections[i].link, 4);
        image_set(b, header + 44, sections[i].info, 4);
    }
    return c;
}

#endif

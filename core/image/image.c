// SPDX-License-Identifier: Apache-2.0
// What a CUDA image is, how long it is, and what a fatbin holds.
#include "core/image/image.h"

#include <errno.h>
#include <string.h>

#include "core/image/image_bytes.h"

enum {
    WRAPPER_BYTES = 24,
    FATBIN_HEADER_BYTES = 16, // the least; the header says its own size
    ENTRY_HEADER_BYTES = 64,
};
#define FATBIN_MAGIC 0xba55ed50u

static const uint8_t elf_magic[4] = {0x7f, 'E', 'L', 'F'};

static int refuse(struct gn_image_error *error, int code, uint64_t offset_bytes, const char *reason)
{
    *error = (struct gn_image_error){.reason = reason, .offset_bytes = offset_bytes};
    return code;
}

static int probe_ptx(const char *text, uint64_t avail_bytes, struct gn_image *out)
{
    uint64_t limit = avail_bytes < GN_IMAGE_PTX_MAX ? avail_bytes : GN_IMAGE_PTX_MAX;
    uint64_t length = strnlen(text, limit);
    if (length == limit && avail_bytes > limit)
        return refuse(&out->error, -E2BIG, limit, "text without an end within the limit of PTX text");
    if (!gn_ptx_is_text(text, length))
        return refuse(&out->error, -EINVAL, 0, "neither PTX text, ELF nor fatbin");
    if (length == limit)
        return refuse(&out->error, -EINVAL, limit, "PTX text is cut off: no NUL at its end");
    out->kind = GN_IMAGE_PTX;
    out->size_bytes = length + 1;
    return 0;
}

static int probe_wrapper(const uint8_t *data, uint64_t avail_bytes, struct gn_image *out)
{
    if (avail_bytes < WRAPPER_BYTES)
        return refuse(&out->error, -EINVAL, avail_bytes, "fatbin wrapper is cut off");
    uint32_t version = gn_load_u32(data + 4);
    if (version != 1 && version != 2)
        return refuse(&out->error, -EINVAL, 4, "fatbin wrapper of an unknown version");
    memcpy(&out->fatbin, data + 8, sizeof out->fatbin);
    if (!out->fatbin)
        return refuse(&out->error, -EINVAL, 8, "fatbin wrapper without a fatbin");
    if (version == 2)
        memcpy(&out->linked, data + 16, sizeof out->linked);
    out->wrapper_version = version;
    out->kind = GN_IMAGE_WRAPPER;
    out->size_bytes = WRAPPER_BYTES;
    return 0;
}

static int probe_fatbin(const uint8_t *data, uint64_t avail_bytes, struct gn_image *out)
{
    if (avail_bytes < FATBIN_HEADER_BYTES)
        return refuse(&out->error, -EINVAL, avail_bytes, "fatbin header is cut off");
    uint16_t version = gn_load_u16(data + 4), header_bytes = gn_load_u16(data + 6);
    uint64_t rest = gn_load_u64(data + 8);
    if (version != 1)
        return refuse(&out->error, -EINVAL, 4, "fatbin of an unknown version");
    if (header_bytes < FATBIN_HEADER_BYTES)
        return refuse(&out->error, -EINVAL, 6, "fatbin header says it is smaller than a header");
    if (rest > GN_IMAGE_SIZE_MAX - header_bytes)
        return refuse(&out->error, -E2BIG, 8, "fatbin says it is larger than any image may be");
    if (header_bytes + rest > avail_bytes)
        return refuse(&out->error, -EINVAL, avail_bytes, "fatbin is cut off: its header says it is longer");
    out->kind = GN_IMAGE_FATBIN;
    out->size_bytes = header_bytes + rest;
    return 0;
}

int gn_image_probe(const void *data, size_t avail_bytes, struct gn_image *out)
{
    const uint8_t *bytes = data;
    *out = (struct gn_image){.data = data};
    if (!data)
        return refuse(&out->error, -EINVAL, 0, "no image");
    uint64_t avail = avail_bytes;
    if (avail_bytes != GN_IMAGE_SIZE_UNKNOWN && avail > GN_IMAGE_SIZE_MAX)
        return refuse(&out->error, -E2BIG, GN_IMAGE_SIZE_MAX, "larger than any image may be");

    // A text of unknown length may end, and its page with it, before the fourth byte; no magic contains a
    // zero.
    uint8_t magic[4] = {0};
    for (unsigned i = 0; i < sizeof magic && i < avail; i++) {
        magic[i] = bytes[i];
        if (!magic[i])
            break;
    }
    switch (gn_load_u32(magic)) {
    case GN_WRAPPER_MAGIC: return probe_wrapper(bytes, avail, out);
    case FATBIN_MAGIC: return probe_fatbin(bytes, avail, out);
    default: break;
    }
    if (memcmp(magic, elf_magic, sizeof magic) != 0)
        return probe_ptx(data, avail, out);
    int rc = gn_elf_size(bytes, avail, &out->size_bytes, &out->error);
    if (rc == 0)
        out->kind = GN_IMAGE_CUBIN;
    return rc;
}

const void *gn_image_wrapped(const struct gn_image *wrapper, uint32_t *at)
{
    uint32_t index = *at;
    const void *fatbin = NULL;
    if (wrapper->kind != GN_IMAGE_WRAPPER || index >= GN_IMAGE_WRAPPED_MAX)
        return NULL;
    if (index == 0)
        fatbin = wrapper->fatbin;
    else if (wrapper->linked)
        memcpy(&fatbin, (const char *)wrapper->linked + (index - 1) * sizeof fatbin, sizeof fatbin);
    if (fatbin)
        *at = index + 1;
    return fatbin;
}

int gn_image_wrapped_count(const struct gn_image *wrapper, uint32_t *count)
{
    const void *next;
    *count = 0;
    while (gn_image_wrapped(wrapper, count))
        continue;
    if (*count < GN_IMAGE_WRAPPED_MAX || !wrapper->linked)
        return 0;
    memcpy(&next, (const char *)wrapper->linked + (*count - 1) * sizeof next, sizeof next);
    return next ? -E2BIG : 0;
}

int gn_fatbin_begin(struct gn_fatbin_iter *it, const void *data, size_t avail_bytes)
{
    struct gn_image image;
    *it = (struct gn_fatbin_iter){.data = data};
    int rc = gn_image_probe(data, avail_bytes, &image);
    if (rc == 0 && image.kind != GN_IMAGE_FATBIN)
        rc = refuse(&image.error, -EINVAL, 0, "not a fatbin");
    it->error = image.error;
    if (rc < 0)
        return rc;
    it->size_bytes = image.size_bytes;
    it->at_bytes = gn_load_u16(it->data + 6);
    return 0;
}

// Takes the fields of one entry header over and holds them against each other; the header itself is known to
// be there.
static const char *read_entry(const uint8_t *at, uint64_t header_bytes, struct gn_fatbin_entry *entry)
{
    entry->kind = gn_load_u16(at);
    entry->compressed_bytes = gn_load_u32(at + 16);
    entry->sm = gn_load_u32(at + 28);
    entry->flags = gn_load_u64(at + 40);
    entry->uncompressed_bytes = gn_load_u64(at + 56);

    uint64_t name_at = gn_load_u32(at + 32), name_bytes = gn_load_u32(at + 36);
    if (name_bytes) {
        if (!gn_span_within(header_bytes, name_at, name_bytes))
            return "fatbin entry's name lies outside its header";
        entry->name = (const char *)at + name_at;
        entry->name_bytes = name_bytes;
    }

    bool lz4 = entry->flags & GN_FATBIN_LZ4, zstd = entry->flags & GN_FATBIN_ZSTD;
    if (lz4 && zstd)
        return "fatbin entry says it is compressed in two ways";
    if ((lz4 || zstd) && (!entry->compressed_bytes || !entry->uncompressed_bytes))
        return "compressed fatbin entry without its sizes";
    if (entry->compressed_bytes > entry->payload_bytes)
        return "fatbin entry's compressed size exceeds its payload";
    if (!entry->compressed_bytes)
        entry->uncompressed_bytes = entry->payload_bytes;
    return NULL;
}

int gn_fatbin_next(struct gn_fatbin_iter *it, struct gn_fatbin_entry *entry)
{
    uint64_t at = it->at_bytes, left = it->size_bytes - at;
    *entry = (struct gn_fatbin_entry){.offset_bytes = at};
    if (it->error.reason)
        return -EINVAL;
    if (!left)
        return 0;
    if (left < ENTRY_HEADER_BYTES)
        return refuse(&it->error, -EINVAL, at, "fatbin entry header is cut off");

    uint64_t header_bytes = gn_load_u32(it->data + at + 4);
    entry->payload_bytes = gn_load_u64(it->data + at + 8);
    if (header_bytes < ENTRY_HEADER_BYTES || header_bytes > left)
        return refuse(&it->error, -EINVAL, at + 4, "fatbin entry header of an impossible size");
    if (entry->payload_bytes > left - header_bytes)
        return refuse(&it->error, -EINVAL, at + 8, "fatbin entry's payload reaches beyond the fatbin");
    entry->payload = it->data + at + header_bytes;
    const char *reason = read_entry(it->data + at, header_bytes, entry);
    if (reason)
        return refuse(&it->error, -EINVAL, at, reason);
    it->at_bytes = at + header_bytes + entry->payload_bytes;
    return 1;
}

bool gn_fatbin_fits(const struct gn_fatbin_entry *entry, uint32_t device_sm)
{
    bool same_major = entry->sm / 10 == device_sm / 10;
    if (entry->sm > device_sm || (entry->kind != GN_FATBIN_PTX && entry->kind != GN_FATBIN_CUBIN))
        return false;
    if (entry->flags & GN_FATBIN_ARCH_ONLY)
        return entry->sm == device_sm;
    if (entry->kind == GN_FATBIN_CUBIN || entry->flags & GN_FATBIN_FAMILY_ONLY)
        return same_major;
    return true;
}

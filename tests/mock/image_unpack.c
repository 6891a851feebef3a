// SPDX-License-Identifier: Apache-2.0
// Unpacking and choosing among the parts of CUDA images. core/image reads the containers; the decompressors
// are here, where there is malloc.
#include "tests/mock/image_unpack.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <zstd.h>

static const char *unpack_into(const struct gn_fatbin_entry *entry, uint8_t *data)
{
    if (!entry->compressed_bytes) {
        memcpy(data, entry->payload, entry->payload_bytes);
        return NULL;
    }
    if (entry->flags & GN_FATBIN_LZ4) {
        if (entry->compressed_bytes > INT_MAX || entry->uncompressed_bytes > INT_MAX)
            return "LZ4 payload larger than a block can be";
        int got = LZ4_decompress_safe((const char *)entry->payload, (char *)data,
                                      (int)entry->compressed_bytes, (int)entry->uncompressed_bytes);
        return got >= 0 && (uint64_t)got == entry->uncompressed_bytes
                   ? NULL
                   : "LZ4 payload does not unpack to its size";
    }
    if (entry->flags & GN_FATBIN_ZSTD) {
        size_t got =
            ZSTD_decompress(data, entry->uncompressed_bytes, entry->payload, entry->compressed_bytes);
        return got == entry->uncompressed_bytes ? NULL : "zstd payload does not unpack to its size";
    }
    return "fatbin entry is compressed in an unknown way";
}

int mock_entry_unpack(const struct gn_fatbin_entry *entry, uint64_t limit_bytes, uint8_t **data,
                      uint64_t *size_bytes, const char **reason)
{
    *data = NULL;
    *reason = NULL;
    if (entry->uncompressed_bytes > limit_bytes) {
        *reason = "fatbin entry unpacks to more than the limit";
        return -E2BIG;
    }
    uint8_t *room = malloc(entry->uncompressed_bytes + 1);
    if (!room)
        return -ENOMEM;
    *reason = unpack_into(entry, room);
    if (*reason) {
        free(room);
        return -EINVAL;
    }
    room[entry->uncompressed_bytes] = 0;
    *data = room;
    *size_bytes = entry->uncompressed_bytes;
    return 0;
}

// How well an entry serves: 0 = not at all. Kind first, then the SM, then how specific it is to that SM.
static uint32_t rank_of(const struct gn_fatbin_entry *entry, uint32_t device_sm, enum mock_image_want want)
{
    if (!gn_fatbin_fits(entry, device_sm) || entry->sm > UINT16_MAX)
        return 0;
    bool wanted = (entry->kind == GN_FATBIN_PTX) == (want == MOCK_IMAGE_PTX_FIRST);
    uint32_t special = entry->flags & GN_FATBIN_ARCH_ONLY ? 2 : entry->flags & GN_FATBIN_FAMILY_ONLY ? 1 : 0;
    return (uint32_t)wanted << 24 | entry->sm << 2 | special | 1u << 23;
}

struct choice {
    struct gn_fatbin_entry entry;
    uint32_t rank;
};

static int choose_from(const void *fatbin, size_t avail_bytes, uint32_t device_sm, enum mock_image_want want,
                       struct choice *best, struct gn_image_error *error)
{
    struct gn_fatbin_iter it;
    struct gn_fatbin_entry entry;
    int rc = gn_fatbin_begin(&it, fatbin, avail_bytes);
    while (rc == 0 && (rc = gn_fatbin_next(&it, &entry)) > 0) {
        uint32_t rank = rank_of(&entry, device_sm, want);
        if (rank > best->rank)
            *best = (struct choice){.entry = entry, .rank = rank};
        rc = 0;
    }
    if (rc < 0)
        *error = it.error;
    return rc;
}

// A bare PTX text or cubin as the entry that it would be in a fatbin.
static struct gn_fatbin_entry entry_of(const struct gn_image *image)
{
    struct gn_fatbin_entry entry = {
        .kind = GN_FATBIN_PTX,
        .payload = image->data,
        .payload_bytes = image->size_bytes,
        .uncompressed_bytes = image->size_bytes,
    };
    if (image->kind == GN_IMAGE_PTX) {
        entry.sm = gn_ptx_target(image->data, image->size_bytes);
    } else {
        struct gn_cubin cubin;
        entry.kind = GN_FATBIN_CUBIN;
        entry.sm = gn_cubin_open(&cubin, image->data, image->size_bytes) == 0 ? cubin.sm : UINT32_MAX;
    }
    return entry;
}

static int choose(const struct gn_image *image, uint32_t device_sm, enum mock_image_want want,
                  struct choice *best, struct gn_image_error *error)
{
    uint32_t at = 0;
    int rc = 0;
    switch (image->kind) {
    case GN_IMAGE_PTX:
    case GN_IMAGE_CUBIN:
        best->entry = entry_of(image);
        best->rank = rank_of(&best->entry, device_sm, want);
        return 0;
    case GN_IMAGE_FATBIN: return choose_from(image->data, image->size_bytes, device_sm, want, best, error);
    case GN_IMAGE_WRAPPER:
        for (const void *fatbin; rc == 0 && (fatbin = gn_image_wrapped(image, &at));)
            rc = choose_from(fatbin, GN_IMAGE_SIZE_UNKNOWN, device_sm, want, best, error);
        return rc;
    case GN_IMAGE_NONE: break;
    }
    return -EINVAL;
}

int mock_image_pick(const void *image, size_t avail_bytes, uint32_t device_sm, enum mock_image_want want,
                    uint64_t limit_bytes, struct mock_image *out)
{
    struct gn_image probed;
    struct choice best = {0};
    *out = (struct mock_image){0};
    int rc = gn_image_probe(image, avail_bytes, &probed);
    if (rc < 0) {
        out->error = probed.error;
        return rc;
    }
    rc = choose(&probed, device_sm, want, &best, &out->error);
    if (rc < 0)
        return rc;
    if (!best.rank) {
        out->error.reason = "the image has nothing for this device";
        return -ENOENT;
    }
    rc = mock_entry_unpack(&best.entry, limit_bytes, &out->data, &out->size_bytes, &out->error.reason);
    if (rc < 0) {
        out->error.offset_bytes = best.entry.offset_bytes;
        return rc;
    }
    out->kind = best.entry.kind == GN_FATBIN_PTX ? GN_IMAGE_PTX : GN_IMAGE_CUBIN;
    out->sm = best.entry.sm;
    if (out->kind == GN_IMAGE_PTX)
        out->size_bytes = strnlen((const char *)out->data, out->size_bytes); // without its NUL and padding
    return 0;
}

void mock_image_free(struct mock_image *image)
{
    free(image->data);
    image->data = NULL;
}

// The PTX of one unit, if it has any that fits. 1 = yes, 0 = no.
static int add_unit(const void *fatbin, uint32_t device_sm, uint64_t limit_bytes, struct mock_parts *parts)
{
    struct mock_image *images = realloc(parts->images, (parts->count + 1) * sizeof *images);
    if (!images)
        return -ENOMEM;
    parts->images = images;
    struct mock_image *unit = &images[parts->count];
    int rc =
        mock_image_pick(fatbin, GN_IMAGE_SIZE_UNKNOWN, device_sm, MOCK_IMAGE_PTX_FIRST, limit_bytes, unit);
    parts->error = unit->error;
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    if (unit->kind == GN_IMAGE_PTX) {
        parts->count++;
        return 1;
    }
    mock_image_free(unit);
    return 0;
}

static int pick_units(const struct gn_image *wrapper, uint32_t device_sm, uint64_t limit_bytes,
                      struct mock_parts *parts)
{
    uint32_t at = 0, count;
    int rc = gn_image_wrapped_count(wrapper, &count);
    if (rc < 0) {
        parts->error.reason = "more translation units than a program can have";
        return rc;
    }
    for (const void *fatbin; (fatbin = gn_image_wrapped(wrapper, &at));) {
        rc = add_unit(fatbin, device_sm, limit_bytes, parts);
        if (rc < 0 || (rc > 0 && at == 1)) // an error, or linked code
            return rc;
        if (rc > 0)
            limit_bytes -= parts->images[parts->count - 1].size_bytes;
    }
    return 0;
}

int mock_image_pick_parts(const void *image, size_t avail_bytes, uint32_t device_sm, uint64_t limit_bytes,
                          struct mock_parts *parts)
{
    struct gn_image probed;
    *parts = (struct mock_parts){0};
    int rc = gn_image_probe(image, avail_bytes, &probed);
    parts->error = probed.error;
    if (rc == 0 && probed.kind == GN_IMAGE_WRAPPER && avail_bytes != GN_IMAGE_SIZE_UNKNOWN) {
        parts->error.reason = "a wrapper in a file: its pointers lead nowhere";
        rc = -EINVAL;
    }
    if (rc == 0 && probed.linked)
        rc = pick_units(&probed, device_sm, limit_bytes, parts);
    if (rc == 0 && !parts->count) {
        parts->images = parts->images ? parts->images : malloc(sizeof *parts->images);
        rc = !parts->images ? -ENOMEM
                            : mock_image_pick(image, avail_bytes, device_sm, MOCK_IMAGE_PTX_FIRST,
                                              limit_bytes, parts->images);
        if (rc == 0)
            parts->count = 1;
        else if (rc != -ENOMEM)
            parts->error = parts->images->error;
    }
    if (rc < 0)
        mock_parts_free(parts);
    return rc < 0 ? rc : 0;
}

void mock_parts_free(struct mock_parts *parts)
{
    for (uint32_t i = 0; i < parts->count; i++)
        mock_image_free(&parts->images[i]);
    free(parts->images);
    parts->images = NULL;
    parts->count = 0;
}

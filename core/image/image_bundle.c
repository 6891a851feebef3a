// SPDX-License-Identifier: Apache-2.0
// Writing and reading the head of a bundle of fatbins.
#include "core/image/image_bundle.h"

#include <errno.h>
#include <string.h>

#include "core/image/image_bytes.h"

enum { SIZES_AT = 8, FATBIN_LEAST = 16 };

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

void gn_bundle_head(void *head, const uint64_t *size_bytes, uint32_t count)
{
    uint8_t *at = head;
    memset(at, 0, gn_bundle_head_bytes(count));
    put(at, GN_BUNDLE_MAGIC, 4);
    put(at + 4, count, 4);
    for (uint32_t i = 0; i < count; i++)
        put(at + SIZES_AT + 8 * (size_t)i, size_bytes[i], 8);
}

bool gn_bundle_is(const void *data, uint64_t size_bytes)
{
    return size_bytes >= SIZES_AT && gn_load_u32(data) == GN_BUNDLE_MAGIC;
}

static int refuse(struct gn_bundle *bundle, int code, uint64_t offset_bytes, const char *reason)
{
    bundle->error = (struct gn_image_error){.reason = reason, .offset_bytes = offset_bytes};
    return code;
}

int gn_bundle_open(struct gn_bundle *bundle, const void *data, uint64_t size_bytes)
{
    *bundle = (struct gn_bundle){.data = data};
    if (!gn_bundle_is(data, size_bytes))
        return refuse(bundle, -EINVAL, 0, "not a bundle of fatbins");
    uint32_t count = gn_load_u32(bundle->data + 4);
    if (count > GN_IMAGE_WRAPPED_MAX)
        return refuse(bundle, -E2BIG, 4, "a bundle of more fatbins than a wrapper may have");
    uint64_t at = gn_bundle_head_bytes(count);
    if (!count || at > size_bytes)
        return refuse(bundle, -EINVAL, 4, "a bundle of no fatbins, or cut off before their sizes end");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t size_at = SIZES_AT + 8 * (uint64_t)i, size = gn_load_u64(bundle->data + size_at);
        if (size < FATBIN_LEAST)
            return refuse(bundle, -EINVAL, size_at, "a fatbin smaller than its header");
        if (size > size_bytes - at || gn_bundle_padded(size) > size_bytes - at)
            return refuse(bundle, -EINVAL, size_at, "a fatbin that reaches beyond its bundle");
        at += gn_bundle_padded(size);
    }
    if (at != size_bytes)
        return refuse(bundle, -EINVAL, at, "bytes behind the last fatbin of a bundle");
    bundle->count = count;
    bundle->at_bytes = gn_bundle_head_bytes(count);
    return 0;
}

const void *gn_bundle_next(struct gn_bundle *bundle, uint64_t *size_bytes)
{
    if (bundle->at >= bundle->count)
        return NULL;
    const uint8_t *fatbin = bundle->data + bundle->at_bytes;
    *size_bytes = gn_load_u64(bundle->data + SIZES_AT + 8 * (uint64_t)bundle->at++);
    bundle->at_bytes += gn_bundle_padded(*size_bytes);
    return fatbin;
}

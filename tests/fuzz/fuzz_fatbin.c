// SPDX-License-Identifier: Apache-2.0
// Fuzzes everything that reads fatbins, bundles of them and PTX text: probing, walking entries, unpacking,
// picking, scanning for parameters. Beyond not crashing: every payload and name lies in the image, errors
// have a reason, an entry's parameters lie in order in its block.
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/image_bundle.h"
#include "tests/mock/image_unpack.h"

enum { LIMIT = 1 << 16, PARAMS_MAX = 64 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void scan_ptx(const char *text, uint64_t size)
{
    struct gn_ptx_iter it;
    struct gn_ptx_entry entry;
    struct gn_image_param params[PARAMS_MAX];
    int rc;
    gn_ptx_target(text, size);
    gn_ptx_begin(&it, text, size);
    while ((rc = gn_ptx_next(&it, &entry, params, PARAMS_MAX)) > 0) {
        uint32_t end = 0;
        require(entry.name >= text && entry.name + entry.name_bytes <= text + size && entry.name_bytes);
        for (uint32_t i = 0; i < entry.param_count; i++) {
            require(params[i].offset_bytes >= end && params[i].size_bytes);
            end = params[i].offset_bytes + params[i].size_bytes;
        }
        require(end == entry.param_bytes && end <= GN_IMAGE_PARAM_BYTES_MAX);
    }
    require(rc == 0 || it.error.reason);
}

static void walk_fatbin(const uint8_t *data, size_t size)
{
    struct gn_fatbin_iter it;
    struct gn_fatbin_entry entry;
    require(gn_fatbin_begin(&it, data, size) == 0);
    int rc;
    while ((rc = gn_fatbin_next(&it, &entry)) > 0) {
        uint8_t *part;
        uint64_t part_size;
        const char *reason;
        require(entry.payload >= data && entry.payload_bytes <= (size_t)(data + size - entry.payload));
        require(entry.compressed_bytes <= entry.payload_bytes);
        const uint8_t *name = (const uint8_t *)entry.name;
        require(!name || (name >= data && entry.name_bytes <= (size_t)(data + size - name)));
        if (mock_entry_unpack(&entry, LIMIT, &part, &part_size, &reason) != 0) {
            require(reason);
            continue;
        }
        require(part_size <= LIMIT);
        scan_ptx((const char *)part, part_size);
        free(part);
    }
    require(rc == 0 || it.error.reason);
}

static void walk_bundle(const uint8_t *data, size_t size)
{
    struct gn_bundle bundle;
    struct gn_fatbin_iter it;
    uint64_t fatbin_bytes;
    uint32_t count = 0;
    int rc = gn_bundle_open(&bundle, data, size);
    require(rc == 0 || bundle.error.reason);
    for (const uint8_t *f; (f = gn_bundle_next(&bundle, &fatbin_bytes)) != NULL; count++) {
        require(f >= data && fatbin_bytes <= (size_t)(data + size - f) && (f - data) % GN_BUNDLE_ALIGN == 0);
        if (gn_fatbin_begin(&it, f, fatbin_bytes) == 0)
            walk_fatbin(f, fatbin_bytes);
    }
    require(rc ? !count : count == bundle.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gn_image image;
    scan_ptx((const char *)data, size);
    walk_bundle(data, size);
    int rc = gn_image_probe(data, size, &image);
    require(rc == 0 ? image.size_bytes <= size && image.kind != GN_IMAGE_NONE : image.error.reason != NULL);
    // A wrapper's pointers are the fuzzer's bytes: nobody may follow them.
    if (rc < 0 || image.kind == GN_IMAGE_WRAPPER)
        return 0;
    if (image.kind == GN_IMAGE_FATBIN)
        walk_fatbin(data, size);
    for (int want = MOCK_IMAGE_PTX_FIRST; want <= MOCK_IMAGE_CUBIN_FIRST; want++) {
        struct mock_image picked;
        rc = mock_image_pick(data, size, 90, (enum mock_image_want)want, LIMIT, &picked);
        require(rc == 0 ? picked.size_bytes <= LIMIT : picked.error.reason && !picked.data);
        mock_image_free(&picked);
    }
    return 0;
}

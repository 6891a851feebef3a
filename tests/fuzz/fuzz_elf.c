// SPDX-License-Identifier: Apache-2.0
// Fuzzes the cubin reader. Beyond not crashing: names end in the file, parameters lie in order in their
// block, errors have a reason. The first bytes, which no fuzzer would guess, are put right half of the time.
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/image.h"

enum { PARAMS_MAX = 256 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_kernel(struct gn_cubin *c, const struct gn_cubin_kernel *kernel)
{
    struct gn_image_param params[PARAMS_MAX];
    struct gn_cubin_resources resources;
    require(strnlen(kernel->name, GN_IMAGE_NAME_MAX) == kernel->name_bytes && kernel->name_bytes);
    require(kernel->param_bytes <= GN_IMAGE_PARAM_BYTES_MAX);
    int rc = gn_cubin_params(c, kernel, params, PARAMS_MAX);
    require(rc == 0 || rc == -ENOSPC || c->error.reason);
    uint32_t end = 0;
    for (uint32_t i = 0; rc == 0 && i < kernel->param_count; i++) {
        require(params[i].offset_bytes >= end && params[i].size_bytes);
        end = params[i].offset_bytes + params[i].size_bytes;
        require(end <= kernel->param_bytes);
    }
    rc = gn_cubin_resources(c, kernel, &resources);
    require(rc == 0 || c->error.reason);
}

static void read_all(const uint8_t *data, size_t size)
{
    struct gn_image image;
    struct gn_cubin c;
    struct gn_cubin_kernel kernel;
    int rc = gn_image_probe(data, size, &image);
    require(rc == 0 ? image.size_bytes <= size : image.error.reason != NULL);
    rc = gn_cubin_open(&c, data, size);
    for (unsigned i = 0; rc == 0 && i < 100; i++) { // resources look through the file once a kernel
        rc = gn_cubin_next(&c, &kernel);
        if (rc <= 0)
            break;
        check_kernel(&c, &kernel);
        rc = 0;
    }
    require(rc == 0 || c.error.reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t ident[16] = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0x41, 8};
    read_all(data, size);
    if (size < 64)
        return 0;
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);
    memcpy(copy, ident, sizeof ident);
    copy[18] = 190;
    copy[19] = 0;
    copy[58] = 64;
    copy[59] = 0;
    read_all(copy, size);
    free(copy);
    return 0;
}

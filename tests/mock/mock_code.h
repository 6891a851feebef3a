// SPDX-License-Identifier: Apache-2.0
// A loaded image: what its kernels and variables are, and PTX to make modules of. Knows no context and needs no lock.
#ifndef GN_TESTS_MOCK_MOCK_CODE_H
#define GN_TESTS_MOCK_MOCK_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remoting/cuda_types.h"
#include "tests/mock/image_unpack.h"
#include "tests/mock/mock_cubin_vars.h"
#include "tests/mock/ptx/ptx.h"

struct mock_code {
    struct mock_parts parts;       // PTX texts to be linked, or a cubin; unpacked
    struct ptx_module *spare;      // parsed and not linked yet, for the first module made of it; NULL afterwards
    struct ptx_func_info *kernels; // copies that live as long as this
    size_t kernel_count;
    struct gn_cubin cubin;         // a cubin's: opened over the image
    struct gn_cubin_kernel *cubin_kernels;
    struct mock_cubin_var *cubin_vars;
    size_t cubin_var_count;
    unsigned ptx_sm;               // .target of the PTX; of a cubin its SM
    bool is_ptx;
};

enum { MOCK_LOG_BYTES = 512 };

// Picks, unpacks and parses what `image` holds for the device (avail_bytes may be GN_IMAGE_SIZE_UNKNOWN). On failure the code of a driver,
// and in `log` why.
CUresult mock_code_load(const void *image, size_t avail_bytes, struct mock_code **out, char log[MOCK_LOG_BYTES]);
void mock_code_free(struct mock_code *code); // NULL is fine

// A parsed module of the PTX that nobody else has; the caller links and frees it.
CUresult mock_code_parse(struct mock_code *code, struct ptx_module **out, char log[MOCK_LOG_BYTES]);

// A cubin does not tell registers and memory of a kernel without a search through the file, so they come when first asked for. Needs the
// driver's lock.
void mock_code_complete(struct mock_code *code, size_t index);

// The index of a kernel, or -1.
long mock_code_find(const struct mock_code *code, const char *name);

#endif

// SPDX-License-Identifier: Apache-2.0
// The variables of a cubin: what cuModuleGetGlobal can find in an image that nothing here can run.
#ifndef GN_TESTS_MOCK_MOCK_CUBIN_VARS_H
#define GN_TESTS_MOCK_MOCK_CUBIN_VARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mock_cubin_var {
    const char *name;       // these point into the image
    const uint8_t *initial; // size_bytes of them, or NULL: zeros
    uint64_t size_bytes;
    bool is_constant;
};

// Collects them. 0 with *vars from malloc (NULL when there are none); -ENOMEM; -EINVAL: the symbols lie outside the file.
int mock_cubin_vars(const uint8_t *data, uint64_t size_bytes, struct mock_cubin_var **vars, size_t *count);

#endif

// SPDX-License-Identifier: Apache-2.0
// How many blocks of a kernel an SM holds.
#ifndef GN_TESTS_MOCK_MOCK_OCCUPANCY_H
#define GN_TESTS_MOCK_MOCK_OCCUPANCY_H

#include <stddef.h>

#include "tests/mock/mock_module.h"

// Blocks of block_threads threads and so much dynamic shared memory that fit an SM together; 0: not even one.
int mock_blocks_per_sm(const struct mock_function *function, int block_threads, size_t dynamic_shared_bytes);

#endif

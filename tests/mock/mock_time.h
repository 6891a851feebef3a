// SPDX-License-Identifier: Apache-2.0
// How long a device takes for what it is given: kernels, copies, memsets; in virtual nanoseconds, from the rates that GENIE_MOCK says.
#ifndef GN_TESTS_MOCK_MOCK_TIME_H
#define GN_TESTS_MOCK_MOCK_TIME_H

#include "tests/mock/mock_copy.h"
#include "tests/mock/mock_module.h"

// -1, from all three: as long as it takes here.
int64_t mock_time_kernel(const struct mock_function *function, const struct mock_launch_shape *shape, const unsigned char *params);
int64_t mock_time_copy(const struct mock_box *dst, const struct mock_box *src, uint64_t size_bytes);
int64_t mock_time_fill(uint64_t size_bytes);

// Whether a copy or a memset of that size really moves bytes (moves=off: only small ones do).
bool mock_time_moves(uint64_t size_bytes);

#endif

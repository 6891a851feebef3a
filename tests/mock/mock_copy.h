// SPDX-License-Identifier: Apache-2.0
// Boxes of memory to copy or fill: from addresses and pitches as the program gives them to checked ranges.
#ifndef GN_TESTS_MOCK_MOCK_COPY_H
#define GN_TESTS_MOCK_MOCK_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remoting/cuda_types.h"

enum mock_place { MOCK_PLACE_DEVICE, MOCK_PLACE_PINNED, MOCK_PLACE_PAGEABLE };

struct mock_box {              // rows of one side
    uint64_t address;          // of the first byte
    size_t pitch, slice;       // bytes from row to row, from slice to slice
    enum mock_place place;
    int device;                // -1: host
    bool is_read_only; // mapped so (cuMemSetAccess)
};

struct mock_extent {
    size_t width, height, depth; // bytes, rows, slices
};

enum mock_expect { MOCK_EXPECT_HOST, MOCK_EXPECT_DEVICE, MOCK_EXPECT_ANY };

// Finds out where the box lies and that all of it lies in one range. `expect`: what the program says it is. CUDA_ERROR_INVALID_VALUE.
CUresult mock_box_check(struct mock_box *box, struct mock_extent extent, enum mock_expect expect);

#endif

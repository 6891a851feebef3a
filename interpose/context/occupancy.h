// SPDX-License-Identifier: Apache-2.0
// How many blocks fit: what a launch needs to know of it.
#ifndef GN_INTERPOSE_OCCUPANCY_H
#define GN_INTERPOSE_OCCUPANCY_H

#include "interpose/module/function.h"

// Blocks of so many threads with so much dynamic shared memory that a multiprocessor of the current context's
// device holds at once.
CUresult gn_occupancy_blocks(struct gn_call *c, const struct gn_function *f, int block_threads,
                             size_t shared_bytes, unsigned flags, int *blocks);

// Whether a cooperative launch of `grid_blocks` blocks can be resident at once; the last answer is kept with
// the function.
CUresult gn_occupancy_cooperative(struct gn_call *c, struct gn_function *f, uint64_t grid_blocks,
                                  unsigned block_threads, unsigned shared_bytes);

#endif

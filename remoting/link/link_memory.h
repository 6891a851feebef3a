// SPDX-License-Identifier: Apache-2.0
// A pair of links within one process, for tests: with transfers cut at odd sizes, delayed, or broken off after so many bytes.
#ifndef GN_REMOTING_LINK_MEMORY_H
#define GN_REMOTING_LINK_MEMORY_H

#include <stdint.h>

#include "remoting/link/link.h"

struct gn_link_faults {
    uint32_t split_seed;       // not 0: each send and recv moves a pseudo-random number of bytes from 1 up, not all it could
    uint32_t split_bytes_max;  // at most so many (with split_seed)
    uint32_t delay_us;         // before each transfer
    uint64_t drop_after_bytes; // not 0: the link dies after this many bytes in either direction
};

// Both ends; the peers' bytes meet in two bounded buffers. 0 or -ENOMEM.
int gn_link_memory_pair(struct gn_link **a, struct gn_link **b, const struct gn_link_faults *faults);

#endif

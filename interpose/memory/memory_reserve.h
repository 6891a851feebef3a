// SPDX-License-Identifier: Apache-2.0
// Keeps this process's own memory away from the addresses of device memory: what the server allocated is
// mapped here without access, so that no malloc or mmap of the program ever gives an address that the program
// also knows as a device pointer.
#ifndef GN_INTERPOSE_MEMORY_RESERVE_H
#define GN_INTERPOSE_MEMORY_RESERVE_H

#include <stdint.h>

// Drivers hand out device memory in such granules; several small allocations share one.
#define GN_RESERVE_GRANULE_BYTES ((uint64_t)2 << 20)

struct gn_reservation { // of one allocation: granules of its own, and at most two that it shares at its edges
    uint64_t whole_start, whole_bytes;
    uint64_t edges[2]; // starts; 0: none
};

// 0; -EEXIST: this process has something there; other errors: it could not be reserved (address space limit).
// Nothing is kept on an error.
int gn_reserve(struct gn_reservation *reservation, uint64_t address, uint64_t size_bytes);
void gn_reserve_release(struct gn_reservation *reservation);
void gn_reserve_forked(void);

#endif

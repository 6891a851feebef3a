// SPDX-License-Identifier: Apache-2.0
// Device memory without asking: addresses from a range that client and server have agreed on, memory from what the server has granted in
// advance. One range a device, shared by its contexts.
#ifndef GN_INTERPOSE_MEMORY_RANGE_H
#define GN_INTERPOSE_MEMORY_RANGE_H

#include "interpose/memory/memory_map.h"
#include "interpose/shim.h"

// Places m->block in the range of the current context's device and posts what must be mapped for it. *placed false: this way it cannot be had
// (no range, not enough credit), ask the server. An error is what the call returns.
CUresult gn_range_alloc(struct gn_call *c, struct gn_memory *m, uint64_t size_bytes, bool *placed);

// How much stays free behind an allocation of so many bytes, where there is room: with hints large ones do not touch.
uint64_t gn_range_apart(uint64_t size_bytes);

// Gives a block's addresses to whoever comes next. What may still use them has been fenced off by then (memory_barrier).
void gn_range_release(struct gn_memory *m);

// Gives all that is granted and not used back to the device. True: there was some, so it may be tried again what failed for want of memory.
bool gn_range_yield(CUdevice device);

// The pitch of a pitched allocation, or 0: ask the server.
uint64_t gn_range_pitch(struct gn_call *c, uint64_t width_bytes, uint64_t size_bytes);

// What is allocated in the range, as the device would count it.
uint64_t gn_range_used(CUdevice device);

// The server grants more. On any thread, without a lock.
void gn_range_granted(uint64_t device, uint64_t bytes);

struct gn_range_counts {
    uint64_t placed, asked, credit_bytes; // allocations without and with a round trip; what may be mapped now
};
void gn_range_count(struct gn_range_counts *counts);
void gn_range_asked(void); // one more

#endif

// SPDX-License-Identifier: Apache-2.0
// Device memory of the program: what other files of the shim do with it.
#ifndef GN_INTERPOSE_MEMORY_H
#define GN_INTERPOSE_MEMORY_H

#include "interpose/memory/memory_map.h"
#include "interpose/shim.h"

// A variable of a module or library (`owner`) at this address: copies to and from it are legal until
// gn_memory_drop_globals(owner).
void gn_memory_add_global(struct gn_call *c, uint64_t context, uint64_t owner, uint64_t address, uint64_t size_bytes);
void gn_memory_drop_globals(uint64_t owner);

// What is free has changed, otherwise than by the range. To be called after the change, when it has been asked for or posted.
void gn_memory_info_forget(void);

// Waits until no copy and no host function of the contexts that used `memory` (host memory) can touch it any
// more.
CUresult gn_memory_settle(struct gn_call *c, const struct gn_memory *memory);
// Unmaps pinned memory that no map knows any more.
void gn_memory_unpin(const struct gn_memory *memory);

#endif

// SPDX-License-Identifier: Apache-2.0
// The memory behind the addresses that the client hands out by itself: a reserved range a device, and physical memory made in advance.
//
// What is made and not mapped is the client's credit: it may map so much without asking, and that cannot fail for want of memory. The client
// is told of every grain of it, and counts what it maps, unmaps and gives back exactly as this does.
#ifndef GN_SERVER_POOL_H
#define GN_SERVER_POOL_H

#include "server/worker/worker.h"

struct gn_pools; // of the worker, all devices

// Whether the address lies in a range whose mappings are the pool's.
bool gn_pool_holds(const struct gn_worker *w, uint64_t address, uint64_t size_bytes);
// The driver's word on the scope's device, kept copies (server/kept/kept.h) counted as free; and at the same moment what the session is charged for
// anything else, and how much of that is the pool's: mapped by the client, or its to map.
struct gn_pool_info {
    uint64_t free_bytes, total_bytes, used_bytes, pool_bytes;
};
CUresult gn_pool_info(struct gn_worker *w, struct gn_pool_info *info);
// An allocation went past the credit: more of it would have helped.
void gn_pool_missed(struct gn_worker *w, CUdevice device, uint64_t size_bytes);
// Memory of the device is short: what is being made ahead for the client goes back. True: there was some, try again.
bool gn_pool_reclaim(struct gn_worker *w, CUdevice device);
void gn_pools_close(struct gn_worker *w);

// The session's device memory is charged before the driver is asked: false over the session's limit. From any thread.
bool gn_memory_charge(struct gn_worker *w, uint64_t size_bytes);
void gn_memory_discharge(struct gn_worker *w, uint64_t size_bytes);

#endif

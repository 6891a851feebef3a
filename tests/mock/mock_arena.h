// SPDX-License-Identifier: Apache-2.0
// The memory that a device can reach: its own (a reserved range with an allocator) and the host's pinned memory.
//
// Allocating and freeing need the driver's lock; looking up does not: a lock inside keeps the trees whole for the engine's threads.
#ifndef GN_TESTS_MOCK_MOCK_ARENA_H
#define GN_TESTS_MOCK_MOCK_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/mock/mock_options.h"

enum {
    MOCK_ALLOC_ALIGN = 512, // 256 is what cuMemAlloc promises, 512 what it keeps: textures are bound to its memory
    MOCK_PITCH_ALIGN = 512,
};

// Where device 0's memory lies; device n's lies n spans higher. Far from heap, stack and libraries, whose addresses begin with 0x5 and 0x7.
#define MOCK_ARENA_BASE UINT64_C(0x200000000000)
#define MOCK_ARENA_SPAN UINT64_C(0x10000000000) // 1 TiB

struct mock_memory_info {  // a copy: stays true until the range is freed
    uint64_t start, size_bytes;
    int device;            // -1: pinned host memory
    uint64_t owner;        // the context's handle
    unsigned flags;        // MOCK_HOST_*
    uint64_t serial;
    bool sync_memops;
    uint64_t access;       // MOCK_MAPPED: two bits a device, CUmemAccess_flags
};

enum {
    MOCK_HOST_REGISTERED = 1 << 16, // by cuMemHostRegister; the low bits are the CUDA flags
    MOCK_INTERNAL = 1 << 17,        // a module's variables: not the program's to free
    MOCK_MAPPED = 1 << 18,          // by cuMemMap (mock_space.h): no context's, and only for devices that were given access
};

// What a device may do in a range: CUmemAccess_flags.
static inline unsigned mock_memory_access(const struct mock_memory_info *info, unsigned device)
{
    return info->flags & MOCK_MAPPED ? (unsigned)(info->access >> 2 * device) & 3 : 3;
}

// Reserves a device's range. 0 or -ENOMEM.
int mock_arena_open(unsigned device, uint64_t size_bytes);
uint64_t mock_arena_free_bytes(unsigned device);
// Takes memory of the device that lies elsewhere (mock_space.h) from what is free. 0 or -ENOMEM.
int mock_arena_charge(unsigned device, uint64_t size_bytes);
void mock_arena_uncharge(unsigned device, uint64_t size_bytes);

// 0 and *address; -ENOMEM: no space in one piece.
int mock_arena_alloc(unsigned device, uint64_t size_bytes, uint64_t owner, unsigned flags, uint64_t *address);
// 0; -EFAULT: no allocation of the device begins there.
int mock_arena_free(uint64_t address);
void mock_arena_free_internal(uint64_t address); // of a module's variable; 0 is fine
// Frees everything of the owner (device and pinned memory that it allocated; registered ranges are only forgotten).
void mock_arena_free_owner(uint64_t owner);
uint64_t mock_arena_live(uint64_t *bytes); // allocations that the program has not freed

// Pinned memory: noted here so that copies and kernels may touch it.
int mock_pinned_add(uint64_t start, uint64_t size_bytes, uint64_t owner, unsigned flags); // -EEXIST: overlaps one, -ENOMEM
int mock_pinned_alloc(uint64_t size_bytes, uint64_t owner, unsigned flags, uint64_t *address);
int mock_pinned_remove(uint64_t start, bool registered); // unmaps what mock_pinned_alloc mapped; -EFAULT

// What lies at an address: 0 and *info, or -EFAULT when it is neither device memory in use nor pinned. In *info the range holds `address`
// or (end of a zero-size tail) ends there at the latest.
int mock_memory_find(uint64_t address, struct mock_memory_info *info);
// The same for a caller that has the driver's lock, without which nothing here changes.
int mock_memory_find_locked(uint64_t address, struct mock_memory_info *info);
// Does [address, +size) lie inside one range? 0 and *info, or -EFAULT.
int mock_memory_check(uint64_t address, uint64_t size_bytes, struct mock_memory_info *info);
bool mock_memory_is_device(uint64_t address); // in some device's range or in a reservation, in use or not
int mock_memory_set_sync(uint64_t address, bool sync);

#endif

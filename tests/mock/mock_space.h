// SPDX-License-Identifier: Apache-2.0
// Virtual memory management: reserved addresses, physical memory, and which of it is mapped where with which access.
//
// Physical memory is a file in memory, one a device, so that a piece of it can be seen at several addresses. As in mock_arena.h, changes need
// the driver's lock and looking up does not; who may touch what is decided by the look-ups, and pages stay readable to this process after an
// unmap until their addresses are given back: a kernel that still runs then reads old bytes instead of ending the process.
#ifndef GN_TESTS_MOCK_MOCK_SPACE_H
#define GN_TESTS_MOCK_MOCK_SPACE_H

#include "tests/mock/mock_arena.h"

#define MOCK_GRANULE_BYTES (UINT64_C(2) << 20) // of physical memory and of mappings

struct mock_physical {
    uint64_t id;                        // its handle, or 0
    unsigned device;
    uint64_t size_bytes, file_offset;
    unsigned handles, mappings;         // what keeps it alive
};

struct mock_mapping_info {
    uint64_t start, size_bytes;                         // of the mapping
    uint64_t reservation_start, reservation_bytes;
    struct mock_physical *physical;
    uint64_t serial;
    uint8_t access[MOCK_DEVICES_MAX];                   // CUmemAccess_flags
};

// 0 and *address; -ENOMEM. `hint` is taken when it is free and aligned (0: none), `alignment` is a power of two.
int mock_space_reserve(uint64_t size_bytes, uint64_t alignment, uint64_t hint, uint64_t *address);
// 0; -ENOENT: no reservation of this place and size; -EBUSY: something is mapped there.
int mock_space_free(uint64_t address, uint64_t size_bytes);

// NULL: the device has not so much left. Freed when `handles` and `mappings` are 0: mock_physical_check says so after either went down.
struct mock_physical *mock_physical_new(unsigned device, uint64_t size_bytes);
void mock_physical_check(struct mock_physical *physical);

// 0; -ENOENT: not inside one reservation; -EBUSY: something is mapped there; -ENOMEM.
int mock_space_map(uint64_t address, uint64_t size_bytes, struct mock_physical *physical);
// 0; -ENOENT: the range does not consist of whole mappings. The physical memory that is free then is gone.
int mock_space_unmap(uint64_t address, uint64_t size_bytes);
// 0; -ENOENT: not all of the range is mapped; -ENOMEM.
int mock_space_access(uint64_t address, uint64_t size_bytes, unsigned device, unsigned access);

// 0 and *info, or -ENOENT: nothing is mapped at the address.
int mock_space_look(uint64_t address, struct mock_mapping_info *info);
bool mock_space_holds(uint64_t address); // in a reservation

// As mock_memory_find, for mapped addresses that some device may touch: the range is what can be touched in one piece in the same way.
int mock_space_find(uint64_t address, struct mock_memory_info *info);
int mock_space_find_locked(uint64_t address, struct mock_memory_info *info); // for a caller that has the driver's lock

#endif

// SPDX-License-Identifier: Apache-2.0
// What the process knows about addresses: the session's device memory, and pinned or registered host memory.
// One lock guards both maps.
#ifndef GN_INTERPOSE_MEMORY_MAP_H
#define GN_INTERPOSE_MEMORY_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/range.h"
#include "core/region.h"
#include "interpose/hints/hints.h"
#include "interpose/memory/memory_reserve.h"
#include "interpose/writes/writes.h"
#include "remoting/cuda_types.h"

enum gn_memory_kind {
    GN_MEMORY_DEVICE,     // cuMemAlloc
    GN_MEMORY_GLOBAL,     // a variable of a module
    GN_MEMORY_MAPPED,     // cuMemMap
    GN_MEMORY_PINNED,     // cuMemHostAlloc: the shim's own pages
    GN_MEMORY_REGISTERED, // cuMemHostRegister: the program's pages
};

enum { GN_MEMORY_USERS_MAX = 4 }; // contexts whose copies use one pinned range: one nearly always

struct gn_memory {
    struct gn_region region; // first: the maps hand it back as this structure
    enum gn_memory_kind kind;
    CUdevice device;
    unsigned flags;  // host memory: as given
    int sync_memops; // CU_POINTER_ATTRIBUTE_SYNC_MEMOPS
    uint64_t context, buffer_id;
    uint64_t owner;                    // global: the module or library; mapped: the allocation
    uint64_t readable, writable;       // mapped: by which devices, a bit each
    bool placed;                       // device memory: `block` is in this process's range, not the server's choice
    struct gn_block block;
    uint64_t apart_bytes;              // of the block, free at its end
    struct gn_reservation reservation; // device memory that is not placed
    struct gn_write_count *written;        // device memory: its versions; NULL: none are kept
    struct gn_hint_state hints;        // device memory: what it means
    _Atomic uint64_t
        users[GN_MEMORY_USERS_MAX]; // host memory: contexts that copied to or from it without waiting
};

static inline bool gn_memory_is_host(const struct gn_memory *m) { return m->kind >= GN_MEMORY_PINNED; }

// Files it under its region and gives it a buffer id. 0, or -EEXIST (it overlaps what is there), -EINVAL.
int gn_memory_add(struct gn_memory *memory);

// Takes out the range of this kind that starts exactly at `address`; it is the caller's then. NULL: there is
// none.
struct gn_memory *gn_memory_take(uint64_t address, enum gn_memory_kind kind);

// Takes out everything of a context (owner 0) or of an owner, one after the other: call until NULL.
struct gn_memory *gn_memory_take_next(uint64_t context, uint64_t owner);

// Copies what is known about the range that holds `address`: device memory first, then host memory. False:
// nothing.
bool gn_memory_look(uint64_t address, struct gn_memory *copy);

// Calls `see` with the device memory that holds all of the range, under the lock: it must be quick and take none. False: there is none.
bool gn_memory_with(uint64_t address, uint64_t size_bytes, void (*see)(struct gn_memory *memory, void *context), void *context);

// Where a pointer of a kernel's leads.
struct gn_pointed {
    bool known;                  // to device memory, or to its end
    struct gn_write_count *cells[2]; // of the allocation there, and of one that ends there
};
struct gn_pointed gn_memory_pointed(uint64_t value);
uint64_t gn_memory_changes(void); // how often device memory was added or taken out
uint64_t gn_memory_lowest(void);  // address of device memory, ever
// The versions of the allocation (GN_MEMORY_DEVICE) that holds all of the range, and a number that no other allocation ever has; or NULL.
struct gn_write_count *gn_memory_written(uint64_t address, uint64_t size_bytes, uint64_t *number);

enum gn_memory_where {
    GN_WHERE_UNKNOWN, // pageable host memory, as far as anybody can tell
    GN_WHERE_DEVICE,
    GN_WHERE_READABLE, // on a device, mapped so that nobody may write to it
    GN_WHERE_PINNED, // pinned or registered
    GN_WHERE_ACROSS, // it begins in device memory and leaves its allocation
};
// Where size_bytes bytes from `address` lie. A range only partly in pinned memory counts as pageable.
// `context` is noted as a user of pinned memory unless it is 0.
enum gn_memory_where gn_memory_where(uint64_t address, uint64_t size_bytes, uint64_t context);

// Addresses that belong to devices without being anybody's memory now: nothing lies there that a copy may touch. The node is the caller's.
int gn_memory_keep_off(struct gn_region *region);
int gn_memory_let_go(struct gn_region *region);
// The reservation that holds all of the range, copied; false: none does.
bool gn_memory_kept_off(uint64_t address, uint64_t size_bytes, struct gn_region *copy);

// Mapped memory (GN_MEMORY_MAPPED): whether any lies in the range; what a device may do to that in the range; what it may do in one.
bool gn_memory_any_mapped(uint64_t address, uint64_t size_bytes);
void gn_memory_set_access(uint64_t address, uint64_t size_bytes, CUdevice device, CUmemAccess_flags access);
static inline CUmemAccess_flags gn_memory_access(const struct gn_memory *m, CUdevice device)
{
    return m->kind != GN_MEMORY_MAPPED || m->writable >> device & 1 ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
           : m->readable >> device & 1                              ? CU_MEM_ACCESS_FLAGS_PROT_READ
                                                                    : CU_MEM_ACCESS_FLAGS_PROT_NONE;
}

// Sets CU_POINTER_ATTRIBUTE_SYNC_MEMOPS. False: unknown address.
bool gn_memory_set_sync(uint64_t address, int sync);

#endif

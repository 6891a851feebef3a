// SPDX-License-Identifier: Apache-2.0
// Range allocator: places blocks in a range of addresses whose contents it never sees, and counts by granule what is in use.
//
// Device memory is mapped by the granule (2 MiB) but asked for by the byte: blocks lie close together, small and large ones, several in one
// granule where they fit. The caller owns the blocks (struct gn_block in a structure of its own, kept where it is while placed) and the table
// of granules, maps and unmaps what this says, and locks. A free gap is a field of the block in front of it, so freeing needs no memory.
// Placing and freeing cost O(1) and one step a granule of the block.
#ifndef GN_CORE_RANGE_H
#define GN_CORE_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GN_RANGE_GRAIN_BYTES ((uint64_t)512) // blocks begin at multiples, and take them: what textures need to be bound to memory

enum {
    GN_RANGE_SIZES = 39,     // powers of two, from the grain to 2^47: an address space
    GN_RANGE_STEPS = 8,      // classes of gaps from one to the next
};

struct gn_block {
    uint64_t start, span_bytes;              // what it takes
    uint64_t gap_bytes;                      // free behind it
    struct gn_block *before, *after;         // by address
    struct gn_block *gap_before, *gap_after; // others with a gap of the same class
};

enum { GN_GRANULE_MAPPED = 1u << 31 }; // in the table; the rest is the number of blocks that touch the granule

struct gn_range {
    uint64_t start, size_bytes, granule_bytes;
    uint32_t *granules;                      // the caller's
    uint64_t granules_seen;                  // none at or behind this one was ever mapped
    uint64_t used_bytes, blocks;
    uint64_t mapped, empty;                  // granules mapped; those of them that no block touches
    struct gn_block head;                    // of no bytes, in front of all
    uint64_t sizes;                          // bit: one of its steps has gaps
    uint8_t steps[GN_RANGE_SIZES];
    struct gn_block *gaps[GN_RANGE_SIZES][GN_RANGE_STEPS];
};

// `granules`: size_bytes / granule_bytes zeroed words, for as long as the range is used. 0; -EINVAL: no power of two, not aligned, too large.
int gn_range_open(struct gn_range *range, uint64_t start, uint64_t size_bytes, uint64_t granule_bytes, uint32_t *granules);

// Places a block of at least size_bytes. `mapped`: only where nothing needs to be mapped (not every place is tried). 0; -EINVAL: no bytes;
// -ENOSPC: no place.
int gn_range_take(struct gn_range *range, struct gn_block *block, uint64_t size_bytes, bool mapped);
void gn_range_give(struct gn_range *range, struct gn_block *block);

// How much of a block is not mapped yet.
uint64_t gn_range_missing(const struct gn_range *range, const struct gn_block *block);
// The next run of granules from *at (an address) to `end` that are not mapped; false: none. *at and *size_bytes are the run's.
bool gn_range_next_missing(const struct gn_range *range, uint64_t end, uint64_t *at, uint64_t *size_bytes);
// The next run from *at of mapped granules that no block touches, of at most `most_bytes`.
bool gn_range_next_empty(const struct gn_range *range, uint64_t most_bytes, uint64_t *at, uint64_t *size_bytes);
// Says that whole granules have been mapped or unmapped; only those that were not, or that are empty.
void gn_range_mark(struct gn_range *range, uint64_t at, uint64_t size_bytes, bool mapped);

#endif

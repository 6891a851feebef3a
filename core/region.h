// SPDX-License-Identifier: Apache-2.0
// Region map: from an address to the allocation that holds it. A balanced (AVL) tree of ranges that never
// overlap, in order of address.
//
// The caller owns the nodes (put struct gn_region first in its own structure), keeps them where they are
// while they are in a map, and locks. Every operation costs O(log n): 100,000 allocations are 20 steps at
// most.
#ifndef GN_CORE_REGION_H
#define GN_CORE_REGION_H

#include <stddef.h>
#include <stdint.h>

enum {
    GN_REGION_HEIGHT_MAX = 64
}; // an AVL tree of this height has more nodes than an address space has bytes

struct gn_region {
    uint64_t start, size_bytes;     // set before inserting; not to be changed in a map
    struct gn_region *left, *right; // the map's
    int height;                     // the map's
};

struct gn_region_map { // zeroed = empty
    struct gn_region *root;
    size_t count;
};

// 0; -EINVAL: no bytes, or it would end beyond 2^64; -EEXIST: it overlaps a range of the map.
int gn_region_insert(struct gn_region_map *map, struct gn_region *region);

// 0; -ENOENT: this very node is not in the map.
int gn_region_remove(struct gn_region_map *map, struct gn_region *region);

// The range that holds `address`, or NULL.
struct gn_region *gn_region_find(const struct gn_region_map *map, uint64_t address);

// The range that holds all of size_bytes bytes from `address` (none: as gn_region_find, one past the end
// included), or NULL.
struct gn_region *gn_region_find_all(const struct gn_region_map *map, uint64_t address, uint64_t size_bytes);

// The first range that ends beyond `address`, or NULL: walks the map when called again with the end of what
// it returned.
struct gn_region *gn_region_from(const struct gn_region_map *map, uint64_t address);

#endif

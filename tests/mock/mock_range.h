// SPDX-License-Identifier: Apache-2.0
// A set of address ranges that do not overlap, kept in a treap by address: containment and first fit in O(log n).
#ifndef GN_TESTS_MOCK_MOCK_RANGE_H
#define GN_TESTS_MOCK_MOCK_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct mock_range {
    uint64_t start, span;  // span_bytes: what it occupies; the next range may begin right behind
    uint64_t size_bytes;   // what was asked for, at most span; only these bytes may be touched
    bool is_free;
    uint64_t owner;        // the context's handle
    unsigned flags;        // the owner's
    uint64_t serial;       // never used twice: CU_POINTER_ATTRIBUTE_BUFFER_ID
    bool sync_memops;
    struct mock_range *left, *right;
    uint64_t largest_free; // in the subtree
    uint32_t weight;       // heap order
};

struct mock_ranges {
    struct mock_range *root;
    uint32_t random;
    uint64_t count;
};

void mock_ranges_insert(struct mock_ranges *set, struct mock_range *range);
void mock_ranges_remove(struct mock_ranges *set, struct mock_range *range);

// The range whose span holds `address`, or NULL.
struct mock_range *mock_ranges_find(const struct mock_ranges *set, uint64_t address);
// The first range that ends behind `address`, or NULL: the one to begin with when looking for an overlap.
struct mock_range *mock_ranges_from(const struct mock_ranges *set, uint64_t address);
// The lowest free range of at least `span` bytes, or NULL.
struct mock_range *mock_ranges_first_fit(const struct mock_ranges *set, uint64_t span);
// The range's span or freedom has changed (its order has not): brings the tree's sums up to date.
void mock_ranges_changed(struct mock_ranges *set, struct mock_range *range);

#endif

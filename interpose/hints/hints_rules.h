// SPDX-License-Identifier: Apache-2.0
// The rules as they apply to this process, shared by interpose/hints/. Written by gn_hints_load, constant afterwards but for counters.
#ifndef GN_INTERPOSE_HINTS_RULES_H
#define GN_INTERPOSE_HINTS_RULES_H

#include <limits.h>
#include <stdatomic.h>

#include "interpose/hints/hints.h"

enum {
    GN_HINT_SIZES_MAX = 12,    // different sizes of allocations that are told apart in a report
    GN_HINT_REASONS_MAX = 24,  // texts of gn_hints_why a rule
    GN_HINT_KERNELS_MAX = 512, // kernels that a report knows by name
    GN_HINT_LIBRARIES_MAX = 16, // callers of allocations, likewise
};

enum gn_hint_miss { // which condition of a rule an allocation failed first
    GN_MISS_SIZE,
    GN_MISS_ORDER,
    GN_MISS_LIBRARY,
    GN_MISSES,
};

struct gn_hint_counts { // of a rule; counters are approximate where threads meet
    _Atomic uint64_t allocations, bytes;
    _Atomic bool taken; // it held, but so did an earlier rule
    _Atomic uint64_t missed[GN_MISSES];
    _Atomic uint64_t saved[GN_SAVINGS];
    struct {
        _Atomic uint64_t bytes, count;
    } sizes[GN_HINT_SIZES_MAX];
    _Atomic uint64_t other_sizes; // allocations of still other sizes
    struct {
        _Atomic(const char *) text;
        _Atomic uint64_t count;
    } reasons[GN_HINT_REASONS_MAX];
    _Atomic(const char *) no_pointer; // a kernel whose argument of that number is none
};

struct gn_hint_rules {
    struct gn_hints *hints; // NULL: none
    char path[PATH_MAX]; // of the sidecar
    char why[1024];      // there is none: the reason
    uint64_t all;        // rules whose conditions on the environment hold, a bit each
    uint64_t with_kernel, by_writer[GN_WRITER_COPY + 1]; // which have such a condition
    bool any_library; // some rule needs the caller
    bool explain;     // GENIE_EXPLAIN: every kernel and every allocation is looked at
};
extern struct gn_hint_rules gn_hint_rules;
// By struct gn_meaning's number. 0: what was saved without a rule; its allocations are all that there were.
extern struct gn_hint_counts gn_hint_counts[GN_HINTS_REGIONS_MAX + 1];

enum { GN_HINT_ARGUMENTS_MAX = 24 }; // of a kernel that a report knows something about

struct gn_hint_kernel { // a kernel that was launched, by its name
    char *name;
    uint64_t rules;            // that name it
    uint32_t arguments;        // it has
    _Atomic uint64_t launches; // counted when a rule names it, or with `explain`
    struct {
        bool pointer; // it can be one
        _Atomic uint64_t last, rules; // of the allocation seen last, its size times 256 and its rule; the rules of all that were seen
    } args[GN_HINT_ARGUMENTS_MAX];
};
struct gn_layout;
// The one of this name, made at first sight; NULL: there are too many.
struct gn_hint_kernel *gn_hint_kernel_named(const char *name, uint64_t rules, const struct gn_layout *layout);
uint32_t gn_hint_kernels(struct gn_hint_kernel **first); // how many there are

enum { GN_HINT_WHY_BYTES = 512 };
// Why a rule (its index) matched nothing, as far as can be told.
void gn_hint_unmatched(uint32_t index, char why[GN_HINT_WHY_BYTES]);
void gn_hint_count_library(const char *name);

// An allocation has become the rule's (1), or another's (-1).
void gn_hint_count_allocation(uint16_t rule, uint64_t size_bytes, int more);

// The file name of the library (or program) that called Genie or, above that, the CUDA runtime; "" when it cannot be told.
void gn_hint_caller(char *name, size_t name_bytes);

#endif

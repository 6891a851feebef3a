// SPDX-License-Identifier: Apache-2.0
// The rules as they apply to this process, shared by interpose/hints_*.c. Written by gn_hints_load, constant afterwards but for counters.
#ifndef GN_INTERPOSE_HINTS_RULES_H
#define GN_INTERPOSE_HINTS_RULES_H

#include <limits.h>
#include <stdatomic.h>

#include "interpose/hints.h"

enum {
    GN_HINT_SIZES_MAX = 12,    // different sizes of allocations that are told apart in a report
    GN_HINT_REASONS_MAX = 24,  // texts of gn_hints_why a rule
    GN_HINT_KERNELS_MAX = 512, // kernels that a report knows by name
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
};
extern struct gn_hint_rules gn_hint_rules;
extern struct gn_hint_counts gn_hint_counts[GN_HINTS_REGIONS_MAX + 1]; // by struct gn_meaning's number; 0: without a rule

struct gn_hint_kernel { // a kernel that was launched, by its name
    char *name;
    uint64_t rules;            // that name it
    _Atomic uint64_t launches; // counted when a rule names it
};
// The one of this name, made at first sight; NULL: there are too many.
struct gn_hint_kernel *gn_hint_kernel_named(const char *name, uint64_t rules);

void gn_hint_count_allocation(uint16_t rule, uint64_t size_bytes);

// The file name of the library (or program) that called Genie or, above that, the CUDA runtime; "" when it cannot be told.
void gn_hint_caller(char *name, size_t name_bytes);

#endif

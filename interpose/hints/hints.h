// SPDX-License-Identifier: Apache-2.0
// What the sidecar (GENIE_HINTS) says of the program's device memory: each allocation has a meaning, which the paths of copies ask for.
//
// A meaning belongs to a whole allocation, also where a program's own allocator hands out pieces of one. It comes when the conditions of a
// rule are met, which may be long after the allocation was made; of several rules the one that stands first in the file counts, so a meaning
// may yet be replaced by that of an earlier rule, and by no other. A meaning changes speed only.
#ifndef GN_INTERPOSE_HINTS_H
#define GN_INTERPOSE_HINTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/hints/hints.h"

struct gn_function;
struct gn_memory;

// A sidecar with a rule applies. Constant after cuInit. All functions below may be called without it; on paths that matter the caller
// looks at it first.
extern bool gn_hints_on;

struct gn_meaning { // all zero: none
    uint16_t rule;  // its number in the file, from 1; 0: none
    uint8_t class;  // enum gn_hint_class
    uint8_t evict;  // enum gn_hint_evict
    bool dedupe, keep_remote;
};

struct gn_hint_state { // of an allocation, in struct gn_memory; zeroed: no rule
    uint64_t possible; // rules whose conditions on the allocation itself hold; written before it is in the map
    _Atomic uint64_t passed; // rules whose kernel got it as the argument they name
    _Atomic uint8_t writers; // what happened first
    _Atomic uint16_t rule;
};

// Of the allocation that holds all of the range; none when no single one does.
struct gn_meaning gn_hints_of(uint64_t address, uint64_t size_bytes);

// An allocation that is not in the map yet (kind, region are filled in). To be called without locks: it may walk the stack.
void gn_hints_allocated(struct gn_memory *memory);

// A copy into the range is about to be made, from host (GN_WRITER_HOST) or device memory (GN_WRITER_COPY). The meaning as it is then.
struct gn_meaning gn_hints_copied(uint64_t address, uint64_t size_bytes, enum gn_hint_writer from);

// A launch with these packed parameters (NULL: none).
void gn_hints_launch(struct gn_function *function, const void *params);
void gn_hints_function_freed(struct gn_function *function);

// --- what it brought (interpose/hints/hints_report.c)

enum gn_saving {           // bytes of payload that did not travel
    GN_SAVED_CONTENT,      // the server had them already
    GN_SAVED_SHADOW_DOWN,  // copies to the host whose bytes stay at the server, though the program may fetch some of them later
    GN_SAVED_SHADOW_UP,    // uploaded from what the server keeps
    GN_SAVED_UNCHANGED,    // uploaded again and known not to have been written since
    GN_SAVED_PROVEN,       // uploaded to where it still is: not even copied at the server
    GN_SAVINGS,
};
void gn_hints_saved(struct gn_meaning meaning, enum gn_saving saving, uint64_t bytes);
// For GENIE_EXPLAIN: a mechanism that the meaning asks for did not act. The text must live for ever.
void gn_hints_why(struct gn_meaning meaning, const char *reason);

// Finds and reads the sidecar: once, before the session is visible. Never fails: without a good one there are no hints, and the log says so.
void gn_hints_load(void);

void gn_hints_put_stats(FILE *f); // the object of GENIE_STATS: ,\n  "hints": {...}
int gn_hints_explain(const char *path); // GENIE_EXPLAIN, at exit: 0 or -errno
void gn_hints_forked(void);

#endif

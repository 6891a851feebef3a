// SPDX-License-Identifier: Apache-2.0
// Through which of its parameters a kernel may write to global memory, from the text of its PTX.
//
// Every register gets the set of parameters whose value may reach it, whatever the instructions on the way; what comes from
// elsewhere with room for an address (64-bit loads, results of calls, halves put together, wide shifts) is unknown. A store,
// an atomic operation or anything that is not in the list of harmless instructions adds the set of its address to the kernel's.
// The order of instructions plays no part, so loops and branches need no thought.
//
// What this stands on is CUDA's own rule, and nothing else: an access through a pointer stays within the object that the pointer
// belongs to, and an address is computed from such a pointer. A kernel that leaves one allocation and lands in another has no
// defined behaviour locally either; here, a copy that was left out may then show it what another run would not have.
//
// Hostile text costs linear time (the text is read at most GN_PTX_PASSES_MAX + 3 times) and the caller's cells; whatever is not
// understood is unknown.
#ifndef GN_CORE_PTX_WRITES_H
#define GN_CORE_PTX_WRITES_H

#include "core/image/image.h"

enum {
    GN_PTX_WORDS_MAX = 62,   // 64-bit words of parameters that one kernel reads: a bit each in a set; more are unknown
    GN_PTX_FUNCS_MAX = 256,  // device functions of a module whose effects are remembered; calls of others are unknown
    GN_PTX_PARAMS_MAX = 256, // of a kernel or function; with more it is unknown
    GN_PTX_PASSES_MAX = 8,   // over a body until its sets stand still; a body that needs more is unknown
    GN_PTX_CELLS = 1 << 16,  // names that suffice: a function of a large library has some ten thousand registers
};

struct gn_ptx_writes {
    const char *name; // of the kernel, not NUL-terminated
    uint64_t name_bytes;
    bool unknown; // it may write anywhere: the words tell nothing then
    uint32_t word_count;
    uint16_t word_bytes[GN_PTX_WORDS_MAX]; // offsets into the parameter block of 64-bit words that may be where it writes
};

struct gn_ptx_cell { // one name; the caller only provides room
    const char *name;
    uint64_t set;
    uint32_t length, hash, generation;
    uint16_t index;
    uint8_t kind;
};

struct gn_ptx_func { // effects of a device function, in sets of its parameters
    uint64_t writes, returns;
    uint32_t param_count;
};

struct gn_ptx_formal {
    uint16_t offset_bytes;
    uint8_t scalar_bytes; // 0: an array
};

struct gn_ptx_walk { // everything is the walk's own
    const char *text;
    uint64_t size_bytes, at_bytes;
    struct gn_ptx_cell *cells;
    uint32_t cell_count, used, module_used, generation, func_count;
    bool lost; // the module has something that no name in it can be trusted after
    struct gn_ptx_func funcs[GN_PTX_FUNCS_MAX];
    struct gn_ptx_formal formals[GN_PTX_PARAMS_MAX];
    struct gn_image_param params[GN_PTX_PARAMS_MAX];
};

// cells: cell_count of them (a power of two, GN_PTX_CELLS suffices), which the walk uses until its end; zeroed here.
void gn_ptx_writes_begin(struct gn_ptx_walk *walk, const char *text, uint64_t size_bytes, struct gn_ptx_cell *cells,
                         uint32_t cell_count);
// 1 = *writes holds the next kernel's; 0 = the end; -EINVAL: not to be read as PTX, nothing more is known.
int gn_ptx_writes_next(struct gn_ptx_walk *walk, struct gn_ptx_writes *writes);

#endif

// SPDX-License-Identifier: Apache-2.0
// What the parts of the analysis of PTX share: sets, names, and the function under analysis. Private to core/ptx/.
#ifndef GN_CORE_PTX_WRITES_PARTS_H
#define GN_CORE_PTX_WRITES_PARTS_H

#include "core/ptx/ptx_scan.h"
#include "core/ptx/ptx_writes.h"

// A set: a bit for each word of parameters (of a device function: for each parameter), and
#define GN_SET_OBJECT  ((uint64_t)1 << 62) // the address of a variable, by its name: what is written there is no allocation
#define GN_SET_UNKNOWN ((uint64_t)1 << 63) // perhaps an address from elsewhere
#define GN_SET_WORDS   (GN_SET_OBJECT - 1)

enum { // kinds of names, in a cell
    GN_NAME_REGISTER = 1,
    GN_NAME_SYMBOL = 2,   // a variable, a parameter in its space, a function
    GN_NAME_RANGE = 4,    // %r of `.reg .b32 %r<9>`
    GN_NAME_FORMAL = 8,   // a parameter of the function; index says which
    GN_NAME_RETURN = 16,  // a result of the function
    GN_NAME_FUNCTION = 32, // its effects are known: walk->funcs[index]
    GN_NAME_EXTERN = 64,   // a function that is declared as one of somebody else
    GN_NAME_PIECES = 128   // a parameter in its space that was filled with less than 64 bits at a time, beyond the first
};

enum { GN_PTX_RETURNS_MAX = 8 };

struct gn_ptx_body { // one function under analysis
    struct gn_ptx_walk *walk;
    bool is_entry;
    bool changed; // a set has grown in this pass
    bool settled; // they do not grow any more: now it counts where it writes
    uint32_t formal_count, word_count, return_count;
    uint16_t word_bytes[GN_PTX_WORDS_MAX];
    struct gn_ptx_cell *returns[GN_PTX_RETURNS_MAX];
    uint64_t writes;
};

// --- names (ptx_names.c)
struct gn_ptx_cell *gn_ptx_find(struct gn_ptx_walk *walk, const char *name, uint32_t length);
// Finds or adds it; `module`: it outlives the function. NULL: there is no room, or too many names fall on one place.
struct gn_ptx_cell *gn_ptx_name(struct gn_ptx_walk *walk, const char *name, uint32_t length, uint8_t kind, bool module);
void gn_ptx_forget_names(struct gn_ptx_walk *walk); // those of the function
// The register or variable of an operand, which may be one of a range; NULL: no such name. What follows a dot (%tid.x) is left out.
struct gn_ptx_cell *gn_ptx_operand(struct gn_ptx_walk *walk, const char *name, uint32_t length);
// What an operand's value may be made of.
uint64_t gn_ptx_value(const struct gn_ptx_cell *cell, const struct gn_ptx_token *t);

// --- statements (ptx_statement.c)
// Behind a directive that declares names, up to and with its semicolon: adds all of them. False: no room.
bool gn_ptx_declare(struct gn_ptx_walk *walk, struct gn_ptx_scan *s, uint8_t kind, bool module);
// One pass over a body.
void gn_ptx_pass(struct gn_ptx_body *body, struct gn_ptx_scan s);

// --- instructions (ptx_effects.c)
enum gn_ptx_class {
    GN_PTX_STRANGE, // not in the table: may do anything
    GN_PTX_NOTHING, // neither a result nor an effect on memory that counts
    GN_PTX_COMPUTE, // a result made of its operands
    GN_PTX_LOAD,
    GN_PTX_STORE,  // writes at its first address, has no result
    GN_PTX_ATOMIC, // writes at its first address, and its result comes from there
    GN_PTX_COPY,   // cp
    GN_PTX_CALL,
};
enum gn_ptx_class gn_ptx_class_of(const char *op, uint32_t length);

enum { GN_PTX_TARGETS_MAX = 256, GN_PTX_ARGS_MAX = 64 }; // results of an instruction (a matrix has 128); arguments of a call

struct gn_ptx_statement { // an instruction that has been read
    struct gn_ptx_token op;
    enum gn_ptx_class class;
    uint32_t target_count, address_count, in_first; // in_first: names in the first address
    struct gn_ptx_cell *targets[GN_PTX_TARGETS_MAX]; // NULL: the sink _
    uint64_t target_set, source_set, address_set[2];
    const struct gn_ptx_cell *base; // the first name in the first address
    int64_t offset_bytes;           // in the first address
    bool odd_address;               // more than a name and a number
    bool strange;                   // a name that is not known, or more than the limits
    bool braced_source;             // a vector among the sources
    bool has_number;                // an immediate among the sources
    uint64_t number;                // the largest of them
};
void gn_ptx_apply(struct gn_ptx_body *body, const struct gn_ptx_statement *s);
void gn_ptx_call(struct gn_ptx_body *body, struct gn_ptx_scan *s); // behind the opcode, up to the semicolon

// Adds to what a name may hold, or to where the function writes.
void gn_ptx_assign(struct gn_ptx_body *body, struct gn_ptx_cell *cell, uint64_t set);
void gn_ptx_write(struct gn_ptx_body *body, uint64_t address_set);
void gn_ptx_give_up(struct gn_ptx_body *body);

#endif

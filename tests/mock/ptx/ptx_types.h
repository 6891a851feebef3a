// SPDX-License-Identifier: Apache-2.0
// The forms that the stages of the PTX engine hand to each other: types, registers, dense instructions,
// functions, the module.
//
// text -> ptx_lex -> ptx_parse (declarations) / ptx_stmt (one instruction) -> ptx_lower_* (dense instructions
// on virtual registers)
//      -> ptx_alloc (virtual registers become places in a warp's register file) -> ptx_exec (runs warps
//      through the handlers of ptx_ops_*)
#ifndef GN_TESTS_MOCK_PTX_TYPES_H
#define GN_TESTS_MOCK_PTX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ptx.h"

// --- limits: a hostile text must cost bounded memory and time; real modules stay far below each ---
enum {
    PTX_TEXT_BYTES_MAX = 256 << 20,   // of all texts together; the largest library modules known are some tens of MB
    PTX_TEXTS_MAX = 4096,             // texts of a module: one a translation unit, and no program has as many
    PTX_NAME_BYTES_MAX = 32 << 10,    // mangled template names reach several KB
    PTX_SCOPE_DEPTH_MAX = 128,        // nested { } of one function; nvcc stays below 10
    PTX_NEST_DEPTH_MAX = 64,          // nested parentheses of a constant expression, braces of an initialiser
    PTX_OPERANDS_MAX = 8,             // operands of one instruction (vectors count once)
    PTX_MODS_MAX = 16,                // .modifiers of one instruction
    PTX_VREGS_MAX = 1 << 20,          // registers that one function uses (declared and unused ones are free)
    PTX_FRAME_BYTES_MAX = 16 << 20,   // register file of one warp: 131072 32-bit registers
    PTX_FUNCS_MAX = 1 << 16,          // functions of a module
    PTX_VARS_MAX = 1 << 18,           // variables of a module
    PTX_INSNS_MAX = 1 << 24,          // dense instructions of one function
    PTX_LOCAL_BYTES_MAX = 512 << 10,  // .local of one thread: the limit of the hardware
    PTX_SHARED_BYTES_MAX = 256 << 10, // static .shared of one block: above what any device has (228 KiB)
    PTX_CALL_DEPTH_MAX = 512,         // a device's stack limit ends a recursion at about this depth
    PTX_STACK_BYTES_EXTRA =
        64 << 10, // .local stack that recursive or indirect calls may use beyond one frame of each function
};
#define PTX_VAR_BYTES_MAX                                                                                    \
    ((uint64_t)1 << 34) // one variable: nothing is allocated for it here, but sums must not overflow
#define PTX_INIT_BYTES_MAX ((uint64_t)1 << 28) // initialised part of one variable, which is kept
#define PTX_ARENA_BYTES_MAX                                                                                  \
    ((uint64_t)4 << 30) // everything that one module keeps; a 256 MiB text stays below it

enum { PTX_LANES = 32 };
#define PTX_FULL 0xffffffffu

// Windows of the generic address space. Global and const addresses are host addresses, which end below 2^47.
#define PTX_WINDOW_SHIFT  32
#define PTX_WINDOW_SHARED 0x10000u // generic address >> 32
#define PTX_WINDOW_LOCAL  0x10001u
#define PTX_WINDOW_PARAM  0x10002u
#define PTX_WINDOW_FUNC   0x10003u // function addresses: (index + 1) * 16 in this window

enum ptx_type {
    PT_NONE,
    PT_PRED,
    PT_B8,
    PT_U8,
    PT_S8,
    PT_B16,
    PT_U16,
    PT_S16,
    PT_F16,
    PT_BF16,
    PT_B32,
    PT_U32,
    PT_S32,
    PT_F32,
    PT_F16X2,
    PT_BF16X2,
    PT_TF32,
    PT_U16X2,
    PT_S16X2,
    PT_B64,
    PT_U64,
    PT_S64,
    PT_F64,
    PT_B128,
    PT_E4M3X2,
    PT_E5M2X2,
    PT_COUNT
};
enum ptx_kind { PK_BITS, PK_UNSIGNED, PK_SIGNED, PK_FLOAT, PK_PRED };

struct ptx_type_info {
    const char *name;
    uint8_t bytes; // 0 for a predicate
    uint8_t kind;
};
extern const struct ptx_type_info ptx_types[PT_COUNT];

// Classes of register: each has its own places, so that two registers overlap fully or not at all.
enum ptx_class { PC_PRED, PC_16, PC_32, PC_64, PC_COUNT };
enum ptx_class ptx_class_of(enum ptx_type type); // 8-bit registers live in 16-bit places

struct ptx_warp;
struct ptx_insn;
typedef const struct ptx_insn *(*ptx_fn)(struct ptx_warp *w, const struct ptx_insn *in);

#define PTX_NO_PLACE (-1) // places are even

// One dense instruction. d, a, b, c and e[] are byte offsets into the warp's register file; what each means
// is the handler's.
struct ptx_insn {
    ptx_fn fn;   // what the loop calls: the handler, or the guard's wrapper
    ptx_fn body; // the handler
    int32_t d, a, b, c;
    int64_t imm;
    int32_t e[4];
    int32_t guard; // place of the predicate, -1 without one
    uint8_t guard_not;
    uint8_t width; // memory operations: element bytes
    uint16_t sub;  // flags of the handler
};

struct ptx_var_sym;
struct ptx_function;

// A constant operand: a place in the register file, filled when a warp is made.
enum ptx_const_kind { PTX_CONST_LITERAL, PTX_CONST_VAR, PTX_CONST_SHARED, PTX_CONST_FUNC };
struct ptx_const {
    uint8_t kind, cls;
    int32_t place; // set by ptx_alloc
    union {
        const struct ptx_var_sym *var;
        const struct ptx_function *func;
    } of;
    uint64_t value; // literal, or what is added to the address
};

struct ptx_arg {
    uint32_t offset, size;
};                                     // in the caller's local frame
struct ptx_call {                      // what a call instruction refers to
    const struct ptx_function *target; // NULL: indirect
    struct ptx_arg *args, *results;
    uint32_t arg_count, result_count;
};
struct ptx_targets { // of brx.idx
    uint32_t count;
    uint32_t *insn;
};

struct ptx_formal {
    const char *name;
    uint8_t type;
    bool is_reg;
    uint32_t vreg;
    uint32_t offset, size, align; // memory: in the local frame of the function
};

struct ptx_module;

struct ptx_place { // of a declaration or definition
    uint32_t unit, line, column;
};

struct ptx_function {
    const char *name;
    struct ptx_module *module;
    uint32_t index; // in the module
    bool is_entry, is_defined, is_weak, is_extern;
    bool has_linkage;             // other texts may mean this one by its name
    bool address_taken;           // by code or initial values that stay; known after ptx_units_join
    struct ptx_function *same_as; // the one that stands for it: a definition elsewhere, what an alias names
    struct ptx_place at;
    uint8_t builtin; // enum ptx_builtin

    struct ptx_formal *params, *results;
    uint32_t param_count, result_count;
    struct ptx_param *entry_params;
    uint32_t param_bytes;

    struct ptx_insn *code;
    uint32_t *lines;
    uint16_t *ops; // enum ptx_op of each instruction; kept for tests and for choosing handlers
    uint32_t code_count;
    struct ptx_const *consts;
    uint32_t const_count;
    struct ptx_call *calls;
    uint32_t call_count;
    struct ptx_targets *targets;
    uint32_t target_count;

    uint32_t frame_bytes; // of the register file
    int32_t frame_place;  // where the frame begins; that of an entry follows the special registers
    uint32_t class_base[PC_COUNT], class_count[PC_COUNT]; // its registers, relative to the frame
    uint32_t local_bytes;                                 // frame in local memory
    uint32_t live_max;                                    // registers live at once, in 32-bit units
    uint32_t max_threads, reqntid[3], cluster[3];

    // What it uses by itself
    const struct ptx_var_sym **shared;
    uint32_t shared_count;
    bool calls_indirect, uses_stack_alloc;
    uint32_t mark, callers; // scratch of the layout

    // Entries: what can be reached, laid out
    const struct ptx_function **reach;
    uint32_t reach_count;
    uint32_t shared_static_bytes, shared_dynamic_offset;
    struct ptx_shared_place {
        const struct ptx_var_sym *var;
        uint32_t offset;
    } * shared_places;
    uint32_t shared_place_count;
    uint32_t below_bytes, above_bytes; // the register file of a warp: frames of functions, then special
                                       // registers and the entry's frame
    uint32_t stack_bytes;              // local memory a thread
    uint32_t call_depth;               // return records a lane
};

enum ptx_builtin {
    PTX_BUILTIN_NONE,
    PTX_BUILTIN_VPRINTF,
    PTX_BUILTIN_ASSERTFAIL,
    PTX_BUILTIN_MALLOC,
    PTX_BUILTIN_FREE,
};

enum ptx_var_space { PV_GLOBAL, PV_CONST, PV_SHARED, PV_LOCAL, PV_PARAM };

struct ptx_reloc { // an address inside an initialiser
    uint64_t offset;
    const char *name; // resolved when all declarations are known
    unsigned line, column;
    uint8_t bytes; // written
    uint8_t shift; // of mask(): the address is shifted right by this many bits first
    int64_t addend;
    const struct ptx_var_sym *var;
    const struct ptx_function *func;
};

struct ptx_var_sym {
    const char *name;
    uint8_t space, type;
    bool is_extern, is_weak, is_common;
    bool has_linkage, is_used;   // as in a function; is_used: as address_taken
    struct ptx_var_sym *same_as; // the one that stands for it
    struct ptx_place at;
    uint32_t align;
    uint64_t size;
    uint32_t index;   // among the driver's variables; UINT32_MAX for shared
    uint32_t offset;  // local and param: in the frame
    uint64_t address; // global and const: after ptx_link
    uint32_t mark;    // scratch of the layout
    uint8_t *init;
    uint64_t init_bytes; // the rest is zero
    struct ptx_reloc *relocs;
    uint32_t reloc_count;
};

// Special registers that are places in the register file. The first ones are per thread, then per block, then
// per launch.
enum ptx_special {
    PS_TID_X,
    PS_TID_Y,
    PS_TID_Z,
    PS_LANEID,
    PS_WARPID,
    PS_LM_EQ,
    PS_LM_LE,
    PS_LM_LT,
    PS_LM_GE,
    PS_LM_GT,
    PS_CTAID_X,
    PS_CTAID_Y,
    PS_CTAID_Z,
    PS_SMID,
    PS_CLUSTERID_X,
    PS_CLUSTERID_Y,
    PS_CLUSTERID_Z,
    PS_CLUSTER_CTAID_X,
    PS_CLUSTER_CTAID_Y,
    PS_CLUSTER_CTAID_Z,
    PS_CLUSTER_CTARANK,
    PS_NTID_X,
    PS_NTID_Y,
    PS_NTID_Z,
    PS_NCTAID_X,
    PS_NCTAID_Y,
    PS_NCTAID_Z,
    PS_NWARPID,
    PS_NSMID,
    PS_NCLUSTERID_X,
    PS_NCLUSTERID_Y,
    PS_NCLUSTERID_Z,
    PS_CLUSTER_NCTAID_X,
    PS_CLUSTER_NCTAID_Y,
    PS_CLUSTER_NCTAID_Z,
    PS_CLUSTER_NCTARANK,
    PS_DYNAMIC_SMEM,
    PS_TOTAL_SMEM,
    PS_ENVREG1,
    PS_ENVREG2,
    PS_ZERO,
    PS_FRAME,  // local memory: where the function's frame begins, a lane
    PS_PLACES, // above: u32 places; below: read when asked
    PS_CLOCK = PS_PLACES,
    PS_CLOCK_HI,
    PS_CLOCK64,
    PS_GLOBALTIMER,
    PS_GLOBALTIMER_LO,
    PS_GLOBALTIMER_HI,
    PS_GRIDID,
    PS_EXPLICIT_CLUSTER,
    PS_COUNT
};
enum { PTX_PLACE_BYTES = 4 * PTX_LANES, PTX_SPECIAL_BYTES = PS_PLACES * PTX_PLACE_BYTES };

struct ptx_module {
    struct ptx_arena *arena;
    unsigned version, target_sm;
    struct ptx_function **funcs;
    uint32_t func_count;
    struct ptx_function **entries;
    uint32_t entry_count;
    struct ptx_var_sym **vars; // global and const: what the driver places
    uint32_t var_count;
    uint32_t func_frames_bytes; // frames of .funcs, below the special registers
    bool linked;
};

struct ptx_func {
    struct ptx_function f;
}; // the public name of an entry

#endif

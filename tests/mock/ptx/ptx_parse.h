// SPDX-License-Identifier: Apache-2.0
// What the parser's files share: the state of a parse, the function under construction, operands of one
// instruction.
#ifndef GN_TESTS_MOCK_PTX_PARSE_H
#define GN_TESTS_MOCK_PTX_PARSE_H

#include "ptx_arena.h"
#include "ptx_lex.h"
#include "ptx_ops.h"
#include "ptx_types.h"

// A value that an instruction reads or writes: a virtual register, a constant or a special register, told by
// the top bits.
#define PTX_ID_CONST   0x80000000u
#define PTX_ID_SPECIAL 0x40000000u
#define PTX_ID_NONE    0xffffffffu

struct ptx_vreg {
    uint8_t type, cls;
    bool spread; // appears in more than one block
    int32_t place;
    uint32_t first, last; // live from .. to, in instructions
    uint32_t block;       // of the first appearance
    uint32_t number;      // among the spread ones
};
struct ptx_ref { // instruction `insn` has the place of `id` in a field
    uint32_t insn, id;
    uint8_t field; // offset in struct ptx_insn, in units of int32_t
    bool is_def;
};
struct ptx_fixup { // a branch to a label not seen yet
    uint32_t insn;
    uint32_t target_list, target_index; // or an entry of a branch table; UINT32_MAX without
    const char *name;
    uint32_t size, depth;
    unsigned line, column;
};

// The function being parsed; reused from one function to the next.
struct ptx_build {
    struct ptx_function *f;
    struct ptx_vec code, lines, ops; // struct ptx_insn, uint32_t, uint16_t
    struct ptx_vec refs;             // struct ptx_ref, in order of instruction
    struct ptx_vec vregs, consts;    // struct ptx_vreg, struct ptx_const
    struct ptx_vec fixups, calls, targets, shared;
    struct ptx_vec leaders;        // uint8_t, by instruction: a label stands before it
    struct ptx_names const_names;  // to find equal constants
    uint32_t depth;                // of { }
    uint64_t local_now, local_max; // bytes of the local frame
    bool pending_label;
    uint32_t block_start; // first instruction since the last one that counts
};

enum ptx_name_kind {
    NK_VREG,
    NK_RANGE,
    NK_VECTOR,
    NK_VAR,
    NK_FUNC,
    NK_ENTRY_PARAM,
    NK_LABEL,
    NK_TARGETS,
    NK_PROTO
};

struct ptx_range { // .reg .b32 %r<100>
    uint8_t type;
    uint64_t count;
    uint32_t depth;
};

// What stands in front of a declaration.
struct ptx_linkage {
    bool visible, external, weak, common;
};

struct ptx_parser {
    struct ptx_lex lex;
    uint32_t unit; // the text being read, or that an error is about
    struct ptx_module *m;
    struct ptx_error *error;
    int failed;               // the first -errno
    struct ptx_names names;   // of this text
    struct ptx_names exports; // of all texts: what has linkage; the value is the symbol that wins so far
    struct ptx_vec funcs, entries, vars, shared_all; // pointers
    struct ptx_build b;
    struct ptx_stmt *stmt;
};

enum ptx_operand_kind {
    OK_NONE,
    OK_VALUE,
    OK_IMM,
    OK_FLOAT,
    OK_VECTOR,
    OK_ADDRESS,
    OK_LABEL,
    OK_FUNC,
    OK_TARGETS,
    OK_PROTO,
    OK_LIST,
    OK_SINK,
    OK_DYNAMIC /* special register that is read when asked */,
    OK_VARADDR
};
struct ptx_item { // a scalar operand
    uint8_t kind;
    uint8_t type; // of a register
    bool negated; // !%p or -imm
    bool is_single;
    uint32_t id;
    uint64_t number;
    const char *text;
    uint32_t size;
    const struct ptx_var_sym *var;
    struct ptx_function *func;
    void *value;
};
struct ptx_operand {
    struct ptx_item one; // for an address: its base (kind OK_NONE for an absolute one), number is the offset
    uint8_t kind;        // as one.kind, or OK_VECTOR, OK_ADDRESS, OK_LIST
    bool is_entry_param; // address: of a kernel parameter
    bool has_pair;
    struct ptx_item pair; // after '|'
    uint32_t count;       // vector
    struct ptx_item items[8];
    struct ptx_vec list; // OK_LIST: struct ptx_item
    unsigned line, column;
};
struct ptx_mod {
    const char *text;
    uint32_t size;
    bool taken;
};
struct ptx_stmt {
    const char *op;
    uint32_t op_size;
    struct ptx_mod mods[PTX_MODS_MAX];
    uint32_t mod_count;
    struct ptx_operand opd[PTX_OPERANDS_MAX];
    uint32_t opd_count;
    uint32_t guard; // id, PTX_ID_NONE without
    bool guard_not;
    unsigned line, column;
};

// --- ptx_parse.c ---
void ptx_fail(struct ptx_parser *p, int error, unsigned line, unsigned column, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void ptx_fail_here(struct ptx_parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ptx_next(struct ptx_parser *p);
bool ptx_accept(struct ptx_parser *p, unsigned punct);
bool ptx_expect(struct ptx_parser *p, unsigned punct);
bool ptx_accept_dot(struct ptx_parser *p, const char *text);
bool ptx_expect_name(struct ptx_parser *p, struct ptx_token *name);
enum ptx_type ptx_type_named(const char *text, size_t size);
// A constant expression of 64 bits.
bool ptx_const_expr(struct ptx_parser *p, int64_t *value);
void *ptx_keep(struct ptx_parser *p, size_t size_bytes); // arena memory or sticky -ENOMEM

// --- ptx_decl.c ---
// `.reg`, `.local`, `.shared`, `.param`, `.global`, `.const` with the state space already read.
void ptx_decl_reg(struct ptx_parser *p);
void ptx_decl_var(struct ptx_parser *p, enum ptx_var_space space, struct ptx_linkage linkage);
void ptx_param_list(struct ptx_parser *p, struct ptx_function *f, bool results);
// The names in the initial values of the variables from `first` on, which are this text's.
bool ptx_resolve_relocs(struct ptx_parser *p, uint32_t first);
uint32_t ptx_vreg_new(struct ptx_parser *p, enum ptx_type type);
// Space in the function's local frame.
uint32_t ptx_frame_space(struct ptx_parser *p, uint64_t size, uint32_t align);

// --- ptx_stmt.c ---
void ptx_statement(struct ptx_parser *p);                    // one instruction, up to its semicolon
void ptx_body(struct ptx_parser *p, struct ptx_function *f); // { ... } of a function

// --- ptx_build.c ---
int ptx_build_init(struct ptx_build *b);
void ptx_build_reset(struct ptx_parser *p, struct ptx_function *f);
void ptx_build_free(struct ptx_build *b);
void ptx_build_label(struct ptx_parser *p);  // the next instruction can be jumped to
bool ptx_build_finish(struct ptx_parser *p); // places, then everything into the arena

// --- ptx_alloc.c ---
bool ptx_alloc_places(struct ptx_parser *p);

// --- ptx_units.c ---
bool ptx_same_signature(const struct ptx_function *a, const struct ptx_function *b);
// The end of a text: its symbols from these counts of p->funcs, p->vars and p->shared_all on meet those of
// the texts before it, and its names are forgotten.
void ptx_unit_end(struct ptx_parser *p, uint32_t first_func, uint32_t first_var, uint32_t first_shared);
// The end of all: references lead to the symbols that won, and only these are left.
bool ptx_units_join(struct ptx_parser *p);

// --- ptx_layout.c ---
bool ptx_layout_module(struct ptx_parser *p);

#endif

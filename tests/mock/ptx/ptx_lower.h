// SPDX-License-Identifier: Apache-2.0
// How the ptx_lower_*.c files turn one parsed instruction into dense ones.
//
// A family's function takes the modifiers that it knows (ptx_take...); what nobody took is refused
// afterwards. Errors are sticky: after one, everything here does nothing, so the functions need not test each
// step.
#ifndef GN_TESTS_MOCK_PTX_LOWER_H
#define GN_TESTS_MOCK_PTX_LOWER_H

#include "ptx_parse.h"

typedef void (*ptx_lower_fn)(struct ptx_parser *p, struct ptx_stmt *s, int arg);
struct ptx_opcode {
    const char *name;
    ptx_lower_fn lower;
    int arg; // the family's own
    uint8_t operands_min, operands_max;
};
extern const struct ptx_opcode ptx_opcodes_int[], ptx_opcodes_bits[], ptx_opcodes_float[], ptx_opcodes_cvt[],
    ptx_opcodes_mem[], ptx_opcodes_sync[],
    ptx_opcodes_flow[];                                                  // each ends with a NULL name
const struct ptx_opcode *ptx_opcode_find(const char *name, size_t size); // in name order over all tables

// Modifiers
bool ptx_take(struct ptx_stmt *s, const char *text);
// The index of the first of `names` (NULL ends) that is there, else `otherwise`.
int ptx_take_one(struct ptx_stmt *s, const char *const *names, int otherwise);
enum ptx_type ptx_take_type(struct ptx_parser *p,
                            struct ptx_stmt *s); // the next type; fails when there is none
enum ptx_type ptx_take_type_maybe(struct ptx_stmt *s);
void ptx_lower_fail(struct ptx_parser *p, const struct ptx_stmt *s, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Emission. FIELD is a member of struct ptx_insn that holds a place.
struct ptx_insn *ptx_emit(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_op op);
// Without the statement's guard (for sequences that test it themselves).
struct ptx_insn *ptx_emit_bare(struct ptx_parser *p, unsigned line, enum ptx_op op);
enum {
    PTX_F_D = 4,
    PTX_F_A = 5,
    PTX_F_B = 6,
    PTX_F_C = 7,
    PTX_F_E0 = 10,
    PTX_F_E1 = 11,
    PTX_F_E2 = 12,
    PTX_F_E3 = 13,
    PTX_F_GUARD = 14
};
// Says that field `field` of the last instruction emitted is the place of `id`.
void ptx_ref(struct ptx_parser *p, uint8_t field, uint32_t id, bool is_def);

// The value of a scalar operand read as `type`: a register of that width, or a constant made from an
// immediate.
uint32_t ptx_value(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                   enum ptx_type type);
// A register of any width of at least `type`'s, or a constant: for cvt and st.
uint32_t ptx_value_wide(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                        enum ptx_type type, enum ptx_class *cls);
// A register to be written as `type`. A sink gets a register that nobody reads.
uint32_t ptx_dest(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                  enum ptx_type type);
uint32_t ptx_dest_wide(struct ptx_parser *p, const struct ptx_stmt *s, const struct ptx_item *item,
                       enum ptx_type type, enum ptx_class *cls);
// A predicate operand; a negated one becomes a fresh negated register (before the instruction is emitted).
uint32_t ptx_pred(struct ptx_parser *p, struct ptx_stmt *s, const struct ptx_item *item);
uint32_t ptx_temp(struct ptx_parser *p, enum ptx_type type);
uint32_t ptx_const_symbol(struct ptx_parser *p, const struct ptx_var_sym *var, struct ptx_function *func,
                          enum ptx_class cls, uint64_t addend);
uint32_t ptx_const_literal(struct ptx_parser *p, enum ptx_class cls, uint64_t value);
enum ptx_class ptx_class_of_id(const struct ptx_parser *p, uint32_t id);
enum ptx_type ptx_type_of_id(const struct ptx_parser *p, uint32_t id);

static inline int ptx_width_index(enum ptx_type type) // 16, 32, 64 bits: 0, 1, 2
{
    return ptx_types[type].bytes <= 2 ? 0 : ptx_types[type].bytes == 4 ? 1 : 2;
}
static inline bool ptx_is_int(enum ptx_type t)
{
    return ptx_types[t].kind == PK_UNSIGNED || ptx_types[t].kind == PK_SIGNED;
}

// One instruction with a destination and sources of one type each; the commonest shape.
struct ptx_insn *ptx_emit_alu(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_op op, enum ptx_type d,
                              enum ptx_type a, enum ptx_type b, enum ptx_type c);

// --- ptx_lower_flow.c ---
void ptx_lower_return(struct ptx_parser *p, struct ptx_stmt *s);
void ptx_lower_prologue(struct ptx_parser *p, struct ptx_stmt *s, const struct ptx_function *f);
uint32_t ptx_guard_begin(struct ptx_parser *p, struct ptx_stmt *s);
void ptx_guard_end(struct ptx_parser *p, uint32_t begin);

#endif

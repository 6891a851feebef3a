// SPDX-License-Identifier: Apache-2.0
// What the lowering of integer families asks of that of floating-point types, and comparisons, which both
// have.
#ifndef GN_TESTS_MOCK_PTX_FLOAT_LOWER_H
#define GN_TESTS_MOCK_PTX_FLOAT_LOWER_H

#include "ptx_float.h"
#include "ptx_lower.h"
#include "ptx_warp.h"

enum ptx_float_arith { PTX_FA_ADD, PTX_FA_SUB, PTX_FA_MUL, PTX_FA_FMA };
void ptx_lower_float_arith(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_float_arith what,
                           enum ptx_type t, bool sat);
void ptx_lower_float_sign(struct ptx_parser *p, struct ptx_stmt *s, bool negate, enum ptx_type t, bool ftz);
// False, with nothing taken, when the type is an integer one.
bool ptx_lower_float_divide(struct ptx_parser *p, struct ptx_stmt *s);
bool ptx_lower_float_min_max(struct ptx_parser *p, struct ptx_stmt *s, bool max);
void ptx_lower_half_setp2(struct ptx_parser *p, struct ptx_stmt *s, int cmp, int boolean, enum ptx_type t,
                          bool ftz);
void ptx_lower_half_set2(struct ptx_parser *p, struct ptx_stmt *s, int cmp, int boolean, enum ptx_type d,
                         enum ptx_type t, bool ftz);
// The type that a statement names, without taking it.
enum ptx_type ptx_peek_type(const struct ptx_stmt *s);

// Comparisons are made of five relations of ordered operands, swapped and inverted.
enum ptx_relation {
    PTX_REL_EQ,
    PTX_REL_LT,
    PTX_REL_LE,
    PTX_REL_NEO /* ordered and different */,
    PTX_REL_NUM /* ordered */
};
struct ptx_compare {
    enum ptx_relation relation;
    bool swap, invert, bad;
};
struct ptx_compare
ptx_compare_of(int cmp,
               bool is_float); // index as in eq ne lt le gt ge lo ls hi hs equ neu ltu leu gtu geu num nan

// Operations on halves, in `sub` bits 0-4 of OP_HALF_1..3; type and flags above.
enum ptx_half_op {
    PTX_H_ADD,
    PTX_H_SUB,
    PTX_H_MUL,
    PTX_H_FMA,
    PTX_H_MIN,
    PTX_H_MAX,
    PTX_H_ABS,
    PTX_H_NEG,
    PTX_H_EX2,
    PTX_H_TANH
};
enum {
    PTX_H_OP = 0xf,
    PTX_H_BF16 = 1 << 4,
    PTX_H_PAIR = 1 << 5,
    PTX_H_FTZ = 1 << 6,
    PTX_H_SAT = 1 << 7,
    PTX_H_RELU = 1 << 8,
    PTX_H_NAN = 1 << 9,
    PTX_H_XORSIGN = 1 << 10
};

#endif

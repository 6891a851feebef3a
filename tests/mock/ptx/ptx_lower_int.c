// SPDX-License-Identifier: Apache-2.0
// Lowers integer arithmetic, logic, moves and selection. Families of mixed types (add, min, setp ...) hand
// float types to ptx_lower_float.c.
#include "ptx_lower.h"
#include "ptx_float_lower.h"

static int type_index(enum ptx_type t) // u16 s16 u32 s32 u64 s64
{
    return ptx_width_index(t) * 2 + (ptx_types[t].kind == PK_SIGNED);
}

static bool want_int(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_type t, unsigned least_bytes)
{
    if ((ptx_types[t].kind == PK_UNSIGNED || ptx_types[t].kind == PK_SIGNED) &&
        ptx_types[t].bytes >= least_bytes && t != PT_U16X2 && t != PT_S16X2)
        return true;
    ptx_lower_fail(p, s, "the type .%s is not supported here", ptx_types[t].name);
    return false;
}

static bool want_bits(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_type t, unsigned least_bytes)
{
    if (ptx_types[t].kind != PK_FLOAT && ptx_types[t].bytes >= least_bytes && ptx_types[t].bytes <= 8)
        return true;
    ptx_lower_fail(p, s, "the type .%s is not supported here", ptx_types[t].name);
    return false;
}

static enum ptx_type wider(enum ptx_type t)
{
    switch (t) {
    case PT_U16: return PT_U32;
    case PT_S16: return PT_S32;
    case PT_U32: return PT_U64;
    default: return PT_S64;
    }
}

// add, sub: arg is the first operation of the width family
static void add_sub(struct ptx_parser *p, struct ptx_stmt *s, int sub)
{
    if (ptx_take(s, "cc")) {
        enum ptx_type t = ptx_take_type(p, s);
        if (!want_int(p, s, t, 4))
            return;
        ptx_emit_alu(p, s, (enum ptx_op)((sub ? OP_SUBC_32 : OP_ADDC_32) + (ptx_types[t].bytes == 8)), t, t,
                     t, PT_NONE)
            ->sub = 2;
        return;
    }
    bool sat = ptx_take(s, "sat");
    enum ptx_type t = ptx_take_type(p, s);
    if (ptx_types[t].kind == PK_FLOAT) {
        ptx_lower_float_arith(p, s, sub ? PTX_FA_SUB : PTX_FA_ADD, t, sat);
    } else if (sat && t == PT_S32) {
        ptx_emit_alu(p, s, sub ? OP_SUB_SAT : OP_ADD_SAT, t, t, t, PT_NONE);
    } else if ((t == PT_U16X2 || t == PT_S16X2) && !sub && !sat) {
        ptx_emit_alu(p, s, OP_ADD_16x2, t, t, t, PT_NONE);
    } else if (want_int(p, s, t, 2) && !sat) {
        ptx_emit_alu(p, s, (enum ptx_op)((sub ? OP_SUB_16 : OP_ADD_16) + ptx_width_index(t)), t, t, t,
                     PT_NONE);
    } else {
        ptx_lower_fail(p, s, ".sat is for .s32");
    }
}

static void add_carry(struct ptx_parser *p, struct ptx_stmt *s, int sub) // addc, subc
{
    bool out = ptx_take(s, "cc");
    enum ptx_type t = ptx_take_type(p, s);
    if (want_int(p, s, t, 4))
        ptx_emit_alu(p, s, (enum ptx_op)((sub ? OP_SUBC_32 : OP_ADDC_32) + (ptx_types[t].bytes == 8)), t, t,
                     t, PT_NONE)
            ->sub = (uint16_t)(out ? 3 : 1);
}

static void mul(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    static const char *const parts[] = {"lo", "hi", "wide", NULL};
    int part = ptx_take_one(s, parts, -1);
    bool sat = part < 0 && ptx_take(s, "sat");
    enum ptx_type t = ptx_take_type(p, s);
    if (part < 0) {
        if (ptx_types[t].kind == PK_FLOAT)
            ptx_lower_float_arith(p, s, PTX_FA_MUL, t, sat);
        else
            ptx_lower_fail(p, s, ".lo, .hi or .wide is missing");
        return;
    }
    if (!want_int(p, s, t, 2))
        return;
    if (part == 0)
        ptx_emit_alu(p, s, (enum ptx_op)(OP_MUL_LO_16 + ptx_width_index(t)), t, t, t, PT_NONE);
    else if (part == 1)
        ptx_emit_alu(p, s, (enum ptx_op)(OP_MUL_HI_u16 + type_index(t)), t, t, t, PT_NONE);
    else if (ptx_types[t].bytes < 8)
        ptx_emit_alu(p, s, (enum ptx_op)(OP_MUL_WIDE_u16 + type_index(t)), wider(t), t, t, PT_NONE);
    else
        ptx_lower_fail(p, s, "64 bits have no wider type");
}

static void mad(struct ptx_parser *p, struct ptx_stmt *s, int carry_in) // mad, madc
{
    static const char *const parts[] = {"lo", "hi", "wide", NULL};
    int part = ptx_take_one(s, parts, -1);
    bool carry_out = ptx_take(s, "cc");
    bool sat = ptx_take(s, "sat");
    enum ptx_type t = ptx_take_type(p, s);
    if (part < 0) {
        if (ptx_types[t].kind == PK_FLOAT && !carry_in && !carry_out)
            ptx_lower_float_arith(p, s, PTX_FA_FMA, t, sat);
        else
            ptx_lower_fail(p, s, ".lo, .hi or .wide is missing");
        return;
    }
    if (!want_int(p, s, t, carry_in || carry_out ? 4 : 2))
        return;
    bool wide64 = ptx_types[t].bytes == 8;
    if (carry_in || carry_out) {
        int op = part == 0 ? OP_MADC_LO_32 + wide64
                           : OP_MADC_HI_u32 + wide64 * 2 + (ptx_types[t].kind == PK_SIGNED);
        if (part == 2)
            ptx_lower_fail(p, s, ".wide has no carry");
        ptx_emit_alu(p, s, (enum ptx_op)op, t, t, t, t)->sub = (uint16_t)(carry_in | carry_out << 1);
    } else if (sat) {
        if (part != 1 || t != PT_S32)
            ptx_lower_fail(p, s, ".sat is for .hi.s32");
        ptx_emit_alu(p, s, OP_MAD_HI_SAT, t, t, t, t);
    } else if (part == 0) {
        ptx_emit_alu(p, s, (enum ptx_op)(OP_MAD_LO_16 + ptx_width_index(t)), t, t, t, t);
    } else if (part == 1) {
        ptx_emit_alu(p, s, (enum ptx_op)(OP_MAD_HI_u16 + type_index(t)), t, t, t, t);
    } else if (!wide64) {
        ptx_emit_alu(p, s, (enum ptx_op)(OP_MAD_WIDE_u16 + type_index(t)), wider(t), t, t, wider(t));
    } else {
        ptx_lower_fail(p, s, "64 bits have no wider type");
    }
}

static void mul24(struct ptx_parser *p, struct ptx_stmt *s, int add)
{
    bool high = ptx_take(s, "hi");
    if (!high && !ptx_take(s, "lo"))
        ptx_lower_fail(p, s, ".lo or .hi is missing");
    bool sat = add && ptx_take(s, "sat");
    enum ptx_type t = ptx_take_type(p, s);
    if (t != PT_U32 && t != PT_S32)
        ptx_lower_fail(p, s, "the type is .u32 or .s32");
    int op = (add ? OP_MAD24_HI_u : OP_MUL24_HI_u) + (high ? 0 : 2) + (t == PT_S32);
    if (sat && !(high && t == PT_S32))
        ptx_lower_fail(p, s, ".sat is for .hi.s32");
    ptx_emit_alu(p, s, sat ? OP_MAD24_HI_SAT : (enum ptx_op)op, t, t, t, add ? t : PT_NONE);
}

static void six_types(struct ptx_parser *p, struct ptx_stmt *s, int first) // rem, sad
{
    enum ptx_type t = ptx_take_type(p, s);
    if (want_int(p, s, t, 2))
        ptx_emit_alu(p, s, (enum ptx_op)(first + type_index(t)), t, t, t, first == OP_SAD_u16 ? t : PT_NONE);
}

static void divide(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    if (!ptx_lower_float_divide(p, s))
        six_types(p, s, OP_DIV_u16);
}

static void abs_neg(struct ptx_parser *p, struct ptx_stmt *s, int negate)
{
    bool ftz = ptx_take(s, "ftz");
    enum ptx_type t = ptx_take_type(p, s);
    if (ptx_types[t].kind == PK_FLOAT)
        ptx_lower_float_sign(p, s, negate, t, ftz);
    else if (ptx_types[t].kind != PK_SIGNED || !want_int(p, s, t, 2) || ftz)
        ptx_lower_fail(p, s, "the type is .s16, .s32, .s64 or a floating-point one");
    else
        ptx_emit_alu(p, s, (enum ptx_op)((negate ? OP_NEG_16 : OP_ABS_16) + ptx_width_index(t)), t, t,
                     PT_NONE, PT_NONE);
}

static void min_max(struct ptx_parser *p, struct ptx_stmt *s, int max)
{
    if (ptx_lower_float_min_max(p, s, max))
        return;
    bool relu = ptx_take(s, "relu");
    enum ptx_type t = ptx_take_type(p, s);
    if (t == PT_U16X2 || t == PT_S16X2) {
        if (relu && t == PT_U16X2)
            ptx_lower_fail(p, s, ".relu is for signed types");
        ptx_emit_alu(p, s, (enum ptx_op)((max ? OP_MAX_u16x2 : OP_MIN_u16x2) + (t == PT_S16X2)), t, t, t,
                     PT_NONE)
            ->sub = relu;
    } else if (relu) {
        if (t != PT_S32)
            ptx_lower_fail(p, s, ".relu is for .s32 and .s16x2");
        ptx_emit_alu(p, s, max ? OP_MAX_RELU : OP_MIN_RELU, t, t, t, PT_NONE);
    } else if (want_int(p, s, t, 2)) {
        ptx_emit_alu(p, s, (enum ptx_op)((max ? OP_MAX_u16 : OP_MIN_u16) + type_index(t)), t, t, t, PT_NONE);
    }
}

static void logic(struct ptx_parser *p, struct ptx_stmt *s, int first) // and, or, xor
{
    enum ptx_type t = ptx_take_type(p, s);
    if (t == PT_PRED)
        ptx_emit_alu(p, s,
                     first == OP_AND_16  ? OP_AND_PRED
                     : first == OP_OR_16 ? OP_OR_PRED
                                         : OP_XOR_PRED,
                     t, t, t, PT_NONE);
    else if (want_bits(p, s, t, 2))
        ptx_emit_alu(p, s, (enum ptx_op)(first + ptx_width_index(t)), t, t, t, PT_NONE);
}

static void logic_not(struct ptx_parser *p, struct ptx_stmt *s, int first) // not, cnot
{
    enum ptx_type t = ptx_take_type(p, s);
    if (t == PT_PRED && first == OP_NOT_16)
        ptx_emit_alu(p, s, OP_NOT_PRED, t, t, PT_NONE, PT_NONE);
    else if (want_bits(p, s, t, 2))
        ptx_emit_alu(p, s, (enum ptx_op)(first + ptx_width_index(t)), t, t, PT_NONE, PT_NONE);
}

static void shift(struct ptx_parser *p, struct ptx_stmt *s, int right)
{
    enum ptx_type t = ptx_take_type(p, s);
    if (want_bits(p, s, t, 2))
        ptx_emit_alu(p, s, (enum ptx_op)(right ? OP_SHR_u16 + type_index(t) : OP_SHL_16 + ptx_width_index(t)),
                     t, t, PT_U32, PT_NONE);
}

static void selp(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    enum ptx_type t = ptx_take_type(p, s);
    if (t == PT_PRED)
        ptx_emit_alu(p, s, OP_SELP_PRED, t, t, t, PT_PRED);
    else
        ptx_emit_alu(p, s, (enum ptx_op)(OP_SELP_16 + ptx_width_index(t)), t, t, t, PT_PRED);
}

static void slct(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    bool ftz = ptx_take(s, "ftz");
    enum ptx_type t = ptx_take_type(p, s), c = ptx_take_type(p, s);
    if (c != PT_S32 && c != PT_F32)
        ptx_lower_fail(p, s, "the third operand is .s32 or .f32");
    ptx_emit_alu(p, s, (enum ptx_op)((c == PT_S32 ? OP_SLCT_S32_16 : OP_SLCT_F32_16) + ptx_width_index(t)), t,
                 t, t, c)
        ->sub = ftz;
}

// --- setp and set ---

static const char *const compares[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "lo",  "ls",  "hi", "hs",
                                       "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan", NULL};
static const char *const booleans[] = {"and", "or", "xor", NULL};

// The comparison of operands 1 and 2 (of the statement from `first` on): emits into predicate `yes` and,
// unless it is none, `no`.
static struct ptx_insn *compare(struct ptx_parser *p, struct ptx_stmt *s, uint32_t first, int cmp,
                                int boolean, enum ptx_type t, bool ftz, uint32_t yes, uint32_t no)
{
    struct ptx_compare c = ptx_compare_of(cmp, ptx_types[t].kind == PK_FLOAT);
    enum ptx_op op;
    bool is_signed = ptx_types[t].kind == PK_SIGNED;
    if (c.bad || (ptx_types[t].kind == PK_BITS && c.relation != PTX_REL_EQ) ||
        (cmp >= 6 && cmp <= 9 && ptx_types[t].kind != PK_UNSIGNED) || t == PT_PRED ||
        ptx_types[t].bytes < 2 || ptx_types[t].bytes > 8 || t == PT_F16X2 || t == PT_BF16X2 ||
        t == PT_U16X2 || t == PT_S16X2) {
        ptx_lower_fail(p, s, "this comparison is not supported for .%s", ptx_types[t].name);
        return ptx_emit(p, s, OP_LEADER);
    }
    uint32_t a = ptx_value(p, s, &s->opd[first].one, t), b = ptx_value(p, s, &s->opd[first + 1].one, t);
    uint32_t with = boolean >= 0 ? ptx_pred(p, s, &s->opd[first + 2].one) : PTX_ID_NONE;
    unsigned sub = 0;
    if (t == PT_F16 || t == PT_BF16) {
        op = OP_HALF_SETP;
    } else if (t == PT_F32) {
        op = (enum ptx_op)(OP_SETP_EQ_f32 + c.relation);
    } else if (t == PT_F64) {
        op = (enum ptx_op)(OP_SETP_EQ_f64 + c.relation);
    } else if (c.relation == PTX_REL_EQ) {
        op = (enum ptx_op)(OP_SETP_EQ_16 + ptx_width_index(t));
    } else {
        if (c.relation == PTX_REL_LE) { // a <= b is not b < a
            c.swap = !c.swap;
            c.invert = !c.invert;
        }
        op = (enum ptx_op)(OP_SETP_LT_u16 + ptx_width_index(t) * 2 + is_signed);
    }
    sub |= c.invert ? PTX_SETP_INVERT : 0;
    sub |= boolean == 0 ? PTX_SETP_AND : boolean == 1 ? PTX_SETP_OR : boolean == 2 ? PTX_SETP_XOR : 0;
    sub |= no != PTX_ID_NONE ? PTX_SETP_SECOND : 0;
    sub |= ftz ? PTX_SETP_FTZ : 0;
    struct ptx_insn *in = ptx_emit(p, s, op);
    in->sub = (uint16_t)sub;
    if (op == OP_HALF_SETP)
        in->imm = c.relation | (t == PT_BF16 ? 8 : 0);
    ptx_ref(p, PTX_F_D, yes, true);
    ptx_ref(p, c.swap ? PTX_F_B : PTX_F_A, a, false);
    ptx_ref(p, c.swap ? PTX_F_A : PTX_F_B, b, false);
    if (with != PTX_ID_NONE)
        ptx_ref(p, PTX_F_C, with, false);
    if (no != PTX_ID_NONE)
        ptx_ref(p, PTX_F_E0, no, true);
    return in;
}

static void setp(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    int cmp = ptx_take_one(s, compares, -1), boolean = ptx_take_one(s, booleans, -1);
    bool ftz = ptx_take(s, "ftz");
    enum ptx_type t = ptx_take_type(p, s);
    if (cmp < 0 || s->opd_count != (boolean >= 0 ? 4u : 3u)) {
        ptx_lower_fail(p, s, "a comparison with %u operands", s->opd_count);
        return;
    }
    if (t == PT_F16X2 || t == PT_BF16X2) {
        ptx_lower_half_setp2(p, s, cmp, boolean, t, ftz);
        return;
    }
    uint32_t yes = ptx_dest(p, s, &s->opd[0].one, PT_PRED);
    uint32_t no = s->opd[0].has_pair ? ptx_dest(p, s, &s->opd[0].pair, PT_PRED) : PTX_ID_NONE;
    compare(p, s, 1, cmp, boolean, t, ftz, yes, no);
}

static void set(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    int cmp = ptx_take_one(s, compares, -1), boolean = ptx_take_one(s, booleans, -1);
    bool ftz = ptx_take(s, "ftz");
    enum ptx_type d = ptx_take_type(p, s), t = ptx_take_type(p, s);
    if (cmp < 0 || s->opd_count != (boolean >= 0 ? 4u : 3u)) {
        ptx_lower_fail(p, s, "a comparison with %u operands", s->opd_count);
        return;
    }
    if (t == PT_F16X2 || t == PT_BF16X2) {
        ptx_lower_half_set2(p, s, cmp, boolean, d, t, ftz);
        return;
    }
    static const struct {
        enum ptx_type type;
        uint64_t yes;
    } results[] = {{PT_U32, 0xffffffff}, {PT_S32, 0xffffffff}, {PT_F32, 0x3f800000}, {PT_U16, 0xffff},
                   {PT_S16, 0xffff},     {PT_F16, 0x3c00},     {PT_BF16, 0x3f80}};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (results[i].type == d) {
            uint32_t temp = ptx_temp(p, PT_PRED), dest = ptx_dest(p, s, &s->opd[0].one, d);
            compare(p, s, 1, cmp, boolean, t, ftz, temp, PTX_ID_NONE);
            uint32_t one = ptx_const_literal(p, ptx_class_of(d), results[i].yes),
                     zero = ptx_const_literal(p, ptx_class_of(d), 0);
            ptx_emit(p, s, (enum ptx_op)(OP_SELP_16 + ptx_width_index(d)));
            ptx_ref(p, PTX_F_D, dest, true);
            ptx_ref(p, PTX_F_A, one, false);
            ptx_ref(p, PTX_F_B, zero, false);
            ptx_ref(p, PTX_F_C, temp, false);
            return;
        }
    ptx_lower_fail(p, s, "a result of type .%s is not supported", ptx_types[d].name);
}

// --- mov ---

struct pack {
    unsigned bytes, count, element;
    enum ptx_op pack, unpack;
};
static const struct pack packs[] = {{8, 2, 4, OP_PACK_64_32, OP_UNPACK_64_32},
                                    {8, 4, 2, OP_PACK_64_16, OP_UNPACK_64_16},
                                    {4, 2, 2, OP_PACK_32_16, OP_UNPACK_32_16},
                                    {2, 2, 1, OP_PACK_16_8, OP_UNPACK_16_8},
                                    {4, 4, 1, OP_PACK_32_8, OP_UNPACK_32_8}};

static void mov_vector(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_type t, bool unpack)
{
    static const enum ptx_type elements[] = {PT_NONE, PT_B8, PT_B16, PT_NONE, PT_B32};
    const struct ptx_operand *v = &s->opd[unpack ? 0 : 1];
    const struct pack *k = NULL;
    for (size_t i = 0; i < sizeof packs / sizeof *packs; i++)
        if (packs[i].bytes == ptx_types[t].bytes && packs[i].count == v->count)
            k = &packs[i];
    if (!k) {
        ptx_lower_fail(p, s, "a vector of %u does not fit .%s", v->count, ptx_types[t].name);
        return;
    }
    uint32_t ids[4], other;
    for (uint32_t i = 0; i < v->count; i++)
        ids[i] = !unpack ? ptx_value(p, s, &v->items[i], elements[k->element])
                         : ptx_dest(p, s, &v->items[i], elements[k->element]);
    other = unpack ? ptx_value(p, s, &s->opd[1].one, t) : ptx_dest(p, s, &s->opd[0].one, t);
    ptx_emit(p, s, unpack ? k->unpack : k->pack);
    ptx_ref(p, unpack ? PTX_F_A : PTX_F_D, other, !unpack);
    for (uint32_t i = 0; i < v->count; i++)
        ptx_ref(p, (uint8_t)(PTX_F_E0 + i), ids[i], unpack);
}

static void mov(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    enum ptx_type t = ptx_take_type(p, s);
    if (s->opd[0].kind == OK_VECTOR && s->opd[1].kind == OK_VECTOR) {
        ptx_lower_fail(p, s, "a vector on both sides");
    } else if (s->opd[0].kind == OK_VECTOR) {
        mov_vector(p, s, t, true);
    } else if (s->opd[1].kind == OK_VECTOR) {
        mov_vector(p, s, t, false);
    } else if (t == PT_PRED) {
        ptx_emit_alu(p, s, OP_MOV_PRED, t, t, PT_NONE, PT_NONE);
    } else if (ptx_types[t].bytes > 8 || ptx_types[t].bytes < 2) {
        ptx_lower_fail(p, s, "the type .%s is not supported here", ptx_types[t].name);
    } else {
        // %clock64 and the like into 32 bits, %tid into 16 or 64: the low or extended part, as old code does
        const struct ptx_item *a = &s->opd[1].one;
        if (a->kind == OK_VALUE && a->id & PTX_ID_SPECIAL && ptx_types[t].bytes != 4) {
            uint32_t dest = ptx_dest(p, s, &s->opd[0].one, t);
            ptx_emit(p, s, ptx_types[t].bytes == 8 ? OP_EXT_u32_32_64 : OP_EXT_u32_32_16);
            ptx_ref(p, PTX_F_D, dest, true);
            ptx_ref(p, PTX_F_A, a->id, false);
            return;
        }
        ptx_emit_alu(p, s, (enum ptx_op)(OP_MOV_16 + ptx_width_index(t)), t, t, PT_NONE, PT_NONE);
    }
}

const struct ptx_opcode ptx_opcodes_int[] = {{"add", add_sub, 0, 3, 3},
                                             {"sub", add_sub, 1, 3, 3},
                                             {"addc", add_carry, 0, 3, 3},
                                             {"subc", add_carry, 1, 3, 3},
                                             {"mul", mul, 0, 3, 3},
                                             {"mad", mad, 0, 4, 4},
                                             {"madc", mad, 1, 4, 4},
                                             {"mul24", mul24, 0, 3, 3},
                                             {"mad24", mul24, 1, 4, 4},
                                             {"sad", six_types, OP_SAD_u16, 4, 4},
                                             {"div", divide, 0, 3, 3},
                                             {"rem", six_types, OP_REM_u16, 3, 3},
                                             {"abs", abs_neg, 0, 2, 2},
                                             {"neg", abs_neg, 1, 2, 2},
                                             {"min", min_max, 0, 3, 4},
                                             {"max", min_max, 1, 3, 4},
                                             {"and", logic, OP_AND_16, 3, 3},
                                             {"or", logic, OP_OR_16, 3, 3},
                                             {"xor", logic, OP_XOR_16, 3, 3},
                                             {"not", logic_not, OP_NOT_16, 2, 2},
                                             {"cnot", logic_not, OP_CNOT_16, 2, 2},
                                             {"shl", shift, 0, 3, 3},
                                             {"shr", shift, 1, 3, 3},
                                             {"selp", selp, 0, 4, 4},
                                             {"slct", slct, 0, 4, 4},
                                             {"setp", setp, 0, 3, 4},
                                             {"set", set, 0, 3, 4},
                                             {"mov", mov, 0, 2, 2},
                                             {NULL, NULL, 0, 0, 0}};

// SPDX-License-Identifier: Apache-2.0
// Lowers floating-point arithmetic: f32, f64, and the halves f16, bf16 and their pairs.
#include "ptx_float_lower.h"

static const char *const roundings[] = {"rn", "rz", "rm", "rp", NULL};

static bool is_half(enum ptx_type t)
{
    return t == PT_F16 || t == PT_BF16 || t == PT_F16X2 || t == PT_BF16X2;
}
static unsigned half_flags(enum ptx_type t)
{
    return (t == PT_BF16 || t == PT_BF16X2 ? PTX_H_BF16 : 0) |
           (t == PT_F16X2 || t == PT_BF16X2 ? PTX_H_PAIR : 0);
}

enum ptx_type ptx_peek_type(const struct ptx_stmt *s)
{
    for (uint32_t i = 0; i < s->mod_count; i++) {
        enum ptx_type type = s->mods[i].taken ? PT_NONE : ptx_type_named(s->mods[i].text, s->mods[i].size);
        if (type != PT_NONE)
            return type;
    }
    return PT_NONE;
}

static void half(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_half_op what, enum ptx_type t,
                 unsigned flags, unsigned sources)
{
    static const enum ptx_op ops[] = {OP_HALF_1, OP_HALF_1, OP_HALF_2, OP_HALF_3};
    ptx_emit_alu(p, s, ops[sources], t, t, sources > 1 ? t : PT_NONE, sources > 2 ? t : PT_NONE)->sub =
        (uint16_t)(what | half_flags(t) | flags);
}

void ptx_lower_float_arith(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_float_arith what,
                           enum ptx_type t, bool sat)
{
    int mode = ptx_take_one(s, roundings, PTX_RN);
    bool ftz = ptx_take(s, "ftz");
    sat |= ptx_take(s, "sat");
    unsigned sources = what == PTX_FA_FMA ? 3 : 2;
    if (is_half(t)) {
        bool relu = what == PTX_FA_FMA && ptx_take(s, "relu");
        if (mode != PTX_RN)
            ptx_lower_fail(p, s, "halves are rounded to nearest only");
        static const enum ptx_half_op halves[] = {PTX_H_ADD, PTX_H_SUB, PTX_H_MUL, PTX_H_FMA};
        half(p, s, halves[what], t, (ftz ? PTX_H_FTZ : 0) | (sat ? PTX_H_SAT : 0) | (relu ? PTX_H_RELU : 0),
             sources);
        return;
    }
    bool wide = t == PT_F64;
    if ((t != PT_F32 && !wide) || (wide && (ftz || sat))) {
        ptx_lower_fail(p, s, "not supported for .%s", ptx_types[t].name);
        return;
    }
    bool plain = mode == PTX_RN && !ftz && !sat;
    int op = (wide ? (plain ? OP_ADD_f64 : OP_ADD_f64x) : (plain ? OP_ADD_f32 : OP_ADD_f32x)) + (int)what;
    struct ptx_insn *in = ptx_emit_alu(p, s, (enum ptx_op)op, t, t, t, sources > 2 ? t : PT_NONE);
    in->sub = (uint16_t)((ftz ? PTX_FTZ : 0) | (sat ? PTX_SAT : 0) | mode << PTX_ROUND_SHIFT);
}

static void fused(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    if (!ptx_take(s, "rn") && !ptx_take(s, "rz") && !ptx_take(s, "rm") && !ptx_take(s, "rp"))
        ptx_lower_fail(p, s, "the rounding mode is missing");
    for (uint32_t i = 0; i < s->mod_count; i++) // given back: the common code takes it
        if (s->mods[i].size == 2 && s->mods[i].text[0] == 'r')
            s->mods[i].taken = false;
    ptx_lower_float_arith(p, s, PTX_FA_FMA, ptx_take_type(p, s), false);
}

void ptx_lower_float_sign(struct ptx_parser *p, struct ptx_stmt *s, bool negate, enum ptx_type t, bool ftz)
{
    if (is_half(t)) {
        half(p, s, negate ? PTX_H_NEG : PTX_H_ABS, t, ftz ? PTX_H_FTZ : 0, 1);
        return;
    }
    if (t != PT_F32 && t != PT_F64)
        ptx_lower_fail(p, s, "not supported for .%s", ptx_types[t].name);
    enum ptx_op op = t == PT_F64 ? (negate ? OP_NEG_f64 : OP_ABS_f64) : (negate ? OP_NEG_f32 : OP_ABS_f32);
    ptx_emit_alu(p, s, op, t, t, PT_NONE, PT_NONE)->sub = ftz ? PTX_FTZ : 0;
}

// One source or two, f32 or f64, with rounding, .ftz, .approx and .full.
static void general(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_op op32, enum ptx_op op64,
                    unsigned sources)
{
    bool approx = ptx_take(s, "approx") || (sources == 2 && ptx_take(s, "full"));
    int mode = ptx_take_one(s, roundings, -1);
    bool ftz = ptx_take(s, "ftz");
    enum ptx_type t = ptx_take_type(p, s);
    if ((t != PT_F32 && t != PT_F64) || (approx && mode >= 0)) {
        ptx_lower_fail(p, s, "not supported for .%s", ptx_types[t].name);
        return;
    }
    enum ptx_op op = t == PT_F32 ? op32 : op64;
    if (approx && t == PT_F64) {
        if (op64 != OP_RCP_f64 || !ftz)
            ptx_lower_fail(p, s, "not supported for .f64");
        op = OP_RCP_APPROX_f64;
    } else if (!approx && mode < 0 && p->m->version >= 14) {
        ptx_lower_fail(p, s, "the rounding mode is missing");
    } else if (t == PT_F64 && ftz) {
        ptx_lower_fail(p, s, ".ftz is for .f32");
    }
    ptx_emit_alu(p, s, op, t, t, sources > 1 ? t : PT_NONE, PT_NONE)->sub =
        (uint16_t)((ftz ? PTX_FTZ : 0) | (mode > 0 ? mode : 0) << PTX_ROUND_SHIFT);
}

bool ptx_lower_float_divide(struct ptx_parser *p, struct ptx_stmt *s)
{
    if (ptx_types[ptx_peek_type(s)].kind != PK_FLOAT)
        return false;
    general(p, s, OP_DIV_f32, OP_DIV_f64, 2);
    return true;
}
static void rcp(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    general(p, s, OP_RCP_f32, OP_RCP_f64, 1);
}
static void square_root(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    general(p, s, OP_SQRT_f32, OP_SQRT_f64, 1);
}

static void rsqrt(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    bool approx = ptx_take(s, "approx"), ftz = ptx_take(s, "ftz");
    enum ptx_type t = ptx_take_type(p, s);
    if (!approx || (t != PT_F32 && t != PT_F64))
        ptx_lower_fail(p, s, "only .approx of .f32 and .f64");
    ptx_emit_alu(p, s,
                 t == PT_F32 ? OP_RSQRT_f32
                 : ftz       ? OP_RSQRT_APPROX_f64
                             : OP_RSQRT_f64,
                 t, t, PT_NONE, PT_NONE)
        ->sub = ftz ? PTX_FTZ : 0;
}

static void approximate(struct ptx_parser *p, struct ptx_stmt *s, int op) // sin cos lg2 ex2 tanh
{
    bool approx = ptx_take(s, "approx"), ftz = ptx_take(s, "ftz");
    enum ptx_type t = ptx_take_type(p, s);
    if (!approx)
        ptx_lower_fail(p, s, ".approx is missing");
    if (is_half(t) && (op == OP_EX2_f32 || op == OP_TANH_f32)) {
        half(p, s, op == OP_EX2_f32 ? PTX_H_EX2 : PTX_H_TANH, t, ftz ? PTX_H_FTZ : 0, 1);
        return;
    }
    if (t != PT_F32)
        ptx_lower_fail(p, s, "not supported for .%s", ptx_types[t].name);
    ptx_emit_alu(p, s, (enum ptx_op)op, t, t, PT_NONE, PT_NONE)->sub = ftz ? PTX_FTZ : 0;
}

bool ptx_lower_float_min_max(struct ptx_parser *p, struct ptx_stmt *s, bool max)
{
    enum ptx_type t = ptx_peek_type(s);
    if (ptx_types[t].kind != PK_FLOAT)
        return false;
    bool ftz = ptx_take(s, "ftz"), nan = ptx_take(s, "NaN"),
         xorsign = ptx_take(s, "xorsign") && ptx_take(s, "abs");
    ptx_take_type(p, s);
    if (s->opd_count != 3) {
        ptx_lower_fail(p, s, "only two sources are supported");
    } else if (is_half(t)) {
        half(p, s, max ? PTX_H_MAX : PTX_H_MIN, t,
             (ftz ? PTX_H_FTZ : 0) | (nan ? PTX_H_NAN : 0) | (xorsign ? PTX_H_XORSIGN : 0), 2);
    } else if (t == PT_F64) {
        if (ftz || nan || xorsign)
            ptx_lower_fail(p, s, "not supported for .f64");
        ptx_emit_alu(p, s, max ? OP_MAX_f64 : OP_MIN_f64, t, t, t, PT_NONE);
    } else {
        ptx_emit_alu(p, s, max ? OP_MAX_f32 : OP_MIN_f32, t, t, t, PT_NONE)->sub =
            (uint16_t)((ftz ? PTX_FTZ : 0) | (nan ? PTX_NAN : 0) | (xorsign ? PTX_XORSIGN : 0));
    }
    return true;
}

static void copy_sign(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    enum ptx_type t = ptx_take_type(p, s);
    if (t != PT_F32 && t != PT_F64)
        ptx_lower_fail(p, s, "not supported for .%s", ptx_types[t].name);
    ptx_emit_alu(p, s, t == PT_F64 ? OP_COPYSIGN_f64 : OP_COPYSIGN_f32, t, t, t, PT_NONE);
}

static void testp(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    static const char *const tests[] = {"finite", "infinite",  "number", "notanumber",
                                        "normal", "subnormal", NULL};
    int test = ptx_take_one(s, tests, -1);
    enum ptx_type t = ptx_take_type(p, s);
    if (test < 0 || (t != PT_F32 && t != PT_F64))
        ptx_lower_fail(p, s, "not supported");
    ptx_emit_alu(p, s, t == PT_F64 ? OP_TESTP_f64 : OP_TESTP_f32, PT_PRED, t, PT_NONE, PT_NONE)->sub =
        (uint16_t)test;
}

// --- comparisons ---

struct ptx_compare ptx_compare_of(int cmp, bool is_float)
{
    static const struct ptx_compare integers[] = {
        {PTX_REL_EQ, false, false, false}, {PTX_REL_EQ, false, true, false},
        {PTX_REL_LT, false, false, false}, {PTX_REL_LE, false, false, false},
        {PTX_REL_LT, true, false, false},  {PTX_REL_LE, true, false, false}};
    static const struct ptx_compare floats[] = {
        {PTX_REL_EQ, false, false, false}, {PTX_REL_NEO, false, false, false},
        {PTX_REL_LT, false, false, false}, {PTX_REL_LE, false, false, false},
        {PTX_REL_LT, true, false, false},  {PTX_REL_LE, true, false, false}};
    // Unordered: true for a NaN, so the opposite relation inverted.
    static const struct ptx_compare unordered[] = {
        {PTX_REL_NEO, false, true, false},  {PTX_REL_EQ, false, true, false},
        {PTX_REL_LE, true, true, false},    {PTX_REL_LT, true, true, false},
        {PTX_REL_LE, false, true, false},   {PTX_REL_LT, false, true, false},
        {PTX_REL_NUM, false, false, false}, {PTX_REL_NUM, false, true, false}};
    struct ptx_compare bad = {.bad = true};
    if (is_float)
        return cmp < 6 ? floats[cmp] : cmp >= 10 ? unordered[cmp - 10] : bad;
    return cmp < 6 ? integers[cmp] : cmp < 10 ? integers[cmp - 4] : bad; // lo ls hi hs are lt le gt ge
}

static unsigned half_compare(struct ptx_parser *p, struct ptx_stmt *s, int cmp, enum ptx_type t,
                             struct ptx_compare *c)
{
    *c = ptx_compare_of(cmp, true);
    if (c->bad)
        ptx_lower_fail(p, s, "this comparison is not supported for .%s", ptx_types[t].name);
    return (unsigned)c->relation | (t == PT_BF16X2 ? 8u : 0);
}

static unsigned setp_flags(const struct ptx_compare *c, int boolean, bool ftz)
{
    return (c->invert ? PTX_SETP_INVERT : 0) | (ftz ? PTX_SETP_FTZ : 0) |
           (boolean == 0   ? PTX_SETP_AND
            : boolean == 1 ? PTX_SETP_OR
            : boolean == 2 ? PTX_SETP_XOR
                           : 0);
}

// setp of a pair: one predicate for each half.
void ptx_lower_half_setp2(struct ptx_parser *p, struct ptx_stmt *s, int cmp, int boolean, enum ptx_type t,
                          bool ftz)
{
    struct ptx_compare c;
    unsigned relation = half_compare(p, s, cmp, t, &c);
    if (!s->opd[0].has_pair)
        ptx_lower_fail(p, s, "two predicates are wanted");
    uint32_t low = ptx_dest(p, s, &s->opd[0].one, PT_PRED), high = ptx_dest(p, s, &s->opd[0].pair, PT_PRED);
    uint32_t a = ptx_value(p, s, &s->opd[1].one, t), b = ptx_value(p, s, &s->opd[2].one, t);
    uint32_t with = boolean >= 0 ? ptx_pred(p, s, &s->opd[3].one) : PTX_ID_NONE;
    struct ptx_insn *in = ptx_emit(p, s, OP_HALF_SETP2);
    in->sub = (uint16_t)setp_flags(&c, boolean, ftz);
    in->imm = relation;
    ptx_ref(p, PTX_F_D, low, true);
    ptx_ref(p, PTX_F_E0, high, true);
    ptx_ref(p, c.swap ? PTX_F_B : PTX_F_A, a, false);
    ptx_ref(p, c.swap ? PTX_F_A : PTX_F_B, b, false);
    if (with != PTX_ID_NONE)
        ptx_ref(p, PTX_F_C, with, false);
}

// set of a pair: 1.0 or 0 in each half, or all ones when the result is an integer.
void ptx_lower_half_set2(struct ptx_parser *p, struct ptx_stmt *s, int cmp, int boolean, enum ptx_type d,
                         enum ptx_type t, bool ftz)
{
    struct ptx_compare c;
    unsigned relation = half_compare(p, s, cmp, t, &c);
    if (d != t && d != PT_U32 && d != PT_S32)
        ptx_lower_fail(p, s, "a result of type .%s is not supported", ptx_types[d].name);
    uint32_t dest = ptx_dest(p, s, &s->opd[0].one, d);
    uint32_t a = ptx_value(p, s, &s->opd[1].one, t), b = ptx_value(p, s, &s->opd[2].one, t);
    uint32_t with = boolean >= 0 ? ptx_pred(p, s, &s->opd[3].one) : PTX_ID_NONE;
    struct ptx_insn *in = ptx_emit(p, s, OP_HALF_SET2);
    in->sub = (uint16_t)setp_flags(&c, boolean, ftz);
    in->imm = relation | (d == t ? 16 : 0);
    ptx_ref(p, PTX_F_D, dest, true);
    ptx_ref(p, c.swap ? PTX_F_B : PTX_F_A, a, false);
    ptx_ref(p, c.swap ? PTX_F_A : PTX_F_B, b, false);
    if (with != PTX_ID_NONE)
        ptx_ref(p, PTX_F_C, with, false);
}

const struct ptx_opcode ptx_opcodes_float[] = {{"fma", fused, 0, 4, 4},
                                               {"rcp", rcp, 0, 2, 2},
                                               {"sqrt", square_root, 0, 2, 2},
                                               {"rsqrt", rsqrt, 0, 2, 2},
                                               {"sin", approximate, OP_SIN_f32, 2, 2},
                                               {"cos", approximate, OP_COS_f32, 2, 2},
                                               {"lg2", approximate, OP_LG2_f32, 2, 2},
                                               {"ex2", approximate, OP_EX2_f32, 2, 2},
                                               {"tanh", approximate, OP_TANH_f32, 2, 2},
                                               {"copysign", copy_sign, 0, 3, 3},
                                               {"testp", testp, 0, 2, 2},
                                               {NULL, NULL, 0, 0, 0}};

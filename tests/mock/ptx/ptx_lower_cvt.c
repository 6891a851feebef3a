// SPDX-License-Identifier: Apache-2.0
// Lowers conversions: the common ones to handlers of their own, the rest to a general one.
#include "ptx_cvt.h"
#include "ptx_float_lower.h"

struct fast {
    enum ptx_type d, s;
    int mode;
    enum ptx_op op;
}; // mode: PTX_RN, PTX_RZ for integers, -1 for none
static const struct fast fast[] = {
    {PT_F32, PT_S32, PTX_RN, OP_CVT_f32_s32}, {PT_F32, PT_U32, PTX_RN, OP_CVT_f32_u32},
    {PT_F64, PT_S32, PTX_RN, OP_CVT_f64_s32}, {PT_F64, PT_U32, PTX_RN, OP_CVT_f64_u32},
    {PT_F64, PT_F32, -1, OP_CVT_f64_f32},     {PT_F32, PT_F64, PTX_RN, OP_CVT_f32_f64},
    {PT_S32, PT_F32, PTX_RZ, OP_CVT_s32_f32}, {PT_U32, PT_F32, PTX_RZ, OP_CVT_u32_f32},
    {PT_F32, PT_F16, -1, OP_CVT_f32_f16},     {PT_F16, PT_F32, PTX_RN, OP_CVT_f16_f32}};

// EXT_<type>_<register>_<register>: the type's own families stand in the order of PTX_OPS_CVT.
static int extension(enum ptx_type s, enum ptx_class from, enum ptx_class to)
{
    static const struct {
        enum ptx_type type;
        int first;
        enum ptx_class least;
    } rows[] = {{PT_U8, OP_EXT_u8_16_16, PC_16},   {PT_S8, OP_EXT_s8_16_16, PC_16},
                {PT_U16, OP_EXT_u16_16_16, PC_16}, {PT_S16, OP_EXT_s16_16_16, PC_16},
                {PT_U32, OP_EXT_u32_32_16, PC_32}, {PT_S32, OP_EXT_s32_32_16, PC_32},
                {PT_U64, OP_EXT_u64_64_16, PC_64}, {PT_S64, OP_EXT_s64_64_16, PC_64}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].type == s)
            return rows[i].first + (int)(from - rows[i].least) * 3 + (int)(to - PC_16);
    return -1;
}

static void finish(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_op op, uint32_t d, uint32_t a,
                   unsigned sub, int64_t imm)
{
    struct ptx_insn *in = ptx_emit(p, s, op);
    in->sub = (uint16_t)sub;
    in->imm = imm;
    ptx_ref(p, PTX_F_D, d, true);
    ptx_ref(p, PTX_F_A, a, false);
}

static bool is_pair(enum ptx_type t)
{
    return t == PT_F16X2 || t == PT_BF16X2 || t == PT_E4M3X2 || t == PT_E5M2X2;
}

// Two f32 to a pair, or a pair of 8-bit formats to f16x2.
static void pairs(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_type d, enum ptx_type t, unsigned sub)
{
    int64_t imm = (int64_t)t | (int64_t)d << 8;
    if (is_pair(d) && t == PT_F32 && s->opd_count == 3) {
        ptx_emit_alu(p, s, OP_CVT_PAIR, d, t, t, PT_NONE);
    } else if ((t == PT_E4M3X2 || t == PT_E5M2X2 ? d == PT_F16X2
                                                 : t == PT_F16X2 && (d == PT_E4M3X2 || d == PT_E5M2X2)) &&
               s->opd_count == 2) {
        ptx_emit_alu(p, s, OP_CVT_UNPAIR, d, t, PT_NONE, PT_NONE);
    } else {
        ptx_lower_fail(p, s, "this conversion is not implemented");
        return;
    }
    struct ptx_insn *in = p->failed ? NULL : PTX_VEC_AT(&p->b.code, struct ptx_insn, p->b.code.count - 1);
    if (in) {
        in->imm = imm;
        in->sub = (uint16_t)sub;
    }
}

static void cvt(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    static const char *const float_modes[] = {"rn", "rz", "rm", "rp", "rna", NULL}, *const int_modes[] = {
                                                                                        "rni", "rzi", "rmi",
                                                                                        "rpi", NULL};
    int mode = ptx_take_one(s, float_modes, -1), integral = ptx_take_one(s, int_modes, -1);
    bool ftz = ptx_take(s, "ftz"), finite = ptx_take(s, "satfinite"), sat = ptx_take(s, "sat"),
         relu = ptx_take(s, "relu");
    enum ptx_type d = ptx_take_type(p, s), t = ptx_take_type(p, s);
    unsigned sub = (ftz ? PTX_FTZ : 0) | (sat ? PTX_SAT : 0) | (relu ? PTX_RELU : 0) |
                   (integral >= 0 ? PTX_CVT_INTEGER : 0) | (finite ? PTX_CVT_FINITE : 0) |
                   (unsigned)(mode > 0       ? mode
                              : integral > 0 ? integral
                                             : 0)
                       << PTX_ROUND_SHIFT;
    if (p->failed)
        return;
    if (is_pair(d) || is_pair(t)) {
        pairs(p, s, d, t, sub);
        return;
    }
    bool from_float = ptx_types[t].kind == PK_FLOAT, to_float = ptx_types[d].kind == PK_FLOAT || d == PT_TF32;
    if (s->opd_count != 2 || (!from_float && !ptx_is_int(t)) || (!to_float && !ptx_is_int(d)) ||
        d == PT_U16X2 || t == PT_U16X2 || d == PT_S16X2 || t == PT_S16X2 || (d == PT_TF32 && t != PT_F32) ||
        (from_float != to_float && !from_float && integral >= 0) ||
        (from_float && !to_float && integral < 0) || (!from_float && to_float && mode < 0) ||
        (from_float && !to_float && mode >= 0)) {
        ptx_lower_fail(p, s, "this conversion is not implemented");
        return;
    }
    enum ptx_class from, to;
    uint32_t a = ptx_value_wide(p, s, &s->opd[1].one, t, &from),
             dest = ptx_dest_wide(p, s, &s->opd[0].one, d, &to);
    int64_t imm = (int64_t)t | (int64_t)d << 8 | (int64_t)from << 16 | (int64_t)to << 24;
    bool exact_places = from == ptx_class_of(t) && to == ptx_class_of(d);
    int asked = mode >= 0 ? mode : integral;
    for (size_t i = 0; i < sizeof fast / sizeof *fast; i++)
        if (fast[i].d == d && fast[i].s == t && fast[i].mode == asked && exact_places &&
            !(sub & ~((unsigned)PTX_CVT_INTEGER | 7u << PTX_ROUND_SHIFT))) {
            finish(p, s, fast[i].op, dest, a, sub, imm);
            return;
        }
    if (!from_float && !to_float && !sat && ptx_types[d].bytes >= 2 && to == ptx_class_of(d))
        finish(p, s, (enum ptx_op)extension(t, from, to), dest, a, sub, imm);
    else
        finish(p, s, OP_CVT_ANY, dest, a, sub, imm);
}

const struct ptx_opcode ptx_opcodes_cvt[] = {{"cvt", cvt, 0, 2, 3}, {NULL, NULL, 0, 0, 0}};

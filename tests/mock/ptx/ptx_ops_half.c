// SPDX-License-Identifier: Apache-2.0
// Handlers: arithmetic and comparison of f16, bf16 and their pairs.
//
// Each lane is widened to f32, which holds both formats exactly, computed there (a fused multiply-add in f64,
// rounded to odd) and rounded once.
#include "ptx_float_lower.h"
#include "ptx_ops.h"

#include <math.h>

static inline float widen(uint16_t v, unsigned sub)
{
    if (sub & PTX_H_BF16)
        return ptx_from_bf16(v);
    if (sub & PTX_H_FTZ && !(v & 0x7c00))
        v &= 0x8000;
    return ptx_from_f16(v);
}

static uint16_t narrow(double v, unsigned sub)
{
    if (sub & PTX_H_SAT)
        v = v > 0 ? (v < 1 ? v : 1) : 0;
    if (sub & PTX_H_RELU && v < 0)
        v = 0;
    uint16_t out = sub & PTX_H_BF16 ? ptx_to_bf16(v, PTX_RN) : ptx_to_f16(v, PTX_RN);
    if (sub & PTX_H_RELU && out == 0x8000)
        out = 0;
    if (sub & PTX_H_FTZ && !(sub & PTX_H_BF16) && !(out & 0x7c00))
        out &= 0x8000;
    return out;
}

static uint16_t min_max(uint16_t a, uint16_t b, unsigned sub)
{
    const uint16_t sign = (a ^ b) & 0x8000;
    if (sub & PTX_H_XORSIGN) {
        a &= 0x7fff;
        b &= 0x7fff;
    }
    float x = widen(a, sub), y = widen(b, sub);
    if (x != x || y != y) {
        if ((x != x && y != y) || sub & PTX_H_NAN)
            return 0x7fff;
        a = x != x ? b : a;
    } else if ((sub & PTX_H_OP) == PTX_H_MIN ? y < x || (x == y && b >> 15)
                                             : y > x || (x == y && !(b >> 15))) {
        a = b;
    }
    if (sub & PTX_H_FTZ && !(sub & PTX_H_BF16) && !(a & 0x7c00))
        a &= 0x8000;
    return sub & PTX_H_XORSIGN ? a | sign : a;
}

static uint16_t operate(uint16_t a, uint16_t b, uint16_t c, unsigned sub)
{
    const double x = widen(a, sub), y = widen(b, sub);
    switch (sub & PTX_H_OP) {
    case PTX_H_ADD: return narrow(x + y, sub);
    case PTX_H_SUB: return narrow(x - y, sub);
    case PTX_H_MUL: return narrow(x * y, sub);
    case PTX_H_FMA: return narrow(ptx_fma_odd(x, y, widen(c, sub)), sub);
    case PTX_H_MIN:
    case PTX_H_MAX: return min_max(a, b, sub);
    case PTX_H_ABS: return sub & PTX_H_FTZ && !(a & 0x7c00) ? 0 : a & 0x7fff;
    case PTX_H_NEG: return (uint16_t)((sub & PTX_H_FTZ && !(a & 0x7c00) ? a & 0x8000 : a) ^ 0x8000);
    case PTX_H_EX2: return narrow(exp2(x), sub);
    default: return narrow(tanh(x), sub);
    }
}

static inline const struct ptx_insn *run(struct ptx_warp *w, const struct ptx_insn *in, int32_t pb,
                                         int32_t pc)
{
    const unsigned sub = in->sub;
    for (uint32_t m = w->mask; m; m &= m - 1) {
        const int i = __builtin_ctz(m);
        if (sub & PTX_H_PAIR) {
            const uint32_t a = PTX_U32(w, in->a)[i], b = PTX_U32(w, pb)[i], c = PTX_U32(w, pc)[i];
            const uint32_t low = operate((uint16_t)a, (uint16_t)b, (uint16_t)c, sub);
            PTX_U32(w, in->d)
            [i] = low | (uint32_t)operate((uint16_t)(a >> 16), (uint16_t)(b >> 16), (uint16_t)(c >> 16), sub)
                            << 16;
        } else {
            PTX_U16(w, in->d)[i] = operate(PTX_U16(w, in->a)[i], PTX_U16(w, pb)[i], PTX_U16(w, pc)[i], sub);
        }
    }
    return PTX_NEXT(in);
}
PTX_HANDLER(h_HALF_1) { return run(w, in, in->a, in->a); }
PTX_HANDLER(h_HALF_2) { return run(w, in, in->b, in->a); }
PTX_HANDLER(h_HALF_3) { return run(w, in, in->b, in->c); }

// --- comparison: `imm` has the relation, 8 for bf16, 16 for a result in halves ---

static bool related(const struct ptx_insn *in, uint16_t a, uint16_t b)
{
    const unsigned sub =
        (in->imm & 8 ? (unsigned)PTX_H_BF16 : 0) | (in->sub & PTX_SETP_FTZ ? (unsigned)PTX_H_FTZ : 0);
    const float x = widen(a, sub), y = widen(b, sub);
    switch (in->imm & 7) {
    case PTX_REL_EQ: return x == y;
    case PTX_REL_LT: return x < y;
    case PTX_REL_LE: return x <= y;
    case PTX_REL_NEO: return x < y || x > y;
    default: return x == x && y == y;
    }
}

PTX_HANDLER(h_HALF_SETP)
{
    uint32_t yes = 0;
    for (int i = 0; i < PTX_LANES; i++)
        yes |= (uint32_t)related(in, PTX_U16(w, in->a)[i], PTX_U16(w, in->b)[i]) << i;
    return ptx_setp_done(w, in, yes);
}

// The comparisons of both halves, combined with the predicate.
static void both(const struct ptx_warp *w, const struct ptx_insn *in, uint32_t out[2])
{
    const ptx_u32 *a = PTX_U32(w, in->a), *b = PTX_U32(w, in->b);
    for (int h = 0; h < 2; h++) {
        uint32_t yes = 0;
        for (int i = 0; i < PTX_LANES; i++)
            yes |= (uint32_t)related(in, (uint16_t)(a[i] >> (16 * h)), (uint16_t)(b[i] >> (16 * h))) << i;
        yes = in->sub & PTX_SETP_INVERT ? ~yes : yes;
        if (in->sub & (PTX_SETP_AND | PTX_SETP_OR | PTX_SETP_XOR)) {
            const uint32_t p = PTX_P(w, in->c);
            yes = in->sub & PTX_SETP_AND ? yes & p : in->sub & PTX_SETP_OR ? yes | p : yes ^ p;
        }
        out[h] = yes;
    }
}
PTX_HANDLER(h_HALF_SETP2)
{
    uint32_t yes[2];
    both(w, in, yes);
    ptx_set_pred(w, in->d, yes[0]);
    ptx_set_pred(w, in->e[0], yes[1]);
    return PTX_NEXT(in);
}
PTX_HANDLER(h_HALF_SET2)
{
    uint32_t yes[2];
    both(w, in, yes);
    PTX_RESULT(ptx_u32);
    const uint32_t one = in->imm & 16 ? (in->imm & 8 ? 0x3f80 : 0x3c00) : 0xffff;
    for (int i = 0; i < PTX_LANES; i++)
        d[i] = (yes[0] >> i & 1 ? one : 0) | (yes[1] >> i & 1 ? one << 16 : 0);
    PTX_RESULT_DONE;
}

const ptx_fn PTX_TABLE(ptx_table_half)[] = {PTX_OPS_HALF(PTX_TABLE_ENTRY)};

// SPDX-License-Identifier: Apache-2.0
// Handlers: conversions between integers and floating-point formats of all widths.
#include "ptx_cvt.h"
#include "ptx_float.h"
#include "ptx_ops.h"
#include "ptx_warp.h"

#include <math.h>

// --- integers to integers: the low bits of the source register as its type, into the destination register
// ---

#define EXT1(name, T, S, D) PTX_UNARY(EXT_##name, D, S, (T)x)
#define EXT3(t, T, r, S)                                                                                     \
    EXT1(t##_##r##_16, T, S, ptx_u16) EXT1(t##_##r##_32, T, S, ptx_u32) EXT1(t##_##r##_64, T, S, ptx_u64)
EXT3(u8, uint8_t, 16, ptx_u16)
EXT3(u8, uint8_t, 32, ptx_u32) EXT3(u8, uint8_t, 64, ptx_u64) EXT3(s8, int8_t, 16, ptx_u16)
    EXT3(s8, int8_t, 32, ptx_u32) EXT3(s8, int8_t, 64, ptx_u64) EXT3(u16, uint16_t, 16, ptx_u16)
        EXT3(u16, uint16_t, 32, ptx_u32) EXT3(u16, uint16_t, 64, ptx_u64) EXT3(s16, int16_t, 16, ptx_u16)
            EXT3(s16, int16_t, 32, ptx_u32) EXT3(s16, int16_t, 64, ptx_u64) EXT3(u32, uint32_t, 32, ptx_u32)
                EXT3(u32, uint32_t, 64, ptx_u64) EXT3(s32, int32_t, 32, ptx_u32)
                    EXT3(s32, int32_t, 64, ptx_u64) EXT3(u64, uint64_t, 64, ptx_u64)
                        EXT3(s64, int64_t, 64, ptx_u64)

    // --- the common conversions with floats ---

    PTX_UNARY(CVT_f32_s32, ptx_f32, ptx_s32, (float)x) PTX_UNARY(CVT_f32_u32, ptx_f32, ptx_u32, (float)x)
        PTX_UNARY(CVT_f64_s32, ptx_f64, ptx_s32, (double)x)
            PTX_UNARY(CVT_f64_u32, ptx_f64, ptx_u32, (double)x)
                PTX_UNARY(CVT_f64_f32, ptx_f64, ptx_f32, (double)x) PTX_HANDLER(h_CVT_f32_f64)
{
    PTX_RESULT(ptx_u32);
    const ptx_f64 *a = PTX_AT(ptx_f64, w, in->a);
    PTX_LANE_LOOP d[i] = ptx_canonical(ptx_bits32((float)a[i]));
    PTX_RESULT_DONE;
}

static inline int32_t to_s32(float v)
{
    // 2^31 is the first value above; NaN gives 0.
    return v >= 0x1p31f ? INT32_MAX : v >= -0x1p31f ? (int32_t)v : v == v ? INT32_MIN : 0;
}
static inline uint32_t to_u32(float v)
{
    return v >= 0x1p32f ? UINT32_MAX : v > -1.0f ? (uint32_t)(int64_t)v : 0;
}
PTX_UNARY(CVT_s32_f32, ptx_s32, ptx_f32, to_s32(x))
PTX_UNARY(CVT_u32_f32, ptx_u32, ptx_f32, to_u32(x))
PTX_HANDLER(h_CVT_f32_f16)
{
    PTX_RESULT(ptx_u32);
    const ptx_u16 *a = PTX_U16(w, in->a);
    for (int i = 0; i < PTX_LANES; i++)
        d[i] = ptx_canonical(ptx_bits32(ptx_from_f16(a[i])));
    PTX_RESULT_DONE;
}

// f32 to f16, to nearest: without a branch, so that it vectorises.
static inline uint16_t f16_nearest(uint32_t bits)
{
    const uint32_t sign = bits >> 16 & 0x8000, m = bits & 0x7fffffff;
    // Normal results: rebias, add half a unit and the last kept bit.
    const uint32_t normal = (m - 0x38000000 + 0xfff + (m >> 13 & 1)) >> 13;
    // Subnormal ones: adding 0.5 puts the last bit of the half at the last bit of the float, which rounds.
    const uint32_t small = ptx_bits32(ptx_float32(m) + 0.5f) - 0x3f000000;
    uint32_t r = m < 0x38800000 ? small : normal;
    r = r > 0x7c00 || m >= 0x47800000 ? 0x7c00 : r;
    r = m > 0x7f800000 ? 0x7fff : r;
    return (uint16_t)(m > 0x7f800000 ? r : r | sign);
}
PTX_UNARY(CVT_f16_f32, ptx_u16, ptx_u32, f16_nearest(x))

// --- any conversion ---

struct number { // a source value: an integer, or a double that holds it exactly
    bool is_float, is_signed;
    uint64_t bits;
    double value;
};

static uint64_t lane_bits(const struct ptx_warp *w, int32_t place, unsigned cls, int lane)
{
    return cls == PC_16   ? PTX_U16(w, place)[lane]
           : cls == PC_32 ? PTX_U32(w, place)[lane]
                          : PTX_U64(w, place)[lane];
}

static struct number read_number(unsigned type, uint64_t bits, bool ftz)
{
    struct number n = {.is_float = ptx_types[type].kind == PK_FLOAT,
                       .is_signed = ptx_types[type].kind == PK_SIGNED};
    switch (type) {
    case PT_U8: n.bits = (uint8_t)bits; break;
    case PT_S8: n.bits = (uint64_t)(int8_t)bits; break;
    case PT_U16: n.bits = (uint16_t)bits; break;
    case PT_S16: n.bits = (uint64_t)(int16_t)bits; break;
    case PT_U32: n.bits = (uint32_t)bits; break;
    case PT_S32: n.bits = (uint64_t)(int32_t)bits; break;
    case PT_F16: n.value = ptx_from_f16((uint16_t)bits); break;
    case PT_BF16: n.value = ptx_from_bf16((uint16_t)bits); break;
    case PT_F32: n.value = ptx_float32(ftz ? ptx_flush((uint32_t)bits) : (uint32_t)bits); break;
    case PT_F64: n.value = ptx_float64(bits); break;
    default: n.bits = bits; break;
    }
    return n;
}

static double integral(double v, enum ptx_round mode)
{
    switch (mode) {
    case PTX_RZ: return trunc(v);
    case PTX_RM: return floor(v);
    case PTX_RP: return ceil(v);
    default: return rint(v);
    }
}

struct limits {
    int64_t least;
    uint64_t most;
};
static struct limits limits_of(unsigned type)
{
    const unsigned bits = ptx_types[type].bytes * 8u;
    if (ptx_types[type].kind == PK_SIGNED)
        return (struct limits){bits == 64 ? INT64_MIN : -((int64_t)1 << (bits - 1)),
                               ((uint64_t)1 << (bits - 1)) - 1};
    return (struct limits){0, bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1};
}

static uint64_t float_to_int(double v, unsigned source, unsigned dest, enum ptx_round mode)
{
    const struct limits l = limits_of(dest);
    if (v != v) // zero, but for doubles and 64-bit results the lone top bit
        return source != PT_F64 && ptx_types[dest].bytes < 8 ? 0
               : ptx_types[dest].kind == PK_SIGNED           ? (uint64_t)l.least
                                                             : (uint64_t)1 << (ptx_types[dest].bytes * 8 - 1);
    v = integral(v, mode);
    if (v <= (double)l.least)
        return (uint64_t)l.least;
    if (v >= (double)l.most)
        return l.most;
    return v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
}

// The nearest double at or below in magnitude with its last bit set when something was lost: rounding it
// again is as good as once.
static double odd_double(const struct number *n)
{
    bool negative = n->is_signed && (int64_t)n->bits < 0;
    uint64_t m = negative ? 0 - n->bits : n->bits;
    if (m >> 53) {
        int shift = 11 - __builtin_clzll(m);
        m = (m >> shift | ((m & (((uint64_t)1 << shift) - 1)) != 0)) << shift;
    }
    double v = (double)m;
    return negative ? -v : v;
}

static double int_to_f64(const struct number *n, unsigned sub)
{
    unsigned mode = ptx_round_begin(sub);
    uint64_t bits = n->bits;
    ptx_opaque(&bits, &bits, &bits);
    volatile double v = n->is_signed ? (double)(int64_t)bits : (double)bits;
    ptx_round_end(sub, mode);
    return v;
}

static uint64_t to_float(struct number n, unsigned dest, unsigned sub)
{
    enum ptx_round mode = (enum ptx_round)PTX_ROUND_OF(sub);
    double v = n.value;
    if (!n.is_float) {
        if (dest == PT_F64)
            return ptx_bits64(int_to_f64(&n, sub));
        v = odd_double(&n);
    } else if (sub & PTX_CVT_INTEGER) {
        v = integral(v, mode);
    }
    if (sub & PTX_SAT)
        v = v > 0 ? (v < 1 ? v : 1) : 0;
    if (sub & PTX_RELU && v < 0)
        v = 0;
    if (sub & PTX_CVT_FINITE && isinf(v))
        v = copysign(dest == PT_F16 ? 65504.0 : 0x1.fep127, v);
    switch (dest) {
    case PT_F16: return ptx_to_f16(v, mode);
    case PT_BF16: return ptx_to_bf16(v, mode);
    case PT_TF32: return (uint64_t)ptx_round_small(v, 10, 8, mode, 0x3ffff) << 13;
    case PT_F32: {
        uint32_t bits = ptx_round_small(v, 23, 8, sub & PTX_CVT_INTEGER ? PTX_RN : mode, 0x7fffffff);
        return sub & PTX_FTZ ? ptx_flush(bits) : bits;
    }
    default: return ptx_bits64(v);
    }
}

static uint64_t convert(unsigned source, unsigned dest, uint64_t bits, unsigned sub)
{
    struct number n = read_number(source, bits, sub & PTX_FTZ);
    if (ptx_types[dest].kind == PK_FLOAT || dest == PT_TF32)
        return to_float(n, dest, sub);
    uint64_t v = n.is_float ? float_to_int(n.value, source, dest, (enum ptx_round)PTX_ROUND_OF(sub)) : n.bits;
    if (!n.is_float && sub & PTX_SAT) {
        const struct limits l = limits_of(dest);
        if (n.is_signed && (int64_t)v < l.least)
            v = (uint64_t)l.least;
        else if (!(n.is_signed && (int64_t)v < 0) && v > l.most)
            v = l.most;
    }
    return read_number(dest, v, false).bits; // cut to the type, then extended to the register
}

PTX_HANDLER(h_CVT_ANY)
{
    const unsigned source = PTX_CVT_SOURCE(in->imm), dest = PTX_CVT_DEST(in->imm),
                   from = PTX_CVT_SOURCE_CLASS(in->imm), to = PTX_CVT_DEST_CLASS(in->imm);
    for (uint32_t m = w->mask; m; m &= m - 1) {
        const int lane = __builtin_ctz(m);
        const uint64_t v = convert(source, dest, lane_bits(w, in->a, from, lane), in->sub);
        if (to == PC_16)
            PTX_U16(w, in->d)[lane] = (uint16_t)v;
        else if (to == PC_32)
            PTX_U32(w, in->d)[lane] = (uint32_t)v;
        else
            PTX_U64(w, in->d)[lane] = v;
    }
    return PTX_NEXT(in);
}

// --- pairs ---

static double e4m3_value(unsigned code) // of a magnitude below 0x7f
{
    unsigned e = code >> 3, m = code & 7;
    return e ? ldexp(8 + m, (int)e - 10) : ldexp(m, -9);
}

static uint32_t to_e4m3(double v)
{
    uint32_t sign = signbit(v) ? 0x80 : 0;
    if (v != v)
        return 0x7f;
    v = fabs(v);
    unsigned low = 0, high = 0x7e;
    while (high - low > 1) {
        unsigned mid = (low + high) / 2;
        if (e4m3_value(mid) <= v)
            low = mid;
        else
            high = mid;
    }
    double below = v - e4m3_value(low),
           above = e4m3_value(high) - v; // beyond the largest value the result is that
    bool up = above < below || (above == below && low & 1);
    return sign | (up ? high : low);
}

static uint32_t small_from(double v, unsigned dest, unsigned sub)
{
    if (sub & PTX_RELU && (v < 0 || (v == 0 && signbit(v))))
        v = 0;
    switch (dest) {
    case PT_E4M3X2: return to_e4m3(v);
    case PT_E5M2X2: {
        uint32_t code = ptx_round_small(v, 2, 5, PTX_RN, 0x7f);
        return (code & 0x7f) == 0x7c ? code - 1 : code; // .satfinite is the only form
    }
    default: {
        struct number n = {.is_float = true, .value = v};
        return (uint32_t)to_float(n, dest == PT_F16X2 ? PT_F16 : PT_BF16, sub & ~(unsigned)PTX_RELU);
    }
    }
}

PTX_HANDLER(h_CVT_PAIR)
{
    const unsigned dest = PTX_CVT_DEST(in->imm), width = ptx_types[dest].bytes * 4u;
    const ptx_u32 *a = PTX_U32(w, in->a), *b = PTX_U32(w, in->b);
    for (uint32_t m = w->mask; m; m &= m - 1) {
        const int lane = __builtin_ctz(m);
        const bool ftz = in->sub & PTX_FTZ;
        const uint32_t v = small_from(ptx_float32(ftz ? ptx_flush(a[lane]) : a[lane]), dest, in->sub)
                               << width |
                           small_from(ptx_float32(ftz ? ptx_flush(b[lane]) : b[lane]), dest, in->sub);
        if (width == 8)
            PTX_U16(w, in->d)[lane] = (uint16_t)v;
        else
            PTX_U32(w, in->d)[lane] = v;
    }
    return PTX_NEXT(in);
}

// Between f16x2 and pairs of 8-bit formats, either way.
PTX_HANDLER(h_CVT_UNPAIR)
{
    const unsigned source = PTX_CVT_SOURCE(in->imm), dest = PTX_CVT_DEST(in->imm);
    for (uint32_t m = w->mask; m; m &= m - 1) {
        const int lane = __builtin_ctz(m);
        if (source == PT_F16X2) {
            const uint32_t v = PTX_U32(w, in->a)[lane];
            PTX_U16(w, in->d)
            [lane] = (uint16_t)(small_from(ptx_from_f16((uint16_t)(v >> 16)), dest, in->sub) << 8 |
                                small_from(ptx_from_f16((uint16_t)v), dest, in->sub));
            continue;
        }
        uint32_t out = 0;
        for (int h = 0; h < 2; h++) {
            const unsigned code = PTX_U16(w, in->a)[lane] >> (8 * h) & 0xff;
            uint16_t half;
            if (source == PT_E5M2X2) {
                half = (uint16_t)(code << 8); // the same exponent
                half = (half & 0x7fff) > 0x7c00 ? 0x7fff : half;
            } else {
                double v = (code & 0x7f) == 0x7f ? NAN : e4m3_value(code & 0x7f);
                half = ptx_to_f16(code & 0x80 && v == v ? -v : v, PTX_RN);
            }
            if (in->sub & PTX_RELU && half >> 15)
                half = 0;
            out |= (uint32_t)half << (16 * h);
        }
        PTX_U32(w, in->d)[lane] = out;
    }
    return PTX_NEXT(in);
}

const ptx_fn PTX_TABLE(ptx_table_cvt)[] = {PTX_OPS_CVT(PTX_TABLE_ENTRY)};

// SPDX-License-Identifier: Apache-2.0
// Handlers: arithmetic and comparison of f32 and f64.
//
// Results are those of IEEE 754 with the device's ways: a NaN result of f32 is 0x7fffffff; `sub` of the
// general forms has .ftz, .sat and the rounding mode. The approximate functions give correctly rounded or
// libm results, which are within the bounds that the ISA states.
#include "ptx_float.h"
#include "ptx_ops.h"
#include "ptx_warp.h"

#include <math.h>

// --- the common forms: round to nearest, nothing else ---

#define F32_LOOP(name, operands, expr)                                                                       \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        PTX_RESULT(ptx_u32);                                                                                 \
        operands PTX_LANE_LOOP d[i] = ptx_canonical(ptx_bits32(expr));                                       \
        PTX_RESULT_DONE;                                                                                     \
    }
#define A32 const ptx_f32 *a = PTX_AT(ptx_f32, w, in->a);
#define B32 const ptx_f32 *b = PTX_AT(ptx_f32, w, in->b);
#define C32 const ptx_f32 *c = PTX_AT(ptx_f32, w, in->c);
F32_LOOP(ADD_f32, A32 B32, a[i] + b[i])
F32_LOOP(SUB_f32, A32 B32, a[i] - b[i])
F32_LOOP(MUL_f32, A32 B32, a[i] * b[i])
F32_LOOP(FMA_f32, A32 B32 C32, __builtin_fmaf(a[i], b[i], c[i]))
PTX_BINARY(ADD_f64, ptx_f64, ptx_f64, ptx_f64, x + y)
PTX_BINARY(SUB_f64, ptx_f64, ptx_f64, ptx_f64, x - y)
PTX_BINARY(MUL_f64, ptx_f64, ptx_f64, ptx_f64, x * y)
PTX_TERNARY(FMA_f64, ptx_f64, ptx_f64, ptx_f64, ptx_f64, __builtin_fma(x, y, z))

// --- the general forms ---

static inline void flush32(ptx_f32 *out, const ptx_f32 *v, bool ftz)
{
    if (ftz)
        PTX_LANE_LOOP out[i] = ptx_float32(ptx_flush(ptx_bits32(v[i])));
    else
        memcpy(out, v, PTX_LANES * sizeof *v);
}

// From raw results to what the instruction writes.
static inline const struct ptx_insn *finish32(struct ptx_warp *w, const struct ptx_insn *in, ptx_f32 *raw)
{
    PTX_RESULT(ptx_u32);
    if (in->sub & PTX_FTZ)
        PTX_LANE_LOOP raw[i] = ptx_float32(ptx_flush(ptx_bits32(raw[i])));
    if (in->sub & PTX_SAT)
        PTX_LANE_LOOP raw[i] = raw[i] > 0 ? (raw[i] < 1 ? raw[i] : 1) : 0; // NaN gives 0
    PTX_LANE_LOOP d[i] = ptx_canonical(ptx_bits32(raw[i]));
    PTX_RESULT_DONE;
}

#define F32_GENERAL(name, count, expr)                                                                       \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        ptx_f32 a[PTX_LANES], b[PTX_LANES], c[PTX_LANES], raw[PTX_LANES];                                    \
        const bool ftz = in->sub & PTX_FTZ;                                                                  \
        flush32(a, PTX_AT(ptx_f32, w, in->a), ftz);                                                          \
        flush32(b, PTX_AT(ptx_f32, w, count > 1 ? in->b : in->a), ftz);                                      \
        flush32(c, PTX_AT(ptx_f32, w, count > 2 ? in->c : in->a), ftz);                                      \
        unsigned before = ptx_round_begin(in->sub);                                                          \
        ptx_opaque(a, b, c);                                                                                 \
        PTX_LANE_LOOP raw[i] = expr;                                                                         \
        ptx_opaque(raw, raw, raw);                                                                           \
        ptx_round_end(in->sub, before);                                                                      \
        (void)b;                                                                                             \
        (void)c;                                                                                             \
        return finish32(w, in, raw);                                                                         \
    }
F32_GENERAL(ADD_f32x, 2, a[i] + b[i])
F32_GENERAL(SUB_f32x, 2, a[i] - b[i])
F32_GENERAL(MUL_f32x, 2, a[i] * b[i])
F32_GENERAL(FMA_f32x, 3, __builtin_fmaf(a[i], b[i], c[i]))
F32_GENERAL(DIV_f32, 2, a[i] / b[i])
F32_GENERAL(RCP_f32, 1, 1.0f / a[i])
F32_GENERAL(SQRT_f32, 1, __builtin_sqrtf(a[i]))

#define F64_GENERAL(name, count, expr)                                                                       \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        PTX_RESULT(ptx_f64);                                                                                 \
        const ptx_f64 *a = PTX_AT(ptx_f64, w, in->a), *b = PTX_AT(ptx_f64, w, count > 1 ? in->b : in->a),    \
                      *c = PTX_AT(ptx_f64, w, count > 2 ? in->c : in->a);                                    \
        unsigned before = ptx_round_begin(in->sub);                                                          \
        ptx_opaque(a, b, c);                                                                                 \
        PTX_LANE_LOOP d[i] = expr;                                                                           \
        ptx_opaque(d, d, d);                                                                                 \
        ptx_round_end(in->sub, before);                                                                      \
        (void)b;                                                                                             \
        (void)c;                                                                                             \
        PTX_RESULT_DONE;                                                                                     \
    }
F64_GENERAL(ADD_f64x, 2, a[i] + b[i])
F64_GENERAL(SUB_f64x, 2, a[i] - b[i])
F64_GENERAL(MUL_f64x, 2, a[i] * b[i])
F64_GENERAL(FMA_f64x, 3, __builtin_fma(a[i], b[i], c[i]))
F64_GENERAL(DIV_f64, 2, a[i] / b[i])
F64_GENERAL(RCP_f64, 1, 1.0 / a[i])
F64_GENERAL(SQRT_f64, 1, __builtin_sqrt(a[i]))

// --- approximate functions ---

#define F32_FUNCTION(name, expr)                                                                             \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        ptx_f32 a[PTX_LANES], raw[PTX_LANES];                                                                \
        flush32(a, PTX_AT(ptx_f32, w, in->a), in->sub &PTX_FTZ);                                             \
        const uint32_t mask = w->mask;                                                                       \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            const float x = a[i];                                                                            \
            raw[i] = mask >> i & 1 ? expr : 0;                                                               \
        }                                                                                                    \
        return finish32(w, in, raw);                                                                         \
    }
PTX_HANDLER(h_RSQRT_f32)
{
    ptx_f32 a[PTX_LANES], raw[PTX_LANES];
    flush32(a, PTX_AT(ptx_f32, w, in->a), in->sub & PTX_FTZ);
    PTX_LANE_LOOP raw[i] = (float)(1.0 / __builtin_sqrt((double)a[i]));
    return finish32(w, in, raw);
}
F32_FUNCTION(SIN_f32, sinf(x))
F32_FUNCTION(COS_f32, cosf(x))
F32_FUNCTION(LG2_f32, log2f(x))
F32_FUNCTION(EX2_f32, exp2f(x))
F32_FUNCTION(TANH_f32, tanhf(x))
PTX_UNARY(RSQRT_f64, ptx_f64, ptx_f64, 1.0 / __builtin_sqrt(x))

// The gross approximations: subnormals are zero, the low 32 bits of the result are zero.
static inline double high_half(double v)
{
    uint64_t bits = ptx_bits64(v);
    return v != v ? v
                  : ptx_float64((bits & 0x7fffffffffffffff) < 0x0010000000000000 ? bits & (uint64_t)1 << 63
                                                                                 : bits & 0xffffffff00000000);
}
static inline double flush64(double v)
{
    uint64_t bits = ptx_bits64(v);
    return ptx_float64((bits & 0x7fffffffffffffff) < 0x0010000000000000 ? bits & (uint64_t)1 << 63 : bits);
}
PTX_UNARY(RCP_APPROX_f64, ptx_f64, ptx_f64, high_half(1.0 / flush64(x)))
PTX_UNARY(RSQRT_APPROX_f64, ptx_f64, ptx_f64, high_half(1.0 / __builtin_sqrt(flush64(x))))

// --- minimum, maximum, signs ---

// A NaN loses against a number unless .NaN is asked; -0 is below +0.
static inline uint32_t min_bits32(uint32_t x, uint32_t y)
{
    // Order as signed integers: negative numbers in reverse.
    int32_t kx = (int32_t)(x ^ (uint32_t)((int32_t)x >> 31) >> 1),
            ky = (int32_t)(y ^ (uint32_t)((int32_t)y >> 31) >> 1);
    return kx < ky ? x : y;
}
static inline uint64_t min_bits64(uint64_t x, uint64_t y)
{
    int64_t kx = (int64_t)(x ^ (uint64_t)((int64_t)x >> 63) >> 1),
            ky = (int64_t)(y ^ (uint64_t)((int64_t)y >> 63) >> 1);
    return kx < ky ? x : y;
}

#define MIN_MAX_F32(name, take_first)                                                                        \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        PTX_RESULT(ptx_u32);                                                                                 \
        const ptx_u32 *a = PTX_U32(w, in->a), *b = PTX_U32(w, in->b);                                        \
        const bool ftz = in->sub & PTX_FTZ, keep_nan = in->sub & PTX_NAN, xorsign = in->sub & PTX_XORSIGN;   \
        PTX_LANE_LOOP                                                                                        \
        {                                                                                                    \
            uint32_t x = ftz ? ptx_flush(a[i]) : a[i], y = ftz ? ptx_flush(b[i]) : b[i];                     \
            const uint32_t sign = (x ^ y) & 0x80000000;                                                      \
            x = xorsign ? x & 0x7fffffff : x;                                                                \
            y = xorsign ? y & 0x7fffffff : y;                                                                \
            const bool nx = (x & 0x7fffffff) > 0x7f800000, ny = (y & 0x7fffffff) > 0x7f800000;               \
            const uint32_t least = min_bits32(x, y), most = x ^ y ^ least;                                   \
            uint32_t r = take_first ? least : most;                                                          \
            r = nx ? y : r;                                                                                  \
            r = ny ? x : r;                                                                                  \
            r = ((nx & ny) | (keep_nan & (nx | ny))) ? 0x7fffffff : xorsign ? r | sign : r;                  \
            d[i] = r;                                                                                        \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }
MIN_MAX_F32(MIN_f32, 1)
MIN_MAX_F32(MAX_f32, 0)

#define MIN_MAX_F64(name, take_first)                                                                        \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        PTX_RESULT(ptx_u64);                                                                                 \
        const ptx_u64 *a = PTX_U64(w, in->a), *b = PTX_U64(w, in->b);                                        \
        PTX_LANE_LOOP                                                                                        \
        {                                                                                                    \
            const uint64_t x = a[i], y = b[i], infinity = 0x7ff0000000000000,                                \
                           magnitude = 0x7fffffffffffffff;                                                   \
            const bool nx = (x & magnitude) > infinity, ny = (y & magnitude) > infinity;                     \
            const uint64_t least = min_bits64(x, y), most = x ^ y ^ least;                                   \
            uint64_t r = take_first ? least : most;                                                          \
            r = nx ? y : r;                                                                                  \
            r = ny ? x : r;                                                                                  \
            d[i] = (nx & ny) ? (uint64_t)0x7fffffffffffffff : r;                                             \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }
MIN_MAX_F64(MIN_f64, 1)
MIN_MAX_F64(MAX_f64, 0)

PTX_HANDLER(h_ABS_f32)
{
    PTX_RESULT(ptx_u32);
    const ptx_u32 *a = PTX_U32(w, in->a);
    const bool ftz = in->sub & PTX_FTZ;
    PTX_LANE_LOOP d[i] = (ftz ? ptx_flush(a[i]) : a[i]) & 0x7fffffff;
    PTX_RESULT_DONE;
}
PTX_HANDLER(h_NEG_f32)
{
    PTX_RESULT(ptx_u32);
    const ptx_u32 *a = PTX_U32(w, in->a);
    const bool ftz = in->sub & PTX_FTZ;
    PTX_LANE_LOOP d[i] = (ftz ? ptx_flush(a[i]) : a[i]) ^ 0x80000000;
    PTX_RESULT_DONE;
}
PTX_UNARY(ABS_f64, ptx_u64, ptx_u64, x & 0x7fffffffffffffff)
PTX_UNARY(NEG_f64, ptx_u64, ptx_u64, x ^ (uint64_t)1 << 63)
PTX_BINARY(COPYSIGN_f32, ptx_u32, ptx_u32, ptx_u32, (y & 0x7fffffff) | (x & 0x80000000))
PTX_BINARY(COPYSIGN_f64, ptx_u64, ptx_u64, ptx_u64, (y & 0x7fffffffffffffff) | (x & (uint64_t)1 << 63))

// --- comparison ---

#define COMPARE_F32(name, expr)                                                                              \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        int32_t yes[PTX_LANES];                                                                              \
        ptx_f32 a[PTX_LANES], b[PTX_LANES];                                                                  \
        flush32(a, PTX_AT(ptx_f32, w, in->a), in->sub &PTX_SETP_FTZ);                                        \
        flush32(b, PTX_AT(ptx_f32, w, in->b), in->sub &PTX_SETP_FTZ);                                        \
        PTX_LANE_LOOP                                                                                        \
        {                                                                                                    \
            const float x = a[i], y = b[i];                                                                  \
            yes[i] = (expr) ? -1 : 0;                                                                        \
        }                                                                                                    \
        return ptx_setp_done(w, in, ptx_bits_of(yes));                                                       \
    }
COMPARE_F32(SETP_EQ_f32, x == y)
COMPARE_F32(SETP_LT_f32, x < y)
COMPARE_F32(SETP_LE_f32, x <= y)
COMPARE_F32(SETP_NEO_f32, x<y || x> y)
COMPARE_F32(SETP_NUM_f32, x == x && y == y)
PTX_COMPARE(SETP_EQ_f64, ptx_f64, x == y)
PTX_COMPARE(SETP_LT_f64, ptx_f64, x < y)
PTX_COMPARE(SETP_LE_f64, ptx_f64, x <= y)
PTX_COMPARE(SETP_NEO_f64, ptx_f64, x<y || x> y)
PTX_COMPARE(SETP_NUM_f64, ptx_f64, x == x && y == y)

#define TESTP(name, T, U, magnitude_mask, infinity, least_normal)                                            \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        uint32_t bits = 0;                                                                                   \
        const U *a = PTX_AT(U, w, in->a);                                                                    \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            const U m = a[i] & (magnitude_mask);                                                             \
            const bool yes[] = {m<(infinity), m == (infinity), m <= (infinity), m>(infinity),                \
                                m >= (least_normal) && m < (infinity), m != 0 && m < (least_normal)};        \
            bits |= (uint32_t)yes[in->sub] << i;                                                             \
        }                                                                                                    \
        ptx_set_pred(w, in->d, bits);                                                                        \
        return PTX_NEXT(in);                                                                                 \
    }
TESTP(TESTP_f32, float, ptx_u32, 0x7fffffffu, 0x7f800000u, 0x00800000u)
TESTP(TESTP_f64, double, ptx_u64, 0x7fffffffffffffffu, 0x7ff0000000000000u, 0x0010000000000000u)

const ptx_fn PTX_TABLE(ptx_table_float)[] = {PTX_OPS_FLOAT(PTX_TABLE_ENTRY)};

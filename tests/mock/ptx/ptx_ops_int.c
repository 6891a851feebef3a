// SPDX-License-Identifier: Apache-2.0
// Handlers: integer arithmetic, logic, shifts, selection and comparison.
#include "ptx_ops.h"
#include "ptx_warp.h"

typedef __uint128_t u128;
typedef __int128_t s128;

#define WIDTHS_1(name, expr)                                                                                 \
    PTX_UNARY(name##_16, ptx_u16, ptx_u16, expr)                                                             \
    PTX_UNARY(name##_32, ptx_u32, ptx_u32, expr) PTX_UNARY(name##_64, ptx_u64, ptx_u64, expr)
#define WIDTHS_2(name, expr)                                                                                 \
    PTX_BINARY(name##_16, ptx_u16, ptx_u16, ptx_u16, expr)                                                   \
    PTX_BINARY(name##_32, ptx_u32, ptx_u32, ptx_u32, expr)                                                   \
    PTX_BINARY(name##_64, ptx_u64, ptx_u64, ptx_u64, expr)
#define WIDTHS_3(name, expr)                                                                                 \
    PTX_TERNARY(name##_16, ptx_u16, ptx_u16, ptx_u16, ptx_u16, expr)                                         \
    PTX_TERNARY(name##_32, ptx_u32, ptx_u32, ptx_u32, ptx_u32, expr)                                         \
    PTX_TERNARY(name##_64, ptx_u64, ptx_u64, ptx_u64, ptx_u64, expr)
#define TYPES_2(name, expr)                                                                                  \
    PTX_BINARY(name##_u16, ptx_u16, ptx_u16, ptx_u16, expr)                                                  \
    PTX_BINARY(name##_s16, ptx_s16, ptx_s16, ptx_s16, expr)                                                  \
    PTX_BINARY(name##_u32, ptx_u32, ptx_u32, ptx_u32, expr)                                                  \
    PTX_BINARY(name##_s32, ptx_s32, ptx_s32, ptx_s32, expr)                                                  \
    PTX_BINARY(name##_u64, ptx_u64, ptx_u64, ptx_u64, expr)                                                  \
    PTX_BINARY(name##_s64, ptx_s64, ptx_s64, ptx_s64, expr)

WIDTHS_1(MOV, x)
WIDTHS_2(ADD, x + y)
WIDTHS_2(SUB, x - y)
WIDTHS_2(MUL_LO, (uint64_t)x * y)
WIDTHS_3(MAD_LO, (uint64_t)x * y + z)
WIDTHS_1(ABS, (x >> (sizeof x * 8 - 1)) ? 0u - x : x)
WIDTHS_1(NEG, 0u - x)
WIDTHS_2(AND, x & y)
WIDTHS_2(OR, x | y)
WIDTHS_2(XOR, x ^ y)
WIDTHS_1(NOT, ~x)
WIDTHS_1(CNOT, x == 0)

static inline int32_t clamp32(int64_t v)
{
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}
PTX_BINARY(ADD_SAT, ptx_s32, ptx_s32, ptx_s32, clamp32((int64_t)x + y))
PTX_BINARY(SUB_SAT, ptx_s32, ptx_s32, ptx_s32, clamp32((int64_t)x - y))

PTX_BINARY(MUL_HI_u16, ptx_u16, ptx_u16, ptx_u16, (uint32_t)x * y >> 16)
PTX_BINARY(MUL_HI_s16, ptx_s16, ptx_s16, ptx_s16, (int32_t)x * y >> 16)
PTX_BINARY(MUL_HI_u32, ptx_u32, ptx_u32, ptx_u32, (uint64_t)x * y >> 32)
PTX_BINARY(MUL_HI_s32, ptx_s32, ptx_s32, ptx_s32, (int64_t)x * y >> 32)
PTX_BINARY(MUL_HI_u64, ptx_u64, ptx_u64, ptx_u64, (u128)x * y >> 64)
PTX_BINARY(MUL_HI_s64, ptx_s64, ptx_s64, ptx_s64, (s128)x * y >> 64)
PTX_TERNARY(MAD_HI_u16, ptx_u16, ptx_u16, ptx_u16, ptx_u16, ((uint32_t)x * y >> 16) + z)
PTX_TERNARY(MAD_HI_s16, ptx_s16, ptx_s16, ptx_s16, ptx_s16, ((int32_t)x * y >> 16) + z)
PTX_TERNARY(MAD_HI_u32, ptx_u32, ptx_u32, ptx_u32, ptx_u32, ((uint64_t)x * y >> 32) + z)
PTX_TERNARY(MAD_HI_s32, ptx_u32, ptx_s32, ptx_s32, ptx_u32, (uint32_t)((int64_t)x * y >> 32) + z)
PTX_TERNARY(MAD_HI_u64, ptx_u64, ptx_u64, ptx_u64, ptx_u64, (uint64_t)((u128)x * y >> 64) + z)
PTX_TERNARY(MAD_HI_s64, ptx_u64, ptx_s64, ptx_s64, ptx_u64, (uint64_t)((s128)x * y >> 64) + z)
PTX_TERNARY(MAD_HI_SAT, ptx_s32, ptx_s32, ptx_s32, ptx_s32, clamp32(((int64_t)x * y >> 32) + z))
PTX_BINARY(MUL_WIDE_u16, ptx_u32, ptx_u16, ptx_u16, (uint32_t)x * y)
PTX_BINARY(MUL_WIDE_s16, ptx_s32, ptx_s16, ptx_s16, (int32_t)x * y)
PTX_BINARY(MUL_WIDE_u32, ptx_u64, ptx_u32, ptx_u32, (uint64_t)x * y)
PTX_BINARY(MUL_WIDE_s32, ptx_s64, ptx_s32, ptx_s32, (int64_t)x * y)
PTX_TERNARY(MAD_WIDE_u16, ptx_u32, ptx_u16, ptx_u16, ptx_u32, (uint32_t)x * y + z)
PTX_TERNARY(MAD_WIDE_s16, ptx_u32, ptx_s16, ptx_s16, ptx_u32, (uint32_t)((int32_t)x * y) + z)
PTX_TERNARY(MAD_WIDE_u32, ptx_u64, ptx_u32, ptx_u32, ptx_u64, (uint64_t)x * y + z)
PTX_TERNARY(MAD_WIDE_s32, ptx_u64, ptx_s32, ptx_s32, ptx_u64, (uint64_t)((int64_t)x * y) + z)

// The product of the low 24 bits has 48: "hi" are bits 16 to 47.
static inline uint64_t u24(uint32_t x, uint32_t y) { return (uint64_t)(x & 0xffffff) * (y & 0xffffff); }
static inline int64_t s24(uint32_t x, uint32_t y)
{
    return (int64_t)((int32_t)(x << 8) >> 8) * ((int32_t)(y << 8) >> 8);
}
PTX_BINARY(MUL24_LO_u, ptx_u32, ptx_u32, ptx_u32, u24(x, y))
PTX_BINARY(MUL24_LO_s, ptx_u32, ptx_u32, ptx_u32, s24(x, y))
PTX_BINARY(MUL24_HI_u, ptx_u32, ptx_u32, ptx_u32, u24(x, y) >> 16)
PTX_BINARY(MUL24_HI_s, ptx_u32, ptx_u32, ptx_u32, s24(x, y) >> 16)
PTX_TERNARY(MAD24_LO_u, ptx_u32, ptx_u32, ptx_u32, ptx_u32, (uint32_t)u24(x, y) + z)
PTX_TERNARY(MAD24_LO_s, ptx_u32, ptx_u32, ptx_u32, ptx_u32, (uint32_t)s24(x, y) + z)
PTX_TERNARY(MAD24_HI_u, ptx_u32, ptx_u32, ptx_u32, ptx_u32, (uint32_t)(u24(x, y) >> 16) + z)
PTX_TERNARY(MAD24_HI_s, ptx_u32, ptx_u32, ptx_u32, ptx_u32, (uint32_t)(s24(x, y) >> 16) + z)
PTX_TERNARY(MAD24_HI_SAT, ptx_s32, ptx_u32, ptx_u32, ptx_s32,
            clamp32((int32_t)(s24(x, y) >> 16) + (int64_t)z))

#define SAD(t, T, U) PTX_TERNARY(SAD_##t, U, T, T, U, (U)(z + (x < y ? (U)y - (U)x : (U)x - (U)y)))
SAD(u16, ptx_u16, ptx_u16)
SAD(s16, ptx_s16, ptx_u16)
SAD(u32, ptx_u32, ptx_u32)
SAD(s32, ptx_s32, ptx_u32)
SAD(u64, ptx_u64, ptx_u64)
SAD(s64, ptx_s64, ptx_u64)

// Division by zero gives all ones and the remainder the dividend, as devices do; the one signed overflow
// wraps.
#define DIVISION(t, T, U)                                                                                    \
    PTX_BINARY(DIV_##t, T, T, T, y == 0 ? (T)-1 : y == (T)-1 && (T)-1 < (T)1 ? (T)(0u - (U)x) : (T)(x / y))  \
    PTX_BINARY(REM_##t, T, T, T, y == 0 ? x : y == (T)-1 && (T)-1 < (T)1 ? (T)0 : (T)(x % y))
DIVISION(u16, ptx_u16, ptx_u16)
DIVISION(s16, ptx_s16, ptx_u16)
DIVISION(u32, ptx_u32, ptx_u32)
DIVISION(s32, ptx_s32, ptx_u32)
DIVISION(u64, ptx_u64, ptx_u64)
DIVISION(s64, ptx_s64, ptx_u64)

TYPES_2(MIN, x < y ? x : y)
TYPES_2(MAX, x > y ? x : y)
PTX_BINARY(MIN_RELU, ptx_s32, ptx_s32, ptx_s32, (x < y ? x : y) < 0 ? 0 : (x < y ? x : y))
PTX_BINARY(MAX_RELU, ptx_s32, ptx_s32, ptx_s32, (x > y ? x : y) < 0 ? 0 : (x > y ? x : y))

// Pairs of 16 bits: `sub` asks for relu.
#define PAIR(name, T, op)                                                                                    \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        PTX_RESULT(ptx_u32);                                                                                 \
        const ptx_u32 *a = PTX_U32(w, in->a), *b = PTX_U32(w, in->b);                                        \
        const bool relu = in->sub;                                                                           \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            uint32_t out = 0;                                                                                \
            for (int h = 0; h < 32; h += 16) {                                                               \
                T x = (T)(a[i] >> h), y = (T)(b[i] >> h), r = (T)(op);                                       \
                r = relu && r < 0 ? 0 : r;                                                                   \
                out |= (uint32_t)(uint16_t)r << h;                                                           \
            }                                                                                                \
            d[i] = out;                                                                                      \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }
PAIR(MIN_u16x2, int32_t, (uint16_t)x < (uint16_t)y ? (uint16_t)x : (uint16_t)y)
PAIR(MAX_u16x2, int32_t, (uint16_t)x > (uint16_t)y ? (uint16_t)x : (uint16_t)y)
PAIR(MIN_s16x2, int16_t, x < y ? x : y)
PAIR(MAX_s16x2, int16_t, x > y ? x : y)
PAIR(ADD_16x2, int16_t, x + y)

// Shift amounts above the width give what shifting bit by bit would.
PTX_BINARY(SHL_16, ptx_u16, ptx_u16, ptx_u32, y > 15 ? 0 : (uint32_t)x << y)
PTX_BINARY(SHL_32, ptx_u32, ptx_u32, ptx_u32, y > 31 ? 0 : x << y)
PTX_BINARY(SHL_64, ptx_u64, ptx_u64, ptx_u32, y > 63 ? 0 : x << y)
PTX_BINARY(SHR_u16, ptx_u16, ptx_u16, ptx_u32, y > 15 ? 0 : x >> y)
PTX_BINARY(SHR_s16, ptx_s16, ptx_s16, ptx_u32, x >> (y > 15 ? 15 : y))
PTX_BINARY(SHR_u32, ptx_u32, ptx_u32, ptx_u32, y > 31 ? 0 : x >> y)
PTX_BINARY(SHR_s32, ptx_s32, ptx_s32, ptx_u32, x >> (y > 31 ? 31 : y))
PTX_BINARY(SHR_u64, ptx_u64, ptx_u64, ptx_u32, y > 63 ? 0 : x >> y)
PTX_BINARY(SHR_s64, ptx_s64, ptx_s64, ptx_u32, x >> (y > 63 ? 63 : y))

PTX_HANDLER(h_MOV_PRED)
{
    ptx_set_pred(w, in->d, PTX_P(w, in->a));
    return PTX_NEXT(in);
}
PTX_HANDLER(h_NOT_PRED)
{
    ptx_set_pred(w, in->d, ~PTX_P(w, in->a));
    return PTX_NEXT(in);
}
PTX_HANDLER(h_AND_PRED)
{
    ptx_set_pred(w, in->d, PTX_P(w, in->a) & PTX_P(w, in->b));
    return PTX_NEXT(in);
}
PTX_HANDLER(h_OR_PRED)
{
    ptx_set_pred(w, in->d, PTX_P(w, in->a) | PTX_P(w, in->b));
    return PTX_NEXT(in);
}
PTX_HANDLER(h_XOR_PRED)
{
    ptx_set_pred(w, in->d, PTX_P(w, in->a) ^ PTX_P(w, in->b));
    return PTX_NEXT(in);
}

#define SELECT(bits)                                                                                         \
    PTX_HANDLER(h_SELP_##bits)                                                                               \
    {                                                                                                        \
        PTX_RESULT(ptx_u##bits);                                                                             \
        const ptx_u##bits *a = PTX_U##bits(w, in->a), *b = PTX_U##bits(w, in->b);                            \
        const uint32_t p = PTX_P(w, in->c);                                                                  \
        PTX_LANE_LOOP d[i] = p >> i & 1 ? a[i] : b[i];                                                       \
        PTX_RESULT_DONE;                                                                                     \
    }                                                                                                        \
    PTX_TERNARY(SLCT_S32_##bits, ptx_u##bits, ptx_u##bits, ptx_u##bits, ptx_s32, z >= 0 ? x : y)             \
    PTX_HANDLER(h_SLCT_F32_##bits)                                                                           \
    {                                                                                                        \
        PTX_RESULT(ptx_u##bits);                                                                             \
        const ptx_u##bits *a = PTX_U##bits(w, in->a), *b = PTX_U##bits(w, in->b);                            \
        const ptx_u32 *c = PTX_U32(w, in->c);                                                                \
        const uint32_t tiny = in->sub ? 0x7fffff : 0; /* .ftz: subnormals count as zero */                   \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            uint32_t magnitude = c[i] & 0x7fffffff;                                                          \
            bool yes = magnitude <= tiny || (!(c[i] >> 31) && magnitude <= 0x7f800000);                      \
            d[i] = yes ? a[i] : b[i];                                                                        \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }
SELECT(16)
SELECT(32)
SELECT(64)
PTX_HANDLER(h_SELP_PRED)
{
    uint32_t p = PTX_P(w, in->c);
    ptx_set_pred(w, in->d, (PTX_P(w, in->a) & p) | (PTX_P(w, in->b) & ~p));
    return PTX_NEXT(in);
}

PTX_COMPARE(SETP_EQ_16, ptx_u16, x == y)
PTX_COMPARE(SETP_EQ_32, ptx_u32, x == y)
PTX_COMPARE(SETP_EQ_64, ptx_u64, x == y)
PTX_COMPARE(SETP_LT_u16, ptx_u16, x < y)
PTX_COMPARE(SETP_LT_s16, ptx_s16, x < y)
PTX_COMPARE(SETP_LT_u32, ptx_u32, x < y)
PTX_COMPARE(SETP_LT_s32, ptx_s32, x < y)
PTX_COMPARE(SETP_LT_u64, ptx_u64, x < y)
PTX_COMPARE(SETP_LT_s64, ptx_s64, x < y)

// Extended precision: `sub` bit 0 reads the carry, bit 1 writes it. A subtraction adds the complement, so its
// flag is set when nothing was borrowed: the 128-bit division that nvcc emits reads it with addc.
enum { CARRY_IN = 1, CARRY_OUT = 2 };
static inline uint32_t carry_in(const struct ptx_warp *w, const struct ptx_insn *in)
{
    return in->sub & CARRY_IN ? w->carry : 0;
}
static inline void carry_out(struct ptx_warp *w, const struct ptx_insn *in, uint32_t carry)
{
    if (in->sub & CARRY_OUT)
        w->carry = (w->carry & ~w->mask) | (carry & w->mask);
}
#define ADD_CARRY(bits)                                                                                      \
    PTX_HANDLER(h_ADDC_##bits)                                                                               \
    {                                                                                                        \
        PTX_RESULT(ptx_u##bits);                                                                             \
        const ptx_u##bits *a = PTX_U##bits(w, in->a), *b = PTX_U##bits(w, in->b);                            \
        uint32_t carry = carry_in(w, in), out = 0;                                                           \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            uint##bits##_t half, sum;                                                                        \
            bool one = __builtin_add_overflow(a[i], b[i], &half),                                            \
                 two = __builtin_add_overflow(half, (uint##bits##_t)(carry >> i & 1), &sum);                 \
            d[i] = sum;                                                                                      \
            out |= (uint32_t)(one | two) << i;                                                               \
        }                                                                                                    \
        carry_out(w, in, out);                                                                               \
        PTX_RESULT_DONE;                                                                                     \
    }                                                                                                        \
    PTX_HANDLER(h_SUBC_##bits)                                                                               \
    {                                                                                                        \
        PTX_RESULT(ptx_u##bits);                                                                             \
        const ptx_u##bits *a = PTX_U##bits(w, in->a), *b = PTX_U##bits(w, in->b);                            \
        uint32_t borrow = in->sub & CARRY_IN ? ~w->carry : 0, out = 0;                                       \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            uint##bits##_t half, rest;                                                                       \
            bool one = __builtin_sub_overflow(a[i], b[i], &half),                                            \
                 two = __builtin_sub_overflow(half, (uint##bits##_t)(borrow >> i & 1), &rest);               \
            d[i] = rest;                                                                                     \
            out |= (uint32_t)(one | two) << i;                                                               \
        }                                                                                                    \
        carry_out(w, in, ~out);                                                                              \
        PTX_RESULT_DONE;                                                                                     \
    }
ADD_CARRY(32)
ADD_CARRY(64)

#define MAD_CARRY(name, bits, product)                                                                       \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        PTX_RESULT(ptx_u##bits);                                                                             \
        const ptx_u##bits *a = PTX_U##bits(w, in->a), *b = PTX_U##bits(w, in->b),                            \
                          *c = PTX_U##bits(w, in->c);                                                        \
        uint32_t carry = carry_in(w, in), out = 0;                                                           \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            const uint##bits##_t x = a[i], y = b[i];                                                         \
            uint##bits##_t part = (uint##bits##_t)(product), half, sum;                                      \
            bool one = __builtin_add_overflow(part, c[i], &half),                                            \
                 two = __builtin_add_overflow(half, (uint##bits##_t)(carry >> i & 1), &sum);                 \
            d[i] = sum;                                                                                      \
            out |= (uint32_t)(one | two) << i;                                                               \
        }                                                                                                    \
        carry_out(w, in, out);                                                                               \
        PTX_RESULT_DONE;                                                                                     \
    }
MAD_CARRY(MADC_LO_32, 32, x * y)
MAD_CARRY(MADC_LO_64, 64, x * y)
MAD_CARRY(MADC_HI_u32, 32, (uint64_t)x * y >> 32)
MAD_CARRY(MADC_HI_s32, 32, (int64_t)(int32_t)x *(int32_t)y >> 32)
MAD_CARRY(MADC_HI_u64, 64, (u128)x * y >> 64)
MAD_CARRY(MADC_HI_s64, 64, (s128)(int64_t)x *(int64_t)y >> 64)

const ptx_fn PTX_TABLE(ptx_table_int)[] = {PTX_OPS_INT(PTX_TABLE_ENTRY)};

// SPDX-License-Identifier: Apache-2.0
// Bits of floating-point numbers, flags of float instructions, rounding modes, and conversions of the small
// formats.
#ifndef GN_TESTS_MOCK_PTX_FLOAT_H
#define GN_TESTS_MOCK_PTX_FLOAT_H

#include <fenv.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Flags in `sub` of float instructions; the rounding mode stands in bits 8 and 9.
enum { PTX_FTZ = 1, PTX_SAT = 2, PTX_NAN = 4, PTX_XORSIGN = 8, PTX_RELU = 16 };
enum ptx_round { PTX_RN, PTX_RZ, PTX_RM, PTX_RP, PTX_RNA };
#define PTX_ROUND_SHIFT   8
#define PTX_ROUND_OF(sub) ((sub) >> PTX_ROUND_SHIFT & 7)

static inline uint32_t ptx_bits32(float v)
{
    uint32_t b;
    memcpy(&b, &v, 4);
    return b;
}
static inline float ptx_float32(uint32_t b)
{
    float v;
    memcpy(&v, &b, 4);
    return v;
}
static inline uint64_t ptx_bits64(double v)
{
    uint64_t b;
    memcpy(&b, &v, 8);
    return b;
}
static inline double ptx_float64(uint64_t b)
{
    double v;
    memcpy(&v, &b, 8);
    return v;
}

// Devices give one NaN for every invalid f32 operation and every NaN operand.
static inline uint32_t ptx_canonical(uint32_t bits)
{
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fffffff : bits;
}
// .ftz: a subnormal becomes a zero of its sign.
static inline uint32_t ptx_flush(uint32_t bits) { return (bits & 0x7f800000) ? bits : bits & 0x80000000; }

// The compiler must neither move arithmetic over a change of the rounding mode nor fold it: the operands pass
// through here.
static inline void ptx_opaque(const void *a, const void *b, const void *c)
{
    __asm__ volatile("" : : "r"(a), "r"(b), "r"(c) : "memory");
}

static inline unsigned ptx_round_begin(unsigned sub)
{
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    unsigned mode = PTX_ROUND_OF(sub);
    if (mode != PTX_RN)
        fesetround(modes[mode & 3]);
    return mode;
}
static inline void ptx_round_end(unsigned sub, unsigned mode)
{
    (void)sub;
    if (mode != PTX_RN)
        fesetround(FE_TONEAREST);
}

// f16 and bf16 to f32 are exact. NaNs keep their upper payload bits.
static inline float ptx_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00) // infinity and NaN
        return ptx_float32(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    // Rebias by a multiplication, which also normalises subnormals.
    return ptx_float32(ptx_bits32(ptx_float32(rest << 13) * 0x1p112f) | sign);
}
static inline float ptx_from_bf16(uint16_t h) { return ptx_float32((uint32_t)h << 16); }

// One rounding from a double to a format with `mantissa` stored bits and `exponent` exponent bits. Infinity
// stays; NaN gives `nan`.
uint32_t ptx_round_small(double v, int mantissa, int exponent, enum ptx_round mode, uint32_t nan);
static inline uint16_t ptx_to_f16(double v, enum ptx_round mode)
{
    return (uint16_t)ptx_round_small(v, 10, 5, mode, 0x7fff);
}
static inline uint16_t ptx_to_bf16(double v, enum ptx_round mode)
{
    return (uint16_t)ptx_round_small(v, 7, 8, mode, 0x7fff);
}
// a * b + c rounded to odd in 53 bits: rounding it again to 24 or fewer bits is as good as rounding once.
double ptx_fma_odd(double a, double b, double c);

#endif

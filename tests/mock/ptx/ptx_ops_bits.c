// SPDX-License-Identifier: Apache-2.0
// Handlers: bit fields, counts, permutations, packed dot products, SIMD video instructions, vectors packed
// into registers.
#include "ptx_bits.h"
#include "ptx_ops.h"
#include "ptx_warp.h"

PTX_UNARY(POPC_32, ptx_u32, ptx_u32, __builtin_popcount(x))
PTX_UNARY(POPC_64, ptx_u32, ptx_u64, __builtin_popcountll(x))
PTX_UNARY(CLZ_32, ptx_u32, ptx_u32, x ? __builtin_clz(x) : 32)
PTX_UNARY(CLZ_64, ptx_u32, ptx_u64, x ? __builtin_clzll(x) : 64)

static inline uint32_t reverse32(uint32_t v)
{
    v = (v >> 1 & 0x55555555) | (v & 0x55555555) << 1;
    v = (v >> 2 & 0x33333333) | (v & 0x33333333) << 2;
    v = (v >> 4 & 0x0f0f0f0f) | (v & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(v);
}
PTX_UNARY(BREV_32, ptx_u32, ptx_u32, reverse32(x))
PTX_UNARY(BREV_64, ptx_u64, ptx_u64, (uint64_t)reverse32((uint32_t)x) << 32 | reverse32((uint32_t)(x >> 32)))

// The highest bit that is set, or for a negative number clear.
#define BFIND(t, T, U, bits, clz)                                                                            \
    PTX_HANDLER(h_BFIND_##t)                                                                                 \
    {                                                                                                        \
        PTX_RESULT(ptx_u32);                                                                                 \
        const T *a = PTX_AT(T, w, in->a);                                                                    \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            const U v = (U)(a[i] < 0 ? ~a[i] : a[i]);                                                        \
            const uint32_t at = v ? (bits)-1 - (uint32_t)clz(v) : UINT32_MAX;                                \
            d[i] = in->sub & PTX_SHIFT_AMOUNT && v ? (bits)-1 - at : at;                                     \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }
BFIND(s32, ptx_s32, uint32_t, 32, __builtin_clz)
BFIND(s64, ptx_s64, uint64_t, 64, __builtin_clzll)
#define BFIND_U(t, T, bits, clz)                                                                             \
    PTX_HANDLER(h_BFIND_##t)                                                                                 \
    {                                                                                                        \
        PTX_RESULT(ptx_u32);                                                                                 \
        const T *a = PTX_AT(T, w, in->a);                                                                    \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            const T v = a[i];                                                                                \
            const uint32_t at = v ? (bits)-1 - (uint32_t)clz(v) : UINT32_MAX;                                \
            d[i] = in->sub & PTX_SHIFT_AMOUNT && v ? (bits)-1 - at : at;                                     \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }
BFIND_U(u32, ptx_u32, 32, __builtin_clz)
BFIND_U(u64, ptx_u64, 64, __builtin_clzll)

static inline uint64_t field_mask(uint32_t length)
{
    return length > 63 ? UINT64_MAX : ((uint64_t)1 << length) - 1;
}

// Position and length are bytes; what lies above the register reads as the sign of the field.
static inline uint64_t extract_unsigned(uint64_t v, uint32_t at, uint32_t length)
{
    at &= 0xff;
    return (at > 63 ? 0 : v >> at) & field_mask(length & 0xff);
}
static inline int64_t extract_signed(int64_t v, uint32_t at, uint32_t length, uint32_t bits)
{
    at &= 0xff;
    length &= 0xff;
    if (!length)
        return 0;
    uint32_t top = at + length - 1;
    top = top > bits - 1 ? bits - 1 : top;
    if (at > top)
        return v < 0 ? -1 : 0;
    return (int64_t)((uint64_t)v << (63 - top)) >> (63 - top + at);
}
PTX_TERNARY(BFE_u32, ptx_u32, ptx_u32, ptx_u32, ptx_u32, extract_unsigned(x, y, z))
PTX_TERNARY(BFE_u64, ptx_u64, ptx_u64, ptx_u32, ptx_u32, extract_unsigned(x, y, z))
PTX_TERNARY(BFE_s32, ptx_u32, ptx_s32, ptx_u32, ptx_u32, extract_signed(x, y, z, 32))
PTX_TERNARY(BFE_s64, ptx_u64, ptx_s64, ptx_u32, ptx_u32, extract_signed(x, y, z, 64))

#define BFI(bits)                                                                                            \
    PTX_HANDLER(h_BFI_##bits)                                                                                \
    {                                                                                                        \
        PTX_RESULT(ptx_u##bits);                                                                             \
        const ptx_u##bits *a = PTX_U##bits(w, in->a), *b = PTX_U##bits(w, in->b);                            \
        const ptx_u32 *c = PTX_U32(w, in->c), *e = PTX_U32(w, in->e[0]);                                     \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            const uint32_t at = c[i] & 0xff;                                                                 \
            const uint64_t mask = at > 63 ? 0 : field_mask(e[i] & 0xff) << at,                               \
                           field = at > 63 ? 0 : (uint64_t)a[i] << at;                                       \
            d[i] = (ptx_u##bits)((b[i] & ~mask) | (field & mask));                                           \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }
BFI(32)
BFI(64)

// The n-th bit set, counted from a base upwards (n > 0) or downwards (n < 0); with n = 0 the base's own bit.
static uint32_t find_nth(uint32_t mask, uint32_t base, int32_t n)
{
    if (base > 31)
        return UINT32_MAX;
    if (!n)
        return mask >> base & 1 ? base : UINT32_MAX;
    int step = n > 0 ? 1 : -1;
    int64_t left = n > 0 ? n : -(int64_t)n;
    for (int at = (int)base; at >= 0 && at < 32; at += step)
        if (mask >> at & 1 && !--left)
            return (uint32_t)at;
    return UINT32_MAX;
}
PTX_TERNARY(FNS, ptx_u32, ptx_u32, ptx_u32, ptx_s32, find_nth(x, y, z))

static inline uint32_t bit_mask(uint32_t at, uint32_t length, bool clamp)
{
    at = clamp ? (at > 32 ? 32 : at) : at & 31;
    length = clamp ? (length > 32 ? 32 : length) : length & 31;
    return (uint32_t)(at > 31 ? 0 : field_mask(length) << at);
}
PTX_BINARY(BMSK, ptx_u32, ptx_u32, ptx_u32, bit_mask(x, y, in->sub &PTX_CLAMP))

static inline uint32_t extend(uint32_t v, uint32_t n, unsigned sub)
{
    n = sub & PTX_CLAMP ? (n > 32 ? 32 : n) : n & 31;
    if (n > 31)
        return v;
    if (!n)
        return 0;
    return sub & PTX_SIGNED ? (uint32_t)((int32_t)(v << (32 - n)) >> (32 - n)) : v & (uint32_t)field_mask(n);
}
PTX_BINARY(SZEXT, ptx_u32, ptx_u32, ptx_u32, extend(x, y, in->sub))

PTX_HANDLER(h_LOP3)
{
    PTX_RESULT(ptx_u32);
    const ptx_u32 *a = PTX_U32(w, in->a), *b = PTX_U32(w, in->b), *c = PTX_U32(w, in->c);
    uint32_t m[8];
    for (int k = 0; k < 8; k++)
        m[k] = in->sub >> k & 1 ? UINT32_MAX : 0;
    PTX_LANE_LOOP
    {
        const uint32_t x = a[i], y = b[i], z = c[i];
        const uint32_t x0 = (~y & ((~z & m[0]) | (z & m[1]))) | (y & ((~z & m[2]) | (z & m[3])));
        const uint32_t x1 = (~y & ((~z & m[4]) | (z & m[5]))) | (y & ((~z & m[6]) | (z & m[7])));
        d[i] = (~x & x0) | (x & x1);
    }
    PTX_RESULT_DONE;
}

// Funnel shifts of b:a.
static inline uint32_t funnel(uint32_t low, uint32_t high, uint32_t n, bool clamp, bool left)
{
    n = clamp ? (n > 32 ? 32 : n) : n & 31;
    const uint64_t both = (uint64_t)high << 32 | low;
    return (uint32_t)(left ? both << n >> 32 : both >> n);
}
PTX_TERNARY(SHF_L, ptx_u32, ptx_u32, ptx_u32, ptx_u32, funnel(x, y, z, in->sub &PTX_CLAMP, true))
PTX_TERNARY(SHF_R, ptx_u32, ptx_u32, ptx_u32, ptx_u32, funnel(x, y, z, in->sub &PTX_CLAMP, false))

static inline uint32_t permute(uint32_t low, uint32_t high, uint32_t control)
{
    const uint64_t both = (uint64_t)high << 32 | low;
    uint32_t out = 0;
    for (int k = 0; k < 4; k++) {
        const uint32_t nibble = control >> (4 * k) & 0xf;
        uint32_t byte = (uint32_t)(both >> (8 * (nibble & 7))) & 0xff;
        byte = nibble & 8 ? (byte & 0x80 ? 0xff : 0) : byte;
        out |= byte << (8 * k);
    }
    return out;
}
PTX_TERNARY(PRMT, ptx_u32, ptx_u32, ptx_u32, ptx_u32, permute(x, y, z))
static const uint16_t prmt_controls[6][4] = {
    {0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123}, {0x0000, 0x1111, 0x2222, 0x3333},
    {0x3210, 0x3211, 0x3222, 0x3333}, {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
PTX_TERNARY(PRMT_MODE, ptx_u32, ptx_u32, ptx_u32, ptx_u32, permute(x, y, prmt_controls[in->sub][z & 3]))

static inline int32_t byte_of(uint32_t v, int k, bool is_signed)
{
    return is_signed ? (int8_t)(v >> (8 * k)) : (int32_t)(v >> (8 * k) & 0xff);
}
PTX_HANDLER(h_DP4A)
{
    PTX_RESULT(ptx_u32);
    const ptx_u32 *a = PTX_U32(w, in->a), *b = PTX_U32(w, in->b), *c = PTX_U32(w, in->c);
    const bool sa = in->sub & PTX_DOT_A_SIGNED, sb = in->sub & PTX_DOT_B_SIGNED;
    for (int i = 0; i < PTX_LANES; i++) {
        uint32_t sum = c[i];
        for (int k = 0; k < 4; k++)
            sum += (uint32_t)(byte_of(a[i], k, sa) * byte_of(b[i], k, sb));
        d[i] = sum;
    }
    PTX_RESULT_DONE;
}
PTX_HANDLER(h_DP2A)
{
    PTX_RESULT(ptx_u32);
    const ptx_u32 *a = PTX_U32(w, in->a), *b = PTX_U32(w, in->b), *c = PTX_U32(w, in->c);
    const bool sa = in->sub & PTX_DOT_A_SIGNED, sb = in->sub & PTX_DOT_B_SIGNED;
    const int first = in->sub & PTX_DOT_HIGH ? 2 : 0;
    for (int i = 0; i < PTX_LANES; i++) {
        uint32_t sum = c[i];
        for (int k = 0; k < 2; k++) {
            int32_t x = sa ? (int16_t)(a[i] >> (16 * k)) : (int32_t)(a[i] >> (16 * k) & 0xffff);
            sum += (uint32_t)x * (uint32_t)byte_of(b[i], first + k, sb);
        }
        d[i] = sum;
    }
    PTX_RESULT_DONE;
}

// --- SIMD video: 2 halves or 4 bytes of a register ---

static int32_t part_of(uint32_t v, int k, int bits, bool is_signed)
{
    uint32_t part = v >> (k * bits);
    return bits == 8 ? (is_signed ? (int8_t)part : (int32_t)(part & 0xff))
                     : (is_signed ? (int16_t)part : (int32_t)(part & 0xffff));
}

static bool holds(int64_t cmp, int32_t x, int32_t y) // eq ne lt le gt ge
{
    const bool results[] = {x == y, x != y, x<y, x <= y, x> y, x >= y};
    return results[cmp];
}

static int32_t one_part(const struct ptx_insn *in, int32_t x, int32_t y)
{
    switch (in->sub & PTX_V_OP) {
    case PTX_V_ADD: return x + y;
    case PTX_V_SUB: return x - y;
    case PTX_V_AVRG: return (x + y + (x + y >= 0)) >> 1; // rounds away from zero
    case PTX_V_ABSDIFF: return x < y ? y - x : x - y;
    case PTX_V_MIN: return x < y ? x : y;
    case PTX_V_MAX: return x > y ? x : y;
    default: return holds(in->imm, x, y);
    }
}

PTX_HANDLER(h_VSIMD)
{
    PTX_RESULT(ptx_u32);
    const ptx_u32 *a = PTX_U32(w, in->a), *b = PTX_U32(w, in->b), *c = PTX_U32(w, in->c);
    const int bits = in->sub & PTX_V_BYTES ? 8 : 16;
    const bool ds = in->sub & PTX_V_D_SIGNED, sum = in->sub & PTX_V_SUM;
    const int32_t least = ds ? -(1 << (bits - 1)) : 0, most = ds ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
    for (int i = 0; i < PTX_LANES; i++) {
        const uint32_t third = c[i];
        uint32_t out = sum ? third : 0;
        for (int k = 0; k < 32 / bits; k++) {
            int32_t r = one_part(in, part_of(a[i], k, bits, in->sub & PTX_V_A_SIGNED),
                                 part_of(b[i], k, bits, in->sub & PTX_V_B_SIGNED));
            if (in->sub & PTX_V_SAT)
                r = r < least ? least : r > most ? most : r;
            if (sum)
                out += (uint32_t)r;
            else
                out |= ((uint32_t)r & (uint32_t)((1 << bits) - 1)) << (k * bits);
        }
        d[i] = out;
    }
    PTX_RESULT_DONE;
}

// --- vectors in registers: the parts in e[], the whole in d or a ---

#define PACK(whole, part, count)                                                                             \
    PTX_HANDLER(h_PACK_##whole##_##part)                                                                     \
    {                                                                                                        \
        PTX_RESULT(ptx_u##whole);                                                                            \
        for (int i = 0; i < PTX_LANES; i++) {                                                                \
            uint##whole##_t v = 0;                                                                           \
            for (int k = 0; k < (count); k++)                                                                \
                v |= (uint##whole##_t)(                                                                      \
                    (uint##whole##_t)(PACK_PART_##part(w, in->e[k])[i] & PACK_MASK_##part) << (k * part));   \
            d[i] = v;                                                                                        \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }                                                                                                        \
    PTX_HANDLER(h_UNPACK_##whole##_##part)                                                                   \
    {                                                                                                        \
        uint##whole##_t from[PTX_LANES];                                                                     \
        memcpy(from, w->rf + in->a, sizeof from);                                                            \
        for (int k = 0; k < (count); k++) {                                                                  \
            PACK_TYPE_##part part_of_lane[PTX_LANES];                                                        \
            for (int i = 0; i < PTX_LANES; i++)                                                              \
                part_of_lane[i] = (PACK_TYPE_##part)(from[i] >> (k * part) & PACK_MASK_##part);              \
            PTX_BLEND(w->rf + in->e[k], part_of_lane, w->mask);                                              \
        }                                                                                                    \
        return PTX_NEXT(in);                                                                                 \
    }
#define PACK_TYPE_32           ptx_u32
#define PACK_TYPE_16           ptx_u16
#define PACK_TYPE_8            ptx_u16 // bytes live in 16-bit registers
#define PACK_MASK_32           0xffffffffu
#define PACK_MASK_16           0xffffu
#define PACK_MASK_8            0xffu
#define PACK_PART_32(w, place) PTX_U32(w, place)
#define PACK_PART_16(w, place) PTX_U16(w, place)
#define PACK_PART_8(w, place)  PTX_U16(w, place)
PACK(64, 32, 2)
PACK(64, 16, 4)
PACK(32, 16, 2)
PACK(16, 8, 2)
PACK(32, 8, 4)

const ptx_fn PTX_TABLE(ptx_table_bits)[] = {PTX_OPS_BITS(PTX_TABLE_ENTRY)};

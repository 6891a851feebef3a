// SPDX-License-Identifier: Apache-2.0
// Handlers: atomic operations and fences. Global memory is shared with other host threads, so every atomic is
// a real one there.
#include "ptx_float.h"
#include "ptx_mem.h"
#include "ptx_ops.h"
#include "ptx_run.h"

static uint16_t half_op(unsigned op, uint16_t a, uint16_t b, bool bf16)
{
    float x = bf16 ? ptx_from_bf16(a) : ptx_from_f16(a), y = bf16 ? ptx_from_bf16(b) : ptx_from_f16(b);
    if (op == PTX_AO_ADD)
        return bf16 ? ptx_to_bf16((double)x + y, PTX_RN) : ptx_to_f16((double)x + y, PTX_RN);
    if (x != x || y != y)
        return x != x && y != y ? 0x7fff : x != x ? b : a;
    bool first = op == PTX_AO_MIN ? x < y || (x == y && a >> 15) : x > y || (x == y && !(a >> 15));
    return first ? a : b;
}

// What the place holds after the operation. `old`, `b`, `c` are the low bits.
static uint64_t apply(unsigned op, unsigned type, uint64_t old, uint64_t b, uint64_t c)
{
    switch (op) {
    case PTX_AO_AND: return old & b;
    case PTX_AO_OR: return old | b;
    case PTX_AO_XOR: return old ^ b;
    case PTX_AO_EXCH: return b;
    case PTX_AO_CAS: return old == b ? c : old;
    case PTX_AO_INC: return (uint32_t)old >= (uint32_t)b ? 0 : old + 1;
    case PTX_AO_DEC: return !(uint32_t)old || (uint32_t)old > (uint32_t)b ? b : old - 1;
    default: break;
    }
    switch (type) {
    case PTX_AT_U32:
    case PTX_AT_U64:
        return op == PTX_AO_ADD ? old + b : op == PTX_AO_MIN ? (old < b ? old : b) : (old > b ? old : b);
    case PTX_AT_S32: {
        int32_t x = (int32_t)old, y = (int32_t)b;
        return op == PTX_AO_ADD ? old + b : (uint32_t)(op == PTX_AO_MIN ? (x < y ? x : y) : (x > y ? x : y));
    }
    case PTX_AT_S64: {
        int64_t x = (int64_t)old, y = (int64_t)b;
        return op == PTX_AO_ADD ? old + b : (uint64_t)(op == PTX_AO_MIN ? (x < y ? x : y) : (x > y ? x : y));
    }
    case PTX_AT_F32: return ptx_canonical(ptx_bits32(ptx_float32((uint32_t)old) + ptx_float32((uint32_t)b)));
    case PTX_AT_F64: return ptx_bits64(ptx_float64(old) + ptx_float64(b));
    case PTX_AT_F16:
    case PTX_AT_BF16: return half_op(op, (uint16_t)old, (uint16_t)b, type == PTX_AT_BF16);
    default: {
        bool bf16 = type == PTX_AT_BF16X2;
        return (uint32_t)half_op(op, (uint16_t)(old >> 16), (uint16_t)(b >> 16), bf16) << 16 |
               half_op(op, (uint16_t)old, (uint16_t)b, bf16);
    }
    }
}

#define LOOP(T)                                                                                              \
    do {                                                                                                     \
        T *place = (T *)at, seen = __atomic_load_n(place, __ATOMIC_RELAXED), want;                           \
        do                                                                                                   \
            want = (T)apply(op, type, seen, b, c);                                                           \
        while (!__atomic_compare_exchange_n(place, &seen, want, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)); \
        return seen;                                                                                         \
    } while (0)

static uint64_t atomically(void *at, unsigned width, unsigned op, unsigned type, uint64_t b, uint64_t c)
{
    if (op == PTX_AO_ADD && type <= PTX_AT_S32)
        return __atomic_fetch_add((uint32_t *)at, (uint32_t)b, __ATOMIC_SEQ_CST);
    if (op == PTX_AO_ADD && type <= PTX_AT_S64)
        return __atomic_fetch_add((uint64_t *)at, b, __ATOMIC_SEQ_CST);
    if (width == 2)
        LOOP(uint16_t);
    if (width == 4)
        LOOP(uint32_t);
    LOOP(uint64_t);
}

// Shared memory belongs to one host thread.
static uint64_t plainly(void *at, unsigned width, unsigned op, unsigned type, uint64_t b, uint64_t c)
{
    uint64_t old = 0;
    memcpy(&old, at, width);
    uint64_t now = apply(op, type, old, b, c);
    memcpy(at, &now, width);
    return old;
}

static uint64_t lane_value(const struct ptx_warp *w, int32_t place, unsigned width, uint32_t lane)
{
    return width == 2   ? PTX_U16(w, place)[lane]
           : width == 4 ? PTX_U32(w, place)[lane]
                        : PTX_U64(w, place)[lane];
}

PTX_HANDLER(h_ATOM)
{
    const unsigned sub = in->sub, op = sub & PTX_A_OP_MASK, type = sub >> PTX_A_TYPE_SHIFT & 0xf,
                   space = sub >> PTX_A_SPACE_SHIFT & 7, width = in->width;
    for (uint32_t m = w->mask; m; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        uint64_t address = sub & PTX_A_WIDE ? PTX_U64(w, in->a)[lane] + (uint64_t)in->imm
                                            : (uint32_t)(PTX_U32(w, in->a)[lane] + (uint32_t)in->imm);
        uint8_t *at = ptx_resolve(w, in, space, address, width, true, lane);
        if (!at)
            return NULL;
        uint64_t b = lane_value(w, in->b, width, lane),
                 c = op == PTX_AO_CAS ? lane_value(w, in->c, width, lane) : 0;
        bool own = space == PTX_A_SHARED ||
                   (space == PTX_A_GENERIC && address >> PTX_WINDOW_SHIFT == PTX_WINDOW_SHARED);
        uint64_t old = own ? plainly(at, width, op, type, b, c) : atomically(at, width, op, type, b, c);
        if (sub & PTX_A_RED)
            continue;
        if (width == 2)
            PTX_U16(w, in->d)[lane] = (uint16_t)old;
        else if (width == 4)
            PTX_U32(w, in->d)[lane] = (uint32_t)old;
        else
            PTX_U64(w, in->d)[lane] = old;
    }
    return PTX_NEXT(in);
}

PTX_HANDLER(h_FENCE)
{
    (void)w;
    ptx_fence();
    return PTX_NEXT(in);
}
PTX_HANDLER(h_NOP)
{
    (void)w;
    return PTX_NEXT(in);
}

const ptx_fn ptx_table_atom[] = {PTX_OPS_ATOM(PTX_TABLE_ENTRY)};

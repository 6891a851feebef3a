// SPDX-License-Identifier: Apache-2.0
// Handlers: loads and stores of every space, address conversions.
//
// Each access first turns the lanes' addresses into host pointers, checking all of them in one loop against
// the space or the range that served this instruction last; only when one of them fails are the lanes looked
// at singly. Then the elements move.
#include "ptx_mem.h"
#include "ptx_ops.h"
#include "ptx_run.h"
#include "ptx_warp.h"

#ifdef __SANITIZE_THREAD__
#define RACY __attribute__((no_sanitize("thread"))) // a kernel's races are the kernel's
#else
#define RACY
#endif

// --- addresses ---

static inline void read_addresses(const struct ptx_warp *w, const struct ptx_insn *in, ptx_u64 *p)
{
    const uint64_t offset = (uint64_t)in->imm;
    if (in->sub & PTX_M_ADDR64) {
        const ptx_u64 *a = PTX_U64(w, in->a);
        PTX_LANE_LOOP p[i] = a[i] + offset;
    } else {
        const ptx_u32 *a = PTX_U32(w, in->a);
        PTX_LANE_LOOP p[i] = (uint32_t)(a[i] + (uint32_t)offset);
    }
    if (w->mask != PTX_FULL) { // lanes that do not take part get an address that does
        const uint64_t one = p[__builtin_ctz(w->mask)];
        const uint32_t mask = w->mask;
        PTX_LANE_LOOP p[i] = mask >> i & 1 ? p[i] : one;
    }
}

// All of p[] lie in [start, start + limit] and are aligned.
static inline bool all_within(const ptx_u64 *p, uint64_t start, uint64_t limit, uint64_t size)
{
    uint64_t bad = 0, low = 0;
    PTX_LANE_LOOP
    {
        bad |= p[i] - start > limit;
        low |= p[i];
    }
    return !bad && !(low & (size - 1));
}

static bool singly(struct ptx_warp *w, const struct ptx_insn *in, unsigned space, ptx_u64 *p, uint32_t size,
                   bool write)
{
    for (uint32_t m = w->mask; m; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        uint8_t *host = ptx_resolve(w, in, space, p[lane], size, write, lane);
        if (!host)
            return false;
        p[lane] = (uint64_t)(uintptr_t)host;
    }
    const uint64_t one = p[__builtin_ctz(w->mask)];
    for (int i = 0; i < PTX_LANES; i++)
        if (!(w->mask >> i & 1))
            p[i] = one;
    return true;
}

static inline bool to_host(struct ptx_warp *w, const struct ptx_insn *in, unsigned space, ptx_u64 *p,
                           uint32_t size, bool write)
{
    read_addresses(w, in, p);
    switch (space) {
    case PTX_A_SHARED:
        if (w->shared_bytes >= size && all_within(p, 0, w->shared_bytes - size, size)) {
            const uint64_t base = (uint64_t)(uintptr_t)w->shared;
            PTX_LANE_LOOP p[i] += base;
            return true;
        }
        break;
    case PTX_A_LOCAL:
        if (w->local_bytes >= size && all_within(p, 0, w->local_bytes - size, size)) {
            const uint64_t base = (uint64_t)(uintptr_t)w->local, stride = w->local_bytes;
            if (w->mask == PTX_FULL) {
                for (int i = 0; i < PTX_LANES; i++)
                    p[i] += base + (uint64_t)i * stride;
            } else {
                uint64_t lane = (uint64_t)__builtin_ctz(w->mask);
                for (int i = 0; i < PTX_LANES; i++)
                    p[i] += base + (w->mask >> i & 1 ? (uint64_t)i : lane) * stride;
            }
            return true;
        }
        break;
    default: { // global, and generic addresses that are
        const struct ptx_range_cache *r = ptx_range_slot(w, in);
        if (r->end - r->start >= size && (r->write || !write) &&
            all_within(p, r->start, r->end - r->start - size, size))
            return true;
    }
    }
    return singly(w, in, space, p, size, write);
}

// --- elements ---

#define LOAD(TM, TR)                                                                                         \
    do {                                                                                                     \
        TR spare[PTX_LANES], *d = w->mask == PTX_FULL ? PTX_AT(TR, w, place) : spare;                        \
        for (int i = 0; i < PTX_LANES; i++)                                                                  \
            d[i] = (TR) * (const TM *)(uintptr_t)(p[i] + at);                                                \
        if (d == spare)                                                                                      \
            PTX_BLEND(w->rf + place, spare, w->mask);                                                        \
    } while (0)

typedef uint8_t __attribute__((may_alias)) ptx_u8;
typedef int8_t __attribute__((may_alias)) ptx_s8;

RACY static void load_element(struct ptx_warp *w, unsigned kind, int32_t place, const ptx_u64 *p, uint64_t at)
{
    switch (kind) {
    case PTX_M_U8_16: LOAD(ptx_u8, ptx_u16); break;
    case PTX_M_S8_16: LOAD(ptx_s8, ptx_u16); break;
    case PTX_M_U8_32: LOAD(ptx_u8, ptx_u32); break;
    case PTX_M_S8_32: LOAD(ptx_s8, ptx_u32); break;
    case PTX_M_U8_64: LOAD(ptx_u8, ptx_u64); break;
    case PTX_M_S8_64: LOAD(ptx_s8, ptx_u64); break;
    case PTX_M_B16: LOAD(ptx_u16, ptx_u16); break;
    case PTX_M_U16_32: LOAD(ptx_u16, ptx_u32); break;
    case PTX_M_S16_32: LOAD(ptx_s16, ptx_u32); break;
    case PTX_M_U16_64: LOAD(ptx_u16, ptx_u64); break;
    case PTX_M_S16_64: LOAD(ptx_s16, ptx_u64); break;
    case PTX_M_B32: LOAD(ptx_u32, ptx_u32); break;
    case PTX_M_U32_64: LOAD(ptx_u32, ptx_u64); break;
    case PTX_M_S32_64: LOAD(ptx_s32, ptx_u64); break;
    default: LOAD(ptx_u64, ptx_u64); break;
    }
}

#define STORE(TM, TR)                                                                                        \
    do {                                                                                                     \
        const TR *s = PTX_AT(TR, w, place);                                                                  \
        if (w->mask == PTX_FULL)                                                                             \
            for (int i = 0; i < PTX_LANES; i++)                                                              \
                *(TM *)(uintptr_t)(p[i] + at) = (TM)s[i];                                                    \
        else                                                                                                 \
            for (uint32_t m = w->mask; m; m &= m - 1) {                                                      \
                int i = __builtin_ctz(m);                                                                    \
                *(TM *)(uintptr_t)(p[i] + at) = (TM)s[i];                                                    \
            }                                                                                                \
    } while (0)

RACY static void store_element(struct ptx_warp *w, unsigned kind, int32_t place, const ptx_u64 *p,
                               uint64_t at)
{
    switch (kind) {
    case PTX_M_U8_16: STORE(ptx_u8, ptx_u16); break;
    case PTX_M_U8_32: STORE(ptx_u8, ptx_u32); break;
    case PTX_M_U8_64: STORE(ptx_u8, ptx_u64); break;
    case PTX_M_B16: STORE(ptx_u16, ptx_u16); break;
    case PTX_M_U16_32: STORE(ptx_u16, ptx_u32); break;
    case PTX_M_U16_64: STORE(ptx_u16, ptx_u64); break;
    case PTX_M_B32: STORE(ptx_u32, ptx_u32); break;
    case PTX_M_U32_64: STORE(ptx_u32, ptx_u64); break;
    default: STORE(ptx_u64, ptx_u64); break;
    }
}

static inline const struct ptx_insn *load(struct ptx_warp *w, const struct ptx_insn *in, unsigned space)
{
    ptx_u64 p[PTX_LANES];
    const uint32_t count = PTX_M_COUNT_OF(in->sub), width = in->width;
    if (!to_host(w, in, space, p, count * width, false))
        return NULL;
    if (count == 1)
        load_element(w, in->sub & PTX_M_KIND, in->d, p, 0);
    else
        for (uint32_t k = 0; k < count; k++)
            if (in->e[k] != PTX_NO_PLACE)
                load_element(w, in->sub & PTX_M_KIND, in->e[k], p, (uint64_t)k * width);
    if (in->sub & PTX_M_ACQUIRE)
        ptx_fence();
    return PTX_NEXT(in);
}

static inline const struct ptx_insn *store(struct ptx_warp *w, const struct ptx_insn *in, unsigned space)
{
    ptx_u64 p[PTX_LANES];
    const uint32_t count = PTX_M_COUNT_OF(in->sub), width = in->width;
    if (in->sub & PTX_M_RELEASE)
        ptx_fence();
    if (!to_host(w, in, space, p, count * width, true))
        return NULL;
    if (count == 1)
        store_element(w, in->sub & PTX_M_KIND, in->d, p, 0);
    else
        for (uint32_t k = 0; k < count; k++)
            store_element(w, in->sub & PTX_M_KIND, in->e[k], p, (uint64_t)k * width);
    return PTX_NEXT(in);
}

PTX_HANDLER(h_LD_GLOBAL) { return load(w, in, PTX_A_GLOBAL); }
PTX_HANDLER(h_LD_SHARED) { return load(w, in, PTX_A_SHARED); }
PTX_HANDLER(h_LD_LOCAL) { return load(w, in, PTX_A_LOCAL); }
PTX_HANDLER(h_LD_GENERIC) { return load(w, in, PTX_A_GENERIC); }
PTX_HANDLER(h_ST_GLOBAL) { return store(w, in, PTX_A_GLOBAL); }
PTX_HANDLER(h_ST_SHARED) { return store(w, in, PTX_A_SHARED); }
PTX_HANDLER(h_ST_LOCAL) { return store(w, in, PTX_A_LOCAL); }
PTX_HANDLER(h_ST_GENERIC) { return store(w, in, PTX_A_GENERIC); }

// --- the commonest: one 32-bit element, a 64-bit address, all lanes ---

// Lanes follow each other, or all read one place: 0 for neither, else the first address.
static inline uint64_t consecutive(const ptx_u64 *a, uint64_t stride)
{
    const uint64_t first = a[0];
    uint64_t differ = 0;
    PTX_LANE_LOOP differ |= a[i] ^ (first + (uint64_t)i * stride);
    return differ ? 0 : first;
}

static inline bool in_range(const struct ptx_range_cache *r, uint64_t address, uint64_t size, bool write)
{
    return r->end - r->start >= size && address - r->start <= r->end - r->start - size &&
           (r->write || !write) && !(address & 3);
}

RACY static const struct ptx_insn *h_LD_GLOBAL_32(struct ptx_warp *w, const struct ptx_insn *in)
{
    if (w->mask == PTX_FULL) {
        const ptx_u64 *a = PTX_U64(w, in->a);
        const struct ptx_range_cache *r = ptx_range_slot(w, in);
        const uint64_t first = a[0] + (uint64_t)in->imm;
        if (a[1] == a[0]) {
            if (consecutive(a, 0) && in_range(r, first, 4, false)) {
                const uint32_t v = *(const volatile ptx_u32 *)(uintptr_t)first;
                ptx_u32 *d = PTX_U32(w, in->d);
                PTX_LANE_LOOP d[i] = v;
                return PTX_NEXT(in);
            }
        } else if (a[1] - a[0] == 4 && consecutive(a, 4) && in_range(r, first, 4 * PTX_LANES, false)) {
            memcpy(w->rf + in->d, (const void *)(uintptr_t)first, 4 * PTX_LANES);
            return PTX_NEXT(in);
        }
    }
    return load(w, in, PTX_A_GLOBAL);
}

RACY static const struct ptx_insn *h_ST_GLOBAL_32(struct ptx_warp *w, const struct ptx_insn *in)
{
    if (w->mask == PTX_FULL) {
        const ptx_u64 *a = PTX_U64(w, in->a);
        const uint64_t first = a[0] + (uint64_t)in->imm;
        if (a[1] - a[0] == 4 && consecutive(a, 4) &&
            in_range(ptx_range_slot(w, in), first, 4 * PTX_LANES, true)) {
            memcpy((void *)(uintptr_t)first, w->rf + in->d, 4 * PTX_LANES);
            return PTX_NEXT(in);
        }
    }
    return store(w, in, PTX_A_GLOBAL);
}

// Shared memory with a 32-bit address register, all lanes.
static inline bool shared_offsets(const struct ptx_warp *w, const struct ptx_insn *in, ptx_u32 *p)
{
    const ptx_u32 *a = PTX_U32(w, in->a);
    const uint32_t offset = (uint32_t)in->imm, limit = w->shared_bytes - 4;
    uint32_t bad = 0;
    PTX_LANE_LOOP
    {
        p[i] = a[i] + offset;
        bad |= (uint32_t)(p[i] > limit) | (p[i] & 3);
    }
    return !bad && w->shared_bytes >= 4;
}

PTX_HANDLER(h_LD_SHARED_32)
{
    ptx_u32 p[PTX_LANES];
    if (w->mask == PTX_FULL && shared_offsets(w, in, p)) {
        ptx_u32 *d = PTX_U32(w, in->d);
        const uint8_t *base = w->shared;
        uint32_t differ = 0, same = 0;
        PTX_LANE_LOOP
        {
            differ |= p[i] ^ (p[0] + 4u * (uint32_t)i);
            same |= p[i] ^ p[0];
        }
        if (!same) {
            const uint32_t v = *(const ptx_u32 *)(base + p[0]);
            PTX_LANE_LOOP d[i] = v;
        } else if (!differ)
            memcpy(d, base + p[0], 4 * PTX_LANES);
        else
            PTX_LANE_LOOP d[i] = *(const ptx_u32 *)(base + p[i]);
        return PTX_NEXT(in);
    }
    return load(w, in, PTX_A_SHARED);
}

PTX_HANDLER(h_ST_SHARED_32)
{
    ptx_u32 p[PTX_LANES];
    if (w->mask == PTX_FULL && shared_offsets(w, in, p)) {
        const ptx_u32 *s = PTX_U32(w, in->d);
        uint8_t *base = w->shared;
        uint32_t differ = 0;
        PTX_LANE_LOOP differ |= p[i] ^ (p[0] + 4u * (uint32_t)i);
        if (!differ)
            memcpy(base + p[0], s, 4 * PTX_LANES);
        else
            for (int i = 0; i < PTX_LANES; i++)
                *(ptx_u32 *)(base + p[i]) = s[i];
        return PTX_NEXT(in);
    }
    return store(w, in, PTX_A_SHARED);
}

// --- kernel parameters ---

// At a place known when the text was lowered, which checked it: every lane gets the same bytes.
PTX_HANDLER(h_LD_PARAM)
{
    const uint8_t *params = w->k->run->params;
    const uint32_t count = PTX_M_COUNT_OF(in->sub), width = in->width;
    ptx_u64 p[PTX_LANES];
    const uint64_t from = (uint64_t)(uintptr_t)params + (uint64_t)in->imm;
    PTX_LANE_LOOP p[i] = from;
    if (count == 1)
        load_element(w, in->sub & PTX_M_KIND, in->d, p, 0);
    else
        for (uint32_t k = 0; k < count; k++)
            if (in->e[k] != PTX_NO_PLACE)
                load_element(w, in->sub & PTX_M_KIND, in->e[k], p, (uint64_t)k * width);
    return PTX_NEXT(in);
}

PTX_HANDLER(h_LD_PARAM_REG)
{
    ptx_u64 p[PTX_LANES];
    const uint32_t count = PTX_M_COUNT_OF(in->sub), width = in->width;
    read_addresses(w, in, p);
    if (!singly(w, in, PTX_A_PARAM, p, count * width, false))
        return NULL;
    if (count == 1)
        load_element(w, in->sub & PTX_M_KIND, in->d, p, 0);
    else
        for (uint32_t k = 0; k < count; k++)
            if (in->e[k] != PTX_NO_PLACE)
                load_element(w, in->sub & PTX_M_KIND, in->e[k], p, (uint64_t)k * width);
    return PTX_NEXT(in);
}

// --- addresses as values: imm is the window, 0 for global and const, which need no change ---

PTX_HANDLER(h_CVTA)
{
    PTX_RESULT(ptx_u64);
    const ptx_u64 *a = PTX_U64(w, in->a);
    const uint64_t base = (uint64_t)in->imm << PTX_WINDOW_SHIFT;
    PTX_LANE_LOOP d[i] = (a[i] & UINT32_MAX) | base;
    PTX_RESULT_DONE;
}
PTX_HANDLER(h_CVTA_TO)
{
    PTX_RESULT(ptx_u64);
    const ptx_u64 *a = PTX_U64(w, in->a);
    const uint64_t base = (uint64_t)in->imm << PTX_WINDOW_SHIFT;
    PTX_LANE_LOOP d[i] = a[i] - base;
    PTX_RESULT_DONE;
}

PTX_HANDLER(h_ISSPACEP)
{
    const ptx_u64 *a = PTX_U64(w, in->a);
    uint32_t bits = 0;
    for (int i = 0; i < PTX_LANES; i++) {
        uint64_t window = a[i] >> PTX_WINDOW_SHIFT;
        bool special = window >= PTX_WINDOW_SHARED && window <= PTX_WINDOW_FUNC,
             yes = in->imm ? window == (uint64_t)in->imm : !special;
        if (in->sub) { // const: inside a .const variable of the module
            const struct ptx_module *m = w->k->run->func->module;
            yes = false;
            for (uint32_t k = 0; k < m->var_count; k++)
                yes |= m->vars[k]->space == PV_CONST && a[i] - m->vars[k]->address < m->vars[k]->size;
        }
        bits |= (uint32_t)yes << i;
    }
    ptx_set_pred(w, in->d, bits);
    return PTX_NEXT(in);
}

PTX_HANDLER(h_PREFETCH)
{
    (void)w;
    return PTX_NEXT(in);
}

// cp.async copies at once: shared at a (32- or 64-bit address register), global at b + imm; `width` bytes, of
// which c (no place: all) are read.
PTX_HANDLER(h_CP_ASYNC)
{
    for (uint32_t m = w->mask; m; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        uint64_t to = in->sub & PTX_M_ADDR64 ? PTX_U64(w, in->a)[lane] : PTX_U32(w, in->a)[lane];
        uint32_t want = in->width, bytes = in->c == PTX_NO_PLACE ? want : PTX_U32(w, in->c)[lane];
        bytes = bytes > want ? want : bytes;
        uint8_t *d = ptx_resolve(w, in, PTX_A_SHARED, to + (uint64_t)(int64_t)in->e[0], want, true, lane);
        uint8_t *s = d && bytes ? ptx_resolve(w, in, PTX_A_GLOBAL,
                                              PTX_U64(w, in->b)[lane] + (uint64_t)in->imm, want, false, lane)
                                : d;
        if (!s)
            return NULL;
        memcpy(d, s, bytes);
        memset(d + bytes, 0, want - bytes);
    }
    return PTX_NEXT(in);
}

const ptx_fn PTX_TABLE(ptx_table_mem)[] = {PTX_OPS_MEM(PTX_TABLE_ENTRY)};

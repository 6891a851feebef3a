// SPDX-License-Identifier: Apache-2.0
// A warp while it runs, its block and its worker; and the small helpers that every handler uses.
//
// A handler gets the warp and its instruction and returns the next one, or NULL when the warp must stop for
// now (w->event says why). w->mask holds the lanes that execute. Handlers compute all 32 lanes and keep the
// results of the masked ones only, so the loops vectorise.
#ifndef GN_TESTS_MOCK_PTX_WARP_H
#define GN_TESTS_MOCK_PTX_WARP_H

#include <string.h>

#include "ptx_types.h"

enum ptx_event { PTX_EV_NONE, PTX_EV_YIELD, PTX_EV_BLOCKED, PTX_EV_DONE, PTX_EV_FAULT };

enum ptx_group_state {
    PTX_GROUP_RUN,
    PTX_GROUP_SYNC /* waits for lanes of its warp */,
    PTX_GROUP_BARRIER /* for other warps */
};
struct ptx_group { // lanes that stand at one instruction
    const struct ptx_insn *pc;
    uint32_t mask, depth;
    uint8_t state, barrier;
};

struct ptx_return { // of one lane
    const struct ptx_insn *call;
    const struct ptx_function *callee;
    uint32_t frame, top;     // of the caller's local memory
    struct ptx_saved *saved; // the callee's registers of an outer activation, NULL without
};

struct ptx_saved { // one lane's registers of a function that is entered again
    struct ptx_saved *next, **link;
    uint8_t bytes[];
};

struct ptx_barrier {
    uint32_t waiting;   // lanes
    uint32_t arrived;   // lanes that arrived without waiting
    uint32_t expected;  // 0: all of the block
    uint32_t red_count; // lanes whose predicate held
};

struct ptx_range_cache {
    uint64_t start, end;
    bool write;
};
enum { PTX_RANGES = 64, PTX_BARRIERS = 16 };

struct ptx_worker {
    struct ptx_run *run;
    const struct ptx_memory *memory;
    struct ptx_range_cache ranges[PTX_RANGES]; // by hash of the instruction
    uint64_t executed;                         // warp instructions
};

struct ptx_block {
    struct ptx_worker *k;
    uint32_t ctaid[3];
    uint8_t *shared;
    uint32_t shared_bytes;
    struct ptx_warp *warps;
    uint32_t warp_count, thread_count, live_count; // threads that have not exited
    struct ptx_barrier barriers[PTX_BARRIERS];
    bool active;
    uint32_t next_warp;
    uint64_t slices;
    uint8_t *memory; // everything above
};

struct ptx_warp {
    uint8_t *rf;
    uint32_t mask;  // lanes that execute now
    int32_t budget; // instructions left of the time slice
    uint32_t other_count;
    uint32_t depth; // calls, of the lanes that execute
    struct ptx_block *block;
    struct ptx_worker *k;
    uint8_t *shared; // of the block
    uint32_t shared_bytes;
    uint8_t *local; // lane i at local + i * local_bytes
    uint32_t local_bytes;
    uint32_t carry; // the condition code, a lane a bit
    uint32_t live;  // lanes that have not exited
    uint8_t event;
    bool force;  // the next warp-level synchronisation goes ahead with the lanes that are there
    bool rotate; // the time slice ended: another group's turn, whatever its place in the code
    bool sticky; // such a turn lasts to the end of its slice
    const struct ptx_insn *last; // where the last slice ended
    uint32_t last_depth;
    uint32_t index; // in the block
    struct ptx_group others[PTX_LANES];
    struct ptx_return *returns; // [depth][lane]
    uint32_t top[PTX_LANES];    // end of the local memory in use
    uint32_t *active;           // by function: lanes with an activation
    struct ptx_saved *saved;    // all of the warp
    uint32_t fault_kind, fault_lane;
    uint64_t fault_address;
    const struct ptx_insn *fault_at;
};

// Registers of 16, 32 and 64 bits are read through several types.
typedef uint16_t __attribute__((may_alias)) ptx_u16;
typedef int16_t __attribute__((may_alias)) ptx_s16;
typedef uint32_t __attribute__((may_alias)) ptx_u32;
typedef int32_t __attribute__((may_alias)) ptx_s32;
typedef uint64_t __attribute__((may_alias)) ptx_u64;
typedef int64_t __attribute__((may_alias)) ptx_s64;
typedef float __attribute__((may_alias)) ptx_f32;
typedef double __attribute__((may_alias)) ptx_f64;

#define PTX_U16(w, place)   ((ptx_u16 *)((w)->rf + (place)))
#define PTX_U32(w, place)   ((ptx_u32 *)((w)->rf + (place)))
#define PTX_U64(w, place)   ((ptx_u64 *)((w)->rf + (place)))
#define PTX_AT(T, w, place) ((T *)((w)->rf + (place)))
#define PTX_P(w, place)     (*(ptx_u32 *)((w)->rf + (place)))

#define PTX_NEXT(in)      ((in) + 1)
#define PTX_HANDLER(name) static const struct ptx_insn *name(struct ptx_warp *w, const struct ptx_insn *in)
#define PTX_IVDEP         _Pragma("GCC ivdep")
#define PTX_LANE_LOOP     PTX_IVDEP for (int i = 0; i < PTX_LANES; i++)

static inline void ptx_blend16(void *dst, const void *src, uint32_t mask)
{
    ptx_u16 *d = dst;
    const ptx_u16 *s = src;
    for (int i = 0; i < PTX_LANES; i++)
        d[i] = mask >> i & 1 ? s[i] : d[i];
}
static inline void ptx_blend32(void *dst, const void *src, uint32_t mask)
{
    ptx_u32 *d = dst;
    const ptx_u32 *s = src;
    PTX_LANE_LOOP d[i] = mask >> i & 1 ? s[i] : d[i];
}
static inline void ptx_blend64(void *dst, const void *src, uint32_t mask)
{
    ptx_u64 *d = dst;
    const ptx_u64 *s = src;
    PTX_LANE_LOOP d[i] = (uint64_t)mask >> i & 1 ? s[i] : d[i];
}
static inline void ptx_set_pred(struct ptx_warp *w, int32_t place, uint32_t bits)
{
    uint32_t *d = &PTX_P(w, place);
    *d = (*d & ~w->mask) | (bits & w->mask);
}

#define PTX_BLEND(dst, src, mask)                                                                            \
    do {                                                                                                     \
        if (sizeof *(src) == 2)                                                                              \
            ptx_blend16(dst, src, mask);                                                                     \
        else if (sizeof *(src) == 4)                                                                         \
            ptx_blend32(dst, src, mask);                                                                     \
        else                                                                                                 \
            ptx_blend64(dst, src, mask);                                                                     \
    } while (0)

// Handlers of one result a lane: `expr` of x, y, z, the lane's operands.
#define PTX_RESULT(T)                                                                                        \
    T spare_[PTX_LANES];                                                                                     \
    T *d = w->mask == PTX_FULL ? PTX_AT(T, w, in->d) : spare_
#define PTX_RESULT_DONE                                                                                      \
    if (d == spare_)                                                                                         \
        PTX_BLEND(w->rf + in->d, spare_, w->mask);                                                           \
    return PTX_NEXT(in)
#define PTX_UNARY(name, TD, TA, expr)                                                                        \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        PTX_RESULT(TD);                                                                                      \
        const TA *a = PTX_AT(TA, w, in->a);                                                                  \
        PTX_LANE_LOOP                                                                                        \
        {                                                                                                    \
            const TA x = a[i];                                                                               \
            d[i] = (TD)(expr);                                                                               \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }
#define PTX_BINARY(name, TD, TA, TB, expr)                                                                   \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        PTX_RESULT(TD);                                                                                      \
        const TA *a = PTX_AT(TA, w, in->a);                                                                  \
        const TB *b = PTX_AT(TB, w, in->b);                                                                  \
        PTX_LANE_LOOP                                                                                        \
        {                                                                                                    \
            const TA x = a[i];                                                                               \
            const TB y = b[i];                                                                               \
            d[i] = (TD)(expr);                                                                               \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }
#define PTX_TERNARY(name, TD, TA, TB, TC, expr)                                                              \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        PTX_RESULT(TD);                                                                                      \
        const TA *a = PTX_AT(TA, w, in->a);                                                                  \
        const TB *b = PTX_AT(TB, w, in->b);                                                                  \
        const TC *c = PTX_AT(TC, w, in->c);                                                                  \
        PTX_LANE_LOOP                                                                                        \
        {                                                                                                    \
            const TA x = a[i];                                                                               \
            const TB y = b[i];                                                                               \
            const TC z = c[i];                                                                               \
            d[i] = (TD)(expr);                                                                               \
        }                                                                                                    \
        PTX_RESULT_DONE;                                                                                     \
    }

static inline uint32_t ptx_bits_of(const int32_t *lanes);

// A comparison is combined with a predicate and written: `sub` is enum ptx_setp, e[0] the place of the
// negation (if PTX_SETP_SECOND), c the predicate.
enum ptx_setp {
    PTX_SETP_INVERT = 1,
    PTX_SETP_AND = 2,
    PTX_SETP_OR = 4,
    PTX_SETP_XOR = 8,
    PTX_SETP_SECOND = 16,
    PTX_SETP_FTZ = 32
};
static inline const struct ptx_insn *ptx_setp_done(struct ptx_warp *w, const struct ptx_insn *in,
                                                   uint32_t yes)
{
    unsigned sub = in->sub;
    yes = sub & PTX_SETP_INVERT ? ~yes : yes;
    uint32_t no = ~yes;
    if (sub & (PTX_SETP_AND | PTX_SETP_OR | PTX_SETP_XOR)) {
        uint32_t p = PTX_P(w, in->c);
        yes = sub & PTX_SETP_AND ? yes & p : sub & PTX_SETP_OR ? yes | p : yes ^ p;
        no = sub & PTX_SETP_AND ? no & p : sub & PTX_SETP_OR ? no | p : no ^ p;
    }
    ptx_set_pred(w, in->d, yes);
    if (sub & PTX_SETP_SECOND)
        ptx_set_pred(w, in->e[0], no);
    return PTX_NEXT(in);
}
#define PTX_COMPARE(name, T, expr)                                                                           \
    PTX_HANDLER(h_##name)                                                                                    \
    {                                                                                                        \
        int32_t yes[PTX_LANES];                                                                              \
        const T *a = PTX_AT(T, w, in->a), *b = PTX_AT(T, w, in->b);                                          \
        PTX_LANE_LOOP                                                                                        \
        {                                                                                                    \
            const T x = a[i], y = b[i];                                                                      \
            yes[i] = (expr) ? -1 : 0;                                                                        \
        }                                                                                                    \
        return ptx_setp_done(w, in, ptx_bits_of(yes));                                                       \
    }

// 32 booleans (0 or all ones) to bits.
static inline uint32_t ptx_bits_of(const int32_t *lanes)
{
    uint32_t bits = 0;
#if defined(__SSE2__)
    typedef char v16c __attribute__((vector_size(16)));
    typedef short v8s __attribute__((vector_size(16)));
    typedef int v4i __attribute__((vector_size(16)));
    for (int half = 0; half < 2; half++) {
        v4i q[4];
        memcpy(q, lanes + half * 16, sizeof q);
        v8s low = __builtin_ia32_packssdw128(q[0], q[1]), high = __builtin_ia32_packssdw128(q[2], q[3]);
        v16c bytes = (v16c)__builtin_ia32_packsswb128(low, high);
        bits |= (uint32_t)__builtin_ia32_pmovmskb128(bytes) << half * 16;
    }
#else
    for (int i = 0; i < PTX_LANES; i++)
        bits |= (uint32_t)(lanes[i] & 1) << i;
#endif
    return bits;
}

// Orders a kernel's accesses: those of the lanes are plain ones of this thread. The thread sanitizer knows no
// fences, so it gets an atomic.
extern uint32_t ptx_fence_word;
static inline void ptx_fence(void)
{
#ifdef __SANITIZE_THREAD__
    __atomic_fetch_add(&ptx_fence_word, 0, __ATOMIC_SEQ_CST);
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

// Tests the guard of an instruction, then runs its handler.
const struct ptx_insn *ptx_guarded(struct ptx_warp *w, const struct ptx_insn *in);
// Stops the warp with a fault of `lane`.
const struct ptx_insn *ptx_fault_lane(struct ptx_warp *w, const struct ptx_insn *in, enum ptx_fault_kind kind,
                                      uint64_t address, uint32_t lane);

// --- ptx_sched.c ---
// Puts lanes aside at `pc`.
void ptx_group_add(struct ptx_warp *w, const struct ptx_insn *pc, uint32_t mask, uint32_t depth,
                   uint8_t state, uint8_t barrier);
// Chooses the group that runs next and merges those at the same instruction; NULL: none can run (w->event).
const struct ptx_insn *ptx_pick(struct ptx_warp *w);
// The executing lanes go on at `pc`, unless the slice is over or lanes that stand earlier in the code come
// first.
const struct ptx_insn *ptx_continue(struct ptx_warp *w, const struct ptx_insn *pc);
// Each executing lane needs its members with it at `in`. True: go ahead with those of w->mask that have them;
// false: return ptx_pick(w).
bool ptx_converge(struct ptx_warp *w, const struct ptx_insn *in, const ptx_u32 *members);
void ptx_barrier_check(struct ptx_block *b, uint32_t id);
// The executing lanes end.
const struct ptx_insn *ptx_exit_lanes(struct ptx_warp *w);

// --- ptx_access.c ---
// The host address of [address, address + size) in a space for one lane, or NULL after a fault was noted with
// ptx_fault_lane.
uint8_t *ptx_resolve(struct ptx_warp *w, const struct ptx_insn *in, unsigned space, uint64_t address,
                     uint32_t size, bool write, uint32_t lane);
enum { PTX_A_GLOBAL, PTX_A_SHARED, PTX_A_LOCAL, PTX_A_GENERIC, PTX_A_PARAM };
bool ptx_range_find(struct ptx_warp *w, const struct ptx_insn *in, uint64_t address, uint32_t size,
                    bool write, struct ptx_range_cache **out);

static inline struct ptx_range_cache *ptx_range_slot(struct ptx_warp *w, const struct ptx_insn *in)
{
    return &w->k->ranges[(uintptr_t)in / sizeof *in % PTX_RANGES];
}

#endif

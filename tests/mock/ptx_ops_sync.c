// SPDX-License-Identifier: Apache-2.0
// Handlers: barriers of a block, and exchanges between the lanes of a warp.
#include "ptx_ops.h"
#include "ptx_run.h"
#include "ptx_sync.h"

static uint32_t first_lane(const struct ptx_warp *w) { return (uint32_t)__builtin_ctz(w->mask); }

// --- barriers of a block ---

static const struct ptx_insn *arrive(struct ptx_warp *w, const struct ptx_insn *in, uint32_t holds)
{
    struct ptx_block *b = w->block;
    const uint32_t id = PTX_U32(w, in->a)[first_lane(w)];
    uint32_t count = in->imm & PTX_BAR_COUNT ? PTX_U32(w, in->b)[first_lane(w)] : 0;
    if (id >= PTX_BARRIERS)
        return ptx_fault_lane(w, in, PTX_FAULT_INSTRUCTION, id, first_lane(w));
    struct ptx_barrier *bar = &b->barriers[id];
    const uint32_t lanes = (uint32_t)__builtin_popcount(w->mask);
    bar->expected = count;
    bar->red_count += (uint32_t)__builtin_popcount(holds & w->mask);
    if (in->imm & PTX_BAR_ARRIVE) {
        bar->arrived += w->mask == w->live ? PTX_LANES : lanes;
        ptx_barrier_check(b, id);
        return PTX_NEXT(in);
    }
    bar->waiting += lanes;
    ptx_group_add(w, in, w->mask, w->depth, PTX_GROUP_BARRIER, (uint8_t)id);
    w->mask = 0;
    ptx_barrier_check(b, id);
    return ptx_pick(w);
}

PTX_HANDLER(h_BARRIER) { return arrive(w, in, 0); }
PTX_HANDLER(h_BAR_RED) { return arrive(w, in, PTX_P(w, in->c)); }

// --- lanes of a warp ---

PTX_HANDLER(h_BAR_WARP)
{
    return ptx_converge(w, in, PTX_U32(w, in->a)[first_lane(w)]) ? PTX_NEXT(in) : ptx_pick(w);
}

// Without .sync the lanes that happen to be together take part.
static const struct ptx_insn *shuffle(struct ptx_warp *w, const struct ptx_insn *in, uint32_t members)
{
    PTX_RESULT(ptx_u32);
    const ptx_u32 *b = PTX_U32(w, in->b), *c = PTX_U32(w, in->c);
    uint32_t a[PTX_LANES], inside = 0;
    memcpy(a, w->rf + in->a, sizeof a);
    (void)members;
    for (int lane = 0; lane < PTX_LANES; lane++) {
        const int by = (int)(b[lane] & 31), clamp = (int)(c[lane] & 31), segment = (int)(c[lane] >> 8 & 31);
        const int most = (lane & segment) | (clamp & ~segment), least = lane & segment;
        int from;
        bool ok;
        switch (in->sub & PTX_SHFL_MODE) {
        case PTX_SHFL_UP:
            from = lane - by;
            ok = from >= most;
            break;
        case PTX_SHFL_DOWN:
            from = lane + by;
            ok = from <= most;
            break;
        case PTX_SHFL_BFLY:
            from = lane ^ by;
            ok = from <= most;
            break;
        default:
            from = least | (by & ~segment);
            ok = from <= most;
            break;
        }
        from = ok ? from : lane;
        d[lane] = a[from];
        inside |= (uint32_t)ok << lane;
    }
    if (in->sub & PTX_SHFL_PRED)
        ptx_set_pred(w, in->e[1], inside);
    PTX_RESULT_DONE;
}

PTX_HANDLER(h_SHFL)
{
    const uint32_t members = PTX_U32(w, in->e[0])[first_lane(w)];
    return ptx_converge(w, in, members) ? shuffle(w, in, members) : ptx_pick(w);
}
PTX_HANDLER(h_SHFL_OLD) { return shuffle(w, in, w->mask); }

static const struct ptx_insn *do_vote(struct ptx_warp *w, const struct ptx_insn *in, uint32_t members)
{
    const uint32_t there = w->mask & members, yes = PTX_P(w, in->a) & there;
    bool result;
    switch (in->sub & PTX_VOTE_MODE) {
    case PTX_VOTE_BALLOT: {
        PTX_RESULT(ptx_u32);
        PTX_LANE_LOOP d[i] = yes;
        PTX_RESULT_DONE;
    }
    case PTX_VOTE_ALL: result = yes == there; break;
    case PTX_VOTE_ANY: result = yes != 0; break;
    default: result = !yes || yes == there; break;
    }
    ptx_set_pred(w, in->d, result ? PTX_FULL : 0);
    return PTX_NEXT(in);
}
PTX_HANDLER(h_VOTE)
{
    const uint32_t members = PTX_U32(w, in->b)[first_lane(w)];
    return ptx_converge(w, in, members) ? do_vote(w, in, members) : ptx_pick(w);
}
PTX_HANDLER(h_VOTE_OLD) { return do_vote(w, in, w->mask); }

static inline uint64_t value(const struct ptx_warp *w, int32_t place, bool wide, int lane)
{
    return wide ? PTX_U64(w, place)[lane] : PTX_U32(w, place)[lane];
}

static const struct ptx_insn *match_any(struct ptx_warp *w, const struct ptx_insn *in, bool wide)
{
    const uint32_t members = PTX_U32(w, in->b)[first_lane(w)];
    if (!ptx_converge(w, in, members))
        return ptx_pick(w);
    uint32_t result[PTX_LANES], rest = w->mask & members;
    memset(result, 0, sizeof result);
    while (rest) {
        const uint64_t v = value(w, in->a, wide, __builtin_ctz(rest));
        uint32_t same = 0;
        for (uint32_t m = rest; m; m &= m - 1)
            if (value(w, in->a, wide, __builtin_ctz(m)) == v)
                same |= m & (0 - m);
        for (uint32_t m = same; m; m &= m - 1)
            result[__builtin_ctz(m)] = same;
        rest &= ~same;
    }
    ptx_blend32(w->rf + in->d, result, w->mask);
    return PTX_NEXT(in);
}
PTX_HANDLER(h_MATCH_ANY_32) { return match_any(w, in, false); }
PTX_HANDLER(h_MATCH_ANY_64) { return match_any(w, in, true); }

static const struct ptx_insn *match_all(struct ptx_warp *w, const struct ptx_insn *in, bool wide)
{
    const uint32_t members = PTX_U32(w, in->b)[first_lane(w)];
    if (!ptx_converge(w, in, members))
        return ptx_pick(w);
    const uint32_t there = w->mask & members;
    bool same = true;
    for (uint32_t m = there; m; m &= m - 1)
        same &= value(w, in->a, wide, __builtin_ctz(m)) == value(w, in->a, wide, __builtin_ctz(there));
    ptx_set_pred(w, in->e[1], same ? PTX_FULL : 0);
    PTX_RESULT(ptx_u32);
    PTX_LANE_LOOP d[i] = same ? there : 0;
    PTX_RESULT_DONE;
}
PTX_HANDLER(h_MATCH_ALL_32) { return match_all(w, in, false); }
PTX_HANDLER(h_MATCH_ALL_64) { return match_all(w, in, true); }

PTX_HANDLER(h_ACTIVEMASK)
{
    PTX_RESULT(ptx_u32);
    const uint32_t v = w->mask;
    PTX_LANE_LOOP d[i] = v;
    PTX_RESULT_DONE;
}

static uint32_t combine(unsigned op, uint32_t x, uint32_t y)
{
    switch (op) {
    case PTX_R_ADD: return x + y;
    case PTX_R_MIN_U: return x < y ? x : y;
    case PTX_R_MAX_U: return x > y ? x : y;
    case PTX_R_MIN_S: return (int32_t)x < (int32_t)y ? x : y;
    case PTX_R_MAX_S: return (int32_t)x > (int32_t)y ? x : y;
    case PTX_R_AND: return x & y;
    case PTX_R_OR: return x | y;
    default: return x ^ y;
    }
}
PTX_HANDLER(h_REDUX)
{
    const uint32_t members = PTX_U32(w, in->b)[first_lane(w)];
    if (!ptx_converge(w, in, members))
        return ptx_pick(w);
    const ptx_u32 *a = PTX_U32(w, in->a);
    uint32_t there = w->mask & members, v = there ? a[__builtin_ctz(there)] : 0;
    for (uint32_t m = there & (there - 1); there && m; m &= m - 1)
        v = combine(in->sub, v, a[__builtin_ctz(m)]);
    PTX_RESULT(ptx_u32);
    PTX_LANE_LOOP d[i] = v;
    PTX_RESULT_DONE;
}

PTX_HANDLER(h_ELECT)
{
    const uint32_t members = PTX_U32(w, in->b)[first_lane(w)];
    if (!ptx_converge(w, in, members))
        return ptx_pick(w);
    const uint32_t there = w->mask & members, leader = there ? (uint32_t)__builtin_ctz(there) : 0;
    ptx_set_pred(w, in->e[1], there & (0 - there));
    PTX_RESULT(ptx_u32);
    PTX_LANE_LOOP d[i] = leader;
    PTX_RESULT_DONE;
}

// The time goes to others: the slice ends here.
PTX_HANDLER(h_NANOSLEEP)
{
    w->budget = -1;
    return ptx_continue(w, PTX_NEXT(in));
}

const ptx_fn ptx_table_sync[] = {PTX_OPS_SYNC(PTX_TABLE_ENTRY)};

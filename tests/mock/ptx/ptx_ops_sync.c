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

// The common case: all lanes name the same members, and those are there.
static inline bool together(struct ptx_warp *w, const struct ptx_insn *in, int32_t place)
{
    const ptx_u32 *members = PTX_U32(w, place);
    uint32_t needed = 0;
    PTX_LANE_LOOP needed |= members[i];
    if (w->other_count == 0 || !(needed & w->live & ~w->mask)) {
        w->force = false;
        return true; // nobody is elsewhere: whoever is named and not here has exited
    }
    return ptx_converge(w, in, members);
}

// The lanes of `rest` that name the same members as its first; `there`: those of them that are members.
static uint32_t next_tile(const struct ptx_warp *w, int32_t place, uint32_t rest, uint32_t *there)
{
    const ptx_u32 *members = PTX_U32(w, place);
    const uint32_t mask = members[__builtin_ctz(rest)];
    uint32_t same = 0;
    for (uint32_t m = rest; m; m &= m - 1)
        if (members[__builtin_ctz(m)] == mask)
            same |= m & (0 - m);
    *there = same & mask;
    return same;
}

PTX_HANDLER(h_BAR_WARP) { return together(w, in, in->a) ? PTX_NEXT(in) : ptx_pick(w); }

static const struct ptx_insn *shuffle(struct ptx_warp *w, const struct ptx_insn *in)
{
    PTX_RESULT(ptx_u32);
    const ptx_u32 *b = PTX_U32(w, in->b), *c = PTX_U32(w, in->c);
    uint32_t a[PTX_LANES], inside = 0;
    memcpy(a, w->rf + in->a, sizeof a);
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
        d[lane] = a[ok ? from : lane];
        inside |= (uint32_t)ok << lane;
    }
    if (in->sub & PTX_SHFL_PRED)
        ptx_set_pred(w, in->e[1], inside);
    PTX_RESULT_DONE;
}
PTX_HANDLER(h_SHFL) { return together(w, in, in->e[0]) ? shuffle(w, in) : ptx_pick(w); }
PTX_HANDLER(h_SHFL_OLD) { return shuffle(w, in); } // without .sync: the lanes that happen to be together

static void vote_of(struct ptx_warp *w, const struct ptx_insn *in, uint32_t lanes, uint32_t votes,
                    uint32_t there)
{
    const uint32_t yes = votes & there;
    const unsigned mode = in->sub & PTX_VOTE_MODE;
    if (mode == PTX_VOTE_BALLOT) {
        uint32_t v[PTX_LANES];
        PTX_LANE_LOOP v[i] = yes;
        ptx_blend32(w->rf + in->d, v, lanes);
        return;
    }
    const bool result = mode == PTX_VOTE_ALL   ? yes == there
                        : mode == PTX_VOTE_ANY ? yes != 0
                                               : !yes || yes == there;
    ptx_u32 *d = &PTX_P(w, in->d);
    *d = result ? *d | lanes : *d & ~lanes;
}
PTX_HANDLER(h_VOTE)
{
    if (!together(w, in, in->b))
        return ptx_pick(w);
    const uint32_t votes = PTX_P(w, in->a); // the result may go to the same register
    for (uint32_t rest = w->mask, same, there; rest; rest &= ~same) {
        same = next_tile(w, in->b, rest, &there);
        vote_of(w, in, same, votes, there);
    }
    return PTX_NEXT(in);
}
PTX_HANDLER(h_VOTE_OLD)
{
    vote_of(w, in, w->mask, PTX_P(w, in->a), w->mask);
    return PTX_NEXT(in);
}

static inline uint64_t value(const struct ptx_warp *w, int32_t place, bool wide, int lane)
{
    return wide ? PTX_U64(w, place)[lane] : PTX_U32(w, place)[lane];
}

// The lanes of `rest` with the value of its first.
static uint32_t alike(const struct ptx_warp *w, int32_t place, bool wide, uint32_t rest)
{
    const uint64_t v = value(w, place, wide, __builtin_ctz(rest));
    uint32_t same = 0;
    for (uint32_t m = rest; m; m &= m - 1)
        if (value(w, place, wide, __builtin_ctz(m)) == v)
            same |= m & (0 - m);
    return same;
}

static const struct ptx_insn *match_any(struct ptx_warp *w, const struct ptx_insn *in, bool wide)
{
    if (!together(w, in, in->b))
        return ptx_pick(w);
    uint32_t result[PTX_LANES];
    memset(result, 0, sizeof result);
    for (uint32_t lanes = w->mask, tile, there; lanes; lanes &= ~tile) {
        tile = next_tile(w, in->b, lanes, &there);
        for (uint32_t rest = there, same; rest; rest &= ~same) {
            same = alike(w, in->a, wide, rest);
            for (uint32_t m = same; m; m &= m - 1)
                result[__builtin_ctz(m)] = same;
        }
    }
    ptx_blend32(w->rf + in->d, result, w->mask);
    return PTX_NEXT(in);
}
PTX_HANDLER(h_MATCH_ANY_32) { return match_any(w, in, false); }
PTX_HANDLER(h_MATCH_ANY_64) { return match_any(w, in, true); }

static const struct ptx_insn *match_all(struct ptx_warp *w, const struct ptx_insn *in, bool wide)
{
    if (!together(w, in, in->b))
        return ptx_pick(w);
    uint32_t result[PTX_LANES], agree = 0;
    memset(result, 0, sizeof result);
    for (uint32_t lanes = w->mask, tile, there; lanes; lanes &= ~tile) {
        tile = next_tile(w, in->b, lanes, &there);
        if (!there || alike(w, in->a, wide, there) != there)
            continue;
        agree |= tile;
        for (uint32_t m = tile; m; m &= m - 1)
            result[__builtin_ctz(m)] = there;
    }
    ptx_set_pred(w, in->e[1], agree);
    ptx_blend32(w->rf + in->d, result, w->mask);
    return PTX_NEXT(in);
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
    if (!together(w, in, in->b))
        return ptx_pick(w);
    uint32_t a[PTX_LANES], result[PTX_LANES];
    memcpy(a, w->rf + in->a, sizeof a);
    memset(result, 0, sizeof result);
    for (uint32_t lanes = w->mask, tile, there; lanes; lanes &= ~tile) {
        tile = next_tile(w, in->b, lanes, &there);
        uint32_t v = there ? a[__builtin_ctz(there)] : 0;
        for (uint32_t m = there & (there - 1); there && m; m &= m - 1)
            v = combine(in->sub, v, a[__builtin_ctz(m)]);
        for (uint32_t m = tile; m; m &= m - 1)
            result[__builtin_ctz(m)] = v;
    }
    ptx_blend32(w->rf + in->d, result, w->mask);
    return PTX_NEXT(in);
}

PTX_HANDLER(h_ELECT)
{
    if (!together(w, in, in->b))
        return ptx_pick(w);
    uint32_t result[PTX_LANES], elected = 0;
    memset(result, 0, sizeof result);
    for (uint32_t lanes = w->mask, tile, there; lanes; lanes &= ~tile) {
        tile = next_tile(w, in->b, lanes, &there);
        elected |= there & (0 - there);
        for (uint32_t m = tile; m; m &= m - 1)
            result[__builtin_ctz(m)] = there ? (uint32_t)__builtin_ctz(there) : 0;
    }
    ptx_set_pred(w, in->e[1], elected);
    ptx_blend32(w->rf + in->d, result, w->mask);
    return PTX_NEXT(in);
}

// The time goes to others: the slice ends here.
PTX_HANDLER(h_NANOSLEEP)
{
    w->budget = -1;
    return ptx_continue(w, PTX_NEXT(in));
}

const ptx_fn ptx_table_sync[] = {PTX_OPS_SYNC(PTX_TABLE_ENTRY)};

// SPDX-License-Identifier: Apache-2.0
// The groups of lanes of a warp that stand at different instructions, and the barriers of a block.
//
// The group that stands deepest in calls and earliest in the code runs; when it comes to where another
// stands, the two merge. That reconverges structured code without knowing its structure. A group that spins
// would starve one that stands later, so at the end of a time slice the next group in code order runs for a
// slice, whatever its place.
#include "ptx_ops.h"
#include "ptx_run.h"

void ptx_group_add(struct ptx_warp *w, const struct ptx_insn *pc, uint32_t mask, uint32_t depth,
                   uint8_t state, uint8_t barrier)
{
    // Lanes are in one group each, so there are at most 32.
    w->others[w->other_count++] =
        (struct ptx_group){.pc = pc, .mask = mask, .depth = depth, .state = state, .barrier = barrier};
}

// Deeper calls first, then smaller addresses of code.
static bool before(const struct ptx_insn *pc_a, uint32_t depth_a, const struct ptx_insn *pc_b,
                   uint32_t depth_b)
{
    return depth_a != depth_b ? depth_a > depth_b : (uintptr_t)pc_a < (uintptr_t)pc_b;
}

static int choose(const struct ptx_warp *w, uint8_t state, bool after_last)
{
    int best = -1;
    for (uint32_t i = 0; i < w->other_count; i++) {
        const struct ptx_group *g = &w->others[i];
        if (g->state != state || (after_last && !before(w->last, w->last_depth, g->pc, g->depth)))
            continue;
        if (best < 0 || before(g->pc, g->depth, w->others[best].pc, w->others[best].depth))
            best = (int)i;
    }
    return best;
}

static ptx_fn leader_handler(void)
{
    static ptx_fn cached; // every thread finds the same
    ptx_fn leader = __atomic_load_n(&cached, __ATOMIC_RELAXED);
    if (!leader) {
        leader = ptx_handler(OP_LEADER);
        __atomic_store_n(&cached, leader, __ATOMIC_RELAXED);
    }
    return leader;
}

// Takes the groups at the same instruction into the executing one.
static void merge(struct ptx_warp *w, const struct ptx_insn *pc, uint8_t state)
{
    for (uint32_t i = 0; i < w->other_count;) {
        const struct ptx_group *g = &w->others[i];
        if (g->pc == pc && g->depth == w->depth && g->state == state) {
            w->mask |= g->mask;
            w->others[i] = w->others[--w->other_count];
        } else {
            i++;
        }
    }
}

const struct ptx_insn *ptx_pick(struct ptx_warp *w)
{
    int best = w->rotate ? choose(w, PTX_GROUP_RUN, true) : -1;
    bool rotated = best >= 0;
    w->rotate = false;
    if (best < 0)
        best = choose(w, PTX_GROUP_RUN, false);
    uint8_t state = PTX_GROUP_RUN;
    if (best < 0 && (w->force || choose(w, PTX_GROUP_BARRIER, false) < 0)) {
        best = choose(w, PTX_GROUP_SYNC, false); // those that they wait for will not come
        state = PTX_GROUP_SYNC;
        w->force = best >= 0;
    }
    if (best < 0) {
        w->event = w->other_count ? PTX_EV_BLOCKED : PTX_EV_DONE;
        w->mask = 0;
        return NULL;
    }
    const struct ptx_insn *pc = w->others[best].pc;
    w->mask = 0;
    w->depth = w->others[best].depth;
    merge(w, pc, state);
    w->sticky = rotated && w->other_count;
    return pc->fn == leader_handler() ? pc + 1 : pc;
}

const struct ptx_insn *ptx_continue(struct ptx_warp *w, const struct ptx_insn *pc)
{
    if (w->budget < 0) {
        w->rotate = w->other_count > 0;
        w->last = pc;
        w->last_depth = w->depth;
        ptx_group_add(w, pc, w->mask, w->depth, PTX_GROUP_RUN, 0);
        w->mask = 0;
        w->event = PTX_EV_YIELD;
        return NULL;
    }
    if (w->sticky) {
        merge(w, pc, PTX_GROUP_RUN);
        return pc->fn == leader_handler() ? pc + 1 : pc;
    }
    ptx_group_add(w, pc, w->mask, w->depth, PTX_GROUP_RUN, 0);
    return ptx_pick(w);
}

bool ptx_converge(struct ptx_warp *w, const struct ptx_insn *in, const ptx_u32 *members)
{
    merge(w, in, PTX_GROUP_SYNC);
    uint32_t ready = 0;
    for (uint32_t rest = w->mask; rest;) { // lanes of one tile name the same members
        const uint32_t mask = members[__builtin_ctz(rest)];
        uint32_t same = 0;
        for (uint32_t m = rest; m; m &= m - 1)
            if (members[__builtin_ctz(m)] == mask)
                same |= m & (0 - m);
        rest &= ~same;
        ready |= mask & w->live & ~w->mask ? 0 : same;
    }
    if (w->force) {
        ready = w->mask;
        w->force = false;
    }
    if (ready != w->mask)
        ptx_group_add(w, in, w->mask & ~ready, w->depth, PTX_GROUP_SYNC, 0);
    w->mask = ready;
    return ready;
}

// --- barriers ---

// With an explicit count, warps count whole: one whose live lanes are all there counts 32.
static uint32_t counted(const struct ptx_block *b, uint32_t id)
{
    uint32_t total = b->barriers[id].arrived;
    for (uint32_t k = 0; k < b->warp_count; k++) {
        const struct ptx_warp *w = &b->warps[k];
        uint32_t here = 0;
        for (uint32_t i = 0; i < w->other_count; i++)
            if (w->others[i].state == PTX_GROUP_BARRIER && w->others[i].barrier == id)
                here |= w->others[i].mask;
        total += here && here == w->live ? PTX_LANES : (uint32_t)__builtin_popcount(here);
    }
    return total;
}

// What bar.red gives a waiting group: `sub` says popc, and, or.
static void give_reduction(struct ptx_warp *w, const struct ptx_group *g, const struct ptx_barrier *bar,
                           uint32_t lanes)
{
    const struct ptx_insn *in = g->pc;
    if (in->sub == 0) {
        for (int i = 0; i < PTX_LANES; i++)
            if (g->mask >> i & 1)
                PTX_U32(w, in->d)[i] = bar->red_count;
        return;
    }
    bool yes = in->sub == 1 ? bar->red_count == lanes : bar->red_count > 0;
    ptx_u32 *d = &PTX_P(w, in->d);
    *d = yes ? *d | g->mask : *d & ~g->mask;
}

static void release(struct ptx_block *b, uint32_t id)
{
    static ptx_fn reduction;
    if (!reduction)
        reduction = ptx_handler(OP_BAR_RED);
    struct ptx_barrier *bar = &b->barriers[id];
    for (uint32_t k = 0; k < b->warp_count; k++) {
        struct ptx_warp *w = &b->warps[k];
        for (uint32_t i = 0; i < w->other_count; i++) {
            struct ptx_group *g = &w->others[i];
            if (g->state != PTX_GROUP_BARRIER || g->barrier != id)
                continue;
            if (g->pc->fn == reduction)
                give_reduction(w, g, bar, bar->waiting);
            g->pc++;
            g->state = PTX_GROUP_RUN;
        }
    }
    *bar = (struct ptx_barrier){0};
}

void ptx_barrier_check(struct ptx_block *b, uint32_t id)
{
    struct ptx_barrier *bar = &b->barriers[id];
    if (!bar->waiting && !bar->arrived)
        return;
    if (bar->expected ? counted(b, id) >= bar->expected : bar->waiting + bar->arrived >= b->live_count)
        release(b, id);
}

const struct ptx_insn *ptx_exit_lanes(struct ptx_warp *w)
{
    struct ptx_block *b = w->block;
    w->live &= ~w->mask;
    b->live_count -= (uint32_t)__builtin_popcount(w->mask);
    for (uint32_t id = 0; id < PTX_BARRIERS; id++) // the others may have been waiting for these
        if (b->barriers[id].waiting)
            ptx_barrier_check(b, id);
    return ptx_pick(w);
}

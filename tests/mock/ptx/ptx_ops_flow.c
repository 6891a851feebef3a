// SPDX-License-Identifier: Apache-2.0
// Handlers: branches, calls, returns, ends; registers that are read when asked; the frames of local memory.
#include "ptx_ops.h"
#include "ptx_run.h"

#include <stdlib.h>

// --- branches: imm is the distance to the instruction after the label, c the instructions to count ---

PTX_HANDLER(h_LEADER)
{
    w->budget -= in->c;
    if (__builtin_expect((w->budget < 0) | (w->other_count != 0), 0))
        return ptx_continue(w, in);
    return PTX_NEXT(in);
}

PTX_HANDLER(h_BRA)
{
    w->budget -= in->c;
    if (__builtin_expect((w->budget < 0) | (w->other_count != 0), 0))
        return ptx_continue(w, in + in->imm - 1);
    return in + in->imm;
}

PTX_HANDLER(h_BRA_COND)
{
    w->budget -= in->c;
    const uint32_t p = in->sub ? ~PTX_P(w, in->a) : PTX_P(w, in->a);
    const uint32_t taken = w->mask & p, left = w->mask & ~p;
    if (__builtin_expect((w->budget >= 0) & (w->other_count == 0), 1)) {
        if (!taken)
            return PTX_NEXT(in);
        if (!left)
            return in + in->imm;
    }
    const struct ptx_insn *target = in + in->imm - 1;
    if (!taken || !left)
        return ptx_continue(w, taken ? target : PTX_NEXT(in));
    // Both ways: the later one waits.
    bool forward = target > in;
    ptx_group_add(w, forward ? target : PTX_NEXT(in), forward ? taken : left, w->depth, PTX_GROUP_RUN, 0);
    w->mask = forward ? left : taken;
    return ptx_continue(w, forward ? PTX_NEXT(in) : target);
}

PTX_HANDLER(h_BRX)
{
    const struct ptx_targets *t = (const struct ptx_targets *)(uintptr_t)in->imm;
    const struct ptx_insn *base = in - in->b; // of the function
    const ptx_u32 *index = PTX_U32(w, in->a);
    w->budget -= in->c;
    uint32_t rest = w->mask;
    while (rest) {
        uint32_t lane = (uint32_t)__builtin_ctz(rest), value = index[lane], same = 0;
        for (uint32_t m = rest; m; m &= m - 1)
            if (index[__builtin_ctz(m)] == value)
                same |= m & (0 - m);
        if (value >= t->count) // the ISA leaves it undefined
            return ptx_fault_lane(w, in, PTX_FAULT_INSTRUCTION, value, lane);
        rest &= ~same;
        ptx_group_add(w, base + t->insn[value], same, w->depth, PTX_GROUP_RUN, 0);
    }
    if (w->budget < 0) {
        w->mask = 0;
        w->rotate = true;
        w->last = in;
        w->last_depth = w->depth;
        w->event = PTX_EV_YIELD;
        return NULL;
    }
    return ptx_pick(w);
}

// --- calls ---

static const uint32_t lane_bytes[PC_COUNT] = {0, 2, 4, 8};

// A function keeps its registers at one place of the register file. A lane that enters it again puts the
// outer activation's aside.
static bool save_registers(struct ptx_warp *w, const struct ptx_function *f, uint32_t lane,
                           struct ptx_return *r)
{
    size_t size = f->class_count[PC_PRED];
    for (int c = PC_16; c < PC_COUNT; c++)
        size += (size_t)f->class_count[c] * lane_bytes[c];
    struct ptx_saved *s = malloc(sizeof *s + size);
    if (!s)
        return false;
    s->next = w->saved;
    s->link = &w->saved;
    if (s->next)
        s->next->link = &s->next;
    w->saved = s;
    uint8_t *to = s->bytes;
    for (int c = PC_16; c < PC_COUNT; c++)
        for (uint32_t i = 0; i < f->class_count[c]; i++, to += lane_bytes[c])
            memcpy(to,
                   w->rf + f->frame_place + f->class_base[c] + ((size_t)i * PTX_LANES + lane) * lane_bytes[c],
                   lane_bytes[c]);
    for (uint32_t i = 0; i < f->class_count[PC_PRED]; i++)
        *to++ = PTX_P(w, f->frame_place + (int32_t)(f->class_base[PC_PRED] + i * 4)) >> lane & 1;
    r->saved = s;
    return true;
}

static void restore_registers(struct ptx_warp *w, const struct ptx_function *f, uint32_t lane,
                              struct ptx_return *r)
{
    struct ptx_saved *s = r->saved;
    const uint8_t *from = s->bytes;
    for (int c = PC_16; c < PC_COUNT; c++)
        for (uint32_t i = 0; i < f->class_count[c]; i++, from += lane_bytes[c])
            memcpy(w->rf + f->frame_place + f->class_base[c] + ((size_t)i * PTX_LANES + lane) * lane_bytes[c],
                   from, lane_bytes[c]);
    for (uint32_t i = 0; i < f->class_count[PC_PRED]; i++, from++) {
        ptx_u32 *p = &PTX_P(w, f->frame_place + (int32_t)(f->class_base[PC_PRED] + i * 4));
        *p = (*p & ~(1u << lane)) | (uint32_t)*from << lane;
    }
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    free(s);
    r->saved = NULL;
}

static const struct ptx_insn *builtin(struct ptx_warp *w, const struct ptx_insn *in,
                                      const struct ptx_call *call)
{
    uint64_t args[5][PTX_LANES];
    uint32_t result32[PTX_LANES];
    memset(args, 0, sizeof args);
    const ptx_u32 *frame = PTX_U32(w, PS_FRAME * PTX_PLACE_BYTES);
    for (uint32_t m = w->mask; m; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        for (uint32_t k = 0; k < call->arg_count && k < 5; k++)
            memcpy(&args[k][lane],
                   w->local + (size_t)lane * w->local_bytes + frame[lane] + call->args[k].offset,
                   call->args[k].size > 8 ? 8 : call->args[k].size);
    }
    uint64_t result64[PTX_LANES] = {0};
    switch (call->target->builtin) {
    case PTX_BUILTIN_VPRINTF:
        if (!ptx_vprintf(w, in, args[0], args[1], result32))
            return NULL;
        for (int i = 0; i < PTX_LANES; i++)
            result64[i] = result32[i];
        break;
    case PTX_BUILTIN_ASSERTFAIL:
        for (uint32_t m = w->mask; m; m &= m - 1) {
            uint32_t lane = (uint32_t)__builtin_ctz(m);
            ptx_print_assert(w, in, lane, args[0][lane], args[1][lane], (uint32_t)args[2][lane],
                             args[3][lane]);
        }
        return ptx_fault_lane(w, in, PTX_FAULT_ASSERT, 0, (uint32_t)__builtin_ctz(w->mask));
    case PTX_BUILTIN_MALLOC:
        for (uint32_t m = w->mask; m; m &= m - 1)
            result64[__builtin_ctz(m)] = ptx_heap_alloc(args[0][__builtin_ctz(m)]);
        break;
    case PTX_BUILTIN_FREE:
        for (uint32_t m = w->mask; m; m &= m - 1)
            if (!ptx_heap_free(args[0][__builtin_ctz(m)]))
                return ptx_fault_lane(w, in, PTX_FAULT_ADDRESS, args[0][__builtin_ctz(m)],
                                      (uint32_t)__builtin_ctz(m));
        break;
    default: return ptx_fault_lane(w, in, PTX_FAULT_INSTRUCTION, 0, (uint32_t)__builtin_ctz(w->mask));
    }
    for (uint32_t m = w->mask; m && call->result_count; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        memcpy(w->local + (size_t)lane * w->local_bytes + frame[lane] + call->results[0].offset,
               &result64[lane], call->results[0].size > 8 ? 8 : call->results[0].size);
    }
    return PTX_NEXT(in);
}

static bool fits(const struct ptx_call *call, const struct ptx_function *f)
{
    if (f->is_entry || !f->is_defined || call->arg_count != f->param_count ||
        call->result_count != f->result_count)
        return false;
    for (uint32_t i = 0; i < f->param_count; i++)
        if (call->args[i].size != f->params[i].size)
            return false;
    for (uint32_t i = 0; i < f->result_count; i++)
        if (call->results[i].size != f->results[i].size)
            return false;
    return true;
}

static const struct ptx_insn *enter(struct ptx_warp *w, const struct ptx_insn *in,
                                    const struct ptx_call *call, const struct ptx_function *f)
{
    const uint32_t first = (uint32_t)__builtin_ctz(w->mask);
    if (w->depth >= w->k->run->func->call_depth)
        return ptx_fault_lane(w, in, PTX_FAULT_STACK, 0, first);
    ptx_u32 *frame = PTX_U32(w, PS_FRAME * PTX_PLACE_BYTES);
    struct ptx_return *records = w->returns + (size_t)w->depth * PTX_LANES;
    for (uint32_t m = w->mask; m; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        uint32_t inner = (w->top[lane] + 15) & ~15u;
        if (inner + f->local_bytes > w->local_bytes || inner < w->top[lane])
            return ptx_fault_lane(w, in, PTX_FAULT_STACK, 0, lane);
        struct ptx_return *r = &records[lane];
        *r = (struct ptx_return){.call = in, .callee = f, .frame = frame[lane], .top = w->top[lane]};
        if (w->active[f->index] >> lane & 1 && !save_registers(w, f, lane, r))
            return ptx_fault_lane(w, in, PTX_FAULT_STACK, 0, lane);
        uint8_t *local = w->local + (size_t)lane * w->local_bytes;
        for (uint32_t k = 0; k < f->param_count; k++)
            memcpy(local + inner + f->params[k].offset, local + frame[lane] + call->args[k].offset,
                   f->params[k].size);
        frame[lane] = inner;
        w->top[lane] = inner + f->local_bytes;
    }
    w->active[f->index] |= w->mask;
    w->depth++;
    w->budget -= in->c;
    if (__builtin_expect((w->budget < 0) | (w->other_count != 0), 0))
        return ptx_continue(w, f->code);
    return f->code;
}

PTX_HANDLER(h_CALL)
{
    const struct ptx_call *call = (const struct ptx_call *)(uintptr_t)in->imm;
    return call->target->builtin ? builtin(w, in, call) : enter(w, in, call, call->target);
}

static const struct ptx_function *function_at(const struct ptx_warp *w, uint64_t address)
{
    const struct ptx_module *m = w->k->run->func->module;
    uint64_t index = (address & UINT32_MAX) / 16 - 1;
    return address >> PTX_WINDOW_SHIFT == PTX_WINDOW_FUNC && !(address & 15) && (address & UINT32_MAX) &&
                   index < m->func_count
               ? m->funcs[index]
               : NULL;
}

PTX_HANDLER(h_CALL_INDIRECT)
{
    const struct ptx_call *call = (const struct ptx_call *)(uintptr_t)in->imm;
    const ptx_u64 *address = PTX_U64(w, in->a);
    const uint32_t first = (uint32_t)__builtin_ctz(w->mask);
    uint32_t same = 0;
    for (uint32_t m = w->mask; m; m &= m - 1)
        if (address[__builtin_ctz(m)] == address[first])
            same |= m & (0 - m);
    const struct ptx_function *f = function_at(w, address[first]);
    if (!f || !fits(call, f) || !f->address_taken)
        return ptx_fault_lane(w, in, PTX_FAULT_INSTRUCTION, address[first], first);
    if (same != w->mask) { // the others call another function: they come to this instruction again
        ptx_group_add(w, in, w->mask & ~same, w->depth, PTX_GROUP_RUN, 0);
        w->mask = same;
    }
    return enter(w, in, call, f);
}

// The lanes of a group may have come from different calls.
PTX_HANDLER(h_RET)
{
    w->budget -= in->c;
    if (!w->depth)
        return ptx_exit_lanes(w);
    ptx_u32 *frame = PTX_U32(w, PS_FRAME * PTX_PLACE_BYTES);
    struct ptx_return *records = w->returns + (size_t)(w->depth - 1) * PTX_LANES;
    const struct ptx_insn *to = records[__builtin_ctz(w->mask)].call;
    uint32_t same = 0;
    for (uint32_t m = w->mask; m; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        struct ptx_return *r = &records[lane];
        const struct ptx_function *f = r->callee;
        const struct ptx_call *call = (const struct ptx_call *)(uintptr_t)r->call->imm;
        uint8_t *local = w->local + (size_t)lane * w->local_bytes;
        for (uint32_t k = 0; k < f->result_count; k++)
            memcpy(local + r->frame + call->results[k].offset, local + frame[lane] + f->results[k].offset,
                   f->results[k].size);
        frame[lane] = r->frame;
        w->top[lane] = r->top;
        if (r->saved)
            restore_registers(w, f, lane, r);
        else
            w->active[f->index] &= ~(1u << lane);
        if (r->call == to)
            same |= 1u << lane;
        else
            ptx_group_add(w, PTX_NEXT(r->call), 1u << lane, w->depth - 1, PTX_GROUP_RUN, 0);
    }
    w->mask = same;
    w->depth--;
    if (__builtin_expect((w->budget < 0) | (w->other_count != 0), 0))
        return ptx_continue(w, PTX_NEXT(to));
    return PTX_NEXT(to);
}

PTX_HANDLER(h_EXIT)
{
    w->budget -= in->c;
    return ptx_exit_lanes(w);
}
PTX_HANDLER(h_TRAP) { return ptx_fault_lane(w, in, PTX_FAULT_TRAP, 0, (uint32_t)__builtin_ctz(w->mask)); }
PTX_HANDLER(h_BRKPT)
{
    return ptx_fault_lane(w, in, PTX_FAULT_INSTRUCTION, 0, (uint32_t)__builtin_ctz(w->mask));
}

// --- registers that are read when asked ---

static uint64_t special(struct ptx_warp *w, unsigned id)
{
    uint64_t ns = ptx_now_ns();
    switch (id) {
    case PS_CLOCK:
    case PS_CLOCK64: return ns + ns / 2; // as if at 1.5 GHz
    case PS_CLOCK_HI: return (ns + ns / 2) >> 32;
    case PS_GLOBALTIMER_HI: return ns >> 32;
    case PS_GRIDID: return w->k->run->grid_id;
    default: return ns;
    }
}
PTX_HANDLER(h_SREG32)
{
    PTX_RESULT(ptx_u32);
    const uint32_t v = (uint32_t)special(w, in->sub);
    PTX_LANE_LOOP d[i] = v;
    PTX_RESULT_DONE;
}
PTX_HANDLER(h_SREG64)
{
    PTX_RESULT(ptx_u64);
    const uint64_t v = special(w, in->sub);
    PTX_LANE_LOOP d[i] = v;
    PTX_RESULT_DONE;
}
PTX_HANDLER(h_EXPLICIT_CLUSTER)
{
    const uint32_t *c = w->k->run->launch->cluster;
    ptx_set_pred(w, in->d, c[0] > 1 || c[1] > 1 || c[2] > 1 ? PTX_FULL : 0);
    return PTX_NEXT(in);
}

// --- local memory ---

PTX_UNARY(FRAME_ADDR32, ptx_u32, ptx_u32, x + (uint32_t)in->imm)
PTX_HANDLER(h_FRAME_ADDR64)
{
    PTX_RESULT(ptx_u64);
    const ptx_u32 *a = PTX_U32(w, in->a);
    PTX_LANE_LOOP d[i] = a[i] + (uint32_t)in->imm;
    PTX_RESULT_DONE;
}

// alloca: size in a, alignment in imm.
PTX_HANDLER(h_ALLOCA)
{
    for (uint32_t m = w->mask; m; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        uint64_t size = in->sub ? PTX_U64(w, in->a)[lane] : PTX_U32(w, in->a)[lane];
        uint64_t at = ((uint64_t)w->top[lane] + (uint64_t)in->imm - 1) & ~(uint64_t)(in->imm - 1);
        if (size > w->local_bytes || at + size > w->local_bytes)
            return ptx_fault_lane(w, in, PTX_FAULT_STACK, 0, lane);
        w->top[lane] = (uint32_t)(at + size);
        if (in->sub)
            PTX_U64(w, in->d)[lane] = at;
        else
            PTX_U32(w, in->d)[lane] = (uint32_t)at;
    }
    return PTX_NEXT(in);
}
PTX_HANDLER(h_STACKSAVE)
{
    for (uint32_t m = w->mask; m; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        if (in->sub)
            PTX_U64(w, in->d)[lane] = w->top[lane];
        else
            PTX_U32(w, in->d)[lane] = w->top[lane];
    }
    return PTX_NEXT(in);
}
PTX_HANDLER(h_STACKRESTORE)
{
    for (uint32_t m = w->mask; m; m &= m - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(m);
        uint64_t top = in->sub ? PTX_U64(w, in->a)[lane] : PTX_U32(w, in->a)[lane];
        if (top > w->top[lane])
            return ptx_fault_lane(w, in, PTX_FAULT_STACK, top, lane);
        w->top[lane] = (uint32_t)top;
    }
    return PTX_NEXT(in);
}

const ptx_fn ptx_table_flow[] = {PTX_OPS_FLOW(PTX_TABLE_ENTRY)};

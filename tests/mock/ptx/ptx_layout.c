// SPDX-License-Identifier: Apache-2.0
// The end of a parse: handlers and distances in the code, what each entry can reach, and where its shared and
// local memory lies.
#include "ptx_parse.h"
#include "ptx_warp.h"

#include <errno.h>
#include <stdlib.h>

// Entries times functions they reach: hostile modules could make this quadratic.
enum { REACH_TOTAL_MAX = 1 << 22 };

static bool check_call(struct ptx_parser *p, const struct ptx_function *f, const struct ptx_call *call,
                       uint32_t line)
{
    static const struct {
        uint32_t args, results;
    } builtins[] = {{0, 0}, {2, 1}, {5, 0}, {1, 1}, {1, 0}};
    const struct ptx_function *t = call->target;
    if (!t)
        return true;
    if (t->builtin) {
        if (t->param_count == builtins[t->builtin].args && t->result_count == builtins[t->builtin].results)
            return true;
        ptx_fail(p, -EINVAL, line, 1, "%.100s is declared with other parameters than the device's", t->name);
    } else if (!t->is_defined) {
        ptx_fail(p, -EINVAL, line, 1, "%.80s calls %.80s, which is not defined", f->name, t->name);
    } else {
        return true;
    }
    return false;
}

static bool finish_code(struct ptx_parser *p, struct ptx_function *f)
{
    p->unit = f->at.unit;
    for (uint32_t i = 0; i < f->code_count; i++) {
        struct ptx_insn *in = &f->code[i];
        in->body = ptx_handler((enum ptx_op)f->ops[i]);
        switch (f->ops[i]) {
        case OP_BRA:
        case OP_BRA_COND: in->imm = in->imm + 1 - (int64_t)i; break;
        case OP_BRX:
            in->imm = (int64_t)(intptr_t)&f->targets[in->imm];
            in->b = (int32_t)i;
            break;
        case OP_CALL:
        case OP_CALL_INDIRECT:
            if (!check_call(p, f, &f->calls[in->imm], f->lines[i]))
                return false;
            in->imm = (int64_t)(intptr_t)&f->calls[in->imm];
            break;
        }
        in->fn = in->guard == PTX_NO_PLACE ? in->body : ptx_guarded;
    }
    return true;
}

struct walk {
    struct ptx_vec order; // const struct ptx_function *
    bool indirect;
};

static void visit(struct ptx_parser *p, struct walk *walk, struct ptx_function *f, uint32_t mark)
{
    f->callers++;
    if (f->mark == mark)
        return;
    f->mark = mark;
    struct ptx_function **slot = ptx_vec_push(&walk->order);
    if (slot)
        *slot = f;
    else
        ptx_fail_here(p, "no memory for the module");
}

static void reach(struct ptx_parser *p, struct walk *walk, struct ptx_function *entry, uint32_t mark)
{
    visit(p, walk, entry, mark);
    for (uint32_t i = 0; i < walk->order.count && !p->failed; i++) {
        struct ptx_function *f = *PTX_VEC_AT(&walk->order, struct ptx_function *, i);
        for (uint32_t k = 0; k < f->call_count; k++)
            if (f->calls[k].target && f->calls[k].target->is_defined)
                visit(p, walk, (struct ptx_function *)f->calls[k].target, mark);
        if (f->calls_indirect && !walk->indirect) {
            walk->indirect = true;
            for (uint32_t k = 0; k < p->funcs.count; k++) {
                struct ptx_function *t = *PTX_VEC_AT(&p->funcs, struct ptx_function *, k);
                if (t->address_taken && t->is_defined)
                    visit(p, walk, t, mark);
            }
        }
    }
}

// Direct calls among the reached: taking away functions without callers empties the list unless they go in
// circles.
static bool goes_in_circles(struct walk *walk)
{
    struct ptx_function **list = walk->order.items;
    uint32_t done = 0, count = walk->order.count;
    struct ptx_function **ready = malloc((size_t)count * sizeof *ready);
    if (!ready)
        return true; // only costs memory at the launch
    uint32_t head = 0, tail = 0;
    list[0]->callers = 0;
    ready[tail++] = list[0];
    while (head < tail) {
        struct ptx_function *f = ready[head++];
        done++;
        for (uint32_t k = 0; k < f->call_count; k++) {
            struct ptx_function *t = (struct ptx_function *)f->calls[k].target;
            if (t && t->is_defined && !--t->callers)
                ready[tail++] = t;
        }
    }
    free(ready);
    return done != count;
}

static void place_shared(struct ptx_parser *p, struct ptx_function *entry, const struct walk *walk,
                         uint32_t mark)
{
    struct ptx_vec places = {.item_bytes = sizeof(struct ptx_shared_place)};
    uint64_t at = 0;
    uint32_t dynamic_align = 16;
    bool no_memory = false;
    for (uint32_t i = 0; i < walk->order.count; i++) {
        const struct ptx_function *f = *PTX_VEC_AT(&walk->order, struct ptx_function *, i);
        for (uint32_t k = 0; k < f->shared_count; k++) {
            struct ptx_var_sym *v = (struct ptx_var_sym *)f->shared[k];
            if (v->mark == mark)
                continue;
            v->mark = mark;
            struct ptx_shared_place *place = ptx_vec_push(&places);
            if (!place) {
                no_memory = true;
                break;
            }
            place->var = v;
            if (v->is_extern || !v->size) {
                place->offset = UINT32_MAX;
                dynamic_align = v->align > dynamic_align ? v->align : dynamic_align;
                continue;
            }
            at = (at + v->align - 1) / v->align * v->align;
            place->offset = (uint32_t)at;
            at += v->size;
            if (at > PTX_SHARED_BYTES_MAX) {
                ptx_fail(p, -E2BIG, 1, 1, "%.100s uses more than %d bytes of shared memory", entry->name,
                         PTX_SHARED_BYTES_MAX);
                ptx_vec_free(&places);
                return;
            }
        }
    }
    entry->shared_static_bytes = (uint32_t)at;
    entry->shared_dynamic_offset = ((uint32_t)at + dynamic_align - 1) / dynamic_align * dynamic_align;
    for (uint32_t i = 0; i < places.count; i++) {
        struct ptx_shared_place *place = PTX_VEC_AT(&places, struct ptx_shared_place, i);
        if (place->offset == UINT32_MAX)
            place->offset = entry->shared_dynamic_offset;
    }
    entry->shared_places = ptx_vec_keep(&places, p->m->arena, &no_memory);
    entry->shared_place_count = places.count;
    ptx_vec_free(&places);
    if (no_memory)
        ptx_fail_here(p, "no memory for the module");
}

static bool layout_entry(struct ptx_parser *p, struct ptx_function *entry, uint32_t mark, uint32_t *total)
{
    struct walk walk = {.order.item_bytes = sizeof(void *)};
    bool no_memory = false;
    p->unit = entry->at.unit;
    for (uint32_t i = 0; i < p->funcs.count; i++)
        (*PTX_VEC_AT(&p->funcs, struct ptx_function *, i))->callers = 0;
    reach(p, &walk, entry, mark);
    *total += walk.order.count + p->funcs.count / 64;
    if (*total > REACH_TOTAL_MAX)
        ptx_fail(p, -E2BIG, 1, 1, "the entries reach too many functions");
    if (!p->failed)
        place_shared(p, entry, &walk, mark);
    if (!p->failed) {
        bool open_ended = walk.indirect || goes_in_circles(&walk);
        uint64_t stack = open_ended ? PTX_STACK_BYTES_EXTRA : 0;
        uint32_t live = 0, below = 0;
        for (uint32_t i = 0; i < walk.order.count; i++) {
            const struct ptx_function *f = *PTX_VEC_AT(&walk.order, struct ptx_function *, i);
            stack += f->local_bytes + 16 + (f->uses_stack_alloc ? PTX_STACK_BYTES_EXTRA : 0);
            live += f->live_max;
            if (!f->is_entry && (uint32_t)-f->frame_place > below)
                below = (uint32_t)-f->frame_place;
        }
        entry->stack_bytes =
            stack > PTX_LOCAL_BYTES_MAX ? PTX_LOCAL_BYTES_MAX : (uint32_t)((stack + 63) & ~(uint64_t)63);
        if (walk.order.count == 1 && !entry->local_bytes && !entry->uses_stack_alloc)
            entry->stack_bytes = 0;
        entry->call_depth = open_ended ? PTX_CALL_DEPTH_MAX : walk.order.count - 1;
        entry->live_max = live;
        entry->below_bytes = (below + 255) & ~255u;
        entry->above_bytes = (uint32_t)(PTX_SPECIAL_BYTES + entry->frame_bytes + 255) & ~255u;
        entry->reach = ptx_vec_keep(&walk.order, p->m->arena, &no_memory);
        entry->reach_count = walk.order.count;
    }
    ptx_vec_free(&walk.order);
    if (no_memory)
        ptx_fail_here(p, "no memory for the module");
    return !p->failed;
}

bool ptx_layout_module(struct ptx_parser *p)
{
    for (uint32_t i = 0; i < p->funcs.count; i++)
        if (!finish_code(p, *PTX_VEC_AT(&p->funcs, struct ptx_function *, i)))
            return false;
    uint32_t total = 0;
    for (uint32_t i = 0; i < p->entries.count; i++)
        if (!layout_entry(p, *PTX_VEC_AT(&p->entries, struct ptx_function *, i), i + 1, &total))
            return false;
    return true;
}

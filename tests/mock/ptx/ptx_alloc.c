// SPDX-License-Identifier: Apache-2.0
// Gives the virtual registers of a function places in the register file: liveness, then a scan over the live
// intervals.
//
// Compilers write PTX in nearly static single assignment, so a function names many more registers than are
// ever live together, and a register file of all of them would not stay in the host's caches. Two rules keep
// this simple and right for lanes that run apart: a lane owns its column of every place, so its own control
// flow alone decides what is live; and two registers of different width never share a place.
#include "ptx_lower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Blocks times spread registers are the bits of one liveness set; real functions settle in some ten passes.
// Above either limit the spread registers are taken to live everywhere, which costs places and nothing else.
#define LIVENESS_BITS_MAX ((uint64_t)1 << 28)
enum { PASSES_MAX = 100 };

struct block {
    uint32_t start, end; // instructions [start, end)
    uint32_t ref_start, ref_end;
    uint32_t next[2]; // successors; UINT32_MAX without
    uint32_t targets; // of brx.idx; UINT32_MAX without
};

struct live {
    struct ptx_build *b;
    struct block *blocks;
    uint32_t block_count;
    uint32_t *block_of; // of each instruction
    uint32_t *spread;   // registers in more than one block
    uint32_t spread_count, words;
    uint64_t *in, *use, *def;
    uint64_t *scratch;
};

static bool is_reg(uint32_t id) { return !(id & (PTX_ID_CONST | PTX_ID_SPECIAL)); }

static bool make_blocks(struct live *l)
{
    struct ptx_build *b = l->b;
    uint32_t n = b->code.count;
    l->block_of = malloc((size_t)n * sizeof *l->block_of);
    l->blocks = malloc((size_t)n * sizeof *l->blocks);
    if (!l->block_of || !l->blocks)
        return false;
    bool start = true;
    for (uint32_t i = 0; i < n; i++) {
        uint16_t op = *PTX_VEC_AT(&b->ops, uint16_t, i);
        if (start || op == OP_LEADER)
            l->blocks[l->block_count++] =
                (struct block){.start = i, .next = {UINT32_MAX, UINT32_MAX}, .targets = UINT32_MAX};
        l->block_of[i] = l->block_count - 1;
        l->blocks[l->block_count - 1].end = i + 1;
        start = ptx_op_ends_block(op);
    }
    uint32_t ref = 0;
    for (uint32_t k = 0; k < l->block_count; k++) {
        struct block *x = &l->blocks[k];
        x->ref_start = ref;
        while (ref < b->refs.count && PTX_VEC_AT(&b->refs, struct ptx_ref, ref)->insn < x->end)
            ref++;
        x->ref_end = ref;
        uint16_t op = *PTX_VEC_AT(&b->ops, uint16_t, x->end - 1);
        const struct ptx_insn *in = PTX_VEC_AT(&b->code, struct ptx_insn, x->end - 1);
        if (ptx_op_falls_through(op) && k + 1 < l->block_count)
            x->next[0] = k + 1;
        if (op == OP_BRX)
            x->targets = (uint32_t)in->imm;
        if (op == OP_BRA || op == OP_BRA_COND)
            x->next[1] = l->block_of[in->imm];
    }
    return true;
}

static bool find_spread(struct live *l)
{
    struct ptx_build *b = l->b;
    for (uint32_t k = 0; k < l->block_count; k++)
        for (uint32_t r = l->blocks[k].ref_start; r < l->blocks[k].ref_end; r++) {
            const struct ptx_ref *ref = PTX_VEC_AT(&b->refs, struct ptx_ref, r);
            if (!is_reg(ref->id))
                continue;
            struct ptx_vreg *v = PTX_VEC_AT(&b->vregs, struct ptx_vreg, ref->id);
            bool guarded = PTX_VEC_AT(&b->code, struct ptx_insn, ref->insn)->guard != -1;
            if (v->block == UINT32_MAX) {
                v->block = k;
                v->first = v->last = ref->insn;
                v->spread = !ref->is_def ||
                            guarded; // read before it is surely written: the value may come round a loop
            } else {
                v->spread |= v->block != k;
                v->last = ref->insn;
            }
        }
    l->spread = malloc((size_t)(b->vregs.count + 1) * sizeof *l->spread);
    if (!l->spread)
        return false;
    for (uint32_t i = 0; i < b->vregs.count; i++) {
        struct ptx_vreg *v = PTX_VEC_AT(&b->vregs, struct ptx_vreg, i);
        if (v->spread) {
            v->number = l->spread_count;
            l->spread[l->spread_count++] = i;
        }
    }
    return true;
}

static void block_sets(struct live *l, uint32_t k)
{
    struct ptx_build *b = l->b;
    uint64_t *use = l->use + (size_t)k * l->words, *def = l->def + (size_t)k * l->words;
    for (uint32_t r = l->blocks[k].ref_start; r < l->blocks[k].ref_end;) {
        uint32_t insn = PTX_VEC_AT(&b->refs, struct ptx_ref, r)->insn, end = r;
        bool guarded = PTX_VEC_AT(&b->code, struct ptx_insn, insn)->guard != -1;
        for (; end < l->blocks[k].ref_end && PTX_VEC_AT(&b->refs, struct ptx_ref, end)->insn == insn; end++)
            ;
        for (int pass = 0; pass < 2; pass++) // reads first, then writes
            for (uint32_t i = r; i < end; i++) {
                const struct ptx_ref *ref = PTX_VEC_AT(&b->refs, struct ptx_ref, i);
                const struct ptx_vreg *v =
                    is_reg(ref->id) ? PTX_VEC_AT(&b->vregs, struct ptx_vreg, ref->id) : NULL;
                if (!v || !v->spread || ref->is_def != (pass == 1))
                    continue;
                uint64_t bit = (uint64_t)1 << (v->number & 63);
                uint32_t word = v->number >> 6;
                if (pass == 0 && !(def[word] & bit))
                    use[word] |= bit;
                if (pass == 1 && !guarded)
                    def[word] |= bit;
                if (pass == 1 && guarded && !(def[word] & bit))
                    use[word] |= bit; // the old value may survive
            }
        r = end;
    }
}

static void add_successor(struct live *l, uint32_t next, uint64_t *out)
{
    const uint64_t *in = l->in + (size_t)next * l->words;
    for (uint32_t w = 0; w < l->words; w++)
        out[w] |= in[w];
}

static void live_out(struct live *l, uint32_t k, uint64_t *out)
{
    const struct block *x = &l->blocks[k];
    memset(out, 0, l->words * sizeof *out);
    for (int i = 0; i < 2; i++)
        if (x->next[i] != UINT32_MAX)
            add_successor(l, x->next[i], out);
    if (x->targets != UINT32_MAX) {
        const struct ptx_targets *t = PTX_VEC_AT(&l->b->targets, struct ptx_targets, x->targets);
        for (uint32_t i = 0; i < t->count; i++)
            add_successor(l, l->block_of[t->insn[i]], out);
    }
}

// An interval grows to cover every block where the register is live at the start or the end.
static void cover(struct live *l, const uint64_t *set, uint32_t at)
{
    for (uint32_t w = 0; w < l->words; w++)
        for (uint64_t bits = set[w]; bits; bits &= bits - 1) {
            struct ptx_vreg *v = PTX_VEC_AT(&l->b->vregs, struct ptx_vreg,
                                            l->spread[w * 64 + (uint32_t)__builtin_ctzll(bits)]);
            if (at < v->first)
                v->first = at;
            if (at > v->last)
                v->last = at;
        }
}

static void live_everywhere(struct live *l)
{
    for (uint32_t i = 0; i < l->spread_count; i++) {
        struct ptx_vreg *v = PTX_VEC_AT(&l->b->vregs, struct ptx_vreg, l->spread[i]);
        v->first = 0;
        v->last = l->b->code.count;
    }
}

// One pass against the flow of control; true when something changed.
static bool pass(struct live *l)
{
    bool changed = false;
    for (uint32_t k = l->block_count; k-- > 0;) {
        live_out(l, k, l->scratch);
        uint64_t *in = l->in + (size_t)k * l->words;
        const uint64_t *use = l->use + (size_t)k * l->words, *def = l->def + (size_t)k * l->words;
        for (uint32_t w = 0; w < l->words; w++) {
            uint64_t now = use[w] | (l->scratch[w] & ~def[w]);
            changed |= now != in[w];
            in[w] = now;
        }
    }
    return changed;
}

static bool solve(struct live *l)
{
    l->words = (l->spread_count + 63) / 64;
    if ((uint64_t)l->words * 64 * l->block_count > LIVENESS_BITS_MAX) {
        live_everywhere(l);
        return true;
    }
    size_t words = (size_t)l->words * l->block_count + 1;
    l->in = calloc(words, 8);
    l->use = calloc(words, 8);
    l->def = calloc(words, 8);
    l->scratch = calloc(l->words + 1, 8);
    if (!l->in || !l->use || !l->def || !l->scratch)
        return false;
    for (uint32_t k = 0; k < l->block_count; k++)
        block_sets(l, k);
    for (int passes = 0; pass(l);)
        if (++passes == PASSES_MAX) {
            live_everywhere(l);
            return true;
        }
    for (uint32_t k = 0; k < l->block_count; k++) {
        live_out(l, k, l->scratch);
        cover(l, l->in + (size_t)k * l->words, l->blocks[k].start);
        cover(l, l->scratch, l->blocks[k].end - 1);
    }
    return true;
}

// --- the scan ---

static const uint32_t place_bytes[PC_COUNT] = {4, 2 * PTX_LANES, 4 * PTX_LANES, 8 * PTX_LANES};

struct active {
    uint32_t last;
    uint32_t slot;
};
struct pool {             // of one class
    struct ptx_vec heap;  // struct active, the soonest to end on top
    struct ptx_vec spare; // uint32_t: slots that are free again
    uint32_t slots;
};

static bool heap_push(struct ptx_vec *heap, struct active item)
{
    if (!ptx_vec_push(heap))
        return false;
    struct active *h = heap->items;
    uint32_t i = heap->count - 1;
    for (; i && h[(i - 1) / 2].last > item.last; i = (i - 1) / 2)
        h[i] = h[(i - 1) / 2];
    h[i] = item;
    return true;
}

static void heap_pop(struct ptx_vec *heap)
{
    struct active *h = heap->items, item = h[--heap->count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && h[child + 1].last < h[child].last)
            child++;
        if (h[child].last >= item.last)
            break;
        h[i] = h[child];
        i = child;
    }
    if (heap->count)
        h[i] = item;
}

static int by_first(const void *a, const void *b)
{
    const struct ptx_vreg *x = *(struct ptx_vreg *const *)a, *y = *(struct ptx_vreg *const *)b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static bool place_one(struct pool *pool, struct ptx_vreg *v)
{
    while (pool->heap.count && PTX_VEC_AT(&pool->heap, struct active, 0)->last < v->first) {
        uint32_t *slot = ptx_vec_push(&pool->spare);
        if (!slot)
            return false;
        *slot = PTX_VEC_AT(&pool->heap, struct active, 0)->slot;
        heap_pop(&pool->heap);
    }
    uint32_t slot =
        pool->spare.count ? *PTX_VEC_AT(&pool->spare, uint32_t, --pool->spare.count) : pool->slots++;
    v->place = (int32_t)slot;
    return heap_push(&pool->heap, (struct active){v->last, slot});
}

static bool scan(struct live *l, struct pool pools[PC_COUNT])
{
    struct ptx_build *b = l->b;
    struct ptx_vreg **order = malloc((size_t)(b->vregs.count + 1) * sizeof *order);
    uint32_t n = 0;
    bool ok = order;
    for (uint32_t i = 0; ok && i < b->vregs.count; i++) {
        struct ptx_vreg *v = PTX_VEC_AT(&b->vregs, struct ptx_vreg, i);
        if (v->block != UINT32_MAX)
            order[n++] = v;
    }
    if (ok && n)
        qsort(order, n, sizeof *order, by_first);
    for (uint32_t i = 0; ok && i < n; i++)
        ok = place_one(&pools[order[i]->cls], order[i]);
    free(order);
    return ok;
}

// Frame: 64-bit, 32-bit, 16-bit registers, constants of each width, predicates. Every place is aligned to its
// own size.
static bool lay_out(struct ptx_parser *p, struct pool pools[PC_COUNT])
{
    struct ptx_build *b = &p->b;
    static const int order[] = {PC_64, PC_32, PC_16, PC_PRED};
    uint64_t counts[PC_COUNT], base[PC_COUNT], at = 0;
    for (int c = 0; c < PC_COUNT; c++)
        counts[c] = pools[c].slots;
    for (uint32_t i = 0; i < b->consts.count; i++) {
        struct ptx_const *k = PTX_VEC_AT(&b->consts, struct ptx_const, i);
        k->place = (int32_t)counts[k->cls]++;
    }
    for (int i = 0; i < PC_COUNT; i++) {
        base[order[i]] = at;
        b->f->class_base[order[i]] = (uint32_t)at;
        b->f->class_count[order[i]] = pools[order[i]].slots;
        at += counts[order[i]] * place_bytes[order[i]];
        at = (at + 255) & ~(uint64_t)255;
    }
    if (at > PTX_FRAME_BYTES_MAX) {
        ptx_fail(p, -E2BIG, p->lex.now.line, p->lex.now.column,
                 "%.100s needs %llu bytes of registers a warp, above %d", b->f->name, (unsigned long long)at,
                 PTX_FRAME_BYTES_MAX);
        return false;
    }
    // Frames of functions lie below the special registers, one under the other, those of entries above: so
    // every place is known now.
    struct ptx_module *m = p->m;
    if (b->f->is_entry) {
        b->f->frame_place = PTX_SPECIAL_BYTES;
    } else if ((m->func_frames_bytes += (uint32_t)at) <= PTX_FRAME_BYTES_MAX * 4) {
        b->f->frame_place = -(int32_t)m->func_frames_bytes;
    } else {
        ptx_fail(p, -E2BIG, p->lex.now.line, p->lex.now.column,
                 "the functions of the module need more than %d bytes of registers a warp",
                 PTX_FRAME_BYTES_MAX * 4);
        return false;
    }
    const int32_t frame = b->f->frame_place;
    for (uint32_t i = 0; i < b->vregs.count; i++) {
        struct ptx_vreg *v = PTX_VEC_AT(&b->vregs, struct ptx_vreg, i);
        if (v->block != UINT32_MAX)
            v->place = frame + (int32_t)(base[v->cls] + (uint64_t)(uint32_t)v->place * place_bytes[v->cls]);
    }
    for (uint32_t i = 0; i < b->consts.count; i++) {
        struct ptx_const *k = PTX_VEC_AT(&b->consts, struct ptx_const, i);
        k->place = frame + (int32_t)(base[k->cls] + (uint64_t)(uint32_t)k->place * place_bytes[k->cls]);
    }
    b->f->frame_bytes = (uint32_t)at;
    b->f->live_max = pools[PC_64].slots * 2 + pools[PC_32].slots + (pools[PC_16].slots + 1) / 2;
    return true;
}

bool ptx_alloc_places(struct ptx_parser *p)
{
    struct live l = {.b = &p->b};
    struct pool pools[PC_COUNT];
    for (int c = 0; c < PC_COUNT; c++)
        pools[c] =
            (struct pool){.heap.item_bytes = sizeof(struct active), .spare.item_bytes = sizeof(uint32_t)};
    bool ok = make_blocks(&l) && find_spread(&l) && solve(&l) && scan(&l, pools);
    if (!ok)
        ptx_fail(p, -ENOMEM, p->lex.now.line, p->lex.now.column, "no memory for the module");
    else
        ok = lay_out(p, pools);
    free(l.block_of);
    free(l.blocks);
    free(l.spread);
    free(l.in);
    free(l.use);
    free(l.def);
    free(l.scratch);
    for (int c = 0; c < PC_COUNT; c++) {
        ptx_vec_free(&pools[c].heap);
        ptx_vec_free(&pools[c].spare);
    }
    return ok;
}

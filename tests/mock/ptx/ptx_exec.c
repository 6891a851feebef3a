// SPDX-License-Identifier: Apache-2.0
// One launch: its workers, the blocks that are resident on each, and the time slices of their warps.
//
// Blocks go to the workers in order. A worker runs one block to its end before it takes the next, so that a
// block's registers stay in the caches; but a block that takes very long may be waiting for one that has not
// started, so then the worker takes another in beside it. A cooperative launch has all its blocks resident
// from the start.
#include "ptx_ops.h"
#include "ptx_run.h"

#include <errno.h>
#include <fenv.h>
#include <stdlib.h>
#include <time.h>

enum {
    SLICE = 16384,           // warp instructions between looks at the stop flag
    SLICE_SHARED = 2048,     // when several blocks share a worker: waiting for another costs whole slices
    PATIENCE = 4096,         // slices of a block before another becomes resident beside it
    RESIDENT_MAX = 64,       // of such blocks on one worker; a device holds about as many an SM
    HELPERS_AFTER_NS = 40000 // a launch shorter than the start of a thread stays on one
};

struct resident { // what one worker runs
    struct ptx_worker k;
    struct ptx_block **blocks;
    uint32_t block_count, block_capacity;
    uint64_t stride, first, next; // cooperative: its share of the grid
    pthread_t thread;
    bool started;
};

uint32_t ptx_fence_word;
static _Atomic uint64_t executed_total, grid_ids;
uint64_t ptx_executed(void) { return atomic_load(&executed_total); }

uint64_t ptx_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const struct ptx_insn *ptx_guarded(struct ptx_warp *w, const struct ptx_insn *in)
{
    const uint32_t all = w->mask, p = PTX_P(w, in->guard);
    const uint32_t now = all & (in->guard_not ? ~p : p);
    if (!now)
        return PTX_NEXT(in);
    w->mask = now;
    const struct ptx_insn *next = in->body(w, in);
    w->mask = all;
    return next;
}

const struct ptx_insn *ptx_fault_lane(struct ptx_warp *w, const struct ptx_insn *in, enum ptx_fault_kind kind,
                                      uint64_t address, uint32_t lane)
{
    w->event = PTX_EV_FAULT;
    w->fault_kind = kind;
    w->fault_address = address;
    w->fault_lane = lane;
    w->fault_at = in;
    return NULL;
}

void ptx_thread_of(const struct ptx_warp *w, uint32_t lane, uint32_t thread[3])
{
    for (int i = 0; i < 3; i++)
        thread[i] = PTX_U32(w, (PS_TID_X + i) * PTX_PLACE_BYTES)[lane];
}

static void note_place(const struct ptx_function *entry, const struct ptx_insn *in, struct ptx_fault *fault)
{
    for (uint32_t i = 0; i < entry->reach_count; i++) {
        const struct ptx_function *f = entry->reach[i];
        if (in >= f->code && in < f->code + f->code_count) {
            fault->unit = f->at.unit;
            fault->line = f->lines[in - f->code];
            return;
        }
    }
}

static void note_fault(struct ptx_run *r, const struct ptx_warp *w)
{
    pthread_mutex_lock(&r->lock);
    if (!r->faulted) {
        r->faulted = true;
        r->fault =
            (struct ptx_fault){.kind = (enum ptx_fault_kind)w->fault_kind, .address = w->fault_address};
        note_place(r->func, w->fault_at, &r->fault);
        memcpy(r->fault.block, w->block->ctaid, sizeof r->fault.block);
        ptx_thread_of(w, w->fault_lane, r->fault.thread);
    }
    pthread_mutex_unlock(&r->lock);
    atomic_store(&r->stop, true);
}

// --- what warps begin with ---

static void broadcast(struct ptx_warp *w, const struct ptx_const *c, uint64_t value)
{
    for (int i = 0; i < PTX_LANES; i++)
        switch (c->cls) {
        case PC_16: PTX_U16(w, c->place)[i] = (uint16_t)value; break;
        case PC_32: PTX_U32(w, c->place)[i] = (uint32_t)value; break;
        case PC_64: PTX_U64(w, c->place)[i] = value; break;
        default: PTX_P(w, c->place) = (uint32_t)value; break;
        }
}

static uint64_t const_value(const struct ptx_function *entry, const struct ptx_const *c)
{
    switch (c->kind) {
    case PTX_CONST_VAR: return c->of.var->address + c->value;
    case PTX_CONST_FUNC:
        return (uint64_t)PTX_WINDOW_FUNC << PTX_WINDOW_SHIFT | ((uint64_t)c->of.func->index + 1) * 16;
    case PTX_CONST_SHARED:
        for (uint32_t i = 0; i < entry->shared_place_count; i++)
            if (entry->shared_places[i].var == c->of.var)
                return entry->shared_places[i].offset + c->value;
        return c->value;
    default: return c->value;
    }
}

static void fill_constants(struct ptx_block *b, const struct ptx_function *entry)
{
    for (uint32_t i = 0; i < entry->reach_count; i++) {
        const struct ptx_function *f = entry->reach[i];
        for (uint32_t k = 0; k < f->const_count; k++) {
            uint64_t value = const_value(entry, &f->consts[k]);
            for (uint32_t n = 0; n < b->warp_count; n++)
                broadcast(&b->warps[n], &f->consts[k], value);
        }
    }
}

static void special(struct ptx_warp *w, int id, uint32_t value)
{
    ptx_u32 *d = PTX_U32(w, id * PTX_PLACE_BYTES);
    for (int i = 0; i < PTX_LANES; i++)
        d[i] = value;
}

static void fill_specials(struct ptx_warp *w, const struct ptx_run *r)
{
    const struct ptx_launch *l = r->launch;
    for (uint32_t i = 0; i < PTX_LANES; i++) {
        uint32_t t = w->index * PTX_LANES + i;
        PTX_U32(w, PS_TID_X * PTX_PLACE_BYTES)[i] = t % l->block[0];
        PTX_U32(w, PS_TID_Y * PTX_PLACE_BYTES)[i] = t / l->block[0] % l->block[1];
        PTX_U32(w, PS_TID_Z * PTX_PLACE_BYTES)[i] = t / l->block[0] / l->block[1];
        PTX_U32(w, PS_LANEID * PTX_PLACE_BYTES)[i] = i;
        PTX_U32(w, PS_LM_EQ * PTX_PLACE_BYTES)[i] = 1u << i;
        PTX_U32(w, PS_LM_LT * PTX_PLACE_BYTES)[i] = (1u << i) - 1;
        PTX_U32(w, PS_LM_LE * PTX_PLACE_BYTES)[i] = (2u << i) - 1;
        PTX_U32(w, PS_LM_GT * PTX_PLACE_BYTES)[i] = ~((2u << i) - 1);
        PTX_U32(w, PS_LM_GE * PTX_PLACE_BYTES)[i] = ~((1u << i) - 1);
    }
    special(w, PS_WARPID, w->index);
    uint32_t ranks = 1;
    for (int i = 0; i < 3; i++) {
        uint32_t c = l->cluster[i] ? l->cluster[i] : 1;
        special(w, PS_NTID_X + i, l->block[i]);
        special(w, PS_NCTAID_X + i, l->grid[i]);
        special(w, PS_NCLUSTERID_X + i, (l->grid[i] + c - 1) / c);
        special(w, PS_CLUSTER_NCTAID_X + i, c);
        ranks *= c;
    }
    special(w, PS_CLUSTER_NCTARANK, ranks);
    special(w, PS_NWARPID, 64);
    special(w, PS_NSMID, l->sm_count);
    special(w, PS_DYNAMIC_SMEM, l->dynamic_shared_bytes);
    special(w, PS_TOTAL_SMEM, r->shared_bytes);
    uint64_t workspace = l->cooperative ? (uint64_t)(uintptr_t)r->workspace : 0;
    special(w, PS_ENVREG1, (uint32_t)(workspace >> 32));
    special(w, PS_ENVREG2, (uint32_t)workspace);
    special(w, PS_ZERO, 0);
}

static size_t round_up(size_t v) { return (v + 255) & ~(size_t)255; }

// One allocation a resident block: warps, register files, shared memory; local memory and return records,
// whose pages come when used.
static struct ptx_block *block_new(struct ptx_worker *k)
{
    const struct ptx_run *r = k->run;
    const struct ptx_function *f = r->func;
    const uint32_t n = r->warp_count;
    size_t registers = round_up((size_t)f->below_bytes + f->above_bytes),
           warps = round_up((size_t)n * sizeof(struct ptx_warp));
    size_t local = round_up((size_t)f->stack_bytes * PTX_LANES),
           returns = round_up((size_t)f->call_depth * PTX_LANES * sizeof(struct ptx_return));
    size_t active = f->call_depth ? round_up((size_t)f->module->func_count * 4) : 0,
           shared = round_up(r->shared_bytes);
    size_t total = round_up(sizeof(struct ptx_block)) + warps + shared +
                   n * (registers + local + returns + active) + 256;
    struct ptx_block *b = aligned_alloc(256, round_up(total));
    if (!b)
        return NULL;
    memset(b, 0, round_up(sizeof *b) + warps);
    uint8_t *at = (uint8_t *)b + round_up(sizeof *b);
    b->k = k;
    b->warps = (struct ptx_warp *)at;
    at += warps;
    b->shared = at;
    b->shared_bytes = r->shared_bytes;
    memset(b->shared, 0, shared);
    at += shared;
    b->warp_count = n;
    b->thread_count = r->launch->block[0] * r->launch->block[1] * r->launch->block[2];
    for (uint32_t i = 0; i < n; i++) {
        struct ptx_warp *w = &b->warps[i];
        w->rf = at + f->below_bytes;
        memset(at, 0,
               registers); // a register that is read before it is written gives zero, so that runs repeat
        at += registers;
        w->local = at;
        w->local_bytes = f->stack_bytes;
        at += local;
        w->returns = (struct ptx_return *)at;
        at += returns;
        w->active = (uint32_t *)at;
        memset(at, 0, active);
        at += active;
        w->block = b;
        w->k = k;
        w->shared = b->shared;
        w->shared_bytes = b->shared_bytes;
        w->index = i;
        fill_specials(w, r);
    }
    fill_constants(b, f);
    return b;
}

static void drop_saved(struct ptx_warp *w)
{
    for (struct ptx_saved *s = w->saved, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    w->saved = NULL;
}

static void block_free(struct ptx_block *b)
{
    for (uint32_t i = 0; i < b->warp_count; i++)
        drop_saved(&b->warps[i]);
    free(b);
}

static void block_start(struct ptx_block *b, uint64_t number)
{
    const struct ptx_run *r = b->k->run;
    const struct ptx_launch *l = r->launch;
    b->ctaid[0] = (uint32_t)(number % l->grid[0]);
    b->ctaid[1] = (uint32_t)(number / l->grid[0] % l->grid[1]);
    b->ctaid[2] = (uint32_t)(number / l->grid[0] / l->grid[1]);
    b->live_count = b->thread_count;
    b->active = true;
    b->slices = 0;
    memset(b->barriers, 0, sizeof b->barriers);
    for (uint32_t i = 0; i < b->warp_count; i++) {
        struct ptx_warp *w = &b->warps[i];
        uint32_t rank = 0, scale = 1;
        for (int k = 0; k < 3; k++) {
            uint32_t c = l->cluster[k] ? l->cluster[k] : 1;
            special(w, PS_CTAID_X + k, b->ctaid[k]);
            special(w, PS_CLUSTERID_X + k, b->ctaid[k] / c);
            special(w, PS_CLUSTER_CTAID_X + k, b->ctaid[k] % c);
            rank += b->ctaid[k] % c * scale;
            scale *= c;
        }
        special(w, PS_CLUSTER_CTARANK, rank);
        special(w, PS_SMID, l->sm_count ? (uint32_t)(number % l->sm_count) : 0);
        special(w, PS_FRAME, 0);
        uint32_t left = b->thread_count - i * PTX_LANES;
        w->live = left >= PTX_LANES ? PTX_FULL : (1u << left) - 1;
        w->mask = w->depth = w->other_count = w->carry = 0;
        w->event = PTX_EV_NONE;
        w->force = w->rotate = w->sticky = false;
        drop_saved(w);
        if (r->func->call_depth)
            for (uint32_t k = 0; k < r->func->reach_count; k++)
                w->active[r->func->reach[k]->index] = 0;
        for (int lane = 0; lane < PTX_LANES; lane++)
            w->top[lane] = r->func->local_bytes;
        ptx_group_add(w, r->func->code, w->live, 0, PTX_GROUP_RUN, 0);
    }
}

// --- running ---

static void warp_run(struct ptx_warp *w, int32_t slice)
{
    w->budget = slice;
    w->event = PTX_EV_NONE;
    const struct ptx_insn *in = ptx_pick(w);
    while (in)
        in = in->fn(w, in);
    w->k->executed += (uint64_t)(slice - w->budget);
}

enum progress { RAN, STUCK, ENDED, STOPPED };

static bool stopped(struct ptx_run *r)
{
    if (r->launch->stop && __atomic_load_n(r->launch->stop, __ATOMIC_RELAXED) && !atomic_load(&r->stop)) {
        pthread_mutex_lock(&r->lock);
        if (!r->faulted) {
            r->faulted = true;
            r->fault = (struct ptx_fault){.kind = PTX_FAULT_STOPPED};
        }
        pthread_mutex_unlock(&r->lock);
        atomic_store(&r->stop, true);
    }
    return atomic_load_explicit(&r->stop, memory_order_relaxed);
}

// Every warp of a block once, a slice each.
static enum progress block_pass(struct ptx_block *b, int32_t slice)
{
    bool ran = false, left = false;
    for (uint32_t i = 0; i < b->warp_count; i++) {
        struct ptx_warp *w = &b->warps[i];
        if (!w->live)
            continue;
        warp_run(w, slice);
        if (w->event == PTX_EV_FAULT) {
            note_fault(b->k->run, w);
            return STOPPED;
        }
        ran |= w->event != PTX_EV_BLOCKED || w->budget != slice;
        left |= w->live != 0;
        if (w->event == PTX_EV_YIELD) {
            b->slices++;
            if (stopped(b->k->run))
                return STOPPED;
        }
    }
    if (!left && !b->live_count)
        return ENDED;
    if (ran)
        return RAN;
    for (uint32_t i = 0; i < b->warp_count;
         i++) // nobody can go on: lanes waiting for lanes of their warp give up waiting
        for (uint32_t k = 0; k < b->warps[i].other_count; k++)
            if (b->warps[i].others[k].state == PTX_GROUP_SYNC) {
                b->warps[i].force = true;
                ran = true;
            }
    return ran ? RAN : STUCK;
}

static bool next_block(struct resident *s, uint64_t *number)
{
    struct ptx_run *r = s->k.run;
    if (s->stride) { // cooperative
        *number = s->next;
        s->next += s->stride;
        return *number < r->block_total;
    }
    *number = atomic_fetch_add(&r->next_block, 1);
    return *number < r->block_total;
}

static struct ptx_block *add_resident(struct resident *s)
{
    if (s->block_count == s->block_capacity) {
        uint32_t capacity = s->block_capacity ? s->block_capacity * 2 : 4;
        struct ptx_block **blocks = realloc(s->blocks, capacity * sizeof *blocks);
        if (!blocks)
            return NULL;
        s->blocks = blocks;
        s->block_capacity = capacity;
    }
    struct ptx_block *b = block_new(&s->k);
    if (b)
        s->blocks[s->block_count++] = b;
    return b;
}

static void out_of_memory(struct ptx_run *r)
{
    pthread_mutex_lock(&r->lock);
    r->error = -ENOMEM;
    pthread_mutex_unlock(&r->lock);
    atomic_store(&r->stop, true);
}

// Another block beside those that run: all of a cooperative launch, else when one takes too long.
static bool take_in(struct resident *s)
{
    uint64_t number;
    if (!next_block(s, &number))
        return false;
    struct ptx_block *b = add_resident(s);
    if (!b) {
        out_of_memory(s->k.run);
        return false;
    }
    block_start(b, number);
    return true;
}

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL); }

static void worker_loop(struct resident *s, void (*between)(struct resident *))
{
    struct ptx_run *r = s->k.run;
    bool more = true;
    uint64_t limit = PATIENCE;
    if (s->stride)
        while (take_in(s))
            ;
    else
        more = take_in(s);
    while (!stopped(r)) {
        bool any = false, ran = false;
        const int32_t slice = s->block_count > 1 ? SLICE_SHARED : SLICE;
        uint64_t slices = 0;
        for (uint32_t i = 0; i < s->block_count && !stopped(r); i++) {
            struct ptx_block *b = s->blocks[i];
            if (!b->active)
                continue;
            any = true;
            enum progress p = block_pass(b, slice);
            if (p == ENDED) {
                uint64_t number;
                b->active = !s->stride && more && (more = next_block(s, &number));
                if (b->active)
                    block_start(b, number);
            }
            ran |= p == RAN || p == ENDED;
            slices = b->slices > slices ? b->slices : slices;
        }
        if (!any)
            break;
        if (!s->stride && more && (!ran || slices > limit) && s->block_count < RESIDENT_MAX) {
            limit += PATIENCE;
            more = take_in(s);
            ran |= more;
        }
        if (!ran)
            nap(); // every thread waits for one that is not there: only the stop flag ends that
        if (between)
            between(s);
    }
    atomic_fetch_add(&r->executed, s->k.executed);
}

static void worker_end(struct resident *s)
{
    for (uint32_t i = 0; i < s->block_count; i++)
        block_free(s->blocks[i]);
    free(s->blocks);
}

static void *worker_main(void *arg)
{
    struct resident *s = arg;
    fesetenv(FE_DFL_ENV);
    worker_loop(s, NULL);
    return NULL;
}

// The first worker is the caller; it starts the others once the launch has shown that it is long enough.
struct team {
    struct resident first; // so that a pointer to it is one to the team
    struct resident *others;
    unsigned count; // of others
    bool called;
};

static void call_helpers(struct resident *s)
{
    struct team *team = (struct team *)s;
    struct ptx_run *r = s->k.run;
    if (team->called || (!s->stride && ptx_now_ns() - r->start_ns < HELPERS_AFTER_NS))
        return;
    team->called = true;
    for (unsigned i = 0; i < team->count; i++) {
        if (!s->stride && atomic_load(&r->next_block) >= r->block_total)
            break;
        team->others[i].started =
            !pthread_create(&team->others[i].thread, NULL, worker_main, &team->others[i]);
        if (s->stride && !team->others[i].started)
            out_of_memory(r); // its share of the grid would never run
    }
}

static int run(struct ptx_run *r, struct team *team)
{
    const struct ptx_launch *l = r->launch;
    fenv_t env;
    fegetenv(&env);
    fesetenv(FE_DFL_ENV);
    const uint64_t share = l->cooperative ? team->count + 1 : 0;
    for (unsigned i = 0; i <= team->count; i++) {
        struct resident *s = i ? &team->others[i - 1] : &team->first;
        *s = (struct resident){.k = {.run = r, .memory = l->memory}, .stride = share, .next = i};
    }
    if (share && team->count)
        call_helpers(&team->first);
    worker_loop(&team->first, team->count ? call_helpers : NULL);
    for (unsigned i = 0; i < team->count; i++)
        if (team->others[i].started)
            pthread_join(team->others[i].thread, NULL);
    for (unsigned i = 0; i <= team->count; i++)
        worker_end(i ? &team->others[i - 1] : &team->first);
    fesetenv(&env);
    return r->faulted ? -EFAULT : r->error;
}

int ptx_run(const struct ptx_launch *launch, struct ptx_fault *fault)
{
    *fault = (struct ptx_fault){0};
    const struct ptx_function *f = &launch->func->f;
    struct ptx_run *r = aligned_alloc(64, (sizeof *r + 63) & ~(size_t)63);
    struct team *team = calloc(1, sizeof *team);
    uint8_t *params = calloc(1, f->param_bytes + 16u);
    uint64_t threads = (uint64_t)launch->block[0] * launch->block[1] * launch->block[2];
    int result = -ENOMEM;
    if (r && team && params) {
        memset(r, 0, sizeof *r);
        if (f->param_bytes)
            memcpy(params, launch->params, f->param_bytes);
        r->launch = launch;
        r->func = f;
        r->params = params;
        r->block_total = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
        r->warp_count = (uint32_t)((threads + PTX_LANES - 1) / PTX_LANES);
        r->shared_bytes = f->shared_dynamic_offset + launch->dynamic_shared_bytes;
        r->grid_id = atomic_fetch_add(&grid_ids, 1) + 1;
        r->start_ns = ptx_now_ns();
        pthread_mutex_init(&r->lock, NULL);
        uint64_t most = launch->threads > 1 ? launch->threads : 1;
        team->count = (unsigned)((most < r->block_total ? most : r->block_total) - (r->block_total > 0));
        team->others = calloc(team->count + 1u, sizeof *team->others);
        if (team->others)
            result = threads && r->block_total ? run(r, team) : 0;
        *fault = r->fault;
        atomic_fetch_add(&executed_total, atomic_load(&r->executed));
        pthread_mutex_destroy(&r->lock);
        free(team->others);
    }
    free(params);
    free(team);
    free(r);
    return result;
}

// SPDX-License-Identifier: Apache-2.0
// The session's device memory: allocating and freeing it, within the session's limit, and knowing which
// addresses are its.
//
// The list is a hash table by address with linear probing and no tombstones: a hundred thousand allocations
// are added and removed in any order, and a free of an address that is not the session's is refused here,
// before the driver sees it.
#include <errno.h>
#include <stdlib.h>

#include "server/kept/kept.h"
#include "server/run/run.h"
#include "server/run/run_state.h"
#include "server/worker/pool.h"

enum {
    SLOTS_MIN = 1024,
    GRAIN_BYTES = 512, // what the driver rounds small allocations up to, at least: what a session is charged
};

struct allocation {
    uint64_t address; // 0: free slot
    uint64_t size_bytes, context;
};

struct gn_memory_list {
    struct allocation *slots;
    size_t slot_count, count; // slot_count: a power of two, at least twice count
};

static size_t home(const struct gn_memory_list *m, uint64_t address)
{
    return (size_t)((address >> 9) * 0x9e3779b97f4a7c15u >> 20) & (m->slot_count - 1);
}

static struct allocation *slot_of(const struct gn_memory_list *m, uint64_t address)
{
    size_t i = home(m, address);
    while (m->slots[i].address && m->slots[i].address != address)
        i = (i + 1) & (m->slot_count - 1);
    return &m->slots[i];
}

static int grow(struct gn_memory_list *m)
{
    struct gn_memory_list bigger = {.slot_count = m->slot_count ? 2 * m->slot_count : SLOTS_MIN,
                                    .count = m->count};
    bigger.slots = calloc(bigger.slot_count, sizeof *bigger.slots);
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < m->slot_count; i++)
        if (m->slots[i].address)
            *slot_of(&bigger, m->slots[i].address) = m->slots[i];
    free(m->slots);
    *m = bigger;
    return 0;
}

// Makes room for one more and charges it, before the driver is asked: what it gave is then never lost.
static CUresult reserve(struct gn_worker *w, uint64_t size_bytes)
{
    if (!w->memory && !(w->memory = calloc(1, sizeof *w->memory)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (w->memory->count >= GN_ALLOCATIONS_MAX ||
        (2 * (w->memory->count + 1) > w->memory->slot_count && grow(w->memory)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return gn_memory_charge(w, size_bytes) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

// What has been charged already.
static void add(struct gn_worker *w, uint64_t address, uint64_t size_bytes)
{
    struct allocation *slot = slot_of(w->memory, address);
    if (slot->address) // the driver gave the same address again: it freed it by itself
        gn_memory_discharge(w, slot->size_bytes);
    else
        w->memory->count++;
    *slot = (struct allocation){
        .address = address, .size_bytes = size_bytes, .context = w->scope ? w->scope->id : 0};
}

// Closes the gap: whatever stands behind it and may stand in it moves up.
static void take_out(struct gn_memory_list *m, struct allocation *slot)
{
    size_t mask = m->slot_count - 1, gap = (size_t)(slot - m->slots);
    for (size_t i = (gap + 1) & mask; m->slots[i].address; i = (i + 1) & mask) {
        size_t from_home = (i - home(m, m->slots[i].address)) & mask;
        if (from_home >= ((i - gap) & mask)) {
            m->slots[gap] = m->slots[i];
            gap = i;
        }
    }
    m->slots[gap].address = 0;
    m->count--;
}

static uint64_t charged(uint64_t size_bytes)
{
    return size_bytes > UINT64_MAX - GRAIN_BYTES
               ? UINT64_MAX
               : (size_bytes + GRAIN_BYTES - 1) & ~(uint64_t)(GRAIN_BYTES - 1);
}

static CUresult alloc(struct gn_worker *w, uint64_t charge, uint64_t size_bytes, CUdeviceptr *address)
{
    CUresult r = reserve(w, charge);
    if (r != CUDA_SUCCESS)
        return r;
    r = GN_DRIVER(w, cuMemAlloc_v2, address, size_bytes);
    if (r == CUDA_SUCCESS)
        add(w, *address, charge);
    else
        gn_memory_discharge(w, charge);
    return r;
}

// How much has to become free for so much to be allocated, by what the driver and the session's limit say; all of it where that is no answer.
static uint64_t missing(struct gn_worker *w, CUdevice device, uint64_t size_bytes)
{
    size_t free_bytes = 0, total_bytes = 0;
    if (!w->scope || w->scope->device != device || GN_DRIVER(w, cuMemGetInfo_v2, &free_bytes, &total_bytes))
        return size_bytes;
    uint64_t limit = w->limits.memory_bytes, used = atomic_load_explicit(&w->memory_used_bytes, memory_order_relaxed);
    uint64_t left = limit && limit > used ? limit - used : limit ? 0 : UINT64_MAX;
    left = left < free_bytes ? left : free_bytes;
    return size_bytes > left ? size_bytes - left : size_bytes;
}

bool gn_memory_make_room(struct gn_worker *w, CUdevice device, uint64_t size_bytes, int *step)
{
    bool made = false;
    while (!made && *step < 3) {
        int way = (*step)++;
        made = way == 0 ? gn_pool_reclaim(w, device) : gn_kepts_make_room(w, device, way == 1 ? missing(w, device, size_bytes) : UINT64_MAX);
    }
    return made;
}

CUresult gn_run_memory_alloc(struct gn_worker *w, struct gn_request *q, const struct gn_args_memory_alloc *a,
                             struct gn_out_memory_alloc *o)
{
    (void)q;
    CUdeviceptr address = 0;
    uint64_t charge = charged(a->size_bytes);
    if (!w->scope)
        return CUDA_ERROR_INVALID_CONTEXT;
    CUresult r = alloc(w, charge, a->size_bytes, &address);
    for (int step = 0; r == CUDA_ERROR_OUT_OF_MEMORY && gn_memory_make_room(w, w->scope->device, charge, &step);)
        r = alloc(w, charge, a->size_bytes, &address);
    o->address = address;
    if (r == CUDA_SUCCESS)
        gn_pool_missed(w, w->scope->device, a->size_bytes);
    return r;
}

static CUresult alloc_pitch(struct gn_worker *w, const struct gn_args_memory_alloc_pitch *a, CUdeviceptr *address, size_t *pitch)
{
    uint64_t least, more;
    if (__builtin_mul_overflow(a->width_bytes, a->height, &least))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = reserve(w, charged(least));
    if (r != CUDA_SUCCESS)
        return r;
    r = GN_DRIVER(w, cuMemAllocPitch_v2, address, pitch, a->width_bytes, a->height, a->element_bytes);
    // The pitch is the driver's to choose: only now it is known what this costs.
    more = r == CUDA_SUCCESS ? charged(*pitch * a->height) - charged(least) : 0;
    if (r == CUDA_SUCCESS && !gn_memory_charge(w, more)) {
        GN_DRIVER(w, cuMemFree_v2, *address);
        r = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (r == CUDA_SUCCESS)
        add(w, *address, charged(least) + more);
    else
        gn_memory_discharge(w, charged(least));
    return r;
}

CUresult gn_run_memory_alloc_pitch(struct gn_worker *w, struct gn_request *q,
                                   const struct gn_args_memory_alloc_pitch *a,
                                   struct gn_out_memory_alloc_pitch *o)
{
    (void)q;
    CUdeviceptr address = 0;
    size_t pitch = 0;
    if (!w->scope)
        return CUDA_ERROR_INVALID_CONTEXT;
    CUresult r = alloc_pitch(w, a, &address, &pitch);
    for (int step = 0; r == CUDA_ERROR_OUT_OF_MEMORY && gn_memory_make_room(w, w->scope->device, UINT64_MAX, &step);)
        r = alloc_pitch(w, a, &address, &pitch);
    o->address = address;
    o->pitch_bytes = pitch;
    return r;
}

CUresult gn_run_memory_free(struct gn_worker *w, struct gn_request *q, const struct gn_args_memory_free *a,
                            struct gn_out_memory_free *o)
{
    (void)q, (void)o;
    if (!a->address)
        return CUDA_SUCCESS;
    struct allocation *slot = w->memory && w->memory->slot_count ? slot_of(w->memory, a->address) : NULL;
    if (!slot || !slot->address)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = GN_DRIVER(w, cuMemFree_v2, a->address);
    if (r == CUDA_SUCCESS || r == CUDA_ERROR_INVALID_VALUE) { // the second: it is not there any more
        gn_memory_discharge(w, slot->size_bytes);
        take_out(w->memory, slot);
    }
    return r;
}

bool gn_memory_find(const struct gn_worker *w, uint64_t address, uint64_t *size_bytes)
{
    const struct allocation *slot =
        w->memory && w->memory->slot_count && address ? slot_of(w->memory, address) : NULL;
    if (!slot || !slot->address)
        return false;
    *size_bytes = slot->size_bytes;
    return true;
}

void gn_memory_forget_context(struct gn_worker *w, uint64_t context)
{
    struct gn_memory_list *m = w->memory;
    size_t start = 0;
    if (!m || !m->slot_count)
        return;
    while (m->slots[start].address) // no chain runs over a free slot, and half of them are free
        start++;
    // Gaps break the chains of those behind them: from the free slot on, each is either dropped or filed
    // anew. It moves at most towards its home, so what was passed is in order already.
    for (size_t n = 1; n < m->slot_count; n++) {
        struct allocation *slot = &m->slots[(start + n) & (m->slot_count - 1)], moved = *slot;
        if (!moved.address)
            continue;
        slot->address = 0;
        if (moved.context == context) {
            gn_memory_discharge(w, moved.size_bytes);
            m->count--;
        } else {
            *slot_of(m, moved.address) = moved;
        }
    }
}

void gn_memory_close(struct gn_worker *w)
{
    if (w->memory)
        free(w->memory->slots);
    free(w->memory);
    w->memory = NULL;
    gn_pools_close(w);
    atomic_store_explicit(&w->memory_used_bytes, 0, memory_order_relaxed);
}

// A free of memory that the client gives to the next by itself: what was sent before is done before anything that comes after runs.
CUresult gn_run_memory_barrier(struct gn_worker *w, struct gn_request *q, const struct gn_args_memory_barrier *a,
                               struct gn_out_memory_barrier *o)
{
    (void)q, (void)a, (void)o;
    if (!w->scope)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (w->scope->settled_at == w->work)
        return CUDA_SUCCESS;
    CUresult r = GN_DRIVER(w, cuCtxSynchronize);
    if (r == CUDA_SUCCESS)
        w->scope->settled_at = w->work;
    return r;
}

// As if nothing were allocated in the pool's range: the client knows what is. A session with a limit sees a device of that size.
CUresult gn_run_memory_info(struct gn_worker *w, struct gn_request *q, const struct gn_args_memory_info *a,
                            struct gn_out_memory_info *o)
{
    (void)q, (void)a;
    struct gn_pool_info info;
    if (!w->scope)
        return CUDA_ERROR_INVALID_CONTEXT;
    CUresult r = gn_pool_info(w, &info);
    uint64_t limit = w->limits.memory_bytes, used = info.used_bytes - info.pool_bytes;
    o->free_bytes = info.free_bytes + info.pool_bytes;
    o->total_bytes = info.total_bytes;
    if (r || !limit || limit >= info.total_bytes)
        return r;
    uint64_t left = limit > used ? limit - used : 0;
    o->total_bytes = limit;
    o->free_bytes = left < o->free_bytes ? left : o->free_bytes;
    return r;
}

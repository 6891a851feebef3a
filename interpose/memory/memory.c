// SPDX-License-Identifier: Apache-2.0
// Device memory: allocating, freeing, asking about it.
#include "interpose/memory/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "api_calls.h"
#include "api_wire.h"
#include "interpose/log.h"
#include "interpose/memory/memory_range.h"

// How often another address is asked for when this process has something where the server put an allocation.
// Two unrelated address spaces meet rarely, and a second try gets the driver's next free place: so many
// failures in a row mean that it will not get better.
enum { PLACE_TRIES = 16 };

static void free_at_server(struct gn_call *c, uint64_t address)
{
    gn_post(c, GN_OP_memory_free, &(struct gn_args_memory_free){.address = address});
}

struct request { // one of cuMemAlloc and cuMemAllocPitch
    const struct gn_args_memory_alloc_pitch *args; // NULL: not pitched; size_bytes is given
    uint64_t size_bytes, pitch_bytes, address;
    uint64_t apart_bytes; // asked for beyond size_bytes
};

static CUresult ask_once(struct gn_call *c, struct request *q)
{
    if (!q->args) {
        struct gn_out_memory_alloc out = {0};
        CUresult r = gn_ask(c, GN_OP_memory_alloc, &(struct gn_args_memory_alloc){.size_bytes = q->size_bytes + q->apart_bytes}, &out);
        q->address = out.address;
        return r;
    }
    struct gn_out_memory_alloc_pitch out = {0};
    CUresult r = gn_ask(c, GN_OP_memory_alloc_pitch, q->args, &out);
    q->address = out.address;
    q->pitch_bytes = out.pitch_bytes;
    if (!r && __builtin_mul_overflow(out.pitch_bytes, q->args->height, &q->size_bytes))
        r = CUDA_ERROR_UNKNOWN;
    return r;
}

// Asks the server until the address is free in this process too. The bad ones stay allocated meanwhile, or
// they would come again.
static CUresult ask_for_place(struct gn_call *c, struct request *q, struct gn_reservation *reservation)
{
    static _Atomic bool hopeless; // every try of an earlier allocation failed
    int most = atomic_load_explicit(&hopeless, memory_order_relaxed) ? 0 : PLACE_TRIES;
    uint64_t bad[PLACE_TRIES];
    struct request kept = {0};
    int tries = 0, reserved = 0;
    CUresult r;
    while (!(r = ask_once(c, q))) {
        reserved = gn_reserve(reservation, q->address, q->size_bytes);
        if (reserved != -EEXIST || tries == most)
            break;
        kept = *q;
        bad[tries++] = q->address;
    }
    if (r && tries) { // no memory left for another try: the last one has to do
        *q = kept;
        tries--;
        r = CUDA_SUCCESS;
        reserved = -EEXIST;
    }
    if (tries == PLACE_TRIES)
        atomic_store_explicit(&hopeless, true, memory_order_relaxed);
    for (int i = 0; i < tries; i++)
        free_at_server(c, bad[i]);
    if (r)
        return r;
    if (reserved == -EEXIST)
        gn_log_once(GN_LOG_WARN,
                    "device memory at 0x%llx has an address that this process uses too; copies take it for "
                    "device memory",
                    (unsigned long long)q->address);
    else if (reserved)
        gn_log_once(GN_LOG_INFO, "addresses of device memory cannot be reserved in this process (errno %d)",
                    -reserved);
    return CUDA_SUCCESS;
}

static void memory_free(struct gn_memory *m)
{
    if (m->placed)
        gn_range_release(m);
    gn_reserve_release(&m->reservation);
    free(m);
}

// From the range if it can be had there, else from the server. What is granted and not used may be what is missing at the device.
static CUresult find_memory(struct gn_call *c, struct request *q, struct gn_memory *m)
{
    bool placed = false;
    CUresult r = q->size_bytes ? gn_range_alloc(c, m, q->size_bytes, &placed) : CUDA_SUCCESS;
    if (r)
        return r;
    if (placed) {
        q->address = m->block.start;
        return CUDA_SUCCESS;
    }
    gn_range_asked();
    q->apart_bytes = q->args ? 0 : gn_range_apart(q->size_bytes);
    r = ask_for_place(c, q, &m->reservation);
    bool again = r == CUDA_ERROR_OUT_OF_MEMORY && (gn_range_yield(c->context->device) || q->apart_bytes);
    q->apart_bytes = 0;
    if (again)
        r = ask_for_place(c, q, &m->reservation);
    gn_memory_info_forget();
    return r;
}

static CUresult allocate(struct gn_call *c, struct request *q, CUdeviceptr *address)
{
    struct gn_memory *m = calloc(1, sizeof *m);
    if (!m)
        return CUDA_ERROR_OUT_OF_MEMORY;
    m->device = c->context->device;
    CUresult r = find_memory(c, q, m);
    if (r) {
        free(m);
        return r;
    }
    m->region.start = q->address;
    m->region.size_bytes = q->size_bytes;
    m->kind = GN_MEMORY_DEVICE;
    m->context = gn_context_id(c);
    gn_hints_allocated(m);
    if (gn_memory_add(m)) { // the server gave what it has given already, or nonsense
        gn_log(GN_LOG_WARN, "the server placed %llu bytes at 0x%llx, where other device memory is",
               (unsigned long long)q->size_bytes, (unsigned long long)q->address);
        memory_free(m);
        return CUDA_ERROR_UNKNOWN;
    }
    *address = q->address;
    return CUDA_SUCCESS;
}

CUresult gn_cuMemAlloc_v2(struct gn_call *c, CUdeviceptr *dptr, size_t bytesize)
{
    if (!dptr || !bytesize)
        return CUDA_ERROR_INVALID_VALUE;
    struct request q = {.size_bytes = bytesize};
    return allocate(c, &q, dptr);
}

CUresult gn_cuMemAllocPitch_v2(struct gn_call *c, CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes,
                               size_t Height, unsigned int ElementSizeBytes)
{
    if (!dptr || !pPitch || !WidthInBytes || !Height ||
        (ElementSizeBytes != 4 && ElementSizeBytes != 8 && ElementSizeBytes != 16))
        return CUDA_ERROR_INVALID_VALUE;
    struct gn_args_memory_alloc_pitch args = {
        .width_bytes = WidthInBytes, .height = Height, .element_bytes = ElementSizeBytes};
    struct request q = {.args = &args};
    // With the driver's rule of the pitch at hand the size is known; without, or where the product means nothing, the server is asked.
    q.pitch_bytes = gn_range_pitch(c, WidthInBytes, WidthInBytes);
    if (!q.pitch_bytes || __builtin_mul_overflow(q.pitch_bytes, Height, &q.size_bytes))
        q.size_bytes = 0;
    CUresult r = allocate(c, &q, dptr);
    if (!r)
        *pPitch = q.pitch_bytes;
    return r;
}

// A block that the range gives to the next allocation: what was sent until now is done before that can be used. Locally a free waits for the
// context's work; here the server holds what comes later, and nobody waits.
static CUresult fence(struct gn_call *c, const struct gn_memory *m)
{
    const struct gn_args_memory_barrier args = {.address = m->region.start};
    int32_t code = 0;
    if (m->context != gn_context_id(c)) // it may be in use there too
        gn_session_post(gn_shim.session, m->context, GN_OP_memory_barrier, &args, &code);
    return gn_post(c, GN_OP_memory_barrier, &args);
}

CUresult gn_cuMemFree_v2(struct gn_call *c, CUdeviceptr dptr)
{
    if (!dptr)
        return CUDA_SUCCESS;
    struct gn_memory *m = gn_memory_take(dptr, GN_MEMORY_DEVICE);
    if (!m)
        return CUDA_ERROR_INVALID_VALUE;
    bool placed = m->placed;
    CUresult r = placed ? fence(c, m) : CUDA_SUCCESS;
    memory_free(m);
    if (placed)
        return r;
    r = gn_post(c, GN_OP_memory_free, &(struct gn_args_memory_free){.address = dptr});
    gn_memory_info_forget();
    return r;
}

CUresult gn_cuMemGetAddressRange_v2(struct gn_call *c, CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr)
{
    (void)c;
    struct gn_memory m;
    if (!gn_memory_look(dptr, &m))
        return CUDA_ERROR_NOT_FOUND;
    if (pbase)
        *pbase = m.region.start;
    if (psize)
        *psize = m.region.size_bytes;
    return CUDA_SUCCESS;
}

void gn_memory_add_global(struct gn_call *c, uint64_t context, uint64_t owner, uint64_t address, uint64_t size_bytes)
{
    struct gn_memory *m = calloc(1, sizeof *m);
    if (!m)
        return; // a copy to it is refused then, as if it had been asked for in vain
    m->region.start = address;
    m->region.size_bytes = size_bytes;
    m->kind = GN_MEMORY_GLOBAL;
    m->device = c->context ? c->context->device : CU_DEVICE_INVALID;
    m->context = context;
    m->owner = owner;
    gn_hints_allocated(m);
    if (gn_memory_add(m)) // known already
        free(m);
}

// What the maps gave back because its context or owner is gone; the server has freed its side.
static void forget(struct gn_memory *m)
{
    if (m->kind == GN_MEMORY_PINNED)
        gn_memory_unpin(m);
    memory_free(m);
}

void gn_memory_drop_globals(uint64_t owner)
{
    for (struct gn_memory *m; (m = gn_memory_take_next(0, owner));)
        forget(m);
}

void gn_context_gone_memory(uint64_t context)
{
    for (struct gn_memory *m; (m = gn_memory_take_next(context, 0));)
        forget(m);
}

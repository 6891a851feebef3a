// SPDX-License-Identifier: Apache-2.0
// The program's own virtual memory management: address ranges, physical memory, mappings.
//
// The client checks what a driver refuses; the driver checks again. Only the pool's range is protected here: a client that unmapped it would
// be counted wrong from then on.
#include <stdlib.h>

#include "server/run/run.h"
#include "server/worker/pool.h"

// Addresses of a command that are not the pool's.
static bool is_own(struct gn_worker *w, struct gn_request *q, uint64_t address, uint64_t size_bytes)
{
    bool own = address + size_bytes >= address && !gn_pool_holds(w, address, size_bytes);
    if (!own)
        q->error = "addresses of the range that was agreed for allocations";
    return own;
}

CUresult gn_run_vmm_reserve(struct gn_worker *w, struct gn_request *q, const struct gn_args_vmm_reserve *a, struct gn_out_vmm_reserve *o)
{
    (void)q;
    CUdeviceptr address = 0;
    CUresult r = GN_DRIVER(w, cuMemAddressReserve, &address, a->size_bytes, a->alignment, a->hint, 0);
    o->address = address;
    return r;
}

CUresult gn_run_vmm_free(struct gn_worker *w, struct gn_request *q, const struct gn_args_vmm_free *a, struct gn_out_vmm_free *o)
{
    (void)o;
    return is_own(w, q, a->address, a->size_bytes) ? GN_DRIVER(w, cuMemAddressFree, a->address, a->size_bytes)
                                                   : CUDA_ERROR_INVALID_VALUE;
}

// The object of a handle of kind allocation: the driver's handle is a number, and what was charged is kept beside it.
struct allocation {
    CUmemGenericAllocationHandle handle;
    uint64_t size_bytes;
};

static CUresult create(struct gn_worker *w, uint64_t size_bytes, const CUmemAllocationProp *prop, CUmemGenericAllocationHandle *handle)
{
    if (!gn_memory_charge(w, size_bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = GN_DRIVER(w, cuMemCreate, handle, size_bytes, prop, 0);
    if (r)
        gn_memory_discharge(w, size_bytes);
    return r;
}

CUresult gn_run_vmm_create(struct gn_worker *w, struct gn_request *q, const struct gn_args_vmm_create *a, struct gn_out_vmm_create *o)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {CU_MEM_LOCATION_TYPE_DEVICE, (int)a->device}},
                        given = {0};
    prop.allocFlags.compressionType = (unsigned char)a->compression;
    struct allocation *made = malloc(sizeof *made);
    if (!made)
        return CUDA_ERROR_OUT_OF_MEMORY;
    made->size_bytes = a->size_bytes;
    CUresult r = create(w, a->size_bytes, &prop, &made->handle);
    for (int step = 0; r == CUDA_ERROR_OUT_OF_MEMORY && gn_memory_make_room(w, (CUdevice)a->device, a->size_bytes, &step);)
        r = create(w, a->size_bytes, &prop, &made->handle);
    if (r) {
        free(made);
        return r;
    }
    CUmemGenericAllocationHandle handle = made->handle;
    if (GN_DRIVER(w, cuMemGetAllocationPropertiesFromHandle, &given, handle) == CUDA_SUCCESS)
        o->compression_given = given.allocFlags.compressionType;
    r = gn_keep(w, q, GN_KIND_ALLOCATION, a->allocation, made, CUDA_SUCCESS);
    if (r) {
        GN_DRIVER(w, cuMemRelease, handle);
        gn_memory_discharge(w, a->size_bytes);
        free(made);
    }
    return r;
}

CUresult gn_run_vmm_release(struct gn_worker *w, struct gn_request *q, const struct gn_args_vmm_release *a, struct gn_out_vmm_release *o)
{
    (void)o;
    void *object;
    if (!gn_find_object(w, q, GN_KIND_ALLOCATION, a->allocation, &object))
        return CUDA_ERROR_INVALID_VALUE;
    const struct allocation *made = object;
    CUresult r = GN_DRIVER(w, cuMemRelease, made->handle);
    gn_memory_discharge(w, made->size_bytes);
    gn_forget(w, a->allocation); // frees it
    return r;
}

CUresult gn_run_vmm_map(struct gn_worker *w, struct gn_request *q, const struct gn_args_vmm_map *a, struct gn_out_vmm_map *o)
{
    (void)o;
    void *object;
    if (!is_own(w, q, a->address, a->size_bytes) || !gn_find_object(w, q, GN_KIND_ALLOCATION, a->allocation, &object))
        return CUDA_ERROR_INVALID_VALUE;
    return GN_DRIVER(w, cuMemMap, a->address, a->size_bytes, 0, ((const struct allocation *)object)->handle, 0);
}

CUresult gn_run_vmm_unmap(struct gn_worker *w, struct gn_request *q, const struct gn_args_vmm_unmap *a, struct gn_out_vmm_unmap *o)
{
    (void)o;
    return is_own(w, q, a->address, a->size_bytes) ? GN_DRIVER(w, cuMemUnmap, a->address, a->size_bytes) : CUDA_ERROR_INVALID_VALUE;
}

CUresult gn_run_vmm_access(struct gn_worker *w, struct gn_request *q, const struct gn_args_vmm_access *a, struct gn_out_vmm_access *o)
{
    (void)o;
    CUmemAccessDesc access = {.location = {CU_MEM_LOCATION_TYPE_DEVICE, (int)a->device}, .flags = (CUmemAccess_flags)a->flags};
    return is_own(w, q, a->address, a->size_bytes) ? GN_DRIVER(w, cuMemSetAccess, a->address, a->size_bytes, &access, 1)
                                                   : CUDA_ERROR_INVALID_VALUE;
}

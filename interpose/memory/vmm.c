// SPDX-License-Identifier: Apache-2.0
// Virtual memory management: the program's own address ranges, physical memory and mappings.
//
// The books are kept here too, so that what a driver refuses is refused at the call and everything that hands nothing back is posted.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api_calls.h"
#include "api_wire.h"
#include "interpose/log.h"
#include "interpose/memory/memory.h"
#include "interpose/memory/memory_range.h"

enum {
    GRANULE_BYTES = GN_RESERVE_GRANULE_BYTES,
    PLACE_TRIES = 16, // as in memory.c: addresses that this process has something at
};

struct allocation { // the object of a handle; it lives while the program holds it or has it mapped
    uint64_t id, size_bytes;
    CUdevice device;
    unsigned compression;
    unsigned handles, mappings;
};

struct reservation {
    struct gn_region region; // first
    struct gn_region kept_off;
    struct gn_reservation hold;
};

// Guards the allocations' counts and the reservations, and keeps one change whole: its check, its books and its command. The maps' lock, the
// handle table's and the session's are taken under it.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gn_region_map reservations;

void gn_vmm_forked(void) { pthread_mutex_init(&lock, NULL); }

// --- what a driver refuses

static CUresult supported(void)
{
    for (uint32_t i = 0; i < gn_shim.welcome.device_count; i++)
        if (gn_shim.welcome.devices[i].attributes[CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED])
            return CUDA_SUCCESS;
    return CUDA_ERROR_NOT_SUPPORTED;
}

static bool is_granular(uint64_t n) { return n && !(n % GRANULE_BYTES); }
static bool is_range(uint64_t ptr, uint64_t size) { return is_granular(ptr) && is_granular(size) && ptr + size > ptr; }

static CUresult check_location(const CUmemLocation *location)
{
    switch ((int)location->type) {
    case CU_MEM_LOCATION_TYPE_DEVICE: return gn_device(location->id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
    case CU_MEM_LOCATION_TYPE_HOST:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT: return CUDA_ERROR_NOT_SUPPORTED;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
}

// Handles for other processes mean nothing on another machine; the devices' attributes say so.
static CUresult check_prop(const CUmemAllocationProp *prop)
{
    if (!prop || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = check_location(&prop->location);
    if (!r && (prop->requestedHandleTypes || prop->allocFlags.gpuDirectRDMACapable || prop->allocFlags.usage))
        r = CUDA_ERROR_NOT_SUPPORTED;
    return r;
}

// With the lock: one that the program holds.
static struct allocation *held(CUmemGenericAllocationHandle handle)
{
    struct gn_handle_slot *slot = gn_handle_slot((const void *)(uintptr_t)handle, GN_KIND_ALLOCATION);
    struct allocation *a = slot ? slot->object : NULL;
    return a && a->handles ? a : NULL;
}

// --- addresses

// Until the address is free in this process too; the bad ones stay reserved meanwhile.
static CUresult reserve(struct gn_call *c, const struct gn_args_vmm_reserve *args, struct gn_reservation *hold, uint64_t *address)
{
    struct gn_out_vmm_reserve o = {0};
    uint64_t bad[PLACE_TRIES];
    int tries = 0, error = 0;
    CUresult r;
    while (!(r = gn_ask(c, GN_OP_vmm_reserve, args, &o)) && (error = gn_reserve(hold, o.address, args->size_bytes)) == -EEXIST &&
           tries < PLACE_TRIES)
        bad[tries++] = o.address;
    if (!r && error)
        gn_log_once(GN_LOG_WARN, "reserved device addresses at 0x%llx are not kept free in this process (errno %d)",
                    (unsigned long long)o.address, -error);
    while (tries)
        gn_post(c, GN_OP_vmm_free, &(struct gn_args_vmm_free){.address = bad[--tries], .size_bytes = args->size_bytes});
    *address = o.address;
    return r;
}

CUresult gn_cuMemAddressReserve(struct gn_call *c, CUdeviceptr *ptr, size_t size, size_t alignment, CUdeviceptr addr,
                                unsigned long long flags)
{
    CUresult r = supported();
    if (r)
        return r;
    if (!ptr || !is_granular(size) || alignment & (alignment - 1) || flags)
        return CUDA_ERROR_INVALID_VALUE;
    struct reservation *v = calloc(1, sizeof *v);
    if (!v)
        return CUDA_ERROR_OUT_OF_MEMORY;
    const struct gn_args_vmm_reserve args = {.size_bytes = size, .alignment = alignment, .hint = addr};
    r = reserve(c, &args, &v->hold, &v->region.start);
    if (r) {
        free(v);
        return r;
    }
    v->kept_off.start = v->region.start;
    v->kept_off.size_bytes = v->region.size_bytes = size;
    *ptr = v->region.start;
    pthread_mutex_lock(&lock);
    bool sane = !gn_region_insert(&reservations, &v->region);
    if (sane && gn_memory_keep_off(&v->kept_off)) {
        gn_region_remove(&reservations, &v->region);
        sane = false;
    }
    pthread_mutex_unlock(&lock);
    if (!sane) { // the server gave what it has given already, or nonsense
        gn_reserve_release(&v->hold);
        free(v);
    }
    return sane ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

// With the lock: whether the range is mapped without a gap; `whole`: and no mapping reaches out of it.
static bool covered(uint64_t address, uint64_t size_bytes, bool whole)
{
    struct gn_memory m;
    for (uint64_t at = address, end = address + size_bytes; at < end; at = m.region.start + m.region.size_bytes)
        if (!gn_memory_look(at, &m) || m.kind != GN_MEMORY_MAPPED ||
            (whole && (m.region.start != at || at + m.region.size_bytes > end)))
            return false;
    return true;
}

CUresult gn_cuMemAddressFree(struct gn_call *c, CUdeviceptr ptr, size_t size)
{
    CUresult r = supported();
    if (r)
        return r;
    pthread_mutex_lock(&lock);
    struct reservation *v = is_range(ptr, size) ? (struct reservation *)gn_region_find(&reservations, ptr) : NULL;
    if (v && (v->region.start != ptr || v->region.size_bytes != size || gn_memory_any_mapped(ptr, size)))
        v = NULL;
    if (v) {
        r = gn_post(c, GN_OP_vmm_free, &(struct gn_args_vmm_free){.address = ptr, .size_bytes = size});
        gn_region_remove(&reservations, &v->region);
        gn_memory_let_go(&v->kept_off);
    }
    pthread_mutex_unlock(&lock);
    if (!v)
        return CUDA_ERROR_INVALID_VALUE;
    gn_reserve_release(&v->hold);
    free(v);
    return r;
}

// --- physical memory

CUresult gn_cuMemCreate(struct gn_call *c, CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
                        unsigned long long flags)
{
    CUresult r = supported();
    if (!r && (!handle || !is_granular(size) || flags))
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = check_prop(prop);
    if (r)
        return r;
    struct allocation *a = calloc(1, sizeof *a);
    if (!a)
        return CUDA_ERROR_OUT_OF_MEMORY;
    r = gn_handle_new(c, GN_KIND_ALLOCATION, 0, 0, a, &a->id);
    if (r) {
        free(a);
        return r;
    }
    struct gn_args_vmm_create args = {.allocation = a->id, .size_bytes = size, .device = (uint32_t)prop->location.id,
                                      .compression = prop->allocFlags.compressionType};
    struct gn_out_vmm_create o = {0};
    r = gn_ask(c, GN_OP_vmm_create, &args, &o);
    if (r == CUDA_ERROR_OUT_OF_MEMORY && gn_range_yield(prop->location.id))
        r = gn_ask(c, GN_OP_vmm_create, &args, &o);
    a->size_bytes = size;
    a->device = prop->location.id;
    a->compression = o.compression_given;
    a->handles = 1;
    gn_memory_info_forget();
    if (r) {
        gn_handle_drop(a->id);
        free(a);
        return r;
    }
    *handle = a->id;
    return CUDA_SUCCESS;
}

// With the lock: the last handle or mapping may have gone.
static CUresult let_go(struct gn_call *c, struct allocation *a)
{
    if (a->handles || a->mappings)
        return CUDA_SUCCESS;
    CUresult r = gn_post(c, GN_OP_vmm_release, &(struct gn_args_vmm_release){.allocation = a->id});
    gn_memory_info_forget();
    gn_handle_drop(a->id);
    free(a);
    return r;
}

CUresult gn_cuMemRelease(struct gn_call *c, CUmemGenericAllocationHandle handle)
{
    CUresult r = supported();
    if (r)
        return r;
    pthread_mutex_lock(&lock);
    struct allocation *a = held(handle);
    if (a)
        a->handles--;
    r = a ? let_go(c, a) : CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_unlock(&lock);
    return r;
}

CUresult gn_cuMemGetAllocationGranularity(struct gn_call *c, size_t *granularity, const CUmemAllocationProp *prop,
                                          CUmemAllocationGranularity_flags option)
{
    (void)c;
    CUresult r = supported();
    if (!r && (!granularity || (unsigned)option > CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = check_prop(prop);
    if (!r)
        *granularity = GRANULE_BYTES;
    return r;
}

CUresult gn_cuMemGetAllocationPropertiesFromHandle(struct gn_call *c, CUmemAllocationProp *prop, CUmemGenericAllocationHandle handle)
{
    (void)c;
    CUresult r = supported();
    if (r)
        return r;
    pthread_mutex_lock(&lock);
    const struct allocation *a = prop ? held(handle) : NULL;
    if (a) {
        *prop = (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {CU_MEM_LOCATION_TYPE_DEVICE, a->device}};
        prop->allocFlags.compressionType = (unsigned char)a->compression;
    }
    pthread_mutex_unlock(&lock);
    return a ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult gn_cuMemRetainAllocationHandle(struct gn_call *c, CUmemGenericAllocationHandle *handle, void *addr)
{
    (void)c;
    struct gn_memory m;
    CUresult r = supported();
    if (r)
        return r;
    pthread_mutex_lock(&lock);
    bool found = handle && gn_memory_look((uintptr_t)addr, &m) && m.kind == GN_MEMORY_MAPPED;
    struct gn_handle_slot *slot = found ? gn_handle_slot((const void *)(uintptr_t)m.owner, GN_KIND_ALLOCATION) : NULL;
    if (slot) {
        ((struct allocation *)slot->object)->handles++;
        *handle = m.owner;
    }
    pthread_mutex_unlock(&lock);
    return slot ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

// --- mappings

CUresult gn_cuMemMap(struct gn_call *c, CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                     unsigned long long flags)
{
    CUresult r = supported();
    if (r)
        return r;
    struct gn_memory *m = calloc(1, sizeof *m);
    if (!m)
        return CUDA_ERROR_OUT_OF_MEMORY;
    m->region.start = ptr;
    m->region.size_bytes = size;
    m->kind = GN_MEMORY_MAPPED;
    gn_hints_allocated(m);
    pthread_mutex_lock(&lock);
    struct allocation *a = held(handle);
    bool good = a && is_range(ptr, size) && !offset && !flags && size <= a->size_bytes &&
                gn_region_find_all(&reservations, ptr, size);
    if (good) {
        m->owner = a->id;
        m->device = a->device;
        good = !gn_memory_add(m); // something is mapped there
    }
    if (good) {
        a->mappings++;
        r = gn_post(c, GN_OP_vmm_map, &(struct gn_args_vmm_map){.allocation = a->id, .address = ptr, .size_bytes = size});
    }
    pthread_mutex_unlock(&lock);
    if (!good)
        free(m);
    return good ? r : CUDA_ERROR_INVALID_VALUE;
}

CUresult gn_cuMemUnmap(struct gn_call *c, CUdeviceptr ptr, size_t size)
{
    CUresult r = supported();
    if (r)
        return r;
    pthread_mutex_lock(&lock);
    bool good = is_range(ptr, size) && covered(ptr, size, true);
    if (good)
        r = gn_post(c, GN_OP_vmm_unmap, &(struct gn_args_vmm_unmap){.address = ptr, .size_bytes = size});
    for (uint64_t at = ptr; good && at < ptr + size;) {
        struct gn_memory *m = gn_memory_take(at, GN_MEMORY_MAPPED);
        struct gn_handle_slot *slot = gn_handle_slot((const void *)(uintptr_t)m->owner, GN_KIND_ALLOCATION);
        struct allocation *a = slot->object;
        at += m->region.size_bytes;
        a->mappings--;
        let_go(c, a);
        free(m);
    }
    pthread_mutex_unlock(&lock);
    return good ? r : CUDA_ERROR_INVALID_VALUE;
}

static CUresult check_access(const CUmemAccessDesc *desc, size_t count)
{
    CUresult r = CUDA_SUCCESS;
    for (size_t i = 0; i < count && !r; i++) {
        r = check_location(&desc[i].location);
        if (!r && desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE && desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
            desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
            r = CUDA_ERROR_INVALID_VALUE;
    }
    return r;
}

CUresult gn_cuMemSetAccess(struct gn_call *c, CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc, size_t count)
{
    CUresult r = supported();
    if (r)
        return r;
    if (!is_range(ptr, size) || !desc || !count)
        return CUDA_ERROR_INVALID_VALUE;
    if ((r = check_access(desc, count)))
        return r;
    pthread_mutex_lock(&lock);
    if (!covered(ptr, size, false))
        r = CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count && !r; i++) {
        gn_memory_set_access(ptr, size, desc[i].location.id, desc[i].flags);
        r = gn_post(c, GN_OP_vmm_access,
                    &(struct gn_args_vmm_access){
                        .address = ptr, .size_bytes = size, .device = (uint32_t)desc[i].location.id, .flags = (uint32_t)desc[i].flags});
    }
    pthread_mutex_unlock(&lock);
    return r;
}

CUresult gn_cuMemGetAccess(struct gn_call *c, unsigned long long *flags, const CUmemLocation *location, CUdeviceptr ptr)
{
    (void)c;
    struct gn_memory m;
    CUresult r = supported();
    if (!r && (!flags || !location))
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        r = check_location(location);
    if (r)
        return r;
    if (!gn_memory_look(ptr, &m) || m.kind != GN_MEMORY_MAPPED)
        return CUDA_ERROR_INVALID_VALUE;
    *flags = gn_memory_access(&m, location->id);
    return CUDA_SUCCESS;
}

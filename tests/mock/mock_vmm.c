// SPDX-License-Identifier: Apache-2.0
// The calls of virtual memory management: what they refuse, and what they do to mock_space.c.
#include <errno.h>
#include <string.h>

#include "api_mock.h"
#include "tests/mock/mock_sched.h"
#include "tests/mock/mock_space.h"
#include "tests/mock/mock_state.h"

static bool is_granular(uint64_t n) { return n && !(n & (MOCK_GRANULE_BYTES - 1)); }

// A range of whole granules that does not wrap.
static bool is_range(CUdeviceptr ptr, size_t size)
{
    return is_granular(ptr) && is_granular(size) && ptr + size > ptr;
}

static CUresult code_of(int error)
{
    return !error ? CUDA_SUCCESS : error == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
}

static CUresult supported(void) { return mock.options.novmm ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS; }

static struct mock_physical *physical_of(CUmemGenericAllocationHandle handle)
{
    return mock_handle_get((const void *)(uintptr_t)handle, GN_KIND_ALLOCATION);
}

static CUresult check_location(const CUmemLocation *location)
{
    switch ((int)location->type) {
    case CU_MEM_LOCATION_TYPE_DEVICE: return mock_device_exists(location->id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
    case CU_MEM_LOCATION_TYPE_HOST:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT: return CUDA_ERROR_NOT_SUPPORTED;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult check_prop(const CUmemAllocationProp *prop)
{
    if (!prop || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = check_location(&prop->location);
    if (r == CUDA_SUCCESS && (prop->requestedHandleTypes || prop->allocFlags.gpuDirectRDMACapable || prop->allocFlags.usage))
        r = CUDA_ERROR_NOT_SUPPORTED;
    return r;
}

CUresult mock_cuMemAddressReserve(CUdeviceptr *ptr, size_t size, size_t alignment, CUdeviceptr addr, unsigned long long flags)
{
    CUresult r = supported();
    uint64_t at;
    if (r != CUDA_SUCCESS)
        return r;
    if (!ptr || !is_granular(size) || alignment & (alignment - 1) || flags)
        return CUDA_ERROR_INVALID_VALUE;
    int error = mock_space_reserve(size, alignment > MOCK_GRANULE_BYTES ? alignment : MOCK_GRANULE_BYTES, addr, &at);
    if (!error)
        *ptr = at;
    return code_of(error);
}

CUresult mock_cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
    CUresult r = supported();
    return r != CUDA_SUCCESS ? r : is_range(ptr, size) ? code_of(mock_space_free(ptr, size)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult mock_cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
                          unsigned long long flags)
{
    CUresult r = supported();
    if (r == CUDA_SUCCESS && (!handle || !is_granular(size) || flags))
        r = CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        r = check_prop(prop);
    if (r != CUDA_SUCCESS)
        return r;
    struct mock_physical *p = mock_physical_new((unsigned)prop->location.id, size);
    if (!p)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if ((r = mock_handle_new(GN_KIND_ALLOCATION, 0, p, &p->id)) == CUDA_SUCCESS) {
        p->handles = 1;
        *handle = p->id;
    }
    mock_physical_check(p);
    return r;
}

CUresult mock_cuMemRelease(CUmemGenericAllocationHandle handle)
{
    CUresult r = supported();
    struct mock_physical *p = physical_of(handle);
    if (r != CUDA_SUCCESS || !p)
        return r != CUDA_SUCCESS ? r : CUDA_ERROR_INVALID_VALUE;
    if (!--p->handles) {
        mock_handle_close(p->id);
        p->id = 0;
    }
    mock_physical_check(p);
    return CUDA_SUCCESS;
}

CUresult mock_cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                       unsigned long long flags)
{
    CUresult r = supported();
    struct mock_physical *p = physical_of(handle);
    if (r != CUDA_SUCCESS)
        return r;
    if (!is_range(ptr, size) || offset || flags || !p || size > p->size_bytes) // an offset is not supported by any driver yet
        return CUDA_ERROR_INVALID_VALUE;
    return code_of(mock_space_map(ptr, size, p));
}

CUresult mock_cuMemUnmap(CUdeviceptr ptr, size_t size)
{
    CUresult r = supported();
    return r != CUDA_SUCCESS ? r : is_range(ptr, size) ? code_of(mock_space_unmap(ptr, size)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult mock_cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc, size_t count)
{
    CUresult r = supported();
    if (r != CUDA_SUCCESS)
        return r;
    if (!is_range(ptr, size) || !desc || !count)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count; i++) {
        if ((r = check_location(&desc[i].location)) != CUDA_SUCCESS)
            return r;
        if (desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE && desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
            desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
            return CUDA_ERROR_INVALID_VALUE;
    }
    for (size_t i = 0; i < count && r == CUDA_SUCCESS; i++)
        r = code_of(mock_space_access(ptr, size, (unsigned)desc[i].location.id, desc[i].flags));
    return r;
}

CUresult mock_cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location, CUdeviceptr ptr)
{
    struct mock_mapping_info info;
    CUresult r = supported();
    if (r != CUDA_SUCCESS)
        return r;
    if (!flags || !location)
        return CUDA_ERROR_INVALID_VALUE;
    if ((r = check_location(location)) != CUDA_SUCCESS)
        return r;
    if (mock_space_look(ptr, &info))
        return CUDA_ERROR_INVALID_VALUE;
    *flags = info.access[location->id];
    return CUDA_SUCCESS;
}

CUresult mock_cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *prop,
                                            CUmemAllocationGranularity_flags option)
{
    CUresult r = supported();
    if (r == CUDA_SUCCESS && (!granularity || (unsigned)option > CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
        r = CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        r = check_prop(prop);
    if (r == CUDA_SUCCESS)
        *granularity = MOCK_GRANULE_BYTES;
    return r;
}

CUresult mock_cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop, CUmemGenericAllocationHandle handle)
{
    CUresult r = supported();
    const struct mock_physical *p = physical_of(handle);
    if (r == CUDA_SUCCESS && (!prop || !p))
        r = CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *prop = (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, (int)p->device}};
    return r;
}

// Memory that is mapped may have lost its last handle: it gets one again.
CUresult mock_cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr)
{
    struct mock_mapping_info info;
    CUresult r = supported();
    if (r != CUDA_SUCCESS)
        return r;
    if (!handle || mock_space_look((uint64_t)(uintptr_t)addr, &info))
        return CUDA_ERROR_INVALID_VALUE;
    struct mock_physical *p = info.physical;
    if (!p->handles && (r = mock_handle_new(GN_KIND_ALLOCATION, 0, p, &p->id)) != CUDA_SUCCESS)
        return r;
    p->handles++;
    *handle = p->id;
    return CUDA_SUCCESS;
}

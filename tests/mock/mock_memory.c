// SPDX-License-Identifier: Apache-2.0
// Allocating and freeing device and pinned memory, registering host memory, and the questions about both.
#include <errno.h>

#include "api_mock.h"
#include "tests/mock/mock_arena.h"
#include "tests/mock/mock_limits.h"
#include "tests/mock/mock_sched.h"
#include "tests/mock/mock_space.h"
#include "tests/mock/mock_state.h"

static uint64_t host(const void *p) { return (uint64_t)(uintptr_t)p; }

// Freeing waits for the context's queued work, as a driver does: a kernel that uses the memory may still be on its way.
static void wait_for_work(void) { mock_context_wait(mock_context_here()); }

CUresult mock_cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)
{
    const struct mock_context *c = mock_context_here();
    uint64_t address;
    if (!dptr || !bytesize)
        return CUDA_ERROR_INVALID_VALUE;
    if (mock_arena_alloc(c->device, bytesize, c->id, 0, &address))
        return CUDA_ERROR_OUT_OF_MEMORY;
    *dptr = address;
    return CUDA_SUCCESS;
}

CUresult mock_cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *pPitch, size_t WidthInBytes, size_t Height,
                                 unsigned int ElementSizeBytes)
{
    size_t bytes;
    if (!dptr || !pPitch || !WidthInBytes || !Height || WidthInBytes > MOCK_PITCH_MAX ||
        (ElementSizeBytes != 4 && ElementSizeBytes != 8 && ElementSizeBytes != 16))
        return CUDA_ERROR_INVALID_VALUE;
    size_t pitch = (WidthInBytes + MOCK_PITCH_ALIGN - 1) / MOCK_PITCH_ALIGN * MOCK_PITCH_ALIGN;
    if (__builtin_mul_overflow(pitch, Height, &bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = mock_cuMemAlloc_v2(dptr, bytes);
    if (r == CUDA_SUCCESS)
        *pPitch = pitch;
    return r;
}

CUresult mock_cuMemFree_v2(CUdeviceptr dptr)
{
    struct mock_memory_info info;
    if (!dptr)
        return CUDA_SUCCESS;
    if (mock_memory_find(dptr, &info) || info.start != dptr || info.device < 0 || info.flags & MOCK_INTERNAL)
        return CUDA_ERROR_INVALID_VALUE;
    wait_for_work();
    return mock_arena_free(dptr) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult mock_cuMemGetInfo_v2(size_t *free, size_t *total)
{
    const struct mock_context *c = mock_context_here();
    if (!free || !total)
        return CUDA_ERROR_INVALID_VALUE;
    *free = mock_arena_free_bytes(c->device);
    *total = mock.options.mem_bytes;
    return CUDA_SUCCESS;
}

CUresult mock_cuMemGetAddressRange_v2(CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr)
{
    struct mock_memory_info info;
    struct mock_mapping_info mapping;
    if (!mock_space_look(dptr, &mapping)) {
        info.start = mapping.start;
        info.size_bytes = mapping.size_bytes;
    } else if (mock_memory_find(dptr, &info)) {
        return CUDA_ERROR_NOT_FOUND;
    }
    if (pbase)
        *pbase = info.start;
    if (psize)
        *psize = info.size_bytes;
    return CUDA_SUCCESS;
}

// --- host memory

CUresult mock_cuMemHostAlloc(void **pp, size_t bytesize, unsigned int Flags)
{
    const unsigned known = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
    const struct mock_context *c = mock_context_here();
    uint64_t address;
    if (!pp || Flags & ~known)
        return CUDA_ERROR_INVALID_VALUE;
    if (!bytesize) { // no error, as it is with cuMemAlloc
        *pp = NULL;
        return CUDA_SUCCESS;
    }
    if (mock_pinned_alloc(bytesize, c->id, Flags, &address))
        return CUDA_ERROR_OUT_OF_MEMORY;
    *pp = (void *)(uintptr_t)address;
    return CUDA_SUCCESS;
}

CUresult mock_cuMemAllocHost_v2(void **pp, size_t bytesize)
{
    return mock_cuMemHostAlloc(pp, bytesize, CU_MEMHOSTALLOC_DEVICEMAP);
}

CUresult mock_cuMemFreeHost(void *p)
{
    struct mock_memory_info info;
    if (!p)
        return CUDA_SUCCESS;
    if (mock_memory_find(host(p), &info) || info.start != host(p) || info.device >= 0 ||
        info.flags & MOCK_HOST_REGISTERED)
        return CUDA_ERROR_INVALID_VALUE;
    wait_for_work();
    return mock_pinned_remove(host(p), false) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult mock_cuMemHostRegister_v2(void *p, size_t bytesize, unsigned int Flags)
{
    const unsigned known = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
                           CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY;
    if (!p || !bytesize || Flags & ~known || mock_memory_is_device(host(p)))
        return CUDA_ERROR_INVALID_VALUE;
    if (Flags & CU_MEMHOSTREGISTER_IOMEMORY)
        return CUDA_ERROR_NOT_SUPPORTED;
    switch (mock_pinned_add(host(p), bytesize, mock_context_here()->id, Flags | MOCK_HOST_REGISTERED)) {
    case 0: return CUDA_SUCCESS;
    case -EEXIST: return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    default: return CUDA_ERROR_OUT_OF_MEMORY;
    }
}

CUresult mock_cuMemHostUnregister(void *p)
{
    struct mock_memory_info info;
    if (!p)
        return CUDA_ERROR_INVALID_VALUE;
    if (mock_memory_find(host(p), &info) || info.device >= 0)
        return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    if (info.start != host(p) || !(info.flags & MOCK_HOST_REGISTERED))
        return CUDA_ERROR_INVALID_VALUE;
    wait_for_work();
    return mock_pinned_remove(host(p), true) ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED : CUDA_SUCCESS;
}

// The pinned range that holds `p`.
static CUresult pinned(const void *p, struct mock_memory_info *info)
{
    return p && !mock_memory_find(host(p), info) && info->device < 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult mock_cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p, unsigned int Flags)
{
    struct mock_memory_info info;
    CUresult r = pdptr && !Flags ? pinned(p, &info) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *pdptr = host(p); // unified addressing: the device uses the same address
    return r;
}

CUresult mock_cuMemHostGetFlags(unsigned int *pFlags, void *p)
{
    struct mock_memory_info info;
    CUresult r = pFlags ? pinned(p, &info) : CUDA_ERROR_INVALID_VALUE;
    if (r == CUDA_SUCCESS)
        *pFlags = (info.flags & 0xffff) | CU_MEMHOSTALLOC_DEVICEMAP; // everything pinned is mapped
    return r;
}

// SPDX-License-Identifier: Apache-2.0
// Reservations, granules and mappings of a device of stubs. A range of addresses is an array of handles; the pool maps in granules, the program's
// own mappings may be larger.
#include "tests/fuzz/fake_vmm.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICE_GRANULES = 256, RANGE_GRANULES = 4096, HANDLES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // granules are made on a thread of their own
static uint64_t made, next_handle, next_range;
static uint64_t sizes[HANDLES];          // by handle - 1, in granules; 0: released
static uint16_t mapped[RANGE_GRANULES];  // of the first range: a handle, or 0

static void require(bool holds)
{
    if (!holds)
        abort();
}

static CUresult attribute(int *value, CUdevice_attribute a, CUdevice device)
{
    return (void)device, *value = a == CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, CUDA_SUCCESS;
}
static CUresult granularity(size_t *size, const CUmemAllocationProp *prop, CUmemAllocationGranularity_flags option)
{
    return (void)prop, (void)option, *size = FAKE_GRANULE_BYTES, CUDA_SUCCESS;
}
static CUresult info(size_t *free_bytes, size_t *total)
{
    pthread_mutex_lock(&lock);
    *free_bytes = (DEVICE_GRANULES - made) * FAKE_GRANULE_BYTES;
    *total = DEVICE_GRANULES * FAKE_GRANULE_BYTES;
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}
static bool granular(uint64_t n) { return n && !(n % FAKE_GRANULE_BYTES); }

static CUresult reserve(CUdeviceptr *at, size_t size, size_t alignment, CUdeviceptr hint, unsigned long long flags)
{
    (void)alignment, (void)hint, (void)flags;
    if (!granular(size) || size > RANGE_GRANULES * FAKE_GRANULE_BYTES || next_range > 1000)
        return CUDA_ERROR_INVALID_VALUE;
    *at = FAKE_RANGE_BASE + next_range++ * RANGE_GRANULES * FAKE_GRANULE_BYTES;
    return CUDA_SUCCESS;
}
static CUresult free_range(CUdeviceptr at, size_t size) { return granular(at) && granular(size) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; }

static CUresult create(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop, unsigned long long flags)
{
    uint64_t granules = size / FAKE_GRANULE_BYTES;
    if (!granular(size) || prop->location.id || flags)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    bool fits = granules <= DEVICE_GRANULES - made && next_handle < HANDLES;
    if (fits) {
        made += granules;
        sizes[next_handle] = granules;
        *handle = ++next_handle;
    }
    pthread_mutex_unlock(&lock);
    return fits ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
static CUresult release(CUmemGenericAllocationHandle handle)
{
    pthread_mutex_lock(&lock);
    require(handle && handle <= next_handle && sizes[handle - 1]);
    made -= sizes[handle - 1];
    sizes[handle - 1] = 0;
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

// The granules of the first range, or NULL: what the fuzzer makes of other addresses is the program's own affair.
static uint16_t *granules_of(CUdeviceptr at, size_t size)
{
    uint64_t first = (at - FAKE_RANGE_BASE) / FAKE_GRANULE_BYTES;
    return at >= FAKE_RANGE_BASE && first < RANGE_GRANULES && size / FAKE_GRANULE_BYTES <= RANGE_GRANULES - first ? mapped + first : NULL;
}

static CUresult map(CUdeviceptr at, size_t size, size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    uint16_t *granules = granules_of(at, size);
    if (!granular(at) || !granular(size) || offset || flags || !granules)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    require(handle && handle <= next_handle && sizes[handle - 1]);
    bool good = size / FAKE_GRANULE_BYTES <= sizes[handle - 1];
    for (uint64_t i = 0; i < size / FAKE_GRANULE_BYTES; i++)
        good = good && !granules[i];
    for (uint64_t i = 0; good && i < size / FAKE_GRANULE_BYTES; i++)
        granules[i] = (uint16_t)handle;
    pthread_mutex_unlock(&lock);
    return good ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
static CUresult unmap(CUdeviceptr at, size_t size)
{
    uint16_t *granules = granules_of(at, size);
    if (!granular(at) || !granular(size) || !granules)
        return CUDA_ERROR_INVALID_VALUE;
    for (uint64_t i = 0; i < size / FAKE_GRANULE_BYTES; i++)
        if (!granules[i])
            return CUDA_ERROR_INVALID_VALUE;
    memset(granules, 0, size / FAKE_GRANULE_BYTES * sizeof *granules);
    return CUDA_SUCCESS;
}
static CUresult set_access(CUdeviceptr at, size_t size, const CUmemAccessDesc *desc, size_t count)
{
    const uint16_t *granules = granules_of(at, size);
    (void)desc, (void)count;
    for (uint64_t i = 0; granules && i < size / FAKE_GRANULE_BYTES; i++)
        if (!granules[i])
            return CUDA_ERROR_INVALID_VALUE;
    return granules ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
static CUresult synchronize(void) { return CUDA_SUCCESS; }

void fake_vmm(struct gn_driver *driver)
{
    struct gn_driver_calls *c = &driver->calls;
    c->cuDeviceGetAttribute = attribute;
    c->cuMemGetAllocationGranularity = granularity;
    c->cuMemGetInfo_v2 = info;
    c->cuMemAddressReserve = reserve;
    c->cuMemAddressFree = free_range;
    c->cuMemCreate = create;
    c->cuMemRelease = release;
    c->cuMemMap = map;
    c->cuMemUnmap = unmap;
    c->cuMemSetAccess = set_access;
    c->cuCtxSynchronize = synchronize;
}

void fake_vmm_finish(void)
{
    require(made <= DEVICE_GRANULES);
    made = next_handle = next_range = 0;
    memset(sizes, 0, sizeof sizes);
    memset(mapped, 0, sizeof mapped);
}

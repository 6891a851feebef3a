// SPDX-License-Identifier: Apache-2.0
// Virtual memory management as a program uses it: address ranges, physical memory, mappings, access; and what is refused.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/e2e.h"

enum { WORDS = 1 << 19 }; // of one granule
#define GRANULE ((size_t)2 << 20)

static CUfunction fill, add, poke;
static CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
static CUmemAccessDesc both = {.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
static uint32_t *got;

static CUdeviceptr reserve(size_t size)
{
    CUdeviceptr at = 0;
    CU(cuMemAddressReserve(&at, size, 0, 0, 0));
    EXPECT(at && at % GRANULE == 0);
    return at;
}

static CUmemGenericAllocationHandle create(size_t size)
{
    CUmemGenericAllocationHandle handle = 0;
    CU(cuMemCreate(&handle, size, &prop, 0));
    EXPECT(handle != 0);
    return handle;
}

static void free_bytes(const char *when, size_t before)
{
    size_t now, total;
    CU(cuMemGetInfo(&now, &total));
    printf("%s: %ld MiB less are free\n", when, ((long)before - (long)now) / (1 << 20));
}

// A segment that grows and shrinks in place, as an allocator of a framework does it.
static void segment(void)
{
    enum { PIECES = 8 };
    CUmemGenericAllocationHandle handles[PIECES], again;
    size_t before, total;
    CU(cuMemGetInfo(&before, &total));
    CUdeviceptr at = reserve(64 * GRANULE);
    for (unsigned i = 0; i < PIECES; i++) {
        handles[i] = create(GRANULE);
        CU(cuMemMap(at + i * GRANULE, GRANULE, 0, handles[i], 0));
        CU(cuMemSetAccess(at + i * GRANULE, GRANULE, &both, 1));
    }
    free_bytes("eight pieces", before);
    e2e_fill(fill, NULL, at, PIECES * WORDS, 7); // across all seams
    e2e_add(add, NULL, at + GRANULE - 400, 200, 5);
    CU(cuMemcpyDtoH(got, at, PIECES * GRANULE));
    bool right = true;
    for (unsigned i = 0; i < PIECES * WORDS; i++)
        right = right && got[i] == 7 + i + (i >= WORDS - 100 && i < WORDS + 100 ? 5 : 0);
    EXPECT(right);
    CU(cuMemsetD32(at + 3 * GRANULE - 8, 9, 4));
    CU(cuMemcpyDtoD(at + 5 * GRANULE - 4, at + 3 * GRANULE - 8, 16));
    CU(cuMemcpyDtoH(got, at + 5 * GRANULE - 4, 20));
    printf("copied across a seam: %u %u %u %u, %d\n", got[0], got[1], got[2], got[3], got[4] == 7 + 5 * WORDS + 3);
    // The same piece at a second address.
    CU(cuMemMap(at + 40 * GRANULE, GRANULE, 0, handles[2], 0));
    CU(cuMemSetAccess(at + 40 * GRANULE, GRANULE, &both, 1));
    CU(cuMemsetD32(at + 40 * GRANULE, 4711, 10));
    CU(cuMemcpyDtoH(got, at + 2 * GRANULE, 4));
    printf("seen at both addresses: %u\n", got[0]);
    CU(cuMemUnmap(at + 40 * GRANULE, GRANULE));
    CU(cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)(at + 2 * GRANULE + 4096)));
    EXPECT(again == handles[2]);
    CU(cuMemRelease(again));
    for (unsigned i = 0; i < PIECES; i++)
        CU(cuMemRelease(handles[i]));
    free_bytes("released, still mapped", before);
    CU(cuMemcpyDtoH(got, at + 7 * GRANULE, 4));
    printf("still there: %u\n", got[0] - 7 - 7 * WORDS);
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(at, 64 * GRANULE));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemUnmap(at, 9 * GRANULE));
    CU(cuMemUnmap(at + 4 * GRANULE, 4 * GRANULE));
    CU(cuMemUnmap(at, 4 * GRANULE));
    free_bytes("unmapped", before);
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(at, 0, 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(got, at, 4));
    CU(cuMemAddressFree(at, 64 * GRANULE));
}

static void access_rights(void)
{
    unsigned long long flags = 99;
    CUmemAccessDesc none = both, reading = both;
    none.flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    reading.flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
    CUdeviceptr at = reserve(4 * GRANULE);
    CUmemGenericAllocationHandle handle = create(2 * GRANULE);
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemGetAccess(&flags, &both.location, at));
    CU(cuMemMap(at, 2 * GRANULE, 0, handle, 0));
    CU(cuMemGetAccess(&flags, &both.location, at));
    printf("access after mapping: %llu\n", flags);
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(at, 0, 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(got, at, 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemSetAccess(at, 3 * GRANULE, &both, 1));
    CU(cuMemSetAccess(at, 2 * GRANULE, &both, 1));
    CU(cuMemsetD32(at, 1234, 2 * WORDS));
    CU(cuMemSetAccess(at, 2 * GRANULE, &reading, 1));
    CU(cuMemGetAccess(&flags, &both.location, at + GRANULE));
    CU(cuMemcpyDtoH(got, at + 2 * GRANULE - 4, 4));
    printf("access to read: %llu, %u\n", flags, got[0]);
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(at, 0, 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(at + GRANULE - 4, got, 8));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoD(at + GRANULE, at, 8));
    CU(cuMemSetAccess(at, 2 * GRANULE, &none, 1));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(got, at, 4));
    CU(cuMemSetAccess(at, 2 * GRANULE, &both, 1));
    CU(cuMemcpyDtoH(got, at, 4));
    printf("and back: %u\n", got[0]);
    CU(cuMemUnmap(at, 2 * GRANULE));
    CU(cuMemRelease(handle));
    CU(cuMemAddressFree(at, 4 * GRANULE));
}

static void what_a_pointer_is(void)
{
    CUdeviceptr at = reserve(8 * GRANULE), base = 0;
    CUmemGenericAllocationHandle handle = create(2 * GRANULE);
    CUmemAllocationProp what = {0};
    CUmemorytype type = 0;
    size_t size = 0;
    int ordinal = -1;
    uint64_t start = 0;
    CU(cuMemMap(at + GRANULE, 2 * GRANULE, 0, handle, 0));
    CU(cuMemSetAccess(at + GRANULE, 2 * GRANULE, &both, 1));
    CUdeviceptr inside = at + 2 * GRANULE + 12;
    CU(cuMemGetAddressRange(&base, &size, inside));
    printf("range from %zu, %zu\n", (size_t)(base - at), size);
    CU(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, inside));
    CU(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, inside));
    CU(cuPointerGetAttribute(&start, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, inside));
    CU(cuPointerGetAttribute(&size, CU_POINTER_ATTRIBUTE_RANGE_SIZE, inside));
    printf("type %d, device %d, reservation from %zu, %zu\n", (int)type, ordinal, (size_t)(start - at), size);
    CU(cuPointerGetAttribute(&start, CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR, inside));
    CU(cuPointerGetAttribute(&size, CU_POINTER_ATTRIBUTE_MAPPING_SIZE, inside));
    printf("mapping from %zu, %zu\n", (size_t)(start - at), size);
    WANT(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree(at + GRANULE));
    CU(cuMemGetAllocationPropertiesFromHandle(&what, handle));
    printf("properties: type %d, at %d %d\n", (int)what.type, (int)what.location.type, what.location.id);
    CU(cuMemGetAllocationGranularity(&size, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    printf("granularity %zu\n", size);
    CU(cuMemUnmap(at + GRANULE, 2 * GRANULE));
    CU(cuMemRelease(handle));
    CU(cuMemAddressFree(at, 8 * GRANULE));
}

static void refusals(void)
{
    CUdeviceptr at = reserve(4 * GRANULE), other;
    CUmemGenericAllocationHandle handle = create(GRANULE), none;
    CUmemAllocationProp bad = prop;
    size_t size;
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&other, 0, 0, 0, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&other, 12345, 0, 0, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&other, GRANULE, 3, 0, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(&other, GRANULE, 0, 0, 1));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAddressReserve(NULL, GRANULE, 0, 0, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(at, GRANULE));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(at + GRANULE, 3 * GRANULE));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&none, 0, &prop, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&none, GRANULE + 1, &prop, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&none, GRANULE, &prop, 1));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&none, GRANULE, NULL, 0));
    WANT(CUDA_ERROR_OUT_OF_MEMORY, cuMemCreate(&none, (size_t)1 << 40, &prop, 0));
    bad.location.id = 99;
    WANT(CUDA_ERROR_INVALID_DEVICE, cuMemCreate(&none, GRANULE, &bad, 0));
    bad = prop;
    bad.type = CU_MEM_ALLOCATION_TYPE_INVALID;
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemCreate(&none, GRANULE, &bad, 0));
    bad = prop;
    bad.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    WANT(CUDA_ERROR_NOT_SUPPORTED, cuMemCreate(&none, GRANULE, &bad, 0));
    WANT(CUDA_ERROR_NOT_SUPPORTED, cuMemExportToShareableHandle(&size, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemMap(at, GRANULE, GRANULE, handle, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemMap(at, 2 * GRANULE, 0, handle, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemMap(at, GRANULE, 0, 12345, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemMap(at + 4096, GRANULE, 0, handle, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemMap(at + 4 * GRANULE, GRANULE, 0, handle, 0));
    CU(cuMemMap(at, GRANULE, 0, handle, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemMap(at, GRANULE, 0, handle, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemSetAccess(at, GRANULE, NULL, 1));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemSetAccess(at, GRANULE, &both, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemSetAccess(at + GRANULE, GRANULE, &both, 1));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemUnmap(at + GRANULE, GRANULE));
    CU(cuMemUnmap(at, GRANULE));
    CU(cuMemRelease(handle));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemRelease(handle));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemMap(at, GRANULE, 0, handle, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemRetainAllocationHandle(&none, (void *)(uintptr_t)at));
    CU(cuMemAddressFree(at, 4 * GRANULE));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAddressFree(at, 4 * GRANULE));
}

// Last: an address that is reserved and not mapped is none for a kernel.
static void not_for_kernels(void)
{
    CUdeviceptr at = reserve(2 * GRANULE);
    unsigned value = 1;
    void *params[] = {&at, &value};
    e2e_launch(poke, NULL, 1, params);
    WANT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
}

int main(void)
{
    e2e_open(0);
    fill = e2e_kernel("fill");
    add = e2e_kernel("add");
    poke = e2e_kernel("poke");
    got = malloc(8 * GRANULE);
    segment();
    access_rights();
    what_a_pointer_is();
    refusals();
    not_for_kernels();
    free(got);
    return e2e_finish();
}

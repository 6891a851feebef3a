// SPDX-License-Identifier: Apache-2.0
// Error cases: device memory, pinned and registered host memory, questions about addresses.
#include "tests/errors/table.h"

static void device(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Device memory", A_CONTEXT, 0);
    CASE("no bytes", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemAlloc", cuMemAlloc(&f->out.address, 0));
    CASE("nowhere to put the address", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemAlloc: returns", cuMemAlloc(NULL, 100));
    CASE("more than any device has", CUDA_ERROR_OUT_OF_MEMORY, AT_CALL, DOCUMENTED, "cuMemAlloc: returns",
         cuMemAlloc(&f->out.address, (size_t)1 << 46));
    CASE("the most bytes there are", CUDA_ERROR_OUT_OF_MEMORY, AT_CALL, DOCUMENTED, "cuMemAlloc: returns",
         cuMemAlloc(&f->out.address, SIZE_MAX));
    CASE("one byte more than the most", CUDA_ERROR_OUT_OF_MEMORY, AT_CALL, DOCUMENTED, "cuMemAlloc: returns",
         cuMemAlloc(&f->out.address, SIZE_MAX - 511));
    CASE("elements of 3 bytes", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemAllocPitch",
         cuMemAllocPitch(&f->out.address, &f->out.size, 100, 4, 3));
    CASE("rows of no bytes", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", cuMemAllocPitch(&f->out.address, &f->out.size, 0, 4, 4));
    CASE("no rows", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", cuMemAllocPitch(&f->out.address, &f->out.size, 100, 0, 4));
    CASE("nowhere to put the pitch", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemAllocPitch: returns",
         cuMemAllocPitch(&f->out.address, NULL, 100, 4, 4));
    CASE("more rows than any device has", CUDA_ERROR_OUT_OF_MEMORY, AT_CALL, DOCUMENTED, "cuMemAllocPitch: returns",
         cuMemAllocPitch(&f->out.address, &f->out.size, 4096, (size_t)1 << 40, 4));
    CASE("freeing an address inside", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemFree: returns", cuMemFree(f->memory + 8));
    CASE("freeing an address of nothing", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemFree: returns", cuMemFree(0x123456));
    CASE("freeing twice", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemFree: returns", cuMemFree(f->freed));
    CASE("freeing pageable memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", cuMemFree((CUdeviceptr)(uintptr_t)f->host));
    CASE("freeing pinned memory as device memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         cuMemFree((CUdeviceptr)(uintptr_t)f->pinned));
    CASE_AFTER("freeing a module's variable", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
               MUST(cuModuleGetGlobal(&f->out.address2, NULL, f->module, "counter")),
               table_forget(&f->out.address2, sizeof f->out.address2, cuMemFree(f->out.address2)));
    CASE("freeing nothing", CUDA_SUCCESS, AT_CALL, REPORTED, "cuda-python: memory resources free 0", cuMemFree(0));
    CASE("nowhere to put what is free", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemGetInfo: returns",
         cuMemGetInfo(NULL, &f->out.size));
    CASE("the range of an address of nothing", CUDA_ERROR_NOT_FOUND, AT_CALL, DOCUMENTED, "cuMemGetAddressRange: returns",
         cuMemGetAddressRange(&f->out.address, &f->out.size, 0x123456));
    CASE("the range of address 0", CUDA_ERROR_NOT_FOUND, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuMemGetAddressRange(&f->out.address, &f->out.size, 0));
    CASE("the range behind the end", CUDA_ERROR_NOT_FOUND, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuMemGetAddressRange(&f->out.address, &f->out.size, f->memory + ((CUdeviceptr)1 << 40)));
    CASE("the range of freed memory", CUDA_ERROR_NOT_FOUND, AT_CALL, DOCUMENTED, "cuMemGetAddressRange: returns",
         cuMemGetAddressRange(&f->out.address, &f->out.size, f->freed));
    CASE("the range of pageable memory", CUDA_ERROR_NOT_FOUND, AT_CALL, DOCUMENTED, "cuMemGetAddressRange: returns",
         cuMemGetAddressRange(&f->out.address, &f->out.size, (CUdeviceptr)(uintptr_t)f->host));
    section(t, "Device memory, and no error", A_CONTEXT, WRITES);
    CASE("the range of pinned memory", CUDA_SUCCESS, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuMemGetAddressRange(&f->out.address, &f->out.size, (CUdeviceptr)(uintptr_t)f->pinned + 20));
    CASE("the range, into nowhere", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuMemGetAddressRange: optional",
         cuMemGetAddressRange(NULL, NULL, f->memory + 5));
}

static CUresult register_then(struct fixture *f, uint8_t *at, size_t bytes, unsigned flags)
{
    MUST(cuMemHostRegister(f->host, MEMORY_BYTES, 0));
    CUresult r = cuMemHostRegister(at, bytes, flags);
    if (!r)
        MUST(cuMemHostUnregister(at));
    MUST(cuMemHostUnregister(f->host));
    return r;
}

static CUresult unregister_inside(struct fixture *f)
{
    MUST(cuMemHostRegister(f->host, MEMORY_BYTES, 0));
    CUresult r = cuMemHostUnregister(f->host + 64);
    MUST(cuMemHostUnregister(f->host));
    return r;
}

static CUresult unregister_twice(struct fixture *f)
{
    MUST(cuMemHostRegister(f->host, MEMORY_BYTES, 0));
    MUST(cuMemHostUnregister(f->host));
    return cuMemHostUnregister(f->host);
}

static CUresult free_registered(struct fixture *f)
{
    MUST(cuMemHostRegister(f->host, MEMORY_BYTES, 0));
    CUresult r = cuMemFreeHost(f->host);
    MUST(cuMemHostUnregister(f->host));
    return r;
}

static CUresult flags_are(struct fixture *f, unsigned flags)
{
    void *p;
    MUST(cuMemHostAlloc(&p, 100, 0));
    MUST(cuMemHostGetFlags(&f->out.word, p));
    MUST(cuMemFreeHost(p));
    return f->out.word == flags ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

static void pinned(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Pinned and registered host memory", A_CONTEXT, 0);
    CASE("nowhere to put the address", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemAllocHost: returns", cuMemAllocHost(NULL, 100));
    CASE("unknown flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemHostAlloc: returns",
         cuMemHostAlloc(&f->out.pointer, 100, 0x100));
    CASE("more than there is", CUDA_ERROR_OUT_OF_MEMORY, AT_CALL, DOCUMENTED, "cuMemAllocHost: returns",
         cuMemAllocHost(&f->out.pointer, (size_t)1 << 50));
    CASE("freeing pageable memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemFreeHost: returns", cuMemFreeHost(f->host));
    CASE("freeing an address inside", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemFreeHost: returns", cuMemFreeHost(f->pinned + 8));
    CASE("freeing registered memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", free_registered(f));
    CASE("registering nothing", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemHostRegister: returns", cuMemHostRegister(NULL, 100, 0));
    CASE("registering no bytes", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemHostRegister: returns",
         cuMemHostRegister(f->host, 0, 0));
    CASE("registering with unknown flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemHostRegister: returns",
         cuMemHostRegister(f->host, 100, 0x100));
    CASE("registering twice", CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, AT_CALL, DOCUMENTED, "cuMemHostRegister: returns",
         register_then(f, f->host, MEMORY_BYTES, 0));
    CASE("registering a part again", CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, AT_CALL, REPORTED, "lupine#437, driver 590.48",
         register_then(f, f->host + 512, 64, 0));
    CASE("registering what overlaps the end", CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, AT_CALL, REPORTED, "lupine#437, driver 590.48",
         register_then(f, f->host + MEMORY_BYTES - 8, 64, 0));
    CASE("registering pinned memory", CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, AT_CALL, ASSUMED, "",
         cuMemHostRegister(f->pinned, MEMORY_BYTES, 0));
    CASE("registering device memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         cuMemHostRegister((void *)(uintptr_t)f->memory, MEMORY_BYTES, 0));
    CASE("unregistering what is not", CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuMemHostUnregister(f->host));
    CASE("unregistering twice", CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         unregister_twice(f));
    CASE("unregistering an address inside", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "lupine#605, driver 590.48", unregister_inside(f));
    CASE("unregistering pinned memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "lupine#437, driver 590.48",
         cuMemHostUnregister(f->pinned));
    CASE("unregistering nothing", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuMemHostUnregister(NULL));
    CASE("the flags of pageable memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemHostGetFlags",
         cuMemHostGetFlags(&f->out.word, f->host));
    CASE("nowhere to put the flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemHostGetFlags: returns",
         cuMemHostGetFlags(NULL, f->pinned));
    CASE("the device's address of pageable memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemHostGetDevicePointer: returns",
         cuMemHostGetDevicePointer(&f->out.address, f->host, 0));
    CASE("the device's address with flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemHostGetDevicePointer",
         cuMemHostGetDevicePointer(&f->out.address, f->pinned, 1));
    section(t, "Pinned and registered host memory, and no error", A_CONTEXT, WRITES);
    CASE("no bytes of pinned memory", CUDA_SUCCESS, AT_CALL, REPORTED, "lupine#437, driver 590.48", cuMemHostAlloc(&f->out.pointer, 0, 0));
    CASE("registering the neighbour on the same page", CUDA_SUCCESS, AT_CALL, REPORTED, "lupine#878, driver 590.48",
         register_then(f, f->host + MEMORY_BYTES, 20, 0));
    CASE("registering unaligned bytes", CUDA_SUCCESS, AT_CALL, REPORTED, "lupine#437, driver 590.48",
         register_then(f, f->host + MEMORY_BYTES + 13, 7, CU_MEMHOSTREGISTER_DEVICEMAP));
    CASE("pinned memory is mapped without asking", CUDA_SUCCESS, AT_CALL, REPORTED, "lupine#437, driver 590.48",
         flags_are(f, CU_MEMHOSTALLOC_DEVICEMAP));
    section(t, "Freed pinned memory", A_CONTEXT, UNDEFINED);
    CASE_AFTER("freeing twice", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", void *p; MUST(cuMemAllocHost(&p, 100)); MUST(cuMemFreeHost(p)),
               cuMemFreeHost(p));
}

static CUresult attributes_of(struct fixture *f, CUdeviceptr at)
{
    CUmemorytype type = 77;
    CUcontext context = f->context;
    CUpointer_attribute which[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_CONTEXT};
    void *where[] = {&type, &context};
    CUresult r = cuPointerGetAttributes(2, which, where, at);
    return r ? r : type == 0 && !context ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

static void questions(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Questions about addresses", A_CONTEXT, 0);
    CASE("an unknown attribute", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "lupine#436, driver 590.48",
         cuPointerGetAttribute(&f->out.number, (CUpointer_attribute)999, f->memory));
    CASE("nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuPointerGetAttribute: returns",
         cuPointerGetAttribute(NULL, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, f->memory));
    CASE("the type of pageable memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuPointerGetAttribute: returns",
         cuPointerGetAttribute(&f->out.number, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (CUdeviceptr)(uintptr_t)f->host));
    CASE("the context of pageable memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuPointerGetAttribute: returns",
         cuPointerGetAttribute(&f->out.context, CU_POINTER_ATTRIBUTE_CONTEXT, (CUdeviceptr)(uintptr_t)f->host));
    CASE("the type of freed memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuPointerGetAttribute: returns",
         cuPointerGetAttribute(&f->out.number, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, f->freed));
    CASE("the host's address of device memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuPointerGetAttribute",
         cuPointerGetAttribute(&f->out.pointer, CU_POINTER_ATTRIBUTE_HOST_POINTER, f->memory));
    CASE("the type of address 0", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuPointerGetAttribute: returns",
         cuPointerGetAttribute(&f->out.number, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, 0));
    CASE("several, nowhere to put them", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuPointerGetAttributes(1, (CUpointer_attribute[]){CU_POINTER_ATTRIBUTE_MEMORY_TYPE}, NULL, f->memory));
    CASE("none of them", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuPointerGetAttributes(0, (CUpointer_attribute[]){CU_POINTER_ATTRIBUTE_MEMORY_TYPE}, (void *[]){&f->out.number}, f->memory));
    CASE("several, not said which", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuPointerGetAttributes(1, NULL, (void *[]){&f->out.number}, f->memory));
    CASE("several, an unknown one", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "lupine#436, driver 590.48",
         cuPointerGetAttributes(1, (CUpointer_attribute[]){(CUpointer_attribute)999}, (void *[]){&f->out.number}, f->memory));
    CASE("setting an unknown one", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuPointerSetAttribute: returns",
         cuPointerSetAttribute(&(int){1}, (CUpointer_attribute)999, f->memory));
    CASE("setting one that only tells", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuPointerSetAttribute: returns",
         cuPointerSetAttribute(&(int){1}, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, f->memory));
    CASE("setting nothing", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuPointerSetAttribute: returns",
         cuPointerSetAttribute(NULL, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, f->memory));
    CASE("setting one of pageable memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuPointerSetAttribute: returns",
         cuPointerSetAttribute(&(int){1}, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, (CUdeviceptr)(uintptr_t)f->host));
    CASE("several of pageable memory are zeros", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuPointerGetAttributes",
         attributes_of(f, (CUdeviceptr)(uintptr_t)f->host));
}

void cases_memory(struct table *t)
{
    device(t);
    pinned(t);
    questions(t);
}

// SPDX-License-Identifier: Apache-2.0
// Does every wrong call give the code that a driver gives, at the call where a driver gives it, and does what
// fails on the device surface at the next call that waits, and stay where it is lasting?
//
// The codes are printed, so that a difference between the ways to a device shows in the output, and each has
// its expectation beside it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/e2e.h"

enum { BYTES = 4096 };

extern const char e2e_kernels_ptx[];

static CUdevice device;
static CUcontext context, elsewhere; // two contexts of one device
static CUmodule module;
static CUfunction fill, dynamic, small_blocks, nothing, poke;
static CUdeviceptr memory;
static CUstream stream;
static uint8_t host[BYTES * 2];

static CUresult launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                       unsigned bz, unsigned shared_bytes, CUstream s)
{
    unsigned count = 4, value = 1;
    void *parameters[] = {&memory, &count, &value};
    return cuLaunchKernel(f, gx, gy, gz, bx, by, bz, shared_bytes, s, parameters, NULL);
}

static void before_init(void)
{
    int n;
    CUdevice d;
    CUcontext c;
    CUdeviceptr p;
    printf("-- before cuInit\n");
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGetCount(&n));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGet(&d, 0));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuCtxGetCurrent(&c));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc(&p, 100));
    WANT(CUDA_ERROR_INVALID_VALUE, cuInit(1));
}

static void devices_and_no_context(void)
{
    CUdevice d;
    CUdeviceptr p;
    CUstream s;
    CUcontext c;
    int value;
    char name[64];
    printf("-- devices, and no context\n");
    WANT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&d, -1));
    WANT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGet(&d, 1000));
    WANT(CUDA_ERROR_INVALID_VALUE, cuDeviceGet(NULL, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuDeviceGetCount(NULL));
    WANT(CUDA_ERROR_INVALID_VALUE, cuDeviceGetAttribute(&value, (CUdevice_attribute)100000, device));
    WANT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 77));
    WANT(CUDA_ERROR_INVALID_DEVICE, cuDeviceGetName(name, sizeof name, 77));
    WANT(CUDA_ERROR_INVALID_DEVICE, cuCtxCreate(&c, NULL, 0, 77));
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuMemAlloc(&p, 100));
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuStreamCreate(&s, 0));
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuCtxSynchronize());
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPopCurrent(&c));
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuMemcpyHtoD(0x1000, host, 4));
}

static void launches(void)
{
    CUstream theirs;
    void *none[] = {NULL};
    printf("-- launches\n");
    WANT(CUDA_SUCCESS, launch(fill, 1, 1, 1, 32, 1, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(fill, 0, 1, 1, 32, 1, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 0, 1, 32, 1, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 1, 1, 0, 1, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 65536, 1, 32, 1, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 1, 65536, 32, 1, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(fill, 0x80000000u, 1, 1, 32, 1, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 1, 1, 1025, 1, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 1, 1, 64, 64, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 1, 1, 1, 1, 65, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(fill, 1, 1, 1, 65536, 65536, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(small_blocks, 1, 1, 1, 65, 1, 1, 0, stream));
    WANT(CUDA_SUCCESS, launch(dynamic, 1, 1, 1, 16, 1, 1, 48 << 10, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(dynamic, 1, 1, 1, 16, 1, 1, (48 << 10) + 4, stream));
    WANT(CUDA_ERROR_INVALID_VALUE,
         cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 20));
    WANT(CUDA_SUCCESS,
         cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60 << 10));
    WANT(CUDA_SUCCESS, launch(dynamic, 1, 1, 1, 16, 1, 1, 60 << 10, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, launch(dynamic, 1, 1, 1, 16, 1, 1, (60 << 10) + 4, stream));
    WANT(CUDA_ERROR_INVALID_HANDLE, launch(NULL, 1, 1, 1, 32, 1, 1, 0, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(fill, 1, 1, 1, 32, 1, 1, 0, stream, NULL, NULL));
    WANT(CUDA_SUCCESS, cuLaunchKernel(nothing, 1, 1, 1, 32, 1, 1, 0, stream, none, NULL));
    WANT(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
         cuLaunchCooperativeKernel(nothing, 1 << 20, 1, 1, 1024, 1, 1, 0, stream, none));
    CU(cuCtxPushCurrent(elsewhere));
    CU(cuStreamCreate(&theirs, 0));
    CU(cuCtxPopCurrent(NULL));
    WANT(CUDA_ERROR_INVALID_HANDLE, launch(fill, 1, 1, 1, 32, 1, 1, 0, theirs));
    WANT(CUDA_SUCCESS, cuCtxSynchronize());
}

static void handles(void)
{
    CUstream s;
    CUevent e, started;
    CUmodule m;
    CUfunction f;
    CUdeviceptr p;
    size_t size;
    float ms;
    void *none[] = {NULL};
    printf("-- handles\n");
    CU(cuStreamCreate(&s, 0));
    WANT(CUDA_SUCCESS, cuStreamDestroy(s));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy(NULL));
    WANT(CUDA_ERROR_INVALID_VALUE, cuStreamCreate(NULL, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuStreamCreate(&s, 0x40));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuEventDestroy(NULL));
    WANT(CUDA_ERROR_INVALID_VALUE, cuEventCreate(NULL, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&e, 0x100));
    CU(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
    CU(cuEventCreate(&started, 0));
    WANT(CUDA_SUCCESS, cuEventQuery(e));
    CU(cuEventRecord(e, stream));
    CU(cuEventRecord(started, stream));
    CU(cuStreamSynchronize(stream));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, started, e));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(NULL, stream));
    CU(cuEventDestroy(e));
    CU(cuEventCreate(&e, 0));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, started, e)); // never recorded
    CU(cuEventDestroy(e));
    CU(cuEventDestroy(started));
    CU(cuModuleLoadData(&m, e2e_kernels_ptx));
    WANT(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&f, m, "no such kernel"));
    WANT(CUDA_ERROR_INVALID_VALUE, cuModuleGetFunction(&f, m, ""));
    WANT(CUDA_ERROR_INVALID_VALUE, cuModuleGetFunction(&f, m, NULL));
    WANT(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal(&p, &size, m, "no such variable"));
    WANT(CUDA_SUCCESS, cuModuleGetGlobal(&p, &size, m, "counter"));
    WANT(CUDA_SUCCESS, cuModuleGetFunction(&f, m, "nothing"));
    WANT(CUDA_SUCCESS, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, none, NULL));
    WANT(CUDA_SUCCESS, cuModuleUnload(m));
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy(NULL));
}

// A real driver may crash on these, so there is no telling what it gives; Genie and the mock refuse them.
static void destroyed_handles(void)
{
    CUstream s;
    CUevent e;
    CUmodule m;
    CUfunction f;
    CUcontext c;
    void *none[] = {NULL};
    printf("-- destroyed handles\n");
    CU(cuStreamCreate(&s, 0));
    CU(cuEventCreate(&e, 0));
    CU(cuStreamDestroy(s));
    CU(cuEventDestroy(e));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuStreamSynchronize(s));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuStreamQuery(s));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuStreamDestroy(s));
    WANT(CUDA_ERROR_INVALID_HANDLE, launch(fill, 1, 1, 1, 32, 1, 1, 0, s));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuMemsetD8Async(memory, 1, 16, s));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuMemcpyHtoDAsync(memory, host, 16, s));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(e, stream));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuEventSynchronize(e));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuEventQuery(e));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuEventDestroy(e));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuStreamWaitEvent(stream, e, 0));
    CU(cuModuleLoadData(&m, e2e_kernels_ptx));
    CU(cuModuleGetFunction(&f, m, "nothing"));
    CU(cuModuleUnload(m));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(m));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuModuleGetFunction(&f, m, "nothing"));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, stream, none, NULL));
    CU(cuCtxCreate(&c, NULL, 0, device));
    CU(cuCtxDestroy(c));
    CU(cuCtxSetCurrent(context));
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy(c));
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuCtxSetCurrent(c));
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPushCurrent(c));
}

static void copies(void)
{
    CUdeviceptr p;
    void *pinned;
    size_t free_bytes, total_bytes, pitch;
    CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                       .srcHost = host,
                       .srcPitch = 64,
                       .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                       .dstDevice = memory,
                       .dstPitch = 64,
                       .WidthInBytes = 65,
                       .Height = 4};
    printf("-- memory and copies\n");
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAlloc(&p, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAlloc(NULL, 100));
    WANT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&p, (size_t)1 << 46));
    WANT(CUDA_SUCCESS, cuMemGetInfo(&free_bytes, &total_bytes));
    WANT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&p, total_bytes + 1));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAllocPitch(&p, &pitch, 100, 4, 3));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree(memory + 8));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree(0x123456));
    WANT(CUDA_SUCCESS, cuMemFree(0));
    CU(cuMemAlloc(&p, BYTES));
    WANT(CUDA_SUCCESS, cuMemFree(p));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree(p));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(memory, host, BYTES + 1));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(memory + 1, host, BYTES));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(host, memory, BYTES + 1));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(host, memory + BYTES - 4, 8));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoDAsync(memory, host, BYTES + 1, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoHAsync(host, memory, BYTES + 1, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoD(memory, memory + 8, BYTES));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoDAsync(memory, memory + 8, BYTES, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(0, host, 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(memory, NULL, 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(NULL, memory, 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(0x5000, host, 4));
    WANT(CUDA_SUCCESS, cuMemcpyHtoD(memory, host, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8(memory, 1, BYTES + 1));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8Async(memory, 1, BYTES + 1, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemsetD16(memory + 1, 1, 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32(memory + 2, 1, 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemsetD32Async(memory, 1, BYTES / 4 + 1, stream));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemsetD2D8(memory, 64, 1, 65, 2));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&c)); // wider than the pitch
    c.WidthInBytes = 64;
    c.Height = BYTES / 64 + 1;
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(&c)); // beyond the end
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D(NULL));
    WANT(CUDA_SUCCESS, cuMemAllocHost(&pinned, 0));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(host));
    WANT(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(host));
    WANT(CUDA_SUCCESS, cuMemHostRegister(host, sizeof host, 0));
    WANT(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister(host, sizeof host, 0));
    WANT(CUDA_SUCCESS, cuMemHostUnregister(host));
    WANT(CUDA_SUCCESS, cuCtxSynchronize());
}

static void images(void)
{
    static const struct {
        const char *name, *text;
    } bad[] = {
        {"nothing", ""},
        {"words", "these are no kernels"},
        {"no target", ".version 7.5\n.visible .entry k() { ret; }\n"},
        {"an unknown instruction",
         ".version 7.5\n.target sm_75\n.address_size 64\n.visible .entry k() { frobnicate.u32 %r1; ret; }\n"},
        {"cut off", ".version 7.5\n.target sm_75\n.address_size 64\n.visible .entry k() {"},
    };
    CUmodule m;
    CUlibrary l;
    printf("-- images\n");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CUresult r = cuModuleLoadData(&m, bad[i].text);
        printf("%s: %s\n", bad[i].name, e2e_name(r));
        EXPECT(r == CUDA_ERROR_INVALID_PTX || r == CUDA_ERROR_INVALID_IMAGE);
    }
    WANT(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(&m, NULL));
    WANT(CUDA_ERROR_INVALID_VALUE, cuModuleLoadData(NULL, e2e_kernels_ptx));
    WANT(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&m, "/nowhere/at/all.ptx"));
    CUresult r = cuLibraryLoadData(&l, bad[4].text, NULL, NULL, 0, NULL, NULL, 0);
    printf("library, cut off: %s\n", e2e_name(r));
    EXPECT(r == CUDA_ERROR_INVALID_PTX || r == CUDA_ERROR_INVALID_IMAGE);
    WANT(CUDA_ERROR_FILE_NOT_FOUND,
         cuLibraryLoadFromFile(&l, "/nowhere/at/all.fatbin", NULL, NULL, 0, NULL, NULL, 0));
    WANT(CUDA_SUCCESS, cuCtxSynchronize());
}

static CUresult poke_at(CUdeviceptr at)
{
    unsigned value = 5;
    void *parameters[] = {&at, &value};
    return cuLaunchKernel(poke, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL);
}

// In a context of its own, which is lost by it; `first` is the call that tells.
static void lasting(const char *name, CUdeviceptr at, CUresult code, CUresult (*first)(void))
{
    CUcontext lost, fresh;
    CUdeviceptr p, mine;
    CUstream s;
    uint32_t word = 0;
    printf("-- a kernel writes to %s\n", name);
    CU(cuCtxCreate(&lost, NULL, 0, device));
    mine = e2e_alloc(64);
    CU(cuModuleGetFunction(&poke, e2e_module(), "poke"));
    CU(poke_at(mine));
    CU(cuMemcpyDtoH(&word, mine, 4));
    EXPECT(word == 5);
    WANT(CUDA_SUCCESS, poke_at(at ? at : mine + 2));
    WANT(code, first());
    WANT(code, cuCtxSynchronize());
    WANT(code, cuMemAlloc(&p, 100));
    WANT(code, cuMemcpyDtoH(&word, mine, 4));
    WANT(code, cuStreamCreate(&s, 0));
    WANT(code, poke_at(mine));
    CUresult r = cuCtxDestroy(lost);
    EXPECT(r == CUDA_SUCCESS || r == code); // drivers differ
    CU(cuCtxCreate(&fresh, NULL, 0, device));
    mine = e2e_alloc(64);
    CU(cuModuleGetFunction(&poke, e2e_module(), "poke"));
    WANT(CUDA_SUCCESS, poke_at(mine));
    WANT(CUDA_SUCCESS, cuMemcpyDtoH(&word, mine, 4));
    EXPECT(word == 5);
    CU(cuCtxDestroy(fresh));
    CU(cuCtxSetCurrent(context));
}

static CUresult by_context(void) { return cuCtxSynchronize(); }
static CUresult by_stream(void) { return cuStreamSynchronize(NULL); }
static CUresult by_copy(void) { return cuMemcpyDtoH(host, memory, 4); }
static CUresult by_event(void)
{
    CUevent event;
    CUresult r = cuEventCreate(&event, 0);
    if (!r)
        r = cuEventRecord(event, NULL);
    return r ? r : cuEventSynchronize(event);
}

int main(int argc, char **argv)
{
    before_init();
    CU(cuInit(0));
    CU(cuDeviceGet(&device, 0));
    devices_and_no_context();
    CU(cuCtxCreate(&elsewhere, NULL, 0, device));
    CU(cuCtxCreate(&context, NULL, 0, device));
    module = e2e_module();
    CU(cuModuleGetFunction(&fill, module, "fill"));
    CU(cuModuleGetFunction(&dynamic, module, "dynamic"));
    CU(cuModuleGetFunction(&small_blocks, module, "small_blocks"));
    CU(cuModuleGetFunction(&nothing, module, "nothing"));
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    memory = e2e_alloc(BYTES);
    launches();
    handles();
    if (argc < 2 || strcmp(argv[1], "--real"))
        destroyed_handles();
    copies();
    images();
    lasting("an address where nothing is", 0x500000000000, CUDA_ERROR_ILLEGAL_ADDRESS, by_context);
    lasting("the lowest addresses", 0x10, CUDA_ERROR_ILLEGAL_ADDRESS, by_stream);
    lasting("an odd address", 0, CUDA_ERROR_MISALIGNED_ADDRESS, by_copy);
    lasting("the host's memory", (CUdeviceptr)(uintptr_t)&argc, CUDA_ERROR_ILLEGAL_ADDRESS, by_event);
    WANT(CUDA_SUCCESS, launch(fill, 1, 1, 1, 32, 1, 1, 0, stream)); // the other context is as it was
    WANT(CUDA_SUCCESS, cuCtxSynchronize());
    CU(cuCtxDestroy(context));
    CU(cuCtxDestroy(elsewhere));
    return e2e_finish();
}

// SPDX-License-Identifier: Apache-2.0
// Error cases: what goes wrong on the device and stays so, what still works in a context that is lost, and how one gets out.
#include "tests/errors/table.h"

enum { TRAP, MISALIGNED, SHARED, ASSERT, LOW_LOAD };

static void faults(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Errors of kernels", A_CONTEXT, 0);
    CASE("a store to an address of nothing", CUDA_ERROR_ILLEGAL_ADDRESS, LASTING, DOCUMENTED, "CUresult", poke_at(f, 0x500000000000));
    CASE("a store to a low address", CUDA_ERROR_ILLEGAL_ADDRESS, LASTING, DOCUMENTED, "CUresult", poke_at(f, 0x10));
    CASE("a load from address 0", CUDA_ERROR_ILLEGAL_ADDRESS, LASTING, DOCUMENTED, "CUresult", fault(f, LOW_LOAD));
    CASE("a store to freed memory", CUDA_ERROR_ILLEGAL_ADDRESS, LASTING, ASSUMED, "a driver may keep some of it mapped",
         poke_at(f, f->freed + FREED_BYTES / 2));
    CASE("a store to pageable memory", CUDA_ERROR_ILLEGAL_ADDRESS, LASTING, ASSUMED, "without HMM or ATS",
         poke_at(f, (CUdeviceptr)(uintptr_t)f->host));
    CASE("a misaligned store", CUDA_ERROR_MISALIGNED_ADDRESS, LASTING, DOCUMENTED, "CUresult", fault(f, MISALIGNED));
    CASE("a store far beyond the shared memory", CUDA_ERROR_ILLEGAL_ADDRESS, LASTING, ASSUMED, "", fault(f, SHARED));
    CASE("a failed assertion", CUDA_ERROR_ASSERT, LASTING, DOCUMENTED, "CUresult", fault(f, ASSERT));
    CASE("a trap", CUDA_ERROR_LAUNCH_FAILED, LASTING, REPORTED, "what __trap() gives: \"unspecified launch failure\"", fault(f, TRAP));
}

// A kernel writes to an address of nothing; then this call is the first that can tell.
static CUresult first(struct fixture *f, CUresult (*call)(struct fixture *f))
{
    MUST(cuEventRecord(f->event, NULL)); // so that nobody takes an older record for the one after the kernel
    MUST(cuEventSynchronize(f->event));
    MUST(poke_at(f, 0x500000000000));
    return call(f);
}
static CUresult by_context(struct fixture *f) { return cuCtxSynchronize_v2(f->context); }
static CUresult by_stream(struct fixture *f) { (void)f; return cuStreamSynchronize(NULL); }
static CUresult by_copy(struct fixture *f) { return cuMemcpyDtoH(f->host, f->memory, 16); }
static CUresult by_rows(struct fixture *f)
{
    CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = f->memory, .srcPitch = 64, .dstMemoryType = CU_MEMORYTYPE_HOST,
                       .dstHost = f->host, .dstPitch = 64, .WidthInBytes = 32, .Height = 4};
    return cuMemcpy2D(&c);
}
static CUresult by_event(struct fixture *f)
{
    CUresult r = cuEventRecord(f->event, NULL);
    return r ? r : cuEventSynchronize(f->event);
}
static CUresult by_asking_event(struct fixture *f)
{
    CUresult r = cuEventRecord(f->event, NULL);
    while (!r || r == CUDA_ERROR_NOT_READY)
        r = cuEventQuery(f->event);
    return r;
}
static CUresult by_asking_stream(struct fixture *f)
{
    CUresult r = CUDA_ERROR_NOT_READY;
    (void)f;
    while (r == CUDA_ERROR_NOT_READY)
        r = cuStreamQuery(NULL);
    return r;
}

static void tellers(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Calls that tell of a kernel's error", A_CONTEXT, ALONE | WRITES);
    CASE("waiting for the context", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "cuCtxSynchronize", first(f, by_context));
    CASE("waiting for the stream", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "cuStreamSynchronize: note", first(f, by_stream));
    CASE("waiting for an event", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "cuEventSynchronize: note", first(f, by_event));
    CASE("a copy to the host", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "cuMemcpyDtoH: note", first(f, by_copy));
    CASE("a copy of rows to the host", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "cuMemcpy2D: note", first(f, by_rows));
    CASE("asking an event, often enough", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "cuEventQuery: note", first(f, by_asking_event));
    CASE("asking a stream, often enough", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "cuStreamQuery: note", first(f, by_asking_stream));
}

static CUresult again(struct fixture *f) // out of the lost context, into a new one
{
    CUcontext fresh;
    CUresult r = cuCtxDestroy(f->context);
    if (!r)
        r = cuCtxCreate(&fresh, NULL, 0, f->device);
    if (!r)
        r = cuMemAlloc(&f->memory, MEMORY_BYTES);
    if (!r)
        r = cuMemsetD8(f->memory, 1, MEMORY_BYTES);
    return r ? r : cuCtxSynchronize();
}

static CUresult beside(struct fixture *f)
{
    MUST(cuCtxPushCurrent(f->elsewhere));
    CUresult r = cuMemsetD8(f->their_memory, 1, MEMORY_BYTES);
    if (!r)
        r = cuCtxSynchronize();
    MUST(cuCtxPopCurrent(NULL));
    return r;
}

static CUresult lost_primary(struct fixture *f)
{
    CUcontext primary;
    CUdeviceptr p;
    MUST(cuDevicePrimaryCtxRetain(&primary, f->device));
    MUST(cuCtxSetCurrent(primary));
    MUST(cuModuleLoadData(&f->module, e2e_kernels_ptx));
    MUST(cuModuleGetFunction(&f->poke, f->module, "poke"));
    lose(f);
    CUresult r = cuDevicePrimaryCtxReset(f->device);
    if (!r)
        r = cuDevicePrimaryCtxRetain(&primary, f->device);
    return r ? r : cuMemAlloc(&p, 100);
}

static void lost(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "In a lost context", LOST_CONTEXT, 0);
    CASE("freeing", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, REPORTED, "pycuda: \"cuMemFree failed\" in clean-up", cuMemFree(f->memory));
    CASE("a pitched allocation", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult",
         cuMemAllocPitch(&f->out.address, &f->out.size, 100, 4, 4));
    CASE("memory info", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult", cuMemGetInfo(&f->out.size, &f->out.size2));
    CASE("a fill", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult", cuMemsetD8(f->memory, 1, 16));
    CASE("a copy to the device", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult", cuMemcpyHtoD(f->memory, f->host, 16));
    CASE("an asynchronous copy", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult",
         cuMemcpyDtoHAsync(f->pinned, f->memory, 16, f->stream));
    CASE("a stream", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult", cuStreamCreate(&f->out.stream, 0));
    CASE("waiting for a stream", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult", cuStreamSynchronize(f->stream));
    CASE("asking a stream", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult", cuStreamQuery(f->stream));
    CASE("waiting for an event", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult", cuEventSynchronize(f->event));
    CASE("recording an event", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult", cuEventRecord(f->event, f->stream));
    CASE("destroying an event", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, REPORTED, "mlcommons/training#44: TensorFlow's log",
         cuEventDestroy(f->unrecorded));
    CASE("destroying a stream", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, REPORTED, "pycuda: \"cuStreamDestroy failed\" in clean-up", cuStreamDestroy(f->stream));
    CASE("a module", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult", cuModuleLoadData(&f->out.module, e2e_kernels_ptx));
    CASE("unloading a module", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, REPORTED, "pycuda: \"cuModuleUnload failed\" in clean-up",
         cuModuleUnload(f->module));
    CASE("a launch", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, DOCUMENTED, "CUresult", launch(f, f->nothing, f->stream));
    CASE("wrong arguments do not come first", CUDA_ERROR_ILLEGAL_ADDRESS, AT_CALL, ASSUMED, "", cuMemAlloc(NULL, 0));
    section(t, "In a lost context, what still works", LOST_CONTEXT, WRITES);
    CASE("the name of the error", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuGetErrorName: no such return",
         cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &f->out.text));
    CASE("the current context", CUDA_SUCCESS, AT_CALL, ASSUMED, "", cuCtxGetCurrent(&f->out.context));
    CASE("its device", CUDA_SUCCESS, AT_CALL, ASSUMED, "", cuCtxGetDevice(&f->out.device));
    CASE("a device's attribute", CUDA_SUCCESS, AT_CALL, ASSUMED, "", cuDeviceGetAttribute(&f->out.number, CU_DEVICE_ATTRIBUTE_WARP_SIZE, f->device));
    CASE("another context", CUDA_SUCCESS, AT_CALL, ASSUMED, "the manual: the process is to be ended", beside(f));
    section(t, "Out of a lost context", LOST_CONTEXT, ALONE | WRITES);
    CASE("destroyed, and a new one made", CUDA_SUCCESS, AT_CALL, ASSUMED, "the manual: the process is to be ended; ILGPU#1268: it fails", again(f));
    section(t, "Out of a lost primary context", NO_CONTEXT, ALONE | WRITES);
    CASE("reset, and retained again", CUDA_SUCCESS, AT_CALL, ASSUMED, "the manual: the process is to be ended", lost_primary(f));
}

void cases_lasting(struct table *t)
{
    faults(t);
    tellers(t);
    lost(t);
}

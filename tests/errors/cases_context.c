// SPDX-License-Identifier: Apache-2.0
// Error cases: no context, contexts and their stack, limits and flags, primary contexts.
#include "tests/errors/table.h"

static void none(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "No current context", NO_CONTEXT, 0);
    CASE("memory", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuMemAlloc: returns", cuMemAlloc(&f->out.address, 100));
    CASE("wrong arguments come later", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, ASSUMED, "", cuMemAlloc(NULL, 0));
    CASE("freeing", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuMemFree: returns", cuMemFree(0x1000));
    CASE("memory info", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuMemGetInfo: returns",
         cuMemGetInfo(&f->out.size, &f->out.size2));
    CASE("pinned memory", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuMemAllocHost: returns",
         cuMemAllocHost(&f->out.pointer, 100));
    CASE("a stream", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuStreamCreate: returns", cuStreamCreate(&f->out.stream, 0));
    CASE("an event", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuEventCreate: returns", cuEventCreate(&f->out.event, 0));
    CASE("a module", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuModuleLoadData: returns",
         cuModuleLoadData(&f->out.module, "x"));
    CASE("a copy", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuMemcpyHtoD: returns", cuMemcpyHtoD(0x1000, &f->out, 4));
    CASE("a fill", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuMemsetD8: returns", cuMemsetD8(0x1000, 0, 4));
    CASE("the default stream", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuStreamSynchronize: returns", cuStreamSynchronize(NULL));
    CASE("the device", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, REPORTED, "lupine#444, driver 590.48", cuCtxGetDevice(&f->out.device));
    CASE("a limit", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxGetLimit: returns",
         cuCtxGetLimit(&f->out.size, CU_LIMIT_STACK_SIZE));
    CASE("the flags", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxGetFlags: returns", cuCtxGetFlags(&f->out.word));
    CASE("the context's id", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxGetId", cuCtxGetId(NULL, &f->out.wide));
    CASE("waiting", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxSynchronize: returns", cuCtxSynchronize());
    CASE("an empty stack", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxPopCurrent: returns", cuCtxPopCurrent(&f->out.context));
    CASE("priorities", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxGetStreamPriorityRange: returns",
         cuCtxGetStreamPriorityRange(&f->out.number, &f->out.number2));
    CASE("a context that is none to push", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxPushCurrent: returns",
         cuCtxPushCurrent(NULL));
    section(t, "No current context, and no error", NO_CONTEXT, WRITES);
    CASE("setting none", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuCtxSetCurrent", cuCtxSetCurrent(NULL));
    CASE("the current context is NULL", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuCtxGetCurrent",
         cuCtxGetCurrent(&f->out.context) ? CUDA_ERROR_UNKNOWN : f->out.context ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS);
}

static void making(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Making and setting contexts", NO_CONTEXT, 0);
    CASE("of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuCtxCreate: returns", cuCtxCreate(&f->out.context, NULL, 0, 77));
    CASE("nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxCreate: returns", cuCtxCreate(NULL, NULL, 0, f->device));
    CASE("unknown flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxCreate: returns",
         cuCtxCreate(&f->out.context, NULL, 0x8000, f->device));
    CASE("two ways to wait", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         cuCtxCreate(&f->out.context, NULL, CU_CTX_SCHED_SPIN | CU_CTX_SCHED_YIELD, f->device));
    CASE("destroying none", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxDestroy: returns", cuCtxDestroy(NULL));

    section(t, "Contexts", A_CONTEXT, 0);
    CASE("nowhere to put the current one", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxGetCurrent: returns", cuCtxGetCurrent(NULL));
    CASE("nowhere to put the device", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxGetDevice: returns", cuCtxGetDevice(NULL));
    CASE("nowhere to put the flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxGetFlags: returns", cuCtxGetFlags(NULL));
    CASE("an unknown limit", CUDA_ERROR_UNSUPPORTED_LIMIT, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         cuCtxGetLimit(&f->out.size, (CUlimit)99));
    CASE("an unknown limit to set", CUDA_ERROR_UNSUPPORTED_LIMIT, AT_CALL, REPORTED, "hip-tests, on NVIDIA", cuCtxSetLimit((CUlimit)99, 1));
    CASE("nowhere to put the limit", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxGetLimit: returns",
         cuCtxGetLimit(NULL, CU_LIMIT_STACK_SIZE));
    CASE("a stack that no device has", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", cuCtxSetLimit(CU_LIMIT_STACK_SIZE, (size_t)1 << 40));
    CASE("an unknown cache configuration", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxSetCacheConfig: returns",
         cuCtxSetCacheConfig((CUfunc_cache)17));
    CASE("an unknown bank size", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxSetSharedMemConfig: returns",
         cuCtxSetSharedMemConfig((CUsharedconfig)17));
    CASE("nowhere to put the version", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxGetApiVersion: returns",
         cuCtxGetApiVersion(f->context, NULL));
    CASE("nowhere to put the id", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxGetId: returns", cuCtxGetId(f->context, NULL));
    CASE("unknown flags to set", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxSetFlags: returns", cuCtxSetFlags(0x8000));
    CASE("detaching one that is not current", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, ASSUMED, "", cuCtxDetach(f->elsewhere));
    CASE("attaching with flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxAttach: flags must be 0",
         cuCtxAttach(&f->out.context, 1));

    section(t, "Contexts, and no error", A_CONTEXT, WRITES);
    CASE("whether it shares with graphics", CUDA_SUCCESS, AT_CALL, REPORTED, "cuBLAS 13 relies on it", cuCtxGetLimit(&f->out.size, CU_LIMIT_CIG_ENABLED));

    section(t, "Destroyed contexts", A_CONTEXT, UNDEFINED);
    CASE("destroying again", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxDestroy: returns", cuCtxDestroy(f->dead_context));
    CASE("setting", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxSetCurrent: returns", cuCtxSetCurrent(f->dead_context));
    CASE("pushing", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxPushCurrent: returns", cuCtxPushCurrent(f->dead_context));
    CASE("its id", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, ASSUMED, "", cuCtxGetId(f->dead_context, &f->out.wide));
    CASE("its version", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, REPORTED, "lupine#428: what the runtime expects",
         cuCtxGetApiVersion(f->dead_context, &f->out.word));
    CASE("a stream for a context", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, ASSUMED, "", cuCtxSetCurrent((CUcontext)f->stream));
    CASE("a number for a context", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, ASSUMED, "", cuCtxPushCurrent((CUcontext)0x1234));
}

static void gone(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "What went with a destroyed context", A_CONTEXT, UNDEFINED);
    CASE("waiting for its stream", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuStreamSynchronize(f->gone_stream));
    CASE("destroying its stream", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuStreamDestroy(f->gone_stream));
    CASE("launching into its stream", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", launch(f, f->nothing, f->gone_stream));
    CASE("asking its event", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuEventQuery(f->gone_event));
    CASE("a stream that waits for its event", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuStreamWaitEvent(f->stream, f->gone_event, 0));
    CASE("destroying its event", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuEventDestroy(f->gone_event));
    CASE("a kernel of its module", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "",
         cuModuleGetFunction(&f->out.function, f->gone_module, "nothing"));
    CASE("unloading its module", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", cuModuleUnload(f->gone_module));
    CASE("launching its kernel", CUDA_ERROR_INVALID_HANDLE, AT_CALL, ASSUMED, "", launch(f, f->gone_function, f->stream));
    CASE("waiting for it", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, ASSUMED, "", cuCtxSynchronize_v2(f->dead_context));
    section(t, "Memory of a destroyed context", A_CONTEXT, 0);
    CASE("a copy to it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxDestroy", cuMemcpyHtoD(f->gone_memory, f->host, 16));
    CASE("a fill", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxDestroy", cuMemsetD8(f->gone_memory, 1, 16));
    CASE("freeing it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxDestroy", cuMemFree(f->gone_memory));
    CASE("its type", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuCtxDestroy",
         cuPointerGetAttribute(&f->out.number, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, f->gone_memory));
}

// --- the current context is destroyed

static CUresult current_destroyed(struct fixture *f, CUresult (*call)(struct fixture *f))
{
    CUcontext mine;
    MUST(cuCtxCreate(&mine, NULL, 0, f->device));
    MUST(cuCtxPushCurrent(mine)); // twice on the stack: the upper place goes, the lower one stays
    MUST(cuCtxDestroy(mine));
    return call(f);
}
static CUresult by_alloc(struct fixture *f) { return cuMemAlloc(&f->out.address, 100); }
static CUresult by_wait(struct fixture *f) { (void)f; return cuCtxSynchronize(); }
static CUresult by_pop(struct fixture *f) { return cuCtxPopCurrent(&f->out.context); }

// Destroyed while current in another place of the stack, popped, and so on.
static void stack(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "A destroyed context on the stack", NO_CONTEXT, ALONE | WRITES);
    CASE("allocating", CUDA_ERROR_CONTEXT_IS_DESTROYED, AT_CALL, DOCUMENTED, "cuCtxDestroy", current_destroyed(f, by_alloc));
    CASE("waiting", CUDA_ERROR_CONTEXT_IS_DESTROYED, AT_CALL, DOCUMENTED, "cuCtxDestroy", current_destroyed(f, by_wait));
    CASE("it can be popped", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "cuCtxDestroy", current_destroyed(f, by_pop));
}

// --- primary contexts

static CUresult after_reset(struct fixture *f, CUresult (*call)(struct fixture *f))
{
    CUcontext primary;
    MUST(cuDevicePrimaryCtxRetain(&primary, f->device));
    MUST(cuCtxSetCurrent(primary));
    MUST(cuDevicePrimaryCtxReset(f->device));
    return call(f);
}
static CUresult by_state(struct fixture *f)
{
    CUresult r = cuDevicePrimaryCtxGetState(f->device, &f->out.word, &f->out.number);
    return r ? r : f->out.number ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}
static CUresult by_current(struct fixture *f)
{
    CUresult r = cuCtxGetCurrent(&f->out.context);
    return r ? r : f->out.context ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}
static CUresult by_retaining(struct fixture *f)
{
    CUresult r = cuDevicePrimaryCtxRetain(&f->out.context, f->device);
    return r ? r : cuMemAlloc(&f->out.address, 100);
}
static CUresult by_destroying(struct fixture *f)
{
    MUST(cuDevicePrimaryCtxRetain(&f->out.context, f->device));
    return cuCtxDestroy(f->out.context);
}
static CUresult release_twice(struct fixture *f)
{
    CUcontext primary;
    MUST(cuDevicePrimaryCtxRetain(&primary, f->device));
    MUST(cuDevicePrimaryCtxRelease(f->device));
    return cuDevicePrimaryCtxRelease(f->device);
}

static void primary(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Primary contexts", NO_CONTEXT, 0);
    CASE("of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDevicePrimaryCtxRetain: returns",
         cuDevicePrimaryCtxRetain(&f->out.context, 77));
    CASE("nowhere to put it", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDevicePrimaryCtxRetain: returns",
         cuDevicePrimaryCtxRetain(NULL, f->device));
    CASE("released and never retained", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuDevicePrimaryCtxRelease: returns",
         cuDevicePrimaryCtxRelease(f->device));
    CASE("released for no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDevicePrimaryCtxRelease: returns",
         cuDevicePrimaryCtxRelease(77));
    CASE("reset of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDevicePrimaryCtxReset: returns",
         cuDevicePrimaryCtxReset(77));
    CASE("the state of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDevicePrimaryCtxGetState: returns",
         cuDevicePrimaryCtxGetState(77, &f->out.word, &f->out.number));
    CASE("unknown flags", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuDevicePrimaryCtxSetFlags: returns",
         cuDevicePrimaryCtxSetFlags(f->device, 0x8000));
    CASE("flags of no device", CUDA_ERROR_INVALID_DEVICE, AT_CALL, DOCUMENTED, "cuDevicePrimaryCtxSetFlags: returns",
         cuDevicePrimaryCtxSetFlags(77, 0));
    section(t, "Primary contexts, and what they become", NO_CONTEXT, ALONE | WRITES);
    CASE("released once too often", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuDevicePrimaryCtxRelease: returns", release_twice(f));
    CASE("destroyed", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, DOCUMENTED, "cuCtxDestroy", by_destroying(f));
    CASE("allocating after a reset", CUDA_ERROR_CONTEXT_IS_DESTROYED, AT_CALL, REPORTED, "lupine#846", after_reset(f, by_alloc));
    CASE("after a reset it is not active", CUDA_SUCCESS, AT_CALL, REPORTED, "lupine#846", after_reset(f, by_state));
    CASE("after a reset it is still current", CUDA_SUCCESS, AT_CALL, REPORTED, "lupine#846", after_reset(f, by_current));
    CASE("retained after a reset it works again", CUDA_SUCCESS, AT_CALL, REPORTED, "lupine#846", after_reset(f, by_retaining));
}

void cases_context(struct table *t)
{
    none(t);
    making(t);
    gone(t);
    stack(t);
    primary(t);
}

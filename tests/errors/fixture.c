// SPDX-License-Identifier: Apache-2.0
// What the rows of the error table find (struct fixture), and the kernels they use.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/errors/table.h"


// A kernel for each way to go wrong on the device, chosen by its argument: 0 trap, 1 misaligned store, 2 a store to shared memory that the
// block does not have, 3 a failed assert, 4 a load from address 0, 5 a store to local memory outside the thread's.
static const char faults_ptx[] =
    ".version 7.5\n.target sm_75\n.address_size 64\n"
    ".extern .func __assertfail (.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, .param .b64 e);\n"
    ".global .align 1 .b8 text[8] = {102, 97, 105, 108, 115, 0, 0, 0};\n"
    ".shared .align 4 .b8 some[64];\n"
    ".visible .entry faults(.param .u32 kind, .param .u64 at)\n"
    "{\n"
    "  .reg .pred %p<8>;\n  .reg .b32 %r<8>;\n  .reg .b64 %rd<8>;\n"
    "  ld.param.u32 %r1, [kind];\n  ld.param.u64 %rd1, [at];\n  cvta.to.global.u64 %rd2, %rd1;\n"
    "  setp.eq.u32 %p0, %r1, 0;\n  @%p0 trap;\n"
    "  setp.ne.u32 %p1, %r1, 1;\n  @%p1 bra A;\n  st.global.u32 [%rd2+2], %r1;\n  ret;\n"
    "A:\n  setp.ne.u32 %p2, %r1, 2;\n  @%p2 bra B;\n  mov.u64 %rd3, some;\n  st.shared.u32 [%rd3+1048576], %r1;\n  ret;\n"
    "B:\n  setp.ne.u32 %p3, %r1, 3;\n  @%p3 bra C;\n  mov.u64 %rd4, text;\n  cvta.global.u64 %rd5, %rd4;\n"
    "  {\n  .param .b64 p0;\n  .param .b64 p1;\n  .param .b32 p2;\n  .param .b64 p3;\n  .param .b64 p4;\n"
    "  st.param.b64 [p0], %rd5;\n  st.param.b64 [p1], %rd5;\n  st.param.b32 [p2], 7;\n  st.param.b64 [p3], %rd5;\n  st.param.b64 [p4], 1;\n"
    "  call.uni __assertfail, (p0, p1, p2, p3, p4);\n  }\n  ret;\n"
    "C:\n  mov.u64 %rd6, 0;\n  ld.global.u32 %r2, [%rd6];\n  st.global.u32 [%rd2], %r2;\n  ret;\n"
    "}\n";

void must(CUresult r, const char *what)
{
    if (r == CUDA_SUCCESS)
        return;
    printf("the set-up fails: %s: %s\n", what, code_name(r));
    fflush(stdout);
    _Exit(3);
}

CUresult launch_shape(struct fixture *f, CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                      unsigned by, unsigned bz, unsigned shared_bytes)
{
    unsigned words = 1, value = 1;
    void *parameters[] = {&f->memory, &words, &value};
    return cuLaunchKernel(function, gx, gy, gz, bx, by, bz, shared_bytes, f->stream, parameters, NULL);
}

CUresult launch(struct fixture *f, CUfunction function, CUstream stream)
{
    unsigned words = 1, value = 1;
    void *parameters[] = {&f->memory, &words, &value};
    return cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, stream, parameters, NULL);
}

CUresult poke_at(struct fixture *f, CUdeviceptr at)
{
    unsigned value = 5;
    void *parameters[] = {&at, &value};
    return cuLaunchKernel(f->poke, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL);
}

CUresult fault(struct fixture *f, unsigned kind)
{
    void *parameters[] = {&kind, &f->memory};
    return cuLaunchKernel(f->faults, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL);
}

void lose(struct fixture *f)
{
    MUST(poke_at(f, 0x500000000000));
    if (cuCtxSynchronize() != CUDA_ERROR_ILLEGAL_ADDRESS)
        must(CUDA_ERROR_UNKNOWN, "losing the context by an illegal address");
}

// Of another context, which stays: elsewhere's.
static void open_elsewhere(struct fixture *f)
{
    CUmodule module;
    MUST(cuCtxCreate(&f->elsewhere, NULL, 0, f->device));
    MUST(cuStreamCreate(&f->their_stream, CU_STREAM_NON_BLOCKING));
    MUST(cuEventCreate(&f->their_event, 0));
    MUST(cuEventRecord(f->their_event, f->their_stream));
    MUST(cuMemAlloc(&f->their_memory, MEMORY_BYTES));
    MUST(cuModuleLoadData(&module, e2e_kernels_ptx));
    MUST(cuModuleGetFunction(&f->their_function, module, "nothing"));
    MUST(cuCtxSynchronize());
    MUST(cuCtxPopCurrent(NULL));
}

static void open_live(struct fixture *f)
{
    CUmodule faults;
    MUST(cuMemAlloc(&f->memory, MEMORY_BYTES));
    MUST(cuStreamCreate(&f->stream, CU_STREAM_NON_BLOCKING));
    MUST(cuEventCreate(&f->event, 0));
    MUST(cuEventCreate(&f->unrecorded, 0));
    MUST(cuEventCreate(&f->untimed, CU_EVENT_DISABLE_TIMING));
    MUST(cuEventRecord(f->event, f->stream));
    MUST(cuEventRecord(f->untimed, f->stream));
    MUST(cuModuleLoadData(&f->module, e2e_kernels_ptx));
    MUST(cuModuleGetFunction(&f->fill, f->module, "fill"));
    MUST(cuModuleGetFunction(&f->poke, f->module, "poke"));
    MUST(cuModuleGetFunction(&f->dynamic, f->module, "dynamic"));
    MUST(cuModuleGetFunction(&f->small_blocks, f->module, "small_blocks"));
    MUST(cuModuleGetFunction(&f->nothing, f->module, "nothing"));
    MUST(cuModuleLoadData(&faults, faults_ptx));
    MUST(cuModuleGetFunction(&f->faults, faults, "faults"));
    MUST(cuLibraryLoadData(&f->library, e2e_kernels_ptx, NULL, NULL, 0, NULL, NULL, 0));
    MUST(cuLibraryGetKernel(&f->kernel, f->library, "nothing"));
    MUST(cuMemAllocHost((void **)&f->pinned, MEMORY_BYTES));
    f->host = calloc(1, HOST_BYTES);
    must(f->host ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY, "calloc");
}

static void open_dead(struct fixture *f)
{
    MUST(cuMemAlloc(&f->freed, FREED_BYTES));
    MUST(cuMemFree(f->freed));
    MUST(cuStreamCreate(&f->dead_stream, 0));
    MUST(cuStreamDestroy(f->dead_stream));
    MUST(cuEventCreate(&f->dead_event, 0));
    MUST(cuEventDestroy(f->dead_event));
    MUST(cuModuleLoadData(&f->dead_module, e2e_kernels_ptx));
    MUST(cuModuleGetFunction(&f->dead_function, f->dead_module, "nothing"));
    MUST(cuModuleUnload(f->dead_module));
    MUST(cuLibraryLoadData(&f->dead_library, e2e_kernels_ptx, NULL, NULL, 0, NULL, NULL, 0));
    MUST(cuLibraryGetKernel(&f->dead_kernel, f->dead_library, "nothing"));
    MUST(cuLibraryUnload(f->dead_library));
    MUST(cuCtxCreate(&f->dead_context, NULL, 0, f->device));
    MUST(cuStreamCreate(&f->gone_stream, 0));
    MUST(cuEventCreate(&f->gone_event, 0));
    MUST(cuEventRecord(f->gone_event, f->gone_stream));
    MUST(cuModuleLoadData(&f->gone_module, e2e_kernels_ptx));
    MUST(cuModuleGetFunction(&f->gone_function, f->gone_module, "nothing"));
    MUST(cuMemAlloc(&f->gone_memory, MEMORY_BYTES));
    MUST(cuCtxDestroy(f->dead_context));
}

void fixture_open(struct fixture *f, enum given given)
{
    if (given == BEFORE_INIT)
        return;
    MUST(cuInit(0));
    MUST(cuDeviceGet(&f->device, 0));
    if (given == NO_CONTEXT)
        return;
    open_elsewhere(f);
    MUST(cuCtxCreate(&f->context, NULL, 0, f->device));
    open_live(f);
    open_dead(f);
    MUST(cuCtxSetCurrent(f->context));
    MUST(cuCtxSynchronize());
    if (given == LOST_CONTEXT)
        lose(f);
}
